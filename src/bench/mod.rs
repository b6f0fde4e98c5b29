//! Measures what this machine and engine can do, for the cost model.
//!
//! Boundary: drives engines on made-up data; must not know planners, campaigns or executors. What the numbers mean is
//! decided in `cost`.

mod accuracy;
mod calibrate;
mod host;
mod measure;
mod synthetic;

pub use accuracy::{Accuracy, accuracy};
pub use calibrate::{Family, calibrate, profile};
pub use measure::{Measured, measure};
