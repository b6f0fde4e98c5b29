//! Names of settings, metrics and methods as prose uses them.

use crate::campaign::{State, value_text};
use crate::config::{DataSpec, Metric, TableTask};
use serde_json::Value;

/// A setting's path in words: `learning rate`, `width of the residual stream`.
pub fn readable(path: &str) -> String {
    let known = match path {
        "model.widths" => "hidden widths",
        "model.width" => "model width",
        "model.depth" => "depth",
        "model.heads" => "number of heads",
        "model.kv_heads" => "number of key-value heads",
        "model.context" => "context length",
        "model.norm" => "normalisation",
        "model.positions" => "position encoding",
        "model.feed_forward" => "feed-forward variant",
        "model.expansion" => "feed-forward expansion",
        "model.qk_norm" => "query-key normalisation",
        "model.activation" => "activation",
        "model.dropout" => "dropout",
        "model.residual" => "residual connections",
        "model.init_scale" => "initial scale",
        "model.tied" => "tied embeddings",
        "optimizer.kind" => "optimiser",
        "optimizer.learning_rate" => "learning rate",
        "optimizer.weight_decay" => "weight decay",
        "optimizer.momentum" => "momentum",
        "optimizer.beta1" => "first-moment decay",
        "optimizer.beta2" => "second-moment decay",
        "optimizer.epsilon" => "epsilon",
        "schedule.shape" => "learning-rate schedule",
        "schedule.warmup_fraction" => "warm-up fraction",
        "schedule.final_scale" => "final learning-rate scale",
        "schedule.decay_fraction" => "decay fraction",
        "training.batch_size" => "batch size",
        "training.label_smoothing" => "label smoothing",
        "training.clip_norm" => "clipping norm",
        "training.ema_decay" => "weight-averaging decay",
        "training.precision" => "precision",
        "training.budget.steps" => "training steps",
        "training.budget.epochs" => "training epochs",
        "evaluation.every" => "evaluation interval",
        "data.validation_fraction" => "validation fraction",
        "data.modulus" => "modulus",
        _ => return path.rsplit('.').next().unwrap_or(path).replace('_', " "),
    };
    known.to_string()
}

/// A setting's value in words.
pub fn setting(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(setting).collect::<Vec<_>>().join(", ")),
        Value::Bool(true) => "on".to_string(),
        Value::Bool(false) => "off".to_string(),
        Value::Null => "none".to_string(),
        other => value_text(other),
    }
}

/// A path as a part of a fact's id: the last segment with hyphens, the whole where it would be ambiguous.
pub fn slug(path: &str) -> String {
    path.replace('_', "-")
}

/// The objective in prose, with `validation` before it.
pub fn metric_name(metric: Metric) -> &'static str {
    match metric {
        Metric::Loss => "validation loss",
        Metric::Accuracy => "validation accuracy",
        Metric::BitsPerByte => "validation cross-entropy",
        Metric::R2 => "validation coefficient of determination",
    }
}

/// Words by which prose means the objective.
pub fn metric_words(metric: Metric) -> Vec<String> {
    let own: &[&str] = match metric {
        Metric::Loss => &["validation loss", "loss", "error"],
        Metric::Accuracy => &["validation accuracy", "accuracy", "error", "error rate"],
        Metric::BitsPerByte => &["validation cross-entropy", "cross-entropy", "bits per byte", "compression", "loss"],
        Metric::R2 => &["coefficient of determination", "r squared", "fit", "error"],
    };
    own.iter().map(|w| (*w).to_string()).collect()
}

/// Unit of the objective's values; empty for pure numbers.
pub fn metric_unit(state: &State) -> &'static str {
    let regression = matches!(&state.campaign.baseline.data, DataSpec::Csv(csv) if csv.task == TableTask::Regression);
    match state.campaign.objective.metric {
        Metric::Loss if !regression => "nats",
        Metric::BitsPerByte => "bits per byte",
        _ => "",
    }
}

/// What a planner's sampler is called in prose.
pub fn sampler(kind: crate::config::PlannerKind) -> &'static str {
    use crate::config::PlannerKind as K;
    match kind {
        K::Random => "random search",
        K::Grid => "grid search",
        K::Tpe => "a tree-structured Parzen estimator",
        K::CmaEs => "the covariance matrix adaptation evolution strategy",
        K::Evolution => "an evolutionary search",
        K::Manual => "a list written by hand",
        K::Llm => "a language model",
        K::Hybrid => "a hybrid of a classical sampler and a language model",
    }
}

/// `a`, `a and b`, `a, b and c`.
pub fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [head @ .., last] => format!("{} and {last}", head.join(", ")),
    }
}
