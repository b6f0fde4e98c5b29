//! What the machine can do at best, measured beside whatever is compared with it.
//!
//! Three rates, each with the same number of threads as the engine: multiply-adds in registers, one large matrix
//! product, and copying between buffers that no cache holds.

use crate::engine::SquareProduct;
use crate::sys::clock::Stopwatch;
use serde::Serialize;

/// Side of the square matrices.
const SIDE: usize = 1024;
/// Numbers in each of the two buffers of the copy, over all threads: 64 MiB.
const COPIED: usize = 16 << 20;
/// Independent sums of the multiply-add loop: enough to hide the latency of two units, few enough for the registers.
const CHAINS: usize = 12;
/// Lanes of one sum: an AVX-512 register, two of AVX2.
const LANES: usize = 16;
/// `x -> FACTOR x + TERM` neither grows nor vanishes: it goes to 1.
const FACTOR: f32 = 0.999;
const TERM: f32 = 0.001;

/// Rates of one measurement.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Rates {
    /// f32 multiply-adds in registers, FLOP/s.
    pub fma: f64,
    /// An f32 product of 1024 x 1024 matrices by the compiled engine, FLOP/s.
    pub gemm: f64,
    /// Bytes read plus bytes written by copying 64 MiB, a second.
    pub copy: f64,
}

/// What the measurements need, kept between them.
pub struct Ceilings {
    threads: usize,
    product: SquareProduct,
    from: Vec<f32>,
    to: Vec<f32>,
}

impl Ceilings {
    /// For this many threads, the engine's own.
    pub fn new(threads: usize) -> Self {
        Ceilings {
            threads: threads.max(1),
            product: SquareProduct::new(SIDE, threads),
            from: vec![1.0; COPIED],
            to: vec![0.0; COPIED],
        }
    }

    /// Measures each, some tens of milliseconds together. Of two tries the better counts, since these are ceilings; the
    /// first product comes on top and fetches the matrices.
    pub fn measure(&mut self) -> Rates {
        let fma = self.fma().max(self.fma());
        self.gemm();
        let gemm = self.gemm().max(self.gemm());
        let copy = self.copy().max(self.copy());
        Rates { fma, gemm, copy }
    }

    fn fma(&self) -> f64 {
        const ROUNDS: usize = 1_000_000;
        let watch = Stopwatch::start();
        let sum: f32 = std::thread::scope(|scope| {
            let helpers: Vec<_> = (1..self.threads).map(|_| scope.spawn(|| multiply_add(ROUNDS))).collect();
            let own = multiply_add(ROUNDS);
            own + helpers.into_iter().map(|h| h.join().unwrap_or(0.0)).sum::<f32>()
        });
        let seconds = watch.seconds();
        std::hint::black_box(sum);
        (2 * CHAINS * LANES * ROUNDS * self.threads) as f64 / seconds
    }

    fn gemm(&mut self) -> f64 {
        let watch = Stopwatch::start();
        std::hint::black_box(self.product.run());
        2.0 * (SIDE as f64).powi(3) / watch.seconds()
    }

    fn copy(&mut self) -> f64 {
        let part = COPIED.div_ceil(self.threads);
        let watch = Stopwatch::start();
        std::thread::scope(|scope| {
            let mut parts = self.to.chunks_mut(part).zip(self.from.chunks(part));
            let own = parts.next();
            for (to, from) in parts {
                scope.spawn(|| to.copy_from_slice(from));
            }
            if let Some((to, from)) = own {
                to.copy_from_slice(from);
            }
        });
        let seconds = watch.seconds();
        std::hint::black_box(&self.to);
        (2 * 4 * COPIED) as f64 / seconds
    }
}

/// `rounds` multiply-adds in each of [`CHAINS`] sums of [`LANES`] lanes, with the widest registers there are. Written with
/// intrinsics: left to itself the compiler takes the loop over the sums for the one to turn into vectors.
fn multiply_add(rounds: usize) -> f32 {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{
            __m256, __m512, _mm256_fmadd_ps, _mm256_set1_ps, _mm512_fmadd_ps, _mm512_reduce_add_ps, _mm512_set1_ps,
        };
        #[target_feature(enable = "avx512f")]
        fn avx512(rounds: usize) -> f32 {
            let (factor, term) = (_mm512_set1_ps(FACTOR), _mm512_set1_ps(TERM));
            let mut sums: [__m512; CHAINS] = [_mm512_set1_ps(0.5); CHAINS];
            for _ in 0..rounds {
                sums.iter_mut().for_each(|sum| *sum = _mm512_fmadd_ps(*sum, factor, term));
            }
            sums.into_iter().map(|sum| _mm512_reduce_add_ps(sum)).sum()
        }
        #[target_feature(enable = "avx2,fma")]
        fn avx2(rounds: usize) -> f32 {
            let (factor, term) = (_mm256_set1_ps(FACTOR), _mm256_set1_ps(TERM));
            let mut total = 0.0;
            // Two registers make the lanes of one sum, one after the other: sixteen registers hold no more.
            for _ in 0..2 {
                let mut sums: [__m256; CHAINS] = [_mm256_set1_ps(0.5); CHAINS];
                for _ in 0..rounds {
                    sums.iter_mut().for_each(|sum| *sum = _mm256_fmadd_ps(*sum, factor, term));
                }
                // SAFETY: both are eight numbers.
                let lanes = sums.map(|sum| unsafe { std::mem::transmute::<__m256, [f32; 8]>(sum) });
                total += lanes.as_flattened().iter().sum::<f32>();
            }
            total
        }
        if std::is_x86_feature_detected!("avx512f") {
            // SAFETY: the feature was detected.
            return unsafe { avx512(rounds) };
        }
        if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
            // SAFETY: the features were detected.
            return unsafe { avx2(rounds) };
        }
    }
    plain(rounds)
}

/// The same in plain words: a multiplication and an addition, each rounded.
fn plain(rounds: usize) -> f32 {
    let (factor, term) = (std::hint::black_box(FACTOR), std::hint::black_box(TERM));
    let mut sums = [[0.5_f32; LANES]; CHAINS];
    for _ in 0..rounds {
        sums.as_flattened_mut().iter_mut().for_each(|sum| *sum = *sum * factor + term);
    }
    sums.iter().flatten().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sums_are_what_they_should_be() {
        // After 10,000 rounds every sum is at the fixed point.
        let all = (CHAINS * LANES) as f32;
        for value in [multiply_add(10_000), plain(10_000)] {
            assert!((value / all - 1.0).abs() < 1e-3, "{value}");
        }
    }

    #[test]
    fn rates_are_positive_and_the_copy_copies() {
        let mut ceilings = Ceilings::new(2);
        let rates = ceilings.measure();
        assert!([rates.fma, rates.gemm, rates.copy].iter().all(|r| r.is_finite() && *r > 1e6), "{rates:?}");
        assert!(ceilings.to == ceilings.from);
    }
}
