//! The forms of answers, and what an answer must be to make sense in its campaign.
//!
//! The allow-list is here: a setting that the campaign's space does not hold is refused with the list of those it does. The
//! message goes back to the model, so it says what would be right.

use super::prompts::{DESIGNS, FINDINGS, IDEAS};
use crate::campaign::counsel::{Analysis, Course, Design, Hypothesis, Part, Posed, Region};
use crate::campaign::{CONCLUDE_AFTER, Inquiry, Reply, State, acceptable};
use crate::config::{Constraint, Domain, Experiment};
use crate::llm::Answer;
use crate::planner::{Observation, Space, is_new};
use crate::text::hidden;
use schemars::JsonSchema;
use serde::Deserialize;

/// Characters of a sentence, and of a paragraph.
const SENTENCE: usize = 400;
/// See [`SENTENCE`].
const PARAGRAPH: usize = 2000;

/// The ideator's answer.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Ideas {
    /// The most valuable first.
    pub hypotheses: Vec<Hypothesis>,
}

/// The designer's answer.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Designs {
    /// The most valuable first.
    pub experiments: Vec<Design>,
}

impl Answer for Ideas {
    const NAME: &'static str = "ideas";
}
impl Answer for Designs {
    const NAME: &'static str = "designs";
}
impl Answer for Analysis {
    const NAME: &'static str = "analysis";
}

/// What answers to one question are held against: a copy of the part of the state that matters.
#[derive(Debug, Clone)]
pub(super) struct Validator {
    space: Space,
    constraints: Vec<Constraint>,
    baseline: Option<Experiment>,
    tried: Vec<Observation>,
    hypotheses: Vec<Posed>,
    seeds: usize,
    /// Runs that ended.
    runs: Vec<u32>,
    known: usize,
    last: bool,
}

impl Validator {
    /// For a question asked in this state.
    pub fn new(state: &State, inquiry: Inquiry) -> Self {
        Validator {
            space: state.campaign.space.clone(),
            constraints: state.campaign.constraints.clone(),
            baseline: state.scope.as_ref().map(|s| s.baseline.clone()),
            tried: state.candidates.iter().map(|c| Observation::pending(c.assignment.clone())).collect(),
            hypotheses: state.counsel.hypotheses.clone(),
            seeds: state.scope.as_ref().map_or(1, |s| s.confirm),
            runs: state.runs.iter().filter(|r| r.result.is_some()).map(|r| r.id.0).collect(),
            known: state.known.len(),
            last: inquiry == Inquiry::Analysis { last: true },
        }
    }

    /// Whether hypotheses make sense.
    pub fn ideas(&self, ideas: &Ideas) -> Result<(), String> {
        number("hypotheses", ideas.hypotheses.len(), 1, IDEAS)?;
        for (i, h) in ideas.hypotheses.iter().enumerate() {
            let at = format!("hypotheses[{i}]");
            words(&format!("{at}.claim"), &h.claim, SENTENCE)?;
            words(&format!("{at}.refuted_if"), &h.refuted_if, SENTENCE)?;
            if !h.effect.is_finite() || h.effect == 0.0 {
                return Err(format!("{at}.effect = {} predicts nothing: give a change other than 0", h.effect));
            }
            if !(h.belief > 0.0 && h.belief < 1.0) {
                return Err(format!("{at}.belief = {} is not between 0 and 1", h.belief));
            }
            for (path, region) in &h.region {
                self.region(&format!("{at}.region"), path, region)?;
            }
        }
        Ok(())
    }

    /// Whether designs are experiments of this campaign that were not tried.
    pub fn designs(&self, designs: &Designs) -> Result<(), String> {
        number("experiments", designs.experiments.len(), 1, DESIGNS)?;
        for (i, design) in designs.experiments.iter().enumerate() {
            let at = format!("experiments[{i}]");
            words(&format!("{at}.why"), &design.why, SENTENCE)?;
            number(&format!("{at}.seeds"), design.seeds, 1, self.seeds)?;
            self.settings(&at, design)?;
            let twice = designs.experiments[..i].iter().any(|d| {
                let earlier = [Observation::pending(d.settings.clone())];
                !is_new(&design.settings, &earlier)
            });
            if twice || !is_new(&design.settings, &self.tried) {
                return Err(format!("{at}.settings were tried or proposed already; propose something new"));
            }
            let Some(n) = design.hypothesis else { continue };
            let Some(posed) = n.checked_sub(1).and_then(|k| self.hypotheses.get(k)) else {
                let there = self.hypotheses.len();
                return Err(format!(
                    "{at}.hypothesis = {n} is not the number of a hypothesis (there are {there}); leave it out"
                ));
            };
            if posed.dropped {
                return Err(format!("{at}.hypothesis = {n} was dropped; choose another, or leave it out"));
            }
            let outside = posed
                .hypothesis
                .region
                .iter()
                .find(|(path, region)| design.settings.get(*path).is_some_and(|value| !region.contains(value)));
            if let (Some((path, _)), Part::Test) = (outside, design.part) {
                return Err(format!("{at}.settings: {path} lies outside the region of hypothesis {n}"));
            }
        }
        Ok(())
    }

    /// Whether a reading rests on runs that there are.
    pub fn analysis(&self, analysis: &Analysis) -> Result<(), String> {
        words("reasons", &analysis.reasons, PARAGRAPH)?;
        if analysis.findings.len() > FINDINGS {
            return Err(format!("findings has {} entries; at most {FINDINGS}", analysis.findings.len()));
        }
        for (i, finding) in analysis.findings.iter().enumerate() {
            words(&format!("findings[{i}].text"), &finding.text, SENTENCE)?;
            if let Some(run) = finding.runs.iter().find(|r| !self.runs.contains(r)) {
                return Err(format!("findings[{i}].runs: there is no ended run {run}"));
            }
        }
        if analysis.course == Course::Conclude && self.known < CONCLUDE_AFTER && !self.last {
            return Err(format!("{} results are too few to conclude from; choose refine or pivot", self.known));
        }
        Ok(())
    }

    fn settings(&self, at: &str, design: &Design) -> Result<(), String> {
        if design.settings.is_empty() {
            return Err(format!("{at}.settings is empty: that is the baseline"));
        }
        for (path, value) in &design.settings {
            let Some(parameter) = self.space.get(path) else {
                return Err(self.unknown(&format!("{at}.settings"), path));
            };
            if !parameter.domain.contains(value) {
                let range = super::context::parameter_words(parameter);
                return Err(format!("{at}.settings: {path} = {value} is not allowed; it is {range}"));
            }
            if !parameter.active(&design.settings) {
                let range = super::context::parameter_words(parameter);
                return Err(format!("{at}.settings: {path} is set without what it needs; it is {range}"));
            }
        }
        let baseline = self.baseline.as_ref().ok_or("there is no baseline yet")?;
        if let Err(problem) = baseline.with(&design.settings) {
            return Err(format!("{at}.settings make no experiment: {}", problem.what));
        }
        if !acceptable(baseline, &self.constraints, &design.settings) {
            return Err(format!("{at}.settings break a condition that must hold"));
        }
        Ok(())
    }

    fn region(&self, at: &str, path: &str, region: &Region) -> Result<(), String> {
        let Some(parameter) = self.space.get(path) else { return Err(self.unknown(at, path)) };
        let outside = |x: f64| match &parameter.domain {
            Domain::Float { low, high, .. } | Domain::LogFloat { low, high, .. } => x < *low || x > *high,
            Domain::Int { low, high, .. } => x < *low as f64 || x > *high as f64,
            Domain::Choice { .. } => true,
        };
        let bounds: Vec<f64> = region.low.into_iter().chain(region.high).collect();
        let crossed = matches!((region.low, region.high), (Some(low), Some(high)) if low > high);
        if crossed || bounds.iter().any(|x| outside(*x)) || region.values.iter().any(|v| !parameter.domain.contains(v))
        {
            let range = super::context::parameter_words(parameter);
            return Err(format!("{at}: the part of {path} does not lie in its range; it is {range}"));
        }
        Ok(())
    }

    fn unknown(&self, at: &str, path: &str) -> String {
        let path: String = path.chars().take(80).collect();
        let list: Vec<&str> = self.space.keys().map(String::as_str).collect();
        format!("{at}: {path:?} is not a parameter of the search space; it holds only {}", list.join(", "))
    }
}

/// The reply that a checked answer is.
pub(super) trait IntoReply {
    fn reply(self) -> Reply;
}

impl IntoReply for Ideas {
    fn reply(self) -> Reply {
        Reply::Ideas { hypotheses: self.hypotheses }
    }
}
impl IntoReply for Designs {
    fn reply(self) -> Reply {
        Reply::Designs { designs: self.experiments }
    }
}
impl IntoReply for Analysis {
    fn reply(self) -> Reply {
        Reply::Analysis(self)
    }
}

fn number(what: &str, n: usize, least: usize, most: usize) -> Result<(), String> {
    if (least..=most).contains(&n) { Ok(()) } else { Err(format!("{what}: {n} is not in {least} to {most}")) }
}

fn words(what: &str, text: &str, most: usize) -> Result<(), String> {
    let length = text.chars().count();
    match length {
        0 => Err(format!("{what} is empty")),
        _ if length > most => Err(format!("{what} has {length} characters; at most {most}")),
        _ => hidden(text).map_or(Ok(()), |c| Err(format!("{what} holds {c:?}, which cannot be seen: leave it out"))),
    }
}
