//! The digits that travel inside the binary (see `digits.LICENCE.md` for source and licence).

use super::files;
use crate::problem::{Problem, Result};

const PACKED: &[u8] = include_bytes!("digits.csv.gz");

/// Rows and columns of an image.
pub(super) const SIDE: usize = 8;
/// The value of full ink.
pub(super) const FULL: f32 = 16.0;
/// Number of classes.
pub(super) const CLASSES: usize = 10;

/// Pixels `[1797, 64]` from 0 to 16, and labels.
pub(super) fn read() -> Result<(Vec<u8>, Vec<u32>)> {
    let text = files::gunzip(PACKED, 1 << 20)?;
    let text = String::from_utf8_lossy(&text);
    let mut pixels = Vec::new();
    let mut labels = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let row: Vec<u8> = line.split(',').map_while(|v| v.parse().ok()).collect();
        match row.split_last() {
            Some((&label, image))
                if image.len() == SIDE * SIDE && (label as usize) < CLASSES && image.iter().all(|&v| v <= 16) =>
            {
                pixels.extend_from_slice(image);
                labels.push(u32::from(label));
            }
            _ => {
                return Err(Problem::failed(format!("the embedded digits are damaged at line {}", i + 1))
                    .remedy("build or fetch the program again: this binary is damaged"));
            }
        }
    }
    Ok((pixels, labels))
}
