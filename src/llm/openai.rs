//! Chat completions as OpenAI defines them, and as vLLM, Ollama, llama.cpp and others serve them.
//!
//! Structured output goes through `response_format` with a JSON Schema. Servers that do not know it answer 400; then the
//! question is asked again without it ([`encode`]'s `strict = false`): the schema is in the prompt as well.

use super::chat::{ChatRequest, Finish, Reply, Speaker, Usage};
use crate::sys::retry::complaint;
use serde_json::{Value, json};

/// Where the public service is.
pub(super) const BASE_URL: &str = "https://api.openai.com/v1";
/// What comes after the base address.
pub(super) const PATH: &str = "/chat/completions";

/// The body of a request.
pub(super) fn encode(request: &ChatRequest, strict: bool) -> Value {
    let mut messages = vec![json!({ "role": "system", "content": request.system })];
    messages.extend(request.messages.iter().map(|message| {
        let role = match message.speaker {
            Speaker::User => "user",
            Speaker::Assistant => "assistant",
        };
        json!({ "role": role, "content": message.text })
    }));
    let mut body = json!({
        "model": request.model,
        "messages": messages,
        "max_completion_tokens": request.max_tokens,
    });
    if strict {
        let schema = json!({ "name": request.schema_name, "schema": request.schema });
        body["response_format"] = json!({ "type": "json_schema", "json_schema": schema });
    } else {
        // Older servers know this name only.
        body["max_tokens"] = json!(request.max_tokens);
        if let Some(entries) = body.as_object_mut() {
            entries.remove("max_completion_tokens");
        }
    }
    body
}

/// The answer in a response's body; what is wrong with it otherwise.
pub(super) fn decode(body: &Value) -> Result<Reply, String> {
    // Gateways answer with status 200 and an error in the body.
    let missing = || format!("the response has no choices{}", complaint(body));
    let choice = body.pointer("/choices/0").ok_or_else(missing)?;
    let message = choice.get("message").ok_or("the choice has no message")?;
    let refusal = message.get("refusal").and_then(Value::as_str).filter(|r| !r.is_empty());
    let finish = match (refusal, choice.get("finish_reason").and_then(Value::as_str)) {
        (Some(_), _) | (None, Some("content_filter")) => Finish::Refused,
        (None, Some("length")) => Finish::Length,
        (None, _) => Finish::Complete,
    };
    let text = refusal.or_else(|| message.get("content").and_then(Value::as_str)).unwrap_or_default().to_string();
    let count = |key: &str| body.pointer(key).and_then(Value::as_u64);
    let usage = match (count("/usage/prompt_tokens"), count("/usage/completion_tokens")) {
        (Some(input_tokens), Some(output_tokens)) => Some(Usage { input_tokens, output_tokens }),
        _ => None,
    };
    let model = body.get("model").and_then(Value::as_str).unwrap_or_default().to_string();
    Ok(Reply { text, finish, usage, model })
}
