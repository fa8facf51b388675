//! Merged summaries: `sketches/<name>.race`, whose bytes have their own header, version and checksum.

use bytes::Bytes;

use super::paths::{check_name, split_full_name};
use super::{RunDirectory, RunError, RunResult};
use crate::store::Created;

const EXTENSION: &str = ".race";

fn path_of(name: &str) -> RunResult<String> {
    if split_full_name(name).is_none() {
        check_name("sketch", name)?;
    }
    Ok(format!("sketches/{name}{EXTENSION}"))
}

impl RunDirectory {
    /// Stores the bytes of a sketch. The same bytes may be stored again.
    ///
    /// # Errors
    /// [`RunError::Conflict`] when another sketch has this name.
    pub fn write_sketch(&self, name: &str, bytes: &[u8]) -> RunResult<Created> {
        let path = path_of(name)?;
        let created = self.store.create_new(&path, bytes)?;
        if created == Created::Existed {
            let stored = self.store.read(&path)?;
            if stored != bytes {
                let changes = vec![format!(
                    "stored {} bytes of digest {}, this one has {} bytes of digest {}",
                    stored.len(),
                    tamis_core::Digest::of(&stored),
                    bytes.len(),
                    tamis_core::Digest::of(bytes)
                )];
                return Err(RunError::Conflict { path, changes });
            }
        }
        Ok(created)
    }

    /// Whether a sketch is there.
    ///
    /// # Errors
    /// A name that cannot be used, or a store that does not answer.
    pub fn has_sketch(&self, name: &str) -> RunResult<bool> {
        Ok(self.store.exists(&path_of(name)?)?)
    }

    /// The bytes of a sketch.
    ///
    /// # Errors
    /// [`RunError::Unknown`] with the nearest known name.
    pub fn read_sketch(&self, name: &str) -> RunResult<Bytes> {
        let path = path_of(name)?;
        if self.store.exists(&path)? {
            return Ok(self.store.read(&path)?);
        }
        let known = self.sketches()?;
        let nearest = tamis_core::nearest(name, known.iter().map(String::as_str)).map(str::to_owned);
        Err(RunError::Unknown { kind: "sketch", name: name.to_owned(), nearest, known })
    }

    /// Names of all sketches.
    ///
    /// # Errors
    /// A store that cannot be listed.
    pub fn sketches(&self) -> RunResult<Vec<String>> {
        let entries = self.store.list("sketches")?;
        let name = |path: &str| Some(path.strip_prefix("sketches/")?.strip_suffix(EXTENSION)?.to_owned());
        Ok(entries.iter().filter_map(|entry| name(&entry.path)).collect())
    }
}
