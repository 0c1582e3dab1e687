//! Likelihood-ratio attacks with a Gaussian for each example and side: `LiRA` (Carlini et al. 2022) and U-LiRA
//! (Hayes et al. 2024).

use std::ops::Range;

use super::{Phi, WIDTH};
use crate::error::Error;
use crate::parallel::Threads;
use crate::simd::{self, Aligned, Kernel, Unit};

/// What is left of a sum of squares after one value was taken out counts as nothing if it is not above this share.
const ROUNDING: f64 = 1e-12;

/// Whose variance a Gaussian has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variance {
    /// One for all examples of a side: squared distances to each example's own mean over their degrees of freedom.
    Pooled,
    /// Each example its own, over n - 1.
    Example,
}

/// `LiRA` of each example for one target model: the higher, the more likely a member.
///
/// Online: `ln N(φ; μ_in, σ_in²) - ln N(φ; μ_out, σ_out²)`. Offline: `(φ - μ_out) / σ_out`, in the order of the paper's
/// `Pr[Z ≤ φ]` but without running into 1. `member` says for each model and example whether it was trained on it; every
/// model counts on its side, however many the other has. NaN where a side that is needed has no model, and with
/// [`Variance::Example`] where it has fewer than two or they all say the same.
///
/// # Errors
/// Shapes, a φ that is not finite, or a pooled variance of 0.
pub fn lira(
    phi: &Phi<'_>,
    member: &[bool],
    target: &Phi<'_>,
    variance: Variance,
    online: bool,
    threads: &Threads,
) -> Result<Vec<f64>, Error> {
    phi.same_shape("member", Some(member))?;
    phi.same_n(target)?;
    let [outside, inside] = fit(phi, Some(member), threads)?;
    let outside = Gaussians::new(outside, variance, "out", threads)?;
    let inside = if online { Some(Gaussians::new(inside, variance, "in", threads)?) } else { None };
    let mut scores = vec![0.0; phi.n];
    if !target.read(0, &(0..phi.n), &mut scores) {
        return Err(target.refused());
    }
    threads.for_each_chunk(&mut scores, WIDTH, |start, scores| {
        for (i, x) in (start..).zip(scores) {
            *x = match &inside {
                Some(inside) => ratio(*x, inside.at(i), outside.at(i)),
                None => outside.at(i).distance(*x),
            };
        }
    });
    Ok(scores)
}

/// U-LiRA: `LiRA`'s ratio between models that unlearned an example and models that never saw it.
///
/// Every model is scored by Gaussians that were fitted without it: it is taken out of the sums, so where it alone makes up
/// nearly all of a variance, what is left of that has lost as many digits. `unlearned` and `never` say which models count for
/// which example (None: all). Returns the scores of the models of each side, row by row; NaN where a model does not
/// count, or without it too few are left.
///
/// # Errors
/// As of [`lira`].
pub fn u_lira(
    phi: [&Phi<'_>; 2],
    masks: [Option<&[bool]>; 2],
    variance: Variance,
    threads: &Threads,
) -> Result<[Vec<f64>; 2], Error> {
    let [unlearned, oracle] = phi;
    unlearned.same_n(oracle)?;
    unlearned.same_shape("unlearned", masks[0])?;
    oracle.same_shape("never", masks[1])?;
    let [_, inside] = fit(unlearned, masks[0], threads)?;
    let [_, outside] = fit(oracle, masks[1], threads)?;
    let inside = Gaussians::new(inside, variance, "unlearned", threads)?;
    let outside = Gaussians::new(outside, variance, "oracle", threads)?;
    let of_unlearned = each(unlearned, masks[0], &inside, threads, |i, x, own| ratio(x, own, outside.at(i)));
    let of_oracle = each(oracle, masks[1], &outside, threads, |i, x, own| ratio(x, inside.at(i), own));
    Ok([of_unlearned, of_oracle])
}

/// `f(example, φ, Gaussian of its own side without this model)` of every model and example in the mask.
fn each(
    phi: &Phi<'_>,
    mask: Option<&[bool]>,
    own: &Gaussians,
    threads: &Threads,
    f: impl Fn(usize, f64, Gaussian) -> f64 + Sync,
) -> Vec<f64> {
    let mut out = vec![0.0; phi.models * phi.n];
    threads.for_each_chunk(&mut out, phi.n, |start, row| {
        phi.read(start / phi.n, &(0..phi.n), row);
        let counts = |i: usize| mask.is_none_or(|mask| mask[start + i]);
        let pooled = own.pooled.map(|_| own.pooled_without(row, counts));
        for (i, x) in row.iter_mut().enumerate() {
            *x = if counts(i) { f(i, *x, own.without(i, *x, pooled)) } else { f64::NAN };
        }
    });
    out
}

/// A normal distribution; NaN where it has no estimate.
#[derive(Clone, Copy)]
struct Gaussian {
    mean: f64,
    variance: f64,
}

impl Gaussian {
    fn new(mean: f64, variance: f64) -> Self {
        Self { mean, variance: if variance > 0.0 { variance } else { f64::NAN } }
    }

    /// In standard deviations.
    fn distance(self, x: f64) -> f64 {
        (x - self.mean) / self.variance.sqrt()
    }
}

/// ln N(x; inside) - ln N(x; outside)
fn ratio(x: f64, inside: Gaussian, outside: Gaussian) -> f64 {
    let (a, b) = (inside.distance(x), outside.distance(x));
    0.5 * ((outside.variance / inside.variance).ln() + b * b - a * a)
}

/// Running count, mean and sum of squared distances from the mean (Welford 1962), of each example on one side.
#[derive(Default)]
struct Moments {
    count: Vec<f64>,
    mean: Vec<f64>,
    squares: Vec<f64>,
}

/// The Gaussians of one side.
struct Gaussians {
    moments: Moments,
    pooled: Option<(f64, f64)>, // sum of squares, degrees of freedom
}

impl Gaussians {
    fn new(moments: Moments, variance: Variance, side: &'static str, threads: &Threads) -> Result<Self, Error> {
        if variance == Variance::Example {
            return Ok(Self { moments, pooled: None });
        }
        let n = moments.count.len();
        let squares = threads.sum(n, |i| moments.squares[i]);
        let freedom = threads.sum(n, |i| (moments.count[i] - 1.0).max(0.0));
        if squares == 0.0 && freedom > 0.0 {
            return Err(Error::Constant { side });
        }
        Ok(Self { moments, pooled: Some((squares, freedom)) })
    }

    /// Of example i; without a mean if it has no model.
    fn at(&self, i: usize) -> Gaussian {
        let Moments { count, mean, squares } = &self.moments;
        let mean = if count[i] > 0.0 { mean[i] } else { f64::NAN };
        let (squares, freedom) = self.pooled.unwrap_or((squares[i], count[i] - 1.0));
        Gaussian::new(mean, squares / freedom)
    }

    /// Mean and sum of squares of example i, had the model that says x not been there.
    fn rest(&self, i: usize, x: f64) -> (f64, f64) {
        let Moments { count, mean, squares } = &self.moments;
        let rest = mean[i] - (x - mean[i]) / (count[i] - 1.0);
        (rest, squares[i] - (x - mean[i]) * (x - rest))
    }

    /// The pooled sum of squares and degrees of freedom, had the model that says `row` not been there.
    fn pooled_without(&self, row: &[f64], counts: impl Fn(usize) -> bool) -> (f64, f64) {
        let Moments { count, squares, .. } = &self.moments;
        let (all, freedom) = self.pooled.unwrap_or_default();
        let judged = || (0..row.len()).filter(|&i| counts(i) && count[i] > 1.0);
        let taken: f64 = judged().map(|i| squares[i] - self.rest(i, row[i]).1).sum();
        (left(all, all - taken), freedom - judged().count() as f64)
    }

    /// The Gaussian of example i, had the model that says x not been there; `pooled` likewise.
    fn without(&self, i: usize, x: f64, pooled: Option<(f64, f64)>) -> Gaussian {
        let Moments { count, squares, .. } = &self.moments;
        if count[i] < 2.0 {
            return Gaussian::new(f64::NAN, f64::NAN);
        }
        let (mean, rest) = self.rest(i, x);
        let (squares, freedom) = pooled.unwrap_or_else(|| (left(squares[i], rest), count[i] - 2.0));
        Gaussian::new(mean, if freedom > 0.0 { squares / freedom } else { f64::NAN })
    }
}

/// What is left of a sum of squares, or 0 if that is but rounding.
fn left(all: f64, rest: f64) -> f64 {
    if rest > ROUNDING * all { rest } else { 0.0 }
}

/// One pass over all models: the moments of the models outside and inside of `member` (None: all are inside).
fn fit(phi: &Phi<'_>, member: Option<&[bool]>, threads: &Threads) -> Result<[Moments; 2], Error> {
    let blocks = threads.map_chunks(phi.n, WIDTH, |examples| simd::dispatch(Fit { phi, member, examples }));
    let mut sides = [Moments::default(), Moments::default()];
    for block in blocks {
        let (block, len) = block.ok_or_else(|| phi.refused())?;
        for (side, block) in sides.iter_mut().zip(&block) {
            side.count.extend_from_slice(&block.count[..len]);
            side.mean.extend_from_slice(&block.mean[..len]);
            side.squares.extend_from_slice(&block.squares[..len]);
        }
    }
    Ok(sides)
}

/// The moments of up to [`WIDTH`] examples.
#[derive(Clone, Copy)]
struct Block {
    count: Aligned<[f64; WIDTH]>,
    mean: Aligned<[f64; WIDTH]>,
    squares: Aligned<[f64; WIDTH]>,
}

struct Fit<'a> {
    phi: &'a Phi<'a>,
    member: Option<&'a [bool]>,
    examples: Range<usize>,
}

impl Kernel for Fit<'_> {
    type Output = Option<([Block; 2], usize)>;

    #[inline(always)]
    fn run<U: Unit>(self) -> Self::Output {
        let Self { phi, member, examples } = self;
        let zero = Aligned([0.0; WIDTH]);
        let mut sides = [Block { count: zero, mean: zero, squares: zero }; 2];
        let (mut x, mut inside) = (zero, Aligned([1.0; WIDTH]));
        let mut sane = true;
        for model in 0..phi.models {
            sane &= phi.read(model, &examples, &mut *x);
            if let Some(member) = member {
                let row = &member[model * phi.n..][examples.clone()];
                inside.iter_mut().zip(row).for_each(|(weight, &is)| *weight = f64::from(u8::from(is)));
            }
            let [outside_block, inside_block] = &mut sides;
            add(outside_block, inside_block, &x, &inside);
        }
        sane.then_some((sides, examples.len()))
    }
}

/// Adds one model. Its weight is 1 on its own side and 0 on the other: exact, without a branch, with one division.
#[inline(always)]
fn add(outside: &mut Block, inside: &mut Block, x: &[f64; WIDTH], weight: &[f64; WIDTH]) {
    for k in 0..WIDTH {
        let (w, v) = (weight[k], 1.0 - weight[k]);
        let count = w * inside.count[k] + v * outside.count[k] + 1.0;
        let from_mean = x[k] - (w * inside.mean[k] + v * outside.mean[k]);
        let step = from_mean / count;
        let square = from_mean * (from_mean - step);
        inside.count[k] += w;
        outside.count[k] += v;
        inside.mean[k] += w * step;
        outside.mean[k] += v * step;
        inside.squares[k] += w * square;
        outside.squares[k] += v * square;
    }
}
