//! Datasets that are missing, damaged or not what the config says.

use super::kit::{Lab, Says};
use Says::{All, Exactly};

const CSV: &str = r#"
data = { kind = "csv", path = "table.csv", target = "y", task = "regression" }
model = { kind = "mlp", widths = [4] }
optimizer.kind = "adamw"
training = { batch_size = 2, budget = { steps = 5 } }
"#;
const IDX: &str = r#"
data = { kind = "idx", images = "images", labels = "labels" }
model = { kind = "mlp", widths = [4] }
optimizer.kind = "adamw"
training = { batch_size = 2, budget = { steps = 5 } }
"#;
const TEXT: &str = r#"
data = { kind = "text", name = "tinyshakespeare" }
model = { kind = "gpt", depth = 1, width = 16, heads = 2 }
optimizer.kind = "adamw"
training = { batch_size = 4, budget = { steps = 5 } }
"#;

/// An IDX file of bytes.
fn idx(shape: &[u32], bytes: usize) -> Vec<u8> {
    let mut file = vec![0, 0, 8, shape.len() as u8];
    file.extend(shape.iter().flat_map(|n| n.to_be_bytes()));
    file.extend((0..bytes).map(|i| (i % 3) as u8));
    file
}

#[test]
fn tables() {
    let lab = Lab::new();
    lab.write("csv.toml", CSV);
    lab.write("table.csv", "a,b,y\n1,2,3\n4,five,6\n7,8,9\n");
    lab.write("empty.csv", "");
    lab.write("binary.csv", [0, 1, 2, 255, 254, 0, 0, 7]);
    lab.write("ragged.csv", "a,b,y\n1,2,3\n4,5\n7,8,9\n");
    lab.write("cut.csv.gz", [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 75]);
    lab.write(
        "utf16.csv",
        [b"\xff\xfe".as_slice(), &"a,b,y\n1,2,3\n".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>()]
            .concat(),
    );
    lab.write("marked.csv", b"\xff\xfea,b,y\n1,2,3\n");
    lab.write("fine.csv", "a,b,y\n1,2,3\n4,5,6\n7,8,9\n0,1,1\n3,2,5\n");
    std::fs::create_dir(lab.at("folder")).unwrap();
    lab.refuses_all(&[
        (
            "train csv.toml --out new",
            2,
            Exactly(
                "table.csv:3: column 2 (\"b\"): \"five\" is not a number\n  encode it as numbers, or leave the column \
                 out with data.ignore",
            ),
        ),
        ("check csv.toml", 2, All(&["table.csv:3: column 2"])),
        ("check csv.toml data.target=z", 2, All(&["data.target names \"z\"", "the columns are \"a\", \"b\", \"y\""])),
        (
            "train csv.toml data.path=tabel.csv --out new",
            2,
            Exactly(
                "tabel.csv: the dataset file is not there\n  check the path in the `data` section (did you mean \
                 `table.csv`?); it is relative to the config file's folder",
            ),
        ),
        ("check csv.toml data.path=folder", 2, All(&["folder: cannot read the file: is a directory\n  name a file"])),
        ("check csv.toml data.path=empty.csv", 2, All(&["empty.csv: the table is empty\n  give a header line"])),
        ("check csv.toml data.path=binary.csv", 2, All(&["binary.csv: this is not a CSV table", "binary data"])),
        (
            "check csv.toml data.path=utf16.csv",
            2,
            Exactly(
                "utf16.csv: this is text in UTF-16 (it begins with the bytes FF FE), and UTF-8 is read\n  save it as UTF-8 (in a \
                 spreadsheet: \"CSV UTF-8\"), or convert it: `iconv -f UTF-16 -t UTF-8 utf16.csv > utf8-copy`",
            ),
        ),
        ("check csv.toml data.path=marked.csv", 2, All(&["marked.csv: this is text in UTF-16"])),
        ("init new --data utf16.csv --target y", 2, All(&["utf16.csv: this is text in UTF-16"])),
        ("check csv.toml data.path=ragged.csv", 2, All(&["ragged.csv:3"])),
        ("check csv.toml data.path=cut.csv.gz", 2, All(&["cut.csv.gz: the gzip file", "fetch or copy the file again"])),
        (
            "check csv.toml data.path=fine.csv training.batch_size=50",
            2,
            All(&["batch size 50", "choose a smaller batch"]),
        ),
    ]);
}

#[test]
fn images() {
    let lab = Lab::new();
    lab.write("idx.toml", IDX);
    lab.write("images", idx(&[10, 4, 4], 160));
    lab.write("labels", idx(&[9], 9));
    lab.write("labels10", idx(&[10], 10));
    lab.write("cut", idx(&[10, 4, 4], 100));
    lab.refuses_all(&[
        (
            "train idx.toml --out new",
            2,
            Exactly(
                "labels: 9 labels do not fit the 10 images of images\n  give the label file that belongs to the images \
                 (train with train, t10k with t10k)",
            ),
        ),
        (
            "check idx.toml data.labels=labels10 data.images=cut",
            2,
            All(&["cut: the IDX header announces 160 bytes", "100"]),
        ),
        ("check idx.toml data.labels=images", 2, All(&["images: the label file has shape", "exchanged"])),
        ("check idx.toml data.images=idx.toml", 2, All(&["idx.toml: this is not an IDX file: it looks like text"])),
        ("check idx.toml data.labels=none", 2, All(&["none: the dataset file is not there"])),
    ]);
}

#[test]
fn named_sets_without_a_network() {
    let lab = Lab::new();
    lab.write("experiment.toml", TEXT);
    lab.edit("campaign.toml", "metric = \"accuracy\"", "metric = \"loss\"");
    let what_to_put_where = &[
        "error: cannot download `tinyshakespeare.txt`: https://raw.githubusercontent.com/karpathy/char-rnn/",
        "and put it at LAB/cache/tinyshakespeare.txt (1115394 bytes, sha256 86c4e6aa",
        "NANORESEARCH_DATA names another folder",
    ];
    // Asking makes the cache's folder, which is empty and in nobody's way.
    std::fs::create_dir(lab.at("cache")).unwrap();
    for line in [
        "data get tinyshakespeare",
        "check experiment.toml",
        "train experiment.toml --out new",
        "run campaign.toml --out new",
        "run campaign.toml --dry-run",
        "run campaign.toml --smoke",
    ] {
        lab.refuses(&(line, 4, All(what_to_put_where)));
    }
    let said = lab.run("data get tinyshakespeare").stderr;
    assert_eq!(said.matches("input.txt").count(), 2, "the address where it failed and where to fetch it: {said}");

    lab.write("cache/tinyshakespeare.txt", "hello\n");
    for line in ["data get tinyshakespeare", "train experiment.toml --out new", "run campaign.toml --out new"] {
        lab.refuses(&(
            line,
            2,
            All(&["LAB/cache/tinyshakespeare.txt: the cached file is not the published one: 6 bytes", "remove it"]),
        ));
    }
    let answer = lab.answer(lab.command("data get tinyshakespeare").env("NANORESEARCH_DATA", "campaign.toml"));
    assert_eq!(answer.code, 2);
    assert_eq!(
        answer.stderr,
        "error: campaign.toml: the folder of datasets is a file\n  set NANORESEARCH_DATA to a folder, or unset it for \
         the default one\n"
    );
}

#[test]
fn a_dataset_that_vanishes_from_a_campaign_ends_it_without_repeats() {
    let lab = Lab::new();
    let rows: String = (0..40).map(|i| format!("{i},{},{}\n", i * i % 7, 2 * i)).collect();
    lab.write("table.csv", format!("a,b,y\n{rows}"));
    lab.write("experiment.toml", CSV);
    lab.edit("campaign.toml", "metric = \"accuracy\"", "metric = \"loss\"");
    lab.done("run campaign.toml --out camp");
    // One more candidate, and the data are gone.
    std::fs::remove_file(lab.at("table.csv")).unwrap();
    let before = std::fs::read(lab.at("camp/events.jsonl")).unwrap();
    let answer = lab.run("resume camp planner.candidates=3");
    assert_eq!(answer.code, 2, "{answer:?}");
    assert!(
        answer.stderr.contains("error: LAB/table.csv: the dataset file is not there\n  check the path"),
        "{answer:?}"
    );
    let after = std::fs::read(lab.at("camp/events.jsonl")).unwrap();
    assert!(after.starts_with(&before), "what was recorded stays");
    lab.done("status --in camp");
    // Other data under the same name would be compared with the baseline's.
    lab.write("table.csv", format!("a,b,y\n{rows}40,3,99\n"));
    let answer = lab.run("resume camp planner.candidates=3");
    assert_eq!(answer.code, 2, "{answer:?}");
    assert!(answer.stderr.contains("error: camp/campaign.toml:"), "{answer:?}");
    assert!(
        answer.stderr.ends_with(
            ": the dataset is not the one that this campaign's baseline was measured on\n  restore \
             the dataset and resume, or start a new campaign with this one; what was measured is kept\n"
        ),
        "{answer:?}"
    );
    // It comes back, and the campaign goes on.
    lab.write("table.csv", format!("a,b,y\n{rows}"));
    lab.done("resume camp planner.candidates=3");
    let status = lab.done("status --in camp --format json").stdout;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert!(status["runs"].as_array().unwrap().iter().all(|run| run["attempts"] == 1), "{status:#}");
}

#[test]
fn damaged_files_of_named_sets_are_listed_as_that() {
    let lab = Lab::new();
    lab.write("cache/tinyshakespeare.txt", "hello\n");
    lab.write("cache/train-labels-idx1-ubyte.gz", vec![0; 28_881]);
    let listed = lab.done("data list");
    let line = |file: &str| listed.stdout.lines().find(|l| l.contains(file)).unwrap().to_string();
    assert!(line("tinyshakespeare.txt").contains("damaged: 6 of 1115394 bytes"), "{}", listed.stdout);
    assert!(line("train-labels").contains("damaged: its checksum is another one"), "{}", listed.stdout);
    assert!(line("train-images").contains("  no  "), "{}", listed.stdout);
    let says = "warning: tinyshakespeare.txt: damaged: 6 of 1115394 bytes\n  remove it (`rm LAB/cache/tinyshakespeare.txt`), and \
                `nanoresearch data get tinyshakespeare` fetches it again\n";
    assert!(listed.stderr.contains(says), "{}", listed.stderr);
    let json: serde_json::Value = serde_json::from_str(&lab.done("data list --format json").stdout).unwrap();
    assert_eq!(json[0]["cached"], false);
    assert_eq!(json[0]["wrong"], "damaged: 6 of 1115394 bytes");
    assert!(json[1]["wrong"].is_null() && json[1]["cached"] == false, "{json}");
    let doctor = lab.done("doctor");
    assert!(doctor.stdout.contains("tinyshakespeare.txt: damaged: 6 of 1115394 bytes"), "{}", doctor.stdout);
    assert!(!doctor.stdout.contains(" kB"), "{}", doctor.stdout);
}
