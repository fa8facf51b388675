//! Integration tests of tamis-models, in one binary.

mod sources;
mod tokenizers;
mod weights;
