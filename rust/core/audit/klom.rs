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
        let [unlearned, oracle] = counts.each_ref().map(|counts| counts.chunks_exact(bins));
        Ok(unlearned.zip(oracle).map(|(p, q)| divergence(p, q, &shares)).collect::<Vec<_>>())
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

/// Σ p (ln p - ln q), not below 0 by rounding.
fn divergence(p: &[u32], q: &[u32], shares: &[Vec<(f64, f64)>; 2]) -> f64 {
    let shares = p.iter().zip(q).map(|(&p, &q)| (shares[0][p as usize], shares[1][q as usize]));
    shares.map(|((p, ln_p), (_, ln_q))| p * (ln_p - ln_q)).sum::<f64>().max(0.0)
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

/// The histograms of one side, `bins` counts for each example.
struct Count<'a> {
    phi: &'a Phi<'a>,
    examples: Range<usize>,
    ranges: &'a Edges,
    bins: usize,
}

impl Kernel for Count<'_> {
    type Output = Vec<u32>;

    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)] // the low bits are the bin
    fn run(self) -> Vec<u32> {
        let Self { phi, examples, ranges: [low, high], bins } = self;
        let mut counts = vec![0; examples.len() * bins];
        let [mut step, mut per_step, mut x] = [Aligned([0.0; WIDTH]); 3];
        for k in 0..WIDTH {
            step[k] = (high[k] - low[k]) / bins as f64;
            per_step[k] = (1.0 / step[k]).min(f64::MAX); // if there is but one value, any bin will do
        }
        let mut bin = Aligned([0_u32; WIDTH]);
        for model in 0..phi.models {
            phi.read(model, &examples, &mut *x);
            for k in 0..WIDTH {
                let last = bins as f64 - 1.0;
                let guess = (x[k] - low[k]) * per_step[k];
                let rounded = if guess < last { guess } else { last } + INTEGER;
                // It may be one too high, and is rounded: the edges, low + bin * step, have the last word.
                let above = x[k] < low[k] + (rounded - INTEGER) * step[k];
                bin[k] = (rounded - if above { 1.0 } else { 0.0 }).to_bits() as u32;
            }
            for (bin, counts) in bin.iter().zip(counts.chunks_exact_mut(bins)) {
                counts[*bin as usize] += 1;
            }
        }
        counts
    }
}
