//! Kendall's rank correlation.

use super::{by_value, normalised, paired};
use crate::error::Error;
use crate::parallel::Threads;
use crate::partition::Score;
use crate::resample::Statistic;
use crate::sort::Sorted;

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

/// How many examples a run holds, each as often as it was drawn.
fn total(run: &[u32], counts: &[u32]) -> i64 {
    run.iter().map(|&id| i64::from(counts[id as usize])).sum()
}
