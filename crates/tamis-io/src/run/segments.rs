//! Files of several segments that vouch for themselves: what one stage of a grouping hands to the next.
//!
//! `TAMISSEG`, the segments one after the other, for each of them its length (u64) and the 128-bit xxh3 of its bytes, then the
//! number of segments (u64), the 128-bit xxh3 of that list, and `TAMISEND`; numbers are little-endian. They are small beside
//! the segments, and at the end, so that a file is written in one go.
//!
//! A segment that is read is held against its digest, so such a file needs no receipt, as the parts of a signal need none:
//! whatever is damaged, or half there, is found and made again.

use std::io::{self, Write};

use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use super::{RunError, RunResult};
use crate::store::{ChunkFile, Created, PendingFile, Store, StoreError};

const BEGIN: &[u8; 8] = b"TAMISSEG";
const END: &[u8; 8] = b"TAMISEND";
const ENTRY_BYTES: usize = 24;
const TAIL_BYTES: usize = 32;

/// Bytes that are read at a time.
const READ_BYTES: usize = 1 << 20;

/// Writes segments in order; dropped without [`SegmentWriter::commit`], nothing becomes visible.
pub struct SegmentWriter {
    file: PendingFile,
    entries: Vec<u8>,
    hasher: Xxh3,
    bytes: u64,
}

impl SegmentWriter {
    pub(super) fn create(store: &Store, path: &str) -> RunResult<Self> {
        let mut file = store.writer(path)?;
        let begun = file.write_all(BEGIN);
        begun.map_err(|error| StoreError::written(file.location(), error))?;
        Ok(Self { file, entries: Vec::new(), hasher: Xxh3::new(), bytes: 0 })
    }

    /// Adds to the current segment.
    ///
    /// # Errors
    /// A store that refuses.
    pub fn write(&mut self, bytes: &[u8]) -> RunResult<()> {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        let written = self.file.write_all(bytes);
        Ok(written.map_err(|error| StoreError::written(self.file.location(), error))?)
    }

    /// Segments that were ended.
    #[must_use]
    pub fn segments(&self) -> usize {
        self.entries.len() / ENTRY_BYTES
    }

    /// Ends the current segment.
    pub fn end(&mut self) {
        self.entries.extend_from_slice(&self.bytes.to_le_bytes());
        self.entries.extend_from_slice(&self.hasher.digest128().to_le_bytes());
        self.hasher.reset();
        self.bytes = 0;
    }

    /// Makes the file visible unless one is there already.
    ///
    /// # Errors
    /// A store that refuses.
    pub fn commit(mut self) -> RunResult<Created> {
        let entries = std::mem::take(&mut self.entries);
        let number = (entries.len() / ENTRY_BYTES) as u64;
        let digest = xxh3_128(&entries);
        let tail = [&entries, &number.to_le_bytes()[..], &digest.to_le_bytes(), END].concat();
        let written = self.file.write_all(&tail);
        written.map_err(|error| StoreError::written(self.file.location(), error))?;
        Ok(self.file.commit()?)
    }
}

/// Where the segments of a file are. The file is opened when one is read, so that many may be known at once.
#[derive(Clone, Debug)]
pub struct Segments {
    path: String,
    /// Start, length and digest of each.
    entries: Vec<(u64, u64, u128)>,
}

impl Segments {
    /// Looks into a file, which has to be of so many segments; `None` when there is none.
    pub(super) fn open(store: &Store, path: &str, segments: usize) -> RunResult<Option<Self>> {
        let file = match store.chunk_reader(path) {
            Ok(file) => file,
            Err(StoreError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let corrupt = |problem: &str| RunError::corrupt(path, problem);
        let own = (segments * ENTRY_BYTES + TAIL_BYTES) as u64;
        let size = file.size();
        let Some(end) = size.checked_sub(own).filter(|end| *end >= BEGIN.len() as u64) else {
            return Err(corrupt("is cut off"));
        };
        let begin = read(&file, path, 0, BEGIN.len())?;
        let list = read(&file, path, end, own as usize)?;
        let (list, tail) = list.split_at(segments * ENTRY_BYTES);
        let number = (segments as u64).to_le_bytes();
        let digest = xxh3_128(list).to_le_bytes();
        if begin[..] != BEGIN[..] || tail[..8] != number || tail[8..24] != digest || tail[24..] != END[..] {
            return Err(corrupt("is damaged, or no file of segments"));
        }
        let mut entries = Vec::with_capacity(segments);
        let mut start = BEGIN.len() as u64;
        let (list, _) = list.as_chunks::<ENTRY_BYTES>();
        for entry in list {
            let length = u64::from_le_bytes(entry[..8].try_into().expect("8 bytes"));
            let digest = u128::from_le_bytes(entry[8..].try_into().expect("16 bytes"));
            entries.push((start, length, digest));
            start = start.saturating_add(length);
        }
        if start != end {
            return Err(corrupt("has another length than its segments"));
        }
        Ok(Some(Self { path: path.to_owned(), entries }))
    }

    /// Path within the store.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Reads a segment, some records of `width` bytes at a time. What `each` was given counts only when all of it was read.
    ///
    /// # Errors
    /// A file that is gone; [`RunError::Corrupt`]; what `each` says.
    pub(super) fn read<E: From<RunError>>(
        &self,
        store: &Store,
        segment: usize,
        width: usize,
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let (mut start, mut left, digest) = self.entries[segment];
        if left == 0 {
            return Ok(());
        }
        let corrupt = |problem: &str| E::from(RunError::corrupt(&self.path, problem));
        if !left.is_multiple_of(width as u64) {
            return Err(corrupt("has a segment of no whole number of records"));
        }
        let file = store.chunk_reader(&self.path).map_err(|error| E::from(error.into()))?;
        let at_once = (READ_BYTES / width).max(1) * width;
        let mut hasher = Xxh3::new();
        while left > 0 {
            let length = (at_once as u64).min(left);
            let bytes = read(&file, &self.path, start, length as usize).map_err(E::from)?;
            hasher.update(&bytes);
            each(&bytes)?;
            start += length;
            left -= length;
        }
        if hasher.digest128() == digest { Ok(()) } else { Err(corrupt("has a damaged segment")) }
    }
}

fn read(file: &ChunkFile, path: &str, start: u64, length: usize) -> RunResult<bytes::Bytes> {
    file.read_at(start, length).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => RunError::corrupt(path, "is cut off"),
        _ => RunError::Read { path: path.to_owned(), problem: error.to_string() },
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read_all(store: &Store, segments: usize) -> RunResult<Vec<Vec<u8>>> {
        let found = Segments::open(store, "a", segments)?.unwrap();
        let mut all = Vec::new();
        for at in 0..segments {
            let mut bytes = Vec::new();
            found.read(store, at, 3, |some| {
                bytes.extend_from_slice(some);
                Ok::<_, RunError>(())
            })?;
            all.push(bytes);
        }
        Ok(all)
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_and_any_damage_is_found(
            segments in proptest::collection::vec(proptest::collection::vec(any::<[u8; 3]>(), 0..9), 0..6),
            places in proptest::collection::vec((any::<prop::sample::Index>(), 1_u8..), 1..20),
            hostile in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::local(folder.path());
            let mut writer = SegmentWriter::create(&store, "a").unwrap();
            for segment in &segments {
                segment.iter().for_each(|record| writer.write(record).unwrap());
                writer.end();
            }
            writer.commit().unwrap();
            let expected: Vec<Vec<u8>> = segments.iter().map(|segment| segment.concat()).collect();
            prop_assert_eq!(read_all(&store, segments.len()).unwrap(), expected);
            prop_assert!(read_all(&store, segments.len() + 1).is_err());
            let is_found =
                |store: &Store| matches!(read_all(store, segments.len()), Err(RunError::Corrupt { .. }));
            let path = folder.path().join("a");
            let whole = std::fs::read(&path).unwrap();
            for (place, change) in places {
                let mut damaged = whole.clone();
                damaged[place.index(whole.len())] ^= change;
                std::fs::write(&path, damaged).unwrap();
                prop_assert!(is_found(&store));
                std::fs::write(&path, &whole[..place.index(whole.len())]).unwrap();
                prop_assert!(is_found(&store));
            }
            std::fs::write(&path, hostile).unwrap();
            prop_assert!(is_found(&store));
        }
    }
}
