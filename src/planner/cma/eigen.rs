//! Eigenvalues and eigenvectors of a small symmetric matrix.

/// A square matrix, row by row.
pub(super) type Matrix = Vec<Vec<f64>>;

/// The identity.
pub(super) fn identity(n: usize) -> Matrix {
    (0..n).map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect()).collect()
}

/// Eigenvalues and the matrix whose columns are the eigenvectors, in no particular order, by cyclic Jacobi rotations
/// (Golub and Van Loan, "Matrix computations", 8.5). The matrix must be symmetric; converges quadratically, so the
/// bound on the sweeps is never met by matrices of tens of rows.
pub(super) fn eigen(matrix: &Matrix) -> (Vec<f64>, Matrix) {
    let n = matrix.len();
    let (mut a, mut vectors) = (matrix.clone(), identity(n));
    for _ in 0..64 {
        let square = |a: &Matrix, diagonal: bool| -> f64 {
            let pairs = (0..n).flat_map(|i| (0..n).map(move |j| (i, j))).filter(|(i, j)| (i == j) == diagonal);
            pairs.map(|(i, j)| a[i][j] * a[i][j]).sum()
        };
        if square(&a, false) <= 1e-30 * square(&a, true) {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                rotate(&mut a, &mut vectors, p, q);
            }
        }
    }
    ((0..n).map(|i| a[i][i]).collect(), vectors)
}

/// Makes `a[p][q]` zero.
fn rotate(a: &mut Matrix, vectors: &mut Matrix, p: usize, q: usize) {
    if a[p][q] == 0.0 {
        return;
    }
    let theta = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
    let t = theta.signum() / (theta.abs() + theta.hypot(1.0));
    let t = if theta == 0.0 { 1.0 } else { t };
    let c = 1.0 / t.hypot(1.0);
    let s = t * c;
    for row in a.iter_mut().chain(vectors.iter_mut()) {
        let (x, y) = (row[p], row[q]);
        (row[p], row[q]) = (c * x - s * y, s * x + c * y);
    }
    for k in 0..a.len() {
        let (x, y) = (a[p][k], a[q][k]);
        (a[p][k], a[q][k]) = (c * x - s * y, s * x + c * y);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Sequence, Stream};

    /// `A v = l v` and orthonormal vectors for random symmetric matrices.
    #[test]
    fn decomposes() {
        for n in 1..12 {
            let mut s = Sequence::new(5, Stream::Data, n as u32, 0);
            let mut a = identity(n);
            for i in 0..n {
                for j in 0..=i {
                    let x = s.normal();
                    (a[i][j], a[j][i]) = (x, x);
                }
            }
            let (values, vectors) = eigen(&a);
            for k in 0..n {
                for i in 0..n {
                    let left: f64 = (0..n).map(|j| a[i][j] * vectors[j][k]).sum();
                    assert!((left - values[k] * vectors[i][k]).abs() < 1e-10, "{n}: {left}");
                }
                for l in 0..n {
                    let product: f64 = (0..n).map(|i| vectors[i][k] * vectors[i][l]).sum();
                    assert!((product - f64::from(u8::from(k == l))).abs() < 1e-12);
                }
            }
        }
        assert!(eigen(&vec![]).0.is_empty());
    }
}
