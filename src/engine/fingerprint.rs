//! What decides the bits of results beside the programs.

use crate::config::NUMERICS_VERSION;
use candle_core::{Device, Tensor};
use std::collections::BTreeMap;

/// The version of candle this is built with (a test compares it with `Cargo.lock`).
pub(super) const CANDLE: &str = "0.11.1";

/// The version of faer this is built with (tested likewise).
const FAER: &str = "0.24.4";

/// Facts of CPU engines that compute with candle.
pub(super) fn cpu() -> BTreeMap<String, String> {
    facts(("candle", CANDLE), |(m, n, k), a, b| {
        let product = || -> candle_core::Result<Vec<f32>> {
            let a = Tensor::from_slice(a, (m, k), &Device::Cpu)?;
            let b = Tensor::from_slice(b, (k, n), &Device::Cpu)?;
            a.matmul(&b)?.flatten_all()?.to_vec1::<f32>()
        };
        product().map_err(|error| error.to_string())
    })
}

/// Facts of the compiled engine.
pub(super) fn compiled() -> BTreeMap<String, String> {
    facts(("faer", FAER), |shape, a, b| Ok(super::cpu::product(shape, a, b)))
}

/// What both have to say, with the library that multiplies matrices.
fn facts(
    library: (&str, &str),
    product: impl Fn((usize, usize, usize), &[f32], &[f32]) -> Result<Vec<f32>, String>,
) -> BTreeMap<String, String> {
    let model = crate::sys::env::host_facts().into_iter().find(|(name, _)| *name == "cpu").map(|(_, value)| value);
    BTreeMap::from([
        ("numerics".to_string(), NUMERICS_VERSION.to_string()),
        (library.0.to_string(), library.1.to_string()),
        ("device".to_string(), "cpu".to_string()),
        ("cpu".to_string(), model.unwrap_or_else(|| std::env::consts::ARCH.to_string())),
        ("isa".to_string(), instruction_set()),
        ("gemm".to_string(), gemm_probe(product)),
    ])
}

/// The vector extensions that candle's GEMM chooses its kernels by.
fn instruction_set() -> String {
    #[cfg(target_arch = "x86_64")]
    {
        let mut found = vec!["x86_64"];
        if std::is_x86_feature_detected!("fma") {
            found.push("fma");
        }
        if std::is_x86_feature_detected!("avx2") {
            found.push("avx2");
        }
        if std::is_x86_feature_detected!("avx512f") {
            found.push("avx512f");
        }
        found.join("+")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        std::env::consts::ARCH.to_string()
    }
}

/// A hash of fixed matrix products. The GEMM beneath chooses its blocking of the summed dimension by the sizes of the
/// caches, so that two CPUs of one name and instruction set may differ: this shows it.
fn gemm_probe(product: impl Fn((usize, usize, usize), &[f32], &[f32]) -> Result<Vec<f32>, String>) -> String {
    let mut hasher = blake3::Hasher::new();
    for (m, n, k) in [(3, 5, 700), (70, 80, 1500), (1, 40, 333)] {
        let values = |count: usize, salt: u64| -> Vec<f32> {
            (0..count as u64).map(|i| ((i * 2_654_435_761 + salt) % 1000) as f32 / 997.0 - 0.5).collect()
        };
        match product((m, n, k), &values(m * k, 1), &values(k * n, 7)) {
            Ok(values) => values.iter().for_each(|v| {
                hasher.update(&v.to_le_bytes());
            }),
            Err(error) => return format!("failed: {error}"),
        }
    }
    hasher.finalize().to_hex()[..16].to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_named_libraries_are_the_locked_ones() {
        let lock = include_str!("../../Cargo.lock");
        for (name, version) in [("candle-core", CANDLE), ("faer", FAER)] {
            let after = lock.split(&format!("name = \"{name}\"\n")).nth(1).unwrap_or_default();
            let locked = after.starts_with(&format!("version = \"{version}\""));
            assert!(locked, "{name} changed: update its version here and NUMERICS_VERSION together");
        }
    }

    #[test]
    fn facts_are_the_same_each_time() {
        assert_eq!(cpu(), cpu());
        assert_eq!(compiled(), compiled());
    }
}
