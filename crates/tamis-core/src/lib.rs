//! What every room of tamis shares: validated Arrow batches, document keys, fingerprints and the traits of what is computed.
//!
//! Nothing here reads a file, runs a model or knows a thread. A room above it can therefore be tested with batches
//! that are made in memory, and two rooms that never met fit together because both speak these types.
//!
//! Letters used in the documentation: N documents, D embedding dimension.

mod batch;
mod error;
mod fingerprint;
mod identity;
mod nearest;
mod rule;
mod settings;
mod signal;
mod summary;

pub use batch::{DocumentBatch, EmbeddingBatch, ScoreBatch, column};
pub use error::{Error, Result};
pub use fingerprint::{Fingerprint, FingerprintChange};
pub use identity::{Digest, DocKey};
pub use nearest::nearest;
pub use rule::{Direction, ParseDirectionError, ParseRuleError, Rule};
pub use settings::Settings;
pub use signal::{Input, InputSignal, Parallelism, Ranking, Signal, SignalInfo};
pub use summary::{BatchSummary, Sharded, Summary};

/// Reasons for which a row has no score; the strings that the `failed` column and the quarantine hold.
///
/// They are constants so that counts by reason can be compared between runs and versions.
pub mod reason {
    /// The line is not a JSON object, or not JSON at all.
    pub const INVALID_JSON: &str = "invalid-json";
    /// The line, or a value in it, is not UTF-8.
    pub const INVALID_UTF8: &str = "invalid-utf8";
    /// The text column is absent.
    pub const MISSING_TEXT: &str = "missing-text";
    /// The text column is null.
    pub const NULL_TEXT: &str = "null-text";
    /// The text is a value of another type than string.
    pub const TEXT_NOT_STRING: &str = "text-not-a-string";
    /// The text has no character that is not white space.
    pub const EMPTY_TEXT: &str = "empty-text";
    /// The corpus has ids but this row has none (absent, null, or neither string nor integer).
    pub const MISSING_ID: &str = "missing-id";
    /// The line is longer than the limit in force.
    pub const LINE_TOO_LONG: &str = "line-too-long";
    /// The model returned a value that is not a finite number.
    pub const NOT_FINITE: &str = "model-output-not-finite";
    /// The signal that this one is computed from failed on this row.
    pub const INPUT_FAILED: &str = "input-failed";
    /// After truncation no token of the document was left.
    pub const NO_TOKENS: &str = "no-tokens";
    /// The document is one token long and nothing precedes it: there is nothing to predict.
    pub const ONE_TOKEN: &str = "one-token";
    /// The document has no letter and no digit: no word of it could be compared with another's.
    pub const NO_WORDS: &str = "no-words";
    /// The signal was not computed for this document: it is none of those that it was asked for.
    pub const NOT_ASKED: &str = "not-asked";
    /// A column that the corpus carries has no value in this row.
    pub const MISSING_OR_NULL: &str = "missing-or-null";
    /// A column that the corpus carries holds no finite number in this row.
    pub const NOT_A_NUMBER: &str = "not-a-number";

    /// Whether a row failed by what its document is, so that asking again cannot give another outcome. Any other failure may
    /// be a server's or a model's, and passes when that is mended.
    #[must_use]
    pub fn is_the_documents_own(reason: &str) -> bool {
        [NO_TOKENS, ONE_TOKEN, NO_WORDS, NOT_ASKED, MISSING_OR_NULL, NOT_A_NUMBER].contains(&reason)
    }
}
