//! From an answer's text to a checked value.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Bytes of an answer that are looked at; a longer one is refused as it stands.
pub(super) const LONGEST: usize = 1 << 20;

/// The form of an answer. Types refuse unknown fields, so that a model's fancies do not go unnoticed.
pub trait Answer: DeserializeOwned + JsonSchema {
    /// Name of the form: letters, digits and `_`.
    const NAME: &'static str;
}

/// The JSON Schema that a model is shown.
pub fn schema_of<T: Answer>() -> Value {
    let mut schema = schemars::schema_for!(T).to_value();
    if let Some(entries) = schema.as_object_mut() {
        entries.remove("$schema");
        entries.remove("title");
    }
    schema
}

/// Reads the one JSON object in `text` as a `T` and has it checked; the validator's message otherwise, made to be sent
/// back to the model.
pub(super) fn read<T: Answer>(text: &str, check: &dyn Fn(&T) -> Result<(), String>) -> Result<T, String> {
    if text.len() > LONGEST {
        return Err(format!("the answer has {} bytes; the limit is {LONGEST}", text.len()));
    }
    let json = object(text)?;
    let mut reader = serde_json::Deserializer::from_str(json);
    let value: T = serde_path_to_error::deserialize(&mut reader).map_err(|e| match e.path().to_string().as_str() {
        "." => e.inner().to_string(),
        path => format!("at `{path}`: {}", e.inner()),
    })?;
    check(&value)?;
    Ok(value)
}

/// What stands after a model's thinking, which local servers leave in the answer; some without the mark that begins it. A mark
/// inside the answer itself has no object behind it.
fn after_thinking(text: &str) -> &str {
    text.rsplit_once("</think>").map_or(text, |(_, rest)| if rest.contains('{') { rest } else { text })
}

/// The JSON object in a text: the whole text, or what stands between a first `{` and its end where a model wrapped it
/// in words or a code fence. Two objects are one too many: which is meant is not for us to guess.
fn object(text: &str) -> Result<&str, String> {
    let text = after_thinking(text);
    let start = text.find('{').ok_or("the answer holds no JSON object")?;
    let mut stream = serde_json::Deserializer::from_str(&text[start..]).into_iter::<serde::de::IgnoredAny>();
    match stream.next() {
        Some(Ok(_)) => {}
        Some(Err(e)) if e.is_eof() => {
            return Err(format!("the JSON object ends too early, after {} bytes", text.len()));
        }
        Some(Err(e)) => return Err(format!("the answer is not JSON: {e}")),
        None => return Err("the answer holds no JSON object".to_string()),
    }
    let end = start + stream.byte_offset();
    let another = text[end..].find('{').map(|at| &text[end + at..]).filter(|rest| {
        let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<serde::de::IgnoredAny>();
        matches!(stream.next(), Some(Ok(_)))
    });
    if another.is_some() {
        return Err("the answer holds more than one JSON object; give exactly one".to_string());
    }
    Ok(&text[start..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Pick {
        number: u8,
        why: String,
    }
    impl Answer for Pick {
        const NAME: &'static str = "pick";
    }

    fn pick(text: &str) -> Result<Pick, String> {
        read::<Pick>(text, &|p| if p.number == 13 { Err("13 is taken".to_string()) } else { Ok(()) })
    }

    #[test]
    fn wrapped_answers_are_read() {
        let wanted = Pick { number: 3, why: "} it is {".to_string() };
        let json = r#"{"number": 3, "why": "} it is {"}"#;
        for text in [json.to_string(), format!("```json\n{json}\n```"), format!("Sure! {json} Anything else?")] {
            assert_eq!(pick(&text).unwrap(), wanted, "{text}");
        }
    }

    #[test]
    fn thinking_is_passed_over() {
        let json = r#"{"number": 3, "why": "x"}"#;
        let thoughts = r#"is it {number: 3} or {"number": 4, "why": "y"}?"#;
        for text in
            [format!("<think>{thoughts}</think>\n{json}"), format!("{thoughts}\n</think>\n\n```json\n{json}\n```")]
        {
            assert_eq!(pick(&text).unwrap().number, 3, "{text}");
        }
        assert_eq!(pick(r#"{"number": 3, "why": "so </think>"}"#).unwrap().why, "so </think>");
        assert!(pick("<think>hm</think> I cannot say.").unwrap_err().contains("no JSON object"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let said = |text: &str| pick(text).unwrap_err();
        assert!(said("I cannot help with that.").contains("no JSON object"));
        assert!(said(r#"{"number": 3, "why": "ha"#).contains("too early"));
        assert!(said(r#"{"number": 300, "why": ""}"#).contains("`number`"));
        assert!(said(r#"{"number": 3, "why": "", "path": "/etc"}"#).contains("unknown field `path`"));
        assert!(said(r#"{"number": 13, "why": ""}"#).contains("taken"));
        assert!(said(r#"{"number": 1, "why": ""} {"number": 2, "why": ""}"#).contains("more than one"));
        assert!(said(&"x".repeat(LONGEST + 1)).contains("limit"));
    }

    #[test]
    fn the_schema_names_fields_and_forbids_others() {
        let schema = schema_of::<Pick>();
        assert_eq!(schema["additionalProperties"], false);
        assert!(schema["properties"]["number"].is_object() && schema.get("title").is_none());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,200}") {
            let _ = pick(&text);
        }
    }
}
