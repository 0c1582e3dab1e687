//! Work over several threads with results that do not depend on how many.
//!
//! Chunks are cut by the size of the problem alone and sums are added up in the order of the chunks, so the bits are
//! the same for any number of threads. The pools are our own, never rayon's global one, and belong to one process:
//! after a fork the child builds new ones instead of waiting for threads that it does not have.

use std::ops::Range;
use std::process;
use std::sync::{Arc, Mutex, OnceLock, TryLockError};
use std::thread;

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::Error;

/// More threads than this are taken for a slip.
pub const MAX_THREADS: usize = 1024;

/// Terms of one partial sum in [`Threads::sum`].
const SUM_CHUNK: usize = 4096;

/// The pools of one process, one for each number of threads that was asked for.
struct Registry {
    process: u32,
    pools: Vec<Arc<ThreadPool>>,
}

static REGISTRY: Mutex<Registry> = Mutex::new(Registry { process: 0, pools: Vec::new() });

/// The number of threads that this process may use: CPU affinity and cgroup quota included.
pub fn available() -> usize {
    static AVAILABLE: OnceLock<usize> = OnceLock::new();
    *AVAILABLE.get_or_init(|| thread::available_parallelism().map_or(1, usize::from))
}

/// Where the work of one call runs.
#[derive(Clone)]
pub struct Threads {
    pool: Option<Arc<ThreadPool>>, // None: the calling thread
}

impl Threads {
    /// The calling thread alone.
    pub fn one() -> Self {
        Self { pool: None }
    }

    /// `count` threads, from the pool of this process.
    ///
    /// # Errors
    /// If `count` is 0 or more than [`MAX_THREADS`], or the threads cannot be started.
    pub fn new(count: usize) -> Result<Self, Error> {
        match count {
            1 => Ok(Self::one()),
            2..=MAX_THREADS => Ok(Self { pool: Some(pool(count)?) }),
            _ => Err(Error::Threads { most: MAX_THREADS, got: count }),
        }
    }

    /// How many threads work.
    pub fn count(&self) -> usize {
        self.pool.as_ref().map_or(1, |pool| pool.current_num_threads())
    }

    /// `f(0), f(1), ..`, in order.
    pub fn map<T: Send>(&self, len: usize, f: impl Fn(usize) -> T + Sync + Send) -> Vec<T> {
        match &self.pool {
            Some(pool) if len > 1 => pool.install(|| (0..len).into_par_iter().map(f).collect()),
            _ => (0..len).map(f).collect(),
        }
    }

    /// `f` of each chunk of `0..len`, in order. Every chunk but the last has `chunk` items.
    pub fn map_chunks<T: Send>(&self, len: usize, chunk: usize, f: impl Fn(Range<usize>) -> T + Sync + Send) -> Vec<T> {
        let chunk = chunk.max(1);
        self.map(len.div_ceil(chunk), |c| f(c * chunk..len.min((c + 1) * chunk)))
    }

    /// Calls `f(start, chunk)` for each chunk of `out`; `start` is where the chunk begins.
    pub fn for_each_chunk<T: Send>(&self, out: &mut [T], chunk: usize, f: impl Fn(usize, &mut [T]) + Sync + Send) {
        let chunk = chunk.max(1);
        match &self.pool {
            Some(pool) if out.len() > chunk => pool.install(|| {
                out.par_chunks_mut(chunk).enumerate().for_each(|(c, part)| f(c * chunk, part));
            }),
            _ => out.chunks_mut(chunk).enumerate().for_each(|(c, part)| f(c * chunk, part)),
        }
    }

    /// `f(0) + f(1) + ..` in f64: the same bits for any number of threads.
    pub fn sum(&self, len: usize, f: impl Fn(usize) -> f64 + Sync + Send) -> f64 {
        self.map_chunks(len, SUM_CHUNK, |range| range.map(&f).sum::<f64>()).into_iter().sum()
    }

    /// Sorts by a total order that has no ties (else the result could depend on the number of threads).
    pub fn sort_by<T: Send>(&self, values: &mut [T], compare: impl Fn(&T, &T) -> std::cmp::Ordering + Sync + Send) {
        match &self.pool {
            Some(pool) => pool.install(|| values.par_sort_unstable_by(compare)),
            None => values.sort_unstable_by(compare),
        }
    }
}

fn build(count: usize) -> Result<Arc<ThreadPool>, Error> {
    ThreadPoolBuilder::new()
        .num_threads(count)
        .thread_name(|i| format!("unmemorize-{i}"))
        .build()
        .map(Arc::new)
        .map_err(|e| Error::Pool { count, reason: e.to_string() })
}

/// The pool of `count` threads of this process.
///
/// The lock is only tried: if it was held while the process forked, nobody in the child will ever release it. The
/// call then works with a pool of its own, which is slower but never hangs.
fn pool(count: usize) -> Result<Arc<ThreadPool>, Error> {
    let mut registry = match REGISTRY.try_lock() {
        Ok(registry) => registry,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => return build(count),
    };
    if registry.process != process::id() {
        registry.process = process::id();
        // Pools of the parent have no threads here; dropping them would signal to nobody through inherited locks.
        std::mem::forget(std::mem::take(&mut registry.pools));
    }
    if let Some(pool) = registry.pools.iter().find(|p| p.current_num_threads() == count) {
        return Ok(Arc::clone(pool));
    }
    let pool = build(count)?;
    registry.pools.push(Arc::clone(&pool));
    Ok(pool)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_have_the_same_bits_for_any_number_of_threads() {
        let term = |i: usize| (i as f64).sin() * 1e10 + 1.0 / (1.0 + i as f64);
        let one = Threads::one().sum(100_003, term);
        for count in 2..=8 {
            let many = Threads::new(count).unwrap().sum(100_003, term);
            assert_eq!(many.to_bits(), one.to_bits(), "{count} threads");
        }
    }

    #[test]
    fn chunks_cover_everything_once() {
        for count in [1, 3] {
            let threads = Threads::new(count).unwrap();
            let mut out = vec![0_usize; 1001];
            threads.for_each_chunk(&mut out, 64, |start, part| {
                for (k, x) in part.iter_mut().enumerate() {
                    *x += start + k;
                }
            });
            assert_eq!(out, (0..1001).collect::<Vec<_>>());
            assert_eq!(threads.map(5, |i| i * i), [0, 1, 4, 9, 16]);
            assert_eq!(threads.map_chunks(5, 2, |r| r.len()), [2, 2, 1]);
        }
    }

    #[test]
    fn a_number_of_threads_that_makes_no_sense_is_an_error() {
        for count in [0, MAX_THREADS + 1] {
            let message = Threads::new(count).err().unwrap().to_string();
            assert_eq!(message, format!("n_threads: expected 1 to 1024, got {count}"));
        }
    }

    #[test]
    fn pools_are_kept() {
        let a = pool(3).unwrap();
        assert_eq!(a.current_num_threads(), 3);
        assert_eq!(Threads::new(3).unwrap().count(), 3);
    }
}
