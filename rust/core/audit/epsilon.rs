//! The forgetting score of the `NeurIPS` 2023 unlearning challenge (Triantafillou et al. 2024), example by example.

use super::{Phi, WIDTH};
use crate::error::Error;
use crate::parallel::Threads;
use crate::partition::key;

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
    unlearned.same_n(oracle)?;
    if unlearned.models == 0 || oracle.models == 0 {
        return Err(Error::FewModels { least: 1, unlearned: unlearned.models, oracle: oracle.models });
    }
    let blocks = threads.map_chunks(unlearned.n, WIDTH, |examples| {
        let columns = |phi: &Phi<'_>| columns(phi, examples.clone()).ok_or_else(|| phi.refused());
        let (unlearned_keys, oracle_keys) = (columns(unlearned)?, columns(oracle)?);
        let pairs = unlearned_keys.chunks(unlearned.models).zip(oracle_keys.chunks(oracle.models));
        Ok(pairs.map(|(u, o)| of_sorted(u, o, delta)).collect::<Vec<_>>())
    });
    Ok(blocks.into_iter().collect::<Result<Vec<_>, Error>>()?.concat())
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
    let (all_u, all_o) = (unlearned.len(), oracle.len());
    let rates = |u: usize, o: usize| (u as f64 / all_u as f64, o as f64 / all_o as f64);
    let (mut u, mut o, mut best) = (0, 0, 0.0_f64);
    while u < all_u && o < all_o {
        let threshold = unlearned[u].min(oracle[o]);
        u += unlearned[u..].iter().take_while(|&&x| x == threshold).count(); // now all that are not above it
        o += oracle[o..].iter().take_while(|&&x| x == threshold).count();
        let (missed, alarms) = rates(u, all_o - o);
        best = best.max(of_attack(missed, alarms, delta));
        let (missed, alarms) = rates(all_u - u, o);
        best = best.max(of_attack(missed, alarms, delta));
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
