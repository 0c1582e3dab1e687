//! Long calls without the GIL that Ctrl-C ends.

use std::cell::Cell;

use pyo3::prelude::*;
use unmemorize::Error;
use unmemorize::parallel::{Reason, Threads};

use crate::error::Failure;

/// Runs a kernel on `n_threads` threads without the GIL. If a signal's handler raises meanwhile, the kernel ends early
/// and the exception is the caller's.
pub fn interruptible<R: Send>(
    py: Python<'_>,
    n_threads: usize,
    kernel: impl FnOnce(&Threads) -> Result<R, Error> + Send,
) -> Result<R, Failure> {
    Ok(py.detach(|| Threads::interruptible(n_threads, signals, kernel))?)
}

/// Lets Python handle its signals, which it does in its main thread only: no other has to wait for the GIL again.
fn signals() -> Result<(), Reason> {
    thread_local!(static ELSEWHERE: Cell<bool> = const { Cell::new(false) });
    if ELSEWHERE.get() {
        return Ok(());
    }
    Ok(Python::attach(|py| {
        py.check_signals()?;
        is_main(py).map(|is| ELSEWHERE.set(!is)) // Python code, in which a handler may raise too
    })?)
}

fn is_main(py: Python<'_>) -> PyResult<bool> {
    let threading = py.import("threading")?;
    threading.call_method0("get_ident")?.eq(threading.call_method0("main_thread")?.getattr("ident")?)
}
