//! Corpora: finding their shards, reading documents out of them, writing the kept ones back.
//!
//! A shard is read as a sequence of [`Block`]s by one [`ShardReader`], which does what has to be done in order and no
//! more: decompress and cut. The work of parsing is in [`Block::decode`], which any thread can do; one large file therefore
//! keeps all cores busy. A row that cannot be used becomes a [`FailedRow`] with its reason; only what makes the rest of a
//! shard unreadable is an error.
//!
//! `docs/formats.md` states what is read and written, and the limits.

mod block;
mod columns;
mod decoded;
mod discover;
mod error;
mod format;
mod glob;
mod ids;
mod input;
mod json;
mod kept;
mod left_out;
mod line_reader;
mod lines;
mod parquet_copy;
mod parquet_footer;
mod parquet_like;
mod parquet_objects;
mod parquet_pages;
mod parquet_records;
mod parquet_refusals;
mod parquet_shard;
mod parquet_values;
mod plain_json;
mod reader;
mod scan;
mod spool;

pub use block::{Block, PlainLine};
pub use columns::{Columns, DEFAULT_ID, IdMode};
pub use decoded::{Decoded, FailedRow, Measured, RAW_LIMIT};
pub use discover::{discover, discover_beside};
pub(crate) use discover::{is_glob, split_pattern};
pub use error::{CorpusError, CorpusResult};
pub(crate) use format::stem;
pub use format::{Compression, Container, Shard};
pub(crate) use glob::Pattern;
pub use glob::would_take_in;
pub use ids::{IdFinding, ResolvedIds};
pub(crate) use input::explain;
pub use kept::{KeptFile, KeptWriter};
pub use left_out::{LeftOut, LeftOutReason};
pub(crate) use left_out::{by_name, is_own_folder};
pub use parquet_records::RecordsFile;
pub use reader::ShardReader;
pub use spool::{Chunk, Picked, Spool};

use std::sync::{Arc, OnceLock};

use crate::store::Store;

/// Lines longer than this are failed rows unless [`Corpus::with_max_line_bytes`] says otherwise: 256 MiB.
pub const MAX_LINE_BYTES: u64 = 256 << 20;

/// The largest limit for lines: a text must fit into one Arrow array.
pub const LARGEST_MAX_LINE_BYTES: u64 = 1 << 30;

/// Shards in a stable order.
#[derive(Clone, Debug)]
pub struct Corpus {
    store: Store,
    shards: Vec<Shard>,
    left_out: Arc<LeftOut>,
    max_line_bytes: u64,
    /// Schema of the first Parquet shard, once it was looked at.
    schema: Arc<OnceLock<parquet_shard::FirstSchema>>,
    buffers: Arc<line_reader::Pool>,
}

impl Corpus {
    /// A corpus of these shards of a store, which must be sorted by path.
    pub(crate) fn new(store: Store, shards: Vec<Shard>) -> Self {
        Self {
            store,
            shards,
            left_out: Arc::default(),
            max_line_bytes: MAX_LINE_BYTES,
            schema: Arc::default(),
            buffers: Arc::default(),
        }
    }

    pub(crate) fn with_left_out(self, left_out: LeftOut) -> Self {
        Self { left_out: Arc::new(left_out), ..self }
    }

    /// Changes the limit above which a line is a failed row (1 byte to 1 GiB; values outside are brought inside).
    /// A line is held in memory, so this bounds memory: about three times as much a reader, and the text once more.
    #[must_use]
    pub fn with_max_line_bytes(mut self, bytes: u64) -> Self {
        self.max_line_bytes = bytes.clamp(1, LARGEST_MAX_LINE_BYTES);
        self
    }

    /// Where the shards' paths start.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// All shards, sorted by path.
    #[must_use]
    pub fn shards(&self) -> &[Shard] {
        &self.shards
    }

    /// What lies among the shards and is not read.
    #[must_use]
    pub fn left_out(&self) -> &LeftOut {
        &self.left_out
    }

    /// Opens a shard for reading from a row on. Rows before it are skipped without being parsed.
    ///
    /// # Errors
    /// The file has vanished, cannot be opened, or is a Parquet file that is damaged or of another schema than the first.
    pub fn open(&self, shard: &Shard, from_row: u64) -> CorpusResult<ShardReader> {
        ShardReader::open(self, shard, from_row)
    }

    /// Starts the file of kept documents of a shard: the same format and compression (zstd level 3 with checksum, gzip
    /// level 6; Parquet the same schema, key-value pairs and codec of each column). The same rows give the same bytes.
    ///
    /// # Errors
    /// A Parquet shard that cannot be opened, or a place that cannot be written.
    pub fn kept_writer(&self, shard: &Shard, out: &Store, path: &str) -> CorpusResult<KeptWriter> {
        KeptWriter::new(self, shard, out, path)
    }

    /// Looks at the schema of every Parquet shard, so that a different one is found before hours of work and not after.
    ///
    /// # Errors
    /// As [`Self::check_schema`].
    pub fn check_schemas(&self) -> CorpusResult<()> {
        self.shards.iter().try_for_each(|shard| self.check_schema(shard))
    }

    /// Whether all shards are Parquet and have their columns in one order and of one nullability, so that their rows can stand in
    /// one file.
    ///
    /// # Errors
    /// [`CorpusError::Unsupported`] names the first that differs; a file that cannot be opened.
    pub fn check_records(&self) -> CorpusResult<()> {
        let mut first = None;
        for shard in &self.shards {
            let opened = self.open_parquet(shard)?;
            match &first {
                None => first = Some(opened),
                Some(first) => opened.check_like(first)?,
            }
        }
        Ok(())
    }

    /// Starts a Parquet file of rows from any shards, with the schema, key-value pairs and codecs of one of them.
    ///
    /// # Errors
    /// A shard that cannot be opened, or a place that cannot be written.
    pub fn records_file(&self, like: &Shard, out: &Store, path: &str) -> CorpusResult<RecordsFile> {
        RecordsFile::create(Arc::new(self.open_parquet(like)?), out, path)
    }

    /// Whether JSON has a word for every column of a shard: strings, numbers, booleans, lists, structs and maps of them. Lines are
    /// objects already.
    ///
    /// # Errors
    /// [`CorpusError::Unsupported`] names the column; a file that cannot be opened.
    pub fn check_objects(&self, shard: &Shard) -> CorpusResult<()> {
        match shard.container {
            Container::Parquet => self.open_parquet(shard)?.check_objects(),
            Container::Jsonl => Ok(()),
        }
    }

    /// Looks at the schema of a Parquet shard; lines have none.
    ///
    /// # Errors
    /// [`CorpusError::SchemaDiffers`], [`CorpusError::Unsupported`], or a file that cannot be opened.
    pub fn check_schema(&self, shard: &Shard) -> CorpusResult<()> {
        match shard.container {
            Container::Parquet => self.open_parquet(shard).map(drop),
            Container::Jsonl => Ok(()),
        }
    }
}
