//! Controllers that do not stay: as jobs of their own, one step at a time, and one that ends everything, on a real SLURM.

use super::bed::{self, Bed, patiently};
use crate::campaigns::{Field, audit};
use nanoresearch::campaign::{Event, Reason, State};

const SITE: &str = r#"
name = "testbed"
gpus = 0
poll_seconds = 1.0
warning_seconds = 5
kill_margin_seconds = 35.0
submits_per_minute = 60
environment = ["HOLD"]
[controller]
hours = 0.2
memory_mib = 300
[[partitions]]
name = "gpu"
"#;

const CAMPAIGN: &str = r#"
name = "controllers"
question = "Who drives?"
objective.metric = "loss"
budget.device_hours = 5.0
seeds = { baseline = 2, confirm = 2, finalists = 1 }
planner = { kind = "random", seed = 5, candidates = 2 }
execution = { parallel = 2, site = "site.toml" }
"#;

fn field(hold: &str) -> Field {
    bed::field(&bed::small(CAMPAIGN, 300), &SITE.replace("HOLD", hold))
}

fn reason(state: &State) -> Option<Reason> {
    state.conclusion.as_ref().map(|c| c.reason)
}

/// Two jobs train and others would follow; a person cancels: an empty queue.
#[test]
fn cancel_leaves_no_job() {
    let Some(bed) = Bed::find("cancel_leaves_no_job") else { return };
    bed.clear();
    let field = field("export NANORESEARCH_TEST_HOLD=101:never");
    let mut controller = field.run();
    patiently(120, "two workers", || (field.living(&field.state()?).len() == 2).then_some(()));
    assert_eq!(field.say(&["cancel", "--in", "c"]).code, 0);
    patiently(120, "the campaign to end", || controller.ended());
    let state = field.state().unwrap();
    assert_eq!(reason(&state), Some(Reason::Cancelled), "{}", controller.said());
    assert_eq!(bed.left(), "", "jobs are left");
    field.nobody_is_left();
}

/// Steps as cron takes them: each leaves, jobs go on, and together they come to the end that a controller comes to.
#[test]
fn steps_come_to_the_end() {
    let Some(bed) = Bed::find("steps_come_to_the_end") else { return };
    bed.clear();
    // Jobs wait in the middle of their training until two steps have left them at it, however fast the machine is.
    let field = field("export NANORESEARCH_TEST_HOLD=101:../../../../../gate");
    assert_eq!(field.say(&["run", "campaign.toml", "--out", "c", "--hold"]).code, 0);
    let mut steps = 0;
    patiently(400, "the campaign to end", || {
        steps += 1;
        let said = field.say(&["tick", "c", "--quiet"]);
        assert_eq!(said.code, 0, "{}", said.stderr);
        if steps == 2 {
            assert_eq!(reason(&field.state()?), None, "two steps, and nobody was let go yet");
            std::fs::write(field.folder().with_file_name("gate"), "").unwrap();
        }
        std::thread::sleep(std::time::Duration::from_secs(1));
        reason(&field.state()?)
    });
    println!("{steps} steps");
    assert!(steps > 2);
    assert_eq!(bed.left(), "", "jobs are left");
    audit(&field);
}

/// The controller is a job, is followed by another one when it dies, and calls its successor off at the end.
#[test]
fn a_controller_that_is_a_job_is_followed_and_leaves_nobody() {
    let Some(bed) = Bed::find("a_controller_that_is_a_job_is_followed_and_leaves_nobody") else { return };
    bed.clear();
    let field = field("export NANORESEARCH_TEST_HOLD=101:../../../../../gate");
    let said = field.say(&["run", "campaign.toml", "--out", "c", "--controller-as-job"]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    patiently(120, "two workers", || (field.living(&field.state()?).len() == 2).then_some(()));
    let controllers = || bed.say("squeue", &["-h", "-t", "RUNNING,PENDING", "-o", "%i %T %j"]);
    let own = |state: &str| {
        let lines = controllers();
        let line = lines.lines().find(|l| l.contains("nr-controller-") && l.contains(state))?.to_string();
        line.split(' ').next().map(str::to_string)
    };
    assert!(own("RUNNING").is_some());
    let second = patiently(60, "its successor", || own("PENDING"));
    // It is killed, and its job ends; the next one, which waits half a minute at least, takes over. (To `scancel` it would be
    // a person's word: then nobody follows.)
    let owner = nanoresearch::journal::owner(&field.folder()).unwrap().expect("somebody drives");
    owner.process.signal(libc::SIGKILL).unwrap();
    patiently(120, "the successor to take over", || {
        let started = |(_, e): &(_, Event)| matches!(e, Event::ControllerStarted { .. });
        (field.events().iter().filter(|e| started(e)).count() == 2).then_some(())
    });
    assert_eq!(own("RUNNING"), Some(second));
    std::fs::write(field.folder().with_file_name("gate"), "").unwrap();
    patiently(300, "the campaign to end", || reason(&field.state()?));
    patiently(60, "the queue to be empty", || bed.left().is_empty().then_some(()));
    audit(&field);
}
