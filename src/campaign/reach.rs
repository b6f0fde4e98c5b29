//! What of a search space can be run at all, looked at before anything is spent: each end of a range and each choice on the
//! baseline, one at a time.
//!
//! Boundary: pure but for the validation that it is given; a running campaign asks [`super::decide`].

use super::words::value_text;
use crate::config::{Campaign, Domain, Experiment, PlannerKind, PlannerSpec};
use crate::planner::{self, Assignment};
use crate::problem::{Class, Problem, Result};
use serde_json::Value;
use std::cell::OnceCell;

/// Points drawn from the whole space to see whether a value that cannot be run beside the baseline's can be beside others.
const DRAWS: u64 = 40;
/// Choices of one parameter that are tried.
const CHOICES: usize = 64;

/// What was found of a space.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    /// Ends and choices that no run can have, where other values of the parameter can be run.
    pub refused: Vec<Refused>,
    /// Points that can be run: the ends, and some drawn from the whole space.
    pub points: Vec<Assignment>,
    /// A parameter none of whose values can be run, beside whatever values of the others, with what to say.
    pub hopeless: Option<(String, Problem)>,
}

/// A value that no run can have.
#[derive(Debug, Clone)]
pub struct Refused {
    /// Path of the parameter.
    pub path: String,
    /// The value.
    pub value: Value,
    /// The key that names it in the space: `low`, `high` or `values`.
    pub key: &'static str,
    /// The validator's word for what is wrong with an experiment that has it.
    pub reason: String,
    /// The value nearest to it that can be run, where one was looked for.
    pub nearest: Option<Value>,
}

impl Refused {
    /// As a person reads it; where it stands is the caller's to say.
    pub fn problem(&self) -> Problem {
        let (path, value) = (&self.path, value_text(&self.value));
        let (of, remedy) = match (self.key, &self.nearest) {
            ("values", _) => (String::new(), format!("take {value} out of its values: proposals with it are rejected")),
            (key, Some(nearest)) => {
                let nearest = value_text(nearest);
                (
                    format!(", its {key}"),
                    format!("set {key} = {nearest}, which can be run: proposals beyond are rejected"),
                )
            }
            (key, None) => {
                let how = if key == "low" { "raise" } else { "lower" };
                (format!(", its {key}"), format!("{how} {key}: proposals with such values are rejected"))
            }
        };
        Problem::usage(format!("no run can have {path} = {value}{of}: {}", self.reason)).remedy(remedy)
    }
}

/// Looks at the space of a campaign. `valid` refuses (class `Usage`) what could not be trained.
///
/// # Errors
/// What `valid` says under another class.
pub fn reach(campaign: &Campaign, valid: &dyn Fn(&Experiment) -> Result<()>) -> Result<Reach> {
    let look = Look { campaign, valid, drawn: OnceCell::new() };
    let mut reach = Reach::default();
    for path in campaign.space.keys() {
        look.parameter(path, &mut reach)?;
        if reach.hopeless.is_some() {
            return Ok(reach);
        }
    }
    for point in look.drawn() {
        if look.refusal(point)?.is_none() && look.within_constraints(point) {
            reach.points.push(point.clone());
        }
    }
    Ok(reach)
}

struct Look<'a> {
    campaign: &'a Campaign,
    valid: &'a dyn Fn(&Experiment) -> Result<()>,
    drawn: OnceCell<Vec<Assignment>>,
}

impl Look<'_> {
    fn parameter(&self, path: &str, reach: &mut Reach) -> Result<()> {
        let parameter = &self.campaign.space[path];
        let (mut refused, mut good) = (Vec::new(), None);
        let ends = parameter.domain.ends();
        for (place, value) in ends.iter().take(CHOICES).enumerate() {
            let mut point = self.campaign.beside(parameter);
            point.insert(path.to_string(), value.clone());
            if !self.within_constraints(&point) {
                // The person has said that it is not wanted; so there is nothing to say, and nothing is known of it.
                good.get_or_insert(None);
                continue;
            }
            match self.refusal(&point)? {
                None => {
                    good = Some(Some(value.clone()));
                    reach.points.push(point);
                }
                Some(_) if self.possible_elsewhere(path, value)? => good = Some(good.flatten()),
                Some(reason) => refused.push((place, value, reason)),
            }
        }
        if refused.is_empty() {
            return Ok(());
        }
        if good.is_none() {
            good = self.any_between(path)?.map(Some);
        }
        let Some(good) = good else {
            let (_, value, reason) = refused.swap_remove(0);
            reach.hopeless = Some((path.to_string(), self.hopeless(path, value, &reason)));
            return Ok(());
        };
        let range = !matches!(parameter.domain, Domain::Choice { .. });
        for (place, value, reason) in refused {
            let key = match (range, place) {
                (false, _) => "values",
                (true, 0) => "low",
                (true, _) => "high",
            };
            let nearest = good.as_ref().filter(|_| range).map(|good| self.nearest(path, good, value)).transpose()?;
            let (path, value) = (path.to_string(), value.clone());
            reach.refused.push(Refused { path, value, key, reason, nearest: nearest.flatten() });
        }
        Ok(())
    }

    /// Why the baseline with these values cannot be run; none where it can.
    fn refusal(&self, point: &Assignment) -> Result<Option<String>> {
        match self.campaign.baseline.with(point).and_then(|experiment| (self.valid)(&experiment)) {
            Ok(()) => Ok(None),
            Err(problem) if problem.class == Class::Usage => Ok(Some(problem.what)),
            Err(problem) => Err(problem),
        }
    }

    /// What cannot be an experiment is judged elsewhere.
    fn within_constraints(&self, point: &Assignment) -> bool {
        let Ok(experiment) = self.campaign.baseline.with(point) else { return true };
        self.campaign.constraints.iter().all(|c| c.holds(&|path| experiment.get(path)))
    }

    /// Points drawn from the whole space.
    fn drawn(&self) -> &[Assignment] {
        self.drawn.get_or_init(|| {
            let spec = PlannerSpec { kind: PlannerKind::Random, ..self.campaign.planner.clone() };
            let sampler = planner::sampler(&spec);
            (0..DRAWS).filter_map(|index| sampler.propose(&self.campaign.space, &[], index, &|_| true)).collect()
        })
    }

    /// Whether a value can be run beside other values than the baseline's.
    fn possible_elsewhere(&self, path: &str, value: &Value) -> Result<bool> {
        if self.campaign.space.len() == 1 {
            return Ok(false);
        }
        for point in self.drawn() {
            let mut point = point.clone();
            point.extend(self.campaign.beside(&self.campaign.space[path]));
            point.insert(path.to_string(), value.clone());
            // What depends on another value than these is not present.
            while let Some(absent) = point.keys().find(|key| !self.campaign.space[*key].active(&point)).cloned() {
                point.remove(&absent);
            }
            if self.refusal(&point)?.is_none() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A value between the ends that can be run.
    fn any_between(&self, path: &str) -> Result<Option<Value>> {
        for value in self.campaign.space[path].domain.between() {
            if self.runs(path, &value)? || self.possible_elsewhere(path, &value)? {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    fn runs(&self, path: &str, value: &Value) -> Result<bool> {
        let mut point = self.campaign.beside(&self.campaign.space[path]);
        point.insert(path.to_string(), value.clone());
        Ok(self.refusal(&point)?.is_none())
    }

    /// Between a whole number that can be run and one that cannot: one that can, with a neighbour that cannot.
    fn nearest(&self, path: &str, good: &Value, refused: &Value) -> Result<Option<Value>> {
        let Domain::Int { low, step, .. } = self.campaign.space[path].domain else { return Ok(None) };
        let place = |value: &Value| value.as_i64().map(|x| (x - low) / step);
        let (Some(mut good), Some(mut refused)) = (place(good), place(refused)) else { return Ok(None) };
        if !self.runs(path, &(low + good * step).into())? {
            return Ok(None);
        }
        while (good - refused).abs() > 1 {
            let middle = good + (refused - good) / 2;
            if self.runs(path, &(low + middle * step).into())? {
                good = middle;
            } else {
                refused = middle;
            }
        }
        Ok(Some((low + good * step).into()))
    }

    fn hopeless(&self, path: &str, value: &Value, reason: &str) -> Problem {
        let value = value_text(value);
        let what = format!("no value of {path} in the space can be run; with {value}: {reason}");
        let remedy = match self.campaign.space[path].domain {
            Domain::Choice { .. } => "change its values, or take it out of [space]",
            _ => "change its low and high, or take it out of [space]",
        };
        Problem::usage(what).remedy(remedy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse_campaign;

    /// A campaign on the digits whose space is `space`.
    fn campaign(space: &str) -> Campaign {
        let text = format!(
            "name = \"t\"\nquestion = \"?\"\nobjective.metric = \"accuracy\"\nbudget.device_hours = 1\n[baseline]\n\
             data.kind = \"digits\"\nmodel = {{ kind = \"mlp\", widths = [8] }}\noptimizer.kind = \"adamw\"\n[space]\n{space}\n"
        );
        parse_campaign(&text, "t.toml", &[]).unwrap()
    }

    /// As the data would: 100 samples, of which a wide model may have half.
    fn valid(experiment: &Experiment) -> Result<()> {
        let (batch, most) =
            (experiment.training.batch_size, if experiment.training.clip_norm > 5.0 { 100 } else { 50 });
        if batch > most {
            return Err(Problem::usage(format!("batch size {batch} is more than {most} samples")));
        }
        Ok(())
    }

    #[test]
    fn an_end_that_cannot_be_run_is_named_with_the_nearest_that_can() {
        let found =
            reach(&campaign("\"training.batch_size\" = { type = \"int\", low = 8, high = 512, step = 4 }"), &valid);
        let found = found.unwrap();
        let said: Vec<String> = found.refused.iter().map(|r| r.problem().to_string()).collect();
        assert_eq!(
            said,
            [
                "no run can have training.batch_size = 512, its high: batch size 512 is more than 50 samples\n  set high = 48, \
              which can be run: proposals beyond are rejected"
            ]
        );
        assert!(!found.points.is_empty());
        let choices = campaign("\"training.batch_size\" = { type = \"choice\", values = [8, 16, 4096] }");
        let said = reach(&choices, &valid).unwrap().refused[0].problem().to_string();
        assert!(said.ends_with("\n  take 4096 out of its values: proposals with it are rejected"), "{said}");
    }

    #[test]
    fn a_parameter_without_any_possible_value_is_refused() {
        let space = campaign("\"training.batch_size\" = { type = \"int\", low = 2000, high = 9000, log = true }");
        let (path, problem) = reach(&space, &valid).unwrap().hopeless.unwrap();
        assert_eq!((problem.class, path.as_str()), (Class::Usage, "training.batch_size"));
        assert!(problem.what.contains("with 2000: batch size 2000 is more than"), "{problem}");
        // One choice of two is enough.
        let narrow = "\"training.budget\" = { type = \"choice\", values = [{ steps = 5 }, { steps = 7 }] }";
        let refuse_seven = |e: &Experiment| match e.training.budget {
            crate::config::TrainingBudget::Steps(5) => Ok(()),
            _ => Err(Problem::usage("only five")),
        };
        assert_eq!(reach(&campaign(narrow), &refuse_seven).unwrap().refused.len(), 1);
    }

    #[test]
    fn what_other_parameters_can_put_right_or_constraints_exclude_is_nothing_to_say() {
        let both = "\"training.batch_size\" = { type = \"choice\", values = [40, 90] }\n\"training.clip_norm\" = { type = \
                    \"choice\", values = [1.0, 9.0] }";
        assert!(reach(&campaign(both), &valid).unwrap().refused.is_empty());
        let constrained = "\"training.batch_size\" = { type = \"int\", low = 8, high = 512 }\n[[constraints]]\nleft = \
                           \"training.batch_size\"\nrelation = \"at-most\"\nright = 50";
        assert!(reach(&campaign(constrained), &valid).unwrap().refused.is_empty());
        let gone = |_: &Experiment| Err(Problem::unavailable("no network"));
        assert_eq!(reach(&campaign(both), &gone).unwrap_err().class, Class::Unavailable);
    }
}
