//! N-gram models, trained from a corpus.

use std::collections::BTreeMap;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tamis_io::corpus::{Columns, Corpus, IdMode, MAX_LINE_BYTES, Shard};
use tamis_io::store::Created;
use tamis_io::{TextWriter, temporary_file};
use tamis_samplers::ngram::{
    ArpaHeader, Counter, Estimated, Estimator, FallbackDiscounts, Progress, RunFile, Scratch, Segment, Words,
    estimate,
};

use crate::corpus_options::CorpusOptions;
use crate::known_columns::check_beginnings;
use crate::ngram_words::{NgramWords, Pieces, normalisation};
use crate::project::tell_left_out;
use crate::{Error, Observer, Result, pool};

/// How to train an n-gram model.
#[derive(Clone, Debug)]
pub struct TrainNgramOptions {
    /// The text.
    pub corpus: CorpusOptions,
    /// N, the length of the longest n-grams.
    pub order: usize,
    /// Path or URL of the ARPA file to be written, also .gz or .zst. Must be free.
    pub out: String,
    /// n-grams that occur at most so often are left out, by length.
    pub prune: Vec<u64>,
    /// Discounts where the corpus gives none.
    pub discount_fallback: Option<[f64; 3]>,
    /// How text becomes words.
    pub words: NgramWords,
    /// Model source whose tokenizer's pieces are the words.
    pub tokenizer: Option<String>,
    /// Memory for n-grams; what does not fit goes to disk.
    pub memory_bytes: u64,
    /// Folder for what does not fit; `None` is the system's.
    pub temporary: Option<PathBuf>,
    /// Worker threads; 0 is one a core.
    pub threads: usize,
}

/// What training made.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainNgramReport {
    /// Where the model is.
    pub out: String,
    /// N-grams, discounts and what was counted.
    pub estimated: Estimated,
    /// Rows that could not be read, by reason.
    pub failed: BTreeMap<String, u64>,
    /// Files among those of the corpus that were not read, by reason.
    pub left_out: BTreeMap<&'static str, u64>,
    /// Time of all of it.
    pub seconds: f64,
}

struct Folder(Option<PathBuf>);

impl Scratch for Folder {
    fn create(&self) -> io::Result<Box<dyn RunFile>> {
        Ok(Box::new(temporary_file(self.0.as_deref())?) as Box<dyn RunFile>)
    }
}

struct Relay<'a> {
    observer: &'a dyn Observer,
    open: Mutex<bool>,
}

impl Relay<'_> {
    fn end(&self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut *open) {
            self.observer.end();
        }
    }
}

impl Progress for Relay<'_> {
    fn begin(&self, step: &str, ngrams: u64) {
        self.end();
        self.observer.begin(step, ngrams);
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = true;
    }

    fn advance(&self, ngrams: u64) {
        self.observer.advance(0, 0, ngrams);
    }
}

/// Counts the n-grams of a corpus and writes a Kneser–Ney model of them as an ARPA file.
///
/// The file does not depend on the order or names of shards, threads or memory. It is not resumable: what is there at the
/// end is whole, and nothing is left of a run that was stopped.
///
/// # Errors
/// A corpus that cannot be read or is too small; an output that exists.
pub fn train_ngram(options: &TrainNgramOptions, observer: &dyn Observer) -> Result<TrainNgramReport> {
    let began = Instant::now();
    options.corpus.refuse_line_limit()?;
    let out = &options.out;
    if !out.contains("://") {
        crate::refuse_output_inside_corpus(&options.corpus.location, Some(Path::new(out)))?;
    }
    let taken = || {
        Error::usage(
            format!("`{out}` exists"),
            "choose another --out, or remove that file: it is not overwritten",
        )
    };
    let writer = TextWriter::create(out)?.ok_or_else(taken)?;
    let max_line_bytes = options.corpus.max_line_bytes.unwrap_or(MAX_LINE_BYTES);
    let corpus = tamis_io::corpus::discover(&options.corpus.location)?.with_max_line_bytes(max_line_bytes);
    tell_left_out(&corpus, &options.corpus.location, observer);
    let fallback = options.discount_fallback.map(FallbackDiscounts::new).transpose()?;
    let threads = if options.threads > 0 {
        options.threads
    } else {
        std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
    };
    let normalisation = normalisation(options.words);
    let mut header = ArpaHeader { text: Some(normalisation.name().to_owned()), tokenizer: None };
    let segment: Arc<dyn Segment> = match &options.tokenizer {
        None => Arc::new(Words(normalisation)),
        Some(source) => {
            let pieces = Pieces::open(source, normalisation, observer)?;
            header.tokenizer = Some(pieces.digest().to_owned());
            Arc::new(pieces)
        }
    };
    let scratch = Folder(options.temporary.clone());
    // Learn early that there is no such folder.
    drop(scratch.create().map_err(tamis_samplers::ngram::TrainError::from)?);
    let estimator =
        Estimator { prune: options.prune.clone(), fallback, memory_bytes: options.memory_bytes, threads };
    estimator.check(options.order)?;
    let (counters, failed) = count(options, &corpus, threads, &*segment, &scratch, observer)?;
    if counters.iter().all(|counter| counter.tally().documents == 0) {
        let reasons: Vec<String> = failed.iter().map(|(reason, rows)| format!("{rows} {reason}")).collect();
        let message = format!("the corpus has no document that can be read: {}", reasons.join(", "));
        return Err(Error::state(message, "name the column of the text by --text COLUMN"));
    }
    let relay = Relay { observer, open: Mutex::new(false) };
    let mut buffered = BufWriter::with_capacity(1 << 18, writer);
    let estimated = estimate(counters, &estimator, &header, &scratch, &relay, &mut buffered)?;
    let writer = buffered.into_inner().map_err(|error| {
        let source = error.into_error();
        Error::from(tamis_samplers::ngram::TrainError::from(source))
    })?;
    relay.end();
    if writer.commit()? == Created::Existed {
        return Err(taken());
    }
    let left_out = corpus.left_out().counts();
    let seconds = began.elapsed().as_secs_f64();
    Ok(TrainNgramReport { out: out.clone(), estimated, failed, left_out, seconds })
}

/// Counters of all documents, one a thread at most, and the rows that could not be read.
fn count(
    options: &TrainNgramOptions,
    corpus: &Corpus,
    threads: usize,
    segment: &dyn Segment,
    scratch: &Folder,
    observer: &dyn Observer,
) -> Result<(Vec<Counter>, BTreeMap<String, u64>)> {
    let columns = Columns {
        text: options.corpus.text_or_default(),
        id: IdMode::FromText,
        namespace: String::new(),
        ..Columns::default()
    };
    check_beginnings(corpus, &columns, &options.corpus.location, observer)?;
    let own_memory = options.memory_bytes / 2 / threads as u64;
    let counters = Mutex::new(vec![Counter::new(options.order, own_memory)?]);
    let failed = Mutex::new(BTreeMap::<String, u64>::new());
    observer.begin("count n-grams", corpus.shards().iter().map(|shard| shard.size_bytes).sum());
    pool::run(
        corpus.shards().iter().collect(),
        threads,
        |shard: &Shard, feed| {
            let mut reader = corpus.open(shard, 0)?;
            let mut reported = 0;
            while let Some(block) = reader.next_block()? {
                let read = reader.file_bytes();
                observer.advance(0, 0, read.saturating_sub(reported));
                reported = read.max(reported);
                if !feed.push(block) {
                    break;
                }
            }
            observer.advance(0, 0, reader.file_bytes().saturating_sub(reported));
            Ok(())
        },
        |block| {
            let decoded = block.decode(&columns)?;
            let idle = counters.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut counter = match idle {
                Some(counter) => counter,
                None => Counter::new(options.order, own_memory)?,
            };
            for text in decoded.documents.texts().iter().flatten() {
                counter.add(text, segment, scratch)?;
            }
            observer.advance(decoded.documents.len() as u64, 0, 0);
            counters.lock().unwrap_or_else(PoisonError::into_inner).push(counter);
            let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
            for failure in decoded.failures {
                *failed.entry(failure.reason.to_owned()).or_default() += 1;
            }
            Ok(())
        },
    )?;
    observer.end();
    let counters = counters.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok((counters, failed.into_inner().unwrap_or_else(PoisonError::into_inner)))
}
