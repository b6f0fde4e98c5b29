//! The families of models, and what is measured of each to know a machine's speed.

use crate::config::{DataShape, InputShape, ModelSpec, TargetShape};

/// A model to measure: its data, the lines of `[model]`, the batch size.
pub(super) type Probe = (&'static str, &'static str, usize);

/// A family of models. Each has a profile of its own, so that a campaign of perceptrons does not wait for transformers
/// to be measured, and the spread is that of its own kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// Fully connected networks.
    Mlp,
    /// Transformers.
    Gpt,
    /// Convolutional networks.
    Cnn,
}

impl Family {
    /// The family of a model.
    pub fn of(model: &ModelSpec) -> Self {
        match model {
            ModelSpec::Mlp(_) => Family::Mlp,
            ModelSpec::Gpt(_) => Family::Gpt,
            ModelSpec::Cnn(_) => Family::Cnn,
        }
    }

    /// What is measured. On a GPU small models only show what a launch costs, all the same, so that every second one of them
    /// is enough; as many large ones show what moving costs.
    pub(super) fn probes(self, on_gpu: bool) -> Vec<Probe> {
        let (every, large) = if on_gpu { (2, self.large()) } else { (1, &[][..]) };
        self.small().iter().step_by(every).chain(large).copied().collect()
    }

    fn large(self) -> &'static [Probe] {
        match self {
            Family::Mlp => &[
                ("pixels 784", "widths = [1024]", 4096),
                ("pixels 784", "widths = [2048, 2048]\nactivation = \"gelu\"\nnorm = \"layer\"", 1024),
                ("pixels 64", "widths = [1024, 1024, 1024]\nresidual = true\nnorm = \"rms\"\ndropout = 0.1", 4096),
                ("pixels 784", "widths = [4096]\nactivation = \"tanh\"", 2048),
            ],
            Family::Gpt => &[
                ("text 65", "depth = 4\nwidth = 256\nheads = 4\ncontext = 128", 32),
                ("text 65", "depth = 2\nwidth = 320\nheads = 5\ncontext = 256", 64),
                ("text 65", "depth = 2\nwidth = 512\nheads = 8\ncontext = 256", 32),
                ("text 65", "depth = 1\nwidth = 768\nheads = 12\ncontext = 512", 16),
                ("text 65", "depth = 3\nwidth = 448\nheads = 7\ncontext = 256", 64),
                (
                    "text 65",
                    "depth = 2\nwidth = 512\nheads = 8\nkv_heads = 4\ncontext = 256\nnorm = \"rms\"\nbias = false\n\
                     positions = \"rotary\"\nfeed_forward = \"swiglu\"\nqk_norm = true",
                    32,
                ),
            ],
            Family::Cnn => &[
                (
                    "image 16",
                    "stages = [{ channels = 64, convs = 2, pool = \"max\" }, { channels = 128 }]\nwidths = [256]",
                    256,
                ),
                (
                    "image 16",
                    "stages = [{ channels = 64, convs = 2, pool = \"mean\" }]\nresidual = true\nnorm_groups = 8\n\
                     head = \"mean\"\nwidths = []",
                    512,
                ),
                ("image 8", "stages = [{ channels = 64, pool = \"none\" }, { channels = 96 }]\nwidths = [128]", 1024),
            ],
        }
    }

    /// Chosen to span the sizes and the ops of the presets without being any of them.
    fn small(self) -> &'static [Probe] {
        match self {
            Family::Mlp => &[
                ("pixels 64", "widths = [48]", 64),
                ("pixels 64", "widths = [192]\nactivation = \"tanh\"\ndropout = 0.2", 32),
                ("pixels 64", "widths = [320, 320]\nactivation = \"gelu\"", 64),
                ("pixels 784", "widths = [200]", 48),
                ("pixels 784", "widths = [384, 256]\nnorm = \"layer\"\ndropout = 0.2\nactivation = \"gelu\"", 64),
                ("pixels 784", "widths = [320]", 16),
                ("pixels 784", "widths = [160, 160]", 24),
                ("pixels 64", "widths = [128, 64]", 16),
                ("pixels 64", "widths = [96, 96, 96]\nresidual = true\nnorm = \"layer\"\ndropout = 0.1", 32),
                ("pixels 64", "widths = [256, 256, 256]\nresidual = true\nnorm = \"rms\"", 96),
            ],
            Family::Gpt => &[
                ("text 65", "depth = 1\nwidth = 64\nheads = 4\ncontext = 32", 16),
                ("text 65", "depth = 2\nwidth = 96\nheads = 4\ncontext = 64", 8),
                ("text 65", "depth = 1\nwidth = 160\nheads = 4\ncontext = 64", 16),
                ("text 65", "depth = 1\nwidth = 256\nheads = 4\ncontext = 128", 4),
                ("text 65", "depth = 1\nwidth = 384\nheads = 6\ncontext = 192", 2),
                (
                    "text 65",
                    "depth = 2\nwidth = 96\nheads = 6\nkv_heads = 2\ncontext = 64\nnorm = \"rms\"\nbias = false\n\
                     positions = \"rotary\"\nfeed_forward = \"swiglu\"\nqk_norm = true",
                    8,
                ),
                (
                    "text 65",
                    "depth = 1\nwidth = 256\nheads = 8\nkv_heads = 4\ncontext = 96\nnorm = \"rms\"\nbias = false\n\
                     positions = \"rotary\"\nfeed_forward = \"swiglu\"\nqk_norm = true",
                    4,
                ),
                ("text 65", "depth = 3\nwidth = 192\nheads = 6\ncontext = 128", 4),
                ("text 65", "depth = 2\nwidth = 320\nheads = 5\ncontext = 192", 2),
                (
                    "pairs 97",
                    "depth = 1\nwidth = 96\nheads = 4\nnorm = \"none\"\nfeed_forward = \"relu\"\ntied = false",
                    64,
                ),
                (
                    "pairs 97",
                    "depth = 1\nwidth = 160\nheads = 4\nnorm = \"none\"\nfeed_forward = \"relu\"\ntied = false",
                    128,
                ),
            ],
            Family::Cnn => &[
                ("image 8", "stages = [{ channels = 16, pool = \"none\" }, { channels = 32 }]\nwidths = [64]", 48),
                ("image 8", "stages = [{ channels = 48, pool = \"max\" }, { channels = 64 }]\nwidths = []", 24),
                ("image 8", "stages = [{ channels = 24, pool = \"none\" }, { channels = 48 }]\nwidths = [96]", 96),
                (
                    "image 16",
                    "stages = [{ channels = 16, convs = 2, pool = \"mean\" }, { channels = 32 }]\nresidual = true\n\
                     norm_groups = 4\nhead = \"mean\"\nwidths = []",
                    16,
                ),
                (
                    "image 8",
                    "stages = [{ channels = 24, convs = 2, pool = \"mean\" }, { channels = 48, convs = 2 }]\nresidual = true\n\
                     norm_groups = 8\nhead = \"mean\"\nwidths = []",
                    24,
                ),
                (
                    "image 8",
                    "stages = [{ channels = 32, convs = 2, pool = \"max\" }]\nresidual = true\nnorm_groups = 8\n\
                     head = \"mean\"\nwidths = [32]",
                    48,
                ),
            ],
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Family::Mlp => "mlp",
            Family::Gpt => "gpt",
            Family::Cnn => "cnn",
        }
    }
}

/// A `[data]` section that such a model accepts. It is never read: shapes come from the table.
pub(super) fn data_section(words: &str) -> &'static str {
    match words.split(' ').next() {
        Some("text") => "kind = \"text\"\nname = \"tinyshakespeare\"",
        Some("pairs") => "kind = \"modular\"",
        _ => "kind = \"digits\"",
    }
}

pub(super) fn shape(words: &str) -> DataShape {
    let (kind, size) = words.split_once(' ').unwrap_or((words, "1"));
    let n: usize = size.parse().unwrap_or(1);
    let class = TargetShape::Class { classes: 10 };
    match kind {
        "text" => DataShape {
            input: InputShape::Tokens { vocabulary: n, fixed: None },
            target: TargetShape::NextToken { vocabulary: n },
        },
        "pairs" => DataShape {
            input: InputShape::Tokens { vocabulary: n + 1, fixed: Some(3) },
            target: TargetShape::Class { classes: n },
        },
        "image" => DataShape { input: InputShape::Image { height: n, width: n, channels: 1 }, target: class },
        _ => DataShape { input: InputShape::Features(n), target: class },
    }
}
