//! The engine around the interpreter: its state, and the three programs run on it.

use super::super::{Engine, EngineError, EvalOutput, HostState, StepInputs, StepOutput, Which, fingerprint};
use super::call::{Moment, elements};
use super::interpret::{Results, run};
use super::plan::Plan;
use super::real::Real;
use crate::data::{Batch, Column};
use crate::graph::{DType, Program, StateRole, StateTensor, StepPrograms};
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
            let weight;
            let column = match input.name {
                "input" => &batch.input,
                "target" => &batch.target,
                "weight" => {
                    weight = Column::F32(batch.weight.clone());
                    &weight
                }
                name => return Err(EngineError::Shape(format!("a batch has no column `{name}`"))),
            };
            let (length, dtype) = match column {
                Column::F32(v) => (v.len(), DType::F32),
                Column::U32(v) => (v.len(), DType::U32),
            };
            if length != input.shape.iter().product::<usize>() || dtype != input.dtype {
                return Err(EngineError::Shape(format!(
                    "the batch's {} has {length} elements of {dtype:?} where `{}` wants {:?} of {:?}",
                    input.name, program.name, input.shape, input.dtype
                )));
            }
            let shape = input.shape.as_slice();
            Ok(match column {
                Column::U32(ids) => Tensor::from_slice(ids, shape, &self.device)?,
                Column::F32(values) => {
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

/// Whether a tensor is carried between steps; gradients and the loss sum are zero then.
fn kept(tensor: &StateTensor) -> bool {
    !matches!(tensor.role, StateRole::Grad(_) | StateRole::LossSum)
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
        for tensor in &self.programs.state.tensors {
            let shape = tensor.shape.as_slice();
            if !kept(tensor) {
                fresh.push(Tensor::zeros(shape, self.precision.dtype(), &self.device)?);
                continue;
            }
            let (given, values) = state
                .tensors
                .get(&tensor.name)
                .ok_or_else(|| EngineError::Shape(format!("the state lacks the tensor `{}`", tensor.name)))?;
            if given != shape || values.len() != shape.iter().product::<usize>() {
                return Err(EngineError::Shape(format!(
                    "the state's tensor `{}` has shape {given:?} and {} values where {shape:?} is wanted",
                    tensor.name,
                    values.len()
                )));
            }
            fresh.push(Tensor::from_slice(values, shape, &self.device)?.to_dtype(self.precision.dtype())?);
        }
        let known = self.programs.state.tensors.iter().filter(|t| kept(t)).count();
        if state.tensors.len() > known {
            let strange = state.tensors.keys().find(|n| !self.programs.state.tensors.iter().any(|t| t.name == **n));
            return Err(EngineError::Shape(format!(
                "the state has {} tensors where the programs have {known}; unknown: {}",
                state.tensors.len(),
                strange.map_or("a gradient", |n| n)
            )));
        }
        self.state = fresh;
        Ok(())
    }

    fn save(&self) -> Result<HostState, EngineError> {
        let mut tensors = BTreeMap::new();
        for (tensor, value) in self.programs.state.tensors.iter().zip(&self.state).filter(|(t, _)| kept(t)) {
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
