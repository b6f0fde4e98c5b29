//! When a language model is asked, and what its answers lead to: the part of [`super::decide`] that is about counsel; pure.
//!
//! A question is written down with the most that it may cost before it is asked, and its answer is an event. While one is
//! open nothing new is proposed, unless it takes longer than its patience; retries, confirmations and running attempts go on.
//! Whoever fails three times in a row is not asked again by this controller: the classical sampler does it all.

use super::counsel::{Course, Designed, Inquiry, Part, Reply};
use super::decide::Mind;
use super::events::Event;
use super::facts::Reason;
use super::hypotheses;
use super::room::{self, Outlay};
use super::run::Limits;
use super::state::{Candidate, Standing, State};
use crate::config::Direction;
use crate::knowledge::{Finding, Kind};
use crate::planner::{Assignment, verdict_gain};
use crate::units::Dollars;

/// Questions in a row that may bring nothing.
pub const FAILURES: usize = 3;
/// Results between two analyses, at least.
const ANALYSE_EVERY: usize = 6;
/// Results before an analyst may end the search.
pub const CONCLUDE_AFTER: usize = 4;
/// Findings of earlier campaigns that are tried before anything else, at most.
const REMEMBERED: usize = 2;

/// Names under which proposals are recorded that no sampler made.
pub const LLM: &str = "llm";
/// See [`LLM`].
pub const KNOWLEDGE: &str = "knowledge";

impl State {
    /// Whether a question may be asked now.
    pub fn may_ask(&self) -> bool {
        let counsel = &self.counsel;
        self.campaign.planner.kind.asks()
            && counsel.model.is_some()
            && counsel.asking.is_none()
            && counsel.failures < FAILURES
    }

    /// Whether proposal `index` is the language model's: its share of the proposals is not used up.
    pub fn llm_turn(&self, index: u64) -> bool {
        let own = self.candidates.iter().filter(|c| c.planner == LLM).count();
        (own + 1) as f64 <= self.campaign.planner.share() * (index + 1) as f64 + 1e-9
    }
}

/// A queue of proposals that somebody else made: under whose name, and what.
pub(super) struct Waiting {
    pub name: &'static str,
    pub settings: Vec<Assignment>,
}

/// What waits to be proposed as number `index`, whoever comes first. `seconds`: what a run takes, where that is known.
pub(super) fn waiting(state: &State, index: u64, seconds: &dyn Fn(&Assignment) -> Option<f64>) -> Vec<Waiting> {
    let mut all = Vec::new();
    if index < REMEMBERED as u64 {
        let recalled = state.counsel.recalled.iter().flatten();
        let maximize = state.direction() == Direction::Maximize;
        let known = |a: &Assignment| !a.is_empty() && a.keys().all(|path| state.campaign.space.contains_key(path));
        let same = |f: &&Finding| f.kind == Kind::Confirmed && f.metric == state.metric();
        let mut confirmed: Vec<&Finding> = recalled.filter(same).collect();
        // What gained most first; equal ones stay in the order of their relevance.
        let gain = |f: &Finding| f.evidence.map_or(0.0, |e| if maximize { e.difference } else { -e.difference });
        confirmed.sort_by(|a, b| gain(b).total_cmp(&gain(a)));
        let confirmed = confirmed.into_iter().map(|f| f.settings.clone());
        let settings: Vec<Assignment> = confirmed.filter(known).filter(|a| within(state, a)).take(REMEMBERED).collect();
        all.push(Waiting { name: KNOWLEDGE, settings });
    }
    if state.llm_turn(index) {
        let settings = designs(state, seconds).iter().map(|d| d.design.settings.clone()).collect();
        all.push(Waiting { name: LLM, settings });
    }
    all.retain(|w| !w.settings.is_empty());
    all
}

/// Whether settings lie within the space: the allow-list, whatever anybody says.
pub fn within(state: &State, settings: &Assignment) -> bool {
    settings.iter().all(|(path, value)| {
        state.campaign.space.get(path).is_some_and(|p| p.domain.contains(value) && p.active(settings))
    })
}

/// Designs that wait, in their own order.
fn open(state: &State) -> impl Iterator<Item = &Designed> {
    let open = |d: &&Designed| d.proposal.is_none() && !d.dropped && within(state, &d.design.settings);
    state.counsel.designs.iter().filter(open)
}

/// Designs that wait, those first that are expected to settle most for their cost; then those that test nothing, in their own
/// order. One without a price counts as a run like the baseline's.
fn designs<'s>(state: &'s State, seconds: &dyn Fn(&Assignment) -> Option<f64>) -> Vec<&'s Designed> {
    let usual = state.scope.as_ref().map_or(1.0, |scope| scope.price.seconds);
    let worth = |d: &Designed| {
        let bits = bits(state, d);
        // Nobody is asked for the price of what is worth nothing.
        if bits > 0.0 { bits / seconds(&d.design.settings).unwrap_or(usual).max(1e-9) } else { 0.0 }
    };
    let mut designs: Vec<(f64, &Designed)> = open(state).map(|d| (worth(d), d)).collect();
    designs.sort_by(|a, b| b.0.total_cmp(&a.0));
    designs.into_iter().map(|(_, d)| d).collect()
}

/// Bits of its hypothesis's verdict that a design is expected to settle.
fn bits(state: &State, designed: &Designed) -> f64 {
    let posed = designed.design.hypothesis.and_then(|n| state.counsel.hypotheses.get(n.checked_sub(1)?));
    let (Some(posed), Some(baseline)) = (posed, &state.baseline) else { return 0.0 };
    let floor = if baseline.floor > 0.0 && baseline.floor.is_finite() { baseline.floor } else { 1.0 };
    verdict_gain(posed.hypothesis.belief, posed.hypothesis.effect / floor)
}

/// Why a queued proposal is made, to go before the sampler's words.
pub(super) fn reason(state: &State, name: &str, settings: &Assignment) -> String {
    if name == KNOWLEDGE {
        let recalled = state.counsel.recalled.iter().flatten().find(|f| f.settings == *settings);
        return recalled.map_or_else(String::new, |f| format!("campaign {} found: {}", f.campaign, f.text));
    }
    let Some(designed) = open(state).find(|d| d.design.settings == *settings) else {
        return String::new();
    };
    let design = &designed.design;
    let part = match design.part {
        Part::Test => "test",
        Part::Control => "control",
        Part::Ablation => "ablation",
    };
    let about = match design.hypothesis {
        Some(n) => format!("{part} of hypothesis {n}, expected to settle {:.2} bits of it", bits(state, designed)),
        None => "a candidate on its own merits".to_string(),
    };
    format!("{}: {about}: {}", words(state, designed.question), design.why)
}

/// A question in words, with where it is on the tape.
pub fn words(state: &State, number: usize) -> String {
    let answered = state.counsel.answered.iter().find(|a| a.question.number == number);
    let entries: Vec<String> =
        answered.iter().flat_map(|a| &a.paid.entries).map(|n| format!("llm/{n:04}.json")).collect();
    match entries.is_empty() {
        true => format!("question {number}"),
        false => format!("question {number} ({})", entries.join(", ")),
    }
}

/// What a reply says, in one line for the record of decisions.
pub(super) fn said(inquiry: Inquiry, reply: &Reply) -> String {
    let count = |n: usize, one: &str, many: &str| if n == 1 { format!("one {one}") } else { format!("{n} {many}") };
    match reply {
        Reply::Ideas { hypotheses } => {
            let list: Vec<String> = hypotheses.iter().map(|h| h.claim.clone()).collect();
            format!("{}: {}", count(list.len(), "hypothesis", "hypotheses"), list.join("; "))
        }
        Reply::Designs { designs } => count(designs.len(), "experiment", "experiments"),
        // How to go on is no question any more.
        Reply::Analysis(analysis) if inquiry == (Inquiry::Analysis { last: true }) => analysis.reasons.clone(),
        Reply::Analysis(analysis) => {
            let course = match analysis.course {
                Course::Refine => "refine",
                Course::Pivot => "turn to other hypotheses",
                Course::Conclude => "conclude",
            };
            format!("{course}: {}", analysis.reasons)
        }
        Reply::Nothing { why, .. } => format!("nothing of use: {why}; the classical sampler goes on"),
    }
}

impl Mind<'_> {
    /// Questions that come before the next proposal; `Some(empty)` to wait for an answer.
    pub(super) fn consult(&self) -> Option<Vec<Event>> {
        let state = self.state;
        if let Some(question) = &state.counsel.asking {
            return (!self.too_long(question.at)).then(Vec::new);
        }
        if let Some(advised) = advised(state) {
            return Some(vec![advised]);
        }
        if !state.may_ask() {
            return None;
        }
        if ideas_due(state) {
            return self.ask(Inquiry::Ideas, "the noise floor is known and no hypothesis is open");
        }
        let since = state.counsel.analyses.last().map_or(0, |a| a.known);
        let due = ANALYSE_EVERY.max(2 * state.campaign.execution.parallel);
        let asked = |a: &&super::counsel::Answered| matches!(a.question.inquiry, Inquiry::Analysis { .. });
        // One that failed is not repeated before as many results again.
        let tried = state.counsel.answered.iter().rfind(asked).map_or(0, |a| known_at(state, a.question.at));
        if state.known.len() >= since.max(tried) + due {
            return self.ask(Inquiry::Analysis { last: false }, "enough results are new");
        }
        None
    }

    /// The analyst's last word, before the campaign is concluded; none where there is nothing to ask or wait for.
    pub(super) fn last_word(&self) -> Option<Vec<Event>> {
        let state = self.state;
        if let Some(question) = &state.counsel.asking {
            return (!self.too_long(question.at)).then(Vec::new);
        }
        let last = Inquiry::Analysis { last: true };
        let since = state.decisions.iter().rfind(|d| d.text.starts_with("the campaign goes on")).map_or(0.0, |d| d.at);
        let done =
            state.counsel.answered.iter().any(|a| a.question.inquiry == last && a.question.at >= since && !a.unheard);
        if done || state.known.is_empty() || !state.may_ask() {
            return None;
        }
        self.ask(last, "nothing further will be run")
    }

    fn too_long(&self, since: f64) -> bool {
        let patience = self.state.campaign.llm.as_ref().map_or(0.0, |llm| llm.timeout_seconds + 10.0);
        self.advice.now - since > patience
    }

    /// A question with what may be spent on it, where that leaves enough for what is promised; that it does not is said once.
    pub(super) fn ask(&self, inquiry: Inquiry, why: &str) -> Option<Vec<Event>> {
        let state = self.state;
        let number = state.counsel.answered.len() + 1;
        let why = why.to_string();
        if state.ledger.budget_dollars().is_none() {
            return Some(vec![Event::Asked { number, inquiry, allowance: None, why }]);
        }
        let once = self.advice.counsel.and_then(|c| c.worst(state, inquiry))?;
        let repairs = state.campaign.llm.as_ref().map_or(0, |llm| llm.repairs) as u64;
        let kept = self.promised().amount.dollars;
        // An answer that is sent back makes the next call longer.
        let whole = Dollars { micro: once.micro.saturating_mul(1 + repairs).saturating_mul(5) / 4 };
        let free = Dollars { micro: state.ledger.free().dollars.micro.saturating_sub(kept.micro) };
        if once <= free {
            // Perhaps too little for every repair: as many as there is room for.
            return Some(vec![Event::Asked { number, inquiry, allowance: Some(whole.min(free)), why }]);
        }
        let beside = if kept.micro > 0 { " beside what runs are promised" } else { "" };
        let why = format!("it could cost {once}, and {free} are free{beside}; the campaign goes on without");
        (!state.counsel.priced_out).then(|| vec![Event::Unasked { inquiry, why }])
    }

    /// What no question may use: what confirmations need, and while nothing was tried, what trying one candidate takes.
    fn promised(&self) -> room::Need {
        let (state, scope) = (self.state, self.scope);
        if state.candidates.iter().any(|c| c.screening.is_some()) {
            return room::kept_back(state, scope.confirm, None);
        }
        let look = Outlay::of(state, &Limits::first(&scope.baseline, &scope.price), &scope.price);
        look.in_turn(state, 1) + room::kept_back(state, scope.confirm, Some(look))
    }

    /// Asks for designs where proposal `index` is the language model's and it has not been asked for this one.
    pub(super) fn ask_for_designs(&self, index: u64) -> Option<Vec<Event>> {
        let state = self.state;
        let inquiry = Inquiry::Designs { index };
        let asked = state.counsel.answered.iter().any(|a| a.question.inquiry == inquiry && !a.unheard);
        if asked || !state.may_ask() || !state.llm_turn(index) {
            return None;
        }
        self.ask(inquiry, &format!("proposal {index} is the language model's"))
    }

    /// A design that asks for several seeds is repeated right after its first look, while its hypothesis is open and the
    /// budget holds it beside what is kept back.
    pub(super) fn repetition(&self) -> Option<Event> {
        let state = self.state;
        let repeated = |c: &&Candidate| matches!(c.standing, Standing::Confirming | Standing::Judged { .. });
        if state.candidates.iter().filter(repeated).count() >= state.campaign.seeds.finalists {
            return None;
        }
        let wants = |c: &&Candidate| {
            let designed = state.counsel.design_of(c.index);
            c.standing == Standing::Screened
                && designed.is_some_and(|d| {
                    let open = |n| matches!(hypotheses::judge(state, n).verdict, hypotheses::Verdict::Open);
                    d.design.seeds > 1 && d.design.part == Part::Test && d.design.hypothesis.is_some_and(open)
                })
        };
        let candidate = state.candidates.iter().find(wants)?;
        let run = state.run(candidate.screening?)?;
        let limits = Limits::first(&run.experiment, &run.price);
        let need = Outlay::of(state, &limits, &run.price).in_turn(state, self.scope.confirm);
        let design = &state.counsel.design_of(candidate.index)?.design;
        room::fits(state, need + room::kept_back(state, self.scope.confirm, None)).then(|| Event::FinalistChosen {
            index: candidate.index,
            why: format!(
                "its design asks for {} seeds, to decide hypothesis {}",
                design.seeds,
                design.hypothesis.unwrap_or(0)
            ),
        })
    }
}

/// Results that were known at a time.
fn known_at(state: &State, time: f64) -> usize {
    let finished = |k: &&super::state::Known| {
        let run = state.candidates.get(k.index as usize).and_then(|c| state.run(c.screening?));
        run.is_none_or(|r| r.finished.is_some_and(|at| at <= time))
    };
    state.known.iter().filter(finished).count()
}

/// Whether hypotheses are wanted: none came yet, or the analyst turned away from them.
fn ideas_due(state: &State) -> bool {
    let counsel = &state.counsel;
    let heard = counsel.answered.iter().filter(|a| !a.unheard);
    let last = heard.rev().find(|a| a.question.inquiry == Inquiry::Ideas).map_or(0, |a| a.question.number);
    let pivot = counsel.analyses.iter().rfind(|a| a.analysis.course == Course::Pivot).map_or(0, |a| a.question);
    last == 0 || pivot > last
}

/// The end of the search where the analyst saw nothing further worth its cost.
fn advised(state: &State) -> Option<Event> {
    let last = state.counsel.analyses.last().filter(|a| a.analysis.course == Course::Conclude)?;
    let final_word = state.counsel.answered.iter().find(|a| a.question.number == last.question)?;
    // What was said before a person reopened the campaign ended it once, and does not a second time.
    let reopened =
        state.decisions.iter().any(|d| d.at > final_word.question.at && d.text.starts_with("the campaign goes on"));
    (final_word.question.inquiry == Inquiry::Analysis { last: false } && !reopened).then(|| Event::SearchEnded {
        reason: Reason::Advised,
        why: format!("the analyst concludes, {}: {}", words(state, last.question), last.analysis.reasons),
    })
}
