//! A campaign from its first event to its conclusion.
//!
//! [`events`] says what may happen (and [`facts`] what events carry), [`state`] what is known (of runs: [`run`]), [`apply`] how one changes the other (the same function live
//! and on restart), [`decide`] what follows (pure), [`ledger`] what it costs, [`downscale`] what is given up when it costs
//! too much, [`counsel`] what a language model is asked and may answer, [`placement`] where files lie, and [`drive`] is the one place where anything is done: it writes down each
//! decision, then acts on it. A controller killed between any two lines leaves a journal from which the next goes on.
//!
//! Boundary: starts runs only through an [`Executor`](crate::exec::Executor), asks prices of a [`Pricer`] and proposals of a
//! [`Sampler`](crate::planner::Sampler). Must not know engines, tensors, processes, reports or the command line.

pub mod admission;
pub mod apply;
mod approval;
mod asking;
mod attempts;
mod batch;
mod changes;
mod conclude;
mod consult;
pub mod correction;
pub mod counsel;
pub mod curve;
pub mod decide;
mod desk;
mod disposal;
pub mod downscale;
mod driver;
pub mod events;
pub mod facts;
mod folder;
pub mod forecast;
pub mod gain;
pub mod hypotheses;
pub mod ledger;
pub mod overhead;
pub mod placement;
mod places;
mod prices;
mod promote;
mod questions;
pub mod reach;
mod recovery;
pub mod rejections;
mod replay;
pub mod results;
mod room;
pub mod run;
mod rungs;
mod search;
pub mod state;
pub mod usage;
mod words;
pub mod writing;

#[cfg(test)]
pub(crate) mod tests;

use crate::config::Experiment;
use crate::problem::Result;

pub use admission::{Admission, LeftOut, acceptable};
pub use approval::{Approvals, Subject};
pub use conclude::{capital, goal_met};
pub use consult::{CONCLUDE_AFTER, within, words as question_words};
pub use counsel::{Counsel, Counsellor, Inquiry, Paid, Question, Reply};
pub use decide::{Advice, decide, first_plan};
pub use desk::{Ask, Desk, Heard};
pub use disposal::{Disposal, disposable};
pub use driver::{Finish, Observer, World, drive, tick};
pub use events::Event;
pub use facts::{Conclusion, NextStep, Price, Purpose, Reason, RunResult, Seen};
pub use folder::{create, is_writing, load, load_research};
pub use forecast::Forecast;
pub use ledger::{Amount, Ledger};
pub use overhead::Overhead;
pub use placement::{Request, attempt_path, project_missing, request, run_path};
pub use places::{PlaceSum, places};
pub use prices::PRICES_FILE;
pub use reach::{Reach, Refused, reach};
pub use rejections::{Rejections, rejections};
pub use replay::{Replayed, replay};
pub use results::results_tsv;
pub use run::{Attempt, AttemptEnd, Limits, Run};
pub use state::{Candidate, Decision, Halt, Scope, Standing, State};
pub use usage::{Usage, energy};
pub use words::{assignment, value_text};
pub use writing::{Writing, WritingQuestion, Written};

/// Says what a run would take, before anything is spent on it.
pub trait Pricer {
    /// The price of one attempt at the whole experiment. The same experiment always has the same price within one
    /// controller's life. A [`Problem`](crate::problem::Problem) of class `Usage` means that it cannot be run at all (it is
    /// then rejected, recorded and never submitted); any other problem stops the controller.
    fn price(&self, experiment: &Experiment) -> Result<Price>;
}
