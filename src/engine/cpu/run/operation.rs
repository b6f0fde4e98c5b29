//! A tile of a step whose root is an op of the graph.

use super::images::{convolution, pooling, pooling_grad};
use super::{Context, product, rows_of, short, whole_rows};
use crate::engine::cpu::kernels::{attention, norm, tokens};
use crate::engine::cpu::lower::{Cut, part};
use crate::engine::plan::{Step, Tensor};
use crate::graph::Op;

#[allow(clippy::too_many_lines, reason = "one arm an op, each a line or a few")]
pub(super) unsafe fn operation(
    context: &Context,
    step: &Step,
    cut: &Cut,
    op: &Op,
    (block, tile): (usize, usize),
    scratch: &mut [f32],
) {
    let memory = &context.memory;
    let (rows, columns) = rows_of(cut, tile);
    let (start, length) = (rows.start * columns, rows.len() * columns);
    let (input, output) = (|i: usize| &step.inputs[i], |i: usize| &step.outputs[i]);
    // SAFETY: see the module.
    unsafe {
        let read = |i: usize| memory.read(input(i), start, length);
        let write = |i: usize| memory.write(output(i), start, length);
        // One value a row.
        let row_values = |i: usize| memory.read(input(i), rows.start, rows.len());
        let row_outputs = |i: usize| memory.write(output(i), rows.start, rows.len());
        // Several values a row of the first input, such as one a head or a group.
        let per_row = |tensor: &Tensor| {
            let each = tensor.elements() * columns / input(0).elements().max(1);
            (rows.start * each, rows.len() * each)
        };
        match *op {
            Op::MatMul { trans_a, trans_b } => product(context, step, cut, (block, tile), (trans_a, trans_b)),
            Op::SumLeading => match cut {
                Cut::Columns { columns: all, each } => {
                    let columns = part(*all, *each, tile);
                    let (x, out) = (memory.all(input(0)), memory.write(output(0), columns.start, columns.len()));
                    if !context.adds(step.into[0]) {
                        out.fill(0.0);
                    }
                    for row in x.chunks_exact(*all) {
                        norm::sum_rows(&row[columns.clone()], out);
                    }
                }
                _ => {
                    let sums = memory.partial(tile, columns);
                    sums.fill(0.0);
                    norm::sum_rows(read(0), sums);
                }
            },
            Op::LayerNorm { eps } => {
                let (gain, bias) = (memory.all(input(1)), memory.all(input(2)));
                norm::layer_norm(read(0), gain, bias, eps, write(0), row_outputs(1), row_outputs(2));
                context.tail(step, whole_rows(&rows, columns));
            }
            Op::LayerNormGrad => {
                let sums = memory.partial(tile, 2 * columns);
                sums.fill(0.0);
                let (dgain, dbias) = sums.split_at_mut(columns);
                let (mean, rstd) = (row_values(2), row_values(3));
                norm::layer_norm_grad(read(0), memory.all(input(1)), mean, rstd, read(4), write(0), dgain, dbias);
                context.tail(step, whole_rows(&rows, columns));
            }
            Op::RmsNorm { eps } => {
                norm::rms_norm(read(0), memory.all(input(1)), eps, write(0), row_outputs(1));
                context.tail(step, whole_rows(&rows, columns));
            }
            Op::RmsNormGrad => {
                let dgain = memory.partial(tile, columns);
                dgain.fill(0.0);
                norm::rms_norm_grad(read(0), memory.all(input(1)), row_values(2), read(3), write(0), dgain);
                context.tail(step, whole_rows(&rows, columns));
            }
            Op::GroupNorm { groups, eps } => {
                let (gain, bias) = (memory.all(input(1)), memory.all(input(2)));
                for image in rows.clone() {
                    let x = memory.read(input(0), image * columns, columns);
                    let y = memory.write(output(0), image * columns, columns);
                    let mean = memory.write(output(1), image * groups, groups);
                    let rstd = memory.write(output(2), image * groups, groups);
                    norm::group_norm(x, gain, bias, eps, y, mean, rstd, scratch);
                }
            }
            Op::GroupNormGrad { groups } => {
                let gain = memory.all(input(1));
                let sums = memory.partial(tile, 2 * gain.len());
                sums.fill(0.0);
                let (dgain, dbias) = sums.split_at_mut(gain.len());
                for image in rows.clone() {
                    let (x, dy) = (
                        memory.read(input(0), image * columns, columns),
                        memory.read(input(4), image * columns, columns),
                    );
                    let mean = memory.read(input(2), image * groups, groups);
                    let rstd = memory.read(input(3), image * groups, groups);
                    let dx = memory.write(output(0), image * columns, columns);
                    norm::group_norm_grad(x, gain, mean, rstd, dy, dx, dgain, dbias, scratch);
                }
            }
            Op::QkNorm { head_dim, eps, .. } => {
                let (from, count) = per_row(output(1));
                norm::qk_norm(read(0), columns, head_dim, eps, write(0), memory.write(output(1), from, count));
            }
            Op::QkNormGrad { head_dim, .. } => {
                let (from, count) = per_row(input(1));
                norm::qk_norm_grad(read(0), columns, head_dim, memory.read(input(1), from, count), read(2), write(0));
            }
            Op::Embedding => {
                let ids = memory.ids(input(1), rows.start, rows.len());
                tokens::embedding(memory.all(input(0)), ids, columns, write(0));
                context.tail(step, whole_rows(&rows, columns));
            }
            Op::EmbeddingGrad => {
                let Cut::Columns { columns: width, each } = cut else { return };
                let columns = part(*width, *each, tile);
                let ids = memory.ids(input(0), 0, input(0).elements());
                let (table, add) = (memory.at(output(0)), context.adds(step.into[0]));
                let (vocabulary, _) = output(0).rows_columns();
                let dy = memory.all(input(1));
                tokens::embedding_grad(ids, dy, table, vocabulary, *width, columns.start, columns.end, add);
            }
            Op::Rope { rotated_heads, head_dim, .. } => {
                let Cut::Rope { table, .. } = cut else { return };
                if memory.at(input(0)) != memory.at(output(0)) {
                    write(0).copy_from_slice(read(0));
                }
                let time = input(0).shape[1];
                tokens::rope(write(0), columns, rotated_heads, head_dim, table, time, rows.start % time);
            }
            Op::Swiglu => tokens::swiglu(memory.read(input(0), 2 * start, 2 * length), columns, write(0)),
            Op::SwigluGrad => {
                let (x, dx) =
                    (memory.read(input(0), 2 * start, 2 * length), memory.write(output(0), 2 * start, 2 * length));
                tokens::swiglu_grad(x, columns, read(1), dx);
            }
            Op::Attention { heads, kv_heads } if matches!(cut, Cut::Rows { .. }) => {
                short(context, step, cut, tile, (heads, kv_heads), 0, false, scratch);
            }
            Op::AttentionGrad { heads, kv_heads } if matches!(cut, Cut::Rows { .. }) => {
                short(context, step, cut, tile, (heads, kv_heads), 0, true, scratch);
            }
            Op::Attention { .. } => {
                let Cut::Attention(shape) = cut else { return };
                let (out, lse) = (memory.at(output(0)), memory.at(output(1)));
                attention::forward(*shape, tile, memory.at(input(0)), out, lse, scratch);
            }
            Op::AttentionGrad { .. } => {
                let Cut::Attention(shape) = cut else { return };
                let [qkv, out, lse, dout] = [0, 1, 2, 3].map(|i| memory.at(input(i)).cast_const());
                let saved = attention::Saved { qkv, out, lse, dout };
                attention::backward(*shape, tile, saved, memory.at(output(0)), scratch);
            }
            Op::LastToken => {
                let (_, width) = output(0).rows_columns();
                tokens::last_token(read(0), width, memory.write(output(0), rows.start * width, rows.len() * width));
            }
            Op::LastTokenGrad => {
                let (_, width) = input(0).rows_columns();
                tokens::last_token_grad(memory.read(input(0), rows.start * width, rows.len() * width), width, write(0));
            }
            Op::Conv2d | Op::Conv2dGradInput | Op::Conv2dGradWeight => convolution(context, step, cut, tile, scratch),
            Op::MaxPool2 | Op::MeanPool2 | Op::MeanPixels => pooling(context, step, op, &rows),
            Op::MaxPool2Grad | Op::MeanPool2Grad | Op::MeanPixelsGrad => pooling_grad(context, step, op, &rows),
            // The plan makes other roots of all others, or none at all.
            _ => debug_assert!(false, "{op} is no root"),
        }
    }
}
