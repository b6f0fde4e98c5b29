//! Which language models a campaign may ask, and what they cost. Keys are never here: they live in the environment.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A language model for planning. Without this section, or where neither a key nor an address is at hand, the classical
/// planner works alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LlmSpec {
    /// The protocol spoken. Default `openai`.
    #[serde(default)]
    pub provider: LlmProvider,
    /// Model asked where `roles` names no other, as the service calls it.
    pub model: String,
    /// Address of the service up to the version, `http://localhost:8000/v1` for instance. Default: OPENAI_BASE_URL or
    /// ANTHROPIC_BASE_URL, else the provider's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// Another model for a role. Default none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub roles: BTreeMap<LlmRole, String>,
    /// Price of each model's tokens; a model without one may be asked only while `budget.dollars` is 0. Default none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub prices: BTreeMap<String, TokenPrice>,
    /// Seconds an answer may take. Default 120.
    #[serde(default = "timeout")]
    pub timeout_seconds: f64,
    /// Further tries after a failure that may pass (busy, overloaded, no connection). Default 4.
    #[serde(default = "retries")]
    pub retries: usize,
    /// How often an answer that breaks the schema is sent back with the validator's message. Default 2.
    #[serde(default = "repairs")]
    pub repairs: usize,
    /// Tokens of an answer at most. Default 4096.
    #[serde(default = "max_tokens")]
    pub max_tokens: u32,
}

/// A protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LlmProvider {
    /// Chat completions as OpenAI has them; also vLLM, Ollama, llama.cpp and others.
    #[default]
    Openai,
    /// Messages as Anthropic has them.
    Anthropic,
}

/// Who is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LlmRole {
    /// Makes hypotheses and search spaces.
    Ideator,
    /// Makes typed experiments.
    Designer,
    /// Reads results.
    Analyst,
    /// Reviews papers.
    Reviewer,
    /// Writes papers.
    Writer,
}

impl LlmRole {
    /// As configs and tapes write it.
    pub fn name(self) -> &'static str {
        match self {
            LlmRole::Ideator => "ideator",
            LlmRole::Designer => "designer",
            LlmRole::Analyst => "analyst",
            LlmRole::Reviewer => "reviewer",
            LlmRole::Writer => "writer",
        }
    }
}

/// Dollars for a million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenPrice {
    /// Of what is sent, in dollars a million tokens.
    pub input: f64,
    /// Of what is answered, in dollars a million tokens.
    pub output: f64,
}

impl LlmSpec {
    /// A model with everything else at its default.
    pub fn asking(model: &str) -> Self {
        LlmSpec {
            provider: LlmProvider::default(),
            model: model.to_string(),
            base_url: None,
            roles: BTreeMap::new(),
            prices: BTreeMap::new(),
            timeout_seconds: timeout(),
            retries: retries(),
            repairs: repairs(),
            max_tokens: max_tokens(),
        }
    }

    /// The models that planning may ask.
    pub fn planning_models(&self) -> Vec<&str> {
        let mut models: Vec<&str> =
            [LlmRole::Ideator, LlmRole::Designer, LlmRole::Analyst].map(|role| self.model_for(role)).to_vec();
        models.sort_unstable();
        models.dedup();
        models
    }

    /// The model that a role asks.
    pub fn model_for(&self, role: LlmRole) -> &str {
        self.roles.get(&role).unwrap_or(&self.model)
    }
}

fn timeout() -> f64 {
    120.0
}
fn retries() -> usize {
    4
}
fn repairs() -> usize {
    2
}
fn max_tokens() -> u32 {
    4096
}
