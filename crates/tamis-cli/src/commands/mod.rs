//! One module a command.

pub mod demo;
pub mod models;
pub mod score;
pub mod select;
pub mod show;
pub mod why;

use std::path::Path;

use serde_json::Value;
use tamis::{Project, Started};

use crate::args::{CorpusArgs, Global};
use crate::options;
use crate::progress::Terminal;

/// What every command has.
pub struct Context<'a> {
    pub global: &'a Global,
    pub terminal: &'a Terminal,
}

/// How a command ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Done,
    /// More rows failed than the user allows.
    TooManyFailed,
}

impl<'a> Context<'a> {
    /// Opens a run, with its corpus where one is named.
    pub fn open(&self, corpus: Option<&CorpusArgs>, run: &Path) -> anyhow::Result<Project<'a>> {
        let named = corpus.and_then(options::corpus);
        let project = Project::open(named, run, self.global.threads.unwrap_or(0), self.terminal)?;
        Ok(if corpus.is_some_and(|corpus| corpus.no_text) { project.without_text_in_quarantine() } else { project })
    }

    /// Runs the body of a command that changes a run, and leaves a record of it there whatever comes of it.
    pub fn audited<T>(
        &self,
        project: &Project<'_>,
        body: impl FnOnce(&mut Vec<String>) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let started = Started::now();
        let arguments: Vec<String> = std::env::args().collect();
        let mut changed = Vec::new();
        let result = body(&mut changed);
        let outcome = match &result {
            Ok(_) => "done".to_owned(),
            Err(error) => format!("{error:#}"),
        };
        if let Err(error) = project.write_audit(started, &arguments, &outcome, &changed) {
            use tamis::Observer;
            self.terminal.warn(&format!("the audit record could not be written: {error}"));
        }
        result
    }

    /// Prints one object for programs, or lines for people.
    pub fn print(&self, json: impl FnOnce() -> Value, text: impl FnOnce() -> String) {
        if self.global.json {
            crate::output::print_json(&json());
        } else {
            crate::output::print_line(&text());
        }
    }
}

/// Whether more rows failed than allowed.
pub fn judge_failures(failed: u64, documents_in: u64, max_failed: f64) -> Outcome {
    if failed as f64 > max_failed * documents_in as f64 { Outcome::TooManyFailed } else { Outcome::Done }
}
