//! What is left to be done of one signal, and how it stands to what the run holds.

use serde_json::{Value, json};
use tamis_io::run::ShardRecord;

use crate::model_options::Dtype;
use crate::numeric::{self, Choice};
use crate::scoring::ScoreOptions;

/// Work that is left of one signal.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SignalPlan {
    pub(crate) name: String,
    pub(crate) standing: Standing,
    /// Documents without a value in the shards that were read, and bytes of their text.
    pub(crate) documents: u64,
    pub(crate) bytes: u64,
    /// Whether files that a plan does not open decide its values: of a model, a tokenizer, an n-gram model.
    pub(crate) of_files: bool,
    /// What computes it, where kernels of a machine do.
    pub(crate) numeric_path: Option<NumericPathPlan>,
}

/// A numeric path, and why it would be taken.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NumericPathPlan {
    pub(crate) path: String,
    pub(crate) because: String,
}

impl NumericPathPlan {
    /// Of a signal that is begun here.
    pub(crate) fn new(dtype: Dtype) -> Self {
        let Choice { path, why } = numeric::choose(dtype);
        Self { path: path.name().to_owned(), because: why }
    }
}

/// How the signal stands to what the run holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Standing {
    /// Nothing is stored under its name.
    New,
    /// It goes on with a stored one, by its full name.
    Continues(String),
    /// Others stand under its name, and `--beside` or `--refit` lets it stand with them.
    Beside,
    /// Another one stands under its name.
    Refused { stored: String, differences: Vec<String> },
}

/// Everything, where nothing of it is stored; `other` stands under its name.
pub(crate) fn anew(
    read: &[(usize, ShardRecord)],
    name: String,
    other: Option<(String, Vec<String>)>,
    options: ScoreOptions,
) -> SignalPlan {
    let mine = || read.iter().filter(|(at, _)| options.worker.takes(*at)).map(|(_, shard)| shard);
    let standing = match other {
        None => Standing::New,
        Some(_) if options.beside || options.refit => Standing::Beside,
        Some((stored, differences)) => Standing::Refused { stored, differences },
    };
    let documents = mine().map(|shard| shard.documents).sum();
    let bytes = mine().map(ShardRecord::text_bytes).sum();
    SignalPlan { name, standing, documents, bytes, of_files: true, numeric_path: None }
}

impl SignalPlan {
    pub(crate) fn json(&self) -> Value {
        let (standing, stored, differences) = match &self.standing {
            Standing::New => ("new", None, None),
            Standing::Continues(stored) => ("continues", Some(stored), None),
            Standing::Beside => ("beside", None, None),
            Standing::Refused { stored, differences } => ("refused", Some(stored), Some(differences)),
        };
        json!({
            "name": self.name,
            "standing": standing,
            "stored": stored,
            "differences": differences,
            "documents_to_compute": self.documents,
            "text_bytes_to_compute": self.bytes,
            "numeric_path": self.numeric_path.as_ref().map(|numeric| &numeric.path),
            "numeric_path_because": self.numeric_path.as_ref().map(|numeric| &numeric.because),
        })
    }

    pub(crate) fn text(&self, unread_shards: usize) -> String {
        let Self { name, documents, bytes, .. } = self;
        let unread = if unread_shards > 0 { ", and every document of the unread shards" } else { "" };
        let work = format!("{documents} documents ({bytes} bytes of text) would be computed{unread}");
        match &self.standing {
            Standing::New => format!("{name}: {work}"),
            Standing::Continues(stored) => {
                let files = match self.of_files {
                    true => {
                        ", where the files that it was begun with (model, tokenizer, prompt) are as they were"
                    }
                    false => "",
                };
                format!("{name}: {work}, going on with `{stored}`{files}")
            }
            Standing::Beside => format!("{name}: {work}, beside what stands under that name"),
            Standing::Refused { stored, differences } => format!(
                "{name}: would be refused without --beside: `{stored}` was begun with other options ({}), unless they come to \
                 the same; --beside keeps both: {work}",
                differences.join("; ")
            ),
        }
    }

    /// Which numeric path would compute it and why, where one does.
    pub(crate) fn numeric_text(&self) -> Option<String> {
        let NumericPathPlan { path, because } = self.numeric_path.as_ref()?;
        Some(format!("{}: numeric path {path}: {because}", self.name))
    }
}
