//! Programs in words: stable op names and a printed form with one line a node.

use super::{HostScalar, Op, Program, StateRole, StepPrograms, Value, ValueId};
use crate::config::Activation;
use std::fmt;

impl Op {
    /// Short name, stable across versions: throughput profiles and fingerprints are keyed by it. Activations are named
    /// one by one because their speed differs.
    pub fn name(&self) -> &'static str {
        match self {
            Op::State(_) => "state",
            Op::Batch(_) => "batch",
            Op::Host(_) => "host",
            Op::Fill(_) => "fill",
            Op::MatMul { .. } => "matmul",
            Op::Add => "add",
            Op::AddBroadcast => "add_broadcast",
            Op::SumLeading => "sum_leading",
            Op::Scale(_) => "scale",
            Op::Activate(Activation::Relu) => "relu",
            Op::Activate(Activation::Gelu) => "gelu",
            Op::Activate(Activation::ReluSquared) => "relu_squared",
            Op::Activate(Activation::Silu) => "silu",
            Op::Activate(Activation::Tanh) => "tanh",
            Op::ActivateGrad(Activation::Relu) => "relu_grad",
            Op::ActivateGrad(Activation::Gelu) => "gelu_grad",
            Op::ActivateGrad(Activation::ReluSquared) => "relu_squared_grad",
            Op::ActivateGrad(Activation::Silu) => "silu_grad",
            Op::ActivateGrad(Activation::Tanh) => "tanh_grad",
            Op::Swiglu => "swiglu",
            Op::SwigluGrad => "swiglu_grad",
            Op::Dropout { .. } => "dropout",
            Op::LayerNorm { .. } => "layer_norm",
            Op::LayerNormGrad => "layer_norm_grad",
            Op::RmsNorm { .. } => "rms_norm",
            Op::RmsNormGrad => "rms_norm_grad",
            Op::GroupNorm { .. } => "group_norm",
            Op::GroupNormGrad { .. } => "group_norm_grad",
            Op::Embedding => "embedding",
            Op::EmbeddingGrad => "embedding_grad",
            Op::Rope { .. } => "rope",
            Op::QkNorm { .. } => "qk_norm",
            Op::QkNormGrad { .. } => "qk_norm_grad",
            Op::Attention { .. } => "attention",
            Op::AttentionGrad { .. } => "attention_grad",
            Op::LastToken => "last_token",
            Op::LastTokenGrad => "last_token_grad",
            Op::Conv2d => "conv2d",
            Op::Conv2dGradInput => "conv2d_grad_input",
            Op::Conv2dGradWeight => "conv2d_grad_weight",
            Op::MaxPool2 => "max_pool2",
            Op::MaxPool2Grad => "max_pool2_grad",
            Op::MeanPool2 => "mean_pool2",
            Op::MeanPool2Grad => "mean_pool2_grad",
            Op::MeanPixels => "mean_pixels",
            Op::MeanPixelsGrad => "mean_pixels_grad",
            Op::Reshape => "reshape",
            Op::CrossEntropy { .. } => "cross_entropy",
            Op::CrossEntropyGrad { .. } => "cross_entropy_grad",
            Op::SquaredError => "squared_error",
            Op::SquaredErrorGrad { .. } => "squared_error_grad",
            Op::WeightedSum => "weighted_sum",
            Op::CorrectSum => "correct_sum",
            Op::GlobalNorm => "global_norm",
            Op::ClipFactor { .. } => "clip_factor",
            Op::Sgd { .. } => "sgd",
            Op::AdamW { .. } => "adamw",
            Op::Ema { .. } => "ema",
        }
    }

    /// The op's settings as `key=value`, where it has any that its name does not say.
    fn settings(&self) -> String {
        match self {
            Op::State(index) | Op::Batch(index) => format!("{index}"),
            Op::Host(HostScalar::LearningRate) => "learning_rate".into(),
            Op::Host(HostScalar::BiasCorrection1) => "bias_correction1".into(),
            Op::Host(HostScalar::BiasCorrection2) => "bias_correction2".into(),
            Op::Fill(value) => format!("{value}"),
            Op::MatMul { trans_a, trans_b } => match (trans_a, trans_b) {
                (false, false) => String::new(),
                (true, false) => "trans_a".into(),
                (false, true) => "trans_b".into(),
                (true, true) => "trans_a trans_b".into(),
            },
            Op::Scale(factor) => format!("{factor}"),
            Op::Dropout { p, site } => format!("p={p} site={site}"),
            Op::LayerNorm { eps } | Op::RmsNorm { eps } => format!("eps={eps}"),
            Op::GroupNorm { groups, eps } => format!("groups={groups} eps={eps}"),
            Op::GroupNormGrad { groups } => format!("groups={groups}"),
            Op::Rope { rotated_heads, head_dim, base, inverse } => {
                let inverse = if *inverse { " inverse" } else { "" };
                format!("rotated_heads={rotated_heads} head_dim={head_dim} base={base}{inverse}")
            }
            Op::QkNorm { normed_heads, head_dim, eps } => {
                format!("normed_heads={normed_heads} head_dim={head_dim} eps={eps}")
            }
            Op::QkNormGrad { normed_heads, head_dim } => format!("normed_heads={normed_heads} head_dim={head_dim}"),
            Op::Attention { heads, kv_heads } | Op::AttentionGrad { heads, kv_heads } => {
                format!("heads={heads} kv_heads={kv_heads}")
            }
            Op::CrossEntropy { smoothing } => format!("smoothing={smoothing}"),
            Op::CrossEntropyGrad { smoothing, scale } => format!("smoothing={smoothing} scale={scale}"),
            Op::SquaredErrorGrad { scale } => format!("scale={scale}"),
            Op::ClipFactor { max_norm } => format!("max_norm={max_norm}"),
            Op::Sgd { momentum, nesterov, weight_decay, lr_scale } => {
                let nesterov = if *nesterov { " nesterov" } else { "" };
                format!("momentum={momentum}{nesterov} weight_decay={weight_decay} lr_scale={lr_scale}")
            }
            Op::AdamW { beta1, beta2, eps, weight_decay, lr_scale } => {
                format!("beta1={beta1} beta2={beta2} eps={eps} weight_decay={weight_decay} lr_scale={lr_scale}")
            }
            Op::Ema { decay } => format!("decay={decay}"),
            _ => String::new(),
        }
    }
}

impl fmt::Display for Op {
    /// `attention{heads=4 kv_heads=4}`; the braces are left out where there is nothing to say.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = self.settings();
        if settings.is_empty() { write!(f, "{}", self.name()) } else { write!(f, "{}{{{settings}}}", self.name()) }
    }
}

impl fmt::Display for ValueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0)
    }
}

impl fmt::Display for Value {
    /// `f32[32, 64]`; a scalar is `f32[]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dtype = match self.dtype {
            super::DType::F32 => "f32",
            super::DType::U32 => "u32",
        };
        write!(f, "{dtype}{:?}", self.shape)
    }
}

impl fmt::Display for Program {
    /// One line a node, `%4 f32[32, 64] = matmul{trans_b}(%0, %1)`, then what is written and handed back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "program {}", self.name)?;
        for (index, input) in self.batch.iter().enumerate() {
            let value = Value { shape: input.shape.clone(), dtype: input.dtype };
            writeln!(f, "  batch {index} {} {value}", input.name)?;
        }
        for node in &self.nodes {
            let outputs: Vec<String> = node.outputs.iter().map(|&id| format!("{id} {}", self.values[id.0])).collect();
            let inputs: Vec<String> = node.inputs.iter().map(ToString::to_string).collect();
            writeln!(f, "  {} = {}({})", outputs.join(", "), node.op, inputs.join(", "))?;
        }
        for (state, value) in &self.writes {
            writeln!(f, "  write state {state} <- {value}")?;
        }
        for (name, value) in &self.outputs {
            writeln!(f, "  output {name} <- {value}")?;
        }
        Ok(())
    }
}

impl fmt::Display for StepPrograms {
    /// The state, one tensor a line, then the three programs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "state")?;
        for (index, tensor) in self.state.tensors.iter().enumerate() {
            let role = match tensor.role {
                StateRole::Param { role, init } => format!("{role:?} {init:?}"),
                StateRole::Grad(of) => format!("gradient of {of}"),
                StateRole::Slot(of) => format!("slot of {of}"),
                StateRole::Ema(of) => format!("average of {of}"),
                StateRole::LossSum => "loss sum".to_string(),
            };
            writeln!(f, "  {index} {} {:?} {role}", tensor.name, tensor.shape)?;
        }
        write!(f, "{}{}{}", self.micro, self.apply, self.eval)
    }
}
