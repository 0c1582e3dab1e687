//! Influence of every training example on every test example, dense or its largest values only.

use std::cmp::Ordering;
use std::ops::Range;

use crate::bits::BitMatrix;
use crate::error::Error;
use crate::parallel::Threads;
use crate::simd::{self, Kernel};

/// Training examples that are worked on side by side.
const LANES: usize = 8;
/// Test examples that share one pass over the training examples.
const TESTS: usize = 4;
/// Training examples whose bits stay in the cache while the tests of one piece of work pass over them.
const BLOCK: usize = 1024;
/// Test examples of one piece of parallel work.
const CHUNK: usize = 32;

/// Both matrices turned: the bits of one example are together.
///
/// infl(j, i) = P\[j correct | i in\] - P\[j correct | i out\]. With k of T models trained on i, c of those right on j,
/// and r of all right on j, that is `c/k - (r - c)/(T - k) = (c T - r k) / (k (T - k))`: one division, rounded once.
struct Planes {
    train: Vec<[u64; LANES]>,   // 8 examples, word by word: block * words + word
    tests: BitMatrix,           // (m, T)
    right: Vec<f64>,            // r of each test
    models: Vec<[f64; LANES]>,  // k of each training example
    product: Vec<[f64; LANES]>, // k (T - k), NaN where 0
    words: usize,
    n: usize,
}

impl Planes {
    fn new(member: &BitMatrix, test_correct: &BitMatrix, threads: &Threads) -> Result<Self, Error> {
        let (total, n) = member.shape();
        if test_correct.rows() != total {
            return Err(Error::Models { name: "test_correct", expected: total, got: test_correct.rows() });
        }
        let (turned, tests) = (member.transpose(threads)?, test_correct.transpose(threads)?);
        let words = turned.stride();
        let blocks = n.div_ceil(LANES);
        let mut train = vec![[0; LANES]; blocks * words];
        threads.for_each_chunk(&mut train, words * (BLOCK / LANES), |start, part| {
            for (k, block) in part.chunks_mut(words).enumerate() {
                let first = (start / words + k) * LANES;
                for lane in 0..LANES.min(n - first) {
                    for (vector, &word) in block.iter_mut().zip(turned.row(first + lane)) {
                        vector[lane] = word;
                    }
                }
            }
        });
        let mut models = vec![[0.0; LANES]; blocks];
        let mut product = vec![[f64::NAN; LANES]; blocks];
        for (i, count) in turned.counts(threads).into_iter().enumerate() {
            let k = count as f64;
            let both = k * (total as f64 - k);
            models[i / LANES][i % LANES] = k;
            product[i / LANES][i % LANES] = if both > 0.0 { both } else { f64::NAN };
        }
        let right = tests.counts(threads).into_iter().map(|count| count as f64).collect();
        Ok(Self { train, tests, right, models, product, words, n })
    }

    /// The words of test `j`, or of the last one.
    #[inline(always)]
    fn test(&self, j: usize) -> &[u64] {
        self.tests.row(j.min(self.tests.rows() - 1))
    }
}

/// Values of a few tests against a block of training examples.
struct Block<'a> {
    planes: &'a Planes,
    test: usize,          // the first of TESTS
    blocks: Range<usize>, // of LANES training examples
    out: &'a mut [[[f32; LANES]; TESTS]],
}

impl Kernel for Block<'_> {
    type Output = ();

    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)] // f32 is what is returned
    fn run(self) {
        let Self { planes, test, blocks, out } = self;
        let words = planes.words;
        let tests: [&[u64]; TESTS] = std::array::from_fn(|t| &planes.test(test + t)[..words]);
        let right: [f64; TESTS] = std::array::from_fn(|t| planes.right.get(test + t).copied().unwrap_or(0.0));
        let total = planes.tests.columns() as f64;
        for (block, out) in blocks.zip(out) {
            let mut shared = [[0_u64; LANES]; TESTS];
            for (word, train) in planes.train[block * words..(block + 1) * words].iter().enumerate() {
                for t in 0..TESTS {
                    for lane in 0..LANES {
                        shared[t][lane] += u64::from((train[lane] & tests[t][word]).count_ones());
                    }
                }
            }
            let (models, product) = (&planes.models[block], &planes.product[block]);
            for t in 0..TESTS {
                for lane in 0..LANES {
                    let numerator = shared[t][lane] as f64 * total - right[t] * models[lane];
                    out[t][lane] = (numerator / product[lane]) as f32;
                }
            }
        }
    }
}

/// Influence of each training example on each test example, row-major (m, n); NaN where all or none of the models
/// were trained on the example.
///
/// `member`: (T, n), `test_correct`: (T, m), one row for each model. Memory O(m n) for the result, O(T (n + m)) bits.
///
/// # Errors
/// If the numbers of models differ, or the result has more elements than memory can hold.
pub fn influence(member: &BitMatrix, test_correct: &BitMatrix, threads: &Threads) -> Result<Vec<f32>, Error> {
    let (n, m) = (member.columns(), test_correct.columns());
    let planes = Planes::new(member, test_correct, threads)?;
    let mut out: Vec<f32> = Vec::new();
    let len = n.checked_mul(m).ok_or(Error::TooLarge { name: "influence", shape: (m, n) })?;
    out.try_reserve_exact(len).map_err(|_| Error::TooLarge { name: "influence", shape: (m, n) })?;
    out.resize(len, 0.0);
    threads.for_each_chunk(&mut out, n * CHUNK, |start, rows| {
        scan(&planes, start / n, rows.len() / n, |test, first, values| {
            let place = (test - start / n) * n + first;
            rows[place..place + values.len()].copy_from_slice(values);
        });
    });
    Ok(out)
}

/// The `k` training examples with the largest influence on each test example, largest first, ties by id; their ids and
/// values, row-major (m, k). Examples without an estimate are never among them: where fewer than `k` have one, the
/// rest is id -1 and NaN. Never holds the dense matrix: O(m k) for the result, O(T (n + m)) bits.
///
/// # Errors
/// If the numbers of models differ, or `k` is 0 or more than n.
pub fn influence_topk(
    member: &BitMatrix,
    test_correct: &BitMatrix,
    k: usize,
    threads: &Threads,
) -> Result<(Vec<i64>, Vec<f32>), Error> {
    let (n, m) = (member.columns(), test_correct.columns());
    if k == 0 || k > n {
        return Err(Error::TopK { k, n });
    }
    let planes = Planes::new(member, test_correct, threads)?;
    let parts = threads.map_chunks(m, CHUNK, |tests| {
        let mut largest: Vec<Largest> = tests.clone().map(|_| Largest::new(k)).collect();
        scan(&planes, tests.start, tests.len(), |test, first, values| {
            largest[test - tests.start].offer(first, values);
        });
        largest.into_iter().flat_map(Largest::finish).collect::<Vec<_>>()
    });
    Ok(parts.into_iter().flatten().unzip())
}

/// Calls `take(test, first, values)` with every value of some tests, block by block.
fn scan(planes: &Planes, first_test: usize, tests: usize, mut take: impl FnMut(usize, usize, &[f32])) {
    let mut out = [[[0.0; LANES]; TESTS]; BLOCK / LANES];
    for first in (0..planes.n).step_by(BLOCK) {
        let count = BLOCK.min(planes.n - first);
        let blocks = first / LANES..(first + count).div_ceil(LANES);
        for test in (first_test..first_test + tests).step_by(TESTS) {
            let blocks = blocks.clone();
            simd::dispatch(Block { planes, test, blocks, out: &mut out });
            for t in 0..TESTS.min(first_test + tests - test) {
                let mut values = [0.0; BLOCK];
                for (lanes, block) in values.as_chunks_mut().0.iter_mut().zip(&out) {
                    *lanes = block[t];
                }
                take(test + t, first, &values[..count]);
            }
        }
    }
}

/// The k largest values so far of those offered in the order of their ids, among at most 2k candidates.
struct Largest {
    k: usize,
    least: f32, // a value must be larger to become a candidate
    candidates: Vec<(f32, i64)>,
}

/// Largest first, ties by id. No value is NaN.
fn order(a: &(f32, i64), b: &(f32, i64)) -> Ordering {
    b.0.total_cmp(&a.0).then(a.1.cmp(&b.1))
}

impl Largest {
    fn new(k: usize) -> Self {
        Self { k, least: f32::NEG_INFINITY, candidates: Vec::with_capacity(2 * k) }
    }

    fn offer(&mut self, first: usize, values: &[f32]) {
        for (id, &value) in (first as u64..).zip(values) {
            if value > self.least {
                self.candidates.push((value + 0.0, id.cast_signed())); // -0 + 0 = 0: they tie
                if self.candidates.len() == 2 * self.k {
                    self.shrink();
                }
            }
        }
    }

    fn shrink(&mut self) {
        let (_, kth, _) = self.candidates.select_nth_unstable_by(self.k - 1, order);
        self.least = kth.0;
        self.candidates.truncate(self.k);
    }

    fn finish(mut self) -> Vec<(i64, f32)> {
        self.candidates.sort_unstable_by(order);
        self.candidates.resize(self.candidates.len().max(self.k), (f32::NAN, -1));
        self.candidates.into_iter().take(self.k).map(|(value, id)| (id, value)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Level, dispatch_at};

    #[test]
    fn every_path_gives_the_same_bits() {
        let bits = |salt: usize, len: usize| -> Vec<bool> {
            (0..len).map(|i| (i + salt).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 61 < 4).collect()
        };
        let one = Threads::one();
        for models in [2, 63, 130, 700] {
            let member = BitMatrix::pack(&bits(1, models * 37), models, 37, &one).unwrap();
            let test = BitMatrix::pack(&bits(2, models * 6), models, 6, &one).unwrap();
            let planes = Planes::new(&member, &test, &one).unwrap();
            let at = |level| {
                let mut out = [[[0.0; LANES]; TESTS]; 5];
                dispatch_at(level, Block { planes: &planes, test: 4, blocks: 0..5, out: &mut out });
                out.map(|block| block.map(|lanes| lanes.map(f32::to_bits)))
            };
            for &level in Level::all() {
                assert_eq!(at(level), at(Level::Scalar), "{level:?}, {models} models");
            }
        }
    }
}
