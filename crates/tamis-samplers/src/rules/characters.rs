//! What every character is to the rules, looked up instead of searched for.
//!
//! Categories come from two places: letters, case and white space with the compiler, punctuation, symbols and currency with the crate
//! `unicode_categories`. The answers for the first plane are written down once in a process: 64 KiB and some milliseconds.

use std::sync::LazyLock;

use unicode_categories::UnicodeCategories;

/// White space: Unicode `White_Space`, and the four separators of ASCII that Python takes for it.
pub(super) const SPACE: u8 = 1;
/// Unicode `Alphabetic`.
pub(super) const LETTER: u8 = 1 << 1;
/// 0 to 9.
pub(super) const DIGIT: u8 = 1 << 2;
/// Lower case.
pub(super) const LOWER: u8 = 1 << 3;
/// Upper case.
pub(super) const UPPER: u8 = 1 << 4;
/// Punctuation (Unicode `P`, and `$+<=>^` with its kin of ASCII) and control characters: a word of these alone is a symbol.
pub(super) const SIGN: u8 = 1 << 5;
/// Comes off the ends of a word.
pub(super) const EDGE: u8 = 1 << 6;
/// Stands by itself wherever it is: pictures and the like (Unicode `So`).
pub(super) const PICTURE: u8 = 1 << 7;

/// Signs of ASCII that come off the ends of a word. The others are parts of names, paths, numbers and compounds.
const EDGES: &[u8] = b"!\"#$%&'()*,:;<>?[]_`{}";

/// Punctuation beyond ASCII that does not come off: the bullet and its triangular brother, hyphens, bars, the paragraph sign.
const NO_EDGES: [char; 8] =
    ['¶', '\u{2022}', '\u{2023}', '\u{2010}', '\u{2011}', '\u{2012}', '\u{2015}', '\u{2016}'];

/// The classes of a character, as bits.
#[inline]
pub(super) fn class_of(character: char) -> u8 {
    if character.is_ascii() {
        return ASCII[character as usize];
    }
    match FIRST_PLANE.get(character as usize) {
        Some(&class) => class,
        None => search(character),
    }
}

/// The classes of ASCII.
pub(super) const ASCII: [u8; 128] = {
    let mut table = [0; 128];
    let mut at = 0;
    while at < 128 {
        let byte = at as u8;
        table[at] = if byte.is_ascii_lowercase() {
            LETTER | LOWER
        } else if byte.is_ascii_uppercase() {
            LETTER | UPPER
        } else if byte.is_ascii_digit() {
            DIGIT
        } else if matches!(byte, b' ' | 9..=13 | 28..=31) {
            SPACE
        } else if is_edge(byte) {
            SIGN | EDGE
        } else {
            SIGN
        };
        at += 1;
    }
    table
};

const fn is_edge(byte: u8) -> bool {
    let mut at = 0;
    while at < EDGES.len() {
        if EDGES[at] == byte {
            return true;
        }
        at += 1;
    }
    false
}

fn search(character: char) -> u8 {
    if character.is_ascii() {
        return ASCII[character as usize];
    }
    if character.is_whitespace() {
        return SPACE;
    }
    let is = |what: bool, bits: u8| if what { bits } else { 0 };
    let mut class = is(character.is_alphabetic(), LETTER)
        | is(character.is_lowercase(), LOWER)
        | is(character.is_uppercase(), UPPER)
        | is(character.is_control(), SIGN);
    if character.is_punctuation() || character == '¶' {
        class |= SIGN | is(!NO_EDGES.contains(&character), EDGE);
    }
    // The crate has the paragraph sign of earlier times, when it was a symbol.
    if character.is_symbol_other() && class & LETTER == 0 && character != '¶' {
        class |= EDGE | PICTURE;
    }
    class | is(character.is_symbol_currency() || character == '´', EDGE)
}

static FIRST_PLANE: LazyLock<Vec<u8>> =
    LazyLock::new(|| (0..0x1_0000_u32).map(|code| char::from_u32(code).map_or(0, search)).collect());

/// Whether a sentence ends with it: Unicode 17's `Sentence_Terminal`.
#[inline]
pub(super) fn ends_a_sentence(character: char) -> bool {
    if character.is_ascii() {
        return matches!(character, '.' | '!' | '?');
    }
    let code = u32::from(character);
    let at = SENTENCE_TERMINAL.partition_point(|&(_, last)| last < code);
    SENTENCE_TERMINAL.get(at).is_some_and(|&(first, _)| first <= code)
}

/// Beyond ASCII, as ranges: what `\p{Sentence_Terminal}` is in the Python package regex 2026.11.19.
#[rustfmt::skip]
const SENTENCE_TERMINAL: [(u32, u32); 86] = [
    (0x0589, 0x0589), (0x061d, 0x061f), (0x06d4, 0x06d4), (0x0700, 0x0702), (0x07f9, 0x07f9), (0x0837, 0x0837),
    (0x0839, 0x0839), (0x083d, 0x083e), (0x0964, 0x0965), (0x104a, 0x104b), (0x1362, 0x1362), (0x1367, 0x1368),
    (0x166e, 0x166e), (0x1735, 0x1736), (0x17d4, 0x17d5), (0x1803, 0x1803), (0x1809, 0x1809), (0x1944, 0x1945),
    (0x1aa8, 0x1aab), (0x1b4e, 0x1b4f), (0x1b5a, 0x1b5b), (0x1b5e, 0x1b5f), (0x1b7d, 0x1b7f), (0x1c3b, 0x1c3c),
    (0x1c7e, 0x1c7f), (0x2024, 0x2024), (0x203c, 0x203d), (0x2047, 0x2049), (0x2cf9, 0x2cfb), (0x2e2e, 0x2e2e),
    (0x2e3c, 0x2e3c), (0x2e53, 0x2e54), (0x2e60, 0x2e61), (0x3002, 0x3002), (0xa4ff, 0xa4ff), (0xa60e, 0xa60f),
    (0xa6f3, 0xa6f3), (0xa6f7, 0xa6f7), (0xa876, 0xa877), (0xa8ce, 0xa8cf), (0xa92f, 0xa92f), (0xa9c8, 0xa9c9),
    (0xaa5d, 0xaa5f), (0xaaf0, 0xaaf1), (0xabeb, 0xabeb), (0xfe12, 0xfe12), (0xfe15, 0xfe16), (0xfe52, 0xfe52),
    (0xfe56, 0xfe57), (0xff01, 0xff01), (0xff0e, 0xff0e), (0xff1f, 0xff1f), (0xff61, 0xff61), (0x10a56, 0x10a57),
    (0x10f55, 0x10f59), (0x10f86, 0x10f89), (0x11047, 0x11048), (0x110be, 0x110c1), (0x11141, 0x11143), (0x111c5, 0x111c6),
    (0x111cd, 0x111cd), (0x111de, 0x111df), (0x11238, 0x11239), (0x1123b, 0x1123c), (0x112a9, 0x112a9), (0x113d4, 0x113d5),
    (0x1144b, 0x1144c), (0x115c2, 0x115c3), (0x115c9, 0x115d7), (0x11641, 0x11642), (0x1173c, 0x1173e), (0x11944, 0x11944),
    (0x11946, 0x11946), (0x11a42, 0x11a43), (0x11a9b, 0x11a9c), (0x11c41, 0x11c42), (0x11ef7, 0x11ef8), (0x11f43, 0x11f44),
    (0x16a6e, 0x16a6f), (0x16af5, 0x16af5), (0x16b37, 0x16b38), (0x16b44, 0x16b44), (0x16d6e, 0x16d6f), (0x16e98, 0x16e98),
    (0x1bc9f, 0x1bc9f), (0x1da88, 0x1da88),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_what_a_search_finds() {
        for character in (0..=0x10_ffff).filter_map(char::from_u32) {
            assert_eq!(class_of(character), search(character), "{character:?}");
        }
        assert!(SENTENCE_TERMINAL.is_sorted() && SENTENCE_TERMINAL.iter().all(|(first, last)| first <= last));
    }

    #[test]
    fn characters_are_what_people_take_them_for() {
        for (characters, bit, expected) in [
            ("aßя中", LETTER, true),
            ("aя", LOWER, true),
            ("AЯ", UPPER, true),
            ("$+<=>^`|~-/.,“…。•\u{0}\u{7f}", SIGN, true),
            ("°€a1 ", SIGN, false),
            ("(,“…。€°", EDGE, true),
            ("-./•+=", EDGE, false),
            ("°☃😀", PICTURE, true),
            ("\u{1c}\u{a0}\n\u{2028}", SPACE, true),
        ] {
            for character in characters.chars() {
                assert_eq!(class_of(character) & bit != 0, expected, "{character:?} {bit}");
            }
        }
        assert!(".?!。？।".chars().all(ends_a_sentence) && !",;…:\"".chars().any(ends_a_sentence));
    }
}
