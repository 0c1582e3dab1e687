//! Scores that come without a conversion, of whichever type they are.

use numpy::PyReadonlyArray1;
use pyo3::prelude::*;

/// Real numbers: (n,), or a matrix row by row.
#[derive(FromPyObject)]
pub enum Scores<'py> {
    F64(PyReadonlyArray1<'py, f64>),
    F32(PyReadonlyArray1<'py, f32>),
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
