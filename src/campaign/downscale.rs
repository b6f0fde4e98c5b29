//! What is given up, and in which order, when something does not fit in what is left of the budget.
//!
//! Pure: tries cheaper versions of a plan until one fits, and says what it gave up. Steps are halved up to three times,
//! seeds lowered to two, widths halved up to twice; everything given up by an earlier entry of the campaign's order
//! stays given up when a later one is tried. Steps and widths that would save next to nothing are kept: a short run's cost
//! is its margins.

use super::Pricer;
use super::events::{Downscaled, Price};
use crate::config::{Downscale, Experiment, ModelSpec, TrainingBudget};
use crate::problem::{Class, Result};

/// Something that is to be paid for.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// One run of it.
    pub experiment: Experiment,
    /// Its price.
    pub price: Price,
    /// Seeds of the baseline.
    pub seeds: usize,
    /// Seeds of a confirmation, at most `seeds`.
    pub confirm: usize,
}

/// The least share of its time that a plan must save for steps or widths to be given up.
const WORTH: f64 = 0.1;

/// The first version of `plan` that fits, cheapened in the given order, with what was given up; none if even the
/// cheapest does not fit. `takes` tells the device-seconds of a plan and whether they fit. `baseline_open`: the baseline's own seeds may still be lowered. A cheaper model that cannot
/// exist (its price is refused) is passed over.
pub fn fit(
    plan: Plan,
    order: &[Downscale],
    baseline_open: bool,
    pricer: &dyn Pricer,
    takes: &dyn Fn(&Plan) -> (f64, bool),
) -> Result<Option<(Plan, Vec<Downscaled>)>> {
    let mut given_up: Vec<Downscaled> = Vec::new();
    let mut plan = plan;
    let (mut seconds, fits) = takes(&plan);
    if fits {
        return Ok(Some((plan, given_up)));
    }
    for what in order {
        let most = match what {
            Downscale::Steps => 3,
            Downscale::Seeds => usize::MAX,
            Downscale::Model => 2,
        };
        for _ in 0..most {
            let Some((cheaper, from, to)) = cheapen(&plan, *what, baseline_open, pricer)? else { break };
            let (less, fits) = takes(&cheaper);
            if *what != Downscale::Seeds && less > (1.0 - WORTH) * seconds {
                break;
            }
            (plan, seconds) = (cheaper, less);
            // One entry for each way, from where it began to where it ended.
            match given_up.last_mut().filter(|d| d.what == *what) {
                Some(last) => last.to = to,
                None => given_up.push(Downscaled { what: *what, from, to }),
            }
            if fits {
                return Ok(Some((plan, given_up)));
            }
        }
    }
    Ok(None)
}

/// One notch cheaper, with the words for before and after; none where there is no notch left.
fn cheapen(
    plan: &Plan,
    what: Downscale,
    baseline_open: bool,
    pricer: &dyn Pricer,
) -> Result<Option<(Plan, String, String)>> {
    let mut next = plan.clone();
    let (from, to) = match what {
        Downscale::Seeds => {
            let from = seeds_in_words(plan, baseline_open);
            if plan.confirm > 2 {
                next.confirm -= 1;
            } else if baseline_open && plan.seeds > 2 {
                next.seeds -= 1;
            } else {
                return Ok(None);
            }
            return Ok(Some((next.clone(), from, seeds_in_words(&next, baseline_open))));
        }
        Downscale::Steps => {
            let Some(budget) = half_budget(plan.experiment.training.budget) else { return Ok(None) };
            next.experiment.training.budget = budget;
            (budget_in_words(plan.experiment.training.budget), budget_in_words(budget))
        }
        Downscale::Model => {
            let Some(model) = half_model(&plan.experiment.model) else { return Ok(None) };
            next.experiment.model = model;
            (widths_in_words(&plan.experiment.model), widths_in_words(&next.experiment.model))
        }
    };
    match pricer.price(&next.experiment) {
        Ok(price) => next.price = price,
        Err(problem) if problem.class == Class::Usage => return Ok(None),
        Err(problem) => return Err(problem),
    }
    Ok(Some((next, from, to)))
}

fn seeds_in_words(plan: &Plan, baseline_open: bool) -> String {
    match baseline_open {
        true => format!("{} baseline and {} confirmation seeds", plan.seeds, plan.confirm),
        false => format!("{} confirmation seeds", plan.confirm),
    }
}

fn half_budget(budget: TrainingBudget) -> Option<TrainingBudget> {
    match budget {
        TrainingBudget::Steps(n) => (n >= 2).then_some(TrainingBudget::Steps(n / 2)),
        TrainingBudget::Tokens(n) => (n >= 2).then_some(TrainingBudget::Tokens(n / 2)),
        TrainingBudget::Epochs(n) => Some(TrainingBudget::Epochs(n / 2.0)),
        TrainingBudget::DeviceSeconds(s) => Some(TrainingBudget::DeviceSeconds(s / 2.0)),
    }
}

fn budget_in_words(budget: TrainingBudget) -> String {
    match budget {
        TrainingBudget::Steps(n) => format!("{n} steps"),
        TrainingBudget::Tokens(n) => format!("{n} tokens"),
        TrainingBudget::Epochs(n) => format!("{n} epochs"),
        TrainingBudget::DeviceSeconds(s) => format!("{s} device-seconds"),
    }
}

/// The same model at half the width; none where a width is odd or something that must divide it no longer would.
fn half_model(model: &ModelSpec) -> Option<ModelSpec> {
    let half = |n: usize| (n >= 2 && n.is_multiple_of(2)).then_some(n / 2);
    let halves = |widths: &[usize]| widths.iter().map(|w| half(*w)).collect::<Option<Vec<_>>>();
    match model {
        ModelSpec::Mlp(mlp) => {
            let widths = halves(&mlp.widths).filter(|w| !w.is_empty())?;
            Some(ModelSpec::Mlp(crate::config::MlpModel { widths, ..mlp.clone() }))
        }
        ModelSpec::Gpt(gpt) => {
            let width = half(gpt.width).filter(|w| w.is_multiple_of(gpt.heads))?;
            Some(ModelSpec::Gpt(crate::config::GptModel { width, ..gpt.clone() }))
        }
        ModelSpec::Cnn(cnn) => {
            let mut small = cnn.clone();
            small.widths = halves(&cnn.widths)?;
            for stage in &mut small.stages {
                stage.channels =
                    half(stage.channels).filter(|c| cnn.norm_groups == 0 || c.is_multiple_of(cnn.norm_groups))?;
            }
            Some(ModelSpec::Cnn(small))
        }
    }
}

fn widths_in_words(model: &ModelSpec) -> String {
    match model {
        ModelSpec::Mlp(mlp) => format!("widths {:?}", mlp.widths),
        ModelSpec::Gpt(gpt) => format!("width {}", gpt.width),
        ModelSpec::Cnn(cnn) => {
            let channels: Vec<usize> = cnn.stages.iter().map(|s| s.channels).collect();
            format!("channels {channels:?}, widths {:?}", cnn.widths)
        }
    }
}
