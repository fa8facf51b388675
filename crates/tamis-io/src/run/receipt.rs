//! Receipts of a signal: what counts is what has one.

use std::collections::BTreeMap;

use arrow_array::Array;
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use serde::{Deserialize, Serialize};
use tamis_core::column;

use super::signal::columns_of;
use super::{RunError, RunResult, ShardRecord, SignalDir, json, shard_name};
use crate::sidecar::{SidecarColumns, SidecarReader};

/// Says that a sidecar is complete, and what it must hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardReceipt {
    /// [`super::FORMAT_VERSION`].
    pub format_version: u64,
    /// Full name of the signal.
    pub signal: String,
    /// 32 hex digits of the fingerprint's digest.
    pub fingerprint: String,
    /// Path of the shard within the corpus.
    pub shard: String,
    /// Digest of the shard's content that was scored.
    pub shard_digest: String,
    /// Number of rows: the documents of the shard.
    pub rows: u64,
    /// Rows without values, by reason.
    pub failed: BTreeMap<String, u64>,
    /// 32 hex digits of the digest of the rows.
    pub row_digest: String,
    /// Of a later generation: what it follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<AskedAgain>,
    /// Of a signal that reads another one: the generation of the shard's rows that it read, where that is not the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_generation: Option<u64>,
    /// Of a signal that reads several others: the same, by their full names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub input_generations: BTreeMap<String, u64>,
}

/// What a later generation of a shard's rows says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskedAgain {
    /// 2, 3 ….
    pub generation: u64,
    /// Rows of the generation before that had no value and were computed again.
    pub rows: u64,
    /// 32 hex digits: `row_digest` of the generation before.
    pub follows: String,
}

impl ShardReceipt {
    /// Number of rows without values.
    #[must_use]
    pub fn failed_rows(&self) -> u64 {
        self.failed.values().fold(0, |total, &count| total.saturating_add(count))
    }

    /// Number of rows without values that may have one when they are computed again: all that failed, but for those that
    /// failed by what their document is ([`tamis_core::reason::is_the_documents_own`]).
    #[must_use]
    pub fn retryable_rows(&self) -> u64 {
        let retryable =
            self.failed.iter().filter(|(reason, _)| !tamis_core::reason::is_the_documents_own(reason));
        retryable.fold(0, |total, (_, &count)| total.saturating_add(count))
    }

    /// Generation of a signal's rows that were read.
    #[must_use]
    pub fn generation_read(&self, signal: &str) -> u64 {
        self.input_generations.get(signal).copied().or(self.input_generation).unwrap_or(1)
    }

    /// Generation of the rows: 1 unless some were computed again.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.again.as_ref().map_or(1, |again| again.generation)
    }
}

/// Adds the reasons of a batch's `failed` column. A row that was not asked has not failed.
pub(crate) fn count_failed(batch: &RecordBatch, counts: &mut BTreeMap<String, u64>) {
    let Some(reasons) = batch.column_by_name(column::FAILED).and_then(|array| array.as_string_opt::<i32>())
    else {
        return;
    };
    if reasons.null_count() == reasons.len() {
        return;
    }
    for reason in reasons.iter().flatten().filter(|reason| *reason != tamis_core::reason::NOT_ASKED) {
        match counts.get_mut(reason) {
            Some(count) => *count += 1,
            None => {
                counts.insert(reason.to_owned(), 1);
            }
        }
    }
}

impl SignalDir {
    pub(super) fn sidecar_path(&self, shard_path: &str, generation: u64) -> RunResult<String> {
        Ok(self.generation_path(generation, &format!("{}.parquet", shard_name(shard_path)?)))
    }

    pub(super) fn receipt_path(&self, shard_path: &str, generation: u64) -> RunResult<String> {
        Ok(self.generation_path(generation, &format!("receipts/{}.json", shard_name(shard_path)?)))
    }

    /// The receipt of a shard; `None` while the shard is unfinished. Of several generations it is that of the latest, or of
    /// the one that this view names.
    ///
    /// # Errors
    /// [`RunError::CorpusChanged`] when other content of the shard was scored; [`RunError::Corrupt`].
    pub fn receipt(&self, shard: &ShardRecord) -> RunResult<Option<ShardReceipt>> {
        self.receipt_of(shard, self.generation(&shard.path)?)
    }

    pub(super) fn receipt_of(&self, shard: &ShardRecord, generation: u64) -> RunResult<Option<ShardReceipt>> {
        let path = self.receipt_path(&shard.path, generation)?;
        let Some(receipt) = json::read::<ShardReceipt>(self.store(), &path)? else { return Ok(None) };
        if receipt.shard != shard.path || receipt.signal != self.record.full_name {
            let problem = format!("is of signal `{}`, shard `{}`", receipt.signal, receipt.shard);
            return Err(RunError::corrupt(&path, problem));
        }
        if receipt.generation() != generation {
            let problem = format!("states generation {}, not {generation}", receipt.generation());
            return Err(RunError::corrupt(&path, problem));
        }
        if receipt.fingerprint != self.record.digest {
            return Err(RunError::corrupt(&path, "states another fingerprint than `signal.json`"));
        }
        if receipt.shard_digest != shard.digest {
            let problem = format!(
                "shard `{}` has changed since `{}` scored it: expected digest {}, got {}",
                shard.path, self.record.full_name, receipt.shard_digest, shard.digest
            );
            return Err(RunError::CorpusChanged { problems: vec![problem] });
        }
        if receipt.failed_rows() > receipt.rows {
            return Err(RunError::corrupt(&path, "states more failed rows than rows"));
        }
        if receipt.rows != shard.documents {
            let problem =
                format!("states {} rows, the shard has {} documents", receipt.rows, shard.documents);
            return Err(RunError::corrupt(&path, problem));
        }
        if let Some(again) = &receipt.again {
            let before = self.receipt_of(shard, generation - 1)?;
            if before.is_none_or(|before| before.row_digest != again.follows) {
                let problem =
                    format!("generation {} of these rows is gone, or another one now", generation - 1);
                return Err(RunError::corrupt(&path, problem));
            }
        }
        Ok(Some(receipt))
    }

    /// The finished sidecar of a shard. Name `row` and `doc_key` among the columns for [`crate::sidecar::zip_aligned`].
    ///
    /// # Errors
    /// [`RunError::NotComputed`] without a receipt; [`RunError::Corrupt`] when the file is not what receipt and
    /// `signal.json` say, or has no such column.
    pub fn read(&self, shard: &ShardRecord, columns: SidecarColumns<'_>) -> RunResult<SidecarReader> {
        self.read_of(shard, self.generation(&shard.path)?, columns)
    }

    pub(super) fn read_of(
        &self,
        shard: &ShardRecord,
        generation: u64,
        columns: SidecarColumns<'_>,
    ) -> RunResult<SidecarReader> {
        let receipt = self.receipt_of(shard, generation)?.ok_or_else(|| self.not_computed(shard))?;
        let path = self.sidecar_path(&shard.path, generation)?;
        let reader = SidecarReader::open(self.store(), &path, columns)?;
        reader.expect(receipt.rows, &receipt.row_digest)?;
        let wanted = &self.record.schema;
        if let Some(other) = columns_of(reader.schema()).iter().find(|column| !wanted.contains(column)) {
            let problem =
                format!("column `{}` of type {} is not in `signal.json`", other.name, other.data_type);
            return Err(RunError::corrupt(&path, problem));
        }
        Ok(reader)
    }

    /// Reads a finished sidecar whole and compares it with its receipt.
    ///
    /// # Errors
    /// As [`SignalDir::read`], and when a row was damaged.
    pub fn verify(&self, shard: &ShardRecord) -> RunResult<ShardReceipt> {
        let generation = self.generation(&shard.path)?;
        self.read_of(shard, generation, SidecarColumns::All)?;
        SidecarReader::verify(self.store(), &self.sidecar_path(&shard.path, generation)?)?;
        self.receipt_of(shard, generation)?.ok_or_else(|| self.not_computed(shard))
    }

    fn not_computed(&self, shard: &ShardRecord) -> RunError {
        RunError::NotComputed {
            what: format!("signal `{}`", self.record.full_name),
            shard: shard.path.clone(),
        }
    }
}
