//! Why a loop could not go on, in the terms that an outcome records.

use crate::config::DeviceSpec;
use crate::engine::EngineError;
use crate::gpu::GpuError;
use crate::problem::{Class, Problem};
use crate::record::{End, MemoryKind};
use crate::units::Bytes;

/// A failure of the engine or of anything around it.
#[derive(Debug, Clone)]
pub enum TrainError {
    /// The engine failed; out of memory and the device's own failures are told apart.
    Engine(EngineError),
    /// Files, data, checkpoints.
    Problem(Problem),
    /// The dataset cannot be read here, where its controller could.
    Missing(Problem),
}

impl TrainError {
    /// How an attempt on `device` ends because of it. An engine's memory is its device's.
    pub fn end(&self, device: DeviceSpec) -> End {
        match self {
            TrainError::Engine(EngineError::OutOfMemory { wanted, free }) => {
                let of = if device.is_gpu() { MemoryKind::Device } else { MemoryKind::Host };
                End::OutOfMemory { wanted: *wanted, limit: *free, of }
            }
            TrainError::Engine(EngineError::Gpu(GpuError::OutOfMemory { wanted, free })) => End::OutOfMemory {
                wanted: wanted.unwrap_or(Bytes(0)),
                limit: free.unwrap_or(Bytes(0)),
                of: MemoryKind::Device,
            },
            TrainError::Engine(error) => match error.fault() {
                Some(fault) => End::DeviceFailed { fault, message: Problem::from(error.clone()).to_string() },
                None => End::Failed { message: error.to_string() },
            },
            TrainError::Missing(problem) => End::Missing { message: problem.to_string() },
            TrainError::Problem(problem) if problem.class == Class::Usage => {
                End::Refused { message: problem.to_string() }
            }
            TrainError::Problem(problem) if problem.no_room => End::Full { message: problem.to_string() },
            TrainError::Problem(problem) => End::Failed { message: problem.to_string() },
        }
    }
}

impl From<EngineError> for TrainError {
    fn from(error: EngineError) -> Self {
        TrainError::Engine(error)
    }
}

impl From<Problem> for TrainError {
    fn from(problem: Problem) -> Self {
        TrainError::Problem(problem)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Fault;

    /// Everything that a GPU can say, and what the attempt's outcome then says.
    #[test]
    fn every_error_of_a_gpu_has_its_fault() {
        let path = || "/x".into();
        let rows = [
            (GpuError::NoDriver, Fault::NoDriver),
            (GpuError::NotReady, Fault::NoDriver),
            (GpuError::NoDevice, Fault::NoDevice),
            (GpuError::NoSuchDevice { wanted: 9, shown: 2 }, Fault::NoDevice),
            (GpuError::DriverTooOld { have: None, need: None }, Fault::DriverTooOld),
            (GpuError::DriverMismatch, Fault::DriverTooOld),
            (GpuError::WrongChip, Fault::WrongChip),
            (GpuError::LibraryMissing { name: "libcublas".into(), looked: Vec::new() }, Fault::LibraryMissing),
            (GpuError::LibraryBroken { path: path(), why: "?".into() }, Fault::LibraryMissing),
            (GpuError::SymbolMissing { library: path(), name: "f".into() }, Fault::LibraryMissing),
            (GpuError::Busy, Fault::Busy),
            (GpuError::IllegalAccess, Fault::IllegalAccess),
            (GpuError::Ecc, Fault::Ecc),
            (GpuError::Xid(79), Fault::Xid),
            (GpuError::DeviceLost, Fault::DeviceLost),
            (GpuError::Other { code: Some(1), text: "?".into() }, Fault::Other),
        ];
        for (error, fault) in rows {
            let End::DeviceFailed { fault: found, message } =
                TrainError::from(EngineError::Gpu(error.clone())).end(DeviceSpec::Cuda(0))
            else {
                panic!("{error:?}")
            };
            assert_eq!(found, fault, "{error:?}");
            assert!(message.contains(&error.to_string()) && message.contains(&error.remedy()), "{message}");
            // Whoever reads the exit code is told the same as by the error itself, but for a device that was there.
            let unavailable = error.class() == Class::Unavailable && fault != Fault::DeviceLost;
            assert_eq!(fault.is_unavailable(), unavailable, "{error:?}");
        }
    }

    #[test]
    fn a_full_disk_is_told_apart() {
        let end = |kind: std::io::ErrorKind| {
            let problem = Problem::io("write the file", std::path::Path::new("/x"), &kind.into());
            TrainError::from(problem).end(DeviceSpec::Cpu)
        };
        assert!(
            matches!(end(std::io::ErrorKind::StorageFull), End::Full { message } if message.contains("free some space"))
        );
        assert!(matches!(end(std::io::ErrorKind::QuotaExceeded), End::Full { .. }));
        assert!(matches!(end(std::io::ErrorKind::PermissionDenied), End::Failed { .. }));
    }

    #[test]
    fn memory_is_that_of_the_device() {
        let out = |error: EngineError, device| TrainError::from(error).end(device);
        let (wanted, limit) = (Bytes(9), Bytes(4));
        let plain = || EngineError::OutOfMemory { wanted, free: limit };
        assert_eq!(out(plain(), DeviceSpec::Cpu), End::OutOfMemory { wanted, limit, of: MemoryKind::Host });
        assert_eq!(out(plain(), DeviceSpec::Cuda(1)), End::OutOfMemory { wanted, limit, of: MemoryKind::Device });
        let gpu = EngineError::Gpu(GpuError::OutOfMemory { wanted: Some(wanted), free: None });
        let end = End::OutOfMemory { wanted, limit: Bytes(0), of: MemoryKind::Device };
        assert_eq!(out(gpu, DeviceSpec::Cuda(0)), end);
    }
}
