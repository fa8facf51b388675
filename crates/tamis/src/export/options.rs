//! What an export is asked for.

use std::path::PathBuf;

use crate::{Error, Result};

/// What the files hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// `jsonl.zst`: lines as they stand in the corpus, rows of Parquet as objects.
    Lines,
    /// `parquet`: rows of Parquet with all their columns where the whole corpus is Parquet, else id, text and the columns that the
    /// run was begun with.
    Parquet,
    /// `tokens`: numbers, for OLMo-core and nanoGPT.
    Tokens {
        /// Source of the model whose tokenizer it is.
        tokenizer: String,
        /// The token behind each document; the tokenizer's own end of text where none is named.
        separator: Option<u32>,
    },
}

impl ExportFormat {
    /// As `--format` names it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Lines => "jsonl.zst",
            Self::Parquet => "parquet",
            Self::Tokens { .. } => "tokens",
        }
    }

    /// Where a file ends unless that is said: 256 MB of text, or 100 million tokens.
    #[must_use]
    pub fn usual_size(&self) -> u64 {
        match self {
            Self::Lines | Self::Parquet => 256_000_000,
            Self::Tokens { .. } => 100_000_000,
        }
    }
}

/// In which order documents stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportOrder {
    /// By a draw of this seed, the epoch and the document's key.
    Shuffled {
        /// Seed of the draws.
        seed: u64,
    },
    /// As in the corpus: shards by path, rows as they stand.
    AsInCorpus,
}

/// What is exported, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportOptions {
    /// Folder for the files: a path or a URL.
    pub out: PathBuf,
    /// What they hold.
    pub format: ExportFormat,
    /// Label of the rate or budget, such as `rate-10`; the largest where none is named.
    pub target: Option<String>,
    /// Where a file ends: bytes of its lines (or values), or tokens. A document that is larger is a file of its own.
    pub shard_size: u64,
    /// In which order.
    pub order: ExportOrder,
    /// Memory for putting documents in order, in bytes. What comes out does not depend on it.
    pub memory_bytes: u64,
}

/// Memory unless another is named: 1 GiB.
pub(super) const MEMORY_BYTES: u64 = 1 << 30;

/// With less, files would be read in pieces too small to be of use.
const LEAST_MEMORY_BYTES: u64 = 1 << 20;

impl ExportOptions {
    /// Shuffled by seed 0, into files of the usual size, in 1 GiB of memory.
    pub fn new(out: impl Into<PathBuf>, format: ExportFormat) -> Self {
        let shard_size = format.usual_size();
        let order = ExportOrder::Shuffled { seed: 0 };
        Self { out: out.into(), format, target: None, shard_size, order, memory_bytes: MEMORY_BYTES }
    }

    /// What can be refused without looking at a run.
    ///
    /// # Errors
    /// Files of no size, or too little memory.
    pub fn check(&self) -> Result<()> {
        if self.shard_size == 0 {
            return Err(Error::usage(
                "files of size 0 would hold nothing",
                "give --shard-size 256MB, or --shard-tokens 100M",
            ));
        }
        if self.memory_bytes < LEAST_MEMORY_BYTES {
            return Err(Error::usage(
                format!("`--memory {}` is less than the least, 1 MiB", self.memory_bytes),
                "give --memory 1GiB, or more for a corpus of terabytes",
            ));
        }
        Ok(())
    }
}
