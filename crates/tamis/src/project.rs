//! A corpus and the run directory that belongs to it, opened together.

use std::path::Path;
use std::sync::Mutex;

use tamis_io::corpus::{Columns, Corpus, IdMode, MAX_LINE_BYTES};
use tamis_io::run::{CorpusColumns, IdColumn, RunDirectory};
use tamis_io::store::Store;

use crate::options::CorpusOptions;
use crate::ready::Held;
use crate::select::Aside;
use crate::{Error, Observer, Result};

/// An opened run: everything else is a method of it.
pub struct Project<'a> {
    pub(crate) corpus: Corpus,
    pub(crate) columns: Columns,
    /// Columns to be carried that are not in the inventories; see [`crate::carried`].
    pub(crate) later: Vec<String>,
    pub(crate) run: RunDirectory,
    pub(crate) location: String,
    pub(crate) max_line_bytes: u64,
    pub(crate) threads: usize,
    pub(crate) keep_text: bool,
    pub(crate) observer: &'a dyn Observer,
    /// For the next selection.
    pub(crate) aside: Mutex<Option<Aside>>,
    /// For the next computation.
    pub(crate) held: Mutex<Held>,
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

    /// Where the corpus of a run is, for a call that names other options of it alone.
    ///
    /// # Errors
    /// A folder that is no run directory, or does not know its corpus yet.
    pub fn location_of(run: &Path) -> Result<String> {
        let run = RunDirectory::open(Store::local(run))?;
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
                if let Some(run) = store.local_path("") {
                    refuse_inside_corpus(&options.location, "--run", &run)?;
                }
                let found = tamis_io::corpus::discover(&options.location)?;
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
            None => tamis_io::corpus::discover(&options.location)?,
        };
        let corpus = found.with_max_line_bytes(max_line_bytes);
        let text = options.text_or_default();
        let id = match (&begun, &options.id) {
            (_, Some(column)) => IdMode::Column(column.clone()),
            (Some(begun), None) => match &begun.id {
                IdColumn::Column(column) => IdMode::Column(column.clone()),
                IdColumn::FromText => IdMode::FromText,
            },
            (None, None) => corpus.resolve_ids(&text, None)?,
        };
        let (carry, later) = divide(options.carry.as_deref().unwrap_or_default(), begun.as_ref());
        let columns = Columns {
            text,
            id,
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
            keep_text: true,
            observer,
            aside: Mutex::default(),
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

    /// The same project that also reads a column from the corpus, for a signal that needs it. Which rows are documents stays
    /// as it is.
    pub(crate) fn also_reading(&self, name: &str) -> Self {
        let mut columns = self.columns.clone();
        if !columns.carry.iter().any(|carried| carried == name) {
            columns.also.push(name.to_owned());
        }
        Project {
            corpus: self.corpus.clone(),
            columns,
            later: Vec::new(),
            run: self.run.clone(),
            location: self.location.clone(),
            max_line_bytes: self.max_line_bytes,
            threads: self.threads,
            keep_text: self.keep_text,
            observer: self.observer,
            aside: Mutex::default(),
            held: Mutex::default(),
        }
    }

    /// Refuses to put files into the corpus, where the next call would read them as shards. Hidden folders are not read.
    ///
    /// # Errors
    /// A folder, of kept documents or of the run, inside the corpus.
    pub fn refuse_output_inside_corpus(&self, out: Option<&Path>) -> Result<()> {
        if let Some(run) = self.run.store().local_path("") {
            refuse_inside_corpus(&self.location, "--run", &run)?;
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

/// [`Project::refuse_output_inside_corpus`] before a project is opened.
///
/// # Errors
/// A folder of kept documents inside the corpus.
pub fn refuse_output_inside_corpus(corpus: &str, out: Option<&Path>) -> Result<()> {
    out.map_or(Ok(()), |out| refuse_inside_corpus(corpus, "--out", out))
}

/// An absolute path without `..`, so that a detour through a parent does not look like another place.
fn plain(path: &Path) -> Option<std::path::PathBuf> {
    let mut plain = std::path::PathBuf::new();
    for part in std::path::absolute(path).ok()?.components() {
        match part {
            std::path::Component::ParentDir => drop(plain.pop()),
            part => plain.push(part),
        }
    }
    Some(plain)
}

fn refuse_inside_corpus(corpus: &str, what: &str, path: &Path) -> Result<()> {
    let (Some(corpus), Some(inside)) = (plain(Path::new(corpus)), plain(path)) else { return Ok(()) };
    let Ok(rest) = inside.strip_prefix(&corpus) else { return Ok(()) };
    let hidden = rest.components().any(|part| part.as_os_str().to_string_lossy().starts_with('.'));
    if hidden || !corpus.is_dir() {
        return Ok(());
    }
    let message = format!("{what} `{}` lies inside the corpus `{}`", inside.display(), corpus.display());
    Err(Error::usage(message, "choose a folder beside the corpus: files in it would be read as shards"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detour_through_a_parent_does_not_hide_where_files_go() {
        let folder = tempfile::tempdir().unwrap();
        let corpus = folder.path().join("corpus");
        std::fs::create_dir(&corpus).unwrap();
        let refused = |out: &str| {
            refuse_inside_corpus(&corpus.display().to_string(), "--out", &folder.path().join(out)).is_err()
        };
        assert!(refused("corpus/kept") && refused("corpus") && refused("corpus/../corpus/kept"));
        assert!(!refused("kept") && !refused("corpus/../kept") && !refused("corpus/.kept"));
    }
}
