//! Spearman's rank correlation.

use std::ops::Range;
use std::sync::Arc;

use super::{by_value, enough, normalised, paired};
use crate::error::Error;
use crate::parallel::Threads;
use crate::partition::{Score, no_nan};
use crate::resample::{Bootstrap, Interval, Statistic};
use crate::sort::Sorted;

/// Spearman's rank correlation with ties: Pearson's correlation of the average ranks. O(n) for a resample.
///
/// Ranks count from the middle and are doubled: they and all sums are exact integers.
#[derive(Debug)]
pub struct Spearman {
    x: Sorted,
    y: Arc<Sorted>,
}

/// Spearman's correlation of each column of x with y, with its interval. `x` is row-major, with as many rows as y.
///
/// y is sorted once and each column once, O(n) memory each; columns are worked on side by side, [`TOGETHER`] at least.
///
/// # Errors
/// As [`Spearman::new`], if x is not of whole rows, or the first NaN of a column.
pub fn spearman_columns<X: Score, Y: Score>(
    x: &[X],
    columns: usize,
    y: &[Y],
    bootstrap: &Bootstrap,
    threads: &Threads,
) -> Result<Vec<Interval>, Error> {
    enough(y.len())?;
    no_nan("y", y, threads)?;
    Error::check_length("x", x.len(), y.len().saturating_mul(columns), "y in each column")?;
    let y = Arc::new(by_value(y, threads));
    let mut ranks = Vec::new();
    let yy = centre(&y, |_| 1, &mut ranks, threads);
    let groups = threads.map(columns.div_ceil(TOGETHER), |group| {
        let columns = group * TOGETHER..columns.min((group + 1) * TOGETHER);
        let of = |x: Vec<X>| {
            no_nan("x", &x, threads)?;
            let x = by_value(&x, threads);
            if bootstrap.resamples == 0 {
                return Ok(Interval::none(correlation(&x, |_| 1, &ranks, yy, threads)));
            }
            bootstrap.of(&Spearman { x, y: Arc::clone(&y) }, threads)
        };
        gather(x, y.ids.len(), columns).into_iter().map(of).collect::<Result<Vec<_>, _>>()
    });
    Ok(groups.into_iter().collect::<Result<Vec<_>, _>>()?.concat())
}

/// Columns that are read at once: the same cache lines hold them.
const TOGETHER: usize = 4;

/// Rows that stay in the cache while columns are read from them.
const ROWS: usize = 512;

/// Some columns of a matrix of n rows.
fn gather<X: Copy>(x: &[X], n: usize, columns: Range<usize>) -> Vec<Vec<X>> {
    let width = x.len() / n;
    let mut gathered: Vec<_> = columns.clone().map(|_| Vec::with_capacity(n)).collect();
    for rows in x.chunks(ROWS * width) {
        for (column, gathered) in columns.clone().zip(&mut gathered) {
            gathered.extend(rows.iter().skip(column).step_by(width));
        }
    }
    gathered
}

/// The rank of each example when example i is there `count(i)` times: the doubled distance from the mean rank. Returns
/// the sum of their squares.
#[allow(clippy::cast_possible_wrap)] // n is below 2^32
pub(super) fn centre(sorted: &Sorted, count: impl Fn(u32) -> u32, ranks: &mut Vec<i64>, threads: &Threads) -> i128 {
    ranks.resize(sorted.ids.len(), 0);
    let n = ranks.len() as i64;
    let (mut before, mut squares) = (0, 0);
    for run in sorted.runs(threads) {
        let t: i64 = run.iter().map(|&id| i64::from(count(id))).sum();
        let rank = 2 * before + t - n;
        for &id in run {
            ranks[id as usize] = rank;
        }
        squares += i128::from(t) * i128::from(rank) * i128::from(rank);
        before += t;
    }
    squares
}

/// The correlation of x with the y whose ranks are given, with the sum `yy` of their squares.
#[allow(clippy::cast_possible_wrap)] // n is below 2^32
fn correlation(x: &Sorted, count: impl Fn(u32) -> u32, ranks: &[i64], yy: i128, threads: &Threads) -> f64 {
    let n = ranks.len() as i64;
    let (mut before, mut xx, mut xy) = (0, 0, 0);
    for run in x.runs(threads) {
        let (mut t, mut y) = (0, 0);
        for &id in run {
            let count = i64::from(count(id));
            t += count;
            y += i128::from(count) * i128::from(ranks[id as usize]);
        }
        let rank = i128::from(2 * before + t - n);
        xx += i128::from(t) * rank * rank;
        xy += y * rank;
        before += t;
    }
    normalised(xy as f64, xx as f64, yy as f64)
}

impl Spearman {
    /// Sorts x and y once.
    ///
    /// # Errors
    /// NaN, different lengths, fewer than 2 pairs or more than 2^32 - 1.
    pub fn new<X: Score, Y: Score>(x: &[X], y: &[Y], threads: &Threads) -> Result<Self, Error> {
        paired(x, y, threads)?;
        Ok(Self { x: by_value(x, threads), y: Arc::new(by_value(y, threads)) })
    }
}

impl Statistic for Spearman {
    type Scratch = Vec<i64>; // the ranks of y

    fn n(&self) -> usize {
        self.x.ids.len()
    }

    fn of(&self, counts: &[u32], ranks: &mut Vec<i64>, threads: &Threads) -> f64 {
        let count = |id: u32| counts[id as usize];
        let yy = centre(&self.y, count, ranks, threads);
        correlation(&self.x, count, ranks, yy, threads)
    }
}
