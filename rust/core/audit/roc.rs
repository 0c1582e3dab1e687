//! The ROC curve of an attack: of one sort, and of its bootstrap resamples without sorting again.

use crate::error::Error;
use crate::parallel::Threads;
use crate::partition::{Score, key, no_nan};
use crate::resample::{Statistic, Statistics};
use crate::sort::Sorted;

/// Scores in descending order with who is a member. Examples with equal scores are told apart by no threshold.
#[derive(Debug)]
pub struct Roc {
    descending: Sorted,
    is_member: Vec<bool>, // in descending order
    thresholds: Vec<f64>, // the score of each run of equal ones
}

/// Points of a curve: the shares called "member" when all scores of at least the threshold are.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Curve {
    /// Of the non-members; ascending from 0 to 1.
    pub fpr: Vec<f64>,
    /// Of the members; ascending from 0 to 1.
    pub tpr: Vec<f64>,
    /// Descending from infinity.
    pub thresholds: Vec<f64>,
}

impl Roc {
    /// Sorts once. 32 bytes a score.
    ///
    /// # Errors
    /// Different lengths, NaN, more than 2^32 - 1 scores, no member or no other.
    pub fn new<T: Score>(scores: &[T], members: &[bool], threads: &Threads) -> Result<Self, Error> {
        Error::check_length("members", members.len(), scores.len(), "scores")?;
        no_nan("scores", scores, threads)?;
        let count = members.iter().filter(|&&m| m).count();
        if count == 0 || count == members.len() || u32::try_from(scores.len()).is_err() {
            return Err(Error::Members { members: count, others: members.len() - count });
        }
        let descending = Sorted::new(scores.len(), &|id| !key(scores[id]), threads);
        Ok(Self {
            thresholds: descending.runs(threads).map(|run| scores[run[0] as usize].into() + 0.0).collect(),
            is_member: descending.ids.iter().map(|&id| members[id as usize]).collect(),
            descending,
        })
    }

    /// Every point of the curve, from (0, 0) to (1, 1): one more than there are distinct scores.
    pub fn curve(&self, threads: &Threads) -> Curve {
        let counts = vec![1; self.descending.ids.len()];
        let (members, others) = self.totals(&counts, threads);
        let (mut above, mut below) = (vec![0.0], vec![0.0]);
        let (mut m, mut o) = (0, 0);
        for (run_m, run_o) in self.runs(&counts, threads) {
            m += run_m;
            o += run_o;
            above.push(m as f64 / members as f64);
            below.push(o as f64 / others as f64);
        }
        let thresholds = [&[f64::INFINITY], self.thresholds.as_slice()].concat();
        Curve { fpr: below, tpr: above, thresholds }
    }

    /// Members and others of each run of equal scores, highest first, each example as often as it was drawn.
    fn runs(&self, counts: &[u32], threads: &Threads) -> impl Iterator<Item = (u64, u64)> {
        self.descending.spans(threads).map(|run| {
            let (mut members, mut all) = (0, 0);
            for (&id, &is_member) in self.descending.ids[run.clone()].iter().zip(&self.is_member[run]) {
                let count = u64::from(counts[id as usize]);
                all += count;
                members += count * u64::from(is_member); // no branch: nobody can predict it
            }
            (members, all - members)
        })
    }

    fn totals(&self, counts: &[u32], threads: &Threads) -> (u64, u64) {
        self.runs(counts, threads).fold((0, 0), |(m, o), (members, others)| (m + members, o + others))
    }
}

/// The area under the curve: the share of pairs of a member and another in which the member scores higher, ties
/// counting half. Exact: a ratio of two integers. NaN if a resample holds only one kind.
#[derive(Debug)]
pub struct Auc<'a>(pub &'a Roc);

impl Statistic for Auc<'_> {
    type Scratch = ();

    fn n(&self) -> usize {
        self.0.descending.ids.len()
    }

    fn of(&self, counts: &[u32], (): &mut (), threads: &Threads) -> f64 {
        let (mut members, mut others, mut twice) = (0, 0, 0);
        for (m, o) in self.0.runs(counts, threads) {
            twice += o * (2 * members + m); // at most 2 * 2^31 * 2^31
            members += m;
            others += o;
        }
        twice as f64 / (2 * members * others) as f64 // 0 / 0 is NaN
    }
}

/// The largest true positive rate of a threshold whose false positive rate is at most `fpr`: no point between two
/// thresholds is made up. NaN if a resample holds only one kind.
#[derive(Debug)]
pub struct TprAt<'a> {
    /// The curve.
    pub roc: &'a Roc,
    /// In [0, 1].
    pub fpr: f64,
}

impl Statistic for TprAt<'_> {
    type Scratch = ();

    fn n(&self) -> usize {
        self.roc.descending.ids.len()
    }

    fn of(&self, counts: &[u32], (): &mut (), threads: &Threads) -> f64 {
        let (members, others) = self.roc.totals(counts, threads);
        let (mut found, mut wrong) = (0, 0);
        for (m, o) in self.roc.runs(counts, threads) {
            wrong += o;
            if wrong as f64 / others as f64 > self.fpr {
                break;
            }
            found += m;
        }
        if others == 0 { f64::NAN } else { found as f64 / members as f64 }
    }
}

/// True and false positive rate of each of some thresholds, in turn: the shares of the scores that are at least as high.
/// NaN of a resample that holds none of the kind.
#[derive(Debug)]
pub struct Sweep<'a> {
    roc: &'a Roc,
    runs: Vec<usize>, // of equal scores that each threshold lets in
}

impl<'a> Sweep<'a> {
    /// Thresholds in any order.
    ///
    /// # Errors
    /// NaN.
    pub fn new(roc: &'a Roc, thresholds: &[f64]) -> Result<Self, Error> {
        no_nan("thresholds", thresholds, &Threads::one())?;
        let let_in = |&threshold: &f64| roc.thresholds.partition_point(|&score| score >= threshold);
        Ok(Self { roc, runs: thresholds.iter().map(let_in).collect() })
    }
}

impl Statistics for Sweep<'_> {
    type Scratch = Vec<(u64, u64)>; // members and others in the highest 0, 1, .. runs

    fn n(&self) -> usize {
        self.roc.descending.ids.len()
    }

    fn width(&self) -> usize {
        2 * self.runs.len()
    }

    fn write(&self, counts: &[u32], passed: &mut Vec<(u64, u64)>, threads: &Threads, out: &mut [f64]) {
        let (mut members, mut others) = (0, 0);
        passed.clear();
        passed.push((0, 0));
        passed.extend(self.roc.runs(counts, threads).map(|(m, o)| {
            members += m;
            others += o;
            (members, others)
        }));
        for (rates, &runs) in out.chunks_exact_mut(2).zip(&self.runs) {
            let (found, wrong) = passed[runs];
            rates.copy_from_slice(&[found as f64 / members as f64, wrong as f64 / others as f64]);
        }
    }
}
