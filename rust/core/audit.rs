//! Audits: can anyone tell members from others, or an unlearned model from one that never saw the example?
//!
//! Their input is φ = ln p\[y\] - ln(sum of the other p), the log-odds of the true label, one row for each model.

use std::ops::{Neg, Range};

use half::{bf16, f16};

use crate::error::Error;
use crate::logits::{Logit, Logits};
use crate::simd::{self, CACHE_LINE};

pub mod epsilon;
pub mod klom;
pub mod lira;
pub mod rmia;
pub mod roc;
pub mod tow;

/// Examples of one piece of work: the running sums of a kernel stay in the cache, and rows are read by the kilobyte.
const WIDTH: usize = 256;

/// Models whose φ are asked for before they are read.
const AHEAD: usize = 8;

/// No φ is larger: the square of a difference must fit into an f64.
pub const LARGEST: f64 = 1e150;

/// φ of `models` models (rows) on `n` examples (columns), in any precision. All arithmetic is in f64.
#[derive(Clone, Copy, Debug)]
pub struct Phi<'a> {
    name: &'static str,
    values: Logits<'a>,
    models: usize,
    n: usize,
}

impl<'a> Phi<'a> {
    /// `name` is what errors call it.
    ///
    /// # Errors
    /// If there are not `models * n` values.
    pub fn new(name: &'static str, values: Logits<'a>, models: usize, n: usize) -> Result<Self, Error> {
        let expected = models.checked_mul(n).ok_or(Error::TooLarge { name, shape: (models, n) })?;
        Error::check_length(name, values.len(), expected, "its shape")?;
        Ok(Self { name, values, models, n })
    }

    /// Models (rows).
    pub fn models(&self) -> usize {
        self.models
    }

    /// Examples (columns).
    pub fn n(&self) -> usize {
        self.n
    }

    fn same_n(&self, other: &Self) -> Result<(), Error> {
        let (expected, got) = ((other.models, self.n), (other.models, other.n));
        if other.n == self.n { Ok(()) } else { Err(Error::Shape { name: other.name, expected, other: self.name, got }) }
    }

    fn same_shape<T>(&self, name: &'static str, mask: Option<&[T]>) -> Result<(), Error> {
        mask.map_or(Ok(()), |mask| Error::check_length(name, mask.len(), self.models * self.n, self.name))
    }

    /// Writes φ of one model on some examples to the front of `out`; false if f32 could not hold them all, or one of them
    /// is not a number of sane size.
    #[inline(always)]
    fn read<F: Precision>(&self, model: usize, examples: &Range<usize>, out: &mut [F]) -> bool {
        F::read(self.values, model * self.n + examples.start..model * self.n + examples.end, self.n, out)
    }

    /// The error that names the first φ that [`Phi::read`] refused.
    fn refused(&self) -> Error {
        let mut value = [0.0_f64];
        let bad = |at: &usize| !self.read(at / self.n, &(at % self.n..at % self.n + 1), &mut value);
        let at = (0..self.models * self.n).find(bad).unwrap_or(0);
        Error::Phi { name: self.name, model: at / self.n, id: at % self.n }
    }
}

/// What φ are read as: f64, or f32 where it holds them all.
trait Precision: Copy + PartialOrd + Into<f64> + Default + Neg<Output = Self> {
    const INFINITY: Self;

    /// See [`Phi::read`]; `row` values are in a row.
    fn read(values: Logits<'_>, part: Range<usize>, row: usize, out: &mut [Self]) -> bool;

    fn sane(self) -> bool;
}

impl Precision for f64 {
    const INFINITY: Self = Self::INFINITY;

    #[inline(always)]
    fn read(values: Logits<'_>, part: Range<usize>, row: usize, out: &mut [Self]) -> bool {
        match values {
            Logits::F64(x) => copy(x, part, row, out),
            Logits::F32(x) => copy(x, part, row, out),
            Logits::F16(x) => copy::<f16, _>(x, part, row, out),
            Logits::Bf16(x) => copy::<bf16, _>(x, part, row, out),
        }
    }

    #[inline(always)]
    fn sane(self) -> bool {
        self.abs() <= LARGEST // false for NaN
    }
}

impl Precision for f32 {
    const INFINITY: Self = Self::INFINITY;

    #[inline(always)]
    fn read(values: Logits<'_>, part: Range<usize>, row: usize, out: &mut [Self]) -> bool {
        match values {
            Logits::F64(_) => false,
            Logits::F32(x) => copy(x, part, row, out),
            Logits::F16(x) => copy::<f16, _>(x, part, row, out),
            Logits::Bf16(x) => copy::<bf16, _>(x, part, row, out),
        }
    }

    #[inline(always)]
    fn sane(self) -> bool {
        self.abs() <= Self::MAX
    }
}

/// While it reads a part of a row, it asks for the same part of a row further down, which no CPU foresees.
#[inline(always)]
fn copy<T: Logit, F: Precision + From<T::Float>>(values: &[T], part: Range<usize>, row: usize, out: &mut [F]) -> bool {
    let ahead = part.start + AHEAD * row..part.end + AHEAD * row;
    if part.len() <= WIDTH
        && let Some(ahead) = values.get(ahead)
    {
        ahead.iter().step_by(CACHE_LINE / size_of::<T>()).for_each(simd::prefetch);
    }
    let mut sane = true;
    for (x, to) in values[part].iter().zip(out) {
        *to = F::from(x.exact());
        sane &= to.sane();
    }
    sane
}
