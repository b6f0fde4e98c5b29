//! `bundle.json`: every file with its size and SHA-256.

use crate::problem::{Problem, Result};
use crate::sys::fs;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Component, Path};

/// Name of the file in a bundle.
pub const LISTING_FILE: &str = "bundle.json";
/// Version of this format.
pub(super) const FORMAT: u32 = 1;
/// Differences that are told one by one.
const TOLD: usize = 5;

/// What a bundle is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Listing {
    /// Version of this format.
    pub format: u32,
    /// Version of the program that made it.
    pub program: String,
    /// Name of the campaign.
    pub campaign: String,
    /// What its replay gave when it was exported; none where it could not be replayed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<Replay>,
    /// All other files, by their paths from here.
    pub files: BTreeMap<String, Sum>,
}

/// A replay's result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replay {
    /// Decisions that came out the same.
    pub decisions: usize,
    /// BLAKE3 over all events.
    pub digest: String,
}

/// A file's content, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    /// Length.
    pub bytes: u64,
    /// In hexadecimal.
    pub sha256: String,
}

impl Sum {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let hash: String = Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
        Sum { bytes: bytes.len() as u64, sha256: hash }
    }
}

/// Holds the folder of an unpacked bundle against its listing; none where there is no listing, so no bundle.
///
/// # Errors
/// Every file that is missing or has other content, the first few by name; a listing that cannot be read.
pub fn check(folder: &Path) -> Result<Option<Listing>> {
    let path = folder.join(LISTING_FILE);
    let Some(bytes) = fs::read_if_there(&path)? else { return Ok(None) };
    let damaged = |what: String| {
        Problem::failed(what)
            .at(path.display().to_string())
            .remedy("unpack the bundle again, or get another copy of it")
    };
    let listing: Listing =
        serde_json::from_slice(&bytes).map_err(|e| damaged(format!("this is not a bundle's listing: {e}")))?;
    if listing.format > FORMAT {
        return Err(Problem::usage(format!(
            "the bundle has format {}, and this program reads {FORMAT}",
            listing.format
        ))
        .at(path.display().to_string())
        .remedy("use a newer nanoresearch"));
    }
    let mut differs = Vec::new();
    for (name, sum) in &listing.files {
        // A listing may come from anywhere, and names files of its own folder only.
        if !Path::new(name).components().all(|c| matches!(c, Component::Normal(_))) {
            differs.push(format!("{name:?} is no path within the bundle"));
            continue;
        }
        match fs::read_if_there(&folder.join(name)) {
            Ok(None) => differs.push(format!("{name} is missing")),
            Ok(Some(bytes)) if Sum::of(&bytes) == *sum => {}
            Ok(Some(bytes)) => differs.push(match bytes.len() as u64 {
                length if length == sum.bytes => {
                    format!("{name} has other content (SHA-256 {})", Sum::of(&bytes).sha256)
                }
                length => format!("{name} has {length} bytes, not {}", sum.bytes),
            }),
            Err(problem) => differs.push(format!("{name}: {}", problem.what)),
        }
    }
    if differs.is_empty() {
        return Ok(Some(listing));
    }
    let told = differs.iter().take(TOLD).map(|d| format!("\n  {d}")).collect::<String>();
    let rest = differs.len().saturating_sub(TOLD);
    let more = if rest > 0 { format!("\n  and {rest} more") } else { String::new() };
    Err(damaged(format!("{} of {} files are not as exported:{told}{more}", differs.len(), listing.files.len())))
}
