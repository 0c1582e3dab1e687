//! Ranks and rank correlation with ties.
//!
//! Each correlation is a [`Statistic`](crate::resample::Statistic): prepared by one sort, then computed from counts, for the
//! data and for resamples alike.

use crate::error::Error;
use crate::parallel::Threads;
use crate::partition::{Score, key, no_nan, sortable};
use crate::sort::Sorted;

mod kendall;
mod pearson;
mod permutation;
mod spearman;

pub use kendall::Kendall;
pub use pearson::Pearson;
pub use permutation::permutation_p;
pub use spearman::{Spearman, spearman_columns};

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
