//! Step times of a list of experiments, beside what the machine can do at best in the same moments.

use super::ceilings::{Ceilings, Rates};
use super::measure::median;
use super::session::{Session, StepSize};
use crate::config::{DataShape, EngineKind, Experiment};
use crate::engine::PartTime;
use crate::problem::Result;
use crate::sys::clock::Stopwatch;
use crate::sys::process::{reset_peak_memory, resident_files, resident_memory};
use crate::units::Bytes;
use serde::Serialize;

/// Seconds of one uninterrupted block of steps, where a step is shorter.
const BLOCK_SECONDS: f64 = 0.05;
/// Blocks of each engine at least, however long they take.
const MIN_BLOCKS: usize = 3;
/// Blocks of each engine at most.
const MAX_BLOCKS: usize = 200;

/// One experiment on one engine.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Name of the config.
    pub config: String,
    /// The engine's own name.
    pub engine: String,
    /// Threads of engine and ceilings.
    pub threads: usize,
    /// Samples in a step.
    pub samples: usize,
    /// Tokens in a step; as many as samples where there are none.
    pub tokens: usize,
    /// FLOPs of matrix products, convolutions and attention in a step.
    pub step_flops: f64,
    /// Blocks of steps that were timed, and steps in each.
    pub blocks: (usize, usize),
    /// Seconds of a step: median over the blocks.
    pub seconds: f64,
    /// The tenth and the ninetieth percentile.
    pub spread: (f64, f64),
    /// The best rates seen beside the steps: medians.
    pub ceilings: Rates,
    /// What the engine predicted for its memory.
    pub predicted_memory: Bytes,
    /// By how much the process was larger at its peak, while it took the first steps, than before there was an engine; none
    /// where the kernel cannot tell.
    pub peak_memory: Option<Bytes>,
    /// The same while the engine was made and its initial state, of which there is another copy then, was loaded.
    pub start_memory: Option<Bytes>,
    /// The whole process at its peak in the first steps: with the program itself, and with what the ceilings need.
    pub process_memory: Option<Bytes>,
}

impl Row {
    /// Samples a second.
    pub fn samples_per_second(&self) -> f64 {
        self.samples as f64 / self.seconds
    }
    /// Tokens a second.
    pub fn tokens_per_second(&self) -> f64 {
        self.tokens as f64 / self.seconds
    }
    /// FLOP/s of the matrix products, convolutions and attention, over the whole step's time.
    pub fn flops_per_second(&self) -> f64 {
        self.step_flops / self.seconds
    }
}

/// What is timed.
pub struct Subject<'a> {
    /// Name for the table.
    pub name: String,
    /// The experiment.
    pub experiment: &'a Experiment,
    /// Its data's shape.
    pub shape: &'a DataShape,
}

/// The parts of one step (of its first micro-batch, where it has several) with their median times over about `seconds`.
pub fn step_parts(subject: &Subject<'_>, threads: usize, seconds: f64) -> Result<Vec<PartTime>> {
    let mut session = Session::new(subject.experiment, subject.shape, None, threads)?;
    session.block(1)?;
    let mut parts = session.profile()?;
    let mut times: Vec<Vec<f64>> = parts.iter().map(|part| vec![part.seconds]).collect();
    let watch = Stopwatch::start();
    while !parts.is_empty() && watch.seconds() < seconds {
        for (times, part) in times.iter_mut().zip(session.profile()?) {
            times.push(part.seconds);
        }
    }
    for (part, times) in parts.iter_mut().zip(times) {
        part.seconds = median(times);
    }
    Ok(parts)
}

/// An engine at work and what was seen of it.
struct Runner {
    session: Session,
    steps: usize,
    times: Vec<f64>,
    memory: Option<Memory>,
}

/// Memory as the kernel counts it: peaks of the resident set; what an engine adds is told without pages of files.
struct Memory {
    start: Bytes,
    steps: Bytes,
    process: Bytes,
}

/// Times one experiment on each engine, in turns of short blocks with the ceilings between them, for about `seconds`.
pub fn time_steps(
    subject: &Subject<'_>,
    engines: &[Option<EngineKind>],
    threads: usize,
    seconds: f64,
    ceilings: &mut Ceilings,
) -> Result<Vec<Row>> {
    let begin = Stopwatch::start();
    let mut runners: Vec<Runner> =
        engines.iter().map(|kind| Runner::start(subject, *kind, threads)).collect::<Result<_>>()?;
    let mut rates = Vec::new();
    while runners.iter().any(|r| r.times.len() < MIN_BLOCKS)
        || (begin.seconds() < seconds && runners.iter().all(|r| r.times.len() < MAX_BLOCKS))
    {
        rates.push(ceilings.measure());
        for runner in &mut runners {
            // The caches hold what came before: another engine, or the ceilings.
            if runner.steps > 1 {
                runner.session.block(1)?;
            }
            let (seconds, _) = runner.session.block(runner.steps)?;
            runner.times.push(seconds / runner.steps as f64);
        }
    }
    let of = |rate: fn(&Rates) -> f64| median(rates.iter().map(rate).collect());
    let ceilings = Rates { fma: of(|r| r.fma), gemm: of(|r| r.gemm), copy: of(|r| r.copy) };
    Ok(runners.into_iter().map(|runner| runner.row(subject, threads, ceilings)).collect())
}

impl Runner {
    /// Makes the engine, takes the first steps and finds how many make a block.
    fn start(subject: &Subject<'_>, kind: Option<EngineKind>, threads: usize) -> Result<Self> {
        let own = |all: u64| all.saturating_sub(resident_files());
        let before = own(resident_memory().0);
        let told = reset_peak_memory();
        let mut session = Session::new(subject.experiment, subject.shape, kind, threads)?;
        let start = Bytes(own(resident_memory().1).saturating_sub(before));
        let told = told && reset_peak_memory();
        let (first, _) = session.block(1)?;
        let mut step = first;
        // Where it is cheap, the first steps' page faults and branch misses are left out of the estimate.
        for _ in 0..2 {
            if first < BLOCK_SECONDS {
                step = session.block(1)?.0;
            }
        }
        let process = resident_memory().1;
        let steps = Bytes(own(process).saturating_sub(before));
        let memory = told.then_some(Memory { start, steps, process: Bytes(process) });
        let steps = ((BLOCK_SECONDS / step.max(1e-7)) as usize).clamp(1, 10_000);
        Ok(Runner { session, steps, times: Vec::new(), memory })
    }

    fn row(mut self, subject: &Subject<'_>, threads: usize, ceilings: Rates) -> Row {
        let size = StepSize::of(self.session.programs());
        self.times.sort_by(f64::total_cmp);
        let at = |share: f64| self.times[((self.times.len() - 1) as f64 * share).round() as usize];
        Row {
            config: subject.name.clone(),
            engine: self.session.engine().to_string(),
            threads,
            samples: size.samples,
            tokens: size.tokens,
            step_flops: size.flops,
            blocks: (self.times.len(), self.steps),
            seconds: at(0.5),
            spread: (at(0.1), at(0.9)),
            ceilings,
            predicted_memory: self.session.footprint(),
            peak_memory: self.memory.as_ref().map(|m| m.steps),
            start_memory: self.memory.as_ref().map(|m| m.start),
            process_memory: self.memory.as_ref().map(|m| m.process),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::known_shape;
    use crate::config::load_experiment;
    use std::path::Path;

    #[test]
    fn engines_take_turns_and_each_gets_a_row() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/train/mlp-64-128-10.toml");
        let experiment = load_experiment(&path, &[]).unwrap().value;
        let shape = known_shape(&experiment.data).unwrap();
        let subject = Subject { name: "mlp".into(), experiment: &experiment, shape: &shape };
        let mut ceilings = Ceilings::new(1);
        let engines = [Some(EngineKind::Reference), None];
        let rows = time_steps(&subject, &engines, 1, 0.0, &mut ceilings).unwrap();
        assert_eq!(rows.len(), 2);
        for row in rows {
            assert_eq!(row.blocks.0, MIN_BLOCKS, "no more than it must where there is no time");
            assert!(row.spread.0 <= row.seconds && row.seconds <= row.spread.1 && row.spread.0 > 0.0);
            assert!((row.flops_per_second() * row.seconds / row.step_flops - 1.0).abs() < 1e-9);
            assert!(row.predicted_memory.0 > 4 * (64 * 128 + 128 * 10) * 4, "weights, gradients and two moments");
        }
    }
}
