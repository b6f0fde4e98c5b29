//! Where texts about a campaign are written and reviewed with a language model's help: owner of the journal for that time,
//! payer from the campaign's account, recorder on its tape.
//!
//! What a killed desk asked is settled by the next one from the tape, as a controller settles its own questions. A desk can
//! also play the tape: the same questions in the same order give the same answers, offline.
//! Boundary: asks and pays; must not know what is written.

use super::apply::apply;
use super::asking::unheard;
use super::counsel::Paid;
use super::events::Event;
use super::folder::{replay, seconds};
use super::placement::TAPE_FOLDER;
use super::state::State;
use super::writing::WritingQuestion;
use crate::config::{LlmRole, LlmSpec};
use crate::journal::{self, Journal};
use crate::llm::{self, Access, Answer, Client, Tape, worst_case};
use crate::problem::{Problem, Result};
use crate::sys::clock::Clock;
use crate::sys::http::Post;
use crate::sys::shell;
use crate::units::Dollars;
use std::path::{Path, PathBuf};

/// What came of a question: a checked value, or why there is none, in one line.
pub type Heard<T> = std::result::Result<T, String>;

/// A desk.
pub struct Desk<'a> {
    folder: PathBuf,
    state: State,
    spec: LlmSpec,
    access: Access,
    post: &'a dyn Post,
    clock: &'a dyn Clock,
    mode: Mode<'a>,
}

enum Mode<'a> {
    Recording(Box<Journal<'a>>),
    /// The next question, as an index into what was answered.
    Playing(usize),
}

/// A question to a role about a text.
pub struct Ask<'q, T> {
    /// Who is asked.
    pub role: LlmRole,
    /// What for, as the journal will say it: `review, round 1, the statistician`.
    pub what: &'q str,
    /// Standing instructions.
    pub system: &'q str,
    /// The question, untrusted parts fenced.
    pub prompt: &'q str,
    /// Whether a well-formed answer makes sense; else what the model is told.
    pub check: &'q dyn Fn(&T) -> std::result::Result<(), String>,
}

impl<'a> Desk<'a> {
    /// Opens a desk in a campaign's folder and settles what an earlier one left.
    ///
    /// # Errors
    /// Class `Owned` where a controller or another desk is at work; `Usage` where the campaign has no `[llm]` section, or a
    /// question of its own is still open.
    pub fn open(folder: &Path, access: Access, post: &'a dyn Post, clock: &'a dyn Clock) -> Result<Self> {
        let (journal, envelopes) = Journal::open(folder, clock)?;
        let state = replay(&envelopes)?;
        if state.counsel.asking.is_some() {
            return Err(Problem::usage("a question of the campaign's planning is still open")
                .at(folder.display().to_string())
                .remedy(format!("let a controller settle it: `nanoresearch resume {}`", shell::path(folder))));
        }
        let mut desk = Desk::with(folder, state, access, post, clock, Mode::Recording(Box::new(journal)))?;
        if let Some(question) = desk.state.writing.asking.clone() {
            let mut paid = unheard(&folder.join(TAPE_FOLDER), desk.state.accounted())?;
            if let Some(allowance) = question.allowance {
                paid.dollars = paid.dollars.min(allowance);
            }
            let failure = Some("whoever asked ended before the answer came".to_string());
            desk.record(&Event::WritingAnswered { number: question.number, paid, failure })?;
        }
        Ok(desk)
    }

    /// A desk that plays what was asked before, in its order, and asks nobody; it writes nothing.
    pub fn playing(folder: &Path, post: &'a dyn Post, clock: &'a dyn Clock) -> Result<Self> {
        let state = replay(&journal::read(folder)?)?;
        Desk::with(folder, state, Access::nowhere(), post, clock, Mode::Playing(0))
    }

    fn with(
        folder: &Path,
        state: State,
        access: Access,
        post: &'a dyn Post,
        clock: &'a dyn Clock,
        mode: Mode<'a>,
    ) -> Result<Self> {
        let spec = state.campaign.llm.clone().ok_or_else(|| {
            Problem::usage("the campaign has no [llm] section, so there is nobody to ask")
                .at(folder.display().to_string())
                .remedy("add one to campaign.toml and resume the campaign, or do without a language model")
        })?;
        Ok(Desk { folder: folder.to_path_buf(), state, spec, access, post, clock, mode })
    }

    /// The campaign, what was paid here included.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Asks, pays and records. What it may cost at worst must be free in the campaign's account, or it is not asked.
    ///
    /// # Errors
    /// What must stop the writing: a journal or tape that cannot be written, another owner, a tape that holds another question.
    pub fn ask<T: Answer>(&mut self, ask: &Ask<T>) -> Result<Heard<T>> {
        if let Mode::Playing(next) = &mut self.mode {
            let index = *next;
            *next += 1;
            return self.play(index, ask);
        }
        let allowance = match self.allowance::<T>(ask) {
            Ok(allowance) => allowance,
            Err(why) => return Ok(Err(why)),
        };
        let question = WritingQuestion {
            number: self.state.writing.answered.len() + 1,
            role: ask.role,
            what: ask.what.to_string(),
            allowance,
        };
        self.record(&Event::WritingAsked { question: question.clone() })?;
        let tape = Tape::record(&self.folder.join(TAPE_FOLDER))?;
        let (heard, paid) = self.send(ask, allowance, tape)?;
        let failure = heard.as_ref().err().cloned();
        self.record(&Event::WritingAnswered { number: question.number, paid, failure })?;
        Ok(heard)
    }

    /// What may be spent: the first call and its repairs where that is free, at least the first call.
    fn allowance<T: Answer>(&self, ask: &Ask<T>) -> Heard<Option<Dollars>> {
        if self.state.ledger.budget_dollars().is_none() {
            return Ok(None);
        }
        let model = self.spec.model_for(ask.role);
        let price = self.spec.prices.get(model);
        let price =
            price.ok_or_else(|| format!("{model} has no price in llm.prices, and the campaign limits dollars"))?;
        let request = llm::first_request::<T>(&self.spec, ask.role, ask.system, ask.prompt);
        let once = worst_case(&request, *price);
        let free = self.state.ledger.free().dollars;
        if once > free {
            return Err(format!("the question could cost {once}, and {free} of the campaign's dollars are free"));
        }
        let calls = self.spec.repairs as u64 + 1;
        // A repair sends the bad answer back, so it costs a little more than the first call.
        let whole = Dollars { micro: once.micro.saturating_mul(calls).saturating_mul(5) / 4 };
        Ok(Some(whole.min(free)))
    }

    fn play<T: Answer>(&self, index: usize, ask: &Ask<T>) -> Result<Heard<T>> {
        let Some(written) = self.state.writing.answered.get(index) else {
            return Err(Problem::failed(format!("the tape holds no answer for \"{}\"", ask.what))
                .at(self.folder.join(TAPE_FOLDER).display().to_string())
                .remedy("play it with the program and the prompts that recorded it"));
        };
        let Some(first) = written.paid.entries.first() else {
            return Ok(Err(written.failure.clone().unwrap_or_default()));
        };
        let tape = Tape::replay_from(&self.folder.join(TAPE_FOLDER), *first);
        Ok(self.send(ask, written.question.allowance, tape)?.0)
    }

    fn send<T: Answer>(&self, ask: &Ask<T>, allowance: Option<Dollars>, tape: Tape) -> Result<(Heard<T>, Paid)> {
        let mut client = Client::new(&self.spec, self.access.clone(), self.post, self.clock, tape);
        let question =
            llm::Question { role: ask.role, system: ask.system, prompt: ask.prompt, allowance, check: ask.check };
        let answered = client.ask(&question)?;
        let spent = answered.spent;
        let paid = Paid { usage: spent.usage, dollars: spent.dollars, entries: spent.entries };
        let one_line = |text: String| text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(500).collect();
        Ok((answered.result.map_err(|failure| one_line(failure.to_string())), paid))
    }

    fn record(&mut self, event: &Event) -> Result<()> {
        let Mode::Recording(journal) = &mut self.mode else { return Ok(()) };
        let time = journal.now();
        // What the state refuses is never written.
        let mut next = self.state.clone();
        apply(&mut next, event, seconds(&time)?)?;
        let (kind, version, data) = event.encode()?;
        journal.append_at(time, &kind, version, data)?;
        self.state = next;
        Ok(())
    }
}
