//! Names the build, and lets the feature `candle-cuda` link without any CUDA library.
//!
//! Measured speeds belong to one build of the program. `NANORESEARCH_BUILD` stands for all that decides its machine code, so that
//! nobody has to read a program of 160 MB to know which it is.
//!
//! candle's and cudarc's build scripts ask the linker for libcuda, libnvrtc, libcurand, libcublas and libcublasLt, none of
//! which may be needed to start the program. Empty archives of those names satisfy the linker, and `src/gpu` defines the
//! functions that are called, resolving each on its first call. libmoe is candle's own: kernels for quantised language
//! models, 30 MB of them, which no training step uses; the empty archive in its place leaves them out, and with them the
//! CUDA runtime.
// A build script runs by itself, before there is a `sys` to go through.
#![allow(clippy::disallowed_methods)]

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// An archive without members (`ar`'s magic string alone).
const EMPTY_ARCHIVE: &[u8] = b"!<arch>\n";

/// What the program is made of.
const SOURCES: [&str; 4] = ["build.rs", "Cargo.lock", "Cargo.toml", "src"];

fn main() {
    for path in SOURCES {
        println!("cargo::rerun-if-changed={path}");
    }
    println!("cargo::rustc-env=NANORESEARCH_BUILD={:016x}", build());
    if env::var_os("CARGO_FEATURE_CANDLE_CUDA").is_none() {
        return;
    }
    let folder = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("link");
    fs::create_dir_all(&folder).expect("OUT_DIR can be written");
    for library in ["cuda", "nvrtc", "curand", "cublas", "cublasLt", "cudart", "moe"] {
        fs::write(folder.join(format!("lib{library}.a")), EMPTY_ARCHIVE).expect("OUT_DIR can be written");
    }
    println!("cargo::rustc-link-search=native={}", folder.display());
}

/// A number for sources, compiler and its settings.
fn build() -> u64 {
    let mut hasher = DefaultHasher::new();
    SOURCES.iter().for_each(|path| hash(Path::new(path), &mut hasher));
    let compiler = env::var_os("RUSTC").and_then(|rustc| Command::new(rustc).arg("-vV").output().ok());
    compiler.map(|output| output.stdout).hash(&mut hasher);
    let decides = |name: &str| {
        name.starts_with("CARGO_FEATURE_")
            || ["OPT_LEVEL", "DEBUG", "TARGET", "CARGO_CFG_TARGET_FEATURE", "CARGO_ENCODED_RUSTFLAGS"].contains(&name)
    };
    let mut settings: Vec<(String, String)> = env::vars().filter(|(name, _)| decides(name)).collect();
    settings.sort();
    settings.hash(&mut hasher);
    hasher.finish()
}

/// Takes in a file, or all files of a folder in the order of their names.
fn hash(path: &Path, hasher: &mut DefaultHasher) {
    path.hash(hasher);
    match fs::read_dir(path) {
        Ok(entries) => {
            let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
            paths.sort();
            paths.iter().for_each(|path| hash(path, hasher));
        }
        Err(_) => fs::read(path).ok().hash(hasher),
    }
}
