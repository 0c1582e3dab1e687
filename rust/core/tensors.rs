//! Named arrays in a safetensors file: written whole or not at all, checked when read.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView, serialize};

use crate::error::Error;

/// What a file holds: the kind of record, its settings, its arrays.
pub struct Tensors<'a> {
    /// `unmemorize` and the name of the record, for instance `unmemorize.LearningEvents/1`.
    pub format: &'static str,
    /// Settings as text.
    pub settings: Vec<(&'static str, String)>,
    /// Name, type, shape and little-endian bytes of each array.
    pub arrays: Vec<(&'static str, Dtype, Vec<usize>, &'a [u8])>,
}

const FORMAT: &str = "format";
const CHECKSUM: &str = "crc32";

fn io_error(path: &Path) -> impl Fn(io::Error) -> Error + '_ {
    move |source| Error::Io { path: path.display().to_string(), source }
}

/// An [`Error::Damaged`] for `path`.
pub fn damaged(path: &Path, problem: impl Into<String>) -> Error {
    Error::Damaged { path: path.display().to_string(), problem: problem.into() }
}

impl Tensors<'_> {
    /// Writes `path`: to a temporary name beside it, synced, then renamed over it.
    ///
    /// # Errors
    /// [`Error::Io`] if the disk says no; `path` is then as it was.
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        let mut views = Vec::with_capacity(self.arrays.len());
        for (name, dtype, shape, bytes) in &self.arrays {
            let view = TensorView::new(*dtype, shape.clone(), bytes).map_err(|e| damaged(path, e.to_string()))?;
            views.push((*name, view));
        }
        let mut metadata: HashMap<String, String> =
            self.settings.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        metadata.insert(FORMAT.to_owned(), self.format.to_owned());
        metadata.insert(CHECKSUM.to_owned(), self.checksum());
        let bytes = serialize(views, Some(metadata)).map_err(|e| damaged(path, e.to_string()))?;
        write(path, &bytes).map_err(io_error(path))
    }

    /// Over the settings and the bytes of the arrays, in the order of their names.
    fn checksum(&self) -> String {
        let mut parts: Vec<(&str, &[u8])> = self.settings.iter().map(|(k, v)| (*k, v.as_bytes())).collect();
        parts.extend(self.arrays.iter().map(|(name, _, _, bytes)| (*name, *bytes)));
        checksum(parts)
    }
}

fn checksum(mut parts: Vec<(&str, &[u8])>) -> String {
    parts.sort_unstable();
    let mut hasher = crc32fast::Hasher::new();
    for (name, bytes) in parts {
        hasher.update(name.as_bytes());
        hasher.update(bytes);
    }
    format!("{:08x}", hasher.finalize())
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    let written = File::create(&temporary)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        drop(fs::remove_file(&temporary)); // the first error is the one to report
    }
    written
}

/// A file that was read and found whole.
pub struct Loaded {
    settings: HashMap<String, String>,
    bytes: Vec<u8>,
}

impl Loaded {
    /// Reads `path` and checks its format and checksum.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, [`Error::Damaged`] if it is not what was written.
    pub fn open(path: &Path, format: &'static str) -> Result<Self, Error> {
        let bytes = fs::read(path).map_err(io_error(path))?;
        let (_, header) = SafeTensors::read_metadata(&bytes)
            .map_err(|e| damaged(path, format!("not a safetensors file, or cut short: {e}")))?;
        let mut settings = header.metadata().clone().unwrap_or_default();
        match settings.remove(FORMAT) {
            Some(found) if found == format => {}
            Some(found) => return Err(damaged(path, format!("expected format '{format}', got '{found}'"))),
            None => return Err(damaged(path, format!("expected format '{format}', got a file without one"))),
        }
        let stored = settings.remove(CHECKSUM).unwrap_or_default();
        let loaded = Self { settings, bytes };
        let tensors = loaded.tensors(path)?;
        let views = tensors.tensors();
        let mut parts: Vec<(&str, &[u8])> = loaded.settings.iter().map(|(k, v)| (k.as_str(), v.as_bytes())).collect();
        parts.extend(views.iter().map(|(name, view)| (name.as_str(), view.data())));
        let found = checksum(parts);
        if found != stored {
            return Err(damaged(path, format!("damaged: checksum {found} does not match the stored '{stored}'")));
        }
        Ok(loaded)
    }

    fn tensors(&self, path: &Path) -> Result<SafeTensors<'_>, Error> {
        SafeTensors::deserialize(&self.bytes).map_err(|e| damaged(path, e.to_string()))
    }

    /// The setting `key`, parsed.
    ///
    /// # Errors
    /// [`Error::Damaged`] if it is missing or not of the type.
    pub fn setting<T: std::str::FromStr>(&self, path: &Path, key: &str) -> Result<T, Error> {
        let text = self.settings.get(key).ok_or_else(|| damaged(path, format!("no setting '{key}'")))?;
        text.parse().map_err(|_| damaged(path, format!("setting '{key}' is '{text}'")))
    }

    /// The bytes of the array `name`, which must have the given type and shape.
    ///
    /// # Errors
    /// [`Error::Damaged`] if it is missing or another.
    pub fn array(&self, path: &Path, name: &str, dtype: Dtype, shape: &[usize]) -> Result<Vec<u8>, Error> {
        let tensors = self.tensors(path)?;
        let view = tensors.tensor(name).map_err(|e| damaged(path, e.to_string()))?;
        if view.dtype() != dtype || view.shape() != shape {
            let problem = format!(
                "array '{name}': expected {dtype:?} of shape {shape:?}, got {:?} of shape {:?}",
                view.dtype(),
                view.shape()
            );
            return Err(damaged(path, problem));
        }
        Ok(view.data().to_vec())
    }
}
