//! The file: one finding a line, appended; a later line with the same id replaces an earlier one.

use super::{FORMAT, Finding};
use crate::problem::{Problem, Result};
use crate::sys::{env, fs};
use std::path::{Path, PathBuf};

/// Bytes of a store that are read; of a larger one the newest.
const LONGEST: u64 = 64 << 20;

/// A knowledge store.
#[derive(Debug, Clone, PartialEq)]
pub struct Store {
    path: PathBuf,
}

/// This user's store: `NANORESEARCH_KNOWLEDGE`, else `knowledge.jsonl` in the data folder of the desktop's conventions.
pub fn default_path() -> Option<PathBuf> {
    env::var("NANORESEARCH_KNOWLEDGE").map(PathBuf::from).or_else(|| {
        let data = env::var("XDG_DATA_HOME").map(PathBuf::from);
        let data = data.or_else(|| env::var("HOME").map(|home| PathBuf::from(home).join(".local/share")));
        data.map(|folder| folder.join("nanoresearch/knowledge.jsonl"))
    })
}

impl Store {
    /// The store in this file, which need not be there yet.
    pub fn at(path: &Path) -> Self {
        Store { path: path.to_path_buf() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All findings, the newest of each id, in the order in which they were first written. Lines that are no finding of a
    /// format known here are passed over: a torn line or a newer program must not stop a campaign.
    ///
    /// # Errors
    /// A file that is there and cannot be read.
    pub fn read(&self) -> Result<Vec<Finding>> {
        if !self.path.exists() {
            return Ok(Vec::new());
        }
        let text = match fs::length(&self.path)? {
            length if length > LONGEST => fs::tail(&self.path, LONGEST),
            _ => String::from_utf8_lossy(&fs::read(&self.path)?).into_owned(),
        };
        let mut found: Vec<Finding> = Vec::new();
        for finding in text.lines().filter_map(|line| serde_json::from_str::<Finding>(line).ok()) {
            if finding.format > FORMAT {
                continue;
            }
            match found.iter_mut().find(|f| f.id == finding.id) {
                Some(older) => *older = finding,
                None => found.push(finding),
            }
        }
        Ok(found)
    }

    /// Adds findings, those that are in it already left out. Lines are written in one piece, so campaigns may share a store.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn add(&self, findings: &[Finding]) -> Result<usize> {
        let there = self.read()?;
        let new: Vec<&Finding> = findings.iter().filter(|f| !there.contains(f)).collect();
        if new.is_empty() {
            return Ok(0);
        }
        if let Some(folder) = self.path.parent().filter(|f| !f.as_os_str().is_empty()) {
            fs::create_dir(folder)?;
        }
        let mut text = String::new();
        for finding in &new {
            let line = serde_json::to_string(finding)
                .map_err(|e| Problem::failed(format!("a finding cannot be written as JSON: {e}")))?;
            text += &(line + "\n");
        }
        let mut file = fs::Appender::open(&self.path)?;
        file.append(text.as_bytes())?;
        file.sync()?;
        Ok(new.len())
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
pub(super) mod tests {
    use super::*;
    use crate::knowledge::Kind;

    pub fn finding(id: &str, question: &str, text: &str) -> Finding {
        Finding {
            format: FORMAT,
            id: id.into(),
            campaign: "c".into(),
            question: question.into(),
            kind: Kind::Confirmed,
            text: text.into(),
            metric: "accuracy".into(),
            about: vec!["digits".into(), "mlp".into()],
            settings: Default::default(),
            evidence: None,
            runs: vec![],
        }
    }

    #[test]
    fn findings_come_back_once_each_and_damage_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(&folder.path().join("deep/knowledge.jsonl"));
        assert!(store.read().unwrap().is_empty());
        let (a, b) = (finding("a", "q", "one"), finding("b", "q", "two"));
        assert_eq!(store.add(&[a.clone(), b.clone()]).unwrap(), 2);
        assert_eq!(store.add(std::slice::from_ref(&a)).unwrap(), 0, "nothing is written twice");
        let newer = Finding { text: "three".into(), ..a };
        assert_eq!(store.add(std::slice::from_ref(&newer)).unwrap(), 1);
        let mut text = std::fs::read_to_string(store.path()).unwrap();
        text += "{\"format\": 1, \"id\": \"torn\n";
        text += &serde_json::to_string(&Finding { format: FORMAT + 1, id: "c".into(), ..newer.clone() }).unwrap();
        std::fs::write(store.path(), text).unwrap();
        assert_eq!(store.read().unwrap(), [newer, b]);
    }
}
