//! Whether a correlation is more than chance, by permutations.

use super::spearman::centre;
use super::{by_value, paired};
use crate::error::Error;
use crate::parallel::Threads;
use crate::partition::Score;
use crate::resample::SplitMix64;

/// Permutations that one thread draws at a time, with the same working memory.
const PERMUTATIONS: usize = 16;

/// Pairs between two pauses.
const AT_ONCE: usize = 1 << 16;

/// The p-value of no association, two-sided: `(1 + #{|r| of permuted pairs >= |r|}) / (1 + permutations)`
/// (Phipson & Smyth 2010), of Spearman's correlation or of Pearson's. NaN where x or y is constant.
///
/// All sums are exact integers: a permutation that correlates as strongly counts, in whatever order its products are
/// added. Ranks are integers when doubled; other values are rounded to 53 bits below the largest (to fewer by one for
/// each fourfold of 2^20 pairs). Permutation p is drawn from its own stream of `seed`: Fisher & Yates' shuffle of y from
/// its end. O(n) memory a thread.
///
/// # Errors
/// As [`Spearman::new`](super::Spearman::new); for Pearson's, infinite values.
pub fn permutation_p<X: Score, Y: Score>(
    x: &[X],
    y: &[Y],
    ranks: bool,
    permutations: usize,
    seed: u64,
    threads: &Threads,
) -> Result<f64, Error> {
    paired(x, y, threads)?;
    let (x, y) = if ranks { (ranked(x, threads), ranked(y, threads)) } else { (whole("x", x)?, whole("y", y)?) };
    if [&x, &y].iter().any(|values| values.iter().all(|v| *v == values[0])) {
        return Ok(f64::NAN);
    }
    let ((x, rest_x), (y, rest_y)) = (centred(x), centred(y));
    let strong = Strong::new(product(&x, &y), rest_x * rest_y, x.len());
    let counts = threads.map_chunks(permutations, PERMUTATIONS, |chunk| {
        let mut shuffled = Vec::with_capacity(y.len());
        let found = chunk.filter(|&p| {
            shuffled.clear();
            shuffled.extend_from_slice(&y);
            strong.holds(shuffle(&x, &mut shuffled, &SplitMix64::new(seed, p as u64), threads))
        });
        found.count()
    });
    Ok((1 + counts.iter().sum::<usize>()) as f64 / (1.0 + permutations as f64))
}

/// The ranks of values: the doubled distances from the mean rank.
fn ranked<T: Score>(values: &[T], threads: &Threads) -> Vec<i64> {
    let mut ranks = Vec::new();
    centre(&by_value(values, threads), |_| 1, &mut ranks, threads);
    ranks
}

/// Values as integers, scaled by a power of two so that none is above 2^53 in size and no sum of products overflows.
#[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)] // exponents; rounded values are integers
fn whole<T: Score>(name: &'static str, values: &[T]) -> Result<Vec<i64>, Error> {
    let values = || values.iter().map(|&v| v.into());
    if let Some(first) = values().position(f64::is_infinite) {
        return Err(Error::Infinite { name, first });
    }
    let largest = values().fold(0.0, |m: f64, v| m.max(v.abs()));
    let above = (largest.to_bits() >> 52) as i32 - 1022; // all are below 2^above
    let log_n = usize::BITS - values().len().leading_zeros();
    let shift = ((126 - log_n) / 2).min(53) as i32 - above;
    let (first, second) = (2.0_f64.powi(shift / 2), 2.0_f64.powi(shift - shift / 2)); // both at once may overflow
    Ok(values().map(|v| (v * first * second).round_ties_even() as i64).collect())
}

/// The distances from the mean, rounded down, and what the rounding leaves of their sum: 0 to n - 1.
#[allow(clippy::cast_possible_truncation)] // a mean is no larger than the values
fn centred(mut values: Vec<i64>) -> (Vec<i64>, i128) {
    let (n, sum) = (values.len() as i128, values.iter().map(|&v| i128::from(v)).sum::<i128>());
    let mean = sum.div_euclid(n) as i64;
    for value in &mut values {
        *value -= mean;
    }
    (values, sum.rem_euclid(n))
}

/// The sums of products that are at least as far from their expectation as that of the data.
struct Strong {
    low: i128,
    high: i128,
}

impl Strong {
    /// `rests` / n is the expectation. Its double, minus the sum of the data, is the other end: rounded outwards.
    fn new(sum: i128, rests: i128, n: usize) -> Self {
        let n = n as i128;
        let (low, high) = ((2 * rests).div_euclid(n) - sum, -(-2 * rests).div_euclid(n) - sum);
        if sum >= high { Self { low, high: sum } } else { Self { low: sum, high } }
    }

    fn holds(&self, sum: i128) -> bool {
        sum <= self.low || sum >= self.high
    }
}

fn product(x: &[i64], y: &[i64]) -> i128 {
    x.iter().zip(y).map(|(&x, &y)| i128::from(x) * i128::from(y)).sum()
}

/// Shuffles y and returns the sum of its products with x.
fn shuffle(x: &[i64], y: &mut [i64], random: &SplitMix64, threads: &Threads) -> i128 {
    let mut sum = 0;
    for start in (0..y.len()).step_by(AT_ONCE).rev() {
        threads.pause();
        for i in (start..y.len().min(start + AT_ONCE)).rev() {
            y.swap(i, random.below(i as u64, i + 1));
            sum += i128::from(x[i]) * i128::from(y[i]);
        }
    }
    sum
}
