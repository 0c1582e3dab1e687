//! Seeded random numbers, and the bootstrap by resampled counts.
//!
//! A bootstrap resample of n examples is a vector of n counts that sum to n. A statistic that can be computed from
//! counts needs no re-sorting and no copy of the data, and its value on the data itself is its value when every count is 1.

use crate::error::Error;
use crate::parallel::Threads;
use crate::partition::{argsort, no_nan};

/// `SplitMix64` (Steele, Lea & Flood 2014): the i-th number of a stream is a hash of i, so any part of it can be drawn alone.
#[derive(Clone, Debug)]
pub struct SplitMix64(u64);

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl SplitMix64 {
    /// An independent stream of numbers for each pair of seed and stream number.
    pub fn new(seed: u64, stream: u64) -> Self {
        Self(mix(mix(seed.wrapping_add(GOLDEN)) ^ stream.wrapping_mul(GOLDEN)))
    }

    /// The i-th number of the stream, whatever was drawn before.
    pub fn at(&self, i: u64) -> u64 {
        mix(self.0.wrapping_add(i.wrapping_add(1).wrapping_mul(GOLDEN)))
    }

    /// The i-th number as an integer in 0..n (multiply-shift: the bias is below n / 2^64).
    #[allow(clippy::cast_possible_truncation)] // the high half of the product is below n
    pub fn below(&self, i: u64, n: usize) -> usize {
        ((u128::from(self.at(i)) * n as u128) >> 64) as usize
    }
}

/// A statistic of n examples that can be computed from how often each was drawn.
pub trait Statistic: Sync {
    /// Working memory of one thread, so that a resample allocates nothing.
    type Scratch: Default + Send;

    /// The number of examples.
    fn n(&self) -> usize;

    /// The value when example i is there `counts[i]` times; NaN where it is not defined.
    fn of(&self, counts: &[u32], scratch: &mut Self::Scratch) -> f64;
}

/// A value with its bootstrap percentile interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The statistic of the data itself.
    pub value: f64,
    /// Lower end; NaN where no resample had a value.
    pub low: f64,
    /// Upper end; NaN where no resample had a value.
    pub high: f64,
}

/// The percentile bootstrap: the statistic of the data, and the middle `level` of its values on `resamples` resamples.
///
/// A resample on which the statistic is not defined is left out. Resample b is drawn from its own stream of `seed`, so
/// the bits do not depend on the number of threads, and statistics of the same n and seed see the same resamples.
#[derive(Clone, Copy, Debug)]
pub struct Bootstrap {
    /// Share of the resamples' values inside the interval, in (0, 1).
    pub level: f64,
    /// How many; 0 gives no interval (NaN).
    pub resamples: usize,
    /// Of the resamples.
    pub seed: u64,
}

const RESAMPLES: usize = 16; // that one thread takes at a time, with the same working memory

impl Bootstrap {
    /// The statistic with its interval. O(n) working memory a thread.
    pub fn of<S: Statistic>(&self, statistic: &S, threads: &Threads) -> Interval {
        let n = statistic.n();
        let value = statistic.of(&vec![1; n], &mut S::Scratch::default());
        let chunks = threads.map_chunks(self.resamples, RESAMPLES, |chunk| {
            let (mut counts, mut scratch) = (vec![0; n], S::Scratch::default());
            let of_resample = |b: usize| {
                threads.pause();
                draw(&SplitMix64::new(self.seed, b as u64), &mut counts);
                statistic.of(&counts, &mut scratch)
            };
            chunk.map(of_resample).collect::<Vec<_>>()
        });
        let mut values = chunks.concat();
        values.retain(|v| !v.is_nan());
        values.sort_unstable_by(f64::total_cmp);
        let tail = (1.0 - self.level) / 2.0;
        Interval { value, low: quantile(&values, tail), high: quantile(&values, 1.0 - tail) }
    }
}

/// How often each of n examples is drawn in resample `b` of `seed`: n draws with replacement.
pub fn counts(n: usize, seed: u64, b: u64) -> Vec<u32> {
    let mut counts = vec![0; n];
    draw(&SplitMix64::new(seed, b), &mut counts);
    counts
}

fn draw(random: &SplitMix64, counts: &mut [u32]) {
    counts.fill(0);
    for i in 0..counts.len() as u64 {
        counts[random.below(i, counts.len())] += 1;
    }
}

/// The q-quantile of sorted values, linear between neighbours; NaN of none.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 <= at <= len - 1
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let at = (q * last as f64).clamp(0.0, last as f64);
    let below = at as usize;
    let (a, b) = (sorted[below], sorted[(below + 1).min(last)]);
    a + (at - below as f64) * (b - a)
}

/// The mean of values.
#[derive(Debug)]
pub struct Mean<'a> {
    values: &'a [f64],
}

impl<'a> Mean<'a> {
    /// # Errors
    /// NaN.
    pub fn new(values: &'a [f64], threads: &Threads) -> Result<Self, Error> {
        no_nan("values", values, threads)?;
        Ok(Self { values })
    }
}

impl Statistic for Mean<'_> {
    type Scratch = ();

    fn n(&self) -> usize {
        self.values.len()
    }

    fn of(&self, counts: &[u32], (): &mut ()) -> f64 {
        let sum: f64 = self.values.iter().zip(counts).map(|(v, &c)| v * f64::from(c)).sum();
        sum / self.n() as f64
    }
}

/// The median of values, prepared as their order; the mean of the two middle ones where n is even.
#[derive(Debug)]
pub struct Median<'a> {
    values: &'a [f64],
    order: Vec<usize>,
}

impl<'a> Median<'a> {
    /// Sorts once; O(n) memory.
    ///
    /// # Errors
    /// NaN.
    pub fn new(values: &'a [f64], threads: &Threads) -> Result<Self, Error> {
        no_nan("values", values, threads)?;
        Ok(Self { values, order: argsort(values, threads)? })
    }

    /// The value at place `rank` (from 0) of the sorted resample.
    fn at(&self, rank: usize, counts: &[u32]) -> f64 {
        let mut passed = 0;
        let found = self.order.iter().find(|&&i| {
            passed += counts[i] as usize;
            passed > rank
        });
        found.map_or(f64::NAN, |&i| self.values[i])
    }
}

impl Statistic for Median<'_> {
    type Scratch = ();

    fn n(&self) -> usize {
        self.values.len()
    }

    fn of(&self, counts: &[u32], (): &mut ()) -> f64 {
        let n = self.n();
        f64::midpoint(self.at(n.saturating_sub(1) / 2, counts), self.at(n / 2, counts))
    }
}
