//! What an ensemble of models trained on subsets says: memorization, C-scores, and how reliable they are.
//!
//! Matrices have one row for each model, as they are stored. Everything here is a count down their columns ([`tally`]).

use std::array::from_fn;
use std::iter;

use crate::bits::{BITS, BitMatrix, zeroed};
use crate::ensemble::tally::{COLUMNS, NONE, ROWS, Tally, WORDS, count};
use crate::error::Error;
use crate::parallel::Threads;
use crate::rank::Spearman;
use crate::resample::{SplitMix64, Statistic};
use crate::simd::{self, CACHE_LINE, Kernel, Unit};

pub mod influence;
pub mod out_of_sample;
pub mod soft;
pub mod tally;

/// More random halvings than this are taken for a slip.
const MAX_SPLITS: usize = 100_000;

/// Words of a row that one piece of parallel work covers: rows are read by the kilobyte.
const WIDE: usize = 4 * WORDS;
/// Examples of a piece.
const PIECE: usize = WIDE * BITS;

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
    member.same_shape("member", correct, "correct")?;
    let (total, n) = member.shape();
    let too_large = || Error::TooLarge { name: "member", shape: (total, n) };
    let (mut score, mut std_error) = zeroed(n).zip(zeroed(n)).ok_or_else(too_large)?;
    let (mut n_in, mut n_out) = zeroed(n).zip(zeroed(n)).ok_or_else(too_large)?;
    let floats = score.chunks_mut(PIECE).zip(std_error.chunks_mut(PIECE));
    let pieces = floats.zip(n_in.chunks_mut(PIECE).zip(n_out.chunks_mut(PIECE))).enumerate().collect();
    threads.each(pieces, |(piece, ((score, std_error), (n_in, n_out)))| {
        let counts = Counts::of(member, correct, &all(member), piece);
        simd::dispatch(Memorized { counts: &counts, total: total as u64, legacy, score, std_error, n_in, n_out });
    });
    Ok(Memorization { score, std_error, n_in, n_out })
}

/// Writes [`Memorization`] of some examples.
struct Memorized<'a> {
    counts: &'a Counts,
    total: u64,
    legacy: bool,
    score: &'a mut [f64],
    std_error: &'a mut [f64],
    n_in: &'a mut [i64],
    n_out: &'a mut [i64],
}

impl Kernel for Memorized<'_> {
    type Output = ();

    #[inline(always)]
    fn run<U: Unit>(self) {
        let Self { counts, total, legacy, score, std_error, n_in, n_out } = self;
        for (shares, score) in counts.iter().zip(score) {
            *score = shares.score(total, legacy);
        }
        for (shares, std_error) in counts.iter().zip(std_error) {
            *std_error = shares.std_error(total);
        }
        for (shares, (n_in, n_out)) in counts.iter().zip(n_in.iter_mut().zip(n_out)) {
            (*n_in, *n_out) = (shares.models.cast_signed(), (total - shares.models).cast_signed());
        }
    }
}

/// The C-score of each training example (Jiang et al. 2021): the share of models that get it right among those that
/// were not trained on it. NaN where every model was.
///
/// # Errors
/// If the shapes differ.
pub fn c_score(member: &BitMatrix, correct: &BitMatrix, threads: &Threads) -> Result<Vec<f64>, Error> {
    member.same_shape("member", correct, "correct")?;
    let (total, n) = member.shape();
    let mut scores = zeroed(n).ok_or(Error::TooLarge { name: "member", shape: (total, n) })?;
    threads.for_each_chunk(&mut scores, PIECE, |start, scores| {
        let counts = Counts::of(member, correct, &all(member), start / PIECE);
        for (score, c) in scores.iter_mut().zip(counts.iter()) {
            *score = (c.right - c.right_in) as f64 / (total as u64 - c.models) as f64;
        }
    });
    Ok(scores)
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
    let pieces = member.columns().div_ceil(PIECE);
    let shares = |models: &[usize], threads: &Threads| {
        threads.map(pieces, |piece| Counts::of(member, correct, models, piece).iter().collect::<Vec<_>>()).concat()
    };
    let all = shares(&all(member), threads);
    let halvings = threads.map(splits, |split| {
        let half = shares(&half_of(models, seed, split as u64), &Threads::one());
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

/// Counts of the examples of a piece over some models.
struct Counts {
    models: Vec<u32>,
    right: Vec<u32>,
    right_in: Vec<u32>,
}

impl Counts {
    /// Of the examples from `piece` [`PIECE`] on.
    fn of(member: &BitMatrix, correct: &BitMatrix, models: &[usize], piece: usize) -> Self {
        let words = piece * WIDE..member.stride().min((piece + 1) * WIDE);
        let [member, correct] = [member, correct]
            .map(|matrix| models.iter().map(|&model| &matrix.row(model)[words.clone()]).collect::<Vec<_>>());
        simd::dispatch(Counting { rows: [&member, &correct], words: words.len() })
    }

    /// In the order of the examples, and 0 for what fills the last block.
    #[inline(always)]
    fn iter(&self) -> impl Iterator<Item = Shares> {
        let counts = self.models.iter().zip(&self.right).zip(&self.right_in);
        counts.map(|((&models, &right), &right_in)| Shares {
            models: models.into(),
            right: right.into(),
            right_in: right_in.into(),
        })
    }
}

/// Counts rows of so many words of `member` and of `correct`, column by column.
struct Counting<'a> {
    rows: [&'a [&'a [u64]]; 2],
    words: usize,
}

impl Kernel for Counting<'_> {
    type Output = Counts;

    #[inline(always)]
    fn run<U: Unit>(self) -> Counts {
        let Self { rows: [member, correct], words } = self;
        let mut tallies = vec![[(); 3].map(|()| Tally::new(member.len())); words.div_ceil(WORDS)];
        let mut ends = [[[0; WORDS]; ROWS]; 2]; // what is less than a block, 0 behind it
        let mut next = self.rows.map(|rows| rows.chunks(ROWS).skip(1));
        for (member, correct) in member.chunks(ROWS).zip(correct.chunks(ROWS)) {
            for row in next.iter_mut().filter_map(Iterator::next).flatten() {
                row.iter().step_by(CACHE_LINE / 8).for_each(simd::prefetch_later);
            }
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
        let mut counts = [(); 3].map(|()| vec![0; tallies.len() * COLUMNS]);
        let mut found = NONE;
        for (block, tallies) in tallies.iter_mut().enumerate() {
            for (tally, counts) in tallies.iter_mut().zip(&mut counts) {
                tally.finish::<U>(&mut found);
                for (byte, counts) in counts[block * COLUMNS..][..COLUMNS].as_chunks_mut::<8>().0.iter_mut().enumerate()
                {
                    *counts = from_fn(|bit| count(&found, bit, byte));
                }
            }
        }
        let [models, right, right_in] = counts;
        Counts { models, right, right_in }
    }
}
