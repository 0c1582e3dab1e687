//! Cutting examples into groups by score, and drawing them by seed.
//!
//! Everything here is one idea: examples have a total order, by score and then by id, and are cut at given ranks of it.
//! A cut needs selection only, not a sort, and is the same for any number of threads because the order is total.

use crate::error::Error;
use crate::resample::SplitMix64;
use rayon::prelude::*;

/// A score: f64 or f32, ordered as the exact f64 of the same value.
pub trait Score: Copy + Into<f64> + Sync {}
impl<T: Copy + Into<f64> + Sync> Score for T {}

/// An integer with the order of the scores; -0 and 0 are equal. NaN has no place in it.
pub fn key<T: Into<f64>>(score: T) -> u64 {
    let bits = (score.into() + 0.0).to_bits(); // -0 + 0 is 0
    bits ^ if bits >> 63 == 1 { u64::MAX } else { 1 << 63 }
}

/// Refuses NaN, naming how many there are and the first.
pub fn no_nan<T: Score>(name: &'static str, values: &[T]) -> Result<(), Error> {
    let is_nan = |v: &T| (*v).into().is_nan();
    match values.par_iter().position_first(is_nan) {
        None => Ok(()),
        Some(first) => Err(Error::NotANumber {
            name,
            count: values.iter().filter(|v| is_nan(v)).count(),
            len: values.len(),
            first,
        }),
    }
}

/// The ids in the order of their scores, ties by id.
pub fn argsort<T: Score>(scores: &[T]) -> Result<Vec<usize>, Error> {
    no_nan("score", scores)?;
    Ok(sorted(scores).into_par_iter().map(|(_, id)| id).collect())
}

/// (key, id) of every score, sorted. 16 bytes a score.
pub(crate) fn sorted<T: Score>(scores: &[T]) -> Vec<(u64, usize)> {
    let mut pairs: Vec<_> = scores.par_iter().enumerate().map(|(id, &s)| (key(s), id)).collect();
    pairs.par_sort_unstable();
    pairs
}

/// Quantile strata: 0 for the lowest n/k scores, k-1 for the highest, ties by id. Where k does not divide n, each of
/// the last n mod k strata has one example more.
///
/// O(n) time; beside the result, 16 bytes for each example whose score shares its leading 16 bits with a cut.
pub fn strata<T: Score>(scores: &[T], k: usize) -> Result<Vec<i64>, Error> {
    no_nan("score", scores)?;
    Ok(cut(scores.len(), &|i| key(scores[i]), &starts(scores.len(), k)?))
}

/// Quantile strata within each group: as [`strata`], for the examples of each group alone. `group` in 0..`groups`.
pub fn strata_within<T: Score>(scores: &[T], group: &[usize], groups: usize, k: usize) -> Result<Vec<i64>, Error> {
    no_nan("score", scores)?;
    let mut members = vec![Vec::new(); groups];
    for (id, &g) in group.iter().enumerate() {
        members[g].push(id);
    }
    let parts: Vec<Vec<i64>> = members
        .par_iter()
        .map(|ids| Ok(cut(ids.len(), &|j| key(scores[ids[j]]), &starts(ids.len(), k)?)))
        .collect::<Result<_, Error>>()?;
    let mut result = vec![0; scores.len()];
    for (&id, &part) in members.iter().flatten().zip(parts.iter().flatten()) {
        result[id] = part;
    }
    Ok(result)
}

/// The ids of the `size` lowest scores, ascending.
pub fn lowest<T: Score>(scores: &[T], size: usize) -> Result<Vec<usize>, Error> {
    no_nan("score", scores)?;
    first(scores.len(), &|i| key(scores[i]), size)
}

/// The ids of the `size` highest scores, ascending: the last in the order by score and id, so that they are never among
/// the lowest where both fit.
pub fn highest<T: Score>(scores: &[T], size: usize) -> Result<Vec<usize>, Error> {
    no_nan("score", scores)?;
    let n = scores.len();
    let rest = n.checked_sub(size).ok_or(Error::TooFew { wanted: size, n })?;
    Ok(in_part(&cut(n, &|i| key(scores[i]), &[rest]), 1))
}

/// The ids of the `size` scores nearest to `value`, ascending; ties by id.
pub fn nearest<T: Score>(scores: &[T], value: f64, size: usize) -> Result<Vec<usize>, Error> {
    no_nan("score", scores)?;
    let distance = |s: T| if s.into() == value { 0.0 } else { (s.into() - value).abs() }; // inf - inf is 0 here
    first(scores.len(), &|i| key(distance(scores[i])), size)
}

/// `size` of the ids 0..n, drawn without replacement, ascending: those with the smallest of n random numbers.
pub fn sample(n: usize, size: usize, seed: u64) -> Result<Vec<usize>, Error> {
    let random = SplitMix64::new(seed, 0);
    first(n, &|i| random.at(i as u64), size)
}

/// Random strata of equal sizes: [`strata`] of random scores.
pub fn random_strata(n: usize, k: usize, seed: u64) -> Result<Vec<i64>, Error> {
    let random = SplitMix64::new(seed, 0);
    Ok(cut(n, &|i| random.at(i as u64), &starts(n, k)?))
}

fn first(n: usize, key: &(impl Fn(usize) -> u64 + Sync), size: usize) -> Result<Vec<usize>, Error> {
    if size > n {
        return Err(Error::TooFew { wanted: size, n });
    }
    Ok(in_part(&cut(n, key, &[size]), 0))
}

fn in_part(parts: &[i64], part: i64) -> Vec<usize> {
    (0..parts.len()).into_par_iter().filter(|&i| parts[i] == part).collect()
}

/// The ranks where strata 1..k begin.
fn starts(n: usize, k: usize) -> Result<Vec<usize>, Error> {
    if k == 0 || k > n {
        return Err(Error::Strata { n, k });
    }
    let (size, larger) = (n / k, n % k);
    Ok((1..k).map(|j| j * size + (j + larger).saturating_sub(k)).collect())
}

/// Cuts the examples 0..n, ordered by (key, id), at the given ascending ranks: the number of cuts at or below each example.
fn cut(n: usize, key: &(impl Fn(usize) -> u64 + Sync), ranks: &[usize]) -> Vec<i64> {
    let cuts = at_ranks(n, key, ranks);
    (0..n).into_par_iter().map(|i| part(&cuts, (key(i), i))).collect()
}

#[allow(clippy::cast_possible_wrap)] // a length
fn part(cuts: &[(u64, usize)], example: (u64, usize)) -> i64 {
    cuts.partition_point(|&first| first <= example) as i64
}

const DIGIT: u32 = 16; // leading bits of a key that the histogram tells apart
const CHUNK: usize = 1 << 18; // examples of one histogram: 2 MB of scores to 512 kB of counts

/// (key, id) of the example at each of the ascending ranks of the order by (key, id); ranks past the end are left out.
///
/// A histogram of the keys' leading digits tells which digits hold a rank; only examples with these are sorted.
fn at_ranks(n: usize, key: &(impl Fn(usize) -> u64 + Sync), ranks: &[usize]) -> Vec<(u64, usize)> {
    let digit = |i: usize| (key(i) >> (64 - DIGIT)) as usize;
    let histogram = histogram(n, &digit);
    let mut wanted = vec![false; 1 << DIGIT];
    let mut places = Vec::new(); // of each rank among the examples with wanted digits
    let (mut passed, mut skipped) = (0, 0);
    let mut ranks = ranks.iter().copied().peekable();
    for (d, &count) in histogram.iter().enumerate() {
        while let Some(rank) = ranks.next_if(|&rank| rank < passed + count) {
            wanted[d] = true;
            places.push(rank - skipped);
        }
        passed += count;
        skipped += if wanted[d] { 0 } else { count };
    }
    let mut candidates: Vec<_> = (0..n).into_par_iter().filter(|&i| wanted[digit(i)]).map(|i| (key(i), i)).collect();
    candidates.par_sort_unstable();
    places.into_iter().map(|place| candidates[place]).collect()
}

/// How often each leading digit occurs.
fn histogram(n: usize, digit: &(impl Fn(usize) -> usize + Sync)) -> Vec<usize> {
    let count = |mut counts: Vec<usize>, chunk: usize| {
        for i in chunk * CHUNK..n.min((chunk + 1) * CHUNK) {
            counts[digit(i)] += 1;
        }
        counts
    };
    let zeros = || vec![0; 1 << DIGIT];
    let add = |a: Vec<usize>, b: Vec<usize>| a.iter().zip(&b).map(|(a, b)| a + b).collect();
    (0..n.div_ceil(CHUNK)).into_par_iter().fold(zeros, count).reduce(zeros, add)
}
