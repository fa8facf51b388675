//! `minhash`: near-duplicates by MinHash (Broder 1997, DOI 10.1109/SEQUEN.1997.666900).

mod bands;
mod members;
mod verify;

use std::collections::BTreeMap;
use std::time::Instant;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use serde::{Deserialize, Serialize};
use tamis_core::{Direction, Fingerprint, Input, Parallelism, Ranking, Rule, Signal, SignalInfo};
use tamis_io::run::{ALL_ROWS, CorpusVersion, Repeatability, ShardRecord, SignalDir};
use tamis_samplers::minhash::{Banding, MinHashOptions as HasherOptions, MinHashSignal};

use self::bands::{Bands, LINKS};
use self::members::{NearDuplicates, Order};
use super::{Definition, Named, Ready, SignalOptions};
use crate::again::generations_text;
use crate::alike::{self, Alike, RANK};
use crate::explain::split_score;
use crate::groups::Keep;
use crate::kinds::Kinds;
use crate::project::Project;
use crate::scoring::{ScoreOptions, ScoreReport};
use crate::{Error, Observer, Result};

/// Raised when the same signatures give other values.
const VERSION: u32 = 1;

/// Which document of a group stands first, and so stays.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stays {
    /// The longest text.
    #[default]
    Longest,
    /// The best by a stored signal, `SIGNAL` or `SIGNAL.COLUMN`.
    FirstBy(String),
    /// The last by a carried column, compared as text: dates in ISO 8601.
    Newest(String),
}

/// Near-duplicates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MinhashOptions {
    /// Words a shingle (characters, in scripts that are written without spaces).
    pub ngram: usize,
    /// Bands, one of which has to agree.
    pub bands: usize,
    /// Minima a band.
    pub rows: usize,
    /// Seed of the permutations.
    pub seed: u64,
    /// Which of a group stays.
    pub stays: Stays,
    /// Jaccard similarity of the shingles, from 0 to 1, that documents must have by their texts; `None`: to agree in a band is
    /// enough.
    pub verify: Option<f64>,
    /// Carried column within whose values documents are near-duplicates, such as a dump; `None`: the whole corpus.
    pub within: Option<String>,
}

impl Default for MinhashOptions {
    fn default() -> Self {
        let hasher = HasherOptions::default();
        Self {
            ngram: hasher.ngram,
            bands: hasher.banding.bands(),
            rows: hasher.banding.rows(),
            seed: hasher.seed,
            stays: Stays::Longest,
            verify: None,
            within: None,
        }
    }
}

impl Named for MinhashOptions {
    const NAME: &'static str = "minhash";
    const HELP: &'static str = "its near-duplicates: how many, which stays, how similar";

    fn named(name: &str) -> Option<Self> {
        (name == Self::NAME).then(Self::default)
    }
}

impl MinhashOptions {
    fn signature(&self) -> Result<MinHashSignal> {
        let made = Banding::new(self.bands, self.rows).and_then(|banding| {
            MinHashSignal::new(HasherOptions { ngram: self.ngram, banding, seed: self.seed })
        });
        made.map_err(|error| Error::usage(error.to_string(), "the default is --shingle 5 --bands 14x8"))
    }

    fn info(&self) -> SignalInfo {
        SignalInfo {
            name: Self::NAME.to_owned(),
            fingerprint: Fingerprint::new(Self::NAME, VERSION),
            input: Input { documents: false, signals: Vec::new() },
            parallelism: Parallelism::PerCore,
            schema: alike::schema(members::fields()),
            ranking: Some(Ranking {
                column: RANK.to_owned(),
                direction: Direction::LowerIsBetter,
                rule: Rule::Bottom,
            }),
            part_bytes: 1 << 20,
            notes: BTreeMap::new(),
        }
    }
}

impl Definition for MinhashOptions {
    fn scores_read(&mut self) -> Vec<&mut String> {
        match &mut self.stays {
            Stays::FirstBy(by) => vec![by],
            Stays::Longest | Stays::Newest(_) => Vec::new(),
        }
    }

    fn user_name(&self) -> String {
        Self::NAME.to_owned()
    }

    fn check(&self, project: &Project) -> Result<()> {
        self.signature()?;
        if self.verify.is_some_and(|least| !(0.0..=1.0).contains(&least)) {
            return Err(Error::usage(
                "a Jaccard similarity lies between 0 and 1",
                "write --verify 0.7, or leave it out to take candidates as they are",
            ));
        }
        if let Stays::FirstBy(by) = &self.stays {
            project.ordering(by)?;
        }
        for column in self.columns() {
            if !project.is_asked_for(column)? {
                project.check_columns(&[column], "")?;
            }
        }
        Ok(())
    }

    fn is_of_all_rows(&self) -> bool {
        true
    }

    fn foreseen(&self) -> Result<Option<SignalInfo>> {
        Ok(Some(self.info()))
    }

    fn build(&self, _observer: &dyn Observer) -> Result<Ready> {
        Err(Error::usage(
            "near-duplicates are found over the whole corpus",
            "ask for them by `Project::score`",
        ))
    }

    fn score(
        &self,
        project: &Project,
        version: &CorpusVersion,
        asked: &SignalOptions,
        options: ScoreOptions,
    ) -> Result<(SignalDir, ScoreReport)> {
        project.score_minhash(version, self, asked, options)
    }
}

impl MinhashOptions {
    /// The columns of the corpus that it goes by.
    fn columns(&self) -> impl Iterator<Item = &str> {
        let newest = match &self.stays {
            Stays::Newest(column) => Some(column.as_str()),
            Stays::Longest | Stays::FirstBy(_) => None,
        };
        newest.into_iter().chain(self.within.as_deref())
    }
}

/// Role of the signatures among what is read, and of what orders a group.
const SIGNATURE: &str = "signature";
const ORDER: &str = "order";

impl Project {
    fn score_minhash(
        &self,
        version: &CorpusVersion,
        minhash: &MinhashOptions,
        asked: &SignalOptions,
        options: ScoreOptions,
    ) -> Result<(SignalDir, ScoreReport)> {
        let began = Instant::now();
        // Refused before the corpus is read once more.
        self.same_settings(asked, options)?;
        let carried = |name: &String| self.carried_now(version, name);
        let within = minhash.within.as_ref().map(carried).transpose()?;
        let (order, ordered_by) = match &minhash.stays {
            Stays::Longest => (Order::Longest, None),
            Stays::Newest(name) => (Order::Newest(carried(name)?), None),
            Stays::FirstBy(by) => {
                let (signal, column, direction) = self.ordering(by)?;
                self.wait_for_whole(version, &signal, options.wait)?;
                self.refuse_stale(version, &signal)?;
                let signal = signal.pinned(version)?;
                (Order::Signal { signal: signal.clone(), column, direction }, Some(signal))
            }
        };
        let hasher = minhash.signature()?;
        let signatures = self.open_signal_of(hasher.info(), None, true, Repeatability::Exact)?;
        let shards: Vec<&ShardRecord> = version.shards.iter().collect();
        self.map(version, &shards, &hasher, &signatures, options.worker)?;
        self.wait_for_whole(version, &signatures, options.wait)?;
        let mut info = minhash.info();
        let mut fingerprint = info
            .fingerprint
            .with_input(SIGNATURE, &hasher.info().fingerprint)
            .with("shingle", minhash.ngram)
            .with("bands", format!("{}x{}", minhash.bands, minhash.rows))
            .with("stays", stays_text(&minhash.stays))
            .with("verify", minhash.verify.map_or_else(|| "no".to_owned(), |least| least.to_string()))
            .with("within", minhash.within.as_deref().unwrap_or("the corpus"));
        let mut inputs = vec![&signatures];
        info.input = info.input.and(SIGNATURE, signatures.full_name());
        if let Some(signal) = &ordered_by {
            fingerprint = fingerprint
                .with_input(ORDER, &signal.record().fingerprint())
                .with("order.generations", generations_text(&signal.generations()));
            info.input = info.input.and(ORDER, signal.full_name());
            inputs.push(signal);
        }
        info.fingerprint = fingerprint.with(ALL_ROWS, self.all_rows(&version.shards, &inputs)?);
        let directory = self.begin_whole(asked, &info, options)?;
        let mut computed = 0;
        let mut findings = Vec::new();
        if !self.is_complete(version, &directory)? {
            let shape = (minhash.bands, minhash.verify.is_some());
            let bands = Bands::new(&signatures, within.as_ref(), shape, info.fingerprint.clone());
            let found = self.grouped(version, &bands, Keep::InRun)?;
            let kinds = match minhash.verify {
                None => self.kinds(version, &found, links)?,
                Some(least) => {
                    let shingles = hasher.hasher().shingles();
                    let verified = self.verified_pairs(version, (&found, &signatures), shingles, least)?;
                    findings.push(format!(
                        "of {} candidate pairs {} have a Jaccard similarity of {least} or more",
                        verified.candidates,
                        verified.pairs.len()
                    ));
                    Kinds::of_pairs(version, &verified.pairs)
                }
            };
            let permutations = minhash.bands * minhash.rows;
            let members = NearDuplicates { signatures: &signatures, permutations, order, kinds };
            let alike = Alike::new(&info.name, info.fingerprint.clone(), members);
            let grouped = self.grouped(version, &alike, Keep::InRun)?;
            computed = self.lay_beside(version, &directory, &grouped, options.worker)?;
        }
        let map = self.whole_report(version, &directory, computed, began)?;
        if map.unfinished_shards == 0 {
            findings.push(self.describe_alike(version, &directory)?);
            findings.extend(hasher.info().notes.get("candidates").map(|text| format!("candidates: {text}")));
        }
        Ok((directory, self.score_report(version, map, findings)))
    }

    /// The stored signal by which a group is ordered, its column and which end of it is better.
    fn ordering(&self, by: &str) -> Result<(SignalDir, String, Direction)> {
        let (name, column) = split_score(by);
        let signal = self.run.resolve(&super::short_name(name))?;
        let column = self.column_of(&signal, column)?;
        let direction =
            signal.record().ranking.as_ref().map_or(Direction::HigherIsBetter, |ranking| ranking.direction);
        Ok((signal, column, direction))
    }
}

/// The links of a batch of what was found in bands.
fn links(values: &RecordBatch, link: &mut dyn FnMut(usize, u64)) -> Result<()> {
    let missing = || tamis_core::Error::MissingColumn { column: LINKS.to_owned() };
    let column = values.column_by_name(LINKS).and_then(|column| column.as_list_opt::<i32>());
    let column = column.ok_or_else(missing)?;
    for row in 0..values.num_rows() {
        let others = column.value(row);
        let others = others.as_primitive_opt::<UInt64Type>().ok_or_else(missing)?;
        others.values().iter().for_each(|other| link(row, *other));
    }
    Ok(())
}

fn stays_text(stays: &Stays) -> String {
    match stays {
        Stays::Longest => "longest".to_owned(),
        Stays::FirstBy(by) => format!("first by {by}"),
        Stays::Newest(column) => format!("newest by {column}"),
    }
}
