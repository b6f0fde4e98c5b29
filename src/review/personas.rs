//! Whom a language model is asked to be, and the asking.

use super::manuscript::Manuscript;
use super::opinion::{DEMANDS, Form, Opinion};
use crate::campaign::{Ask, Desk, Heard, State};
use crate::config::LlmRole;
use crate::llm::{fence, fill_template};
use crate::problem::Result;

/// The prompt of all reviewers.
const TEMPLATE: &str = include_str!("../../prompts/reviewer.md");
/// Characters of a paper that are shown.
const PAPER: usize = 60_000;

/// A reviewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Persona {
    /// As reviews name it.
    pub name: &'static str,
    /// What it looks at, as it is told.
    pub brief: &'static str,
}

/// The reviewers.
pub const PERSONAS: [Persona; 3] = [
    Persona {
        name: "the methodologist",
        brief: "a methodologist: you ask whether the experiment can answer the question, what else would explain the result, \
                what was held equal, and whether the conclusions go further than the campaign.",
    },
    Persona {
        name: "the statistician",
        brief: "a statistician: you ask about the number of seeds, intervals and what they cover, the noise floor, pairing, \
                selection among many candidates, corrections for several comparisons, and words like \"improves\" that need an \
                interval.",
    },
    Persona {
        name: "the editor",
        brief: "an editor: you ask whether a reader who knows the field but not this program understands each sentence, whether \
                anything is said twice, whether the abstract says what was found, and whether figures can be read on their own.",
    },
];

/// Standing instructions and question for one reviewer.
pub(super) fn prompt(persona: &Persona, paper: &Manuscript, state: &State, round: usize) -> (String, String) {
    let values = [
        ("persona", persona.brief.to_string()),
        ("most", DEMANDS.to_string()),
        ("context", context(state)),
        ("paper", fence("the paper", &paper.text, PAPER)),
        ("round", round.to_string()),
    ];
    fill_template(TEMPLATE, &values)
}

/// What a reviewer needs to know beside the paper: facts of the campaign that the paper cannot talk away.
fn context(state: &State) -> String {
    let finished = state.runs.iter().filter(|r| r.result.is_some()).count();
    let judged = state.candidates.iter().filter(|c| c.value.is_some()).count();
    let seeds = state.baseline.as_ref().map_or(0, |b| b.values.len());
    let confirmed = state.best().map_or("no candidate was confirmed", |_| "a candidate was confirmed");
    let question = fence("the campaign's question", &state.campaign.question, 500);
    format!(
        "# Campaign\n{question}\nobjective: {}; {finished} runs ended; {judged} candidates were looked at; the baseline has \
         {seeds} seeds; by the program's rule (the whole interval beyond the noise floor, corrected for several comparisons) \
         {confirmed}",
        state.metric()
    )
}

/// Asks one reviewer.
///
/// # Errors
/// What must stop the review: a journal or tape that cannot be written, or a tape that holds another question.
pub fn ask(desk: &mut Desk, persona: &Persona, paper: &Manuscript, round: usize) -> Result<Heard<Opinion>> {
    let (system, prompt) = prompt(persona, paper, desk.state(), round);
    let what = format!("review, round {round}, {}", persona.name);
    let check = |form: &Form| form.check(paper);
    let ask = Ask { role: LlmRole::Reviewer, what: &what, system: &system, prompt: &prompt, check: &check };
    Ok(desk.ask::<Form>(&ask)?.map(|form| form.opinion(persona.name, paper)))
}
