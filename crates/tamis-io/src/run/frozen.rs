//! What is fitted once and frozen: `sketches/<name>.race`, `centroids/<name>.kmeans`, whose bytes have their own header, version and
//! checksum.

use bytes::Bytes;

use super::paths::{check_name, split_full_name};
use super::{RunDirectory, RunError, RunResult};
use crate::store::Created;

/// What is frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frozen {
    /// The sketch of a density.
    Sketch,
    /// The centroids of clusters.
    Centroids,
}

impl Frozen {
    fn word(self) -> &'static str {
        match self {
            Self::Sketch => "sketch",
            Self::Centroids => "centroids",
        }
    }

    /// Folder and ending.
    fn place(self) -> (&'static str, &'static str) {
        match self {
            Self::Sketch => ("sketches", ".race"),
            Self::Centroids => ("centroids", ".kmeans"),
        }
    }

    fn path_of(self, name: &str) -> RunResult<String> {
        if split_full_name(name).is_none() {
            check_name(self.word(), name)?;
        }
        let (folder, ending) = self.place();
        Ok(format!("{folder}/{name}{ending}"))
    }
}

impl RunDirectory {
    /// Stores the bytes of what is frozen. The same bytes may be stored again.
    ///
    /// # Errors
    /// [`RunError::Conflict`] when another one has this name.
    pub fn write_frozen(&self, what: Frozen, name: &str, bytes: &[u8]) -> RunResult<Created> {
        let path = what.path_of(name)?;
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

    /// Whether it is there.
    ///
    /// # Errors
    /// A name that cannot be used, or a store that does not answer.
    pub fn has_frozen(&self, what: Frozen, name: &str) -> RunResult<bool> {
        Ok(self.store.exists(&what.path_of(name)?)?)
    }

    /// Its bytes.
    ///
    /// # Errors
    /// [`RunError::Unknown`] with the nearest known name.
    pub fn read_frozen(&self, what: Frozen, name: &str) -> RunResult<Bytes> {
        let path = what.path_of(name)?;
        if self.store.exists(&path)? {
            return Ok(self.store.read(&path)?);
        }
        let known = self.frozen(what)?;
        let nearest = tamis_core::nearest(name, known.iter().map(String::as_str)).map(str::to_owned);
        Err(RunError::Unknown { kind: what.word(), name: name.to_owned(), nearest, known })
    }

    /// Names of all of them.
    ///
    /// # Errors
    /// A store that cannot be listed.
    pub fn frozen(&self, what: Frozen) -> RunResult<Vec<String>> {
        let (folder, ending) = what.place();
        let name =
            |path: &str| Some(path.strip_prefix(folder)?.strip_prefix('/')?.strip_suffix(ending)?.to_owned());
        Ok(self.store.list(folder)?.iter().filter_map(|entry| name(&entry.path)).collect())
    }
}
