//! RMIA (Zarifzadeh et al. 2024) by one sort and a binary search for each example.

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
    let scaled: Vec<f64> = population.iter().map(|z| z * gamma).collect();
    threads.for_each_chunk(&mut scores, CHUNK, |_, scores| {
        for x in scores {
            *x = count(*x, gamma, &population, &scaled) as f64 / population.len() as f64;
        }
    });
    Ok(scores)
}

/// How many of the sorted z have x / z >= gamma. `scaled`, gamma z, finds where without a division in each step; it
/// rounds otherwise, so the quotients on both sides of that place have the last word.
fn count(x: f64, gamma: f64, population: &[f64], scaled: &[f64]) -> usize {
    let inside = |z: &f64| x / z >= gamma; // 0 / 0 is not
    let guess = scaled.partition_point(|&z| z <= x);
    if population[..guess].last().is_none_or(inside) && !population[guess..].first().is_some_and(inside) {
        return guess;
    }
    population.partition_point(inside)
}
