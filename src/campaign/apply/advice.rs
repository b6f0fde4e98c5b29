//! How a language model and people change the state: questions and answers, findings that were recalled, approvals, remarks.

use super::{Event, State, inconsistent};
use crate::campaign::consult;
use crate::campaign::counsel::{Analysed, Answered, Course, Designed, Note, Paid, Posed, Question, Reply};
use crate::problem::Result;

/// Applies one of them, read at `time` (seconds since the Unix epoch).
pub(super) fn apply(state: &mut State, event: &Event, time: f64) -> Result<()> {
    match event {
        Event::Recalled { findings } => {
            state.counsel.recalled = Some(findings.clone());
            if !findings.is_empty() {
                let from: std::collections::BTreeSet<&str> = findings.iter().map(|f| f.campaign.as_str()).collect();
                let from: Vec<&str> = from.into_iter().collect();
                let text =
                    format!("{} findings of earlier campaigns matter here ({})", findings.len(), from.join(", "));
                state.decided(None, None, text);
            }
        }
        Event::Asked { number, inquiry, allowance, why } => {
            if state.counsel.asking.is_some() || *number != state.counsel.answered.len() + 1 {
                return Err(inconsistent(&format!("question {number} is out of order")));
            }
            state.ledger.ask(allowance.unwrap_or_default())?;
            state.counsel.priced_out = false;
            state.counsel.asking =
                Some(Question { number: *number, inquiry: *inquiry, allowance: *allowance, at: time });
            let most = allowance.map_or_else(String::new, |d| format!(", for {d} at most"));
            let text =
                format!("question {number}: the {} is asked {}{most}: {why}", inquiry.role().name(), inquiry.words());
            state.decided(None, None, text);
        }
        Event::Unasked { inquiry, why } => {
            state.counsel.priced_out = true;
            let text = format!("the {} is not asked {}: {why}", inquiry.role().name(), inquiry.words());
            state.decided(None, None, text);
        }
        Event::Answered { number, reply, paid } => answered(state, *number, reply, paid, time)?,
        Event::WritingAsked { question } => {
            let text = state.writing_asked(question)?;
            state.decided(None, None, text);
        }
        Event::WritingAnswered { number, paid, failure } => {
            let text = state.writing_answered(*number, paid, failure.as_deref())?;
            state.decided(None, None, text);
        }
        Event::ApprovalAsked { subject, words } => {
            state.approvals.asked = Some((subject.clone(), words.clone()));
            state.decided(None, subject.candidate(), format!("a person is asked: {words}"));
        }
        Event::ApprovalGiven { subject, granted } => {
            if state.approvals.asked.as_ref().is_none_or(|(asked, _)| asked != subject) {
                return Err(inconsistent("a person answered what was not asked"));
            }
            state.approvals.asked = None;
            let list = if *granted { &mut state.approvals.granted } else { &mut state.approvals.refused };
            list.push(subject.clone());
            let word = if *granted { "agreed" } else { "refused" };
            state.decided(None, subject.candidate(), format!("a person {word}"));
        }
        Event::Noted { text } => {
            state.counsel.notes.push(Note { at: time, text: text.clone() });
            state.decided(None, None, format!("a person remarked: {text}"));
        }
        _ => return Err(inconsistent("what nobody advised was taken for advice")),
    }
    Ok(())
}

/// Takes in what came back to a question.
fn answered(state: &mut State, number: usize, reply: &Reply, paid: &Paid, time: f64) -> Result<()> {
    let question = state.counsel.asking.take().filter(|q| q.number == number);
    let question = question.ok_or_else(|| inconsistent(&format!("question {number} was not asked")))?;
    state.ledger.answer(paid.dollars);
    let counsel = &mut state.counsel;
    let known = state.known.len();
    counsel.failures = if matches!(reply, Reply::Nothing { unheard: false, .. }) { counsel.failures + 1 } else { 0 };
    match reply {
        Reply::Ideas { hypotheses } => {
            let posed = hypotheses.iter().map(|h| Posed { hypothesis: h.clone(), question: number, dropped: false });
            counsel.hypotheses.extend(posed);
        }
        Reply::Designs { designs } => counsel.designs.extend(designs.iter().map(|d| Designed {
            design: d.clone(),
            question: number,
            proposal: None,
            dropped: false,
        })),
        Reply::Analysis(analysis) => {
            if analysis.course == Course::Pivot {
                counsel.hypotheses.iter_mut().for_each(|h| h.dropped = true);
                counsel.designs.iter_mut().filter(|d| d.proposal.is_none()).for_each(|d| d.dropped = true);
            }
            counsel.analyses.push(Analysed { analysis: analysis.clone(), question: number, known });
        }
        Reply::Nothing { .. } => {}
    }
    let failure = match reply {
        Reply::Nothing { why, .. } => Some(why.clone()),
        _ => None,
    };
    let seconds = time - question.at;
    let inquiry = question.inquiry;
    let role = inquiry.role().name();
    let unheard = matches!(reply, Reply::Nothing { unheard: true, .. });
    counsel.answered.push(Answered { question, paid: paid.clone(), failure, unheard, seconds });
    let gave_up = counsel.failures == consult::FAILURES;
    let (input, output) = (paid.usage.input_tokens, paid.usage.output_tokens);
    let mut text = format!(
        "{}: the {role} said {} ({input} tokens sent, {output} answered, {:.4} dollars)",
        consult::words(state, number),
        consult::said(inquiry, reply),
        paid.dollars.value()
    );
    if gave_up {
        text += &format!("; {} questions in a row brought nothing: this controller asks no more", consult::FAILURES);
    }
    state.decided(None, None, text);
    Ok(())
}
