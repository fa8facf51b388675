//! Documents that are equal in one column of the inventory: which of each group stays, and which lose.
//!
//! A grouping ([`crate::groups`]) by that column; the payload is what decides who stays. Members that are equal in all of it are
//! equal byte for byte, but for other columns of Parquet, whose rows have no lines; the first of them stays.
//!
//! Memory: that of the grouping, and one bit a document.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use tamis_core::{DocKey, Fingerprint, column};
use tamis_io::run::{CorpusVersion, RunDirectory, ShardRecord};
use tamis_io::sidecar::SidecarColumns;

use super::vetoes::Vetoes;
use crate::groups::{Group, Grouping, GroupingInfo, Keep, Pairs, Position, RowResults, Rows, Tile};
use crate::project::Project;
use crate::{Result, pool};

/// Raised when the same inventories give other results.
const VERSION: u32 = 1;

/// One bit a document, by shard; empty for a shard without any.
pub(super) type Marks = Vec<Vec<u64>>;

pub(super) fn is_marked(marks: &Marks, shard: usize, document: usize) -> bool {
    marks
        .get(shard)
        .and_then(|words| words.get(document / 64))
        .is_some_and(|word| word >> (document % 64) & 1 == 1)
}

/// The documents that lose to others.
#[derive(Clone, Debug, Default)]
pub(super) struct Losers {
    pub(super) marks: Marks,
    /// Groups of more than one.
    pub(super) groups: u64,
    /// Documents that lose.
    pub(super) documents: u64,
    /// Those of them that differ from the one that stays in the first column of the rank.
    pub(super) different: u64,
    /// Those of them that would lose too if groups ended with their shard.
    pub(super) within_shard: u64,
}

/// What is said of a member of a group of more than one, a bit of its result and a column each.
const FLAGS: [&str; 4] = ["stays", "loses", "differs", "again_in_shard"];
const STAYS: u8 = 1;
const LOSES: u8 = 1 << 1;
/// It loses, and is another one than the one that stays.
const DIFFERS: u8 = 1 << 2;
/// Another member of the group, before it in the order of that, is in its shard.
const AGAIN_IN_SHARD: u8 = 1 << 3;

/// A partition of the documents by a column of the inventory.
pub(super) struct Equal<'a> {
    info: GroupingInfo,
    columns: Vec<&'a str>,
    /// Members of a group are equal in this column.
    group: &'a str,
    /// The member that is first by these columns stays.
    rank: [&'a str; 2],
    /// Documents that belong to no group, …
    vetoes: Option<&'a Vetoes>,
    /// … and more of them.
    out: Option<&'a Marks>,
}

/// How documents are partitioned.
#[derive(Clone, Copy)]
pub(super) struct By<'a> {
    /// What is equal in a group: of the name of the grouping.
    pub(super) what: &'a str,
    pub(super) group: &'a str,
    pub(super) rank: [&'a str; 2],
}

impl<'a> Equal<'a> {
    pub(super) fn new(version: &CorpusVersion, by: By<'a>) -> Self {
        let By { what, group, rank } = by;
        let fields = FLAGS.map(|name| Field::new(name, DataType::Boolean, false));
        let method = format!("equal-{what}");
        let info = GroupingInfo {
            fingerprint: Fingerprint::new(&method, VERSION)
                .with("corpus", super::corpus_digest(version))
                .with("corpus.columns", super::columns_text(version))
                .with("group", group)
                .with("rank", rank.join(",")),
            name: method,
            stage: None,
            schema: Arc::new(Schema::new(fields.to_vec())),
            pairs_a_row: 1,
            payload_bytes: 32,
            result_bytes: 1,
            tile_rows: 1 << 12,
        };
        let mut columns = vec![group, rank[0], rank[1]];
        columns.sort_unstable();
        columns.dedup();
        Self { info, columns, group, rank, vetoes: None, out: None }
    }

    /// Without the vetoed documents, and those that lose in `other`.
    pub(super) fn without(mut self, vetoes: &'a Vetoes, other: Option<&Self>, out: &'a Marks) -> Self {
        if vetoes.need_ids() {
            self.vetoes = Some(vetoes);
            self.columns.extend([column::ID, column::DOC_KEY]);
            self.columns.sort_unstable();
            self.columns.dedup();
        }
        self.out = Some(out);
        let digest = vetoes.digest.map_or_else(|| "none".to_owned(), |digest| digest.to_string());
        self.info.fingerprint = self.info.fingerprint.with("vetoes", digest);
        if let Some(other) = other {
            self.info.fingerprint =
                self.info.fingerprint.with_input(&other.info.name, &other.info.fingerprint);
        }
        self
    }

    /// Marks all but the first of each group, and counts them.
    pub(super) fn losers(&self, project: &Project, version: &CorpusVersion, keep: Keep) -> Result<Losers> {
        let grouped = project.grouped(version, self, keep)?;
        let shards: Vec<usize> = (0..version.shards.len()).collect();
        let found = pool::map(shards, project.threads, |shard| {
            let (mut own, mut words, mut before) = (Losers::default(), Vec::new(), 0);
            grouped.read(shard, |batch| {
                let flag = |at: usize| batch.column(at).as_boolean();
                let count = |at: usize| flag(at).true_count() as u64;
                own.groups += count(0);
                own.documents += count(1);
                own.different += count(2);
                own.within_shard += count(3);
                mark(flag(1), before, &mut words);
                before += batch.num_rows();
                Ok(())
            })?;
            Ok((own, words))
        })?;
        let mut losers = Losers::default();
        for (own, words) in found {
            losers.groups += own.groups;
            losers.documents += own.documents;
            losers.different += own.different;
            losers.within_shard += own.within_shard;
            losers.marks.push(words);
        }
        Ok(losers)
    }
}

/// Sets the bits of some documents, the first of which is number `before`.
fn mark(flags: &BooleanArray, before: usize, words: &mut Vec<u64>) {
    for at in flags.values().set_indices() {
        let document = before + at;
        words.resize(words.len().max(document / 64 + 1), 0);
        words[document / 64] |= 1 << (document % 64);
    }
}

impl Grouping for Equal<'_> {
    fn info(&self) -> &GroupingInfo {
        &self.info
    }

    fn rows<'r>(&'r self, run: &RunDirectory, shard: &ShardRecord) -> Result<Rows<'r>> {
        let inventory = run.read_inventory(&shard.path, SidecarColumns::Named(&self.columns))?;
        Ok(Box::new(inventory.map(|batch| Ok(batch?))))
    }

    fn emit(&self, first: Position, batch: &RecordBatch, pairs: &mut Pairs) -> Result<()> {
        let bytes =
            |name: &str| batch.column_by_name(name).expect("the column was asked for").as_fixed_size_binary();
        let (group, a, b) = (bytes(self.group), bytes(self.rank[0]), bytes(self.rank[1]));
        let of_veto = self.vetoes.map(|vetoes| {
            let ids = batch.column_by_name(column::ID).expect("the column was asked for");
            (vetoes, ids.as_string::<i32>(), bytes(column::DOC_KEY))
        });
        let mut payload = [0; 32];
        for at in 0..batch.num_rows() {
            if self.out.is_some_and(|out| is_marked(out, first.shard, first.document + at)) {
                continue;
            }
            let vetoed = of_veto.as_ref().is_some_and(|(vetoes, ids, keys)| {
                let id = ids.is_valid(at).then(|| ids.value(at));
                vetoes.contains(DocKey::from_bytes(bytes16(keys.value(at))), id)
            });
            if !vetoed {
                payload[..16].copy_from_slice(a.value(at));
                payload[16..].copy_from_slice(b.value(at));
                pairs.push(at, &bytes16(group.value(at)), &payload);
            }
        }
        Ok(())
    }

    fn group(&self, group: &mut Group<'_>) -> Result<()> {
        if group.members() == 1 {
            return Ok(());
        }
        let mut tile = Tile::default();
        let mut seen = BTreeSet::new();
        let mut stays: Option<[u8; 16]> = None;
        for number in 0..group.tiles() {
            group.tile(number, &mut tile)?;
            for at in 0..tile.len() {
                let place = tile.place(at);
                let rank = bytes16(&tile.payload(at)[..16]);
                let mut flags = match stays {
                    None => STAYS,
                    Some(stays) if stays == rank => LOSES,
                    Some(_) => LOSES | DIFFERS,
                };
                stays.get_or_insert(rank);
                if !seen.insert(group.shard(place)) {
                    flags |= AGAIN_IN_SHARD;
                }
                group.give(place, &[flags])?;
            }
        }
        Ok(())
    }

    fn values(&self, results: &RowResults<'_>) -> Result<RecordBatch> {
        let mut columns = FLAGS.map(|_| vec![false; results.rows()]);
        for (row, result) in results.iter() {
            for (at, column) in columns.iter_mut().enumerate() {
                column[row] |= result[0] >> at & 1 == 1;
            }
        }
        let columns = columns.map(|column| Arc::new(BooleanArray::from(column)) as ArrayRef);
        let batch = RecordBatch::try_new(Arc::clone(&self.info.schema), columns.to_vec());
        Ok(batch.map_err(tamis_core::Error::from)?)
    }
}

fn bytes16(value: &[u8]) -> [u8; 16] {
    value.try_into().expect("16 bytes by the inventory's schema")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::duplicates::TEXTS;
    use super::super::repeated::IDS;
    use super::*;
    use crate::corpus_options::CorpusOptions;
    use crate::{Project, Silent};

    /// The same project, for another field to be changed.
    fn again(project: &Project) -> Project {
        project.also_reading("text")
    }

    #[test]
    fn memory_does_not_matter() {
        let folder = tempfile::tempdir().unwrap();
        let corpus = folder.path().join("corpus");
        std::fs::create_dir(&corpus).unwrap();
        let mut ids: BTreeMap<usize, usize> = BTreeMap::new();
        for shard in 0..5 {
            let lines: Vec<String> = (0..90)
                .map(|at| {
                    // 450 rows of 180 ids: some once, some often.
                    let id = (shard * 90 + at) * 7919 % 450 * 2 / 5;
                    *ids.entry(id).or_default() += 1;
                    format!("{{\"id\": {id}, \"text\": \"{}\"}}", (shard * 31 + at * 17) % 50)
                })
                .collect();
            std::fs::write(corpus.join(format!("{shard}.jsonl")), lines.join("\n")).unwrap();
        }
        let corpus = CorpusOptions::new(corpus.to_str().unwrap());
        let project =
            Project::open(Some(corpus), &folder.path().join("run"), 2, std::sync::Arc::new(Silent)).unwrap();
        let version = project.inventory().unwrap();
        let by_id = |memory: u64| {
            let project = Project { grouping_memory: memory, ..again(&project) };
            Equal::new(&version, IDS).losers(&project, &version, Keep::Nothing).unwrap()
        };
        let none = Vetoes::read(&[]).unwrap();
        let by_text = |memory: u64, out: &Marks| {
            let project = Project { grouping_memory: memory, ..again(&project) };
            let texts = Equal::new(&version, TEXTS).without(&none, None, out);
            texts.losers(&project, &version, Keep::Nothing).unwrap().marks
        };
        let count =
            |marks: &Marks| marks.iter().flatten().map(|word| word.count_ones() as usize).sum::<usize>();
        let all = by_id(1 << 20);
        assert_eq!(all.groups as usize, ids.values().filter(|count| **count > 1).count());
        assert_eq!(all.documents as usize, 450 - ids.len());
        assert_eq!(count(&all.marks), 450 - ids.len());
        let texts = by_text(1 << 20, &all.marks);
        assert!(count(&texts) >= ids.len() - 50);
        for memory in [1, 1000, 10_000, 40_000] {
            let found = by_id(memory);
            let counts =
                |losers: &Losers| [losers.groups, losers.documents, losers.different, losers.within_shard];
            assert_eq!((&found.marks, counts(&found)), (&all.marks, counts(&all)), "{memory}");
            assert_eq!(by_text(memory, &all.marks), texts, "{memory}");
        }
    }
}
