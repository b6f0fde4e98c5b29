//! What engines check of what they are given.

use super::{EngineError, HostState};
use crate::data::{Batch, Column};
use crate::graph::{BatchInput, DType, Program, StateSpec};

/// The values of every kept tensor in the order of the state, none for the others.
///
/// # Errors
/// A tensor that is missing, has another shape, or is unknown.
pub(super) fn kept_values<'s>(spec: &StateSpec, state: &'s HostState) -> Result<Vec<Option<&'s [f32]>>, EngineError> {
    let mut values = Vec::with_capacity(spec.tensors.len());
    for tensor in &spec.tensors {
        if !tensor.is_kept() {
            values.push(None);
            continue;
        }
        let (shape, found) = state
            .tensors
            .get(&tensor.name)
            .ok_or_else(|| EngineError::Shape(format!("the state lacks the tensor `{}`", tensor.name)))?;
        if *shape != tensor.shape || found.len() != shape.iter().product::<usize>() {
            return Err(EngineError::Shape(format!(
                "the state's tensor `{}` has shape {shape:?} and {} values where {:?} is wanted",
                tensor.name,
                found.len(),
                tensor.shape
            )));
        }
        values.push(Some(found.as_slice()));
    }
    let known = values.iter().flatten().count();
    if state.tensors.len() > known {
        let strange = state.tensors.keys().find(|n| !spec.tensors.iter().any(|t| t.name == **n));
        return Err(EngineError::Shape(format!(
            "the state has {} tensors where the programs have {known}; unknown: {}",
            state.tensors.len(),
            strange.map_or("a gradient", |n| n)
        )));
    }
    Ok(values)
}

/// A column of a batch, checked against what a program wants.
#[derive(Debug, Clone, Copy)]
pub(super) enum Values<'b> {
    /// Numbers.
    F32(&'b [f32]),
    /// Ids.
    U32(&'b [u32]),
}

/// The column that a program's batch input names.
///
/// # Errors
/// A column that is not there, or of another length or type.
pub(super) fn column<'b>(program: &Program, input: &BatchInput, batch: &'b Batch) -> Result<Values<'b>, EngineError> {
    let of = |column: &'b Column| match column {
        Column::F32(v) => Values::F32(v),
        Column::U32(v) => Values::U32(v),
    };
    let values = match input.name {
        "input" => of(&batch.input),
        "target" => of(&batch.target),
        "weight" => Values::F32(&batch.weight),
        name => return Err(EngineError::Shape(format!("a batch has no column `{name}`"))),
    };
    let (length, dtype) = match values {
        Values::F32(v) => (v.len(), DType::F32),
        Values::U32(v) => (v.len(), DType::U32),
    };
    if length != input.shape.iter().product::<usize>() || dtype != input.dtype {
        return Err(EngineError::Shape(format!(
            "the batch's {} has {length} elements of {dtype:?} where `{}` wants {:?} of {:?}",
            input.name, program.name, input.shape, input.dtype
        )));
    }
    Ok(values)
}
