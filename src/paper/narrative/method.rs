//! Method and setup.

use super::{Story, paragraphs};
use crate::campaign::capital;
use crate::config::PlannerKind;

pub(super) fn method(s: &Story) -> String {
    paragraphs([
        "## Noise first".to_string(),
        noise(s),
        "## Search".to_string(),
        search(s),
        "## What counts".to_string(),
        verdict(s),
    ])
}

fn noise(s: &Story) -> String {
    let planned = if s.number("seeds.planned") > s.number("seeds.baseline") {
        " Of {seeds.planned|words} that were planned, {seeds.baseline|words} gave a value."
    } else {
        ""
    };
    if !s.has("baseline.metric") {
        return format!(
            "Before anything is compared, the baseline is repeated over seeds. Here too few of these repetitions ended with a value.{planned}"
        );
    }
    format!(
        "Before any candidate is proposed, the baseline is repeated over {{seeds.baseline|words}}. The spread of these repetitions \
         gives the noise floor: the size below which nearly all differences lie between means of re-seeded repetitions of the \
         same configuration, as many seeds on either side. It comes to {{baseline.floor}} here; between single runs it \
         is {{baseline.single-floor}}. The floor is a property of the baseline alone, so a candidate whose own seeds happen to agree cannot \
         lower it.{planned}"
    )
}

fn search(s: &Story) -> String {
    let planner = &s.state.campaign.planner;
    let mut text = format!(
        "Candidates are assignments of the {{space.parameters|words}} in [#tab:space]. {} proposes them",
        capital(s.text("planner.name"))
    );
    text += match planner.sampler() {
        PlannerKind::Tpe | PlannerKind::CmaEs | PlannerKind::Evolution => {
            "; its first {planner.startup|words} are random, the others rest on the results so far."
        }
        PlannerKind::Random => ", each independently of the results.",
        PlannerKind::Grid => ", in an order drawn from the planner's seed.",
        _ => ".",
    };
    if planner.weighing.is_some() {
        text += " Several proposals are drawn each time, and that with the largest expected gain for its predicted cost is run.";
    }
    if planner.halving.is_some() {
        text += " A candidate is looked at when it has done {planner.halving.first} of its training; those that are behind wait there, and \
                 only the leaders go on.";
    }
    text += " A candidate is first looked at by a single run on a seed that no comparison uses. That look decides which candidates are \
             repeated, and nothing else: the best of many looks owes a part of its rank to luck, so the run that a candidate was chosen \
             by never enters its verdict.";
    if s.has("llm.questions") {
        text += " A language model, {llm.model}, was asked {llm.questions} for hypotheses, experiments and readings; it can set values \
                 within the space and nothing else, and verdicts are not its own.";
    }
    text
}

fn verdict(s: &Story) -> String {
    let mut text = "At most {seeds.finalists|words}, in the order of their first looks and only if ahead of the baseline's mean, are repeated on \
                {seeds.confirm|words} of the baseline, so that differences are paired by seed. A candidate counts as confirmed only if the whole \
                {objective.confidence} interval of its mean paired difference lies beyond the noise floor in the good direction, and if \
                its two-sided paired test stays below the campaign's error after Holm's correction over all candidates that were compared."
        .to_string();
    if s.state.campaign.seeds.racing {
        text += " A repetition ends early where its verdict is already clear, at the price of wider intervals for looking often.";
    }
    text + " Intervals here and throughout are Student's, at a coverage of {objective.confidence}."
}

pub(super) fn setup(s: &Story) -> String {
    paragraphs([data(s), baseline(s), "!tab:space".to_string(), environment(s)])
}

fn data(s: &Story) -> String {
    let mut text = "The data are {data.about} ({data.name}).".to_string();
    if s.has("data.train") {
        text += " A fixed split leaves {data.train} samples for training and {data.validation} for validation; all runs share it, and the \
                 objective is evaluated on the validation part at the end of training.";
    }
    let direction = if s.state.better(1.0, 0.0) { "Larger" } else { "Smaller" };
    text += &format!(" The objective is the {}. {direction} is better.", s.metric());
    if s.has("objective.goal") {
        text += " The campaign's goal was a value of {objective.goal}, which was {objective.goal.reached}.";
    }
    text
}

fn baseline(s: &Story) -> String {
    let mut text = format!("The baseline is {}", s.model());
    if s.has("model.parameters") {
        text += " with {model.parameters}";
    }
    if s.has("training.steps") {
        text += ", trained for {training.steps} of {config.training.batch-size} samples";
    }
    text += " by {optimizer.name} at a peak learning rate of {optimizer.rate}.";
    text += " Its other settings, and what was tried in their place, are in [#tab:space].";
    for what in ["steps", "seeds", "model"] {
        if s.has(&format!("downscaled.{what}.to")) {
            text += &format!(
                " To stay within the budget, the {what} were scaled down from {{downscaled.{what}.from}} to {{downscaled.{what}.to}}."
            );
        }
    }
    if s.has("seeds.first") {
        text += " Seeds run from {seeds.first} to {seeds.last} for the baseline and for repetitions, and candidates are first looked at on seed \
                 {seeds.screening}.";
    }
    text
}

fn environment(s: &Story) -> String {
    if !s.has("env.cpu") {
        return "No run left a manifest, so the machine is not described here.".to_string();
    }
    let device = if s.has("env.gpu") { "a {env.gpu}" } else { "an {env.cpu} processor" };
    let mut text = format!("Runs were made on {device}");
    if s.has("env.cores") {
        text += " ({env.cores} cores, {env.memory})";
    }
    text += " by nanoresearch {env.version}";
    if s.has("env.engine") && s.has("env.precision") {
        text += ", engine {env.engine}, in {env.precision} arithmetic";
    }
    text += ". ";
    text += if s.number("env.fingerprints") == 1.0 {
        "All runs share {env.fingerprints|words} of hardware, libraries and numerics, so that each can be trained again to the same bits."
    } else {
        "Runs come from {env.fingerprints|words} of hardware, libraries and numerics; only those of a kind agree bit for bit."
    };
    text
}
