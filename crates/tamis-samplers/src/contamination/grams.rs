//! Hashes of words in a row, of any length, from sums that are made once.
//!
//! Of the words' hashes u₁, u₂ … (64-bit xxh3 of the normalised UTF-8) there are sums Pᵢ = Pᵢ₋₁ · M + uᵢ modulo 2⁶⁴. The L words that
//! end at i then hash to mix(Pᵢ − Pᵢ₋ₗ · Mᴸ + L · K): two multiplications whatever L is, and grams of different lengths have nothing
//! to do with each other. M and mix are those of the shingles of near-duplicates.

use super::{ContaminationError, FEWEST_WORDS, MOST_WORDS, SHORTEST};
use crate::minhash::shingles::{BASE, mix};

/// Keeps grams of different lengths apart: an odd number without structure.
const LENGTH: u64 = 0xa3b1_95c7_48d2_6e0d;
/// Keeps the ends of short texts apart from grams.
const END: u64 = 0x51f0_8e2b_7c94_d3a5;

/// How many words are looked at together, and their hashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Grams {
    words: usize,
    /// Mᴸ by L.
    powers: Vec<u64>,
}

impl Grams {
    pub(super) fn new(words: usize) -> Result<Self, ContaminationError> {
        if !(FEWEST_WORDS..=MOST_WORDS).contains(&words) {
            return Err(ContaminationError::Words { found: words });
        }
        let powers = std::iter::successors(Some(1_u64), |power| Some(power.wrapping_mul(BASE)));
        Ok(Self { words, powers: powers.take(words + 1).collect() })
    }

    /// N.
    pub(super) fn words(&self) -> usize {
        self.words
    }

    /// The shortest text that is looked for, in words.
    pub(super) fn shortest(&self) -> usize {
        self.words.min(SHORTEST)
    }

    /// The sum after one more word.
    #[inline]
    pub(super) fn sum(before: u64, word: u64) -> u64 {
        before.wrapping_mul(BASE).wrapping_add(word)
    }

    #[inline]
    fn row(&self, sums: &[u64], end: usize, words: usize) -> u64 {
        sums[end].wrapping_sub(sums[end - words].wrapping_mul(self.powers[words]))
    }

    /// The hash of the `words` words up to sum `end`; `words` is at most `end` and N.
    #[inline]
    pub(super) fn hash(&self, sums: &[u64], end: usize, words: usize) -> u64 {
        mix(self.row(sums, end, words).wrapping_add(LENGTH.wrapping_mul(words as u64)))
    }

    /// What short texts are recognised by: their last words, as many as the shortest has.
    #[inline]
    pub(super) fn end_hash(&self, sums: &[u64], end: usize) -> u64 {
        mix(self.row(sums, end, self.shortest()).wrapping_add(END))
    }
}
