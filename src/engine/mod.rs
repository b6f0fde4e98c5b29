//! Engines execute step programs. One trait, one shared test suite; the state they load and save is the same.
//!
//! Boundary: knows programs and tensors; never configs' meaning, files, campaigns.

#[cfg(test)]
mod agreement;
mod cpu;
mod create;
mod fingerprint;
mod host;
mod lifetimes;
pub mod plan;
pub mod reference;
mod tensor;
mod threads;

pub use cpu::{CpuEngine, SquareProduct, product_tile};
pub use create::{Placement, create, demand, footprint, tasks};
pub use tensor::card_rates;
pub use threads::{limit_threads, thread_count, thread_environment, threads_each};

use crate::cost::Task;
use crate::data::Batch;
use crate::gpu::GpuError;
use crate::problem::Problem;
use crate::record::Fault;
use crate::units::Bytes;
use std::collections::BTreeMap;

/// The state in host memory: every tensor of the [`StateSpec`](crate::graph::StateSpec) by name, as f32 in row-major
/// order, but for gradients and the loss sum, which are zero between steps and not kept.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HostState {
    /// Name to (shape, values).
    pub tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

/// Numbers computed on the host for one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepInputs {
    /// Seed of the run.
    pub seed: u64,
    /// Optimiser step, from 0.
    pub step: u64,
    /// Scheduled learning rate in f64.
    pub learning_rate: f64,
    /// `1 - beta1^(step+1)`; 1 for SGD.
    pub bias_correction1: f64,
    /// `1 - beta2^(step+1)`; 1 for SGD.
    pub bias_correction2: f64,
}

/// What a step hands back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepOutput {
    /// Sum over the step's loss terms of weight times training loss (smoothing and dropout included).
    pub loss_sum: f64,
    /// Global L2 norm of the gradient before clipping.
    pub grad_norm: f64,
}

/// Sums over one evaluation batch.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct EvalOutput {
    /// Sum of weight times loss, without smoothing and dropout.
    pub loss_sum: f64,
    /// Sum of the weights of rightly predicted targets; 0 for regression.
    pub correct_sum: f64,
    /// Sum of the weights.
    pub weight_sum: f64,
}

/// A failure inside an engine, in the terms that recovery rules understand.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EngineError {
    /// A device or host allocation failed.
    #[error("out of memory: {wanted} wanted, {free} free")]
    OutOfMemory {
        /// What was asked for.
        wanted: Bytes,
        /// What was left.
        free: Bytes,
    },
    /// A program and its inputs do not fit together: a bug, with the operands named.
    #[error("{0}")]
    Shape(String),
    /// This program has no support for the device.
    #[error("{0}")]
    Unavailable(Box<Problem>),
    /// The GPU is not to be had, or failed.
    #[error("{0}")]
    Gpu(GpuError),
    /// The library beneath failed.
    #[error("{0}")]
    Backend(String),
}

impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Unavailable(problem) => *problem,
            EngineError::Gpu(error) => error.into(),
            error => Problem::failed(error.to_string()),
        }
    }
}

impl EngineError {
    /// What is wrong with the device, where that is what failed and its memory was not.
    pub fn fault(&self) -> Option<Fault> {
        Some(match self {
            EngineError::Unavailable(_) => Fault::NoSupport,
            EngineError::Gpu(error) => match error {
                // A driver whose services do not run is as good as none.
                GpuError::NoDriver | GpuError::NotReady => Fault::NoDriver,
                GpuError::NoDevice | GpuError::NoSuchDevice { .. } => Fault::NoDevice,
                GpuError::DriverTooOld { .. } | GpuError::DriverMismatch => Fault::DriverTooOld,
                GpuError::WrongChip => Fault::WrongChip,
                GpuError::LibraryMissing { .. } | GpuError::LibraryBroken { .. } | GpuError::SymbolMissing { .. } => {
                    Fault::LibraryMissing
                }
                GpuError::Busy => Fault::Busy,
                GpuError::OutOfMemory { .. } => return None,
                GpuError::IllegalAccess => Fault::IllegalAccess,
                GpuError::Ecc => Fault::Ecc,
                GpuError::Xid(_) => Fault::Xid,
                GpuError::DeviceLost => Fault::DeviceLost,
                GpuError::Other { .. } => Fault::Other,
            },
            EngineError::OutOfMemory { .. } | EngineError::Shape(_) | EngineError::Backend(_) => return None,
        })
    }
}

/// Memory of a device, as its driver counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct DeviceMemory {
    /// Most that the engine's arrays took at once.
    pub arrays_peak: Bytes,
    /// Most that was taken from the driver for them: the block that they are placed in, and what did not fit.
    pub reserved_peak: Bytes,
    /// Most at once of what did not fit into the block and was asked of the driver: 0 where the prediction held.
    pub outside_peak: Bytes,
    /// Free on the device now, whoever has the rest.
    pub free: Bytes,
    /// All of it.
    pub total: Bytes,
}

/// What a card does at best, measured.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct CardRates {
    /// FLOP/s of a bf16 matrix product of 8192 cubed, on random numbers.
    pub matmul_bf16: f64,
    /// FLOP/s of an f32 matrix product of 8192 cubed; TF32 is off.
    pub matmul_f32: f64,
    /// Bytes read and written a second in copies of 1 GiB within the device.
    pub copy: f64,
    /// Seconds from one small operation to the next, many behind each other: what an op costs whatever its size.
    pub launch_seconds: f64,
}

/// One of an experiment's three programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Forward and backward of a micro-batch.
    Micro = 0,
    /// The update.
    Apply = 1,
    /// Evaluation.
    Eval = 2,
}

/// A part of a step that an engine can time by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct PartTime {
    /// What it does, and the shape of what it makes.
    pub what: String,
    /// How long it took.
    pub seconds: f64,
    /// Its operations and the bytes it moves.
    pub work: crate::graph::Work,
    /// The same as the cost model counts it.
    pub tasks: Vec<Task>,
}

/// Executes step programs over a state of its own.
pub trait Engine: Send {
    /// `reference`, `cpu`, `cuda`.
    fn name(&self) -> &'static str;
    /// What decides the bits of results beside the programs: chip, instruction set, library versions. Never threads.
    fn fingerprint(&self) -> BTreeMap<String, String>;
    /// Replaces the whole state; every tensor must be there with its shape.
    fn load(&mut self, state: &HostState) -> Result<(), EngineError>;
    /// Copies the state out.
    fn save(&self) -> Result<HostState, EngineError>;
    /// Forward and backward of one micro-batch; `first_sample` is the global index of its first sample in the step.
    fn micro(&mut self, batch: &Batch, inputs: &StepInputs, first_sample: u32) -> Result<(), EngineError>;
    /// Updates the parameters from the accumulated gradients.
    fn apply(&mut self, inputs: &StepInputs) -> Result<StepOutput, EngineError>;
    /// Evaluates one (padded) batch, on the averaged weights where the state has them.
    fn eval(&mut self, batch: &Batch) -> Result<EvalOutput, EngineError>;
    /// Peak memory that the programs need beside the process itself.
    fn footprint(&self) -> Bytes;
    /// What the device's allocator has counted so far; none on a CPU.
    fn device_memory(&self) -> Option<DeviceMemory> {
        None
    }
    /// [`micro`](Self::micro) and [`apply`](Self::apply) with the time of each part, in order. Empty, with nothing done, where an
    /// engine cannot tell its parts apart.
    fn profile(&mut self, _batch: &Batch, _inputs: &StepInputs) -> Result<Vec<PartTime>, EngineError> {
        Ok(Vec::new())
    }
    /// Executes one program without changing the state and returns the seconds of each of its nodes, for calibration
    /// of the cost model. `batch` is ignored by `apply`. Empty where an engine cannot tell its nodes apart.
    fn node_seconds(&mut self, _which: Which, _batch: &Batch, _inputs: &StepInputs) -> Result<Vec<f64>, EngineError> {
        Ok(Vec::new())
    }
}
