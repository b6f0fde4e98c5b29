//! Named sets: found, verified, downloaded, and refused with what to do.

use super::*;
use crate::data::fetch::{get_set, hex};
use crate::sys;
use crate::sys::http::{Body, Fetch, Network};
use sha2::{Digest, Sha256};
use std::io::{self, Read};
use std::net::TcpListener;

const URL: &str = "http://first.test/a.txt";
const MIRROR: &str = "http://second.test/a.txt";

/// A set of one file with this content, at two addresses.
fn set(content: &[u8], urls: &[&str]) -> NamedSet {
    let urls: Vec<&'static str> = urls.iter().map(|u| &*Box::leak(u.to_string().into_boxed_str())).collect();
    let file = RemoteFile {
        name: "a.txt",
        bytes: content.len() as u64,
        sha256: Box::leak(hex(&Sha256::digest(content)).into_boxed_str()),
        urls: Box::leak(urls.into_boxed_slice()),
    };
    NamedSet { name: "a", kind: SetKind::Text, about: "", licence: "", files: Box::leak(Box::new([file])) }
}

fn serving(pages: &[(&str, &[u8])]) -> FakeFetch {
    FakeFetch { pages: pages.iter().map(|(u, b)| (u.to_string(), b.to_vec())).collect() }
}

fn names(folder: &Path) -> Vec<String> {
    std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn a_missing_file_is_downloaded_once() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("deep/cache");
    let content = vec![42; 200_000];
    let set = set(&content, &[URL, MIRROR]);
    let mut heard = Vec::new();
    let paths = get_set(&set, &cache, &serving(&[(URL, &content)]), &mut |d, t| heard.push((d, t))).unwrap();
    assert_eq!(std::fs::read(&paths[0]).unwrap(), content);
    assert_eq!(names(&cache), ["a.txt"]);
    assert_eq!(heard.first(), Some(&(0, Some(200_000))));
    assert_eq!(heard.last(), Some(&(200_000, Some(200_000))));
    assert!(heard.len() > 3 && heard.is_sorted());
    // The second time without a network, and without progress.
    let again = get_set(&set, &cache, &FakeFetch::default(), &mut |_, _| panic!("nothing to download")).unwrap();
    assert_eq!(again, paths);
}

#[test]
fn offline_says_which_file_to_put_where() {
    let folder = tempfile::tempdir().unwrap();
    let problem = get("tinyshakespeare", folder.path(), &FakeFetch::default(), &mut |_, _| {}).expect_err("no network");
    assert_eq!(problem.class, Class::Unavailable);
    let text = problem.to_string();
    let path = folder.path().join("tinyshakespeare.txt").display().to_string();
    let file = &registry()[0].files[0];
    for part in [file.urls[0], path.as_str(), file.sha256, "network is unreachable", "1115394", "data get"] {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
    assert!(names(folder.path()).is_empty());
}

#[test]
fn a_wrong_answer_is_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let set = set(b"the real thing", &[URL, MIRROR]);
    let wrong = b"<html>please log in</html>";
    let fetch = serving(&[(URL, wrong)]);
    let problem = get_set(&set, folder.path(), &fetch, &mut |_, _| {}).expect_err("wrong content");
    assert_eq!(problem.class, Class::Failed);
    let text = problem.to_string();
    for part in [URL, set.files[0].sha256, "14 bytes", "a.txt"] {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
    // Equal length, so that only the checksum can tell.
    let fetch = serving(&[(URL, b"the rael thing")]);
    let text = get_set(&set, folder.path(), &fetch, &mut |_, _| {}).expect_err("wrong content").to_string();
    assert!(text.contains(&hex(&Sha256::digest(b"the rael thing"))), "{text}");
    assert!(names(folder.path()).is_empty());
    // A mirror makes up for it.
    let fetch = serving(&[(URL, wrong), (MIRROR, b"the real thing")]);
    assert!(get_set(&set, folder.path(), &fetch, &mut |_, _| {}).is_ok());
}

#[test]
fn a_wrong_file_in_the_cache_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let set = set(b"the real thing", &[URL]);
    std::fs::write(folder.path().join("a.txt"), b"mine").unwrap();
    let fetch = serving(&[(URL, b"the real thing")]);
    let found = hex(&Sha256::digest(b"mine"));
    refused(
        get_set(&set, folder.path(), &fetch, &mut |_, _| {}),
        &["4 bytes", &found, set.files[0].sha256, URL, "remove it"],
    );
    assert_eq!(std::fs::read(folder.path().join("a.txt")).unwrap(), b"mine");
}

#[test]
fn a_cache_that_cannot_be_written_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("a file");
    std::fs::write(&cache, b"").unwrap();
    let fetch = serving(&[(URL, b"x")]);
    let text =
        get_set(&set(b"x", &[URL]), &cache.join("sub"), &fetch, &mut |_, _| {}).expect_err("no folder").to_string();
    assert!(text.contains("NANORESEARCH_DATA") && text.contains(URL), "{text}");
}

/// Sends a part, then fails.
struct Broken;
impl Fetch for Broken {
    fn open(&self, _: &str) -> io::Result<Body> {
        struct Part(usize);
        impl Read for Part {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.0 += 1;
                match self.0 {
                    1 => Err(io::ErrorKind::Interrupted.into()),
                    2 => {
                        buffer[..3].copy_from_slice(b"the");
                        Ok(3)
                    }
                    _ => Err(io::Error::other("connection reset")),
                }
            }
        }
        Ok(Body { length: None, reader: Box::new(Part(0)) })
    }
}

#[test]
fn a_broken_download_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let problem = get_set(&set(b"the real thing", &[URL]), folder.path(), &Broken, &mut |_, _| {}).expect_err("broken");
    assert_eq!(problem.class, Class::Unavailable);
    assert!(problem.what.contains("after 3 of 14 bytes: connection reset"), "{problem}");
    assert!(names(folder.path()).is_empty());
}

#[test]
fn an_endless_answer_is_cut_off() {
    struct Endless;
    impl Fetch for Endless {
        fn open(&self, _: &str) -> io::Result<Body> {
            Ok(Body { length: None, reader: Box::new(io::repeat(7)) })
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let problem = get_set(&set(b"short", &[URL]), folder.path(), &Endless, &mut |_, _| {}).expect_err("endless");
    assert_eq!(problem.class, Class::Failed);
    assert!(names(folder.path()).is_empty());
}

#[test]
fn http_works_over_a_real_socket() {
    if ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"].iter().any(|v| sys::env::var(v).is_some()) {
        println!("skipped: a proxy is set, and would be asked for the loopback address");
        return;
    }
    let content: Vec<u8> = (0..300_000u32).map(|i| (i % 253) as u8).collect();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let body = content.clone();
    let server = std::thread::spawn(move || {
        // First "not found", then the file.
        for (status, body) in [("404 Not Found", b"no".to_vec()), ("200 OK", body)] {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut block = [0; 1024];
            while !request.windows(4).any(|w| w == b"\r\n\r\n") {
                let n = stream.read(&mut block).unwrap();
                request.extend_from_slice(&block[..n]);
            }
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(&body).unwrap();
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let set = set(&content, &[&format!("http://{address}/a.txt")]);
    let problem = get_set(&set, folder.path(), &Network, &mut |_, _| {}).expect_err("not found");
    assert_eq!(problem.class, Class::Unavailable);
    assert!(problem.what.contains("404"), "{problem}");
    let paths = get_set(&set, folder.path(), &Network, &mut |_, _| {}).unwrap();
    assert_eq!(std::fs::read(&paths[0]).unwrap(), content);
    server.join().unwrap();
}

#[test]
fn the_registry_is_well_formed() {
    for set in registry() {
        assert_eq!(set.files.len(), if set.kind == SetKind::Text { 1 } else { 2 }, "{}", set.name);
        for file in set.files {
            assert!(file.sha256.len() == 64 && file.sha256.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')));
            assert!(!file.urls.is_empty() && file.urls.iter().all(|u| u.starts_with("https://")), "{}", file.name);
        }
    }
}

/// The published files themselves, where somebody has them.
#[test]
fn the_published_files_are_read() {
    let Some(cache) = sys::env::var("NANORESEARCH_DATA").map(std::path::PathBuf::from) else {
        println!("skipped: NANORESEARCH_DATA names no folder with the published files");
        return;
    };
    let load = |spec: &str| {
        let spec: DataSpec = toml::from_str(spec).unwrap();
        Dataset::load(&spec, Path::new("."), &cache, &FakeFetch::default(), &mut |_, _| {})
    };
    if cache.join("tinyshakespeare.txt").exists() {
        let data = load("kind = 'text'\nname = 'tinyshakespeare'").unwrap();
        assert_eq!(
            data.describe(),
            "tokens of 65 kinds, next token; 1003855 tokens for training, 111539 for validation"
        );
        assert_eq!(data.bytes_per_token(), Some(1.0));
    }
    if cache.join("t10k-images-idx3-ubyte.gz").exists() {
        let data = load("kind = 'idx'\nname = 'mnist-test'").unwrap();
        assert_eq!(data.describe(), "28x28x1 images, 10 classes; 8000 samples for training, 2000 for validation");
        let ink: f64 = [Part::Train, Part::Validation]
            .iter()
            .flat_map(|&p| f32s(&data.batch(p, 0, &(0..data.samples(p, 0)).collect::<Vec<_>>(), 0).input).to_vec())
            .map(f64::from)
            .sum();
        // The mean pixel of the test split is 0.1325 in every tutorial.
        assert!((ink / 7_840_000.0 - 0.13251).abs() < 1e-5, "{ink}");
    }
}
