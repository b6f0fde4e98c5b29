//! A language model in its roles: what each is shown, what each may say, and what outlives the campaign.
//!
//! ```text
//! context     one bounded research context from the state
//! prompts     the texts of prompts/, filled in
//! answers     the forms of answers, and what makes sense of one
//! counsellor  asks in a thread of its own, or plays the tape; remembers
//! draft       from a sentence to a campaign
//! findings    what a concluded campaign leaves for others
//! ```
//! Boundary: reads campaigns' states, asks through [`crate::llm`], changes nothing: answers go to the driver. Must not know
//! tensors, processes, executors or the command line. Whatever a model says, [`answers`] lets only settings of the campaign's
//! space pass; whatever a log, a finding or a model said before is shown to it inside a fence.

mod answers;
mod context;
mod counsellor;
mod draft;
mod findings;
mod prompts;
#[cfg(test)]
mod tests;

pub use counsellor::Agent;
pub use draft::{Draft, Drafted, draft, filled};
pub use findings::findings;
pub use prompts::{TEMPLATES, fill};
