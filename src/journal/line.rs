//! One event as one line, and a file's bytes as events.
//!
//! ```text
//! {"sum":"5f0c2a9b41d7e683","format":1,"seq":3,"time":"...","epoch":1,"kind":"...","version":1,"data":{...}}
//!         └ first 16 hex digits of the BLAKE3 of the line's bytes after `"sum":"...",`, newline excluded
//! ```
//! What makes a line *torn* rather than damaged: it is the last one, has no newline, and its JSON is cut short. That is
//! what an append leaves that a crash interrupted, and nobody was ever told that it had happened. Anything else that does
//! not check out was changed after it was written, is refused with its line number, and is left as it is.

use crate::problem::{Problem, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::Path;

/// Version of the line format.
pub const FORMAT: u32 = 1;

/// One event, opaque to the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// Number within the journal, from 1, without gaps.
    pub seq: u64,
    /// When it was appended, RFC 3339 UTC.
    pub time: String,
    /// Which ownership appended it; never falls.
    pub epoch: u64,
    /// What kind of event it is.
    pub kind: String,
    /// Version of the kind's data.
    pub version: u32,
    /// The event.
    pub data: Value,
}

/// What stands after the last newline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tail {
    /// Nothing.
    None,
    /// A whole event that only lacks its newline; it is among the envelopes.
    Unterminated,
    /// An append that never finished.
    Torn,
}

/// A journal's bytes, read.
#[derive(Debug)]
pub(super) struct Parsed {
    /// All events, in order.
    pub envelopes: Vec<Envelope>,
    /// Bytes that they take, the newline of an unterminated one excluded.
    pub length: usize,
    /// What follows them.
    pub tail: Tail,
}

/// Why a line is not an event.
enum Fault {
    /// Written by a later version of this program.
    Newer(u64),
    /// Changed after it was written.
    Damaged(String),
}

const PREFIX: &[u8] = br#"{"sum":""#;
const SUM_DIGITS: usize = 16;

fn checksum(body: &[u8]) -> String {
    blake3::hash(body).to_hex()[..SUM_DIGITS].to_string()
}

/// The line of an envelope, newline included.
pub(super) fn encode(envelope: &Envelope) -> Result<Vec<u8>> {
    let json = serde_json::to_string(envelope)
        .map_err(|e| Problem::failed(format!("cannot write an event of kind {:?} as JSON: {e}", envelope.kind)))?;
    let body = format!("\"format\":{FORMAT},{}", &json[1..]);
    Ok(format!("{{\"sum\":\"{}\",{body}\n", checksum(body.as_bytes())).into_bytes())
}

/// The envelope of a line without its newline.
fn decode(line: &[u8]) -> Result<Envelope, Fault> {
    #[derive(Deserialize)]
    struct Probe {
        format: u64,
    }
    let newer = || match serde_json::from_slice::<Probe>(line) {
        Ok(probe) if probe.format > u64::from(FORMAT) => Some(Fault::Newer(probe.format)),
        _ => None,
    };
    let damaged = |what: &str| newer().unwrap_or_else(|| Fault::Damaged(what.to_string()));
    let rest = line.strip_prefix(PREFIX).ok_or_else(|| damaged("this is not an event"))?;
    let (sum, body) = rest
        .split_at_checked(SUM_DIGITS)
        .and_then(|(sum, rest)| Some((sum, rest.strip_prefix(b"\",")?)))
        .ok_or_else(|| damaged("this is not an event"))?;
    if checksum(body).as_bytes() != sum {
        return Err(damaged("this event's checksum does not fit its content"));
    }
    if !body.starts_with(format!("\"format\":{FORMAT},").as_bytes()) {
        return Err(damaged("this event has no format version"));
    }
    serde_json::from_slice(line).map_err(|e| damaged(&format!("this event cannot be read: {e}")))
}

/// Reads a journal's bytes; `path` only names it in problems.
pub(super) fn parse(bytes: &[u8], path: &Path) -> Result<Parsed> {
    let mut parsed = Parsed { envelopes: Vec::new(), length: 0, tail: Tail::None };
    let mut rest = bytes;
    while let Some(end) = rest.iter().position(|b| *b == b'\n') {
        let envelope = decode(&rest[..end]).map_err(|fault| refuse(fault, path, parsed.envelopes.len()))?;
        accept(&mut parsed, envelope, path)?;
        parsed.length += end + 1;
        rest = &rest[end + 1..];
    }
    if rest.is_empty() {
        return Ok(parsed);
    }
    // The end of the first JSON value, if it is whole. An append that was cut short has none.
    let mut stream = serde_json::Deserializer::from_slice(rest).into_iter::<serde::de::IgnoredAny>();
    let whole = rest.starts_with(&PREFIX[..1]) && matches!(stream.next(), Some(Ok(_)));
    if !whole {
        parsed.tail = Tail::Torn;
    } else if stream.byte_offset() == rest.len() {
        let envelope = decode(rest).map_err(|fault| refuse(fault, path, parsed.envelopes.len()))?;
        accept(&mut parsed, envelope, path)?;
        parsed.length += rest.len();
        parsed.tail = Tail::Unterminated;
    } else {
        let fault = Fault::Damaged("something else than a newline follows this event".to_string());
        return Err(refuse(fault, path, parsed.envelopes.len()));
    }
    Ok(parsed)
}

/// Appends an envelope that fits what precedes it.
fn accept(parsed: &mut Parsed, envelope: Envelope, path: &Path) -> Result<()> {
    let (seq, epoch) = parsed.envelopes.last().map_or((0, 0), |last| (last.seq, last.epoch));
    let fault = if envelope.seq != seq + 1 {
        format!("event {} stands where event {} should", envelope.seq, seq + 1)
    } else if envelope.epoch < epoch {
        format!("the epoch falls from {epoch} to {}", envelope.epoch)
    } else {
        parsed.envelopes.push(envelope);
        return Ok(());
    };
    Err(refuse(Fault::Damaged(fault), path, parsed.envelopes.len()))
}

/// The problem of the line after `good` good ones.
fn refuse(fault: Fault, path: &Path, good: usize) -> Problem {
    let place = format!("{}:{}", path.display(), good + 1);
    match fault {
        Fault::Newer(format) => {
            Problem::usage(format!("this event has format {format}, and this program reads formats up to {FORMAT}"))
                .at(place)
                .remedy("use the version of the program that wrote the campaign, or a later one; nothing was changed")
        }
        Fault::Damaged(what) => Problem::usage(format!("{what}: the file was changed after it was written"))
            .at(place)
            .remedy(format!("nothing was cut or changed; restore the file from a backup. {}", without_backup(good))),
    }
}

/// What can be done without a backup, where so many lines are good.
fn without_backup(good: usize) -> String {
    let keep = match good {
        0 => {
            return "Where there is none, the campaign cannot be read any more: run it again in another folder; what its \
                    runs left stays under runs/"
                .to_string();
        }
        1 => "first line".to_string(),
        n => format!("first {n} lines"),
    };
    format!(
        "Where there is none, keep a copy and cut the file to its {keep}: what was recorded later is then lost, and its runs \
         may be run again"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn journal(n: u64) -> Vec<u8> {
        (1..=n)
            .flat_map(|seq| {
                let data = serde_json::json!({"seq": seq, "x": 0.1 * seq as f64, "text": "a \"quoted\"\nline"});
                let (time, kind) = ("2026-01-01T00:00:00.000Z".to_string(), "test".to_string());
                encode(&Envelope { seq, time, epoch: 1, kind, version: 1, data }).unwrap()
            })
            .collect()
    }

    fn parsed(bytes: &[u8]) -> Result<Parsed> {
        parse(bytes, Path::new("events.jsonl"))
    }

    #[test]
    fn what_is_written_is_read() {
        let parsed = parsed(&journal(3)).unwrap();
        assert_eq!(parsed.envelopes.len(), 3);
        assert_eq!(parsed.tail, Tail::None);
        assert_eq!(parsed.envelopes[2].data["x"], serde_json::json!(0.1 * 3.0));
        assert_eq!(parsed.envelopes[2].data["text"], "a \"quoted\"\nline");
    }

    #[test]
    fn cut_anywhere_the_whole_events_before_the_cut_remain() {
        let bytes = journal(3);
        let ends: Vec<usize> = (0..bytes.len()).filter(|i| bytes[*i] == b'\n').collect();
        for cut in 0..=bytes.len() {
            let parsed = parsed(&bytes[..cut]).unwrap();
            let expected = ends.iter().filter(|end| **end <= cut).count();
            assert_eq!(parsed.envelopes.len(), expected, "cut at {cut}");
            let tail = match cut {
                _ if ends.contains(&cut) => Tail::Unterminated,
                _ if cut == 0 || ends.contains(&(cut - 1)) => Tail::None,
                _ => Tail::Torn,
            };
            assert_eq!(parsed.tail, tail, "cut at {cut}");
        }
    }

    #[test]
    fn every_flipped_bit_is_refused_with_its_line() {
        let bytes = journal(3);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let line = bytes[..bit / 8].iter().filter(|b| **b == b'\n').count() + 1;
            let problem = parsed(&flipped).map(|p| p.envelopes.len()).expect_err(&format!("bit {bit} was accepted"));
            assert_eq!(problem.place.as_deref(), Some(format!("events.jsonl:{line}").as_str()), "bit {bit}");
            assert!(problem.remedy.is_some());
        }
    }

    #[test]
    fn missing_doubled_and_swapped_lines_are_refused() {
        let bytes = journal(4);
        let lines: Vec<&[u8]> = bytes.split_inclusive(|b| *b == b'\n').collect();
        for (order, line) in [(&[0, 2, 3][..], 2), (&[1, 2, 3], 1), (&[0, 1, 1, 2], 3), (&[0, 2, 1, 3], 2)] {
            let mixed: Vec<u8> = order.iter().flat_map(|i| lines[*i].to_vec()).collect();
            let problem = parsed(&mixed).unwrap_err();
            assert_eq!(problem.place, Some(format!("events.jsonl:{line}")), "{problem}");
            assert!(problem.what.contains("stands where"), "{problem}");
        }
    }

    #[test]
    fn a_falling_epoch_is_refused() {
        let mut envelope = parsed(&journal(1)).unwrap().envelopes.remove(0);
        envelope.epoch = 5;
        let mut bytes = encode(&envelope).unwrap();
        (envelope.seq, envelope.epoch) = (2, 4);
        bytes.extend(encode(&envelope).unwrap());
        assert!(parsed(&bytes).unwrap_err().what.contains("from 5 to 4"));
    }

    #[test]
    fn a_newer_format_is_named_as_such() {
        let newer = r#"{"sum":"00","format":2,"seq":1,"something":"else"}"#;
        let problem = parsed(format!("{newer}\n").as_bytes()).unwrap_err();
        assert!(problem.what.contains("format 2") && problem.what.contains("up to 1"), "{problem}");
        assert!(parsed(newer.as_bytes()).unwrap_err().what.contains("format 2"));
    }

    #[test]
    fn zeros_after_a_power_cut_are_torn() {
        let mut bytes = journal(2);
        let length = bytes.len();
        bytes.extend([0; 100]);
        let parsed = parsed(&bytes).unwrap();
        assert_eq!((parsed.envelopes.len(), parsed.length, parsed.tail), (2, length, Tail::Torn));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = parsed(&bytes);
        }

        /// Bytes overwritten at random: refused, or torn at the very end, but never other events than were written.
        #[test]
        fn never_an_event_that_was_not_written(at in 0usize..600, patch in prop::collection::vec(any::<u8>(), 1..40)) {
            let bytes = journal(4);
            let mut patched = bytes.clone();
            let at = at % bytes.len();
            for (i, byte) in patch.into_iter().enumerate().filter(|(i, _)| at + i < bytes.len()) {
                patched[at + i] = byte;
            }
            if let Ok(parsed) = parsed(&patched) {
                let all = super::parse(&bytes, Path::new("")).unwrap().envelopes;
                prop_assert_eq!(&parsed.envelopes[..], &all[..parsed.envelopes.len()]);
            }
        }
    }
}
