//! Near-duplicates by kind, and which of them stands for the others.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{Array, ArrayRef, Float64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use tamis_core::{Direction, ScoreBatch, column};
use tamis_io::run::{RunDirectory, ShardRecord, SignalDir, inventory_column};
use tamis_io::sidecar::{SidecarColumns, zip_aligned};
use tamis_samplers::minhash::{COMPACT, estimate};
use tamis_samplers::ordered_image;

use crate::Result;
use crate::alike::Members;
use crate::carried::Carried;
use crate::groups::{Pairs, Position, Rows};
use crate::kinds::Kinds;

/// How similar a document is to the one that stands for its group.
pub(super) const SIMILARITY: &str = "similarity";

/// Bytes of a value of a column by which documents are ordered; what follows them decides nothing.
const VALUE_BYTES: usize = 32;

/// What decides which document of a group stands first.
pub(super) enum Order {
    /// The longest text, in bytes.
    Longest,
    /// The best by a column of a stored signal.
    Signal { signal: SignalDir, column: String, direction: Direction },
    /// The last by a carried column, compared as text.
    Newest(Carried),
}

/// Near-duplicates by kind.
pub(super) struct NearDuplicates<'a> {
    pub(super) signatures: &'a SignalDir,
    pub(super) permutations: usize,
    pub(super) order: Order,
    pub(super) kinds: Kinds,
}

/// The columns that a member is made of, beside those of the inventory.
const VALUE: &str = "order";

impl Members for NearDuplicates<'_> {
    fn rows<'r>(&'r self, run: &RunDirectory, shard: &ShardRecord) -> Result<Rows<'r>> {
        let mut columns = vec![column::ROW, column::DOC_KEY, inventory_column::BYTES];
        let keys = [column::ROW, column::DOC_KEY];
        let mut sidecars =
            vec![self.signatures.read(shard, SidecarColumns::Named(&[keys[0], keys[1], COMPACT]))?];
        match &self.order {
            Order::Longest => {}
            Order::Signal { signal, column, .. } => {
                let columns = [keys[0], keys[1], column.as_str(), column::FAILED];
                sidecars.push(signal.read(shard, SidecarColumns::Named(&columns))?);
            }
            Order::Newest(carried) => {
                columns.extend(carried.in_inventory());
                sidecars.extend(carried.beside_inventory(shard)?);
            }
        }
        let inventory = run.read_inventory(&shard.path, SidecarColumns::Named(&columns))?;
        let batches = zip_aligned(&shard.path, inventory, sidecars)?;
        Ok(Box::new(batches.map(move |batch| {
            let batch = batch?;
            let of = |name: &str| {
                let missing = || tamis_core::Error::MissingColumn { column: name.to_owned() };
                batch.inventory.column_by_name(name).cloned().ok_or_else(missing)
            };
            let compact = batch.sidecars[0].column_by_name(COMPACT).cloned();
            let compact =
                compact.ok_or_else(|| tamis_core::Error::MissingColumn { column: COMPACT.to_owned() })?;
            let value: Option<ArrayRef> = match &self.order {
                Order::Longest => None,
                Order::Signal { column, .. } => {
                    let values = ScoreBatch::new(batch.sidecars[1].clone())?.values(column)?;
                    Some(Arc::new(Float64Array::from(values)))
                }
                Order::Newest(carried) => {
                    let rows = batch.sidecars.get(1).unwrap_or(&batch.inventory);
                    Some(Arc::new(carried.values(rows)?.clone()))
                }
            };
            let mut columns = vec![
                (column::DOC_KEY, of(column::DOC_KEY)?),
                (inventory_column::BYTES, of(inventory_column::BYTES)?),
                (COMPACT, compact),
            ];
            columns.extend(value.map(|value| (VALUE, value)));
            let fields: Vec<Field> = columns
                .iter()
                .map(|(name, array)| Field::new(*name, array.data_type().clone(), true))
                .collect();
            let columns = columns.into_iter().map(|(_, array)| array).collect();
            let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns);
            Ok(rows.map_err(tamis_core::Error::from)?)
        })))
    }

    fn emit(&self, first: Position, batch: &RecordBatch, pairs: &mut Pairs) -> Result<()> {
        let column = |name: &str| batch.column_by_name(name).expect("made by `rows`");
        let keys = column(column::DOC_KEY).as_fixed_size_binary();
        let bytes = column(inventory_column::BYTES).as_primitive::<UInt64Type>();
        let compact = column(COMPACT).as_fixed_size_binary();
        let order = self.order_bytes();
        let mut payload = vec![0; order + 16 + self.tail_bytes()];
        for at in 0..batch.num_rows() {
            payload.fill(0);
            match &self.order {
                Order::Longest => payload[..8].copy_from_slice(&(!bytes.value(at)).to_be_bytes()),
                Order::Signal { direction, .. } => {
                    let values = column(VALUE).as_primitive::<arrow_array::types::Float64Type>();
                    // Who has no score comes last.
                    let value =
                        Some(values.value(at)).filter(|value| values.is_valid(at) && value.is_finite());
                    let image = value.map_or(u64::MAX, |value| match direction {
                        Direction::LowerIsBetter => ordered_image(value),
                        Direction::HigherIsBetter => !ordered_image(value),
                    });
                    payload[..8].copy_from_slice(&image.to_be_bytes());
                }
                Order::Newest(_) => {
                    let values = column(VALUE).as_string::<i32>();
                    let value = if values.is_valid(at) { values.value(at).as_bytes() } else { &[] };
                    let length = value.len().min(VALUE_BYTES);
                    payload[..length].copy_from_slice(&value[..length]);
                    payload[..VALUE_BYTES].iter_mut().for_each(|byte| *byte = !*byte);
                }
            }
            payload[order..order + 16].copy_from_slice(keys.value(at));
            // One without words has no signature; it is near nobody, and stands for itself.
            if compact.is_valid(at) {
                payload[order + 16..].copy_from_slice(compact.value(at));
            }
            let mut key = [0; 16];
            key[..8].copy_from_slice(&self.kinds.of(first, at).to_be_bytes());
            pairs.push(at, &key, &payload);
        }
        Ok(())
    }

    fn order_bytes(&self) -> usize {
        match self.order {
            Order::Longest | Order::Signal { .. } => 8,
            Order::Newest(_) => VALUE_BYTES,
        }
    }

    fn tail_bytes(&self) -> usize {
        self.permutations
    }

    fn fields(&self) -> Vec<Field> {
        fields()
    }

    fn extra_bytes(&self) -> usize {
        8
    }

    fn extra(&self, first: &[u8], own: &[u8], out: &mut [u8]) {
        let similarity = if first == own { 1.0 } else { estimate(first, own).similarity };
        out.copy_from_slice(&similarity.to_le_bytes());
    }

    fn columns(&self, extras: &[Option<&[u8]>]) -> Vec<ArrayRef> {
        let similarity = |bytes: &[u8]| f64::from_le_bytes(bytes.try_into().expect("8 bytes"));
        let values = extras.iter().map(|own| own.map(similarity));
        vec![Arc::new(values.collect::<Float64Array>())]
    }
}

pub(super) fn fields() -> Vec<Field> {
    vec![Field::new(SIMILARITY, DataType::Float64, true)]
}
