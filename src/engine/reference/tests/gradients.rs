//! Every backward op against finite differences of its forward op, in f64, over random shapes.

use super::{Draw, Val, apply, apply_at, check_gradient, moment, one};
use crate::config::Activation;
use crate::graph::Op;

const SEEDS: u64 = 4;
const EPS: f32 = 1e-5;

/// Random sizes between the bounds, inclusive.
fn sizes<const N: usize>(draw: &mut Draw, low: usize, high: usize) -> [usize; N] {
    [(); N].map(|()| low + draw.0.below((high - low + 1) as u64) as usize)
}

/// The gradient of an op of one real input, given how its backward op is called.
fn unary(what: &str, forward: &Op, shape: &[usize], backward: &dyn Fn(&Val, &Val) -> Val) {
    for seed in 0..SEEDS {
        let mut draw = Draw::new(seed);
        let x = draw.normal(shape);
        let y = apply(forward, std::slice::from_ref(&x)).remove(0);
        let dy = draw.normal(&y.shape);
        let dx = backward(&x, &dy);
        check_gradient(what, &[x], 0, &dx, &dy, &|v| apply(forward, v).remove(0));
    }
}

#[test]
fn matrix_product() {
    for seed in 0..SEEDS {
        for (trans_a, trans_b) in [(false, false), (false, true), (true, false), (true, true)] {
            let mut draw = Draw::new(seed);
            let [m, k, n] = sizes(&mut draw, 1, 5);
            let a = draw.normal(&if trans_a { [k, m] } else { [m, k] });
            let b = draw.normal(&if trans_b { [n, k] } else { [k, n] });
            let product = |v: &[Val]| apply_at(&Op::MatMul { trans_a, trans_b }, v, &[m, n], &moment()).remove(0);
            let dy = draw.normal(&[m, n]);
            // As the graph builds them: dA' = dY B'^T, dB' = A'^T dY, transposed back.
            let gradient = |ta, tb, x: &Val, y: &Val, shape: &[usize]| {
                apply_at(&Op::MatMul { trans_a: ta, trans_b: tb }, &[x.clone(), y.clone()], shape, &moment()).remove(0)
            };
            let da = if trans_a {
                gradient(trans_b, true, &b, &dy, &a.shape)
            } else {
                gradient(false, !trans_b, &dy, &b, &a.shape)
            };
            let db = if trans_b {
                gradient(true, trans_a, &dy, &a, &b.shape)
            } else {
                gradient(!trans_a, false, &a, &dy, &b.shape)
            };
            let inputs = [a, b];
            check_gradient("matmul", &inputs, 0, &da, &dy, &product);
            check_gradient("matmul", &inputs, 1, &db, &dy, &product);
        }
    }
}

#[test]
fn broadcast_sum() {
    for (x, b) in [(vec![3, 4], vec![4]), (vec![2, 3, 5], vec![3, 5]), (vec![2, 3, 5], vec![5]), (vec![40, 3], vec![3])]
    {
        let mut draw = Draw::new(1);
        let inputs = [draw.normal(&x), draw.normal(&b)];
        let dy = draw.normal(&x);
        let db = apply_at(&Op::SumLeading, std::slice::from_ref(&dy), &b, &moment()).remove(0);
        let add = |v: &[Val]| one(&Op::AddBroadcast, v);
        check_gradient("broadcast", &inputs, 0, &dy, &dy, &add);
        check_gradient("broadcast", &inputs, 1, &db, &dy, &add);
    }
}

#[test]
fn activations() {
    use Activation::{Gelu, Relu, ReluSquared, Silu, Tanh};
    for which in [Relu, Gelu, ReluSquared, Silu, Tanh] {
        // Finite steps must not cross the kink at zero, so the values are pushed away from it.
        for seed in 0..SEEDS {
            let mut draw = Draw::new(seed);
            let x = Val::new(&[3, 17], draw.normal(&[3, 17]).real().iter().map(|v| v + 0.01 * v.signum()).collect());
            let dy = draw.normal(&[3, 17]);
            let dx = one(&Op::ActivateGrad(which), &[x.clone(), dy.clone()]);
            check_gradient("activation", &[x], 0, &dx, &dy, &|v| one(&Op::Activate(which), v));
        }
        let at_zero = one(&Op::ActivateGrad(which), &[Val::new(&[1], vec![0.0]), Val::new(&[1], vec![1.0])]);
        let wanted = match which {
            Relu | ReluSquared => 0.0,
            Gelu | Silu => 0.5,
            Tanh => 1.0,
        };
        assert_eq!(at_zero.real(), [wanted], "{which:?}'(0)");
    }
    let swiglu = |x: &Val, dy: &Val| one(&Op::SwigluGrad, &[x.clone(), dy.clone()]);
    unary("swiglu", &Op::Swiglu, &[2, 3, 10], &swiglu);
}

#[test]
fn dropout_and_scale() {
    let op = Op::Dropout { p: 0.4, site: 2 };
    unary("dropout", &op, &[3, 2, 7], &|_, dy| one(&op, std::slice::from_ref(dy)));
    let op = Op::Scale(-1.5);
    unary("scale", &op, &[3, 4], &|_, dy| one(&op, std::slice::from_ref(dy)));
}

#[test]
fn norms() {
    for seed in 0..SEEDS {
        let mut draw = Draw::new(seed);
        let [rows, width] = sizes(&mut draw, 3, 20);
        let (x, gain, bias) = (draw.normal(&[2, rows, width]), draw.normal(&[width]), draw.normal(&[width]));
        let dy = draw.normal(&x.shape);

        let forward = Op::LayerNorm { eps: EPS };
        let inputs = [x.clone(), gain.clone(), bias];
        let made = apply(&forward, &inputs);
        let operands = [x.clone(), gain.clone(), made[1].clone(), made[2].clone(), dy.clone()];
        for (i, gradient) in apply(&Op::LayerNormGrad, &operands).iter().enumerate() {
            check_gradient("layer norm", &inputs, i, gradient, &dy, &|v| apply(&forward, v).remove(0));
        }

        let forward = Op::RmsNorm { eps: EPS };
        let inputs = [x.clone(), gain.clone()];
        let made = apply(&forward, &inputs);
        let gradients = apply(&Op::RmsNormGrad, &[x, gain, made[1].clone(), dy.clone()]);
        for (i, gradient) in gradients.iter().enumerate() {
            check_gradient("RMS norm", &inputs, i, gradient, &dy, &|v| apply(&forward, v).remove(0));
        }
    }
}

#[test]
fn group_norms() {
    for (seed, (shape, groups)) in
        [([2, 3, 4, 6], 3), ([1, 2, 2, 4], 1), ([3, 1, 5, 4], 4), ([2, 7, 6, 2], 2)].into_iter().enumerate()
    {
        let mut draw = Draw::new(seed as u64);
        let forward = Op::GroupNorm { groups, eps: EPS };
        let inputs = [draw.normal(&shape), draw.normal(&[shape[3]]), draw.normal(&[shape[3]])];
        let dy = draw.normal(&shape);
        let made = apply(&forward, &inputs);
        let operands = [inputs[0].clone(), inputs[1].clone(), made[1].clone(), made[2].clone(), dy.clone()];
        for (i, gradient) in apply(&Op::GroupNormGrad { groups }, &operands).iter().enumerate() {
            check_gradient("group norm", &inputs, i, gradient, &dy, &|v| apply(&forward, v).remove(0));
        }
    }
}

#[test]
fn embedding_with_repeated_ids() {
    for seed in 0..SEEDS {
        let mut draw = Draw::new(seed);
        let (table, ids) = (draw.normal(&[4, 3]), draw.below(&[2, 5], 4));
        let dy = draw.normal(&[2, 5, 3]);
        let gradient = apply_at(&Op::EmbeddingGrad, &[ids.clone(), dy.clone()], &[4, 3], &moment()).remove(0);
        check_gradient("embedding", &[table, ids], 0, &gradient, &dy, &|v| one(&Op::Embedding, v));
    }
}

#[test]
fn rotary_and_query_key_norm() {
    // Two query heads, one key head, one value head of four features.
    let rope = |inverse| Op::Rope { rotated_heads: 3, head_dim: 4, base: 10_000.0, inverse };
    unary("rope", &rope(false), &[2, 5, 16], &|_, dy| one(&rope(true), std::slice::from_ref(dy)));
    let norm = Op::QkNorm { normed_heads: 3, head_dim: 4, eps: EPS };
    unary("query-key norm", &norm, &[2, 5, 16], &|x, dy| {
        let made = apply(&norm, std::slice::from_ref(x));
        one(&Op::QkNormGrad { normed_heads: 3, head_dim: 4 }, &[x.clone(), made[1].clone(), dy.clone()])
    });
}

#[test]
fn attention() {
    for (heads, kv_heads, head_dim, samples, length) in
        [(1, 1, 3, 1, 1), (2, 2, 4, 2, 3), (4, 2, 2, 2, 5), (3, 1, 5, 1, 6)]
    {
        let shape = [samples, length, (heads + 2 * kv_heads) * head_dim];
        unary("attention", &Op::Attention { heads, kv_heads }, &shape, &|x, dy| {
            let made = apply(&Op::Attention { heads, kv_heads }, std::slice::from_ref(x));
            one(&Op::AttentionGrad { heads, kv_heads }, &[x.clone(), made[0].clone(), made[1].clone(), dy.clone()])
        });
    }
}

#[test]
fn last_token() {
    unary("last token", &Op::LastToken, &[2, 4, 3], &|x, dy| {
        apply_at(&Op::LastTokenGrad, std::slice::from_ref(dy), &x.shape, &moment()).remove(0)
    });
}

#[test]
fn convolution() {
    for (seed, (image, kernel, out)) in
        [([2, 4, 5, 2], 3, 3), ([1, 3, 3, 1], 1, 2), ([2, 5, 5, 3], 5, 1), ([1, 1, 4, 2], 3, 2), ([3, 2, 2, 1], 3, 4)]
            .into_iter()
            .enumerate()
    {
        let mut draw = Draw::new(seed as u64);
        let inputs = [draw.normal(&image), draw.normal(&[out, kernel, kernel, image[3]])];
        let dy = draw.normal(&[image[0], image[1], image[2], out]);
        let dx = apply_at(&Op::Conv2dGradInput, &[inputs[1].clone(), dy.clone()], &image, &moment()).remove(0);
        let dw =
            apply_at(&Op::Conv2dGradWeight, &[inputs[0].clone(), dy.clone()], &inputs[1].shape, &moment()).remove(0);
        check_gradient("convolution", &inputs, 0, &dx, &dy, &|v| one(&Op::Conv2d, v));
        check_gradient("convolution", &inputs, 1, &dw, &dy, &|v| one(&Op::Conv2d, v));
    }
}

#[test]
fn pools() {
    for shape in [[2, 4, 6, 3], [1, 5, 3, 2], [2, 2, 2, 1]] {
        // Distinct values 0.1 apart, so that no finite step changes which one is the largest.
        let mut draw = Draw::new(9);
        let mut values: Vec<f64> = (0..shape.iter().product::<usize>()).map(|i| 0.1 * i as f64).collect();
        draw.0.shuffle(&mut values);
        let x = Val::new(&shape, values);
        let made = apply(&Op::MaxPool2, std::slice::from_ref(&x));
        let dy = draw.normal(&made[0].shape);
        let dx = apply_at(&Op::MaxPool2Grad, &[made[1].clone(), dy.clone()], &shape, &moment()).remove(0);
        check_gradient("max pool", &[x], 0, &dx, &dy, &|v| apply(&Op::MaxPool2, v).remove(0));
        let declared =
            |op: Op| move |x: &Val, dy: &Val| apply_at(&op, std::slice::from_ref(dy), &x.shape, &moment()).remove(0);
        unary("mean pool", &Op::MeanPool2, &shape, &declared(Op::MeanPool2Grad));
        unary("mean of pixels", &Op::MeanPixels, &shape, &declared(Op::MeanPixelsGrad));
    }
}

#[test]
fn losses() {
    for smoothing in [0.0, 0.2] {
        for seed in 0..SEEDS {
            let mut draw = Draw::new(seed);
            let [rows, classes] = sizes(&mut draw, 2, 7);
            let (logits, target) = (draw.normal(&[rows, classes]), draw.below(&[rows], classes as u64));
            let mut weight = draw.normal(&[rows]).real().iter().map(|w| w.abs()).collect::<Vec<_>>();
            weight[0] = 0.0;
            let weight = Val::new(&[rows], weight);
            let total = |v: &[Val]| {
                let loss = apply(&Op::CrossEntropy { smoothing }, v).remove(0);
                one(&Op::WeightedSum, &[loss, weight.clone()])
            };
            let lse = apply(&Op::CrossEntropy { smoothing }, &[logits.clone(), target.clone()]).remove(1);
            let slope = one(
                &Op::CrossEntropyGrad { smoothing, scale: 0.25 },
                &[logits.clone(), target.clone(), lse, weight.clone()],
            );
            let dy = Val::scalar(0.25);
            check_gradient("cross-entropy", &[logits, target], 0, &slope, &dy, &total);
            assert!(slope.real()[..classes].iter().all(|&d| d == 0.0), "padding has no gradient");

            let (prediction, wanted) = (draw.normal(&[rows, 3]), draw.normal(&[rows, 3]));
            let total = |v: &[Val]| one(&Op::WeightedSum, &[one(&Op::SquaredError, v), weight.clone()]);
            let slope =
                one(&Op::SquaredErrorGrad { scale: 0.25 }, &[prediction.clone(), wanted.clone(), weight.clone()]);
            check_gradient("squared error", &[prediction, wanted], 0, &slope, &dy, &total);
        }
    }
}
