//! The core's errors as Python's exceptions.

use std::io;

use numpy::AsSliceError;
use pyo3::create_exception;
use pyo3::exceptions::{PyIndexError, PyKeyboardInterrupt, PyValueError};
use pyo3::prelude::*;
use unmemorize::Error;

create_exception!(
    unmemorize.errors,
    StoreError,
    PyValueError,
    "A file of this package that is damaged, incomplete or of another kind; the message names it."
);

/// What a bound function may fail with.
pub enum Failure {
    Core(Error),
    Python(PyErr),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Core(error)
    }
}

impl From<PyErr> for Failure {
    fn from(error: PyErr) -> Self {
        Self::Python(error)
    }
}

impl From<AsSliceError> for Failure {
    fn from(error: AsSliceError) -> Self {
        Self::Python(error.into())
    }
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Python(error) => error,
            Failure::Core(error @ (Error::Id { .. } | Error::TrainId { .. })) => {
                PyIndexError::new_err(error.to_string())
            }
            Failure::Core(error @ Error::Damaged { .. }) => StoreError::new_err(error.to_string()),
            Failure::Core(Error::Io { path, source }) => {
                io::Error::new(source.kind(), format!("{path}: {source}")).into()
            }
            Failure::Core(Error::Interrupted(reason)) => reason
                .downcast()
                .map_or_else(|reason| PyKeyboardInterrupt::new_err(reason.to_string()), |raised| *raised),
            Failure::Core(error) => PyValueError::new_err(error.to_string()),
        }
    }
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add("StoreError", m.py().get_type::<StoreError>())
}
