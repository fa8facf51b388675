//! Rows that fail one after the other: a server that answers and never usefully is found after so many of them, not after the
//! last document.
//!
//! Counted over all requests under way, in the order in which they end. A row with a value begins the count anew; a document
//! that was never sent (it has no text left) says nothing of the server and changes nothing. What is stored does not depend on
//! the count: it only stops, and parts that are complete stay.

use std::sync::atomic::{AtomicU32, Ordering};

use tamis_core::reason as core_reason;

use crate::error::{Error, Result};
use crate::reason;

/// Why a row has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RowFailure {
    /// As it is stored.
    pub(crate) reason: &'static str,
    /// What the server did, in words.
    pub(crate) detail: String,
}

impl RowFailure {
    pub(crate) fn new(reason: &'static str, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

/// Counts rows that fail in a row.
#[derive(Debug)]
pub(crate) struct Streak {
    /// Stop at so many; 0: never.
    most: u32,
    in_a_row: AtomicU32,
}

impl Streak {
    pub(crate) fn new(most: u32) -> Self {
        Self { most, in_a_row: AtomicU32::new(0) }
    }

    /// Counts one row.
    ///
    /// # Errors
    /// [`Error::Streak`] when that makes too many.
    pub(crate) fn count<T>(&self, server: &str, row: &Result<T, RowFailure>) -> Result<()> {
        let failure = match row {
            Ok(_) => {
                self.in_a_row.store(0, Ordering::Relaxed);
                return Ok(());
            }
            Err(failure) if failure.reason == core_reason::NO_TOKENS => return Ok(()),
            Err(failure) => failure,
        };
        let rows = self.in_a_row.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if self.most == 0 || rows < self.most {
            return Ok(());
        }
        Err(Error::Streak {
            server: server.to_owned(),
            rows,
            reason: failure.reason,
            detail: failure.detail.clone(),
            remedy: remedy(failure.reason),
        })
    }
}

/// What helps against a failure of every row.
fn remedy(reason: &str) -> &'static str {
    match reason {
        reason::NO_ANSWER_SHOWN => {
            "let it answer at once: turn thinking off where the server is started, raise --top-logprobs, or use a prompt that \
             asks for one word"
        }
        reason::NO_LOGPROBS => {
            "see why the server shows logprobs no more: its log, its version, the model it serves now"
        }
        reason::TOO_LONG => {
            "send less of each document: --max-document-tokens N (with --tokenizer SOURCE) or --max-document-characters N"
        }
        reason::TIMEOUT => "raise --request-timeout, or lower --concurrency",
        core_reason::NOT_FINITE => "serve the model in another number format, such as bfloat16 or float32",
        _ => "see what the server's log says of these rows",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn failed(reason: &'static str) -> Result<(), RowFailure> {
        Err(RowFailure::new(reason, "words"))
    }

    proptest! {
        /// Stops exactly where the last `most` rows that say something of the server all failed.
        #[test]
        fn stops_at_so_many_failures_without_a_value_between(rows in proptest::collection::vec(0..8u8, 0..60), most in 0..6u32) {
            let streak = Streak::new(most);
            let mut in_a_row = 0;
            for row in rows {
                let outcome = match row {
                    0 => Ok(()),
                    1 => failed(core_reason::NO_TOKENS),
                    _ => failed(reason::NO_ANSWER_SHOWN),
                };
                in_a_row = match row { 0 => 0, 1 => in_a_row, _ => in_a_row + 1 };
                let stops = streak.count("s", &outcome).is_err();
                prop_assert_eq!(stops, row > 1 && most > 0 && in_a_row >= most);
            }
        }
    }

    #[test]
    fn the_error_says_how_many_why_and_what_helps() {
        let streak = Streak::new(2);
        streak.count("http://s", &failed(reason::TOO_LONG)).unwrap();
        let error = streak.count("http://s", &failed(reason::TOO_LONG)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "server `http://s`: 2 rows in a row have no value, the last one `too-long-for-server`: words"
        );
        let hint = error.hint().unwrap();
        assert!(hint.contains("--max-document-characters") && hint.contains("--retry-failed"), "{hint}");
    }
}
