//! A back-off model in memory, and scores of lines under it.
//!
//! p(w | h) = p(longest stored n-gram that ends in w) · Π back-off weights of the contexts that are longer than its own: what
//! an ARPA file means. A walk from word to word waits for memory at every n-gram; here all positions of a stretch of text
//! take the step to the next order together, so that their loads overlap, which is where the speed comes from in plain Rust.

use super::table::{Entry, Table, extend, hash_word};
use super::{BEGIN, END, MAX_ORDER, Segment, UNKNOWN, is_reserved, sentences};

/// A model of order N over V words: 21 to 43 bytes an n-gram.
#[derive(Clone, Debug)]
pub struct NgramModel {
    pub(super) order: usize,
    pub(super) counts: Vec<u64>,
    pub(super) inserted: u64,
    pub(super) unigrams: Table,
    /// All longer n-grams.
    pub(super) longer: Table,
    pub(super) unknown: Entry,
    pub(super) header: super::ArpaHeader,
}

impl NgramModel {
    /// N, the length of the longest n-grams.
    #[must_use]
    pub fn order(&self) -> usize {
        self.order
    }

    /// n-grams of each length, as the file states them.
    #[must_use]
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// n-grams that were added because a longer one ends in them, with the probability that backing off gives them.
    #[must_use]
    pub fn inserted(&self) -> u64 {
        self.inserted
    }

    /// Memory that the tables take.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.unigrams.bytes() + self.longer.bytes()
    }

    /// What the file's comments say of how it was made.
    #[must_use]
    pub fn header(&self) -> &super::ArpaHeader {
        &self.header
    }

    /// log₁₀ p(word | context); a context that begins a sentence begins with `<s>`. For looking into a model: text is scored
    /// by a [`Scorer`].
    #[must_use]
    pub fn log10_probability(&self, context: &[&str], word: &str) -> f64 {
        let mut scorer = Scorer::new(self);
        for (at, word) in context.iter().chain([&word]).enumerate() {
            scorer.push(hash_word(word), at + 1);
        }
        scorer.look_up();
        scorer.log10(context.len())
    }
}

/// What a text scored.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LineScore {
    /// Σ log₁₀ p over its words and the ends of its lines.
    pub log10: f64,
    /// Words.
    pub words: u64,
    /// Words that the model does not know.
    pub unknown: u64,
    /// Lines that had words, each of which adds one `</s>`.
    pub lines: u64,
}

impl LineScore {
    /// What is predicted: words and ends of lines.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.words + self.lines
    }

    /// 10^(−log₁₀ p / tokens); not a number where there are none.
    #[must_use]
    pub fn perplexity(&self) -> f64 {
        10f64.powf(-self.log10 / self.tokens() as f64)
    }
}

/// Tokens after which a stretch of text is scored: enough for loads to overlap, few enough for the arrays to stay in cache.
const STRETCH: usize = 2048;

/// One token of the stretch.
#[derive(Clone, Copy, Debug)]
struct Position {
    /// Hash of the n-gram under consideration that ends here.
    key: u64,
    /// Tokens of the line up to here, at most N or 2.
    depth: u8,
    /// Length of the longest stored n-gram that ends here.
    length: u8,
    /// Its logarithm.
    prob: f32,
}

/// Scores text under a model; holds the buffers.
#[derive(Debug)]
pub struct Scorer<'m> {
    model: &'m NgramModel,
    begin: u64,
    end: u64,
    unknown: u64,
    /// Hash of the word at each position.
    words: Vec<u64>,
    positions: Vec<Position>,
    /// Back-off weights of the n-grams that end at each position, by length less one; 0 where there is none.
    backoffs: Vec<[f32; MAX_ORDER]>,
    /// Positions at which a longer n-gram may end, and where the search for it begins.
    alive: Vec<(u32, usize)>,
    /// Positions before this one were scored and are context.
    context: usize,
    score: LineScore,
}

impl<'m> Scorer<'m> {
    /// Empty buffers.
    #[must_use]
    pub fn new(model: &'m NgramModel) -> Self {
        Self {
            model,
            begin: hash_word(BEGIN),
            end: hash_word(END),
            unknown: hash_word(UNKNOWN),
            words: Vec::new(),
            positions: Vec::new(),
            backoffs: Vec::new(),
            alive: Vec::new(),
            context: 0,
            score: LineScore::default(),
        }
    }

    /// Scores every line of a text that has a word.
    ///
    /// # Errors
    /// What `segment` says.
    pub fn score(&mut self, text: &str, segment: &dyn Segment) -> Result<LineScore, String> {
        self.score = LineScore::default();
        self.words.clear();
        self.positions.clear();
        self.context = 0;
        for line in sentences(text) {
            let mut depth = 0;
            segment.each_word(line, &mut |word| {
                if depth == 0 {
                    self.push(self.begin, 1);
                    depth = 1;
                }
                depth += 1;
                self.score.words += 1;
                // Inside a text these are words like any other that no model knows.
                self.push(if is_reserved(word) { self.unknown } else { hash_word(word) }, depth);
            })?;
            if depth > 0 {
                self.score.lines += 1;
                self.push(self.end, depth + 1);
            }
        }
        self.finish_stretch();
        Ok(self.score)
    }

    /// Adds a token, the `depth`-th of its line.
    #[inline]
    fn push(&mut self, word: u64, depth: usize) {
        if self.words.len() >= STRETCH {
            self.finish_stretch();
            self.keep_context();
        }
        self.words.push(word);
        // 1 is `<s>` even where no n-gram is longer.
        let depth = depth.min(self.model.order.max(2)) as u8;
        self.positions.push(Position { key: word, depth, length: 1, prob: 0.0 });
    }

    /// The last N − 1 tokens of a finished stretch stay, as context of the next.
    fn keep_context(&mut self) {
        let from = self.words.len().saturating_sub(self.model.order - 1);
        self.words.drain(..from);
        self.positions.drain(..from);
        self.context = self.words.len();
        for at in 0..self.context {
            let depth = self.positions[at].depth.min(at as u8 + 1);
            self.positions[at] = Position { key: self.words[at], depth, length: 1, prob: 0.0 };
        }
    }

    fn finish_stretch(&mut self) {
        self.look_up();
        for at in self.context..self.words.len() {
            // `<s>` is given, not predicted.
            if self.positions[at].depth > 1 {
                self.score.log10 += self.log10(at);
            }
        }
        self.context = self.words.len();
    }

    /// Finds the longest n-gram at every position, all positions one order at a time.
    fn look_up(&mut self) {
        let model = self.model;
        self.backoffs.clear();
        self.backoffs.resize(self.words.len(), [0.0; MAX_ORDER]);
        self.alive.clear();
        self.alive
            .extend(self.words.iter().enumerate().map(|(at, word)| (at as u32, model.unigrams.home(*word))));
        let mut longer = std::mem::take(&mut self.alive);
        let mut kept = 0;
        for read in 0..longer.len() {
            let (at, home) = longer[read];
            let index = at as usize;
            let entry = match model.unigrams.find_from(self.words[index], home) {
                Some(entry) => entry,
                None => {
                    self.words[index] = self.unknown;
                    self.positions[index].key = self.unknown;
                    model.unknown
                }
            };
            self.score.unknown += u64::from(self.words[index] == self.unknown && index >= self.context);
            self.positions[index].prob = entry.prob;
            self.backoffs[index][0] = entry.backoff;
            longer[kept] = (at, 0);
            kept += usize::from(entry.extends && self.positions[index].depth > 1);
        }
        longer.truncate(kept);
        for length in 2..=model.order {
            if longer.is_empty() {
                break;
            }
            for (at, home) in &mut longer {
                let index = *at as usize;
                let position = &mut self.positions[index];
                position.key = extend(position.key, self.words[index + 1 - length]);
                *home = model.longer.home(position.key);
            }
            kept = 0;
            for read in 0..longer.len() {
                let (at, home) = longer[read];
                let position = &mut self.positions[at as usize];
                if let Some(entry) = model.longer.find_from(position.key, home) {
                    position.prob = entry.prob;
                    position.length = length as u8;
                    self.backoffs[at as usize][length - 1] = entry.backoff;
                    longer[kept] = (at, 0);
                    kept += usize::from(entry.extends && usize::from(position.depth) > length);
                }
            }
            longer.truncate(kept);
        }
        self.alive = longer;
    }

    /// log₁₀ of the probability of the token at a position.
    #[inline]
    fn log10(&self, at: usize) -> f64 {
        let Position { depth, length, prob, .. } = self.positions[at];
        let mut sum = prob;
        if length < depth {
            let backoffs = &self.backoffs[at - 1];
            for backoff in &backoffs[usize::from(length) - 1..usize::from(depth) - 1] {
                sum += backoff;
            }
        }
        f64::from(sum)
    }
}
