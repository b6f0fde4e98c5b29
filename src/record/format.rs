//! What all JSON files of this module share: a version, atomic replacement, and refusal in one paragraph.

use crate::problem::{Problem, Result};
use crate::sys::fs;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::Path;

/// Version of every format in this module.
pub const FORMAT: u32 = 1;

/// Writes `value` as indented JSON, atomically.
pub(super) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    fs::write_atomic(path, &to_json(value)?)
}

/// `value` as indented JSON with a line break at the end.
pub(super) fn to_json<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    let mut bytes =
        serde_json::to_vec_pretty(value).map_err(|e| Problem::failed(format!("cannot write as JSON: {e}")))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Reads a file that must be there; `what` names its kind for the message, with its article.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path, what: &str) -> Result<T> {
    parse_json(&fs::read(path)?, path, what)
}

/// Reads a file that may be absent.
pub(super) fn read_json_if_there<T: DeserializeOwned>(path: &Path, what: &str) -> Result<Option<T>> {
    fs::read_if_there(path)?.map(|bytes| parse_json(&bytes, path, what)).transpose()
}

/// Checks the version before anything else, so that a newer file is never called a damaged one.
pub(super) fn parse_json<T: DeserializeOwned>(bytes: &[u8], path: &Path, what: &str) -> Result<T> {
    let value: Value = serde_json::from_slice(bytes).map_err(|e| {
        let cause = match e.is_eof() {
            true => format!("it ends too early, after {} bytes", bytes.len()),
            false => e.to_string(),
        };
        damaged(path, format!("not {what}: {cause}"))
    })?;
    match value.get("format").and_then(Value::as_u64) {
        Some(found) if found == u64::from(FORMAT) => {}
        Some(found) if found > u64::from(FORMAT) => {
            return Err(Problem::usage(format!(
                "{what} of format {found}, which is newer than this program reads (format {FORMAT}, nanoresearch {})",
                env!("CARGO_PKG_VERSION")
            ))
            .at(path.display().to_string())
            .remedy("use the nanoresearch that wrote it, or a later one"));
        }
        Some(found) => return Err(damaged(path, format!("{what} of format {found}, which never existed"))),
        None => return Err(damaged(path, format!("not {what}: it has no `format` number"))),
    }
    serde_path_to_error::deserialize(value).map_err(|e| {
        let key = e.path().to_string();
        damaged(path, format!("not {what}: at `{key}`, {}", e.into_inner()))
    })
}

/// Whether a JSON file says that a later version of this program wrote it.
pub(super) fn is_newer(path: &Path) -> bool {
    let value = fs::read(path).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    value.and_then(|v| v.get("format")?.as_u64()).is_some_and(|found| found > u64::from(FORMAT))
}

/// A file that is not what it should be.
pub(super) fn damaged(path: &Path, what: String) -> Problem {
    Problem::usage(what)
        .at(path.display().to_string())
        .remedy("the file is damaged or was edited: restore it, or start the attempt again without it")
}
