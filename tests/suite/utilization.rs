//! What attempts used of the machine, from real processes to `status`, `why` and the report; and campaigns of before.

use super::campaigns::Field;
use nanoresearch::campaign::{Event, State, Usage, attempt_path};
use nanoresearch::config::DeviceSpec;
use nanoresearch::ids::AttemptId;
use nanoresearch::record::{
    GpuSample, Outcome, UTILIZATION_FILE, Utilization, UtilizationSummary, UtilizationWriter, read_utilization,
};
use nanoresearch::report;
use nanoresearch::units::{Bytes, DeviceTime};
use serde_json::Value;
use std::path::Path;

const CAMPAIGN: &str = r#"
name = "watched"
question = "What do its attempts use?"
objective.metric = "loss"
seeds = { baseline = 2, confirm = 2, finalists = 1 }
planner = { kind = "random", seed = 3, candidates = 2 }
space."optimizer.learning_rate" = { type = "log-float", low = 1e-4, high = 1e-2 }
baseline.data.kind = "digits"
baseline.model = { kind = "mlp", widths = [256, 256] }
baseline.optimizer = { kind = "adamw", learning_rate = 1e-3 }
baseline.training = { batch_size = 32, budget = { steps = 1000 } }
baseline.evaluation = { every = 500, samples = 64 }
budget.device_hours = 10
baseline.resources.wall_seconds = 600
"#;

fn seconds(time: &str) -> f64 {
    time.parse::<jiff::Timestamp>().unwrap().as_millisecond() as f64 / 1e3
}

/// The state after the campaign's events, each changed by `change` in its JSON form first, as another program would have
/// written it, in a time that passes `slower` times as slowly.
fn rewritten(field: &Field, slower: f64, change: impl Fn(&Event, &mut Value)) -> State {
    let events = field.events().into_iter().map(|(envelope, event)| {
        let (kind, version, mut data) = event.encode().unwrap();
        change(&event, &mut data);
        (slower * seconds(&envelope.time), Event::decode(&kind, version, &data).unwrap())
    });
    let events: Vec<(f64, Event)> = events.collect();
    State::replay(events.iter().map(|(time, event)| (*time, event))).unwrap()
}

/// The looks of a made-up card during an attempt of a minute.
fn looks(number: u64) -> Vec<Utilization> {
    let look = |i: u64| {
        let wave = ((i * 7 + number * 3) % 10) as f64 / 10.0;
        let busy = if i < 5 { 0.1 * i as f64 } else { 0.84 + 0.1 * wave };
        let gpu = GpuSample {
            busy: Some(busy),
            memory_busy: Some(busy / 2.0),
            memory_used: Some(Bytes(2 << 30)),
            memory_own: Some(Bytes((i.min(8) * 3) << 30)),
            watts: Some(110.0 + 580.0 * busy),
            joules: Some(1e6 + 600.0 * i as f64),
            celsius: Some(40 + i.min(20) as u32),
            throttled: if busy > 0.9 { vec!["sw-power-cap".into()] } else { Vec::new() },
            ecc_uncorrected: Some(0),
            xid: (number == 3 && i > 30).then_some(94),
            ..GpuSample::default()
        };
        Utilization { seconds: i as f64, cores: 1.0, memory: Bytes(1 << 30), gpu: Some(gpu) }
    };
    (0..50 + 2 * number).map(look).collect()
}

/// One campaign serves all of these tests: it takes a few seconds.
#[test]
fn what_attempts_used_is_in_the_journal_status_why_and_the_report() {
    let field = Field::new(CAMPAIGN);
    field.run().succeeds();
    let state = field.state().unwrap();
    real(&field, &state);
    before(&field);
    cards(&field);
}

fn real(field: &Field, state: &State) {
    for run in &state.runs {
        let folder = field.folder().join(attempt_path(AttemptId { run: run.id, number: 1 }));
        let looks = read_utilization(&folder).unwrap();
        assert!(looks.len() >= 2 && looks.windows(2).all(|w| w[0].seconds <= w[1].seconds), "{looks:?}");
        let outcome = Outcome::read(&folder).unwrap().unwrap();
        let end = run.attempts[0].ended.as_ref().unwrap();
        assert!(outcome.utilization.is_some() && end.evidence.utilization.as_deref() == outcome.utilization.as_ref());
        let usage = Usage::of_run(run);
        assert!(usage.busy.is_some_and(|busy| busy <= usage.allocated) && usage.allocated == usage.measured);
        assert_eq!((usage.joules, usage.device_memory), (None, None));
    }
    let status: Value = serde_json::from_str(&field.say(&["status", "--in", "c", "--format", "json"]).stdout).unwrap();
    let (usage, total) = (&status["usage"], Usage::of(state));
    assert_eq!(usage["attempts"], state.runs.len());
    assert_eq!(usage["measured_attempts"], state.runs.len());
    assert_eq!(usage["allocated_device_hours"].as_f64(), Some(total.allocated.hours()));
    assert_eq!(usage["busy_device_hours"].as_f64(), total.busy.map(DeviceTime::hours));
    assert!(usage["busy_share"].as_f64().is_some_and(|share| share > 0.0 && share <= 1.0), "{usage}");
    assert!(usage["joules"].is_null(), "a processor's energy is not measured");
    assert!(status["runs"].as_array().unwrap().iter().all(|run| run["usage"]["busy_share"].is_f64()), "{status}");
    let shown = field.say(&["status", "--in", "c"]).stdout;
    let line = format!("devices   {}\n", total.words());
    assert!(shown.contains(&line) && line.contains("allocated ") && line.contains(", busy "), "{shown}");
    let why = field.say(&["why", "1", "--in", "c"]).stdout;
    assert!(why.contains(&format!("devices   {}\n", Usage::of_run(&state.runs[0]).words())), "{why}");
    let page = std::fs::read_to_string(field.folder().join("report.html")).unwrap();
    assert!(page.contains("Devices allocated and busy") && page.contains("resident memory (MiB)"));
    assert!(!page.contains("power (W)"), "nobody told the power");
}

/// Journals and outcomes of before know nothing of this, and nothing is made up for them.
fn before(field: &Field) {
    let old = rewritten(field, 1.0, |_, data| {
        if let Some(evidence) = data.get_mut("evidence").and_then(Value::as_object_mut) {
            evidence.remove("utilization").expect("it is in every attempt's end");
        }
    });
    let usage = Usage::of(&old);
    assert_eq!((usage.busy, usage.busy_share, usage.joules, usage.measured_attempts), (None, None, None, 0));
    assert!(usage.attempts > 0 && usage.words().ends_with(", busy time not measured"), "{}", usage.words());
    let page = report::page(&field.folder(), &old);
    assert!(page.contains("How busy the devices were is not known") && !page.contains("Devices allocated and busy"));

    let folder = field.folder().join(attempt_path(old.runs[0].attempts[0].id));
    let path = folder.join("outcome.json");
    let mut outcome: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    outcome.as_object_mut().unwrap().remove("utilization").unwrap();
    std::fs::write(&path, outcome.to_string()).unwrap();
    assert_eq!(Outcome::read(&folder).unwrap().unwrap().utilization, None);
}

/// The same campaign as it would be on cards. The page is kept for looking at (`target/tmp/utilization-report.html`).
fn cards(field: &Field) {
    let state = rewritten(field, 100.0, |event, data| {
        let Event::AttemptEnded { id, .. } = event else { return };
        let looks = looks(u64::from(id.run.0));
        let folder = field.folder().join(attempt_path(*id));
        std::fs::remove_file(folder.join(UTILIZATION_FILE)).unwrap();
        let mut writer = UtilizationWriter::open(&folder).unwrap();
        looks.iter().for_each(|look| writer.append(look).unwrap());
        let summary = UtilizationSummary::of(&looks, DeviceSpec::Cuda(0), 1);
        // A card of its own for a little longer than its looks tell of.
        data["time"] = 70_000.into();
        data["evidence"]["seconds"] = 70.0.into();
        data["evidence"]["utilization"] = serde_json::to_value(summary).unwrap();
        // What a later version may add.
        data["evidence"]["utilization"]["gpu"]["fan"] = 3.into();
    });
    let usage = Usage::of(&state);
    let runs = state.runs.len() as f64;
    assert!(usage.joules.is_some_and(|joules| joules > 49.0 * 600.0 * runs), "{usage:?}");
    assert!(usage.busy_share.is_some_and(|share| (0.5..0.9).contains(&share)), "{usage:?}");
    assert_eq!(usage.device_memory, Some(Bytes(24 << 30)));
    assert!(usage.words().contains(" Wh"), "{}", usage.words());
    let page = report::page(&field.folder(), &state);
    for part in
        ["mean power", "power (W)", "device memory (GiB)", "sw-power-cap", "Xid 94 (attempt 0003/01)", "24.0 GiB"]
    {
        assert!(page.contains(part), "no {part:?} in the page");
    }
    std::fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join("utilization-report.html"), page).unwrap();

    for run in &state.runs {
        std::fs::remove_file(field.folder().join(attempt_path(run.attempts[0].id)).join(UTILIZATION_FILE)).unwrap();
    }
    let page = report::page(&field.folder(), &state);
    assert!(page.contains("Devices allocated and busy") && page.contains("are not in the folder any more"));
}
