//! From files and overrides to validated configs.
//!
//! The order: read; `baseline_file`; presets; overrides; check against the types; deserialise; validate. Each step
//! keeps the places, so that whatever is wrong is reported where it was written.

use super::check::{check, together};
use super::document::{Node, Place, Tree, split_path};
use super::overrides::{Override, merge};
use super::types::{self, Type};
use super::validate::Issue;
use super::{Campaign, Experiment, Places, Site, presets};
use crate::problem::{Class, Problem, Result};
use crate::sys::fs;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

/// A config read, resolved and validated.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded<T> {
    /// The config.
    pub value: T,
    /// Folder that relative paths in it refer to: the file's own.
    pub base: PathBuf,
    /// The config as TOML with presets, overrides and defaults filled in.
    pub text: String,
    /// Where its settings were written.
    pub places: Places,
}

/// Reads an experiment (TOML or JSON) and applies `key=value` overrides.
///
/// # Errors
/// A usage problem that names file and line, the value and what would be right; at most five findings at once.
pub fn load_experiment(path: &Path, overrides: &[String]) -> Result<Loaded<Experiment>> {
    let (value, document) = experiment(&read(path)?, &path.display().to_string(), overrides)?;
    Ok(loaded(value, document, path, types::experiment(), &[]))
}

/// Reads a campaign (TOML or JSON) and applies `key=value` overrides; `baseline_file` is relative to the campaign's folder.
///
/// # Errors
/// As [`load_experiment`].
pub fn load_campaign(path: &Path, overrides: &[String]) -> Result<Loaded<Campaign>> {
    let base = folder(path);
    let text = read(path)?;
    let (value, document) = campaign(&text, &path.display().to_string(), overrides, &|file| {
        let path = if base == Path::new(".") { PathBuf::from(file) } else { base.join(file) };
        Ok((path.display().to_string(), read(&path)?))
    })?;
    Ok(loaded(value, document, path, types::campaign(), &["baseline"]))
}

/// An experiment from text; `name` stands for the file in messages.
///
/// # Errors
/// As [`load_experiment`].
pub fn parse_experiment(text: &str, name: &str, overrides: &[String]) -> Result<Experiment> {
    experiment(text, name, overrides).map(|(value, _)| value)
}

fn experiment(text: &str, name: &str, overrides: &[String]) -> Result<(Experiment, Node)> {
    let mut document = document(text, name)?;
    if document.get("model").is_none() && (document.get("space").is_some() || document.get("objective").is_some()) {
        return Err(Problem::usage("this is a campaign, not an experiment")
            .at(name)
            .remedy("use it with `nanoresearch run`, or name one of the files in jobs/experiments"));
    }
    let ty = types::experiment();
    let overrides = sorted(overrides)?;
    for change in overrides.iter().filter(|o| o.rank() < 2) {
        preset_replaces_model(&mut document, &change.path);
        change.apply(&mut document, ty)?;
    }
    resolve_preset(&mut document)?;
    for change in overrides.iter().filter(|o| o.rank() >= 2) {
        change.apply(&mut document, ty)?;
    }
    let value: Experiment = typed(&document, ty)?;
    refuse(&document, value.issues())?;
    Ok((value, document))
}

/// A campaign from text, its baseline inline; `name` stands for the file in messages.
///
/// # Errors
/// As [`load_experiment`].
pub fn parse_campaign(text: &str, name: &str, overrides: &[String]) -> Result<Campaign> {
    campaign(text, name, overrides, &|_| {
        Err(Problem::usage("baseline_file cannot be read here").remedy("write the experiment under [baseline]"))
    })
    .map(|(value, _)| value)
}

/// Reads a site (TOML or JSON) and applies `key=value` overrides.
///
/// # Errors
/// As [`load_experiment`].
pub fn load_site(path: &Path, overrides: &[String]) -> Result<Loaded<Site>> {
    let (value, document) = site(&read(path)?, &path.display().to_string(), overrides)?;
    Ok(loaded(value, document, path, types::site(), &[]))
}

/// A site from text; `name` stands for the file in messages.
///
/// # Errors
/// As [`load_experiment`].
pub fn parse_site(text: &str, name: &str, overrides: &[String]) -> Result<Site> {
    site(text, name, overrides).map(|(value, _)| value)
}

fn site(text: &str, name: &str, overrides: &[String]) -> Result<(Site, Node)> {
    let mut document = document(text, name)?;
    for change in sorted(overrides)? {
        change.apply(&mut document, types::site())?;
    }
    let value: Site = typed(&document, types::site())?;
    refuse(&document, value.issues())?;
    Ok((value, document))
}

/// A config as TOML, always the same text for the same value. What TOML cannot hold (whole numbers beyond 63 bits,
/// which no validated config has) makes it JSON, which the loaders read too.
pub fn to_toml(config: &impl Serialize) -> String {
    toml::to_string(config).unwrap_or_else(|_| serde_json::to_string_pretty(config).unwrap_or_default() + "\n")
}

type ReadFile<'a> = &'a dyn Fn(&str) -> Result<(String, String)>;

fn campaign(text: &str, name: &str, overrides: &[String], file: ReadFile) -> Result<(Campaign, Node)> {
    let mut document = document(text, name)?;
    if document.get("model").is_some() && document.get("space").is_none() && document.get("baseline").is_none() {
        return Err(Problem::usage("this is an experiment, not a campaign")
            .at(name)
            .remedy("use it with `nanoresearch train`, or name it as baseline_file in a campaign"));
    }
    let ty = types::campaign();
    let overrides = sorted(overrides)?;
    let apply = |document: &mut Node, rank: std::ops::RangeInclusive<usize>| -> Result<()> {
        for change in overrides.iter().filter(|o| rank.contains(&o.rank())) {
            if let [first, rest @ ..] = &change.path[..]
                && first == "baseline"
                && let Some(baseline) = document.get_mut("baseline")
            {
                preset_replaces_model(baseline, rest);
            }
            change.apply(document, ty)?;
        }
        Ok(())
    };
    apply(&mut document, 0..=0)?;
    baseline_from_file(&mut document, file)?;
    flatten_space(&mut document);
    apply(&mut document, 1..=1)?;
    if let Some(baseline) = document.get_mut("baseline") {
        resolve_preset(baseline)?;
    }
    apply(&mut document, 2..=3)?;
    flatten_space(&mut document);
    ask_by_default(&mut document);
    if document.table().is_some() && document.get("baseline").is_none() {
        return Err(Problem::usage("the campaign has no baseline")
            .at(name)
            .remedy("write the experiment under [baseline], or name its file: baseline_file = \"experiment.toml\""));
    }
    let value: Campaign = typed(&document, ty)?;
    refuse(&document, value.issues())?;
    Ok((value, document))
}

fn read(path: &Path) -> Result<String> {
    fs::read_text(path).map_err(|p| p.class(Class::Usage))
}

fn folder(path: &Path) -> PathBuf {
    let parent = path.parent().unwrap_or(Path::new(""));
    if parent.as_os_str().is_empty() { PathBuf::from(".") } else { parent.to_path_buf() }
}

fn loaded<T: Serialize>(
    value: T,
    document: Node,
    path: &Path,
    ty: &'static Type,
    within: &'static [&'static str],
) -> Loaded<T> {
    let text = to_toml(&value);
    let places = Places::new(document, serde_json::to_value(&value).unwrap_or_default(), ty, within);
    Loaded { value, base: folder(path), text, places }
}

/// Parses a document; `$schema`, which editors want in JSON files, is not part of it.
fn document(text: &str, name: &str) -> Result<Node> {
    let mut document = Node::parse(text, name)?;
    document.remove("$schema");
    Ok(document)
}

fn sorted(overrides: &[String]) -> Result<Vec<Override>> {
    let mut parsed = overrides.iter().map(|o| Override::parse(o)).collect::<Result<Vec<_>>>()?;
    parsed.sort_by_key(Override::rank);
    Ok(parsed)
}

/// `model.preset=NAME` on the command line replaces the whole model section.
fn preset_replaces_model(experiment: &mut Node, path: &[String]) {
    if path == ["model", "preset"] {
        experiment.remove("model");
    }
}

fn resolve_preset(experiment: &mut Node) -> Result<()> {
    experiment.get_mut("model").map_or(Ok(()), presets::resolve)
}

/// Replaces `baseline_file` by the experiment in that file, with what stands under `[baseline]` on top.
fn baseline_from_file(document: &mut Node, file: ReadFile) -> Result<()> {
    let Some(named) = document.remove("baseline_file") else { return Ok(()) };
    let Some(path) = named.text() else {
        return Err(Problem::usage(format!("baseline_file = {} is {}, not text", named.show(), named.kind()))
            .at(&*named.place)
            .remedy("write baseline_file = \"experiment.toml\", relative to this file's folder"));
    };
    let (name, text) = file(path).map_err(|p| {
        let what = format!("cannot read the baseline {path:?}: {}", p.what);
        Problem { what, place: Some(named.place.to_string()), ..p }
    })?;
    let mut baseline = self::document(&text, &name)?;
    resolve_preset(&mut baseline)?;
    rebase_paths(&mut baseline, Path::new(path).parent().unwrap_or(Path::new("")));
    if let Some(mut inline) = document.remove("baseline") {
        if inline.get("model").is_some_and(|m| m.get("preset").is_some()) {
            baseline.remove("model");
            resolve_preset(&mut inline)?;
        }
        merge(&mut baseline, inline, Some(types::experiment()));
    }
    document.insert("baseline", baseline);
    Ok(())
}

/// Makes data paths of a baseline in another folder relative to the campaign's folder, where they are looked for.
fn rebase_paths(experiment: &mut Node, folder: &Path) {
    let Some(entries) = experiment.get_mut("data").and_then(Node::table_mut) else { return };
    for (key, node) in entries {
        if let (true, Tree::Text(path)) = (["path", "images", "labels"].contains(&key.as_str()), &mut node.tree) {
            // `join` leaves absolute paths as they are.
            *path = folder.join(&*path).display().to_string();
        }
    }
}

/// A space written without quotes (`optimizer.learning_rate = {..}`) is nested tables in TOML; joins their keys.
fn flatten_space(document: &mut Node) {
    fn gather(prefix: &str, node: Node, found: &mut Vec<(String, Node)>) {
        let is_group = node.table().is_some_and(|entries| {
            !entries.is_empty() && entries.iter().all(|(k, n)| n.table().is_some() && k != "type" && k != "when")
        });
        match node.tree {
            Tree::Table(entries) if is_group => {
                for (key, child) in entries {
                    gather(&format!("{prefix}.{key}"), child, found);
                }
            }
            tree => found.push((prefix.to_string(), Node { place: node.place, tree })),
        }
    }
    if let Some(entries) = document.get_mut("space").and_then(Node::table_mut) {
        let mut found = Vec::new();
        for (key, node) in std::mem::take(entries) {
            gather(&key, node, &mut found);
        }
        *entries = found;
    }
}

/// With a language model and no planner named, the planner is the one that asks it.
fn ask_by_default(document: &mut Node) {
    let Some(place) = document.get("llm").map(|llm| llm.place.clone()) else { return };
    if document.get("planner").is_none() {
        document.insert("planner", Node::empty_table(&place));
    }
    if let Some(planner) = document.get_mut("planner").filter(|p| p.table().is_some() && p.get("kind").is_none()) {
        planner.insert("kind", Node::new(&place, Tree::Text("hybrid".to_string())));
    }
}

/// Checks a document and makes it a value.
pub(super) fn typed<T: DeserializeOwned>(document: &Node, ty: &Type) -> Result<T> {
    if let Some(problem) = together(check(document, ty)) {
        return Err(problem);
    }
    serde_path_to_error::deserialize(document.to_json()).map_err(|e| {
        let path: Vec<String> = e.path().iter().map(|s| s.to_string()).collect();
        let what = format!("{}: {}", e.path(), e.inner());
        Problem::usage(what).at(&*document.place_of(&path)).remedy("correct this value")
    })
}

/// Reports issues at the places of their paths.
fn refuse(document: &Node, issues: Vec<Issue>) -> Result<()> {
    let problems = issues.into_iter().map(|issue| {
        let place = place_of(document, &issue);
        Problem::usage(issue.what).at(&*place).remedy(issue.remedy)
    });
    together(problems.collect()).map_or(Ok(()), Err)
}

/// Where a person would look: of the settings involved, one given on the command line, else one in a file of theirs
/// rather than in a preset.
fn place_of(document: &Node, issue: &Issue) -> Place {
    let own = document.place_of(&issue.path);
    let places = || std::iter::once(own.clone()).chain(issue.others.iter().map(|o| document.place_of(&split_path(o))));
    let given = places().find(|p| p.starts_with("command line"));
    given.or_else(|| places().find(|p| !p.starts_with("models/") && p.contains(':'))).unwrap_or(own)
}
