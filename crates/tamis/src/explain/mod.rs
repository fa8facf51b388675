//! Why a document was kept: where it stands under every signal, and what every selection decided.
//!
//! Percentiles are in keep order: 100 is what the signal's default rule would keep first, whatever the sign of the score.
//! They are mid-ranks over the documents that have a score, so equal scores share one. Memory: 16 bytes a document and signal,
//! and 24 bytes a document while `show` puts them in order.

mod clusters;
mod show;
mod why;

use arrow_array::cast::AsArray;
use tamis_core::{Direction, DocKey, ScoreBatch, column};
use tamis_io::run::{CorpusVersion, ShardRecord, SignalDir, SignalRecord};
use tamis_io::sidecar::SidecarColumns;

pub use clusters::{ClusterReport, ClustersReport};
pub use show::{Order, ShowReport, ShownDocument};
pub use why::{Decision, SignalValues, WhyReport};

use crate::project::Project;
pub use crate::signals::split_score;
use crate::{Error, Result, pool};

/// Scores of one signal over the whole corpus.
pub(crate) struct Scale {
    /// What people read: the short name where it is the only one, else the full one; with the column unless it is the default.
    pub(crate) name: String,
    /// Full name of the signal, and the column.
    pub(crate) source: (String, String),
    /// By shard, then by document; NaN where the row failed.
    scores: Vec<Vec<f64>>,
    sorted: Vec<f64>,
    direction: Direction,
}

impl Scale {
    /// Percentile of a score in keep order, in [0, 100].
    pub(crate) fn percentile(&self, score: f64) -> f64 {
        let below = self.sorted.partition_point(|other| *other < score);
        let up_to = self.sorted.partition_point(|other| *other <= score);
        let share = (below + up_to) as f64 / 2.0 / self.sorted.len().max(1) as f64 * 100.0;
        match self.direction {
            Direction::HigherIsBetter => share,
            Direction::LowerIsBetter => 100.0 - share,
        }
    }

    fn score(&self, at: Place) -> Option<f64> {
        Some(self.scores[at.shard][at.document]).filter(|score| !score.is_nan())
    }

    fn percentile_at(&self, at: Place) -> Option<f64> {
        self.score(at).map(|score| self.percentile(score))
    }

    /// Documents with a score.
    pub(crate) fn len(&self) -> usize {
        self.sorted.len()
    }
}

/// A document by the position of its shard in the corpus version and its own in the inventory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    shard: usize,
    document: usize,
}

/// Who a document is and where it lies.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// Its id; `None` in a corpus without ids.
    pub id: Option<String>,
    /// Its key.
    pub key: DocKey,
    /// Shard.
    pub shard: String,
    /// 0-based physical row.
    pub row: u64,
    /// Bytes of its text.
    pub bytes: u64,
}

impl Identity {
    /// As reports name a document; lines are counted from 1.
    fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "id": self.id, "doc_key": self.key.to_string(), "shard": self.shard, "line": self.row + 1,
        })
    }
}

/// The column of a signal to rank by; see [`Project::column_of`].
pub(crate) fn column_in(signal: &SignalRecord, asked: Option<&str>) -> Result<String> {
    let name = &signal.name;
    let is_number =
        |kind: &str| kind == "bool" || (kind.starts_with(['f', 'i', 'u']) && kind[1..].parse::<u8>().is_ok());
    let schema = signal.schema.iter();
    let columns: Vec<&str> = schema
        .filter(|column| column.name != column::ROW && is_number(&column.data_type))
        .map(|column| column.name.as_str())
        .collect();
    let column = match asked {
        Some(asked) if columns.contains(&asked) => asked.to_owned(),
        Some(asked) => {
            let nearest = tamis_core::nearest(asked, columns.iter().copied());
            let hint = nearest.map_or_else(
                || format!("it has {}", columns.join(", ")),
                |nearest| format!("did you mean `{name}.{nearest}`? it has {}", columns.join(", ")),
            );
            return Err(Error::usage(format!("signal `{name}` has no column `{asked}`"), hint));
        }
        None => match &signal.ranking {
            Some(ranking) => ranking.column.clone(),
            None => {
                let message = format!("signal `{name}` is not a score");
                let hint = format!("name one of its columns: {}", columns.join(", "));
                return Err(Error::usage(message, hint));
            }
        },
    };
    Ok(column)
}

impl Project {
    /// The stored signal and the column that `ask-llm.p_yes` means; the column defaults to the signal's own.
    ///
    /// # Errors
    /// An unknown signal or column, with the nearest known name; a signal that is no score and names no column.
    pub fn resolve_score(&self, by: &str) -> Result<(SignalDir, String)> {
        let (name, asked) = split_score(by);
        let signal = self.run.resolve(&crate::signals::short_name(name))?;
        let column = self.column_of(&signal, asked)?;
        Ok((signal, column))
    }

    /// The column of a signal to rank by.
    ///
    /// # Errors
    /// An unknown column, with the nearest known name; a signal that is no score when no column is named.
    pub fn column_of(&self, signal: &SignalDir, asked: Option<&str>) -> Result<String> {
        column_in(signal.record(), asked)
    }

    /// The scores of a signal that lags behind the corpus: documents of shards that it has not scored have none. Says so.
    pub(crate) fn scale_so_far(
        &self,
        version: &CorpusVersion,
        signal: &SignalDir,
        column: &str,
    ) -> Result<Scale> {
        let mut behind = 0;
        for shard in &version.shards {
            behind += usize::from(signal.receipt(shard)?.is_none());
        }
        if behind > 0 {
            self.observer.warn(&format!(
                "`{}` has not scored {behind} of {} shards, whose documents are left out; `tamis score` computes what is missing",
                signal.full_name(),
                version.shards.len()
            ));
        }
        self.scale_of(version, signal, column, behind > 0)
    }

    pub(crate) fn scale(&self, version: &CorpusVersion, signal: &SignalDir, column: &str) -> Result<Scale> {
        self.scale_of(version, signal, column, false)
    }

    fn scale_of(
        &self,
        version: &CorpusVersion,
        signal: &SignalDir,
        column: &str,
        lags: bool,
    ) -> Result<Scale> {
        let scores = pool::map(version.shards.iter().collect(), self.threads, |shard: &ShardRecord| {
            if lags && signal.receipt(shard)?.is_none() {
                return Ok(vec![f64::NAN; shard.documents as usize]);
            }
            let mut scores = Vec::new();
            let columns = [column::ROW, column::DOC_KEY, column, column::FAILED];
            for batch in signal.read(shard, SidecarColumns::Named(&columns))? {
                scores.extend(
                    ScoreBatch::new(batch?)?
                        .values(column)?
                        .into_iter()
                        .map(|score| score.unwrap_or(f64::NAN)),
                );
            }
            Ok(scores)
        })?;
        let mut sorted: Vec<f64> = scores.iter().flatten().copied().filter(|score| !score.is_nan()).collect();
        sorted.sort_by(f64::total_cmp);
        let direction = match &signal.record().ranking {
            Some(ranking) if ranking.column == column => ranking.direction,
            _ => Direction::HigherIsBetter,
        };
        let name = match &signal.record().ranking {
            Some(ranking) if ranking.column == column => signal.record().name.clone(),
            _ => format!("{}.{column}", signal.record().name),
        };
        let source = (signal.full_name().to_owned(), column.to_owned());
        Ok(Scale { name, source, scores, sorted, direction })
    }

    /// The default scores of every signal that is complete.
    pub(crate) fn scales(&self, version: &CorpusVersion) -> Result<Vec<Scale>> {
        let mut scales = Vec::new();
        for signal in self.run.signals()? {
            let Some(ranking) = signal.record().ranking.clone() else { continue };
            if self.is_complete(version, &signal)? {
                scales.push(self.scale(version, &signal, &ranking.column)?);
            }
        }
        let names: Vec<String> = scales.iter().map(|scale: &Scale| scale.name.clone()).collect();
        for scale in &mut scales {
            if names.iter().filter(|name| **name == scale.name).count() > 1 {
                scale.name.clone_from(&scale.source.0);
            }
        }
        Ok(scales)
    }

    pub(crate) fn latest_version(&self) -> Result<CorpusVersion> {
        self.run.latest_corpus()?.ok_or_else(|| {
            Error::state(
                "the run has no corpus yet",
                "run `tamis score` or `tamis select` with this --run first",
            )
        })
    }

    /// The text of a document, read from its shard.
    pub(crate) fn text_of(&self, shard: &ShardRecord, row: u64) -> Result<Option<String>> {
        let mut found = None;
        self.documents_from(shard, row, |documents| {
            let rows = documents.rows();
            if !documents.is_empty() {
                if rows.value(0) == row {
                    found = Some(documents.texts().value(0).to_owned());
                }
                return Ok(false);
            }
            Ok(true)
        })?;
        Ok(found)
    }
}

impl Project {
    /// Percentile in keep order of every document that has an id and a score.
    pub(crate) fn percentiles_by_id(
        &self,
        version: &CorpusVersion,
        signal: &SignalDir,
        name: &str,
    ) -> Result<std::collections::BTreeMap<String, f64>> {
        let scale = self.scale(version, signal, name)?;
        let mut found = std::collections::BTreeMap::new();
        for (shard_at, shard) in version.shards.iter().enumerate() {
            let mut document = 0;
            for batch in self.run.read_inventory(&shard.path, SidecarColumns::Named(&[column::ID]))? {
                let batch = batch?;
                let ids = batch.column(0).as_string::<i32>();
                for id in ids {
                    let place = Place { shard: shard_at, document };
                    if let (Some(id), Some(percentile)) = (id, scale.percentile_at(place)) {
                        found.insert(id.to_owned(), percentile);
                    }
                    document += 1;
                }
            }
        }
        Ok(found)
    }
}
