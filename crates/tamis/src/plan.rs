//! What a command would do, before it does it.

use serde_json::{Value, json};
use tamis_io::run::ShardRecord;

use crate::Result;
use crate::options::SignalOptions;
use crate::project::Project;

/// Work that is left, from the run directory alone: no model is loaded and nothing is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    location: String,
    shards: usize,
    bytes: u64,
    unread_shards: usize,
    documents: Option<u64>,
    /// Signal, documents without a value, bytes of text of these.
    signal: Option<(String, u64, u64)>,
    /// Rows without a value that would be computed again, where that was asked for.
    again: Option<u64>,
}

impl Project<'_> {
    /// What would be computed for this signal.
    ///
    /// # Errors
    /// A run that cannot be read.
    pub fn plan(&self, signal: Option<&SignalOptions>) -> Result<Plan> {
        let columns = self.corpus_columns();
        let mut read: Vec<ShardRecord> = Vec::new();
        for shard in self.corpus.shards() {
            read.extend(self.run.inventory_receipt(&shard.path, &columns)?.map(|receipt| receipt.shard));
        }
        let unread_shards = self.corpus.shards().len() - read.len();
        let signal = match signal {
            None => None,
            Some(asked) => {
                let name = asked.stored_name();
                let stored: Vec<_> =
                    self.run.signals()?.into_iter().filter(|signal| signal.record().name == name).collect();
                let (mut documents, mut bytes) = (0, 0);
                for shard in &read {
                    let mut done = false;
                    for directory in &stored {
                        done |= directory.receipt(shard)?.is_some();
                    }
                    if !done {
                        documents += shard.documents;
                        bytes += shard.text_bytes();
                    }
                }
                Some((name, documents, bytes))
            }
        };
        Ok(Plan {
            location: self.location.clone(),
            shards: self.corpus.shards().len(),
            bytes: self.corpus.shards().iter().map(|shard| shard.size_bytes).sum(),
            unread_shards,
            documents: (unread_shards == 0).then(|| read.iter().map(|shard| shard.documents).sum()),
            signal,
            again: None,
        })
    }
}

impl Plan {
    /// The same, with so many rows that have no value and would be computed again ([`Project::retryable_rows`]).
    #[must_use]
    pub fn asking_again(self, rows: u64) -> Self {
        Self { again: Some(rows), ..self }
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "corpus": self.location,
            "shards": self.shards,
            "bytes": self.bytes,
            "unread_shards": self.unread_shards,
            "documents": self.documents,
            "signal": self.signal.as_ref().map(|(name, documents, bytes)| {
                let mut signal =
                    json!({ "name": name, "documents_to_compute": documents, "text_bytes_to_compute": bytes });
                if let Some(rows) = self.again {
                    signal["rows_to_ask_again"] = rows.into();
                }
                signal
            }),
        })
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut lines = vec![format!("{}: {} shards, {} bytes", self.location, self.shards, self.bytes)];
        lines.push(match self.documents {
            Some(documents) => format!("all shards were read before: {documents} documents"),
            None => format!("{} shards would be read for the first time", self.unread_shards),
        });
        if let Some((name, documents, bytes)) = &self.signal {
            let unread =
                if self.unread_shards > 0 { ", and every document of the unread shards" } else { "" };
            lines.push(format!(
                "{name}: {documents} documents ({bytes} bytes of text) would be computed{unread}"
            ));
        }
        if let Some(rows) = self.again {
            lines.push(format!("{rows} rows without a value would be asked again"));
        }
        lines.push("nothing was done (--dry-run)".to_owned());
        lines.join("\n")
    }
}
