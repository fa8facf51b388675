//! Each document against the earlier ones of its clusters: a grouping by cluster, in tiles.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{UInt32Type, UInt64Type};
use arrow_array::{
    Array, ArrayRef, FixedSizeBinaryArray, Float32Array, RecordBatch, UInt32Array, UInt64Array,
};
use arrow_schema::{DataType, Field, Schema};
use half::f16;
use tamis_core::{DocKey, EmbeddingBatch, Fingerprint, Input, InputSignal, ScoreBatch};
use tamis_io::run::{RunDirectory, ShardRecord, SignalDir};
use tamis_samplers::{NearestEarlier, OrderedTile, UniformDraws, clusters, ordered_image};

use super::KeepOrder;
use crate::Result;
use crate::groups::{Group, Grouping, GroupingInfo, Pairs, Position, RowResults, Rows, Tile};
use crate::project::Project;

pub(super) const EMBEDDING: &str = "embedding";
pub(super) const CLUSTERS: &str = "clusters";

/// Columns of what is found.
pub(super) const COSINE: &str = "cosine";
pub(super) const NEAREST: &str = "nearest";
pub(super) const LINK: &str = "link";
pub(super) const ORDER: &str = "order";
pub(super) const CLUSTER: &str = "cluster";

/// Bytes of embeddings of a tile at most.
const TILE_BYTES: usize = 4 << 20;

const ORDER_BYTES: usize = 8;
const KEY_BYTES: usize = 16;
/// Where the embedding begins in a payload: after order, key and own cluster.
const HEAD: usize = ORDER_BYTES + KEY_BYTES + 4;
/// Cosine, key and place of the nearest, own order and cluster.
const RESULT_BYTES: usize = 4 + KEY_BYTES + 8 + ORDER_BYTES + 4;
/// The place of nobody.
const NOBODY: u64 = u64::MAX;

/// Documents by cluster.
pub(super) struct ClusterPairs<'a> {
    project: &'a Project,
    /// Says which generations of its inputs are read.
    reader: &'a SignalDir,
    signals: Vec<InputSignal>,
    keep: KeepOrder,
    draws: UniformDraws,
    probe: usize,
    dimension: usize,
    /// Whether embeddings are stored as 16-bit floats, and so handed on.
    half: bool,
    info: GroupingInfo,
}

impl<'a> ClusterPairs<'a> {
    pub(super) fn new(
        project: &'a Project,
        reader: &'a SignalDir,
        fingerprint: Fingerprint,
        (keep, seed, probe): (KeepOrder, u64, usize),
        (dimension, half): (usize, bool),
    ) -> Self {
        let bytes = dimension * if half { 2 } else { 4 };
        let schema = Schema::new(vec![
            Field::new(COSINE, DataType::Float32, true),
            Field::new(NEAREST, DataType::FixedSizeBinary(KEY_BYTES as i32), true),
            Field::new(LINK, DataType::UInt64, true),
            Field::new(ORDER, DataType::UInt64, true),
            Field::new(CLUSTER, DataType::UInt32, true),
        ]);
        let info = GroupingInfo {
            name: "semdedup-pairs".to_owned(),
            stage: Some("compare within clusters".to_owned()),
            fingerprint,
            schema: Arc::new(schema),
            pairs_a_row: probe as u64,
            payload_bytes: HEAD + bytes,
            result_bytes: RESULT_BYTES,
            tile_rows: (TILE_BYTES / (4 * dimension)).clamp(64, 4096) as u64,
        };
        let signals = reader.record().inputs.iter();
        let signals = signals.map(|(role, name)| InputSignal { role: role.clone(), name: name.clone() });
        Self {
            project,
            reader,
            signals: signals.collect(),
            keep,
            draws: UniformDraws::new(seed, "semdedup-keep"),
            probe,
            dimension,
            half,
            info,
        }
    }

    /// The place in the order of a cluster: smaller is earlier.
    fn order(&self, key: DocKey, similarity: f64) -> u64 {
        match self.keep {
            KeepOrder::Farthest => ordered_image(similarity),
            KeepOrder::Nearest => !ordered_image(similarity),
            KeepOrder::Seed => self.draws.bits(key),
        }
    }

    fn put(&self, embedding: &[f32], out: &mut [u8]) {
        if self.half {
            let bytes = out.chunks_exact_mut(2);
            bytes.zip(embedding).for_each(|(out, x)| out.copy_from_slice(&f16::from_f32(*x).to_le_bytes()));
        } else {
            out.chunks_exact_mut(4).zip(embedding).for_each(|(out, x)| out.copy_from_slice(&x.to_le_bytes()));
        }
    }

    fn tile(&self, members: &Tile) -> OrderedTile {
        let mut values = Vec::with_capacity(members.len() * self.dimension);
        for at in 0..members.len() {
            let bytes = &members.payload(at)[HEAD..];
            if self.half {
                values.extend(bytes.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()));
            } else {
                values.extend(bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])));
            }
        }
        OrderedTile::new(values, self.dimension)
    }
}

impl Grouping for ClusterPairs<'_> {
    fn info(&self) -> &GroupingInfo {
        &self.info
    }

    fn rows<'r>(&'r self, _run: &RunDirectory, shard: &ShardRecord) -> Result<Rows<'r>> {
        let mut rows = self.project.rows_of_signals(&self.signals, self.reader, shard)?;
        Ok(Box::new(std::iter::from_fn(move || rows.as_mut().and_then(|rows| rows.next().transpose()))))
    }

    fn emit(&self, _first: Position, batch: &RecordBatch, pairs: &mut Pairs) -> Result<()> {
        let embeddings = EmbeddingBatch::new(Input::of_role(batch, EMBEDDING)?)?;
        let of_clusters = ScoreBatch::new(Input::of_role(batch, CLUSTERS)?)?;
        let similarities = of_clusters.values(clusters::SIMILARITY)?;
        let of_clusters = Input::of_role(batch, CLUSTERS)?;
        let number = |name: &str| {
            let missing = || tamis_core::Error::MissingColumn { column: name.to_owned() };
            let column = of_clusters.column_by_name(name).ok_or_else(missing)?;
            column.as_primitive_opt::<UInt32Type>().cloned().ok_or_else(missing)
        };
        let (own, second) = (number(clusters::CLUSTER)?, number(clusters::SECOND)?);
        let mut embedding = vec![0.0; self.dimension];
        let mut payload = vec![0; self.info.payload_bytes];
        for (at, similarity) in similarities.into_iter().enumerate() {
            let Some(similarity) = similarity.filter(|_| embeddings.is_valid(at)) else { continue };
            embeddings.read_into(at, &mut embedding);
            let key = embeddings.doc_key(at);
            payload[..ORDER_BYTES].copy_from_slice(&self.order(key, similarity).to_be_bytes());
            payload[ORDER_BYTES..ORDER_BYTES + KEY_BYTES].copy_from_slice(&key.to_bytes());
            payload[ORDER_BYTES + KEY_BYTES..HEAD].copy_from_slice(&own.value(at).to_le_bytes());
            self.put(&embedding, &mut payload[HEAD..]);
            let clusters = [own.value(at), second.value(at)];
            let different = if clusters[0] == clusters[1] { 1 } else { 2 };
            for cluster in &clusters[..self.probe.min(different)] {
                let mut key = [0; 16];
                key[..4].copy_from_slice(&cluster.to_be_bytes());
                pairs.push(at, &key, &payload);
            }
        }
        Ok(())
    }

    fn group(&self, group: &mut Group<'_>) -> Result<()> {
        let (mut members, mut earlier) = (Tile::default(), Tile::default());
        let tile_rows = self.info.tile_rows;
        let mut only = None;
        for number in 0..group.tiles() {
            group.tile(number, &mut members)?;
            let tile = self.tile(&members);
            let first = number * tile_rows;
            let mut best = vec![NearestEarlier::NONE; tile.len()];
            for before in 0..number {
                // Of two tiles the first is held; of more they are read again, so that memory holds two.
                if only.as_ref().is_none_or(|(held, _)| *held != before) {
                    group.tile(before, &mut earlier)?;
                    only = Some((before, self.tile(&earlier)));
                }
                let (_, held) = only.as_ref().expect("read just now");
                tile.against(held, before * tile_rows, &mut best);
            }
            tile.among(first, &mut best);
            let mut results = Vec::with_capacity(best.len());
            for (at, best) in best.iter().enumerate() {
                let mut result = [0; RESULT_BYTES];
                result[..4].copy_from_slice(&best.cosine.to_le_bytes());
                result[20..28].copy_from_slice(&NOBODY.to_le_bytes());
                result[28..40].copy_from_slice(
                    &members.payload(at)[..ORDER_BYTES]
                        .iter()
                        .chain(&members.payload(at)[ORDER_BYTES + KEY_BYTES..HEAD])
                        .copied()
                        .collect::<Vec<u8>>(),
                );
                results.push((members.place(at), *best, result));
            }
            // Who the nearest ones are, tile by tile.
            for before in 0..=number {
                let range = before * tile_rows..(before + 1) * tile_rows;
                let wanted = |best: &NearestEarlier| best.at.is_some_and(|at| range.contains(&at));
                if !results.iter().any(|(_, best, _)| wanted(best)) {
                    continue;
                }
                let named = if before == number {
                    &members
                } else {
                    group.tile(before, &mut earlier)?;
                    &earlier
                };
                for (_, best, result) in results.iter_mut().filter(|(_, best, _)| wanted(best)) {
                    let at = (best.at.expect("wanted") - range.start) as usize;
                    result[4..20].copy_from_slice(&named.payload(at)[ORDER_BYTES..ORDER_BYTES + KEY_BYTES]);
                    result[20..28].copy_from_slice(&group.number(named.place(at)).to_le_bytes());
                }
            }
            for (place, _, result) in results {
                group.give(place, &result)?;
            }
        }
        Ok(())
    }

    fn values(&self, results: &RowResults<'_>) -> Result<RecordBatch> {
        let rows = results.rows();
        let mut best: Vec<Option<&[u8]>> = vec![None; rows];
        let cosine = |result: &[u8]| f32::from_le_bytes([result[0], result[1], result[2], result[3]]);
        for (row, result) in results.iter() {
            let held = best[row].get_or_insert(result);
            // Of two clusters the nearer neighbour; of two as near the one with the smaller key.
            let better = |a: &[u8], b: &[u8]| {
                cosine(a).total_cmp(&cosine(b)).then_with(|| b[4..20].cmp(&a[4..20])).is_gt()
            };
            if better(result, held) {
                *held = result;
            }
        }
        let of = |row: usize| best[row];
        let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("8 bytes"));
        let link = |row: usize| of(row).map(|result| word(&result[20..28])).filter(|place| *place != NOBODY);
        let nearest =
            (0..rows).map(|row| of(row).filter(|_| link(row).is_some()).map(|result| &result[4..20]));
        let columns: Vec<ArrayRef> = vec![
            Arc::new((0..rows).map(|row| of(row).map(cosine)).collect::<Float32Array>()),
            Arc::new(
                FixedSizeBinaryArray::try_from_sparse_iter_with_size(nearest, KEY_BYTES as i32)
                    .map_err(tamis_core::Error::from)?,
            ),
            Arc::new((0..rows).map(link).collect::<UInt64Array>()),
            Arc::new(
                (0..rows)
                    .map(|row| {
                        of(row).map(|result| u64::from_be_bytes(result[28..36].try_into().expect("8 bytes")))
                    })
                    .collect::<UInt64Array>(),
            ),
            Arc::new(
                (0..rows)
                    .map(|row| {
                        of(row).map(|result| u32::from_le_bytes(result[36..40].try_into().expect("4 bytes")))
                    })
                    .collect::<UInt32Array>(),
            ),
        ];
        let batch = RecordBatch::try_new(Arc::clone(&self.info.schema), columns);
        Ok(batch.map_err(tamis_core::Error::from)?)
    }
}

/// The links of some rows whose cosine is more than `above`.
pub(super) fn links(values: &RecordBatch, above: f32) -> Result<Vec<Option<u64>>> {
    let missing = |name: &str| tamis_core::Error::MissingColumn { column: name.to_owned() };
    let cosines = values
        .column_by_name(COSINE)
        .and_then(|column| column.as_primitive_opt::<arrow_array::types::Float32Type>())
        .ok_or_else(|| missing(COSINE))?;
    let links = values
        .column_by_name(LINK)
        .and_then(|column| column.as_primitive_opt::<UInt64Type>())
        .ok_or_else(|| missing(LINK))?;
    let link = |at: usize| links.is_valid(at).then(|| links.value(at)).filter(|_| cosines.value(at) > above);
    Ok((0..values.num_rows()).map(link).collect())
}
