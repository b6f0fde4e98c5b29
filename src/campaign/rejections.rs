//! Proposals that could not be run, many of which say the same: counted by reason.
//!
//! Boundary: text from a state; decides nothing.

use super::state::{Standing, State};
use serde::Serialize;

/// Reasons that are told in a sentence.
const TOLD: usize = 2;

/// Proposals that were rejected for the same reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rejections {
    /// How many.
    pub count: usize,
    /// The reason of the first of them, in the validator's words; the others' differ in numbers only.
    pub reason: String,
}

/// What two reasons have in common that say the same of different values: the first line, its numbers left out.
pub fn kind_of(reason: &str) -> String {
    let mut kind = String::new();
    let mut number = false;
    for c in reason.lines().next().unwrap_or_default().chars() {
        match (c.is_ascii_digit() || (number && c == '.'), number) {
            (true, false) => {
                kind.push('#');
                number = true;
            }
            (true, true) => {}
            (false, _) => {
                kind.push(c);
                number = false;
            }
        }
    }
    kind
}

/// Rejected proposals by reason, the most frequent first.
pub fn rejections(state: &State) -> Vec<Rejections> {
    let mut found: Vec<(String, Rejections)> = Vec::new();
    for candidate in &state.candidates {
        let Standing::Rejected { reason } = &candidate.standing else { continue };
        let kind = kind_of(reason);
        match found.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, there)) => there.count += 1,
            None => {
                let reason = reason.lines().next().unwrap_or_default().to_string();
                found.push((kind, Rejections { count: 1, reason }));
            }
        }
    }
    let mut found: Vec<Rejections> = found.into_iter().map(|(_, rejections)| rejections).collect();
    found.sort_by_key(|r| std::cmp::Reverse(r.count));
    found
}

/// `100 proposals were rejected, all like the first: ...`, or the most frequent reasons with their numbers; empty where none was.
pub fn words(rejections: &[Rejections]) -> String {
    let total: usize = rejections.iter().map(|r| r.count).sum();
    match rejections {
        [] => String::new(),
        [only] if total == 1 => format!("1 proposal was rejected: {}", only.reason),
        [only] => format!("{total} proposals were rejected, all like the first: {}", only.reason),
        several => {
            let parts: Vec<String> =
                several.iter().take(TOLD).map(|r| format!("{} like \"{}\"", r.count, r.reason)).collect();
            let rest: usize = several.iter().skip(TOLD).map(|r| r.count).sum();
            let rest = if rest > 0 { format!(", {rest} for other reasons") } else { String::new() };
            format!("{total} proposals were rejected: {}{rest}", parts.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_that_differ_in_numbers_are_one() {
        let kind = kind_of("batch size 4096 is not between 1 and the 1438 training samples\n  choose");
        assert_eq!(kind, "batch size # is not between # and the # training samples");
        assert_eq!(kind, kind_of("batch size 2.5 is not between 1 and the 9 training samples"));
        assert_ne!(kind, kind_of("the kernel is larger than the image"));
    }

    #[test]
    fn many_are_told_in_one_sentence() {
        let of = |count, reason: &str| Rejections { count, reason: reason.to_string() };
        assert_eq!(words(&[]), "");
        assert_eq!(words(&[of(1, "it is too large")]), "1 proposal was rejected: it is too large");
        assert_eq!(
            words(&[of(9, "it is too large")]),
            "9 proposals were rejected, all like the first: it is too large"
        );
        assert_eq!(
            words(&[of(97, "batch size 4096 is too large"), of(2, "b"), of(1, "c")]),
            "100 proposals were rejected: 97 like \"batch size 4096 is too large\", 2 like \"b\", 1 for other reasons"
        );
    }
}
