//! Binding of `unmemorize::partition`.

use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;
use unmemorize::partition;

use crate::error::Failure;
use crate::interrupt::interruptible;
use crate::scores::{Scores, on_scores};

type Ids<'py> = Bound<'py, PyArray1<i64>>;

#[allow(clippy::cast_possible_wrap)] // indices of an array
fn ids(py: Python<'_>, found: Vec<usize>) -> Ids<'_> {
    found.into_iter().map(|id| id as i64).collect::<Vec<_>>().into_pyarray(py)
}

#[pyfunction]
fn argsort<'py>(py: Python<'py>, score: Scores<'py>, n_threads: usize) -> Result<Ids<'py>, Failure> {
    Ok(ids(py, on_scores!(py, n_threads, [score], |threads| partition::argsort(score, threads))?))
}

#[pyfunction]
fn strata<'py>(py: Python<'py>, score: Scores<'py>, k: usize, n_threads: usize) -> Result<Ids<'py>, Failure> {
    Ok(on_scores!(py, n_threads, [score], |threads| partition::strata(score, k, threads))?.into_pyarray(py))
}

/// `group`: 0..groups for each score.
#[pyfunction]
fn strata_within<'py>(
    py: Python<'py>,
    score: Scores<'py>,
    group: PyReadonlyArray1<'py, i64>,
    groups: usize,
    k: usize,
    n_threads: usize,
) -> Result<Ids<'py>, Failure> {
    let group = group.as_slice()?;
    let found =
        on_scores!(py, n_threads, [score], |threads| { partition::strata_within(score, group, groups, k, threads) })?;
    Ok(found.into_pyarray(py))
}

#[pyfunction]
fn lowest<'py>(py: Python<'py>, score: Scores<'py>, size: usize, n_threads: usize) -> Result<Ids<'py>, Failure> {
    Ok(ids(py, on_scores!(py, n_threads, [score], |threads| partition::lowest(score, size, threads))?))
}

#[pyfunction]
fn highest<'py>(py: Python<'py>, score: Scores<'py>, size: usize, n_threads: usize) -> Result<Ids<'py>, Failure> {
    Ok(ids(py, on_scores!(py, n_threads, [score], |threads| partition::highest(score, size, threads))?))
}

#[pyfunction]
fn nearest<'py>(
    py: Python<'py>,
    score: Scores<'py>,
    value: f64,
    size: usize,
    n_threads: usize,
) -> Result<Ids<'py>, Failure> {
    Ok(ids(py, on_scores!(py, n_threads, [score], |threads| partition::nearest(score, value, size, threads))?))
}

#[pyfunction]
fn sample(py: Python<'_>, n: usize, size: usize, seed: u64, n_threads: usize) -> Result<Ids<'_>, Failure> {
    Ok(ids(py, interruptible(py, n_threads, |threads| partition::sample(n, size, seed, threads))?))
}

#[pyfunction]
fn random_strata(py: Python<'_>, n: usize, k: usize, seed: u64, n_threads: usize) -> Result<Ids<'_>, Failure> {
    Ok(interruptible(py, n_threads, |threads| partition::random_strata(n, k, seed, threads))?.into_pyarray(py))
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(argsort, m)?)?;
    m.add_function(wrap_pyfunction!(strata, m)?)?;
    m.add_function(wrap_pyfunction!(strata_within, m)?)?;
    m.add_function(wrap_pyfunction!(lowest, m)?)?;
    m.add_function(wrap_pyfunction!(highest, m)?)?;
    m.add_function(wrap_pyfunction!(nearest, m)?)?;
    m.add_function(wrap_pyfunction!(sample, m)?)?;
    m.add_function(wrap_pyfunction!(random_strata, m)?)
}
