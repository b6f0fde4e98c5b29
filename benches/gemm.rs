//! Crates that multiply matrices, on one thread and on tiles as the compiled engine cuts them: `cargo bench --bench gemm`.
//! What the engine chooses by is `docs/benchmarks/gemm.md`.

use faer::{Accum, MatMut, MatRef, Par};
use nanoresearch::engine::{SquareProduct, product_tile};
use nanoresearch::sys::clock::Stopwatch;

/// Rounds that the crates take turns in; the best of each counts.
const ROUNDS: usize = 15;
/// Operations of one round of one crate, about.
const ROUND_FLOPS: f64 = 5e7;

/// What a product is for, its size, and which operands are read as their transposes.
type Case = (&'static str, usize, usize, usize, bool, bool);

const CASES: &[Case] = &[
    ("4x128 qkv", 2048, 384, 128, false, true),
    ("4x128 up", 2048, 512, 128, false, true),
    ("4x128 down", 2048, 128, 512, false, true),
    ("4x128 up, input gradient", 2048, 128, 512, false, false),
    ("4x128 up, weight gradient", 512, 128, 2048, true, false),
    ("6x384 up", 4096, 1536, 384, false, true),
    ("6x384 down", 4096, 384, 1536, false, true),
    ("6x384 down, input gradient", 4096, 1536, 384, false, false),
    ("6x384 up, weight gradient", 1536, 384, 4096, true, false),
    ("modular addition up", 512, 512, 128, false, true),
    ("MLP 784", 64, 256, 784, false, true),
    ("MLP 784, weight gradient", 256, 784, 64, true, false),
    ("attention scores", 64, 64, 32, false, true),
    ("attention values", 64, 32, 64, false, false),
];

/// An operand: pointer, stride from row to row, from column to column.
#[derive(Clone, Copy)]
struct Operand(*const f32, isize, isize);

impl Operand {
    fn from(self, row: usize, column: usize) -> Self {
        // SAFETY: within the matrix.
        Operand(unsafe { self.0.offset(row as isize * self.1 + column as isize * self.2) }, self.1, self.2)
    }
}

fn operand(values: &[f32], (rows, columns): (usize, usize), transposed: bool) -> Operand {
    if transposed { Operand(values.as_ptr(), 1, rows as isize) } else { Operand(values.as_ptr(), columns as isize, 1) }
}

/// A crate's name, and its product of a tile: `c [m, n] = a b`, or `+=`, with `stride` elements from row to row of `c`.
type Library = (&'static str, fn((usize, usize, usize), Operand, Operand, *mut f32, usize, bool));

fn with_faer((m, n, k): (usize, usize, usize), a: Operand, b: Operand, c: *mut f32, stride: usize, add: bool) {
    // SAFETY: the operands hold matrices of these sizes and strides; so below.
    let (a, b, c) = unsafe {
        (
            MatRef::from_raw_parts(a.0, m, k, a.1, a.2),
            MatRef::from_raw_parts(b.0, k, n, b.1, b.2),
            MatMut::from_raw_parts_mut(c, m, n, stride as isize, 1),
        )
    };
    let mode = if add { Accum::Add } else { Accum::Replace };
    faer::linalg::matmul::matmul(c, mode, a, b, 1.0f32, Par::Seq);
}

fn with_gemm((m, n, k): (usize, usize, usize), a: Operand, b: Operand, c: *mut f32, stride: usize, add: bool) {
    let none = gemm::Parallelism::None;
    let stride = stride as isize;
    unsafe {
        let old = f32::from(u8::from(add));
        gemm::gemm(m, n, k, c, 1, stride, add, a.0, a.2, a.1, b.0, b.2, b.1, old, 1.0, false, false, false, none)
    };
}

fn with_matrixmultiply(
    (m, n, k): (usize, usize, usize),
    a: Operand,
    b: Operand,
    c: *mut f32,
    stride: usize,
    add: bool,
) {
    unsafe {
        matrixmultiply::sgemm(
            m,
            k,
            n,
            1.0,
            a.0,
            a.1,
            a.2,
            b.0,
            b.1,
            b.2,
            f32::from(u8::from(add)),
            c,
            stride as isize,
            1,
        )
    };
}

const LIBRARIES: [Library; 3] = [("faer", with_faer), ("gemm", with_gemm), ("matrixmultiply", with_matrixmultiply)];

fn main() {
    // `cargo test --benches` only sees that it works.
    let rounds = if std::env::args().any(|argument| argument == "--bench") { ROUNDS } else { 1 };
    println!("GFLOP/s on one thread, the best of {rounds} rounds by turns");
    println!("| product | size | tile | {} |", LIBRARIES.map(|(name, _)| name).join(" | "));
    println!("|---|---|---|---|---|---|");
    for &(name, m, n, k, ta, tb) in CASES {
        let values = |count: usize| -> Vec<f32> { (0..count).map(|i| (i % 1000) as f32 / 1000.0 - 0.5).collect() };
        let (a, b, mut c) = (values(m * k), values(k * n), vec![0.0f32; m * n]);
        let (left, right) = (operand(&a, (m, k), ta), operand(&b, (k, n), tb));
        let (rows, columns, block) = product_tile((m, n, k), ta);
        let flops = 2.0 * (m * n * k) as f64;
        let repeats = ((ROUND_FLOPS / flops) as usize).max(1);
        let mut best = LIBRARIES.map(|_| f64::INFINITY);
        for _ in 0..rounds {
            for ((_, product), best) in LIBRARIES.iter().zip(&mut best) {
                let watch = Stopwatch::start();
                for _ in 0..repeats {
                    for deep in (0..k).step_by(block) {
                        for row in (0..m).step_by(rows) {
                            for column in (0..n).step_by(columns) {
                                let size = (rows.min(m - row), columns.min(n - column), block.min(k - deep));
                                let (a, b) = (left.from(row, deep), right.from(deep, column));
                                product(size, a, b, c[row * n + column..].as_mut_ptr(), n, deep > 0);
                            }
                        }
                    }
                }
                *best = best.min(watch.seconds() / repeats as f64);
            }
        }
        let rates: Vec<String> = best.iter().map(|seconds| format!("{:.1}", flops / seconds / 1e9)).collect();
        println!("| {name} | {m}x{n}x{k} | {rows}x{columns}x{block} | {} |", rates.join(" | "));
    }
    for threads in [1, 2] {
        let (mut square, mut best) = (SquareProduct::new(1024, threads), f64::INFINITY);
        for _ in 0..rounds {
            let watch = Stopwatch::start();
            std::hint::black_box(square.run());
            best = best.min(watch.seconds());
        }
        println!(
            "1024 cubed as the engine does it, {threads} thread(s): {:.1} GFLOP/s",
            2.0 * 1024f64.powi(3) / best / 1e9
        );
    }
}
