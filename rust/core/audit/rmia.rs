//! RMIA (Zarifzadeh et al. 2024) by one sort and a search in a few of its cells for each example.

use std::ops::RangeInclusive;

use crate::error::Error;
use crate::parallel::Threads;
use crate::partition::{Score, key};

/// Examples of one piece of work.
const CHUNK: usize = 1024;

/// Probabilities of the true label.
#[derive(Debug, Clone, Copy)]
pub struct Probabilities<'a, T, R> {
    /// By the target model; in [0, 1].
    pub target: &'a [T],
    /// Mean over the reference models; in (0, 1].
    pub reference: &'a [R],
}

impl<T: Score, R: Score> Probabilities<'_, T, R> {
    /// LR = target / p, where p is the reference, or with the offline `a` of models that were not trained on the
    /// example, p = ((1 + a) reference + 1 - a) / 2.
    fn ratios(&self, names: [&'static str; 2], a: Option<f64>) -> Result<Vec<f64>, Error> {
        Error::check_length(names[1], self.reference.len(), self.target.len(), names[0])?;
        in_range(names[0], self.target, 0.0..=1.0, "[0, 1]")?;
        in_range(names[1], self.reference, f64::MIN_POSITIVE..=1.0, "(0, 1]")?;
        let p = |out: f64| a.map_or(out, |a| f64::midpoint((1.0 + a) * out, 1.0 - a));
        Ok(self.target.iter().zip(self.reference).map(|(&target, &out)| target.into() / p(out.into())).collect())
    }
}

fn in_range<T: Score>(
    name: &'static str,
    values: &[T],
    range: RangeInclusive<f64>,
    expected: &'static str,
) -> Result<(), Error> {
    let inside = |v: &T| range.contains(&(*v).into());
    if values.iter().fold(true, |all, v| all & inside(v)) {
        return Ok(());
    }
    let id = values.iter().position(|v| !inside(v)).unwrap_or_default();
    Err(Error::NotProbability { name, expected, value: values[id].into(), id })
}

/// RMIA of each example: the share of the population z with LR(x) / LR(z) >= `gamma`, which is above 0.
///
/// For a fixed x that quotient, rounded as it is, never rises with LR(z): the count is where it falls below gamma in the
/// sorted population, the same as over all pairs. O((n + N) log N) time for N of the population, O(n + N) memory.
///
/// # Errors
/// Different lengths, no population, values that are no probabilities.
pub fn rmia(
    examples: Probabilities<'_, impl Score, impl Score>,
    population: Probabilities<'_, impl Score, impl Score>,
    gamma: f64,
    a: Option<f64>,
    threads: &Threads,
) -> Result<Vec<f64>, Error> {
    let mut scores = examples.ratios(["target", "reference"], a)?;
    let mut population = population.ratios(["population_target", "population_reference"], a)?;
    if population.is_empty() {
        return Err(Error::NoPopulation);
    }
    population.sort_unstable_by_key(|&z| key(z));
    let scaled = Cells::new(population.iter().map(|z| z * gamma).collect());
    threads.for_each_chunk(&mut scores, CHUNK, |_, scores| {
        for x in scores {
            *x = count(*x, gamma, &population, &scaled) as f64 / population.len() as f64;
        }
    });
    Ok(scores)
}

/// How many of the sorted z have x / z >= gamma. `scaled`, gamma z, finds where without a division in each step; it
/// rounds otherwise, so the quotients on both sides of that place have the last word.
fn count(x: f64, gamma: f64, population: &[f64], scaled: &Cells) -> usize {
    let inside = |z: &f64| x / z >= gamma; // 0 / 0 is not
    let guess = scaled.not_above(x);
    if population[..guess].last().is_none_or(inside) && !population[guess..].first().is_some_and(inside) {
        return guess;
    }
    population.partition_point(inside)
}

/// Sorted numbers and a table of where to look for another: their range of keys is cut into at most as many cells of
/// one width as there are numbers.
struct Cells {
    sorted: Vec<f64>,
    first: u64,         // the key of the lowest
    shift: u32,         // bits of a key that do not tell cells apart
    starts: Vec<usize>, // of each cell, and the end
}

impl Cells {
    /// At least one number.
    fn new(sorted: Vec<f64>) -> Self {
        let [first, last] = [0, sorted.len() - 1].map(|i| key(sorted[i]));
        let shift = u64::BITS - ((last - first) / sorted.len() as u64).leading_zeros();
        let mut cells = Self { starts: vec![0; sorted.len() + 2], sorted, first, shift };
        for &z in &cells.sorted {
            let cell = cells.cell(z);
            cells.starts[cell + 1] += 1;
        }
        for cell in 1..cells.starts.len() {
            cells.starts[cell] += cells.starts[cell - 1];
        }
        cells
    }

    /// Of a number not below the lowest; the last for one above the highest.
    #[allow(clippy::cast_possible_truncation)] // the smaller of two lengths
    fn cell(&self, x: f64) -> usize {
        ((key(x) - self.first) >> self.shift).min(self.sorted.len() as u64) as usize
    }

    /// How many are not above `x`.
    fn not_above(&self, x: f64) -> usize {
        if key(x) < self.first {
            return 0;
        }
        let cell = self.cell(x);
        let (start, end) = (self.starts[cell], self.starts[cell + 1]);
        start + self.sorted[start..end].partition_point(|&z| z <= x)
    }
}
