//! Finds the n-grams of evaluation items in a document.

use xxhash_rust::xxh3::xxh3_64;

use super::EvaluationIndex;
use super::grams::Grams;
use crate::minhash::words::each_unit;

/// N-grams of one document that are listed: no document needs more memory than this, and one that is an evaluation itself has not
/// more to say.
pub const MOST_MATCHES: usize = 1 << 16;

/// Sums that are looked at together: as many as stay in the nearest cache.
const TOGETHER: usize = 512;

/// Reads documents, one after the other, with the memory that it has.
#[derive(Debug)]
pub struct Scanner<'i> {
    index: &'i EvaluationIndex,
    /// Those of the words at hand, after those of the last words before them.
    sums: Vec<u64>,
    found: Found,
}

/// What was found in a document.
#[derive(Debug)]
struct Found {
    ngrams: Vec<u32>,
    /// A bit for each n-gram that is in there.
    is_in: Vec<u64>,
}

impl Found {
    fn clear(&mut self) {
        for ngram in self.ngrams.drain(..) {
            self.is_in[ngram as usize / 64] = 0;
        }
    }

    fn add(&mut self, ngram: u32) {
        let (word, bit) = (ngram as usize / 64, 1 << (ngram % 64));
        if self.is_in[word] & bit == 0 && self.ngrams.len() < MOST_MATCHES {
            self.is_in[word] |= bit;
            self.ngrams.push(ngram);
        }
    }
}

impl<'i> Scanner<'i> {
    pub(super) fn new(index: &'i EvaluationIndex) -> Self {
        let sums = Vec::with_capacity(index.words_of_ngrams() + TOGETHER);
        let is_in = vec![0; index.ngrams().div_ceil(64)];
        Self { index, sums, found: Found { ngrams: Vec::new(), is_in } }
    }

    /// The n-grams of a text by their numbers, each once, in the order in which they end, and no more than [`MOST_MATCHES`].
    ///
    /// Time is proportional to the text; nothing is allocated but for what is found.
    pub fn scan(&mut self, text: &str) -> &[u32] {
        let Self { index, sums, found } = self;
        let words = index.words_of_ngrams();
        found.clear();
        sums.clear();
        sums.push(0);
        // The first sum that is not looked at.
        let mut from = 1;
        each_unit(text, |unit| {
            sums.push(Grams::sum(sums[sums.len() - 1], xxh3_64(unit)));
            if sums.len() == words + TOGETHER {
                look(index, sums, from, found);
                sums.copy_within(TOGETHER.., 0);
                sums.truncate(words);
                from = words;
            }
        });
        look(index, sums, from, found);
        &found.ngrams
    }
}

/// Looks at the words of all sums from one on.
fn look(index: &EvaluationIndex, sums: &[u64], from: usize, found: &mut Found) {
    let grams = index.grams();
    let (words, shortest) = (grams.words(), grams.shortest());
    if index.has_short_texts() {
        for end in from.max(shortest)..sums.len() {
            if end >= words {
                full(index, sums, end, found);
            }
            let hash = grams.end_hash(sums, end);
            if index.may_have(hash) && index.is_end(hash) {
                for length in shortest..words.min(end + 1) {
                    if let Some(ngram) = index.number_of(grams.hash(sums, end, length)) {
                        found.add(ngram);
                    }
                }
            }
        }
    } else {
        for end in from.max(words)..sums.len() {
            full(index, sums, end, found);
        }
    }
}

#[inline]
fn full(index: &EvaluationIndex, sums: &[u64], end: usize, found: &mut Found) {
    let hash = index.grams().hash(sums, end, index.words_of_ngrams());
    if index.may_have(hash)
        && let Some(ngram) = index.number_of(hash)
    {
        found.add(ngram);
    }
}
