//! Why a GPU is not to be had or failed, as far as anybody acts on it, and what a person reads.

use crate::problem::{Class, Problem};
use crate::units::Bytes;
use std::fmt;
use std::path::PathBuf;

/// A version as CUDA counts: 13000 is 13.0, 12040 is 12.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CudaVersion(pub u32);

impl CudaVersion {
    /// 13 of 13.0.
    pub fn major(self) -> u32 {
        self.0 / 1000
    }

    /// The oldest driver branch that runs programs of this major version, by NVIDIA's table of compatibility.
    pub fn oldest_driver(self) -> &'static str {
        match self.major() {
            ..=11 => "450",
            12 => "525",
            _ => "580",
        }
    }
}

impl fmt::Display for CudaVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major(), self.0 % 1000 / 10)
    }
}

/// What went wrong with a device, a driver or a library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GpuError {
    /// No driver library, or a stub in its place, or a driver that cannot be initialised.
    NoDriver,
    /// The driver works and shows no device, or not the one that was asked for.
    NoDevice,
    /// The driver works, and shows this process fewer devices than the one that was asked for has a number.
    NoSuchDevice {
        /// The number that was asked for, from 0.
        wanted: u32,
        /// How many there are.
        shown: u32,
    },
    /// The libraries or the code need a newer driver.
    DriverTooOld {
        /// What the driver supports.
        have: Option<CudaVersion>,
        /// What is needed.
        need: Option<CudaVersion>,
    },
    /// The driver's library and its kernel module are of different versions.
    DriverMismatch,
    /// The driver is there, a service that it needs is not: fabric manager, multi-process server.
    NotReady,
    /// The code was made for another chip.
    WrongChip,
    /// No file of that name in any place.
    LibraryMissing {
        /// File name or names.
        name: String,
        /// The folders that were looked through.
        looked: Vec<PathBuf>,
    },
    /// The file is there and cannot be opened.
    LibraryBroken {
        /// Its path.
        path: PathBuf,
        /// What the dynamic linker said.
        why: String,
    },
    /// The library is there and lacks an entry point.
    SymbolMissing {
        /// Its path.
        library: PathBuf,
        /// The entry point.
        name: String,
    },
    /// Somebody else has the device for themselves, or nobody may compute on it.
    Busy,
    /// Device memory ran out.
    OutOfMemory {
        /// What was asked for, where that is known.
        wanted: Option<Bytes>,
        /// What was free, where that is known.
        free: Option<Bytes>,
    },
    /// A kernel read or wrote where it must not, or ran into an illegal instruction: a fault of the program, and the
    /// context is gone.
    IllegalAccess,
    /// Memory or a link failed beyond correction: a fault of the hardware.
    Ecc,
    /// The driver reported a fault by number.
    Xid(u64),
    /// The device is no longer reachable.
    DeviceLost,
    /// Anything else.
    Other {
        /// The driver's result code, where there is one.
        code: Option<u32>,
        /// What was said.
        text: String,
    },
}

impl GpuError {
    /// Unavailable where the GPU is not to be had, whoever tries; failed where work on it went wrong.
    pub fn class(&self) -> Class {
        match self {
            GpuError::OutOfMemory { .. }
            | GpuError::IllegalAccess
            | GpuError::Ecc
            | GpuError::Xid(_)
            | GpuError::Other { .. } => Class::Failed,
            _ => Class::Unavailable,
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> String {
        match self {
            GpuError::NoDriver => {
                "install NVIDIA's driver; in a container, start it with the driver's libraries (`docker run --gpus \
                all`, `apptainer run --nv`); on a cluster, ask for a GPU (the site file's `gpus`)"
                    .into()
            }
            GpuError::NoDevice | GpuError::NoSuchDevice { shown: 0, .. } => {
                "check `nvidia-smi -L` and CUDA_VISIBLE_DEVICES; on a cluster, ask for a GPU (the site file's `gpus`)"
                    .into()
            }
            GpuError::NoSuchDevice { .. } => {
                "choose one of those; `nvidia-smi -L` lists the machine's cards, and CUDA_VISIBLE_DEVICES (which SLURM \
                sets) says which of them a process sees, and in what order they are counted"
                    .into()
            }
            GpuError::DriverTooOld { have, need } => {
                let driver = need
                    .map_or_else(|| "a newer branch".to_string(), |need| format!("{} or later", need.oldest_driver()));
                let older = match have {
                    // The kernels that such a build carries need their own driver, whatever the libraries.
                    Some(_) if cfg!(feature = "candle-cuda") => String::new(),
                    Some(have) if need.is_none_or(|need| have.major() < need.major()) && have.major() >= 12 => {
                        format!(", or install the libraries of CUDA {}", have.major())
                    }
                    _ => String::new(),
                };
                format!("update NVIDIA's driver to {driver}{older}")
            }
            GpuError::DriverMismatch => {
                "restart the machine after the driver's update, or take `compat` folders of another \
                version out of LD_LIBRARY_PATH"
                    .into()
            }
            GpuError::NotReady => {
                "see that `nvidia-fabricmanager` (machines with NVSwitch) or the multi-process server, where \
                one is used, runs on this machine"
                    .into()
            }
            GpuError::WrongChip => {
                "build for this chip: CUDA_COMPUTE_CAP=80 at build time gives code for every chip since Ampere".into()
            }
            GpuError::LibraryMissing { name, .. } => install(name),
            GpuError::LibraryBroken { .. } => "install that library anew, or put a folder with a sound copy first in \
                LD_LIBRARY_PATH"
                .into(),
            GpuError::SymbolMissing { .. } => {
                "install a newer release of that library, or put a folder with one first in \
                LD_LIBRARY_PATH"
                    .into()
            }
            GpuError::Busy => {
                "see who computes there (`nvidia-smi`) and in what compute mode the card is (`nvidia-smi -q -d \
                COMPUTE`); choose another card with CUDA_VISIBLE_DEVICES"
                    .into()
            }
            GpuError::OutOfMemory { .. } => {
                "make training.micro_batch or the model smaller, or free the card of other \
                processes (`nvidia-smi`)"
                    .into()
            }
            GpuError::IllegalAccess => {
                "report it with the experiment: this is a fault of the program, and running it again \
                is likely to end alike"
                    .into()
            }
            GpuError::Ecc => {
                "keep work off this card and have it looked at: `nvidia-smi -q -d ECC,ROW_REMAPPER`".into()
            }
            GpuError::Xid(number) => format!("{}; the kernel's log has the rest: `dmesg | grep Xid`", xid(*number).1),
            GpuError::DeviceLost => "reset or restart the machine; keep work off this card if it happens again".into(),
            GpuError::Other { .. } => {
                "run `nanoresearch doctor`, and look into the kernel's log (`dmesg | grep NVRM`)".into()
            }
        }
    }
}

/// How to get a library, by its file name.
fn install(name: &str) -> String {
    let major = if name.contains("so.13") { "13" } else { "12" };
    let package = match (name.split('.').next().unwrap_or(name), major) {
        ("libcuda", _) => return GpuError::NoDriver.remedy(),
        ("libnvidia-ml", _) => {
            return "it comes with NVIDIA's driver; in a container, NVIDIA_DRIVER_CAPABILITIES must hold `utility`"
                .into();
        }
        ("libcurand", _) => "nvidia-curand` (CUDA 13) or `nvidia-curand-cu12",
        ("libnvrtc", "13") => "nvidia-cuda-nvrtc",
        ("libnvrtc", _) => "nvidia-cuda-nvrtc-cu12",
        (_, "13") => "nvidia-cublas",
        _ => "nvidia-cublas-cu12",
    };
    format!(
        "load the cluster's CUDA module, set CUDA_HOME to a toolkit, or `pip install {package}` in a Python environment"
    )
}

/// What an Xid means and what follows, for the ones that jobs meet (NVIDIA's catalogue of Xid errors).
fn xid(number: u64) -> (&'static str, &'static str) {
    const PROGRAM: &str = "most likely a fault of the program: report it with the experiment";
    const HARDWARE: &str = "keep work off this card until it was reset, and have it looked at if it happens again";
    match number {
        13 => ("graphics engine exception", PROGRAM),
        31 => ("memory page fault", PROGRAM),
        43 => ("the GPU stopped processing a program", PROGRAM),
        45 => ("work was cleaned up after an earlier fault", "look for the fault before it"),
        48 => ("memory error that ECC could not correct", HARDWARE),
        63 => ("a row of memory is to be remapped", "reset the card when it is idle"),
        64 => ("a row of memory could not be remapped", HARDWARE),
        74 => ("NVLink error", HARDWARE),
        79 => ("the card fell off the bus", HARDWARE),
        92 => ("many corrected memory errors", HARDWARE),
        94 => ("contained memory error", "reset the card when it is idle; other programs on it are unharmed"),
        95 => ("uncontained memory error", HARDWARE),
        119 | 120 => ("the card's system processor failed", HARDWARE),
        _ => ("see NVIDIA's catalogue of Xid errors", "look its number up there"),
    }
}

impl fmt::Display for GpuError {
    /// A lowercase fragment with its operands.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GpuError::NoDriver => write!(f, "no working NVIDIA driver (libcuda.so.1) on this machine"),
            GpuError::NoDevice => write!(f, "the NVIDIA driver shows no such GPU to this process"),
            GpuError::NoSuchDevice { wanted, shown: 0 } => {
                write!(f, "there is no cuda:{wanted}: the NVIDIA driver shows this process no GPU")
            }
            GpuError::NoSuchDevice { wanted, shown: 1 } => {
                write!(f, "there is no cuda:{wanted}: the NVIDIA driver shows this process one GPU, cuda:0")
            }
            GpuError::NoSuchDevice { wanted, shown } => write!(
                f,
                "there is no cuda:{wanted}: the NVIDIA driver shows this process {shown} GPUs, cuda:0 to cuda:{}",
                shown - 1
            ),
            GpuError::DriverTooOld { have, need } => {
                write!(f, "the NVIDIA driver is too old")?;
                if let Some(have) = have {
                    write!(f, ": it supports CUDA {have}")?;
                }
                match need {
                    Some(need) => write!(f, "; CUDA {need} is needed"),
                    None => Ok(()),
                }
            }
            GpuError::DriverMismatch => write!(f, "the NVIDIA driver's library does not fit its kernel module"),
            GpuError::NotReady => write!(f, "the NVIDIA driver is not ready: a service that it needs does not run"),
            GpuError::WrongChip => write!(f, "the code was built for another GPU chip than this one"),
            GpuError::LibraryMissing { name, looked } => {
                write!(f, "{name} was not found in the {} folders looked through", looked.len())
            }
            GpuError::LibraryBroken { path, why } => write!(f, "{} cannot be opened: {why}", path.display()),
            GpuError::SymbolMissing { library, name } => write!(f, "{} has no entry point {name}", library.display()),
            GpuError::Busy => write!(f, "the GPU is taken: another process holds it, or its compute mode forbids it"),
            GpuError::OutOfMemory { wanted, free } => {
                write!(f, "out of GPU memory")?;
                match (wanted, free) {
                    (Some(wanted), Some(free)) => write!(f, ": {wanted} wanted, {free} free"),
                    (Some(wanted), None) => write!(f, ": {wanted} wanted"),
                    (None, Some(free)) => write!(f, ": {free} free"),
                    (None, None) => Ok(()),
                }
            }
            GpuError::IllegalAccess => {
                write!(f, "a GPU kernel accessed memory it must not or ran an illegal instruction")
            }
            GpuError::Ecc => write!(f, "the GPU's memory or link failed beyond correction"),
            GpuError::Xid(number) => write!(f, "the NVIDIA driver reported Xid {number}: {}", xid(*number).0),
            GpuError::DeviceLost => write!(f, "the GPU is no longer reachable"),
            GpuError::Other { code: Some(code), text } => write!(f, "the GPU failed: {text} (CUDA result {code})"),
            GpuError::Other { code: None, text } => write!(f, "the GPU failed: {text}"),
        }
    }
}

impl std::error::Error for GpuError {}

impl From<GpuError> for Problem {
    fn from(error: GpuError) -> Problem {
        Problem::new(error.class(), error.to_string()).remedy(error.remedy())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_cuda_writes_them() {
        let shown = |n| CudaVersion(n).to_string();
        assert_eq!((shown(13000), shown(12040), shown(12090)), ("13.0".into(), "12.4".into(), "12.9".into()));
    }

    /// Every kind says what and what to do, in one paragraph each, under the exit code that it stands for.
    #[test]
    fn every_kind_is_a_problem_with_a_remedy() {
        let missing =
            |name: &str| GpuError::LibraryMissing { name: name.into(), looked: vec!["/a".into(), "/b".into()] };
        let old = |have, need| GpuError::DriverTooOld { have: Some(CudaVersion(have)), need: Some(CudaVersion(need)) };
        let other = |code| GpuError::Other { code, text: "operation not supported".into() };
        let cases: Vec<(GpuError, u8, &str, &str)> = vec![
            (GpuError::NoDriver, 4, "libcuda.so.1", "apptainer run --nv"),
            (GpuError::NoDevice, 4, "no such GPU", "CUDA_VISIBLE_DEVICES"),
            (
                GpuError::NoSuchDevice { wanted: 0, shown: 0 },
                4,
                "no cuda:0: the NVIDIA driver shows this process no GPU",
                "ask",
            ),
            (GpuError::NoSuchDevice { wanted: 3, shown: 1 }, 4, "one GPU, cuda:0", "one of those"),
            (GpuError::NoSuchDevice { wanted: 9, shown: 2 }, 4, "no cuda:9", "one of those"),
            (GpuError::NoSuchDevice { wanted: 9, shown: 2 }, 4, "2 GPUs, cuda:0 to cuda:1", "CUDA_VISIBLE_DEVICES"),
            (
                old(12040, 13000),
                4,
                "supports CUDA 12.4; CUDA 13.0 is needed",
                match cfg!(feature = "candle-cuda") {
                    true => "580 or later",
                    false => "580 or later, or install the libraries of CUDA 12",
                },
            ),
            (old(11040, 12000), 4, "CUDA 11.4", "525 or later"),
            (GpuError::DriverTooOld { have: None, need: None }, 4, "too old", "newer branch"),
            (GpuError::DriverMismatch, 4, "kernel module", "restart"),
            (GpuError::NotReady, 4, "not ready", "nvidia-fabricmanager"),
            (GpuError::WrongChip, 4, "another GPU chip", "CUDA_COMPUTE_CAP"),
            (missing("libcublas.so.13 or libcublas.so.12"), 4, "in the 2 folders", "pip install nvidia-cublas`"),
            (missing("libcublasLt.so.12"), 4, "libcublasLt.so.12", "pip install nvidia-cublas-cu12`"),
            (missing("libnvrtc.so.13"), 4, "libnvrtc", "pip install nvidia-cuda-nvrtc`"),
            (missing("libcurand.so.10"), 4, "libcurand", "nvidia-curand"),
            (missing("libnvidia-ml.so.1"), 4, "libnvidia-ml", "utility"),
            (
                GpuError::LibraryBroken { path: "/x/libcublas.so.13".into(), why: "wrong ELF class".into() },
                4,
                "wrong ELF",
                "LD_LIBRARY_PATH",
            ),
            (
                GpuError::SymbolMissing { library: "/x/libcuda.so.1".into(), name: "cuInit".into() },
                4,
                "cuInit",
                "newer release",
            ),
            (GpuError::Busy, 4, "taken", "nvidia-smi"),
            (
                GpuError::OutOfMemory { wanted: Some(Bytes(3 << 30)), free: Some(Bytes(1 << 30)) },
                1,
                "3.0 GiB wanted, 1.0 GiB free",
                "micro_batch",
            ),
            (GpuError::IllegalAccess, 1, "illegal instruction", "report it"),
            (GpuError::Ecc, 1, "beyond correction", "ROW_REMAPPER"),
            (GpuError::Xid(79), 1, "Xid 79: the card fell off the bus", "keep work off"),
            (GpuError::Xid(31), 1, "page fault", "fault of the program"),
            (GpuError::Xid(7777), 1, "Xid 7777", "dmesg"),
            (GpuError::DeviceLost, 4, "no longer reachable", "restart"),
            (other(Some(801)), 1, "operation not supported (CUDA result 801)", "doctor"),
            (other(None), 1, "operation not supported", "doctor"),
        ];
        for (error, exit, what, remedy) in cases {
            let problem = Problem::from(error.clone());
            assert_eq!(problem.class.exit_code(), exit, "{error:?}");
            assert!(problem.what.contains(what), "{error:?}: {}", problem.what);
            let said = problem.remedy.expect("a remedy");
            assert!(said.contains(remedy), "{error:?}: {said}");
            assert!(!said.contains("  ") && !said.contains('\n') && !problem.what.contains("  "), "{error:?}");
        }
    }
}
