//! `semdedup`: how near the nearest earlier document of its cluster is (SemDeDup, arXiv 2303.09540).

mod pairs;
mod recall;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, UInt32Type, UInt64Type};
use arrow_array::{Array, ArrayRef, FixedSizeBinaryArray, Float64Array, RecordBatch, UInt32Array};
use arrow_schema::{DataType, Field};
use serde::{Deserialize, Serialize};
use tamis_core::{Direction, Fingerprint, Input, Parallelism, Ranking, Rule, SignalInfo, column};
use tamis_io::run::{ALL_ROWS, CorpusVersion, RunDirectory, ShardRecord, SignalDir, SignalRecord};
use tamis_samplers::RecallReport;

use self::pairs::{CLUSTER, CLUSTERS, COSINE, ClusterPairs, EMBEDDING, NEAREST, ORDER};
use super::clusters::ClustersOptions;
use super::{Definition, Named, Ready, SignalOptions};
use crate::alike::{self, Alike, Members};
use crate::groups::{Grouped, Keep, Pairs, Position, Rows};
use crate::kinds::Kinds;
use crate::model_options::ServerOptions;
use crate::planned::SignalPlan;
use crate::project::Project;
use crate::scoring::{ScoreOptions, ScoreReport};
use crate::{Error, Observer, Result};

/// Raised when the same clusters give other values.
const VERSION: u32 = 1;

/// Which document of a group of duplicates is the first of its cluster, and so stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeepOrder {
    /// The farthest from the centroid, as the paper of SemDeDup has it.
    #[default]
    Farthest,
    /// The nearest to it.
    Nearest,
    /// Any, by a keyed draw.
    Seed,
}

/// SemDeDup.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SemdedupOptions {
    /// Clusters that it looks into.
    pub clusters: ClustersOptions,
    /// Which of a group stays.
    pub keep: KeepOrder,
    /// ε: documents are of one group where a cosine is more than 1 − ε.
    pub epsilon: f64,
    /// Clusters of a document that are looked into: its own, and with 2 the second nearest too.
    pub probe: usize,
    /// Seed of the draws of [`KeepOrder::Seed`].
    pub seed: u64,
}

impl Default for SemdedupOptions {
    fn default() -> Self {
        Self {
            clusters: ClustersOptions::default(),
            keep: KeepOrder::Farthest,
            epsilon: 0.05,
            probe: 1,
            seed: 0,
        }
    }
}

impl Named for SemdedupOptions {
    const NAME: &'static str = "semdedup";
    const HELP: &'static str = "how near an earlier document of its cluster is";

    fn named(name: &str) -> Option<Self> {
        (name == Self::NAME).then(Self::default)
    }
}

impl SemdedupOptions {
    fn fingerprint(&self) -> Fingerprint {
        let keep = match self.keep {
            KeepOrder::Farthest => "farthest".to_owned(),
            KeepOrder::Nearest => "nearest".to_owned(),
            KeepOrder::Seed => format!("seed {}", self.seed),
        };
        Fingerprint::new(Self::NAME, VERSION)
            .with("keep", keep)
            .with("epsilon", self.epsilon)
            .with("probe", self.probe)
    }

    fn info(&self, inputs: Option<(&SignalDir, &SignalDir)>) -> SignalInfo {
        let (mut fingerprint, mut input) =
            (self.fingerprint(), Input { documents: false, signals: Vec::new() });
        if let Some((embedding, clusters)) = inputs {
            for (role, signal) in [(EMBEDDING, embedding), (CLUSTERS, clusters)] {
                fingerprint = fingerprint.with_input(role, &signal.record().fingerprint());
                input = input.and(role, signal.full_name());
            }
        }
        SignalInfo {
            name: Self::NAME.to_owned(),
            fingerprint,
            input,
            parallelism: Parallelism::PerCore,
            schema: alike::schema(fields()),
            ranking: Some(Ranking {
                column: column::SCORE.to_owned(),
                direction: Direction::LowerIsBetter,
                rule: Rule::Bottom,
            }),
            part_bytes: 1 << 20,
            notes: BTreeMap::new(),
        }
    }

    fn above(&self) -> f32 {
        (1.0 - self.epsilon) as f32
    }
}

impl Definition for SemdedupOptions {
    fn user_name(&self) -> String {
        Self::NAME.to_owned()
    }

    fn model(&self) -> Result<Option<&str>> {
        self.clusters.model()
    }

    fn server(&mut self) -> Option<&mut ServerOptions> {
        self.clusters.server()
    }

    fn can_be_served(&self) -> bool {
        true
    }

    fn first(&self) -> Option<SignalOptions> {
        self.clusters.first()
    }

    fn check(&self, project: &Project) -> Result<()> {
        if !(0.0..=2.0).contains(&self.epsilon) {
            return Err(Error::usage(
                format!("epsilon {} is no distance of cosines", self.epsilon),
                "write a number from 0 (copies alone) to 2, such as --epsilon 0.05",
            ));
        }
        if !(1..=2).contains(&self.probe) {
            return Err(Error::usage(
                format!("{} clusters of a document cannot be looked into", self.probe),
                "write --probe 1 or --probe 2",
            ));
        }
        self.clusters.check(project)
    }

    fn is_of_all_rows(&self) -> bool {
        true
    }

    fn foreseen(&self) -> Result<Option<SignalInfo>> {
        Ok(Some(self.info(None)))
    }

    fn build(&self, _observer: &dyn Observer) -> Result<Ready> {
        Err(Error::usage(
            "semdedup holds documents of a cluster against each other",
            "score `embed` in tasks, then semdedup by `Project::score`",
        ))
    }

    fn unify(&mut self, digest: &str) {
        self.clusters.unify(digest);
        if self.keep != KeepOrder::Seed {
            self.seed = 0;
        }
    }

    fn score(
        &self,
        project: &Project,
        version: &CorpusVersion,
        asked: &SignalOptions,
        options: ScoreOptions,
    ) -> Result<(SignalDir, ScoreReport)> {
        project.score_semdedup(version, self, asked, options)
    }

    fn plan(
        &self,
        project: &Project,
        read: &[(usize, ShardRecord)],
        asked: &SignalOptions,
        options: ScoreOptions,
    ) -> Result<Vec<SignalPlan>> {
        let inputs = project.plan_asked(read, &self.clusters.clone().into(), options)?;
        project.plan_whole(read, asked, inputs, options)
    }
}

impl Project {
    fn score_semdedup(
        &self,
        version: &CorpusVersion,
        semdedup: &SemdedupOptions,
        asked: &SignalOptions,
        options: ScoreOptions,
    ) -> Result<(SignalDir, ScoreReport)> {
        let (clusters, clustered) = self.score(version, &semdedup.clusters.clone().into(), options)?;
        self.wait_for_whole(version, &clusters, options.wait)?;
        let began = Instant::now();
        let clusters = clusters.pinned(version)?;
        let embedding = self.embedding_of(&clusters)?.pinned(version)?;
        let mut info = semdedup.info(Some((&embedding, &clusters)));
        let rows = self.all_rows(&version.shards, &[&embedding, &clusters])?;
        info.fingerprint = info.fingerprint.with(ALL_ROWS, rows);
        let directory = self.begin_whole(asked, &info, options)?;
        let directory = directory
            .reading(embedding.full_name(), embedding.generations())
            .reading(clusters.full_name(), clusters.generations());
        let mut computed = 0;
        let mut findings = clustered.findings;
        if !self.is_complete(version, &directory)? {
            let found = ClusterPairs::new(
                self,
                &directory,
                info.fingerprint.clone(),
                (semdedup.keep, semdedup.seed, semdedup.probe),
                embedding_shape(embedding.record())?,
            );
            let found = self.grouped(version, &found, Keep::InRun)?;
            let above = semdedup.above();
            let kinds = self.kinds(version, &found, |values, link| {
                for (row, other) in pairs::links(values, above)?.into_iter().enumerate() {
                    if let Some(other) = other {
                        link(row, other);
                    }
                }
                Ok(())
            })?;
            let members = Duplicates { run: &self.run, version, found: &found, kinds };
            let alike = Alike::new(&info.name, info.fingerprint.clone(), members);
            let grouped = self.grouped(version, &alike, Keep::InRun)?;
            computed = self.lay_beside(version, &directory, &grouped, options.worker)?;
        }
        let map = self.whole_report(version, &directory, computed, began)?;
        if map.unfinished_shards == 0 {
            findings.push(self.describe_alike(version, &directory)?);
            let recall = self.cluster_recall(version, &directory, (semdedup.above(), semdedup.probe))?;
            findings.push(in_words(&recall, semdedup));
        }
        Ok((directory, self.score_report(version, map, findings)))
    }
}

/// What looking into clusters alone misses, as a sentence.
fn in_words(recall: &RecallReport, semdedup: &SemdedupOptions) -> String {
    let RecallReport { queries, with_near, pairs, .. } = recall;
    let of = match semdedup.probe {
        1 => "its own cluster",
        _ => "its two nearest clusters",
    };
    match (recall.recall, recall.interval, recall.pair_recall) {
        (Some(share), Some((low, high)), Some(pair_share)) => format!(
            "of {queries} documents held against the whole corpus {with_near} have another within epsilon {}: {:.1} % of these (95 % interval {:.1} to {:.1}) have one in {of}, as have {:.1} % of the {pairs} pairs{}",
            semdedup.epsilon,
            100.0 * share,
            100.0 * low,
            100.0 * high,
            100.0 * pair_share,
            if semdedup.probe == 1 && low < 0.9 {
                "; --probe 2 looks into the second nearest cluster too"
            } else {
                ""
            }
        ),
        _ => format!(
            "of {queries} documents held against the whole corpus none has another within epsilon {}",
            semdedup.epsilon
        ),
    }
}

/// Values of an embedding, and whether they are stored in 16 bits.
fn embedding_shape(record: &SignalRecord) -> Result<(usize, bool)> {
    let dimension = super::dimension(record)? as usize;
    let half = record.schema.iter().any(|column| column.data_type.contains("f16"));
    Ok((dimension, half))
}

/// Columns beside how a document stands among those alike.
fn fields() -> Vec<Field> {
    vec![
        Field::new(column::SCORE, DataType::Float64, true),
        Field::new(NEAREST, DataType::FixedSizeBinary(16), true),
        Field::new(CLUSTER, DataType::UInt32, true),
    ]
}

/// Documents by group of duplicates, in the order of their clusters.
struct Duplicates<'a> {
    run: &'a RunDirectory,
    version: &'a CorpusVersion,
    found: &'a Grouped<'a>,
    kinds: Kinds,
}

/// Score, whether there is a nearest, its key, cluster.
const TAIL_BYTES: usize = 8 + 1 + 16 + 4;

impl Members for Duplicates<'_> {
    fn rows<'r>(&'r self, run: &RunDirectory, shard: &ShardRecord) -> Result<Rows<'r>> {
        let at = self.version.shards.iter().position(|own| own.path == shard.path);
        let at = at.ok_or_else(|| Error::state("a shard of another version", "this is a bug of tamis"))?;
        debug_assert_eq!(run.store().location(""), self.run.store().location(""));
        crate::whole::beside_keys(self.run, shard, self.found, at)
    }

    fn emit(&self, first: Position, batch: &RecordBatch, pairs: &mut Pairs) -> Result<()> {
        let missing = |name: &str| tamis_core::Error::MissingColumn { column: name.to_owned() };
        let column = |name: &str| batch.column_by_name(name).ok_or_else(|| missing(name));
        let keys = column(column::DOC_KEY)?.as_fixed_size_binary();
        let cosines = column(COSINE)?.as_primitive::<Float32Type>();
        let nearest = column(NEAREST)?.as_fixed_size_binary();
        let orders = column(ORDER)?.as_primitive::<UInt64Type>();
        let clusters = column(CLUSTER)?.as_primitive::<UInt32Type>();
        let mut payload = [0; 8 + 16 + TAIL_BYTES];
        for at in (0..batch.num_rows()).filter(|&at| cosines.is_valid(at)) {
            payload[..8].copy_from_slice(&orders.value(at).to_be_bytes());
            payload[8..24].copy_from_slice(keys.value(at));
            payload[24..32].copy_from_slice(&f64::from(cosines.value(at)).to_le_bytes());
            payload[32] = u8::from(nearest.is_valid(at));
            payload[33..49].fill(0);
            if nearest.is_valid(at) {
                payload[33..49].copy_from_slice(nearest.value(at));
            }
            payload[49..].copy_from_slice(&clusters.value(at).to_le_bytes());
            let mut key = [0; 16];
            key[..8].copy_from_slice(&self.kinds.of(first, at).to_be_bytes());
            pairs.push(at, &key, &payload);
        }
        Ok(())
    }

    fn order_bytes(&self) -> usize {
        8
    }

    fn tail_bytes(&self) -> usize {
        TAIL_BYTES
    }

    fn fields(&self) -> Vec<Field> {
        fields()
    }

    fn extra_bytes(&self) -> usize {
        TAIL_BYTES
    }

    fn extra(&self, _first: &[u8], own: &[u8], out: &mut [u8]) {
        out.copy_from_slice(own);
    }

    fn columns(&self, extras: &[Option<&[u8]>]) -> Vec<ArrayRef> {
        let score = |own: &[u8]| f64::from_le_bytes(own[..8].try_into().expect("8 bytes"));
        let cluster = |own: &[u8]| u32::from_le_bytes(own[25..].try_into().expect("4 bytes"));
        let nearest = extras.iter().map(|own| own.filter(|own| own[8] == 1).map(|own| &own[9..25]));
        vec![
            Arc::new(extras.iter().map(|own| own.map(score)).collect::<Float64Array>()),
            Arc::new(
                FixedSizeBinaryArray::try_from_sparse_iter_with_size(nearest, 16)
                    .expect("keys have 16 bytes"),
            ),
            Arc::new(extras.iter().map(|own| own.map(cluster)).collect::<UInt32Array>()),
        ]
    }
}
