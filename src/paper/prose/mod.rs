//! From markup to checked text: prose may be about anything, but every number in it is a fact.
//!
//! ```text
//! The best candidate reaches {candidate.best.metric|interval} on fresh seeds, against the baseline's
//! {baseline.metric}; see [#fig:curves] and [@bergstra2011].
//! ```
//! Blocks are paragraphs, `## headings`, `- items`, and lines such as `!fig:curves` where a float stands. In a block,
//! `{id}` and `{id|form}` are facts, `[@key]` is a citation in brackets and `[+@key]` one in the sentence, `[#label]` refers to a
//! section, figure or table, `` `name` `` is a name of the campaign (a path, a value, a file).
//!
//! What does not build, and names the sentence: digits of any script and numbers in words, Roman numerals, fractions,
//! multiples ([`numbers`]); a fact whose subject is not the one that the sentence is about ([`subjects`]); a claim that something
//! is better, worse, associated or a cause without a fact that shows it beyond the noise ([`claims`]); a fact with another unit
//! or under another measure's name ([`quantities`]); a well-known name of what the campaign did not have ([`foreign`]); facts, keys, labels and names that do not exist; raw TeX and HTML, and
//! letters that only look like others.
//!
//! Boundary: knows facts and markup; where sentences come from, and how they are set, is not its concern.

mod claim_words;
mod claims;
mod compile;
mod foreign;
mod items;
mod markup;
mod numbers;
mod quantities;
mod stance;
mod subjects;
#[cfg(test)]
mod tests;

pub use compile::{Compiled, Compiler, Finding, Inline, Piece, shown_as};
pub use markup::Form;
