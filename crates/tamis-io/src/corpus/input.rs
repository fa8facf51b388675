//! The bytes of a shard of lines, decompressed.
//!
//! The digest is taken of the file as it lies there, so that a shard that was compressed anew counts as changed.

use std::io::{self, BufReader, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flate2::bufread::MultiGzDecoder;
use tamis_core::Digest;
use xxhash_rust::xxh3::Xxh3;

use super::{Compression, CorpusError, CorpusResult, Shard};
use crate::store::{Store, StoreError};

/// Bytes of the file that are taken in at a time.
const BUFFER_BYTES: usize = 1 << 18;

/// The largest window of a .zst frame is 2 to this: what `zstd --long=31` writes.
const WINDOW_LOG_MAX: u32 = 31;

/// A shard as a stream of what is in it.
pub(super) struct Input {
    stream: Box<dyn Read + Send>,
    taken: Arc<Mutex<Taken>>,
}

/// What was taken in of the file itself.
struct Taken {
    hasher: Xxh3,
    bytes: u64,
    /// What the place said when it did not give what is there.
    failure: Option<String>,
}

impl Input {
    pub(super) fn open(store: &Store, shard: &Shard) -> CorpusResult<Self> {
        let file = open_shard(shard, store.open_read(&shard.path))?;
        let taken = Arc::new(Mutex::new(Taken { hasher: Xxh3::new(), bytes: 0, failure: None }));
        let counted = Counted { file, taken: Arc::clone(&taken) };
        let mut buffered = BufReader::with_capacity(BUFFER_BYTES, counted);
        let place = Arc::clone(&taken);
        let damaged = |error: io::Error| {
            let shard = shard.path.clone();
            match place.lock().unwrap_or_else(PoisonError::into_inner).failure.take() {
                Some(problem) => CorpusError::Read { shard, row: 0, problem },
                None => CorpusError::Damaged { shard, row: 0, byte: 0, problem: error.to_string() },
            }
        };
        let empty = io::BufRead::fill_buf(&mut buffered).map_err(damaged)?.is_empty();
        let stream: Box<dyn Read + Send> = match shard.compression {
            // A file of no bytes is a shard of no rows, though it is no valid .gz or .zst.
            _ if empty => Box::new(buffered),
            Compression::None => Box::new(buffered),
            Compression::Gzip => Box::new(MultiGzDecoder::new(buffered)),
            Compression::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(buffered).map_err(damaged)?;
                decoder.window_log_max(WINDOW_LOG_MAX).map_err(damaged)?;
                Box::new(decoder)
            }
        };
        Ok(Self { stream, taken })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of the file that were taken in so far.
    pub(super) fn file_bytes(&self) -> u64 {
        self.taken().bytes
    }

    /// Why the file could not be read, when it was the place and not the content.
    pub(super) fn take_failure(&self) -> Option<String> {
        self.taken().failure.take()
    }

    /// Digest of the bytes that were taken in so far: of the file, once the stream has ended.
    pub(super) fn digest(&self) -> Digest {
        Digest::from_u128(self.taken().hasher.digest128())
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }
}

/// Turns "no such file" into what it means for a shard that was listed.
pub(super) fn open_shard<T>(shard: &Shard, opened: Result<T, StoreError>) -> CorpusResult<T> {
    opened.map_err(|error| match error {
        StoreError::NotFound { .. } => CorpusError::Vanished { shard: shard.path.clone() },
        error => error.into(),
    })
}

/// What an error of a decompressor means for a person who has only the file.
pub(crate) fn explain(compression: Compression, error: &io::Error) -> String {
    let name = match compression {
        // Lines that are not compressed cannot be damaged: what fails is the place.
        Compression::None => return error.to_string(),
        Compression::Gzip => "gzip",
        Compression::Zstd => "zstd",
    };
    match error.kind() {
        io::ErrorKind::UnexpectedEof => format!(
            "the {name} data end in the middle: the file is truncated, or something else stands behind its last whole part"
        ),
        _ => format!("the {name} data are damaged, or are no {name} although the name says so: {error}"),
    }
}

struct Counted<R> {
    file: R,
    taken: Arc<Mutex<Taken>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let read = read.inspect_err(|error| {
            if error.kind() != io::ErrorKind::Interrupted {
                taken.failure = Some(error.to_string());
            }
        })?;
        taken.hasher.update(&buffer[..read]);
        taken.bytes += read as u64;
        Ok(read)
    }
}
