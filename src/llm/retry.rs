//! What follows from a try at a language model: what `sys::retry` says of any service, and one thing more. Pure.

use crate::rng::{Sequence, Stream};
use crate::sys::http::{PostReply, SendError};
use crate::sys::retry;

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

/// As [`retry::next`]. `strict`: whether the request used what simple servers do not know.
pub(super) fn next(
    result: &Result<PostReply, SendError>,
    tried: usize,
    retries: usize,
    strict: bool,
    now: f64,
) -> Next {
    if strict && result.as_ref().is_ok_and(|reply| matches!(reply.status, 400 | 404 | 415 | 422 | 501)) {
        return Next::Simplify;
    }
    // Drawn from the try's number and the time.
    let spread = Sequence::new(now.to_bits(), Stream::Data, tried as u32, 0).uniform();
    match retry::next(result, tried, retries, now, spread) {
        retry::Next::Read => Next::Read,
        retry::Next::Wait(seconds) => Next::Wait(seconds),
        retry::Next::GiveUp(why) => Next::GiveUp(why + result.as_ref().map_or("", |reply| remedy(reply.status))),
    }
}

/// What to look at where it is the address that is wrong.
fn remedy(status: u16) -> &'static str {
    match status {
        404 | 405 => "; is base_url the address up to the version, as in http://localhost:8000/v1?",
        300..=399 => "; redirects are not followed, for the key would travel on: set base_url to where the service is",
        _ => "",
    }
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
        for (status, words) in [(404, "up to the version"), (307, "redirects are not followed")] {
            assert!(matches!(next(&answer(status, None), 0, 4, false, 0.0), Next::GiveUp(why) if why.contains(words)));
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
