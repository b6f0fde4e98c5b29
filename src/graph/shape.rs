//! Shape rules: what each op makes of its inputs.
//!
//! Some ops' output shape is not decided by their inputs (a reshape, the gradient of a pool that dropped an edge); it
//! is then *declared* and the rule checks that it is possible. Errors name the op and all operands.

use super::{DType, Op, Value};
use DType::{F32, U32};

/// All leading dimensions taken together, and the last one.
pub(super) fn rows_features(shape: &[usize]) -> (usize, usize) {
    match shape.split_last() {
        Some((&features, leading)) => (leading.iter().product(), features),
        None => (1, 1),
    }
}

impl Op {
    /// Shapes and element types of all outputs, from the inputs and the declared first output (only looked at where
    /// the inputs leave it open).
    ///
    /// Errors: one line with the op, its operands and what does not fit.
    pub fn infer(&self, inputs: &[&Value], declared: &Value) -> Result<Vec<Value>, String> {
        outputs(self, inputs, declared).map_err(|reason| {
            let operands: Vec<String> = inputs.iter().map(ToString::to_string).collect();
            format!("{self} of ({}) to {declared}: {reason}", operands.join(", "))
        })
    }
}

fn float(shape: &[usize]) -> Value {
    Value { shape: shape.to_vec(), dtype: F32 }
}

/// The shapes of exactly N inputs of the wanted element types.
fn take<'a, const N: usize>(inputs: &[&'a Value], wanted: [DType; N]) -> Result<[&'a [usize]; N], String> {
    if inputs.len() != N {
        return Err(format!("{} inputs instead of {N}", inputs.len()));
    }
    for (i, dtype) in wanted.iter().enumerate() {
        if inputs[i].dtype != *dtype {
            return Err(format!("input {i} is {} instead of {dtype:?}", inputs[i]));
        }
    }
    Ok(std::array::from_fn(|i| inputs[i].shape.as_slice()))
}

fn ensure(holds: bool, reason: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(reason()) }
}

/// Both shapes must be the same.
fn same(what: &str, a: &[usize], b: &[usize]) -> Result<(), String> {
    ensure(a == b, || format!("{what}: {a:?} is not {b:?}"))
}

fn rank<'a, const N: usize>(what: &str, shape: &'a [usize]) -> Result<&'a [usize; N], String> {
    shape.try_into().map_err(|_| format!("{what} {shape:?} does not have {N} dimensions"))
}

fn append(shape: &[usize], last: usize) -> Vec<usize> {
    let mut shape = shape.to_vec();
    shape.push(last);
    shape
}

/// `[B, H, W, C]` after 2x2 windows with stride 2.
fn pooled(x: &[usize]) -> Result<Vec<usize>, String> {
    let &[b, h, w, c] = rank::<4>("image", x)?;
    ensure(h >= 2 && w >= 2, || format!("{h}x{w} pixels are fewer than one 2x2 window"))?;
    Ok(vec![b, h / 2, w / 2, c])
}

/// Batch, positions and features of one head in a packed `[B, T, (heads + 2 kv_heads) * head_dim]`.
fn packed(qkv: &[usize], heads: usize, kv_heads: usize) -> Result<(usize, usize, usize), String> {
    let &[b, t, features] = rank::<3>("qkv", qkv)?;
    ensure(kv_heads > 0 && heads > 0 && heads.is_multiple_of(kv_heads), || {
        format!("{kv_heads} key/value heads do not divide {heads} heads")
    })?;
    let all = heads + 2 * kv_heads;
    ensure(features.is_multiple_of(all), || format!("{features} features do not hold {all} heads"))?;
    Ok((b, t, features / all))
}

/// The first `count` heads of `head_dim` features must exist in a packed `[B, T, F]`.
fn leading_heads(qkv: &[usize], count: usize, head_dim: usize) -> Result<[usize; 3], String> {
    let &[b, t, features] = rank::<3>("qkv", qkv)?;
    ensure(head_dim > 0 && features.is_multiple_of(head_dim) && count * head_dim <= features, || {
        format!("{features} features do not hold {count} heads of {head_dim}")
    })?;
    Ok([b, t, features])
}

/// A gain or bias `[C]` for the features of `x`.
fn per_feature(what: &str, x: &[usize], vector: &[usize]) -> Result<(), String> {
    ensure(!x.is_empty(), || "a scalar has no features".to_string())?;
    same(what, vector, &x[x.len() - 1..])
}

fn grouped(x: &[usize], groups: usize) -> Result<[usize; 2], String> {
    let &[b, _, _, c] = rank::<4>("image", x)?;
    ensure(groups > 0 && c.is_multiple_of(groups), || format!("{groups} groups do not divide {c} channels"))?;
    Ok([b, groups])
}

/// Kernel side of `[Cout, k, k, Cin]`.
fn kernel(w: &[usize]) -> Result<[usize; 3], String> {
    let &[outputs, k, k2, inputs] = rank::<4>("kernel", w)?;
    ensure(k == k2 && k % 2 == 1, || format!("kernel {k}x{k2} is not an odd square"))?;
    Ok([outputs, k, inputs])
}

fn outputs(op: &Op, inputs: &[&Value], declared: &Value) -> Result<Vec<Value>, String> {
    let one = |shape: &[usize]| Ok(vec![float(shape)]);
    match op {
        Op::Batch(_) => {
            take(inputs, [])?;
            Ok(vec![declared.clone()])
        }
        Op::State(_) | Op::Fill(_) => {
            take(inputs, [])?;
            one(&declared.shape)
        }
        Op::Host(_) => {
            take(inputs, [])?;
            one(&[])
        }
        Op::MatMul { trans_a, trans_b } => {
            let [a, b] = take(inputs, [F32; 2])?;
            let turned = |(r, f): (usize, usize), turn: &bool| if *turn { (f, r) } else { (r, f) };
            let (m, k) = turned(rows_features(a), trans_a);
            let (k2, n) = turned(rows_features(b), trans_b);
            ensure(k == k2, || format!("inner dimensions {k} and {k2} differ"))?;
            let (rows, features) = rows_features(&declared.shape);
            ensure((rows, features) == (m, n) && !declared.shape.is_empty(), || {
                format!("the product is {m} rows of {n}")
            })?;
            one(&declared.shape)
        }
        Op::Add => {
            let [a, b] = take(inputs, [F32; 2])?;
            same("terms", a, b)?;
            one(a)
        }
        Op::AddBroadcast => {
            let [x, b] = take(inputs, [F32; 2])?;
            ensure(x.ends_with(b), || format!("{b:?} is not a suffix of {x:?}"))?;
            one(x)
        }
        Op::SumLeading => {
            let [dy] = take(inputs, [F32])?;
            ensure(dy.ends_with(&declared.shape), || format!("{:?} is not a suffix of {dy:?}", declared.shape))?;
            one(&declared.shape)
        }
        Op::Scale(_) | Op::Activate(_) => {
            let [x] = take(inputs, [F32])?;
            one(x)
        }
        Op::ActivateGrad(_) => {
            let [x, dy] = take(inputs, [F32; 2])?;
            same("gradient", dy, x)?;
            one(x)
        }
        Op::Swiglu => {
            let [x] = take(inputs, [F32])?;
            let (_, features) = rows_features(x);
            ensure(!x.is_empty() && features % 2 == 0, || format!("{features} features are not two halves"))?;
            one(&append(&x[..x.len() - 1], features / 2))
        }
        Op::SwigluGrad => {
            let [x, dy] = take(inputs, [F32; 2])?;
            let (_, half) = rows_features(dy);
            ensure(!dy.is_empty(), || "a scalar has no halves".to_string())?;
            same("input", x, &append(&dy[..dy.len() - 1], 2 * half))?;
            one(x)
        }
        Op::Dropout { p, .. } => {
            let [x] = take(inputs, [F32])?;
            ensure((0.0..1.0).contains(p), || format!("probability {p} is not in [0, 1)"))?;
            ensure(!x.is_empty(), || "a scalar has no samples".to_string())?;
            one(x)
        }
        Op::LayerNorm { .. } => {
            let [x, gain, bias] = take(inputs, [F32; 3])?;
            per_feature("gain", x, gain)?;
            per_feature("bias", x, bias)?;
            let rows = [rows_features(x).0];
            Ok(vec![float(x), float(&rows), float(&rows)])
        }
        Op::LayerNormGrad => {
            let [x, gain, mean, rstd, dy] = take(inputs, [F32; 5])?;
            per_feature("gain", x, gain)?;
            same("mean", mean, &[rows_features(x).0])?;
            same("1/deviation", rstd, mean)?;
            same("gradient", dy, x)?;
            Ok(vec![float(x), float(gain), float(gain)])
        }
        Op::RmsNorm { .. } => {
            let [x, gain] = take(inputs, [F32; 2])?;
            per_feature("gain", x, gain)?;
            Ok(vec![float(x), float(&[rows_features(x).0])])
        }
        Op::RmsNormGrad => {
            let [x, gain, rstd, dy] = take(inputs, [F32; 4])?;
            per_feature("gain", x, gain)?;
            same("1/deviation", rstd, &[rows_features(x).0])?;
            same("gradient", dy, x)?;
            Ok(vec![float(x), float(gain)])
        }
        Op::GroupNorm { groups, .. } => {
            let [x, gain, bias] = take(inputs, [F32; 3])?;
            let statistics = grouped(x, *groups)?;
            per_feature("gain", x, gain)?;
            per_feature("bias", x, bias)?;
            Ok(vec![float(x), float(&statistics), float(&statistics)])
        }
        Op::GroupNormGrad { groups } => {
            let [x, gain, mean, rstd, dy] = take(inputs, [F32; 5])?;
            same("mean", mean, &grouped(x, *groups)?)?;
            same("1/deviation", rstd, mean)?;
            per_feature("gain", x, gain)?;
            same("gradient", dy, x)?;
            Ok(vec![float(x), float(gain), float(gain)])
        }
        Op::Embedding => {
            let [table, ids] = take(inputs, [F32, U32])?;
            let &[_, c] = rank::<2>("table", table)?;
            one(&append(ids, c))
        }
        Op::EmbeddingGrad => {
            let [ids, dy] = take(inputs, [U32, F32])?;
            let &[_, c] = rank::<2>("table", &declared.shape)?;
            same("gradient", dy, &append(ids, c))?;
            one(&declared.shape)
        }
        Op::Rope { rotated_heads, head_dim, .. } => {
            let [qkv] = take(inputs, [F32])?;
            leading_heads(qkv, *rotated_heads, *head_dim)?;
            ensure(head_dim % 2 == 0, || format!("{head_dim} features of a head are not pairs"))?;
            one(qkv)
        }
        Op::QkNorm { normed_heads, head_dim, .. } => {
            let [qkv] = take(inputs, [F32])?;
            let [b, t, _] = leading_heads(qkv, *normed_heads, *head_dim)?;
            Ok(vec![float(qkv), float(&[b, t, *normed_heads])])
        }
        Op::QkNormGrad { normed_heads, head_dim } => {
            let [qkv, rstd, dy] = take(inputs, [F32; 3])?;
            let [b, t, _] = leading_heads(qkv, *normed_heads, *head_dim)?;
            same("1/deviation", rstd, &[b, t, *normed_heads])?;
            same("gradient", dy, qkv)?;
            one(qkv)
        }
        Op::Attention { heads, kv_heads } => {
            let [qkv] = take(inputs, [F32])?;
            let (b, t, d) = packed(qkv, *heads, *kv_heads)?;
            Ok(vec![float(&[b, t, heads * d]), float(&[b, *heads, t])])
        }
        Op::AttentionGrad { heads, kv_heads } => {
            let [qkv, out, lse, dout] = take(inputs, [F32; 4])?;
            let (b, t, d) = packed(qkv, *heads, *kv_heads)?;
            same("output", out, &[b, t, heads * d])?;
            same("log-sum-exp", lse, &[b, *heads, t])?;
            same("gradient", dout, out)?;
            one(qkv)
        }
        Op::LastToken => {
            let [x] = take(inputs, [F32])?;
            let &[b, _, c] = rank::<3>("tokens", x)?;
            one(&[b, c])
        }
        Op::LastTokenGrad => {
            let [dy] = take(inputs, [F32])?;
            let &[b, _, c] = rank::<3>("tokens", &declared.shape)?;
            same("gradient", dy, &[b, c])?;
            one(&declared.shape)
        }
        Op::Conv2d => {
            let [x, w] = take(inputs, [F32; 2])?;
            let &[b, h, wide, c] = rank::<4>("image", x)?;
            let [outputs, _, inputs] = kernel(w)?;
            ensure(c == inputs, || format!("{c} channels meet a kernel for {inputs}"))?;
            one(&[b, h, wide, outputs])
        }
        Op::Conv2dGradInput => {
            let [w, dy] = take(inputs, [F32; 2])?;
            let &[b, h, wide, c] = rank::<4>("gradient", dy)?;
            let [outputs, _, inputs] = kernel(w)?;
            ensure(c == outputs, || format!("{c} channels meet a kernel that makes {outputs}"))?;
            one(&[b, h, wide, inputs])
        }
        Op::Conv2dGradWeight => {
            let [x, dy] = take(inputs, [F32; 2])?;
            let &[b, h, wide, c] = rank::<4>("image", x)?;
            let [outputs, _, inputs] = kernel(&declared.shape)?;
            ensure(c == inputs, || format!("{c} channels meet a kernel for {inputs}"))?;
            same("gradient", dy, &[b, h, wide, outputs])?;
            one(&declared.shape)
        }
        Op::MaxPool2 => {
            let [x] = take(inputs, [F32])?;
            let y = pooled(x)?;
            Ok(vec![float(&y), Value { shape: y, dtype: U32 }])
        }
        Op::MaxPool2Grad => {
            let [index, dy] = take(inputs, [U32, F32])?;
            same("index", index, dy)?;
            same("gradient", dy, &pooled(&declared.shape)?)?;
            one(&declared.shape)
        }
        Op::MeanPool2 => {
            let [x] = take(inputs, [F32])?;
            one(&pooled(x)?)
        }
        Op::MeanPool2Grad => {
            let [dy] = take(inputs, [F32])?;
            same("gradient", dy, &pooled(&declared.shape)?)?;
            one(&declared.shape)
        }
        Op::MeanPixels => {
            let [x] = take(inputs, [F32])?;
            let &[b, _, _, c] = rank::<4>("image", x)?;
            one(&[b, c])
        }
        Op::MeanPixelsGrad => {
            let [dy] = take(inputs, [F32])?;
            let &[b, _, _, c] = rank::<4>("image", &declared.shape)?;
            same("gradient", dy, &[b, c])?;
            one(&declared.shape)
        }
        Op::Reshape => {
            let [x] = inputs else { return Err(format!("{} inputs instead of 1", inputs.len())) };
            ensure(x.elements() == declared.elements(), || {
                format!("{} elements do not become {}", x.elements(), declared.elements())
            })?;
            Ok(vec![Value { shape: declared.shape.clone(), dtype: x.dtype }])
        }
        Op::CrossEntropy { .. } => {
            let [logits, target] = take(inputs, [F32, U32])?;
            let &[n, _] = rank::<2>("logits", logits)?;
            same("target", target, &[n])?;
            Ok(vec![float(&[n]), float(&[n])])
        }
        Op::CrossEntropyGrad { .. } => {
            let [logits, target, lse, weight] = take(inputs, [F32, U32, F32, F32])?;
            let &[n, _] = rank::<2>("logits", logits)?;
            for (what, shape) in [("target", target), ("log-sum-exp", lse), ("weight", weight)] {
                same(what, shape, &[n])?;
            }
            one(logits)
        }
        Op::SquaredError => {
            let [prediction, target] = take(inputs, [F32; 2])?;
            let &[n, _] = rank::<2>("prediction", prediction)?;
            same("target", target, prediction)?;
            one(&[n])
        }
        Op::SquaredErrorGrad { .. } => {
            let [prediction, target, weight] = take(inputs, [F32; 3])?;
            let &[n, _] = rank::<2>("prediction", prediction)?;
            same("target", target, prediction)?;
            same("weight", weight, &[n])?;
            one(prediction)
        }
        Op::WeightedSum => {
            let [values, weight] = take(inputs, [F32; 2])?;
            rank::<1>("values", values)?;
            same("weight", weight, values)?;
            one(&[])
        }
        Op::CorrectSum => {
            let [logits, target, weight] = take(inputs, [F32, U32, F32])?;
            let &[n, _] = rank::<2>("logits", logits)?;
            same("target", target, &[n])?;
            same("weight", weight, &[n])?;
            one(&[])
        }
        Op::GlobalNorm => {
            ensure(!inputs.is_empty(), || "no gradients".to_string())?;
            ensure(inputs.iter().all(|g| g.dtype == F32), || "gradients are f32".to_string())?;
            one(&[])
        }
        Op::ClipFactor { .. } => {
            let [norm] = take(inputs, [F32])?;
            same("norm", norm, &[])?;
            one(&[])
        }
        Op::Sgd { momentum, .. } => {
            let p = if *momentum == 0.0 {
                let [p, g, clip, lr] = take(inputs, [F32; 4])?;
                update(p, &[g], &[clip, lr])?
            } else {
                let [p, g, clip, lr, m] = take(inputs, [F32; 5])?;
                update(p, &[g, m], &[clip, lr])?
            };
            Ok(vec![p; if *momentum == 0.0 { 1 } else { 2 }])
        }
        Op::AdamW { .. } => {
            let [p, g, clip, lr, c1, c2, m, v] = take(inputs, [F32; 8])?;
            Ok(vec![update(p, &[g, m, v], &[clip, lr, c1, c2])?; 3])
        }
        Op::Ema { .. } => {
            let [average, p] = take(inputs, [F32; 2])?;
            same("parameter", p, average)?;
            one(p)
        }
    }
}

/// An optimiser's operands: buffers shaped like the parameter, and scalars.
fn update(p: &[usize], alike: &[&[usize]], scalars: &[&[usize]]) -> Result<Value, String> {
    for shape in alike {
        same("gradient or buffer", shape, p)?;
    }
    for shape in scalars {
        same("scalar", shape, &[])?;
    }
    Ok(float(p))
}
