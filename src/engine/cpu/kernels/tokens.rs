//! Embeddings, rotary positions, last token.

use crate::engine::cpu::simd::kernel;

/// `table [V, C], ids -> y [ids, C]`; ids are below V.
pub(in crate::engine::cpu) fn embedding(table: &[f32], ids: &[u32], width: usize, y: &mut [f32]) {
    for (row, &id) in y.chunks_exact_mut(width).zip(ids) {
        row.copy_from_slice(&table[id as usize * width..][..width]);
    }
}

kernel! {
    /// Columns `from..to` of the table's gradient: rows of equal id are summed in order of position. `table` points at the
    /// gradient `[V, width]`; the columns are cleared first unless `add`.
    ///
    /// The pointer must be good, and nobody else may touch these columns.
    pub(in crate::engine::cpu) fn embedding_grad(
        ids: &[u32], dy: &[f32], table: *mut f32, vocabulary: usize, width: usize, from: usize, to: usize, add: bool,
    ) {
        // SAFETY: the caller's word; ids are below the vocabulary.
        let columns = |id: usize| unsafe { std::slice::from_raw_parts_mut(table.add(id * width + from), to - from) };
        if !add {
            (0..vocabulary).for_each(|id| columns(id).fill(0.0));
        }
        for (row, &id) in dy.chunks_exact(width).zip(ids) {
            columns(id as usize).iter_mut().zip(&row[from..to]).for_each(|(sum, &d)| *sum += d);
        }
    }
}

/// Cosines and sines of every position and pair, computed in f64: `[length, head_dim / 2]` each.
pub(in crate::engine::cpu) fn rope_table(length: usize, head_dim: usize, base: f32, inverse: bool) -> Vec<f32> {
    let half = head_dim / 2;
    let direction = if inverse { -1.0 } else { 1.0 };
    let angles: Vec<f64> = (0..length)
        .flat_map(|t| (0..half).map(move |i| t as f64 * f64::from(base).powf(-2.0 * i as f64 / head_dim as f64)))
        .collect();
    let cosines = angles.iter().map(|a| a.cos() as f32);
    cosines.chain(angles.iter().map(|a| (direction * a.sin()) as f32)).collect()
}

kernel! {
    /// Rotates the first `heads` heads of each row of `qkv [rows, packed]` in place; the first row has position `position`
    /// of a sequence of `length`.
    pub(in crate::engine::cpu) fn rope(
        qkv: &mut [f32], packed: usize, heads: usize, head_dim: usize, table: &[f32], length: usize, position: usize,
    ) {
        let half = head_dim / 2;
        let (cosines, sines) = table.split_at(length * half);
        for (i, row) in qkv.chunks_exact_mut(packed).enumerate() {
            let start = (position + i) % length * half;
            let (cos, sin) = (&cosines[start..start + half], &sines[start..start + half]);
            for head in row[..heads * head_dim].chunks_exact_mut(head_dim) {
                let (first, second) = head.split_at_mut(half);
                for (((a, b), &c), &s) in first.iter_mut().zip(second).zip(cos).zip(sin) {
                    (*a, *b) = (*a * c - *b * s, *a * s + *b * c);
                }
            }
        }
    }
}

kernel! {
    /// `x [.., 2h] -> silu(x[.., :h]) * x[.., h:]`.
    pub(in crate::engine::cpu) fn swiglu(x: &[f32], half: usize, y: &mut [f32]) {
        use crate::engine::reference::elementwise::silu;
        for (row, y) in x.chunks_exact(2 * half).zip(y.chunks_exact_mut(half)) {
            let (gate, value) = row.split_at(half);
            for ((y, &g), &v) in y.iter_mut().zip(gate).zip(value) {
                *y = silu(g) * v;
            }
        }
    }
}

kernel! {
    /// `x [.., 2h], dy [.., h] -> dx [.., 2h]`.
    pub(in crate::engine::cpu) fn swiglu_grad(x: &[f32], half: usize, dy: &[f32], dx: &mut [f32]) {
        use crate::engine::reference::elementwise::{silu, silu_slope};
        let rows = x.chunks_exact(2 * half).zip(dy.chunks_exact(half)).zip(dx.chunks_exact_mut(2 * half));
        for ((row, dy), out) in rows {
            let (gate, value) = row.split_at(half);
            let (dgate, dvalue) = out.split_at_mut(half);
            for ((out, (&g, &v)), &d) in dgate.iter_mut().zip(gate.iter().zip(value)).zip(dy) {
                *out = silu_slope(g) * v * d;
            }
            for ((out, &g), &d) in dvalue.iter_mut().zip(gate).zip(dy) {
                *out = silu(g) * d;
            }
        }
    }
}

/// `x [B, T, C] -> y [B, C]`: the last position of each sample.
pub(in crate::engine::cpu) fn last_token(x: &[f32], width: usize, y: &mut [f32]) {
    let sample = x.len() / (y.len() / width).max(1);
    for (x, y) in x.chunks_exact(sample).zip(y.chunks_exact_mut(width)) {
        y.copy_from_slice(&x[sample - width..]);
    }
}

/// `dy [B, C] -> dx [B, T, C]`: zero but for the last position.
pub(in crate::engine::cpu) fn last_token_grad(dy: &[f32], width: usize, dx: &mut [f32]) {
    let sample = dx.len() / (dy.len() / width).max(1);
    for (dy, dx) in dy.chunks_exact(width).zip(dx.chunks_exact_mut(sample)) {
        dx[..sample - width].fill(0.0);
        dx[sample - width..].copy_from_slice(dy);
    }
}
