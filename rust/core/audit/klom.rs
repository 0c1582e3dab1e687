//! `KLoM` (Georgiev et al. 2024): how far the φ of unlearned models are from those of retrained ones, example by example.

use std::ops::Range;

use super::{Phi, WIDTH};
use crate::error::Error;
use crate::parallel::Threads;
use crate::simd::{self, Aligned, Kernel};

/// With fewer models on a side the histogram is noise.
pub const LEAST: usize = 64;

/// More bins than this are taken for a slip.
pub const MOST_BINS: usize = 1 << 16;

/// Adding it leaves the nearest integer in the low bits.
const INTEGER: f64 = 4_503_599_627_370_496.0; // 2^52

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
    fn run(self) -> Self::Output {
        let [mut low, mut high] = [f64::INFINITY, f64::NEG_INFINITY].map(|edge| Aligned([edge; WIDTH]));
        for (side, phi) in self.sides.into_iter().enumerate() {
            let (mut x, mut sane) = (Aligned([0.0; WIDTH]), true);
            for model in 0..phi.models {
                sane &= phi.read(model, &self.examples, &mut *x);
                for k in 0..WIDTH {
                    low[k] = if x[k] < low[k] { x[k] } else { low[k] };
                    high[k] = if x[k] > high[k] { x[k] } else { high[k] };
                }
            }
            if !sane {
                return Err(side);
            }
        }
        Ok([low, high])
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
    fn run(self) -> Self::Output {
        let Self { phi, examples, ranges: [low, high], bins } = self;
        let mut counts = vec![[0; WIDTH]; bins];
        let [mut step, mut per_step, mut x] = [Aligned([0.0; WIDTH]); 3];
        for k in 0..WIDTH {
            step[k] = (high[k] - low[k]) / bins as f64;
            per_step[k] = (1.0 / step[k]).min(f64::MAX); // if there is but one value, any bin will do
        }
        let mut found = [Aligned([0_u16; WIDTH]); ROWS];
        for first in (0..phi.models).step_by(ROWS) {
            let rows = ROWS.min(phi.models - first);
            for (model, found) in (first..first + rows).zip(&mut found) {
                phi.read(model, &examples, &mut *x);
                for k in 0..WIDTH {
                    let last = bins as f64 - 1.0;
                    let guess = (x[k] - low[k]) * per_step[k];
                    let rounded = if guess < last { guess } else { last } + INTEGER;
                    // It may be one too high, and is rounded: the edges, low + bin * step, have the last word.
                    let above = x[k] < low[k] + (rounded - INTEGER) * step[k];
                    found[k] = low_bits(rounded - if above { 1.0 } else { 0.0 });
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
const ROWS: usize = 16;

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
    for (bin, counts) in counts.iter_mut().enumerate() {
        for k in (0..WIDTH).step_by(LANES) {
            let mut equal = [0_u8; LANES];
            for bytes in &bytes[..found.len()] {
                for lane in 0..LANES {
                    equal[lane] += u8::from(bytes[k + lane] == bin as u8);
                }
            }
            for lane in 0..LANES {
                counts[k + lane] += u32::from(equal[lane]);
            }
        }
    }
}

/// Examples whose counts stay in registers.
const LANES: usize = 64;
