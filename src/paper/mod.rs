//! The paper: every number from a run, every citation from a record, set by LaTeX.
//!
//! ```text
//! fact       one thing that a paper may say: subject, value, interval, rounding, where it comes from
//! facts      all of a campaign's, compiled from its folder (facts.json)
//! prose      markup to checked text: what is no fact does not build
//! narrative  a draft by rules: outline, sections, captions, tables
//! writer     a language model in the rules' place, through the same compiler
//! document   a draft, checked, numbered, with what it cites
//! render     one document as LaTeX, Markdown, HTML
//! tex        LaTeX to PDF, and what its log complains of
//! assemble   the files of `paper/`
//! readback   a page as markup again, compiled and set again, for whoever verifies
//! ```
//! Boundary: reads campaigns; changes nothing in them. Everything in `paper/` can be deleted and made again.

mod assemble;
pub mod document;
pub mod fact;
pub mod facts;
pub mod narrative;
pub mod prose;
mod readback;
mod render;
#[cfg(test)]
mod tests;
mod tex;
mod writer;

pub use assemble::{PAPER_FOLDER, Written, drawings, library, typeset, write};
pub use document::{Document, Draft, DraftSection, check, compile};
pub use fact::{Basis, FACTS_FILE, Fact, Facts, Show, Shows, Value};
pub use facts::gather;
pub use narrative::draft;
pub use readback::{again, library_of};
pub use tex::Pdf;
pub use writer::ask as write_text;
