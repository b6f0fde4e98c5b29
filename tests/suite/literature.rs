//! `literature`, as its user types it: against a scripted catalogue on the loopback interface, and without a network.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

struct Said {
    code: i32,
    stdout: String,
    stderr: String,
}

fn say(folder: &Path, url: &str, arguments: &[&str]) -> Said {
    let output = Command::new(env!("CARGO_BIN_EXE_nanoresearch"))
        .args(arguments)
        .current_dir(folder)
        .env("XDG_CACHE_HOME", folder.join("cache"))
        .env("NANORESEARCH_OPENALEX_URL", url)
        .env("NANORESEARCH_MAILTO", "me@example.org")
        .env("NO_PROXY", "127.0.0.1")
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

const WORKS: &str = r#"{"results": [
 {"id": "https://openalex.org/W1", "doi": "https://doi.org/10.48550/arxiv.1412.6980", "publication_year": 2014,
  "title": "Adam: A Method for Stochastic Optimization",
  "authorships": [{"author": {"display_name": "Diederik P. Kingma"}}, {"author": {"display_name": "Jimmy Ba"}}],
  "abstract_inverted_index": {"Adam": [0], "adapts": [1], "the": [2], "learning": [3], "rate": [4]}},
 {"id": "https://openalex.org/W2", "publication_year": 2020, "title": "}} \\write18{rm} <script>",
  "authorships": [{"author": {"display_name": "Mallory"}}]}]}"#;

/// Answers every request with the same works.
fn catalogue() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            lines.take_while(|l| !l.is_empty()).for_each(drop);
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", WORKS.len());
            let _ = stream.write_all((head + WORKS).as_bytes());
        }
    });
    url
}

#[test]
fn a_catalogue_is_searched_kept_and_used_offline() {
    let folder = tempfile::tempdir().unwrap();
    let url = catalogue();
    let ask = |url: &str, arguments: &[&str]| say(folder.path(), url, arguments);
    let said = ask(&url, &["literature", "search", "adam optimizer"]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(said.stdout.contains("kingma2014adam") && said.stdout.contains("Kingma and Ba (2014)"), "{}", said.stdout);

    // The same without a network; another question is not known there, and it is said what to do.
    let nowhere = "http://127.0.0.1:1";
    let said = ask(nowhere, &["literature", "search", "Adam optimizer", "--offline", "--format", "bib"]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(said.stdout.contains("author = {Kingma, Diederik P. and Ba, Jimmy}"), "{}", said.stdout);
    assert!(!said.stdout.contains("\\write") && !said.stdout.contains('<'), "{}", said.stdout);
    assert!(said.stderr.contains("as OpenAlex answered on "), "{}", said.stderr);
    let said = ask(nowhere, &["literature", "search", "something else", "--offline"]);
    assert_eq!(said.code, 4);
    assert!(said.stderr.contains("not in the cache") && said.stderr.contains("--against"), "{}", said.stderr);

    // Citations: what matches enters, the rest is dropped with its reason, and what enters is written.
    let cited = r#"
@article{adam, title={{ADAM}: a method for stochastic optimization}, author={Kingma, D. P. and Ba, J.}, year=2014}
@article{late, title={Adam: a method for stochastic optimization}, author={Kingma, D. P. and Ba, J.}, year=2015}
@article{invented, title={Adam was here}, author={Kingma, D. P.}, year=2014}
@article{broken, title={never closed
"#;
    std::fs::write(folder.path().join("cited.bib"), cited).unwrap();
    let said = ask(&url, &["literature", "check", "cited.bib", "-o", "kept.bib"]);
    assert_eq!(said.code, 1, "{}", said.stderr);
    assert!(said.stdout.contains("those of OpenAlex W1"), "{}", said.stdout);
    assert!(
        said.stdout.contains("is of 2014, not 2015") && said.stdout.contains("no record has this title"),
        "{}",
        said.stdout
    );
    assert!(
        said.stderr.contains("cited.bib:5: ") && said.stderr.contains("2 of 3 entries would be dropped"),
        "{}",
        said.stderr
    );
    let kept = std::fs::read_to_string(folder.path().join("kept.bib")).unwrap();
    assert!(kept.contains("@misc{adam,") && !kept.contains("invented") && !kept.contains("late"), "{kept}");
    // What was kept holds against itself, offline.
    let said = ask(nowhere, &["literature", "check", "kept.bib", "--against", "kept.bib"]);
    assert_eq!(said.code, 0, "{}\n{}", said.stdout, said.stderr);

    // Claims.
    let said = ask(&url, &["literature", "novelty", "Adam adapts the learning rate"]);
    assert!(
        said.code == 0 && said.stdout.contains("close to Kingma and Ba (2014)"),
        "{}\n{}",
        said.stdout,
        said.stderr
    );
    let said = ask(nowhere, &["literature", "novelty", "zebra stripes", "--against", "kept.bib"]);
    assert!(said.stdout.contains("does not show that it is new"), "{}", said.stdout);

    for (name, bytes) in [("empty.bib", &b"no entry"[..]), ("binary.bib", &[0xff, 0xfe, 0x00]), ("missing.bib", &[])] {
        if name != "missing.bib" {
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
        let said = ask(nowhere, &["literature", "check", name, "--against", "kept.bib"]);
        assert!(
            [1, 2].contains(&said.code) && said.stderr.contains(name) && !said.stderr.contains("panicked"),
            "{}",
            said.stderr
        );
    }
}
