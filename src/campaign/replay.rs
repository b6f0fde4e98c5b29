//! A campaign's decisions derived again, offline: from its journaled observations in their order, the prices it was told and
//! the tape of its questions.
//!
//! Where the journal holds an observation, it is applied; where it holds a decision, the same function that made it is asked
//! again, and every byte must be the same. A question must be the one on the tape, its answer must be read as it was.
//! Boundary: writes nothing, starts nothing, asks nobody.

use super::apply::apply;
use super::counsel::{Counsellor, Paid, Reply};
use super::decide::{Advice, decide};
use super::events::Event;
use super::folder::seconds;
use super::placement::TAPE_FOLDER;
use super::prices::{PRICES_FILE, Player};
use super::state::State;
use crate::journal::{self, EVENTS_FILE};
use crate::llm::Tape;
use crate::planner::Sampler;
use crate::problem::{Problem, Result};
use crate::sys::shell;
use similar::TextDiff;
use std::collections::VecDeque;
use std::path::Path;

/// What was derived again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// Decisions that came out the same, byte for byte.
    pub decisions: usize,
    /// Observations that were taken as they are.
    pub observations: usize,
    /// Questions that were the same, with answers that were read the same.
    pub questions: usize,
    /// BLAKE3 over kinds and data of all events as derived.
    pub digest: String,
}

/// Derives every decision of the campaign in `folder` again. `counsel` plays the tape.
///
/// # Errors
/// The first decision, question or answer that comes out differently, with the difference.
pub fn replay(folder: &Path, sampler: &dyn Sampler, counsel: &mut dyn Counsellor) -> Result<Replayed> {
    let envelopes = journal::read(folder)?;
    if !folder.join(PRICES_FILE).exists() && envelopes.len() > 3 {
        let what = "this campaign has no prices.jsonl, so it cannot be replayed: it was recorded before prices were kept, \
                    or copied without them";
        return Err(Problem::usage(what).at(folder.display().to_string()).remedy(format!(
            "its journal can be read all the same: `nanoresearch status --in {0}`, `nanoresearch why last --in {0}`",
            shell::path(folder)
        )));
    }
    let prices = Player::new(folder)?;
    let decoded = |e: &journal::Envelope| -> Result<Event> { Event::decode(&e.kind, e.version, &e.data) };
    let mut events = envelopes.iter().map(|e| decoded(e).map(|event| (e, event)));
    let (first, created) = events.next().ok_or_else(|| Problem::usage("the journal has no events"))??;
    let mut state = State::replay([(seconds(&first.time)?, &created)])?;
    let mut replayed = Replayed { decisions: 0, observations: 1, questions: 0, digest: String::new() };
    let mut hasher = blake3::Hasher::new();
    let mut note = |event: &Event| -> Result<String> {
        let (kind, _, data) = event.encode()?;
        let text = format!("{kind} {data}");
        hasher.update(text.as_bytes());
        hasher.update(b"\n");
        Ok(text)
    };
    note(&created)?;
    // Decisions that were made in one breath.
    let mut due: VecDeque<Event> = VecDeque::new();
    for event in events {
        let (envelope, recorded) = event?;
        let time = seconds(&envelope.time)?;
        let place = format!("{EVENTS_FILE}, event {}", envelope.seq);
        if recorded.is_observation() {
            // What a controller had decided and not yet written down when it died is decided again by the next.
            due.clear();
            if let Event::Answered { number, reply, .. } = &recorded
                && !matches!(**reply, Reply::Nothing { unheard: true, .. })
            {
                let (reply, paid) = counsel.poll()?.ok_or_else(|| {
                    Problem::failed(format!("the tape holds no answer to question {number}")).at(&*place)
                })?;
                same(&recorded, &Event::Answered { number: *number, reply: Box::new(reply), paid }, &place)?;
                replayed.questions += 1;
            }
            if let Event::WritingAnswered { number, paid, .. } = &recorded {
                charged(folder, paid).map_err(|p| {
                    Problem::failed(format!("writing question {number}: {}", p.what)).at(&*place).remedy(REMEDY)
                })?;
                replayed.questions += usize::from(!paid.entries.is_empty());
            }
            replayed.observations += 1;
        } else {
            if due.is_empty() {
                prices.at(state.events);
                let slots = if state.slots == 0 { usize::MAX } else { state.slots };
                let advice = Advice { pricer: &prices, sampler, counsel: Some(&*counsel), slots, now: time };
                due = decide(&state, &advice).map_err(|p| if p.place.is_some() { p } else { p.at(&*place) })?.into();
            }
            let derived = due.pop_front().ok_or_else(|| {
                let what = format!("`{}` is recorded, and nothing is decided there now", envelope.kind);
                Problem::failed(what).at(&*place).remedy(REMEDY)
            })?;
            same(&recorded, &derived, &place)?;
            replayed.decisions += 1;
        }
        note(&recorded)?;
        apply(&mut state, &recorded, time)?;
        if let (Event::Asked { .. }, Some(question)) = (&recorded, state.counsel.asking.clone()) {
            // One that was never heard of again is not on the tape as an answer.
            let heard = heard(&envelopes, question.number)?;
            if heard {
                counsel.ask(&state, &question)?;
            }
        }
    }
    replayed.digest = hasher.finalize().to_hex().to_string();
    Ok(replayed)
}

const REMEDY: &str = "replay with the program and the prompts that recorded the campaign; a journal that was changed by hand differs too";

/// Whether what was paid for a text is what the tape charged for its entries.
fn charged(folder: &Path, paid: &Paid) -> Result<()> {
    let mut sum = Paid { entries: paid.entries.clone(), ..Paid::default() };
    for number in &paid.entries {
        let entry = Tape::read(&folder.join(TAPE_FOLDER), *number)?;
        sum.usage = sum.usage.plus(entry.usage);
        sum.dollars.micro = sum.dollars.micro.saturating_add(entry.dollars.micro);
    }
    // Of a question that was never heard of again, no more is paid than was set aside.
    if sum.usage == paid.usage && sum.dollars >= paid.dollars {
        return Ok(());
    }
    Err(Problem::failed(format!("{} were paid, and the tape's entries cost {}", paid.dollars, sum.dollars)))
}

/// Whether a question was answered to the controller that asked it.
fn heard(envelopes: &[journal::Envelope], wanted: usize) -> Result<bool> {
    for envelope in envelopes.iter().filter(|e| e.kind == "answered") {
        if let Event::Answered { number, reply, .. } = Event::decode(&envelope.kind, envelope.version, &envelope.data)?
            && number == wanted
        {
            return Ok(!matches!(*reply, Reply::Nothing { unheard: true, .. }));
        }
    }
    Ok(false)
}

/// Compares what is recorded with what was derived, byte for byte.
fn same(recorded: &Event, derived: &Event, place: &str) -> Result<()> {
    let text = |event: &Event| -> Result<String> {
        let (kind, _, data) = event.encode()?;
        Ok(format!("{kind} {data}"))
    };
    if text(recorded)? == text(derived)? {
        return Ok(());
    }
    let lines = |event: &Event| -> Result<String> {
        let (kind, _, data) = event.encode()?;
        Ok(format!("{kind}\n{}\n", serde_json::to_string_pretty(&data).unwrap_or_default()))
    };
    let (old, new) = (lines(recorded)?, lines(derived)?);
    let diff = TextDiff::from_lines(&old, &new);
    let diff = diff.unified_diff().context_radius(1).header("recorded", "decided now").to_string();
    let shown: Vec<&str> = diff.lines().take(40).collect();
    Err(Problem::failed(format!("the replay decides otherwise than was recorded:\n{}", shown.join("\n")))
        .at(place)
        .remedy(REMEDY))
}
