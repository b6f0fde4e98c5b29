//! The numbers that the host computes for each step, in f64.

use crate::config::{Experiment, OptimizerSpec};
use crate::engine::StepInputs;

/// Inputs of the step with index `step` (from 0) of `total`.
pub fn step_inputs(experiment: &Experiment, step: u64, total: u64) -> StepInputs {
    let (peak, betas) = match &experiment.optimizer {
        OptimizerSpec::Sgd(sgd) => (sgd.learning_rate, None),
        OptimizerSpec::Adamw(adam) => (adam.learning_rate, Some((adam.beta1, adam.beta2))),
    };
    // Repeated multiplication (powi) and not the C library's pow: the bits must not depend on the library's version.
    // Beyond i32::MAX steps the power is zero for every beta that a config may have.
    let exponent = i32::try_from(step + 1).unwrap_or(i32::MAX);
    let correction = |beta: f64| 1.0 - beta.powi(exponent);
    let (bias_correction1, bias_correction2) =
        betas.map_or((1.0, 1.0), |(first, second)| (correction(first), correction(second)));
    StepInputs {
        seed: experiment.training.seed,
        step,
        learning_rate: peak * experiment.schedule.factor(step, total),
        bias_correction1,
        bias_correction2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::toy;

    #[test]
    fn adam_is_corrected_from_its_first_step_and_sgd_never() {
        let mut experiment = toy::experiment(100, 0);
        experiment.optimizer =
            serde_json::from_value(serde_json::json!({"kind": "adamw", "beta1": 0.5, "beta2": 0.75})).unwrap();
        let first = step_inputs(&experiment, 0, 100);
        assert_eq!((first.bias_correction1, first.bias_correction2), (0.5, 0.25));
        let second = step_inputs(&experiment, 1, 100);
        assert_eq!((second.bias_correction1, second.bias_correction2), (0.75, 0.4375));
        let sgd = step_inputs(&toy::experiment(100, 0), 3, 100);
        assert_eq!((sgd.bias_correction1, sgd.bias_correction2), (1.0, 1.0));
    }

    #[test]
    fn the_schedule_scales_the_peak() {
        let mut experiment = toy::experiment(10, 0);
        experiment.schedule =
            serde_json::from_value(serde_json::json!({"shape": "linear", "warmup_fraction": 0.2, "final_scale": 0.0}))
                .unwrap();
        let rates: Vec<f64> = (0..10).map(|s| step_inputs(&experiment, s, 10).learning_rate).collect();
        let peak = 0.05;
        assert_eq!(rates[0], peak * 0.5);
        assert_eq!(rates[1], peak);
        assert_eq!(rates[9], 0.0);
    }
}
