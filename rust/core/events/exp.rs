//! e^x and ln(1 + x) without a branch, so that loops over them vectorise.

use std::f64::consts::{FRAC_1_SQRT_2, LN_2, LOG2_E, SQRT_2};

use crate::simd::Unit;

/// Steps of a factor of 2.
const STEPS: usize = 16;

/// Where the steps stand in a number that counts them, and the factors of 2 in the exponent above.
const SHIFT: u32 = 52 - STEPS.ilog2();

/// Adding it leaves the nearest integer in the low bits.
const ROUND: f64 = 6_755_399_441_055_744.0; // 1.5 * 2^52

/// The least argument that is told apart: the exponent's bits are all 0 there, so that its exponential is exactly 0.
pub const LEAST: f64 = -1023.0 * LN_2;

/// 2^(j / 16), its bits less by j in the place of the steps: adding n = 16 k + j there gives 2^(n / 16).
const ROOTS: [f64; STEPS] = {
    let mut roots: [f64; STEPS] = [
        1.0,
        1.044_273_782_427_413_8,
        1.090_507_732_665_257_7,
        1.138_788_634_756_691_6,
        1.189_207_115_002_721,
        1.241_857_812_073_484,
        1.296_839_554_651_009_6,
        1.354_255_546_936_892_7,
        SQRT_2,
        1.476_826_145_939_499_3,
        1.542_210_825_407_940_7,
        1.610_490_331_949_254_3,
        1.681_792_830_507_429,
        1.756_252_160_373_299_5,
        1.834_008_086_409_342_4,
        1.915_206_561_397_147_4,
    ];
    let mut j = 0;
    while j < STEPS {
        roots[j] = f64::from_bits(roots[j].to_bits() - ((j as u64) << SHIFT));
        j += 1;
    }
    roots
};

/// e^x of numbers in [LEAST, 0] with a relative error of about |x| 2^-53, that of x itself; exactly 1 at 0, NaN of NaN.
///
/// e^x = 2^(n / 16) e^f with |f| <= ln 2 / 32: a table, and the polynomial of degree 6 that is 1 at 0 and elsewhere off
/// by 7e-18 at most.
#[inline(always)]
pub fn exp<U: Unit>(x: U::Eight) -> U::Eight {
    const C: [f64; 6] = [
        1.000_000_000_000_002_2,
        0.500_000_000_000_000_3,
        0.166_666_666_628_447_26,
        0.041_666_666_661_889_25,
        0.008_333_496_248_686_918,
        0.001_388_909_253_274_910_4,
    ];
    let shifted = U::multiply_add(x, U::splat(LOG2_E * STEPS as f64), U::splat(ROUND));
    let n = U::subtract(shifted, U::splat(ROUND));
    let f = U::multiply_add(n, U::splat(-LN_2 / STEPS as f64), x);
    let mut series = U::splat(C[5]);
    for c in [C[4], C[3], C[2], C[1], C[0], 1.0] {
        series = U::multiply_add(series, f, U::splat(c));
    }
    U::multiply(series, U::add_bits::<SHIFT>(U::pick(&ROOTS, shifted), shifted))
}

/// ln(1 + x) of a number in [0, 2^52] to about 1 unit in the last place, also near 0.
///
/// 1 + x = 2^n m with m in [sqrt(1/2), sqrt(2)); ln m = 2 atanh(s), s = (m - 1) / (m + 1), by its series. What 1 + x
/// lost of x to rounding is given back to m - 1.
#[inline(always)]
pub fn ln_1p<U: Unit>(x: f64) -> f64 {
    const LN2_HIGH: f64 = 6.931_471_803_691_238e-1; // its 20 low bits are 0, so that n * LN2_HIGH is exact
    const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    const TERMS: usize = 11;
    const EXPONENT: u64 = !0 << 52; // and the sign
    let u = 1.0 + x;
    let offset = u.to_bits().wrapping_sub(FRAC_1_SQRT_2.to_bits()) & EXPONENT;
    let n = (offset.cast_signed() >> 52) as f64;
    let scale = f64::from_bits(1.0_f64.to_bits().wrapping_sub(offset)); // 2^-n
    let m = u * scale;
    let s = U::mul_add(x - (u - 1.0), scale, m - 1.0) / (m + 1.0);
    let s2 = s * s;
    let mut series = 1.0 / (2 * TERMS - 1) as f64;
    let mut k = TERMS - 1;
    while k > 0 {
        k -= 1;
        series = U::mul_add(series, s2, 1.0 / (2 * k + 1) as f64);
    }
    U::mul_add(n, LN2_HIGH, U::mul_add(2.0 * s, series, n * LN2_LOW))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Portable;

    fn exps(x: f64) -> [f64; 2] {
        [exp::<Portable<false>>([x; 8])[0], exp::<Portable<true>>([x; 8])[0]]
    }

    #[test]
    fn exp_is_exact_to_the_last_bits() {
        for e in exps(0.0) {
            assert_eq!(e.to_bits(), 1.0_f64.to_bits());
        }
        for e in exps(LEAST) {
            assert_eq!(e.to_bits(), 0.0_f64.to_bits());
        }
        assert!(exps(f64::NAN).iter().all(|e| e.is_nan()));
        for i in 0..70_800 {
            let x = -f64::from(i) / 100.0;
            for e in exps(x) {
                let error = (e / x.exp() - 1.0).abs();
                assert!(error < 7e-16 - x * 1.6e-16, "exp({x}) is off by {error:e}"); // 2e-16 of it are the peer's
            }
        }
    }

    #[test]
    fn ln_1p_is_exact_to_the_last_bits() {
        for ln in [ln_1p::<Portable<false>>, ln_1p::<Portable<true>>] {
            assert_eq!(ln(0.0).to_bits(), 0.0_f64.to_bits());
            assert!(ln(f64::NAN).is_nan());
            for i in 0..100_000 {
                let x = (f64::from(i) / 1000.0 - 60.0).exp2();
                let error = (ln(x) / x.ln_1p() - 1.0).abs();
                assert!(error < 7e-16, "ln_1p({x:e}) is off by {error:e}");
            }
        }
    }
}
