//! A folder, or a prefix of an object store, behind one blocking interface.
//!
//! Everything that tamis writes goes through here, so that two promises are kept in one place: nothing half-written is
//! ever visible under its final name, and of several writers of one name exactly one learns that it was first. A local
//! folder is spoken to directly: synced temporary file, then `hard_link` (a rename would replace the winner's file), then
//! sync of the folder. Object stores use their conditional put; their futures run on one hidden current-thread runtime.
//!
//! Not for files that are changed in place: there is no append and no seek on the writing side.

mod chunks;
mod error;
mod local;
mod object;
mod pending;
mod watch;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use object_store::ObjectStore;

pub use chunks::{ChunkFile, ChunkRead};
pub(crate) use error::AGAIN;
pub use error::{StoreError, StoreResult};
pub use pending::PendingFile;
pub(crate) use watch::Watched;
pub use watch::{Action, Watch};

/// Start of the names of files that are being written; [`Store::list`] leaves them out.
pub(crate) const TEMPORARY: &str = ".tamis-tmp-";

/// Whether a put-if-absent was the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// The name was free: it now holds the caller's bytes.
    New,
    /// The name was taken: it still holds what it held.
    Existed,
}

/// One file that [`Store::list`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Path relative to the store, segments separated by `/`.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    /// Changes when the file does: modification time of a local file, entity tag of an object. Compare for equality only.
    pub version: String,
    /// Device and number of a local file, where the system has them: two entries of one identity are one file.
    pub identity: Option<(u64, u64)>,
}

/// What [`Store::survey`] came by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A file.
    File(Entry),
    /// Something else, which no listing gives.
    Odd {
        /// As of an entry.
        path: String,
        /// What it is.
        oddity: Oddity,
    },
}

/// What is neither a file nor a folder whose files are listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Oddity {
    /// It cannot be looked at: a symbolic link that leads nowhere or in a circle, or a name in a folder that may not be
    /// entered.
    Unreachable {
        /// Whether it is a symbolic link.
        link: bool,
        /// What the system says.
        problem: String,
    },
    /// A link to a folder that it is in, whose files are listed there.
    FolderAbove,
    /// A folder that was not to be entered.
    NotEntered,
    /// A pipe, a socket or a device.
    Special,
}

/// A folder or an object-store prefix. Cheap to clone; all methods block.
///
/// Paths are relative, with `/` between segments; `..`, empty segments and absolute paths are refused, so that no name
/// that came out of a file can lead out of the store.
///
/// # Panics
/// Methods on an object store panic when they are called from inside an asynchronous runtime, because they block.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Inner,
}

#[derive(Clone, Debug)]
enum Inner {
    Local(local::Folder),
    Object(object::Objects),
}

impl Store {
    /// A local folder. It need not exist yet: the first write makes it.
    pub fn local(path: impl Into<PathBuf>) -> Self {
        Self { inner: Inner::Local(local::Folder::new(path.into())) }
    }

    /// The same folder, with every step that changes it told to `watch` before it is done. An object store is left as it is.
    #[must_use]
    pub fn watched(mut self, watch: Arc<dyn Watch>) -> Self {
        if let Inner::Local(folder) = &mut self.inner {
            folder.watched = Watched(Some(watch));
        }
        self
    }

    /// Another local folder, watched by whom this one is.
    pub fn local_beside(&self, path: impl Into<PathBuf>) -> Self {
        Self { inner: Inner::Local(local::Folder { root: path.into(), watched: self.watch() }) }
    }

    pub(crate) fn watch(&self) -> Watched {
        match &self.inner {
            Inner::Local(folder) => folder.watched.clone(),
            Inner::Object(_) => Watched::default(),
        }
    }

    /// Everything under `prefix` in an object store.
    ///
    /// # Errors
    /// A prefix that is no valid path.
    pub fn object(store: Arc<dyn ObjectStore>, prefix: &str) -> StoreResult<Self> {
        Ok(Self { inner: Inner::Object(object::Objects::new(store, prefix, None)?) })
    }

    /// Opens what a user named: a local path, or a URL (`file://`, `memory://NAME/`, and with the features of this crate
    /// `s3://`, `gs://`, `az://`, `http(s)://`).
    ///
    /// An existing file gives the store of its folder and the file's name; anything else the store of the folder itself
    /// and `None`, whether or not it exists. Objects of `memory://NAME/` live as long as the process and are shared by
    /// every store of that name.
    ///
    /// # Errors
    /// A URL that is malformed, of an unknown scheme, or of one whose feature is not built in; a store that does not answer.
    pub fn open(location: &str) -> StoreResult<(Self, Option<String>)> {
        let Some((scheme, _)) = split_url(location) else {
            return Ok(local::open(Path::new(location)));
        };
        if scheme == "file" {
            return Ok(local::open(&path_of_file_url(location)?));
        }
        let (objects, name) = object::open(location)?;
        Ok((Self { inner: Inner::Object(objects) }, name))
    }

    /// The path on this machine that a user named, as a path or as a `file://` URL; `None` for another URL.
    ///
    /// # Errors
    /// A `file://` URL that is no path on this machine.
    pub fn path_of(location: &str) -> StoreResult<Option<PathBuf>> {
        match split_url(location) {
            None => Ok(Some(PathBuf::from(location))),
            Some(("file", _)) => path_of_file_url(location).map(Some),
            Some(_) => Ok(None),
        }
    }

    /// Whether what is put here is gone when the process ends.
    #[must_use]
    pub fn is_fleeting(&self) -> bool {
        matches!(&self.inner, Inner::Object(objects) if objects.location("").starts_with("memory://"))
    }

    /// The store of a folder inside this one.
    ///
    /// # Errors
    /// A path that leads out of the store.
    pub fn join(&self, folder: &str) -> StoreResult<Self> {
        let folder = folder.trim_end_matches('/');
        if folder.is_empty() {
            return Ok(self.clone());
        }
        check(folder)?;
        let inner = match &self.inner {
            Inner::Local(local) => {
                Inner::Local(local::Folder { root: local.root.join(folder), watched: local.watched.clone() })
            }
            Inner::Object(objects) => Inner::Object(objects.join(folder)?),
        };
        Ok(Self { inner })
    }

    /// Where a file lies, for messages: a local path or a URL.
    #[must_use]
    pub fn location(&self, path: &str) -> String {
        match &self.inner {
            Inner::Local(local) if path.is_empty() => local.root.display().to_string(),
            Inner::Local(local) => local.root.join(path).display().to_string(),
            Inner::Object(objects) => objects.location(path),
        }
    }

    /// The path of a file in the local file system; `None` on an object store.
    #[must_use]
    pub fn local_path(&self, path: &str) -> Option<PathBuf> {
        match &self.inner {
            Inner::Local(local) if path.is_empty() => Some(local.root.clone()),
            Inner::Local(local) => Some(local.root.join(path)),
            Inner::Object(_) => None,
        }
    }

    /// Whether a file exists. A folder does not count.
    ///
    /// # Errors
    /// The store does not answer.
    pub fn exists(&self, path: &str) -> StoreResult<bool> {
        Ok(self.size(path)?.is_some())
    }

    /// Size of a file in bytes; `None` when there is none.
    ///
    /// # Errors
    /// The store does not answer.
    pub fn size(&self, path: &str) -> StoreResult<Option<u64>> {
        Ok(self.entry(path)?.map(|entry| entry.size))
    }

    /// What [`Store::list`] would say about one file; `None` when there is none.
    ///
    /// # Errors
    /// The store does not answer.
    pub fn entry(&self, path: &str) -> StoreResult<Option<Entry>> {
        check(path)?;
        match &self.inner {
            Inner::Local(local) => local::entry(&local.root, path),
            Inner::Object(objects) => objects.entry(path),
        }
    }

    /// All files under a folder (`""` for the whole store), recursively, sorted by path; empty when it does not exist.
    /// Symbolic links are followed. Files that are still being written are left out.
    ///
    /// # Errors
    /// A folder that cannot be read, or a name that is not UTF-8.
    pub fn list(&self, folder: &str) -> StoreResult<Vec<Entry>> {
        let folder = folder.trim_end_matches('/');
        if !folder.is_empty() {
            check(folder)?;
        }
        let mut entries = match &self.inner {
            Inner::Local(local) => local::list(&local.root, folder)?,
            Inner::Object(objects) => objects.list(folder)?,
        };
        entries
            .retain(|entry| !entry.path.rsplit('/').next().is_some_and(|name| name.starts_with(TEMPORARY)));
        entries.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(entries)
    }

    /// As [`Store::list`] of the whole store, with what else is there, and without what lies in local folders that `enter`,
    /// given their path, does not want to look into.
    pub(crate) fn survey(&self, enter: &dyn Fn(&str) -> bool) -> StoreResult<Vec<Found>> {
        let mut found = match &self.inner {
            Inner::Local(local) => local::survey(&local.root, enter)?,
            Inner::Object(objects) => objects.list("")?.into_iter().map(Found::File).collect(),
        };
        found
            .retain(|found| !found.path().rsplit('/').next().is_some_and(|name| name.starts_with(TEMPORARY)));
        found.sort_unstable_by(|a, b| a.path().cmp(b.path()));
        Ok(found)
    }

    /// Names of the folders directly under a folder, sorted; nothing below them is looked at. Empty when it does not exist.
    ///
    /// # Errors
    /// A folder that cannot be read, or a name that is not UTF-8.
    pub fn folders(&self, folder: &str) -> StoreResult<Vec<String>> {
        check(folder)?;
        let mut names = match &self.inner {
            Inner::Local(local) => local::folders(&local.root.join(folder))?,
            Inner::Object(objects) => objects.folders(folder)?,
        };
        names.sort_unstable();
        Ok(names)
    }

    /// A whole file.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or one that cannot be read.
    pub fn read(&self, path: &str) -> StoreResult<Bytes> {
        check(path)?;
        match &self.inner {
            Inner::Local(local) => local::read(&local.root, path),
            Inner::Object(objects) => objects.read(path),
        }
    }

    /// A file as a stream.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or one that cannot be opened.
    pub fn open_read(&self, path: &str) -> StoreResult<Box<dyn Read + Send>> {
        check(path)?;
        match &self.inner {
            Inner::Local(local) => Ok(Box::new(local::open_file(&local.root, path)?)),
            Inner::Object(objects) => Ok(Box::new(objects.stream(path)?)),
        }
    }

    /// A file for reading at any position, from several threads at once, as the Parquet reader wants it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or one that cannot be opened.
    pub fn chunk_reader(&self, path: &str) -> StoreResult<ChunkFile> {
        check(path)?;
        match &self.inner {
            Inner::Local(local) => {
                ChunkFile::local(local::open_file(&local.root, path)?, &local.root.join(path))
            }
            Inner::Object(objects) => ChunkFile::object(objects, path),
        }
    }

    /// Puts a small file under a name that must be free: atomic, on disk when this returns.
    ///
    /// # Errors
    /// A store that cannot be written.
    pub fn create_new(&self, path: &str, bytes: &[u8]) -> StoreResult<Created> {
        use std::io::Write;
        check(path)?;
        if let Inner::Object(objects) = &self.inner {
            return objects.create_new(path, Bytes::copy_from_slice(bytes));
        }
        let mut file = self.writer(path)?;
        file.write_all(bytes).map_err(|source| StoreError::io("write", self.location(path), source))?;
        file.commit()
    }

    /// Starts a file; nothing is visible under its name until it is committed, and dropping it leaves nothing.
    ///
    /// # Errors
    /// A folder that cannot be made or written.
    pub fn writer(&self, path: &str) -> StoreResult<PendingFile> {
        check(path)?;
        match &self.inner {
            Inner::Local(local) => PendingFile::local(&local.root.join(path), &local.watched),
            Inner::Object(objects) => Ok(PendingFile::object(objects.clone(), path)),
        }
    }

    /// Learns early whether files can be made here: begins one, writes some of it, and drops it. Where the folder is missing,
    /// that is done in the one that it would be made in. An object store is asked nothing, since it says so only when an object
    /// is complete.
    ///
    /// # Errors
    /// A folder that cannot be made or written, or a disk that is full.
    pub fn check_writable(&self) -> StoreResult<()> {
        let Inner::Local(local) = &self.inner else { return Ok(()) };
        let folder = local.root.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("."));
        pending::probe(folder, &local.watched)
            .map_err(|source| StoreError::io("create", self.location(""), source))
    }

    /// Removes a file; one that does not exist is no error.
    ///
    /// # Errors
    /// A store that cannot be written.
    pub fn remove(&self, path: &str) -> StoreResult<()> {
        check(path)?;
        match &self.inner {
            Inner::Local(local) => local::remove(local, path),
            Inner::Object(objects) => objects.remove(path),
        }
    }

    /// A temporary file of that age was left behind: those of living writers are locked, and the age is for file systems without
    /// locks.
    pub const STALE: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

    /// Removes the temporary files that writers which were killed left behind, when they are older than `age` and no living
    /// process holds their lock. Returns how many. An object store leaves none.
    ///
    /// # Errors
    /// A folder that cannot be read or written.
    pub fn remove_stale_temporaries(&self, age: std::time::Duration) -> StoreResult<usize> {
        match &self.inner {
            Inner::Local(local) => local::remove_stale(&local.root, age),
            Inner::Object(_) => Ok(0),
        }
    }
}

impl Found {
    pub(crate) fn path(&self) -> &str {
        match self {
            Self::File(entry) => &entry.path,
            Self::Odd { path, .. } => path,
        }
    }
}

/// The path of a `file://` URL.
fn path_of_file_url(location: &str) -> StoreResult<PathBuf> {
    let invalid = |problem: &str| StoreError::InvalidLocation {
        location: location.to_owned(),
        problem: problem.to_owned(),
    };
    let url = url::Url::parse(location).map_err(|error| invalid(&error.to_string()))?;
    // A URL without a path would be the root of the file system.
    if split_url(location).is_none_or(|(_, rest)| !rest.contains('/')) {
        return Err(invalid("not an absolute path on this machine"));
    }
    url.to_file_path().map_err(|()| invalid("not an absolute path on this machine"))
}

/// Scheme and rest of a URL; `None` for a local path (a single letter before `://` is a drive, not a scheme).
pub(crate) fn split_url(location: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = location.split_once("://")?;
    let known = scheme.len() > 1
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    known.then_some((scheme, rest))
}

/// Refuses paths that are empty, absolute, or contain `.`, `..`, empty segments, backslashes on Windows or NUL.
fn check(path: &str) -> StoreResult<()> {
    let problem = if path.is_empty() {
        "it is empty"
    } else if path.contains('\0') {
        "it contains a NUL character"
    } else if cfg!(windows) && path.contains(['\\', ':']) {
        "it contains a backslash or a colon"
    } else if path.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
        "it has an empty segment, `.` or `..`"
    } else {
        return Ok(());
    };
    Err(StoreError::InvalidPath { path: path.to_owned(), problem })
}

#[cfg(test)]
mod tests;
