//! The known name that is closest to a mistyped one, for hints in errors.
//!
//! Distance: optimal string alignment (insert, delete, replace, swap of neighbours), over characters, case-insensitive.
//! O(len²) time; names are short, and anything longer than 64 characters is not compared at all.

const LONGEST: usize = 64;

/// The name in `known` that `asked` was most likely meant to be; `None` when nothing is close.
///
/// Close means at most one edit in three characters, or that one name starts with the other (three characters at least).
/// Ties go to the name that comes first in byte order, so that the hint does not depend on the order of `known`.
#[must_use]
pub fn nearest<'a>(asked: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let asked: Vec<char> = asked.to_lowercase().chars().take(LONGEST + 1).collect();
    if asked.is_empty() || asked.len() > LONGEST {
        return None;
    }
    known
        .into_iter()
        .filter_map(|name| {
            let other: Vec<char> = name.to_lowercase().chars().take(LONGEST + 1).collect();
            if other.is_empty() || other.len() > LONGEST {
                return None;
            }
            let shorter = asked.len().min(other.len());
            let allowed = asked.len().max(other.len()).div_ceil(3);
            let edits = distance(&asked, &other);
            let starts = shorter >= 3 && asked[..shorter] == other[..shorter];
            (edits <= allowed || starts).then_some((edits, name))
        })
        .min()
        .map(|(_, name)| name)
}

/// Optimal string alignment distance.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_typos_swaps_and_beginnings_but_nothing_far_away() {
        let known = ["ask-llm", "density", "embed", "random"];
        assert_eq!(nearest("ask-lm", known), Some("ask-llm"));
        assert_eq!(nearest("denisty", known), Some("density"));
        assert_eq!(nearest("Embedding", known), Some("embed"));
        assert_eq!(nearest("perplexity", known), None);
        assert_eq!(nearest("", known), None);
        assert_eq!(nearest(&"x".repeat(10_000), known), None);
    }

    #[test]
    fn order_of_known_names_does_not_matter() {
        assert_eq!(nearest("cat", ["car", "bat"]), nearest("cat", ["bat", "car"]));
    }

    #[test]
    fn distance_is_symmetric_and_counts_a_swap_once() {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        assert_eq!(distance(&chars("ab"), &chars("ba")), 1);
        assert_eq!(distance(&chars("kitten"), &chars("sitting")), 3);
        assert_eq!(distance(&chars("sitting"), &chars("kitten")), 3);
        assert_eq!(distance(&chars(""), &chars("abc")), 3);
    }
}
