//! Advisory locks: they save work, they do not keep data right.
//!
//! Two processes that compute the same shard do no harm, since the first commit wins; a lock avoids that on one machine.
//! It is a lock of the operating system, which ends with the process however that ends. Object stores have none.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::ErrorKind;

use super::{RunDirectory, RunResult, shard_name};
use crate::store::{Action, StoreError};

/// Held while a process works on a shard; freed when dropped.
#[derive(Debug)]
#[must_use = "the lock is freed at once"]
pub struct ShardLock {
    /// `None` where locks do not exist: object stores, some network file systems.
    file: Option<File>,
}

impl ShardLock {
    /// Whether other processes can see it.
    #[must_use]
    pub fn is_real(&self) -> bool {
        self.file.is_some()
    }
}

impl RunDirectory {
    /// Locks a shard for one kind of work (`inventory`, or a signal's full name); `None` when another holds it.
    ///
    /// The empty lock files stay: to remove one is to race with a process that has just opened it.
    ///
    /// # Errors
    /// A shard path that cannot be used, or a folder that cannot be written.
    pub fn try_lock(&self, work: &str, shard_path: &str) -> RunResult<Option<ShardLock>> {
        let path = format!(".locks/{work}/{}.lock", shard_name(shard_path)?);
        let Some(local) = self.store.local_path(&path) else { return Ok(Some(ShardLock { file: None })) };
        let failed = |source| StoreError::io("lock", local.display().to_string(), source);
        self.store.watch().before(Action::Create, &local).map_err(failed)?;
        if let Some(folder) = local.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        let file =
            OpenOptions::new().create(true).truncate(false).write(true).open(&local).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(ShardLock { file: Some(file) })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {
                Ok(Some(ShardLock { file: None }))
            }
            Err(TryLockError::Error(error)) => Err(failed(error).into()),
        }
    }
}
