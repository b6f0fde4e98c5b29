//! HTTP downloads, behind a trait with a fake.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::time::Duration;

/// An answer's body with its announced length.
pub struct Body {
    /// Announced length in bytes.
    pub length: Option<u64>,
    /// The bytes.
    pub reader: Box<dyn Read>,
}

/// Fetches a URL.
pub trait Fetch {
    /// Opens the URL for reading; an error for anything but success, with the cause in words.
    fn open(&self, url: &str) -> io::Result<Body>;
}

/// The real network, by reqwest with rustls on ring; honours the proxy variables.
#[derive(Debug, Default)]
pub struct Network;

/// A connection that takes longer is given up.
const CONNECT: Duration = Duration::from_secs(15);
/// Longest wait for an answer to begin, and for each further piece of it.
const IDLE: Duration = Duration::from_secs(60);

impl Fetch for Network {
    fn open(&self, url: &str) -> io::Result<Body> {
        open(url, IDLE)
    }
}

/// `idle` bounds every single wait, not the whole download, however long that is.
fn open(url: &str, idle: Duration) -> io::Result<Body> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::blocking::Client::builder()
        .connect_timeout(CONNECT)
        // The blocking client applies it to the answer's head and to each read of the body.
        .timeout(idle)
        .user_agent(concat!("nanoresearch/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(io::Error::other)?;
    let response = client
        .get(url)
        .send()
        .and_then(|r| r.error_for_status())
        .map_err(|e| io::Error::other(causes(&e.without_url())))?;
    Ok(Body { length: response.content_length(), reader: Box::new(response) })
}

/// An error with its causes on one line: reqwest keeps the interesting part in the source chain.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = Vec::new();
    let mut next = Some(error);
    while let Some(cause) = next {
        let words = cause.to_string();
        // "client error (Connect)" and the like say nothing that their causes do not.
        if cause.source().is_none() || !(words.starts_with("client error") || words == "error sending request") {
            text.push(words.split(" (os error ").next().unwrap_or_default().to_string());
        }
        next = cause.source();
    }
    text.join(": ")
}

/// Answers from memory; any other URL is refused as an unreachable network would.
#[derive(Debug, Default, Clone)]
pub struct FakeFetch {
    /// URL to body.
    pub pages: BTreeMap<String, Vec<u8>>,
}

impl Fetch for FakeFetch {
    fn open(&self, url: &str) -> io::Result<Body> {
        let bytes = self.pages.get(url).cloned().ok_or_else(|| io::Error::other("network is unreachable"))?;
        Ok(Body { length: Some(bytes.len() as u64), reader: Box::new(io::Cursor::new(bytes)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::TcpListener;
    use std::time::Instant;

    /// A server that says `answer` to one connection and then nothing, for a minute.
    fn silent_after(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            let _ = connection.read(&mut [0; 1024]);
            connection.write_all(answer.as_bytes()).unwrap();
            std::thread::sleep(Duration::from_secs(60));
        });
        format!("http://{address}/file")
    }

    #[test]
    fn a_server_that_falls_silent_is_given_up() {
        let idle = Duration::from_millis(300);
        let started = Instant::now();
        assert!(open(&silent_after(""), idle).is_err(), "no answer at all");
        let mut body = open(&silent_after("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello"), idle).unwrap();
        assert_eq!(body.length, Some(100));
        let mut bytes = Vec::new();
        assert!(body.reader.read_to_end(&mut bytes).is_err(), "a body that stops half-way");
        assert_eq!(bytes, b"hello");
        // Far below the minute for which the server holds on; no bound that a busy machine could miss.
        assert!(started.elapsed() < Duration::from_secs(30));
    }
}
