//! NVML: opened once, its errors in our words, and one device watched through it.

use super::error::GpuError;
use super::inventory::{Inventory, processes};
use super::libraries::Libraries;
use super::sample::DeviceSampler;
use super::search::Library;
use crate::record::GpuSample;
use crate::sys::env;
use crate::units::Bytes;
use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::bitmasks::event::EventTypes;
use nvml_wrapper::enum_wrappers::device::{Clock, EccCounter, MemoryError, TemperatureSensor};
use nvml_wrapper::enums::event::XidError;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, EventSet, Nvml};
use std::sync::OnceLock;

/// NVML, initialised on the first call and never shut down.
pub fn library() -> Result<&'static Nvml, GpuError> {
    static NVML: OnceLock<Result<Nvml, GpuError>> = OnceLock::new();
    let opened = NVML.get_or_init(|| {
        let path = &Libraries::get().need(Library::Nvml)?.path;
        Nvml::builder().lib_path(path.as_os_str()).init().map_err(|e| error(&e))
    });
    opened.as_ref().map_err(Clone::clone)
}

/// NVML's error as ours.
pub fn error(error: &NvmlError) -> GpuError {
    match error {
        NvmlError::DriverNotLoaded => GpuError::NoDriver,
        NvmlError::LibRmVersionMismatch => GpuError::DriverMismatch,
        NvmlError::GpuLost | NvmlError::ResetRequired => GpuError::DeviceLost,
        NvmlError::NotFound => GpuError::NoDevice,
        NvmlError::InUse => GpuError::Busy,
        other => GpuError::Other { code: None, text: format!("NVML: {other}") },
    }
}

/// One device, watched through NVML.
#[derive(Debug)]
pub struct NvmlSampler {
    device: Device<'static>,
    /// Reports of faults; absent where the device does not send any.
    faults: Option<EventSet<'static>>,
    own: u32,
    xid: Option<u64>,
}

impl NvmlSampler {
    /// The device that CUDA numbers so in this process. The driver is asked which card that is; where it does not say,
    /// `CUDA_VISIBLE_DEVICES` does.
    pub fn open(ordinal: u32) -> Result<NvmlSampler, GpuError> {
        let nvml = library()?;
        let device = by_driver(nvml, ordinal).map_or_else(|| by_variable(nvml, ordinal), Ok)?;
        let faults = nvml.create_event_set().ok();
        let faults = faults.and_then(|set| device.register_events(EventTypes::CRITICAL_XID_ERROR, set).ok());
        Ok(NvmlSampler { device, faults, own: std::process::id(), xid: None })
    }

    /// Takes in every fault reported since the last call; keeps the newest.
    fn hear(&mut self) {
        // NVML holds a bounded number of events; the bound here only ends a loop that a broken driver would not.
        for _ in 0..64 {
            let Some(Ok(event)) = self.faults.as_ref().map(|set| set.wait(0)) else { return };
            self.xid = match event.event_data {
                Some(XidError::Value(number)) => Some(number),
                // NVML's own number for one that it cannot tell.
                Some(XidError::Unknown) => Some(999),
                None => self.xid,
            };
        }
    }
}

fn by_driver(nvml: &'static Nvml, ordinal: u32) -> Option<Device<'static>> {
    let uuid = Libraries::get().device_uuid(ordinal).ok()?;
    ["GPU", "MIG"].iter().find_map(|kind| nvml.device_by_uuid(format!("{kind}-{uuid}")).ok())
}

fn by_variable(nvml: &'static Nvml, ordinal: u32) -> Result<Device<'static>, GpuError> {
    let inventory = Inventory::take()?;
    let shown = inventory.visible(env::var_even_empty("CUDA_VISIBLE_DEVICES").as_deref());
    let chosen = shown.get(ordinal as usize).ok_or(GpuError::NoDevice)?;
    let card = &inventory.devices[chosen.device];
    let uuid = chosen.instance.map_or(&card.uuid, |instance| &card.instances[instance].uuid);
    nvml.device_by_uuid(uuid.as_str()).map_err(|e| error(&e))
}

impl DeviceSampler for NvmlSampler {
    fn sample(&mut self) -> Option<GpuSample> {
        self.hear();
        let device = &self.device;
        let share = |percent: u32| f64::from(percent) / 100.0;
        let rates = device.utilization_rates().ok();
        let own = || processes(device).into_iter().find(|process| process.pid == self.own)?.memory;
        Some(GpuSample {
            busy: rates.as_ref().map(|rates| share(rates.gpu)),
            memory_busy: rates.as_ref().map(|rates| share(rates.memory)),
            memory_used: device.memory_info().ok().map(|info| Bytes(info.used)),
            memory_own: own(),
            watts: device.power_usage().ok().map(|milliwatts| f64::from(milliwatts) / 1e3),
            joules: device.total_energy_consumption().ok().map(|millijoules| millijoules as f64 / 1e3),
            sm_mhz: device.clock_info(Clock::SM).ok(),
            memory_mhz: device.clock_info(Clock::Memory).ok(),
            celsius: device.temperature(TemperatureSensor::Gpu).ok(),
            throttled: device.current_throttle_reasons().map(throttles).unwrap_or_default(),
            ecc_uncorrected: device.total_ecc_errors(MemoryError::Uncorrected, EccCounter::Volatile).ok(),
            xid: self.xid,
        })
    }
}

/// NVML's names in lower case.
fn throttles(reasons: ThrottleReasons) -> Vec<String> {
    reasons.iter_names().map(|(name, _)| name.to_lowercase().replace('_', "-")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_have_the_names_that_records_use() {
        assert_eq!(throttles(ThrottleReasons::NONE), [""; 0]);
        let two = ThrottleReasons::SW_POWER_CAP | ThrottleReasons::HW_THERMAL_SLOWDOWN;
        assert_eq!(throttles(two), ["sw-power-cap", "hw-thermal-slowdown"]);
        assert_eq!(throttles(ThrottleReasons::APPLICATIONS_CLOCKS_SETTING), ["applications-clocks-setting"]);
        assert_eq!(throttles(ThrottleReasons::all()).len(), 9, "each bit once");
    }

    #[test]
    fn errors_that_somebody_acts_on() {
        let cases = [
            (NvmlError::DriverNotLoaded, GpuError::NoDriver),
            (NvmlError::LibRmVersionMismatch, GpuError::DriverMismatch),
            (NvmlError::GpuLost, GpuError::DeviceLost),
            (NvmlError::ResetRequired, GpuError::DeviceLost),
            (NvmlError::NotFound, GpuError::NoDevice),
        ];
        for (theirs, ours) in cases {
            assert_eq!(error(&theirs), ours, "{theirs:?}");
        }
        assert!(matches!(error(&NvmlError::Timeout), GpuError::Other { code: None, .. }));
    }
}
