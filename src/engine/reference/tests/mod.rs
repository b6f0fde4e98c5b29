//! Tests of the reference engine: each op on a program of its own, then whole models.

mod autograd;
mod definitions;
mod gradients;
pub(in crate::engine) mod models;
mod speed;
mod update;
mod whole;

use super::call::{Moment, elements};
use super::interpret::run;
use super::plan::Plan;
use crate::graph::{BatchInput, DType, Node, Op, Program, Value, ValueId};
use crate::rng::{Sequence, Stream};
use candle_core::{Device, Tensor};

/// An input or output of an op under test.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Val {
    shape: Vec<usize>,
    data: Data,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Data {
    Real(Vec<f64>),
    Ids(Vec<u32>),
}

impl Val {
    fn new(shape: &[usize], data: Vec<f64>) -> Self {
        assert_eq!(shape.iter().product::<usize>(), data.len());
        Val { shape: shape.to_vec(), data: Data::Real(data) }
    }

    fn ids(shape: &[usize], data: Vec<u32>) -> Self {
        assert_eq!(shape.iter().product::<usize>(), data.len());
        Val { shape: shape.to_vec(), data: Data::Ids(data) }
    }

    fn scalar(value: f64) -> Self {
        Val::new(&[], vec![value])
    }

    fn real(&self) -> &[f64] {
        match &self.data {
            Data::Real(v) => v,
            Data::Ids(_) => panic!("integers where reals are wanted"),
        }
    }

    fn integers(&self) -> &[u32] {
        match &self.data {
            Data::Ids(v) => v,
            Data::Real(_) => panic!("reals where integers are wanted"),
        }
    }

    fn dtype(&self) -> DType {
        match self.data {
            Data::Real(_) => DType::F32,
            Data::Ids(_) => DType::U32,
        }
    }
}

/// Random values for tests.
struct Draw(Sequence);

impl Draw {
    fn new(seed: u64) -> Self {
        Draw(Sequence::new(seed, Stream::Data, 0, 0))
    }

    /// Standard normal values, none closer to zero than 0.001: clear of the kinks of ReLU.
    fn normal(&mut self, shape: &[usize]) -> Val {
        let values = (0..shape.iter().product()).map(|_| {
            loop {
                let v = self.0.normal();
                if v.abs() > 1e-3 {
                    break v;
                }
            }
        });
        Val::new(shape, values.collect())
    }

    fn below(&mut self, shape: &[usize], n: u64) -> Val {
        Val::ids(shape, (0..shape.iter().product()).map(|_| self.0.below(n) as u32).collect())
    }
}

fn moment() -> Moment {
    Moment { seed: 11, step: 3, first_sample: 5, host: [0.1, 0.2, 0.3] }
}

/// Runs one op in f64. `declared` is the first output's shape where the op's rule leaves it open.
fn apply_at(op: &Op, inputs: &[Val], declared: &[usize], moment: &Moment) -> Vec<Val> {
    let values: Vec<Value> = inputs.iter().map(|v| Value { shape: v.shape.clone(), dtype: v.dtype() }).collect();
    let first = Value { shape: declared.to_vec(), dtype: DType::F32 };
    let outputs = op.infer(&values.iter().collect::<Vec<_>>(), &first).unwrap();
    let mut program = Program {
        name: "one op",
        values: values.into_iter().chain(outputs.clone()).collect(),
        nodes: vec![],
        batch: vec![],
        writes: vec![],
        outputs: vec![],
    };
    let (mut state, mut batch) = (vec![], vec![]);
    for (i, input) in inputs.iter().enumerate() {
        let op = match &input.data {
            Data::Real(v) => {
                state.push(Tensor::from_slice(v, input.shape.as_slice(), &Device::Cpu).unwrap());
                Op::State(state.len() - 1)
            }
            Data::Ids(v) => {
                batch.push(Tensor::from_slice(v, input.shape.as_slice(), &Device::Cpu).unwrap());
                program.batch.push(BatchInput { name: "input", shape: input.shape.clone(), dtype: DType::U32 });
                Op::Batch(batch.len() - 1)
            }
        };
        program.nodes.push(Node { op, inputs: vec![], outputs: vec![ValueId(i)] });
    }
    let made: Vec<ValueId> = (inputs.len()..program.values.len()).map(ValueId).collect();
    program.nodes.push(Node {
        op: op.clone(),
        inputs: (0..inputs.len()).map(ValueId).collect(),
        outputs: made.clone(),
    });
    program.writes = made.into_iter().enumerate().collect();
    let results = run::<f64>(&program, &Plan::new(&program), &state, &batch, moment, &Device::Cpu, None).unwrap();
    let collect = |(value, (_, tensor)): (&Value, &(usize, Tensor))| match value.dtype {
        DType::F32 => Val::new(&value.shape, elements::<f64>(tensor).unwrap().to_vec()),
        DType::U32 => Val::ids(&value.shape, elements::<u32>(tensor).unwrap().to_vec()),
    };
    outputs.iter().zip(&results.writes).map(collect).collect()
}

/// Runs one op whose output shapes follow from its inputs.
fn apply(op: &Op, inputs: &[Val]) -> Vec<Val> {
    apply_at(op, inputs, &[], &moment())
}

/// The only output of an op.
fn one(op: &Op, inputs: &[Val]) -> Val {
    let mut outputs = apply(op, inputs);
    assert_eq!(outputs.len(), 1);
    outputs.remove(0)
}

/// Compares an analytic gradient of `sum(y dy)` with central differences, element by element.
fn check_gradient(what: &str, inputs: &[Val], i: usize, analytic: &Val, dy: &Val, y: &dyn Fn(&[Val]) -> Val) {
    assert_eq!(analytic.shape, inputs[i].shape, "{what}: shape of the gradient of input {i}");
    let objective = |delta: f64, element: usize| -> f64 {
        let mut moved = inputs.to_vec();
        if let Data::Real(v) = &mut moved[i].data {
            v[element] += delta;
        }
        let y = y(&moved);
        assert_eq!(y.shape, dy.shape, "{what}: shape of the output");
        y.real().iter().zip(dy.real()).map(|(a, b)| a * b).sum()
    };
    let scale = analytic.real().iter().fold(0.0f64, |m, g| m.max(g.abs()));
    for (element, &gradient) in analytic.real().iter().enumerate() {
        // Fourth-order central difference: truncation of h^4 of the fifth derivative, rounding of 1e-16 / h.
        let h = 2e-4;
        let numeric = (8.0 * (objective(h, element) - objective(-h, element))
            - (objective(2.0 * h, element) - objective(-2.0 * h, element)))
            / (12.0 * h);
        assert!(
            (gradient - numeric).abs() <= 1e-6 * scale.max(1e-3),
            "{what}: input {i}, element {element}: {gradient} analytic, {numeric} numeric"
        );
    }
}

fn close(what: &str, a: &[f64], b: &[f64], tolerance: f64) {
    assert_eq!(a.len(), b.len(), "{what}");
    let scale = b.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    for (i, (x, y)) in a.iter().zip(b).enumerate() {
        assert!((x - y).abs() <= tolerance * scale.max(1e-30), "{what}: element {i}: {x} and {y}");
    }
}
