//! Gopher's rules of repetition (Rae et al., arXiv 2112.11446, table A1), as datatrove's `GopherRepetitionFilter` counts.
//!
//! A line is what stands between line feeds, a paragraph what stands between two and more, of the text without white space at its ends.
//! Words are [`super::words`]. A share of characters is of all characters of the text. The commonest n-gram is counted with a space between
//! its words, and where it overlaps itself more than once, so that its share may be over 1. Lines and paragraphs are the same
//! when their 64-bit xxh3 are: for a million different lines, two are taken for one with probability 3 · 10⁻⁸.

use xxhash_rust::xxh3::xxh3_64;

use super::lines::trim;
use super::ngrams::{LONGEST, Ngrams};
use super::seen::Seen;
use super::{Limit, Measure, Unit, ratio};

/// What is measured, in the order of [`values`].
pub(super) const MEASURES: &[Measure] = &[
    Measure { column: "gopher_duplicate_paragraph_share", unit: Unit::Share },
    Measure { column: "gopher_duplicate_paragraph_character_share", unit: Unit::Share },
    Measure { column: "gopher_duplicate_line_share", unit: Unit::Share },
    Measure { column: "gopher_duplicate_line_character_share", unit: Unit::Share },
    Measure { column: "gopher_top_2_gram_share", unit: Unit::Number },
    Measure { column: "gopher_top_3_gram_share", unit: Unit::Number },
    Measure { column: "gopher_top_4_gram_share", unit: Unit::Number },
    Measure { column: "gopher_duplicate_5_gram_share", unit: Unit::Share },
    Measure { column: "gopher_duplicate_6_gram_share", unit: Unit::Share },
    Measure { column: "gopher_duplicate_7_gram_share", unit: Unit::Share },
    Measure { column: "gopher_duplicate_8_gram_share", unit: Unit::Share },
    Measure { column: "gopher_duplicate_9_gram_share", unit: Unit::Share },
    Measure { column: "gopher_duplicate_10_gram_share", unit: Unit::Share },
];

/// The rules, in datatrove's order.
pub(super) const LIMITS: &[Limit] = &[
    Limit::most("gopher-duplicate-paragraph-share", "gopher_duplicate_paragraph_share", 0.3),
    Limit::most(
        "gopher-duplicate-paragraph-character-share",
        "gopher_duplicate_paragraph_character_share",
        0.2,
    ),
    Limit::most("gopher-duplicate-line-share", "gopher_duplicate_line_share", 0.3),
    Limit::most("gopher-duplicate-line-character-share", "gopher_duplicate_line_character_share", 0.2),
    Limit::most("gopher-top-2-gram-share", "gopher_top_2_gram_share", 0.2),
    Limit::most("gopher-top-3-gram-share", "gopher_top_3_gram_share", 0.18),
    Limit::most("gopher-top-4-gram-share", "gopher_top_4_gram_share", 0.16),
    Limit::most("gopher-duplicate-5-gram-share", "gopher_duplicate_5_gram_share", 0.15),
    Limit::most("gopher-duplicate-6-gram-share", "gopher_duplicate_6_gram_share", 0.14),
    Limit::most("gopher-duplicate-7-gram-share", "gopher_duplicate_7_gram_share", 0.13),
    Limit::most("gopher-duplicate-8-gram-share", "gopher_duplicate_8_gram_share", 0.12),
    Limit::most("gopher-duplicate-9-gram-share", "gopher_duplicate_9_gram_share", 0.11),
    Limit::most("gopher-duplicate-10-gram-share", "gopher_duplicate_10_gram_share", 0.1),
];

/// Parts of a text, and those that came before.
#[derive(Default)]
struct Parts {
    all: u64,
    again: u64,
    characters_again: u64,
}

impl Parts {
    fn of<'a>(parts: impl Iterator<Item = &'a str>, seen: &mut Seen) -> Self {
        seen.clear();
        let mut counts = Self::default();
        for part in parts {
            counts.all += 1;
            if seen.again(xxh3_64(part.as_bytes())) {
                counts.again += 1;
                counts.characters_again += part.chars().count() as u64;
            }
        }
        counts
    }
}

/// The pieces between runs of at least `least` line feeds; an empty one where such a run begins or ends the text.
fn between(text: &str, least: usize) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let here = rest?;
        let mut from = 0;
        while let Some(at) = here[from..].find('\n').map(|at| from + at) {
            let run = here[at..].bytes().take_while(|&byte| byte == b'\n').count();
            if run >= least {
                rest = Some(&here[at + run..]);
                return Some(&here[..at]);
            }
            from = at + run;
        }
        rest = None;
        Some(here)
    })
}

/// The measures of a text whose words are pushed; `characters` are those of the text, `of_words` those up to the last word that is.
pub(super) fn values(
    text: &str,
    (characters, of_words): (u64, u64),
    ngrams: &mut Ngrams,
    seen: &mut Seen,
) -> [f64; MEASURES.len()] {
    let paragraphs = Parts::of(between(trim(text), 2), seen);
    let lines = Parts::of(between(text, 1), seen);
    let repeated = ngrams.repeated();
    let mut values = [0.0; MEASURES.len()];
    values[..4].copy_from_slice(&[
        ratio(paragraphs.again, paragraphs.all),
        ratio(paragraphs.characters_again, characters),
        ratio(lines.again, lines.all),
        ratio(lines.characters_again, characters),
    ]);
    for n in 2..=4 {
        values[2 + n] = ratio(repeated[n].top, of_words);
    }
    for n in 5..=LONGEST {
        values[2 + n] = ratio(repeated[n].duplicate, of_words);
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_those_of_a_regular_expression() {
        for (text, least, expected) in [
            ("", 1, vec![""]),
            ("\n\n", 1, vec!["", ""]),
            ("a\n\nb\n", 1, vec!["a", "b", ""]),
            ("a\nb\n\n\nc", 2, vec!["a\nb", "c"]),
        ] {
            assert_eq!(between(text, least).collect::<Vec<_>>(), expected, "{text:?}");
        }
    }
}
