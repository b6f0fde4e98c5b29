//! Functions compiled for several instruction sets, chosen when they are called.
//!
//! Kernels are plain loops over slices, written so that the compiler turns them into vector code: fixed lanes, no
//! branches, no calls that are not inlined. [`kernel!`] compiles such a function three times, with AVX-512, with AVX2 and
//! for the baseline. None of them fuses a multiplication with an addition, so all three give the same bits.

/// What this CPU can do, in the order of preference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Baseline,
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
    Avx2,
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
    Avx512,
}

/// The best level that this CPU has.
#[inline]
pub(super) fn level() -> Level {
    #[cfg(test)]
    return detected().min(cap::get());
    #[cfg(not(test))]
    detected()
}

/// Detection is cached by the standard library.
#[inline]
fn detected() -> Level {
    #[cfg(target_arch = "x86_64")]
    {
        if std::is_x86_feature_detected!("avx512f")
            && std::is_x86_feature_detected!("avx512vl")
            && std::is_x86_feature_detected!("avx512dq")
            && std::is_x86_feature_detected!("avx512bw")
        {
            return Level::Avx512;
        }
        if std::is_x86_feature_detected!("avx2") {
            return Level::Avx2;
        }
    }
    Level::Baseline
}

/// Defines a function that runs as the best of its compilations. Its body must consist of loops and functions that are
/// always inlined. Arguments are passed on as they are.
macro_rules! kernel {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            #[allow(clippy::too_many_arguments)]
            fn body($($arg: $ty),*) $(-> $ret)? $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,bmi2")]
                #[allow(clippy::too_many_arguments)]
                fn avx512($($arg: $ty),*) $(-> $ret)? {
                    body($($arg),*)
                }
                #[target_feature(enable = "avx2,bmi2")]
                #[allow(clippy::too_many_arguments)]
                fn avx2($($arg: $ty),*) $(-> $ret)? {
                    body($($arg),*)
                }
                match $crate::engine::cpu::simd::level() {
                    // SAFETY: the features were detected.
                    $crate::engine::cpu::simd::Level::Avx512 => return unsafe { avx512($($arg),*) },
                    // SAFETY: as above.
                    $crate::engine::cpu::simd::Level::Avx2 => return unsafe { avx2($($arg),*) },
                    $crate::engine::cpu::simd::Level::Baseline => {}
                }
            }
            body($($arg),*)
        }
    };
}
pub(super) use kernel;

/// The level that tests allow at most, in every thread: other tests may meet it too, and must have the same bits with it.
#[cfg(test)]
pub(super) mod cap {
    use super::Level;
    use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

    const LEVELS: [Level; 3] = [Level::Baseline, Level::Avx2, Level::Avx512];
    static CAP: AtomicU8 = AtomicU8::new(2);

    pub(super) fn get() -> Level {
        LEVELS[CAP.load(Relaxed) as usize]
    }

    /// Runs something at each level that this CPU has, the best first.
    pub fn at_each<T>(mut what: impl FnMut() -> T) -> Vec<(Level, T)> {
        let mut all = Vec::new();
        for level in LEVELS.into_iter().rev().filter(|l| *l <= super::detected()) {
            CAP.store(level as u8, Relaxed);
            all.push((level, what()));
        }
        CAP.store(2, Relaxed);
        all
    }
}
