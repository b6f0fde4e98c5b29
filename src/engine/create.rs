//! The one place that knows all engines.

use super::cpu::CpuEngine;
use super::reference::{Precision, ReferenceEngine};
use super::{Engine, EngineError, limit_threads, thread_count};
use crate::config::EngineKind;
use crate::graph::StepPrograms;
use crate::units::Bytes;

/// Makes the engine of a kind for the given programs, with a state of zeros. `threads` (0: all cores) takes effect as
/// [`limit_threads`] says. Refuses programs whose predicted peak is more memory than there is.
pub fn create(kind: EngineKind, programs: StepPrograms, threads: usize) -> Result<Box<dyn Engine>, EngineError> {
    limit_threads(threads);
    check_memory(footprint(kind, &programs, threads)?, crate::sys::process::available_memory().map(Bytes))?;
    match kind {
        EngineKind::Compiled => Ok(Box::new(CpuEngine::new(programs, thread_count(threads))?)),
        EngineKind::Reference => Ok(Box::new(ReferenceEngine::new(programs, Precision::F32)?)),
    }
}

/// Peak memory that an engine of this kind would need for the programs on so many threads (0: all cores), without
/// allocating any of it.
pub fn footprint(kind: EngineKind, programs: &StepPrograms, threads: usize) -> Result<Bytes, EngineError> {
    match kind {
        EngineKind::Compiled => CpuEngine::predict(programs, thread_count(threads)),
        EngineKind::Reference => ReferenceEngine::predict(programs, Precision::F32),
    }
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
