//! Scholarly records: found at OpenAlex or read from a local `.bib` file, and what may be cited on their strength.
//!
//! ```text
//! record      one work: key, title, authors, year, venue, DOI, address, abstract; cleaned of what does not belong in text
//! latex       LaTeX's accents and escapes to Unicode and back; nothing that a record says is ever a command
//! names       authors: family and given names, as BibTeX and as catalogues write them
//! bibtex      a `.bib` file, read entry by entry: what is broken is listed with its line, and the rest is read
//! write       records as a `.bib` file
//! fold        titles and names without case, punctuation and accents, to compare them
//! check       whether a citation is a record's: title, authors and year
//! openalex    the catalogue's wire format
//! cache       its answers on disk
//! catalogue   asks it: pace, tries, cache
//! novelty     how near a claim's words are to those of the records that were found
//! ```
//! Boundary: everything that comes in is untrusted text, and is bounded and cleaned where it comes in. Must not know
//! campaigns, papers or language models.

mod bibtex;
mod cache;
mod catalogue;
mod check;
mod fold;
mod latex;
mod names;
mod novelty;
mod openalex;
mod record;
mod write;

#[cfg(test)]
mod tests;

pub use bibtex::{Bibliography, Fault, MONTHS, read_bib};
pub use cache::Cache;
pub use catalogue::{Catalogue, Found, Origin, Reach, Settings, settings};
pub use check::{Refusal, check};
pub use latex::{decode as from_latex, encode as to_latex};
pub use names::Author;
pub use novelty::{Near, Novelty, novelty, query};
pub use record::{Record, Source};
pub use write::to_bib;
