//! Fully connected networks: linear, norm, activation, dropout, residual; also the end of convolutional networks.

use super::ValueId;
use super::check;
use super::net::{Linear, Net};
use crate::config::{DataShape, InputShape, MlpModel, ParamRole};
use crate::problem::Result;

/// Refuses what cannot be built.
pub(super) fn refuse(model: &MlpModel, data: &DataShape) -> Result<()> {
    if let InputShape::Tokens { .. } = data.input {
        return Err(check::wrong_input("an MLP", "tokens", "gpt"));
    }
    widths_and_dropout(&model.widths, model.dropout)
}

/// The checks of `model.widths` and `model.dropout`.
pub(super) fn widths_and_dropout(widths: &[usize], dropout: f64) -> Result<()> {
    for (i, &width) in widths.iter().enumerate() {
        check::size(&format!("model.widths[{i}]"), width)?;
    }
    check::probability("model.dropout", dropout)
}

/// `input [B, ..] -> [B, outputs]`. Hidden layer i is `layers.i`, with its norm in `layers.i.norm`; the output layer is `head`.
pub(super) fn forward(net: &mut Net, model: &MlpModel, input: ValueId, outputs: usize) -> Result<ValueId> {
    let mut x = net.flatten(input)?;
    for (i, &width) in model.widths.iter().enumerate() {
        let name = format!("layers.{i}");
        let inputs = net.last(x);
        let mut y = net.linear(&Linear::uniform(&name, inputs, width, ParamRole::Weight), x)?;
        y = net.norm(&format!("{name}.norm"), model.norm, y)?;
        y = net.activate(model.activation, y)?;
        y = net.dropout(model.dropout, y)?;
        if model.residual && inputs == width {
            y = net.builder.one(super::Op::Add, &[x, y])?;
        }
        x = y;
    }
    let inputs = net.last(x);
    net.linear(&Linear::uniform("head", inputs, outputs, ParamRole::Head), x)
}
