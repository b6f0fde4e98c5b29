//! A page about the committed sample campaign: what is right passes, and every tampering is found.
#![allow(clippy::disallowed_methods)]

use super::quantities::Quantities;
use super::*;
use crate::sys::clock::day_in_words;
use std::path::{Path, PathBuf};

/// A copy of the sample campaign with a paper that states a few of its numbers.
struct Bench {
    root: tempfile::TempDir,
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The day on which the campaign began.
fn day(measured: &Measured) -> String {
    day_in_words(&measured.times[0]).unwrap()
}

impl Bench {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/sample-campaign"), root.path());
        let bench = Bench { root };
        let measured = Measured::read(bench.root.path()).unwrap();
        let q = Quantities::of(&measured);
        let of = |id: &str| q.get(id).unwrap_or_else(|| panic!("{id}")).clone();
        let base = of("baseline.metric");
        let (low, high, _) = base.interval.unwrap();
        let shown = format!("{:.4} [{low:.4}, {high:.4}]", base.value);
        let runs = format!("{} runs", of("runs.total").value);
        let time = format!("{:.1}\u{a0}device-seconds", of("cost.allocated").value * 3600.0);
        let fact = |id: &str, text: &str| format!("<data class=fact value=\"{id}\">{text}</data>");
        let marked =
            |id: &str, text: &str| format!("\\fact{{{id}}}{{{}}}", text.replace('\u{a0}', "~").replace('%', "\\%"));
        let day = day(&measured);
        let html = format!(
            "<h1>A note</h1><p class=by>nanoresearch 0.1.0<br>{day}</p><section id=\"sec:results\"><h2><span class=no>1</span> Results</h2>\
             <p>The baseline reaches {}. It took {} and {}. See <a href=\"#sec:results\">Section 1</a>.</p></section>",
            fact("baseline.metric", &shown),
            fact("runs.total", &runs),
            fact("cost.allocated", &time)
        );
        let tex = format!(
            "\n\\title{{A note}}\n\\author{{nanoresearch 0.1.0}}\n\\date{{{day}}}\n\\begin{{document}}\n\\section{{Results}}\\label{{sec:results}}\n\n\
             The baseline reaches {}. It took {} and {}. See \\nameof{{sec:results}}.\n\\end{{document}}\n",
            marked("baseline.metric", &shown),
            marked("runs.total", &runs),
            marked("cost.allocated", &time)
        );
        let md = format!(
            "# A note\n\nnanoresearch 0.1.0, {day}\n\n## 1. Results\n\nThe baseline reaches {shown}. It took {runs} and {time}. See Section 1.\n"
        );
        let one = |id: &str| {
            let q = of(id);
            let interval = q.interval.map(
                |(low, high, confidence)| serde_json::json!({ "low": low, "high": high, "confidence": confidence }),
            );
            serde_json::json!({ "id": id, "value": { "number": q.value }, "interval": interval, "n": q.n })
        };
        let facts = serde_json::json!({ "facts": [one("baseline.metric"), one("runs.total"), one("cost.allocated")] });
        for (name, text) in
            [("paper.html", html), ("paper.tex", tex), ("paper.md", md), ("facts.json", facts.to_string())]
        {
            std::fs::create_dir_all(bench.path("paper")).unwrap();
            std::fs::write(bench.path("paper").join(name), text).unwrap();
        }
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn check(&self) -> Checked {
        check(self.root.path(), &Measured::read(self.root.path()).unwrap(), None).unwrap()
    }

    /// With a file changed; the first fault.
    fn with(&self, name: &str, from: &str, to: &str) -> Vec<Fault> {
        let path = self.path(name);
        let good = std::fs::read_to_string(&path).unwrap();
        let bad = good.replacen(from, to, 1);
        assert_ne!(good, bad, "{name} does not hold {from:?}");
        std::fs::write(&path, bad).unwrap();
        let faults = self.check().faults;
        std::fs::write(&path, good).unwrap();
        assert!(!faults.is_empty(), "{name}: {from:?} to {to:?} is not found");
        faults
    }
}

fn digit_changed(text: &str, at: usize) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    letters[at] = if letters[at] == '9' { '8' } else { char::from_u32(letters[at] as u32 + 1).unwrap() };
    letters.into_iter().collect()
}

#[test]
fn what_is_right_passes_and_every_changed_digit_is_found() {
    let bench = Bench::new();
    let good = bench.check();
    assert_eq!(good.faults, [], "{good:?}");
    assert_eq!(good.forms, ["paper.html", "paper.tex", "paper.md"]);
    assert!(good.explained >= 10 && good.facts >= 6, "{good:?}");

    // Every digit of every marked number, in each form.
    let measured = Measured::read(bench.root.path()).unwrap();
    let value = format!("{:.4}", Quantities::of(&measured).get("baseline.metric").unwrap().value);
    for form in ["paper/paper.html", "paper/paper.tex", "paper/paper.md"] {
        for at in (0..value.len()).filter(|i| value.as_bytes()[*i].is_ascii_digit()) {
            let faults = bench.with(form, &value, &digit_changed(&value, at));
            let named = faults.iter().any(|f| f.sentence.contains("baseline reaches"));
            assert!(named && faults[0].place.starts_with(&form[6..]), "{form} {at}: {faults:?}");
        }
    }
    // A number that is a right one under a wrong id.
    let faults = bench.with("paper/paper.html", "value=\"runs.total\"", "value=\"runs.finished\"");
    assert!(faults.iter().any(|f| f.what.contains("runs.finished")), "{faults:?}");
    // Numbers without a mark, in digits and in words; in all forms.
    for (form, from) in [("paper/paper.html", "It took"), ("paper/paper.tex", "It took"), ("paper/paper.md", "It took")]
    {
        for planted in ["With 0.99 it took", "With seven tries it took", "In 2017 it took"] {
            bench.with(form, from, planted);
        }
    }
    let faults = bench.with("paper/paper.html", &day(&measured), "24 November 2025");
    assert!(faults[0].what.contains("day of the campaign"), "{faults:?}");
    bench.with("paper/paper.html", ">1</span>", ">2</span>");
    bench.with("paper/paper.html", "Section 1", "Section 4");

    // facts.json: a value, a bound.
    let number = serde_json::to_string(&Quantities::of(&measured).get("baseline.metric").unwrap().value).unwrap();
    let at = number.len() - 5;
    let faults = bench.with("paper/facts.json", &number, &digit_changed(&number, at));
    assert!(faults[0].what.contains("`baseline.metric`"), "{faults:?}");
    bench.with("paper/facts.json", "\"low\":0.", "\"low\":0.1");
    bench.with("paper/facts.json", "\"number\":", "\"number\":1");
}

#[test]
fn a_changed_measurement_is_found() {
    let bench = Bench::new();
    // The last evaluation of a baseline run; and a line in the middle.
    for run in ["0001", "0002"] {
        let name = format!("runs/{run}/metrics.jsonl");
        let text = std::fs::read_to_string(bench.path(&name)).unwrap();
        let last = text.lines().rev().find(|l| l.contains("\"kind\":\"eval\"")).unwrap();
        let at = last.find("\"accuracy\":0.").unwrap() + "\"accuracy\":0.".len();
        let faults = bench.with(&name, last, &digit_changed(last, at));
        assert!(faults.iter().any(|f| f.place.contains(run)), "{faults:?}");
    }
    // A line in the middle: the attempt's own file says otherwise.
    let text = std::fs::read_to_string(bench.path("runs/0001/metrics.jsonl")).unwrap();
    let middle = text.lines().filter(|l| l.contains("\"kind\":\"train\"")).nth(99).unwrap();
    let at = middle.find("\"loss\":").unwrap() + "\"loss\":".len();
    let faults = bench.with("runs/0001/metrics.jsonl", middle, &digit_changed(middle, at));
    assert!(faults.iter().any(|f| f.what.contains("is not what the run's attempts recorded")), "{faults:?}");
    // A file that is gone.
    std::fs::remove_file(bench.path("runs/0003/metrics.jsonl")).unwrap();
    assert!(bench.check().faults.iter().any(|f| f.what.contains("not there")));
}

#[test]
fn a_folder_without_a_paper_is_refused() {
    let bench = Bench::new();
    std::fs::remove_file(bench.path("paper/paper.html")).unwrap();
    let problem = check(bench.root.path(), &Measured::read(bench.root.path()).unwrap(), None).unwrap_err();
    assert!(problem.what.contains("no paper") && problem.remedy.is_some());
}

#[test]
fn a_sample_is_drawn_by_its_seed() {
    let bench = Bench::new();
    let state = Measured::read(bench.root.path()).unwrap().state;
    let (a, b) = (sample(&state, 3, 1), sample(&state, 3, 2));
    assert_eq!((a.len(), sample(&state, 3, 1)), (3, a.clone()));
    assert!(a != b || sample(&state, 3, 3) != a, "seeds matter");
    let all = sample(&state, 999, 1);
    assert!(all.len() > 10 && all.windows(2).all(|w| w[0] < w[1]));
}
