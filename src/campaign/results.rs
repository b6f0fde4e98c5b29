//! `results.tsv`: one line for each run that ended or waits at a rung, in the columns that autoresearch's readers know.
//!
//! Pure: a text from a state. The columns `run`, the metric, `memory_gb`, `status` and `description` come first in
//! autoresearch's order (its `commit` is our run); device-hours, seed and experiment key follow.

use super::events::{Purpose, RunResult};
use super::run::Run;
use super::state::{Candidate, Standing, State};
use crate::analysis::Verdict;

/// The whole file, header included. `status` is `keep` for the baseline and for confirmed candidates, `crash` for runs
/// without a value, else `discard`. A missing value is 0 in autoresearch's files; here the column is empty.
pub fn results_tsv(state: &State) -> String {
    let mut text = format!("run\t{}\tmemory_gb\tstatus\tdescription\tdevice_hours\tseed\tkey\n", state.metric());
    for run in state.runs.iter().filter(|r| r.result.is_some() || r.paused) {
        let value = state.value(run).map(|v| format!("{v:.6}")).unwrap_or_default();
        let memory = run.peak_memory().0 as f64 / (1u64 << 30) as f64;
        let line = [
            run.id.to_string(),
            value,
            format!("{memory:.2}"),
            status(state, run).to_string(),
            describe(state, run),
            format!("{:.6}", run.used().time.hours()),
            run.seed.to_string(),
            run.key.to_string(),
        ];
        // Assignments and failure messages may hold anything; a cell holds no tab and no line break.
        let line: Vec<String> = line.iter().map(|cell| cell.replace(['\t', '\n', '\r'], " ")).collect();
        text.push_str(&line.join("\t"));
        text.push('\n');
    }
    text
}

fn candidate<'a>(state: &'a State, run: &Run) -> Option<&'a Candidate> {
    run.purpose.candidate().and_then(|index| state.candidates.get(index as usize))
}

fn status(state: &State, run: &Run) -> &'static str {
    let confirmed =
        candidate(state, run).is_some_and(|c| matches!(c.standing, Standing::Judged { verdict: Verdict::Better, .. }));
    match (&run.result, run.purpose) {
        (Some(RunResult::Failed { .. }), _) => "crash",
        (_, Purpose::Baseline) => "keep",
        _ if confirmed => "keep",
        _ => "discard",
    }
}

fn describe(state: &State, run: &Run) -> String {
    let mut text = match candidate(state, run) {
        None => "baseline".to_string(),
        Some(candidate) => {
            let values: Vec<String> =
                candidate.assignment.iter().map(|(path, value)| format!("{path}={value}")).collect();
            format!("candidate {}: {}", candidate.index, values.join(" "))
        }
    };
    for given_up in &run.downscaled {
        text.push_str(&format!("; {} instead of {}", given_up.to, given_up.from));
    }
    if let Some(reached) = run.reached.last().filter(|_| run.paused) {
        text.push_str(&format!("; waits at step {} with {} {:.6}", reached.step, state.metric(), reached.value));
    }
    if let Some(RunResult::Failed { reason }) = &run.result {
        text.push_str(&format!("; {reason}"));
    }
    text
}
