//! Tests of tamis-io through its public interface.

mod run_files;
mod run_resume;
mod run_support;
