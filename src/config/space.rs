//! Search spaces: what their parameters mean, and whether a campaign's parameters can be set on its baseline.
//!
//! Boundary: pure; draws nothing (samplers do) and spends nothing.

use super::document::split_path;
use super::types::{self, Type};
use super::validate::Issue;
use super::{Campaign, Constraint, Domain, Parameter, PlannerKind, Relation};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Most values of one parameter in a grid.
const MOST_POINTS: usize = 1000;

/// Settings that must not differ between runs that are compared, with the reason.
const FIXED: [(&str, &str); 6] = [
    ("training.seed", "the campaign sets it, from [seeds]"),
    ("data.split_seed", "all runs must be judged on the same samples"),
    ("data.validation_fraction", "all runs must be judged on the same samples"),
    ("evaluation.samples", "all runs must be judged on the same samples"),
    ("evaluation.checkpoint_every", "it does not change results"),
    ("evaluation.keep_checkpoints", "it does not change results"),
];

/// Whether two setting values are the same; 1 and 1.0 are.
pub fn same_value(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_value(a, b)),
        (a, b) => a == b,
    }
}

impl Parameter {
    /// Whether the parameter is present beside these values: each path in `when` is there with one of its values.
    pub fn active(&self, assignment: &BTreeMap<String, Value>) -> bool {
        let holds = |(path, values): (&String, &Vec<Value>)| {
            assignment.get(path).is_some_and(|value| values.iter().any(|v| same_value(v, value)))
        };
        self.when.iter().all(holds)
    }
}

impl Domain {
    /// Whether a value belongs to the domain.
    pub fn contains(&self, value: &Value) -> bool {
        match self {
            Domain::Float { low, high, .. } | Domain::LogFloat { low, high, .. } => {
                value.as_f64().is_some_and(|x| (*low..=*high).contains(&x))
            }
            Domain::Int { low, high, step, .. } => value.as_f64().is_some_and(|x| {
                let whole = x.fract() == 0.0 && (*low as f64..=*high as f64).contains(&x);
                whole && (x as i64).checked_sub(*low).is_some_and(|d| *step > 0 && d % *step == 0)
            }),
            Domain::Choice { values } => values.iter().any(|v| same_value(v, value)),
        }
    }
}

/// The issues of a campaign's space and constraints; the baseline itself must be free of issues.
pub(super) fn issues(campaign: &Campaign) -> Vec<Issue> {
    let mut space = SpaceCheck { campaign, issues: Vec::new() };
    if campaign.batch.is_some() {
        return Vec::new();
    }
    if campaign.space.is_empty() {
        let remedy = "name at least one setting, e.g. \"optimizer.learning_rate\" = { type = \"log-float\", low = 1e-4, high = 1e-1 }";
        space.add(&["space"], "the search space is empty".into(), remedy);
    }
    for (path, parameter) in &campaign.space {
        let before = space.issues.len();
        space.domain(path, parameter);
        space.fixed(path);
        space.conditions(path, parameter);
        if space.issues.len() == before {
            space.switches(path, parameter);
        }
        if space.issues.len() == before {
            space.values(path, parameter);
        }
    }
    for (index, constraint) in campaign.constraints.iter().enumerate() {
        space.constraint(index, constraint);
    }
    space.list();
    space.issues
}

struct SpaceCheck<'a> {
    campaign: &'a Campaign,
    issues: Vec<Issue>,
}

impl SpaceCheck<'_> {
    fn add(&mut self, path: &[&str], what: String, remedy: &str) {
        let path = path.iter().map(|k| k.to_string()).collect();
        self.issues.push(Issue { path, others: Vec::new(), what, remedy: remedy.to_string() });
    }

    fn domain(&mut self, path: &str, parameter: &Parameter) {
        let mut wrong = |key: &str, what: String, remedy: &str| self.add(&["space", path, key], what, remedy);
        let mut bounds = |low: f64, high: f64, log: bool| {
            if !(low.is_finite() && high.is_finite() && low < high) {
                wrong("low", format!("{path}: low = {low} is not below high = {high}"), "order the bounds");
            } else if log && low <= 0.0 {
                let what = format!("{path}: low = {low} has no logarithm");
                wrong("low", what, "raise low above 0, or use a range that is not logarithmic");
            }
        };
        match &parameter.domain {
            Domain::Float { low, high, points } | Domain::LogFloat { low, high, points } => {
                bounds(*low, *high, matches!(parameter.domain, Domain::LogFloat { .. }));
                if *points == 0 {
                    wrong("points", format!("{path}: points = 0 leaves a grid nothing to try"), "give 1 or more");
                } else if *points > MOST_POINTS {
                    let what = format!("{path}: points = {points} is more than any grid can try");
                    wrong("points", what, &format!("give at most {MOST_POINTS}"));
                }
            }
            Domain::Int { low, high, step, log } => {
                bounds(*low as f64, *high as f64, *log);
                if *step < 1 {
                    wrong("step", format!("{path}: step = {step} is not at least 1"), "give 1 or more");
                }
            }
            Domain::Choice { values } => {
                if values.is_empty() {
                    wrong("values", format!("{path}: values is empty"), "list at least one value");
                }
                let repeated = values.iter().enumerate().find(|(i, v)| values[..*i].iter().any(|w| same_value(v, w)));
                if let Some((_, value)) = repeated {
                    wrong("values", format!("{path}: {value} stands twice in values"), "list each value once");
                }
            }
        }
    }

    /// The list of a manual planner: there where it is asked for, and all of it within the space.
    fn list(&mut self) {
        let planner = &self.campaign.planner;
        match (planner.kind == PlannerKind::Manual, planner.list.is_empty()) {
            (true, true) => {
                let remedy = "list what to try: planner.list = [{ \"optimizer.learning_rate\" = 0.01 }]";
                self.add(&["planner", "list"], "planner.list is empty, and the planner is manual".into(), remedy);
            }
            (false, false) => {
                let remedy = "remove the list, or set planner.kind = \"manual\"";
                self.add(&["planner", "list"], "planner.list is not used by this planner".into(), remedy);
            }
            _ => {}
        }
        for (index, entry) in planner.list.iter().enumerate() {
            let position = index.to_string();
            for (path, value) in entry {
                let at = ["planner", "list", &position, path];
                let Some(parameter) = self.campaign.space.get(path) else {
                    let near = super::nearest::did_you_mean(path, self.campaign.space.keys().map(String::as_str));
                    let what = format!("planner.list: {path:?} is not a parameter of the space");
                    self.add(&at, what, &format!("{near}the list can only set parameters of [space]"));
                    continue;
                };
                if !parameter.domain.contains(value) {
                    let what = format!("planner.list: {path} = {value} is outside its range in [space]");
                    self.add(&at, what, "widen the range or change the value");
                } else if !parameter.active(entry) {
                    let what = format!("planner.list: {path} is set beside values with which it is not present");
                    self.add(&at, what, "see its `when` in [space], and set what it depends on in the same entry");
                }
            }
        }
    }

    fn fixed(&mut self, path: &str) {
        let reason = FIXED.iter().find(|(p, _)| *p == path).map(|(_, reason)| *reason);
        let reason = reason.or_else(|| path.starts_with("resources.").then_some("it does not change results"));
        if let Some(reason) = reason {
            self.add(&["space", path], format!("{path} cannot be searched: {reason}"), "remove it from the space");
        }
    }

    fn conditions(&mut self, path: &str, parameter: &Parameter) {
        for (other, values) in &parameter.when {
            let at = ["space", path, "when", other];
            let Some(theirs) = self.campaign.space.get(other) else {
                let names = self.campaign.space.keys().map(String::as_str);
                let near = super::nearest::did_you_mean(other, names);
                let what = format!("{path}: when names {other:?}, which is not a parameter of the space");
                self.add(&at, what, &format!("{near}conditions can only name other parameters of [space]"));
                continue;
            };
            if values.is_empty() {
                self.add(&at, format!("{path}: when gives no value of {other}"), "list the values it is present with");
            }
            if let Some(value) = values.iter().find(|v| !theirs.domain.contains(v)) {
                let what = format!("{path}: when asks for {other} = {value}, which it never is");
                self.add(&at, what, "list values that the other parameter can take");
            }
        }
        if self.circular(path) {
            let what = format!("{path}: its conditions lead back to itself");
            self.add(&["space", path, "when"], what, "break the circle: remove one of the conditions");
        }
    }

    /// Whether following conditions from a parameter leads back to it.
    fn circular(&self, start: &str) -> bool {
        let (mut open, mut seen) = (vec![start], BTreeSet::new());
        while let Some(parameter) = open.pop().and_then(|path| self.campaign.space.get(path)) {
            for next in parameter.when.keys().filter(|next| self.campaign.space.contains_key(*next)) {
                if next == start {
                    return true;
                }
                if seen.insert(next) {
                    open.push(next);
                }
            }
        }
        false
    }

    /// A setting that only some kinds (or presets) have, in a space that searches the kind, must say with which.
    fn switches(&mut self, path: &str, parameter: &Parameter) {
        let Some((section, _)) = path.rsplit_once('.') else { return };
        let Some(probe) = parameter.domain.ends().into_iter().next() else { return };
        for switch in ["kind", "preset"].map(|key| format!("{section}.{key}")) {
            let Some(Domain::Choice { values }) = self.campaign.space.get(&switch).map(|p| &p.domain) else { continue };
            if switch == path {
                continue;
            }
            // A value that the switch itself cannot have is told where the switch is looked at.
            let possible =
                |value: &&Value| self.campaign.baseline.assign(&[(switch.clone(), (*value).clone())].into()).is_ok();
            let exists = |value: &Value| {
                let mut assignment = self.campaign.beside(parameter);
                assignment.extend([(switch.clone(), value.clone()), (path.to_string(), probe.clone())]);
                self.campaign.baseline.assign(&assignment).is_ok()
            };
            let (with, without): (Vec<&Value>, Vec<&Value>) = values.iter().filter(possible).partition(|v| exists(v));
            let allowed = |v: &Value| parameter.when.get(&switch).is_none_or(|vs| vs.iter().any(|w| same_value(v, w)));
            // Where no value of the switch has it, the path itself is wrong, and `values` says how.
            if let (Some(value), false) = (without.iter().find(|v| allowed(v)), with.is_empty()) {
                let what = format!("{path} does not exist with {switch} = {value}");
                let list = with.iter().map(|v| v.to_string()).collect::<Vec<_>>().join(", ");
                self.add(&["space", path], what, &format!("add when = {{ {switch:?} = [{list}] }} to it"));
            }
        }
    }

    /// Tries the ends of a range, or every choice, on the baseline.
    fn values(&mut self, path: &str, parameter: &Parameter) {
        let context = self.campaign.beside(parameter);
        let Ok(base) = self.campaign.baseline.assign(&context) else { return };
        let keys = split_path(path);
        let json = serde_json::to_value(&base).unwrap_or_default();
        let ty = types::experiment().at(&json, &keys).map(|(ty, _)| ty);
        if let (None, Some(probe), false) = (ty, parameter.domain.ends().first(), path == "model.preset") {
            let mut assignment = context.clone();
            assignment.insert(path.to_string(), probe.clone());
            if let Err(problem) = self.campaign.baseline.assign(&assignment) {
                let what = format!("{path:?} is not a path of the baseline: {}", problem.what);
                return self.add(&["space", path], what, &problem.remedy.unwrap_or_default());
            }
        }
        let real = matches!(parameter.domain, Domain::Float { .. } | Domain::LogFloat { .. });
        if let (true, Some(Type::Whole(..))) = (real, ty) {
            let what = format!("{path} is a whole number, and its range is of real ones");
            let log = if matches!(parameter.domain, Domain::LogFloat { .. }) { ", log = true" } else { "" };
            return self.add(&["space", path, "type"], what, &format!("use type = \"int\"{log}"));
        }
        for value in parameter.domain.ends() {
            let mut assignment = context.clone();
            assignment.insert(path.to_string(), value.clone());
            let experiment = match self.campaign.baseline.assign(&assignment) {
                Ok(experiment) => experiment,
                Err(problem) => {
                    let what = format!("{path} cannot be {value}: {}", problem.what);
                    return self.add(&["space", path], what, &problem.remedy.unwrap_or_default());
                }
            };
            if !self.campaign.constraints.iter().all(|c| c.holds(&|path| experiment.get(path))) {
                continue;
            }
            // What another parameter can put right is for the constraints and the samplers, not an error.
            let fixable = |issue: &Issue| {
                let mut involved = std::iter::once(issue.path.join(".")).chain(issue.others.iter().cloned());
                involved.any(|p| self.campaign.space.contains_key(&p) && !assignment.contains_key(&p))
            };
            if let Some(issue) = experiment.issues().into_iter().find(|i| !fixable(i)) {
                let what = format!("{path} cannot be {value}: {}", issue.what);
                return self.add(&["space", path], what, &issue.remedy);
            }
        }
    }

    /// Refuses a constraint that no point of the space can keep, or that no point of it is about. Where a choice of kind or
    /// preset changes which settings there are, only proposals can tell.
    fn satisfiable(&mut self, index: usize, constraint: &Constraint, baseline: &Value) {
        let switches = |path: &String| path.ends_with("kind") || path.ends_with("preset");
        if self.campaign.space.keys().any(switches) {
            return;
        }
        let position = index.to_string();
        for (name, side) in [("left", &constraint.left), ("right", &constraint.right)] {
            if let Value::String(path) = side
                && bounds(side, self.campaign, baseline).is_none()
            {
                let what = format!("the baseline has no {path}, and the space does not give it one");
                return self.add(
                    &["constraints", &position, name],
                    what,
                    "the constraint would never apply: leave it out",
                );
            }
        }
        let sides = [&constraint.left, &constraint.right].map(|side| bounds(side, self.campaign, baseline));
        let [Some((least, most)), Some((low, high))] = sides else { return };
        let hopeless = match constraint.relation {
            Relation::AtMost => least > high,
            Relation::AtLeast => most < low,
            Relation::MultipleOf => false,
        };
        if hopeless {
            let range = |a: f64, b: f64| if a == b { a.to_string() } else { format!("{a} to {b}") };
            let what = format!(
                "no point of the space keeps it: its left side is {}, its right side {}",
                range(least, most),
                range(low, high)
            );
            self.add(&["constraints", &position], what, "change the constraint, the space, or the baseline's value");
        }
    }

    fn constraint(&mut self, index: usize, constraint: &Constraint) {
        let position = index.to_string();
        let json = serde_json::to_value(&self.campaign.baseline).unwrap_or_default();
        for (name, side) in [("left", &constraint.left), ("right", &constraint.right)] {
            let at = ["constraints", &position, name];
            match side {
                Value::Number(_) => {}
                Value::String(path) => {
                    let keys = split_path(path);
                    let ty =
                        types::experiment().at(&json, &keys).or_else(|| types::experiment().at(&Value::Null, &keys));
                    match ty {
                        Some((Type::Whole(..) | Type::Real, _)) => {}
                        Some(_) => self.add(&at, format!("{path} is not a number"), "constraints compare numbers"),
                        None => {
                            let mut names = Vec::new();
                            leaves(&json, "", &mut names);
                            let near = super::nearest::did_you_mean(path, names.iter().map(String::as_str));
                            let what = format!("{path:?} is not a path of an experiment");
                            self.add(&at, what, &format!("{near}write e.g. \"model.width\", or a number"));
                        }
                    }
                }
                other => self.add(&at, format!("{other} is neither a path nor a number"), "write e.g. \"model.width\""),
            }
        }
        if constraint.left.is_number() && constraint.right.is_number() {
            let what = "a constraint between two numbers says nothing".to_string();
            self.add(&["constraints", &position], what, "make one side a path, e.g. \"model.width\"");
        }
        if self.issues.iter().all(|issue| issue.path.first().is_none_or(|key| key != "constraints")) {
            self.satisfiable(index, constraint, &json);
        }
        if constraint.relation == Relation::MultipleOf && constraint.right.as_f64().is_some_and(|x| x <= 0.0) {
            let what = format!("nothing is a multiple of {}", constraint.right);
            self.add(&["constraints", &position, "right"], what, "give a number above 0");
        }
    }
}

/// The smallest and the largest value that one side of a constraint can have; none where it is no number, or where that
/// depends on a switch.
fn bounds(side: &Value, campaign: &Campaign, baseline: &Value) -> Option<(f64, f64)> {
    let Value::String(path) = side else { return side.as_f64().map(|x| (x, x)) };
    let ends = |values: &[Value]| {
        let numbers = values.iter().map(Value::as_f64).collect::<Option<Vec<f64>>>()?;
        Some(numbers.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| (l.min(*x), h.max(*x))))
    };
    match campaign.space.get(path) {
        Some(parameter) => ends(&parameter.domain.ends()),
        None => ends(&[split_path(path).iter().try_fold(baseline, |v, key| v.get(key))?.clone()]),
    }
}

/// The paths of all single values.
fn leaves(value: &Value, path: &str, found: &mut Vec<String>) {
    let below = |key: &str| if path.is_empty() { key.to_string() } else { format!("{path}.{key}") };
    match value {
        Value::Object(entries) => entries.iter().for_each(|(k, v)| leaves(v, &below(k), found)),
        Value::Array(items) => items.iter().enumerate().for_each(|(i, v)| leaves(v, &below(&i.to_string()), found)),
        _ => found.push(path.to_string()),
    }
}
