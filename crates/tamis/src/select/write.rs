//! One pass over each shard: its decisions, and its kept documents in the corpus' own layout.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::builder::{
    FixedSizeBinaryBuilder, Float64Builder, StringBuilder, UInt32Builder, UInt64Builder,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};
use tamis_core::{Digest, Fingerprint, FingerprintChange, Rule, column};
use tamis_io::corpus::{Block, CorpusError, CorpusResult, KeptWriter};
use tamis_io::run::{CorpusVersion, RunDirectory, SelectionDir, ShardRecord, shard_name};
use tamis_io::sidecar::SidecarWriter;
use tamis_io::store::{Created, Store};

use super::candidates::{Candidates, Fate};
use super::cuts::Cuts;
use super::reason;
use super::{Labelled, SharedTally, Tally, smallest};
use crate::places::{CLAIM, EXPORT_CLAIM, place_of, store_beside, tell_fleeting};
use crate::pool::{self, Feed, InOrder};
use crate::prefetch::Prefetch;
use crate::project::Project;
use crate::scoring::ScoreOptions;
use crate::select_options::SelectOptions;
use crate::{Error, Result};

const ROWS_A_BATCH: usize = 16_384;
const NOT_KEPT: u8 = u8::MAX;
/// Column of decisions: how often a document is kept.
pub(crate) const REPEATS: &str = "repeats";
/// Column of decisions: the stratum that a document is in, where strata have quotas.
pub(crate) const STRATUM: &str = "stratum";

/// Says that a shard's kept documents were written completely.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OutputReceipt {
    format_version: u64,
    out: String,
    files: Vec<OutputFile>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OutputFile {
    path: String,
    bytes: u64,
}

/// A shard whose kept documents are being written.
struct OpenShard {
    path: String,
    /// By physical row: the smallest target that keeps it, or [`NOT_KEPT`].
    smallest: Vec<u8>,
    blocks: InOrder<Option<Block>>,
    writers: Mutex<Option<Vec<(String, KeptWriter)>>>,
}

type Item = (Arc<OpenShard>, usize, Option<Block>);

/// Everything that decides which documents are kept.
#[derive(Clone, Copy)]
pub(super) struct Deciding<'a> {
    pub(super) directory: &'a SelectionDir,
    pub(super) candidates: &'a Candidates<'a>,
    pub(super) rule: Rule,
    pub(super) targets: &'a [Labelled],
    pub(super) cuts: &'a Cuts,
    /// Whether strata have quotas, so that decisions name them.
    pub(super) has_quotas: bool,
}

/// What was decided of a shard.
struct Decided {
    tally: Tally,
    /// See [`OpenShard::smallest`].
    smallest: Vec<u8>,
    /// The largest priority of what is kept.
    highest: f64,
}

impl Project {
    pub(super) fn out(&self, directory: &SelectionDir, options: &SelectOptions) -> Result<Store> {
        match &options.out {
            Some(folder) => {
                let out = store_beside(self.run.store(), folder)?;
                tell_fleeting(&out, "--out", &*self.observer);
                Ok(out)
            }
            None => Ok(directory.documents()?),
        }
    }

    /// Writes the worker's shards, waits for those of the others, and counts all.
    pub(super) fn write(
        &self,
        version: &CorpusVersion,
        deciding: &Deciding<'_>,
        out: Option<(&Store, Option<&Prefetch>)>,
        score: ScoreOptions,
    ) -> Result<Tally> {
        let Deciding { directory, targets, .. } = *deciding;
        let tally = SharedTally::default();
        let divided = version.shards.iter().enumerate().map(|(at, shard)| (score.worker.takes(at), shard));
        let (mine, others): (Vec<_>, Vec<_>) = divided.partition(|(mine, _)| *mine);
        let of_shards =
            |shards: Vec<(bool, _)>| shards.into_iter().map(|(_, shard)| shard).collect::<Vec<_>>();
        let (mine, others): (Vec<&ShardRecord>, Vec<&ShardRecord>) = (of_shards(mine), of_shards(others));
        let stage = if out.is_some() { "write kept documents" } else { "write decisions" };
        self.observer.begin(stage, mine.iter().map(|shard| shard.bytes).sum());
        pool::run(
            mine,
            self.threads,
            |shard: &ShardRecord, feed| {
                let decided = self.decide(shard, deciding)?;
                tally.merge(decided.tally, targets.len());
                match out {
                    Some((out, prefetch)) => {
                        let blocks = InOrder::new(self.threads, version.shards.len());
                        let prefetch = prefetch.filter(|prefetch| decided.highest < prefetch.below);
                        let decided = (decided.smallest, blocks);
                        self.produce_kept(shard, directory, decided, (out, prefetch), targets, feed)
                    }
                    None => Ok(()),
                }
            },
            |(open, at, block): Item| {
                self.go_on()?;
                open.blocks.push(at, block, |block| match block {
                    Some(block) => self.keep(&open, |keep, writer| block.write_kept(keep, writer)),
                    None => match out {
                        Some((out, _)) => self.commit_kept(&open, directory, out),
                        None => Ok(()),
                    },
                })
            },
        )?;
        self.observer.end();
        let place = out.map(|(out, _)| out);
        let mut said = false;
        self.wait_for(version, &directory.plan().name, score.wait, || {
            let mut missing = 0;
            for shard in &others {
                if self.is_finished(shard, directory, place)? {
                    continue;
                }
                missing += 1;
                if let (false, Some(elsewhere)) = (said, self.written_elsewhere(shard, directory)?) {
                    said = true;
                    self.observer.warn(&format!(
                        "the kept documents of shard `{}` were put into `{elsewhere}`: workers of one selection need the same --out",
                        shard.path
                    ));
                }
            }
            Ok(missing)
        })?;
        pool::map(others, self.threads, |shard: &ShardRecord| {
            self.go_on()?;
            tally.merge(self.decide(shard, deciding)?.tally, targets.len());
            Ok(())
        })?;
        Ok(tally.into_inner())
    }

    /// Where the kept documents of a shard were put that are not where they are looked for.
    fn written_elsewhere(&self, shard: &ShardRecord, directory: &SelectionDir) -> Result<Option<String>> {
        // A selection that was finished before is put into another place now.
        if directory.read_manifest::<serde_json::Value>()?.is_some() {
            return Ok(None);
        }
        let [first, _] = receipt_paths(directory, &shard.path, "")?;
        Ok(output_receipt(self.run.store(), &first)?.map(|receipt| receipt.out))
    }

    /// Whether another worker has finished a shard.
    fn is_finished(
        &self,
        shard: &ShardRecord,
        directory: &SelectionDir,
        out: Option<&Store>,
    ) -> Result<bool> {
        match out {
            Some(out) => self.is_written(shard, directory, out),
            None => Ok(directory.has_decisions(&shard.path)?),
        }
    }

    /// Writes the decisions of a shard and counts them.
    fn decide(&self, shard: &ShardRecord, deciding: &Deciding<'_>) -> Result<Decided> {
        let Deciding { directory, candidates, rule, targets, cuts, has_quotas } = *deciding;
        let mut tally = Tally::new(targets.len());
        let rows = usize::try_from(shard.rows).map_err(|_| {
            Error::state(
                format!("shard `{}` has too many rows for this machine", shard.path),
                "split the shard",
            )
        })?;
        let mut keeps = vec![NOT_KEPT; rows];
        let mut highest = f64::NEG_INFINITY;
        let mut batch = DecisionBatch::new(targets, candidates.repeats.is_some(), has_quotas);
        let mut writer = directory.decisions_writer(&shard.path, &batch.schema)?;
        candidates.for_each(shard, |row| {
            let cuts = cuts.of(&row.stratum);
            tally.documents += 1;
            let (keeps_at, copies) = match row.repeated {
                None => (smallest(cuts, &row.fate), 1),
                Some(repeated) => {
                    let more = repeated.more.is_some_and(|priority| cuts[0].keeps(&priority));
                    let copies = repeated.whole + u32::from(more);
                    ((copies > 0).then_some(0), copies)
                }
            };
            let (why, priority) = match (&row.fate, keeps_at) {
                (Fate::Candidate(priority), Some(_)) => (reason::KEPT, Some(priority.value())),
                (Fate::Candidate(priority), None) => (reason::BEYOND_THRESHOLD, Some(priority.value())),
                (Fate::Dropped(why), _) => (&**why, None),
                (Fate::Failed(why), _) => (why.as_str(), None),
            };
            match (&row.fate, keeps_at) {
                (Fate::Failed(why), _) => *tally.failed.entry(why.clone()).or_default() += 1,
                (_, None) => *tally.dropped.entry(why.to_owned()).or_default() += 1,
                (_, Some(at)) => {
                    keeps[row.row as usize] = at as u8;
                    highest = priority.map_or(highest, |priority| highest.max(priority));
                    for kept in &mut tally.kept[at..] {
                        let copies = u64::from(copies);
                        let (tokens, bytes) = (copies * row.tokens, copies * row.bytes);
                        kept.add(super::manifest::Sums { documents: 1, tokens, bytes, copies });
                    }
                }
            }
            let candidate = matches!(row.fate, Fate::Candidate(_));
            let probabilities = cuts
                .iter()
                .map(|cut| candidate.then(|| cut.inclusion_probability(rule, row.score)).flatten());
            let copies = keeps_at.map_or(0, |_| copies);
            let fate = Decision { smallest: keeps_at, reason: why, priority, copies, stratum: &row.stratum };
            batch.push((row.row, &row.key.to_bytes()), &fate, probabilities);
            if batch.rows == ROWS_A_BATCH {
                batch.flush(&mut writer)?;
            }
            Ok(())
        })?;
        batch.flush(&mut writer)?;
        directory.commit_decisions(&shard.path, writer)?;
        Ok(Decided { tally, smallest: keeps, highest })
    }

    fn produce_kept(
        &self,
        shard: &ShardRecord,
        directory: &SelectionDir,
        (smallest, blocks): (Vec<u8>, InOrder<Option<Block>>),
        (out, prefetch): (&Store, Option<&Prefetch>),
        targets: &[Labelled],
        feed: &Feed<'_, Item>,
    ) -> Result<()> {
        if self.is_written(shard, directory, out)? {
            self.observer.skip(shard.bytes);
            return Ok(());
        }
        let source = self.shard(&shard.path)?;
        let writers = targets
            .iter()
            .map(|target| {
                let path = kept_path(targets, target, &shard.path);
                let writer = self.corpus.kept_writer(source, out, &path)?;
                Ok((path, writer))
            })
            .collect::<Result<Vec<_>>>()?;
        let open = Arc::new(OpenShard {
            path: shard.path.clone(),
            smallest,
            blocks,
            writers: Mutex::new(Some(writers)),
        });
        if let Some(prefetch) = prefetch
            && let Some(chunks) = prefetch.spool.chunks(&shard.path, &shard.digest)
        {
            // Nothing of it is left to other threads but to wait for the disk.
            let mut memory = Vec::new();
            for chunk in &chunks {
                if feed.stopped() {
                    return Ok(());
                }
                let picked = prefetch.spool.read(chunk, &mut memory).map_err(CorpusError::from)?;
                self.keep(&open, |keep, writer| picked.write_kept(keep, writer))?;
            }
            self.observer.advance(0, 0, shard.bytes);
            let _stopped = feed.push((open, 0, None));
            return Ok(());
        }
        let mut reader = self.corpus.open(source, 0)?;
        let (mut at, mut reported) = (0, 0);
        while let Some(block) = reader.next_block()? {
            if !open.blocks.wait_for_room(at, feed) || !feed.push((Arc::clone(&open), at, Some(block))) {
                return Ok(());
            }
            at += 1;
            reported += self.tell(&reader, reported);
        }
        self.tell(&reader, reported);
        let found = self.digest_of(&reader, source)?;
        if found != shard.digest {
            let problem = format!(
                "shard `{}` changed since it was read: digest {} then, {found} now",
                shard.path, shard.digest
            );
            return Err(tamis_io::run::RunError::CorpusChanged { problems: vec![problem] }.into());
        }
        let _stopped = feed.push((open, at, None));
        Ok(())
    }

    /// Writes what is kept of some rows of a shard, by `write`.
    fn keep(
        &self,
        open: &OpenShard,
        write: impl Fn(&mut dyn FnMut(u64) -> bool, &mut KeptWriter) -> CorpusResult<()>,
    ) -> Result<()> {
        let mut writers = open.writers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kept = 0;
        let last = writers.as_ref().map_or(0, |writers| writers.len().saturating_sub(1));
        for (at, (_, writer)) in writers.iter_mut().flatten().enumerate() {
            let mut keep = |row: u64| {
                let keeps =
                    open.smallest.get(row as usize).is_some_and(|smallest| usize::from(*smallest) <= at);
                kept += u64::from(keeps && at == last);
                keeps
            };
            write(&mut keep, writer)?;
        }
        self.observer.advance(kept, 0, 0);
        Ok(())
    }

    fn commit_kept(&self, open: &OpenShard, directory: &SelectionDir, out: &Store) -> Result<()> {
        let writers = open.writers.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default();
        let mut files = Vec::new();
        for (path, writer) in writers {
            // The folder was claimed for this selection: what stands there is a file that was written just before a stop.
            writer.replace()?;
            let bytes = out.size(&path)?.unwrap_or(0);
            files.push(OutputFile { path, bytes });
        }
        let place = place_of(&out.location(""));
        let out = out.location("");
        let [first, own] = receipt_paths(directory, &open.path, &place)?;
        let receipt = OutputReceipt { format_version: tamis_io::run::FORMAT_VERSION, out, files };
        let bytes = serde_json::to_vec_pretty(&receipt)
            .map_err(|error| Error::state(format!("output receipt: {error}"), String::new()))?;
        let store = self.run.store();
        if store.create_new(&first, &bytes)? == Created::New {
            return Ok(());
        }
        let path = match output_receipt(store, &first)? {
            // The same documents were put into another place before.
            Some(stands) if place_of(&stands.out) != place => own,
            _ => first,
        };
        // What stands there is of files that are gone, or says nothing, on a store that is not atomic.
        if store.exists(&path)? && store.read(&path)? != bytes {
            store.remove(&path)?;
        }
        store.create_new(&path, &bytes)?;
        Ok(())
    }

    /// Whether an earlier call wrote the kept documents of a shard to this place, and they are still there.
    fn is_written(&self, shard: &ShardRecord, directory: &SelectionDir, out: &Store) -> Result<bool> {
        let place = place_of(&out.location(""));
        for path in receipt_paths(directory, &shard.path, &place)? {
            let Some(receipt) = output_receipt(self.run.store(), &path)? else { continue };
            if place_of(&receipt.out) != place {
                continue;
            }
            for file in &receipt.files {
                if out.size(&file.path)? != Some(file.bytes) {
                    return Ok(false);
                }
            }
            return Ok(true);
        }
        Ok(false)
    }
}

fn kept_path(targets: &[Labelled], target: &Labelled, shard_path: &str) -> String {
    if targets.len() == 1 { shard_path.to_owned() } else { format!("{}/{shard_path}", target.label) }
}

/// Says whose kept documents a folder holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claim {
    format_version: u64,
    selection: BTreeMap<String, String>,
}

/// Whose a folder of kept documents is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// This selection's.
    This,
    /// Nobody's.
    Nobody,
}

fn refuse_folder<T>(message: String) -> Result<T> {
    Err(Error::state(message, "choose another --out, or remove what is there"))
}

/// Takes a folder for a selection, so that kept documents of two selections never mix.
pub(super) fn claim(
    run: &RunDirectory,
    out: &Store,
    version: &CorpusVersion,
    targets: &[Labelled],
    plan: &Fingerprint,
) -> Result<()> {
    if owner(run, out, version, targets, plan, &|_| true)? == Owner::This {
        out.remove_stale_temporaries(Store::STALE)?;
        return Ok(());
    }
    let claim = Claim { format_version: tamis_io::run::FORMAT_VERSION, selection: plan.fields().clone() };
    let bytes = serde_json::to_vec_pretty(&claim)
        .map_err(|error| Error::state(format!("claim: {error}"), "this is a bug of tamis"))?;
    if out.create_new(CLAIM, &bytes)? == Created::Existed && out.read(CLAIM)? != bytes {
        return refuse_folder(format!("`{}` was taken by another selection just now", out.location("")));
    }
    Ok(())
}

/// Whether a field in which a plan differs is known already.
pub(super) type IsCertain<'a> = &'a dyn Fn(&FingerprintChange) -> bool;

/// Refuses a folder that could not be claimed, by a plan of which some fields are not known yet.
pub(super) fn check_claim(
    run: &RunDirectory,
    out: &Store,
    version: &CorpusVersion,
    targets: &[Labelled],
    plan: &Fingerprint,
    is_certain: IsCertain<'_>,
) -> Result<()> {
    owner(run, out, version, targets, plan, is_certain).map(drop)
}

fn owner(
    run: &RunDirectory,
    out: &Store,
    version: &CorpusVersion,
    targets: &[Labelled],
    plan: &Fingerprint,
    is_certain: IsCertain<'_>,
) -> Result<Owner> {
    if out.exists(CLAIM)? {
        let stored = serde_json::from_slice::<Claim>(&out.read(CLAIM)?).map_err(|error| {
            let path = out.location(CLAIM);
            let message = format!("`{path}` does not say which selection the folder holds: {error}");
            Error::state(
                message,
                format!("if the file was damaged, remove `{path}` and run the command again"),
            )
        })?;
        let mut changes = Fingerprint::from_fields(stored.selection).changes(plan);
        changes.retain(is_certain);
        if changes.is_empty() {
            return Ok(Owner::This);
        }
        let in_words = |change: &FingerprintChange| {
            let shards = if change.field == "corpus" { added_shards(run, version, change) } else { None };
            shards.unwrap_or_else(|| change.to_string())
        };
        let changes: Vec<String> = changes.iter().map(in_words).collect();
        return refuse_folder(format!(
            "`{}` holds another selection: {}",
            out.location(""),
            changes.join("; ")
        ));
    }
    if out.exists(EXPORT_CLAIM)? {
        return refuse_folder(format!("`{}` holds an export", out.location("")));
    }
    for shard in &version.shards {
        for target in targets {
            let path = kept_path(targets, target, &shard.path);
            if out.exists(&path)? {
                return refuse_folder(format!(
                    "`{}` is there already and no selection wrote it",
                    out.location(&path)
                ));
            }
        }
    }
    Ok(Owner::Nobody)
}

/// How the corpus grew since another selection of this run, where one of its versions was that of the other.
fn added_shards(run: &RunDirectory, version: &CorpusVersion, change: &FingerprintChange) -> Option<String> {
    let stored = change.stored.as_ref()?;
    for number in (1..version.number).rev() {
        let earlier = run.corpus_version(number).ok()??;
        if super::corpus_digest(&earlier).to_string() != *stored {
            continue;
        }
        let added: Vec<&str> = version
            .shards
            .iter()
            .map(|shard| shard.path.as_str())
            .filter(|path| earlier.shard(path).is_none())
            .collect();
        let shards = match added.len() {
            1 => "one shard was".to_owned(),
            n => format!("{n} shards were"),
        };
        let first = added.first()?;
        return Some(format!("corpus: {shards} added since, such as `{first}`"));
    }
    None
}

/// Where the receipt of a shard's kept documents stands: that of the first place they were put into, and that of this one.
fn receipt_paths(directory: &SelectionDir, shard_path: &str, out: &str) -> Result<[String; 2]> {
    let name = shard_name(shard_path)?;
    let folder = format!("selections/{}/outputs", directory.plan().name);
    let place = Digest::of(out.as_bytes()).to_string();
    Ok([format!("{folder}/{name}.json"), format!("{folder}/.places/{}/{name}.json", &place[..8])])
}

/// A receipt, if there is one that says something.
fn output_receipt(store: &Store, path: &str) -> Result<Option<OutputReceipt>> {
    if !store.exists(path)? {
        return Ok(None);
    }
    Ok(serde_json::from_slice(&store.read(path)?).ok())
}

/// What becomes of a row.
struct Decision<'a> {
    /// The smallest target that keeps it.
    smallest: Option<usize>,
    reason: &'a str,
    priority: Option<f64>,
    copies: u32,
    stratum: &'a str,
}

/// Rows of a decisions file that are not written yet.
struct DecisionBatch {
    schema: SchemaRef,
    rows: usize,
    row: UInt64Builder,
    doc_key: FixedSizeBinaryBuilder,
    smallest: Float64Builder,
    reason: StringBuilder,
    priority: Float64Builder,
    probabilities: Vec<Float64Builder>,
    /// Where documents are repeated.
    repeats: Option<UInt32Builder>,
    /// Where strata have quotas.
    strata: Option<StringBuilder>,
    asked: Vec<f64>,
}

impl DecisionBatch {
    fn new(targets: &[Labelled], repeats: bool, strata: bool) -> Self {
        let mut fields = vec![
            Field::new(column::ROW, DataType::UInt64, false),
            Field::new(column::DOC_KEY, DataType::FixedSizeBinary(16), false),
            Field::new("smallest_kept", DataType::Float64, true),
            Field::new("reason", DataType::Utf8, false),
            Field::new("priority", DataType::Float64, true),
        ];
        for target in targets {
            let name = format!("inclusion_probability_{}", target.label);
            fields.push(Field::new(name, DataType::Float64, true));
        }
        if repeats {
            fields.push(Field::new(REPEATS, DataType::UInt32, false));
        }
        if strata {
            fields.push(Field::new(STRATUM, DataType::Utf8, false));
        }
        let asked = targets
            .iter()
            .map(|target| match target.target {
                tamis_samplers::Target::Rate(rate) => rate.as_f64(),
                tamis_samplers::Target::Documents(n)
                | tamis_samplers::Target::Tokens(n)
                | tamis_samplers::Target::Bytes(n) => n as f64,
            })
            .collect();
        Self {
            schema: Arc::new(Schema::new(fields)),
            rows: 0,
            row: UInt64Builder::new(),
            doc_key: FixedSizeBinaryBuilder::new(16),
            smallest: Float64Builder::new(),
            reason: StringBuilder::new(),
            priority: Float64Builder::new(),
            probabilities: targets.iter().map(|_| Float64Builder::new()).collect(),
            repeats: repeats.then(UInt32Builder::new),
            strata: strata.then(StringBuilder::new),
            asked,
        }
    }

    fn push(
        &mut self,
        (row, key): (u64, &[u8; 16]),
        Decision { smallest, reason, priority, copies, stratum }: &Decision<'_>,
        probabilities: impl Iterator<Item = Option<f64>>,
    ) {
        if let Some(repeats) = &mut self.repeats {
            repeats.append_value(*copies);
        }
        if let Some(strata) = &mut self.strata {
            strata.append_value(stratum);
        }
        self.rows += 1;
        self.row.append_value(row);
        self.doc_key.append_value(key).expect("a key has 16 bytes");
        self.smallest.append_option(smallest.map(|at| self.asked[at]));
        self.reason.append_value(reason);
        self.priority.append_option(*priority);
        for (builder, probability) in self.probabilities.iter_mut().zip(probabilities) {
            builder.append_option(probability);
        }
    }

    fn flush(&mut self, writer: &mut SidecarWriter) -> Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        self.rows = 0;
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.row.finish()),
            Arc::new(self.doc_key.finish()),
            Arc::new(self.smallest.finish()),
            Arc::new(self.reason.finish()),
            Arc::new(self.priority.finish()),
        ];
        columns.extend(self.probabilities.iter_mut().map(|builder| Arc::new(builder.finish()) as ArrayRef));
        columns.extend(self.repeats.iter_mut().map(|builder| Arc::new(builder.finish()) as ArrayRef));
        columns.extend(self.strata.iter_mut().map(|builder| Arc::new(builder.finish()) as ArrayRef));
        let batch =
            RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(tamis_core::Error::from)?;
        Ok(writer.write(&batch)?)
    }
}
