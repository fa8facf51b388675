//! From a line of text to the words that are counted and scored: named, versioned, written into the model's header.

use std::borrow::Cow;
use std::fmt;

use unicode_categories::UnicodeCategories;
use unicode_normalization::UnicodeNormalization;

/// What is done to a line before it is cut into words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Normalisation {
    /// Nothing, as `lmplz` and `kenlm` do.
    #[default]
    Plain,
    /// Unicode lower case.
    Lower,
    /// What CCNet (arXiv 1911.00359) does before its models: lower case, accents off, digits to 0, typographic punctuation
    /// to ASCII, control characters away.
    Ccnet,
}

impl Normalisation {
    /// Name and version, as models and fingerprints hold it. The version is raised when words change.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain-1",
            Self::Lower => "lower-1",
            Self::Ccnet => "ccnet-1",
        }
    }

    /// The one of a [`Self::name`].
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Plain, Self::Lower, Self::Ccnet].into_iter().find(|known| known.name() == name)
    }

    /// The line as it is counted.
    #[must_use]
    pub fn apply(self, line: &str) -> Cow<'_, str> {
        match self {
            Self::Plain => Cow::Borrowed(line),
            Self::Lower => Cow::Owned(line.to_lowercase()),
            Self::Ccnet => Cow::Owned(ccnet(line)),
        }
    }
}

impl fmt::Display for Normalisation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// `text_normalizer.normalize(line)` of CCNet with its defaults, its full-width one that becomes a quotation mark included:
/// models that were trained with it expect it. (Digits become 0 before punctuation is looked at, so that it never occurs.)
fn ccnet(line: &str) -> String {
    let lower = line.trim().to_lowercase();
    let mut out = String::with_capacity(lower.len());
    for c in lower.nfd() {
        match c {
            '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' => {}
            '0'..='9' => out.push('0'),
            ' '..='~' => out.push(c),
            _ if c.is_mark_nonspacing() => {}
            _ if c.is_number_decimal_digit() => out.push('0'),
            _ => match punctuation(c) {
                Some(ascii) => out.push_str(ascii),
                None => out.push(c),
            },
        }
    }
    out
}

fn punctuation(c: char) -> Option<&'static str> {
    Some(match c {
        '，' | '、' => ",",
        '。' => ".",
        '„' | '”' | '“' | '«' | '»' | '」' | '「' | '《' | '》' => "\"",
        '´' | '’' => "'",
        '∶' | '：' => ":",
        '？' => "?",
        '！' => "!",
        '（' => "(",
        '）' => ")",
        '；' => ";",
        '–' | '━' | '►' => "-",
        '—' => " - ",
        '．' => ". ",
        '～' => "~",
        '…' => "...",
        '〈' => "<",
        '〉' => ">",
        '【' => "[",
        '】' => "]",
        '％' => "%",
        _ => return None,
    })
}

/// Cuts lines into words.
pub trait Segment: Send + Sync {
    /// Calls `each` with every word of a line, in order.
    ///
    /// # Errors
    /// What a tokenizer says.
    fn each_word(&self, line: &str, each: &mut dyn FnMut(&str)) -> Result<(), String>;

    /// Names what decides the words, for headers and fingerprints.
    fn name(&self) -> String;
}

/// Words between white space (ASCII white space and NUL, as kenlm cuts), after a normalisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Words(pub Normalisation);

impl Segment for Words {
    fn each_word(&self, line: &str, each: &mut dyn FnMut(&str)) -> Result<(), String> {
        let line = self.0.apply(line);
        words(&line).for_each(each);
        Ok(())
    }

    fn name(&self) -> String {
        self.0.name().to_owned()
    }
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| matches!(c, ' ' | '\0' | '\t'..='\r')).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_at_ascii_white_space_only() {
        let found: Vec<&str> = words(" a\tb\u{b}c\r\u{a0}d \0e ").collect();
        assert_eq!(found, ["a", "b", "c", "\u{a0}d", "e"]);
    }

    /// Expected values from `cc_net/text_normalizer.py`, run by hand on these lines.
    #[test]
    fn ccnet_lowers_and_folds() {
        assert_eq!(ccnet("  Éléphant — “1984”… ¿Qué? "), "elephant  -  \"0000\"... ¿que?");
        assert_eq!(ccnet("ÅNGSTRÖM ٣ a\u{7}b"), "angstrom 0 ab");
    }

    #[test]
    fn names_are_read_back() {
        for known in [Normalisation::Plain, Normalisation::Lower, Normalisation::Ccnet] {
            assert_eq!(Normalisation::from_name(known.name()), Some(known));
        }
        assert_eq!(Normalisation::from_name("ccnet-2"), None);
    }
}
