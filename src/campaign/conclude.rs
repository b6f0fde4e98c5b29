//! Verdicts: the baseline's noise, finalists, confirmations, the goal and the last word.
//!
//! A finalist is compared with the baseline seed by seed, on seeds it had not been run with when it was chosen: the best of
//! many first looks owes part of its rank to luck (the winner's curse), so the run that it was chosen by never counts in
//! its verdict. The verdict asks for the whole interval to clear the noise floor, and reports say on how many seeds it rests.

use super::correction;
use super::events::Event;
use super::facts::{Conclusion, Reason, RunResult};
use super::rejections;
use super::room::Need;
use super::run::Run;
use super::state::{Candidate, Standing, State};
use super::words::in_words;
use crate::analysis::{Race, Verdict, mean_interval, noise_floor, paired_interval, race, verdict};
use crate::config::Direction;
use crate::problem::one_line;
use std::collections::BTreeMap;

/// Longest description of a candidate in a sentence, in characters.
const WORDS: usize = 160;

/// The baseline's noise, or the end where fewer than two repetitions gave a value.
pub fn baseline(state: &State) -> Event {
    let mut values = BTreeMap::new();
    for run in state.runs.iter().filter(|r| r.purpose == super::Purpose::Baseline) {
        values.extend(state.value(run).map(|v| (run.seed, v)));
    }
    if values.len() < 2 {
        return concluded(state, Reason::BaselineFailed);
    }
    let list: Vec<f64> = values.values().copied().collect();
    let interval = mean_interval(&list, state.campaign.objective.confidence);
    Event::BaselineEstablished { values, interval, floor: noise_floor(&list) }
}

/// The verdict over a finalist whose repetitions are done, if there is one without.
pub fn judged(state: &State) -> Option<Event> {
    let confidence = state.campaign.objective.confidence;
    for candidate in state.candidates.iter().filter(|c| c.standing == Standing::Confirming) {
        let runs = || candidate.runs.values().filter_map(|id| state.run(*id));
        if let Some(failed) = runs().find(|r| matches!(r.result, Some(RunResult::Failed { .. }))) {
            let why = format!("its repetition on seed {} failed (run {})", failed.seed, failed.id);
            return Some(judge(state, candidate, confidence, Some(&why)));
        }
        let complete = state.confirmation_seeds().iter().all(|seed| candidate.runs.contains_key(seed));
        if complete && runs().all(|r| r.result.is_some()) {
            return Some(judge(state, candidate, confidence, None));
        }
        if let Some(decided) = raced(state, candidate) {
            return Some(decided);
        }
    }
    None
}

/// The verdict before the last seed, where a race is asked for and decided. It is made when nothing of the candidate is
/// under way, over the seeds in their order, so that it does not depend on which ends first.
fn raced(state: &State, candidate: &Candidate) -> Option<Event> {
    if !state.campaign.seeds.racing || candidate.fresh().any(|(_, id)| state.run(id).is_none_or(|r| r.result.is_none()))
    {
        return None;
    }
    let (seeds, baseline) = (state.confirmation_seeds(), state.baseline.as_ref()?);
    let difference = |seed: &u64| {
        let run = state.run(*candidate.runs.get(seed)?)?;
        Some(state.value(run)? - baseline.values.get(seed)?)
    };
    let differences: Vec<f64> = seeds.iter().map_while(difference).collect();
    let confidence = state.campaign.objective.confidence;
    let after = format!("after {} of {} seeds", differences.len(), seeds.len());
    match race(&differences, seeds.len(), baseline.floor, state.direction(), confidence) {
        Race::GoOn => None,
        Race::Decided { interval, .. } => {
            Some(judge(state, candidate, interval.confidence, Some(&format!("decided {after}"))))
        }
        Race::Futile { interval } => {
            let remark = format!("it cannot clear the noise floor any more, {after}");
            Some(judge(state, candidate, interval.confidence, Some(&remark)))
        }
    }
}

/// The verdict over a finalist by the seeds it has, from intervals at `confidence`. With a failed repetition it is never
/// confirmed.
pub fn judge(state: &State, candidate: &Candidate, confidence: f64, remark: Option<&str>) -> Event {
    let (mut own, mut reference) = (Vec::new(), Vec::new());
    let mut failed = false;
    for (seed, run) in candidate.fresh().filter_map(|(seed, id)| Some((seed, state.run(id)?))) {
        failed |= matches!(run.result, Some(RunResult::Failed { .. }));
        if let (Some(value), Some(base)) = (state.value(run), state.baseline.as_ref().and_then(|b| b.values.get(&seed)))
        {
            own.push(value);
            reference.push(*base);
        }
    }
    let floor = state.baseline.as_ref().map_or(f64::INFINITY, |b| b.floor);
    let remark = remark.map(|r| format!(" ({r})")).unwrap_or_default();
    if own.len() < 2 {
        let why = format!("not confirmed: {} fresh seeds are too few{remark}", own.len());
        return Event::CandidateJudged {
            index: candidate.index,
            verdict: Verdict::Undecided,
            difference: None,
            own: None,
            why,
        };
    }
    let difference = paired_interval(&own, &reference, confidence);
    let verdict = match verdict(&difference, floor, state.direction()) {
        Verdict::Better if failed => Verdict::Undecided,
        verdict => verdict,
    };
    let word = match verdict {
        Verdict::Better => "confirmed",
        Verdict::Worse => "refuted",
        Verdict::Undecided => "not confirmed",
    };
    let why = format!(
        "{word}: its {} differs from the baseline's by {difference:.4} over {} fresh seeds; the noise floor is {floor:.4}{remark}",
        state.metric(),
        own.len()
    );
    Event::CandidateJudged {
        index: candidate.index,
        verdict,
        difference: Some(difference),
        own: Some(mean_interval(&own, confidence)),
        why,
    }
}

/// Whether a confirmed candidate, or the baseline itself, lies wholly beyond the goal.
pub fn goal_met(state: &State) -> bool {
    let confirmed = |c: &Candidate| match &c.standing {
        Standing::Judged { verdict: Verdict::Better, own: Some(own), .. } => state.meets_goal(own),
        _ => false,
    };
    state.baseline.as_ref().is_some_and(|b| state.meets_goal(&b.interval)) || state.candidates.iter().any(confirmed)
}

/// A screened candidate beyond the goal is confirmed at once: it may end the campaign.
pub fn goal_suspect(state: &State) -> Option<Event> {
    let goal = state.campaign.objective.goal?;
    let beyond = |c: &&Candidate| c.standing == Standing::Screened && c.value.is_some_and(|v| state.better(v, goal));
    let suspect = state.contenders().into_iter().find(beyond)?;
    let why =
        format!("its {} of {:.4} lies beyond the goal of {goal}", state.metric(), suspect.value.unwrap_or(f64::NAN));
    Some(Event::FinalistChosen { index: suspect.index, why })
}

/// The finalists that have yet to be confirmed: the best contenders, as many as the campaign wants in all.
pub fn finalists(state: &State) -> Vec<Event> {
    let chosen = state.contenders().into_iter().take(state.campaign.seeds.finalists).enumerate();
    chosen
        .filter(|(_, c)| c.standing == Standing::Screened)
        .map(|(rank, c)| Event::FinalistChosen {
            index: c.index,
            why: format!(
                "number {} by {} at first look ({:.4})",
                rank + 1,
                state.metric(),
                c.value.unwrap_or(f64::NAN)
            ),
        })
        .collect()
}

/// The last word.
pub fn concluded(state: &State, reason: Reason) -> Event {
    let best = state.best();
    let goal = match state.campaign.objective.goal {
        Some(goal) if reason != Reason::GoalMet && state.baseline.is_some() => {
            format!(" The goal of {goal} was not reached with confidence.")
        }
        _ => String::new(),
    };
    let sentence = format!("{}.{goal}", capital(&finding(state, best)));
    Event::Concluded(Conclusion { reason, best: best.map(|c| c.index), sentence })
}

/// Why runs have no value, where none of them has one: `: all 12 diverged`, or the reasons of the first ones.
fn lost<'a>(runs: impl Iterator<Item = &'a Run>) -> String {
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    for run in runs {
        match &run.result {
            Some(RunResult::Failed { reason }) => *reasons.entry(without_job(run, reason)).or_default() += 1,
            Some(RunResult::Finished { .. }) => return String::new(),
            None => {}
        }
    }
    let mut words: Vec<(usize, String)> = reasons.into_iter().map(|(reason, n)| (n, reason)).collect();
    words.sort_by_key(|(n, _)| std::cmp::Reverse(*n));
    let words: Vec<String> = words.iter().take(2).map(|(n, reason)| format!("{n} failed ({reason})")).collect();
    if words.is_empty() { String::new() } else { format!(": {}", words.join(", ")) }
}

/// A run's failure without its job's number and record, which are no other run's.
fn without_job(run: &Run, reason: &str) -> String {
    let job = run.attempts.last().and_then(|a| a.ended.as_ref()?.evidence.job.as_ref());
    job.map_or_else(|| reason.to_string(), |job| reason.replace(&format!(" ({})", job.story()), ""))
}

/// The budget does not hold the least that makes a finding, which is `need` without giving anything up.
pub fn too_small(state: &State, need: Need) -> Event {
    let budget = &state.campaign.budget;
    let mut short = Vec::new();
    if budget.runs > 0 && need.runs > budget.runs {
        short.push(format!("{} runs, and budget.runs = {}", need.runs, budget.runs));
    }
    let time = state.ledger.budget();
    if need.amount.time > time {
        // Rounded up, so that what is said is enough.
        let hours = (need.amount.time.hours() * 1e4).ceil() / 1e4;
        short.push(format!("{} (budget.device_hours = {hours}), and the budget is {time}", need.amount.time));
    }
    if let Some(dollars) = state.ledger.budget_dollars().filter(|d| need.amount.dollars > *d) {
        short.push(format!("{}, and the budget is {dollars}", need.amount.dollars));
    }
    let sentence = format!(
        "Nothing was run: the baseline, one candidate and its confirmation may take {}; making smaller what \
         budget.downscale names is not enough. Raise the budget, or lower seeds.baseline, seeds.confirm, execution.parallel or \
         execution.kill_margin_seconds.",
        short.join("; ")
    );
    Event::Concluded(Conclusion { reason: Reason::BudgetSpent, best: None, sentence })
}

fn finding(state: &State, best: Option<&Candidate>) -> String {
    if let Some(spec) = &state.campaign.batch {
        return super::batch::finding(state, spec.experiments);
    }
    let metric = state.metric();
    if let Some(missing) = &state.missing {
        return format!("nothing more was started before something is put right: {}", one_line(missing));
    }
    let Some(baseline) = &state.baseline else {
        return match (&state.scope, state.runs.len()) {
            (None, 0) => "nothing was run".to_string(),
            _ => format!(
                "nothing can be compared, since the baseline has fewer than two values{}",
                lost(state.runs.iter().filter(|run| run.purpose.candidate().is_none()))
            ),
        };
    };
    if let Some(candidate) = best
        && let Standing::Judged { difference: Some(difference), own: Some(own), .. } = &candidate.standing
    {
        let direction = if state.direction() == Direction::Minimize { "lowers" } else { "raises" };
        return format!(
            "candidate {} ({}) {direction} {metric} from {:.4} to {:.4}, a difference of {difference:.4} over {} fresh seeds, beyond the noise floor of {:.4}{}",
            candidate.index,
            in_words(&candidate.assignment, WORDS),
            // The baseline's mean on those seeds, which may be fewer than it has.
            own.mean - difference.mean,
            own.mean,
            difference.n,
            baseline.floor,
            correction::words(state, candidate.index)
        );
    }
    if state.meets_goal(&baseline.interval) {
        return format!("the baseline's own {metric} of {:.4} lies beyond the goal", baseline.interval);
    }
    let judged = state.candidates.iter().filter(|c| matches!(c.standing, Standing::Judged { .. })).count();
    let tried = state.candidates.iter().filter(|c| !c.runs.is_empty()).count();
    let (b, floor) = (&baseline.interval, baseline.floor);
    match (tried, judged) {
        (0, _) => {
            let why = rejections::words(&rejections::rejections(state));
            let why = if why.is_empty() { why } else { format!(" ({why})") };
            format!("no candidate was tried{why}; the baseline's {metric} is {b:.4}")
        }
        (_, 0) if state.contenders().is_empty() => {
            let runs = state.candidates.iter().flat_map(|c| c.runs.values()).filter_map(|id| state.run(*id));
            format!(
                "none of {tried} candidates was better than the baseline ({metric} {b:.4}) at first look{}",
                lost(runs)
            )
        }
        (_, 0) => format!("{tried} candidates were tried and none was confirmed; the baseline's {metric} is {b:.4}"),
        _ if state
            .candidates
            .iter()
            .any(|c| matches!(c.standing, Standing::Judged { verdict: Verdict::Better, .. })) =>
        {
            format!(
                "candidates repeated: {judged} of {tried}, and what cleared the noise floor of {floor:.4} does not survive Holm's correction over them; the baseline's {metric} is {b:.4}"
            )
        }
        _ => format!(
            "nothing cleared the noise floor of {floor:.4} (candidates repeated: {judged} of {tried}); the baseline's {metric} is {b:.4}"
        ),
    }
}

/// A text as a sentence begins: `validation loss` with a capital.
pub fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|c| c.to_uppercase().collect::<String>() + characters.as_str()).unwrap_or_default()
}
