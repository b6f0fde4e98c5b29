//! What of a campaign's search space can be run, said before anything is spent.

use super::output::say;
use super::pricer::MachinePricer;
use crate::campaign::{self, Reach, acceptable};
use crate::config::{Campaign, Loaded};
use crate::planner;
use crate::problem::{Problem, Result};
use std::cell::Cell;

/// Looks at every parameter's ends on the baseline, and warns of those that no run can have. Proposals with such values are
/// rejected one by one while the campaign goes on.
///
/// # Errors
/// Class `Usage` where no value of a parameter can be run, or where no point of the space keeps the constraints.
pub fn look(loaded: &Loaded<Campaign>, pricer: &MachinePricer) -> Result<(Reach, Vec<String>)> {
    let campaign = &loaded.value;
    if campaign.batch.is_some() {
        return Ok((Reach::default(), Vec::new()));
    }
    let mut reach = campaign::reach(campaign, &|experiment| pricer.validate(experiment))?;
    if let Some((path, problem)) = reach.hopeless.take() {
        return Err(problem.at(loaded.places.of(&["space", &path])));
    }
    refuse_empty(campaign).map_err(|p| p.at(loaded.places.of(&["space"])))?;
    let place = |refused: &campaign::Refused| loaded.places.of(&["space", &refused.path, refused.key]);
    let warnings: Vec<String> = reach.refused.iter().map(|r| r.problem().at(place(r)).to_string()).collect();
    warnings.iter().for_each(|warning| say(&format!("warning: {warning}")));
    Ok((reach, warnings))
}

/// Refuses a space in which the planner finds nothing that is an experiment and keeps the constraints.
fn refuse_empty(campaign: &Campaign) -> Result<()> {
    let drawn = Cell::new(0usize);
    let accept = |a: &planner::Assignment| {
        drawn.set(drawn.get() + 1);
        acceptable(&campaign.baseline, &campaign.constraints, a)
    };
    let sampler = planner::sampler(&campaign.planner);
    if sampler.propose(&campaign.space, &[], 0, &accept).is_some() {
        return Ok(());
    }
    let what = format!(
        "no candidate can be proposed: none of {} points of the space is a valid experiment and keeps the constraints",
        drawn.get()
    );
    Err(Problem::usage(what).remedy(match campaign.constraints.is_empty() {
        true => "change the ranges in [space], or the baseline's settings that do not go with them",
        false => "loosen a [[constraints]] section, or widen the ranges in [space]",
    }))
}
