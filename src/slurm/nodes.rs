//! Node lists: `n[1-2,05],gpu-a-[01-16]`.

/// Most names that one list may stand for: more than the largest machines have, and a bound on what a text can make.
const MOST: usize = 100_000;

/// The names in a list, in its order. `None`: it is not a list that can be read, or it stands for too many.
pub fn expand_nodes(list: &str) -> Option<Vec<String>> {
    let mut names = Vec::new();
    for part in split_outside_brackets(list.trim())? {
        if part.is_empty() {
            return None;
        }
        expand(part, &mut names)?;
    }
    Some(names)
}

fn split_outside_brackets(text: &str) -> Option<Vec<&str>> {
    let (mut parts, mut start, mut inside) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        match c {
            '[' if inside => return None,
            '[' => inside = true,
            ']' if !inside => return None,
            ']' => inside = false,
            ',' if !inside => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            c if c.is_whitespace() || c == '(' || c == ')' => return None,
            _ => {}
        }
    }
    parts.push(&text[start..]);
    (!inside).then_some(parts)
}

/// One name with any number of bracketed ranges.
fn expand(text: &str, names: &mut Vec<String>) -> Option<()> {
    let mut found = vec![String::new()];
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('[') {
        let (inside, after) = after.split_once(']')?;
        let mut numbers = Vec::new();
        for range in inside.split(',') {
            let (low, high) = range.split_once('-').unwrap_or((range, range));
            let digits = |t: &str| !t.is_empty() && t.len() <= 9 && t.bytes().all(|b| b.is_ascii_digit());
            if !digits(low) || !digits(high) {
                return None;
            }
            let (first, last): (usize, usize) = (low.parse().ok()?, high.parse().ok()?);
            if last < first || last - first >= MOST || numbers.len() + (last - first) >= MOST {
                return None;
            }
            numbers.extend((first..=last).map(|n| format!("{n:0width$}", width = low.len())));
        }
        if found.len().checked_mul(numbers.len())? > MOST {
            return None;
        }
        found = found.iter().flat_map(|f| numbers.iter().map(move |n| format!("{f}{before}{n}"))).collect();
        rest = after;
    }
    names.extend(found.into_iter().map(|f| f + rest));
    (names.len() <= MOST).then_some(())
}

/// A list for `--exclude`: the names with commas, each once, in order. Names with anything but letters, digits, `-`, `_`
/// and `.` are left out: they come from other programs and end up in a script.
pub fn compress_nodes(names: &[String]) -> String {
    let legal = |n: &&String| !n.is_empty() && n.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    let mut sorted: Vec<&str> = names.iter().filter(legal).map(String::as_str).collect();
    sorted.sort_unstable();
    sorted.dedup();
    sorted.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_expanded() {
        let read = |t: &str| expand_nodes(t).map(|n| n.join(" "));
        assert_eq!(read("n1").as_deref(), Some("n1"));
        assert_eq!(read("n[1-2]").as_deref(), Some("n1 n2"));
        assert_eq!(read("n[08-10,12],m3").as_deref(), Some("n08 n09 n10 n12 m3"));
        assert_eq!(read("r[1-2]n[1-2]x").as_deref(), Some("r1n1x r1n2x r2n1x r2n2x"));
        for text in ["", "n[", "n]", "n[1-", "n[2-1]", "n[a]", "n1,,n2", "None assigned", "(null)", "n[1-999999999]"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_excluded_is_plain() {
        assert_eq!(compress_nodes(&["n2".into(), "n1".into(), "n2".into(), "x y; rm".into()]), "n1,n2");
    }
}
