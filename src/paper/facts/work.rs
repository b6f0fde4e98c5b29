//! The work: runs and attempts, what failed and how it was recovered, what everything took.

use super::{Gather, words};
use crate::analysis::percentile;
use crate::campaign::{Overhead, Purpose, Run, RunResult, Usage};
use crate::failure::Class;
use crate::paper::fact::{Basis, CAMPAIGN, Fact, Show};
use std::collections::BTreeMap;

pub(super) fn add(g: &mut Gather) {
    runs(g);
    failures(g);
    costs(g);
    by_purpose(g);
    prediction(g);
    language_model(g);
}

fn runs(g: &mut Gather) {
    let all = &g.state.runs;
    let of = |wanted: fn(&Run) -> bool| all.iter().filter(|r| wanted(r)).count();
    let finished = of(|r| matches!(r.result, Some(RunResult::Finished { .. })));
    let failed = of(|r| matches!(r.result, Some(RunResult::Failed { .. })));
    let open = of(|r| r.result.is_none());
    let counts = [
        ("runs.total", "runs", all.len()),
        ("runs.finished", "runs that trained to their end", finished),
        ("runs.failed", "runs that ended without a value", failed),
        ("runs.open", "runs without an end", open),
        ("runs.baseline", "runs of the baseline", of(|r| r.purpose == Purpose::Baseline)),
        ("runs.candidate", "first looks at candidates", of(|r| matches!(r.purpose, Purpose::Candidate { .. }))),
        ("runs.confirm", "repetitions of finalists", of(|r| matches!(r.purpose, Purpose::Confirm { .. }))),
    ];
    for (id, what, n) in counts {
        g.count(id, what, n).unit("runs");
    }
}

/// Every attempt that did not end as it should, by kind, and what became of its run.
fn failures(g: &mut Gather) {
    let ends = |run: &Run| run.attempts.iter().filter_map(|a| a.ended.as_ref()).map(|e| e.class).collect::<Vec<_>>();
    let attempts: usize = g.state.runs.iter().map(|r| r.attempts.len()).sum();
    let mut kinds: BTreeMap<&'static str, usize> = BTreeMap::new();
    let (mut failed, mut diverged, mut recovered, mut adopted) = (0, 0, 0, 0);
    for run in &g.state.runs {
        let classes = ends(run);
        let bad = |c: &Class| !matches!(c, Class::Completed | Class::Diverged | Class::Paused | Class::Checkpointed);
        for class in classes.iter().filter(|c| bad(c)) {
            *kinds.entry(class.name()).or_default() += 1;
            failed += 1;
        }
        diverged += usize::from(classes.iter().any(|c| matches!(c, Class::Diverged)));
        recovered += usize::from(classes.iter().any(bad) && matches!(run.result, Some(RunResult::Finished { .. })));
        adopted += run.attempts.iter().filter(|a| a.adopted).count();
    }
    g.count("attempts.total", "attempts", attempts).unit("attempts");
    g.count("attempts.failed", "attempts that failed", failed).unit("attempts");
    g.count("runs.diverged", "runs that diverged", diverged).unit("runs");
    g.count("runs.recovered", "runs that failed and were brought to their end by another attempt", recovered)
        .unit("runs");
    g.count("attempts.adopted", "attempts taken over by a later controller", adopted).unit("attempts");
    let list: Vec<String> = kinds.keys().map(|k| k.replace('-', " ")).collect();
    if !list.is_empty() {
        g.text("attempts.failure-kinds", CAMPAIGN, "kinds of failures", words::list(&list));
    }
    for (kind, n) in kinds {
        g.count(format!("attempts.failed.{kind}"), format!("attempts that ended {}", kind.replace('-', " ")), n)
            .unit("attempts");
    }
    let overhead = Overhead::of(g.state);
    if overhead.wasted.ms > 0 {
        g.number(
            "cost.wasted",
            CAMPAIGN,
            "device time that came to nothing",
            overhead.wasted.hours(),
            Show::DeviceTime,
        );
    }
    if let Some(share) = overhead.wasted_share {
        g.number(
            "cost.wasted-share",
            CAMPAIGN,
            "share of the device time that came to nothing",
            share,
            Show::Percent(1),
        );
    }
}

fn costs(g: &mut Gather) {
    let (usage, ledger) = (Usage::of(g.state), &g.state.ledger);
    let all: Vec<u32> = g.state.runs.iter().map(|r| r.id.0).collect();
    let budget = ledger.budget().hours();
    let fact = g.number("cost.allocated", CAMPAIGN, "device time allocated", usage.allocated.hours(), Show::DeviceTime);
    fact.n(usage.attempts).basis = Basis::DeviceHours { runs: all };
    g.number("cost.budget", CAMPAIGN, "device time that could be spent", budget, Show::DeviceTime);
    if budget > 0.0 {
        g.number(
            "cost.budget-share",
            CAMPAIGN,
            "share of the budget spent",
            usage.allocated.hours() / budget,
            Show::Percent(0),
        );
    }
    let elapsed = g.state.updated - g.state.created;
    g.number("cost.elapsed", CAMPAIGN, "time from the campaign's first event to its last", elapsed, Show::Duration);
    let unmeasured = "no attempt left a record of how busy its device was";
    match (usage.busy, usage.busy_share) {
        (Some(busy), Some(share)) => {
            let fact = g.number(
                "cost.busy",
                CAMPAIGN,
                "device time in which the device computed",
                busy.hours(),
                Show::DeviceTime,
            );
            attempts(fact, usage.measured_attempts);
            let fact = g.number(
                "cost.busy-share",
                CAMPAIGN,
                "share of the measured device time that was busy",
                share,
                Show::Percent(0),
            );
            attempts(fact, usage.measured_attempts);
        }
        _ => {
            g.missing("cost.busy", "device time in which the device computed", unmeasured, Show::DeviceTime);
            g.missing("cost.busy-share", "share of the device time that was busy", unmeasured, Show::Percent(0));
        }
    }
    match usage.joules {
        Some(joules) => {
            let fact =
                g.number("cost.energy", CAMPAIGN, "energy of the devices while they were held", joules, Show::Energy);
            attempts(fact, usage.attempts);
        }
        None => {
            g.missing("cost.energy", "energy of the devices", "no device told its energy or power", Show::Energy);
        }
    }
    if let Some(bytes) = usage.device_memory {
        g.number("cost.device-memory", CAMPAIGN, "largest device memory of any attempt", bytes.0 as f64, Show::Memory);
    }
    let peak = g.state.runs.iter().map(|r| r.peak_memory().0).max().unwrap_or(0);
    if peak > 0 {
        let fact =
            g.number("cost.memory", CAMPAIGN, "largest resident memory of any attempt", peak as f64, Show::Memory);
        fact.basis = Basis::Attempts;
    }
    let dollars = ledger.settled().dollars.value() + ledger.asked().value();
    if g.state.campaign.budget.dollars_per_device_hour > 0.0 || dollars > 0.0 {
        g.number("cost.dollars", CAMPAIGN, "price of devices, overhead and language models", dollars, Show::Dollars);
    } else {
        g.missing(
            "cost.dollars",
            "price of the campaign",
            "the campaign gives no price of a device-hour",
            Show::Dollars,
        );
    }
}

fn attempts(fact: &mut Fact, n: usize) {
    fact.n = Some(n);
    fact.basis = Basis::Attempts;
    fact.sources = vec!["events.jsonl".to_string(), "runs/*/attempts/*/utilization.jsonl".to_string()];
}

/// Which runs a part of the device time is of.
type Wanted = fn(&Purpose) -> bool;

/// Device time by what it was spent on.
fn by_purpose(g: &mut Gather) {
    let parts: [(&str, &str, Wanted); 3] = [
        ("baseline", "device time of the baseline's repetitions", |p| matches!(p, Purpose::Baseline)),
        ("search", "device time of first looks", |p| matches!(p, Purpose::Candidate { .. })),
        ("confirm", "device time of repetitions of finalists", |p| matches!(p, Purpose::Confirm { .. })),
    ];
    let total: f64 = Usage::of(g.state).allocated.hours();
    for (name, what, wanted) in parts {
        let own: Vec<&Run> = g.state.runs.iter().filter(|r| wanted(&r.purpose)).collect();
        let (usage, ids) = (Usage::of_runs(own.iter().copied()), own.iter().map(|r| r.id.0).collect());
        let fact = g.number(format!("cost.{name}"), CAMPAIGN, what, usage.allocated.hours(), Show::DeviceTime);
        fact.n(own.len()).basis = Basis::DeviceHours { runs: ids };
        if total > 0.0 {
            let share = usage.allocated.hours() / total;
            g.number(format!("cost.{name}-share"), CAMPAIGN, format!("share of the {what}"), share, Show::Percent(0));
        }
    }
    let mut seconds: Vec<f64> = g
        .state
        .runs
        .iter()
        .filter(|r| matches!(r.result, Some(RunResult::Finished { .. })))
        .map(|r| r.used().time.seconds())
        .collect();
    seconds.sort_by(f64::total_cmp);
    if let (Some(low), Some(high)) = (seconds.first().copied(), seconds.last().copied()) {
        let n = seconds.len();
        g.number(
            "cost.run.median",
            CAMPAIGN,
            "median device time of a finished run",
            percentile(&seconds, 0.5),
            Show::Duration,
        )
        .n(n);
        g.number("cost.run.shortest", CAMPAIGN, "shortest finished run", low, Show::Duration).n(n);
        g.number("cost.run.longest", CAMPAIGN, "longest finished run", high, Show::Duration).n(n);
    }
}

/// What a finished run was expected to take, and took: seconds.
pub fn predicted(run: &Run) -> Option<(f64, f64)> {
    if !matches!(run.result, Some(RunResult::Finished { .. })) {
        return None;
    }
    let held: f64 = run.attempts.iter().filter_map(|a| a.ended.as_ref()).map(|e| e.evidence.seconds).sum();
    (run.price.seconds > 0.0 && held > 0.0).then_some((run.price.seconds, held))
}

fn prediction(g: &mut Gather) {
    let pairs: Vec<(&Run, (f64, f64))> = g.state.runs.iter().filter_map(|r| Some((r, predicted(r)?))).collect();
    if pairs.is_empty() {
        return;
    }
    let n = pairs.len();
    let mut ratios: Vec<f64> = pairs.iter().map(|(_, (expected, held))| held / expected).collect();
    ratios.sort_by(f64::total_cmp);
    let within = pairs.iter().filter(|(r, (_, held))| *held <= r.price.high_seconds).count();
    g.number(
        "prediction.ratio",
        CAMPAIGN,
        "median of held over predicted time",
        percentile(&ratios, 0.5),
        Show::Decimals(2),
    )
    .n(n);
    g.number(
        "prediction.low",
        CAMPAIGN,
        "tenth percentile of held over predicted time",
        percentile(&ratios, 0.1),
        Show::Decimals(2),
    )
    .n(n);
    g.number(
        "prediction.high",
        CAMPAIGN,
        "ninetieth percentile of held over predicted time",
        percentile(&ratios, 0.9),
        Show::Decimals(2),
    )
    .n(n);
    let share = within as f64 / n as f64;
    g.number(
        "prediction.within",
        CAMPAIGN,
        "share of runs within the upper end of the prediction",
        share,
        Show::Percent(0),
    )
    .n(n);
}

fn language_model(g: &mut Gather) {
    let counsel = &g.state.counsel;
    if !counsel.used() {
        return;
    }
    let (usage, dollars) = counsel.paid();
    g.count("llm.questions", "questions asked to a language model", counsel.answered.len()).unit("questions");
    let failed = counsel.answered.iter().filter(|a| a.failure.is_some()).count();
    g.count("llm.failed", "questions that brought nothing of use", failed).unit("questions");
    g.number("llm.tokens.in", CAMPAIGN, "tokens sent", usage.input_tokens as f64, Show::Count).unit("tokens");
    g.number("llm.tokens.out", CAMPAIGN, "tokens answered", usage.output_tokens as f64, Show::Count).unit("tokens");
    g.number("llm.dollars", CAMPAIGN, "price of the questions", dollars.value(), Show::Dollars);
    if let Some(model) = &counsel.model {
        g.name(model.clone());
        g.text("llm.model", CAMPAIGN, "the language model", model.clone());
    }
    let own = counsel.designs.iter().filter(|d| d.proposal.is_some()).count();
    g.count("llm.proposals", "proposals that are the language model's own", own).unit("proposals");
}
