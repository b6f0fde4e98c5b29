//! The reference engine: step programs interpreted op by op on candle tensors. Slow, plain, and what the other engines
//! are measured against.
//!
//! Boundary: candle's *forward* ops and plain loops over slices only; candle's autograd is never used (it lacks
//! gradients or gets them wrong in places), it only serves as a second witness in tests. Files by op family: [`linear`],
//! [`elementwise`], [`norm`], [`tokens`], [`attention`], [`image`], [`loss`], [`optimizer`].
//!
//! Reductions run in a fixed order and matrix products split only over rows and columns of the result, so the bits do
//! not depend on the number of threads. On a device other than the CPU the loops go through host memory.

mod attention;
mod call;
pub(in crate::engine) mod elementwise;
mod engine;
mod image;
mod interpret;
mod linear;
mod loss;
mod norm;
mod optimizer;
mod plan;
pub(in crate::engine) mod real;
#[cfg(test)]
pub(in crate::engine) mod tests;
mod tokens;

pub use engine::{Precision, ReferenceEngine};
