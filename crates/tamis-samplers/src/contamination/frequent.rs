//! When an n-gram is a phrase of the corpus.

use std::fmt;

/// In how many documents an n-gram may be found and still count.
///
/// In `documents`, or in `share` of all documents where that is more. Ten documents are GPT-3's limit (arXiv 2005.14165, App. C), whose
/// inspection found common phrases and legal boilerplate beyond. That was of one corpus; in a hundred times as many documents an
/// item that is quoted now and then is found a hundred times as often, and would pass for a phrase the sooner the larger the
/// corpus. So the limit grows with the corpus beyond a million documents: one in 100,000.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Frequent {
    /// Documents.
    pub documents: u64,
    /// Of all documents, in [0, 1].
    pub share: f64,
}

impl Default for Frequent {
    fn default() -> Self {
        Self { documents: 10, share: 1e-5 }
    }
}

impl Frequent {
    /// The most documents of so many that an n-gram which counts is found in.
    #[must_use]
    pub fn most(&self, corpus_documents: u64) -> u64 {
        // A product of two numbers is rounded alike everywhere.
        self.documents.max((corpus_documents as f64 * self.share) as u64)
    }
}

impl fmt::Display for Frequent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} documents or {} of all", self.documents, self.share)
    }
}
