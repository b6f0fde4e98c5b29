//! The one place that knows all engines.

use super::cpu::CpuEngine;
use super::reference::{self, ReferenceEngine};
use super::tensor::TensorEngine;
use super::{Engine, EngineError, limit_threads, plan, thread_count};
use crate::config::{DeviceSpec, EngineKind, Experiment, Precision};
use crate::cost::StepTasks;
use crate::graph::StepPrograms;
use crate::units::Bytes;

/// What executes an experiment's programs, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Placement {
    /// The engine.
    pub kind: EngineKind,
    /// The device.
    pub device: DeviceSpec,
    /// What activations and matrix products are computed in.
    pub precision: Precision,
    /// CPU threads; 0 for all cores.
    pub threads: usize,
}

impl Placement {
    /// What an experiment asks for. Where it names no engine: the compiled one on a CPU in f32, else the reference.
    pub fn of(experiment: &Experiment) -> Self {
        let (resources, precision) = (&experiment.resources, experiment.training.precision);
        let usual = match (resources.device, precision) {
            (DeviceSpec::Cpu, Precision::F32) => EngineKind::Compiled,
            _ => EngineKind::Reference,
        };
        Placement {
            kind: resources.engine.unwrap_or(usual),
            device: resources.device,
            precision,
            threads: resources.threads,
        }
    }

    /// The same with another engine, where one is given.
    pub fn with_engine(self, kind: Option<EngineKind>) -> Self {
        Placement { kind: kind.unwrap_or(self.kind), ..self }
    }
}

/// Makes the engine of a placement for the given programs, with a state of zeros. The number of threads takes effect as
/// [`limit_threads`] says. Refuses programs whose predicted peak is more memory than there is, and devices that are not
/// there.
pub fn create(placement: Placement, programs: StepPrograms) -> Result<Box<dyn Engine>, EngineError> {
    let Placement { kind, device, precision, threads } = placement;
    limit_threads(threads);
    // An engine on a GPU finds what it needs itself, and compares it with what is free there.
    if device == DeviceSpec::Cpu {
        check_memory(footprint(placement, &programs)?, crate::sys::process::available_memory().map(Bytes))?;
    }
    Ok(match (kind, device, precision) {
        (EngineKind::Compiled, DeviceSpec::Cpu, Precision::F32) => {
            Box::new(CpuEngine::new(programs, thread_count(threads))?)
        }
        (EngineKind::Reference, DeviceSpec::Cpu, Precision::F32) => {
            Box::new(ReferenceEngine::new(programs, reference::Precision::F32)?)
        }
        (EngineKind::Reference, _, _) => Box::new(TensorEngine::new(programs, device, precision)?),
        (EngineKind::Compiled, _, _) => return Err(nowhere(placement)),
    })
}

/// Peak memory that the engine of a placement would need for the programs, without allocating any of it. On a GPU it is
/// the device's memory.
pub fn footprint(placement: Placement, programs: &StepPrograms) -> Result<Bytes, EngineError> {
    match (placement.kind, placement.device, placement.precision) {
        (EngineKind::Compiled, DeviceSpec::Cpu, Precision::F32) => {
            CpuEngine::predict(programs, thread_count(placement.threads))
        }
        (EngineKind::Reference, DeviceSpec::Cpu, Precision::F32) => {
            ReferenceEngine::predict(programs, reference::Precision::F32)
        }
        (EngineKind::Reference, device, precision) => TensorEngine::predict(programs, device, precision),
        (EngineKind::Compiled, _, _) => Err(nowhere(placement)),
    }
}

/// What the engine of a placement executes for the programs, as the cost model counts it.
pub fn tasks(placement: Placement, programs: &StepPrograms) -> Result<StepTasks, EngineError> {
    match placement.kind {
        EngineKind::Compiled => Ok(plan::tasks(&plan::Plan::new(programs)?, programs)),
        EngineKind::Reference => Ok(StepTasks::op_by_op(programs)),
    }
}

/// [`footprint`] and [`tasks`] together, planned once: what pricing an experiment asks for, many times in a search.
pub fn demand(placement: Placement, programs: &StepPrograms) -> Result<(Bytes, StepTasks), EngineError> {
    match (placement.kind, placement.device, placement.precision) {
        (EngineKind::Compiled, DeviceSpec::Cpu, Precision::F32) => {
            let plan = plan::Plan::new(programs)?;
            Ok((CpuEngine::memory_of(&plan, thread_count(placement.threads)), plan::tasks(&plan, programs)))
        }
        _ => Ok((footprint(placement, programs)?, tasks(placement, programs)?)),
    }
}

/// The config's own rules refuse this first.
fn nowhere(placement: Placement) -> EngineError {
    EngineError::Shape(format!("the compiled engine computes in f32 on a CPU, not {placement:?}"))
}

fn check_memory(wanted: Bytes, free: Option<Bytes>) -> Result<(), EngineError> {
    match free {
        Some(free) if wanted > free => Err(EngineError::OutOfMemory { wanted, free }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_large_is_a_typed_error() {
        assert!(check_memory(Bytes(10), Some(Bytes(10))).is_ok());
        assert!(check_memory(Bytes(10), None).is_ok());
        let error = check_memory(Bytes(11), Some(Bytes(10))).unwrap_err();
        assert!(matches!(error, EngineError::OutOfMemory { wanted: Bytes(11), free: Bytes(10) }));
    }
}
