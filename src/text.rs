//! Characters of text that strangers wrote: catalogues, language models, logs.

/// Characters that change how a line looks, or say something to a program, without being seen by a person: zero width, direction,
/// tags, private use; and the two separators that some programs take for the end of a line.
pub fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..='\u{10ffff}')
}

/// A character that must not be in a paragraph: control characters but for line breaks and tabs, and what is invisible.
pub fn hidden(text: &str) -> Option<char> {
    text.chars().find(|c| (c.is_control() && !matches!(c, '\n' | '\t')) || is_invisible(*c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_found_and_letters_of_any_script_are_not() {
        for c in ['\u{1b}', '\u{202e}', '\u{2028}', '\u{200b}', '\u{feff}', '\u{e0041}', '\0'] {
            assert_eq!(hidden(&format!("a{c}b")), Some(c), "{c:?}");
        }
        assert_eq!(hidden("Größe 大きさ размер حجم, 😀\n\tnext line"), None);
    }
}
