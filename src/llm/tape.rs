//! The tape: every question to a model with what came back, one file each; a campaign is replayed from it offline.
//!
//! A question is written down before it is asked, with the most that it can cost, and again with its answer: what a
//! killed controller asked stays paid for. Replay takes the answers in their order and fails loudly where a question is
//! not the recorded one.

use super::chat::{ChatRequest, Reply, Usage};
use crate::config::LlmRole;
use crate::problem::{Problem, Result};
use crate::sys::fs;
use crate::units::Dollars;
use serde::{Deserialize, Serialize};
use similar::TextDiff;
use std::path::{Path, PathBuf};

/// Version of the entries' format.
const FORMAT: u32 = 1;

/// One question and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Version of this format.
    pub format: u32,
    /// From 1, without gaps.
    pub number: u32,
    /// Who was asked.
    pub role: LlmRole,
    /// Everything that decides the answer.
    pub request: ChatRequest,
    /// What came back.
    pub outcome: Outcome,
    /// Tokens charged.
    pub usage: Usage,
    /// The tokens are the most that the call can have used: the service did not say, or was never heard of again.
    pub assumed: bool,
    /// Their price.
    pub dollars: Dollars,
    /// Seconds from the first try to the end of the last.
    pub latency_seconds: f64,
    /// Tries that failed before, in words, in order.
    pub failed_tries: Vec<String>,
}

/// What came of a question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Outcome {
    /// An answer, good or bad.
    Reply(Reply),
    /// None, after all tries.
    Failed {
        /// The last cause.
        why: String,
    },
    /// Asked, and not known to have been answered.
    Pending,
}

/// Where entries go to, or come from.
#[derive(Debug)]
pub struct Tape {
    folder: PathBuf,
    next: u32,
    replaying: bool,
}

impl Tape {
    /// Goes on recording after what is in the folder, which is made where it is not there.
    pub fn record(folder: &Path) -> Result<Self> {
        fs::create_dir(folder)?;
        Ok(Tape { folder: folder.to_path_buf(), next: last(folder) + 1, replaying: false })
    }

    /// Plays the entries of a folder from the first on; nothing is ever written or asked.
    pub fn replay(folder: &Path) -> Self {
        Tape { folder: folder.to_path_buf(), next: 1, replaying: true }
    }

    /// As [`replay`](Self::replay), from entry `number` on.
    pub fn replay_from(folder: &Path, number: u32) -> Self {
        Tape { next: number, ..Self::replay(folder) }
    }

    /// Whether a folder holds an entry of that number.
    pub fn holds(folder: &Path, number: u32) -> bool {
        path(folder, number).exists()
    }

    /// Whether this is a replay.
    pub fn replaying(&self) -> bool {
        self.replaying
    }

    /// Number of the next entry.
    pub fn position(&self) -> u32 {
        self.next
    }

    /// Reads one entry of a folder.
    pub fn read(folder: &Path, number: u32) -> Result<Entry> {
        let path = path(folder, number);
        let bytes = fs::read(&path)?;
        let entry: Entry = serde_json::from_slice(&bytes).map_err(|e| {
            Problem::usage(format!("not an entry of a model's tape: {e}"))
                .at(path.display().to_string())
                .remedy("restore the file: without it the campaign cannot be replayed")
        })?;
        if entry.format != FORMAT || entry.number != number {
            let what = format!(
                "entry {} of format {} where entry {number} of format {FORMAT} belongs",
                entry.number, entry.format
            );
            return Err(Problem::usage(what).at(path.display().to_string()).remedy("restore the folder from a copy"));
        }
        Ok(entry)
    }

    /// Sum of what all entries of a folder were charged.
    pub fn spent(folder: &Path) -> Result<(Usage, Dollars)> {
        let mut total = (Usage::default(), Dollars::default());
        for number in 1..=last(folder) {
            let entry = Tape::read(folder, number)?;
            total = (total.0.plus(entry.usage), Dollars { micro: total.1.micro.saturating_add(entry.dollars.micro) });
        }
        Ok(total)
    }

    /// The recorded entry for this question.
    ///
    /// # Errors
    /// Where the tape is at its end, or its next question is another one; then with the difference.
    pub(super) fn play(&mut self, role: LlmRole, request: &ChatRequest) -> Result<Entry> {
        let path = path(&self.folder, self.next);
        if !path.exists() {
            let what =
                format!("the replay asks the {} a question that the tape does not hold: it ends before", role.name());
            return Err(Problem::failed(what)
                .at(path.display().to_string())
                .remedy("replay with the program and the prompts that recorded the campaign"));
        }
        let entry = Tape::read(&self.folder, self.next)?;
        if entry.role != role || entry.request != *request {
            let diff = difference(&readable(entry.role, &entry.request), &readable(role, request));
            let what = format!("the replay asks another question than was recorded:\n{diff}");
            return Err(Problem::failed(what)
                .at(path.display().to_string())
                .remedy("replay with the program and the prompts that recorded the campaign"));
        }
        self.next += 1;
        Ok(entry)
    }

    /// Writes an entry under the tape's next number, without going on to the one after.
    pub(super) fn write(&self, entry: &Entry) -> Result<()> {
        let mut text = serde_json::to_vec_pretty(entry)
            .map_err(|e| Problem::failed(format!("a model's answer cannot be written as JSON: {e}")))?;
        text.push(b'\n');
        fs::write_atomic(&path(&self.folder, entry.number), &text)
    }

    /// Goes on to the next number.
    pub(super) fn advance(&mut self) {
        self.next += 1;
    }

    /// A new entry, not yet answered, that costs `usage`.
    pub(super) fn pending(&self, role: LlmRole, request: &ChatRequest, usage: Usage, dollars: Dollars) -> Entry {
        Entry {
            format: FORMAT,
            number: self.next,
            role,
            request: request.clone(),
            outcome: Outcome::Pending,
            usage,
            assumed: true,
            dollars,
            latency_seconds: 0.0,
            failed_tries: Vec::new(),
        }
    }
}

fn path(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number:04}.json"))
}

/// The highest number in a folder; 0 for none.
fn last(folder: &Path) -> u32 {
    let numbers = fs::entries(folder)
        .into_iter()
        .filter_map(|path| (path.extension()? == "json").then(|| path.file_stem()?.to_str()?.parse::<u32>().ok())?);
    numbers.max().unwrap_or(0)
}

/// A question as lines, so that a difference shows where prompts differ.
fn readable(role: LlmRole, request: &ChatRequest) -> String {
    let mut text = format!("role {}\nmodel {}\nmax_tokens {}\n", role.name(), request.model, request.max_tokens);
    text += &format!("--- system\n{}\n", request.system);
    for message in &request.messages {
        text += &format!("--- {:?}\n{}\n", message.speaker, message.text);
    }
    let schema = serde_json::to_string_pretty(&request.schema).unwrap_or_default();
    text + &format!("--- schema {}\n{schema}\n", request.schema_name)
}

/// The changed lines with one line around them, at most 40 of them.
fn difference(recorded: &str, asked: &str) -> String {
    let diff = TextDiff::from_lines(recorded, asked);
    let text = diff.unified_diff().context_radius(1).header("recorded", "asked now").to_string();
    let lines: Vec<&str> = text.lines().collect();
    match lines.len() {
        0..=40 => lines.join("\n"),
        more => format!("{}\n({} further lines)", lines[..40].join("\n"), more - 40),
    }
}
