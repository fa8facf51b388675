//! Counting the n-grams of documents.
//!
//! Only n-grams of the full length are counted, each sentence with N − 1 `<s>` before it: all shorter counts follow from
//! them. A counter numbers words as they come and holds what fits its share of memory; what does not goes to disk as it
//! is. Numbers are made common to all counters, and counts added up, when the estimate begins, so that neither who
//! counted a document nor when leaves a trace.

use super::sort::{Run, RunWriter, Scratch};
use super::vocabulary::{BEGIN_ID, END_ID, FIRST_ID, Vocabulary};
use super::{MAX_ORDER, Segment, TrainError, is_reserved, sentences};

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Documents.
    pub documents: u64,
    /// Lines that had words.
    pub sentences: u64,
    /// Words.
    pub words: u64,
    /// `<s>`, `</s>` and `<unk>` in the text, which were passed over as if they were white space.
    pub reserved: u64,
}

impl Tally {
    pub(super) fn add(&mut self, other: Self) {
        self.documents += other.documents;
        self.sentences += other.sentences;
        self.words += other.words;
        self.reserved += other.reserved;
    }
}

/// Counts the n-grams of some documents; one a thread.
pub struct Counter {
    pub(super) order: usize,
    pub(super) vocabulary: Vocabulary,
    pub(super) tally: Tally,
    memory_bytes: u64,
    /// N numbers and a count each.
    records: Vec<u32>,
    /// Hash index of `records`: number of the record plus one, 0 where free.
    index: Vec<u32>,
    runs: Vec<Run>,
    window: [u32; MAX_ORDER],
}

impl std::fmt::Debug for Counter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Counter")
            .field("order", &self.order)
            .field("tally", &self.tally)
            .finish_non_exhaustive()
    }
}

/// Records that a counter holds before it may have to spill: a few even where memory is tiny.
const LEAST_RECORDS: usize = 64;

impl Counter {
    /// A counter of n-grams of length `order` that holds about `memory_bytes`.
    ///
    /// # Errors
    /// An order that is not 1 to [`MAX_ORDER`].
    pub fn new(order: usize, memory_bytes: u64) -> Result<Self, TrainError> {
        if !(1..=MAX_ORDER).contains(&order) {
            return Err(TrainError::Parameter(format!("order {order} is not between 1 and {MAX_ORDER}")));
        }
        Ok(Self {
            order,
            vocabulary: Vocabulary::new(),
            tally: Tally::default(),
            memory_bytes,
            records: Vec::new(),
            index: vec![0; 1 << 10],
            runs: Vec::new(),
            window: [BEGIN_ID; MAX_ORDER],
        })
    }

    /// What this counter counted.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Counts a document.
    ///
    /// # Errors
    /// The words do not fit into memory, or n-grams could not be written to disk.
    pub fn add(
        &mut self,
        text: &str,
        segment: &dyn Segment,
        scratch: &dyn Scratch,
    ) -> Result<(), TrainError> {
        self.tally.documents += 1;
        for line in sentences(text) {
            let mut words = 0;
            let mut failed = None;
            self.window = [BEGIN_ID; MAX_ORDER];
            let cut = segment.each_word(line, &mut |word| {
                if is_reserved(word) {
                    self.tally.reserved += 1;
                } else if failed.is_none() {
                    words += 1;
                    let number = self.vocabulary.number(word) + FIRST_ID;
                    failed = self.count(number, scratch).err();
                }
            });
            cut.map_err(TrainError::Segment)?;
            if let Some(error) = failed {
                return Err(error);
            }
            if words > 0 {
                self.tally.words += words;
                self.tally.sentences += 1;
                self.count(END_ID, scratch)?;
            }
        }
        Ok(())
    }

    fn lanes(&self) -> usize {
        self.order + 2
    }

    /// Counts the n-gram that ends in a word; the words before it are in the window, the latest first.
    fn count(&mut self, word: u32, scratch: &dyn Scratch) -> Result<(), TrainError> {
        self.window.copy_within(..self.order - 1, 1);
        self.window[0] = word;
        let key = &self.window[..self.order];
        let mut at = home(key, self.index.len());
        loop {
            match self.index[at] {
                0 => break,
                found => {
                    let from = (found - 1) as usize * (self.order + 2);
                    let record = &mut self.records[from..from + self.order + 2];
                    if record[..self.order] == *key {
                        let count = join(record[self.order], record[self.order + 1]) + 1;
                        [record[self.order], record[self.order + 1]] = split(count);
                        return Ok(());
                    }
                }
            }
            at = (at + 1) & (self.index.len() - 1);
        }
        self.records.extend_from_slice(key);
        self.records.extend_from_slice(&split(1));
        let records = self.records.len() / self.lanes();
        self.index[at] = records as u32;
        if records * 2 > self.index.len() {
            self.make_room(records, scratch)?;
        }
        Ok(())
    }

    /// Doubles the index, or writes everything out where memory does not allow that.
    fn make_room(&mut self, records: usize, scratch: &dyn Scratch) -> Result<(), TrainError> {
        let vocabulary = self.vocabulary.bytes() as u64;
        if vocabulary > self.memory_bytes && self.vocabulary.len() > 10_000 {
            let words = self.vocabulary.len();
            return Err(TrainError::Memory { words, memory_bytes: self.memory_bytes });
        }
        let larger = 2 * (4 * self.index.len() + 4 * self.records.len());
        if larger as u64 + vocabulary <= self.memory_bytes || records < LEAST_RECORDS {
            self.index = vec![0; self.index.len() * 2];
            for (number, record) in self.records.chunks_exact(self.order + 2).enumerate() {
                let mut at = home(&record[..self.order], self.index.len());
                while self.index[at] != 0 {
                    at = (at + 1) & (self.index.len() - 1);
                }
                self.index[at] = number as u32 + 1;
            }
            return Ok(());
        }
        let mut writer = RunWriter::new(scratch, self.lanes())?;
        for record in self.records.chunks_exact(self.order + 2) {
            writer.push(record)?;
        }
        self.runs.push(writer.finish()?);
        self.records.clear();
        self.index.fill(0);
        Ok(())
    }

    /// Gives all that was counted, record by record: the n-gram's own numbers of words, last word first, and the count.
    pub(super) fn drain(
        &mut self,
        mut each: impl FnMut(&mut [u32]) -> Result<(), TrainError>,
    ) -> Result<(), TrainError> {
        self.index = Vec::new();
        let mut copy = vec![0; self.lanes()];
        for mut run in std::mem::take(&mut self.runs) {
            while let Some(record) = run.next()? {
                copy.copy_from_slice(record);
                each(&mut copy)?;
            }
        }
        for record in std::mem::take(&mut self.records).chunks_exact_mut(self.order + 2) {
            each(record)?;
        }
        Ok(())
    }
}

fn home(key: &[u32], length: usize) -> usize {
    let hash = key.iter().fold(0x9e37_79b9_7f4a_7c15u64, |hash, word| {
        (hash ^ u64::from(*word)).wrapping_mul(0xd6e8_feb8_6659_fd93).rotate_left(29)
    });
    ((hash ^ (hash >> 32)) as usize) & (length - 1)
}

/// A count as the two last lanes of a record.
pub(super) fn split(count: u64) -> [u32; 2] {
    [(count >> 32) as u32, count as u32]
}

/// A count from two lanes.
pub(super) fn join(high: u32, low: u32) -> u64 {
    (u64::from(high) << 32) | u64::from(low)
}
