//! Convolutional networks over NHWC images: stages of (convolution, norm, activation, residual) and pooling, then an MLP.

use super::check;
use super::net::{NORM_EPS, Net};
use super::{Init, Op, ValueId, mlp};
use crate::config::{CnnHead, CnnModel, DataShape, InputShape, MlpModel, Norm, ParamRole, Pooling};
use crate::problem::{Problem, Result};

/// Refuses what cannot be built.
pub(super) fn refuse(model: &CnnModel, data: &DataShape) -> Result<()> {
    let (mut height, mut width) = match data.input {
        InputShape::Image { height, width, .. } => (height, width),
        InputShape::Features(_) => return Err(check::wrong_input("a CNN", "a vector of features", "mlp")),
        InputShape::Tokens { .. } => return Err(check::wrong_input("a CNN", "tokens", "gpt")),
    };
    for (i, stage) in model.stages.iter().enumerate() {
        let key = |field: &str| format!("model.stages[{i}].{field}");
        check::size(&key("channels"), stage.channels)?;
        check::count(&key("convs"), stage.convs)?;
        let (kernel, side) = (stage.kernel, height.min(width));
        let largest = if side % 2 == 1 { side } else { side - 1 };
        if kernel % 2 == 0 {
            let near = if kernel == 0 { 1 } else { kernel - 1 };
            return Err(Problem::usage(format!("a kernel of {kernel}x{kernel} pixels has no centre"))
                .at(key("kernel"))
                .remedy(format!("use an odd side such as {}", near.min(largest))));
        }
        if kernel > side {
            let what =
                format!("a kernel of {kernel}x{kernel} pixels is larger than the {height}x{width} image it meets");
            return Err(Problem::usage(what)
                .at(key("kernel"))
                .remedy(format!("use at most {largest}, or pool less in the stages before")));
        }
        if stage.pool != Pooling::None {
            if side < 2 {
                return Err(Problem::usage(format!("a {height}x{width} image is too small for a 2x2 pool"))
                    .at(key("pool"))
                    .remedy("set pool = \"none\" here, or leave the stage out"));
            }
            (height, width) = (height / 2, width / 2);
        }
        let groups = model.norm_groups;
        if groups > 0 && !stage.channels.is_multiple_of(groups) {
            let what = format!("{groups} norm groups do not divide the {} channels of stage {i}", stage.channels);
            let common = model.stages.iter().fold(0, |common, stage| gcd(common, stage.channels));
            return Err(Problem::usage(what).at("model.norm_groups").remedy(format!(
                "use 0 for no norm or a divisor of every stage's channels: {}",
                check::divisors(common)
            )));
        }
    }
    mlp::widths_and_dropout(&model.widths, model.dropout)
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// `input [B, H, W, C] -> [B, outputs]`. Convolution j of stage i is `stages.i.convs.j`, with its norm in
/// `stages.i.convs.j.norm`; then as in an MLP.
pub(super) fn forward(net: &mut Net, model: &CnnModel, input: ValueId, outputs: usize) -> Result<ValueId> {
    let mut x = input;
    for (i, stage) in model.stages.iter().enumerate() {
        for j in 0..stage.convs {
            let name = format!("stages.{i}.convs.{j}");
            let mut y = convolution(net, &name, stage.channels, stage.kernel, x)?;
            if model.norm_groups > 0 {
                y = group_norm(net, &format!("{name}.norm"), model.norm_groups, y)?;
            }
            y = net.activate(model.activation, y)?;
            if model.residual && net.last(x) == stage.channels {
                y = net.builder.one(Op::Add, &[x, y])?;
            }
            x = y;
        }
        x = match stage.pool {
            Pooling::None => x,
            Pooling::Max => net.builder.one(Op::MaxPool2, &[x])?,
            Pooling::Mean => net.builder.one(Op::MeanPool2, &[x])?,
        };
    }
    if model.head == CnnHead::Mean {
        x = net.builder.one(Op::MeanPixels, &[x])?;
    }
    let end = MlpModel {
        widths: model.widths.clone(),
        activation: model.activation,
        norm: Norm::None,
        residual: false,
        dropout: model.dropout,
    };
    mlp::forward(net, &end, x, outputs)
}

/// A convolution with bias, both starting uniform in +-1/sqrt(k k Cin) as in PyTorch's `nn.Conv2d`.
fn convolution(net: &mut Net, name: &str, channels: usize, kernel: usize, x: ValueId) -> Result<ValueId> {
    let inputs = net.last(x);
    let init = Init::Uniform(1.0 / ((kernel * kernel * inputs) as f64).sqrt());
    let shape = [channels, kernel, kernel, inputs];
    let weight = net.param(&format!("{name}.weight"), &shape, ParamRole::Weight, init)?;
    let y = net.builder.one(Op::Conv2d, &[x, weight])?;
    let bias = net.param(&format!("{name}.bias"), &[channels], ParamRole::Bias, init)?;
    net.builder.one(Op::AddBroadcast, &[y, bias])
}

fn group_norm(net: &mut Net, name: &str, groups: usize, x: ValueId) -> Result<ValueId> {
    let channels = net.last(x);
    let gain = net.param(&format!("{name}.gain"), &[channels], ParamRole::Gain, Init::Ones)?;
    let bias = net.param(&format!("{name}.bias"), &[channels], ParamRole::Bias, Init::Zeros)?;
    net.builder.one(Op::GroupNorm { groups, eps: NORM_EPS }, &[x, gain, bias])
}
