//! What language models were asked and said, for `status` and report.html.

use super::html::Page;
use crate::campaign::{State, hypotheses, question_words};
use crate::units::Dollars;
use serde::Serialize;

/// The account of a campaign's questions.
#[derive(Debug, Clone, Serialize)]
pub struct LanguageModel {
    /// What the present controller can ask; none where nobody.
    pub model: Option<String>,
    /// Questions answered.
    pub questions: usize,
    /// Of them, those that brought nothing of use.
    pub failed: usize,
    /// Questions for texts about the campaign: reviews, prose.
    #[serde(skip_serializing_if = "none_asked")]
    pub texts: usize,
    /// Tokens sent.
    pub input_tokens: u64,
    /// Tokens answered.
    pub output_tokens: u64,
    /// Their price.
    pub dollars: f64,
    /// Whether an answer is waited for.
    pub asking: bool,
    /// Proposals that are its own.
    pub proposals: usize,
}

fn none_asked(texts: &usize) -> bool {
    *texts == 0
}

impl LanguageModel {
    /// Of a campaign; none where nothing was asked and nobody can be.
    pub fn of(state: &State) -> Option<Self> {
        let counsel = &state.counsel;
        if !counsel.used() && counsel.model.is_none() && state.writing.is_empty() {
            return None;
        }
        let ((planning, one), (writing, two)) = (counsel.paid(), state.writing.paid());
        let (usage, dollars) = (planning.plus(writing), Dollars { micro: one.micro.saturating_add(two.micro) });
        Some(LanguageModel {
            model: counsel.model.clone(),
            questions: counsel.answered.len(),
            failed: counsel.answered.iter().filter(|a| a.failure.is_some()).count(),
            texts: state.writing.answered.len(),
            input_tokens: usage.input_tokens,
            output_tokens: usage.output_tokens,
            dollars: dollars.value(),
            asking: counsel.asking.is_some(),
            proposals: counsel.designs.iter().filter(|d| d.proposal.is_some()).count(),
        })
    }

    /// `3 questions (1 brought nothing), 4200 tokens sent, 310 answered, $0.02; 2 proposals are its own`.
    pub fn words(&self) -> String {
        let failed = if self.failed > 0 { format!(" ({} brought nothing)", self.failed) } else { String::new() };
        let asking = if self.asking { "; an answer is waited for" } else { "" };
        let texts = if self.texts > 0 { format!(" and {} for texts", self.texts) } else { String::new() };
        format!(
            "{} questions{failed}{texts}, {} tokens sent, {} answered, {}; {} proposals are its own{asking}",
            self.questions,
            self.input_tokens,
            self.output_tokens,
            small(self.dollars),
            self.proposals
        )
    }
}

/// Dollars that may be less than a cent.
pub fn small(dollars: f64) -> String {
    if dollars > 0.0 && dollars < 0.01 { format!("${dollars:.4}") } else { Dollars::of(dollars).to_string() }
}

/// The section of the report; nothing where nobody was asked and nothing recalled.
pub fn section(page: &mut Page, state: &State) {
    let recalled = state.counsel.recalled.as_deref().unwrap_or_default();
    let asked = LanguageModel::of(state).filter(|_| state.counsel.used());
    if asked.is_none() && recalled.is_empty() {
        return;
    }
    page.heading("Hypotheses and readings");
    if let Some(account) = asked {
        page.paragraph(&format!(
            "A language model was asked: {}. It proposes settings within the search space and reads results; numbers and verdicts \
             are not its own.",
            account.words()
        ));
    }
    let rows: Vec<Vec<String>> = state
        .counsel
        .hypotheses
        .iter()
        .enumerate()
        .map(|(i, posed)| {
            let judgement = hypotheses::judge(state, i + 1);
            let standing = format!("{:?}", judgement.verdict).to_lowercase();
            vec![
                (i + 1).to_string(),
                posed.hypothesis.claim.clone(),
                format!("{:+.4}", posed.hypothesis.effect),
                if posed.dropped { format!("{standing}, dropped") } else { standing },
                judgement.words,
                posed.hypothesis.refuted_if.clone(),
            ]
        })
        .collect();
    if !rows.is_empty() {
        page.table(&["", "hypothesis", "predicted", "standing", "evidence", "refuted if"], &rows);
    }
    for analysed in &state.counsel.analyses {
        let reading = &analysed.analysis;
        page.paragraph(&format!(
            "After {} results the analyst said {:?}: {}",
            analysed.known, reading.course, reading.reasons
        ));
    }
    if !recalled.is_empty() {
        let rows: Vec<Vec<String>> = recalled.iter().map(|f| vec![f.campaign.clone(), f.text.clone()]).collect();
        page.folded(&format!("{} findings of earlier campaigns that it started from", rows.len()), |page| {
            page.table(&["campaign", "finding"], &rows);
        });
    }
    if state.counsel.used() {
        let rows: Vec<Vec<String>> = state
            .counsel
            .answered
            .iter()
            .map(|a| {
                vec![
                    question_words(state, a.question.number),
                    a.question.inquiry.role().name().to_string(),
                    a.paid.usage.input_tokens.to_string(),
                    a.paid.usage.output_tokens.to_string(),
                    format!("{:.4}", a.paid.dollars.value()),
                    format!("{:.1}", a.seconds),
                    a.failure.clone().unwrap_or_default(),
                ]
            })
            .collect();
        page.folded("All questions", |page| {
            page.table(
                &["question", "role", "tokens sent", "answered", "dollars", "seconds", "what went wrong"],
                &rows,
            );
        });
    }
}
