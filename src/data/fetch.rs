//! The cache of named sets: found by file name, verified by SHA-256, downloaded when absent.
//!
//! A file is in the cache whole and right, or not at all: downloads stream into a temporary file that gets its name only
//! after its checksum was seen. A folder that somebody filled by hand serves as a cache just as well, read-only too.

use super::registry::{NamedSet, RemoteFile, find};
use crate::problem::{Class, Problem, Result};
use crate::sys;
use crate::sys::http::Fetch;
use sha2::{Digest, Sha256};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// Makes sure that every file of a named set is in the cache folder and right, and returns their paths in the reader's
/// order. `progress` hears of bytes done and the total to download, and nothing if everything is there.
///
/// Fails as `Usage` for an unknown name or a wrong file in the cache, `Unavailable` where no address can be reached, and
/// `Failed` where an address sends something else; each says which file to put where.
pub fn get(
    name: &str,
    cache: &Path,
    fetch: &dyn Fetch,
    progress: &mut dyn FnMut(u64, Option<u64>),
) -> Result<Vec<PathBuf>> {
    get_set(find(name)?, cache, fetch, progress)
}

pub(super) fn get_set(
    set: &NamedSet,
    cache: &Path,
    fetch: &dyn Fetch,
    progress: &mut dyn FnMut(u64, Option<u64>),
) -> Result<Vec<PathBuf>> {
    if cache.is_file() {
        return Err(Problem::usage("the folder of datasets is a file")
            .at(cache.display().to_string())
            .remedy("set NANORESEARCH_DATA to a folder, or unset it for the default one"));
    }
    let mut missing = Vec::new();
    for file in set.files {
        if !in_cache(set, file, cache)? {
            missing.push(file);
        }
    }
    let total: u64 = missing.iter().map(|f| f.bytes).sum();
    let mut done = 0;
    for file in missing {
        download(set, file, cache, fetch, &mut |bytes| progress(done + bytes, Some(total)))?;
        done += file.bytes;
    }
    Ok(set.files.iter().map(|f| cache.join(f.name)).collect())
}

/// A file of a named set as the cache has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cached {
    /// Not there.
    Absent,
    /// There, byte for byte what was published.
    Whole,
    /// There, and something else: what is wrong with it, and what to do.
    Wrong {
        /// In some words: `damaged: 512 of 1115394 bytes`.
        what: String,
        /// What to do about it.
        remedy: String,
    },
}

/// Looks at a file in the cache, down to its checksum; fetches nothing.
pub fn cached(set: &NamedSet, file: &RemoteFile, cache: &Path) -> Cached {
    let path = cache.join(file.name);
    let what = match sys::fs::length(&path) {
        _ if !path.exists() => return Cached::Absent,
        Ok(length) if path.is_file() && length != file.bytes => format!("damaged: {length} of {} bytes", file.bytes),
        _ => match in_cache(set, file, cache) {
            Ok(true) => return Cached::Whole,
            Ok(false) => return Cached::Absent,
            Err(problem) if problem.class == Class::Usage => "damaged: its checksum is another one".to_string(),
            Err(problem) => return Cached::Wrong { what: problem.what, remedy: problem.remedy.unwrap_or_default() },
        },
    };
    let shown = sys::shell::path(&path);
    let remedy = format!("remove it (`rm {shown}`), and `nanoresearch data get {}` fetches it again", set.name);
    Cached::Wrong { what, remedy }
}

/// What to do where the program cannot fetch a file itself.
fn by_hand(set: &NamedSet, file: &RemoteFile, path: &Path) -> String {
    format!(
        "with a network elsewhere, fetch {} and put it at {} ({} bytes, sha256 {}); NANORESEARCH_DATA names another \
         folder to look in, and `nanoresearch data get {}` fetches ahead for machines without a network",
        file.urls[0],
        path.display(),
        file.bytes,
        file.sha256,
        set.name
    )
}

/// Whether the file is there and right; one that is there and wrong is refused, not overwritten: it may be the user's.
fn in_cache(set: &NamedSet, file: &RemoteFile, cache: &Path) -> Result<bool> {
    let path = cache.join(file.name);
    let there = sys::fs::read_if_there(&path).map_err(|p| p.remedy(by_hand(set, file, &path)))?;
    let Some(bytes) = there else { return Ok(false) };
    let found = hex(&Sha256::digest(&bytes));
    if found == file.sha256 {
        return Ok(true);
    }
    Err(Problem::usage(format!(
        "the cached file is not the published one: {} bytes with sha256 {found}, expected {} bytes with sha256 {}",
        bytes.len(),
        file.bytes,
        file.sha256
    ))
    .at(path.display().to_string())
    .remedy(format!("remove it and run the same command again, or put the file from {} there", file.urls[0])))
}

/// Why an address did not do.
enum Miss {
    /// Not reached, or broken off.
    Network(String),
    /// It sent something else.
    Wrong { bytes: u64, sha256: String },
}

fn download(
    set: &NamedSet,
    file: &RemoteFile,
    cache: &Path,
    fetch: &dyn Fetch,
    progress: &mut dyn FnMut(u64),
) -> Result<()> {
    let path = cache.join(file.name);
    let by_hand = by_hand(set, file, &path);
    sys::fs::create_dir(cache).map_err(|p| p.remedy(by_hand.clone()))?;
    let mut network = Vec::new();
    let mut wrong = None;
    for url in file.urls {
        match attempt(url, file, &path, fetch, progress).map_err(|p| unwritable(p, &by_hand))? {
            Ok(()) => return Ok(()),
            Err(Miss::Network(cause)) => network.push(format!("{url}: {cause}")),
            Err(Miss::Wrong { bytes, sha256 }) => wrong = Some((url, bytes, sha256)),
        }
    }
    if let Some((url, bytes, sha256)) = wrong {
        return Err(Problem::failed(format!(
            "{url} sent another file than expected: {bytes} bytes with sha256 {sha256}, expected {} bytes with sha256 {}; \
             nothing was kept",
            file.bytes, file.sha256
        ))
        .at(path.display().to_string())
        .remedy(format!("a proxy or login page may have answered in its place; {by_hand}")));
    }
    Err(Problem::unavailable(format!("cannot download `{}`: {}", file.name, network.join("; "))).remedy(by_hand))
}

/// A full disk keeps its own remedy; where the folder cannot be written, the file has to be put there by hand.
fn unwritable(problem: Problem, by_hand: &str) -> Problem {
    let full = problem.remedy.as_deref().is_some_and(|r| r.contains("space"));
    if full { problem } else { problem.remedy(by_hand) }
}

/// One address; the outer error is this machine's, the inner one the address's.
fn attempt(
    url: &str,
    file: &RemoteFile,
    path: &Path,
    fetch: &dyn Fetch,
    progress: &mut dyn FnMut(u64),
) -> Result<std::result::Result<(), Miss>> {
    let mut body = match fetch.open(url) {
        Ok(body) => body,
        Err(error) => return Ok(Err(Miss::Network(error.to_string()))),
    };
    let mut staged = sys::fs::Staged::create(path)?;
    let mut hash = Sha256::new();
    let mut bytes = 0u64;
    let mut block = vec![0; 64 << 10];
    progress(0);
    // An endless answer is cut off soon after the expected length: it cannot be right any more.
    while bytes <= file.bytes {
        match body.reader.read(&mut block) {
            Ok(0) => break,
            Ok(n) => {
                staged.write(&block[..n])?;
                hash.update(&block[..n]);
                bytes += n as u64;
                progress(bytes.min(file.bytes));
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => {
                return Ok(Err(Miss::Network(format!("broke off after {bytes} of {} bytes: {error}", file.bytes))));
            }
        }
    }
    let sha256 = hex(&hash.finalize());
    if sha256 != file.sha256 {
        return Ok(Err(Miss::Wrong { bytes, sha256 }));
    }
    staged.commit()?;
    Ok(Ok(()))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
