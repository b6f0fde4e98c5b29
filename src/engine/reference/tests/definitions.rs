//! Forward ops against their definitions, written again as plainly as possible.

use super::{Draw, Val, apply, apply_at, close, moment, one};
use crate::config::Activation;
use crate::graph::Op;
use crate::rng::{self, Stream};

#[test]
fn activations() {
    let x = [-3.0, -0.5, 0.0, 0.25, 2.0];
    let definition = |which, x: f64| match which {
        Activation::Relu => x.max(0.0),
        Activation::Gelu => 0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh()),
        Activation::ReluSquared => x.max(0.0).powi(2),
        Activation::Silu => x / (1.0 + (-x).exp()),
        Activation::Tanh => x.tanh(),
    };
    for which in [Activation::Relu, Activation::Gelu, Activation::ReluSquared, Activation::Silu, Activation::Tanh] {
        let y = one(&Op::Activate(which), &[Val::new(&[5], x.to_vec())]);
        close(&format!("{which:?}"), y.real(), &x.map(|x| definition(which, x)), 1e-14);
        let nan = one(&Op::Activate(which), &[Val::new(&[1], vec![f64::NAN])]);
        assert!(nan.real()[0].is_nan(), "{which:?} must not hide divergence");
    }
}

#[test]
fn dropout_reads_its_own_stream() {
    let (p, site, now) = (0.3f32, 4, moment());
    let (samples, width) = (3, 10);
    let y = one(&Op::Dropout { p, site }, &[Val::new(&[samples, 2, 5], vec![1.0; 30])]);
    for s in 0..samples {
        for e in 0..width {
            let bits =
                rng::bits(now.seed, Stream::dropout(site), now.step as u32, now.first_sample + s as u32, e as u32);
            let wanted = if rng::unit_f32(bits) >= p { 1.0 / (1.0 - f64::from(p)) } else { 0.0 };
            assert_eq!(y.real()[s * width + e], wanted);
        }
    }
    let many = one(&Op::Dropout { p, site }, &[Val::new(&[100, 100], vec![1.0; 10_000])]);
    let mean = many.real().iter().sum::<f64>() / 10_000.0;
    assert!((mean - 1.0).abs() < 0.03, "the mean {mean} is kept");
}

#[test]
fn norms() {
    let mut draw = Draw::new(1);
    let (x, gain, bias) = (draw.normal(&[3, 6]), draw.normal(&[6]), draw.normal(&[6]));
    let layer = apply(&Op::LayerNorm { eps: 0.5 }, &[x.clone(), gain.clone(), bias.clone()]);
    let rms = apply(&Op::RmsNorm { eps: 0.5 }, &[x.clone(), gain.clone()]);
    for (r, row) in x.real().chunks(6).enumerate() {
        let mean = row.iter().sum::<f64>() / 6.0;
        let rstd = 1.0 / (row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 6.0 + 0.5).sqrt();
        let wanted: Vec<f64> = (0..6).map(|c| (row[c] - mean) * rstd * gain.real()[c] + bias.real()[c]).collect();
        close("layer norm", &layer[0].real()[r * 6..][..6], &wanted, 1e-13);
        close("mean, rstd", &[layer[1].real()[r], layer[2].real()[r]], &[mean, rstd], 1e-13);
        let rstd = 1.0 / (row.iter().map(|v| v * v).sum::<f64>() / 6.0 + 0.5).sqrt();
        let wanted: Vec<f64> = (0..6).map(|c| row[c] * rstd * gain.real()[c]).collect();
        close("RMS norm", &rms[0].real()[r * 6..][..6], &wanted, 1e-13);
        close("rstd", &[rms[1].real()[r]], &[rstd], 1e-13);
    }
}

#[test]
fn group_norm() {
    let mut draw = Draw::new(2);
    let (b, h, w, c, groups) = (2, 3, 2, 6, 3);
    let (x, gain, bias) = (draw.normal(&[b, h, w, c]), draw.normal(&[c]), draw.normal(&[c]));
    let made = apply(&Op::GroupNorm { groups, eps: 0.125 }, &[x.clone(), gain.clone(), bias.clone()]);
    for sample in 0..b {
        for group in 0..groups {
            let members: Vec<usize> =
                (0..h * w * c).filter(|i| i % c / 2 == group).map(|i| sample * h * w * c + i).collect();
            let count = members.len() as f64;
            let mean = members.iter().map(|&i| x.real()[i]).sum::<f64>() / count;
            let variance = members.iter().map(|&i| (x.real()[i] - mean).powi(2)).sum::<f64>() / count;
            let rstd = 1.0 / (variance + 0.125).sqrt();
            for i in members {
                let wanted = (x.real()[i] - mean) * rstd * gain.real()[i % c] + bias.real()[i % c];
                close("group norm", &[made[0].real()[i]], &[wanted], 1e-12);
            }
            let at = sample * groups + group;
            close("mean, rstd", &[made[1].real()[at], made[2].real()[at]], &[mean, rstd], 1e-12);
        }
    }
}

#[test]
fn causal_attention_with_grouped_heads() {
    let (samples, length, heads, kv_heads, d) = (2, 4, 4, 2, 3);
    let packed = (heads + 2 * kv_heads) * d;
    let qkv = Draw::new(3).normal(&[samples, length, packed]);
    let made = apply(&Op::Attention { heads, kv_heads }, std::slice::from_ref(&qkv));
    let at = |b: usize, t: usize, head: usize, i: usize| qkv.real()[(b * length + t) * packed + head * d + i];
    for b in 0..samples {
        for h in 0..heads {
            let (key, value) = (heads + h / (heads / kv_heads), heads + kv_heads + h / (heads / kv_heads));
            for t in 0..length {
                let scores: Vec<f64> = (0..=t)
                    .map(|s| (0..d).map(|i| at(b, t, h, i) * at(b, s, key, i)).sum::<f64>() / (d as f64).sqrt())
                    .collect();
                let total = scores.iter().map(|s| s.exp()).sum::<f64>();
                close("lse", &[made[1].real()[(b * heads + h) * length + t]], &[total.ln()], 1e-12);
                for i in 0..d {
                    let wanted =
                        scores.iter().enumerate().map(|(s, e)| e.exp() / total * at(b, s, value, i)).sum::<f64>();
                    close("out", &[made[0].real()[((b * length + t) * heads + h) * d + i]], &[wanted], 1e-12);
                }
            }
        }
    }
}

#[test]
fn large_attention_is_the_same_in_portions() {
    // More scores than one portion holds, so that samples are split; each must equal itself alone.
    let (samples, length, heads) = (5, 181, 2);
    let qkv = Draw::new(4).normal(&[samples, length, 3 * heads * 2]);
    let op = Op::Attention { heads, kv_heads: heads };
    let all = one_of_two(&op, &qkv);
    let per = qkv.real().len() / samples;
    for s in 0..samples {
        let alone = Val::new(&[1, length, 3 * heads * 2], qkv.real()[s * per..][..per].to_vec());
        assert_eq!(one_of_two(&op, &alone).real(), &all.real()[s * per / 3..][..per / 3]);
    }
}

fn one_of_two(op: &Op, x: &Val) -> Val {
    apply(op, std::slice::from_ref(x)).remove(0)
}

#[test]
fn rotary_positions() {
    let (heads, d, length) = (2, 4, 3);
    let x = Draw::new(5).normal(&[1, length, (heads + 1) * d]);
    let rope = |inverse| Op::Rope { rotated_heads: heads, head_dim: d, base: 100.0, inverse };
    let y = one(&rope(false), std::slice::from_ref(&x));
    for t in 0..length {
        for head in 0..heads + 1 {
            for i in 0..d / 2 {
                let first = (t * (heads + 1) + head) * d + i;
                let (a, b) = (x.real()[first], x.real()[first + d / 2]);
                let angle = if head < heads { t as f64 * 100f64.powf(-2.0 * i as f64 / d as f64) } else { 0.0 };
                let (sin, cos) = angle.sin_cos();
                let got = [y.real()[first], y.real()[first + d / 2]];
                close("rope", &got, &[a * cos - b * sin, a * sin + b * cos], 1e-12);
            }
        }
    }
    close("rotated back", one(&rope(true), &[y]).real(), x.real(), 1e-12);
}

#[test]
fn query_key_norm() {
    let x = Draw::new(6).normal(&[1, 2, 9]);
    let made = apply(&Op::QkNorm { normed_heads: 2, head_dim: 3, eps: 0.5 }, std::slice::from_ref(&x));
    for (r, head) in x.real().chunks(3).enumerate() {
        let normed = r % 3 < 2;
        let rstd = if normed { 1.0 / (head.iter().map(|v| v * v).sum::<f64>() / 3.0 + 0.5).sqrt() } else { 1.0 };
        close("head", &made[0].real()[r * 3..][..3], &head.iter().map(|v| v * rstd).collect::<Vec<_>>(), 1e-13);
        if normed {
            close("rstd", &[made[1].real()[r / 3 * 2 + r % 3]], &[rstd], 1e-13);
        }
    }
}

#[test]
fn convolution_is_a_cross_correlation_with_same_padding() {
    let (b, h, w, cin, cout, k) = (2, 4, 3, 2, 3, 3);
    let mut draw = Draw::new(7);
    let (x, kernel) = (draw.normal(&[b, h, w, cin]), draw.normal(&[cout, k, k, cin]));
    let y = one(&Op::Conv2d, &[x.clone(), kernel.clone()]);
    for (at, &got) in y.real().iter().enumerate() {
        let (o, px, py, sample) = (at % cout, at / cout % w, at / cout / w % h, at / cout / w / h);
        let mut wanted = 0.0;
        for (i, j) in (0..k).flat_map(|i| (0..k).map(move |j| (i, j))) {
            let (row, column) = ((py + i).wrapping_sub(1), (px + j).wrapping_sub(1));
            if row < h && column < w {
                for c in 0..cin {
                    wanted += x.real()[((sample * h + row) * w + column) * cin + c]
                        * kernel.real()[((o * k + i) * k + j) * cin + c];
                }
            }
        }
        close("convolution", &[got], &[wanted], 1e-12);
    }
}

#[test]
fn many_images_are_convolved_in_portions() {
    // 20 images of 64 x 64 x 9 * 2 patches are more than one portion.
    let (count, side) = (20, 64);
    let mut draw = Draw::new(8);
    let (x, kernel) = (draw.normal(&[count, side, side, 2]), draw.normal(&[1, 3, 3, 2]));
    let y = one(&Op::Conv2d, &[x.clone(), kernel.clone()]);
    let dy = draw.normal(&y.shape);
    let dx = apply_at(&Op::Conv2dGradInput, &[kernel.clone(), dy.clone()], &x.shape, &moment()).remove(0);
    let dw = apply_at(&Op::Conv2dGradWeight, &[x.clone(), dy.clone()], &kernel.shape, &moment()).remove(0);
    let mut sum = vec![0.0; kernel.real().len()];
    for i in 0..count {
        let pick = |v: &Val, channels: usize| {
            let per = side * side * channels;
            Val::new(&[1, side, side, channels], v.real()[i * per..][..per].to_vec())
        };
        let (x, dy) = (pick(&x, 2), pick(&dy, 1));
        close("forward", one(&Op::Conv2d, &[x.clone(), kernel.clone()]).real(), pick(&y, 1).real(), 1e-12);
        let back = apply_at(&Op::Conv2dGradInput, &[kernel.clone(), dy.clone()], &x.shape, &moment()).remove(0);
        close("to the input", back.real(), pick(&dx, 2).real(), 1e-12);
        let part = apply_at(&Op::Conv2dGradWeight, &[x, dy], &kernel.shape, &moment()).remove(0);
        sum.iter_mut().zip(part.real()).for_each(|(s, v)| *s += v);
    }
    close("to the kernel", dw.real(), &sum, 1e-10);
}

#[test]
fn pools_drop_odd_edges_and_the_first_maximum_wins() {
    // One 3x5 image; the last row and column belong to no window. All of the first window is equal.
    let x = Val::new(&[1, 3, 5, 1], vec![7., 7., 1., 2., 9., 7., 7., 2., 2., 9., 9., 9., 9., 9., 9.]);
    let made = apply(&Op::MaxPool2, std::slice::from_ref(&x));
    assert_eq!((made[0].real(), made[1].integers()), (&[7.0, 2.0][..], &[0, 1][..]));
    assert_eq!(one(&Op::MeanPool2, std::slice::from_ref(&x)).real(), [7.0, 1.75]);
    let dx =
        apply_at(&Op::MaxPool2Grad, &[made[1].clone(), Val::new(&[1, 1, 2, 1], vec![3.0, 4.0])], &x.shape, &moment());
    let wanted = [3., 0., 0., 4., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0.];
    assert_eq!(dx[0].real(), wanted);
}

#[test]
fn losses() {
    let (logits, target) = (Draw::new(9).normal(&[3, 4]), Val::ids(&[3], vec![0, 3, 2]));
    let smoothing = 0.25;
    let made = apply(&Op::CrossEntropy { smoothing }, &[logits.clone(), target.clone()]);
    for (r, row) in logits.real().chunks(4).enumerate() {
        let lse = row.iter().map(|v| v.exp()).sum::<f64>().ln();
        // The expected negative log-probability under the smoothed target.
        let wanted: f64 = (0..4)
            .map(|c| (lse - row[c]) * (0.25 / 4.0 + if c == target.integers()[r] as usize { 0.75 } else { 0.0 }))
            .sum();
        close("cross-entropy", &[made[0].real()[r], made[1].real()[r]], &[wanted, lse], 1e-12);
    }
    let shifted = Val::new(&[3, 4], logits.real().iter().map(|v| v + 1e4).collect());
    let far = apply(&Op::CrossEntropy { smoothing }, &[shifted, target.clone()]);
    close("a common offset changes nothing", far[0].real(), made[0].real(), 1e-9);

    let error =
        one(&Op::SquaredError, &[Val::new(&[2, 2], vec![1., 2., 3., 4.]), Val::new(&[2, 2], vec![0., 0., 3., 2.])]);
    assert_eq!(error.real(), [2.5, 2.0]);
    let sum = one(&Op::WeightedSum, &[Val::new(&[3], vec![1.0, f64::NAN, 3.0]), Val::new(&[3], vec![2.0, 0.0, 0.5])]);
    assert_eq!(sum.real(), [3.5], "padding counts for nothing, whatever was computed for it");
}

#[test]
fn the_first_largest_logit_is_the_prediction() {
    let logits = Val::new(&[4, 3], vec![1., 5., 5., 0., 0., 0., 2., 1., 3., 9., 8., 7.]);
    let target = Val::ids(&[4], vec![1, 0, 2, 1]);
    let weight = Val::new(&[4], vec![1.0, 0.5, 2.0, 8.0]);
    assert_eq!(one(&Op::CorrectSum, &[logits, target, weight]).real(), [3.5]);
}

#[test]
fn impossible_ids_are_refused_with_their_value() {
    let refused =
        std::panic::catch_unwind(|| one(&Op::Embedding, &[Val::new(&[2, 1], vec![0.0, 1.0]), Val::ids(&[1], vec![2])]));
    let message = refused.unwrap_err();
    let message = message.downcast_ref::<String>().unwrap();
    assert!(message.contains("token id 2") && message.contains("vocabulary of 2"), "{message}");
}
