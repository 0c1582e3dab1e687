//! What is done to the words of a row, or of 64 rows at once.

use super::BITS;
use crate::simd::{Kernel, Unit};

/// Fills a row of words: a bit is set where a value is not 0.
pub(super) struct Pack<'a, T> {
    pub values: &'a [T],
    pub row: &'a mut [u64],
}

impl<T: Copy + Into<u8>> Kernel for Pack<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<U: Unit>(self) {
        for (word, values) in self.row.iter_mut().zip(self.values.chunks(BITS)) {
            *word = pack_word(values);
        }
    }
}

/// Up to 64 values as bits. Eight bytes become eight bits by one multiplication, once each says in its highest bit whether
/// it is not 0.
#[inline(always)]
fn pack_word<T: Copy + Into<u8>>(values: &[T]) -> u64 {
    const BELOW: u64 = 0x7F7F_7F7F_7F7F_7F7F; // carries any bit of a byte to its highest
    const GATHER: u64 = 0x0002_0408_1020_4081; // moves bit 8k + 7 to bit 56 + k
    let (eights, rest) = values.as_chunks::<8>();
    let mut word = 0;
    for (k, eight) in eights.iter().enumerate() {
        let bytes = u64::from_le_bytes(eight.map(Into::into));
        let any = (((bytes & BELOW) + BELOW) | bytes) & !BELOW;
        word |= (any.wrapping_mul(GATHER) >> 56) << (8 * k);
    }
    for (k, &value) in rest.iter().enumerate() {
        word |= u64::from(value.into() != 0) << (8 * eights.len() + k);
    }
    word
}

/// Its inverse.
pub(super) struct Unpack<'a> {
    pub row: &'a [u64],
    pub values: &'a mut [bool],
}

impl Kernel for Unpack<'_> {
    type Output = ();
    #[inline(always)]
    fn run<U: Unit>(self) {
        for (values, &word) in self.values.chunks_mut(BITS).zip(self.row) {
            for (k, value) in values.iter_mut().enumerate() {
                *value = word >> k & 1 == 1;
            }
        }
    }
}

/// Of 64 x 64 bits.
pub(super) struct Transpose<'a>(pub &'a mut [u64; BITS]);

impl Kernel for Transpose<'_> {
    type Output = ();
    #[inline(always)]
    fn run<U: Unit>(self) {
        transpose_square(self.0);
    }
}

/// Transposes 64 x 64 bits by swapping ever smaller squares (Warren, Hacker's Delight, 7-3).
#[inline(always)]
pub fn transpose_square(square: &mut [u64; BITS]) {
    let (mut width, mut mask) = (BITS / 2, u64::from(u32::MAX));
    while width > 0 {
        for base in (0..BITS).step_by(2 * width) {
            for k in base..base + width {
                let swap = (square[k] >> width ^ square[k + width]) & mask;
                square[k] ^= swap << width;
                square[k + width] ^= swap;
            }
        }
        width /= 2;
        mask ^= mask << width;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Level, dispatch_at};

    #[test]
    fn every_path_packs_and_transposes_the_same() {
        let values: Vec<bool> = (0..203).map(|i| i * i % 7 < 3).collect();
        let bytes: Vec<u8> = values.iter().zip(0..).map(|(&value, i)| u8::from(value) << (i % 8)).collect();
        for &level in Level::all() {
            let mut row = [0; 4];
            dispatch_at(level, Pack { values: &values, row: &mut row });
            let mut back = [false; 203];
            dispatch_at(level, Unpack { row: &row, values: &mut back });
            assert_eq!(&back[..], values, "{level:?}");
            let mut any = [0; 4];
            dispatch_at(level, Pack { values: &bytes, row: &mut any });
            assert_eq!(any, row, "{level:?}");

            let mut square = [0_u64; BITS];
            for (i, word) in square.iter_mut().enumerate() {
                *word = (i as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            }
            let before = square;
            dispatch_at(level, Transpose(&mut square));
            for (i, row) in before.iter().enumerate() {
                for (j, column) in square.iter().enumerate() {
                    assert_eq!(row >> j & 1, column >> i & 1, "{level:?} {i} {j}");
                }
            }
        }
    }
}
