//! What a vector unit does with eight numbers at once.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64;
use std::array::from_fn;

use super::Aligned;

/// Arithmetic on eight numbers at once, for kernels that do not leave it to the compiler to find the vectors.
pub trait Unit {
    /// Eight numbers.
    type Eight: Copy;
    /// `a b + c`, rounded once if the unit can.
    fn mul_add(a: f64, b: f64, c: f64) -> f64;
    /// The same number eight times.
    fn splat(x: f64) -> Self::Eight;
    /// Eight numbers from memory.
    fn load(x: &[f64; 8]) -> Self::Eight;
    /// Eight numbers from memory, widened.
    fn widen(x: &[f32; 8]) -> Self::Eight;
    /// Eight numbers for memory.
    fn store(x: Self::Eight) -> [f64; 8];
    /// `a + b`
    fn add(a: Self::Eight, b: Self::Eight) -> Self::Eight;
    /// `a - b`
    fn subtract(a: Self::Eight, b: Self::Eight) -> Self::Eight;
    /// `a b`
    fn multiply(a: Self::Eight, b: Self::Eight) -> Self::Eight;
    /// As [`Unit::mul_add`].
    fn multiply_add(a: Self::Eight, b: Self::Eight, c: Self::Eight) -> Self::Eight;
    /// `a` if it is larger, else `b`, also where one is NaN.
    fn larger(a: Self::Eight, b: Self::Eight) -> Self::Eight;
    /// `table[n % 16]`, n being the bits of `a`.
    fn pick(table: &[f64; 16], a: Self::Eight) -> Self::Eight;
    /// The bits of `a` plus those of `b`, shifted left by `PLACES`.
    fn add_bits<const PLACES: u32>(a: Self::Eight, b: Self::Eight) -> Self::Eight;
    /// The sum, in halves.
    fn sum(a: Self::Eight) -> f64;
    /// Exchanges rows and columns.
    fn turn(square: &mut [Aligned<[f32; 16]>; 16]);

    /// A part of 1,024 bits.
    type Bits: Copy;
    /// Parts of 1,024 bits.
    const PARTS: usize;
    /// One of them.
    fn bits(of: &[u64; 16], part: usize) -> Self::Bits;
    /// Writes one of them.
    fn set_bits(of: &mut [u64; 16], part: usize, bits: Self::Bits);
    /// The bits that are set in both.
    fn both(a: Self::Bits, b: Self::Bits) -> Self::Bits;
    /// The bits that are set in one or three of them.
    fn parity(a: Self::Bits, b: Self::Bits, c: Self::Bits) -> Self::Bits;
    /// The bits that are set in two or three of them.
    fn majority(a: Self::Bits, b: Self::Bits, c: Self::Bits) -> Self::Bits;
    /// Exchanges the higher half of every 2 `WIDTH` bits of `a` with the lower half of those of `b`.
    fn exchange<const WIDTH: u32>(a: Self::Bits, b: Self::Bits) -> (Self::Bits, Self::Bits);
}

/// The lower half of every 2 `width` bits.
const fn lower_halves(width: u32) -> u64 {
    u64::MAX / ((1 << width) + 1)
}

/// Plain Rust, with a fused multiply-add or without.
pub struct Portable<const FUSED: bool>;

impl<const FUSED: bool> Unit for Portable<FUSED> {
    type Eight = [f64; 8];

    #[inline(always)]
    fn mul_add(a: f64, b: f64, c: f64) -> f64 {
        if FUSED { a.mul_add(b, c) } else { a * b + c }
    }

    #[inline(always)]
    fn splat(x: f64) -> [f64; 8] {
        [x; 8]
    }

    #[inline(always)]
    fn load(x: &[f64; 8]) -> [f64; 8] {
        *x
    }

    #[inline(always)]
    fn widen(x: &[f32; 8]) -> [f64; 8] {
        x.map(f64::from)
    }

    #[inline(always)]
    fn store(x: [f64; 8]) -> [f64; 8] {
        x
    }

    #[inline(always)]
    fn add(a: [f64; 8], b: [f64; 8]) -> [f64; 8] {
        from_fn(|i| a[i] + b[i])
    }

    #[inline(always)]
    fn subtract(a: [f64; 8], b: [f64; 8]) -> [f64; 8] {
        from_fn(|i| a[i] - b[i])
    }

    #[inline(always)]
    fn multiply(a: [f64; 8], b: [f64; 8]) -> [f64; 8] {
        from_fn(|i| a[i] * b[i])
    }

    #[inline(always)]
    fn multiply_add(a: [f64; 8], b: [f64; 8], c: [f64; 8]) -> [f64; 8] {
        from_fn(|i| Self::mul_add(a[i], b[i], c[i]))
    }

    #[inline(always)]
    fn larger(a: [f64; 8], b: [f64; 8]) -> [f64; 8] {
        from_fn(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }

    #[inline(always)]
    fn pick(table: &[f64; 16], a: [f64; 8]) -> [f64; 8] {
        a.map(|a| table[(a.to_bits() % 16) as usize])
    }

    #[inline(always)]
    fn add_bits<const PLACES: u32>(a: [f64; 8], b: [f64; 8]) -> [f64; 8] {
        from_fn(|i| f64::from_bits(a[i].to_bits().wrapping_add(b[i].to_bits() << PLACES)))
    }

    #[inline(always)]
    fn sum(a: [f64; 8]) -> f64 {
        ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]))
    }

    #[inline(always)]
    fn turn(square: &mut [Aligned<[f32; 16]>; 16]) {
        for i in 0..16 {
            for k in 0..i {
                (square[i].0[k], square[k].0[i]) = (square[k].0[i], square[i].0[k]);
            }
        }
    }

    type Bits = u64;
    const PARTS: usize = 16;

    #[inline(always)]
    fn bits(of: &[u64; 16], part: usize) -> u64 {
        of[part]
    }

    #[inline(always)]
    fn set_bits(of: &mut [u64; 16], part: usize, bits: u64) {
        of[part] = bits;
    }

    #[inline(always)]
    fn both(a: u64, b: u64) -> u64 {
        a & b
    }

    #[inline(always)]
    fn parity(a: u64, b: u64, c: u64) -> u64 {
        a ^ b ^ c
    }

    #[inline(always)]
    fn majority(a: u64, b: u64, c: u64) -> u64 {
        a ^ ((a ^ b) & (a ^ c))
    }

    #[inline(always)]
    fn exchange<const WIDTH: u32>(a: u64, b: u64) -> (u64, u64) {
        let swap = (a >> WIDTH ^ b) & lower_halves(WIDTH);
        (a ^ swap << WIDTH, b ^ swap)
    }
}

/// What the compiler does not find by itself: each function is one instruction, `pick` has its table in two registers.
#[cfg(target_arch = "x86_64")]
pub struct Avx512;

// SAFETY: of all here: only `run_avx512` names the type, and it runs where the CPU has AVX-512 F; what is loaded and
// stored are eight numbers, wherever they begin.
#[cfg(target_arch = "x86_64")]
impl Unit for Avx512 {
    type Eight = x86_64::__m512d;

    #[inline(always)]
    fn mul_add(a: f64, b: f64, c: f64) -> f64 {
        a.mul_add(b, c)
    }

    #[inline(always)]
    fn splat(x: f64) -> Self::Eight {
        unsafe { x86_64::_mm512_set1_pd(x) }
    }

    #[inline(always)]
    fn load(x: &[f64; 8]) -> Self::Eight {
        unsafe { x86_64::_mm512_loadu_pd(x.as_ptr()) }
    }

    #[inline(always)]
    fn widen(x: &[f32; 8]) -> Self::Eight {
        unsafe { x86_64::_mm512_cvtps_pd(x86_64::_mm256_loadu_ps(x.as_ptr())) }
    }

    #[inline(always)]
    fn store(x: Self::Eight) -> [f64; 8] {
        let mut out = [0.0; 8];
        unsafe { x86_64::_mm512_storeu_pd(out.as_mut_ptr(), x) };
        out
    }

    #[inline(always)]
    fn add(a: Self::Eight, b: Self::Eight) -> Self::Eight {
        unsafe { x86_64::_mm512_add_pd(a, b) }
    }

    #[inline(always)]
    fn subtract(a: Self::Eight, b: Self::Eight) -> Self::Eight {
        unsafe { x86_64::_mm512_sub_pd(a, b) }
    }

    #[inline(always)]
    fn multiply(a: Self::Eight, b: Self::Eight) -> Self::Eight {
        unsafe { x86_64::_mm512_mul_pd(a, b) }
    }

    #[inline(always)]
    fn multiply_add(a: Self::Eight, b: Self::Eight, c: Self::Eight) -> Self::Eight {
        unsafe { x86_64::_mm512_fmadd_pd(a, b, c) }
    }

    #[inline(always)]
    fn larger(a: Self::Eight, b: Self::Eight) -> Self::Eight {
        unsafe { x86_64::_mm512_max_pd(a, b) }
    }

    #[inline(always)]
    fn pick(table: &[f64; 16], a: Self::Eight) -> Self::Eight {
        let halves = table.as_chunks().0;
        let (low, high) = (Self::load(&halves[0]), Self::load(&halves[1]));
        unsafe { x86_64::_mm512_permutex2var_pd(low, x86_64::_mm512_castpd_si512(a), high) }
    }

    #[inline(always)]
    fn add_bits<const PLACES: u32>(a: Self::Eight, b: Self::Eight) -> Self::Eight {
        use x86_64::{_mm512_add_epi64, _mm512_castpd_si512, _mm512_castsi512_pd, _mm512_slli_epi64};
        unsafe {
            let shifted = _mm512_slli_epi64::<PLACES>(_mm512_castpd_si512(b));
            _mm512_castsi512_pd(_mm512_add_epi64(_mm512_castpd_si512(a), shifted))
        }
    }

    #[inline(always)]
    fn sum(a: Self::Eight) -> f64 {
        unsafe { x86_64::_mm512_reduce_add_pd(a) }
    }

    /// Four times, rows i and i + 8 become rows 2 i and 2 i + 1, their numbers in turns.
    #[inline(always)]
    fn turn(square: &mut [Aligned<[f32; 16]>; 16]) {
        const LOW: [i32; 16] = [0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23];
        const HIGH: [i32; 16] = [8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31];
        unsafe {
            let low = x86_64::_mm512_loadu_si512(LOW.as_ptr().cast());
            let high = x86_64::_mm512_loadu_si512(HIGH.as_ptr().cast());
            let mut rows = [x86_64::_mm512_setzero_ps(); 16];
            for i in 0..16 {
                rows[i] = x86_64::_mm512_loadu_ps(square[i].as_ptr());
            }
            for _ in 0..4 {
                let before = rows;
                for i in 0..16 {
                    rows[i] = x86_64::_mm512_permutex2var_ps(
                        before[i / 2],
                        if i % 2 == 0 { low } else { high },
                        before[i / 2 + 8],
                    );
                }
            }
            for i in 0..16 {
                x86_64::_mm512_storeu_ps(square[i].as_mut_ptr(), rows[i]);
            }
        }
    }

    type Bits = [x86_64::__m512i; 2];
    const PARTS: usize = 1;

    #[inline(always)]
    fn bits(of: &[u64; 16], _: usize) -> Self::Bits {
        let words = of.as_ptr().cast();
        unsafe { [x86_64::_mm512_loadu_epi64(words), x86_64::_mm512_loadu_epi64(words.add(8))] }
    }

    #[inline(always)]
    fn set_bits(of: &mut [u64; 16], _: usize, bits: Self::Bits) {
        let words = of.as_mut_ptr().cast();
        unsafe {
            x86_64::_mm512_storeu_epi64(words, bits[0]);
            x86_64::_mm512_storeu_epi64(words.add(8), bits[1]);
        }
    }

    #[inline(always)]
    fn both(a: Self::Bits, b: Self::Bits) -> Self::Bits {
        unsafe { [x86_64::_mm512_and_si512(a[0], b[0]), x86_64::_mm512_and_si512(a[1], b[1])] }
    }

    #[inline(always)]
    fn parity(a: Self::Bits, b: Self::Bits, c: Self::Bits) -> Self::Bits {
        use x86_64::_mm512_ternarylogic_epi64;
        unsafe {
            [_mm512_ternarylogic_epi64::<0x96>(a[0], b[0], c[0]), _mm512_ternarylogic_epi64::<0x96>(a[1], b[1], c[1])]
        }
    }

    #[inline(always)]
    fn majority(a: Self::Bits, b: Self::Bits, c: Self::Bits) -> Self::Bits {
        use x86_64::_mm512_ternarylogic_epi64;
        unsafe {
            [_mm512_ternarylogic_epi64::<0xE8>(a[0], b[0], c[0]), _mm512_ternarylogic_epi64::<0xE8>(a[1], b[1], c[1])]
        }
    }

    #[inline(always)]
    fn exchange<const WIDTH: u32>(mut a: Self::Bits, mut b: Self::Bits) -> (Self::Bits, Self::Bits) {
        use x86_64::{
            _mm512_set1_epi64, _mm512_slli_epi64, _mm512_srli_epi64, _mm512_ternarylogic_epi64, _mm512_xor_si512,
        };
        unsafe {
            let mask = _mm512_set1_epi64(lower_halves(WIDTH).cast_signed());
            for i in 0..2 {
                let swap = _mm512_ternarylogic_epi64::<0x28>(_mm512_srli_epi64::<WIDTH>(a[i]), b[i], mask);
                a[i] = _mm512_xor_si512(a[i], _mm512_slli_epi64::<WIDTH>(swap));
                b[i] = _mm512_xor_si512(b[i], swap);
            }
            (a, b)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resample::SplitMix64;
    use crate::simd::{Kernel, Level, dispatch_at};

    /// Every operation on these numbers.
    struct Operations<'a>([&'a [f64; 8]; 3], &'a [f64; 16]);

    impl Kernel for Operations<'_> {
        type Output = Vec<u64>;

        fn run<U: Unit>(self) -> Vec<u64> {
            let [a, b, c] = [U::load(self.0[0]), U::load(self.0[1]), U::load(self.0[2])];
            let mut square = [Aligned([0.0; 16]); 16];
            for (i, row) in square.iter_mut().enumerate() {
                (0..16).for_each(|k| row[k] = (16 * i + k) as f32);
            }
            U::turn(&mut square);
            let eights = [
                U::splat(7.0),
                U::widen(&[0.5; 8]),
                U::add(a, b),
                U::subtract(a, b),
                U::multiply(a, b),
                U::multiply_add(a, U::splat(3.0), c),
                U::larger(a, b),
                U::larger(b, a),
                U::pick(self.1, a),
                U::add_bits::<48>(a, b),
            ];
            let mut numbers = vec![U::sum(a), U::mul_add(2.0, 3.0, 4.0)];
            for eight in eights {
                numbers.extend(U::store(eight));
            }
            numbers.extend(square.iter().flat_map(|row| row.map(f64::from)));
            numbers.into_iter().map(f64::to_bits).collect()
        }
    }

    #[test]
    fn every_unit_does_the_same() {
        let a = [1.0, -2.0, f64::NAN, 0.1, 1e300, -0.0, f64::INFINITY, 5.0];
        let b = [3.0, 1e-3, 2.0, f64::from_bits(19), 1e300, 0.0, 1.0, f64::from_bits(u64::MAX >> 12)];
        let (c, table) = ([1.0; 8], from_fn(|i| i as f64));
        for [a, b] in [[&a, &b], [&b, &a], [&b, &c]] {
            let at = |level| dispatch_at(level, Operations([a, b, &c], &table));
            for &level in Level::all() {
                assert_eq!(at(level), at(Level::Scalar), "{level:?}");
            }
        }
    }

    /// Every operation on these bits.
    struct OnBits<'a>([&'a [u64; 16]; 3]);

    impl Kernel for OnBits<'_> {
        type Output = [[u64; 16]; 9];

        fn run<U: Unit>(self) -> Self::Output {
            let mut found = [[0; 16]; 9];
            for part in 0..U::PARTS {
                let [a, b, c] = [U::bits(self.0[0], part), U::bits(self.0[1], part), U::bits(self.0[2], part)];
                let ((d, e), (f, g), (h, i)) = (U::exchange::<4>(a, b), U::exchange::<2>(a, b), U::exchange::<1>(a, b));
                let all = [U::both(a, b), U::parity(a, b, c), U::majority(a, b, c), d, e, f, g, h, i];
                for (found, bits) in found.iter_mut().zip(all) {
                    U::set_bits(found, part, bits);
                }
            }
            found
        }
    }

    #[test]
    fn every_unit_does_what_it_says_with_bits() {
        let random = SplitMix64::new(0, 0);
        let [a, b, c]: [[u64; 16]; 3] = from_fn(|k| from_fn(|word| random.at((16 * k + word) as u64)));
        let bit = |of: &[u64; 16], i: usize| of[i / 64] >> (i % 64) & 1;
        for &level in Level::all() {
            let [both, parity, majority, exchanged @ ..] = dispatch_at(level, OnBits([&a, &b, &c]));
            for i in 0..1024 {
                let ones = bit(&a, i) + bit(&b, i) + bit(&c, i);
                let wanted = [bit(&a, i) & bit(&b, i), ones % 2, ones / 2];
                assert_eq!([&both, &parity, &majority].map(|of| bit(of, i)), wanted, "{level:?}, bit {i}");
                for (width, found) in [4, 2, 1].into_iter().zip(exchanged.chunks(2)) {
                    let (from_a, from_b) = if i / width % 2 == 0 {
                        (bit(&a, i), bit(&a, i + width))
                    } else {
                        (bit(&b, i - width), bit(&b, i))
                    };
                    assert_eq!([bit(&found[0], i), bit(&found[1], i)], [from_a, from_b], "{level:?}, {width}, bit {i}");
                }
            }
        }
    }
}
