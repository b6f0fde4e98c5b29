//! The GPU as the operating system and NVIDIA's libraries show it: found, opened, listed, watched. Nothing is needed at
//! build time, nothing at start: libraries are opened on first use, and what is missing is a [`GpuError`].
//!
//! - [`Libraries`] finds the driver, cuBLAS, cuRAND, NVRTC and NVML, chooses copies that fit the driver and each other,
//!   and opens them. [`resolve`] looks an entry point up, for stubs that are bound on first call.
//! - [`Inventory`] lists the cards through NVML; [`visible`] says which of them CUDA numbers how.
//! - [`Placement`] says where allocations come to lie in a block of device memory, and an arena (with the feature
//!   `candle-cuda`) is such a block of a stream's.
//! - [`Sampler`] looks at the process and its device once in a while.
//!
//! The numbers of devices are CUDA's: `CUDA_VISIBLE_DEVICES` (which SLURM sets for a job; `SLURM_JOB_GPUS` and
//! `GPU_DEVICE_ORDINAL` say the same in other words and are not read) decides which card is device 0.
//!
//! Boundary: knows records of utilization and this machine. Must not know tensors, kernels, engines or attempts: who
//! computes on a device asks here for its libraries and turns result codes into [`GpuError`].

#[cfg(any(test, feature = "candle-cuda"))]
mod arena;
mod codes;
#[cfg(feature = "candle-cuda")]
mod destroy;
mod driver;
mod error;
mod inventory;
mod libraries;
mod linker_cache;
#[cfg(feature = "candle-cuda")]
mod memory;
mod nvml;
mod placement;
mod places;
mod ready;
mod sample;
mod search;
#[cfg(feature = "candle-cuda")]
mod stubs;
mod surroundings;
mod visible;

#[cfg(feature = "candle-cuda")]
pub use arena::{Arena, ArenaCounts};
pub use error::{CudaVersion, GpuError};
pub use inventory::{ComputeMode, Device, Inventory, MigInstance, OnCard};
pub use libraries::{Found, FoundFile, Libraries, resolve};
pub use nvml::NvmlSampler;
pub use placement::{Layout, Piece, Placement};
pub use ready::{new_enough, ready, versions};
pub use sample::{DeviceSampler, ProcessSampler, RecordedTrace, Sampler};
pub use search::{Library, LibraryFile, Survey};
pub use surroundings::{Machine, Surroundings};
pub use visible::{Visible, visible};
