//! How many of some rows of bits are set, column by column, 512 columns at a time.
//!
//! The counts stand upright: plane b holds bit b of the counts of all columns, and a row of bits is a plane of weight 1.
//! A full adder turns three planes of one weight into two, so n rows take about n adders of three instructions for
//! 512 columns (carry-save adders; what Harley & Seal do along a row, done down the columns). There is no popcount,
//! and rows that do not count are not read.

use crate::bits::BITS;
use crate::simd::Aligned;

/// Words of a plane.
pub const WORDS: usize = 8;
/// Columns that are counted side by side.
pub const COLUMNS: usize = WORDS * BITS;
/// Rows that are added at once: the base of the digits.
pub const ROWS: usize = 16;
/// Digits of a count. Rows are numbered in 32 bits.
const DIGITS: usize = 8;

/// One bit for each of 512 columns.
pub type Plane = Aligned<[u64; WORDS]>;

/// One digit for each column: planes of the weights 1, 2, 4 and 8.
type Digit = [Plane; 4];

/// No column.
pub const ZERO: Plane = Aligned([0; WORDS]);

/// `counts[bit][byte]` is the count of the column at this bit, 0..8, of this byte of a plane.
pub type Counts = [[u32; BITS]; 8];

/// The sum of three bits of one weight: a bit of that weight and one of twice it, 64 times.
#[inline(always)]
fn add(a: u64, b: u64, c: u64) -> (u64, u64) {
    (a ^ b ^ c, a ^ ((a ^ b) & (a ^ c)))
}

/// Adds 16 planes to a digit: the new digit, and the carry. `bits(row, lane)` is a word of a plane.
///
/// The results are values, so that the compiler knows that they overlap with no plane and works on all lanes at once.
#[inline(always)]
fn add_all(digit: Digit, bits: impl Fn(usize, usize) -> u64) -> (Digit, Plane) {
    let (mut sum, mut carry) = (digit, ZERO);
    for lane in 0..WORDS {
        let (mut ones, mut twos, mut fours, mut eights) = (sum[0][lane], sum[1][lane], sum[2][lane], sum[3][lane]);
        let (mut two, mut four, mut eight) = ([0; 2], [0; 2], [0; 2]);
        for e in 0..2 {
            for f in 0..2 {
                for t in 0..2 {
                    let row = 8 * e + 4 * f + 2 * t;
                    (ones, two[t]) = add(ones, bits(row, lane), bits(row + 1, lane));
                }
                (twos, four[f]) = add(twos, two[0], two[1]);
            }
            (fours, eight[e]) = add(fours, four[0], four[1]);
        }
        (eights, carry[lane]) = add(eights, eight[0], eight[1]);
        (sum[0][lane], sum[1][lane], sum[2][lane], sum[3][lane]) = (ones, twos, fours, eights);
    }
    (sum, carry)
}

/// A digit, and the carries into it until there are 16.
type Level = (Digit, [Plane; ROWS]);

/// The counts of 512 columns so far.
#[derive(Debug, Clone)]
pub struct Tally {
    levels: Vec<Level>,
    blocks: usize, // of 16 rows
}

impl Tally {
    /// For up to `rows` rows.
    pub fn new(rows: usize) -> Self {
        let digits = (1..DIGITS).take_while(|level| rows.next_multiple_of(ROWS) >> (4 * level) > 0).count() + 1;
        Self { levels: vec![([ZERO; 4], [ZERO; ROWS]); digits], blocks: 0 }
    }

    /// Starts again from 0.
    #[inline(always)]
    pub fn clear(&mut self) {
        self.blocks = 0;
    }

    /// Adds so many blocks of 16 rows. `bits(row, lane)` is a word of a row.
    #[inline(always)]
    pub fn add(&mut self, blocks: usize, bits: impl Fn(usize, usize) -> u64) {
        let mut digit = self.digit(0, self.blocks); // a local: from block to block it stays in registers
        for block in 0..blocks {
            let carry;
            (digit, carry) = add_all(digit, |row, lane| bits(ROWS * block + row, lane));
            let mut place = self.blocks;
            self.keep(1, place, carry);
            for level in 1..self.levels.len() {
                if place % ROWS < ROWS - 1 {
                    break;
                }
                place /= ROWS;
                let carries = self.levels[level].1;
                self.add_carries(level, place, &carries);
            }
            self.blocks += 1;
        }
        self.levels[0].0 = digit;
    }

    /// A digit to which 16 planes were added `place` times.
    #[inline(always)]
    fn digit(&self, level: usize, place: usize) -> Digit {
        if place == 0 { [ZERO; 4] } else { self.levels[level].0 }
    }

    /// Keeps a carry of the digit below, the one after `place` others.
    #[inline(always)]
    fn keep(&mut self, level: usize, place: usize, carry: Plane) {
        if let Some((_, carries)) = self.levels.get_mut(level) {
            carries[place % ROWS] = carry;
        }
    }

    /// Adds 16 carries to their digit, to which this was done `place` times before.
    #[inline(always)]
    fn add_carries(&mut self, level: usize, place: usize, carries: &[Plane; ROWS]) {
        let (digit, carry) = add_all(self.digit(level, place), |row, lane| carries[row][lane]);
        self.levels[level].0 = digit;
        self.keep(level + 1, place, carry);
    }

    /// Writes the counts.
    #[inline(always)]
    pub fn finish(&mut self, counts: &mut Counts) {
        let most = self.blocks * ROWS;
        self.add_pending(most);
        let used = |digit: usize| most >> (4 * digit) > 0;
        for byte in (0..DIGITS / 2).filter(|&byte| byte == 0 || used(2 * byte)) {
            let [low, high] = [2 * byte, 2 * byte + 1].map(|d| if used(d) { self.levels[d].0 } else { [ZERO; 4] });
            let bytes = transpose(&low, &high);
            for (count, &part) in counts.as_flattened_mut().iter_mut().zip(bytes.as_flattened()) {
                let part = u32::from(part) << (8 * byte);
                *count = if byte == 0 { part } else { *count | part };
            }
        }
    }

    /// Adds the carries that wait for others.
    #[inline(always)]
    fn add_pending(&mut self, most: usize) {
        let (mut place, mut from_below) = (self.blocks, 0);
        for level in (1..DIGITS).take_while(|level| most >> (4 * level) > 0) {
            let pending = place % ROWS + from_below;
            place /= ROWS;
            from_below = usize::from(pending > 0);
            if pending > 0 {
                let mut carries = self.levels[level].1;
                carries[pending..].fill(ZERO);
                self.add_carries(level, place, &carries);
            }
        }
    }
}

/// Exchanges the number of a plane with the number of a bit in its byte.
#[inline(always)]
fn transpose(low: &Digit, high: &Digit) -> Aligned<[[u8; BITS]; 8]> {
    const STEPS: [(usize, u64); 3] =
        [(4, 0x0F0F_0F0F_0F0F_0F0F), (2, 0x3333_3333_3333_3333), (1, 0x5555_5555_5555_5555)];
    let mut turned = [ZERO; 8];
    for lane in 0..WORDS {
        let mut planes = [0; 8];
        for b in 0..4 {
            (planes[b], planes[b + 4]) = (low[b][lane], high[b][lane]);
        }
        for (width, mask) in STEPS {
            for base in (0..8).step_by(2 * width) {
                for k in base..base + width {
                    let swap = (planes[k] >> width ^ planes[k + width]) & mask;
                    planes[k] ^= swap << width;
                    planes[k + width] ^= swap;
                }
            }
        }
        for k in 0..8 {
            turned[k][lane] = planes[k];
        }
    }
    let mut bytes = Aligned([[0; BITS]; 8]);
    for (bytes, words) in bytes.iter_mut().zip(turned) {
        for (bytes, word) in bytes.as_chunks_mut().0.iter_mut().zip(*words) {
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
        type Output = Counts;
        #[inline(always)]
        fn run(self) -> Counts {
            let mut counts = [[0; BITS]; 8];
            self.1.clear();
            for rows in self.0.chunks(ROWS) {
                self.1.add(1, |row, lane| rows.get(row).map_or(0, |plane| plane[lane]));
            }
            self.1.finish(&mut counts);
            counts
        }
    }

    #[test]
    fn every_path_counts_each_column() {
        let random = SplitMix64::new(0, 0);
        let plane = |t: u64| Aligned(std::array::from_fn(|lane| random.at(8 * t + lane as u64) | random.at(!t)));
        let mut tally = Tally::new(66_000);
        for rows in [0, 1, 15, 16, 17, 245, 255, 256, 257, 271, 3999, 4096, 4351, 66_000] {
            let planes: Vec<Plane> = (0..rows).map(plane).collect();
            let mut wanted = [[0; BITS]; 8];
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
