//! `run --dry-run`: the first plan, what it may cost, and the planner's first proposals.

use super::outlook::{Outlook, budget, budget_words};
use super::output::{self, duration};
use super::pricer::MachinePricer;
use super::space;
use crate::campaign::{Admission, LeftOut, Price, Pricer, Scope, assignment, first_plan};
use crate::config::{Campaign, Loaded};
use crate::planner::{self, Assignment};
use crate::problem::{Class, Problem, Result};
use crate::sys::env;
use std::cell::Cell;

/// Most proposals that are shown.
const SHOWN: usize = 8;

/// Prints what `run` would begin with, and runs nothing. The exit code is `run`'s where it would not begin at all.
///
/// # Errors
/// As `run`: missing data, impossible shapes, a space in which nothing can be run. Class `Usage` also where every proposal is
/// left out for its memory or time, or could not be run.
pub fn run(loaded: &Loaded<Campaign>) -> Result<u8> {
    let campaign = &loaded.value;
    let pricer = MachinePricer::of(&loaded.base, campaign);
    // Said as `run` says it: missing data and impossible shapes.
    pricer.price(&campaign.baseline)?;
    space::look(loaded, &pricer)?;
    let plan = first_plan(campaign, &pricer)?;
    let (name, question, most) = (&campaign.name, &campaign.question, budget_words(budget(campaign)));
    output::print(&format!("campaign   {name}\nquestion   {question}\nbudget     {most}\n"));
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
    cost(campaign, &scope);
    proposals(campaign, &scope, &pricer).map_err(|p| p.at(loaded.places.of(&["space"])))?;
    output::print("nothing was run\n");
    Ok(0)
}

/// How many candidates there are room for, what all of it takes, and what is the most it can take.
fn cost(campaign: &Campaign, scope: &Scope) {
    let outlook = Outlook::of(campaign, scope, &[]);
    output::print(&format!(
        "worst case {} reserved for each attempt and refunded when it ends; {} in all, which is never exceeded\n\
         candidates about {}, limited by {}; with the baseline and {} finalists over {} seeds about {}{} if all run like the \
         baseline\n",
        outlook.reserved_words(),
        budget_words(budget(campaign)),
        outlook.candidates,
        outlook.limited_by,
        outlook.finalists,
        outlook.confirm,
        outlook.whole,
        outlook.price_words(),
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
    let mut refused: Vec<String> = Vec::new();
    let most = match campaign.planner.candidates {
        0 => SHOWN,
        asked => asked.min(SHOWN),
    };
    for index in 0..campaign.planner.startup.clamp(1, most) as u64 {
        let Some(proposal) = sampler.propose(&campaign.space, &seen, index, &accept) else { break };
        let cost = match price(&proposal) {
            Ok(price) => duration(price.seconds),
            Err(problem) => {
                let cost = format!("not possible: {}", problem.what);
                refused.push(problem.what);
                cost
            }
        };
        output::print(&format!("  {index:>2}  {cost:<10} {}\n", assignment(&proposal)));
        seen.push(planner::Observation::pending(proposal));
    }
    if seen.is_empty() {
        let what = format!("no candidate can be proposed{}", left_out.get().words());
        return Err(Problem::usage(what).remedy(
            "change the ranges in [space], [[constraints]], or the limits that leave points out: resources.memory_mib, \
             resources.wall_seconds, execution.device_memory_mib",
        ));
    }
    match refused.pop() {
        Some(why) if refused.len() + 1 == seen.len() => {
            Err(Problem::usage(format!("none of the first {} proposals can be run: {why}", seen.len()))
                .remedy("change the ranges in [space] so that what they hold can be run"))
        }
        _ => Ok(()),
    }
}
