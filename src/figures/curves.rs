//! Learning curves of runs, read from their metrics.

use crate::analysis::{Point, seed_band};
use crate::campaign::placement::run_path;
use crate::ids::RunId;
use crate::record::{Metrics, read_metrics};
use std::path::Path;

/// Validation values of one metric over steps; empty for a run that left none.
pub fn validation(folder: &Path, run: RunId, metric: &str) -> Vec<Point> {
    records(folder, run)
        .iter()
        .filter_map(|record| match record {
            Metrics::Eval { step, metrics, .. } => Some((*step as f64, *metrics.get(metric)?)),
            Metrics::Train { .. } => None,
        })
        .collect()
}

/// Training loss over steps, averaged in at most `points` bins of equal length so that it can be read.
pub fn training(folder: &Path, run: RunId, points: usize) -> Vec<Point> {
    let losses: Vec<Point> = records(folder, run)
        .iter()
        .filter_map(|record| match record {
            Metrics::Train { step, loss, .. } => Some((*step as f64, *loss)),
            Metrics::Eval { .. } => None,
        })
        .collect();
    let bin = losses.len().div_ceil(points.max(1)).max(1);
    losses
        .chunks(bin)
        .map(|chunk| {
            let n = chunk.len() as f64;
            (chunk.iter().map(|p| p.0).sum::<f64>() / n, chunk.iter().map(|p| p.1).sum::<f64>() / n)
        })
        .collect()
}

/// A line with its band over seeds, as (x, mean) and (x, low, high); the band is empty with fewer than two curves.
pub fn band(curves: &[Vec<Point>], confidence: f64) -> (Vec<Point>, Vec<(f64, f64, f64)>) {
    let points = seed_band(curves, confidence);
    let line = points.iter().map(|p| (p.x, p.interval.mean)).collect();
    let band = points.iter().map(|p| (p.x, p.interval.low, p.interval.high)).filter(|p| p.1.is_finite()).collect();
    (line, band)
}

/// A run's metrics; a missing or damaged file is shown as missing, never guessed at.
fn records(folder: &Path, run: RunId) -> Vec<Metrics> {
    let path = folder.join(run_path(run)).join("metrics.jsonl");
    if path.exists() { read_metrics(&path).unwrap_or_default() } else { Vec::new() }
}
