//! Words for a shell.

use std::path::Path;

/// A path as one word: commands that are printed for somebody to type work as they stand.
pub fn path(path: &Path) -> String {
    word(&path.display().to_string())
}

/// A word that a shell reads as exactly this text.
pub fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=,@%+".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_string()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_a_shell() {
        for (text, word_of_it) in
            [("a/b-c=1.5", "a/b-c=1.5"), ("", "''"), ("{a = \"b\"}", "'{a = \"b\"}'"), ("it's", r"'it'\''s'")]
        {
            assert_eq!(word(text), word_of_it);
        }
        assert_eq!(path(Path::new("my runs/a")), "'my runs/a'");
    }
}
