//! The one shape in which an expected failure reaches a person: what went wrong, where, and what to do.
//!
//! Modules whose callers *branch* on a failure keep a typed error of their own (an engine's out-of-memory, say)
//! and convert it into a [`Problem`] at their boundary. Everything that only has to be said well is a `Problem`
//! from the start. The exit code follows from the [`Class`], so no command invents one.

use std::fmt;
use std::path::Path;

/// What kind of failure it is; decides the process's exit code and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The work was attempted and failed (exit 1).
    Failed,
    /// The command line, a config or an input file is wrong (exit 2).
    Usage,
    /// The budget is spent and the goal is unmet (exit 3).
    BudgetSpent,
    /// A device, cluster, network or service that is needed is not there (exit 4).
    Unavailable,
    /// Another controller owns the campaign (exit 5).
    Owned,
}

impl Class {
    /// The documented process exit code.
    pub fn exit_code(self) -> u8 {
        match self {
            Class::Failed => 1,
            Class::Usage => 2,
            Class::BudgetSpent => 3,
            Class::Unavailable => 4,
            Class::Owned => 5,
        }
    }
}

/// An expected failure, told in one paragraph.
#[derive(Debug, Clone)]
pub struct Problem {
    /// Decides the exit code.
    pub class: Class,
    /// What happened, a lowercase fragment with its operands: `batch size 2000 is larger than the 1437 training samples`.
    pub what: String,
    /// Where: `file:line`, a path, or a config key.
    pub place: Option<String>,
    /// What to do about it, an imperative sentence.
    pub remedy: Option<String>,
    /// A filesystem was full, or a quota used up: nothing is wrong with what was asked for, and it can go on once there is room.
    pub no_room: bool,
}

/// The result of anything that can fail in a way a person should read.
pub type Result<T, E = Problem> = std::result::Result<T, E>;

impl Problem {
    /// A failure of the given class; add a place and a remedy with [`at`](Self::at) and [`remedy`](Self::remedy).
    pub fn new(class: Class, what: impl Into<String>) -> Self {
        Problem { class, what: what.into(), place: None, remedy: None, no_room: false }
    }

    /// The command line, a config or an input file is wrong (exit 2).
    pub fn usage(what: impl Into<String>) -> Self {
        Self::new(Class::Usage, what)
    }

    /// The work was attempted and failed (exit 1).
    pub fn failed(what: impl Into<String>) -> Self {
        Self::new(Class::Failed, what)
    }

    /// Something that is needed is not there (exit 4).
    pub fn unavailable(what: impl Into<String>) -> Self {
        Self::new(Class::Unavailable, what)
    }

    /// An I/O failure on `path`, with the remedies people need for the common causes.
    pub fn io(doing: &str, path: &Path, error: &std::io::Error) -> Self {
        use std::io::ErrorKind as K;
        let remedy = match error.kind() {
            K::NotFound => "check the path",
            K::IsADirectory => "name a file, not a folder",
            K::NotADirectory | K::AlreadyExists => "a file stands where a folder is needed: choose another path",
            K::PermissionDenied => "give this user the right to it, or choose another place",
            K::ReadOnlyFilesystem => "choose a place on a filesystem that can be written to",
            K::StorageFull | K::QuotaExceeded => {
                "free some space on that filesystem and go on from there: nothing recorded was lost"
            }
            _ => "look into what the system says above, then try again",
        };
        let no_room = matches!(error.kind(), K::StorageFull | K::QuotaExceeded);
        let problem = Self::failed(format!("cannot {doing}: {}", cause(error)));
        Problem { no_room, ..problem }.at(path.display().to_string()).remedy(remedy)
    }

    /// Says where: a path, `file:line`, or a config key.
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.place = Some(place.into());
        self
    }

    /// Says what to do about it.
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// The same failure under another class.
    pub fn class(mut self, class: Class) -> Self {
        self.class = class;
        self
    }
}

/// The system's message as a fragment: without its number, which helps nobody.
fn cause(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error ").next().unwrap_or_default();
    let mut letters = text.chars();
    match letters.next() {
        Some(first) if letters.clone().next().is_some_and(char::is_lowercase) => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => text.to_string(),
    }
}

/// A problem's paragraph, `what` and below it what to do, in one line: for records and findings.
pub fn one_line(paragraph: &str) -> String {
    paragraph.replace("\n  ", "; ")
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        write!(f, "{}", self.what)?;
        if let Some(remedy) = &self.remedy {
            write!(f, "\n  {remedy}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}
