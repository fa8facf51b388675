//! Sorting more records than fit into memory.
//!
//! A record is a few u32 lanes; records are ordered lane by lane. They collect in a buffer of fixed size; a full one is
//! sorted and becomes a run on disk, and the end is a merge of all runs. The order of what comes out does not depend on the
//! size of the buffer or the number of threads.

use std::io::{self, Read, Seek, Write};

/// A file for a run: written once, then read from its beginning.
pub trait RunFile: Read + Write + Seek + Send {}
impl<F: Read + Write + Seek + Send> RunFile for F {}

/// Where runs go that do not fit into memory.
pub trait Scratch: Send + Sync {
    /// A new empty file, gone when it is dropped.
    ///
    /// # Errors
    /// There is no room or no such folder.
    fn create(&self) -> io::Result<Box<dyn RunFile>>;
}

/// Bytes that are read or written at a time.
const BUFFER_BYTES: usize = 1 << 19;

/// Records on disk, in the order in which they were written.
pub(super) struct Run {
    file: Box<dyn RunFile>,
    lanes: usize,
    left: u64,
    buffer: Vec<u32>,
    at: usize,
    bytes: Vec<u8>,
}

impl Run {
    /// The next record.
    pub(super) fn next(&mut self) -> io::Result<Option<&[u32]>> {
        if self.at == self.buffer.len() && !self.fill()? {
            return Ok(None);
        }
        let from = self.at;
        self.at += self.lanes;
        Ok(Some(&self.buffer[from..self.at]))
    }

    fn fill(&mut self) -> io::Result<bool> {
        if self.left == 0 {
            return Ok(false);
        }
        let most = (BUFFER_BYTES / (4 * self.lanes)) as u64;
        let records = self.left.min(most) as usize;
        self.left -= records as u64;
        self.bytes.resize(records * self.lanes * 4, 0);
        self.file.read_exact(&mut self.bytes)?;
        self.buffer.clear();
        let (words, _) = self.bytes.as_chunks::<4>();
        self.buffer.extend(words.iter().map(|word| u32::from_le_bytes(*word)));
        self.at = 0;
        Ok(true)
    }
}

/// A run that is being written.
pub(super) struct RunWriter {
    file: Box<dyn RunFile>,
    lanes: usize,
    written: u64,
    bytes: Vec<u8>,
}

impl RunWriter {
    pub(super) fn new(scratch: &dyn Scratch, lanes: usize) -> io::Result<Self> {
        Ok(Self { file: scratch.create()?, lanes, written: 0, bytes: Vec::with_capacity(BUFFER_BYTES) })
    }

    pub(super) fn push(&mut self, record: &[u32]) -> io::Result<()> {
        for lane in record {
            self.bytes.extend_from_slice(&lane.to_le_bytes());
        }
        self.written += 1;
        if self.bytes.len() >= BUFFER_BYTES {
            self.file.write_all(&self.bytes)?;
            self.bytes.clear();
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<Run> {
        self.file.write_all(&self.bytes)?;
        self.file.flush()?;
        self.file.rewind()?;
        self.bytes.clear();
        Ok(Run {
            file: self.file,
            lanes: self.lanes,
            left: self.written,
            buffer: Vec::new(),
            at: 0,
            bytes: self.bytes,
        })
    }
}

/// Collects records and gives them back in order.
pub(super) struct Sorter<'s> {
    lanes: usize,
    limit: usize,
    threads: usize,
    scratch: &'s dyn Scratch,
    buffer: Vec<u32>,
    runs: Vec<Run>,
}

impl<'s> Sorter<'s> {
    /// For records of `lanes` lanes, in `memory_bytes` of memory.
    pub(super) fn new(lanes: usize, memory_bytes: u64, threads: usize, scratch: &'s dyn Scratch) -> Self {
        let records = (memory_bytes as usize / (4 * lanes)).max(64);
        Self { lanes, limit: records * lanes, threads, scratch, buffer: Vec::new(), runs: Vec::new() }
    }

    pub(super) fn push(&mut self, record: &[u32]) -> io::Result<()> {
        if self.buffer.len() == self.limit {
            self.spill()?;
        }
        self.buffer.extend_from_slice(record);
        Ok(())
    }

    fn spill(&mut self) -> io::Result<()> {
        let chunks = self.sort_chunks();
        let mut merged = Sorted::new(self.lanes, std::mem::take(&mut self.buffer), &chunks, Vec::new())?;
        let mut writer = RunWriter::new(self.scratch, self.lanes)?;
        while let Some(record) = merged.next()? {
            writer.push(record)?;
        }
        self.runs.push(writer.finish()?);
        self.buffer = merged.buffer;
        self.buffer.clear();
        Ok(())
    }

    /// Sorts the buffer in one chunk a thread; returns where each begins, and the end.
    fn sort_chunks(&mut self) -> Vec<usize> {
        let records = self.buffer.len() / self.lanes;
        let chunk = records.div_ceil(self.threads.max(1)).max(1024) * self.lanes;
        let lanes = self.lanes;
        std::thread::scope(|scope| {
            for part in self.buffer.chunks_mut(chunk) {
                scope.spawn(move || sort(part, lanes));
            }
        });
        (0..self.buffer.len()).step_by(chunk).chain([self.buffer.len()]).collect()
    }

    /// All records in order.
    pub(super) fn finish(mut self) -> io::Result<Sorted> {
        let chunks = self.sort_chunks();
        Sorted::new(self.lanes, self.buffer, &chunks, self.runs)
    }
}

fn sort(records: &mut [u32], lanes: usize) {
    macro_rules! by_lanes {
        ($($n:literal)*) => {
            match lanes {
                $($n => records.as_chunks_mut::<$n>().0.sort_unstable(),)*
                _ => unreachable!("records have 1 to 10 lanes"),
            }
        };
    }
    by_lanes!(1 2 3 4 5 6 7 8 9 10);
}

/// A merge of runs in memory and on disk.
pub(super) struct Sorted {
    lanes: usize,
    buffer: Vec<u32>,
    /// Next record and end of each chunk of the buffer.
    chunks: Vec<(usize, usize)>,
    runs: Vec<Run>,
    /// The record that each source would give next, source by source; chunks first.
    heads: Vec<u32>,
    /// Sources that are not exhausted, a heap by their heads.
    heap: Vec<usize>,
    out: Vec<u32>,
}

impl Sorted {
    fn new(lanes: usize, buffer: Vec<u32>, chunks: &[usize], runs: Vec<Run>) -> io::Result<Self> {
        let chunks: Vec<_> = chunks.windows(2).map(|ends| (ends[0], ends[1])).collect();
        let sources = chunks.len() + runs.len();
        let mut sorted = Self {
            lanes,
            buffer,
            chunks,
            runs,
            heads: vec![0; sources * lanes],
            heap: Vec::with_capacity(sources),
            out: vec![0; lanes],
        };
        for source in 0..sources {
            if sorted.advance(source)? {
                sorted.heap.push(source);
            }
        }
        for at in (0..sorted.heap.len() / 2).rev() {
            sorted.sift(at);
        }
        Ok(sorted)
    }

    /// Loads the next record of a source into its head.
    fn advance(&mut self, source: usize) -> io::Result<bool> {
        let head = &mut self.heads[source * self.lanes..][..self.lanes];
        if let Some((next, end)) = self.chunks.get_mut(source) {
            if next == end {
                return Ok(false);
            }
            head.copy_from_slice(&self.buffer[*next..*next + self.lanes]);
            *next += self.lanes;
            return Ok(true);
        }
        match self.runs[source - self.chunks.len()].next()? {
            Some(record) => head.copy_from_slice(record),
            None => return Ok(false),
        }
        Ok(true)
    }

    fn head(&self, at: usize) -> &[u32] {
        &self.heads[self.heap[at] * self.lanes..][..self.lanes]
    }

    fn sift(&mut self, mut at: usize) {
        loop {
            let mut least = at;
            for child in [2 * at + 1, 2 * at + 2] {
                if child < self.heap.len() && self.head(child) < self.head(least) {
                    least = child;
                }
            }
            if least == at {
                return;
            }
            self.heap.swap(at, least);
            at = least;
        }
    }

    /// The next record.
    pub(super) fn next(&mut self) -> io::Result<Option<&[u32]>> {
        let Some(&source) = self.heap.first() else { return Ok(None) };
        self.out.copy_from_slice(&self.heads[source * self.lanes..][..self.lanes]);
        if !self.advance(source)? {
            self.heap.swap_remove(0);
        }
        self.sift(0);
        Ok(Some(&self.out))
    }
}
