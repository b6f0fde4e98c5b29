//! Counter-based randomness: Philox4x32-10 indexed by (seed, stream, step, sample, element).
//!
//! There is no generator state to carry around, checkpoint or race on: any element of any stream can be computed
//! on its own, which makes results independent of micro-batches, threads and ranks, and resumption exact.
//! Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011); the known-answer
//! vectors of that paper's Random123 distribution are in the tests.

/// What the randomness is for; streams never share numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Stream {
    /// Initial parameter values.
    Init = 1,
    /// Order of training samples within an epoch, text windows.
    Shuffle = 2,
    /// Split of a dataset into training and validation.
    Split = 3,
    /// Synthetic data.
    Data = 4,
    /// Samplers of the planner.
    Sampler = 5,
    /// Bootstrap resampling in statistics.
    Bootstrap = 6,
    /// Splits and samples of the planner's forests.
    Forest = 7,
    /// Dropout masks; each dropout site of a model adds its index (see [`Stream::dropout`]).
    Dropout = 0x100,
}

impl Stream {
    /// The stream number of the `site`-th dropout of a model.
    pub fn dropout(site: u32) -> u32 {
        Stream::Dropout as u32 + site
    }
}

const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

/// One Philox4x32-10 block: 128 bits of counter under a 64-bit key.
#[inline]
pub fn philox4x32(mut counter: [u32; 4], seed: u64) -> [u32; 4] {
    let mut key = [seed as u32, (seed >> 32) as u32];
    for i in 0..10 {
        if i > 0 {
            key = next_key(key);
        }
        counter = round(counter, key);
    }
    counter
}

/// One of the ten rounds; for code that computes many blocks side by side.
#[inline(always)]
pub fn round(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let p0 = u64::from(MULTIPLIERS[0]) * u64::from(counter[0]);
    let p1 = u64::from(MULTIPLIERS[1]) * u64::from(counter[2]);
    [(p1 >> 32) as u32 ^ counter[1] ^ key[0], p1 as u32, (p0 >> 32) as u32 ^ counter[3] ^ key[1], p0 as u32]
}

/// The next round's key.
#[inline(always)]
pub fn next_key(key: [u32; 2]) -> [u32; 2] {
    [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])]
}

/// The 32 random bits of one element.
#[inline]
pub fn bits(seed: u64, stream: u32, step: u32, sample: u32, element: u32) -> u32 {
    philox4x32([element / 4, sample, step, stream], seed)[(element % 4) as usize]
}

/// Uniform in [0, 1) with 24 bits, so that the value is exact in f32.
#[inline]
pub fn unit_f32(bits: u32) -> f32 {
    (bits >> 8) as f32 * (1.0 / 16_777_216.0)
}

/// A stream read in order, for host-side uses (shuffles, samplers, initial values).
#[derive(Debug, Clone)]
pub struct Sequence {
    seed: u64,
    stream: u32,
    step: u32,
    sample: u32,
    element: u32,
}

impl Sequence {
    /// The sequence of one (seed, stream, step, sample), from its first element.
    pub fn new(seed: u64, stream: Stream, step: u32, sample: u32) -> Self {
        Sequence { seed, stream: stream as u32, step, sample, element: 0 }
    }

    /// The next 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        let value = bits(self.seed, self.stream, self.step, self.sample, self.element);
        self.element = self.element.wrapping_add(1);
        value
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        u64::from(self.next_u32()) << 32 | u64::from(self.next_u32())
    }

    /// Uniform in [0, 1) with 53 bits.
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in `0..n`, without modulo bias worth mentioning (64-bit multiply-shift, Lemire 2019).
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(n)) >> 64) as u64
    }

    /// Standard normal (Box-Muller, the cosine branch).
    pub fn normal(&mut self) -> f64 {
        let u = 1.0 - self.uniform();
        let v = self.uniform();
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }

    /// Fisher-Yates shuffle.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u64 + 1) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known answers from Random123's `kat_vectors` (philox4x32, 10 rounds).
    #[test]
    fn philox_known_answers() {
        assert_eq!(philox4x32([0; 4], 0), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox4x32([u32::MAX; 4], u64::MAX), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        let counter = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        assert_eq!(philox4x32(counter, 0x299f_31d0_a409_3822), [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]);
    }

    #[test]
    fn sequence_moments() {
        let mut s = Sequence::new(7, Stream::Init, 0, 0);
        let n = 20_000;
        let xs: Vec<f64> = (0..n).map(|_| s.normal()).collect();
        let mean = xs.iter().sum::<f64>() / f64::from(n);
        let var = xs.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / f64::from(n);
        assert!(mean.abs() < 0.03 && (var - 1.0).abs() < 0.05, "mean {mean}, variance {var}");
    }

    #[test]
    fn shuffle_is_a_permutation_and_seeded() {
        let shuffled = |seed| {
            let mut v: Vec<u32> = (0..100).collect();
            Sequence::new(seed, Stream::Shuffle, 0, 0).shuffle(&mut v);
            v
        };
        let mut sorted = shuffled(1);
        assert_ne!(sorted, shuffled(2));
        assert_eq!(sorted, shuffled(1));
        sorted.sort_unstable();
        assert!(sorted.iter().copied().eq(0..100));
    }
}
