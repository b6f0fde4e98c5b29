//! CSV tables: numeric features and one target column, checked cell by cell.

use super::files::{binary, looks_like, nearest, refuse_utf16, shown};
use crate::config::{CsvData, TableTask};
use crate::problem::{Problem, Result};
use std::collections::BTreeSet;

/// A table as it was read, before it is split and standardised.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Table {
    /// Number of feature columns.
    pub width: usize,
    /// `[rows, width]`.
    pub features: Vec<f64>,
    /// The target column.
    pub target: Target,
}

/// The target column.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Target {
    /// Class of each row, and the classes' names in order.
    Classes(Vec<u32>, Vec<String>),
    /// Number of each row.
    Numbers(Vec<f64>),
}

/// Reads a table; `place` is the path that problems name.
pub(super) fn parse(bytes: &[u8], spec: &CsvData, place: &str) -> Result<Table> {
    refuse_utf16(bytes, place)?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if binary(bytes) || bytes.starts_with(b"%PDF") || bytes.starts_with(b"version https://git-lfs") {
        return Err(Problem::usage(format!("this is not a CSV table: it looks like {}", looks_like(bytes)))
            .at(place)
            .remedy("give a text file with a header line and comma-separated values (.gz is read too)"));
    }
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).trim(csv::Trim::All).from_reader(bytes);
    let source = Source { bytes, place };
    let mut record = csv::ByteRecord::new();
    let mut next = |record: &mut csv::ByteRecord| {
        reader.read_byte_record(record).map_err(|e| {
            Problem::usage(format!("cannot read the table: {e}")).at(place).remedy("check the quoting of the values")
        })
    };
    if !next(&mut record)? {
        return Err(Problem::usage("the table is empty").at(place).remedy("give a header line and rows"));
    }
    let columns = Columns::choose(&record, spec, &source)?;
    let mut features = Vec::new();
    let mut labels = Vec::new();
    let mut numbers = Vec::new();
    let mut rows = 0usize;
    while next(&mut record)? {
        rows += 1;
        if record.len() != columns.names.len() {
            return Err(source
                .at_row(&record, format!("{} values, but the header has {}", record.len(), columns.names.len()))
                .remedy("give every row one value for each column; quote values that contain commas"));
        }
        for &c in &columns.features {
            features.push(columns.number(&record, c, &source, "feature")?);
        }
        match spec.task {
            TableTask::Regression => numbers.push(columns.number(&record, columns.target, &source, "target")?),
            TableTask::Classification => labels.push(columns.label(&record, &source)?),
        }
    }
    if rows == 0 {
        return Err(Problem::usage("the table has a header and no rows").at(place).remedy("give rows of values"));
    }
    let target = match spec.task {
        TableTask::Regression => Target::Numbers(numbers),
        TableTask::Classification => classes(labels, spec, place)?,
    };
    Ok(Table { width: columns.features.len(), features, target })
}

/// Turns names into classes, sorted by name.
fn classes(labels: Vec<String>, spec: &CsvData, place: &str) -> Result<Target> {
    let names: Vec<String> = labels.iter().collect::<BTreeSet<_>>().into_iter().cloned().collect();
    if names.len() < 2 {
        return Err(Problem::usage(format!("every row has the class {}: nothing to tell apart", shown(&names[0])))
            .at(place)
            .remedy(format!("give rows of at least two classes in column {}", shown(&spec.target))));
    }
    if names.len() == labels.len() && labels.len() > 2 {
        return Err(Problem::usage(format!(
            "column {} has another value in each of the {} rows: these are not classes",
            shown(&spec.target),
            labels.len()
        ))
        .at(place)
        .remedy("for a number to predict say data.task = \"regression\", or name the column that holds the class"));
    }
    // The names are sorted and hold every label.
    let ids = labels.iter().map(|l| names.partition_point(|n| n < l) as u32).collect();
    Ok(Target::Classes(ids, names))
}

/// The file, for messages with lines.
struct Source<'a> {
    bytes: &'a [u8],
    place: &'a str,
}

impl Source<'_> {
    /// A problem with a row, at `path:line`.
    fn at_row(&self, record: &csv::ByteRecord, what: String) -> Problem {
        // The position is where the reader was before the row: blank lines may lie between.
        let start = record.position().map_or(0, |p| p.byte() as usize).min(self.bytes.len());
        let blank = self.bytes[start..].iter().take_while(|b| matches!(b, b'\n' | b'\r')).count();
        let line = self.bytes[..start + blank].iter().filter(|&&b| b == b'\n').count() + 1;
        Problem::usage(what).at(format!("{}:{line}", self.place))
    }
}

/// Which columns are what.
struct Columns {
    names: Vec<String>,
    features: Vec<usize>,
    target: usize,
}

impl Columns {
    fn choose(header: &csv::ByteRecord, spec: &CsvData, source: &Source) -> Result<Columns> {
        let names: Vec<String> = header.iter().map(|n| String::from_utf8_lossy(n).into_owned()).collect();
        let find = |name: &str, key: &str| {
            names.iter().position(|n| n == name).ok_or_else(|| missing_column(&names, name, key, source.place))
        };
        let target = find(&spec.target, "data.target")?;
        let mut ignored = BTreeSet::new();
        for name in &spec.ignore {
            let c = find(name, "data.ignore")?;
            if c == target {
                return Err(Problem::usage(format!("the target column {} is also ignored", shown(name)))
                    .at("data.ignore")
                    .remedy("take it out of data.ignore, or name another target"));
            }
            ignored.insert(c);
        }
        for (c, name) in names.iter().enumerate() {
            if let Some(first) = names[..c].iter().position(|n| n == name) {
                let what = format!("columns {} and {} are both named {}", first + 1, c + 1, shown(name));
                return Err(source.at_row(header, what).remedy("give every column a name of its own"));
            }
            if name.is_empty() && !ignored.contains(&c) {
                // An unnamed column is nearly always a row number that a data frame left behind: it would leak the order.
                return Err(source
                    .at_row(header, format!("column {} has no name", c + 1))
                    .remedy("name it, or leave it out with data.ignore = [\"\"] if it numbers the rows"));
            }
        }
        let features: Vec<usize> = (0..names.len()).filter(|c| *c != target && !ignored.contains(c)).collect();
        if features.is_empty() {
            return Err(source
                .at_row(header, format!("no feature column is left beside the target {}", shown(&spec.target)))
                .remedy("give at least one more column, or ignore fewer"));
        }
        Ok(Columns { names, features, target })
    }

    /// A cell as text; not UTF-8 or without a value is refused.
    fn cell<'r>(&self, record: &'r csv::ByteRecord, c: usize, source: &Source) -> Result<&'r str> {
        let column = || format!("column {} ({})", c + 1, shown(&self.names[c]));
        let cell = std::str::from_utf8(record.get(c).unwrap_or_default()).map_err(|_| {
            source
                .at_row(record, format!("{} is not UTF-8 text", column()))
                .remedy("convert the file to UTF-8, or leave the column out with data.ignore")
        })?;
        let missing = ["", "?", "na", "n/a", "nan", "-nan", "null", "none"];
        if missing.contains(&cell.to_ascii_lowercase().as_str()) {
            return Err(source
                .at_row(record, format!("{} has no value ({})", column(), shown(cell)))
                .remedy("fill the value in, remove the row, or leave the column out with data.ignore"));
        }
        Ok(cell)
    }

    fn number(&self, record: &csv::ByteRecord, c: usize, source: &Source, role: &str) -> Result<f64> {
        let cell = self.cell(record, c, source)?;
        let column = || format!("column {} ({})", c + 1, shown(&self.names[c]));
        let remedy = if role == "feature" {
            "encode it as numbers, or leave the column out with data.ignore"
        } else {
            "a target that names a class wants data.task = \"classification\""
        };
        let value: f64 = cell.parse().map_err(|_| {
            source.at_row(record, format!("{}: {} is not a number", column(), shown(cell))).remedy(remedy)
        })?;
        // Half the exponent range, so that sums of squares stay finite.
        if !value.is_finite() || value.abs() > 1e150 {
            return Err(source
                .at_row(record, format!("{}: {} is not a finite number of usable size", column(), shown(cell)))
                .remedy("correct the value or remove the row"));
        }
        Ok(value)
    }

    fn label(&self, record: &csv::ByteRecord, source: &Source) -> Result<String> {
        self.cell(record, self.target, source).map(str::to_string)
    }
}

fn missing_column(names: &[String], wanted: &str, key: &str, place: &str) -> Problem {
    let hint = nearest(wanted, names.iter().map(String::as_str))
        .map_or(String::new(), |n| format!("did you mean {}? ", shown(n)));
    let listed: Vec<String> = names.iter().take(12).map(|n| shown(n)).collect();
    let more = if names.len() > 12 { format!(" and {} more", names.len() - 12) } else { String::new() };
    let separator = match names {
        [one] if one.contains(';') => " (only commas separate values here; this file seems to use semicolons)",
        [one] if one.contains('\t') => " (only commas separate values here; this file seems to use tabs)",
        _ if names.iter().all(|n| n.parse::<f64>().is_ok()) => " (the first line looks like data, not like a header)",
        _ => "",
    };
    Problem::usage(format!("{key} names {}, which is no column of the table", shown(wanted)))
        .at(place)
        .remedy(format!("{hint}the columns are {}{more}{separator}", listed.join(", ")))
}

/// Mean and standard deviation (population) of chosen rows of one column; the deviation is 1 where all are equal, so that
/// a constant column becomes zeros.
pub(super) fn moments(values: &[f64], width: usize, column: usize, rows: &[u32]) -> (f64, f64) {
    let at = |r: &u32| values[*r as usize * width + column];
    let count = rows.len() as f64;
    let mean = rows.iter().map(|r| at(r) / count).sum::<f64>();
    let first = rows.first().map_or(0.0, at);
    if rows.iter().all(|r| at(r) == first) {
        return (first, 1.0);
    }
    let variance = rows.iter().map(|r| (at(r) - mean).powi(2) / count).sum::<f64>();
    // Values that differ by less than f64 resolves against their size could underflow to zero.
    (mean, if variance > 0.0 { variance.sqrt() } else { 1.0 })
}
