//! What the work took: counted and summed over the journal's events and the attempts' records in it.

use super::super::measured::Measured;
use super::Quantities;
use crate::analysis::percentile;
use crate::campaign::hypotheses::{Verdict, judge};
use crate::campaign::{Event, Overhead, Purpose, Run, RunResult};
use crate::failure::Class;
use crate::ids::AttemptId;
use crate::units::DeviceTime;
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn add(all: &mut Quantities, m: &Measured) {
    runs(all, m);
    attempts(all, m);
    costs(all, m);
    prediction(all, m);
    words(all, m);
}

fn runs(all: &mut Quantities, m: &Measured) {
    let runs = &m.state.runs;
    let of = |wanted: &dyn Fn(&Run) -> bool| runs.iter().filter(|r| wanted(r)).count();
    let counts = [
        ("runs.total", m.events.iter().filter(|e| matches!(e, Event::RunPlanned { .. })).count()),
        ("runs.finished", of(&|r| matches!(r.result, Some(RunResult::Finished { .. })))),
        ("runs.failed", of(&|r| matches!(r.result, Some(RunResult::Failed { .. })))),
        ("runs.open", of(&|r| r.result.is_none())),
        ("runs.baseline", of(&|r| r.purpose == Purpose::Baseline)),
        ("runs.candidate", of(&|r| matches!(r.purpose, Purpose::Candidate { .. }))),
        ("runs.confirm", of(&|r| matches!(r.purpose, Purpose::Confirm { .. }))),
    ];
    for (id, n) in counts {
        all.count(id, n);
    }
}

fn attempts(all: &mut Quantities, m: &Measured) {
    let reserved = m.events.iter().filter(|e| matches!(e, Event::AttemptReserved { .. })).count();
    all.count("attempts.total", reserved);
    let good = |c: &Class| matches!(c, Class::Completed | Class::Diverged | Class::Paused | Class::Checkpointed);
    let (mut kinds, mut bad, mut diverged): (BTreeMap<&str, usize>, BTreeSet<u32>, BTreeSet<u32>) = Default::default();
    for event in &m.events {
        if let Event::AttemptEnded { id, class, .. } = event {
            if !good(class) {
                *kinds.entry(class.name()).or_default() += 1;
                bad.insert(id.run.0);
            }
            if matches!(class, Class::Diverged) {
                diverged.insert(id.run.0);
            }
        }
    }
    all.count("attempts.failed", kinds.values().sum());
    for (kind, n) in kinds {
        all.count(&format!("attempts.failed.{kind}"), n);
    }
    all.count("runs.diverged", diverged.len());
    let finished = |run: &Run| matches!(run.result, Some(RunResult::Finished { .. }));
    all.count("runs.recovered", m.state.runs.iter().filter(|r| finished(r) && bad.contains(&r.id.0)).count());
    let adopted = m.state.runs.iter().flat_map(|r| &r.attempts).filter(|a| a.adopted).count();
    all.count("attempts.adopted", adopted);
}

/// What an attempt held, overrun included.
fn held(m: &Measured) -> Vec<(AttemptId, DeviceTime, &crate::campaign::facts::EvidenceSummary)> {
    let one = |event: &Event| match event {
        Event::AttemptEnded { id, time, overrun, .. } => Some((*id, *time, *overrun)),
        _ => None,
    };
    let ended: BTreeMap<AttemptId, (DeviceTime, DeviceTime)> =
        m.events.iter().filter_map(one).map(|(id, time, overrun)| (id, (time, overrun))).collect();
    m.state
        .runs
        .iter()
        .flat_map(|r| &r.attempts)
        .filter_map(|a| {
            let (time, overrun) = ended.get(&a.id)?;
            Some((a.id, *time + *overrun, &a.ended.as_ref()?.evidence))
        })
        .collect()
}

fn costs(all: &mut Quantities, m: &Measured) {
    let held = held(m);
    let total: DeviceTime = held.iter().fold(DeviceTime::default(), |sum, h| sum + h.1);
    all.put("cost.allocated", total.hours()).n(held.len());
    let budget = m.state.campaign.budget.device_hours;
    all.put("cost.budget", budget);
    if budget > 0.0 {
        all.put("cost.budget-share", total.hours() / budget);
    }
    all.put("cost.elapsed", m.state.updated - m.state.created);
    let (mut busy, mut measured, mut n_busy, mut joules, mut memory): (f64, f64, usize, Option<f64>, u64) =
        Default::default();
    for (_, time, evidence) in &held {
        // Of a device that several share, each attempt is told its part.
        let part = if evidence.seconds > 0.0 { (time.seconds() / evidence.seconds).min(1.0) } else { 1.0 };
        let Some(looks) = &evidence.utilization else { continue };
        if let Some(seconds) = looks.busy_seconds() {
            busy += DeviceTime::of(1, part * seconds).min(*time).hours();
            measured += time.hours();
            n_busy += 1;
        }
        if let Some(own) = looks.joules() {
            joules = Some(joules.unwrap_or(0.0) + part * own);
        }
        memory = memory.max(looks.device_memory().map_or(0, |b| b.0));
    }
    if n_busy > 0 {
        all.put("cost.busy", busy).n(n_busy);
        if measured > 0.0 {
            all.put("cost.busy-share", busy / measured).n(n_busy);
        }
    }
    if let Some(joules) = joules {
        all.put("cost.energy", joules).n(held.len());
    }
    if memory > 0 {
        all.put("cost.device-memory", memory as f64);
    }
    let peak = held.iter().map(|h| h.2.peak_memory.0).max().unwrap_or(0);
    if peak > 0 {
        all.put("cost.memory", peak as f64);
    }
    let mut micro = 0u64;
    for event in &m.events {
        micro += match event {
            Event::AttemptEnded { dollars, .. } => dollars.micro,
            Event::Answered { paid, .. } => paid.dollars.micro,
            _ => 0,
        };
    }
    all.put("cost.dollars", micro as f64 / 1e6);
    let overhead = Overhead::of(&m.state);
    all.put("cost.wasted", overhead.wasted.hours());
    if let Some(share) = overhead.wasted_share {
        all.put("cost.wasted-share", share);
    }
    let purpose = |id: &AttemptId| m.state.run(id.run).map(|r| r.purpose);
    let name_of = |purpose: Purpose| match purpose {
        Purpose::Baseline => "baseline",
        Purpose::Candidate { .. } => "search",
        Purpose::Confirm { .. } => "confirm",
    };
    for name in ["baseline", "search", "confirm"] {
        let own = held.iter().filter(|h| purpose(&h.0).is_some_and(|p| name_of(p) == name));
        let time = own.fold(DeviceTime::default(), |sum, h| sum + h.1);
        let n = m.state.runs.iter().filter(|r| name_of(r.purpose) == name).count();
        all.put(format!("cost.{name}"), time.hours()).n(n);
        if total.ms > 0 {
            all.put(format!("cost.{name}-share"), time.hours() / total.hours());
        }
    }
    let used = |r: &Run| {
        let times = m.events.iter().filter_map(|e| match e {
            Event::AttemptEnded { id, time, .. } if id.run == r.id => Some(time.ms),
            _ => None,
        });
        times.sum::<u64>() as f64 / 1e3
    };
    let finished = m.state.runs.iter().filter(|r| matches!(r.result, Some(RunResult::Finished { .. })));
    let mut seconds: Vec<f64> = finished.map(used).collect();
    seconds.sort_by(f64::total_cmp);
    if let (Some(low), Some(high)) = (seconds.first(), seconds.last()) {
        let n = seconds.len();
        all.put("cost.run.median", percentile(&seconds, 0.5)).n(n);
        all.put("cost.run.shortest", *low).n(n);
        all.put("cost.run.longest", *high).n(n);
    }
}

fn prediction(all: &mut Quantities, m: &Measured) {
    let mut ratios = Vec::new();
    let mut within = 0;
    for run in m.state.runs.iter().filter(|r| matches!(r.result, Some(RunResult::Finished { .. }))) {
        let seconds: f64 = run.attempts.iter().filter_map(|a| a.ended.as_ref()).map(|e| e.evidence.seconds).sum();
        if run.price.seconds > 0.0 && seconds > 0.0 {
            ratios.push(seconds / run.price.seconds);
            within += usize::from(seconds <= run.price.high_seconds);
        }
    }
    if ratios.is_empty() {
        return;
    }
    ratios.sort_by(f64::total_cmp);
    let n = ratios.len();
    for (id, share) in [("prediction.ratio", 0.5), ("prediction.low", 0.1), ("prediction.high", 0.9)] {
        all.put(id, percentile(&ratios, share)).n(n);
    }
    all.put("prediction.within", within as f64 / n as f64).n(n);
}

/// Questions, decisions, hypotheses.
fn words(all: &mut Quantities, m: &Measured) {
    let (mut questions, mut failed, mut sent, mut answered, mut micro) = (0, 0, 0u64, 0u64, 0u64);
    for event in &m.events {
        if let Event::Answered { reply, paid, .. } = event {
            questions += 1;
            failed += usize::from(matches!(**reply, crate::campaign::Reply::Nothing { .. }));
            sent += paid.usage.input_tokens;
            answered += paid.usage.output_tokens;
            micro += paid.dollars.micro;
        }
    }
    if questions > 0 || m.state.counsel.used() {
        all.count("llm.questions", questions);
        all.count("llm.failed", failed);
        all.put("llm.tokens.in", sent as f64);
        all.put("llm.tokens.out", answered as f64);
        all.put("llm.dollars", micro as f64 / 1e6);
        let own = m.events.iter().filter(|e| matches!(e, Event::ProposalMade { design: Some(_), .. })).count();
        all.count("llm.proposals", own);
    }
    all.count("decisions.total", m.state.decisions.len());
    all.count("events.total", m.events.len());
    let posed = &m.state.counsel.hypotheses;
    all.count("hypotheses.total", posed.len());
    let mut standing = [0usize; 4];
    for (i, one) in posed.iter().enumerate() {
        let n = i + 1;
        standing[match judge(&m.state, n).verdict {
            Verdict::Supported => 0,
            Verdict::Refuted => 1,
            Verdict::Open => 2,
            Verdict::Untested => 3,
        }] += 1;
        all.put(format!("hypothesis.{n}.predicted"), one.hypothesis.effect);
        all.put(format!("hypothesis.{n}.belief"), one.hypothesis.belief);
    }
    for (word, n) in ["supported", "refuted", "open", "untested"].into_iter().zip(standing) {
        all.count(&format!("hypotheses.{word}"), n);
    }
}
