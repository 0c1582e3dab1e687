//! What is done to the words of a row, or of 64 rows at once.

use super::BITS;
use crate::simd::Kernel;

/// Fills a row of words.
pub(super) struct Pack<'a> {
    pub values: &'a [bool],
    pub row: &'a mut [u64],
}

impl Kernel for Pack<'_> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        for (word, values) in self.row.iter_mut().zip(self.values.chunks(BITS)) {
            *word = pack_word(values);
        }
    }
}

/// Up to 64 values as bits. Eight bytes of 0 or 1 become eight bits by one multiplication.
#[inline(always)]
fn pack_word(values: &[bool]) -> u64 {
    const GATHER: u64 = 0x0102_0408_1020_4080; // moves bit 8k to bit 56 + k
    let (eights, rest) = values.as_chunks::<8>();
    let mut word = 0;
    for (k, eight) in eights.iter().enumerate() {
        let bytes = u64::from_le_bytes(eight.map(u8::from));
        word |= (bytes.wrapping_mul(GATHER) >> 56) << (8 * k);
    }
    for (k, &value) in rest.iter().enumerate() {
        word |= u64::from(value) << (8 * eights.len() + k);
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
    fn run(self) {
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
    fn run(self) {
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
        for &level in Level::all() {
            let mut row = [0; 4];
            dispatch_at(level, Pack { values: &values, row: &mut row });
            let mut back = [false; 203];
            dispatch_at(level, Unpack { row: &row, values: &mut back });
            assert_eq!(&back[..], values, "{level:?}");

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
