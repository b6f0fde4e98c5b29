//! The facts of a campaign, compiled from its folder: journal (through the campaign's state), manifests, outcomes, metrics.
//!
//! ```text
//! results    baseline, noise floor, every candidate that was looked at, comparisons, what the first look overstated
//! search     the space, what became of proposals, effects of parameters, scaling with the model's size
//! work       runs, attempts, failures and recoveries, device time, energy, dollars, tokens, predicted against held time
//! setup      data, model, training, seeds, settings, environment
//! claims     hypotheses with predictions and refutations; decisions
//! drawn      how many runs stand behind each figure
//! words      names of settings and metrics in prose
//! ```
//! Boundary: reads; decides nothing. What is not there becomes a missing fact or none, never a guess.

mod claims;
mod drawn;
mod results;
mod search;
mod setup;
pub mod words;
mod work;

use super::fact::{Basis, Bounds, CAMPAIGN, FACTS_FORMAT, Fact, Facts, Show, Shows, Value, decimals_for};
use crate::analysis::Interval;
use crate::campaign::{Run, State, run_path};
use crate::ids::RunId;
use crate::record::Manifest;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::path::Path;

pub use search::{Size, group_id, sizes};
pub use work::predicted;

/// Compiles every fact of the campaign in `folder`, whose state is `state`. Files that are missing or damaged leave their
/// facts out.
pub fn gather(folder: &Path, state: &State) -> Facts {
    let mut gather = Gather::new(folder, state);
    setup::add(&mut gather);
    results::add(&mut gather);
    search::add(&mut gather);
    work::add(&mut gather);
    claims::add(&mut gather);
    drawn::add(&mut gather);
    gather.finish()
}

/// A manifest of each run that has one, the last attempt's.
fn manifests(folder: &Path, state: &State) -> BTreeMap<RunId, Manifest> {
    let read = |run: &Run| Some((run.id, Manifest::read(&folder.join(run_path(run.id))).ok()??));
    state.runs.iter().filter_map(read).collect()
}

/// Facts on their way into the file.
struct Gather<'a> {
    folder: &'a Path,
    state: &'a State,
    manifests: BTreeMap<RunId, Manifest>,
    /// Decimals of the objective's values: two digits of its noise.
    decimals: u8,
    /// Unit of the objective.
    unit: &'static str,
    subjects: BTreeMap<String, Vec<String>>,
    names: Vec<String>,
    facts: Vec<Fact>,
}

impl<'a> Gather<'a> {
    fn new(folder: &'a Path, state: &'a State) -> Self {
        let noise = state.baseline.as_ref().map_or(f64::NAN, |b| b.floor);
        Gather {
            folder,
            state,
            manifests: manifests(folder, state),
            decimals: decimals_for(noise),
            unit: words::metric_unit(state),
            subjects: BTreeMap::from([(CAMPAIGN.to_string(), Vec::new())]),
            names: Vec::new(),
            facts: Vec::new(),
        }
    }

    fn finish(mut self) -> Facts {
        self.names.sort_by_key(|name| (std::cmp::Reverse(name.len()), name.clone()));
        self.names.dedup();
        Facts {
            format: FACTS_FORMAT,
            campaign: self.state.campaign.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_string(),
            subjects: self.subjects,
            names: self.names,
            metric_words: words::metric_words(self.state.campaign.objective.metric),
            facts: self.facts,
        }
    }

    /// Makes a subject known under its names.
    fn subject(&mut self, key: &str, names: &[&str]) {
        let known = self.subjects.entry(key.to_string()).or_default();
        for name in names.iter().map(|n| n.to_lowercase()) {
            if !known.contains(&name) {
                known.push(name);
            }
        }
    }

    /// A name that holds digits or number words and is no number.
    fn name(&mut self, name: impl Into<String>) {
        self.names.push(name.into());
    }

    /// Adds a fact and hands it out to be completed. The first of an id stays.
    fn add(
        &mut self,
        id: impl Into<String>,
        subject: &str,
        what: impl Into<String>,
        value: Value,
        show: Show,
    ) -> &mut Fact {
        let fact = Fact {
            id: id.into(),
            subject: subject.to_string(),
            versus: None,
            what: what.into(),
            value,
            unit: String::new(),
            interval: None,
            n: None,
            shows: None,
            show,
            basis: Basis::Journal,
            sources: vec!["events.jsonl".to_string()],
        };
        let at = match self.facts.iter().position(|f| f.id == fact.id) {
            Some(at) => at,
            None => {
                self.facts.push(fact);
                self.facts.len() - 1
            }
        };
        &mut self.facts[at]
    }

    fn number(
        &mut self,
        id: impl Into<String>,
        subject: &str,
        what: impl Into<String>,
        value: f64,
        show: Show,
    ) -> &mut Fact {
        let value = if value.is_finite() { Value::Number(value) } else { Value::Missing("it is not finite".into()) };
        self.add(id, subject, what, value, show)
    }

    fn count(&mut self, id: impl Into<String>, what: impl Into<String>, value: usize) -> &mut Fact {
        self.number(id, CAMPAIGN, what, value as f64, Show::Count)
    }

    fn text(
        &mut self,
        id: impl Into<String>,
        subject: &str,
        what: impl Into<String>,
        text: impl Into<String>,
    ) -> &mut Fact {
        self.add(id, subject, what, Value::Text(text.into()), Show::Words)
    }

    fn missing(&mut self, id: impl Into<String>, what: impl Into<String>, why: &str, show: Show) -> &mut Fact {
        self.add(id, CAMPAIGN, what, Value::Missing(why.to_string()), show)
    }

    /// A setting: a number with three significant digits, or words.
    fn setting(&mut self, id: impl Into<String>, subject: &str, path: &str, value: &Json) -> &mut Fact {
        let what = words::readable(path);
        let fact = match value.as_f64() {
            Some(number) => {
                let whole = number.fract() == 0.0 && value.as_i64().is_some();
                self.number(id, subject, what, number, if whole { Show::Count } else { Show::Significant(3) })
            }
            None => self.text(id, subject, what, words::setting(value)),
        };
        fact.basis = Basis::Config { path: path.to_string() };
        fact
    }

    /// Files of the metrics of runs.
    fn metrics_files(runs: &[u32]) -> Vec<String> {
        runs.iter().map(|run| format!("{}/metrics.jsonl", run_path(RunId(*run)).display())).collect()
    }
}

impl Fact {
    fn unit(&mut self, unit: &str) -> &mut Self {
        self.unit = unit.to_string();
        self
    }

    fn n(&mut self, n: usize) -> &mut Self {
        self.n = Some(n);
        self
    }

    fn from(&mut self, basis: Basis, sources: Vec<String>) -> &mut Self {
        self.basis = basis;
        self.sources = sources;
        self
    }

    fn against(&mut self, subject: &str) -> &mut Self {
        self.versus = Some(subject.to_string());
        self
    }

    fn shows(&mut self, shows: Shows) -> &mut Self {
        self.shows = Some(shows);
        self
    }

    /// The bounds and the number of values of an interval; unknown bounds are left out.
    fn within(&mut self, interval: &Interval) -> &mut Self {
        self.n = Some(interval.n);
        self.interval = (interval.low.is_finite() && interval.high.is_finite()).then_some(Bounds {
            low: interval.low,
            high: interval.high,
            confidence: interval.confidence,
        });
        self
    }
}
