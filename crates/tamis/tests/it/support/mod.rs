//! What the laws need: corpora, tiny models, observers that stop a run, and the bytes of a run directory.

pub(crate) mod blend;
pub(crate) mod corpus;
pub(crate) mod models;
pub(crate) mod observers;
pub(crate) mod random;
pub(crate) mod read;
pub(crate) mod server;
pub(crate) mod snapshot;
pub(crate) mod steps;
pub(crate) mod stores;

/// A folder that is removed when it is dropped; in memory where the machine has a place for that, since a run syncs every
/// file that it commits.
pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}
