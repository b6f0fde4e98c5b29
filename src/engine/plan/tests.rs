//! Plans of real models: every op covered once, what is fused, how much memory is shared.

use super::*;
use crate::config::{DataShape, InputShape, TargetShape, parse_experiment};
use crate::graph;

fn plan(model: &str, shape: &DataShape) -> (graph::StepPrograms, Plan) {
    plan_of(model, shape, 8)
}

fn plan_of(model: &str, shape: &DataShape, batch: usize) -> (graph::StepPrograms, Plan) {
    let data = match shape.input {
        InputShape::Tokens { fixed: Some(_), .. } => "kind = \"modular\"",
        InputShape::Tokens { .. } => "kind = \"text\"\nname = \"tinyshakespeare\"",
        _ => "kind = \"digits\"",
    };
    let training = format!("[training]\nbatch_size = {batch}\n[evaluation]\nbatch_size = {batch}\n");
    let text = format!("[data]\n{data}\n[model]\n{model}\n[optimizer]\nkind = \"adamw\"\n{training}");
    let programs = graph::build(&parse_experiment(&text, "test", &[]).unwrap(), shape).unwrap();
    let plan = Plan::new(&programs).unwrap();
    (programs, plan)
}

fn digits() -> DataShape {
    DataShape { input: InputShape::Features(64), target: TargetShape::Class { classes: 10 } }
}

fn text() -> DataShape {
    let (input, target) =
        (InputShape::Tokens { vocabulary: 65, fixed: None }, TargetShape::NextToken { vocabulary: 65 });
    DataShape { input, target }
}

fn names(schedule: &Schedule) -> Vec<String> {
    schedule.steps.iter().map(display::name).collect()
}

#[test]
fn an_mlp_is_a_handful_of_steps() {
    let (_, plan) = plan("kind = \"mlp\"\nwidths = [32]", &digits());
    assert_eq!(
        names(&plan.micro),
        [
            "matmul{trans_b} + bias + relu",
            "matmul{trans_b} + bias",
            "cross-entropy + gradient",
            "sum_leading",
            "matmul + relu'",
            "matmul{trans_a}",
            "sum_leading",
            "matmul{trans_a}",
        ]
    );
    assert_eq!(
        names(&plan.eval),
        ["matmul{trans_b} + bias + relu", "matmul{trans_b} + bias", "cross-entropy + correct"]
    );
    assert!(plan.micro.steps[3..].iter().filter(|s| s.into == [Into::Gradient]).count() == 4);
}

#[test]
fn every_op_is_covered_exactly_once_and_memory_is_shared() {
    let gpt = "kind = \"gpt\"\ndepth = 2\nwidth = 32\nheads = 4\ncontext = 16\ndropout = 0.1";
    for (model, shape) in
        [(gpt, text()), ("kind = \"mlp\"\nwidths = [32, 32]\nresidual = true\nnorm = \"layer\"", digits())]
    {
        let (programs, plan) = plan(model, &shape);
        for (schedule, program) in [(&plan.micro, &programs.micro), (&plan.eval, &programs.eval)] {
            let mut covered: Vec<usize> = schedule.steps.iter().flat_map(|s| s.nodes.clone()).collect();
            covered.sort_unstable();
            let mut once = covered.clone();
            once.dedup();
            assert_eq!(covered, once, "{}", describe(&plan));
            let working = program.nodes.iter().enumerate().filter(|(_, n)| {
                !matches!(n.op, graph::Op::State(_) | graph::Op::Batch(_) | graph::Op::Reshape | graph::Op::Add)
            });
            for (position, node) in working {
                assert!(covered.contains(&position), "{} {} is left out\n{}", program.name, node.op, describe(&plan));
            }
            assert!(schedule.arena < schedule.unshared + 16 * schedule.steps.len(), "{}", describe(&plan));
        }
        // A transformer keeps most of its values for the backward pass, which itself runs in what is freed.
        assert!(plan.micro.arena * 5 < plan.micro.unshared * 4, "{}", describe(&plan));
    }
}

/// What GELU's gradient needs is its slope, which is cheapest where GELU itself is computed.
#[test]
fn an_activation_keeps_its_slope_where_only_its_gradient_reads_its_input() {
    let (_, plan) = plan("kind = \"gpt\"\ndepth = 1\nwidth = 32\nheads = 4\ncontext = 16", &text());
    let kept = |step: &Step| {
        step.tail.iter().find_map(|t| if let Tail::ActivateKeepSlope(_, t) = t { Some(t.place) } else { None })
    };
    let read =
        |step: &Step| step.tail.iter().find_map(|t| if let Tail::Multiply(t) = t { Some(t.place) } else { None });
    let places: Vec<Place> = plan.micro.steps.iter().filter_map(kept).collect();
    assert_eq!(places.len(), 1, "{}", describe(&plan));
    assert_eq!(plan.micro.steps.iter().filter_map(read).collect::<Vec<_>>(), places, "{}", describe(&plan));
    assert!(plan.eval.steps.iter().all(|step| kept(step).is_none() && read(step).is_none()));
}

/// The plan of a tied embedding adds to one gradient twice, and only its first part may replace.
#[test]
fn a_shared_gradient_is_set_once() {
    let (_, plan) = plan("kind = \"gpt\"\ndepth = 1\nwidth = 32\nheads = 4\ncontext = 16\ntied = true", &text());
    let parts: Vec<Into> = plan
        .micro
        .steps
        .iter()
        .flat_map(|s| s.outputs.iter().zip(&s.into))
        .filter(|(t, into)| **into != Into::Set && t.shape == [65, 32])
        .map(|(_, into)| *into)
        .collect();
    assert_eq!(parts, [Into::Gradient, Into::Add], "{}", describe(&plan));
}

/// One block without norms on three tokens: the products of all 384 tokens are computed by entry of the vocabulary, and
/// attention only for the last query.
#[test]
fn a_small_vocabulary_is_multiplied_once_and_only_the_last_query_attends() {
    let input = InputShape::Tokens { vocabulary: 20, fixed: Some(3) };
    let shape = DataShape { input, target: TargetShape::Class { classes: 19 } };
    let model =
        "kind = \"gpt\"\ndepth = 1\nwidth = 32\nheads = 4\nnorm = \"none\"\ntied = false\nfeed_forward = \"relu\"";
    let (mut programs, plan) = plan_of(model, &shape, 128);
    for schedule in [&plan.micro, &plan.eval] {
        for step in &schedule.steps {
            let product = matches!(step.root, Root::Op(graph::Op::MatMul { .. }));
            let rows = step.inputs.iter().map(|t| t.rows_columns().0).max();
            assert!(!product || rows <= Some(128), "{}", describe(&plan));
        }
    }
    let names = names(&plan.micro).join("; ");
    assert!(
        names.contains("attention of the last query") && names.contains("attention_grad of the last query"),
        "{names}"
    );
    for program in [&mut programs.micro, &mut programs.eval] {
        let before = program.total_work().flops.0;
        *program = gather::products_before_gathering(program);
        assert!(program.total_work().flops.0 < before);
    }
    programs.verify().unwrap();
    // Several positions reach the loss of a language model, and its norms stand before the products.
    let (programs, plan) = self::plan("kind = \"gpt\"\ndepth = 1\nwidth = 32\nheads = 4\ncontext = 64", &text());
    assert_eq!(gather::products_before_gathering(&programs.micro), programs.micro);
    assert!(!describe(&plan).contains("last query"));
}
