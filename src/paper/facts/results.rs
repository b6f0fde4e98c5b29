//! Results: the baseline and its noise, every candidate that was looked at, and how those compare that were repeated.

use super::{Gather, words};
use crate::analysis::{Verdict, single_run_floor};
use crate::campaign::{Candidate, Purpose, Standing, correction};
use crate::config::Direction;
use crate::ids::RunId;
use crate::paper::fact::{Basis, Bounds, CAMPAIGN, Show, Shows, Value};
use std::collections::BTreeMap;

pub(super) fn add(g: &mut Gather) {
    let (state, metric) = (g.state, words::metric_name(g.state.campaign.objective.metric));
    let direction = if state.direction() == Direction::Minimize { "smaller" } else { "larger" };
    g.text("objective.name", CAMPAIGN, "the objective", metric);
    g.text("objective.direction", CAMPAIGN, "which values are good", direction);
    g.number(
        "objective.confidence",
        CAMPAIGN,
        "nominal coverage of intervals",
        state.campaign.objective.confidence,
        Show::Percent(0),
    );
    if let Some(goal) = state.campaign.objective.goal {
        let (decimals, unit) = (g.decimals, g.unit);
        g.number("objective.goal", CAMPAIGN, "the goal", goal, Show::Decimals(decimals)).unit(unit);
        let met = if crate::campaign::goal_met(state) { "reached" } else { "not reached" };
        g.text("objective.goal.reached", CAMPAIGN, "whether the goal was reached", met);
    }
    g.add("campaign.question", CAMPAIGN, "the question", Value::Quote(state.campaign.question.clone()), Show::Words);
    if let Some(conclusion) = &state.conclusion {
        g.text("campaign.ended", CAMPAIGN, "why the campaign ended", conclusion.reason.words());
    }
    baseline(g);
    candidates(g);
    runs(g);
}

/// Numbers of the baseline's runs by seed.
fn baseline_runs(g: &Gather) -> BTreeMap<u64, u32> {
    let finished = g.state.runs.iter().filter(|r| r.purpose == Purpose::Baseline && g.state.value(r).is_some());
    finished.map(|r| (r.seed, r.id.0)).collect()
}

fn baseline(g: &mut Gather) {
    g.subject("baseline", &["baseline", "baselines", "reference configuration"]);
    let Some(baseline) = g.state.baseline.clone() else { return };
    let metric = g.state.metric().to_string();
    let what = words::metric_name(g.state.campaign.objective.metric);
    let runs: Vec<u32> = baseline_runs(g).into_values().collect();
    let (decimals, unit, files) = (g.decimals, g.unit, Gather::metrics_files(&runs));
    let mean = Basis::Mean { runs: runs.clone(), metric: metric.clone() };
    let fact = g.number(
        "baseline.metric",
        "baseline",
        format!("mean {what} over seeds"),
        baseline.interval.mean,
        Show::Decimals(decimals),
    );
    fact.unit(unit).within(&baseline.interval).from(mean, files.clone());
    let floor = Basis::NoiseFloor { runs: runs.clone(), metric: metric.clone() };
    let fact = g.number(
        "baseline.floor",
        CAMPAIGN,
        "noise floor under a difference of two means over seeds",
        baseline.floor,
        Show::Decimals(decimals),
    );
    fact.unit(unit).n(runs.len()).from(floor, files.clone());
    let values: Vec<f64> = baseline.values.values().copied().collect();
    let single = single_run_floor(&values);
    let fact = g.number(
        "baseline.single-floor",
        CAMPAIGN,
        "noise floor under a difference of two single runs",
        single,
        Show::Decimals(decimals),
    );
    fact.unit(unit).n(runs.len()).from(Basis::NoiseFloor { runs, metric }, files.clone());
    let spread =
        values.iter().copied().fold(f64::NEG_INFINITY, f64::max) - values.iter().copied().fold(f64::INFINITY, f64::min);
    let fact = g.number("baseline.spread", "baseline", "range over seeds", spread, Show::Decimals(decimals));
    fact.unit(unit).n(values.len()).from(Basis::Journal, files);
}

/// Every candidate that gave a value: its settings and first look; if it was repeated, how it compares.
fn candidates(g: &mut Gather) {
    let best = g.state.best().map(|c| c.index);
    let compared = correction::compared(g.state);
    let survivors = correction::survivors(g.state);
    let confirmed = survivors.len();
    let lead = g.state.contenders().first().map(|c| c.index);
    let all: Vec<Candidate> = g.state.candidates.iter().filter(|c| c.value.is_some()).cloned().collect();
    for candidate in &all {
        let key = format!("candidate.{}", candidate.index);
        g.subject(&key, &[&format!("candidate {}", candidate.index)]);
        if Some(candidate.index) == best {
            g.subject(
                &key,
                &["best candidate", "best confirmed candidate", "selected configuration", "best configuration"],
            );
            if confirmed == 1 {
                g.subject(&key, &["confirmed candidate"]);
            }
        }
        if best.is_none() && Some(candidate.index) == lead {
            g.subject(&key, &["leading candidate", "best at first look"]);
        }
        one(g, candidate, &key, &key, &compared, &survivors);
    }
    // The best under a name that does not depend on its number.
    if let Some(candidate) = all.iter().find(|c| Some(c.index) == best) {
        let key = format!("candidate.{}", candidate.index);
        one(g, candidate, &key, "candidate.best", &compared, &survivors);
        g.text("candidate.best.name", &key, "the best candidate", format!("candidate {}", candidate.index));
    }
    let judged = all.iter().filter(|c| matches!(c.standing, Standing::Judged { .. })).count();
    g.count("search.judged", "candidates repeated over seeds", judged).unit("candidates");
    g.count("search.confirmed", "candidates that cleared the noise floor after the correction", confirmed)
        .unit("candidates");
}

fn one(g: &mut Gather, c: &Candidate, subject: &str, id: &str, compared: &[correction::Compared], survivors: &[u64]) {
    let (metric, what) = (g.state.metric().to_string(), words::metric_name(g.state.campaign.objective.metric));
    let (decimals, unit) = (g.decimals, g.unit);
    for (path, value) in &c.assignment {
        g.setting(format!("{id}.setting.{}", words::slug(path)), subject, path, value);
    }
    if let (Some(value), Some(run)) = (c.value, c.screening) {
        let basis = Basis::LastMetric { run: run.0, metric: metric.clone() };
        let fact = g.number(
            format!("{id}.first-look"),
            subject,
            format!("{what} at first look, one seed"),
            value,
            Show::Decimals(decimals),
        );
        fact.unit(unit).n(1).from(basis, Gather::metrics_files(&[run.0]));
    }
    if let Some(manifest) = c.screening.and_then(|run| g.manifests.get(&run)) {
        let (parameters, run) = (manifest.parameters as f64, c.screening.unwrap_or(RunId(0)));
        let fact = g.number(format!("{id}.parameters"), subject, "trained parameters", parameters, Show::Count);
        fact.unit("parameters").from(Basis::Attempts, vec![format!("runs/{run}/manifest.json")]);
    }
    let Standing::Judged { verdict, difference, own, why } = &c.standing else { return };
    // Fresh seeds with a value in both, as the verdict has them.
    let baseline = baseline_runs(g);
    let pairs: Vec<(u32, u32)> = c
        .fresh()
        .filter_map(|(seed, run)| {
            g.state.value(g.state.run(run)?)?;
            Some((run.0, *baseline.get(&seed)?))
        })
        .collect();
    let (runs, against): (Vec<u32>, Vec<u32>) = pairs.into_iter().unzip();
    let files = Gather::metrics_files(&[runs.clone(), against.clone()].concat());
    let survives = survivors.contains(&c.index);
    let shows = match verdict {
        Verdict::Better if survives => Shows::Improvement,
        Verdict::Worse => Shows::Harm,
        _ => Shows::Nothing,
    };
    if let Some(own) = own {
        let basis = Basis::Mean { runs: runs.clone(), metric: metric.clone() };
        let fact = g.number(
            format!("{id}.metric"),
            subject,
            format!("mean {what} over fresh seeds"),
            own.mean,
            Show::Decimals(decimals),
        );
        fact.unit(unit).within(own).from(basis, Gather::metrics_files(&runs));
        if let Some(first) = c.value {
            let fact = g.number(
                format!("{id}.shrink"),
                subject,
                "first look less the mean over fresh seeds",
                first - own.mean,
                Show::Signed(decimals),
            );
            fact.unit(unit).n(own.n);
        }
    }
    if let Some(difference) = difference {
        let basis = Basis::PairedDifference { runs, against, metric };
        let fact = g.number(
            format!("{id}.difference"),
            subject,
            format!("paired difference of {what} to the baseline"),
            difference.mean,
            Show::Signed(decimals),
        );
        fact.unit(unit).within(difference).against("baseline").shows(shows).from(basis, files);
        if let (Some(own), Some(base)) = (own, g.state.baseline.as_ref()) {
            relative(g, id, subject, own.mean - difference.mean, difference, shows);
            let floors = difference.mean.abs() / base.floor;
            if base.floor > 0.0 && floors.is_finite() {
                let fact = g.number(
                    format!("{id}.floors"),
                    subject,
                    "size of the difference in noise floors",
                    floors,
                    Show::Decimals(1),
                );
                fact.against("baseline").n(difference.n).shows(shows);
            }
        }
    }
    if let Some(own) = compared.iter().find(|x| x.index == c.index) {
        let what = "two-sided paired p value after Holm's correction";
        g.number(format!("{id}.p"), subject, what, own.adjusted, Show::PValue).against("baseline").shows(shows);
    }
    let word = match (verdict, survives) {
        (Verdict::Better, true) => "confirmed",
        (Verdict::Better, false) => "not confirmed after the correction",
        (Verdict::Worse, _) => "refuted",
        (Verdict::Undecided, _) => "not confirmed",
    };
    g.text(format!("{id}.verdict"), subject, "verdict", word);
    g.text(format!("{id}.why"), subject, "the verdict's reason", why.clone());
}

/// The difference as a share of what could be gained: of the error where the objective is an accuracy, of the value else.
fn relative(g: &mut Gather, id: &str, subject: &str, base: f64, difference: &crate::analysis::Interval, shows: Shows) {
    use crate::config::Metric;
    let error = matches!(g.state.campaign.objective.metric, Metric::Accuracy | Metric::R2);
    let (whole, what) = if error { (1.0 - base, "change of the error") } else { (base, "relative change") };
    if whole.abs() < 1e-9 {
        return;
    }
    // An error falls as an accuracy rises.
    let sign = if error { -1.0 } else { 1.0 };
    let (low, high) = (sign * difference.low / whole, sign * difference.high / whole);
    let fact = g.number(format!("{id}.relative"), subject, what, sign * difference.mean / whole, Show::Percent(0));
    fact.against("baseline").n(difference.n).shows(shows);
    fact.interval = (low.is_finite() && high.is_finite()).then_some(Bounds {
        low: low.min(high),
        high: low.max(high),
        confidence: difference.confidence,
    });
}

/// The objective of every finished run.
fn runs(g: &mut Gather) {
    let metric = g.state.metric().to_string();
    let what = words::metric_name(g.state.campaign.objective.metric);
    let (decimals, unit) = (g.decimals, g.unit);
    for run in &g.state.runs {
        let Some(value) = g.state.value(run) else { continue };
        let key = format!("run.{}", run.id);
        g.subject(&key, &[&format!("run {}", run.id)]);
        let basis = Basis::LastMetric { run: run.id.0, metric: metric.clone() };
        let fact = g.number(format!("{key}.metric"), &key, what, value, Show::Decimals(decimals));
        fact.unit(unit).n(1).from(basis, Gather::metrics_files(&[run.id.0]));
    }
}
