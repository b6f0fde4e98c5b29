//! Campaigns from the first event to the conclusion.

use super::lab::{Lab, Listed, campaign};
use crate::analysis::Verdict;
use crate::campaign::decide::propose;
use crate::campaign::events::NextStep;
use crate::campaign::folder::replay;
use crate::campaign::{Event, Purpose, Reason, RunResult, Seen, Standing, State, results_tsv};
use crate::exec::fake::Play;
use crate::journal;
use crate::planner;

/// A proposal derived again.
fn again(
    lab: &Lab,
    sampler: &dyn planner::Sampler,
    state: &State,
    index: u64,
    observed: usize,
    seen: crate::campaign::Seen,
) -> Option<planner::Assignment> {
    let mut pool = propose(state, &lab.advice(sampler), index, observed, seen).unwrap().pool?;
    Some(pool.swap_remove(0).assignment)
}

#[test]
fn every_planner_reaches_a_conclusion_and_its_proposals_can_be_derived_again() {
    for (kind, parallel) in [("random", 1), ("grid", 2), ("tpe", 3), ("cma-es", 2), ("evolution", 3)] {
        let changes = format!(
            "planner = {{ kind = \"{kind}\", candidates = 12, startup = 4 }}\nexecution = {{ parallel = {parallel} }}"
        );
        let campaign = campaign(&changes);
        let lab = Lab::quiet(&campaign);
        let conclusion = lab.conclude(&campaign);
        let state = lab.check();
        let expected = if kind == "grid" { Reason::SpaceExhausted } else { Reason::CandidatesDone };
        assert_eq!(conclusion.reason, expected, "{kind}: {}", conclusion.sentence);
        // The optimum at 0.2 is far better than the baseline at 0.01, so every planner must find something.
        let best = &state.candidates[conclusion.best.unwrap() as usize];
        assert!(best.value.unwrap() > 0.9, "{kind}: {best:?}");
        let Standing::Judged { verdict: Verdict::Better, difference: Some(difference), .. } = &best.standing else {
            panic!("{kind}: {best:?}")
        };
        assert_eq!(difference.n, 3);
        assert_eq!(best.runs.keys().copied().collect::<Vec<_>>(), [1, 2, 3, 4]);
        // The run that it was chosen by is on a seed of its own and no part of the verdict.
        assert_eq!(best.fresh().map(|(seed, _)| seed).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(conclusion.sentence.contains("(learning_rate="), "{}", conclusion.sentence);
        assert!(conclusion.sentence.contains("raises accuracy"), "{}", conclusion.sentence);
        // Baseline first, and nothing else before its noise is known.
        assert!(state.runs[..3].iter().all(|r| r.purpose == Purpose::Baseline));
        let established = state.decisions.iter().position(|d| d.text.contains("noise floor")).unwrap();
        let proposed = state.decisions.iter().position(|d| d.candidate.is_some()).unwrap();
        assert!(established < proposed);
        assert!(state.candidates.iter().any(|c| c.observed < c.index as usize) == (parallel > 1));

        // Every proposal again: from the final state and two numbers, and from the journal up to it.
        let sampler = planner::sampler(&campaign.planner);
        for c in &state.candidates {
            let again = again(&lab, sampler.as_ref(), &state, c.index, c.observed, c.seen).unwrap();
            assert_eq!(again, c.assignment, "{kind}, proposal {}", c.index);
        }
        let envelopes = journal::read(&lab.folder).unwrap();
        for (i, envelope) in envelopes.iter().enumerate() {
            let event = Event::decode(&envelope.kind, envelope.version, &envelope.data).unwrap();
            if let Event::ProposalMade { index, observed, seen, assignment, .. } = event {
                let then = replay(&envelopes[..i]).unwrap();
                assert_eq!((then.candidates.len() as u64, then.due()), (index, Some((observed, seen))));
                assert_eq!(self::again(&lab, sampler.as_ref(), &then, index, observed, seen), Some(assignment));
            }
        }
    }
}

#[test]
fn what_does_not_beat_the_baseline_is_not_repeated_and_nothing_is_claimed() {
    let campaign = campaign("");
    let lab = Lab::quiet(&campaign);
    // All worse than the baseline's 0.01.
    let (finish, _) = lab.drive_with(&campaign, &Listed(vec![0.009, 0.005, 0.001]));
    let state = lab.check();
    let conclusion = state.conclusion.clone().unwrap();
    assert_eq!(finish.unwrap(), crate::campaign::Finish::Concluded(conclusion.clone()));
    assert_eq!((conclusion.reason, conclusion.best), (Reason::SpaceExhausted, None));
    assert_eq!(state.runs.len(), 6);
    assert!(conclusion.sentence.contains("None of 3 candidates was better"), "{}", conclusion.sentence);
}

#[test]
fn differences_within_the_noise_are_repeated_and_not_claimed() {
    let campaign = campaign("");
    // The value depends on run and seed by chance alone; candidates look better at first look.
    let lab = Lab::new(&campaign, |spec, _| {
        let seed = spec.experiment.training.seed;
        let value = match (super::lab::learning_rate(&spec.experiment) == 0.01, seed) {
            (true, _) => 0.90 + 0.01 * seed as f64,
            (false, 4) => 0.95,
            (false, _) => 0.91,
        };
        Play::completes(1.0, &[("accuracy", value)])
    });
    let conclusion = lab.conclude(&campaign);
    let state = lab.check();
    assert_eq!(conclusion.best, None);
    assert!(conclusion.sentence.contains("Nothing cleared the noise floor"), "{}", conclusion.sentence);
    let undecided = |s: &Standing| matches!(s, Standing::Judged { verdict: Verdict::Undecided, .. });
    assert_eq!(state.candidates.iter().filter(|c| undecided(&c.standing)).count(), 2, "two finalists");
    assert_eq!(state.runs.len(), 3 + 5 + 2 * 3);
}

#[test]
fn what_is_chosen_by_luck_is_not_flattered_by_it() {
    // Every run's value is chance alone, so that no candidate differs from the baseline. The two best of twelve by their
    // first look look good by that look; over campaigns, their differences must be around zero all the same.
    let (mut first_looks, mut differences) = (Vec::new(), Vec::new());
    for trial in 0..40 {
        let campaign = campaign(&format!("planner = {{ candidates = 12, seed = {trial} }}"));
        let lab = Lab::new(&campaign, move |spec, _| {
            let rate = (super::lab::learning_rate(&spec.experiment) * 1e7) as u32;
            let seed = spec.experiment.training.seed;
            let uniform = crate::rng::unit_f32(crate::rng::bits(seed, 77, rate, trial, 0));
            Play::completes(1.0, &[("accuracy", f64::from(uniform))])
        });
        lab.conclude(&campaign);
        let state = lab.check();
        let mean = state.baseline.as_ref().unwrap().interval.mean;
        for c in &state.candidates {
            if let Standing::Judged { difference: Some(difference), .. } = &c.standing {
                first_looks.push(c.value.unwrap() - mean);
                differences.push(difference.mean);
            }
        }
    }
    assert_eq!(differences.len(), 80);
    let flattered = crate::analysis::mean_interval(&first_looks, 0.99);
    let honest = crate::analysis::mean_interval(&differences, 0.99);
    assert!(flattered.low > 0.2, "{flattered:?}");
    assert!(honest.low < 0.0 && 0.0 < honest.high, "{honest:?}");
}

#[test]
fn equal_seeds_give_equal_campaigns_in_whatever_order_runs_end() {
    let proposals = |results: &str, world: u64| {
        let campaign = campaign(&format!(
            "planner = {{ kind = \"tpe\", candidates = 16, startup = 4, results = \"{results}\" }}\nexecution = {{ parallel = 3 }}"
        ));
        // Each world has its own durations, up to ten times as long as others.
        let lab = Lab::new(&campaign, move |spec, _| {
            let time = 0.2 + 2.0 * crate::rng::unit_f32(crate::rng::bits(world, 78, spec.id.run.0, 0, 0));
            Play::completes(f64::from(time), &[("accuracy", super::lab::accuracy(&spec.experiment))])
        });
        lab.conclude(&campaign);
        let state = lab.check();
        let proposals: Vec<_> = state.candidates.iter().map(|c| c.assignment.clone()).collect();
        let keys: Vec<_> = state.runs.iter().map(|r| r.key.clone()).collect();
        (proposals, keys, state.conclusion.map(|c| c.sentence))
    };
    let one = proposals("fixed", 1);
    for world in 2..6 {
        assert_eq!(proposals("fixed", world), one, "world {world}");
    }
    assert!((2..6).any(|world| proposals("latest", world) != proposals("latest", 1)), "the worlds do differ");
}

#[test]
fn a_goal_ends_the_search_as_soon_as_it_is_confirmed() {
    let campaign = campaign("objective = { metric = \"accuracy\", goal = 0.93 }\nplanner = { candidates = 50 }");
    let lab = Lab::quiet(&campaign);
    let (_, _) = lab.drive_with(&campaign, &Listed(vec![0.001, 0.02, 0.2, 0.1, 0.05, 0.04, 0.03]));
    let state = lab.check();
    let conclusion = state.conclusion.unwrap();
    assert_eq!((conclusion.reason, conclusion.best), (Reason::GoalMet, Some(2)), "{}", conclusion.sentence);
    assert_eq!(state.candidates.len(), 3, "nothing was proposed after it");
    // Without any search where the baseline is good enough.
    let easy = super::lab::campaign("objective = { metric = \"accuracy\", goal = 0.2 }");
    let lab = Lab::quiet(&easy);
    assert_eq!(lab.conclude(&easy).reason, Reason::GoalMet);
    assert_eq!(lab.check().runs.len(), 3);
}

#[test]
fn smaller_is_better_where_the_metric_says_so() {
    let campaign = campaign("objective = { metric = \"loss\" }");
    let lab =
        Lab::new(&campaign, |spec, _| Play::completes(1.0, &[("loss", 1.0 - super::lab::accuracy(&spec.experiment))]));
    let (_, _) = lab.drive_with(&campaign, &Listed(vec![0.001, 0.2, 0.05]));
    let state = lab.check();
    assert_eq!(state.best().unwrap().index, 1);
    assert!(state.conclusion.as_ref().unwrap().sentence.contains("lowers loss"));
    let observations = state.observations(3, 3, Seen::Earliest);
    assert!(
        observations
            .iter()
            .all(|o| o.value == state.candidates.iter().find(|c| c.assignment == o.assignment).unwrap().value)
    );
}

#[test]
fn equal_experiments_are_paid_for_once() {
    let campaign = campaign("");
    let lab = Lab::quiet(&campaign);
    // The first is the baseline itself, on a seed that the baseline has not; the third repeats the second.
    let (_, events) = lab.drive_with(&campaign, &Listed(vec![0.01, 0.2, 0.2, 0.1]));
    let state = lab.check();
    assert_eq!(state.runs.len(), 3 + 3 + 2 * 3);
    assert_eq!(state.candidates[2].value, state.candidates[1].value);
    assert_eq!(events.iter().filter(|e| matches!(e, Event::RunReused { .. })).count(), 1);
    // It is one finalist, not two.
    assert_eq!(state.candidates[2].standing, Standing::Screened);
    assert_eq!(state.best().unwrap().index, 1);
}

#[test]
fn proposals_that_cannot_be_run_are_recorded_and_never_submitted() {
    let campaign = campaign("");
    let mut lab = Lab::quiet(&campaign);
    lab.pricer.most = 0.5;
    let (_, _) = lab.drive_with(&campaign, &Listed(vec![0.9, 0.2, 0.8]));
    let state = lab.check();
    for index in [0, 2] {
        let Standing::Rejected { reason } = &state.candidates[index].standing else { panic!() };
        assert!(reason.contains("does not fit"));
    }
    assert!(state.observations(3, 3, Seen::Earliest)[0].failed);
    assert_eq!(state.best().unwrap().index, 1);
    // A space where nothing can be run ends by itself.
    let mut lab = Lab::quiet(&campaign);
    lab.pricer.most = 0.01;
    let (_, _) = lab.drive_with(&campaign, &Listed((0..500).map(|i| 0.5 + i as f64 * 1e-4).collect()));
    let state = lab.check();
    assert_eq!(state.conclusion.unwrap().reason, Reason::SpaceExhausted);
    assert_eq!((state.candidates.len(), state.runs.len()), (100, 3));
}

#[test]
fn constraints_are_kept() {
    let campaign = campaign(
        "constraints = [{ left = \"optimizer.learning_rate\", relation = \"at-most\", right = 0.05 }]\nplanner = { candidates = 8 }",
    );
    let lab = Lab::quiet(&campaign);
    lab.conclude(&campaign);
    let state = lab.check();
    assert_eq!(state.candidates.len(), 8);
    let rates = state.candidates.iter().map(|c| c.assignment["optimizer.learning_rate"].as_f64().unwrap());
    assert!(rates.into_iter().all(|r| r <= 0.05));
}

#[test]
fn deciding_is_pure_and_a_finished_campaign_has_nothing_left_to_decide() {
    let campaign = campaign("execution = { parallel = 2 }");
    let lab = Lab::quiet(&campaign);
    lab.conclude(&campaign);
    let sampler = planner::sampler(&campaign.planner);
    let advice = lab.advice(sampler.as_ref());
    let envelopes = journal::read(&lab.folder).unwrap();
    for i in 1..=envelopes.len() {
        let state = replay(&envelopes[..i]).unwrap();
        let first = crate::campaign::decide(&state, &advice).unwrap();
        assert_eq!(first, crate::campaign::decide(&state, &advice).unwrap());
        // Whatever is decided can be applied, in order.
        let mut next = state.clone();
        for event in &first {
            crate::campaign::apply::apply(&mut next, event, 0.0).unwrap();
        }
    }
    let last = replay(&envelopes).unwrap();
    assert!(crate::campaign::decide(&last, &advice).unwrap().is_empty());
}

#[test]
fn results_tsv_has_a_line_for_each_run_with_its_fate() {
    let campaign = campaign("execution = { retries = 0 }");
    let lab = Lab::new(&campaign, |spec, _| {
        let rate = super::lab::learning_rate(&spec.experiment);
        if rate > 0.5 {
            return Play::ends(0.5, crate::record::End::Diverged { reason: "loss is\tNaN".into() });
        }
        super::lab::completes(spec)
    });
    let (_, _) = lab.drive_with(&campaign, &Listed(vec![0.2, 0.9, 0.001]));
    let state = lab.check();
    let text = results_tsv(&state);
    let rows: Vec<Vec<&str>> = text.lines().map(|l| l.split('\t').collect()).collect();
    assert_eq!(rows[0][..5], ["run", "accuracy", "memory_gb", "status", "description"]);
    assert!(rows.iter().all(|r| r.len() == 8), "{text}");
    let statuses: Vec<&str> = rows[1..].iter().map(|r| r[3]).collect();
    assert_eq!(statuses, ["keep", "keep", "keep", "keep", "crash", "discard", "keep", "keep", "keep"]);
    assert_eq!(rows[4][0], "0004");
    assert!(rows[4][4].contains("learning_rate=0.2"));
    assert!(rows[5][4].contains("diverged") && rows[5][1].is_empty());
    let why: Vec<&String> = state.why(crate::ids::RunId(4)).into_iter().map(|d| &d.text).collect();
    assert!(why.iter().any(|t| t.contains("finalist")) && why.iter().any(|t| t.contains("confirmed")), "{why:?}");
    assert!(why.iter().any(|t| t.contains("reserved")), "{why:?}");
}

#[test]
fn a_state_survives_json() {
    let campaign = campaign("");
    let lab = Lab::quiet(&campaign);
    lab.conclude(&campaign);
    let state = lab.state();
    let file = std::fs::read(lab.folder.join("state.json")).unwrap();
    assert_eq!(serde_json::from_slice::<State>(&file).unwrap(), state);
    assert!(state.runs.iter().all(|r| matches!(r.next, Some(NextStep::Finish))));
    assert!(state.runs.iter().all(|r| matches!(r.result, Some(RunResult::Finished { .. }))));
}

#[test]
fn a_list_by_hand_is_tried_in_its_order() {
    let campaign = campaign(
        "planner = { kind = \"manual\", candidates = 0, list = [{ \"optimizer.learning_rate\" = 0.2 }, { \"optimizer.learning_rate\" = 0.05 }] }",
    );
    let lab = Lab::quiet(&campaign);
    let conclusion = lab.conclude(&campaign);
    let state = lab.check();
    let tried: Vec<f64> =
        state.candidates.iter().map(|c| c.assignment["optimizer.learning_rate"].as_f64().unwrap()).collect();
    assert_eq!(
        (tried.as_slice(), conclusion.reason, conclusion.best),
        (&[0.2, 0.05][..], Reason::SpaceExhausted, Some(0))
    );
}
