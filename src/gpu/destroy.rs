//! The program's own `cublasDestroy_v2` and `curandDestroyGenerator`, which cudarc is linked against.
//!
//! After a fault on the card NVIDIA's answer with an error, and cudarc panics on it while the engine is dropped: twice, since a
//! device has both, which ends the process before it could say what the fault was. Nobody can do anything about a handle
//! that cannot be destroyed, so here that always succeeds.

use super::{Library, resolve};
use core::ffi::{CStr, c_void};

type Handle = *mut c_void;

fn destroy(library: Library, name: &CStr, handle: Handle) -> i32 {
    let address = resolve(library, name);
    if address != 0 {
        // SAFETY: the address is that of a function of this type (cublas_v2.h, curand.h); the handle is its library's own.
        unsafe { core::mem::transmute::<usize, unsafe extern "C" fn(Handle) -> i32>(address)(handle) };
    }
    0
}

/// As cublas_v2.h has it, but that it always succeeds.
///
/// # Safety
/// The handle must come from `cublasCreate_v2`, and not be used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cublasDestroy_v2(handle: Handle) -> i32 {
    destroy(Library::Cublas, c"cublasDestroy_v2", handle)
}

/// As curand.h has it, but that it always succeeds.
///
/// # Safety
/// The generator must come from `curandCreateGenerator`, and not be used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn curandDestroyGenerator(generator: Handle) -> i32 {
    destroy(Library::Curand, c"curandDestroyGenerator", generator)
}
