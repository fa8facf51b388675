//! What a selection keeps, as the documents that a signal is computed for: dear signals are asked of what cheap ones left.
//!
//! A signal behind a gate has a row for every document, as any has; those outside it are [`reason::NOT_ASKED`], which is no failure.
//! Which documents are inside is in the fingerprint, so that what was computed from them together (a sketch, clusters) is
//! never taken for another's. A value of a row depends on no other row: it is taken over from any signal that has it and
//! differs by its gate alone, so that a wider gate computes the rest only.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, UInt32Type, UInt64Type};
use arrow_array::{
    Array, ArrayRef, BooleanArray, GenericStringArray, OffsetSizeTrait, RecordBatch, StringArray,
    new_null_array,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use arrow_select::filter::filter_record_batch;
use arrow_select::interleave::interleave;
use tamis_core::{Digest, Signal, column, reason};
use tamis_io::run::{SelectionDir, ShardRecord};
use tamis_io::sidecar::{SidecarColumns, SidecarCursor};

use crate::{Error, Result};

/// Column of a part that is being computed: whether a document is inside.
const INSIDE: &str = "gate.inside";

/// What a row counts in a part that is not computed: its number and key, without its text.
pub(crate) const CLOSED_ROW_BYTES: u64 = 16;

const SMALLEST_KEPT: &str = "smallest_kept";

/// The documents that a finished selection keeps.
#[derive(Debug)]
pub(crate) struct Gate {
    /// As it was named.
    pub(crate) name: String,
    pub(crate) selection: SelectionDir,
    /// What the largest target that counts asked for.
    pub(crate) most: f64,
    /// Documents inside.
    pub(crate) documents: u64,
    /// What decides which they are.
    pub(crate) digest: Digest,
}

impl Gate {
    /// The decisions of a shard beside its documents.
    ///
    /// # Errors
    /// Decisions that are not there.
    pub(crate) fn of_shard(&self, shard: &ShardRecord) -> Result<Inside> {
        let columns = [column::ROW, column::DOC_KEY, SMALLEST_KEPT];
        let reader = self.selection.read_decisions(&shard.path, SidecarColumns::Named(&columns))?;
        Ok(Inside { most: self.most, decisions: SidecarCursor::new(&shard.path, reader)? })
    }
}

/// Which documents of a shard are inside, in row order.
pub(crate) struct Inside {
    most: f64,
    decisions: SidecarCursor,
}

impl Inside {
    /// Of each row of a batch, whether it is inside.
    ///
    /// # Errors
    /// A row that was not decided.
    pub(crate) fn of(&mut self, batch: &RecordBatch) -> Result<BooleanArray> {
        let decided = self.decisions.beside(batch)?;
        let missing = || tamis_core::Error::MissingColumn { column: SMALLEST_KEPT.to_owned() };
        let smallest = decided.column_by_name(SMALLEST_KEPT).ok_or_else(missing)?;
        let smallest = smallest.as_primitive_opt::<Float64Type>().ok_or_else(missing)?;
        Ok(smallest
            .iter()
            .map(|smallest| Some(smallest.is_some_and(|smallest| smallest <= self.most)))
            .collect())
    }
}

impl Inside {
    /// A batch with a column of which rows are inside, for [`asked`].
    ///
    /// # Errors
    /// As [`Inside::of`].
    pub(crate) fn beside(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        let inside = self.of(batch)?;
        let mut fields: Vec<_> = batch.schema().fields().iter().cloned().collect();
        fields.push(Arc::new(Field::new(INSIDE, DataType::Boolean, false)));
        let columns = batch.columns().iter().cloned().chain([Arc::new(inside) as ArrayRef]).collect();
        let schema = Arc::new(Schema::new(fields));
        Ok(RecordBatch::try_new(schema, columns).map_err(tamis_core::Error::from)?)
    }
}

/// Which rows of a batch are inside: all, unless [`Inside::beside`] said more.
pub(crate) fn asked(batch: &RecordBatch) -> impl Fn(usize) -> bool {
    let inside = batch.column_by_name(INSIDE).map(|inside| inside.as_boolean().clone());
    move |row| inside.as_ref().is_none_or(|inside| inside.value(row))
}

/// What is known of a shard's rows before they are computed: whether they are asked, and values that stand elsewhere.
#[derive(Default)]
pub(crate) struct Known {
    pub(crate) inside: Option<Inside>,
    /// Signals that differ by their gate alone.
    pub(crate) donors: Vec<SidecarCursor>,
}

fn of_donor(number: usize, name: &str) -> String {
    format!("donor.{number}.{name}")
}

impl Known {
    fn is_nothing(&self) -> bool {
        self.inside.is_none() && self.donors.is_empty()
    }

    /// Adds to documents what is known of them; of each, whether it has to be computed.
    ///
    /// # Errors
    /// Rows that a file has not.
    pub(crate) fn attach(&mut self, batch: RecordBatch) -> Result<(RecordBatch, Option<Vec<bool>>)> {
        if self.is_nothing() {
            return Ok((batch, None));
        }
        let inside = match &mut self.inside {
            Some(inside) => inside.of(&batch)?,
            None => std::iter::repeat_n(Some(true), batch.num_rows()).collect(),
        };
        let mut open: Vec<bool> = inside.iter().map(|inside| inside == Some(true)).collect();
        let mut fields: Vec<_> = batch.schema().fields().iter().cloned().collect();
        let mut columns = Vec::new();
        let documents = batch.num_columns();
        fields.push(Arc::new(Field::new(INSIDE, DataType::Boolean, false)));
        columns.push(Arc::new(inside) as ArrayRef);
        for (number, donor) in self.donors.iter_mut().enumerate() {
            let values = donor.beside(&batch)?;
            let has = has_value(&values);
            open.iter_mut().zip(&has).for_each(|(open, has)| *open &= !has);
            for (field, values) in values.schema().fields().iter().zip(values.columns()) {
                if ![column::ROW, column::DOC_KEY].contains(&field.name().as_str()) {
                    let name = of_donor(number, field.name());
                    fields.push(Arc::new(field.as_ref().clone().with_name(name).with_nullable(true)));
                    columns.push(Arc::clone(values));
                }
            }
        }
        let mut all: Vec<ArrayRef> =
            batch.columns()[..documents].iter().map(|column| without_closed(column, &open)).collect();
        all.append(&mut columns);
        let schema = Arc::new(Schema::new(fields));
        let batch = RecordBatch::try_new(schema, all).map_err(tamis_core::Error::from)?;
        Ok((batch, Some(open)))
    }
}

/// Strings of a column without those of rows that are not computed, which would be held for nothing.
fn without_closed(column: &ArrayRef, open: &[bool]) -> ArrayRef {
    fn blank<O: OffsetSizeTrait>(column: &ArrayRef, open: &[bool]) -> ArrayRef {
        let strings = column.as_string::<O>();
        let kept =
            strings.iter().zip(open).map(|(text, open)| text.map(|text| if *open { text } else { "" }));
        Arc::new(kept.collect::<GenericStringArray<O>>())
    }
    match column.data_type() {
        DataType::Utf8 => blank::<i32>(column, open),
        DataType::LargeUtf8 => blank::<i64>(column, open),
        _ => Arc::clone(column),
    }
}

/// Rows that did not fail.
fn has_value(values: &RecordBatch) -> Vec<bool> {
    match values.column_by_name(column::FAILED).and_then(|failed| failed.as_string_opt::<i32>()) {
        Some(failed) => failed.iter().map(|why| why.is_none()).collect(),
        None => vec![true; values.num_rows()],
    }
}

/// Values of a part.
pub(crate) struct Computed {
    pub(crate) values: RecordBatch,
    /// Rows that were computed for it, and their tokens.
    pub(crate) rows: u64,
    pub(crate) tokens: u64,
}

/// Sum of a `tokens` column; 0 where there is none.
pub(crate) fn tokens_of(batch: &RecordBatch) -> u64 {
    let Some(tokens) = batch.column_by_name("tokens") else { return 0 };
    if let Some(tokens) = tokens.as_primitive_opt::<UInt32Type>() {
        return tokens.iter().flatten().map(u64::from).sum();
    }
    tokens.as_primitive_opt::<UInt64Type>().map_or(0, |tokens| tokens.iter().flatten().sum())
}

/// The values of a part, and how many rows were computed for it: the others are taken from where they stand, or are not asked.
///
/// # Errors
/// What the signal says; values of another number of rows.
pub(crate) fn values_of(signal: &dyn Signal, input: &RecordBatch) -> Result<Computed> {
    let Some(inside) = input.column_by_name(INSIDE) else {
        let values = annotate(signal, input)?;
        return Ok(Computed { rows: input.num_rows() as u64, tokens: tokens_of(&values), values });
    };
    let inside = inside.as_boolean();
    let schema = &signal.info().schema;
    let mut donors: Vec<RecordBatch> = Vec::new();
    while input.column_by_name(&of_donor(donors.len(), schema.field(0).name())).is_some() {
        donors.push(donated(input, donors.len(), schema)?);
    }
    let has: Vec<Vec<bool>> = donors.iter().map(has_value).collect();
    let donor = |row: usize| has.iter().position(|has| has[row]);
    let asked: BooleanArray =
        (0..input.num_rows()).map(|row| Some(inside.value(row) && donor(row).is_none())).collect();
    let own = input.schema().index_of(INSIDE).map_err(tamis_core::Error::from)?;
    let bare = input.project(&(0..own).collect::<Vec<_>>()).map_err(tamis_core::Error::from)?;
    let some = filter_record_batch(&bare, &asked).map_err(tamis_core::Error::from)?;
    let computed = match some.num_rows() {
        0 => RecordBatch::new_empty(Arc::clone(schema)),
        _ => annotate(signal, &some)?,
    };
    let (rows, tokens) = (computed.num_rows() as u64, tokens_of(&computed));
    let mut sources = vec![not_asked(schema)?, computed];
    sources.extend(donors);
    let mut next = 0;
    let picks: Vec<(usize, usize)> = (0..input.num_rows())
        .map(|row| match (inside.value(row), donor(row)) {
            (false, _) => (0, 0),
            (true, Some(number)) => (2 + number, row),
            (true, None) => {
                next += 1;
                (1, next - 1)
            }
        })
        .collect();
    let columns = (0..schema.fields().len())
        .map(|at| {
            let arrays: Vec<&dyn Array> = sources.iter().map(|source| &**source.column(at)).collect();
            interleave(&arrays, &picks)
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(tamis_core::Error::from)?;
    let values = RecordBatch::try_new(Arc::clone(schema), columns).map_err(tamis_core::Error::from)?;
    Ok(Computed { values, rows, tokens })
}

fn annotate(signal: &dyn Signal, input: &RecordBatch) -> Result<RecordBatch> {
    let values = signal.annotate(input)?;
    if values.num_rows() != input.num_rows() {
        let problem = format!("{} rows in, {} out", input.num_rows(), values.num_rows());
        return Err(tamis_core::Error::Corrupt { what: "signal output", problem }.into());
    }
    not_asked_before(input, values)
}

/// Where what a signal reads was not asked, the signal was not either.
fn not_asked_before(input: &RecordBatch, values: RecordBatch) -> Result<RecordBatch> {
    let schema = input.schema();
    let of_inputs = schema.fields().iter().enumerate().filter(|(_, field)| {
        field.name().strip_suffix(column::FAILED).is_some_and(|role| role.ends_with('.'))
    });
    let reasons: Vec<&StringArray> =
        of_inputs.filter_map(|(at, _)| input.column(at).as_string_opt::<i32>()).collect();
    let was_asked =
        |row: usize| reasons.iter().all(|why| why.is_null(row) || why.value(row) != reason::NOT_ASKED);
    let Ok(at) = values.schema().index_of(column::FAILED) else { return Ok(values) };
    let failed = values.column(at).as_string::<i32>();
    let changes =
        |row: usize| !failed.is_null(row) && failed.value(row) == reason::INPUT_FAILED && !was_asked(row);
    if !(0..failed.len()).any(changes) {
        return Ok(values);
    }
    let failed: StringArray = (0..failed.len())
        .map(|row| match (changes(row), failed.is_null(row)) {
            (true, _) => Some(reason::NOT_ASKED),
            (false, true) => None,
            (false, false) => Some(failed.value(row)),
        })
        .collect();
    let mut columns = values.columns().to_vec();
    columns[at] = Arc::new(failed);
    Ok(RecordBatch::try_new(values.schema(), columns).map_err(tamis_core::Error::from)?)
}

/// Values without those of rows that are not inside.
///
/// # Errors
/// As [`values_of`].
pub(crate) fn only_inside(values: &RecordBatch, inside: &BooleanArray) -> Result<RecordBatch> {
    let outside = not_asked(&values.schema())?;
    let picks: Vec<(usize, usize)> = inside
        .iter()
        .enumerate()
        .map(|(at, inside)| if inside == Some(true) { (1, at) } else { (0, 0) })
        .collect();
    let columns = values.columns().iter().zip(outside.columns());
    let columns = columns.map(|(values, outside)| interleave(&[&**outside, &**values], &picks));
    let columns = columns.collect::<Result<Vec<_>, _>>().map_err(tamis_core::Error::from)?;
    Ok(RecordBatch::try_new(values.schema(), columns).map_err(tamis_core::Error::from)?)
}

/// One row of what was not asked.
fn not_asked(schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = schema
        .fields()
        .iter()
        .map(|field| match field.name().as_str() {
            column::FAILED => Arc::new(StringArray::from(vec![reason::NOT_ASKED])) as ArrayRef,
            _ => new_null_array(field.data_type(), 1),
        })
        .collect();
    let all_may_be_null = schema.fields().iter().all(|field| field.is_nullable());
    if !all_may_be_null {
        return Err(Error::usage(
            "the signal has a value for every document, and cannot be asked of some alone",
            "leave --on out",
        ));
    }
    Ok(RecordBatch::try_new(Arc::clone(schema), columns).map_err(tamis_core::Error::from)?)
}

fn donated(input: &RecordBatch, number: usize, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = schema
        .fields()
        .iter()
        .map(|field| {
            let name = of_donor(number, field.name());
            let column = input.column_by_name(&name);
            column.cloned().ok_or(tamis_core::Error::MissingColumn { column: name })
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(RecordBatch::try_new(Arc::clone(schema), columns).map_err(tamis_core::Error::from)?)
}
