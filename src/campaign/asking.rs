//! The part of the driver that talks: to the language model, to the knowledge of earlier campaigns, to people who say more
//! than "stop".
//!
//! A question that an earlier controller left open is settled from the tape first of all: what was asked is paid for, be its
//! answer heard or not. Boundary: as the driver; decides nothing.

use super::counsel::{Paid, Reply};
use super::driver::Controller;
use super::events::Event;
use super::placement;
use crate::llm::Tape;
use crate::problem::Result;
use std::path::Path;

impl Controller<'_, '_, '_> {
    /// Settles a question that nobody waits for any more.
    pub(super) fn settle_unheard(&mut self, why: &str) -> Result<()> {
        if let Some(question) = self.state.writing.asking.clone() {
            let mut paid = unheard(&self.folder.join(placement::TAPE_FOLDER), self.state.accounted())?;
            if let Some(allowance) = question.allowance {
                paid.dollars = paid.dollars.min(allowance);
            }
            let failure = Some(why.to_string());
            self.record(&Event::WritingAnswered { number: question.number, paid, failure })?;
        }
        let Some(question) = self.state.counsel.asking.clone() else { return Ok(()) };
        let mut paid = unheard(&self.folder.join(placement::TAPE_FOLDER), self.state.accounted())?;
        if let Some(allowance) = question.allowance {
            paid.dollars = paid.dollars.min(allowance);
        }
        let reply = Box::new(Reply::Nothing { why: why.to_string(), unheard: true });
        self.asked = None;
        self.record(&Event::Answered { number: question.number, reply, paid })
    }

    /// Looks once for what earlier campaigns found.
    pub(super) fn recall(&mut self) -> Result<()> {
        if self.state.counsel.recalled.is_some() || !self.state.candidates.is_empty() {
            return Ok(());
        }
        let findings = self.world.counsel.as_ref().map(|c| c.recall(&self.state)).transpose()?.unwrap_or_default();
        if findings.is_empty() {
            return Ok(());
        }
        self.record(&Event::Recalled { findings })
    }

    /// Asks what is to be asked, and records what came back.
    pub(super) fn converse(&mut self) -> Result<()> {
        let Some(question) = self.state.counsel.asking.clone() else { return Ok(()) };
        if self.state.halt.is_some() {
            return self.settle_unheard("a person ended the campaign before the answer came");
        }
        let Some(counsel) = self.world.counsel.as_mut() else { return Ok(()) };
        if self.asked != Some(question.number) {
            self.journal.check_ownership()?;
            counsel.ask(&self.state, &question)?;
            self.asked = Some(question.number);
        }
        if let Some((reply, paid)) = counsel.poll()? {
            self.asked = None;
            self.record(&Event::Answered { number: question.number, reply: Box::new(reply), paid })?;
        }
        Ok(())
    }

    /// Keeps what was found for later campaigns; that it cannot be kept is recorded and does not change how this one ended.
    pub(super) fn remember(&mut self) -> Result<()> {
        match self.world.counsel.as_ref().map_or(Ok(()), |counsel| counsel.keep(&self.state)) {
            Ok(()) => Ok(()),
            Err(problem) => {
                let place = problem.place.map(|p| format!("{p}: ")).unwrap_or_default();
                self.record(&Event::ControllerStopped {
                    why: format!("what was found is not kept: {place}{}", problem.what),
                })
            }
        }
    }

    /// Journals remarks, pauses and approvals of people, then takes their files away.
    pub(super) fn listen(&mut self) -> Result<()> {
        for (path, word) in placement::words_of_people(&self.folder)? {
            match word {
                placement::Word::Note(text) => self.record(&Event::Noted { text })?,
                placement::Word::Pause(on) if on != self.state.paused => self.record(&Event::PauseSet { on })?,
                placement::Word::Pause(_) => {}
                placement::Word::Approval { subject, granted } => {
                    let open = self.state.approvals.asked.as_ref().is_some_and(|(asked, _)| *asked == subject);
                    if open {
                        self.record(&Event::ApprovalGiven { subject, granted })?;
                    }
                }
            }
            crate::sys::fs::remove_file(&path)?;
        }
        Ok(())
    }
}

/// What the tape charged for entries after `heard`.
pub(super) fn unheard(folder: &Path, heard: u32) -> Result<Paid> {
    let mut paid = Paid::default();
    let mut number = heard + 1;
    while Tape::holds(folder, number) {
        let entry = Tape::read(folder, number)?;
        paid.usage = paid.usage.plus(entry.usage);
        paid.dollars.micro = paid.dollars.micro.saturating_add(entry.dollars.micro);
        paid.entries.push(number);
        number += 1;
    }
    Ok(paid)
}
