//! Sketches, priorities and thresholds of tamis: pure functions of their inputs and a seed
