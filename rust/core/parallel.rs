//! Work over several threads with results that do not depend on how many.
//!
//! Chunks are cut by the size of the problem alone and sums are added up in the order of the chunks, so the bits are
//! the same for any number of threads.
//!
//! A call can be interrupted between two chunks: see [`Threads::interruptible`].

use std::ops::Range;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, mpsc};

use rayon::ThreadPool;
use rayon::prelude::*;

use crate::error::Error;

mod pool;
mod watch;

pub use pool::available;
use pool::pool;
pub use watch::{Check, Reason};
use watch::{Interrupted, Watch};

/// More threads than this are taken for a slip.
pub const MAX_THREADS: usize = 1024;

/// Terms of one partial sum in [`Threads::sum`].
const SUM_CHUNK: usize = 4096;

/// How many values a sort on the calling thread compares before it asks whether to go on.
const COMPARISONS: usize = 1 << 16;

/// Jobs that a call is cut into at most: each of them unwinds for itself when the call is interrupted.
const JOBS: usize = 1 << 10;

/// Where the work of one call runs.
#[derive(Clone)]
pub struct Threads {
    pool: Option<Arc<ThreadPool>>, // None: the calling thread
    watch: Option<Arc<Watch>>,     // None: nothing interrupts it
}

impl Threads {
    /// The calling thread alone.
    pub fn one() -> Self {
        Self { pool: None, watch: None }
    }

    /// `count` threads, from the pool of this process.
    ///
    /// # Errors
    /// If `count` is 0 or more than [`MAX_THREADS`], or the threads cannot be started.
    pub fn new(count: usize) -> Result<Self, Error> {
        match count {
            1 => Ok(Self::one()),
            2..=MAX_THREADS => Ok(Self { pool: Some(pool(count)?), watch: None }),
            _ => Err(Error::Threads { most: MAX_THREADS, got: count }),
        }
    }

    /// Runs `work` on `count` threads. It ends early, soon after `check` gives a reason.
    ///
    /// Work that changes something changes it on [`Threads::to_the_end`], or it would be left half done.
    ///
    /// # Errors
    /// [`Error::Interrupted`] with that reason; those of [`Threads::new`] and of the work.
    pub fn interruptible<R>(
        count: usize,
        check: Check,
        work: impl FnOnce(&Self) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let threads = Self { watch: Some(Arc::new(Watch::new(check))), ..Self::new(count)? };
        panic::catch_unwind(AssertUnwindSafe(|| work(&threads))).unwrap_or_else(|payload| {
            let Interrupted(reason) = *payload.downcast().unwrap_or_else(|other| panic::resume_unwind(other));
            Err(Error::Interrupted(reason))
        })
    }

    /// The same threads for work that must not be left half done.
    #[must_use]
    pub fn to_the_end(&self) -> Self {
        Self { pool: self.pool.clone(), watch: None }
    }

    /// How many threads work.
    pub fn count(&self) -> usize {
        self.pool.as_ref().map_or(1, |pool| pool.current_num_threads())
    }

    /// Between two pieces of work: goes no further if the call was interrupted. Long pieces call it themselves.
    #[inline]
    pub fn pause(&self) {
        if let Some(watch) = &self.watch {
            if self.on_pool() { watch.obey() } else { watch.ask() }
        }
    }

    fn on_pool(&self) -> bool {
        self.pool.as_ref().is_some_and(|pool| pool.current_thread_index().is_some())
    }

    /// Does `work` on the pool while the calling thread asks whether to go on.
    fn on<R: Send>(&self, pool: &ThreadPool, work: impl FnOnce() -> R + Send) -> R {
        self.pause();
        match &self.watch {
            Some(watch) if !self.on_pool() => pool.in_place_scope(|scope| {
                let (sender, receiver) = mpsc::channel();
                scope.spawn(move |_| drop(sender.send(panic::catch_unwind(AssertUnwindSafe(work)))));
                watch.wait(&receiver)
            }),
            _ => pool.install(work),
        }
    }

    /// `f(0), f(1), ..`, in order.
    pub fn map<T: Send>(&self, len: usize, f: impl Fn(usize) -> T + Sync + Send) -> Vec<T> {
        let piece = |i| {
            self.pause();
            f(i)
        };
        match &self.pool {
            Some(pool) if len > 1 => {
                self.on(pool, || (0..len).into_par_iter().with_min_len(len.div_ceil(JOBS)).map(piece).collect())
            }
            _ => (0..len).map(piece).collect(),
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
        let piece = |(c, part): (usize, &mut [T])| {
            self.pause();
            f(c * chunk, part);
        };
        match &self.pool {
            Some(pool) if out.len() > chunk => {
                let least = out.len().div_ceil(chunk).div_ceil(JOBS);
                self.on(pool, || out.par_chunks_mut(chunk).enumerate().with_min_len(least).for_each(piece));
            }
            _ => out.chunks_mut(chunk).enumerate().for_each(piece),
        }
    }

    /// Calls `f` with each item.
    pub fn each<T: Send>(&self, items: Vec<T>, f: impl Fn(T) + Sync + Send) {
        let piece = |item| {
            self.pause();
            f(item);
        };
        match &self.pool {
            Some(pool) if items.len() > 1 => {
                let least = items.len().div_ceil(JOBS);
                self.on(pool, || items.into_par_iter().with_min_len(least).for_each(piece));
            }
            _ => items.into_iter().for_each(piece),
        }
    }

    /// `f(0) + f(1) + ..` in f64: the same bits for any number of threads.
    pub fn sum(&self, len: usize, f: impl Fn(usize) -> f64 + Sync + Send) -> f64 {
        self.map_chunks(len, SUM_CHUNK, |range| range.map(&f).sum::<f64>()).into_iter().sum()
    }

    /// Sorts by a total order that has no ties (else the result could depend on the number of threads).
    pub fn sort_by<T: Send>(&self, values: &mut [T], compare: impl Fn(&T, &T) -> std::cmp::Ordering + Sync + Send) {
        match (&self.pool, &self.watch) {
            (None, None) => values.sort_unstable_by(compare),
            (None, Some(watch)) => {
                let mut compared = 0_usize;
                values.sort_unstable_by(|a, b| {
                    compared += 1;
                    if compared.is_multiple_of(COMPARISONS) {
                        watch.ask();
                    }
                    compare(a, b)
                });
            }
            (Some(pool), None) => pool.install(|| values.par_sort_unstable_by(compare)),
            (Some(pool), Some(watch)) => self.on(pool, || {
                values.par_sort_unstable_by(|a, b| {
                    watch.obey();
                    compare(a, b)
                });
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::watch::PATIENCE;
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

    fn interrupt() -> Result<(), Reason> {
        Err("enough".into())
    }

    #[test]
    fn a_reason_ends_the_work_at_the_next_pause() {
        for count in [1, 3] {
            let work = |threads: &Threads| -> Result<(), Error> {
                loop {
                    threads.map(1000, |i| i);
                }
            };
            let error = Threads::interruptible(count, interrupt, work).unwrap_err();
            assert_eq!(error.to_string(), "interrupted: enough", "{count} threads");

            let error = Threads::interruptible(count, interrupt, |threads| {
                threads.map(2, |_| {
                    loop {
                        threads.pause();
                    }
                });
                Ok(())
            });
            assert!(matches!(error, Err(Error::Interrupted(_))), "{count} threads");
        }
    }

    #[test]
    fn a_sort_is_work_that_can_be_ended() {
        for count in [1, 3] {
            let error = Threads::interruptible(count, interrupt, |threads| {
                thread::sleep(2 * PATIENCE);
                threads.sort_by(&mut (0..1_000_000_u32).rev().map(|i| i ^ 0x5555).collect::<Vec<_>>(), Ord::cmp);
                Ok(())
            });
            assert!(matches!(error, Err(Error::Interrupted(_))), "{count} threads");
        }
    }

    #[test]
    fn what_must_not_be_left_half_done_is_not() {
        for count in [1, 3] {
            let mut out = vec![0; 100];
            let done = Threads::interruptible(count, interrupt, |threads| {
                thread::sleep(2 * PATIENCE);
                threads.to_the_end().for_each_chunk(&mut out, 1, |_, part| part[0] = 1);
                Ok(())
            });
            assert!(done.is_ok() && out == [1; 100], "{count} threads");
        }
    }

    #[test]
    fn work_that_may_go_on_is_done_and_its_panics_are_its_own() {
        for count in [1, 3] {
            let slow = |threads: &Threads| {
                Ok(threads.map(4, |i| {
                    thread::sleep(PATIENCE);
                    i
                }))
            };
            assert_eq!(Threads::interruptible(count, || Ok(()), slow).unwrap(), [0, 1, 2, 3]);
            let broken = |threads: &Threads| Ok(threads.map(4, |_| panic::resume_unwind(Box::new("broken"))));
            let call = || Threads::interruptible::<Vec<()>>(count, || Ok(()), broken);
            assert_eq!(*panic::catch_unwind(call).unwrap_err().downcast::<&str>().unwrap(), "broken");
        }
    }

    #[test]
    fn a_number_of_threads_that_makes_no_sense_is_an_error() {
        for count in [0, MAX_THREADS + 1] {
            let message = Threads::new(count).err().unwrap().to_string();
            assert_eq!(message, format!("n_threads: expected 1 to 1024, got {count}"));
        }
    }
}
