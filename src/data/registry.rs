//! The named sets: what they are called, where they are, and what their bytes must hash to.
//!
//! A set is listed only if its checksum is known from the published file itself, so that a mirror can be wrong but never
//! believed. The MNIST checksums are those that the well-known loaders of several languages pin independently.

use crate::problem::{Problem, Result};

/// Which reader a set is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetKind {
    /// One UTF-8 file, for `kind = "text"`.
    Text,
    /// Images, then labels, for `kind = "idx"`.
    Images,
}

impl SetKind {
    /// The `kind` of the config section that can name such a set.
    pub fn config_kind(self) -> &'static str {
        match self {
            SetKind::Text => "text",
            SetKind::Images => "idx",
        }
    }
}

/// A file of a named set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoteFile {
    /// Its name in the cache folder.
    pub name: &'static str,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of its content, lower-case hexadecimal.
    pub sha256: &'static str,
    /// Where it is, tried in this order.
    pub urls: &'static [&'static str],
}

/// A dataset that is known by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamedSet {
    /// What configs call it.
    pub name: &'static str,
    /// The reader it is for.
    pub kind: SetKind,
    /// What it is, in a line.
    pub about: &'static str,
    /// Authors and licence.
    pub licence: &'static str,
    /// Its files, in the reader's order.
    pub files: &'static [RemoteFile],
}

const MNIST_LICENCE: &str = "Y. LeCun, C. Cortes, C. Burges; CC BY-SA 3.0";

static SETS: [NamedSet; 3] = [
    NamedSet {
        name: "tinyshakespeare",
        kind: SetKind::Text,
        about: "1.1 MB of Shakespeare's plays in one file, for character models",
        licence: "public domain text, collected in karpathy/char-rnn",
        files: &[RemoteFile {
            name: "tinyshakespeare.txt",
            bytes: 1_115_394,
            sha256: "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
            urls: &["https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"],
        }],
    },
    NamedSet {
        name: "mnist-train",
        kind: SetKind::Images,
        about: "60,000 grey 28x28 images of handwritten digits, the training split",
        licence: MNIST_LICENCE,
        files: &[
            RemoteFile {
                name: "train-images-idx3-ubyte.gz",
                bytes: 9_912_422,
                sha256: "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                urls: &[
                    "https://storage.googleapis.com/cvdf-datasets/mnist/train-images-idx3-ubyte.gz",
                    "https://ossci-datasets.s3.amazonaws.com/mnist/train-images-idx3-ubyte.gz",
                ],
            },
            RemoteFile {
                name: "train-labels-idx1-ubyte.gz",
                bytes: 28_881,
                sha256: "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                urls: &[
                    "https://storage.googleapis.com/cvdf-datasets/mnist/train-labels-idx1-ubyte.gz",
                    "https://ossci-datasets.s3.amazonaws.com/mnist/train-labels-idx1-ubyte.gz",
                ],
            },
        ],
    },
    NamedSet {
        name: "mnist-test",
        kind: SetKind::Images,
        about: "10,000 grey 28x28 images of handwritten digits, the test split (t10k)",
        licence: MNIST_LICENCE,
        files: &[
            RemoteFile {
                name: "t10k-images-idx3-ubyte.gz",
                bytes: 1_648_877,
                sha256: "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                urls: &[
                    "https://storage.googleapis.com/cvdf-datasets/mnist/t10k-images-idx3-ubyte.gz",
                    "https://ossci-datasets.s3.amazonaws.com/mnist/t10k-images-idx3-ubyte.gz",
                ],
            },
            RemoteFile {
                name: "t10k-labels-idx1-ubyte.gz",
                bytes: 4_542,
                sha256: "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
                urls: &[
                    "https://storage.googleapis.com/cvdf-datasets/mnist/t10k-labels-idx1-ubyte.gz",
                    "https://ossci-datasets.s3.amazonaws.com/mnist/t10k-labels-idx1-ubyte.gz",
                ],
            },
        ],
    },
];

/// All named sets.
pub fn registry() -> &'static [NamedSet] {
    &SETS
}

/// The set of this name; an unknown one is refused with the nearest.
pub(super) fn find(name: &str) -> Result<&'static NamedSet> {
    SETS.iter().find(|s| s.name == name).ok_or_else(|| {
        let names: Vec<&str> = SETS.iter().map(|s| s.name).collect();
        let nearest = super::files::nearest(name, names.iter().copied());
        let hint = nearest.map_or(String::new(), |n| format!("did you mean `{n}`? "));
        Problem::usage(format!("no dataset is known as `{name}`"))
            .remedy(format!("{hint}the known names are {}; a file of your own is given by its path", names.join(", ")))
    })
}
