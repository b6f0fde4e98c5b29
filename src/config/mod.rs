//! Typed configs: what may be said about an experiment and a campaign, and nothing else.
//!
//! Boundary: reads text, never runs anything; knows no tensors, no programs, no processes. Shapes that depend on the
//! data (classes, image size) are checked in `graph`, where they are known.

mod budget;
mod campaign;
mod data;
mod experiment;
mod model;
mod optimizer;
mod schedule;
mod shape;
mod training;

pub use campaign::*;
pub use data::*;
pub use experiment::Experiment;
pub use model::*;
pub use optimizer::*;
pub use schedule::*;
pub use shape::*;
pub use training::*;
