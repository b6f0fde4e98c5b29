//! Messages as Anthropic defines them. Structured output is a tool that must be used: its input is the answer.

use super::chat::{ChatRequest, Finish, Reply, Speaker, Usage};
use crate::sys::retry::complaint;
use serde_json::{Value, json};

/// Where the public service is.
pub(super) const BASE_URL: &str = "https://api.anthropic.com/v1";
/// What comes after the base address.
pub(super) const PATH: &str = "/messages";
/// The version of the protocol, a header of every request.
pub(super) const VERSION: &str = "2023-06-01";

/// The body of a request.
pub(super) fn encode(request: &ChatRequest) -> Value {
    let messages: Vec<Value> = request
        .messages
        .iter()
        .map(|message| {
            let role = match message.speaker {
                Speaker::User => "user",
                Speaker::Assistant => "assistant",
            };
            json!({ "role": role, "content": message.text })
        })
        .collect();
    json!({
        "model": request.model,
        "system": request.system,
        "messages": messages,
        "max_tokens": request.max_tokens,
        "tools": [{
            "name": request.schema_name,
            "description": "Gives the answer.",
            "input_schema": request.schema,
        }],
        "tool_choice": { "type": "tool", "name": request.schema_name },
    })
}

/// The answer in a response's body; what is wrong with it otherwise.
pub(super) fn decode(body: &Value) -> Result<Reply, String> {
    let missing = || format!("the response has no content{}", complaint(body));
    let blocks = body.get("content").and_then(Value::as_array).ok_or_else(missing)?;
    let of_type = |kind: &'static str| blocks.iter().filter(move |b| b["type"] == kind);
    let text = match of_type("tool_use").next() {
        Some(block) => block.get("input").map(Value::to_string).unwrap_or_default(),
        None => of_type("text").filter_map(|b| b["text"].as_str()).collect::<Vec<_>>().join("\n"),
    };
    let finish = match body.get("stop_reason").and_then(Value::as_str) {
        Some("max_tokens") => Finish::Length,
        Some("refusal") => Finish::Refused,
        _ => Finish::Complete,
    };
    let count = |key: &str| body.pointer(key).and_then(Value::as_u64);
    let cached = ["/usage/cache_creation_input_tokens", "/usage/cache_read_input_tokens"];
    let usage = match (count("/usage/input_tokens"), count("/usage/output_tokens")) {
        (Some(fresh), Some(output_tokens)) => {
            let input_tokens = cached.iter().filter_map(|key| count(key)).fold(fresh, u64::saturating_add);
            Some(Usage { input_tokens, output_tokens })
        }
        _ => None,
    };
    let model = body.get("model").and_then(Value::as_str).unwrap_or_default().to_string();
    Ok(Reply { text, finish, usage, model })
}
