//! The compiled engine against the reference engine: every option of every model, gradients, steps, threads, state.

mod random;

use super::{CpuEngine, simd};
use crate::config::{DataShape, InputShape, TargetShape};
use crate::engine::agreement::{self, accumulate, inputs, optimizers};
use crate::engine::reference::Precision;
use crate::engine::reference::tests::models::{BATCH, Bench, INPUTS, cases};
use crate::engine::{Engine, EngineError, HostState};
use crate::graph::StepPrograms;

/// A compiled engine at the state of a reference engine.
fn twin(bench: &Bench, threads: usize) -> CpuEngine {
    let mut engine = CpuEngine::new(bench.programs.clone(), threads).unwrap();
    engine.load(&bench.engine.save().unwrap()).unwrap();
    engine
}

#[test]
fn gradients_agree_with_the_reference_in_double_precision() {
    agreement::gradients(|bench| twin(bench, 1), CpuEngine::state);
}

#[test]
fn ten_steps_follow_the_reference() {
    agreement::ten_steps(|bench| twin(bench, 2));
}

fn steps(engine: &mut CpuEngine, bench: &Bench, range: std::ops::Range<u64>) -> HostState {
    for step in range {
        accumulate(engine, bench, &inputs(step));
        engine.apply(&inputs(step)).unwrap();
    }
    engine.save().unwrap()
}

/// Small models have one tile a job; these are large enough for many.
fn large() -> Vec<(StepPrograms, Bench)> {
    let mut all = Vec::new();
    for name in ["mlp layer norm, residual", "gpt", "cnn"] {
        let mut case = cases().into_iter().find(|c| c.name.contains(name)).unwrap();
        use crate::config::ModelSpec;
        match &mut case.experiment.model {
            ModelSpec::Mlp(model) => model.widths = vec![256, 256],
            ModelSpec::Gpt(model) => (model.width, model.heads, model.context) = (96, 4, 70),
            ModelSpec::Cnn(model) => model.stages.iter_mut().for_each(|s| s.channels = 24),
        }
        case.experiment.training.batch_size = 64;
        let bench = case.bench_of(Precision::F32, 64, 64);
        all.push((bench.programs.clone(), bench));
    }
    all
}

#[test]
fn the_bits_do_not_depend_on_threads_and_large_tiles_are_right() {
    for (_, mut bench) in large() {
        let states: Vec<HostState> = [1, 2, 3, 5].map(|n| steps(&mut twin(&bench, n), &bench, 0..3)).into();
        assert!(states.windows(2).all(|pair| pair[0] == pair[1]));
        for step in 0..3 {
            bench.engine.micro(&bench.slice(0, 64), &inputs(step), 0).unwrap();
            bench.engine.apply(&inputs(step)).unwrap();
        }
        let wanted = bench.engine.save().unwrap();
        for (name, (_, values)) in &states[0].tensors {
            let others = &wanted.tensors[name].1;
            let scale = others.iter().fold(1e-3f32, |m, v| m.max(v.abs()));
            let worst = values.iter().zip(others).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst <= 0.02 * scale, "{name}: {worst} of {scale}");
        }
    }
}

/// AVX-512, AVX2 and the baseline's instructions compute the same: kernels do not fuse, and sum in the same order.
#[test]
fn every_instruction_set_gives_the_same_bits() {
    let benches: Vec<Bench> = cases().iter().chain(&optimizers()).map(|case| case.bench(Precision::F32, 0)).collect();
    for bench in benches.iter().chain(large().iter().map(|(_, bench)| bench)) {
        let all = simd::cap::at_each(|| steps(&mut twin(bench, 2), bench, 0..3));
        assert!(all.len() > 1 || !cfg!(target_arch = "x86_64"), "a CPU without AVX2");
        for (level, state) in &all {
            assert!(*state == all[0].1, "{level:?} differs from {:?}", all[0].0);
        }
    }
}

/// Recomputation changes memory and time, and not one bit.
#[test]
fn recomputation_gives_the_same_bits_in_less_memory() {
    let mut smaller = Vec::new();
    for case in cases().into_iter().chain(optimizers()) {
        let mut again = case.clone();
        again.experiment.resources.recompute = true;
        let (kept, again) = (case.bench(Precision::F32, 2), again.bench(Precision::F32, 2));
        again.programs.verify().unwrap();
        let run = |bench: &Bench| {
            let mut engine = twin(bench, 2);
            (steps(&mut engine, bench, 0..3), engine.footprint())
        };
        let ((wanted, more), (got, less)) = (run(&kept), run(&again));
        assert_eq!(got, wanted, "{}", case.name);
        if kept.programs.micro.nodes.len() != again.programs.micro.nodes.len() {
            smaller.push((case.name, more, less));
        }
    }
    let changed = |word: &str| smaller.iter().any(|(name, ..)| name.contains(word));
    assert!(changed("gpt") && changed("mlp"), "{smaller:?}");
}

/// A transformer keeps about a third less from its forward pass.
#[test]
fn recomputation_spares_a_transformer_a_quarter_of_its_arena() {
    let mut experiment = crate::config::parse_experiment(
        "[data]\nkind = \"text\"\nname = \"tinyshakespeare\"\n[model]\npreset = \"gpt-char-4x128\"\n[optimizer]\nkind = \"adamw\"\n\
         [training]\nbatch_size = 32\n",
        "here",
        &[],
    )
    .unwrap();
    let (input, target) =
        (InputShape::Tokens { vocabulary: 65, fixed: None }, TargetShape::NextToken { vocabulary: 65 });
    let shape = DataShape { input, target };
    let mut arena = |recompute| {
        experiment.resources.recompute = recompute;
        let programs = crate::graph::build(&experiment, &shape).unwrap();
        crate::engine::plan::Plan::new(&programs).unwrap().arena()
    };
    let (kept, again) = (arena(false), arena(true));
    assert!(again * 4 < kept * 3, "{again} of {kept} elements");
}

#[test]
fn checkpoints_are_interchangeable_in_mid_run() {
    for case in optimizers() {
        let bench = case.bench(Precision::F32, 2);
        let whole = steps(&mut twin(&bench, 1), &bench, 0..6);
        let mut first = twin(&bench, 1);
        let middle = steps(&mut first, &bench, 0..3);
        let mut second = twin(&bench, 2);
        second.load(&middle).unwrap();
        assert_eq!(steps(&mut second, &bench, 3..6), whole, "{}: through its own checkpoint, bit for bit", case.name);
        // Through the reference engine's steps and back.
        let mut bench = case.bench(Precision::F32, 2);
        bench.engine.load(&middle).unwrap();
        for first in [0, 2] {
            bench.engine.micro(&bench.slice(first, 2), &inputs(3), first as u32).unwrap();
        }
        bench.engine.apply(&inputs(3)).unwrap();
        second.load(&bench.engine.save().unwrap()).unwrap();
        let mixed = steps(&mut second, &bench, 4..6);
        for (name, (_, values)) in &whole.tensors {
            let close =
                values.iter().zip(&mixed.tensors[name].1).all(|(a, b)| (a - b).abs() <= 1e-3 * a.abs().max(0.05));
            assert!(close, "{}: {name}", case.name);
        }
    }
}

#[test]
fn a_strange_batch_or_state_is_a_typed_error() {
    let case = cases().into_iter().find(|c| c.name.contains("gpt")).unwrap();
    let bench = case.bench(Precision::F32, BATCH);
    let mut engine = twin(&bench, 1);
    let mut batch = bench.batch.clone();
    batch.weight.pop();
    assert!(matches!(engine.micro(&batch, &INPUTS, 0), Err(EngineError::Shape(_))));
    for column in ["input", "target"] {
        let mut batch = bench.batch.clone();
        let ids = if column == "input" { &mut batch.input } else { &mut batch.target };
        let crate::data::Column::U32(ids) = ids else { panic!() };
        ids[1] = 1_000_000;
        let Err(EngineError::Shape(what)) = engine.micro(&batch, &INPUTS, 0) else { panic!() };
        assert!(what.contains("1000000") && what.contains(column), "{what}");
    }
    let mut state = bench.engine.save().unwrap();
    state.tensors.pop_first();
    assert!(matches!(engine.load(&state), Err(EngineError::Shape(_))));
}

#[test]
fn nan_is_not_hidden() {
    for case in cases() {
        let bench = case.bench(Precision::F32, BATCH);
        let mut engine = twin(&bench, 1);
        let mut state = bench.engine.save().unwrap();
        let name = bench.params()[0].2.clone();
        state.tensors.get_mut(&name).unwrap().1.fill(f32::NAN);
        engine.load(&state).unwrap();
        accumulate(&mut engine, &bench, &INPUTS);
        let output = engine.apply(&INPUTS).unwrap();
        assert!(output.loss_sum.is_nan() && output.grad_norm.is_nan(), "{}: {output:?}", case.name);
    }
}

#[test]
fn the_footprint_is_what_is_allocated() {
    for (programs, bench) in large() {
        for threads in [1, 3] {
            let predicted = CpuEngine::predict(&programs, threads).unwrap();
            assert_eq!(twin(&bench, threads).footprint(), predicted);
        }
    }
}
