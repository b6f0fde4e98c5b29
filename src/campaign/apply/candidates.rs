//! How candidates change the state: from a proposal to a verdict.

use super::{Event, State, inconsistent};
use crate::campaign::state::{Candidate, Known, Standing};
use crate::problem::Result;

/// Applies one of them, read at `time` (seconds since the Unix epoch).
pub(super) fn apply(state: &mut State, event: &Event, time: f64) -> Result<()> {
    match event {
        Event::ProposalMade { index, planner, assignment, observed, seen, why, price, gain, weighed, design } => {
            if *index != state.candidates.len() as u64 {
                return Err(inconsistent(&format!("proposal {index} follows {} others", state.candidates.len())));
            }
            state.candidates.push(Candidate {
                index: *index,
                planner: planner.clone(),
                assignment: assignment.clone(),
                observed: *observed,
                seen: *seen,
                why: why.clone(),
                price: price.clone(),
                gain: *gain,
                weighed: weighed.as_deref().cloned(),
                proposed: time,
                runs: Default::default(),
                screening: None,
                value: None,
                standing: Standing::Proposed,
            });
            if let Some(design) = design {
                let designed = state.counsel.designs.get_mut(*design).filter(|d| d.proposal.is_none());
                let designed =
                    designed.ok_or_else(|| inconsistent(&format!("there is no design {design} to propose")))?;
                designed.proposal = Some(*index);
            }
            state.decided(None, Some(*index), format!("candidate {index} proposed: {why}"));
            if let Some(weighed) = weighed {
                state.decided(None, Some(*index), format!("candidate {index} chosen by {}", weighed.words()));
            }
        }
        Event::ProposalRejected { index, reason } => {
            let candidate = state.candidate_mut(*index)?;
            if candidate.standing != Standing::Proposed {
                return Err(inconsistent(&format!("proposal {index} was taken up before it was rejected")));
            }
            candidate.standing = Standing::Rejected { reason: reason.clone() };
            state.known.push(Known { index: *index, value: None, trained: 1.0 });
            state.decided(None, Some(*index), format!("candidate {index} rejected: {reason}"));
        }
        Event::RunReused { index, run, seed } => {
            if state.run(*run).is_none() {
                return Err(inconsistent(&format!("proposal {index} uses run {run}, which does not exist")));
            }
            let candidate = state.candidate_mut(*index)?;
            candidate.takes(*seed, *run);
            state.screened(*index, *run)?;
            let text = format!("candidate {index} uses run {run} (seed {seed}): it is the same experiment");
            state.decided(None, Some(*index), text);
        }
        Event::FinalistChosen { index, why } => {
            let candidate = state.candidate_mut(*index)?;
            if candidate.standing != Standing::Screened {
                return Err(inconsistent(&format!("finalist {index} was never screened")));
            }
            candidate.standing = Standing::Confirming;
            state.decided(None, Some(*index), format!("candidate {index} is a finalist: {why}"));
        }
        Event::CandidateJudged { index, verdict, difference, own, why } => {
            state.candidate_mut(*index)?.standing =
                Standing::Judged { verdict: *verdict, difference: *difference, own: *own, why: why.clone() };
            state.decided(None, Some(*index), format!("candidate {index}: {why}"));
        }
        _ => return Err(inconsistent("an event of no candidate was taken for one")),
    }
    Ok(())
}
