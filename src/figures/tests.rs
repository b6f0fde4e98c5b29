//! Figures of campaigns in virtual time, whose values, failures and retries are chosen: what is drawn, where, and by what name.
#![allow(clippy::disallowed_methods)]

use super::*;
use crate::analysis::{Effect, EffectKind};
use crate::campaign::State;
use crate::campaign::tests::lab::{Lab, campaign, learning_rate};
use crate::exec::fake::Play;
use crate::planner::{Assignment, Observation, Sampler, Space};
use crate::plot::{BarChart, End, Mark};
use crate::record;
use std::path::Path;

/// What becomes of a candidate.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    /// Its accuracy; a little more on other seeds where it is repeated.
    Value(f64),
    Dies,
    Diverges,
}

/// Candidates in this order: learning rate (which tells them apart), activation, fate.
type Plan = &'static [(f64, &'static str, Fate)];

use Fate::{Dies, Diverges, Value};

const PLAN: Plan = &[
    (0.02, "tanh", Value(0.95)),
    (0.03, "relu", Value(0.94)),
    (0.04, "tanh", Value(0.93)),
    (0.05, "relu", Value(0.96)),
    (0.06, "gelu", Value(0.925)),
    (0.07, "tanh", Value(0.10)),
    (0.08, "gelu", Dies),
    (0.09, "relu", Diverges),
];

impl Sampler for Plan {
    fn name(&self) -> &'static str {
        "planned"
    }
    fn propose(
        &self,
        _: &Space,
        _: &[Observation],
        index: u64,
        accept: &dyn Fn(&Assignment) -> bool,
    ) -> Option<Assignment> {
        let (rate, activation, _) = self.get(index as usize)?;
        let assignment = Assignment::from([
            ("optimizer.learning_rate".to_string(), (*rate).into()),
            ("model.activation".to_string(), (*activation).into()),
        ]);
        accept(&assignment).then_some(assignment)
    }
}

/// A concluded campaign over a plan. Baseline: 0.901, 0.902, 0.903 on seeds 1 to 3. A run that dies does so once if it may
/// be tried again.
fn concluded(plan: Plan, changes: &str) -> (State, Lab) {
    let space = r#"
        space = { "optimizer.learning_rate" = { type = "log-float", low = 0.001, high = 1.0 }, "model.activation" = { type = "choice", values = ["tanh", "relu", "gelu"] } }
    "#;
    let campaign = campaign(&format!("{space}\nplanner = {{ candidates = {} }}\n{changes}", plan.len()));
    let lab = Lab::new(&campaign, move |spec, _| {
        let (rate, seed) = (learning_rate(&spec.experiment), spec.experiment.training.seed);
        let finishes = |accuracy: f64| Play::completes(2.0, &[("accuracy", accuracy)]);
        let own = plan.iter().find(|p| p.0 == rate);
        match own.map(|p| p.2) {
            None => finishes(0.9 + 0.001 * seed as f64),
            Some(Value(value)) => finishes(value + 1e-4 * seed as f64),
            Some(Dies) if spec.id.number > 1 => finishes(0.915),
            Some(Dies) => Play::dies(0.5, 11),
            Some(Diverges) => Play::ends(0.5, record::End::Diverged { reason: "the loss is not finite".into() }),
        }
    });
    lab.drive_with(&campaign, &plan).0.unwrap();
    (lab.check(), lab)
}

/// Eight candidates, one far off, one dead, one diverged.
pub(crate) fn once() -> (State, Lab) {
    concluded(PLAN, "execution = { retries = 0 }")
}

fn effects(state: &State) -> Vec<Effect> {
    crate::report::effects(state)
}

#[track_caller]
fn figure(chart: &Chart) -> &Figure {
    let Chart::Figure(figure) = chart else { panic!("{chart:?}") };
    figure
}

#[track_caller]
fn bars(chart: &Chart) -> &BarChart {
    let Chart::Bars(bars) = chart else { panic!("{chart:?}") };
    bars
}

#[test]
fn an_outlier_stands_at_the_edge_and_failures_are_crosses() {
    let (state, _lab) = once();
    let effects = effects(&state);
    let rate = effects.iter().find(|e| matches!(e.kind, EffectKind::Correlation { .. })).unwrap();
    let drawn = effect(&state, rate, "learning rate");
    assert_eq!((drawn.n, drawn.outside, drawn.failed), (6, 1, 2));
    let shown = figure(&drawn.chart);
    let (low, high) = shown.y.range.unwrap();
    assert!(low > 0.8 && low < 0.91 && high > 0.96, "{low} to {high}: the outlier at 0.10 does not flatten the others");
    let Mark::Missing(places, End::Low) = &shown.series.last().unwrap().mark else { panic!("{shown:?}") };
    assert_eq!(places, &[0.08, 0.09]);
    let svg = drawn.chart.svg();
    for words in ["candidates", "baseline mean", "beyond the axis (1)", "failed or diverged (2)", "lower"] {
        assert!(svg.contains(words), "no {words:?} in {svg}");
    }
}

#[test]
fn choices_are_single_runs_with_their_median() {
    let (state, _lab) = once();
    let effects = effects(&state);
    let activation = effects.iter().find(|e| matches!(e.kind, EffectKind::Groups { .. })).unwrap();
    let drawn = effect(&state, activation, "activation");
    let Chart::Strips(strips) = &drawn.chart else { panic!("{drawn:?}") };
    // In the campaign's own order; on the seed of first looks, 4, each has 0.0004 more.
    let told: Vec<_> =
        strips.rows.iter().map(|r| (r.label.as_str(), r.points.len(), r.missing, r.note.as_str())).collect();
    assert_eq!(told, [("tanh", 3, 0, "0.930 (n=3)"), ("relu", 2, 1, "0.950 (n=2)"), ("gelu", 1, 1, "0.925 (n=1)")]);
    assert!((strips.rows[1].middle.unwrap() - 0.9504).abs() < 1e-9);
    assert_eq!(strips.missing, End::Low);
    let svg = drawn.chart.svg();
    assert!(
        svg.contains("median") && svg.contains("beyond the axis (1)") && svg.contains("failed or diverged (2)"),
        "{svg}"
    );
    let other = effects.iter().find(|e| *e != activation).unwrap();
    let beside = effect(&state, other, "learning rate");
    assert_eq!(strips.x.range, figure(&beside.chart).y.range, "one scale of the objective in all of them");
}

/// Whatever is drawn lies within the axis with room for its mark, the worst baseline run too.
#[test]
fn the_worst_baseline_run_is_not_cut_by_the_axis() {
    let better: Plan = &[(0.02, "tanh", Value(0.95)), (0.03, "relu", Value(0.94))];
    for plan in [better, PLAN] {
        let (state, _lab) = concluded(plan, "execution = { retries = 0 }");
        let drawn = best_so_far(&state);
        let worst = state.baseline.as_ref().unwrap().values.values().copied().fold(f64::INFINITY, f64::min);
        let shown = figure(&drawn.chart);
        // Without a range of its own an axis has a margin around all of its data.
        assert!(shown.y.range.is_none_or(|(low, _)| low < worst - 1e-3), "{:?} cuts {worst}", shown.y.range);
        assert_eq!(shown.x.range.unwrap().0, 0.0);
    }
    let drawn = best_so_far(&once().0);
    assert_eq!((drawn.outside, drawn.failed), (1, 2));
    assert!(drawn.chart.svg().contains("failed or diverged (2)"));
}

#[test]
fn the_budget_has_a_row_a_part_and_an_open_one_for_what_is_free() {
    let (state, _lab) = once();
    let chart = ledger(&state);
    let rows = &bars(&chart).rows;
    let names: Vec<&str> = rows.iter().map(|r| r.label.as_str()).collect();
    assert_eq!(names, ["baseline", "candidates", "confirmations", "reserved", "free"]);
    assert!(rows[3].bars.is_empty(), "nothing is reserved");
    let mut end = 0.0;
    for row in rows {
        for bar in &row.bars {
            assert_eq!((bar.from, bar.open), (end, row.label == "free"));
            end = bar.to;
        }
    }
    assert!((end - state.ledger.budget().seconds() / 60.0).abs() < 1e-9, "{end} minutes");
    assert_eq!(rows[0].note, "6.0 s, 0.2%");
    assert!(rows[4].note.ends_with('%') && rows[4].note.contains(" min, 99."), "{}", rows[4].note);
}

#[test]
fn attempts_are_told_apart_by_what_they_are_for_and_how_they_ended() {
    let (state, _lab) = concluded(PLAN, "execution = { retries = 1 }");
    let drawn = attempts(&state);
    let chart = bars(&drawn.chart);
    assert!(drawn.by_run && drawn.left_out == 0);
    assert_eq!(chart.x.range.unwrap().0, 0.0, "time begins at zero");
    let sign = |name: &str| chart.signs.iter().position(|s| s == name);
    for (run, row) in state.runs.iter().zip(&chart.rows) {
        let kind = ["baseline", "candidate", "confirm"].iter().position(|k| *k == run.purpose.name());
        assert!(row.bars.iter().all(|bar| Some(bar.series) == kind && bar.from >= 0.0 && bar.to > bar.from));
        assert!(row.note.starts_with(run.purpose.name()), "{}", row.note);
    }
    let run_of = |rate: f64| state.runs.iter().position(|r| learning_rate(&r.experiment) == rate).unwrap();
    let died = &chart.rows[run_of(0.08)].bars;
    assert_eq!(died.len(), 2);
    assert_eq!((died[0].begun, died[0].ended), (None, sign("failed")));
    assert_eq!((died[1].begun, died[1].ended), (sign("begins a further attempt of its run"), None));
    assert_eq!(chart.rows[run_of(0.09)].bars[0].ended, sign("diverged"));
    let svg = drawn.chart.svg();
    for words in
        ["confirmation", "confirms 3", "candidate 3", "failed", "diverged", "begins a further attempt of its run"]
    {
        assert!(svg.contains(words), "no {words:?}");
    }
    assert!(!svg.contains("still running"), "the legend has what occurs");
}

#[test]
fn many_attempts_share_rows() {
    let many = campaign("planner = { candidates = 60 }\nexecution = { parallel = 4 }");
    let lab = Lab::quiet(&many);
    lab.conclude(&many);
    let state = lab.check();
    let drawn = attempts(&state);
    let chart = bars(&drawn.chart);
    assert!(!drawn.by_run && drawn.left_out == 0 && drawn.n == state.runs.len());
    assert!(chart.rows.len() <= 12, "{} rows", chart.rows.len());
    assert_eq!(chart.rows.iter().map(|r| r.bars.len()).sum::<usize>(), drawn.n);
    for row in &chart.rows {
        assert!(row.bars.windows(2).all(|w| w[0].to <= w[1].from && w[0].series == w[1].series), "{row:?}");
    }
    let labels: Vec<&str> = chart.rows.iter().map(|r| r.label.as_str()).filter(|l| !l.is_empty()).collect();
    assert_eq!(labels, ["baseline", "candidates", "confirmations"]);
}

/// A run's metrics as a worker leaves them: training loss `3 + offset` falling over ten steps, and accuracy.
fn metrics(folder: &Path, run: crate::ids::RunId, offset: f64) {
    let line = |step: u64| {
        let timing = r#""seconds":1.0,"samples_per_second":1.0,"memory":1"#;
        let loss = (3.0 + offset) / step as f64;
        format!(
            "{{\"kind\":\"train\",\"step\":{step},\"loss\":{loss},\"lr\":0.1,\"grad_norm\":1.0,{timing}}}\n{{\"kind\":\"eval\",\"step\":{step},\"metrics\":{{\"accuracy\":{}}},{timing}}}\n",
            0.5 + 0.01 * offset
        )
    };
    let path = folder.join(crate::campaign::run_path(run));
    std::fs::create_dir_all(&path).unwrap();
    std::fs::write(path.join("metrics.jsonl"), (1..=10).map(line).collect::<String>()).unwrap();
}

#[test]
fn every_arm_with_seeds_has_its_band() {
    let (state, lab) = once();
    for (_, runs) in arms(&state) {
        for (offset, run) in runs.iter().enumerate() {
            metrics(&lab.folder, *run, offset as f64);
        }
    }
    for drawn in [training_curves(&lab.folder, &state), learning_curves(&lab.folder, &state)] {
        assert_eq!(drawn.arms, [(Arm::Baseline, 3), (Arm::Confirmed(3), 3)]);
        let shown = figure(&drawn.chart);
        let bands: Vec<_> = shown.series.iter().filter(|s| matches!(&s.mark, Mark::Band(b) if !b.is_empty())).collect();
        assert_eq!(bands.iter().map(|s| s.style).collect::<Vec<_>>(), [BASELINE, CANDIDATE]);
        let names: Vec<&str> = shown.series.iter().map(|s| s.name.as_str()).filter(|n| !n.is_empty()).collect();
        assert_eq!(names, ["baseline (n=3)", "candidate 3, the best confirmed (n=3)"]);
    }
    let training = training_curves(&lab.folder, &state);
    let Mark::Band(band) = &figure(&training.chart).series[0].mark else { panic!("{training:?}") };
    assert_eq!(band[0], (1.0, 3.0, 5.0), "from the lowest seed to the highest");
}

#[test]
fn the_candidate_that_is_drawn_is_called_what_it_is() {
    let arm = |state: &State| arms(state)[1..].iter().map(|a| a.0).next();
    let (mut state, _lab) = once();
    assert_eq!(arm(&state), Some(Arm::Confirmed(3)));
    // Had the repetitions shown nothing.
    for candidate in &mut state.candidates {
        if let crate::campaign::Standing::Judged { verdict, .. } = &mut candidate.standing {
            *verdict = crate::analysis::Verdict::Undecided;
        }
    }
    assert_eq!(arm(&state), Some(Arm::Unconfirmed(3)));
    assert_eq!(arm(&state).unwrap().name(), "candidate 3, repeated, not confirmed");
    for candidate in &mut state.candidates {
        if candidate.index == 3 {
            candidate.standing = crate::campaign::Standing::Screened;
            candidate.runs.retain(|_, run| Some(*run) == candidate.screening);
        }
    }
    assert_eq!(arm(&state), Some(Arm::FirstLook(3)));
    // All worse than the baseline: nobody stands for the search.
    let poor: Plan = &[(0.02, "tanh", Value(0.5)), (0.03, "relu", Value(0.4))];
    assert_eq!(arm(&concluded(poor, "").0), None);
}
