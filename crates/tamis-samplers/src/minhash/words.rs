//! From a text to the units that shingles are made of.
//!
//! # The rule, [`NORMALISATION`]
//! 1. Letters, marks and numbers (Unicode `Alphabetic`, `M`, `Nd`, `Nl`, `No`) make words; every other character ends one. So
//!    `don't` is `don` and `t`, `snake_case` is two words, and case, punctuation and white space make no difference.
//! 2. A letter of a script that is written without spaces between words (Han, Hiragana, Katakana, Thai, Lao, Khmer, Myanmar,
//!    Tibetan) is a unit by itself, with the marks that follow it. This is decided character by character, so that mixed text
//!    works. Digits of those scripts make words like any other; Hangul has spaces, and words.
//! 3. A mark belongs to the unit before it; where none is open it is passed over.
//! 4. Soft hyphens, zero-width joiners and non-joiners, word joiners and byte order marks are passed over: they neither end
//!    a word nor are part of it.
//! 5. A unit is lower-cased character by character (by Unicode, independent of language and position: ς becomes σ), then
//!    composed (NFC), so that canonically equivalent texts have the same units.
//! 6. A unit ends after 256 characters and what follows begins another, so that no text claims memory by a long word.
//!
//! Numbers stay as they are: forms and tables that differ in nothing else are different documents.
//!
//! # Beside others
//! - text-dedup lower-cases and splits at `\W`, which is nearly this; but `_` is a word character there, combining marks are
//!   not (Hindi and Thai words fall apart), and text without spaces is one word.
//! - datatrove, and so `FineWeb`, lower-cases too, but takes punctuation out without a split (`e-mail` is `email`), takes off
//!   diacritics, writes every number as `0`, and cuts words with a tokenizer that the user names for the language.
//! - rensa takes what the user splits.
//!
//! # What depends on versions
//! Which characters are letters and their lower case come with the compiler ([`unicode_version`]), marks and composition with a
//! crate. Both are in the fingerprint of the signal; between Unicode versions they differ in newly assigned characters only.

use tamis_kernels::ascii::{BLOCK, Block};
use unicode_normalization::UnicodeNormalization;

use super::characters::{Character, Kind};

/// Name and version of the rule; raised when a unit changes.
pub const NORMALISATION: &str = "words-1";

/// A longer unit is cut, in characters.
pub const LONGEST_UNIT: usize = 256;

/// Unicode versions of the compiler's tables and of the normalisation's, e.g. `16.0.0/16.0.0`.
#[must_use]
pub fn unicode_version() -> String {
    let (a, b, c) = char::UNICODE_VERSION;
    let (d, e, f) = unicode_normalization::UNICODE_VERSION;
    format!("{a}.{b}.{c}/{d}.{e}.{f}")
}

/// Calls `each` with the normalised UTF-8 of every unit of a text, in order. Time is proportional to the text, memory constant.
pub fn each_unit(text: &str, mut each: impl FnMut(&[u8])) {
    let bytes = text.as_bytes();
    let mut unit = Unit::default();
    let mut at = 0;
    while at < bytes.len() {
        // No unit is open here. Most of most text: words that are ASCII, and what is between them.
        if bytes[at] < 0x80 {
            let (read, touches) = ascii_words(&bytes[at..], &mut each);
            at += read;
            if !touches {
                continue;
            }
        }
        // Character by character, until no unit is open and ASCII comes.
        let mut characters = text[at..].chars();
        while let Some(c) = characters.next() {
            unit.take(c, &mut each);
            let rest = characters.as_str().as_bytes();
            if unit.characters == 0 && rest.first().is_none_or(|&next| next < 0x80) {
                break;
            }
        }
        at = bytes.len() - characters.as_str().len();
    }
    unit.end(&mut each);
}

/// Calls `each` with the words of the next 64 bytes that are ASCII and end there. How many bytes are done with, and whether a word
/// begins after them that has to be read byte by byte: one that goes on with what is not ASCII, or fills the block.
#[inline]
fn ascii_words(bytes: &[u8], each: &mut impl FnMut(&[u8])) -> (usize, bool) {
    let block = match bytes.first_chunk::<BLOCK>() {
        Some(full) => Block::of(full),
        None => {
            let mut padded = [0; BLOCK];
            padded[..bytes.len()].copy_from_slice(bytes);
            Block::of(&padded)
        }
    };
    let limit = block.other.trailing_zeros() as usize;
    let mut rest = block.words;
    while rest != 0 {
        let start = rest.trailing_zeros() as usize;
        let end = start + (!(rest >> start)).trailing_zeros() as usize;
        if end >= limit {
            // A word at the limit, or after it; one that begins within and may be longer than the block is looked at again.
            return match limit {
                BLOCK => (start, start == 0),
                _ => (start.min(limit), true),
            };
        }
        each(&block.lower[start..end]);
        rest &= u64::MAX << end;
    }
    (limit.min(bytes.len()), limit < BLOCK)
}

/// The unit that is being read.
#[derive(Default)]
struct Unit {
    /// Lower-cased, not yet composed.
    text: Vec<u8>,
    /// Characters as they were read; 0 where no unit is open.
    characters: usize,
    /// Whether it may not be composed as it is.
    composes: bool,
    /// Canonical combining class of the last character.
    class: u8,
    /// Whether no letter may follow.
    alone: bool,
    composed: String,
}

impl Unit {
    /// The next character, whatever it is.
    #[inline]
    fn take(&mut self, c: char, each: &mut impl FnMut(&[u8])) {
        let character = Character::of(c);
        match character.kind {
            Kind::Letter => {
                if self.alone || self.characters == LONGEST_UNIT {
                    self.end(each);
                }
                self.push(c, character);
            }
            Kind::Alone => {
                self.end(each);
                self.push(c, character);
                self.alone = true;
            }
            Kind::Mark => {
                if self.characters == LONGEST_UNIT {
                    self.end(each);
                }
                if self.characters > 0 {
                    self.push(c, character);
                }
            }
            Kind::Ignored => {}
            Kind::Other => self.end(each),
        }
    }

    #[inline]
    fn push(&mut self, c: char, character: Character) {
        self.characters += 1;
        // As the quick check for NFC goes: composed characters, marks in the order of their classes.
        self.composes |= !character.composed || (character.class != 0 && character.class < self.class);
        self.class = character.class;
        match character.lower {
            Some(lower) => self.text.extend_from_slice(lower.encode_utf8(&mut [0; 4]).as_bytes()),
            None => {
                c.to_lowercase()
                    .for_each(|lower| self.text.extend_from_slice(lower.encode_utf8(&mut [0; 4]).as_bytes()));
            }
        }
    }

    #[inline]
    fn end(&mut self, each: &mut impl FnMut(&[u8])) {
        if self.characters > 0 {
            if self.composes {
                self.compose(each);
            } else {
                each(&self.text);
            }
            self.text.clear();
            (self.characters, self.class, self.composes, self.alone) = (0, 0, false, false);
        }
    }

    fn compose(&mut self, each: &mut impl FnMut(&[u8])) {
        let text = std::str::from_utf8(&self.text).expect("characters were written");
        self.composed.clear();
        self.composed.extend(text.nfc());
        each(self.composed.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn units(text: &str) -> Vec<String> {
        let mut units = Vec::new();
        each_unit(text, |unit| units.push(String::from_utf8(unit.to_vec()).unwrap()));
        units
    }

    #[test]
    fn units_of_several_scripts() {
        for (text, expected) in [
            ("Don't e-mail snake_case 3.14!", "don t e mail snake case 3 14"),
            ("ΟΔΟΣ οδός Straße İÇ", "οδοσ οδόσ straße i\u{307}ç"),
            ("我喜欢健身 GPT4模型。", "我 喜 欢 健 身 gpt4 模 型"),
            ("カ\u{3099}ラスはがラー", "ガ ラ ス は が ラ ー"),
            ("การบ้าน ๒๕", "ก า ร บ\u{e49} า น ๒๕"),
            ("한국어 문장입니다", "한국어 문장입니다"),
            ("हिन्दी में", "हिन्दी में"),
            ("می\u{200c}خواهم co\u{ad}operate", "میخواهم cooperate"),
            ("ភាសា", "ភា សា"),
            ("བོད་ཡིག", "བོ ད ཡི ག"),
            ("မြန်မာ", "မြ န် မာ"),
            ("\u{301}\u{301} a\u{301} .\u{301}", "á"),
            ("二〇二六年", "二 〇 二 六 年"),
            ("👍🏽 … —", ""),
        ] {
            assert_eq!(units(text).join(" "), expected, "{text}");
        }
    }

    /// The rule, character by character.
    fn plainly(text: &str) -> Vec<String> {
        let (mut units, mut unit) = (Vec::new(), Unit::default());
        let mut push = |unit: &[u8]| units.push(String::from_utf8(unit.to_vec()).unwrap());
        text.chars().for_each(|c| unit.take(c, &mut push));
        unit.end(&mut push);
        units
    }

    #[test]
    fn long_units_are_cut_and_lone_marks_cost_nothing() {
        let lengths = |text: &str| units(text).iter().map(|unit| unit.chars().count()).collect::<Vec<_>>();
        assert_eq!(lengths(&"a".repeat(600)), [256, 256, 88]);
        assert_eq!(lengths(&"é".repeat(257)), [256, 1]);
        // Marks that go on after a cut have nothing to belong to.
        assert_eq!(lengths(&format!("a{}", "\u{316}".repeat(100_000))), [256]);
        assert_eq!(lengths(&"\u{301}".repeat(100_000)), [0; 0]);
        assert_eq!(lengths(&"\n".repeat(100_000)), [0; 0]);
    }

    proptest! {
        #[test]
        fn any_text_has_units_and_equivalent_texts_have_the_same(text in "\\PC{0,60}|.{0,60}|[\\p{M}\\p{L}\\p{N}]{0,60}") {
            let found = units(&text);
            prop_assert!(found.iter().all(|unit| !unit.is_empty()));
            prop_assert_eq!(units(&text.nfd().collect::<String>()), found.clone());
            prop_assert_eq!(units(&text.nfc().collect::<String>()), found.clone());
            // Units are what units are made of.
            prop_assert_eq!(units(&found.join(" ")), found);
        }

        #[test]
        fn blocks_make_no_difference(text in "(([a-zA-Z0-9]{1,70}|[ .,]{1,70}|[é我\\u{301}]{1,3}| )[ é]?){0,12}") {
            prop_assert_eq!(units(&text), plainly(&text));
        }

        #[test]
        fn case_white_space_and_punctuation_do_not_matter(words in proptest::collection::vec("[a-zà-öα-ρσ-ω]{1,9}|[а-я]{1,9}", 0..20)) {
            let expected = units(&words.join(" "));
            prop_assert_eq!(&units(&words.join("\n\n  — ").to_uppercase()), &expected);
            prop_assert_eq!(&units(&format!("“{}”!", words.join(", "))), &expected);
        }
    }
}
