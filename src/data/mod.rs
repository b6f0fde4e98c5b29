//! Datasets: readers, tokenisers, seeded splits, batches, and the cache of named sets.
//!
//! Boundary: turns files into plain arrays; must not know models, programs, engines or runs.
//!
//! [`Dataset::load`] is the door: it finds the files (embedded, beside the config, or in the cache of [named sets](registry),
//! downloading what is missing), reads them, splits them with a seed, and hands out [`Batch`]es. Everything it does is a
//! function of the spec and the files' content, so [`Dataset::hash`] names exactly what a run will see.

mod batch;
mod columns;
mod dataset;
mod digits;
mod fetch;
mod files;
mod identity;
mod idx;
mod load;
mod modular;
mod order;
mod registry;
mod rows;
mod split;
mod table;
mod text;

#[cfg(test)]
mod tests;

pub use batch::{Batch, Column, Part};
pub use columns::{ColumnSummary, TableSummary, table_summary};
pub use dataset::Dataset;
pub use fetch::{Cached, cached, get};
pub use registry::{NamedSet, RemoteFile, SetKind, registry};
