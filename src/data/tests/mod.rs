//! Tests of the datasets, with writers of their own so that readers are checked against something else than themselves.
#![allow(clippy::disallowed_methods)]

mod batches;
mod cache;
mod readers;

use super::*;
use crate::config::DataSpec;
use crate::problem::{Class, Problem, Result};
use crate::sys::http::FakeFetch;
use std::io::Write;
use std::path::Path;

/// Loads in a folder without network and without a cache.
fn load(spec: &str, base: &Path) -> Result<Dataset> {
    let spec: DataSpec = toml::from_str(spec).expect("spec");
    Dataset::load(&spec, base, &base.join("cache"), &FakeFetch::default(), &mut |_, _| {})
}

/// Loads something that needs no files.
fn made(spec: &str) -> Result<Dataset> {
    load(spec, Path::new("nowhere"))
}

/// Loads a table of this content.
fn csv(content: &str, rest: &str) -> Result<Dataset> {
    let folder = tempfile::tempdir().expect("temp dir");
    std::fs::write(folder.path().join("t.csv"), content).expect("write");
    load(&format!("kind = 'csv'\npath = 't.csv'\n{rest}"), folder.path())
}

/// Loads a text of this content.
fn text(content: &[u8], rest: &str) -> Result<Dataset> {
    let folder = tempfile::tempdir().expect("temp dir");
    std::fs::write(folder.path().join("t.txt"), content).expect("write");
    load(&format!("kind = 'text'\npath = 't.txt'\n{rest}"), folder.path())
}

/// Loads IDX files of this content.
fn idx(images: &[u8], labels: &[u8], rest: &str) -> Result<Dataset> {
    let folder = tempfile::tempdir().expect("temp dir");
    std::fs::write(folder.path().join("images"), images).expect("write");
    std::fs::write(folder.path().join("labels"), labels).expect("write");
    load(&format!("kind = 'idx'\nimages = 'images'\nlabels = 'labels'\n{rest}"), folder.path())
}

/// Writes the IDX format.
fn idx_file(shape: &[u32], values: &[u8]) -> Vec<u8> {
    let mut out = vec![0, 0, 8, shape.len() as u8];
    shape.iter().for_each(|s| out.extend(s.to_be_bytes()));
    out.extend(values);
    out
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("gzip");
    encoder.finish().expect("gzip")
}

/// The refusal, which must be the user's to mend, say what to do, and contain all of these.
#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T>, contains: &[&str]) -> Problem {
    let problem = result.expect_err("should be refused");
    let text = problem.to_string();
    assert_eq!(problem.class, Class::Usage, "{text}");
    assert!(problem.remedy.is_some(), "no remedy in: {text}");
    for part in contains {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
    problem
}

fn f32s(column: &Column) -> &[f32] {
    match column {
        Column::F32(v) => v,
        Column::U32(_) => panic!("u32 column"),
    }
}

fn u32s(column: &Column) -> &[u32] {
    match column {
        Column::U32(v) => v,
        Column::F32(_) => panic!("f32 column"),
    }
}
