//! What an ensemble of models trained on subsets says: memorization, C-scores, and how reliable they are.
//!
//! Matrices have one row for each model, as they are stored. Everything here is a count down their columns ([`tally`]).

use std::ops::Range;

use crate::bits::{BITS, BitMatrix};
use crate::ensemble::tally::{Counts, Plane, ROWS, Tally, WORDS};
use crate::error::Error;
use crate::parallel::Threads;
use crate::rank::Spearman;
use crate::resample::{SplitMix64, Statistic};
use crate::simd::{self, Kernel};

pub mod influence;
pub mod out_of_sample;
pub mod tally;

/// More random halvings than this are taken for a slip.
const MAX_SPLITS: usize = 100_000;

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
    let counts = counts(member, correct, &all(member), threads)?;
    let total = member.rows() as u64;
    Ok(Memorization {
        score: counts.iter().map(|c| c.score(total, legacy)).collect(),
        std_error: counts.iter().map(|c| c.std_error(total)).collect(),
        n_in: counts.iter().map(|c| c.models.cast_signed()).collect(),
        n_out: counts.iter().map(|c| (total - c.models).cast_signed()).collect(),
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
    Ok(counts(member, correct, &all(member), threads)?.iter().map(share).collect())
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
    let all = counts(member, correct, &all(member), threads)?;
    let halvings = threads.map(splits, |split| {
        let half = counts(member, correct, &half_of(models, seed, split as u64), &Threads::one())?;
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
    let spearman = Spearman::new(&ours, &theirs, &Threads::one())?;
    let r = spearman.of(&vec![1; ours.len()], &mut Vec::new());
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

/// The counts of each example, over some models.
fn counts(member: &BitMatrix, correct: &BitMatrix, models: &[usize], threads: &Threads) -> Result<Vec<Shares>, Error> {
    member.same_shape("member", correct, "correct")?;
    let parts = threads.map_chunks(member.stride(), WORDS, |words| {
        simd::dispatch(Counting { member, correct, models, words, tallies: &mut Default::default() })
    });
    let mut counts = parts.concat();
    counts.truncate(member.columns());
    Ok(counts)
}

/// Counts some models of 512 examples.
struct Counting<'a> {
    member: &'a BitMatrix,
    correct: &'a BitMatrix,
    models: &'a [usize],
    words: Range<usize>,
    tallies: &'a mut [Tally; 3],
}

impl Kernel for Counting<'_> {
    type Output = Vec<Shares>;

    #[inline(always)]
    fn run(self) -> Vec<Shares> {
        let Self { member, correct, models, words, tallies: [inside, right, right_in] } = self;
        for models in models.chunks(ROWS) {
            let (a, b) = (planes(member, models, &words), planes(correct, models, &words));
            inside.add(|row, lane| a[row][lane]);
            right.add(|row, lane| b[row][lane]);
            right_in.add(|row, lane| a[row][lane] & b[row][lane]);
        }
        let mut found = [[[0; BITS]; 8]; 3];
        for (tally, found) in [inside, right, right_in].into_iter().zip(&mut found) {
            tally.finish(found);
        }
        let of = |bit: usize, byte: usize| found.map(|counts: Counts| u64::from(counts[bit][byte]));
        let columns = (0..words.len() * BITS).map(|i| of(i % 8, i / 8));
        columns.map(|[models, right, right_in]| Shares { models, right, right_in }).collect()
    }
}

/// Some words of 16 models; 0 beyond the last model or word.
#[inline(always)]
fn planes(matrix: &BitMatrix, models: &[usize], words: &Range<usize>) -> [Plane; ROWS] {
    let mut planes = [[0; WORDS]; ROWS];
    for (plane, &model) in planes.iter_mut().zip(models) {
        plane[..words.len()].copy_from_slice(&matrix.row(model)[words.clone()]);
    }
    planes
}
