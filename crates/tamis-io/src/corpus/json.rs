//! One line of JSON, of which a few values are wanted.
//!
//! The whole line is validated, but only the wanted values are looked at, as slices of the line: nothing is allocated for
//! the others. Of a key that occurs twice the last value counts, as in most readers of JSON.
//!
//! A wanted name such as `metadata.id` stands for the key of that literal name and, where a line has none, for the path
//! through nested objects.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{plain_json, scan};

/// The values that are wanted of every line.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// Distinct keys of the outermost object that are looked at.
    keys: Vec<String>,
    names: Vec<Name>,
}

#[derive(Clone, Debug)]
struct Name {
    /// Index of the literal key.
    literal: usize,
    /// Index of the outermost key of the path, and the keys below it.
    path: Option<(usize, Vec<String>)>,
}

impl Wanted {
    pub(super) fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut keys: Vec<String> = Vec::new();
        let mut index = |key: &str| {
            keys.iter().position(|known| known == key).unwrap_or_else(|| {
                keys.push(key.to_owned());
                keys.len() - 1
            })
        };
        let names = names
            .into_iter()
            .map(|name| {
                let mut path = name.split('.');
                let first = path.next().unwrap_or_default();
                let below: Vec<String> = path.map(str::to_owned).collect();
                Name { literal: index(name), path: (!below.is_empty()).then(|| (index(first), below)) }
            })
            .collect();
        Self { keys, names }
    }
}

/// The wanted values of the line that was parsed last.
#[derive(Debug)]
pub(super) struct Line<'w, 'l> {
    wanted: &'w Wanted,
    found: Vec<Option<&'l str>>,
}

impl<'w, 'l> Line<'w, 'l> {
    pub(super) fn new(wanted: &'w Wanted) -> Self {
        Self { wanted, found: vec![None; wanted.keys.len()] }
    }

    /// Parses a line.
    ///
    /// # Errors
    /// One that is not exactly one JSON object; then no values are found.
    pub(super) fn parse(&mut self, line: &'l str) -> serde_json::Result<()> {
        self.found.fill(None);
        if plain_json::find(line, &self.wanted.keys, &mut self.found).is_some() {
            return Ok(());
        }
        self.found.fill(None);
        let mut json = serde_json::Deserializer::from_str(line);
        let outer = Outer { keys: &self.wanted.keys, found: &mut self.found };
        let parsed = json.deserialize_map(outer).and_then(|()| json.end());
        if parsed.is_err() {
            self.found.fill(None);
        }
        parsed
    }

    /// The JSON of a wanted value; `None` where the line has none.
    pub(super) fn value(&self, name: usize) -> Option<&'l str> {
        let name = &self.wanted.names[name];
        self.found[name.literal].or_else(|| {
            let (first, below) = name.path.as_ref()?;
            below.iter().try_fold(self.found[*first]?, |object, key| member(object, key))
        })
    }
}

/// The value of a key in an object that is known to be valid JSON.
fn member<'l>(object: &'l str, key: &String) -> Option<&'l str> {
    let mut found = [None];
    let outer = Outer { keys: std::slice::from_ref(key), found: &mut found };
    serde_json::Deserializer::from_str(object).deserialize_map(outer).ok()?;
    found[0]
}

struct Outer<'w, 'f, 'l> {
    keys: &'w [String],
    found: &'f mut [Option<&'l str>],
}

impl<'l> Visitor<'l> for Outer<'_, '_, 'l> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'l>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key_seed(Key(self.keys))? {
            match key {
                Some(at) => self.found[at] = Some(map.next_value::<&'l RawValue>()?.get()),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// Reads a key as its index among the wanted ones.
struct Key<'w>(&'w [String]);

impl<'l> DeserializeSeed<'l> for Key<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'l>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|wanted| wanted == key))
    }
}

/// What a wanted value is. The JSON that it is made from must be valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'l> {
    Null,
    /// Between the quotation marks, escapes not resolved.
    String(&'l str),
    /// An integer of any size, as decimal text without a needless sign.
    Integer(&'l str),
    /// Any other value: its kind in words, and its JSON.
    Other(&'static str, &'l str),
}

impl<'l> Value<'l> {
    pub(super) fn of(json: &'l str) -> Self {
        match json.as_bytes().first() {
            Some(b'"') => Self::String(&json[1..json.len() - 1]),
            Some(b'n') => Self::Null,
            Some(b'{') => Self::Other("an object", json),
            Some(b'[') => Self::Other("an array", json),
            Some(b't' | b'f') => Self::Other("a boolean", json),
            _ if json.contains(['.', 'e', 'E']) => Self::Other("a number with a fraction", json),
            _ => Self::Integer(if json == "-0" { "0" } else { json }),
        }
    }
}

/// Resolves the escapes of a string and appends it to `out`.
///
/// # Errors
/// An escape that stands for no character: half of a surrogate pair. `out` then is empty.
pub(super) fn unescape(string: &str, out: &mut String) -> Result<(), LoneSurrogate> {
    let mut resolved = std::mem::take(out).into_bytes();
    unescape_bytes(string, &mut resolved)?;
    *out = String::from_utf8(resolved).expect("escapes of a string stand for characters");
    Ok(())
}

/// As [`unescape`]; what is appended is UTF-8.
///
/// Between escapes lie some thirty bytes of an ordinary text: they are copied by the 64, of which the next step overwrites
/// what is too much.
pub(super) fn unescape_bytes(string: &str, out: &mut Vec<u8>) -> Result<(), LoneSurrogate> {
    let bytes = string.as_bytes();
    let mut end = out.len();
    // No escape is shorter than what it stands for.
    out.resize(end + bytes.len() + 64, 0);
    let mut at = 0;
    while let Some(piece) = bytes.get(at..).and_then(<[u8]>::first_chunk::<64>) {
        let mut escapes = scan::all_backslashes(piece);
        // How much of the piece is done.
        let mut from = 0;
        while escapes != 0 {
            let escape = escapes.trailing_zeros() as usize;
            escapes &= escapes - 1;
            if escape < from {
                continue;
            }
            let run = escape - from;
            copy(&bytes[at + from..], &mut out[end..]);
            end += run;
            let (length, character) = resolve(string, at + escape)?;
            end += character.encode_utf8(&mut out[end..]).len();
            from = escape + length;
        }
        if from < 64 {
            copy(&bytes[at + from..], &mut out[end..]);
            end += 64 - from;
        }
        at += from.max(64);
    }
    while let Some(run) = scan::find(b'\\', &bytes[at..]) {
        out[end..end + run].copy_from_slice(&bytes[at..at + run]);
        end += run;
        let (length, character) = resolve(string, at + run)?;
        end += character.encode_utf8(&mut out[end..]).len();
        at += run + length;
    }
    out.truncate(end);
    out.extend_from_slice(&bytes[at..]);
    Ok(())
}

/// Copies 64 bytes, or as many as there are.
#[inline(always)]
fn copy(from: &[u8], to: &mut [u8]) {
    match (from.first_chunk::<64>(), to.first_chunk_mut::<64>()) {
        (Some(from), Some(to)) => *to = *from,
        _ => {
            let length = from.len().min(to.len());
            to[..length].copy_from_slice(&from[..length]);
        }
    }
}

/// Length of the escape at `at`, and what it stands for.
#[inline(always)]
fn resolve(string: &str, at: usize) -> Result<(usize, char), LoneSurrogate> {
    Ok((
        2,
        match string.as_bytes().get(at + 1).copied().unwrap_or(b'\\') {
            b'n' => '\n',
            b't' => '\t',
            b'r' => '\r',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'u' => return resolve_code(string, at),
            other => char::from(other),
        },
    ))
}

#[cold]
fn resolve_code(string: &str, at: usize) -> Result<(usize, char), LoneSurrogate> {
    let high = hex(string, at + 2);
    let mut length = 6;
    let code = if (0xd800..0xdc00).contains(&high) && string[at + 6..].starts_with("\\u") {
        length = 12;
        let low = hex(string, at + 8);
        if (0xdc00..0xe000).contains(&low) {
            0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)
        } else {
            high
        }
    } else {
        high
    };
    Ok((length, char::from_u32(code).ok_or(LoneSurrogate(high))?))
}

/// Half of a surrogate pair, as its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LoneSurrogate(pub(super) u32);

/// Four hexadecimal digits; the parser saw that they are.
fn hex(string: &str, at: usize) -> u32 {
    string.get(at..at + 4).and_then(|digits| u32::from_str_radix(digits, 16).ok()).unwrap_or(0xd800)
}

/// Keys of a line, and of the objects in it as `outer.inner`; none where it is no object.
pub(super) fn names(line: &str) -> Vec<String> {
    let Ok(serde_json::Value::Object(object)) = serde_json::from_str(line) else { return Vec::new() };
    let mut names = Vec::new();
    for (key, value) in object {
        match value {
            serde_json::Value::Object(inner) => {
                names.extend(inner.keys().map(|inner| format!("{key}.{inner}")));
            }
            _ => names.push(key),
        }
    }
    names
}

/// The keys of a line that is known to be an object, for messages: at most `limit` of them.
pub(super) fn keys(line: &str, limit: usize) -> Vec<String> {
    let Ok(object) = serde_json::from_str::<std::collections::BTreeMap<String, IgnoredAny>>(line) else {
        return Vec::new();
    };
    object.into_keys().take(limit).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn find(names: &[&str], line: &str) -> Vec<Option<String>> {
        let wanted = Wanted::new(names.iter().copied());
        let mut parsed = Line::new(&wanted);
        parsed.parse(line).unwrap();
        (0..names.len()).map(|name| parsed.value(name).map(str::to_owned)).collect()
    }

    fn json(values: &[Option<&str>]) -> Vec<Option<String>> {
        values.iter().map(|value| value.map(str::to_owned)).collect()
    }

    #[test]
    fn wanted_values_are_found_as_they_stand() {
        let line = r#" {"a": [1, {"text": 2}], "text" : "x\ny" , "id":17,"b":null} "#;
        assert_eq!(find(&["text", "id", "c"], line), json(&[Some(r#""x\ny""#), Some("17"), None]));
        assert_eq!(find(&["text"], r#"{"te\u0078t": 1}"#), json(&[Some("1")]));
    }

    #[test]
    fn last_of_equal_keys_counts() {
        assert_eq!(
            find(&["id", "m.id"], r#"{"id":1,"m":{"id":2,"id":3},"id":4}"#),
            json(&[Some("4"), Some("3")])
        );
    }

    #[test]
    fn dotted_names_are_literal_first_and_paths_second() {
        assert_eq!(find(&["m.id"], r#"{"m":{"id":1},"m.id":2}"#), json(&[Some("2")]));
        assert_eq!(
            find(&["m.a.b", "m"], r#"{"m":{"a":{"b":[3]}}}"#),
            json(&[Some("[3]"), Some(r#"{"a":{"b":[3]}}"#)])
        );
        assert_eq!(find(&["m.id"], r#"{"m":7}"#), json(&[None]));
    }

    #[test]
    fn anything_but_one_object_is_refused() {
        let wanted = Wanted::new(["text"]);
        let mut line = Line::new(&wanted);
        for bad in [
            "",
            "[]",
            "1",
            "null",
            r#"{"text":"a"} x"#,
            r#"{"text":"a"}{}"#,
            r#"{"text":"a""#,
            r#"{"text":a}"#,
            "{\"text\":\"a\nb\"}",
            "{\"x\":\"a\tb\"}",
            r#"{"text":"\x"}"#,
            r#"{"text":"\u12"}"#,
            r#"{"text":01}"#,
            r#"{"text":"a",}"#,
        ] {
            assert!(line.parse(bad).is_err(), "{bad}");
            assert_eq!(line.value(0), None);
        }
    }

    #[test]
    fn deep_nesting_does_not_exhaust_the_stack() {
        let deep = format!("{{\"x\":{}{},\"text\":\"a\"}}", "[".repeat(1_000_000), "]".repeat(1_000_000));
        assert_eq!(find(&["text"], &deep), json(&[Some("\"a\"")]));
        assert_eq!(find(&["x.y"], &deep), json(&[None]));
        let deep = format!("{}1{}", "{\"x\":".repeat(1_000_000), "}".repeat(1_000_000));
        assert_eq!(find(&["x.x.y"], &deep), json(&[None]));
    }

    #[test]
    fn values_are_told_apart() {
        assert_eq!(Value::of("null"), Value::Null);
        assert_eq!(Value::of(r#""a""#), Value::String("a"));
        assert_eq!(
            Value::of("123456789012345678901234567890"),
            Value::Integer("123456789012345678901234567890")
        );
        assert_eq!((Value::of("-0"), Value::of("-5")), (Value::Integer("0"), Value::Integer("-5")));
        assert!(matches!(Value::of("1e3"), Value::Other("a number with a fraction", _)));
        assert!(matches!(Value::of("true"), Value::Other("a boolean", "true")));
    }

    #[test]
    fn half_a_surrogate_pair_is_no_character() {
        for (string, code) in [
            (r"a\ud800", 0xd800),
            (r"\ud800\ud800", 0xd800),
            (r"\udc00\ud800", 0xdc00),
            (r"\ud800\n", 0xd800),
        ] {
            assert_eq!(unescape(string, &mut String::new()), Err(LoneSurrogate(code)), "{string}");
        }
    }

    proptest! {
        #[test]
        fn strings_are_unescaped_as_by_serde(text in any::<String>(), escape_all in any::<bool>()) {
            let json = if escape_all {
                let units: String = text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
                format!("\"{units}\"")
            } else {
                serde_json::to_string(&text).unwrap()
            };
            let Value::String(inner) = Value::of(&json) else { panic!("a string") };
            let mut out = String::new();
            unescape(inner, &mut out).unwrap();
            prop_assert_eq!(out, text);
        }

        #[test]
        fn any_line_gives_what_serde_gives(line in r#"[ {}\[\]:,"\\a-cnu0-9.eE+-]{0,40}"#) {
            let wanted = Wanted::new(["a"]);
            let mut parsed = Line::new(&wanted);
            let ours = parsed.parse(&line).is_ok();
            let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&line).is_ok() && line.trim_start().starts_with('{');
            // A string that is no UTF-8 once it is unescaped passes `IgnoredAny`, unless it is a key.
            prop_assert!(ours == theirs || line.contains("\\u"), "{}", line);
        }
    }
}
