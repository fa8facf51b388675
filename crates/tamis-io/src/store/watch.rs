//! Seeing, and refusing, every step that changes a local folder.
//!
//! What a process leaves behind when it is killed, and what it says when the disk is full, must hold for every single write
//! and not for those that a test happens to hit. A store with a [`Watch`] tells it of each before it is done. Object stores
//! need none: whoever wants to see or break theirs gives [`super::Store::object`] one of their own.

use std::fmt::Debug;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is about to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// Make a folder.
    MakeFolder,
    /// Create a file under a temporary name, or the empty one that carries a lock.
    Create,
    /// Write bytes to a file that has no name yet.
    Write,
    /// Put what was written on disk.
    Sync,
    /// Give a complete file its name, unless that is taken.
    Publish,
    /// Give a complete file its name, whatever had it before.
    Replace,
    /// Put the names in a folder on disk.
    SyncFolder,
    /// Remove a file.
    Remove,
}

/// Is told of every step that changes a folder.
pub trait Watch: Debug + Send + Sync {
    /// Called before a step on `path`, from any thread. An error is taken as what the system says: the step is not done.
    ///
    /// # Errors
    /// Whatever the step is to fail with.
    fn before(&self, action: Action, path: &Path) -> io::Result<()>;
}

/// A watch, or none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watched(pub(super) Option<Arc<dyn Watch>>);

impl Watched {
    pub(crate) fn before(&self, action: Action, path: &Path) -> io::Result<()> {
        self.0.as_ref().map_or(Ok(()), |watch| watch.before(action, path))
    }
}

/// A file whose writes are seen.
#[derive(Debug)]
pub(super) struct WatchedFile {
    pub(super) file: File,
    pub(super) path: PathBuf,
    pub(super) watched: Watched,
}

impl Write for WatchedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.watched.before(Action::Write, &self.path)?;
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
