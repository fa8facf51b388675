//! Which of several documents with one id, or with one text, stays.
//!
//! Of equal ids the row with the smallest text digest, then raw-line digest, stays; of equal texts the one with the
//! smallest document key. Nothing depends on the names or the order of shards: rows that are equal in all of that are equal
//! byte for byte, and any one of them may stand for the others.
//!
//! A row that gives way to another of its id, or that is vetoed, stands for no text: otherwise a text would vanish although
//! another row has it. So of each text exactly one row stays, unless all of its rows are out for another reason. A veto names
//! documents, not texts: copies of a vetoed text under other ids are vetoed by their own ids. Whether a row has a score is
//! not looked at, so the same rows stay under every signal.
//!
//! Memory: 16 bytes a document of one range of keys (at most 256 MiB; a larger corpus is gone through range by range,
//! reading one column), about 70 bytes for each key of the range that occurs more than once, and one bit a document.

use std::sync::{Mutex, PoisonError};

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{Array, RecordBatch};
use tamis_core::{DocKey, column};
use tamis_io::run::{RunDirectory, ShardRecord, inventory_column};
use tamis_io::sidecar::SidecarColumns;

use super::candidates::reason;
use super::vetoes::Vetoes;
use crate::options::ExactDuplicates;
use crate::{Result, pool};

const KEYS_IN_MEMORY: u64 = 16 << 20;

type Bytes = [u8; 16];

/// What the members of a group are ordered by, the first stays. Shard and document break ties between equal bytes only.
type Rank = (Bytes, Bytes, usize, usize);

/// One bit a document, by shard; empty for a shard without any.
type Marks = Vec<Vec<u64>>;

fn is_marked(marks: &Marks, shard: usize, document: usize) -> bool {
    marks
        .get(shard)
        .and_then(|words| words.get(document / 64))
        .is_some_and(|word| word >> (document % 64) & 1 == 1)
}

/// The documents that give way to others.
#[derive(Debug, Default)]
pub(super) struct Duplicates {
    /// Paths of the shards, sorted as those of a corpus version are.
    shards: Vec<String>,
    by_id: Marks,
    by_text: Marks,
    repeated_ids: u64,
    example: Option<(String, u64)>,
}

impl Duplicates {
    /// Goes through the inventories. `ids` says whether the corpus has ids; without them equal keys are equal texts.
    pub(super) fn find(
        run: &RunDirectory,
        shards: &[ShardRecord],
        ids: bool,
        texts: ExactDuplicates,
        vetoes: &Vetoes,
        threads: usize,
    ) -> Result<Self> {
        let mut found =
            Self { shards: shards.iter().map(|shard| shard.path.clone()).collect(), ..Self::default() };
        let groups = |group, rank| Groups {
            run,
            shards,
            threads,
            group,
            rank,
            keys: KEYS_IN_MEMORY,
            vetoes: None,
            out: None,
        };
        if ids {
            let groups = groups(column::DOC_KEY, [inventory_column::TEXT_DIGEST, column::RAW_DIGEST]);
            (found.by_id, found.repeated_ids) = groups.losers()?;
            found.example = example(run, shards, &found.by_id)?;
        }
        if texts == ExactDuplicates::One {
            let groups = groups(inventory_column::TEXT_DIGEST, [column::DOC_KEY, column::RAW_DIGEST]);
            let vetoes = vetoes.need_ids().then_some(vetoes);
            found.by_text = Groups { vetoes, out: Some(&found.by_id), ..groups }.losers()?.0;
        }
        Ok(found)
    }

    /// Ids that occur more than once.
    pub(super) fn repeated_ids(&self) -> u64 {
        self.repeated_ids
    }

    /// Shard and row of a document that gives way to another one of its id, for messages.
    pub(super) fn example(&self) -> Option<(&str, u64)> {
        self.example.as_ref().map(|(shard, row)| (shard.as_str(), *row))
    }

    /// Position of a shard, for [`Duplicates::loses`].
    pub(super) fn shard(&self, path: &str) -> usize {
        self.shards.binary_search_by(|shard| shard.as_str().cmp(path)).unwrap_or(usize::MAX)
    }

    /// The reason for which the `document`-th of a shard gives way to another one.
    pub(super) fn loses(&self, shard: usize, document: usize) -> Option<&'static str> {
        if is_marked(&self.by_id, shard, document) {
            return Some(reason::DUPLICATE_ID);
        }
        is_marked(&self.by_text, shard, document).then_some(reason::EXACT_DUPLICATE)
    }
}

/// A partition of the documents by a column of the inventory.
#[derive(Clone, Copy)]
struct Groups<'a> {
    run: &'a RunDirectory,
    shards: &'a [ShardRecord],
    threads: usize,
    /// Members of a group are equal in this column.
    group: &'a str,
    /// The member that is first by these columns stays.
    rank: [&'a str; 2],
    /// Keys that are held at a time.
    keys: u64,
    /// Documents that belong to no group, …
    vetoes: Option<&'a Vetoes>,
    /// … and more of them.
    out: Option<&'a Marks>,
}

impl Groups<'_> {
    /// Marks all but the first of each group, and counts the groups of more than one.
    fn losers(&self) -> Result<(Marks, u64)> {
        let documents: u64 = self.shards.iter().map(|shard| shard.documents).sum();
        let ranges = u128::from(documents.div_ceil(self.keys).max(1));
        let mut marks = vec![Vec::new(); self.shards.len()];
        let mut groups = 0;
        for range in 0..ranges {
            let within = |value: &Bytes| {
                let prefix = u64::from_be_bytes(value[..8].try_into().expect("8 of 16 bytes"));
                (u128::from(prefix) * ranges) >> 64 == range
            };
            let repeated = self.repeated(within)?;
            if !repeated.is_empty() {
                groups += repeated.len() as u64;
                let first = self.first(&repeated)?;
                self.mark(&repeated, &first, &mut marks)?;
            }
        }
        Ok((marks, groups))
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

    fn mark(&self, repeated: &[Bytes], first: &[Option<Rank>], marks: &mut Marks) -> Result<()> {
        let losers = self.over_shards(|shard| {
            let mut losers: Vec<u64> = Vec::new();
            self.members(shard, &[], |_, members| {
                for (_, document, value) in members {
                    let Ok(group) = repeated.binary_search(&value) else { continue };
                    let stays = first[group].is_some_and(|(_, _, a, b)| (a, b) == (shard, document));
                    if !stays {
                        losers.resize(losers.len().max(document / 64 + 1), 0);
                        losers[document / 64] |= 1 << (document % 64);
                    }
                }
                Ok(())
            })?;
            Ok(losers)
        })?;
        for (marks, losers) in marks.iter_mut().zip(losers) {
            marks.resize(marks.len().max(losers.len()), 0);
            marks.iter_mut().zip(losers).for_each(|(word, more)| *word |= more);
        }
        Ok(())
    }
}

/// Shard and row of the first marked document.
fn example(run: &RunDirectory, shards: &[ShardRecord], marks: &Marks) -> Result<Option<(String, u64)>> {
    for (shard, words) in shards.iter().zip(marks) {
        let Some(at) = words.iter().position(|word| *word != 0) else { continue };
        let mut document = at * 64 + words[at].trailing_zeros() as usize;
        for batch in run.read_inventory(&shard.path, SidecarColumns::Named(&[column::ROW]))? {
            let batch = batch?;
            if document < batch.num_rows() {
                let row = batch.column(0).as_primitive::<UInt64Type>().value(document);
                return Ok(Some((shard.path.clone(), row)));
            }
            document -= batch.num_rows();
        }
    }
    Ok(None)
}

fn bytes16(batch: &RecordBatch, name: &str, at: usize) -> Bytes {
    let array = batch.column_by_name(name).expect("the column was asked for").as_fixed_size_binary();
    array.value(at).try_into().expect("16 bytes by the inventory's schema")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::options::CorpusOptions;
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
        let project = Project::open(Some(corpus), &folder.path().join("run"), 2, &Silent).unwrap();
        let version = project.inventory().unwrap();
        let groups = |group, rank, keys, out| {
            let (run, shards, threads) = (&project.run, &version.shards[..], 2);
            Groups { run, shards, threads, group, rank, keys, vetoes: None, out }
        };
        let count =
            |marks: &Marks| marks.iter().flatten().map(|word| word.count_ones() as usize).sum::<usize>();
        let (by_id, repeated) =
            groups(column::DOC_KEY, [inventory_column::TEXT_DIGEST, column::RAW_DIGEST], 1 << 20, None)
                .losers()
                .unwrap();
        assert_eq!(repeated as usize, ids.values().filter(|count| **count > 1).count());
        assert_eq!(count(&by_id), 450 - ids.len());
        let rank = [column::DOC_KEY, column::RAW_DIGEST];
        let (by_text, _) =
            groups(inventory_column::TEXT_DIGEST, rank, 1 << 20, Some(&by_id)).losers().unwrap();
        assert!(count(&by_text) >= ids.len() - 50);
        let bits = |marks: &Marks| {
            let set = |shard, document| is_marked(marks, shard, document);
            (0..450).map(|at| set(at / 90, at % 90)).collect::<Vec<bool>>()
        };
        for keys in [1, 10, 100, 449] {
            let id = groups(column::DOC_KEY, [inventory_column::TEXT_DIGEST, column::RAW_DIGEST], keys, None);
            let (found, groups_found) = id.losers().unwrap();
            assert_eq!((bits(&found), groups_found), (bits(&by_id), repeated), "{keys}");
            let text = groups(inventory_column::TEXT_DIGEST, rank, keys, Some(&by_id)).losers().unwrap().0;
            assert_eq!(bits(&text), bits(&by_text), "{keys}");
        }
    }
}
