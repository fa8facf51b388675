//! From a text to its lines, as Python's `str.splitlines` has them.

/// The lines of a text without their ends. A line ends at a line feed, a carriage return or both, a vertical tab, a form feed, the file,
/// group and record separators of ASCII, and Unicode's next line, line separator and paragraph separator. What follows the last end
/// is a line if it is not empty.
pub(super) fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (line, after) = match end(rest.as_bytes()) {
            Some((at, width)) => (&rest[..at], &rest[at + width..]),
            None => (rest, ""),
        };
        rest = after;
        Some(line)
    })
}

/// Where the first line ends, and how many bytes end it.
fn end(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut at = 0;
    while at < bytes.len() {
        let width = match bytes[at] {
            b'\r' if bytes.get(at + 1) == Some(&b'\n') => 2,
            b'\n' | b'\r' | 0x0b | 0x0c | 0x1c..=0x1e => 1,
            // U+0085, U+2028 and U+2029: their first bytes begin characters alone.
            0xc2 if bytes.get(at + 1) == Some(&0x85) => 2,
            0xe2 if matches!(bytes.get(at + 1..at + 3), Some([0x80, 0xa8 | 0xa9])) => 3,
            _ => {
                at += 1;
                continue;
            }
        };
        return Some((at, width));
    }
    None
}

/// A text without the white space at its ends, by [`super::characters`].
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// White space, by [`super::characters`].
pub(super) fn is_space(character: char) -> bool {
    super::characters::class_of(character) & super::characters::SPACE != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_python() {
        for (text, expected) in [
            ("", vec![]),
            ("\n", vec![""]),
            ("a", vec!["a"]),
            ("a\n", vec!["a"]),
            (
                "a\r\n\rb\u{b}c\u{c}d\u{1c}e\u{85}f\u{2028}g\u{2029}",
                vec!["a", "", "b", "c", "d", "e", "f", "g"],
            ),
            ("é\u{80}â\u{2027}x", vec!["é\u{80}â\u{2027}x"]),
        ] {
            assert_eq!(lines(text).collect::<Vec<_>>(), expected, "{text:?}");
        }
    }
}
