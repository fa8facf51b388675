//! Clusters of a run: a sample is seeded from, passes over the documents of the fit move the centroids, every document is
//! assigned to the frozen ones.
//!
//! Documents of the fit that fit into memory are held there, as rows of norm 1; of more every pass is a fold over the embeddings
//! ([`crate::fold`]), whose spans a stop does not lose. Either gives the same bits, since sums are of integers. The centroids
//! after each pass are kept until the fit stands, so that a stop loses one pass at most.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use tamis_core::{Digest, EmbeddingBatch, Fingerprint, Sharded, Signal, SignalInfo, Summary};
use tamis_io::run::{Beside, CorpusVersion, REVISION_NOTE, Repeatability, ShardRecord, SignalDir};
use tamis_io::sidecar::SidecarColumns;
use tamis_samplers::EmbeddingSample;
use tamis_samplers::clusters::{
    Centroids, Clusters, FIT_DOCUMENTS_A_CLUSTER, Geometry, LloydPass, default_clusters, seed_centroids,
    seeding_documents,
};

use super::ClustersOptions;
use crate::again::FailedRows;
use crate::fold::{self, Inputs, Kept};
use crate::planned::{SignalPlan, Standing, anew};
use crate::project::Project;
use crate::scoring::{ScoreOptions, ScoreReport};
use crate::signals::{OPTIONS_NOTE, SignalOptions, dimension, options_text, stored_options_of};
use crate::{Error, Result, pool};

/// Rows of a part.
const ROWS: usize = 1024;
/// What the run calls the frozen centroids.
pub(crate) const CENTROIDS: tamis_io::run::Frozen = tamis_io::run::Frozen::Centroids;

/// Who takes part in a fit, and how it begins.
struct Plan {
    clusters: usize,
    documents: u64,
    rate: f64,
    geometry: Geometry,
}

impl Project {
    pub(super) fn score_clusters(
        &self,
        version: &CorpusVersion,
        asked: &ClustersOptions,
        options: &SignalOptions,
        how: ScoreOptions,
    ) -> Result<(SignalDir, ScoreReport)> {
        let own = ScoreOptions { refit: false, ..how };
        let (embedding, embedded) = self.score(version, &asked.embed.clone().into(), own)?;
        self.wait_for_whole(version, &embedding, how.wait)?;
        let embedding = embedding.pinned(version)?;
        let began = Instant::now();
        let stored = match how.refit {
            true => None,
            false => self.frozen_clusters(options, embedding.full_name(), how)?,
        };
        let (directory, signal, mut findings) = match stored {
            Some(directory) => {
                let centroids = self.read_centroids(&directory)?;
                let corpus = directory.record().fingerprint.get("corpus_documents");
                let corpus = corpus.and_then(|text| text.parse().ok()).unwrap_or(centroids.documents);
                let signal = signal_of(&centroids, &embedding, corpus);
                // Opened, it is cleared of what a call that was stopped left behind.
                let directory = self.run.open_signal(directory.record(), Beside::Allow)?;
                (directory, signal, Vec::new())
            }
            None => self.fit_clusters(version, asked, options, &embedding, how)?,
        };
        // The centroids stand: what was kept for them is not needed, nor what another call left behind.
        self.run.sweep_partials(&partials_name(asked, &embedding)?)?;
        let directory = directory.reading(embedding.full_name(), embedding.generations());
        if how.failed == FailedRows::Keep {
            self.refuse_stale(version, &directory)?;
        }
        let shards: Vec<&ShardRecord> = version.shards.iter().collect();
        let mut map = self.map(version, &shards, &signal, &directory, how.worker)?;
        if how.failed == FailedRows::Retry {
            let stale = self.stale_shards(version, &directory)?;
            self.retry(version, &signal, &directory, how.worker, &mut map, |shard| {
                stale.contains(&shard.path)
            })?;
            map.asked_again += embedded.map.asked_again;
            map.mended += embedded.map.mended;
        }
        if let Some(note) = directory.record().notes.get("fit") {
            findings.insert(0, note.clone());
        }
        map.seconds = began.elapsed().as_secs_f64();
        Ok((directory, self.score_report(version, map, findings)))
    }

    /// The stored clusters of these settings over these embeddings.
    fn frozen_clusters(
        &self,
        options: &SignalOptions,
        embedding: &str,
        how: ScoreOptions,
    ) -> Result<Option<SignalDir>> {
        let Some(stored) = self.same_settings(options, how)? else { return Ok(None) };
        let is_whole = self.run.has_frozen(CENTROIDS, stored.full_name())?;
        Ok(Some(stored).filter(|stored| is_whole && stored.record().input == embedding))
    }

    fn read_centroids(&self, directory: &SignalDir) -> Result<Centroids> {
        let bytes = self.run.read_frozen(CENTROIDS, directory.full_name())?;
        let centroids = Centroids::decode(&bytes)?;
        let stated = directory.record().fingerprint.get("centroids");
        if stated.map(String::as_str) != Some(centroids.digest().as_str()) {
            return Err(Error::state(
                format!("the centroids of `{}` are not those that it was begun with", directory.full_name()),
                "restore the file, or fit new ones by --refit",
            ));
        }
        Ok(centroids)
    }

    /// The embeddings that a signal of clusters reads.
    pub(crate) fn embedding_of(&self, clusters: &SignalDir) -> Result<SignalDir> {
        Ok(self.run.resolve(&clusters.record().input)?)
    }

    fn fit_clusters(
        &self,
        version: &CorpusVersion,
        asked: &ClustersOptions,
        options: &SignalOptions,
        embedding: &SignalDir,
        how: ScoreOptions,
    ) -> Result<(SignalDir, Clusters, Vec<String>)> {
        let before = self.same_settings(options, ScoreOptions { beside: how.beside || how.refit, ..how })?;
        let began = Instant::now();
        let partials = self.run.partials(&partials_name(asked, embedding)?)?;
        let kept = Kept { partials: &partials, worker: how.worker };
        let centroids = self.centroids_for(version, asked, embedding, kept)?;
        let seconds = began.elapsed().as_secs_f64();
        let note = describe(&centroids, self.asked_documents(version));
        let signal = signal_of(&centroids, embedding, self.asked_documents(version)).with_note("fit", note);
        let mut record = self.record_of(signal.info(), Repeatability::Exact);
        let spelt = before.as_ref().and_then(|stored| stored_options_of(stored.record()));
        let spelt = spelt.as_ref().unwrap_or(options);
        record.notes.insert(OPTIONS_NOTE.to_owned(), options_text(spelt)?);
        let revision = before.map_or(0, |stored| stored.record().revision()) + 1;
        record.notes.insert(REVISION_NOTE.to_owned(), revision.to_string());
        // The centroids first: a signal without them could never be completed.
        self.run.write_frozen(CENTROIDS, &record.full_name, &centroids.encode())?;
        let directory = self.run.open_signal(&record, Beside::Allow)?;
        drop(partials);
        let findings = vec![format!("fitted in {seconds:.1} s")];
        Ok((directory, signal, findings))
    }

    fn centroids_for(
        &self,
        version: &CorpusVersion,
        asked: &ClustersOptions,
        embedding: &SignalDir,
        kept: Kept<'_>,
    ) -> Result<Centroids> {
        let dimension = dimension(embedding.record())? as usize;
        let wanted =
            asked.clusters.unwrap_or_else(|| default_clusters(self.asked_documents(version))) as usize;
        let size = seeding_documents(wanted);
        let empty = EmbeddingSample::new(size, dimension, asked.seed);
        let inputs = |stage| Inputs { version, signal: embedding, stage: Some(stage), kept: Some(kept) };
        let Sharded { inner: sample, .. } = self.fold(&inputs("sample embeddings"), &empty)?;
        let documents = sample.documents();
        if documents == 0 {
            return Err(Error::state(
                "the corpus has no document with an embedding",
                "look into quarantine/ for what was wrong with it",
            ));
        }
        if wanted as u64 > documents {
            return Err(Error::usage(
                format!("{wanted} clusters of {documents} documents with an embedding"),
                "ask for fewer by --clusters",
            ));
        }
        let most = asked.fit_documents.unwrap_or(FIT_DOCUMENTS_A_CLUSTER.saturating_mul(wanted as u64));
        let plan = Plan {
            clusters: wanted,
            documents,
            rate: (most as f64 / documents as f64).min(1.0),
            geometry: asked.geometry.into(),
        };
        let values = sample.embeddings();
        // In space no value of the corpus should be far over the largest of the sample; what is counts as so much.
        let bound = values.iter().fold(f32::MIN_POSITIVE, |bound, value| bound.max(value.abs())) * 4.0;
        let fit_bytes = (plan.rate * documents as f64) as u64 * 4 * dimension as u64;
        let held = match fit_bytes <= asked.fit_memory_bytes {
            true => Some(self.hold(version, embedding, &plan, (&values, dimension), (bound, asked.seed))?),
            false => None,
        };
        let rows = self.all_rows(&version.shards, &[embedding])?;
        let mut best: Option<Centroids> = None;
        for restart in 0..asked.restarts {
            let seed = asked.seed.wrapping_add(u64::from(restart));
            let begin = || seed_centroids(values.clone(), dimension, plan.geometry, plan.clusters, seed);
            let step = |centroids: &Centroids, stage: &'static str| -> Result<LloydPass> {
                let empty = LloydPass::new(centroids, bound, (plan.rate, asked.seed));
                match &held {
                    Some(blocks) => self.pass_in_memory(blocks, &empty),
                    None => Ok(self.fold(&inputs(stage), &empty)?.inner),
                }
            };
            let name = |iteration: u32| Digest::of(format!("centroids {rows} {seed} {iteration}").as_bytes());
            let mut done = None;
            for iteration in (1..=asked.iterations).rev() {
                let Some(bytes) = kept.partials.read(name(iteration))? else { continue };
                match Centroids::decode(&bytes) {
                    Ok(centroids) => done = Some(centroids),
                    Err(error) => {
                        let file = kept.partials.location(name(iteration));
                        self.observer.warn(&format!("`{file}`: {error}; the pass before it is gone on from"));
                        kept.partials.discard(name(iteration))?;
                        continue;
                    }
                }
                break;
            }
            let mut centroids = match done {
                Some(centroids) => centroids,
                None => begin(),
            };
            let left = u64::from(asked.iterations.saturating_sub(centroids.iterations)) + 1;
            if held.is_some() {
                let documents = (plan.rate * plan.documents as f64) as u64;
                self.observer.begin("fit clusters", left * documents);
            }
            while centroids.iterations < asked.iterations {
                centroids = step(&centroids, "fit clusters")?.finish(&centroids);
                kept.partials.commit(name(centroids.iterations), &centroids.encode())?;
            }
            let centroids = step(&centroids, "measure clusters")?.measured(&centroids);
            if held.is_some() {
                self.observer.end();
            }
            if best.as_ref().is_none_or(|best| centroids.objective < best.objective) {
                best = Some(centroids);
            }
        }
        best.ok_or_else(|| Error::usage("no fits", "give --restarts a number of at least 1"))
    }

    /// The documents of a fit, prepared, in blocks.
    fn hold(
        &self,
        version: &CorpusVersion,
        embedding: &SignalDir,
        plan: &Plan,
        (values, dimension): (&[f32], usize),
        (bound, seed): (f32, u64),
    ) -> Result<Vec<Vec<f32>>> {
        // Any centroid will do: which documents take part, and how they are prepared, depends on none.
        let any = Centroids::new(plan.geometry, dimension, values[..dimension].to_vec());
        let pass = LloydPass::new(&any, bound, (plan.rate, seed));
        let blocks: Mutex<Vec<Vec<f32>>> = Mutex::default();
        self.observer.begin("read embeddings", version.documents());
        pool::map(version.shards.iter().collect(), self.threads, |shard: &ShardRecord| {
            let mut open: Vec<f32> = Vec::new();
            for batch in embedding.read(shard, SidecarColumns::All)? {
                self.go_on()?;
                let batch = batch?;
                let rows = batch.num_rows() as u64;
                open.extend(pass.rows_of(&EmbeddingBatch::new(batch)?)?);
                self.observer.advance(rows, 0, rows);
            }
            if !open.is_empty() {
                open.shrink_to_fit();
                blocks.lock().unwrap_or_else(PoisonError::into_inner).push(open);
            }
            Ok(())
        })?;
        self.observer.end();
        Ok(blocks.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    fn pass_in_memory(&self, blocks: &[Vec<f32>], empty: &LloydPass) -> Result<LloydPass> {
        let dimension = empty.dimension();
        let parts: Vec<&[f32]> = blocks.iter().flat_map(|block| block.chunks(ROWS * dimension)).collect();
        fold::one_part_each(parts, self.threads, empty.empty(), |rows: &[f32]| {
            self.go_on()?;
            let step = empty.step(rows);
            let rows = (rows.len() / dimension) as u64;
            self.observer.advance(rows, 0, rows);
            Ok(step)
        })
    }

    pub(super) fn plan_clusters(
        &self,
        read: &[(usize, ShardRecord)],
        asked: &ClustersOptions,
        options: &SignalOptions,
        how: ScoreOptions,
    ) -> Result<Vec<SignalPlan>> {
        let own = ScoreOptions { beside: how.beside, worker: how.worker, ..ScoreOptions::default() };
        let mut plans = self.plan_asked(read, &asked.embed.clone().into(), own)?;
        let name = options.stored_name();
        let plan = match plans.last().map(|plan| plan.standing.clone()) {
            Some(refused @ Standing::Refused { .. }) => {
                SignalPlan { standing: refused, ..anew(read, name, None, how) }
            }
            _ => {
                let same = self.same_settings(options, ScoreOptions { beside: true, ..how })?;
                match same {
                    Some(stored) if !how.refit => self.going_on(read, &stored, how)?,
                    Some(stored) => anew(read, name, Some((stored.full_name().to_owned(), Vec::new())), how),
                    None => anew(read, name, self.other_settings(options)?, how),
                }
            }
        };
        plans.push(plan);
        Ok(plans)
    }
}

fn signal_of(centroids: &Centroids, embedding: &SignalDir, corpus_documents: u64) -> Clusters {
    let fingerprint = embedding.record().fingerprint();
    Clusters::new(centroids, (&fingerprint, embedding.full_name()), corpus_documents)
}

/// What the signal says of itself before there are clusters; all but its fingerprint.
pub(super) fn foreseen() -> SignalInfo {
    let centroids = Centroids::new(Geometry::Spherical, 1, vec![1.0]);
    Clusters::new(&centroids, (&Fingerprint::new("embed", 1), "embed"), 0).info().clone()
}

/// Under which name what is kept until a fit stands.
fn partials_name(asked: &ClustersOptions, embedding: &SignalDir) -> Result<String> {
    let options = options_text(&asked.clone().into())?;
    let text = format!("{} {options}", embedding.record().digest);
    Ok(format!("clusters-{:.8}", Digest::of(text.as_bytes()).to_string()))
}

/// What a fit is worth, as a sentence.
fn describe(centroids: &Centroids, corpus_documents: u64) -> String {
    let mut sizes = centroids.sizes.clone();
    sizes.sort_unstable();
    let at = |share: f64| sizes[((sizes.len() - 1) as f64 * share) as usize];
    let scale = corpus_documents.max(1) as f64 / centroids.documents.max(1) as f64;
    let size = |size: u64| (size as f64 * scale).round();
    let empty = sizes.iter().filter(|size| **size == 0).count();
    let of = match centroids.documents == corpus_documents {
        true => "all documents".to_owned(),
        false => format!("{} of {corpus_documents} documents", centroids.documents),
    };
    let objective = match centroids.geometry {
        Geometry::Spherical => "mean 1 − cosine to the centroid",
        Geometry::Euclidean => "mean squared distance to the centroid",
    };
    format!(
        "{} clusters ({}), {} passes over {of}: {objective} {:.4}; documents a cluster: median {}, smallest {}, largest {}{}",
        centroids.clusters(),
        centroids.geometry,
        centroids.iterations,
        centroids.objective,
        size(at(0.5)),
        size(at(0.0)),
        size(at(1.0)),
        if empty > 0 { format!(", {empty} empty") } else { String::new() }
    )
}
