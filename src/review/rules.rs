//! Checks that anybody can follow: what a paper says against what its campaign allows to say, and how it says it.
//!
//! Each rule is a function from text and state to demands. Scores start at 10 and lose by each demand, so that a score can be
//! followed from the list.

use super::manuscript::Manuscript;
use super::opinion::{Demand, Opinion, Scores, Severity};
use crate::analysis::Verdict;
use crate::campaign::{RunResult, Standing, State};
use std::collections::BTreeSet;

/// As what the rules sign.
pub const NAME: &str = "rule checks";
/// Words of a sentence from which on it is hard to follow.
const LONG: usize = 45;
/// Words of an abstract from which on it is none.
const ABSTRACT: usize = 300;
/// Pairs of seeds below which a verdict is thin.
const SEEDS: usize = 3;
/// Demands of one kind that are listed.
const LISTED: usize = 3;

/// What a demand is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum About {
    Soundness,
    Statistics,
    Clarity,
}

struct Found {
    about: About,
    demand: Demand,
}

/// The opinion of all rules on a paper about a campaign.
pub fn check(paper: &Manuscript, state: &State) -> Opinion {
    let rules: [fn(&Manuscript, &State) -> Vec<Found>; 12] = [
        unfinished,
        claims,
        negatives,
        seeds,
        selection,
        corrections,
        failures,
        sections,
        limitations,
        overclaiming,
        digits,
        wording,
    ];
    let mut found: Vec<Found> = rules.iter().flat_map(|rule| rule(paper, state)).collect();
    found.sort_by_key(|f| f.demand.severity);
    let score = |about: About| {
        let lost = found.iter().filter(|f| f.about == about).map(|f| match f.demand.severity {
            Severity::Blocking => 5.0,
            Severity::Major => 2.0,
            Severity::Minor => 0.5,
        });
        (10.0 - lost.sum::<f64>()).max(1.0)
    };
    let scores = Scores {
        soundness: score(About::Soundness),
        statistics: score(About::Statistics),
        clarity: score(About::Clarity),
    };
    let count = |severity: Severity| found.iter().filter(|f| f.demand.severity == severity).count();
    let summary = format!(
        "{} rules were applied to {} sentences: {} blocking, {} major and {} minor demands. Each blocking one costs 5 points of \
         its score, a major one 2, a minor one half.",
        rules.len(),
        paper.sentences().count(),
        count(Severity::Blocking),
        count(Severity::Major),
        count(Severity::Minor)
    );
    let demands = found.into_iter().map(|f| f.demand).collect();
    Opinion { by: NAME.to_string(), scores, summary, demands, foreign_numbers: Vec::new() }
}

fn found(about: About, severity: Severity, quote: &str, what: impl Into<String>) -> Found {
    Found { about, demand: Demand { quote: quote.to_string(), what: what.into(), severity } }
}

fn has_word(text: &str, words: &[&str]) -> bool {
    let lower = text.to_lowercase();
    lower.split(|c: char| !(c.is_alphanumeric() || c == '-')).any(|w| words.contains(&w))
}

fn holds(text: &str, parts: &[&str]) -> bool {
    let lower = text.to_lowercase();
    parts.iter().any(|p| lower.contains(p))
}

/// Blanks that nobody filled in.
fn unfinished(paper: &Manuscript, _: &State) -> Vec<Found> {
    const MARKS: [&str; 9] = ["TODO", "FIXME", "??", "{{", "}}", "[?]", "XXX", "lorem ipsum", "[citation needed]"];
    let mark = |text: &str| MARKS.iter().find(|m| text.contains(**m)).copied();
    let captions = paper.sections.iter().flat_map(|s| s.captions.iter().map(move |c| (s.name.as_str(), c.as_str())));
    paper
        .sentences()
        .chain(captions)
        .filter_map(|(_, s)| mark(s).map(|m| (s, m)))
        .map(|(s, m)| {
            found(
                About::Clarity,
                Severity::Blocking,
                s,
                format!("`{m}` is left in the text: finish the sentence or take it out"),
            )
        })
        .take(LISTED)
        .collect()
}

/// Words by which a sentence says that something got better.
const BETTER: [&str; 18] = [
    "improves",
    "improved",
    "improve",
    "improvement",
    "outperforms",
    "outperformed",
    "outperform",
    "beats",
    "surpasses",
    "exceeds",
    "better",
    "superior",
    "gain",
    "gains",
    "reduces",
    "helps",
    "wins",
    "advantage",
];
/// Words by which it says that it did not, or leaves it open.
const OPEN: [&str; 27] = [
    "no",
    "not",
    "nothing",
    "none",
    "never",
    "neither",
    "nor",
    "cannot",
    "without",
    "whether",
    "if",
    "would",
    "could",
    "may",
    "might",
    "can",
    "than",
    "unless",
    "should",
    "expected",
    "predicts",
    "predicted",
    "hypothesis",
    "would-be",
    "undecided",
    "unclear",
    "which",
];

/// Claims that something is better need an interval beside them, and a candidate that the campaign confirmed.
fn claims(paper: &Manuscript, state: &State) -> Vec<Found> {
    let confirmed = state.best().is_some();
    let asserts = |s: &str| has_word(s, &BETTER) && !has_word(s, &OPEN) && !s.contains('?') && !s.contains('“');
    // A method's description says what would count; claims stand where results are told.
    let told =
        |section: &str| !holds(section, &["method", "setup", "related", "background", "introduction", "reproducib"]);
    let mut all = Vec::new();
    for (_, s) in paper.sentences().filter(|(section, s)| told(section) && asserts(s)) {
        if !confirmed {
            let what = "the campaign confirmed no candidate: say that no improvement beyond the noise was found";
            all.push(found(About::Soundness, Severity::Blocking, s, what));
        } else if !has_interval(s) {
            let what = "a claim of improvement needs its difference and interval in the same sentence";
            all.push(found(About::Statistics, Severity::Major, s, what));
        }
    }
    all.truncate(LISTED);
    all
}

fn has_interval(sentence: &str) -> bool {
    let bracket = sentence.find('[').is_some_and(|at| sentence[at..].contains(']') && sentence[at..].contains(','));
    bracket || sentence.contains('±') || holds(sentence, &["interval"])
}

/// A campaign that found nothing must say so where everybody reads it.
fn negatives(paper: &Manuscript, state: &State) -> Vec<Found> {
    if state.best().is_some() || state.baseline.is_none() {
        return Vec::new();
    }
    let says = |s: &str| has_word(s, &["no", "not", "none", "nothing", "neither"]);
    let Some(summary) = paper.section(&["abstract"]) else { return Vec::new() };
    if summary.sentences.iter().any(|s| says(s)) {
        return Vec::new();
    }
    let what = "the campaign confirmed no candidate, and the abstract does not say so";
    vec![found(About::Soundness, Severity::Major, "", what)]
}

/// Verdicts of few seeds are thin, and the paper must give their number.
fn seeds(paper: &Manuscript, state: &State) -> Vec<Found> {
    let mut all = Vec::new();
    for c in &state.candidates {
        let Standing::Judged { verdict, difference: Some(d), .. } = &c.standing else { continue };
        if d.n < SEEDS && *verdict != Verdict::Undecided {
            let what =
                format!("the verdict on candidate {} rests on {} pairs of seeds: say that it is thin", c.index, d.n);
            all.push(found(About::Statistics, Severity::Major, "", what));
        }
    }
    let least = state.baseline.as_ref().map_or(0, |b| b.values.len());
    if (1..SEEDS).contains(&least) {
        let what = format!("the noise floor rests on {least} seeds of the baseline: name it as a limitation");
        all.push(found(About::Statistics, Severity::Major, "", what));
    }
    if state.baseline.is_some() && !holds(&paper.text, &["seed"]) {
        all.push(found(
            About::Statistics,
            Severity::Blocking,
            "",
            "the paper does not say over how many seeds anything is",
        ));
    }
    all.truncate(LISTED);
    all
}

/// The best of many looks better than it is.
fn selection(paper: &Manuscript, state: &State) -> Vec<Found> {
    let tried = state.candidates.iter().filter(|c| c.value.is_some()).count();
    if tried < 2 || state.campaign.batch.is_some() {
        return Vec::new();
    }
    let number = tried.to_string();
    let said = paper.sentences().any(|(_, s)| {
        let digits = s.split(|c: char| !c.is_ascii_digit()).any(|w| w == number);
        holds(s, &["candidate", "setting", "configuration", "proposal"]) && (digits || counted(s, tried))
    });
    let what = format!("say how many candidates were looked at ({tried}): the best of many looks better than it is");
    if said { Vec::new() } else { vec![found(About::Statistics, Severity::Major, "", what)] }
}

fn counted(sentence: &str, n: usize) -> bool {
    const WORDS: [&str; 13] =
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];
    WORDS.get(n).is_some_and(|word| has_word(sentence, &[word]))
}

/// Several comparisons need a correction, and the paper must say which.
fn corrections(paper: &Manuscript, state: &State) -> Vec<Found> {
    let judged = state.candidates.iter().filter(|c| matches!(c.standing, Standing::Judged { .. })).count();
    if judged < 2 || holds(&paper.text, &["holm", "bonferroni", "correct"]) {
        return Vec::new();
    }
    let what = format!("{judged} candidates were compared with the baseline: say how the comparisons were corrected");
    vec![found(About::Statistics, Severity::Major, "", what)]
}

/// What failed belongs into the paper.
fn failures(paper: &Manuscript, state: &State) -> Vec<Found> {
    let failed = state.runs.iter().filter(|r| matches!(r.result, Some(RunResult::Failed { .. }))).count();
    if failed == 0 || holds(&paper.text, &["fail", "diverg", "gave no value"]) {
        return Vec::new();
    }
    let what = format!("{failed} run(s) gave no value, and the paper does not say so");
    vec![found(About::Soundness, Severity::Major, "", what)]
}

/// What every paper of this kind has.
fn sections(paper: &Manuscript, _: &State) -> Vec<Found> {
    const NEEDED: [(&str, &[&str]); 7] = [
        ("an abstract", &["abstract"]),
        ("an introduction", &["introduction"]),
        ("a method section", &["method"]),
        ("the experimental setup", &["setup", "experiment"]),
        ("results", &["result"]),
        ("limitations", &["limitation"]),
        ("compute and reproducibility", &["compute", "reproducib"]),
    ];
    let empty = |words: &[&str]| paper.section(words).is_none_or(|s| s.sentences.is_empty());
    let missing: Vec<&str> = NEEDED.iter().filter(|(_, words)| empty(words)).map(|(name, _)| *name).collect();
    if missing.is_empty() {
        return Vec::new();
    }
    vec![found(About::Clarity, Severity::Major, "", format!("the paper lacks {}", missing.join(", ")))]
}

/// One campaign is one dataset, one model family, one machine.
fn limitations(paper: &Manuscript, _: &State) -> Vec<Found> {
    match paper.section(&["limitation"]) {
        Some(section) if section.words() < 40 => {
            let what = "the limitations are too short to be any: data, model, range of the space, seeds, selection";
            vec![found(About::Soundness, Severity::Minor, "", what)]
        }
        _ => Vec::new(),
    }
}

/// Words that say more than a measurement can.
fn overclaiming(paper: &Manuscript, _: &State) -> Vec<Found> {
    const GRAND: [&str; 15] = [
        "state-of-the-art",
        "sota",
        "groundbreaking",
        "unprecedented",
        "revolutionary",
        "dramatically",
        "dramatic",
        "remarkable",
        "remarkably",
        "proves",
        "proven",
        "undoubtedly",
        "obviously",
        "novel",
        "paradigm",
    ];
    const CAUSES: [&str; 4] = ["because of the", "is caused by", "causes the", "due to the"];
    let mut all = Vec::new();
    for (_, s) in paper.sentences() {
        let grand = GRAND
            .iter()
            .find(|word| has_word(s, &[**word]) || (word.contains("state") && holds(s, &["state of the art"])));
        if let Some(word) = grand {
            let what = format!("\"{word}\" says more than was measured: take it out");
            all.push(found(About::Soundness, Severity::Major, s, what));
        }
        if has_word(s, &["significant", "significantly"])
            && !has_interval(s)
            && !holds(s, &["p =", "p <", "p=", "not significant"])
            && !holds(s, &["significant digit", "level"])
        {
            let what = "\"significant\" without an interval or a p value: give it, or use another word";
            all.push(found(About::Statistics, Severity::Major, s, what));
        }
        if holds(s, &CAUSES) && holds(s, &["accuracy", "loss", "perplexity", "effect", "association"]) {
            let what = "a search over settings shows associations: say \"goes with\", or cite a controlled comparison";
            all.push(found(About::Soundness, Severity::Minor, s, what));
        }
    }
    all.truncate(2 * LISTED);
    all
}

/// More digits than any interval here supports.
fn digits(paper: &Manuscript, _: &State) -> Vec<Found> {
    let long = |s: &str| {
        s.split(|c: char| !(c.is_ascii_digit() || c == '.'))
            .any(|w| w.split_once('.').is_some_and(|(_, d)| d.len() > 6 && !d.contains('.')))
    };
    let what = "more than six decimals: round to what the interval supports";
    paper
        .sentences()
        .filter(|(_, s)| long(s))
        .map(|(_, s)| found(About::Statistics, Severity::Minor, s, what))
        .take(LISTED)
        .collect()
}

/// Long sentences, sentences twice, an abstract that is none.
fn wording(paper: &Manuscript, _: &State) -> Vec<Found> {
    let mut all = Vec::new();
    let mut seen = BTreeSet::new();
    for (_, s) in paper.sentences() {
        let n = s.split_whitespace().count();
        if n > LONG {
            all.push(found(About::Clarity, Severity::Minor, s, format!("{n} words in one sentence: split it")));
        }
        if n > 6 && !seen.insert(s.to_lowercase()) {
            all.push(found(About::Clarity, Severity::Minor, s, "this sentence stands here a second time"));
        }
    }
    all.truncate(2 * LISTED);
    if let Some(section) = paper.section(&["abstract"]).filter(|s| s.words() > ABSTRACT) {
        let what = format!("the abstract has {} words: at most {ABSTRACT}", section.words());
        all.push(found(About::Clarity, Severity::Minor, "", what));
    }
    all
}
