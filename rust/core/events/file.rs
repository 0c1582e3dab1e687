//! Learning events in a safetensors file: one array for each field of the records.

use std::path::Path;

use safetensors::Dtype;

use super::example::{Example, NEVER, Sight};
use super::{Epochs, LAST_EPOCH, LearningEvents, Mode};
use crate::error::Error;
use crate::tensors::{Loaded, Tensors, damaged};

const FORMAT: &str = "unmemorize.LearningEvents/1";
const SUMS: [&str; 7] = ["confidence", "max_confidence", "entropy", "loss", "margin", "el2n", "spread"];
const COUNTS: [&str; 6] = ["seen", "right", "forgotten", "learned", "first", "last"];

impl Example {
    fn parts(&self) -> ([f64; SUMS.len()], [u32; COUNTS.len()]) {
        (
            [self.confidence, self.max_confidence, self.entropy, self.loss, self.margin, self.el2n, self.spread],
            [self.seen, self.right, self.forgotten, self.learned, self.first.0, self.last.0],
        )
    }

    fn from_parts(sums: [f64; SUMS.len()], counts: [u32; COUNTS.len()]) -> Self {
        let [confidence, max_confidence, entropy, loss, margin, el2n, spread] = sums;
        let [seen, right, forgotten, learned, first, last] = counts;
        let (first, last) = (Sight(first), Sight(last));
        #[rustfmt::skip]
        let example = Self {
            confidence, max_confidence, entropy, loss, margin, el2n, spread, seen, right, forgotten, learned, first, last,
        };
        example
    }

    fn is_sound(&self) -> bool {
        let learned = self.learned == NEVER || self.learned <= self.last.epoch();
        let epochs = self.first.epoch() <= self.last.epoch() && self.last.epoch() <= LAST_EPOCH;
        (self.seen > 0 || *self == Self::UNSEEN) && self.right <= self.seen && learned && epochs
    }
}

impl LearningEvents {
    /// Writes a safetensors file, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`] if the disk says no.
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        let parts: Vec<_> = self.examples.iter().map(Example::parts).collect();
        let columns: Vec<(&str, Dtype, Vec<u8>)> = SUMS
            .iter()
            .enumerate()
            .map(|(k, name)| (*name, Dtype::F64, parts.iter().flat_map(|(sums, _)| sums[k].to_le_bytes()).collect()))
            .chain(COUNTS.iter().enumerate().map(|(k, name)| {
                (*name, Dtype::U32, parts.iter().flat_map(|(_, counts)| counts[k].to_le_bytes()).collect())
            }))
            .collect();
        Tensors {
            format: FORMAT,
            settings: vec![
                ("n_examples", self.len().to_string()),
                ("mode", self.mode.name().to_owned()),
                ("epochs", self.epochs.name().to_owned()),
            ],
            arrays: columns.iter().map(|(name, dtype, bytes)| (*name, *dtype, vec![self.len()], &bytes[..])).collect(),
        }
        .save(path)
    }

    /// Reads what [`LearningEvents::save`] wrote.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read, [`Error::Damaged`] if it is not what was written.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let file = Loaded::open(path, FORMAT)?;
        let n: usize = file.setting(path, "n_examples")?;
        let mode: Mode = file.setting(path, "mode")?;
        let epochs: String = file.setting(path, "epochs")?;
        let epochs = Epochs::ALL.into_iter().find(|known| known.name() == epochs);
        let epochs = epochs.ok_or_else(|| damaged(path, "setting 'epochs' is unknown"))?;
        let mut sums = Vec::with_capacity(SUMS.len());
        for name in SUMS {
            sums.push(file.array(path, name, Dtype::F64, &[n])?);
        }
        let mut counts = Vec::with_capacity(COUNTS.len());
        for name in COUNTS {
            counts.push(file.array(path, name, Dtype::U32, &[n])?);
        }
        let example = |i: usize| {
            Example::from_parts(
                std::array::from_fn(|k| f64::from_le_bytes(sums[k].as_chunks().0[i])),
                std::array::from_fn(|k| u32::from_le_bytes(counts[k].as_chunks().0[i])),
            )
        };
        let examples: Vec<Example> = (0..n).map(example).collect();
        match examples.iter().position(|example| !example.is_sound()) {
            Some(id) => Err(damaged(path, format!("the record of example {id} contradicts itself"))),
            None => Ok(Self::of(examples, mode, epochs)),
        }
    }
}
