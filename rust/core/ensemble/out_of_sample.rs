//! What the models that have not seen an example say about it.

use half::{bf16, f16};

use crate::error::Error;
use crate::logits::{Logit, Logits};
use crate::parallel::Threads;

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
        let too_large = || Error::TooLarge { name: "probs", shape: (n, classes) };
        let len = n.checked_mul(classes).ok_or_else(too_large)?;
        let mut sums = Vec::new();
        sums.try_reserve_exact(len).map_err(|_| too_large())?;
        sums.resize(len, 0.0);
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
        let bad = threads.map_chunks(probs.len(), chunk, |range| {
            let start = range.start;
            probs[range].iter().position(|p| !(0.0..=1.0).contains(&p.widen())).map(|k| start + k)
        });
        if let Some(place) = bad.into_iter().flatten().next() {
            return Err(Error::Probability { value: probs[place].widen(), id: place / classes });
        }
        threads.to_the_end().for_each_chunk(&mut self.sums, chunk, |start, sums| {
            let rows = sums.chunks_exact_mut(classes).zip(probs[start..].chunks_exact(classes));
            for ((sums, probs), _) in rows.zip(&member[start / classes..]).filter(|(_, seen)| !**seen) {
                for (sum, p) in sums.iter_mut().zip(probs) {
                    *sum += p.widen();
                }
            }
        });
        for (models, seen) in self.models.iter_mut().zip(member) {
            *models += u32::from(!*seen);
        }
        Ok(())
    }

    /// The means, row-major (n, C); NaN where every model was trained on the example.
    pub fn mean(&self) -> Vec<f64> {
        let mut mean = self.sums.clone();
        if self.classes > 0 {
            for (row, &models) in mean.chunks_exact_mut(self.classes).zip(&self.models) {
                for sum in row {
                    *sum /= f64::from(models); // 0 / 0 is NaN
                }
            }
        }
        mean
    }
}
