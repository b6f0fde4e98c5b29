//! A task made of recorded real runs: forests fitted to what they took and what came of them.
//!
//! A planner's choices are then answered at no cost and always in the same way, so many seeds can be compared. What the
//! forests smooth away (cliffs between the recorded points) no planner can find here; figures from it are about this
//! surrogate, not about the task it was recorded from.

use super::simulate::{End, Task};
use crate::campaign::{Purpose, Run, State, run_path};
use crate::config::Direction;
use crate::planner::{Assignment, Forest, Space};
use crate::problem::{Problem, Result};
use crate::record::{METRICS_FILE, Metrics, read_metrics};
use crate::rng::{Sequence, Stream};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Shares of the training at which values are kept; the last is the end.
const SHARES: [f64; 4] = [0.1, 0.3, 0.6, 1.0];
/// Fewest runs a surrogate may rest on.
const FEWEST: usize = 30;

/// Runs of one campaign, as far as a surrogate needs them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Name of the campaign.
    pub name: String,
    /// The metric; values are negated where larger is better.
    pub metric: String,
    /// Its search space.
    pub space: Space,
    /// Its noise floor.
    pub floor: f64,
    /// Standard deviation of the baseline over seeds.
    pub noise: f64,
    /// The candidates' first looks.
    pub runs: Vec<Recorded>,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    /// What was set.
    pub assignment: Assignment,
    /// Device-seconds of all its attempts.
    pub seconds: f64,
    /// Predicted memory in bytes.
    pub memory: u64,
    /// Values at a tenth, three tenths, six tenths and the end of its training; none where it failed.
    pub values: Option<[f64; 4]>,
}

/// One record of several of the same task: all their runs, the mean of their noise.
///
/// # Errors
/// A usage problem where they differ in metric or space, or where there are none.
pub fn merge(records: Vec<Record>) -> Result<Record> {
    let n = records.len().max(1) as f64;
    let mut records = records.into_iter();
    let mut all = records.next().ok_or_else(|| Problem::usage("there is no campaign to record"))?;
    for record in records {
        if (&record.metric, &record.space) != (&all.metric, &all.space) {
            let what = format!("{} and {} differ in metric or search space", all.name, record.name);
            return Err(Problem::usage(what).remedy("record campaigns of one task together"));
        }
        all.floor += record.floor;
        all.noise += record.noise;
        all.runs.extend(record.runs);
    }
    (all.floor, all.noise) = (all.floor / n, all.noise / n);
    Ok(all)
}

/// The record of a concluded campaign in `folder`.
pub fn collect(folder: &Path, state: &State) -> Result<Record> {
    let baseline = state
        .baseline
        .as_ref()
        .ok_or_else(|| Problem::usage("the campaign has no baseline yet").remedy("record a campaign that has ended"))?;
    let sign = if state.direction() == Direction::Maximize { -1.0 } else { 1.0 };
    let mut runs = Vec::new();
    for run in state.runs.iter().filter(|r| r.result.is_some()) {
        let Purpose::Candidate { index } = run.purpose else { continue };
        let Some(candidate) = state.candidates.get(index as usize) else { continue };
        let values = match state.value(run) {
            Some(_) => curve(folder, state, run)?.map(|v| v.map(|v| sign * v)),
            None => None,
        };
        runs.push(Recorded {
            assignment: candidate.assignment.clone(),
            seconds: run.used().time.seconds(),
            memory: run.price.memory.0,
            values,
        });
    }
    let values: Vec<f64> = baseline.values.values().copied().collect();
    Ok(Record {
        name: state.campaign.name.clone(),
        metric: state.metric().to_string(),
        space: state.campaign.space.clone(),
        floor: baseline.floor,
        noise: crate::analysis::standard_deviation(&values),
        runs,
    })
}

/// The objective at [`SHARES`] of a complete run: the last evaluation up to each.
fn curve(folder: &Path, state: &State, run: &Run) -> Result<Option<[f64; 4]>> {
    let lines = read_metrics(&folder.join(run_path(run.id)).join(METRICS_FILE))?;
    let evaluations: Vec<(u64, f64)> = lines
        .into_iter()
        .filter_map(|line| match line {
            Metrics::Eval { step, metrics, .. } => Some((step, *metrics.get(state.metric())?)),
            Metrics::Train { .. } => None,
        })
        .collect();
    let total = evaluations.last().map_or(0, |e| e.0);
    let at = |share: f64| {
        let until = (share * total as f64).ceil() as u64;
        evaluations.iter().rev().find(|e| e.0 <= until.max(evaluations[0].0)).map_or(f64::NAN, |e| e.1)
    };
    Ok((total > 0).then(|| SHARES.map(at)))
}

/// A record as a task.
pub struct Surrogate {
    record: Record,
    seconds: Forest,
    memory: Forest,
    fails: Option<Forest>,
    values: Vec<Forest>,
    limit: f64,
    budget: f64,
}

impl Surrogate {
    /// Fitted to a record. The memory limit is the level that a fifth of the recorded runs exceed, the budget that of 60
    /// median runs.
    pub fn fit(record: Record) -> Result<Self> {
        let finished: Vec<&Recorded> = record.runs.iter().filter(|r| r.values.is_some()).collect();
        if finished.len() < FEWEST {
            let what = format!("{} complete runs are recorded, {FEWEST} are needed", finished.len());
            return Err(Problem::usage(what).remedy("record a campaign with more candidates"));
        }
        let fit = |rows: Vec<(&Assignment, f64)>, seed| {
            Forest::fit(&record.space, &rows, seed).ok_or_else(|| Problem::failed("a forest of nothing"))
        };
        let all = |f: &dyn Fn(&Recorded) -> f64| record.runs.iter().map(|r| (&r.assignment, f(r))).collect::<Vec<_>>();
        // Of failed runs the seconds say little about the whole training.
        let seconds = finished.iter().map(|r| (&r.assignment, r.seconds.max(1e-3).ln())).collect();
        let values = (0..SHARES.len())
            .map(|k| fit(finished.iter().filter_map(|r| Some((&r.assignment, r.values?[k]))).collect(), 10 + k as u64));
        let failed = |r: &Recorded| f64::from(u8::from(r.values.is_none()));
        let any = record.runs.iter().any(|r| r.values.is_none());
        let mut memory: Vec<f64> = record.runs.iter().map(|r| r.memory as f64).collect();
        memory.sort_by(f64::total_cmp);
        let mut times: Vec<f64> = finished.iter().map(|r| r.seconds).collect();
        times.sort_by(f64::total_cmp);
        Ok(Surrogate {
            seconds: fit(seconds, 1)?,
            memory: fit(all(&|r| (r.memory as f64).ln()), 2)?,
            fails: any.then(|| fit(all(&failed), 3)).transpose()?,
            values: values.collect::<Result<Vec<_>>>()?,
            limit: crate::analysis::percentile(&memory, 0.8),
            budget: 60.0 * crate::analysis::percentile(&times, 0.5),
            record,
        })
    }
}

impl Task for Surrogate {
    fn name(&self) -> &str {
        &self.record.name
    }

    fn space(&self) -> &Space {
        &self.record.space
    }

    fn budget(&self) -> f64 {
        self.budget
    }

    fn floor(&self) -> f64 {
        self.record.floor
    }

    fn predicted(&self, assignment: &Assignment) -> (f64, f64) {
        let memory = self.memory.predict(assignment).mean.exp() / self.limit;
        (self.seconds.predict(assignment).mean.exp(), memory)
    }

    fn end(&self, assignment: &Assignment) -> End {
        if self.predicted(assignment).1 > 1.0 {
            return End::Fails { kind: "memory", at: 0.05 };
        }
        match self.fails.as_ref().map_or(0.0, |f| f.predict(assignment).mean) {
            chance if chance >= 0.5 => End::Fails { kind: "diverged", at: 0.3 },
            _ => End::Completes,
        }
    }

    fn value_at(&self, assignment: &Assignment, share: f64, seed: u64) -> f64 {
        let k = SHARES.iter().position(|s| share <= *s + 1e-9).unwrap_or(SHARES.len() - 1);
        let text: String = assignment.iter().map(|(k, v)| format!("{k}={v};")).collect();
        let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
        let noise = Sequence::new(hash ^ seed, Stream::Data, k as u32, 2).normal();
        self.values[k].predict(assignment).mean + self.record.noise * noise
    }
}

#[cfg(test)]
mod tests {
    use super::super::arms::arm;
    use super::super::{functions::functions, simulate};
    use super::*;
    use crate::planner::{Observation, sampler};

    /// Recorded from the mixed function, the surrogate is like it: searching it finds points that are good there.
    #[test]
    fn a_surrogate_is_like_what_it_was_recorded_from() {
        let mixed = &functions()[2];
        let random = sampler(&arm("random").unwrap().planner(9));
        let mut seen: Vec<Observation> = vec![];
        let runs: Vec<Recorded> = (0..250)
            .map(|index| {
                let assignment = random.propose(mixed.space(), &seen, index, &|_| true).unwrap();
                seen.push(Observation::pending(assignment.clone()));
                let (seconds, memory) = mixed.predicted(&assignment);
                let values = Some(SHARES.map(|s| mixed.value_at(&assignment, s, 0)));
                Recorded { assignment, seconds, memory: (memory * 1e9) as u64, values }
            })
            .collect();
        let record = Record {
            name: "mixed".into(),
            metric: "loss".into(),
            space: mixed.space().clone(),
            floor: 0.05,
            noise: 0.01,
            runs,
        };
        let text = serde_json::to_string(&record).unwrap();
        let record: Record = serde_json::from_str(&text).unwrap();
        let twice = merge(vec![record.clone(), Record { floor: 0.07, ..record.clone() }]).unwrap();
        assert_eq!((twice.runs.len(), twice.noise), (500, record.noise));
        assert!((twice.floor - 0.06).abs() < 1e-12);
        assert!(merge(vec![record.clone(), Record { metric: "accuracy".into(), ..record.clone() }]).is_err());
        let mut few = record.clone();
        few.runs.truncate(FEWEST - 1);
        assert!(Surrogate::fit(few).is_err());
        let surrogate = Surrogate::fit(record.clone()).unwrap();
        let error: f64 = record
            .runs
            .iter()
            .map(|r| (surrogate.value_at(&r.assignment, 1.0, 0) - r.values.unwrap()[3]).abs())
            .sum::<f64>()
            / 250.0;
        let spread =
            crate::analysis::standard_deviation(&record.runs.iter().map(|r| r.values.unwrap()[3]).collect::<Vec<_>>());
        assert!(error < 0.5 * spread, "{error} of {spread}");
        let beyond = record.runs.iter().filter(|r| surrogate.end(&r.assignment) != End::Completes).count();
        assert!((30..=70).contains(&beyond), "{beyond} of 250 do not fit");
        let trace = simulate(&surrogate, arm("tpe").unwrap(), 1);
        assert!(trace.results.len() > 20 && trace.wasted.is_empty());
    }
}
