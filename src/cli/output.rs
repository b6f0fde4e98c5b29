//! How commands speak: data on stdout as a table or JSON, everything else on stderr.

use crate::problem::Problem;
use crate::sys;
pub use crate::units::{duration, significant};
use clap::ValueEnum;
use serde::Serialize;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// One JSON document, for programs.
    Json,
}

/// Where a column's text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A plain-text table: a header, rows, columns two spaces apart.
#[derive(Debug, Clone, Default)]
pub struct Table {
    header: Vec<(String, Option<Align>)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with the given column titles; `>` in front of a title aligns the column to the right.
    pub fn new(titles: &[&str]) -> Self {
        let header = titles
            .iter()
            .map(|t| match t.strip_prefix('>') {
                Some(rest) => (rest.to_string(), Some(Align::Right)),
                None => ((*t).to_string(), Some(Align::Left)),
            })
            .collect();
        Table { header, rows: Vec::new() }
    }

    /// Adds a row; missing cells are empty.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The table as text, without trailing spaces.
    pub fn render(&self) -> String {
        let columns = self.header.len();
        let width = |text: &str| text.chars().count();
        let mut widths: Vec<usize> = self.header.iter().map(|(t, _)| width(t)).collect();
        for row in &self.rows {
            for (w, cell) in widths.iter_mut().zip(row) {
                *w = (*w).max(width(cell));
            }
        }
        let line = |cells: &[String]| {
            let mut text = String::new();
            for (i, w) in widths.iter().enumerate() {
                let cell = cells.get(i).map_or("", String::as_str);
                let gap = " ".repeat(w - width(cell).min(*w));
                let right = self.header[i].1 == Some(Align::Right);
                text += &if right { format!("{gap}{cell}") } else { format!("{cell}{gap}") };
                if i + 1 < columns {
                    text += "  ";
                }
            }
            format!("{}\n", text.trim_end())
        };
        let titles: Vec<String> = self.header.iter().map(|(t, _)| t.clone()).collect();
        let mut text = line(&titles);
        for row in &self.rows {
            text += &line(row);
        }
        text
    }
}

/// Whether stdout took less than was printed.
static CUT_SHORT: AtomicBool = AtomicBool::new(false);

/// Prints to stdout; a closed pipe (`| head`) ends the output quietly, anything else is said once and remembered.
pub fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe && !CUT_SHORT.swap(true, Ordering::Relaxed) => {
            let problem = Problem::io("write all of the output", Path::new("stdout"), &error);
            say(&format!("error: {}", problem.remedy("make room there, or send the output elsewhere, and try again")));
        }
        _ => {}
    }
}

/// Whether something that was printed is missing from stdout: then a command that went well has failed all the same.
pub fn cut_short() -> bool {
    CUT_SHORT.load(Ordering::Relaxed)
}

/// Prints a value as pretty JSON.
pub fn print_json(value: &impl Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => print(&format!("{text}\n")),
        Err(error) => say(&format!("cannot be written as JSON: {error}")),
    }
}

/// Says something to the person, on stderr.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Bold where stdout is a terminal that wants it.
pub fn bold(text: &str) -> String {
    if sys::env::stdout_colour() { format!("\x1b[1m{text}\x1b[0m") } else { text.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_aligns_and_trims() {
        let mut table = Table::new(&["name", ">n"]);
        table.row(vec!["a".into(), "10".into()]);
        table.row(vec!["longer".into(), "2".into()]);
        assert_eq!(table.render(), "name     n\na       10\nlonger   2\n");
    }
}
