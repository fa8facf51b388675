//! From files of evaluations to the index of their n-grams.

use std::sync::Arc;

use tamis_core::Digest;
use tamis_io::evaluation_files::find;
use tamis_samplers::contamination::{ContaminationError, EvaluationIndex, IndexBuilder};

use super::ContaminationOptions;
use crate::{Error, Observer, Result};

/// Files that a note lists.
const MOST_LISTED: usize = 3;

/// What is looked for.
pub(super) struct Evaluations {
    pub(super) index: Arc<EvaluationIndex>,
    /// How many files, and a digest of their names and contents.
    pub(super) content: String,
}

impl ContaminationOptions {
    /// Reads all files.
    ///
    /// # Errors
    /// None named, or one that cannot be read; nothing in them that could be looked for.
    pub(super) fn read(&self, observer: &dyn Observer) -> Result<Evaluations> {
        if self.evaluations.is_empty() {
            return Err(Error::usage(
                "contamination needs evaluations",
                "add --evaluation PATH: files, folders or globs of .jsonl, .json, .csv, .tsv, .txt or .parquet",
            ));
        }
        let mut builder = IndexBuilder::new(self.gram).map_err(refused)?;
        let found = find(&self.evaluations)?;
        if let [first, ..] = found.passed_over.as_slice() {
            observer.note(&format!(
                "{} licences and descriptions among the evaluations are not read (such as `{first}`)",
                found.passed_over.len()
            ));
        }
        let columns = Some(self.columns.as_slice()).filter(|columns| !columns.is_empty());
        let mut contents = self.columns.join("\0");
        for file in &found.files {
            builder.evaluation(&file.name);
            let mut add = |texts: &[&str]| builder.item(texts.iter().copied());
            let digest = file.read(columns, &mut add)?.map_err(refused)?;
            contents.push_str(&format!("\n{digest} {}", file.name));
        }
        let content = format!("{} files {}", found.files.len(), Digest::of(contents.as_bytes()));
        let index = builder.finish().map_err(refused)?;
        let whole = |evaluation: &&tamis_samplers::contamination::Evaluation| {
            evaluation.items == evaluation.too_short
        };
        let empty: Vec<&str> =
            index.evaluations().iter().filter(whole).map(|evaluation| evaluation.name.as_str()).collect();
        if !empty.is_empty() {
            let listed = empty.iter().take(MOST_LISTED).copied().collect::<Vec<_>>().join("`, `");
            let more = if empty.len() > MOST_LISTED { " and others" } else { "" };
            observer.warn(&format!(
                "{} evaluations have no text that is long enough to be looked for: `{listed}`{more}",
                empty.len()
            ));
        }
        Ok(Evaluations { index: Arc::new(index), content })
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` gives")]
fn refused(error: ContaminationError) -> Error {
    Error::usage(error.to_string(), error.hint())
}
