//! What people do to jobs behind a controller's back, on a real SLURM: an administrator requeues one, somebody cancels one,
//! one is held and let go.

use super::bed::{self, Bed, notes, patiently};
use crate::campaigns::audit;
use nanoresearch::campaign::{AttemptEnd, RunResult, attempt_path};
use nanoresearch::failure::Class;
use nanoresearch::ids::AttemptId;

const SITE: &str = r#"
name = "testbed"
gpus = 0
poll_seconds = 1.0
warning_seconds = 5
kill_margin_seconds = 35.0
submits_per_minute = 60
environment = ["case $PWD in */attempts/01) export NANORESEARCH_TEST_HOLD=101:../../../../../gate ;; esac"]
[[partitions]]
name = "gpu"
"#;

const CAMPAIGN: &str = r#"
name = "people"
question = "Is what people do to jobs respected?"
objective.metric = "loss"
budget.device_hours = 5.0
seeds = { baseline = 3, confirm = 2, finalists = 1 }
planner = { kind = "random", seed = 5, candidates = 1 }
execution = { parallel = 3, site = "site.toml" }
"#;

/// Nodes that take no new jobs as long as this lives.
struct Drained<'a>(&'a Bed);

impl<'a> Drained<'a> {
    fn now(bed: &'a Bed) -> Self {
        bed.say("scontrol", &["update", "nodename=n1,n2", "state=drain", "reason=test"]);
        Drained(bed)
    }
}

impl Drop for Drained<'_> {
    fn drop(&mut self) {
        self.0.up("n1,n2");
    }
}

#[test]
fn what_people_do_to_jobs_is_respected() {
    let Some(bed) = Bed::find("what_people_do_to_jobs_is_respected") else { return };
    bed.clear();
    let field = bed::field(&bed::small(CAMPAIGN, 600), SITE);
    let mut controller = field.run();
    let three = patiently(120, "three workers", || {
        let state = field.state()?;
        let held = field
            .living(&state)
            .into_iter()
            .filter(|(id, _)| field.folder().join(attempt_path(*id)).join("checkpoints/step-00000100").exists());
        let held: Vec<AttemptId> = held.map(|(id, _)| id).collect();
        (held.len() == 3).then_some(held)
    });
    let job_of = |id: AttemptId| {
        let folder = field.folder().join(attempt_path(id));
        patiently(60, "the job's id", || {
            notes(&field).into_iter().find(|(f, _)| *f == folder).and_then(|(_, note)| note["job"].as_u64())
        })
    };
    let end_of = |id: AttemptId| -> AttemptEnd {
        patiently(120, "the attempt's end", || field.state()?.attempt(id)?.ended.clone())
    };

    // Attempts are submitted with --no-requeue; whoever insists gets the job started again, and the worker in it leaves, since
    // its attempt has been claimed. The first one had time for a checkpoint, from which another attempt goes on.
    let job = job_of(three[0]).to_string();
    bed.say("scontrol", &["update", &format!("jobid={job}"), "requeue=1"]);
    bed.say("scontrol", &["requeue", &job]);
    let end = end_of(three[0]);
    println!("requeued: {:?} {:?}", end.class, end.evidence.job);
    assert_eq!(end.class, Class::Checkpointed);
    let own = end.evidence.job.unwrap();
    assert_eq!((own.state.as_str(), own.exit.as_deref()), ("FAILED", Some("1:0")), "the second execution's end");
    let record = bed.record(own.id.unwrap());
    let held = (end.used.time + end.overrun).seconds();
    assert!((held - record.seconds as f64).abs() <= 2.0, "{held} s settled of both executions, {record:?}");

    // Somebody cancels one: no other attempt is made of it.
    let job = job_of(three[1]).to_string();
    bed.say("scancel", &[&job]);
    let end = end_of(three[1]);
    println!("cancelled: {:?} {:?}", end.class, end.evidence.job);
    assert_eq!(end.class, Class::Cancelled);

    // The next job cannot start, and somebody holds it, looks, and lets it go.
    let drained = Drained::now(&bed);
    std::fs::write(field.folder().with_file_name("gate"), "").unwrap();
    let next = patiently(120, "a job that waits", || {
        let (_, note) = notes(&field).into_iter().find(|(_, note)| {
            note["state"].as_str().is_some_and(|s| s.starts_with("PENDING")) && note["job"].is_u64()
        })?;
        note["job"].as_u64().map(|id| id.to_string())
    });
    bed.say("scontrol", &["hold", &next]);
    patiently(60, "status to show the hold", || {
        field.say(&["status", "--in", "c"]).stdout.contains("PENDING (JobHeldAdmin)").then_some(())
    });
    bed.say("scontrol", &["release", &next]);
    drop(drained);

    let status = patiently(300, "the campaign to end", || controller.ended());
    assert_eq!(status.code(), Some(0), "{}", controller.said());
    let state = field.state().unwrap();
    for run in &state.runs {
        let respected = run.id == three[1].run;
        match &run.result {
            Some(RunResult::Failed { reason }) => {
                assert!(respected && reason.contains("that is respected"), "{reason}")
            }
            Some(RunResult::Finished { .. }) => assert!(!respected),
            None => panic!("run {} has no result", run.id),
        }
    }
    let incidents: Vec<String> = state
        .runs
        .iter()
        .flat_map(|r| &r.attempts)
        .filter_map(|a| a.ended.as_ref()?.evidence.job.as_ref())
        .flat_map(|job| job.incidents.clone())
        .collect();
    let said = |words: &str| incidents.iter().any(|i| i.contains(words));
    assert!(said("held: JobHeldAdmin") && said("let go after"), "{incidents:?}");
    assert!(said("somebody requeued it: SLURM began it 2 times"), "{incidents:?}");
    assert_eq!(bed.left(), "", "jobs are left");
    audit(&field);
}
