//! The paper: every number from a run, every citation from a record, set by LaTeX.
//!
//! ```text
//! fact       one thing that a paper may say: subject, value, interval, rounding, where it comes from
//! facts      all of a campaign's, compiled from its folder (facts.json)
//! prose      markup to checked text: what is no fact does not build
//! ```
//! Boundary: reads campaigns; changes nothing in them. Everything in `paper/` can be deleted and made again.

pub mod fact;
pub mod facts;
pub mod prose;

pub use fact::{Basis, FACTS_FILE, Fact, Facts, Show, Shows, Value};
pub use facts::gather;
