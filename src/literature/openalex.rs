//! OpenAlex's wire format: the address of a question, and works out of an answer.
//!
//! Documented at <https://docs.openalex.org/api-entities/works>. Only fields that are asked for by name come back.

use super::fold::fold;
use super::names::Author;
use super::record::{Record, Source, make_keys_unique};
use serde_json::Value;
use std::collections::BTreeMap;

/// The public service.
pub(super) const BASE_URL: &str = "https://api.openalex.org";
/// Fields that are asked for.
const FIELDS: &str = "id,doi,title,publication_year,authorships,primary_location,abstract_inverted_index";
/// Words of a question that are sent; a search by whole abstracts finds nothing.
const WORDS: usize = 40;
/// Positions of an abstract that are read.
const POSITIONS: usize = 5_000;
/// Works that can be asked for at once, by the service's own limit.
pub(super) const MOST: usize = 200;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ask {
    /// Works whose title, abstract or text holds these words, the most relevant first.
    Words(String),
    /// The work of this DOI.
    Doi(String),
}

impl Ask {
    /// A search for words. Only letters, digits and hyphens are sent: the service gives other characters meanings.
    pub fn words(query: &str) -> Self {
        let kept = |c: char| if c.is_alphanumeric() || c == '-' { c } else { ' ' };
        let text: String = query.chars().map(kept).collect();
        let words: Vec<&str> = text.split_whitespace().map(|w| w.trim_matches('-')).filter(|w| !w.is_empty()).collect();
        // Lower case: AND, OR and NOT would be operators.
        Ask::Words(words.iter().take(WORDS).map(|w| w.to_lowercase()).collect::<Vec<_>>().join(" "))
    }

    /// The question as the part of an address after `/works?`, without who asks: what the cache knows it by.
    pub fn parameters(&self, limit: usize) -> String {
        let asked = match self {
            Ask::Words(words) => format!("search={}", percent(words)),
            Ask::Doi(doi) => format!("filter=doi:{}", percent(&format!("https://doi.org/{doi}"))),
        };
        format!("{asked}&per-page={}&select={FIELDS}", limit.clamp(1, MOST))
    }
}

/// Percent-encodes all but unreserved characters.
pub(super) fn percent(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte as char),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// Works of an answer, those without a title left out; keys differ. The other fields may be missing or `null`, and so may
/// fields be of another type than documented: they are then not known.
///
/// # Errors
/// What is no answer of this service, in words.
pub(super) fn decode(body: &Value) -> Result<Vec<Record>, String> {
    let results = body.get("results").and_then(Value::as_array).ok_or("it holds no list `results`")?;
    let mut records: Vec<Record> = results.iter().filter_map(|work| record(&Work::of(work))).collect();
    make_keys_unique(&mut records);
    Ok(records)
}

/// A work as it is sent.
#[derive(Debug)]
struct Work {
    id: Option<String>,
    doi: Option<String>,
    title: Option<String>,
    publication_year: Option<i64>,
    authors: Vec<String>,
    venue: Option<String>,
    url: Option<String>,
    summary: Option<String>,
}

impl Work {
    fn of(value: &Value) -> Work {
        let text = |path: &str| value.pointer(path).and_then(Value::as_str).map(str::to_string);
        let authors = value.get("authorships").and_then(Value::as_array).into_iter().flatten().filter_map(|a| {
            let name = a.pointer("/author/display_name").or_else(|| a.get("raw_author_name"));
            name.and_then(Value::as_str).map(str::to_string)
        });
        Work {
            id: text("/id"),
            doi: text("/doi"),
            title: text("/title"),
            publication_year: value.get("publication_year").and_then(Value::as_i64),
            authors: authors.collect(),
            venue: text("/primary_location/source/display_name"),
            url: text("/primary_location/landing_page_url"),
            summary: value.get("abstract_inverted_index").and_then(upright),
        }
    }
}

/// The text of an inverted index: word to its positions.
fn upright(index: &Value) -> Option<String> {
    let mut words: BTreeMap<u64, &str> = BTreeMap::new();
    for (word, places) in index.as_object()? {
        for place in places.as_array().into_iter().flatten().filter_map(Value::as_u64) {
            if words.len() < POSITIONS {
                words.insert(place, word);
            }
        }
    }
    (!words.is_empty()).then(|| words.into_values().collect::<Vec<_>>().join(" "))
}

fn record(work: &Work) -> Option<Record> {
    let title = work.title.as_deref()?;
    let id = work.id.as_deref().unwrap_or_default();
    let id: String = id.rsplit('/').next().unwrap_or_default().chars().filter(char::is_ascii_alphanumeric).collect();
    // The service lists a hundred authors of a work and does not say whether there are more.
    let more = work.authors.len() >= super::record::AUTHORS;
    let record = Record::new(&id, title, Source::Openalex { id: id.clone() })
        .with_authors(work.authors.iter().map(|name| Author::shown(name)), more)
        .with_year(work.publication_year)
        .with_venue(work.venue.as_deref())
        .with_doi(work.doi.as_deref())
        .with_url(work.url.as_deref().or(work.doi.as_deref()))
        .with_summary(work.summary.as_deref());
    if record.title.is_empty() {
        return None;
    }
    Some(Record { key: key(&record), ..record })
}

/// `kingma2015adam`.
fn key(record: &Record) -> String {
    const SMALL: [&str; 12] = ["a", "an", "the", "on", "of", "in", "for", "to", "and", "with", "from", "is"];
    let ascii = |text: &str| text.chars().filter(char::is_ascii_alphanumeric).collect::<String>();
    let family = record.authors.first().map(|a| ascii(&fold(&a.family))).unwrap_or_default();
    let title = fold(&record.title);
    let word = title.split(' ').find(|w| !SMALL.contains(w)).map(ascii).unwrap_or_default();
    let year = record.year.map(|y| y.to_string()).unwrap_or_default();
    format!("{family}{year}{word}").chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn questions_hold_nothing_that_the_service_would_interpret() {
        let ask = Ask::words("  learning-rate*: \"warm-up\" & (GPT|MLP) AND\u{0} Größe?");
        assert_eq!(ask, Ask::Words("learning-rate warm-up gpt mlp and größe".into()));
        assert!(
            ask.parameters(5).starts_with(
                "search=learning-rate%20warm-up%20gpt%20mlp%20and%20gr%C3%B6%C3%9Fe&per-page=5&select=id,"
            )
        );
        assert!(
            Ask::Doi("10.1/a&b".into())
                .parameters(900)
                .starts_with("filter=doi:https%3A%2F%2Fdoi.org%2F10.1%2Fa%26b&per-page=200&")
        );
    }

    #[test]
    fn a_work_is_read_with_what_it_says() {
        let body = json!({ "results": [{
            "id": "https://openalex.org/W123", "doi": "https://doi.org/10.48550/ARXIV.1412.6980",
            "title": "Adam: A Method for <i>Stochastic</i> Optimization", "publication_year": 2015,
            "authorships": [{ "author": { "display_name": "Diederik P. Kingma" } }, { "author": {}, "raw_author_name": "Jimmy Ba" }],
            "primary_location": { "landing_page_url": "https://arxiv.org/abs/1412.6980", "source": { "display_name": "ICLR" } },
            "abstract_inverted_index": { "We": [0], "Adam": [2], "introduce": [1] },
        }, { "title": null }, { "title": "Only a title", "publication_year": "soon", "authorships": {}, "abstract_inverted_index": null }] });
        let records = decode(&body).unwrap();
        assert_eq!(records.len(), 2);
        let adam = &records[0];
        assert_eq!((adam.key.as_str(), adam.short()), ("kingma2015adam", "Kingma and Ba (2015)".to_string()));
        assert_eq!(adam.title, "Adam: A Method for Stochastic Optimization");
        assert_eq!(adam.summary.as_deref(), Some("We introduce Adam"));
        assert_eq!((adam.doi.as_deref(), adam.venue.as_deref()), (Some("10.48550/arxiv.1412.6980"), Some("ICLR")));
        assert_eq!((records[1].key.as_str(), records[1].year), ("only", None));
        assert!(decode(&json!({ "error": "no" })).is_err() && decode(&json!([1])).is_err());
    }

    proptest! {
        #[test]
        fn any_work_is_read_without_a_panic(title in any::<String>(), author in any::<String>(), year in any::<i64>(), id in any::<String>()) {
            let body = json!({ "results": [{ "id": id, "doi": id, "title": title, "publication_year": year,
                "authorships": [{ "author": { "display_name": author } }], "abstract_inverted_index": { author: [0, 7, 7] } }] });
            for record in decode(&body).unwrap() {
                prop_assert!(!record.title.is_empty() && !record.key.is_empty());
                prop_assert!(!record.title.chars().any(char::is_control));
            }
        }
    }
}
