//! The IDX format of MNIST and its relatives: a magic number with type and rank, big-endian sizes, then the values.
//!
//! Format: two zero bytes, a type byte (0x08 is u8), the number of dimensions, one 32-bit size for each, the values in
//! row-major order (Y. LeCun, "The MNIST database", section "File formats").

use super::files::looks_like;
use crate::problem::{Problem, Result};

/// An array of bytes with its shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Array {
    /// Sizes, the number of samples first.
    pub shape: Vec<usize>,
    /// Row-major values.
    pub values: Vec<u8>,
}

/// Images `[N,H,W,C]` with their labels and the number of classes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Images {
    /// Height, width, channels.
    pub size: [usize; 3],
    /// Pixels from 0 to 255.
    pub pixels: Vec<u8>,
    /// One class for each image.
    pub labels: Vec<u32>,
    /// The largest label and one.
    pub classes: usize,
}

/// Reads an array of bytes.
pub(super) fn parse(bytes: &[u8]) -> Result<Array> {
    let again = "fetch or copy the file again: this copy is truncated or damaged";
    let (kind, rank) = match *bytes {
        [0, 0, kind @ (0x08 | 0x09 | 0x0b..=0x0e), rank @ 1..=8, ..] => (kind, rank as usize),
        _ => {
            return Err(Problem::usage(format!("this is not an IDX file: it looks like {}", looks_like(bytes)))
                .remedy("give the IDX file of images or labels, such as train-images-idx3-ubyte or its .gz"));
        }
    };
    if kind != 0x08 {
        let name = match kind {
            0x09 => "i8",
            0x0b => "i16",
            0x0c => "i32",
            0x0d => "f32",
            _ => "f64",
        };
        return Err(Problem::usage(format!("the IDX file holds {name} values; only unsigned bytes are read"))
            .remedy("convert the values to unsigned bytes (0 to 255)"));
    }
    let start = 4 + 4 * rank;
    let Some(sizes) = bytes.get(4..start) else {
        return Err(
            Problem::usage(format!("the IDX file ends inside its header, after {} bytes", bytes.len())).remedy(again)
        );
    };
    let shape: Vec<usize> =
        sizes.chunks_exact(4).map(|s| u32::from_be_bytes([s[0], s[1], s[2], s[3]]) as usize).collect();
    let announced = shape.iter().try_fold(1usize, |n, &s| n.checked_mul(s));
    let values = &bytes[start..];
    if announced != Some(values.len()) {
        let announced = announced.map_or("an impossible number of".to_string(), |n| n.to_string());
        return Err(Problem::usage(format!(
            "the IDX header announces {announced} bytes (shape {shape:?}), the file holds {}",
            values.len()
        ))
        .remedy(again));
    }
    if values.is_empty() {
        return Err(Problem::usage(format!("the IDX file is empty (shape {shape:?})")).remedy("give a file with data"));
    }
    Ok(Array { shape, values: values.to_vec() })
}

/// Puts images and labels together; the places are named in problems.
pub(super) fn pair(images: Array, images_at: &str, labels: &Array, labels_at: &str) -> Result<Images> {
    let size = match images.shape[..] {
        [_, h, w] => [h, w, 1],
        [_, h, w, c] => [h, w, c],
        _ => {
            return Err(Problem::usage(format!(
                "the image file has shape {:?}; images are [number, rows, columns] or [number, rows, columns, channels]",
                images.shape
            ))
            .at(images_at)
            .remedy("check that `images` and `labels` are not exchanged"));
        }
    };
    let &[count] = &labels.shape[..] else {
        return Err(Problem::usage(format!("the label file has shape {:?}; labels are [number]", labels.shape))
            .at(labels_at)
            .remedy("check that `images` and `labels` are not exchanged"));
    };
    if count != images.shape[0] {
        return Err(Problem::usage(format!("{count} labels do not fit the {} images of {images_at}", images.shape[0]))
            .at(labels_at)
            .remedy("give the label file that belongs to the images (train with train, t10k with t10k)"));
    }
    let classes = labels.values.iter().copied().max().map_or(0, |m| m as usize + 1);
    if labels.values.iter().all(|v| *v == labels.values[0]) {
        return Err(Problem::usage(format!("every label is {}: there is nothing to tell apart", labels.values[0]))
            .at(labels_at)
            .remedy("give labels of at least two classes"));
    }
    Ok(Images { size, pixels: images.values, labels: labels.values.iter().map(|&v| u32::from(v)).collect(), classes })
}
