//! The engine around it: a state on a device, the three programs run on it, and what they will need found beforehand.

use super::super::host::{self, Values};
use super::super::lifetimes::dead_after;
use super::super::{DeviceMemory, Engine, EngineError, EvalOutput, HostState, StepInputs, StepOutput, Which};
use super::array::{Answer, Array};
use super::context::Context;
use super::cuda;
use super::ghost::{Ghost, Meter};
use super::run::{Moment, Results, run};
use crate::config::{DeviceSpec, Precision};
use crate::data::Batch;
use crate::graph::{BatchInput, Op, Program, StepPrograms, ValueId};
use crate::units::Bytes;
use candle_core::{DType, Device, Tensor};
use std::collections::BTreeMap;

/// Interprets step programs with candle's tensors on a CPU or a GPU, in f32 or bf16.
pub struct TensorEngine {
    programs: StepPrograms,
    dead: [Vec<Vec<usize>>; 3],
    /// For each program and batch input, below what its ids must be.
    limits: [Vec<Option<usize>>; 3],
    place: DeviceSpec,
    precision: Precision,
    context: Context<Tensor>,
    state: Vec<Tensor>,
    footprint: Bytes,
}

impl TensorEngine {
    /// An engine with a state of zeros; [`load`](Engine::load) comes before the first step. A GPU is opened here, and one
    /// with less free memory than the programs need is refused.
    pub fn new(programs: StepPrograms, place: DeviceSpec, precision: Precision) -> Result<Self, EngineError> {
        programs.verify().map_err(EngineError::Shape)?;
        let meter = rehearse(&programs, precision)?;
        let footprint = needed_on(place, &meter);
        let device = match place {
            DeviceSpec::Cpu => Device::Cpu,
            DeviceSpec::Cuda(ordinal) => cuda::open(ordinal, meter.room().arena, footprint)?,
        };
        let context = Context::new(device, compute_type(precision));
        let zeros = |shape: &[usize]| Tensor::filled(&context.device, shape, 0.0);
        let state = programs.state.tensors.iter().map(|t| zeros(&t.shape)).collect::<Answer<_>>()?;
        let dead = all(&programs).map(dead_after);
        let limits = all(&programs).map(|program| (0..program.batch.len()).map(|i| limit(program, i)).collect());
        Ok(TensorEngine { dead, limits, place, precision, context, state, footprint, programs })
    }

    /// Peak memory of the device that these programs need: found by running them on arrays without elements.
    pub fn predict(programs: &StepPrograms, place: DeviceSpec, precision: Precision) -> Result<Bytes, EngineError> {
        programs.verify().map_err(EngineError::Shape)?;
        Ok(needed_on(place, &rehearse(programs, precision)?))
    }

    /// One state tensor by index, gradients and the loss sum included.
    #[cfg(test)]
    pub(super) fn state(&self, index: usize) -> Vec<f32> {
        self.state[index].flatten_all().unwrap().to_vec1().unwrap()
    }

    fn run(&self, which: Which, batch: &[Tensor], moment: Moment) -> Result<Results<Tensor>, EngineError> {
        let program = all(&self.programs)[which as usize];
        run(program, &self.dead[which as usize], &self.state, batch, &self.context, moment)
    }

    fn commit(&mut self, results: Results<Tensor>) {
        for (index, tensor) in results.writes {
            self.state[index] = tensor;
        }
    }

    /// The program's batch inputs as tensors. Ids are checked here, on the host: a kernel that reads beyond a table
    /// cannot say which id it was.
    fn batch(&self, which: Which, batch: &Batch) -> Result<Vec<Tensor>, EngineError> {
        let device = &self.context.device;
        let program = all(&self.programs)[which as usize];
        let tensor = |(input, limit): (&BatchInput, &Option<usize>)| -> Result<Tensor, EngineError> {
            match host::column(program, input, batch)? {
                Values::U32(ids) => {
                    if let Some(limit) = *limit
                        && let Some(id) = ids.iter().find(|id| **id as usize >= limit)
                    {
                        return Err(EngineError::Shape(format!(
                            "the batch's {} holds {id}, not below {limit}",
                            input.name
                        )));
                    }
                    Tensor::ids(device, &input.shape, || ids.to_vec())
                }
                Values::F32(values) => Tensor::real(device, &input.shape, || values.to_vec()),
            }
        };
        program.batch.iter().zip(&self.limits[which as usize]).map(tensor).collect()
    }

    /// What the library beneath said, in the terms of the device.
    fn judged(&self, error: EngineError) -> EngineError {
        match (error, self.place) {
            (EngineError::Backend(text), DeviceSpec::Cuda(_)) => cuda::judge(text, self.footprint),
            (error, _) => error,
        }
    }
}

fn compute_type(precision: Precision) -> DType {
    match precision {
        Precision::F32 => DType::F32,
        Precision::Bf16 => DType::BF16,
    }
}

fn all(programs: &StepPrograms) -> [&Program; 3] {
    [&programs.micro, &programs.apply, &programs.eval]
}

/// For what is no step of a run: evaluations, rehearsals.
const NO_STEP: StepInputs =
    StepInputs { seed: 0, step: 0, learning_rate: 0.0, bias_correction1: 1.0, bias_correction2: 1.0 };

/// Steps that are rehearsed: what the allocator is left with after the first changes what the next ones need.
const REHEARSED: usize = 3;

/// Runs some steps on arrays without elements, and an evaluation, as training does.
pub(super) fn rehearse(programs: &StepPrograms, precision: Precision) -> Result<Meter, EngineError> {
    let steps = (0..REHEARSED)
        .flat_map(|_| std::iter::repeat_n(&programs.micro, programs.micro_steps.min(2)).chain([&programs.apply]));
    let meter = Meter::default();
    let context = Context::<Ghost>::new(meter.clone(), compute_type(precision));
    let mut state: Vec<Ghost> =
        programs.state.tensors.iter().map(|t| Ghost::filled(&meter, &t.shape, 0.0)).collect::<Answer<_>>()?;
    for program in steps.chain([&programs.eval]) {
        let batch: Vec<Ghost> =
            program.batch.iter().map(|input| Ghost::filled(&meter, &input.shape, 0.0)).collect::<Answer<_>>()?;
        let moment = Moment { inputs: &NO_STEP, first_sample: 0 };
        let results = run(program, &dead_after(program), &state, &batch, &context, moment)?;
        for (index, ghost) in results.writes {
            state[index] = ghost;
        }
    }
    Ok(meter)
}

/// The memory that a rehearsed training needs on a device.
fn needed_on(place: DeviceSpec, meter: &Meter) -> Bytes {
    match place {
        DeviceSpec::Cpu => Bytes(meter.peak()),
        DeviceSpec::Cuda(_) => Bytes(cuda::OVERHEAD + meter.room().reserved),
    }
}

/// Below what every id of a batch input must be, where it selects rows of a table or is a class.
fn limit(program: &Program, index: usize) -> Option<usize> {
    let leaf = program.nodes.iter().find(|n| n.op == Op::Batch(index))?.outputs[0];
    let mut names = vec![leaf];
    let mut limit: Option<usize> = None;
    for node in &program.nodes {
        if node.op == Op::Reshape && names.contains(&node.inputs[0]) {
            names.push(node.outputs[0]);
        }
        let features = |v: ValueId| program.values[v.0].shape.last().copied();
        let found = match node.op {
            Op::Embedding if names.contains(&node.inputs[1]) => program.values[node.inputs[0].0].shape.first().copied(),
            Op::CrossEntropy { .. } | Op::CorrectSum if names.contains(&node.inputs[1]) => features(node.inputs[0]),
            _ => None,
        };
        limit = found.map(|f| limit.map_or(f, |l| l.min(f))).or(limit);
    }
    limit
}

/// The one element of a scalar output.
fn scalar(results: &Results<Tensor>, name: &str) -> Result<Option<f64>, EngineError> {
    let Some((_, tensor)) = results.outputs.iter().find(|(n, _)| *n == name) else { return Ok(None) };
    let values = tensor.wide()?.flatten_all()?.to_vec1::<f32>()?;
    Ok(values.first().map(|&v| f64::from(v)))
}

fn needed(results: &Results<Tensor>, name: &str) -> Result<f64, EngineError> {
    scalar(results, name)?.ok_or_else(|| EngineError::Shape(format!("a program has no output `{name}`")))
}

impl Engine for TensorEngine {
    fn name(&self) -> &'static str {
        "tensor"
    }

    fn fingerprint(&self) -> BTreeMap<String, String> {
        let mut facts = match self.place {
            DeviceSpec::Cpu => super::super::fingerprint::cpu(),
            DeviceSpec::Cuda(_) => cuda::facts(&self.context.device),
        };
        facts.insert("engine".into(), self.name().into());
        facts.insert("precision".into(), format!("{:?}", self.precision).to_lowercase());
        facts
    }

    fn load(&mut self, state: &HostState) -> Result<(), EngineError> {
        let spec = &self.programs.state;
        let mut fresh = Vec::with_capacity(self.state.len());
        for (tensor, values) in spec.tensors.iter().zip(host::kept_values(spec, state)?) {
            let device = &self.context.device;
            fresh.push(match values {
                None => Tensor::filled(device, &tensor.shape, 0.0),
                Some(values) => Tensor::real(device, &tensor.shape, || values.to_vec()),
            });
        }
        self.state = fresh.into_iter().collect::<Answer<_>>().map_err(|e| self.judged(e))?;
        Ok(())
    }

    fn save(&self) -> Result<HostState, EngineError> {
        let mut tensors = BTreeMap::new();
        for (tensor, value) in self.programs.state.tensors.iter().zip(&self.state).filter(|(t, _)| t.is_kept()) {
            let values = value.flatten_all().and_then(|v| v.to_vec1::<f32>()).map_err(|e| self.judged(e.into()))?;
            tensors.insert(tensor.name.clone(), (tensor.shape.clone(), values));
        }
        Ok(HostState { tensors })
    }

    fn micro(&mut self, batch: &Batch, inputs: &StepInputs, first_sample: u32) -> Result<(), EngineError> {
        let results = self
            .batch(Which::Micro, batch)
            .and_then(|tensors| self.run(Which::Micro, &tensors, Moment { inputs, first_sample }))
            .map_err(|e| self.judged(e))?;
        self.commit(results);
        Ok(())
    }

    fn apply(&mut self, inputs: &StepInputs) -> Result<StepOutput, EngineError> {
        let step = || {
            let results = self.run(Which::Apply, &[], Moment { inputs, first_sample: 0 })?;
            let output =
                StepOutput { loss_sum: needed(&results, "loss_sum")?, grad_norm: needed(&results, "grad_norm")? };
            Ok((results, output))
        };
        let (results, output) = step().map_err(|e| self.judged(e))?;
        self.commit(results);
        Ok(output)
    }

    fn eval(&mut self, batch: &Batch) -> Result<EvalOutput, EngineError> {
        let evaluate = || {
            let tensors = self.batch(Which::Eval, batch)?;
            let results = self.run(Which::Eval, &tensors, Moment { inputs: &NO_STEP, first_sample: 0 })?;
            Ok(EvalOutput {
                loss_sum: needed(&results, "loss_sum")?,
                correct_sum: scalar(&results, "correct_sum")?.unwrap_or(0.0),
                weight_sum: batch.weight.iter().map(|&w| f64::from(w)).sum(),
            })
        };
        evaluate().map_err(|e| self.judged(e))
    }

    fn footprint(&self) -> Bytes {
        self.footprint
    }

    fn device_memory(&self) -> Option<DeviceMemory> {
        match self.place {
            DeviceSpec::Cpu => None,
            DeviceSpec::Cuda(ordinal) => cuda::memory(ordinal),
        }
    }
}
