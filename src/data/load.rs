//! From a spec to a [`Dataset`], one function a kind: find the files, read, split, standardise, name the shape.

use super::dataset::{Body, Dataset};
use super::registry::{SetKind, find};
use super::rows::{Inputs, Rows, Targets};
use super::split::split;
use super::table::{self, Table, Target};
use super::text::Text;
use super::{digits, fetch, files, idx, modular};
use crate::config::{CsvData, DataShape, DigitsData, IdxData, InputShape, ModularData, TargetShape, TextData, tidy};
use crate::problem::{Problem, Result};
use crate::sys::http::Fetch;
use std::path::{Path, PathBuf};

/// What loading may use beside the spec.
pub(super) struct Places<'a> {
    pub base: &'a Path,
    pub cache: &'a Path,
    pub fetch: &'a dyn Fetch,
    pub progress: &'a mut dyn FnMut(u64, Option<u64>),
}

/// The embedded digits.
pub(super) fn digits(spec: &DigitsData) -> Result<Dataset> {
    let (bytes, labels) = digits::read()?;
    let (train, validation) = split(labels.len(), spec.validation_fraction, spec.split_seed, "samples")?;
    let shape = DataShape {
        input: InputShape::Image { height: digits::SIDE, width: digits::SIDE, channels: 1 },
        target: TargetShape::Class { classes: digits::CLASSES },
    };
    let rows = Rows {
        width: digits::SIDE * digits::SIDE,
        inputs: Inputs::Scaled { bytes, divisor: digits::FULL },
        targets: Targets::Class(labels),
        train,
        validation,
    };
    Ok(Dataset::new("digits", shape, Body::Rows(rows), (0..digits::CLASSES).map(|c| c.to_string()).collect()))
}

/// A path of the config, relative to the config file's folder; without a `./` that nobody wrote.
fn under(base: &Path, path: impl AsRef<Path>) -> PathBuf {
    if base == Path::new(".") { path.as_ref().to_path_buf() } else { tidy(&base.join(path)) }
}

/// The files of a named set of one kind.
fn named(name: &str, kind: SetKind, places: Places) -> Result<Vec<PathBuf>> {
    let set = find(name)?;
    if set.kind != kind {
        return Err(Problem::usage(format!("the dataset `{name}` is not for data.kind = {:?}", kind.config_kind()))
            .at("data.name")
            .remedy(format!("write data.kind = {:?}", set.kind.config_kind())));
    }
    fetch::get_set(set, places.cache, places.fetch, places.progress)
}

/// IDX images with their labels.
pub(super) fn idx(spec: &IdxData, places: Places) -> Result<Dataset> {
    let paths = match (&spec.name, &spec.images, &spec.labels) {
        (Some(name), None, None) => named(name, SetKind::Images, places)?,
        (None, Some(images), Some(labels)) => vec![under(places.base, images), under(places.base, labels)],
        _ => {
            return Err(Problem::usage("IDX data need either `name`, or both `images` and `labels`")
                .at("data")
                .remedy("give a known name such as \"mnist-test\", or the paths of an image and a label file"));
        }
    };
    let read = |path: &Path| {
        let at = path.display().to_string();
        let array = idx::parse(&files::read(path)?).map_err(|p| p.at(at.clone()))?;
        Ok::<_, Problem>((array, at))
    };
    let (images, images_at) = read(&paths[0])?;
    let (labels, labels_at) = read(&paths[1])?;
    let images = idx::pair(images, &images_at, &labels, &labels_at)?;
    let (train, validation) = split(images.labels.len(), spec.validation_fraction, spec.split_seed, "samples")?;
    let [height, width, channels] = images.size;
    let shape = DataShape {
        input: InputShape::Image { height, width, channels },
        target: TargetShape::Class { classes: images.classes },
    };
    let names = (0..images.classes).map(|c| c.to_string()).collect();
    let rows = Rows {
        width: height * width * channels,
        inputs: Inputs::Scaled { bytes: images.pixels, divisor: 255.0 },
        targets: Targets::Class(images.labels),
        train,
        validation,
    };
    Ok(Dataset::new("idx", shape, Body::Rows(rows), names))
}

/// A table; features, and the target of a regression, standardised with the training rows' moments.
pub(super) fn csv(spec: &CsvData, places: Places) -> Result<Dataset> {
    let path = under(places.base, &spec.path);
    let place = path.display().to_string();
    let Table { width, features, target } = table::parse(&files::read(&path)?, spec, &place)?;
    let total = features.len() / width;
    let (train, validation) = split(total, spec.validation_fraction, spec.split_seed, "rows")?;
    let standard = standardise(&features, width, &train, "feature").map_err(|p| p.at(place.clone()))?;
    let (targets, target_shape, names) = match target {
        Target::Classes(ids, names) => (Targets::Class(ids), TargetShape::Class { classes: names.len() }, names),
        Target::Numbers(values) => {
            let first = values[train[0] as usize];
            if train.iter().all(|&r| values[r as usize] == first) {
                return Err(Problem::usage(format!("the target is {first} in every training row: nothing to learn"))
                    .at(place)
                    .remedy("check data.target, or give rows with different targets"));
            }
            let standard = standardise(&values, 1, &train, "target").map_err(|p| p.at(place))?;
            (Targets::Real(standard), TargetShape::Real { outputs: 1 }, Vec::new())
        }
    };
    let shape = DataShape { input: InputShape::Features(width), target: target_shape };
    let rows = Rows { width, inputs: Inputs::F32(standard), targets, train, validation };
    Ok(Dataset::new("csv", shape, Body::Rows(rows), names))
}

/// `(value - mean) / deviation` with the moments of the training rows, column by column, over all rows `[rows, width]`.
fn standardise(values: &[f64], width: usize, train: &[u32], role: &str) -> Result<Vec<f32>> {
    let moments: Vec<(f64, f64)> = (0..width).map(|c| table::moments(values, width, c, train)).collect();
    let standard: Vec<f32> = values
        .iter()
        .enumerate()
        .map(|(i, v)| {
            let (mean, deviation) = moments[i % width];
            ((v - mean) / deviation) as f32
        })
        .collect();
    match standard.iter().position(|v| !v.is_finite()) {
        None => Ok(standard),
        Some(bad) => Err(Problem::usage(format!(
            "{role} {} of row {} is {:e}, beyond all measure of the training rows",
            bad % width + 1,
            bad / width + 1,
            values[bad]
        ))
        .remedy("correct the value or remove the row")),
    }
}

/// A tokenised text.
pub(super) fn text(spec: &TextData, places: Places) -> Result<Dataset> {
    let path = match (&spec.name, &spec.path) {
        (Some(name), None) => named(name, SetKind::Text, places)?.remove(0),
        (None, Some(path)) => under(places.base, path),
        _ => {
            return Err(Problem::usage("text data need either `name` or `path`, not both")
                .at("data")
                .remedy("give a known name such as \"tinyshakespeare\", or the path of a UTF-8 file"));
        }
    };
    let text = Text::parse(files::read(&path)?, spec).map_err(|p| match p.place {
        None => p.at(path.display().to_string()),
        Some(_) => p,
    })?;
    let vocabulary = text.vocabulary;
    let shape = DataShape {
        input: InputShape::Tokens { vocabulary, fixed: None },
        target: TargetShape::NextToken { vocabulary },
    };
    Ok(Dataset::new("text", shape, Body::Text(text), Vec::new()))
}

/// A modular operation's pairs.
pub(super) fn modular(spec: &ModularData) -> Result<Dataset> {
    let (tokens, results) = modular::make(spec)?;
    let (train, validation) = split(results.len(), spec.validation_fraction, spec.split_seed, "pairs")?;
    let m = spec.modulus as usize;
    let shape = DataShape {
        input: InputShape::Tokens { vocabulary: m + 1, fixed: Some(modular::LENGTH) },
        target: TargetShape::Class { classes: m },
    };
    let rows = Rows {
        width: modular::LENGTH,
        inputs: Inputs::U32(tokens),
        targets: Targets::Class(results),
        train,
        validation,
    };
    Ok(Dataset::new("modular", shape, Body::Rows(rows), (0..m).map(|c| c.to_string()).collect()))
}
