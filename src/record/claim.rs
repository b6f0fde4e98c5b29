//! `claim`: who has the right to an attempt. Created exclusively, exactly once, never changed afterwards.
//!
//! A worker takes it as the first thing it does and leaves at once where it cannot. A controller that finds a launched
//! attempt without a claim takes it as abandoned. Whoever comes second reads what the first one wrote, so an attempt is
//! never both given up and running, whatever was killed in between.
//!
//! ```text
//! {"worker": {"pid": 4242, "start": 1234567}}     a worker, by process number and start time in ticks since boot
//! {"abandoned": true}                             no worker ever started, and none can start any more
//! ```

use crate::problem::{Problem, Result};
use crate::sys::fs;
use crate::sys::process::ProcessId;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Name of the file in the attempt's folder.
pub const CLAIM_FILE: &str = "claim";

/// The content of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub enum Claim {
    /// This worker executes the attempt, or did.
    Worker(ProcessId),
    /// A controller gave the attempt up before any worker started.
    Abandoned,
}

/// The JSON of a [`Claim`].
#[derive(Serialize, Deserialize)]
struct Written {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    worker: Option<ProcessId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    abandoned: Option<bool>,
}

impl From<Claim> for Written {
    fn from(claim: Claim) -> Self {
        match claim {
            Claim::Worker(process) => Written { worker: Some(process), abandoned: None },
            Claim::Abandoned => Written { worker: None, abandoned: Some(true) },
        }
    }
}

impl TryFrom<Written> for Claim {
    type Error = &'static str;
    fn try_from(written: Written) -> Result<Self, Self::Error> {
        match (written.worker, written.abandoned) {
            (Some(process), None) => Ok(Claim::Worker(process)),
            (None, Some(true)) => Ok(Claim::Abandoned),
            _ => Err("a claim says either who the worker is or that the attempt is abandoned"),
        }
    }
}

impl Claim {
    /// The claim of this very process, as a worker.
    pub fn mine() -> Self {
        Claim::Worker(ProcessId::current())
    }

    /// The claim in an attempt's folder, if anybody has taken it.
    ///
    /// Fails where the file cannot be read or is not a claim: then nobody may guess whose the attempt is.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(CLAIM_FILE);
        let Some(bytes) = fs::read_if_there(&path)? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|e| {
            Problem::failed(format!("not a claim: {e}")).at(path.display().to_string()).remedy(
                "make sure that no worker runs in this folder, then replace the file's content by {\"abandoned\": true}",
            )
        })
    }

    /// Takes the attempt. `false`: somebody else was first; their claim is untouched and can be [`read`](Self::read).
    pub fn take(&self, folder: &Path) -> Result<bool> {
        let path = folder.join(CLAIM_FILE);
        let json = serde_json::to_vec(self).map_err(|e| Problem::failed(format!("cannot write a claim: {e}")))?;
        fs::create_exclusive(&path, &json)
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;

    #[test]
    fn the_written_form_is_the_documented_one() {
        let worker = Claim::Worker(ProcessId { pid: 4242, start: 1_234_567 });
        let json = serde_json::to_string(&worker).unwrap();
        assert_eq!(json, r#"{"worker":{"pid":4242,"start":1234567}}"#);
        assert_eq!(serde_json::from_str::<Claim>(&json).unwrap(), worker);
        assert_eq!(serde_json::to_string(&Claim::Abandoned).unwrap(), r#"{"abandoned":true}"#);
    }

    #[test]
    fn only_the_first_taker_gets_it() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Claim::read(folder.path()).unwrap(), None);
        assert!(Claim::mine().take(folder.path()).unwrap());
        assert!(!Claim::Abandoned.take(folder.path()).unwrap());
        assert_eq!(Claim::read(folder.path()).unwrap(), Some(Claim::mine()));
    }

    #[test]
    fn what_is_not_a_claim_is_refused_with_a_remedy() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["", "{", "{}", r#"{"abandoned":false}"#, r#"{"abandoned":true,"worker":{"pid":1,"start":2}}"#] {
            std::fs::write(folder.path().join(CLAIM_FILE), text).unwrap();
            let problem = Claim::read(folder.path()).unwrap_err();
            assert!(problem.remedy.is_some(), "{text}: {problem}");
        }
    }
}
