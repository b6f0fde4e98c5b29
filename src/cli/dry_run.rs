//! `run --dry-run`: the first plan, what it may cost, and the planner's first proposals.

use super::output::{self, duration};
use super::pricer::MachinePricer;
use crate::campaign::{Admission, LeftOut, Limits, Price, Pricer, Scope, assignment, first_plan};
use crate::config::Campaign;
use crate::cost::overhead_factor;
use crate::planner::{self, Assignment};
use crate::problem::{Class, Result};
use crate::sys::env;
use crate::units::DeviceTime;
use std::cell::Cell;
use std::path::Path;

/// Most proposals that are shown.
const SHOWN: usize = 8;

/// Prints what `run` would begin with, and runs nothing. The exit code is `run`'s where it would not begin at all.
pub fn run(campaign: &Campaign, base: &Path) -> Result<u8> {
    let pricer = MachinePricer::of(base, campaign);
    let budget = DeviceTime::from_hours(campaign.budget.device_hours);
    // Said as `run` says it: missing data and impossible shapes.
    pricer.price(&campaign.baseline)?;
    let plan = first_plan(campaign, &pricer)?;
    output::print(&format!("campaign   {}\nquestion   {}\nbudget     {budget}\n", campaign.name, campaign.question));
    let scope = match plan {
        Ok(scope) => scope,
        Err(refusal) => {
            output::print(&format!("{refusal}\n"));
            return Ok(Class::BudgetSpent.exit_code());
        }
    };
    let Scope { price, seeds, .. } = &scope;
    for given_up in &scope.downscaled {
        output::print(&format!("downscaled {} -> {}\n", given_up.from, given_up.to));
    }
    output::print(&format!(
        "baseline   {} seeds, about {} a run (80% below {}), {} steps, {}{}\n",
        seeds.len(),
        duration(price.seconds),
        duration(price.high_seconds),
        price.steps,
        price.memory,
        price.device_memory.map_or_else(String::new, |memory| format!(" and {memory} of GPU memory")),
    ));
    cost(campaign, &scope, budget);
    proposals(campaign, &scope, &pricer)?;
    output::print("nothing was run\n");
    Ok(0)
}

/// How many candidates there are room for, what all of it takes, and what is the most it can take.
fn cost(campaign: &Campaign, scope: &Scope, budget: DeviceTime) {
    let reserved = Limits::first(&scope.baseline, &scope.price).reservation(campaign);
    output::print(&format!(
        "worst case {} reserved for each attempt and refunded when it ends; {budget} in all, which is never exceeded\n",
        reserved.time
    ));
    // What one run is charged: its share of a device, with what is believed of overheads before any has ended.
    let charged = overhead_factor(&[]) * scope.price.seconds / campaign.execution.attempts_per_device.max(1) as f64;
    let besides = scope.seeds.len() + campaign.seeds.finalists * scope.confirm;
    let time = ((budget.seconds() - charged * besides as f64) / charged.max(1e-9)).max(0.0) as usize;
    let mut limits = vec![(time, "the budget's device time")];
    if campaign.budget.runs > 0 {
        limits.push((campaign.budget.runs.saturating_sub(besides), "budget.runs"));
    }
    if campaign.planner.candidates > 0 {
        limits.push((campaign.planner.candidates, "planner.candidates"));
    }
    let (room, by) = limits.into_iter().min_by_key(|(room, _)| *room).unwrap_or_default();
    let whole = DeviceTime::of(1, charged * (besides + room) as f64);
    output::print(&format!(
        "candidates about {room}, limited by {by}; with the baseline and {} finalists over {} seeds about {whole} if all run \
         like the baseline\n",
        campaign.seeds.finalists, scope.confirm
    ));
}

/// Who proposes, and whether a language model can be asked.
fn planner_words(campaign: &Campaign) -> String {
    let classical = planner::sampler(&campaign.planner).name();
    let spec = match &campaign.llm {
        _ if !campaign.planner.kind.asks() => return format!("{classical}, first proposals:"),
        None => return format!("{classical} alone (there is no [llm] section, so nobody is asked), first proposals:"),
        Some(spec) => spec,
    };
    let models = spec.planning_models().join(", ");
    match crate::llm::access(spec, &env::var) {
        Some(_) => format!(
            "{classical}, with {models} for up to {:.0}% of the proposals; first proposals of {classical}:",
            100.0 * campaign.planner.share()
        ),
        None => format!("{classical} alone ({models} cannot be asked: no key and no address), first proposals:"),
    }
}

/// What the planner tries first, with prices.
fn proposals(campaign: &Campaign, scope: &Scope, pricer: &MachinePricer) -> Result<()> {
    let sampler = planner::sampler(&campaign.planner);
    output::print(&format!("planner    {}\n", planner_words(campaign)));
    let price = |a: &Assignment| -> Result<Price> { scope.baseline.with(a).and_then(|e| pricer.price(&e)) };
    let (admission, left_out) = (Admission::of(campaign, &scope.baseline), Cell::new(LeftOut::default()));
    let accept = |a: &Assignment| admission.admits(a, &|a| price(a).ok(), &left_out);
    let mut seen: Vec<planner::Observation> = Vec::new();
    let most = match campaign.planner.candidates {
        0 => SHOWN,
        asked => asked.min(SHOWN),
    };
    for index in 0..campaign.planner.startup.clamp(1, most) as u64 {
        let Some(proposal) = sampler.propose(&campaign.space, &seen, index, &accept) else { break };
        let cost = match price(&proposal) {
            Ok(price) => duration(price.seconds),
            Err(problem) => format!("not possible: {}", problem.what),
        };
        output::print(&format!("  {index:>2}  {cost:<10} {}\n", assignment(&proposal)));
        seen.push(planner::Observation::pending(proposal));
    }
    if seen.is_empty() {
        output::print(&format!("   none: no point of the space may be tried{}\n", left_out.get().words()));
    }
    Ok(())
}
