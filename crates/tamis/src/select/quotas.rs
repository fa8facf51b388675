//! Shares of strata: where to cut each of them, so that all have what was wished for and the budget is filled.
//!
//! See [`tamis_samplers::fix_quotas`] for what is solved. Each round cuts the strata that are not at a bound yet by one threshold,
//! and counts what each has before it; two or three rounds are usual.

use std::collections::BTreeMap;

use tamis_core::{Rule, Summary};
use tamis_io::run::ShardRecord;
use tamis_samplers::{
    Bounds, Cut, Hold, Pass, Priority, QuotaError, Rate, Sums, Target, Threshold, ThresholdSearch,
    check_quotas, fix_quotas,
};

use super::candidates::Candidates;
use super::cuts::Cuts;
use super::manifest::StratumShare;
use crate::pool;
use crate::select_options::{QuotaOptions, ShareBounds};
use crate::{Error, Result};

/// A candidate: priority, place of its stratum, tokens, bytes.
type Held = (Priority, u32, u64, u64);

/// What is counted towards a target.
#[derive(Clone, Copy)]
enum Unit {
    Documents,
    Tokens,
    Bytes,
}

impl Unit {
    fn of(self, sums: &Sums) -> u64 {
        match self {
            Self::Documents => sums.documents,
            Self::Tokens => sums.tokens,
            Self::Bytes => sums.bytes,
        }
    }

    fn target(self, amount: u64) -> Target {
        match self {
            Self::Documents => Target::Documents(amount),
            Self::Tokens => Target::Tokens(amount),
            Self::Bytes => Target::Bytes(amount),
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Documents => "documents",
            Self::Tokens => "tokens",
            Self::Bytes => "bytes",
        }
    }
}

/// The candidates of all strata.
struct Strata<'a> {
    candidates: &'a Candidates<'a>,
    shards: &'a [ShardRecord],
    threads: usize,
    names: Vec<String>,
    places: BTreeMap<String, u32>,
    /// By place.
    available: Vec<Sums>,
    /// By shard, where there are few.
    held: Option<Vec<Vec<Held>>>,
}

/// Up to this many documents are read once and held.
const HELD_DOCUMENTS: u64 = 4 << 20;

impl<'a> Strata<'a> {
    fn count(candidates: &'a Candidates<'a>, shards: &'a [ShardRecord], threads: usize) -> Result<Self> {
        let counted = pool::map(shards.iter().collect(), threads, |shard: &ShardRecord| {
            let mut sums: BTreeMap<String, Sums> = BTreeMap::new();
            candidates.for_each(shard, |row| {
                if row.cut_by().is_some() {
                    let own = match sums.get_mut(&row.stratum) {
                        Some(own) => own,
                        None => sums.entry(row.stratum.clone()).or_default(),
                    };
                    add(own, row.tokens, row.bytes);
                }
                Ok(())
            })?;
            Ok(sums)
        })?;
        let mut all: BTreeMap<String, Sums> = BTreeMap::new();
        for (name, more) in counted.into_iter().flatten() {
            let sums = all.entry(name).or_default();
            sums.documents += more.documents;
            sums.tokens += more.tokens;
            sums.bytes += more.bytes;
        }
        let (names, available): (Vec<String>, Vec<Sums>) = all.into_iter().unzip();
        let places = names.iter().enumerate().map(|(at, name)| (name.clone(), at as u32)).collect();
        let mut strata = Self { candidates, shards, threads, names, places, available, held: None };
        let documents: u64 = shards.iter().map(|shard| shard.documents).sum();
        if documents <= HELD_DOCUMENTS {
            let held = pool::map((0..shards.len()).collect(), threads, |at| {
                let mut list = Vec::new();
                strata.over(at, &mut |candidate| list.push(candidate))?;
                Ok(list)
            })?;
            strata.held = Some(held);
        }
        Ok(strata)
    }

    fn over(&self, at: usize, each: &mut dyn FnMut(Held)) -> Result<()> {
        if let Some(held) = &self.held {
            held[at].iter().copied().for_each(each);
            return Ok(());
        }
        self.candidates.for_each(&self.shards[at], |row| {
            if let Some(priority) = row.cut_by() {
                each((priority, self.places[&row.stratum], row.tokens, row.bytes));
            }
            Ok(())
        })
    }

    /// The threshold of a budget over some strata.
    fn threshold(&self, target: Target, holds: impl Fn(usize) -> bool + Sync) -> Result<Threshold> {
        let mut search = ThresholdSearch::new(vec![target])?;
        while let Some(empty) = search.begin_pass() {
            let shards = (0..self.shards.len()).collect();
            let pass = crate::fold::one_part_each(shards, self.threads, empty.empty(), |at: usize| {
                let mut own: Pass = empty.empty();
                self.over(at, &mut |(priority, stratum, tokens, bytes)| {
                    if holds(stratum as usize) {
                        own.add(&priority, tokens, bytes);
                    }
                })?;
                Ok(own)
            })?;
            search.finish_pass(&pass)?;
        }
        Ok(search.thresholds().expect("no pass is left").remove(0))
    }

    /// What each stratum has before a threshold.
    fn before(&self, threshold: &Threshold, unit: Unit) -> Result<Vec<u64>> {
        let shards = (0..self.shards.len()).collect();
        let counted = pool::map(shards, self.threads, |at: usize| {
            let mut sums = vec![Sums::default(); self.names.len()];
            self.over(at, &mut |(priority, stratum, tokens, bytes)| {
                if threshold.keeps(&priority) {
                    add(&mut sums[stratum as usize], tokens, bytes);
                }
            })?;
            Ok(sums)
        })?;
        let mut all = vec![0; self.names.len()];
        for sums in counted {
            all.iter_mut().zip(&sums).for_each(|(all, sums)| *all += unit.of(sums));
        }
        Ok(all)
    }

    /// One target: the common cut, the cut of each stratum at a bound, and what holds each.
    fn cut(
        &self,
        options: &QuotaOptions,
        target: Target,
    ) -> Result<(Cut, Vec<Option<Cut>>, Vec<StratumShare>)> {
        let total = self.available.iter().map(|sums| sums.documents).sum::<u64>();
        let (unit, budget) = match target {
            Target::Rate(rate) => (Unit::Documents, rate.of(total)),
            Target::Documents(documents) => (Unit::Documents, documents.min(total)),
            Target::Tokens(tokens) => (Unit::Tokens, tokens),
            Target::Bytes(bytes) => (Unit::Bytes, bytes),
        };
        let bounds: Vec<Bounds> = self
            .names
            .iter()
            .zip(&self.available)
            .map(|(name, available)| {
                let ShareBounds { at_least, at_most } = options.of(name);
                let share = |rate: Option<Rate>, none: u64| rate.map_or(none, |rate| rate.of(budget));
                Bounds {
                    floor: share(at_least, 0),
                    ceiling: share(at_most, u64::MAX),
                    available: unit.of(available),
                }
            })
            .collect();
        // Of tokens and bytes there may be less than the budget without any bound, and what there is is kept.
        let reachable = budget.min(self.available.iter().map(|sums| unit.of(sums)).sum());
        check_quotas(&bounds, reachable).map_err(|error| self.in_words(&error, unit, budget))?;
        let mut holds = vec![Hold::Shared; self.names.len()];
        let bound = |at: usize, hold: Hold| match hold {
            Hold::Shared => None,
            Hold::Floor => Some(bounds[at].floor),
            Hold::Ceiling => Some(bounds[at].ceiling.min(bounds[at].available)),
        };
        let (shared, have) = loop {
            let fixed: u64 = holds.iter().enumerate().filter_map(|(at, hold)| bound(at, *hold)).sum();
            let left = unit.target(reachable.saturating_sub(fixed));
            let shared = self.threshold(left, |at| holds[at] == Hold::Shared)?;
            let have = self.before(&shared, unit)?;
            if !fix_quotas(&bounds, &have, &mut holds) {
                break (shared, have);
            }
        };
        let mut own: Vec<Option<Threshold>> = Vec::with_capacity(self.names.len());
        for (at, hold) in holds.iter().enumerate() {
            own.push(match bound(at, *hold) {
                None => None,
                Some(bound) => Some(self.threshold(unit.target(bound), |other| other == at)?),
            });
        }
        let shares = (0..self.names.len()).map(|at| StratumShare {
            stratum: self.names[at].clone(),
            held_by: match holds[at] {
                Hold::Shared => "shared threshold",
                Hold::Floor => "floor",
                Hold::Ceiling => "ceiling",
            }
            .to_owned(),
            available: bounds[at].available,
            kept: bound(at, holds[at]).unwrap_or(have[at]),
            threshold: own[at].as_ref().unwrap_or(&shared).first_rejected.map(|first| first.value()),
        });
        let shares = shares.collect();
        let own = own.into_iter().map(|own| own.map(Cut::Exact)).collect();
        Ok((Cut::Exact(shared), own, shares))
    }

    fn in_words(&self, error: &QuotaError, unit: Unit, budget: u64) -> Error {
        let word = unit.word();
        let share = |count: u64| format!("{:.2} %", 100.0 * count as f64 / budget.max(1) as f64);
        match *error {
            QuotaError::FloorOverAvailable { stratum, floor, available } => Error::usage(
                format!(
                    "stratum `{}` has {available} {word}, and its floor asks for {floor} of {budget}",
                    self.names[stratum]
                ),
                format!("a floor of {} can be met, or a smaller budget", share(available)),
            ),
            QuotaError::Crossed { stratum, floor, ceiling } => Error::usage(
                format!(
                    "stratum `{}` has a floor of {floor} {word} above its ceiling of {ceiling}",
                    self.names[stratum]
                ),
                "swap the two shares, or leave one out",
            ),
            QuotaError::FloorsOverBudget { floors, budget } => Error::usage(
                format!("all floors together ask for {floors} {word}, and the budget is {budget}"),
                "lower them: shares of all strata add up to 100% at most",
            ),
            QuotaError::CeilingsUnderBudget { most, budget } => Error::usage(
                format!("with these ceilings there are {most} {word} at most, and the budget is {budget}"),
                format!("lower the budget to {most}, or raise the ceilings"),
            ),
        }
    }
}

fn add(sums: &mut Sums, tokens: u64, bytes: u64) {
    sums.documents += 1;
    sums.tokens += tokens;
    sums.bytes += bytes;
}

/// The cuts of every target, each with what holds every stratum.
///
/// # Errors
/// Shares that cannot be had, saying what can; a rule of independent draws; files that cannot be read.
pub(super) fn find(
    candidates: &Candidates<'_>,
    shards: &[ShardRecord],
    (options, targets): (&QuotaOptions, &[Target]),
    threads: usize,
) -> Result<(Cuts, Vec<Vec<StratumShare>>)> {
    if candidates.ranker.rule() == Rule::Poisson {
        return Err(Error::usage(
            "the poisson rule draws documents independently and cannot keep shares of strata",
            "use --rule ips",
        ));
    }
    let strata = Strata::count(candidates, shards, threads)?;
    if let Some(unknown) = options.shares.keys().find(|name| !strata.places.contains_key(*name)) {
        let names = strata.names.iter().map(String::as_str);
        let nearest = tamis_core::nearest(unknown, names.clone());
        let some = names.take(20).collect::<Vec<_>>().join("`, `");
        return Err(Error::usage(
            format!("no candidate is in the stratum `{unknown}`"),
            nearest.map_or_else(
                || format!("strata are `{some}`"),
                |nearest| format!("did you mean `{nearest}`? strata are `{some}`"),
            ),
        ));
    }
    let mut cuts = Cuts::default();
    let mut own: Vec<Vec<Option<Cut>>> = Vec::new();
    let mut holds = Vec::new();
    for target in targets {
        let (shared, strata, held) = strata.cut(options, *target)?;
        cuts.shared.push(shared);
        own.push(strata);
        holds.push(held);
    }
    for (at, name) in strata.names.iter().enumerate() {
        if own.iter().any(|target| target[at].is_some()) {
            let of = own
                .iter()
                .zip(&cuts.shared)
                .map(|(own, shared)| own[at].clone().unwrap_or_else(|| shared.clone()));
            cuts.of_strata.insert(name.clone(), of.collect());
        }
    }
    Ok((cuts, holds))
}
