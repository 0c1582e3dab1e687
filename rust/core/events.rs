//! Learning events: running statistics of every training example over one training run.
