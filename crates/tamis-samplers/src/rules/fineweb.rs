//! `FineWeb`'s rules (Penedo et al., arXiv 2406.17557, section 3.5), as datatrove's `FineWebQualityFilter` counts.
//!
//! Lines are what stands between line feeds and is not white space alone, as it stands: a line that ends in `.` and a space, or a
//! carriage return, does not end in punctuation. The paper states three rules, and 0.1 for the characters of repeated lines; the filter
//! that made the corpus has 0.01, and a fourth rule, line feeds over words. Defaults are the filter's. One pass over the lines.

use xxhash_rust::xxh3::xxh3_64;

use super::characters::ends_a_sentence;
use super::lines::is_space;
use super::seen::Seen;
use super::{Limit, Measure, Unit, ratio};

/// What is measured, in the order of [`values`].
pub(super) const MEASURES: &[Measure] = &[
    Measure { column: "fineweb_line_punctuation_share", unit: Unit::Share },
    Measure { column: "fineweb_short_line_share", unit: Unit::Share },
    Measure { column: "fineweb_duplicate_line_character_share", unit: Unit::Share },
    Measure { column: "fineweb_line_feeds_per_word", unit: Unit::Number },
];

/// The rules, in datatrove's order.
pub(super) const LIMITS: &[Limit] = &[
    Limit::least("fineweb-line-punctuation-share", "fineweb_line_punctuation_share", 0.12),
    Limit::most("fineweb-short-line-share", "fineweb_short_line_share", 0.67),
    Limit::most("fineweb-duplicate-line-character-share", "fineweb_duplicate_line_character_share", 0.01),
    Limit::most("fineweb-line-feeds-per-word", "fineweb_line_feeds_per_word", 0.3),
];

/// Characters of the longest short line.
const SHORT: usize = 30;

/// The measures of a text with so many characters and words.
pub(super) fn values(text: &str, characters: u64, words: u64, seen: &mut Seen) -> [f64; MEASURES.len()] {
    seen.clear();
    let (mut line_feeds, mut lines, mut punctuated, mut short, mut repeated) = (0_u64, 0, 0, 0, 0);
    for line in text.split('\n') {
        line_feeds += 1;
        if line.chars().all(is_space) {
            continue;
        }
        lines += 1;
        punctuated += u64::from(line.chars().next_back().is_some_and(ends_a_sentence));
        short += u64::from(line.len() <= SHORT || line.chars().nth(SHORT).is_none());
        if seen.again(xxh3_64(line.as_bytes())) {
            repeated += line.chars().count() as u64;
        }
    }
    line_feeds -= 1;
    [
        ratio(punctuated, lines),
        ratio(short, lines),
        ratio(repeated, characters - line_feeds),
        ratio(line_feeds, words),
    ]
}
