//! The functions of CUDA's libraries that candle and cudarc call, as this program's own symbols.
//!
//! Built with `candle-cuda`, both are linked against libcuda, libcublas and libcurand, and such a program would not even
//! start on a login node without a driver. So the linker gets empty archives (see `build.rs`) and finds the functions
//! here. Each is a jump through a slot: the first call looks the function up in the libraries that [`super::Libraries`]
//! chose, and later ones cost two instructions. One that cannot be found returns `CUDA_ERROR_NO_DEVICE`; callers are kept
//! from getting that far by [`super::ready`], which says what is missing.
//!
//! The list is what the linker calls undefined when a name is taken out. Four are this program's own: `cuMemAllocAsync`
//! and `cuMemFreeAsync` in [`super::memory`], `cublasDestroy_v2` and `curandDestroyGenerator` in [`super::destroy`].

#[cfg(not(target_arch = "x86_64"))]
compile_error!(
    "the feature candle-cuda is written for x86-64: its stubs need their few instructions for this processor"
);

use super::{Library, resolve};
use core::ffi::CStr;
use core::sync::atomic::{AtomicUsize, Ordering};

/// What a function answers that is in no library.
extern "C" fn missing() -> i32 {
    const CUDA_ERROR_NO_DEVICE: i32 = 100;
    CUDA_ERROR_NO_DEVICE
}

macro_rules! lazily {
    ($library:expr; $($name:ident)*) => { $( const _: () = {
        static SLOT: AtomicUsize = AtomicUsize::new(0);

        #[inline(never)]
        extern "C" fn find() -> usize {
            const NAME: &CStr = match CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                Ok(name) => name,
                Err(_) => c"",
            };
            let address = match resolve($library, NAME) {
                0 => missing as *const () as usize,
                found => found,
            };
            SLOT.store(address, Ordering::Release);
            address
        }

        // All registers that may hold arguments (System V AMD64 ABI, 3.2.3) are kept over the search; 184 bytes are
        // their 176 and 8 that align the stack.
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        pub unsafe extern "C" fn $name() {
            core::arch::naked_asm!(
                "mov rax, [rip + {slot}]",
                "test rax, rax",
                "jne 2f",
                "sub rsp, 184",
                "mov [rsp], rdi",
                "mov [rsp + 8], rsi",
                "mov [rsp + 16], rdx",
                "mov [rsp + 24], rcx",
                "mov [rsp + 32], r8",
                "mov [rsp + 40], r9",
                "movups [rsp + 48], xmm0",
                "movups [rsp + 64], xmm1",
                "movups [rsp + 80], xmm2",
                "movups [rsp + 96], xmm3",
                "movups [rsp + 112], xmm4",
                "movups [rsp + 128], xmm5",
                "movups [rsp + 144], xmm6",
                "movups [rsp + 160], xmm7",
                "call {find}",
                "movups xmm7, [rsp + 160]",
                "movups xmm6, [rsp + 144]",
                "movups xmm5, [rsp + 128]",
                "movups xmm4, [rsp + 112]",
                "movups xmm3, [rsp + 96]",
                "movups xmm2, [rsp + 80]",
                "movups xmm1, [rsp + 64]",
                "movups xmm0, [rsp + 48]",
                "mov r9, [rsp + 40]",
                "mov r8, [rsp + 32]",
                "mov rcx, [rsp + 24]",
                "mov rdx, [rsp + 16]",
                "mov rsi, [rsp + 8]",
                "mov rdi, [rsp]",
                "add rsp, 184",
                "2: jmp rax",
                slot = sym SLOT,
                find = sym find,
            )
        }
    }; )* };
}

lazily! { Library::Driver;
    cuCtxDestroy_v2 cuCtxGetCurrent cuCtxSetCurrent cuCtxSynchronize cuDeviceGet cuDeviceGetAttribute
    cuDeviceGetDefaultMemPool cuDeviceGetName cuDevicePrimaryCtxRelease_v2 cuDevicePrimaryCtxRetain cuEventCreate
    cuEventDestroy_v2 cuEventRecord cuGetErrorString cuInit cuLaunchKernel cuMemAlloc_v2 cuMemFree_v2
    cuMemGetInfo_v2 cuMemPoolGetAttribute cuMemPoolSetAttribute cuMemPoolTrimTo cuMemcpyDtoDAsync_v2 cuMemcpyDtoHAsync_v2
    cuMemcpyHtoDAsync_v2 cuMemcpyPeerAsync cuMemsetD8Async cuModuleGetFunction cuModuleLoad cuModuleLoadData
    cuModuleUnload cuStreamCreate cuStreamDestroy_v2 cuStreamIsCapturing cuStreamSynchronize cuStreamWaitEvent
}
lazily! { Library::Cublas;
    cublasCreate_v2 cublasDgemmStridedBatched cublasGemmStridedBatchedEx cublasSetStream_v2
}
lazily! { Library::Curand;
    curandCreateGenerator curandGenerateNormal curandGenerateNormalDouble curandGenerateUniform
    curandGenerateUniformDouble curandSetPseudoRandomGeneratorSeed curandSetStream
}
