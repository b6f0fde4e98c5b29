//! From a sentence to a campaign: a template, a question, a search space, settings of the baseline, a budget.
//!
//! The model fills in a shipped template and nothing else: data, files, evaluation, seeds and resources stay the template's (or
//! the person's own data). What it says is put together as the file would be and validated as that; the validator's message
//! goes back to it.

use super::prompts;
use crate::config::{self, Campaign, Fill, LlmRole, LlmSpec, Template};
use crate::llm::{Access, Answer, Client, Failure, Question, Spent, Tape, fence};
use crate::problem::Result;
use crate::sys::clock::Clock;
use crate::sys::http::Post;
use crate::text::hidden;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Sections of an experiment that a draft may touch.
const SECTIONS: [&str; 4] = ["model", "optimizer", "schedule", "training"];
/// Parameters of a drafted space, at most.
const PARAMETERS: usize = 12;
/// Characters of a goal that are shown.
const GOAL: usize = 2000;
/// Device-hours that a draft may ask for, at most: a person may write more.
const HOURS: f64 = 10_000.0;

/// A campaign as a model drafts it.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    /// Name of the template.
    pub template: String,
    /// The research question, in one sentence.
    pub question: String,
    /// Path of a setting of the baseline to the values it may take.
    pub space: BTreeMap<String, Value>,
    /// Settings of the template's baseline that should be others; usually empty.
    #[serde(default)]
    pub baseline: BTreeMap<String, Value>,
    /// Budget.
    pub device_hours: f64,
    /// Why this space and this budget, in a few sentences.
    pub why: String,
}

impl Answer for Draft {
    const NAME: &'static str = "campaign";
}

/// What came of asking for a draft.
pub struct Drafted {
    /// The draft, or why there is none.
    pub result: std::result::Result<Draft, Failure>,
    /// What it cost.
    pub spent: Spent,
}

/// Asks for a campaign that pursues `goal`, out of `templates`; `fill` is what the person has fixed already.
///
/// # Errors
/// A tape that cannot be written.
#[allow(clippy::too_many_arguments)]
pub fn draft(
    goal: &str,
    templates: &[Template],
    fill: &Fill,
    spec: &LlmSpec,
    access: Access,
    post: &dyn Post,
    clock: &dyn Clock,
    tape: Tape,
) -> Result<Drafted> {
    let context = templates.iter().map(|t| describe(t, fill)).collect::<Vec<_>>().join("\n\n");
    let goal = fence("the person's goal", goal, GOAL);
    let (system, prompt) = prompts::fill("campaign", &[("context", context), ("goal", goal)]);
    let check = |draft: &Draft| filled(draft, templates, fill).map(|_| ());
    let question =
        Question { role: LlmRole::Ideator, system: &system, prompt: &prompt, allowance: None, check: &check };
    let answered = Client::new(spec, access, post, clock, tape).ask(&question)?;
    Ok(Drafted { result: answered.result, spent: answered.spent })
}

/// The template and what goes into it; what is wrong with the draft otherwise.
pub fn filled(draft: &Draft, templates: &[Template], own: &Fill) -> std::result::Result<(Template, Fill), String> {
    let Some(template) = templates.iter().find(|t| t.name == draft.template) else {
        let names: Vec<&str> = templates.iter().map(|t| t.name).collect();
        return Err(format!("template: {:?} is none of {}", draft.template, names.join(", ")));
    };
    let sentence = |name: &str, text: &str, most: usize| match text.chars().count() {
        n if n == 0 || n > most || text.contains(['\n', '\t']) || hidden(text).is_some() => {
            Err(format!("{name} must be 1 to {most} characters on one line"))
        }
        _ => Ok(()),
    };
    sentence("question", &draft.question, 300)?;
    sentence("why", &draft.why, 1200)?;
    if draft.space.is_empty() || draft.space.len() > PARAMETERS {
        return Err(format!("space has {} parameters; 1 to {PARAMETERS} are allowed", draft.space.len()));
    }
    if !(draft.device_hours > 0.0 && draft.device_hours <= HOURS) {
        return Err(format!("device_hours = {} is not above 0 and at most {HOURS}", draft.device_hours));
    }
    let allowed = |path: &str| SECTIONS.iter().any(|s| path.strip_prefix(s).is_some_and(|rest| rest.starts_with('.')));
    if let Some(path) = draft.space.keys().chain(draft.baseline.keys()).find(|path| !allowed(path)) {
        let path: String = path.chars().take(80).collect();
        return Err(format!("{path:?} cannot be set; only settings of {} can", SECTIONS.join(", ")));
    }
    let mut fill = own.clone();
    fill.question = Some(draft.question.clone());
    fill.hours = Some(draft.device_hours);
    for (path, parameter) in &draft.space {
        fill.space.push(format!("{:?} = {}", path, inline(parameter).ok_or("space holds a null")?));
    }
    for (path, value) in &draft.baseline {
        let keys: Vec<&str> = path.split('.').collect();
        if keys.len() < 2 || keys.iter().any(|k| k.is_empty() || *k == "kind" || *k == "preset" || *k == "seed") {
            return Err(format!("baseline: {path:?} cannot be changed; choose another template instead"));
        }
        let value = inline(value).ok_or("baseline holds a null")?;
        let nested = keys[2..].iter().rev().fold(value, |inner, key| format!("{{ {key} = {inner} }}"));
        fill.settings.push((keys[0].to_string(), format!("{} = {nested}", keys[1])));
    }
    let campaign = read(template, &fill).map_err(|p| p.to_string().replace('\n', " "))?;
    // What the validator cannot know: a baseline without the settings that are searched is another experiment.
    let missing = campaign.space.iter().find(|(path, p)| p.when.is_empty() && campaign.baseline.get(path).is_none());
    match missing {
        Some((path, _)) => Err(format!("space: {path} is not set in the baseline; give it there too, or leave it out")),
        None => Ok((*template, fill)),
    }
}

fn read(template: &Template, fill: &Fill) -> Result<Campaign> {
    config::parse_campaign(&template.fill(fill), "campaign.toml", &[])
}

/// A value as TOML on one line; none for null.
fn inline(value: &Value) -> Option<String> {
    Some(match value {
        Value::Null => return None,
        Value::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Option<Vec<_>>>()?.join(", ")),
        Value::Object(entries) => {
            let entries: Option<Vec<String>> = entries
                .iter()
                .filter(|(_, v)| !v.is_null())
                .map(|(k, v)| Some(format!("{} = {}", bare(k), inline(v)?)))
                .collect();
            format!("{{ {} }}", entries?.join(", "))
        }
        other => other.to_string(),
    })
}

/// A key, in quotes only where it must be.
fn bare(key: &str) -> String {
    let plain = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if plain { key.to_string() } else { format!("{key:?}") }
}

/// A template for the prompt: what it is about, what its baseline sets, what its own space is.
fn describe(template: &Template, fill: &Fill) -> String {
    let fill = Fill { name: "draft".into(), ..fill.clone() };
    let Ok(campaign) = read(template, &fill) else { return format!("# Template {}", template.name) };
    let mut text = format!(
        "# Template {}\n{}\nmetric: {}\nSettings:",
        template.name,
        template.about(),
        campaign.objective.metric.name()
    );
    let json = serde_json::to_value(&campaign.baseline).unwrap_or_default();
    for section in SECTIONS {
        leaves(section, &json[section], &mut text);
    }
    text += "\nIts own space:";
    for (path, parameter) in &campaign.space {
        text += &format!("\n{path}: {}", super::context::parameter_words(parameter));
    }
    text
}

fn leaves(path: &str, value: &Value, text: &mut String) {
    match value {
        Value::Object(entries) => entries.iter().for_each(|(k, v)| leaves(&format!("{path}.{k}"), v, text)),
        Value::Null => {}
        other => *text += &format!("\n{path} = {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn draft(changes: Value) -> Draft {
        let mut json = json!({
            "template": "digits-mlp", "question": "Which rate?", "device_hours": 0.2, "why": "it matters",
            "space": { "optimizer.learning_rate": { "type": "log-float", "low": 1e-4, "high": 1e-1 } },
        });
        json.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        serde_json::from_value(json).unwrap()
    }

    fn own() -> Fill {
        Fill { name: "mine".into(), ..Fill::default() }
    }

    #[test]
    fn a_sound_draft_becomes_a_valid_campaign() {
        let baseline = json!({ "training.budget.steps": 120, "model.dropout": 0.1, "training.batch_size": 16 });
        let (template, fill) = filled(&draft(json!({ "baseline": baseline })), config::templates(), &own()).unwrap();
        let campaign = read(&template, &fill).unwrap();
        assert_eq!((campaign.question.as_str(), campaign.budget.device_hours), ("Which rate?", 0.2));
        assert_eq!(campaign.space.keys().collect::<Vec<_>>(), ["optimizer.learning_rate"]);
        assert_eq!(campaign.baseline.get("training.budget.steps"), Some(json!(120)));
        assert_eq!(campaign.baseline.get("model.dropout"), Some(json!(0.1)));
    }

    #[test]
    fn what_a_draft_must_not_say_is_refused_with_what_would_be_right() {
        let space = |path: &str| json!({ "space": { path: { "type": "int", "low": 1, "high": 2 } } });
        for (changes, words) in [
            (json!({ "template": "quantum" }), "none of digits-mlp"),
            (space("data.path"), "only settings of model"),
            (space("resources.memory_mib"), "cannot be set"),
            (space("evaluation.samples"), "cannot be set"),
            (space("training.seed"), "cannot be searched"),
            (space("model.widht"), "not a path"),
            (json!({ "space": {} }), "0 parameters"),
            (json!({ "baseline": { "data.path": "/etc/passwd" } }), "cannot be set"),
            (json!({ "baseline": { "model.kind": "gpt" } }), "cannot be changed"),
            (json!({ "baseline": { "training.batch_size": "many" } }), "batch_size"),
            (json!({ "device_hours": -1.0 }), "not above 0"),
            (json!({ "question": "two\nlines" }), "one line"),
        ] {
            let said = filled(&draft(changes.clone()), config::templates(), &own()).unwrap_err();
            assert!(said.contains(words), "{changes}: {said}");
        }
    }
}
