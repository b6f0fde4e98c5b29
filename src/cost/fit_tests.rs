//! Fits to machines that are known, because they are made up.

use super::*;
use crate::cost::{Estimate, StepTasks, op_by_op, predict};
use crate::graph::{DType, Node, Op, Program, StateSpec, StepPrograms, Value, ValueId};
use crate::rng::{Sequence, Stream};

/// An op with the shapes of its inputs and outputs.
type Step = (Op, Vec<Vec<usize>>, Vec<Vec<usize>>);

fn program(ops: &[Step]) -> Program {
    let mut program =
        Program { name: "micro", values: vec![], nodes: vec![], batch: vec![], writes: vec![], outputs: vec![] };
    for (op, inputs, outputs) in ops {
        let mut add = |shapes: &[Vec<usize>]| -> Vec<ValueId> {
            let ids = program.values.len()..program.values.len() + shapes.len();
            program.values.extend(shapes.iter().map(|s| Value { shape: s.clone(), dtype: DType::F32 }));
            ids.map(ValueId).collect()
        };
        let node = Node { op: op.clone(), inputs: add(inputs), outputs: add(outputs) };
        program.nodes.push(node);
    }
    program
}

fn matmul(m: usize, k: usize, n: usize) -> Step {
    (Op::MatMul { trans_a: false, trans_b: false }, vec![vec![m, k], vec![k, n]], vec![vec![m, n]])
}

fn add(n: usize) -> Step {
    (Op::Add, vec![vec![n], vec![n]], vec![vec![n]])
}

fn norm(rows: usize, features: usize) -> Step {
    let shape = vec![rows, features];
    (Op::RmsNorm { eps: 1e-5 }, vec![shape.clone(), vec![features]], vec![shape, vec![rows]])
}

/// 50 GFLOP/s and 10 GB/s with a few microseconds of overhead, norms slower.
fn machine() -> BTreeMap<OpClass, Rate> {
    let rate = |op, flop, byte| Rate { seconds_per_op: op, seconds_per_flop: 1.0 / flop, seconds_per_byte: 1.0 / byte };
    [
        (OpClass::Matmul, rate(5e-6, 5e10, 8e9)),
        (OpClass::Elementwise, rate(2e-6, 1e11, 1e10)),
        (OpClass::Norm, rate(9e-6, 1e11, 2e9)),
    ]
    .into()
}

fn truth(program: &Program) -> f64 {
    let machine = machine();
    program.nodes.iter().map(|n| machine[&OpClass::of(&n.op).unwrap()].seconds(program.work(n))).sum()
}

/// Something like a network: layers of products, norms and additions of random sizes.
fn network(s: &mut Sequence) -> Program {
    let (rows, width) = (8usize << s.below(7), 16usize << s.below(5));
    let mut ops = vec![];
    for _ in 0..=s.below(6) {
        ops.extend([matmul(rows, width, 4 * width), add(rows * 4 * width), matmul(rows, 4 * width, width)]);
        ops.extend((0..s.below(4)).map(|_| norm(rows, width)));
    }
    program(&ops)
}

fn measured(programs: &[Program], noise: f64, s: &mut Sequence) -> Vec<f64> {
    programs.iter().map(|p| truth(p) * (noise * s.normal()).exp()).collect()
}

fn fitted(programs: &[Program], seconds: &[f64]) -> ThroughputProfile {
    let tasks: Vec<Vec<Task>> = programs.iter().map(op_by_op).collect();
    let samples: Vec<Sample> = tasks
        .iter()
        .zip(seconds)
        .enumerate()
        .map(|(model, (tasks, &seconds))| Sample { tasks, seconds, model, per_step: 1.0, weight: 1.0 })
        .collect();
    fit(&samples, Machine::default()).unwrap()
}

fn step(program: &Program, profile: &ThroughputProfile) -> Estimate {
    let empty = |name| Program { name, ..self::program(&[]) };
    let programs = StepPrograms {
        state: StateSpec::default(),
        micro: program.clone(),
        apply: empty("apply"),
        eval: empty("eval"),
        micro_steps: 1,
        micro_batch: 1,
        targets_per_sample: 1,
    };
    predict(&programs, &StepTasks::op_by_op(&programs), profile).step_seconds
}

/// Without noise, programs that were not in the fit are predicted to a few percent, their class rates are found.
#[test]
fn finds_the_machine() {
    let mut s = Sequence::new(1, Stream::Data, 0, 0);
    let programs: Vec<Program> = (0..40).map(|_| network(&mut s)).collect();
    let seconds = measured(&programs, 0.0, &mut s);
    let profile = fitted(&programs, &seconds);
    let (found, want) = (profile.rate(OpClass::Matmul).seconds_per_flop, 2e-11);
    assert!((found / want - 1.0).abs() < 0.05, "{found} s a FLOP, want {want}");
    assert!(profile.log_spread < 0.05, "{}", profile.log_spread);
    for _ in 0..50 {
        let program = network(&mut s);
        let ratio = step(&program, &profile).seconds / truth(&program);
        assert!((0.85..1.15).contains(&ratio), "{ratio}");
    }
}

/// With 10% of noise the 80% intervals cover 70% to 90% of further programs, and the median error is below 15%.
#[test]
fn intervals_cover() {
    let (mut covered, mut errors) = (0, vec![]);
    for machine in 0..25 {
        let mut s = Sequence::new(2, Stream::Data, machine, 0);
        let programs: Vec<Program> = (0..20).map(|_| network(&mut s)).collect();
        let seconds = measured(&programs, 0.1, &mut s);
        let profile = fitted(&programs, &seconds);
        for _ in 0..20 {
            let program = network(&mut s);
            let seconds = measured(std::slice::from_ref(&program), 0.1, &mut s)[0];
            let estimate = step(&program, &profile);
            covered += u32::from((estimate.low..=estimate.high).contains(&seconds));
            errors.push((estimate.seconds / seconds - 1.0).abs());
        }
    }
    errors.sort_by(f64::total_cmp);
    assert!((350..=450).contains(&covered), "{covered} of 500");
    assert!(errors[250] < 0.15, "median error {}", errors[250]);
}

/// A class without samples gets the speed of all ops together, not a free ride.
#[test]
fn unseen_classes_cost_something() {
    let mut s = Sequence::new(3, Stream::Data, 0, 0);
    let programs: Vec<Program> = (0..12).map(|_| network(&mut s)).collect();
    let seconds = measured(&programs, 0.0, &mut s);
    let profile = fitted(&programs, &seconds);
    let unseen = program(&[(Op::MeanPool2, vec![vec![64, 32, 32, 16]], vec![vec![64, 16, 16, 16]])]);
    let seconds = step(&unseen, &profile).seconds;
    assert!((1e-5..1e-1).contains(&seconds), "{seconds}");
}

/// Few, equal or impossible samples.
#[test]
fn poor_samples() {
    let one = program(&[add(1000)]);
    let tasks = op_by_op(&one);
    let models = std::cell::Cell::new(0);
    let sample = |seconds| Sample {
        tasks: &tasks,
        seconds,
        model: models.replace(models.get() + 1),
        per_step: 1.0,
        weight: 1.0,
    };
    for bad in [vec![], vec![sample(1.0)], vec![sample(1.0), sample(0.0)], vec![sample(1.0), sample(f64::NAN)]] {
        assert!(fit(&bad, Machine::default()).is_err());
    }
    let nothing = Sample { tasks: &[], seconds: 1.0, model: 99, per_step: 1.0, weight: 1.0 };
    assert!(fit(&[sample(1.0), nothing], Machine::default()).is_err());
    let profile = fit(&[sample(1e-5), sample(1.1e-5), sample(0.9e-5)], Machine::default()).unwrap();
    let seconds = step(&one, &profile).seconds;
    assert!((0.8e-5..1.2e-5).contains(&seconds) && profile.log_spread > 0.05, "{seconds} {}", profile.log_spread);
}

/// Models of two programs, few of them as in a calibration, with an error that a model's programs share: its other programs
/// must not give a held-out model away, and the intervals are about whole steps.
#[test]
fn intervals_cover_steps_of_models_that_were_not_measured() {
    let (mut covered, mut all) = (0, 0);
    for machine in 0..60 {
        let mut s = Sequence::new(4, Stream::Data, machine, 0);
        let pairs: Vec<[Program; 2]> = (0..7).map(|_| [network(&mut s), network(&mut s)]).collect();
        let time = |pair: &[Program; 2], s: &mut Sequence| {
            let shared = (0.15 * s.normal()).exp();
            [0, 1].map(|i| truth(&pair[i]) * shared * (0.05 * s.normal()).exp())
        };
        let times: Vec<[f64; 2]> = pairs.iter().map(|pair| time(pair, &mut s)).collect();
        let tasks: Vec<[Vec<Task>; 2]> = pairs.iter().map(|pair| [op_by_op(&pair[0]), op_by_op(&pair[1])]).collect();
        let sample = |model: usize, i: usize| Sample {
            tasks: &tasks[model][i],
            seconds: times[model][i],
            model,
            per_step: [3.0, 1.0][i],
            weight: 1.0,
        };
        let samples: Vec<Sample> = (0..7).flat_map(|model| [sample(model, 0), sample(model, 1)]).collect();
        let profile = fit(&samples, Machine::default()).unwrap();
        for _ in 0..10 {
            let pair = [network(&mut s), network(&mut s)];
            let [micro, apply] = time(&pair, &mut s);
            let [a, b] = [step(&pair[0], &profile).seconds, step(&pair[1], &profile).seconds];
            let ratio = ((3.0 * micro + apply) / (3.0 * a + b)).ln();
            covered += u32::from(ratio.abs() <= profile.log_spread);
            all += 1;
        }
    }
    let share = f64::from(covered) / f64::from(all);
    assert!((0.7..=0.9).contains(&share), "{share} covered");
}

#[test]
fn the_spread_is_a_conformal_quantile() {
    assert_eq!(spread((1..=9).map(f64::from).collect()), 8.0);
    assert_eq!(spread(vec![-4.0, 1.0, 2.0, 3.0]), 4.0);
    assert_eq!(spread(vec![1.0, -2.0]), 3.0);
    assert_eq!(spread(vec![]), 0.0);
    // Position 6.4 of seven.
    assert!((spread((1..=7).map(f64::from).collect()) - 6.4).abs() < 1e-12);
}
