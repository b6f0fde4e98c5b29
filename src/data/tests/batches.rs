//! Splits, order, batches and identity.

use super::*;
use crate::config::{DataShape, InputShape, TargetShape};
use std::collections::BTreeSet;

const DIGITS: &str = "kind = 'digits'";

#[test]
fn digits_are_whole() {
    let data = made(DIGITS).unwrap();
    assert_eq!(
        data.shape(),
        DataShape {
            input: InputShape::Image { height: 8, width: 8, channels: 1 },
            target: TargetShape::Class { classes: 10 },
        }
    );
    assert_eq!((data.samples(Part::Train, 0), data.samples(Part::Validation, 0)), (1438, 359));
    let all = |part| data.batch(part, 0, &(0..data.samples(part, 0)).collect::<Vec<_>>(), 0);
    let (train, validation) = (all(Part::Train), all(Part::Validation));
    // Known facts of the published file: sum of all pixels and number of each digit.
    let ink: f64 = f32s(&train.input).iter().chain(f32s(&validation.input)).map(|v| f64::from(*v) * 16.0).sum();
    assert_eq!(ink, 561_718.0);
    let mut count = [0; 10];
    u32s(&train.target).iter().chain(u32s(&validation.target)).for_each(|&c| count[c as usize] += 1);
    assert_eq!(count, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
    assert!(f32s(&train.input).iter().all(|v| (0.0..=1.0).contains(v)));
    assert_eq!(data.describe(), "8x8x1 images, 10 classes; 1438 samples for training, 359 for validation");
}

#[test]
fn splits_are_seeded_disjoint_and_complete() {
    let parts = |seed: u64| super::super::split::split(100, 0.25, seed, "rows").unwrap();
    let (train, validation) = parts(0);
    assert_eq!((train.len(), validation.len()), (75, 25));
    assert_eq!(train.iter().chain(&validation).copied().collect::<BTreeSet<u32>>(), (0..100).collect());
    assert_eq!(parts(0), (train.clone(), validation.clone()));
    assert_ne!(parts(1).1, validation);
    // A random choice: neither the beginning nor the end of the file.
    assert!(validation.iter().any(|&v| v < 33) && validation.iter().any(|&v| v > 66), "{validation:?}");
}

#[test]
fn impossible_splits_are_refused() {
    for fraction in ["0.0", "1.0", "-0.5", "1.5", "nan", "inf"] {
        refused(made(&format!("{DIGITS}\nvalidation_fraction = {fraction}")), &["validation_fraction", "0.2"]);
    }
    refused(made(&format!("{DIGITS}\nvalidation_fraction = 0.0001")), &["1797 samples", "0 for validation"]);
    refused(made(&format!("{DIGITS}\nvalidation_fraction = 0.9999")), &["0 for training"]);
    refused(text(b"ab", ""), &["2 tokens"]);
    refused(csv("x,y\n1,2\n", "target = 'y'\ntask = 'regression'"), &["1 rows"]);
}

#[test]
fn padding_repeats_sample_zero_without_weight() {
    let data = made(DIGITS).unwrap();
    let batch = data.batch(Part::Validation, 0, &[3, 5], 4);
    let zero = data.batch(Part::Validation, 0, &[0], 0);
    assert_eq!(batch.samples, 4);
    assert_eq!(batch.weight, [1.0, 1.0, 0.0, 0.0]);
    assert_eq!(&f32s(&batch.input)[3 * 64..], f32s(&zero.input));
    assert_eq!(u32s(&batch.target)[2], u32s(&zero.target)[0]);
    assert_eq!(data.batch(Part::Validation, 0, &[3, 5], 1).samples, 2);
    let tokens = text(b"abcdefghijklmnopqrstuvwxyz", "validation_fraction = 0.5").unwrap();
    let batch = tokens.batch(Part::Validation, 4, &[1], 2);
    assert_eq!(batch.weight, [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
    assert_eq!(u32s(&batch.input), [17, 18, 19, 20, 13, 14, 15, 16]);
    assert_eq!(u32s(&batch.target), [18, 19, 20, 21, 14, 15, 16, 17]);
}

#[test]
fn training_order_is_a_function_of_seed_and_step() {
    let data = made(DIGITS).unwrap();
    let steps = 1438 / 64;
    let pass = |data: &Dataset, seed, epoch: u64| -> Vec<usize> {
        (epoch * steps..(epoch + 1) * steps).flat_map(|s| data.train_indices(seed, s, 64, 0)).collect()
    };
    let first = pass(&data, 7, 0);
    // Without replacement, within the part, and only the last partial batch is missing.
    assert_eq!(first.len(), 64 * steps as usize);
    assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), first.len());
    assert!(first.iter().all(|&i| i < 1438));
    assert_ne!(first, pass(&data, 7, 1));
    assert_ne!(first, pass(&data, 8, 0));
    // Any step on its own, in any order, from a dataset that has seen nothing before.
    let fresh = made(DIGITS).unwrap();
    let late = fresh.train_indices(7, 3 * steps + 5, 64, 0);
    assert_eq!(fresh.train_indices(7, 5, 64, 0), first[5 * 64..6 * 64]);
    assert_eq!(data.train_indices(7, 3 * steps + 5, 64, 0), late);
    // The dropped remainder differs from pass to pass, so every sample is met in the end.
    let met: BTreeSet<usize> = (0..4).flat_map(|e| pass(&data, 7, e)).collect();
    assert_eq!(met.len(), 1438);
}

#[test]
fn text_windows_shift_every_pass_and_stay_inside() {
    let content: Vec<u8> = (0..1000u32).map(|i| (i % 251) as u8).collect();
    let data = text(&content, "tokens = 'byte'\nvalidation_fraction = 0.2").unwrap();
    let (context, train) = (32, 800);
    assert_eq!(data.samples(Part::Train, context), (train - 1) / context);
    assert_eq!(data.samples(Part::Validation, context), 199 / context);
    let windows = data.samples(Part::Train, context);
    let mut starts = Vec::new();
    for epoch in 0..20 {
        let indices = data.train_indices(3, epoch, windows, context);
        let batch = data.batch(Part::Train, context, &indices, 0);
        let (input, target) = (u32s(&batch.input), u32s(&batch.target));
        for (w, (x, y)) in input.chunks(context).zip(target.chunks(context)).enumerate() {
            assert_eq!(x[1..], y[..context - 1], "window {w}");
            // Successive values mod 251: the window is one piece of the file, and no part of the validation end.
            assert!(
                x.iter().chain(y.last()).zip(x[1..].iter().chain(y.last())).all(|(a, b)| *b == (a + 1) % 251 || a == b)
            );
        }
        starts.push(input[0] % context as u32);
        let distinct: BTreeSet<usize> = indices.iter().map(|i| i % windows).collect();
        assert_eq!(distinct.len(), windows);
    }
    assert!(starts.iter().collect::<BTreeSet<_>>().len() > 5, "shifts {starts:?}");
}

#[test]
fn text_training_never_sees_the_validation_part() {
    // Bytes 0 in training, 1 in validation: no input and no target may be 1.
    let content: Vec<u8> = [vec![0; 97], vec![1; 31]].concat();
    let data = text(&content, &format!("tokens = 'byte'\nvalidation_fraction = {}", 31.0 / 128.0)).unwrap();
    for context in [1, 2, 7, 48, 96] {
        let windows = data.samples(Part::Train, context);
        for step in 0..30 {
            let batch = data.batch(Part::Train, context, &data.train_indices(0, step, windows, context), 0);
            assert!(u32s(&batch.input).iter().chain(u32s(&batch.target)).all(|&t| t == 0));
        }
        let all: Vec<usize> = (0..data.samples(Part::Validation, context)).collect();
        let batch = data.batch(Part::Validation, context, &all, 0);
        assert!(u32s(&batch.input).iter().chain(u32s(&batch.target)).all(|&t| t == 1));
    }
}

#[test]
fn a_context_or_batch_that_does_not_fit_is_refused() {
    let data = text(&[b'a', b'b'].repeat(50), "validation_fraction = 0.1").unwrap();
    assert!(data.check(9, 9).is_ok());
    refused(data.check(1, 10), &["context of 10", "validation", "10 tokens"]);
    refused(data.check(1, 90), &["context of 90", "training", "90 tokens"]);
    refused(data.check(1, 0), &["context of 0"]);
    refused(data.check(10, 9), &["batch size 10", "9 training samples"]);
    let data = made(DIGITS).unwrap();
    assert!(data.check(1438, 0).is_ok());
    refused(data.check(1439, 0), &["batch size 1439", "1438"]);
    refused(data.check(0, 0), &["batch size 0"]);
}

#[test]
fn modular_arithmetic_is_right() {
    for (name, operation) in [
        ("add", (|a, b| (a + b) % 7) as fn(i64, i64) -> i64),
        ("subtract", |a, b| (a - b).rem_euclid(7)),
        ("multiply", |a, b| a * b % 7),
    ] {
        let data = made(&format!("kind = 'modular'\nmodulus = 7\noperation = '{name}'")).unwrap();
        assert_eq!(
            data.shape(),
            DataShape {
                input: InputShape::Tokens { vocabulary: 8, fixed: Some(3) },
                target: TargetShape::Class { classes: 7 },
            }
        );
        let mut pairs = BTreeSet::new();
        for part in [Part::Train, Part::Validation] {
            let batch = data.batch(part, 3, &(0..data.samples(part, 3)).collect::<Vec<_>>(), 0);
            for (x, y) in u32s(&batch.input).chunks(3).zip(u32s(&batch.target)) {
                assert_eq!(x[2], 7);
                assert_eq!(i64::from(*y), operation(x[0].into(), x[1].into()), "{name} {x:?}");
                pairs.insert((x[0], x[1]));
            }
        }
        assert_eq!(pairs.len(), 49);
    }
    for modulus in [0, 1, 1025, u32::MAX] {
        refused(made(&format!("kind = 'modular'\nmodulus = {modulus}")), &["modulus", "between 2 and 1024"]);
    }
}

#[test]
fn the_hash_names_what_a_run_sees() {
    let a = made(DIGITS).unwrap();
    assert_eq!(a.hash().len(), 64);
    assert_eq!(a.hash(), made(DIGITS).unwrap().hash());
    let hashes: BTreeSet<String> = [
        made(DIGITS),
        made("kind = 'digits'\nsplit_seed = 1"),
        made("kind = 'digits'\nvalidation_fraction = 0.3"),
        made("kind = 'modular'\nmodulus = 5"),
        made("kind = 'modular'\nmodulus = 5\noperation = 'multiply'"),
        text(b"hello world", "validation_fraction = 0.2"),
        text(b"hello world", "validation_fraction = 0.4"),
        text(b"hello world", "validation_fraction = 0.2\ntokens = 'byte'"),
        text(b"hello worle", "validation_fraction = 0.2"),
        // Equal token ids, but other characters: the bytes per token differ.
        text("hellö wörld".as_bytes(), "validation_fraction = 0.2"),
    ]
    .into_iter()
    .map(|d| d.unwrap().hash().to_string())
    .collect();
    assert_eq!(hashes.len(), 10);
}

#[test]
fn bytes_per_token_counts_the_validation_part() {
    // The end holds two 2-byte characters and two 1-byte ones.
    let data = text("aaaaaaéaéb".as_bytes(), "validation_fraction = 0.4").unwrap();
    assert_eq!(data.bytes_per_token(), Some(1.5));
    assert_eq!(text(b"0123456789", "tokens = 'byte'").unwrap().bytes_per_token(), Some(1.0));
    assert_eq!(made(DIGITS).unwrap().bytes_per_token(), None);
}
