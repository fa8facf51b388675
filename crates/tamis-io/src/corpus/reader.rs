//! A shard as a sequence of blocks.

use std::io;
use std::sync::Arc;

use tamis_core::Digest;

use super::block::Content;
use super::input::{self, Input};
use super::line_reader::{Cut, LineReader};
use super::parquet_shard::{ParquetShard, Slices};
use super::{Block, Compression, Container, Corpus, CorpusError, CorpusResult, Shard};

/// Reads one shard from a row on. See the header of [`super`].
pub struct ShardReader {
    shard: Arc<str>,
    compression: Compression,
    size_bytes: u64,
    from_row: u64,
    next_row: u64,
    max_line_bytes: u64,
    state: State,
}

enum State {
    Lines(LineReader<Input>),
    Parquet {
        file: Arc<ParquetShard>,
        slices: Slices,
    },
    Ended(Digest),
    Failed {
        byte: u64,
        problem: String,
    },
    /// The place did not give the bytes.
    Unread {
        byte: u64,
        problem: String,
    },
}

impl std::fmt::Debug for ShardReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShardReader")
            .field("shard", &self.shard)
            .field("next_row", &self.next_row)
            .finish_non_exhaustive()
    }
}

impl ShardReader {
    pub(super) fn open(corpus: &Corpus, shard: &Shard, from_row: u64) -> CorpusResult<Self> {
        let state = match shard.container {
            Container::Jsonl => State::Lines(LineReader::new(
                Input::open(&corpus.store, shard)?,
                corpus.max_line_bytes,
                Arc::clone(&corpus.buffers),
            )),
            Container::Parquet => {
                let file = Arc::new(corpus.open_parquet(shard)?);
                State::Parquet { slices: file.slices(), file }
            }
        };
        Ok(Self {
            shard: shard.path.as_str().into(),
            compression: shard.compression,
            size_bytes: shard.size_bytes,
            from_row,
            next_row: 0,
            max_line_bytes: corpus.max_line_bytes,
            state,
        })
    }

    /// The next rows, `None` at the end. Where blocks are cut depends on the file alone.
    ///
    /// # Errors
    /// [`CorpusError::Damaged`] for data that are truncated or corrupt, after the blocks of all rows that were whole before
    /// it; further calls give the same error.
    pub fn next_block(&mut self) -> CorpusResult<Option<Block>> {
        loop {
            let first_row = self.next_row;
            let (rows, content) = match &mut self.state {
                State::Ended(_) => return Ok(None),
                State::Failed { byte, problem } => {
                    return Err(CorpusError::Damaged {
                        shard: self.shard.to_string(),
                        row: self.next_row,
                        byte: *byte,
                        problem: problem.clone(),
                    });
                }
                State::Unread { problem, .. } => {
                    let (shard, problem) = (self.shard.to_string(), problem.clone());
                    return Err(CorpusError::Read { shard, row: self.next_row, problem });
                }
                State::Lines(lines) => match lines.next() {
                    Ok(Some(Cut::Lines { bytes, rows })) => (rows, Content::Lines(bytes)),
                    Ok(Some(Cut::TooLong { head, length })) => (1, Content::TooLong { head, length }),
                    Ok(None) => {
                        self.state = State::Ended(lines.stream().digest());
                        continue;
                    }
                    Err(error) => {
                        self.state = self.failed(&error);
                        continue;
                    }
                },
                State::Parquet { file, slices } => match slices.next() {
                    Some(slice) => (slice.rows, Content::Parquet { file: Arc::clone(file), slice }),
                    None => {
                        self.state = State::Ended(file.digest());
                        continue;
                    }
                },
            };
            self.next_row += rows;
            if self.next_row > self.from_row {
                let mut block = Block {
                    shard: Arc::clone(&self.shard),
                    first_row,
                    rows,
                    content,
                    max_line_bytes: self.max_line_bytes,
                };
                block.skip(self.from_row.saturating_sub(first_row));
                return Ok(Some(block));
            }
        }
    }

    fn failed(&self, error: &io::Error) -> State {
        let (byte, failure) = match &self.state {
            State::Lines(lines) => (lines.stream().file_bytes(), lines.stream().take_failure()),
            _ => (0, None),
        };
        if let Some(problem) = failure {
            return State::Unread { byte, problem };
        }
        State::Failed { byte, problem: input::explain(self.compression, error) }
    }

    /// Bytes of the file that were read so far, for shares of the work: 0 for Parquet until its end.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        match &self.state {
            State::Lines(lines) => lines.stream().file_bytes(),
            State::Parquet { .. } => 0,
            State::Ended(_) => self.size_bytes,
            State::Failed { byte, .. } | State::Unread { byte, .. } => *byte,
        }
    }

    /// Rows that were read or skipped so far; all of the shard's, once [`Self::next_block`] gave `None`.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.next_row
    }

    /// Digest of the shard; `None` before [`Self::next_block`] gave `None`. Of lines: of all bytes of the file as it lies
    /// there. Of Parquet: of its size and its footer, which states where and how large every column chunk is.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        match self.state {
            State::Ended(digest) => Some(digest),
            _ => None,
        }
    }
}
