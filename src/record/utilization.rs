//! `utilization.jsonl`: what the device and the process did while an attempt ran, about once a second.
//!
//! The first line is of the attempt's first moments, the last of its end; what the lines amount to is in
//! [`super::utilization_summary`]. Readers pass over fields that they do not know. Where a second process goes on in the same
//! folder (`train --resume`), its lines follow those of the first and count seconds from 0 again.

use crate::problem::{Problem, Result};
use crate::sys::fs;
use crate::units::Bytes;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Name of the file in the attempt's folder.
pub const UTILIZATION_FILE: &str = "utilization.jsonl";

/// One look at the machine. What a device or a driver does not tell is absent, never zero.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Utilization {
    /// Seconds since the attempt began.
    pub seconds: f64,
    /// Processor time of this process since the last look, in cores (2.0: two cores busy).
    pub cores: f64,
    /// Resident memory of this process.
    pub memory: Bytes,
    /// The device the attempt runs on; absent on a CPU, and where NVML is not to be had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<GpuSample>,
}

/// What NVML tells of one device.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct GpuSample {
    /// Share of the last sampling period in which a kernel ran, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub busy: Option<f64>,
    /// Share in which device memory was read or written, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_busy: Option<f64>,
    /// Device memory in use, by everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_used: Option<Bytes>,
    /// Device memory in use by this process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_own: Option<Bytes>,
    /// Power draw in watts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watts: Option<f64>,
    /// The device's energy counter in joules, since its driver was loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joules: Option<f64>,
    /// Clock of the multiprocessors in MHz.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sm_mhz: Option<u32>,
    /// Clock of the memory in MHz.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mhz: Option<u32>,
    /// Temperature of the chip in degrees Celsius.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub celsius: Option<u32>,
    /// Why the clocks are below what they could be: NVML's names in lower case, `sw-power-cap`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub throttled: Vec<String>,
    /// Memory errors that ECC could not correct, since the last boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ecc_uncorrected: Option<u64>,
    /// Number of the newest Xid event since the attempt began: the driver's report of a fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xid: Option<u64>,
}

/// Appends samples; one that cannot be written is an error for the caller to report, and must not end an attempt.
#[derive(Debug)]
pub struct UtilizationWriter {
    file: fs::Appender,
}

impl UtilizationWriter {
    /// Opens or creates the file in an attempt's folder. The torn last line of a process that was killed is cut off.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(UTILIZATION_FILE);
        let bytes = fs::read_if_there(&path)?.unwrap_or_default();
        let whole = whole_lines(&bytes).len();
        if whole < bytes.len() {
            fs::truncate(&path, whole as u64)?;
        }
        Ok(UtilizationWriter { file: fs::Appender::open(&path)? })
    }

    /// Appends one line.
    pub fn append(&mut self, sample: &Utilization) -> Result<()> {
        let mut line =
            serde_json::to_vec(sample).map_err(|e| Problem::failed(format!("cannot write a utilization line: {e}")))?;
        line.push(b'\n');
        self.file.append(&line)
    }
}

/// Reads the samples of an attempt's folder; none where there is no file. A torn last line is left out.
pub fn read_utilization(folder: &Path) -> Result<Vec<Utilization>> {
    let path = folder.join(UTILIZATION_FILE);
    let bytes = fs::read_if_there(&path)?.unwrap_or_default();
    let lines = whole_lines(&bytes).split(|&b| b == b'\n').enumerate().filter(|(_, line)| !line.is_empty());
    lines
        .map(|(index, line)| {
            serde_json::from_slice(line).map_err(|e| {
                Problem::usage(format!("not a utilization record: {e}"))
                    .at(format!("{}:{}", path.display(), index + 1))
                    .remedy("the file is damaged or written by a newer nanoresearch; it may be deleted")
            })
        })
        .collect()
}

/// All but a last line without its end.
fn whole_lines(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.iter().rposition(|&b| b == b'\n').map_or(0, |end| end + 1)]
}
