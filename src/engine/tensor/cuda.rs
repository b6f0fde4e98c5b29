//! Opening an NVIDIA GPU for candle, and what it says of itself. Without the feature `candle-cuda` nothing can be opened.

use super::super::{CardRates, DeviceMemory, EngineError};
use crate::gpu::Layout;
use crate::units::Bytes;
use candle_core::Device;
use std::collections::BTreeMap;

/// Device memory that a process needs beside its arrays: the driver's context, the kernels, cuBLAS and its workspace.
/// 685 to 689 MiB were counted on an H200 under driver 580 (docs/benchmarks/gpu-h200.md).
pub(super) const OVERHEAD: u64 = 700 << 20;

#[cfg(feature = "candle-cuda")]
pub use with_cuda::card_rates;
#[cfg(feature = "candle-cuda")]
pub(super) use with_cuda::{ArrayMemory, facts, judge, memory, open};
#[cfg(not(feature = "candle-cuda"))]
pub use without_cuda::card_rates;
#[cfg(not(feature = "candle-cuda"))]
pub(super) use without_cuda::{ArrayMemory, facts, judge, memory, open};

#[cfg(not(feature = "candle-cuda"))]
mod without_cuda {
    use super::*;
    use crate::problem::Problem;

    /// There is none.
    pub(in super::super) enum ArrayMemory {}

    /// Says that this program has no GPU support.
    pub(in super::super) fn open(_: u32, _: &Layout, _: Bytes) -> Result<(Device, Option<ArrayMemory>), EngineError> {
        Err(unavailable())
    }

    /// As [`open`].
    pub fn card_rates(_: u32) -> Result<CardRates, EngineError> {
        Err(unavailable())
    }

    fn unavailable() -> EngineError {
        let problem = Problem::unavailable("this program was built without GPU support, and the device is a GPU")
            .at("resources.device")
            .remedy(
                "build it with `cargo build --release --features candle-cuda` (scripts/cuda-toolkit installs what that \
                 needs), or set resources.device = \"cpu\"",
            );
        EngineError::Unavailable(Box::new(problem))
    }

    pub(in super::super) fn memory(_: u32, _: Option<&ArrayMemory>) -> Option<DeviceMemory> {
        None
    }

    pub(in super::super) fn facts(_: &Device) -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    pub(in super::super) fn judge(text: String, _: Bytes) -> EngineError {
        EngineError::Backend(text)
    }
}

#[cfg(feature = "candle-cuda")]
mod with_cuda {
    use super::*;
    use crate::config::NUMERICS_VERSION;
    use crate::gpu::{self, GpuError};
    use crate::sys::clock::Stopwatch;
    use crate::sys::env;
    use candle_core::cuda_backend::CudaDevice;
    use candle_core::cuda_backend::cudarc::driver::{result, sys};
    use candle_core::{DType, Tensor};

    /// The block of device memory that an engine's arrays are placed in.
    pub(in super::super) struct ArrayMemory {
        arena: gpu::Arena,
        /// After the arena: its stream and context are needed until then.
        cuda: CudaDevice,
    }

    impl Drop for ArrayMemory {
        fn drop(&mut self) {
            // The driver keeps what it gave beside the block, for this process alone.
            if self.arena.counts().outside > 0 {
                let stream = self.cuda.cuda_stream();
                let context = stream.context().clone();
                // What was freed in the stream's order is free when the stream has come that far. A device that failed cannot,
                // and says so elsewhere.
                let _ = stream.synchronize().and_then(|()| {
                    context.bind_to_thread()?;
                    // SAFETY: the handles come from the driver.
                    unsafe { result::mem_pool::trim_to(result::device::get_default_mem_pool(context.cu_device())?, 0) }
                });
            }
        }
    }

    /// With the value `driver`, arrays are allocated by the driver, each by itself: to see what the block is worth.
    const ALLOCATOR: &str = "NANORESEARCH_GPU_ALLOCATOR";

    /// A device with a stream of its own, on which everything runs in order, and a `block` of it taken to place arrays in.
    /// `wanted` is what the whole process needs, for whom there is too little.
    pub(in super::super) fn open(
        ordinal: u32,
        block: &Layout,
        wanted: Bytes,
    ) -> Result<(Device, Option<ArrayMemory>), EngineError> {
        opened(ordinal, block, wanted).map_err(|error| judged(error, wanted))
    }

    fn opened(ordinal: u32, block: &Layout, wanted: Bytes) -> Result<(Device, Option<ArrayMemory>), EngineError> {
        gpu::ready(ordinal).map_err(EngineError::Gpu)?;
        let device = Device::new_cuda_with_stream(ordinal as usize)?;
        let cuda = device.as_cuda_device()?.clone();
        // SAFETY: one thread and one stream use the device, so no other stream has to wait for an event.
        unsafe { cuda.disable_event_tracking() };
        let stream = cuda.cuda_stream();
        stream.context().bind_to_thread().map_err(|e| EngineError::Backend(e.to_string()))?;
        if let Ok((free, _)) = result::mem_get_info()
            && (free as u64) < arrays_of(wanted)
        {
            return Err(EngineError::OutOfMemory { wanted, free: Bytes(free as u64) });
        }
        // Where a device knows no allocation in stream order, cudarc takes and frees each array by itself.
        if !stream.context().has_async_alloc() {
            return Ok((device, None));
        }
        keep_memory(ordinal)?;
        if env::var(ALLOCATOR).as_deref() == Some("driver") {
            return Ok((device, None));
        }
        let taken = gpu::Arena::open(stream.cu_stream() as usize, block);
        let arena = taken.map_err(|code| match GpuError::from_driver(code.unsigned_abs()) {
            GpuError::OutOfMemory { .. } => {
                let free = result::mem_get_info().map_or(0, |(free, _)| free as u64);
                EngineError::OutOfMemory { wanted, free: Bytes(free) }
            }
            error => EngineError::Gpu(error),
        })?;
        Ok((device, Some(ArrayMemory { arena, cuda })))
    }

    /// Once the context is there, its share of the overhead is spent.
    fn arrays_of(wanted: Bytes) -> u64 {
        wanted.0.saturating_sub(OVERHEAD)
    }

    /// By default the driver takes freed memory back at every synchronisation, and gives it again a moment later: so it would
    /// with what does not fit into the block.
    fn keep_memory(ordinal: u32) -> Result<(), EngineError> {
        let failed = |e: result::DriverError| EngineError::Backend(e.to_string());
        let all = u64::MAX;
        let nothing = 0u64;
        // SAFETY: the handles come from the driver, and the attributes are 64-bit numbers.
        unsafe {
            let device = result::device::get(ordinal as i32).map_err(failed)?;
            let pool = result::device::get_default_mem_pool(device).map_err(failed)?;
            // What an earlier engine of this process left there is given back, and counting begins anew.
            result::mem_pool::trim_to(pool, 0).map_err(failed)?;
            for (attribute, value) in [
                (sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &all),
                (sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH, &nothing),
            ] {
                let value = std::ptr::from_ref(value).cast_mut().cast();
                result::mem_pool::set_attribute(pool, attribute, value).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// What was counted of the arrays, and what the driver says of its memory.
    pub(in super::super) fn memory(ordinal: u32, arrays: Option<&ArrayMemory>) -> Option<DeviceMemory> {
        let ArrayMemory { arena, cuda } = arrays?;
        // The thread that asks need not be the one that opened the device.
        let (free, total) = cuda.cuda_stream().context().mem_get_info().ok()?;
        let counts = arena.counts();
        let mut beside = 0u64;
        if counts.outside > 0 {
            let attribute = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH;
            // SAFETY: the handles come from the driver, and the attribute is a 64-bit number.
            unsafe {
                let pool = result::device::get_default_mem_pool(result::device::get(ordinal as i32).ok()?).ok()?;
                result::mem_pool::get_attribute(pool, attribute, (&raw mut beside).cast()).ok()?;
            }
        }
        Some(DeviceMemory {
            arrays_peak: Bytes(counts.peak),
            reserved_peak: Bytes(counts.block + beside),
            outside_peak: Bytes(counts.outside),
            free: Bytes(free as u64),
            total: Bytes(total as u64),
        })
    }

    /// Size of the block for what is small.
    const PROBED: u64 = 64 << 20;
    /// Side of the matrices.
    const SIDE: usize = 8192;
    /// Elements of the copied array: 1 GiB of f32.
    const COPIED: usize = 1 << 28;
    /// Operations in a row.
    const LAUNCHES: usize = 2000;

    /// Measures a card in about a second. Each rate is the median of several rounds after a first one that warms up.
    pub fn card_rates(ordinal: u32) -> Result<CardRates, EngineError> {
        // An array and its copy at the same time.
        let wanted = Bytes(OVERHEAD + PROBED + 2 * 4 * COPIED as u64);
        rates(ordinal, wanted).map_err(|error| judged(error, wanted))
    }

    fn rates(ordinal: u32, wanted: Bytes) -> Result<CardRates, EngineError> {
        // Small operations as in training, placed in a block; the large arrays do not fit and are the driver's.
        let (device, _arena) = open(ordinal, &Layout::of(PROBED), wanted)?;
        let median = |work: &dyn Fn() -> candle_core::Result<()>, rounds: usize| -> Result<f64, EngineError> {
            work()?;
            device.synchronize()?;
            let mut times = Vec::with_capacity(rounds);
            for _ in 0..rounds {
                let watch = Stopwatch::start();
                work()?;
                device.synchronize()?;
                times.push(watch.seconds());
            }
            times.sort_by(f64::total_cmp);
            Ok(times[rounds / 2])
        };
        let product = |dtype: DType, rounds: usize| -> Result<f64, EngineError> {
            let random = || Tensor::randn(0f32, 1f32, (SIDE, SIDE), &device)?.to_dtype(dtype);
            let (a, b) = (random()?, random()?);
            let flops = 2.0 * (SIDE as f64).powi(3);
            Ok(flops / median(&|| a.matmul(&b).map(drop), rounds)?)
        };
        let (matmul_bf16, matmul_f32) = (product(DType::BF16, 15)?, product(DType::F32, 5)?);
        let large = Tensor::zeros(COPIED, DType::F32, &device)?.affine(0.0, 1.0)?;
        let copy = 2.0 * 4.0 * COPIED as f64 / median(&|| large.copy().map(drop), 15)?;
        let small = Tensor::zeros(64, DType::F32, &device)?;
        let many = || (0..LAUNCHES).try_for_each(|_| small.affine(1.0, 1.0).map(drop));
        let launch_seconds = median(&many, 5)? / LAUNCHES as f64;
        Ok(CardRates { matmul_bf16, matmul_f32, copy, launch_seconds })
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
        facts.extend(gpu::versions());
        facts
    }

    fn judged(error: EngineError, footprint: Bytes) -> EngineError {
        match error {
            EngineError::Backend(text) => judge(text, footprint),
            error => error,
        }
    }

    /// An error of candle's or cudarc's, in the terms of the device.
    pub(in super::super) fn judge(text: String, footprint: Bytes) -> EngineError {
        match GpuError::from_message(&text) {
            Some(GpuError::OutOfMemory { .. }) => {
                let free = result::mem_get_info().map_or(0, |(free, _)| free as u64);
                EngineError::OutOfMemory { wanted: footprint, free: Bytes(free) }
            }
            Some(error) => EngineError::Gpu(error),
            None => EngineError::Backend(text),
        }
    }
}
