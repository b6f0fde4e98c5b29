//! A conversation, whatever the provider.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Everything that decides an answer; what a replay compares.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChatRequest {
    /// The service's name of the model.
    pub model: String,
    /// Standing instructions.
    pub system: String,
    /// The conversation so far, the user's word first and last.
    pub messages: Vec<Message>,
    /// Tokens of the answer at most.
    pub max_tokens: u32,
    /// Name of the answer's form.
    pub schema_name: String,
    /// JSON Schema of the answer.
    pub schema: Value,
}

/// One turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Whose turn.
    pub speaker: Speaker,
    /// What was said.
    pub text: String,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Speaker {
    /// This program.
    User,
    /// The model.
    Assistant,
}

/// Tokens of one call, as the service counted them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens sent, cached ones included.
    pub input_tokens: u64,
    /// Tokens answered.
    pub output_tokens: u64,
}

impl Usage {
    /// Both counts added up.
    pub fn plus(self, other: Usage) -> Usage {
        Usage {
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            output_tokens: self.output_tokens.saturating_add(other.output_tokens),
        }
    }
}

/// Why the model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finish {
    /// It had said everything.
    Complete,
    /// It ran into `max_tokens`.
    Length,
    /// It refused, or the service withheld the answer.
    Refused,
}

/// An answer as the service gave it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// Its text: JSON, if all is well.
    pub text: String,
    /// Why it ends there.
    pub finish: Finish,
    /// What was counted; none where the service does not say.
    pub usage: Option<Usage>,
    /// The model that answered, by its own name.
    pub model: String,
}

/// A message of the user.
pub(super) fn user(text: impl Into<String>) -> Message {
    Message { speaker: Speaker::User, text: text.into() }
}

/// A message of the model.
pub(super) fn assistant(text: impl Into<String>) -> Message {
    Message { speaker: Speaker::Assistant, text: text.into() }
}
