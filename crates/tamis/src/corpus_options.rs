//! Where the documents are, and which of their columns matter.

use serde::{Deserialize, Serialize};
use tamis_io::corpus::{DEFAULT_ID, IdMode};
use tamis_io::run::IdColumn;

/// Where the documents are and which columns matter. `None` is what the run was begun with, else the default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorpusOptions {
    /// A file, folder, glob or object-store URL.
    pub location: String,
    /// Column of the text; `text` by default.
    #[serde(default)]
    pub text: Option<String>,
    /// What names a document.
    #[serde(default)]
    pub id: Ids,
    /// Separates corpora whose ids collide; empty by default.
    #[serde(default)]
    pub namespace: Option<String>,
    /// Columns to keep in the inventory; none by default.
    #[serde(default)]
    pub carry: Option<Vec<String>>,
    /// A longer line is a failed row; 256 MiB by default.
    #[serde(default)]
    pub max_line_bytes: Option<u64>,
}

impl CorpusOptions {
    /// Default columns for a location.
    pub fn new(location: impl Into<String>) -> Self {
        Self {
            location: location.into(),
            text: None,
            id: Ids::default(),
            namespace: None,
            carry: None,
            max_line_bytes: None,
        }
    }

    /// Refuses a limit for lines that could not be kept to.
    pub(crate) fn refuse_line_limit(&self) -> crate::Result<()> {
        let most = tamis_io::corpus::LARGEST_MAX_LINE_BYTES;
        match self.max_line_bytes {
            Some(bytes) if !(1..=most).contains(&bytes) => Err(crate::Error::usage(
                format!("`--max-line-bytes {bytes}` is no limit that lines can have"),
                format!("write 1 to {most}: a text has to fit into one array of Arrow"),
            )),
            _ => Ok(()),
        }
    }

    /// Column of the text when neither the caller nor the run says.
    pub(crate) fn text_or_default(&self) -> String {
        self.text.clone().unwrap_or_else(|| tamis_core::column::TEXT.to_owned())
    }
}

/// What names a document, for ever and in every run.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ids {
    /// What the run was begun with, else the column `id` where at least half of the documents at the beginnings of the shards
    /// have an id in it, else the text.
    #[default]
    AsBegun,
    /// An id in this column; a row without one fails.
    Column(String),
    /// An id that counts within its shard alone, in this column or, left open, in that of [`Ids::AsBegun`].
    Qualified(Option<String>),
    /// The text: equal texts are one document.
    FromText,
}

impl Ids {
    /// What they mean for a run that was begun with `stored`; `None` where the corpus is to say.
    pub(crate) fn resolve(&self, stored: Option<&IdColumn>) -> Option<IdMode> {
        let begun = stored.map(IdMode::from);
        match self {
            Self::AsBegun => begun,
            // A flag that is left out is as the run was begun.
            Self::Column(name) => Some(match begun {
                Some(IdMode::Qualified(begun)) if begun == *name => IdMode::Qualified(begun),
                _ => IdMode::Column(name.clone()),
            }),
            Self::Qualified(name) => {
                let begun = begun.as_ref().and_then(IdMode::column);
                Some(IdMode::Qualified(name.as_deref().or(begun).unwrap_or(DEFAULT_ID).to_owned()))
            }
            Self::FromText => Some(IdMode::FromText),
        }
    }
}
