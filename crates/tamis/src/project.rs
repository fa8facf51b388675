//! A corpus and the run directory that belongs to it, opened together.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tamis_core::Signal;
use tamis_io::corpus::{Columns, Corpus, MAX_LINE_BYTES, ResolvedIds, discover_beside};
use tamis_io::run::{CorpusColumns, CorpusVersion, IdColumn, Repeatability, RunDirectory};
use tamis_io::store::Store;

use crate::corpus_options::CorpusOptions;
use crate::gate::Gate;
use crate::places::{
    refuse_inside_corpus, refuse_inside_pattern, refuse_output_inside_corpus, refuse_run_among_kept,
    refuse_shared_folder, store_at, tell_fleeting,
};
use crate::{Error, Observer, Result};

/// Documents of a span of a fold at least, unless [`Project::with_spans_of`] says otherwise: what a stop may lose.
pub(crate) const SPAN_DOCUMENTS: u64 = 1 << 20;

/// Memory for the pairs and results of a grouping, with what sorting takes beside them: 11 million documents by id or text.
const GROUPING_MEMORY_BYTES: u64 = 1 << 30;

/// A signal that was built for a check, for the computation that follows.
pub(crate) struct Held {
    /// The options that it was built from, as JSON.
    pub(crate) asked: String,
    pub(crate) signal: Box<dyn Signal>,
    pub(crate) repeatability: Repeatability,
}

/// An opened run: everything else is a method of it.
pub struct Project {
    pub(crate) corpus: Corpus,
    pub(crate) columns: Columns,
    /// Columns to be carried that are not in the inventories; see [`crate::carried`].
    pub(crate) later: Vec<String>,
    pub(crate) run: RunDirectory,
    pub(crate) location: String,
    pub(crate) max_line_bytes: u64,
    pub(crate) threads: usize,
    pub(crate) grouping_memory: u64,
    pub(crate) keep_text: bool,
    /// See [`crate::fold`].
    pub(crate) span_documents: u64,
    pub(crate) observer: Arc<dyn Observer>,
    /// Which documents alone are asked; `None`: all. See [`crate::gate`].
    pub(crate) gate: Option<Arc<Gate>>,
    /// For the next computation.
    pub(crate) held: Mutex<Option<Held>>,
}

impl Project {
    /// Opens a corpus and its run directory, a folder or the URL of a prefix in an object store, which is made when absent.
    ///
    /// `corpus` may be `None` when the run knows its corpus. `threads` of 0 means one a core.
    ///
    /// # Errors
    /// A corpus that holds no shards or cannot be read; a run that belongs to another corpus or was made with other columns.
    pub fn open(
        corpus: Option<CorpusOptions>,
        run: &Path,
        threads: usize,
        observer: Arc<dyn Observer>,
    ) -> Result<Self> {
        let project =
            Self::open_with(corpus, store_at(run)?, threads, observer, RunDirectory::open_or_create)?;
        project.tell_left_out();
        tell_fleeting(project.run.store(), "--run", &*project.observer);
        Ok(project)
    }

    /// Where the corpus of a run is, for a call that names other options of it alone.
    ///
    /// # Errors
    /// A folder that is no run directory, or does not know its corpus yet.
    pub fn location_of(run: &Path) -> Result<String> {
        let run = RunDirectory::open(store_at(run)?)?;
        let version = run.latest_corpus()?.ok_or_else(|| no_corpus(&run))?;
        Ok(version.location)
    }

    /// As [`Project::open`], in any store: a prefix of an object store, or a folder that is watched.
    ///
    /// # Errors
    /// As [`Project::open`].
    pub fn open_in(
        corpus: Option<CorpusOptions>,
        run: Store,
        threads: usize,
        observer: Arc<dyn Observer>,
    ) -> Result<Self> {
        let project = Self::open_with(corpus, run, threads, observer, RunDirectory::open_or_create)?;
        project.tell_left_out();
        Ok(project)
    }

    /// Opens a corpus and its run directory to look and not to write: nothing is made, and nothing is said of what is left out.
    ///
    /// # Errors
    /// As [`Project::open`].
    pub fn peek(
        corpus: Option<CorpusOptions>,
        run: &Path,
        threads: usize,
        observer: Arc<dyn Observer>,
    ) -> Result<Self> {
        Self::open_with(corpus, store_at(run)?, threads, observer, RunDirectory::peek)
    }

    fn open_with(
        corpus: Option<CorpusOptions>,
        store: Store,
        threads: usize,
        observer: Arc<dyn Observer>,
        open_run: impl FnOnce(Store) -> tamis_io::run::RunResult<RunDirectory>,
    ) -> Result<Self> {
        // What is wrong with the corpus is told before a run directory is made for it. What the run has read stays a shard.
        let find = |location: &str, stored: &Option<CorpusVersion>| {
            let shards = stored.iter().flat_map(|version| &version.shards);
            discover_beside(location, &shards.map(|shard| shard.path.clone()).collect())
        };
        let (run_directory, found) = match &corpus {
            None => (RunDirectory::open(store)?, None),
            Some(options) => {
                options.refuse_line_limit()?;
                let run = PathBuf::from(store.location(""));
                refuse_inside_corpus(&options.location, "--run", &run)?;
                refuse_run_among_kept(&run)?;
                let stored = RunDirectory::peek(store.clone())?.latest_corpus()?;
                let found = find(&options.location, &stored)?;
                (open_run(store)?, Some(found))
            }
        };
        let stored = run_directory.latest_corpus()?;
        // A first pass that was stopped has begun the run too.
        let begun = match &stored {
            Some(version) => Some(version.columns.clone()),
            None => run_directory.begun_columns()?,
        };
        let mut options = match (corpus, &stored) {
            (Some(options), _) => options,
            (None, Some(version)) => CorpusOptions::new(version.location.clone()),
            (None, None) => return Err(no_corpus(&run_directory)),
        };
        if let Some(begun) = &begun {
            fill_in(&mut options, begun);
        }
        let max_line_bytes = options.max_line_bytes.unwrap_or(MAX_LINE_BYTES);
        let found = match found {
            Some(found) => found,
            None => find(&options.location, &stored)?,
        };
        let corpus = found.with_max_line_bytes(max_line_bytes);
        let text = options.text_or_default();
        let asked = options.id.resolve(begun.as_ref().map(|begun| &begun.id));
        let ids: ResolvedIds = corpus.resolve_ids(&text, asked.as_ref())?;
        if let Some(warning) = ids.warning() {
            observer.warn(&warning);
        }
        let (carry, later) = divide(options.carry.as_deref().unwrap_or_default(), begun.as_ref());
        let columns = Columns {
            text,
            id: ids.mode,
            namespace: options.namespace.clone().unwrap_or_default(),
            carry,
            also: Vec::new(),
        };
        let project = Self {
            corpus,
            columns,
            later,
            run: run_directory,
            location: options.location,
            max_line_bytes,
            threads: resolve_threads(threads),
            grouping_memory: GROUPING_MEMORY_BYTES,
            keep_text: true,
            span_documents: SPAN_DOCUMENTS,
            observer,
            gate: None,
            held: Mutex::default(),
        };
        if let Some(begun) = &begun {
            let problems = begun.differences(&project.corpus_columns());
            if !problems.is_empty() {
                let run = project.run.store().location("");
                let hint = format!(
                    "repeat the options that run `{run}` was begun with, or name another run directory with --run; \
                     if it was begun by mistake, remove it"
                );
                let error = tamis_io::run::RunError::CorpusChanged { problems };
                return Err(Error::state(error.to_string(), hint));
            }
        }
        project.refuse_output_inside_corpus(None)?;
        Ok(project)
    }

    /// Between blocks and parts: whether to go on.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub(crate) fn go_on(&self) -> Result<()> {
        if self.observer.cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }

    /// Says what lies among the shards and is not read. [`Project::open`] has done so.
    pub fn tell_left_out(&self) {
        tell_left_out(&self.corpus, &self.location, &*self.observer);
    }

    /// What lies among the shards and is not read: how many files, by reason.
    #[must_use]
    pub fn left_out(&self) -> BTreeMap<&'static str, u64> {
        self.corpus.left_out().counts()
    }

    /// The same project that also reads a column from the corpus, for a signal that needs it. Which rows are documents stays
    /// as it is.
    pub(crate) fn also_reading(&self, name: &str) -> Self {
        let mut project = self.again();
        if !project.columns.carry.iter().any(|carried| carried == name) {
            project.columns.also.push(name.to_owned());
        }
        project.later.clear();
        project
    }

    /// The same project once more, without the signal that is held for the next computation.
    pub(crate) fn again(&self) -> Self {
        Project {
            corpus: self.corpus.clone(),
            columns: self.columns.clone(),
            later: self.later.clone(),
            run: self.run.clone(),
            location: self.location.clone(),
            max_line_bytes: self.max_line_bytes,
            threads: self.threads,
            grouping_memory: self.grouping_memory,
            keep_text: self.keep_text,
            span_documents: self.span_documents,
            observer: Arc::clone(&self.observer),
            gate: self.gate.clone(),
            held: Mutex::default(),
        }
    }

    /// Refuses to put files into the corpus, where the next call would read them as shards (hidden folders are not read), and
    /// kept documents into the run.
    ///
    /// # Errors
    /// A folder, of kept documents or of the run, inside the corpus; kept documents and the run in one folder.
    pub fn refuse_output_inside_corpus(&self, out: Option<&Path>) -> Result<()> {
        let run = PathBuf::from(self.run.store().location(""));
        refuse_inside_corpus(&self.location, "--run", &run)?;
        if let Some(out) = out {
            refuse_shared_folder(&run, out)?;
            let base = PathBuf::from(self.corpus.store().location(""));
            let shards: Vec<&str> = self.corpus.shards().iter().map(|shard| shard.path.as_str()).collect();
            refuse_inside_pattern(&self.location, &base, &shards, out)?;
        }
        refuse_output_inside_corpus(&self.location, out)
    }

    /// Leaves the texts of failed rows out of the quarantine.
    #[must_use]
    pub fn without_text_in_quarantine(mut self) -> Self {
        self.keep_text = false;
        self
    }

    /// Lets a stop lose so many documents of a fold (density's sample and sketch) at least, instead of about a million: a fold
    /// commits what it has in spans of whole shards, each a file as large as the sketch until the result stands. Results are
    /// the same; processes that share a run share more work where they cut it alike.
    #[must_use]
    pub fn with_spans_of(mut self, documents: u64) -> Self {
        self.span_documents = documents.max(1);
        self
    }

    /// Memory for finding rows that belong together, such as those of one id, in bytes. Where they do not fit, the run directory
    /// is used; what comes of it is the same.
    #[must_use]
    pub fn with_grouping_memory(mut self, bytes: u64) -> Self {
        self.grouping_memory = bytes;
        self
    }

    /// Worker threads in use.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// The run directory.
    #[must_use]
    pub fn run_directory(&self) -> &RunDirectory {
        &self.run
    }

    pub(crate) fn corpus_columns(&self) -> CorpusColumns {
        CorpusColumns {
            text: self.columns.text.clone(),
            id: IdColumn::from(&self.columns.id),
            namespace: self.columns.namespace.clone(),
            carry: self.columns.carry.clone(),
            max_line_bytes: self.max_line_bytes,
        }
    }
}

/// Says what lies among the shards of a corpus and is not read.
pub(crate) fn tell_left_out(corpus: &Corpus, location: &str, observer: &dyn Observer) {
    let left_out = corpus.left_out();
    left_out.notes().iter().for_each(|note| observer.note(&format!("corpus `{location}`: {note}")));
    left_out.warnings().iter().for_each(|warning| observer.warn(&format!("corpus `{location}`: {warning}")));
}

/// What the caller left open is as the run was begun.
fn fill_in(options: &mut CorpusOptions, stored: &CorpusColumns) {
    options.text.get_or_insert_with(|| stored.text.clone());
    options.namespace.get_or_insert_with(|| stored.namespace.clone());
    options.max_line_bytes.get_or_insert(stored.max_line_bytes);
}

fn no_corpus(run: &RunDirectory) -> Error {
    Error::usage(
        format!("run `{}` does not know its corpus yet", run.store().location("")),
        "name the corpus: a file, a folder, a glob or a URL",
    )
}

/// Columns that the inventories hold, and asked ones that are to have a sidecar of their own: those of a run that was begun
/// without them, and of names that an inventory has for itself.
fn divide(asked: &[String], begun: Option<&CorpusColumns>) -> (Vec<String>, Vec<String>) {
    use tamis_io::run::inventory_column::{BYTES, CHARACTERS, TEXT_DIGEST};
    let is_own = |name: &str| [BYTES, CHARACTERS, TEXT_DIGEST].contains(&name);
    let carry = match begun {
        Some(begun) => begun.carry.clone(),
        None => asked.iter().filter(|name| !is_own(name)).cloned().collect(),
    };
    let mut later = Vec::new();
    for name in asked {
        if !carry.contains(name) && !later.contains(name) {
            later.push(name.clone());
        }
    }
    (carry, later)
}

fn resolve_threads(threads: usize) -> usize {
    if threads > 0 { threads } else { std::thread::available_parallelism().map_or(1, std::num::NonZero::get) }
}
