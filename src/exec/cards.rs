//! Which GPU of this machine an attempt computes on: the least loaded of those that the controller sees.
//!
//! A worker is shown one card (`CUDA_VISIBLE_DEVICES`), which is then its device 0. Which one it was is kept in its folder, so
//! that an attempt which a later controller adopts counts as load on it.

use crate::problem::{Problem, Result};
use crate::sys::fs;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The variable by which CUDA is told what to show.
pub(super) const VISIBLE: &str = "CUDA_VISIBLE_DEVICES";
const NOTE_FILE: &str = "device.json";
/// Version of the note's form.
const FORMAT: u32 = 1;

/// The GPUs that attempts may use, by what CUDA calls them in [`VISIBLE`].
#[derive(Debug, Clone, PartialEq)]
pub struct Cards {
    names: Vec<String>,
    sharers: usize,
}

/// What is on a card.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Load {
    /// Attempts that compute on it now.
    pub live: usize,
    /// How often its hardware failed under one.
    pub faults: usize,
}

impl Cards {
    /// The first `number` cards that a process sees whose own [`VISIBLE`] is `setting` (none: not set). `sharers`: attempts
    /// that may compute on one at the same time.
    pub fn new(setting: Option<&str>, number: usize, sharers: usize) -> Self {
        let names = match setting {
            None => (0..number).map(|i| i.to_string()).collect(),
            Some(list) => {
                list.split(',').map(str::trim).filter(|n| !n.is_empty()).take(number).map(str::to_string).collect()
            }
        };
        Cards { names, sharers: sharers.max(1) }
    }

    /// How many attempts can compute on them at once.
    pub fn places(&self) -> usize {
        self.names.len() * self.sharers
    }

    /// The name of the card with this number, counted as CUDA counts.
    pub(super) fn name(&self, number: usize) -> Option<&str> {
        self.names.get(number).map(String::as_str)
    }

    /// The card for one attempt more, given what is on each: one with a place left before one without; among those the one that
    /// failed least, then the least loaded, then the first.
    pub(super) fn choose(&self, load: impl Fn(&str) -> Load) -> Option<&str> {
        let key = |(number, name): &(usize, &String)| {
            let Load { live, faults } = load(name);
            (live >= self.sharers, faults, live, *number)
        };
        self.names.iter().enumerate().min_by_key(key).map(|(_, name)| name.as_str())
    }
}

/// `device.json`: the card of an attempt, written before its worker starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct CardNote {
    format: u32,
    /// Its name.
    pub card: String,
}

impl CardNote {
    pub fn new(card: &str) -> Self {
        CardNote { format: FORMAT, card: card.to_string() }
    }

    /// The note in a folder. One that cannot be read says nothing: it is about load, and nothing is lost by it.
    pub fn read(folder: &Path) -> Option<Self> {
        let bytes = fs::read_if_there(&folder.join(NOTE_FILE)).ok()??;
        serde_json::from_slice(&bytes).ok().filter(|note: &CardNote| note.format <= FORMAT)
    }

    pub fn write(&self, folder: &Path) -> Result<()> {
        let json = serde_json::to_vec(self)
            .map_err(|e| Problem::failed(format!("the note of an attempt's GPU cannot be written as JSON: {e}")))?;
        fs::write_atomic(&folder.join(NOTE_FILE), &json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loads(loads: &[(usize, usize)]) -> impl Fn(&str) -> Load {
        let loads = loads.to_vec();
        move |name: &str| {
            let (live, faults) = loads[name.parse::<usize>().unwrap()];
            Load { live, faults }
        }
    }

    #[test]
    fn cards_are_named_as_the_controller_sees_them() {
        let names = |setting: Option<&str>, number| Cards::new(setting, number, 1).names;
        assert_eq!(names(None, 3), ["0", "1", "2"]);
        assert_eq!(names(Some("2, 5"), 2), ["2", "5"]);
        assert_eq!(names(Some("GPU-89,GPU-77"), 9), ["GPU-89", "GPU-77"]);
        assert_eq!(names(Some("3,1"), 1), ["3"], "fewer were asked for");
        assert!(names(Some(""), 4).is_empty() && names(None, 0).is_empty());
        assert_eq!(Cards::new(None, 2, 3).places(), 6);
    }

    #[test]
    fn the_least_loaded_card_is_next() {
        let cards = Cards::new(None, 3, 2);
        let next = |l: &[(usize, usize)]| cards.choose(loads(l)).unwrap().to_string();
        assert_eq!(next(&[(0, 0), (0, 0), (0, 0)]), "0");
        assert_eq!(next(&[(1, 0), (0, 0), (0, 0)]), "1");
        assert_eq!(next(&[(1, 0), (1, 0), (0, 0)]), "2");
        assert_eq!(next(&[(1, 0), (1, 0), (1, 0)]), "0");
        assert_eq!(next(&[(0, 1), (1, 0), (1, 0)]), "1", "one that failed comes after those that did not");
        assert_eq!(next(&[(0, 1), (2, 0), (2, 0)]), "0", "but before one that is full");
        assert_eq!(next(&[(2, 0), (3, 0), (2, 0)]), "0", "more attempts than places share all the same");
        assert_eq!(Cards::new(Some(""), 3, 1).choose(loads(&[])), None);
    }

    /// So many attempts as there are places leave no card with more than its share.
    #[test]
    fn places_fill_evenly() {
        let cards = Cards::new(None, 3, 2);
        let mut on = [0usize; 3];
        for _ in 0..cards.places() {
            let card: usize =
                cards.choose(|n| Load { live: on[n.parse::<usize>().unwrap()], faults: 0 }).unwrap().parse().unwrap();
            on[card] += 1;
        }
        assert_eq!(on, [2, 2, 2]);
    }
}
