//! The pure core of `unmemorize`: memorization scores, learning events and audits of machine unlearning.
//!
//! Every kernel takes plain slices, says in its documentation which formula it is and what NaN means,
//! returns an [`error::Error`] instead of panicking, and gives the same bits for any number of threads.

pub mod audit;
pub mod bits;
pub mod ensemble;
pub mod error;
pub mod events;
pub mod logits;
pub mod parallel;
pub mod partition;
pub mod proportion;
pub mod rank;
pub mod resample;
pub mod simd;
mod sort;
pub mod tensors;

pub use error::Error;
