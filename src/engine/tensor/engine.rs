//! The engine around it: a state on a device, the three programs run on it, and what they will need found beforehand.

use super::super::host::{self, Values};
use super::super::lifetimes::dead_after;
use super::super::{DeviceMemory, Engine, EngineError, EvalOutput, HostState, StepInputs, StepOutput, Which};
use super::array::{Answer, Array};
use super::context::Context;
use super::cuda;
use super::ghost::Meter;
use super::rehearsal::{NO_STEP, Rehearsal, all, begin, rehearse};
use super::run::{Moment, Results, run};
use crate::config::{DeviceSpec, Precision};
use crate::data::Batch;
use crate::gpu::Layout;
use crate::graph::{BatchInput, Op, Program, StepPrograms, ValueId};
use crate::units::Bytes;
use candle_core::{Device, Tensor};
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
    /// Last: all arrays are freed before it ends.
    arena: Option<cuda::ArrayMemory>,
}

impl TensorEngine {
    /// An engine with a state of zeros; [`load`](Engine::load) comes before the first step. A GPU is opened here, and one
    /// with less free memory than the programs need is refused.
    pub fn new(programs: StepPrograms, place: DeviceSpec, precision: Precision) -> Result<Self, EngineError> {
        programs.verify().map_err(EngineError::Shape)?;
        let Rehearsal { meter, constants } = rehearse(&programs, precision)?;
        let footprint = needed_on(place, &meter);
        let (device, arena) = match place {
            DeviceSpec::Cpu => (Device::Cpu, None),
            DeviceSpec::Cuda(ordinal) => cuda::open(ordinal, &block(&meter), footprint)?,
        };
        // Here a card is first told to compute, and may not be able to.
        let begun = begin(&programs, device, precision, &constants);
        let (context, state) = begun.map_err(|e| judged(e, place, footprint))?;
        let dead = all(&programs).map(dead_after);
        let limits = all(&programs).map(|program| (0..program.batch.len()).map(|i| limit(program, i)).collect());
        Ok(TensorEngine { dead, limits, place, precision, context, state, footprint, programs, arena })
    }

    /// Peak memory of the device that these programs need: found by running them on arrays without elements.
    pub fn predict(programs: &StepPrograms, place: DeviceSpec, precision: Precision) -> Result<Bytes, EngineError> {
        programs.verify().map_err(EngineError::Shape)?;
        Ok(needed_on(place, &rehearse(programs, precision)?.meter))
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
        judged(error, self.place, self.footprint)
    }
}

fn judged(error: EngineError, place: DeviceSpec, footprint: Bytes) -> EngineError {
    match (error, place) {
        (EngineError::Backend(text), DeviceSpec::Cuda(_)) => cuda::judge(text, footprint),
        (error, _) => error,
    }
}

/// The memory that a rehearsed training needs on a device.
fn needed_on(place: DeviceSpec, meter: &Meter) -> Bytes {
    match place {
        DeviceSpec::Cpu => Bytes(meter.peak()),
        DeviceSpec::Cuda(_) => Bytes(cuda::OVERHEAD + block(meter).bytes()),
    }
}

/// The driver gives memory in pages of this size.
const PAGE: u64 = 2 << 20;
/// For the few numbers that candle itself puts on the device: shapes and strides, while an operation is launched.
const SPARE: u64 = 1 << 20;

/// The block of device memory that holds the arrays of a rehearsed training.
fn block(meter: &Meter) -> Layout {
    meter.layout().with_spare(SPARE, PAGE)
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
            DeviceSpec::Cuda(ordinal) => cuda::memory(ordinal, self.arena.as_ref()),
        }
    }
}
