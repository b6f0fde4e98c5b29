//! Compute-aware choices: the memory filter, weighing, calibration, racing and the correction over candidates.

use super::lab::{Lab, Listed, accuracy, campaign, hungry_proposals, learning_rate};
use crate::analysis::Verdict;
use crate::campaign::folder::replay;
use crate::campaign::{Event, Price, Pricer, Standing, correction, decide, gain};
use crate::config::Experiment;
use crate::exec::fake::Play;
use crate::journal;
use crate::planner;
use crate::problem::Result;
use crate::units::Bytes;

/// Learning rates above 0.1 need 200 MiB, the others 50.
struct Hungry;

impl Pricer for Hungry {
    fn price(&self, experiment: &Experiment) -> Result<Price> {
        let mib = if learning_rate(experiment) > 0.1 { 200 } else { 50 };
        Ok(Price {
            seconds: 2.0,
            high_seconds: 2.4,
            memory: Bytes(mib << 20),
            device_memory: None,
            steps: 200,
            data_hash: "digits".into(),
        })
    }
}

#[test]
fn what_does_not_fit_in_memory_is_never_proposed() {
    for filter in [true, false] {
        let campaign = campaign(&format!(
            "planner = {{ candidates = 12, memory_filter = {filter} }}\n[baseline]\nresources = {{ memory_mib = 100 }}"
        ));
        let hungry = hungry_proposals(&campaign, &Hungry);
        assert_eq!(hungry == 0, filter, "{hungry} of 12 proposals do not fit");
    }
}

#[test]
fn a_weighed_choice_is_journaled_with_its_inputs_and_derived_again() {
    let campaign =
        campaign("planner = { kind = \"tpe\", candidates = 20, startup = 4, weighing = { pool = 6, beta = 0.5 } }");
    let lab = Lab::quiet(&campaign);
    lab.conclude(&campaign);
    let state = lab.check();
    let weighed: Vec<_> = state.candidates.iter().filter(|c| c.weighed.is_some()).collect();
    assert!(weighed.len() >= 10, "{}", weighed.len());
    for candidate in &weighed {
        let w = candidate.weighed.as_ref().unwrap();
        let chosen = &w.pool[0];
        assert_eq!((&chosen.assignment, chosen.gain), (&candidate.assignment, candidate.gain));
        assert!(w.pool.len() > 1 && w.pool[1..].iter().all(|p| p.priority <= chosen.priority + 1e-12));
        // Two seconds a run, and alpha: the prior of 1.2 and attempts that take as long as predicted.
        assert!((chosen.cost - 2.0 * w.alpha).abs() < 1e-9 && (1.0..=1.2).contains(&w.alpha));
        assert!(w.beta > 0.0 && w.beta <= 0.5 && w.left > 0.0);
    }
    let betas: Vec<f64> = weighed.iter().map(|c| c.weighed.as_ref().unwrap().beta).collect();
    assert!(betas.first() > betas.last(), "novelty counts less as the budget goes: {betas:?}");
    let run = weighed[0].screening.unwrap();
    let why = state.why(run);
    assert!(why.iter().any(|d| d.text.contains("gain") && d.text.contains("alpha") && d.text.contains("chosen of")));
    // What came of the predictions is known, and the state survives its file.
    let outcomes = gain::outcomes(&state);
    assert_eq!(outcomes.len(), weighed.len());
    assert!(outcomes.iter().all(|o| o.predicted >= 0.0 && o.realised >= 0.0 && o.kind == "tpe"));
    let sampler = planner::sampler(&campaign.planner);
    let envelopes = journal::read(&lab.folder).unwrap();
    for (i, envelope) in envelopes.iter().enumerate() {
        let event = Event::decode(&envelope.kind, envelope.version, &envelope.data).unwrap();
        if let Event::ProposalMade { index, observed, seen, assignment, weighed, .. } = event {
            let then = replay(&envelopes[..i]).unwrap();
            let decide::Proposal { pool, weighed: again, .. } =
                decide::propose(&then, &lab.advice(sampler.as_ref()), index, observed, seen).unwrap();
            assert_eq!(
                (&pool.unwrap()[0].assignment, again.as_ref()),
                (&assignment, weighed.as_deref()),
                "proposal {index}"
            );
        }
    }
}

/// Six seeds are asked for; a clear case needs fewer, and so does a hopeless one.
#[test]
fn a_race_spares_seeds() {
    let runs = |racing: bool, script: fn(&Experiment) -> f64| {
        let campaign = campaign(&format!("seeds = {{ baseline = 6, confirm = 6, finalists = 1, racing = {racing} }}"));
        let lab = Lab::new(&campaign, move |spec, _| Play::completes(1.0, &[("accuracy", script(&spec.experiment))]));
        lab.drive_with(&campaign, &Listed(vec![0.2])).0.unwrap();
        let state = lab.check();
        let Standing::Judged { verdict, difference, why, .. } = state.candidates[0].standing.clone() else { panic!() };
        (verdict, difference.unwrap(), why, state.candidates[0].fresh().count())
    };
    let (verdict, interval, why, seeds) = runs(true, accuracy);
    assert_eq!((verdict, interval.n, seeds), (Verdict::Better, 2, 2), "{why}");
    assert!(why.contains("decided after 2 of 6 seeds") && interval.confidence > 0.98, "{why}");
    assert_eq!(runs(false, accuracy).3, 6);
    // Better on the first look only.
    let lucky: fn(&Experiment) -> f64 = |e| {
        let seed = e.training.seed;
        let luck = if learning_rate(e) == 0.2 && seed == 7 { 0.1 } else { 0.0 };
        0.9 + luck + 0.01 * ((seed * 7) % 5) as f64
    };
    let (verdict, _, why, seeds) = runs(true, lucky);
    assert_eq!(verdict, Verdict::Undecided);
    assert!(seeds < 6 && why.contains("cannot clear the noise floor"), "{seeds}: {why}");
}

/// Two finalists with p values that one comparison would let pass and two do not.
#[test]
fn holm_counts_the_candidates() {
    let campaign = campaign("");
    let lab = Lab::quiet(&campaign);
    lab.conclude(&campaign);
    let mut state = lab.state();
    let judged = |p: f64| {
        // Student's interval of four pairs whose p value is this.
        let t = crate::analysis::t_quantile(1.0 - p / 2.0, 3.0);
        let half = crate::analysis::t_quantile(0.975, 3.0) / t;
        let interval =
            crate::analysis::Interval { mean: 1.0, low: 1.0 - half, high: 1.0 + half, n: 4, confidence: 0.95 };
        Standing::Judged {
            verdict: Verdict::Better,
            difference: Some(interval),
            own: Some(interval),
            why: String::new(),
        }
    };
    for candidate in &mut state.candidates {
        candidate.standing = Standing::Screened;
    }
    state.candidates[0].standing = judged(0.03);
    assert_eq!(correction::survivors(&state), [0]);
    assert!((correction::compared(&state)[0].p_value - 0.03).abs() < 1e-9);
    state.candidates[1].standing = judged(0.04);
    assert!(correction::survivors(&state).is_empty());
    assert_eq!(state.best(), None);
    state.candidates[1].standing = judged(0.001);
    assert_eq!(correction::survivors(&state), [0, 1]);
    assert!(correction::words(&state, 1).contains("p = 0.002 after Holm's correction over 2 candidates"));
    // A race that made its interval at 99% spent a fifth of the error on that look: its p value counts five times.
    if let Standing::Judged { difference: Some(difference), .. } = &mut state.candidates[1].standing {
        let half = crate::analysis::t_quantile(0.995, 3.0) / crate::analysis::t_quantile(1.0 - 0.001 / 2.0, 3.0);
        *difference = crate::analysis::Interval { low: 1.0 - half, high: 1.0 + half, confidence: 0.99, ..*difference };
    }
    assert!((correction::compared(&state)[1].p_value - 0.005).abs() < 1e-6);
}
