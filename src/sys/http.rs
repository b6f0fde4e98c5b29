//! HTTP, behind traits with fakes: downloads ([`Fetch`]) and questions to a service ([`Post`], [`Get`]).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::time::{Duration, Instant};

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

/// A question to a service.
#[derive(Clone, PartialEq)]
pub struct PostRequest {
    /// Where.
    pub url: String,
    /// Names and values; may hold a key, so a request has no `Debug`.
    pub headers: Vec<(String, String)>,
    /// What is sent.
    pub body: Vec<u8>,
    /// Seconds for the whole exchange.
    pub timeout_seconds: f64,
    /// Bytes of the answer that are read at most.
    pub limit: usize,
}

/// A service's answer, whatever its status.
#[derive(Debug, Clone, PartialEq)]
pub struct PostReply {
    /// HTTP status.
    pub status: u16,
    /// The header of that name, as it is.
    pub retry_after: Option<String>,
    /// The body, up to the request's limit.
    pub body: Vec<u8>,
    /// There was more of it.
    pub truncated: bool,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The time was over.
    #[error("no answer in time")]
    TimedOut,
    /// Nobody was there: the request was certainly not served.
    #[error("cannot connect: {0}")]
    Unreachable(String),
    /// The exchange broke off; it may have been served.
    #[error("the connection broke: {0}")]
    Broken(String),
}

/// Sends a request and waits for its answer.
pub trait Post {
    /// One exchange; follows no redirects, since a key must not travel on.
    fn post(&self, request: &PostRequest) -> Result<PostReply, SendError>;
}

impl Post for Network {
    fn post(&self, request: &PostRequest) -> Result<PostReply, SendError> {
        exchange(request.timeout_seconds, request.limit, |client| {
            let mut sending = client.post(&request.url).body(request.body.clone());
            for (name, value) in &request.headers {
                sending = sending.header(name, value);
            }
            sending
        })
    }
}

/// A question that changes nothing at the service.
#[derive(Clone, PartialEq)]
pub struct GetRequest {
    /// Where, with what is asked; may hold a key, so a request has no `Debug`.
    pub url: String,
    /// Seconds for the whole exchange.
    pub timeout_seconds: f64,
    /// Bytes of the answer that are read at most.
    pub limit: usize,
}

/// Asks a service; unlike [`Fetch`], an answer of any status is one.
pub trait Get {
    /// One exchange; follows no redirects, since a key must not travel on.
    fn get(&self, request: &GetRequest) -> Result<PostReply, SendError>;
}

impl Get for Network {
    fn get(&self, request: &GetRequest) -> Result<PostReply, SendError> {
        exchange(request.timeout_seconds, request.limit, |client| client.get(&request.url))
    }
}

fn exchange(
    seconds: f64,
    limit: usize,
    build: impl FnOnce(&reqwest::blocking::Client) -> reqwest::blocking::RequestBuilder,
) -> Result<PostReply, SendError> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let unreachable = |e: reqwest::Error| SendError::Unreachable(causes(&e.without_url()));
    let (started, timeout) = (Instant::now(), Duration::from_secs_f64(seconds.clamp(0.01, 86_400.0)));
    let client = reqwest::blocking::Client::builder()
        .connect_timeout(Duration::from_secs(15))
        .timeout(timeout)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("nanoresearch/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(unreachable)?;
    let response = build(&client).send().map_err(|e| match e {
        e if e.is_builder() => {
            SendError::Unreachable(format!("the address or a header is not valid: {}", causes(&e.without_url())))
        }
        e if e.is_connect() => unreachable(e),
        e if e.is_timeout() => SendError::TimedOut,
        e => SendError::Broken(causes(&e.without_url())),
    })?;
    let status = response.status().as_u16();
    let retry_after = response.headers().get("retry-after").and_then(|v| v.to_str().ok()).map(str::to_string);
    let broken = |e: io::Error| match e.kind() {
        io::ErrorKind::TimedOut => SendError::TimedOut,
        _ => SendError::Broken(causes(&e)),
    };
    let mut body = Vec::new();
    let mut reader = response.take(limit as u64 + 1);
    let mut piece = [0; 1 << 14];
    loop {
        // The client's time-out is for each piece; a service that drips would never end.
        if started.elapsed() > timeout {
            return Err(SendError::TimedOut);
        }
        match reader.read(&mut piece) {
            Ok(0) => break,
            Ok(n) => body.extend_from_slice(&piece[..n]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(broken(e)),
        }
    }
    let truncated = body.len() > limit;
    body.truncate(limit);
    Ok(PostReply { status, retry_after, body, truncated })
}

/// A service that answers by a function of the request, and remembers the requests.
pub struct FakePost<F> {
    answer: RefCell<F>,
    seen: RefCell<Vec<PostRequest>>,
}

impl<F: FnMut(&PostRequest) -> Result<PostReply, SendError>> FakePost<F> {
    /// Answers by `answer`.
    pub fn new(answer: F) -> Self {
        FakePost { answer: RefCell::new(answer), seen: RefCell::default() }
    }

    /// All requests so far.
    pub fn seen(&self) -> Vec<PostRequest> {
        self.seen.borrow().clone()
    }
}

impl<F: FnMut(&PostRequest) -> Result<PostReply, SendError>> Post for FakePost<F> {
    fn post(&self, request: &PostRequest) -> Result<PostReply, SendError> {
        self.seen.borrow_mut().push(request.clone());
        (self.answer.borrow_mut())(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::TcpListener;

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
    fn a_service_that_drips_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            let _ = connection.read(&mut [0; 1024]);
            connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n").unwrap();
            // Each piece comes long before the time-out, for a minute.
            for _ in 0..600 {
                if connection.write_all(b" ").is_err() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        let started = Instant::now();
        let request = PostRequest { url, headers: vec![], body: vec![], timeout_seconds: 1.0, limit: 1 << 20 };
        assert_eq!(Network.post(&request), Err(SendError::TimedOut));
        assert!(started.elapsed() < Duration::from_secs(30));
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
