//! Cuts a stream into blocks of whole lines.
//!
//! Nothing is copied beyond the buffer that becomes the block, except the start of the line that the block's end cuts.
//! Memory is bounded: a buffer grows only while a single line does not fit, and never beyond the limit for lines.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use memchr::{memchr_iter, memrchr};

use super::decoded::RAW_LIMIT;
use super::scan;

/// Size of an ordinary block.
pub(super) const BLOCK_BYTES: usize = 4 << 20;

/// Buffers that are kept for reuse.
const POOLED: usize = 16;

/// What one step of the reader gives.
#[derive(Debug)]
pub(super) enum Cut {
    /// Whole lines; only the last of the file may lack its ending.
    Lines { bytes: Buffer, rows: u64 },
    /// One line longer than the limit: its first bytes and its length.
    TooLong { head: Vec<u8>, length: u64 },
}

/// Bytes of a block; its memory goes back to the reader's pool when it is dropped.
#[derive(Debug)]
pub(super) struct Buffer {
    memory: Vec<u8>,
    start: usize,
    end: usize,
    pool: Arc<Pool>,
}

impl Buffer {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.memory[self.start..self.end]
    }

    /// Leaves out the first `rows` lines.
    pub(super) fn skip_lines(&mut self, rows: u64) {
        if let Some(last) = rows.checked_sub(1).and_then(|last| usize::try_from(last).ok()) {
            self.start =
                memchr_iter(b'\n', self.bytes()).nth(last).map_or(self.end, |at| self.start + at + 1);
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.pool.put(std::mem::take(&mut self.memory));
    }
}

/// Buffers of ordinary size that blocks gave back, shared by all readers of a corpus: fresh memory costs as much as the
/// work done in it.
#[derive(Debug, Default)]
pub(super) struct Pool(Mutex<Vec<Vec<u8>>>);

impl Pool {
    /// A buffer of at least [`BLOCK_BYTES`], with any content.
    fn take(&self) -> Vec<u8> {
        let pooled = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        pooled.unwrap_or_else(|| vec![0; BLOCK_BYTES])
    }

    fn put(&self, buffer: Vec<u8>) {
        let mut pooled = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buffer.len() == BLOCK_BYTES && pooled.len() < POOLED {
            pooled.push(buffer);
        }
    }
}

pub(super) struct LineReader<R> {
    stream: R,
    max_line_bytes: u64,
    pool: Arc<Pool>,
    /// The start of the next line, in a buffer that goes on being filled.
    next: Vec<u8>,
    filled: usize,
    at_end: bool,
    error: Option<io::Error>,
}

impl<R> Drop for LineReader<R> {
    fn drop(&mut self) {
        self.pool.put(std::mem::take(&mut self.next));
    }
}

impl<R: Read> LineReader<R> {
    pub(super) fn new(stream: R, max_line_bytes: u64, pool: Arc<Pool>) -> Self {
        Self { stream, max_line_bytes, next: pool.take(), pool, filled: 0, at_end: false, error: None }
    }

    pub(super) fn stream(&self) -> &R {
        &self.stream
    }

    /// The next lines, `None` at the end.
    ///
    /// # Errors
    /// The stream's, after all lines that were whole before it. Must not be called again then.
    pub(super) fn next(&mut self) -> io::Result<Option<Cut>> {
        // Bytes of `next` in which there is no line ending.
        let mut searched = 0;
        loop {
            self.fill();
            let last = memrchr(b'\n', &self.next[searched..self.filled]).map(|at| searched + at + 1);
            if self.at_end || self.error.is_some() {
                let whole = if self.at_end { self.filled } else { last.unwrap_or(0) };
                if whole > 0 {
                    return Ok(Some(self.cut(whole)));
                }
                return self.error.take().map_or(Ok(None), Err);
            }
            if let Some(whole) = last {
                return Ok(Some(self.cut(whole)));
            }
            if self.filled as u64 > self.max_line_bytes {
                return self.skip_line().map(Some);
            }
            searched = self.filled;
            let limit = usize::try_from(self.max_line_bytes).unwrap_or(usize::MAX).saturating_add(1);
            self.next.resize(self.next.len().saturating_mul(2).min(limit), 0);
        }
    }

    /// Reads until `next` is full, the stream ends or fails.
    fn fill(&mut self) {
        while self.filled < self.next.len() && !self.at_end && self.error.is_none() {
            match self.stream.read(&mut self.next[self.filled..]) {
                Ok(0) => self.at_end = true,
                Ok(read) => self.filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.error = Some(error),
            }
        }
    }

    /// Makes the first `whole` bytes a block and moves the rest to a fresh buffer.
    fn cut(&mut self, whole: usize) -> Cut {
        let rest = self.filled - whole;
        let mut fresh = self.pool.take();
        if rest > fresh.len() {
            fresh.resize(rest, 0);
        }
        fresh[..rest].copy_from_slice(&self.next[whole..self.filled]);
        let memory = std::mem::replace(&mut self.next, fresh);
        self.filled = rest;
        let bytes = Buffer { memory, start: 0, end: whole, pool: Arc::clone(&self.pool) };
        let ends = scan::count(b'\n', bytes.bytes());
        let rows = ends + u64::from(bytes.bytes().last() != Some(&b'\n'));
        Cut::Lines { bytes, rows }
    }

    /// Drops the line that `next` is full of, reading on to its end.
    fn skip_line(&mut self) -> io::Result<Cut> {
        let head = self.next[..self.filled.min(RAW_LIMIT)].to_vec();
        let mut length = self.filled as u64;
        self.next.truncate(BLOCK_BYTES);
        self.next.shrink_to_fit();
        loop {
            self.filled = 0;
            self.fill();
            if let Some(at) = scan::find(b'\n', &self.next[..self.filled]) {
                length += at as u64;
                self.next.copy_within(at + 1..self.filled, 0);
                self.filled -= at + 1;
                return Ok(Cut::TooLong { head, length });
            }
            length += self.filled as u64;
            if self.at_end {
                self.filled = 0;
                return Ok(Cut::TooLong { head, length });
            }
            if let Some(error) = self.error.take() {
                return Err(error);
            }
        }
    }
}
