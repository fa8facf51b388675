//! From a text to its words, near what spaCy's English tokenizer makes of it, by a rule that can be said in ten lines.
//!
//! The published rules count words that a tokenizer cut, in which a comma or a bracket is a word of its own; how many letters a word
//! has, and how many of all words have letters, hangs on it. So a split at white space would not do.
//!
//! # The rule, [`WORDS`]
//! 1. White space separates pieces.
//! 2. Quotes, brackets, currency, pictures and most punctuation come off both ends of a piece, each a word of its own; hyphens, slashes,
//!    backslashes, `@`, `^`, `|`, `~` and the bullet do not. `=`, and `+` before what is no digit, come off the front; `+` after a
//!    digit, and `'s` off the end. Two dots or more are one word.
//! 3. A single dot comes off the end after a letter that is no capital, a digit, punctuation or two capitals: `U.S.` and `J.` stay, and
//!    so do a single letter and some abbreviations (`Mr.`, `e.g.`).
//! 4. What is left is one word where it has `://` or `@` in it or begins with `www.`
//! 5. Else `n't`, `'ll`, `'ve`, `'re`, `'d`, `'m` at its end are words of their own, and these cut it, and are words themselves:
//!    dots in a row, `…` and pictures; a hyphen, `:`, `<`, `>`, `=`, `/` between a letter or digit and a letter; a comma between letters;
//!    a dot between a letter that is no capital and one that is not lower case; `+`, `-`, `*`, `^` between digits.
//!
//! # Beside spaCy
//! It has some two thousand exceptions more: contractions without an apostrophe (`dont`), emoticons, units after a number (`10km`),
//! addresses without a scheme. And it has models for languages without spaces, where a sentence is one word here.

use super::characters::{
    ASCII, DIGIT, EDGE, LETTER, LOWER, PICTURE, SIGN, SPACE, UPPER, class_of, ends_a_sentence,
};

/// Name and version of the rule; raised when a word changes.
pub(super) const WORDS: &str = "rule-words-1";

/// A word, and what its characters are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word<'a> {
    pub(super) text: &'a str,
    /// Characters.
    pub(super) characters: usize,
    /// Classes that some character has.
    any: u8,
    /// Classes that every character has.
    all: u8,
}

impl<'a> Word<'a> {
    #[inline]
    fn of(text: &'a str) -> Self {
        let (mut characters, mut any, mut all) = (0, 0, !0);
        for character in text.chars() {
            let class = class_of(character);
            characters += 1;
            any |= class;
            all &= class;
        }
        Self { text, characters, any, all }
    }

    /// Whether it has a letter.
    #[inline]
    pub(super) fn has_letter(&self) -> bool {
        self.any & LETTER != 0
    }

    /// Whether it is punctuation and nothing else.
    #[inline]
    pub(super) fn is_symbol(&self) -> bool {
        self.all & SIGN != 0
    }

    /// Whether it is the end of a sentence: one mark that ends one.
    #[inline]
    pub(super) fn ends_a_sentence(&self) -> bool {
        self.characters == 1 && self.text.chars().next().is_some_and(ends_a_sentence)
    }
}

/// Calls `each` with every word of a text, in order. Time is proportional to the text, memory constant.
#[inline]
pub(super) fn each_word<'a>(text: &'a str, mut each: impl FnMut(Word<'a>)) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        let (mut characters, mut any, mut all) = (0, 0, !0);
        let mut after = bytes.len();
        while at < bytes.len() {
            let (class, width) = if bytes[at] < 0x80 {
                (ASCII[usize::from(bytes[at])], 1)
            } else {
                let character = text[at..].chars().next().expect("a character begins here");
                (class_of(character), character.len_utf8())
            };
            if class & SPACE != 0 {
                after = at + width;
                break;
            }
            characters += 1;
            any |= class;
            all &= class;
            at += width;
        }
        if at > start {
            if any & (SIGN | EDGE) == 0 {
                each(Word { text: &text[start..at], characters, any, all });
            } else {
                cut(&text[start..at], &mut each);
            }
        }
        at = after;
    }
}

/// Cuts a piece between white space.
fn cut<'a>(piece: &'a str, each: &mut impl FnMut(Word<'a>)) {
    let mut rest = piece;
    loop {
        let width = off_the_front(rest);
        if width == 0 {
            break;
        }
        each(Word::of(&rest[..width]));
        rest = &rest[width..];
    }
    let mut end = rest.len();
    loop {
        let width = off_the_end(&rest[..end]);
        if width == 0 {
            break;
        }
        end -= width;
    }
    if end > 0 {
        core(&rest[..end], each);
    }
    // The same marks again, from front to end.
    let mut marks = &rest[end..];
    while let Some(first) = marks.chars().next() {
        let width = match first {
            '.' => dots(marks),
            _ if is_apostrophe(first) && marks[first.len_utf8()..].starts_with(['s', 'S']) => {
                first.len_utf8() + 1
            }
            _ => first.len_utf8(),
        };
        each(Word::of(&marks[..width]));
        marks = &marks[width..];
    }
}

/// Dots at the beginning.
fn dots(text: &str) -> usize {
    text.bytes().take_while(|&byte| byte == b'.').count()
}

fn is_apostrophe(character: char) -> bool {
    matches!(character, '\'' | '’')
}

/// Bytes of the mark that comes off the front; 0 where none does.
fn off_the_front(text: &str) -> usize {
    let mut characters = text.chars();
    let Some(first) = characters.next() else { return 0 };
    let width = first.len_utf8();
    let comes_off = match first {
        '=' => true,
        '+' => !characters.next().is_some_and(|next| next.is_ascii_digit()),
        '.' => return if text.as_bytes().get(1) == Some(&b'.') { dots(text) } else { 0 },
        _ => class_of(first) & EDGE != 0,
    };
    if comes_off { width } else { 0 }
}

/// Bytes of the mark that comes off the end; 0 where none does.
fn off_the_end(text: &str) -> usize {
    let mut characters = text.chars();
    let Some(last) = characters.next_back() else { return 0 };
    let class = class_of(last);
    if class & EDGE != 0 {
        return last.len_utf8();
    }
    match last {
        '.' => {
            let run = text.bytes().rev().take_while(|&byte| byte == b'.').count();
            if run > 1 || dot_comes_off(text, characters.as_str()) { run } else { 0 }
        }
        's' | 'S' => match characters.next_back() {
            Some(before) if is_apostrophe(before) => 1 + before.len_utf8(),
            _ => 0,
        },
        '+' => usize::from(characters.next_back().is_some_and(|before| before.is_ascii_digit())),
        _ => 0,
    }
}

/// Whether the dot at the end of `text` is a full stop; `before` is what stands before it.
fn dot_comes_off(text: &str, before: &str) -> bool {
    let mut characters = before.chars();
    let Some(last) = characters.next_back() else { return false };
    let class = class_of(last);
    if class & UPPER != 0 {
        return characters.next_back().is_some_and(|first| class_of(first) & UPPER != 0);
    }
    let follows = class & (LETTER | DIGIT | EDGE) != 0 || matches!(last, '-' | '+' | '²');
    follows && !is_abbreviation(text)
}

/// A single letter with its dot, and the commonest abbreviations of English in which a dot would come off.
fn is_abbreviation(text: &str) -> bool {
    const KNOWN: [&str; 52] = [
        "Adm.", "Apr.", "Aug.", "Bros.", "Calif.", "Co.", "Conn.", "Corp.", "Dec.", "Dr.", "E.g.", "Feb.",
        "Fla.", "Gen.", "Gov.", "I.e.", "Ill.", "Inc.", "Ind.", "Jan.", "Jr.", "Jul.", "Jun.", "Ltd.",
        "Mar.", "Mass.", "Messrs.", "Mich.", "Minn.", "Miss.", "Mo.", "Mr.", "Mrs.", "Ms.", "Mt.", "Nov.",
        "Oct.", "Okla.", "Ore.", "Pa.", "Prof.", "Rep.", "Rev.", "Sen.", "Sep.", "Sept.", "St.", "Va.",
        "a.m.", "co.", "e.g.", "i.e.",
    ];
    const MORE: [&str; 3] = ["p.m.", "v.s.", "vs."];
    text.len() <= 7
        && (KNOWN.binary_search(&text).is_ok()
            || MORE.contains(&text)
            || (text.chars().count() == 2 && text.starts_with(|first| class_of(first) & LOWER != 0)))
}

/// Cuts what is left when marks have come off both ends.
fn core<'a>(text: &'a str, each: &mut impl FnMut(Word<'a>)) {
    let whole = Word::of(text);
    if whole.any & (SIGN | PICTURE) == 0
        || text.starts_with("www.")
        || text.contains('@')
        || text.contains("://")
        || text == "Ph.D."
    {
        return each(whole);
    }
    let (text, tail) = text.split_at(text.len() - contraction(text));
    inside(text, each);
    if !tail.is_empty() {
        each(Word::of(tail));
    }
}

/// Bytes of the contraction at the end of a word; 0 where there is none.
fn contraction(text: &str) -> usize {
    let Some(at) = text.rfind(['\'', '’']) else { return 0 };
    let after = text[at..].trim_start_matches(['\'', '’']);
    let from = match after {
        "ll" | "ve" | "re" | "d" | "m" => at,
        "t" if text[..at].ends_with('n') => at - 1,
        _ => 0,
    };
    // Nothing before it: it is no contraction of anything.
    if from == 0 { 0 } else { text.len() - from }
}

/// Cuts at what stands within a word.
fn inside<'a>(text: &'a str, each: &mut impl FnMut(Word<'a>)) {
    let mut start = 0;
    let mut before = 0;
    let mut at = 0;
    while let Some(character) = text[at..].chars().next() {
        let class = class_of(character);
        let width = match character {
            '.' => dots(&text[at..]),
            '-' | '—' => text[at..].len() - text[at..].trim_start_matches(character).len(),
            _ => character.len_utf8(),
        };
        let end = at + width;
        if class & (SIGN | PICTURE) != 0 {
            let next = text[end..].chars().next();
            let after = next.map_or(0, class_of);
            let between = |left: u8, right: u8| before & left != 0 && after & right != 0;
            // Letters of scripts without case are of both.
            let between_cases = before & UPPER == 0 && after & LOWER == 0 && between(LETTER, LETTER);
            let between_digits = before & DIGIT != 0 && (after & DIGIT != 0 || next == Some('-'));
            let cuts = match character {
                '.' => width > 1 || between_cases,
                '…' => true,
                ',' => between(LETTER, LETTER),
                '-' | '—' => {
                    (between(LETTER | DIGIT, LETTER) && width <= 3 * character.len_utf8())
                        || (between_digits && width == 1)
                }
                '–' | '~' | ':' | '<' | '>' | '=' | '/' => between(LETTER | DIGIT, LETTER),
                '+' | '*' | '^' => between_digits,
                _ => class & PICTURE != 0,
            };
            if cuts {
                if at > start {
                    each(Word::of(&text[start..at]));
                }
                each(Word::of(&text[at..end]));
                start = end;
            }
        }
        before = class;
        at = end;
    }
    if start < text.len() {
        each(Word::of(&text[start..]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(text: &str) -> Vec<&str> {
        let mut words = Vec::new();
        each_word(text, |word| words.push(word.text));
        words
    }

    #[test]
    fn words_are_cut_as_the_rule_says() {
        for (text, expected) in [
            ("The cat sat.", "The|cat|sat|."),
            ("(“Well,” he said...)", "(|“|Well|,|”|he|said|...|)"),
            ("don't John's we’ll DON'T 'tis boys'", "do|n't|John|'s|we|’ll|DON'T|'|tis|boys|'"),
            (
                "Mr. Smith of the U.S. and J. Doe, e.g. NASA.",
                "Mr.|Smith|of|the|U.S.|and|J.|Doe|,|e.g.|NASA|.",
            ),
            ("well-known 1-2 a--b -x -- x----y", "well|-|known|1|-|2|a|--|b|-x|--|x----y"),
            (
                "http://a.b/c-d?e=f, x@y.com and/or a.B end.Next",
                "http://a.b/c-d?e=f|,|x@y.com|and|/|or|a|.|B|end|.|Next",
            ),
            ("$10 5% 3.14 1,000 a,b +1 C++ 1+ =x", "$|10|5|%|3.14|1,000|a|,|b|+1|C++|1|+|=|x"),
            ("• one ☃snow no☃w …so…on", "•|one|☃|snow|no|☃|w|…|so|…|on"),
            ("中文。かな", "中文。かな"),
            (" \t\u{a0}\u{1c}a\u{2028}b ", "a|b"),
            ("", ""),
            ("..a.. . .5", "..|a|..|.|.5"),
        ] {
            assert_eq!(words(text).join("|"), expected, "{text:?}");
        }
    }

    #[test]
    fn what_a_word_is_made_of() {
        let word = Word::of;
        assert!(word("...").is_symbol() && word("$").is_symbol() && !word("a.").is_symbol());
        assert!(word("1a").has_letter() && !word("1").has_letter() && word("日").has_letter());
        assert!(word(".").ends_a_sentence() && word("。").ends_a_sentence());
        assert!(!word("..").ends_a_sentence() && !word("…").ends_a_sentence());
    }

    proptest! {
        #[test]
        fn no_character_but_white_space_is_lost(text in "[a-c'’.…☃\\-,:/=+@wIé1 \n\u{3000}]{0,40}|\\PC{0,40}") {
            let mut joined = String::new();
            let mut count = 0;
            each_word(&text, |word| {
                assert!(!word.text.is_empty() && word.characters == word.text.chars().count());
                joined.push_str(word.text);
                count += 1;
            });
            let expected: String = text.chars().filter(|c| class_of(*c) & SPACE == 0).collect();
            prop_assert!(count <= expected.chars().count());
            prop_assert_eq!(joined, expected);
        }
    }
}
