//! A corpus and the run directory that belongs to it, opened together.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use tamis_io::corpus::{Columns, Corpus, IdMode, MAX_LINE_BYTES, discover_beside};
use tamis_io::run::{CorpusColumns, CorpusVersion, IdColumn, RunDirectory};
use tamis_io::store::Store;

use crate::options::CorpusOptions;
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
        let project =
            Self::open_with(corpus, Store::local(run), threads, observer, RunDirectory::open_or_create)?;
        project.tell_left_out();
        Ok(project)
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
        // What is wrong with the corpus is told before a run directory is made for it. What the run has read stays a shard.
        let find = |location: &str, stored: &Option<CorpusVersion>| {
            let shards = stored.iter().flat_map(|version| &version.shards);
            discover_beside(location, &shards.map(|shard| shard.path.clone()).collect())
        };
        let (run_directory, found) = match &corpus {
            None => (RunDirectory::open(store)?, None),
            Some(options) => {
                if let Some(run) = store.local_path("") {
                    refuse_inside_corpus(&options.location, "--run", &run)?;
                }
                let stored = RunDirectory::peek(store.clone())?.latest_corpus()?;
                let found = find(&options.location, &stored)?;
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
            None => find(&options.location, &stored)?,
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

    /// Says what lies among the shards and is not read. [`Project::open`] has done so.
    pub fn tell_left_out(&self) {
        tell_left_out(&self.corpus, &self.location, self.observer);
    }

    /// What lies among the shards and is not read: how many files, by reason.
    #[must_use]
    pub fn left_out(&self) -> BTreeMap<&'static str, u64> {
        self.corpus.left_out().counts()
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

/// Says what lies among the shards of a corpus and is not read.
pub(crate) fn tell_left_out(corpus: &Corpus, location: &str, observer: &dyn Observer) {
    let left_out = corpus.left_out();
    left_out.notes().iter().for_each(|note| observer.note(&format!("corpus `{location}`: {note}")));
    left_out.warnings().iter().for_each(|warning| observer.warn(&format!("corpus `{location}`: {warning}")));
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
    options.carry.get_or_insert_with(|| stored.carry.clone());
    options.max_line_bytes.get_or_insert(stored.max_line_bytes);
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
