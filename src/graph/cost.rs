//! FLOPs and bytes of every op, forward and backward.
//!
//! Conventions. A multiply-add is two operations; a comparison, a division, a root or a transcendental function is one.
//! Matrix products are exact (2 M N K), convolutions count the padding, and causal attention counts the full square, as
//! in the PaLM appendix (Chowdhery et al., arXiv 2204.02311: 12 heads head_dim T a token for forward and backward), with
//! neither its softmax nor what a backward pass recomputes. The factors of element-wise ops are the operations of the
//! plain formula, which matters little: these ops are bound by bytes.
//! Bytes are inputs read once plus outputs written once; leaves and reshapes move nothing, gathers only the rows they take.

use super::shape::rows_features;
use super::{Node, Op, Program, StepPrograms, Value, Work};
use crate::config::Activation;
use crate::units::{Bytes, Flops};

impl Program {
    /// Work of one node of this program.
    pub fn work(&self, node: &Node) -> Work {
        let inputs: Vec<&Value> = node.inputs.iter().map(|id| &self.values[id.0]).collect();
        let outputs: Vec<&Value> = node.outputs.iter().map(|id| &self.values[id.0]).collect();
        Work { flops: Flops(flops(&node.op, &inputs, &outputs)), bytes: bytes(&node.op, &inputs, &outputs) }
    }

    /// Work of all nodes together.
    pub fn total_work(&self) -> Work {
        let mut total = Work::default();
        for node in &self.nodes {
            let work = self.work(node);
            total.flops.0 += work.flops.0;
            total.bytes.0 += work.bytes.0;
        }
        total
    }
}

impl StepPrograms {
    /// FLOPs of one optimiser step: all its micro-batches and the update.
    pub fn step_flops(&self) -> Flops {
        Flops(self.micro_steps as f64 * self.micro.total_work().flops.0 + self.apply.total_work().flops.0)
    }
}

fn bytes(op: &Op, inputs: &[&Value], outputs: &[&Value]) -> Bytes {
    let sum = |values: &[&Value]| values.iter().map(|value| value.bytes().0).sum::<u64>();
    Bytes(match op {
        Op::State(_) | Op::Batch(_) | Op::Host(_) | Op::Reshape => 0,
        Op::Embedding => inputs[1].bytes().0 + 2 * sum(outputs),
        Op::LastToken => 2 * sum(outputs),
        _ => sum(inputs) + sum(outputs),
    })
}

fn flops(op: &Op, inputs: &[&Value], outputs: &[&Value]) -> f64 {
    let size = |value: &Value| value.elements() as f64;
    let input = || size(inputs[0]);
    let output = || size(outputs[0]);
    match op {
        Op::State(_) | Op::Batch(_) | Op::Host(_) | Op::Fill(_) | Op::Reshape => 0.0,
        Op::Embedding | Op::LastToken | Op::LastTokenGrad | Op::MaxPool2Grad => 0.0,

        // [M,K] x [K,N]: the outputs are M N, and K is what is left of the first input, transposed or not.
        Op::MatMul { trans_a, .. } => {
            let (rows, features) = rows_features(&inputs[0].shape);
            2.0 * output() * (if *trans_a { rows } else { features }) as f64
        }
        Op::Conv2d => 2.0 * output() * taps(inputs[1]),
        Op::Conv2dGradInput => 2.0 * size(inputs[1]) * taps(inputs[0]),
        Op::Conv2dGradWeight => 2.0 * size(inputs[1]) * taps(outputs[0]),
        Op::Attention { heads, .. } => 4.0 * attention_pairs(inputs[0], outputs[0], *heads),
        Op::AttentionGrad { heads, .. } => 8.0 * attention_pairs(inputs[0], inputs[1], *heads),

        Op::Add | Op::AddBroadcast | Op::Scale(_) => output(),
        Op::SumLeading | Op::MeanPixels => input(),
        Op::Activate(f) => activation(*f).0 * output(),
        Op::ActivateGrad(f) => activation(*f).1 * output(),
        Op::Swiglu => 5.0 * output(),
        Op::SwigluGrad => 10.0 * size(inputs[1]),
        Op::Dropout { .. } => 2.0 * output(),

        // Mean, centre, square, sum, scale, gain, bias.
        Op::LayerNorm { .. } | Op::GroupNorm { .. } => 7.0 * output(),
        // x^ again (2), dgain (2), dbias (1), gain dy (1), its mean and its mean with x^ (3), and the difference (4).
        Op::LayerNormGrad | Op::GroupNormGrad { .. } => 13.0 * output(),
        Op::RmsNorm { .. } => 4.0 * output(),
        Op::RmsNormGrad => 9.0 * output(),
        Op::QkNorm { normed_heads, head_dim, .. } => 3.0 * leading(outputs[0], *normed_heads, *head_dim),
        Op::QkNormGrad { normed_heads, head_dim } => 6.0 * leading(outputs[0], *normed_heads, *head_dim),
        // Four products and two sums for each pair.
        Op::Rope { rotated_heads, head_dim, .. } => 3.0 * leading(outputs[0], *rotated_heads, *head_dim),
        Op::EmbeddingGrad => size(inputs[1]),

        Op::MaxPool2 => 3.0 * output(),
        Op::MeanPool2 => 4.0 * output(),
        Op::MeanPool2Grad | Op::MeanPixelsGrad => input(),

        // Maximum, difference, exponential, sum; with smoothing also the mean of the logits.
        Op::CrossEntropy { smoothing } => (if *smoothing > 0.0 { 5.0 } else { 4.0 }) * input(),
        Op::CrossEntropyGrad { .. } => 4.0 * input(),
        Op::SquaredError | Op::SquaredErrorGrad { .. } => 3.0 * input(),
        Op::WeightedSum => 2.0 * input(),
        Op::CorrectSum => input(),

        Op::GlobalNorm => 2.0 * inputs.iter().map(|g| size(g)).sum::<f64>(),
        Op::ClipFactor { .. } => 3.0,
        // Clip, step and subtraction; 2 each for the momentum, the look-ahead and the decay.
        Op::Sgd { momentum, nesterov, weight_decay, .. } => {
            let extras = [*momentum > 0.0, *nesterov, *weight_decay > 0.0];
            (3.0 + 2.0 * extras.iter().filter(|used| **used).count() as f64) * output()
        }
        // Clip (1), first moment (3), second (4), corrections (2), root, epsilon, division, step (5); decay (1).
        Op::AdamW { weight_decay, .. } => (if *weight_decay > 0.0 { 16.0 } else { 15.0 }) * output(),
        Op::Ema { .. } => 3.0 * output(),
    }
}

/// Operations an element: forward, and backward with the product with `dy`.
fn activation(f: Activation) -> (f64, f64) {
    match f {
        Activation::Relu => (1.0, 1.0),
        Activation::ReluSquared => (2.0, 3.0),
        // x/2 (1 + tanh(c (x + 0.044715 x^3))).
        Activation::Gelu => (9.0, 16.0),
        Activation::Silu => (4.0, 8.0),
        Activation::Tanh => (1.0, 4.0),
    }
}

/// Products for one output of a convolution with kernel `[Cout, k, k, Cin]`.
fn taps(kernel: &Value) -> f64 {
    kernel.shape[1..].iter().product::<usize>() as f64
}

/// B heads T^2 head_dim, from the packed `[B, T, ..]` and the output `[B, T, heads * head_dim]`.
fn attention_pairs(qkv: &Value, out: &Value, heads: usize) -> f64 {
    let (batch, time, head_dim) = (qkv.shape[0], qkv.shape[1], out.shape[2] / heads);
    batch as f64 * heads as f64 * (time as f64).powi(2) * head_dim as f64
}

/// Elements in the first heads of a packed `[B, T, F]`.
fn leading(qkv: &Value, heads: usize, head_dim: usize) -> f64 {
    (qkv.shape[0] * qkv.shape[1] * heads * head_dim) as f64
}
