//! A file that is being written and cannot be seen yet.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use object_store::{MultipartUpload, ObjectStoreExt};

use super::error::{StoreError, StoreResult};
use super::local::{make_folder, sync_folder};
use super::object::{Objects, block_on};
use super::watch::{Action, Watched, WatchedFile};
use super::{Created, TEMPORARY};

/// Bytes of one part of a large upload. Object stores allow at most 10,000 parts, so this bounds a file at 160 GB.
const PART_BYTES: usize = 16 << 20;

/// A file under construction. Dropping it leaves nothing behind.
///
/// Local files are written beside their final place and linked there when they are complete and on disk. Objects are
/// collected in memory up to 16 MiB, beyond that sent in parts that stay invisible until the last.
#[derive(Debug)]
pub struct PendingFile {
    location: String,
    state: State,
}

#[derive(Debug)]
enum State {
    Local { file: BufWriter<WatchedFile>, temporary: Temporary, target: PathBuf },
    Object { objects: Objects, path: String, buffer: Vec<u8>, upload: Option<Box<dyn MultipartUpload>> },
    Done,
}

/// Removes the temporary file when it goes out of scope, whatever happened.
#[derive(Debug)]
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // Nothing useful can be done about a failure: the name is one that readers ignore.
        let _ = fs::remove_file(&self.0);
    }
}

/// Makes a file that nobody sees in a folder, fills some of it, and removes it.
pub(super) fn probe(folder: &Path, watched: &Watched) -> io::Result<()> {
    let (mut file, path) = create_temporary(folder, watched)?;
    let _removed_last = Temporary(path);
    let written = file.write_all(&[0; 4096]);
    drop(file);
    written
}

impl PendingFile {
    pub(super) fn local(target: &Path, watched: &Watched) -> StoreResult<Self> {
        let location = target.display().to_string();
        let failed = |source| StoreError::io("create", location.clone(), source);
        let folder = folder_of(target);
        make_folder(folder, watched).map_err(failed)?;
        let (file, path) = create_temporary(folder, watched).map_err(failed)?;
        let file = WatchedFile { file, path: target.to_owned(), watched: watched.clone() };
        let state = State::Local {
            file: BufWriter::with_capacity(1 << 18, file),
            temporary: Temporary(path),
            target: target.to_owned(),
        };
        Ok(Self { location, state })
    }

    pub(super) fn object(objects: Objects, path: &str) -> Self {
        let location = objects.location(path);
        let state = State::Object { objects, path: path.to_owned(), buffer: Vec::new(), upload: None };
        Self { location, state }
    }

    /// Where the file will be, for messages.
    #[must_use]
    pub fn location(&self) -> &str {
        &self.location
    }

    /// Makes the file visible, unless the name is taken: then it is left as it is and this file is dropped.
    ///
    /// On object stores a file of more than 16 MiB is sent in parts, which most stores cannot do conditionally: the name
    /// is looked up just before the last step, so that two writers in the same instant may both be told that they were
    /// first, and the later one's complete file stays. Receipts and other small files are not affected.
    ///
    /// # Errors
    /// A store that cannot be written. The file may then be retried from the start.
    pub fn commit(self) -> StoreResult<Created> {
        self.finish(false)
    }

    /// Makes the file visible in place of what the name held before, if anything.
    ///
    /// # Errors
    /// A store that cannot be written; what was there before is then still there.
    pub fn replace(self) -> StoreResult<()> {
        self.finish(true).map(|_| ())
    }

    fn finish(mut self, replace: bool) -> StoreResult<Created> {
        let location = self.location.clone();
        match std::mem::replace(&mut self.state, State::Done) {
            State::Local { file, temporary, target } => finish_local(file, &temporary, &target, replace)
                .map_err(|source| StoreError::io("write", location, source)),
            State::Object { objects, path, buffer, upload: None } => {
                if !replace {
                    return objects.create_new(&path, buffer.into());
                }
                let full = objects.full(&path)?;
                block_on(objects.store.put(&full, Bytes::from(buffer).into()))
                    .map_err(|error| objects.error("write", &path, error))?;
                Ok(Created::New)
            }
            State::Object { objects, path, buffer, upload: Some(mut upload) } => {
                let existed = !replace && objects.entry(&path)?.is_some();
                let done = block_on(async {
                    if existed {
                        return upload.abort().await;
                    }
                    if !buffer.is_empty() {
                        upload.put_part(Bytes::from(buffer).into()).await?;
                    }
                    upload.complete().await.map(|_| ())
                });
                done.map_err(|error| objects.error("write", &path, error))?;
                Ok(if existed { Created::Existed } else { Created::New })
            }
            State::Done => unreachable!("finish takes the file"),
        }
    }
}

impl Write for PendingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.state {
            State::Local { file, .. } => file.write(bytes),
            State::Object { objects, path, buffer, upload } => {
                let length = bytes.len().min(PART_BYTES - buffer.len());
                buffer.extend_from_slice(&bytes[..length]);
                if buffer.len() == PART_BYTES {
                    send_part(objects, path, buffer, upload)?;
                }
                Ok(length)
            }
            State::Done => unreachable!("finish takes the file"),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.state {
            State::Local { file, .. } => file.flush(),
            _ => Ok(()),
        }
    }
}

impl Drop for PendingFile {
    fn drop(&mut self) {
        if let State::Object { upload: Some(upload), .. } = &mut self.state {
            // Best effort: stores remove uploads that were never completed by themselves.
            let _ = block_on(upload.abort());
        }
    }
}

fn send_part(
    objects: &Objects,
    path: &str,
    buffer: &mut Vec<u8>,
    upload: &mut Option<Box<dyn MultipartUpload>>,
) -> io::Result<()> {
    let full = objects.full(path).map_err(io::Error::other)?;
    let bytes = Bytes::from(std::mem::take(buffer));
    block_on(async {
        let upload = match upload {
            Some(upload) => upload,
            None => upload.insert(objects.store.put_multipart(&full).await?),
        };
        upload.put_part(bytes.into()).await
    })
    .map_err(io::Error::other)
}

fn finish_local(
    mut file: BufWriter<WatchedFile>,
    temporary: &Temporary,
    target: &Path,
    replace: bool,
) -> io::Result<Created> {
    file.flush()?;
    let WatchedFile { file, watched, .. } = file.get_ref();
    watched.before(Action::Sync, target)?;
    file.sync_all()?;
    watched.before(if replace { Action::Replace } else { Action::Publish }, target)?;
    let created = if replace {
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the replacing commit, which its callers asked for"
        )]
        fs::rename(&temporary.0, target)?;
        Created::New
    } else {
        match fs::hard_link(&temporary.0, target) {
            Ok(()) => Created::New,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Created::Existed,
            Err(error) => return Err(error),
        }
    };
    sync_folder(folder_of(target), watched)?;
    Ok(created)
}

fn folder_of(target: &Path) -> &Path {
    match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Creates a file of a name that nobody else has: process and counter make it likely, `create_new` makes it sure.
fn create_temporary(folder: &Path, watched: &Watched) -> io::Result<(File, PathBuf)> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    watched.before(Action::Create, folder)?;
    loop {
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("{TEMPORARY}{:08x}{count:08x}", std::process::id()));
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => {
                // Held as long as the file is written, so that nobody takes it for a leftover. No harm where locks are not
                // to be had.
                let _ = file.try_lock();
                return Ok((file, path));
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}
