//! One Parquet file of all that a run knows: a row a document, a column for each value of a signal and each decision of a selection.
//!
//! For questions in SQL: the files of a run are by shard and by signal, and joining them by hand is work. Shard by shard the inventory,
//! sidecars and decisions are read side by side, every row and key compared, so that memory does not depend on the corpus.
//! Embeddings and other lists are left out, and named. Texts are not in it: a document is found by its id, or by shard and row.
//!
//! Not for programs that go on with a run: its own files have digests and receipts, this one is a copy of what they say.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, RecordBatch, StringArray, new_null_array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use serde::Serialize;
use tamis_core::column;
use tamis_io::run::{CorpusVersion, SelectionDir, ShardRecord, SignalDir, inventory_column};
use tamis_io::sidecar::{AlignedBatch, SidecarColumns, SidecarReader, SidecarWriter, zip_aligned};
use tamis_io::store::{Created, Store};

use crate::carried::{Carried, carries};
use crate::places::{refuse_inside_corpus, store_beside};
use crate::project::Project;
use crate::select::Manifest;
use crate::{Error, Result};

/// A selection whose decisions become columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableSelection {
    /// Its name in the run.
    pub name: String,
    /// What its columns begin with; the name where none is given.
    pub alias: Option<String>,
}

/// What becomes a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableOptions {
    /// The file: a path or a URL.
    pub out: PathBuf,
    /// The selections; all that are finished where none is named.
    pub selections: Vec<TableSelection>,
}

/// What a table holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TableReport {
    /// The file.
    pub out: String,
    /// Documents.
    pub rows: u64,
    /// Names of its columns, in their order.
    pub columns: Vec<String>,
    /// Columns that are no single values, and signals that lack shards.
    pub left_out: Vec<String>,
    /// Time of this call.
    pub seconds: f64,
}

/// Where the values of a column come from.
enum Source {
    /// Path of the shard.
    Shard,
    /// A column of the inventory.
    Inventory(String),
    /// A column of the `n`-th file beside the inventory.
    Beside(usize, String),
}

/// A file beside the inventory.
enum Beside<'t> {
    Carried(&'t Carried),
    Signal { signal: &'t SignalDir, columns: Vec<String> },
    Decisions(&'t SelectionDir),
}

/// The columns of a table, and the files that they are of.
#[derive(Default)]
struct Layout<'t> {
    fields: Vec<Field>,
    sources: Vec<Source>,
    beside: Vec<Beside<'t>>,
    left_out: Vec<String>,
}

impl Layout<'_> {
    fn add(&mut self, name: String, data_type: DataType, nullable: bool, source: Source) -> Result<()> {
        if self.fields.iter().any(|field| *field.name() == name) {
            let hint = "give a selection another name for the table: --selection NAME=ALIAS";
            return Err(Error::usage(format!("two columns of the table would be called `{name}`"), hint));
        }
        self.fields.push(Field::new(name, data_type, nullable));
        self.sources.push(source);
        Ok(())
    }
}

/// The type that a column has in the table; `None` for what is no single value.
fn plain_type(data_type: &DataType) -> Option<DataType> {
    match data_type {
        // A key: in hexadecimal, as everything else prints it.
        DataType::FixedSizeBinary(16) => Some(DataType::Utf8),
        DataType::Utf8 | DataType::Boolean => Some(data_type.clone()),
        number if number.is_numeric() => Some(number.clone()),
        _ => None,
    }
}

fn plain(values: &ArrayRef) -> ArrayRef {
    let Some(keys) = values.as_fixed_size_binary_opt() else { return Arc::clone(values) };
    let hex = |key: &[u8]| key.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    Arc::new(keys.iter().map(|key| key.map(hex)).collect::<StringArray>())
}

impl Project {
    /// Writes one Parquet file with a row a document of the latest version of the corpus: who and where it is, carried columns, every
    /// value of every complete signal as `SIGNAL.COLUMN`, and of each selection `NAME.kept_at`, `NAME.reason`, `NAME.priority`, `NAME.repeats`
    /// where it has those, and `NAME.probability` (of several targets `NAME.probability.LABEL`).
    ///
    /// Documents of shards that came after a selection have null there.
    ///
    /// # Errors
    /// A selection that is unknown or unfinished; two columns of one name; a file that is there already; files of the run that are damaged.
    pub fn table(&self, options: &TableOptions) -> Result<TableReport> {
        let began = Instant::now();
        let version = self.latest_version()?;
        let (out, name) = self.place_of_table(&options.out)?;
        let signals = self.run.signals()?;
        let carried = self.all_carried(&version)?;
        let selections = self.selections_of(options)?;
        let layout = self.layout(&version, &signals, &carried, &selections)?;
        for left_out in &layout.left_out {
            self.observer.note(&format!("not in the table: {left_out}"));
        }
        let schema: SchemaRef = Arc::new(Schema::new(layout.fields.clone()));
        let mut writer = SidecarWriter::create(&out, &name, &schema)?;
        self.observer.begin("write table", version.documents());
        for shard in &version.shards {
            self.write_rows(shard, &layout, &schema, &mut writer)?;
        }
        self.observer.end();
        let (created, summary) = writer.commit()?;
        if created == Created::Existed {
            return Err(there_already(&out, &name));
        }
        Ok(TableReport {
            out: out.location(&name),
            rows: summary.rows,
            columns: layout.fields.iter().map(|field| field.name().clone()).collect(),
            left_out: layout.left_out,
            seconds: began.elapsed().as_secs_f64(),
        })
    }

    /// Folder and name of the file.
    fn place_of_table(&self, path: &Path) -> Result<(Store, String)> {
        let text = path.to_string_lossy();
        let (folder, name) = match text.rsplit_once('/') {
            Some(("", name)) => ("/", name),
            Some((folder, name)) => (folder, name),
            None => (".", &*text),
        };
        if name.is_empty() {
            return Err(Error::usage(format!("`{text}` is no name of a file"), "write --out all.parquet"));
        }
        refuse_inside_corpus(&self.location, "--out", path)?;
        let out = store_beside(self.run.store(), Path::new(folder))?;
        if out.exists(name)? {
            return Err(there_already(&out, name));
        }
        Ok((out, name.to_owned()))
    }

    /// The selections with what their columns begin with, and their targets.
    fn selections_of(&self, options: &TableOptions) -> Result<Vec<(SelectionDir, String, Manifest)>> {
        let mut found = Vec::new();
        for asked in &options.selections {
            let selection = self.run.selection(&asked.name)?;
            let manifest = selection.read_manifest::<Manifest>()?.ok_or_else(|| {
                Error::state(
                    format!("selection `{}` is unfinished", asked.name),
                    "give its `tamis select` again, which goes on where it stopped",
                )
            })?;
            found.push((selection, asked.alias.clone().unwrap_or_else(|| asked.name.clone()), manifest));
        }
        if options.selections.is_empty() {
            for name in self.run.selections()? {
                let selection = self.run.selection(&name)?;
                if let Some(manifest) = selection.read_manifest::<Manifest>()? {
                    found.push((selection, name, manifest));
                }
            }
        }
        Ok(found)
    }

    fn layout<'t>(
        &self,
        version: &CorpusVersion,
        signals: &'t [SignalDir],
        carried: &'t [Carried],
        selections: &'t [(SelectionDir, String, Manifest)],
    ) -> Result<Layout<'t>> {
        let mut layout = Layout::default();
        let of_inventory = |name: &str| Source::Inventory(name.to_owned());
        layout.add("doc_key".to_owned(), DataType::Utf8, false, of_inventory(column::DOC_KEY))?;
        layout.add("id".to_owned(), DataType::Utf8, true, of_inventory(column::ID))?;
        layout.add("shard".to_owned(), DataType::Utf8, false, Source::Shard)?;
        layout.add("row".to_owned(), DataType::UInt64, false, of_inventory(column::ROW))?;
        layout.add(
            "text_bytes".to_owned(),
            DataType::UInt64,
            false,
            of_inventory(inventory_column::BYTES),
        )?;
        layout.add(
            "characters".to_owned(),
            DataType::UInt64,
            false,
            of_inventory(inventory_column::CHARACTERS),
        )?;
        for column in carried {
            let source = match column.in_inventory() {
                Some(name) => of_inventory(name),
                None => {
                    layout.beside.push(Beside::Carried(column));
                    Source::Beside(layout.beside.len() - 1, String::new())
                }
            };
            let taken = layout.fields.iter().any(|field| field.name() == column.name());
            let name = if taken { format!("carried.{}", column.name()) } else { column.name().to_owned() };
            layout.add(name, DataType::Utf8, true, source)?;
        }
        let first = version.shards.first();
        for signal in signals.iter().filter(|signal| carries(signal.record()).is_none()) {
            let Some(first) = first else { break };
            if !self.is_complete(version, signal)? {
                layout.left_out.push(format!("signal `{}`, which lacks shards", signal.full_name()));
                continue;
            }
            let short = &signal.record().name;
            let only = signals.iter().filter(|other| other.record().name == *short).count() == 1;
            let prefix = if only { short.as_str() } else { signal.full_name() };
            let schema = Arc::clone(signal.read(first, SidecarColumns::All)?.schema());
            let own = schema
                .fields()
                .iter()
                .filter(|field| ![column::ROW, column::DOC_KEY].contains(&field.name().as_str()));
            let mut columns = Vec::new();
            for field in own {
                let name = format!("{prefix}.{}", field.name());
                match plain_type(field.data_type()) {
                    Some(data_type) => {
                        let source = Source::Beside(layout.beside.len(), field.name().clone());
                        layout.add(name, data_type, true, source)?;
                        columns.push(field.name().clone());
                    }
                    None => layout.left_out.push(format!("`{name}`, which is no single value")),
                }
            }
            layout.beside.push(Beside::Signal { signal, columns });
        }
        for (selection, alias, manifest) in selections {
            let mut decided = None;
            for shard in &version.shards {
                if selection.has_decisions(&shard.path)? {
                    let reader = selection.read_decisions(&shard.path, SidecarColumns::All)?;
                    decided = Some(Arc::clone(reader.schema()));
                    break;
                }
            }
            let Some(schema) = decided else { continue };
            let number = layout.beside.len();
            for field in schema.fields() {
                let own = match field.name().as_str() {
                    column::ROW | column::DOC_KEY => continue,
                    "smallest_kept" => "kept_at".to_owned(),
                    name => match (name.strip_prefix("inclusion_probability_"), manifest.targets.len()) {
                        (Some(_), 1) => "probability".to_owned(),
                        (Some(label), _) => format!("probability.{label}"),
                        (None, _) => name.to_owned(),
                    },
                };
                let source = Source::Beside(number, field.name().clone());
                layout.add(format!("{alias}.{own}"), field.data_type().clone(), true, source)?;
            }
            layout.beside.push(Beside::Decisions(selection));
        }
        Ok(layout)
    }

    fn write_rows(
        &self,
        shard: &ShardRecord,
        layout: &Layout<'_>,
        schema: &SchemaRef,
        writer: &mut SidecarWriter,
    ) -> Result<()> {
        let named = layout.sources.iter().filter_map(|source| match source {
            Source::Inventory(name) => Some(name.as_str()),
            _ => None,
        });
        let named: Vec<&str> = named.collect();
        let inventory = self.run.read_inventory(&shard.path, SidecarColumns::Named(&named))?;
        // Which of the files there are for this shard, by their number.
        let mut readers: Vec<SidecarReader> = Vec::new();
        let mut at = Vec::new();
        for beside in &layout.beside {
            let reader = match beside {
                Beside::Carried(column) => column.beside_inventory(shard)?,
                Beside::Signal { signal, columns } => {
                    let mut names = vec![column::ROW, column::DOC_KEY];
                    names.extend(columns.iter().map(String::as_str));
                    Some(signal.read(shard, SidecarColumns::Named(&names))?)
                }
                Beside::Decisions(selection) => match selection.has_decisions(&shard.path)? {
                    true => Some(selection.read_decisions(&shard.path, SidecarColumns::All)?),
                    false => None,
                },
            };
            at.push(reader.is_some().then_some(readers.len()));
            readers.extend(reader);
        }
        for batch in zip_aligned(&shard.path, inventory, readers)? {
            self.go_on()?;
            let batch = batch?;
            let rows = batch.inventory.num_rows();
            let columns = layout.sources.iter().zip(schema.fields());
            let columns = columns.map(|(source, field)| match source {
                Source::Shard => Ok(Arc::new(StringArray::from(vec![shard.path.as_str(); rows])) as ArrayRef),
                Source::Inventory(name) => values(&batch.inventory, name),
                Source::Beside(number, name) => match at[*number] {
                    None => Ok(new_null_array(field.data_type(), rows)),
                    Some(at) => of_beside(&layout.beside[*number], &batch, at, name),
                },
            });
            let columns = columns.collect::<Result<Vec<_>>>()?;
            let table = RecordBatch::try_new(Arc::clone(schema), columns).map_err(tamis_core::Error::from)?;
            writer.write(&table)?;
            self.observer.advance(rows as u64, 0, rows as u64);
        }
        Ok(())
    }
}

fn of_beside(beside: &Beside<'_>, batch: &AlignedBatch, at: usize, name: &str) -> Result<ArrayRef> {
    match beside {
        Beside::Carried(column) => Ok(Arc::new(column.values(&batch.sidecars[at])?.clone())),
        _ => values(&batch.sidecars[at], name),
    }
}

fn values(rows: &RecordBatch, name: &str) -> Result<ArrayRef> {
    let values = rows.column_by_name(name);
    let values = values.ok_or_else(|| tamis_core::Error::MissingColumn { column: name.to_owned() })?;
    Ok(plain(values))
}

fn there_already(out: &Store, name: &str) -> Error {
    Error::state(
        format!("`{}` is there already", out.location(name)),
        "name another file, or remove that one: a table is written anew, never over another",
    )
}
