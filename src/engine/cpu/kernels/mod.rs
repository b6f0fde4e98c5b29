//! Arithmetic over slices: no threads, no programs, no allocation.

pub(super) mod attention;
pub(super) mod conv;
pub(super) mod gemm;
pub(super) mod loss;
pub(super) mod norm;
pub(super) mod optimizer;
mod pack;
mod panels;
pub(super) mod pool;
pub(super) mod short_attention;
pub(super) mod tail;
pub(super) mod tiling;
pub(super) mod tokens;
