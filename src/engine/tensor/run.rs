//! Runs a program node by node on arrays of any kind; every value is freed after its last use.

use super::super::{EngineError, StepInputs};
use super::array::{Answer, Array};
use super::context::{Call, Context};
use super::{attention, elementwise, image, loss, norm, optimizer, tokens};
use crate::graph::{HostScalar, Op, Program, Value};

/// What a program left behind.
pub(super) struct Results<A> {
    /// New state: (state index, array).
    pub(super) writes: Vec<(usize, A)>,
    /// Named scalars.
    pub(super) outputs: Vec<(&'static str, A)>,
}

/// A step of a run as a program sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment<'a> {
    pub(super) inputs: &'a StepInputs,
    /// Global index of the batch's first sample in the step.
    pub(super) first_sample: u32,
}

/// Executes a program on a state and a batch, changing neither. `dead` holds, for each node, the values that nothing reads
/// afterwards.
pub(super) fn run<A: Array>(
    program: &Program,
    dead: &[Vec<usize>],
    state: &[A],
    batch: &[A],
    context: &Context<A>,
    moment: Moment,
) -> Answer<Results<A>> {
    let mut values: Vec<Option<A>> = vec![None; program.values.len()];
    for (i, node) in program.nodes.iter().enumerate() {
        let outputs: Vec<&Value> = node.outputs.iter().map(|v| &program.values[v.0]).collect();
        let made = match node.op {
            Op::State(s) => vec![state[s].clone()],
            Op::Batch(b) => vec![batch[b].clone()],
            _ => {
                let inputs: Vec<&A> = node.inputs.iter().filter_map(|v| values[v.0].as_ref()).collect();
                let (inputs_of_step, first_sample) = (moment.inputs, moment.first_sample);
                compute(&Call {
                    op: &node.op,
                    inputs: &inputs,
                    outputs: &outputs,
                    context,
                    inputs_of_step,
                    first_sample,
                })?
            }
        };
        if made.len() != outputs.len() || made.iter().zip(&outputs).any(|(a, v)| a.shape() != v.shape.as_slice()) {
            let shapes: Vec<_> = made.iter().map(A::shape).collect();
            return Err(EngineError::Shape(format!(
                "program `{}`, node {i} ({:?}): computed {shapes:?} where {outputs:?} is declared",
                program.name, node.op
            )));
        }
        for (v, array) in node.outputs.iter().zip(made) {
            values[v.0] = Some(array);
        }
        for &v in &dead[i] {
            values[v] = None;
        }
    }
    let held = |v: usize| {
        values[v].clone().ok_or_else(|| EngineError::Shape(format!("program `{}`: value {v} is gone", program.name)))
    };
    Ok(Results {
        writes: program.writes.iter().map(|(s, v)| Ok((*s, held(v.0)?.wide()?))).collect::<Answer<_>>()?,
        outputs: program.outputs.iter().map(|(name, v)| Ok((*name, held(v.0)?))).collect::<Answer<_>>()?,
    })
}

/// One op.
fn compute<A: Array>(call: &Call<A>) -> Answer<Vec<A>> {
    match *call.op {
        Op::State(_) | Op::Batch(_) => Err(call.wrong("a leaf has no computation")),
        Op::Host(which) => {
            let inputs = call.inputs_of_step;
            let value = match which {
                HostScalar::LearningRate => inputs.learning_rate,
                HostScalar::BiasCorrection1 => inputs.bias_correction1,
                HostScalar::BiasCorrection2 => inputs.bias_correction2,
            };
            Ok(vec![A::filled(&call.context.device, call.declared(0)?, value)?])
        }
        Op::Fill(value) => Ok(vec![A::filled(&call.context.device, call.declared(0)?, f64::from(value))?]),
        Op::MatMul { trans_a, trans_b } => elementwise::matmul(call, (trans_a, trans_b)),

        Op::Add => elementwise::add(call),
        Op::AddBroadcast => elementwise::add_broadcast(call),
        Op::SumLeading => elementwise::sum_leading(call),
        Op::Scale(factor) => elementwise::scale(call, factor),
        Op::Activate(which) => elementwise::activate(call, which),
        Op::ActivateGrad(which) => elementwise::activate_grad(call, which),
        Op::Swiglu => elementwise::swiglu(call),
        Op::SwigluGrad => elementwise::swiglu_grad(call),
        Op::Dropout { p, site } => elementwise::dropout(call, p, site),
        Op::Reshape => Ok(vec![call.exact(0, call.input(0)?)?]),

        Op::LayerNorm { eps } => norm::layer_norm(call, eps),
        Op::LayerNormGrad => norm::layer_norm_grad(call),
        Op::RmsNorm { eps } => norm::rms_norm(call, eps),
        Op::RmsNormGrad => norm::rms_norm_grad(call),
        Op::GroupNorm { groups, eps } => norm::group_norm(call, groups, eps),
        Op::GroupNormGrad { groups } => norm::group_norm_grad(call, groups),

        Op::Embedding => tokens::embedding(call),
        Op::EmbeddingGrad => tokens::embedding_grad(call),
        Op::Rope { rotated_heads, head_dim, base, inverse } => {
            tokens::rope(call, rotated_heads, head_dim, base, inverse)
        }
        Op::QkNorm { normed_heads, head_dim, eps } => norm::qk_norm(call, normed_heads, head_dim, eps),
        Op::QkNormGrad { normed_heads, head_dim } => norm::qk_norm_grad(call, normed_heads, head_dim),
        Op::Attention { heads, kv_heads } => attention::attention(call, heads, kv_heads),
        Op::AttentionGrad { heads, kv_heads } => attention::attention_grad(call, heads, kv_heads),
        Op::LastToken => tokens::last_token(call),
        Op::LastTokenGrad => tokens::last_token_grad(call),

        Op::Conv2d => image::conv2d(call),
        Op::Conv2dGradInput => image::conv2d_grad_input(call),
        Op::Conv2dGradWeight => image::conv2d_grad_weight(call),
        Op::MaxPool2 => image::max_pool(call),
        Op::MaxPool2Grad => image::max_pool_grad(call),
        Op::MeanPool2 => image::mean_pool(call),
        Op::MeanPool2Grad => image::mean_pool_grad(call),
        Op::MeanPixels => image::mean_pixels(call),
        Op::MeanPixelsGrad => image::mean_pixels_grad(call),

        Op::CrossEntropy { smoothing } => loss::cross_entropy(call, smoothing),
        Op::CrossEntropyGrad { smoothing, scale } => loss::cross_entropy_grad(call, smoothing, scale),
        Op::SquaredError => loss::squared_error(call),
        Op::SquaredErrorGrad { scale } => loss::squared_error_grad(call, scale),
        Op::WeightedSum => loss::weighted_sum(call),
        Op::CorrectSum => loss::correct_sum(call),

        Op::GlobalNorm => optimizer::global_norm(call),
        Op::ClipFactor { max_norm } => optimizer::clip_factor(call, max_norm),
        Op::Sgd { momentum, nesterov, weight_decay, lr_scale } => {
            optimizer::sgd(call, momentum, nesterov, weight_decay, lr_scale)
        }
        Op::AdamW { beta1, beta2, eps, weight_decay, lr_scale } => {
            optimizer::adamw(call, beta1, beta2, eps, weight_decay, lr_scale)
        }
        Op::Ema { decay } => elementwise::ema(call, decay),
    }
}
