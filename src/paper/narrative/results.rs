//! Results, effects of settings, scaling, and what failed.

use super::outline::effects as effects_of;
use super::{Finding, Story, paragraphs};
use crate::analysis::EffectKind;
use crate::campaign::capital;
use crate::paper::fact::Shows;
use crate::paper::facts::words::{list, readable, slug};

pub(super) fn results(s: &Story) -> String {
    if !s.has("baseline.metric") {
        return paragraphs(["Too few repetitions of the baseline ended with a value, and without its noise nothing can be compared. What the \
                            runs gave by themselves is in the campaign's records."
            .to_string()]);
    }
    paragraphs([
        baseline(s),
        looks(s),
        compared(s),
        if s.outline.compared.is_empty() { String::new() } else { "!tab:main".to_string() },
        if s.has("figure.curves.baseline") { "!fig:curves".to_string() } else { String::new() },
        luck(s),
        others(s),
        "!fig:progress".to_string(),
        hypotheses(s),
    ])
}

fn baseline(s: &Story) -> String {
    let mut text = format!(
        "Over {{seeds.baseline|words}} the baseline reaches a mean {} of {{baseline.metric|interval}}. Its best and its poorest seed lie \
         {{baseline.spread}} apart, although nothing but the seed differs between them.",
        s.metric()
    );
    if s.outline.few_seeds {
        text += " With so few repetitions the floor itself is known roughly at best.";
    }
    text
}

fn looks(s: &Story) -> String {
    if s.number("search.tried").max(0.0) == 0.0 {
        return "No candidate was run.".to_string();
    }
    let mut text = if s.number("search.valued") == s.number("search.proposed") {
        "Each of {search.proposed} that were proposed gave a value at first look".to_string()
    } else {
        "Of {search.proposed} that were proposed, {search.valued|value} gave a value at first look".to_string()
    };
    if s.number("search.failed") > 0.0 {
        text += ", {search.failed|value} ended in failure";
    }
    if s.number("search.rejected") > 0.0 {
        text += ", and {search.rejected|value} were never run";
    }
    text += ". ";
    let (ahead, beyond) = (s.number("search.ahead"), s.number("search.beyond"));
    text += if ahead == 0.0 {
        "None of these looks was ahead of the baseline's mean."
    } else if beyond == 0.0 {
        "Of these looks {search.ahead|value} lay ahead of the baseline's mean ({search.ahead-share}), and not a single run of them by more than \
         what separates single runs of the same configuration ({baseline.single-floor})."
    } else if beyond == ahead {
        "Of these looks {search.ahead|value} lay ahead of the baseline's mean ({search.ahead-share}), all of them by more than what separates \
         single runs of the same configuration ({baseline.single-floor})."
    } else {
        "Of these looks {search.ahead|value} lay ahead of the baseline's mean ({search.ahead-share}), {search.beyond|value} of them by more than \
         what separates single runs of the same configuration ({baseline.single-floor})."
    };
    text + " [#fig:progress] shows them in the order in which they ended."
}

/// The candidates that were repeated.
fn compared(s: &Story) -> String {
    match s.outline.finding {
        Finding::Confirmed => {
            let mut text = format!(
                "The leaders of that list were repeated ([#tab:main]). On seeds that it was not chosen by, the best candidate has a mean of \
                 {{candidate.best.metric|interval}}. The paired difference to the baseline is {{candidate.best.difference|interval}} over \
                 {{candidate.best.difference|n}} seeds, {{candidate.best.floors}} times the noise floor ({}).",
                s.p("candidate.best.p")
            );
            text += " ";
            text += &settings(s, "candidate.best", "The best candidate");
            if s.has("figure.curves.candidate") {
                text += " [#fig:curves] shows how the runs come to these values.";
            }
            text
        }
        Finding::NotAfterCorrection | Finding::NotConfirmed => {
            let first = s.outline.compared.first().copied().unwrap_or_default();
            let id = format!("candidate.{first}");
            let mut text = format!(
                "Of {{search.judged|words}} that were repeated ([#tab:main]), candidate {first} has the best mean, {{{id}.metric|interval}}. Its paired \
                 difference to the baseline is {{{id}.difference|interval}} against a floor of {{baseline.floor}} ({}). ",
                s.p(&format!("{id}.p"))
            );
            text += if s.outline.finding == Finding::NotConfirmed {
                "Neither this interval nor that of any other candidate lies beyond the floor, so the search leaves the question open: whatever these \
                 settings change is smaller than what this number of seeds can tell from noise."
            } else {
                "What clears the floor by itself does not survive the correction, and is not claimed."
            };
            text += " ";
            text += &settings(s, &id, &format!("Candidate {first}"));
            text
        }
        Finding::NotRepeated => {
            "No candidate was repeated over seeds. By single looks nothing is decided, and no comparison is made."
                .to_string()
        }
        _ => String::new(),
    }
}

/// Where a candidate's settings are, and its size.
fn settings(s: &Story, id: &str, name: &str) -> String {
    let size = if s.has(&format!("{id}.parameters")) { format!(" has {{{id}.parameters}};") } else { String::new() };
    format!("{name}{size}{} settings are in [#tab:space].", if size.is_empty() { "'s" } else { " its" })
}

/// What the first look overstated.
fn luck(s: &Story) -> String {
    let id = match s.outline.finding {
        Finding::Confirmed => "candidate.best".to_string(),
        Finding::NotConfirmed | Finding::NotAfterCorrection => {
            format!("candidate.{}", s.outline.compared.first().copied().unwrap_or_default())
        }
        _ => return String::new(),
    };
    let name = if id == "candidate.best" { "the best candidate".to_string() } else { id.replace('.', " ") };
    if !s.has(&format!("{id}.shrink")) {
        return String::new();
    }
    let (shrink, floor) = (s.number(&format!("{id}.shrink")), s.number("baseline.floor"));
    let flattered = if s.state.better(1.0, 0.0) { shrink > 0.0 } else { shrink < 0.0 };
    if flattered {
        let size = if shrink.abs() > floor { "more than the noise floor" } else { "less than the noise floor" };
        format!(
            "By its first look alone, {name} would have been reported at {{{id}.first-look}}. That flatters it by {{{id}.shrink|abs}}, {size}: \
             the usual fate of a value that was selected for being good, and the reason why it is left out of the comparison."
        )
    } else {
        format!(
            "Its first look, at {{{id}.first-look}}, did not flatter {name}: the mean over fresh seeds is no less favourable. Nothing in the \
             procedure relies on that."
        )
    }
}

/// The other candidates that were repeated.
fn others(s: &Story) -> String {
    let best = s.state.best().map(|c| c.index);
    let rest: Vec<u64> = s.outline.compared.iter().copied().filter(|i| Some(*i) != best).collect();
    if s.outline.finding != Finding::Confirmed || rest.is_empty() {
        return String::new();
    }
    let shows = |i: u64| s.facts.get(&format!("candidate.{i}.difference")).and_then(|f| f.shows);
    let mut sentences = Vec::new();
    let (mut good, mut open) = (Vec::new(), Vec::new());
    for i in rest {
        match shows(i) {
            Some(Shows::Improvement) => good.push(format!("candidate {i} ({{candidate.{i}.difference|interval}})")),
            Some(Shows::Harm) => {
                sentences.push(format!(
                    "Candidate {i} turns out worse than the baseline, by {{candidate.{i}.difference|interval}}, although its first look had \
                     been ahead."
                ));
            }
            _ => open.push(format!("candidate {i} ({{candidate.{i}.difference|interval}})")),
        }
    }
    if !good.is_empty() {
        sentences.insert(0, format!("The noise floor is also cleared by {}.", list(&good)));
    }
    if !open.is_empty() {
        sentences.push(format!("Undecided {} {}.", if open.len() == 1 { "remains" } else { "remain" }, list(&open)));
    }
    sentences.join(" ")
}

/// Hypotheses, where a language model or a person posed any.
fn hypotheses(s: &Story) -> String {
    if s.number("hypotheses.total").max(0.0) == 0.0 {
        return String::new();
    }
    let counts = "{hypotheses.supported|value} of {hypotheses.total} are supported, {hypotheses.refuted|value} refuted, {hypotheses.open|value} open and \
                  {hypotheses.untested|value} untested";
    format!(
        "Hypotheses were posed with a predicted effect and with what would refute them before anything was run for them: {counts} ([#tab:hypotheses]). \
         Statistics decide over them, not whoever made the claim.\n\n!tab:hypotheses"
    )
}

pub(super) fn effects(s: &Story) -> String {
    let all = effects_of(s.state);
    if all.is_empty() {
        return String::new();
    }
    let intro = "Every first look is a point in the space, so the looks together say something about each setting on its own. [#fig:effects] draws the \
                 objective against the settings, and [#tab:effects] gives the strength of each. These are descriptions of what was tried: a \
                 sampler that turns to good regions makes settings move together, and none of them was varied by itself."
        .to_string();
    paragraphs([intro, numeric(s), chosen(s), "!fig:effects".to_string(), "!tab:effects".to_string(), scaling(s)])
}

fn numeric(s: &Story) -> String {
    let good = |rho: f64| if s.state.better(1.0, 0.0) { rho > 0.0 } else { rho < 0.0 };
    let mut sentences = Vec::new();
    for (i, path) in s.outline.associated.iter().enumerate() {
        let (name, id) = (readable(path), format!("effect.{}", slug(path)));
        let good = good(s.number(&format!("{id}.rho")));
        let way = format!("larger values go with {} results", if good { "good" } else { "poorer" });
        sentences.push(if i == 0 {
            format!(
                "Among the numeric settings the clearest association is that of the {name}: its rank correlation with the objective is {{{id}.rho}} ({} after correction \
                 over the settings, n\u{a0}=\u{a0}{{{id}.rho|n}}), so {way}.",
                s.p(&format!("{id}.p"))
            )
        } else {
            format!("The {name} is associated too, at {{{id}.rho}} ({}); there {way}.", s.p(&format!("{id}.p")))
        });
    }
    if !s.outline.unclear.is_empty() {
        let parts: Vec<String> = s
            .outline
            .unclear
            .iter()
            .map(|path| format!("the {} ({{effect.{}.rho}})", readable(path), slug(path)))
            .collect();
        sentences.push(format!(
            "No association is told apart from none for {}. A rank correlation sees monotone effects only: a setting with an optimum inside its range \
             can matter and leave little trace in it.",
            list(&parts)
        ));
    }
    sentences.join(" ")
}

/// What the choices did: means of first looks, described and not compared.
fn chosen(s: &Story) -> String {
    let mut sentences = Vec::new();
    for effect in effects_of(s.state) {
        let EffectKind::Groups { groups } = &effect.kind else { continue };
        let (name, mut parts) = (readable(&effect.parameter), Vec::new());
        for group in groups {
            let choice = crate::paper::facts::words::setting(&group.choice);
            let id = crate::paper::facts::group_id(&effect.parameter, &choice);
            if let Some(fact) = s.facts.get(&id) {
                parts.push(format!(
                    "{{{id}}} with {{{id}.choice}} (n\u{a0}=\u{a0}{{{id}|n}}{})",
                    if fact.n == Some(1) { ", a single look" } else { "" }
                ));
            }
        }
        if parts.len() > 1 {
            sentences.push(format!("By {name}, the mean over first looks is {}.", list(&parts)));
        }
    }
    if sentences.is_empty() {
        return String::new();
    }
    // Effects come strongest first.
    let first = s.outline.choices.first().map(|path| {
        format!(
            "Of the choices, the {} has the largest correlation ratio ({{effect.{}.strength}}), for which no test is made here. ",
            readable(path),
            slug(path)
        )
    });
    format!(
        "{}{} These means mix all other settings, and the sampler gives more looks to choices that did well, so they are not comparisons.",
        first.unwrap_or_default(),
        sentences.join(" ")
    )
}

fn scaling(s: &Story) -> String {
    if !s.outline.scaling {
        return String::new();
    }
    let clear = s.facts.get("scaling.exponent").and_then(|f| f.shows) == Some(Shows::Association);
    let verdict = if clear {
        "The interval of the exponent excludes no dependence at all, so over this range size and error go together."
    } else {
        "The interval of the exponent includes no dependence at all, so whether size matters over this range is left open."
    };
    format!(
        "The model's size was among what varied, from {{scaling.smallest|value}} to {{scaling.largest}}. Through the best run of each of the \
         {{scaling.sizes|words}}, out of {{scaling.runs}}, the error follows a power of the parameter count with exponent \
         {{scaling.exponent|interval}} ([#fig:scaling]). {verdict} The best of several runs is favoured where a size was tried often; the fit describes \
         the frontier that this search reached.\n\n!fig:scaling"
    )
}

/// What is answered, what is not, and what would be tried next.
pub(super) fn conclusion(s: &Story) -> String {
    let size = if !s.outline.scaling {
        ""
    } else if s.facts.get("scaling.exponent").and_then(|f| f.shows) == Some(Shows::Association) {
        " How the error goes with size is in [#fig:scaling]; beyond these sizes nothing is known."
    } else {
        " How far size carries is left open by what was run ([#fig:scaling])."
    };
    match s.outline.finding {
        Finding::Confirmed => {
            let lying = match (s.number("search.judged"), s.number("search.confirmed")) {
                (1.0, _) => "The candidate that was repeated lies",
                (2.0, 2.0) => "Both of the {search.judged|words} that were repeated lie",
                (all, good) if all == good => "All {search.judged|words} that were repeated lie",
                (_, 1.0) => "Of {search.judged|words} that were repeated, {search.confirmed|value} lies",
                _ => "Of {search.judged|words} that were repeated, {search.confirmed|value} lie",
            };
            let hints: Vec<String> = s
                .outline
                .choices
                .first()
                .into_iter()
                .chain(s.outline.associated.first())
                .map(|p| readable(p))
                .collect();
            let next = if hints.is_empty() {
                String::new()
            } else {
                format!(
                    " The first looks point to the {}: to vary {} alone, from the best candidate on, is the next experiment.",
                    hints.join(" and the "),
                    if hints.len() == 1 { "that" } else { "each of these" }
                )
            };
            // With a single setting there is nothing to tell apart.
            let owed = match s.state.campaign.space.len() {
                0 | 1 => String::new(),
                _ => format!(" Which setting this is owed to is not told, since all of them moved at once.{next}"),
            };
            format!(
                "{lying} beyond the noise floor, so the starting point left room that re-seeding does not explain.{owed}{size}"
            )
        }
        Finding::NotConfirmed | Finding::NotAfterCorrection => format!(
            "No setting is recommended over the baseline. A floor of {{baseline.floor}} says how large a difference would have had to be to be seen \
             over so many seeds; to see less takes more of them, and not a wider search.{size}"
        ),
        _ => String::new(),
    }
}

pub(super) fn failures(s: &Story) -> String {
    if !s.outline.failures && s.number("runs.diverged").max(0.0) == 0.0 {
        return String::new();
    }
    let mut sentences = Vec::new();
    if s.number("runs.diverged") > 0.0 {
        sentences.push(
            "Of {runs.total}, {runs.diverged|value} diverged. A divergence is a result of its settings and not a fault of the machine; it is kept, \
             shown to the sampler as a failure, and never tried again."
                .to_string(),
        );
    }
    if s.number("attempts.failed") > 0.0 {
        let kinds = if s.has("attempts.failure-kinds") { " ({attempts.failure-kinds})" } else { "" };
        sentences.push(format!(
            "Of {{attempts.total}} that were started, {{attempts.failed|value}} failed{kinds}. Fixed rules decided what followed; {{runs.recovered}} {} brought \
             to an end by a further attempt.",
            s.was("runs.recovered")
        ));
    }
    if s.number("runs.failed") > s.number("runs.diverged") {
        sentences.push(
            "In all, {runs.failed} ended without a value, and are counted wherever runs are counted.".to_string(),
        );
    }
    if s.number("search.rejected") > 0.0 {
        sentences.push(format!(
            "{} {} never run, since they could not be built, did not fit in memory or time, or repeated what was known.",
            "{search.rejected|Words}",
            s.was("search.rejected")
        ));
    }
    if s.has("cost.wasted") {
        sentences.push(
            "Device time that came to nothing amounts to {cost.wasted} ({cost.wasted-share} of all).".to_string(),
        );
    }
    capital(&sentences.join(" "))
}
