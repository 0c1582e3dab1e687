//! How many of some rows of bits are set, column by column, 1,024 columns at a time.
//!
//! The counts stand upright: plane b holds bit b of the counts of all columns, and a row of bits is a plane of weight 1.
//! A full adder turns three planes of one weight into two, so n rows take about n adders of two instructions for
//! 1,024 columns (carry-save adders; what Harley & Seal do along a row, done down the columns). There is no popcount,
//! and rows that do not count are not read.

use std::array::from_fn;

use crate::bits::BITS;
use crate::simd::{Aligned, Unit};

/// Words of a plane.
pub const WORDS: usize = 16;
/// Bytes of a plane.
pub const BYTES: usize = 8 * WORDS;
/// Columns that are counted side by side.
pub const COLUMNS: usize = WORDS * BITS;
/// Rows that are added at once.
pub const ROWS: usize = 16;
/// Weights below [`ROWS`].
const LOW: usize = 4;

/// One bit for each of 1,024 columns.
pub type Plane = Aligned<[u64; WORDS]>;

/// No column.
pub const ZERO: Plane = Aligned([0; WORDS]);

/// The sum of three bits of one weight: a bit of that weight and one of twice it.
#[inline(always)]
fn add<U: Unit>(a: U::Bits, b: U::Bits, c: U::Bits) -> (U::Bits, U::Bits) {
    (U::parity(a, b, c), U::majority(a, b, c))
}

/// The same for whole planes.
#[inline(always)]
fn add_planes<U: Unit>(a: &Plane, b: &Plane, c: &Plane) -> (Plane, Plane) {
    let (mut sum, mut carry) = (ZERO, ZERO);
    for part in 0..U::PARTS {
        let (ones, twos) = add::<U>(U::bits(a, part), U::bits(b, part), U::bits(c, part));
        U::set_bits(&mut sum, part, ones);
        U::set_bits(&mut carry, part, twos);
    }
    (sum, carry)
}

/// Adds 16 planes to the planes of weight 1, 2, 4 and 8: these, and the carry. `bits(row, part)` is of a plane.
///
/// The results are values, so that the compiler knows that they overlap with no plane.
#[inline(always)]
fn add_rows<U: Unit>(low: [Plane; LOW], bits: impl Fn(usize, usize) -> U::Bits) -> ([Plane; LOW], Plane) {
    let (mut sum, mut carry) = (low, ZERO);
    for part in 0..U::PARTS {
        let [mut ones, mut twos, mut fours, mut eights] = [0, 1, 2, 3].map(|b| U::bits(&sum[b], part));
        let (mut two, mut four, mut eight) = ([ones; 2], [ones; 2], [ones; 2]);
        for e in 0..2 {
            for f in 0..2 {
                for t in 0..2 {
                    let row = 8 * e + 4 * f + 2 * t;
                    (ones, two[t]) = add::<U>(ones, bits(row, part), bits(row + 1, part));
                }
                (twos, four[f]) = add::<U>(twos, two[0], two[1]);
            }
            (fours, eight[e]) = add::<U>(fours, four[0], four[1]);
        }
        let sixteens;
        (eights, sixteens) = add::<U>(eights, eight[0], eight[1]);
        for (plane, bits) in sum.iter_mut().zip([ones, twos, fours, eights]) {
            U::set_bits(plane, part, bits);
        }
        U::set_bits(&mut carry, part, sixteens);
    }
    (sum, carry)
}

/// The counts of 1,024 columns so far.
#[derive(Debug, Clone)]
pub struct Tally {
    planes: Vec<Plane>,  // of weight 1, 2, 4 ..., in eights
    waiting: Vec<Plane>, // a carry into the plane of weight 16, 32 ..., until there are two: where `blocks` has that bit
    blocks: usize,       // of 16 rows
}

impl Tally {
    /// For up to `rows` rows.
    pub fn new(rows: usize) -> Self {
        let levels = (usize::BITS - rows.div_ceil(ROWS).leading_zeros()) as usize;
        Self { planes: vec![ZERO; (LOW + levels).next_multiple_of(8)], waiting: vec![ZERO; levels], blocks: 0 }
    }

    /// Adds blocks of 16 rows. `block(row, part)` is a part of the bits of a row.
    #[inline(always)]
    pub fn add<U: Unit, F: Fn(usize, usize) -> U::Bits>(&mut self, blocks: impl Iterator<Item = F>) {
        let Some((lowest, high)) = self.planes.split_first_chunk_mut() else { return };
        let mut low = *lowest; // a local: from block to block it stays in registers
        for block in blocks {
            let mut carry;
            (low, carry) = add_rows::<U>(low, block);
            for (level, (sum, waiting)) in high.iter_mut().zip(&mut self.waiting).enumerate() {
                if self.blocks >> level & 1 == 0 {
                    *waiting = carry;
                    break;
                }
                (*sum, carry) = add_planes::<U>(sum, waiting, &carry);
            }
            self.blocks += 1;
        }
        *lowest = low;
    }

    /// Writes the counts and starts again from 0.
    #[inline(always)]
    pub fn finish<U: Unit>(&mut self, counts: &mut Counts) {
        let mut carry = ZERO;
        for (level, (sum, waiting)) in self.planes[LOW..].iter_mut().zip(&self.waiting).enumerate() {
            let waiting = if self.blocks >> level & 1 == 0 { &ZERO } else { waiting };
            (*sum, carry) = add_planes::<U>(sum, waiting, &carry);
        }
        for (digit, planes) in counts.iter_mut().zip(self.planes.as_chunks().0) {
            *digit = transpose::<U>(planes);
        }
        self.planes.fill(ZERO);
        self.blocks = 0;
    }
}

/// A byte of the count of each column, by its bit in a byte and the byte of a plane.
pub type Digit = Aligned<[[u8; BYTES]; 8]>;

/// The counts, lowest byte first.
pub type Counts = [Digit; 4];

/// The count of the column at this bit of this byte of a plane.
#[inline(always)]
pub fn count(counts: &Counts, bit: usize, byte: usize) -> u32 {
    u32::from_le_bytes(from_fn(|k| counts[k][bit][byte]))
}

/// None yet.
pub const NONE: Counts = [Aligned([[0; BYTES]; 8]); 4];

/// Exchanges the number of a plane with the number of a bit in its byte.
#[inline(always)]
fn transpose<U: Unit>(planes: &[Plane; 8]) -> Digit {
    let (mut turned, mut bytes) = ([ZERO; 8], Aligned([[0; BYTES]; 8]));
    for part in 0..U::PARTS {
        let mut rows: [_; 8] = from_fn(|b| U::bits(&planes[b], part));
        for k in 0..4 {
            (rows[k], rows[k + 4]) = U::exchange::<4>(rows[k], rows[k + 4]);
        }
        for k in [0, 1, 4, 5] {
            (rows[k], rows[k + 2]) = U::exchange::<2>(rows[k], rows[k + 2]);
        }
        for k in [0, 2, 4, 6] {
            (rows[k], rows[k + 1]) = U::exchange::<1>(rows[k], rows[k + 1]);
        }
        for (plane, row) in turned.iter_mut().zip(rows) {
            U::set_bits(plane, part, row);
        }
    }
    for (bytes, plane) in bytes.iter_mut().zip(turned) {
        for (bytes, word) in bytes.as_chunks_mut().0.iter_mut().zip(*plane) {
            *bytes = word.to_le_bytes();
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resample::SplitMix64;
    use crate::simd::{Kernel, Level, dispatch_at};

    struct Counting<'a>(&'a [Plane], &'a mut Tally);

    impl Kernel for Counting<'_> {
        type Output = [[u32; BYTES]; 8];
        #[inline(always)]
        fn run<U: Unit>(self) -> Self::Output {
            let mut found = NONE;
            let plane = |rows: &[Plane], row: usize| rows.get(row).map_or(ZERO.0, |plane| plane.0);
            let blocks = self.0.chunks(ROWS);
            self.1.add::<U, _>(blocks.map(|rows| move |row, part| U::bits(&plane(rows, row), part)));
            self.1.finish::<U>(&mut found);
            from_fn(|bit| from_fn(|byte| count(&found, bit, byte)))
        }
    }

    #[test]
    fn every_path_counts_each_column() {
        let random = SplitMix64::new(0, 0);
        let plane = |t: u64| Aligned(from_fn(|lane| random.at(16 * t + lane as u64) | random.at(!t)));
        let mut tally = Tally::new(66_000);
        for rows in [0, 1, 15, 16, 17, 245, 255, 256, 257, 271, 3999, 4096, 4351, 66_000] {
            let planes: Vec<Plane> = (0..rows).map(plane).collect();
            let mut wanted = [[0; BYTES]; 8];
            for plane in &planes {
                for (bit, counts) in wanted.iter_mut().enumerate() {
                    for (byte, count) in counts.iter_mut().enumerate() {
                        *count += u32::from(plane[byte / 8] >> (byte % 8 * 8 + bit) & 1 == 1);
                    }
                }
            }
            for &level in Level::all() {
                assert_eq!(dispatch_at(level, Counting(&planes, &mut tally)), wanted, "{level:?}, {rows} rows");
            }
        }
    }
}
