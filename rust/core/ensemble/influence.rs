//! Influence of every training example on every test example: dense, its largest values only, its standard errors.

use std::iter;
use std::ops::{Div, Mul, Range, Sub};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::bits::{BITS, BitMatrix, zeroed};
use crate::ensemble::Shares;
use crate::ensemble::tally::{BYTES, COLUMNS, Counts, NONE, Plane, ROWS, Tally, WORDS, count};
use crate::error::Error;
use crate::parallel::Threads;
use crate::simd::{self, Aligned, CACHE_LINE, Kernel, Unit};

mod largest;

pub use largest::By;
use largest::{Largest, Offer};

/// Test examples of one piece of parallel work: the models of one block of training examples stay in the cache.
const CHUNK: usize = 32;
/// The most models T for which whole numbers up to T^2 / 2, the largest product, are exact in f32.
const EXACT: usize = 5792;

/// The models in the order in which they are counted.
///
/// infl(j, i) = P\[j correct | i in\] - P\[j correct | i out\]. With k of T models trained on i, c of those right on j,
/// and r of all right on j, that is `c/k - (r - c)/(T - k) = (c T - r k) / (k (T - k))`; if wrong is counted in place
/// of right, it is the same with the other sign. So c is counted over the models that are right on j or over those
/// that are wrong, whichever are fewer: at most T/2. Up to [`EXACT`] models all products and differences are exact in
/// f32, and the division gives the nearest f32. With more it is done in f64 and rounded once more: the nearest f32 up to
/// 32,767 models, where a quotient is the middle of two f32 or further from it than f64 rounds.
struct Planes {
    rows: Vec<Plane>, // of `member`, in blocks of 1,024 examples: block * (T + 1) + model
    tests: BitMatrix, // (m, T)
    models: Vec<f32>, // k of each training example, NaN where that is 0 or T
    none: u32,        // T: a model that has seen no example
    n: usize,
}

impl Planes {
    fn new(member: &BitMatrix, test_correct: &BitMatrix, threads: &Threads) -> Result<Self, Error> {
        let (total, n) = member.shape();
        let tests = turned(member, test_correct, threads)?;
        let too_large = || Error::TooLarge { name: "member", shape: (total, n) };
        let planes = n.div_ceil(COLUMNS).checked_mul(total + 1);
        let mut rows: Vec<Plane> = planes.and_then(zeroed).ok_or_else(too_large)?;
        threads.for_each_chunk(&mut rows, total + 1, |start, rows| {
            simd::dispatch(Spread { member, block: start / (total + 1), rows: &mut rows[..total] });
        });
        let none = u32::try_from(total).map_err(|_| too_large())?;
        let everyone = in_blocks(0..none, total, none);
        let mut models = zeroed(n).ok_or_else(too_large)?;
        threads.for_each_chunk(&mut models, COLUMNS, |start, models| {
            let mut counts = NONE;
            let rows = &rows[start / COLUMNS * (total + 1)..][..=total];
            simd::dispatch(Counting { rows, models: &everyone, tally: &mut Tally::new(total), counts: &mut counts });
            for (i, models) in models.iter_mut().enumerate() {
                let k = count(&counts, i / BYTES, i % BYTES);
                *models = if (1..none).contains(&k) { k as f32 } else { f32::NAN };
            }
        });
        Ok(Self { rows, tests, models, none, n })
    }

    fn total(&self) -> usize {
        self.tests.columns()
    }

    /// The models that are right on test `j`, or those that are wrong if they are fewer.
    fn minority(&self, j: usize) -> Minority {
        let (row, total) = (self.tests.row(j), self.total());
        let right: usize = row.iter().map(|word| word.count_ones() as usize).sum();
        let wrong = 2 * right > total;
        let number = if wrong { total - right } else { right };
        let all = u64::from(wrong).wrapping_neg(); // the bits beyond the last model come last: they find no place
        let models = (0..self.none).step_by(BITS).zip(row).flat_map(|(first, word)| {
            let left = iter::successors(Some(word ^ all), |left| Some(left & left.wrapping_sub(1)));
            left.take_while(|&left| left > 0).map(move |left| first + left.trailing_zeros())
        });
        let models = in_blocks(models, number, self.none);
        Minority { models, right: number as f64, sign: if wrong { -1.0 } else { 1.0 } }
    }
}

/// So many of the models in blocks, the last of which is filled up by `none`.
fn in_blocks(models: impl Iterator<Item = u32>, number: usize, none: u32) -> Vec<[u32; ROWS]> {
    let mut blocks = vec![[none; ROWS]; number.div_ceil(ROWS)];
    let mut places = blocks.as_flattened_mut()[..number].iter_mut();
    models.for_each(|model| places.next().into_iter().for_each(|place| *place = model));
    blocks
}

/// `test_correct` (m, T), after a check that both have the same models.
fn turned(member: &BitMatrix, test_correct: &BitMatrix, threads: &Threads) -> Result<BitMatrix, Error> {
    if test_correct.rows() != member.rows() {
        return Err(Error::Models { name: "test_correct", expected: member.rows(), got: test_correct.rows() });
    }
    test_correct.transpose(threads)
}

struct Minority {
    models: Vec<[u32; ROWS]>,
    right: f64, // or wrong
    sign: f64,
}

/// Writes the bits of 1,024 examples of every model so that the counts of [`Tally`] come out in order: bit `q` of byte
/// `e` is that of example 128 q + e.
struct Spread<'a> {
    member: &'a BitMatrix,
    block: usize,
    rows: &'a mut [Plane],
}

impl Kernel for Spread<'_> {
    type Output = ();

    #[inline(always)]
    fn run<U: Unit>(self) {
        let first = self.block * WORDS;
        let words = first..self.member.stride().min(first + WORDS);
        for (t, plane) in self.rows.iter_mut().enumerate() {
            let mut bits = [[0; WORDS / 8]; 8];
            for (out, &word) in bits.as_flattened_mut().iter_mut().zip(&self.member.row(t)[words.clone()]) {
                *out = word;
            }
            for (h, out) in plane.iter_mut().enumerate() {
                let mut word = 0;
                for q in 0..8 {
                    word |= (bits[q][h / 8] >> (8 * (h % 8)) & 0xFF) << (8 * q);
                }
                *out = turn(word);
            }
        }
    }
}

/// Exchanges the number of a bit in its byte with the number of the byte.
#[inline(always)]
fn turn(mut bits: u64) -> u64 {
    for (distance, mask) in [(7, 0x00AA_00AA_00AA_00AA), (14, 0x0000_CCCC_0000_CCCC), (28, 0xF0F0_F0F0)] {
        let swap = (bits ^ bits >> distance) & mask;
        bits ^= swap ^ swap << distance;
    }
    bits
}

/// Counts some models of a block of training examples.
struct Counting<'a> {
    rows: &'a [Plane],
    models: &'a [[u32; ROWS]],
    tally: &'a mut Tally,
    counts: &'a mut Counts,
}

impl Kernel for Counting<'_> {
    type Output = ();

    #[inline(always)]
    fn run<U: Unit>(self) {
        let Self { rows, models, tally, counts } = self;
        tally.add::<U, _>(models.iter().map(|models| |row, part| U::bits(&rows[models[row] as usize], part)));
        tally.finish::<U>(counts);
    }
}

/// Values of one test example against a block of training examples.
struct Values<'a> {
    planes: &'a Planes,
    minority: &'a Minority,
    block: usize,
    tally: &'a mut Tally,
    counts: &'a mut Counts,
}

impl Values<'_> {
    /// Writes them to `out`.
    fn write(self, out: &mut [f32]) {
        simd::dispatch(Write { values: self, out });
    }
}

struct Write<'a> {
    values: Values<'a>,
    out: &'a mut [f32],
}

impl Kernel for Write<'_> {
    type Output = ();

    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)] // f32 is what is returned
    fn run<U: Unit>(self) {
        let Self { values: Values { planes, minority: Minority { models, right, sign }, block, tally, counts }, out } =
            self;
        let (total, first) = (planes.total(), block * COLUMNS);
        let rows = &planes.rows[block * (total + 1)..][..=total];
        Counting { rows, models, tally, counts }.run::<U>();
        let constants = [sign * total as f64, sign * right, total as f64];
        let [low, high] = [0, 1].map(|k| counts[k].as_flattened());
        let examples = out.iter_mut().zip(&planes.models[first..]);
        if total <= EXACT {
            let constants = constants.map(|x| x as f32);
            for (((out, &k), &low), &high) in examples.zip(low).zip(high) {
                let count = i32::from(low) | i32::from(high) << 8;
                *out = value(count as f32, k, constants);
            }
        } else {
            for (i, (out, &k)) in examples.enumerate() {
                *out = value(f64::from(count(counts, i / BYTES, i % BYTES)), f64::from(k), constants) as f32;
            }
        }
    }
}

/// `(c T - r k) / (k (T - k))`, where the first T and r have the sign.
#[inline(always)]
fn value<F>(count: F, k: F, [scale, shift, total]: [F; 3]) -> F
where
    F: Copy + Sub<Output = F> + Mul<Output = F> + Div<Output = F>,
{
    (count * scale - shift * k) / (k * (total - k))
}

/// Calls `take(test, examples, values)` for some tests and all training examples, block by block.
fn scan(planes: &Planes, tests: Range<usize>, mut take: impl FnMut(usize, Range<usize>, Values<'_>)) {
    let minorities: Vec<Minority> = tests.clone().map(|j| planes.minority(j)).collect();
    let (mut tally, mut counts) = (Tally::new(planes.total()), NONE);
    for (block, first) in (0..planes.n).step_by(COLUMNS).enumerate() {
        let examples = first..planes.n.min(first + COLUMNS);
        for (test, minority) in tests.clone().zip(&minorities) {
            take(test, examples.clone(), Values { planes, minority, block, tally: &mut tally, counts: &mut counts });
        }
    }
}

/// Influence of each training example on the test examples from `first_test` on, row-major (tests, n), written to `out`,
/// as many as fit in there; NaN where all or none of the models were trained on the example.
///
/// `member`: (T, n), `test_correct`: (T, m), one row for each model. Memory O(T (n + m)) bits.
///
/// # Errors
/// If the numbers of models differ, or `out` is not of whole rows of tests that there are.
pub fn influence(
    member: &BitMatrix,
    test_correct: &BitMatrix,
    first_test: usize,
    out: &mut [f32],
    threads: &Threads,
) -> Result<(), Error> {
    let n = member.columns();
    let tests = out.len() / n.max(1);
    let end = first_test.saturating_add(tests).min(test_correct.columns());
    Error::check_length("out", out.len(), end.saturating_sub(first_test) * n, "tests and training examples")?;
    let planes = Planes::new(member, test_correct, threads)?;
    threads.for_each_chunk(out, n * CHUNK, |start, rows| {
        let first = first_test + start / n;
        scan(&planes, first..first + rows.len() / n, |test, examples, values| {
            let out = &mut rows[(test - first) * n..][examples];
            out.iter().step_by(CACHE_LINE / size_of::<f32>()).for_each(simd::prefetch_later); // they come while it is counted
            values.write(out);
        });
    });
    Ok(())
}

/// The `k` training examples with the largest influence on each test example, largest first, ties by id; their ids and
/// values, row-major (m, k). Examples without an estimate are never among them: where fewer than `k` have one, the
/// rest is id -1 and NaN. Never holds the dense matrix: O(m k) for the result, O(T (n + m)) bits.
///
/// # Errors
/// If the numbers of models differ, `k` is 0 or more than n, or memory cannot hold the result.
pub fn influence_topk(
    member: &BitMatrix,
    test_correct: &BitMatrix,
    k: usize,
    by: By,
    threads: &Threads,
) -> Result<(Vec<i64>, Vec<f32>), Error> {
    let (n, m) = (member.columns(), test_correct.columns());
    if k == 0 || k > n {
        return Err(Error::TopK { k, n });
    }
    let too_large = || Error::TooLarge { name: "k", shape: (m, k) };
    let results = m.checked_mul(k).and_then(|len| zeroed(len).zip(zeroed(len)));
    let (mut ids, mut values): (Vec<i64>, Vec<f32>) = results.ok_or_else(too_large)?;
    let planes = Planes::new(member, test_correct, threads)?;
    let part = k.saturating_mul(CHUNK);
    let parts = ids.chunks_mut(part).zip(values.chunks_mut(part)).enumerate();
    let fits = AtomicBool::new(true);
    threads.each(parts.collect(), |(part, (ids, values))| {
        let tests = part * CHUNK..m.min((part + 1) * CHUNK);
        let largest: Option<Vec<_>> = tests.clone().map(|_| Largest::new(k, n, by)).collect();
        let Some(mut largest) = largest else { return fits.store(false, Ordering::Relaxed) };
        let mut out = Aligned([0.0; COLUMNS]);
        scan(&planes, tests.clone(), |test, examples, values| {
            let (first, out) = (examples.start, &mut out[..examples.len()]);
            values.write(out);
            simd::dispatch(Offer { largest: &mut largest[test - tests.start], first, values: out });
        });
        for ((largest, ids), values) in largest.into_iter().zip(ids.chunks_mut(k)).zip(values.chunks_mut(k)) {
            largest.finish(ids, values);
        }
    });
    if fits.into_inner() { Ok((ids, values)) } else { Err(too_large()) }
}

/// The standard error of the influence of some training examples on each test example, row-major: `ids` names the same
/// number of examples for every test, an id below 0 none; None: all, (m, n). As in [`super::memorization`]; NaN where
/// there is no estimate.
///
/// # Errors
/// If the numbers of models differ, the ids do not fit the tests, one is out of range, or memory cannot hold the result.
pub fn influence_std_error(
    member: &BitMatrix,
    test_correct: &BitMatrix,
    ids: Option<&[i64]>,
    threads: &Threads,
) -> Result<Vec<f64>, Error> {
    let ((total, n), m) = (member.shape(), test_correct.columns());
    let width = ids.map_or(n, |ids| ids.len() / m.max(1));
    let errors = m.checked_mul(width).and_then(zeroed);
    let mut errors: Vec<f64> = errors.ok_or(Error::TooLarge { name: "ids", shape: (m, width) })?;
    let (tests, train) = (turned(member, test_correct, threads)?, member.transpose(threads)?);
    let (rights, models) = (tests.counts(threads), train.counts(threads));
    Error::check_length("ids", ids.map_or(errors.len(), <[i64]>::len), errors.len(), "the test examples")?;
    let outside = ids.unwrap_or_default().iter().find(|&&id| id >= (n as u64).cast_signed());
    outside.map_or(Ok(()), |&id| Err(Error::TrainId { id, n }))?;
    threads.for_each_chunk(&mut errors, width, |start, errors| {
        let j = start / width;
        for (column, error) in errors.iter_mut().enumerate() {
            let example = ids.map_or(Some(column), |ids| usize::try_from(ids[start + column]).ok());
            *error = example.map_or(f64::NAN, |i| {
                let right_in = simd::and_count(train.row(i), tests.row(j));
                let [models, right] = [models[i], rights[j]].map(i64::cast_unsigned);
                Shares { models, right, right_in }.std_error(total as u64)
            });
        }
    });
    Ok(errors)
}
