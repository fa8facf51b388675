//! Documents that agree in a band: a grouping by band key.

use std::sync::Arc;

use arrow_array::builder::{ListBuilder, UInt64Builder};
use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use tamis_core::Fingerprint;
use tamis_io::run::{RunDirectory, ShardRecord, SignalDir};
use tamis_io::sidecar::{SidecarColumns, SidecarCursor};
use tamis_samplers::minhash::BANDS;
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128};

use crate::Result;
use crate::carried::Carried;
use crate::groups::{Group, Grouping, GroupingInfo, Pairs, Position, RowResults, Rows, Tile};

/// Rows that a row is linked to.
pub(super) const LINKS: &str = "links";

/// Documents by band.
///
/// Every member of a group is linked to its first; what is linked is a component, whichever the first is. Where links are looked at
/// one by one, members stand by the keys of their documents, and each is linked to the one before it too: of three documents the
/// last may be near the second and not the first. Copies agree in all bands, and one link of them is kept.
pub(super) struct Bands<'a> {
    signatures: &'a SignalDir,
    within: Option<&'a Carried>,
    one_by_one: bool,
    info: GroupingInfo,
}

impl<'a> Bands<'a> {
    pub(super) fn new(
        signatures: &'a SignalDir,
        within: Option<&'a Carried>,
        (bands, one_by_one): (usize, bool),
        fingerprint: Fingerprint,
    ) -> Self {
        let links = DataType::List(Arc::new(Field::new_list_field(DataType::UInt64, true)));
        let info = GroupingInfo {
            name: "minhash-bands".to_owned(),
            stage: Some("group bands".to_owned()),
            fingerprint,
            schema: Arc::new(Schema::new(vec![Field::new(LINKS, links, true)])),
            pairs_a_row: bands as u64,
            payload_bytes: if one_by_one { 16 } else { 0 },
            result_bytes: 8,
            tile_rows: 1 << 14,
        };
        Self { signatures, within, one_by_one, info }
    }
}

impl Grouping for Bands<'_> {
    fn info(&self) -> &GroupingInfo {
        &self.info
    }

    fn rows<'r>(&'r self, run: &RunDirectory, shard: &ShardRecord) -> Result<Rows<'r>> {
        let columns = [tamis_core::column::ROW, tamis_core::column::DOC_KEY, BANDS];
        let signatures = self.signatures.read(shard, SidecarColumns::Named(&columns))?;
        let Some(within) = self.within else { return Ok(Box::new(signatures.map(|batch| Ok(batch?)))) };
        // The scope beside each signature.
        let scopes = match within.beside_inventory(shard)? {
            Some(sidecar) => sidecar,
            None => {
                let name = within.in_inventory().unwrap_or_default();
                let columns = [tamis_core::column::ROW, tamis_core::column::DOC_KEY, name];
                run.read_inventory(&shard.path, SidecarColumns::Named(&columns))?
            }
        };
        let mut cursor = SidecarCursor::new(&shard.path, scopes)?;
        Ok(Box::new(signatures.map(move |batch| {
            let batch = batch?;
            let beside = cursor.beside(&batch)?;
            let scope = within.values(&beside)?;
            let mut fields: Vec<_> = batch.schema().fields().iter().cloned().collect();
            fields.push(Arc::new(Field::new(SCOPE, DataType::Utf8, true)));
            let mut columns = batch.columns().to_vec();
            columns.push(Arc::new(scope.clone()));
            Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
                .map_err(tamis_core::Error::from)?)
        })))
    }

    fn emit(&self, _first: Position, batch: &RecordBatch, pairs: &mut Pairs) -> Result<()> {
        let missing = || tamis_core::Error::MissingColumn { column: BANDS.to_owned() };
        let bands = batch.column_by_name(BANDS).and_then(|column| column.as_fixed_size_list_opt());
        let bands = bands.ok_or_else(missing)?;
        let documents =
            batch.column_by_name(tamis_core::column::DOC_KEY).ok_or_else(missing)?.as_fixed_size_binary();
        let scopes = batch.column_by_name(SCOPE).map(|column| column.as_string::<i32>().clone());
        for at in (0..batch.num_rows()).filter(|&at| bands.is_valid(at)) {
            let keys = bands.value(at);
            let keys = keys.as_primitive_opt::<UInt64Type>().ok_or_else(missing)?;
            let scope = match &scopes {
                Some(scopes) if scopes.is_valid(at) => xxh3_64_with_seed(scopes.value(at).as_bytes(), 1),
                _ => 0,
            };
            for (band, key) in keys.values().iter().enumerate() {
                let mut bytes = [0; 24];
                bytes[..8].copy_from_slice(&key.to_le_bytes());
                bytes[8..16].copy_from_slice(&(band as u64).to_le_bytes());
                bytes[16..].copy_from_slice(&scope.to_le_bytes());
                let payload = if self.one_by_one { documents.value(at) } else { &[] };
                pairs.push(at, &xxh3_128(&bytes).to_le_bytes(), payload);
            }
        }
        Ok(())
    }

    fn group(&self, group: &mut Group<'_>) -> Result<()> {
        if group.members() == 1 {
            return Ok(());
        }
        let mut tile = Tile::default();
        let (mut first, mut last) = (None, None);
        for number in 0..group.tiles() {
            group.tile(number, &mut tile)?;
            for at in 0..tile.len() {
                let place = tile.place(at);
                let own = group.number(place);
                let first: u64 = *first.get_or_insert(own);
                if first != own {
                    group.give(place, &first.to_be_bytes())?;
                }
                if let Some(last) = last.replace(own).filter(|last: &u64| self.one_by_one && *last != first) {
                    group.give(place, &last.to_be_bytes())?;
                }
            }
        }
        Ok(())
    }

    fn values(&self, results: &RowResults<'_>) -> Result<RecordBatch> {
        let rows = results.rows();
        let mut links = ListBuilder::new(UInt64Builder::new());
        let mut results =
            results.iter().map(|(row, link)| (row, u64::from_be_bytes(link.try_into().expect("8 bytes"))));
        let mut next = results.next();
        for row in 0..rows {
            let mut last = None;
            while let Some((_, link)) = next.filter(|(at, _)| *at == row) {
                // Copies agree in every band, and their links come sorted.
                if last.replace(link) != Some(link) {
                    links.values().append_value(link);
                }
                next = results.next();
            }
            links.append(true);
        }
        let array = links.finish();
        let batch = RecordBatch::try_new(Arc::clone(&self.info.schema), vec![Arc::new(array)]);
        Ok(batch.map_err(tamis_core::Error::from)?)
    }
}

/// The column of the scope, beside the signatures.
const SCOPE: &str = "scope";
