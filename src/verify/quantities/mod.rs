//! Every number that a paper may state, computed again from the runs' files and the journal, under the id that marks it.
//!
//! The ids are the paper's; the formulas are written out here again. What has no formula here cannot be verified, and a paper
//! that prints it fails.

mod results;
mod setup;
mod work;

use super::measured::Measured;
use crate::analysis::Interval;
pub(super) use setup::words as words_of;
use std::collections::{BTreeMap, BTreeSet};

/// A number, with what a text may say about it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Quantity {
    /// In the base unit.
    pub value: f64,
    /// Bounds of its interval, and its coverage.
    pub interval: Option<(f64, f64, f64)>,
    /// Values that it rests on.
    pub n: Option<usize>,
}

/// All of them.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Quantities {
    by_id: BTreeMap<String, Quantity>,
    /// Words that hold digits and are no numbers of results: names, settings, versions, processors, as files and config
    /// have them.
    pub names: BTreeSet<String>,
}

impl Quantities {
    /// Of a campaign's measurements.
    pub fn of(measured: &Measured) -> Self {
        let mut all = Quantities::default();
        setup::add(&mut all, measured);
        results::add(&mut all, measured);
        work::add(&mut all, measured);
        all
    }

    pub fn get(&self, id: &str) -> Option<&Quantity> {
        self.by_id.get(id)
    }

    fn put(&mut self, id: impl Into<String>, value: f64) -> &mut Quantity {
        // As in the paper, the first of an id stays.
        self.by_id.entry(id.into()).or_insert(Quantity { value, ..Quantity::default() })
    }

    fn count(&mut self, id: &str, value: usize) -> &mut Quantity {
        self.put(id, value as f64)
    }
}

impl Quantity {
    fn n(&mut self, n: usize) -> &mut Self {
        self.n = Some(n);
        self
    }

    fn within(&mut self, interval: &Interval) -> &mut Self {
        self.interval = Some((interval.low, interval.high, interval.confidence));
        self.n(interval.n)
    }
}

/// A path as the ids have it.
fn slug(path: &str) -> String {
    path.replace('_', "-")
}
