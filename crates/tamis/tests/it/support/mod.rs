//! What the laws need: corpora, tiny models, observers that stop a run, and the bytes of a run directory.

pub(crate) mod corpus;
pub(crate) mod models;
pub(crate) mod observers;
pub(crate) mod random;
pub(crate) mod read;
pub(crate) mod snapshot;
