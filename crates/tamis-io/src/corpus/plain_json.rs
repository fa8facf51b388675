//! Lines of ordinary JSON, looked through without a parser.
//!
//! Most lines of a corpus are one flat object with keys that need no escapes. For those this finds the wanted values at
//! several times the speed of a general parser. It accepts only what `serde_json` accepts too, and gives the same slices; of
//! anything else, an error above all, it says nothing, and the caller asks `serde_json`, whose word on what is JSON and
//! whose messages therefore stand. Not a validator: a line it gives up on may be fine.

use super::scan;

/// Objects and arrays within each other that are looked through before a line is left to the parser.
const MOST_DEPTH: usize = 64;

/// Bytes of a string that are looked at before longer steps are taken.
const NEAR: usize = 32;

/// Puts the values of `keys` into `found`, the last one where a key occurs again. `None` for a line that is not exactly one
/// object of the ordinary kind; `found` may then hold anything.
pub(super) fn find<'l>(line: &'l str, keys: &[String], found: &mut [Option<&'l str>]) -> Option<()> {
    let bytes = line.as_bytes();
    let mut at = open(bytes, space(bytes, 0), b'{')?;
    if bytes.get(at) == Some(&b'}') {
        at += 1;
    } else {
        loop {
            let (end, escapes) = string(bytes, at)?;
            if escapes {
                return None;
            }
            let key = &line[at + 1..end - 1];
            let start = open(bytes, space(bytes, end), b':')?;
            let end = value(bytes, start, 0)?;
            if let Some(wanted) = keys.iter().position(|wanted| wanted == key) {
                found[wanted] = Some(&line[start..end]);
            }
            at = space(bytes, end);
            match bytes.get(at)? {
                b',' => at = space(bytes, at + 1),
                b'}' => {
                    at += 1;
                    break;
                }
                _ => return None,
            }
        }
    }
    (space(bytes, at) == bytes.len()).then_some(())
}

/// Steps over `sign` and the white space after it.
fn open(bytes: &[u8], at: usize, sign: u8) -> Option<usize> {
    (bytes.get(at) == Some(&sign)).then(|| space(bytes, at + 1))
}

fn space(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    at
}

/// The end of the value that starts at `at`.
fn value(bytes: &[u8], at: usize, depth: usize) -> Option<usize> {
    let literal = |text: &[u8]| bytes[at..].starts_with(text).then_some(at + text.len());
    match bytes.get(at)? {
        b'"' => Some(string(bytes, at)?.0),
        b'-' | b'0'..=b'9' => number(bytes, at),
        b'n' => literal(b"null"),
        b't' => literal(b"true"),
        b'f' => literal(b"false"),
        b'[' => items(bytes, at, b']', depth, value),
        b'{' => items(bytes, at, b'}', depth, |bytes, at, depth| {
            let (end, _) = string(bytes, at)?;
            value(bytes, open(bytes, space(bytes, end), b':')?, depth)
        }),
        _ => None,
    }
}

/// The end of the array or object that starts at `at`; `item` gives the end of one of its items.
fn items(
    bytes: &[u8],
    at: usize,
    close: u8,
    depth: usize,
    item: impl Fn(&[u8], usize, usize) -> Option<usize>,
) -> Option<usize> {
    let mut at = space(bytes, at + 1);
    if bytes.get(at) == Some(&close) {
        return Some(at + 1);
    }
    if depth == MOST_DEPTH {
        return None;
    }
    loop {
        at = space(bytes, item(bytes, at, depth + 1)?);
        match *bytes.get(at)? {
            b',' => at = space(bytes, at + 1),
            sign if sign == close => return Some(at + 1),
            _ => return None,
        }
    }
}

/// The end of the string that starts at `at`, and whether it has escapes.
fn string(bytes: &[u8], at: usize) -> Option<(usize, bool)> {
    if bytes.get(at) != Some(&b'"') {
        return None;
    }
    let mut at = at + 1;
    let mut escapes = false;
    // Keys and most values but the text end soon.
    let near = &bytes[at..bytes.len().min(at + NEAR)];
    match scan::find_in_string(near) {
        Some(found) if near[found] == b'"' => return Some((at + found + 1, false)),
        Some(found) => at += found,
        None => at += near.len(),
    }
    while let Some(piece) = bytes.get(at..).and_then(<[u8]>::first_chunk::<64>) {
        let mut hits = scan::all_in_string(piece);
        // Where the last escape ends.
        let mut from = 0;
        while hits != 0 {
            let hit = hits.trailing_zeros() as usize;
            hits &= hits - 1;
            if hit < from {
                continue;
            }
            match piece[hit] {
                b'"' => return Some((at + hit + 1, escapes)),
                b'\\' => {
                    escapes = true;
                    from = hit + escape(bytes, at + hit)?;
                }
                _ => return None,
            }
        }
        at += from.max(64);
    }
    loop {
        at += scan::find_in_string(bytes.get(at..)?)?;
        match bytes[at] {
            b'"' => return Some((at + 1, escapes)),
            b'\\' => {
                escapes = true;
                at += escape(bytes, at)?;
            }
            _ => return None,
        }
    }
}

/// Bytes of the escape that starts at `at`.
#[inline(always)]
fn escape(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at + 1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(2),
        b'u' if bytes.get(at + 2..at + 6)?.iter().all(u8::is_ascii_hexdigit) => Some(6),
        _ => None,
    }
}

/// The end of the number that starts at `at`.
fn number(bytes: &[u8], mut at: usize) -> Option<usize> {
    let digits = |at: usize| bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    at += usize::from(bytes[at] == b'-');
    let whole = digits(at);
    if whole == 0 || (whole > 1 && bytes[at] == b'0') {
        return None;
    }
    at += whole;
    if bytes.get(at) == Some(&b'.') {
        let fraction = digits(at + 1);
        at += 1 + fraction;
        if fraction == 0 {
            return None;
        }
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        at += 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let exponent = digits(at);
        at += exponent;
        if exponent == 0 {
            return None;
        }
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;

    fn keys() -> Vec<String> {
        ["a", "b"].map(str::to_owned).to_vec()
    }

    /// What a general parser finds.
    fn parsed(line: &str) -> Option<[Option<String>; 2]> {
        let object = serde_json::from_str::<std::collections::BTreeMap<String, &RawValue>>(line).ok()?;
        Some(["a", "b"].map(|key| object.get(key).map(|value| value.get().to_owned())))
    }

    fn found(line: &str) -> Option<[Option<String>; 2]> {
        let mut found = [None, None];
        find(line, &keys(), &mut found)?;
        Some(found.map(|value| value.map(str::to_owned)))
    }

    #[test]
    fn ordinary_lines_are_not_given_up() {
        for line in [
            r#"{"a": "x\n\"y\" \\ \u00e9\ud83d\ude00", "b": 17, "url": "http:\/\/x", "m": {"k": [1, {"a": 2}], "e": {}}}"#,
            " {\t\"b\" : -0.5e+10 , \"a\":null , \"c\":[ ] , \"d\":[true,false, \"é\"] } \r",
            r#"{"a":1,"a":2}"#,
            "{}",
        ] {
            assert_eq!(found(line), parsed(line), "{line}");
            assert!(found(line).is_some(), "{line}");
        }
    }

    #[test]
    fn what_is_not_ordinary_is_left_to_the_parser() {
        let deep = |levels| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        assert!(found(&deep(MOST_DEPTH)).is_some());
        for line in [
            "",
            "[]",
            "1",
            r#"{"a":1} x"#,
            r#"{"a":1}{}"#,
            r#"{"a":1"#,
            r#"{"a":a}"#,
            "{\"a\":\"a\nb\"}",
            r#"{"a":"\x"}"#,
            r#"{"a":"\u12"}"#,
            r#"{"a":"\u12g4"}"#,
            r#"{"a":01}"#,
            r#"{"a":-}"#,
            r#"{"a":1.}"#,
            r#"{"a":1e}"#,
            r#"{"a":+1}"#,
            r#"{"a":1,}"#,
            r#"{"a":[1,]}"#,
            r#"{"a":[1}}"#,
            r#"{"a":{"b"}}"#,
            r#"{"a" 1}"#,
            r#"{a:1}"#,
            r#"{"a":nul}"#,
            r#"{"\u0061":1}"#,
            &deep(MOST_DEPTH + 2),
            &deep(1_000_000),
        ] {
            assert_eq!(found(line), None, "{}", &line[..line.len().min(80)]);
        }
    }

    proptest! {
        #[test]
        fn what_is_found_is_what_a_parser_finds(line in r#"\{"[ab]":[ {}\[\]:,"\\a-cnu0-9.eE+-]{0,40}\}"#) {
            if let Some(found) = found(&line) {
                prop_assert_eq!(Some(found), parsed(&line), "{}", line);
            }
        }

        #[test]
        fn every_object_that_serde_writes_is_found(
            a in any::<String>(), b in any::<f64>(), spread in any::<bool>(), list in proptest::collection::vec(any::<i64>(), 0..5),
        ) {
            let object = serde_json::json!({"a": a, "b": b, "c": {"a": list, "d": a}});
            let line = if spread { format!("{object:#}") } else { object.to_string() };
            prop_assert_eq!(found(&line), parsed(&line));
            prop_assert!(found(&line).is_some());
        }

        #[test]
        fn broken_lines_are_never_taken(text in any::<String>(), cut in any::<prop::sample::Index>(), with in any::<char>()) {
            // A line with one character changed is either still what a parser accepts, or nothing is said of it.
            let line = serde_json::json!({"a": text, "b": [1.5, null]}).to_string();
            let at = cut.index(line.chars().count());
            let changed: String = line.chars().enumerate().map(|(i, c)| if i == at { with } else { c }).collect();
            if let Some(found) = found(&changed) {
                prop_assert_eq!(Some(found), parsed(&changed), "{}", changed);
            }
        }
    }
}
