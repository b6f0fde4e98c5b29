//! Figures and tables with their captions.

use super::outline::effects;
use super::{Finding, Story};
use crate::analysis::EffectKind;
use crate::figures::{self, Chart};
use crate::paper::document::{DraftSection, FigureDraft, Panel, RowDraft, TableDraft};
use crate::paper::fact::Shows;
use crate::paper::facts::words::{readable, slug};
use crate::paper::facts::{predicted, sizes};
use crate::plot::{StripChart, StripRow};

/// Everything that the sections place.
pub(super) fn all(s: &Story, sections: &[DraftSection]) -> (Vec<FigureDraft>, Vec<TableDraft>) {
    let wanted =
        |label: &str| sections.iter().any(|section| section.source.lines().any(|l| l.trim() == format!("!{label}")));
    let figures = [curves(s), Some(progress(s)), effect_panels(s), scaling(s), Some(cost(s)), calibration(s)];
    let tables = [Some(space(s)), Some(main(s)), Some(hypotheses(s)), Some(strengths(s)), Some(costs())];
    (
        figures.into_iter().flatten().filter(|f| wanted(&f.label)).collect(),
        tables.into_iter().flatten().filter(|t| wanted(&t.label)).collect(),
    )
}

fn figure(label: &str, caption: impl Into<String>, panels: Vec<(&str, Chart, f64)>) -> FigureDraft {
    FigureDraft {
        label: label.to_string(),
        caption: caption.into(),
        panels: panels.into_iter().map(|(name, chart, width)| Panel { name: name.to_string(), chart, width }).collect(),
    }
}

fn curves(s: &Story) -> Option<FigureDraft> {
    let drawn = figures::learning_curves(s.folder, s.state);
    let second = if s.has("figure.curves.candidate") {
        let who = if s.outline.finding == Finding::Confirmed {
            "best confirmed candidate"
        } else {
            "candidate with the best first look"
        };
        format!(" and over {{figure.curves.candidate}} of the {who}")
    } else {
        String::new()
    };
    let caption = format!(
        "Learning curves: {} on the validation part during training, as a mean over {{figure.curves.baseline}} of the baseline{second}. Bands are \
         {{objective.confidence}} intervals of the mean at each step, where there are enough runs for them. The run by which a candidate was chosen is left \
         out where it was repeated.",
        s.metric().trim_start_matches("validation ")
    );
    Some(figure("fig:curves", caption, vec![("curves", drawn.chart, 0.72)]))
}

fn progress(s: &Story) -> FigureDraft {
    let drawn = figures::best_so_far(s.state);
    let outside = match s.number("figure.progress.outside") {
        n if n > 0.0 => {
            " Runs far on the poor side ({figure.progress.outside}) are arrowheads at the edge, not to scale."
        }
        _ => "",
    };
    let failed = if drawn.failed > 0 { " Crosses at the edge are runs that ended without a value." } else { "" };
    let caption = format!(
        "The {} of each of {{figure.progress.n}} that finished, in the order of their ends, and the best single run so far, against the device time \
         settled by then. Points are single runs, without an interval; the rule is the baseline's mean.{outside}{failed}",
        s.metric()
    );
    figure("fig:progress", caption, vec![("progress", drawn.chart, 0.72)])
}

fn effect_panels(s: &Story) -> Option<FigureDraft> {
    let all = effects(s.state);
    let shown: Vec<_> = all.iter().take(4).collect();
    if shown.is_empty() {
        return None;
    }
    let names = ["effect-a", "effect-b", "effect-c", "effect-d"];
    let (mut outside, mut failed) = (false, false);
    let mut panels: Vec<(&str, Chart, f64)> = shown
        .iter()
        .zip(names)
        .map(|(effect, name)| {
            let label = readable(&effect.parameter);
            let drawn = figures::effect(s.state, effect, &label);
            outside |= drawn.outside > 0;
            failed |= drawn.failed > 0;
            let mut chart = drawn.chart.titled(label.clone());
            // Panels of one figure: the caption says once what their marks are.
            match &mut chart {
                Chart::Figure(figure) => (figure.height, figure.legend) = (150.0, false),
                Chart::Strips(strips) => {
                    strips.legend = false;
                    strips.x.label = format!("{} by {label}", strips.x.label);
                }
                Chart::Bars(_) => {}
            }
            (name, chart, if shown.len() == 1 { 0.72 } else { 0.49 })
        })
        .collect();
    align(&mut panels);
    let choices = shown.iter().any(|e| matches!(e.kind, EffectKind::Groups { .. }));
    let strokes =
        if choices { " For choices the stroke is their median, given with its number at the end." } else { "" };
    let outside = if outside { " Arrowheads at the edge are much poorer looks, not to scale." } else { "" };
    let failed = if failed { " Crosses at the edge are candidates that failed or diverged." } else { "" };
    let caption = format!(
        "First looks at {{effect.n|value}} candidates against the settings that come first in [#tab:effects]: {} of single runs on the same seed, without \
         intervals; the thin line is the baseline's mean.{strokes}{outside}{failed} All settings vary at the same time.",
        s.metric()
    );
    Some(figure("fig:effects", caption, panels))
}

/// Gives the charts of choices in one figure fields of one width.
fn align(panels: &mut [(&str, Chart, f64)]) {
    fn strips<'c>(panel: &'c mut (&str, Chart, f64)) -> Option<&'c mut StripChart> {
        if let Chart::Strips(strips) = &mut panel.1 { Some(strips) } else { None }
    }
    let all: Vec<StripRow> = panels.iter_mut().filter_map(strips).flat_map(|s| s.rows.clone()).collect();
    panels.iter_mut().filter_map(strips).for_each(|s| s.beside = all.clone());
}

fn scaling(s: &Story) -> Option<FigureDraft> {
    let (sizes, line) = sizes(s.folder, s.state)?;
    let label = if s.state.better(1.0, 0.0) {
        format!("error ({} from perfect)", s.metric().trim_start_matches("validation "))
    } else {
        figures::metric_label(s.state)
    };
    let rows: Vec<(f64, f64, Vec<f64>)> = sizes.into_iter().map(|z| (z.parameters, z.best, z.all)).collect();
    let chart = figures::scaling(&rows, &line, &label);
    let caption = "Error against the number of trained parameters, on logarithmic axes: all {scaling.runs} that finished, the best run of each of \
                   {scaling.sizes|words}, and the power law through those with its {objective.confidence} interval of the mean (exponent \
                   {scaling.exponent|interval}, n\u{a0}=\u{a0}{scaling.exponent|n})."
        .to_string();
    Some(figure("fig:scaling", caption, vec![("scaling", chart, 0.72)]))
}

fn cost(s: &Story) -> FigureDraft {
    let caption = "Above: the device-time budget by what it was spent on, and what was left, each part from where the part above it ends. Below: devices allocated to attempts and devices busy, \
                   as means over {figure.devices.parts} of the campaign's time; n\u{a0}=\u{a0}{attempts.total}. An attempt without a record counts as idle. Sums and \
                   means of what was settled, without intervals.";
    figure(
        "fig:cost",
        caption,
        vec![("ledger", figures::ledger(s.state), 0.9), ("devices", figures::devices(s.state), 0.9)],
    )
}

fn calibration(s: &Story) -> Option<FigureDraft> {
    let runs: Vec<(f64, f64)> = s.state.runs.iter().filter_map(predicted).collect();
    let chart = figures::cost_calibration(&runs)?;
    let caption = "Held against predicted seconds of {prediction.ratio|n} finished runs, on logarithmic axes. On the line a prediction is exact. Points \
                   are single runs; most of their ratios lie between {prediction.low} and {prediction.high}.";
    Some(figure("fig:calibration", caption, vec![("calibration", chart, 0.62)]))
}

/// Repeated candidates whose settings fit beside the space.
const REPEATED: usize = 4;

/// The space beside the baseline and the candidates that were repeated.
fn space(s: &Story) -> TableDraft {
    let shown: Vec<u64> = s.outline.compared.iter().copied().take(REPEATED).collect();
    let mut columns = vec!["setting".to_string(), "values tried".to_string(), ">baseline".to_string()];
    columns.extend(shown.iter().map(|i| format!(">candidate {i}")));
    let rows = s
        .state
        .campaign
        .space
        .keys()
        .map(|path| {
            let slug = slug(path);
            let cell = |id: String| if s.has(&id) { format!("{{{id}}}") } else { "\u{2013}".to_string() };
            let mut cells = vec![
                format!("{{space.{slug}.name}}"),
                format!("{{space.{slug}.range}}"),
                cell(format!("space.{slug}.baseline")),
            ];
            cells.extend(shown.iter().map(|i| cell(format!("candidate.{i}.setting.{slug}"))));
            RowDraft { about: Some(format!("parameter.{path}")), cells, ..RowDraft::default() }
        })
        .collect();
    let caption = if shown.len() > 1 {
        "The search space, with the values of the baseline and of the candidates that were repeated, best mean first. A dash: the setting is absent \
         there, or was not proposed."
    } else if shown.len() == 1 {
        "The search space, with the values of the baseline and of the candidate that was repeated. A dash: the setting is absent there, or was \
         not proposed."
    } else {
        "The search space, with the baseline's values. A dash: the setting is absent there."
    };
    let mut about = vec![None, None, Some("baseline".to_string())];
    about.extend(shown.iter().map(|i| Some(format!("candidate.{i}"))));
    TableDraft { label: "tab:space".into(), caption: caption.into(), columns, about, rows }
}

/// The baseline and every candidate that was repeated.
fn main(s: &Story) -> TableDraft {
    let unit = s.facts.get("baseline.metric").map(|f| f.unit.clone()).filter(|u| !u.is_empty());
    let metric = format!(">{}{}", s.metric(), unit.map(|u| format!(" ({u})")).unwrap_or_default());
    let columns =
        ["configuration", &metric, ">paired difference", ">p", ">first look", "verdict"].map(String::from).to_vec();
    let mut rows = vec![RowDraft {
        about: Some("baseline".into()),
        cells: ["baseline", "{baseline.metric|value} {baseline.metric|bounds}", "", "", "", ""]
            .map(String::from)
            .to_vec(),
        ..RowDraft::default()
    }];
    let best = s.state.best().map(|c| c.index);
    for (i, index) in s.outline.compared.iter().enumerate() {
        let id = format!("candidate.{index}");
        let shows = s.facts.get(&format!("{id}.difference")).and_then(|f| f.shows);
        let value = |name: &str| {
            let id = format!("{id}.{name}");
            match s.facts.get(&id) {
                Some(fact) if fact.interval.is_some() => format!("{{{id}|value}} {{{id}|bounds}}"),
                Some(_) => format!("{{{id}|value}}"),
                None => "\u{2013}".to_string(),
            }
        };
        rows.push(RowDraft {
            about: Some(id.clone()),
            cells: vec![
                format!("candidate {index}"),
                value("metric"),
                value("difference"),
                value("p"),
                value("first-look"),
                format!("{{{id}.verdict}}"),
            ],
            // Bold only where the difference is shown, and only the best.
            bold: if Some(*index) == best && shows == Some(Shows::Improvement) { vec![1] } else { Vec::new() },
            apart: i == 0,
        });
    }
    let caption = format!(
        "The baseline over {{seeds.baseline|words}} and the candidates that were repeated over {{seeds.confirm|words}}, best mean first: mean {} and \
         paired difference to the baseline with their {{objective.confidence}} intervals, two-sided p after Holm's correction over \
         {{search.judged|words}}, and the first look, which counts for nothing. Bold: the best mean whose difference lies beyond the noise floor of \
         {{baseline.floor}}, if any does.",
        s.metric()
    );
    TableDraft { label: "tab:main".into(), caption, columns, rows, about: Vec::new() }
}

fn hypotheses(s: &Story) -> TableDraft {
    let rows = (1..=s.state.counsel.hypotheses.len())
        .map(|n| {
            let id = format!("hypothesis.{n}");
            RowDraft {
                about: Some(id.clone()),
                cells: vec![
                    format!("{{{id}.claim}}"),
                    format!("{{{id}.predicted}}"),
                    format!("{{{id}.verdict}}"),
                    format!("{{{id}.refuted-if}}"),
                ],
                ..RowDraft::default()
            }
        })
        .collect();
    TableDraft {
        label: "tab:hypotheses".into(),
        caption: "Hypotheses in the words in which they were posed, with the predicted difference, how they stand, and what would refute them.".into(),
        columns: ["hypothesis", ">predicted", "standing", "refuted if"].map(String::from).to_vec(),
        rows,
        about: Vec::new(),
    }
}

fn strengths(s: &Story) -> TableDraft {
    let rows = effects(s.state)
        .iter()
        .map(|effect| {
            let (key, id) = (format!("parameter.{}", effect.parameter), format!("effect.{}", slug(&effect.parameter)));
            let numeric = s.has(&format!("{id}.rho"));
            let cell = |name: &str| if numeric { format!("{{{id}.{name}}}") } else { "\u{2013}".to_string() };
            RowDraft {
                about: Some(key),
                cells: vec![
                    readable(&effect.parameter),
                    if numeric { "number".into() } else { "choice".into() },
                    format!("{{{id}.strength}}"),
                    cell("rho"),
                    cell("p"),
                    format!("{{{id}.strength|n}}"),
                ],
                ..RowDraft::default()
            }
        })
        .collect();
    TableDraft {
        label: "tab:effects".into(),
        caption: "How closely each setting goes with the objective over first looks: of numbers the size of Spearman's rank correlation, which \
                  is given with its sign and its p after Holm's correction over the settings; of choices the correlation ratio."
            .into(),
        columns: ["setting", "kind", ">strength", ">rank correlation", ">p", ">looks"].map(String::from).to_vec(),
        rows,
        about: Vec::new(),
    }
}

fn costs() -> TableDraft {
    let row = |name: &str, what: &str, runs: &str| RowDraft {
        about: None,
        cells: vec![
            name.to_string(),
            format!("{{{runs}|value}}"),
            format!("{{cost.{what}}}"),
            if what == "allocated" { String::new() } else { format!("{{cost.{what}-share}}") },
        ],
        bold: Vec::new(),
        apart: what == "allocated",
    };
    TableDraft {
        label: "tab:cost".into(),
        caption: "Runs and device time by what they were for. Device time is what attempts held a device for, failed ones included.".into(),
        columns: ["purpose", ">runs", ">device time", ">share"].map(String::from).to_vec(),
        about: Vec::new(),
        rows: vec![
            row("repetitions of the baseline", "baseline", "runs.baseline"),
            row("first looks at candidates", "search", "runs.candidate"),
            row("repetitions of candidates", "confirm", "runs.confirm"),
            row("all", "allocated", "runs.total"),
        ],
    }
}
