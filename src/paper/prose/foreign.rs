//! Data, models, programs and machines that a campaign did not have: well-known names in a sentence that cites nobody.
//!
//! Boundary: pure. A list of names, and so no more than the commonest: what is not on it is for reviewers to see.

use super::items::Item;
use crate::paper::fact::{Facts, Value};

/// Names that a text could give to what it used, as they are written.
const NAMES: &[&str] = &[
    "ImageNet",
    "CIFAR",
    "MNIST",
    "COCO",
    "SQuAD",
    "GLUE",
    "WikiText",
    "OpenWebText",
    "LibriSpeech",
    "ResNet",
    "DenseNet",
    "AlexNet",
    "VGG",
    "MobileNet",
    "EfficientNet",
    "BERT",
    "RoBERTa",
    "GPT",
    "ChatGPT",
    "Llama",
    "LLaMA",
    "Mistral",
    "Gemini",
    "Claude",
    "Qwen",
    "DeepSeek",
    "LSTM",
    "Mamba",
    "PyTorch",
    "TensorFlow",
    "JAX",
    "Keras",
    "Optuna",
    "XGBoost",
    "NVIDIA",
    "Nvidia",
    "AMD",
    "Intel",
    "TPU",
    "TPUs",
    "GPU",
    "GPUs",
];

/// The first such name in a sentence, in words.
pub(super) fn check(items: &[Item], facts: &Facts) -> Option<String> {
    if items.contains(&Item::Cite) {
        return None;
    }
    let own = |name: &str| {
        facts.names.iter().any(|n| n.contains(name))
            || facts.facts.iter().any(|f| match &f.value {
                Value::Text(text) | Value::Quote(text) => text.contains(name),
                _ => false,
            })
    };
    items.iter().find_map(|item| match item {
        Item::Word(word) if NAMES.contains(&word.as_str()) && !own(word.trim_end_matches('s')) => {
            Some(format!("\u{201c}{word}\u{201d} is nothing that this campaign had, and no work is cited for it"))
        }
        _ => None,
    })
}
