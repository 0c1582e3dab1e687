//! `KLoM` (Georgiev et al. 2024): how far the φ of unlearned models are from those of retrained ones, example by example.

use std::ops::Range;

use super::{Phi, Precision, WIDTH};
use crate::error::Error;
use crate::parallel::Threads;
use crate::simd::{self, Aligned, Kernel, Unit};

/// With fewer models on a side the histogram is noise.
pub const LEAST: usize = 64;

/// More bins than this are taken for a slip.
pub const MOST_BINS: usize = 1 << 16;

/// Adding it leaves the nearest integer in the low bits.
const INTEGER: f64 = 4_503_599_627_370_496.0; // 2^52

/// The same in f32.
const INTEGER_SINGLE: f32 = 8_388_608.0; // 2^23

/// KL(unlearned || oracle) in nats, of histograms of φ over the models.
///
/// `bins` bins of equal width over the range of both sides together; a bin holds its lower edge, and the last one its
/// upper edge too. `smoothing` is added to every share before the shares are scaled to sum to 1. 0 where all φ of an
/// example are equal.
///
/// # Errors
/// Shapes, a φ that is not finite, fewer than [`LEAST`] models on a side, no bins or
/// more than [`MOST_BINS`].
pub fn klom(
    unlearned: &Phi<'_>,
    oracle: &Phi<'_>,
    bins: usize,
    smoothing: f64,
    threads: &Threads,
) -> Result<Vec<f64>, Error> {
    unlearned.same_n(oracle)?;
    if unlearned.models < LEAST || oracle.models < LEAST {
        return Err(Error::FewModels { least: LEAST, unlearned: unlearned.models, oracle: oracle.models });
    }
    if !(1..=MOST_BINS).contains(&bins) {
        return Err(Error::Bins { most: MOST_BINS, got: bins });
    }
    if unlearned.n == 0 {
        return Ok(Vec::new()); // of any number of models, even one that a table of shares would be too long for
    }
    let sides = [unlearned, oracle];
    let shares = sides.map(|phi| shares(phi.models, bins, smoothing));
    let blocks = threads.map_chunks(unlearned.n, WIDTH, |examples| {
        let ranges = simd::dispatch(Ranges { sides, examples: examples.clone() })?;
        let counts = sides.map(|phi| simd::dispatch(Count { phi, examples: examples.clone(), ranges: &ranges, bins }));
        Ok(divergence(&counts, &shares)[..examples.len()].to_vec())
    });
    let blocks = blocks.into_iter().collect::<Result<Vec<_>, usize>>().map_err(|side| sides[side].refused())?;
    Ok(blocks.concat())
}

/// The smoothed share of a bin that holds 0, 1, .. of the models, and its logarithm: there are no others.
fn shares(models: usize, bins: usize, smoothing: f64) -> Vec<(f64, f64)> {
    let scale = 1.0 + smoothing * bins as f64;
    let share = |count: usize| (count as f64 / models as f64 + smoothing) / scale;
    (0..=models).map(share).map(|share| (share, share.ln())).collect()
}

/// Σ p (ln p - ln q) of each example, not below 0 by rounding.
fn divergence(counts: &[Vec<[u32; WIDTH]>; 2], shares: &[Vec<(f64, f64)>; 2]) -> [f64; WIDTH] {
    let mut sums = [0.0; WIDTH];
    for (p, q) in counts[0].iter().zip(&counts[1]) {
        for (sum, (&p, &q)) in sums.iter_mut().zip(p.iter().zip(q)) {
            let ((p, ln_p), (_, ln_q)) = (shares[0][p as usize], shares[1][q as usize]);
            *sum += p * (ln_p - ln_q);
        }
    }
    sums.map(|sum| sum.max(0.0))
}

/// The smallest and largest φ of each example.
type Edges = [Aligned<[f64; WIDTH]>; 2];

struct Ranges<'a> {
    sides: [&'a Phi<'a>; 2],
    examples: Range<usize>,
}

impl Kernel for Ranges<'_> {
    type Output = Result<Edges, usize>; // the side that has a φ that is not finite

    #[inline(always)]
    fn run<U: Unit>(self) -> Self::Output {
        let Self { sides, examples } = self;
        let mut edges = [f64::INFINITY, f64::NEG_INFINITY].map(|edge| Aligned([edge; WIDTH]));
        for (side, phi) in sides.into_iter().enumerate() {
            if !(widen::<f32>(phi, &examples, &mut edges) || widen::<f64>(phi, &examples, &mut edges)) {
                return Err(side);
            }
        }
        Ok(edges)
    }
}

/// Moves the edges apart until all φ lie between them; false where they cannot be read.
#[inline(always)]
fn widen<F: Precision>(phi: &Phi<'_>, examples: &Range<usize>, edges: &mut Edges) -> bool {
    let smaller = |a: F, b: F| if a < b { a } else { b };
    let larger = |a: F, b: F| if a > b { a } else { b };
    let mut rows = [Aligned([F::default(); WIDTH]); TOGETHER];
    let mut ends = [Aligned([F::INFINITY; WIDTH]), Aligned([-F::INFINITY; WIDTH])];
    for first in (0..phi.models).step_by(TOGETHER) {
        for (row, x) in rows.iter_mut().enumerate() {
            if !phi.read((first + row).min(phi.models - 1), examples, &mut **x) {
                return false;
            }
        }
        let [low, high] = &mut ends;
        for k in 0..WIDTH {
            let [a, b, c, d] = [rows[0][k], rows[1][k], rows[2][k], rows[3][k]];
            low[k] = smaller(low[k], smaller(smaller(a, b), smaller(c, d)));
            high[k] = larger(high[k], larger(larger(a, b), larger(c, d)));
        }
    }
    for k in 0..WIDTH {
        edges[0][k] = edges[0][k].min(ends[0][k].into());
        edges[1][k] = edges[1][k].max(ends[1][k].into());
    }
    true
}

/// Models whose φ are compared before a range is written.
const TOGETHER: usize = 4;

/// The bins of some examples.
struct Bins<'a> {
    low: &'a [f64; WIDTH],
    step: Aligned<[f64; WIDTH]>,
    per_step: Aligned<[f64; WIDTH]>,
    last: f64,
    single: [Aligned<[f32; WIDTH]>; 2], // low and per_step
}

impl<'a> Bins<'a> {
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, clippy::float_cmp)] // an f32 that is not exact or near enough is not used
    fn new([low, high]: &'a Edges, bins: usize) -> Self {
        let [mut step, mut per_step] = [Aligned([0.0; WIDTH]); 2];
        let mut single = [Aligned([0.0; WIDTH]); 2];
        for k in 0..WIDTH {
            let width = high[k] - low[k];
            step[k] = width / bins as f64;
            per_step[k] = (1.0 / step[k]).min(f64::MAX); // if there is but one value, any bin will do
            single[0][k] = low[k] as f32;
            let exact = f64::from(single[0][k]) == low[k]; // not where the other side is f64
            single[1][k] = if exact && (1e-30..1e30).contains(&width) { per_step[k] as f32 } else { f32::NAN };
            single[1][k] = if width > 0.0 { single[1][k] } else { 0.0 };
        }
        Self { low, step, per_step, last: bins as f64 - 1.0, single }
    }

    /// Finds the bin of each φ.
    #[inline(always)]
    fn find(&self, x: &[f64; WIDTH], found: &mut [u16; WIDTH]) {
        for k in 0..WIDTH {
            let guess = (x[k] - self.low[k]) * self.per_step[k];
            let rounded = if guess < self.last { guess } else { self.last } + INTEGER;
            // It may be one too high, and is rounded: the edges, low + bin * step, have the last word.
            let above = x[k] < self.low[k] + (rounded - INTEGER) * self.step[k];
            found[k] = low_bits(rounded - if above { 1.0 } else { 0.0 });
        }
    }

    /// The same where no φ is so near an edge that f32 could take it for the other side; else false.
    ///
    /// Three roundings to 24 bits make less than 3/2^24 of a guess, which is at most the number of bins.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)] // whole numbers below 2^16; the bin is in the low bits
    fn guess(&self, x: &[f32; WIDTH], found: &mut [u16; WIDTH]) -> bool {
        const ERROR: f32 = 1.0 / (1 << 22) as f32;
        let (last, [low, per_step]) = (self.last as f32, &self.single);
        let near = (last + 1.0) * ERROR;
        let mut sure = true;
        for k in 0..WIDTH {
            let guess = (x[k] - low[k]) * per_step[k];
            let inner = if guess > 1.0 { guess } else { 1.0 }; // the edges below the first bin and above the last do not count
            let rounded = if inner < last { inner } else { last } + INTEGER_SINGLE;
            let apart = guess - (rounded - INTEGER_SINGLE);
            sure &= apart.abs() >= near; // false for NaN
            found[k] = (rounded - if apart < 0.0 { 1.0 } else { 0.0 }).to_bits() as u16;
        }
        sure
    }
}

/// The histograms of one side: how many models are in each bin, example by example.
struct Count<'a> {
    phi: &'a Phi<'a>,
    examples: Range<usize>,
    ranges: &'a Edges,
    bins: usize,
}

impl Kernel for Count<'_> {
    type Output = Vec<[u32; WIDTH]>;

    #[inline(always)]
    fn run<U: Unit>(self) -> Self::Output {
        let Self { phi, examples, ranges, bins } = self;
        let mut counts = vec![[0; WIDTH]; bins];
        let by = Bins::new(ranges, bins);
        let (mut x, mut single) = (Aligned([0.0_f64; WIDTH]), Aligned([0.0_f32; WIDTH]));
        let mut found = [Aligned([0_u16; WIDTH]); ROWS];
        for first in (0..phi.models).step_by(ROWS) {
            let rows = ROWS.min(phi.models - first);
            for (model, found) in (first..first + rows).zip(&mut found) {
                if !(phi.read(model, &examples, &mut *single) && by.guess(&single, found)) {
                    phi.read(model, &examples, &mut *x);
                    by.find(&x, found);
                }
            }
            add(&mut counts, &found[..rows], examples.len());
        }
        counts
    }
}

#[inline(always)]
#[allow(clippy::cast_possible_truncation)] // the bin is there
fn low_bits(x: f64) -> u16 {
    x.to_bits() as u16
}

/// Rows that are counted together; fewer than a byte can count.
const ROWS: usize = 32;

/// With more bins it is faster to add each φ to its bin than to compare it with all of them.
const FEW: usize = 64;

/// Counts the bins that some models found for some examples.
#[inline(always)]
#[allow(clippy::cast_possible_truncation)] // few bins
fn add(counts: &mut [[u32; WIDTH]], found: &[Aligned<[u16; WIDTH]>], examples: usize) {
    if counts.len() > FEW {
        for row in found {
            for (k, &bin) in row[..examples].iter().enumerate() {
                counts[bin as usize][k] += 1;
            }
        }
        return;
    }
    let mut bytes = [Aligned([0_u8; WIDTH]); ROWS];
    for (bytes, row) in bytes.iter_mut().zip(found) {
        for k in 0..WIDTH {
            bytes[k] = row[k] as u8;
        }
    }
    // The sum of min(bin, t) over the models grows by how many are above t from t to t + 1: two instructions for each t and
    // 64 examples, where a sum of comparisons takes three. Sums may overflow, their differences do not.
    let most = found.len() as u8;
    for k in (0..WIDTH).step_by(LANES) {
        let (mut sum, mut above) = ([0_u8; LANES], [most; LANES]);
        for (bin, counts) in (1..).zip(counts.iter_mut()) {
            let mut next = [0_u8; LANES];
            for bytes in &bytes[..found.len()] {
                for lane in 0..LANES {
                    next[lane] = next[lane].wrapping_add(bytes[k + lane].min(bin));
                }
            }
            for lane in 0..LANES {
                let still = next[lane].wrapping_sub(sum[lane]);
                counts[k + lane] += u32::from(above[lane].wrapping_sub(still));
                above[lane] = still;
            }
            sum = next;
        }
    }
}

/// Examples whose counts stay in registers.
const LANES: usize = 64;
