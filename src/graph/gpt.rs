//! Decoder-only transformers with pre-norm blocks: `x += attention(norm(x)); x += feed_forward(norm(x))`.

use super::check;
use super::net::{Linear, NORM_EPS, Net};
use super::{Init, Op, ValueId};
use crate::config::{Activation, DataShape, FeedForward, GptModel, InputShape, ParamRole, Positions, TargetShape};
use crate::problem::{Problem, Result};

/// Base of the rotary frequencies (Su et al., arXiv 2104.09864).
const ROPE_BASE: f32 = 10_000.0;

/// Tokens in a sample: fixed by the data, else the model's context.
pub(super) fn context(model: &GptModel, data: &DataShape) -> usize {
    match data.input {
        InputShape::Tokens { fixed: Some(length), .. } => length,
        _ => model.context,
    }
}

/// Hidden width of the feed-forward part: `expansion * width`, to the nearest unit; for SwiGLU up to a multiple of 8.
fn hidden(model: &GptModel) -> usize {
    let gated = model.feed_forward == FeedForward::Swiglu;
    let exact = model.width as f64 * model.expansion.unwrap_or(if gated { 8.0 / 3.0 } else { 4.0 });
    // 8/3 is not a binary fraction: without the margin a product that should be 256 could round up to 264.
    if gated { (exact / 8.0 - 1e-9).ceil() as usize * 8 } else { exact.round() as usize }
}

/// Refuses what cannot be built.
pub(super) fn refuse(model: &GptModel, data: &DataShape) -> Result<()> {
    let vocabulary = match data.input {
        InputShape::Tokens { vocabulary, .. } => vocabulary,
        InputShape::Image { .. } => return Err(check::wrong_input("a GPT", "images", "cnn")),
        InputShape::Features(_) => return Err(check::wrong_input("a GPT", "a vector of features", "mlp")),
    };
    let classes = match data.target {
        TargetShape::Class { classes } => classes,
        TargetShape::NextToken { vocabulary } => vocabulary,
        TargetShape::Real { outputs } => {
            return Err(Problem::usage(format!("a GPT predicts classes or tokens, not {outputs} real numbers"))
                .at("model.kind")
                .remedy("set model.kind = \"mlp\" for regression"));
        }
    };
    check::count("model.depth", model.depth)?;
    check::size("model.width", model.width)?;
    check::size("model.heads", model.heads)?;
    check::size("model.context", context(model, data))?;
    check::probability("model.dropout", model.dropout)?;
    let (width, heads) = (model.width, model.heads);
    if !width.is_multiple_of(heads) {
        return Err(Problem::usage(format!("{heads} heads do not divide a width of {width}"))
            .at("model.heads")
            .remedy(format!(
                "use a divisor of {width} ({}), or set model.width to {}",
                check::divisors(width),
                width.next_multiple_of(heads)
            )));
    }
    let kv_heads = model.kv_heads.unwrap_or(heads);
    check::size("model.kv_heads", kv_heads)?;
    if !heads.is_multiple_of(kv_heads) {
        return Err(Problem::usage(format!("{kv_heads} key/value heads do not divide {heads} heads"))
            .at("model.kv_heads")
            .remedy(format!("use a divisor of {heads}: {}", check::divisors(heads))));
    }
    let head_dim = width / heads;
    if model.positions == Positions::Rotary && head_dim % 2 == 1 {
        let what =
            format!("rotary positions need an even number of features a head, and {width} / {heads} is {head_dim}");
        return Err(Problem::usage(what)
            .at("model.heads")
            .remedy(format!("set model.width to {}, or model.positions = \"learned\"", heads * (head_dim + 1))));
    }
    if let Some(expansion) = model.expansion
        && !(expansion.is_finite() && expansion > 0.0 && expansion * width as f64 >= 1.0 && expansion <= 1024.0)
    {
        return Err(Problem::usage(format!("an expansion of {expansion} gives a width of {width} no hidden layer"))
            .at("model.expansion")
            .remedy("use a number such as 4; at most 1024"));
    }
    if !(model.init_scale.is_finite() && model.init_scale > 0.0) {
        return Err(Problem::usage(format!("initial weights cannot have a deviation of {}", model.init_scale))
            .at("model.init_scale")
            .remedy("use a small positive number such as 0.02"));
    }
    if model.tied && vocabulary != classes {
        let what =
            format!("a tied embedding of {vocabulary} input tokens cannot be the output layer for {classes} classes");
        return Err(Problem::usage(what).at("model.tied").remedy("set model.tied = false"));
    }
    Ok(())
}

/// `input u32 [B, T] -> logits [B T, V]` for next tokens, `[B, V]` from the last position for classes.
///
/// Parameters: `token_embedding`, `position_embedding`, `blocks.i.{norm1,qkv,out,norm2,up,down}`, `norm`, `head.weight`.
pub(super) fn forward(net: &mut Net, model: &GptModel, data: &DataShape, input: ValueId) -> Result<ValueId> {
    let InputShape::Tokens { vocabulary, .. } = data.input else {
        return Err(check::wrong_input("a GPT", "no tokens", "mlp"));
    };
    let (width, time) = (model.width, context(model, data));
    let normal = Init::Normal(model.init_scale);
    let table = net.param("token_embedding", &[vocabulary, width], ParamRole::Embedding, normal)?;
    let mut x = net.builder.one(Op::Embedding, &[table, input])?;
    if model.positions == Positions::Learned {
        let positions = net.param("position_embedding", &[time, width], ParamRole::Embedding, normal)?;
        x = net.builder.one(Op::AddBroadcast, &[x, positions])?;
    }
    x = net.dropout(model.dropout, x)?;
    let classes = match data.target {
        TargetShape::NextToken { vocabulary } => vocabulary,
        TargetShape::Class { classes } => classes,
        TargetShape::Real { outputs } => outputs,
    };
    // A class is read off the last position, which only attention connects with the others: all other positions end at
    // the last block's attention.
    let mut last_only = !matches!(data.target, TargetShape::Class { .. });
    for block in 0..model.depth {
        let name = format!("blocks.{block}");
        let mut y = attention(net, model, &name, x)?;
        if block + 1 == model.depth && !last_only {
            (x, y) = (net.builder.one(Op::LastToken, &[x])?, net.builder.one(Op::LastToken, &[y])?);
            last_only = true;
        }
        y = linear(net, model, &format!("{name}.out"), model.width, true, y)?;
        y = net.dropout(model.dropout, y)?;
        x = net.builder.one(Op::Add, &[x, y])?;
        let y = feed_forward(net, model, &name, x)?;
        let y = net.dropout(model.dropout, y)?;
        x = net.builder.one(Op::Add, &[x, y])?;
    }
    if !last_only {
        x = net.builder.one(Op::LastToken, &[x])?;
    }
    x = net.norm("norm", model.norm, x)?;
    let head = if model.tied { table } else { net.param("head.weight", &[classes, width], ParamRole::Head, normal)? };
    let shape = net.builder.shape(x);
    let rows = shape[..shape.len() - 1].iter().product();
    net.builder.shaped(Op::MatMul { trans_a: false, trans_b: true }, &[x, head], &[rows, classes])
}

/// A linear layer of a block; those that write into the residual stream start smaller (GPT-2).
fn linear(net: &mut Net, model: &GptModel, name: &str, outputs: usize, residual: bool, x: ValueId) -> Result<ValueId> {
    let shrink = if residual { (2.0 * model.depth as f64).sqrt() } else { 1.0 };
    let layer = Linear {
        name,
        outputs,
        role: ParamRole::Weight,
        weight: Init::Normal(model.init_scale / shrink),
        bias: model.bias.then_some(Init::Zeros),
    };
    net.linear(&layer, x)
}

/// Up to what the heads have read, before the output layer.
fn attention(net: &mut Net, model: &GptModel, block: &str, x: ValueId) -> Result<ValueId> {
    let (heads, kv_heads) = (model.heads, model.kv_heads.unwrap_or(model.heads));
    let head_dim = model.width / heads;
    let x = net.norm(&format!("{block}.norm1"), model.norm, x)?;
    let mut qkv = linear(net, model, &format!("{block}.qkv"), (heads + 2 * kv_heads) * head_dim, false, x)?;
    if model.qk_norm {
        qkv = net.builder.one(Op::QkNorm { normed_heads: heads + kv_heads, head_dim, eps: NORM_EPS }, &[qkv])?;
    }
    if model.positions == Positions::Rotary {
        let rope = Op::Rope { rotated_heads: heads + kv_heads, head_dim, base: ROPE_BASE, inverse: false };
        qkv = net.builder.one(rope, &[qkv])?;
    }
    net.builder.one(Op::Attention { heads, kv_heads }, &[qkv])
}

fn feed_forward(net: &mut Net, model: &GptModel, block: &str, x: ValueId) -> Result<ValueId> {
    let hidden = hidden(model);
    let x = net.norm(&format!("{block}.norm2"), model.norm, x)?;
    let gated = model.feed_forward == FeedForward::Swiglu;
    let up = linear(net, model, &format!("{block}.up"), if gated { 2 * hidden } else { hidden }, false, x)?;
    let y = match model.feed_forward {
        FeedForward::Gelu => net.activate(Activation::Gelu, up)?,
        FeedForward::Relu => net.activate(Activation::Relu, up)?,
        FeedForward::ReluSquared => net.activate(Activation::ReluSquared, up)?,
        FeedForward::Swiglu => net.builder.one(Op::Swiglu, &[up])?,
    };
    linear(net, model, &format!("{block}.down"), model.width, true, y)
}
