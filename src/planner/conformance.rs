//! The one suite that every sampler passes, over random spaces.

use super::space::{Tree, from_json};
use super::{Assignment, Observation, Sampler, Space, active, sampler};
use crate::config::{Constraint, PlannerKind, PlannerSpec};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

const KINDS: [PlannerKind; 6] = [
    PlannerKind::Random,
    PlannerKind::Grid,
    PlannerKind::Tpe,
    PlannerKind::CmaEs,
    PlannerKind::Evolution,
    PlannerKind::Manual,
];

fn spec(kind: PlannerKind, seed: u64) -> PlannerSpec {
    PlannerSpec { kind, seed, startup: 3, ..PlannerSpec::default() }
}

/// One of the kinds for a space; a list by hand holds the whole space, as far as it is finite.
fn of_kind(kind: PlannerKind, seed: u64, space: &Space) -> Box<dyn Sampler> {
    let mut spec = spec(kind, seed);
    let tree = Tree::new(space);
    if kind == PlannerKind::Manual && tree.is_finite() {
        tree.each(&mut |a| {
            spec.list.push(a.clone());
            ControlFlow::Continue(())
        });
    } else if kind == PlannerKind::Manual {
        spec.list = (0..20).map(|i| tree.draw(&mut super::random::sequence(seed, i, 0))).collect();
    }
    sampler(&spec)
}

/// A parameter as a config writes it; `finite` leaves the real ranges out.
fn domain(finite: bool) -> BoxedStrategy<Value> {
    let int = (-3..20i64, 0..6i64, 1..3i64)
        .prop_map(|(low, width, step)| json!({"type": "int", "low": low, "high": low + width, "step": step}));
    let log_int = (1..40i64, 0..5i64)
        .prop_map(|(low, width)| json!({"type": "int", "low": low, "high": low + width, "log": true}));
    let choice = prop::sample::subsequence(
        vec![json!("a"), json!("b"), json!(1), json!(2.5), json!(true), json!([1, 2])],
        1..5usize,
    )
    .prop_map(|values| json!({"type": "choice", "values": values}));
    if finite {
        return prop_oneof![int, log_int, choice].boxed();
    }
    let float = (-5.0..5.0, 0.0..3.0, 1..4usize)
        .prop_map(|(low, width, points)| json!({"type": "float", "low": low, "high": low + width, "points": points}));
    let log_float = (-8.0..2.0, 0.1..6.0).prop_map(|(low, width): (f64, f64)| {
        json!({"type": "log-float", "low": low.exp(), "high": (low + width).exp(), "points": 3})
    });
    prop_oneof![int, log_int, choice, float, log_float].boxed()
}

/// Up to four parameters, each perhaps conditional on an earlier one, in an order of names that is not that of the
/// dependencies.
fn space(finite: bool) -> impl Strategy<Value = Space> {
    let parameter = (domain(finite), prop::option::of((0..4usize, any::<u8>())));
    prop::collection::vec(parameter, 1..5).prop_map(|parameters| {
        let name = |i: usize| format!("section.{}", ["d", "b", "c", "a"][i]);
        let mut space = serde_json::Map::new();
        for (i, (mut parameter, condition)) in parameters.into_iter().enumerate() {
            if let Some((parent, pick)) = condition.filter(|(parent, _)| *parent < i) {
                let values = members(&space[&name(parent)]);
                if !values.is_empty() {
                    let from = usize::from(pick) % values.len();
                    let some: Vec<Value> = values.into_iter().skip(from).take(2).collect();
                    parameter["when"] = json!({ name(parent): some });
                }
            }
            space.insert(name(i), parameter);
        }
        from_json(Value::Object(space))
    })
}

/// All values of a parameter as a config writes it; none of a real range.
fn members(parameter: &Value) -> Vec<Value> {
    match parameter["type"].as_str() {
        Some("choice") => parameter["values"].as_array().expect("values").clone(),
        Some("int") => {
            let number = |key: &str| parameter[key].as_i64();
            let (low, high) = (number("low").expect("low"), number("high").expect("high"));
            (low..=high).step_by(number("step").unwrap_or(1) as usize).map(Value::from).collect()
        }
        _ => vec![],
    }
}

fn as_json(space: &Space) -> Value {
    serde_json::to_value(space).expect("JSON")
}

/// Whether an assignment has exactly the parameters it should, each of the right type and within its domain.
fn check_valid(space: &Space, assignment: &Assignment) {
    let names: BTreeSet<String> = assignment.keys().cloned().collect();
    assert_eq!(names, active(space, assignment), "{assignment:?}");
    let space = as_json(space);
    for (name, value) in assignment {
        let parameter = &space[name];
        match parameter["type"].as_str().expect("type") {
            "choice" | "int" => assert!(members(parameter).contains(value), "{name} = {value} is not in {parameter}"),
            _ => {
                assert!(value.is_f64(), "{name} = {value} is not a float");
                let (x, bound) = (value.as_f64().expect("number"), |key: &str| parameter[key].as_f64().expect("bound"));
                assert!(x.is_finite() && bound("low") <= x && x <= bound("high"), "{name} = {x} is not in {parameter}");
            }
        }
    }
}

/// Finished, failed, pending and not-a-number observations in turn.
fn outcome(i: usize, assignment: Assignment, all_fail: bool) -> Observation {
    let (value, failed) = match i % 5 {
        _ if all_fail => (None, true),
        1 => (None, true),
        2 => (None, false),
        3 if i.is_multiple_of(2) => (Some(f64::NAN), false),
        _ => (Some((i * 7 % 11) as f64), false),
    };
    // Some wait at a rung of successive halving.
    let trained = if i % 4 == 3 { 0.2 } else { 1.0 };
    Observation { assignment, value, failed, trained }
}

/// The first parameter at most 4, where it is a number.
fn constraint() -> Vec<Constraint> {
    vec![serde_json::from_value(json!({"left": "section.b", "relation": "at-most", "right": 4})).expect("constraint")]
}

/// All members of a finite space, without the planner's tree: the product of all values or absence, filtered.
fn brute_force(space: &Space) -> BTreeSet<String> {
    let mut partial: Vec<Assignment> = vec![BTreeMap::new()];
    for (name, parameter) in as_json(space).as_object().expect("object") {
        let with = |a: &Assignment, value: &Value| {
            let mut a = a.clone();
            a.insert(name.clone(), value.clone());
            a
        };
        let values = members(parameter);
        partial = partial
            .iter()
            .flat_map(|a| std::iter::once(a.clone()).chain(values.iter().map(|v| with(a, v))).collect::<Vec<_>>())
            .collect();
    }
    partial.retain(|a| a.keys().cloned().collect::<BTreeSet<_>>() == active(space, a));
    partial.iter().map(text).collect()
}

fn text(assignment: &Assignment) -> String {
    serde_json::to_string(assignment).expect("JSON")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Values valid, conditions respected, nothing repeated, nothing refused is proposed, deterministic; whatever came of
    /// the earlier proposals.
    #[test]
    fn proposals_are_valid_new_accepted_and_deterministic(
        space in space(false), seed in any::<u64>(), all_fail in any::<bool>(), constrained in any::<bool>(),
    ) {
        let constraints = if constrained { constraint() } else { vec![] };
        for kind in KINDS {
            let sampler = of_kind(kind, seed, &space);
            let accept = |a: &Assignment| constraints.iter().all(|c: &Constraint| c.holds(&|path| a.get(path).cloned()));
            let mut observations = vec![];
            for i in 0..16 {
                let proposal = sampler.propose(&space, &observations, i as u64, &accept);
                prop_assert_eq!(&proposal, &sampler.propose(&space, &observations, i as u64, &accept));
                let Some(assignment) = proposal else { break };
                check_valid(&space, &assignment);
                prop_assert!(accept(&assignment));
                prop_assert!(observations.iter().all(|o: &Observation| o.assignment != assignment));
                observations.push(outcome(i, assignment, all_fail));
            }
        }
    }

    /// A finite space is proposed completely, every member once, and then nothing more; the same with a constraint.
    #[test]
    fn finite_spaces_are_exhausted(space in space(true), seed in any::<u64>(), constrained in any::<bool>()) {
        let mut expected = brute_force(&space);
        prop_assume!(expected.len() <= 150);
        let constraints = if constrained { constraint() } else { vec![] };
        let accept = |a: &Assignment| constraints.iter().all(|c: &Constraint| c.holds(&|path| a.get(path).cloned()));
        expected.retain(|a| accept(&serde_json::from_str(a).expect("JSON")));
        for kind in KINDS {
            let sampler = of_kind(kind, seed, &space);
            let mut observations = vec![];
            while let Some(assignment) = sampler.propose(&space, &observations, observations.len() as u64, &accept) {
                observations.push(outcome(observations.len(), assignment, false));
                prop_assert!(observations.len() <= expected.len(), "more proposals than members");
            }
            let proposed: BTreeSet<String> = observations.iter().map(|o| text(&o.assignment)).collect();
            prop_assert_eq!(&proposed, &expected);
        }
    }
}

#[test]
fn seeds_and_indices_make_a_difference() {
    let space = from_json(json!({"x": {"type": "float", "low": 0.0, "high": 1.0}}));
    for kind in [PlannerKind::Random, PlannerKind::Tpe, PlannerKind::CmaEs, PlannerKind::Evolution] {
        let draw = |seed, index| sampler(&spec(kind, seed)).propose(&space, &[], index, &|_| true);
        assert_ne!(draw(1, 0), draw(2, 0));
        assert_ne!(draw(1, 0), draw(1, 1));
        assert_eq!(draw(1, 1), draw(1, 1));
    }
}

/// A grid over real ranges has exactly their points, conditional ones included.
#[test]
fn a_grid_is_the_product_of_its_points() {
    let space = from_json(json!({
        "kind": {"type": "choice", "values": ["sgd", "adamw"]},
        "lr": {"type": "log-float", "low": 1e-4, "high": 1e-1, "points": 4},
        "momentum": {"type": "float", "low": 0.0, "high": 0.9, "points": 3, "when": {"kind": ["sgd"]}},
    }));
    let grid = sampler(&spec(PlannerKind::Grid, 5));
    let mut observations = vec![];
    while let Some(assignment) = grid.propose(&space, &observations, observations.len() as u64, &|_| true) {
        check_valid(&space, &assignment);
        observations.push(outcome(observations.len(), assignment, false));
    }
    assert_eq!(observations.len(), 4 * 3 + 4);
    let first: BTreeSet<_> = observations.iter().take(8).map(|o| o.assignment["lr"].to_string()).collect();
    assert!(first.len() > 2, "a grid cut short has looked at {first:?} only");
}

/// In an endless space where everything is refused, and in an empty one, every sampler ends.
#[test]
fn refusal_of_everything_ends() {
    let endless = from_json(json!({"x": {"type": "float", "low": 0.0, "high": 1.0}}));
    for kind in KINDS {
        assert_eq!(of_kind(kind, 0, &endless).propose(&endless, &[], 0, &|_| false), None);
        let sampler = of_kind(kind, 0, &Space::new());
        let only = sampler.propose(&Space::new(), &[], 0, &|_| true);
        assert_eq!(only, Some(Assignment::new()), "an empty space has one member");
        let seen = [outcome(0, Assignment::new(), false)];
        assert_eq!(sampler.propose(&Space::new(), &seen, 1, &|_| true), None);
    }
}
