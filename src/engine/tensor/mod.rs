//! The reference engine on any device: every op of a step program in terms of whole-tensor operations.
//!
//! [`reference`](super::reference) computes most ops on slices in host memory, which is exact and plain but stays on the
//! CPU. Here the same ops are written once more over a small vocabulary of array operations ([`array::Array`]), which has
//! two implementations: candle's tensors, on a CPU or an NVIDIA GPU, and [`ghost::Ghost`], which has shapes but no
//! elements and places what the operations allocate in an endless block of memory. So what is predicted of memory and what
//! is executed are one program; and on a GPU the real arrays are placed by the same code ([`crate::gpu::Placement`]) in one
//! block of the size that the ghosts found.
//!
//! **Numerics.** Parameters, gradients, optimiser state, norms' statistics, log-sum-exps and losses are f32. Values between
//! ops are kept in the compute type (f32 or bf16). Matrix products take operands in the compute type, accumulate in f32
//! and round once; everything else computes in f32 and rounds where its result is kept.

mod array;
mod attention;
mod candle;
mod context;
mod cuda;
mod elementwise;
mod engine;
mod ghost;
mod image;
mod loss;
mod norm;
mod optimizer;
mod rehearsal;
mod run;
mod tokens;

#[cfg(test)]
mod tests;

pub use cuda::card_rates;
pub use engine::TensorEngine;
