//! The widest vector unit that this CPU has, chosen at run time: the only module of the core with `unsafe`.
//!
//! A [`Kernel`] is written once, in plain Rust that the compiler can vectorise, with `#[inline(always)]` all the way
//! down. [`dispatch`] calls it through a function that is compiled for the wanted instruction set. Kernels fix the order
//! of every sum, so all paths give the same bits; only one that asks its [`Unit`] for a fused multiply-add gives others
//! in the last place where there is none (x86-64 without AVX2).

#![allow(unsafe_code)]

use std::ops::{Deref, DerefMut};
use std::sync::OnceLock;

use zerocopy::FromZeros;

mod unit;

#[cfg(target_arch = "x86_64")]
use unit::Avx512;
pub use unit::{Portable, Unit};

/// A piece of work that profits from wide vectors.
pub trait Kernel {
    /// What it returns.
    type Output;
    /// Does the work. The implementation must be `#[inline(always)]`, or it is not compiled for the vector unit.
    fn run<U: Unit>(self) -> Self::Output;
}

/// A value that begins where a cache line does: the widest vectors are whole lines, and one that lies across two costs
/// two accesses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromZeros)]
#[repr(align(64))]
pub struct Aligned<T>(pub T);

impl<T> Deref for Aligned<T> {
    type Target = T;
    #[inline(always)]
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Aligned<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

/// Asks for the cache lines of a value that will be used soon, into the first cache.
#[inline(always)]
pub fn prefetch<T>(value: &T) {
    ask::<3, T>(value);
}

/// Asks for them into the second cache only: more can be on their way there, and the first has room for what is in use.
#[inline(always)]
pub fn prefetch_later<T>(value: &T) {
    ask::<2, T>(value);
}

/// Asks for the cache lines of a value with a hint of `_mm_prefetch`.
#[inline(always)]
#[cfg_attr(not(target_arch = "x86_64"), expect(unused_variables))]
fn ask<const HINT: i32, T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    for offset in (0..size_of::<T>()).step_by(CACHE_LINE) {
        // SAFETY: a hint, which may name any address.
        unsafe { std::arch::x86_64::_mm_prefetch::<HINT>(std::ptr::from_ref(value).cast::<i8>().wrapping_add(offset)) };
    }
}

/// Bytes.
pub const CACHE_LINE: usize = 64;

/// An instruction set, narrowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What every CPU of the architecture has.
    Scalar,
    /// x86-64 with AVX2, FMA, POPCNT and BMI.
    Avx2,
    /// x86-64 with AVX-512 F, BW, DQ, VL and VPOPCNTDQ.
    Avx512,
    /// 64-bit Arm.
    Neon,
}

impl Level {
    /// The sets that this CPU has, narrowest first; never empty.
    pub fn all() -> &'static [Self] {
        static ALL: OnceLock<Vec<Level>> = OnceLock::new();
        ALL.get_or_init(|| {
            let mut levels = vec![Self::Scalar];
            #[cfg(target_arch = "x86_64")]
            {
                if has_avx2() {
                    levels.push(Self::Avx2);
                }
                if has_avx2() && has_avx512() {
                    levels.push(Self::Avx512);
                }
            }
            #[cfg(target_arch = "aarch64")]
            if std::arch::is_aarch64_feature_detected!("neon") {
                levels.push(Self::Neon);
            }
            levels
        })
    }

    /// The set in use: the widest, or the one that the environment variable `UNMEMORIZE_SIMD` names
    /// (`scalar`, `avx2`, `avx512`, `neon`), if the CPU has it.
    pub fn best() -> Self {
        static BEST: OnceLock<Level> = OnceLock::new();
        *BEST.get_or_init(|| {
            let wanted = std::env::var("UNMEMORIZE_SIMD").unwrap_or_default();
            let named = Self::all().iter().find(|level| level.name() == wanted);
            named.or(Self::all().last()).copied().unwrap_or(Self::Scalar)
        })
    }

    /// Its name, as in `UNMEMORIZE_SIMD`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Neon => "neon",
        }
    }
}

/// Runs `kernel` with the widest vectors that there are.
#[inline]
pub fn dispatch<K: Kernel>(kernel: K) -> K::Output {
    dispatch_at(Level::best(), kernel)
}

/// Runs `kernel` with the instruction set `level`, or plainly if this CPU does not have it.
#[inline]
pub fn dispatch_at<K: Kernel>(level: Level, kernel: K) -> K::Output {
    if !Level::all().contains(&level) {
        return kernel.run::<Portable<false>>();
    }
    match level {
        // SAFETY: `Level::all` has found every feature that the callee is compiled for.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { run_avx2(kernel) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { run_avx512(kernel) },
        // SAFETY: as above.
        #[cfg(target_arch = "aarch64")]
        Level::Neon => unsafe { run_neon(kernel) },
        _ => kernel.run::<Portable<false>>(),
    }
}

#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    std::arch::is_x86_feature_detected!("avx2")
        && std::arch::is_x86_feature_detected!("fma")
        && std::arch::is_x86_feature_detected!("popcnt")
        && std::arch::is_x86_feature_detected!("bmi1")
        && std::arch::is_x86_feature_detected!("bmi2")
}

#[cfg(target_arch = "x86_64")]
fn has_avx512() -> bool {
    std::arch::is_x86_feature_detected!("avx512f")
        && std::arch::is_x86_feature_detected!("avx512bw")
        && std::arch::is_x86_feature_detected!("avx512dq")
        && std::arch::is_x86_feature_detected!("avx512vl")
        && std::arch::is_x86_feature_detected!("avx512vpopcntdq")
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,popcnt,bmi1,bmi2")]
fn run_avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<Portable<true>>()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,popcnt,bmi1,bmi2,avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq")]
fn run_avx512<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<Avx512>()
}

#[cfg(target_arch = "aarch64")]
#[target_feature(enable = "neon")]
fn run_neon<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<Portable<true>>()
}

/// Ones in `a`.
#[inline(always)]
pub fn count(a: &[u64]) -> u64 {
    a.iter().map(|x| u64::from(x.count_ones())).sum()
}

/// Ones that `a` and `b` share. Both have the same length.
#[inline(always)]
pub fn and_count(a: &[u64], b: &[u64]) -> u64 {
    a.iter().zip(b).map(|(x, y)| u64::from((x & y).count_ones())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counts<'a>(&'a [u64], &'a [u64]);

    impl Kernel for Counts<'_> {
        type Output = (u64, u64);
        #[inline(always)]
        fn run<U: Unit>(self) -> Self::Output {
            (count(self.0), and_count(self.0, self.1))
        }
    }

    #[test]
    fn every_path_counts_the_same() {
        let mut x = 0x9E37_79B9_7F4A_7C15_u64;
        let mut next = || {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            x
        };
        for len in [0, 1, 3, 7, 8, 9, 31, 64, 257] {
            let a: Vec<u64> = (0..len).map(|_| next()).collect();
            let b: Vec<u64> = (0..len).map(|_| next()).collect();
            let mut wanted = (0, 0);
            for k in 0..64 {
                for (x, y) in a.iter().zip(&b) {
                    wanted.0 += x >> k & 1;
                    wanted.1 += (x & y) >> k & 1;
                }
            }
            for &level in Level::all() {
                assert_eq!(dispatch_at(level, Counts(&a, &b)), wanted, "{level:?}, {len} words");
            }
        }
    }

    #[test]
    fn a_set_that_the_cpu_lacks_falls_back() {
        for level in [Level::Scalar, Level::Avx2, Level::Avx512, Level::Neon] {
            assert_eq!(dispatch_at(level, Counts(&[7], &[5])), (3, 2));
            assert!(!level.name().is_empty());
        }
        assert!(Level::all().contains(&Level::best()));
    }
}
