//! Everything that can be wrong with an input, as sentences that say what was expected and what was given.

use std::io;

use crate::parallel::Reason;

/// The one error of the core. The binding maps its variants to Python's exceptions.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // the messages are the documentation
pub enum Error {
    #[error("{name}: expected {expected} values to match {other}, got {got}")]
    Length { name: &'static str, expected: usize, other: &'static str, got: usize },
    #[error("{name}: expected shape {expected:?} to match {other}, got {got:?}")]
    Shape { name: &'static str, expected: (usize, usize), other: &'static str, got: (usize, usize) },
    #[error("{name}: shape {shape:?} has more elements than memory can hold")]
    TooLarge { name: &'static str, shape: (usize, usize) },
    #[error("{name}: not enough memory for {n}")]
    Memory { name: &'static str, n: usize },
    #[error("packed: bits beyond the last of {columns} columns are set")]
    StrayBits { columns: usize },
    #[error("n_threads: expected 1 to {most}, got {got}")]
    Threads { most: usize, got: usize },
    #[error("n_threads: {count} threads could not be started: {reason}")]
    Pool { count: usize, reason: String },

    #[error("interrupted: {0}")]
    Interrupted(Reason),

    #[error("{name}: {count} of {len} values are NaN, the first at position {first}; leave them out first")]
    NotANumber { name: &'static str, count: usize, len: usize, first: usize },
    #[error("{name}: expected at most 4294967295 values, got {n}")]
    TooMany { name: &'static str, n: usize },
    #[error("{name}: the value at position {first} is infinite")]
    Infinite { name: &'static str, first: usize },
    #[error("size: expected at most {n}, the number of examples, got {wanted}")]
    TooFew { wanted: usize, n: usize },
    #[error("k: expected 1 to {n}, the number of examples, got {k}")]
    Strata { n: usize, k: usize },
    #[error("by: {group} is out of range for {groups} groups (example {id})")]
    Group { group: i64, groups: usize, id: usize },
    #[error("x, y: a correlation needs 2 to 4294967295 pairs, got {n}")]
    Pairs { n: usize },

    #[error("ids: {id} is out of range for a tracker of {n} examples")]
    Id { id: i64, n: usize },
    #[error("labels: {label} is out of range for {classes} classes (example {id})")]
    Label { label: i64, classes: usize, id: i64 },
    #[error("{name}: expected {expected} values to match logits of shape {shape:?}, got {got}")]
    Rows { name: &'static str, expected: usize, shape: (usize, usize), got: usize },
    #[error("logits: expected at least 2 classes, got shape ({rows}, {classes})")]
    Classes { rows: usize, classes: usize },
    #[error("logits: not finite (NaN or infinite) for example {id}")]
    Logits { id: i64 },
    #[error("epoch: expected 0 to {most}, got {epoch}")]
    Epoch { epoch: i64, most: u32 },
    #[error("epoch: example {id} was already seen in epoch {last}, which is after epoch {epoch}")]
    EpochBack { id: i64, last: u32, epoch: u32 },
    #[error("epoch: example {id} was already seen {most} times")]
    EpochEnd { id: i64, most: u32 },
    #[error("epoch: epochs are {this} so far, now {other}; give epoch= in every update or in none")]
    EpochMode { this: &'static str, other: &'static str },
    #[error("mode: expected 'train' or 'eval', got '{got}'")]
    Mode { got: String },
    #[error("mode: expected '{this}' to match this tracker, got '{other}'")]
    Modes { this: &'static str, other: &'static str },
    #[error("n_examples: expected {expected} to match this tracker, got {got}")]
    Trackers { expected: usize, got: usize },

    #[error("k: expected 1 to {n}, the number of training examples, got {k}")]
    TopK { k: usize, n: usize },
    #[error("ids: {id} is out of range for an ensemble of {n} examples")]
    TrainId { id: i64, n: usize },
    #[error("{name}: expected {expected} models (rows) to match member, got {got}")]
    Models { name: &'static str, expected: usize, got: usize },
    #[error("member: a split into two halves needs at least 4 models, got {models}")]
    Halves { models: usize },
    #[error("splits: expected 1 to {most}, got {got}")]
    Splits { most: usize, got: usize },
    #[error("probs: expected probabilities in [0, 1], got {value:?} for example {id}")]
    Probability { value: f64, id: usize },
    #[error("confidence: expected probabilities in [0, 1], got {value:?} for example {id} in model {model}")]
    Confidence { value: f64, id: usize, model: usize },

    #[error("{name}: NaN, infinite or above 1e150 in size for model {model}, example {id}")]
    Phi { name: &'static str, model: usize, id: usize },
    #[error("phi: all {side} models say the same of every example; give log-odds, not 0/1 correctness")]
    Constant { side: &'static str },
    #[error("members: expected at least 1 member and 1 other, 4294967295 together at most, got {members} and {others}")]
    Members { members: usize, others: usize },
    #[error("{name}: expected probabilities in {expected}, got {value:?} at position {id}")]
    NotProbability { name: &'static str, expected: &'static str, value: f64, id: usize },
    #[error("successes: expected 0 to n with n >= 1, got {got} of {n}")]
    Successes { got: i64, n: usize },
    #[error("bins: expected 1 to {most}, got {got}")]
    Bins { most: usize, got: usize },
    #[error("population_target: expected at least 1 value, got 0")]
    NoPopulation,
    #[error(
        "not available from {unlearned} unlearned and {oracle} oracle models: expected at least {least} of each; \
         with fewer it is noise"
    )]
    FewModels { least: usize, unlearned: usize, oracle: usize },

    #[error("{path}: {problem}")]
    Damaged { path: String, problem: String },
    #[error("{path}: {source}")]
    Io { path: String, source: io::Error },
}

impl Error {
    /// Checks that `got` is the `expected` length.
    ///
    /// # Errors
    /// [`Error::Length`] if it is not.
    pub fn check_length(name: &'static str, got: usize, expected: usize, other: &'static str) -> Result<(), Self> {
        if got == expected { Ok(()) } else { Err(Self::Length { name, expected, other, got }) }
    }
}
