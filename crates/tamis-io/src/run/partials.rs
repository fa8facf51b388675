//! Partial summaries of an unfinished fold: `sketches/.parts/<name>/<what it holds>.part`.
//!
//! A fold over a corpus may take days. What it has summed up over a span of shards is stored here, put-if-absent, under the
//! digest of all that it depends on, so that whoever finds it can go on with it and nothing else is ever taken for it. Once the
//! result stands, all partials under its name are removed.
//!
//! Processes that share a fold hold the folder together, by a shared lock: none of them removes what another is about to
//! merge, and the last one clears the folder away. Object stores have no locks; there the first one does, and another one that
//! misses a partial has to sum up that span again. What was begun with other options and never finished stays, as parts of
//! unfinished signals do; it may be removed by hand.
//!
//! Not here: what a partial holds, and whether its bytes are whole.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use tamis_core::Digest;

use super::lock::ShardLock;
use super::paths::check_name;
use super::{RunDirectory, RunResult};
use crate::store::{Action, Created, StoreError};

/// The partials of one result, held so that no other process removes them; they are let go when this is dropped.
#[derive(Debug)]
pub struct Partials {
    run: RunDirectory,
    name: String,
    /// `None` where locks do not exist.
    _held: Option<File>,
}

fn folder_of(name: &str) -> String {
    format!("sketches/.parts/{name}")
}

/// How a folder of partials is locked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hold {
    /// By those who read and write it.
    Shared,
    /// By whoever clears it away.
    Alone,
}

impl RunDirectory {
    /// The partials of a result, whether there are any or not. Waits while another process clears them away.
    ///
    /// # Errors
    /// A name that cannot be used, or a folder that cannot be written.
    pub fn partials(&self, name: &str) -> RunResult<Partials> {
        loop {
            if let Some(held) = self.hold_partials(name, Hold::Shared)? {
                return Ok(Partials { run: self.clone(), name: name.to_owned(), _held: held });
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Removes the partials of a result that stands. Where another process holds them they are left to it.
    ///
    /// # Errors
    /// A name that cannot be used, or a store that cannot be listed or written.
    pub fn sweep_partials(&self, name: &str) -> RunResult<()> {
        check_name("sketch", name)?;
        let folder = folder_of(name);
        if self.store.list(&folder)?.is_empty() {
            return Ok(());
        }
        let Some(_held) = self.hold_partials(name, Hold::Alone)? else { return Ok(()) };
        for entry in self.store.list(&folder)? {
            self.store.remove(&entry.path)?;
        }
        Ok(())
    }

    /// `None` where others are in the way; `Some(None)` where locks do not exist.
    fn hold_partials(&self, name: &str, hold: Hold) -> RunResult<Option<Option<File>>> {
        check_name("sketch", name)?;
        let Some(path) = self.store.local_path(&format!(".locks/folds/{name}.lock")) else {
            return Ok(Some(None));
        };
        let failed = |source| StoreError::io("lock", path.display().to_string(), source);
        self.store.watch().before(Action::Create, &path).map_err(failed)?;
        let file = open(&path).map_err(failed)?;
        let locked = match hold {
            Hold::Shared => file.try_lock_shared(),
            Hold::Alone => file.try_lock(),
        };
        match locked {
            Ok(()) => Ok(Some(Some(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => Ok(Some(None)),
            Err(TryLockError::Error(error)) => Err(failed(error).into()),
        }
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)
}

impl Partials {
    fn path_of(&self, holds: Digest) -> String {
        format!("{}/{holds}.part", folder_of(&self.name))
    }

    /// Where a partial lies, for messages.
    #[must_use]
    pub fn location(&self, holds: Digest) -> String {
        self.run.store.location(&self.path_of(holds))
    }

    /// Whether a partial is there.
    ///
    /// # Errors
    /// A store that does not answer.
    pub fn has(&self, holds: Digest) -> RunResult<bool> {
        Ok(self.run.store.exists(&self.path_of(holds))?)
    }

    /// The bytes of a partial; `None` where there is none.
    ///
    /// # Errors
    /// A store that cannot be read.
    pub fn read(&self, holds: Digest) -> RunResult<Option<Bytes>> {
        match self.run.store.read(&self.path_of(holds)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Stores a partial. Of two writers the first wins; both hold the same.
    ///
    /// # Errors
    /// A store that cannot be written.
    pub fn commit(&self, holds: Digest, bytes: &[u8]) -> RunResult<Created> {
        Ok(self.run.store.create_new(&self.path_of(holds), bytes)?)
    }

    /// Removes a partial that is damaged.
    ///
    /// # Errors
    /// A store that cannot be written.
    pub fn discard(&self, holds: Digest) -> RunResult<()> {
        Ok(self.run.store.remove(&self.path_of(holds))?)
    }

    /// Locks a partial that is to be made; `None` when another process makes it.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn try_lock(&self, holds: Digest) -> RunResult<Option<ShardLock>> {
        self.run.try_lock(&format!("folds/{}", self.name), &holds.to_string())
    }
}
