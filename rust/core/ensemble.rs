//! What is known from an ensemble of models trained on subsets.
