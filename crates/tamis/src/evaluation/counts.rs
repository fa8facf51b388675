//! Counts that need no model: what a judge has to beat before it is worth its hours.

/// Trivial counts of one text, all as numbers so that each can serve as a score.
///
/// Words are the pieces between white space, without signs at their ends; a piece of signs alone is no word. A share
/// whose whole is empty is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TextCounts {
    /// Characters (Unicode scalar values).
    pub characters: f64,
    /// Words.
    pub words: f64,
    /// Mean number of characters of the lines that are not blank.
    pub mean_line_length: f64,
    /// Share of words that are English function words, in [0, 1].
    pub stop_word_share: f64,
    /// Different words (lower case) over words, in [0, 1].
    pub distinct_word_share: f64,
    /// Upper-case letters over letters, in [0, 1].
    pub capitals_share: f64,
    /// Digits over characters that are not white space, in [0, 1].
    pub digits_share: f64,
    /// Characters that are neither letters nor digits nor white space, over those that are not white space, in [0, 1].
    pub symbols_share: f64,
}

impl TextCounts {
    /// Names of the counts, in the order of [`TextCounts::values`].
    pub const NAMES: [&'static str; 8] = [
        "characters",
        "words",
        "mean_line_length",
        "stop_word_share",
        "distinct_word_share",
        "capitals_share",
        "digits_share",
        "symbols_share",
    ];

    /// Counts a text in one pass over its characters and one over its words; O(w log w) time for w words.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let (mut characters, mut visible) = (0_u64, 0_u64);
        let (mut letters, mut capitals, mut digits, mut symbols) = (0_u64, 0_u64, 0_u64, 0_u64);
        for character in text.chars() {
            characters += 1;
            if character.is_whitespace() {
                continue;
            }
            visible += 1;
            letters += u64::from(character.is_alphabetic());
            capitals += u64::from(character.is_uppercase());
            digits += u64::from(character.is_numeric());
            symbols += u64::from(!character.is_alphanumeric());
        }
        let (mut lines, mut on_lines) = (0_u64, 0_u64);
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            lines += 1;
            on_lines += line.chars().count() as u64;
        }
        let mut words: Vec<String> = text
            .split_whitespace()
            .map(|piece| piece.trim_matches(|character: char| !character.is_alphanumeric()))
            .filter(|word| !word.is_empty())
            .map(str::to_lowercase)
            .collect();
        let count = words.len() as u64;
        let stop_words =
            words.iter().filter(|word| STOP_WORDS.binary_search(&word.as_str()).is_ok()).count() as u64;
        words.sort_unstable();
        words.dedup();
        Self {
            characters: characters as f64,
            words: count as f64,
            mean_line_length: ratio(on_lines, lines),
            stop_word_share: ratio(stop_words, count),
            distinct_word_share: ratio(words.len() as u64, count),
            capitals_share: ratio(capitals, letters.max(capitals)),
            digits_share: ratio(digits, visible),
            symbols_share: ratio(symbols, visible),
        }
    }

    /// The counts in the order of [`TextCounts::NAMES`].
    #[must_use]
    pub fn values(&self) -> [f64; 8] {
        [
            self.characters,
            self.words,
            self.mean_line_length,
            self.stop_word_share,
            self.distinct_word_share,
            self.capitals_share,
            self.digits_share,
            self.symbols_share,
        ]
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// English function words in byte order: articles, pronouns, prepositions, conjunctions, auxiliaries.
const STOP_WORDS: [&str; 127] = [
    "a",
    "about",
    "above",
    "after",
    "again",
    "against",
    "all",
    "am",
    "an",
    "and",
    "any",
    "are",
    "as",
    "at",
    "be",
    "because",
    "been",
    "before",
    "being",
    "below",
    "between",
    "both",
    "but",
    "by",
    "can",
    "could",
    "did",
    "do",
    "does",
    "doing",
    "down",
    "during",
    "each",
    "few",
    "for",
    "from",
    "further",
    "had",
    "has",
    "have",
    "having",
    "he",
    "her",
    "here",
    "hers",
    "herself",
    "him",
    "himself",
    "his",
    "how",
    "i",
    "if",
    "in",
    "into",
    "is",
    "it",
    "its",
    "itself",
    "may",
    "me",
    "might",
    "more",
    "most",
    "must",
    "my",
    "myself",
    "no",
    "nor",
    "not",
    "of",
    "off",
    "on",
    "once",
    "only",
    "or",
    "other",
    "our",
    "ours",
    "ourselves",
    "out",
    "over",
    "own",
    "same",
    "shall",
    "she",
    "should",
    "so",
    "some",
    "such",
    "than",
    "that",
    "the",
    "their",
    "theirs",
    "them",
    "themselves",
    "then",
    "there",
    "these",
    "they",
    "this",
    "those",
    "through",
    "to",
    "too",
    "under",
    "until",
    "up",
    "very",
    "was",
    "we",
    "were",
    "what",
    "when",
    "where",
    "which",
    "while",
    "who",
    "whom",
    "why",
    "will",
    "with",
    "would",
    "you",
    "your",
    "yours",
    "yourself",
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stop_words_can_be_searched() {
        assert!(STOP_WORDS.is_sorted());
    }

    #[test]
    fn worked_by_hand() {
        let found = TextCounts::of("The cat and the Hat:\n\n42 -- ok!");
        assert_eq!(found.characters, 31.0);
        assert_eq!(found.words, 7.0); // the cat and the hat 42 ok
        assert_eq!(found.mean_line_length, (20.0 + 9.0) / 2.0);
        assert_eq!(found.stop_word_share, 3.0 / 7.0);
        assert_eq!(found.distinct_word_share, 6.0 / 7.0);
        assert_eq!(found.capitals_share, 2.0 / 17.0);
        assert_eq!(found.digits_share, 2.0 / 23.0);
        assert_eq!(found.symbols_share, 4.0 / 23.0);
    }

    #[test]
    fn empty_and_blank_texts_count_nothing() {
        assert_eq!(TextCounts::of(""), TextCounts::default());
        assert_eq!(TextCounts::of(" \n\t"), TextCounts { characters: 3.0, ..TextCounts::default() });
    }

    proptest! {
        #[test]
        fn shares_are_shares_for_any_text(text in any::<String>()) {
            let values = TextCounts::of(&text).values();
            prop_assert!(values.iter().all(|value| value.is_finite() && *value >= 0.0));
            prop_assert!(values[3..].iter().all(|share| *share <= 1.0));
        }
    }
}
