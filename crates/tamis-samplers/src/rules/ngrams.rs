//! Which n-grams of words repeat, for n from 2 to 10 at once, without a string or a hash of an n-gram.
//!
//! Words are numbered; an n-gram is the pair of the (n − 1)-grams that begin at it and at the word after it, so that its number
//! is found by a pair of numbers, exactly. An n-gram that occurs twice begins with an (n − 1)-gram that does, and is followed by
//! one that does: of the others nothing is kept, so that the work for larger n shrinks to what repeats. O(words) for each n at worst.
//!
//! Words are the same when their 64-bit xxh3 are. Of a text with w different words, two are taken for one with probability w² / 2⁶⁵: under
//! 3 · 10⁻¹⁰ at 100,000, the most that Gopher's rules let pass.

use xxhash_rust::xxh3::xxh3_64;

use super::seen::Seen;

/// Words beyond this many are not looked at, so that no text claims much memory: about 150 MB at the very worst.
pub(super) const MOST_WORDS: usize = 1 << 22;

/// Length of the longest n-grams.
pub(super) const LONGEST: usize = 10;

/// Places that are kept for the next document.
const KEPT: usize = 1 << 20;

/// No repeated n-gram begins here.
const NONE: u32 = u32::MAX;

/// The words of a text, and the n-grams that begin at them.
#[derive(Debug, Default)]
pub(super) struct Ngrams {
    /// Number of the word at each place.
    words: Vec<u32>,
    /// Characters of each different word.
    lengths: Vec<u32>,
    seen: Seen,
    /// Places at which a repeated n-gram begins, in order.
    live: Vec<u32>,
    /// Number of the n-gram that begins at each place.
    groups: Vec<u32>,
    /// How often each n-gram occurs.
    counts: Vec<u32>,
}

/// Characters of repeated n-grams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Repeated {
    /// Characters of the commonest one, with a space between its words, times its occurrences; of equally common ones, the first.
    pub(super) top: u64,
    /// Characters, without spaces, of those that came before: read from left to right, one that came before is counted and
    /// passed over whole.
    pub(super) duplicate: u64,
}

impl Ngrams {
    /// Forgets the text.
    pub(super) fn clear(&mut self) {
        if self.words.capacity() > KEPT {
            *self = Self::default();
            return;
        }
        self.words.clear();
        self.lengths.clear();
        self.seen.clear();
    }

    /// Whether there is room for another word.
    pub(super) fn is_full(&self) -> bool {
        self.words.len() >= MOST_WORDS
    }

    /// The next word.
    #[inline]
    pub(super) fn push(&mut self, word: &str, characters: usize) {
        let (number, is_new) = self.seen.number(xxh3_64(word.as_bytes()));
        if is_new {
            self.lengths.push(u32::try_from(characters).unwrap_or(u32::MAX));
        }
        self.words.push(number);
    }

    /// What repeats, by n; `repeated[n]` for n from 2 to [`LONGEST`].
    pub(super) fn repeated(&mut self) -> [Repeated; LONGEST + 1] {
        let mut repeated = [Repeated::default(); LONGEST + 1];
        self.single_words();
        for (n, repeated) in repeated.iter_mut().enumerate().skip(2) {
            self.lengthen(n);
            *repeated = Repeated { top: self.top(n), duplicate: self.duplicate(n) };
        }
        repeated
    }

    fn single_words(&mut self) {
        self.counts.clear();
        self.counts.resize(self.lengths.len(), 0);
        self.words.iter().for_each(|&word| self.counts[word as usize] += 1);
        self.groups.clear();
        self.live.clear();
        for (at, &word) in self.words.iter().enumerate() {
            let repeats = self.counts[word as usize] > 1;
            self.groups.push(if repeats { word } else { NONE });
            if repeats {
                self.live.push(at as u32);
            }
        }
    }

    /// From (n − 1)-grams to n-grams.
    fn lengthen(&mut self, n: usize) {
        let Self { words, seen, live, groups, counts, .. } = self;
        seen.clear();
        counts.clear();
        for &at in live.iter() {
            let at = at as usize;
            // The place after it is not yet lengthened: places are in order.
            let follows = groups.get(at + 1).copied().filter(|_| at + n <= words.len()).unwrap_or(NONE);
            groups[at] = if follows == NONE {
                NONE
            } else {
                let (number, is_new) = seen.number((u64::from(groups[at]) << 32) | u64::from(follows));
                if is_new {
                    counts.push(0);
                }
                counts[number as usize] += 1;
                number
            };
        }
        live.retain(|&at| {
            let group = &mut groups[at as usize];
            if *group != NONE && counts[*group as usize] < 2 {
                *group = NONE;
            }
            *group != NONE
        });
    }

    fn characters(&self, at: usize, n: usize) -> u64 {
        self.words[at..at + n].iter().map(|&word| u64::from(self.lengths[word as usize])).sum()
    }

    fn top(&self, n: usize) -> u64 {
        if self.words.len() < n {
            return 0;
        }
        // Numbers are given in the order of first occurrence, so that the first of equal ones has the smallest.
        let common = |group: &u32| self.counts[*group as usize];
        let (mut first, mut count) = (0, 1);
        for &at in &self.live {
            let occurrences = common(&self.groups[at as usize]);
            if occurrences > count {
                (first, count) = (at as usize, occurrences);
            }
        }
        (self.characters(first, n) + n as u64 - 1) * u64::from(count)
    }

    /// Uses the counts up.
    fn duplicate(&mut self, n: usize) -> u64 {
        let (mut characters, mut next) = (0, 0);
        for at in 0..self.live.len() {
            let place = self.live[at] as usize;
            if place < next {
                continue;
            }
            let count = &mut self.counts[self.groups[place] as usize];
            if *count == 0 {
                characters += self.characters(place, n);
                next = place + n;
            }
            self.counts[self.groups[place] as usize] = 0;
        }
        characters
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    /// The same by strings.
    fn plainly(words: &[String], n: usize) -> Repeated {
        let mut counts: BTreeMap<&[String], u64> = BTreeMap::new();
        words.windows(n).for_each(|ngram| *counts.entry(ngram).or_default() += 1);
        let most = counts.values().copied().max().unwrap_or(0);
        let first = words.windows(n).find(|ngram| counts[ngram] == most);
        let top = first.map_or(0, |ngram| ngram.join(" ").chars().count() as u64 * most);
        let (mut seen, mut at, mut duplicate) = (BTreeSet::new(), 0, 0);
        while at + n <= words.len() {
            if seen.insert(&words[at..at + n]) {
                at += 1;
            } else {
                duplicate += words[at..at + n].concat().chars().count() as u64;
                at += n;
            }
        }
        Repeated { top, duplicate }
    }

    proptest! {
        #[test]
        fn repeated_ngrams_are_those_that_strings_find(
            words in proptest::collection::vec("a|bb|ß|dd|e", 0..60),
            unit in proptest::collection::vec("a|bb|ccc", 0..14),
        ) {
            let mut ngrams = Ngrams::default();
            let again = std::iter::repeat_n(unit, 4).flatten().collect();
            for words in [words, again] {
                ngrams.clear();
                words.iter().for_each(|word| ngrams.push(word, word.chars().count()));
                let found = ngrams.repeated();
                for (n, found) in found.into_iter().enumerate().skip(2) {
                    prop_assert_eq!(found, plainly(&words, n), "{}", n);
                }
            }
        }
    }
}
