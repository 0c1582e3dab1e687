//! Binding of `unmemorize::rank` and of the bootstrap.

use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use unmemorize::parallel::Threads;
use unmemorize::rank::{self, Kendall, Pearson, Spearman};
use unmemorize::resample::{Bootstrap, Interval, Mean, Median};
use unmemorize::{Error, resample};

use crate::error::Failure;
use crate::interrupt::interruptible;

type Vector<'py> = PyReadonlyArray1<'py, f64>;

/// (value, low, high) of what `kernel` finds without the GIL.
fn interval(
    py: Python<'_>,
    n_threads: usize,
    kernel: impl FnOnce(&Threads) -> Result<Interval, Error> + Send,
) -> Result<(f64, f64, f64), Failure> {
    let Interval { value, low, high } = interruptible(py, n_threads, kernel)?;
    Ok((value, low, high))
}

#[pyfunction]
fn average_ranks<'py>(py: Python<'py>, x: Vector<'py>, n_threads: usize) -> Result<Bound<'py, PyArray1<f64>>, Failure> {
    let x = x.as_slice()?;
    Ok(interruptible(py, n_threads, |threads| rank::average_ranks(x, threads))?.into_pyarray(py))
}

/// How often each of n examples is drawn in resample `b`.
#[pyfunction]
fn resample_counts(py: Python<'_>, n: usize, seed: u64, b: u64) -> Bound<'_, PyArray1<u32>> {
    py.detach(|| resample::counts(n, seed, b)).into_pyarray(py)
}

macro_rules! correlation {
    ($name:ident, $statistic:ident) => {
        #[pyfunction]
        fn $name(
            py: Python<'_>,
            x: Vector<'_>,
            y: Vector<'_>,
            level: f64,
            resamples: usize,
            seed: u64,
            n_threads: usize,
        ) -> Result<(f64, f64, f64), Failure> {
            let (x, y) = (x.as_slice()?, y.as_slice()?);
            let bootstrap = Bootstrap { level, resamples, seed };
            interval(py, n_threads, |threads| Ok(bootstrap.of(&$statistic::new(x, y, threads)?, threads)))
        }
    };
}

/// (value, low, high) of each column of x.
#[pyfunction]
fn spearman_columns(
    py: Python<'_>,
    x: PyReadonlyArray2<'_, f64>,
    y: Vector<'_>,
    level: f64,
    resamples: usize,
    seed: u64,
    n_threads: usize,
) -> Result<Vec<(f64, f64, f64)>, Failure> {
    let columns = x.as_array().ncols();
    let (x, y) = (x.as_slice()?, y.as_slice()?);
    let bootstrap = Bootstrap { level, resamples, seed };
    let found = interruptible(py, n_threads, |threads| rank::spearman_columns(x, columns, y, &bootstrap, threads))?;
    Ok(found.into_iter().map(|Interval { value, low, high }| (value, low, high)).collect())
}

correlation!(pearson, Pearson);
correlation!(spearman, Spearman);
correlation!(kendall, Kendall);

macro_rules! location {
    ($name:ident, $statistic:ident) => {
        #[pyfunction]
        fn $name(
            py: Python<'_>,
            values: Vector<'_>,
            level: f64,
            resamples: usize,
            seed: u64,
            n_threads: usize,
        ) -> Result<(f64, f64, f64), Failure> {
            let values = values.as_slice()?;
            let bootstrap = Bootstrap { level, resamples, seed };
            interval(py, n_threads, |threads| Ok(bootstrap.of(&$statistic::new(values, threads)?, threads)))
        }
    };
}

location!(mean, Mean);
location!(median, Median);

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(average_ranks, m)?)?;
    m.add_function(wrap_pyfunction!(resample_counts, m)?)?;
    m.add_function(wrap_pyfunction!(pearson, m)?)?;
    m.add_function(wrap_pyfunction!(spearman, m)?)?;
    m.add_function(wrap_pyfunction!(spearman_columns, m)?)?;
    m.add_function(wrap_pyfunction!(kendall, m)?)?;
    m.add_function(wrap_pyfunction!(mean, m)?)?;
    m.add_function(wrap_pyfunction!(median, m)?)
}
