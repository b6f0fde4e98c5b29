//! A command's answer of one row a line.

/// Rows that could be read, and lines that could not.
#[derive(Debug, Clone, PartialEq)]
pub struct Listing<T> {
    /// What was understood.
    pub rows: Vec<T>,
    /// Lines that were not, as they stand. A last line without its end is among them even where it reads well: a number
    /// cut short is a number too.
    pub damaged: Vec<String>,
}

impl<T> Listing<T> {
    /// Whether every line was understood. Only then does it mean anything that something is not listed.
    pub fn whole(&self) -> bool {
        self.damaged.is_empty()
    }

    /// Reads each line with `read`.
    pub(super) fn read(text: &str, read: impl Fn(&str) -> Option<T>) -> Self {
        let mut listing = Listing { rows: Vec::new(), damaged: Vec::new() };
        for line in text.split_inclusive('\n') {
            let ended = line.ends_with('\n');
            let line = line.trim_end_matches(['\n', '\r']);
            if line.trim().is_empty() && ended {
                continue;
            }
            match read(line).filter(|_| ended) {
                Some(row) => listing.rows.push(row),
                None => listing.damaged.push(line.to_string()),
            }
        }
        listing
    }
}

/// A field's text, unless it is one of the words for nothing.
pub(super) fn something(text: &str) -> Option<String> {
    let text = text.trim();
    let nothing = ["", "(null)", "N/A", "n/a", "None", "none", "Unknown", "NONE", "None assigned"];
    (!nothing.contains(&text)).then(|| text.to_string())
}
