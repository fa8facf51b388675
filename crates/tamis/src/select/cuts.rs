//! From candidates to thresholds: the passes of the search, over shards in parallel.

use std::collections::BTreeMap;

use tamis_core::{Rule, Summary};
use tamis_io::run::ShardRecord;
use tamis_samplers::{Cut, MidRanks, PoissonSearch, Priority, Quantile, Target, ThresholdSearch};

use super::band::Band;
use super::candidates::{Candidates, Fate};
use crate::{Result, fold, pool};

/// Up to this many documents are read once and held (about 60 bytes each); more are read again in every pass.
const HELD_DOCUMENTS: u64 = 4 << 20;

/// A shard's candidates: priority, tokens, bytes, score.
type Held = Vec<(Priority, u64, u64, f64)>;

/// The cuts of all targets: common to all strata, but for those that have their own.
#[derive(Default)]
pub(super) struct Cuts {
    pub(super) shared: Vec<Cut>,
    pub(super) of_strata: BTreeMap<String, Vec<Cut>>,
}

impl Cuts {
    /// Those of a stratum, by target.
    pub(super) fn of(&self, stratum: &str) -> &[Cut] {
        if self.of_strata.is_empty() {
            return &self.shared;
        }
        self.of_strata.get(stratum).unwrap_or(&self.shared)
    }
}

/// Counts the scores of all candidates. `candidates` rank by score: vetoed, repeated and failed documents are in no rank.
///
/// # Errors
/// Files that cannot be read or do not line up; more strata than ranks can be kept for.
pub(super) fn fit_band(
    candidates: &Candidates<'_>,
    shards: &[ShardRecord],
    around: Quantile,
    threads: usize,
) -> Result<Band> {
    let shards = shards.iter().collect();
    let ranks = fold::one_part_each(shards, threads, MidRanks::new(), |shard: &ShardRecord| {
        let mut own = MidRanks::new();
        candidates.for_each(shard, |row| {
            if let Fate::Candidate(_) = row.fate {
                own.add(&row.stratum, row.score)?;
            }
            Ok(())
        })?;
        Ok(own)
    })?;
    Ok(Band::new(ranks, around))
}

/// The cut of every target, in their order.
///
/// # Errors
/// Files that cannot be read or do not line up; a Poisson rule with a budget that is not in documents.
pub(super) fn find(
    candidates: &Candidates<'_>,
    shards: &[ShardRecord],
    rule: Rule,
    targets: &[Target],
    threads: usize,
) -> Result<Vec<Cut>> {
    let documents: u64 = shards.iter().map(|shard| shard.documents).sum();
    let held = if documents <= HELD_DOCUMENTS {
        let lists = pool::map(shards.iter().collect(), threads, |shard: &ShardRecord| {
            let mut list = Held::new();
            candidates.for_each(shard, |row| {
                if let Some(priority) = row.cut_by() {
                    list.push((priority, row.tokens, row.bytes, row.score));
                }
                Ok(())
            })?;
            Ok(list)
        })?;
        Some(lists)
    } else {
        None
    };
    let over = |at: usize, each: &mut dyn FnMut(Priority, u64, u64, f64)| -> Result<()> {
        match &held {
            Some(lists) => {
                lists[at]
                    .iter()
                    .for_each(|&(priority, tokens, bytes, score)| each(priority, tokens, bytes, score));
                Ok(())
            }
            None => candidates.for_each(&shards[at], |row| {
                if let Some(priority) = row.cut_by() {
                    each(priority, row.tokens, row.bytes, row.score);
                }
                Ok(())
            }),
        }
    };
    if rule == Rule::Poisson {
        return poisson(shards.len(), targets, threads, over);
    }
    let mut cuts = Vec::with_capacity(targets.len());
    for targets in targets.chunks(ThresholdSearch::MOST_TARGETS) {
        cuts.extend(exact(shards.len(), targets, threads, &over)?);
    }
    Ok(cuts)
}

/// The cuts of as many targets as one search takes.
fn exact(
    shards: usize,
    targets: &[Target],
    threads: usize,
    over: &(impl Fn(usize, &mut dyn FnMut(Priority, u64, u64, f64)) -> Result<()> + Sync),
) -> Result<Vec<Cut>> {
    let mut search = ThresholdSearch::new(targets.to_vec())?;
    while let Some(empty) = search.begin_pass() {
        let pass = fold::one_part_each((0..shards).collect(), threads, empty.empty(), |at| {
            let mut own = empty.empty();
            over(at, &mut |priority, tokens, bytes, _| own.add(&priority, tokens, bytes))?;
            Ok(own)
        })?;
        search.finish_pass(&pass)?;
    }
    let thresholds = search.thresholds().expect("no pass is left");
    Ok(thresholds.into_iter().map(Cut::Exact).collect())
}

fn poisson(
    shards: usize,
    targets: &[Target],
    threads: usize,
    over: impl Fn(usize, &mut dyn FnMut(Priority, u64, u64, f64)) -> Result<()> + Sync,
) -> Result<Vec<Cut>> {
    let search = fold::one_part_each((0..shards).collect(), threads, PoissonSearch::new(), |at| {
        let mut own = PoissonSearch::new();
        over(at, &mut |_, _, _, score| own.add(score))?;
        Ok(own)
    })?;
    targets
        .iter()
        .map(|target| match *target {
            Target::Rate(rate) => Ok(Cut::Poisson(search.solve(rate.of(search.documents())))),
            Target::Documents(documents) => Ok(Cut::Poisson(search.solve(documents))),
            Target::Tokens(_) | Target::Bytes(_) => Err(super::check::poisson_needs_documents()),
        })
        .collect()
}
