//! 2^t and ln(1 + x) without a branch, so that loops over them vectorise.

use std::f64::consts::FRAC_1_SQRT_2;

/// Adding it leaves the nearest integer, plus the bias of an exponent, in the low bits.
const ROUND: f64 = 6_755_399_441_055_744.0 + 1023.0; // 1.5 * 2^52

/// The least `t` that is told apart: the exponent's bits are all 0 there, so that 2^t is exactly 0.
pub const LEAST: f64 = -1023.0;

/// 2^t of a number in [LEAST, 0] with a relative error below 7e-16; exactly 1 at 0, NaN of NaN.
///
/// 2^n times the polynomial of degree 10 with the smallest largest relative error (4.4e-16) for |f| <= 1/2 among those
/// that are 1 at 0, in a tree of short sums: the vector unit has no time to wait for one after another.
#[inline(always)]
pub fn exp2(t: f64) -> f64 {
    const C: [f64; 11] = [
        1.0,
        0.693_147_180_559_953_8,
        0.240_226_506_959_101_2,
        0.055_504_108_664_243_69,
        0.009_618_129_107_595_108,
        0.001_333_355_825_954_666,
        1.540_353_045_870_116_8e-4,
        1.525_264_158_952_134_7e-5,
        1.321_543_353_963_745_8e-6,
        1.021_147_625_809_514_5e-7,
        7.074_194_562_613_105e-9,
    ];
    let shifted = t + ROUND;
    let f = t - (shifted - ROUND);
    let (f2, f4) = (f * f, (f * f) * (f * f));
    let low = (C[0] + C[1] * f) + (C[2] + C[3] * f) * f2;
    let middle = (C[4] + C[5] * f) + (C[6] + C[7] * f) * f2;
    let high = (C[8] + C[9] * f) + C[10] * f2;
    let series = low + (middle + high * f4) * f4;
    series * f64::from_bits(shifted.to_bits() << 52)
}

/// ln(1 + x) of a number in [0, 2^52] to about 1 unit in the last place, also near 0.
///
/// 1 + x = 2^n m with m in [sqrt(1/2), sqrt(2)); ln m = 2 atanh(s), s = (m - 1) / (m + 1), by its series. What 1 + x
/// lost of x to rounding is given back to m - 1.
#[inline(always)]
pub fn ln_1p(x: f64) -> f64 {
    const LN2_HIGH: f64 = 6.931_471_803_691_238e-1; // its 20 low bits are 0, so that n * LN2_HIGH is exact
    const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    const TERMS: usize = 11;
    const EXPONENT: u64 = !0 << 52; // and the sign
    let u = 1.0 + x;
    let offset = u.to_bits().wrapping_sub(FRAC_1_SQRT_2.to_bits()) & EXPONENT;
    let n = (offset.cast_signed() >> 52) as f64;
    let scale = f64::from_bits(1.0_f64.to_bits().wrapping_sub(offset)); // 2^-n
    let m = u * scale;
    let s = ((m - 1.0) + (x - (u - 1.0)) * scale) / (m + 1.0);
    let s2 = s * s;
    let mut series = 1.0 / (2 * TERMS - 1) as f64;
    let mut k = TERMS - 1;
    while k > 0 {
        k -= 1;
        series = series * s2 + 1.0 / (2 * k + 1) as f64;
    }
    n * LN2_HIGH + (2.0 * s * series + n * LN2_LOW)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp2_is_exact_to_the_last_bits() {
        assert_eq!(exp2(0.0).to_bits(), 1.0_f64.to_bits());
        assert_eq!(exp2(LEAST).to_bits(), 0.0_f64.to_bits());
        assert!(exp2(f64::NAN).is_nan());
        for i in 0..102_200 {
            let t = -f64::from(i) / 100.0;
            let error = (exp2(t) / t.exp2() - 1.0).abs();
            assert!(error < 9e-16, "exp2({t}) is off by {error:e}"); // 2e-16 of it are the peer's
        }
    }

    #[test]
    fn ln_1p_is_exact_to_the_last_bits() {
        assert_eq!(ln_1p(0.0).to_bits(), 0.0_f64.to_bits());
        assert!(ln_1p(f64::NAN).is_nan());
        for i in 0..100_000 {
            let x = (f64::from(i) / 1000.0 - 60.0).exp2();
            let error = (ln_1p(x) / x.ln_1p() - 1.0).abs();
            assert!(error < 7e-16, "ln_1p({x:e}) is off by {error:e}");
        }
    }
}
