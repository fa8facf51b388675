//! One module a command.

pub(crate) mod apply;
pub(crate) mod check;
pub(crate) mod demo;
pub(crate) mod export;
pub(crate) mod init;
pub(crate) mod models;
pub(crate) mod plan;
pub(crate) mod samplers;
pub(crate) mod score;
pub(crate) mod select;
pub(crate) mod show;
pub(crate) mod table;
pub(crate) mod train_ngram;
pub(crate) mod why;

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use tamis::{Observer, Project, Recipe, Started};

use crate::args::{CorpusArgs, Global, RecipeArgs};
use crate::flags::Given;
use crate::options;
use crate::printable::one_line;
use crate::progress::Terminal;

/// What every command has.
pub(crate) struct Context<'a> {
    pub global: &'a Global,
    pub terminal: &'a Arc<Terminal>,
    pub given: &'a Given,
}

/// How a command ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Done.
    Done,
    /// More rows failed than the user allows.
    TooManyFailed,
}

/// A report for programs, with what of the corpus was not read.
pub(crate) fn with_left_out(mut report: Value, project: &Project) -> Value {
    report["left_out"] = serde_json::json!(project.left_out());
    report
}

/// What a command may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writes {
    /// Its run directory, which is made when absent.
    Run,
    /// Nothing.
    Nothing,
}

impl Writes {
    /// Nothing under `--dry-run`.
    pub(crate) fn unless(dry_run: bool) -> Self {
        if dry_run { Self::Nothing } else { Self::Run }
    }
}

/// What would be done, for people.
pub(crate) fn text_of_plan(plan: &tamis::Plan) -> String {
    plan.lines().iter().map(|line| one_line(line).into_owned()).collect::<Vec<_>>().join("\n")
}

impl Context<'_> {
    /// Opens a run, with its corpus where one is named.
    pub(crate) fn open(
        &self,
        corpus: Option<&CorpusArgs>,
        run: &Path,
        writes: Writes,
    ) -> anyhow::Result<Project> {
        let named = match corpus {
            Some(corpus) => options::corpus(corpus, || Project::location_of(run))?,
            None => None,
        };
        let threads = self.global.threads.unwrap_or(0);
        let observer = Arc::<Terminal>::clone(self.terminal);
        let project = match writes {
            Writes::Run => Project::open(named, run, threads, observer)?,
            Writes::Nothing => Project::peek(named, run, threads, observer)?,
        };
        // A command that takes a corpus says what of it is not read, under `--dry-run` too.
        if writes == Writes::Nothing && corpus.is_some() {
            project.tell_left_out();
        }
        Ok(if corpus.is_some_and(|corpus| corpus.no_text) {
            project.without_text_in_quarantine()
        } else {
            project
        })
    }

    /// Reads a recipe and opens its run, with the corpus that it or the call names.
    pub(crate) fn open_recipe(&self, args: &RecipeArgs, writes: Writes) -> anyhow::Result<(Recipe, Project)> {
        let recipe = Recipe::read(&args.recipe)?;
        let run = args.run.clone().or_else(|| recipe.run.clone()).ok_or_else(|| {
            tamis::Error::usage(
                "neither the recipe nor the call names a run directory",
                "add run = \"run\" to the recipe, or --run FOLDER",
            )
        })?;
        let corpus = Some(recipe.corpus_at(args.corpus.as_deref())?);
        let threads = self.global.threads.unwrap_or(0);
        let observer = Arc::<Terminal>::clone(self.terminal);
        let project = match writes {
            Writes::Run => Project::open(corpus, &run, threads, observer)?,
            Writes::Nothing => {
                let project = Project::peek(corpus, &run, threads, observer)?;
                project.tell_left_out();
                project
            }
        };
        Ok((recipe, project))
    }

    /// Runs the body of a command that changes a run, and leaves a record of it there whatever comes of it.
    pub(crate) fn audited<T>(
        &self,
        project: &Project,
        body: impl FnOnce(&mut Vec<String>) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let started = Started::now();
        let arguments: Vec<String> =
            std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect();
        let mut changed = Vec::new();
        let result = body(&mut changed);
        let outcome = match &result {
            Ok(_) => "done".to_owned(),
            Err(error) => format!("{error:#}"),
        };
        if let Err(error) = project.write_audit(started, &arguments, &outcome, &changed) {
            self.terminal.warn(&format!("the audit record could not be written: {error}"));
        }
        result
    }

    /// Prints a report, for programs as it is.
    pub(crate) fn print_report(
        &self,
        report: &impl serde::Serialize,
        text: impl FnOnce() -> String,
    ) -> anyhow::Result<()> {
        let object = serde_json::to_value(report)?;
        self.print(|| object, text);
        Ok(())
    }

    /// Prints one object for programs, or lines for people.
    pub(crate) fn print(&self, json: impl FnOnce() -> Value, text: impl FnOnce() -> String) {
        if self.global.json {
            crate::output::print_json(&json());
        } else {
            crate::output::print_line(&text());
        }
    }

    /// Whether more rows failed than allowed; if so, why the exit code will be 3.
    pub(crate) fn judge_failures(&self, failed: u64, documents_in: u64, max_failed: f64) -> Outcome {
        if failed as f64 <= max_failed * documents_in as f64 {
            return Outcome::Done;
        }
        let share = 100.0 * failed as f64 / documents_in.max(1) as f64;
        self.terminal.warn(&format!(
            "{failed} of {documents_in} rows failed ({share:.1} %), more than --max-failed {}% allows: exit code 3",
            (1e8 * max_failed).round() / 1e6
        ));
        Outcome::TooManyFailed
    }
}
