//! All pairs of a modular operation, made rather than read: Power et al., "Grokking" (arXiv 2201.02177).

use crate::config::{ModularData, ModularOp};
use crate::problem::{Problem, Result};

/// Tokens in a sample: `a b =`.
pub(super) const LENGTH: usize = 3;

/// Tokens `[m * m, 3]` with `=` as token m, and the results as classes.
pub(super) fn make(spec: &ModularData) -> Result<(Vec<u32>, Vec<u32>)> {
    let m = spec.modulus;
    if !(2..=1024).contains(&m) {
        return Err(Problem::usage(format!("modulus {m} is not between 2 and 1024"))
            .at("data.modulus")
            .remedy("give a modulus between 2 and 1024; 113 and 97 are common"));
    }
    let pairs = (m * m) as usize;
    let mut tokens = Vec::with_capacity(pairs * LENGTH);
    let mut results = Vec::with_capacity(pairs);
    for a in 0..m {
        for b in 0..m {
            tokens.extend([a, b, m]);
            results.push(match spec.operation {
                ModularOp::Add => (a + b) % m,
                ModularOp::Subtract => (a + m - b) % m,
                ModularOp::Multiply => a * b % m,
            });
        }
    }
    Ok((tokens, results))
}
