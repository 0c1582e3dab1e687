//! The Python module `unmemorize._core`: arguments in, GIL released, errors mapped, arrays out. No logic.

#![allow(clippy::needless_pass_by_value)] // pyo3 hands arguments over by value

use pyo3::prelude::*;

mod audit;
mod bits;
mod ensemble;
mod error;
mod events;
mod interrupt;
#[cfg(target_os = "linux")]
mod memory;
mod partition;
mod proportion;
mod rank;
mod scores;

/// Compiled kernels. Arrays must be contiguous, native and of the exact type: `unmemorize._arrays` sees to that.
#[pymodule]
fn _core(m: &Bound<'_, PyModule>) -> PyResult<()> {
    error::register(m)?;
    bits::register(m)?;
    events::register(m)?;
    ensemble::register(m)?;
    partition::register(m)?;
    proportion::register(m)?;
    rank::register(m)?;
    audit::register(m)?;
    m.add_function(wrap_pyfunction!(available_threads, m)?)?;
    m.add_function(wrap_pyfunction!(simd, m)?)
}

/// The number of threads that this process may use: CPU affinity and cgroup quota included.
#[pyfunction]
fn available_threads() -> usize {
    unmemorize::parallel::available()
}

/// The name of the instruction set in use: scalar, avx2, avx512 or neon.
#[pyfunction]
fn simd() -> &'static str {
    unmemorize::simd::Level::best().name()
}
