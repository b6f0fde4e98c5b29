//! What the model families share: parameters by name, and the layers built from ops.

use super::builder::Builder;
use super::{Init, Op, StateRole, StateSpec, StateTensor, ValueId};
use crate::config::{Activation, Norm, ParamRole};
use crate::problem::{Problem, Result};
use std::collections::HashMap;

/// Epsilon of every norm, as PyTorch's layer and group norm have it.
pub(super) const NORM_EPS: f32 = 1e-5;

/// The state under construction. The first program that is built declares the parameters; later ones find them by name.
#[derive(Default)]
pub(super) struct Params {
    pub(super) state: StateSpec,
    by_name: HashMap<String, usize>,
    /// Parameter index to the index of its moving average.
    pub(super) averages: HashMap<usize, usize>,
}

impl Params {
    /// The index of the parameter of this name, declared if it is new.
    fn get_or_declare(&mut self, name: &str, shape: &[usize], role: ParamRole, init: Init) -> Result<usize> {
        if let Some(&index) = self.by_name.get(name) {
            let known = &self.state.tensors[index].shape;
            if known != shape {
                return Err(Problem::failed(format!("parameter {name} is {known:?} and {shape:?} at once")));
            }
            return Ok(index);
        }
        let index = self.push(name.to_string(), shape.to_vec(), StateRole::Param { role, init });
        self.by_name.insert(name.to_string(), index);
        Ok(index)
    }

    /// Appends a tensor to the state.
    pub(super) fn push(&mut self, name: String, shape: Vec<usize>, role: StateRole) -> usize {
        self.state.tensors.push(StateTensor { name, shape, role });
        self.state.tensors.len() - 1
    }
}

/// A linear layer `x W' + b`, `W [outputs, inputs]` as PyTorch lays it out.
pub(super) struct Linear<'a> {
    /// Parameters are `NAME.weight` and `NAME.bias`.
    pub(super) name: &'a str,
    pub(super) outputs: usize,
    pub(super) role: ParamRole,
    pub(super) weight: Init,
    /// How the bias starts; none for a layer without.
    pub(super) bias: Option<Init>,
}

impl<'a> Linear<'a> {
    /// PyTorch's default of `nn.Linear`: weight and bias uniform in +-1/sqrt(inputs).
    pub(super) fn uniform(name: &'a str, inputs: usize, outputs: usize, role: ParamRole) -> Self {
        let init = Init::Uniform(1.0 / (inputs as f64).sqrt());
        Linear { name, outputs, role, weight: init, bias: Some(init) }
    }
}

/// A model under construction in one program.
pub(super) struct Net<'a> {
    pub(super) builder: Builder,
    pub(super) params: &'a mut Params,
    /// With dropout (`micro`), or without and on averaged weights where there are any (`eval`).
    pub(super) training: bool,
    dropout_sites: u32,
}

impl<'a> Net<'a> {
    pub(super) fn new(builder: Builder, params: &'a mut Params, training: bool) -> Self {
        Net { builder, params, training, dropout_sites: 0 }
    }

    /// The value of a parameter: in evaluation its moving average, where the state has one.
    pub(super) fn param(&mut self, name: &str, shape: &[usize], role: ParamRole, init: Init) -> Result<ValueId> {
        let param = self.params.get_or_declare(name, shape, role, init)?;
        let average = if self.training { None } else { self.params.averages.get(&param).copied() };
        self.builder.state(average.unwrap_or(param), shape)
    }

    /// `x [.., in] -> [.., out]`.
    pub(super) fn linear(&mut self, layer: &Linear, x: ValueId) -> Result<ValueId> {
        let mut shape = self.builder.shape(x);
        let inputs =
            std::mem::replace(shape.last_mut().expect("values of a model have a batch dimension"), layer.outputs);
        let weight = format!("{}.weight", layer.name);
        let weight = self.param(&weight, &[layer.outputs, inputs], layer.role, layer.weight)?;
        let y = self.builder.shaped(Op::MatMul { trans_a: false, trans_b: true }, &[x, weight], &shape)?;
        let Some(init) = layer.bias else { return Ok(y) };
        let bias = self.param(&format!("{}.bias", layer.name), &[layer.outputs], ParamRole::Bias, init)?;
        self.builder.one(Op::AddBroadcast, &[y, bias])
    }

    /// Normalises the features of each row; parameters `NAME.gain` and, for layer norm, `NAME.bias`.
    pub(super) fn norm(&mut self, name: &str, norm: Norm, x: ValueId) -> Result<ValueId> {
        if norm == Norm::None {
            return Ok(x);
        }
        let features = self.last(x);
        let gain = self.param(&format!("{name}.gain"), &[features], ParamRole::Gain, Init::Ones)?;
        if norm == Norm::Rms {
            return self.builder.one(Op::RmsNorm { eps: NORM_EPS }, &[x, gain]);
        }
        let bias = self.param(&format!("{name}.bias"), &[features], ParamRole::Bias, Init::Zeros)?;
        self.builder.one(Op::LayerNorm { eps: NORM_EPS }, &[x, gain, bias])
    }

    pub(super) fn activate(&mut self, f: Activation, x: ValueId) -> Result<ValueId> {
        self.builder.one(Op::Activate(f), &[x])
    }

    /// A dropout site; nothing in evaluation or where `p` is 0.
    pub(super) fn dropout(&mut self, p: f64, x: ValueId) -> Result<ValueId> {
        if !self.training || p == 0.0 {
            return Ok(x);
        }
        let site = self.dropout_sites;
        self.dropout_sites += 1;
        self.builder.one(Op::Dropout { p: p as f32, site }, &[x])
    }

    /// Size of the last dimension.
    pub(super) fn last(&self, x: ValueId) -> usize {
        self.builder.shape(x).last().copied().unwrap_or(1)
    }

    /// `[B, ..] -> [B, features]`; nothing to do for two dimensions.
    pub(super) fn flatten(&mut self, x: ValueId) -> Result<ValueId> {
        let shape = self.builder.shape(x);
        if shape.len() == 2 {
            return Ok(x);
        }
        let features = shape[1..].iter().product();
        self.builder.shaped(Op::Reshape, &[x], &[shape[0], features])
    }
}
