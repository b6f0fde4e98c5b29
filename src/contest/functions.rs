//! Standard functions, with what planners of a budget have to reckon with: costs, memory, learning curves, failures.
//!
//! Minima and formulas: Dixon and Szego (1978) for the first two. `mixed` is like tuning a network, with the best learning
//! rate depending on the width, and its cost and memory growing with width and depth; in `conditional` two optimisers have
//! parameters of their own, and some runs diverge.

use super::simulate::{End, Task};
use crate::config::Parameter;
use crate::planner::{Assignment, Space};
use crate::rng::{Sequence, Stream};
use serde_json::{Value, json};

/// A function as a task.
pub struct Function {
    name: &'static str,
    space: Space,
    budget: f64,
    /// The value, and whether a run gets to its end; one that does not looks like the others until it diverges.
    value: fn(&Assignment) -> (f64, bool),
    /// Device-seconds and memory (1 is the limit).
    cost: fn(&Assignment) -> (f64, f64),
    /// How much worse a run looks at the beginning of its training.
    gap: f64,
    /// Values that differ by less are noise.
    floor: f64,
    /// The minimum.
    pub optimum: f64,
}

fn number(a: &Assignment, name: &str) -> f64 {
    a.get(name).and_then(Value::as_f64).unwrap_or(f64::NAN)
}

fn branin(a: &Assignment) -> f64 {
    use std::f64::consts::PI;
    let (x, y) = (number(a, "x"), number(a, "y"));
    let inner = y - 5.1 / (4.0 * PI * PI) * x * x + 5.0 / PI * x - 6.0;
    inner * inner + 10.0 * (1.0 - 1.0 / (8.0 * PI)) * x.cos() + 10.0
}

fn hartmann6(a: &Assignment) -> f64 {
    const ALPHA: [f64; 4] = [1.0, 1.2, 3.0, 3.2];
    const A: [[f64; 6]; 4] = [
        [10.0, 3.0, 17.0, 3.5, 1.7, 8.0],
        [0.05, 10.0, 17.0, 0.1, 8.0, 14.0],
        [3.0, 3.5, 1.7, 10.0, 17.0, 8.0],
        [17.0, 8.0, 0.05, 10.0, 0.1, 14.0],
    ];
    const P: [[f64; 6]; 4] = [
        [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886],
        [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991],
        [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650],
        [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381],
    ];
    let x: Vec<f64> = (0..6).map(|i| number(a, &format!("x{i}"))).collect();
    let exponent = |k: usize| -> f64 { (0..6).map(|i| A[k][i] * (x[i] - P[k][i]).powi(2)).sum() };
    -(0..4).map(|k| ALPHA[k] * (-exponent(k)).exp()).sum::<f64>()
}

fn mixed(a: &Assignment) -> f64 {
    let lr = number(a, "lr").log10();
    let width = number(a, "width").log2();
    let kind = match a["activation"].as_str() {
        Some("gelu") => 0.0,
        Some("relu") => 0.3,
        _ => 1.0,
    };
    (lr + 2.0 + 0.3 * (width - 6.0)).powi(2)
        + 0.3 * (width - 6.0).powi(2)
        + 0.1 * (number(a, "depth") - 4.0).powi(2)
        + 4.0 * (number(a, "dropout") - 0.1).powi(2)
        + kind
}

fn conditional(a: &Assignment) -> (f64, bool) {
    let decay = (number(a, "decay").log10() + 3.0).powi(2) * 0.1;
    if a["kind"] == "sgd" {
        let lr = number(a, "sgd_lr").log10();
        let momentum = number(a, "momentum");
        (0.2 + (lr + 1.0).powi(2) + 5.0 * (momentum - 0.9).powi(2) + decay, lr < 0.3)
    } else {
        let lr = number(a, "adam_lr").log10();
        ((lr + 2.5).powi(2) + 20.0 * (number(a, "beta2") - 0.98).powi(2) + decay, lr < -1.0)
    }
}

fn space(json: Value) -> Space {
    let Value::Object(parameters) = json else { return Space::new() };
    let parameter = |json: Value| serde_json::from_value::<Parameter>(json).ok();
    parameters.into_iter().filter_map(|(name, json)| Some((name, parameter(json)?))).collect()
}

/// A run of the mixed function's middle, 64 wide and 4 deep, takes 60 s and a tenth of the memory; a third of the space
/// (on its logarithmic scale) does not fit.
fn network(a: &Assignment) -> (f64, f64) {
    let size = number(a, "width") / 64.0;
    let depth = number(a, "depth") / 4.0;
    (15.0 + 45.0 * size * depth, 0.1 + 0.25 * size * size * depth)
}

/// All four.
pub fn functions() -> Vec<Function> {
    let even: fn(&Assignment) -> (f64, f64) = |_| (60.0, 0.1);
    vec![
        Function {
            name: "branin",
            space: space(json!({
                "x": {"type": "float", "low": -5.0, "high": 10.0},
                "y": {"type": "float", "low": 0.0, "high": 15.0},
            })),
            budget: 3600.0,
            value: |a| (branin(a), true),
            cost: even,
            gap: 20.0,
            floor: 0.1,
            optimum: 0.397887,
        },
        Function {
            name: "hartmann6",
            space: space(Value::Object(
                (0..6).map(|i| (format!("x{i}"), json!({"type": "float", "low": 0.0, "high": 1.0}))).collect(),
            )),
            budget: 3600.0,
            value: |a| (hartmann6(a), true),
            cost: even,
            gap: 1.0,
            floor: 0.05,
            optimum: -3.32237,
        },
        Function {
            name: "mixed",
            space: space(json!({
                "lr": {"type": "log-float", "low": 1e-5, "high": 1.0},
                "width": {"type": "int", "low": 8, "high": 512, "log": true},
                "depth": {"type": "int", "low": 1, "high": 8},
                "dropout": {"type": "float", "low": 0.0, "high": 0.5},
                "activation": {"type": "choice", "values": ["tanh", "relu", "gelu"]},
            })),
            budget: 3600.0,
            value: |a| (mixed(a), true),
            cost: network,
            gap: 2.0,
            floor: 0.05,
            optimum: 0.0,
        },
        Function {
            name: "conditional",
            space: space(json!({
                "kind": {"type": "choice", "values": ["sgd", "adamw"]},
                "decay": {"type": "log-float", "low": 1e-5, "high": 1e-1},
                "sgd_lr": {"type": "log-float", "low": 1e-4, "high": 10.0, "when": {"kind": ["sgd"]}},
                "momentum": {"type": "float", "low": 0.0, "high": 0.99, "when": {"kind": ["sgd"]}},
                "adam_lr": {"type": "log-float", "low": 1e-5, "high": 1.0, "when": {"kind": ["adamw"]}},
                "beta2": {"type": "float", "low": 0.9, "high": 0.999, "when": {"kind": ["adamw"]}},
            })),
            budget: 3600.0,
            value: conditional,
            cost: even,
            gap: 1.0,
            floor: 0.05,
            optimum: 0.0,
        },
    ]
}

impl Function {
    /// The function itself; none where the run diverges.
    pub fn value(&self, assignment: &Assignment) -> Option<f64> {
        let (value, completes) = (self.value)(assignment);
        completes.then_some(value)
    }
}

impl Task for Function {
    fn name(&self) -> &str {
        self.name
    }

    fn space(&self) -> &Space {
        &self.space
    }

    fn budget(&self) -> f64 {
        self.budget
    }

    fn floor(&self) -> f64 {
        self.floor
    }

    fn predicted(&self, assignment: &Assignment) -> (f64, f64) {
        (self.cost)(assignment)
    }

    fn end(&self, assignment: &Assignment) -> End {
        if (self.cost)(assignment).1 > 1.0 {
            // It dies of memory in its first steps.
            return End::Fails { kind: "memory", at: 0.05 };
        }
        match self.value(assignment) {
            Some(_) => End::Completes,
            None => End::Fails { kind: "diverged", at: 0.3 },
        }
    }

    /// Above the function while training goes on, by an amount of the run's own, so that early ranks are only a hint.
    fn value_at(&self, assignment: &Assignment, share: f64, _: u64) -> f64 {
        let text: String = assignment.iter().map(|(k, v)| format!("{k}={v};")).collect();
        let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
        let own = 0.6 + 0.4 * Sequence::new(hash, Stream::Data, 0, 0).uniform();
        (self.value)(assignment).0 + self.gap * own * (1.0 - share).powi(2)
    }
}
