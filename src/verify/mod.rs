//! Whether a paper says what was measured: its rendered text read back, every number in it computed again.
//!
//! ```text
//! measured    what the runs left: metrics, manifests, events; and whether those agree with each other
//! quantities  every number that a paper may state, computed again from that, under the id that marks it in the text
//! shown       numbers as papers show them: digits, units, powers, words; and whether one is a rounding of a quantity
//! rendered    HTML and TeX as words, marked numbers and the places where they stand
//! text        Markdown as words
//! pdf         a PDF's numbers against the page's
//! cited       citations and references against paper.bib
//! judge       holds texts against quantities, and forms against each other
//! made        facts.json, results.tsv and figures against quantities, and against what the records give now
//! rerun       trains sampled runs again and compares bits, or intervals
//! ```
//! Boundary: knows the paper's files and nothing of the code that wrote them: no fact is taken from `facts.json`, no rounding
//! from there; it is one more text to be checked. What that code makes of the records now is handed in ([`Made`]), and is compared
//! beside the numbers' own computation, never in its place. What is shared with it are the statistics of [`crate::analysis`], which have
//! tests against other programs, and the types of the journal.

mod cited;
mod judge;
mod made;
mod measured;
mod pdf;
mod quantities;
mod rendered;
mod rerun;
mod shown;
#[cfg(test)]
mod tests;
mod text;

pub use judge::{Checked, Fault, check};
pub use made::Made;
pub use measured::Measured;
pub use rerun::{Rerun, Verdict, rerun, sample};
