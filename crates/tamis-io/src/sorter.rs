//! Sorting records of one width that may be more than memory holds.
//!
//! Records are bytes and are ordered as bytes. They collect in a buffer; one that is full is sorted and becomes a run in a file
//! without a name, which is gone with the process, however that ends. What comes out does not depend on the size of the
//! buffer. Runs are merged sixteen at a time, so that few files are open at once.
//!
//! Time: O(n log n) comparisons, and each record is written once for every factor of sixteen between it and memory. Memory: the
//! buffer, with sixteen bytes beside each record.
//!
//! Not for what has to outlive the process: see the run directory's own files.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::store::{Action, ChunkFile, Store, StoreError, StoreResult, Watched};
use crate::text_file::temporary_file;

/// Runs that are merged at a time.
const FAN_IN: usize = 16;

/// Bytes that are read or written at a time.
const BUFFER_BYTES: usize = 1 << 17;

/// Bytes beside each record while it is sorted.
const BESIDE: u64 = size_of::<(u64, u32)>() as u64;

/// Fewer records in memory would not be worth a file.
const LEAST: u64 = 16;

/// Where runs go that do not fit into memory.
#[derive(Clone, Debug)]
pub struct Scratch {
    folder: Option<PathBuf>,
    /// The folder cannot be written.
    elsewhere: Arc<AtomicBool>,
    watched: Watched,
}

impl Scratch {
    /// In the folder of a store, or in the system's place for such files where that is none of this machine or cannot be
    /// written.
    #[must_use]
    pub fn beside(store: &Store) -> Self {
        let folder = store.local_path("").filter(|folder| folder.is_dir());
        Self { folder, elsewhere: Arc::default(), watched: store.watch() }
    }

    pub(crate) fn location(&self) -> PathBuf {
        let folder = self.folder.clone().filter(|_| !self.elsewhere.load(Ordering::Relaxed));
        folder.unwrap_or_else(std::env::temp_dir)
    }

    pub(crate) fn failed(&self, action: &'static str, source: io::Error) -> StoreError {
        StoreError::io(action, self.location().display().to_string(), source)
    }

    pub(crate) fn create(&self) -> StoreResult<BufWriter<File>> {
        let beside = self.watched.before(Action::Create, &self.location());
        let file = match beside.and_then(|()| temporary_file(self.folder.as_deref())) {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
                ) =>
            {
                self.elsewhere.store(true, Ordering::Relaxed);
                temporary_file(None)
            }
            file => file,
        };
        let file = file.map_err(|error| self.failed("create", error))?;
        Ok(BufWriter::with_capacity(BUFFER_BYTES, file))
    }

    /// The file of a run that was written.
    pub(crate) fn written(&self, file: BufWriter<File>) -> StoreResult<File> {
        let finish = || {
            self.watched.before(Action::Write, &self.location())?;
            let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.rewind()?;
            Ok(file)
        };
        finish().map_err(|error| self.failed("write", error))
    }
}

/// Records in order, on disk.
struct Run {
    file: BufReader<File>,
    left: u64,
}

impl Run {
    /// Puts the next record into `record`; `false` at the end.
    fn next(&mut self, record: &mut [u8]) -> io::Result<bool> {
        if self.left == 0 {
            return Ok(false);
        }
        self.left -= 1;
        self.file.read_exact(record)?;
        Ok(true)
    }
}

/// Collects records and gives them back in order.
pub struct Sorter {
    width: usize,
    /// Records in memory.
    most: usize,
    scratch: Scratch,
    buffer: Vec<u8>,
    /// Runs that were merged so often, by that number.
    levels: Vec<Vec<Run>>,
}

impl Sorter {
    /// Memory that a record takes while it is sorted there.
    #[must_use]
    pub fn bytes_of_record(width: usize) -> u64 {
        width as u64 + BESIDE
    }

    /// For records of `width` bytes, at least 8, in `memory_bytes` of memory.
    ///
    /// # Panics
    /// A width below 8.
    #[must_use]
    pub fn new(width: usize, memory_bytes: u64, scratch: Scratch) -> Self {
        assert!(width >= 8, "records have at least 8 bytes, not {width}");
        let most = (memory_bytes / Self::bytes_of_record(width)).clamp(LEAST, u64::from(u32::MAX)) as usize;
        Self { width, most, scratch, buffer: Vec::new(), levels: Vec::new() }
    }

    /// With room for so many records, as far as they stay in memory.
    #[must_use]
    pub fn with_room(mut self, records: u64) -> Self {
        self.buffer.reserve(self.most.min(usize::try_from(records).unwrap_or(0)) * self.width);
        self
    }

    /// Adds any number of records, one after the other.
    ///
    /// # Errors
    /// No room for what does not fit into memory.
    ///
    /// # Panics
    /// Bytes that are no whole number of records.
    pub fn extend(&mut self, mut records: &[u8]) -> StoreResult<()> {
        assert_eq!(records.len() % self.width, 0, "whole records");
        while !records.is_empty() {
            let room = self.most * self.width - self.buffer.len();
            if room == 0 {
                self.spill()?;
                continue;
            }
            let (now, later) = records.split_at(room.min(records.len()));
            self.buffer.extend_from_slice(now);
            records = later;
        }
        Ok(())
    }

    fn spill(&mut self) -> StoreResult<()> {
        let failed = |error| self.scratch.failed("write", error);
        let mut file = self.scratch.create()?;
        for (_, at) in order(&self.buffer, self.width) {
            file.write_all(record(&self.buffer, self.width, at)).map_err(failed)?;
        }
        let left = (self.buffer.len() / self.width) as u64;
        let run = Run { file: reader(self.scratch.written(file)?), left };
        self.buffer.clear();
        self.add(0, run)
    }

    fn add(&mut self, level: usize, run: Run) -> StoreResult<()> {
        self.levels.resize_with(self.levels.len().max(level + 1), Vec::new);
        self.levels[level].push(run);
        if self.levels[level].len() < FAN_IN {
            return Ok(());
        }
        let runs = std::mem::take(&mut self.levels[level]);
        let (file, left) = self.merge(runs)?;
        self.add(level + 1, Run { file: reader(file), left })
    }

    fn merge(&self, mut runs: Vec<Run>) -> StoreResult<(File, u64)> {
        let failed = |error| self.scratch.failed("read", error);
        let mut heads = BinaryHeap::with_capacity(runs.len());
        for (at, run) in runs.iter_mut().enumerate() {
            let mut head = vec![0; self.width];
            if run.next(&mut head).map_err(failed)? {
                heads.push(Reverse((head, at)));
            }
        }
        let mut file = self.scratch.create()?;
        let mut written = 0;
        while let Some(mut least) = heads.peek_mut() {
            let Reverse((head, at)) = &mut *least;
            file.write_all(head).map_err(|error| self.scratch.failed("write", error))?;
            written += 1;
            if !runs[*at].next(head).map_err(failed)? {
                PeekMut::pop(least);
            }
        }
        Ok((self.scratch.written(file)?, written))
    }

    /// All records in order.
    ///
    /// # Errors
    /// As [`Sorter::extend`].
    pub fn finish(mut self) -> StoreResult<Sorted> {
        let width = self.width;
        if self.levels.is_empty() {
            let order = order(&self.buffer, width);
            return Ok(Sorted { width, rows: Rows::Memory { buffer: self.buffer, order } });
        }
        if !self.buffer.is_empty() {
            self.spill()?;
        }
        let mut runs: Vec<Run> = std::mem::take(&mut self.levels).into_iter().flatten().collect();
        // The smallest first.
        runs.sort_by_key(|run| run.left);
        while runs.len() > FAN_IN {
            let some = runs.drain(..FAN_IN).collect();
            let (file, left) = self.merge(some)?;
            runs.push(Run { file: reader(file), left });
        }
        let (file, records) = self.merge(runs)?;
        let location = self.scratch.location();
        let file = ChunkFile::of_file(file, &location)?;
        Ok(Sorted { width, rows: Rows::Disk { file, records, location } })
    }
}

fn reader(file: File) -> BufReader<File> {
    BufReader::with_capacity(BUFFER_BYTES, file)
}

fn record(buffer: &[u8], width: usize, at: u32) -> &[u8] {
    &buffer[at as usize * width..][..width]
}

/// The first eight bytes of each record with its place in the buffer, in the order of the records.
pub(crate) fn order(buffer: &[u8], width: usize) -> Vec<(u64, u32)> {
    let first = |record: &[u8]| u64::from_be_bytes(record[..8].try_into().expect("8 bytes"));
    let mut order: Vec<(u64, u32)> =
        buffer.chunks_exact(width).zip(0..).map(|(record, at)| (first(record), at)).collect();
    let rest = |at: u32| &record(buffer, width, at)[8..];
    order.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| rest(a.1).cmp(rest(b.1))));
    order
}

/// Records in order, to be read at any place and as often as wanted.
#[derive(Debug)]
pub struct Sorted {
    width: usize,
    rows: Rows,
}

#[derive(Debug)]
enum Rows {
    Memory { buffer: Vec<u8>, order: Vec<(u64, u32)> },
    Disk { file: ChunkFile, records: u64, location: PathBuf },
}

impl Sorted {
    /// Number of records.
    #[must_use]
    pub fn records(&self) -> u64 {
        match &self.rows {
            Rows::Memory { order, .. } => order.len() as u64,
            Rows::Disk { records, .. } => *records,
        }
    }

    /// Adds some records to `out`.
    ///
    /// # Errors
    /// A disk that does not give back what was written.
    ///
    /// # Panics
    /// A range beyond the last record.
    pub fn read(&self, range: Range<u64>, out: &mut Vec<u8>) -> StoreResult<()> {
        match &self.rows {
            Rows::Memory { buffer, order } => {
                for (_, at) in &order[range.start as usize..range.end as usize] {
                    out.extend_from_slice(record(buffer, self.width, *at));
                }
            }
            Rows::Disk { file, records, location } => {
                assert!(range.start <= range.end && range.end <= *records, "records {range:?} of {records}");
                let width = self.width as u64;
                let bytes =
                    file.read_at(range.start * width, (range.end - range.start) as usize * self.width);
                let failed = |error| StoreError::io("read", location.display().to_string(), error);
                out.extend_from_slice(&bytes.map_err(failed)?);
            }
        }
        Ok(())
    }

    /// The first record that is not below `start`, compared by as many bytes as that has.
    ///
    /// # Errors
    /// As [`Sorted::read`].
    pub fn first_from(&self, start: &[u8]) -> StoreResult<u64> {
        let (mut low, mut high) = (0, self.records());
        let mut record = Vec::new();
        while low < high {
            let middle = low + (high - low) / 2;
            record.clear();
            self.read(middle..middle + 1, &mut record)?;
            if &record[..start.len()] < start { low = middle + 1 } else { high = middle }
        }
        Ok(low)
    }

    /// Calls `each` with every range of records that are equal in their first `bytes`, at least 8, in order.
    ///
    /// # Errors
    /// As [`Sorted::read`], and what `each` says.
    ///
    /// # Panics
    /// Fewer than 8 bytes.
    pub fn equal<E: From<StoreError>>(
        &self,
        bytes: usize,
        mut each: impl FnMut(Range<u64>) -> Result<(), E>,
    ) -> Result<(), E> {
        assert!((8..=self.width).contains(&bytes), "{bytes} bytes of {}", self.width);
        let mut from = 0;
        match &self.rows {
            Rows::Memory { buffer, order } => {
                for (at, pair) in order.windows(2).enumerate() {
                    let ((first, a), (second, b)) = (pair[0], pair[1]);
                    let more = |at| &record(buffer, self.width, at)[8..bytes];
                    if first != second || more(a) != more(b) {
                        let end = at as u64 + 1;
                        each(from..end)?;
                        from = end;
                    }
                }
            }
            Rows::Disk { records, .. } => {
                let at_once = (BUFFER_BYTES / self.width).max(1) as u64;
                let (mut last, mut some): (Vec<u8>, Vec<u8>) = (Vec::new(), Vec::new());
                let mut next = 0;
                while next < *records {
                    let end = (next + at_once).min(*records);
                    some.clear();
                    self.read(next..end, &mut some)?;
                    for (record, at) in some.chunks_exact(self.width).zip(next..) {
                        if at > 0 && record[..bytes] != last[..] {
                            each(from..at)?;
                            from = at;
                        }
                        if at == from {
                            last.clear();
                            last.extend_from_slice(&record[..bytes]);
                        }
                    }
                    next = end;
                }
            }
        }
        if from < self.records() { each(from..self.records()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn memory_does_not_matter(
            values in proptest::collection::vec((0_u64..40, any::<[u8; 3]>()), 0..900),
            memory in 1_u64..20_000,
        ) {
            let records: Vec<u8> =
                values.iter().flat_map(|(value, more)| [&value.to_be_bytes()[..], more].concat()).collect();
            let mut expected: Vec<&[u8]> = records.chunks(11).collect();
            expected.sort_unstable();
            let store = Store::local(std::env::temp_dir());
            let mut sorter = Sorter::new(11, memory, Scratch::beside(&store));
            for some in records.chunks(11 * 7) {
                sorter.extend(some).unwrap();
            }
            let sorted = sorter.finish().unwrap();
            prop_assert_eq!(sorted.records(), values.len() as u64);
            let mut all = Vec::new();
            sorted.read(0..sorted.records(), &mut all).unwrap();
            prop_assert_eq!(&all, &expected.concat());
            let mut ranges = Vec::new();
            sorted.equal::<StoreError>(8, |range| { ranges.push(range); Ok(()) }).unwrap();
            let mut naive: Vec<Range<u64>> = Vec::new();
            for (at, record) in expected.iter().enumerate() {
                match naive.last_mut() {
                    Some(last) if expected[last.start as usize][..8] == record[..8] => last.end += 1,
                    _ => naive.push(at as u64..at as u64 + 1),
                }
            }
            prop_assert_eq!(ranges, naive);
            for value in 0_u64..41 {
                let first = expected.partition_point(|record| record[..8] < value.to_be_bytes()[..]);
                prop_assert_eq!(sorted.first_from(&value.to_be_bytes()).unwrap(), first as u64);
            }
        }
    }
}
