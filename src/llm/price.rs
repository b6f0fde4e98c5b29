//! Tokens to dollars.

use super::chat::{ChatRequest, Usage};
use crate::config::TokenPrice;
use crate::units::Dollars;

/// Tokens that a provider may add around a message: roles, separators, a tool's frame.
const FRAME_TOKENS: u64 = 64;
/// Tokens beyond every bound that a count is believed with: a service's own instructions for using a tool, for instance.
const SERVICE_TOKENS: u64 = 1024;

/// What was used, in dollars, rounded up to the micro-dollar.
pub(super) fn dollars(usage: Usage, price: TokenPrice) -> Dollars {
    Dollars::of((usage.input_tokens as f64 * price.input + usage.output_tokens as f64 * price.output) / 1e6)
}

/// An upper bound of the tokens of one call. A token of the tokenisers in use stands for at least one byte, so the bytes
/// that are sent bound their tokens; the answer is bounded by `max_tokens`.
pub(super) fn most_tokens(request: &ChatRequest) -> Usage {
    let messages = request.messages.iter().map(|m| m.text.len() as u64 + FRAME_TOKENS).sum::<u64>();
    let schema = (request.schema.to_string().len() + request.schema_name.len()) as u64;
    let system = request.system.len() as u64 + FRAME_TOKENS;
    Usage { input_tokens: messages + schema + system, output_tokens: u64::from(request.max_tokens) }
}

/// Whether a call can have used so many tokens: a service that says otherwise counts something else, or nothing. An answer may be
/// longer than was asked for, as servers that know no bound give it.
pub(super) fn possible(usage: Usage, most: Usage, answer: &str) -> bool {
    usage.input_tokens <= most.input_tokens.saturating_add(SERVICE_TOKENS)
        && usage.output_tokens <= most.output_tokens.max(answer.len() as u64).saturating_add(SERVICE_TOKENS)
}

/// The most that one call can cost.
pub fn worst_case(request: &ChatRequest, price: TokenPrice) -> Dollars {
    dollars(most_tokens(request), price)
}
