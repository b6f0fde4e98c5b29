//! Which failures may pass, and how long to wait before the next try. Pure.

use crate::rng::{Sequence, Stream};
use crate::sys::http::{PostReply, SendError};

/// First wait in seconds; doubled at each further try.
const FIRST_WAIT: f64 = 1.0;
/// Longest wait of our own choice.
const LONGEST_WAIT: f64 = 60.0;
/// Longest wait that a service may ask for; beyond it the service counts as unavailable.
const LONGEST_ASKED: f64 = 300.0;

/// What follows from a try.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Next {
    /// The body is worth reading.
    Read,
    /// Again, after so many seconds.
    Wait(f64),
    /// Again at once, without the parts that the service does not know.
    Simplify,
    /// No further try; the cause in words.
    GiveUp(String),
}

/// What to do after try number `tried` (from 0) of at most `1 + retries`. `now`: seconds since the epoch, for services
/// that say until when to wait. `strict`: whether the request used what simple servers do not know.
pub(super) fn next(
    result: &Result<PostReply, SendError>,
    tried: usize,
    retries: usize,
    strict: bool,
    now: f64,
) -> Next {
    let (cause, asked) = match result {
        Ok(reply) if (200..300).contains(&reply.status) => return Next::Read,
        Ok(reply) if matches!(reply.status, 400 | 404 | 415 | 422 | 501) && strict => return Next::Simplify,
        Ok(reply) => {
            let cause = format!("the service answered with status {}{}", reply.status, message(&reply.body));
            // Too many requests, overloaded, gateway trouble: these pass. What is wrong with us does not.
            if !matches!(reply.status, 408 | 409 | 425 | 429 | 500 | 502 | 503 | 504 | 520..=529) {
                return Next::GiveUp(cause);
            }
            (cause, reply.retry_after.as_deref().and_then(|value| seconds(value, now)))
        }
        Err(SendError::TimedOut) => ("no answer in time".to_string(), None),
        Err(SendError::Unreachable(why) | SendError::Broken(why)) => (why.clone(), None),
    };
    if tried >= retries {
        let tries = if tried == 0 { "one try".to_string() } else { format!("{} tries", tried + 1) };
        return Next::GiveUp(format!("{cause} ({tries})"));
    }
    match asked {
        Some(asked) if asked > LONGEST_ASKED => Next::GiveUp(format!(
            "{cause}; it asks for {asked:.0} s of patience, and {LONGEST_ASKED:.0} s is the limit"
        )),
        Some(asked) => Next::Wait(asked.max(0.0)),
        None => {
            // Spread, so that several controllers do not come back together; drawn from the try's number and the time.
            let spread = Sequence::new(now.to_bits(), Stream::Data, tried as u32, 0).uniform();
            let wait = (FIRST_WAIT * 2f64.powi(tried.min(16) as i32)).min(LONGEST_WAIT);
            Next::Wait(wait * (0.75 + 0.5 * spread))
        }
    }
}

/// A `Retry-After` header: seconds, or a date.
fn seconds(value: &str, now: f64) -> Option<f64> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        return seconds.is_finite().then_some(seconds);
    }
    let date = jiff::fmt::rfc2822::parse(value).ok()?;
    Some(date.timestamp().as_second() as f64 - now)
}

/// The service's own words on an error, bounded and on one line.
fn message(body: &[u8]) -> String {
    let value: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let said = value.as_ref().and_then(|v| {
        v.pointer("/error/message").or_else(|| v.get("error")).or_else(|| v.get("message")).and_then(|m| m.as_str())
    });
    let Some(said) = said else { return String::new() };
    let line: String = said.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect();
    format!(": {}", line.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, retry_after: Option<&str>) -> Result<PostReply, SendError> {
        let body = br#"{"error":{"message":"too\nmany"}}"#.to_vec();
        Ok(PostReply { status, retry_after: retry_after.map(str::to_string), body, truncated: false })
    }

    #[test]
    fn what_passes_is_tried_again_and_nothing_else() {
        for status in [408, 429, 500, 503, 529] {
            assert!(matches!(next(&answer(status, None), 0, 4, false, 0.0), Next::Wait(_)), "{status}");
        }
        for status in [400, 401, 403, 404, 413] {
            let Next::GiveUp(why) = next(&answer(status, None), 0, 4, false, 0.0) else { panic!("{status}") };
            assert!(why.contains(&status.to_string()) && why.contains("too many"), "{why}");
        }
        assert_eq!(next(&answer(200, None), 0, 0, true, 0.0), Next::Read);
        assert_eq!(next(&answer(400, None), 0, 0, true, 0.0), Next::Simplify);
        assert!(matches!(next(&answer(401, None), 0, 4, true, 0.0), Next::GiveUp(_)));
    }

    #[test]
    fn waits_grow_and_tries_end() {
        let wait = |tried| match next(&Err(SendError::TimedOut), tried, 9, false, 5.0) {
            Next::Wait(seconds) => seconds,
            other => panic!("{other:?}"),
        };
        assert!((0.75..=1.25).contains(&wait(0)) && (6.0..=10.0).contains(&wait(3)) && wait(8) <= 75.0);
        let Next::GiveUp(why) = next(&Err(SendError::TimedOut), 4, 4, false, 5.0) else { panic!() };
        assert!(why.contains("5 tries"), "{why}");
    }

    #[test]
    fn retry_after_is_honoured_in_both_forms_and_bounded() {
        assert_eq!(next(&answer(429, Some("7")), 0, 4, false, 0.0), Next::Wait(7.0));
        let now = 784_111_770.0; // 7 s before the date
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(next(&answer(429, Some(date)), 0, 4, false, now), Next::Wait(7.0));
        assert!(matches!(next(&answer(429, Some("3600")), 0, 4, false, 0.0), Next::GiveUp(_)));
        assert!(matches!(next(&answer(429, Some("soon")), 0, 4, false, 0.0), Next::Wait(w) if w < 2.0));
    }
}
