//! Asks OpenAlex: never faster than is polite, again where it may pass, and not at all what was asked before.

use super::cache::{Cache, Kept};
use super::openalex::{self, Ask, percent};
use super::record::Record;
use crate::problem::{Problem, Result};
use crate::rng::{Sequence, Stream};
use crate::sys::clock::{Clock, rfc3339};
use crate::sys::http::{Get, GetRequest};
use crate::sys::retry::{Next, next};
use std::fmt;

/// Bytes of an answer that are read.
const LONGEST: usize = 32 << 20;
/// Seconds after which an answer is asked for again where there is a network: a month.
const FRESH: f64 = 30.0 * 86_400.0;
/// Works that are looked at for one citation.
const CANDIDATES: usize = 10;

/// How the service is reached.
#[derive(Clone, PartialEq)]
pub struct Settings {
    /// Address without a slash at the end.
    pub base_url: String,
    /// Whom the service can write to; it serves those who say so better.
    pub mailto: Option<String>,
    key: Option<String>,
    /// Requests a second at most. The service's own limit is 10.
    pub per_second: f64,
    /// Tries after the first.
    pub retries: usize,
    /// Seconds for one try.
    pub timeout_seconds: f64,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.key.as_ref().map(|_| "...");
        f.debug_struct("Settings")
            .field("base_url", &self.base_url)
            .field("mailto", &self.mailto)
            .field("key", &key)
            .finish()
    }
}

/// From the environment: `NANORESEARCH_MAILTO` (an address of the user), `OPENALEX_API_KEY` (a key, where the user has one)
/// and `NANORESEARCH_OPENALEX_URL` (a mirror).
pub fn settings(variable: &dyn Fn(&str) -> Option<String>) -> Settings {
    let base = variable("NANORESEARCH_OPENALEX_URL").unwrap_or_else(|| openalex::BASE_URL.to_string());
    Settings {
        base_url: base.trim_end_matches('/').to_string(),
        mailto: variable("NANORESEARCH_MAILTO"),
        key: variable("OPENALEX_API_KEY"),
        per_second: 4.0,
        retries: 4,
        timeout_seconds: 30.0,
    }
}

/// Which answers may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reach {
    /// Kept ones of the last month, else new ones; older ones where there is no network.
    #[default]
    Normal,
    /// Kept ones only.
    Offline,
    /// New ones only.
    Refresh,
}

/// Where an answer came from.
#[derive(Debug, Clone, PartialEq)]
pub enum Origin {
    /// The service, just now.
    Service,
    /// The cache.
    Kept {
        /// When it was answered, RFC 3339.
        at: String,
        /// Why no newer one could be had; none where none was wanted.
        because: Option<String>,
    },
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The most relevant first.
    pub records: Vec<Record>,
    /// Where they come from.
    pub origin: Origin,
}

/// The catalogue, with its cache.
pub struct Catalogue<'c> {
    settings: Settings,
    get: &'c dyn Get,
    clock: &'c dyn Clock,
    cache: Cache,
    reach: Reach,
    /// When the last request was sent.
    last: Option<f64>,
    /// Why the service is not asked any more in this life: one citation's timeout is not paid for every other.
    gone: Option<String>,
}

impl<'c> Catalogue<'c> {
    /// A catalogue that keeps answers in `cache`.
    pub fn new(settings: Settings, get: &'c dyn Get, clock: &'c dyn Clock, cache: Cache, reach: Reach) -> Self {
        Catalogue { settings, get, clock, cache, reach, last: None, gone: None }
    }

    /// Works that these words lead to, at most `limit` (up to 200).
    ///
    /// # Errors
    /// `Usage` for a query without a word; `Unavailable` where the service does not answer and the cache does not know.
    pub fn search(&mut self, query: &str, limit: usize) -> Result<Found> {
        let ask = Ask::words(query);
        if ask == Ask::Words(String::new()) {
            return Err(Problem::usage("the query holds no word").remedy("give words of a title or an abstract"));
        }
        self.ask(&ask, limit)
    }

    /// Works that may be the cited one: by its DOI where it has one, and by its title.
    ///
    /// # Errors
    /// As [`search`](Self::search).
    pub fn candidates(&mut self, cited: &Record) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        // A comma or a bar in a filter would be two questions.
        if let Some(doi) = cited.doi.as_ref().filter(|doi| !doi.contains([',', '|'])) {
            records.extend(self.ask(&Ask::Doi(doi.clone()), CANDIDATES)?.records);
        }
        if super::check::check(cited, &records).is_err() && !cited.title.is_empty() {
            records.extend(self.search(&cited.title, CANDIDATES)?.records);
        }
        Ok(records)
    }

    fn ask(&mut self, ask: &Ask, limit: usize) -> Result<Found> {
        let question = ask.parameters(limit);
        let kept = self.cache.read(&question);
        let young = |kept: &Kept| self.clock.unix() - kept.at < FRESH;
        if let Some(kept) =
            kept.as_ref().filter(|k| self.reach == Reach::Offline || self.reach == Reach::Normal && young(k))
        {
            return self.found(&kept.body, Origin::Kept { at: rfc3339(kept.at), because: None });
        }
        let why = match (self.reach, &self.gone) {
            (Reach::Offline, _) => "it is not asked (offline)".to_string(),
            (_, Some(why)) => why.clone(),
            _ => match self.fetch(&question) {
                Ok(body) => {
                    let found = self.found(&body, Origin::Service);
                    if found.is_ok() {
                        self.cache.write(&question, self.clock.unix(), body)?;
                    }
                    return found;
                }
                Err(why) => {
                    self.gone = Some(why.clone());
                    why
                }
            },
        };
        match kept.filter(|_| self.reach != Reach::Refresh) {
            Some(kept) => self.found(&kept.body, Origin::Kept { at: rfc3339(kept.at), because: Some(why) }),
            None => Err(self.unavailable(&why)),
        }
    }

    fn found(&self, body: &serde_json::Value, origin: Origin) -> Result<Found> {
        let records = openalex::decode(body).map_err(|what| {
            Problem::unavailable(format!("what OpenAlex sent is no answer of it: {what}"))
                .at(&*self.settings.base_url)
                .remedy(
                    "a proxy or login page may have answered in its place; NANORESEARCH_OPENALEX_URL names a mirror",
                )
        })?;
        Ok(Found { records, origin })
    }

    fn unavailable(&self, why: &str) -> Problem {
        let folder = self.cache.folder().display();
        Problem::unavailable(format!(
            "the catalogue OpenAlex does not answer, and this question is not in the cache: {why}"
        ))
        .at(&*self.settings.base_url)
        .remedy(format!(
            "try again with a network (answers are kept in {folder}, which can be copied to a machine without one), or \
                 name a local bibliography with --against FILE.bib"
        ))
    }

    /// The answer to a question, or why there is none, in words that never hold the key.
    fn fetch(&mut self, question: &str) -> std::result::Result<serde_json::Value, String> {
        let mut url = format!("{}/works?{question}", self.settings.base_url);
        if let Some(mailto) = &self.settings.mailto {
            url += &format!("&mailto={}", percent(mailto));
        }
        if let Some(key) = &self.settings.key {
            url += &format!("&api_key={}", percent(key));
        }
        let request = GetRequest { url, timeout_seconds: self.settings.timeout_seconds, limit: LONGEST };
        let mut tried = 0;
        loop {
            self.pace();
            let result = self.get.get(&request);
            let now = self.clock.unix();
            let spread = Sequence::new(now.to_bits(), Stream::Data, tried as u32, 0).uniform();
            match next(&result, tried, self.settings.retries, now, spread) {
                Next::Wait(seconds) => {
                    self.clock.sleep(seconds);
                    tried += 1;
                }
                Next::GiveUp(why) => return Err(self.without_key(&why)),
                Next::Read => {
                    let reply = result.map_err(|e| e.to_string())?;
                    if reply.truncated {
                        return Err(format!("its answer is longer than {LONGEST} bytes"));
                    }
                    return serde_json::from_slice(&reply.body).map_err(|_| {
                        "its answer is not JSON (a proxy or login page may have answered in its place)".to_string()
                    });
                }
            }
        }
    }

    /// Waits until the next request may be sent.
    fn pace(&mut self) {
        let now = self.clock.monotonic();
        let wait = self.last.map_or(0.0, |last| last + 1.0 / self.settings.per_second - now);
        if wait > 0.0 {
            self.clock.sleep(wait);
        }
        self.last = Some(self.clock.monotonic());
    }

    /// A service may say back what it was sent.
    fn without_key(&self, text: &str) -> String {
        match &self.settings.key {
            Some(key) if !key.is_empty() => text.replace(key.as_str(), "...").replace(&percent(key), "..."),
            _ => text.to_string(),
        }
    }
}
