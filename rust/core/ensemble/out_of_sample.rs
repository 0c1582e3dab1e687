//! What the models that have not seen an example say about it.

use half::{bf16, f16};

use crate::bits::zeroed;
use crate::error::Error;
use crate::logits::{Logit, Logits};
use crate::parallel::Threads;
use crate::simd::{Kernel, Unit, dispatch};

/// Examples that one piece of parallel work covers.
const CHUNK: usize = 1024;

/// Mean softmax of each example over the models that were not trained on it, gathered model by model.
///
/// Holds one sum for each example and class: O(n C), whatever the number of models.
#[derive(Debug, Clone)]
pub struct OutOfSample {
    sums: Vec<f64>, // row-major (n, C)
    models: Vec<u32>,
    classes: usize,
}

impl OutOfSample {
    /// For `n` examples and `classes` classes.
    ///
    /// # Errors
    /// If the sums have more elements than memory can hold.
    pub fn new(n: usize, classes: usize) -> Result<Self, Error> {
        let sums = n.checked_mul(classes).and_then(zeroed);
        let sums = sums.ok_or(Error::TooLarge { name: "probs", shape: (n, classes) })?;
        Ok(Self { sums, models: vec![0; n], classes })
    }

    /// Adds one model: whether it was trained on each example, and its probabilities (n, C).
    ///
    /// # Errors
    /// If the lengths do not fit, or a value is not in \[0, 1\]. Nothing is added then.
    pub fn add(&mut self, member: &[bool], probs: Logits<'_>, threads: &Threads) -> Result<(), Error> {
        Error::check_length("member", member.len(), self.models.len(), "the examples of the other models")?;
        Error::check_length("probs", probs.len(), self.sums.len(), "the examples and classes of the other models")?;
        match probs {
            Logits::F64(p) => self.add_as::<f64>(member, p, threads),
            Logits::F32(p) => self.add_as::<f32>(member, p, threads),
            Logits::F16(p) => self.add_as::<f16>(member, p, threads),
            Logits::Bf16(p) => self.add_as::<bf16>(member, p, threads),
        }
    }

    fn add_as<T: Logit>(&mut self, member: &[bool], probs: &[T], threads: &Threads) -> Result<(), Error> {
        let classes = self.classes;
        let chunk = CHUNK * classes;
        if let Some(place) = first_bad(probs, chunk, threads) {
            return Err(Error::Probability { value: probs[place].widen(), id: place / classes });
        }
        threads.to_the_end().for_each_chunk(&mut self.sums, chunk, |start, sums| {
            let member = &member[start / classes..];
            dispatch(Add { sums, probs: &probs[start..], member, classes });
        });
        for (models, seen) in self.models.iter_mut().zip(member) {
            *models += u32::from(!*seen);
        }
        Ok(())
    }

    /// The means, row-major (n, C); NaN where every model was trained on the example.
    ///
    /// # Errors
    /// If memory cannot hold them.
    pub fn mean(&self, threads: &Threads) -> Result<Vec<f64>, Error> {
        let shape = (self.models.len(), self.classes);
        let mut mean = zeroed(self.sums.len()).ok_or(Error::TooLarge { name: "probs", shape })?;
        threads.for_each_chunk(&mut mean, CHUNK * self.classes, |start, mean| {
            let rows = mean.chunks_exact_mut(self.classes).zip(self.sums[start..].chunks_exact(self.classes));
            for ((mean, sums), &models) in rows.zip(&self.models[start / self.classes..]) {
                for (mean, sum) in mean.iter_mut().zip(sums) {
                    *mean = sum / f64::from(models); // 0 / 0 is NaN
                }
            }
        });
        Ok(mean)
    }
}

/// Where the first value is that is not in \[0, 1\].
pub(super) fn first_bad<T: Logit>(probs: &[T], chunk: usize, threads: &Threads) -> Option<usize> {
    let valid = threads.map_chunks(probs.len(), chunk, |range| dispatch(Valid(&probs[range])));
    if valid.contains(&false) { probs.iter().position(|&p| !is_probability(p)) } else { None }
}

/// Whether a value is in \[0, 1\].
#[inline(always)]
fn is_probability<T: Logit>(p: T) -> bool {
    let p = p.exact();
    (p >= T::Float::from(0.0)) & (p <= T::Float::from(1.0))
}

/// Whether all values are.
struct Valid<'a, T>(&'a [T]);

impl<T: Logit> Kernel for Valid<'_, T> {
    type Output = bool;

    #[inline(always)]
    fn run<U: Unit>(self) -> bool {
        self.0.iter().fold(true, |all, &p| all & is_probability(p))
    }
}

/// Adds the rows of examples that the model has not seen.
struct Add<'a, T> {
    sums: &'a mut [f64],
    probs: &'a [T],
    member: &'a [bool],
    classes: usize,
}

impl<T: Logit> Kernel for Add<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<U: Unit>(self) {
        let rows = self.sums.chunks_exact_mut(self.classes).zip(self.probs.chunks_exact(self.classes));
        for ((sums, probs), _) in rows.zip(self.member).filter(|(_, seen)| !**seen) {
            for (sum, p) in sums.iter_mut().zip(probs) {
                *sum += p.widen();
            }
        }
    }
}
