//! Which columns of a corpus mean what.

use tamis_core::column;

use super::{CorpusError, CorpusResult};

/// The column that holds ids when the user names none.
pub const DEFAULT_ID: &str = "id";

/// How documents get their key. Decided once for a corpus, recorded, and then the same for every row: a corpus has ids
/// everywhere or nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdMode {
    /// From this column; a row without a string or an integer in it has failed.
    Column(String),
    /// The same, where an id names a document within its shard alone: it becomes `SHARD:ID`, the shard by its path without
    /// known endings. Renaming a shard renames its documents.
    Qualified(String),
    /// From the text: equal texts are the same document.
    FromText,
}

impl IdMode {
    /// The column that ids are read from.
    #[must_use]
    pub fn column(&self) -> Option<&str> {
        match self {
            Self::Column(name) | Self::Qualified(name) => Some(name),
            Self::FromText => None,
        }
    }
}

/// Which columns are read, and as what.
///
/// A name with dots, such as `metadata.id`, is the column of exactly that name where a row has it, and otherwise the path
/// through nested objects (of JSON) or structs (of Parquet).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    /// Column of the text.
    pub text: String,
    /// Where keys come from; see [`super::Corpus::resolve_ids`].
    pub id: IdMode,
    /// Separates corpora whose ids collide; part of every key.
    pub namespace: String,
    /// Further columns that batches carry, as text: numbers and booleans as JSON writes them, nested values as JSON.
    pub carry: Vec<String>,
    /// Columns that batches have after the carried ones, for documents that were decided on without them: a value that is no
    /// text is null here, where one of [`Self::carry`] makes its row fail.
    pub also: Vec<String>,
}

/// What a carried value that is no text makes of its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoText {
    FailsRow,
    IsNull,
}

impl Default for Columns {
    fn default() -> Self {
        Self {
            text: column::TEXT.into(),
            id: IdMode::FromText,
            namespace: String::new(),
            carry: Vec::new(),
            also: Vec::new(),
        }
    }
}

impl Columns {
    /// Checks that the names go together.
    ///
    /// # Errors
    /// A carried column that occurs twice or has the name of one that every batch has.
    pub fn check(&self) -> CorpusResult<()> {
        let refuse = |column: &str, problem| Err(CorpusError::Columns { column: column.to_owned(), problem });
        for (at, (name, _)) in self.carried().enumerate() {
            if [column::ROW, column::ID, column::DOC_KEY, column::TEXT, column::RAW_DIGEST].contains(&name) {
                return refuse(name, "cannot be carried: every batch has a column of this name");
            }
            if self.carried().take(at).any(|(before, _)| before == name) {
                return refuse(name, "is carried twice");
            }
        }
        Ok(())
    }

    /// Carried columns, in the order of the batch.
    pub(super) fn carried(&self) -> impl Iterator<Item = (&str, NoText)> {
        let carry = self.carry.iter().map(|name| (name.as_str(), NoText::FailsRow));
        carry.chain(self.also.iter().map(|name| (name.as_str(), NoText::IsNull)))
    }

    /// Text, id if there is one, then carried columns: the order in which both formats look values up.
    pub(super) fn names(&self) -> Vec<&str> {
        let carried = self.carried().map(|(name, _)| name);
        std::iter::once(self.text.as_str()).chain(self.id.column()).chain(carried).collect()
    }
}
