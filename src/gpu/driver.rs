//! The few questions that are asked of the CUDA driver itself. None makes a context or takes memory of a device.

use super::error::GpuError;
use super::libraries::Libraries;
use super::search::Library;
use crate::units::Bytes;
use std::ffi::{CStr, c_char, c_int, c_uint};

type Init = unsafe extern "C" fn(c_uint) -> c_int;
type Count = unsafe extern "C" fn(*mut c_int) -> c_int;
type Get = unsafe extern "C" fn(*mut c_int, c_int) -> c_int;
type Uuid = unsafe extern "C" fn(*mut [u8; 16], c_int) -> c_int;
type Name = unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int;
type Memory = unsafe extern "C" fn(*mut usize, c_int) -> c_int;

fn checked(result: c_int) -> Result<(), GpuError> {
    if result == 0 { Ok(()) } else { Err(GpuError::from_driver(result.unsigned_abs())) }
}

impl Libraries {
    /// An entry point of the driver, of the type that cuda.h gives it.
    pub(super) fn driver_function<T: Copy>(&self, name: &CStr) -> Result<T, GpuError> {
        let driver = self.need(Library::Driver)?;
        // SAFETY: the types here and in `memory` are cuda.h's for the names that they are used with.
        let function = unsafe { driver.function::<T>(name) };
        let missing = || GpuError::SymbolMissing { library: driver.path.clone(), name: name.to_string_lossy().into() };
        function.ok_or_else(missing)
    }

    /// Number of devices that CUDA shows to this process. Initialises the driver, which reads
    /// CUDA_VISIBLE_DEVICES once.
    pub fn device_count(&self) -> Result<u32, GpuError> {
        let init: Init = self.driver_function(c"cuInit")?;
        let count: Count = self.driver_function(c"cuDeviceGetCount")?;
        let mut number = 0;
        // SAFETY: cuInit takes only 0; the number outlives the call.
        unsafe {
            checked(init(0))?;
            checked(count(&mut number))?;
        }
        Ok(number.unsigned_abs())
    }

    /// The UUID of a device, or of the MIG instance that stands for one: 36 characters, without
    /// NVML's `GPU-` or `MIG-`.
    pub fn device_uuid(&self, ordinal: u32) -> Result<String, GpuError> {
        let device = self.device(ordinal)?;
        // The first version of this call tells a MIG instance's card instead of the instance.
        let uuid: Uuid = self.driver_function(c"cuDeviceGetUuid_v2")?;
        let mut bytes = [0; 16];
        // SAFETY: the driver is initialised; the bytes outlive the call.
        checked(unsafe { uuid(&mut bytes, device) })?;
        Ok(written(&bytes))
    }

    /// What kind of device it is: its name, an instance's size included, and all of its memory.
    pub fn device_kind(&self, ordinal: u32) -> Result<(String, Bytes), GpuError> {
        let device = self.device(ordinal)?;
        let name: Name = self.driver_function(c"cuDeviceGetName")?;
        let memory: Memory = self.driver_function(c"cuDeviceTotalMem_v2")?;
        let (mut letters, mut bytes) = ([0; NAME_LENGTH], 0);
        // SAFETY: the driver is initialised; it writes no more letters than it is told, and both outlive the calls.
        unsafe {
            checked(name(letters.as_mut_ptr(), NAME_LENGTH as c_int - 1, device))?;
            checked(memory(&mut bytes, device))?;
        }
        // SAFETY: the last letter was kept from the driver and is 0.
        let name = unsafe { CStr::from_ptr(letters.as_ptr()) };
        Ok((name.to_string_lossy().into_owned(), Bytes(bytes as u64)))
    }

    /// The driver's handle of a device.
    fn device(&self, ordinal: u32) -> Result<c_int, GpuError> {
        if ordinal >= self.device_count()? {
            return Err(GpuError::NoDevice);
        }
        let get: Get = self.driver_function(c"cuDeviceGet")?;
        let mut device = 0;
        // SAFETY: the driver is initialised; the number outlives the call.
        checked(unsafe { get(&mut device, c_int::try_from(ordinal).map_err(|_| GpuError::NoDevice)?) })?;
        Ok(device)
    }
}

/// Letters of a device's name, with the 0 at its end.
const NAME_LENGTH: usize = 256;

/// `8932f937-d72c-4106-c12f-20bd9faed9f6`.
fn written(bytes: &[u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (i, byte) in bytes.iter().enumerate() {
        if [4, 6, 8, 10].contains(&i) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_uuid_is_written_as_nvml_writes_it() {
        let bytes = [0x89, 0x32, 0xf9, 0x37, 0xd7, 0x2c, 0x41, 0x06, 0xc1, 0x2f, 0x20, 0xbd, 0x9f, 0xae, 0xd9, 0x06];
        assert_eq!(super::written(&bytes), "8932f937-d72c-4106-c12f-20bd9faed906");
    }
}
