//! An engine with a state and batches, ready to be stepped: what is timed here and what a peer in another language does.

use super::synthetic::{self, Ids};
use crate::config::{DataShape, EngineKind, Experiment};
use crate::data::Batch;
use crate::engine::{self, DeviceMemory, Engine, HostState, PartTime, Placement};
use crate::graph::{self, Op, Program, StateRole, StepPrograms};
use crate::problem::{Problem, Result};
use crate::record::Tensors;
use crate::sys::clock::Stopwatch;
use crate::sys::process::give_back_freed_memory;
use crate::train::{step_inputs, tokens_per_sample};
use crate::units::Bytes;

/// Different batches, used in turn.
pub const BATCHES: usize = 8;
/// The length of run that the schedule is computed for.
const TOTAL_STEPS: u64 = 100_000;

/// Several hundred steps of the same experiment on made-up data.
pub struct Session {
    experiment: Experiment,
    programs: StepPrograms,
    engine: Box<dyn Engine>,
    /// One optimiser step's micro-batches each.
    batches: Vec<Vec<Batch>>,
    done: u64,
}

impl Session {
    /// With the initial state of the experiment's seed and no step done.
    pub fn new(experiment: &Experiment, shape: &DataShape, kind: Option<EngineKind>, threads: usize) -> Result<Self> {
        let programs = graph::build(experiment, shape)?;
        let placement = Placement { threads, ..Placement::of(experiment).with_engine(kind) };
        let mut engine = engine::create(placement, programs.clone())?;
        engine.load(&HostState { tensors: initial(&programs, experiment.training.seed) })?;
        give_back_freed_memory();
        let batches = batches(&programs, shape);
        Ok(Session { experiment: experiment.clone(), programs, engine, batches, done: 0 })
    }

    /// Takes one optimiser step and returns the mean training loss before it.
    pub fn step(&mut self) -> Result<f64> {
        let inputs = step_inputs(&self.experiment, self.done, TOTAL_STEPS);
        let batches = &self.batches[self.done as usize % self.batches.len()];
        let mut terms = 0;
        for (number, batch) in batches.iter().enumerate() {
            self.engine.micro(batch, &inputs, (number * self.programs.micro_batch) as u32)?;
            terms += batch.weight.len();
        }
        let output = self.engine.apply(&inputs)?;
        self.done += 1;
        Ok(output.loss_sum / terms as f64)
    }

    /// Takes `steps` steps; seconds of all of them together, and the last one's loss.
    pub fn block(&mut self, steps: usize) -> Result<(f64, f64)> {
        let watch = Stopwatch::start();
        let mut loss = f64::NAN;
        for _ in 0..steps {
            loss = self.step()?;
        }
        let seconds = watch.seconds();
        if loss.is_finite() {
            return Ok((seconds, loss));
        }
        Err(Problem::failed(format!("the training loss became {loss} at step {}", self.done))
            .remedy("what is not training cannot be timed: use a smaller learning rate"))
    }

    /// Takes one step of a single micro-batch with the time of each of the engine's parts; none where it cannot tell.
    pub fn profile(&mut self) -> Result<Vec<PartTime>> {
        let inputs = step_inputs(&self.experiment, self.done, TOTAL_STEPS);
        let batch = &self.batches[self.done as usize % self.batches.len()][0];
        self.done += 1;
        Ok(self.engine.profile(batch, &inputs)?)
    }

    /// The engine's own name.
    pub fn engine(&self) -> &'static str {
        self.engine.name()
    }

    /// What the engine says it needs at its peak.
    pub fn footprint(&self) -> Bytes {
        self.engine.footprint()
    }

    /// Evaluates the first batch once, as training does now and then.
    pub fn evaluate(&mut self, shape: &DataShape) -> Result<f64> {
        let batch = synthetic::batch(&self.programs.eval, Ids::of(shape), 0, 0);
        Ok(self.engine.eval(&batch)?.loss_sum)
    }

    /// What the device's allocator has counted.
    pub fn device_memory(&self) -> Option<DeviceMemory> {
        self.engine.device_memory()
    }

    /// The programs.
    pub fn programs(&self) -> &StepPrograms {
        &self.programs
    }

    /// The batches, micro-batch by micro-batch.
    pub fn batches(&self) -> &[Vec<Batch>] {
        &self.batches
    }
}

/// The state at step 0 by name: parameters, and the optimiser's zeros.
pub fn initial(programs: &StepPrograms, seed: u64) -> Tensors {
    let values = graph::initial_values(&programs.state, seed);
    values.into_iter().map(|(name, shape, values)| (name, (shape, values))).collect()
}

/// The parameters among the tensors of a state.
pub fn parameters(programs: &StepPrograms, mut state: Tensors) -> Tensors {
    let is_param = |role: &StateRole| matches!(role, StateRole::Param { .. });
    programs
        .state
        .tensors
        .iter()
        .filter(|tensor| is_param(&tensor.role))
        .filter_map(|tensor| Some((tensor.name.clone(), state.remove(&tensor.name)?)))
        .collect()
}

fn batches(programs: &StepPrograms, shape: &DataShape) -> Vec<Vec<Batch>> {
    let ids = Ids::of(shape);
    let micro = |step: usize, m: usize| synthetic::batch(&programs.micro, ids, step as u32, m * programs.micro_batch);
    (0..BATCHES).map(|step| (0..programs.micro_steps).map(|m| micro(step, m)).collect()).collect()
}

/// What one step amounts to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepSize {
    /// FLOPs of matrix products, convolutions and attention, forward and backward (causal attention in full).
    pub flops: f64,
    /// Bytes that every op together reads and writes, unfused.
    pub bytes: f64,
    /// Samples.
    pub samples: usize,
    /// Tokens; as many as samples where there are none.
    pub tokens: usize,
}

impl StepSize {
    /// Of these programs.
    pub fn of(programs: &StepPrograms) -> Self {
        let micro_steps = programs.micro_steps as f64;
        let samples = programs.micro_batch * programs.micro_steps;
        let bytes = |program: &Program| program.total_work().bytes.0 as f64;
        StepSize {
            flops: micro_steps * matrix_flops(&programs.micro),
            bytes: micro_steps * bytes(&programs.micro) + bytes(&programs.apply),
            samples,
            tokens: samples * tokens_per_sample(programs),
        }
    }
}

/// FLOPs of the ops that are products of matrices in one way or another.
fn matrix_flops(program: &Program) -> f64 {
    let counts = |op: &Op| {
        matches!(
            op,
            Op::MatMul { .. }
                | Op::Conv2d
                | Op::Conv2dGradInput
                | Op::Conv2dGradWeight
                | Op::Attention { .. }
                | Op::AttentionGrad { .. }
        )
    };
    program.nodes.iter().filter(|node| counts(&node.op)).map(|node| program.work(node).flops.0).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::known_shape;
    use crate::config::load_experiment;
    use std::path::Path;

    fn session(name: &str, overrides: &[&str]) -> Session {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("benches/train/{name}.toml"));
        let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
        let experiment = load_experiment(&path, &overrides).unwrap().value;
        let shape = known_shape(&experiment.data).unwrap();
        Session::new(&experiment, &shape, None, 1).unwrap()
    }

    #[test]
    fn flops_are_the_formulas() {
        // 3 (2 (12 L W^2 + W V) + 4 L T W) B T, of `torch_step.py` and the PaLM appendix.
        let gpt = StepSize::of(session("char-gpt-4x128", &[]).programs());
        let (l, w, t, v, b) = (4.0, 128.0, 64.0, 65.0, 32.0);
        assert_eq!(gpt.flops, 3.0 * (2.0 * (12.0 * l * w * w + w * v) + 4.0 * l * t * w) * b * t);
        assert_eq!((gpt.samples, gpt.tokens), (32, 2048));
        // Nobody needs the gradient with respect to pixels.
        let mlp = StepSize::of(session("mlp-64-128-10", &[]).programs());
        assert_eq!(mlp.flops, 2.0 * 64.0 * (2.0 * 64.0 * 128.0 + 3.0 * 1280.0));
        assert_eq!((mlp.samples, mlp.tokens), (64, 64));
    }

    /// What is predicted is what is allocated, and all of it is used.
    #[test]
    fn predicted_memory_is_used_within_a_hundredth_for_every_preset() {
        use crate::bench::accuracy::{usual_experiment, usual_shape};
        use crate::engine::CpuEngine;
        for (name, _) in crate::config::presets() {
            let batch_size = if name.contains("6x384") { 2 } else { 64 };
            let mut experiment = usual_experiment(name, batch_size).unwrap();
            experiment.evaluation.batch_size = batch_size;
            let shape = usual_shape(name, &experiment.model);
            let programs = graph::build(&experiment, &shape).unwrap();
            let mut engine = CpuEngine::new(programs.clone(), 1).unwrap();
            engine.load(&HostState { tensors: initial(&programs, 1) }).unwrap();
            let batch = &batches(&programs, &shape)[0][0];
            let evaluated = synthetic::batch(&programs.eval, Ids::of(&shape), 0, 0);
            let (allocated, written) = engine.written(batch, &evaluated, &step_inputs(&experiment, 0, 10));
            let predicted = CpuEngine::predict(&programs, 1).unwrap();
            assert_eq!(predicted, engine.footprint(), "{name}");
            assert_eq!(predicted.0 - engine.packed().0, allocated.0, "{name}");
            let (all, used) = (allocated.0 as f64, written.0 as f64);
            assert!(used <= all && used >= 0.99 * all, "{name}: {written} of {allocated}");
        }
    }

    #[test]
    fn steps_train_on_the_batches_in_turn() {
        let mut session = session("mlp-64-128-10", &["optimizer.learning_rate=0.01"]);
        assert_eq!(session.batches().len(), BATCHES);
        assert!(session.batches()[0] != session.batches()[1], "the batches differ");
        let (_, first) = session.block(1).unwrap();
        session.block(BATCHES * 6 - 1).unwrap();
        let (seconds, later) = session.block(1).unwrap();
        assert!(seconds > 0.0 && later < first, "the same batch again: {first}, then {later}");
    }

    #[test]
    fn micro_batches_change_nothing_but_rounding() {
        let losses = |overrides: &[&str]| {
            let mut session = session("mlp-64-128-10", overrides);
            (0..3).map(|_| session.step().unwrap()).collect::<Vec<_>>()
        };
        let (whole, halves) = (losses(&[]), losses(&["resources.micro_batch=32"]));
        assert!(whole.iter().zip(&halves).all(|(a, b)| (a - b).abs() < 1e-5 * a), "{whole:?} {halves:?}");
    }
}
