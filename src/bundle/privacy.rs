//! What may not leave this machine, and what only names it.

use std::collections::BTreeMap;

/// What of this machine is looked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Marks {
    /// Values of environment variables that are keys by their names.
    pub secrets: Vec<String>,
    /// Paths and names of this machine, each with what it is in words.
    pub names: Vec<(String, &'static str)>,
}

/// Shorter values are found everywhere by chance.
const SHORTEST: usize = 8;

impl Marks {
    /// A kind of secret in a file's bytes, where there is one: a key from the environment, or what looks like somebody's key.
    pub fn secret(&self, bytes: &[u8]) -> Option<&'static str> {
        if self.secrets.iter().any(|s| s.len() >= SHORTEST && holds(bytes, s.as_bytes())) {
            return Some("the value of a variable of this environment that is a key by its name");
        }
        let text = String::from_utf8_lossy(bytes);
        looks_like_a_key(&text)
    }

    /// What names this machine in a file's bytes, and how often.
    pub fn named(&self, bytes: &[u8]) -> BTreeMap<&'static str, usize> {
        let mut found = BTreeMap::new();
        for (name, what) in self.names.iter().filter(|(name, _)| !name.is_empty()) {
            let n = count(bytes, name.as_bytes());
            if n > 0 {
                *found.entry(*what).or_insert(0) += n;
            }
        }
        found
    }
}

fn holds(bytes: &[u8], wanted: &[u8]) -> bool {
    count(bytes, wanted) > 0
}

fn count(bytes: &[u8], wanted: &[u8]) -> usize {
    bytes.windows(wanted.len().max(1)).filter(|w| *w == wanted).count()
}

/// Keys of services by the forms in which they are handed out.
fn looks_like_a_key(text: &str) -> Option<&'static str> {
    const FORMS: [(&str, usize, &str); 8] = [
        ("sk-", 20, "what looks like a language model's key (sk-...)"),
        ("ghp_", 30, "what looks like a GitHub token (ghp_...)"),
        ("github_pat_", 30, "what looks like a GitHub token (github_pat_...)"),
        ("hf_", 30, "what looks like a Hugging Face token (hf_...)"),
        ("xoxb-", 20, "what looks like a Slack token (xoxb-...)"),
        ("AKIA", 16, "what looks like an AWS key (AKIA...)"),
        ("Bearer ", 20, "what looks like a bearer token"),
        ("-----BEGIN ", 0, ""),
    ];
    if text.contains("-----BEGIN ") && text.contains("PRIVATE KEY-----") {
        return Some("a private key");
    }
    FORMS.iter().filter(|(_, least, _)| *least > 0).find_map(|(prefix, least, what)| {
        text.match_indices(prefix).find_map(|(at, _)| {
            // Inside a longer word it is none: `task-...`.
            let before = text[..at].chars().next_back();
            let tail =
                text[at + prefix.len()..].chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
            let (length, digits) = tail.fold((0, 0), |(n, d), c| (n + 1, d + usize::from(c.is_ascii_digit())));
            let fits = length >= *least && digits > 0 && !before.is_some_and(char::is_alphanumeric);
            fits.then_some(*what)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_and_words_are_not() {
        let marks = Marks {
            secrets: vec!["correct-horse-battery".into(), "short".into()],
            names: vec![("/home/ada".into(), "the home folder"), ("".into(), "nothing")],
        };
        for text in [
            "x correct-horse-battery y",
            "\"sk-proj-abcdefghij0123456789\"",
            "Authorization: Bearer abcdefghijklmnop01234567",
            "-----BEGIN OPENSSH PRIVATE KEY-----",
            "AKIAABCDEFGHIJ234567",
        ] {
            assert!(marks.secret(text.as_bytes()).is_some(), "{text}");
        }
        for text in [
            "a short word",
            "task-abcdefghijklmnopqrstuvwx",
            "sk-learn is a library",
            "sk-abcdefghijklmnopqrstuvwxyz",
            "",
        ] {
            assert_eq!(marks.secret(text.as_bytes()), None, "{text}");
        }
        let named = marks.named(b"/home/ada/x and /home/ada/y");
        assert_eq!(named.into_iter().collect::<Vec<_>>(), [("the home folder", 2)]);
    }
}
