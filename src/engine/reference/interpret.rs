//! Runs a program node by node: every op by its family, every value freed after its last use.

use super::super::{EngineError, StepInputs};
use super::call::{Call, Moment, dtype, elements};
use super::plan::Plan;
use super::real::Real;
use super::{attention, elementwise, image, linear, loss, norm, optimizer, tokens};
use crate::graph::{HostScalar, Op, Program, Value};
use crate::sys::clock::Stopwatch;
use candle_core::{Device, Tensor};

/// What a program left behind.
pub(super) struct Results {
    /// New state tensors: (state index, tensor).
    pub(super) writes: Vec<(usize, Tensor)>,
    /// Named scalars.
    pub(super) outputs: Vec<(&'static str, f64)>,
}

impl Results {
    /// A named scalar, if the program has it.
    pub(super) fn scalar(&self, name: &str) -> Option<f64> {
        self.outputs.iter().find(|(n, _)| *n == name).map(|(_, v)| *v)
    }
}

impl Moment {
    pub(super) fn new(inputs: &StepInputs, first_sample: u32) -> Self {
        Moment {
            seed: inputs.seed,
            step: inputs.step,
            first_sample,
            host: [inputs.learning_rate, inputs.bias_correction1, inputs.bias_correction2],
        }
    }
}

/// Executes a program on a state and a batch, changing neither. `seconds` receives the time of each node.
pub(super) fn run<T: Real>(
    program: &Program,
    plan: &Plan,
    state: &[Tensor],
    batch: &[Tensor],
    moment: &Moment,
    device: &Device,
    mut seconds: Option<&mut Vec<f64>>,
) -> Result<Results, EngineError> {
    let mut values: Vec<Option<Tensor>> = vec![None; program.values.len()];
    for (i, node) in program.nodes.iter().enumerate() {
        let watch = seconds.is_some().then(Stopwatch::start);
        let outputs: Vec<&Value> = node.outputs.iter().map(|v| &program.values[v.0]).collect();
        let made = match node.op {
            Op::State(s) => vec![state[s].clone()],
            Op::Batch(b) => vec![batch[b].clone()],
            _ => {
                let inputs: Vec<&Tensor> = node.inputs.iter().filter_map(|v| values[v.0].as_ref()).collect();
                compute::<T>(&Call { op: &node.op, inputs: &inputs, outputs: &outputs, device, moment })?
            }
        };
        if made.len() != outputs.len() || made.iter().zip(&outputs).any(|(t, v)| t.dims() != v.shape.as_slice()) {
            let shapes: Vec<_> = made.iter().map(Tensor::dims).collect();
            return Err(EngineError::Shape(format!(
                "program `{}`, node {i} ({:?}): computed {shapes:?} where {outputs:?} is declared",
                program.name, node.op
            )));
        }
        for (v, tensor) in node.outputs.iter().zip(made) {
            values[v.0] = Some(tensor);
        }
        for &v in &plan.dead[i] {
            values[v] = None;
        }
        if let (Some(seconds), Some(watch)) = (seconds.as_deref_mut(), watch) {
            seconds.push(watch.seconds());
        }
    }
    let held = |v: usize| {
        values[v].clone().ok_or_else(|| EngineError::Shape(format!("program `{}`: value {v} is gone", program.name)))
    };
    let writes = program.writes.iter().map(|(s, v)| Ok((*s, held(v.0)?))).collect::<Result<_, EngineError>>()?;
    let outputs = program
        .outputs
        .iter()
        .map(|(name, v)| Ok((*name, elements::<T>(&held(v.0)?)?.first().map_or(0.0, |x| x.wide()))))
        .collect::<Result<_, EngineError>>()?;
    Ok(Results { writes, outputs })
}

/// One op.
fn compute<T: Real>(call: &Call) -> Result<Vec<Tensor>, EngineError> {
    match *call.op {
        Op::State(_) | Op::Batch(_) => Err(call.wrong("a leaf has no computation")),
        Op::Host(which) => {
            let [rate, c1, c2] = call.moment.host;
            let value = match which {
                HostScalar::LearningRate => rate,
                HostScalar::BiasCorrection1 => c1,
                HostScalar::BiasCorrection2 => c2,
            };
            Ok(vec![call.output(0, vec![T::of(value)])?])
        }
        Op::Fill(value) => {
            let shape = call.outputs[0].shape.as_slice();
            Ok(vec![Tensor::full(T::of(f64::from(value)), shape, call.device)?.to_dtype(dtype::<T>())?])
        }
        Op::MatMul { trans_a, trans_b } => linear::matmul(call, trans_a, trans_b),

        Op::Add => Ok(vec![call.input(0)?.add(call.input(1)?)?]),
        Op::AddBroadcast => elementwise::add_broadcast::<T>(call),
        Op::SumLeading => elementwise::sum_leading::<T>(call),
        Op::Scale(factor) => Ok(vec![call.input(0)?.affine(f64::from(factor), 0.0)?]),
        Op::Activate(which) => elementwise::activate::<T>(call, which),
        Op::ActivateGrad(which) => elementwise::activate_grad::<T>(call, which),
        Op::Swiglu => elementwise::swiglu::<T>(call),
        Op::SwigluGrad => elementwise::swiglu_grad::<T>(call),
        Op::Dropout { p, site } => elementwise::dropout::<T>(call, p, site),
        Op::Reshape => Ok(vec![call.shaped(0, call.input(0)?)?]),

        Op::LayerNorm { eps } => norm::layer_norm::<T>(call, eps),
        Op::LayerNormGrad => norm::layer_norm_grad::<T>(call),
        Op::RmsNorm { eps } => norm::rms_norm::<T>(call, eps),
        Op::RmsNormGrad => norm::rms_norm_grad::<T>(call),
        Op::GroupNorm { groups, eps } => norm::group_norm::<T>(call, groups, eps),
        Op::GroupNormGrad { groups } => norm::group_norm_grad::<T>(call, groups),

        Op::Embedding => tokens::embedding::<T>(call),
        Op::EmbeddingGrad => tokens::embedding_grad::<T>(call),
        Op::Rope { rotated_heads, head_dim, base, inverse } => {
            tokens::rope::<T>(call, rotated_heads, head_dim, base, inverse)
        }
        Op::QkNorm { normed_heads, head_dim, eps } => tokens::qk_norm::<T>(call, normed_heads, head_dim, eps),
        Op::QkNormGrad { normed_heads, head_dim } => tokens::qk_norm_grad::<T>(call, normed_heads, head_dim),
        Op::Attention { heads, kv_heads } => attention::attention::<T>(call, heads, kv_heads),
        Op::AttentionGrad { heads, kv_heads } => attention::attention_grad::<T>(call, heads, kv_heads),
        Op::LastToken => tokens::last_token(call),
        Op::LastTokenGrad => tokens::last_token_grad::<T>(call),

        Op::Conv2d => image::conv2d::<T>(call),
        Op::Conv2dGradInput => image::conv2d_grad_input::<T>(call),
        Op::Conv2dGradWeight => image::conv2d_grad_weight::<T>(call),
        Op::MaxPool2 => image::max_pool::<T>(call),
        Op::MaxPool2Grad => image::max_pool_grad::<T>(call),
        Op::MeanPool2 => image::mean_pool::<T>(call),
        Op::MeanPool2Grad => image::mean_pool_grad::<T>(call),
        Op::MeanPixels => image::mean_pixels::<T>(call),
        Op::MeanPixelsGrad => image::mean_pixels_grad::<T>(call),

        Op::CrossEntropy { smoothing } => loss::cross_entropy::<T>(call, smoothing),
        Op::CrossEntropyGrad { smoothing, scale } => loss::cross_entropy_grad::<T>(call, smoothing, scale),
        Op::SquaredError => loss::squared_error::<T>(call),
        Op::SquaredErrorGrad { scale } => loss::squared_error_grad::<T>(call, scale),
        Op::WeightedSum => loss::weighted_sum::<T>(call),
        Op::CorrectSum => loss::correct_sum::<T>(call),

        Op::GlobalNorm => optimizer::global_norm::<T>(call),
        Op::ClipFactor { max_norm } => optimizer::clip_factor::<T>(call, max_norm),
        Op::Sgd { momentum, nesterov, weight_decay, lr_scale } => {
            optimizer::sgd::<T>(call, momentum, nesterov, weight_decay, lr_scale)
        }
        Op::AdamW { beta1, beta2, eps, weight_decay, lr_scale } => {
            optimizer::adamw::<T>(call, beta1, beta2, eps, weight_decay, lr_scale)
        }
        Op::Ema { decay } => optimizer::ema::<T>(call, decay),
    }
}
