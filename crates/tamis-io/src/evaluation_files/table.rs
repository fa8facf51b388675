//! Rows of tables in text: fields between commas or tabs.

use csv::{ReaderBuilder, StringRecord};

/// Words that a text has at least to be looked for, so that a first row of shorter fields is a header without a loss.
const HEADER_WORDS: usize = 8;

/// The rows of a table, the header apart.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) header: Option<StringRecord>,
    pub(super) rows: Vec<StringRecord>,
}

impl Table {
    /// Reads a table; `has_header` says that the first row is the header whatever it holds.
    ///
    /// # Errors
    /// The row (from 1, the first one included) and what is wrong with it: another number of fields than the first, no UTF-8.
    pub(super) fn read(bytes: &[u8], separator: u8, has_header: bool) -> Result<Self, (u64, String)> {
        let mut reader = ReaderBuilder::new()
            .has_headers(false)
            .delimiter(separator)
            // Quotation marks in a field between tabs are marks.
            .quoting(separator == b',')
            .from_reader(bytes);
        let mut rows = Vec::new();
        for (at, row) in (1..).zip(reader.records()) {
            rows.push(row.map_err(|error| (at, problem(&error)))?);
        }
        let header = match rows.first() {
            Some(first) if has_header || is_header(first) => Some(rows.remove(0)),
            _ => None,
        };
        Ok(Self { header, rows })
    }

    /// The places of named columns; all of them where none are named.
    pub(super) fn places(&self, columns: Option<&[String]>) -> Vec<usize> {
        let width = self.header.as_ref().or_else(|| self.rows.first()).map_or(0, StringRecord::len);
        let is_meant = |at: &usize| match (columns, &self.header) {
            (None, _) => true,
            (Some(columns), Some(header)) => {
                header.get(*at).is_some_and(|name| columns.iter().any(|c| c == name))
            }
            (Some(_), None) => false,
        };
        (0..width).filter(is_meant).collect()
    }
}

fn problem(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} fields, where the first row has {expected_len}")
        }
        csv::ErrorKind::Utf8 { .. } => "it is not UTF-8".to_owned(),
        _ => error.to_string(),
    }
}

/// Whether a row names columns, by a rule that loses nothing: its fields are distinct, ASCII, and none has as many words as a
/// text that is looked for.
fn is_header(row: &StringRecord) -> bool {
    let words = |field: &str| {
        field.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).count()
    };
    let fields: Vec<&str> = row.iter().collect();
    let alone = |at: usize| !fields[..at].contains(&fields[at]);
    fields.iter().enumerate().all(|(at, field)| {
        !field.trim().is_empty() && field.is_ascii() && words(field) < HEADER_WORDS && alone(at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, separator: u8) -> Table {
        Table::read(text.as_bytes(), separator, false).unwrap()
    }

    #[test]
    fn a_first_row_is_a_header_where_nothing_is_lost_by_that() {
        let table = read("question,choice 0,answer\n\"Is it, or\nnot?\",yes,0\n", b',');
        assert_eq!((table.header.is_some(), table.rows.len()), (true, 1));
        assert_eq!(&table.rows[0][0], "Is it, or\nnot?");
        assert_eq!(table.places(Some(&["answer".to_owned()])), [2]);
        assert_eq!(table.places(None), [0, 1, 2]);
        // Eight words, an empty field, fields that repeat.
        for first in ["gj04\tThe sailors rode the breeze clear of rocks", "gj04\t", "a\ta", "Вопрос\ta"]
        {
            let table = read(&format!("{first}\nx\ty\n"), b'\t');
            assert!(table.header.is_none() && table.rows.len() == 2, "{first}");
        }
        assert_eq!(read("label\ttext\n1\t\"so he said\n", b'\t').rows[0][1], *"\"so he said");
    }

    #[test]
    fn rows_of_another_width_and_other_encodings_are_refused() {
        let refused = |bytes: &[u8]| Table::read(bytes, b',', true).unwrap_err();
        assert_eq!(refused(b"a,b\n1,2\n3\n"), (3, "1 fields, where the first row has 2".to_owned()));
        assert_eq!(refused(b"a,b\n\xff,2\n"), (2, "it is not UTF-8".to_owned()));
    }
}
