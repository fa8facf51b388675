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
use unicode_normalization::char::is_combining_mark;
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

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
        // Character by character while a unit is open or what comes is not ASCII.
        while at < bytes.len()
            && (unit.characters > 0 || bytes[at] >= 0x80 || ASCII[usize::from(bytes[at])] != 0)
        {
            if bytes[at] < 0x80 {
                match ASCII[usize::from(bytes[at])] {
                    0 => unit.end(&mut each),
                    lower => unit.ascii(lower, &mut each),
                }
                at += 1;
            } else {
                let c = text[at..].chars().next().expect("`at` is a boundary below the end");
                at += c.len_utf8();
                unit.take(c, &mut each);
            }
        }
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

/// What a character is to its neighbours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// Goes on with a word or begins one.
    Letter,
    /// A unit by itself.
    Alone,
    /// Belongs to what is before it.
    Mark,
    /// Passed over.
    Ignored,
    /// Ends a word.
    Other,
}

/// Lower case of a letter or digit of ASCII, 0 for any other byte.
const ASCII: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        if byte.is_ascii_alphanumeric() {
            table[byte as usize] = byte.to_ascii_lowercase();
        }
        byte += 1;
    }
    table
};

fn kind(c: char) -> Kind {
    match c {
        // Unified ideographs, the most of all text that has no spaces, are letters without a look.
        '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' => Kind::Alone,
        '\u{ad}' | '\u{200c}' | '\u{200d}' | '\u{2060}' | '\u{feff}' => Kind::Ignored,
        _ if c >= '\u{300}' && is_combining_mark(c) => Kind::Mark,
        _ if !c.is_alphanumeric() => Kind::Other,
        _ if is_unspaced(c) => Kind::Alone,
        _ => Kind::Letter,
    }
}

/// Whether a letter belongs to a script that is written without spaces between words. By the blocks of those scripts (Unicode
/// 17), of which only letters, and numerals of Han, are asked for.
fn is_unspaced(c: char) -> bool {
    match c {
        // Han: 々 〇 and numerals, ideographs and their compatibility forms, all of planes 2 and 3.
        '\u{3005}'..='\u{3007}'
        | '\u{3021}'..='\u{3029}'
        | '\u{3031}'..='\u{3035}'
        | '\u{3038}'..='\u{303c}' => true,
        '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{3ffff}' => true,
        // Hiragana and Katakana with their long-vowel marks, halfwidth forms and supplements.
        '\u{3041}'..='\u{30ff}'
        | '\u{31f0}'..='\u{31ff}'
        | '\u{ff66}'..='\u{ff9f}'
        | '\u{1aff0}'..='\u{1b16f}' => true,
        // Thai, Lao, Tibetan, Myanmar and its extensions, Khmer: letters only.
        '\u{e00}'..='\u{109f}'
        | '\u{a9e0}'..='\u{a9ff}'
        | '\u{aa60}'..='\u{aa7f}'
        | '\u{116d0}'..='\u{116ff}' => !c.is_numeric(),
        '\u{1780}'..='\u{17ff}' => !c.is_numeric(),
        _ => false,
    }
}

/// The unit that is being read.
#[derive(Default)]
struct Unit {
    /// Lower-cased, not yet composed.
    text: Vec<u8>,
    /// Characters as they were read; 0 where no unit is open.
    characters: usize,
    /// Whether all of it is ASCII is known by this being false.
    composes: bool,
    /// Whether no letter may follow.
    alone: bool,
    composed: String,
}

impl Unit {
    /// The next character, whatever it is.
    fn take(&mut self, c: char, each: &mut impl FnMut(&[u8])) {
        match kind(c) {
            Kind::Letter => self.letter(c, each),
            Kind::Alone => {
                self.end(each);
                self.letter(c, each);
                self.alone = true;
            }
            Kind::Mark => self.mark(c, each),
            Kind::Ignored => {}
            Kind::Other => self.end(each),
        }
    }

    #[inline]
    fn ascii(&mut self, lower: u8, each: &mut impl FnMut(&[u8])) {
        if self.alone || self.characters == LONGEST_UNIT {
            self.end(each);
        }
        self.text.push(lower);
        self.characters += 1;
    }

    fn letter(&mut self, c: char, each: &mut impl FnMut(&[u8])) {
        if self.alone || self.characters == LONGEST_UNIT {
            self.end(each);
        }
        self.push(c);
    }

    fn mark(&mut self, c: char, each: &mut impl FnMut(&[u8])) {
        if self.characters == LONGEST_UNIT {
            self.end(each);
        }
        if self.characters > 0 {
            self.push(c);
        }
    }

    fn push(&mut self, c: char) {
        for lower in c.to_lowercase() {
            let lower = if lower == 'ς' { 'σ' } else { lower };
            self.text.extend_from_slice(lower.encode_utf8(&mut [0; 4]).as_bytes());
        }
        self.composes = true;
        self.characters += 1;
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
            (self.characters, self.composes, self.alone) = (0, false, false);
        }
    }

    fn compose(&mut self, each: &mut impl FnMut(&[u8])) {
        let text = std::str::from_utf8(&self.text).expect("characters were written");
        if is_nfc_quick(text.chars()) == IsNormalized::Yes {
            each(&self.text);
        } else {
            self.composed.clear();
            self.composed.extend(text.nfc());
            each(self.composed.as_bytes());
        }
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
