//! Packs: whole sequences of unequal length back to back, without padding.

use std::ops::Range;

use crate::error::{Error, Result};

/// Tokens after which a pack is closed. Matrix products gain nothing from more rows, while activations leave the cache.
const TOKENS_PER_PACK: usize = 1024;
/// Sequences after which a pack is closed, which bounds the logits that exist at once.
const SEQUENCES_PER_PACK: usize = 64;

/// Token sequences back to back, all of which continue the same prefix.
#[derive(Debug)]
pub(crate) struct Pack {
    tokens: Vec<u32>,
    /// The position of each token within its sequence, prefix counted.
    positions: Vec<u32>,
    lengths: Vec<usize>,
    /// Position of the first token of each sequence: the length of the prefix.
    start: usize,
}

impl Pack {
    pub(crate) fn new(sequences: &[&[u32]], start: usize) -> Self {
        let lengths: Vec<usize> = sequences.iter().map(|sequence| sequence.len()).collect();
        let positions =
            lengths.iter().flat_map(|&length| (0..length).map(|at| (start + at) as u32)).collect();
        Self { tokens: sequences.concat(), positions, lengths, start }
    }

    /// All tokens.
    pub(crate) fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// The position of each token within its sequence, prefix counted.
    pub(crate) fn positions(&self) -> &[u32] {
        &self.positions
    }

    /// The length of each sequence, without the prefix.
    pub(crate) fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// Position of the first token of each sequence.
    pub(crate) fn start(&self) -> usize {
        self.start
    }

    /// The rows of each sequence, in order.
    pub(crate) fn sequences(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.lengths.iter().scan(0, |end, &length| {
            *end += length;
            Some(*end - length..*end)
        })
    }

    /// One more than the last position in use.
    pub(crate) fn longest(&self) -> usize {
        self.start + self.lengths.iter().max().copied().unwrap_or(0)
    }
}

/// What a model accepts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) context: usize,
    pub(crate) vocabulary: usize,
}

impl Limits {
    /// Checks every sequence of a call before anything is computed.
    pub(crate) fn check(&self, sequences: &[&[u32]], prefix: usize) -> Result<()> {
        for (sequence, tokens) in sequences.iter().enumerate() {
            if tokens.is_empty() {
                return Err(Error::EmptySequence { sequence });
            }
            if prefix + tokens.len() > self.context {
                let (tokens, context) = (tokens.len(), self.context);
                return Err(Error::SequenceTooLong { sequence, prefix, tokens, context });
            }
            if let Some(&token) = tokens.iter().find(|&&token| token as usize >= self.vocabulary) {
                return Err(Error::UnknownToken { sequence, token, vocabulary: self.vocabulary });
            }
        }
        Ok(())
    }
}

/// Cuts a call into packs that keep memory bounded; a result does not depend on the cuts.
pub(crate) fn split(sequences: &[&[u32]]) -> Vec<Range<usize>> {
    split_lengths(sequences.iter().map(|sequence| sequence.len()))
}

/// The same by the number of tokens that each sequence costs.
pub(crate) fn split_lengths(lengths: impl ExactSizeIterator<Item = usize>) -> Vec<Range<usize>> {
    let count = lengths.len();
    let mut packs = Vec::new();
    let (mut first, mut tokens) = (0, 0);
    for (at, length) in lengths.enumerate() {
        if at > first && (tokens + length > TOKENS_PER_PACK || at - first == SEQUENCES_PER_PACK) {
            packs.push(first..at);
            (first, tokens) = (at, 0);
        }
        tokens += length;
    }
    if first < count {
        packs.push(first..count);
    }
    packs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packs_hold_whole_sequences_in_order_and_nothing_is_lost() {
        let long = vec![1; 900];
        let sequences: Vec<&[u32]> =
            (0..200).map(|at| if at % 7 == 0 { &long[..] } else { &long[..at + 1] }).collect();
        let packs = split(&sequences);
        assert_eq!(packs.first().map(|pack| pack.start), Some(0));
        assert_eq!(packs.last().map(|pack| pack.end), Some(200));
        assert!(packs.windows(2).all(|pair| pair[0].end == pair[1].start));
        for pack in packs {
            assert!(!pack.is_empty() && pack.len() <= SEQUENCES_PER_PACK);
            let tokens: usize = sequences[pack.clone()].iter().map(|sequence| sequence.len()).sum();
            assert!(pack.len() == 1 || tokens <= TOKENS_PER_PACK);
        }
        assert!(split(&[]).is_empty());
    }

    #[test]
    fn positions_go_on_from_the_prefix() {
        let pack = Pack::new(&[&[7, 8], &[9]], 5);
        assert_eq!(pack.positions(), [5, 6, 5]);
        assert_eq!(pack.sequences().collect::<Vec<_>>(), [0..2, 2..3]);
        assert_eq!(pack.longest(), 7);
    }
}
