//! What one row of logits says about one label, for a whole batch at the width of the vector unit.

use half::{bf16, f16};

use crate::parallel::Threads;
use crate::simd::{self, Kernel};

/// Rows or classes that are worked on side by side.
const LANES: usize = 8;
/// Up to this many classes the lanes are rows, above it they are classes.
const FEW_CLASSES: usize = 32;
/// Rows of one piece of parallel work hold about this many logits.
const CHUNK: usize = 1 << 13;
/// exp of less is taken as exp of this: about 1e-308.
const LOWEST: f64 = -708.0;

type Lanes = [f64; LANES];

/// A logit of any precision. All arithmetic is in f64.
pub trait Logit: Copy + Send + Sync {
    /// Its exact value; not finite if it is not.
    fn widen(self) -> f64;
}

impl Logit for f64 {
    #[inline(always)]
    fn widen(self) -> f64 {
        self
    }
}

impl Logit for f32 {
    #[inline(always)]
    fn widen(self) -> f64 {
        f64::from(self)
    }
}

impl Logit for bf16 {
    #[inline(always)]
    fn widen(self) -> f64 {
        f64::from(f32::from_bits(u32::from(self.to_bits()) << 16))
    }
}

impl Logit for f16 {
    /// Without a branch, so that a loop over it vectorises: the bits are read as a tiny f32 and scaled up.
    #[inline(always)]
    fn widen(self) -> f64 {
        const SCALE: f32 = f32::from_bits((127 + 112) << 23); // 2^112: the difference of the exponents' biases
        const EXPONENT: u32 = 0x7C00;
        let bits = u32::from(self.to_bits());
        let magnitude = f32::from_bits((bits & 0x7FFF) << 13) * SCALE;
        let special = if bits & EXPONENT == EXPONENT { f32::NAN } else { 0.0 };
        f64::from(f32::from_bits((magnitude + special).to_bits() | (bits & 0x8000) << 16))
    }
}

/// Logits of a batch, row by row.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub enum Logits<'a> {
    F64(&'a [f64]),
    F32(&'a [f32]),
    F16(&'a [f16]),
    Bf16(&'a [bf16]),
}

impl Logits<'_> {
    /// The number of values.
    pub fn len(&self) -> usize {
        match self {
            Self::F64(x) => x.len(),
            Self::F32(x) => x.len(),
            Self::F16(x) => x.len(),
            Self::Bf16(x) => x.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

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

/// The outcome of each row of `logits` (`labels.len()` rows of `classes` values, every label below `classes`).
pub fn outcomes(logits: Logits<'_>, labels: &[i64], classes: usize, threads: &Threads) -> Vec<Outcome> {
    match logits {
        Logits::F64(z) => each_row(z, labels, classes, threads),
        Logits::F32(z) => each_row(z, labels, classes, threads),
        Logits::F16(z) => each_row(z, labels, classes, threads),
        Logits::Bf16(z) => each_row(z, labels, classes, threads),
    }
}

fn each_row<T: Logit>(logits: &[T], labels: &[i64], classes: usize, threads: &Threads) -> Vec<Outcome> {
    let mut out = vec![Outcome::default(); labels.len()];
    let rows = (CHUNK / classes).next_multiple_of(LANES);
    threads.for_each_chunk(&mut out, rows, |start, out| {
        let end = start + out.len();
        simd::dispatch(Rows {
            logits: &logits[start * classes..end * classes],
            labels: &labels[start..end],
            classes,
            out,
        });
    });
    out
}

struct Rows<'a, T> {
    logits: &'a [T],
    labels: &'a [i64],
    classes: usize,
    out: &'a mut [Outcome],
}

impl<T: Logit> Kernel for Rows<'_, T> {
    type Output = ();

    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // labels were checked against `classes`
    fn run(self) {
        if self.classes <= FEW_CLASSES {
            let logits = self.logits.chunks(LANES * self.classes);
            for ((z, labels), out) in logits.zip(self.labels.chunks(LANES)).zip(self.out.chunks_mut(LANES)) {
                few_classes(z, labels, self.classes, out);
            }
        } else {
            for ((z, &label), out) in self.logits.chunks_exact(self.classes).zip(self.labels).zip(self.out) {
                *out = many_classes(z, label as usize);
            }
        }
    }
}

/// Up to [`LANES`] rows at once, one in each lane, class by class.
#[inline(always)]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn few_classes<T: Logit>(logits: &[T], labels: &[i64], classes: usize, out: &mut [Outcome]) {
    let mut z = [[0.0; LANES]; FEW_CLASSES];
    for (lane, row) in logits.chunks_exact(classes).enumerate() {
        for (k, x) in row.iter().enumerate() {
            z[k][lane] = x.widen();
        }
    }
    let mut label: [usize; LANES] = [0; LANES];
    label.iter_mut().zip(labels).for_each(|(lane, &y)| *lane = y as usize);

    let (mut before, mut after) = ([f64::NEG_INFINITY; LANES], [f64::NEG_INFINITY; LANES]);
    let (mut at, mut poison) = ([0.0; LANES], [0.0; LANES]);
    for (k, z) in z[..classes].iter().enumerate() {
        for lane in 0..LANES {
            let x = z[lane];
            poison[lane] += x * 0.0;
            before[lane] = if k < label[lane] && x > before[lane] { x } else { before[lane] };
            after[lane] = if k > label[lane] && x > after[lane] { x } else { after[lane] };
            at[lane] = if k == label[lane] { x } else { at[lane] };
        }
    }
    let mut top = [0.0; LANES];
    for lane in 0..LANES {
        top[lane] = larger(larger(before[lane], after[lane]), at[lane]);
    }
    let (mut sums, mut own) = (Sums::default(), [0.0; LANES]);
    for (k, z) in z[..classes].iter().enumerate() {
        for lane in 0..LANES {
            let d = larger(z[lane] - top[lane], LOWEST);
            let e = exp(d);
            sums.add(lane, d, if k == label[lane] { 0.0 } else { e });
            own[lane] = if k == label[lane] { e } else { own[lane] };
        }
    }
    for (lane, out) in out.iter_mut().enumerate() {
        let peaks = Peaks { before: before[lane], at: at[lane], after: after[lane], poison: poison[lane] };
        *out = finish(&peaks, own[lane], sums.e[lane], sums.square[lane], sums.weighted[lane]);
    }
}

/// One row, its classes side by side.
#[inline(always)]
fn many_classes<T: Logit>(z: &[T], label: usize) -> Outcome {
    let (left, right) = (&z[..label], &z[label + 1..]);
    let (before, poison_before) = peak(left);
    let (after, poison_after) = peak(right);
    let at = z[label].widen();
    let peaks = Peaks { before, at, after, poison: poison_before + poison_after + at * 0.0 };
    let top = larger(larger(before, after), at);
    let mut sums = Sums::default();
    for part in [left, right] {
        let (eights, rest) = part.as_chunks::<LANES>();
        for eight in eights {
            for lane in 0..LANES {
                let d = larger(eight[lane].widen() - top, LOWEST);
                sums.add(lane, d, exp(d));
            }
        }
        for (lane, x) in rest.iter().enumerate() {
            let d = larger(x.widen() - top, LOWEST);
            sums.add(lane, d, exp(d));
        }
    }
    let own = exp(larger(at - top, LOWEST));
    finish(&peaks, own, sum(sums.e), sum(sums.square), sum(sums.weighted))
}

/// The largest of `z`, and 0 if all are finite (else NaN).
#[inline(always)]
fn peak<T: Logit>(z: &[T]) -> (f64, f64) {
    let (mut top, mut poison) = ([f64::NEG_INFINITY; LANES], [0.0; LANES]);
    let (eights, rest) = z.as_chunks::<LANES>();
    for eight in eights {
        for lane in 0..LANES {
            let x = eight[lane].widen();
            poison[lane] += x * 0.0;
            top[lane] = larger(x, top[lane]);
        }
    }
    for (lane, x) in rest.iter().enumerate() {
        let x = x.widen();
        poison[lane] += x * 0.0;
        top[lane] = larger(x, top[lane]);
    }
    (top.into_iter().fold(f64::NEG_INFINITY, larger), sum(poison))
}

/// Over the classes other than the label: d = z - max z, e = exp(d).
#[derive(Default)]
struct Sums {
    e: Lanes,
    square: Lanes,
    weighted: Lanes,
}

impl Sums {
    #[inline(always)]
    fn add(&mut self, lane: usize, d: f64, e: f64) {
        self.e[lane] += e;
        self.square[lane] += e * e;
        self.weighted[lane] += e * d;
    }
}

/// The label's logit and the largest ones before and after it.
struct Peaks {
    before: f64,
    at: f64,
    after: f64,
    poison: f64, // NaN if any logit is not finite
}

/// From e of the label and the sums over the other classes: `s` of e, `q` of e^2, `t` of e d.
#[inline(always)]
fn finish(peaks: &Peaks, e: f64, s: f64, q: f64, t: f64) -> Outcome {
    let Peaks { before, at, after, poison } = *peaks;
    let other = larger(before, after);
    let d = at - larger(other, at);
    let total = s + e;
    // ln(1 + s) keeps the digits of a loss near 0.
    let log = if d == 0.0 { s.ln_1p() } else { total.ln() };
    Outcome {
        confidence: e / total,
        max_confidence: 1.0 / total,
        entropy: larger(log - (t + e * larger(d, LOWEST)) / total, 0.0),
        loss: log - d,
        margin: at - other,
        el2n: (q + s * s).sqrt() / total, // 1 - p[y] = s / total
        correct: at > before && at >= after,
        finite: poison == 0.0,
    }
}

#[inline(always)]
fn larger(a: f64, b: f64) -> f64 {
    if a > b { a } else { b }
}

/// In pairs, so that the order is fixed.
#[inline(always)]
fn sum(x: Lanes) -> f64 {
    ((x[0] + x[4]) + (x[2] + x[6])) + ((x[1] + x[5]) + (x[3] + x[7]))
}

/// exp of a number in [-708, 0] to about 1 unit in the last place, without a branch: 2^n times Taylor's series on
/// |r| <= ln(2) / 2.
#[inline(always)]
fn exp(d: f64) -> f64 {
    const ROUND: f64 = 6_755_399_441_055_744.0; // 1.5 * 2^52: adding it leaves the nearest integer in the low bits
    const LN2_HIGH: f64 = 6.931_471_803_691_238e-1; // its 20 low bits are 0, so that n * LN2_HIGH is exact
    const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    const TERMS: [f64; 14] = {
        let mut terms = [1.0; 14];
        let mut k = 1;
        while k < 14 {
            terms[k] = terms[k - 1] / k as f64;
            k += 1;
        }
        terms
    };
    let shifted = d * std::f64::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (d - n * LN2_HIGH) - n * LN2_LOW;
    let mut series = TERMS[13];
    let mut k = 13;
    while k > 0 {
        k -= 1;
        series = series * r + TERMS[k];
    }
    let scale = f64::from_bits((shifted.to_bits() << 52).wrapping_add(1023 << 52)); // 2^n
    series * scale
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Level, dispatch_at};

    #[test]
    fn exp_is_exact_to_the_last_bits() {
        assert_eq!(exp(0.0).to_bits(), 1.0_f64.to_bits());
        for i in 0..70_800 {
            let d = -f64::from(i) / 100.0;
            let error = (exp(d) / d.exp() - 1.0).abs();
            assert!(error < 4e-16, "exp({d}) is off by {error:e}");
        }
    }

    #[test]
    fn half_precision_widens_exactly() {
        for bits in 0..=u16::MAX {
            let (x, y) = (f16::from_bits(bits), bf16::from_bits(bits));
            let (x64, y64) = (x.to_f64(), y.to_f64());
            assert_eq!(x.widen().is_finite(), x64.is_finite(), "{bits:#x}");
            assert!(!x64.is_finite() || x.widen().to_bits() == x64.to_bits(), "{bits:#x}");
            assert!(y64.is_nan() || y.widen().to_bits() == y64.to_bits(), "{bits:#x}");
        }
    }

    #[test]
    fn every_path_gives_the_same_bits() {
        for classes in [2, 3, 10, 32, 33, 100, 257] {
            let rows = 37;
            let logits: Vec<f32> =
                (0..rows * classes).map(|i| ((i * 7919 % 1013) as f32 - 500.0) / 40.0 * (i % 5) as f32).collect();
            let labels: Vec<i64> = (0..rows).map(|i| i64::try_from(i * 31 % classes).unwrap()).collect();
            let at = |level| {
                let mut out = vec![Outcome::default(); rows];
                dispatch_at(level, Rows { logits: &logits, labels: &labels, classes, out: &mut out });
                out
            };
            let scalar = at(Level::Scalar);
            for &level in Level::all() {
                assert_eq!(at(level), scalar, "{level:?}, {classes} classes");
            }
        }
    }
}
