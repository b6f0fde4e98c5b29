//! The real program, killed at any moment and resumed, ends in the same bits.
#![allow(clippy::disallowed_methods)]

use nanoresearch::record::{METRICS_FILE, Metrics, Outcome, read_metrics, read_model};
use nanoresearch::rng::{Sequence, Stream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Enough work that fifty kills all land while it runs, with a checkpoint after every third step.
const EXPERIMENT: &str = r#"
data.kind = "digits"
model = { kind = "mlp", widths = [32], dropout = 0.1 }
optimizer = { kind = "adamw", learning_rate = 0.003 }
training = { batch_size = 16, budget = { steps = 1200 }, ema_decay = 0.9, seed = 11 }
evaluation = { every = 100, samples = 64, batch_size = 64, checkpoint_every = 3 }
"#;
const KILLS: usize = 50;

fn start(folder: &Path, out: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_nanoresearch"))
        .args(["train", "experiment.toml", "--resume", "--out", out])
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn write_experiment(folder: &Path, extra: &str) {
    std::fs::write(folder.join("experiment.toml"), EXPERIMENT.to_string() + extra).unwrap();
}

/// What must be equal: the weights' hash as recorded, the weights themselves, the metrics without their timing.
fn result(out: &Path) -> (String, nanoresearch::record::Tensors, Vec<Metrics>) {
    let outcome = Outcome::read(out).unwrap().unwrap();
    let metrics = read_metrics(&out.join(METRICS_FILE)).unwrap().into_iter().map(Metrics::without_timing).collect();
    (outcome.weights.unwrap(), read_model(out).unwrap(), metrics)
}

/// Whether a checkpoint folder is half-written or half-removed.
fn has_temporary(out: &Path) -> bool {
    let entries = std::fs::read_dir(out.join("checkpoints")).into_iter().flatten().flatten();
    entries.into_iter().any(|e| e.file_name().to_string_lossy().starts_with('.'))
}

fn steps_done(out: &Path) -> u64 {
    nanoresearch::record::list_checkpoints(&out.join("checkpoints")).unwrap().last().map_or(0, |(step, _)| *step)
}

#[test]
fn killed_fifty_times_and_resumed_it_ends_in_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    write_experiment(folder.path(), "");
    assert!(start(folder.path(), "whole").wait().unwrap().success());

    let out: PathBuf = folder.path().join("killed");
    let mut random = Sequence::new(1, Stream::Data, 0, 0);
    let (mut kills, mut inside_a_checkpoint) = (0, 0);
    while kills < KILLS {
        let mut child = start(folder.path(), "killed");
        // A few checkpoints on, whatever the machine's speed, and then at any moment of the next few steps.
        let target = steps_done(&out) + 3 + 3 * random.below(4);
        let waiting = Instant::now();
        while steps_done(&out) < target && waiting.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_micros(500));
        }
        std::thread::sleep(Duration::from_secs_f64(0.01 * random.uniform()));
        child.kill().unwrap();
        let status = child.wait().unwrap();
        assert!(!status.success(), "the run was over after {kills} kills: give it more steps");
        kills += 1;
        inside_a_checkpoint += usize::from(has_temporary(&out));
    }
    assert!(start(folder.path(), "killed").wait().unwrap().success());
    println!("{kills} kills, {inside_a_checkpoint} of them while a checkpoint was written or removed");
    assert!(inside_a_checkpoint >= 5, "only {inside_a_checkpoint} kills fell into a checkpoint");
    assert!(!has_temporary(&out), "what was left half-written is cleaned up");
    assert_eq!(result(&out), result(&folder.path().join("whole")));
}

#[test]
fn sigterm_checkpoints_with_exit_code_75_and_the_rest_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    // No periodic checkpoints: the one that is there afterwards is the signal's.
    write_experiment(folder.path(), "");
    let quiet = std::fs::read_to_string(folder.path().join("experiment.toml")).unwrap();
    std::fs::write(
        folder.path().join("experiment.toml"),
        quiet.replace("checkpoint_every = 3", "checkpoint_every = 0"),
    )
    .unwrap();
    assert!(start(folder.path(), "whole").wait().unwrap().success());
    for (signal, name) in [("-TERM", "terminated"), ("-USR2", "asked")] {
        let out = folder.path().join(name);
        let mut child = start(folder.path(), name);
        let waiting = Instant::now();
        while std::fs::metadata(out.join(METRICS_FILE)).map_or(0, |m| m.len()) < 2000 {
            assert!(waiting.elapsed() < Duration::from_secs(20), "no steps were taken");
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(75));
        let stopped = Outcome::read(&out).unwrap().unwrap();
        assert!(stopped.step > 0 && stopped.step < 1200, "{}", stopped.step);
        assert_eq!(steps_done(&out), stopped.step);
        assert!(start(folder.path(), name).wait().unwrap().success());
        assert_eq!(result(&out), result(&folder.path().join("whole")));
    }
}
