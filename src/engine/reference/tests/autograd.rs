//! A second witness: candle's autograd on plain ops, where it is right.

use super::{Draw, Val, apply, apply_at, close, moment, one};
use crate::graph::Op;
use candle_core::{D, DType, Device, Tensor, Var};

fn var(v: &Val) -> Var {
    Var::from_tensor(&constant(v)).unwrap()
}

fn constant(v: &Val) -> Tensor {
    Tensor::from_slice(v.real(), v.shape.as_slice(), &Device::Cpu).unwrap()
}

fn flat(t: &Tensor) -> Vec<f64> {
    t.flatten_all().unwrap().to_vec1().unwrap()
}

/// Gradient of `sum(y dy)` with respect to a variable.
fn gradient(y: &Tensor, dy: &Val, of: &Var) -> Vec<f64> {
    let gradients = (y * constant(dy)).unwrap().sum_all().unwrap().backward().unwrap();
    flat(gradients.get(of).expect("candle tracked the variable"))
}

#[test]
fn matrix_product() {
    let mut draw = Draw::new(1);
    let (a, b, dy) = (draw.normal(&[5, 7]), draw.normal(&[7, 4]), draw.normal(&[5, 4]));
    let (va, vb) = (var(&a), var(&b));
    let y = va.matmul(&vb).unwrap();
    let product = Op::MatMul { trans_a: false, trans_b: false };
    close("y", apply_at(&product, &[a.clone(), b.clone()], &[5, 4], &moment())[0].real(), &flat(&y), 1e-13);
    let da = Op::MatMul { trans_a: false, trans_b: true };
    let db = Op::MatMul { trans_a: true, trans_b: false };
    close("da", apply_at(&da, &[dy.clone(), b], &[5, 7], &moment())[0].real(), &gradient(&y, &dy, &va), 1e-13);
    close("db", apply_at(&db, &[a, dy.clone()], &[7, 4], &moment())[0].real(), &gradient(&y, &dy, &vb), 1e-13);
}

#[test]
fn convolution() {
    let mut draw = Draw::new(2);
    let (x, w, dy) = (draw.normal(&[2, 6, 5, 3]), draw.normal(&[4, 3, 3, 3]), draw.normal(&[2, 6, 5, 4]));
    let (vx, vw) = (var(&x), var(&w));
    let nchw = |t: &Tensor| t.permute((0, 3, 1, 2)).unwrap().contiguous().unwrap();
    let y = nchw(&vx).conv2d(&nchw(&vw), 1, 1, 1, 1).unwrap().permute((0, 2, 3, 1)).unwrap().contiguous().unwrap();
    close("y", one(&Op::Conv2d, &[x.clone(), w.clone()]).real(), &flat(&y), 1e-12);
    let dx = apply_at(&Op::Conv2dGradInput, &[w.clone(), dy.clone()], &x.shape, &moment()).remove(0);
    let dw = apply_at(&Op::Conv2dGradWeight, &[x, dy.clone()], &w.shape, &moment()).remove(0);
    close("dx", dx.real(), &gradient(&y, &dy, &vx), 1e-12);
    close("dw", dw.real(), &gradient(&y, &dy, &vw), 1e-12);
}

#[test]
fn softmax_cross_entropy() {
    let mut draw = Draw::new(3);
    let (rows, classes, smoothing) = (6, 5, 0.25);
    let (logits, target) = (draw.normal(&[rows, classes]), draw.below(&[rows], classes as u64));
    let weight = Val::new(&[rows], vec![1.0, 0.0, 2.0, 0.5, 1.0, 1.0]);
    let x = var(&logits);
    let shifted = x.broadcast_sub(&x.max_keepdim(D::Minus1).unwrap().detach()).unwrap();
    let total = shifted.exp().unwrap().sum_keepdim(D::Minus1).unwrap().log().unwrap();
    let log_p = shifted.broadcast_sub(&total).unwrap();
    let mut wanted = vec![smoothing / classes as f64; rows * classes];
    for (r, &t) in target.integers().iter().enumerate() {
        wanted[r * classes + t as usize] += 1.0 - smoothing;
    }
    let wanted = Tensor::from_vec(wanted, (rows, classes), &Device::Cpu).unwrap();
    let loss = (log_p * wanted).unwrap().sum(D::Minus1).unwrap().neg().unwrap();
    let smoothing = smoothing as f32;
    let made = apply(&Op::CrossEntropy { smoothing }, &[logits.clone(), target.clone()]);
    close("loss", made[0].real(), &flat(&loss), 1e-12);
    let op = Op::CrossEntropyGrad { smoothing, scale: 1.0 };
    let slope = one(&op, &[logits, target, made[1].clone(), weight.clone()]);
    close("slope", slope.real(), &gradient(&loss, &weight, &x), 1e-12);
}

#[test]
fn attention_from_plain_ops() {
    let (samples, length, heads, d) = (2, 5, 3, 4);
    let mut draw = Draw::new(4);
    let qkv = draw.normal(&[samples, length, 3 * heads * d]);
    let dy = draw.normal(&[samples, length, heads * d]);
    let x = var(&qkv);
    let part = |i: usize| {
        let rows = x.narrow(2, i * heads * d, heads * d).unwrap();
        rows.reshape((samples, length, heads, d)).unwrap().transpose(1, 2).unwrap().contiguous().unwrap()
    };
    let scores = (part(0).matmul(&part(1).t().unwrap()).unwrap() / (d as f64).sqrt()).unwrap();
    let mask: Vec<f64> =
        (0..length * length).map(|i| if i % length > i / length { f64::NEG_INFINITY } else { 0.0 }).collect();
    let scores = scores.broadcast_add(&Tensor::from_vec(mask, (length, length), &Device::Cpu).unwrap()).unwrap();
    let e = scores.broadcast_sub(&scores.max_keepdim(D::Minus1).unwrap().detach()).unwrap().exp().unwrap();
    let p = e.broadcast_div(&e.sum_keepdim(D::Minus1).unwrap()).unwrap();
    let y = p.matmul(&part(2)).unwrap().transpose(1, 2).unwrap().reshape((samples, length, heads * d)).unwrap();
    let made = apply(&Op::Attention { heads, kv_heads: heads }, std::slice::from_ref(&qkv));
    close("y", made[0].real(), &flat(&y), 1e-12);
    let op = Op::AttentionGrad { heads, kv_heads: heads };
    let slope = one(&op, &[qkv, made[0].clone(), made[1].clone(), dy.clone()]);
    close("dqkv", slope.real(), &gradient(&y, &dy, &x), 1e-12);
}

#[test]
fn layer_norm_from_plain_ops() {
    let mut draw = Draw::new(5);
    let (x, gain, bias, dy) = (draw.normal(&[4, 9]), draw.normal(&[9]), draw.normal(&[9]), draw.normal(&[4, 9]));
    let (vx, vg, vb) = (var(&x), var(&gain), var(&bias));
    let centred = vx.broadcast_sub(&vx.mean_keepdim(D::Minus1).unwrap()).unwrap();
    let deviation = (centred.sqr().unwrap().mean_keepdim(D::Minus1).unwrap() + 1.0).unwrap().sqrt().unwrap();
    let y = centred.broadcast_div(&deviation).unwrap().broadcast_mul(&vg).unwrap().broadcast_add(&vb).unwrap();
    let made = apply(&Op::LayerNorm { eps: 1.0 }, &[x.clone(), gain.clone(), bias]);
    close("y", made[0].real(), &flat(&y), 1e-12);
    let slopes = apply(&Op::LayerNormGrad, &[x, gain, made[1].clone(), made[2].clone(), dy.clone()]);
    for (slope, of) in slopes.iter().zip([&vx, &vg, &vb]) {
        close("slope", slope.real(), &gradient(&y, &dy, of), 1e-12);
    }
    assert_eq!(y.dtype(), DType::F64);
}
