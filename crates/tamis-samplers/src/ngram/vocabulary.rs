//! Words by number, in the order in which they came.

/// Numbers of the three that every model has; words of the text follow.
pub(super) const UNKNOWN_ID: u32 = 0;
pub(super) const BEGIN_ID: u32 = 1;
pub(super) const END_ID: u32 = 2;
/// The first number of a word of the text.
pub(super) const FIRST_ID: u32 = 3;

const FREE: u32 = u32::MAX;

/// Words of one counter: one block of text, where each ends, and a hash index.
#[derive(Debug)]
pub(super) struct Vocabulary {
    text: String,
    ends: Vec<usize>,
    hashes: Vec<u64>,
    index: Vec<u32>,
}

impl Vocabulary {
    pub(super) fn new() -> Self {
        Self { text: String::new(), ends: Vec::new(), hashes: Vec::new(), index: vec![FREE; 1 << 10] }
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.text.capacity() + 8 * self.ends.capacity() + 8 * self.hashes.capacity() + 4 * self.index.len()
    }

    /// The word numbered `at`, from 0.
    pub(super) fn word(&self, at: usize) -> &str {
        let from = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.text[from..self.ends[at]]
    }

    pub(super) fn words(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|at| self.word(at))
    }

    /// Number of a word, from 0; a new one is added.
    pub(super) fn number(&mut self, word: &str) -> u32 {
        let hash = xxhash_rust::xxh3::xxh3_64(word.as_bytes());
        let mut at = self.home(hash);
        while self.index[at] != FREE {
            let found = self.index[at] as usize;
            if self.hashes[found] == hash && self.word(found) == word {
                return found as u32;
            }
            at = (at + 1) % self.index.len();
        }
        let number = self.len() as u32;
        self.index[at] = number;
        self.text.push_str(word);
        self.ends.push(self.text.len());
        self.hashes.push(hash);
        if self.len() * 2 > self.index.len() {
            self.grow();
        }
        number
    }

    fn home(&self, hash: u64) -> usize {
        (hash as usize) & (self.index.len() - 1)
    }

    fn grow(&mut self) {
        self.index = vec![FREE; self.index.len() * 2];
        for number in 0..self.len() {
            let mut at = self.home(self.hashes[number]);
            while self.index[at] != FREE {
                at = (at + 1) & (self.index.len() - 1);
            }
            self.index[at] = number as u32;
        }
    }
}
