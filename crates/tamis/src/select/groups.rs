//! Documents that are equal in one column of the inventory: which of each group stays, and which lose.
//!
//! Memory: 16 bytes a document of one range of keys (at most 256 MiB; a larger corpus is gone through range by range,
//! reading one column), about 70 bytes for each key of the range that occurs more than once, and one bit a document.

use std::sync::{Mutex, PoisonError};

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use tamis_core::{DocKey, column};
use tamis_io::run::{RunDirectory, ShardRecord};
use tamis_io::sidecar::SidecarColumns;

use super::vetoes::Vetoes;
use crate::{Result, pool};

pub(super) const KEYS_IN_MEMORY: u64 = 16 << 20;

type Bytes = [u8; 16];

/// What the members of a group are ordered by, the first stays. Shard and document break ties between equal bytes only.
type Rank = (Bytes, Bytes, usize, usize);

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

/// A partition of the documents by a column of the inventory.
#[derive(Clone, Copy)]
pub(super) struct Groups<'a> {
    pub(super) run: &'a RunDirectory,
    pub(super) shards: &'a [ShardRecord],
    pub(super) threads: usize,
    /// Members of a group are equal in this column.
    pub(super) group: &'a str,
    /// The member that is first by these columns stays.
    pub(super) rank: [&'a str; 2],
    /// Keys that are held at a time.
    pub(super) keys: u64,
    /// Documents that belong to no group, …
    pub(super) vetoes: Option<&'a Vetoes>,
    /// … and more of them.
    pub(super) out: Option<&'a Marks>,
}

impl Groups<'_> {
    /// Marks all but the first of each group, and counts them.
    pub(super) fn losers(&self) -> Result<Losers> {
        let documents: u64 = self.shards.iter().map(|shard| shard.documents).sum();
        let ranges = u128::from(documents.div_ceil(self.keys).max(1));
        let mut losers = Losers { marks: vec![Vec::new(); self.shards.len()], ..Losers::default() };
        for range in 0..ranges {
            let within = |value: &Bytes| {
                let prefix = u64::from_be_bytes(value[..8].try_into().expect("8 of 16 bytes"));
                (u128::from(prefix) * ranges) >> 64 == range
            };
            let repeated = self.repeated(within)?;
            if !repeated.is_empty() {
                losers.groups += repeated.len() as u64;
                let first = self.first(&repeated)?;
                self.mark(&repeated, &first, &mut losers)?;
            }
        }
        Ok(losers)
    }

    /// Calls `each` with the position and value of every document that belongs to a group, a batch at a time.
    fn members(
        &self,
        shard: usize,
        more: &[&str],
        mut each: impl FnMut(&RecordBatch, &mut dyn Iterator<Item = (usize, usize, Bytes)>) -> Result<()>,
    ) -> Result<()> {
        let mut columns = vec![self.group];
        if self.vetoes.is_some() {
            columns.extend([column::ID, column::DOC_KEY]);
        }
        columns.extend(more);
        columns.sort_unstable();
        columns.dedup();
        let mut before = 0;
        for batch in self.run.read_inventory(&self.shards[shard].path, SidecarColumns::Named(&columns))? {
            let batch = batch?;
            let vetoed = |at: usize| {
                self.vetoes.is_some_and(|vetoes| {
                    let ids = batch
                        .column_by_name(column::ID)
                        .expect("the column was asked for")
                        .as_string::<i32>();
                    let id = ids.is_valid(at).then(|| ids.value(at));
                    vetoes.contains(DocKey::from_bytes(bytes16(&batch, column::DOC_KEY, at)), id)
                })
            };
            let belongs =
                |at: &usize| !self.out.is_some_and(|out| is_marked(out, shard, before + at)) && !vetoed(*at);
            let mut members = (0..batch.num_rows())
                .filter(belongs)
                .map(|at| (at, before + at, bytes16(&batch, self.group, at)));
            each(&batch, &mut members)?;
            before += batch.num_rows();
        }
        Ok(())
    }

    fn over_shards<R: Send>(&self, work: impl Fn(usize) -> Result<R> + Sync) -> Result<Vec<R>> {
        pool::map((0..self.shards.len()).collect(), self.threads, work)
    }

    /// Values of a range that occur more than once, sorted.
    fn repeated(&self, within: impl Fn(&Bytes) -> bool + Sync) -> Result<Vec<Bytes>> {
        let values = Mutex::new(Vec::new());
        self.over_shards(|shard| {
            self.members(shard, &[], |_, members| {
                let own: Vec<Bytes> = members.map(|(_, _, value)| value).filter(&within).collect();
                values.lock().unwrap_or_else(PoisonError::into_inner).extend(own);
                Ok(())
            })
        })?;
        let mut values = values.into_inner().unwrap_or_else(PoisonError::into_inner);
        values.sort_unstable();
        let mut repeated: Vec<Bytes> =
            values.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
        repeated.dedup();
        Ok(repeated)
    }

    /// The first member of each group.
    fn first(&self, repeated: &[Bytes]) -> Result<Vec<Option<Rank>>> {
        let first: Mutex<Vec<Option<Rank>>> = Mutex::new(vec![None; repeated.len()]);
        self.over_shards(|shard| {
            self.members(shard, &self.rank, |batch, members| {
                let own: Vec<(usize, Rank)> = members
                    .filter_map(|(at, document, value)| {
                        let group = repeated.binary_search(&value).ok()?;
                        let [a, b] = self.rank.map(|name| bytes16(batch, name, at));
                        Some((group, (a, b, shard, document)))
                    })
                    .collect();
                let mut first = first.lock().unwrap_or_else(PoisonError::into_inner);
                for (group, rank) in own {
                    if first[group].is_none_or(|other| rank < other) {
                        first[group] = Some(rank);
                    }
                }
                Ok(())
            })
        })?;
        Ok(first.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    fn mark(&self, repeated: &[Bytes], first: &[Option<Rank>], losers: &mut Losers) -> Result<()> {
        let compared = self.rank[0];
        let found = self.over_shards(|shard| {
            let mut own = Losers::default();
            let mut words: Vec<u64> = Vec::new();
            let mut here = vec![0_u64; repeated.len().div_ceil(64)];
            self.members(shard, &[compared], |batch, members| {
                for (at, document, value) in members {
                    let Ok(group) = repeated.binary_search(&value) else { continue };
                    own.within_shard += here[group / 64] >> (group % 64) & 1;
                    here[group / 64] |= 1 << (group % 64);
                    let Some((rank, _, stays_shard, stays)) = first[group] else { continue };
                    if (stays_shard, stays) != (shard, document) {
                        words.resize(words.len().max(document / 64 + 1), 0);
                        words[document / 64] |= 1 << (document % 64);
                        own.documents += 1;
                        own.different += u64::from(rank != bytes16(batch, compared, at));
                    }
                }
                Ok(())
            })?;
            Ok((own, words))
        })?;
        for (marks, (own, words)) in losers.marks.iter_mut().zip(found) {
            marks.resize(marks.len().max(words.len()), 0);
            marks.iter_mut().zip(words).for_each(|(word, more)| *word |= more);
            losers.documents += own.documents;
            losers.different += own.different;
            losers.within_shard += own.within_shard;
        }
        Ok(())
    }
}

fn bytes16(batch: &RecordBatch, name: &str, at: usize) -> Bytes {
    let array = batch.column_by_name(name).expect("the column was asked for").as_fixed_size_binary();
    array.value(at).try_into().expect("16 bytes by the inventory's schema")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tamis_io::run::inventory_column;

    use super::*;
    use crate::corpus_options::CorpusOptions;
    use crate::{Project, Silent};

    #[test]
    fn ranges_of_keys_do_not_matter() {
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
        let groups = |group, rank, keys, out| {
            let (run, shards, threads) = (&project.run, &version.shards[..], 2);
            Groups { run, shards, threads, group, rank, keys, vetoes: None, out }
        };
        let count =
            |marks: &Marks| marks.iter().flatten().map(|word| word.count_ones() as usize).sum::<usize>();
        let all = groups(column::DOC_KEY, [inventory_column::TEXT_DIGEST, column::RAW_DIGEST], 1 << 20, None)
            .losers()
            .unwrap();
        assert_eq!(all.groups as usize, ids.values().filter(|count| **count > 1).count());
        assert_eq!(all.documents as usize, 450 - ids.len());
        let by_id = all.marks.clone();
        assert_eq!(count(&by_id), 450 - ids.len());
        let rank = [column::DOC_KEY, column::RAW_DIGEST];
        let by_text =
            groups(inventory_column::TEXT_DIGEST, rank, 1 << 20, Some(&by_id)).losers().unwrap().marks;
        assert!(count(&by_text) >= ids.len() - 50);
        let bits = |marks: &Marks| {
            let set = |shard, document| is_marked(marks, shard, document);
            (0..450).map(|at| set(at / 90, at % 90)).collect::<Vec<bool>>()
        };
        for keys in [1, 10, 100, 449] {
            let id = groups(column::DOC_KEY, [inventory_column::TEXT_DIGEST, column::RAW_DIGEST], keys, None);
            let found = id.losers().unwrap();
            let counts =
                |losers: &Losers| [losers.groups, losers.documents, losers.different, losers.within_shard];
            assert_eq!((bits(&found.marks), counts(&found)), (bits(&by_id), counts(&all)), "{keys}");
            let text =
                groups(inventory_column::TEXT_DIGEST, rank, keys, Some(&by_id)).losers().unwrap().marks;
            assert_eq!(bits(&text), bits(&by_text), "{keys}");
        }
    }
}
