//! Real campaigns whose controller is killed at any moment and resumed: nothing lost, nothing twice, the same results.

use super::campaigns::{Audit, Field, audit, results, until};
use nanoresearch::campaign::{Event, State};
use nanoresearch::ids::RunKey;
use nanoresearch::planner::Assignment;
use nanoresearch::rng::{Sequence, Stream};
use std::time::{Duration, Instant};

/// Kills of each of the two tests, over several campaigns.
const KILLS: usize = 25;
/// Kills of one campaign at most, so that there are several.
const KILLS_EACH: usize = 9;

/// Ten or so short runs. The budget is ample, so that what a killed controller costs in time decides nothing.
fn config(parallel: usize, planner: &str) -> String {
    format!(
        r#"
name = "killed"
question = "Does the campaign end the same whenever its controller is killed?"
objective.metric = "loss"
budget = {{ device_hours = 2.0, dollars_per_device_hour = 1.5, dollars = 3.0 }}
seeds = {{ baseline = 2, confirm = 2, finalists = 1 }}
planner = {{ kind = "{planner}", seed = 5, startup = 3, candidates = 6 }}
execution = {{ parallel = {parallel}, kill_margin_seconds = 5 }}

[space]
"optimizer.learning_rate" = {{ type = "log-float", low = 1e-4, high = 3e-2 }}
"model.dropout" = {{ type = "float", low = 0.0, high = 0.4 }}

[baseline]
data.kind = "digits"
model = {{ kind = "mlp", widths = [32] }}
optimizer = {{ kind = "adamw", learning_rate = 1e-3 }}
training = {{ batch_size = 32, budget = {{ steps = 1200 }} }}
evaluation = {{ checkpoint_every = 120 }}
resources.wall_seconds = 100
"#
    )
}

/// Kills that hit, and what was going on then.
#[derive(Debug, Default)]
struct Kills {
    all: usize,
    /// While a worker was at work.
    live: usize,
    /// Before the journal had its first event.
    before_the_first_event: usize,
}

/// Drives a campaign to its conclusion, its controller being killed up to `limit` times.
fn disturbed(field: &Field, random: &mut Sequence, limit: usize, kills: &mut Kills) {
    let mut left = limit;
    loop {
        let before = field.lines();
        let mut controller = if before == 0 { field.run() } else { field.resume() };
        if left == 0 {
            controller.succeeds();
            return;
        }
        // A few events on, whatever the machine's speed, and then at any moment of the next ones.
        let target = before + random.below(9) as usize;
        until("the controller to do something", || {
            (field.lines() >= target || controller.ended().is_some()).then_some(())
        });
        // Every other kill comes while a worker is at work, however short runs are on this machine.
        let at_work = || field.state().is_some_and(|state| !field.living(&state).is_empty());
        let busy = left.is_multiple_of(2);
        if busy {
            until("a worker to be at work", || (at_work() || controller.ended().is_some()).then_some(()));
        }
        std::thread::sleep(Duration::from_secs_f64(if busy { 0.04 } else { 0.12 } * random.uniform()));
        if !controller.kill() {
            // It was over before the kill.
            controller.succeeds();
            return;
        }
        left -= 1;
        kills.all += 1;
        match field.state() {
            Some(state) => kills.live += usize::from(!field.living(&state).is_empty()),
            None => kills.before_the_first_event += 1,
        }
    }
}

/// The order in which a campaign proposed and planned.
fn sequence(field: &Field) -> (Vec<(u64, Assignment, usize)>, Vec<RunKey>) {
    let (mut proposals, mut runs) = (Vec::new(), Vec::new());
    for (_, event) in field.events() {
        match event {
            Event::ProposalMade { index, assignment, observed, .. } => proposals.push((index, assignment, observed)),
            Event::RunPlanned { key, .. } => runs.push(key),
            _ => {}
        }
    }
    (proposals, runs)
}

fn undisturbed(config: &str) -> (Field, State) {
    let field = Field::new(config);
    field.run().succeeds();
    let counted = audit(&field);
    assert_eq!((counted.controllers, counted.attempts), (1, counted.runs), "nothing disturbed it");
    let state = field.state().unwrap();
    assert!((8..=10).contains(&state.runs.len()), "{} runs", state.runs.len());
    (field, state)
}

/// Kills controllers [`KILLS`] times; `compare` looks at each concluded campaign.
fn kill_and_compare(config: &str, seed: u64, compare: impl Fn(&Field, &State)) {
    let started = Instant::now();
    let mut random = Sequence::new(seed, Stream::Data, 0, 0);
    let mut kills = Kills::default();
    let mut total = Audit::default();
    let mut campaigns = 0;
    while kills.all < KILLS {
        let field = Field::new(config);
        disturbed(&field, &mut random, KILLS_EACH.min(KILLS - kills.all), &mut kills);
        let counted = audit(&field);
        compare(&field, &field.state().unwrap());
        campaigns += 1;
        total.runs += counted.runs;
        total.attempts += counted.attempts;
        total.controllers += counted.controllers;
        total.adopted_live += counted.adopted_live;
        total.found_ended += counted.found_ended;
        total.abandoned += counted.abandoned;
    }
    println!("{campaigns} campaigns in {:.1} s, {kills:?}, {total:?}", started.elapsed().as_secs_f64());
    assert!(campaigns >= 2);
    assert!(kills.live >= KILLS / 4, "only {} kills while a worker was at work", kills.live);
    assert!(total.adopted_live >= 3, "only {} attempts were adopted while they ran", total.adopted_live);
}

/// One attempt at a time: the same proposals and the same runs in the same order, the same numbers, the same bits. The
/// planner looks at results, so a result lost or seen twice would show.
#[test]
fn one_at_a_time_the_killed_campaign_is_the_undisturbed_one() {
    let config = config(1, "tpe");
    let (whole, state) = undisturbed(&config);
    let (expected, order) = (results(&state), sequence(&whole));
    kill_and_compare(&config, 1, |field, state| {
        assert_eq!(sequence(field), order);
        assert_eq!(results(state), expected);
        let (ours, theirs) = (state.conclusion.as_ref().unwrap(), whole.state().unwrap().conclusion.unwrap());
        assert_eq!((ours.reason, ours.best), (theirs.reason, theirs.best));
    });
}

/// Two attempts at a time: which ends first is up to the machine, and nothing depends on it.
#[test]
fn two_at_a_time_the_killed_campaign_is_the_undisturbed_one() {
    let config = config(2, "tpe");
    let (whole, state) = undisturbed(&config);
    let (expected, order) = (results(&state), sequence(&whole));
    kill_and_compare(&config, 2, |field, state| {
        assert_eq!(sequence(field), order);
        assert_eq!(results(state), expected);
    });
}
