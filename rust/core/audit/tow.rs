//! Tug of war (Zhao et al. 2024) of one unlearned model and one retrained one, example by example.

use crate::parallel::Threads;
use crate::resample::Statistic;

/// `ToW` = Π (1 - |difference of the accuracies|) over groups of examples: what was forgotten, what was retained, a test set.
///
/// NaN where a group is empty.
#[derive(Debug)]
pub struct Tow<'a> {
    /// Of each example: 1 if only the unlearned model is right, -1 if only the other is, 0 if they agree.
    pub difference: &'a [i8],
    /// Where each group ends; the first begins at 0.
    pub ends: &'a [usize],
}

impl Statistic for Tow<'_> {
    type Scratch = ();

    fn n(&self) -> usize {
        self.difference.len()
    }

    fn of(&self, counts: &[u32], (): &mut (), _: &Threads) -> f64 {
        let starts = std::iter::once(&0).chain(self.ends);
        let factors = starts.zip(self.ends).map(|(&start, &end)| {
            let drawn = self.difference[start..end].iter().zip(&counts[start..end]);
            let (sum, count) = drawn.fold((0_i64, 0_i64), |(sum, count), (&difference, &c)| {
                (sum + i64::from(difference) * i64::from(c), count + i64::from(c))
            });
            1.0 - (sum as f64 / count as f64).abs()
        });
        factors.product()
    }
}
