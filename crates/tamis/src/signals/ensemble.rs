//! `ensemble`: several scores as one, by ranks.
//!
//! Scores of different signals have no common scale; their ranks have. The mid-rank of a document in a score is the share of
//! documents that the score puts below it, ties counting half, in (0, 1); 1 is the better end. Ranks are over the documents that
//! have a value in every member, of those that are asked: behind `on` these are the candidates of a selection on the same.
//!
//! - The weighted mean of ranks.
//! - Their weighted geometric mean: one bad rank weighs more.
//! - The largest of bucket ranks, as Nemotron-CC (arXiv 2412.02595) joins its judges: a document is as good as its best judge finds it.
//!   A rank is cut into buckets, 20 of them, and documents of one bucket are ordered by the mean of their ranks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};
use tamis_core::{
    Direction, Fingerprint, Input, Parallelism, Ranking, Rule, ScoreBatch, SignalInfo, column, reason,
};
use tamis_io::run::{ALL_ROWS, CorpusVersion, ShardRecord, SignalDir};
use tamis_io::sidecar::{SidecarColumns, zip_aligned};
use tamis_samplers::{MidRanks, Quantiles};

use super::{Definition, Named, Ready, SignalOptions, split_score};
use crate::carried::Strata;
use crate::gate::asked;
use crate::planned::SignalPlan;
use crate::project::Project;
use crate::scoring::{ScoreOptions, ScoreReport};
use crate::whole::WholeRows;
use crate::{Error, Observer, Result, fold};

/// Raised when the same members give other values.
const VERSION: u32 = 1;

/// More than these are a model, and should be trained.
const MOST_MEMBERS: usize = 16;

/// One score of an ensemble.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// A signal with an optional column, as selections name one.
    pub by: String,
    /// How much it counts; above 0.
    #[serde(default = "one")]
    pub weight: f64,
    /// Which end is better; `None`: as the signal says, of another column than its own the higher one.
    #[serde(default)]
    pub better: Option<Direction>,
}

fn one() -> f64 {
    1.0
}

impl Member {
    /// `SIGNAL.COLUMN` or `SIGNAL.COLUMN*WEIGHT`.
    ///
    /// # Errors
    /// A weight that is no positive number.
    pub fn parse(text: &str) -> Result<Self> {
        let (by, weight) = match text.rsplit_once('*') {
            Some((by, weight)) => (
                by,
                weight.trim().parse().map_err(|_| {
                    Error::usage(format!("`{weight}` in the member `{text}` is no weight"), "write ask-llm*2")
                })?,
            ),
            None => (text, 1.0),
        };
        Ok(Self { by: by.trim().to_owned(), weight, better: None })
    }
}

/// How ranks become one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Combine {
    /// Their weighted mean.
    #[default]
    Mean,
    /// Their weighted geometric mean.
    Product,
    /// The largest bucket; weights decide within it.
    Max,
}

/// An ensemble.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EnsembleOptions {
    /// The scores: two or more. What the run does not hold of them is computed by default options.
    pub members: Vec<Member>,
    /// How they are joined.
    pub combine: Combine,
    /// Buckets of [`Combine::Max`].
    pub buckets: u32,
    /// Column, carried or SIGNAL.COLUMN, within whose values ranks are taken; `None`: over all.
    pub within: Option<String>,
}

impl Default for EnsembleOptions {
    fn default() -> Self {
        Self { members: Vec::new(), combine: Combine::Mean, buckets: 20, within: None }
    }
}

impl Named for EnsembleOptions {
    const NAME: &'static str = "ensemble";
    const HELP: &'static str = "several scores of the run as one, by ranks";

    fn named(name: &str) -> Option<Self> {
        (name == Self::NAME).then(Self::default)
    }
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new(column::SCORE, DataType::Float64, true),
        Field::new(column::FAILED, DataType::Utf8, true),
    ]))
}

fn info() -> SignalInfo {
    SignalInfo {
        name: EnsembleOptions::NAME.to_owned(),
        fingerprint: Fingerprint::new("ensemble", VERSION),
        input: Input::DOCUMENTS,
        parallelism: Parallelism::PerCore,
        schema: schema(),
        ranking: Some(Ranking {
            column: column::SCORE.to_owned(),
            direction: Direction::HigherIsBetter,
            rule: Rule::Top,
        }),
        part_bytes: 1 << 20,
        notes: BTreeMap::new(),
    }
}

impl EnsembleOptions {
    fn refuse_impossible(&self) -> Result<()> {
        let wrong = |message: String, hint: &str| Err(Error::usage(message, hint));
        match self.members.len() {
            0 | 1 => wrong(
                "an ensemble needs two scores or more".to_owned(),
                "name two scores or more: --member ask-llm --member perplexity*0.5",
            ),
            n if n > MOST_MEMBERS => {
                wrong(format!("an ensemble has at most {MOST_MEMBERS} members, got {n}"), "leave some out")
            }
            _ => match self.members.iter().find(|member| !(member.weight.is_finite() && member.weight > 0.0))
            {
                Some(member) => wrong(
                    format!("the weight of `{}` is {}", member.by, member.weight),
                    "give a number above 0, or leave the member out",
                ),
                None if self.buckets < 2 => {
                    wrong(format!("{} buckets tell nothing apart", self.buckets), "use 20")
                }
                None => Ok(()),
            },
        }
    }
}

impl Definition for EnsembleOptions {
    fn user_name(&self) -> String {
        Self::NAME.to_owned()
    }

    fn is_of_all_rows(&self) -> bool {
        true
    }

    fn foreseen(&self) -> Result<Option<SignalInfo>> {
        Ok(Some(info()))
    }

    fn check(&self, _project: &Project) -> Result<()> {
        self.refuse_impossible()
    }

    fn scores_read(&mut self) -> Vec<&mut String> {
        let members = self.members.iter_mut().map(|member| &mut member.by);
        members.chain(&mut self.within).collect()
    }

    fn build(&self, _observer: &dyn Observer) -> Result<Ready> {
        Err(Error::usage("ranks are over the whole corpus", "ask for them by `Project::score`"))
    }

    fn score(
        &self,
        project: &Project,
        version: &CorpusVersion,
        asked: &SignalOptions,
        options: ScoreOptions,
    ) -> Result<(SignalDir, ScoreReport)> {
        let began = Instant::now();
        self.refuse_impossible()?;
        let mut members = Vec::with_capacity(self.members.len());
        for member in &self.members {
            let (name, column) = split_score(&member.by);
            // What the run does not hold is computed as its name says.
            let signal = match SignalOptions::named(name) {
                Ok(asked) if !name.contains('@') => {
                    let alone = ScoreOptions { beside: false, refit: false, ..options };
                    project.signal_for(version, &asked, false, alone)?.0
                }
                _ => project.run.resolve(name)?,
            };
            let column = project.column_of(&signal, column)?;
            project.wait_for_whole(version, &signal, options.wait)?;
            project.refuse_stale(version, &signal)?;
            let own = signal.record().ranking.as_ref().filter(|ranking| ranking.column == column);
            let direction =
                member.better.or(own.map(|ranking| ranking.direction)).unwrap_or(Direction::HigherIsBetter);
            members.push(Open { signal: signal.pinned(version)?, column, direction, weight: member.weight });
        }
        let strata = match &self.within {
            Some(name) => {
                let column = project.stratum_column(version, name)?;
                Some(project.strata(version, vec![column], "ranks are within,")?)
            }
            None => None,
        };
        let mut info = project.gated_info(&info());
        let mut fingerprint = info.fingerprint.with("combine", format!("{:?}", self.combine));
        if self.combine == Combine::Max {
            fingerprint = fingerprint.with("buckets", self.buckets);
        }
        if let Some(within) = &self.within {
            fingerprint = fingerprint.with("within", within);
        }
        if let Some(by) = strata.as_ref().and_then(Strata::signals_text) {
            fingerprint = fingerprint.with("within.by", by);
        }
        let mut inputs: Vec<&SignalDir> = Vec::new();
        info.input = Input { documents: false, signals: Vec::new() };
        for (at, member) in members.iter().enumerate() {
            let role = format!("member.{at}");
            fingerprint = fingerprint
                .with_input(&role, &member.signal.record().fingerprint())
                .with(&format!("{role}.column"), &member.column)
                .with(&format!("{role}.better"), format!("{:?}", member.direction))
                .with(&format!("{role}.weight"), member.weight);
            info.input = info.input.and(&role, member.signal.full_name());
            if !inputs.iter().any(|other| other.full_name() == member.signal.full_name()) {
                inputs.push(&member.signal);
            }
        }
        info.fingerprint = fingerprint.with(ALL_ROWS, project.all_rows(&version.shards, &inputs)?);
        let directory = project.begin_whole(asked, &info, options)?;
        let mut computed = 0;
        let mut findings = Vec::new();
        if !project.is_complete(version, &directory)? {
            let rows = Rows { project, version, members: &members, strata: strata.as_ref() };
            let ranks = rows.ranks()?;
            let documents: u64 =
                ranks.first().map_or(0, |ranks| ranks.strata().map(|name| ranks.total(name)).sum());
            findings.push(format!(
                "ranks are over the {documents} documents that have a value in all {} scores",
                members.len()
            ));
            let joined =
                Joined { rows, ranks, combine: self.combine, buckets: self.buckets, schema: schema() };
            computed = project.lay_beside(version, &directory, &joined, options.worker)?;
        }
        let map = project.whole_report(version, &directory, computed, began)?;
        Ok((directory, project.score_report(version, map, findings)))
    }

    fn plan(
        &self,
        project: &Project,
        read: &[(usize, ShardRecord)],
        asked: &SignalOptions,
        options: ScoreOptions,
    ) -> Result<Vec<SignalPlan>> {
        let mut inputs = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        for member in &self.members {
            let name = split_score(&member.by).0;
            if let Ok(named) = SignalOptions::named(name)
                && seen.insert(named.stored_name())
            {
                inputs.extend(project.plan_named(read, &named, options)?);
            }
        }
        project.plan_whole(read, asked, inputs, options)
    }
}

/// A member whose signal is whole.
struct Open {
    signal: SignalDir,
    column: String,
    direction: Direction,
    weight: f64,
}

/// The scores of all members, row by row.
#[derive(Clone, Copy)]
struct Rows<'a> {
    project: &'a Project,
    version: &'a CorpusVersion,
    members: &'a [Open],
    strata: Option<&'a Strata>,
}

/// A row: its stratum, and the values of all members where all have one; higher is better.
type Row<'r> = (&'r str, Result<&'r [f64], &'r str>);

impl Rows<'_> {
    /// Calls `each` for every document of a shard, and `end` after each batch of them.
    fn for_each(
        &self,
        shard: &ShardRecord,
        mut each: impl FnMut(Row<'_>) -> Result<()>,
        mut end: impl FnMut() -> Result<()>,
    ) -> Result<()> {
        let mut columns = vec![column::ROW, column::DOC_KEY];
        columns.extend(self.strata.iter().flat_map(|strata| strata.in_inventory()));
        let run = self.project.run_directory();
        let inventory = run.read_inventory(&shard.path, SidecarColumns::Named(&columns))?;
        let mut sidecars = Vec::new();
        for member in self.members {
            let columns = [column::ROW, column::DOC_KEY, &member.column, column::FAILED];
            sidecars.push(member.signal.read(shard, SidecarColumns::Named(&columns))?);
        }
        if let Some(strata) = self.strata {
            sidecars.extend(strata.beside_inventory(shard)?);
        }
        let mut inside = self.project.gate.as_ref().map(|gate| gate.of_shard(shard)).transpose()?;
        let mut values = vec![0.0; self.members.len()];
        for batch in zip_aligned(&shard.path, inventory, sidecars)? {
            let batch = batch?;
            let rows = match &mut inside {
                Some(inside) => inside.beside(&batch.inventory)?,
                None => batch.inventory.clone(),
            };
            let is_asked = asked(&rows);
            let mut sidecars = batch.sidecars.iter();
            let mut scores = Vec::with_capacity(self.members.len());
            for member in self.members {
                let batch = ScoreBatch::new(sidecars.next().expect("opened above").clone())?;
                let values = batch.values(&member.column)?;
                scores.push((batch, values));
            }
            let strata = match self.strata {
                Some(strata) => Some((strata, strata.of(&batch.inventory, &mut sidecars)?)),
                None => None,
            };
            for at in 0..rows.num_rows() {
                let stratum = strata.as_ref().map(|(strata, values)| strata.name_at(values, at));
                let stratum = stratum.as_deref().unwrap_or_default();
                let mut missing = (!is_asked(at)).then_some(reason::NOT_ASKED);
                for ((value, (batch, values)), member) in values.iter_mut().zip(&scores).zip(self.members) {
                    match values[at].filter(|value| value.is_finite()) {
                        Some(score) => {
                            *value =
                                if member.direction == Direction::LowerIsBetter { -score } else { score };
                        }
                        None => {
                            let failed: &StringArray = batch.failed();
                            let not_asked = failed.iter().nth(at).flatten() == Some(reason::NOT_ASKED);
                            missing = missing.or(Some(if not_asked {
                                reason::NOT_ASKED
                            } else {
                                reason::INPUT_FAILED
                            }));
                        }
                    }
                }
                each((stratum, missing.map_or(Ok(&values[..]), Err)))?;
            }
            end()?;
        }
        Ok(())
    }

    /// The ranks of every member.
    fn ranks(&self) -> Result<Vec<Quantiles>> {
        let mut all = Vec::with_capacity(self.members.len());
        for member in 0..self.members.len() {
            let shards = self.version.shards.iter().collect();
            let ranks =
                fold::one_part_each(shards, self.project.threads, MidRanks::new(), |shard: &ShardRecord| {
                    let mut own = MidRanks::new();
                    let add = |(stratum, values): Row<'_>| {
                        if let Ok(values) = values {
                            own.add(stratum, values[member])?;
                        }
                        Ok(())
                    };
                    self.for_each(shard, add, || Ok(()))?;
                    Ok(own)
                })?;
            all.push(ranks.quantiles());
        }
        Ok(all)
    }
}

struct Joined<'a> {
    rows: Rows<'a>,
    ranks: Vec<Quantiles>,
    combine: Combine,
    buckets: u32,
    schema: SchemaRef,
}

impl Joined<'_> {
    fn join(&self, stratum: &str, values: &[f64]) -> f64 {
        let members = self.rows.members;
        let weight: f64 = members.iter().map(|member| member.weight).sum();
        let ranks = self.ranks.iter().zip(values).map(|(ranks, value)| {
            let (low, high) = ranks.range(stratum, *value).expect("every value was counted");
            f64::midpoint(low, high)
        });
        let mut mean = 0.0;
        let mut logarithms = 0.0;
        let mut best: f64 = 0.0;
        for (rank, member) in ranks.zip(members) {
            mean += member.weight * rank;
            logarithms += member.weight * libm::log(rank);
            best = best.max((rank * f64::from(self.buckets)).floor().min(f64::from(self.buckets - 1)));
        }
        match self.combine {
            Combine::Mean => mean / weight,
            Combine::Product => libm::exp(logarithms / weight),
            // Below the next bucket, whatever the mean.
            Combine::Max => best + mean / weight,
        }
    }
}

impl WholeRows for Joined<'_> {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn read(&self, at: usize, each: &mut dyn FnMut(&RecordBatch) -> Result<()>) -> Result<()> {
        let rows = std::cell::RefCell::new((Vec::new(), Vec::new()));
        let push = |(stratum, values): Row<'_>| {
            let mut rows = rows.borrow_mut();
            match values {
                Ok(values) => {
                    rows.0.push(Some(self.join(stratum, values)));
                    rows.1.push(None);
                }
                Err(why) => {
                    rows.0.push(None);
                    rows.1.push(Some(why.to_owned()));
                }
            }
            Ok(())
        };
        let flush = || {
            let (scores, failed) = rows.take();
            let columns =
                vec![Arc::new(Float64Array::from(scores)) as ArrayRef, Arc::new(StringArray::from(failed))];
            each(&RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(tamis_core::Error::from)?)
        };
        self.rows.for_each(&self.rows.version.shards[at], push, flush)
    }
}
