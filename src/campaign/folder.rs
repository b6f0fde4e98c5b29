//! A campaign's folder: begun, and read from the side.
//!
//! Boundary: drives nothing; what lies in the folder, and who writes it, is in [`super::placement`].

use super::events::Event;
use super::placement;
use super::state::State;
use crate::config::{self, Campaign, tidy};
use crate::journal::{self, Envelope, Journal};
use crate::problem::{Problem, Result};
use crate::sys::clock::Clock;
use crate::sys::{fs, shell};
use std::path::{Path, PathBuf};

/// Makes the campaign's folder and writes its first event. `base`: the folder that relative data paths refer to; those of the
/// baseline are written anew for the campaign's folder, so that its copy of the campaign can be run again as it is.
/// Refuses a folder that holds a campaign already (class `Usage`). Returns the campaign as it is kept, and the folder that its
/// relative paths refer to.
pub fn create(folder: &Path, campaign: &Campaign, base: &Path, clock: &dyn Clock) -> Result<(Campaign, PathBuf)> {
    let already = folder.is_dir();
    fs::create_named_dir(folder)?;
    let (campaign, base) = at_home(campaign.clone(), fs::relative(folder, base)?);
    let text = config::to_toml(&campaign);
    if already {
        refuse_occupied(folder, &text, clock)?;
    }
    let (mut journal, envelopes) = Journal::open(folder, clock)?;
    if !envelopes.is_empty() {
        return Err(occupied(folder));
    }
    fs::write_atomic(&folder.join(placement::CAMPAIGN_FILE), text.as_bytes())?;
    let version = env!("CARGO_PKG_VERSION").to_string();
    let event = Event::Created { campaign: Box::new(campaign.clone()), base: base.clone(), version };
    let (kind, version, data) = event.encode()?;
    journal.append(&kind, version, data)?;
    Ok((campaign, folder.join(base)))
}

/// The campaign with its data as seen from its own folder, and what relative paths refer to from then on. Where files are
/// searched over or listed, all stay as they are.
fn at_home(mut campaign: Campaign, way: PathBuf) -> (Campaign, PathBuf) {
    if campaign.batch.is_some() || campaign.space.keys().any(|key| key.starts_with("data.")) {
        return (campaign, way);
    }
    campaign.baseline = campaign.baseline.seen_from(&way);
    campaign.knowledge = campaign.knowledge.map(|path| tidy(&way.join(path)).display().to_string());
    (campaign, ".".into())
}

fn occupied(folder: &Path) -> Problem {
    Problem::usage("this folder holds a campaign already").at(folder.display().to_string()).remedy(format!(
        "go on with it by `nanoresearch resume {}`, or choose another folder with --out",
        shell::path(folder)
    ))
}

/// Refuses a folder that holds a campaign or somebody else's files, before anything is written. What a controller left
/// that was killed here before its first event is no hindrance.
fn refuse_occupied(folder: &Path, text: &str, clock: &dyn Clock) -> Result<()> {
    match journal::read(folder) {
        Ok(events) if events.is_empty() => {}
        // Making the folder will say better what is wrong.
        Err(_) if !folder.is_dir() => {}
        Ok(_) | Err(_) => {
            // That a controller is at work on it is the more useful thing to say.
            if journal::owner(folder).is_ok_and(|owner| owner.is_some_and(|o| o.alive() == Some(true))) {
                Journal::open(folder, clock)?;
            }
            return Err(occupied(folder));
        }
    }
    let foreign = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let ours = ["owner.json", "owner.lock"].contains(&name.as_str())
            || name.starts_with(journal::EVENTS_FILE)
            || name.starts_with('.');
        let same = name == placement::CAMPAIGN_FILE && fs::read(path).is_ok_and(|bytes| bytes == text.as_bytes());
        (!ours && !same).then_some(name)
    };
    match fs::entries(folder).iter().find_map(|path| foreign(path)) {
        None => Ok(()),
        Some(name) => Err(Problem::usage(format!("the folder holds other things than a campaign, {name} for one"))
            .at(folder.display().to_string())
            .remedy("choose a new or empty folder with --out; nothing was changed")),
    }
}

/// The state of a campaign as its journal tells it, for looking at: locks nothing and changes nothing.
pub fn load(folder: &Path) -> Result<State> {
    let envelopes = journal::read(folder)?;
    if envelopes.is_empty() {
        let file = folder.join(journal::EVENTS_FILE);
        if let Some(bytes) = fs::length(&file).ok().filter(|bytes| *bytes > 0) {
            return Err(Problem::usage(format!("there is no whole event in it, only {bytes} bytes of none"))
                .at(file.display().to_string())
                .remedy(
                    "restore the file from a backup; where there is none, run the campaign again in another folder",
                ));
        }
        return Err(Problem::usage("there is no campaign in this folder (no events.jsonl, or an empty one)")
            .at(folder.display().to_string())
            .remedy("check the path, or start one with `nanoresearch run campaign.toml`"));
    }
    replay(&envelopes)
}

/// As [`load`], without what was asked afterwards for texts about the campaign: what a paper is about. Writing it, and
/// reviewing it, changes nothing in it.
pub fn load_research(folder: &Path) -> Result<State> {
    let mut envelopes = journal::read(folder)?;
    envelopes.retain(|e| !is_writing(&e.kind));
    replay(&envelopes)
}

/// Whether an event of this kind is about texts, not about the campaign.
pub fn is_writing(kind: &str) -> bool {
    kind.starts_with("writing-")
}

/// The state after these envelopes.
pub(super) fn replay(envelopes: &[Envelope]) -> Result<State> {
    let events = envelopes.iter().map(|e| Ok((seconds(&e.time)?, Event::decode(&e.kind, e.version, &e.data)?)));
    let events = events.collect::<Result<Vec<_>>>()?;
    State::replay(events.iter().map(|(time, event)| (*time, event)))
}

/// Seconds since the Unix epoch of an RFC 3339 time.
pub(super) fn seconds(time: &str) -> Result<f64> {
    let stamp = time.parse::<jiff::Timestamp>().map_err(|e| {
        Problem::usage(format!("`{time}` is not an RFC 3339 time: {e}"))
            .at("events.jsonl")
            .remedy("restore the file from a copy")
    })?;
    Ok(stamp.as_millisecond() as f64 / 1e3)
}
