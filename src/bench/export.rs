//! What a peer in another language needs to do the same steps: initial weights, batches, settings, and the losses that
//! came of them here.

use super::session::{Session, initial, parameters};
use crate::config::{DataShape, EngineKind, Experiment};
use crate::data::{Batch, Column};
use crate::graph::{StateRole, StepPrograms};
use crate::problem::{Problem, Result};
use crate::record::write_model;
use crate::sys::fs;
use safetensors::{Dtype, View};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::path::Path;

/// Name of the batches' file: `input/K` and `target/K`, with all samples of step K (mod the number of batches) first.
pub const BATCHES_FILE: &str = "batches.safetensors";
/// Name of the file with our own losses and what else is known of the step.
pub const STEPS_FILE: &str = "steps.json";

/// Writes `model.safetensors` (the weights before the first step), `config.json`, `batches.safetensors` and `steps.json`
/// into `folder`, after taking `steps` steps.
pub fn export(
    experiment: &Experiment,
    shape: &DataShape,
    kind: Option<EngineKind>,
    threads: usize,
    steps: usize,
    folder: &Path,
) -> Result<()> {
    let mut session = Session::new(experiment, shape, kind, threads)?;
    fs::create_named_dir(folder)?;
    let weights = parameters(session.programs(), initial(session.programs(), experiment.training.seed));
    write_model(folder, &weights, experiment)?;
    let losses: Vec<f64> = (0..steps).map(|_| session.step()).collect::<Result<_>>()?;
    let batches: Vec<(String, Tensor)> = session
        .batches()
        .iter()
        .enumerate()
        .flat_map(|(number, micro)| {
            [("input", joined(micro, |b| &b.input)), ("target", joined(micro, |b| &b.target))].map(|(name, column)| {
                let mut shape = batch_shape(session.programs(), name);
                if let Some(samples) = shape.first_mut() {
                    *samples *= micro.len();
                }
                (format!("{name}/{number}"), Tensor { shape, column })
            })
        })
        .collect();
    let bytes = safetensors::serialize(batches.iter().map(|(name, tensor)| (name.as_str(), tensor)), None)
        .map_err(|e| Problem::failed(format!("the batches cannot be written: {e}")))?;
    fs::write_atomic(&folder.join(BATCHES_FILE), &bytes)?;
    let document = json!({
        "engine": session.engine(),
        "batches": session.batches().len(),
        "parameters": session.programs().state.parameter_count(),
        "roles": roles(session.programs()),
        "losses": losses,
    });
    let mut text =
        serde_json::to_vec_pretty(&document).map_err(|e| Problem::failed(format!("the losses are no JSON: {e}")))?;
    text.push(b'\n');
    fs::write_atomic(&folder.join(STEPS_FILE), &text)
}

/// Name of each parameter to its role, in the words of `optimizer.groups`.
fn roles(programs: &StepPrograms) -> Value {
    let role = |role: &StateRole| match role {
        StateRole::Param { role, .. } => json!(role),
        _ => Value::Null,
    };
    programs.state.params().map(|(_, tensor)| (tensor.name.clone(), role(&tensor.role))).collect()
}

fn batch_shape(programs: &StepPrograms, name: &str) -> Vec<usize> {
    programs.micro.batch.iter().find(|input| input.name == name).map_or_else(Vec::new, |input| input.shape.clone())
}

/// One column of a step's micro-batches, one behind the other.
fn joined(micro: &[Batch], column: impl Fn(&Batch) -> &Column) -> Column {
    let mut parts = micro.iter().map(|batch| column(batch).clone());
    let first = parts.next().unwrap_or(Column::F32(Vec::new()));
    parts.fold(first, |mut all, part| {
        match (&mut all, part) {
            (Column::F32(all), Column::F32(part)) => all.extend(part),
            (Column::U32(all), Column::U32(part)) => all.extend(part),
            _ => unreachable!("a column has one type in every batch"),
        }
        all
    })
}

/// A column with its shape, as safetensors wants it; ids as I32, which every peer can read.
struct Tensor {
    shape: Vec<usize>,
    column: Column,
}

impl View for &Tensor {
    fn dtype(&self) -> Dtype {
        match self.column {
            Column::F32(_) => Dtype::F32,
            Column::U32(_) => Dtype::I32,
        }
    }
    fn shape(&self) -> &[usize] {
        &self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        match &self.column {
            Column::F32(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Column::U32(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        }
    }
    fn data_len(&self) -> usize {
        4 * self.shape.iter().product::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::known_shape;
    use crate::config::load_experiment;
    use crate::record::read_model;
    use safetensors::SafeTensors;

    #[test]
    fn weights_batches_and_losses_are_written() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/train/modular-addition.toml");
        let overrides = ["training.batch_size=6".to_string(), "resources.micro_batch=3".to_string()];
        let experiment = load_experiment(&path, &overrides).unwrap().value;
        let shape = known_shape(&experiment.data).unwrap();
        let folder = tempfile::tempdir().unwrap();
        export(&experiment, &shape, Some(EngineKind::Reference), 1, 3, folder.path()).unwrap();

        let weights = read_model(folder.path()).unwrap();
        assert_eq!(weights["token_embedding"].0, [114, 128]);
        assert!(weights.keys().all(|name| !name.contains('/')), "parameters only");
        let steps: Value = serde_json::from_slice(&fs::read(&folder.path().join(STEPS_FILE)).unwrap()).unwrap();
        let losses = steps["losses"].as_array().unwrap();
        assert_eq!(losses.len(), 3);
        // Before any step every class is about as likely as any other.
        assert!((losses[0].as_f64().unwrap() - 113f64.ln()).abs() < 0.1, "{losses:?}");
        assert_eq!(steps["roles"]["head.weight"], "head");
        assert_eq!(steps["roles"].as_object().unwrap().len(), weights.len());

        let bytes = fs::read(&folder.path().join(BATCHES_FILE)).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(file.len(), 2 * steps["batches"].as_u64().unwrap() as usize);
        let input = file.tensor("input/0").unwrap();
        assert_eq!((input.shape(), input.dtype()), (&[6, 3][..], Dtype::I32));
        let session = Session::new(&experiment, &shape, Some(EngineKind::Reference), 1).unwrap();
        let Column::U32(second) = &session.batches()[0][1].target else { panic!("classes are ids") };
        let target = file.tensor("target/0").unwrap();
        let written: Vec<u32> = target.data().chunks(4).map(|b| u32::from_le_bytes(b.try_into().unwrap())).collect();
        assert_eq!((written.len(), &written[3..]), (6, &second[..]));
    }
}
