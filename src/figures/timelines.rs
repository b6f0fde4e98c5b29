//! Looks at the machine as curves: each attempt's own, thinned, and many attempts' mean with its range.
//!
//! Boundary: numbers from looks; knows no campaign and no paper.

use crate::analysis::{Point, resample};
use crate::config::DeviceSpec;
use crate::record::{GpuSample, Utilization};

/// Points that a curve keeps at most.
const POINTS: usize = 120;

/// What one attempt did over its own time: points (seconds since its beginning, value). What was not told is left out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Timeline {
    /// Busy share of the device, 0 to 1.
    pub busy: Vec<Point>,
    /// Bytes: of the device, of this process where that is told; of the host for a CPU slot.
    pub memory: Vec<Point>,
    /// Watts of the device.
    pub watts: Vec<Point>,
}

impl Timeline {
    /// Of an attempt on `device` with `threads` (0: not known).
    pub fn of(looks: &[Utilization], device: DeviceSpec, threads: usize) -> Timeline {
        let gpu = |value: &dyn Fn(&GpuSample) -> Option<f64>| {
            looks.iter().filter_map(|look| Some((look.seconds, value(look.gpu.as_ref()?)?))).collect::<Vec<_>>()
        };
        // The cores of a look are those since the look before; what the first one says is of no known time.
        let share = |look: &Utilization| (look.cores / threads as f64).min(1.0);
        let begun = looks.first().zip(looks.get(1)).map(|(first, second)| (first.seconds, share(second)));
        let slot = || begun.into_iter().chain(looks.iter().skip(1).map(|look| (look.seconds, share(look))));
        let (busy, memory, watts) = match device {
            DeviceSpec::Cpu => {
                let busy = if threads > 0 { slot().collect() } else { Vec::new() };
                (busy, looks.iter().map(|look| (look.seconds, look.memory.0 as f64)).collect(), Vec::new())
            }
            DeviceSpec::Cuda(_) => (
                gpu(&|g| g.busy),
                gpu(&|g| g.memory_own.or(g.memory_used).map(|bytes| bytes.0 as f64)),
                gpu(&|g| g.watts),
            ),
        };
        Timeline { busy: thinned(busy), memory: thinned(memory), watts: thinned(watts) }
    }
}

/// At most [`POINTS`] points, each the mean of as many neighbours.
fn thinned(points: Vec<Point>) -> Vec<Point> {
    let bin = points.len().div_ceil(POINTS).max(1);
    let mean = |chunk: &[Point]| {
        let n = chunk.len() as f64;
        (chunk.iter().map(|p| p.0).sum::<f64>() / n, chunk.iter().map(|p| p.1).sum::<f64>() / n)
    };
    points.chunks(bin).map(mean).collect()
}

/// Mean, lowest and highest of several curves at the same times, each over the curves that reach so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Spread {
    /// (x, mean).
    pub mean: Vec<Point>,
    /// (x, lowest, highest); empty for fewer than two curves.
    pub range: Vec<(f64, f64, f64)>,
}

impl Spread {
    /// Of curves whose points are in order of time.
    pub fn of<'a>(curves: impl IntoIterator<Item = &'a [Point]>) -> Spread {
        let curves: Vec<&[Point]> = curves.into_iter().filter(|curve| !curve.is_empty()).collect();
        let first = curves.iter().map(|c| c[0].0).fold(f64::INFINITY, f64::min);
        let last = curves.iter().map(|c| c[c.len() - 1].0).fold(f64::NEG_INFINITY, f64::max);
        let steps = match curves.len() {
            1 => curves[0].len() - 1,
            // Dense enough that curves of other lengths and beginnings are met.
            _ => POINTS - 1,
        };
        let mut spread = Spread::default();
        if curves.is_empty() {
            return spread;
        }
        let at = |i| if i == steps { last } else { first + (last - first) * i as f64 / steps as f64 };
        let mut grid: Vec<f64> = (0..=steps).map(at).collect();
        grid.dedup();
        let resampled: Vec<_> = curves.iter().map(|curve| resample(curve, &grid)).collect();
        for (i, &x) in grid.iter().enumerate() {
            let values: Vec<f64> = resampled.iter().filter_map(|curve| curve[i]).collect();
            if values.is_empty() {
                continue;
            }
            spread.mean.push((x, values.iter().sum::<f64>() / values.len() as f64));
            if curves.len() > 1 {
                let low = values.iter().copied().fold(f64::INFINITY, f64::min);
                let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                spread.range.push((x, low, high));
            }
        }
        spread
    }
}

/// Spans (from, to, level) as levels over time: the mean sum of levels in each of `bins` equal parts of `0..end`, as points
/// at the parts' middles. The area under it is that of the spans.
pub fn stacked(spans: &[(f64, f64, f64)], end: f64, bins: usize) -> Vec<Point> {
    let width = end / bins as f64;
    let mut sums = vec![0.0; bins];
    for &(from, to, level) in spans {
        let (from, to) = (from.max(0.0), to.min(end));
        if from >= to || width <= 0.0 {
            continue;
        }
        let (first, last) = ((from / width) as usize, ((to / width) as usize).min(bins - 1));
        for (bin, sum) in sums.iter_mut().enumerate().take(last + 1).skip(first) {
            let (left, right) = (bin as f64 * width, (bin + 1) as f64 * width);
            *sum += level * (to.min(right) - from.max(left)).max(0.0) / width;
        }
    }
    sums.into_iter().enumerate().map(|(bin, sum)| ((bin as f64 + 0.5) * width, sum)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Bytes;

    fn look(seconds: f64, cores: f64, gpu: Option<GpuSample>) -> Utilization {
        Utilization { seconds, cores, memory: Bytes(10), gpu }
    }

    #[test]
    fn a_slot_is_its_threads_and_a_card_is_what_it_told() {
        let looks = [look(0.0, 9.0, None), look(1.0, 1.0, None), look(2.0, 8.0, None)];
        let slot = Timeline::of(&looks, DeviceSpec::Cpu, 2);
        assert_eq!(slot.busy, [(0.0, 0.5), (1.0, 0.5), (2.0, 1.0)]);
        assert_eq!((slot.memory.len(), slot.watts.len()), (3, 0));
        assert_eq!(Timeline::of(&looks, DeviceSpec::Cpu, 0).busy, []);
        let own = GpuSample {
            busy: Some(0.5),
            memory_own: Some(Bytes(3)),
            memory_used: Some(Bytes(7)),
            ..GpuSample::default()
        };
        let others = GpuSample { memory_own: None, watts: Some(300.0), ..own.clone() };
        let looks = [look(0.0, 1.0, Some(own)), look(1.0, 1.0, None), look(2.0, 1.0, Some(others))];
        let card = Timeline::of(&looks, DeviceSpec::Cuda(0), 2);
        assert_eq!((card.busy, card.memory), (vec![(0.0, 0.5), (2.0, 0.5)], vec![(0.0, 3.0), (2.0, 7.0)]));
        assert_eq!(card.watts, [(2.0, 300.0)]);
    }

    #[test]
    fn long_attempts_are_thinned_by_means() {
        let looks: Vec<Utilization> = (0..1201).map(|i| look(f64::from(i), f64::from(i % 2), None)).collect();
        let thin = Timeline::of(&looks, DeviceSpec::Cpu, 1);
        assert!(thin.busy.len() <= POINTS && thin.busy.iter().all(|p| (p.1 - 0.5).abs() < 0.05), "{:?}", thin.busy);
    }

    #[test]
    fn a_spread_is_over_the_curves_that_reach_so_far() {
        let (long, short) = ([(0.0, 1.0), (2.0, 1.0), (4.0, 1.0)], [(0.0, 0.0), (2.0, 0.5)]);
        let spread = Spread::of([&long[..], &short[..], &[]]);
        assert_eq!((spread.mean.len(), spread.range.len()), (POINTS, POINTS));
        assert_eq!((spread.mean[0], spread.range[0]), ((0.0, 0.5), (0.0, 0.0, 1.0)));
        for (&(x, mean), &(_, low, high)) in spread.mean.iter().zip(&spread.range) {
            let own = if x <= 2.0 { 0.25 * x } else { 1.0 };
            assert!((low - own).abs() < 1e-12 && high == 1.0, "{x}: {low} to {high}");
            assert!((mean - if x <= 2.0 { (1.0 + own) / 2.0 } else { 1.0 }).abs() < 1e-12, "{x}: {mean}");
        }
        assert_eq!(spread.mean.last(), Some(&(4.0, 1.0)));
        let alone = Spread::of([&long[..]]);
        assert_eq!((alone.mean.as_slice(), alone.range.len()), (&long[..], 0));
        assert_eq!(Spread::of([&[][..]]), Spread::default());
        assert_eq!(Spread::of([&[(3.0, 0.5)][..]]).mean, [(3.0, 0.5)]);
    }

    #[test]
    fn stacked_spans_keep_their_area() {
        let spans = [(0.0, 10.0, 1.0), (2.5, 4.0, 0.5), (-1.0, 0.5, 1.0), (9.0, 99.0, 1.0)];
        let points = stacked(&spans, 10.0, 5);
        assert_eq!(points.iter().map(|p| p.0).collect::<Vec<_>>(), [1.0, 3.0, 5.0, 7.0, 9.0]);
        assert_eq!(points[1].1, 1.0 + 0.5 * 1.5 / 2.0);
        let area: f64 = points.iter().map(|p| 2.0 * p.1).sum();
        assert!((area - (10.0 + 0.75 + 0.5 + 1.0)).abs() < 1e-12);
        assert!(stacked(&[], 0.0, 3).iter().all(|p| p.1 == 0.0));
    }
}
