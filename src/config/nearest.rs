//! What a misspelt name was probably meant to be.

/// What others call things: the usual spellings in papers and libraries, in plain form (see [`nearest`]), and our names.
const ALIASES: [(&str, &str); 24] = [
    ("relu2", "relu-squared"),
    ("relu^2", "relu-squared"),
    ("relu_2", "relu-squared"),
    ("squared_relu", "relu-squared"),
    ("sqrelu", "relu-squared"),
    ("swish", "silu"),
    ("swish_glu", "swiglu"),
    ("geglu", "swiglu"),
    ("adam", "adamw"),
    ("rope", "rotary"),
    ("layernorm", "layer"),
    ("layer_norm", "layer"),
    ("rmsnorm", "rms"),
    ("rms_norm", "rms"),
    ("wsd", "warmup-stable-decay"),
    ("cosine_annealing", "cosine"),
    ("transformer", "gpt"),
    ("convnet", "cnn"),
    ("categorical", "choice"),
    ("loguniform", "log-float"),
    ("log_uniform", "log-float"),
    ("uniform", "float"),
    ("integer", "int"),
    ("max_iters", "steps"),
];

/// The candidate nearest to `word`, if any is near: what is commonly called so, equal but for case and dashes, a few typing
/// errors away, or an abbreviation (`lr` for `learning_rate`).
pub(super) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |s: &str| s.to_lowercase().replace(['-', ' ', '.'], "_");
    let word = plain(word);
    if word.is_empty() {
        return None;
    }
    let candidates: Vec<&str> = candidates.into_iter().collect();
    let meant = ALIASES.iter().find(|(alias, name)| *alias == word && candidates.contains(name));
    if let (Some((_, name)), false) = (meant, candidates.iter().any(|c| plain(c) == word)) {
        return candidates.into_iter().find(|c| c == name);
    }
    let score = |candidate: &str| -> Option<usize> {
        let candidate = plain(candidate);
        let typed = strsim::damerau_levenshtein(&word, &candidate);
        let allowed = 1 + word.chars().count().max(candidate.chars().count()) / 4;
        let long_enough = word.chars().count() > 2 || typed <= 1;
        if typed <= allowed && long_enough && typed < candidate.chars().count() {
            return Some(typed);
        }
        // An abbreviation begins alike and keeps the order of its letters; a part of the name counts too.
        let mut letters = candidate.chars();
        let abbreviates =
            candidate.chars().next() == word.chars().next() && word.chars().all(|w| letters.any(|c| c == w));
        let part = word.len() > 2 && candidate.contains(&word) || candidate.len() > 2 && word.contains(&candidate);
        (abbreviates || part).then_some(100 + candidate.len())
    };
    candidates.into_iter().filter_map(|c| score(c).map(|s| (s, c))).min_by_key(|(s, _)| *s).map(|(_, c)| c)
}

/// `"a", "b" and "c"`-like lists for messages: quoted names with commas.
pub(super) fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(|n| format!("{n:?}")).collect::<Vec<_>>().join(", ")
}

/// `did you mean "x"? ` where something is near, else nothing.
pub(super) fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, candidates).map_or(String::new(), |n| format!("did you mean {n:?}? "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_dashes_and_abbreviations_find_their_name() {
        let keys = ["learning_rate", "beta1", "beta2", "epsilon", "weight_decay", "groups"];
        assert_eq!(nearest("leraning_rate", keys), Some("learning_rate"));
        assert_eq!(nearest("Learning-Rate", keys), Some("learning_rate"));
        assert_eq!(nearest("lr", keys), Some("learning_rate"));
        assert_eq!(nearest("beta_1", keys), Some("beta1"));
        assert_eq!(nearest("decay", keys), Some("weight_decay"));
        assert_eq!(nearest("wd", keys), Some("weight_decay"));
        assert_eq!(nearest("banana", keys), None);
        assert_eq!(nearest("", keys), None);
    }

    #[test]
    fn common_spellings_find_our_names() {
        let kinds = ["gelu", "relu", "relu-squared", "silu", "swiglu", "tanh"];
        for word in ["relu2", "relu^2", "ReLU^2", "relu_squared", "squared-relu"] {
            assert_eq!(nearest(word, kinds), Some("relu-squared"), "{word}");
        }
        assert_eq!(nearest("swish", kinds), Some("silu"));
        assert_eq!(nearest("SwishGLU", kinds), Some("swiglu"));
        // An alias of what is not possible here is no suggestion.
        assert_eq!(nearest("swish", ["gelu", "tanh"]), None);
        let norms = ["none", "layer", "rms"];
        assert_eq!((nearest("rmsnorm", norms), nearest("LayerNorm", norms)), (Some("rms"), Some("layer")));
        assert_eq!(
            nearest("wsd", ["constant", "linear", "cosine", "warmup-stable-decay"]),
            Some("warmup-stable-decay")
        );
    }
}
