//! Round trips, and bytes that no writer of this program would have written.
#![allow(clippy::disallowed_methods)]

use super::*;
use crate::config::Experiment;
use crate::ids::{AttemptId, RunId, RunKey};
use crate::units::{Bytes, DeviceTime};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn experiment() -> Experiment {
    serde_json::from_value(serde_json::json!({
        "data": {"kind": "digits"}, "model": {"kind": "mlp"}, "optimizer": {"kind": "adamw"},
        "training": {"seed": u64::MAX},
    }))
    .unwrap()
}

fn attempt() -> AttemptSpec {
    AttemptSpec {
        stop_at: None,
        format: FORMAT,
        id: AttemptId { run: RunId(7), number: 2 },
        experiment: experiment(),
        base: PathBuf::from("data"),
        key: RunKey("abc".into()),
        resume_from: Some(PathBuf::from("../01/checkpoints/step-00000100")),
        wall_seconds: 12.5,
        memory: Bytes(1 << 30),
        predicted_seconds: None,
        predicted_from: None,
    }
}

fn manifest() -> Manifest {
    Manifest {
        format: FORMAT,
        version: "0.1.0".into(),
        fingerprint: BTreeMap::from([("engine".into(), "reference".into())]),
        host: BTreeMap::new(),
        parameters: 1000,
        total_steps: 50,
        train_samples: 1437,
        validation_samples: 360,
        step_flops: 1.5e9,
        predicted_seconds: None,
        predicted_from: None,
        predicted_memory: Bytes(5),
        data_hash: "d".into(),
        started: "2026-01-01T00:00:00.000Z".into(),
        warnings: vec!["one".into()],
    }
}

fn outcome(end: End) -> Outcome {
    Outcome {
        format: FORMAT,
        end,
        step: 10,
        metrics: BTreeMap::from([("loss".into(), 0.1 + 0.2)]),
        seconds: 1.0 / 3.0,
        training_seconds: 0.25,
        device_time: DeviceTime { ms: 334 },
        peak_memory: Bytes(7),
        weights: Some("w".into()),
        checkpoint: Some(PathBuf::from("checkpoints/step-00000010")),
        node: None,
        utilization: None,
    }
}

fn tensors() -> Tensors {
    let values = vec![0.5, -0.0, f32::MIN_POSITIVE, 1e30, -7.25, 3.0];
    BTreeMap::from([("b".to_string(), (vec![], vec![2.5])), ("blocks.0/w".to_string(), (vec![2, 3], values))])
}

fn info(step: u64) -> CheckpointInfo {
    CheckpointInfo {
        format: FORMAT,
        step,
        total_steps: 100,
        seed: 3,
        key: RunKey("abc".into()),
        fingerprint: BTreeMap::from([("engine".into(), "toy".into())]),
        metrics_bytes: 1234,
        seconds: 0.1,
        metrics: BTreeMap::from([("loss".into(), 1.0)]),
        best: Some(Best { loss: 1.0 / 3.0, step: 4 }),
        state_hash: String::new(),
        checksum: String::new(),
    }
}

/// In memory where that is possible: these tests sync thousands of files.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

#[test]
fn what_is_written_is_read_back() {
    let folder = folder();
    let path = folder.path();
    attempt().write(path).unwrap();
    assert_eq!(AttemptSpec::read(path).unwrap(), attempt());
    assert_eq!(Manifest::read(path).unwrap(), None);
    manifest().write(path).unwrap();
    assert_eq!(Manifest::read(path).unwrap(), Some(manifest()));
    assert_eq!(Outcome::read(path).unwrap(), None);
    let ends = [
        End::Completed,
        End::Diverged { reason: "the training loss became NaN at step 3".into() },
        End::Checkpointed,
        End::TimedOut { limit_seconds: 0.3 },
        End::OutOfMemory { wanted: Bytes(2), limit: Bytes(1), of: MemoryKind::Host },
        End::OutOfMemory { wanted: Bytes(2), limit: Bytes(0), of: MemoryKind::Device },
        End::DeviceFailed { fault: Fault::DeviceLost, message: "gone\n  look at it".into() },
        End::Refused { message: "a\n  b".into() },
        End::Failed { message: "c".into() },
    ];
    for end in ends {
        outcome(end.clone()).write(path).unwrap();
        assert_eq!(Outcome::read(path).unwrap(), Some(outcome(end)));
    }
    write_model(path, &tensors(), &experiment()).unwrap();
    assert_eq!(read_model(path).unwrap(), tensors());
}

/// Files of before there were devices: what they do not say was the host's memory, and no node.
#[test]
fn an_outcome_of_before_is_read_as_it_was_meant() {
    let folder = folder();
    let mut old = serde_json::to_value(outcome(End::Completed)).unwrap();
    old["end"] = serde_json::json!({ "kind": "out-of-memory", "wanted": 7, "limit": 3 });
    assert!(old.get("node").is_none(), "nothing is written where nothing is known");
    std::fs::write(folder.path().join(OUTCOME_FILE), old.to_string()).unwrap();
    let read = Outcome::read(folder.path()).unwrap().unwrap();
    assert_eq!(read.end, End::OutOfMemory { wanted: Bytes(7), limit: Bytes(3), of: MemoryKind::Host });
    assert_eq!(read.node, None);
    let lost =
        Outcome { node: Some("n7".into()), ..outcome(End::DeviceFailed { fault: Fault::Xid, message: "x".into() }) };
    let json = serde_json::to_value(&lost).unwrap();
    assert_eq!(json["end"], serde_json::json!({ "kind": "device-failed", "fault": "xid", "message": "x" }));
    assert_eq!(json["node"], "n7");
}

#[test]
fn a_newer_file_is_refused_with_what_to_do() {
    let folder = folder();
    let mut newer = serde_json::to_value(attempt()).unwrap();
    newer["format"] = serde_json::json!(FORMAT + 1);
    newer["invented_later"] = serde_json::json!(true);
    std::fs::write(folder.path().join(ATTEMPT_FILE), newer.to_string()).unwrap();
    let problem = AttemptSpec::read(folder.path()).unwrap_err();
    assert_eq!(problem.class.exit_code(), 2);
    let text = problem.to_string().replace(&folder.path().display().to_string(), "DIR");
    insta::assert_snapshot!(text, @r"
    DIR/attempt.json: an attempt's specification of format 2, which is newer than this program reads (format 1, nanoresearch 0.1.0)
      use the nanoresearch that wrote it, or a later one
    ");
}

#[test]
fn a_damaged_file_is_refused_with_the_key_that_is_wrong() {
    let folder = folder();
    let path = folder.path().join(OUTCOME_FILE);
    let mut wrong = serde_json::to_value(outcome(End::Completed)).unwrap();
    wrong["device_time"] = serde_json::json!("long");
    for (text, part) in [
        (wrong.to_string(), "at `device_time`"),
        ("{}".to_string(), "no `format` number"),
        (r#"{"format": 1"#.to_string(), "not an attempt's outcome: it ends too early, after 12 bytes"),
        (String::new(), "after 0 bytes"),
    ] {
        std::fs::write(&path, text).unwrap();
        let problem = Outcome::read(folder.path()).unwrap_err();
        assert!(problem.to_string().contains(part), "{problem}");
        assert!(problem.remedy.is_some());
    }
}

#[test]
fn checkpoints_are_read_back_bit_for_bit_and_equal_states_have_equal_files() {
    let folder = folder();
    let path = write_checkpoint(folder.path(), &tensors(), info(12)).unwrap();
    assert_eq!(path, folder.path().join("step-00000012"));
    let read = read_checkpoint(&path).unwrap();
    assert_eq!(read.tensors, tensors());
    assert!(read.tensors["blocks.0/w"].1[1].is_sign_negative(), "minus zero stays minus zero");
    let expected =
        CheckpointInfo { state_hash: read.info.state_hash.clone(), checksum: read.info.checksum.clone(), ..info(12) };
    assert_eq!(read.info, expected);
    let other = write_checkpoint(folder.path(), &tensors(), info(13)).unwrap();
    let bytes = |p: &Path| std::fs::read(p.join("state.safetensors")).unwrap();
    assert_eq!(bytes(&path), bytes(&other));
    // Writing a step again replaces it.
    write_checkpoint(folder.path(), &BTreeMap::new(), info(13)).unwrap();
    assert!(read_checkpoint(&other).unwrap().tensors.is_empty());
}

#[test]
fn pruning_keeps_the_latest_and_the_best_and_nothing_is_left_lying_about() {
    let folder = folder();
    for step in [1, 2, 3, 4, 5, 100_000_000] {
        write_checkpoint(folder.path(), &tensors(), info(step)).unwrap();
    }
    std::fs::create_dir(folder.path().join(".step-00000009.tmp")).unwrap();
    std::fs::create_dir(folder.path().join("step-3.damaged")).unwrap();
    prune_checkpoints(folder.path(), 2, Some(2)).unwrap();
    let steps: Vec<u64> = list_checkpoints(folder.path()).unwrap().into_iter().map(|(s, _)| s).collect();
    assert_eq!(steps, [2, 5, 100_000_000]);
    assert_eq!(clean_checkpoints(folder.path()).unwrap(), 1);
    prune_checkpoints(folder.path(), 0, None).unwrap();
    assert_eq!(list_checkpoints(folder.path()).unwrap().len(), 1, "the latest is never removed");
    let mut names: Vec<String> =
        std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["step-100000000", "step-3.damaged"]);
    assert_eq!(list_checkpoints(&folder.path().join("absent")).unwrap(), []);
}

#[test]
fn wrong_shapes_are_named() {
    let place = Path::new("step-00000001");
    let whole = tensors();
    let expected = whole.iter().map(|(name, (shape, _))| (name.as_str(), shape.as_slice())).collect();
    assert!(check_shapes(&tensors(), &expected, place).is_ok());
    let mut found = tensors();
    found.get_mut("blocks.0/w").unwrap().0 = vec![3, 2];
    let text = check_shapes(&found, &expected, place).unwrap_err().to_string();
    assert!(text.contains("blocks.0/w has shape [3, 2] where [2, 3] is needed"), "{text}");
    found = tensors();
    found.remove("b");
    assert!(check_shapes(&found, &expected, place).unwrap_err().what.contains("tensor b [] is missing"));
    found = tensors();
    found.insert("c".into(), (vec![], vec![0.0]));
    assert!(check_shapes(&found, &expected, place).unwrap_err().what.contains("tensor c is not part"));
}

#[test]
fn weights_are_named_by_names_shapes_and_bits() {
    let hash = weights_hash(&tensors());
    let changed = |change: &dyn Fn(&mut Tensors)| {
        let mut other = tensors();
        change(&mut other);
        weights_hash(&other)
    };
    assert_ne!(hash, changed(&|t| t.get_mut("b").unwrap().1[0] = 2.500_000_2));
    assert_ne!(hash, changed(&|t| t.get_mut("blocks.0/w").unwrap().0 = vec![3, 2]));
    assert_ne!(hash, changed(&|t| t.get_mut("blocks.0/w").unwrap().1[1] = 0.0));
    let moved = changed(&|t| {
        let value = t.remove("b").unwrap();
        t.insert("a".into(), value);
    });
    assert_ne!(hash, moved);
    // Known from an independent writing of the definition: no tensors, no bytes.
    assert_eq!(weights_hash(&BTreeMap::new()), blake3::hash(b"").to_hex().to_string());
    let one = BTreeMap::from([("w".to_string(), (vec![1], vec![1.0]))]);
    let bytes = [&1u64.to_le_bytes()[..], b"w", &1u64.to_le_bytes(), &1u64.to_le_bytes(), &[0, 0, 0x80, 0x3f]].concat();
    assert_eq!(weights_hash(&one), blake3::hash(&bytes).to_hex().to_string());
}

fn line(step: u64) -> Metrics {
    let timing = Timing { seconds: 1.5, samples_per_second: 100.0, memory: Bytes(9) };
    Metrics::Train { step, loss: 1.0 / (step as f64 + 3.0), lr: 1e-3, grad_norm: 2.0, timing }
}

fn evaluation(step: u64) -> Metrics {
    Metrics::Eval { step, metrics: BTreeMap::from([("accuracy".into(), 0.1 + 0.2)]), timing: Timing::default() }
}

#[test]
fn metrics_lines_are_appended_cut_back_and_read() {
    let folder = folder();
    let path = folder.path().join(METRICS_FILE);
    assert_eq!(read_metrics(&path).unwrap(), []);
    let mut writer = MetricsWriter::open(&path, 0).unwrap();
    writer.append(&line(1)).unwrap();
    writer.append(&evaluation(1)).unwrap();
    let checkpoint = writer.sync().unwrap();
    assert_eq!(checkpoint, std::fs::metadata(&path).unwrap().len());
    writer.append(&line(2)).unwrap();
    assert_eq!(read_metrics(&path).unwrap(), [line(1), evaluation(1), line(2)]);
    drop(writer);
    let mut writer = MetricsWriter::open(&path, checkpoint).unwrap();
    writer.append(&line(3)).unwrap();
    assert_eq!(read_metrics(&path).unwrap(), [line(1), evaluation(1), line(3)]);
    assert!(MetricsWriter::open(&path, 1 << 20).unwrap_err().what.contains("where the checkpoint counted 1048576"));
    let first = std::fs::read_to_string(&path).unwrap().lines().next().unwrap().to_string();
    insta::assert_snapshot!(first, @r#"{"kind":"train","step":1,"loss":0.25,"lr":0.001,"grad_norm":2.0,"seconds":1.5,"samples_per_second":100.0,"memory":9}"#);
}

#[test]
fn a_torn_last_line_is_left_out_and_a_wrong_line_is_named() {
    let good = |m: &Metrics| format!("{}\n", serde_json::to_string(m).unwrap());
    let text = good(&line(1)) + &good(&line(2));
    for cut in 0..=text.len() {
        let whole = text[..cut].matches('\n').count();
        assert_eq!(parse_metrics(&text.as_bytes()[..cut], "m").unwrap().len(), whole, "cut at {cut}");
    }
    let problem = parse_metrics((good(&line(1)) + "{\"kind\":\"later\"}\n").as_bytes(), "metrics.jsonl").unwrap_err();
    assert_eq!(problem.place.as_deref(), Some("metrics.jsonl:2"));
}

#[test]
fn what_json_cannot_say_is_not_written() {
    let folder = folder();
    let path = folder.path().join(METRICS_FILE);
    let mut writer = MetricsWriter::open(&path, 0).unwrap();
    let bad = Metrics::Train { step: 4, loss: f64::NAN, lr: 0.0, grad_norm: 0.0, timing: Timing::default() };
    assert!(writer.append(&bad).unwrap_err().what.contains("metric loss of step 4 is NaN"));
    let metrics = BTreeMap::from([("r2".into(), f64::NEG_INFINITY)]);
    assert!(writer.append(&Metrics::Eval { step: 4, metrics, timing: Timing::default() }).is_err());
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
}

/// Cuts or changes bytes.
fn mutated(original: &[u8], cut: Option<usize>, flips: &[(usize, u8)]) -> Vec<u8> {
    let mut bytes = original.to_vec();
    if let Some(cut) = cut {
        bytes.truncate(cut % (original.len() + 1));
    }
    for &(place, mask) in flips {
        if !bytes.is_empty() {
            let place = place % bytes.len();
            bytes[place] ^= mask;
        }
    }
    bytes
}

fn mutation() -> impl Strategy<Value = (Option<usize>, Vec<(usize, u8)>)> {
    (prop::option::of(any::<usize>()), prop::collection::vec((any::<usize>(), 1u8..), 0..3))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_bytes_make_a_json_reader_panic((cut, flips) in mutation()) {
        let path = Path::new("file.json");
        let originals = [
            format::to_json(&attempt()).unwrap(),
            format::to_json(&manifest()).unwrap(),
            format::to_json(&outcome(End::TimedOut { limit_seconds: 1.0 })).unwrap(),
        ];
        for original in &originals {
            let bytes = mutated(original, cut, &flips);
            // Whatever the answer: an error has a remedy.
            let problems = [
                format::parse_json::<AttemptSpec>(&bytes, path, "an attempt").err(),
                format::parse_json::<Manifest>(&bytes, path, "a manifest").err(),
                format::parse_json::<Outcome>(&bytes, path, "an outcome").err(),
            ];
            for problem in problems.into_iter().flatten() {
                prop_assert!(problem.remedy.is_some());
            }
        }
        let lines = serde_json::to_string(&line(1)).unwrap() + "\n" + &serde_json::to_string(&evaluation(2)).unwrap() + "\n";
        let _ = parse_metrics(&mutated(lines.as_bytes(), cut, &flips), "m");
    }

    #[test]
    fn no_bytes_make_the_tensor_reader_panic((cut, flips) in mutation(), noise in prop::collection::vec(any::<u8>(), 0..64)) {
        let original = weights::to_safetensors(&tensors()).unwrap();
        let _ = weights::from_safetensors(&mutated(&original, cut, &flips), Path::new("m"));
        let _ = weights::from_safetensors(&noise, Path::new("m"));
    }

    #[test]
    fn a_changed_checkpoint_is_never_taken_for_another((cut, flips) in mutation(), in_state in any::<bool>()) {
        let folder = folder();
        let path = write_checkpoint(folder.path(), &tensors(), info(5)).unwrap();
        let whole = read_checkpoint(&path).unwrap();
        let file = path.join(if in_state { "state.safetensors" } else { "checkpoint.json" });
        std::fs::write(&file, mutated(&std::fs::read(&file).unwrap(), cut, &flips)).unwrap();
        match read_checkpoint(&path) {
            // Only changes that change nothing may pass: white space, or flips that undo each other.
            Ok(read) => prop_assert_eq!(read, whole),
            Err(problem) => prop_assert!(problem.remedy.is_some() && problem.place.is_some(), "{}", problem),
        }
    }
}
