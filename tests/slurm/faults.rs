//! A campaign over both nodes to which everything happens that can be made to happen on a real SLURM, and which ends as if
//! nothing had: every run finished, the same bits, every second accounted for, no job left.

use super::bed::{self, Bed, notes, patiently};
use crate::campaigns::{Controller, Field, audit, weights};
use nanoresearch::campaign::{Event, Run, RunResult, attempt_path, run_path};
use nanoresearch::failure::Class;
use nanoresearch::ids::AttemptId;
use nanoresearch::journal;
use nanoresearch::record::{CHECKPOINTS_FOLDER, Claim, JobEnd, Outcome, Witness, list_checkpoints};
use nanoresearch::sys::process::ProcessId;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Instant;

/// A hog of memory joins the job of whoever finds the file: a leak beside the worker, which only SLURM sees. First attempts
/// wait in the middle of their training until the gate is open, so that nothing below depends on the machine's speed.
const SITE: &str = r#"
name = "testbed"
gpus = 0
cpus = 2
memory_mib = 300
poll_seconds = 1.0
warning_seconds = 5
kill_margin_seconds = 35.0
submits_per_minute = 60
environment = [
  "if mv ../../../../../hog ../../../../../hog.taken 2> /dev/null; then (head -c 600M /dev/zero | tail -c 600M | sleep 600) & fi",
  "case $PWD in */attempts/01) export NANORESEARCH_TEST_HOLD=301:../../../../../gate ;; esac",
]
[[partitions]]
name = "gpu"
"#;

/// Eight seeds of the baseline are eight first attempts: what happens to them below takes seven at most.
const CAMPAIGN: &str = r#"
name = "faults"
question = "Does a campaign end the same whatever its cluster does to it?"
objective.metric = "loss"
budget.device_hours = 20.0
seeds = { baseline = 8, confirm = 2, finalists = 1 }
planner = { kind = "random", seed = 5, candidates = 5 }
execution = { parallel = 4, retries = 6, site = "site.toml" }

[space]
"optimizer.learning_rate" = { type = "log-float", low = 1e-4, high = 1e-2 }
"model.dropout" = { type = "float", low = 0.0, high = 0.4 }

[baseline]
data.kind = "digits"
model = { kind = "mlp", widths = [64, 64] }
optimizer = { kind = "adamw", learning_rate = 1e-3 }
training = { batch_size = 64, budget = { steps = 1200 } }
evaluation = { checkpoint_every = 100 }
resources = { threads = 1, wall_seconds = 600.0 }
"#;

#[test]
fn a_campaign_survives_its_cluster() {
    let Some(bed) = Bed::find("a_campaign_survives_its_cluster") else { return };
    let began = Instant::now();
    let say = |what: &str| println!("{:5.0} s  {what}", began.elapsed().as_secs_f64());
    bed.clear();
    bed.up("n1");
    bed.up("n2");
    let field = bed::field(CAMPAIGN, SITE);
    let beside = |name: &str| field.folder().with_file_name(name);
    // Memory: the first job to begin finds the hog.
    std::fs::write(beside("hog"), "").unwrap();

    // slurmctld is frozen when the first script is handed over: sbatch says that it timed out, and there will be a job. The
    // controller dies before it can find that out, with the next sbatch under way.
    let frozen = Frozen::now(&bed);
    let mut controller = field.run();
    let lost = patiently(120, "a lost answer of sbatch", || {
        let lost = |n: &serde_json::Value| n["incidents"].to_string().contains("answer was lost");
        notes(&field).into_iter().find(|(_, note)| lost(note)).map(|(folder, _)| folder)
    });
    patiently(60, "the next sbatch", || submitting(&field).then_some(()));
    assert!(controller.kill(), "{}", controller.said());
    drop(frozen);
    say(&format!("{} lost its answer; controller killed, slurmctld thawed", short(&lost)));
    controller = field.resume();
    patiently(120, "the lost job to be found", || {
        notes(&field).iter().any(|(folder, n)| *folder == lost && n["job"].is_u64()).then_some(())
    });
    say("found by its name");
    ended(&field, "the end for memory", |_, class, _| class == Class::OutOfMemory);
    say("a job was ended for memory");

    // A worker hangs until its time limit ends it, which an administrator has brought down to the shortest there is;
    // meanwhile other things happen on the other node.
    let (hung, process) = held(&field, "a worker to hang", |_| true);
    let (spared, job) = (node_of(&bed, &field, hung), job_of(&field, hung));
    hang(process);
    bed.say("scontrol", &["update", &format!("jobid={job}"), "timelimit=1"]);
    say(&format!("attempt {hung} on {spared} hangs"));
    let elsewhere = |id: AttemptId| id != hung && node_of(&bed, &field, id) != spared;

    // Somebody more important needs the other node, where one worker hangs, and is killed; others leave with a checkpoint.
    let (victim, process) = held(&field, "a worker to preempt", elsewhere);
    let node = node_of(&bed, &field, victim);
    hang(process);
    let script = ["--partition=urgent", "--exclusive", "--output=/dev/null", "--wrap=sleep 3", "--job-name=urgent"];
    let there = format!("--nodelist={node}");
    bed.say("sbatch", &[script.as_slice(), &[&there]].concat());
    say(&format!("attempt {victim} on {node} hangs and is preempted"));
    ended(&field, "a preemption", |_, _, job| job.state == "PREEMPTED");
    say("preempted");
    assert!(controller.kill(), "{}", controller.said());
    controller = field.resume();
    say("controller killed");

    // A node goes down under its jobs.
    let (lost, _) = held(&field, "a worker on the other node", elsewhere);
    let node = node_of(&bed, &field, lost);
    bed.down(&node);
    say(&format!("{node} is down, and attempt {lost} with it"));
    ended(&field, "a failed node", |_, class, job| class == Class::NodeFailed && job.state == "NODE_FAIL");
    bed.up(&node);
    say(&format!("{node} is back"));

    // Accounting goes away before a job ends, and so does the controller after it.
    let (unseen, _) = held(&field, "a worker to end without accounting", |id| id != hung);
    bed.fault("dbd-stop");
    std::fs::write(beside("gate"), "").unwrap();
    say(&format!("slurmdbd stopped, and then everybody let go, {unseen} among them"));
    patiently(120, "an attempt to end without accounting", || {
        field.state()?.attempt(unseen)?.ended.is_some().then_some(())
    });
    assert!(controller.kill(), "{}", controller.said());
    controller = field.resume();
    say("controller killed");
    bed.fault("dbd-start");
    say("slurmdbd is back");

    finish(&field, &mut controller);
    say("the campaign is over");
    check_events(field.events().into_iter().map(|(_, event)| event));
    check_account(&bed, &field);
    assert_eq!(bed.left(), "", "jobs are left");
    audit(&field);
    keep(&field);
    check_bits(&field);
    say("the same bits as undisturbed runs");
}

/// A slurmctld that does not answer as long as this lives.
struct Frozen<'a>(&'a Bed);

impl<'a> Frozen<'a> {
    fn now(bed: &'a Bed) -> Self {
        bed.fault("freeze");
        Frozen(bed)
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        self.0.fault("thaw");
    }
}

/// The campaign that is kept in docs is one to which all of this happened.
#[test]
fn the_committed_campaign_has_every_fault() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/recovery-campaign");
    let events = journal::read(&folder).unwrap();
    check_events(events.iter().map(|e| Event::decode(&e.kind, e.version, &e.data).unwrap()));
    let state = nanoresearch::campaign::load(&folder).unwrap();
    assert!(state.runs.len() >= 12);
    assert!(state.runs.iter().all(|run| matches!(run.result, Some(RunResult::Finished { .. }))));
    // Accounting's own words, kept beside it: the ledger has the same seconds.
    let records = std::fs::read_to_string(folder.join("sacct.txt")).unwrap();
    let theirs: BTreeMap<&str, f64> = records
        .lines()
        .skip(1)
        .map(|line| line.split('|').collect::<Vec<_>>())
        .map(|fields| (fields[0], fields[7].parse().unwrap()))
        .collect();
    for attempt in state.runs.iter().flat_map(|r| &r.attempts) {
        let end = attempt.ended.as_ref().unwrap();
        let Some(job) = end.evidence.job.as_ref() else { continue };
        let id = job.id.unwrap().to_string();
        let held = (end.used.time + end.overrun).seconds();
        assert!((held - theirs[id.as_str()]).abs() <= 2.0, "attempt {}: {held} s settled", attempt.id);
    }
}

/// Waits for the end of the campaign, which is a success.
fn finish(field: &Field, controller: &mut Controller) {
    let status = patiently(400, "the campaign to end", || controller.ended());
    assert_eq!(status.code(), Some(0), "{}", controller.said());
    let state = field.state().unwrap();
    assert!(state.runs.len() >= 12, "{} runs", state.runs.len());
    for run in &state.runs {
        assert!(matches!(run.result, Some(RunResult::Finished { .. })), "run {}: {:?}", run.id, run.result);
    }
}

/// Everything that was done to it is in its journal, with what was concluded from it.
fn check_events(events: impl Iterator<Item = Event>) {
    let (mut controllers, mut whys) = (0, BTreeMap::new());
    let mut ends = Vec::new();
    for event in events {
        match event {
            Event::ControllerStarted { .. } => controllers += 1,
            Event::AttemptEnded { id, class, evidence, .. } => {
                // One that was reserved when its controller was killed never became a job.
                let Some(job) = evidence.job.map(|job| *job) else {
                    println!("  {id}  {class:?}  no job");
                    assert_eq!(class, Class::NeverStarted, "attempt {id} was no job");
                    continue;
                };
                println!("  {id}  {class:?}  {} {:?}", job.words(), job.incidents);
                ends.push((id, class, job));
            }
            Event::RecoveryDecided { id, why, .. } => {
                whys.insert(id, why);
            }
            _ => {}
        }
    }
    assert_eq!(controllers, 4, "three were killed");
    let why = |found: &dyn Fn(&Class, &JobEnd) -> bool| {
        let (id, ..) = ends.iter().find(|(_, class, job)| found(class, job)).expect("it happened");
        whys[id].clone()
    };
    let memory = why(&|class, job| *class == Class::OutOfMemory && job.exit.as_deref() != Some("0:0"));
    assert!(memory.contains("of memory where it had 300"), "{memory}");
    let time = why(&|class, job| *class == Class::TimedOut && job.state == "TIMEOUT");
    assert!(time.contains("s a step call for"), "{time}");
    let preempted = why(&|class, job| *class == Class::Preempted && job.state == "PREEMPTED");
    assert!(preempted.contains("again, from"), "{preempted}");
    let node = why(&|class, job| *class == Class::NodeFailed && job.state == "NODE_FAIL");
    assert!(node.contains("on another node than n"), "{node}");
    let said = |words: &str| ends.iter().any(|(.., job)| job.incidents.iter().any(|i| i.contains(words)));
    assert!(said("sbatch's answer was lost") && said("found in the queue by its name"));
    assert!(said("accounting did not answer"));
    let nodes: BTreeSet<&str> = ends.iter().filter_map(|(.., job)| job.node.as_deref()).collect();
    assert_eq!(nodes, BTreeSet::from(["n1", "n2"]));
}

/// What the ledger has settled is what accounting has, attempt by attempt.
fn check_account(bed: &Bed, field: &Field) {
    let state = field.state().unwrap();
    let (mut ours, mut theirs, mut unseen) = (0.0, 0.0, 0);
    for attempt in state.runs.iter().flat_map(|r| &r.attempts) {
        let end = attempt.ended.as_ref().unwrap();
        let held = (end.used.time + end.overrun).seconds();
        let Some(job) = end.evidence.job.as_ref() else {
            assert_eq!(held, 0.0, "attempt {}", attempt.id);
            continue;
        };
        let record = bed.record(job.id.expect("every attempt's job is known"));
        let difference = (held - record.seconds as f64).abs();
        assert!(difference <= 2.0, "attempt {}: {held} s settled, {record:?}", attempt.id);
        unseen += usize::from(job.by != Witness::Accounting);
        (ours, theirs) = (ours + held, theirs + record.seconds as f64);
    }
    println!("ledger {ours:.1} s, sacct {theirs:.0} s, {unseen} attempts settled without sacct");
}

/// Every run's weights are those of the same experiment trained here, undisturbed.
fn check_bits(field: &Field) {
    let state = field.state().unwrap();
    let alone = |run: &Run| {
        let config = field.folder().join(run_path(run.id)).join("config.toml");
        let out = format!("alone-{}", run.id);
        let said = field.say(&["train", config.to_str().unwrap(), "--out", &out, "resources.wall_seconds=0"]);
        assert_eq!(said.code, 0, "{}", said.stderr);
        Outcome::read(&field.folder().with_file_name(out)).unwrap().unwrap().weights
    };
    std::thread::scope(|scope| {
        let halves: Vec<_> = (0..2)
            .map(|half| {
                let runs = state.runs.iter().skip(half).step_by(2);
                scope.spawn(move || runs.map(|run| (run, alone(run))).collect::<Vec<_>>())
            })
            .collect();
        for (run, expected) in halves.into_iter().flat_map(|half| half.join().unwrap()) {
            assert!(expected.is_some());
            assert_eq!(weights(run), expected, "run {} after {} attempts", run.id, run.attempts.len());
        }
    });
}

/// Copies the campaign to where NANORESEARCH_KEEP_CAMPAIGN says.
fn keep(field: &Field) {
    let Some(to) = std::env::var_os("NANORESEARCH_KEEP_CAMPAIGN") else { return };
    let from = field.folder();
    let status = std::process::Command::new("cp").arg("-r").arg(from).arg(to).status().unwrap();
    assert!(status.success());
}

/// Waits for an attempt's end.
fn ended(field: &Field, what: &str, is: impl Fn(AttemptId, Class, &JobEnd) -> bool) {
    patiently(300, what, || {
        let state = field.state()?;
        let mut attempts = state.runs.iter().flat_map(|r| &r.attempts);
        let found = attempts.any(|a| {
            a.ended.as_ref().is_some_and(|e| e.evidence.job.as_ref().is_some_and(|job| is(a.id, e.class, job)))
        });
        found.then_some(())
    })
}

/// Waits for a worker that is held at the gate, beyond a checkpoint, and lives.
fn held(field: &Field, what: &str, is: impl Fn(AttemptId) -> bool) -> (AttemptId, ProcessId) {
    patiently(300, what, || {
        let state = field.state()?;
        field.living(&state).into_iter().find(|(id, process)| {
            let folder = field.folder().join(attempt_path(*id)).join(CHECKPOINTS_FOLDER);
            let step = list_checkpoints(&folder).ok().and_then(|found| found.last().map(|(step, _)| *step));
            id.number == 1 && step == Some(300) && process.alive() && !hangs(*process) && is(*id)
        })
    })
}

/// Stops every thread of a process for good: no signal but SIGKILL reaches it any more, as when a driver or a filesystem hangs.
/// (What SIGSTOP does, SLURM undoes with SIGCONT.)
fn hang(process: ProcessId) {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", process.pid)).unwrap().flatten();
    let tasks: Vec<i32> = tasks.map(|task| task.file_name().to_str().unwrap().parse().unwrap()).collect();
    for &task in &tasks {
        // SAFETY: plain ptrace(2) and waitpid(2) on threads of a worker of this test; no memory is passed.
        unsafe {
            let nothing = std::ptr::null_mut::<libc::c_void>();
            assert_eq!(libc::ptrace(libc::PTRACE_ATTACH, task, nothing, nothing), 0);
            assert_eq!(libc::waitpid(task, std::ptr::null_mut(), libc::__WALL), task);
        }
    }
    // Its parent learns of its death only after whoever traces it has, of the first thread after all others.
    std::thread::spawn(move || {
        for task in tasks.into_iter().rev() {
            let mut status = 0;
            // SAFETY: as above; `status` outlives the call.
            while unsafe { libc::waitpid(task, &mut status, libc::__WALL) } == task
                && !(libc::WIFEXITED(status) || libc::WIFSIGNALED(status))
            {}
        }
    });
}

/// Whether it hangs.
fn hangs(process: ProcessId) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.pid)).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('t'))
}

/// Whether an sbatch with a script of this campaign is under way.
fn submitting(field: &Field) -> bool {
    let folder = field.folder().canonicalize().unwrap();
    let folder = folder.to_string_lossy();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let mut lines = processes.filter_map(|p| std::fs::read(p.path().join("cmdline")).ok());
    lines.any(|line| line.starts_with(b"sbatch\0") && String::from_utf8_lossy(&line).contains(folder.as_ref()))
}

/// What the controller knows of an attempt's job.
fn note_of(field: &Field, id: AttemptId) -> serde_json::Value {
    let folder = field.folder().join(attempt_path(id));
    assert!(matches!(Claim::read(&folder), Ok(Some(Claim::Worker(_)))));
    serde_json::from_slice(&std::fs::read(folder.join("slurm.json")).unwrap()).unwrap()
}

/// The node of a running attempt's job.
fn node_of(bed: &Bed, field: &Field, id: AttemptId) -> String {
    let note = note_of(field, id);
    bed.say("squeue", &["-h", "--name", note["name"].as_str().unwrap(), "-t", "all", "-o", "%N"]).trim().to_string()
}

/// The id of a running attempt's job.
fn job_of(field: &Field, id: AttemptId) -> u64 {
    patiently(60, "the job's id", || note_of(field, id)["job"].as_u64())
}

fn short(folder: &Path) -> String {
    folder.iter().rev().take(3).map(|p| p.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" of ")
}
