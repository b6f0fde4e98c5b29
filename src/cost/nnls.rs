//! Least squares with non-negative unknowns.

/// Sweeps over all unknowns, at most.
const SWEEPS: usize = 20_000;
/// Largest change of a sweep, relative to the largest unknown, at which it has converged.
const TOLERANCE: f64 = 1e-11;

/// The x >= 0 with the smallest `|rows x - target|`, by cyclic coordinate descent on the normal equations with columns
/// scaled to unit length. The problem is convex, so this converges to the minimum from any `start` (Luo and Tseng 1992);
/// `start` only saves time. All rows must be as long as `start`. An unknown with an empty column is 0.
pub(super) fn nnls(rows: &[Vec<f64>], target: &[f64], start: &[f64]) -> Vec<f64> {
    let n = start.len();
    let mut scale = vec![0.0; n];
    for row in rows {
        for (s, a) in scale.iter_mut().zip(row) {
            *s += a * a;
        }
    }
    let scale: Vec<f64> = scale.iter().map(|s: &f64| s.sqrt()).collect();
    let mut gram = vec![vec![0.0; n]; n];
    let mut moment = vec![0.0; n];
    for (row, y) in rows.iter().zip(target) {
        let row: Vec<f64> = row.iter().zip(&scale).map(|(a, s)| if *s > 0.0 { a / s } else { 0.0 }).collect();
        for i in 0..n {
            moment[i] += row[i] * y;
            for j in 0..n {
                gram[i][j] += row[i] * row[j];
            }
        }
    }
    let mut x: Vec<f64> = start.iter().zip(&scale).map(|(x, s)| x.max(0.0) * s).collect();
    for _ in 0..SWEEPS {
        let (mut change, mut largest) = (0.0f64, 0.0f64);
        for i in 0..n {
            if scale[i] == 0.0 {
                continue;
            }
            let slope: f64 = moment[i] - gram[i].iter().zip(&x).map(|(g, x)| g * x).sum::<f64>();
            let next = (x[i] + slope).max(0.0);
            change = change.max((next - x[i]).abs());
            largest = largest.max(next);
            x[i] = next;
        }
        if change <= TOLERANCE * largest {
            break;
        }
    }
    x.iter().zip(&scale).map(|(x, s)| if *s > 0.0 { x / s } else { 0.0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::nnls;

    /// `scipy.optimize.nnls`, scipy 1.17.1.
    #[test]
    fn the_minimum_is_scipys() {
        let rows = [[1.0, 2.0, 0.5], [0.3, 1.0, 4.0], [2.0, 0.1, 1.0], [1.0, 1.0, 1.0], [0.2, 3.0, 0.7]].map(Vec::from);
        let cases = [
            ([1.0; 5], [0.4310083096029055, 0.27098561034373914, 0.15431364870348338]),
            ([1.0, -2.0, 3.0, 0.5, -1.0], [1.092985318107667, 0.0, 0.0]),
        ];
        for (target, want) in cases {
            for start in [[0.0; 3], [5.0, 0.0, 9.0]] {
                let got = nnls(&rows, &target, &start);
                assert!(got.iter().zip(want).all(|(g, w)| (g - w).abs() < 1e-8), "{got:?}, want {want:?}");
            }
        }
    }

    #[test]
    fn empty_columns_are_zero() {
        assert_eq!(nnls(&[vec![2.0, 0.0]], &[4.0], &[0.0, 3.0]), [2.0, 0.0]);
        assert_eq!(nnls(&[], &[], &[1.0]), [0.0]);
    }
}
