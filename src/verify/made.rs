//! Files beside the text: `facts.json`, `results.tsv` and figures, held against what was measured, and against what the paper's code
//! makes of the campaign's records now.
//!
//! Boundary: what that code makes is handed in ([`Made`]); numbers are computed again apart from it.

use super::judge::{Fault, Judge, facts_of, same};
use super::rendered::Passage;
use crate::campaign::results_tsv;
use crate::literature::Record;
use crate::problem::Result;
use crate::sys::fs;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What the paper's code makes of the campaign's records now.
#[derive(Debug, Default)]
pub struct Made {
    /// Version of the program. A paper of another version is held against the runs only.
    pub version: String,
    /// `facts.json`.
    pub facts: Value,
    /// Files of figures by their names in `paper/`: `figures/curves.tex`.
    pub figures: BTreeMap<String, String>,
    /// Figures as they stand in the page.
    pub drawn: BTreeSet<String>,
    /// Works that the program itself brings.
    pub works: Vec<Record>,
    /// The paper's texts as they are set from the sentences of `paper.html`, by their names in `paper/`; empty where a sentence
    /// must not be printed.
    pub forms: BTreeMap<String, String>,
    /// Sentences of `paper.html` that must not be printed.
    pub refused: Vec<Fault>,
}

impl Made {
    /// Whether a paper with this `facts.json` was made by this version of the program.
    pub fn is_of_the_version(&self, facts: Option<&str>) -> bool {
        let file: Option<Value> = facts.and_then(|text| serde_json::from_str(text).ok());
        file.as_ref().and_then(|f| f.get("version")).and_then(Value::as_str) == Some(self.version.as_str())
    }
}

impl Judge<'_> {
    /// The files and runs that a fact is said to come from are there.
    fn origin(&mut self, folder: &Path, id: &str, fact: &Value) {
        let sources = fact.get("sources").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        let plain = |name: &&str| !name.contains('*');
        let lost = sources.filter(plain).find(|name| !folder.join(name).is_file()).map(str::to_string);
        if let Some(name) = lost {
            self.fault("facts.json", id.to_string(), format!("`{id}` comes from {name}, which is not there"));
        }
        let lists = ["/basis/runs", "/basis/against"].into_iter().filter_map(|at| fact.pointer(at)?.as_array());
        let runs = lists.flatten().chain(fact.pointer("/basis/run")).filter_map(Value::as_u64);
        let known = self.measured.state.runs.len() as u64;
        if let Some(run) = runs.into_iter().find(|run| !(1..=known).contains(run)) {
            self.fault("facts.json", id.to_string(), format!("`{id}` comes from run {run}, and there is none"));
        }
    }

    /// `facts.json` as one more text: each of its numbers is what was computed again, to the last bits of a double.
    pub fn facts_file(&mut self, folder: &Path, file: &str, passages: &[Passage], made: Option<&Made>) {
        let printed: BTreeSet<String> = facts_of(passages).into_iter().map(|f| f.0).collect();
        let Ok(value) = serde_json::from_str::<Value>(file) else {
            return self.fault("facts.json", String::new(), "it is not JSON".to_string());
        };
        let list = value.get("facts").and_then(Value::as_array).cloned().unwrap_or_default();
        if let Some(made) = made {
            self.compiled(&value, &list, passages, made);
        }
        let mut there = BTreeSet::new();
        for fact in &list {
            let id = fact.get("id").and_then(Value::as_str).unwrap_or_default();
            there.insert(id.to_string());
            self.origin(folder, id, fact);
            let said = fact.pointer("/value/text").or_else(|| fact.pointer("/value/quote")).and_then(Value::as_str);
            if let Some(Err(what)) = said.map(|text| self.named(text)) {
                self.fault("facts.json", id.to_string(), format!("`{id}`: {what}"));
            }
            let Some(number) = fact.pointer("/value/number").and_then(Value::as_f64) else { continue };
            let Some(quantity) = self.quantities.get(id).cloned() else {
                if printed.contains(id) {
                    self.fault("facts.json", id.to_string(), format!("`{id}` = {number} cannot be computed again"));
                }
                continue;
            };
            let mut pairs = vec![("value", number, Some(quantity.value))];
            for (name, at, own) in [
                ("lower bound", "/interval/low", quantity.interval.map(|i| i.0)),
                ("upper bound", "/interval/high", quantity.interval.map(|i| i.1)),
                ("coverage", "/interval/confidence", quantity.interval.map(|i| i.2)),
                ("n", "/n", quantity.n.map(|n| n as f64)),
            ] {
                if let Some(found) = fact.pointer(at).and_then(Value::as_f64) {
                    // What is not told again is not compared; a bound always is.
                    if own.is_some() || at.contains("interval") {
                        pairs.push((name, found, own));
                    }
                }
            }
            for (name, found, own) in pairs {
                match own {
                    Some(own) if same(found, own) => self.checked.facts += 1,
                    own => {
                        let own = own.map_or("nothing".to_string(), |v| v.to_string());
                        self.fault(
                            "facts.json",
                            id.to_string(),
                            format!("the {name} of `{id}` is {found} there, and {own} by the runs"),
                        );
                    }
                }
            }
        }
        for id in printed.difference(&there) {
            self.fault("facts.json", id.clone(), format!("`{id}` is printed and not there"));
        }
    }

    /// Every fact is the one that the records give, words included; none is made up, none stands twice.
    fn compiled(&mut self, file: &Value, list: &[Value], passages: &[Passage], made: &Made) {
        let version = file.get("version").and_then(Value::as_str).unwrap_or_default();
        if !passages.iter().any(|p| p.byline && p.text().split_whitespace().any(|w| w == version)) {
            self.fault("facts.json", String::new(), format!("it is of nanoresearch {version}, and the paper is not"));
        }
        if version != made.version {
            let what =
                format!("facts.json is of nanoresearch {version}: its numbers were compared, its words were not");
            return self.checked.unread.push(what);
        }
        for key in ["format", "campaign", "metric_words"] {
            if !alike(file.get(key), made.facts.get(key)) {
                self.fault("facts.json", String::new(), format!("`{key}` is not what the records give"));
            }
        }
        let own = file.get("subjects").and_then(Value::as_object).cloned().unwrap_or_default();
        for (subject, names) in &own {
            if !alike(Some(names), made.facts.pointer(&format!("/subjects/{subject}"))) {
                self.fault(
                    "facts.json",
                    subject.clone(),
                    format!("the names of `{subject}` are not what the records give"),
                );
            }
        }
        let names = |v: &Value| v.get("names").and_then(Value::as_array).cloned().unwrap_or_default();
        let known = names(&made.facts);
        for name in names(file).iter().filter(|n| !known.contains(n)) {
            self.fault("facts.json", String::new(), format!("{name} is no name in the records"));
        }
        let id = |fact: &Value| fact.get("id").and_then(Value::as_str).unwrap_or_default().to_string();
        let all = made.facts.get("facts").and_then(Value::as_array).cloned().unwrap_or_default();
        let mut known: BTreeMap<String, Value> = all.into_iter().map(|fact| (id(&fact), fact)).collect();
        for fact in list {
            let id = id(fact);
            let Some(own) = known.remove(&id) else {
                self.fault("facts.json", id.clone(), format!("`{id}` is no fact of this campaign, or stands twice"));
                continue;
            };
            let keys: BTreeSet<&String> =
                [fact, &own].into_iter().filter_map(Value::as_object).flat_map(|o| o.keys()).collect();
            for key in keys {
                let (found, wanted) = (fact.get(key), own.get(key));
                if !alike(found, wanted) {
                    let shown = |v: Option<&Value>| v.map_or("nothing".to_string(), Value::to_string);
                    let what = format!("`{id}` has the {key} {}, and the records give {}", shown(found), shown(wanted));
                    self.fault("facts.json", id.clone(), what);
                }
            }
        }
    }

    /// `results.tsv`, where it is there, is what the journal gives.
    pub fn results_file(&mut self, folder: &Path) -> Result<()> {
        let Some(bytes) = fs::read_if_there(&folder.join("results.tsv"))? else { return Ok(()) };
        let (own, wanted) = (String::from_utf8_lossy(&bytes), results_tsv(&self.measured.state));
        let mut pairs = own.lines().zip(wanted.lines());
        let line = pairs.position(|(a, b)| a != b).or((own.lines().count() != wanted.lines().count()).then_some(0));
        if let Some(line) = line {
            let text = own.lines().nth(line).unwrap_or_default().to_string();
            self.fault("results.tsv", text, format!("line {} is not what the journal gives", line + 1));
        }
        Ok(())
    }

    /// Figures are those that the records give, in their files and in the page.
    pub fn drawings(&mut self, paper: &Path, page: &str, made: &Made) -> Result<()> {
        for (name, wanted) in &made.figures {
            let Some(bytes) = fs::read_if_there(&paper.join(name))? else { continue };
            if bytes != wanted.as_bytes() {
                self.fault(name.clone(), String::new(), "this is not the figure that the records give".to_string());
            }
        }
        let mut rest = page;
        while let Some(at) = rest.find("<svg") {
            let end = rest[at..].find("</svg>").map_or(rest.len(), |end| at + end + "</svg>".len());
            if !made.drawn.iter().any(|svg| svg.trim() == rest[at..end].trim()) {
                let label = page[..page.len() - rest.len() + at].rfind("<figure id=\"").map(|at| &page[at + 12..]);
                let label = label.and_then(|l| l.split('"').next()).unwrap_or_default().to_string();
                self.fault("paper.html", label, "this is not the figure that the records give".to_string());
            }
            rest = &rest[end..];
        }
        Ok(())
    }

    /// The page's sentences compile, and every form is what they are set as: no word, mark, style or command was changed.
    pub fn set_again(&mut self, paper: &Path, made: &Made) -> Result<()> {
        self.checked.faults.extend(made.refused.iter().cloned());
        for (name, wanted) in &made.forms {
            let Some(bytes) = fs::read_if_there(&paper.join(name))? else { continue };
            let own = String::from_utf8_lossy(&bytes);
            if own == *wanted {
                continue;
            }
            let (mut ours, mut theirs) = (own.lines(), wanted.lines());
            let same = own.lines().zip(wanted.lines()).take_while(|(a, b)| a == b).count();
            let (ours, theirs) = (ours.nth(same).unwrap_or_default(), theirs.nth(same).unwrap_or_default());
            let what = format!(
                "line {} is not what the sentences of paper.html are set as, which is: {}",
                same + 1,
                differing(theirs, ours)
            );
            self.fault(name.clone(), differing(ours, theirs), what);
        }
        Ok(())
    }
}

/// A line around the place where it differs from another.
fn differing(line: &str, other: &str) -> String {
    let same = line.chars().zip(other.chars()).take_while(|(a, b)| a == b).count();
    let from = same.saturating_sub(40);
    let part: String = line.chars().skip(from).take(120).collect();
    if part.is_empty() { "nothing".to_string() } else { part }
}

/// Equal but for the last bits of numbers.
fn alike(a: Option<&Value>, b: Option<&Value>) -> bool {
    match (a, b) {
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(Some(a), Some(b)))
        }
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            a.len() == b.len() && a.iter().all(|(key, own)| alike(Some(own), b.get(key)))
        }
        (Some(Value::Number(a)), Some(Value::Number(b))) => match (a.as_f64(), b.as_f64()) {
            (Some(a), Some(b)) => same(a, b),
            _ => a == b,
        },
        (a, b) => a == b,
    }
}
