//! What a run is trained and evaluated on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::{Component, Path, PathBuf};

/// The dataset. `kind` chooses the reader; every kind splits with a seed into fixed training and validation parts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum DataSpec {
    /// The 1,797 8x8 handwritten digits embedded in the binary: 10 classes.
    Digits(DigitsData),
    /// Images and labels in IDX format (MNIST and its relatives), plain or gzipped.
    Idx(IdxData),
    /// A CSV table with a header: classification or regression.
    Csv(CsvData),
    /// A text file cut into character or byte tokens, for language models.
    Text(TextData),
    /// All pairs of a modular operation, `a op b mod m`, for studies of generalisation.
    Modular(ModularData),
}

impl DataSpec {
    /// Files that are named by a path, to be changed in place.
    fn paths_mut(&mut self) -> Vec<&mut String> {
        match self {
            DataSpec::Csv(csv) => vec![&mut csv.path],
            DataSpec::Text(text) => text.path.iter_mut().collect(),
            DataSpec::Idx(idx) => idx.images.iter_mut().chain(&mut idx.labels).collect(),
            DataSpec::Digits(_) | DataSpec::Modular(_) => Vec::new(),
        }
    }

    /// The same dataset for a config in another folder, from which `way` leads to the folder that its relative paths refer
    /// to now.
    pub(super) fn seen_from(mut self, way: &Path) -> Self {
        // `join` leaves absolute paths as they are.
        self.paths_mut().into_iter().for_each(|path| *path = tidy(&way.join(&*path)).display().to_string());
        self
    }
}

/// A path without the turns that go into a folder and out again.
pub fn tidy(path: &Path) -> PathBuf {
    let mut tidy = PathBuf::new();
    for part in path.components() {
        let into = matches!(tidy.components().next_back(), Some(Component::Normal(_)));
        match part {
            Component::CurDir => {}
            Component::ParentDir if into => {
                tidy.pop();
            }
            part => tidy.push(part),
        }
    }
    tidy
}

/// The embedded digits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DigitsData {
    /// Share of the samples held out for validation, in (0, 1). Default 0.2.
    #[serde(default = "fifth")]
    pub validation_fraction: f64,
    /// Seed of the split; the same for all runs that are to be compared. Default 0.
    #[serde(default)]
    pub split_seed: u64,
}

/// IDX images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IdxData {
    /// Name of a known set (`data` lists them), fetched by URL and checksum; instead of `images` and `labels`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Path of the image file, relative to the config's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<String>,
    /// Path of the label file, relative to the config's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<String>,
    /// Share of the samples held out for validation, in (0, 1). Default 0.2.
    #[serde(default = "fifth")]
    pub validation_fraction: f64,
    /// Seed of the split. Default 0.
    #[serde(default)]
    pub split_seed: u64,
}

/// What a table's target column is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TableTask {
    /// The target names a class.
    Classification,
    /// The target is a number; it and the features are standardised with the training part's mean and deviation.
    Regression,
}

/// A CSV table: numeric features, one target column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CsvData {
    /// Path of the file, relative to the config's folder; `.gz` is read too.
    pub path: String,
    /// Name of the target column.
    pub target: String,
    /// What the target is.
    pub task: TableTask,
    /// Columns to leave out. Default none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<String>,
    /// Share of the rows held out for validation, in (0, 1). Default 0.2.
    #[serde(default = "fifth")]
    pub validation_fraction: f64,
    /// Seed of the split. Default 0.
    #[serde(default)]
    pub split_seed: u64,
}

/// How text becomes tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TextTokens {
    /// One token for each distinct character of the file, in code point order.
    #[default]
    Char,
    /// The 256 byte values.
    Byte,
}

/// A text for next-token prediction. The validation part is the file's end, so that no window overlaps both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TextData {
    /// Name of a known text (`data` lists them, e.g. `tinyshakespeare`), fetched by URL and checksum; instead of `path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Path of a UTF-8 file, relative to the config's folder; instead of `name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What a token is: a character of the file, or a byte. Default `char`.
    #[serde(default)]
    pub tokens: TextTokens,
    /// Share of the text, from its end, held out for validation, in (0, 1). Default 0.1.
    #[serde(default = "tenth")]
    pub validation_fraction: f64,
}

/// Operation of the modular task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ModularOp {
    /// a + b mod m
    #[default]
    Add,
    /// a - b mod m
    Subtract,
    /// a * b mod m
    Multiply,
}

/// All m * m pairs of a modular operation as three tokens `a b =` with the result as class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModularData {
    /// The operation. Default `add`.
    #[serde(default)]
    pub operation: ModularOp,
    /// The modulus m, 2 to 1024. Default 113.
    #[serde(default = "modulus")]
    pub modulus: u32,
    /// Share of the pairs held out for validation, in (0, 1). Default 0.5.
    #[serde(default = "half")]
    pub validation_fraction: f64,
    /// Seed of the split. Default 0.
    #[serde(default)]
    pub split_seed: u64,
}

fn fifth() -> f64 {
    0.2
}
fn tenth() -> f64 {
    0.1
}
fn half() -> f64 {
    0.5
}
fn modulus() -> u32 {
    113
}
