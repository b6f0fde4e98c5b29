//! Measures what this machine and engine can do: for the cost model, and step by step against peers.
//!
//! Boundary: drives engines on made-up data; must not know planners, campaigns or executors. What the numbers mean to a
//! prediction is decided in `cost`.

mod accuracy;
mod assumed;
mod calibrate;
mod ceilings;
mod elsewhere;
mod export;
mod family;
mod gpu;
mod host;
mod measure;
mod session;
mod shape;
mod synthetic;
mod train;

pub use accuracy::{Accuracy, accuracy};
pub use assumed::h200;
pub use calibrate::{at_hand, calibrate, profile, profile_path};
pub use ceilings::{Ceilings, Rates};
pub use elsewhere::{Elsewhere, measure_to};
pub use export::export;
pub use family::Family;
pub use gpu::{GpuRow, predict_on_gpu, time_on_gpu};
pub use measure::{Measured, measure};
pub use session::{Session, StepSize};
pub use shape::known_shape;
pub use train::{Row, Subject, step_parts, time_steps};
