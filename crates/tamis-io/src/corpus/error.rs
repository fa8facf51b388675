//! What can be wrong with a corpus as a whole or with one of its shards. A row that cannot be used is no error but a
//! [`super::FailedRow`].

use crate::store::{AGAIN, StoreError};

/// Result of an operation on a corpus.
pub type CorpusResult<T, E = CorpusError> = std::result::Result<T, E>;

/// What can be wrong with a corpus or one of its shards.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CorpusError {
    /// The folder or object store refused an operation.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nothing at the location can be read.
    #[error("corpus `{location}`: {problem}; files ending in {known} are read")]
    Empty {
        /// What the user gave.
        location: String,
        /// What was looked for and what is there instead.
        problem: String,
        /// The known endings.
        known: String,
    },
    /// A glob that cannot be understood.
    #[error("corpus `{location}`: {problem}")]
    Pattern {
        /// What the user gave.
        location: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Something that the location names cannot be read as a file of the corpus, and is not left out either.
    #[error("corpus `{location}`: `{path}`: {problem}")]
    NotRead {
        /// What the user gave.
        location: String,
        /// Its path in the corpus.
        path: String,
        /// What it is.
        problem: String,
        /// What to do about it.
        remedy: &'static str,
    },
    /// Two shards would have the same name in a run directory, where endings are dropped.
    #[error("shards `{first}` and `{second}` differ only in their endings")]
    Collision {
        /// Path of the one.
        first: String,
        /// Path of the other.
        second: String,
    },
    /// A shard that was found is there no more.
    #[error("shard `{shard}`: the file has vanished since the corpus was listed")]
    Vanished {
        /// Path of the shard.
        shard: String,
    },
    /// A shard cannot be read further.
    #[error("shard `{shard}`, row {row}, byte {byte} of the file: {problem}")]
    Damaged {
        /// Path of the shard.
        shard: String,
        /// 0-based row that would come next; all rows before it were read.
        row: u64,
        /// How much of the file was taken in by then; the damage is here or at most a buffer before.
        byte: u64,
        /// What is wrong.
        problem: String,
    },
    /// A Parquet shard has something that cannot be read, or not be kept as it is.
    #[error("shard `{shard}`: {part}: {problem}")]
    Unsupported {
        /// Path of the shard.
        shard: String,
        /// The column, or what else of the file.
        part: String,
        /// What is not supported.
        problem: String,
        /// What to do about it.
        remedy: &'static str,
    },
    /// The place did not give the bytes of a shard; nothing is known about its content.
    #[error("shard `{shard}`, row {row}: could not read: {problem}")]
    Read {
        /// Path of the shard.
        shard: String,
        /// 0-based row that would come next.
        row: u64,
        /// What the file system or the object store says.
        problem: String,
    },
    /// A Parquet shard has other columns than the first one of the corpus.
    #[error("shard `{shard}` has another schema than `{first}`: {difference}")]
    SchemaDiffers {
        /// Path of the shard.
        shard: String,
        /// Path of the first Parquet shard.
        first: String,
        /// Which columns differ, and how.
        difference: String,
    },
    /// A Parquet shard lacks a column that was asked for.
    #[error("shard `{shard}`: there is no column `{column}`; columns are {known}")]
    MissingColumn {
        /// Path of the shard.
        shard: String,
        /// The column that was asked for.
        column: String,
        /// The known name that is closest to it.
        nearest: Option<String>,
        /// All columns.
        known: String,
    },
    /// A column has a type that cannot be used so.
    #[error("shard `{shard}`: column `{column}`: expected {expected}, got {got}")]
    ColumnType {
        /// Path of the shard.
        shard: String,
        /// The column.
        column: String,
        /// What it would have to be, in words.
        expected: &'static str,
        /// What it is.
        got: String,
    },
    /// Names of columns that do not go together.
    #[error("column `{column}`: {problem}")]
    Columns {
        /// The column.
        column: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A batch could not be built; a bug of tamis.
    #[error(transparent)]
    Batch(#[from] tamis_core::Error),
    /// Kept documents of one shard could not be written.
    #[error("`{location}`: could not write: {problem}")]
    Write {
        /// Where they were to go.
        location: String,
        /// What went wrong.
        problem: String,
    },
}

impl CorpusError {
    /// What to do about it, where that can be said.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Store(error) => return error.hint(),
            Self::Empty { .. } => "name a file, a folder, a glob in quotation marks, or a URL".into(),
            Self::Pattern { .. } => {
                "`*`, `**`, `?`, `[a-z]` and `{a,b}` are known; put the glob in quotation marks".into()
            }
            Self::Collision { .. } => "rename one of them, or name the files to read with a glob".into(),
            Self::Vanished { .. } => "put it back, or start a new run without it".into(),
            Self::Damaged { .. } => {
                "fetch or make the file again; the rows before this one can be read, those after it cannot"
                    .into()
            }
            Self::NotRead { remedy, .. } | Self::Unsupported { remedy, .. } => (*remedy).into(),
            Self::Read { .. } => AGAIN.into(),
            Self::SchemaDiffers { .. } => {
                "put shards of different schemas into different folders and read them as two corpora".into()
            }
            Self::MissingColumn { nearest, .. } => match nearest {
                Some(nearest) => format!("did you mean `{nearest}`? `--text` and `--id` name the columns"),
                None => "`--text` and `--id` name the columns".into(),
            },
            Self::ColumnType { expected, .. } if *expected == super::parquet_values::AN_ID => {
                "write the ids as strings or integers, name another column with `--id`, or take none with `--id none`: \
                 documents are then known by their text"
                    .into()
            }
            Self::ColumnType { .. } => "name another column with `--text`, `--id` or `--carry`".into(),
            Self::Columns { .. } => "leave it out of `--carry`".into(),
            Self::Batch(_) | Self::Write { .. } => return None,
        })
    }
}
