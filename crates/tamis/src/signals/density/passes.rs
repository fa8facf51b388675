//! The two passes of Density over a run: sample, choose, sketch, probe; then score against the frozen sketch.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use tamis_core::{Digest, Fingerprint, Sharded, Signal, SignalInfo};
use tamis_io::run::{CorpusVersion, Frozen, Partials, Repeatability, ShardRecord, SignalDir};
use tamis_samplers::{
    ChosenParameters, Density, DensityDiagnostics, EmbeddingSample, Kernel, Membership, NeighbourProbe,
    Preset, Projection, RaceParameters, RaceSketch, default_parameters,
};

use crate::again::{FailedRows, INPUTS_NOTE, generations_text};
pub(crate) use crate::fold::part_name;
use crate::fold::{Inputs, Kept};
use crate::map::Worker;
use crate::project::Project;
use crate::scoring::{ScoreOptions, ScoreReport};
use crate::signals::{DensityKernel, DensityOptions, DensityProjection, SignalOptions, dimension};
use crate::{Error, Result};

/// Documents from which parameters are chosen.
const SAMPLED_DOCUMENTS: usize = 10_000;
/// Documents whose near copies are counted in the whole corpus, for the diagnostics.
const PROBED_DOCUMENTS: usize = 2_000;
/// Rate at which the diagnostics compare with Random.
const DIAGNOSED_RATE: f64 = 0.1;
const SKETCH_NOTE: &str = "sketch";

/// A sketch and what is said of it.
struct Fitted {
    sketch: Sharded<RaceSketch>,
    /// For `signal.json`.
    notes: Vec<(String, String)>,
    /// For the user.
    findings: Vec<String>,
    /// What was kept while it was made.
    partials: Option<Partials>,
}

impl Project {
    pub(crate) fn score_density(
        &self,
        version: &CorpusVersion,
        density: &DensityOptions,
        options: ScoreOptions,
    ) -> Result<(SignalDir, ScoreReport)> {
        check_options(density)?;
        let embed = SignalOptions::Embed(density.embed.clone());
        // Other embeddings may stand beside those that are there where another density may.
        let own = ScoreOptions { refit: false, ..options };
        let (embedding, embedded) = self.score(version, &embed, own)?;
        // A sketch is of all embeddings. Whoever has them first makes it; others make the same one.
        self.wait_for_whole(version, &embedding, options.wait)?;
        // Sampled, sketched and scored are the same rows, whatever another process asks again meanwhile.
        let embedding = embedding.pinned(version)?;
        let began = Instant::now();
        let asked = SignalOptions::Density(density.clone());
        let stored = self.stored_sketches(density, embedding.full_name())?;
        let Fitted { sketch, notes, mut findings, partials } = match stored.frozen {
            Some((_, earlier)) if options.refit => {
                // Sketches of different p or projection do not add, nor do their scores compare.
                let kept = earlier.inner.parameters();
                let projection = match kept.projection {
                    Projection::Gaussian => DensityProjection::Gaussian,
                    Projection::Hadamard => DensityProjection::Hadamard,
                };
                let density = DensityOptions {
                    hashes: density.hashes.or(Some(kept.hashes as usize)),
                    projection: density.projection.or(Some(projection)),
                    ..density.clone()
                };
                self.fit(version, &density, &embedding, options.worker)?
            }
            Some((directory, sketch)) => {
                let later =
                    version.shards.iter().filter(|shard| !sketch.parts.contains(&part_name(shard))).count();
                let notes = directory.record().notes.clone().into_iter().collect();
                let mut findings = Vec::new();
                if later > 0 {
                    findings.push(format!(
                        "{later} shards came after the sketch was made and are scored against it as it is; --refit makes a \
                         new one of all {}",
                        version.shards.len()
                    ));
                }
                Fitted { sketch, notes, findings, partials: None }
            }
            None => {
                // What would be refused once it is sketched is refused before.
                if !options.beside && !options.refit {
                    stored.refuse_other()?;
                }
                self.fit(version, density, &embedding, options.worker)?
            }
        };
        let parts = sketch.parts.clone();
        let inner = Arc::new(sketch.inner.clone());
        let mut member = Density::new(Arc::clone(&inner), embedding.full_name(), Membership::Member);
        for (name, text) in &notes {
            member = member.with_note(name, text.clone());
        }
        // The sketch first: a signal without one could never be completed.
        let record = self.record_of(member.info(), Repeatability::Exact);
        self.run.write_frozen(Frozen::Sketch, &record.full_name, &sketch.encode())?;
        let directory = self.open_signal_of(
            member.info(),
            Some(&asked),
            options.beside || options.refit,
            Repeatability::Exact,
        )?;
        // The sketch stands: what was kept for it is not needed, nor what another call left behind.
        drop(partials);
        self.run.sweep_partials(&partials_name(density, &embedding))?;
        // What the sketch holds is scored as it was sketched: a row that had no embedding then is no member of it.
        let mut inputs = embedding.generations();
        let sketched = sketched_generations(directory.record().notes.get(INPUTS_NOTE))?;
        for shard in version.shards.iter().filter(|shard| parts.contains(&part_name(shard))) {
            inputs.remove(&shard.path);
            inputs.extend(sketched.get(&shard.path).map(|generation| (shard.path.clone(), *generation)));
        }
        let directory = directory.reading(embedding.full_name(), inputs);
        if options.failed == FailedRows::Keep {
            self.refuse_stale(version, &directory)?;
        }
        let (held, later): (Vec<&ShardRecord>, Vec<&ShardRecord>) =
            version.shards.iter().partition(|shard| parts.contains(&part_name(shard)));
        let mut map = self.map(version, &held, &member, &directory, options.worker)?;
        let other = member.with_membership(Membership::Other);
        if !later.is_empty() {
            let computed = map.computed;
            map = self.map(version, &later, &other, &directory, options.worker)?;
            map.computed += computed;
        }
        let directory = directory.reading(embedding.full_name(), embedding.generations());
        match options.failed {
            FailedRows::Keep => self.refuse_stale(version, &directory)?,
            FailedRows::Retry => {
                let stale = self.stale_shards(version, &directory)?;
                self.retry(version, &other, &directory, options.worker, &mut map, |shard| {
                    stale.contains(&shard.path)
                })?;
                if map.asked_again > 0 {
                    findings.push(format!(
                        "{} rows had no embedding when the sketch was made and are scored against it as it is; --refit makes a \
                         new one",
                        map.asked_again
                    ));
                }
                map.asked_again += embedded.map.asked_again;
                map.mended += embedded.map.mended;
            }
        }
        map.seconds = began.elapsed().as_secs_f64();
        Ok((directory, self.score_report(version, map, findings)))
    }

    /// Samples, chooses parameters, sketches and probes. What both folds keep is the caller's to remove, when the sketch is
    /// stored: until then nothing of either is done twice.
    fn fit(
        &self,
        version: &CorpusVersion,
        density: &DensityOptions,
        embedding: &SignalDir,
        worker: Worker,
    ) -> Result<Fitted> {
        let partials = self.run.partials(&partials_name(density, embedding))?;
        let kept = Kept { partials: &partials, worker };
        let sample = self.sample(version, density, embedding, kept)?;
        let chosen = choose(&sample, density)?;
        for warning in &chosen.warnings {
            self.observer.warn(warning);
        }
        let empty = RaceSketch::new(chosen.parameters.clone(), &embedding.record().fingerprint())?;
        let empty = (empty, NeighbourProbe::new(&sample, PROBED_DOCUMENTS));
        let inputs =
            Inputs { version, signal: embedding, stage: Some("sketch embeddings"), kept: Some(kept) };
        let Sharded { parts, inner: (sketch, probe) } = self.fold(&inputs, &empty)?;
        let neighbours = probe.neighbours();
        let mut probed = sample.embeddings();
        probed.truncate(neighbours.len() * sample.dimension());
        let estimates = sketch.estimate(&probed);
        let diagnostics = DensityDiagnostics::new(&neighbours, &estimates, DIAGNOSED_RATE);
        let (mut notes, mut findings) = describe(&chosen, &diagnostics);
        if !embedding.generations().is_empty() {
            notes.push((INPUTS_NOTE.to_owned(), generations_text(&embedding.generations())));
        }
        findings.extend(diagnostics.warning());
        Ok(Fitted { sketch: Sharded { parts, inner: sketch }, notes, findings, partials: Some(partials) })
    }

    /// A sample of all embeddings; which thread or shard comes first does not matter.
    fn sample(
        &self,
        version: &CorpusVersion,
        density: &DensityOptions,
        embedding: &SignalDir,
        kept: Kept<'_>,
    ) -> Result<EmbeddingSample> {
        if version.documents() == 0 {
            return Err(Error::state(
                "the corpus has no document with an embedding",
                "look into quarantine/ for what was wrong with it",
            ));
        }
        let dimension = dimension(embedding.record())? as usize;
        let empty = EmbeddingSample::new(SAMPLED_DOCUMENTS, dimension, density.seed);
        let inputs =
            Inputs { version, signal: embedding, stage: Some("sample embeddings"), kept: Some(kept) };
        Ok(self.fold(&inputs, &empty)?.inner)
    }
}

/// Under which name partials are kept until a sketch stands: by what its options have in common whether they name what the
/// rule chooses or leave it open, so that they are found again once the sketch is frozen.
fn partials_name(density: &DensityOptions, embedding: &SignalDir) -> String {
    let DensityOptions { repetitions, kernel, literal, seed, .. } = density;
    let projection = density.new_projection();
    let text =
        format!("{} {repetitions} {kernel:?} {projection:?} {literal} {seed}", embedding.record().digest);
    format!("density-{:.8}", Digest::of(text.as_bytes()).to_string())
}

/// See [`INPUTS_NOTE`].
fn sketched_generations(note: Option<&String>) -> Result<BTreeMap<String, u64>> {
    note.map_or(Ok(BTreeMap::new()), |note| {
        serde_json::from_str(note).map_err(|error| {
            Error::state(
                format!("`signal.json` of density: note `{INPUTS_NOTE}`: {error}"),
                "remove the signal's folder to compute it again",
            )
        })
    })
}

/// Refuses what no embeddings could make right.
pub(crate) fn check_options(density: &DensityOptions) -> Result<()> {
    if density.literal && density.kernel == DensityKernel::Cosine {
        return Err(literal_is_l2());
    }
    check_parameters(density, 1)
}

/// Refuses parameters that make no sketch of embeddings of so many values, as far as they are given.
pub(crate) fn check_parameters(density: &DensityOptions, dimension: u32) -> Result<()> {
    let options = rule_options(density);
    let kernel = match options.cosine {
        true => Kernel::Cosine,
        false => Kernel::L2 { bandwidth: options.bandwidth.unwrap_or(1.0) },
    };
    let draft = RaceParameters {
        dimension,
        repetitions: options.repetitions,
        buckets: options.buckets.unwrap_or(RaceParameters::DEFAULT_BUCKETS),
        hashes: options.hashes.unwrap_or(1),
        kernel,
        projection: options.projection,
        preset: Preset::Mixed,
        seed: options.seed,
    };
    Ok(draft.validate()?)
}

/// What the signal says of itself before there is a sketch; all but its fingerprint.
pub(crate) fn foreseen() -> Result<SignalInfo> {
    let parameters = RaceParameters { repetitions: 1, buckets: 2, ..RaceParameters::literal(1, 1.0, 0) };
    let sketch = RaceSketch::new(parameters, &Fingerprint::new("embed", 1))?;
    Ok(Density::new(Arc::new(sketch), "embed", Membership::Other).info().clone())
}

fn literal_is_l2() -> Error {
    Error::usage("the literal preset is the paper's l2 sketch", "leave --kernel cosine out")
}

/// Options of the rule that chooses parameters.
pub(crate) fn rule_options(density: &DensityOptions) -> tamis_samplers::DensityOptions {
    tamis_samplers::DensityOptions {
        cosine: density.kernel == DensityKernel::Cosine,
        bandwidth: density.bandwidth,
        hashes: if density.literal {
            Some(1)
        } else {
            density.hashes.map(|hashes| u32::try_from(hashes).unwrap_or(u32::MAX))
        },
        buckets: if density.literal && density.buckets.is_none() {
            Some(RaceParameters::DEFAULT_BUCKETS)
        } else {
            density.buckets.map(|buckets| u32::try_from(buckets).unwrap_or(u32::MAX))
        },
        repetitions: u32::try_from(density.repetitions).unwrap_or(u32::MAX),
        projection: match density.new_projection() {
            DensityProjection::Gaussian => Projection::Gaussian,
            DensityProjection::Hadamard => Projection::Hadamard,
        },
        sketch_memory_bytes: density.sketch_memory_bytes,
        seed: density.seed,
    }
}

fn choose(sample: &EmbeddingSample, density: &DensityOptions) -> Result<ChosenParameters> {
    let mut chosen = default_parameters(sample, &rule_options(density))?;
    if density.literal {
        let Kernel::L2 { bandwidth } = chosen.parameters.kernel else {
            return Err(literal_is_l2());
        };
        let literal = RaceParameters::literal(chosen.parameters.dimension, bandwidth, density.seed);
        chosen.parameters = RaceParameters {
            repetitions: chosen.parameters.repetitions,
            buckets: chosen.parameters.buckets,
            projection: chosen.parameters.projection,
            ..literal
        };
    }
    Ok(chosen)
}

/// Notes for `signal.json` and the same in sentences.
fn describe(
    chosen: &ChosenParameters,
    diagnostics: &DensityDiagnostics,
) -> (Vec<(String, String)>, Vec<String>) {
    let parameters = &chosen.parameters;
    let sketch = format!(
        "R = {}, B = {}, p = {}, kernel {}, projection {}, {:.0} MB",
        parameters.repetitions,
        parameters.buckets,
        parameters.hashes,
        parameters.kernel,
        parameters.projection,
        parameters.memory_bytes() as f64 / 1e6
    );
    let share =
        |kept: Option<f64>| kept.map_or_else(|| "–".to_owned(), |kept| format!("{:.1} %", 100.0 * kept));
    let groups: Vec<String> = diagnostics
        .groups
        .iter()
        .map(|group| {
            format!("with {}: {} (of {} sampled)", group.near_copies, share(group.kept), group.documents)
        })
        .collect();
    let kept = format!(
        "at rate {:.0} %, by near copies in the corpus (Random keeps that of each): {}",
        100.0 * diagnostics.rate,
        groups.join("; ")
    );
    let background = format!(
        "unrelated documents add up to {:.2} documents (sampled), {:.2} (sketch)",
        chosen.background, diagnostics.background
    );
    let error = format!(
        "standard error {:.2} documents on average, of which collisions {:.2}",
        diagnostics.sketch_error, chosen.collision_noise
    );
    let notes = vec![
        (SKETCH_NOTE.to_owned(), sketch.clone()),
        ("background".to_owned(), background.clone()),
        ("sketch_error".to_owned(), error.clone()),
        ("kept_shares".to_owned(), kept.clone()),
    ];
    let findings = vec![
        format!("sketch: {sketch}"),
        format!("background: {background}"),
        format!("sketch error: {error}"),
        format!("kept {kept}"),
    ];
    (notes, findings)
}
