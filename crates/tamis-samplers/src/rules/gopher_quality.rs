//! Gopher's rules of quality (Rae et al., arXiv 2112.11446, appendix A.1), as datatrove's `GopherQualityFilter` counts.
//!
//! Words are [`super::words`]; the stop words are English, and told from others by case. One pass over the words, one over the lines.

use super::lines::{lines, trim};
use super::words::Word;
use super::{Limit, Measure, Unit, ratio};

/// What is measured, in the order of [`GopherQuality::values`].
pub(super) const MEASURES: &[Measure] = &[
    Measure { column: "gopher_words", unit: Unit::Count },
    Measure { column: "gopher_mean_word_length", unit: Unit::Number },
    Measure { column: "gopher_hashes_per_word", unit: Unit::Number },
    Measure { column: "gopher_ellipses_per_word", unit: Unit::Number },
    Measure { column: "gopher_bullet_line_share", unit: Unit::Share },
    Measure { column: "gopher_ellipsis_line_share", unit: Unit::Share },
    Measure { column: "gopher_alphabetic_word_share", unit: Unit::Share },
    Measure { column: "gopher_stop_words", unit: Unit::Count },
];

/// The rules, in datatrove's order.
pub(super) const LIMITS: &[Limit] = &[
    Limit::least("gopher-words-min", "gopher_words", 50.0),
    Limit::most("gopher-words-max", "gopher_words", 100_000.0),
    Limit::least("gopher-mean-word-length-min", "gopher_mean_word_length", 3.0),
    Limit::most("gopher-mean-word-length-max", "gopher_mean_word_length", 10.0),
    Limit::most("gopher-hashes-per-word", "gopher_hashes_per_word", 0.1),
    Limit::most("gopher-ellipses-per-word", "gopher_ellipses_per_word", 0.1),
    Limit::most("gopher-bullet-line-share", "gopher_bullet_line_share", 0.9),
    Limit::most("gopher-ellipsis-line-share", "gopher_ellipsis_line_share", 0.3),
    Limit::least("gopher-alphabetic-word-share", "gopher_alphabetic_word_share", 0.8),
    Limit::least("gopher-stop-words", "gopher_stop_words", 2.0),
];

/// What the words of a text add up to.
#[derive(Debug, Default)]
pub(super) struct GopherQuality {
    words: u64,
    symbols: u64,
    characters: u64,
    alphabetic: u64,
    stop_words: u8,
}

impl GopherQuality {
    /// The next word.
    #[inline]
    pub(super) fn push(&mut self, word: &Word<'_>) {
        self.words += 1;
        if word.is_symbol() {
            self.symbols += 1;
        } else {
            self.characters += word.characters as u64;
        }
        self.alphabetic += u64::from(word.has_letter());
        self.stop_words |= match word.text {
            "the" => 1,
            "be" => 1 << 1,
            "to" => 1 << 2,
            "of" => 1 << 3,
            "and" => 1 << 4,
            "that" => 1 << 5,
            "have" => 1 << 6,
            "with" => 1 << 7,
            _ => 0,
        };
    }

    /// The measures, when all words were pushed.
    pub(super) fn values(&self, text: &str) -> [f64; MEASURES.len()] {
        let hashes = text.bytes().filter(|&byte| byte == b'#').count() as u64;
        let ellipses = (text.matches("...").count() + text.matches('…').count()) as u64;
        let (mut all, mut bullets, mut ends) = (0, 0, 0);
        for line in lines(text) {
            let line = trim(line);
            all += 1;
            bullets += u64::from(line.starts_with(['•', '-']));
            ends += u64::from(line.ends_with("...") || line.ends_with('…'));
        }
        let words = self.words - self.symbols;
        [
            words as f64,
            ratio(self.characters, words),
            ratio(hashes, self.words),
            ratio(ellipses, self.words),
            ratio(bullets, all),
            ratio(ends, all),
            ratio(self.alphabetic, self.words),
            f64::from(self.stop_words.count_ones()),
        ]
    }
}
