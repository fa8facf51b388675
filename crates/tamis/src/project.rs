//! A corpus and the run directory that belongs to it, opened together.

use std::path::Path;

use tamis_io::store::Store;
use tamis_io::corpus::{Columns, Corpus, IdMode};
use tamis_io::run::{CorpusColumns, CorpusVersion, IdColumn, RunDirectory};

use crate::options::CorpusOptions;
use crate::{Error, Observer, Result};

/// An opened run: everything else is a method of it.
pub struct Project<'a> {
    pub(crate) corpus: Corpus,
    pub(crate) columns: Columns,
    pub(crate) run: RunDirectory,
    pub(crate) options: CorpusOptions,
    pub(crate) threads: usize,
    pub(crate) keep_text: bool,
    pub(crate) observer: &'a dyn Observer,
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
        let store = Store::local(run);
        let (run_directory, stored) = if corpus.is_none() {
            let opened = RunDirectory::open(store)?;
            let stored = opened.latest_corpus()?;
            (opened, stored)
        } else {
            let opened = RunDirectory::open_or_create(store)?;
            let stored = opened.latest_corpus()?;
            (opened, stored)
        };
        let options = match (corpus, &stored) {
            (Some(options), _) => options,
            (None, Some(version)) => options_of(version),
            (None, None) => {
                return Err(Error::usage(
                    format!("run `{}` does not know its corpus yet", run.display()),
                    "name the corpus: a file, a folder, a glob or a URL",
                ));
            }
        };
        let corpus =
            tamis_io::corpus::discover(&options.location)?.with_max_line_bytes(options.max_line_bytes);
        let id = match (&stored, &options.id) {
            (_, Some(column)) => IdMode::Column(column.clone()),
            (Some(version), None) => match &version.columns.id {
                IdColumn::Column(column) => IdMode::Column(column.clone()),
                IdColumn::FromText => IdMode::FromText,
            },
            (None, None) => corpus.resolve_ids(&options.text, None)?,
        };
        let columns = Columns {
            text: options.text.clone(),
            id,
            namespace: options.namespace.clone(),
            carry: options.carry.clone(),
        };
        let project =
            Self { corpus, columns, run: run_directory, options, threads: resolve_threads(threads), keep_text: true, observer };
        if let Some(version) = &stored {
            let problems = version.columns.differences(&project.corpus_columns());
            if !problems.is_empty() {
                return Err(tamis_io::run::RunError::CorpusChanged { problems }.into());
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
            options: self.options.clone(),
            threads: self.threads,
            keep_text: self.keep_text,
            observer: self.observer,
        }
    }

    /// Refuses to put files into the corpus, where the next call would read them as shards. Hidden folders are not read.
    ///
    /// # Errors
    /// A folder, of kept documents or of the run, inside the corpus.
    pub fn refuse_output_inside_corpus(&self, out: Option<&Path>) -> Result<()> {
        let run = self.run.store().local_path("");
        let Ok(corpus) = std::path::absolute(&self.options.location) else { return Ok(()) };
        if !corpus.is_dir() {
            return Ok(());
        }
        for (what, path) in [("--run", run.as_deref()), ("--out", out)] {
            let Some(inside) = path.and_then(|path| std::path::absolute(path).ok()) else { continue };
            let Ok(rest) = inside.strip_prefix(&corpus) else { continue };
            let hidden = rest.components().any(|part| part.as_os_str().to_string_lossy().starts_with('.'));
            if !hidden {
                let message = format!("{what} `{}` lies inside the corpus `{}`", inside.display(), corpus.display());
                return Err(Error::usage(message, "choose a folder beside the corpus: files in it would be read as shards"));
            }
        }
        Ok(())
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
            max_line_bytes: self.options.max_line_bytes,
        }
    }
}

fn options_of(version: &CorpusVersion) -> CorpusOptions {
    CorpusOptions {
        location: version.location.clone(),
        text: version.columns.text.clone(),
        id: match &version.columns.id {
            IdColumn::Column(column) => Some(column.clone()),
            IdColumn::FromText => None,
        },
        namespace: version.columns.namespace.clone(),
        carry: version.columns.carry.clone(),
        max_line_bytes: version.columns.max_line_bytes,
    }
}

fn resolve_threads(threads: usize) -> usize {
    if threads > 0 { threads } else { std::thread::available_parallelism().map_or(1, std::num::NonZero::get) }
}
