//! Scores that come without a conversion, of whichever type they are.

use numpy::ndarray::Dimension;
use numpy::{Element, PyArray, PyArrayMethods, PyReadonlyArray, PyReadonlyArray1};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

/// Real numbers: (n,), or a matrix row by row.
pub enum Scores<'py> {
    F64(PyReadonlyArray1<'py, f64>),
    F32(PyReadonlyArray1<'py, f32>),
}

impl<'py> FromPyObject<'_, 'py> for Scores<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let found = array(object).map(Self::F64).or_else(|| array(object).map(Self::F32));
        found.ok_or_else(|| PyTypeError::new_err("expected an array (n,) of float64 or float32"))
    }
}

/// The array, if it is of this type. An error would say which type it has: a call of Python for each, in which Ctrl-C
/// is lost.
pub fn array<'py, T: Element, D: Dimension>(object: Borrowed<'_, 'py, PyAny>) -> Option<PyReadonlyArray<'py, T, D>> {
    object.cast::<PyArray<T, D>>().ok()?.try_readonly().ok()
}

/// [`interruptible`](crate::interrupt::interruptible), where each of the [`Scores`] in brackets is the slice that it
/// holds.
macro_rules! on_scores {
    ($py:expr, $n_threads:expr, [], |$threads:ident| $kernel:expr) => {
        crate::interrupt::interruptible($py, $n_threads, |$threads| $kernel)
    };
    ($py:expr, $n_threads:expr, [$scores:ident $(, $more:ident)*], |$threads:ident| $kernel:expr) => {
        match &$scores {
            crate::scores::Scores::F64($scores) => {
                let $scores = $scores.as_slice()?;
                crate::scores::on_scores!($py, $n_threads, [$($more),*], |$threads| $kernel)
            }
            crate::scores::Scores::F32($scores) => {
                let $scores = $scores.as_slice()?;
                crate::scores::on_scores!($py, $n_threads, [$($more),*], |$threads| $kernel)
            }
        }
    };
}

pub(crate) use on_scores;
