//! Documents of a block of lines.

use std::ops::Range;

use tamis_core::{Digest, reason};

use super::columns::NoText;
use super::decoded::Builder;
use super::json::{self, Line, LoneSurrogate, Value, Wanted};
use super::{CorpusResult, scan};

/// Bytes of lines that are parsed in one go.
const STRETCH_BYTES: usize = 1 << 17;

pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Whole lines, as they stand in the file.
#[derive(Debug)]
pub(super) struct Lines<'b> {
    pub(super) bytes: &'b [u8],
    pub(super) first_row: u64,
    pub(super) max_line_bytes: u64,
}

/// Calls `visit` with the range of every line, its ending included.
pub(super) fn each_line(bytes: &[u8], mut visit: impl FnMut(Range<usize>)) {
    let mut at = 0;
    while at < bytes.len() {
        let end = scan::find(b'\n', &bytes[at..]).map_or(bytes.len(), |found| at + found + 1);
        visit(at..end);
        at = end;
    }
}

impl Lines<'_> {
    pub(super) fn fill(&self, builder: &mut Builder<'_>) -> CorpusResult<()> {
        builder.columns.check()?;
        let wanted = Wanted::new(builder.columns.names());
        let mut parser = Parser {
            builder,
            values: Line::new(&wanted),
            text: Vec::new(),
            carried: String::new(),
            carried_ends: Vec::new(),
        };
        let mut row = self.first_row;
        let mut at = 0;
        while at < self.bytes.len() {
            // Some lines together: enough for one check of their UTF-8 to be faster than one a line, so few that a line
            // which is none makes few others be checked again.
            let near = self.bytes.len().min(at + STRETCH_BYTES);
            let end =
                scan::find(b'\n', &self.bytes[near..]).map_or(self.bytes.len(), |found| near + found + 1);
            let stretch = &self.bytes[at..end];
            let whole = std::str::from_utf8(stretch).ok();
            each_line(stretch, |range| {
                parser.line(row, stretch, whole, range, self.max_line_bytes);
                row += 1;
            });
            at = end;
        }
        Ok(())
    }
}

/// Adds a block that is one line too long for the limit.
pub(super) fn too_long(row: u64, head: &[u8], length: u64, limit: u64, builder: &mut Builder<'_>) {
    builder.failed(row, reason::LINE_TOO_LONG, too_long_detail(length, limit), head, length);
}

fn too_long_detail(length: u64, limit: u64) -> String {
    format!("{length} bytes, the limit is {limit}")
}

struct Parser<'p, 'c, 'w, 'b> {
    builder: &'p mut Builder<'c>,
    values: Line<'w, 'b>,
    /// Text of the current line, when it has escapes.
    text: Vec<u8>,
    /// Carried values of the current line, one after the other.
    carried: String,
    /// Where each carried value starts and ends; `None` for null.
    carried_ends: Vec<Option<Range<usize>>>,
}

impl<'b> Parser<'_, '_, '_, 'b> {
    /// Takes in the line at `range` of a stretch of lines, which are `whole` where all of them are UTF-8.
    fn line(&mut self, row: u64, stretch: &'b [u8], whole: Option<&'b str>, range: Range<usize>, limit: u64) {
        let line = &stretch[range.clone()];
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        if line.len() as u64 > limit {
            return self.too_long(row, line, line.len() as u64, limit);
        }
        let marked = row == 0 && line.starts_with(BYTE_ORDER_MARK);
        let start = range.start + if marked { BYTE_ORDER_MARK.len() } else { 0 };
        let end = range.start + line.strip_suffix(b"\r").unwrap_or(line).len();
        let content = &stretch[start..end];
        match whole.map_or_else(|| std::str::from_utf8(content), |whole| Ok(&whole[start..end])) {
            Ok(content) => self.parse(row, content),
            Err(error) => self.not_utf8(row, content, error.valid_up_to()),
        }
    }

    fn fail(&mut self, row: u64, content: &str, reason: &'static str, detail: String) {
        self.builder.failed(row, reason, detail, content.as_bytes(), content.len() as u64);
    }

    fn too_long(&mut self, row: u64, line: &[u8], length: u64, limit: u64) {
        self.builder.failed(row, reason::LINE_TOO_LONG, too_long_detail(length, limit), line, length);
    }

    fn not_utf8(&mut self, row: u64, content: &[u8], valid: usize) {
        let wide = content.starts_with(b"\xff\xfe") || content.starts_with(b"\xfe\xff");
        let guess = if row == 0 && wide { " (the file looks like UTF-16)" } else { "" };
        let detail = format!("byte {}: not UTF-8{guess}", valid + 1);
        self.builder.failed(row, reason::INVALID_UTF8, detail, content, content.len() as u64);
    }

    fn parse(&mut self, row: u64, content: &'b str) {
        if content.bytes().all(|byte| matches!(byte, b' ' | b'\t' | b'\r')) {
            self.builder.blank += 1;
            return;
        }
        if let Err(error) = self.values.parse(content) {
            let detail = if content.trim_start().starts_with('[') {
                "an array: expected one object a line".to_owned()
            } else {
                let message = error.to_string();
                let message = message.split(" at line ").next().unwrap_or_default();
                format!("byte {}: {message}", error.column())
            };
            return self.fail(row, content, reason::INVALID_JSON, detail);
        }
        let mut scratch = std::mem::take(&mut self.text);
        if let Err((reason, detail)) = self.document(row, content, &mut scratch) {
            self.fail(row, content, reason, detail);
        }
        self.text = scratch;
    }

    fn document(
        &mut self,
        row: u64,
        content: &'b str,
        scratch: &mut Vec<u8>,
    ) -> Result<(), (&'static str, String)> {
        let columns = self.builder.columns;
        let name = &columns.text;
        let json = self.values.value(0).ok_or_else(|| {
            let keys = json::keys(content, 8).join("`, `");
            (reason::MISSING_TEXT, format!("there is no `{name}`; keys are `{keys}`"))
        })?;
        let text = match Value::of(json) {
            Value::String(text) => resolve_text(text, scratch)
                .map_err(|half| (reason::INVALID_UTF8, surrogate(name, half, content, json)))?,
            Value::Null => {
                return Err((reason::NULL_TEXT, format!("byte {}: `{name}` is null", place(content, json))));
            }
            value => {
                let place = place(content, json);
                return Err((reason::TEXT_NOT_STRING, format!("byte {place}: `{name}` is {}", kind(value))));
            }
        };
        if is_blank(text) {
            let what = if text.is_empty() { "empty" } else { "only white space" };
            return Err((reason::EMPTY_TEXT, format!("byte {}: `{name}` is {what}", place(content, json))));
        }

        let mut id_text = String::new();
        let (id, first_carried) = match columns.id.column() {
            None => (None, 1),
            Some(name) => (Some(self.id(name, content, &mut id_text)?), 2),
        };

        self.carried.clear();
        self.carried_ends.clear();
        for (at, (name, no_text)) in columns.carried().enumerate() {
            let json = self.values.value(first_carried + at);
            let start = self.carried.len();
            match json.map(Value::of) {
                None | Some(Value::Null) => {
                    self.carried_ends.push(None);
                    continue;
                }
                Some(Value::Integer(value) | Value::Other(_, value)) => self.carried.push_str(value),
                Some(Value::String(value)) => match (json::unescape(value, &mut self.carried), no_text) {
                    (Ok(()), _) => {}
                    (Err(half), NoText::FailsRow) => {
                        let detail = surrogate(name, half, content, json.unwrap_or_default());
                        return Err((reason::INVALID_UTF8, detail));
                    }
                    (Err(_), NoText::IsNull) => {
                        self.carried.truncate(start);
                        self.carried_ends.push(None);
                        continue;
                    }
                },
            }
            self.carried_ends.push(Some(start..self.carried.len()));
        }

        self.builder.document(row, id, text, Digest::of(content.as_bytes()));
        for (at, range) in self.carried_ends.iter().enumerate() {
            self.builder.carry(at, range.clone().map(|range| &self.carried[range]));
        }
        Ok(())
    }

    fn id<'s>(
        &self,
        name: &str,
        content: &str,
        scratch: &'s mut String,
    ) -> Result<&'s str, (&'static str, String)>
    where
        'b: 's,
    {
        let Some(json) = self.values.value(1) else {
            return Err((reason::MISSING_ID, absent(name)));
        };
        match Value::of(json) {
            Value::String(id) => resolve(id, scratch)
                .map_err(|half| (reason::INVALID_UTF8, surrogate(name, half, content, json))),
            Value::Integer(id) => Ok(id),
            value => Err((
                reason::MISSING_ID,
                format!(
                    "byte {}: `{name}` is {}, neither a string nor an integer",
                    place(content, json),
                    kind(value)
                ),
            )),
        }
    }
}

/// Detail of a row that has no such key at all.
pub(super) fn absent(name: &str) -> String {
    format!("there is no `{name}`")
}

/// The UTF-8 of a text: a slice of the line where it has no escapes.
fn resolve_text<'s>(string: &'s str, scratch: &'s mut Vec<u8>) -> Result<&'s [u8], LoneSurrogate> {
    if scan::find(b'\\', string.as_bytes()).is_none() {
        return Ok(string.as_bytes());
    }
    scratch.clear();
    json::unescape_bytes(string, scratch)?;
    Ok(scratch)
}

/// Whether a text is empty or nothing but white space.
fn is_blank(text: &[u8]) -> bool {
    let visible = text.first().is_some_and(u8::is_ascii_graphic);
    !visible && std::str::from_utf8(text).is_ok_and(|text| text.chars().all(char::is_whitespace))
}

/// As [`resolve_text`], for what is short.
fn resolve<'s>(string: &'s str, scratch: &'s mut String) -> Result<&'s str, LoneSurrogate> {
    if scan::find(b'\\', string.as_bytes()).is_none() {
        return Ok(string);
    }
    scratch.clear();
    json::unescape(string, scratch)?;
    Ok(scratch)
}

fn kind(value: Value<'_>) -> &'static str {
    match value {
        Value::Null => "null",
        Value::String(_) => "a string",
        Value::Integer(_) => "an integer",
        Value::Other(kind, _) => kind,
    }
}

/// 1-based byte of a slice of the line.
fn place(content: &str, part: &str) -> usize {
    (part.as_ptr() as usize).saturating_sub(content.as_ptr() as usize) + 1
}

fn surrogate(name: &str, LoneSurrogate(code): LoneSurrogate, content: &str, json: &str) -> String {
    format!(
        "byte {}: `{name}` has `\\u{code:04x}`, half of a surrogate pair, which is no character",
        place(content, json)
    )
}
