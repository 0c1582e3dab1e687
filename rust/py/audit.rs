//! Binding of `unmemorize::audit`.

use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use unmemorize::Error;
use unmemorize::audit::lira::Variance;
use unmemorize::audit::rmia::Probabilities;
use unmemorize::audit::roc::{Auc, Roc, Sweep, TprAt};
use unmemorize::audit::tow::Tow;
use unmemorize::audit::{self, Phi};
use unmemorize::resample::Interval;

use crate::error::Failure;
use crate::events::LogitsArray;
use crate::interrupt::interruptible;
use crate::rank::{Resampling, triple};
use crate::scores::{Scores, on_scores};

type Mask<'py> = PyReadonlyArray2<'py, bool>;
type Array1<'py> = Bound<'py, PyArray1<f64>>;
type Array2<'py> = Bound<'py, PyArray2<f64>>;

fn phi<'a>(name: &'static str, values: &'a LogitsArray<'_>) -> Result<Phi<'a>, Failure> {
    let (models, n) = values.shape();
    Ok(Phi::new(name, values.view()?, models, n)?)
}

fn mask<'a>(name: &'static str, values: &'a Mask<'_>, expected: (usize, usize)) -> Result<&'a [bool], Failure> {
    let got = (values.as_array().nrows(), values.as_array().ncols());
    if got != expected {
        return Err(Error::Shape { name, expected, other: "phi", got }.into());
    }
    Ok(values.as_slice()?)
}

fn variance(pooled: bool) -> Variance {
    if pooled { Variance::Pooled } else { Variance::Example }
}

/// `target` is one row.
#[pyfunction]
fn lira<'py>(
    py: Python<'py>,
    phi: LogitsArray<'py>,
    member: Mask<'py>,
    target: LogitsArray<'py>,
    pooled: bool,
    online: bool,
    n_threads: usize,
) -> Result<Array1<'py>, Failure> {
    let member = mask("member", &member, phi.shape())?;
    let (phi, target) = (self::phi("phi", &phi)?, self::phi("target_phi", &target)?);
    let variance = variance(pooled);
    let scores =
        interruptible(py, n_threads, |threads| audit::lira::lira(&phi, member, &target, variance, online, threads))?;
    Ok(scores.into_pyarray(py))
}

#[pyfunction]
#[pyo3(signature = (unlearned, oracle, did_unlearn, never_saw, pooled, n_threads))]
fn u_lira<'py>(
    py: Python<'py>,
    unlearned: LogitsArray<'py>,
    oracle: LogitsArray<'py>,
    did_unlearn: Option<Mask<'py>>,
    never_saw: Option<Mask<'py>>,
    pooled: bool,
    n_threads: usize,
) -> Result<(Array2<'py>, Array2<'py>), Failure> {
    let did_unlearn = did_unlearn.as_ref().map(|m| mask("unlearned", m, unlearned.shape())).transpose()?;
    let never_saw = never_saw.as_ref().map(|m| mask("never", m, oracle.shape())).transpose()?;
    let phi = [phi("unlearned_phi", &unlearned)?, phi("oracle_phi", &oracle)?];
    let [of_unlearned, of_oracle] = interruptible(py, n_threads, |threads| {
        let [a, b] = &phi;
        audit::lira::u_lira([a, b], [did_unlearn, never_saw], variance(pooled), threads)
    })?;
    let shaped = |scores: Vec<f64>, phi: &Phi<'_>| scores.into_pyarray(py).reshape([phi.models(), phi.n()]);
    Ok((shaped(of_unlearned, &phi[0])?, shaped(of_oracle, &phi[1])?))
}

#[pyfunction]
#[pyo3(signature = (target, reference, population_target, population_reference, gamma, a, n_threads))]
#[allow(clippy::too_many_arguments)] // as many as the formula has
fn rmia<'py>(
    py: Python<'py>,
    target: Scores<'py>,
    reference: Scores<'py>,
    population_target: Scores<'py>,
    population_reference: Scores<'py>,
    gamma: f64,
    a: Option<f64>,
    n_threads: usize,
) -> Result<Array1<'py>, Failure> {
    let scores = on_scores!(py, n_threads, [target, reference, population_target, population_reference], |threads| {
        let examples = Probabilities { target, reference };
        let population = Probabilities { target: population_target, reference: population_reference };
        audit::rmia::rmia(examples, population, gamma, a, threads)
    })?;
    Ok(scores.into_pyarray(py))
}

#[pyfunction]
fn klom<'py>(
    py: Python<'py>,
    unlearned: LogitsArray<'py>,
    oracle: LogitsArray<'py>,
    bins: usize,
    smoothing: f64,
    n_threads: usize,
) -> Result<Array1<'py>, Failure> {
    let (unlearned, oracle) = (phi("unlearned_phi", &unlearned)?, phi("oracle_phi", &oracle)?);
    let scores =
        interruptible(py, n_threads, |threads| audit::klom::klom(&unlearned, &oracle, bins, smoothing, threads))?;
    Ok(scores.into_pyarray(py))
}

#[pyfunction]
fn epsilon<'py>(
    py: Python<'py>,
    unlearned: LogitsArray<'py>,
    oracle: LogitsArray<'py>,
    delta: f64,
    n_threads: usize,
) -> Result<Array1<'py>, Failure> {
    let (unlearned, oracle) = (phi("unlearned_phi", &unlearned)?, phi("oracle_phi", &oracle)?);
    let scores = interruptible(py, n_threads, |threads| audit::epsilon::epsilon(&unlearned, &oracle, delta, threads))?;
    Ok(scores.into_pyarray(py))
}

type Triple<'py> = (Array1<'py>, Array1<'py>, Array1<'py>);

/// Values, lower and upper ends.
fn intervals(py: Python<'_>, found: Vec<Interval>) -> Triple<'_> {
    let column = |of: fn(&Interval) -> f64| found.iter().map(of).collect::<Vec<_>>().into_pyarray(py);
    (column(|i| i.value), column(|i| i.low), column(|i| i.high))
}

#[pyfunction]
fn epsilon_intervals<'py>(
    py: Python<'py>,
    unlearned: LogitsArray<'py>,
    oracle: LogitsArray<'py>,
    delta: f64,
    resampling: Resampling,
) -> Result<Triple<'py>, Failure> {
    let (unlearned, oracle) = (phi("unlearned_phi", &unlearned)?, phi("oracle_phi", &oracle)?);
    let (bootstrap, n_threads) = resampling.split();
    let found = interruptible(py, n_threads, |threads| {
        audit::epsilon::intervals(&unlearned, &oracle, delta, &bootstrap, threads)
    })?;
    Ok(intervals(py, found))
}

/// `sizes`: of the groups of examples, one after another.
#[pyfunction]
fn tow(
    py: Python<'_>,
    difference: PyReadonlyArray1<'_, i8>,
    sizes: Vec<usize>,
    resampling: Resampling,
) -> Result<(f64, f64, f64), Failure> {
    let difference = difference.as_slice()?;
    let ends = sizes.iter().scan(0, |end, size| {
        *end += size;
        Some(*end)
    });
    let ends: Vec<usize> = ends.collect();
    Error::check_length("difference", difference.len(), sizes.iter().sum(), "the sizes of its groups")?;
    let (bootstrap, n_threads) = resampling.split();
    interruptible(py, n_threads, |threads| bootstrap.of(&Tow { difference, ends: &ends }, threads)).map(triple)
}

/// Scores sorted once.
#[pyclass(frozen, name = "Roc", module = "unmemorize._core")]
struct PyRoc(Roc);

#[pymethods]
impl PyRoc {
    #[new]
    fn new(
        py: Python<'_>,
        scores: Scores<'_>,
        members: PyReadonlyArray1<'_, bool>,
        n_threads: usize,
    ) -> Result<Self, Failure> {
        let members = members.as_slice()?;
        Ok(Self(on_scores!(py, n_threads, [scores], |threads| Roc::new(scores, members, threads))?))
    }

    /// False positive rates, true positive rates, thresholds.
    fn curve<'py>(&self, py: Python<'py>) -> Result<Triple<'py>, Failure> {
        let curve = interruptible(py, 1, |threads| Ok(self.0.curve(threads)))?;
        Ok((curve.fpr.into_pyarray(py), curve.tpr.into_pyarray(py), curve.thresholds.into_pyarray(py)))
    }

    /// (value, low, high)
    fn auc(&self, py: Python<'_>, resampling: Resampling) -> Result<(f64, f64, f64), Failure> {
        let (bootstrap, n_threads) = resampling.split();
        interruptible(py, n_threads, |threads| bootstrap.of(&Auc(&self.0), threads)).map(triple)
    }

    /// (value, low, high)
    fn tpr_at(&self, py: Python<'_>, fpr: f64, resampling: Resampling) -> Result<(f64, f64, f64), Failure> {
        let (bootstrap, n_threads) = resampling.split();
        let statistic = TprAt { roc: &self.0, fpr };
        interruptible(py, n_threads, |threads| bootstrap.of(&statistic, threads)).map(triple)
    }

    /// True and false positive rate of each threshold, in turn: values, lower and upper ends.
    fn sweep<'py>(
        &self,
        py: Python<'py>,
        thresholds: PyReadonlyArray1<'py, f64>,
        resampling: Resampling,
    ) -> Result<Triple<'py>, Failure> {
        let ((bootstrap, n_threads), thresholds) = (resampling.split(), thresholds.as_slice()?);
        let found =
            interruptible(py, n_threads, |threads| bootstrap.of_each(&Sweep::new(&self.0, thresholds)?, threads))?;
        Ok(intervals(py, found))
    }
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(lira, m)?)?;
    m.add_function(wrap_pyfunction!(u_lira, m)?)?;
    m.add_function(wrap_pyfunction!(rmia, m)?)?;
    m.add_function(wrap_pyfunction!(klom, m)?)?;
    m.add_function(wrap_pyfunction!(epsilon, m)?)?;
    m.add_function(wrap_pyfunction!(epsilon_intervals, m)?)?;
    m.add_function(wrap_pyfunction!(tow, m)?)?;
    m.add_class::<PyRoc>()
}
