//! Opens the libraries, once in a process, and looks entry points up.
//!
//! Each is opened when it is first needed and stays open. All are opened by absolute path and for everybody
//! (`RTLD_GLOBAL`), cuBLASLt before cuBLAS, so that what cuBLAS itself loads is the copy chosen here.

use super::error::{CudaVersion, GpuError};
use super::search::{BlasPair, Library, LibraryFile, Survey};
use super::surroundings::Machine;
use libloading::os::unix::{Library as Handle, RTLD_GLOBAL, RTLD_NOW};
use std::ffi::{CStr, c_int, c_void};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

impl Library {
    /// Entry points without which a library is of no use here. Names as in the headers of CUDA 12.0 and later.
    pub fn entry_points(self) -> &'static [&'static str] {
        match self {
            Library::Driver => &[
                "cuInit",
                "cuDriverGetVersion",
                "cuGetErrorString",
                "cuDeviceGet",
                "cuDeviceGetCount",
                "cuDeviceGetAttribute",
                "cuDevicePrimaryCtxRetain",
                "cuDevicePrimaryCtxRelease_v2",
                "cuCtxGetCurrent",
                "cuCtxSetCurrent",
                "cuMemGetInfo_v2",
                "cuMemAlloc_v2",
                "cuMemFree_v2",
                "cuMemAllocAsync",
                "cuMemFreeAsync",
                "cuMemcpyHtoDAsync_v2",
                "cuMemcpyDtoHAsync_v2",
                "cuMemcpyDtoDAsync_v2",
                "cuMemsetD8Async",
                "cuModuleLoadData",
                "cuModuleGetFunction",
                "cuLaunchKernel",
                "cuStreamCreate",
                "cuStreamSynchronize",
                "cuStreamBeginCapture_v2",
                "cuStreamEndCapture",
                "cuGraphInstantiateWithFlags",
                "cuGraphLaunch",
                "cuEventCreate",
                "cuEventRecord",
            ],
            Library::CublasLt => &[
                "cublasLtGetProperty",
                "cublasLtCreate",
                "cublasLtDestroy",
                "cublasLtMatmul",
                "cublasLtMatmulAlgoGetHeuristic",
                "cublasLtMatmulDescCreate",
                "cublasLtMatmulDescSetAttribute",
                "cublasLtMatrixLayoutCreate",
                "cublasLtMatmulPreferenceCreate",
            ],
            Library::Cublas => &[
                "cublasGetProperty",
                "cublasCreate_v2",
                "cublasDestroy_v2",
                "cublasSetStream_v2",
                "cublasSetWorkspace_v2",
                "cublasSetMathMode",
                "cublasGemmEx",
                "cublasGemmStridedBatchedEx",
            ],
            Library::Curand => &[
                "curandGetProperty",
                "curandCreateGenerator",
                "curandDestroyGenerator",
                "curandSetPseudoRandomGeneratorSeed",
                "curandSetStream",
                "curandGenerateUniform",
                "curandGenerateNormal",
            ],
            Library::Nvrtc => &[
                "nvrtcVersion",
                "nvrtcGetErrorString",
                "nvrtcCreateProgram",
                "nvrtcDestroyProgram",
                "nvrtcCompileProgram",
                "nvrtcGetProgramLogSize",
                "nvrtcGetProgramLog",
                "nvrtcGetCUBINSize",
                "nvrtcGetCUBIN",
                "nvrtcGetPTXSize",
                "nvrtcGetPTX",
            ],
            Library::Nvml => &["nvmlInit_v2", "nvmlShutdown", "nvmlDeviceGetCount_v2", "nvmlDeviceGetHandleByIndex_v2"],
        }
    }
}

/// An open library.
#[derive(Debug)]
pub struct Opened {
    /// What it was opened by: an absolute path, or the bare name where only the dynamic linker knew it.
    pub path: PathBuf,
    /// What it says of itself: `13.0.2`.
    pub version: Option<String>,
    handle: Handle,
}

impl Opened {
    /// An entry point of the type that its header gives it.
    ///
    /// # Safety
    /// `T` must be a function pointer of exactly that type.
    pub(super) unsafe fn function<T: Copy>(&self, name: &CStr) -> Option<T> {
        // SAFETY: the caller answers for the type; the library is never closed while `self` lives.
        unsafe { self.handle.get::<T>(name.to_bytes_with_nul()).ok().map(|symbol| *symbol) }
    }
}

/// What is known of one library, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Which.
    pub library: Library,
    /// The copy in use, or why there is none.
    pub state: Result<FoundFile, GpuError>,
}

/// The copy of a library that is used, or would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundFile {
    /// Its path.
    pub path: PathBuf,
    /// Its version; of the driver the CUDA version that it supports.
    pub version: Option<String>,
    /// Whether it was opened: without a driver nothing else is.
    pub opened: bool,
}

type Once<T> = OnceLock<Result<T, GpuError>>;

/// The libraries of this process.
#[derive(Debug)]
pub struct Libraries {
    survey: Survey,
    driver: Result<Opened, GpuError>,
    version: Option<CudaVersion>,
    blas: Once<(Opened, Opened)>,
    curand: Once<Opened>,
    nvrtc: Once<Opened>,
    nvml: Once<Opened>,
}

impl Libraries {
    /// The libraries of this process, looked for on the first call; only the driver is opened. Never fails: what is
    /// missing is told by [`need`](Self::need).
    pub fn get() -> &'static Libraries {
        static LIBRARIES: OnceLock<Libraries> = OnceLock::new();
        LIBRARIES.get_or_init(|| Libraries::among(Survey::of(&Machine)))
    }

    /// As [`get`](Self::get), with everything opened and checked that tensors on a GPU need: the driver, cuBLASLt,
    /// cuBLAS, cuRAND. NVRTC and NVML are asked for by who needs them.
    pub fn open() -> Result<&'static Libraries, GpuError> {
        let libraries = Libraries::get();
        for library in [Library::Driver, Library::CublasLt, Library::Cublas, Library::Curand] {
            libraries.need(library)?;
        }
        Ok(libraries)
    }

    fn among(survey: Survey) -> Libraries {
        let files = survey.near(Library::Driver, None).unwrap_or_default();
        let driver = open_first(Library::Driver, &files).unwrap_or_else(|| Err(GpuError::NoDriver));
        let version = driver.as_ref().ok().and_then(driver_version);
        let (blas, curand, nvrtc, nvml) = Default::default();
        Libraries { survey, driver, version, blas, curand, nvrtc, nvml }
    }

    /// The CUDA version that the driver supports.
    pub fn driver_version(&self) -> Option<CudaVersion> {
        self.version
    }

    /// A library, opened now if it was not, with every entry point of [`Library::entry_points`].
    pub fn need(&self, library: Library) -> Result<&Opened, GpuError> {
        let opened = match library {
            Library::Driver => &self.driver,
            Library::CublasLt => return self.blas().map(|(lt, _)| lt),
            Library::Cublas => return self.blas().map(|(_, blas)| blas),
            Library::Curand => self.curand.get_or_init(|| {
                let blas = self.blas().ok().map(|(_, blas)| blas.path.as_path());
                self.first(library, self.survey.near(library, blas)?)
            }),
            Library::Nvrtc => self.nvrtc.get_or_init(|| self.first(library, self.survey.compilers(self.major()?)?)),
            Library::Nvml => self.nvml.get_or_init(|| {
                let files = self.survey.near(library, None).unwrap_or_default();
                self.first(library, files)
            }),
        };
        opened.as_ref().map_err(Clone::clone)
    }

    /// The address of an entry point; `None` where the library or the entry point is not to be had.
    pub fn symbol(&self, library: Library, name: &CStr) -> Option<*const c_void> {
        // SAFETY: an address is taken as an address, and nothing is called.
        let address = unsafe { self.need(library).ok()?.function::<*const c_void>(name)? };
        (!address.is_null()).then_some(address)
    }

    /// Each library with the copy in use or what is wrong. Opens them all if there is a driver, and none otherwise.
    pub fn found(&self) -> Vec<Found> {
        let one = |library| {
            let state = match &self.driver {
                Ok(_) => self.need(library).map(|opened| FoundFile {
                    path: opened.path.clone(),
                    version: opened.version.clone(),
                    opened: true,
                }),
                Err(error) if library == Library::Driver => Err(error.clone()),
                Err(_) => self.planned(library).map(|path| FoundFile { path, version: None, opened: false }),
            };
            Found { library, state }
        };
        Library::ALL.into_iter().map(one).collect()
    }

    /// The copy that would be opened.
    fn planned(&self, library: Library) -> Result<PathBuf, GpuError> {
        let pair = || self.survey.blas_pairs(self.version).map(|mut pairs| pairs.remove(0));
        Ok(match library {
            Library::CublasLt => pair()?.lt.path,
            Library::Cublas => pair()?.blas.path,
            Library::Nvrtc => self.survey.compilers(pair()?.blas.number)?.remove(0).path,
            Library::Curand => {
                let blas = pair().ok().map(|pair| pair.blas.path);
                self.survey.near(library, blas.as_deref())?.remove(0).path
            }
            Library::Driver | Library::Nvml => self.survey.near(library, None)?.remove(0).path,
        })
    }

    fn blas(&self) -> Result<(&Opened, &Opened), GpuError> {
        let opened = self.blas.get_or_init(|| {
            let pairs = self.survey.blas_pairs(self.version)?;
            let tried = pairs.iter().map(|BlasPair { lt, blas }| {
                let lt = open_file(Library::CublasLt, &lt.path)?;
                Ok((lt, open_file(Library::Cublas, &blas.path)?))
            });
            first_success(tried).unwrap_or_else(|| Err(self.survey.missing(Library::Cublas.file_names(|_| true))))
        });
        opened.as_ref().map(|(lt, blas)| (lt, blas)).map_err(Clone::clone)
    }

    /// The major that cuBLAS was chosen of.
    fn major(&self) -> Result<u32, GpuError> {
        let (_, blas) = self.blas()?;
        let name = blas.path.extension().and_then(|number| number.to_str()).and_then(|number| number.parse().ok());
        name.ok_or_else(|| self.survey.missing(Library::Nvrtc.file_names(|_| true)))
    }

    fn first(&self, library: Library, files: Vec<LibraryFile>) -> Result<Opened, GpuError> {
        open_first(library, &files).unwrap_or_else(|| Err(self.survey.missing(library.file_names(|_| true))))
    }
}

/// The address of an entry point of this process's libraries, opened now if need be; 0 where it is not to be had. For
/// stubs that are bound on their first call.
pub fn resolve(library: Library, name: &CStr) -> usize {
    Libraries::get().symbol(library, name).map_or(0, |address| address as usize)
}

/// The first of the copies that opens, or what is wrong with the best; `None` where there are none. What comes with the
/// driver is at last asked for by its bare name, which also finds it where only this program's linker settings say so.
fn open_first(library: Library, files: &[LibraryFile]) -> Option<Result<Opened, GpuError>> {
    let opened = first_success(files.iter().map(|file| open_file(library, &file.path)));
    if matches!(opened, Some(Ok(_))) || !matches!(library, Library::Driver | Library::Nvml) {
        return opened;
    }
    let bare = open_file(library, Path::new(&library.file_name(1)));
    if bare.is_ok() { Some(bare) } else { opened }
}

fn first_success<T>(tried: impl Iterator<Item = Result<T, GpuError>>) -> Option<Result<T, GpuError>> {
    let mut first_error = None;
    for result in tried {
        match result {
            Ok(opened) => return Some(Ok(opened)),
            Err(error) => {
                first_error.get_or_insert(error);
            }
        }
    }
    first_error.map(Err)
}

fn open_file(library: Library, path: &Path) -> Result<Opened, GpuError> {
    // SAFETY: the constructors of NVIDIA's libraries have no requirements on who loads them.
    let handle = unsafe { Handle::open(Some(path), RTLD_NOW | RTLD_GLOBAL) }
        .map_err(|e| GpuError::LibraryBroken { path: path.to_path_buf(), why: reason(&e, path) })?;
    let mut opened = Opened { path: path.to_path_buf(), version: None, handle };
    for name in library.entry_points() {
        let there = std::ffi::CString::new(*name).is_ok_and(|symbol| {
            // SAFETY: the address is not used.
            unsafe { opened.function::<*const c_void>(&symbol) }.is_some_and(|address| !address.is_null())
        });
        if !there {
            return Err(GpuError::SymbolMissing { library: path.to_path_buf(), name: (*name).to_string() });
        }
    }
    opened.version = version(library, &opened);
    Ok(opened)
}

/// What the dynamic linker said, without the path that is told anyway.
fn reason(error: &libloading::Error, path: &Path) -> String {
    use std::error::Error;
    let text = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    text.trim_start_matches(&format!("{}: ", path.display())).to_string()
}

/// `cublasGetProperty` and its like: 0 major, 1 minor, 2 patch; needs no device.
type Property = unsafe extern "C" fn(c_int, *mut c_int) -> c_int;

fn version(library: Library, opened: &Opened) -> Option<String> {
    let property = match library {
        Library::Driver => return driver_version(opened).map(|version| version.to_string()),
        Library::Nvml => return None,
        Library::Nvrtc => {
            type Version = unsafe extern "C" fn(*mut c_int, *mut c_int) -> c_int;
            let (mut major, mut minor) = (0, 0);
            // SAFETY: the type is nvrtc.h's; the two numbers outlive the call.
            let result = unsafe { opened.function::<Version>(c"nvrtcVersion")?(&mut major, &mut minor) };
            return (result == 0).then(|| format!("{major}.{minor}"));
        }
        Library::Cublas => c"cublasGetProperty",
        Library::CublasLt => c"cublasLtGetProperty",
        Library::Curand => c"curandGetProperty",
    };
    let number = |which| {
        let mut value = 0;
        // SAFETY: the type is that of library_types.h; the number outlives the call.
        let result = unsafe { opened.function::<Property>(property)?(which, &mut value) };
        (result == 0).then_some(value)
    };
    Some(format!("{}.{}.{}", number(0)?, number(1)?, number(2)?))
}

/// The CUDA version that the driver supports; needs no device and no initialisation.
fn driver_version(driver: &Opened) -> Option<CudaVersion> {
    type Version = unsafe extern "C" fn(*mut c_int) -> c_int;
    let mut version = 0;
    // SAFETY: the type is cuda.h's; the number outlives the call.
    let result = unsafe { driver.function::<Version>(c"cuDriverGetVersion")?(&mut version) };
    (result == 0).then(|| u32::try_from(version).ok().map(CudaVersion)).flatten()
}
