//! What one row of logits says about one label, for a whole batch at the width of the vector unit.

#![allow(clippy::float_cmp)] // ties are equal to the last bit

use std::array::from_fn;
use std::hint::black_box;

use super::exp::{LEAST, exp, ln_1p};
use super::index;
use crate::logits::{Float, Logit, Logits};
use crate::simd::{self, Aligned, Kernel, Unit};

/// Rows or classes that are worked on side by side: two vectors of the widest unit, so that it need not wait for one.
pub const LANES: usize = 16;
/// Up to this many classes the lanes are rows, above it they are classes.
const FEW_CLASSES: usize = 128;
/// How many logits before their turn they are asked for, at least: what memory takes to answer.
const AHEAD: usize = 1024;

type Lanes<T = f64> = [T; LANES];

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

/// The outcomes of [`LANES`] rows, column by column, as they come out of vectors.
#[derive(Debug, Clone, Default)]
pub struct Outcomes {
    columns: [Lanes; 6], // in the order of `Outcome`
    correct: Lanes<bool>,
    finite: Lanes<bool>,
}

impl Outcomes {
    /// One of the rows.
    #[inline(always)]
    pub fn row(&self, lane: usize) -> Outcome {
        let [confidence, max_confidence, entropy, loss, margin, el2n] = from_fn(|k| self.columns[k][lane]);
        let (correct, finite) = (self.correct[lane], self.finite[lane]);
        Outcome { confidence, max_confidence, entropy, loss, margin, el2n, correct, finite }
    }
}

/// The outcomes of the rows of `logits` (`labels.len()` rows of `classes` values, every label below `classes`), of
/// [`LANES`] in each place of `out`, and whether all are finite. Lanes beyond the last row repeat some row.
pub fn outcomes(logits: Logits<'_>, labels: &[i64], classes: usize, out: &mut [Outcomes]) -> bool {
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
    out: &'a mut [Outcomes],
}

impl<T: Logit> Kernel for Rows<'_, T> {
    /// Whether every logit is finite.
    type Output = bool;

    #[inline(always)]
    fn run<U: Unit>(self) -> bool {
        let Self { logits, labels, classes, out } = self;
        let few = classes <= FEW_CLASSES;
        let blocks = if few { classes.next_multiple_of(LANES) } else { classes.div_ceil(LANES) };
        let mut exact = vec![Aligned([T::Float::from(f32::NEG_INFINITY); LANES]); blocks];
        let ahead = AHEAD.max(if few { LANES * classes } else { classes });
        let mut finite = true;
        for (block, (labels, out)) in labels.chunks(LANES).zip(out).enumerate() {
            let logits = &logits[block * LANES * classes..];
            let mut sums = Sums::default();
            if few {
                let next = logits.get(ahead..).unwrap_or_default();
                few_classes::<T, U>(logits, labels, classes, &mut exact, next, &mut sums);
            } else {
                for (row, &label) in labels.iter().enumerate() {
                    let z = &logits[row * classes..];
                    let next = z.get(ahead..).unwrap_or_default();
                    many_classes::<T, U>(&z[..classes], index(label), &mut exact, next, row, &mut sums);
                }
            }
            finite &= sums.finish::<U>(out, labels.len());
        }
        finite
    }
}

/// Of [`LANES`] rows. Over the classes other than the label: d = z - max z, e = exp(d).
#[derive(Default)]
struct Sums {
    at: Lanes,    // the label's z
    other: Lanes, // the largest other z
    least: Lanes, // the smallest z
    e: Lanes,
    square: Lanes,   // of e
    weighted: Lanes, // e d
    behind: Lanes,   // 1 where a class before the label has the same z, else 0
}

/// Up to [`LANES`] rows at once, one in each lane, class by class. They are turned into `columns`.
#[inline(always)]
fn few_classes<T: Logit, U: Unit>(
    logits: &[T],
    labels: &[i64],
    classes: usize,
    columns: &mut [Aligned<Lanes<T::Float>>],
    next: &[T],
    sums: &mut Sums,
) {
    for (square, k) in columns.as_chunks_mut().0.iter_mut().zip((0..).step_by(LANES)) {
        for (row, z) in square.iter_mut().enumerate() {
            // Lanes beyond the last row repeat it. A row is read on into the next one, if there is one.
            let from = &logits[row.min(labels.len() - 1) * classes + k..];
            match from.first_chunk::<LANES>() {
                Some(from) => (0..LANES).for_each(|lane| z[lane] = from[lane].exact()),
                None => z.iter_mut().zip(from).for_each(|(z, x)| *z = x.exact()),
            }
        }
        T::Float::turn::<U>(square);
    }
    let columns = &mut columns[..classes];
    let mut least = [T::Float::from(f32::INFINITY); LANES];
    let mut other = [T::Float::from(f32::NEG_INFINITY); LANES];
    for z in columns.iter() {
        for lane in 0..LANES {
            least[lane] = smaller(z[lane], least[lane]);
        }
    }
    for (lane, &label) in labels.iter().enumerate() {
        sums.at[lane] = std::mem::replace(&mut columns[index(label)][lane], T::Float::from(f32::NEG_INFINITY)).into();
    }
    for z in columns.iter() {
        for lane in 0..LANES {
            other[lane] = larger(z[lane], other[lane]);
        }
    }
    sums.least = black_box(least).map(T::Float::into); // or the compiler takes the lanes apart in the loop
    sums.other = black_box(other).map(T::Float::into);
    let mut top = [0.0; LANES];
    for lane in 0..LANES {
        top[lane] = larger(sums.other[lane], sums.at[lane]);
    }
    let [e, square, weighted] = powers::<T, U>(columns, &top, next);
    (sums.e, sums.square, sums.weighted) = (store::<U>(e), store::<U>(square), store::<U>(weighted));
    if (0..LANES).any(|lane| sums.at[lane] == sums.other[lane]) {
        for (lane, &label) in labels.iter().enumerate() {
            let at = sums.at[lane];
            if at == sums.other[lane] && columns[..index(label)].iter().any(|z| z[lane].into() == at) {
                sums.behind[lane] = 1.0;
            }
        }
    }
}

/// One row, its classes side by side. It is copied into `blocks`.
#[inline(always)]
fn many_classes<T: Logit, U: Unit>(
    z: &[T],
    label: usize,
    blocks: &mut [Aligned<Lanes<T::Float>>],
    next: &[T],
    row: usize,
    sums: &mut Sums,
) {
    let none = T::Float::from(f32::NAN); // neither less nor more than anything
    let (whole, rest) = z.as_chunks::<LANES>();
    for (block, z) in blocks.iter_mut().zip(whole) {
        **block = z.map(T::exact);
    }
    if let Some(block) = blocks.get_mut(whole.len()) {
        **block = from_fn(|lane| rest.get(lane).map_or(none, |x| x.exact()));
    }
    let at = std::mem::replace(&mut blocks[label / LANES][label % LANES], none);
    let mut least = [T::Float::from(f32::INFINITY); LANES];
    let mut other = [T::Float::from(f32::NEG_INFINITY); LANES];
    for z in blocks.iter() {
        for lane in 0..LANES {
            least[lane] = smaller(z[lane], least[lane]);
            other[lane] = larger(z[lane], other[lane]);
        }
    }
    let other = fold(other, larger);
    blocks[label / LANES][label % LANES] = T::Float::from(f32::NEG_INFINITY);
    if let Some(block) = blocks.get_mut(whole.len()) {
        block[rest.len()..].fill(T::Float::from(f32::NEG_INFINITY));
    }
    let powers = powers::<T, U>(blocks, &[larger(other, at).into(); LANES], next);
    sums.at[row] = at.into();
    sums.other[row] = other.into();
    sums.least[row] = smaller(at, fold(least, smaller)).into();
    sums.e[row] = U::sum(U::add(powers[0][0], powers[0][1]));
    sums.square[row] = U::sum(U::add(powers[1][0], powers[1][1]));
    sums.weighted[row] = U::sum(U::add(powers[2][0], powers[2][1]));
    sums.behind[row] = if at == other && z[..label].iter().any(|x| x.exact() == at) { 1.0 } else { 0.0 };
}

/// The sums of e, e^2 and e d in each lane; -inf adds nothing. Meanwhile the logits in `next` are asked for.
#[inline(always)]
fn powers<T: Logit, U: Unit>(z: &[Aligned<Lanes<T::Float>>], top: &Lanes, next: &[T]) -> [[U::Eight; 2]; 3] {
    let tops = load::<U>(top);
    let (mut sum, mut square, mut weighted) = ([U::splat(0.0); 2], [U::splat(0.0); 2], [U::splat(0.0); 2]);
    let next = next.as_chunks::<LANES>().0;
    for (block, z) in z.iter().enumerate() {
        if let Some(next) = next.get(block) {
            simd::prefetch(next);
        }
        for (half, z) in z.as_chunks().0.iter().enumerate() {
            let d = U::larger(U::splat(LEAST), U::subtract(T::Float::widen::<U>(z), tops[half]));
            let e = exp::<U>(d);
            sum[half] = U::add(sum[half], e);
            square[half] = U::multiply_add(e, e, square[half]);
            weighted[half] = U::multiply_add(e, d, weighted[half]);
        }
    }
    [sum, square, weighted]
}

#[inline(always)]
fn load<U: Unit>(lanes: &Lanes) -> [U::Eight; 2] {
    let halves = lanes.as_chunks().0;
    [U::load(&halves[0]), U::load(&halves[1])]
}

#[inline(always)]
fn store<U: Unit>(halves: [U::Eight; 2]) -> Lanes {
    let [low, high] = [U::store(halves[0]), U::store(halves[1])];
    from_fn(|lane| if lane < 8 { low[lane] } else { high[lane - 8] })
}

impl Sums {
    /// Whether the first `rows` are finite.
    #[inline(always)]
    #[allow(clippy::needless_bitwise_bool)] // without a branch: whether an example is right cannot be foreseen
    fn finish<U: Unit>(&self, out: &mut Outcomes, rows: usize) -> bool {
        let (columns, mut own) = (&mut out.columns, [0.0; LANES]);
        for lane in 0..LANES {
            own[lane] = larger(LEAST, self.at[lane] - larger(self.other[lane], self.at[lane]));
        }
        let [low, high] = load::<U>(&own);
        let own_e = store::<U>([exp::<U>(low), exp::<U>(high)]);
        for lane in 0..LANES {
            let (at, other, s) = (self.at[lane], self.other[lane], self.e[lane]);
            let (d, e) = (at - larger(other, at), own_e[lane]);
            let share = 1.0 / (s + e);
            // The largest e is exactly 1: left out of ln(1 + x), which keeps the digits of a loss near 0.
            let log = ln_1p::<U>(if d == 0.0 { s } else { (s - 1.0) + e });
            columns[0][lane] = e * share;
            columns[1][lane] = share;
            columns[2][lane] = larger(log - U::mul_add(e, own[lane], self.weighted[lane]) * share, 0.0);
            columns[3][lane] = log - d;
            columns[4][lane] = at - other;
            columns[5][lane] = U::mul_add(s, s, self.square[lane]).sqrt() * share; // 1 - p[y] = s * share
        }
        for lane in 0..LANES {
            out.correct[lane] = (columns[4][lane] >= 0.0) & (self.behind[lane] == 0.0);
            out.finite[lane] = (self.least[lane] > f64::NEG_INFINITY) & !columns[0][lane].is_nan();
        }
        out.finite[..rows].iter().all(|&finite| finite)
    }
}

/// `a` if it is larger, else `b`, also where one is NaN.
#[inline(always)]
fn larger<T: PartialOrd>(a: T, b: T) -> T {
    if a > b { a } else { b }
}

/// `a` if it is smaller, else `b`.
#[inline(always)]
fn smaller<T: PartialOrd>(a: T, b: T) -> T {
    if a < b { a } else { b }
}

/// All lanes by `f`, in halves: the order is fixed and short.
#[inline(always)]
fn fold<T: Copy>(x: Lanes<T>, f: impl Fn(T, T) -> T) -> T {
    let mut x = black_box(x); // or the compiler takes the lanes apart in the loop before
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
    use half::{bf16, f16};

    use super::*;
    use crate::simd::{Level, dispatch_at};

    /// The outcomes of 37 rows.
    fn at<T: Logit>(level: Level, classes: usize, logit: impl Fn(f32) -> T) -> Vec<Outcome> {
        let rows = 37;
        let number = |i: usize| ((i * 7919 % 1013) as f32 - 500.0) / 40.0 * (i % 5) as f32;
        let logits: Vec<T> = (0..rows * classes).map(number).map(logit).collect();
        let labels: Vec<i64> = (0..rows).map(|i| i64::try_from(i * 31 % classes).unwrap()).collect();
        let mut out = vec![Outcomes::default(); rows.div_ceil(LANES)];
        assert!(dispatch_at(level, Rows { logits: &logits, labels: &labels, classes, out: &mut out }));
        (0..rows).map(|row| out[row / LANES].row(row % LANES)).collect()
    }

    fn compare<T: Logit>(logit: impl Fn(f32) -> T + Copy) {
        for classes in [2, 3, 10, 16, 33, 100, 128, 129, 257] {
            let (plain, best) = (at(Level::Scalar, classes, logit), at(Level::best(), classes, logit));
            for &level in &Level::all()[1..] {
                assert_eq!(at(level, classes, logit), best, "{level:?}, {classes} classes");
            }
            for (a, b) in plain.iter().zip(&best) {
                let columns = |x: &Outcome| [x.confidence, x.max_confidence, x.entropy, x.loss, x.margin, x.el2n];
                for (a, b) in columns(a).into_iter().zip(columns(b)) {
                    assert!((a - b).abs() <= 1e-13 * b.abs(), "{a} and {b}, {classes} classes");
                }
                assert_eq!((a.correct, a.finite), (b.correct, b.finite));
            }
        }
    }

    #[test]
    fn every_path_that_multiplies_and_adds_at_once_gives_the_same_bits_and_the_plain_one_the_same_to_rounding() {
        compare(|x| x);
        compare(f64::from);
        compare(f16::from_f32);
        compare(bf16::from_f32);
    }
}
