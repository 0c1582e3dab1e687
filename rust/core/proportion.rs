//! Exact intervals of shares (Clopper & Pearson 1934): they hold their level for any n.

use crate::error::Error;
use crate::parallel::Threads;

/// Shares of one piece of work.
const CHUNK: usize = 64;

/// Lower and upper end for each number of successes in n trials: the p with P[X >= successes] = (1 - level) / 2, and
/// that with P[X <= successes] = (1 - level) / 2. 0 and 1 where there is no such p. O(n) memory, about O(√n) time for each
/// number that is not there twice.
///
/// # Errors
/// More successes than trials, fewer than 0, no trials, or more than fit into memory.
pub fn clopper_pearson(
    successes: &[i64],
    n: usize,
    level: f64,
    threads: &Threads,
) -> Result<(Vec<f64>, Vec<f64>), Error> {
    let known = |&k: &i64| usize::try_from(k).ok().filter(|&k| n > 0 && k <= n).ok_or(Error::Successes { got: k, n });
    let successes = successes.iter().map(known).collect::<Result<Vec<_>, _>>()?;
    let (tail, ln_choose) = ((1.0 - level) / 2.0, ln_choose(n, threads)?);
    let mut wanted: Vec<usize> = successes.iter().flat_map(|&k| [k, n - k]).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let found = threads.map_chunks(wanted.len(), CHUNK, |part| {
        wanted[part].iter().map(|&k| lower(k, n, tail, &ln_choose)).collect::<Vec<_>>()
    });
    let found = found.concat();
    let lower = |k: usize| wanted.binary_search(&k).map_or(f64::NAN, |at| found[at]);
    Ok(successes.into_iter().map(|k| (lower(k), 1.0 - lower(n - k))).unzip())
}

/// The logarithm of n over k, for k from 0 to n.
fn ln_choose(n: usize, threads: &Threads) -> Result<Vec<f64>, Error> {
    let mut table = Vec::new();
    table.try_reserve_exact(n.saturating_add(1)).map_err(|_| Error::Memory { name: "n", n })?;
    table.push(0.0);
    let mut sum = 0.0;
    for k in 1..=n {
        if k % CHUNK == 0 {
            threads.pause();
        }
        sum += ((n - k + 1) as f64 / k as f64).ln();
        table.push(sum);
    }
    Ok(table)
}

/// The p with P[X >= k] = `tail` < 1/2. ln P is a concave function of ln p of which two derivatives are known, so
/// Halley's method triples the correct digits in each step, whatever it begins with.
fn lower(k: usize, n: usize, tail: f64, ln_choose: &[f64]) -> f64 {
    if k == 0 {
        return 0.0;
    }
    let (hits, misses) = (k as f64, (n - k) as f64);
    let mut ln_p = ln_guess(hits, misses + 1.0, tail);
    for _ in 0..STEPS {
        let p = ln_p.exp();
        let odds = p / (1.0 - p);
        let sum = tail_over_first_term(k, n, odds);
        let excess = ln_choose[k] + hits * ln_p + misses * (-p).ln_1p() + sum.ln() - tail.ln();
        let slope = hits / sum; // d ln P / d ln p = k P[X = k] / P[X >= k]
        let bend = hits - misses * odds - slope; // d ln slope / d ln p
        ln_p -= excess / slope / (1.0 - excess / slope * bend / 2.0).max(0.5);
        if excess.abs() < CLOSE {
            break;
        }
    }
    ln_p.exp()
}

/// The method ends long before, but for rounding.
const STEPS: usize = 64;

/// From an error of as much one step leads to one below 1e-15.
const CLOSE: f64 = 1e-5;

/// The logarithm of about the `tail`-quantile of Beta(a, b): Abramowitz & Stegun 26.2.23 and 26.5.22.
fn ln_guess(a: f64, b: f64, tail: f64) -> f64 {
    let t = (-2.0 * tail.ln()).sqrt();
    let z =
        t - (2.515_517 + t * (0.802_853 + t * 0.010_328)) / (1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308)));
    let (of_a, of_b) = (1.0 / (2.0 * a - 1.0), 1.0 / (2.0 * b - 1.0));
    let (h, l) = (2.0 / (of_a + of_b), (z * z - 3.0) / 6.0);
    let w = z * (h + l).sqrt() / h - (of_b - of_a) * (l + 5.0 / 6.0 - 2.0 / (3.0 * h));
    (a / (a + b * (2.0 * w).exp())).ln()
}

/// P[X >= k] / P[X = k]: a series of falling terms, for p below k / n.
fn tail_over_first_term(k: usize, n: usize, odds: f64) -> f64 {
    let (mut term, mut sum) = (1.0, 1.0);
    for j in k..n {
        term *= (n - j) as f64 / (j + 1) as f64 * odds;
        sum += term;
        if term < sum * f64::EPSILON / 4.0 {
            break;
        }
    }
    sum
}
