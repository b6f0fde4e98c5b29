//! The engine around the interpreter: its state, and the three programs run on it.

use super::super::host::{self, Values};
use super::super::{Engine, EngineError, EvalOutput, HostState, StepInputs, StepOutput, Which, fingerprint};
use super::call::{Moment, elements};
use super::interpret::{Results, run};
use super::plan::Plan;
use super::real::Real;
use crate::data::Batch;
use crate::graph::{Program, StateTensor, StepPrograms};
use crate::units::Bytes;
use candle_core::{Device, Tensor};
use std::collections::BTreeMap;

/// What reals are computed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// Runs.
    F32,
    /// Gradient tests.
    F64,
}

/// Interprets step programs on candle tensors.
pub struct ReferenceEngine {
    programs: StepPrograms,
    /// Of `micro`, `apply`, `eval`.
    plans: [Plan; 3],
    precision: Precision,
    device: Device,
    state: Vec<Tensor>,
}

impl ReferenceEngine {
    /// An engine on the CPU with a state of zeros; [`load`](Engine::load) comes before the first step.
    pub fn new(programs: StepPrograms, precision: Precision) -> Result<Self, EngineError> {
        Self::on(programs, precision, Device::Cpu)
    }

    /// An engine on a given device.
    pub fn on(programs: StepPrograms, precision: Precision, device: Device) -> Result<Self, EngineError> {
        let plans = plans(&programs)?;
        let zeros = |t: &StateTensor| Ok(Tensor::zeros(t.shape.as_slice(), precision.dtype(), &device)?);
        let state = programs.state.tensors.iter().map(zeros).collect::<Result<_, EngineError>>()?;
        Ok(ReferenceEngine { programs, plans, precision, device, state })
    }

    /// Peak memory that these programs would need, without allocating any of it.
    pub fn predict(programs: &StepPrograms, precision: Precision) -> Result<Bytes, EngineError> {
        Ok(peak(programs, &plans(programs)?, precision))
    }

    /// The programs it executes.
    pub fn programs(&self) -> &StepPrograms {
        &self.programs
    }

    /// Sets one state tensor by index, without going through f32; for gradient tests.
    pub fn set_state(&mut self, index: usize, values: &[f64]) -> Result<(), EngineError> {
        let tensor = self.programs.state.tensors.get(index).ok_or_else(|| no_state(index))?;
        self.state[index] =
            Tensor::from_slice(values, tensor.shape.as_slice(), &self.device)?.to_dtype(self.precision.dtype())?;
        Ok(())
    }

    /// One state tensor by index, gradients and the loss sum included.
    pub fn state(&self, index: usize) -> Result<Vec<f64>, EngineError> {
        let tensor = self.state.get(index).ok_or_else(|| no_state(index))?;
        Ok(tensor.to_dtype(candle_core::DType::F64)?.flatten_all()?.to_vec1::<f64>()?)
    }

    fn run(&self, which: Which, batch: &[Tensor], moment: &Moment) -> Result<Results, EngineError> {
        self.run_timed(which, batch, moment, None)
    }

    fn run_timed(
        &self,
        which: Which,
        batch: &[Tensor],
        moment: &Moment,
        seconds: Option<&mut Vec<f64>>,
    ) -> Result<Results, EngineError> {
        let program = self.program(which);
        let plan = &self.plans[which as usize];
        match self.precision {
            Precision::F32 => run::<f32>(program, plan, &self.state, batch, moment, &self.device, seconds),
            Precision::F64 => run::<f64>(program, plan, &self.state, batch, moment, &self.device, seconds),
        }
    }

    fn program(&self, which: Which) -> &Program {
        match which {
            Which::Micro => &self.programs.micro,
            Which::Apply => &self.programs.apply,
            Which::Eval => &self.programs.eval,
        }
    }

    fn commit(&mut self, results: Results) {
        for (index, tensor) in results.writes {
            self.state[index] = tensor;
        }
    }

    /// The program's batch inputs as tensors.
    fn batch(&self, program: &Program, batch: &Batch) -> Result<Vec<Tensor>, EngineError> {
        let tensor = |input: &crate::graph::BatchInput| -> Result<Tensor, EngineError> {
            let shape = input.shape.as_slice();
            Ok(match host::column(program, input, batch)? {
                Values::U32(ids) => Tensor::from_slice(ids, shape, &self.device)?,
                Values::F32(values) => {
                    Tensor::from_slice(values, shape, &self.device)?.to_dtype(self.precision.dtype())?
                }
            })
        };
        program.batch.iter().map(tensor).collect()
    }
}

impl Precision {
    fn dtype(self) -> candle_core::DType {
        match self {
            Precision::F32 => candle_core::DType::F32,
            Precision::F64 => candle_core::DType::F64,
        }
    }

    fn bytes(self) -> u64 {
        match self {
            Precision::F32 => f32::BYTES,
            Precision::F64 => f64::BYTES,
        }
    }
}

fn no_state(index: usize) -> EngineError {
    EngineError::Shape(format!("the state has no tensor {index}"))
}

impl Engine for ReferenceEngine {
    fn name(&self) -> &'static str {
        "reference"
    }

    fn fingerprint(&self) -> BTreeMap<String, String> {
        let mut facts = fingerprint::cpu();
        facts.insert("engine".into(), self.name().into());
        facts.insert("precision".into(), format!("{:?}", self.precision).to_lowercase());
        facts
    }

    fn load(&mut self, state: &HostState) -> Result<(), EngineError> {
        let mut fresh = Vec::with_capacity(self.state.len());
        for (tensor, values) in self.programs.state.tensors.iter().zip(host::kept_values(&self.programs.state, state)?)
        {
            let shape = tensor.shape.as_slice();
            fresh.push(match values {
                None => Tensor::zeros(shape, self.precision.dtype(), &self.device)?,
                Some(values) => Tensor::from_slice(values, shape, &self.device)?.to_dtype(self.precision.dtype())?,
            });
        }
        self.state = fresh;
        Ok(())
    }

    fn save(&self) -> Result<HostState, EngineError> {
        let mut tensors = BTreeMap::new();
        for (tensor, value) in self.programs.state.tensors.iter().zip(&self.state).filter(|(t, _)| t.is_kept()) {
            let value = value.to_dtype(candle_core::DType::F32)?;
            tensors.insert(tensor.name.clone(), (tensor.shape.clone(), elements::<f32>(&value)?.to_vec()));
        }
        Ok(HostState { tensors })
    }

    fn micro(&mut self, batch: &Batch, inputs: &StepInputs, first_sample: u32) -> Result<(), EngineError> {
        let tensors = self.batch(&self.programs.micro, batch)?;
        let results = self.run(Which::Micro, &tensors, &Moment::new(inputs, first_sample))?;
        self.commit(results);
        Ok(())
    }

    fn apply(&mut self, inputs: &StepInputs) -> Result<StepOutput, EngineError> {
        let results = self.run(Which::Apply, &[], &Moment::new(inputs, 0))?;
        let scalar = |name: &str| {
            results.scalar(name).ok_or_else(|| EngineError::Shape(format!("program `apply` has no output `{name}`")))
        };
        let output = StepOutput { loss_sum: scalar("loss_sum")?, grad_norm: scalar("grad_norm")? };
        self.commit(results);
        Ok(output)
    }

    fn eval(&mut self, batch: &Batch) -> Result<EvalOutput, EngineError> {
        let tensors = self.batch(&self.programs.eval, batch)?;
        let moment = Moment { seed: 0, step: 0, first_sample: 0, host: [0.0, 1.0, 1.0] };
        let results = self.run(Which::Eval, &tensors, &moment)?;
        Ok(EvalOutput {
            loss_sum: results
                .scalar("loss_sum")
                .ok_or_else(|| EngineError::Shape("program `eval` has no output `loss_sum`".into()))?,
            correct_sum: results.scalar("correct_sum").unwrap_or(0.0),
            weight_sum: batch.weight.iter().map(|&w| f64::from(w)).sum(),
        })
    }

    fn node_seconds(&mut self, which: Which, batch: &Batch, inputs: &StepInputs) -> Result<Vec<f64>, EngineError> {
        let tensors = if which == Which::Apply { Vec::new() } else { self.batch(self.program(which), batch)? };
        let mut seconds = Vec::new();
        self.run_timed(which, &tensors, &Moment::new(inputs, 0), Some(&mut seconds))?;
        Ok(seconds)
    }

    fn footprint(&self) -> Bytes {
        peak(&self.programs, &self.plans, self.precision)
    }
}

/// The state and the most demanding program.
fn peak(programs: &StepPrograms, plans: &[Plan; 3], precision: Precision) -> Bytes {
    let state: u64 = programs.state.tensors.iter().map(|t| t.shape.iter().product::<usize>() as u64).sum();
    let values = plans.iter().map(|p| p.peak_elements).max().unwrap_or(0);
    Bytes((state + values) * precision.bytes())
}

fn plans(programs: &StepPrograms) -> Result<[Plan; 3], EngineError> {
    programs.verify().map_err(EngineError::Shape)?;
    Ok([&programs.micro, &programs.apply, &programs.eval].map(Plan::new))
}
