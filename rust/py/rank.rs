//! Binding of `unmemorize::rank` and of the bootstrap.

use numpy::{IntoPyArray, PyArray1};
use pyo3::prelude::*;
use unmemorize::rank::{self, Kendall, Pearson, Spearman};
use unmemorize::resample::{self, Bootstrap, Interval, Mean, Quantile};

use crate::error::Failure;
use crate::scores::{Scores, on_scores};

/// What every bootstrap is told: level, number of resamples, seed and number of threads.
#[derive(FromPyObject)]
pub struct Resampling(f64, usize, u64, usize);

impl Resampling {
    pub fn split(&self) -> (Bootstrap, usize) {
        let &Self(level, resamples, seed, n_threads) = self;
        (Bootstrap { level, resamples, seed }, n_threads)
    }
}

/// What Python gets of an interval.
pub fn triple(Interval { value, low, high }: Interval) -> (f64, f64, f64) {
    (value, low, high)
}

#[pyfunction]
fn average_ranks<'py>(py: Python<'py>, x: Scores<'py>, n_threads: usize) -> Result<Bound<'py, PyArray1<f64>>, Failure> {
    Ok(on_scores!(py, n_threads, [x], |threads| rank::average_ranks(x, threads))?.into_pyarray(py))
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
            x: Scores<'_>,
            y: Scores<'_>,
            resampling: Resampling,
        ) -> Result<(f64, f64, f64), Failure> {
            let (bootstrap, n_threads) = resampling.split();
            on_scores!(py, n_threads, [x, y], |threads| bootstrap.of(&$statistic::new(x, y, threads)?, threads))
                .map(triple)
        }
    };
}

correlation!(pearson, Pearson);
correlation!(spearman, Spearman);
correlation!(kendall, Kendall);

/// (value, low, high) of each column of x, which is given row by row.
#[pyfunction]
fn spearman_columns(
    py: Python<'_>,
    x: Scores<'_>,
    columns: usize,
    y: Scores<'_>,
    resampling: Resampling,
) -> Result<Vec<(f64, f64, f64)>, Failure> {
    let (bootstrap, n_threads) = resampling.split();
    let found =
        on_scores!(py, n_threads, [x, y], |threads| { rank::spearman_columns(x, columns, y, &bootstrap, threads) })?;
    Ok(found.into_iter().map(triple).collect())
}

#[pyfunction]
fn permutation_p(
    py: Python<'_>,
    x: Scores<'_>,
    y: Scores<'_>,
    ranks: bool,
    permutations: usize,
    seed: u64,
    n_threads: usize,
) -> Result<f64, Failure> {
    on_scores!(py, n_threads, [x, y], |threads| rank::permutation_p(x, y, ranks, permutations, seed, threads))
}

#[pyfunction]
fn mean(py: Python<'_>, values: Scores<'_>, resampling: Resampling) -> Result<(f64, f64, f64), Failure> {
    let (bootstrap, n_threads) = resampling.split();
    on_scores!(py, n_threads, [values], |threads| bootstrap.of(&Mean::new(values, threads)?, threads)).map(triple)
}

/// `q`: in [0, 1].
#[pyfunction]
fn quantile(py: Python<'_>, values: Scores<'_>, q: f64, resampling: Resampling) -> Result<(f64, f64, f64), Failure> {
    let (bootstrap, n_threads) = resampling.split();
    on_scores!(py, n_threads, [values], |threads| bootstrap.of(&Quantile::new(values, q, threads)?, threads))
        .map(triple)
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(average_ranks, m)?)?;
    m.add_function(wrap_pyfunction!(resample_counts, m)?)?;
    m.add_function(wrap_pyfunction!(pearson, m)?)?;
    m.add_function(wrap_pyfunction!(spearman, m)?)?;
    m.add_function(wrap_pyfunction!(spearman_columns, m)?)?;
    m.add_function(wrap_pyfunction!(kendall, m)?)?;
    m.add_function(wrap_pyfunction!(permutation_p, m)?)?;
    m.add_function(wrap_pyfunction!(mean, m)?)?;
    m.add_function(wrap_pyfunction!(quantile, m)?)
}
