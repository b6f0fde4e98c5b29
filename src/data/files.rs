//! Bytes of dataset files: found, unpacked, and told apart when they are not what was expected.

use crate::problem::{Class, Problem, Result};
use crate::sys;
use std::io::{ErrorKind, Read};
use std::path::Path;

/// Unpacked bytes beyond which a gzip file is taken for damaged or hostile rather than for data.
const LARGEST_UNPACKED: u64 = 4 << 30;

/// Reads a whole file, unpacking gzip by its content (not its name). An absent file is a [`Problem`] of class `Usage`
/// that names the most similar file beside it.
pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    let bytes = match sys::fs::read_if_there(path).map_err(|p| p.class(Class::Usage))? {
        Some(bytes) => bytes,
        None => return Err(absent(path)),
    };
    if bytes.starts_with(&[0x1f, 0x8b]) {
        gunzip(&bytes, LARGEST_UNPACKED).map_err(|p| p.at(path.display().to_string()))
    } else {
        Ok(bytes)
    }
}

fn absent(path: &Path) -> Problem {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let wanted = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let siblings: Vec<String> = std::fs::read_dir(folder)
        .map(|entries| entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect())
        .unwrap_or_default();
    let hint = nearest(&wanted, siblings.iter().map(String::as_str))
        .map_or(String::new(), |n| format!(" (did you mean `{n}`?)"));
    Problem::usage("the dataset file is not there")
        .at(path.display().to_string())
        .remedy(format!("check the path in the `data` section{hint}; it is relative to the config file's folder"))
}

/// Unpacks gzip (all members), refusing more than `limit` bytes.
pub(super) fn gunzip(bytes: &[u8], limit: u64) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut decoder = flate2::bufread::MultiGzDecoder::new(bytes).take(limit.saturating_add(1));
    if let Err(error) = decoder.read_to_end(&mut out) {
        let what = if error.kind() == ErrorKind::UnexpectedEof {
            format!("the gzip file ends too early, after {} unpacked bytes", out.len())
        } else {
            format!("the gzip file is damaged: {error}, after {} unpacked bytes", out.len())
        };
        return Err(Problem::usage(what).remedy("fetch or copy the file again: this copy is truncated or damaged"));
    }
    if out.len() as u64 > limit {
        return Err(Problem::usage(format!("the gzip file unpacks to more than {limit} bytes"))
            .remedy("unpack it yourself and check what it holds before using it as data"));
    }
    Ok(out)
}

/// What bytes look like, for a message about a file that is not what its reader wants: `a web page (HTML)`.
pub(super) fn looks_like(bytes: &[u8]) -> &'static str {
    const MAGIC: [(&[u8], &str); 15] = [
        (b"\x89PNG", "a PNG image"),
        (b"\xff\xd8\xff", "a JPEG image"),
        (b"GIF8", "a GIF image"),
        (b"%PDF", "a PDF"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"\x1f\x8b", "a gzip file inside a gzip file"),
        (b"BZh", "a bzip2 file"),
        (b"\xfd7zXZ", "an xz file"),
        (b"\x28\xb5\x2f\xfd", "a zstd file"),
        (b"\x93NUMPY", "a NumPy array"),
        (b"PAR1", "a Parquet file"),
        (b"version https://git-lfs", "a Git LFS pointer instead of the file (run `git lfs pull`)"),
        (b"SQLite format 3", "an SQLite database"),
        (b"\xff\xfe", "text in UTF-16"),
        (b"\xfe\xff", "text in UTF-16"),
    ];
    if bytes.is_empty() {
        return "an empty file";
    }
    if let Some((_, name)) = MAGIC.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return name;
    }
    let head = &bytes[..bytes.len().min(4096)];
    let text: String = String::from_utf8_lossy(head).trim_start().chars().take(64).collect::<String>().to_lowercase();
    if text.starts_with("<!doctype html") || text.starts_with("<html") {
        "a web page (HTML), perhaps an error page saved in the file's place"
    } else if let [0, 0, 0x08..=0x0e, 1..=4, ..] = bytes {
        "an IDX file"
    } else if head.contains(&0) {
        "binary data"
    } else {
        "text"
    }
}

/// Refuses UTF-16, which spreadsheets write as "Unicode text": by its byte order mark.
pub(super) fn refuse_utf16(bytes: &[u8], place: &str) -> Result<()> {
    let mark = match bytes {
        [0xff, 0xfe, ..] => "FF FE",
        [0xfe, 0xff, ..] => "FE FF",
        _ => return Ok(()),
    };
    let what = format!("this is text in UTF-16 (it begins with the bytes {mark}), and UTF-8 is read");
    let word = sys::shell::word(place);
    Err(Problem::usage(what).at(place).remedy(format!(
        "save it as UTF-8 (in a spreadsheet: \"CSV UTF-8\"), or convert it: `iconv -f UTF-16 -t UTF-8 {word} > utf8-copy`"
    )))
}

/// Whether the content is binary rather than text in an 8-bit or UTF-8 encoding.
pub(super) fn binary(bytes: &[u8]) -> bool {
    bytes[..bytes.len().min(8192)].contains(&0)
}

/// The most similar candidate, if any is similar at all.
pub(super) fn nearest<'a>(wanted: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|c| (strsim::jaro_winkler(&wanted.to_lowercase(), &c.to_lowercase()), c))
        .filter(|(score, _)| *score > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, c)| c)
}

/// A value for a message: escaped, at most 40 characters.
pub(super) fn shown(value: &str) -> String {
    let mut short: String = value.chars().take(40).collect();
    if value.chars().nth(40).is_some() {
        short.push_str("...");
    }
    format!("{short:?}")
}
