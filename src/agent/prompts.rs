//! The texts of `prompts/`, embedded, and their blanks filled in.

use super::context;
use crate::campaign::{CONCLUDE_AFTER, Inquiry, State};
use crate::llm::fill_template;

/// Name and text of every prompt. Standing instructions come before the line `---`, the question after it.
pub const TEMPLATES: [(&str, &str); 4] = [
    ("ideator", include_str!("../../prompts/ideator.md")),
    ("designer", include_str!("../../prompts/designer.md")),
    ("analyst", include_str!("../../prompts/analyst.md")),
    ("campaign", include_str!("../../prompts/campaign.md")),
];

/// Hypotheses of one answer, at most.
pub(super) const IDEAS: usize = 5;
/// Experiments of one answer, at most.
pub(super) const DESIGNS: usize = 6;
/// Findings of one answer, at most.
pub(super) const FINDINGS: usize = 8;

/// Standing instructions and question of a template, `{{name}}` replaced by its value.
pub fn fill(name: &str, values: &[(&str, String)]) -> (String, String) {
    let text = TEMPLATES.iter().find(|(n, _)| *n == name).map_or("", |(_, text)| text);
    fill_template(text, values)
}

/// Standing instructions and question of an inquiry.
pub(super) fn prompt(state: &State, inquiry: Inquiry) -> (String, String) {
    let context = ("context", context::text(state, inquiry));
    let most = |n: usize| ("most", n.to_string());
    match inquiry {
        Inquiry::Ideas => fill("ideator", &[context, most(IDEAS)]),
        Inquiry::Designs { .. } => {
            let seeds = state.scope.as_ref().map_or(1, |s| s.confirm);
            let looks = context::looks(state);
            let values = [context, most(DESIGNS), ("room", looks.to_string()), ("seeds", seeds.to_string())];
            fill("designer", &values)
        }
        Inquiry::Analysis { last } => {
            let task = if last {
                "Nothing further will be run. Say what was learned."
            } else {
                "Read these intermediate results and say how to go on."
            };
            let least = ("least", CONCLUDE_AFTER.to_string());
            fill("analyst", &[context, most(FINDINGS), least, ("task", task.to_string())])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_are_filled_once_and_every_template_has_two_parts() {
        for (name, text) in TEMPLATES {
            assert_eq!(text.matches("\n---\n").count(), 1, "{name}");
            assert!(text.lines().any(|l| l.contains("<untrusted>")), "{name} says what a fence means");
        }
        let (system, question) = fill("analyst", &[("context", "see {{task}}".into()), ("task", "Do.".into())]);
        assert!(question.starts_with("see {{task}}") && question.ends_with("Do."), "{question}");
        assert!(!system.contains("{{"));
    }
}
