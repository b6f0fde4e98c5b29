//! IDX, CSV, text and gzip: what is written is read, what is wrong is refused in words, and nothing panics.

use super::*;
use crate::config::{CsvData, InputShape, TableTask, TargetShape, TextData, TextTokens};
use crate::data::{files, idx as idx_reader, table, text::Text};
use proptest::prelude::*;

fn all(data: &Dataset, part: Part) -> Batch {
    data.batch(part, 0, &(0..data.samples(part, 0)).collect::<Vec<_>>(), 0)
}

#[test]
fn idx_images_are_read_plain_and_gzipped() {
    let images = idx_file(&[4, 2, 3], &(0..24).map(|v| v * 10).collect::<Vec<u8>>());
    let labels = idx_file(&[4], &[0, 2, 1, 2]);
    let data = idx(&images, &labels, "validation_fraction = 0.5").unwrap();
    assert_eq!(data.shape().input, InputShape::Image { height: 2, width: 3, channels: 1 });
    assert_eq!(data.shape().target, TargetShape::Class { classes: 3 });
    let mut seen = Vec::new();
    for part in [Part::Train, Part::Validation] {
        let batch = all(&data, part);
        for (x, y) in f32s(&batch.input).chunks(6).zip(u32s(&batch.target)) {
            seen.push(((x[0] * 255.0 / 60.0).round() as usize, *y));
            assert!(x.iter().zip(&x[1..]).all(|(a, b)| ((b - a) * 255.0 - 10.0).abs() < 1e-4), "{x:?}");
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, [(0, 0), (1, 2), (2, 1), (3, 2)]);
    assert_eq!(idx(&gz(&images), &gz(&labels), "validation_fraction = 0.5").unwrap().hash(), data.hash());
    let colour = idx_file(&[4, 1, 2, 3], &[9; 24]);
    let shape = idx(&colour, &labels, "").unwrap().shape();
    assert_eq!(shape.input, InputShape::Image { height: 1, width: 2, channels: 3 });
}

#[test]
fn wrong_idx_files_are_refused_in_words() {
    let images = idx_file(&[4, 2, 3], &[7; 24]);
    let labels = idx_file(&[4], &[0, 2, 1, 2]);
    refused(idx(&labels, &images, ""), &["images", "shape [4]", "exchanged"]);
    refused(idx(&images, &images, ""), &["labels are [number]"]);
    refused(idx(&images[..30], &labels, ""), &["announces 24 bytes", "holds 14", "images"]);
    refused(idx(&images[..9], &labels, ""), &["ends inside its header"]);
    refused(idx(b"\x89PNG\r\n\x1a\n....", &labels, ""), &["not an IDX file", "a PNG image"]);
    refused(idx(b"<!DOCTYPE html><html>", &labels, ""), &["a web page"]);
    refused(idx(b"", &labels, ""), &["an empty file"]);
    refused(idx(&images, &idx_file(&[3], &[0, 1, 2]), ""), &["3 labels", "4 images"]);
    refused(idx(&images, &idx_file(&[4], &[1; 4]), ""), &["every label is 1"]);
    refused(idx(&idx_file(&[u32::MAX, u32::MAX, u32::MAX], &[0]), &labels, ""), &["announces"]);
    refused(idx(&idx_file(&[0, 2, 3], &[]), &labels, ""), &["empty"]);
    let mut floats = images.clone();
    floats[2] = 0x0d;
    refused(idx(&floats, &labels, ""), &["f32 values", "unsigned bytes"]);
    let packed = gz(&images);
    refused(idx(&packed[..packed.len() - 6], &labels, ""), &["ends too early", "images"]);
    let mut flipped = gz(&(0..2000u32).flat_map(u32::to_le_bytes).collect::<Vec<u8>>());
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x10;
    refused(idx(&flipped, &labels, ""), &["gzip", "damaged"]);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("train-images"), &images).unwrap();
    refused(
        load("kind = 'idx'\nimages = 'train-imagse'\nlabels = 'l'", folder.path()),
        &["not there", "train-imagse", "did you mean `train-images`"],
    );
    refused(made("kind = 'idx'\nimages = 'a'"), &["either `name`, or both"]);
    refused(made("kind = 'idx'\nname = 'tinyshakespeare'"), &["data.kind = \"text\""]);
}

#[test]
fn a_gzip_bomb_is_refused() {
    refused(files::gunzip(&gz(&vec![0; 1 << 20]), 1 << 16), &["more than 65536 bytes"]);
    assert_eq!(files::gunzip(&gz(&[5; 100]), 100).unwrap(), [5; 100]);
}

#[test]
fn a_regression_table_is_standardised_by_its_training_rows() {
    let rows: Vec<String> = (0..50).map(|i| format!("{i},7,{},{}", f64::from(i * i) * 1e-3, 3 * i - 20)).collect();
    let content = format!("a,constant,b,y\n{}\n", rows.join("\n"));
    let data = csv(&content, "target = 'y'\ntask = 'regression'").unwrap();
    assert_eq!(data.shape().input, InputShape::Features(3));
    assert_eq!(data.shape().target, TargetShape::Real { outputs: 1 });
    let train = all(&data, Part::Train);
    assert_eq!(train.samples, 40);
    let (x, y) = (f32s(&train.input), f32s(&train.target));
    for column in [0, 2] {
        let v: Vec<f64> = x.chunks(3).map(|r| f64::from(r[column])).collect();
        let mean = v.iter().sum::<f64>() / 40.0;
        let variance = v.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 40.0;
        assert!(mean.abs() < 1e-6 && (variance - 1.0).abs() < 1e-5, "column {column}: {mean} {variance}");
    }
    assert!(x.chunks(3).all(|r| r[1] == 0.0), "a constant column becomes zeros");
    // The target is linear in a, and both are standardised over the same rows: equal numbers.
    assert!(x.chunks(3).zip(y).all(|(r, y)| (r[0] - y).abs() < 1e-5));
    let v: Vec<f64> = f32s(&all(&data, Part::Validation).target).iter().map(|v| f64::from(*v)).collect();
    for first in [10, 4] {
        let mean = v[..first].iter().sum::<f64>() / first as f64;
        let variance = v[..first].iter().map(|v| (v - mean).powi(2)).sum::<f64>() / first as f64;
        assert!((data.target_variance(first).unwrap() - variance).abs() < 1e-12);
    }
    assert_eq!(data.target_variance(1), None, "one target explains nothing");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("t.csv.gz"), gz(content.as_bytes())).unwrap();
    let spec = "kind = 'csv'\npath = 't.csv.gz'\ntarget = 'y'\ntask = 'regression'";
    assert_eq!(load(spec, folder.path()).unwrap().hash(), data.hash());
}

#[test]
fn a_classification_table_sorts_its_classes() {
    let content = "\u{feff}id , kind, x\r\n1,wolf,0.5\r\n2, cat ,1\r\n\r\n3,\"dog, big\",-2e0\r\n4,cat,3\r\n";
    let data = csv(content, "target = 'kind'\ntask = 'classification'\nignore = ['id']").unwrap();
    assert_eq!(data.classes(), ["cat", "dog, big", "wolf"]);
    assert_eq!(data.shape().input, InputShape::Features(1));
    assert_eq!(data.target_variance(9), None);
    let mut classes: Vec<u32> =
        [Part::Train, Part::Validation].iter().flat_map(|p| u32s(&all(&data, *p).target).to_vec()).collect();
    classes.sort_unstable();
    assert_eq!(classes, [0, 0, 1, 2]);
}

#[test]
fn wrong_tables_are_refused_with_line_and_column() {
    let y = "target = 'y'\ntask = 'regression'";
    let c = "target = 'y'\ntask = 'classification'";
    refused(
        csv("x,y\n1,2\n\n3,red\n", y),
        &["t.csv:4:", "column 2 (\"y\")", "\"red\" is not a number", "classification"],
    );
    refused(csv("x,y\n1,2\nblue,4\n", y), &["t.csv:3:", "column 1 (\"x\")", "data.ignore"]);
    refused(csv("x,y\n1,2\nNaN,4\n", y), &["t.csv:3:", "no value (\"NaN\")"]);
    refused(csv("x,y\n1,\n3,4\n", y), &["t.csv:2:", "column 2", "no value"]);
    refused(csv("x,y\n1,inf\n3,4\n", y), &["t.csv:2:", "not a finite number"]);
    refused(csv("x,y\n1,1e300\n3,4\n", y), &["t.csv:2:", "1e300"]);
    refused(csv("x,y\n1,2\n3,4,5\n", y), &["t.csv:3:", "3 values", "header has 2"]);
    refused(csv("x,y\n1,2\n3\n", y), &["t.csv:3:", "1 values"]);
    refused(csv("", y), &["t.csv", "the table is empty"]);
    refused(csv("x,y\n", y), &["no rows"]);
    refused(
        csv("price,yield\n1,2\n", "target = 'pric'\ntask = 'regression'"),
        &["data.target", "did you mean \"price\""],
    );
    refused(csv("x,y\n1,2\n", &format!("{y}\nignore = ['z']")), &["data.ignore names \"z\""]);
    refused(csv("x,y\n1,2\n", &format!("{y}\nignore = ['y']")), &["also ignored"]);
    refused(csv("x,y\n1,2\n", &format!("{y}\nignore = ['x']")), &["no feature column"]);
    refused(csv("x;y\n1;2\n", y), &["semicolons"]);
    refused(csv("1,2\n3,4\n", y), &["looks like data, not like a header"]);
    refused(csv("x,x,y\n1,2,3\n", y), &["columns 1 and 2", "both named \"x\""]);
    refused(csv(",x,y\n0,2,3\n", y), &["column 1 has no name"]);
    assert!(csv(",x,y\n0,2,3\n1,3,4\n2,2,2\n", &format!("{y}\nignore = ['']")).is_ok());
    refused(csv("x,y\n1,a\n2,a\n", c), &["every row has the class \"a\""]);
    refused(csv("x,y\n1,0.5\n2,0.6\n3,0.7\n", c), &["these are not classes", "regression"]);
    refused(csv("x,y\n1,5\n2,5\n3,5\n4,5\n", y), &["5 in every training row"]);
    refused(csv("PK\u{3}\u{4}\0\0,y\n", y), &["not a CSV table", "ZIP"]);
    refused(csv("x,y\n1,\"2\n3,4\n5,6\n", y), &["t.csv:2:", "is not a number"]);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("t.csv"), b"x,y\n1,2\n\xff,4\n").unwrap();
    refused(load(&format!("kind = 'csv'\npath = 't.csv'\n{y}"), folder.path()), &["t.csv:3:", "not UTF-8"]);
}

#[test]
fn text_becomes_characters_in_code_point_order() {
    let data = text("zaéa日z".repeat(10).as_bytes(), "").unwrap();
    assert_eq!(data.shape().target, TargetShape::NextToken { vocabulary: 4 });
    let batch = data.batch(Part::Train, 6, &[0], 0);
    assert_eq!(u32s(&batch.input), [1, 0, 2, 0, 3, 1]);
    assert_eq!(u32s(&batch.target), [0, 2, 0, 3, 1, 1]);
    // More than 256 different characters.
    let many: String = (0x4e00..0x4e00 + 400u32).chain(0x4e00..0x4e00 + 400).filter_map(char::from_u32).collect();
    let data = text(many.as_bytes(), "").unwrap();
    assert_eq!(data.shape().target, TargetShape::NextToken { vocabulary: 400 });
    assert_eq!(u32s(&data.batch(Part::Train, 100, &[3], 0).input), (300..400).collect::<Vec<u32>>());
    assert_eq!(data.bytes_per_token(), Some(3.0));
    let bytes = text(&[0xff, 0, 7, 9], "tokens = 'byte'\nvalidation_fraction = 0.25").unwrap();
    assert_eq!(bytes.shape().target, TargetShape::NextToken { vocabulary: 256 });
    assert_eq!(u32s(&bytes.batch(Part::Train, 2, &[0], 0).input), [255, 0]);
}

#[test]
fn wrong_texts_are_refused_in_words() {
    refused(text(b"", ""), &["t.txt", "empty"]);
    refused(text(b"abc\nd\xffe", ""), &["t.txt", "byte 5 (line 2)", "tokens = \"byte\""]);
    refused(text(b"\x89PNG\r\n\x1a\n", ""), &["a PNG image"]);
    refused(text(b"aaaaaaaa", ""), &["one character only"]);
    refused(made("kind = 'text'"), &["either `name` or `path`"]);
    refused(made("kind = 'text'\nname = 'tinyshakspeare'"), &["did you mean `tinyshakespeare`"]);
    refused(made("kind = 'text'\nname = 'mnist-test'"), &["data.kind = \"idx\""]);
}

fn csv_spec(task: TableTask) -> CsvData {
    CsvData { path: "t.csv".into(), target: "y".into(), task, ignore: vec![], validation_fraction: 0.2, split_seed: 0 }
}

/// Bytes that are sometimes near a valid file: a valid one with an edit, or noise.
fn mangled(valid: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let edit = (any::<proptest::sample::Index>(), any::<u8>(), any::<bool>()).prop_map(move |(at, byte, cut)| {
        let mut bytes = valid.clone();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if cut {
            bytes.truncate(at);
        }
        bytes
    });
    prop_oneof![edit, proptest::collection::vec(any::<u8>(), 0..200)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn idx_never_panics(
        images in mangled(idx_file(&[3, 2, 2], &[1; 12])),
        labels in mangled(idx_file(&[3], &[0, 1, 1])),
    ) {
        if let (Ok(images), Ok(labels)) = (idx_reader::parse(&images), idx_reader::parse(&labels)) {
            let _ = idx_reader::pair(images, "a", &labels, "b");
        }
    }

    #[test]
    fn idx_round_trip(n in 2u32..20, h in 1u32..6, w in 1u32..6, fill in any::<u8>()) {
        let pixels: Vec<u8> = (0..n * h * w).map(|i| (i as u8).wrapping_mul(fill)).collect();
        let array = idx_reader::parse(&idx_file(&[n, h, w], &pixels)).unwrap();
        prop_assert_eq!(&array.values, &pixels);
        let labels: Vec<u8> = (0..n).map(|i| (i % 3) as u8).collect();
        let read = idx_reader::pair(array, "a", &idx_reader::parse(&idx_file(&[n], &labels)).unwrap(), "b").unwrap();
        prop_assert_eq!(read.size, [h as usize, w as usize, 1]);
        prop_assert_eq!(read.labels, labels.iter().map(|&l| u32::from(l)).collect::<Vec<_>>());
    }

    #[test]
    fn gzip_never_panics_and_round_trips(
        bytes in mangled(gz(b"some text that is long enough to have a few blocks")),
        content in proptest::collection::vec(any::<u8>(), 0..500),
    ) {
        let _ = files::gunzip(&bytes, 10_000);
        prop_assert_eq!(files::gunzip(&gz(&content), 10_000).unwrap(), content);
    }

    #[test]
    fn csv_never_panics(bytes in mangled(b"x,y,\"z\"\n1,2,3\r\n\n4,\"5\",6e0\n".to_vec()), class in any::<bool>()) {
        let task = if class { TableTask::Classification } else { TableTask::Regression };
        if let Ok(table) = table::parse(&bytes, &csv_spec(task), "t.csv") {
            prop_assert!(table.features.iter().all(|v| v.is_finite()));
        }
    }

    #[test]
    fn csv_round_trip(rows in proptest::collection::vec((-1e9f64..1e9, -1e9f64..1e9, "[a-c ,\"\n]{0,5}"), 3..20)) {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(["x", "y", "note"]).unwrap();
        for (x, y, note) in &rows {
            writer.write_record([x.to_string(), y.to_string(), note.clone()]).unwrap();
        }
        let bytes = writer.into_inner().unwrap();
        let spec = CsvData { ignore: vec!["note".into()], ..csv_spec(TableTask::Regression) };
        let read = table::parse(&bytes, &spec, "t.csv").unwrap();
        prop_assert_eq!(read.features, rows.iter().map(|r| r.0).collect::<Vec<_>>());
        prop_assert_eq!(read.target, table::Target::Numbers(rows.iter().map(|r| r.1).collect()));
    }

    #[test]
    fn text_never_panics(bytes in mangled("some text, ünïcode".as_bytes().to_vec()), byte in any::<bool>(), f in -0.5f64..1.5) {
        let tokens = if byte { TextTokens::Byte } else { TextTokens::Char };
        let spec = TextData { name: None, path: None, tokens, validation_fraction: f };
        if let Ok(text) = Text::parse(bytes, &spec) {
            for context in [1usize, 3, 1000] {
                let windows = text.windows(Part::Validation, context);
                if windows > 0 {
                    let batch = text.batch(Part::Validation, context, &[windows - 1], 2);
                    prop_assert!(u32s(&batch.input).iter().all(|&t| (t as usize) < text.vocabulary));
                }
            }
        }
    }

    #[test]
    fn text_round_trip(content in "[a-zé日\n]{4,80}") {
        let spec = TextData { name: None, path: None, tokens: TextTokens::Char, validation_fraction: 0.5 };
        let mut alphabet: Vec<char> = content.chars().collect();
        alphabet.sort_unstable();
        alphabet.dedup();
        prop_assume!(alphabet.len() > 1);
        let text = Text::parse(content.clone().into_bytes(), &spec).unwrap();
        let length = text.len(Part::Train);
        let batch = text.batch(Part::Train, length - 1, &[0], 0);
        let back: String = u32s(&batch.input).iter().chain(u32s(&batch.target).last()).map(|&t| alphabet[t as usize]).collect();
        prop_assert_eq!(back, content.chars().take(length).collect::<String>());
    }
}
