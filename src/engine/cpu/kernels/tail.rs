//! What rides on a tile's output: element-wise stages, row by row, while the row is in the innermost cache.

use crate::config::Activation;
use crate::engine::cpu::simd::kernel;
use crate::engine::reference::elementwise as math;
use crate::engine::reference::real::Real;
use crate::rng;

/// A stage with its operand in memory. Operands hold as many elements as the whole output; a bias repeats.
#[derive(Clone, Copy)]
pub(in crate::engine::cpu) enum Stage {
    Bias {
        at: *const f32,
        length: usize,
    },
    Add(*const f32),
    Scale(f32),
    Activate(Activation),
    /// The slope is written; for GELU and SiLU only.
    ActivateKeepSlope(Activation, *mut f32),
    Multiply(*const f32),
    ActivateGrad(Activation, *const f32),
    ActivateGradFromOutput(Activation, *const f32),
    Dropout {
        p: f32,
        stream: u32,
        sample: usize,
    },
    Store(*mut f32),
}

/// What dropout is indexed by.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine::cpu) struct Moment {
    pub(in crate::engine::cpu) seed: u64,
    pub(in crate::engine::cpu) step: u32,
    pub(in crate::engine::cpu) first_sample: u32,
}

/// A rectangle of an output `[.., width]`: rows from `row` on, columns from `column` on.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine::cpu) struct Tile {
    pub(in crate::engine::cpu) row: usize,
    pub(in crate::engine::cpu) rows: usize,
    pub(in crate::engine::cpu) column: usize,
    pub(in crate::engine::cpu) columns: usize,
    pub(in crate::engine::cpu) width: usize,
}

/// Rows that operands in memory are asked for ahead of their use.
const AHEAD: usize = 4;

/// Asks for what the stages read and write of a row beside the output itself.
#[inline(always)]
fn ask(stages: &[Stage], offset: usize, columns: usize) {
    for stage in stages {
        let at = match *stage {
            Stage::Add(at) | Stage::Multiply(at) => at,
            Stage::ActivateGrad(_, at) | Stage::ActivateGradFromOutput(_, at) => at,
            Stage::ActivateKeepSlope(_, at) | Stage::Store(at) => at.cast_const(),
            Stage::Bias { .. } | Stage::Scale(_) | Stage::Activate(_) | Stage::Dropout { .. } => continue,
        };
        (0..columns).step_by(16).for_each(|column| fetch(at.wrapping_add(offset + column)));
    }
}

/// Brings a cache line near, where there is an instruction for that.
#[inline(always)]
fn fetch(at: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: it is a hint, whatever the address.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

kernel! {
    /// Applies the stages to a tile of the output that begins at `out`, which holds the current values.
    ///
    /// The pointers must be good for the tile's elements, and nobody else may write them meanwhile.
    pub(in crate::engine::cpu) fn apply(stages: &[Stage], out: *mut f32, tile: Tile, moment: Moment) {
        for row in tile.row..tile.row + tile.rows {
            let offset = row * tile.width + tile.column;
            if row + AHEAD < tile.row + tile.rows {
                ask(stages, offset + AHEAD * tile.width, tile.columns);
            }
            // SAFETY: the caller's word; a tile lies within its output.
            let y = unsafe { std::slice::from_raw_parts_mut(out.add(offset), tile.columns) };
            for stage in stages {
                // SAFETY: as above.
                unsafe { one(stage, y, offset, moment) };
            }
        }
    }
}

#[inline(always)]
unsafe fn one(stage: &Stage, y: &mut [f32], offset: usize, moment: Moment) {
    let n = y.len();
    // SAFETY: the caller's word, for each operand.
    let operand = |at: *const f32, offset: usize| unsafe { std::slice::from_raw_parts(at.add(offset), n) };
    match *stage {
        Stage::Bias { at, length } => y.iter_mut().zip(operand(at, offset % length)).for_each(|(y, &b)| *y += b),
        Stage::Add(at) => y.iter_mut().zip(operand(at, offset)).for_each(|(y, &x)| *y += x),
        Stage::Scale(factor) => y.iter_mut().for_each(|y| *y *= factor),
        Stage::Activate(f) => match f {
            Activation::Relu => y.iter_mut().for_each(|y| *y = math::relu(*y)),
            Activation::ReluSquared => y.iter_mut().for_each(|y| *y = math::relu_squared(*y)),
            Activation::Gelu => y.iter_mut().for_each(|y| *y = math::gelu(*y)),
            Activation::Silu => y.iter_mut().for_each(|y| *y = math::silu(*y)),
            Activation::Tanh => y.iter_mut().for_each(|y| *y = Real::tanh(*y)),
        },
        Stage::ActivateKeepSlope(f, at) => {
            // SAFETY: the caller's word.
            let slopes = unsafe { std::slice::from_raw_parts_mut(at.add(offset), n) };
            let pairs = y.iter_mut().zip(slopes);
            match f {
                Activation::Silu => pairs.for_each(|(y, slope)| (*y, *slope) = math::silu_and_slope(*y)),
                _ => pairs.for_each(|(y, slope)| (*y, *slope) = math::gelu_and_slope(*y)),
            }
        }
        Stage::Multiply(at) => y.iter_mut().zip(operand(at, offset)).for_each(|(y, &x)| *y *= x),
        Stage::ActivateGrad(f, at) => {
            let x = operand(at, offset);
            let pairs = y.iter_mut().zip(x);
            match f {
                Activation::Relu => pairs.for_each(|(y, &x)| *y *= math::relu_slope(x)),
                Activation::ReluSquared => pairs.for_each(|(y, &x)| *y *= math::relu_squared_slope(x)),
                Activation::Gelu => pairs.for_each(|(y, &x)| *y *= math::gelu_slope(x)),
                Activation::Silu => pairs.for_each(|(y, &x)| *y *= math::silu_slope(x)),
                Activation::Tanh => pairs.for_each(|(y, &x)| *y *= math::tanh_slope(x)),
            }
        }
        Stage::ActivateGradFromOutput(f, at) => {
            let pairs = y.iter_mut().zip(operand(at, offset));
            match f {
                Activation::Relu => pairs.for_each(|(y, &r)| *y *= math::relu_slope(r)),
                // The plan makes these for ReLU and tanh only.
                _ => pairs.for_each(|(y, &t)| *y *= 1.0 - t * t),
            }
        }
        Stage::Dropout { p, stream, sample } => dropout(y, offset, sample, p, stream, moment),
        // SAFETY: the caller's word.
        Stage::Store(at) => unsafe { std::slice::from_raw_parts_mut(at.add(offset), n) }.copy_from_slice(y),
    }
}

/// Blocks of random numbers made side by side.
const BLOCKS: usize = 16;

/// Zeroes elements at random and scales the others up: element e of sample s, both told from the offset, by the same
/// numbers as `rng::bits` gives one by one.
#[inline(always)]
fn dropout(y: &mut [f32], offset: usize, sample: usize, p: f32, stream: u32, moment: Moment) {
    let keep = (1.0 / (1.0 - f64::from(p))) as f32;
    let mut done = 0;
    while done < y.len() {
        let (s, e) = ((offset + done) / sample, (offset + done) % sample);
        let length = (sample - e).min(y.len() - done);
        let global = moment.first_sample.wrapping_add(s as u32);
        let part = &mut y[done..done + length];
        let mut at = 0;
        while at < length {
            let block = (e + at) / 4;
            let words = philox_blocks(block as u32, global, moment.step, stream, moment.seed);
            let skip = (e + at) % 4;
            let count = (4 * BLOCKS - skip).min(length - at);
            for (y, &word) in part[at..at + count].iter_mut().zip(&words[skip..skip + count]) {
                *y = if rng::unit_f32(word) >= p { *y * keep } else { 0.0 };
            }
            at += count;
        }
        done += length;
    }
}

/// The numbers of `BLOCKS` Philox blocks from `first` on, in order of element.
#[inline(always)]
fn philox_blocks(first: u32, sample: u32, step: u32, stream: u32, seed: u64) -> [u32; 4 * BLOCKS] {
    let mut c0: [u32; BLOCKS] = std::array::from_fn(|i| first.wrapping_add(i as u32));
    let (mut c1, mut c2, mut c3) = ([sample; BLOCKS], [step; BLOCKS], [stream; BLOCKS]);
    let mut key = [seed as u32, (seed >> 32) as u32];
    for round in 0..10 {
        if round > 0 {
            key = rng::next_key(key);
        }
        for i in 0..BLOCKS {
            let next = rng::round([c0[i], c1[i], c2[i], c3[i]], key);
            (c0[i], c1[i], c2[i], c3[i]) = (next[0], next[1], next[2], next[3]);
        }
    }
    let mut words = [0; 4 * BLOCKS];
    for i in 0..BLOCKS {
        (words[4 * i], words[4 * i + 1], words[4 * i + 2], words[4 * i + 3]) = (c0[i], c1[i], c2[i], c3[i]);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropout_draws_the_numbers_of_the_stream() {
        let (sample, p, stream) = (37, 0.4, 259);
        let moment = Moment { seed: 0x1234_5678_9abc, step: 7, first_sample: 3 };
        let mut y: Vec<f32> = (0..5 * sample).map(|i| 1.0 + i as f32).collect();
        let tile = Tile { row: 1, rows: 3, column: 5, columns: 30, width: 43 };
        apply(&[Stage::Dropout { p, stream, sample }], y.as_mut_ptr(), tile, moment);
        for (i, &got) in y.iter().enumerate() {
            let (row, column) = (i / 43, i % 43);
            let inside = (1..4).contains(&row) && (5..35).contains(&column);
            let (s, e) = (i / sample, i % sample);
            let u = rng::unit_f32(rng::bits(moment.seed, stream, 7, 3 + s as u32, e as u32));
            let x = 1.0 + i as f32;
            let wanted = if !inside {
                x
            } else if u >= p {
                x * (1.0 / (1.0 - f64::from(p))) as f32
            } else {
                0.0
            };
            assert_eq!(got, wanted, "element {i}");
        }
    }

    #[test]
    fn stages_follow_each_other_within_the_tile() {
        let bias = [1.0f32, -2.0, 3.0, 0.5];
        let other = [10.0f32; 12];
        let mut stored = [0.0f32; 12];
        let mut y: Vec<f32> = (0..12).map(|i| i as f32 - 6.0).collect();
        let stages = [
            Stage::Bias { at: bias.as_ptr(), length: 4 },
            Stage::Store(stored.as_mut_ptr()),
            Stage::Activate(Activation::Relu),
            Stage::Scale(2.0),
            Stage::Add(other.as_ptr()),
        ];
        let tile = Tile { row: 1, rows: 2, column: 1, columns: 2, width: 4 };
        let moment = Moment { seed: 0, step: 0, first_sample: 0 };
        apply(&stages, y.as_mut_ptr(), tile, moment);
        assert_eq!(y, [-6.0, -5.0, -4.0, -3.0, -2.0, 10.0, 16.0, 1.0, 2.0, 12.0, 24.0, 5.0]);
        assert_eq!(stored, [0.0, 0.0, 0.0, 0.0, 0.0, -3.0, 3.0, 0.0, 0.0, 1.0, 7.0, 0.0]);
    }
}
