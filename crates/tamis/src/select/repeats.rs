//! How often each candidate is repeated: from its place among all of them, weighted by tokens, to whole copies.
//!
//! A document that is to be had r times on average is kept ⌊r⌋ times for certain. Whether it is kept once more is drawn: of the
//! documents with a fraction left, those with the smallest v / fraction get one, until the budget is full (sequential Poisson
//! sampling: Ohlsson, Journal of Official Statistics 14(2), 1998). So the sum is within one document of the budget, the draw of a
//! document is that of any selection under its seed, and no order of the corpus is needed.

use tamis_core::{DocKey, Rule};
use tamis_io::run::ShardRecord;
use tamis_samplers::{
    MidRanks, Priority, Quantiles, RepeatError, RepeatRates, SELECTION_STAGE, Target, UniformDraws,
};

use super::candidates::{Candidates, Fate};
use crate::select_options::RepeatOptions;
use crate::{Error, Result, fold};

/// Fitted repeats.
pub(super) struct Repeats {
    quantiles: Quantiles,
    rates: RepeatRates,
    lower_is_better: bool,
    draws: UniformDraws,
    /// Tokens of the candidates, each once.
    pub(super) available: u64,
}

/// How often a document is kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Repeated {
    /// For certain.
    pub(super) whole: u32,
    /// Where it stands in the draw for one more; `None`: it is in none.
    pub(super) more: Option<Priority>,
}

/// Less than this is rounding.
const NOTHING: f64 = 1e-9;

impl Repeats {
    /// Of a candidate.
    pub(super) fn of(&self, key: DocKey, score: f64) -> Repeated {
        let Some((low, high)) = self.quantiles.range("", score) else {
            return Repeated { whole: 0, more: None };
        };
        let (low, high) = if self.lower_is_better { (1.0 - high, 1.0 - low) } else { (low, high) };
        let rate = self.rates.mean(low, high);
        let whole = (rate + NOTHING).floor();
        let fraction = rate - whole;
        let more = (fraction > NOTHING)
            .then(|| Priority::new(self.draws.unit(key) / fraction, self.draws.bits(key), key));
        Repeated { whole: whole as u32, more }
    }

    /// Twentieths of the tokens, the worst first, and how often each is kept.
    pub(super) fn steps(&self) -> Vec<(f64, f64)> {
        self.rates.steps()
    }
}

/// Fits repeats to the candidates, which rank by score.
///
/// # Errors
/// A budget beyond what the cap allows, saying the most; scores that are no quality.
pub(super) fn fit(
    candidates: &Candidates<'_>,
    shards: &[ShardRecord],
    (options, seed, budget): (&RepeatOptions, u64, Target),
    threads: usize,
) -> Result<Repeats> {
    let Target::Tokens(wanted) = budget else { return Err(needs_tokens()) };
    let lower_is_better = match candidates.ranker.rule() {
        Rule::Top => false,
        Rule::Bottom => true,
        rule => {
            return Err(Error::usage(
                format!("repeats follow quality, and the rule `{rule}` has none"),
                "write rule = \"top\" or \"bottom\" with a score",
            ));
        }
    };
    let all: Vec<&ShardRecord> = shards.iter().collect();
    let ranks = fold::one_part_each(all, threads, MidRanks::new(), |shard: &ShardRecord| {
        let mut own = MidRanks::new();
        candidates.for_each(shard, |row| {
            if let Fate::Candidate(_) = row.fate {
                own.add_weighted("", row.score, row.tokens)?;
            }
            Ok(())
        })?;
        Ok(own)
    })?;
    let quantiles = ranks.quantiles();
    let available = quantiles.total("");
    if available == 0 {
        return Err(Error::state(
            "no candidate has a token",
            "look at the counts with `tamis show --by tokens`",
        ));
    }
    let ratio = wanted as f64 / available as f64;
    let rates = RepeatRates::solve(&options.shape, options.from, options.cap, ratio).map_err(|error| match error {
        RepeatError::BeyondCap { most, .. } => {
            let most = (most * available as f64).floor();
            Error::usage(
                format!(
                    "{wanted} tokens are wanted of {available}, and with at most {} repeats from {} on there are {most}",
                    options.cap, options.from
                ),
                "lower the budget, raise `cap`, or lower `from`",
            )
        }
        error @ RepeatError::Shape(_) => Error::usage(error.to_string(), "see docs/selection.md"),
    })?;
    let draws = UniformDraws::new(seed, SELECTION_STAGE);
    Ok(Repeats { quantiles, rates, lower_is_better, draws, available })
}

/// Tokens that are kept for certain.
///
/// # Errors
/// Files that cannot be read.
pub(super) fn certain_tokens(
    candidates: &Candidates<'_>,
    shards: &[ShardRecord],
    threads: usize,
) -> Result<u64> {
    let sums = crate::pool::map(shards.iter().collect(), threads, |shard: &ShardRecord| {
        let mut sum = 0_u64;
        candidates.for_each(shard, |row| {
            sum += row.repeated.map_or(0, |repeated| u64::from(repeated.whole)) * row.tokens;
            Ok(())
        })?;
        Ok(sum)
    })?;
    Ok(sums.into_iter().sum())
}

pub(super) fn needs_tokens() -> Error {
    Error::usage(
        "repeats fill a budget of tokens",
        "write target-tokens = \"100B\" with repeat, or leave repeat out",
    )
}
