//! Hypotheses with what they predicted and what became of them, and how many decisions there were.

use super::Gather;
use crate::campaign::hypotheses::{Verdict, judge};
use crate::paper::fact::{CAMPAIGN, Show, Shows, Value};

pub(super) fn add(g: &mut Gather) {
    let state = g.state;
    g.count("decisions.total", "decisions in the journal, each with its reason", state.decisions.len())
        .unit("decisions");
    g.number("events.total", CAMPAIGN, "events in the journal", state.events as f64, Show::Count).unit("events");
    g.count("hypotheses.total", "hypotheses", state.counsel.hypotheses.len()).unit("hypotheses");
    let mut standing = [0usize; 4];
    for (i, posed) in state.counsel.hypotheses.iter().enumerate() {
        let (number, judgement) = (i + 1, judge(state, i + 1));
        let (key, id) = (format!("hypothesis.{number}"), format!("hypothesis.{number}"));
        g.subject(&key, &[&format!("hypothesis {number}")]);
        let (word, index, shows) = match judgement.verdict {
            Verdict::Supported => ("supported", 0, Shows::Association),
            Verdict::Refuted => ("refuted", 1, Shows::Nothing),
            Verdict::Open => ("open", 2, Shows::Nothing),
            Verdict::Untested => ("untested", 3, Shows::Nothing),
        };
        standing[index] += 1;
        let decimals = g.decimals;
        let claim = Value::Quote(posed.hypothesis.claim.clone());
        g.add(format!("{id}.claim"), &key, "the claim, as it was posed", claim, Show::Words);
        let refuted_if = Value::Quote(posed.hypothesis.refuted_if.clone());
        g.add(format!("{id}.refuted-if"), &key, "what would refute it, as it was posed", refuted_if, Show::Words);
        let effect = posed.hypothesis.effect;
        g.number(
            format!("{id}.predicted"),
            &key,
            "predicted difference to the baseline",
            effect,
            Show::Signed(decimals),
        );
        g.number(
            format!("{id}.belief"),
            &key,
            "probability given to it beforehand",
            posed.hypothesis.belief,
            Show::Percent(0),
        );
        g.text(format!("{id}.verdict"), &key, "how it stands", word).shows(shows);
        g.text(format!("{id}.evidence"), &key, "the evidence", judgement.words);
    }
    for (word, n) in ["supported", "refuted", "open", "untested"].into_iter().zip(standing) {
        g.count(format!("hypotheses.{word}"), format!("hypotheses that are {word}"), n).unit("hypotheses");
    }
}
