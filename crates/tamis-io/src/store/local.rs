//! The local side of a store: plain files.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;

use super::error::{StoreError, StoreResult};
use super::watch::{Action, Watched};
use super::{Entry, Found, Oddity, Store, TEMPORARY};

/// Where the files are, and who is told of what is done to them.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    pub(super) root: PathBuf,
    pub(super) watched: Watched,
}

impl Folder {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root, watched: Watched::default() }
    }
}

/// The store of a folder, or of a file's folder and its name.
pub(super) fn open(path: &Path) -> (Store, Option<String>) {
    if path.is_file()
        && let Some(name) = path.file_name().and_then(|name| name.to_str())
    {
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        return (Store::local(folder), Some(name.to_owned()));
    }
    (Store::local(path), None)
}

pub(super) fn entry(root: &Path, path: &str) -> StoreResult<Option<Entry>> {
    let full = root.join(path);
    match fs::metadata(&full) {
        Ok(metadata) if metadata.is_file() => Ok(Some(describe(path.to_owned(), &metadata))),
        Ok(_) => Ok(None),
        Err(error) if absent(&error) => Ok(None),
        Err(source) => Err(StoreError::io("look at", full.display().to_string(), source)),
    }
}

/// A file on the way to the path counts as "no such file" too.
fn absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn describe(path: String, metadata: &Metadata) -> Entry {
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let version =
        modified.map_or_else(String::new, |time| format!("{}.{:09}", time.as_secs(), time.subsec_nanos()));
    Entry { path, size: metadata.len(), version, identity: identity(metadata) }
}

#[cfg(unix)]
fn identity(metadata: &Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn identity(_metadata: &Metadata) -> Option<(u64, u64)> {
    None
}

pub(super) fn list(root: &Path, folder: &str) -> StoreResult<Vec<Entry>> {
    let mut found = Vec::new();
    let start = if folder.is_empty() { root.to_owned() } else { root.join(folder) };
    walk(&start, folder, &|_| true, &mut Vec::new(), &mut |path, _, seen| {
        if let Seen::File(metadata) = seen {
            found.push(describe(path, metadata));
        }
        Ok(())
    })?;
    Ok(found)
}

pub(super) fn survey(root: &Path, enter: &dyn Fn(&str) -> bool) -> StoreResult<Vec<Found>> {
    let mut found = Vec::new();
    walk(root, "", enter, &mut Vec::new(), &mut |path, _, seen| {
        found.push(match seen {
            Seen::File(metadata) => Found::File(describe(path, metadata)),
            Seen::Odd(oddity) => Found::Odd { path, oddity },
        });
        Ok(())
    })?;
    Ok(found)
}

pub(super) fn folders(folder: &Path) -> StoreResult<Vec<String>> {
    let failed = |source| StoreError::io("list", folder.display().to_string(), source);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if absent(&error) => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let full = entry.map_err(failed)?.path();
        if full.is_dir() {
            let name = full.file_name().and_then(|name| name.to_str());
            names.push(name.map(str::to_owned).ok_or_else(|| StoreError::InvalidPath {
                path: full.display().to_string(),
                problem: "its name is not UTF-8",
            })?);
        }
    }
    Ok(names)
}

/// What a walk comes by.
enum Seen<'m> {
    File(&'m Metadata),
    Odd(Oddity),
}

/// Calls `visit` with the relative path and the full path of everything under `folder` that is no folder, and of folders that
/// are not entered.
fn walk(
    folder: &Path,
    relative: &str,
    enter: &dyn Fn(&str) -> bool,
    ancestors: &mut Vec<PathBuf>,
    visit: &mut dyn FnMut(String, &Path, Seen<'_>) -> StoreResult<()>,
) -> StoreResult<()> {
    let failed = |source| StoreError::io("list", folder.display().to_string(), source);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if absent(&error) => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    // A symbolic link may lead back to a folder above: it is not entered twice on one path.
    let identity = folder.canonicalize().map_err(failed)?;
    if ancestors.contains(&identity) {
        return visit(relative.to_owned(), folder, Seen::Odd(Oddity::FolderAbove));
    }
    ancestors.push(identity);
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let full = entry.path();
        let name = entry.file_name();
        let join = |name: &str| {
            if relative.is_empty() { name.to_owned() } else { format!("{relative}/{name}") }
        };
        let metadata = match fs::metadata(&full) {
            Ok(metadata) => metadata,
            Err(error) => {
                let link = fs::symlink_metadata(&full).is_ok_and(|metadata| metadata.is_symlink());
                // A file may vanish between the two calls.
                if link || !absent(&error) {
                    let problem = error.to_string();
                    let oddity = Oddity::Unreachable { link, problem };
                    visit(join(&name.to_string_lossy()), &full, Seen::Odd(oddity))?;
                }
                continue;
            }
        };
        let Some(name) = name.to_str() else {
            return Err(StoreError::InvalidPath {
                path: full.display().to_string(),
                problem: "its name is not UTF-8",
            });
        };
        let path = join(name);
        if !metadata.is_dir() {
            let special = Seen::Odd(Oddity::Special);
            visit(path, &full, if metadata.is_file() { Seen::File(&metadata) } else { special })?;
        } else if enter(&path) {
            walk(&full, &path, enter, ancestors, visit)?;
        } else {
            visit(path, &full, Seen::Odd(Oddity::NotEntered))?;
        }
    }
    ancestors.pop();
    Ok(())
}

pub(super) fn read(root: &Path, path: &str) -> StoreResult<Bytes> {
    let full = root.join(path);
    fs::read(&full).map(Bytes::from).map_err(|error| unreadable(&full, error))
}

pub(super) fn open_file(root: &Path, path: &str) -> StoreResult<File> {
    let full = root.join(path);
    File::open(&full).map_err(|error| unreadable(&full, error))
}

fn unreadable(full: &Path, error: io::Error) -> StoreError {
    let location = full.display().to_string();
    if absent(&error) { StoreError::NotFound { location } } else { StoreError::io("read", location, error) }
}

pub(super) fn remove(folder: &Folder, path: &str) -> StoreResult<()> {
    let full = folder.root.join(path);
    match folder.watched.before(Action::Remove, &full).and_then(|()| fs::remove_file(&full)) {
        Err(error) if !absent(&error) => Err(StoreError::io("remove", full.display().to_string(), error)),
        _ => Ok(()),
    }
}

pub(super) fn remove_stale(root: &Path, age: Duration) -> StoreResult<usize> {
    let mut removed = 0;
    walk(root, "", &|_| true, &mut Vec::new(), &mut |path, full, seen| {
        let Seen::File(metadata) = seen else { return Ok(()) };
        let temporary = path.rsplit('/').next().is_some_and(|name| name.starts_with(TEMPORARY));
        let old = metadata.modified().is_ok_and(|time| time.elapsed().is_ok_and(|since| since >= age));
        if temporary && old && !in_use(full) && fs::remove_file(full).is_ok() {
            removed += 1;
        }
        Ok(())
    })?;
    Ok(removed)
}

/// Whether a living process holds the lock of a temporary file. Where the file system has no locks, age alone decides.
fn in_use(temporary: &Path) -> bool {
    File::open(temporary).is_ok_and(|file| matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock)))
}

/// Makes a folder and those above it, and syncs the parents of the new ones, so that they outlive a power cut.
pub(super) fn make_folder(folder: &Path, watched: &Watched) -> io::Result<()> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        make_folder(parent, watched)?;
    }
    match watched.before(Action::MakeFolder, folder).and_then(|()| fs::create_dir(folder)) {
        Ok(()) => sync_folder(parent.unwrap_or(Path::new(".")), watched),
        Err(error) if error.kind() == ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Puts the names in a folder on disk.
pub(super) fn sync_folder(folder: &Path, watched: &Watched) -> io::Result<()> {
    watched.before(Action::SyncFolder, folder)?;
    if cfg!(windows) {
        return Ok(()); // Folders cannot be opened there; the file system journals names itself.
    }
    File::open(folder)?.sync_all()
}
