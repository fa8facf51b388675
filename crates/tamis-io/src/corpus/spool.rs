//! Lines that are prefetched while a shard is read, so that it need not be read again to write them.
//!
//! Only a cache. The lines lie, as they are, in a file without a name that is gone with the process, however that ends; where
//! there is no room for it, nothing is prefetched, and the shard is read again.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tamis_core::Digest;

use super::block::write_lines;
use super::{Block, CorpusResult, KeptWriter};
use crate::store::{Action, Store, StoreError, StoreResult};
use crate::text_file::temporary_file;

/// Where prefetched lines lie.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    store: Store,
    file: Mutex<Stored>,
    shards: Mutex<BTreeMap<String, (String, Vec<Chunk>)>>,
}

#[derive(Debug)]
struct Stored {
    file: File,
    end: u64,
    full: bool,
    /// Writing failed, and the room was given back.
    lost: bool,
    /// Memory of chunks that were written.
    scratch: Vec<Vec<u8>>,
}

/// The lines of one block that are in a [`Spool`].
#[derive(Clone, Copy, Debug)]
pub struct Chunk {
    start: u64,
    bytes: usize,
    rows: usize,
    digest: Digest,
}

/// Some lines of a shard, and which rows they are.
#[derive(Debug)]
pub struct Picked<'m> {
    /// Row numbers of 8 bytes each, then the lines.
    memory: &'m [u8],
    rows: usize,
}

const ROW_BYTES: usize = size_of::<u64>();

/// A file without a name that grows beyond all bounds would surprise people; what comes later is read again.
const MOST_BYTES: u64 = 64 << 30;

/// Memory of a chunk is kept for the next one up to this size: twice an ordinary block.
const SCRATCH_BYTES: usize = 8 << 20;

impl Spool {
    /// A spool in the folder of a store; `None` where that is none of this machine, or cannot be written.
    #[must_use]
    pub fn beside(store: &Store) -> Option<Self> {
        let folder = store.local_path("")?;
        store.watch().before(Action::Create, &folder).ok()?;
        let file = temporary_file(Some(&folder)).ok()?;
        let file = Stored { file, end: 0, full: false, lost: false, scratch: Vec::new() };
        Some(Self { folder, store: store.clone(), file: Mutex::new(file), shards: Mutex::default() })
    }

    fn file(&self) -> MutexGuard<'_, Stored> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Prefetches the lines of a block that `keep` (given the physical row, ascending) says. `None` when there is no room, or
    /// for a block that is not of lines.
    pub fn add(&self, block: &Block, keep: &mut dyn FnMut(u64) -> bool) -> Option<Chunk> {
        let mut memory = {
            let mut stored = self.file();
            if stored.full {
                return None;
            }
            stored.scratch.pop().unwrap_or_default()
        };
        memory.clear();
        let rows = block.pick(keep, &mut memory)?;
        let digest = Digest::of(&memory);
        let mut stored = self.file();
        let chunk = Chunk { start: stored.end, bytes: memory.len(), rows, digest };
        if stored.full || !stored.has_room(memory.len()) {
            stored.full = true;
            return None;
        }
        if self.write(&mut stored, &memory).is_err() {
            (stored.full, stored.lost) = (true, true);
            // Whoever writes what must be written gets the room; where that fails too, the file is short-lived anyway.
            let _ = stored.file.set_len(0);
            return None;
        }
        stored.end += memory.len() as u64;
        if memory.capacity() <= SCRATCH_BYTES {
            stored.scratch.push(memory);
        }
        Some(chunk)
    }

    fn write(&self, stored: &mut Stored, bytes: &[u8]) -> std::io::Result<()> {
        self.store.watch().before(Action::Write, &self.folder)?;
        stored.file.seek(SeekFrom::Start(stored.end))?;
        stored.file.write_all(bytes)
    }

    /// Says that these are all chunks of a shard, in the order of its blocks. `digest` is that of the shard.
    pub fn complete(&self, shard: &str, digest: &str, chunks: Vec<Chunk>) {
        let mut shards = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
        shards.insert(shard.to_owned(), (digest.to_owned(), chunks));
    }

    /// The chunks of a shard of this digest, if all that was to be prefetched was.
    #[must_use]
    pub fn chunks(&self, shard: &str, digest: &str) -> Option<Vec<Chunk>> {
        if self.file().lost {
            return None;
        }
        let shards = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
        shards.get(shard).filter(|(stored, _)| stored == digest).map(|(_, chunks)| chunks.clone())
    }

    /// Prefetched lines, read into `memory`.
    ///
    /// # Errors
    /// A disk that does not give back what was written.
    pub fn read<'m>(&self, chunk: &Chunk, memory: &'m mut Vec<u8>) -> StoreResult<Picked<'m>> {
        memory.resize(chunk.bytes, 0);
        let read = {
            let mut stored = self.file();
            stored.file.seek(SeekFrom::Start(chunk.start)).and_then(|_| stored.file.read_exact(memory))
        };
        let whole = read.and_then(|()| {
            let same = Digest::of(memory) == chunk.digest;
            same.then_some(()).ok_or_else(|| std::io::Error::other("a temporary file was damaged"))
        });
        whole.map_err(|source| StoreError::io("read", self.folder.display().to_string(), source))?;
        Ok(Picked { memory, rows: chunk.rows })
    }
}

impl Stored {
    /// Whether as much stays free as is taken: what is kept of these lines needs less.
    fn has_room(&self, more: usize) -> bool {
        if self.end > MOST_BYTES {
            return false;
        }
        #[cfg(unix)]
        {
            let wanted = self.end + 2 * more as u64;
            rustix::fs::fstatvfs(&self.file)
                .is_ok_and(|system| system.f_bavail.saturating_mul(system.f_frsize) >= wanted)
        }
        #[cfg(not(unix))]
        {
            let _ = more;
            false
        }
    }
}

impl Picked<'_> {
    /// As [`Block::write_kept`].
    ///
    /// # Errors
    /// As [`Block::write_kept`].
    pub fn write_kept(&self, keep: &mut dyn FnMut(u64) -> bool, out: &mut KeptWriter) -> CorpusResult<()> {
        let (rows, lines) = self.memory.split_at(self.rows * ROW_BYTES);
        let (rows, _) = rows.as_chunks::<ROW_BYTES>();
        let mut rows = rows.iter().map(|row| u64::from_le_bytes(*row));
        write_lines(lines, &mut || rows.next().is_some_and(&mut *keep), out)
    }
}
