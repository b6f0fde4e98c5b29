//! The compiled engine on CPU: plans executed by SIMD kernels on a pool of threads of our own.
//!
//! ```text
//! engine    state, arena, the Engine trait
//! in_step   jobs on all threads, stage by stage
//! update    the update of a range of the flat state
//! lower     steps -> jobs: how each is cut into tiles, what scratch it needs
//! run       a tile of a job: places become slices, slices go to a kernel
//! pool      threads that run the same jobs in step, with a spinning barrier that soon parks
//! product   matrix products alone, for fingerprints and ceilings
//! memory    aligned buffers, and pointers into them that several threads may use at once
//! simd      functions compiled for several instruction sets, chosen at run time
//! kernels/  arithmetic over slices; knows neither threads nor programs
//! ```
//! The tiles of a job depend on shapes only, each is computed by one thread in a fixed order, and sums over tiles are
//! taken in tile order: the bits do not depend on the number of threads.

mod engine;
mod in_step;
mod kernels;
mod lower;
mod memory;
mod pool;
mod product;
mod run;
mod simd;
#[cfg(test)]
mod tests;
mod update;

pub use engine::CpuEngine;
pub(super) use product::product;
pub use product::{SquareProduct, product_tile};
