//! Campaigns that run out of something.

use super::lab::{Lab, Listed, campaign, completes, steps, trains};
use crate::campaign::{Finish, Purpose, Reason, Standing};
use crate::config::ModelSpec;
use crate::exec::fake::Play;
use crate::record::End;
use crate::units::{DeviceTime, Dollars};
use proptest::prelude::*;

/// A run of 200 steps takes 2 s, is reserved with a wall limit of 2 * 2.4 + 5 s and a kill margin of 1 s, and before any has
/// ended is expected to use 1.2 * 2.4 s.
const RESERVATION: f64 = 10.8;

/// What `n` runs of `steps` need one after another.
fn in_turn(n: usize, steps: f64) -> f64 {
    let high = 0.012 * steps;
    let (reserved, expected) = (2.0 * high + 6.0, 1.2 * high);
    n as f64 * expected + reserved - expected
}

fn budget(seconds: f64, more: &str) -> String {
    format!("budget = {{ device_hours = {}, {more} }}", seconds / 3600.0 + 1e-9)
}

#[test]
fn the_smallest_budget_that_holds_a_campaign_runs_it_as_it_is() {
    // Three baseline seeds, a candidate and three repetitions of it, one after another, the last at its worst.
    assert!((in_turn(1, 200.0) - RESERVATION).abs() < 1e-9);
    let campaign = campaign(&budget(in_turn(7, 200.0), ""));
    let lab = Lab::quiet(&campaign);
    lab.drive_with(&campaign, &Listed(vec![0.2])).0.unwrap();
    let state = lab.check();
    assert!(state.scope.as_ref().unwrap().downscaled.is_empty());
    assert_eq!(state.best().unwrap().index, 0);
    assert_eq!(state.runs.len(), 7);
}

#[test]
fn a_campaign_that_does_not_fit_is_downscaled_in_its_order() {
    let scope = |seconds: f64, order: &str| {
        let campaign = campaign(&budget(seconds, &format!("downscale = [{order}]")));
        let lab = Lab::quiet(&campaign);
        lab.drive_with(&campaign, &Listed(vec![0.2])).0.unwrap();
        let state = lab.check();
        (state.scope.clone(), state)
    };
    let (halved, state) = scope(in_turn(7, 100.0), "\"steps\", \"seeds\"");
    let halved = halved.unwrap();
    assert_eq!(steps(&halved.baseline), 100);
    assert_eq!(
        (halved.downscaled.len(), halved.downscaled[0].from.as_str(), halved.downscaled[0].to.as_str()),
        (1, "200 steps", "100 steps")
    );
    assert!(state.runs.iter().all(|r| steps(&r.experiment) == 100), "candidates are compared at the same length");
    assert!(state.decisions.iter().any(|d| d.text.contains("100 steps instead of 200 steps")));
    // Confirmation seeds go first, then the baseline's.
    let seeds = scope(in_turn(6, 200.0), "\"seeds\", \"steps\"").0.unwrap();
    assert_eq!((seeds.seeds.len(), seeds.confirm, steps(&seeds.baseline)), (3, 2, 200));
    let fewest = scope(in_turn(5, 200.0), "\"seeds\", \"steps\"").0.unwrap();
    assert_eq!((fewest.seeds.len(), fewest.confirm, steps(&fewest.baseline)), (2, 2, 200));
    // All steps that can be given up, then seeds.
    let both = scope(in_turn(6, 25.0), "\"steps\", \"seeds\"").0.unwrap();
    assert_eq!((steps(&both.baseline), both.confirm, both.seeds.len()), (25, 2, 3));
    // The lab's price does not depend on width, so that this order gives up everything and still does not fit.
    let (none, state) = scope(in_turn(7, 25.0), "\"model\"");
    assert_eq!(none, None);
    assert_eq!(state.conclusion.as_ref().unwrap().reason, Reason::BudgetSpent);
    let sentence = state.conclusion.unwrap().sentence;
    assert!(sentence.starts_with("Nothing was run") && sentence.contains("budget.device_hours = 0.007"), "{sentence}");
    assert!(state.runs.is_empty());
}

/// Where a run is so short that it costs its margins, fewer steps save nothing and are not given up.
#[test]
fn steps_that_save_nothing_are_kept() {
    let campaign = campaign(&format!(
        "{}\nbaseline = {{ training = {{ budget = {{ steps = 10 }} }} }}",
        budget(in_turn(6, 10.0), "")
    ));
    assert_eq!(campaign.budget.downscale[0], crate::config::Downscale::Steps);
    let lab = Lab::quiet(&campaign);
    lab.drive_with(&campaign, &Listed(vec![0.2])).0.unwrap();
    let scope = lab.check().scope.unwrap();
    assert_eq!((steps(&scope.baseline), scope.confirm, scope.downscaled.len()), (10, 2, 1));
}

/// A baseline above its own memory limit would be ended for it, every time.
#[test]
fn a_baseline_above_its_own_memory_limit_is_refused() {
    struct Hungry;
    impl crate::campaign::Pricer for Hungry {
        fn price(&self, e: &crate::config::Experiment) -> crate::problem::Result<crate::campaign::Price> {
            let lab = super::lab::LabPricer { most: 1.0, asked: Default::default() };
            Ok(crate::campaign::Price { memory: crate::units::Bytes(9 << 20), ..lab.price(e)? })
        }
    }
    let campaign = campaign("baseline = { resources = { memory_mib = 8 } }");
    let problem = crate::campaign::first_plan(&campaign, &Hungry).unwrap_err().to_string();
    assert!(problem.contains("needs about 9.0 MiB even for one sample at a time, and may use 8 MiB"), "{problem}");
}

#[test]
fn a_candidate_that_does_not_fit_is_downscaled_and_finalists_still_get_their_seeds() {
    // After the baseline (3 x 2 s used) there is room for candidates beside what is kept back for two finalists.
    let campaign = campaign(&format!("{}\nplanner = {{ candidates = 0 }}", budget(61.0, "downscale = [\"steps\"]")));
    let lab = Lab::quiet(&campaign);
    lab.drive_with(&campaign, &Listed((0..60).map(|i| 0.2 + i as f64 * 0.003).collect())).0.unwrap();
    let state = lab.check();
    let conclusion = state.conclusion.clone().unwrap();
    assert_eq!(conclusion.reason, Reason::BudgetSpent);
    let shorter: Vec<u64> = state.runs.iter().map(|r| steps(&r.experiment)).filter(|s| *s != 200).collect();
    assert!(!shorter.is_empty() && shorter.iter().all(|s| [100, 50, 25].contains(s)), "{shorter:?}");
    assert!(state.runs.iter().any(|r| r.downscaled.iter().any(|d| d.to == "100 steps")));
    // Both finalists were confirmed over three fresh seeds: what was kept back for them was there.
    let judged: Vec<_> = state.candidates.iter().filter(|c| matches!(c.standing, Standing::Judged { .. })).collect();
    assert_eq!(judged.len(), 2);
    assert!(judged.iter().all(|c| c.fresh().count() == 3));
    assert!(conclusion.best.is_some());
    assert!(matches!(state.candidates.last().unwrap().standing, Standing::Proposed), "it waits for a larger budget");
}

#[test]
fn the_number_of_runs_is_a_budget_too() {
    let campaign = campaign(&format!("{}\nplanner = {{ candidates = 0 }}", budget(3600.0, "runs = 12")));
    let lab = Lab::quiet(&campaign);
    lab.drive_with(&campaign, &Listed((0..60).map(|i| 0.2 + i as f64 * 0.003).collect())).0.unwrap();
    let state = lab.check();
    assert_eq!(state.conclusion.as_ref().unwrap().reason, Reason::BudgetSpent);
    assert!(state.runs.len() <= 12 && state.runs.len() >= 11, "{}", state.runs.len());
    assert_eq!(state.runs.iter().filter(|r| matches!(r.purpose, Purpose::Confirm { .. })).count(), 6);
}

#[test]
fn dollars_are_a_budget_too() {
    // 2 dollars an hour; a reservation of 10.8 s is 0.6 cents.
    let campaign = campaign(&budget(36000.0, "dollars = 0.02, downscale = []"));
    let lab = Lab::quiet(&campaign);
    let conclusion = lab.conclude(&campaign);
    let state = lab.check();
    assert_eq!(conclusion.reason, Reason::BudgetSpent);
    assert!(state.runs.len() >= 7);
    assert_eq!(state.ledger.budget_dollars(), Some(Dollars { micro: 20_000 }));
    let used: u64 = state.runs.iter().map(|r| r.used().dollars.micro).sum();
    assert_eq!(state.ledger.settled().dollars.micro, used);
}

#[test]
fn what_may_fit_after_a_refund_waits_for_it() {
    // Two at a time, but reservations for one candidate beside what is kept back: never downscaled while one runs.
    let campaign = campaign(&format!("{}\nexecution = {{ parallel = 4 }}", budget(75.0, "")));
    let lab = Lab::quiet(&campaign);
    lab.drive_with(&campaign, &Listed(vec![0.1, 0.2, 0.3])).0.unwrap();
    let state = lab.check();
    assert!(state.runs.iter().all(|r| r.downscaled.is_empty()));
    assert_eq!(state.candidates.len(), 3);
    assert!(state.candidates.iter().all(|c| c.value.is_some()));
}

#[test]
fn a_retry_that_does_not_fit_ends_its_run_and_not_the_campaign() {
    // Every candidate times out and wants twice the time, until that no longer fits.
    let campaign = campaign(&format!("{}\nexecution = {{ retries = 9 }}", budget(100.0, "")));
    let lab = Lab::new(&campaign, |spec, _| match super::lab::learning_rate(&spec.experiment) {
        0.01 => completes(spec),
        _ => Play::ends(spec.wall_seconds, End::TimedOut { limit_seconds: spec.wall_seconds }),
    });
    lab.drive_with(&campaign, &Listed(vec![0.2])).0.unwrap();
    let state = lab.check();
    let Standing::Failed { reason } = &state.candidates[0].standing else { panic!() };
    assert!(reason.contains("does not fit"), "{reason}");
}

#[test]
fn widths_are_halved_where_the_campaign_says_so() {
    struct ByWidth;
    impl crate::campaign::Pricer for ByWidth {
        fn price(&self, e: &crate::config::Experiment) -> crate::problem::Result<crate::campaign::Price> {
            let ModelSpec::Mlp(mlp) = &e.model else { panic!() };
            let seconds = mlp.widths[0] as f64;
            Ok(crate::campaign::Price {
                seconds,
                high_seconds: seconds,
                memory: crate::units::Bytes(1),
                device_memory: None,
                steps: 1,
                data_hash: String::new(),
            })
        }
    }
    let campaign = campaign("");
    let price = crate::campaign::Pricer::price(&ByWidth, &campaign.baseline).unwrap();
    let plan = crate::campaign::downscale::Plan { experiment: campaign.baseline.clone(), price, seeds: 3, confirm: 3 };
    let order = [crate::config::Downscale::Model];
    let fit = |limit: f64| {
        crate::campaign::downscale::fit(plan.clone(), &order, true, &ByWidth, &|p| {
            (p.price.seconds, p.price.seconds <= limit)
        })
        .unwrap()
    };
    let (half, words) = fit(32.0).unwrap();
    assert_eq!((half.price.seconds, words[0].to.as_str()), (32.0, "widths [32, 32]"));
    let (quarter, words) = fit(20.0).unwrap();
    assert_eq!((quarter.price.seconds, words.len(), words[0].from.as_str()), (16.0, 1, "widths [64, 64]"));
    assert!(fit(15.0).is_none(), "at most twice");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Random machines, budgets, places and retries: the account is never over the budget after any event (the witness
    /// looks), every campaign ends, and what is settled is what the attempts used.
    #[test]
    fn no_machine_can_overspend(seed in any::<u64>(), seconds in 20.0..400.0f64, parallel in 1..5usize, retries in 0..4usize, halving in any::<bool>()) {
        let halving = if halving { ", halving = { first = 0.2, factor = 2 }" } else { "" };
        let campaign = campaign(&format!(
            "{}\nexecution = {{ parallel = {parallel}, retries = {retries} }}\nplanner = {{ candidates = 9{halving} }}",
            budget(seconds, "downscale = [\"steps\", \"model\", \"seeds\"]")
        ));
        let lab = Lab::new(&campaign, move |spec, folder| {
            let bits = crate::rng::bits(seed, 99, spec.id.run.0, spec.id.number, 0);
            let time = f64::from(bits % 977) / 80.0;
            match bits % 9 {
                0 => Play::dies(time, 11),
                1 => Play::exits(time, 1),
                2 => Play::ends(time, End::Diverged { reason: "NaN".into() }),
                3 => Play::hangs(),
                4 => Play::completes(time, &[("accuracy", 0.9)]),
                _ => trains(spec, folder),
            }
        });
        let finish = lab.drive(&campaign).unwrap();
        prop_assert!(matches!(finish, Finish::Concluded(_)));
        let state = lab.check();
        prop_assert!(state.ledger.settled().time + state.ledger.refunded().time <= state.runs.iter().flat_map(|r| &r.attempts).map(|a| a.reserved.time).sum::<DeviceTime>());
    }
}
