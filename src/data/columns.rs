//! A look at a table's columns, before anybody has said what they are.

use super::files::{binary, looks_like, read, refuse_utf16};
use crate::problem::{Problem, Result};
use std::collections::BTreeSet;
use std::path::Path;

/// Different values beyond which nobody asks how many there are.
const MANY: usize = 1000;

/// What a column holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnSummary {
    /// Its name in the header.
    pub name: String,
    /// Every value is a number.
    pub numeric: bool,
    /// Different values; counted up to 1000.
    pub distinct: usize,
}

/// What a table holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSummary {
    /// Rows under the header.
    pub rows: usize,
    /// Its columns, in order.
    pub columns: Vec<ColumnSummary>,
}

/// What a CSV table holds (`.gz` is read too). What is wrong in a row is left to the reader of the data.
///
/// # Errors
/// A usage problem where the file is absent, no table, or has no rows.
pub fn table_summary(path: &Path) -> Result<TableSummary> {
    let bytes = read(path)?;
    let shown = path.display().to_string();
    refuse_utf16(&bytes, &shown)?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    if binary(bytes) {
        return Err(Problem::usage(format!("this is not a CSV table: it looks like {}", looks_like(bytes)))
            .at(shown)
            .remedy("give a text file with a header line and comma-separated values"));
    }
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).trim(csv::Trim::All).from_reader(bytes);
    let mut records = reader.byte_records().filter_map(|row| row.ok());
    let header = records.next().unwrap_or_default();
    let text = |cell: &[u8]| String::from_utf8_lossy(cell).into_owned();
    let mut columns: Vec<ColumnSummary> =
        header.iter().map(|name| ColumnSummary { name: text(name), numeric: true, distinct: 0 }).collect();
    let mut values: Vec<BTreeSet<String>> = vec![BTreeSet::new(); columns.len()];
    let mut rows = 0;
    for row in records {
        rows += 1;
        for ((column, seen), cell) in columns.iter_mut().zip(&mut values).zip(row.iter()) {
            let cell = text(cell);
            column.numeric &= cell.parse::<f64>().is_ok();
            if seen.len() < MANY {
                seen.insert(cell);
            }
        }
    }
    columns.iter_mut().zip(&values).for_each(|(column, seen)| column.distinct = seen.len());
    if columns.iter().all(|c| c.distinct == 0) {
        return Err(Problem::usage("the table has no rows").at(shown).remedy("give a header line and rows of values"));
    }
    Ok(TableSummary { rows, columns })
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("t.csv");
        std::fs::write(&file, "x, kind ,y\n1.5,a,0\n2,b,1\n3e1,a,0\n").unwrap();
        let table = table_summary(&file).unwrap();
        assert_eq!(table.rows, 3);
        let told: Vec<_> = table.columns.iter().map(|c| (c.name.as_str(), c.numeric, c.distinct)).collect();
        assert_eq!(told, [("x", true, 3), ("kind", false, 2), ("y", true, 2)]);
        std::fs::write(&file, "x,y\n").unwrap();
        assert!(table_summary(&file).unwrap_err().what.contains("no rows"));
        std::fs::write(&file, b"\xff\xfex\0,\0y\0").unwrap();
        assert!(table_summary(&file).unwrap_err().remedy.unwrap().contains("iconv -f UTF-16 -t UTF-8"));
        std::fs::write(&file, b"\x89PNG\0\0\0").unwrap();
        assert!(table_summary(&file).unwrap_err().what.contains("PNG"));
    }
}
