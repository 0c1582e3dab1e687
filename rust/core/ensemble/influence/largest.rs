//! The largest of values that are offered block by block.

use std::cmp::Ordering;
use std::iter;

use crate::simd::{Kernel, Unit};

/// Values that are compared side by side.
const TOGETHER: usize = 16;

/// Which influences are the largest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The most helpful: the largest values.
    Value,
    /// The most helpful or harmful: the largest absolute values.
    Magnitude,
}

impl By {
    #[inline(always)]
    fn key(self, value: f32) -> f32 {
        match self {
            Self::Value => value,
            Self::Magnitude => value.abs(),
        }
    }
}

/// The k largest so far of values that are offered in the order of their ids, among at most 2k candidates.
pub struct Largest {
    k: usize,
    by: By,
    least: f32,                       // a key must be larger to become a candidate
    candidates: Vec<(f32, i64, f32)>, // key, id, value
}

/// Largest key first, ties by id. No key is NaN.
fn order(a: &(f32, i64, f32), b: &(f32, i64, f32)) -> Ordering {
    b.0.total_cmp(&a.0).then(a.1.cmp(&b.1))
}

impl Largest {
    /// Of `n` values; None if memory cannot hold the candidates.
    pub fn new(k: usize, n: usize, by: By) -> Option<Self> {
        let mut candidates = Vec::new();
        candidates.try_reserve_exact(n.min(k.saturating_mul(2))).ok()?;
        Some(Self { k, by, least: f32::NEG_INFINITY, candidates })
    }

    /// Values of the examples from `first` on.
    fn offer(&mut self, first: usize, values: &[f32]) {
        for (id, &value) in (first..).zip(values) {
            if self.by.key(value) > self.least {
                self.push(self.by.key(value), id, value);
            }
        }
    }

    fn push(&mut self, key: f32, id: usize, value: f32) {
        self.candidates.push((key + 0.0, (id as u64).cast_signed(), value + 0.0)); // -0 + 0 = 0: they tie
        if self.candidates.len() == 2 * self.k {
            let (_, kth, _) = self.candidates.select_nth_unstable_by(self.k - 1, order);
            self.least = kth.0;
            self.candidates.truncate(self.k);
        }
    }

    /// Writes the k largest; behind the last of them id -1 and NaN.
    pub fn finish(mut self, ids: &mut [i64], values: &mut [f32]) {
        self.candidates.sort_unstable_by(order);
        let found = self.candidates.into_iter().chain(iter::repeat((f32::NAN, -1, f32::NAN)));
        for ((id, value), found) in ids.iter_mut().zip(values).zip(found) {
            (_, *id, *value) = found;
        }
    }
}

/// Offers values of the examples from `first` on.
pub struct Offer<'a> {
    pub largest: &'a mut Largest,
    pub first: usize,
    pub values: &'a [f32],
}

impl Kernel for Offer<'_> {
    type Output = ();

    #[inline(always)]
    fn run<U: Unit>(self) {
        let Self { largest, first, values } = self;
        let (together, rest) = values.as_chunks::<TOGETHER>();
        for (first, values) in (first..).step_by(TOGETHER).zip(together) {
            // Most values are too small: they are passed over together.
            let (by, least) = (largest.by, largest.least);
            let larger = values.iter().fold(0, |larger, &value| larger | u32::from(by.key(value) > least));
            if larger != 0 {
                largest.offer(first, values);
            }
        }
        largest.offer(first + values.len() - rest.len(), rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_candidates_than_memory_holds_are_none_and_never_more_than_there_are_values() {
        assert!(Largest::new(1 << 60, usize::MAX, By::Value).is_none());
        assert_eq!(Largest::new(5, 7, By::Value).unwrap().candidates.capacity(), 7);
    }
}
