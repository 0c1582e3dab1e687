//! Ranks and rank correlation with ties.
//!
//! Each correlation is a [`Statistic`]: prepared by one sort, then computed from counts, for the data and for resamples alike.

use std::ops::Range;
use std::sync::Arc;

use crate::error::Error;
use crate::parallel::Threads;
use crate::partition::{Score, key, no_nan, sortable};
use crate::resample::{Bootstrap, Interval, Statistic};
use crate::sort::Sorted;

/// Ranks from 1; equal scores share the mean of their ranks. 16 bytes a score beside the result.
///
/// # Errors
/// NaN, more than 2^32 - 1 scores.
pub fn average_ranks<T: Score>(scores: &[T], threads: &Threads) -> Result<Vec<f64>, Error> {
    sortable("score", scores, threads)?;
    let mut ranks = vec![0.0; scores.len()];
    let mut before = 0;
    for tie in by_value(scores, threads).runs(threads) {
        let rank = before as f64 + (tie.len() + 1) as f64 / 2.0;
        for &id in tie {
            ranks[id as usize] = rank;
        }
        before += tie.len();
    }
    Ok(ranks)
}

/// Fewer than 2^32 values, without NaN.
fn by_value<T: Score>(values: &[T], threads: &Threads) -> Sorted {
    Sorted::new(values.len(), &|i| key(values[i]), threads)
}

/// How many examples a run holds, each as often as it was drawn.
fn total(run: &[u32], counts: &[u32]) -> i64 {
    run.iter().map(|&id| i64::from(counts[id as usize])).sum()
}

fn paired<X: Score, Y: Score>(x: &[X], y: &[Y], threads: &Threads) -> Result<(), Error> {
    Error::check_length("y", y.len(), x.len(), "x")?;
    enough(x.len())?;
    no_nan("x", x, threads)?;
    no_nan("y", y, threads)
}

fn enough(n: usize) -> Result<(), Error> {
    if n < 2 || u32::try_from(n).is_err() { Err(Error::Pairs { n }) } else { Ok(()) }
}

/// a / sqrt(b c); NaN where x or y is constant.
fn normalised(a: f64, b: f64, c: f64) -> f64 {
    if b > 0.0 && c > 0.0 { (a / (b * c).sqrt()).clamp(-1.0, 1.0) } else { f64::NAN }
}

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
fn centre(sorted: &Sorted, count: impl Fn(u32) -> u32, ranks: &mut Vec<i64>, threads: &Threads) -> i128 {
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

/// Pearson's linear correlation. O(n) for a resample.
#[derive(Debug)]
pub struct Pearson {
    x: Vec<f64>,
    y: Vec<f64>,
}

impl Pearson {
    /// Values are scaled to at most 1, so that no square overflows.
    ///
    /// # Errors
    /// As [`Spearman::new`], and infinite values.
    pub fn new<X: Score, Y: Score>(x: &[X], y: &[Y], threads: &Threads) -> Result<Self, Error> {
        paired(x, y, threads)?;
        Ok(Self { x: scaled("x", x)?, y: scaled("y", y)? })
    }
}

fn scaled<T: Score>(name: &'static str, values: &[T]) -> Result<Vec<f64>, Error> {
    let values = || values.iter().map(|&v| v.into());
    if let Some(first) = values().position(f64::is_infinite) {
        return Err(Error::Infinite { name, first });
    }
    let largest = values().fold(0.0, |m: f64, v| m.max(v.abs()));
    let scale = if largest > 0.0 { largest } else { 1.0 };
    Ok(values().map(|v| v / scale).collect())
}

/// The mean over draws; None where all drawn values are equal.
#[allow(clippy::float_cmp)] // the same value drawn again
fn mean_unless_constant(values: &[f64], counts: &[u32]) -> Option<f64> {
    let drawn = || values.iter().zip(counts).filter(|&(_, &c)| c > 0);
    let (first, _) = drawn().next()?;
    drawn().any(|(v, _)| v != first).then(|| {
        let sum: f64 = values.iter().zip(counts).map(|(v, &c)| v * f64::from(c)).sum();
        sum / values.len() as f64
    })
}

impl Statistic for Pearson {
    type Scratch = ();

    fn n(&self) -> usize {
        self.x.len()
    }

    fn of(&self, counts: &[u32], (): &mut (), _: &Threads) -> f64 {
        let means = (mean_unless_constant(&self.x, counts), mean_unless_constant(&self.y, counts));
        let (Some(mean_x), Some(mean_y)) = means else { return f64::NAN };
        let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
        for ((x, y), &c) in self.x.iter().zip(&self.y).zip(counts) {
            let (c, x, y) = (f64::from(c), x - mean_x, y - mean_y);
            xx += c * x * x;
            yy += c * y * y;
            xy += c * x * y;
        }
        normalised(xy, xx, yy)
    }
}

/// Kendall's tau-b: (concordant - discordant pairs) over the pairs not tied in x and in y. O(n log n) for a resample.
#[derive(Debug)]
pub struct Kendall {
    x: Sorted,
    y: Sorted,
    y_rank: Vec<u32>, // of each example: the number of distinct lower y
}

impl Kendall {
    /// Sorts x and y once.
    ///
    /// # Errors
    /// As [`Spearman::new`].
    #[allow(clippy::cast_possible_truncation)] // `paired` holds n below 2^32
    pub fn new<X: Score, Y: Score>(x: &[X], y: &[Y], threads: &Threads) -> Result<Self, Error> {
        paired(x, y, threads)?;
        let (x, y) = (by_value(x, threads), by_value(y, threads));
        let mut y_rank = vec![0; y.ids.len()];
        for (rank, run) in y.runs(threads).enumerate() {
            for &id in run {
                y_rank[id as usize] = rank as u32;
            }
        }
        Ok(Self { x, y, y_rank })
    }

    /// Pairs tied in one variable.
    fn tied(ties: &Sorted, counts: &[u32], threads: &Threads) -> i64 {
        ties.runs(threads).map(|run| total(run, counts)).map(|t| t * (t - 1) / 2).sum()
    }
}

impl Statistic for Kendall {
    type Scratch = Vec<i64>; // Fenwick tree over y: how many examples with lower x have each y

    fn n(&self) -> usize {
        self.y_rank.len()
    }

    #[allow(clippy::cast_possible_wrap)] // n is below 2^32
    fn of(&self, counts: &[u32], tree: &mut Vec<i64>, threads: &Threads) -> f64 {
        tree.clear();
        tree.resize(self.y.ends.len() + 1, 0);
        let (mut seen, mut excess) = (0, 0);
        for run in self.x.runs(threads) {
            for &id in run.iter().filter(|&&id| counts[id as usize] > 0) {
                let y = self.y_rank[id as usize] as usize;
                let (lower, not_higher) = (prefix(tree, y), prefix(tree, y + 1));
                excess += i64::from(counts[id as usize]) * (lower - (seen - not_higher));
            }
            for &id in run {
                add(tree, self.y_rank[id as usize] as usize, i64::from(counts[id as usize]));
            }
            seen += total(run, counts);
        }
        let n = self.n() as i64;
        let pairs = n * (n - 1) / 2;
        let free = |ties| (pairs - Self::tied(ties, counts, threads)) as f64;
        normalised(excess as f64, free(&self.x), free(&self.y))
    }
}

/// The sum of the first `end` entries of a Fenwick tree.
fn prefix(tree: &[i64], mut end: usize) -> i64 {
    let mut sum = 0;
    while end > 0 {
        sum += tree[end];
        end &= end - 1;
    }
    sum
}

fn add(tree: &mut [i64], at: usize, count: i64) {
    let mut i = at + 1;
    while i < tree.len() {
        tree[i] += count;
        i += i & i.wrapping_neg();
    }
}
