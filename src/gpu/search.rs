//! Which copy of which library to open: all copies found, and a plan that fits the driver and itself. Pure.

use super::error::{CudaVersion, GpuError};
use super::places::places;
use super::surroundings::Surroundings;
use std::path::{Path, PathBuf};

/// A library of NVIDIA's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Library {
    /// The driver's interface, `libcuda`.
    Driver,
    /// Matrix products.
    Cublas,
    /// Matrix products with epilogues; cuBLAS needs it.
    CublasLt,
    /// Random numbers.
    Curand,
    /// The compiler of CUDA C at run time.
    Nvrtc,
    /// What `nvidia-smi` shows.
    Nvml,
}

/// Majors of CUDA whose libraries are used, newest first.
const MAJORS: [u32; 2] = [13, 12];

impl Library {
    /// All of them, in the order in which they are looked at.
    pub const ALL: [Library; 6] =
        [Library::Driver, Library::CublasLt, Library::Cublas, Library::Curand, Library::Nvrtc, Library::Nvml];

    /// `libcublas`, the file name's stem.
    pub fn stem(self) -> &'static str {
        match self {
            Library::Driver => "libcuda",
            Library::Cublas => "libcublas",
            Library::CublasLt => "libcublasLt",
            Library::Curand => "libcurand",
            Library::Nvrtc => "libnvrtc",
            Library::Nvml => "libnvidia-ml",
        }
    }

    /// The numbers after `.so.` that are good, best first.
    pub fn numbers(self) -> &'static [u32] {
        match self {
            Library::Driver | Library::Nvml => &[1],
            Library::Curand => &[10],
            Library::Cublas | Library::CublasLt | Library::Nvrtc => &MAJORS,
        }
    }

    /// `libcublas.so.13`.
    pub fn file_name(self, number: u32) -> String {
        format!("{}.so.{number}", self.stem())
    }

    /// `libcublas.so.13 or libcublas.so.12`.
    pub fn file_names(self, good: impl Fn(u32) -> bool) -> String {
        let names: Vec<String> =
            self.numbers().iter().filter(|n| good(**n)).map(|number| self.file_name(*number)).collect();
        names.join(" or ")
    }
}

/// One copy of a library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LibraryFile {
    /// Which library.
    pub library: Library,
    /// The number after `.so.`: the major of CUDA for cuBLAS, cuBLASLt and NVRTC.
    pub number: u32,
    /// Its absolute path.
    pub path: PathBuf,
}

/// All copies found, best place first, the newer of one place first.
#[derive(Debug, Clone, Default)]
pub struct Survey {
    /// The copies.
    pub files: Vec<LibraryFile>,
    /// The folders that were looked through.
    pub looked: Vec<PathBuf>,
}

/// cuBLAS with the cuBLASLt that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlasPair {
    /// Opened first.
    pub lt: LibraryFile,
    /// Opened second.
    pub blas: LibraryFile,
}

impl Survey {
    /// Looks through every place once.
    pub fn of(around: &dyn Surroundings) -> Survey {
        let names: Vec<(String, Library, u32)> = Library::ALL
            .iter()
            .flat_map(|library| library.numbers().iter().map(|n| (library.file_name(*n), *library, *n)))
            .collect();
        let looked = places(around, &|name| names.iter().any(|(known, ..)| known == name));
        let mut files = Vec::new();
        for folder in &looked {
            let entries = around.entries(folder);
            for (name, library, number) in &names {
                let path = folder.join(name);
                if entries.binary_search(&path).is_ok() {
                    files.push(LibraryFile { library: *library, number: *number, path });
                }
            }
        }
        Survey { files, looked }
    }

    /// The copies of one library.
    pub fn of_library(&self, library: Library) -> impl Iterator<Item = &LibraryFile> {
        self.files.iter().filter(move |file| file.library == library)
    }

    /// That a library is not there.
    pub fn missing(&self, name: String) -> GpuError {
        GpuError::LibraryMissing { name, looked: self.looked.clone() }
    }

    /// Pairs of cuBLAS and cuBLASLt that `driver` can run, best first. Of a major that NVRTC is there for before
    /// others, from one folder before mixed, then by place: so cuBLAS, cuBLASLt and NVRTC are of one
    /// major, the first that a person's own paths name.
    pub fn blas_pairs(&self, driver: Option<CudaVersion>) -> Result<Vec<BlasPair>, GpuError> {
        let good = |number: u32| driver.is_none_or(|driver| number <= driver.major());
        let all: Vec<&LibraryFile> = self.of_library(Library::Cublas).collect();
        let fitting: Vec<&LibraryFile> = all.iter().copied().filter(|file| good(file.number)).collect();
        if fitting.is_empty() {
            let newer = all.iter().map(|file| file.number).min();
            return Err(match (newer, driver) {
                (Some(major), have @ Some(_)) => GpuError::DriverTooOld { have, need: Some(CudaVersion(major * 1000)) },
                // A driver that is older than every major used: libraries would not help.
                (None, have @ Some(driver)) if !MAJORS.iter().any(|major| *major <= driver.major()) => {
                    GpuError::DriverTooOld { have, need: MAJORS.last().map(|major| CudaVersion(major * 1000)) }
                }
                _ => self.missing(Library::Cublas.file_names(good)),
            });
        }
        let mut ranked = Vec::new();
        for blas in &fitting {
            let partners: Vec<&LibraryFile> =
                self.of_library(Library::CublasLt).filter(|lt| lt.number == blas.number).collect();
            let beside = partners.iter().find(|lt| lt.path.parent() == blas.path.parent());
            let Some(lt) = beside.or(partners.first()) else { continue };
            let compiler = self.of_library(Library::Nvrtc).any(|nvrtc| nvrtc.number == blas.number);
            let pair = BlasPair { lt: (*lt).clone(), blas: (*blas).clone() };
            ranked.push(((!compiler, beside.is_none()), pair));
        }
        // A stable sort keeps the order of places among equals.
        ranked.sort_by_key(|(rank, _)| *rank);
        if ranked.is_empty() {
            return Err(self.missing(Library::CublasLt.file_names(|n| fitting.iter().any(|blas| blas.number == n))));
        }
        Ok(ranked.into_iter().map(|(_, pair)| pair).collect())
    }

    /// Copies of NVRTC for a major, by place.
    pub fn compilers(&self, major: u32) -> Result<Vec<LibraryFile>, GpuError> {
        let found: Vec<LibraryFile> =
            self.of_library(Library::Nvrtc).filter(|file| file.number == major).cloned().collect();
        if found.is_empty() { Err(self.missing(Library::Nvrtc.file_name(major))) } else { Ok(found) }
    }

    /// Copies of a library whose name does not say the major of CUDA. Those that were installed together with `blas`
    /// come first, those that lie among libraries of another major last: for cuRAND that decides whether the driver can
    /// run it.
    pub fn near(&self, library: Library, blas: Option<&Path>) -> Result<Vec<LibraryFile>, GpuError> {
        let mut found: Vec<&LibraryFile> = self.of_library(library).collect();
        if let Some(blas) = blas {
            // `nvidia/cublas/lib/libcublas.so.12` and `nvidia/curand/lib/libcurand.so.10` have the third folder up in
            // common.
            let apart = |file: &LibraryFile| {
                (1..4).find(|up| file.path.ancestors().nth(*up) == blas.ancestors().nth(*up)).unwrap_or(4)
            };
            let majors = |folder: Option<&Path>| -> Vec<u32> {
                let beside = self.files.iter().filter(|f| f.path.parent() == folder && MAJORS.contains(&f.number));
                beside.map(|f| f.number).collect()
            };
            let own = majors(blas.parent());
            let foreign = |file: &LibraryFile| {
                let theirs = majors(file.path.parent());
                !theirs.is_empty() && !theirs.iter().any(|major| own.contains(major))
            };
            found.sort_by_key(|file| (foreign(file), apart(file)));
        }
        if found.is_empty() {
            return Err(self.missing(library.file_names(|_| true)));
        }
        Ok(found.into_iter().cloned().collect())
    }
}

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;
