//! The binary as a user meets it: run as a process, judged by its exit code, its words and the files that it leaves.
//!
//! No network and no packaged model: selections are random or by a column, and where a judge is needed it is the tiny Llama
//! of `tamis-models`' fixtures.

#![expect(clippy::unwrap_used, reason = "helpers of tests stop the test as its own body would")]

mod bad_files;
mod bad_models;
mod bad_rows;
mod carry;
mod chat;
mod controls;
mod early;
mod formats;
mod help;
mod ids;
mod misplaced;
mod ngram;
mod numeric_paths;
mod output;
mod perplexity;
mod recipes;
mod runs;
mod secrets;
mod servers;
mod stored_runs;
mod sure;
mod urls;
mod usage;
mod vetoes;
mod world;
