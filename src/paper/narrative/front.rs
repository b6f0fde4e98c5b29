//! Title, abstract, introduction, related work.

use super::{Finding, Story, paragraphs};
use crate::campaign::capital;
use crate::config::{
    Activation, CnnHead, DataSpec, FeedForward, ModelSpec, Norm, OptimizerSpec, PlannerKind, Positions, ScheduleShape,
};
use crate::paper::fact::Shows;
use crate::paper::facts::words::{list, readable};

pub(super) fn title(s: &Story) -> String {
    let what = format!("a {} on {}", s.text("model.kind"), s.text("data.title"));
    match s.outline.finding {
        Finding::Confirmed => format!("What survives repetition: tuning {what}"),
        Finding::NotAfterCorrection => format!("Tuning {what}: not beyond what many comparisons find by chance"),
        Finding::NotConfirmed => format!("Tuning {what}: nothing that clears the noise of re-seeding"),
        Finding::NotRepeated => format!("Tuning {what}: first looks without a finding"),
        Finding::BaselineOnly | Finding::Nothing => format!("Measurements of {what}"),
    }
}

pub(super) fn summary(s: &Story) -> String {
    let mut text = format!("We ask: {{campaign.question}} {}", noise_first(s));
    if s.has("search.tried") && s.number("search.tried") > 0.0 {
        text += &format!(
            " {} proposed {{search.proposed}} over {{space.parameters|words}}; each of the {{search.tried}} that were run was looked \
             at once, and the leaders were repeated on seeds that had no part in choosing them.",
            capital(&proposer(s))
        );
    }
    text += " ";
    text += &finding(s);
    text += " The campaign took {runs.total} and {cost.allocated}";
    text += if s.has("cost.energy") {
        ", at an energy of {cost.energy}."
    } else {
        "; the energy of its devices was not measured."
    };
    text + " Every number in this note is resolved from the campaign's own records when the note is built."
}

/// Who proposed, as the subject of a sentence.
fn proposer(s: &Story) -> String {
    s.text("planner.name").to_string()
}

fn noise_first(s: &Story) -> String {
    if !s.has("baseline.metric") {
        return "The baseline did not give enough values to tell its noise, so nothing is compared here.".to_string();
    }
    format!(
        "The noise is measured before anything is compared: over {{seeds.baseline|words}} the baseline has a mean {} of \
         {{baseline.metric|interval}}, and a difference counts only beyond the noise floor of {{baseline.floor}} that follows from \
         its spread.",
        s.metric()
    )
}

/// The main finding in sentences; shared by abstract and introduction with other words around it.
pub(super) fn finding(s: &Story) -> String {
    match s.outline.finding {
        Finding::Confirmed => {
            let relative = match s.facts.get("candidate.best.relative").map(|f| f.what.as_str()) {
                Some("change of the error") => ", which takes away {candidate.best.relative|abs} of its error",
                Some(_) => ", a relative change of {candidate.best.relative}",
                None => "",
            };
            format!(
                "The best candidate reaches {{candidate.best.metric|interval}} on those seeds. Its paired difference to the baseline is \
                 {{candidate.best.difference|interval}} ({} after correction for {{search.judged|words}}){relative}.",
                s.p("candidate.best.p")
            )
        }
        Finding::NotAfterCorrection => {
            "By itself the interval of a candidate lies beyond the noise floor, but not after the correction for the number of \
             candidates that were compared, so no setting is recommended over the baseline."
                .to_string()
        }
        Finding::NotConfirmed => {
            let first = s.outline.compared.first().copied().unwrap_or_default();
            format!(
                "None of the {{search.judged|words}} that were repeated cleared the floor; for the nearest of them, candidate {first}, the \
                 paired difference is {{candidate.{first}.difference|interval}}. We report this as a null result."
            )
        }
        Finding::NotRepeated if s.number("search.ahead") == 0.0 => {
            "No candidate was ahead of the baseline at its first look, so none was repeated.".to_string()
        }
        Finding::NotRepeated => {
            "The campaign ended before a candidate was repeated over seeds, so its first looks decide nothing."
                .to_string()
        }
        Finding::BaselineOnly => "No candidate was compared with it.".to_string(),
        Finding::Nothing => "No comparison was possible.".to_string(),
    }
}

pub(super) fn introduction(s: &Story) -> String {
    let settings: Vec<String> = s.state.campaign.space.keys().map(|p| readable(p)).collect();
    let motive = format!(
        "A training that is run again with another seed ends elsewhere. Whoever tries many settings and keeps the best run will \
         therefore find a run that looks ahead of where it started, whether or not any setting matters{}. The question of this \
         note is of that kind. We treat the noise of re-seeding as the first thing to be measured and the last to be forgotten.",
        s.cite(&["dodge2019"])
    );
    let done = if settings.is_empty() {
        String::new()
    } else {
        format!(
            "The subject is {}, trained on {{data.title}}. What may vary {} {}; everything else stays as in the baseline. The search is \
             bounded by a budget of {{cost.budget}} and was run without a person in the loop, by fixed rules that are \
             stated in [#sec:method] and journaled with their reasons.",
            s.model(),
            if settings.len() == 1 { "is the" } else { "are the" },
            list(&settings)
        )
    };
    paragraphs([motive, done, contributions(s)])
}

fn contributions(s: &Story) -> String {
    let mut items = Vec::new();
    match s.outline.finding {
        Finding::Confirmed => items.push(
            "The best candidate differs from the baseline by {candidate.best.difference|interval}, beyond the noise floor of \
             {baseline.floor}, on seeds that it was not chosen by ([#tab:main])."
                .to_string(),
        ),
        Finding::NotConfirmed | Finding::NotAfterCorrection => items.push(
            "No candidate is shown to improve on the baseline beyond the noise; what the first looks promised and what repetition \
             left of it is in [#tab:main]."
                .to_string(),
        ),
        Finding::NotRepeated => {
            items.push("No candidate was repeated, and none is therefore claimed to improve on the baseline.".to_string());
        }
        _ => {}
    }
    if let Some(path) = s.outline.associated.first() {
        let (name, slug) = (readable(path), super::super::facts::words::slug(path));
        items.push(format!(
            "Among the numeric settings, the {name} has the strongest association with the objective: a rank correlation of \
             {{effect.{slug}.rho}} over {{effect.{slug}.rho|n}} first looks ([#sec:effects])."
        ));
    }
    if s.facts.get("scaling.exponent").and_then(|f| f.shows) == Some(Shows::Association) {
        items.push(
            "Over {scaling.sizes|words} between {scaling.smallest|value} and {scaling.largest}, the error of the best run goes with a power \
             of the parameter count whose exponent is {scaling.exponent|interval} ([#fig:scaling])."
                .to_string(),
        );
    }
    if s.has("prediction.ratio") {
        items.push(
            "Every run was priced before it was started. Held time over predicted time has a median of {prediction.ratio} over \
             {prediction.ratio|n} runs ([#fig:calibration])."
                .to_string(),
        );
    }
    if items.len() < 2 {
        return String::new();
    }
    format!("In short:\n\n{}", items.iter().map(|i| format!("- {i}")).collect::<Vec<_>>().join("\n"))
}

/// Which methods the campaign used, with what describes them.
pub(super) fn related(s: &Story) -> String {
    paragraphs([search(s), training(s), model(s), reporting(s)])
}

fn search(s: &Story) -> String {
    let planner = &s.state.campaign.planner;
    let mut text = match planner.sampler() {
        PlannerKind::Tpe => format!(
            "Random search is the reference that any search over settings has to be held against, since it wastes nothing on settings \
             that do not matter{}. The tree-structured Parzen estimator{} goes beyond it by modelling where good and where other \
             results lie, and proposing where their ratio is large; it is what proposes here.",
            s.cite(&["bergstra2012"]),
            s.cite(&["bergstra2011"])
        ),
        PlannerKind::Random => format!(
            "Independent random draws cover the settings that matter more densely than a grid of the same size{}; they are what is \
             used here.",
            s.cite(&["bergstra2012"])
        ),
        PlannerKind::CmaEs => format!(
            "Candidates are proposed by the covariance matrix adaptation evolution strategy{}, with the usual treatment of whole numbers \
             and choices beside it.",
            s.cite(&["hansen2016"])
        ),
        PlannerKind::Grid => format!(
            "The search visits a grid, which is easy to read and spends much on settings that do not matter{}.",
            s.cite(&["bergstra2012"])
        ),
        PlannerKind::Evolution => {
            "Candidates are bred from the best results so far, with at most a single parent out of each region of the space.".to_string()
        }
        _ => "Candidates come from a list that was written before the campaign, so no sampler has to be trusted.".to_string(),
    };
    if planner.halving.is_some() {
        text += &format!(
            " Candidates that are behind at a rung of their training are stopped by asynchronous successive halving{}.",
            s.cite(&["li2020", "jamieson2016"])
        );
    }
    text
}

fn training(s: &Story) -> String {
    let experiment = &s.state.campaign.baseline;
    let space = |path: &str| s.state.campaign.space.get(path);
    let offers = |path: &str, value: &str| {
        space(path).is_some_and(|p| match &p.domain {
            crate::config::Domain::Choice { values } => values.iter().any(|v| v == value),
            _ => false,
        })
    };
    let mut text = String::new();
    let adamw = matches!(experiment.optimizer, OptimizerSpec::Adamw(_)) || offers("optimizer.kind", "adamw");
    let sgd = matches!(experiment.optimizer, OptimizerSpec::Sgd(_)) || offers("optimizer.kind", "sgd");
    if adamw {
        text += &format!(
            "Training uses Adam{} with weight decay decoupled from the gradient's moments{}.",
            s.cite(&["kingma2015"]),
            s.cite(&["loshchilov2019"])
        );
    }
    if sgd {
        text += &format!(
            "{}stochastic gradient descent{} with momentum{}.",
            if adamw { " An alternative is " } else { "Training uses " },
            s.cite(&["robbins1951"]),
            s.cite(&["sutskever2013"])
        );
    }
    if experiment.schedule.shape == ScheduleShape::Cosine {
        text += &format!(" The learning rate follows a cosine after a linear warm-up{}.", s.cite(&["loshchilov2017"]));
    }
    let dropout =
        space("model.dropout").is_some() || experiment.get("model.dropout").is_some_and(|v| v.as_f64() > Some(0.0));
    if dropout {
        text += &format!(" Units are dropped at random in training{}.", s.cite(&["srivastava2014"]));
    }
    if space("training.label_smoothing").is_some() || experiment.training.label_smoothing > 0.0 {
        text += &format!(" Targets may be smoothed over the classes{}.", s.cite(&["szegedy2016"]));
    }
    text
}

fn model(s: &Story) -> String {
    let experiment = &s.state.campaign.baseline;
    let varied = |path: &str| s.state.campaign.space.contains_key(path);
    let data = match &experiment.data {
        DataSpec::Idx(_) => s.cite(&["lecun1998"]),
        DataSpec::Digits(_) => s.cite(&["alpaydin1998"]),
        DataSpec::Modular(_) => s.cite(&["power2022"]),
        _ => String::new(),
    };
    match &experiment.model {
        ModelSpec::Gpt(gpt) => {
            let mut text = format!(
                "The model is a decoder-only transformer{} of the form that became common for language modelling{}.",
                s.cite(&["vaswani2017"]),
                s.cite(&["radford2019"])
            );
            let mut parts = Vec::new();
            if gpt.norm == Norm::Layer || varied("model.norm") {
                parts.push(format!("layer normalisation{}", s.cite(&["ba2016"])));
            }
            if gpt.norm == Norm::Rms || varied("model.norm") {
                parts.push(format!("root mean square normalisation{}", s.cite(&["zhang2019"])));
            }
            if gpt.positions == Positions::Rotary || varied("model.positions") {
                parts.push(format!("rotary position encoding{}", s.cite(&["su2021"])));
            }
            if gpt.feed_forward == FeedForward::Swiglu || varied("model.feed_forward") {
                parts.push(format!("gated feed-forward layers{}", s.cite(&["shazeer2020"])));
            }
            if gpt.feed_forward == FeedForward::Gelu || varied("model.feed_forward") {
                parts.push(format!("Gaussian error linear units{}", s.cite(&["hendrycks2016"])));
            }
            if !parts.is_empty() {
                text += &format!(" Its parts, and what is tried in their place, include {}.", list(&parts));
            }
            if s.outline.scaling {
                text += &format!(
                    " That the loss of such models follows a power of their size over many sizes was reported at far larger scale{}.",
                    s.cite(&["kaplan2020"])
                );
            }
            if !data.is_empty() {
                text += &format!(" The task was used before to study generalisation{data}.");
            }
            text
        }
        ModelSpec::Mlp(mlp) => {
            let mut text = format!(
                "The model is a plain fully connected network, on data that have long served as a small benchmark{data}."
            );
            if mlp.activation == Activation::Gelu || varied("model.activation") {
                text += &format!(" Its activation may be a Gaussian error linear unit{}.", s.cite(&["hendrycks2016"]));
            }
            if s.outline.scaling {
                text += &format!(
                    " Whether its error follows a power of its size, as is reported of much larger language models{}, is looked at \
                     in passing.",
                    s.cite(&["kaplan2020"])
                );
            }
            text
        }
        ModelSpec::Cnn(cnn) => {
            let mut text = format!("The model is a small convolutional network{}.", s.cite(&["lecun1998"]));
            if cnn.norm_groups > 0 || varied("model.norm_groups") {
                text += &format!(" It is normalised in groups of channels{}.", s.cite(&["wu2018"]));
            }
            if cnn.head == CnnHead::Mean {
                text += " Its classifier sees the mean over all pixels of each channel.";
            }
            text
        }
    }
}

fn reporting(s: &Story) -> String {
    let mut text = format!(
        "How results of such searches ought to be reported has been argued before: with the budget they took, and as what a search of \
         that size is expected to find{}. Intervals of means are Student's{}, and several comparisons with the same baseline are \
         corrected for their number after Holm{}.",
        s.cite(&["dodge2019"]),
        s.cite(&["student1908"]),
        s.cite(&["holm1979"])
    );
    if !s.outline.associated.is_empty() || !s.outline.unclear.is_empty() {
        text += &format!(" Associations are rank correlations{}.", s.cite(&["spearman1904"]));
    }
    text
}
