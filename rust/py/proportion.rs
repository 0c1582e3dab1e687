//! Binding of `unmemorize::proportion`.

use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;
use unmemorize::proportion;

use crate::error::Failure;
use crate::interrupt::interruptible;

type Ends<'py> = Bound<'py, PyArray1<f64>>;

/// Lower and upper ends.
#[pyfunction]
fn clopper_pearson<'py>(
    py: Python<'py>,
    successes: PyReadonlyArray1<'py, i64>,
    n: usize,
    level: f64,
    n_threads: usize,
) -> Result<(Ends<'py>, Ends<'py>), Failure> {
    let successes = successes.as_slice()?;
    let (low, high) =
        interruptible(py, n_threads, |threads| proportion::clopper_pearson(successes, n, level, threads))?;
    Ok((low.into_pyarray(py), high.into_pyarray(py)))
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(clopper_pearson, m)?)
}
