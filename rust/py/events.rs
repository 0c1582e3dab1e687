//! Binding of `unmemorize::events`.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use half::f16;
use half::slice::HalfBitsSliceExt;
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use unmemorize::events::{Batch, LearningEvents, NAMES};
use unmemorize::logits::Logits;

use crate::error::Failure;
use crate::interrupt::interruptible;
use crate::scores::array;

/// Logits or probabilities of one of the types that come without a conversion; u16 holds the bits of bfloat16.
pub enum LogitsArray<'py> {
    F32(PyReadonlyArray2<'py, f32>),
    F64(PyReadonlyArray2<'py, f64>),
    F16(PyReadonlyArray2<'py, f16>),
    Bf16(PyReadonlyArray2<'py, u16>),
}

impl<'py> FromPyObject<'_, 'py> for LogitsArray<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let wide = array(object).map(Self::F32).or_else(|| array(object).map(Self::F64));
        let found = wide.or_else(|| array(object).map(Self::F16)).or_else(|| array(object).map(Self::Bf16));
        found.ok_or_else(|| PyTypeError::new_err("expected an array (n, k) of float32, float64, float16 or uint16"))
    }
}

impl LogitsArray<'_> {
    pub fn shape(&self) -> (usize, usize) {
        let shape = match self {
            Self::F32(x) => x.shape(),
            Self::F64(x) => x.shape(),
            Self::F16(x) => x.shape(),
            Self::Bf16(x) => x.shape(),
        };
        (shape[0], shape[1])
    }

    pub fn view(&self) -> Result<Logits<'_>, Failure> {
        Ok(match self {
            Self::F32(x) => Logits::F32(x.as_slice()?),
            Self::F64(x) => Logits::F64(x.as_slice()?),
            Self::F16(x) => Logits::F16(x.as_slice()?),
            Self::Bf16(x) => Logits::Bf16(x.as_slice()?.reinterpret_cast()),
        })
    }
}

/// Running statistics of every training example. Calls from several threads wait for each other.
#[pyclass(frozen, name = "LearningEvents", module = "unmemorize._core")]
struct PyLearningEvents(Mutex<LearningEvents>);

impl PyLearningEvents {
    /// Only with the GIL released: whoever holds the lock may be waiting for the GIL.
    fn lock(&self) -> MutexGuard<'_, LearningEvents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl PyLearningEvents {
    #[new]
    fn new(n_examples: usize, mode: &str) -> Result<Self, Failure> {
        Ok(Self(Mutex::new(LearningEvents::new(n_examples, mode.parse()?)?)))
    }

    #[pyo3(signature = (ids, logits, labels, epoch, n_threads))]
    fn update(
        &self,
        py: Python<'_>,
        ids: PyReadonlyArray1<'_, i64>,
        logits: LogitsArray<'_>,
        labels: PyReadonlyArray1<'_, i64>,
        epoch: Option<i64>,
        n_threads: usize,
    ) -> Result<(), Failure> {
        let batch = Batch {
            ids: ids.as_slice()?,
            logits: logits.view()?,
            classes: logits.shape().1,
            labels: labels.as_slice()?,
        };
        interruptible(py, n_threads, |threads| self.lock().update(&batch, epoch, threads))
    }

    fn scores<'py>(&self, py: Python<'py>, n_threads: usize) -> Result<Bound<'py, PyDict>, Failure> {
        let columns = interruptible(py, n_threads, |threads| Ok(self.lock().scores(threads)))?;
        let scores = PyDict::new(py);
        for (name, column) in NAMES.into_iter().zip(columns) {
            scores.set_item(name, column.into_pyarray(py))?;
        }
        Ok(scores)
    }

    fn seen<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<i64>> {
        py.detach(|| self.lock().seen()).into_pyarray(py)
    }

    #[getter]
    fn mode(&self, py: Python<'_>) -> &'static str {
        py.detach(|| self.lock().mode().name())
    }

    fn __len__(&self, py: Python<'_>) -> usize {
        py.detach(|| self.lock().len())
    }

    fn merge(&self, py: Python<'_>, other: &Self, n_threads: usize) -> Result<(), Failure> {
        interruptible(py, n_threads, |threads| {
            if std::ptr::eq(self, other) {
                let copy = other.lock().clone();
                return self.lock().merge(&copy, threads);
            }
            let (mut ours, theirs);
            if std::ptr::from_ref(self) < std::ptr::from_ref(other) {
                (ours, theirs) = (self.lock(), other.lock());
            } else {
                (theirs, ours) = (other.lock(), self.lock()); // in one order: or two merges could wait for each other
            }
            ours.merge(&theirs, threads)
        })
    }

    fn take(&self, py: Python<'_>, ids: PyReadonlyArray1<'_, i64>, n_threads: usize) -> Result<Self, Failure> {
        let ids = ids.as_slice()?;
        let taken = interruptible(py, n_threads, |threads| self.lock().take(ids, threads))?;
        Ok(Self(Mutex::new(taken)))
    }

    fn forget(&self, py: Python<'_>, ids: PyReadonlyArray1<'_, i64>) -> Result<(), Failure> {
        let ids = ids.as_slice()?;
        Ok(py.detach(|| self.lock().forget(ids))?)
    }

    fn save(&self, py: Python<'_>, path: PathBuf) -> Result<(), Failure> {
        Ok(py.detach(|| self.lock().save(&path))?)
    }

    #[staticmethod]
    fn load(py: Python<'_>, path: PathBuf) -> Result<Self, Failure> {
        Ok(Self(Mutex::new(py.detach(|| LearningEvents::load(&path))?)))
    }
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PyLearningEvents>()
}
