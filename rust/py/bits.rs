//! Binding of `unmemorize::bits`.

use std::path::PathBuf;

use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray2};
use pyo3::prelude::*;
use unmemorize::bits::BitMatrix;

use crate::error::Failure;
use crate::interrupt::interruptible;

/// A boolean matrix of one bit an element, row by row.
#[pyclass(frozen, name = "BitMatrix", module = "unmemorize._core")]
pub struct PyBitMatrix(pub BitMatrix);

#[pymethods]
impl PyBitMatrix {
    #[staticmethod]
    fn pack(py: Python<'_>, values: PyReadonlyArray2<'_, u8>, n_threads: usize) -> Result<Self, Failure> {
        let (rows, columns) = (values.as_array().nrows(), values.as_array().ncols());
        let values = values.as_slice()?;
        Ok(Self(interruptible(py, n_threads, |threads| BitMatrix::pack(values, rows, columns, threads))?))
    }

    #[staticmethod]
    fn from_packed(py: Python<'_>, packed: PyReadonlyArray2<'_, u8>, columns: usize) -> Result<Self, Failure> {
        let (rows, packed) = (packed.as_array().nrows(), packed.as_slice()?);
        Ok(Self(py.detach(|| BitMatrix::from_packed(packed, rows, columns))?))
    }

    fn packed<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyArray2<u8>>, Failure> {
        let bytes = py.detach(|| self.0.packed());
        Ok(bytes.into_pyarray(py).reshape([self.0.rows(), self.0.columns().div_ceil(8)])?)
    }

    fn unpack<'py>(&self, py: Python<'py>, n_threads: usize) -> Result<Bound<'py, PyArray2<bool>>, Failure> {
        let values = interruptible(py, n_threads, |threads| self.0.unpack(threads))?;
        Ok(values.into_pyarray(py).reshape([self.0.rows(), self.0.columns()])?)
    }

    fn transpose(&self, py: Python<'_>, n_threads: usize) -> Result<Self, Failure> {
        Ok(Self(interruptible(py, n_threads, |threads| self.0.transpose(threads))?))
    }

    /// Ones in each row.
    fn counts<'py>(&self, py: Python<'py>, n_threads: usize) -> Result<Bound<'py, PyArray1<i64>>, Failure> {
        let counts = interruptible(py, n_threads, |threads| Ok(self.0.counts(threads)))?;
        Ok(counts.into_pyarray(py))
    }

    #[getter]
    fn shape(&self) -> (usize, usize) {
        self.0.shape()
    }

    fn save(&self, py: Python<'_>, path: PathBuf) -> Result<(), Failure> {
        Ok(py.detach(|| self.0.save(&path))?)
    }

    #[staticmethod]
    fn load(py: Python<'_>, path: PathBuf) -> Result<Self, Failure> {
        Ok(Self(py.detach(|| BitMatrix::load(&path))?))
    }

    fn __eq__(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PyBitMatrix>()
}
