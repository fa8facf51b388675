//! Files of kept documents.

use std::io::{self, Write};
use std::ops::Range;
use std::sync::Arc;

use flate2::write::GzEncoder;

use super::parquet_copy::ParquetCopy;
use super::parquet_shard::ParquetShard;
use super::{Compression, Container, Corpus, CorpusError, CorpusResult, Shard};
use crate::store::{Created, PendingFile, Store, StoreError};

const ZSTD_LEVEL: i32 = 3;
const GZIP_LEVEL: u32 = 6;

/// Compressors are fed pieces of this size whatever the caller writes, so that the same lines give the same bytes.
const PIECE_BYTES: usize = 1 << 20;

/// Writes the kept documents of one shard. Dropping it leaves nothing behind.
pub struct KeptWriter {
    location: String,
    rows: u64,
    sink: Sink,
}

enum Sink {
    Lines { encoder: Box<Encoder>, piece: Vec<u8> },
    Parquet(Box<ParquetCopy>),
}

enum Encoder {
    Plain(PendingFile),
    Gzip(GzEncoder<PendingFile>),
    Zstd(zstd::stream::write::Encoder<'static, PendingFile>),
}

/// A file of kept documents that is in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptFile {
    /// Rows that were written.
    pub rows: u64,
    /// Whether the name was free. If not, the file that was there before stands.
    pub created: Created,
}

impl std::fmt::Debug for KeptWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeptWriter")
            .field("location", &self.location)
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

impl KeptWriter {
    pub(super) fn new(corpus: &Corpus, shard: &Shard, out: &Store, path: &str) -> CorpusResult<Self> {
        let location = out.location(path);
        let sink = match shard.container {
            Container::Jsonl => {
                let file = out.writer(path)?;
                let encoder =
                    Encoder::new(shard.compression, file).map_err(|error| refused(&location, error))?;
                Sink::Lines { encoder: Box::new(encoder), piece: Vec::new() }
            }
            Container::Parquet => {
                let source = Arc::new(corpus.open_parquet(shard)?);
                Sink::Parquet(Box::new(ParquetCopy::new(source, out.writer(path)?, &location)?))
            }
        };
        Ok(Self { location, rows: 0, sink })
    }

    /// Rows that were written so far.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    pub(super) fn write_lines(&mut self, mut bytes: &[u8], rows: u64) -> CorpusResult<()> {
        let Sink::Lines { encoder, piece } = &mut self.sink else {
            return Err(failed(&self.location, &"lines cannot go to a Parquet file"));
        };
        self.rows += rows;
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(PIECE_BYTES - piece.len()));
            piece.extend_from_slice(now);
            bytes = later;
            if piece.len() == PIECE_BYTES {
                encoder.write(piece).map_err(|error| refused(&self.location, error))?;
                piece.clear();
            }
        }
        Ok(())
    }

    /// Rows of a row group, counted within it, that come after all that were written before.
    pub(super) fn write_rows(
        &mut self,
        file: &Arc<ParquetShard>,
        row_group: usize,
        runs: Vec<Range<u64>>,
    ) -> CorpusResult<()> {
        let Sink::Parquet(copy) = &mut self.sink else {
            return Err(failed(&self.location, &"rows of Parquet cannot go to a file of lines"));
        };
        self.rows += runs.iter().map(|run| run.end - run.start).sum::<u64>();
        copy.keep(file, row_group, runs)
    }

    /// Publishes the file unless the name is taken.
    ///
    /// # Errors
    /// A place that cannot be written.
    pub fn commit(self) -> CorpusResult<KeptFile> {
        let rows = self.rows;
        Ok(KeptFile { rows, created: self.finish()?.commit()? })
    }

    /// Publishes the file in place of what the name held before.
    ///
    /// # Errors
    /// A place that cannot be written; what was there before is then still there.
    pub fn replace(self) -> CorpusResult<KeptFile> {
        let rows = self.rows;
        self.finish()?.replace()?;
        Ok(KeptFile { rows, created: Created::New })
    }

    fn finish(self) -> CorpusResult<PendingFile> {
        let location = self.location;
        match self.sink {
            Sink::Lines { mut encoder, piece } => encoder
                .write(&piece)
                .and_then(|()| encoder.finish())
                .map_err(|error| refused(&location, error)),
            Sink::Parquet(copy) => copy.finish(),
        }
    }
}

impl Encoder {
    fn new(compression: Compression, file: PendingFile) -> io::Result<Self> {
        Ok(match compression {
            Compression::None => Self::Plain(file),
            Compression::Gzip => Self::Gzip(GzEncoder::new(file, flate2::Compression::new(GZIP_LEVEL))),
            Compression::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(file, ZSTD_LEVEL)?;
                encoder.include_checksum(true)?;
                Self::Zstd(encoder)
            }
        })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(file) => file.write_all(bytes),
            Self::Gzip(encoder) => encoder.write_all(bytes),
            Self::Zstd(encoder) => encoder.write_all(bytes),
        }
    }

    fn finish(self) -> io::Result<PendingFile> {
        match self {
            Self::Plain(file) => Ok(file),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

fn refused(location: &str, error: io::Error) -> CorpusError {
    StoreError::written(location, error).into()
}

fn failed(location: &str, problem: &dyn std::fmt::Display) -> CorpusError {
    CorpusError::Write { location: location.to_owned(), problem: problem.to_string() }
}
