//! Attacks, each of which must be found for what it is, and clean texts, none of which may be.

use super::{Compiler, Inline, Piece};
use crate::paper::fact::{Basis, Bounds, CAMPAIGN, FACTS_FORMAT, Fact, Facts, Show, Shows, Value};
use std::collections::{BTreeMap, BTreeSet};

fn fact(id: &str, subject: &str, value: f64, show: Show) -> Fact {
    Fact {
        id: id.into(),
        subject: subject.into(),
        versus: None,
        what: id.into(),
        value: Value::Number(value),
        unit: String::new(),
        interval: None,
        n: Some(5),
        shows: None,
        show,
        basis: Basis::Journal,
        sources: Vec::new(),
    }
}

fn bounded(fact: Fact, low: f64, high: f64) -> Fact {
    Fact { interval: Some(Bounds { low, high, confidence: 0.95 }), ..fact }
}

fn difference(id: &str, subject: &str, mean: f64, half: f64, shows: Shows) -> Fact {
    let fact = bounded(fact(id, subject, mean, Show::Signed(3)), mean - half, mean + half);
    Fact { versus: Some("baseline".into()), shows: Some(shows), ..fact }
}

/// A campaign in which candidate 7 is better, candidate 3 undecided and candidate 9 worse.
pub(crate) fn facts() -> Facts {
    let rate = "optimizer.learning_rate";
    let config = |path: &str| Basis::Config { path: path.into() };
    let subjects: [(&str, &[&str]); 10] = [
        (CAMPAIGN, &[]),
        ("baseline", &["baseline"]),
        ("candidate.7", &["candidate 7", "best candidate", "winner"]),
        ("candidate.3", &["candidate 3"]),
        ("candidate.4", &["candidate 4"]),
        ("candidate.9", &["candidate 9"]),
        ("parameter.optimizer.learning_rate", &["learning rate", rate]),
        ("parameter.model.dropout", &["dropout", "model.dropout"]),
        ("run.0004", &["run 0004"]),
        ("hypothesis.1", &["hypothesis 1"]),
    ];
    Facts {
        format: FACTS_FORMAT,
        campaign: "demo".into(),
        version: "0".into(),
        subjects: subjects
            .iter()
            .map(|(k, n)| ((*k).to_string(), n.iter().map(|n| (*n).to_string()).collect()))
            .collect(),
        names: vec!["GPT-2".into(), rate.into(), "model.dropout".into(), "AMD EPYC 7763".into()],
        metric_words: vec!["accuracy".into(), "validation accuracy".into(), "error".into()],
        facts: vec![
            bounded(fact("baseline.metric", "baseline", 0.94, Show::Decimals(3)), 0.93, 0.95),
            fact("baseline.floor", CAMPAIGN, 0.008, Show::Decimals(3)),
            Fact { value: Value::Text("larger".into()), ..fact("objective.direction", CAMPAIGN, 0.0, Show::Words) },
            difference("candidate.4.difference", "candidate.4", 0.001, 0.004, Shows::Nothing),
            bounded(fact("candidate.best.metric", "candidate.7", 0.97, Show::Decimals(3)), 0.965, 0.975),
            bounded(fact("candidate.3.metric", "candidate.3", 0.945, Show::Decimals(3)), 0.94, 0.95),
            bounded(fact("candidate.9.metric", "candidate.9", 0.90, Show::Decimals(3)), 0.89, 0.91),
            difference("candidate.best.difference", "candidate.7", 0.03, 0.01, Shows::Improvement),
            difference("candidate.3.difference", "candidate.3", 0.005, 0.02, Shows::Nothing),
            difference("candidate.9.difference", "candidate.9", -0.04, 0.01, Shows::Harm),
            Fact {
                basis: config(rate),
                ..fact("candidate.best.setting.rate", "candidate.7", 0.01, Show::Significant(3))
            },
            Fact {
                basis: config("model.dropout"),
                ..fact("candidate.best.setting.dropout", "candidate.7", 0.2, Show::Significant(3))
            },
            Fact { basis: config(rate), ..fact("config.rate", "baseline", 0.003, Show::Significant(3)) },
            Fact {
                shows: Some(Shows::Association),
                ..fact("effect.rate.rho", "parameter.optimizer.learning_rate", 0.8, Show::Signed(2))
            },
            Fact {
                shows: Some(Shows::Nothing),
                ..fact("effect.dropout.rho", "parameter.model.dropout", 0.1, Show::Signed(2))
            },
            fact("run.0004.metric", "run.0004", 0.951, Show::Decimals(3)),
            Fact { unit: "seeds".into(), ..fact("seeds.baseline", CAMPAIGN, 5.0, Show::Count) },
            Fact { unit: "runs".into(), ..fact("runs.total", CAMPAIGN, 41.0, Show::Count) },
            Fact { unit: "runs".into(), ..fact("runs.finished", CAMPAIGN, 39.0, Show::Count) },
            Fact { unit: "runs".into(), ..fact("runs.failed", CAMPAIGN, 2.0, Show::Count) },
            fact("cost.share", CAMPAIGN, 0.5, Show::Percent(0)),
            Fact { value: Value::Missing("no meter".into()), ..fact("cost.energy", CAMPAIGN, 0.0, Show::Energy) },
            Fact {
                value: Value::Text("AMD EPYC 7763".into()),
                show: Show::Words,
                ..fact("env.cpu", CAMPAIGN, 0.0, Show::Words)
            },
        ],
    }
}

fn compile(source: &str) -> (Vec<Piece>, Vec<String>) {
    let facts = facts();
    let keys: BTreeSet<String> = ["bergstra2011".to_string()].into();
    let labels: BTreeSet<String> = ["fig:curves", "tab:main", "sec:results"].map(String::from).into();
    let compiled = Compiler::new(&facts, keys, labels, &[]).compile("results", source);
    (compiled.pieces, compiled.findings.into_iter().map(|f| f.what).collect())
}

/// Sentence, and a part of what must be said of it.
const ATTACKS: &[(&str, &str)] = &[
    // Plain digits, wherever they stand.
    ("The best candidate reaches 0.97.", "0"),
    ("It took 41 runs.", "41"),
    ("The width-64 network was used.", "width-64"),
    ("We used F1 as a second measure.", "F1"),
    ("The gain is .5 points.", "5"),
    ("See version v2 of the method.", "v2"),
    ("A budget of 1e3 steps.", "1e3"),
    ("Accuracy is (0.97) there.", "0"),
    // Digits of other scripts and forms.
    ("It took \u{664}\u{661} runs.", "number"),
    ("It took \u{ff14}\u{ff11} runs.", "number"),
    ("The error falls as n\u{b2}.", "number"),
    ("It uses \u{bd} of the budget.", "number"),
    ("The x\u{2083} term vanishes.", "number"),
    ("In \u{2460} we saw it.", "number"),
    ("Part \u{2163} shows it.", "number"),
    ("It took \u{1d7d2} runs.", "number"),
    ("It took \u{4e94} runs.", "number"),
    ("It took \u{967} runs.", "number"),
    // Words.
    ("It took forty-one runs.", "forty-one"),
    ("It took fortyone runs.", "fortyone"),
    ("Five seeds were run.", "Five"),
    ("Two seeds diverged.", "Two"),
    ("At least one run failed.", "one"),
    ("A hundred runs were made.", "hundred"),
    ("Dozens of runs were made.", "Dozens"),
    ("A couple of runs failed.", "couple"),
    ("Zero runs failed.", "Zero"),
    ("It was the ninth run.", "ninth"),
    ("The third run failed.", "third"),
    ("Es waren f\u{fc}nf runs.", "f\u{fc}nf"),
    // Fractions, multiples, percentages.
    ("It used half of the budget.", "half"),
    ("A third of the runs failed.", "third"),
    ("Most quarters were idle.", "quarters"),
    ("The time doubled.", "doubled"),
    ("It ran twice as long.", "Twice"),
    ("There was a threefold change in time.", "threefold"),
    ("The time went up ten-fold.", "ten-fold"),
    ("It is an order of magnitude slower.", "order of magnitude"),
    ("It is decades slower.", "decades"),
    ("Ninety percent were idle.", "Ninety"),
    ("Many % were idle.", "follows no fact"),
    ("A large percentage were idle.", "percentage"),
    // Roman numerals.
    ("It took XLI runs.", "Roman"),
    ("In phase II it ended.", "Roman"),
    ("Runs iv and v ended.", "Roman"),
    // Hidden: macros, markup, entities, lookalikes, invisible and spaced letters.
    ("It took \\num{41} runs.", "raw TeX"),
    ("It took $n$ runs.", "raw TeX"),
    ("It took \\fortyone runs.", "raw TeX"),
    ("It took &#52; runs.", "HTML"),
    ("It took &frac12; runs.", "HTML"),
    ("It took <b>many</b> runs.", "HTML"),
    ("It took f\u{200b}ive runs.", "U+200B"),
    ("It took f\u{456}ve runs.", "U+0456"),
    ("It took f i v e runs.", "spaced out"),
    ("It took \u{fb01}ve runs.", "U+FB01"),
    ("It took \u{1d41f}\u{1d422}\u{1d42f}\u{1d41e} runs.", "U+1D41F"),
    ("It took `41` runs.", "no name"),
    ("It took `five` runs.", "no name"),
    ("The die showed \u{2684}.", "number"),
    ("Quoted: @article{x, year = {2019}}.", "no reference"),
    ("Quoted: author Smith, year 2019.", "2019"),
    ("\u{201c}It took 41 runs\u{201d} said nobody.", "41"),
    ("## Results of 41 runs", "41"),
    ("- a list with 41 items", "41"),
    // Facts, keys, labels, names that do not exist.
    ("It took {runs.all}.", "no fact `runs.all`"),
    ("It took {runs.totl}.", "did you mean `runs.total`"),
    ("It took {runs.total|wide}.", "unknown form"),
    ("It took {runs.total", "never closed"),
    ("It took {runs.total|interval}.", "no interval"),
    ("The processor is {env.cpu|words}.", "no number"),
    ("As shown before [@nobody2020].", "nobody2020"),
    ("As shown in [#fig:other].", "fig:other"),
    ("!fig:other", "fig:other"),
    // The right number with the wrong subject.
    ("The baseline reaches {candidate.best.metric}.", "about candidate 7"),
    ("The best candidate reaches {baseline.metric}.", "about baseline"),
    ("Candidate 3 reaches {candidate.best.metric}.", "about candidate 7"),
    ("The baseline and candidate 7 reach {candidate.best.metric} and {baseline.metric}.", "about candidate 7"),
    ("The baseline's {candidate.best.metric} was measured over seeds.", "about candidate 7"),
    ("Candidate 7 starts from the baseline's {candidate.3.metric}.", "about candidate 3"),
    ("We measured {candidate.3.metric} for the best candidate.", "about candidate 3"),
    ("The mean is {baseline.metric}.", "nothing says whose"),
    ("The baseline is plain. It reaches {candidate.best.metric}.", "about candidate 7"),
    ("Run 0004 is one of many, with {candidate.3.metric} at its end.", "about candidate 3"),
    ("The dropout of the best candidate is {candidate.best.setting.rate}.", "a value of `optimizer.learning_rate`"),
    ("The learning rate correlates with the objective ({effect.dropout.rho}).", "about dropout"),
    // Claims that nothing carries.
    ("The best candidate improves on the baseline.", "is a claim"),
    ("The best candidate is better than the baseline ({candidate.best.metric}).", "is a claim"),
    ("Candidate 3 improves accuracy by {candidate.3.difference}.", "does not clear"),
    ("Candidate 3 outperforms the baseline.", "is a claim"),
    ("Candidate 3 beats the baseline by {candidate.3.difference|interval}.", "does not clear"),
    ("Candidate 9 improves on the baseline by {candidate.9.difference}.", "of another kind"),
    ("The best candidate is worse by {candidate.best.difference}.", "of another kind"),
    ("Candidate 3 reduces the error.", "is a claim"),
    ("Candidate 3 has higher accuracy.", "is a claim"),
    ("Candidate 3 is significantly different.", "is a claim"),
    ("There is no doubt that candidate 3 improves accuracy.", "is a claim"),
    ("No run failed, and candidate 3 improves accuracy.", "is a claim"),
    ("Candidate 3 not only runs, it outperforms the baseline.", "is a claim"),
    ("Candidate 3 was shown to improve accuracy.", "is a claim"),
    ("Candidate 3 outperforms the baseline [@bergstra2011].", "is a claim"),
    ("Our method surpasses all others [@bergstra2011].", "is a claim"),
    ("Candidate 3 was confirmed over seeds.", "is a claim"),
    ("Candidate 3 clears the noise floor.", "is a claim"),
    ("Accuracy rises with dropout ({effect.dropout.rho}).", "is a claim"),
    ("Dropout is associated with the objective.", "is a claim"),
    // By other words.
    ("Candidate 3 outclasses the baseline.", "is a claim"),
    ("Candidate 3 is preferable.", "is a claim"),
    ("We recommend candidate 3.", "is a claim"),
    ("Candidate 3 eclipses the baseline.", "is a claim"),
    ("The baseline is beaten by candidate 3.", "is a claim"),
    ("Candidate 3 > the baseline.", "this inequality is a claim"),
    ("The best candidate trains faster than the baseline.", "no fact of a campaign shows it"),
    ("Dropout drives accuracy.", "is a claim"),
    // What looks like a purpose, a condition or a denial.
    ("Candidate 3 manages to beat the baseline.", "is a claim"),
    ("Candidate 3 turned out to outperform the baseline.", "is a claim"),
    ("If anything, candidate 3 improves accuracy.", "is a claim"),
    ("Candidate 3, which could not be plainer, improves accuracy.", "is a claim"),
    ("Candidate 3 uses no dropout and improves accuracy.", "is a claim"),
    ("Nobody disputes that candidate 3 improves accuracy.", "is a claim"),
    ("Not surprisingly, candidate 3 improves accuracy.", "is a claim"),
    ("What does not change is that candidate 3 improves accuracy.", "is a claim"),
    ("Candidate 3 never fails to improve accuracy.", "is a claim"),
    // No worse, as good.
    ("Candidate 3 is no worse than the baseline.", "is a claim"),
    ("Candidate 3 is no worse than the baseline by {candidate.3.difference}.", "does not clear"),
    ("Candidate 9 is not worse than the baseline by {candidate.9.difference}.", "of another kind"),
    ("Candidate 3 does not hurt accuracy.", "is a claim"),
    ("Candidate 3 trains without harm to accuracy.", "is a claim"),
    ("Candidate 3 is as good as the baseline.", "is a claim"),
    ("Candidate 3 is on par with the baseline.", "is a claim"),
    ("No candidate is worse than the baseline.", "is a claim"),
    // Denials of what a fact shows.
    ("The best candidate does not improve on the baseline.", "is denied"),
    ("The best candidate fails to improve on the baseline.", "is denied"),
    ("Candidate 7 is no better than the baseline.", "is denied"),
    ("The best candidate is repeated, and it cannot beat the baseline.", "is denied"),
    ("The best candidate was repeated. It does not improve on the baseline.", "is denied"),
    ("No candidate improves on the baseline.", "is denied of all of them"),
    ("None of the candidates that were repeated, however, was better.", "is denied of all of them"),
    ("Nothing beats the baseline.", "is denied of all of them"),
    // The right fact behind a claim about another, the wrong way round, or of the wrong sign.
    ("Candidate 3 outperforms the best candidate by {candidate.best.difference}.", "about another"),
    ("The baseline outperforms the best candidate by {candidate.best.difference}.", "of another kind"),
    ("The best candidate is beaten by the baseline by {candidate.best.difference}.", "of another kind"),
    ("The best candidate reduces accuracy by {candidate.best.difference}.", "of another kind"),
    ("The best candidate has a higher error by {candidate.best.difference}.", "of another kind"),
    // Ahead and behind, strength, records, and what is measured nowhere.
    ("Candidate 3 is ahead of the baseline.", "is a claim"),
    ("The baseline trails candidate 3.", "is a claim"),
    ("The baseline loses to candidate 3.", "is a claim"),
    ("The baseline is no match for candidate 3.", "is a claim"),
    ("The best candidate falls short of the baseline by {candidate.best.difference}.", "of another kind"),
    ("Candidate 3 leaves the baseline behind.", "is a claim"),
    ("Candidate 3 yields a gain over the baseline.", "is a claim"),
    ("Candidate 3 is stronger than the baseline.", "is a claim"),
    ("Candidate 3 tops the baseline.", "is a claim"),
    ("Candidate 3 defeats the baseline.", "is a claim"),
    ("The accuracy of candidate 3 is higher than that of the baseline.", "is a claim"),
    ("The best candidate attains the state of the art, by {candidate.best.difference}.", "no fact of a campaign"),
    ("The best candidate sets a new record ({candidate.best.difference}).", "no fact of a campaign"),
    ("The best candidate is the best method known.", "no fact of a campaign"),
    ("The accuracy of the best candidate is nearly perfect.", "no fact of a campaign"),
    ("The best candidate generalises well beyond these data.", "no fact of a campaign"),
    ("The best candidate is cheaper to train.", "no fact of a campaign"),
    ("The best candidate needs less memory.", "no fact of a campaign"),
    ("The best candidate converges sooner.", "no fact of a campaign"),
    // Noise, and causes.
    ("Candidate 3 differs from the baseline.", "is a claim"),
    ("Candidate 3 differs from the baseline beyond the noise, by {candidate.3.difference}.", "does not clear"),
    ("The difference of candidate 3 is real.", "is a claim"),
    ("Statistically, candidate 3 is another.", "is a claim"),
    ("The null hypothesis is rejected for candidate 3.", "is a claim"),
    ("The learning rate causes the difference of candidate 7.", "no fact of a campaign"),
    ("The result of candidate 7 is due to its learning rate ({candidate.best.difference}).", "no fact of a campaign"),
    ("The accuracy of candidate 7 stems from its dropout.", "no fact of a campaign"),
    ("A larger learning rate leads to other results.", "no fact of a campaign"),
    ("Because of its dropout candidate 7 differs by {candidate.best.difference}.", "no fact of a campaign"),
    // Units, other measures, how runs ended.
    ("The campaign took {runs.total} seconds.", "with its unit"),
    ("Over {runs.total} seeds it went on.", "with its unit"),
    ("The best candidate differs by {candidate.best.difference} percentage points.", "no number of"),
    ("The best candidate reaches {candidate.best.metric} bits per byte.", "no number of"),
    ("The baseline reaches {baseline.metric}%.", "its own unit"),
    ("The best candidate reaches an error of {candidate.best.metric}.", "is no error"),
    ("The best candidate has a loss of {candidate.best.metric}.", "is no loss"),
    ("The noise floor is {runs.total}.", "is no noise floor"),
    ("All runs failed.", "runs.failed"),
    ("Most runs failed.", "runs.failed"),
    ("The majority of the runs failed.", "runs.failed"),
    ("None of the runs finished.", "runs.finished"),
    ("No run failed.", "runs.failed"),
    // Numbers and times by other words; names of what was not there.
    ("Accuracy lies in the nineties.", "nineties"),
    ("The second run ended early.", "second"),
    ("Scores of runs were made.", "Scores"),
    ("It ran for a fortnight.", "fortnight"),
    ("A myriad runs were made.", "myriad"),
    ("The work was done in March.", "March"),
    ("It was started on a Monday.", "Monday"),
    ("The runs were made last year.", "last"),
    ("We trained on ImageNet.", "ImageNet"),
    ("The model is a ResNet.", "ResNet"),
    ("Runs were made on NVIDIA hardware.", "NVIDIA"),
];

/// Texts that a careful author may write.
const CLEAN: &[&str] = &[
    "The baseline reaches {baseline.metric|interval} over {seeds.baseline|words}.",
    "The best candidate reaches {candidate.best.metric|interval}, against the baseline's {baseline.metric}.",
    "Candidate 7 raises accuracy from the baseline's {baseline.metric} to {candidate.best.metric}, a paired difference of {candidate.best.difference|interval}.",
    "The baseline and candidate 7 reach {baseline.metric} and {candidate.best.metric}.",
    "We measured {baseline.metric} for the baseline and {candidate.best.metric} for candidate 7.",
    "The baseline, whose seeds were run first, reaches {baseline.metric}.",
    "For the baseline, the mean is {baseline.metric}.",
    "The baseline is plain. It reaches {baseline.metric}.",
    "Candidate 3 was repeated too. Its paired difference to the baseline is {candidate.3.difference|interval}, and nothing says that it improves accuracy.",
    "No other candidate improves on the baseline.",
    "Candidate 9 is worse than the baseline by {candidate.9.difference|abs}.",
    "All tests are two-sided, and one of the seeds is kept for first looks.",
    "GPT-2 is a transformer, and one can train a smaller one of its kind.",
    "Does another learning rate improve accuracy?",
    "We ask whether the learning rate improves accuracy.",
    "A difference counts as an improvement only if its whole interval clears the noise floor of {baseline.floor}.",
    "Larger is better throughout.",
    "Random search often outperforms a grid [@bergstra2011].",
    "[+@bergstra2011] found that random search beats a grid where few parameters matter.",
    "As [#fig:curves] and [#tab:main] show, and [#sec:results] explains, the curves part early.",
    "The learning rate of the best candidate is {candidate.best.setting.rate} and its dropout {candidate.best.setting.dropout}.",
    "Candidate 7 sets the learning rate to {candidate.best.setting.rate}; the baseline has {config.rate}.",
    "The learning rate is associated with the objective ({effect.rate.rho}, n = {effect.rate.rho|n}).",
    "The energy of the devices was {cost.energy}, since no device told it.",
    "The campaign spent {cost.share} of its budget on {runs.total}.",
    "The processor is an {env.cpu}.",
    "The setting `optimizer.learning_rate` was varied, and `nanoresearch paper` writes this text.",
    "First, the noise was measured. Second, candidates were proposed. Third, the leaders were repeated.",
    "Layers are normalised before attention; weights are kept often, and none is lost.",
    "Mixed and mild methods, e.g. those of Zoubin and Li, et al., divide the field.",
    "Successive halving stops what is behind.",
    "Run 0004 ended with {run.0004.metric}.",
    "The candidate was chosen by a single look, which flatters it; the confidence interval (CI) rests on fresh seeds.",
    "We expected dropout to improve generalisation.",
    "The best candidate is no worse than the baseline: it differs by {candidate.best.difference|interval}.",
    "Candidate 4 is no worse than the baseline beyond the noise, at {candidate.4.difference|interval}.",
    "The best candidate improves on the baseline by {candidate.best.difference}, and no other candidate does.",
    "The baseline outperforms candidate 9 by {candidate.9.difference|abs}.",
    "Candidate 9 is outperformed by the baseline by {candidate.9.difference|abs}.",
    "Candidate 3 does not improve on the baseline.",
    "Candidate 3 fails to clear the noise floor, and whether it improves accuracy is left open.",
    "Nothing says that candidate 3 is worse than the baseline.",
    "The best candidate uses no dropout and raises accuracy by {candidate.best.difference}.",
    "The best candidate has a lower error: its accuracy differs by {candidate.best.difference}.",
    "Runs are matched by seed, and each matches its partner's data.",
    "The best candidate is ahead of the baseline by {candidate.best.difference}.",
    "The looks lay ahead of the baseline's mean.",
    "Nothing here attains the state of the art, and none of it is claimed.",
    "We do not claim that the learning rate causes the difference of candidate 7.",
    "The difference of candidate 7 may be due to the learning rate, which this campaign cannot tell.",
    "Whether the best candidate generalises to other data is left open.",
    "Because the split is fixed, all runs see the same data.",
    "It is not known whether the difference of candidate 7 is real for other data.",
    "Runs that differ in their seed alone differ in their result, and the order of the runs may not matter.",
    "The best candidate differs from the baseline by {candidate.best.difference|interval}, beyond the noise floor of {baseline.floor}.",
    "Most runs finished, and few runs failed.",
    "The runs that failed are counted.",
    "No run failed for want of memory.",
    "Of the budget, {cost.share} went to {runs.total|value} runs over {seeds.baseline|value} seeds.",
    "The difference is {candidate.best.difference} for the best candidate, and its accuracy is {candidate.best.metric}.",
    "The p value and the noise floor are given, the latter as {baseline.floor}.",
    "An AMD processor was used, of the kind {env.cpu}.",
    "Transformers such as BERT are larger [@bergstra2011].",
    "A second look, at the second half-width, came last.",
    "The Caf\u{e9} corpus is in the public domain; its na\u{ef}ve split is ours.",
];

#[test]
fn every_attack_fails_the_build_for_what_it_is() {
    assert!(ATTACKS.len() >= 50);
    let missed: Vec<String> = ATTACKS.iter().filter_map(|(source, expected)| missed(source, expected)).collect();
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn clean_texts_raise_no_alarm() {
    assert!(CLEAN.len() >= 20);
    let alarms: Vec<String> = CLEAN
        .iter()
        .map(|source| (source, compile(source)))
        .filter(|(_, (pieces, findings))| !findings.is_empty() || pieces.is_empty())
        .map(|(source, (_, findings))| format!("{source:?}: {findings:?}"))
        .collect();
    assert!(alarms.is_empty(), "{}", alarms.join("\n"));
}

/// Every attack stays one inside an otherwise clean paragraph, as a list item and as a caption.
#[test]
fn attacks_are_found_in_company() {
    let alone = |s: &str| s.starts_with(['#', '-', '!']) || s.starts_with("The mean is");
    let missed: Vec<String> = ATTACKS
        .iter()
        .filter(|(source, _)| !alone(source))
        .flat_map(|(s, expected)| {
            [format!("The search ended by itself. {s}"), format!("- a first item\n- {s}")]
                .iter()
                .filter_map(|text| missed(text, expected))
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

/// What to say of an attack that is not found for what it is.
fn missed(source: &str, expected: &str) -> Option<String> {
    let (_, findings) = compile(source);
    let found = findings.iter().any(|f| f.to_lowercase().contains(&expected.to_lowercase()));
    (!found).then(|| format!("{source:?}: expected {expected:?}, found {findings:?}"))
}

#[test]
fn references_are_filled_in() {
    let shown = |source: &str| -> String {
        let (pieces, findings) = compile(source);
        assert!(findings.is_empty(), "{findings:?}");
        let Some(Piece::Paragraph(inlines)) = pieces.into_iter().next() else { panic!("no paragraph") };
        inlines
            .into_iter()
            .map(|i| match i {
                Inline::Text(text) | Inline::Fact { text, .. } | Inline::Code(text) | Inline::Refer(text) => text,
                Inline::Cite { keys, .. } => keys.join(","),
            })
            .collect()
    };
    assert_eq!(shown("The baseline has {baseline.metric|interval}."), "The baseline has 0.940 [0.930, 0.950].");
    assert_eq!(shown("The baseline has n = {baseline.metric|n}."), "The baseline has n = 5.");
    assert_eq!(shown("{seeds.baseline|Words} were run at {baseline.floor}."), "Five seeds were run at 0.008.");
    assert_eq!(shown("Energy: {cost.energy}."), "Energy: not measured.");
    assert_eq!(shown("Candidate 9 is worse by {candidate.9.difference|abs}."), "Candidate 9 is worse by 0.040.");
}

#[test]
fn the_sentence_is_named() {
    let facts = facts();
    let compiled = Compiler::new(&facts, BTreeSet::new(), BTreeSet::new(), &[])
        .compile("abstract", "All is well. It took 41 runs. All is well.");
    let got: Vec<(&str, &str)> = compiled.findings.iter().map(|f| (f.place.as_str(), f.sentence.as_str())).collect();
    assert_eq!(got, [("abstract", "It took 41 runs.")]);
}

/// A name without letters, or that is a number word, would let numbers through.
#[test]
fn names_cannot_smuggle_numbers() {
    let facts = Facts { names: vec!["41".into(), "five".into(), "GPT-2".into()], subjects: BTreeMap::new(), ..facts() };
    let compiler = Compiler::new(&facts, BTreeSet::new(), BTreeSet::new(), &[]);
    assert_eq!(compiler.compile("x", "It took 41 runs.").findings.len(), 1);
    assert_eq!(compiler.compile("x", "It took five runs.").findings.len(), 1);
    assert_eq!(compiler.compile("x", "It is like GPT-2.").findings.len(), 0);
    assert_eq!(compiler.compile("x", "It is like GPT-24.").findings.len(), 1);
}
