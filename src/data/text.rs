//! Text as tokens, cut into windows.

use super::batch::{Batch, Column, Part, weights};
use super::files::looks_like;
use super::identity::Identity;
use super::split::held_out;
use crate::config::{TextData, TextTokens};
use crate::problem::{Problem, Result};
use std::collections::{BTreeSet, HashMap};

/// Tokens in the narrowest form: most vocabularies fit a byte.
#[derive(Debug)]
enum Tokens {
    Narrow(Vec<u8>),
    Wide(Vec<u32>),
}

impl Tokens {
    fn len(&self) -> usize {
        match self {
            Tokens::Narrow(v) => v.len(),
            Tokens::Wide(v) => v.len(),
        }
    }

    fn extend(&self, start: usize, length: usize, out: &mut Vec<u32>) {
        match self {
            Tokens::Narrow(v) => out.extend(v[start..][..length].iter().map(|&t| u32::from(t))),
            Tokens::Wide(v) => out.extend_from_slice(&v[start..][..length]),
        }
    }
}

/// A tokenised text; the validation part is its end.
#[derive(Debug)]
pub(super) struct Text {
    tokens: Tokens,
    /// First token of the validation part.
    cut: usize,
    /// Number of different ids.
    pub vocabulary: usize,
    /// UTF-8 bytes of a validation token, on average.
    pub bytes_per_token: f64,
}

impl Text {
    /// Bytes that the tokens take in memory.
    pub fn size(&self) -> usize {
        match &self.tokens {
            Tokens::Narrow(v) => v.len(),
            Tokens::Wide(v) => 4 * v.len(),
        }
    }

    /// Tokenises and splits.
    pub fn parse(bytes: Vec<u8>, spec: &TextData) -> Result<Text> {
        if bytes.is_empty() {
            return Err(Problem::usage("the text is empty").remedy("give a file with text"));
        }
        // With byte tokens every id is one byte and the alphabet stays empty.
        let (tokens, alphabet) = match spec.tokens {
            TextTokens::Byte => (Tokens::Narrow(bytes), Vec::new()),
            TextTokens::Char => characters(bytes)?,
        };
        let total = tokens.len();
        let validation = held_out(total, spec.validation_fraction, "tokens")?;
        let mut text = Text { tokens, cut: total - validation, vocabulary: 256, bytes_per_token: 1.0 };
        if spec.tokens == TextTokens::Char {
            let mut ids = Vec::with_capacity(validation);
            text.tokens.extend(text.cut, validation, &mut ids);
            let bytes: usize = ids.iter().map(|&id| alphabet[id as usize].len_utf8()).sum();
            text.bytes_per_token = bytes as f64 / validation as f64;
            text.vocabulary = alphabet.len();
        }
        Ok(text)
    }

    /// First token and number of tokens of a part.
    fn range(&self, part: Part) -> (usize, usize) {
        match part {
            Part::Train => (0, self.cut),
            Part::Validation => (self.cut, self.tokens.len() - self.cut),
        }
    }

    /// Number of tokens of a part.
    pub fn len(&self, part: Part) -> usize {
        self.range(part).1
    }

    /// Number of non-overlapping windows of `context` tokens, each with a next token for its last one.
    pub fn windows(&self, part: Part, context: usize) -> usize {
        self.len(part).saturating_sub(1).checked_div(context).unwrap_or(0)
    }

    /// Windows by index: `window + windows * shift`, so that plain indices are unshifted windows. A shifted last window
    /// that would run past the part's end is moved back to end there.
    pub fn batch(&self, part: Part, context: usize, indices: &[usize], pad_to: usize) -> Batch {
        let windows = self.windows(part, context);
        let (first, length) = self.range(part);
        let samples = indices.len().max(pad_to);
        let mut input = Vec::with_capacity(samples * context);
        let mut target = Vec::with_capacity(samples * context);
        for index in indices.iter().copied().chain(std::iter::repeat(0)).take(samples) {
            let (shift, window) = (index / windows, index % windows);
            assert!(shift < context, "window index {index} of {windows} windows of {context} tokens");
            let start = first + (shift + window * context).min(length - 1 - context);
            self.tokens.extend(start, context, &mut input);
            self.tokens.extend(start + 1, context, &mut target);
        }
        Batch {
            samples,
            input: Column::U32(input),
            target: Column::U32(target),
            weight: weights(indices.len(), samples, context),
        }
    }

    /// Adds everything that a run can see to a dataset's identity.
    pub fn identify(&self, identity: &mut Identity) {
        identity.bytes("cut", &(self.cut as u64).to_le_bytes());
        identity.bytes("vocabulary", &(self.vocabulary as u64).to_le_bytes());
        identity.bytes("bytes per token", &self.bytes_per_token.to_le_bytes());
        match &self.tokens {
            Tokens::Narrow(v) => identity.bytes("tokens u8", v),
            Tokens::Wide(v) => identity.words("tokens u32", v.len(), v.iter().copied()),
        }
    }
}

/// Character tokens, and the distinct characters in code point order: a token is an index into them.
fn characters(bytes: Vec<u8>) -> Result<(Tokens, Vec<char>)> {
    let text = String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        let bytes = e.into_bytes();
        let line = bytes[..at].iter().filter(|&&b| b == b'\n').count() + 1;
        let seen = looks_like(&bytes);
        Problem::usage(format!("not UTF-8 text: byte {at} (line {line}) is not; it looks like {seen}"))
            .remedy("convert the file to UTF-8, or read it as bytes with data.tokens = \"byte\"")
    })?;
    let alphabet: Vec<char> = text.chars().collect::<BTreeSet<char>>().into_iter().collect();
    if alphabet.len() < 2 {
        return Err(Problem::usage(format!("the text has one character only, {:?}, repeated", alphabet[0]))
            .remedy("give a text with at least two different characters"));
    }
    let ids: HashMap<char, u32> = alphabet.iter().copied().zip(0..).collect();
    let tokens = if alphabet.len() <= 256 {
        Tokens::Narrow(text.chars().map(|c| ids[&c] as u8).collect())
    } else {
        Tokens::Wide(text.chars().map(|c| ids[&c]).collect())
    };
    Ok((tokens, alphabet))
}
