//! Optimiser ops over several steps: against PyTorch's documented formulas written out in f64, and against candle_nn.

use super::{Draw, Val, apply, close, one};
use crate::graph::Op;
use candle_core::{Device, Tensor, Var};
use candle_nn::{AdamW, Optimizer, ParamsAdamW, SGD};

// Settings that f32 fields hold exactly, so that the comparison can be tight; the decays are f64 in the op and have no such need.
const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPS: f64 = 1.0 / 1_048_576.0;
const DECAY: f64 = 0.125;
const RATE: f64 = 0.03125;
const STEPS: i32 = 12;

fn gradients(seed: u64) -> Vec<Val> {
    let mut draw = Draw::new(seed);
    (0..STEPS).map(|_| draw.normal(&[2, 3])).collect()
}

fn adamw(p: &Val, g: &Val, m: &Val, v: &Val, step: i32, clip: f64, lr_scale: f64) -> Vec<Val> {
    let op = Op::AdamW {
        beta1: BETA1,
        beta2: BETA2,
        eps: EPS as f32,
        weight_decay: DECAY as f32,
        lr_scale: lr_scale as f32,
    };
    let scalars = [clip, RATE, 1.0 - BETA1.powi(step), 1.0 - BETA2.powi(step)].map(Val::scalar);
    let mut inputs = vec![p.clone(), g.clone()];
    inputs.extend(scalars);
    inputs.extend([m.clone(), v.clone()]);
    apply(&op, &inputs)
}

#[test]
fn adamw_follows_pytorchs_formula() {
    let start = Draw::new(1).normal(&[2, 3]);
    let (clip, lr_scale) = (0.75, 0.5);
    let zero = Val::new(&[2, 3], vec![0.0; 6]);
    let mut ours = vec![start.clone(), zero.clone(), zero];
    // torch.optim.AdamW: theta -= lr wd theta; m, v moments; theta -= lr m^ / (sqrt(v^) + eps).
    let (mut p, mut m, mut v) = (start.real().to_vec(), [0.0; 6], [0.0; 6]);
    for (step, g) in (1..).zip(gradients(2)) {
        ours = adamw(&ours[0], &g, &ours[1], &ours[2], step, clip, lr_scale);
        let lr = RATE * lr_scale;
        for i in 0..6 {
            let g = g.real()[i] * clip;
            p[i] -= lr * DECAY * p[i];
            m[i] = BETA1 * m[i] + (1.0 - BETA1) * g;
            v[i] = BETA2 * v[i] + (1.0 - BETA2) * g * g;
            let (mean, square) = (m[i] / (1.0 - BETA1.powi(step)), v[i] / (1.0 - BETA2.powi(step)));
            p[i] -= lr * mean / (square.sqrt() + EPS);
        }
        close("p", ours[0].real(), &p, 1e-12);
        close("m", ours[1].real(), &m, 1e-12);
        close("v", ours[2].real(), &v, 1e-12);
    }
}

/// Feeds a gradient to one of candle_nn's optimisers: the loss `sum(p g)` has it.
fn candle_step(optimizer: &mut impl Optimizer, p: &Var, g: &Val) {
    let g = Tensor::from_slice(g.real(), (2, 3), &Device::Cpu).unwrap();
    let loss = (p.as_tensor() * g).unwrap().sum_all().unwrap();
    optimizer.backward_step(&loss).unwrap();
}

#[test]
fn adamw_and_plain_sgd_agree_with_candle_nn() {
    let start = Draw::new(3).normal(&[2, 3]);
    let fresh = || Var::from_tensor(&Tensor::from_slice(start.real(), (2, 3), &Device::Cpu).unwrap()).unwrap();
    let values = |p: &Var| p.flatten_all().unwrap().to_vec1::<f64>().unwrap();

    let p = fresh();
    let params = ParamsAdamW { lr: RATE, beta1: BETA1, beta2: BETA2, eps: EPS, weight_decay: DECAY };
    let mut theirs = AdamW::new(vec![p.clone()], params).unwrap();
    let zero = Val::new(&[2, 3], vec![0.0; 6]);
    let mut ours = vec![start.clone(), zero.clone(), zero];
    for (step, g) in (1..).zip(gradients(4)) {
        candle_step(&mut theirs, &p, &g);
        ours = adamw(&ours[0], &g, &ours[1], &ours[2], step, 1.0, 1.0);
        close("adamw", ours[0].real(), &values(&p), 1e-12);
    }

    let p = fresh();
    let mut theirs = SGD::new(vec![p.clone()], RATE).unwrap();
    let op = Op::Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.0, lr_scale: 1.0 };
    let mut ours = start.clone();
    for g in gradients(5) {
        candle_step(&mut theirs, &p, &g);
        ours = one(&op, &[ours, g, Val::scalar(1.0), Val::scalar(RATE)]);
        close("sgd", ours.real(), &values(&p), 1e-13);
    }
}

#[test]
fn sgd_follows_pytorchs_formula() {
    for (momentum, nesterov) in [(0.0, false), (0.875, false), (0.875, true)] {
        let start = Draw::new(6).normal(&[2, 3]);
        let (clip, lr_scale) = (0.5, 2.0);
        let op = Op::Sgd { momentum: momentum as f32, nesterov, weight_decay: DECAY as f32, lr_scale: lr_scale as f32 };
        let mut ours = [start.clone(), Val::new(&[2, 3], vec![0.0; 6])];
        let (mut p, mut buffer) = (start.real().to_vec(), None::<Vec<f64>>);
        for g in gradients(7) {
            let mut inputs = vec![ours[0].clone(), g.clone(), Val::scalar(clip), Val::scalar(RATE)];
            if momentum != 0.0 {
                inputs.push(ours[1].clone());
            }
            let made = apply(&op, &inputs);
            ours[..made.len()].clone_from_slice(&made);
            // torch.optim.SGD: the first buffer is the gradient itself; nesterov adds momentum * buffer to the gradient.
            let g: Vec<f64> = g.real().iter().map(|g| g * clip).collect();
            let new = match &buffer {
                None => g.clone(),
                Some(old) => old.iter().zip(&g).map(|(b, g)| momentum * b + g).collect(),
            };
            for i in 0..6 {
                let direction = if momentum == 0.0 {
                    g[i]
                } else if nesterov {
                    g[i] + momentum * new[i]
                } else {
                    new[i]
                };
                p[i] -= RATE * lr_scale * DECAY * p[i];
                p[i] -= RATE * lr_scale * direction;
            }
            buffer = Some(new);
            close("p", ours[0].real(), &p, 1e-12);
        }
    }
}

#[test]
fn clipping_and_averaging() {
    let (a, b) = (Val::new(&[2], vec![3.0, 0.0]), Val::new(&[1, 2], vec![0.0, -4.0]));
    let norm = one(&Op::GlobalNorm, &[a, b]);
    assert_eq!(norm.real(), [5.0]);
    let factor = one(&Op::ClipFactor { max_norm: 2.0 }, &[norm]);
    close("clip", factor.real(), &[2.0 / (5.0 + 1e-6)], 1e-15);
    assert_eq!(one(&Op::ClipFactor { max_norm: 2.0 }, &[Val::scalar(1.0)]).real(), [1.0]);
    assert!(one(&Op::ClipFactor { max_norm: 2.0 }, &[Val::scalar(f64::NAN)]).real()[0].is_nan());
    let large = Draw::new(8).normal(&[5000]);
    let exact = large.real().iter().map(|v| v * v).sum::<f64>().sqrt();
    close("norm", one(&Op::GlobalNorm, &[large]).real(), &[exact], 1e-13);
    let average = one(&Op::Ema { decay: 0.75 }, &[Val::new(&[2], vec![4.0, 0.0]), Val::new(&[2], vec![8.0, 1.0])]);
    assert_eq!(average.real(), [5.0, 0.25]);
}
