//! Results: from each run's last evaluation in its `metrics.jsonl`.

use super::super::measured::Measured;
use super::{Quantities, slug};
use crate::analysis::{
    EffectKind, Interval, Trial, Verdict, holm, main_effects, mean, mean_interval, quartile_fence, standard_deviation,
    t_quantile,
};
use crate::campaign::{Candidate, Purpose, Standing};
use crate::config::{Direction, Metric};
use std::collections::BTreeMap;

pub(super) fn add(all: &mut Quantities, m: &Measured) {
    let base = baseline(all, m);
    candidates(all, m, &base);
    search(all, m, &base);
    effects(all, m);
    scaling(all, m);
    drawn(all, m, &base);
    for (run, metrics) in &m.last {
        if let Some(value) = metrics.get(m.state.metric()) {
            all.put(format!("run.{run:04}.metric"), *value).n(1);
        }
    }
}

/// The baseline's values by seed.
fn baseline(all: &mut Quantities, m: &Measured) -> BTreeMap<u64, f64> {
    let own = m.state.runs.iter().filter(|r| r.purpose == Purpose::Baseline);
    let values: BTreeMap<u64, f64> = own.filter_map(|r| Some((r.seed, m.objective(r.id.0)?))).collect();
    if m.state.baseline.is_none() || values.is_empty() {
        return values;
    }
    let list: Vec<f64> = values.values().copied().collect();
    let (k, confidence) = (list.len(), m.state.campaign.objective.confidence);
    all.put("baseline.metric", mean(&list)).within(&mean_interval(&list, confidence));
    if k >= 2 {
        // The half-width of a 95% interval for the difference of two further runs; of two means over k, smaller by sqrt(k).
        let single = t_quantile(0.975, (k - 1) as f64) * standard_deviation(&list) * 2f64.sqrt();
        all.put("baseline.single-floor", single).n(k);
        all.put("baseline.floor", single / (k as f64).sqrt()).n(k);
    }
    let (low, high) = list.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
    all.put("baseline.spread", high - low).n(k);
    values
}

fn candidates(all: &mut Quantities, m: &Measured, base: &BTreeMap<u64, f64>) {
    let best = m.state.best().map(|c| c.index);
    let mut tests = Vec::new();
    for c in m.state.candidates.iter().filter(|c| c.value.is_some()) {
        let mut ids = vec![format!("candidate.{}", c.index)];
        if Some(c.index) == best {
            ids.push("candidate.best".to_string());
        }
        for id in &ids {
            one(all, m, c, id, base);
        }
        if let Standing::Judged { difference, .. } = &c.standing {
            let p = difference.as_ref().map_or(1.0, |d| {
                let own = paired(m, c, base).map(|pairs| mean_interval(&pairs.differences(), d.confidence));
                // A race that looked more than once had a share of the error only.
                let looks = ((1.0 - m.state.campaign.objective.confidence) / (1.0 - d.confidence)).max(1.0);
                own.map_or(1.0, |own| (own.p_value() * looks).min(1.0))
            });
            tests.push((ids, p));
        }
    }
    let adjusted = holm(&tests.iter().map(|t| t.1).collect::<Vec<_>>());
    for ((ids, _), p) in tests.into_iter().zip(adjusted) {
        for id in ids {
            all.put(format!("{id}.p"), p);
        }
    }
}

/// Values on the same fresh seeds: the candidate's and the baseline's.
struct Pairs(Vec<(f64, f64)>);

impl Pairs {
    fn differences(&self) -> Vec<f64> {
        self.0.iter().map(|(own, base)| own - base).collect()
    }
    fn own(&self) -> Vec<f64> {
        self.0.iter().map(|(own, _)| *own).collect()
    }
}

fn paired(m: &Measured, c: &Candidate, base: &BTreeMap<u64, f64>) -> Option<Pairs> {
    let pairs = c.fresh().filter_map(|(seed, run)| Some((m.objective(run.0)?, *base.get(&seed)?)));
    let pairs: Vec<(f64, f64)> = pairs.collect();
    (!pairs.is_empty()).then_some(Pairs(pairs))
}

fn one(all: &mut Quantities, m: &Measured, c: &Candidate, id: &str, base: &BTreeMap<u64, f64>) {
    for (path, value) in &c.assignment {
        if let Some(number) = value.as_f64() {
            all.put(format!("{id}.setting.{}", slug(path)), number);
        }
    }
    let first = c.screening.and_then(|run| m.objective(run.0));
    if let Some(first) = first {
        all.put(format!("{id}.first-look"), first).n(1);
    }
    if let Some(manifest) = c.screening.and_then(|run| m.manifests.get(&run.0)) {
        all.put(format!("{id}.parameters"), manifest.parameters as f64);
    }
    let Standing::Judged { difference, own, .. } = &c.standing else { return };
    let Some(pairs) = paired(m, c, base) else { return };
    let values = pairs.own();
    if let Some(recorded) = own {
        let own = mean_interval(&values, recorded.confidence);
        all.put(format!("{id}.metric"), own.mean).within(&own);
        if let Some(first) = first {
            all.put(format!("{id}.shrink"), first - own.mean).n(own.n);
        }
    }
    let Some(recorded) = difference else { return };
    let d = mean_interval(&pairs.differences(), recorded.confidence);
    all.put(format!("{id}.difference"), d.mean).within(&d);
    relative(all, m, id, mean(&values) - d.mean, &d);
    let list: Vec<f64> = base.values().copied().collect();
    if list.len() >= 2 {
        let k = list.len() as f64;
        let floor = t_quantile(0.975, k - 1.0) * standard_deviation(&list) * (2.0 / k).sqrt();
        if floor > 0.0 {
            all.put(format!("{id}.floors"), d.mean.abs() / floor).n(d.n);
        }
    }
}

/// As a share of the error where the objective is an accuracy, of the value else.
fn relative(all: &mut Quantities, m: &Measured, id: &str, base: f64, d: &Interval) {
    let error = matches!(m.state.campaign.objective.metric, Metric::Accuracy | Metric::R2);
    let whole = if error { base - 1.0 } else { base };
    if whole.abs() < 1e-9 {
        return;
    }
    let (a, b) = (d.low / whole, d.high / whole);
    let quantity = all.put(format!("{id}.relative"), d.mean / whole).n(d.n);
    if a.is_finite() && b.is_finite() {
        quantity.interval = Some((a.min(b), a.max(b), d.confidence));
    }
}

fn search(all: &mut Quantities, m: &Measured, base: &BTreeMap<u64, f64>) {
    let candidates = &m.state.candidates;
    let of = |wanted: &dyn Fn(&Candidate) -> bool| candidates.iter().filter(|c| wanted(c)).count();
    all.count("search.proposed", candidates.len());
    all.count("search.tried", of(&|c| !c.runs.is_empty()));
    all.count("search.valued", of(&|c| c.value.is_some()));
    all.count("search.failed", of(&|c| matches!(c.standing, Standing::Failed { .. })));
    all.count("search.rejected", of(&|c| matches!(c.standing, Standing::Rejected { .. })));
    all.count("search.judged", of(&|c| matches!(c.standing, Standing::Judged { .. })));
    let error = 1.0 - m.state.campaign.objective.confidence;
    let survives = |c: &Candidate| {
        let better = matches!(c.standing, Standing::Judged { verdict: Verdict::Better, .. });
        better && all.get(&format!("candidate.{}.p", c.index)).is_some_and(|p| p.value <= error + 1e-9)
    };
    let confirmed = of(&survives);
    all.count("search.confirmed", confirmed);
    let list: Vec<f64> = base.values().copied().collect();
    if list.is_empty() {
        return;
    }
    let (middle, sign) = (mean(&list), if m.state.direction() == Direction::Maximize { 1.0 } else { -1.0 });
    // A run that serves two proposals is one first look.
    let mut seen = Vec::new();
    let mut looks: Vec<f64> = Vec::new();
    let mut valued = 0;
    for c in candidates.iter().filter(|c| c.value.is_some()) {
        valued += 1;
        if let Some(run) = c.screening.filter(|run| !seen.contains(run)) {
            seen.push(run);
            looks.extend(m.objective(run.0));
        }
    }
    let ahead = looks.iter().filter(|v| sign * (**v - middle) > 0.0).count();
    all.count("search.ahead", ahead);
    if valued > 0 {
        all.put("search.ahead-share", ahead as f64 / f64::from(valued));
    }
    let floor = all.get("baseline.single-floor").map_or(f64::INFINITY, |q| q.value);
    let own = |c: &&Candidate| c.screening.and_then(|run| m.objective(run.0));
    let beyond =
        candidates.iter().filter(|c| c.value.is_some()).filter_map(|c| own(&c)).filter(|v| sign * (v - middle) > floor);
    let beyond = beyond.count();
    all.count("search.beyond", beyond);
}

fn effects(all: &mut Quantities, m: &Measured) {
    if m.state.campaign.batch.is_some() {
        return;
    }
    let looks = m.state.candidates.iter().filter(|c| c.value.is_some());
    let trials: Vec<Trial> = looks
        .filter_map(|c| Some(Trial { assignment: c.assignment.clone(), value: m.objective(c.screening?.0)? }))
        .collect();
    let found = main_effects(&trials, m.state.campaign.objective.confidence);
    let p_values: Vec<f64> = found
        .iter()
        .map(|e| if let EffectKind::Correlation { p_value, .. } = e.kind { p_value } else { 1.0 })
        .collect();
    for (effect, p) in found.iter().zip(holm(&p_values)) {
        let slug = slug(&effect.parameter);
        all.put(format!("effect.{slug}.strength"), effect.strength).n(effect.n);
        match &effect.kind {
            EffectKind::Correlation { rho, .. } => {
                all.put(format!("effect.{slug}.rho"), *rho).n(effect.n);
                all.put(format!("effect.{slug}.p"), p).n(effect.n);
            }
            EffectKind::Groups { groups } => {
                for group in groups {
                    let choice = setting(&group.choice);
                    let choice: String = choice.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
                    let id = format!("effect.{slug}.group.{}", choice.trim_matches('-'));
                    all.put(id, group.interval.mean).within(&group.interval);
                }
            }
        }
    }
    all.count("effect.n", trials.len());
}

/// A choice as the ids have it.
fn setting(value: &serde_json::Value) -> String {
    use serde_json::Value as V;
    match value {
        V::Array(items) => format!("[{}]", items.iter().map(setting).collect::<Vec<_>>().join(", ")),
        V::Bool(true) => "on".to_string(),
        V::Bool(false) => "off".to_string(),
        V::Null => "none".to_string(),
        other => crate::campaign::value_text(other),
    }
}

/// How many runs stand behind the figures.
fn drawn(all: &mut Quantities, m: &Measured, base: &BTreeMap<u64, f64>) {
    let evaluated = |run: u32| m.evaluated.contains(&run);
    let own = m.state.runs.iter().filter(|r| r.purpose == Purpose::Baseline && r.result.is_some());
    all.count("figure.curves.baseline", own.filter(|r| evaluated(r.id.0)).count());
    if let Some(candidate) = m.state.best().or_else(|| m.state.contenders().first().copied()) {
        let fresh: Vec<u32> = candidate.fresh().map(|(_, run)| run.0).collect();
        let runs = if fresh.is_empty() { candidate.screening.iter().map(|r| r.0).collect() } else { fresh };
        all.count("figure.curves.candidate", runs.into_iter().filter(|r| evaluated(*r)).count());
    }
    let values: Vec<f64> = m.state.runs.iter().filter_map(|r| m.objective(r.id.0)).collect();
    all.count("figure.progress.n", values.len());
    all.count("figure.devices.parts", crate::figures::PARTS);
    // The figure ends one and a half times as far on the bad side as the worst baseline run lies from the best of all, or
    // where there is no such distance three quartile distances beyond the worse quartile.
    let sign = if m.state.direction() == Direction::Maximize { 1.0 } else { -1.0 };
    let best = values.iter().map(|v| sign * v).fold(f64::NEG_INFINITY, f64::max);
    let worst = base.values().map(|v| sign * v).fold(best, f64::min);
    let end = match best > worst {
        true => Some(best - 1.5 * (best - worst)),
        false => quartile_fence(&values, m.state.direction(), 3.0).map(|v| sign * v),
    };
    let outside = values.iter().filter(|v| end.is_some_and(|end| sign * **v < end)).count();
    all.count("figure.progress.outside", outside);
}

/// The error of the best run of each size, as a power of the number of parameters.
fn scaling(all: &mut Quantities, m: &Measured) {
    for (run, manifest) in &m.manifests {
        all.put(format!("run.{run:04}.parameters"), manifest.parameters as f64);
    }
    let minimised = matches!(m.state.campaign.objective.metric, Metric::Loss | Metric::BitsPerByte);
    // A size is what its widths and depths make; its parameters are the geometric mean over its runs.
    const SHAPE: [&str; 4] = ["model.width", "model.widths", "model.depth", "model.stages"];
    let mut sizes: BTreeMap<String, (Vec<f64>, Vec<f64>)> = BTreeMap::new();
    for run in &m.state.runs {
        if let (Some(manifest), Some(value)) = (m.manifests.get(&run.id.0), m.objective(run.id.0)) {
            let shape: Vec<_> = SHAPE.iter().map(|path| run.experiment.get(path)).collect();
            let (logs, errors) = sizes.entry(format!("{shape:?}")).or_default();
            logs.push((manifest.parameters.max(1) as f64).ln());
            errors.push(if minimised { value } else { 1.0 - value });
        }
    }
    let best = |errors: &[f64]| errors.iter().copied().fold(f64::INFINITY, f64::min);
    let mut kept: Vec<(f64, f64, usize)> = sizes
        .values()
        .map(|(logs, errors)| (mean(logs).exp(), best(errors), errors.len()))
        .filter(|(p, error, _)| *p > 0.0 && *error > 0.0)
        .collect();
    kept.sort_by(|a, b| a.0.total_cmp(&b.0));
    let n = kept.len() as f64;
    let (Some(first), Some(last)) = (kept.first(), kept.last()) else { return };
    if kept.len() < 3 {
        return;
    }
    let points: Vec<(f64, f64)> = kept.iter().map(|(p, e, _)| (p.ln(), e.ln())).collect();
    let (x, y) = (points.iter().map(|p| p.0).sum::<f64>() / n, points.iter().map(|p| p.1).sum::<f64>() / n);
    let xx: f64 = points.iter().map(|p| (p.0 - x).powi(2)).sum();
    let slope = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum::<f64>() / xx;
    let rest: f64 = points.iter().map(|p| (p.1 - y - slope * (p.0 - x)).powi(2)).sum();
    let confidence = m.state.campaign.objective.confidence;
    let half = t_quantile((1.0 + confidence) / 2.0, n - 2.0) * (rest / (n - 2.0) / xx).sqrt();
    let quantity = all.put("scaling.exponent", slope).n(kept.len());
    quantity.interval = Some((slope - half, slope + half, confidence));
    all.count("scaling.sizes", kept.len());
    all.count("scaling.runs", kept.iter().map(|k| k.2).sum());
    all.put("scaling.smallest", first.0);
    all.put("scaling.largest", last.0);
}
