//! Signals of a run: `signals/<name>@<digits>/signal.json`, and finding them by name.
//!
//! `signal.json` is written before the first part and never changes. It holds the fingerprint in full, so that a later
//! command with other options can say what differs instead of mixing two kinds of score under one name. A signal of a model
//! folder has its architecture beside it, see [`architecture`](super::architecture).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_schema::Schema;
use serde::{Deserialize, Serialize};
use tamis_core::{Fingerprint, Input, Ranking, ScoreBatch, Settings, SignalInfo};

use super::architecture::{ArchitectureNote, Earlier};
use super::paths::{check_name, split_full_name};
use super::{Candidate, FORMAT_VERSION, RunDirectory, RunError, RunResult, json};
use crate::sidecar::type_name;
use crate::store::Store;

/// Folder of all groupings, whose results are kept as those of a signal are.
pub(super) const GROUPS: &str = "groups";

/// What `signal.json` holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignalRecord {
    /// [`FORMAT_VERSION`].
    pub format_version: u64,
    /// Short name and first digits of the digest: `ask-llm@3f9a01c2`.
    pub full_name: String,
    /// Short name.
    pub name: String,
    /// 32 hex digits of the fingerprint's digest.
    pub digest: String,
    /// What decides the values.
    pub fingerprint: BTreeMap<String, String>,
    /// `documents`, the full name of the one signal that is read, or `several`.
    pub input: String,
    /// Where several are: `documents` or full names, by role; the role of the documents is empty.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, String>,
    /// Whether a second computation must give the same bits.
    pub repeatability: Repeatability,
    /// Default use in selection; null for a signal that is no score.
    pub ranking: Option<Ranking>,
    /// All columns of a sidecar, in order.
    pub schema: Vec<ColumnRecord>,
    /// What else a reader should know: licences, spellings, the rendered prompt.
    pub notes: BTreeMap<String, String>,
    /// What the fingerprint's field [`Fingerprint::ARCHITECTURE`] is the digest of; it stands in `architecture.json` and is
    /// known of a signal that is asked for, not of one that was read back.
    #[serde(skip)]
    pub architecture: Option<Settings>,
}

/// Whether a row's values depend on the rows that were computed along with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Repeatability {
    /// Bit-identical however rows are batched; a difference is an error.
    Exact,
    /// A GPU or a server whose low bits vary: what was stored first stands, and is treated as input from then on.
    BatchVariant,
}

/// One column of a sidecar.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnRecord {
    /// Its name.
    pub name: String,
    /// Its type, as [`type_name`] writes it.
    #[serde(rename = "type")]
    pub data_type: String,
}

/// Columns of a schema as `signal.json` lists them.
pub(crate) fn columns_of(schema: &Schema) -> Vec<ColumnRecord> {
    let column = |field: &arrow_schema::FieldRef| ColumnRecord {
        name: field.name().clone(),
        data_type: type_name(field.data_type()),
    };
    schema.fields().iter().map(column).collect()
}

/// Field of the fingerprint of a signal whose values depend on all rows of a corpus: what these are.
pub const ALL_ROWS: &str = "all_rows";

/// Field of the fingerprint of a signal that was computed for some documents alone: the digest of what says which.
pub const GATE: &str = "gate";

/// Note of such a signal: the selection that says which, as it was named.
pub const GATE_NOTE: &str = "on";

/// Note of a signal that depends on all rows: which one it is of those with the same settings, the first being 1.
pub const REVISION_NOTE: &str = "revision";

/// Note by which signals of the same settings are known.
const SETTINGS_NOTE: &str = "options";

/// What stands for documents among inputs.
const DOCUMENTS: &str = "documents";

/// An input as `signal.json` has it: one word where that is enough.
fn written(input: &Input) -> (String, BTreeMap<String, String>) {
    match (input.documents, input.signals.as_slice()) {
        (true, []) => (DOCUMENTS.to_owned(), BTreeMap::new()),
        (false, [only]) => (only.name.clone(), BTreeMap::new()),
        (documents, signals) => {
            let signals = signals.iter().map(|signal| (signal.role.clone(), signal.name.clone()));
            let documents = documents.then(|| (String::new(), DOCUMENTS.to_owned()));
            ("several".to_owned(), signals.chain(documents).collect())
        }
    }
}

impl SignalRecord {
    /// The record of a signal.
    #[must_use]
    pub fn new(info: &SignalInfo, repeatability: Repeatability) -> Self {
        let (input, inputs) = written(&info.input);
        Self {
            format_version: FORMAT_VERSION,
            full_name: format!("{}@{}", info.name, info.fingerprint.short()),
            name: info.name.clone(),
            digest: info.fingerprint.digest(),
            fingerprint: info.fingerprint.fields().clone(),
            input,
            inputs,
            repeatability,
            ranking: info.ranking.clone(),
            schema: columns_of(&ScoreBatch::sidecar_schema(&info.schema)),
            notes: info.notes.clone(),
            architecture: info.fingerprint.architecture().cloned(),
        }
    }

    /// The fingerprint.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::from_fields(self.fingerprint.clone()).knowing_architecture(self.architecture.clone())
    }

    /// Which one it is of the signals with its settings, where its values depend on all rows; else 0.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.notes.get(REVISION_NOTE).and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// The signals that are read, by full name, without repetition.
    #[must_use]
    pub fn reads(&self) -> BTreeSet<&str> {
        let all = self.inputs.values().map(String::as_str);
        let only = Some(self.input.as_str()).filter(|_| self.inputs.is_empty());
        all.chain(only).filter(|name| *name != DOCUMENTS).collect()
    }

    /// Names of the columns that hold values: all but `row`, `doc_key` and `failed`.
    pub fn value_columns(&self) -> impl Iterator<Item = &str> {
        use tamis_core::column::{DOC_KEY, FAILED, ROW};
        self.schema
            .iter()
            .map(|column| column.name.as_str())
            .filter(|name| ![ROW, DOC_KEY, FAILED].contains(name))
    }

    fn check(&self, full_name: &str) -> Result<(), String> {
        let fingerprint = self.fingerprint();
        if fingerprint.digest() != self.digest {
            return Err(format!(
                "its fingerprint has digest {}, it states {}",
                fingerprint.digest(),
                self.digest
            ));
        }
        let derived = format!("{}@{}", self.name, fingerprint.short());
        if self.full_name != derived || full_name != derived {
            return Err(format!("is of signal `{derived}`, not of `{full_name}`"));
        }
        Ok(())
    }
}

/// Whether a second signal of one short name may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside {
    /// No: another fingerprint under the name is refused.
    Refuse,
    /// Yes: both stand, and have to be called by their full names.
    Allow,
}

/// Which generation of each shard is read and written.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    /// By path of the shard; what is not named is the first. `None`: the latest of each.
    pub(super) generations: Option<Arc<BTreeMap<String, u64>>>,
    /// By full name of a signal that is read and path of the shard: its generation, where it is not the first.
    pub(super) inputs: Arc<BTreeMap<String, BTreeMap<String, u64>>>,
}

/// One signal of a run.
#[derive(Clone, Debug)]
pub struct SignalDir {
    pub(super) run: RunDirectory,
    pub(super) record: SignalRecord,
    pub(super) architecture: ArchitectureNote,
    pub(super) view: View,
    /// Folder of the run directory that it is in: signals and groupings have one each.
    pub(super) home: &'static str,
}

/// Folder of all signals.
const SIGNALS: &str = "signals";

impl SignalDir {
    /// What `signal.json` says.
    #[must_use]
    pub fn record(&self) -> &SignalRecord {
        &self.record
    }

    /// `ask-llm@3f9a01c2`.
    #[must_use]
    pub fn full_name(&self) -> &str {
        &self.record.full_name
    }

    fn new(run: &RunDirectory, record: SignalRecord, architecture: ArchitectureNote) -> Self {
        Self { run: run.clone(), record, architecture, view: View::default(), home: SIGNALS }
    }

    fn read_back(run: &RunDirectory, record: SignalRecord) -> Self {
        Self::new(run, record, ArchitectureNote::AsStored)
    }

    /// The results of a grouping.
    pub(super) fn of_grouping(run: &RunDirectory, record: SignalRecord) -> Self {
        Self { home: GROUPS, ..Self::read_back(run, record) }
    }

    pub(super) fn store(&self) -> &Store {
        self.run.store()
    }

    /// A path inside the signal's folder.
    pub(super) fn path(&self, rest: &str) -> String {
        format!("{}/{}/{rest}", self.home, self.record.full_name)
    }
}

fn record_path(full_name: &str) -> String {
    format!("{SIGNALS}/{full_name}/signal.json")
}

impl RunDirectory {
    /// Makes a signal, or opens it where its fingerprint is there already. Leftovers of shards that are finished are
    /// removed.
    ///
    /// A signal that was stored before fingerprints had an architecture, and is like this one in all else, is this one: it is
    /// opened under its own name, with the architecture written beside it where none stands yet.
    ///
    /// # Errors
    /// [`RunError::FingerprintChanged`] when another fingerprint stands under the short name and `beside` refuses that;
    /// [`RunError::Corrupt`] when the schema of a stored signal of this fingerprint is another.
    pub fn open_signal(&self, record: &SignalRecord, beside: Beside) -> RunResult<SignalDir> {
        check_name("signal", &record.name)?;
        let path = record_path(&record.full_name);
        record.check(&record.full_name).map_err(|problem| RunError::write(&path, problem))?;
        if self.read_signal(&record.full_name)?.is_none() {
            let mut others = self.signals_named(&record.name)?;
            match self.open_earlier(record)? {
                Earlier::Same(stored, note) => return self.opened(*stored, record, note),
                Earlier::Other(stored, architecture) => {
                    // The nearest of the others is the one to compare with.
                    others.retain(|other| other.full_name != stored.full_name);
                    others.insert(0, SignalRecord { architecture: Some(architecture), ..*stored });
                }
                Earlier::None => {}
            }
            // Another process may have begun the same signal since. Signals of other documents are none to be mixed up with.
            let gate = record.fingerprint.get(GATE);
            others.retain(|other| other.full_name != record.full_name && other.fingerprint.get(GATE) == gate);
            if let (Beside::Refuse, Some(other)) = (beside, others.first_mut()) {
                if other.architecture.is_none() {
                    other.architecture = self.architecture_of(&other.full_name)?;
                }
                return Err(RunError::FingerprintChanged {
                    stored: other.full_name.clone(),
                    asked: record.full_name.clone(),
                    changes: other.fingerprint().changes(&record.fingerprint()),
                });
            }
            // The architecture first: no signal is seen without.
            self.keep_own_architecture(record)?;
            json::create(&self.store, &path, record)?;
        } else {
            self.keep_own_architecture(record)?;
        }
        let stored = self.read_signal(&record.full_name)?.ok_or_else(|| RunError::Missing {
            path: path.clone(),
            what: "the signal's description, which was there a moment ago,".to_owned(),
        })?;
        let changes = stored.fingerprint().changes(&record.fingerprint());
        if !changes.is_empty() {
            // Equal digits, different fingerprints: one chance in four thousand million.
            let (stored, asked) = (stored.full_name, record.full_name.clone());
            return Err(RunError::FingerprintChanged { stored, asked, changes });
        }
        self.opened(stored, record, ArchitectureNote::AsStored)
    }

    /// Writes the architecture of a signal whose fingerprint has its digest; what stands must be the same.
    fn keep_own_architecture(&self, record: &SignalRecord) -> RunResult<()> {
        let Some(settings) = &record.architecture else { return Ok(()) };
        let (_, stored) = self.keep_architecture(&record.full_name, settings)?;
        record.check_architecture(&stored)
    }

    /// A stored signal that is the one that was asked for.
    fn opened(
        &self,
        stored: SignalRecord,
        asked: &SignalRecord,
        architecture: ArchitectureNote,
    ) -> RunResult<SignalDir> {
        if stored.schema != asked.schema {
            let path = record_path(&stored.full_name);
            return Err(RunError::corrupt(&path, "states other columns than the signal has now"));
        }
        let signal = SignalDir::new(self, stored, architecture);
        signal.sweep()?;
        Ok(signal)
    }

    pub(super) fn read_signal(&self, full_name: &str) -> RunResult<Option<SignalRecord>> {
        let path = record_path(full_name);
        let Some(record) = json::read::<SignalRecord>(&self.store, &path)? else { return Ok(None) };
        record.check(full_name).map_err(|problem| RunError::corrupt(&path, problem))?;
        Ok(Some(record))
    }

    fn signal_names(&self) -> RunResult<Vec<String>> {
        let mut names = self.store.folders(SIGNALS)?;
        names.retain(|name| split_full_name(name).is_some());
        Ok(names)
    }

    fn signals_named(&self, name: &str) -> RunResult<Vec<SignalRecord>> {
        let names = self.signal_names()?;
        let named = names.iter().filter(|full| split_full_name(full).is_some_and(|(short, _)| short == name));
        named.filter_map(|full| self.read_signal(full).transpose()).collect()
    }

    /// All signals, by full name; of those whose values depend on all rows the latest revisions. [Within](Self::within) a gate:
    /// those of its documents alone.
    ///
    /// # Errors
    /// A store that cannot be listed, or a `signal.json` that was damaged or is newer.
    pub fn signals(&self) -> RunResult<Vec<SignalDir>> {
        let records = self.signal_names()?;
        let records = records.iter().filter_map(|full| self.read_signal(full).transpose());
        let mut records = latest(records.collect::<RunResult<Vec<SignalRecord>>>()?);
        if self.gate.is_some() {
            records.retain(|record| self.is_within(record));
        }
        Ok(records.into_iter().map(|record| SignalDir::read_back(self, record)).collect())
    }

    /// As [`RunDirectory::signals`], but for all documents where that is what this run is seen for: those that a computation here may
    /// be one of.
    ///
    /// # Errors
    /// As there.
    pub fn own_signals(&self) -> RunResult<Vec<SignalDir>> {
        let mut signals = self.signals()?;
        signals.retain(|signal| self.is_within(&signal.record));
        Ok(signals)
    }

    /// Signals that were computed as this one was, for other documents: the values of a document that several have are the same.
    ///
    /// # Errors
    /// A store that cannot be listed, or a `signal.json` that was damaged or is newer.
    pub fn same_elsewhere(&self, record: &SignalRecord) -> RunResult<Vec<SignalDir>> {
        let apart_from_gate = |record: &SignalRecord| {
            let mut fields = record.fingerprint.clone();
            fields.remove(GATE);
            fields
        };
        let mut same = self.signals_named(&record.name)?;
        same.retain(|other| {
            other.full_name != record.full_name
                && other.schema == record.schema
                && apart_from_gate(other) == apart_from_gate(record)
        });
        Ok(same.into_iter().map(|record| SignalDir::read_back(self, record)).collect())
    }

    fn is_within(&self, record: &SignalRecord) -> bool {
        record.fingerprint.get(GATE).map(String::as_str) == self.gate.as_deref()
    }

    /// The signal of a full name, or the only one of a short name (revisions that a later one took the place of do not count).
    /// A short name is that of the signal of all documents, or where there is none, of those of some; [within](Self::within) a
    /// gate, of its own before that.
    ///
    /// # Errors
    /// [`RunError::Ambiguous`] lists all of a short name with what tells them apart; [`RunError::Unknown`] has the nearest
    /// known name.
    pub fn resolve(&self, name: &str) -> RunResult<SignalDir> {
        let mut found = match split_full_name(name) {
            Some(_) => self.read_signal(name)?.into_iter().collect(),
            None => self.nearest_gate(latest(self.signals_named(name)?)),
        };
        match (found.pop(), found.is_empty()) {
            (Some(record), true) => Ok(SignalDir::read_back(self, record)),
            (Some(last), false) => {
                found.push(last);
                Err(RunError::Ambiguous { name: name.to_owned(), candidates: tell_apart(&found) })
            }
            (None, _) => {
                let known = self.signal_names()?;
                let short = known.iter().filter_map(|full| split_full_name(full)).map(|(short, _)| short);
                let nearest = tamis_core::nearest(name, short.chain(known.iter().map(String::as_str)));
                let nearest = nearest.map(str::to_owned);
                Err(RunError::Unknown { kind: "signal", name: name.to_owned(), nearest, known })
            }
        }
    }
}

impl RunDirectory {
    /// Of the signals of one short name those that it stands for.
    fn nearest_gate(&self, records: Vec<SignalRecord>) -> Vec<SignalRecord> {
        let is_of_all = |record: &SignalRecord| !record.fingerprint.contains_key(GATE);
        let own = |record: &SignalRecord| self.is_within(record);
        let pick: &dyn Fn(&SignalRecord) -> bool =
            match (records.iter().any(own), records.iter().any(is_of_all)) {
                (true, _) => &own,
                (false, true) => &is_of_all,
                (false, false) => &|_| true,
            };
        let picked: Vec<bool> = records.iter().map(pick).collect();
        records.into_iter().zip(picked).filter_map(|(record, picked)| picked.then_some(record)).collect()
    }
}

/// Without the signals of all rows that a later revision took the place of.
fn latest(records: Vec<SignalRecord>) -> Vec<SignalRecord> {
    let settings = |record: &SignalRecord| {
        let gate = record.fingerprint.get(GATE).cloned();
        (record.name.clone(), record.notes.get(SETTINGS_NOTE).cloned().unwrap_or_default(), gate)
    };
    let mut last = BTreeMap::new();
    for record in records.iter().filter(|record| record.revision() > 0) {
        let revision = last.entry(settings(record)).or_insert(0);
        *revision = record.revision().max(*revision);
    }
    let stands =
        |record: &SignalRecord| record.revision() == 0 || last[&settings(record)] == record.revision();
    records.into_iter().filter(stands).collect()
}

/// For each signal the fields that not all of them share.
fn tell_apart(records: &[SignalRecord]) -> Vec<Candidate> {
    let fields: BTreeSet<&String> = records.iter().flat_map(|record| record.fingerprint.keys()).collect();
    let differs = |field: &String| {
        records.windows(2).any(|pair| pair[0].fingerprint.get(field) != pair[1].fingerprint.get(field))
    };
    let distinct = fields.into_iter().filter(|field| differs(field));
    let mut distinct: Vec<&String> = distinct.collect();
    // What was read says nothing to a person, unless nothing else does.
    if distinct.len() > 1 {
        distinct.retain(|field| *field != ALL_ROWS);
    }
    let value = |record: &SignalRecord, field: &String| {
        if field == GATE {
            let on = record.notes.get(GATE_NOTE).map_or("all documents", String::as_str);
            return (GATE_NOTE.to_owned(), on.to_owned());
        }
        (field.clone(), record.fingerprint.get(field).map_or("nothing", String::as_str).to_owned())
    };
    records
        .iter()
        .map(|record| Candidate {
            full_name: record.full_name.clone(),
            distinct: distinct.iter().map(|field| value(record, field)).collect(),
        })
        .collect()
}
