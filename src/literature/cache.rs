//! Answers of the catalogue on disk, one file a question, so that the same question is asked once and a machine without a
//! network has what was asked before.

use crate::problem::{Problem, Result};
use crate::sys::fs;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Version of the files' format.
const FORMAT: u32 = 1;

/// A folder of answers.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: PathBuf,
}

/// An answer that was kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Kept {
    format: u32,
    /// The question, as part of an address; without key or mail address.
    pub question: String,
    /// When it was answered, seconds since the Unix epoch.
    pub at: f64,
    /// The answer as it came.
    pub body: Value,
}

impl Cache {
    /// The cache in this folder, which need not be there yet.
    pub fn at(folder: &Path) -> Self {
        Cache { folder: folder.to_path_buf() }
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What was answered to this question; none where nothing was, or what is there cannot be read: it is then asked again.
    pub(super) fn read(&self, question: &str) -> Option<Kept> {
        let bytes = fs::read_if_there(&self.path(question)).ok()??;
        let kept: Kept = serde_json::from_slice(&bytes).ok()?;
        (kept.format == FORMAT && kept.question == question).then_some(kept)
    }

    /// Keeps an answer.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub(super) fn write(&self, question: &str, at: f64, body: Value) -> Result<Kept> {
        let kept = Kept { format: FORMAT, question: question.to_string(), at, body };
        let text = serde_json::to_vec(&kept)
            .map_err(|e| Problem::failed(format!("a catalogue's answer cannot be written as JSON: {e}")))?;
        fs::create_dir(&self.folder)?;
        fs::write_atomic(&self.path(question), &text)?;
        Ok(kept)
    }

    fn path(&self, question: &str) -> PathBuf {
        self.folder.join(format!("{}.json", &blake3::hash(question.as_bytes()).to_hex()[..32]))
    }
}
