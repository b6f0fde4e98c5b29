//! Limitations, data and ethics, compute and reproducibility.

use super::{Finding, Story, paragraphs};
use crate::config::{DataSpec, DeviceSpec};

pub(super) fn limitations(s: &Story) -> String {
    let mut items = Vec::new();
    items.push(if s.outline.few_seeds {
        "Verdicts rest on {seeds.confirm|words}. At so few, intervals are wide, a real but small difference passes unseen, and the normality behind \
         Student's interval cannot be checked."
            .to_string()
    } else {
        "Verdicts rest on {seeds.confirm|words}. That tells large differences from noise; a real but small difference passes unseen, and the normality \
         behind Student's interval is assumed rather than checked."
            .to_string()
    });
    items.push(
        "There is a single dataset with a single split, and candidates were chosen on the validation part that they are reported on. Fresh seeds guard \
         against luck in training, not against a split that favours one of the settings."
            .to_string(),
    );
    if !s.outline.associated.is_empty() || !s.outline.unclear.is_empty() || !s.outline.choices.is_empty() {
        items.push(
            "What [#sec:effects] says of single settings is observational. A designed experiment with settings varied independently would be needed to \
             call any of it an effect."
                .to_string(),
        );
    }
    if s.outline.finding == Finding::Confirmed {
        items.push(
            "The best candidate is compared with a given baseline, and not with a baseline that was tuned with the same care. What is shown is that it \
             differs from that starting point, not that its settings are the best there are."
                .to_string(),
        );
    } else {
        items.push(
            "That nothing is confirmed is a statement about this budget. A longer search, more seeds or another space may well find what this one did not."
                .to_string(),
        );
    }
    if s.outline.scaling {
        items.push(
            "The sizes of the models span a narrow range, and nothing here supports a statement beyond it.".to_string(),
        );
    }
    items.iter().map(|i| format!("- {i}")).collect::<Vec<_>>().join("\n")
}

pub(super) fn ethics(s: &Story) -> String {
    let licence = if s.has("data.licence") {
        "The data, {data.name}, are used under their terms: {data.licence}."
    } else {
        "The campaign does not say under which licence its data, {data.name}, are used; whoever publishes these results has to find out."
    };
    let people = match &s.state.campaign.baseline.data {
        DataSpec::Digits(_) => " They show digits and nothing by which a writer could be recognised.",
        DataSpec::Modular(_) => " They concern nobody.",
        DataSpec::Text(text) if text.name.as_deref() == Some("tinyshakespeare") => {
            " Their author has been dead for centuries, and the language of the plays carries the prejudices of its time into whatever is trained on it."
        }
        DataSpec::Text(_) | DataSpec::Csv(_) => {
            " Whether they hold personal data is for their owner to say; the program does not look."
        }
        DataSpec::Idx(_) => "",
    };
    let footprint = if s.has("cost.energy") {
        format!("The devices took {{cost.energy}} while they were held{}.", s.cite(&["strubell2019"]))
    } else {
        // Only what is small may be called so.
        let scale = if s.number("cost.allocated") < 10.0 {
            format!(
                "; at {{cost.allocated}} in all it is small beside what is usual in the field{}",
                s.cite(&["strubell2019"])
            )
        } else {
            String::new()
        };
        format!("What the computation took of energy is not known, since no device told it{scale}.")
    };
    paragraphs([format!("{licence}{people}"), footprint])
}

pub(super) fn compute(s: &Story) -> String {
    paragraphs([
        spent(s),
        "!tab:cost".to_string(),
        devices(s),
        if s.has("prediction.ratio") { prediction(s) } else { String::new() },
        "!fig:cost".to_string(),
        if s.has("prediction.ratio") { "!fig:calibration".to_string() } else { String::new() },
        reproducibility(s),
    ])
}

fn spent(s: &Story) -> String {
    let mut text = "The campaign held devices for {cost.allocated} of the {cost.budget} that it was allowed ({cost.budget-share}), over {runs.total} in \
                    {attempts.total}; from its first event to its last it took {cost.elapsed}. [#tab:cost] and [#fig:cost] say on what."
        .to_string();
    if s.has("cost.run.median") {
        text += " A finished run took {cost.run.median} in the median, and between {cost.run.shortest} and {cost.run.longest}.";
    }
    if s.has("cost.dollars") {
        text += " At the prices the campaign gives, that comes to {cost.dollars}.";
    }
    if s.has("llm.questions") {
        text += " Of this, {llm.dollars} went to a language model, for {llm.questions} with {llm.tokens.in} sent and {llm.tokens.out} answered.";
    }
    text
}

fn devices(s: &Story) -> String {
    if s.has("cost.busy") {
        "Of the time whose use was watched, devices were busy for {cost.busy} ({cost.busy-share}); the rest went to starting processes, reading data, \
         evaluating and waiting for the controller."
            .to_string()
    } else {
        "How busy the devices were is not known: no attempt lasted long enough, or left a record, for it to be told."
            .to_string()
    }
}

fn prediction(s: &Story) -> String {
    let (ratio, within) = (s.number("prediction.ratio"), s.number("prediction.within"));
    let reading = match (ratio, within) {
        (r, _) if r > 1.25 => "So runs took longer than they were priced",
        (r, _) if r < 0.8 => "So runs took less time than they were priced",
        (_, w) if w < 0.8 => "So prices were near, and their error bars too narrow",
        _ => "So prices were about right",
    };
    // What a price does not hold, where runs could feel it and took longer.
    let campaign = &s.state.campaign;
    let local = campaign.execution.site.is_none() && campaign.baseline.resources.device == DeviceSpec::Cpu;
    let shared = if local && campaign.execution.parallel > 1 && ratio > 1.0 && within < 0.8 {
        " Runs were made side by side on the cores of a shared machine, and prices rest on speeds that were measured with nothing beside them: what \
         runs take from each other is in no price."
    } else {
        ""
    };
    format!(
        "Before it is started, each run is priced from its compute graph and the measured speed of the machine. Over {{prediction.ratio|n}} \
         finished runs, held time over predicted time has a median of {{prediction.ratio}} and for most of them lies between \
         {{prediction.low}} and {{prediction.high}} ([#fig:calibration]). {reading}: {{prediction.within}} of the runs ended within the upper end of \
         their own prediction.{shared}"
    )
}

fn reproducibility(s: &Story) -> String {
    let same = if s.number("env.fingerprints") == 1.0 { ", to the same bits on the same hardware" } else { "" };
    format!(
        "Everything in this note is derived from the campaign's folder: the journal with {{events.total}} and {{decisions.total}}, each with its reason, and for \
         each run its configuration, manifest, metrics and outcome. `nanoresearch run` with the campaign's configuration makes the same proposals from the \
         same seeds and trains the runs again{same}; `nanoresearch run --replay` derives every decision again without running anything, and `nanoresearch \
         paper` writes this note. Randomness is counter-based{}, so a run does not depend on threads, micro-batches or whether it was interrupted. Data \
         whose content does not have the recorded hash ({{data.hash}}) are refused.",
        s.cite(&["salmon2011"])
    )
}
