//! Lets the feature `candle-cuda` link without any CUDA library.
//!
//! candle's and cudarc's build scripts ask the linker for libcuda, libnvrtc, libcurand, libcublas and libcublasLt, none of
//! which may be needed to start the program. Empty archives of those names satisfy the linker, and `src/gpu` defines the
//! functions that are called, resolving each on its first call. libmoe is candle's own: kernels for quantised language
//! models, 30 MB of them, which no training step uses; the empty archive in its place leaves them out, and with them the
//! CUDA runtime.
// A build script runs by itself, before there is a `sys` to go through.
#![allow(clippy::disallowed_methods)]

use std::path::PathBuf;
use std::{env, fs};

/// An archive without members (`ar`'s magic string alone).
const EMPTY_ARCHIVE: &[u8] = b"!<arch>\n";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
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
