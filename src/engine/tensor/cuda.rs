//! Opening an NVIDIA GPU for candle, and what it says of itself. Without the feature `candle-cuda` nothing can be opened.

use super::super::EngineError;
use crate::units::Bytes;
use candle_core::Device;
use std::collections::BTreeMap;

/// Device memory that a process needs beside its arrays: the driver's context, the kernels, cuBLAS and its workspace.
const OVERHEAD: u64 = 700 << 20;

/// The allocator takes memory from the driver in portions and cannot fill every gap, so arrays occupy a little more than
/// their sizes add up to.
const FRAGMENTATION: f64 = 1.03;

/// Memory of the device that a process with these arrays at its peak needs in all.
pub(super) fn with_overhead(arrays: Bytes) -> Bytes {
    Bytes((arrays.0 as f64 * FRAGMENTATION) as u64 + OVERHEAD)
}

#[cfg(feature = "candle-cuda")]
pub(super) use with_cuda::{facts, judge, open};
#[cfg(not(feature = "candle-cuda"))]
pub(super) use without_cuda::{facts, judge, open};

#[cfg(not(feature = "candle-cuda"))]
mod without_cuda {
    use super::*;
    use crate::problem::Problem;

    /// Says that this program has no GPU support.
    pub(in super::super) fn open(_: u32, _: Bytes) -> Result<Device, EngineError> {
        let problem = Problem::unavailable("this program was built without GPU support, and the device is a GPU")
            .at("resources.device")
            .remedy(
                "build it with `cargo build --release --features candle-cuda` (scripts/cuda-toolkit installs what that \
                 needs), or set resources.device = \"cpu\"",
            );
        Err(EngineError::Unavailable(Box::new(problem)))
    }

    pub(in super::super) fn facts(_: &Device) -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    pub(in super::super) fn judge(_: &Device, text: String, _: Bytes) -> EngineError {
        EngineError::Backend(text)
    }
}

#[cfg(feature = "candle-cuda")]
mod with_cuda {
    use super::*;
    use crate::config::NUMERICS_VERSION;
    use candle_core::cuda_backend::CudaDevice;
    use candle_core::cuda_backend::cudarc::driver::{result, sys};

    /// A device with a stream of its own, on which everything runs in order. `wanted` is what its programs need.
    pub(in super::super) fn open(ordinal: u32, wanted: Bytes) -> Result<Device, EngineError> {
        crate::gpu::require(ordinal).map_err(|problem| EngineError::Unavailable(Box::new(problem)))?;
        let refused =
            |e: candle_core::Error| EngineError::Unavailable(Box::new(crate::gpu::judge(&e.to_string()).into()));
        let device = Device::new_cuda_with_stream(ordinal as usize).map_err(refused)?;
        let cuda = device.as_cuda_device()?;
        // SAFETY: one thread and one stream use the device, so no other stream has to wait for an event.
        unsafe { cuda.disable_event_tracking() };
        keep_memory(cuda, ordinal)?;
        if let Ok((free, _)) = result::mem_get_info()
            && (free as u64) < arrays_of(wanted)
        {
            return Err(EngineError::OutOfMemory { wanted, free: Bytes(free as u64) });
        }
        Ok(device)
    }

    /// Once the context is there, its share of the overhead is spent.
    fn arrays_of(wanted: Bytes) -> u64 {
        wanted.0.saturating_sub(OVERHEAD)
    }

    /// By default the driver takes freed memory back at every synchronisation, and gives it again a moment later.
    fn keep_memory(cuda: &CudaDevice, ordinal: u32) -> Result<(), EngineError> {
        let failed = |e: result::DriverError| EngineError::Backend(e.to_string());
        cuda.cuda_stream().context().bind_to_thread().map_err(failed)?;
        let all = u64::MAX;
        // SAFETY: the handles come from the driver, and the attribute is a 64-bit number.
        unsafe {
            let device = result::device::get(ordinal as i32).map_err(failed)?;
            let pool = result::device::get_default_mem_pool(device).map_err(failed)?;
            let threshold = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
            result::mem_pool::set_attribute(pool, threshold, (&raw const all).cast_mut().cast()).map_err(failed)
        }
    }

    /// What decides the bits of results: chip, driver, libraries.
    pub(in super::super) fn facts(device: &Device) -> BTreeMap<String, String> {
        let mut facts = BTreeMap::from([
            ("numerics".to_string(), NUMERICS_VERSION.to_string()),
            ("candle".to_string(), super::super::super::fingerprint::CANDLE.to_string()),
        ]);
        if let Ok(cuda) = device.as_cuda_device() {
            let stream = cuda.cuda_stream();
            let context = stream.context();
            facts.insert("device".into(), context.name().unwrap_or_else(|e| format!("unknown: {e}")));
            if let Ok((major, minor)) = context.compute_capability() {
                facts.insert("capability".into(), format!("{major}.{minor}"));
            }
        }
        facts.extend(crate::gpu::versions());
        facts
    }

    /// An error of candle's or cudarc's, in the terms of the device.
    pub(in super::super) fn judge(_: &Device, text: String, footprint: Bytes) -> EngineError {
        if text.contains("CUDA_ERROR_OUT_OF_MEMORY") || text.contains("CUBLAS_STATUS_ALLOC_FAILED") {
            let free = result::mem_get_info().map_or(0, |(free, _)| free as u64);
            return EngineError::OutOfMemory { wanted: footprint, free: Bytes(free) };
        }
        EngineError::Backend(text)
    }
}
