//! Cutting examples into groups by score, and drawing them by seed.
//!
//! Everything here is one idea: examples have a total order, by score and then by id, and are cut at given ranks of it.
//! A cut needs selection only, not a sort, and is the same for any number of threads because the order is total.

use crate::error::Error;
use crate::parallel::Threads;
use crate::resample::SplitMix64;

/// A score: f64 or f32, ordered as the exact f64 of the same value.
pub trait Score: Copy + Into<f64> + Sync {}
impl<T: Copy + Into<f64> + Sync> Score for T {}

/// An integer with the order of the scores; -0 and 0 are equal. NaN has no place in it.
pub fn key<T: Into<f64>>(score: T) -> u64 {
    let bits = (score.into() + 0.0).to_bits(); // -0 + 0 is 0
    bits ^ if bits >> 63 == 1 { u64::MAX } else { 1 << 63 }
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

/// The ids in the order of their scores, ties by id. 16 bytes a score beside the result.
///
/// # Errors
/// NaN.
pub fn argsort<T: Score>(scores: &[T], threads: &Threads) -> Result<Vec<usize>, Error> {
    no_nan("score", scores, threads)?;
    Ok(sorted(scores, threads).into_iter().map(|(_, id)| id).collect())
}

/// (key, id) of every score, sorted.
pub(crate) fn sorted<T: Score>(scores: &[T], threads: &Threads) -> Vec<(u64, usize)> {
    let mut pairs: Vec<_> = scores.iter().enumerate().map(|(id, &s)| (key(s), id)).collect();
    threads.sort_by(&mut pairs, Ord::cmp);
    pairs
}

/// Quantile strata: 0 for the lowest n/k scores, k-1 for the highest, ties by id. Where k does not divide n, each of
/// the last n mod k strata has one example more.
///
/// O(n) time; beside the result, 16 bytes for each example whose score shares its leading 16 bits with a cut.
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
        Ok(cut(ids.len(), &|j| key(scores[ids[j]]), &starts(ids.len(), k)?, &Threads::one()))
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
    Ok(in_part(&cut(n, &|i| key(scores[i]), &[rest], threads), 1, threads))
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
/// More than there are.
pub fn sample(n: usize, size: usize, seed: u64, threads: &Threads) -> Result<Vec<usize>, Error> {
    let random = SplitMix64::new(seed, 0);
    first(n, &|i| random.at(i as u64), size, threads)
}

/// Random strata of equal sizes: [`strata`] of n random numbers.
///
/// # Errors
/// k outside 1..=n.
pub fn random_strata(n: usize, k: usize, seed: u64, threads: &Threads) -> Result<Vec<i64>, Error> {
    let random = SplitMix64::new(seed, 0);
    Ok(cut(n, &|i| random.at(i as u64), &starts(n, k)?, threads))
}

fn first(n: usize, key: &(impl Fn(usize) -> u64 + Sync), size: usize, threads: &Threads) -> Result<Vec<usize>, Error> {
    if size > n {
        return Err(Error::TooFew { wanted: size, n });
    }
    Ok(in_part(&cut(n, key, &[size], threads), 0, threads))
}

fn in_part(parts: &[i64], part: i64, threads: &Threads) -> Vec<usize> {
    threads.map_chunks(parts.len(), CHUNK, |ids| ids.filter(|&i| parts[i] == part).collect::<Vec<_>>()).concat()
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
    let cuts = at_ranks(n, key, ranks, threads);
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

const CHUNK: usize = 1 << 16; // examples that one thread takes at a time
const DIGIT: u32 = 16; // leading bits of a key that the histogram tells apart
const HISTOGRAMS: usize = 64; // at most, of 256 kB each

/// (key, id) of the example at each of the ascending ranks of the order by (key, id); ranks past the end are left out.
///
/// A histogram of the keys' leading digits tells which digits hold a rank; only examples with these are sorted. Each
/// digit is sorted alone: one that holds ties only, as 0 often does, is in order already.
fn at_ranks(n: usize, key: &(impl Fn(usize) -> u64 + Sync), ranks: &[usize], threads: &Threads) -> Vec<(u64, usize)> {
    let digit = |i: usize| (key(i) >> (u64::BITS - DIGIT)) as usize;
    let wanted = if n <= CHUNK { Wanted::all(n, ranks) } else { Wanted::of(&histogram(n, &digit, threads), ranks) };
    let chunks = threads.map_chunks(n, CHUNK, |ids| {
        let mut found = vec![Vec::new(); wanted.ranks.len()];
        for i in ids {
            if let Some(found) = found.get_mut(wanted.slots[digit(i)]) {
                found.push((key(i), i));
            }
        }
        found
    });
    let of_slot = |(slot, ranks): (usize, &Vec<usize>)| {
        let mut found: Vec<(u64, usize)> = chunks.iter().flat_map(|chunk| &chunk[slot]).copied().collect();
        threads.sort_by(&mut found, Ord::cmp);
        ranks.iter().map(|&rank| found[rank]).collect::<Vec<_>>()
    };
    wanted.ranks.iter().enumerate().flat_map(of_slot).collect()
}

/// The digits that hold a rank; each has a slot.
struct Wanted {
    slots: Vec<usize>,      // of each digit; past the last where no rank is
    ranks: Vec<Vec<usize>>, // of each slot, counted among its examples
}

impl Wanted {
    /// One slot for all digits, where sorting everything is the fastest.
    fn all(n: usize, ranks: &[usize]) -> Self {
        let ranks = ranks.iter().copied().filter(|&rank| rank < n).collect();
        Self { slots: vec![0; 1 << DIGIT], ranks: vec![ranks] }
    }

    fn of(histogram: &[usize], ranks: &[usize]) -> Self {
        let mut wanted = Self { slots: vec![usize::MAX; histogram.len()], ranks: Vec::new() };
        let (mut passed, mut ranks) = (0, ranks.iter().copied().peekable());
        for (slot, &count) in wanted.slots.iter_mut().zip(histogram) {
            let inside: Vec<usize> =
                std::iter::from_fn(|| ranks.next_if(|&r| r < passed + count)).map(|r| r - passed).collect();
            if !inside.is_empty() {
                *slot = wanted.ranks.len();
                wanted.ranks.push(inside);
            }
            passed += count;
        }
        wanted
    }
}

/// How often each leading digit occurs.
fn histogram(n: usize, digit: &(impl Fn(usize) -> usize + Sync), threads: &Threads) -> Vec<usize> {
    let parts = threads.map_chunks(n, n.div_ceil(HISTOGRAMS).max(CHUNK), |ids| {
        let mut counts = vec![0_u32; 1 << DIGIT];
        ids.for_each(|i| counts[digit(i)] += 1);
        counts
    });
    (0..1 << DIGIT).map(|d| parts.iter().map(|counts| counts[d] as usize).sum()).collect()
}
