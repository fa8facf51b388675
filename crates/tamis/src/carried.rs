//! Columns of the corpus that a run carries, for strata, reports and SQL: those that it was begun with stand in its
//! inventories, each that was asked for later in a row-aligned sidecar of its own.
//!
//! An inventory is written once, but a column is often wanted when the scores are there already. So a later one is a signal
//! like any other to the driver (parts, receipts, workers, shards that are added), of one column of text. It is no score, and
//! nothing else is read through [`Carried`], so that no reader needs to know which of the two a column is.
//!
//! Value by value both are the same, with one difference in what there is: a row whose value is no text (half of a surrogate
//! pair) has failed where the run was begun with the column. Later that row is a document, and the value is null.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use tamis_core::{Fingerprint, Input, Parallelism, Signal, SignalInfo, column};
use tamis_io::run::{Beside, CorpusVersion, Repeatability, ShardRecord, SignalDir, SignalRecord};
use tamis_io::sidecar::{SidecarColumns, SidecarReader, zip_aligned};
use tamis_samplers::MOST_STRATA;

use crate::again::pinned_text;
use crate::map::{CARRIES, Worker};
use crate::project::Project;
use crate::select_options::BandOptions;
use crate::signals::{SignalOptions, short_name, split_score, stored_as};
use crate::{Error, Result};

/// The one column of such a sidecar: a name from the corpus could be one that every sidecar has.
const VALUE: &str = "value";

/// Copies one column as text.
struct CarriedColumn {
    name: String,
    info: SignalInfo,
}

impl CarriedColumn {
    fn new(name: &str) -> Self {
        let schema = Schema::new(vec![
            Field::new(VALUE, DataType::Utf8, true),
            Field::new(column::FAILED, DataType::Utf8, true),
        ]);
        let info = SignalInfo {
            name: stored_as(CARRIES, name),
            fingerprint: Fingerprint::new(CARRIES, 1).with("column", name),
            input: Input::DOCUMENTS,
            parallelism: Parallelism::PerCore,
            schema: Arc::new(schema),
            ranking: None,
            part_bytes: 32 << 20,
            notes: BTreeMap::new(),
        };
        Self { name: name.to_owned(), info }
    }
}

impl Signal for CarriedColumn {
    fn info(&self) -> &SignalInfo {
        &self.info
    }

    fn annotate(&self, input: &RecordBatch) -> tamis_core::Result<RecordBatch> {
        let values = input
            .column_by_name(&self.name)
            .filter(|values| values.as_string_opt::<i32>().is_some())
            .ok_or_else(|| tamis_core::Error::MissingColumn { column: self.name.clone() })?;
        let failed: ArrayRef = Arc::new(StringArray::from(vec![None::<&str>; input.num_rows()]));
        Ok(RecordBatch::try_new(Arc::clone(&self.info.schema), vec![Arc::clone(values), failed])?)
    }
}

/// The column that a stored signal carries; `None` for a signal that says something of its own.
pub(crate) fn carries(record: &SignalRecord) -> Option<&str> {
    let is_carried = record.fingerprint.get("method").is_some_and(|method| method == CARRIES);
    record.fingerprint.get("column").filter(|_| is_carried).map(String::as_str)
}

/// A carried column, wherever its values stand.
#[derive(Clone, Debug)]
pub(crate) struct Carried {
    name: String,
    /// A signal and its column; `None`: the inventory.
    sidecar: Option<(SignalDir, String)>,
}

impl Carried {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The value of the document at a place in the inventory of a shard; `None` for null.
    pub(crate) fn value_at(
        &self,
        project: &Project,
        shard: &ShardRecord,
        at: usize,
    ) -> Result<Option<String>> {
        let mut before = 0;
        for batch in self.read(project, shard)? {
            let batch = batch?;
            if at < before + batch.num_rows() {
                let values = self.values(&batch)?;
                let at = at - before;
                return Ok(values.is_valid(at).then(|| values.value(at).to_owned()));
            }
            before += batch.num_rows();
        }
        Ok(None)
    }

    /// The column alone.
    fn read(&self, project: &Project, shard: &ShardRecord) -> Result<SidecarReader> {
        match self.beside_inventory(shard)? {
            Some(sidecar) => Ok(sidecar),
            None => Ok(project.run.read_inventory(&shard.path, SidecarColumns::Named(&[&self.name]))?),
        }
    }

    /// The column that is to be read with the inventory, where it stands there.
    pub(crate) fn in_inventory(&self) -> Option<&str> {
        self.sidecar.is_none().then_some(self.name.as_str())
    }

    /// The sidecar that is to be read beside the inventory, where the column is not in that.
    pub(crate) fn beside_inventory(&self, shard: &ShardRecord) -> Result<Option<SidecarReader>> {
        let open = |(sidecar, value): &(SignalDir, String)| {
            sidecar.read(shard, SidecarColumns::Named(&[column::ROW, column::DOC_KEY, value]))
        };
        Ok(self.sidecar.as_ref().map(open).transpose()?)
    }

    /// The values in rows of [`Self::beside_inventory`], or of the inventory where there is none.
    pub(crate) fn values(&self, rows: &RecordBatch) -> Result<StringArray> {
        let name = self.sidecar.as_ref().map_or(self.name.as_str(), |(_, column)| column);
        let missing = || tamis_core::Error::MissingColumn { column: self.name.clone() };
        let values = rows.column_by_name(name).ok_or_else(missing)?;
        Ok(as_strings(values).ok_or_else(missing)?)
    }
}

/// Values that name strata: strings, and whole numbers as such.
fn as_strings(values: &ArrayRef) -> Option<StringArray> {
    if let Some(strings) = values.as_string_opt::<i32>() {
        return Some(strings.clone());
    }
    let numbers = values.as_primitive_opt::<UInt32Type>()?;
    Some(numbers.iter().map(|number| number.map(|number| number.to_string())).collect())
}

/// Between the values of several columns in the name of a stratum.
const GRID: &str = " / ";

/// The strata of a selection: the values of a column, and one of the documents without a value; of several columns every
/// combination.
#[derive(Clone, Debug)]
pub(crate) struct Strata {
    columns: Vec<Carried>,
    /// Whether there are both documents without a value and documents whose value is the empty text.
    pub(crate) null_beside_empty: bool,
    /// All of them, in order.
    pub(crate) names: BTreeSet<String>,
}

impl Strata {
    /// Columns that are to be read with the inventory.
    pub(crate) fn in_inventory(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().filter_map(Carried::in_inventory)
    }

    /// The signals whose columns these are, as fingerprints have them; `None` where all are columns of the corpus, which its
    /// digest decides.
    pub(crate) fn signals_text(&self) -> Option<String> {
        let of_signals = self.columns.iter().filter_map(|column| {
            let (signal, value) = column.sidecar.as_ref()?;
            carries(signal.record()).is_none().then(|| format!("{}.{value}", pinned_text(signal)))
        });
        let texts: Vec<String> = of_signals.collect();
        (!texts.is_empty()).then(|| texts.join("; "))
    }

    /// Sidecars that are to be read beside the inventory, in this order.
    pub(crate) fn beside_inventory(&self, shard: &ShardRecord) -> Result<Vec<SidecarReader>> {
        let readers = self.columns.iter().filter_map(|column| column.beside_inventory(shard).transpose());
        readers.collect()
    }

    /// What names the stratum of every row, by the inventory and the sidecars of [`Strata::beside_inventory`].
    pub(crate) fn of<'b>(
        &self,
        inventory: &'b RecordBatch,
        sidecars: &mut impl Iterator<Item = &'b RecordBatch>,
    ) -> Result<Vec<StringArray>> {
        let mut values = Vec::with_capacity(self.columns.len());
        for column in &self.columns {
            let rows = match column.in_inventory() {
                Some(_) => inventory,
                None => sidecars.next().expect("opened before"),
            };
            values.push(column.values(rows)?);
        }
        Ok(values)
    }

    /// The name of a row's stratum, which no other stratum has.
    pub(crate) fn name_at<'v>(&self, values: &'v [StringArray], at: usize) -> Cow<'v, str> {
        let name = |values: &'v StringArray| values.is_valid(at).then(|| values.value(at));
        match values {
            [only] => match name(only) {
                None => Cow::Borrowed(""),
                Some(value) if self.null_beside_empty => Cow::Owned(format!("={value}")),
                Some(value) => Cow::Borrowed(value),
            },
            several => {
                let names: Vec<&str> = several.iter().map(|one| name(one).unwrap_or_default()).collect();
                Cow::Owned(names.join(GRID))
            }
        }
    }
}

impl Project {
    /// The columns that were asked for or carried before, and are not in the inventories: makes what is missing of each, by a
    /// pass over the shards that lack it. `unsure` are those that no shard begins with; says so of each that is null
    /// everywhere.
    pub(crate) fn carry_asked(&self, version: &CorpusVersion, unsure: &[String]) -> Result<()> {
        let mut names = self.later.clone();
        for signal in self.run.of_all().signals()? {
            names.extend(
                carries(signal.record()).filter(|name| !names.iter().any(|n| n == name)).map(str::to_owned),
            );
        }
        for name in &names {
            self.carry(version, name)?;
        }
        for name in unsure {
            if let Some(carried) = self.carried(version, name)?
                && self.is_null_everywhere(version, &carried)?
            {
                self.observer.warn(&format!("no document has a value in the carried column `{name}`"));
            }
        }
        Ok(())
    }

    /// Makes the sidecar of a column, where it is not complete.
    fn carry(&self, version: &CorpusVersion, name: &str) -> Result<()> {
        let signal = CarriedColumn::new(name);
        let record = SignalRecord::new(signal.info(), Repeatability::Exact);
        let project = self.without_gate();
        if !project.has_signal(&record.name)? {
            self.observer.note(&format!(
                "column `{name}` is carried from now on: the corpus is read for it, and no score is computed again"
            ));
        }
        let directory = project.run.open_signal(&record, Beside::Refuse)?;
        if self.is_complete(version, &directory)? {
            return Ok(());
        }
        let shards: Vec<&ShardRecord> = version.shards.iter().collect();
        project.also_reading(name).map(version, &shards, &signal, &directory, Worker::ALONE)?;
        Ok(())
    }

    /// A column that the run carries for every shard.
    pub(crate) fn carried(&self, version: &CorpusVersion, name: &str) -> Result<Option<Carried>> {
        Ok(self.all_carried(version)?.into_iter().find(|carried| carried.name == name))
    }

    /// All columns that the run carries for every shard: those it was begun with, then the others by name.
    pub(crate) fn all_carried(&self, version: &CorpusVersion) -> Result<Vec<Carried>> {
        let begun = &version.columns.carry;
        let mut found: Vec<Carried> =
            begun.iter().map(|name| Carried { name: name.clone(), sidecar: None }).collect();
        for signal in self.run.of_all().signals()? {
            let Some(name) = carries(signal.record()).filter(|name| !begun.iter().any(|begun| begun == name))
            else {
                continue;
            };
            if self.is_complete(version, &signal)? {
                found.push(Carried { name: name.to_owned(), sidecar: Some((signal, VALUE.to_owned())) });
            }
        }
        Ok(found)
    }

    /// Makes the column of the strata where the run does not carry it yet, before anything is scored for their sake.
    ///
    /// # Errors
    /// A column that the corpus has not, that is null in every document, or that has more values than there may be strata.
    pub fn carry_stratum(&self, version: &CorpusVersion, band: &BandOptions) -> Result<()> {
        self.stratum(version, band).map(drop)
    }

    /// A column of the corpus, which is carried from now on where the run does not carry it yet.
    ///
    /// # Errors
    /// A column that the corpus has not.
    pub(crate) fn carried_now(&self, version: &CorpusVersion, name: &str) -> Result<Carried> {
        if let Some(carried) = self.carried(version, name)? {
            return Ok(carried);
        }
        self.check_columns(&[name], "")?;
        self.carry(version, name)?;
        self.carried(version, name)?.ok_or_else(|| {
            let message = format!("column `{name}` is not complete, though it was just read");
            Error::state(message, "run the command again")
        })
    }

    /// The strata of a band, whose column is made where the run does not carry it yet.
    ///
    /// # Errors
    /// As [`Project::strata`].
    pub(crate) fn stratum(&self, version: &CorpusVersion, band: &BandOptions) -> Result<Option<Strata>> {
        let Some(name) = &band.stratum else { return Ok(None) };
        let carried = self.carried_now(version, name)?;
        self.strata(version, vec![carried], "`--stratum` names").map(Some)
    }

    /// The strata by some columns; `who` names them.
    ///
    /// # Errors
    /// Columns that are null in every document, or have more values than there may be strata.
    pub(crate) fn strata(&self, version: &CorpusVersion, columns: Vec<Carried>, who: &str) -> Result<Strata> {
        let name = columns.iter().map(Carried::name).collect::<Vec<_>>().join("`, `");
        let mut strata = Strata { columns, null_beside_empty: false, names: BTreeSet::new() };
        let (mut nulls, mut others) = (0_u64, 0_u64);
        for shard in &version.shards {
            let columns: Vec<&str> =
                [column::ROW, column::DOC_KEY].into_iter().chain(strata.in_inventory()).collect();
            let inventory = self.run.read_inventory(&shard.path, SidecarColumns::Named(&columns))?;
            let sidecars = strata.beside_inventory(shard)?;
            for batch in zip_aligned(&shard.path, inventory, sidecars)? {
                let batch = batch?;
                let values = strata.of(&batch.inventory, &mut batch.sidecars.iter())?;
                for at in 0..batch.inventory.num_rows() {
                    let is_null = values.iter().all(|values| values.is_null(at));
                    nulls += u64::from(is_null);
                    others += u64::from(!is_null);
                    let own = strata.name_at(&values, at);
                    if !is_null && !strata.names.contains(&*own) {
                        let own = own.into_owned();
                        strata.names.insert(own);
                    }
                    if strata.names.len() + usize::from(nulls > 0) > MOST_STRATA {
                        return Err(Error::usage(
                            format!(
                                "the column `{name}`, which {who}, has more than {MOST_STRATA} values (no value counts as one): \
                                 those are ids and no strata"
                            ),
                            "name a column with fewer values, which is carried then, or leave it out",
                        ));
                    }
                }
            }
        }
        if version.documents() > 0 && others == 0 {
            return Err(Error::usage(
                format!("no document has a value in the column `{name}`, which {who}"),
                "name another column, which is carried then, or leave it out",
            ));
        }
        strata.null_beside_empty = strata.columns.len() == 1 && nulls > 0 && strata.names.contains("");
        if strata.null_beside_empty {
            strata.names = strata.names.into_iter().map(|name| format!("={name}")).collect();
        }
        if nulls > 0 && strata.columns.len() == 1 {
            strata.names.insert(String::new());
        }
        Ok(strata)
    }

    /// What the values of a name stand for: a carried column, else the column of a stored signal, else a column of the corpus
    /// that is carried from now on.
    ///
    /// # Errors
    /// A name that nothing has.
    pub(crate) fn stratum_column(&self, version: &CorpusVersion, name: &str) -> Result<Carried> {
        if let Some(carried) = self.carried(version, name)? {
            return Ok(carried);
        }
        let (signal, value) = split_score(name);
        let is_signal = signal.contains('@') || SignalOptions::named(signal).is_ok();
        if is_signal && let Ok(directory) = self.run.resolve(&short_name(signal)) {
            self.refuse_incomplete(version, &directory)?;
            let record = directory.record();
            let names_strata = |kind: &str| kind == "utf8" || kind == "u32";
            let first = || {
                record.schema.iter().find(|one| names_strata(&one.data_type) && one.name != column::FAILED)
            };
            let value = match value {
                Some(value) => {
                    record.schema.iter().find(|one| one.name == value && names_strata(&one.data_type))
                }
                None => first(),
            };
            let value = value.map(|one| one.name.clone()).ok_or_else(|| {
                Error::usage(
                    format!("`{name}` names no column of words or whole numbers"),
                    format!(
                        "`{}` has {}",
                        record.full_name,
                        record.value_columns().collect::<Vec<_>>().join(", ")
                    ),
                )
            })?;
            return Ok(Carried { name: name.to_owned(), sidecar: Some((directory.pinned(version)?, value)) });
        }
        self.carried_now(version, name)
    }

    fn refuse_incomplete(&self, version: &CorpusVersion, signal: &SignalDir) -> Result<()> {
        if self.is_complete(version, signal)? {
            return Ok(());
        }
        let name = &signal.record().name;
        Err(Error::state(
            format!("`{}` does not say of every document which stratum it is in", signal.full_name()),
            format!("finish it with `tamis score {name}`"),
        ))
    }

    /// Columns that were asked for or carried before, and would have to be read from the corpus; those that a run begins with
    /// are read with its documents.
    pub(crate) fn columns_to_carry(&self) -> Result<Vec<String>> {
        let stored = self.run.of_all().signals()?;
        let of = |name: &str| stored.iter().find(|signal| carries(signal.record()) == Some(name));
        let mut names = self.later.clone();
        names.extend(stored.iter().filter_map(|signal| carries(signal.record())).map(str::to_owned));
        names.sort();
        names.dedup();
        let mut left = Vec::new();
        for name in names {
            let complete = of(&name).map(|signal| self.is_complete_so_far(signal)).transpose()?;
            if complete != Some(true) {
                left.push(name);
            }
        }
        Ok(left)
    }

    fn is_null_everywhere(&self, version: &CorpusVersion, carried: &Carried) -> Result<bool> {
        for shard in &version.shards {
            for batch in carried.read(self, shard)? {
                let batch = batch?;
                let values = carried.values(&batch)?;
                if values.null_count() < values.len() {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}
