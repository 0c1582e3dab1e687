//! The forgetting score of the `NeurIPS` 2023 unlearning challenge (Triantafillou et al. 2024), example by example.

use super::{Phi, WIDTH};
use crate::error::Error;
use crate::parallel::Threads;
use crate::partition::key;
use crate::resample::{Bootstrap, Interval, Statistics};

/// How well the best threshold on φ tells models that unlearned an example from models that never saw it.
///
/// An attack calls a model "unlearned" if its φ is above a threshold, or not above it. With its error rates FPR and FNR
/// the score is the largest of `ln((1 - δ - FPR) / FNR)` and `ln((1 - δ - FNR) / FPR)` over all attacks, and at least 0.
/// An attack that never errs gives infinity. One that errs in one way only is left out: from so few models a rate of 0
/// says nothing about its size.
///
/// # Errors
/// Shapes, a φ that is not finite, no models on a side.
pub fn epsilon(unlearned: &Phi<'_>, oracle: &Phi<'_>, delta: f64, threads: &Threads) -> Result<Vec<f64>, Error> {
    check(unlearned, oracle)?;
    let blocks = threads.map_chunks(unlearned.n, WIDTH, |examples| {
        let columns = |phi: &Phi<'_>| columns(phi, examples.clone()).ok_or_else(|| phi.refused());
        let (unlearned_keys, oracle_keys) = (columns(unlearned)?, columns(oracle)?);
        let pairs = unlearned_keys.chunks(unlearned.models).zip(oracle_keys.chunks(oracle.models));
        Ok(pairs.map(|(u, o)| of_sorted(u, o, delta)).collect::<Vec<_>>())
    });
    Ok(blocks.into_iter().collect::<Result<Vec<_>, Error>>()?.concat())
}

/// [`epsilon`] with the bootstrap interval of each example, over the models of both sides together.
///
/// # Errors
/// As [`epsilon`]; more resamples than fit into memory.
pub fn intervals(
    unlearned: &Phi<'_>,
    oracle: &Phi<'_>,
    delta: f64,
    bootstrap: &Bootstrap,
    threads: &Threads,
) -> Result<Vec<Interval>, Error> {
    check(unlearned, oracle)?;
    let width = (RESAMPLED / bootstrap.resamples.max(1)).clamp(1, WIDTH);
    let blocks = threads.map_chunks(unlearned.n, width, |examples| {
        let mut x = [0.0; WIDTH];
        let mut ascending = vec![Vec::with_capacity(unlearned.models + oracle.models); examples.len()];
        for (side, phi) in [unlearned, oracle].into_iter().enumerate() {
            for model in 0..phi.models {
                if !phi.read(model, &examples, &mut x) {
                    return Err(phi.refused());
                }
                let id = side * unlearned.models + model;
                for (models, x) in ascending.iter_mut().zip(x) {
                    models.push((key(x), id));
                }
            }
        }
        for models in &mut ascending {
            models.sort_unstable();
        }
        bootstrap.of_each(&Block { ascending, unlearned: unlearned.models, delta }, threads)
    });
    Ok(blocks.into_iter().collect::<Result<Vec<_>, Error>>()?.concat())
}

/// Values of resamples that a thread holds.
const RESAMPLED: usize = 1 << 22;

fn check(unlearned: &Phi<'_>, oracle: &Phi<'_>) -> Result<(), Error> {
    unlearned.same_n(oracle)?;
    if unlearned.models == 0 || oracle.models == 0 {
        return Err(Error::FewModels { least: 1, unlearned: unlearned.models, oracle: oracle.models });
    }
    Ok(())
}

/// Some examples, each with the keys of φ and the numbers of all models, in that order; the unlearned ones come first.
struct Block {
    ascending: Vec<Vec<(u64, usize)>>,
    unlearned: usize,
    delta: f64,
}

impl Statistics for Block {
    type Scratch = ();

    fn n(&self) -> usize {
        self.ascending.first().map_or(0, Vec::len)
    }

    fn width(&self) -> usize {
        self.ascending.len()
    }

    fn write(&self, counts: &[u32], (): &mut (), _: &Threads, out: &mut [f64]) {
        let total = |counts: &[u32]| counts.iter().map(|&c| c as usize).sum();
        let all = [total(&counts[..self.unlearned]), total(&counts[self.unlearned..])];
        for (models, out) in self.ascending.iter().zip(out) {
            let runs = models.chunk_by(|a, b| a.0 == b.0).map(|run| {
                let mut sides = [0, 0];
                for &(_, id) in run {
                    sides[usize::from(id >= self.unlearned)] += counts[id] as usize;
                }
                sides
            });
            *out = best_attack(runs, all, self.delta);
        }
    }
}

/// The φ of each example over the models, sorted, as integers of the same order.
fn columns(phi: &Phi<'_>, examples: std::ops::Range<usize>) -> Option<Vec<u64>> {
    let mut keys = vec![0; examples.len() * phi.models];
    let mut x = [0.0; WIDTH];
    for model in 0..phi.models {
        if !phi.read(model, &examples, &mut x) {
            return None;
        }
        for (k, x) in x[..examples.len()].iter().enumerate() {
            keys[k * phi.models + model] = key(*x);
        }
    }
    keys.chunks_mut(phi.models).for_each(<[u64]>::sort_unstable);
    Some(keys)
}

fn of_sorted(unlearned: &[u64], oracle: &[u64], delta: f64) -> f64 {
    let mut at = [0, 0];
    let runs = std::iter::from_fn(|| {
        let threshold = *unlearned.get(at[0]).into_iter().chain(oracle.get(at[1])).min()?;
        let equal = |keys: &[u64]| keys.iter().take_while(|&&x| x == threshold).count();
        let run = [equal(&unlearned[at[0]..]), equal(&oracle[at[1]..])];
        at = [at[0] + run[0], at[1] + run[1]];
        Some(run)
    });
    best_attack(runs, [unlearned.len(), oracle.len()], delta)
}

/// What the best attack proves, given how many of all unlearned and oracle models there are at each φ, ascending. NaN if
/// a side has no models.
fn best_attack(runs: impl Iterator<Item = [usize; 2]>, [all_u, all_o]: [usize; 2], delta: f64) -> f64 {
    if all_u == 0 || all_o == 0 {
        return f64::NAN;
    }
    let rates = |u: usize, o: usize| (u as f64 / all_u as f64, o as f64 / all_o as f64);
    let (mut u, mut o, mut best) = (0, 0, 0.0_f64);
    for [run_u, run_o] in runs {
        u += run_u; // now all that are not above this φ
        o += run_o;
        for (missed, alarms) in [rates(u, all_o - o), rates(all_u - u, o)] {
            best = best.max(of_attack(missed, alarms, delta));
        }
    }
    best
}

/// What one attack proves; NaN if nothing (`f64::max` passes over it).
#[allow(clippy::float_cmp)] // 0 of n is exactly 0
fn of_attack(fnr: f64, fpr: f64, delta: f64) -> f64 {
    if fnr == 0.0 && fpr == 0.0 {
        return f64::INFINITY;
    }
    if fnr == 0.0 || fpr == 0.0 {
        return f64::NAN;
    }
    ((1.0 - delta - fpr) / fnr).ln().max(((1.0 - delta - fnr) / fpr).ln())
}
