//! What was never measured, planted everywhere it could be: in a language model's text, in a bibliography, in files after they were
//! written. Each is caught, and `docs/sample-paper-llm/planted.md` lists what was said of it.

use super::campaigns::Field;
use nanoresearch::campaign::load_research;
use nanoresearch::paper;
use std::fmt::Write;
use std::path::Path;

/// By kind, in markup: what a model writes where nobody checks it.
pub const SENTENCES: &[(&str, &str)] = &[
    ("number", "The baseline reaches 0.999 over its seeds."),
    ("number", "It took forty-one runs."),
    ("number", "Half of the candidates failed."),
    ("number", "The accuracy is \\num{0.999} in the end."),
    ("number", "The network has \u{ff14}\u{ff11} layers."),
    ("fact", "The test error is {candidate.best.test-error}."),
    ("fact", "The baseline reaches {candidate.best.metric}."),
    ("fact", "The best candidate reaches {baseline.metric}."),
    ("citation", "Everybody agrees on that [@nobody2020]."),
    ("citation", "[+@smith2021] proved that nothing else works."),
    ("citation", "As [#fig:attention] shows, the network attends to strokes."),
    ("claim", "Every candidate improves on the baseline."),
    ("claim", "Every other candidate is no worse than the baseline."),
    ("claim", "The baseline outperforms the best candidate by {candidate.best.difference}."),
    ("claim", "The best candidate does not improve on the baseline."),
    ("claim", "No candidate improves on the baseline."),
    ("claim", "The best candidate trains faster than the baseline."),
    ("claim", "We recommend the best candidate for all other data."),
    ("claim", "Dropout governs the accuracy."),
    ("claim", "The accuracy of the best candidate is due to its learning rate."),
    ("claim", "The best candidate attains the state of the art, by {candidate.best.difference}."),
    ("claim", "Most runs failed."),
    ("unit", "The campaign took {runs.total} seconds."),
    ("measure", "The best candidate reaches an error of {candidate.best.metric}."),
    ("name", "It was trained on ImageNet."),
];

/// All of them, as one abstract.
pub fn abstract_of_all() -> String {
    SENTENCES.iter().map(|s| s.1).collect::<Vec<_>>().join(" ")
}

/// A bibliography with one true entry, and others that say a little else than what is known.
const CITED: &str = r#"
@article{holm1979, title={A Simple Sequentially Rejective Multiple Test Procedure}, author={Holm, Sture}, year={1979}}
@article{late, title={A Simple Sequentially Rejective Multiple Test Procedure}, author={Holm, Sture}, year={1997}}
@article{other, title={A Simple Sequentially Rejective Multiple Test Procedure}, author={Holmes, Sherlock}, year={1979}}
@article{invented, title={Digits Are All You Need}, author={Nobody, Jane}, year={2020}}
@article{undated, title={The Probable Error of a Mean}, author={Student}}
"#;

/// A file of the campaign, what is changed in it to what, and where the change is looked for from.
const CHANGES: &[(&str, &str, &str)] = &[
    ("paper/paper.html", "<p>", "<p>It reaches 0.999. "),
    ("paper/paper.html", "value=\"baseline.metric\">0.", "value=\"baseline.metric\">1."),
    ("paper/paper.html", "class=cite href=\"#ref-", "class=cite href=\"#ref-x"),
    ("paper/paper.html", "<polyline ", "<polyline  "),
    ("paper/paper.tex", "\\citep{", "\\citep{nobody2020,"),
    ("paper/paper.tex", "\\fact{cost.allocated}{", "\\fact{cost.allocated}{1"),
    ("paper/paper.tex", "\\end{abstract}", "Seven of them won.\n\\end{abstract}"),
    ("paper/paper.md", "**Abstract.**", "**Abstract.** In 2017 it was known."),
    ("paper/paper.html", "<p>", "<p style=\"display:none\">"),
    ("paper/paper.html", "</style>", "p::after{content:\"!\"}</style>"),
    ("paper/paper.tex", "\\newcommand{\\fact}[2]{#2}", "\\newcommand{\\fact}[2]{#2!}"),
    ("paper/paper.tex", "We measure first", "We do not measure first"),
    ("paper/paper.md", "![progress]", "![all were better]"),
    ("paper/paper.bib", "year = {19", "year = {18"),
    ("paper/facts.json", "\"n\": 3", "\"n\": 30"),
    ("paper/facts.json", "\"subject\": \"baseline\"", "\"subject\": \"candidate.0\""),
    ("paper/facts.json", "\"shows\": \"improvement\"", "\"shows\": \"nothing\""),
    ("paper/figures/progress.tex", "\\node", "% 17\n\\node"),
    ("results.tsv", "\t0.", "\t1."),
    ("runs/0001/metrics.jsonl", "\"lr\":0.", "\"lr\":1."),
];

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

/// The table: what was planted in the campaign in `field`, by what it is caught, and what is said of it. Panics where something is
/// not caught.
pub fn table(field: &Field) -> String {
    let folder = field.folder();
    let mut text = String::from(
        "# What was planted, and what was said of it\n\nMade by `scripts/sample-paper-llm`; `tests/suite/planted.rs` compares it with what \
         the program says now, numbers aside.\n\n## In the language model's text\n\nThe model's first answer had all of these in its abstract. \
         None of them builds; it was told so, and wrote another.\n\n| kind | sentence | what the compiler says |\n|---|---|---|\n",
    );
    let state = load_research(&folder).unwrap();
    let (facts, library) = (paper::gather(&folder, &state), paper::library(None).unwrap());
    let mut draft = paper::draft(&folder, &state, &facts, &library);
    for (kind, sentence) in SENTENCES {
        draft.summary = (*sentence).to_string();
        let findings = paper::check(&facts, &draft, &library).expect_err(sentence);
        let said: Vec<&str> = findings.iter().filter(|f| f.place == "abstract").map(|f| f.what.as_str()).collect();
        assert!(!said.is_empty(), "{sentence}: {findings:?}");
        let _ = writeln!(text, "| {kind} | {} | {} |", cell(sentence), cell(&said.join("; ")));
    }

    text += "\n## In a bibliography\n\nHeld against the works of the paper: only the first entry enters, the others are dropped and listed.\n\n\
             | entry | what `literature check` says |\n|---|---|\n";
    let root = folder.parent().unwrap();
    std::fs::write(root.join("cited.bib"), CITED).unwrap();
    let said = field.say(&["literature", "check", "cited.bib", "--against", "c/paper/paper.bib", "-o", "kept.bib"]);
    let kept = std::fs::read_to_string(root.join("kept.bib")).unwrap();
    assert!(kept.contains("holm1979") && kept.matches("title").count() == 1, "{kept}");
    for key in ["late", "other", "invented", "undated"] {
        let all = format!("{}\n{}", said.stdout, said.stderr);
        let line = all.lines().find(|l| l.contains(key)).unwrap_or_else(|| panic!("{key} is not listed: {all}"));
        let _ = writeln!(text, "| {key} | {} |", cell(line.trim()));
    }

    text += "\n## In the files, after they were written\n\nEach change alone, in an otherwise true folder.\n\n\
             | file | what stood there | what was put there | what `verify-paper` says first |\n|---|---|---|---|\n";
    for (name, from, to) in CHANGES {
        let path = folder.join(name);
        let good = std::fs::read_to_string(&path).unwrap();
        let bad = good.replacen(from, to, 1);
        assert_ne!(good, bad, "{name} does not hold {from:?}");
        std::fs::write(&path, bad).unwrap();
        let said = field.say(&["verify-paper", "c"]);
        std::fs::write(&path, good).unwrap();
        assert_eq!(said.code, 1, "{name}: {from:?} to {to:?} is not found: {}", said.stdout);
        let first = said.stdout.lines().next().unwrap_or_default();
        let code = |text: &str| format!("`{}`", cell(text).replace('`', "'").replace('\t', " "));
        let _ = writeln!(text, "| {name} | {} | {} | {} |", code(from), code(to), cell(first).replace('\t', " "));
    }
    text
}

/// Runs of digits, points and signs count for nothing: another processor may round otherwise.
fn without_numbers(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '0'..='9' if !out.ends_with('#') => out.push('#'),
            '0'..='9' | '.' if out.ends_with('#') => {}
            c => out.push(c),
        }
    }
    out
}

/// The committed table is what the program says now. With `NANORESEARCH_KEEP_PAPER` naming a folder, campaign and table are kept there.
pub fn compare(field: &Field, table: &str) {
    if let Some(keep) = std::env::var_os("NANORESEARCH_KEEP_PAPER") {
        let keep = Path::new(&keep);
        copy(&field.folder(), &keep.join("c"));
        return std::fs::write(keep.join("planted.md"), table).unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/sample-paper-llm/planted.md");
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    let (own, theirs) = (without_numbers(table), without_numbers(&committed));
    let differs = own.lines().zip(theirs.lines()).find(|(a, b)| a != b);
    assert!(own == theirs, "docs/sample-paper-llm is of another program: run scripts/sample-paper-llm ({differs:?})");
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}
