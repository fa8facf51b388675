//! The n-grams of evaluation items.

use tamis_core::Digest;
use xxhash_rust::xxh3::xxh3_64;

use super::ContaminationError;
use super::grams::Grams;
use super::scan::Scanner;
use crate::minhash::words::each_unit;

/// Bits of the first table for each n-gram, at least: one in sixteen words that are in no n-gram is looked up in vain.
const BITS_A_GRAM: u64 = 16;

/// An evaluation, and what there is of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evaluation {
    /// Its name.
    pub name: String,
    /// Items.
    pub items: u64,
    /// Items none of whose texts is long enough to be looked for.
    pub too_short: u64,
    /// Number of its first item among those of all evaluations.
    first_item: u32,
}

/// One place of an n-gram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    hash: u64,
    item: u32,
    /// Where its first word begins.
    start: u32,
}

/// Takes in items, evaluation by evaluation.
#[derive(Clone, Debug)]
pub struct IndexBuilder {
    grams: Grams,
    /// Words of all texts that are looked for, a space between them, a line each text.
    text: String,
    places: Vec<Place>,
    /// Hashes of the ends of short texts.
    ends: Vec<u64>,
    evaluations: Vec<Evaluation>,
    items: u64,
    /// Of the text at hand: its sums, and where its words begin.
    sums: Vec<u64>,
    starts: Vec<usize>,
}

impl IndexBuilder {
    /// Begins with nothing; `words` is N.
    ///
    /// # Errors
    /// [`ContaminationError::Words`].
    pub fn new(words: usize) -> Result<Self, ContaminationError> {
        Ok(Self {
            grams: Grams::new(words)?,
            text: String::new(),
            places: Vec::new(),
            ends: Vec::new(),
            evaluations: Vec::new(),
            items: 0,
            sums: Vec::new(),
            starts: Vec::new(),
        })
    }

    /// Begins an evaluation, whose items come next.
    pub fn evaluation(&mut self, name: &str) {
        let first_item = u32::try_from(self.items).unwrap_or(u32::MAX);
        self.evaluations.push(Evaluation { name: name.to_owned(), items: 0, too_short: 0, first_item });
    }

    /// Adds an item by its texts.
    ///
    /// # Errors
    /// [`ContaminationError::TooMuch`].
    ///
    /// # Panics
    /// If no evaluation was begun.
    pub fn item<'t>(&mut self, texts: impl IntoIterator<Item = &'t str>) -> Result<(), ContaminationError> {
        let item = u32::try_from(self.items).map_err(|_| too_much("items"))?;
        let mut is_looked_for = false;
        for text in texts {
            is_looked_for |= self.add(text, item)?;
        }
        self.items += 1;
        let evaluation = self.evaluations.last_mut().expect("an evaluation was begun");
        evaluation.items += 1;
        evaluation.too_short += u64::from(!is_looked_for);
        Ok(())
    }

    /// Whether a text is looked for.
    fn add(&mut self, text: &str, item: u32) -> Result<bool, ContaminationError> {
        let Self { grams, text: all, places, ends, sums, starts, .. } = self;
        let before = all.len();
        sums.clear();
        starts.clear();
        sums.push(0);
        each_unit(text, |unit| {
            if !starts.is_empty() {
                all.push(' ');
            }
            starts.push(all.len());
            all.push_str(std::str::from_utf8(unit).expect("units are UTF-8"));
            sums.push(Grams::sum(sums[sums.len() - 1], xxh3_64(unit)));
        });
        let words = starts.len();
        if words < grams.shortest() {
            all.truncate(before);
            return Ok(false);
        }
        all.push('\n');
        if u32::try_from(all.len()).is_err() {
            return Err(too_much("bytes of words"));
        }
        let length = words.min(grams.words());
        if words < grams.words() {
            ends.push(grams.end_hash(sums, words));
        }
        for end in length..=words {
            let hash = grams.hash(sums, end, length);
            places.push(Place { hash, item, start: starts[end - length] as u32 });
        }
        Ok(true)
    }

    /// The index of all that was added. Evaluations come by name.
    ///
    /// # Errors
    /// [`ContaminationError::TooMuch`]; [`ContaminationError::Nothing`] where no item can be looked for.
    pub fn finish(self) -> Result<EvaluationIndex, ContaminationError> {
        let Self { grams, mut text, mut places, mut ends, evaluations, items, .. } = self;
        if places.is_empty() {
            return Err(ContaminationError::Nothing { items, shortest: grams.shortest() });
        }
        if u32::try_from(places.len()).is_err() {
            return Err(too_much("n-grams"));
        }
        text.shrink_to_fit();
        places.sort_unstable();
        ends.sort_unstable();
        ends.dedup();
        let (mut hashes, mut starts, mut first_of, mut items_of) = (vec![], vec![], vec![], vec![]);
        for place in &places {
            if hashes.last() != Some(&place.hash) {
                hashes.push(place.hash);
                starts.push(place.start);
                first_of.push(items_of.len() as u32);
                items_of.push(place.item);
            } else if items_of.last() != Some(&place.item) {
                items_of.push(place.item);
            }
        }
        drop(places);
        first_of.push(items_of.len() as u32);
        for array in [&mut starts, &mut first_of, &mut items_of] {
            array.shrink_to_fit();
        }
        hashes.shrink_to_fit();
        let bucket_bits = (hashes.len() as u64).ilog2().max(1);
        let mut buckets = Vec::with_capacity((1 << bucket_bits) + 1);
        for bucket in 0..1_u64 << bucket_bits {
            let least = bucket << (64 - bucket_bits);
            let from = buckets.last().map_or(0, |at: &u32| *at as usize);
            buckets.push((from + hashes[from..].partition_point(|hash| *hash < least)) as u32);
        }
        buckets.push(hashes.len() as u32);
        let known = (hashes.len() + ends.len()) as u64;
        let bits = (known * BITS_A_GRAM).next_power_of_two();
        let mut seen = vec![0_u64; (bits / 64).max(1) as usize];
        let seen_shift = 64 - (64 * seen.len() as u64).ilog2();
        for hash in hashes.iter().chain(&ends) {
            let bit = hash >> seen_shift;
            seen[(bit / 64) as usize] |= 1 << (bit % 64);
        }
        Ok(EvaluationIndex {
            grams,
            text,
            hashes,
            starts,
            buckets,
            bucket_shift: 64 - bucket_bits,
            first_of,
            items_of,
            ends,
            seen,
            seen_shift,
            evaluations,
        })
    }
}

fn too_much(what: &'static str) -> ContaminationError {
    ContaminationError::TooMuch { what, most: u64::from(u32::MAX) }
}

/// The n-grams of evaluation items, each known by a number from 0, in the order of their hashes.
///
/// Memory: 8 bytes an n-gram for its hash, 4 for its words, 4 for a way into the hashes, 8 for one item that has it (and 4 for every
/// other), 2 to 4 for the bits that answer most questions, and about 6 for the words themselves.
#[derive(Clone, Debug)]
pub struct EvaluationIndex {
    grams: Grams,
    text: String,
    /// Rising.
    hashes: Vec<u64>,
    /// Where the first word of each n-gram stands.
    starts: Vec<u32>,
    /// By the first bits of a hash, where the hashes that begin so begin.
    buckets: Vec<u32>,
    bucket_shift: u32,
    /// Where the items of each n-gram begin in `items_of`.
    first_of: Vec<u32>,
    items_of: Vec<u32>,
    /// Rising.
    ends: Vec<u64>,
    /// A bit for the first bits of every hash and every end.
    seen: Vec<u64>,
    seen_shift: u32,
    evaluations: Vec<Evaluation>,
}

impl EvaluationIndex {
    /// N.
    #[must_use]
    pub fn words_of_ngrams(&self) -> usize {
        self.grams.words()
    }

    /// G, n-grams that several items have counted once.
    #[must_use]
    pub fn ngrams(&self) -> usize {
        self.hashes.len()
    }

    /// In the order in which they were added.
    #[must_use]
    pub fn evaluations(&self) -> &[Evaluation] {
        &self.evaluations
    }

    /// All items.
    #[must_use]
    pub fn items(&self) -> u64 {
        self.evaluations.iter().map(|evaluation| evaluation.items).sum()
    }

    /// The items that have an n-gram, rising.
    ///
    /// # Panics
    /// If there is no such n-gram.
    #[must_use]
    pub fn items_of(&self, ngram: u32) -> &[u32] {
        let at = ngram as usize;
        &self.items_of[self.first_of[at] as usize..self.first_of[at + 1] as usize]
    }

    /// The number of the evaluation that an item is of.
    #[must_use]
    pub fn evaluation_of(&self, item: u32) -> usize {
        self.evaluations.partition_point(|evaluation| evaluation.first_item <= item) - 1
    }

    /// The words of an n-gram, normalised, a space between them.
    ///
    /// # Panics
    /// If there is no such n-gram.
    #[must_use]
    pub fn words(&self, ngram: u32) -> &str {
        let rest = &self.text[self.starts[ngram as usize] as usize..];
        let mut ends = rest.bytes().enumerate().filter(|(_, byte)| matches!(byte, b' ' | b'\n'));
        // A short text ends before as many words as others have.
        let mut words = 0;
        let end = ends.find(|(_, byte)| {
            words += 1;
            *byte == b'\n' || words == self.grams.words()
        });
        end.map_or(rest, |(at, _)| &rest[..at])
    }

    /// A digest of all n-grams: what the numbers of n-grams mean.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut bytes = (self.grams.words() as u64).to_le_bytes().to_vec();
        bytes.extend(self.hashes.iter().flat_map(|hash| hash.to_le_bytes()));
        Digest::of(&bytes)
    }

    /// Bytes of memory.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        let small = self.starts.len() + self.buckets.len() + self.first_of.len() + self.items_of.len();
        let large = self.hashes.len() + self.ends.len() + self.seen.len();
        (self.text.len() + 4 * small + 8 * large) as u64
    }

    /// Reads documents for one thread.
    #[must_use]
    pub fn scanner(&self) -> Scanner<'_> {
        Scanner::new(self)
    }

    pub(super) fn grams(&self) -> &Grams {
        &self.grams
    }

    /// Whether there are texts shorter than N words.
    pub(super) fn has_short_texts(&self) -> bool {
        !self.ends.is_empty()
    }

    /// `false`: the hash is of no n-gram and no end.
    #[inline]
    pub(super) fn may_have(&self, hash: u64) -> bool {
        let bit = hash >> self.seen_shift;
        self.seen[(bit / 64) as usize] >> (bit % 64) & 1 == 1
    }

    pub(super) fn is_end(&self, hash: u64) -> bool {
        self.ends.binary_search(&hash).is_ok()
    }

    pub(super) fn number_of(&self, hash: u64) -> Option<u32> {
        let bucket = (hash >> self.bucket_shift) as usize;
        let (from, to) = (self.buckets[bucket] as usize, self.buckets[bucket + 1] as usize);
        self.hashes[from..to].iter().position(|known| *known == hash).map(|at| (from + at) as u32)
    }
}
