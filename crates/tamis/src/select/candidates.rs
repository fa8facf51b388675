//! Every document of a shard with what decides its fate, in row order, from the inventory and the sidecars alone.

use std::borrow::Cow;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{Array, BooleanArray, RecordBatch};
use tamis_core::reason::NOT_ASKED;
use tamis_core::{DocKey, ScoreBatch, column};
use tamis_io::run::{RunDirectory, ShardRecord, SignalDir, inventory_column};
use tamis_io::sidecar::{SidecarColumns, zip_aligned};
use tamis_samplers::{Priority, Ranker};

use super::band::Band;
use super::duplicates::Duplicates;
use super::filters::{OpenFilter, Passed};
use super::reason;
use super::repeats::{Repeated, Repeats};
use super::vetoes::Vetoes;
use crate::Result;
use crate::carried::Strata;
use crate::gate::Gate;
use crate::select_options::ScoreLimits;

/// What a document can still become.
#[derive(Clone, Debug)]
pub(super) enum Fate {
    /// Its priority decides.
    Candidate(Priority),
    /// Dropped before ranking, with the reason.
    Dropped(Cow<'static, str>),
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
    /// How often it is kept, where repeats are fitted.
    pub(super) repeated: Option<Repeated>,
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
    /// Which documents alone are asked; `None`: all.
    pub(super) gate: Option<&'a Gate>,
    /// What else a candidate has to pass, in this order.
    pub(super) filters: &'a [OpenFilter],
    /// Where ranks are taken within strata.
    pub(super) strata: Option<&'a Strata>,
    /// The fitted ranks of the rule `band`.
    pub(super) band: Option<&'a Band>,
    /// The fitted repeats.
    pub(super) repeats: Option<&'a Repeats>,
}

/// Where a batch stands, and which of its rows are asked.
struct BatchAt {
    shard: usize,
    before: usize,
    inside: Option<BooleanArray>,
}

/// What becomes of a document that a signal says nothing of.
pub(super) fn without_value(batch: &ScoreBatch, at: usize) -> Fate {
    let failed = batch.failed();
    match failed.is_valid(at).then(|| failed.value(at)) {
        Some(NOT_ASKED) => Fate::Dropped(NOT_ASKED.into()),
        Some(why) => Fate::Failed(why.to_owned()),
        None => Fate::Failed("no-score".to_owned()),
    }
}

impl Row {
    /// Where it stands in what is cut: among all candidates, or in the draw for one more copy.
    pub(super) fn cut_by(&self) -> Option<Priority> {
        match (&self.fate, &self.repeated) {
            (Fate::Candidate(priority), None) => Some(*priority),
            (_, Some(repeated)) => repeated.more,
            _ => None,
        }
    }
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
        columns.extend(self.strata.iter().flat_map(|strata| strata.in_inventory()));
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
        for filter in self.filters {
            sidecars.push(filter.read(shard)?);
        }
        if let Some(strata) = self.strata {
            sidecars.extend(strata.beside_inventory(shard)?);
        }
        let mut inside = self.gate.map(|gate| gate.of_shard(shard)).transpose()?;
        let at = self.duplicates.shard(&shard.path);
        let mut before = 0;
        for batch in zip_aligned(&shard.path, inventory, sidecars)? {
            let batch = batch?;
            let inside = inside.as_mut().map(|inside| inside.of(&batch.inventory)).transpose()?;
            let batch_at = BatchAt { shard: at, before, inside };
            self.batch(&batch_at, &batch.inventory, &batch.sidecars, &mut each)?;
            before += batch.inventory.num_rows();
        }
        Ok(())
    }

    fn batch(
        &self,
        BatchAt { shard, before, inside }: &BatchAt,
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
        let passed: Vec<Passed> = self
            .filters
            .iter()
            .map(|filter| filter.of(sidecars.next().expect("opened above")))
            .collect::<Result<_>>()?;
        let strata = match self.strata {
            Some(strata) => Some((strata, strata.of(inventory, &mut sidecars)?)),
            None => None,
        };
        let bytes16 = |value: &[u8]| <[u8; 16]>::try_from(value).expect("16 bytes by the inventory's schema");
        for at in 0..inventory.num_rows() {
            let key = DocKey::from_bytes(bytes16(keys.value(at)));
            let row = rows.value(at);
            let stratum =
                strata.as_ref().map_or(Cow::Borrowed(""), |(strata, values)| strata.name_at(values, at));
            let score = scored.as_ref().and_then(|(_, values)| values[at]);
            let id = ids.filter(|ids| ids.is_valid(at)).map(|ids| ids.value(at));
            let refused = || passed.iter().find_map(|passed| passed.refuses(at));
            let fate = if self.vetoes.contains(key, id) {
                Fate::Dropped(reason::VETOED.into())
            } else if inside.as_ref().is_some_and(|inside| !inside.value(at)) {
                Fate::Dropped(NOT_ASKED.into())
            } else if let Some(reason) = self.duplicates.loses(*shard, before + at) {
                Fate::Dropped(reason.into())
            } else if let Some(fate) = refused() {
                fate
            } else if let (Some((batch, _)), None) = (&scored, score) {
                without_value(batch, at)
            } else if score.is_some_and(|score| score.is_finite() && !self.limits.hold(score)) {
                Fate::Dropped(reason::OUTSIDE_LIMITS.into())
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
            let repeated = match (self.repeats, &fate) {
                (Some(repeats), Fate::Candidate(_)) => Some(repeats.of(key, score)),
                _ => None,
            };
            each(Row { row, key, bytes, tokens, score, fate, stratum: stratum.into_owned(), repeated })?;
        }
        Ok(())
    }
}
