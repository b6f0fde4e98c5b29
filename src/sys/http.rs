//! HTTP downloads, behind a trait with a fake.

use std::collections::BTreeMap;
use std::io::{self, Read};

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

impl Fetch for Network {
    fn open(&self, url: &str) -> io::Result<Body> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::blocking::Client::builder()
            .connect_timeout(std::time::Duration::from_secs(15))
            .timeout(None)
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
