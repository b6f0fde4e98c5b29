//! Tensors as files and as a hash: `model.safetensors`, `config.json`, and the identity of weights.

use super::format;
use crate::config::Experiment;
use crate::problem::{Problem, Result};
use crate::sys::fs;
use safetensors::{Dtype, SafeTensors, View};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

/// Name to (row-major shape, values); the shape of an engine's host state.
pub type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// Name of the final weights in the attempt's folder.
pub const MODEL_FILE: &str = "model.safetensors";
/// Name of the experiment beside the final weights, itself a valid config.
pub const CONFIG_FILE: &str = "config.json";

/// Writes the final weights and the experiment that made them.
pub fn write_model(folder: &Path, weights: &Tensors, experiment: &Experiment) -> Result<()> {
    fs::write_atomic(&folder.join(MODEL_FILE), &to_safetensors(weights)?)?;
    format::write_json(&folder.join(CONFIG_FILE), experiment)
}

/// Reads the final weights of a completed attempt.
pub fn read_model(folder: &Path) -> Result<Tensors> {
    let path = folder.join(MODEL_FILE);
    from_safetensors(&fs::read(&path)?, &path)
}

/// BLAKE3, in hex, over the tensors in order of name: length and bytes of the name, number of dimensions, dimensions
/// (all numbers u64, little-endian), then the values as little-endian f32.
pub fn weights_hash(tensors: &Tensors) -> String {
    let mut hasher = blake3::Hasher::new();
    for (name, (shape, values)) in tensors {
        hasher.update(&(name.len() as u64).to_le_bytes());
        hasher.update(name.as_bytes());
        hasher.update(&(shape.len() as u64).to_le_bytes());
        for &dimension in shape {
            hasher.update(&(dimension as u64).to_le_bytes());
        }
        hasher.update(&little_endian(values));
    }
    hasher.finalize().to_hex().to_string()
}

/// The bytes of a safetensors file; equal tensors give equal bytes.
pub(super) fn to_safetensors(tensors: &Tensors) -> Result<Vec<u8>> {
    let views = tensors.iter().map(|(name, (shape, values))| (name.as_str(), Borrowed { shape, values }));
    safetensors::serialize(views, None).map_err(|e| Problem::failed(format!("cannot write as safetensors: {e}")))
}

/// Reads a safetensors file that holds f32 tensors only.
pub(super) fn from_safetensors(bytes: &[u8], path: &Path) -> Result<Tensors> {
    let file = SafeTensors::deserialize(bytes)
        .map_err(|e| format::damaged(path, format!("not a safetensors file: {e} ({} bytes read)", bytes.len())))?;
    let read = |(name, view): (&str, safetensors::tensor::TensorView<'_>)| {
        if view.dtype() != Dtype::F32 {
            return Err(format::damaged(path, format!("tensor {name} is {:?}, not F32", view.dtype())));
        }
        let values: Vec<f32> =
            view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        Ok((name.to_string(), (view.shape().to_vec(), values)))
    };
    file.iter().map(read).collect()
}

/// Checks that `found` has exactly the names and shapes of `expected`, and names the first difference otherwise.
pub fn check_shapes(found: &Tensors, expected: &BTreeMap<&str, &[usize]>, place: &Path) -> Result<()> {
    let refuse = |what: String| {
        Err(Problem::usage(what)
            .at(place.display().to_string())
            .remedy("it belongs to another model: use the experiment that it was made with"))
    };
    for (&name, &shape) in expected {
        match found.get(name) {
            None => return refuse(format!("tensor {name} {shape:?} is missing")),
            Some((other, _)) if other != shape => {
                return refuse(format!("tensor {name} has shape {other:?} where {shape:?} is needed"));
            }
            Some(_) => {}
        }
    }
    match found.keys().find(|name| !expected.contains_key(name.as_str())) {
        Some(name) => refuse(format!("tensor {name} is not part of this experiment's state")),
        None => Ok(()),
    }
}

/// No copy where the machine's own order is that of the files: a checkpoint of gigabytes is written from where it lies.
fn little_endian(values: &[f32]) -> Cow<'_, [u8]> {
    match cfg!(target_endian = "little") {
        true => Cow::Borrowed(bytemuck::cast_slice(values)),
        false => Cow::Owned(values.iter().flat_map(|v| v.to_le_bytes()).collect()),
    }
}

struct Borrowed<'a> {
    shape: &'a [usize],
    values: &'a [f32],
}

impl View for Borrowed<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }
    fn shape(&self) -> &[usize] {
        self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        little_endian(self.values)
    }
    fn data_len(&self) -> usize {
        4 * self.values.len()
    }
}
