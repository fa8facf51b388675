//! Hashing for the density sketch (work in progress).
