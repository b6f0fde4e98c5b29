//! Asynchronous successive halving: which run that waits at a rung goes on.
//!
//! Source: Li, Jamieson, Rostamizadeh, Gonina, Ben-tzur, Hardt, Recht, Talwalkar, "A system for massively parallel
//! hyperparameter tuning" (MLSys 2020, arXiv 1810.05934), algorithm 2. On top of any sampler: it proposes who starts, this
//! decides who goes on. Rungs are shares of a run's own training, so runs of different lengths meet at comparable points.
//!
//! The learning rate follows the schedule of the *whole* run also below the last rung: a run that is promoted goes on from
//! its checkpoint exactly as if it had never been stopped, and its result is that of the experiment as it is written. The
//! price is that runs are compared before their learning rate has come down, all at the same share of their schedule.

use crate::config::{EvaluationSpec, Halving};

/// Share of the training at which a run waits at each rung, ascending, all below 1.
pub fn shares(halving: &Halving) -> Vec<f64> {
    let factor = f64::from(halving.factor);
    let shares = std::iter::successors(Some(halving.first), |share| Some(share * factor));
    // A rung just below the end would stop a run to spare nothing.
    shares.take_while(|share| *share < 0.9).collect()
}

/// The training steps of each rung in a run of `total` steps: the evaluation nearest to its share, so that stopping adds
/// no evaluation and changes nothing; at least the first. Ascending and below the end: rungs of a short run that fall
/// together count once.
pub fn rung_steps(halving: &Halving, evaluation: &EvaluationSpec, total: u64) -> Vec<u64> {
    let interval = evaluation.interval(total);
    let step = |share: f64| ((share * total as f64 / interval as f64).round() as u64).max(1) * interval;
    let mut steps: Vec<u64> = shares(halving).into_iter().map(step).filter(|step| *step < total).collect();
    steps.dedup();
    steps
}

/// A run as halving sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Entrant {
    /// The caller's name for it.
    pub id: u64,
    /// Its values at the rungs it has reached, from the lowest; smaller is better.
    pub values: Vec<f64>,
    /// It waits at the last of them.
    pub waiting: bool,
}

/// Whether a run that is number `place` (from 1) of `of` that have come to its rung so far trains on, where nobody waits at
/// rungs and who is behind is stopped: the best one in `factor`, rounded up, so that the first to come is not stopped for
/// being alone. A run is judged once a rung, when it comes to it.
pub fn trains_on(place: usize, of: usize, factor: u32) -> bool {
    place <= of.div_ceil(factor.max(2) as usize)
}

/// Who goes on, and to which rung (the number of rungs for the end): from the highest rung down, the best of those in the
/// top `1/factor` of everybody who reached it. None if nobody may.
pub fn promotable(entrants: &[Entrant], rungs: usize, factor: u32) -> Option<(u64, usize)> {
    (0..rungs).rev().find_map(|rung| {
        let top = reached(entrants, rung);
        let places = top.len() / factor.max(2) as usize;
        let next = top.into_iter().take(places).find(|e| e.waiting && e.values.len() == rung + 1)?;
        Some((next.id, rung + 1))
    })
}

/// Who would be the next to go on if nobody else started: the best of those who wait at the highest rung.
pub fn best_waiting(entrants: &[Entrant], rungs: usize) -> Option<(u64, usize)> {
    (0..rungs).rev().find_map(|rung| {
        let next = reached(entrants, rung).into_iter().find(|e| e.waiting && e.values.len() == rung + 1)?;
        Some((next.id, rung + 1))
    })
}

/// Everybody who reached a rung with a value, best first, among equals the earlier.
fn reached(entrants: &[Entrant], rung: usize) -> Vec<&Entrant> {
    let mut there: Vec<&Entrant> =
        entrants.iter().filter(|e| e.values.get(rung).is_some_and(|v| v.is_finite())).collect();
    there.sort_by(|a, b| a.values[rung].total_cmp(&b.values[rung]).then(a.id.cmp(&b.id)));
    there
}

#[cfg(test)]
mod tests {
    use super::*;

    fn halving(first: f64, factor: u32) -> Halving {
        Halving { first, factor, running: false }
    }

    #[test]
    fn the_best_of_those_who_have_come_train_on() {
        // With a factor of 3: one of up to three, two of up to six.
        for (of, places) in [(1, 1), (2, 1), (3, 1), (4, 2), (6, 2), (7, 3)] {
            let on: Vec<usize> = (1..=of).filter(|place| trains_on(*place, of, 3)).collect();
            assert_eq!(on, (1..=places).collect::<Vec<_>>(), "of {of}");
        }
    }

    #[test]
    fn rungs_lie_on_evaluations() {
        assert_eq!(shares(&halving(1.0 / 9.0, 3)), [1.0 / 9.0, 1.0 / 3.0]);
        let spec = EvaluationSpec::default();
        assert_eq!(rung_steps(&halving(1.0 / 9.0, 3), &spec, 300), [30, 90]);
        assert_eq!(rung_steps(&halving(0.01, 4), &spec, 1000), [100, 200, 600]);
        let every = EvaluationSpec { every: Some(50), ..spec };
        assert_eq!(rung_steps(&halving(0.25, 2), &every, 300), [100, 150]);
        assert!(rung_steps(&halving(0.25, 2), &every, 40).is_empty());
    }

    fn entrant(id: u64, values: &[f64], waiting: bool) -> Entrant {
        Entrant { id, values: values.to_vec(), waiting }
    }

    /// The paper's rule by hand: with a factor of 3 nobody is promoted before three have a value; then the best; the
    /// promoted count on the lower rung; the higher rung goes first.
    #[test]
    fn the_papers_rule() {
        let mut all = vec![entrant(0, &[0.5], true), entrant(1, &[0.4], true)];
        assert_eq!(promotable(&all, 2, 3), None);
        all.push(entrant(2, &[0.9], true));
        assert_eq!(promotable(&all, 2, 3), Some((1, 1)));
        all[1].waiting = false;
        assert_eq!(promotable(&all, 2, 3), None, "one place of three, and it is taken");
        for id in 3..6 {
            all.push(entrant(id, &[0.1 * id as f64], true));
        }
        // 0.3 (3), 0.4 (1, promoted): two of six places.
        assert_eq!(promotable(&all, 2, 3), Some((3, 1)));
        all[3] = entrant(3, &[0.3, 0.2], true);
        all[1] = entrant(1, &[0.4, 0.1], true);
        assert_eq!(promotable(&all, 2, 3), None, "two on the second rung are too few");
        all[0] = entrant(0, &[0.5, 0.3], true);
        assert_eq!(promotable(&all, 2, 3), Some((1, 2)), "to the end");
        assert_eq!(best_waiting(&all, 2), Some((1, 2)));
        all.push(entrant(9, &[f64::NAN], true));
        assert_eq!(promotable(&all, 2, 3), Some((1, 2)));
    }

    /// Of 81 runs at one rung, no more than a third each time goes on, whatever the order of arrival.
    #[test]
    fn no_rung_passes_on_more_than_its_share() {
        let mut all: Vec<Entrant> = vec![];
        for id in 0..81u64 {
            all.push(entrant(id, &[(id * 37 % 81) as f64], true));
            while let Some((who, rung)) = promotable(&all, 3, 3) {
                let value = (who * 53 % 81) as f64;
                let e = all.iter_mut().find(|e| e.id == who).unwrap();
                if rung < 3 { e.values.push(value) } else { e.waiting = false }
            }
        }
        let on = |rung: usize| all.iter().filter(|e| e.values.len() > rung).count();
        assert!(on(1) >= 27 && on(1) <= 41, "{}", on(1));
        assert!(on(2) <= on(1) / 2 && on(2) >= on(1) / 3 - 2);
        assert!(all.iter().any(|e| !e.waiting));
    }
}
