//! Whether a citation is a record's: its title, its authors and its year, all three, or it does not enter.

use super::fold::{fold, numbers, squash};
use super::names::Author;
use super::record::{AUTHORS, Record};

/// Least similarity of two titles (1 minus edit distance over length, without case, accents, punctuation and spaces): a slip
/// of the pen in a title of twenty letters passes, another word does not.
const NEAR: f64 = 0.95;
/// From here on a title is worth showing as the nearest one.
const WORTH_SHOWING: f64 = 0.6;

/// Why a citation is dropped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It does not say what it would be checked by.
    #[error("it has no {0}")]
    Incomplete(&'static str),
    /// No record has its title.
    #[error("no record has this title{}", nearest.as_ref().map(|t| format!("; the nearest is \"{t}\"")).unwrap_or_default())]
    Unknown {
        /// The nearest title, where one is near at all.
        nearest: Option<String>,
    },
    /// The record of that title has other authors.
    #[error("the record of this title has other authors: {theirs}, not {cited}")]
    Authors {
        /// The first that differs, as cited.
        cited: String,
        /// What the record has in its place.
        theirs: String,
    },
    /// It leaves authors out without saying so.
    #[error("it names {cited} of {theirs} authors and does not say \"and others\"")]
    Fewer {
        /// Authors it names.
        cited: usize,
        /// Authors there are.
        theirs: usize,
    },
    /// The record is of another year.
    #[error("the record of this title is of {}, not {cited}", theirs.map_or("no known year".to_string(), |y| y.to_string()))]
    Year {
        /// As cited.
        cited: i32,
        /// As recorded.
        theirs: Option<i32>,
    },
}

/// The record that a citation is of. Compared without case, punctuation and accents; titles may differ by a slip of the pen
/// but in no number; family names must be equal in their order, and initials where both say them; years must be equal.
///
/// # Errors
/// Why it is no record's: of several records with its title, what the best of them says.
pub fn check<'r>(cited: &Record, records: &'r [Record]) -> Result<&'r Record, Refusal> {
    if squash(&cited.title).is_empty() {
        return Err(Refusal::Incomplete("title"));
    }
    if cited.authors.is_empty() {
        return Err(Refusal::Incomplete("author"));
    }
    let Some(year) = cited.year else { return Err(Refusal::Incomplete("year")) };
    let mut titled: Vec<(f64, &Record)> = records.iter().map(|r| (likeness(&cited.title, &r.title), r)).collect();
    titled.sort_by(|a, b| b.0.total_cmp(&a.0));
    let nearest = titled.first().filter(|(s, _)| *s >= WORTH_SHOWING).map(|(_, r)| r.title.clone());
    let mut refusal = None;
    for (_, record) in titled.into_iter().filter(|(s, r)| *s >= NEAR && numbers(&r.title) == numbers(&cited.title)) {
        let found = authors(cited, record).and_then(|()| {
            let theirs = record.year;
            if theirs == Some(year) { Ok(record) } else { Err(Refusal::Year { cited: year, theirs }) }
        });
        match (found, &refusal) {
            (Ok(record), _) => return Ok(record),
            // A wrong year says more than other authors: it is the same work at least.
            (Err(why @ Refusal::Year { .. }), Some(Refusal::Authors { .. } | Refusal::Fewer { .. })) => {
                refusal = Some(why)
            }
            (Err(why), None) => refusal = Some(why),
            _ => {}
        }
    }
    Err(refusal.unwrap_or(Refusal::Unknown { nearest }))
}

fn likeness(a: &str, b: &str) -> f64 {
    let (a, b) = (squash(a), squash(b));
    if a.is_empty() || b.is_empty() { 0.0 } else { strsim::normalized_levenshtein(&a, &b) }
}

fn authors(cited: &Record, record: &Record) -> Result<(), Refusal> {
    for (i, ours) in cited.authors.iter().enumerate() {
        let theirs = record.authors.get(i);
        if !theirs.is_some_and(|theirs| same(ours, theirs)) {
            // Beyond what a catalogue lists nothing can be compared.
            if theirs.is_none() && record.more_authors && i >= AUTHORS {
                break;
            }
            let theirs = theirs.map_or("nobody".to_string(), Author::to_string);
            return Err(Refusal::Authors { cited: ours.to_string(), theirs });
        }
    }
    let (n, all) = (cited.authors.len(), record.authors.len());
    if n < all && !cited.more_authors { Err(Refusal::Fewer { cited: n, theirs: all }) } else { Ok(()) }
}

/// Whether two names are one author's.
fn same(a: &Author, b: &Author) -> bool {
    let families = |a: &Author, b: &Author| squash(&a.family) == squash(&b.family);
    if families(a, b) {
        return initials(a, b);
    }
    // Where the one took a particle or a second family name for a given name, the names as a whole are the same.
    let whole = |a: &Author| {
        let mut words: Vec<String> =
            fold(&format!("{} {}", a.given, a.family)).split(' ').map(str::to_string).collect();
        words.sort_unstable();
        words
    };
    // Not from an initial alone: `Chen, W.` is not `W. Chen, Li`.
    let full = |a: &Author| fold(&a.given).split(' ').any(|w| w.chars().count() > 1);
    (full(a) && full(b) && whole(a) == whole(b)) || ends(a, b) || ends(b, a)
}

/// Whether the family name of `long` is that of `short` behind a particle or another family name, and the initials agree:
/// `Oord, Aäron van den` and `van den Oord, Aäron`.
fn ends(long: &Author, short: &Author) -> bool {
    let (l, s) = (fold(&long.family), fold(&short.family));
    !s.is_empty() && l.ends_with(&format!(" {s}")) && initials(long, short)
}

/// Whether the first initials agree, where both are known.
fn initials(a: &Author, b: &Author) -> bool {
    let first = |a: &Author| fold(&a.given).chars().next();
    match (first(a), first(b)) {
        (Some(x), Some(y)) => x == y,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::Source;
    use super::*;

    pub fn work(title: &str, authors: &str, year: i64) -> Record {
        let (authors, more) = super::super::names::from_bibtex(authors);
        Record::new("k", title, Source::Bib { line: 1 }).with_authors(authors, more).with_year(Some(year))
    }

    fn shelf() -> Vec<Record> {
        vec![
            work("Adam: A Method for Stochastic Optimization", "Diederik P. Kingma and Jimmy Ba", 2014),
            work("Adam: A Method for Stochastic Optimization", "Diederik P. Kingma and Jimmy Ba", 2015),
            work("Attention Is All You Need", "Ashish Vaswani and Noam Shazeer and Niki Parmar", 2017),
            work("Language models of version 2", "Alec Radford", 2019),
            work("Über die Größe der Netze", "Aäron van den Oord and Łukasz Kaiser and {\\'E}mile Borel", 2016),
        ]
    }

    #[test]
    fn a_citation_that_matches_enters_however_it_is_written() {
        let shelf = shelf();
        for cited in [
            work("{ADAM}: a method for stochastic optimisation", "Kingma, D. P. and Ba, J.", 2015),
            work("Attention is all you need", "Vaswani, Ashish and others", 2017),
            work("Attention is all you need.", "A. Vaswani and N. Shazeer and N. Parmar", 2017),
            work("Uber die Grosse der Netze", "van den Oord, A. and Kaiser, Lukasz and Borel, Emile", 2016),
            work("Uber die Große der Netze", "Oord, A. and Kaiser, L. and Borel, E.", 2016),
        ] {
            let cited = Record { title: super::super::latex::decode(&cited.title), ..cited };
            assert_eq!(check(&cited, &shelf).map(|r| r.year), Ok(cited.year), "{cited:?}");
        }
    }

    #[test]
    fn everything_else_is_dropped_with_its_reason() {
        let shelf = shelf();
        for (cited, words) in [
            (
                work("Adam: A Method for Stochastic Optimization", "Kingma, D. P. and Ba, J.", 2016),
                "is of 2014, not 2016",
            ),
            (
                work("Adam: A Method for Stochastic Optimization", "Kingma, D. P. and Bach, J.", 2015),
                "Jimmy Ba, not J. Bach",
            ),
            (
                work("Adam: A Method for Stochastic Optimization", "Kingma, E. and Ba, J.", 2015),
                "Diederik P. Kingma, not E. Kingma",
            ),
            (work("Attention is all you need", "Vaswani, A. and Shazeer, N.", 2017), "2 of 3 authors"),
            (
                work("Attention is all you need", "Vaswani, A. and Shazeer, N. and Parmar, N. and Gomez, A.", 2017),
                "nobody",
            ),
            (
                work("Attention is not all you need", "Ashish Vaswani and others", 2017),
                "the nearest is \"Attention Is All",
            ),
            (work("Language models of version 3", "Alec Radford", 2019), "the nearest is"),
            (work("A study that nobody ever wrote", "Alec Radford", 2019), "no record has this title"),
            (work("", "Alec Radford", 2019), "no title"),
            (work("Attention is all you need", "", 2017), "no author"),
            (work("Attention is all you need", "Vaswani, Ashish and others", 0), "no year"),
        ] {
            let why = check(&cited, &shelf).expect_err(&cited.title).to_string();
            assert!(why.contains(words), "{}: {why}", cited.title);
        }
        assert!(check(&work("t", "a b", 2000), &[]).is_err());
    }
}
