//! Numbers in prose.

use super::*;

#[test]
fn number_words_alone_in_pairs_and_run_together() {
    for word in [
        "five",
        "ninety-five",
        "ninetyfive",
        "twohundred",
        "halves",
        "threefold",
        "three-fold",
        "twelve-layer",
        "tens",
        "thirds",
        "sixes",
        "dozens",
    ] {
        assert!(is_number_word(word), "{word}");
    }
    for word in [
        "often",
        "tension",
        "done",
        "phone",
        "height",
        "weight",
        "attention",
        "threshold",
        "manifold",
        "both",
        "single",
        "tenet",
        "someone",
        "none",
        "stone",
    ] {
        assert!(!is_number_word(word), "{word}");
    }
}

#[test]
fn roman_numerals_and_abbreviations() {
    for word in ["II", "iv", "XII", "xiv", "LXXV", "MCMXC", "XCV"] {
        assert!(is_roman(word), "{word}");
    }
    for word in ["I", "CI", "ML", "CD", "MIX", "mild", "civic", "IIII", "VX", "Vi", "DC", "MD"] {
        assert!(!is_roman(word), "{word}");
    }
}
