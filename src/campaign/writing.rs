//! What is paid for writing about a campaign: prose, reviews of a paper. Asked beside the loop, charged to the same account.
//!
//! Each call is an event before it is made, with the most that it may cost, and another with what it did cost; its entries are
//! on the campaign's tape. Both are observations: a person asked for the writing, no decision led to it.
//! Boundary: data and its part of [`super::apply`]; who asks is [`super::desk`].

use super::counsel::Paid;
use super::state::State;
use crate::config::LlmRole;
use crate::llm::Usage;
use crate::problem::{Problem, Result};
use crate::units::Dollars;
use serde::{Deserialize, Serialize};

/// A question about a text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WritingQuestion {
    /// From 1, without gaps.
    pub number: usize,
    /// Who is asked.
    pub role: LlmRole,
    /// What for: `review, round 1, the statistician`.
    pub what: String,
    /// What may be spent on it; none where dollars are not limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowance: Option<Dollars>,
}

/// One that is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Written {
    /// The question.
    pub question: WritingQuestion,
    /// What it cost.
    pub paid: Paid,
    /// Why nothing of use came back; none where something did.
    pub failure: Option<String>,
}

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Writing {
    /// The question that is not over.
    pub asking: Option<WritingQuestion>,
    /// All others, in order.
    pub answered: Vec<Written>,
}

impl Writing {
    /// What all of it cost.
    pub fn paid(&self) -> (Usage, Dollars) {
        self.answered.iter().fold(Default::default(), |(usage, dollars): (Usage, Dollars), w| {
            (usage.plus(w.paid.usage), Dollars { micro: dollars.micro.saturating_add(w.paid.dollars.micro) })
        })
    }

    /// Whether there was any.
    pub fn is_empty(&self) -> bool {
        self.asking.is_none() && self.answered.is_empty()
    }
}

impl State {
    /// The last entry on the tape that is accounted for; what comes after it was asked and never settled.
    pub fn accounted(&self) -> u32 {
        let planning = self.counsel.answered.iter().flat_map(|a| &a.paid.entries);
        let writing = self.writing.answered.iter().flat_map(|w| &w.paid.entries);
        planning.chain(writing).max().copied().unwrap_or(0)
    }

    pub(super) fn writing_asked(&mut self, question: &WritingQuestion) -> Result<String> {
        let open = self.writing.asking.is_some() || self.counsel.asking.is_some();
        if open || question.number != self.writing.answered.len() + 1 {
            return Err(out_of_order(question.number));
        }
        self.ledger.ask(question.allowance.unwrap_or_default())?;
        self.writing.asking = Some(question.clone());
        let most = question.allowance.map_or_else(String::new, |d| format!(", for {d} at most"));
        Ok(format!("the {} is asked for a {}{most}", question.role.name(), question.what))
    }

    pub(super) fn writing_answered(&mut self, number: usize, paid: &Paid, failure: Option<&str>) -> Result<String> {
        let question = self.writing.asking.take().filter(|q| q.number == number).ok_or_else(|| out_of_order(number))?;
        self.ledger.answer(paid.dollars);
        let text = match failure {
            None => format!("the {} answered: {}, {}", question.role.name(), question.what, paid.dollars),
            Some(why) => format!("{}: nothing came of it: {why}", question.what),
        };
        self.writing.answered.push(Written { question, paid: paid.clone(), failure: failure.map(str::to_string) });
        Ok(text)
    }
}

fn out_of_order(number: usize) -> Problem {
    Problem::failed(format!("the journal contradicts itself: writing question {number} is out of order"))
        .at("events.jsonl")
        .remedy("restore the file from a copy")
}
