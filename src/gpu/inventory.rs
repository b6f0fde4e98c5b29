//! The machine's NVIDIA cards as NVML lists them.

use super::error::{CudaVersion, GpuError};
use super::nvml;
use super::visible::{Visible, visible};
use crate::units::Bytes;
use nvml_wrapper::Device as NvmlDevice;
use nvml_wrapper::enum_wrappers::device::ComputeMode as NvmlMode;
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;

/// All cards that this process may look at.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Inventory {
    /// Version of the driver: `580.82.07`.
    pub driver: Option<String>,
    /// The CUDA version that it supports.
    pub cuda: Option<CudaVersion>,
    /// The cards, by bus.
    pub devices: Vec<Device>,
}

/// One card. What it does not tell is absent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Device {
    /// NVML's number of it, which is `nvidia-smi`'s.
    pub index: u32,
    /// `NVIDIA H100 80GB HBM3`.
    pub name: String,
    /// `GPU-8932f937-d72c-4106-c12f-20bd9faed9f6`.
    pub uuid: String,
    /// Compute capability: (9, 0).
    pub capability: Option<(u32, u32)>,
    /// All of its memory.
    pub memory: Option<Bytes>,
    /// Memory that nobody uses.
    pub free: Option<Bytes>,
    /// Whether it is split into instances; absent where it cannot be.
    pub mig: Option<bool>,
    /// The instances of a split card.
    pub instances: Vec<MigInstance>,
    /// Who may compute on it.
    pub mode: Option<ComputeMode>,
    /// Processes that compute on it, as far as this process may see them.
    pub processes: Vec<OnCard>,
    /// Why nothing can be said of it.
    pub problem: Option<GpuError>,
}

/// A part of a split card.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MigInstance {
    /// `MIG-8932f937-...`.
    pub uuid: String,
    /// `NVIDIA H100 80GB HBM3 MIG 1g.10gb`.
    pub name: String,
    /// All of its memory.
    pub memory: Option<Bytes>,
    /// Memory that nobody uses.
    pub free: Option<Bytes>,
}

/// Who may compute on a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ComputeMode {
    /// Everybody.
    Shared,
    /// One process at a time.
    Exclusive,
    /// Nobody.
    Prohibited,
}

/// A process on a card.
#[derive(Debug, Clone, PartialEq)]
pub struct OnCard {
    /// Its number on the host, which in a container is not the one that it has inside.
    pub pid: u32,
    /// Device memory that it holds.
    pub memory: Option<Bytes>,
}

impl Inventory {
    /// Asks NVML now.
    pub fn take() -> Result<Inventory, GpuError> {
        let nvml = nvml::library()?;
        let count = nvml.device_count().map_err(|e| nvml::error(&e))?;
        let devices = (0..count)
            .filter_map(|index| match nvml.device_by_index(index) {
                Ok(device) => Some(describe(index, &device)),
                // Not for this process: CUDA does not count it either.
                Err(NvmlError::NoPermission) => None,
                Err(error) => Some(Device { index, problem: Some(nvml::error(&error)), ..Device::default() }),
            })
            .collect();
        let cuda = nvml.sys_cuda_driver_version().ok().and_then(|v| u32::try_from(v).ok()).map(CudaVersion);
        Ok(Inventory { driver: nvml.sys_driver_version().ok(), cuda, devices })
    }

    /// The card, or the instance of one, that has this UUID, written without NVML's `GPU-` or `MIG-`.
    pub fn with_uuid(&self, uuid: &str) -> Option<Visible> {
        let is = |named: &str, kind: &str| named.strip_prefix(kind) == Some(uuid);
        self.devices.iter().enumerate().find_map(|(device, card)| {
            let instance = card.instances.iter().position(|i| is(&i.uuid, "MIG-"));
            let whole = is(&card.uuid, "GPU-");
            (whole || instance.is_some()).then_some(Visible { device, instance })
        })
    }

    /// What CUDA numbers 0, 1, ... under a value of `CUDA_VISIBLE_DEVICES`.
    pub fn visible(&self, setting: Option<&str>) -> Vec<Visible> {
        visible(&self.devices, setting)
    }
}

fn describe(index: u32, device: &NvmlDevice<'_>) -> Device {
    let (memory, free) = memory(device);
    let mig = device.mig_mode().ok().map(|mode| mode.current == 1);
    let instances = if mig == Some(true) { instances(device) } else { Vec::new() };
    let capability = device.cuda_compute_capability().ok();
    let mode = device.compute_mode().ok().map(|mode| match mode {
        NvmlMode::Default => ComputeMode::Shared,
        NvmlMode::ExclusiveThread | NvmlMode::ExclusiveProcess => ComputeMode::Exclusive,
        NvmlMode::Prohibited => ComputeMode::Prohibited,
    });
    let uuid = device.uuid();
    Device {
        index,
        name: device.name().unwrap_or_default(),
        capability: capability.map(|c| (c.major.unsigned_abs(), c.minor.unsigned_abs())),
        memory,
        free,
        mig,
        instances,
        mode,
        processes: processes(device),
        problem: uuid.as_ref().err().map(nvml::error),
        uuid: uuid.unwrap_or_default(),
    }
}

fn memory(device: &NvmlDevice<'_>) -> (Option<Bytes>, Option<Bytes>) {
    let info = device.memory_info().ok();
    (info.as_ref().map(|info| Bytes(info.total)), info.as_ref().map(|info| Bytes(info.free)))
}

fn instances(device: &NvmlDevice<'_>) -> Vec<MigInstance> {
    let most = device.mig_device_count().unwrap_or(0);
    let found = (0..most).filter_map(|index| {
        let instance = device.mig_device_by_index(index).ok()?;
        let (memory, free) = memory(&instance);
        Some(MigInstance { uuid: instance.uuid().ok()?, name: instance.name().unwrap_or_default(), memory, free })
    });
    found.collect()
}

/// Processes that compute on a card or an instance.
pub(super) fn processes(device: &NvmlDevice<'_>) -> Vec<OnCard> {
    let known = |memory: &UsedGpuMemory| match memory {
        UsedGpuMemory::Used(bytes) => Some(Bytes(*bytes)),
        UsedGpuMemory::Unavailable => None,
    };
    let running = device.running_compute_processes().unwrap_or_default();
    running.iter().map(|process| OnCard { pid: process.pid, memory: known(&process.used_gpu_memory) }).collect()
}
