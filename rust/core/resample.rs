//! Seeded random numbers, and the bootstrap by resampled counts.
//!
//! A bootstrap resample of n examples is a vector of n counts that sum to n. A statistic that can be computed from
//! counts needs no re-sorting and no copy of the data, and its value on the data itself is its value when every count is 1.

use crate::bits::zeroed;
use crate::error::Error;
use crate::parallel::Threads;
use crate::partition::{Score, argsort, no_nan};

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

    /// The value when example i is there `counts[i]` times; NaN where it is not defined. Pauses where it takes long.
    fn of(&self, counts: &[u32], scratch: &mut Self::Scratch, threads: &Threads) -> f64;
}

/// Numbers of the same n examples that are found together, in one pass over how often each example was drawn.
pub trait Statistics: Sync {
    /// Working memory of one thread.
    type Scratch: Default + Send;

    /// The number of examples.
    fn n(&self) -> usize;

    /// How many numbers there are.
    fn width(&self) -> usize;

    /// Writes the numbers when example i is there `counts[i]` times; NaN where one is not defined. Pauses likewise.
    fn write(&self, counts: &[u32], scratch: &mut Self::Scratch, threads: &Threads, out: &mut [f64]);
}

/// The numbers of a single statistic.
struct Alone<'a, S>(&'a S);

impl<S: Statistic> Statistics for Alone<'_, S> {
    type Scratch = S::Scratch;

    fn n(&self) -> usize {
        self.0.n()
    }

    fn width(&self) -> usize {
        1
    }

    fn write(&self, counts: &[u32], scratch: &mut S::Scratch, threads: &Threads, out: &mut [f64]) {
        out[0] = self.0.of(counts, scratch, threads);
    }
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

impl Interval {
    /// A value without an interval.
    pub fn none(value: f64) -> Self {
        Self { value, low: f64::NAN, high: f64::NAN }
    }
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
    ///
    /// # Errors
    /// More resamples than fit into memory.
    pub fn of<S: Statistic>(&self, statistic: &S, threads: &Threads) -> Result<Interval, Error> {
        Ok(self.of_each(&Alone(statistic), threads)?[0])
    }

    /// The intervals of statistics that are found together: the examples are drawn once for all of them.
    /// O(n) working memory a thread, and 8 bytes a statistic and resample.
    ///
    /// # Errors
    /// More resamples than fit into memory.
    pub fn of_each<S: Statistics>(&self, statistics: &S, threads: &Threads) -> Result<Vec<Interval>, Error> {
        let (n, width) = (statistics.n(), statistics.width());
        let found = self.resamples.checked_mul(width).and_then(zeroed);
        let mut found: Vec<f64> = found.ok_or(Error::Memory { name: "resamples", n: self.resamples })?;
        let mut values = vec![0.0; width];
        statistics.write(&vec![1; n], &mut S::Scratch::default(), threads, &mut values);
        threads.for_each_chunk(&mut found, RESAMPLES * width, |start, found| {
            let (mut counts, mut scratch) = (vec![0; n], S::Scratch::default());
            for (b, found) in (start / width..).zip(found.chunks_mut(width)) {
                threads.pause();
                draw(&SplitMix64::new(self.seed, b as u64), &mut counts, threads);
                statistics.write(&counts, &mut scratch, threads, found);
            }
        });
        let drawn = |k: usize| found.iter().skip(k).step_by(width).copied().filter(|v| !v.is_nan()).collect();
        Ok(threads.map(width, |k| self.interval(values[k], drawn(k))))
    }

    fn interval(&self, value: f64, mut drawn: Vec<f64>) -> Interval {
        drawn.sort_unstable_by(f64::total_cmp);
        let tail = (1.0 - self.level) / 2.0;
        Interval { value, low: quantile(&drawn, tail), high: quantile(&drawn, 1.0 - tail) }
    }
}

/// How often each of n examples is drawn in resample `b` of `seed`: n draws with replacement.
pub fn counts(n: usize, seed: u64, b: u64) -> Vec<u32> {
    let mut counts = vec![0; n];
    draw(&SplitMix64::new(seed, b), &mut counts, &Threads::one());
    counts
}

fn draw(random: &SplitMix64, counts: &mut [u32], threads: &Threads) {
    counts.fill(0);
    for first in (0..counts.len()).step_by(AT_ONCE) {
        threads.pause();
        for i in first..counts.len().min(first + AT_ONCE) {
            counts[random.below(i as u64, counts.len())] += 1;
        }
    }
}

/// Examples drawn between two pauses.
const AT_ONCE: usize = 1 << 16;

/// The q-quantile of sorted values, linear between neighbours; NaN of none.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    if sorted.is_empty() { f64::NAN } else { between(sorted.len(), q, |rank| sorted[rank]) }
}

/// The q-quantile of n > 0 values, where `at` gives the value of a rank from 0.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 <= place <= n - 1
#[allow(clippy::float_cmp)] // equal neighbours, infinite ones too
fn between(n: usize, q: f64, at: impl Fn(usize) -> f64) -> f64 {
    let last = n - 1;
    let place = (q * last as f64).clamp(0.0, last as f64);
    let share = place.fract();
    let (low, high) = (at(place as usize), at((place as usize + 1).min(last)));
    if share == 0.0 || low == high { low } else { low * (1.0 - share) + high * share }
}

/// The mean of values.
#[derive(Debug)]
pub struct Mean<'a, T> {
    values: &'a [T],
}

impl<'a, T: Score> Mean<'a, T> {
    /// # Errors
    /// NaN.
    pub fn new(values: &'a [T], threads: &Threads) -> Result<Self, Error> {
        no_nan("values", values, threads)?;
        Ok(Self { values })
    }
}

impl<T: Score> Statistic for Mean<'_, T> {
    type Scratch = ();

    fn n(&self) -> usize {
        self.values.len()
    }

    fn of(&self, counts: &[u32], (): &mut (), _: &Threads) -> f64 {
        let sum: f64 = self.values.iter().zip(counts).map(|(&v, &c)| v.into() * f64::from(c)).sum();
        sum / self.n() as f64
    }
}

/// A quantile of values, prepared as their order; linear between neighbours, as the median of an even number is.
#[derive(Debug)]
pub struct Quantile<'a, T> {
    values: &'a [T],
    order: Vec<usize>,
    q: f64,
}

impl<'a, T: Score> Quantile<'a, T> {
    /// Sorts once; O(n) memory. `q` is in [0, 1].
    ///
    /// # Errors
    /// NaN.
    pub fn new(values: &'a [T], q: f64, threads: &Threads) -> Result<Self, Error> {
        no_nan("values", values, threads)?;
        Ok(Self { values, order: argsort(values, threads)?, q })
    }

    /// The value at place `rank` (from 0) of the sorted resample.
    fn at(&self, rank: usize, counts: &[u32]) -> f64 {
        let mut passed = 0;
        let found = self.order.iter().find(|&&i| {
            passed += counts[i] as usize;
            passed > rank
        });
        found.map_or(f64::NAN, |&i| self.values[i].into())
    }
}

impl<T: Score> Statistic for Quantile<'_, T> {
    type Scratch = ();

    fn n(&self) -> usize {
        self.values.len()
    }

    fn of(&self, counts: &[u32], (): &mut (), _: &Threads) -> f64 {
        if self.values.is_empty() { f64::NAN } else { between(self.n(), self.q, |rank| self.at(rank, counts)) }
    }
}
