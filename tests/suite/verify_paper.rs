//! A paper from end to end: written, verified, tampered with, reviewed, exported; by rules, and with a scripted language model
//! that plants what was never measured.

use super::campaigns::Field;
use super::planted;
use nanoresearch::campaign::{load, load_research};
use nanoresearch::paper;
use nanoresearch::verify::{self, Made, Measured};
use serde_json::{Value, json};
use std::io::Write;
use std::net::TcpListener;
use std::path::Path;

/// A small campaign; `more` are further lines.
fn config(more: &str) -> String {
    format!(
        r#"
name = "noted"
question = "Which learning rate reads the digits best?"
objective.metric = "accuracy"
seeds = {{ baseline = 3, confirm = 3, finalists = 1 }}
planner = {{ kind = "random", seed = 3, candidates = 4 }}
space."optimizer.learning_rate" = {{ type = "log-float", low = 1e-4, high = 1e-1 }}
baseline.data.kind = "digits"
baseline.model = {{ kind = "mlp", widths = [16] }}
baseline.optimizer = {{ kind = "adamw", learning_rate = 3e-4 }}
baseline.training = {{ batch_size = 32, budget = {{ steps = 60 }} }}
baseline.evaluation = {{ every = 20 }}
budget = {{ device_hours = 0.2, dollars_per_device_hour = 2.0, dollars = 5.0 }}
{more}
"#
    )
}

fn digit_changed(text: &str, at: usize) -> String {
    let mut bytes = text.as_bytes().to_vec();
    bytes[at] = if bytes[at] == b'9' { b'8' } else { bytes[at] + 1 };
    String::from_utf8(bytes).unwrap()
}

/// The place of a digit of the first number that is marked with an id.
fn marked_digit(text: &str, mark: &str) -> usize {
    let at = text.find(mark).unwrap_or_else(|| panic!("{mark} is not in the text")) + mark.len();
    at + text[at..].find(|c: char| c.is_ascii_digit() && c != '0').unwrap()
}

fn changed(path: &Path, change: impl Fn(&str) -> String, check: impl Fn()) {
    let good = std::fs::read_to_string(path).unwrap();
    let bad = change(&good);
    assert_ne!(good, bad);
    std::fs::write(path, bad).unwrap();
    check();
    std::fs::write(path, good).unwrap();
}

#[test]
fn a_paper_is_verified_and_every_tampering_found() {
    let field = Field::new(&config(""));
    let folder = field.folder();
    assert_eq!(field.say(&["run", "campaign.toml", "--out", "c"]).code, 0);
    let said = field.say(&["paper", "c", "--no-pdf"]);
    assert_eq!(said.code, 0, "{}\n{}", said.stdout, said.stderr);
    let verify = |more: &[&str]| field.say(&[&["verify-paper", "c"], more].concat());
    let said = verify(&["--rerun", "2"]);
    assert_eq!(said.code, 0, "{}\n{}", said.stdout, said.stderr);
    assert!(said.stdout.contains("faults    0") && said.stdout.matches("equal: ").count() == 2, "{}", said.stdout);

    let caught = |file: &str| {
        let said = verify(&[]);
        assert_eq!(said.code, 1, "{file}: {}", said.stdout);
        assert!(said.stdout.contains(file), "{file}: {}", said.stdout);
    };
    let paper = |name: &str| folder.join("paper").join(name);
    changed(
        &paper("paper.html"),
        |t| digit_changed(t, marked_digit(t, "value=\"baseline.metric\">")),
        || caught("paper.html"),
    );
    changed(
        &paper("paper.tex"),
        |t| digit_changed(t, marked_digit(t, "\\fact{cost.allocated}{")),
        || caught("paper.tex"),
    );
    changed(&paper("paper.md"), |t| digit_changed(t, marked_digit(t, "baseline has a mean")), || caught("paper.md"));
    changed(
        &paper("facts.json"),
        |t| digit_changed(t, marked_digit(t, "\"id\": \"baseline.floor\"")),
        || caught("facts.json"),
    );
    changed(&paper("paper.html"), |t| t.replacen("<p>", "<p>It reaches 0.99. ", 1), || caught("0.99"));
    changed(
        &paper("paper.tex"),
        |t| t.replacen("\\end{abstract}", "Seven of them won.\n\\end{abstract}", 1),
        || caught("Seven"),
    );
    changed(
        &folder.join("runs/0001/metrics.jsonl"),
        |t| digit_changed(t, marked_digit(t, "\"accuracy\":")),
        || caught("runs/0001"),
    );
    // Words, marks and styles without a number in them, in every form.
    for (name, from, to) in [
        ("paper.html", "<p>", "<p style=\"display:none\">"),
        ("paper.html", "<p>", "<p title=\"nearly perfect\">"),
        ("paper.html", "</style>", "p::after{content:\" or better\"}</style>"),
        ("paper.html", "</article>", "<script>location='x'</script></article>"),
        ("paper.html", "<h1>", "<!-- all of it is true --><h1>"),
        ("paper.html", "<title>", "<title>Perfect: "),
        ("paper.html", "<td>baseline</td>", "<td><s>baseline</s></td>"),
        ("paper.tex", "\\newcommand{\\fact}[2]{#2}", "\\newcommand{\\fact}[2]{#2!}"),
        ("paper.tex", "\\maketitle", "\\maketitle % better"),
        ("paper.tex", "is measured before", "is not measured before"),
        ("paper.tex", "\\end{abstract}", "\\footnote{All were better.}\\end{abstract}"),
        ("paper.tex", "figures/progress.tex", "figures/ledger.tex"),
        ("paper.md", "![progress]", "![all were better]"),
        ("paper.md", "figures/progress.svg", "figures/ledger.svg"),
        ("paper.bib", "year = {", "note = {better than all}, year = {"),
    ] {
        changed(&paper(name), |t| t.replacen(from, to, 1), || caught(name));
    }
    // The same false sentence in all forms.
    for claim in ["Candidate 1 beats the baseline.", "This is the state of the art.", "Half of it is luck."] {
        let forms = ["paper.html", "paper.tex", "paper.md"];
        let good = forms.map(|name| std::fs::read_to_string(paper(name)).unwrap());
        for (name, text) in forms.iter().zip(&good) {
            let bad = text.replacen("Every number in this note", &format!("{claim} Every number in this note"), 1);
            assert_ne!(*text, bad, "{name}");
            std::fs::write(paper(name), bad).unwrap();
        }
        caught(claim);
        forms.iter().zip(&good).for_each(|(name, text)| std::fs::write(paper(name), text).unwrap());
    }
    assert_eq!(verify(&[]).code, 0, "all is as it was");
    sweep(&folder);

    // The review by rules stands beside it; the bundle carries both, and verifies elsewhere.
    let review = std::fs::read_to_string(paper("review.md")).unwrap();
    assert!(review.starts_with("# Review") && review.contains("rule checks"), "{review}");
    let said = field.say(&["export", "c", "-o", "b.tar.gz"]);
    assert_eq!(said.code, 0, "{}\n{}", said.stdout, said.stderr);
    let there = folder.parent().unwrap().join("there");
    let bundle = std::fs::File::open(folder.parent().unwrap().join("b.tar.gz")).unwrap();
    tar::Archive::new(flate2::read::GzDecoder::new(bundle)).unpack(&there).unwrap();
    assert_eq!(field.say(&["run", "there/noted", "--replay"]).code, 0);
    let said = field.say(&["verify-paper", "there/noted", "--rerun", "1", "--seed", "7"]);
    assert_eq!(said.code, 0, "{}\n{}", said.stdout, said.stderr);
}

/// Draws places of digits by a seed.
struct Draw(u64);

impl Draw {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }

    /// So many different ones of `all`, or all of them.
    fn some<T>(&mut self, mut all: Vec<T>, n: usize) -> Vec<T> {
        (0..n.min(all.len())).map(|_| all.swap_remove(self.below(all.len()))).collect()
    }
}

/// Every leaf of a JSON document by its pointer.
fn leaves(value: &Value, at: String, out: &mut Vec<String>) {
    match value {
        Value::Object(all) => all.iter().for_each(|(key, v)| leaves(v, format!("{at}/{key}"), out)),
        Value::Array(all) => all.iter().enumerate().for_each(|(i, v)| leaves(v, format!("{at}/{i}"), out)),
        _ => out.push(at),
    }
}

/// Changes what a reader sees and what it rests on, one drawn place at a time: each must be found.
fn sweep(folder: &Path) {
    let state = load_research(folder).unwrap();
    let (facts, works) = (paper::gather(folder, &state), paper::library(None).unwrap());
    let (figures, drawn) = paper::drawings(&paper::draft(folder, &state, &facts, &works));
    let version = facts.version.clone();
    let facts = serde_json::from_slice(&facts.to_json().unwrap()).unwrap();
    let made = Made { version, facts, figures, drawn, works, ..Made::default() };
    let faults = || verify::check(folder, &Measured::read(folder).unwrap(), Some(&made)).unwrap().faults;
    assert_eq!(faults(), []);
    let (mut draw, mut missed, mut tried) = (Draw(7), Vec::new(), 0);
    let mut try_one = |name: &str, bad: String, what: String| {
        let path = folder.join(name);
        let good = std::fs::read(&path).unwrap();
        assert_ne!(good, bad.as_bytes(), "{what}");
        std::fs::write(&path, bad).unwrap();
        if faults().is_empty() {
            missed.push(format!("{name}: {what}"));
        }
        std::fs::write(&path, good).unwrap();
        tried += 1;
    };

    // facts.json: any leaf, words and names included.
    let text = std::fs::read_to_string(folder.join("paper/facts.json")).unwrap();
    let good: Value = serde_json::from_str(&text).unwrap();
    let mut all = Vec::new();
    leaves(&good, String::new(), &mut all);
    for at in draw.some(all, 150) {
        let mut bad = good.clone();
        let leaf = bad.pointer_mut(&at).unwrap();
        *leaf = match &*leaf {
            Value::Number(n) if n.is_f64() => json!(n.as_f64().unwrap() * 1.01 + 1e-3),
            Value::Number(n) => json!(n.as_i64().unwrap() + 1),
            Value::String(text) => match text.find(|c: char| c.is_ascii_digit()) {
                Some(at) => json!(digit_changed(text, at)),
                None => json!(format!("{text}x")),
            },
            _ => json!("x"),
        };
        let what = format!("{at} {} to {}", good.pointer(&at).unwrap(), bad.pointer(&at).unwrap());
        try_one("paper/facts.json", serde_json::to_string_pretty(&bad).unwrap(), what);
    }

    // Digits of texts, outside of what only a program reads.
    let run = "runs/0002/metrics.jsonl";
    std::fs::rename(folder.join("runs/0002/attempts"), folder.join("kept-apart")).unwrap();
    for (name, n) in [
        ("paper/paper.html", 80),
        ("paper/paper.tex", 80),
        ("paper/paper.md", 50),
        ("paper/paper.bib", 30),
        ("results.tsv", 30),
        ("runs/0001/metrics.jsonl", 30),
        // Of this run only the projection is left: the journal has its hash.
        (run, 30),
    ] {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        let begins = text.find("\\begin{document}").unwrap_or(0);
        let (mut tag, mut apart) = (false, "");
        let mut places = Vec::new();
        for (at, c) in text.char_indices().filter(|(at, _)| *at >= begins) {
            if name.ends_with("html") {
                tag = (tag || c == '<') && c != '>';
                for (open, close) in [("<svg", "</svg>"), ("<style", "</style>")] {
                    if text[at..].starts_with(open) {
                        apart = close;
                    } else if text[at..].starts_with(close) {
                        apart = "";
                    }
                }
            }
            if c.is_ascii_digit() && !tag && apart.is_empty() {
                places.push(at);
            }
        }
        assert!(places.len() >= n.min(20), "{name}: {}", places.len());
        for at in draw.some(places, n) {
            let around: String = text[..at].chars().rev().take(40).collect::<Vec<_>>().into_iter().rev().collect();
            try_one(name, digit_changed(&text, at), format!("{around:?} {}", &text[at..=at]));
        }
    }
    std::fs::rename(folder.join("kept-apart"), folder.join("runs/0002/attempts")).unwrap();
    assert!(
        missed.is_empty() && tried > 400,
        "{} of {tried} changes were not found:\n{}",
        missed.len(),
        missed.join("\n")
    );
}

/// Answers by the name of the form that is asked for.
fn serve(answer: impl Fn(&str, &str) -> Value + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let body: Value = serde_json::from_slice(&super::request::read_body(&stream)).unwrap();
            let form = body["response_format"]["json_schema"]["name"].as_str().unwrap_or_default().to_string();
            let said = |m: &Value| m["content"].as_str().unwrap_or_default().to_string();
            let messages: Vec<String> = body["messages"].as_array().unwrap().iter().map(said).collect();
            let text = answer(&form, &messages.join("\n")).to_string();
            let usage = json!({ "prompt_tokens": 1000, "completion_tokens": 100 });
            let choice = json!({ "message": { "content": text }, "finish_reason": "stop" });
            let body = json!({ "model": "scripted", "usage": usage, "choices": [choice] }).to_string();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            let _ = stream.write_all((head + &body).as_bytes());
        }
    });
    url
}

const MENDED: &str =
    "We measure first and compare afterwards. Over its seeds the baseline reaches {baseline.metric|interval}.";
const LIMITED: &str = "- There is a single dataset, and no further dataset was tried. Whatever is said here is said of it alone, with this model, \
                       this space and these seeds; other data may well behave otherwise, and nothing in this note speaks against that.";

/// The draft by rules that a prompt shows, with another abstract or other limitations.
fn text(prompt: &str, summary: Option<&str>, limitations: Option<&str>) -> Value {
    let from = prompt.find("\ntitle: ").unwrap() + "\ntitle: ".len();
    let to = from + prompt[from..].find("\nWrite the paper.").unwrap();
    let draft = prompt[from..to].split("\n# What reviewers want changed").next().unwrap();
    let (title, rest) = draft.split_once("\n\nsummary:\n").unwrap();
    let (own, rest) = rest.split_once("\n\n[sec:").unwrap();
    let sections: Vec<Value> = format!("\n[sec:{rest}")
        .split("\n[sec:")
        .skip(1)
        .map(|part| {
            let (label, rest) = part.split_once(']').unwrap();
            let source = rest.split_once('\n').unwrap().1.trim();
            let source = if label == "limitations" { limitations.unwrap_or(source) } else { source };
            json!({ "label": format!("sec:{label}"), "source": source })
        })
        .collect();
    json!({ "title": title, "summary": summary.unwrap_or(own.trim()), "sections": sections })
}

/// A writer that plants false numbers, citations and claims, and writes another abstract when it is told; reviewers who demand a
/// limitation. `docs/sample-paper-llm` is made of it.
#[test]
fn what_a_model_plants_is_caught_and_its_reviewers_are_charged() {
    let url = serve(|form, prompt| match form {
        "paper_text" if prompt.contains("do not build") => text(prompt, Some(MENDED), None),
        "paper_text" if prompt.contains("# What reviewers want changed") => text(prompt, None, Some(LIMITED)),
        "paper_text" => text(prompt, Some(&planted::abstract_of_all()), None),
        "opinion" => {
            let done = prompt.contains("no further dataset was tried");
            let demands = json!([{ "quote": "", "what": "State that there is one dataset.", "severity": "blocking" }]);
            json!({ "soundness": if done { 8 } else { 4 }, "statistics": 7, "clarity": 7, "summary": "Careful.",
                    "demands": if done { json!([]) } else { demands } })
        }
        other => panic!("asked for {other}"),
    });
    let llm = format!(
        "[llm]\nmodel = \"scripted\"\nbase_url = \"{url}\"\nretries = 0\nrepairs = 1\ntimeout_seconds = 20.0\nmax_tokens = 800\n\
         prices.scripted = {{ input = 1.0, output = 4.0 }}\n"
    );
    let field = Field::new(&config(&llm));
    let folder = field.folder();
    assert_eq!(field.say(&["run", "campaign.toml", "--out", "c"]).code, 0);
    let before = load(&folder).unwrap().ledger.free().dollars;
    let pdf = std::env::var_os("NANORESEARCH_KEEP_PAPER").is_some();
    let said = field.say(if pdf { &["paper", "c"] } else { &["paper", "c", "--no-pdf"] });
    assert_eq!(said.code, 0, "{}\n{}", said.stdout, said.stderr);

    let html = std::fs::read_to_string(folder.join("paper/paper.html")).unwrap();
    for planted in ["0.999", "nobody2020", "Everybody agrees"] {
        assert!(!html.contains(planted), "{planted}");
    }
    assert!(html.contains("We measure first") && html.contains("no further dataset was tried"));
    // What it was told, on the tape.
    let told = std::fs::read_to_string(folder.join("llm/0002.json")).unwrap();
    assert!(told.contains("do not build") && told.contains("0.999") && told.contains("nobody2020"), "{told}");
    let state = load(&folder).unwrap();
    // Draft and its repair, three reviewers, a revision, three reviewers.
    assert_eq!(state.writing.answered.len(), 1 + 3 + 1 + 3, "{:?}", state.writing.answered);
    let paid = 9 * 1400;
    assert_eq!(before.micro - state.ledger.free().dollars.micro, paid);
    let review = std::fs::read_to_string(folder.join("paper/review.md")).unwrap();
    assert!(review.contains("2 rounds") && review.contains("The statistician"), "{review}");
    let said = field.say(&["verify-paper", "c"]);
    assert_eq!(said.code, 0, "{}\n{}", said.stdout, said.stderr);
    // Every cent of it is on the tape, and the decisions are the same as before.
    let said = field.say(&["run", "c", "--replay"]);
    assert_eq!(said.code, 0, "{}\n{}", said.stdout, said.stderr);
    assert!(said.stdout.contains("8 questions"), "{}", said.stdout);

    // Each planted thing by itself; somebody who changes files afterwards is caught, too.
    planted::compare(&field, &planted::table(&field));
}
