//! Characters that steer a terminal or reorder a line, made visible.
//!
//! Documents, ids, column and file names, models and servers are other people's bytes. On their way to a terminal a control
//! character among them could erase the screen, forge a line or turn the reading direction round, so that all that is printed
//! goes through here: C0 and C1 controls, DEL, the bidirectional controls (Unicode TR 9, and the deprecated U+206A to U+206F
//! beside them) and the two separators U+2028 and U+2029 become `\u{1b}`, as Rust writes them. So do characters that cannot be
//! seen (soft hyphens, zero-width spaces, byte order marks, annotations, tags): two ids that differ in one would look alike.
//! The joiners U+200C and U+200D stay, scripts and emoji are written with them. JSON says the same in its own
//! escapes. Files are no terminal: kept documents, records and sidecars hold what came in, byte for byte.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a character is for terminals to act on, not for people to read, or cannot be seen at all.
pub(crate) fn is_control(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{206f}'
        )
        || matches!(
            character,
            '\u{ad}' | '\u{200b}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// A text of several lines: its line feeds and tabs stay as they are.
pub(crate) fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |character| matches!(character, '\n' | '\t'))
}

/// A text that is to stay on one line: an id, a name, a message.
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    escaped(text, |_| false)
}

fn escaped(text: &str, stays: impl Fn(char) -> bool) -> Cow<'_, str> {
    let escapes = |character: char| is_control(character) && !stays(character);
    if !text.chars().any(escapes) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if escapes(character) {
            // As Rust writes it: `\n`, `\r`, `\t`, else `\u{…}`.
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    Cow::Owned(out)
}

/// JSON in which every control character is one of JSON's escapes; serializers leave DEL, C1 and the bidirectional ones as
/// they are. The line feeds of its layout stay: outside strings there are no others.
pub(crate) fn json(value: &serde_json::Value) -> String {
    let text = format!("{value:#}");
    if !text.chars().any(|character| is_control(character) && character != '\n') {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_control(character) && character != '\n' {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _infallible = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(character);
        }
    }
    out
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Every control character there is, told apart from [`is_control`]'s own list: general categories Cc, and by name.
    pub(crate) fn controls() -> Vec<char> {
        let ranges = [
            (0x00, 0x1f),
            (0x7f, 0x9f),
            (0x61c, 0x61c),
            (0x200e, 0x200f),
            (0x2028, 0x2029),
            (0x202a, 0x202e),
            (0x2066, 0x2069),
            // Not seen.
            (0xad, 0xad),
            (0x200b, 0x200b),
            (0x2060, 0x2064),
            (0xfeff, 0xfeff),
            (0xfff9, 0xfffb),
            (0xe0001, 0xe0001),
            (0xe0020, 0xe007f),
        ];
        ranges.into_iter().flat_map(|(from, to)| from..=to).filter_map(char::from_u32).collect()
    }

    #[test]
    fn every_control_character_is_escaped_and_nothing_else() {
        for code in 0..=0x10ffff {
            let Some(character) = char::from_u32(code) else { continue };
            let text = format!("a{character}b");
            let shown = one_line(&text);
            assert_eq!(shown == text, !is_control(character), "U+{code:04X}");
            assert!(!shown.chars().any(is_control), "U+{code:04X}");
            assert_eq!(
                lines(&text).chars().any(is_control),
                matches!(character, '\n' | '\t'),
                "U+{code:04X}"
            );
        }
        assert!(controls().into_iter().all(is_control));
        assert_eq!(one_line("\x1b[2J\u{7}\u{202e}\r\n\t é…"), "\\u{1b}[2J\\u{7}\\u{202e}\\r\\n\\t é…");
    }

    #[test]
    fn json_means_the_same_and_holds_no_control_character() {
        for character in controls() {
            let value = serde_json::json!({ format!("k{character}"): [format!("{character}\\u"), "plain"] });
            let text = json(&value);
            assert!(!text.chars().any(|c| is_control(c) && c != '\n'), "{text:?}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
        }
        let plain = serde_json::json!({ "a": ["é\n", 1.5] });
        assert_eq!(json(&plain), format!("{plain:#}"));
    }
}
