//! Citations and references: each is of a work in `paper.bib`, and says what that work's record says.

use super::quantities::words_of;
use super::rendered::{Passage, Token};
use super::shown::normal;
use crate::literature::Record;
use std::collections::BTreeMap;

/// A citation: its works are known, and its text names them. TeX has keys and no text; a page has the first key only.
pub(super) fn check(keys: &[String], text: &str, works: &[Record]) -> Result<(), String> {
    if let Some(key) = keys.iter().find(|key| !works.iter().any(|w| w.key == **key)) {
        return Err(format!("paper.bib has no `{key}`"));
    }
    let text = normal(text);
    let text = text.strip_prefix('(').and_then(|t| t.strip_suffix(')')).unwrap_or(&text);
    for (i, part) in text.split("; ").filter(|p| !p.is_empty()).enumerate() {
        let of = |work: &&Record| {
            let whole = normal(&work.short());
            part == whole || part == whole.replace(" (", ", ").trim_end_matches(')') || work.year.is_none()
        };
        let own = works.iter().filter(|w| i > 0 || keys.first().is_none_or(|key| w.key == *key));
        if !own.clone().any(|w| of(&w)) {
            let wanted = own.map(Record::short).next().filter(|_| i == 0).unwrap_or_else(|| "no such work".to_string());
            return Err(format!("paper.bib has {wanted} for \"{part}\""));
        }
    }
    Ok(())
}

/// An entry of the list of references: what is wrong with it. `links`: where it leads.
pub(super) fn reference(work: &Record, text: &str, links: &[String]) -> Option<String> {
    let key = &work.key;
    let doi = work.doi.as_ref().map(|doi| format!("https://doi.org/{doi}"));
    let addresses: Vec<&String> = doi.iter().chain(&work.url).collect();
    if let Some(link) = links.iter().find(|link| !addresses.contains(link)) {
        return Some(format!("it leads to {link}, and the record `{key}` of paper.bib does not"));
    }
    let said = normal(text).to_lowercase();
    let year = work.year.map(|y| y.to_string()).unwrap_or_default();
    let wanted =
        [work.title.trim_end_matches('.'), &year].into_iter().chain(work.authors.iter().map(|a| a.family.as_str()));
    for part in wanted {
        if !said.contains(&normal(part).to_lowercase()) {
            return Some(format!("the record `{key}` of paper.bib has \"{part}\""));
        }
    }
    let optional = [&work.venue, &work.doi, &doi, &work.url].into_iter().flatten().map(String::as_str);
    let own = optional.chain([work.title.as_str(), year.as_str()]).collect::<Vec<_>>().join(" ");
    let own = normal(&own).to_lowercase();
    words_of(text)
        .into_iter()
        .find(|w| w.bytes().any(|b| b.is_ascii_digit()) && !own.contains(&w.to_lowercase()))
        .map(|word| format!("\"{word}\" is not in the record `{key}` of paper.bib"))
}

/// The first work that a page cites more or less often than a file does.
pub(super) fn difference(page: &[Passage], file: &[Passage]) -> Option<String> {
    let count = |passages: &[Passage]| {
        let mut counts: BTreeMap<String, isize> = BTreeMap::new();
        for token in passages.iter().flat_map(|p| &p.tokens) {
            if let Token::Cite { keys, .. } = token {
                *counts.entry(keys.first().cloned().unwrap_or_default()).or_default() += 1;
            }
        }
        counts
    };
    let (own, theirs) = (count(page), count(file));
    let key = own.keys().chain(theirs.keys()).find(|key| own.get(*key) != theirs.get(*key))?;
    let times = |of: &BTreeMap<String, isize>| of.get(key).copied().unwrap_or(0);
    Some(format!("`{key}` is cited {} times here and {} times in paper.html", times(&theirs), times(&own)))
}

/// Works under the key of one that the program brings, which say otherwise.
pub(super) fn strangers(works: &[Record], known: &[Record]) -> Vec<String> {
    let differs = |work: &&Record| {
        let own = known.iter().find(|k| k.key == work.key);
        own.is_some_and(|k| {
            (&k.title, &k.authors, k.year, &k.venue, &k.doi, &k.url)
                != (&work.title, &work.authors, work.year, &work.venue, &work.doi, &work.url)
        })
    };
    works.iter().filter(differs).map(|work| format!("`{}` is not as the program knows it", work.key)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::literature::read_bib;

    const BIB: &str = "@article{k2015, title = {Adam: A Method}, author = {Kingma, Diederik and Ba, Jimmy}, year = {2015},\n\
        url = {https://arxiv.org/abs/1412.6980}}\n@article{h1979, title = {A Test}, author = {Holm, Sture}, year = {1979}}\n";

    #[test]
    fn citations_say_what_their_records_say() {
        let works = read_bib(BIB).records;
        let keys = |key: &str| vec![key.to_string()];
        for (key, text) in [
            ("k2015", "(Kingma and Ba, 2015)"),
            ("k2015", "Kingma and Ba (2015)"),
            ("k2015", "(Kingma and Ba, 2015; Holm, 1979)"),
            ("h1979", ""),
        ] {
            assert_eq!(check(&keys(key), text, &works), Ok(()), "{text}");
        }
        for (key, text) in [
            ("k2016", "(Kingma and Ba, 2015)"),
            ("h1979", "(Kingma and Ba, 2015)"),
            ("k2015", "(Kingma and Ba, 2016)"),
            ("k2015", "(Kingma and Li, 2015)"),
            ("k2015", "(Kingma and Ba, 2015; Holm, 1978)"),
        ] {
            assert!(check(&keys(key), text, &works).is_err(), "{key} {text}");
        }
    }

    #[test]
    fn references_say_what_their_records_say() {
        let works = read_bib(BIB).records;
        let links = ["https://arxiv.org/abs/1412.6980".to_string()];
        let text = "Diederik Kingma and Jimmy Ba. Adam: A Method. 2015. https://arxiv.org/abs/1412.6980";
        assert_eq!(reference(&works[0], text, &links), None);
        for (from, to) in
            [("2015", "2016"), ("Method", "Mess"), ("Ba.", "Bo."), ("1412", "1413"), ("2015.", "2015, 7.")]
        {
            assert!(reference(&works[0], &text.replacen(from, to, 1), &links).is_some(), "{to}");
        }
        assert!(reference(&works[0], text, &["https://arxiv.org/abs/1412.6981".to_string()]).is_some());
        let other = read_bib(&BIB.replace("{1979}", "{1978}")).records;
        assert_eq!((strangers(&works, &works).len(), strangers(&other, &works).len()), (0, 1));
    }
}
