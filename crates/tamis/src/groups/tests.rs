//! Groupings of generated corpora beside what a few lines in memory make of them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{Array, ArrayRef, UInt64Array};
use arrow_schema::{DataType, Field, Schema};
use proptest::prelude::*;
use tamis_core::column;

use super::*;
use crate::Silent;
use crate::options::CorpusOptions;

/// A row: a number of its own, and the keys that it emits; `None` for one that cannot be read.
type Row = Option<(u64, Vec<u8>)>;

/// Rows whose id says which pairs they emit. A member learns how many before it leave the same remainder, and how many there are.
struct Numbers {
    info: GroupingInfo,
    reads: AtomicU64,
}

const RESULT_BYTES: usize = 16;

fn result(before: u64, members: u64) -> [u8; RESULT_BYTES] {
    let mut result = [0; RESULT_BYTES];
    result[..8].copy_from_slice(&before.to_be_bytes());
    result[8..].copy_from_slice(&members.to_be_bytes());
    result
}

fn alike(a: u64, b: u64) -> bool {
    a % 3 == b % 3
}

impl Numbers {
    fn new(version: &CorpusVersion, pairs_a_row: u64) -> Self {
        let fields = ["results", "digest"].map(|name| Field::new(name, DataType::UInt64, true));
        let digests: Vec<&str> = version.shards.iter().map(|shard| shard.digest.as_str()).collect();
        let info = GroupingInfo {
            name: "numbers".to_owned(),
            stage: None,
            fingerprint: Fingerprint::new("numbers", 1).with("corpus", digests.join(" ")),
            schema: Arc::new(Schema::new(fields.to_vec())),
            pairs_a_row,
            payload_bytes: 8,
            result_bytes: RESULT_BYTES,
            tile_rows: 7,
        };
        Self { info, reads: AtomicU64::new(0) }
    }
}

fn number(tile: &Tile, at: usize) -> u64 {
    u64::from_be_bytes(tile.payload(at).try_into().unwrap())
}

impl Grouping for Numbers {
    fn info(&self) -> &GroupingInfo {
        &self.info
    }

    fn rows<'a>(&'a self, run: &RunDirectory, shard: &ShardRecord) -> Result<Rows<'a>> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let inventory = run.read_inventory(&shard.path, SidecarColumns::Named(&[column::ID]))?;
        // Batches of a few rows, as sidecars of wide rows have them.
        let batches = inventory.flat_map(|batch| {
            let batch = batch.unwrap();
            let starts = (0..batch.num_rows()).step_by(5);
            starts.map(|at| Ok(batch.slice(at, 5.min(batch.num_rows() - at)))).collect::<Vec<_>>()
        });
        Ok(Box::new(batches))
    }

    fn emit(&self, _: Position, batch: &RecordBatch, pairs: &mut Pairs) -> Result<()> {
        for (row, id) in batch.column(0).as_string::<i32>().iter().enumerate() {
            let (number, keys) = id.unwrap().split_once(':').unwrap();
            let number: u64 = number.parse().unwrap();
            for key in keys.split(',').filter(|key| !key.is_empty()) {
                let key = u128::from(key.parse::<u8>().unwrap()).to_be_bytes();
                pairs.push(row, &key, &number.to_be_bytes());
            }
        }
        Ok(())
    }

    fn group(&self, group: &mut Group<'_>) -> Result<()> {
        let (mut tile, mut other) = (Tile::default(), Tile::default());
        for number_of_tile in 0..group.tiles() {
            group.tile(number_of_tile, &mut tile)?;
            assert!(tile.len() <= 7);
            let mut before = vec![0; tile.len()];
            for earlier in 0..=number_of_tile {
                group.tile(earlier, &mut other)?;
                for (at, before) in before.iter_mut().enumerate() {
                    let until = if earlier < number_of_tile { other.len() } else { at };
                    let like = |b: &usize| alike(number(&tile, at), number(&other, *b));
                    *before += (0..until).filter(like).count() as u64;
                }
            }
            for (at, before) in before.into_iter().enumerate() {
                group.give(tile.place(at), &result(before, group.members()))?;
            }
        }
        Ok(())
    }

    fn values(&self, results: &RowResults<'_>) -> Result<RecordBatch> {
        let mut of_rows: Vec<Vec<&[u8]>> = vec![Vec::new(); results.rows()];
        results.iter().for_each(|(row, result)| of_rows[row].push(result));
        let columns = [
            UInt64Array::from_iter(of_rows.iter().map(|row| values_of(row).map(|values| values.0))),
            UInt64Array::from_iter(of_rows.iter().map(|row| values_of(row).map(|values| values.1))),
        ];
        let columns = columns.map(|column| Arc::new(column) as ArrayRef);
        Ok(RecordBatch::try_new(Arc::clone(&self.info.schema), columns.to_vec()).unwrap())
    }
}

/// Number and digest of the results of a row that has any.
fn values_of(results: &[&[u8]]) -> Option<(u64, u64)> {
    (!results.is_empty()).then(|| (results.len() as u64, xxh3_64(&results.concat())))
}

fn naive(rows: &[&(u64, Vec<u8>)]) -> BTreeMap<u64, Option<(u64, u64)>> {
    let mut groups: BTreeMap<u8, Vec<u64>> = BTreeMap::new();
    for (number, keys) in rows {
        keys.iter().for_each(|key| groups.entry(*key).or_default().push(*number));
    }
    let mut results: BTreeMap<u64, Vec<[u8; RESULT_BYTES]>> =
        rows.iter().map(|(number, _)| (*number, Vec::new())).collect();
    for members in groups.values_mut() {
        members.sort_unstable();
        for (at, number) in members.iter().enumerate() {
            let before = members[..at].iter().filter(|other| alike(**other, *number)).count();
            results.get_mut(number).unwrap().push(result(before as u64, members.len() as u64));
        }
    }
    let sorted = |mut results: Vec<[u8; RESULT_BYTES]>| {
        results.sort_unstable();
        values_of(&results.iter().map(<[u8; RESULT_BYTES]>::as_slice).collect::<Vec<_>>())
    };
    results.into_iter().map(|(number, results)| (number, sorted(results))).collect()
}

fn write(folder: &Path, shards: &[Vec<Row>], name: &str) {
    for (at, rows) in shards.iter().enumerate() {
        let lines: String = rows
            .iter()
            .map(|row| match row {
                None => "{\n".to_owned(),
                Some((number, keys)) => {
                    let keys: Vec<String> = keys.iter().map(u8::to_string).collect();
                    format!("{{\"id\": \"{number}:{}\", \"text\": \"{number}\"}}\n", keys.join(","))
                }
            })
            .collect();
        std::fs::write(folder.join(format!("{name}{at}.jsonl")), lines).unwrap();
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// What a grouping says of each row, by its number, and the files that it leaves.
struct Outcome {
    values: BTreeMap<u64, Option<(u64, u64)>>,
    files: BTreeMap<String, Vec<u8>>,
    shards: u64,
    reads: u64,
}

fn group(corpus: &Path, memory: u64, threads: usize, pairs_a_row: u64, keep: Keep) -> Outcome {
    let run = folder();
    let options = CorpusOptions::new(corpus.to_str().unwrap());
    let project = Project::open(Some(options), run.path(), threads, Arc::new(Silent)).unwrap();
    let project = project.with_grouping_memory(memory);
    let (version, _) = project.inventory_with(None).unwrap();
    let grouping = Numbers::new(&version, pairs_a_row);
    let grouped = project.grouped(&version, &grouping, keep).unwrap();
    let mut values = BTreeMap::new();
    for (at, shard) in version.shards.iter().enumerate() {
        let mut numbers = Vec::new();
        for batch in project.run.read_inventory(&shard.path, SidecarColumns::Named(&[column::ID])).unwrap() {
            let batch = batch.unwrap();
            let ids = batch.column(0).as_string::<i32>().iter();
            numbers.extend(ids.map(|id| id.unwrap().split_once(':').unwrap().0.parse::<u64>().unwrap()));
        }
        let mut numbers = numbers.into_iter();
        grouped
            .read(at, |batch| {
                let column = |at: usize| batch.column(at).as_primitive::<UInt64Type>();
                for row in 0..batch.num_rows() {
                    let value = column(0).is_valid(row).then(|| (column(0).value(row), column(1).value(row)));
                    assert_eq!(values.insert(numbers.next().unwrap(), value), None);
                }
                Ok(())
            })
            .unwrap();
        assert_eq!(numbers.next(), None);
    }
    let store = project.run.store();
    let files = store.list("groups").unwrap();
    let files = files.into_iter().map(|file| (file.path.clone(), store.read(&file.path).unwrap().to_vec()));
    let reads = grouping.reads.load(Ordering::SeqCst);
    Outcome { values, files: files.collect(), shards: version.shards.len() as u64, reads }
}

/// Rows of one corpus, cut into shards.
fn corpora() -> impl Strategy<Value = (Vec<Vec<Row>>, Vec<usize>)> {
    let keys = prop_oneof![
        3 => proptest::collection::vec(0_u8..6, 0..5),
        1 => Just(vec![0]),
        1 => proptest::collection::vec(any::<u8>(), 0..3),
    ];
    let row = prop_oneof![12 => keys.prop_map(Some), 1 => Just(None)];
    let shards = proptest::collection::vec(proptest::collection::vec(row, 0..60), 1..5);
    let shards = shards.prop_map(|shards| {
        let mut number = 0;
        let mut of = |row: Option<Vec<u8>>| {
            number += 1;
            row.map(|keys| (number * 7919 % 1_000_003, keys))
        };
        shards.into_iter().map(|rows| rows.into_iter().map(&mut of).collect()).collect()
    });
    (shards, proptest::collection::vec(0_usize..4, 300))
}

fn check(shards: &[Vec<Row>], other: &[Vec<Row>]) {
    let rows: Vec<&(u64, Vec<u8>)> = shards.iter().flatten().flatten().collect();
    if rows.is_empty() {
        return;
    }
    let expected = naive(&rows);
    let (corpus, layout) = (folder(), folder());
    write(corpus.path(), shards, "s");
    write(layout.path(), other, "another");
    let mut first: Option<Outcome> = None;
    for (memory, threads, pairs_a_row, keep) in [
        (1 << 30, 2, 3, Keep::InRun),
        (1 << 30, 1, 3, Keep::Nothing),
        (1, 2, 3, Keep::Nothing),
        (3000, 1, 3, Keep::InRun),
        (1, 3, 1, Keep::InRun),
        (4000, 2, 0, Keep::InRun),
    ] {
        let outcome = group(corpus.path(), memory, threads, pairs_a_row, keep);
        let what = format!("memory {memory}, threads {threads}, {pairs_a_row} pairs a row, {keep:?}");
        assert_eq!(outcome.values, expected, "{what}");
        assert!(outcome.files.keys().all(|file| !file.contains("/.work/")), "{what}");
        if keep == Keep::Nothing || memory == 1 << 30 {
            assert!(outcome.files.is_empty(), "{what}: {:?}", outcome.files.keys());
        }
        if !outcome.files.is_empty() {
            if pairs_a_row > 0 {
                assert_eq!(outcome.reads, outcome.shards, "{what}");
            }
            let first = first.get_or_insert_with(|| group(corpus.path(), 1, 2, 3, keep));
            assert!(first.files == outcome.files, "{what}: other files");
        }
        if memory == 1 << 30 {
            assert_eq!(outcome.reads, outcome.shards, "{what}");
        }
    }
    for memory in [1 << 30, 1000] {
        assert_eq!(group(layout.path(), memory, 2, 3, Keep::InRun).values, expected, "another layout");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn every_way_gives_what_a_few_lines_give((shards, layout) in corpora()) {
        let mut other = vec![Vec::new(); 4];
        for (row, shard) in shards.iter().flatten().rev().zip(layout) {
            other[shard].push(row.clone());
        }
        check(&shards, &other);
    }
}

#[test]
fn corpora_at_the_edge() {
    let of = |rows: usize, keys: &[u8]| -> Vec<Row> {
        (1..=rows as u64).map(|number| Some((number * 31, keys.to_vec()))).collect()
    };
    let cases: [Vec<Vec<Row>>; 5] = [
        // One group of many tiles, all of the corpus.
        vec![of(150, &[9]), Vec::new()],
        // No pair at all.
        vec![of(20, &[])],
        // A row twice in one group.
        vec![of(40, &[1, 1]), Vec::new()],
        vec![Vec::new(), of(1, &[1]), Vec::new()],
        vec![of(30, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14])],
    ];
    for shards in cases {
        let mut other = vec![Vec::new(), Vec::new()];
        for (at, row) in shards.iter().flatten().enumerate() {
            other[at % 2].push(row.clone());
        }
        check(&shards, &other);
    }
}
