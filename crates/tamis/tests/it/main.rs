//! Laws of the driver, through the public interface. No network: models are tiny, random, and written on the spot.
//!
//! A new signal joins the laws by one row in `signals.rs`.

#![expect(clippy::unwrap_used, reason = "helpers of tests stop the test as its own body would")]

mod support;

mod signals;
mod stages;

mod alike;
mod architecture;
mod carry;
mod contamination;
mod density;
mod early;
mod ensemble;
mod estimates;
mod explain;
mod export;
mod faults;
mod fuzz;
mod groups;
mod growth;
mod ids;
mod judge;
#[cfg(unix)]
mod kill;
mod plan;
mod prefetch;
mod quotas;
mod recipes;
mod repeats;
mod resume;
mod retry;
mod selection;
mod sharing;
mod summaries;
