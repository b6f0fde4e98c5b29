//! A loaded dataset: one shape, one identity, and batches of either part.

use super::batch::{Batch, Part};
use super::identity::Identity;
use super::load::{self, Places};
use super::order::{self, Order};
use super::rows::{Rows, Targets};
use super::text::Text;
use crate::config::{DataShape, DataSpec, InputShape, TargetShape};
use crate::problem::{Problem, Result};
use crate::sys::http::Fetch;
use crate::units::Bytes;
use std::path::Path;

/// A dataset in memory, split, with everything random about it fixed by seeds.
#[derive(Debug)]
pub struct Dataset {
    shape: DataShape,
    body: Body,
    hash: String,
    classes: Vec<String>,
    order: Order,
}

/// The two ways in which data lie in memory.
#[derive(Debug)]
pub(super) enum Body {
    /// One row a sample.
    Rows(Rows),
    /// Windows of one long sequence.
    Text(Text),
}

impl Dataset {
    /// Reads, downloads or makes what `spec` says. Relative paths refer to `base`; named sets live in `cache` and are
    /// fetched through `fetch` where they are absent, with `progress` hearing bytes done and the total.
    ///
    /// Wrong files and specs are problems of class `Usage` that name file, line and column; see [`super::get`] for the
    /// failures of downloads.
    pub fn load(
        spec: &DataSpec,
        base: &Path,
        cache: &Path,
        fetch: &dyn Fetch,
        progress: &mut dyn FnMut(u64, Option<u64>),
    ) -> Result<Dataset> {
        let places = Places { base, cache, fetch, progress };
        match spec {
            DataSpec::Digits(spec) => load::digits(spec),
            DataSpec::Idx(spec) => load::idx(spec, places),
            DataSpec::Csv(spec) => load::csv(spec, places),
            DataSpec::Text(spec) => load::text(spec, places),
            DataSpec::Modular(spec) => load::modular(spec),
        }
    }

    /// From what a reader made of the files.
    pub(super) fn new(reader: &str, shape: DataShape, body: Body, classes: Vec<String>) -> Dataset {
        let mut identity = Identity::new(reader);
        identity.bytes("shape", format!("{shape:?}").as_bytes());
        identity.bytes("classes", classes.join("\n").as_bytes());
        match &body {
            Body::Rows(rows) => rows.identify(&mut identity),
            Body::Text(text) => text.identify(&mut identity),
        }
        Dataset { shape, body, hash: identity.finish(), classes, order: Order::default() }
    }

    /// What a model needs to know.
    pub fn shape(&self) -> DataShape {
        self.shape.clone()
    }

    /// BLAKE3 of everything that a run can see: inputs, targets, split; the same wherever the files lie.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Memory that it takes, both parts together.
    pub fn size(&self) -> Bytes {
        Bytes(match &self.body {
            Body::Rows(rows) => rows.size(),
            Body::Text(text) => text.size(),
        } as u64)
    }

    /// Names of the classes by index; empty where there are no classes.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Samples of a part. For text: windows of `context` tokens that do not overlap; elsewhere `context` is not looked at.
    pub fn samples(&self, part: Part, context: usize) -> usize {
        match &self.body {
            Body::Rows(rows) => rows.part(part).len(),
            Body::Text(text) => text.windows(part, context),
        }
    }

    /// Refuses a context that is longer than a part of the text, and a batch larger than the training part.
    /// [`batch`](Self::batch) and [`train_indices`](Self::train_indices) rely on it.
    pub fn check(&self, batch_size: usize, context: usize) -> Result<()> {
        if let Body::Text(text) = &self.body {
            for part in [Part::Train, Part::Validation] {
                if text.windows(part, context) == 0 {
                    return Err(Problem::usage(format!(
                        "a context of {context} tokens does not fit the {} part of the text, which has {} tokens",
                        part.name(),
                        text.len(part)
                    ))
                    .at("model.context")
                    .remedy(
                        "choose a context of at least 1 that is shorter than both parts, give a longer text, or change \
                         data.validation_fraction",
                    ));
                }
            }
        }
        let samples = self.samples(Part::Train, context);
        if batch_size == 0 || batch_size > samples {
            return Err(Problem::usage(format!(
                "batch size {batch_size} is not between 1 and the {samples} training samples"
            ))
            .at("training.batch_size")
            .remedy("choose a smaller batch, or hold out less for validation"));
        }
        Ok(())
    }

    /// Samples of a part by index, padded to at least `pad_to` samples with sample 0 at weight 0.
    ///
    /// Indices are below [`samples`](Self::samples) or come from [`train_indices`](Self::train_indices); any other is a
    /// programming error and panics.
    pub fn batch(&self, part: Part, context: usize, indices: &[usize], pad_to: usize) -> Batch {
        match &self.body {
            Body::Rows(rows) => rows.batch(part, indices, pad_to),
            Body::Text(text) => text.batch(part, context, indices, pad_to),
        }
    }

    /// The training samples of a step: a function of the seed and the step alone. Every pass over the data is shuffled
    /// without replacement and its last partial batch dropped. For text every pass shifts its windows by an offset below
    /// `context`, which is carried in the index.
    ///
    /// Panics where [`check`](Self::check) refuses.
    pub fn train_indices(&self, seed: u64, step: u64, batch_size: usize, context: usize) -> Vec<usize> {
        let samples = self.samples(Part::Train, context);
        assert!((1..=samples).contains(&batch_size), "batch size {batch_size} of {samples} training samples");
        let (epoch, start) = order::locate(step, batch_size, samples);
        let pass = self.order.pass(seed, epoch, samples);
        let shift = match &self.body {
            Body::Rows(_) => 0,
            Body::Text(_) => order::shift(seed, epoch, context),
        };
        pass[start..start + batch_size].iter().map(|&i| i as usize + shift * samples).collect()
    }

    /// UTF-8 bytes per token of the validation part; `None` but for text.
    pub fn bytes_per_token(&self) -> Option<f64> {
        match &self.body {
            Body::Rows(_) => None,
            Body::Text(text) => Some(text.bytes_per_token),
        }
    }

    /// Variance of the first `samples` validation targets about their own mean, in the (standardised) units of the loss,
    /// so that R^2 = 1 - mse / variance over the samples that were evaluated. `None` but for regression, and where those
    /// targets are all equal (R^2 is then undefined).
    pub fn target_variance(&self, samples: usize) -> Option<f64> {
        match &self.body {
            Body::Rows(Rows { targets: Targets::Real(values), validation, .. }) => {
                variance(values, &validation[..samples.min(validation.len())])
            }
            _ => None,
        }
    }

    /// One line for people: shape and sizes of the parts.
    pub fn describe(&self) -> String {
        let input = match &self.shape.input {
            InputShape::Features(n) => format!("{n} features"),
            InputShape::Image { height, width, channels } => format!("{height}x{width}x{channels} images"),
            InputShape::Tokens { vocabulary, .. } => format!("tokens of {vocabulary} kinds"),
        };
        let target = match &self.shape.target {
            TargetShape::Class { classes } => format!("{classes} classes"),
            TargetShape::NextToken { .. } => "next token".to_string(),
            TargetShape::Real { outputs } => format!("{outputs} real target(s)"),
        };
        let (train, validation, unit) = match &self.body {
            Body::Rows(rows) => (rows.train.len(), rows.validation.len(), "samples"),
            Body::Text(text) => (text.len(Part::Train), text.len(Part::Validation), "tokens"),
        };
        format!("{input}, {target}; {train} {unit} for training, {validation} for validation")
    }
}

fn variance(values: &[f32], rows: &[u32]) -> Option<f64> {
    let values: Vec<f64> = rows.iter().map(|&r| f64::from(values[r as usize])).collect();
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count;
    (values.iter().any(|v| *v != values[0]) && variance > 0.0).then_some(variance)
}
