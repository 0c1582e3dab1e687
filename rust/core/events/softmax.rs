//! What one row of logits says about one label, for a whole batch at the width of the vector unit.

#![allow(clippy::float_cmp)] // ties are equal to the last bit

use std::array::from_fn;
use std::f64::consts::{LN_2, LOG2_E};

use super::exp::{LEAST, exp2, ln_1p};
use super::index;
use crate::logits::{Logit, Logits};
use crate::simd::{self, Aligned, Kernel};

/// Rows or classes that are worked on side by side: two vectors of the widest unit, so that it need not wait for one.
pub const LANES: usize = 16;
/// Up to this many classes the lanes are rows, above it they are classes.
const FEW_CLASSES: usize = 32;

type Lanes = [f64; LANES];

/// One forward pass of one example; z its logits, p = softmax(z), y its label.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Outcome {
    /// p\[y\]
    pub confidence: f64,
    /// max p
    pub max_confidence: f64,
    /// -sum p ln p, in nats
    pub entropy: f64,
    /// -ln p\[y\]
    pub loss: f64,
    /// z\[y\] - max of the other z
    pub margin: f64,
    /// The Euclidean norm of p - onehot(y)
    pub el2n: f64,
    /// Whether y is the first of the largest z.
    pub correct: bool,
    /// Whether every z is finite. If not, nothing else here has a meaning.
    pub finite: bool,
}

/// The outcome of each row of `logits` (`labels.len()` rows of `classes` values, every label below `classes`), and
/// whether all are finite.
pub fn outcomes(logits: Logits<'_>, labels: &[i64], classes: usize, out: &mut [Outcome]) -> bool {
    match logits {
        Logits::F64(logits) => simd::dispatch(Rows { logits, labels, classes, out }),
        Logits::F32(logits) => simd::dispatch(Rows { logits, labels, classes, out }),
        Logits::F16(logits) => simd::dispatch(Rows { logits, labels, classes, out }),
        Logits::Bf16(logits) => simd::dispatch(Rows { logits, labels, classes, out }),
    }
}

struct Rows<'a, T> {
    logits: &'a [T],
    labels: &'a [i64],
    classes: usize,
    out: &'a mut [Outcome],
}

impl<T: Logit> Kernel for Rows<'_, T> {
    /// Whether every logit is finite.
    type Output = bool;

    #[inline(always)]
    fn run(self) -> bool {
        let Self { logits, labels, classes, out } = self;
        let few = classes <= FEW_CLASSES;
        let mut wide = vec![Aligned([0.0; LANES]); if few { classes } else { classes.div_ceil(LANES) }];
        let mut finite = true;
        let rows = logits.chunks(LANES * classes).zip(labels.chunks(LANES));
        for ((logits, labels), out) in rows.zip(out.chunks_mut(LANES)) {
            let mut sums = Sums::default();
            if few {
                few_classes(logits, labels, &mut wide, &mut sums);
            } else {
                for (lane, (z, &label)) in logits.chunks_exact(classes).zip(labels).enumerate() {
                    many_classes(z, index(label), &mut wide, lane, &mut sums);
                }
            }
            finite &= sums.finish(out);
        }
        finite
    }
}

/// Of [`LANES`] rows. Over the classes other than the label: t = (z - max z) / ln 2, e = 2^t.
#[derive(Default)]
struct Sums {
    at: Lanes,    // the label's z
    other: Lanes, // the largest other z
    least: Lanes, // the smallest z
    e: Lanes,
    square: Lanes,   // of e
    weighted: Lanes, // e t
    behind: Lanes,   // 1 where a class before the label has the same z, else 0
}

/// Up to [`LANES`] rows at once, one in each lane, class by class.
#[inline(always)]
fn few_classes<T: Logit>(logits: &[T], labels: &[i64], wide: &mut [Aligned<Lanes>], sums: &mut Sums) {
    // Lanes beyond the last row repeat it.
    let classes = wide.len();
    let rows: [&[T]; LANES] = from_fn(|lane| &logits[lane.min(labels.len() - 1) * classes..][..classes]);
    let mut least = [f64::INFINITY; LANES];
    for (k, wide) in wide.iter_mut().enumerate() {
        let z = rows.map(|row| row[k]).map(T::widen);
        **wide = z;
        for lane in 0..LANES {
            least[lane] = smaller(z[lane], least[lane]);
        }
    }
    for (lane, &label) in labels.iter().enumerate() {
        sums.at[lane] = std::mem::replace(&mut wide[index(label)][lane], f64::NEG_INFINITY);
    }
    let mut other = [f64::NEG_INFINITY; LANES];
    for z in wide.iter() {
        for lane in 0..LANES {
            other[lane] = larger(z[lane], other[lane]);
        }
    }
    let mut top = [0.0; LANES];
    for lane in 0..LANES {
        top[lane] = larger(other[lane], sums.at[lane]);
    }
    let [e, square, weighted] = powers(wide, &top);
    for (lane, &label) in labels.iter().enumerate() {
        let at = sums.at[lane];
        if at == other[lane] && wide[..index(label)].iter().any(|z| z[lane] == at) {
            sums.behind[lane] = 1.0;
        }
    }
    *sums = Sums { other, least, e, square, weighted, ..*sums };
}

/// One row, its classes side by side.
#[inline(always)]
fn many_classes<T: Logit>(z: &[T], label: usize, wide: &mut [Aligned<Lanes>], row: usize, sums: &mut Sums) {
    let (mut least, mut other) = ([f64::INFINITY; LANES], [f64::NEG_INFINITY; LANES]);
    let (blocks, rest) = z.as_chunks::<LANES>();
    for (wide, block) in wide.iter_mut().zip(blocks) {
        let z = block.map(T::widen);
        **wide = z;
        for lane in 0..LANES {
            least[lane] = smaller(z[lane], least[lane]);
        }
    }
    if let Some(wide) = wide.get_mut(blocks.len()) {
        **wide = [f64::NEG_INFINITY; LANES];
        for (lane, x) in rest.iter().enumerate() {
            wide[lane] = x.widen();
            least[lane] = smaller(wide[lane], least[lane]);
        }
    }
    let at = std::mem::replace(&mut wide[label / LANES][label % LANES], f64::NEG_INFINITY);
    for z in wide.iter() {
        for lane in 0..LANES {
            other[lane] = larger(z[lane], other[lane]);
        }
    }
    let other = fold(other, larger);
    let [e, square, weighted] = powers(wide, &[larger(other, at); LANES]);
    sums.at[row] = at;
    sums.other[row] = other;
    sums.least[row] = fold(least, smaller);
    sums.e[row] = fold(e, |a, b| a + b);
    sums.square[row] = fold(square, |a, b| a + b);
    sums.weighted[row] = fold(weighted, |a, b| a + b);
    sums.behind[row] = if at == other && z[..label].iter().any(|x| x.widen() == at) { 1.0 } else { 0.0 };
}

/// The sums of e, e^2 and e t in each lane; -inf adds nothing.
#[inline(always)]
fn powers(z: &[Aligned<Lanes>], top: &Lanes) -> [Lanes; 3] {
    let (mut sum, mut square, mut weighted) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
    for z in z {
        for lane in 0..LANES {
            let t = larger(LEAST, (z[lane] - top[lane]) * LOG2_E);
            let e = exp2(t);
            sum[lane] += e;
            square[lane] += e * e;
            weighted[lane] += e * t;
        }
    }
    [sum, square, weighted]
}

impl Sums {
    /// Whether all rows of `out` are finite.
    #[inline(always)]
    #[allow(clippy::needless_bitwise_bool)] // without a branch: whether an example is right cannot be foreseen
    fn finish(&self, out: &mut [Outcome]) -> bool {
        let mut columns = [[0.0; LANES]; 6];
        for lane in 0..LANES {
            let (at, other, s) = (self.at[lane], self.other[lane], self.e[lane]);
            let d = at - larger(other, at);
            let t = larger(LEAST, d * LOG2_E);
            let e = exp2(t);
            let share = 1.0 / (s + e);
            // The largest e is exactly 1: left out of ln(1 + x), which keeps the digits of a loss near 0.
            let log = ln_1p(if d == 0.0 { s } else { (s - 1.0) + e });
            columns[0][lane] = e * share;
            columns[1][lane] = share;
            columns[2][lane] = larger(log - (self.weighted[lane] + e * t) * LN_2 * share, 0.0);
            columns[3][lane] = log - d;
            columns[4][lane] = at - other;
            columns[5][lane] = (self.square[lane] + s * s).sqrt() * share; // 1 - p[y] = s * share
        }
        let mut finite = true;
        for (lane, out) in out.iter_mut().enumerate() {
            *out = Outcome {
                confidence: columns[0][lane],
                max_confidence: columns[1][lane],
                entropy: columns[2][lane],
                loss: columns[3][lane],
                margin: columns[4][lane],
                el2n: columns[5][lane],
                correct: (columns[4][lane] >= 0.0) & (self.behind[lane] == 0.0),
                finite: (self.least[lane] > f64::NEG_INFINITY) & !columns[0][lane].is_nan(),
            };
            finite &= out.finite;
        }
        finite
    }
}

/// `a` if it is larger, else `b`, also where one is NaN.
#[inline(always)]
fn larger(a: f64, b: f64) -> f64 {
    if a > b { a } else { b }
}

/// `a` if it is smaller, else `b`.
#[inline(always)]
fn smaller(a: f64, b: f64) -> f64 {
    if a < b { a } else { b }
}

/// All lanes by `f`, in halves: the order is fixed and short.
#[inline(always)]
fn fold(mut x: Lanes, f: impl Fn(f64, f64) -> f64) -> f64 {
    let mut len = LANES / 2;
    while len > 0 {
        for lane in 0..len {
            x[lane] = f(x[lane], x[lane + len]);
        }
        len /= 2;
    }
    x[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Level, dispatch_at};

    #[test]
    fn every_path_gives_the_same_bits() {
        for classes in [2, 3, 10, 32, 33, 100, 257] {
            let rows = 37;
            let logits: Vec<f32> =
                (0..rows * classes).map(|i| ((i * 7919 % 1013) as f32 - 500.0) / 40.0 * (i % 5) as f32).collect();
            let labels: Vec<i64> = (0..rows).map(|i| i64::try_from(i * 31 % classes).unwrap()).collect();
            let at = |level| {
                let mut out = vec![Outcome::default(); rows];
                assert!(dispatch_at(level, Rows { logits: &logits, labels: &labels, classes, out: &mut out }));
                out
            };
            let scalar = at(Level::Scalar);
            for &level in Level::all() {
                assert_eq!(at(level), scalar, "{level:?}, {classes} classes");
            }
        }
    }
}
