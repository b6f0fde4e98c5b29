//! report.html: what was asked, what was found, at what cost, and how to do it again.

use super::html::Page;
use super::summary::Summary;
use super::{Account, figures, percent, utilization};
use crate::analysis;
use crate::campaign::assignment;
use crate::campaign::{Candidate, Standing, State, correction, rejections};
use crate::config;
use crate::sys::clock::rfc3339;
use crate::units::{Bytes, DeviceTime};
use std::path::Path;

/// The whole page. `folder` is read for learning curves and the attempts' looks at the machine.
pub fn page(folder: &Path, state: &State) -> String {
    let summary = Summary::of(state);
    let mut page = Page::new(&format!("nanoresearch campaign: {}", summary.name), &summary.question);
    match &summary.conclusion {
        Some(conclusion) => page.finding(&conclusion.sentence),
        None => page.finding(&format!("Not concluded yet ({}); this page shows what is known so far.", summary.phase)),
    }
    page.cards(&cards(&summary));
    let figure = |page: &mut Page, (svg, caption): figures::Drawn| page.figure(&svg, &caption);
    page.heading("What was found");
    figure(&mut page, figures::best_so_far_figure(state));
    candidates(&mut page, state);
    rejected(&mut page, &summary);
    let curves = [figures::curves_figure(folder, state), figures::training_figure(folder, state)];
    let curves: Vec<figures::Drawn> = curves.into_iter().flatten().collect();
    if curves.is_empty() {
        page.paragraph(match state.runs.iter().any(|run| run.finished.is_some()) {
            true => "There are no learning curves: the runs' metrics.jsonl are not in the folder.",
            false => "There are no learning curves yet.",
        });
    } else {
        page.figures(&curves);
    }
    super::effects::section(&mut page, state);
    if let Some(drawn) = figures::reliability_figure(state) {
        figure(&mut page, drawn);
    }
    super::counsel::section(&mut page, state);
    page.heading("What it cost");
    page.paragraph(&format!("The campaign {}.", Account::of(state).words()));
    figure(&mut page, figures::ledger_figure(state));
    figure(&mut page, figures::timeline_figure(state));
    utilization::section(&mut page, folder, state);
    page.heading("Runs");
    runs(&mut page, state, &summary);
    page.folded(&format!("All {} decisions, with their reasons", state.decisions.len()), |page| {
        let rows: Vec<Vec<String>> = state
            .decisions
            .iter()
            .map(|d| vec![rfc3339(d.at), d.run.map_or(String::new(), |r| r.to_string()), d.text.clone()])
            .collect();
        page.table(&["time (UTC)", "run", "decision"], &rows);
    });
    reproduce(&mut page, state, &summary);
    page.printed_only(
        "Left out in print: the decisions with their reasons, and configs. They are in report.html, campaign.toml and events.jsonl.",
    );
    page.finish()
}

fn cards(s: &Summary) -> Vec<(String, String, String)> {
    let mut cards = Vec::new();
    if let Some(b) = &s.baseline {
        cards.push((
            format!("baseline {}", s.metric),
            format!("{:.4}", b.interval.mean),
            format!("{} (n={}); noise floor {:.4}", bounds(&b.interval), b.interval.n, b.noise_floor),
        ));
    }
    if let Some(best) = &s.best {
        if let Some(own) = &best.own {
            cards.push((
                "best confirmed".into(),
                format!("{:.4}", own.mean),
                format!("{} (n={}): {}", bounds(own), own.n, assignment(&best.assignment)),
            ));
        }
        if let Some(d) = &best.difference {
            cards.push((
                "difference to baseline".into(),
                format!("{:+.4}", d.mean),
                format!("{} paired by seed (n={})", bounds(d), d.n),
            ));
        }
    }
    let total: usize = s.runs_by_status.values().sum();
    let parts: Vec<String> = s.runs_by_status.iter().map(|(k, n)| format!("{n} {k}")).collect();
    cards.push(("runs".into(), total.to_string(), parts.join(", ")));
    let spent = DeviceTime { ms: (s.budget.settled_device_hours * 3.6e6).round() as u64 };
    cards.push(("device time".into(), spent.to_string(), s.budget.words()));
    cards
}

fn bounds(i: &crate::analysis::Interval) -> String {
    if i.low.is_finite() && i.high.is_finite() {
        format!("{:.0}% interval [{:.4}, {:.4}]", 100.0 * i.confidence, i.low, i.high)
    } else {
        "spread unknown".to_string()
    }
}

/// The paired bootstrap interval of a candidate's difference from the baseline on its fresh seeds.
fn bootstrap(state: &State, candidate: &Candidate) -> String {
    let pair = |(seed, id)| Some((state.value(state.run(id)?)?, *state.baseline.as_ref()?.values.get(&seed)?));
    let (own, base): (Vec<f64>, Vec<f64>) = candidate.fresh().filter_map(pair).unzip();
    if own.len() < 2 {
        return "-".to_string();
    }
    let interval = analysis::paired_bootstrap(&own, &base, state.campaign.objective.confidence, 0);
    format!("[{:.4},\u{a0}{:.4}]", interval.low, interval.high)
}

/// A mean with its interval, which a narrow column does not break within the brackets.
fn unbroken(interval: &analysis::Interval) -> String {
    format!("{interval:.4}").replace(", ", ",\u{a0}")
}

/// Candidates that were compared with the baseline over seeds.
fn candidates(page: &mut Page, state: &State) {
    let compared = correction::compared(state);
    let rows: Vec<Vec<String>> = state
        .candidates
        .iter()
        .filter_map(|c| match &c.standing {
            Standing::Judged { verdict, difference, own, .. } => Some(vec![
                c.index.to_string(),
                assignment(&c.assignment),
                own.as_ref().map_or_else(|| "-".into(), unbroken),
                difference.as_ref().map_or_else(|| "-".into(), unbroken),
                difference.as_ref().map_or(0, |i| i.n).to_string(),
                format!("{verdict:?}").to_lowercase(),
                bootstrap(state, c),
                compared
                    .iter()
                    .find(|x| x.index == c.index)
                    .map_or_else(|| "-".into(), |x| correction::p_value(x.adjusted)),
            ]),
            _ => None,
        })
        .collect();
    if rows.is_empty() {
        page.paragraph(match state.conclusion {
            Some(_) => "No candidate was confirmed over seeds.",
            None => "No candidate has been confirmed over seeds yet.",
        });
    } else {
        page.paragraph(
            "Candidates repeated on the baseline's own seeds. Better: the whole interval of the paired difference lies beyond \
             the noise floor in the right direction. The intervals are Student's; the bootstrap's stands beside them, and is too \
             narrow for few pairs. p: two-sided, paired, after Holm's correction over these candidates.",
        );
        page.table(
            &["candidate", "changes", ">own mean", ">difference", ">pairs", "verdict", ">bootstrap", ">p"],
            &rows,
        );
    }
}

/// Proposals that were never run, in one sentence.
fn rejected(page: &mut Page, summary: &Summary) {
    let words = rejections::words(&summary.rejected);
    if !words.is_empty() {
        page.paragraph(&format!("{words}."));
    }
}

fn runs(page: &mut Page, state: &State, summary: &Summary) {
    let decimals = super::summary::decimals(&summary.runs);
    let rows: Vec<Vec<String>> = summary
        .runs
        .iter()
        .map(|r| {
            let peak = state.run(r.id).map_or(Bytes(0), |run| run.peak_memory());
            vec![
                r.id.to_string(),
                r.purpose.to_string(),
                r.seed.to_string(),
                r.value.map_or_else(|| "-".into(), |v| format!("{v:.4}")),
                r.status.to_string(),
                r.attempts.to_string(),
                format!("{:.decimals$}", r.device_seconds),
                percent(r.usage.busy_share),
                peak.to_string(),
                r.failure.clone().map_or_else(|| r.what.clone(), |f| format!("{} ({f})", r.what)),
            ]
        })
        .collect();
    let metric = format!(">{}", summary.metric);
    page.table(
        &[
            "run",
            "purpose",
            ">seed",
            &metric,
            "status",
            ">attempts",
            ">device\u{2011}s",
            ">busy",
            ">peak memory",
            "what",
        ],
        &rows,
    );
}

fn reproduce(page: &mut Page, state: &State, summary: &Summary) {
    page.heading("Do it again");
    page.paragraph("In the campaign's folder:");
    let again = "nanoresearch run campaign.toml --out again        # the whole campaign";
    page.code(&match &summary.best {
        Some(_) => format!(
            "{again}\nnanoresearch best > best.toml && nanoresearch train best.toml --out best   # its best candidate"
        ),
        None => again.to_string(),
    });
    let best = summary.best.as_ref().and_then(|b| b.runs.values().next()).and_then(|id| state.run(*id));
    if let Some(run) = best {
        page.folded("Config of the best confirmed candidate", |page| page.code(&config::to_toml(&run.experiment)));
    }
    page.folded("The campaign as it was understood, defaults filled in", |page| {
        page.code(&config::to_toml(&state.campaign));
    });
}
