//! One arm on one task, in virtual time.
//!
//! Two devices, each with one run at a time; a run is started only if its predicted cost still fits in what is neither
//! spent nor promised. What it then really takes differs from the prediction by a seeded tenth, as measured runs do, and is
//! charged in full, failures included. Proposals, memory filter, weighing, calibration and halving are the functions that
//! campaigns use.

use super::{Arm, Trace};
use crate::config::{EvaluationSpec, Halving, PlannerSpec};
use crate::planner::halving::{Entrant, best_waiting, promotable, rung_steps};
use crate::planner::{Assignment, Calibration, Observation, Outcome, Purse, Sampler, Space, choose, sampler};
use crate::rng::{Sequence, Stream};
use std::collections::BTreeMap;

/// Runs at once.
const DEVICES: usize = 2;
/// Spread of true over predicted seconds, in the logarithm.
const SPREAD: f64 = 0.1;
/// Steps of every run; only their shares matter.
const STEPS: u64 = 1000;

/// How a run ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum End {
    /// With a value.
    Completes,
    /// Without one, after a share of its time.
    Fails {
        /// For the account.
        kind: &'static str,
        /// Share of its training.
        at: f64,
    },
}

/// Something to be optimised under a budget; smaller is better.
pub trait Task {
    /// For tables.
    fn name(&self) -> &str;
    /// What may be set.
    fn space(&self) -> &Space;
    /// Device-seconds of a campaign.
    fn budget(&self) -> f64;
    /// Values that differ by less are noise.
    fn floor(&self) -> f64;
    /// Predicted device-seconds of a whole run, and memory as a share of the limit.
    fn predicted(&self, assignment: &Assignment) -> (f64, f64);
    /// How a run ends.
    fn end(&self, assignment: &Assignment) -> End;
    /// Its value after a share of its training, with a seed's noise.
    fn value_at(&self, assignment: &Assignment, share: f64, seed: u64) -> f64;
}

/// A run.
struct Run {
    assignment: Assignment,
    /// Predicted device-seconds of the whole of it.
    cost: f64,
    /// True over predicted.
    pace: f64,
    raw_gain: Option<f64>,
    best_before: f64,
    /// Values at the rungs and, last, the end.
    values: Vec<f64>,
    done: f64,
    waiting: bool,
    failed: bool,
    complete: bool,
}

/// A part of a run under way.
struct Part {
    run: usize,
    ends_at: f64,
    until: f64,
    seconds: f64,
    promised: f64,
    fails: Option<&'static str>,
}

struct Campaign<'a> {
    task: &'a dyn Task,
    spec: PlannerSpec,
    sampler: Box<dyn Sampler>,
    rungs: Vec<f64>,
    seed: u64,
    runs: Vec<Run>,
    /// Runs in the order in which something became known of them.
    known: Vec<usize>,
    outcomes: Vec<Outcome>,
    spent: f64,
    promised: f64,
}

/// The trace of an arm on a task with a seed. The same arguments give the same trace.
pub fn simulate(task: &dyn Task, arm: &Arm, seed: u64) -> Trace {
    let spec = arm.planner(seed);
    let rungs = spec.halving.map(|h| rungs_of(&h)).unwrap_or_default();
    let mut campaign = Campaign {
        task,
        sampler: sampler(&spec),
        spec,
        rungs,
        seed,
        runs: Vec::new(),
        known: Vec::new(),
        outcomes: Vec::new(),
        spent: 0.0,
        promised: 0.0,
    };
    let mut trace = Trace {
        arm: arm.name.to_string(),
        seed,
        budget: task.budget(),
        results: Vec::new(),
        spent: 0.0,
        runs: 0,
        wasted: BTreeMap::new(),
        decided: None,
        survivors: None,
    };
    let (mut now, mut parts) = (0.0, Vec::new());
    loop {
        while parts.len() < DEVICES {
            let Some(part) = campaign.next(now) else { break };
            parts.push(part);
        }
        // The next to end; of those that end together the earlier run.
        let next = (0..parts.len()).min_by(|&a, &b| {
            let (a, b): (&Part, &Part) = (&parts[a], &parts[b]);
            a.ends_at.total_cmp(&b.ends_at).then(a.run.cmp(&b.run))
        });
        let Some(next) = next else { break };
        let part = parts.swap_remove(next);
        now = part.ends_at;
        campaign.settle(&part, &mut trace);
    }
    trace.spent = campaign.spent;
    trace.runs = campaign.runs.len();
    trace
}

/// Where runs of the simulation wait, as the campaigns' rule puts it for evaluations every tenth.
fn rungs_of(halving: &Halving) -> Vec<f64> {
    rung_steps(halving, &EvaluationSpec::default(), STEPS).into_iter().map(|s| s as f64 / STEPS as f64).collect()
}

impl Campaign<'_> {
    fn left(&self) -> f64 {
        self.task.budget() - self.spent - self.promised
    }

    fn best(&self) -> f64 {
        self.runs.iter().filter(|r| r.complete).filter_map(|r| r.values.last().copied()).fold(f64::INFINITY, f64::min)
    }

    /// The next part of a run to start, if any fits.
    fn next(&mut self, now: f64) -> Option<Part> {
        if let Some(halving) = self.spec.halving {
            let entrants = self.entrants();
            if let Some((run, rung)) = promotable(&entrants, self.rungs.len(), halving.factor)
                && let Some(part) = self.start(run as usize, rung, now)
            {
                return Some(part);
            }
        }
        if let Some(part) = self.propose(now) {
            return Some(part);
        }
        // Nothing new fits: what waits goes on, the best first.
        let (run, rung) = best_waiting(&self.entrants(), self.rungs.len())?;
        self.start(run as usize, rung, now)
    }

    fn entrants(&self) -> Vec<Entrant> {
        let entrant = |(id, r): (usize, &Run)| Entrant { id: id as u64, values: r.values.clone(), waiting: r.waiting };
        self.runs.iter().enumerate().map(entrant).collect()
    }

    fn observations(&self) -> Vec<Observation> {
        let known = self.known.iter().map(|i| {
            let run = &self.runs[*i];
            Observation {
                assignment: run.assignment.clone(),
                value: run.values.last().copied().filter(|_| !run.failed),
                failed: run.failed,
                trained: if run.complete { 1.0 } else { run.done },
            }
        });
        let pending = (0..self.runs.len()).filter(|i| !self.known.contains(i));
        known.chain(pending.map(|i| Observation::pending(self.runs[i].assignment.clone()))).collect()
    }

    fn propose(&mut self, now: f64) -> Option<Part> {
        let observations = self.observations();
        let (task, filter) = (self.task, self.spec.memory_filter);
        let accept = |a: &Assignment| !filter || task.predicted(a).1 <= 1.0;
        let cost = |a: &Assignment| Some(task.predicted(a).0);
        let calibration = Calibration::of(&self.outcomes);
        let purse = Purse {
            cost: &cost,
            left: self.left(),
            share_left: self.left() / task.budget(),
            known: &[],
            floor: task.floor(),
            calibration: &calibration,
        };
        let index = self.runs.len() as u64;
        let pool = choose(&self.spec, self.sampler.as_ref(), task.space(), &observations, index, &accept, &purse)?;
        let chosen = pool.into_iter().next()?;
        let mut sequence = Sequence::new(self.seed, Stream::Data, index as u32, 1);
        let (predicted, _) = task.predicted(&chosen.assignment);
        self.runs.push(Run {
            assignment: chosen.assignment,
            cost: predicted,
            pace: (SPREAD * sequence.normal()).exp(),
            raw_gain: chosen.raw_gain,
            best_before: self.best(),
            values: Vec::new(),
            done: 0.0,
            waiting: false,
            failed: false,
            complete: false,
        });
        let run = self.runs.len() - 1;
        let part = self.start(run, 0, now);
        if part.is_none() {
            self.runs.pop();
        }
        part
    }

    /// Trains a run up to a rung (their number: the end), if the budget holds that.
    fn start(&mut self, run: usize, rung: usize, now: f64) -> Option<Part> {
        let left = self.left();
        let until = self.rungs.get(rung).copied().unwrap_or(1.0);
        let r = &mut self.runs[run];
        let promised = r.cost * (until - r.done);
        if promised > left {
            return None;
        }
        let (stop, fails) = match self.task.end(&r.assignment) {
            End::Fails { kind, at } if at < until => (at.max(r.done), Some(kind)),
            _ => (until, None),
        };
        let seconds = r.cost * r.pace * (stop - r.done);
        r.waiting = false;
        self.promised += promised;
        Some(Part { run, ends_at: now + seconds, until, seconds, promised, fails })
    }

    fn settle(&mut self, part: &Part, trace: &mut Trace) {
        self.promised -= part.promised;
        let left = self.task.budget() - self.spent;
        let run = &mut self.runs[part.run];
        if part.seconds > left {
            // Slower than predicted, and the budget ends before it does: all that is left is gone, and nothing is known.
            self.spent = self.task.budget();
            (run.failed, run.waiting) = (true, false);
            *trace.wasted.entry("unfinished".to_string()).or_insert(0.0) += left + run.cost * run.pace * run.done;
            return;
        }
        self.spent += part.seconds;
        if !self.known.contains(&part.run) {
            self.known.push(part.run);
        }
        if let Some(kind) = part.fails {
            run.failed = true;
            let whole = part.seconds + run.cost * run.pace * run.done;
            *trace.wasted.entry(kind.to_string()).or_insert(0.0) += whole;
        } else {
            run.done = part.until;
            run.complete = part.until >= 1.0;
            run.waiting = !run.complete;
            run.values.push(self.task.value_at(&run.assignment, part.until, self.seed));
            if run.complete {
                trace.results.push((self.spent, run.values.last().copied().unwrap_or(f64::NAN)));
            }
        }
        if let Some(predicted) = run.raw_gain.filter(|_| run.failed || run.complete) {
            let value = run.values.last().copied().filter(|_| run.complete).unwrap_or(f64::INFINITY);
            let realised = if value.is_finite() && run.best_before.is_finite() {
                (run.best_before - value).max(0.0) / self.task.floor()
            } else {
                0.0
            };
            let kind = self.sampler.name().to_string();
            self.outcomes.push(Outcome { kind, cost: run.cost, predicted, realised });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::arms::{ARMS, arm};
    use super::super::functions::functions;
    use super::*;

    #[test]
    fn every_arm_stays_within_its_budget_and_repeats_itself() {
        for function in functions() {
            for arm in &ARMS {
                let trace = simulate(&function, arm, 3);
                assert!(trace.spent <= trace.budget && trace.spent > 0.8 * trace.budget, "{}: {trace:?}", arm.name);
                assert!(trace.best().is_some(), "{} {}", function.name(), arm.name);
                assert!(trace.results.windows(2).all(|w| w[0].0 <= w[1].0));
                let wasted: f64 = trace.wasted.values().sum();
                assert!(wasted <= trace.spent);
                assert_eq!(trace, simulate(&function, arm, 3), "{}", arm.name);
            }
        }
    }

    #[test]
    fn the_memory_filter_spares_what_does_not_fit() {
        let mixed = &functions()[2];
        let with = simulate(mixed, arm("random").unwrap(), 1);
        let without = simulate(mixed, arm("random-blind").unwrap(), 1);
        assert_eq!(with.wasted.get("memory"), None);
        assert!(without.wasted["memory"] > 0.0);
    }

    #[test]
    fn halving_starts_more_runs_and_ends_fewer() {
        let branin = &functions()[0];
        let plain = simulate(branin, arm("random").unwrap(), 1);
        let halved = simulate(branin, arm("random-halving").unwrap(), 1);
        assert!(halved.runs > 2 * plain.runs, "{} {}", halved.runs, plain.runs);
        assert!(halved.results.len() < plain.results.len());
    }
}
