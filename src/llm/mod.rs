//! Language models over HTTP: one question, one typed answer, everything on tape, every token paid for.
//!
//! ```text
//! chat        what is asked and answered, whatever the provider
//! openai anthropic   the two wire formats
//! retry       which failures may pass, and how long to wait; pure
//! price       tokens to dollars, and the worst that a question can cost
//! template    the texts of prompts/, filled in
//! tape        llm/0001.json ...: every question with its answer; replay
//! fence       untrusted text inside a prompt
//! answer      from text to a checked value
//! client      asks: budget, tries, repairs, tape
//! ```
//! Boundary: knows prompts as text and answers as checked values; must not know campaigns, planners or what an answer
//! means. Keys come from the caller, go into one header, and never reach a tape, a message or an error.

mod answer;
mod anthropic;
mod chat;
mod client;
mod fence;
mod openai;
mod price;
mod retry;
mod tape;
mod template;
#[cfg(test)]
mod tests;

pub use answer::{Answer, schema_of};
pub use chat::{ChatRequest, Finish, Message, Speaker, Usage};
pub use client::{Access, Answered, Client, Failure, Question, Spent, access, first_request};
pub use fence::fence;
pub use price::worst_case;
pub use tape::{Entry, Tape};
pub use template::fill_template;
