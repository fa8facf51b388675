//! What a signal reads of a shard beside its documents, or instead of them: rows of other signals, each beside its document.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::Schema;
use tamis_core::{Input, InputSignal, column};
use tamis_io::run::{CorpusVersion, ShardRecord, SignalDir};
use tamis_io::sidecar::{SidecarColumns, SidecarCursor, SidecarReader};

use crate::Result;
use crate::project::Project;

/// The sidecars of a shard that are read beside something else, in row order.
pub(crate) struct Beside {
    cursors: Vec<(String, SidecarCursor)>,
}

impl Beside {
    /// Adds to a batch the columns of every role.
    ///
    /// # Errors
    /// A row that a sidecar has not, or has for another document; a sidecar that cannot be read.
    pub(crate) fn attach(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        if self.cursors.is_empty() {
            return Ok(batch.clone());
        }
        let mut fields: Vec<_> = batch.schema().fields().iter().cloned().collect();
        let mut columns = batch.columns().to_vec();
        for (role, cursor) in &mut self.cursors {
            let values = Input::in_role(&cursor.beside(batch)?, role)?;
            for (field, values) in values.schema().fields().iter().zip(values.columns()) {
                if ![column::ROW, column::DOC_KEY].contains(&field.name().as_str()) {
                    fields.push(Arc::clone(field));
                    columns.push(Arc::clone(values));
                }
            }
        }
        let schema = Arc::new(Schema::new(fields));
        Ok(RecordBatch::try_new(schema, columns).map_err(tamis_core::Error::from)?)
    }
}

/// Rows of a signal that is read without documents, and of the others beside it.
pub(crate) struct Rows {
    role: String,
    first: SidecarReader,
    beside: Beside,
}

impl Rows {
    /// The next rows, in the columns that the reading signal gets.
    ///
    /// # Errors
    /// As [`Beside::attach`].
    pub(crate) fn next(&mut self) -> Result<Option<RecordBatch>> {
        let Some(batch) = self.first.next().transpose()? else { return Ok(None) };
        self.beside.attach(&Input::in_role(&batch, &self.role)?).map(Some)
    }
}

impl Project {
    /// The signals that are read beside the documents of a shard.
    ///
    /// # Errors
    /// One that is not there, or not finished for the shard.
    pub(crate) fn beside_documents(
        &self,
        signals: &[InputSignal],
        directory: &SignalDir,
        shard: &ShardRecord,
    ) -> Result<Beside> {
        let mut cursors = Vec::with_capacity(signals.len());
        for signal in signals {
            let sidecar = self.input_of(signal, directory, shard)?;
            cursors.push((signal.role.clone(), SidecarCursor::new(&shard.path, sidecar)?));
        }
        Ok(Beside { cursors })
    }

    /// The signals that are read without documents; `None` where there are none.
    ///
    /// # Errors
    /// As [`Project::beside_documents`].
    pub(crate) fn rows_of_signals(
        &self,
        signals: &[InputSignal],
        directory: &SignalDir,
        shard: &ShardRecord,
    ) -> Result<Option<Rows>> {
        let Some((first, others)) = signals.split_first() else { return Ok(None) };
        Ok(Some(Rows {
            role: first.role.clone(),
            first: self.input_of(first, directory, shard)?,
            beside: self.beside_documents(others, directory, shard)?,
        }))
    }

    fn input_of(
        &self,
        signal: &InputSignal,
        directory: &SignalDir,
        shard: &ShardRecord,
    ) -> Result<SidecarReader> {
        let input = self.run.resolve(&signal.name)?.at(directory.input_generations(&signal.name));
        Ok(input.read(shard, SidecarColumns::All)?)
    }

    /// A signal whose shards are computed from the generations of its inputs as they are now, whatever is finished later.
    ///
    /// # Errors
    /// An input that is not there.
    pub(crate) fn reading_latest(&self, version: &CorpusVersion, directory: SignalDir) -> Result<SignalDir> {
        let inputs: Vec<String> = directory.record().reads().into_iter().map(str::to_owned).collect();
        let mut reading = directory;
        for name in inputs {
            let generations: BTreeMap<String, u64> = self.run.resolve(&name)?.pinned(version)?.generations();
            reading = reading.reading(&name, generations);
        }
        Ok(reading)
    }
}
