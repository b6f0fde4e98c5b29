//! What a concluded campaign leaves for others: verdicts with their evidence, hypotheses, failures, readings.

use crate::analysis::Verdict;
use crate::campaign::{Candidate, RunResult, Standing, State, assignment, correction, hypotheses};
use crate::knowledge::{Evidence, FORMAT, Finding, Kind};
use crate::planner::Assignment;

/// Failures that are kept, the latest.
const FAILURES: usize = 5;

/// Kinds of data, model and optimiser.
pub(super) fn about(state: &State) -> Vec<String> {
    let baseline = &state.campaign.baseline;
    let kind = |path: &str| baseline.get(path).and_then(|v| v.as_str().map(str::to_string));
    ["data.kind", "model.kind", "optimizer.kind"].iter().filter_map(|path| kind(path)).collect()
}

/// All findings of a campaign as it stands.
pub fn findings(state: &State) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut add = |kind: Kind, key: String, text: String, settings: Assignment, evidence, runs: Vec<u32>| {
        let origin = format!("{} {} {kind:?} {key}", state.campaign.name, state.created);
        found.push(Finding {
            format: FORMAT,
            id: blake3::hash(origin.as_bytes()).to_hex()[..24].to_string(),
            campaign: state.campaign.name.clone(),
            question: state.campaign.question.clone(),
            kind,
            text,
            metric: state.metric().to_string(),
            about: about(state),
            settings,
            evidence,
            runs,
        });
    };
    let survivors = correction::survivors(state);
    let runs = |c: &Candidate| c.runs.values().map(|id| id.0).collect::<Vec<_>>();
    for c in &state.candidates {
        let Standing::Judged { verdict, difference: Some(d), .. } = &c.standing else { continue };
        let kept = survivors.contains(&c.index);
        let kind = if kept { Kind::Confirmed } else { Kind::Refuted };
        let word = match (kept, verdict) {
            (true, _) => "better than its baseline beyond the noise",
            (false, Verdict::Worse) => "worse than its baseline beyond the noise",
            (false, Verdict::Better) => {
                "better than its baseline, which does not survive the correction over candidates"
            }
            (false, Verdict::Undecided) => "not told apart from its baseline",
        };
        let metric = state.metric();
        let text = format!("{}: {metric} {d:.5} over {} seeds, {word}", assignment(&c.assignment), d.n);
        let finite = d.low.is_finite() && d.high.is_finite();
        let evidence = finite.then_some(Evidence { difference: d.mean, low: d.low, high: d.high, seeds: d.n });
        add(kind, c.index.to_string(), text, c.assignment.clone(), evidence, runs(c));
    }
    for (i, posed) in state.counsel.hypotheses.iter().enumerate() {
        let judgement = hypotheses::judge(state, i + 1);
        if judgement.verdict == hypotheses::Verdict::Untested {
            continue;
        }
        let standing = format!("{:?}", judgement.verdict).to_lowercase();
        let text = format!("hypothesis \"{}\": {standing}, {}", posed.hypothesis.claim, judgement.words);
        let tests =
            judgement.proposals.iter().filter_map(|p| state.candidates.get(*p as usize)).flat_map(runs).collect();
        add(Kind::Hypothesis, i.to_string(), text, Assignment::new(), None, tests);
    }
    for c in state.candidates.iter().rev().filter(|c| matches!(c.standing, Standing::Failed { .. })).take(FAILURES) {
        let result = c.screening.and_then(|id| state.run(id)?.result.as_ref());
        let Some(RunResult::Failed { reason }) = result else { continue };
        let reason: String = reason.lines().next().unwrap_or_default().chars().take(200).collect();
        let text = format!("{} gave no value: {reason}", assignment(&c.assignment));
        add(Kind::Failure, c.index.to_string(), text, c.assignment.clone(), None, runs(c));
    }
    for analysed in &state.counsel.analyses {
        for (i, claim) in analysed.analysis.findings.iter().enumerate() {
            let key = format!("{}.{i}", analysed.question);
            add(Kind::Reading, key, claim.text.clone(), Assignment::new(), None, claim.runs.clone());
        }
    }
    found
}
