//! Lets the feature `candle-cuda` link without any CUDA library.
//!
//! candle's and cudarc's build scripts ask the linker for libcuda, libnvrtc, libcurand, libcublas and libcublasLt, none of
//! which may be needed to start the program. Empty archives of those names satisfy the linker, and `src/gpu` defines the
//! functions that are called, resolving each on its first call. The CUDA runtime, which candle's own kernels were
//! compiled against, is linked statically.
// A build script runs by itself, before there is a `sys` to go through.
#![allow(clippy::disallowed_methods)]

use std::path::{Path, PathBuf};
use std::{env, fs};

/// An archive without members (`ar`'s magic string alone).
const EMPTY_ARCHIVE: &[u8] = b"!<arch>\n";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=CUDA_HOME");
    println!("cargo::rerun-if-env-changed=CUDA_PATH");
    if env::var_os("CARGO_FEATURE_CANDLE_CUDA").is_none() {
        return;
    }
    let folder = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("link");
    fs::create_dir_all(&folder).expect("OUT_DIR can be written");
    for library in ["cuda", "nvrtc", "curand", "cublas", "cublasLt"] {
        fs::write(folder.join(format!("lib{library}.a")), EMPTY_ARCHIVE).expect("OUT_DIR can be written");
    }
    match static_runtime() {
        Some(runtime) => {
            fs::copy(runtime, folder.join("libcudart.a")).expect("OUT_DIR can be written");
        }
        None => println!(
            "cargo::error=the feature candle-cuda needs CUDA's static runtime (libcudart_static.a), which is not in \
             CUDA_HOME, CUDA_PATH or /usr/local/cuda: install a CUDA 13 toolkit, or run `eval \"$(scripts/cuda-toolkit)\"` \
             in this shell and build again"
        ),
    }
    println!("cargo::rustc-link-search=native={}", folder.display());
    // The static runtime's own needs; all are part of the C library since glibc 2.34.
    for library in ["dl", "rt", "pthread"] {
        println!("cargo::rustc-link-lib={library}");
    }
}

fn static_runtime() -> Option<PathBuf> {
    let homes = ["CUDA_HOME", "CUDA_PATH"].into_iter().filter_map(env::var_os).map(PathBuf::from);
    homes
        .chain([Path::new("/usr/local/cuda").to_path_buf()])
        .flat_map(|home| ["lib64", "lib", "targets/x86_64-linux/lib"].map(|lib| home.join(lib)))
        .map(|lib| lib.join("libcudart_static.a"))
        .find(|file| file.is_file())
}
