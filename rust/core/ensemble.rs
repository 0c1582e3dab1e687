//! What an ensemble of models trained on subsets says: memorization, C-scores, and how reliable they are.
//!
//! Matrices have one row for each model, as they are stored. Everything here is a count down their columns ([`tally`]).

use std::array::from_fn;
use std::iter;

use crate::bits::{BITS, BitMatrix};
use crate::ensemble::tally::{COLUMNS, NONE, ROWS, Tally, WORDS, count};
use crate::error::Error;
use crate::parallel::Threads;
use crate::rank::Spearman;
use crate::resample::{SplitMix64, Statistic};
use crate::simd::{self, Kernel, Unit};

pub mod influence;
pub mod out_of_sample;
pub mod soft;
pub mod tally;

/// More random halvings than this are taken for a slip.
const MAX_SPLITS: usize = 100_000;

/// Words of a row that one piece of parallel work covers: rows are read by the kilobyte.
const WIDE: usize = 16 * WORDS;

/// Memorization of each example, its standard error, and from how many models.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Memorization {
    /// P\[correct | member\] - P\[correct | not a member\]; NaN where one of the two has no model.
    pub score: Vec<f64>,
    /// The standard error of `score`; NaN where that has no estimate.
    pub std_error: Vec<f64>,
    /// Models that were trained on the example.
    pub n_in: Vec<i64>,
    /// Models that were not.
    pub n_out: Vec<i64>,
}

/// Memorization of each training example (Feldman & Zhang 2020): the share of models that get it right among those
/// trained on it, minus that among the others.
///
/// `member`, `correct`: one row for each model, one column for each example. The standard error is
/// `sqrt(p_in (1 - p_in) / n_in + p_out (1 - p_out) / n_out)` with `p = (right + 1/2) / (n + 1)` (Jeffreys), so that
/// an example that every model gets right does not claim an error of 0.
/// With `legacy` a share over no model counts as 0 in the score, as in the code that was published with the papers.
///
/// # Errors
/// If the shapes differ.
pub fn memorization(
    member: &BitMatrix,
    correct: &BitMatrix,
    legacy: bool,
    threads: &Threads,
) -> Result<Memorization, Error> {
    let total = member.rows() as u64;
    let parts = counts(member, correct, &all(member), threads, |counts| Memorization {
        score: counts.iter().map(|c| c.score(total, legacy)).collect(),
        std_error: counts.iter().map(|c| c.std_error(total)).collect(),
        n_in: counts.iter().map(|c| c.models.cast_signed()).collect(),
        n_out: counts.iter().map(|c| (total - c.models).cast_signed()).collect(),
    })?;
    Ok(Memorization {
        score: parts.iter().flat_map(|part| &part.score).copied().collect(),
        std_error: parts.iter().flat_map(|part| &part.std_error).copied().collect(),
        n_in: parts.iter().flat_map(|part| &part.n_in).copied().collect(),
        n_out: parts.iter().flat_map(|part| &part.n_out).copied().collect(),
    })
}

/// The C-score of each training example (Jiang et al. 2021): the share of models that get it right among those that
/// were not trained on it. NaN where every model was.
///
/// # Errors
/// If the shapes differ.
pub fn c_score(member: &BitMatrix, correct: &BitMatrix, threads: &Threads) -> Result<Vec<f64>, Error> {
    let total = member.rows() as u64;
    let share = |c: &Shares| (c.right - c.right_in) as f64 / (total - c.models) as f64;
    Ok(counts(member, correct, &all(member), threads, |counts| counts.iter().map(share).collect::<Vec<_>>())?.concat())
}

/// All models.
fn all(member: &BitMatrix) -> Vec<usize> {
    (0..member.rows()).collect()
}

/// How well memorization scores from half of the models agree with those from the other half.
///
/// For each of `splits` random halvings: Spearman's correlation r of the scores from the two halves, over the examples
/// that have an estimate in both, stepped up to all models by Spearman-Brown, `2 r / (1 + r)`. Returns these, NaN
/// where fewer than 2 examples or no variation are left, and the least number of examples that a halving had.
///
/// # Errors
/// If the shapes differ, there are fewer than 4 models, or `splits` is 0 or more than 100,000.
pub fn reliability(
    member: &BitMatrix,
    correct: &BitMatrix,
    splits: usize,
    seed: u64,
    threads: &Threads,
) -> Result<(Vec<f64>, usize), Error> {
    member.same_shape("member", correct, "correct")?;
    let models = member.rows();
    if models < 4 {
        return Err(Error::Halves { models });
    }
    if !(1..=MAX_SPLITS).contains(&splits) {
        return Err(Error::Splits { most: MAX_SPLITS, got: splits });
    }
    let all = counts(member, correct, &all(member), threads, <[_]>::to_vec)?.concat();
    let halvings = threads.map(splits, |split| {
        let half =
            counts(member, correct, &half_of(models, seed, split as u64), &Threads::one(), <[_]>::to_vec)?.concat();
        agreement(&all, &half, models as u64)
    });
    let halvings = halvings.into_iter().collect::<Result<Vec<_>, Error>>()?;
    let least = halvings.iter().map(|&(_, examples)| examples).min().unwrap_or(0);
    Ok((halvings.into_iter().map(|(r, _)| r).collect(), least))
}

/// A random half of the models.
fn half_of(models: usize, seed: u64, split: u64) -> Vec<usize> {
    let random = SplitMix64::new(seed, split);
    let mut order: Vec<usize> = (0..models).collect();
    for last in (1..models).rev() {
        order.swap(last, random.below(last as u64, last + 1));
    }
    order.truncate(models / 2);
    order.sort_unstable();
    order
}

/// The stepped-up correlation of one half with the rest, and over how many examples.
fn agreement(all: &[Shares], half: &[Shares], models: u64) -> Result<(f64, usize), Error> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for (all, half) in all.iter().zip(half) {
        let a = half.score(models / 2, false);
        let b = all.without(half).score(models - models / 2, false);
        if !a.is_nan() && !b.is_nan() {
            ours.push(a);
            theirs.push(b);
        }
    }
    if ours.len() < 2 {
        return Ok((f64::NAN, ours.len()));
    }
    let alone = Threads::one();
    let r = Spearman::new(&ours, &theirs, &alone)?.of(&vec![1; ours.len()], &mut Vec::new(), &alone);
    Ok((2.0 * r / (1.0 + r), ours.len()))
}

/// Models of one example.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Shares {
    models: u64,   // trained on it
    right: u64,    // that get it right
    right_in: u64, // both
}

impl Shares {
    fn without(&self, part: &Self) -> Self {
        Self {
            models: self.models - part.models,
            right: self.right - part.right,
            right_in: self.right_in - part.right_in,
        }
    }

    fn score(&self, total: u64, legacy: bool) -> f64 {
        let share = |right: u64, models: u64| {
            if legacy && models == 0 { 0.0 } else { right as f64 / models as f64 } // 0 / 0 is NaN
        };
        share(self.right_in, self.models) - share(self.right - self.right_in, total - self.models)
    }

    fn std_error(&self, total: u64) -> f64 {
        let variance = |right: u64, models: u64| {
            let p = (right as f64 + 0.5) / (models as f64 + 1.0);
            if models == 0 { f64::NAN } else { p * (1.0 - p) / models as f64 }
        };
        (variance(self.right_in, self.models) + variance(self.right - self.right_in, total - self.models)).sqrt()
    }
}

/// `f` of the counts of each example over some models, in pieces of [`WIDE`] words.
fn counts<R: Send>(
    member: &BitMatrix,
    correct: &BitMatrix,
    models: &[usize],
    threads: &Threads,
    f: impl Fn(&[Shares]) -> R + Sync + Send,
) -> Result<Vec<R>, Error> {
    member.same_shape("member", correct, "correct")?;
    Ok(threads.map_chunks(member.stride(), WIDE, |words| {
        let [member_rows, correct_rows] = [member, correct]
            .map(|matrix| models.iter().map(|&model| &matrix.row(model)[words.clone()]).collect::<Vec<_>>());
        let rows = [&member_rows[..], &correct_rows];
        let mut counts = simd::dispatch(Counting { rows, words: words.len() });
        counts.truncate(member.columns() - words.start * BITS);
        f(&counts)
    }))
}

/// Counts rows of so many words of `member` and of `correct`, column by column.
struct Counting<'a> {
    rows: [&'a [&'a [u64]]; 2],
    words: usize,
}

impl Kernel for Counting<'_> {
    type Output = Vec<Shares>;

    #[inline(always)]
    fn run<U: Unit>(self) -> Vec<Shares> {
        let Self { rows: [member, correct], words } = self;
        let mut tallies = vec![[(); 3].map(|()| Tally::new(member.len())); words.div_ceil(WORDS)];
        let mut ends = [[[0; WORDS]; ROWS]; 2]; // what is less than a block, 0 behind it
        for (member, correct) in member.chunks(ROWS).zip(correct.chunks(ROWS)) {
            let rows = [member, correct];
            for (row, end) in rows.iter().zip(&mut ends).flat_map(|(rows, ends)| rows.iter().zip(ends)) {
                let rest = row.as_chunks::<WORDS>().1;
                end[..rest.len()].copy_from_slice(rest);
            }
            for (block, [inside, right, right_in]) in tallies.iter_mut().enumerate() {
                let plane = |matrix: usize, k: usize| match rows[matrix].get(k) {
                    Some(row) => row.as_chunks().0.get(block).unwrap_or(&ends[matrix][k]),
                    None => &[0; WORDS],
                };
                let [a, b] = [0, 1].map(|matrix| from_fn::<_, ROWS, _>(|k| plane(matrix, k)));
                let a = |row: usize, part| U::bits(a[row], part);
                let b = |row: usize, part| U::bits(b[row], part);
                inside.add::<U, _>(iter::once(a));
                right.add::<U, _>(iter::once(b));
                right_in.add::<U, _>(iter::once(|row, part| U::both(a(row, part), b(row, part))));
            }
        }
        let mut shares = Vec::with_capacity(tallies.len() * COLUMNS);
        let mut found = [NONE; 3];
        for tallies in &mut tallies {
            for (tally, found) in tallies.iter_mut().zip(&mut found) {
                tally.finish::<U>(found);
            }
            let of = |bit: usize, byte: usize| found.each_ref().map(|counts| count(counts, bit, byte).into());
            let columns = (0..COLUMNS).map(|i| of(i % 8, i / 8));
            shares.extend(columns.map(|[models, right, right_in]| Shares { models, right, right_in }));
        }
        shares
    }
}
