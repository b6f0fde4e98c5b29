//! What a model needs to know of a dataset, without the data: sizes that decide parameter shapes.

/// What one sample's input looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputShape {
    /// A vector of features.
    Features(usize),
    /// An image, NHWC without N.
    Image {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
        /// Channels.
        channels: usize,
    },
    /// Token ids below `vocabulary`; the number of tokens in a sample is the model's context, or `fixed`.
    Tokens {
        /// Number of different ids.
        vocabulary: usize,
        /// Length of a sample where the data decides it (modular arithmetic: 3).
        fixed: Option<usize>,
    },
}

/// What is predicted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetShape {
    /// One class for each sample.
    Class {
        /// Number of classes.
        classes: usize,
    },
    /// The next token at every position.
    NextToken {
        /// Number of different ids.
        vocabulary: usize,
    },
    /// Real numbers.
    Real {
        /// Numbers a sample.
        outputs: usize,
    },
}

/// What a model needs to know of the data, without the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataShape {
    /// One sample's input.
    pub input: InputShape,
    /// One sample's target.
    pub target: TargetShape,
}
