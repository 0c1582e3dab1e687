//! Cutting examples into groups by score, and drawing them by seed.
//!
//! Everything here is one idea: examples have a total order, by score and then by id, and are cut at given ranks of it.
//! A cut needs selection only, not a sort, and is the same for any number of threads because the order is total.

use std::hint::black_box;

use crate::error::Error;
use crate::parallel::Threads;
use crate::resample::SplitMix64;
use crate::sort;

mod select;

use select::{Order, Prefix};

/// A score: f64 or f32, ordered as the exact f64 of the same value.
pub trait Score: Copy + Into<f64> + Sync {}
impl<T: Copy + Into<f64> + Sync> Score for T {}

/// An integer with the order of the scores; -0 and 0 are equal. NaN has no place in it. Numbers that differ in their
/// high bits only have keys that do: the magnitude is taken from the middle for a negative number, and added for another.
#[allow(clippy::cast_possible_wrap, clippy::cast_sign_loss)] // the bits, as they are
pub fn key<T: Into<f64>>(score: T) -> u64 {
    let bits = score.into().to_bits() as i64;
    (if bits < 0 { i64::MIN.wrapping_sub(bits) } else { bits }) as u64 ^ 1 << 63
}

/// Refuses NaN, naming how many there are and the first.
pub(crate) fn no_nan<T: Score>(name: &'static str, values: &[T], threads: &Threads) -> Result<(), Error> {
    let is_nan = |v: &T| (*v).into().is_nan();
    let any = threads.map_chunks(values.len(), CHUNK, |ids| values[ids].iter().fold(false, |any, v| any | is_nan(v)));
    if !any.contains(&true) {
        return Ok(());
    }
    let count = values.iter().filter(|v| is_nan(v)).count();
    let first = values.iter().position(is_nan).unwrap_or_default();
    Err(Error::NotANumber { name, count, len: values.len(), first })
}

/// The ids in the order of their scores, ties by id. 16 bytes a score, the result included.
///
/// # Errors
/// NaN, more than 2^32 - 1 scores.
pub fn argsort<T: Score>(scores: &[T], threads: &Threads) -> Result<Vec<usize>, Error> {
    sortable("score", scores, threads)?;
    Ok(sort::order(scores.len(), &|i| key(scores[i]), threads))
}

/// Refuses NaN, and more scores than can be sorted.
pub(crate) fn sortable<T: Score>(name: &'static str, scores: &[T], threads: &Threads) -> Result<(), Error> {
    countable(name, scores.len())?;
    no_nan(name, scores, threads)
}

/// Refuses more values than 32 bits can number.
pub(crate) fn countable(name: &'static str, n: usize) -> Result<(), Error> {
    u32::try_from(n).map_or(Err(Error::TooMany { name, n }), |_| Ok(()))
}

/// Quantile strata: 0 for the lowest n/k scores, k-1 for the highest, ties by id. Where k does not divide n, each of
/// the last n mod k strata has one example more.
///
/// O(n) time for up to 17 strata and n / 16 pairs of 16 bytes beside the result; for more strata, a sort of n pairs.
///
/// # Errors
/// NaN; k outside 1..=n.
pub fn strata<T: Score>(scores: &[T], k: usize, threads: &Threads) -> Result<Vec<i64>, Error> {
    no_nan("score", scores, threads)?;
    Ok(cut(scores.len(), &|i| key(scores[i]), &starts(scores.len(), k)?, threads))
}

/// [`strata`] of each group alone; `group` says, in 0..`groups`, where an example belongs.
///
/// # Errors
/// NaN; another length of `group`, or one out of range; k larger than a group.
pub fn strata_within<T: Score>(
    scores: &[T],
    group: &[i64],
    groups: usize,
    k: usize,
    threads: &Threads,
) -> Result<Vec<i64>, Error> {
    Error::check_length("by", group.len(), scores.len(), "score")?;
    no_nan("score", scores, threads)?;
    let mut members = vec![Vec::new(); groups];
    for (id, &g) in group.iter().enumerate() {
        let of_group = usize::try_from(g).ok().and_then(|g| members.get_mut(g));
        of_group.ok_or(Error::Group { group: g, groups, id })?.push(id);
    }
    let parts = threads.map(groups, |g| {
        let ids = &members[g];
        Ok(cut(ids.len(), &|j| key(scores[ids[j]]), &starts(ids.len(), k)?, threads))
    });
    let mut result = vec![0; scores.len()];
    for (ids, parts) in members.iter().zip(parts) {
        ids.iter().zip(parts?).for_each(|(&id, part)| result[id] = part);
    }
    Ok(result)
}

/// The ids of the `size` lowest scores, ascending; ties by id.
///
/// # Errors
/// NaN; more than there are.
pub fn lowest<T: Score>(scores: &[T], size: usize, threads: &Threads) -> Result<Vec<usize>, Error> {
    no_nan("score", scores, threads)?;
    first(scores.len(), &|i| key(scores[i]), size, threads)
}

/// The ids of the `size` highest scores, ascending: the last in the order by score and id, so that none of them is
/// among the lowest if both fit.
///
/// # Errors
/// NaN; more than there are.
pub fn highest<T: Score>(scores: &[T], size: usize, threads: &Threads) -> Result<Vec<usize>, Error> {
    no_nan("score", scores, threads)?;
    let n = scores.len();
    let rest = n.checked_sub(size).ok_or(Error::TooFew { wanted: size, n })?;
    Ok(on_side(n, &|i| key(scores[i]), rest, false, threads))
}

/// The ids of the `size` scores nearest to `value`, ascending; ties by id.
///
/// # Errors
/// NaN; more than there are.
pub fn nearest<T: Score>(scores: &[T], value: f64, size: usize, threads: &Threads) -> Result<Vec<usize>, Error> {
    no_nan("score", scores, threads)?;
    no_nan("value", &[value], threads)?;
    let distance = |s: f64| if s.to_bits() == value.to_bits() { 0.0 } else { (s - value).abs() }; // inf - inf is NaN
    first(scores.len(), &|i| key(distance(scores[i].into())), size, threads)
}

/// `size` of the ids 0..n, drawn without replacement, ascending: those with the smallest of n random numbers.
///
/// # Errors
/// More than there are; an n that memory cannot hold.
pub fn sample(n: usize, size: usize, seed: u64, threads: &Threads) -> Result<Vec<usize>, Error> {
    check_memory(n)?;
    let random = SplitMix64::new(seed, 0);
    first(n, &|i| random.at(i as u64), size, threads)
}

/// Random strata of equal sizes: [`strata`] of n random numbers.
///
/// # Errors
/// k outside 1..=n; an n that memory cannot hold.
pub fn random_strata(n: usize, k: usize, seed: u64, threads: &Threads) -> Result<Vec<i64>, Error> {
    check_memory(n)?;
    let random = SplitMix64::new(seed, 0);
    Ok(cut(n, &|i| random.at(i as u64), &starts(n, k)?, threads))
}

/// Refuses a number of examples, given without any data, whose result could not be allocated.
fn check_memory(n: usize) -> Result<(), Error> {
    let mut result = Vec::<i64>::new();
    result.try_reserve_exact(n).map_err(|_| Error::TooLarge { name: "n", shape: (n, 1) })?;
    black_box(result); // or the compiler would leave it out
    Ok(())
}

fn first(n: usize, key: &(impl Fn(usize) -> u64 + Sync), size: usize, threads: &Threads) -> Result<Vec<usize>, Error> {
    if size > n {
        return Err(Error::TooFew { wanted: size, n });
    }
    Ok(on_side(n, key, size, true, threads))
}

/// The ids of the examples below a rank of the order by (key, id), or of all others, ascending.
fn on_side(n: usize, key: &(impl Fn(usize) -> u64 + Sync), rank: usize, below: bool, threads: &Threads) -> Vec<usize> {
    let cut = Order { n, key, threads }.at_ranks(Prefix::ALL, n, &[rank]).pop();
    let wanted = |&i: &usize| cut.is_none_or(|first| (key(i), i) < first) == below;
    threads.map_chunks(n, CHUNK, |ids| ids.filter(wanted).collect::<Vec<_>>()).concat()
}

/// The ranks where strata 1..k begin.
fn starts(n: usize, k: usize) -> Result<Vec<usize>, Error> {
    if k == 0 || k > n {
        return Err(Error::Strata { n, k });
    }
    let (size, larger) = (n / k, n % k);
    Ok((1..k).map(|j| j * size + (j + larger).saturating_sub(k)).collect())
}

/// Cuts the examples 0..n, ordered by (key, id), at ascending ranks: for each example, how many cuts are not above it.
fn cut(n: usize, key: &(impl Fn(usize) -> u64 + Sync), ranks: &[usize], threads: &Threads) -> Vec<i64> {
    let cuts = Order { n, key, threads }.at_ranks(Prefix::ALL, n, ranks);
    let mut parts = vec![0; n];
    threads.for_each_chunk(&mut parts, CHUNK, |start, chunk| {
        for (part, i) in chunk.iter_mut().zip(start..) {
            *part = count_not_above(&cuts, (key(i), i));
        }
    });
    parts
}

#[allow(clippy::cast_possible_wrap)] // a length
fn count_not_above(cuts: &[(u64, usize)], example: (u64, usize)) -> i64 {
    cuts.partition_point(|&first| first <= example) as i64
}

/// Examples that one thread takes at a time, or that are sorted at once.
const CHUNK: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_have_32_bits() {
        assert!(countable("score", u32::MAX as usize).is_ok());
        let message = countable("score", 1 << 32).unwrap_err().to_string();
        assert_eq!(message, Error::TooMany { name: "score", n: 4_294_967_296 }.to_string());
        assert!(message.starts_with("score: ") && message.contains("4294967296"), "{message}");
    }
}
