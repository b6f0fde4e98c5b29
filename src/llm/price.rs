//! Tokens to dollars.

use super::chat::{ChatRequest, Usage};
use crate::config::TokenPrice;
use crate::units::Dollars;

/// Tokens that a provider may add around a message: roles, separators, a tool's frame.
const FRAME_TOKENS: u64 = 64;

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

/// The most that one call can cost.
pub fn worst_case(request: &ChatRequest, price: TokenPrice) -> Dollars {
    dollars(most_tokens(request), price)
}
