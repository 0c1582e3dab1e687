//! Memorization by how sure the models are.

use half::{bf16, f16};

use crate::bits::zeroed;
use crate::ensemble::Memorization;
use crate::ensemble::out_of_sample::first_bad;
use crate::error::Error;
use crate::logits::{Logit, Logits};
use crate::parallel::Threads;
use crate::simd::{Kernel, Unit, dispatch};

/// Examples that one piece of parallel work covers: their sums stay in the cache from model to model.
const CHUNK: usize = 4096;

/// The sums of p and of its square over the models that were trained on an example, and over the others.
type Sums = [[f64; 2]; 2];

/// Mean p of the models trained on each example minus that of the others, gathered from some models at a time: 36 bytes an example.
///
/// The standard error is that of the difference of two means: `sqrt(s_in^2 / n_in + s_out^2 / n_out)`, with the unbiased
/// variances `s^2` of p on each side.
#[derive(Debug, Clone)]
pub struct SoftMemorization {
    sums: Vec<Sums>,
    inside: Vec<u32>, // models that were trained on the example
    models: u32,
}

impl SoftMemorization {
    /// For `n` examples.
    ///
    /// # Errors
    /// If memory cannot hold them.
    pub fn new(n: usize) -> Result<Self, Error> {
        let (sums, inside) = zeroed(n).zip(zeroed(n)).ok_or(Error::Memory { name: "confidence", n })?;
        Ok(Self { sums, inside, models: 0 })
    }

    /// Adds models, row by row: whether each was trained on each example, and its p of each.
    ///
    /// # Errors
    /// If the lengths do not fit, or a value is not in \[0, 1\]. Nothing is added then.
    pub fn add(&mut self, member: &[bool], p: Logits<'_>, models: u32, threads: &Threads) -> Result<(), Error> {
        let expected = self.sums.len().saturating_mul(models as usize);
        Error::check_length("member", member.len(), expected, "the models and examples")?;
        Error::check_length("confidence", p.len(), expected, "the models and examples")?;
        match p {
            Logits::F64(p) => self.add_as::<f64>(member, p, models, threads),
            Logits::F32(p) => self.add_as::<f32>(member, p, models, threads),
            Logits::F16(p) => self.add_as::<f16>(member, p, models, threads),
            Logits::Bf16(p) => self.add_as::<bf16>(member, p, models, threads),
        }
    }

    fn add_as<T: Logit>(&mut self, member: &[bool], p: &[T], models: u32, threads: &Threads) -> Result<(), Error> {
        let n = self.sums.len();
        if let Some(place) = first_bad(p, CHUNK, threads) {
            let model = self.models as usize + place / n;
            return Err(Error::Confidence { value: p[place].widen(), id: place % n, model });
        }
        let chunks = self.sums.chunks_mut(CHUNK).zip(self.inside.chunks_mut(CHUNK)).enumerate();
        threads.to_the_end().each(chunks.collect(), |(chunk, (sums, inside))| {
            for first in (chunk * CHUNK..).step_by(n).take(models as usize) {
                dispatch(Add { sums, inside, member: &member[first..], p: &p[first..] });
            }
        });
        self.models += models;
        Ok(())
    }

    /// The scores; NaN for an example that every model was trained on, or none. The standard error is NaN where a side
    /// has fewer than 2 models, too.
    pub fn finish(&self) -> Memorization {
        let mut found = Memorization::default();
        for (sums, &n_in) in self.sums.iter().zip(&self.inside) {
            let counts = [n_in, self.models - n_in];
            let [inside, outside] = [0, 1].map(|side| mean_and_error(sums[side], counts[side]));
            found.score.push(inside.0 - outside.0);
            found.std_error.push((inside.1 + outside.1).sqrt());
            found.n_in.push(counts[0].into());
            found.n_out.push(counts[1].into());
        }
        found
    }
}

/// The mean of n values and its squared standard error, from their sum and that of their squares.
fn mean_and_error([sum, squares]: [f64; 2], n: u32) -> (f64, f64) {
    let count = f64::from(n);
    let mean = sum / count; // 0 / 0 is NaN
    let spread = (squares / count - mean * mean).max(0.0);
    (mean, if n > 1 { spread / (count - 1.0) } else { f64::NAN })
}

/// Adds one model to some examples.
struct Add<'a, T> {
    sums: &'a mut [Sums],
    inside: &'a mut [u32],
    member: &'a [bool],
    p: &'a [T],
}

impl<T: Logit> Kernel for Add<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<U: Unit>(self) {
        let rows = self.sums.iter_mut().zip(self.inside).zip(self.member.iter().zip(self.p));
        for ((sums, inside), (&seen, p)) in rows {
            let (p, side) = (p.widen(), &mut sums[usize::from(!seen)]);
            side[0] += p;
            side[1] += p * p;
            *inside += u32::from(seen);
        }
    }
}
