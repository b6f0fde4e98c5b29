//! When something is due, as pure functions of the step: a resumed run must come to the same answers.

use crate::config::EvaluationSpec;

/// Most lines of training metrics a run writes.
pub(super) const MAX_TRAIN_LINES: u64 = 2000;

/// The cadences of one run. Steps are counted from 1: `step` steps are done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cadence {
    total: u64,
    evaluate: u64,
    checkpoint: u64,
    record: u64,
}

impl Cadence {
    pub fn new(spec: &EvaluationSpec, total: u64) -> Self {
        let evaluate = spec.interval(total);
        // One line fewer than the most, because the last step is always recorded.
        let record = if total <= MAX_TRAIN_LINES { 1 } else { total.div_ceil(MAX_TRAIN_LINES - 1) };
        Cadence { total, evaluate, checkpoint: spec.checkpoint_every, record }
    }

    /// Whether the step's training metrics are recorded: all of them in short runs, else evenly thinned.
    pub fn records(&self, step: u64) -> bool {
        (step - 1).is_multiple_of(self.record) || step == self.total
    }

    /// Whether the run is evaluated after the step.
    pub fn evaluates(&self, step: u64) -> bool {
        step.is_multiple_of(self.evaluate) || step == self.total
    }

    /// Whether a checkpoint is written after the step. Where checkpoints are wanted at all, a new best evaluation gets
    /// one too, or "the best" could not be kept.
    pub fn checkpoints(&self, step: u64, new_best: bool) -> bool {
        step == self.total || self.checkpoint > 0 && (step.is_multiple_of(self.checkpoint) || new_best)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(every: Option<u64>, checkpoint_every: u64) -> EvaluationSpec {
        EvaluationSpec { every, checkpoint_every, ..EvaluationSpec::default() }
    }

    #[test]
    fn short_runs_record_every_step_and_long_ones_at_most_two_thousand_with_both_ends() {
        for total in [1, 2, 1999, 2000, 2001, 3999, 4000, 4001, 123_457] {
            let cadence = Cadence::new(&spec(None, 0), total);
            let lines = (1..=total).filter(|&s| cadence.records(s)).count() as u64;
            assert!(lines <= MAX_TRAIN_LINES, "{total} steps: {lines} lines");
            assert!(lines == total || lines > 900, "{total} steps: {lines} lines");
            assert!(cadence.records(1) && cadence.records(total));
        }
    }

    #[test]
    fn a_tenth_of_the_run_and_the_last_step_are_evaluated() {
        let steps = |every, total| {
            let cadence = Cadence::new(&spec(every, 0), total);
            (1..=total).filter(|&s| cadence.evaluates(s)).collect::<Vec<_>>()
        };
        assert_eq!(steps(None, 105), [10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 105]);
        assert_eq!(steps(None, 3), [1, 2, 3]);
        assert_eq!(steps(Some(40), 100), [40, 80, 100]);
    }

    #[test]
    fn checkpoints_come_at_their_cadence_at_a_new_best_and_at_the_end() {
        let cadence = Cadence::new(&spec(None, 4), 10);
        let plain: Vec<u64> = (1..=10).filter(|&s| cadence.checkpoints(s, false)).collect();
        assert_eq!(plain, [4, 8, 10]);
        assert!(cadence.checkpoints(5, true));
        let none = Cadence::new(&spec(None, 0), 10);
        assert!(!none.checkpoints(5, true) && none.checkpoints(10, false));
    }
}
