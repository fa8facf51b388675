//! A corpus and the run directory that belongs to it, opened together.

use std::path::Path;
use std::sync::Mutex;

use tamis_io::corpus::{Columns, Corpus, IdMode, MAX_LINE_BYTES};
use tamis_io::run::{CorpusColumns, IdColumn, RunDirectory};
use tamis_io::store::Store;

use crate::options::CorpusOptions;
use crate::places::{
    refuse_inside_corpus, refuse_inside_pattern, refuse_output_inside_corpus, refuse_run_among_kept,
    refuse_shared_folder,
};
use crate::select::Aside;
use crate::{Error, Observer, Result};

/// An opened run: everything else is a method of it.
pub struct Project<'a> {
    pub(crate) corpus: Corpus,
    pub(crate) columns: Columns,
    pub(crate) run: RunDirectory,
    pub(crate) location: String,
    pub(crate) max_line_bytes: u64,
    pub(crate) threads: usize,
    pub(crate) keep_text: bool,
    pub(crate) observer: &'a dyn Observer,
    /// For the next selection.
    pub(crate) aside: Mutex<Option<Aside>>,
}

impl<'a> Project<'a> {
    /// Opens a corpus and its run directory, which is made when absent.
    ///
    /// `corpus` may be `None` when the run knows its corpus. `threads` of 0 means one a core.
    ///
    /// # Errors
    /// A corpus that holds no shards or cannot be read; a run that belongs to another corpus or was made with other columns.
    pub fn open(
        corpus: Option<CorpusOptions>,
        run: &Path,
        threads: usize,
        observer: &'a dyn Observer,
    ) -> Result<Self> {
        Self::open_with(corpus, Store::local(run), threads, observer, RunDirectory::open_or_create)
    }

    /// As [`Project::open`], in any store: a prefix of an object store, or a folder that is watched.
    ///
    /// # Errors
    /// As [`Project::open`].
    pub fn open_in(
        corpus: Option<CorpusOptions>,
        run: Store,
        threads: usize,
        observer: &'a dyn Observer,
    ) -> Result<Self> {
        Self::open_with(corpus, run, threads, observer, RunDirectory::open_or_create)
    }

    /// Opens a corpus and its run directory to look and not to write: nothing is made.
    ///
    /// # Errors
    /// As [`Project::open`].
    pub fn peek(
        corpus: Option<CorpusOptions>,
        run: &Path,
        threads: usize,
        observer: &'a dyn Observer,
    ) -> Result<Self> {
        Self::open_with(corpus, Store::local(run), threads, observer, RunDirectory::peek)
    }

    fn open_with(
        corpus: Option<CorpusOptions>,
        store: Store,
        threads: usize,
        observer: &'a dyn Observer,
        open_run: impl FnOnce(Store) -> tamis_io::run::RunResult<RunDirectory>,
    ) -> Result<Self> {
        // What is wrong with the corpus is told before a run directory is made for it.
        let (run_directory, found) = match &corpus {
            None => (RunDirectory::open(store)?, None),
            Some(options) => {
                options.refuse_line_limit()?;
                if let Some(run) = store.local_path("") {
                    refuse_inside_corpus(&options.location, "--run", &run)?;
                    refuse_run_among_kept(&run)?;
                }
                let found = tamis_io::corpus::discover(&options.location)?;
                (open_run(store)?, Some(found))
            }
        };
        let stored = run_directory.latest_corpus()?;
        let mut options = match (corpus, &stored) {
            (Some(options), _) => options,
            (None, Some(version)) => CorpusOptions::new(version.location.clone()),
            (None, None) => {
                return Err(Error::usage(
                    format!("run `{}` does not know its corpus yet", run_directory.store().location("")),
                    "name the corpus: a file, a folder, a glob or a URL",
                ));
            }
        };
        if let Some(version) = &stored {
            fill_in(&mut options, &version.columns);
        }
        let max_line_bytes = options.max_line_bytes.unwrap_or(MAX_LINE_BYTES);
        let found = match found {
            Some(found) => found,
            None => tamis_io::corpus::discover(&options.location)?,
        };
        let corpus = found.with_max_line_bytes(max_line_bytes);
        let text = options.text_or_default();
        let id = match (&stored, &options.id) {
            (_, Some(column)) => IdMode::Column(column.clone()),
            (Some(version), None) => match &version.columns.id {
                IdColumn::Column(column) => IdMode::Column(column.clone()),
                IdColumn::FromText => IdMode::FromText,
            },
            (None, None) => corpus.resolve_ids(&text, None)?,
        };
        let columns = Columns {
            text,
            id,
            namespace: options.namespace.clone().unwrap_or_default(),
            carry: options.carry.clone().unwrap_or_default(),
        };
        let project = Self {
            corpus,
            columns,
            run: run_directory,
            location: options.location,
            max_line_bytes,
            threads: resolve_threads(threads),
            keep_text: true,
            observer,
            aside: Mutex::default(),
        };
        if let Some(version) = &stored {
            let problems = version.columns.differences(&project.corpus_columns());
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

    /// The same project with other columns read from the corpus, for a signal that needs one.
    pub(crate) fn with_columns(&self, columns: Columns) -> Self {
        Project {
            corpus: self.corpus.clone(),
            columns,
            run: self.run.clone(),
            location: self.location.clone(),
            max_line_bytes: self.max_line_bytes,
            threads: self.threads,
            keep_text: self.keep_text,
            observer: self.observer,
            aside: Mutex::default(),
        }
    }

    /// The same project with one more column carried.
    pub(crate) fn carrying(&self, name: &str) -> Self {
        let mut columns = self.columns.clone();
        if !columns.carry.iter().any(|carried| carried == name) {
            columns.carry.push(name.to_owned());
        }
        self.with_columns(columns)
    }

    /// Refuses to put files into the corpus, where the next call would read them as shards (hidden folders are not read), and
    /// kept documents into the run.
    ///
    /// # Errors
    /// A folder, of kept documents or of the run, inside the corpus; kept documents and the run in one folder.
    pub fn refuse_output_inside_corpus(&self, out: Option<&Path>) -> Result<()> {
        if let Some(run) = self.run.store().local_path("") {
            refuse_inside_corpus(&self.location, "--run", &run)?;
            out.map_or(Ok(()), |out| refuse_shared_folder(&run, out))?;
        }
        if let (Some(out), Some(base)) = (out, self.corpus.store().local_path("")) {
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
            id: match &self.columns.id {
                IdMode::Column(column) => IdColumn::Column(column.clone()),
                IdMode::FromText => IdColumn::FromText,
            },
            namespace: self.columns.namespace.clone(),
            carry: self.columns.carry.clone(),
            max_line_bytes: self.max_line_bytes,
        }
    }
}

/// What the caller left open is as the run was begun.
fn fill_in(options: &mut CorpusOptions, stored: &CorpusColumns) {
    options.text.get_or_insert_with(|| stored.text.clone());
    options.namespace.get_or_insert_with(|| stored.namespace.clone());
    options.carry.get_or_insert_with(|| stored.carry.clone());
    options.max_line_bytes.get_or_insert(stored.max_line_bytes);
}

fn resolve_threads(threads: usize) -> usize {
    if threads > 0 { threads } else { std::thread::available_parallelism().map_or(1, std::num::NonZero::get) }
}
