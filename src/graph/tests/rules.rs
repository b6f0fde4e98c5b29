//! Shape rules one by one: wrong operands are refused and named, and `verify` notices every kind of damage.

use super::*;
use crate::config::Activation;
use crate::graph::builder::Builder;
use crate::graph::grad::backward;
use crate::graph::{DType, Node, Op, Value, ValueId};

fn f(shape: &[usize]) -> Value {
    Value { shape: shape.to_vec(), dtype: DType::F32 }
}

fn u(shape: &[usize]) -> Value {
    Value { shape: shape.to_vec(), dtype: DType::U32 }
}

fn infer(op: &Op, inputs: &[Value], declared: &[usize]) -> Result<Vec<Value>, String> {
    op.infer(&inputs.iter().collect::<Vec<_>>(), &f(declared))
}

#[test]
fn operands_that_fit() {
    let product = Op::MatMul { trans_a: true, trans_b: false };
    for (op, inputs, declared, expected) in [
        (product, vec![f(&[2, 3, 5]), f(&[6, 7])], vec![5, 7], vec![f(&[5, 7])]),
        (Op::AddBroadcast, vec![f(&[2, 3, 5]), f(&[3, 5])], vec![], vec![f(&[2, 3, 5])]),
        (Op::SumLeading, vec![f(&[2, 3, 5])], vec![5], vec![f(&[5])]),
        (Op::Swiglu, vec![f(&[2, 6])], vec![], vec![f(&[2, 3])]),
        (
            Op::LayerNorm { eps: 1e-5 },
            vec![f(&[2, 3, 5]), f(&[5]), f(&[5])],
            vec![],
            vec![f(&[2, 3, 5]), f(&[6]), f(&[6])],
        ),
        (Op::Attention { heads: 4, kv_heads: 2 }, vec![f(&[2, 3, 40])], vec![], vec![f(&[2, 3, 20]), f(&[2, 4, 3])]),
        (
            Op::QkNorm { normed_heads: 6, head_dim: 5, eps: 1e-5 },
            vec![f(&[2, 3, 40])],
            vec![],
            vec![f(&[2, 3, 40]), f(&[2, 3, 6])],
        ),
        (Op::Embedding, vec![f(&[11, 4]), u(&[2, 3])], vec![], vec![f(&[2, 3, 4])]),
        (Op::MaxPool2, vec![f(&[1, 5, 4, 3])], vec![], vec![f(&[1, 2, 2, 3]), u(&[1, 2, 2, 3])]),
        (Op::MaxPool2Grad, vec![u(&[1, 2, 2, 3]), f(&[1, 2, 2, 3])], vec![1, 5, 4, 3], vec![f(&[1, 5, 4, 3])]),
        (Op::Conv2dGradInput, vec![f(&[6, 3, 3, 2]), f(&[1, 5, 4, 6])], vec![], vec![f(&[1, 5, 4, 2])]),
        (
            Op::GroupNorm { groups: 3, eps: 1e-5 },
            vec![f(&[2, 4, 4, 6]), f(&[6]), f(&[6])],
            vec![],
            vec![f(&[2, 4, 4, 6]), f(&[2, 3]), f(&[2, 3])],
        ),
    ] {
        assert_eq!(infer(&op, &inputs, &declared), Ok(expected), "{op}");
    }
}

#[test]
fn operands_that_do_not_fit_are_named() {
    let product = Op::MatMul { trans_a: false, trans_b: true };
    let rope = |rotated_heads, head_dim| Op::Rope { rotated_heads, head_dim, base: 1e4, inverse: false };
    let scalar = f(&[]);
    let adam = Op::AdamW { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0, lr_scale: 1.0 };
    for (op, inputs, declared, reason) in [
        (product.clone(), vec![f(&[2, 3]), f(&[5, 4])], vec![2, 5], "inner dimensions 3 and 4 differ"),
        (product.clone(), vec![f(&[2, 3]), f(&[5, 3])], vec![5, 2], "the product is 2 rows of 5"),
        (product, vec![f(&[2, 3])], vec![2, 5], "1 inputs instead of 2"),
        (Op::Add, vec![f(&[2, 3]), f(&[3])], vec![], "[2, 3] is not [3]"),
        (Op::Add, vec![f(&[2, 3]), u(&[2, 3])], vec![], "input 1 is u32[2, 3] instead of F32"),
        (Op::AddBroadcast, vec![f(&[2, 3]), f(&[2])], vec![], "not a suffix"),
        (Op::SumLeading, vec![f(&[2, 3])], vec![2], "not a suffix"),
        (Op::ActivateGrad(Activation::Relu), vec![f(&[2]), f(&[3])], vec![], "[3] is not [2]"),
        (Op::Swiglu, vec![f(&[2, 3])], vec![], "not two halves"),
        (Op::SwigluGrad, vec![f(&[2, 6]), f(&[2, 2])], vec![], "[2, 6] is not [2, 4]"),
        (Op::Dropout { p: 1.0, site: 0 }, vec![f(&[2])], vec![], "not in [0, 1)"),
        (Op::LayerNorm { eps: 0.0 }, vec![f(&[2, 3]), f(&[2]), f(&[3])], vec![], "gain: [2] is not [3]"),
        (Op::RmsNormGrad, vec![f(&[2, 3]), f(&[3]), f(&[3]), f(&[2, 3])], vec![], "[3] is not [2]"),
        (Op::GroupNorm { groups: 4, eps: 0.0 }, vec![f(&[1, 2, 2, 6]), f(&[6]), f(&[6])], vec![], "4 groups"),
        (Op::Embedding, vec![f(&[11, 4]), f(&[2, 3])], vec![], "instead of U32"),
        (Op::EmbeddingGrad, vec![u(&[2, 3]), f(&[2, 3, 4])], vec![11, 5], "[2, 3, 4] is not [2, 3, 5]"),
        (rope(2, 3), vec![f(&[1, 2, 12])], vec![], "not pairs"),
        (rope(4, 4), vec![f(&[1, 2, 12])], vec![], "do not hold 4 heads of 4"),
        (Op::Attention { heads: 4, kv_heads: 3 }, vec![f(&[1, 2, 40])], vec![], "3 key/value heads"),
        (Op::Attention { heads: 4, kv_heads: 4 }, vec![f(&[1, 2, 40])], vec![], "do not hold 12 heads"),
        (Op::LastTokenGrad, vec![f(&[2, 4])], vec![2, 3, 5], "[2, 4] is not [2, 5]"),
        (Op::Conv2d, vec![f(&[1, 4, 4, 2]), f(&[3, 3, 3, 1])], vec![], "2 channels meet a kernel for 1"),
        (Op::Conv2d, vec![f(&[1, 4, 4, 2]), f(&[3, 2, 2, 2])], vec![], "not an odd square"),
        (Op::Conv2dGradWeight, vec![f(&[1, 4, 4, 2]), f(&[1, 4, 4, 3])], vec![5, 3, 3, 2], "is not [1, 4, 4, 5]"),
        (Op::MaxPool2, vec![f(&[1, 1, 4, 2])], vec![], "fewer than one 2x2 window"),
        (Op::MeanPool2Grad, vec![f(&[1, 2, 2, 3])], vec![1, 6, 4, 3], "is not [1, 3, 2, 3]"),
        (Op::MeanPixelsGrad, vec![f(&[2, 4])], vec![2, 3, 3, 5], "[2, 4] is not [2, 5]"),
        (Op::Reshape, vec![f(&[2, 3])], vec![5], "6 elements do not become 5"),
        (Op::CrossEntropy { smoothing: 0.0 }, vec![f(&[4, 3]), u(&[3])], vec![], "[3] is not [4]"),
        (Op::SquaredError, vec![f(&[4, 3]), f(&[4, 2])], vec![], "[4, 2] is not [4, 3]"),
        (Op::WeightedSum, vec![f(&[4]), f(&[3])], vec![], "[3] is not [4]"),
        (Op::GlobalNorm, vec![], vec![], "no gradients"),
        (Op::ClipFactor { max_norm: 1.0 }, vec![f(&[1])], vec![], "[1] is not []"),
        (adam, [vec![f(&[3]); 2], vec![scalar; 4], vec![f(&[3]), f(&[2])]].concat(), vec![], "[2] is not [3]"),
    ] {
        let error = infer(&op, &inputs, &declared).expect_err(&format!("{op} must be refused"));
        assert!(error.contains(reason), "{reason:?} is not in: {error}");
        assert!(error.starts_with(op.name()), "{error}");
        assert!(inputs.iter().all(|operand| error.contains(&operand.to_string())), "{error}");
    }
}

/// With three different sizes only the right products have the shapes of the operands, so the rules prove the wiring.
#[test]
fn products_of_all_transposes_have_gradients() {
    let (m, k, n) = (2, 3, 5);
    for (trans_a, trans_b) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut builder = Builder::new("micro");
        let a = builder.state(0, if trans_a { &[3, 2] } else { &[2, 3] }).unwrap();
        let b = builder.state(1, if trans_b { &[5, 3] } else { &[3, 5] }).unwrap();
        let y = builder.shaped(Op::MatMul { trans_a, trans_b }, &[a, b], &[m, n]).unwrap();
        let dy = builder.state(2, &[m, n]).unwrap();
        let gradients = backward(&mut builder, (y, dy), &[a, b]).unwrap();
        for value in [a, b] {
            assert_eq!(builder.shape(gradients[&value]), builder.shape(value), "{trans_a} {trans_b}, inner size {k}");
        }
        builder.finish().verify().unwrap();
    }
}

/// x is used by both terms of a sum and by a scaling: three contributions, two additions.
#[test]
fn several_uses_are_summed() {
    let mut builder = Builder::new("micro");
    let x = builder.state(0, &[4]).unwrap();
    let twice = builder.one(Op::Add, &[x, x]).unwrap();
    let half = builder.one(Op::Scale(0.5), &[x]).unwrap();
    let y = builder.one(Op::Add, &[twice, half]).unwrap();
    let dy = builder.state(1, &[4]).unwrap();
    let before = builder.nodes().len();
    let gradients = backward(&mut builder, (y, dy), &[x]).unwrap();
    let added: Vec<String> = builder.nodes()[before..]
        .iter()
        .map(|node| format!("{} {:?}", node.op, node.inputs.iter().map(|id| id.0).collect::<Vec<_>>()))
        .collect();
    assert_eq!(added, ["scale{0.5} [4]", "add [5, 4]", "add [6, 4]"]);
    assert_eq!(gradients[&x], ValueId(7));
}

#[test]
fn verify_notices_damage() {
    let good = built(json!({ "kind": "mlp", "widths": [5] }), json!({}), &features(3, 2));
    let damage = |change: &dyn Fn(&mut StepPrograms), reason: &str| {
        let mut programs = good.clone();
        change(&mut programs);
        let error = programs.verify().expect_err(reason);
        assert!(error.contains(reason), "{reason:?} is not in: {error}");
    };
    let product = good.micro.nodes.iter().position(|n| n.op.name() == "matmul").expect("a product");
    damage(&|p| p.micro.nodes.swap(product - 1, product), "before it is made");
    damage(&|p| p.micro.nodes[product].inputs.truncate(1), "1 inputs instead of 2");
    damage(&|p| p.micro.nodes[product].inputs[0] = ValueId(9999), "before it is made");
    damage(&|p| p.micro.nodes[product].outputs.clear(), "makes nothing");
    damage(&|p| p.micro.nodes[product].outputs[0] = ValueId(9999), "%9999");
    damage(&|p| p.micro.nodes[product].outputs[0] = ValueId(0), "the product is");
    damage(&|p| p.micro.values.push(f(&[2])), "never made");
    damage(&|p| p.micro.values[p.micro.nodes[product].outputs[0].0].shape = vec![5, 64], "the product is");
    damage(&|p| p.micro.batch[0].shape = vec![64, 4], "is read as");
    damage(&|p| p.micro.writes[0].1 = p.micro.writes[1].1, "is written with");
    damage(&|p| p.micro.writes[1] = p.micro.writes[0], "written twice");
    damage(&|p| p.micro.writes[0].0 = 9999, "state 9999 of");
    damage(&|p| p.eval.outputs[0].1 = ValueId(0), "not a scalar");
    damage(&|p| p.state.tensors[0].shape = vec![5, 4], "belongs to no parameter");
    damage(&|p| p.state.tensors.last_mut().expect("loss sum").shape = vec![1], "is used as");
    let again = Node { op: Op::Fill(0.0), inputs: vec![], outputs: good.micro.nodes[0].outputs.clone() };
    damage(&|p| p.micro.nodes.push(again.clone()), "made twice");
}
