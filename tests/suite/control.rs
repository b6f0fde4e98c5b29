//! What people and machines do to a campaign while it runs: asking, interrupting, stopping, cancelling, editing, killing
//! its workers, and giving its runs too little.

use super::campaigns::{Field, Results, Said, audit, results, until, weights};
use nanoresearch::campaign::{Event, NextStep, Reason, RunResult, Standing, State, attempt_path};
use nanoresearch::failure::Class;
use nanoresearch::ids::AttemptId;
use nanoresearch::record::{CHECKPOINTS_FOLDER, Outcome, list_checkpoints};
use serde_json::Value;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// A campaign of up to five runs of the given length, one at a time.
fn config(steps: u64, more: &str) -> String {
    format!(
        r#"
name = "controlled"
question = "Does the campaign do as it is told?"
objective.metric = "loss"
seeds = {{ baseline = 2, confirm = 2, finalists = 1 }}
planner = {{ kind = "random", seed = 3, candidates = 2 }}
space."optimizer.learning_rate" = {{ type = "log-float", low = 1e-4, high = 1e-2 }}
baseline.data.kind = "digits"
baseline.model = {{ kind = "mlp", widths = [32] }}
baseline.optimizer = {{ kind = "adamw", learning_rate = 1e-3 }}
baseline.training = {{ batch_size = 32, budget = {{ steps = {steps} }} }}
baseline.evaluation = {{ every = {every}, samples = 64, checkpoint_every = 25 }}
{more}
"#,
        every = steps.min(1_000_000) / 4,
    )
}

/// Ample for everything that is not about limits.
const AMPLE: &str = "budget.device_hours = 10\nbaseline.resources.wall_seconds = 600";
/// So long that only a signal ends a run.
const ENDLESS: u64 = 1_000_000_000;
/// Long enough to be hit by something.
const MODERATE: u64 = 1200;

/// What the moderate campaign gives when nobody disturbs it.
fn reference() -> &'static Results {
    static RESULTS: OnceLock<Results> = OnceLock::new();
    RESULTS.get_or_init(|| {
        let field = Field::new(&config(MODERATE, AMPLE));
        field.run().succeeds();
        audit(&field);
        results(&field.state().unwrap())
    })
}

/// The problem that a command ended with: one paragraph on stderr, nothing on stdout.
fn problem(said: &Said, code: i32) -> &str {
    assert_eq!(said.code, code, "{}", said.stderr);
    assert_eq!(said.stdout, "");
    let text = said.stderr.trim_end();
    let text = &text[text.find("error: ").unwrap_or_else(|| panic!("no error: {text}"))..];
    assert!(!text.contains("\n\n") && text.lines().count() <= 4 && !text.contains("panicked"), "{text}");
    text
}

/// Waits until the attempt has trained further than it has now.
fn goes_on(field: &Field, id: AttemptId) {
    let checkpoints = field.folder().join(attempt_path(id)).join(CHECKPOINTS_FOLDER);
    let newest = || list_checkpoints(&checkpoints).ok()?.last().map(|(step, _)| *step);
    let before = newest();
    until("the attempt to train on", || (newest() > before).then_some(()));
}

fn controllers(field: &Field) -> usize {
    field.events().iter().filter(|(_, event)| matches!(event, Event::ControllerStarted { .. })).count()
}

fn conclusion(field: &Field) -> Option<Reason> {
    field.state()?.conclusion.map(|c| c.reason)
}

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().expect("an object").keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

fn json(field: &Field, arguments: &[&str]) -> Value {
    let said = field.say(&[arguments, &["--in", "c", "--format", "json"]].concat());
    let value: Value =
        serde_json::from_str(&said.stdout).unwrap_or_else(|e| panic!("{arguments:?}: {e}\n{}", said.stdout));
    let none = arguments == ["best"] && value["best"].is_null();
    assert_eq!(said.code, i32::from(none), "{arguments:?}: {}", said.stderr);
    value
}

/// Asks everything there is to ask, and wants the documented keys.
fn look(field: &Field) -> Value {
    let status = json(field, &["status"]);
    assert_eq!(
        keys(&status),
        [
            "baseline",
            "best",
            "budget",
            "conclusion",
            "controller_alive",
            "direction",
            "expected",
            "goal",
            "metric",
            "name",
            "overhead",
            "phase",
            "question",
            "requested",
            "runs",
            "runs_by_status",
            "usage"
        ]
    );
    assert_eq!(
        keys(&status["budget"]),
        [
            "free_device_hours",
            "limit_device_hours",
            "reserved_device_hours",
            "reserved_dollars",
            "settled_device_hours",
            "settled_dollars"
        ]
    );
    assert_eq!(
        keys(&status["usage"]),
        [
            "allocated_device_hours",
            "attempts",
            "busy_device_hours",
            "busy_share",
            "joules",
            "measured_attempts",
            "measured_device_hours",
            "metered_device_hours",
            "peak_device_memory"
        ]
    );
    for run in status["runs"].as_array().unwrap() {
        assert_eq!(
            keys(run),
            [
                "attempts",
                "candidate",
                "device_seconds",
                "failure",
                "id",
                "purpose",
                "seed",
                "status",
                "usage",
                "value",
                "what"
            ]
        );
    }
    assert_eq!(keys(&json(field, &["best"])), ["best", "experiment"]);
    let why = json(field, &["why", "1"]);
    assert_eq!(keys(&why), ["decisions", "key", "price", "run"]);
    assert_eq!(keys(&why["decisions"][0]), ["at", "candidate", "run", "text"]);
    assert_eq!(keys(&why["price"]), ["data_hash", "high_seconds", "memory", "seconds", "steps"]);
    let logs = field.say(&["logs", "1", "--in", "c", "--format", "json"]);
    assert_eq!(logs.code, 0, "{}", logs.stderr);
    assert!(!logs.stdout.is_empty());
    for line in logs.stdout.lines() {
        let record: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        let common = ["kind", "memory", "samples_per_second", "seconds", "step"];
        let own: &[&str] = if record["kind"] == "eval" { &["metrics"] } else { &["grad_norm", "loss", "lr"] };
        let mut wanted = [&common, own].concat();
        wanted.sort_unstable();
        assert_eq!(keys(&record), wanted);
    }
    status
}

#[test]
fn a_controller_is_asked_interrupted_and_replaced_while_its_attempt_goes_on() {
    let field = Field::new(&config(ENDLESS, AMPLE));
    let mut controller = field.run();
    let (id, worker) = field.wait_for_checkpoint();

    // A second controller is sent away, whichever way it comes, and changes nothing.
    let toml = std::fs::read(field.folder().join("campaign.toml")).unwrap();
    for arguments in
        [&["resume", "c"][..], &["resume", "c", "budget.device_hours=11"], &["run", "campaign.toml", "--out", "c"]]
    {
        let said = field.say(arguments);
        let text = problem(&said, 5);
        assert!(text.contains("another controller owns this campaign: process"), "{text}");
    }
    assert_eq!(std::fs::read(field.folder().join("campaign.toml")).unwrap(), toml);
    assert_eq!(controllers(&field), 1);

    let status = look(&field);
    assert_eq!((status["phase"].as_str(), status["runs"][0]["status"].as_str()), (Some("running"), Some("running")));
    assert!(status["budget"]["reserved_device_hours"].as_f64().unwrap() > 0.1);

    // One Ctrl-C only warns, and so does another one later than 3 s after it.
    let warnings = |said: String| said.matches("press Ctrl-C again").count();
    controller.signal(libc::SIGINT);
    let warned = Instant::now();
    until("the warning", || (warnings(controller.said()) == 1).then_some(()));
    // As it is to be typed from where the controller was started.
    until("the command", || controller.said().contains("or end them with `nanoresearch cancel --in c`").then_some(()));
    until("3 seconds to pass", || (warned.elapsed() > Duration::from_millis(3500)).then_some(()));
    assert_eq!(controller.ended(), None);
    controller.signal(libc::SIGINT);
    until("another warning", || (warnings(controller.said()) == 2).then_some(()));
    assert_eq!(controller.ended(), None);
    // A second one within 3 s leaves. On a machine so loaded that this takes longer, it is one more warning.
    let mut tries = 0;
    while controller.ended().is_none() {
        tries += 1;
        assert!(tries < 20, "{}", controller.said());
        let before = warnings(controller.said());
        controller.signal(libc::SIGINT);
        until("an answer", || (controller.ended().is_some() || warnings(controller.said()) > before).then_some(()));
    }
    assert_eq!(controller.wait(), 130);
    let said = controller.said();
    assert!(said.contains("1 attempt(s) go on") && said.contains("nanoresearch resume c"), "{said}");
    assert!(worker.alive());
    goes_on(&field, id);

    // The next controller adopts it; SIGTERM makes it leave too.
    let mut controller = field.resume();
    field.wait("the next controller", |s| s.attempt(id).is_some_and(|a| a.adopted).then_some(()));
    controller.signal(libc::SIGTERM);
    assert_eq!(controller.wait(), 143, "{}", controller.said());
    assert!(controller.said().contains("nanoresearch resume c"));
    assert!(worker.alive());
    goes_on(&field, id);
    let state = field.state().unwrap();
    assert_eq!((state.runs.len(), state.runs[0].attempts.len(), controllers(&field)), (1, 1, 2));

    // Cancelling kills it, and concludes.
    let mut controller = field.resume();
    field.wait("the next controller", |_| (controllers(&field) == 3).then_some(()));
    let said = field.say(&["cancel", "--in", "c"]);
    assert_eq!((said.code, said.stdout.as_str()), (0, ""));
    assert_eq!(controller.wait(), 0, "{}", controller.said());
    assert!(!worker.alive());
    assert_eq!(conclusion(&field), Some(Reason::Cancelled));
    field.nobody_is_left();
    let state = field.state().unwrap();
    let end = state.attempt(id).unwrap().ended.clone().unwrap();
    assert!(end.cancelled && end.checkpoint.is_some() && end.used.time.ms > 0, "{end:?}");
    assert_eq!(state.ledger.reserved().time.ms, 0);
    assert_eq!(look(&field)["phase"], "concluded");
    let said = field.say(&["cancel", "--in", "c"]);
    assert!(said.code == 0 && said.stderr.contains("concluded already"), "{}", said.stderr);

    // Resumed, the run goes on from its checkpoint in another attempt. Cancelled without a controller, the next one
    // carries it out.
    let mut controller = field.resume();
    let second = AttemptId { run: id.run, number: 2 };
    field.wait("the second attempt to train", |s| {
        let log = field.folder().join(attempt_path(second)).join("worker.log");
        let log = std::fs::read_to_string(log).unwrap_or_default();
        (s.attempt(second).is_some() && log.contains("training from step")).then_some(())
    });
    let state = field.state().unwrap();
    assert_eq!(state.attempt(second).unwrap().resume_from, end.checkpoint);
    assert!(matches!(state.runs[0].attempts[0].ended.as_ref().unwrap().class, Class::Crashed { .. }));
    controller.signal(libc::SIGTERM);
    assert_eq!(controller.wait(), 143, "{}", controller.said());
    assert!(field.say(&["cancel", "--in", "c"]).stderr.contains("resume"));
    field.resume().succeeds();
    assert_eq!(conclusion(&field), Some(Reason::Cancelled));
    field.nobody_is_left();
    println!("{} controllers, {tries} Ctrl-C to leave, {} events", controllers(&field), field.lines());
}

#[test]
fn stop_lets_the_running_attempt_end_and_resume_goes_on() {
    let field = Field::new(&config(MODERATE, AMPLE));
    let controller = field.run();
    field.wait_for_checkpoint();
    let said = field.say(&["stop", "--in", "c"]);
    assert_eq!((said.code, said.stdout.as_str()), (0, ""));
    controller.succeeds();
    field.nobody_is_left();
    let state = field.state().unwrap();
    assert_eq!(conclusion(&field), Some(Reason::Stopped));
    let stopped = state.runs.len();
    assert!(stopped < reference().len(), "it was over before it was stopped");
    for run in &state.runs {
        assert!(matches!(run.result, Some(RunResult::Finished { .. })), "run {}: {:?}", run.id, run.result);
        assert_eq!(run.attempts.len(), 1);
    }
    field.resume().succeeds();
    assert_eq!(conclusion(&field), Some(Reason::CandidatesDone));
    let counted = audit(&field);
    assert_eq!(&results(&field.state().unwrap()), reference());
    println!("stopped after {stopped} runs; in the end {counted:?}");
}

#[test]
fn a_budget_spent_with_the_goal_unmet_is_exit_code_3_and_can_be_raised() {
    let goal = format!("{AMPLE}\nbudget.runs = 5\nobjective.goal = 1e-9");
    let field = Field::new(&config(60, &goal).replace("candidates = 2", "candidates = 0"));
    let mut controller = field.run();
    assert_eq!(controller.wait(), 3, "{}", controller.said());
    assert_eq!(conclusion(&field), Some(Reason::BudgetSpent));
    audit(&field);
    let toml = || std::fs::read_to_string(field.folder().join("campaign.toml")).unwrap();
    let (before, lines) = (toml(), field.lines());
    assert_eq!(field.state().unwrap().runs.len(), 5);

    // Without an edit nothing happens, and the answer is the same.
    assert_eq!(field.say(&["resume", "c"]).code, 3);
    // What cannot be changed is refused; nothing is written.
    for (arguments, words) in [
        ("budget.device_hours=1e-9", "cannot be lowered"),
        ("baseline.training.batch_size=16", "incomparable"),
        ("budget.device_hour=3", "device_hours"),
    ] {
        let said = field.say(&["resume", "c", arguments]);
        let text = problem(&said, 2);
        assert!(text.contains(words), "{text}");
    }
    assert_eq!((toml(), field.lines()), (before.clone(), lines));

    let mut controller = field.start(&["resume", "c", "budget.runs=9", "budget.device_hours=11"]);
    assert_eq!(controller.wait(), 3, "{}", controller.said());
    let state = field.state().unwrap();
    let counted = audit(&field);
    assert!((7..=9).contains(&state.runs.len()), "{} runs", state.runs.len());
    assert_eq!((state.campaign.budget.runs, state.campaign.budget.device_hours), (9, 11.0));
    let edits = |field: &Field| field.events().iter().filter(|(_, e)| matches!(e, Event::Edited { .. })).count();
    assert_eq!(edits(&field), 1);
    // The edit is kept: the next controller does not take it back.
    assert_ne!(toml(), before);
    let lines = field.lines();
    assert_eq!(field.say(&["resume", "c"]).code, 3);
    assert_eq!((edits(&field), field.lines()), (1, lines));
    let status = look(&field);
    assert_eq!(status["budget"]["limit_device_hours"], 11.0);
    assert_eq!(status["conclusion"]["reason"], "budget-spent");
    println!("5 runs, then {} with the raised budget; {counted:?}", state.runs.len());
}

#[test]
fn killed_workers_are_replaced_and_the_weights_are_the_same() {
    let field = Field::new(&config(MODERATE, AMPLE));
    // One whose end the controller sees, and one that it has adopted, whose end nobody sees.
    let mut controller = field.run();
    let (seen, worker) = field.wait_for_checkpoint();
    worker.signal(libc::SIGKILL).unwrap();
    field.wait("the end to be seen", |s| s.attempt(seen)?.ended.as_ref().map(drop));
    let (unseen, worker) = field.wait_for_checkpoint();
    // Held, so that it cannot end before the next controller has adopted it.
    worker.signal(libc::SIGSTOP).unwrap();
    assert!(controller.kill());
    let controller = field.resume();
    field.wait("the next controller", |s| s.attempt(unseen).is_some_and(|a| a.adopted).then_some(()));
    assert!(worker.alive());
    worker.signal(libc::SIGKILL).unwrap();
    controller.succeeds();
    let counted = audit(&field);
    let state = field.state().unwrap();
    let end = |id| state.attempt(id).unwrap().ended.as_ref().unwrap();
    assert_eq!(end(seen).class, Class::Crashed { code: None, signal: Some(libc::SIGKILL) });
    assert_eq!(end(unseen).class, Class::Crashed { code: None, signal: None });
    for id in [seen, unseen] {
        let next = state.attempt(AttemptId { number: id.number + 1, ..id }).unwrap();
        assert_eq!(next.resume_from, end(id).checkpoint);
        assert!(next.resume_from.is_some());
    }
    assert_eq!(&results(&state), reference());
    println!("{counted:?}");
}

/// Waits for the first run's result, and cancels the rest.
fn first_run(field: &Field) -> State {
    let controller = field.run();
    field.wait("the first run to end", |s| s.runs.first()?.result.as_ref().map(drop));
    field.say(&["cancel", "--in", "c"]);
    controller.succeeds();
    field.nobody_is_left();
    field.state().unwrap()
}

/// The baseline as `train` runs it by itself, with other settings.
fn train(field: &Field, campaign: &str, settings: &[&str], out: &str) -> Outcome {
    let lines = campaign.lines().filter_map(|line| line.strip_prefix("baseline."));
    let experiment: String = lines.map(|line| format!("{line}\n")).collect();
    let root = field.folder().parent().unwrap().to_path_buf();
    std::fs::write(root.join("experiment.toml"), experiment).unwrap();
    let said = field.say(&[&["train", "experiment.toml", "--out", out], settings].concat());
    assert_eq!(said.code, 0, "{}", said.stderr);
    Outcome::read(&root.join(out)).unwrap().unwrap()
}

/// A state that is large beside everything else: a copy of the parameters too many would be 8%, a state too many 25%.
#[test]
fn a_whole_attempt_takes_the_memory_that_check_predicts() {
    let deep = config(4, "").replace("widths = [32]", "widths = [1536, 1536, 1536]");
    let field = Field::new(&deep);
    let peak = train(&field, &deep, &[], "deep").peak_memory.0 as f64;
    let said = field.say(&["check", "experiment.toml", "--format", "json"]);
    let answer: Value = serde_json::from_str(&said.stdout).unwrap_or_else(|e| panic!("{e}: {}", said.stderr));
    let predicted = answer["memory_bytes"].as_f64().unwrap();
    println!("{peak} bytes where {predicted} were predicted");
    assert!(peak < 1.05 * predicted && peak > 0.85 * predicted, "{peak} bytes where {predicted} were predicted");
}

#[test]
fn a_run_with_too_little_memory_goes_on_with_smaller_micro_batches() {
    // One wide layer over a large batch: nearly all memory is activations, in proportion to the micro-batch.
    let wide = |more: &str| {
        config(24, &format!("{AMPLE}\nexecution.retries = 4\n{more}"))
            .replace("widths = [32]", "widths = [4096]")
            .replace("batch_size = 32", "batch_size = 1024")
    };
    let field = Field::new(&wide(""));
    let peak = |micro: &str, out: &str| {
        train(&field, &wide(""), &[micro, "training.budget={steps=4}"], out).peak_memory.0 >> 20
    };
    let (whole, quarter) = (peak("resources.micro_batch=1024", "whole"), peak("resources.micro_batch=256", "quarter"));
    assert!(whole > quarter + 20, "{whole} MiB for the whole batch, {quarter} for a quarter: no room between them");
    let limit = (whole + quarter) / 2;

    let field = Field::new(&wide(&format!("baseline.resources.memory_mib = {limit}")));
    let state = first_run(&field);
    let run = &state.runs[0];
    let story: Vec<(usize, Class)> =
        run.attempts.iter().map(|a| (a.limits.micro_batch, a.ended.as_ref().unwrap().class)).collect();
    println!("{whole} MiB, in quarters {quarter} MiB, limit {limit} MiB: {story:?}");
    assert_eq!(story[0], (0, Class::OutOfMemory));
    assert_eq!(story[1].0, 512);
    assert_eq!(story.last().unwrap().1, Class::Completed);
    assert!(story[..story.len() - 1].iter().all(|(_, class)| *class == Class::OutOfMemory));
    assert!(matches!(run.result, Some(RunResult::Finished { .. })));
    assert!(run.attempts[0].ended.as_ref().unwrap().evidence.detail.starts_with("out of memory at step"));
}

#[test]
fn a_run_with_too_little_time_is_resumed_with_more() {
    // The limit is an eighth of what the whole run takes here, whatever the speed of the machine.
    let unlimited = config(6 * MODERATE, AMPLE);
    let whole = train(&Field::new(&unlimited), &unlimited, &["training.seed=1", "resources.wall_seconds=0"], "whole");
    let limit = whole.seconds / 8.0;
    let limits = format!("budget.device_hours = 10\nbaseline.resources.wall_seconds = {limit}\nexecution.retries = 9");
    let field = Field::new(&config(6 * MODERATE, &limits));
    let state = first_run(&field);
    let run = &state.runs[0];
    let story: Vec<(f64, Class, u64)> = run
        .attempts
        .iter()
        .map(|a| (a.limits.wall_seconds, a.ended.as_ref().unwrap()))
        .map(|(wall, end)| (wall, end.class, end.evidence.step))
        .collect();
    println!("{story:?}");
    assert_eq!((story[0].0, story[0].1), (limit, Class::TimedOut));
    for (pair, attempt) in story.windows(2).zip(&run.attempts[1..]) {
        // Doubled where nothing was measured, else what is left takes at the measured rate, with room for a start.
        assert_eq!(pair[0].1, Class::TimedOut);
        assert!(pair[1].0 > 1.5 * pair[0].0, "{} s after {} s", pair[1].0, pair[0].0);
        assert_eq!(attempt.resume_from.is_some(), pair[0].2 > 0, "from where it was");
    }
    assert!(run.attempts.iter().any(|a| a.resume_from.is_some()), "no attempt came far enough to go on from");
    assert!(matches!(run.result, Some(RunResult::Finished { .. })));
    assert_eq!(weights(run), whole.weights);
}

#[test]
fn divergence_is_a_result_and_not_tried_again() {
    let field = Field::new(
        &config(60, AMPLE)
            .replace(
                r#"{ type = "log-float", low = 1e-4, high = 1e-2 }"#,
                r#"{ type = "choice", values = [0.05, 1e9] }"#,
            )
            .replace(r#"kind = "random""#, r#"kind = "grid""#)
            .replace(r#"kind = "adamw", learning_rate = 1e-3"#, r#"kind = "sgd", learning_rate = 0.1"#)
            // Two hidden layers: a single one may die at once and stay finite, however large its weights are.
            .replace("widths = [32]", "widths = [32, 32]")
            .replace("batch_size = 32,", "batch_size = 32, clip_norm = 0,"),
    );
    field.run().succeeds();
    let counted = audit(&field);
    let state = field.state().unwrap();
    let wild = state.candidates.iter().find(|c| c.assignment["optimizer.learning_rate"] == 1e9).unwrap();
    assert!(matches!(wild.standing, Standing::Failed { .. }), "{:?}", wild.standing);
    let run = state.run(*wild.runs.values().next().unwrap()).unwrap();
    assert_eq!(run.attempts.len(), 1);
    assert_eq!(run.attempts[0].ended.as_ref().unwrap().class, Class::Diverged);
    let Some(RunResult::Failed { reason }) = &run.result else { panic!("{:?}", run.result) };
    assert!(reason.starts_with("diverged at step"), "{reason}");
    let decided = field.events().into_iter().find_map(|(_, event)| match event {
        Event::RecoveryDecided { id, next, .. } if id.run == run.id => Some(next),
        _ => None,
    });
    assert!(matches!(decided, Some(NextStep::Accept { .. })));
    let tame = state.candidates.iter().find(|c| c.assignment["optimizer.learning_rate"] == 0.05).unwrap();
    assert!(tame.value.is_some());
    println!("{reason}; {counted:?}");
}
