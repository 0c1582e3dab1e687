//! Exact intervals of shares (Clopper & Pearson 1934): they hold their level for any n.

use crate::error::Error;
use crate::parallel::Threads;

/// Shares of one piece of work.
const CHUNK: usize = 64;

/// Lower and upper end for each number of successes in n trials: the p with P[X >= successes] = (1 - level) / 2, and
/// that with P[X <= successes] = (1 - level) / 2. 0 and 1 where there is no such p. O(n) memory, about O(√n) time each.
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
    let (tail, ln_choose) = ((1.0 - level) / 2.0, ln_choose(n)?);
    let ends = threads.map_chunks(successes.len(), CHUNK, |part| {
        let of = |&k: &usize| (lower(k, n, tail, &ln_choose), 1.0 - lower(n - k, n, tail, &ln_choose));
        successes[part].iter().map(of).collect::<Vec<_>>()
    });
    Ok(ends.into_iter().flatten().unzip())
}

/// The logarithm of n over k, for k from 0 to n.
fn ln_choose(n: usize) -> Result<Vec<f64>, Error> {
    let mut table = Vec::new();
    table.try_reserve_exact(n.saturating_add(1)).map_err(|_| Error::Memory { name: "n", n })?;
    table.push(0.0);
    table.extend((1..=n).scan(0.0, |sum, k| {
        *sum += ((n - k + 1) as f64 / k as f64).ln();
        Some(*sum)
    }));
    Ok(table)
}

/// The p with P[X >= k] = `tail` < 1/2, by Newton's method on logarithms: ln P is a concave function of ln p, so it
/// converges from anywhere.
fn lower(k: usize, n: usize, tail: f64, ln_choose: &[f64]) -> f64 {
    if k == 0 {
        return 0.0;
    }
    let (hits, misses) = (k as f64, (n - k) as f64);
    let mut ln_p = (hits / (n as f64 + 1.0)).ln();
    for _ in 0..STEPS {
        let p = ln_p.exp();
        let sum = tail_over_first_term(k, n, p / (1.0 - p));
        let excess = ln_choose[k] + hits * ln_p + misses * (-p).ln_1p() + sum.ln() - tail.ln();
        let step = excess * sum / hits; // d ln P / d ln p = k P[X = k] / P[X >= k]
        ln_p -= step;
        if step.abs() <= f64::EPSILON * (1.0 + ln_p.abs()) {
            break;
        }
    }
    ln_p.exp()
}

/// Newton's method ends long before, but for rounding.
const STEPS: usize = 64;

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
