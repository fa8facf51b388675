//! One document: every score, and every decision with the numbers that made it.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, UInt32Type};
use arrow_array::{Array, RecordBatch};
use serde::{Serialize, Serializer};
use serde_json::json;
use tamis_core::{DocKey, ScoreBatch};
use tamis_io::run::{CorpusVersion, IdColumn, SelectionDir, ShardRecord, SignalDir, shard_stem};
use tamis_io::sidecar::{SidecarColumns, SidecarReader};

use super::show::{IDENTITY, identity};
use super::{Identity, Place, Scale};
use crate::carried::carries;
use crate::project::Project;
use crate::select::{Manifest, REPEATS, STRATUM};
use crate::{Error, Result};

/// What a signal says of the document.
#[derive(Clone, Debug, PartialEq)]
pub struct SignalValues {
    /// Full name of the signal.
    pub signal: String,
    /// Numeric columns in their order; `None` where null.
    pub values: Vec<(String, Option<f64>)>,
    /// Columns that name another document by its key.
    pub documents: Vec<(String, DocKey)>,
    /// Percentile of the default score in keep order, among how many documents.
    pub percentile: Option<(f64, usize)>,
    /// Why there are no values.
    pub failed: Option<String>,
}

/// What a selection decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Name of the selection.
    pub selection: String,
    /// `kept`, `beyond-threshold`, `duplicate-id` …
    pub reason: String,
    /// The smallest rate or budget that keeps it.
    pub smallest_kept: Option<f64>,
    /// Its priority; smaller is kept first.
    pub priority: Option<f64>,
    /// How often it is kept, where documents are repeated.
    pub repeats: Option<u32>,
    /// Its stratum, where strata have quotas.
    pub stratum: Option<String>,
    /// By target: label, threshold (that of its stratum), inclusion probability. None where documents are repeated: nothing is
    /// kept for its priority alone.
    pub targets: Vec<(String, Option<f64>, Option<f64>)>,
    /// The selection's manifest.
    pub manifest: Manifest,
}

/// Everything that the run knows of one document.
#[derive(Clone, Debug, PartialEq)]
pub struct WhyReport {
    /// Who and where.
    pub identity: Identity,
    /// How many documents have this id or key, this one included.
    pub matches: usize,
    /// The next of them, 20 at most.
    pub others: Vec<Identity>,
    /// Its text.
    pub text: Option<String>,
    /// Carried columns with its values; `None` where null.
    pub carried: Vec<(String, Option<String>)>,
    /// One entry a signal.
    pub readings: Vec<SignalValues>,
    /// One entry a finished selection.
    pub decisions: Vec<Decision>,
}

/// The object that `--json` prints: who the document is, carried columns and signals by name, decisions with the numbers that
/// made them.
impl Serialize for WhyReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let readings = self.readings.iter().map(|reading| {
            json!({
                "signal": reading.signal,
                "values": reading.values.iter().cloned().collect::<BTreeMap<_, _>>(),
                "documents": reading.documents.iter().map(|(name, key)| (name, key.to_string())).collect::<BTreeMap<_, _>>(),
                "percentile": reading.percentile.map(|(percentile, _)| percentile),
                "failed": reading.failed,
            })
        });
        let decisions = self.decisions.iter().map(|decision| {
            let targets = decision.targets.iter().map(|(label, threshold, probability)| {
                json!({ "label": label, "threshold": threshold, "inclusion_probability": probability })
            });
            json!({
                "selection": decision.selection,
                "reason": decision.reason,
                "smallest_kept": decision.smallest_kept,
                "priority": decision.priority,
                "repeats": decision.repeats,
                "stratum": decision.stratum,
                "by": decision.manifest.by,
                "rule": decision.manifest.rule,
                "targets": targets.collect::<Vec<_>>(),
            })
        });
        let mut object = self.identity.json();
        object["bytes"] = json!(self.identity.bytes);
        object["matches"] = json!(self.matches);
        object["others"] = self.others.iter().map(Identity::json).collect();
        object["carried"] = json!(self.carried.iter().cloned().collect::<BTreeMap<_, _>>());
        object["signals"] = readings.collect();
        object["decisions"] = decisions.collect();
        object["text"] = json!(self.text);
        object.serialize(serializer)
    }
}

/// Other documents of the same name that are listed.
const MOST_OTHERS: usize = 20;

/// How a document was named.
enum Wanted<'a> {
    Key(DocKey),
    Id(&'a str),
    /// An id without its shard, in a run whose ids are qualified.
    Bare(&'a str),
    Row(&'a str, u64),
}

impl Project {
    /// Explains the document with this id, 32-digit key, or `SHARD:LINE` (1-based).
    ///
    /// # Errors
    /// No such document.
    pub fn why(&self, name: &str) -> Result<WhyReport> {
        let version = self.latest_version()?;
        let Located { place, identity, matches, others } = self.locate(&version, name)?;
        let shard = &version.shards[place.shard];
        let text = self.text_of(shard, identity.row)?;
        let scales = self.scales(&version)?;
        let mut readings = Vec::new();
        for signal in self.run.signals()? {
            if carries(signal.record()).is_none() && signal.receipt(shard)?.is_some() {
                readings.push(reading(&signal, shard, place, &scales)?);
            }
        }
        let mut carried = Vec::new();
        for column in self.all_carried(&version)? {
            let value = column.value_at(self, shard, place.document)?;
            carried.push((column.name().to_owned(), value));
        }
        let mut decisions = Vec::new();
        for name in self.run.selections()? {
            let selection = self.run.selection(&name)?;
            if let Some(manifest) = selection.read_manifest::<Manifest>()?
                && selection.has_decisions(&shard.path)?
            {
                decisions.push(decision(&selection, manifest, shard, place)?);
            }
        }
        Ok(WhyReport { identity, matches, others, text, carried, readings, decisions })
    }

    fn locate(&self, version: &CorpusVersion, name: &str) -> Result<Located> {
        let key = (name.len() == 32).then(|| u128::from_str_radix(name, 16).ok()).flatten();
        let row = name.rsplit_once(':').and_then(|(shard, line)| Some((shard, line.parse::<u64>().ok()?)));
        let mut wanted = vec![Wanted::Id(name)];
        wanted.extend(matches!(version.columns.id, IdColumn::Qualified(_)).then_some(Wanted::Bare(name)));
        wanted.extend(key.map(|key| Wanted::Key(DocKey::from_bytes(key.to_be_bytes()))));
        wanted.extend(row.filter(|(_, line)| *line > 0).map(|(shard, line)| Wanted::Row(shard, line - 1)));
        let mut found: Option<(Place, Identity)> = None;
        let mut matches = 0;
        let mut others = Vec::new();
        for (shard_at, shard) in version.shards.iter().enumerate() {
            let mut before = 0;
            for batch in self.run.read_inventory(&shard.path, SidecarColumns::Named(&IDENTITY))? {
                let batch = batch?;
                for at in (0..batch.num_rows()).filter(|&at| is_wanted(&wanted, shard, &batch, at)) {
                    matches += 1;
                    if found.is_none() {
                        let place = Place { shard: shard_at, document: before + at };
                        found = Some((place, identity(shard, &batch, at)));
                    } else if others.len() < MOST_OTHERS {
                        others.push(identity(shard, &batch, at));
                    }
                }
                before += batch.num_rows();
            }
        }
        let (place, identity) = found.ok_or_else(|| {
            Error::usage(
                format!("no document `{name}` in this run"),
                "name an id, a 32-digit document key, or SHARD:LINE (where ids are qualified, SHARD:ID with the shard's path \
                 without its endings); rows that could not be read are in quarantine/",
            )
        })?;
        Ok(Located { place, identity, matches, others })
    }
}

/// What answers to a name: the first document, their number, and some more of them.
struct Located {
    place: Place,
    identity: Identity,
    matches: usize,
    others: Vec<Identity>,
}

fn is_wanted(wanted: &[Wanted<'_>], shard: &ShardRecord, batch: &RecordBatch, at: usize) -> bool {
    let document = identity(shard, batch, at);
    wanted.iter().any(|wanted| match wanted {
        Wanted::Key(key) => document.key == *key,
        Wanted::Id(id) => document.id.as_deref() == Some(*id),
        Wanted::Bare(id) => {
            let rest = document.id.as_deref().and_then(|own| own.strip_prefix(shard_stem(&shard.path)));
            rest.and_then(|rest| rest.strip_prefix(':')) == Some(*id)
        }
        Wanted::Row(path, row) => document.shard == *path && document.row == *row,
    })
}

/// The `at`-th row of a sidecar.
fn row_at(reader: SidecarReader, at: usize) -> Result<Option<RecordBatch>> {
    let mut before = 0;
    for batch in reader {
        let batch = batch?;
        if at < before + batch.num_rows() {
            return Ok(Some(batch.slice(at - before, 1)));
        }
        before += batch.num_rows();
    }
    Ok(None)
}

fn reading(signal: &SignalDir, shard: &ShardRecord, place: Place, scales: &[Scale]) -> Result<SignalValues> {
    let mut reading = SignalValues {
        signal: signal.full_name().to_owned(),
        values: Vec::new(),
        documents: Vec::new(),
        percentile: None,
        failed: None,
    };
    let Some(row) = row_at(signal.read(shard, SidecarColumns::All)?, place.document)? else {
        return Ok(reading);
    };
    let scores = ScoreBatch::new(row.clone())?;
    for name in signal.record().value_columns() {
        // Columns that are no numbers, such as embeddings, have nothing to say here.
        if let Ok(values) = scores.values(name) {
            reading.values.push((name.to_owned(), values[0]));
        } else if let Some(keys) =
            row.column_by_name(name).and_then(|column| column.as_fixed_size_binary_opt())
            && keys.is_valid(0)
            && let Ok(key) = keys.value(0).try_into()
        {
            reading.documents.push((name.to_owned(), DocKey::from_bytes(key)));
        }
    }
    reading.failed = scores.failed().is_valid(0).then(|| scores.failed().value(0).to_owned());
    let record = signal.record();
    if let Some(scale) = scales.iter().find(|scale| scale.source.0 == record.full_name) {
        reading.percentile = scale.percentile_at(place).map(|percentile| (percentile, scale.len()));
    }
    Ok(reading)
}

fn decision(
    selection: &SelectionDir,
    manifest: Manifest,
    shard: &ShardRecord,
    place: Place,
) -> Result<Decision> {
    let reader = selection.read_decisions(&shard.path, SidecarColumns::All)?;
    let row = row_at(reader, place.document)?.ok_or_else(|| {
        let message = format!("selection `{}` has no decision for this document", selection.plan().name);
        Error::state(message, "it was made before the shard was read; select again")
    })?;
    let number = |name: &str| {
        let array = row.column_by_name(name)?.as_primitive_opt::<Float64Type>()?;
        array.is_valid(0).then(|| array.value(0))
    };
    let reason = row.column_by_name("reason").and_then(|array| array.as_string_opt::<i32>());
    let repeats = row.column_by_name(REPEATS).and_then(|array| array.as_primitive_opt::<UInt32Type>());
    let repeats = repeats.map(|repeats| repeats.value(0));
    let stratum = row.column_by_name(STRATUM).and_then(|array| array.as_string_opt::<i32>());
    let stratum = stratum.map(|stratum| stratum.value(0).to_owned());
    let mut targets = Vec::new();
    for target in manifest.targets.iter().filter(|_| repeats.is_none()) {
        let name = format!("inclusion_probability_{}", target.label);
        let own = target.strata.iter().find(|share| Some(&share.stratum) == stratum.as_ref());
        let threshold = match own {
            Some(own) => own.threshold,
            None => target.threshold.or(target.poisson_scale),
        };
        targets.push((target.label.clone(), threshold, number(&name)));
    }
    Ok(Decision {
        selection: selection.plan().name.clone(),
        reason: reason.map_or_else(String::new, |reason| reason.value(0).to_owned()),
        smallest_kept: number("smallest_kept"),
        priority: number("priority"),
        repeats,
        stratum,
        targets,
        manifest,
    })
}
