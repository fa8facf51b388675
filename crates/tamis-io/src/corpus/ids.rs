//! Decides whether a corpus has ids.

use super::{Columns, Corpus, CorpusError, CorpusResult, DEFAULT_ID, IdMode};

impl Corpus {
    /// How documents of this corpus get their key: from the column that the user names, else from [`DEFAULT_ID`] where the
    /// first document that can be read has one, else from the text.
    ///
    /// To be asked once for a corpus and recorded: shards that are added later must not change the answer. A corpus without
    /// a single document that can be read has no ids.
    ///
    /// # Errors
    /// A shard that cannot be read, up to the first document.
    pub fn resolve_ids(&self, text: &str, id: Option<&str>) -> CorpusResult<IdMode> {
        if let Some(id) = id {
            return Ok(IdMode::Column(id.to_owned()));
        }
        let without = Columns { text: text.to_owned(), ..Columns::default() };
        let with = Columns { id: IdMode::Column(DEFAULT_ID.into()), ..without.clone() };
        for shard in self.shards() {
            let mut reader = self.open(shard, 0)?;
            while let Some(block) = reader.next_block()? {
                let decoded = block.decode(&without)?.documents;
                if decoded.is_empty() {
                    continue;
                }
                let first = decoded.rows().value(0);
                return match block.decode(&with) {
                    Ok(with) if with.documents.rows().values().first() == Some(&first) => Ok(with_id()),
                    Ok(_) | Err(CorpusError::MissingColumn { .. } | CorpusError::ColumnType { .. }) => {
                        Ok(IdMode::FromText)
                    }
                    Err(error) => Err(error),
                };
            }
        }
        Ok(IdMode::FromText)
    }
}

fn with_id() -> IdMode {
    IdMode::Column(DEFAULT_ID.into())
}
