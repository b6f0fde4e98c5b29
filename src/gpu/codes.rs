//! From what CUDA says to a [`GpuError`]: result codes of the driver, and messages as wrappers print them.

use super::error::GpuError;

/// What a result code means for us.
#[derive(Clone, Copy)]
enum Kind {
    NoDriver,
    NoDevice,
    TooOld,
    Mismatch,
    NotReady,
    WrongChip,
    Busy,
    Memory,
    Illegal,
    Hardware,
    Lost,
    Other,
}

/// `CUresult` of cuda.h 13.0 as far as anybody acts on it or reads its name; 35 is the runtime's (`cudaError_t`), whose
/// numbers are otherwise the same.
const RESULTS: &[(u32, &str, Kind)] = &[
    (1, "CUDA_ERROR_INVALID_VALUE", Kind::Other),
    (2, "CUDA_ERROR_OUT_OF_MEMORY", Kind::Memory),
    (3, "CUDA_ERROR_NOT_INITIALIZED", Kind::NoDriver),
    (4, "CUDA_ERROR_DEINITIALIZED", Kind::Other),
    (34, "CUDA_ERROR_STUB_LIBRARY", Kind::NoDriver),
    (35, "CUDA_ERROR_INSUFFICIENT_DRIVER", Kind::TooOld),
    (36, "CUDA_ERROR_CALL_REQUIRES_NEWER_DRIVER", Kind::TooOld),
    (46, "CUDA_ERROR_DEVICE_UNAVAILABLE", Kind::Busy),
    (100, "CUDA_ERROR_NO_DEVICE", Kind::NoDevice),
    (101, "CUDA_ERROR_INVALID_DEVICE", Kind::NoDevice),
    (102, "CUDA_ERROR_DEVICE_NOT_LICENSED", Kind::NotReady),
    (200, "CUDA_ERROR_INVALID_IMAGE", Kind::WrongChip),
    (201, "CUDA_ERROR_INVALID_CONTEXT", Kind::Other),
    (209, "CUDA_ERROR_NO_BINARY_FOR_GPU", Kind::WrongChip),
    (214, "CUDA_ERROR_ECC_UNCORRECTABLE", Kind::Hardware),
    (216, "CUDA_ERROR_CONTEXT_ALREADY_IN_USE", Kind::Busy),
    (218, "CUDA_ERROR_INVALID_PTX", Kind::WrongChip),
    (220, "CUDA_ERROR_NVLINK_UNCORRECTABLE", Kind::Hardware),
    (221, "CUDA_ERROR_JIT_COMPILER_NOT_FOUND", Kind::Other),
    (222, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION", Kind::TooOld),
    (226, "CUDA_ERROR_CONTAINED", Kind::Hardware),
    (304, "CUDA_ERROR_OPERATING_SYSTEM", Kind::Other),
    (400, "CUDA_ERROR_INVALID_HANDLE", Kind::Other),
    (500, "CUDA_ERROR_NOT_FOUND", Kind::Other),
    (600, "CUDA_ERROR_NOT_READY", Kind::Other),
    (700, "CUDA_ERROR_ILLEGAL_ADDRESS", Kind::Illegal),
    (701, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", Kind::Other),
    (702, "CUDA_ERROR_LAUNCH_TIMEOUT", Kind::Other),
    (709, "CUDA_ERROR_CONTEXT_IS_DESTROYED", Kind::Other),
    (710, "CUDA_ERROR_ASSERT", Kind::Illegal),
    (714, "CUDA_ERROR_HARDWARE_STACK_ERROR", Kind::Illegal),
    (715, "CUDA_ERROR_ILLEGAL_INSTRUCTION", Kind::Illegal),
    (716, "CUDA_ERROR_MISALIGNED_ADDRESS", Kind::Illegal),
    (717, "CUDA_ERROR_INVALID_ADDRESS_SPACE", Kind::Illegal),
    (718, "CUDA_ERROR_INVALID_PC", Kind::Illegal),
    (719, "CUDA_ERROR_LAUNCH_FAILED", Kind::Illegal),
    (800, "CUDA_ERROR_NOT_PERMITTED", Kind::Other),
    (801, "CUDA_ERROR_NOT_SUPPORTED", Kind::Other),
    (802, "CUDA_ERROR_SYSTEM_NOT_READY", Kind::NotReady),
    (803, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", Kind::Mismatch),
    (804, "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE", Kind::Mismatch),
    (805, "CUDA_ERROR_MPS_CONNECTION_FAILED", Kind::NotReady),
    (806, "CUDA_ERROR_MPS_RPC_FAILURE", Kind::NotReady),
    (807, "CUDA_ERROR_MPS_SERVER_NOT_READY", Kind::NotReady),
    (808, "CUDA_ERROR_MPS_MAX_CLIENTS_REACHED", Kind::Busy),
    (809, "CUDA_ERROR_MPS_MAX_CONNECTIONS_REACHED", Kind::Busy),
    (810, "CUDA_ERROR_MPS_CLIENT_TERMINATED", Kind::Other),
    (908, "CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD", Kind::Other),
    (911, "CUDA_ERROR_EXTERNAL_DEVICE", Kind::Lost),
    (999, "CUDA_ERROR_UNKNOWN", Kind::Other),
];

/// Results of cuBLAS and cuRAND that mean more than that a call failed.
const STATUSES: &[(&str, Kind)] = &[
    ("CUBLAS_STATUS_ALLOC_FAILED", Kind::Memory),
    ("CUBLAS_STATUS_ARCH_MISMATCH", Kind::WrongChip),
    ("CURAND_STATUS_ALLOCATION_FAILED", Kind::Memory),
    ("CURAND_STATUS_ARCH_MISMATCH", Kind::WrongChip),
];

/// Prefixes by which results are told from other words.
const PREFIXES: [&str; 4] = ["CUDA_ERROR_", "CUBLAS_STATUS_", "CURAND_STATUS_", "NVRTC_ERROR_"];

fn of(kind: Kind, code: Option<u32>, text: &str) -> GpuError {
    match kind {
        Kind::NoDriver => GpuError::NoDriver,
        Kind::NoDevice => GpuError::NoDevice,
        Kind::TooOld => GpuError::DriverTooOld { have: None, need: None },
        Kind::Mismatch => GpuError::DriverMismatch,
        Kind::NotReady => GpuError::NotReady,
        Kind::WrongChip => GpuError::WrongChip,
        Kind::Busy => GpuError::Busy,
        Kind::Memory => GpuError::OutOfMemory { wanted: None, free: None },
        Kind::Illegal => GpuError::IllegalAccess,
        Kind::Hardware => GpuError::Ecc,
        Kind::Lost => GpuError::DeviceLost,
        Kind::Other => GpuError::Other { code, text: text.to_string() },
    }
}

impl GpuError {
    /// What a result code of the CUDA driver (`CUresult`, not 0) means.
    pub fn from_driver(code: u32) -> GpuError {
        match RESULTS.iter().find(|(number, ..)| *number == code) {
            Some((_, name, kind)) => of(*kind, Some(code), name),
            None => of(Kind::Other, Some(code), "a result without a name here"),
        }
    }

    /// What a message means in which a result's name stands, as candle and cudarc print them:
    /// `DriverError(CUDA_ERROR_OUT_OF_MEMORY, "out of memory")`, `CublasError(CUBLAS_STATUS_ALLOC_FAILED)`. `None`
    /// where there is no such name: the failure is not the GPU's.
    pub fn from_message(text: &str) -> Option<GpuError> {
        let start = PREFIXES.iter().filter_map(|prefix| text.find(prefix)).min()?;
        let name = text[start..].split(|c: char| !c.is_ascii_uppercase() && !c.is_ascii_digit() && c != '_').next()?;
        if let Some((code, _, kind)) = RESULTS.iter().find(|(_, known, _)| *known == name) {
            return Some(of(*kind, Some(*code), text));
        }
        let kind = STATUSES.iter().find(|(known, _)| *known == name).map_or(Kind::Other, |(_, kind)| *kind);
        Some(of(kind, None, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMORY: GpuError = GpuError::OutOfMemory { wanted: None, free: None };
    const OLD: GpuError = GpuError::DriverTooOld { have: None, need: None };

    #[test]
    fn result_codes_of_the_driver() {
        let cases = [
            (2, MEMORY),
            (3, GpuError::NoDriver),
            (34, GpuError::NoDriver),
            (35, OLD),
            (36, OLD),
            (46, GpuError::Busy),
            (100, GpuError::NoDevice),
            (101, GpuError::NoDevice),
            (209, GpuError::WrongChip),
            (214, GpuError::Ecc),
            (220, GpuError::Ecc),
            (222, OLD),
            (226, GpuError::Ecc),
            (700, GpuError::IllegalAccess),
            (719, GpuError::IllegalAccess),
            (802, GpuError::NotReady),
            (803, GpuError::DriverMismatch),
            (804, GpuError::DriverMismatch),
            (808, GpuError::Busy),
        ];
        for (code, error) in cases {
            assert_eq!(GpuError::from_driver(code), error, "{code}");
        }
        for code in [1, 4, 999, 123_456] {
            assert!(
                matches!(GpuError::from_driver(code), GpuError::Other { code: Some(c), .. } if c == code),
                "{code}"
            );
        }
    }

    #[test]
    fn messages_as_wrappers_print_them() {
        let cases = [
            ("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")", Some(MEMORY)),
            ("DriverError(CUDA_ERROR_NO_DEVICE, \"no CUDA-capable device is detected\")", Some(GpuError::NoDevice)),
            (
                "DriverError(CUDA_ERROR_NO_BINARY_FOR_GPU, \"no kernel image\") when loading affine",
                Some(GpuError::WrongChip),
            ),
            ("DriverError(CUDA_ERROR_UNSUPPORTED_PTX_VERSION, \"the provided PTX\") when loading unary", Some(OLD)),
            (
                "DriverError(CUDA_ERROR_ILLEGAL_ADDRESS, \"an illegal memory access was encountered\")",
                Some(GpuError::IllegalAccess),
            ),
            ("CublasError(CUBLAS_STATUS_ALLOC_FAILED)", Some(MEMORY)),
            ("CublasError(CUBLAS_STATUS_ARCH_MISMATCH)", Some(GpuError::WrongChip)),
            ("CurandError(CURAND_STATUS_ALLOCATION_FAILED)", Some(MEMORY)),
            ("shape mismatch in matmul, lhs: [2, 3], rhs: [4, 5]", None),
            ("missing kernel 'cast_f8'", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(GpuError::from_message(text), expected, "{text}");
        }
        let other = |text: &str, number| match GpuError::from_message(text) {
            Some(GpuError::Other { code, text: said }) => assert_eq!((code, said.as_str()), (number, text)),
            unexpected => panic!("{text}: {unexpected:?}"),
        };
        other("CublasError(CUBLAS_STATUS_EXECUTION_FAILED)", None);
        other("DriverError(CUDA_ERROR_NOT_SUPPORTED, \"operation not supported\")", Some(801));
        other("DriverError(CUDA_ERROR_OF_TOMORROW, \"?\")", None);
        other("NvrtcError(NVRTC_ERROR_COMPILATION)", None);
    }

    #[test]
    fn no_code_and_no_name_stands_twice() {
        for (i, (code, name, _)) in RESULTS.iter().enumerate() {
            assert!(RESULTS[..i].iter().all(|(c, n, _)| c < code && n != name), "{code} {name}");
        }
    }
}
