//! What every character is to the units of a text, looked up instead of searched for.
//!
//! The tables of the standard library and of the normalisation are searched; a page of Cyrillic or Thai asks them four times a character.
//! So their answers for the first plane, where nearly all text is, are written down once in a process: 256 KiB and some milliseconds.

use std::sync::LazyLock;

use unicode_normalization::char::{canonical_combining_class, is_combining_mark};
use unicode_normalization::{IsNormalized, is_nfc_quick};

/// What a character is to its neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
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

/// What there is to know about a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Character {
    pub(super) kind: Kind,
    /// In lower case; none where that is more than one character.
    pub(super) lower: Option<char>,
    /// Canonical combining class of the lower case.
    pub(super) class: u8,
    /// Whether the lower case, alone, is composed and composes with nothing before it (`NFC_Quick_Check` is yes).
    pub(super) composed: bool,
}

impl Character {
    /// By table where there is one.
    #[inline]
    pub(super) fn of(c: char) -> Self {
        match FIRST_PLANE.get(c as usize) {
            Some(&packed) => Self::unpack(packed),
            None => Self::search(c),
        }
    }

    fn search(c: char) -> Self {
        let mut lower = c.to_lowercase();
        let lower = match (lower.next(), lower.next()) {
            (Some('ς'), None) => Some('σ'),
            (one, None) => one,
            _ => None,
        };
        Self {
            kind: kind(c),
            lower,
            class: lower.map_or(0, canonical_combining_class),
            composed: lower.is_some_and(|lower| is_nfc_quick(std::iter::once(lower)) == IsNormalized::Yes),
        }
    }

    /// Lower case in the lowest 16 bits (0 where there is none, which nothing but NUL has otherwise), then class, kind, composed.
    fn pack(self) -> u32 {
        let lower = self.lower.map_or(0, u32::from);
        debug_assert!(lower < 0x1_0000);
        lower | u32::from(self.class) << 16 | (self.kind as u32) << 24 | u32::from(self.composed) << 31
    }

    #[inline]
    fn unpack(packed: u32) -> Self {
        let kind = match packed >> 24 & 7 {
            0 => Kind::Letter,
            1 => Kind::Alone,
            2 => Kind::Mark,
            3 => Kind::Ignored,
            _ => Kind::Other,
        };
        let lower = char::from_u32(packed & 0xffff).filter(|&lower| lower != '\0');
        Self { kind, lower, class: (packed >> 16) as u8, composed: packed >> 31 == 1 }
    }
}

static FIRST_PLANE: LazyLock<Vec<u32>> = LazyLock::new(|| {
    let other = Character { kind: Kind::Other, lower: None, class: 0, composed: false };
    (0..0x1_0000).map(|code| char::from_u32(code).map_or(other, Character::search).pack()).collect()
});

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_what_the_search_says() {
        for c in (1..0x2_0000).filter_map(char::from_u32) {
            assert_eq!(Character::of(c), Character::search(c), "{:x}", c as u32);
        }
        assert_eq!(Character::of('\0').kind, Kind::Other);
        // No lower case of the first plane lies outside it.
        assert!(
            (0..0x1_0000)
                .filter_map(char::from_u32)
                .flat_map(char::to_lowercase)
                .all(|lower| lower < '\u{10000}')
        );
    }
}
