//! Logits, probabilities and log-odds of any precision. All arithmetic on them is in f64.

use std::array::from_fn;
use std::ops::Range;

use half::{bf16, f16};

use crate::simd::{Aligned, Unit};

/// f32 or f64.
pub trait Float: Copy + PartialOrd + From<f32> + Into<f64> {
    /// Eight of them in f64.
    fn widen<U: Unit>(x: &[Self; 8]) -> U::Eight;
    /// Exchanges rows and columns.
    fn turn<U: Unit>(square: &mut [Aligned<[Self; 16]>; 16]);
}

impl Float for f32 {
    #[inline(always)]
    fn widen<U: Unit>(x: &[Self; 8]) -> U::Eight {
        U::widen(x)
    }

    #[inline(always)]
    fn turn<U: Unit>(square: &mut [Aligned<[Self; 16]>; 16]) {
        U::turn(square);
    }
}

impl Float for f64 {
    #[inline(always)]
    fn widen<U: Unit>(x: &[Self; 8]) -> U::Eight {
        U::load(x)
    }

    #[inline(always)]
    fn turn<U: Unit>(square: &mut [Aligned<[Self; 16]>; 16]) {
        *square = from_fn(|i| Aligned(from_fn(|k| square[k][i])));
    }
}

/// A value of any precision.
pub trait Logit: Copy + Send + Sync {
    /// The narrower of f32 and f64 that holds every such value.
    type Float: Float;

    /// Its exact value; not finite if it is not.
    fn exact(self) -> Self::Float;

    /// The same in f64.
    #[inline(always)]
    fn widen(self) -> f64 {
        self.exact().into()
    }
}

impl Logit for f64 {
    type Float = Self;
    #[inline(always)]
    fn exact(self) -> Self {
        self
    }
}

impl Logit for f32 {
    type Float = Self;
    #[inline(always)]
    fn exact(self) -> Self {
        self
    }
}

impl Logit for bf16 {
    type Float = f32;
    #[inline(always)]
    fn exact(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }
}

impl Logit for f16 {
    type Float = f32;
    /// Without a branch, so that a loop over it vectorises: the bits are read as a tiny f32 and scaled up.
    #[inline(always)]
    fn exact(self) -> f32 {
        const SCALE: f32 = f32::from_bits((127 + 112) << 23); // 2^112: the difference of the exponents' biases
        const EXPONENT: u32 = 0x7C00;
        let bits = u32::from(self.to_bits());
        let magnitude = f32::from_bits((bits & 0x7FFF) << 13) * SCALE;
        let special = if bits & EXPONENT == EXPONENT { f32::NAN } else { 0.0 };
        f32::from_bits((magnitude + special).to_bits() | (bits & 0x8000) << 16)
    }
}

/// Values of a batch, row by row.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub enum Logits<'a> {
    F64(&'a [f64]),
    F32(&'a [f32]),
    F16(&'a [f16]),
    Bf16(&'a [bf16]),
}

impl Logits<'_> {
    /// The number of values.
    pub fn len(&self) -> usize {
        match self {
            Self::F64(x) => x.len(),
            Self::F32(x) => x.len(),
            Self::F16(x) => x.len(),
            Self::Bf16(x) => x.len(),
        }
    }

    /// The values in `range`.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Self {
        match self {
            Self::F64(x) => Self::F64(&x[range]),
            Self::F32(x) => Self::F32(&x[range]),
            Self::F16(x) => Self::F16(&x[range]),
            Self::Bf16(x) => Self::Bf16(&x[range]),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_widens_exactly() {
        for bits in 0..=u16::MAX {
            let (x, y) = (f16::from_bits(bits), bf16::from_bits(bits));
            let (x64, y64) = (x.to_f64(), y.to_f64());
            assert_eq!(x.widen().is_finite(), x64.is_finite(), "{bits:#x}");
            assert!(!x64.is_finite() || x.widen().to_bits() == x64.to_bits(), "{bits:#x}");
            assert!(y64.is_nan() || y.widen().to_bits() == y64.to_bits(), "{bits:#x}");
        }
    }
}
