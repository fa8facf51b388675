//! Jinja as `transformers` has it for chat templates.
//!
//! The engine is `minijinja`; what is here is in what `transformers` and Python differ from it: `tojson` is Python's
//! `json.dumps` and does not escape for HTML, `True`, `None`, lists and dictionaries are printed as Python prints them,
//! strings have Python's methods, dictionaries keep their order, tests of kinds (`is sequence`) and of case answer as they do
//! for Python's values, line ends of a template are `\n` whatever the file has, `{% generation %}` marks what an assistant says,
//! `{% break %}` and `{% continue %}` leave loops, and there are `raise_exception` and `strftime_now`.
//!
//! A template that asks for the date is told [`DATE`], always the same: a prompt that changed at midnight would make another
//! signal of a run that goes on the next day. It is the day that Llama 3's templates name where they cannot ask.
//!
//! Not for templates of one's own: whatever Jinja has and chat templates do not use is left to the engine.

use std::borrow::Cow;
use std::fmt::Write as _;

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Value, escape_formatter};

/// Instructions of the template engine after which a template is given up.
const FUEL: u64 = 1_000_000;

/// The date and time that `strftime_now` tells, by the letters of `strftime`: Friday 26 July 2024, noon.
const DATE: &[(char, &str)] = &[
    ('a', "Fri"),
    ('A', "Friday"),
    ('b', "Jul"),
    ('B', "July"),
    ('c', "Fri Jul 26 12:00:00 2024"),
    ('C', "20"),
    ('d', "26"),
    ('D', "07/26/24"),
    ('e', "26"),
    ('f', "000000"),
    ('F', "2024-07-26"),
    ('G', "2024"),
    ('g', "24"),
    ('h', "Jul"),
    ('H', "12"),
    ('I', "12"),
    ('j', "208"),
    ('k', "12"),
    ('l', "12"),
    ('m', "07"),
    ('M', "00"),
    ('n', "\n"),
    ('p', "PM"),
    ('P', "pm"),
    ('r', "12:00:00 PM"),
    ('R', "12:00"),
    ('S', "00"),
    ('t', "\t"),
    ('T', "12:00:00"),
    ('u', "5"),
    ('U', "29"),
    ('V', "30"),
    ('w', "5"),
    ('W', "30"),
    ('x', "07/26/24"),
    ('X', "12:00:00"),
    ('y', "24"),
    ('Y', "2024"),
    ('z', ""),
    ('Z', ""),
    ('%', "%"),
];

/// The text of a template under some values.
///
/// # Errors
/// What the engine says of a template that it cannot read, that fails, or that does not end.
pub(super) fn render(source: &str, values: &Value) -> Result<String, Error> {
    let mut environment = Environment::new();
    environment.set_fuel(Some(FUEL));
    // Hugging Face renders with these two on.
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.set_formatter(|out, state, value| match value.kind() {
        ValueKind::Bool | ValueKind::None | ValueKind::Seq | ValueKind::Map => {
            out.write_str(&python_text(value)).map_err(Error::from)
        }
        _ => escape_formatter(out, state, value),
    });
    environment.add_test("sequence", is_sequence);
    environment.add_test("iterable", |value: &Value| !value.is_none() && value.try_iter().is_ok());
    environment
        .add_test("number", |value: &Value| matches!(value.kind(), ValueKind::Number | ValueKind::Bool));
    environment.add_test("lower", |value: &Value| is_cased(value, char::is_lowercase, char::is_uppercase));
    environment.add_test("upper", |value: &Value| is_cased(value, char::is_uppercase, char::is_lowercase));
    environment.add_filter("tojson", to_json);
    environment.add_filter("string", |value: Value| python_text(&value));
    environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message))
    });
    environment.add_function("strftime_now", |format: String| date(&format));
    let source = with_plain_line_ends(source);
    let source = without_generation_tags(&source);
    environment.template_from_str(&source)?.render(values)
}

/// Every line end as the one letter that Jinja makes of it before it looks at anything.
fn with_plain_line_ends(source: &str) -> Cow<'_, str> {
    if !source.contains('\r') {
        return source.into();
    }
    source.replace("\r\n", "\n").replace('\r', "\n").into()
}

/// Whether Python's `len` and `[]` know it: strings, dictionaries and what is undefined too.
fn is_sequence(value: &Value) -> bool {
    matches!(
        value.kind(),
        ValueKind::Seq
            | ValueKind::String
            | ValueKind::Map
            | ValueKind::Undefined
            | ValueKind::Bytes
            | ValueKind::Iterable
    )
}

/// Python's `islower` and `isupper`: letters without a case do not count, and one with a case there has to be.
fn is_cased(value: &Value, so: fn(char) -> bool, otherwise: fn(char) -> bool) -> bool {
    let text = python_text(value);
    text.chars().any(so) && !text.chars().any(otherwise)
}

/// `{% generation %}` and its end as tags that render what is between them.
fn without_generation_tags(source: &str) -> Cow<'_, str> {
    if !source.contains("generation") {
        return source.into();
    }
    let (mut out, mut rest) = (String::with_capacity(source.len()), source);
    while let Some(at) = rest.find("{%") {
        let (before, tag) = rest.split_at(at);
        out.push_str(before);
        let end = tag.find("%}").map_or(tag.len(), |end| end + 2);
        let inner = tag[..end].trim_start_matches("{%").trim_end_matches("%}");
        let name = inner.trim_matches(['-', '+']).trim();
        let control =
            |at: Option<char>| at.filter(|c| matches!(c, '-' | '+')).map_or(String::new(), String::from);
        let instead = match name {
            "generation" => Some("if true"),
            "endgeneration" => Some("endif"),
            _ => None,
        };
        match instead {
            Some(instead) => {
                let (left, right) = (control(inner.chars().next()), control(inner.chars().next_back()));
                out.push_str(&format!("{{%{left} {instead} {right}%}}"));
                rest = &tag[end..];
            }
            None => {
                out.push_str("{%");
                rest = &tag[2..];
            }
        }
    }
    out.push_str(rest);
    out.into()
}

/// A format of `strftime` with [`DATE`] in it.
fn date(format: &str) -> String {
    let (mut out, mut letters) = (String::new(), format.chars());
    while let Some(letter) = letters.next() {
        if letter != '%' {
            out.push(letter);
            continue;
        }
        let mut written = String::from('%');
        // `-` leaves padding out; nothing in this date is padded but month, minute and second.
        let mut asked = letters.next();
        let unpadded = asked == Some('-');
        if unpadded {
            written.push('-');
            asked = letters.next();
        }
        written.extend(asked);
        let told = DATE.iter().find(|(name, _)| Some(*name) == asked).map(|(_, text)| *text);
        match told {
            Some(text) if unpadded && text.len() == 2 => out.push_str(text.strip_prefix('0').unwrap_or(text)),
            Some(text) => out.push_str(text),
            None => out.push_str(&written),
        }
    }
    out
}

/// A value as Python's `str` has it.
fn python_text(value: &Value) -> String {
    match value.as_str() {
        Some(text) => text.to_owned(),
        None => python_repr(value),
    }
}

fn python_repr(value: &Value) -> String {
    match value.kind() {
        ValueKind::Bool => if value.is_true() { "True" } else { "False" }.to_owned(),
        ValueKind::None => "None".to_owned(),
        ValueKind::String => {
            let text = value.as_str().unwrap_or_default();
            let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
            let mut out = String::from(quote);
            for letter in text.chars() {
                match letter {
                    '\\' => out.push_str("\\\\"),
                    '\n' => out.push_str("\\n"),
                    '\r' => out.push_str("\\r"),
                    '\t' => out.push_str("\\t"),
                    _ if letter == quote => out.extend(['\\', letter]),
                    '\0'..='\u{1f}' | '\u{7f}' => out.push_str(&format!("\\x{:02x}", u32::from(letter))),
                    _ => out.push(letter),
                }
            }
            out.push(quote);
            out
        }
        ValueKind::Seq => {
            format!("[{}]", items(value).iter().map(python_repr).collect::<Vec<_>>().join(", "))
        }
        ValueKind::Map => {
            let pairs = items(value).into_iter().map(|key| {
                let entry = value.get_item(&key).unwrap_or_default();
                format!("{}: {}", python_repr(&key), python_repr(&entry))
            });
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
        _ => value.to_string(),
    }
}

/// Items of a list, keys of a map.
fn items(value: &Value) -> Vec<Value> {
    value.try_iter().map(Iterator::collect).unwrap_or_default()
}

/// How [`write_json`] writes.
struct Json {
    ascii: bool,
    sort_keys: bool,
    indent: Option<String>,
    between_items: String,
    after_key: String,
}

/// Python's `json.dumps`, with what `transformers` lets a template choose.
#[expect(clippy::needless_pass_by_value, reason = "the engine gives a filter its arguments like this")]
fn to_json(value: Value, options: Kwargs) -> Result<String, Error> {
    let indent = match options.get::<Option<Value>>("indent")? {
        Some(indent) if !indent.is_none() => Some(match indent.as_str() {
            Some(text) => text.to_owned(),
            None => " ".repeat(usize::try_from(indent).unwrap_or_default()),
        }),
        _ => None,
    };
    let separators = options.get::<Option<Vec<String>>>("separators")?;
    let (between_items, after_key) = match separators.as_deref() {
        Some([between, after]) => (between.clone(), after.clone()),
        _ => (if indent.is_some() { "," } else { ", " }.to_owned(), ": ".to_owned()),
    };
    let flag = |name: &str| options.get::<Option<bool>>(name).map(Option::unwrap_or_default);
    let how = Json {
        ascii: flag("ensure_ascii")?,
        sort_keys: flag("sort_keys")?,
        indent,
        between_items,
        after_key,
    };
    options.assert_all_used()?;
    let mut out = String::new();
    write_json(&mut out, &value, &how, 0)?;
    Ok(out)
}

/// Deepest value that is written; the engine's own limits are near it.
const DEEPEST: usize = 200;

fn write_json(out: &mut String, value: &Value, how: &Json, depth: usize) -> Result<(), Error> {
    let refuse = |problem: String| Err(Error::new(ErrorKind::InvalidOperation, problem));
    if depth > DEEPEST {
        return refuse(format!("tojson: deeper than {DEEPEST}"));
    }
    match value.kind() {
        ValueKind::None => out.push_str("null"),
        ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number => out.push_str(&value.to_string()),
        ValueKind::String => write_json_text(out, value.as_str().unwrap_or_default(), how.ascii),
        ValueKind::Seq | ValueKind::Iterable => {
            let written = |out: &mut String, item: &Value| write_json(out, item, how, depth + 1);
            write_json_list(out, ('[', ']'), &items(value), how, depth, written)?;
        }
        ValueKind::Map => {
            let mut keys = items(value);
            if how.sort_keys {
                keys.sort();
            }
            write_json_list(out, ('{', '}'), &keys, how, depth, |out, key| {
                write_json_text(out, &key.to_string(), how.ascii);
                out.push_str(&how.after_key);
                write_json(out, &value.get_item(key)?, how, depth + 1)
            })?;
        }
        kind => return refuse(format!("tojson: {kind} is no JSON")),
    }
    Ok(())
}

fn write_json_list(
    out: &mut String,
    (open, close): (char, char),
    items: &[Value],
    how: &Json,
    depth: usize,
    mut written: impl FnMut(&mut String, &Value) -> Result<(), Error>,
) -> Result<(), Error> {
    let line = |out: &mut String, depth: usize| {
        if let Some(indent) = &how.indent {
            out.push('\n');
            out.push_str(&indent.repeat(depth));
        }
    };
    out.push(open);
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push_str(&how.between_items);
        }
        line(out, depth + 1);
        written(out, item)?;
    }
    if !items.is_empty() {
        line(out, depth);
    }
    out.push(close);
    Ok(())
}

fn write_json_text(out: &mut String, text: &str, ascii: bool) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            _ if u32::from(letter) < 0x20 || ascii && !letter.is_ascii() => {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    // Writing to a string does not fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            _ => out.push(letter),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(source: &str) -> String {
        render(source, &Value::from_iter([("x", Value::from(1))])).unwrap()
    }

    #[test]
    fn generation_tags_render_what_is_between_them_with_their_white_space() {
        assert_eq!(rendered("a\n  {% generation %}\nb\n  {% endgeneration %}\nc"), "a\nb\nc");
        assert_eq!(rendered("a\n{%- generation -%}\n b {%- endgeneration -%}\n c"), "abc");
        assert_eq!(
            rendered("{{ 'the generation' }} {% if x %}{% generation %}y{% endgeneration %}{% endif %}"),
            "the generation y"
        );
    }

    #[test]
    fn values_are_printed_and_dumped_as_python_does() {
        let value = "{'b': [1, 2.5, 'é\"<'], 'a': {'t': true, 'n': none, 'e': []}}";
        assert_eq!(
            rendered(&format!("{{{{ {value} | tojson }}}}")),
            r#"{"b": [1, 2.5, "é\"<"], "a": {"t": true, "n": null, "e": []}}"#
        );
        assert_eq!(
            rendered(&format!("{{{{ {value} | tojson(indent=2, sort_keys=true, ensure_ascii=true) }}}}")),
            "{\n  \"a\": {\n    \"e\": [],\n    \"n\": null,\n    \"t\": true\n  },\n  \"b\": [\n    1,\n    2.5,\n    \
             \"\\u00e9\\\"<\"\n  ]\n}"
        );
        assert_eq!(
            rendered(&format!("{{{{ {value} }}}} {{{{ true }}}} {{{{ none | string }}}}")),
            "{'b': [1, 2.5, 'é\"<'], 'a': {'t': True, 'n': None, 'e': []}} True None"
        );
        assert!(render("{{ undefined_name | tojson }}", &Value::from(())).is_err());
    }

    #[test]
    fn the_date_is_always_the_same() {
        assert_eq!(
            rendered("{{ strftime_now('%d %b %Y, %A %-m/%-d %H:%M %j %q%') }}"),
            "26 Jul 2024, Friday 7/26 12:00 208 %q%"
        );
    }

    #[test]
    fn loops_can_be_left_and_know_their_neighbours() {
        let source = "{% for i in range(9) %}{% if i == 1 %}{% continue %}{% endif %}{% if i == 4 %}{% break %}{% endif %}\
                      {{ i }}{{ loop.previtem is defined }};{% endfor %}";
        assert_eq!(rendered(source), "0False;2True;3True;");
    }
}
