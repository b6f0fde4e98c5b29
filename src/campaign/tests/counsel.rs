//! Campaigns with somebody to ask: turns, budgets, failures, replays.

use super::lab::{Lab, Witness, accuracy, campaign, completes};
use crate::campaign::counsel::{Analysis, Claim, Course, Design, Hypothesis, Part};
use crate::campaign::{
    Counsellor, Finish, Inquiry, Observer, Paid, Question, Reason, Reply, Standing, State, hypotheses, replay,
};
use crate::config::Campaign;
use crate::exec::fake::Play;
use crate::knowledge::{FORMAT, Finding, Kind};
use crate::llm::Usage;
use crate::planner;
use crate::problem::Result;
use crate::units::Dollars;
use serde_json::json;
use std::cell::RefCell;
use std::rc::Rc;

/// Answers at once, by a function of the state and the question.
pub struct Scripted<F> {
    answer: F,
    cost: f64,
    under_way: Option<(Reply, Paid)>,
    recalled: Vec<Finding>,
    kept: Rc<RefCell<Vec<String>>>,
}

impl<F: FnMut(&State, &Question) -> Option<Reply>> Scripted<F> {
    pub fn new(answer: F) -> Self {
        Scripted { answer, cost: 0.01, under_way: None, recalled: Vec::new(), kept: Rc::default() }
    }
}

impl<F: FnMut(&State, &Question) -> Option<Reply>> Counsellor for Scripted<F> {
    fn model(&self) -> Option<String> {
        Some("scripted".into())
    }
    fn worst(&self, _: &State, _: Inquiry) -> Option<Dollars> {
        Some(Dollars::of(self.cost))
    }
    fn ask(&mut self, state: &State, question: &Question) -> Result<()> {
        let usage = Usage { input_tokens: 100, output_tokens: 10 };
        let paid = Paid { usage, dollars: Dollars::of(self.cost), entries: Vec::new() };
        // None: it never answers.
        self.under_way = (self.answer)(state, question).map(|reply| (reply, paid));
        Ok(())
    }
    fn poll(&mut self) -> Result<Option<(Reply, Paid)>> {
        Ok(self.under_way.take())
    }
    fn recall(&self, _: &State) -> Result<Vec<Finding>> {
        Ok(self.recalled.clone())
    }
    fn keep(&self, state: &State) -> Result<()> {
        self.kept.borrow_mut().push(state.campaign.name.clone());
        Ok(())
    }
}

fn hybrid(changes: &str) -> Campaign {
    let planner = "planner = { kind = \"hybrid\", candidates = 12, startup = 4 }";
    let planner = if changes.contains("planner =") { "" } else { planner };
    campaign(&format!(
        "llm = {{ model = \"m\", timeout_seconds = 30.0, prices = {{ m = {{ input = 1.0, output = 4.0 }} }} }}\n\
         {planner}\n{changes}"
    ))
}

fn ideas() -> Reply {
    let hypothesis = Hypothesis {
        claim: "Rates near 0.2 are best".into(),
        effect: 0.05,
        belief: 0.6,
        refuted_if: "no gain at 0.2".into(),
        region: Default::default(),
    };
    Reply::Ideas { hypotheses: vec![hypothesis] }
}

fn design(rate: f64, seeds: usize) -> Design {
    let settings = [("optimizer.learning_rate".to_string(), json!(rate))].into();
    Design { hypothesis: Some(1), part: Part::Test, settings, seeds, why: "it is the claim".into() }
}

fn analysis(course: Course) -> Reply {
    let findings = vec![Claim { text: "larger rates are better".into(), runs: vec![1] }];
    Reply::Analysis(Analysis { course, reasons: "the slope says so".into(), findings })
}

/// One controller's life with somebody to ask.
pub fn live<F: FnMut(&State, &Question) -> Option<Reply>>(
    lab: &Lab,
    campaign: &Campaign,
    counsel: &mut Scripted<F>,
    observer: &mut dyn Observer,
) -> Result<Finish> {
    lab.live(campaign, Some(counsel), &mut [observer])
}

fn concluded<F: FnMut(&State, &Question) -> Option<Reply>>(
    lab: &Lab,
    campaign: &Campaign,
    counsel: &mut Scripted<F>,
) -> State {
    let finish = live(lab, campaign, counsel, &mut Witness::default()).unwrap();
    assert!(matches!(finish, Finish::Concluded(_)), "{finish:?}");
    lab.check()
}

pub fn wise(_: &State, question: &Question) -> Option<Reply> {
    Some(match question.inquiry {
        Inquiry::Ideas => ideas(),
        Inquiry::Designs { index } => Reply::Designs { designs: vec![design(0.2 + 1e-3 * index as f64, 1)] },
        Inquiry::Analysis { .. } => analysis(Course::Refine),
    })
}

#[test]
fn the_model_proposes_a_minority_and_everything_is_journaled_and_replayed() {
    for parallel in [1, 3] {
        let campaign = hybrid(&format!("execution = {{ parallel = {parallel} }}"));
        let lab = Lab::quiet(&campaign);
        let mut counsel = Scripted::new(wise);
        let state = concluded(&lab, &campaign, &mut counsel);
        let own: Vec<u64> = state.candidates.iter().filter(|c| c.planner == "llm").map(|c| c.index).collect();
        assert_eq!(own, [3, 6, 9], "three of twelve, and never more than 30% at any time");
        assert!(state.candidates.iter().all(|c| c.planner == "llm" || c.planner == "tpe"));
        let best = state.best().expect("something is confirmed");
        assert!((learning_rate_of(best) - 0.2).abs() < 0.02, "{best:?}");
        // The finalist is one of its tests, so its confirmation decides the hypothesis.
        assert_eq!(hypotheses::judge(&state, 1).verdict, hypotheses::Verdict::Supported);
        let inquiries: Vec<Inquiry> = state.counsel.answered.iter().map(|a| a.question.inquiry).collect();
        assert_eq!(inquiries[0], Inquiry::Ideas, "hypotheses come first");
        assert!(inquiries.contains(&Inquiry::Analysis { last: false }), "{inquiries:?}");
        assert_eq!(inquiries.last(), Some(&Inquiry::Analysis { last: true }));
        assert_eq!(state.counsel.paid().0.input_tokens, 100 * inquiries.len() as u64);
        assert_eq!(counsel.kept.borrow().len(), 1, "findings are kept once");
        // A run of its own says which question it came from and what it is about.
        let run = state.candidates[3].screening.unwrap();
        let why: Vec<&str> = state.why(run).iter().map(|d| d.text.as_str()).collect();
        let said = |words: &str| why.iter().any(|w| w.contains(words));
        assert!(said("question ") && said("test of hypothesis 1") && said("bits"), "{why:?}");

        let mut again = Scripted::new(wise);
        let sampler = planner::sampler(&campaign.planner);
        let replayed = replay(&lab.folder, sampler.as_ref(), &mut again).unwrap();
        assert_eq!(replayed.questions, inquiries.len());
        assert!(replayed.decisions > 40, "{replayed:?}");
        // Another answer is found out, with the difference.
        let mut other = Scripted::new(|s: &State, q: &Question| match q.inquiry {
            Inquiry::Designs { .. } => Some(Reply::Designs { designs: vec![design(0.3, 1)] }),
            _ => wise(s, q),
        });
        let problem = replay(&lab.folder, sampler.as_ref(), &mut other).unwrap_err();
        assert!(problem.what.contains("+") && problem.what.contains("0.3"), "{problem}");
    }
}

fn learning_rate_of(candidate: &crate::campaign::Candidate) -> f64 {
    candidate.assignment["optimizer.learning_rate"].as_f64().unwrap()
}

/// Somebody who answers nothing.
pub fn nobody() -> impl Counsellor {
    Scripted::new(|_: &State, _: &Question| None)
}

/// Classical campaigns replay too, a crash and a retry included; a changed journal does not.
#[test]
fn decisions_without_a_model_come_out_the_same_byte_for_byte() {
    let campaign = campaign(
        "planner = { kind = \"tpe\", candidates = 10, startup = 3, weighing = { pool = 4 } }\nexecution = { parallel = 2 }",
    );
    let mut first = true;
    let mut lab = Lab::new(&campaign, move |spec, _| {
        let crashes = spec.id.run.0 == 5 && std::mem::take(&mut first);
        if crashes { Play::dies(1.0, 9) } else { completes(spec) }
    });
    lab.die_after = Some(30);
    assert!(lab.drive_until_killed(&campaign).is_none());
    lab.die_after = None;
    lab.conclude(&campaign);
    let sampler = planner::sampler(&campaign.planner);
    let mut nobody = nobody();
    let replayed = replay(&lab.folder, sampler.as_ref(), &mut nobody).unwrap();
    assert!(replayed.decisions > 50 && replayed.observations > 40 && replayed.questions == 0, "{replayed:?}");
    assert_eq!(replayed, replay(&lab.folder, sampler.as_ref(), &mut nobody).unwrap());
    let other = planner::sampler(&crate::config::PlannerSpec { seed: 7, ..campaign.planner.clone() });
    let problem = replay(&lab.folder, other.as_ref(), &mut nobody).unwrap_err();
    assert!(problem.what.contains("decides otherwise"), "{problem}");
}

#[test]
fn a_model_that_brings_nothing_is_left_alone_and_the_campaign_goes_on() {
    let campaign = hybrid("");
    let lab = Lab::quiet(&campaign);
    let nothing = |_: &State, _: &Question| Some(Reply::Nothing { why: "garbage".into(), unheard: false });
    let state = concluded(&lab, &campaign, &mut Scripted::new(nothing));
    assert_eq!(state.counsel.answered.len(), 3, "three failures in a row are enough");
    assert_eq!(state.counsel.paid().1, Dollars::of(0.03), "what was used is charged");
    assert!(state.candidates.iter().all(|c| c.planner == "tpe") && state.candidates.len() == 12);
    assert!(state.best().is_some());
    assert!(state.decisions.iter().any(|d| d.text.contains("the classical sampler goes on")));
    assert!(state.decisions.iter().any(|d| d.text.contains("asks no more")));
}

/// One that never answers holds the campaign up for its patience, once, and is settled from the tape when all is over.
#[test]
fn a_model_that_hangs_does_not_hold_a_campaign() {
    let campaign = hybrid("");
    let lab = Lab::quiet(&campaign);
    let state = concluded(&lab, &campaign, &mut Scripted::new(|_: &State, _: &Question| None));
    assert_eq!(state.candidates.len(), 12);
    assert!(state.counsel.asking.is_some() || state.counsel.answered.len() == 1);
    // The next controller has nothing to wait for.
    let more = hybrid("planner = { kind = \"hybrid\", candidates = 13, startup = 4 }");
    let state = concluded(&lab, &more, &mut Scripted::new(wise));
    let first = &state.counsel.answered[0];
    assert!(first.failure.as_ref().unwrap().contains("ended before the answer came"), "{first:?}");
}

#[test]
fn an_analyst_may_end_the_search_or_turn_it() {
    let campaign = hybrid("planner = { kind = \"hybrid\", candidates = 40, startup = 4 }");
    let lab = Lab::quiet(&campaign);
    let mut pivoted = false;
    let state = concluded(
        &lab,
        &campaign,
        &mut Scripted::new(move |s: &State, q: &Question| match q.inquiry {
            Inquiry::Analysis { last: false } if !std::mem::replace(&mut pivoted, true) => {
                Some(analysis(Course::Pivot))
            }
            Inquiry::Analysis { last: false } => Some(analysis(Course::Conclude)),
            _ => wise(s, q),
        }),
    );
    let conclusion = state.conclusion.clone().unwrap();
    assert_eq!(conclusion.reason, Reason::Advised);
    assert!(state.candidates.len() < 20, "{}", state.candidates.len());
    assert!(state.best().is_some(), "finalists are confirmed all the same");
    assert_eq!(state.counsel.hypotheses.len(), 2, "after the pivot others were posed");
    assert!(state.counsel.hypotheses[0].dropped && !state.counsel.hypotheses[1].dropped);
}

#[test]
fn a_design_that_asks_for_seeds_decides_its_hypothesis() {
    let campaign = hybrid("");
    let lab = Lab::quiet(&campaign);
    let state = concluded(
        &lab,
        &campaign,
        &mut Scripted::new(|s: &State, q: &Question| match q.inquiry {
            Inquiry::Designs { .. } => Some(Reply::Designs { designs: vec![design(0.2, 3)] }),
            _ => wise(s, q),
        }),
    );
    assert!(state.decisions.iter().any(|d| d.text.contains("its design asks for 3 seeds")));
    let judgement = hypotheses::judge(&state, 1);
    assert_eq!(judgement.verdict, hypotheses::Verdict::Supported, "{}", judgement.words);
    assert!(matches!(state.candidates[3].standing, Standing::Judged { .. }));
}

/// Of designs that settle equally much the cheap one is tried first, whatever their order; of equally dear ones the one that
/// settles more.
#[test]
fn designs_are_tried_by_what_they_settle_for_their_cost() {
    let campaign = hybrid(
        "space = { \"optimizer.learning_rate\" = { type = \"log-float\", low = 0.001, high = 1.0 }, \
                   \"training.budget.steps\" = { type = \"int\", low = 100, high = 2000 } }",
    );
    let of = |hypothesis: usize, steps: u64, rate: f64| {
        let mut design = Design { hypothesis: Some(hypothesis), ..design(rate, 1) };
        design.settings.insert("training.budget.steps".into(), json!(steps));
        design
    };
    let lab = Lab::quiet(&campaign);
    let answer = |s: &State, q: &Question| match q.inquiry {
        Inquiry::Ideas => {
            let Reply::Ideas { mut hypotheses } = ideas() else { unreachable!() };
            // All but known already: little to settle.
            hypotheses.push(Hypothesis { belief: 0.99, ..hypotheses[0].clone() });
            Some(Reply::Ideas { hypotheses })
        }
        Inquiry::Designs { index: 3 } => {
            Some(Reply::Designs { designs: vec![of(1, 2000, 0.3), of(2, 200, 0.25), of(1, 200, 0.2)] })
        }
        Inquiry::Designs { .. } => Some(Reply::Nothing { why: "no more".into(), unheard: false }),
        _ => wise(s, q),
    };
    let state = concluded(&lab, &campaign, &mut Scripted::new(answer));
    let rates: Vec<f64> = state.candidates.iter().filter(|c| c.planner == "llm").map(learning_rate_of).collect();
    assert_eq!(rates, [0.2, 0.3, 0.25]);
    let sampler = planner::sampler(&campaign.planner);
    replay(&lab.folder, sampler.as_ref(), &mut Scripted::new(answer)).unwrap();
}

/// The example: 4 GPUs for 2 hours at $2 are $16. The language model's share and the overhead come out of the same purse.
#[test]
fn dollars_bound_devices_model_and_overhead_together() {
    let attempts = |dollars: f64, more: &str, asks: bool| {
        let kind = if asks { "hybrid" } else { "random" };
        let campaign = hybrid(&format!(
            "seeds = {{ baseline = 2, confirm = 2, finalists = 1 }}\n\
             planner = {{ kind = \"{kind}\", candidates = 0 }}\n\
             execution = {{ parallel = 4, kill_margin_seconds = 0.0 }}\n\
             budget = {{ device_hours = 1000.0, dollars_per_device_hour = 2.0, dollars = {dollars}, downscale = []{more} }}\n\
             baseline = {{ resources = {{ wall_seconds = 7200.0 }}, training = {{ budget = {{ steps = 720000 }} }} }}"
        ));
        let two_hours =
            |e: &crate::config::Experiment| Play::completes(7200.0, &[("accuracy", 0.9 + 1e-6 * accuracy(e))]);
        let lab = Lab::new(&campaign, move |spec, _| two_hours(&spec.experiment));
        let state = concluded(&lab, &campaign, &mut Scripted::new(wise));
        let spent = state.ledger.settled().dollars.value() + state.ledger.asked().value();
        assert!(spent <= dollars, "{spent}");
        // The first question may be mended as often as there is room for.
        let first = state.counsel.answered.first().filter(|_| dollars >= 20.01);
        let room = Dollars { micro: ((dollars - 20.0).max(0.0) * 1e6).round() as u64 };
        assert!(first.is_none_or(|a| a.question.allowance == Some(Dollars::of(0.0375).min(room))), "{first:?}");
        let unasked =
            |d: &&crate::campaign::Decision| d.text.contains("is not asked") && d.text.contains("it could cost");
        let unasked = state.decisions.iter().filter(unasked).count();
        (state.runs.len(), state.ledger.settled().dollars.value(), state.ledger.asked().value(), unasked)
    };
    // Two baseline runs, a first look and two confirmations are the least: $20.
    assert_eq!(attempts(19.99, "", false).0, 0);
    assert_eq!(attempts(36.0, "", false), (9, 36.0, 0.0, 0), "two hours at $2: $4 an attempt");
    // Sixteen dollars more are four GPUs for two hours.
    assert_eq!(attempts(36.0 + 4.0 * 2.0 * 2.0, "", false), (9 + 4, 52.0, 0.0, 0));
    assert_eq!(attempts(51.99, "", false).0, 12);
    // A cent for a question, and a run less fits; a last one that does not fit is said to be left out.
    let (runs, settled, asked, unasked) = attempts(36.0, "", true);
    assert!(asked > 0.0 && runs == 8 && settled == 32.0 && unasked == 1, "{runs} {settled} {asked} {unasked}");
    // What is left beside one candidate and its confirmations is less than a question may cost: that is said, once, and the candidate
    // is tried. It is no finalist, so there is enough for a last question.
    let (runs, settled, asked, unasked) = attempts(20.005, "", true);
    assert_eq!((runs, settled, asked, unasked), (3, 12.0, 0.01, 1));
    // There is room for one repair.
    assert!(attempts(20.02, "", true).2 > 0.0);
    // Overhead of a dollar an attempt.
    assert_eq!(attempts(36.0, ", overhead_dollars_per_attempt = 1.0", false), (7, 35.0, 0.0, 0));
}

#[test]
fn a_related_campaign_starts_from_what_was_found() {
    let mut campaign = campaign("planner = { candidates = 4 }");
    campaign.knowledge = Some("knowledge.jsonl".into());
    let finding = |rate: f64, metric: &str| Finding {
        format: FORMAT,
        id: rate.to_string(),
        campaign: "earlier".into(),
        question: "Which rate?".into(),
        kind: Kind::Confirmed,
        text: "0.2 is better".into(),
        metric: metric.into(),
        about: vec![],
        settings: [("optimizer.learning_rate".to_string(), json!(rate))].into(),
        evidence: None,
        runs: vec![],
    };
    let lab = Lab::quiet(&campaign);
    let mut counsel = Scripted::new(wise);
    // The second lies outside this campaign's space, the third is about another metric.
    counsel.recalled = vec![finding(0.2, "accuracy"), finding(99.0, "accuracy"), finding(0.3, "loss")];
    let state = concluded(&lab, &campaign, &mut counsel);
    let first = &state.candidates[0];
    assert_eq!((first.planner.as_str(), learning_rate_of(first)), ("knowledge", 0.2));
    assert!(first.why.contains("campaign earlier found"), "{}", first.why);
    assert!(state.candidates[1..].iter().all(|c| c.planner == "random"));
    assert!(!state.counsel.used(), "a classical campaign asks nobody");
}

/// What cannot be done within the wall limit is not proposed.
#[test]
fn what_takes_too_long_is_never_proposed() {
    let campaign = campaign(
        "space = { \"training.budget.steps\" = { type = \"int\", low = 100, high = 2000 } }\nplanner = { candidates = 8 }\n\
         execution = { retries = 1 }\nbaseline = { resources = { wall_seconds = 5.0 } }",
    );
    let lab = Lab::quiet(&campaign);
    lab.conclude(&campaign);
    let state = lab.check();
    // Five seconds twice at 10 ms a step.
    let steps = |c: &crate::campaign::Candidate| c.assignment["training.budget.steps"].as_i64().unwrap();
    assert!(state.candidates.iter().all(|c| steps(c) <= 1000) && state.candidates.len() == 8);
}
