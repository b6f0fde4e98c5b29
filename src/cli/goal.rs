//! `init --goal`: a campaign from a sentence, by a language model, or from the nearest template where there is none.

use super::output::say;
use crate::agent;
use crate::campaign::placement::TAPE_FOLDER;
use crate::config::{Fill, LlmProvider, LlmSpec, Template, nearest_template, templates};
use crate::llm::{self, Tape};
use crate::problem::{Problem, Result};
use crate::sys::clock::SystemClock;
use crate::sys::env;
use crate::sys::http::Network;
use std::path::Path;

/// Characters of a goal, at most.
const LONGEST: usize = 2000;

/// The template and what goes into it. `template` is the person's own choice where it is `fixed`.
pub fn campaign(
    goal: &str,
    model: Option<&str>,
    folder: &Path,
    template: Template,
    mut fill: Fill,
    fixed: bool,
) -> Result<(Template, Fill)> {
    let goal = goal.trim();
    let length = goal.chars().count();
    if length == 0 || length > LONGEST || goal.chars().any(|c| c.is_control() && c != '\n') {
        return Err(Problem::usage(format!("a goal of {length} characters; 1 to {LONGEST} can be read"))
            .at("command line: --goal")
            .remedy("say in a sentence what you want to find out"));
    }
    let nearest = |fill: Fill| {
        let template = if fixed { template } else { nearest_template(goal) };
        (template, Fill { question: Some(goal.replace('\n', " ")), ..fill })
    };
    let Some(spec) = spec(model) else { return Ok(nearest(fill)) };
    let Some(access) = llm::access(&spec, &env::var) else {
        say(&format!(
            "{} cannot be asked: there is no key and no address (docs/llm.md); the nearest template it is",
            spec.model
        ));
        return Ok(nearest(fill));
    };
    fill.llm = lines(&spec);
    let choice: Vec<Template> = if fixed { vec![template] } else { templates().to_vec() };
    let tape = Tape::record(&folder.join(TAPE_FOLDER))?;
    let tries = spec.retries + 1;
    say(&format!("asking {} for a campaign, {tries} tries of {:.0} s at most ...", spec.model, spec.timeout_seconds));
    let clock = SystemClock::default();
    let drafted = agent::draft(goal, &choice, &fill, &spec, access, &Network, &clock, tape)?;
    let usage = drafted.spent.usage;
    say(&format!(
        "{} tokens sent, {} answered; the question and its answer are in {}",
        usage.input_tokens,
        usage.output_tokens,
        folder.join(TAPE_FOLDER).display()
    ));
    match drafted.result {
        Ok(draft) => {
            say(&format!("why        {}", draft.why));
            agent::filled(&draft, &choice, &fill).map_err(Problem::failed)
        }
        Err(failure) => {
            say(&format!("{failure}; the nearest template it is"));
            Ok(nearest(fill))
        }
    }
}

/// The model that the person names, with the protocol of the key or address that is at hand.
fn spec(model: Option<&str>) -> Option<LlmSpec> {
    let model = model.map(str::to_string).or_else(|| env::var("NANORESEARCH_MODEL"))?;
    let has =
        |name: &str| env::var(&format!("{name}_API_KEY")).or_else(|| env::var(&format!("{name}_BASE_URL"))).is_some();
    let provider = if has("ANTHROPIC") && !has("OPENAI") { LlmProvider::Anthropic } else { LlmProvider::Openai };
    // A person waits for it.
    Some(LlmSpec { provider, retries: 1, ..LlmSpec::asking(&model) })
}

/// Lines of `[llm]`.
fn lines(spec: &LlmSpec) -> Vec<String> {
    let mut lines = Vec::new();
    if spec.provider == LlmProvider::Anthropic {
        lines.push("provider = \"anthropic\"".to_string());
    }
    lines.push(format!("model = {:?}", spec.model));
    lines.push(
        "# prices.\"MODEL\" = { input = 1.0, output = 4.0 }   # dollars a million tokens, for budget.dollars"
            .to_string(),
    );
    lines
}
