//! The texts of `prompts/` with their blanks filled in.

/// Standing instructions and question of a template, `{{name}}` replaced by its value. Standing instructions come before the
/// line `---`, the question after it.
pub fn fill_template(text: &str, values: &[(&str, String)]) -> (String, String) {
    let (system, question) = text.split_once("\n---\n").unwrap_or((text, ""));
    let blanks = |text: &str| {
        // In one pass from left to right: what is filled in is never searched for blanks itself.
        let mut out = String::new();
        let mut rest = text;
        while let Some(start) = rest.find("{{") {
            out.push_str(&rest[..start]);
            let after = &rest[start + 2..];
            let Some(end) = after.find("}}") else { break };
            out.push_str(values.iter().find(|(n, _)| *n == &after[..end]).map_or("", |(_, value)| value));
            rest = &after[end + 2..];
        }
        out.push_str(rest);
        out
    };
    (blanks(system).trim().to_string(), blanks(question).trim().to_string())
}
