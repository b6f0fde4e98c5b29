//! One research context for all roles: what a campaign is about, what it may spend, what it knows. Bounded by construction.
//!
//! Everything in it comes from the state, so that a replay asks the same. Words of people stand as they are; words of logs,
//! models and other campaigns stand in fences.

use crate::campaign::{
    Candidate, Inquiry, Run, RunResult, Seen, Standing, State, Usage, correction, gain, hypotheses, value_text,
};
use crate::config::{Constraint, Direction, Domain, Parameter, Relation};
use crate::llm::fence;
use crate::planner::{self, Assignment, Observation};
use serde_json::Value;

/// Results of a kind that are shown.
const SHOWN: usize = 6;
/// Characters of another's words.
const WORDS: usize = 300;
/// Remarks of people that are shown, the newest.
const NOTES: usize = 5;
/// Choices of a parameter that are listed.
const CHOICES: usize = 24;

/// The context of a question.
pub(super) fn text(state: &State, inquiry: Inquiry) -> String {
    let known = visible(state, inquiry);
    let parts = [
        about(state),
        budget(state),
        space(state),
        sampler(state, &known),
        results(state, &known, matches!(inquiry, Inquiry::Analysis { .. })),
        claims(state),
        remarks(state),
        findings(state),
    ];
    parts.into_iter().filter(|p| !p.is_empty()).collect::<Vec<_>>().join("\n\n")
}

/// Candidates that may be shown: where equal seeds are to give equal campaigns, those that the proposal may rest on.
fn visible(state: &State, inquiry: Inquiry) -> Vec<&Candidate> {
    let bound = match (inquiry, state.due()) {
        (Inquiry::Designs { .. }, Some((observed, Seen::Earliest))) => observed as u64,
        _ => u64::MAX,
    };
    let ended = |c: &&Candidate| c.value.is_some() || matches!(c.standing, Standing::Failed { .. });
    state.candidates.iter().filter(|c| c.index < bound).filter(ended).collect()
}

/// Further first looks that fit in the budget beside what is kept back for confirmations.
pub(super) fn room(state: &State) -> u64 {
    let Some(scope) = &state.scope else { return 0 };
    let sharers = state.campaign.execution.attempts_per_device.max(1) as f64;
    let one = gain::alpha(state) * scope.price.seconds / sharers;
    (gain::left(state, scope.confirm) / one.max(1e-9)).floor().max(0.0) as u64
}

/// Further first looks that the campaign can have: of [`room`], what the limits on candidates and runs leave.
pub(super) fn looks(state: &State) -> u64 {
    let rejected = |c: &&Candidate| matches!(c.standing, Standing::Rejected { .. });
    let tried = state.candidates.len() - state.candidates.iter().filter(rejected).count();
    let left = |limit: usize, used: usize| if limit == 0 { u64::MAX } else { limit.saturating_sub(used) as u64 };
    let candidates = left(state.campaign.planner.candidates, tried);
    room(state).min(candidates).min(left(state.campaign.budget.runs, state.runs.len()))
}

fn about(state: &State) -> String {
    let objective = &state.campaign.objective;
    let word = if state.direction() == Direction::Maximize { "maximise" } else { "minimise" };
    let goal = objective.goal.map_or_else(String::new, |g| format!(", goal {g}"));
    let mut text =
        format!("# Campaign\nquestion: {}\nobjective: {word} {}{goal}", state.campaign.question, state.metric());
    if let Some(scope) = &state.scope {
        let e = &scope.baseline;
        let kind = |path: &str| e.get(path).map_or_else(|| "?".to_string(), |v| value_text(&v));
        text += &format!(
            "\nsubject: data {}, model {}, optimiser {}, {} steps a run",
            kind("data.kind"),
            kind("model.kind"),
            kind("optimizer.kind"),
            scope.price.steps
        );
        let own: Assignment =
            state.campaign.space.keys().filter_map(|path| Some((path.clone(), e.get(path)?))).collect();
        text += &format!("\nbaseline: {}", settings(&own));
    }
    if let Some(b) = &state.baseline {
        text += &format!(
            "\nbaseline's {}: {:.5} over {} seeds, noise floor of means {:.5}",
            state.metric(),
            b.interval.mean,
            b.values.len(),
            b.floor
        );
    }
    text
}

fn budget(state: &State) -> String {
    let ledger = &state.ledger;
    let (limit, free) = (ledger.budget(), ledger.free().time);
    let mut text = format!("# Budget\ndevice-hours: {:.4} of {:.4} are free", free.hours(), limit.hours());
    if let Some(scope) = &state.scope {
        text += &format!(
            "\na run like the baseline's: about {:.3} device-hours; room for about {} further first looks beside confirmations",
            gain::alpha(state) * scope.price.seconds / 3600.0,
            room(state)
        );
    }
    let limit = state.campaign.planner.candidates;
    if limit > 0 {
        text += &format!("\ncandidates: {} of at most {limit} were tried", state.candidates.len());
    }
    let limit = state.campaign.budget.runs;
    if limit > 0 {
        text += &format!("\nruns: {} of at most {limit} were planned, confirmations included", state.runs.len());
    }
    if let Some(dollars) = ledger.budget_dollars() {
        text += &format!("\ndollars: {:.2} of {:.2} are free", ledger.free().dollars.value(), dollars.value());
    }
    text
}

fn space(state: &State) -> String {
    let mut text = "# Search space (nothing else can be set)".to_string();
    for (path, parameter) in &state.campaign.space {
        text += &format!("\n{path}: {}", parameter_words(parameter));
    }
    for constraint in &state.campaign.constraints {
        text += &format!("\nmust hold: {}", constraint_words(constraint));
    }
    text
}

pub(super) fn parameter_words(parameter: &Parameter) -> String {
    let mut text = match &parameter.domain {
        Domain::Float { low, high, .. } => format!("real, {low} to {high}"),
        Domain::LogFloat { low, high, .. } => format!("real, {low} to {high}, logarithmic"),
        Domain::Int { low, high, step, log } => {
            let step = if *step > 1 { format!(" in steps of {step}") } else { String::new() };
            format!("whole, {low} to {high}{step}{}", if *log { ", logarithmic" } else { "" })
        }
        Domain::Choice { values } => {
            let list: Vec<String> = values.iter().take(CHOICES).map(Value::to_string).collect();
            let more = values.len().saturating_sub(CHOICES);
            format!("one of {}{}", list.join(", "), if more > 0 { format!(" and {more} more") } else { String::new() })
        }
    };
    for (path, values) in &parameter.when {
        let list: Vec<String> = values.iter().map(Value::to_string).collect();
        text += &format!("; only with {path} = {}", list.join(" or "));
    }
    text
}

fn constraint_words(constraint: &Constraint) -> String {
    let relation = match constraint.relation {
        Relation::AtMost => "at most",
        Relation::AtLeast => "at least",
        Relation::MultipleOf => "a multiple of",
    };
    let side = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_string);
    format!("{} {relation} {}", side(&constraint.left), side(&constraint.right))
}

/// What the classical sampler has come to: where the best quarter of the results lies, and its own state where it has one.
fn sampler(state: &State, known: &[&Candidate]) -> String {
    let sampler = planner::sampler(&state.campaign.planner);
    let name = sampler.name();
    let mut good: Vec<&Candidate> = known.iter().copied().filter(|c| c.value.is_some()).collect();
    if good.len() < 4 {
        return format!("# Classical sampler\n{name}, with {} results so far", good.len());
    }
    let value = |c: &Candidate| c.value.unwrap_or(f64::NAN);
    good.sort_by(|a, b| value(a).total_cmp(&value(b)));
    if state.direction() == Direction::Maximize {
        good.reverse();
    }
    good.truncate(known.len().div_ceil(4).max(2));
    let mut text = format!("# Classical sampler\n{name}; the best {} results lie in", good.len());
    for path in state.campaign.space.keys() {
        let values: Vec<&Value> = good.iter().filter_map(|c| c.assignment.get(path)).collect();
        let numbers: Vec<f64> = values.iter().filter_map(|v| v.as_f64()).collect();
        let range = if !numbers.is_empty() && numbers.len() == values.len() {
            let (low, high) =
                numbers.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| (l.min(*x), h.max(*x)));
            format!("{} to {}", value_text(&low.into()), value_text(&high.into()))
        } else {
            let mut list: Vec<String> = values.iter().map(|v| value_text(v)).collect();
            list.sort();
            list.dedup();
            list.join(", ")
        };
        if !range.is_empty() {
            text += &format!("\n{path}: {range}");
        }
    }
    let sign = if state.direction() == Direction::Maximize { -1.0 } else { 1.0 };
    let seen = |c: &&Candidate| Observation::complete(c.assignment.clone(), c.value.map(|v| sign * v));
    let observations: Vec<Observation> = known.iter().map(seen).collect();
    let belief = sampler.belief(&state.campaign.space, &observations);
    if !belief.is_empty() {
        text += &format!("\nIts own state:\n{}", belief.join("\n"));
    }
    text
}

fn results(state: &State, known: &[&Candidate], curves: bool) -> String {
    let mut ranked: Vec<&Candidate> = known.iter().copied().filter(|c| c.value.is_some()).collect();
    let value = |c: &Candidate| c.value.unwrap_or(f64::NAN);
    ranked.sort_by(|a, b| value(a).total_cmp(&value(b)));
    if state.direction() == Direction::Maximize {
        ranked.reverse();
    }
    let mut text = String::new();
    let mut list = |title: &str, some: &[&Candidate]| {
        if !some.is_empty() {
            text += &format!("\n## {title}");
            some.iter().for_each(|c| text += &format!("\n{}", line(state, c, curves)));
        }
    };
    list("Best", &ranked[..ranked.len().min(SHOWN)]);
    let shown: Vec<u64> = ranked.iter().take(SHOWN).map(|c| c.index).collect();
    let latest: Vec<&Candidate> = known.iter().rev().take(SHOWN).copied().collect();
    let new: Vec<&Candidate> = latest.iter().filter(|c| !shown.contains(&c.index)).copied().collect();
    list("Latest of the others", &new);
    let failed = known.iter().rev().filter(|c| c.value.is_none() && latest.iter().all(|l| l.index != c.index));
    list("Earlier ones without a value", &failed.take(3).copied().collect::<Vec<_>>());
    let judged = |c: &&&Candidate| matches!(c.standing, Standing::Judged { .. });
    let judged: Vec<String> = known.iter().filter(judged).map(|c| verdict(state, c)).collect();
    if !judged.is_empty() {
        text += &format!("\n## Repeated over seeds\n{}", judged.join("\n"));
    }
    if curves {
        let usage = Usage::of(state);
        if usage.attempts > 0 {
            text += &format!("\n## Devices\n{}", usage.words());
        }
        let baseline = state.runs.iter().filter(|r| r.purpose.candidate().is_none());
        let curves: Vec<String> = baseline.filter_map(|r| Some(format!("run {}: {}", r.id, curve(r)?))).collect();
        if !curves.is_empty() {
            text += &format!("\n## Baseline's curves\n{}", curves.join("\n"));
        }
    }
    let count = known.len();
    format!("# Results: {count} first looks, one seed each{text}")
}

fn line(state: &State, candidate: &Candidate, curves: bool) -> String {
    let run = candidate.screening.and_then(|id| state.run(id));
    let number = run.map_or_else(|| "-".to_string(), |r| r.id.to_string());
    let by = &candidate.planner;
    let head = format!("run {number} ({by}): {}", settings(&candidate.assignment));
    let baseline = state.baseline.as_ref().map_or(f64::NAN, |b| b.interval.mean);
    match (candidate.value, run.map(|r| &r.result)) {
        (Some(value), _) => {
            let curve = run.filter(|_| curves).and_then(curve).map_or_else(String::new, |c| format!("; {c}"));
            format!("{head}: {} {value:.5} ({:+.5}){curve}", state.metric(), value - baseline)
        }
        (None, Some(Some(RunResult::Failed { reason }))) => {
            format!("{head}: no value:\n{}", fence("failure", reason, WORDS))
        }
        _ => format!("{head}: no value"),
    }
}

/// Settings by their full paths, as answers must name them.
fn settings(assignment: &Assignment) -> String {
    let words: Vec<String> = assignment.iter().map(|(path, value)| format!("{path}={}", value_text(value))).collect();
    words.join(", ")
}

/// The curve of a run's last attempt that left one.
fn curve(run: &Run) -> Option<String> {
    let ended = run.attempts.iter().rev().filter_map(|a| a.ended.as_ref());
    ended.filter_map(|e| e.evidence.curve.as_ref()).map(|c| c.words()).next()
}

fn verdict(state: &State, candidate: &Candidate) -> String {
    let Standing::Judged { verdict, difference, .. } = &candidate.standing else { return String::new() };
    let difference = difference.map_or_else(|| "too few seeds".to_string(), |d| format!("{d:.5} over {} seeds", d.n));
    let survives = correction::survivors(state).contains(&candidate.index);
    let kept = if survives { ", survives the correction over candidates" } else { "" };
    format!("{}: {difference}, {verdict:?}{kept}", settings(&candidate.assignment)).to_lowercase()
}

fn claims(state: &State) -> String {
    let mut lines = Vec::new();
    for (i, posed) in state.counsel.hypotheses.iter().enumerate() {
        let judgement = hypotheses::judge(state, i + 1);
        let standing = format!("{:?}", judgement.verdict).to_lowercase();
        let dropped = if posed.dropped { ", dropped" } else { "" };
        let h = &posed.hypothesis;
        lines.push(format!(
            "{}. predicted {:+.5}, belief {:.2}: {standing}{dropped} ({})\n{}",
            i + 1,
            h.effect,
            h.belief,
            judgement.words,
            fence("an earlier answer", &h.claim, WORDS)
        ));
    }
    let skip = lines.len().saturating_sub(2 * SHOWN);
    let lines = lines.split_off(skip);
    if lines.is_empty() { String::new() } else { format!("# Hypotheses\n{}", lines.join("\n")) }
}

fn remarks(state: &State) -> String {
    let notes = &state.counsel.notes;
    let newest: Vec<String> = notes[notes.len().saturating_sub(NOTES)..]
        .iter()
        .map(|n| format!("- {}", n.text.chars().take(2 * WORDS).collect::<String>()))
        .collect();
    if newest.is_empty() { String::new() } else { format!("# Remarks of the people who run it\n{}", newest.join("\n")) }
}

fn findings(state: &State) -> String {
    let recalled = state.counsel.recalled.as_deref().unwrap_or_default();
    let lines: Vec<String> = recalled
        .iter()
        .map(|f| {
            let own = if f.settings.is_empty() { String::new() } else { format!(" [{}]", settings(&f.settings)) };
            format!("- {}: {}{own}", f.campaign, f.text)
        })
        .collect();
    if lines.is_empty() {
        return String::new();
    }
    let text = lines.iter().map(|l| l.chars().take(2 * WORDS).collect::<String>()).collect::<Vec<_>>().join("\n");
    format!("# Findings of earlier campaigns\n{}", fence("knowledge store", &text, 12 * WORDS))
}
