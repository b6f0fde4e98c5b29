//! Initial values of the state: the same for every engine, drawn from counters and not from a generator's history.

use super::{Init, StateRole, StateSpec};
use crate::rng::{Sequence, Stream};

/// Name, shape and values of every tensor that is kept between steps: parameters as their [`Init`] says, optimiser
/// buffers zero, averages as their parameter. Gradients and the loss sum are not kept, so not here.
///
/// Parameter i of the state reads sequence (seed, `Stream::Init`, step 0, sample i), so a parameter's values do not
/// depend on what comes after it.
pub fn initial_values(spec: &StateSpec, seed: u64) -> Vec<(String, Vec<usize>, Vec<f32>)> {
    let kept = spec.tensors.iter().enumerate().filter_map(|(index, tensor)| {
        let elements = tensor.shape.iter().product();
        let values = match tensor.role {
            StateRole::Param { init, .. } => draw(init, elements, seed, index),
            StateRole::Slot(_) => vec![0.0; elements],
            StateRole::Ema(of) => match spec.tensors[of].role {
                StateRole::Param { init, .. } => draw(init, elements, seed, of),
                _ => vec![0.0; elements],
            },
            StateRole::Grad(_) | StateRole::LossSum => return None,
        };
        Some((tensor.name.clone(), tensor.shape.clone(), values))
    });
    kept.collect()
}

fn draw(init: Init, elements: usize, seed: u64, param: usize) -> Vec<f32> {
    let mut sequence = Sequence::new(seed, Stream::Init, 0, param as u32);
    match init {
        Init::Zeros => vec![0.0; elements],
        Init::Ones => vec![1.0; elements],
        Init::Normal(deviation) => (0..elements).map(|_| (deviation * sequence.normal()) as f32).collect(),
        Init::Uniform(bound) => (0..elements).map(|_| (bound * (2.0 * sequence.uniform() - 1.0)) as f32).collect(),
    }
}
