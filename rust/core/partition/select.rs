//! The examples at given ranks of the order by (key, id), found by histograms of the keys' digits.

use super::CHUNK;
use crate::parallel::Threads;
use crate::sort;

const DIGIT: u32 = 16; // bits of a key that a histogram tells apart
const HISTOGRAMS: usize = 64; // at most, of 256 kB each
const SHARE: usize = 16; // a part of the examples as small as this is sorted, not searched further
const RANKS: usize = 16; // where there are more to find than this, sorting finds them all at once

/// The keys that begin with some digits.
#[derive(Clone, Copy)]
pub(super) struct Prefix {
    digits: u64,
    rest: u32, // bits behind the digits
}

impl Prefix {
    pub const ALL: Self = Self { digits: 0, rest: u64::BITS };

    fn holds(self, key: u64) -> bool {
        key.checked_shr(self.rest).unwrap_or(0) == self.digits
    }

    #[allow(clippy::cast_possible_truncation)] // 16 bits
    fn next_digit(self, key: u64) -> usize {
        (key >> (self.rest - DIGIT)) as usize & ((1 << DIGIT) - 1)
    }

    fn then(self, digit: usize) -> Self {
        Self { digits: self.digits << DIGIT | digit as u64, rest: self.rest - DIGIT }
    }
}

/// The order of the examples 0..n by (key, id).
pub(super) struct Order<'a, K> {
    pub n: usize,
    pub key: &'a K,
    pub threads: &'a Threads,
}

impl<K: Fn(usize) -> u64 + Sync> Order<'_, K> {
    /// (key, id) of the example at each of the ascending ranks among the `count` that a prefix holds.
    ///
    /// Histograms digit by digit narrow down where a rank is until few examples are left, or only ties.
    pub fn at_ranks(&self, prefix: Prefix, count: usize, ranks: &[usize]) -> Vec<(u64, usize)> {
        if u32::try_from(count).is_ok() && (ranks.len() > RANKS || count <= CHUNK.max(self.n / SHARE)) {
            return self.sorted_at(prefix, ranks);
        }
        if prefix.rest == 0 {
            let ties = (0..self.n).filter(|&i| prefix.holds((self.key)(i))).enumerate();
            return ties.filter(|(rank, _)| ranks.contains(rank)).map(|(_, id)| (prefix.digits, id)).collect();
        }
        let (mut found, mut passed) = (Vec::new(), 0);
        for (digit, count) in self.histogram(prefix).into_iter().enumerate() {
            let inside: Vec<usize> =
                ranks.iter().filter(|r| (passed..passed + count).contains(r)).map(|r| r - passed).collect();
            if !inside.is_empty() {
                found.extend(self.at_ranks(prefix.then(digit), count, &inside));
            }
            passed += count;
        }
        found
    }

    /// The same by a sort of the examples that a prefix holds.
    fn sorted_at(&self, prefix: Prefix, ranks: &[usize]) -> Vec<(u64, usize)> {
        let at = |order: &[usize]| ranks.iter().filter_map(|&rank| order.get(rank).copied()).collect::<Vec<_>>();
        if prefix.rest == u64::BITS {
            let ids = at(&sort::order(self.n, self.key, self.threads));
            return ids.into_iter().map(|id| ((self.key)(id), id)).collect();
        }
        let examples = self.with(prefix);
        let places = at(&sort::order(examples.len(), &|i| examples[i].0, self.threads));
        places.into_iter().map(|i| examples[i]).collect()
    }

    fn with(&self, prefix: Prefix) -> Vec<(u64, usize)> {
        let chunks = self.threads.map_chunks(self.n, CHUNK, |ids| {
            ids.map(|i| ((self.key)(i), i)).filter(|&(key, _)| prefix.holds(key)).collect::<Vec<_>>()
        });
        chunks.concat()
    }

    /// How often each digit follows a prefix.
    fn histogram(&self, prefix: Prefix) -> Vec<usize> {
        let parts = self.threads.map_chunks(self.n, self.n.div_ceil(HISTOGRAMS).max(CHUNK), |ids| {
            let mut counts = vec![0_u32; 1 << DIGIT];
            for key in ids.map(self.key) {
                counts[prefix.next_digit(key)] += u32::from(prefix.holds(key));
            }
            counts
        });
        (0..1 << DIGIT).map(|d| parts.iter().map(|counts| counts[d] as usize).sum()).collect()
    }
}
