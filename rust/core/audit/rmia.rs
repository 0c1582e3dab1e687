//! RMIA (Zarifzadeh et al. 2024) by one sort and a look into one of its cells for each example.

use std::ops::RangeInclusive;

use crate::error::Error;
use crate::parallel::Threads;
use crate::partition::{Score, key};
use crate::simd::{self, Kernel};

/// Examples of one piece of work.
const CHUNK: usize = 2048;

/// Probabilities of the true label.
#[derive(Debug, Clone, Copy)]
pub struct Probabilities<'a, T, R> {
    /// By the target model; in [0, 1].
    pub target: &'a [T],
    /// Mean over the reference models; in (0, 1].
    pub reference: &'a [R],
}

impl<T: Score, R: Score> Probabilities<'_, T, R> {
    fn check(&self, names: [&'static str; 2]) -> Result<(), Error> {
        in_range(names[0], self.target, TARGET, "[0, 1]")?;
        in_range(names[1], self.reference, REFERENCE, "(0, 1]")
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
    match u32::try_from(target) {
        Ok(0) => return Err(Error::NoPopulation),
        Ok(_) => population.check(["population_target", "population_reference"])?,
        Err(_) => return Err(Error::TooMany { name: "population_target", n: target }),
    }
    let mut enough = vec![0.0; population.target.len()];
    population.ratios(0, a, &mut enough);
    for z in &mut enough {
        *z = least(*z, gamma);
    }
    let cells = Cells::new(&enough);
    let mut scores = vec![0.0; examples.target.len()];
    threads.for_each_chunk(&mut scores, CHUNK, |start, scores| {
        simd::dispatch(Share { examples: &examples, start, a, cells: &cells, scores });
    });
    if scores.iter().any(|score| score.is_nan()) {
        examples.check(["target", "reference"])?;
    }
    Ok(scores)
}

/// The least x with x / z >= gamma: next to gamma z, which rounds otherwise.
fn least(z: f64, gamma: f64) -> f64 {
    if z == 0.0 {
        return f64::from_bits(1); // 0 / 0 is not enough
    }
    let mut x = gamma * z;
    while x.next_down() / z >= gamma {
        x = x.next_down();
    }
    while x / z < gamma {
        x = x.next_up();
    }
    x
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
    fn run(self) {
        self.examples.ratios(self.start, self.a, self.scores);
        for x in self.scores {
            let share = self.cells.not_above(*x) as f64 / self.cells.n as f64;
            *x = if x.is_nan() { f64::NAN } else { share };
        }
    }
}

/// Sorted numbers and where to look for another among them: the range of their keys is cut into cells of one width.
struct Cells {
    n: usize,
    sorted: Vec<f64>, // and WINDOW infinite ones
    first: u64,       // the key of the lowest
    shift: u32,       // bits of a key that do not tell cells apart
    starts: Vec<u32>, // of each cell, and twice the end
}

/// Cells for each number, at most: where numbers are dense, few cells hold more than WINDOW.
const CELLS: usize = 4;

/// Numbers that are compared at once, without a branch for each.
const WINDOW: usize = 8;

impl Cells {
    /// At least one number and fewer than 2^32, none negative.
    fn new(numbers: &[f64]) -> Self {
        let n = numbers.len();
        let keys = numbers.iter().map(|&x| key(x));
        let (first, last) = keys.fold((u64::MAX, 0), |(low, high), k| (low.min(k), high.max(k)));
        let shift = u64::BITS - ((last - first) / (CELLS * n) as u64).leading_zeros();
        let starts = vec![0; CELLS * n + 2];
        let mut cells = Self { n, sorted: vec![f64::INFINITY; n + WINDOW], first, shift, starts };
        for &x in numbers {
            let cell = cells.cell(x);
            cells.starts[cell + 1] += 1;
        }
        let mut end = 0;
        for start in &mut cells.starts {
            end += *start;
            *start = end;
        }
        let mut places = cells.starts.clone();
        for &x in numbers {
            let place = &mut places[cells.cell(x)];
            cells.sorted[*place as usize] = x;
            *place += 1;
        }
        for (&start, &end) in cells.starts.iter().zip(&places).filter(|&(&start, &end)| end > start + 1) {
            cells.sorted[start as usize..end as usize].sort_unstable_by(f64::total_cmp);
        }
        cells
    }

    /// The first for a number below the lowest, one behind the last for one far above the highest.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)] // the smaller of two lengths
    fn cell(&self, x: f64) -> usize {
        (key(x).saturating_sub(self.first) >> self.shift).min((CELLS * self.n) as u64) as usize
    }

    /// How many are not above `x`, which is finite.
    #[inline(always)]
    fn not_above(&self, x: f64) -> usize {
        let cell = self.cell(x);
        let (start, end) = (self.starts[cell] as usize, self.starts[cell + 1] as usize);
        if end - start > WINDOW {
            return start + self.sorted[start..end].partition_point(|&z| z <= x);
        }
        start + self.sorted[start..start + WINDOW].iter().map(|&z| usize::from(z <= x)).sum::<usize>()
    }
}
