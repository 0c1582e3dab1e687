//! The pools of this process, and the CPUs of their threads.
//!
//! They are our own, never rayon's global one, and belong to one process: after a fork the child builds new ones instead
//! of waiting for threads that it does not have.

use std::process;
use std::sync::{Arc, Mutex, OnceLock, TryLockError};
use std::thread;

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::Error;

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

/// The pool of `count` threads of this process.
///
/// The lock is only tried: if it was held while the process forked, nobody in the child will ever release it. The
/// call then works with a pool of its own, which is slower but never hangs.
pub(super) fn pool(count: usize) -> Result<Arc<ThreadPool>, Error> {
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

fn build(count: usize) -> Result<Arc<ThreadPool>, Error> {
    ThreadPoolBuilder::new()
        .num_threads(count)
        .thread_name(|i| format!("unmemorize-{i}"))
        .start_handler(move |i| settle(i, count))
        .build()
        .map(Arc::new)
        .map_err(|e| Error::Pool { count, reason: e.to_string() })
}

/// Keeps each of as many workers as there are CPUs on a CPU of its own.
///
/// Two workers that are woken after a pause else share one, until the kernel moves one of them: after milliseconds, when
/// most calls are over. Fewer workers than CPUs are left alone, or those of several processes would meet on the same.
#[cfg(target_os = "linux")]
fn settle(worker: usize, workers: usize) {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let Ok(allowed) = sched_getaffinity(None) else { return };
    let mut cpus = (0..CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu));
    if allowed.count() as usize == workers
        && let Some(cpu) = cpus.nth(worker)
    {
        let mut own = CpuSet::new();
        own.set(cpu);
        let _ = sched_setaffinity(None, &own); // a refusal leaves it where the kernel wants it
    }
}

#[cfg(not(target_os = "linux"))]
fn settle(_worker: usize, _workers: usize) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn as_many_workers_as_cpus_have_one_each_and_fewer_or_more_are_free() {
        use rustix::thread::sched_getaffinity;
        let cpus = sched_getaffinity(None).unwrap().count() as usize;
        for workers in [cpus, cpus + 1, cpus - 1].into_iter().filter(|&workers| workers > 1) {
            let of_each = build(workers).unwrap().broadcast(|_| sched_getaffinity(None).unwrap());
            let free = if workers == cpus { 1 } else { cpus };
            assert!(of_each.iter().all(|allowed| allowed.count() as usize == free), "{workers} workers");
            assert!(workers != cpus || of_each.iter().enumerate().all(|(i, one)| !of_each[..i].contains(one)));
        }
    }

    #[test]
    fn pools_are_kept() {
        let a = pool(3).unwrap();
        assert_eq!(a.current_num_threads(), 3);
        assert!(
            (0..1000).any(|_| Arc::ptr_eq(&pool(3).unwrap(), &pool(3).unwrap())),
            "but one that another thread asks for"
        );
    }
}
