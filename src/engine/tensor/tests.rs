//! The tensor engine against the reference engine in double precision: every option of every model. The device is the CPU
//! unless NANORESEARCH_TEST_DEVICE names another, so that the same tests witness a GPU.

use super::TensorEngine;
use super::array::{Answer, Array, Binary, Compare, Reduce, Unary};
use super::context::Context;
use super::ghost::{Ghost, Meter};
use super::rehearsal::{Rehearsal, Stage, all, rehearse};
use super::run::{Moment, run};
use crate::config::{DeviceSpec, Precision};
use crate::engine::agreement::{self, accumulate, inputs};
use crate::engine::lifetimes::dead_after;
use crate::engine::reference;
use crate::engine::reference::tests::models::{BATCH, Bench, INPUTS, cases};
use crate::engine::{Engine, EngineError};
use crate::sys::env;
use candle_core::{DType, Device, Tensor};

fn device() -> DeviceSpec {
    env::var("NANORESEARCH_TEST_DEVICE").map_or(DeviceSpec::Cpu, |text| text.parse().unwrap())
}

/// An engine at the state of a reference engine.
fn twin(bench: &Bench, precision: Precision) -> TensorEngine {
    let mut engine = TensorEngine::new(bench.programs.clone(), device(), precision).unwrap();
    engine.load(&bench.engine.save().unwrap()).unwrap();
    engine
}

#[test]
fn gradients_agree_with_the_reference_in_double_precision() {
    agreement::gradients(|bench| twin(bench, Precision::F32), TensorEngine::state);
}

#[test]
fn ten_steps_follow_the_reference() {
    agreement::ten_steps(|bench| twin(bench, Precision::F32));
}

#[test]
fn half_precision_stays_near() {
    for case in cases() {
        let mut bench = case.bench(reference::Precision::F64, 2);
        let mut engine = twin(&bench, Precision::Bf16);
        accumulate(&mut engine, &bench, &INPUTS);
        bench.accumulate();
        let (mut square, mut error) = (0.0, 0.0);
        for (_, gradient, _) in bench.params() {
            for (g, w) in engine.state(gradient).into_iter().zip(bench.engine.state(gradient).unwrap()) {
                square += w * w;
                error += (f64::from(g) - w).powi(2);
            }
        }
        // bf16 has 8 bits: one rounding is up to 2^-9 = 0.002, and a few dozen of them add up like a random walk.
        let relative = (error / square).sqrt();
        assert!(relative < 0.04, "{}: gradients off by {relative}", case.name);
        assert!(relative > 1e-5, "{}: {relative} is f32, not bf16", case.name);
        let masters = engine.save().unwrap();
        let unrounded = |v: &f32| v.to_bits() & 0xffff != 0;
        let any = masters.tensors.values().any(|(_, values)| values.iter().any(unrounded));
        assert!(any, "{}: the parameters themselves are f32", case.name);
    }
}

#[test]
fn equal_steps_give_equal_bits_and_checkpoints_go_both_ways() {
    for case in cases().into_iter().step_by(3) {
        let mut bench = case.bench(reference::Precision::F32, 2);
        let after = |engine: &mut TensorEngine, steps: std::ops::Range<u64>| {
            for step in steps {
                accumulate(engine, &bench, &inputs(step));
                engine.apply(&inputs(step)).unwrap();
            }
            engine.save().unwrap()
        };
        let mut whole = twin(&bench, Precision::F32);
        let wanted = after(&mut whole, 0..6);
        let mut first = twin(&bench, Precision::F32);
        let middle = after(&mut first, 0..3);
        let mut second = twin(&bench, Precision::F32);
        second.load(&middle).unwrap();
        assert_eq!(after(&mut second, 3..6), wanted, "{}", case.name);
        bench.engine.load(&middle).unwrap();
        assert_eq!(bench.engine.save().unwrap(), middle, "{}: the reference takes the same state", case.name);
    }
}

#[test]
fn ids_beyond_their_table_are_refused_before_the_device_sees_them() {
    let case = cases().into_iter().find(|c| c.name == "gpt plain").unwrap();
    let bench = case.bench(reference::Precision::F32, BATCH);
    let mut engine = twin(&bench, Precision::F32);
    for name in ["input", "target"] {
        let mut batch = bench.slice(0, BATCH);
        let column = if name == "input" { &mut batch.input } else { &mut batch.target };
        let crate::data::Column::U32(ids) = column else { panic!("ids") };
        ids[3] = 7;
        let error = engine.micro(&batch, &INPUTS, 0).unwrap_err();
        assert!(matches!(&error, EngineError::Shape(what) if what.contains(name) && what.contains("7")), "{error}");
    }
}

#[cfg(not(feature = "candle-cuda"))]
#[test]
fn a_program_without_gpu_support_says_so() {
    let bench = cases()[0].bench(reference::Precision::F32, BATCH);
    let error = TensorEngine::new(bench.programs, DeviceSpec::Cuda(0), Precision::F32).err().unwrap();
    let problem = crate::problem::Problem::from(error);
    assert_eq!(problem.class.exit_code(), 4);
    assert!(problem.to_string().contains("candle-cuda"), "{problem}");
}

/// A tensor and a ghost that must agree on every shape and type.
#[derive(Clone)]
struct Pair(Tensor, Ghost);

impl Pair {
    fn new(tensor: Answer<Tensor>, ghost: Answer<Ghost>) -> Answer<Pair> {
        let (tensor, ghost) = (tensor?, ghost?);
        assert_eq!((tensor.dims(), tensor.dtype()), (ghost.shape(), Array::dtype(&ghost)));
        Ok(Pair(tensor, ghost))
    }
}

impl Array for Pair {
    type Device = (Device, Meter);
    fn real(device: &Self::Device, shape: &[usize], values: impl FnOnce() -> Vec<f32>) -> Answer<Self> {
        Pair::new(Tensor::real(&device.0, shape, values), Ghost::real(&device.1, shape, Vec::new))
    }
    fn ids(device: &Self::Device, shape: &[usize], values: impl FnOnce() -> Vec<u32>) -> Answer<Self> {
        Pair::new(Tensor::ids(&device.0, shape, values), Ghost::ids(&device.1, shape, Vec::new))
    }
    fn filled(device: &Self::Device, shape: &[usize], value: f64) -> Answer<Self> {
        Pair::new(Tensor::filled(&device.0, shape, value), Ghost::filled(&device.1, shape, value))
    }
    fn shape(&self) -> &[usize] {
        self.1.shape()
    }
    fn dtype(&self) -> DType {
        Array::dtype(&self.1)
    }
    fn reshape(&self, shape: &[usize]) -> Answer<Self> {
        Pair::new(Array::reshape(&self.0, shape), self.1.reshape(shape))
    }
    fn cast(&self, dtype: DType) -> Answer<Self> {
        Pair::new(self.0.cast(dtype), self.1.cast(dtype))
    }
    fn permute(&self, order: &[usize]) -> Answer<Self> {
        Pair::new(Array::permute(&self.0, order), self.1.permute(order))
    }
    fn narrow(&self, dim: usize, start: usize, length: usize) -> Answer<Self> {
        Pair::new(Array::narrow(&self.0, dim, start, length), self.1.narrow(dim, start, length))
    }
    fn cat(parts: &[Self], dim: usize) -> Answer<Self> {
        let (a, b): (Vec<_>, Vec<_>) = parts.iter().map(|p| (p.0.clone(), p.1.clone())).unzip();
        Pair::new(Array::cat(&a, dim), Ghost::cat(&b, dim))
    }
    fn pad(&self, dim: usize, before: usize, after: usize) -> Answer<Self> {
        Pair::new(self.0.pad(dim, before, after), self.1.pad(dim, before, after))
    }
    fn matmul(&self, other: &Self, transposed: (bool, bool)) -> Answer<Self> {
        Pair::new(Array::matmul(&self.0, &other.0, transposed), self.1.matmul(&other.1, transposed))
    }
    fn binary(&self, op: Binary, other: &Self) -> Answer<Self> {
        Pair::new(self.0.binary(op, &other.0), self.1.binary(op, &other.1))
    }
    fn compare(&self, op: Compare, other: &Self) -> Answer<Self> {
        Pair::new(self.0.compare(op, &other.0), self.1.compare(op, &other.1))
    }
    fn unary(&self, op: Unary) -> Answer<Self> {
        Pair::new(self.0.unary(op), self.1.unary(op))
    }
    fn affine(&self, factor: f64, offset: f64) -> Answer<Self> {
        Pair::new(Array::affine(&self.0, factor, offset), self.1.affine(factor, offset))
    }
    fn reduce(&self, op: Reduce, dim: usize) -> Answer<Self> {
        Pair::new(self.0.reduce(op, dim), self.1.reduce(op, dim))
    }
    fn choose(&self, yes: &Self, no: &Self) -> Answer<Self> {
        Pair::new(self.0.choose(&yes.0, &no.0), self.1.choose(&yes.1, &no.1))
    }
    fn rows(&self, ids: &Self) -> Answer<Self> {
        Pair::new(self.0.rows(&ids.0), self.1.rows(&ids.1))
    }
    fn scatter_rows(&self, ids: &Self, count: usize) -> Answer<Self> {
        Pair::new(self.0.scatter_rows(&ids.0, count), self.1.scatter_rows(&ids.1, count))
    }
    fn pick(&self, ids: &Self) -> Answer<Self> {
        Pair::new(self.0.pick(&ids.0), self.1.pick(&ids.1))
    }
}

#[test]
fn ghosts_have_the_shapes_of_tensors_and_are_all_freed() {
    for case in cases() {
        for compute in [DType::F32, DType::BF16] {
            let bench = case.bench(reference::Precision::F32, BATCH);
            let meter = Meter::new([]);
            let device = (Device::Cpu, meter.clone());
            let context = Context::<Pair>::new(device.clone(), compute);
            let values = bench.engine.save().unwrap();
            let state: Vec<Pair> = bench
                .programs
                .state
                .tensors
                .iter()
                .map(|t| {
                    let held = values.tensors.get(&t.name).map(|(_, v)| v.clone());
                    let n = t.shape.iter().product();
                    Pair::real(&device, &t.shape, || held.unwrap_or_else(|| vec![0.0; n])).unwrap()
                })
                .collect();
            for program in [&bench.programs.micro, &bench.programs.apply] {
                let batch: Vec<Pair> = program
                    .batch
                    .iter()
                    .map(|input| {
                        let n = input.shape.iter().product();
                        match input.dtype {
                            crate::graph::DType::U32 => Pair::ids(&device, &input.shape, || vec![1; n]).unwrap(),
                            crate::graph::DType::F32 => Pair::real(&device, &input.shape, || vec![0.5; n]).unwrap(),
                        }
                    })
                    .collect();
                let moment = Moment { inputs: &INPUTS, first_sample: 0 };
                run(program, &dead_after(program), &state, &batch, &context, moment).unwrap();
            }
            assert!(meter.peak() > 0 && meter.launches() > 20, "{}", case.name);
            drop((state, context));
            assert_eq!(meter.live(), 0, "{}: something was never freed", case.name);
        }
    }
}

#[test]
fn a_larger_batch_needs_more_memory() {
    let mut case = cases().into_iter().find(|c| c.name == "gpt plain").unwrap();
    case.experiment.training.batch_size = 64;
    let peak = |micro: usize, precision: Precision| {
        rehearse(&case.bench(reference::Precision::F32, micro).programs, precision).unwrap().meter.peak()
    };
    assert!(peak(64, Precision::F32) > peak(32, Precision::F32));
    assert!(peak(64, Precision::F32) > peak(64, Precision::Bf16));
}

/// Whatever programs come after each other, and however often: what was rehearsed of each once is what all need.
#[test]
fn every_program_finds_what_it_found_before() {
    for case in cases() {
        for precision in [Precision::F32, Precision::Bf16] {
            let programs = case.bench(reference::Precision::F32, BATCH).programs;
            let Rehearsal { meter, constants } = rehearse(&programs, precision).unwrap();
            let mut stage = Stage::open(&programs, precision, &constants).unwrap();
            let staying = stage.context.device.reaching();
            let [micro, apply, eval] = all(&programs);
            for program in [eval, micro, micro, micro, apply, micro, apply, eval, eval, micro, apply, apply, eval] {
                stage.perform(program).unwrap();
                assert_eq!(stage.context.device.reaching(), staying, "{}: something stays", case.name);
            }
            assert_eq!(stage.context.constants(), constants, "{}", case.name);
            assert_eq!(stage.context.device.layout(), meter.layout(), "{}", case.name);
            assert_eq!(stage.context.device.peak(), meter.peak(), "{}", case.name);
        }
    }
}
