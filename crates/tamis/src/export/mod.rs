//! What a selection keeps, as training data: shuffled, repeated, cut into files of a stated size.
//!
//! Three passes. The *survey* goes through decisions and inventories alone and says how many copies there are, so that buckets can be made of
//! the right size. Then the corpus is read, each shard that has a kept row once, and every copy goes to its bucket ([`order`],
//! [`tamis_io::Scatter`]): in memory as far as that was allowed, else in a file without a name in the folder of the run, as large as all copies
//! are. Then the files are cut ([`pieces`]) and written by several threads. What is read is held against the inventory, row
//! by row, before anything is written.
//!
//! An export that was stopped begins again, and writes those files that are missing: what was there stays, and all is the
//! same bytes. [`folder`] keeps two exports apart.
//!
//! Cost: reading the shards once, and one pass over the copies on disk where they do not fit into memory. Memory: what was allowed, and for
//! each thread a block of the corpus and the encoder of a file.
//!
//! Not for looking at documents, or for keeping the corpus' layout: kept documents of a selection are that ([`crate::select`]).

mod content;
mod files;
mod folder;
mod kept;
mod options;
mod order;
mod pieces;

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde::Serialize;
use tamis_core::Fingerprint;
use tamis_io::corpus::Block;
use tamis_io::export::Written;
use tamis_io::run::{CorpusVersion, FORMAT_VERSION, SelectionDir, ShardRecord};
use tamis_io::store::{Created, Store};
use tamis_io::{Scatter, Scattered, Scratch};

use crate::places::{store_beside, tell_fleeting};
use crate::project::Project;
use crate::select::Manifest;
use crate::{Error, Result, pool};
use content::Content;
use folder::Standing;
use kept::{Kept, KeptRow, KeptRows, Survey};
use order::{HEAD_BYTES, Head, Order};
use pieces::{Piece, cut};

pub use folder::{ExportManifest, ExportedFile};
pub use options::{ExportFormat, ExportOptions, ExportOrder};

/// Raised when the same options and inputs give other files than before.
const EXPORT_VERSION: u32 = 1;

/// A bucket has a buffer of at least so many bytes on average, so that the disk is written in pieces.
const BUFFER_BYTES: u64 = 16 << 10;

/// Buckets are not made smaller than this: a file would need many of them.
const LEAST_BUCKET_BYTES: u64 = 1 << 20;

/// What an export would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExportPlan {
    /// Name of the selection.
    pub selection: String,
    /// Label of the rate or budget.
    pub target: String,
    /// Different documents.
    pub documents: u64,
    /// Documents with all their copies.
    pub copies: u64,
    /// How often the most frequent document occurs.
    pub epochs: u64,
    /// Bytes of text of all copies.
    pub text_bytes: u64,
    /// Bytes of the shards that would be read, each once.
    pub bytes_to_read: u64,
    /// Files, as far as the sizes of texts tell; null for tokens, which nobody has counted yet.
    pub files_expected: Option<u64>,
}

/// What an export did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExportReport {
    /// What stands in `export.json`.
    #[serde(flatten)]
    pub manifest: ExportManifest,
    /// The folder.
    pub out: String,
    /// Whether all of it was there before, and nothing was read.
    pub was_there: bool,
    /// Time of this call.
    pub seconds: f64,
}

/// A selection that is to be exported.
struct Chosen {
    selection: SelectionDir,
    version: CorpusVersion,
    target: String,
    asked: f64,
    largest: bool,
}

impl Chosen {
    fn kept(&self) -> Kept<'_> {
        Kept { selection: &self.selection, asked: self.asked, largest: self.largest }
    }
}

/// What is kept, in all and by shard.
struct Surveyed {
    all: Survey,
    /// Documents, by shard of the version.
    by_shard: Vec<u64>,
}

impl Project {
    /// What [`Project::export`] would do; nothing is written, and no tokenizer is loaded.
    ///
    /// # Errors
    /// As [`Project::export`], as far as that can be known.
    pub fn plan_export(&self, selection: &str, options: &ExportOptions) -> Result<ExportPlan> {
        options.check()?;
        let chosen = self.chosen(selection, options)?;
        self.refuse_output_inside_corpus(Some(&options.out))?;
        self.check_content(&chosen.version, &options.format)?;
        let survey = self.survey_kept(&chosen)?;
        let total = survey.all.total();
        Ok(ExportPlan {
            selection: selection.to_owned(),
            target: chosen.target.clone(),
            documents: survey.all.documents(),
            copies: total.documents,
            epochs: survey.all.epochs().len() as u64,
            text_bytes: total.text_bytes,
            bytes_to_read: shards_to_read(&chosen.version, &survey)
                .iter()
                .map(|(_, shard)| shard.bytes)
                .sum(),
            files_expected: match options.format {
                ExportFormat::Tokens { .. } => None,
                _ => Some(total.text_bytes.div_ceil(options.shard_size)),
            },
        })
    }

    /// Writes what a finished selection keeps into a folder, as training data.
    ///
    /// # Errors
    /// A selection that is unknown or unfinished; a folder that holds something else; rows that are not those of the inventory; a tokenizer that
    /// cannot be had or has no token to separate documents by; a place that cannot be written.
    pub fn export(&self, selection: &str, options: &ExportOptions) -> Result<ExportReport> {
        let began = Instant::now();
        options.check()?;
        let chosen = self.chosen(selection, options)?;
        self.refuse_output_inside_corpus(Some(&options.out))?;
        self.check_content(&chosen.version, &options.format)?;
        let out = store_beside(self.run.store(), &options.out)?;
        tell_fleeting(&out, "--out", &*self.observer);
        let content = Content::open(self, &options.format)?;
        let decides = self.fingerprint_of(&chosen, options, &content);
        let report = |manifest, was_there| ExportReport {
            manifest,
            out: out.location(""),
            was_there,
            seconds: began.elapsed().as_secs_f64(),
        };
        if let Standing::Finished(manifest) = folder::look(&out, &decides)? {
            return Ok(report(manifest, true));
        }
        folder::claim(&out, &decides)?;
        let survey = self.survey_kept(&chosen)?;
        let scattered = self.scatter(&chosen, &survey, &content, options)?;
        self.observer.begin("cut files", 0);
        let pieces = cut(&scattered, options.shard_size)?;
        self.observer.end();
        let files =
            self.write_pieces(&chosen.version, &content, &scattered, &pieces, (&out, options.memory_bytes))?;
        content.tell(self);
        let total = survey.all.total();
        let tokens = match &content {
            Content::Tokens(tokens) => Some(tokens),
            _ => None,
        };
        let manifest = ExportManifest {
            format_version: FORMAT_VERSION,
            selection: selection.to_owned(),
            options: decides.fields().clone(),
            documents: survey.all.documents(),
            copies: total.documents,
            epochs: survey.all.epochs().len() as u64,
            text_bytes: total.text_bytes,
            tokens: tokens.map(|_| pieces.iter().map(|piece| piece.size).sum()),
            dtype: tokens.map(|tokens| tokens.width.name().to_owned()),
            separator: tokens.map(|tokens| tokens.separator),
            vocabulary: tokens.map(|tokens| tokens.vocabulary()),
            tokenizer: tokens.map(|tokens| tokens.source.clone()),
            files,
        };
        folder::finish(&out, &manifest)?;
        Ok(report(manifest, false))
    }

    fn chosen(&self, name: &str, options: &ExportOptions) -> Result<Chosen> {
        let selection = self.run.selection(name)?;
        let manifest = selection.read_manifest::<Manifest>()?.ok_or_else(|| {
            Error::state(
                format!("selection `{name}` is unfinished"),
                "give its `tamis select` again, which goes on where it stopped",
            )
        })?;
        let number = manifest.corpus_version;
        let version = self.run.corpus_version(number)?.ok_or_else(|| {
            Error::state(
                format!("the run has no version {number} of the corpus, of which selection `{name}` is"),
                "copy all of the run directory",
            )
        })?;
        let labels: Vec<&str> = manifest.targets.iter().map(|target| target.label.as_str()).collect();
        let last = labels.len().checked_sub(1).ok_or_else(|| {
            Error::state(format!("selection `{name}` has no rate or budget"), "select again")
        })?;
        let at = match &options.target {
            None => last,
            Some(label) => labels.iter().position(|known| known == label).ok_or_else(|| {
                let nearest = tamis_core::nearest(label, labels.iter().copied());
                let meant = nearest.map(|nearest| format!("did you mean `{nearest}`? ")).unwrap_or_default();
                Error::usage(
                    format!("selection `{name}` has no rate or budget `{label}`"),
                    format!("{meant}it has {}", labels.join(", ")),
                )
            })?,
        };
        let target = &manifest.targets[at];
        let (target, asked) = (target.label.clone(), target.asked);
        Ok(Chosen { selection, version, target, asked, largest: at == last })
    }

    /// Refuses what a format cannot hold, before anything is read.
    fn check_content(&self, version: &CorpusVersion, format: &ExportFormat) -> Result<()> {
        for shard in &version.shards {
            let listed = self.shard(&shard.path)?;
            if *format == ExportFormat::Lines {
                self.corpus.check_objects(listed)?;
            }
        }
        if *format == ExportFormat::Parquet && self.rows_like().is_some() {
            self.corpus.check_records()?;
        }
        Ok(())
    }

    /// Everything that decides the bytes of an export.
    fn fingerprint_of(&self, chosen: &Chosen, options: &ExportOptions, content: &Content) -> Fingerprint {
        let plan = Fingerprint::from_fields(chosen.selection.plan().fields.clone());
        let order = match options.order {
            ExportOrder::Shuffled { seed } => format!("seed {seed}"),
            ExportOrder::AsInCorpus => "as in the corpus".to_owned(),
        };
        let decides = Fingerprint::new("export", EXPORT_VERSION)
            .with("selection", plan.digest())
            .with("target", &chosen.target)
            .with("format", options.format.name())
            .with("order", order)
            .with("shard-size", options.shard_size);
        match content {
            Content::Lines => decides,
            Content::Rows(_) => decides.with("columns", "all"),
            Content::Texts(schema) => {
                let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
                decides.with("columns", names.join(","))
            }
            Content::Tokens(tokens) => {
                let decides = decides
                    .with("tokenizer", tokens.digest())
                    .with("separator", tokens.separator)
                    .with("dtype", tokens.width.name());
                match tokens.pieces_version() {
                    Some(version) => decides.with("pieces", version),
                    None => decides,
                }
            }
        }
    }

    fn survey_kept(&self, chosen: &Chosen) -> Result<Surveyed> {
        self.observer.begin("count what is kept", 0);
        let shards = chosen.version.shards.iter().collect();
        let found = pool::map(shards, self.threads, |shard: &ShardRecord| {
            self.go_on()?;
            let mut survey = Survey::default();
            let mut rows = KeptRows::of(self, chosen.kept(), shard)?;
            while let Some(some) = rows.next_batch()? {
                some.iter().for_each(|row| survey.add(row));
            }
            Ok(survey)
        })?;
        self.observer.end();
        let by_shard = found.iter().map(Survey::documents).collect();
        let mut all = Survey::default();
        found.iter().for_each(|survey| all.merge(survey));
        Ok(Surveyed { all, by_shard })
    }

    /// Reads the corpus, and puts every copy into its bucket.
    fn scatter(
        &self,
        chosen: &Chosen,
        survey: &Surveyed,
        content: &Content,
        options: &ExportOptions,
    ) -> Result<Scattered> {
        let memory = options.memory_bytes;
        let epochs: Vec<_> = survey
            .all
            .epochs()
            .into_iter()
            .map(|epoch| {
                let heads = (HEAD_BYTES + 16) as u64 * epoch.documents;
                (epoch, content.expected_bytes(epoch.documents, epoch.text_bytes) + heads)
            })
            .collect();
        // Several are read at a time, and a file is made of whole ones, but for its ends.
        let bucket_bytes = (memory / 4 / self.threads.max(1) as u64)
            .min(options.shard_size.saturating_mul(content.unit_bytes()))
            .max(LEAST_BUCKET_BYTES);
        let order =
            Order::new(options.order, &chosen.version, &epochs, bucket_bytes, memory / 3 / BUFFER_BYTES);
        let scratch = Scratch::beside(self.run.store());
        let scatter = Mutex::new(Scatter::new(HEAD_BYTES, order.buckets(), memory / 3, scratch));
        let shards = shards_to_read(&chosen.version, survey);
        self.observer.begin("read documents", shards.iter().map(|(_, shard)| shard.bytes).sum());
        pool::run(
            shards,
            self.threads,
            |(at, shard): (u32, &ShardRecord), feed| {
                let mut rows = KeptRows::of(self, chosen.kept(), shard)?;
                let mut reader = self.corpus.open(self.shard(&shard.path)?, 0)?;
                let mut reported = 0;
                while let Some(block) = reader.next_block()? {
                    let some = rows.before(block.first_row() + block.rows())?;
                    reported += self.tell(&reader, reported);
                    if !some.is_empty() && !feed.push((at, block, some)) {
                        return Ok(());
                    }
                    if rows.ended()? {
                        break;
                    }
                }
                if let Some(row) = rows.before(u64::MAX)?.first() {
                    return Err(KeptRows::changed(&shard.path, row.row));
                }
                self.observer.advance(0, 0, shard.bytes.saturating_sub(reported));
                Ok(())
            },
            |(shard, block, rows): (u32, Block, Vec<KeptRow>)| {
                self.go_on()?;
                let bodies = content.bodies(self, &block, &rows)?;
                let documents = bodies.len() as u64;
                let tokens = match content {
                    Content::Tokens(_) => bodies.iter().map(|body| body.size).sum(),
                    _ => 0,
                };
                let mut scatter = scatter.lock().unwrap_or_else(PoisonError::into_inner);
                for body in bodies {
                    for epoch in 0..body.row.copies {
                        let (bucket, head) = order.place(epoch, &body.row, shard, body.size);
                        scatter.add(bucket, &head, &body.bytes)?;
                    }
                }
                drop(scatter);
                self.observer.advance(documents, tokens, 0);
                Ok(())
            },
        )?;
        self.observer.end();
        Ok(scatter.into_inner().unwrap_or_else(PoisonError::into_inner).finish()?)
    }

    fn write_pieces(
        &self,
        version: &CorpusVersion,
        content: &Content,
        scattered: &Scattered,
        pieces: &[Piece],
        (out, memory): (&Store, u64),
    ) -> Result<Vec<ExportedFile>> {
        let largest = (0..scattered.buckets()).map(|bucket| scattered.bytes(bucket)).max().unwrap_or(0);
        let at_once =
            usize::try_from(memory / 2 / largest.max(1)).unwrap_or(usize::MAX).clamp(1, self.threads.max(1));
        let held = memory / 2 / at_once as u64;
        self.observer.begin("write files", pieces.iter().map(|piece| piece.size).sum());
        let files =
            pool::map(pieces.iter().enumerate().collect(), at_once, |(n, piece): (usize, &Piece)| {
                self.go_on()?;
                let standing = standing(out, &content.paths(n))?;
                let written = match standing {
                    Some(written) => {
                        self.observer.skip(piece.size);
                        written
                    }
                    None => {
                        let mut file = content.create(out, n)?;
                        self.fill(piece, scattered, held, |body, head| {
                            let shard = &version.shards[head.shard as usize].path;
                            file.write(body, head.size, shard, head.row)
                        })?;
                        agreed(out, file.commit()?)?
                    }
                };
                let tokens = matches!(content, Content::Tokens(_)).then_some(piece.size);
                let files = written.iter().enumerate().map(|(at, written)| match at {
                    0 => ExportedFile::new(written, piece.documents, tokens),
                    _ => ExportedFile::new(written, 0, None),
                });
                Ok(files.collect::<Vec<_>>())
            })?;
        self.observer.end();
        Ok(files.into_iter().flatten().collect())
    }

    /// Gives the documents of a piece to `write`, in order.
    fn fill(
        &self,
        piece: &Piece,
        scattered: &Scattered,
        held: u64,
        mut write: impl FnMut(&[u8], Head) -> Result<()>,
    ) -> Result<()> {
        let (mut bucket, mut at, mut left) = (piece.first.bucket, piece.first.at, piece.documents);
        let mut scratch = Vec::new();
        while left > 0 {
            self.go_on()?;
            let entries = scattered.entries(bucket)?;
            let bodies = scattered.bodies(bucket, held)?;
            let (mut documents, mut size) = (0, 0);
            while at < entries.len() && left > 0 {
                let entry = entries.get(at);
                let head = Head::decode(entry.head);
                write(bodies.get(&entry, &mut scratch)?, head)?;
                at += 1;
                left -= 1;
                documents += 1;
                size += head.size;
            }
            self.observer.advance(documents, 0, size);
            bucket += 1;
            at = 0;
        }
        Ok(())
    }
}

/// Shards of which something is kept, with their numbers.
fn shards_to_read<'v>(version: &'v CorpusVersion, survey: &Surveyed) -> Vec<(u32, &'v ShardRecord)> {
    let shards = (0..).zip(&version.shards).zip(&survey.by_shard);
    shards.filter(|(_, documents)| **documents > 0).map(|(shard, _)| shard).collect()
}

/// Files that an earlier call wrote, if all of them are there.
fn standing(out: &Store, paths: &[String]) -> Result<Option<Vec<Written>>> {
    let mut found = Vec::new();
    for path in paths {
        match Written::standing(out, path)? {
            Some(written) => found.push(written),
            None => return Ok(None),
        }
    }
    Ok(Some(found))
}

/// What was written; where a file stood there before, it has to be the same.
fn agreed(out: &Store, files: Vec<(Created, Written)>) -> Result<Vec<Written>> {
    for (created, written) in &files {
        if *created == Created::Existed && Written::standing(out, &written.path)?.as_ref() != Some(written) {
            return Err(Error::state(
                format!("`{}` is there already and holds something else", out.location(&written.path)),
                "choose another --out, or remove what is there",
            ));
        }
    }
    Ok(files.into_iter().map(|(_, written)| written).collect())
}
