//! Every document of a shard with what decides its fate, in row order, from the inventory and the sidecars alone.

use std::borrow::Cow;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{Array, RecordBatch};
use tamis_core::{DocKey, ScoreBatch, column};
use tamis_io::run::{RunDirectory, ShardRecord, SignalDir, inventory_column};
use tamis_io::sidecar::{SidecarColumns, zip_aligned};
use tamis_samplers::{Priority, Ranker};

use super::band::Band;
use super::duplicates::Duplicates;
use super::reason;
use super::vetoes::Vetoes;
use crate::Result;
use crate::carried::Strata;
use crate::select_options::ScoreLimits;

/// What a document can still become.
#[derive(Clone, Debug)]
pub(super) enum Fate {
    /// Its priority decides.
    Candidate(Priority),
    /// Dropped before ranking, with the reason.
    Dropped(&'static str),
    /// It has no score.
    Failed(String),
}

/// One document.
pub(super) struct Row {
    pub(super) row: u64,
    pub(super) key: DocKey,
    pub(super) bytes: u64,
    pub(super) tokens: u64,
    pub(super) score: f64,
    pub(super) fate: Fate,
    /// Name of its stratum, where ranks are taken within strata.
    pub(super) stratum: String,
}

/// Where scores and tokens come from, and who is excluded.
pub(super) struct Candidates<'a> {
    pub(super) run: &'a RunDirectory,
    /// Signal and column of the score; `None` for random selection.
    pub(super) score: Option<(&'a SignalDir, &'a str)>,
    /// The signal that counts tokens.
    pub(super) tokens: Option<&'a SignalDir>,
    pub(super) ranker: Ranker,
    pub(super) limits: ScoreLimits,
    pub(super) vetoes: &'a Vetoes,
    pub(super) duplicates: &'a Duplicates,
    /// Where ranks are taken within strata.
    pub(super) strata: Option<&'a Strata>,
    /// The fitted ranks of the rule `band`.
    pub(super) band: Option<&'a Band>,
}

impl Candidates<'_> {
    /// Calls `each` for every document of the inventory, in row order.
    ///
    /// # Errors
    /// Files that cannot be read or do not line up, and what `each` says.
    pub(super) fn for_each(
        &self,
        shard: &ShardRecord,
        mut each: impl FnMut(Row) -> Result<()>,
    ) -> Result<()> {
        let mut columns = vec![column::ROW, column::DOC_KEY, inventory_column::BYTES];
        if self.vetoes.need_ids() {
            columns.push(column::ID);
        }
        columns.extend(self.strata.and_then(|strata| strata.column.in_inventory()));
        let inventory = self.run.read_inventory(&shard.path, SidecarColumns::Named(&columns))?;
        let mut sidecars = Vec::new();
        if let Some((signal, name)) = self.score {
            let columns = [column::ROW, column::DOC_KEY, name, column::FAILED];
            sidecars.push(signal.read(shard, SidecarColumns::Named(&columns))?);
        }
        if let Some(tokens) = self.tokens {
            let columns = [column::ROW, column::DOC_KEY, "tokens", column::FAILED];
            sidecars.push(tokens.read(shard, SidecarColumns::Named(&columns))?);
        }
        if let Some(strata) = self.strata {
            sidecars.extend(strata.column.beside_inventory(shard)?);
        }
        let at = self.duplicates.shard(&shard.path);
        let mut before = 0;
        for batch in zip_aligned(&shard.path, inventory, sidecars)? {
            let batch = batch?;
            self.batch((at, before), &batch.inventory, &batch.sidecars, &mut each)?;
            before += batch.inventory.num_rows();
        }
        Ok(())
    }

    fn batch(
        &self,
        (shard, before): (usize, usize),
        inventory: &RecordBatch,
        sidecars: &[RecordBatch],
        each: &mut impl FnMut(Row) -> Result<()>,
    ) -> Result<()> {
        let number = |name: &str| inventory.column_by_name(name).map(AsArray::as_primitive::<UInt64Type>);
        let missing = || tamis_core::Error::MissingColumn { column: column::ROW.to_owned() };
        let (rows, bytes) = number(column::ROW).zip(number(inventory_column::BYTES)).ok_or_else(missing)?;
        let keys = inventory.column_by_name(column::DOC_KEY).ok_or_else(missing)?.as_fixed_size_binary();
        let ids = inventory.column_by_name(column::ID).map(AsArray::as_string::<i32>);
        let mut sidecars = sidecars.iter();
        let scored = match self.score {
            Some((_, name)) => {
                let batch = ScoreBatch::new(sidecars.next().expect("opened above").clone())?;
                let values = batch.values(name)?;
                Some((batch, values))
            }
            None => None,
        };
        let tokens = match self.tokens {
            Some(_) => ScoreBatch::new(sidecars.next().expect("opened above").clone())?.values("tokens")?,
            None => Vec::new(),
        };
        let strata = match self.strata {
            Some(strata) => Some((strata, strata.column.values(sidecars.next().unwrap_or(inventory))?)),
            None => None,
        };
        let bytes16 = |value: &[u8]| <[u8; 16]>::try_from(value).expect("16 bytes by the inventory's schema");
        for at in 0..inventory.num_rows() {
            let key = DocKey::from_bytes(bytes16(keys.value(at)));
            let row = rows.value(at);
            let stratum = strata.map_or(Cow::Borrowed(""), |(strata, values)| {
                strata.name_of(values.is_valid(at).then(|| values.value(at)))
            });
            let score = scored.as_ref().and_then(|(_, values)| values[at]);
            let id = ids.filter(|ids| ids.is_valid(at)).map(|ids| ids.value(at));
            let fate = if self.vetoes.contains(key, id) {
                Fate::Dropped(reason::VETOED)
            } else if let Some(reason) = self.duplicates.loses(shard, before + at) {
                Fate::Dropped(reason)
            } else if let (Some((batch, _)), None) = (&scored, score) {
                let failed = batch.failed();
                Fate::Failed(if failed.is_valid(at) {
                    failed.value(at).to_owned()
                } else {
                    "no-score".to_owned()
                })
            } else if score.is_some_and(|score| score.is_finite() && !self.limits.hold(score)) {
                Fate::Dropped(reason::OUTSIDE_LIMITS)
            } else {
                let score = score.unwrap_or(1.0);
                let ranked = self.band.map_or(Some(score), |band| band.distance(&stratum, score));
                match self.ranker.priority(key, ranked.unwrap_or(f64::NAN)) {
                    Ok(priority) => Fate::Candidate(priority),
                    Err(_) => Fate::Failed(reason::SCORE_UNUSABLE.to_owned()),
                }
            };
            let tokens = tokens.get(at).copied().flatten().unwrap_or(0.0) as u64;
            let (bytes, score) = (bytes.value(at), score.unwrap_or(1.0));
            each(Row { row, key, bytes, tokens, score, fate, stratum: stratum.into_owned() })?;
        }
        Ok(())
    }
}
