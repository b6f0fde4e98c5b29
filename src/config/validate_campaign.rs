//! What the types cannot say about a campaign: ranges, relations, and that its baseline and space are sound.

use super::document::split_path;
use super::space;
use super::types;
use super::validate::Issue;
use super::{Campaign, DeviceSpec, LlmSpec, PlannerKind, TrainingBudget};
use crate::problem::{Problem, Result};
use serde_json::Value;
use std::collections::BTreeSet;

impl Campaign {
    /// Everything about it that can be known without its data.
    ///
    /// # Errors
    /// A usage problem with the first findings.
    pub fn validate(&self) -> Result<()> {
        let problems = self.issues().into_iter().map(|i| Problem::usage(i.what).remedy(i.remedy)).collect();
        super::check::together(problems).map_or(Ok(()), Err)
    }

    /// Everything wrong with it that can be known without its data. The space is judged on a sound baseline only.
    pub(super) fn issues(&self) -> Vec<Issue> {
        let mut issues = self.own_issues();
        let baseline = self.baseline.issues();
        let sound = baseline.is_empty();
        issues.extend(baseline.into_iter().map(|mut issue| {
            issue.path.insert(0, "baseline".to_string());
            issue.others.iter_mut().for_each(|other| other.insert_str(0, "baseline."));
            issue.what = format!("baseline: {}", issue.what);
            issue
        }));
        if sound {
            issues.extend(space::issues(self));
        }
        issues
    }

    fn own_issues(&self) -> Vec<Issue> {
        let json = serde_json::to_value(self).unwrap_or_default();
        let mut issues = Vec::new();
        let mut need = |ok: bool, path: &str, wanted: &str| {
            if !ok {
                let keys = split_path(path);
                let value = keys.iter().try_fold(&json, |v, k| v.get(k)).map_or("absent".to_string(), Value::to_string);
                let doc = types::campaign().at(&json, &keys).map_or("", |(_, doc)| doc).to_string();
                let what = format!("{path} = {value} is not {wanted}");
                issues.push(Issue { path: keys, others: Vec::new(), what, remedy: doc });
            }
        };
        let legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let name = !self.name.is_empty() && self.name.len() <= 64 && self.name.chars().all(legal);
        need(name && !self.name.starts_with('-'), "name", "a name: 1 to 64 letters, digits, - and _");
        need(!self.question.trim().is_empty(), "question", "a question");
        let confidence = self.objective.confidence;
        need(confidence > 0.5 && confidence < 1.0, "objective.confidence", "in (0.5, 1)");
        need(self.objective.goal.is_none_or(f64::is_finite), "objective.goal", "a finite number");
        let budget = &self.budget;
        let hours = budget.device_hours > 0.0 && budget.device_hours <= 1e9;
        need(hours, "budget.device_hours", "above 0 and at most 1e9");
        let price = budget.dollars_per_device_hour;
        need((0.0..=1e6).contains(&price), "budget.dollars_per_device_hour", "in 0 to 1e6");
        need((0.0..=1e12).contains(&budget.dollars), "budget.dollars", "in 0 to 1e12");
        let overhead = budget.overhead_dollars_per_attempt;
        need((0.0..=1e6).contains(&overhead), "budget.overhead_dollars_per_attempt", "in 0 to 1e6");
        let downscale: BTreeSet<_> = budget.downscale.iter().map(|d| format!("{d:?}")).collect();
        need(downscale.len() == budget.downscale.len(), "budget.downscale", "a list without repetition");
        let seeds = &self.seeds;
        need((2..=1000).contains(&seeds.baseline), "seeds.baseline", "in 2 to 1000");
        need((2..=1000).contains(&seeds.confirm), "seeds.confirm", "in 2 to 1000");
        need((1..=1000).contains(&seeds.finalists), "seeds.finalists", "in 1 to 1000");
        let last = i64::try_from(seeds.first).ok().and_then(|f| f.checked_add(1000));
        need(last.is_some(), "seeds.first", "a whole number of at most 63 bits");
        need(i64::try_from(self.planner.seed).is_ok(), "planner.seed", "a whole number of at most 63 bits");
        need(self.planner.startup >= 1, "planner.startup", "1 or more");
        if let Some(halving) = &self.planner.halving {
            need(halving.first > 0.0 && halving.first <= 0.5, "planner.halving.first", "in (0, 0.5]");
            need((2..=100).contains(&halving.factor), "planner.halving.factor", "in 2 to 100");
        }
        if let Some(weighing) = &self.planner.weighing {
            need((2..=1000).contains(&weighing.pool), "planner.weighing.pool", "in 2 to 1000");
            need((0.0..=100.0).contains(&weighing.beta), "planner.weighing.beta", "in 0 to 100");
        }
        let share = self.planner.llm_share;
        need(share > 0.0 && share <= 0.3, "planner.llm_share", "above 0 and at most 0.3");
        need((2..=10_000).contains(&self.planner.population), "planner.population", "in 2 to 10000");
        let execution = &self.execution;
        need((1..=1024).contains(&execution.parallel), "execution.parallel", "in 1 to 1024");
        need((1..=64).contains(&execution.attempts_per_device), "execution.attempts_per_device", "in 1 to 64");
        need(execution.devices <= 1024, "execution.devices", "in 0 to 1024");
        need(execution.device_memory_mib <= 1 << 24, "execution.device_memory_mib", "in 0 to 16777216");
        need(execution.retries <= 100, "execution.retries", "in 0 to 100");
        need((0.0..=3600.0).contains(&execution.kill_margin_seconds), "execution.kill_margin_seconds", "in 0 to 3600");
        let waited = execution.dollars_per_hour_waited;
        need((0.0..=1e6).contains(&waited), "execution.dollars_per_hour_waited", "in 0 to 1e6");
        if let Some(llm) = &self.llm {
            need(!llm.model.trim().is_empty(), "llm.model", "the name of a model");
            need((1.0..=3600.0).contains(&llm.timeout_seconds), "llm.timeout_seconds", "in 1 to 3600");
            need(llm.retries <= 20, "llm.retries", "in 0 to 20");
            need(llm.repairs <= 10, "llm.repairs", "in 0 to 10");
            need((16..=200_000).contains(&llm.max_tokens), "llm.max_tokens", "in 16 to 200000");
            let http = |url: &String| url.starts_with("http://") || url.starts_with("https://");
            let plain = |url: &String| http(url) && !url.contains('@') && !url.contains(char::is_whitespace);
            need(llm.base_url.as_ref().is_none_or(plain), "llm.base_url", "an http(s) address without a password");
            let fair = |price: f64| (0.0..=1e6).contains(&price);
            need(llm.prices.values().all(|p| fair(p.input) && fair(p.output)), "llm.prices", "0 to 1e6 dollars each");
        }

        let mut relate = |ok: bool, path: &str, what: String, remedy: &str| {
            if !ok {
                issues.push(Issue { path: split_path(path), others: Vec::new(), what, remedy: remedy.to_string() });
            }
        };
        relate(
            // A site has prices of its own.
            self.execution.site.is_some()
                || budget.dollars == 0.0
                || price > 0.0
                || overhead > 0.0
                || self.llm.is_some(),
            "budget.dollars",
            format!("budget.dollars = {} never limits anything while a device-hour costs nothing", budget.dollars),
            "set budget.dollars_per_device_hour too, or dollars = 0",
        );
        let asked = self.llm.as_ref().filter(|_| self.planner.kind.asks() && budget.dollars > 0.0);
        let unpriced = asked.and_then(|l| l.planning_models().into_iter().find(|m| !l.prices.contains_key(*m)));
        relate(
            unpriced.is_none(),
            "llm.prices",
            format!(
                "budget.dollars limits what is spent, and llm.prices does not say what {} costs",
                unpriced.unwrap_or_default()
            ),
            "add its price, dollars a million tokens: [llm.prices.\"MODEL\"] with input = and output =, both 0 for a model of your own",
        );
        // Unpriced ones are told above.
        let answer = |l: &LlmSpec, m: &str| l.prices.get(m).map(|p| p.output * f64::from(l.max_tokens) / 1e6);
        let dearest = asked.and_then(|l| {
            let costs = l.planning_models().into_iter().filter_map(|m| Some((m.to_string(), answer(l, m)?)));
            costs.max_by(|a, b| a.1.total_cmp(&b.1)).filter(|(_, dollars)| *dollars > budget.dollars)
        });
        let (model, dollars) = dearest.clone().unwrap_or_default();
        relate(
            dearest.is_none(),
            "llm.max_tokens",
            format!(
                "one answer of {model} may cost ${dollars:.4}, and budget.dollars = {} for everything: it would never be asked",
                budget.dollars
            ),
            "lower llm.max_tokens, or raise budget.dollars",
        );
        relate(
            self.planner.classical.is_none() || self.planner.kind.asks(),
            "planner.classical",
            "planner.classical is the sampler beside a language model, and planner.kind asks none".to_string(),
            "leave planner.classical out, or set planner.kind = \"hybrid\"",
        );
        relate(
            !self.planner.classical.is_some_and(|kind| kind.asks() || kind == PlannerKind::Manual),
            "planner.classical",
            "planner.classical must be a sampler that needs neither a language model nor a list".to_string(),
            "choose random, grid, tpe, cma-es or evolution",
        );
        relate(
            self.planner.weighing.is_none() || self.planner.kind != PlannerKind::Manual,
            "planner.weighing",
            "planner.weighing chooses among several proposals, and manual makes one: the next of its list".to_string(),
            "leave planner.weighing out, or choose another planner.kind",
        );
        relate(
            self.planner.halving.is_none()
                || !matches!(self.baseline.training.budget, TrainingBudget::DeviceSeconds(_)),
            "planner.halving",
            "planner.halving needs rungs in training steps, and baseline.training.budget is in device-seconds"
                .to_string(),
            "give the training budget in steps, epochs or tokens",
        );
        let sharing = self.execution.attempts_per_device > 1;
        relate(
            !sharing || (self.baseline.resources.device.is_gpu() && self.execution.site.is_none()),
            "execution.attempts_per_device",
            format!(
                "execution.attempts_per_device = {} is for GPUs of this machine",
                self.execution.attempts_per_device
            ),
            "set baseline.resources.device = \"cuda\" and no execution.site, or leave attempts_per_device out",
        );
        relate(
            self.execution.site.is_none() || !matches!(self.baseline.resources.device, DeviceSpec::Cuda(1..)),
            "baseline.resources.device",
            format!(
                "baseline.resources.device = \"{}\" names a GPU by its number, and a job has one, number 0",
                self.baseline.resources.device
            ),
            "write device = \"cuda\": SLURM chooses the GPU",
        );
        relate(
            seeds.confirm <= seeds.baseline,
            "seeds.confirm",
            format!("seeds.confirm = {} is more than seeds.baseline = {}", seeds.confirm, seeds.baseline),
            "candidates are compared with the baseline seed by seed: raise baseline or lower confirm",
        );
        relate(
            budget.runs == 0 || budget.runs > seeds.baseline,
            "budget.runs",
            format!("budget.runs = {} leaves nothing after the baseline's {} seeds", budget.runs, seeds.baseline),
            "allow more runs, or 0 for no limit",
        );
        let metrics = self.baseline.data.metrics();
        let names = metrics.iter().map(|m| m.name()).collect::<Vec<_>>().join(", ");
        relate(
            metrics.contains(&self.objective.metric),
            "objective.metric",
            format!("objective.metric = {:?} is not measured on the baseline's data", self.objective.metric.name()),
            &format!("choose one of {names}"),
        );
        issues
    }
}
