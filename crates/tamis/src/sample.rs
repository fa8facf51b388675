//! A new judge or prompt on a sample of the corpus, held against the scores that are stored: is it worth scoring all?
//!
//! Nothing is written: values of a sample can never pose as a signal, and the stored one stays as it is. Which documents are
//! drawn depends on the seed and their keys alone, so that every prompt is tried on the same ones.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, BooleanArray, RecordBatch};
use serde::{Serialize, Serializer};
use serde_json::json;
use tamis_core::{Direction, DocKey, DocumentBatch, ScoreBatch, Signal, column};
use tamis_io::run::{CorpusVersion, ShardRecord, SignalDir};
use tamis_io::sidecar::SidecarColumns;
use tamis_models::ask_llm::JudgeDiagnostics;
use tamis_samplers::UniformDraws;

use crate::evaluation::kendall_tau_b;
use crate::project::Project;
use crate::signals::SignalOptions;
use crate::{Error, Result, pool};

/// Rates at which the two selections are compared.
const RATES: [f64; 3] = [0.1, 0.2, 0.5];
/// Fewer documents than this tell nothing of an order.
const FEWEST: usize = 20;
/// Text that a worker gets at once.
const PIECE_BYTES: usize = 32 << 10;

/// What to sample, and against what.
#[derive(Clone, Debug, PartialEq)]
pub struct SampleOptions {
    /// Share of the documents, in (0, 1].
    pub share: f64,
    /// Seed of the draw.
    pub seed: u64,
    /// Stored signal to compare with, named in full where there are several; `None` is the one of the same name.
    pub against: Option<String>,
}

/// How the new scores go with the old ones. As JSON it is what `--json` prints.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SampleReport {
    /// The stored signal, by its full name.
    pub old: String,
    /// The new one, by the full name that it would have.
    pub new: String,
    /// Documents drawn.
    pub drawn: usize,
    /// Of these, documents with both scores.
    pub compared: usize,
    /// Kendall's τ-b of the two orders, in [−1, 1].
    pub kendall_tau: f64,
    /// For each rate: the share of the documents kept by the old scores that the new ones would drop, in [0, 1].
    #[serde(serialize_with = "churn_by_rate")]
    pub churn: Vec<(f64, f64)>,
    /// Mean probability on yes and no of the new judge.
    pub mass: Option<f64>,
    /// Sentences that a person should read.
    pub findings: Vec<String>,
}

fn churn_by_rate<S: Serializer>(churn: &[(f64, f64)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(churn.iter().map(|(rate, churn)| json!({ "rate": rate, "churn": churn })))
}

impl Project {
    /// Scores a sample and compares it with a stored signal.
    ///
    /// # Errors
    /// A signal that is computed from others, or has no ranking; no complete stored signal to compare with; fewer than 20
    /// documents with both scores; scores without any difference among them.
    pub fn score_sample(
        &self,
        version: &CorpusVersion,
        asked: &SignalOptions,
        options: &SampleOptions,
    ) -> Result<SampleReport> {
        let (old, old_column) = self.check_sample(asked, options)?;
        if !self.is_complete(version, &old)? {
            return Err(Error::state(
                format!("`{}` is not finished", old.full_name()),
                "finish it first: a sample is compared with the scores of all documents",
            ));
        }
        let asked = self.settled(asked, true)?;
        let signal = asked.definition().build(&*self.observer)?.signal;
        let (new_scores, mass) = self.judge_sample(version, &*signal, options)?;
        let old_scores = self.stored_scores(version, &old, &old_column, &new_scores)?;

        let sign = match &old.record().ranking {
            Some(ranking)
                if ranking.column == old_column && ranking.direction == Direction::LowerIsBetter =>
            {
                -1.0
            }
            _ => 1.0,
        };
        let mut both: Vec<(DocKey, f64, f64)> = new_scores
            .iter()
            .filter_map(|(key, new)| Some((*key, sign * old_scores.get(key)?, (*new)?)))
            .collect();
        both.sort_by_key(|(key, ..)| *key);
        if both.len() < FEWEST {
            return Err(Error::usage(
                format!(
                    "the sample has {} documents with both scores, expected at least {FEWEST}",
                    both.len()
                ),
                "take a larger --sample",
            ));
        }
        let (first, second): (Vec<f64>, Vec<f64>) = both.iter().map(|(_, old, new)| (*old, *new)).unzip();
        let fingerprint = &signal.info().fingerprint;
        let mut findings: Vec<String> = mass.warning().into_iter().collect();
        findings
            .extend(crate::check::stored::findings(fingerprint.fields(), signal.info().notes.get("model")));
        Ok(SampleReport {
            old: old.full_name().to_owned(),
            new: format!("{}@{}", signal.info().name, fingerprint.short()),
            drawn: new_scores.len(),
            compared: both.len(),
            kendall_tau: kendall_tau_b(&first, &second)?,
            churn: RATES.iter().map(|rate| (*rate, churn(&first, &second, *rate))).collect(),
            mass: mass.mean_mass(),
            findings,
        })
    }

    /// What a sample of this signal is compared with; told before anything is read.
    ///
    /// # Errors
    /// A signal that cannot be tried on a sample, or nothing to compare with.
    pub fn check_sample(
        &self,
        asked: &SignalOptions,
        options: &SampleOptions,
    ) -> Result<(SignalDir, String)> {
        if !asked.definition().is_judge() {
            return Err(Error::usage(
                format!("`{}` cannot be tried on a sample", asked.stored_name()),
                "write `tamis score ask-llm --sample 1% --prompt NEW --run RUN`",
            ));
        }
        let name = options.against.clone().unwrap_or_else(|| asked.stored_name());
        self.resolve_score(&name).map_err(|error| match error.is_usage() {
            true => Error::usage(
                error.to_string(),
                "score the whole corpus once, or name the signal to compare with: --against ask-llm@3f9a01c2",
            ),
            false => error,
        })
    }

    /// New scores of the documents that are drawn, by key; `None` where one failed.
    fn judge_sample(
        &self,
        version: &CorpusVersion,
        signal: &dyn Signal,
        options: &SampleOptions,
    ) -> Result<(HashMap<DocKey, Option<f64>>, JudgeDiagnostics)> {
        let draws = UniformDraws::new(options.seed, "sample");
        let found = Mutex::new((HashMap::new(), JudgeDiagnostics::default()));
        let bytes: u64 = version.shards.iter().map(ShardRecord::text_bytes).sum();
        self.observer.begin("score a sample", (bytes as f64 * options.share) as u64);
        pool::run(
            version.shards.iter().collect(),
            self.calls(signal.info().parallelism),
            |shard: &ShardRecord, feed| {
                let mut going = true;
                self.documents_from(shard, 0, |documents| {
                    let drawn: BooleanArray = (0..documents.len())
                        .map(|at| Some(draws.unit(documents.doc_key(at)) < options.share))
                        .collect();
                    let drawn = arrow_select::filter::filter_record_batch(documents.as_arrow(), &drawn)
                        .map_err(tamis_core::Error::from)?;
                    for piece in pieces(&drawn)? {
                        going = going && feed.push(piece);
                    }
                    Ok(going)
                })
            },
            |piece: RecordBatch| {
                let values = signal.annotate(&piece)?;
                let documents = DocumentBatch::new(piece)?;
                let scores = values
                    .column_by_name(column::SCORE)
                    .and_then(|scores| scores.as_primitive_opt::<Float64Type>())
                    .ok_or_else(|| tamis_core::Error::MissingColumn { column: column::SCORE.to_owned() })?;
                let bytes = documents.texts().value_data().len() as u64;
                self.observer.advance(documents.len() as u64, crate::gate::tokens_of(&values), bytes);
                let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                found.1.add_annotated(&values);
                for at in 0..documents.len() {
                    found.0.insert(documents.doc_key(at), scores.is_valid(at).then(|| scores.value(at)));
                }
                Ok(())
            },
        )?;
        self.observer.end();
        Ok(found.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Stored scores of some documents, by key.
    fn stored_scores(
        &self,
        version: &CorpusVersion,
        signal: &SignalDir,
        name: &str,
        wanted: &HashMap<DocKey, Option<f64>>,
    ) -> Result<HashMap<DocKey, f64>> {
        let columns = [column::ROW, column::DOC_KEY, name, column::FAILED];
        let shards = pool::map(version.shards.iter().collect(), self.threads, |shard: &ShardRecord| {
            let mut found = Vec::new();
            for batch in signal.read(shard, SidecarColumns::Named(&columns))? {
                let batch = ScoreBatch::new(batch?)?;
                for (at, score) in batch.values(name)?.into_iter().enumerate() {
                    let key = batch.doc_key(at);
                    found.extend(score.filter(|_| wanted.contains_key(&key)).map(|score| (key, score)));
                }
            }
            Ok(found)
        })?;
        Ok(shards.into_iter().flatten().collect())
    }
}

/// Cuts a batch into slices of some text each, so that all workers get some.
fn pieces(batch: &RecordBatch) -> Result<Vec<RecordBatch>> {
    let documents = DocumentBatch::new(batch.clone())?;
    let texts = documents.texts();
    let (mut pieces, mut first, mut bytes) = (Vec::new(), 0, 0);
    for at in 0..documents.len() {
        bytes += texts.value(at).len();
        if bytes >= PIECE_BYTES || at + 1 == documents.len() {
            pieces.push(batch.slice(first, at + 1 - first));
            (first, bytes) = (at + 1, 0);
        }
    }
    Ok(pieces)
}

/// Share of the best by `old` that are not among the best by `new`; equal scores go by position.
fn churn(old: &[f64], new: &[f64], rate: f64) -> f64 {
    let kept = ((rate * old.len() as f64).round() as usize).max(1);
    let best = |scores: &[f64]| {
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
        order.truncate(kept);
        order
    };
    let mut stays = vec![false; new.len()];
    best(new).into_iter().for_each(|at| stays[at] = true);
    let gone = best(old).into_iter().filter(|at| !stays[*at]).count();
    gone as f64 / kept as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn churn_is_what_leaves() {
        let old = [9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0];
        let mut new = old;
        assert_eq!(churn(&old, &new, 0.5), 0.0);
        new.swap(0, 9);
        assert_eq!((churn(&old, &new, 0.1), churn(&old, &new, 0.2)), (1.0, 0.5));
        new.reverse();
        assert_eq!(churn(&old, &new, 1.0), 0.0);
    }

    #[test]
    fn pieces_hold_every_row_once() {
        let texts: Vec<String> = (0..50).map(|n| "x".repeat(n * 100)).collect();
        let batch = DocumentBatch::from_texts(texts.iter().map(String::as_str));
        let pieces = pieces(batch.as_arrow()).unwrap();
        assert!(pieces.len() > 1 && pieces.iter().all(|piece| piece.num_rows() > 0));
        assert_eq!(pieces.iter().map(RecordBatch::num_rows).sum::<usize>(), 50);
    }
}
