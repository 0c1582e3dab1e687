//! Pearson's linear correlation.

use super::{normalised, paired};
use crate::error::Error;
use crate::parallel::Threads;
use crate::partition::Score;
use crate::resample::Statistic;

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
