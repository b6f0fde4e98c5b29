//! The program's own `cuMemAllocAsync` and `cuMemFreeAsync`, which cudarc is linked against: arenas first, then the driver.

use super::arena::{Arenas, Code, Driver};
use super::libraries::Libraries;
use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::OnceLock;

/// The arenas of this process.
pub(super) static ARENAS: Arenas = Arenas::new();

type Handle = *mut c_void;

/// The driver's functions, of cuda.h's types.
struct Functions {
    allocate_async: unsafe extern "C" fn(*mut u64, usize, Handle) -> Code,
    free_async: unsafe extern "C" fn(u64, Handle) -> Code,
    allocate: unsafe extern "C" fn(*mut u64, usize) -> Code,
    free: unsafe extern "C" fn(u64) -> Code,
    get_context: unsafe extern "C" fn(*mut Handle) -> Code,
    set_context: unsafe extern "C" fn(Handle) -> Code,
    wait: unsafe extern "C" fn(Handle) -> Code,
}

/// Where there is no driver; callers are kept from getting that far by [`super::ready`].
const NO_DEVICE: Code = 100;

fn functions() -> Result<&'static Functions, Code> {
    static FUNCTIONS: OnceLock<Option<Functions>> = OnceLock::new();
    let find = || {
        let driver = Libraries::get();
        Some(Functions {
            allocate_async: driver.driver_function(c"cuMemAllocAsync").ok()?,
            free_async: driver.driver_function(c"cuMemFreeAsync").ok()?,
            allocate: driver.driver_function(c"cuMemAlloc_v2").ok()?,
            free: driver.driver_function(c"cuMemFree_v2").ok()?,
            get_context: driver.driver_function(c"cuCtxGetCurrent").ok()?,
            set_context: driver.driver_function(c"cuCtxSetCurrent").ok()?,
            wait: driver.driver_function(c"cuStreamSynchronize").ok()?,
        })
    };
    FUNCTIONS.get_or_init(find).as_ref().ok_or(NO_DEVICE)
}

/// The driver that this process has opened.
pub(super) struct TheDriver;

fn told<T>(code: Code, value: T) -> Result<T, Code> {
    if code == 0 { Ok(value) } else { Err(code) }
}

// SAFETY, for all calls below: the types are cuda.h's; numbers outlive the calls; handles and addresses are ones that the
// driver gave out, or its callers' own, which it checks.
impl Driver for TheDriver {
    fn take(&self, bytes: u64) -> Result<u64, Code> {
        let mut address = 0;
        let size = usize::try_from(bytes).unwrap_or(usize::MAX);
        // SAFETY: see above.
        told(unsafe { (functions()?.allocate)(&mut address, size) }, ()).map(|()| address)
    }

    fn give(&self, base: u64, context: usize, stream: usize) -> Code {
        let Ok(functions) = functions() else { return NO_DEVICE };
        let before = self.context();
        // SAFETY: see above. Who frees the last array may be a thread without a context, or with another one.
        unsafe {
            if before != context {
                (functions.set_context)(context as Handle);
            }
            // A context that failed answers so to everything, and its memory goes back when it is destroyed.
            (functions.wait)(stream as Handle);
            let code = (functions.free)(base);
            if before != context {
                (functions.set_context)(before as Handle);
            }
            code
        }
    }

    fn context(&self) -> usize {
        let mut context = null_mut();
        // SAFETY: see above.
        let code = functions().map_or(NO_DEVICE, |functions| unsafe { (functions.get_context)(&mut context) });
        if code == 0 { context as usize } else { 0 }
    }

    fn allocate(&self, bytes: u64, stream: usize) -> Result<u64, Code> {
        let mut address = 0;
        let size = usize::try_from(bytes).unwrap_or(usize::MAX);
        // SAFETY: see above.
        told(unsafe { (functions()?.allocate_async)(&mut address, size, stream as Handle) }, ()).map(|()| address)
    }

    fn free(&self, address: u64, stream: usize) -> Code {
        // SAFETY: see above.
        functions().map_or(NO_DEVICE, |functions| unsafe { (functions.free_async)(address, stream as Handle) })
    }

    fn wait(&self, stream: usize) -> Code {
        // SAFETY: see above.
        functions().map_or(NO_DEVICE, |functions| unsafe { (functions.wait)(stream as Handle) })
    }
}

/// As cuda.h has it.
///
/// # Safety
/// `address` must be valid for one write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAllocAsync(address: *mut u64, bytes: usize, stream: Handle) -> Code {
    match ARENAS.allocate(&TheDriver, bytes as u64, stream as usize) {
        Ok(found) => {
            // SAFETY: the caller's.
            unsafe { address.write(found) };
            0
        }
        Err(code) => code,
    }
}

/// As cuda.h has it.
///
/// # Safety
/// `address` must come from [`cuMemAllocAsync`], and not have been freed since.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemFreeAsync(address: u64, stream: Handle) -> Code {
    ARENAS.free(&TheDriver, address, stream as usize)
}
