//! Words of claims, in lower case. Stems: the endings of verbs and plurals are taken off before they are looked up.

pub(super) const BETTER: &[&str] = &[
    "improve",
    "improvement",
    "improving",
    "better",
    "outperform",
    "superior",
    "superiority",
    "surpass",
    "beat",
    "beaten",
    "beating",
    "outdo",
    "outdoes",
    "outclass",
    "outshine",
    "outrank",
    "outstrip",
    "overtake",
    "overtook",
    "eclipse",
    "trump",
    "dominate",
    "prevail",
    "excel",
    "excell",
    "won",
    "advantage",
    "advantageous",
    "benefit",
    "beneficial",
    "boost",
    "enhance",
    "enhancing",
    "significant",
    "significantly",
    "state-of-the-art",
    "exceed",
    "helps",
    "recommend",
    "preferable",
    "favourable",
    "favorable",
    "defeat",
    "tops",
    "topped",
    "unmatched",
    "unrivalled",
    "unrivaled",
    "unbeaten",
    "unsurpassed",
];
pub(super) const WORSE: &[&str] = &[
    "worse",
    "inferior",
    "inferiority",
    "harm",
    "harmful",
    "hurt",
    "degrade",
    "degradation",
    "deteriorate",
    "underperform",
    "detrimental",
    "trails",
    "trailed",
    "lags",
    "lagged",
];
/// Worse, in several words.
pub(super) const WORSE_PHRASES: &[&[&str]] =
    &[&["loses", "to"], &["lost", "to"], &["falls", "short"], &["fell", "short"], &["no", "match", "for"]];
/// What no campaign shows, since it measures its own runs only, and no perfection.
pub(super) const UNSHOWN_PHRASES: &[&[&str]] = &[
    &["state", "of", "the", "art"],
    &["state-of-the-art"],
    &["new", "record"],
    &["takes", "first", "place"],
    &["ranks", "first"],
    &["second", "to", "none"],
    &["best", "known"],
    &["best", "published"],
    &["best", "reported"],
    &["best", "method"],
    &["best", "model"],
    &["best", "ever"],
    &["close", "to", "perfect"],
    &["nearly", "perfect"],
    &["almost", "perfect"],
    &["near-perfect"],
    &["generalises", "well"],
    &["generalizes", "well"],
    &["generalises", "to"],
    &["generalizes", "to"],
    &["generalises", "beyond"],
    &["generalizes", "beyond"],
    &["less", "memory"],
    &["more", "memory"],
    &["less", "time"],
    &["more", "time"],
    &["less", "compute"],
    &["more", "compute"],
    &["less", "energy"],
    &["fewer", "steps"],
    &["converges", "sooner"],
    &["converges", "earlier"],
    &["converges", "faster"],
    &["converges", "quicker"],
];
/// That something was the cause of a result.
pub(super) const CAUSES: &[&[&str]] = &[
    &["causes"],
    &["caused"],
    &["the", "cause"],
    &["due", "to"],
    &["responsible", "for"],
    &["stems", "from"],
    &["stemmed", "from"],
    &["owed", "to"],
    &["owes"],
    &["thanks", "to"],
    &["leads", "to"],
    &["led", "to"],
    &["results", "in"],
    &["resulted", "in"],
    &["because", "of"],
    &["attributable", "to"],
    &["attributed", "to"],
    &["brings", "about"],
    &["brought", "about"],
];
/// That a difference is more than noise.
pub(super) const REAL: &[&[&str]] = &[
    &["beyond", "the", "noise"],
    &["above", "the", "noise"],
    &["statistically"],
    &["null", "hypothesis"],
    &["passes", "the", "test"],
    &["is", "real"],
    &["is", "genuine"],
    &["is", "meaningful"],
];
/// How runs end without a value, and with one.
pub(super) const FAILED: &[&str] = &["failed", "crashed", "died", "aborted"];
pub(super) const FINISHED: &[&str] = &["finished", "completed", "succeeded"];
/// Verbs that are only ever claims in this form: a denial some words before them is another verb's.
pub(super) const FINITE: &[&str] = &[
    "improves",
    "outperforms",
    "surpasses",
    "beats",
    "outdoes",
    "outclasses",
    "overtakes",
    "eclipses",
    "dominates",
    "prevails",
    "excels",
    "exceeds",
    "enhances",
    "helps",
    "wins",
    "raises",
    "increases",
    "lowers",
    "reduces",
    "decreases",
    "hurts",
    "harms",
    "degrades",
    "deteriorates",
];
/// What moves the objective up, and what moves it down.
pub(super) const UP: &[&str] =
    &["raise", "increase", "increasing", "lift", "grow", "grew", "rise", "rose", "gain", "push", "boost"];
pub(super) const DOWN: &[&str] = &[
    "lower",
    "reduce",
    "reducing",
    "reduction",
    "decrease",
    "decreasing",
    "cut",
    "drop",
    "shrink",
    "shrank",
    "fall",
    "fell",
    "trim",
    "vanish",
    "halve",
];
/// What moves it somewhere.
pub(super) const SOMEWHERE: &[&str] = &["bring", "brought", "alter"];
pub(super) const MORE: &[&str] = &["higher", "greater", "larger", "more", "stronger"];
pub(super) const LESS: &[&str] = &["lower", "smaller", "less", "fewer", "weaker"];
pub(super) const ASSOCIATED: &[&str] = &["correlate", "correlation", "associate", "association", "govern", "determine"];
/// These are claims of an association where what is associated is named.
pub(super) const ACTS: &[&str] = &["affect", "influence", "influencing", "drive", "impact", "shape", "explain"];
/// What no campaign measures with an interval that a sentence could rest on.
pub(super) const UNSHOWN: &[&str] = &["faster", "slower", "cheaper", "costlier", "quicker", "dearer", "simpler"];
/// As good as another.
pub(super) const EQUAL: &[&[&str]] = &[
    &["as", "good", "as"],
    &["as", "accurate", "as"],
    &["on", "par"],
    &["on", "a", "par"],
    &["keeps", "up", "with"],
    &["holds", "its", "own"],
    &["equivalent"],
    &["indistinguishable"],
    &["rivals"],
    &["matches"],
];
/// Measures of which more is better, and of which less is.
pub(super) const WANTED: &[&str] = &["performance", "accuracy", "score", "generalisation", "generalization", "fit"];
pub(super) const UNWANTED: &[&str] = &["loss", "error", "errors", "perplexity", "cross-entropy"];

/// Denials that could be of a claim's truth.
pub(super) const DENIALS: &[&str] = &[
    "no", "not", "none", "nothing", "never", "neither", "nor", "cannot", "without", "nobody", "hardly", "barely",
    "scarcely", "fail", "fails", "failed", "lacks", "don't", "doesn't", "didn't", "isn't", "wasn't", "can't",
];
/// Words that make what follows a question, a condition or a forecast.
pub(super) const SUPPOSED: &[&str] = &[
    "whether",
    "if",
    "unless",
    "would",
    "could",
    "might",
    "may",
    "should",
    "question",
    "asks",
    "ask",
    "predicted",
    "predict",
    "predicts",
    "expected",
    "expects",
    "hypothesis",
    "hypotheses",
    "intended",
    "until",
    "before",
    "requires",
];
/// Denials that deny nothing, and conditions that set none.
pub(super) const EMPTY: &[&[&str]] = &[
    &["no", "doubt"],
    &["not", "in", "doubt"],
    &["without", "doubt"],
    &["without", "question"],
    &["no", "question"],
    &["beyond", "question"],
    &["nothing", "but"],
    &["nothing", "short", "of"],
    &["none", "other", "than"],
    &["not", "only"],
    &["not", "merely"],
    &["not", "just"],
    &["not", "by", "chance"],
    &["not", "by", "accident"],
    &["not", "surprisingly"],
    &["not", "unexpectedly"],
    &["cannot", "be", "denied"],
    &["never", "fails"],
    &["never", "failed"],
    &["not", "fail"],
    &["no", "surprise"],
    &["no", "wonder"],
    &["no", "accident"],
    &["no", "coincidence"],
    &["without", "exception"],
    &["without", "fail"],
    &["if", "anything"],
    &["if", "possible"],
];
/// Verbs that turn a denial before them into its opposite: "nobody doubts that".
pub(super) const DOUBTS: &[&str] = &[
    "doubt",
    "doubts",
    "doubted",
    "dispute",
    "disputes",
    "disputed",
    "deny",
    "denies",
    "denied",
    "contest",
    "contests",
    "contested",
    "refute",
    "refutes",
    "challenge",
    "challenges",
];
/// What speaks of evidence: denying it is no claim of the contrary.
pub(super) const EVIDENCE: &[&str] = &[
    "say", "says", "said", "show", "shows", "shown", "suggest", "suggests", "tell", "tells", "told", "find", "found",
    "known", "clear", "evidence", "sign", "reason", "proof", "claimed",
];
/// Definitions: they say what counts, not that it happened.
pub(super) const DEFINITIONS: &[&[&str]] = &[
    &["smaller", "is", "better"],
    &["larger", "is", "better"],
    &["lower", "is", "better"],
    &["higher", "is", "better"],
    &["smaller", "values", "are", "better"],
    &["larger", "values", "are", "better"],
    &["significant", "digits"],
    &["counts", "as", "an", "improvement"],
    &["counts", "as", "confirmed"],
    &["rank", "correlation"],
    &["rank", "correlations"],
    &["correlation", "ratio"],
    &["expected", "improvement"],
    &["no", "less", "favourable"],
];
/// Conjunctions after which a denial no longer holds.
pub(super) const TURNS: &[&str] =
    &["but", "while", "whereas", "although", "though", "yet", "instead", "because", "since"];
/// What begins words in between that a denial inside does not leave: ", which could not be plainer,".
pub(super) const ASIDES: &[&str] = &[
    "which", "who", "whose", "where", "though", "although", "if", "unless", "while", "with", "without", "at", "on",
    "in", "not", "never", "no", "whether",
];
/// Verbs after which "to improve" is a finding and not a purpose.
pub(super) const FOUND: &[&str] = &[
    "shown",
    "found",
    "seen",
    "proved",
    "proven",
    "known",
    "demonstrated",
    "able",
    "observed",
    "confirmed",
    "proves",
    "manages",
    "managed",
    "continues",
    "continued",
    "happens",
    "happened",
    "seems",
    "seemed",
    "appears",
    "appeared",
    "out",
    "on",
    "suffices",
    "sufficient",
    "enough",
    "it",
    "reported",
    "said",
    "comes",
    "came",
];
pub(super) const OURS: &[&str] = &["our", "ours", "we", "us", "here", "this", "these", "it"];
/// What a sentence that speaks of all of them calls them.
pub(super) const ALL: &[&str] = &[
    "candidate",
    "candidates",
    "setting",
    "settings",
    "configuration",
    "configurations",
    "one",
    "finalist",
    "finalists",
];
/// What leaves one of them out.
pub(super) const OTHERS: &[&str] = &["other", "others", "else", "further", "another", "remaining", "rest"];
/// Prepositions that put a mention beside what a clause is about.
pub(super) const BESIDE: &[&str] = &[
    "than", "from", "over", "on", "upon", "against", "with", "to", "of", "by", "versus", "vs", "unlike", "beside",
    "beyond", "above", "below", "for", "at", "as",
];

/// The word without the endings of verbs and plurals, as far as it is then one of `stems`.
pub(super) fn is_one_of(word: &str, stems: &[&str]) -> bool {
    if stems.contains(&word) {
        return true;
    }
    ["s", "d", "ed", "es", "ing", "ting", "ten"]
        .iter()
        .any(|e| word.strip_suffix(e).is_some_and(|w| stems.contains(&w)))
}

/// Where a phrase begins among words.
pub(super) fn begins(words: &[String], at: usize, phrase: &[&str]) -> bool {
    phrase.iter().enumerate().all(|(i, word)| words.get(at + i).is_some_and(|w| w == word))
}
