//! What the types cannot say about an experiment but is known before any data is read: ranges and relations.
//!
//! Boundary: pure; shapes that the data decides (classes, image size, samples) are checked in `graph` and `data`.

use super::types;
use super::{
    CnnModel, CsvData, DataSpec, EngineKind, Experiment, GptModel, MlpModel, ModelSpec, OptimizerSpec, ParamGroup,
    Precision, ScheduleShape, TableTask, TrainingBudget,
};
use super::{Metric, document::split_path};
use serde_json::Value;
use std::collections::BTreeSet;

/// Something that cannot be, at a path.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Issue {
    /// Keys from the top of the document.
    pub path: Vec<String>,
    /// Other settings that share the blame: changing one of them could resolve it too.
    pub others: Vec<String>,
    /// With path and value.
    pub what: String,
    /// What would be right.
    pub remedy: String,
}

/// Steps are 32-bit counters of the random number generator.
const MAX_STEPS: u64 = u32::MAX as u64;
/// Beyond any sensible size; keeps later products of sizes far from overflow.
const MAX_SIZE: usize = 1 << 20;
const MAX_LAYERS: usize = 1024;

/// What is predicted, as far as the config alone tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Task {
    Classes,
    Language,
    Regression,
}

impl DataSpec {
    fn task(&self) -> Task {
        match self {
            DataSpec::Text(_) => Task::Language,
            DataSpec::Csv(CsvData { task: TableTask::Regression, .. }) => Task::Regression,
            _ => Task::Classes,
        }
    }

    /// The metrics an evaluation on this data reports.
    pub fn metrics(&self) -> &'static [Metric] {
        match self.task() {
            Task::Classes => &[Metric::Loss, Metric::Accuracy],
            Task::Language => &[Metric::Loss, Metric::Accuracy, Metric::BitsPerByte],
            Task::Regression => &[Metric::Loss, Metric::R2],
        }
    }
}

/// Collects issues; the remedy of a range is the field's own documentation, which states it.
struct Rules {
    json: Value,
    issues: Vec<Issue>,
}

impl Rules {
    fn value(&self, path: &[String]) -> String {
        let value = path.iter().try_fold(&self.json, |value, key| match value {
            Value::Array(items) => items.get(key.parse::<usize>().ok()?),
            value => value.get(key),
        });
        value.map_or("absent".to_string(), Value::to_string)
    }

    /// `path = value is not WANTED`.
    fn range(&mut self, ok: bool, path: &str, wanted: &str) {
        if !ok {
            let keys = split_path(path);
            let doc = types::experiment().at(&self.json, &keys).map_or("", |(_, doc)| doc);
            let what = format!("{path} = {} is not {wanted}", self.value(&keys));
            self.issues.push(Issue { path: keys, others: Vec::new(), what, remedy: doc.to_string() });
        }
    }

    fn relation(&mut self, ok: bool, path: &str, others: &[&str], what: impl Into<String>, remedy: &str) {
        if !ok {
            let others = others.iter().map(|o| o.to_string()).collect();
            self.issues.push(Issue { path: split_path(path), others, what: what.into(), remedy: remedy.to_string() });
        }
    }

    fn size(&mut self, value: usize, path: &str) {
        self.range((1..=MAX_SIZE).contains(&value), path, &format!("in 1 to {MAX_SIZE}"));
    }

    fn fraction(&mut self, value: f64, path: &str) {
        self.range((0.0..1.0).contains(&value), path, "in [0, 1)");
    }

    fn positive(&mut self, value: f64, path: &str) {
        self.range(value > 0.0 && value.is_finite(), path, "above 0");
    }

    fn not_negative(&mut self, value: f64, path: &str) {
        self.range(value >= 0.0 && value.is_finite(), path, "0 or more");
    }

    /// Seeds must fit in TOML's 64-bit signed integers, or the resolved config could not be written down.
    fn seed(&mut self, value: u64, path: &str) {
        self.range(i64::try_from(value).is_ok(), path, "in 0 to 9223372036854775807");
    }
}

impl Experiment {
    /// Everything wrong with it that can be known without its data.
    pub(super) fn issues(&self) -> Vec<Issue> {
        let mut rules = Rules { json: serde_json::to_value(self).unwrap_or_default(), issues: Vec::new() };
        data(&mut rules, &self.data);
        match &self.model {
            ModelSpec::Mlp(model) => mlp(&mut rules, model),
            ModelSpec::Gpt(model) => gpt(&mut rules, model),
            ModelSpec::Cnn(model) => cnn(&mut rules, model),
        }
        optimizer(&mut rules, &self.optimizer);
        schedule(&mut rules, self);
        training(&mut rules, self);
        between_sections(&mut rules, self);
        rules.issues
    }
}

fn data(rules: &mut Rules, data: &DataSpec) {
    let (share, seed) = match data {
        DataSpec::Digits(d) => (d.validation_fraction, d.split_seed),
        DataSpec::Idx(d) => (d.validation_fraction, d.split_seed),
        DataSpec::Csv(d) => (d.validation_fraction, d.split_seed),
        DataSpec::Text(d) => (d.validation_fraction, 0),
        DataSpec::Modular(d) => (d.validation_fraction, d.split_seed),
    };
    rules.range(share > 0.0 && share < 1.0, "data.validation_fraction", "in (0, 1)");
    rules.seed(seed, "data.split_seed");
    match data {
        DataSpec::Digits(_) => {}
        DataSpec::Idx(d) => {
            let files = usize::from(d.images.is_some()) + usize::from(d.labels.is_some());
            let ok = if d.name.is_some() { files == 0 } else { files == 2 };
            let what = match (&d.name, files) {
                (Some(name), _) => format!("data names the known set {name:?} and files of its own"),
                (None, 0) => "data of kind \"idx\" names no images".to_string(),
                (None, _) => "data of kind \"idx\" needs both images and labels".to_string(),
            };
            let remedy = "give either name = a known set, or both images and labels = paths";
            rules.relation(ok, "data", &["data.kind", "data.name", "data.images", "data.labels"], what, remedy);
        }
        DataSpec::Csv(d) => {
            rules.range(!d.path.is_empty(), "data.path", "a path");
            rules.range(!d.target.is_empty(), "data.target", "a column name");
            let what = format!("the target column {:?} is also in data.ignore", d.target);
            let remedy = "take it out of ignore: the target is never a feature";
            rules.relation(!d.ignore.contains(&d.target), "data.ignore", &["data.target"], what, remedy);
        }
        DataSpec::Text(d) => {
            let what = match (&d.name, &d.path) {
                (Some(name), Some(path)) => format!("data has both name = {name:?} and path = {path:?}"),
                _ => "data of kind \"text\" names no text".to_string(),
            };
            let remedy = "give either name = a known text, e.g. \"tinyshakespeare\", or path = a file";
            rules.relation(
                d.name.is_some() != d.path.is_some(),
                "data",
                &["data.kind", "data.name", "data.path"],
                what,
                remedy,
            );
        }
        DataSpec::Modular(d) => rules.range((2..=1024).contains(&d.modulus), "data.modulus", "in 2 to 1024"),
    }
}

fn widths(rules: &mut Rules, widths: &[usize]) {
    rules.range(widths.len() <= MAX_LAYERS, "model.widths", &format!("a list of at most {MAX_LAYERS}"));
    for (index, width) in widths.iter().enumerate().take(MAX_LAYERS) {
        rules.size(*width, &format!("model.widths.{index}"));
    }
}

fn mlp(rules: &mut Rules, model: &MlpModel) {
    widths(rules, &model.widths);
    rules.fraction(model.dropout, "model.dropout");
}

fn gpt(rules: &mut Rules, model: &GptModel) {
    rules.range((1..=MAX_LAYERS).contains(&model.depth), "model.depth", &format!("in 1 to {MAX_LAYERS}"));
    rules.size(model.width, "model.width");
    rules.size(model.heads, "model.heads");
    rules.size(model.context, "model.context");
    rules.fraction(model.dropout, "model.dropout");
    rules.positive(model.init_scale, "model.init_scale");
    if let Some(expansion) = model.expansion {
        let ok = expansion > 0.0 && expansion <= 64.0;
        rules.range(ok, "model.expansion", "in (0, 64]");
        let hidden = expansion * model.width as f64;
        let what = format!("model.expansion = {expansion} of width {} leaves no hidden unit", model.width);
        rules.relation(!ok || hidden >= 1.0, "model.expansion", &["model.width"], what, "raise one of the two");
    }
    if model.heads == 0 || model.width == 0 {
        return;
    }
    let divides = model.width.is_multiple_of(model.heads);
    let what = format!("model.heads = {} does not divide model.width = {}", model.heads, model.width);
    let near = format!("choose heads among {}, or another width", divisors(model.width));
    rules.relation(divides, "model.heads", &["model.width"], what, &near);
    if let Some(kv) = model.kv_heads {
        rules.size(kv, "model.kv_heads");
        let what = format!("model.kv_heads = {kv} does not divide model.heads = {}", model.heads);
        let near = format!("choose kv_heads among {}", divisors(model.heads));
        rules.relation(kv == 0 || model.heads.is_multiple_of(kv), "model.kv_heads", &["model.heads"], what, &near);
    }
    let head = model.width / model.heads;
    let rotary = model.positions == super::Positions::Rotary;
    let what = format!("rotary positions need an even head size, and model.width / model.heads = {head}");
    let others = ["model.width", "model.heads"];
    rules.relation(
        !rotary || !divides || head.is_multiple_of(2),
        "model.positions",
        &others,
        what,
        "choose other heads, another width, or positions = \"learned\"",
    );
}

fn cnn(rules: &mut Rules, model: &CnnModel) {
    rules.range(!model.stages.is_empty(), "model.stages", "a list of at least one stage");
    rules.range(model.stages.len() <= MAX_LAYERS, "model.stages", &format!("a list of at most {MAX_LAYERS}"));
    for (index, stage) in model.stages.iter().enumerate().take(MAX_LAYERS) {
        let at = |key: &str| format!("model.stages.{index}.{key}");
        rules.size(stage.channels, &at("channels"));
        rules.range((1..=MAX_LAYERS).contains(&stage.convs), &at("convs"), &format!("in 1 to {MAX_LAYERS}"));
        rules.range(stage.kernel % 2 == 1 && stage.kernel <= 63, &at("kernel"), "odd and in 1 to 63");
        let fits = model.norm_groups == 0 || stage.channels.is_multiple_of(model.norm_groups);
        let channels = at("channels");
        let what = format!("model.norm_groups = {} does not divide {channels} = {}", model.norm_groups, stage.channels);
        let near = format!("choose norm_groups among {}, or 0 for no norm", divisors(stage.channels));
        rules.relation(fits, "model.norm_groups", &[&channels], what, &near);
    }
    widths(rules, &model.widths);
    rules.fraction(model.dropout, "model.dropout");
}

fn optimizer(rules: &mut Rules, optimizer: &OptimizerSpec) {
    let (rate, decay, groups) = match optimizer {
        OptimizerSpec::Sgd(o) => {
            rules.fraction(o.momentum, "optimizer.momentum");
            let what = "optimizer.nesterov = true needs optimizer.momentum above 0";
            let remedy = "set momentum, e.g. 0.9, or nesterov = false";
            let ok = !o.nesterov || o.momentum > 0.0;
            rules.relation(ok, "optimizer.nesterov", &["optimizer.momentum"], what, remedy);
            (o.learning_rate, o.weight_decay, &o.groups)
        }
        OptimizerSpec::Adamw(o) => {
            rules.fraction(o.beta1, "optimizer.beta1");
            rules.fraction(o.beta2, "optimizer.beta2");
            rules.positive(o.epsilon, "optimizer.epsilon");
            (o.learning_rate, o.weight_decay, &o.groups)
        }
    };
    rules.positive(rate, "optimizer.learning_rate");
    rules.not_negative(decay, "optimizer.weight_decay");
    let mut roles = BTreeSet::new();
    for (index, ParamGroup { role, learning_rate_scale, weight_decay }) in groups.iter().enumerate() {
        let at = |key: &str| format!("optimizer.groups.{index}.{key}");
        let shown = rules.value(&split_path(&at("role")));
        let what = format!("optimizer.groups names the role {shown} a second time");
        rules.relation(roles.insert(*role), &at("role"), &[], what, "keep one group for each role");
        rules.not_negative(*learning_rate_scale, &at("learning_rate_scale"));
        rules.not_negative(weight_decay.unwrap_or(0.0), &at("weight_decay"));
    }
}

fn schedule(rules: &mut Rules, experiment: &Experiment) {
    let s = &experiment.schedule;
    rules.fraction(s.warmup_fraction, "schedule.warmup_fraction");
    rules.range((0.0..=1.0).contains(&s.final_scale), "schedule.final_scale", "in [0, 1]");
    let decay = s.decay_fraction > 0.0 && s.decay_fraction <= 1.0;
    rules.range(decay, "schedule.decay_fraction", "in (0, 1]");
    let fits = s.shape != ScheduleShape::WarmupStableDecay || s.warmup_fraction + s.decay_fraction <= 1.0 + 1e-12;
    let what = format!(
        "schedule.warmup_fraction = {} and schedule.decay_fraction = {} are more than the whole run",
        s.warmup_fraction, s.decay_fraction
    );
    let others = ["schedule.warmup_fraction", "schedule.shape"];
    rules.relation(fits, "schedule.decay_fraction", &others, what, "lower one of them: together at most 1");
}

fn training(rules: &mut Rules, experiment: &Experiment) {
    let t = &experiment.training;
    rules.size(t.batch_size, "training.batch_size");
    match t.budget {
        TrainingBudget::Steps(n) => {
            rules.range((1..=MAX_STEPS).contains(&n), "training.budget.steps", &format!("in 1 to {MAX_STEPS}"));
        }
        TrainingBudget::Epochs(n) => {
            rules.range(n > 0.0 && n <= 1e6, "training.budget.epochs", "above 0 and at most 1000000");
        }
        TrainingBudget::Tokens(n) => {
            rules.range(n >= 1 && i64::try_from(n).is_ok(), "training.budget.tokens", "in 1 to 9223372036854775807");
        }
        TrainingBudget::DeviceSeconds(n) => rules.positive(n, "training.budget.device_seconds"),
    }
    rules.fraction(t.label_smoothing, "training.label_smoothing");
    rules.not_negative(t.clip_norm, "training.clip_norm");
    rules.fraction(t.ema_decay, "training.ema_decay");
    rules.seed(t.seed, "training.seed");
    let e = &experiment.evaluation;
    let every = e.every.is_none_or(|n| (1..=MAX_STEPS).contains(&n));
    rules.range(every, "evaluation.every", &format!("in 1 to {MAX_STEPS}"));
    rules.size(e.batch_size, "evaluation.batch_size");
    rules.seed(e.samples as u64, "evaluation.samples");
    rules.seed(e.checkpoint_every, "evaluation.checkpoint_every");
    rules.range((1..=MAX_SIZE).contains(&e.keep_checkpoints), "evaluation.keep_checkpoints", "1 or more");
    let r = &experiment.resources;
    rules.range(r.threads <= 4096, "resources.threads", "in 0 to 4096");
    rules.not_negative(r.wall_seconds, "resources.wall_seconds");
    rules.range(r.memory_mib < 1 << 40, "resources.memory_mib", "a size of memory in MiB");
    let compiled = r.engine == Some(EngineKind::Compiled);
    rules.relation(
        !(compiled && r.device.is_gpu()),
        "resources.engine",
        &["resources.device"],
        format!(
            "resources.engine = \"compiled\" cannot run on resources.device = \"{}\": it is a CPU engine",
            r.device
        ),
        "leave resources.engine out, or set it to \"reference\"",
    );
    rules.relation(
        !(compiled && t.precision != Precision::F32),
        "resources.engine",
        &["training.precision"],
        "resources.engine = \"compiled\" computes in f32, and training.precision is \"bf16\"",
        "leave resources.engine out, or set training.precision = \"f32\"",
    );
    let divides = r.micro_batch == 0 || t.batch_size.is_multiple_of(r.micro_batch);
    let what =
        format!("resources.micro_batch = {} does not divide training.batch_size = {}", r.micro_batch, t.batch_size);
    let near = format!("choose among {}, or 0 for the whole batch", divisors(t.batch_size));
    rules.relation(divides, "resources.micro_batch", &["training.batch_size"], what, &near);
}

/// Sections that must fit each other.
fn between_sections(rules: &mut Rules, experiment: &Experiment) {
    let kind = |rules: &Rules, section: &str| rules.value(&[section.to_string(), "kind".to_string()]);
    let (model, data) = (kind(rules, "model"), kind(rules, "data"));
    let what = format!("a model of kind {model} cannot read data of kind {data}");
    let tokens = matches!(experiment.data, DataSpec::Text(_) | DataSpec::Modular(_));
    let images = matches!(experiment.data, DataSpec::Digits(_) | DataSpec::Idx(_));
    let (ok, remedy) = match experiment.model {
        ModelSpec::Gpt(_) => (tokens, "a gpt reads tokens: data of kind \"text\" or \"modular\""),
        ModelSpec::Cnn(_) => (images, "a cnn reads images: data of kind \"digits\" or \"idx\""),
        ModelSpec::Mlp(_) => (experiment.data.task() != Task::Language, "text needs a model of kind \"gpt\""),
    };
    rules.relation(ok, "model.kind", &["data.kind"], what, remedy);
    let smooth = experiment.data.task() == Task::Regression && experiment.training.label_smoothing > 0.0;
    rules.relation(
        !smooth,
        "training.label_smoothing",
        &["data.task"],
        format!("training.label_smoothing = {} means nothing in a regression", experiment.training.label_smoothing),
        "set it to 0: only classes can be smoothed",
    );
}

/// The divisors of a size, for a message; the smallest ones where there are many.
fn divisors(n: usize) -> String {
    if n == 0 || n > MAX_SIZE {
        return "its divisors".to_string();
    }
    let small: Vec<usize> = (1..=n.isqrt()).filter(|d| n.is_multiple_of(*d)).collect();
    let all: BTreeSet<usize> = small.iter().flat_map(|d| [*d, n / d]).collect();
    let shown: Vec<String> = all.iter().take(10).map(usize::to_string).collect();
    format!("{}{}", shown.join(", "), if all.len() > 10 { ", ..." } else { "" })
}
