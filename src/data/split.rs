//! Seeded, fixed splits into a training and a validation part.

use crate::problem::{Problem, Result};
use crate::rng::{Sequence, Stream};

/// How many of `total` are held out: `round(total * fraction)`. Refuses fractions outside (0, 1) and empty parts.
pub(super) fn held_out(total: usize, fraction: f64, of: &str) -> Result<usize> {
    if !(fraction > 0.0 && fraction < 1.0) {
        return Err(Problem::usage(format!("validation_fraction {fraction} is not between 0 and 1"))
            .at("data.validation_fraction")
            .remedy("give the share to hold out for validation, for example 0.2"));
    }
    let validation = (total as f64 * fraction).round() as usize;
    if validation == 0 || validation >= total {
        return Err(Problem::usage(format!(
            "{total} {of} with validation_fraction {fraction} leave {} for training and {} for validation",
            total.saturating_sub(validation),
            validation.min(total)
        ))
        .at("data.validation_fraction")
        .remedy(format!("both parts need at least one: give more {of} or another fraction")));
    }
    Ok(validation)
}

/// Indices of the (training, validation) part. Both stay in the permutation's order, so that any first k of them are a
/// random choice even where the file is sorted by class.
pub(super) fn split(total: usize, fraction: f64, seed: u64, of: &str) -> Result<(Vec<u32>, Vec<u32>)> {
    let validation = held_out(total, fraction, of)?;
    let count = u32::try_from(total).map_err(|_| {
        Problem::usage(format!("{total} {of} are more than the {} a dataset may have", u32::MAX))
            .remedy("use a part of the file")
    })?;
    let mut order: Vec<u32> = (0..count).collect();
    Sequence::new(seed, Stream::Split, 0, 0).shuffle(&mut order);
    let train = order.split_off(validation);
    Ok((train, order))
}
