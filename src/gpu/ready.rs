//! Whether tensors can be had on a device of this process, before anything that might panic is asked for one.

#[cfg(feature = "candle-cuda")]
use super::error::CudaVersion;
use super::error::GpuError;
use super::libraries::Libraries;
use super::search::Library;
use std::collections::BTreeMap;

/// The CUDA version whose compiler made the kernels that this program carries: a driver must support it to load them.
#[cfg(feature = "candle-cuda")]
const KERNELS: CudaVersion = CudaVersion(13_000);

/// Opens what tensors on a GPU need and checks that the device is there. What is missing is said with its remedy.
pub fn ready(ordinal: u32) -> Result<(), GpuError> {
    let libraries = Libraries::get();
    libraries.need(Library::Driver)?;
    // The driver's own word on the devices comes first: a machine without any needs no libraries.
    let shown = match libraries.device_count() {
        // So says the driver itself where it shows none.
        Err(GpuError::NoDevice) => 0,
        other => other?,
    };
    if ordinal >= shown {
        return Err(GpuError::NoSuchDevice { wanted: ordinal, shown });
    }
    new_enough(libraries)?;
    Libraries::open().map(|_| ())
}

/// Whether the driver can load the kernels that this program carries, where it carries any.
pub fn new_enough(libraries: &Libraries) -> Result<(), GpuError> {
    #[cfg(feature = "candle-cuda")]
    if let Some(have) = libraries.driver_version().filter(|have| *have < KERNELS) {
        return Err(GpuError::DriverTooOld { have: Some(have), need: Some(KERNELS) });
    }
    let _ = libraries;
    Ok(())
}

/// Versions of the driver and of the libraries that compute, by name, for fingerprints. Opens them.
pub fn versions() -> BTreeMap<String, String> {
    let libraries = Libraries::get();
    let mut versions = BTreeMap::new();
    if let Some(version) = libraries.driver_version() {
        versions.insert("cuda-driver".to_string(), version.to_string());
    }
    for library in [Library::Cublas, Library::CublasLt] {
        if let Some(version) = libraries.need(library).ok().and_then(|opened| opened.version.clone()) {
            versions.insert(library.stem().trim_start_matches("lib").to_string(), version);
        }
    }
    versions
}
