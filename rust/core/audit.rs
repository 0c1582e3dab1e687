//! Audits: can anyone tell members from others, or an unlearned model from one that never saw the example?
//!
//! Their input is φ = ln p\[y\] - ln(sum of the other p), the log-odds of the true label, one row for each model.

use std::ops::Range;

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

    /// Writes φ of one model on some examples to the front of `out`; false if one of them is not a number of sane size.
    #[inline(always)]
    fn read(&self, model: usize, examples: &Range<usize>, out: &mut [f64]) -> bool {
        let (start, end) = (model * self.n + examples.start, model * self.n + examples.end);
        match self.values {
            Logits::F64(x) => self.widen(x, start..end, out),
            Logits::F32(x) => self.widen(x, start..end, out),
            Logits::F16(x) => self.widen::<f16>(x, start..end, out),
            Logits::Bf16(x) => self.widen::<bf16>(x, start..end, out),
        }
    }

    /// While it reads a part of a row, it asks for the same part of a row further down, which no CPU foresees.
    #[inline(always)]
    fn widen<T: Logit>(&self, values: &[T], part: Range<usize>, out: &mut [f64]) -> bool {
        let ahead = part.start + AHEAD * self.n..part.end + AHEAD * self.n;
        if part.len() <= WIDTH
            && let Some(ahead) = values.get(ahead)
        {
            ahead.iter().step_by(CACHE_LINE / size_of::<T>()).for_each(simd::prefetch);
        }
        let mut sane = true;
        for (x, to) in values[part].iter().zip(out) {
            *to = x.widen();
            sane &= to.abs() <= LARGEST; // false for NaN
        }
        sane
    }

    /// The error that names the first φ that [`Phi::read`] refused.
    fn refused(&self) -> Error {
        let mut value = [0.0];
        let bad = |at: &usize| !self.read(at / self.n, &(at % self.n..at % self.n + 1), &mut value);
        let at = (0..self.models * self.n).find(bad).unwrap_or(0);
        Error::Phi { name: self.name, model: at / self.n, id: at % self.n }
    }
}
