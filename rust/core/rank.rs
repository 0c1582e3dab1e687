//! Ranks and rank correlation with ties.
//!
//! Each correlation is a [`Statistic`]: prepared by one sort, then computed from counts, for the data and for resamples alike.

use std::sync::Arc;

use crate::error::Error;
use crate::parallel::Threads;
use crate::partition::{Score, no_nan, sorted};
use crate::resample::{Bootstrap, Interval, Statistic};

/// Ranks from 1; equal scores share the mean of their ranks. 16 bytes a score beside the result.
///
/// # Errors
/// NaN.
pub fn average_ranks<T: Score>(scores: &[T], threads: &Threads) -> Result<Vec<f64>, Error> {
    no_nan("score", scores, threads)?;
    let mut ranks = vec![0.0; scores.len()];
    let mut before = 0;
    for tie in sorted(scores, threads).chunk_by(|a, b| a.0 == b.0) {
        let rank = before as f64 + (tie.len() + 1) as f64 / 2.0;
        for &(_, id) in tie {
            ranks[id] = rank;
        }
        before += tie.len();
    }
    Ok(ranks)
}

/// Values sorted once: ids in order, and where each run of equal values ends.
#[derive(Debug)]
struct Ties {
    ids: Vec<u32>,
    ends: Vec<u32>,
}

impl Ties {
    #[allow(clippy::cast_possible_truncation)] // `paired` holds n below 2^32
    fn new<T: Score>(values: &[T], threads: &Threads) -> Self {
        let sorted = sorted(values, threads);
        let ends = sorted.chunk_by(|a, b| a.0 == b.0).scan(0, |end, tie| {
            *end += tie.len() as u32;
            Some(*end)
        });
        Self { ends: ends.collect(), ids: sorted.iter().map(|&(_, id)| id as u32).collect() }
    }

    /// The ids of each run of equal values, in order.
    fn runs(&self) -> impl Iterator<Item = &[u32]> {
        self.ends.iter().scan(0, |start, &end| {
            let run = &self.ids[*start as usize..end as usize];
            *start = end;
            Some(run)
        })
    }
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
#[derive(Debug)]
pub struct Spearman {
    x: Ties,
    y: Arc<Ties>,
}

/// Spearman's correlation of each column of x with y, with its interval. `x` is row-major, with as many rows as y.
///
/// y is sorted once and each column once; columns are worked on side by side, O(n) memory each.
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
    let one = Threads::one();
    enough(y.len())?;
    no_nan("y", y, threads)?;
    Error::check_length("x", x.len(), y.len().saturating_mul(columns), "y in each column")?;
    let ties = Arc::new(Ties::new(y, threads));
    let intervals = threads.map(columns, |column| {
        let x: Vec<X> = x.iter().skip(column).step_by(columns).copied().collect();
        no_nan("x", &x, &one)?;
        Ok(bootstrap.of(&Spearman { x: Ties::new(&x, &one), y: Arc::clone(&ties) }, threads))
    });
    intervals.into_iter().collect()
}

impl Spearman {
    /// Sorts x and y once.
    ///
    /// # Errors
    /// NaN, different lengths, fewer than 2 pairs or more than 2^32 - 1.
    pub fn new<X: Score, Y: Score>(x: &[X], y: &[Y], threads: &Threads) -> Result<Self, Error> {
        paired(x, y, threads)?;
        Ok(Self { x: Ties::new(x, threads), y: Arc::new(Ties::new(y, threads)) })
    }
}

impl Statistic for Spearman {
    type Scratch = Vec<f64>; // of x: twice the distance of each example's rank from the mean rank, an exact integer

    fn n(&self) -> usize {
        self.x.ids.len()
    }

    #[allow(clippy::cast_possible_wrap)] // n is below 2^32
    fn of(&self, counts: &[u32], centred_x: &mut Vec<f64>) -> f64 {
        let n = self.n() as i64;
        centred_x.resize(self.n(), 0.0);
        let (mut before, mut xx) = (0, 0.0);
        for run in self.x.runs() {
            let t = total(run, counts);
            let rank = (2 * before + t - n) as f64;
            for &id in run {
                centred_x[id as usize] = rank;
            }
            xx += t as f64 * rank * rank;
            before += t;
        }
        let (mut before, mut yy, mut xy) = (0, 0.0, 0.0);
        for run in self.y.runs() {
            let t = total(run, counts);
            let rank = (2 * before + t - n) as f64;
            let x: f64 = run.iter().map(|&id| f64::from(counts[id as usize]) * centred_x[id as usize]).sum();
            yy += t as f64 * rank * rank;
            xy += x * rank;
            before += t;
        }
        normalised(xy, xx, yy)
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

    fn of(&self, counts: &[u32], (): &mut ()) -> f64 {
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
    x: Ties,
    y: Ties,
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
        let (x, y) = (Ties::new(x, threads), Ties::new(y, threads));
        let mut y_rank = vec![0; y.ids.len()];
        for (rank, run) in y.runs().enumerate() {
            for &id in run {
                y_rank[id as usize] = rank as u32;
            }
        }
        Ok(Self { x, y, y_rank })
    }

    /// Pairs tied in one variable.
    fn tied(ties: &Ties, counts: &[u32]) -> i64 {
        ties.runs().map(|run| total(run, counts)).map(|t| t * (t - 1) / 2).sum()
    }
}

impl Statistic for Kendall {
    type Scratch = Vec<i64>; // Fenwick tree over y: how many examples with lower x have each y

    fn n(&self) -> usize {
        self.y_rank.len()
    }

    #[allow(clippy::cast_possible_wrap)] // n is below 2^32
    fn of(&self, counts: &[u32], tree: &mut Vec<i64>) -> f64 {
        tree.clear();
        tree.resize(self.y.ends.len() + 1, 0);
        let (mut seen, mut excess) = (0, 0);
        for run in self.x.runs() {
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
        let free = |ties| (pairs - Self::tied(ties, counts)) as f64;
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
