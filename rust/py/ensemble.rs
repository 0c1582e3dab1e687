//! Binding of `unmemorize::ensemble`.

use std::sync::{Mutex, PoisonError};

use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2, PyReadwriteArray2};
use pyo3::prelude::*;
use unmemorize::Error;
use unmemorize::ensemble;
use unmemorize::ensemble::influence::By;
use unmemorize::ensemble::out_of_sample::OutOfSample;
use unmemorize::ensemble::soft::SoftMemorization;

use crate::bits::PyBitMatrix;
use crate::error::Failure;
use crate::events::LogitsArray;
use crate::interrupt::interruptible;

type Array1<'py, T> = Bound<'py, PyArray1<T>>;
type Array2<'py, T> = Bound<'py, PyArray2<T>>;
type Scores<'py> = (Array1<'py, f64>, Array1<'py, f64>, Array1<'py, i64>, Array1<'py, i64>);

/// Score, standard error, models in, models out.
#[pyfunction]
fn memorization<'py>(
    py: Python<'py>,
    member: &PyBitMatrix,
    correct: &PyBitMatrix,
    legacy: bool,
    n_threads: usize,
) -> Result<Scores<'py>, Failure> {
    let found = interruptible(py, n_threads, |threads| ensemble::memorization(&member.0, &correct.0, legacy, threads))?;
    Ok(scores(py, found))
}

fn scores(py: Python<'_>, m: ensemble::Memorization) -> Scores<'_> {
    (m.score.into_pyarray(py), m.std_error.into_pyarray(py), m.n_in.into_pyarray(py), m.n_out.into_pyarray(py))
}

#[pyfunction]
fn c_score<'py>(
    py: Python<'py>,
    member: &PyBitMatrix,
    correct: &PyBitMatrix,
    n_threads: usize,
) -> Result<Array1<'py, f64>, Failure> {
    let score = interruptible(py, n_threads, |threads| ensemble::c_score(&member.0, &correct.0, threads))?;
    Ok(score.into_pyarray(py))
}

/// The stepped-up correlation of each halving, and the least number of examples that one had.
#[pyfunction]
fn reliability<'py>(
    py: Python<'py>,
    member: &PyBitMatrix,
    correct: &PyBitMatrix,
    splits: usize,
    seed: u64,
    n_threads: usize,
) -> Result<(Array1<'py, f64>, usize), Failure> {
    let (values, examples) =
        interruptible(py, n_threads, |threads| ensemble::reliability(&member.0, &correct.0, splits, seed, threads))?;
    Ok((values.into_pyarray(py), examples))
}

/// Of the tests from `first_test` on, into `out`, whose pages are large if `numpy` could have them.
#[pyfunction]
fn influence(
    py: Python<'_>,
    member: &PyBitMatrix,
    test_correct: &PyBitMatrix,
    first_test: usize,
    mut out: PyReadwriteArray2<'_, f32>,
    n_threads: usize,
) -> Result<(), Failure> {
    let out = out.as_slice_mut()?;
    interruptible(py, n_threads, |threads| {
        ensemble::influence::influence(&member.0, &test_correct.0, first_test, out, threads)
    })
}

#[pyfunction]
fn influence_topk<'py>(
    py: Python<'py>,
    member: &PyBitMatrix,
    test_correct: &PyBitMatrix,
    k: usize,
    magnitude: bool,
    n_threads: usize,
) -> Result<(Array2<'py, i64>, Array2<'py, f32>), Failure> {
    let by = if magnitude { By::Magnitude } else { By::Value };
    let (ids, values) = interruptible(py, n_threads, |threads| {
        ensemble::influence::influence_topk(&member.0, &test_correct.0, k, by, threads)
    })?;
    let shape = [test_correct.0.columns(), k];
    Ok((ids.into_pyarray(py).reshape(shape)?, values.into_pyarray(py).reshape(shape)?))
}

#[pyfunction]
#[pyo3(signature = (member, test_correct, ids, n_threads))]
fn influence_std_error<'py>(
    py: Python<'py>,
    member: &PyBitMatrix,
    test_correct: &PyBitMatrix,
    ids: Option<PyReadonlyArray2<'py, i64>>,
    n_threads: usize,
) -> Result<Array2<'py, f64>, Failure> {
    let m = test_correct.0.columns();
    let width = ids.as_ref().map_or(member.0.columns(), |ids| ids.as_array().ncols());
    let ids = ids.as_ref().map(|ids| ids.as_slice()).transpose()?;
    let errors = interruptible(py, n_threads, |threads| {
        ensemble::influence::influence_std_error(&member.0, &test_correct.0, ids, threads)
    })?;
    Ok(errors.into_pyarray(py).reshape([m, width])?)
}

/// Mean softmax over the models that have not seen the example, gathered model by model.
#[pyclass(frozen, name = "OutOfSample", module = "unmemorize._core")]
struct PyOutOfSample {
    gathered: Mutex<OutOfSample>,
    shape: (usize, usize),
}

#[pymethods]
impl PyOutOfSample {
    #[new]
    fn new(n: usize, classes: usize) -> Result<Self, Failure> {
        Ok(Self { gathered: Mutex::new(OutOfSample::new(n, classes)?), shape: (n, classes) })
    }

    fn add(
        &self,
        py: Python<'_>,
        member: PyReadonlyArray1<'_, bool>,
        probs: LogitsArray<'_>,
        n_threads: usize,
    ) -> Result<(), Failure> {
        if probs.shape() != self.shape {
            let other = "the other models";
            return Err(Error::Shape { name: "probs", expected: self.shape, other, got: probs.shape() }.into());
        }
        let (member, probs) = (member.as_slice()?, probs.view()?);
        interruptible(py, n_threads, |threads| {
            let mut gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
            gathered.add(member, probs, threads)
        })
    }

    fn mean<'py>(&self, py: Python<'py>, n_threads: usize) -> Result<Array2<'py, f64>, Failure> {
        let mean = interruptible(py, n_threads, |threads| {
            self.gathered.lock().unwrap_or_else(PoisonError::into_inner).mean(threads)
        })?;
        Ok(mean.into_pyarray(py).reshape([self.shape.0, self.shape.1])?)
    }
}

/// Memorization by how sure the models are, gathered from some models at a time.
#[pyclass(frozen, name = "SoftMemorization", module = "unmemorize._core")]
struct PySoftMemorization(Mutex<SoftMemorization>);

#[pymethods]
impl PySoftMemorization {
    #[new]
    fn new(n: usize) -> Result<Self, Failure> {
        Ok(Self(Mutex::new(SoftMemorization::new(n)?)))
    }

    /// `member`, `p`: (models, n).
    fn add(
        &self,
        py: Python<'_>,
        member: PyReadonlyArray2<'_, bool>,
        p: LogitsArray<'_>,
        n_threads: usize,
    ) -> Result<(), Failure> {
        let models = u32::try_from(p.shape().0).unwrap_or(u32::MAX); // as many do not fit the examples
        let (member, p) = (member.as_slice()?, p.view()?);
        interruptible(py, n_threads, |threads| {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).add(member, p, models, threads)
        })
    }

    fn finish<'py>(&self, py: Python<'py>) -> Scores<'py> {
        scores(py, py.detach(|| self.0.lock().unwrap_or_else(PoisonError::into_inner).finish()))
    }
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(memorization, m)?)?;
    m.add_function(wrap_pyfunction!(c_score, m)?)?;
    m.add_function(wrap_pyfunction!(reliability, m)?)?;
    m.add_function(wrap_pyfunction!(influence, m)?)?;
    m.add_function(wrap_pyfunction!(influence_topk, m)?)?;
    m.add_function(wrap_pyfunction!(influence_std_error, m)?)?;
    m.add_class::<PyOutOfSample>()?;
    m.add_class::<PySoftMemorization>()
}
