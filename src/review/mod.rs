//! Reviews of a paper: rule checks that anybody can follow, and a language model as several reviewers where there is one.
//!
//! ```text
//! manuscript  the rendered paper as sections, sentences and words
//! opinion     what a reviewer says: scores, demands; what of it makes sense
//! rules       checks of soundness, statistics and clarity against the text and the campaign's state
//! personas    whom a language model is asked to be, and the asking
//! rounds      review, revision, review again; bounded
//! written     review.md and review.json
//! ```
//! Boundary: reads a rendered text and a campaign's state. Must not know how papers are compiled, nor the command line.

mod manuscript;
mod opinion;
mod personas;
mod rounds;
mod rules;
#[cfg(test)]
mod tests;
mod written;

pub use manuscript::Manuscript;
pub use opinion::{Demand, Opinion, Review, Scores, Severity};
pub use personas::{PERSONAS, Persona, ask};
pub use rounds::{Reviser, rounds};
pub use rules::check;
pub use written::{REVIEW_FILE, REVIEW_TEXT, to_markdown, write};
