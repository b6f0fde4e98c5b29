//! Prices as they were asked for, beside the journal: what makes decisions derivable on another machine.
//!
//! A price depends on the machine that measured itself, so each answer is kept in `prices.jsonl` with the number of events
//! at which it was given. Within one controller's life an experiment keeps its price; another controller may find another.
//! Boundary: records and plays; prices nothing.

use super::{Price, Pricer};
use crate::config::Experiment;
use crate::problem::{Class, Problem, Result};
use crate::sys::fs;
use serde::{Deserialize, Serialize};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::path::Path;

/// Name of the file in the campaign's folder.
pub const PRICES_FILE: &str = "prices.jsonl";

/// One answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Line {
    /// Events there were when it was given.
    at: u64,
    /// Of the experiment.
    key: String,
    /// The price; none where it cannot be run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    price: Option<Price>,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

/// An experiment as a key: all of it, resources included.
fn key(experiment: &Experiment) -> String {
    let json = serde_json::to_vec(experiment).unwrap_or_default();
    blake3::hash(&json).to_hex()[..32].to_string()
}

/// Reads the lines of a folder; what is torn is passed over.
fn read(folder: &Path) -> Result<Vec<Line>> {
    let bytes = fs::read_if_there(&folder.join(PRICES_FILE))?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&bytes).lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

/// Passes on to a pricer and writes down what it says.
pub(super) struct Recorder<'a> {
    inner: &'a dyn Pricer,
    at: Cell<u64>,
    known: RefCell<HashMap<String, Line>>,
    file: RefCell<fs::Appender>,
}

impl<'a> Recorder<'a> {
    /// For the campaign in `folder`.
    pub fn new(inner: &'a dyn Pricer, folder: &Path) -> Result<Self> {
        let known = read(folder)?.into_iter().map(|line| (line.key.clone(), line)).collect();
        let file = RefCell::new(fs::Appender::open(&folder.join(PRICES_FILE))?);
        Ok(Recorder { inner, at: Cell::new(0), known: RefCell::new(known), file })
    }

    /// Says how many events there are.
    pub fn at(&self, events: u64) {
        self.at.set(events);
    }
}

impl Pricer for Recorder<'_> {
    fn price(&self, experiment: &Experiment) -> Result<Price> {
        let answer = self.inner.price(experiment);
        let (price, refused) = match &answer {
            Ok(price) => (Some(price.clone()), None),
            Err(problem) if problem.class == Class::Usage => (None, Some(problem.what.clone())),
            Err(_) => return answer,
        };
        let line = Line { at: self.at.get(), key: key(experiment), price, refused };
        let mut known = self.known.borrow_mut();
        let same = |old: &Line| old.price == line.price && old.refused == line.refused;
        if !known.get(&line.key).is_some_and(same) {
            let text = serde_json::to_string(&line)
                .map_err(|e| Problem::failed(format!("a price cannot be written as JSON: {e}")))?;
            self.file.borrow_mut().append((text + "\n").as_bytes())?;
            known.insert(line.key.clone(), line);
        }
        answer
    }
}

/// Plays what was recorded.
pub(super) struct Player {
    at: Cell<u64>,
    lines: HashMap<String, Vec<Line>>,
}

impl Player {
    /// Of the campaign in `folder`.
    pub fn new(folder: &Path) -> Result<Self> {
        let mut lines: HashMap<String, Vec<Line>> = HashMap::new();
        for line in read(folder)? {
            lines.entry(line.key.clone()).or_default().push(line);
        }
        Ok(Player { at: Cell::new(0), lines })
    }

    /// Says how many events there are.
    pub fn at(&self, events: u64) {
        self.at.set(events);
    }
}

impl Pricer for Player {
    fn price(&self, experiment: &Experiment) -> Result<Price> {
        let then = |line: &&Line| line.at <= self.at.get();
        let line = self.lines.get(&key(experiment)).and_then(|lines| lines.iter().rfind(then));
        match line {
            Some(Line { price: Some(price), .. }) => Ok(price.clone()),
            Some(Line { refused: Some(why), .. }) => Err(Problem::usage(why.clone())),
            _ => Err(Problem::failed("the replay decides otherwise than was recorded: it asks for a price that was never asked for")
                .at(PRICES_FILE)
                .remedy("replay with the program that recorded the campaign; campaigns of before prices were kept cannot be replayed")),
        }
    }
}
