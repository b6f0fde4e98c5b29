//! Which failures of a service may pass, and how long to wait before the next try. Pure.

use super::http::{PostReply, SendError};

/// First wait in seconds; doubled at each further try.
const FIRST_WAIT: f64 = 1.0;
/// Longest wait of our own choice.
const LONGEST_WAIT: f64 = 60.0;
/// Longest wait that a service may ask for; beyond it the service counts as unavailable.
const LONGEST_ASKED: f64 = 300.0;

/// What follows from a try.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// The body is worth reading.
    Read,
    /// Again, after so many seconds.
    Wait(f64),
    /// No further try; the cause in words.
    GiveUp(String),
}

/// What to do after try number `tried` (from 0) of at most `1 + retries`. `now`: seconds since the epoch, for services
/// that say until when to wait. `spread`, in 0 to 1: so that several callers do not come back together.
pub fn next(result: &Result<PostReply, SendError>, tried: usize, retries: usize, now: f64, spread: f64) -> Next {
    let (cause, asked) = match result {
        Ok(reply) if (200..300).contains(&reply.status) => return Next::Read,
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

fn message(body: &[u8]) -> String {
    serde_json::from_slice(body).map_or_else(|_| String::new(), |body| complaint(&body))
}

/// `: ` and the service's own words on an error, bounded and on one line; empty where it has none.
pub fn complaint(body: &serde_json::Value) -> String {
    let said = body.pointer("/error/message").or_else(|| body.get("error")).or_else(|| body.get("message"));
    let Some(said) = said.and_then(|m| m.as_str()) else { return String::new() };
    let line: String = said.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect();
    format!(": {}", line.trim())
}
