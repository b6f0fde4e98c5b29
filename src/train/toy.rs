//! A toy for the loop's tests: linear regression by momentum, on numbers that a counter makes, with noise in every
//! micro-batch that depends on the step and the global sample, and failures on demand.

use super::source::BatchSource;
use crate::config::Experiment;
use crate::data::{Batch, Column, Part};
use crate::engine::{Engine, EngineError, EvalOutput, HostState, StepInputs, StepOutput};
use crate::graph::{BatchInput, DType, Init, Program, StateRole, StateSpec, StateTensor, StepPrograms};
use crate::rng;
use crate::sys::clock::FakeClock;
use crate::units::Bytes;
use std::collections::BTreeMap;
use std::rc::Rc;

const FEATURES: usize = 3;

/// An experiment whose data and model nobody looks at.
pub(super) fn experiment(steps: u64, checkpoint_every: u64) -> Experiment {
    serde_json::from_value(serde_json::json!({
        "data": {"kind": "digits"},
        "model": {"kind": "mlp"},
        "optimizer": {"kind": "sgd", "learning_rate": 0.05},
        "training": {"batch_size": 8, "budget": {"steps": steps}, "seed": 5},
        "evaluation": {"every": 3, "checkpoint_every": checkpoint_every},
    }))
    .unwrap()
}

/// Shapes of the toy: weights, a momentum buffer and an average.
pub(super) fn programs(micro_batch: usize, micro_steps: usize) -> StepPrograms {
    let tensor = |name: &str, role| StateTensor { name: name.to_string(), shape: vec![FEATURES], role };
    let state = StateSpec {
        tensors: vec![
            tensor("w", StateRole::Param { role: crate::config::ParamRole::Weight, init: Init::Zeros }),
            tensor("grad/w", StateRole::Grad(0)),
            tensor("momentum/w", StateRole::Slot(0)),
            tensor("ema/w", StateRole::Ema(0)),
        ],
    };
    let program = |name, samples| Program {
        name,
        values: vec![],
        nodes: vec![],
        batch: vec![BatchInput { name: "input", shape: vec![samples, FEATURES], dtype: DType::F32 }],
        writes: vec![],
        outputs: vec![],
    };
    StepPrograms {
        state,
        micro: program("micro", micro_batch),
        apply: program("apply", micro_batch),
        eval: program("eval", 4),
        micro_steps,
        micro_batch,
        targets_per_sample: 1,
    }
}

/// The state at step 0.
pub(super) fn initial() -> HostState {
    let zeros = || (vec![FEATURES], vec![0.0; FEATURES]);
    HostState { tensors: ["w", "momentum/w", "ema/w"].map(|n| (n.to_string(), zeros())).into() }
}

/// What a [`ToyEngine`] does instead of a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Failure {
    /// An error, as if the process had died in the step.
    Crash,
    OutOfMemory,
    /// The loss is not a number.
    Nan,
    /// The gradient is infinite.
    Infinite,
}

#[derive(Debug, Default)]
pub(super) struct ToyEngine {
    pub w: Vec<f32>,
    pub m: Vec<f32>,
    pub ema: Vec<f32>,
    pub gradient: Vec<f64>,
    pub loss: f64,
    pub fail: Option<(u64, Failure)>,
    pub chip: String,
}

impl ToyEngine {
    pub fn failing(step: u64, failure: Failure) -> Self {
        ToyEngine { fail: Some((step, failure)), ..ToyEngine::default() }
    }

    fn residuals<'a>(&'a self, batch: &'a Batch) -> impl Iterator<Item = (&'a [f32], f64, f64)> {
        let (Column::F32(input), Column::F32(target)) = (&batch.input, &batch.target) else { panic!("real numbers") };
        input.chunks(FEATURES).zip(target).zip(&batch.weight).map(|((x, &y), &weight)| {
            let predicted: f64 = x.iter().zip(&self.w).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
            (x, predicted - f64::from(y), f64::from(weight))
        })
    }
}

impl Engine for ToyEngine {
    fn name(&self) -> &'static str {
        "toy"
    }
    fn fingerprint(&self) -> BTreeMap<String, String> {
        BTreeMap::from([("chip".to_string(), self.chip.clone())])
    }
    fn load(&mut self, state: &HostState) -> Result<(), EngineError> {
        self.w = state.tensors["w"].1.clone();
        self.m = state.tensors["momentum/w"].1.clone();
        self.ema = state.tensors["ema/w"].1.clone();
        self.gradient = vec![0.0; FEATURES];
        self.loss = 0.0;
        Ok(())
    }
    fn save(&self) -> Result<HostState, EngineError> {
        let tensor = |v: &Vec<f32>| (vec![FEATURES], v.clone());
        let named = [("w", &self.w), ("momentum/w", &self.m), ("ema/w", &self.ema)];
        Ok(HostState { tensors: named.map(|(n, v)| (n.to_string(), tensor(v))).into() })
    }
    fn micro(&mut self, batch: &Batch, inputs: &StepInputs, first_sample: u32) -> Result<(), EngineError> {
        match self.fail {
            Some((step, Failure::Crash)) if step == inputs.step => return Err(EngineError::Backend("crash".into())),
            Some((step, Failure::OutOfMemory)) if step == inputs.step => {
                return Err(EngineError::OutOfMemory { wanted: Bytes(10), free: Bytes(3) });
            }
            _ => {}
        }
        let (mut gradient, mut loss) = (self.gradient.clone(), self.loss);
        for (sample, (x, residual, weight)) in self.residuals(batch).enumerate() {
            let bits = rng::bits(inputs.seed, 0x100, inputs.step as u32, first_sample + sample as u32, 0);
            let kept = if rng::unit_f32(bits) < 0.2 { 0.0 } else { weight };
            loss += kept * residual * residual;
            for (g, &x) in gradient.iter_mut().zip(x) {
                *g += kept * residual * f64::from(x);
            }
        }
        (self.gradient, self.loss) = (gradient, loss);
        Ok(())
    }
    fn apply(&mut self, inputs: &StepInputs) -> Result<StepOutput, EngineError> {
        let grad_norm = self.gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
        for i in 0..FEATURES {
            self.m[i] = 0.9 * self.m[i] + (self.gradient[i] / 8.0) as f32;
            self.w[i] -= inputs.learning_rate as f32 * self.m[i];
            self.ema[i] = 0.8 * self.ema[i] + 0.2 * self.w[i];
        }
        let loss_sum = std::mem::take(&mut self.loss);
        self.gradient = vec![0.0; FEATURES];
        Ok(match self.fail {
            Some((step, Failure::Nan)) if step == inputs.step => StepOutput { loss_sum: f64::NAN, grad_norm },
            Some((step, Failure::Infinite)) if step == inputs.step => StepOutput { loss_sum, grad_norm: f64::INFINITY },
            _ => StepOutput { loss_sum, grad_norm },
        })
    }
    fn eval(&mut self, batch: &Batch) -> Result<EvalOutput, EngineError> {
        let mut sums = EvalOutput::default();
        for (_, residual, weight) in self.residuals(batch) {
            sums.loss_sum += weight * residual * residual;
            sums.weight_sum += weight;
        }
        Ok(sums)
    }
    fn footprint(&self) -> Bytes {
        Bytes(1)
    }
}

/// Forty training and ten validation samples; every batch takes ten milliseconds of the fake clock.
#[derive(Debug, Default)]
pub(super) struct ToySource {
    pub clock: Rc<FakeClock>,
}

impl ToySource {
    fn number(part: Part, sample: usize, element: u32) -> f32 {
        let stream = if part == Part::Train { 50 } else { 51 };
        2.0 * rng::unit_f32(rng::bits(9, stream, 0, sample as u32, element)) - 1.0
    }
}

impl BatchSource for ToySource {
    fn samples(&self, part: Part) -> usize {
        if part == Part::Train { 40 } else { 10 }
    }
    fn train_indices(&self, seed: u64, step: u64, batch_size: usize) -> Vec<usize> {
        (0..batch_size).map(|i| rng::bits(seed, 52, step as u32, i as u32, 0) as usize % 40).collect()
    }
    fn batch(&self, part: Part, indices: &[usize], pad_to: usize) -> Batch {
        self.clock.advance(0.01);
        let (mut input, mut target, mut weight) = (vec![], vec![], vec![]);
        for place in 0..pad_to {
            let sample = indices.get(place).copied().unwrap_or(0);
            let x: Vec<f32> = (0..FEATURES as u32).map(|e| Self::number(part, sample, e)).collect();
            target.push(x[0] - 2.0 * x[1] + 0.5 * x[2] + 0.1 * Self::number(part, sample, 7));
            input.extend(x);
            weight.push(if place < indices.len() { 1.0 } else { 0.0 });
        }
        Batch { samples: pad_to, input: Column::F32(input), target: Column::F32(target), weight }
    }
    fn bytes_per_token(&self) -> Option<f64> {
        None
    }
    /// Not the targets', but one that tells how many samples it was asked for: 2 for all ten.
    fn target_variance(&self, samples: usize) -> Option<f64> {
        Some(samples as f64 / 5.0)
    }
}
