//! The search: its space, what became of proposals, what the parameters did, and how the objective scales with size.

use super::{Gather, words};
use crate::analysis::{EffectKind, Line, Trial, fit_line, holm, main_effects};
use crate::campaign::{Run, RunResult, Standing, State};
use crate::config::{Domain, Metric, Parameter};
use crate::ids::RunId;
use crate::paper::fact::{Basis, CAMPAIGN, Show, Shows, significant};
use crate::record::Manifest;
use std::collections::BTreeMap;
use std::path::Path;

pub(super) fn add(g: &mut Gather) {
    space(g);
    proposals(g);
    effects(g);
    scaling(g);
}

fn space(g: &mut Gather) {
    let (state, space) = (g.state, g.state.campaign.space.clone());
    g.count("space.parameters", "parameters that were varied", space.len()).unit("parameters");
    for (path, parameter) in &space {
        let (key, name) = (format!("parameter.{path}"), words::readable(path));
        g.subject(&key, &[&name, path, path.rsplit('.').next().unwrap_or(path)]);
        g.name(path.clone());
        g.text(format!("space.{}.name", words::slug(path)), CAMPAIGN, "name of the parameter", name);
        let range = g.text(format!("space.{}.range", words::slug(path)), &key, "values tried", range(parameter));
        range.basis = Basis::Config { path: format!("space.{path}") };
        if let Domain::Choice { values } = &parameter.domain {
            for value in values {
                g.name(words::setting(value));
            }
        }
        if let Some(value) = state.scope.as_ref().map(|s| &s.baseline).unwrap_or(&state.campaign.baseline).get(path) {
            g.setting(format!("space.{}.baseline", words::slug(path)), "baseline", path, &value);
        }
    }
    let planner = &state.campaign.planner;
    g.text("planner.name", CAMPAIGN, "who proposed candidates", words::sampler(planner.kind));
    g.text("planner.sampler", CAMPAIGN, "the classical sampler", words::sampler(planner.sampler()));
    g.count("planner.startup", "random proposals before the sampler learns from results", planner.startup)
        .unit("proposals");
    g.number("planner.seed", CAMPAIGN, "seed of the planner", planner.seed as f64, Show::Count);
    if let Some(halving) = &planner.halving {
        g.number(
            "planner.halving.factor",
            CAMPAIGN,
            "one in so many goes on at each rung",
            f64::from(halving.factor),
            Show::Count,
        );
        g.number(
            "planner.halving.first",
            CAMPAIGN,
            "share of the training at the first rung",
            halving.first,
            Show::Percent(0),
        );
    }
}

/// A parameter's values in words, numbers included.
fn range(parameter: &Parameter) -> String {
    let number = |v: f64| significant(v, 3);
    match &parameter.domain {
        Domain::Float { low, high, .. } => format!("{} to {}", number(*low), number(*high)),
        Domain::LogFloat { low, high, .. } => format!("{} to {} (log)", number(*low), number(*high)),
        Domain::Int { low, high, log, .. } => format!("{low} to {high}{}", if *log { " (log)" } else { "" }),
        Domain::Choice { values } => values.iter().map(words::setting).collect::<Vec<_>>().join(", "),
    }
}

fn proposals(g: &mut Gather) {
    let candidates = &g.state.candidates;
    let of = |wanted: fn(&Standing) -> bool| candidates.iter().filter(|c| wanted(&c.standing)).count();
    let tried = candidates.iter().filter(|c| !c.runs.is_empty()).count();
    let valued = candidates.iter().filter(|c| c.value.is_some()).count();
    let failed = of(|s| matches!(s, Standing::Failed { .. }));
    let rejected = of(|s| matches!(s, Standing::Rejected { .. }));
    let ahead = g.state.contenders().len();
    g.count("search.proposed", "candidates proposed", candidates.len()).unit("candidates");
    g.count("search.tried", "candidates that were run", tried).unit("candidates");
    g.count("search.valued", "candidates whose first look gave a value", valued).unit("candidates");
    g.count("search.failed", "candidates whose first look failed", failed).unit("candidates");
    g.count("search.rejected", "candidates that were never run", rejected).unit("candidates");
    g.count("search.ahead", "candidates whose first look beat the baseline's mean", ahead).unit("candidates");
    if valued > 0 {
        g.number(
            "search.ahead-share",
            CAMPAIGN,
            "share of first looks that beat the baseline's mean",
            ahead as f64 / valued as f64,
            Show::Percent(0),
        );
    }
    let floor =
        g.state.baseline.as_ref().map_or(f64::INFINITY, |b| {
            crate::analysis::single_run_floor(&b.values.values().copied().collect::<Vec<_>>())
        });
    let beyond = g.state.baseline.as_ref().map_or(0, |b| {
        let clear = |v: f64| g.state.better(v, b.interval.mean) && (v - b.interval.mean).abs() > floor;
        candidates.iter().filter(|c| c.value.is_some_and(clear)).count()
    });
    g.count("search.beyond", "candidates whose first look lies beyond the noise of single runs", beyond)
        .unit("candidates");
}

/// What each parameter did to the objective at first looks, strongest first; corrected over the parameters.
fn effects(g: &mut Gather) {
    if g.state.campaign.batch.is_some() {
        return;
    }
    let confidence = g.state.campaign.objective.confidence;
    let trials: Vec<Trial> = g
        .state
        .candidates
        .iter()
        .filter_map(|c| c.value.map(|value| Trial { assignment: c.assignment.clone(), value }))
        .collect();
    let all = main_effects(&trials, confidence);
    let p_values: Vec<f64> = all
        .iter()
        .map(|e| match e.kind {
            EffectKind::Correlation { p_value, .. } => p_value,
            EffectKind::Groups { .. } => 1.0,
        })
        .collect();
    let adjusted = holm(&p_values);
    let (decimals, unit) = (g.decimals, g.unit);
    for (rank, (effect, p)) in all.iter().zip(adjusted).enumerate() {
        let (key, slug) = (format!("parameter.{}", effect.parameter), words::slug(&effect.parameter));
        g.text(
            format!("effect.rank.{}", rank + 1),
            &key,
            "parameter by strength of its association",
            words::readable(&effect.parameter),
        );
        let strength = "strength of the association with the objective, from none at 0 to 1";
        g.number(format!("effect.{slug}.strength"), &key, strength, effect.strength, Show::Decimals(2)).n(effect.n);
        match &effect.kind {
            EffectKind::Correlation { rho, .. } => {
                let shows = if p <= 1.0 - confidence { Shows::Association } else { Shows::Nothing };
                let what = "Spearman's rank correlation with the objective";
                g.number(format!("effect.{slug}.rho"), &key, what, *rho, Show::Signed(2)).n(effect.n).shows(shows);
                let what = "p value of the rank correlation after Holm's correction";
                g.number(format!("effect.{slug}.p"), &key, what, p, Show::PValue).n(effect.n).shows(shows);
            }
            EffectKind::Groups { groups } => {
                for group in groups {
                    let choice = words::setting(&group.choice);
                    let id = group_id(&effect.parameter, &choice);
                    g.text(format!("{id}.choice"), &key, "the choice", choice.clone());
                    let fact = g.number(
                        id,
                        &key,
                        format!("mean at first look with {choice}"),
                        group.interval.mean,
                        Show::Decimals(decimals),
                    );
                    fact.unit(unit).within(&group.interval);
                }
            }
        }
    }
    g.count("effect.n", "first looks that effects rest on", trials.len()).unit("first looks");
}

/// Id of the fact of one choice of a parameter.
pub fn group_id(parameter: &str, choice: &str) -> String {
    let choice: String = choice.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
    format!("effect.{}.group.{}", words::slug(parameter), choice.trim_matches('-'))
}

/// Runs of one model size.
#[derive(Debug, Clone, PartialEq)]
pub struct Size {
    /// Trained parameters: the geometric mean over its runs, which other choices move a little.
    pub parameters: f64,
    /// Error of the best run of that size: the objective, or one less an accuracy.
    pub best: f64,
    /// Errors of all.
    pub all: Vec<f64>,
}

/// What the scaling fit rests on, smallest size first, and the fit of the best of each size on logarithmic axes. None with
/// fewer than three sizes or an error that is not positive.
pub fn sizes(folder: &Path, state: &State) -> Option<(Vec<Size>, Line)> {
    of_manifests(&super::manifests(folder, state), state)
}

fn of_manifests(manifests: &BTreeMap<RunId, Manifest>, state: &State) -> Option<(Vec<Size>, Line)> {
    let minimised = matches!(state.campaign.objective.metric, Metric::Loss | Metric::BitsPerByte);
    // Other choices move the number of parameters a little: what makes a size is the model's widths and depth.
    let shape = |run: &Run| {
        ["model.width", "model.widths", "model.depth", "model.stages"]
            .map(|path| run.experiment.get(path).map(|v| v.to_string()).unwrap_or_default())
            .join(";")
    };
    let mut by_size: BTreeMap<String, (Vec<f64>, Vec<f64>)> = BTreeMap::new();
    for run in state.runs.iter().filter(|r| matches!(r.result, Some(RunResult::Finished { .. }))) {
        let (Some(manifest), Some(value)) = (manifests.get(&run.id), state.value(run)) else { continue };
        let (logs, errors) = by_size.entry(shape(run)).or_default();
        logs.push((manifest.parameters.max(1) as f64).ln());
        errors.push(if minimised { value } else { 1.0 - value });
    }
    let mut sizes: Vec<Size> = by_size
        .into_values()
        .map(|(logs, all)| Size {
            parameters: crate::analysis::mean(&logs).exp(),
            best: all.iter().copied().fold(f64::INFINITY, f64::min),
            all,
        })
        .filter(|s| s.best > 0.0 && s.parameters > 0.0)
        .collect();
    sizes.sort_by(|a, b| a.parameters.total_cmp(&b.parameters));
    if sizes.len() < 3 {
        return None;
    }
    let points: Vec<(f64, f64)> = sizes.iter().map(|s| (s.parameters.ln(), s.best.ln())).collect();
    let line = fit_line(&points, state.campaign.objective.confidence)?;
    Some((sizes, line))
}

fn scaling(g: &mut Gather) {
    for (run, manifest) in g.manifests.clone() {
        let key = format!("run.{run}");
        g.subject(&key, &[&format!("run {run}")]);
        let fact =
            g.number(format!("{key}.parameters"), &key, "trained parameters", manifest.parameters as f64, Show::Count);
        fact.unit("parameters").from(Basis::Attempts, vec![format!("runs/{run}/manifest.json")]);
    }
    let Some((sizes, line)) = of_manifests(&g.manifests, g.state) else { return };
    let excludes_none = line.slope.low > 0.0 || line.slope.high < 0.0;
    let shows = if excludes_none { Shows::Association } else { Shows::Nothing };
    let what = "exponent of the error of the best run against parameters";
    let fact = g.number("scaling.exponent", CAMPAIGN, what, line.slope.mean, Show::Signed(2));
    fact.within(&line.slope).shows(shows).basis = Basis::Attempts;
    g.count("scaling.sizes", "model sizes that were tried", sizes.len()).unit("sizes");
    let runs = sizes.iter().map(|s| s.all.len()).sum();
    g.count("scaling.runs", "finished runs behind the scaling fit", runs).unit("runs");
    for (id, what, size) in [("smallest", "smallest model", sizes.first()), ("largest", "largest model", sizes.last())]
    {
        let Some(size) = size else { continue };
        let fact = g.number(format!("scaling.{id}"), CAMPAIGN, what, size.parameters, Show::Count);
        fact.unit("parameters").basis = Basis::Attempts;
    }
}
