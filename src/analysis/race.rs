//! Racing: seeds are run one after the other, and no further ones once the verdict is clear.
//!
//! Looking after every seed gives chance several tries, so the looks share what one interval may err (Bonferroni): with
//! `looks` of them before the last seed, each interval is made at `1 - (1 - confidence) / looks`. That is wider than a
//! group-sequential design needs and right under any dependence between the looks. Being two-sided, they call something
//! better that is not in at most half of `1 - confidence` of races, and so does the interval after the last seed: together
//! at most `1 - confidence`.

use super::{Interval, Verdict, mean_interval, verdict};
use crate::config::Direction;

/// What a race says after some of its seeds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Race {
    /// Run another seed.
    GoOn,
    /// It is decided.
    Decided {
        /// What.
        verdict: Verdict,
        /// The interval that decided, at the confidence of one look.
        interval: Interval,
    },
    /// It cannot be shown to be better any more: even the good end of the interval lies short of the floor.
    Futile {
        /// The interval that decided, at the confidence of one look.
        interval: Interval,
    },
}

/// The race after the first seeds, given as `candidate - baseline` by seed. `seeds`: how many there will be at most; the
/// first look is after two. The last seed is no look of the race: then the plain interval decides.
pub fn race(differences: &[f64], seeds: usize, floor: f64, direction: Direction, confidence: f64) -> Race {
    let looks = seeds.saturating_sub(1).max(1);
    if differences.len() < 2 || differences.len() >= seeds {
        return Race::GoOn;
    }
    let interval = mean_interval(differences, 1.0 - (1.0 - confidence) / looks as f64);
    let short = match direction {
        Direction::Minimize => interval.low > -floor,
        Direction::Maximize => interval.high < floor,
    };
    match verdict(&interval, floor, direction) {
        Verdict::Undecided if short => Race::Futile { interval },
        Verdict::Undecided => Race::GoOn,
        verdict => Race::Decided { verdict, interval },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Sequence, Stream};

    #[test]
    fn clear_cases_end_early() {
        let go = |d: &[f64]| race(d, 8, 0.1, Direction::Minimize, 0.95);
        assert_eq!(go(&[-1.0]), Race::GoOn);
        assert!(matches!(go(&[-1.0, -1.001, -0.999]), Race::Decided { verdict: Verdict::Better, .. }));
        assert!(matches!(go(&[1.0, 1.001, 0.999]), Race::Decided { verdict: Verdict::Worse, .. }));
        assert!(matches!(go(&[0.0, 0.001, -0.001]), Race::Futile { .. }));
        assert_eq!(go(&[-0.5, 0.5, 0.1]), Race::GoOn);
        assert_eq!(race(&[-1.0; 8], 8, 0.1, Direction::Minimize, 0.95), Race::GoOn, "the last one is judged as ever");
        assert!(matches!(
            race(&[1.0, 1.0, 1.001], 5, 0.1, Direction::Maximize, 0.95),
            Race::Decided { verdict: Verdict::Better, .. }
        ));
    }

    /// Under no difference at all, looking after every one of ten seeds calls a false winner in at most 5% of races
    /// (with the floor at 0, where nothing else protects), while plain 95% intervals would call more; and seeds are spared.
    #[test]
    fn looking_often_does_not_raise_the_error() {
        let (mut wrong, mut naive, mut spared) = (0, 0, 0);
        for draw in 0..2000 {
            let mut s = Sequence::new(31, Stream::Data, draw, 0);
            let d: Vec<f64> = (0..10).map(|_| s.normal()).collect();
            let first = (2..10).find(|n| !matches!(race(&d[..*n], 10, 0.0, Direction::Minimize, 0.95), Race::GoOn));
            if let Some(n) = first {
                spared += 10 - n;
                wrong += u32::from(matches!(race(&d[..n], 10, 0.0, Direction::Minimize, 0.95), Race::Decided { .. }));
            }
            naive += u32::from((2..10).any(|n| {
                let i = mean_interval(&d[..n], 0.95);
                i.high < 0.0 || i.low > 0.0
            }));
        }
        assert!(wrong <= 100, "{wrong} of 2000");
        assert!(naive > 200 && naive > 2 * wrong, "{naive} without the correction");
        assert!(spared > 0);
    }
}
