//! Calls that can be interrupted between two pieces of their work.

use std::panic;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::{Duration, Instant};

/// How long a call goes on before it asks again whether it should.
pub(super) const PATIENCE: Duration = Duration::from_millis(50);

/// Why a call should end.
pub type Reason = Box<dyn std::error::Error + Send + Sync>;

/// Says whether a call should end. Only the thread that made the call asks.
pub type Check = fn() -> Result<(), Reason>;

/// What is thrown through the kernels, so that none of them has to hand it on.
pub(super) struct Interrupted(pub Reason);

/// What a thread of the pool throws when it finds that the call was interrupted.
struct Stopped;

/// Looks after one call.
pub(super) struct Watch {
    check: Check,
    start: Instant,
    asked: AtomicU64, // how often PATIENCE had passed when the calling thread last did
    stopped: AtomicBool,
}

impl Watch {
    pub fn new(check: Check) -> Self {
        Self { check, start: Instant::now(), asked: AtomicU64::new(0), stopped: AtomicBool::new(false) }
    }

    /// On the calling thread.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // rounded down on purpose
    pub fn ask(&self) {
        let passed = self.start.elapsed().div_duration_f64(PATIENCE) as u64;
        if self.asked.swap(passed, Ordering::Relaxed) < passed
            && let Err(reason) = (self.check)()
        {
            panic::resume_unwind(Box::new(Interrupted(reason)));
        }
    }

    /// On a thread of the pool.
    pub fn obey(&self) {
        if self.stopped.load(Ordering::Relaxed) {
            panic::resume_unwind(Box::new(Stopped));
        }
    }

    /// On the calling thread, until the pool has the result.
    pub fn wait<R>(&self, result: &Receiver<thread::Result<R>>) -> R {
        loop {
            match result.recv_timeout(PATIENCE) {
                Ok(result) => return result.unwrap_or_else(|payload| panic::resume_unwind(payload)),
                Err(_) => (self.check)().unwrap_or_else(|reason| {
                    self.stopped.store(true, Ordering::Relaxed);
                    panic::resume_unwind(Box::new(Interrupted(reason)))
                }),
            }
        }
    }
}
