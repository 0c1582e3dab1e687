//! RMIA (Zarifzadeh et al. 2024) by one sort and a look into one of its cells for each example.

use std::ops::RangeInclusive;

use crate::error::Error;
use crate::parallel::Threads;
use crate::partition::{Score, countable};
use crate::simd::{self, Kernel, Unit};

/// Examples of one piece of work.
const CHUNK: usize = 1 << 14;

/// Probabilities of the true label.
#[derive(Debug, Clone, Copy)]
pub struct Probabilities<'a, T, R> {
    /// By the target model; in [0, 1].
    pub target: &'a [T],
    /// Mean over the reference models; in [2.2e-308, 1]: normal numbers.
    pub reference: &'a [R],
}

impl<T: Score, R: Score> Probabilities<'_, T, R> {
    fn check(&self, names: [&'static str; 2]) -> Result<(), Error> {
        in_range(names[0], self.target, TARGET, "[0, 1]")?;
        in_range(names[1], self.reference, REFERENCE, "[2.2e-308, 1]")
    }

    /// LR = target / p from example `start` on, where p is the reference, or with the offline `a` of models that were not
    /// trained on the example, p = ((1 + a) reference + 1 - a) / 2. NaN where one of them is not a probability.
    #[inline(always)]
    fn ratios(&self, start: usize, a: Option<f64>, out: &mut [f64]) {
        let (scale, offset) = a.map_or((2.0, 0.0), |a| (1.0 + a, 1.0 - a));
        for ((ratio, &target), &reference) in out.iter_mut().zip(&self.target[start..]).zip(&self.reference[start..]) {
            let (target, reference) = (target.into(), reference.into());
            let known = TARGET.contains(&target) & REFERENCE.contains(&reference);
            *ratio = if known { target / (0.5 * (scale * reference + offset)) + 0.0 } else { f64::NAN }; // -0 + 0 is 0
        }
    }
}

const TARGET: RangeInclusive<f64> = 0.0..=1.0;
const REFERENCE: RangeInclusive<f64> = f64::MIN_POSITIVE..=1.0;

fn in_range<T: Score>(
    name: &'static str,
    values: &[T],
    range: RangeInclusive<f64>,
    expected: &'static str,
) -> Result<(), Error> {
    let outside = values.iter().position(|&v| !range.contains(&v.into()));
    outside.map_or(Ok(()), |id| Err(Error::NotProbability { name, expected, value: values[id].into(), id }))
}

/// RMIA of each example: the share of the population z with LR(x) / LR(z) >= `gamma`, which is a normal number above 0.
///
/// For a fixed z that quotient, rounded as it is, never falls while LR(x) rises: each z has a least LR(x) that is enough,
/// and the count is that of the z with a least one that is not above LR(x), the same as over all pairs. O(n + N log N)
/// time for N of the population, unless most of them are nearly equal; O(n + N) memory.
///
/// # Errors
/// Different lengths, no population, values that are no probabilities.
pub fn rmia(
    examples: Probabilities<'_, impl Score, impl Score>,
    population: Probabilities<'_, impl Score, impl Score>,
    gamma: f64,
    a: Option<f64>,
    threads: &Threads,
) -> Result<Vec<f64>, Error> {
    Error::check_length("reference", examples.reference.len(), examples.target.len(), "target")?;
    let (target, reference) = (population.target.len(), population.reference.len());
    Error::check_length("population_reference", reference, target, "population_target")?;
    if target == 0 {
        return Err(Error::NoPopulation);
    }
    countable("population_target", target)?;
    population.check(["population_target", "population_reference"])?;
    let mut enough = vec![0.0; population.target.len()];
    threads.for_each_chunk(&mut enough, CHUNK, |start, enough| {
        simd::dispatch(Enough { population: &population, start, a, gamma, least: enough });
    });
    let cells = simd::dispatch(Build(&enough));
    let mut scores = vec![0.0; examples.target.len()];
    threads.for_each_chunk(&mut scores, CHUNK, |start, scores| {
        simd::dispatch(Share { examples: &examples, start, a, cells: &cells, scores });
    });
    if scores.iter().any(|score| score.is_nan()) {
        examples.check(["target", "reference"])?;
    }
    Ok(scores)
}

/// The least x with x / z >= gamma of each z of the population.
struct Enough<'a, T, R> {
    population: &'a Probabilities<'a, T, R>,
    start: usize,
    a: Option<f64>,
    gamma: f64,
    least: &'a mut [f64],
}

impl<T: Score, R: Score> Kernel for Enough<'_, T, R> {
    type Output = ();

    /// It is next to gamma z, which rounds otherwise: each step goes to a neighbour where that is nearer to it.
    #[inline(always)]
    fn run<U: Unit>(self) {
        let Self { population, start, a, gamma, least } = self;
        for (block, least) in least.chunks_mut(BLOCK).enumerate() {
            let mut ratios = [0.0; BLOCK];
            population.ratios(start + block * BLOCK, a, &mut ratios[..least.len()]);
            for (x, z) in least.iter_mut().zip(&ratios) {
                *x = gamma * z;
            }
            let mut steps = true;
            while steps {
                steps = false;
                for (x, &z) in least.iter_mut().zip(&ratios) {
                    let [below, above] = [-1, 1].map(|step| f64::from_bits(x.to_bits().wrapping_add_signed(step)));
                    let next = if below / z >= gamma {
                        below
                    } else if *x / z < gamma {
                        above
                    } else {
                        *x
                    };
                    steps |= next.to_bits() != x.to_bits();
                    *x = next;
                }
            }
            for (x, &z) in least.iter_mut().zip(&ratios) {
                *x = if z == 0.0 { f64::from_bits(1) } else { *x }; // 0 / 0 is not enough
            }
        }
    }
}

struct Share<'a, T, R> {
    examples: &'a Probabilities<'a, T, R>,
    start: usize,
    a: Option<f64>,
    cells: &'a Cells,
    scores: &'a mut [f64],
}

impl<T: Score, R: Score> Kernel for Share<'_, T, R> {
    type Output = ();

    #[inline(always)]
    fn run<U: Unit>(self) {
        let Self { examples, start, a, cells, scores } = self;
        examples.ratios(start, a, scores);
        for x in scores.iter_mut() {
            *x = if x.is_nan() { f64::NAN } else { cells.not_above(x.to_bits()) as f64 };
        }
        for count in scores {
            *count /= cells.n as f64;
        }
    }
}

/// Sorted numbers, none negative, by their bits, which have the same order, and where to look for another among them: the
/// range of their bits is cut into cells of one width.
struct Cells {
    n: usize,
    sorted: Vec<u64>, // within a cell only if it holds more than WINDOW; WINDOW larger ones behind them
    first: u64,       // the lowest
    shift: u32,       // low bits that do not tell cells apart
    starts: Vec<u32>, // of each cell, and twice the end
}

/// Cells for each number, at most: where numbers are dense, few cells hold more than WINDOW.
const CELLS: usize = 4;

/// Numbers that are compared at once, without a branch for each.
const WINDOW: usize = 8;

/// Numbers that are worked on together.
const BLOCK: usize = 256;

/// At least one number and fewer than 2^32.
struct Build<'a>(&'a [f64]);

impl Kernel for Build<'_> {
    type Output = Cells;

    #[inline(always)]
    fn run<U: Unit>(self) -> Cells {
        let n = self.0.len();
        let bits = self.0.iter().map(|x| x.to_bits());
        let (first, last) = bits.clone().fold((u64::MAX, 0), |(low, high), x| (low.min(x), high.max(x)));
        let shift = u64::BITS - ((last - first) / (CELLS * n) as u64).leading_zeros();
        let (sorted, starts) = (vec![LARGER; n + WINDOW], vec![0; CELLS * n + 2]);
        let mut cells = Cells { n, sorted, first, shift, starts };
        for x in bits.clone() {
            let cell = cells.of(x);
            cells.starts[cell] += 1;
        }
        let mut end = 0;
        for start in &mut cells.starts {
            end += *start;
            *start = end;
        }
        for x in bits {
            let cell = cells.of(x);
            cells.starts[cell] -= 1; // from the end of the cell to its start
            cells.sorted[cells.starts[cell] as usize] = x;
        }
        for cell in cells.starts.windows(2) {
            let (start, end) = (cell[0] as usize, cell[1] as usize);
            if end - start > WINDOW {
                cells.sorted[start..end].sort_unstable();
            }
        }
        cells
    }
}

/// Above the bits of every number.
const LARGER: u64 = u64::MAX >> 1;

impl Cells {
    /// The first for a number below the lowest, one behind the last for one far above the highest.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)] // the smaller of two lengths
    fn of(&self, x: u64) -> usize {
        (x.saturating_sub(self.first) >> self.shift).min((CELLS * self.n) as u64) as usize
    }

    /// How many are not above `x`, bits of a number that is not negative.
    #[inline(always)]
    fn not_above(&self, x: u64) -> usize {
        let cell = self.of(x);
        let (start, end) = (self.starts[cell] as usize, self.starts[cell + 1] as usize);
        if end - start > WINDOW {
            return start + self.sorted[start..end].partition_point(|&z| z <= x);
        }
        // The sign of z - x - 1, where a sum of comparisons would be taken out of a mask bit by bit.
        start
            + self.sorted[start..start + WINDOW].iter().map(|&z| (z.wrapping_sub(x + 1) >> 63) as usize).sum::<usize>()
    }
}
