//! BibTeX as people write it.

use super::super::names::Author;
use super::*;
use proptest::prelude::*;

const FILE: &str = r#"
This file is mine: me@example.org. @nothing here
@comment{ @article{not, title={read}} }
@string{ jmlr = "Journal of Machine Learning Research" }
@STRING(nips = {Advances in {NIPS}})
@preamble{"\newcommand{\x}{y}"}

@Article{kingma2015,
  author  = "Kingma, Diederik P. and Ba, Jimmy",  % the usual two
  title   = {{Adam}: A Method for Stochastic
             Optimization},
  journal = jmlr # { (to appear)},
  year    = 2015, month = jan,
  doi     = {10.5555/ABC.1},
}
@inproceedings(vaswani,
  title = "Attention is {"}All{"} You Need", author = {Vaswani, A. and others}, booktitle = nips, date = {2017-12-04},
  eprint = {1706.03762}, archivePrefix = {arXiv})
"#;

#[test]
fn a_file_with_everything_in_it() {
    let Bibliography { records, faults } = read_bib(FILE);
    assert_eq!(faults, []);
    assert_eq!(records.len(), 2);
    let adam = &records[0];
    assert_eq!(
        (adam.key.as_str(), adam.year, adam.source.clone()),
        ("kingma2015", Some(2015), Source::Bib { line: 8 })
    );
    assert_eq!(adam.title, "Adam: A Method for Stochastic Optimization");
    assert_eq!(adam.authors[0], Author::new("Kingma", "Diederik P."));
    assert_eq!(adam.venue.as_deref(), Some("Journal of Machine Learning Research (to appear)"));
    assert_eq!(adam.doi.as_deref(), Some("10.5555/abc.1"));
    let attention = &records[1];
    assert_eq!((attention.title.as_str(), attention.more_authors), ("Attention is \"All\" You Need", true));
    assert_eq!(attention.venue.as_deref(), Some("Advances in NIPS"));
    assert_eq!(attention.url.as_deref(), Some("https://arxiv.org/abs/1706.03762"));
    assert_eq!(attention.year, Some(2017));
}

#[test]
fn a_fault_costs_its_entry_and_is_named_with_its_line() {
    for (broken, line, words) in [
        ("@article{a,\n title = {never {closed,\n year = 2000\n}\n", 2, "never closed"),
        ("@article{a,\n title = {not closed,\n year = 2000\n}\n", 5, "stands where a field"),
        ("@article{a,\n title {no sign}}\n", 2, "`title` is not followed by `=`"),
        ("@article{a,\n journal = nowhere}\n", 2, "`nowhere` in the field `journal` is no @string"),
        ("@article{,\n title={x}}\n", 1, "no key"),
        ("@article a, title={x}\n", 1, "opening brace"),
        ("@article{a,\n title = ,\n}\n", 2, "no value"),
        ("@article{a,\n title = {x}\n \u{1} }\n", 3, "stands where a field"),
        ("@article{a,\n title = \"x } y\"\n}\n", 2, "closing brace"),
    ] {
        let text = format!("{broken}@misc{{good, title={{Good}}, year=1999}}\n");
        let Bibliography { records, faults } = read_bib(&text);
        assert_eq!(faults.len(), 1, "{broken}: {faults:?}");
        assert!(faults[0].what.contains(words), "{broken}: {faults:?}");
        assert_eq!(faults[0].line, line, "{broken}: {faults:?}");
        assert_eq!(records.last().map(|r| r.title.as_str()), Some("Good"), "{broken}: {records:?}");
    }
    let twice = read_bib("@misc{a, title={x}}\n@misc{a, title={y}}");
    assert_eq!(twice.faults[0], Fault { line: 2, what: "the key `a` is used a second time (first in line 1)".into() });
    assert_eq!(twice.records[1].key, "ab");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_without_a_panic(text in any::<String>()) {
        read_bib(&text);
    }

    #[test]
    fn text_that_looks_like_one_is_read_without_a_panic(text in r#"(@(article|string|comment|x)?[{(]|[a-zé]{1,4}|[=,#"{}()\\%@\n ]|é|and ){0,60}"#) {
        let read = read_bib(&text);
        let lines = text.matches('\n').count() + 1;
        prop_assert!(read.faults.iter().all(|f| (1..=lines).contains(&f.line)), "{:?}", read.faults);
    }

    /// What is written is read again as it was: see `write`.
    #[test]
    fn records_come_back(
        titles in proptest::collection::vec("[A-Za-z\\\\{}\"$%&#_^~@<>=, é-]{1,40}", 1..5), year in 1500i64..2100
    ) {
        let records: Vec<Record> = titles
            .iter()
            .enumerate()
            .map(|(i, t)| Record::new(&format!("k{i}"), t, Source::Bib { line: 1 }).with_year(Some(year))
                .with_authors([Author::new(&format!("{t}x"), "A. B.")], i % 2 == 1))
            .collect();
        let read = read_bib(&super::super::write::to_bib(&records));
        prop_assert_eq!(&read.faults, &vec![]);
        prop_assert_eq!(read.records.len(), records.len());
        for (back, was) in read.records.iter().zip(&records) {
            prop_assert_eq!(&back.title, &was.title);
            prop_assert_eq!(back.year, was.year);
            prop_assert_eq!(back.more_authors, was.more_authors);
            prop_assert_eq!(back.authors.len(), was.authors.len());
            prop_assert_eq!(&back.authors[0].family, &was.authors[0].family);
        }
    }
}
