//! Candidates that are near-duplicates by the exact Jaccard similarity of their shingles.
//!
//! Bands propose pairs; whether they are near is decided by their texts, which are read once more for it. The shingles of all
//! documents in question may be more than fits: then pairs are taken in rounds, as many as there is memory for, and the shards
//! that hold their documents are read in each. Memory: 16 bytes a candidate pair, and the shingles of a round.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use tamis_io::run::{CorpusVersion, SignalDir};
use tamis_io::sidecar::SidecarColumns;
use tamis_samplers::minhash::{SHINGLES, ShingleSet, Shingles};

use super::links;
use crate::groups::Grouped;
use crate::project::Project;
use crate::same_rows::SameRows;
use crate::{Error, Result, pool};

/// Bytes of a shingle in a set, and beside a set.
const SHINGLE_BYTES: u64 = 8;
const SET_BYTES: u64 = 64;

/// A candidate pair by the numbers of its rows.
type Pair = (u64, u64);

impl Project {
    /// The pairs of what was found in bands whose shingles have at least this similarity.
    ///
    /// # Errors
    /// Files that cannot be read; a shard that changed since it was listed.
    pub(super) fn verified_pairs(
        &self,
        version: &CorpusVersion,
        (found, signatures): (&Grouped<'_>, &SignalDir),
        shingles: &Shingles,
        least: f64,
    ) -> Result<Verified> {
        let mut pairs: Vec<Pair> = Vec::new();
        let mut first = 0;
        for (at, shard) in version.shards.iter().enumerate() {
            let mut row = first;
            found.read(at, |values| {
                links(values, &mut |at, other| {
                    let own = row + at as u64;
                    pairs.push((own.min(other), own.max(other)));
                })?;
                row += values.num_rows() as u64;
                Ok(())
            })?;
            first += shard.documents;
        }
        pairs.sort_unstable();
        pairs.dedup();
        let sizes = self.set_bytes(version, signatures, &pairs)?;
        let mut verified = Verified { pairs: Vec::new(), candidates: pairs.len() as u64 };
        let mut left = pairs.as_slice();
        while !left.is_empty() {
            let (round, later) = left.split_at(as_many_as_fit(left, &sizes, self.grouping_memory));
            let sets = self.sets_of(version, round, shingles)?;
            let near = pool::map(round.chunks(1 << 12).collect(), self.threads, |some: &[Pair]| {
                self.go_on()?;
                let near = |pair: &&Pair| match (sets.get(&pair.0), sets.get(&pair.1)) {
                    (Some(a), Some(b)) => a.jaccard(b) >= least,
                    _ => false,
                };
                Ok(some.iter().filter(near).copied().collect::<Vec<Pair>>())
            })?;
            verified.pairs.extend(near.into_iter().flatten());
            left = later;
        }
        Ok(verified)
    }

    /// Memory for the shingles of each document of a pair.
    fn set_bytes(
        &self,
        version: &CorpusVersion,
        signatures: &SignalDir,
        pairs: &[Pair],
    ) -> Result<BTreeMap<u64, u64>> {
        let mut wanted: Vec<u64> = pairs.iter().flat_map(|(a, b)| [*a, *b]).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let mut wanted = wanted.into_iter().peekable();
        let mut sizes = BTreeMap::new();
        let mut first = 0;
        for shard in &version.shards {
            let end = first + shard.documents;
            if wanted.peek().is_some_and(|row| *row < end) {
                for batch in signatures.read(shard, SidecarColumns::Named(&[SHINGLES]))? {
                    let batch = batch?;
                    let counts =
                        batch.column_by_name(SHINGLES).and_then(|c| c.as_primitive_opt::<UInt64Type>());
                    let missing = || tamis_core::Error::MissingColumn { column: SHINGLES.to_owned() };
                    let counts = counts.ok_or_else(missing)?;
                    let rows = batch.num_rows() as u64;
                    while let Some(row) = wanted.next_if(|row| *row < first + rows) {
                        let shingles = counts.value((row - first) as usize);
                        sizes.insert(row, SET_BYTES + SHINGLE_BYTES * shingles);
                    }
                    first += rows;
                }
            }
            first = end;
        }
        Ok(sizes)
    }

    /// The shingles of the documents of some pairs.
    fn sets_of(
        &self,
        version: &CorpusVersion,
        pairs: &[Pair],
        shingles: &Shingles,
    ) -> Result<BTreeMap<u64, ShingleSet>> {
        let wanted: BTreeSet<u64> = pairs.iter().flat_map(|(a, b)| [*a, *b]).collect();
        let mut shards = Vec::new();
        let mut first = 0;
        for shard in &version.shards {
            let end = first + shard.documents;
            if wanted.range(first..end).next().is_some() {
                shards.push((shard, first));
            }
            first = end;
        }
        self.observer.begin("compare candidates", shards.iter().map(|(shard, _)| shard.documents).sum());
        let sets: Mutex<BTreeMap<u64, ShingleSet>> = Mutex::default();
        pool::map(shards, self.threads, |(shard, first)| {
            let mut same = SameRows::of(self, shard, 0)?;
            let mut row = first;
            self.documents_from(shard, 0, |documents| {
                self.go_on()?;
                same.check(documents)?;
                let texts = documents.texts();
                let rows = documents.len() as u64;
                let own: Vec<(u64, ShingleSet)> = wanted
                    .range(row..row + rows)
                    .map(|at| (*at, ShingleSet::of(texts.value((at - row) as usize), shingles)))
                    .collect();
                sets.lock().unwrap_or_else(PoisonError::into_inner).extend(own);
                row += rows;
                self.observer.advance(rows, 0, rows);
                Ok(true)
            })?;
            same.finish()
        })?;
        self.observer.end();
        let sets = sets.into_inner().unwrap_or_else(PoisonError::into_inner);
        match sets.len() == wanted.len() {
            true => Ok(sets),
            false => {
                Err(Error::state("documents of candidates were not found again", "run the command again"))
            }
        }
    }
}

/// What is left of the candidates.
pub(super) struct Verified {
    /// Near ones.
    pub(super) pairs: Vec<Pair>,
    /// All of them.
    pub(super) candidates: u64,
}

/// How many of the first pairs there is memory for; one at least.
fn as_many_as_fit(pairs: &[Pair], sizes: &BTreeMap<u64, u64>, memory: u64) -> usize {
    let mut held = BTreeSet::new();
    let mut bytes = 0_u64;
    for (at, (a, b)) in pairs.iter().enumerate() {
        for row in [a, b] {
            if held.insert(*row) {
                bytes = bytes.saturating_add(sizes.get(row).copied().unwrap_or(0));
            }
        }
        if bytes > memory && at > 0 {
            return at;
        }
    }
    pairs.len()
}
