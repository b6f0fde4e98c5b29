//! All of it: what goes along, held against what may not, written with its listing.

use super::archive::Archive;
use super::contents::{Extra, contents};
use super::environment::{ENVIRONMENT_FILE, environment};
use super::listing::{FORMAT, LISTING_FILE, Listing, Replay, Sum};
use super::privacy::Marks;
use super::readme::{About, readme};
use crate::campaign::State;
use crate::problem::{Problem, Result};
use crate::sys::fs;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// How a bundle is made.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Trained weights go along.
    pub weights: bool,
    /// Logs of workers and jobs go along.
    pub logs: bool,
    /// What looks like a key does not stop it.
    pub allow_secrets: bool,
    /// Values that must not leave this machine.
    pub secrets: Vec<String>,
    /// Paths and names of this machine, each with what it is.
    pub names: Vec<(String, &'static str)>,
}

/// A bundle that was made.
#[derive(Debug, Clone, PartialEq)]
pub struct Exported {
    /// Files in it.
    pub files: usize,
    /// Their bytes before compression.
    pub bytes: u64,
    /// Files that name this machine: path, what is named, how often.
    pub names: Vec<(String, &'static str, usize)>,
}

/// Writes the bundle of the campaign in `folder` to `path`, which must not be there. `replay`: what its replay gave.
///
/// # Errors
/// `Usage` where `path` is there or has another ending; `Failed` where a file holds a secret (which file, and what kind; never
/// the secret) or cannot be read or written.
pub fn export(
    folder: &Path,
    state: &State,
    replay: Option<Replay>,
    path: &Path,
    options: &Options,
) -> Result<Exported> {
    let ending = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    if !(ending.ends_with(".tar.gz") || ending.ends_with(".tgz")) {
        return Err(Problem::usage("a bundle is a .tar.gz file")
            .at(path.display().to_string())
            .remedy("let the name end in .tar.gz"));
    }
    if path.exists() {
        return Err(Problem::usage("there is something of this name already")
            .at(path.display().to_string())
            .remedy("choose another name with -o, or remove it first"));
    }
    let marks = Marks { secrets: options.secrets.clone(), names: options.names.clone() };
    let paths = contents(folder, state, Extra { weights: options.weights, logs: options.logs });
    let name = folder_name(&state.campaign.name);
    let mut exported = Exported { files: 0, bytes: 0, names: Vec::new() };
    let mut sums = BTreeMap::new();
    let mut look = |relative: &str, bytes: &[u8]| -> Result<()> {
        if let Some(kind) = marks.secret(bytes).filter(|_| !options.allow_secrets && !is_weights(relative)) {
            return Err(Problem::failed(format!("{relative} holds {kind}, and nothing was exported"))
                .at(folder.join(relative).display().to_string())
                .remedy("if it is a key, revoke it and take it out; if it is none, export with --allow-secrets"));
        }
        for (what, n) in marks.named(bytes).into_iter().filter(|_| !is_weights(relative)) {
            exported.names.push((relative.to_string(), what, n));
        }
        exported.files += 1;
        exported.bytes += bytes.len() as u64;
        sums.insert(relative.to_string(), Sum::of(bytes));
        Ok(())
    };
    // Everything is looked at before anything is written; a file that changes meanwhile is noticed by its sum.
    let mut relative: Vec<(String, PathBuf)> = Vec::new();
    for path in paths {
        let name = path.components().map(|c| c.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/");
        look(&name, &fs::read(&folder.join(&path))?)?;
        relative.push((name, path));
    }
    let environment = pretty(&environment(folder, state)?)?;
    look(ENVIRONMENT_FILE, &environment)?;
    let about = About {
        state,
        replay: replay.as_ref(),
        paper: relative.iter().any(|(name, _)| name.starts_with("paper/")),
        weights: options.weights,
        name: &name,
    };
    let readme = readme(&about).into_bytes();
    look("README.md", &readme)?;
    let listing = Listing {
        format: FORMAT,
        program: env!("CARGO_PKG_VERSION").to_string(),
        campaign: name.clone(),
        replay,
        files: sums,
    };
    let listing_text = pretty(&listing)?;
    let mut archive = Archive::create(path, state.updated.max(0.0) as u64)?;
    archive.add(&format!("{name}/README.md"), &readme)?;
    archive.add(&format!("{name}/{LISTING_FILE}"), &listing_text)?;
    archive.add(&format!("{name}/{ENVIRONMENT_FILE}"), &environment)?;
    for (file, path) in &relative {
        let bytes = fs::read(&folder.join(path))?;
        if listing.files.get(file) != Some(&Sum::of(&bytes)) {
            return Err(Problem::failed(format!("{file} changed while it was exported"))
                .at(folder.join(path).display().to_string())
                .remedy("wait until nothing works on the campaign, then export again"));
        }
        archive.add(&format!("{name}/{file}"), &bytes)?;
    }
    archive.finish()?;
    exported.files += 1;
    Ok(exported)
}

fn pretty(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(value)
        .map_err(|e| Problem::failed(format!("what describes the bundle cannot be written as JSON: {e}")))?;
    text.push(b'\n');
    Ok(text)
}

/// A campaign's name as a folder's: letters, digits, `-` and `_`.
fn folder_name(name: &str) -> String {
    let kept: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).take(80).collect();
    if kept.is_empty() { "campaign".to_string() } else { kept }
}

fn is_weights(path: &str) -> bool {
    path.ends_with(".safetensors")
}
