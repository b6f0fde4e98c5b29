//! Whether a paper says what was measured: its rendered text read back, every number in it computed again.
//!
//! ```text
//! measured    what the runs left: metrics, manifests, events; and whether those agree with each other
//! quantities  every number that a paper may state, computed again from that, under the id that marks it in the text
//! shown       numbers as papers show them: digits, units, powers, words; and whether one is a rounding of a quantity
//! rendered    HTML and TeX as words, marked numbers and the places where they stand
//! text        Markdown and PDF as words
//! judge       holds texts against quantities, forms against each other, facts.json against quantities
//! rerun       trains sampled runs again and compares bits, or intervals
//! ```
//! Boundary: knows the paper's files and nothing of the code that wrote them: no fact is taken from `facts.json`, no rounding
//! from there; it is one more text to be checked. What is shared with it are the statistics of [`crate::analysis`], which have
//! tests against other programs, and the types of the journal.

mod judge;
mod measured;
mod quantities;
mod rendered;
mod rerun;
mod shown;
#[cfg(test)]
mod tests;
mod text;

pub use judge::{Checked, Fault, check};
pub use measured::Measured;
pub use rerun::{Rerun, Verdict, rerun, sample};
