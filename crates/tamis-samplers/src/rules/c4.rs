//! C4's rules (Raffel et al., arXiv 1910.10683, section 2.2), as datatrove's `C4QualityFilter` counts.
//!
//! C4 takes lines out of documents, and drops documents by what is left. tamis edits no text: it measures the share of lines that
//! C4 would take out, and drops a document that C4 would have dropped after it. Who wants the lines gone has to take them out first.
//!
//! A line stays if it has no word of more than 1,000 characters, ends in `.`, `?`, `!`, `"` or `'` and not in `...`, has three words,
//! and has neither `javascript` nor a phrase about terms of use, privacy and cookies in it. Marks of citation (`[1]`, `[edit]`, `[citation
//! needed]`) are passed over; what stands before one must end the line, without a space. A curly bracket and `lorem ipsum` count on
//! lines that end in punctuation and have three words, a curly bracket not beside `javascript`: where C4 would have seen them. Words are
//! pieces between white space; a sentence ends with a word of [`super::words`] that ends one, and the next that is no punctuation begins
//! another. The list of bad words is not included. One pass over the lines, one over the words of those that stay.

use unicode_categories::UnicodeCategories;

use super::characters::{SPACE, class_of};
use super::lines::{lines, trim};
use super::words::each_word;
use super::{Limit, Measure, Unit, ratio};

/// What is measured, in the order of [`C4::values`].
pub(super) const MEASURES: &[Measure] = &[
    Measure { column: "c4_lorem_ipsum_lines", unit: Unit::Count },
    Measure { column: "c4_curly_bracket_lines", unit: Unit::Count },
    Measure { column: "c4_sentences", unit: Unit::Count },
    Measure { column: "c4_words", unit: Unit::Count },
    Measure { column: "c4_removed_line_share", unit: Unit::Share },
];

/// The rules; the last two are measured, and decide where a threshold is given.
pub(super) const LIMITS: &[Limit] = &[
    Limit::most("c4-lorem-ipsum-lines", "c4_lorem_ipsum_lines", 0.0),
    Limit::most("c4-curly-bracket-lines", "c4_curly_bracket_lines", 0.0),
    Limit::least("c4-sentences", "c4_sentences", 5.0),
    Limit::least("c4-words", "c4_words", 0.0),
    Limit::most("c4-removed-line-share", "c4_removed_line_share", 1.0),
];

const LONGEST_WORD: usize = 1_000;
const FEWEST_WORDS: u64 = 3;
/// Signs of ASCII that are no punctuation.
const SIGNS: [char; 9] = ['$', '+', '<', '=', '>', '^', '`', '|', '~'];

/// Measures texts; remembers nothing but memory.
#[derive(Debug, Default)]
pub(super) struct C4 {
    /// A line without marks of citation.
    line: String,
}

impl C4 {
    /// The measures of a text.
    pub(super) fn values(&mut self, text: &str) -> [f64; MEASURES.len()] {
        let (mut all, mut stay, mut sentences, mut words) = (0_u64, 0_u64, 0, 0);
        let (mut lorem_ipsum, mut curly) = (0_u64, 0_u64);
        for line in lines(text) {
            let line = trim(line);
            if line.is_empty() {
                continue;
            }
            all += 1;
            // Cheapest first; none of these depends on another.
            let cited = line.contains('[');
            if !cited && !ends(line) {
                continue;
            }
            let Some(here) = words_of(line).filter(|&words| words >= FEWEST_WORDS) else { continue };
            let line = if cited { self.uncited(line) } else { line };
            if cited && !ends(line) {
                continue;
            }
            let phrases = Phrases::of(line);
            lorem_ipsum += u64::from(phrases.lorem_ipsum);
            if phrases.javascript {
                continue;
            }
            curly += u64::from(line.contains('{'));
            if phrases.policy {
                continue;
            }
            stay += 1;
            words += here;
            sentences += sentences_of(line);
        }
        [lorem_ipsum as f64, curly as f64, sentences as f64, words as f64, ratio(all - stay, all)]
    }

    fn uncited<'a>(&'a mut self, line: &str) -> &'a str {
        self.line.clear();
        let mut rest = line;
        while let Some(at) = rest.find('[') {
            let after = &rest[at + 1..];
            let marked = after.trim_start_matches(UnicodeCategories::is_number_decimal_digit);
            let mark = ["edit]", "citation needed]"].into_iter().find(|mark| after.starts_with(mark));
            let width = match mark {
                Some(mark) => mark.len(),
                None if marked.starts_with(']') => after.len() - marked.len() + 1,
                // The digits are not a mark's, and may be passed over: no bracket is among them.
                None => {
                    let end = rest.len() - marked.len();
                    self.line.push_str(&rest[..end]);
                    rest = marked;
                    continue;
                }
            };
            self.line.push_str(&rest[..at]);
            rest = &after[width..];
        }
        self.line.push_str(rest);
        &self.line
    }
}

/// Whether a line ends as a sentence does.
fn ends(line: &str) -> bool {
    line.ends_with(['.', '?', '!', '"', '\'']) && !line.ends_with("...")
}

/// Words between white space; `None` where one is too long.
fn words_of(line: &str) -> Option<u64> {
    let (mut words, mut length) = (0, 0);
    for character in line.chars() {
        if class_of(character) & SPACE != 0 {
            length = 0;
        } else {
            words += u64::from(length == 0);
            length += 1;
            if length > LONGEST_WORD {
                return None;
            }
        }
    }
    Some(words)
}

/// Sentences of a line. Signs of arithmetic, currency and the like are no punctuation here, as they are none by Unicode.
fn sentences_of(line: &str) -> u64 {
    let (mut sentences, mut has_ended) = (1, false);
    each_word(line, |word| {
        if word.ends_a_sentence() {
            has_ended = true;
        } else if has_ended && (!word.is_symbol() || word.text.contains(SIGNS)) {
            sentences += 1;
            has_ended = false;
        }
    });
    sentences
}

/// Which phrases a line has in it, whatever their case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Phrases {
    lorem_ipsum: bool,
    javascript: bool,
    policy: bool,
}

impl Phrases {
    /// Looks for a rare letter of each phrase, and around it.
    fn of(line: &str) -> Self {
        let bytes = line.as_bytes();
        let mut found = Self::default();
        // Whether a phrase stands there whose letter `offset` is at `at`.
        let is = |at: usize, offset: usize, phrase: &str| {
            at.checked_sub(offset)
                .and_then(|start| bytes.get(start..start + phrase.len()))
                .is_some_and(|there| there.eq_ignore_ascii_case(phrase.as_bytes()))
        };
        for (at, byte) in bytes.iter().enumerate() {
            match byte | 0x20 {
                b'v' => {
                    found.javascript |= is(at, 2, "javascript");
                    found.policy |= is(at, 3, "privacy policy");
                }
                b'k' => {
                    found.policy |= is(at, 3, "cookie policy")
                        || is(at, 8, "uses cookies")
                        || is(at, 10, "use of cookies")
                        || is(at, 7, "use cookies");
                }
                b'm' => {
                    found.lorem_ipsum |= is(at, 4, "lorem ipsum");
                    found.policy |= is(at, 3, "terms of use");
                }
                _ => {}
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_are_found_wherever_they_stand() {
        for (line, expected) in [
            ("We use Cookies.", (false, false, true)),
            ("uses cookies", (false, false, true)),
            ("the use of cookies here", (false, false, true)),
            ("Cookie Policy", (false, false, true)),
            ("PRIVACY POLICY", (false, false, true)),
            ("Terms of use", (false, false, true)),
            ("JavaScript and Lorem Ipsum", (true, true, false)),
            ("a cookie, a term, java script, lorem  ipsum, privacy", (false, false, false)),
        ] {
            let found = Phrases::of(line);
            assert_eq!((found.lorem_ipsum, found.javascript, found.policy), expected, "{line}");
        }
    }

    #[test]
    fn marks_of_citation_are_passed_over() {
        for (line, expected) in [
            ("a[1] b[] c[edit][citation needed].", "a b c."),
            ("[[12]] [12 [3]", "[] [12 "),
            ("[note] [1", "[note] [1"),
        ] {
            assert_eq!(C4::default().uncited(line), expected, "{line}");
        }
    }

    #[test]
    fn sentences_end_where_a_mark_is_followed_by_a_word() {
        for (line, expected) in [
            ("One.", 1),
            ("One. Two! \"Three?\" Four.", 4),
            ("Mr. Smith of the U.S. paid 3.50 dollars.", 1),
            ("\"'!.", 1),
            ("Well... no. Yes?!", 2),
            // An initial ends none; a sign that is no punctuation begins one.
            ("A. = B. \"C\" ?", 1),
            ("Alpha. = Beta. \"Gamma\" ?", 3),
        ] {
            assert_eq!(sentences_of(line), expected, "{line}");
        }
    }

    #[test]
    fn lines_stay_or_go_as_in_c4() {
        let text = "Two words.\nThree good words.\nNo end here\nEnds in dots...\nWe use cookies here.\n\nIt says { here.";
        assert_eq!(C4::default().values(text), [0.0, 1.0, 2.0, 7.0, 4.0 / 6.0]);
    }
}
