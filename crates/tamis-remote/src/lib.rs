//! Judges and embedders behind an HTTP server, as signals.
//!
//! The only room that speaks HTTP in order to score. Outwards it blocks: a call of [`tamis_core::Signal::annotate`] makes
//! one request at a time, and the driver has as many calls under way as [`ServerOptions::concurrency`] says. What a server
//! may do wrong is met in one place each: the wire in [`client`](self), patience in `retry`, the meaning of an answer in
//! `logprobs` and `answer`, rows that fail one after the other in `streak`.
//!
//! A server shows the most likely tokens and no others, so the probability of an answer is known from below and above
//! ([`judge`]). Its low bits vary between batches: what was stored first stands, and is treated as input from then on.
//!
//! Not for generating text, and not for models that are loaded here: those are in `tamis-models`.

mod answer;
mod client;
mod cut;
mod embed;
mod endpoint;
mod error;
mod judge;
mod key;
mod logprobs;
mod options;
mod replies;
mod retry;
mod server;
mod streak;

pub use embed::{EmbedOptions, RemoteEmbed};
pub use endpoint::{Endpoint, is_url};
pub use error::{Error, Result};
pub use judge::{JudgeOptions, RemoteJudge, columns};
pub use options::ServerOptions;
pub use server::Kind;

/// Reasons for which a server gave no value for a row, beside those of [`tamis_core::reason`].
pub mod reason {
    /// The server says that prompt and document exceed what its model can read.
    pub const TOO_LONG: &str = "too-long-for-server";
    /// The server refuses this row (a 4xx status) while it answers others.
    pub const REFUSED: &str = "refused-by-server";
    /// The server fails on this row (a 5xx status, a broken connection) time and again while it answers others.
    pub const SERVER_ERROR: &str = "server-error";
    /// The server does not answer this row within the deadline while it answers others.
    pub const TIMEOUT: &str = "server-timeout";
    /// What the server answers to this row cannot be read: broken JSON, numbers that are none, a wrong count.
    pub const UNUSABLE: &str = "server-answer-unusable";
    /// The server gave no logprobs for this row.
    pub const NO_LOGPROBS: &str = "server-gave-no-logprobs";
    /// No spelling of either answer is among the tokens that the server showed.
    pub const NO_ANSWER_SHOWN: &str = "no-answer-shown";
}
