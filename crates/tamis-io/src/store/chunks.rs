//! Reading a file at any position, from several threads at once.

use std::fs::File;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf, Bytes};
use object_store::ObjectStoreExt;
use object_store::path::Path as ObjectPath;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use super::error::{StoreError, StoreResult};
use super::object::{Objects, block_on};

/// Bytes that [`ChunkRead`] asks for at a time.
const READ_AHEAD: u64 = 1 << 18;

/// A file that [`super::Store::chunk_reader`] opened. Clones share one handle; reads do not disturb each other.
#[derive(Clone, Debug)]
pub struct ChunkFile {
    source: Source,
    size: u64,
    /// What the place said when it did not give what is there; decoders turn that into errors about the content.
    failure: Arc<Mutex<Option<String>>>,
}

#[derive(Clone, Debug)]
enum Source {
    Local(Arc<File>),
    Object { objects: Objects, full: ObjectPath },
}

impl ChunkFile {
    pub(super) fn local(file: File, path: &std::path::Path) -> StoreResult<Self> {
        let size = file
            .metadata()
            .map_err(|error| StoreError::io("look at", path.display().to_string(), error))?
            .len();
        Ok(Self::new(Source::Local(Arc::new(file)), size))
    }

    /// A file that has no name in a store; `path` is for messages.
    pub(crate) fn of_file(file: File, path: &std::path::Path) -> StoreResult<Self> {
        Self::local(file, path)
    }

    pub(super) fn object(objects: &Objects, path: &str) -> StoreResult<Self> {
        let entry =
            objects.entry(path)?.ok_or_else(|| StoreError::NotFound { location: objects.location(path) })?;
        let source = Source::Object { objects: objects.clone(), full: objects.full(path)? };
        Ok(Self::new(source, entry.size))
    }

    fn new(source: Source, size: u64) -> Self {
        Self { source, size, failure: Arc::default() }
    }

    /// Why a read failed since the last call, when it was the place and not the content: then nothing is known about that.
    pub(crate) fn take_failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn noted(&self, error: io::Error) -> io::Error {
        // A file that became shorter is damaged, whatever the place.
        if error.kind() != io::ErrorKind::UnexpectedEof {
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
        }
        error
    }

    /// Size in bytes when the file was opened.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Exactly `length` bytes from `start` on.
    ///
    /// # Errors
    /// A range beyond the end of the file, which is checked before anything is allocated, or a store that does not answer.
    pub fn read_at(&self, start: u64, length: usize) -> io::Result<Bytes> {
        let end = start.checked_add(length as u64).filter(|end| *end <= self.size).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("bytes {start} to {start} + {length} of a file of {} bytes", self.size),
            )
        })?;
        if length == 0 {
            return Ok(Bytes::new());
        }
        match &self.source {
            Source::Local(file) => {
                let mut buffer = vec![0; length];
                read_exact_at(file, &mut buffer, start).map_err(|error| self.noted(error))?;
                Ok(buffer.into())
            }
            Source::Object { objects, full } => block_on(objects.store.get_range(full, start..end))
                .map_err(|error| self.noted(io::Error::other(error))),
        }
    }
}

#[cfg(unix)]
fn read_exact_at(file: &File, buffer: &mut [u8], start: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, start)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut buffer: &mut [u8], mut start: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        let read = std::os::windows::fs::FileExt::seek_read(file, buffer, start)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buffer = &mut buffer[read..];
        start += read as u64;
    }
    Ok(())
}

impl Length for ChunkFile {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for ChunkFile {
    type T = ChunkRead;

    fn get_read(&self, start: u64) -> StoreResult<ChunkRead, ParquetError> {
        Ok(ChunkRead { file: self.clone(), position: start, chunk: Bytes::new() })
    }

    fn get_bytes(&self, start: u64, length: usize) -> StoreResult<Bytes, ParquetError> {
        Ok(self.read_at(start, length)?)
    }
}

/// A [`ChunkFile`] read from one position on.
#[derive(Debug)]
pub struct ChunkRead {
    file: ChunkFile,
    position: u64,
    chunk: Bytes,
}

impl Read for ChunkRead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.chunk.is_empty() {
            let length = READ_AHEAD.min(self.file.size.saturating_sub(self.position));
            self.chunk = self.file.read_at(self.position, length as usize)?;
            self.position += length;
        }
        let length = self.chunk.len().min(buffer.len());
        self.chunk.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}
