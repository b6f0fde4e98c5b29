//! Jobs that are stopped at a rung of successive halving on the controller's word, on a real SLURM.

use super::bed::{self, Bed, patiently};
use nanoresearch::campaign::{Attempt, Event, State, attempt_path};
use nanoresearch::failure::Class;
use nanoresearch::record::{CHECKPOINTS_FOLDER, list_checkpoints};
use nanoresearch::units::Dollars;

/// Candidates' first attempts wait beyond their first rung, at step 120 of 360, until they are let go one by one: so the word
/// to stop always finds them at work.
const SITE: &str = r#"
name = "testbed"
gpus = 0
poll_seconds = 1.0
warning_seconds = 5
kill_margin_seconds = 35.0
submits_per_minute = 60
environment = ["case $PWD in */000[12]/*) ;; */attempts/01) export NANORESEARCH_TEST_HOLD=130:gate:../../../../../gate ;; esac"]
[[partitions]]
name = "gpu"
price = 3.6
[[partitions]]
name = "urgent"
price = 36.0
"#;

const CAMPAIGN: &str = r#"
name = "rungs"
question = "Are those behind stopped?"
objective.metric = "loss"
budget.device_hours = 20.0
seeds = { baseline = 2, confirm = 2, finalists = 1 }
execution = { parallel = 2, retries = 2, site = "site.toml" }

# The first is the best by far, and each of the others worse than the one before: whoever comes to the rung a little sooner or
# later, two of them at least are behind.
[planner]
kind = "manual"
halving = { first = 0.3334, factor = 3, running = true }
list = [
  { "optimizer.learning_rate" = 2e-3 },
  { "optimizer.learning_rate" = 1e-5 },
  { "optimizer.learning_rate" = 8e-6 },
  { "optimizer.learning_rate" = 6e-6 },
  { "optimizer.learning_rate" = 4e-6 },
]

[space]
"optimizer.learning_rate" = { type = "log-float", low = 1e-6, high = 1e-2 }

[baseline]
data.kind = "digits"
model = { kind = "mlp", widths = [32] }
optimizer = { kind = "adamw", learning_rate = 1e-3 }
training = { batch_size = 64, budget = { steps = 360 } }
evaluation = { every = 60, checkpoint_every = 60 }
resources = { threads = 1, wall_seconds = 600.0 }
"#;

#[test]
fn jobs_are_stopped_at_a_rung_on_the_controllers_word() {
    let Some(bed) = Bed::find("jobs_are_stopped_at_a_rung_on_the_controllers_word") else { return };
    bed.clear();
    let field = bed::field(CAMPAIGN, SITE);
    let mut controller = field.run();
    // Whoever was judged to train on is let go (and who has no rung); the others are held, and only the word to stop can end
    // their jobs. A controller that dies in between changes nothing.
    let let_go = |state: &State| {
        for run in state.runs.iter().filter(|r| r.judged > 0 || r.rungs.is_empty()) {
            for attempt in run.attempts.iter().filter(|a| a.ended.is_none() && !a.stopping) {
                let folder = field.folder().join(attempt_path(attempt.id));
                if folder.exists() {
                    std::fs::write(folder.join("gate"), "").unwrap();
                }
            }
        }
    };
    let first = patiently(120, "a run that is to stop", || {
        let state = field.state()?;
        let_go(&state);
        state.runs.iter().flat_map(|r| &r.attempts).find(|a| a.stopping).map(|a| a.id)
    });
    assert!(controller.kill(), "{}", controller.said());
    println!("attempt {first} is to stop; its controller is killed");
    controller = field.resume();
    let status = patiently(300, "the campaign to end", || {
        field.state().inspect(let_go);
        controller.ended()
    });
    assert_eq!(status.code(), Some(0), "{}", controller.said());
    let state = field.state().unwrap();
    let stopped: Vec<&Attempt> = state.runs.iter().flat_map(|r| &r.attempts).filter(|a| a.stopping).collect();
    assert!(stopped.len() >= 2, "{} of 5 candidates were stopped", stopped.len());
    for attempt in stopped {
        let end = attempt.ended.as_ref().unwrap();
        let job = end.evidence.job.as_ref().unwrap();
        println!("{}  {:?} at step {}  {}", attempt.id, end.class, end.evidence.step, job.words());
        assert_eq!(end.class, Class::Checkpointed);
        // It was at step 130, has its checkpoint there, and holds its node no more.
        assert_eq!(end.evidence.step, 130);
        let kept = list_checkpoints(&field.folder().join(attempt_path(attempt.id)).join(CHECKPOINTS_FOLDER)).unwrap();
        assert_eq!(kept.last().unwrap().0, 130);
        let record = bed.record(job.id.unwrap());
        let held = (end.used.time + end.overrun).seconds();
        assert!((held - record.seconds as f64).abs() <= 2.0, "{held} s settled, {record:?}");
        // What it held costs what the partition costs where it was; reserved was the whole run, at the dearest.
        assert_eq!(end.used.dollars, Dollars::of(end.used.time.hours() * 3.6));
        assert_eq!(attempt.reserved.dollars, Dollars::of(attempt.reserved.time.hours() * 36.0));
        assert_eq!(job.partition.as_deref(), Some("gpu"));
        assert!(attempt.reserved.time.seconds() > 600.0 && held < 300.0, "{held} s of {}", attempt.reserved.time);
    }
    // The rest was given back: nothing is reserved any more, and every millisecond that was is settled or refunded.
    let ledger = &state.ledger;
    let reserved = state.runs.iter().flat_map(|r| &r.attempts).map(|a| a.reserved.time).sum();
    assert_eq!(ledger.reserved().time.ms, 0);
    assert_eq!(ledger.settled().time + ledger.refunded().time, reserved);
    let judged = |stop: bool| {
        let of = |e: &Event| matches!(e, Event::RungJudged { stop: s, .. } if *s == stop);
        field.events().iter().filter(|(_, e)| of(e)).count()
    };
    assert!(judged(true) >= 2 && judged(false) >= 1);
    let status = field.say(&["status", "--in", "c"]).stdout;
    assert!(status.contains("places    gpu: ") && status.contains(", $"), "{status}");
    assert_eq!(bed.left(), "", "jobs are left");
    field.nobody_is_left();
}
