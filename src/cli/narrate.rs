//! Says on stderr what a campaign does, a line an event, and keeps results.tsv and report.html current.

use super::output::{duration, say, significant};
use crate::campaign::{Event, NextStep, Observer, Run, RunResult, State, rejections};
use crate::journal;
use crate::problem::one_line;
use crate::report;
use crate::sys::clock::Stopwatch;
use crate::sys::shell;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Seconds between two renewals of report.html while a campaign runs; results.tsv is renewed with every run.
const REPORT_EVERY: f64 = 15.0;

/// The observer that `run`, `resume` and `demo` inject.
pub struct Narrator {
    folder: PathBuf,
    watch: Stopwatch,
    reported: f64,
    quiet: bool,
    concluded: bool,
    /// Kinds of reasons for which proposals were rejected, each told once.
    reasons: BTreeSet<String>,
    /// Rejected since, for one of them.
    more_rejected: usize,
}

impl Narrator {
    /// For the campaign in `folder`; `quiet` says only what went wrong and how it ended.
    pub fn new(folder: PathBuf, quiet: bool) -> Self {
        let (watch, reasons) = (Stopwatch::start(), BTreeSet::new());
        Narrator { folder, watch, reported: 0.0, quiet, concluded: false, reasons, more_rejected: 0 }
    }

    /// Whether the campaign was concluded while it was looked at.
    pub fn concluded(&self) -> bool {
        self.concluded
    }

    fn line(&self, text: &str) {
        if !self.quiet {
            say(&format!("{:>7}  {text}", clock(self.watch.seconds())));
        }
    }
}

/// Elapsed time as `m:ss`.
fn clock(seconds: f64) -> String {
    let whole = seconds as u64;
    format!("{}:{:02}", whole / 60, whole % 60)
}

fn name(state: &State, run: &Run) -> String {
    format!("run {} {:<9} seed {}  {}", run.id, run.purpose.name(), run.seed, report::what(state, run))
}

impl Observer for Narrator {
    fn on_notice(&mut self, text: &str) {
        say(&format!("{}: {text}", self.folder.join(journal::EVENTS_FILE).display()));
    }

    fn on_event(&mut self, state: &State, event: &Event) {
        match event {
            Event::Scoped { .. } if state.campaign.batch.is_some() => {}
            Event::Scoped { price, seeds, downscaled, .. } => {
                self.line(&format!(
                    "plan: baseline on {} seeds, about {} a run; budget {}",
                    seeds.len(),
                    duration(price.seconds),
                    state.ledger.budget()
                ));
                for step in downscaled {
                    self.line(&format!(
                        "downscaled {}: {} -> {}",
                        format!("{:?}", step.what).to_lowercase(),
                        step.from,
                        step.to
                    ));
                }
            }
            Event::ProposalRejected { index, reason } => {
                // The first of its kind is told; how many more there were, when the search ends.
                if self.reasons.insert(rejections::kind_of(reason)) {
                    self.line(&format!("proposal {index} rejected: {}", reason.lines().next().unwrap_or_default()));
                } else {
                    self.more_rejected += 1;
                }
            }
            Event::RecoveryDecided {
                id,
                next: NextStep::Retry { .. } | NextStep::Halt { .. } | NextStep::GiveUp { .. },
                why,
            } => {
                self.line(&format!("attempt {id}: {}", one_line(why)));
            }
            Event::NodeQuarantined { node, why } => self.line(&format!("node {node} is left alone from now on: {why}")),
            Event::RunFinished { id, result } => {
                if let Some(run) = state.run(*id) {
                    let value = match result {
                        RunResult::Finished { .. } => format!(
                            "{} {}",
                            state.metric(),
                            state.value(run).map_or_else(|| "missing".into(), |v| significant(v, 4))
                        ),
                        RunResult::Failed { reason } => {
                            format!("failed: {}", reason.lines().next().unwrap_or_default())
                        }
                    };
                    self.line(&format!("{}: {value} ({})", name(state, run), run.used().time));
                }
                self.renew(state, false);
            }
            Event::RungReached { id, step, value, .. } => {
                if let Some(run) = state.run(*id) {
                    let value = significant(*value, 4);
                    self.line(&format!("{}: waits at step {step}, {} {value}", name(state, run), state.metric()));
                }
            }
            Event::RungJudged { id, stop: true, why, .. } => {
                self.line(&format!("run {id} is asked to stop and wait: {why}"));
            }
            Event::RunPromoted { id, why, .. } => self.line(&format!("run {id} goes on: {why}")),
            Event::BaselineEstablished { interval, floor, .. } => {
                self.line(&format!(
                    "baseline {} {interval:.4}, noise floor {}",
                    state.metric(),
                    significant(*floor, 2)
                ));
            }
            Event::Recalled { .. }
            | Event::Asked { .. }
            | Event::Unasked { .. }
            | Event::Answered { .. }
            | Event::WritingAsked { .. }
            | Event::WritingAnswered { .. }
            | Event::PauseSet { .. }
            | Event::Noted { .. } => {
                let said = state.decisions.last().map_or("", |d| d.text.as_str());
                self.line(said.lines().next().unwrap_or_default());
            }
            Event::ApprovalAsked { subject, words } => {
                // Said to the quiet too: without an answer nothing goes on.
                let folder = shell::path(&self.folder);
                let refuse = if state.refusable(subject) { "; with --refuse it is passed over" } else { "" };
                say(&format!(
                    "{:>7}  waits for a person's word: {words}\n         `nanoresearch approve --in {folder}` lets it go on{refuse}",
                    clock(self.watch.seconds())
                ));
            }
            Event::ApprovalGiven { granted, .. } => {
                self.line(if *granted { "a person agreed" } else { "a person refused" });
            }
            Event::SearchEnded { why, .. } => {
                match std::mem::take(&mut self.more_rejected) {
                    0 => {}
                    1 => self.line("1 more proposal rejected for such a reason"),
                    n => self.line(&format!("{n} more proposals rejected for such reasons")),
                }
                self.line(&format!("search ended: {why}"));
            }
            Event::FinalistChosen { index, why } => {
                self.line(&format!("candidate {index} is confirmed over seeds: {why}"))
            }
            Event::CandidateJudged { index, why, .. } => self.line(&format!("candidate {index} {why}")),
            Event::ControllerStopped { why } if state.conclusion.is_some() => say(&format!("warning: {why}")),
            Event::Concluded(_) => {
                self.concluded = true;
                self.renew(state, true);
            }
            _ => {}
        }
    }
}

impl Narrator {
    /// Writes the derived files; a failure is said and does not stop the campaign.
    fn renew(&mut self, state: &State, now: bool) {
        let due = now || self.watch.seconds() - self.reported >= REPORT_EVERY;
        let written = if due {
            self.reported = self.watch.seconds();
            report::write(&self.folder, state).map(|_| ())
        } else {
            report::write_results(&self.folder, state).map(|_| ())
        };
        if let Err(problem) = written {
            say(&format!("warning: {problem}"));
        }
    }
}
