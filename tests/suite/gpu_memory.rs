//! candle's own device on a made-up driver whose memory is the process's: what the engine's arrays take of it, where they
//! come to lie, and that all of it goes back. Kernels do nothing there, so nothing here says that a result is right.

use super::gpu::{Fakes, is_child};
use candle_core::{DType, Device, Tensor};
use nanoresearch::bench::{Family, Session, calibrate, known_shape};
use nanoresearch::config::{DeviceSpec, Experiment, Precision, load_experiment};
use nanoresearch::engine::{DeviceMemory, Placement, create, footprint};
use nanoresearch::gpu::{Arena, Layout, Library, ready, resolve};
use nanoresearch::graph;
use std::path::Path;

const MIB: u64 = 1 << 20;
/// The driver's context, kernels and cuBLAS, of which a made-up driver has none.
const OVERHEAD: u64 = 700 * MIB;

/// What the made-up driver has counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counts {
    /// Bytes that live outside and in the order of a stream.
    live: [u64; 2],
    /// Most of both.
    peak: u64,
    /// Allocations and frees in the order of a stream.
    ordered: [u64; 2],
    wrong: u64,
    streams: u64,
    contexts: u64,
    kernels: u64,
    /// How often a first context was made.
    opened: u64,
    /// Streams ever made.
    engines: u64,
}

fn counts() -> Counts {
    let address = resolve(Library::Driver, c"fake_counts");
    assert_ne!(address, 0);
    let mut n = [0u64; 11];
    // SAFETY: it is `void fake_counts(u64 *)` and writes eleven of them.
    unsafe { std::mem::transmute::<usize, extern "C" fn(*mut u64)>(address)(n.as_mut_ptr()) };
    Counts {
        live: [n[0], n[1]],
        peak: n[2],
        ordered: [n[3], n[4]],
        wrong: n[5],
        streams: n[6],
        contexts: n[7],
        kernels: n[8],
        opened: n[9],
        engines: n[10],
    }
}

/// Nothing is left, and no call was wrong.
fn nothing_left(when: &str) {
    let c = counts();
    assert_eq!((c.live, c.wrong, c.streams, c.contexts), ([0, 0], 0, 0, 0), "{when}: {c:?}");
}

fn machine() -> Fakes {
    let fakes = Fakes::new();
    fakes.driver("a", 13000, 0).blas("a", None).rest("a");
    fakes
}

fn experiment(name: &str, precision: Precision, overrides: &[&str]) -> Experiment {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("benches/train/{name}.toml"));
    let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_string()).collect();
    let mut experiment = load_experiment(&path, &overrides).unwrap().value;
    experiment.resources.device = DeviceSpec::Cuda(0);
    experiment.resources.engine = None;
    experiment.training.precision = precision;
    experiment
}

/// All standard experiments, two with accumulation, both precisions. Everything that candle allocates comes to lie in the
/// block whose size was predicted, and reaches just as far in it.
#[test]
fn arrays_take_what_was_predicted() {
    machine().child(&["a"], "gpu_memory::child_that_trains");
}

#[test]
fn child_that_trains() {
    if !is_child() {
        return;
    }
    let works: [(&str, &[&str]); 8] = [
        ("mlp-64-128-10", &[]),
        ("mlp-784-256-10", &[]),
        ("digits-cnn", &[]),
        ("digits-cnn", &["training.batch_size=1024"]),
        ("modular-addition", &["resources.micro_batch=128"]),
        ("char-gpt-4x128", &[]),
        ("char-gpt-4x128", &["resources.micro_batch=8"]),
        ("char-gpt-6x384", &["training.batch_size=8"]),
    ];
    for (name, overrides) in works {
        for precision in [Precision::F32, Precision::Bf16] {
            let experiment = experiment(name, precision, overrides);
            let shape = known_shape(&experiment.data).unwrap();
            let before = counts();
            let mut session = Session::new(&experiment, &shape, None, 1).unwrap();
            let opened = counts();
            session.evaluate(&shape).unwrap();
            for _ in 0..5 {
                session.step().unwrap();
            }
            session.evaluate(&shape).unwrap();
            session.step().unwrap();
            let (memory, predicted) = (session.device_memory().unwrap(), session.footprint());
            let after = counts();
            let what = format!("{name} {overrides:?} {precision:?}: {memory:?} {after:?}");
            eprintln!("{what}");
            assert_eq!((after.ordered, opened.ordered), (before.ordered, before.ordered), "{what}");
            assert_eq!(after.live, [predicted.0 - OVERHEAD, 0], "{what}");
            assert_eq!((memory.reserved_peak.0 + OVERHEAD, memory.outside_peak.0), (predicted.0, 0), "{what}");
            assert!(memory.arrays_peak.0 <= memory.reserved_peak.0 && after.kernels > opened.kernels + 50, "{what}");
            if precision == Precision::Bf16 {
                // On a CPU the same engine's prediction is what its arrays add up to at their worst. A few shapes and
                // strides lie beside them while an operation is launched.
                let cpu = Placement { device: DeviceSpec::Cpu, ..Placement::of(&experiment) };
                let ghosts = footprint(cpu, session.programs()).unwrap().0;
                assert!((ghosts..=ghosts + 4096).contains(&memory.arrays_peak.0), "{what}: {ghosts}");
            }
            drop(session);
            nothing_left(&what);
        }
    }
}

/// One engine after the other, two at once, one that another thread drops; and one that has too little memory.
#[test]
fn memory_goes_back_with_its_engine() {
    let fakes = machine();
    fakes.child(&["a"], "gpu_memory::child_that_drops");
}

#[test]
fn child_that_drops() {
    if !is_child() {
        return;
    }
    let experiment = experiment("char-gpt-4x128", Precision::F32, &[]);
    let programs = graph::build(&experiment, &known_shape(&experiment.data).unwrap()).unwrap();
    let engine = || create(Placement::of(&experiment), programs.clone()).unwrap();
    let block = engine().footprint().0 - OVERHEAD;
    nothing_left("one");
    let (first, second) = (engine(), engine());
    assert_eq!(counts().live, [2 * block, 0]);
    drop(first);
    assert_eq!(counts().live, [block, 0]);
    std::thread::spawn(move || drop(second)).join().unwrap();
    nothing_left("on another thread");
    // A state that was copied out needs no engine.
    let saved = engine().save().unwrap();
    assert!(!saved.tensors.is_empty());
    nothing_left("saved");
}

#[test]
fn too_little_memory_is_told_with_both_sizes() {
    let fakes = machine();
    let mut bench = fakes.around(Path::new(env!("CARGO_BIN_EXE_nanoresearch")), &["a"]);
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/train/char-gpt-4x128.toml");
    bench.args(["bench", "gpu", "--no-ceilings", "--precision", "f32"]).arg(config).env("FAKE_MEMORY", "100");
    let output = bench.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.lines().count() <= 3, "{said}");
    assert!(!output.status.success() && said.contains("out of memory") && said.contains("100.0 MiB free"), "{said}");
    assert!(said.contains("choose a smaller resources.micro_batch"), "{said}");
}

/// With a clipped norm, an update has scalars without a shape: candle asks for no bytes to hold their strides. A whole training
/// by the command, on a device that computes nothing.
#[test]
fn a_training_runs_through() {
    let fakes = machine();
    let mut train = fakes.around(Path::new(env!("CARGO_BIN_EXE_nanoresearch")), &["a"]);
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("jobs/experiments/digits-mlp.toml");
    train.args(["train", "--device", "cuda", "--out"]).arg(fakes.path("run")).arg(config);
    let output = train.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A calibration opens the device twice, makes each model once a pass, and leaves out those that a small card has no room for. What
/// a driver compiles at first is not taken for a worker's start.
#[test]
fn a_calibration_asks_for_no_room_beforehand() {
    let fakes = machine();
    fakes.child(&["a"], "gpu_memory::child_that_calibrates");
    let mut small = fakes.around(&std::env::current_exe().unwrap(), &["a"]);
    small.args(["--exact", "gpu_memory::child_that_calibrates", "--nocapture"]).env("FAKE_GPU", "1");
    let output = small.env("FAKE_MEMORY", "60").env("FAKE_COMPILE_MS", "400").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
fn child_that_calibrates() {
    if !is_child() {
        return;
    }
    let placement = Placement::of(&experiment("mlp-64-128-10", Precision::F32, &[]));
    let profile = calibrate(placement, Family::Mlp).unwrap();
    let (made, passes) = (counts(), 3);
    // A step and an evaluation of each model.
    let models = profile.samples as u64 / 2;
    let small = std::env::var_os("FAKE_MEMORY").is_some();
    assert_eq!((made.opened, models == 9), (2, !small), "{models} models, {made:?}");
    // One for what only the first has to wait for, one that keeps the device open; what does not fit is tried once.
    assert_eq!(made.engines, 2 + passes * models + (9 - models), "{models} models, {made:?}");
    assert!(models > 2, "{models}");
    // Kernels that are compiled once for all times are no part of a worker's start; nor are those seconds part of any step.
    assert!(profile.machine.startup_seconds < 0.8, "{}", profile.machine.startup_seconds);
    assert!(profile.fallback.seconds_per_op < 1e-3, "{:?}", profile.fallback);
    nothing_left("a calibration");
}

/// What a card cannot do is told in the card's terms, wherever it comes to light first.
#[test]
fn a_card_that_fails_is_told_as_that() {
    let fakes = machine();
    let cases = [
        ("FAKE_CONTEXT", "46", 4, "the GPU is taken", "busy"),
        ("FAKE_CONTEXT", "2", 1, "out of GPU memory", "out-of-memory"),
        ("FAKE_LOAD", "209", 4, "built for another GPU chip", "wrong-chip"),
        ("FAKE_LOAD", "222", 4, "driver is too old", "driver-too-old"),
        ("FAKE_LOAD", "2", 1, "out of GPU memory", "out-of-memory"),
        ("FAKE_LAUNCH", "700", 1, "accessed memory it must not", "illegal-access"),
        ("FAKE_LAUNCH", "214", 1, "failed beyond correction", "ecc"),
        // In the middle of the training.
        ("FAKE_LAUNCH", "719", 1, "accessed memory it must not", "illegal-access"),
    ];
    for (i, (what, result, code, words, fault)) in cases.into_iter().enumerate() {
        let launches = if result == "719" { "10000" } else { "0" };
        let mut train = fakes.around(Path::new(env!("CARGO_BIN_EXE_nanoresearch")), &["a"]);
        let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("jobs/experiments/digits-mlp.toml");
        let folder = fakes.path(&format!("fails-{i}"));
        train
            .args(["train", "--device", "cuda", "--out"])
            .arg(&folder)
            .arg(config)
            .env(what, result)
            .env("FAKE_LAUNCHES", launches);
        let output = train.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{what}={result}: {said}");
        let told = said.lines().filter(|line| !line.starts_with("step ")).count();
        assert!(said.contains(words) && told <= 3, "{what}={result}: {said}");
        let outcome = std::fs::read_to_string(folder.join("outcome.json")).unwrap();
        assert!(outcome.contains(&format!("\"{fault}\"")), "{what}={result}: {outcome}");
        assert_eq!(outcome.contains("\"step\": 0,"), launches == "0", "{outcome}");
    }
    // The card's ceilings want 2 GiB at once.
    let mut bench = fakes.around(Path::new(env!("CARGO_BIN_EXE_nanoresearch")), &["a"]);
    let output = bench.args(["bench", "gpu"]).env("FAKE_MEMORY", "1000").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("2.7 GiB wanted, 1000.0 MiB free") && said.contains("--no-ceilings"), "{said}");
}

/// What does not fit into the block, and what other streams ask for, is the driver's; values survive both.
#[test]
fn what_does_not_fit_is_the_drivers() {
    machine().child(&["a"], "gpu_memory::child_that_overflows");
}

#[test]
fn child_that_overflows() {
    if !is_child() {
        return;
    }
    ready(0).unwrap();
    let (device, other) = (Device::new_cuda_with_stream(0).unwrap(), Device::new_cuda_with_stream(0).unwrap());
    let cuda = device.as_cuda_device().unwrap().clone();
    // Before there is an arena, an array is the driver's.
    let early = Tensor::zeros(MIB as usize, DType::U8, &device).unwrap();
    let arena = Arena::open(cuda.cuda_stream().cu_stream() as usize, &Layout::of(4 * MIB)).unwrap();
    assert_eq!(counts().live, [4 * MIB, MIB]);
    let values: Vec<f32> = (0..300_000).map(|i| i as f32).collect();
    let inside: Vec<Tensor> = (0..3).map(|_| Tensor::from_slice(&values, values.len(), &device).unwrap()).collect();
    assert_eq!((counts().live, arena.counts().placed, arena.counts().outside), ([4 * MIB, MIB], 3, 0));
    let outside = Tensor::from_slice(&values, values.len(), &device).unwrap();
    let elsewhere = Tensor::zeros(1, DType::F32, &other).unwrap();
    assert_eq!((counts().live, arena.counts().outside), ([4 * MIB, MIB + 1_200_000 + 4], 1_200_000));
    for tensor in inside.iter().chain([&outside]) {
        assert_eq!(tensor.to_vec1::<f32>().unwrap(), values);
    }
    assert!(early.to_vec1::<u8>().unwrap().iter().all(|byte| *byte == 0));
    drop((early, outside, elsewhere));
    assert_eq!(counts().live, [4 * MIB, 0]);
    // Its place is given to the next one.
    let mut inside = inside;
    inside.pop();
    let next = Tensor::ones(300_000, DType::F32, &device).unwrap();
    assert_eq!((counts().live, arena.counts().placed), ([4 * MIB, 0], 4));
    // An arena that ends before its arrays goes back with the last of them, whichever thread that is on.
    drop((arena, cuda, device, other));
    assert_eq!(counts().live, [4 * MIB, 0]);
    drop(next);
    std::thread::spawn(move || drop(inside)).join().unwrap();
    nothing_left("the end");
}

/// The driver's own allocator, for comparison, and the block: nothing else differs.
#[test]
fn the_drivers_allocator_can_be_asked_for() {
    let fakes = machine();
    for wanted in [None, Some("driver")] {
        let mut bench = fakes.around(Path::new(env!("CARGO_BIN_EXE_nanoresearch")), &["a"]);
        bench.args(["bench", "gpu", "mlp-64-128-10", "--no-ceilings", "--seconds", "0", "--format", "json"]);
        wanted.map(|value| bench.env("NANORESEARCH_GPU_ALLOCATOR", value));
        let output = bench.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let rows = found["rows"].as_array().unwrap();
        assert_eq!(rows.len(), 2);
        assert!(rows.iter().all(|row| row["memory"].is_null() == wanted.is_some()), "{found}");
    }
}

/// Which devices there are is said where another one is asked for.
#[test]
fn a_device_that_is_not_there_is_told_with_those_that_are() {
    let fakes = machine();
    let said = |device: &str, cards: &str| {
        let mut bench = fakes.around(Path::new(env!("CARGO_BIN_EXE_nanoresearch")), &["a"]);
        bench.args(["bench", "gpu", "--device", device]).env("FAKE_CARDS", cards);
        let output = bench.output().unwrap();
        assert_eq!(output.status.code(), Some(4));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let two = said("cuda:9", "2");
    assert!(two.contains("no cuda:9: the NVIDIA driver shows this process 2 GPUs, cuda:0 to cuda:1"), "{two}");
    let none = said("cuda", "0");
    assert!(none.contains("no cuda:0: the NVIDIA driver shows this process no GPU"), "{none}");
}

/// A device without allocation in stream order trains all the same, each array by itself.
#[test]
fn a_device_without_pools_is_used_without_a_block() {
    let fakes = machine();
    let mut command = fakes.around(&std::env::current_exe().unwrap(), &["a"]);
    command.args(["--exact", "gpu_memory::child_without_pools", "--nocapture"]);
    let output = command.env("FAKE_GPU", "1").env("FAKE_NO_POOLS", "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
fn child_without_pools() {
    if !is_child() {
        return;
    }
    let experiment = experiment("digits-cnn", Precision::F32, &[]);
    let shape = known_shape(&experiment.data).unwrap();
    let mut session = Session::new(&experiment, &shape, None, 1).unwrap();
    session.step().unwrap();
    assert_eq!(session.device_memory(), None::<DeviceMemory>);
    assert!(counts().live[0] > 0 && counts().ordered == [0, 0]);
    drop(session);
    nothing_left("without pools");
}
