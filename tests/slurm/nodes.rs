//! What a cluster does with nodes, in ways that its records do not call so, on a real SLURM: a prolog that fails, jobs that leave
//! within their grace when they are preempted, and a site that the cluster no longer takes.

use super::bed::{self, Bed, notes, patiently};
use crate::campaigns::{Field, audit};
use nanoresearch::campaign::{AttemptEnd, Reason, RunResult};
use nanoresearch::failure::Class;
use nanoresearch::ids::{AttemptId, RunId};

const SITE: &str = r#"
name = "testbed"
gpus = 0
poll_seconds = 1.0
warning_seconds = 5
kill_margin_seconds = 65.0
submits_per_minute = 60
environment = ["case $PWD in */attempts/01) export NANORESEARCH_TEST_HOLD=101:../../../../../gate ;; esac"]
[[partitions]]
name = "gpu"
"#;

const CAMPAIGN: &str = r#"
name = "nodes"
question = "Whose fault was it?"
objective.metric = "loss"
budget.device_hours = 5.0
seeds = { baseline = 2, confirm = 2, finalists = 1 }
planner = { kind = "random", seed = 5, candidates = 1 }
execution = { parallel = 2, site = "site.toml" }
"#;

/// A testbed that is made well again, whatever happens.
struct Mended<'a>(&'a Bed);

impl Drop for Mended<'_> {
    fn drop(&mut self) {
        self.0.fault("prolog-works");
        self.0.up("n1,n2");
    }
}

fn ended(field: &Field, id: AttemptId) -> AttemptEnd {
    patiently(120, "the attempt's end", || field.state()?.attempt(id)?.ended.clone())
}

fn first(run: u32) -> AttemptId {
    AttemptId { run: RunId(run), number: 1 }
}

/// Two jobs begin on n1: its prolog fails, and the cluster calls them cancelled. What follows is another node, and not that
/// somebody's wish is respected. Then both are preempted and leave with a checkpoint, which the cluster calls a failure.
#[test]
fn what_records_do_not_call_by_its_name_is_known() {
    let Some(bed) = Bed::find("what_records_do_not_call_by_its_name_is_known") else { return };
    bed.clear();
    let mended = Mended(&bed);
    bed.fault("prolog-fails n1");
    // Nothing begins on the other node before the first one was tried.
    bed.say("scontrol", &["update", "nodename=n2", "state=drain", "reason=test"]);
    let field = bed::field(&bed::small(CAMPAIGN, 300), &SITE.replace("/01)", "/02)"));
    let mut controller = field.run();
    let end = ended(&field, first(1));
    println!("prolog: {:?} {}", end.class, end.evidence.detail);
    assert_eq!(end.class, Class::LaunchFailed, "{}", end.evidence.detail);
    assert_eq!(end.evidence.node.as_deref(), Some("n1"));
    assert!(end.evidence.detail.contains("prolog"), "{}", end.evidence.detail);
    drop(mended);

    // The next attempts keep away from n1, and are at work on n2 when somebody more urgent comes there.
    let mended = Mended(&bed);
    let second = AttemptId { run: RunId(1), number: 2 };
    patiently(120, "a worker", || field.living(&field.state()?).iter().any(|(id, _)| *id == second).then_some(()));
    let checkpoint = field.folder().join("runs/0001/attempts/02/checkpoints/step-00000100");
    patiently(60, "its checkpoint", || checkpoint.exists().then_some(()));
    let urgent = ["--partition=urgent", "--nodelist=n2", "--cpus-per-task=4", "--output=/dev/null", "--wrap=sleep 3"];
    bed.say("sbatch", &urgent);
    let end = ended(&field, second);
    println!("preempted: {:?} {}", end.class, end.evidence.detail);
    assert_eq!(end.class, Class::Preempted, "{}", end.evidence.detail);
    assert!(end.evidence.detail.contains("preempted at step 101, with a checkpoint"), "{}", end.evidence.detail);
    let job = end.evidence.job.unwrap();
    assert_eq!((job.state.as_str(), job.exit.as_deref(), job.node.as_deref()), ("FAILED", Some("75:0"), Some("n2")));

    std::fs::write(field.folder().with_file_name("gate"), "").unwrap();
    let status = patiently(300, "the campaign to end", || controller.ended());
    assert_eq!(status.code(), Some(0), "{}", controller.said());
    let state = field.state().unwrap();
    assert!(state.runs.iter().all(|run| matches!(run.result, Some(RunResult::Finished { .. }))));
    assert_eq!(bed.left(), "", "jobs are left");
    audit(&field);
    drop(mended);
}

/// A site of which the cluster takes nothing stops the campaign with what to mend, burns no candidate, and goes on.
#[test]
fn a_site_that_the_cluster_does_not_take_costs_no_run() {
    let Some(bed) = Bed::find("a_site_that_the_cluster_does_not_take_costs_no_run") else { return };
    bed.clear();
    let plain = SITE.replace("/01)", "/none)");
    let field = bed::field(&bed::small(CAMPAIGN, 300), &plain.replace("gpus = 0", "gpus = 0\nconstraint = \"nosuch\""));
    let said = field.say(&["run", "campaign.toml", "--out", "c"]);
    assert_eq!(said.code, 4, "{}", said.stderr);
    assert!(said.stdout.contains("Invalid feature specification"), "{}", said.stdout);
    assert!(
        said.stdout.contains("mend c/site.toml") && said.stdout.contains("nanoresearch resume c"),
        "{}",
        said.stdout
    );
    let state = field.state().unwrap();
    assert_eq!(state.conclusion.as_ref().map(|c| c.reason), Some(Reason::Missing));
    assert!(state.runs.iter().all(|run| run.result.is_none()), "no run is given up for it");
    assert!(notes(&field).iter().all(|(_, note)| note["job"].is_null()));
    std::fs::write(field.folder().join("site.toml"), plain).unwrap();
    let said = field.say(&["resume", "c"]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    let state = field.state().unwrap();
    assert!(state.runs.iter().all(|run| matches!(run.result, Some(RunResult::Finished { .. }))));
    audit(&field);
}
