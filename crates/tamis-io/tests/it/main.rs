//! Tests of tamis-io through its public interface.

#![expect(clippy::unwrap_used, reason = "helpers of tests stop the test as its own body would")]

mod architecture;
mod corpus_bad_input;
mod corpus_discovery;
mod corpus_lines;
mod corpus_parquet;
mod corpus_parquet_kept;
mod corpus_support;
mod evaluation_files;
mod run_files;
mod run_generations;
mod run_resume;
mod run_support;
