//! Learning events: running statistics of every training example over one training run.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::error::Error;
use crate::logits::Logits;
use crate::parallel::Threads;
use crate::simd;

mod example;
mod exp;
mod file;
pub mod softmax;

pub use example::NAMES;

use example::Example;
use softmax::{LANES, Outcome, Outcomes};

/// The highest epoch that can be recorded.
pub const LAST_EPOCH: u32 = u32::MAX / 2 - 1;
/// Smaller batches (in logits) are not worth waking other threads for.
const SERIAL: usize = 1 << 14;
/// Examples that one piece of parallel work covers.
const CHUNK: usize = 4096;
/// Logits that one piece of parallel work covers, about.
const CHUNK_LOGITS: usize = 1 << 14;
/// Rows that a thread looks through at once for examples of its own.
const ROWS: usize = 512;
/// How many examples before its turn one is asked for: what memory takes to answer.
const AHEAD: usize = 16;
/// Outcomes for which the room is kept, by [`LANES`]: 3.3 MB.
const KEPT: usize = (1 << 16) / LANES;

/// Which forward pass is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The pass of the training step itself.
    Train,
    /// A pass in evaluation mode after each epoch.
    Eval,
}

impl Mode {
    /// "train" or "eval".
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Eval => "eval",
        }
    }
}

impl std::str::FromStr for Mode {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        match name {
            "train" => Ok(Self::Train),
            "eval" => Ok(Self::Eval),
            _ => Err(Error::Mode { got: name.to_owned() }),
        }
    }
}

/// Where the epochs of a record come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Epochs {
    Undecided,
    Named,
    Counted,
}

impl Epochs {
    const ALL: [Self; 3] = [Self::Undecided, Self::Named, Self::Counted];

    fn name(self) -> &'static str {
        match self {
            Self::Undecided => "undecided",
            Self::Named => "named",
            Self::Counted => "counted",
        }
    }

    fn with(self, other: Self) -> Result<Self, Error> {
        match (self, other) {
            (a, b) if a == b || b == Self::Undecided => Ok(a),
            (Self::Undecided, b) => Ok(b),
            (a, b) => Err(Error::EpochMode { this: a.name(), other: b.name() }),
        }
    }
}

/// One batch of one forward pass.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// The example in each row.
    pub ids: &'a [i64],
    /// Its logits, row by row.
    pub logits: Logits<'a>,
    /// The number of classes.
    pub classes: usize,
    /// Its label.
    pub labels: &'a [i64],
}

impl Batch<'_> {
    fn check_lengths(&self) -> Result<(), Error> {
        let (rows, classes) = (self.ids.len(), self.classes);
        if classes < 2 {
            return Err(Error::Classes { rows: self.labels.len(), classes });
        }
        let shape = (self.logits.len() / classes, classes);
        if shape.0 != rows {
            return Err(Error::Rows { name: "ids", expected: shape.0, shape, got: rows });
        }
        if self.labels.len() != rows {
            return Err(Error::Rows { name: "labels", expected: rows, shape, got: self.labels.len() });
        }
        Ok(())
    }

    /// Up to `len` rows from `start` on.
    fn rows(&self, start: usize, len: usize) -> Self {
        let rows = start..self.ids.len().min(start + len);
        Self {
            ids: &self.ids[rows.clone()],
            logits: self.logits.slice(rows.start * self.classes..rows.end * self.classes),
            labels: &self.labels[rows],
            classes: self.classes,
        }
    }
}

/// Room for the outcomes of a batch, kept for the next one; no part of what is recorded.
#[derive(Debug, Default)]
struct Room(Vec<Outcomes>);

impl Clone for Room {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Room {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// Running statistics of `n` training examples over one training run, 80 bytes each, and up to 3.5 MB of room for the
/// outcomes of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct LearningEvents {
    examples: Vec<Example>,
    room: Room,
    mode: Mode,
    epochs: Epochs,
    latest: u32, // no example was seen in a later epoch
}

impl LearningEvents {
    /// A tracker of `n` examples, none of them seen yet.
    ///
    /// # Errors
    /// [`Error::Memory`] if there is not enough for it.
    pub fn new(n: usize, mode: Mode) -> Result<Self, Error> {
        let mut examples = Vec::new();
        examples.try_reserve_exact(n).map_err(|_| Error::Memory { name: "n_examples", n })?;
        examples.resize(n, Example::UNSEEN);
        Ok(Self::of(examples, mode, Epochs::Undecided))
    }

    fn of(examples: Vec<Example>, mode: Mode, epochs: Epochs) -> Self {
        let latest = examples.iter().map(|example| example.last.epoch()).max().unwrap_or(0);
        Self { examples, room: Room::default(), mode, epochs, latest }
    }

    /// The number of examples.
    pub fn len(&self) -> usize {
        self.examples.len()
    }

    /// Whether it tracks no example at all.
    pub fn is_empty(&self) -> bool {
        self.examples.is_empty()
    }

    /// Which forward pass is recorded.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Records a batch, row after row.
    ///
    /// Without an `epoch` every row is one more sight of its example. With one, an example counts once in it: a
    /// repeated row (a sampler that pads its last batch) is passed over.
    ///
    /// # Errors
    /// If lengths, ids, labels, logits or the epoch are not valid. Nothing is recorded then.
    pub fn update(&mut self, batch: &Batch<'_>, epoch: Option<i64>, threads: &Threads) -> Result<(), Error> {
        let epochs = self.epochs.with(if epoch.is_some() { Epochs::Named } else { Epochs::Counted })?;
        let epoch = epoch.map(checked_epoch).transpose()?;
        batch.check_lengths()?;
        let last = epoch.unwrap_or(LAST_EPOCH.saturating_sub(u32::try_from(batch.ids.len()).unwrap_or(LAST_EPOCH)));
        let one = Threads::one();
        let threads = if batch.logits.len() < SERIAL { &one } else { threads };
        let mut outcomes = std::mem::take(&mut self.room.0);
        outcomes.resize_with(batch.ids.len().div_ceil(LANES), Outcomes::default);
        let lanes = (CHUNK_LOGITS / batch.classes).div_ceil(LANES);
        let bad = AtomicBool::new(false);
        threads.for_each_chunk(&mut outcomes, lanes, |start, out| {
            let batch = batch.rows(start * LANES, out.len() * LANES);
            if self.check(&batch, epoch, last).is_err()
                || !softmax::outcomes(batch.logits, batch.labels, batch.classes, out)
            {
                bad.store(true, Ordering::Relaxed);
            }
        });
        if bad.into_inner() {
            self.check(batch, epoch, last)?;
            let row = (0..batch.ids.len()).find(|&row| !row_of(&outcomes, row).finite).unwrap_or_default();
            return Err(Error::Logits { id: batch.ids[row] });
        }
        self.record(batch.ids, &outcomes, epoch, &threads.to_the_end());
        self.epochs = epochs;
        outcomes.truncate(KEPT);
        outcomes.shrink_to(KEPT);
        self.room = Room(outcomes);
        Ok(())
    }

    /// Whether every id and label is valid and no example was seen after `last`.
    fn check(&self, batch: &Batch<'_>, epoch: Option<u32>, last: u32) -> Result<(), Error> {
        let (n, classes) = (self.len(), batch.classes);
        for (&id, &label) in batch.ids.iter().zip(batch.labels) {
            if index(id) >= n {
                return Err(Error::Id { id, n });
            }
            if index(label) >= classes {
                return Err(Error::Label { label, classes, id });
            }
            simd::prefetch_later(&self.examples[index(id)]); // it is recorded soon
            if self.latest > last && self.examples[index(id)].last.epoch() > last {
                return Err(match epoch {
                    Some(epoch) => Error::EpochBack { id, last: self.examples[index(id)].last.epoch(), epoch },
                    None => Error::EpochEnd { id, most: LAST_EPOCH },
                });
            }
        }
        Ok(())
    }

    /// Rows of one example are recorded in their order, by whichever thread has that example.
    fn record(&mut self, ids: &[i64], outcomes: &[Outcomes], epoch: Option<u32>, threads: &Threads) {
        let chunk = self.len().div_ceil(threads.count());
        let latest = AtomicU32::new(self.latest);
        threads.for_each_chunk(&mut self.examples, chunk, |start, examples| {
            let mut own = [(0, 0); ROWS]; // row and place
            let mut last = 0;
            for (ids, outcomes) in ids.chunks(ROWS).zip(outcomes.chunks(ROWS / LANES)) {
                let mut count = 0;
                for (row, &id) in ids.iter().enumerate() {
                    // Without a branch: whose turn it is cannot be foreseen.
                    let place = index(id).wrapping_sub(start);
                    own[count] = (row, place);
                    count += usize::from(place < examples.len());
                }
                let own = &own[..count];
                own.iter().take(AHEAD).for_each(|&(_, place)| simd::prefetch_later(&examples[place]));
                for (turn, &(row, place)) in own.iter().enumerate() {
                    if let Some(&(_, later)) = own.get(turn + AHEAD) {
                        simd::prefetch_later(&examples[later]);
                    }
                    let (outcome, example) = (row_of(outcomes, row), &mut examples[place]);
                    let now = epoch.unwrap_or_else(|| example.next_epoch());
                    if example.seen == 0 || example.last.epoch() < now {
                        example.record(&outcome, now);
                        last = last.max(now);
                    }
                }
            }
            latest.fetch_max(last, Ordering::Relaxed);
        });
        self.latest = latest.into_inner();
    }

    /// How often each example was seen.
    pub fn seen(&self) -> Vec<i64> {
        self.examples.iter().map(|example| i64::from(example.seen)).collect()
    }

    /// The statistics of [`NAMES`], one vector each; NaN for an example that was never seen.
    ///
    /// An example that was never right has infinite `forgetting_events` and `first_learned`. `variability` is the
    /// population standard deviation of the confidence.
    pub fn scores(&self, threads: &Threads) -> [Vec<f64>; NAMES.len()] {
        let mut columns = std::array::from_fn(|_| vec![0.0; self.len()]);
        let mut parts = columns.each_mut().map(|column: &mut Vec<f64>| column.chunks_mut(CHUNK));
        let parts = |examples| (examples, parts.each_mut().map(|column| column.next().unwrap_or_default()));
        threads.each(self.examples.chunks(CHUNK).map(parts).collect(), |(examples, mut parts): (&[Example], _)| {
            for (i, example) in examples.iter().enumerate() {
                for (column, score) in parts.iter_mut().zip(example.scores()) {
                    column[i] = score;
                }
            }
        });
        columns
    }

    /// A tracker of the examples `ids`, in that order.
    ///
    /// # Errors
    /// If an id is out of range.
    pub fn take(&self, ids: &[i64], threads: &Threads) -> Result<Self, Error> {
        self.check_ids(ids)?;
        let mut taken = Self::new(ids.len(), self.mode)?;
        threads.for_each_chunk(&mut taken.examples, CHUNK, |start, examples| {
            for (example, &id) in examples.iter_mut().zip(&ids[start..]) {
                *example = self.examples[index(id)];
            }
        });
        Ok(Self::of(taken.examples, self.mode, self.epochs))
    }

    /// Drops all that is known of the examples `ids`: they were never seen.
    ///
    /// # Errors
    /// If an id is out of range. Nothing is dropped then.
    pub fn forget(&mut self, ids: &[i64]) -> Result<(), Error> {
        self.check_ids(ids)?;
        for &id in ids {
            self.examples[index(id)] = Example::UNSEEN;
        }
        *self = Self::of(std::mem::take(&mut self.examples), self.mode, self.epochs);
        Ok(())
    }

    fn check_ids(&self, ids: &[i64]) -> Result<(), Error> {
        let n = self.len();
        ids.iter().find(|&&id| index(id) >= n).map_or(Ok(()), |&id| Err(Error::Id { id, n }))
    }

    /// Adds what another tracker of the same examples has seen.
    ///
    /// An example that only one of them has seen is copied, bit by bit. For one that both have seen:
    /// * Named epochs say what came first. Epochs that do not overlap give what one tracker would have given (sums to
    ///   the rounding of their last bit). An example whose only sight here or there is in an epoch that the other one
    ///   ends with was seen twice in it, by two workers: it counts once, the longer record stands. Otherwise the order
    ///   is lost and with it the number of forgetting events, which becomes NaN; all else is exact.
    /// * Counted epochs: the sights of `other` come after those of `self`.
    ///
    /// # Errors
    /// If the trackers differ in size, mode, or where their epochs come from. Nothing is changed then.
    pub fn merge(&mut self, other: &Self, threads: &Threads) -> Result<(), Error> {
        if self.len() != other.len() {
            return Err(Error::Trackers { expected: self.len(), got: other.len() });
        }
        if self.mode != other.mode {
            return Err(Error::Modes { this: self.mode.name(), other: other.mode.name() });
        }
        let epochs = self.epochs.with(other.epochs)?;
        let overflows = |&id: &usize| {
            let (a, b) = (&self.examples[id], &other.examples[id]);
            b.seen > 0 && a.seen > 0 && a.last.epoch() + b.last.epoch() >= LAST_EPOCH
        };
        if epochs == Epochs::Counted {
            let found = threads.map_chunks(self.len(), CHUNK, |mut ids| ids.find(overflows));
            if let Some(id) = found.into_iter().flatten().next() {
                return Err(Error::EpochEnd { id: id.try_into().unwrap_or(i64::MAX), most: LAST_EPOCH });
            }
        }
        threads.to_the_end().for_each_chunk(&mut self.examples, CHUNK, |start, examples| {
            for (ours, theirs) in examples.iter_mut().zip(&other.examples[start..]) {
                *ours = match epochs {
                    Epochs::Counted if theirs.seen > 0 => ours.merged(&theirs.shifted(ours.next_epoch())),
                    Epochs::Named if ours.ends_with(theirs) => *ours,
                    Epochs::Named if theirs.ends_with(ours) => *theirs,
                    _ => ours.merged(theirs),
                };
            }
        });
        *self = Self::of(std::mem::take(&mut self.examples), self.mode, epochs);
        Ok(())
    }
}

#[inline(always)]
fn row_of(outcomes: &[Outcomes], row: usize) -> Outcome {
    outcomes[row / LANES].row(row % LANES)
}

/// An id or a label as an index; out of every range if it is negative.
#[inline(always)]
fn index(id: i64) -> usize {
    usize::try_from(id).unwrap_or(usize::MAX)
}

fn checked_epoch(epoch: i64) -> Result<u32, Error> {
    let checked = u32::try_from(epoch).ok().filter(|&epoch| epoch <= LAST_EPOCH);
    checked.ok_or(Error::Epoch { epoch, most: LAST_EPOCH })
}
