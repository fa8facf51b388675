//! Rows of tables in text: fields between commas or tabs.

use csv_core::{ReadRecordResult, ReaderBuilder};

/// Words that a text has at least to be looked for, so that a first row of shorter fields is a header without a loss.
const HEADER_WORDS: usize = 8;

/// The fields of a row.
pub(super) type Row = Vec<String>;

/// The rows of a table, the header apart.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) header: Option<Row>,
    pub(super) rows: Vec<Row>,
}

impl Table {
    /// Reads a table; `has_header` says that the first row is the header whatever it holds.
    ///
    /// # Errors
    /// The row (from 1, the first one included) and what is wrong with it: another number of fields than the first, no UTF-8.
    pub(super) fn read(bytes: &[u8], separator: u8, has_header: bool) -> Result<Self, (u64, String)> {
        let mut rows: Vec<Row> = Vec::new();
        each_row(bytes, separator, |fields| {
            let row = rows.len() as u64 + 1;
            let text = |field: &[u8]| String::from_utf8(field.to_vec());
            let fields: Result<Row, _> = fields.iter().map(|field| text(field)).collect();
            let fields = fields.map_err(|_| (row, "it is not UTF-8".to_owned()))?;
            match rows.first().map(Vec::len) {
                Some(first) if first != fields.len() => {
                    Err((row, format!("{} fields, where the first row has {first}", fields.len())))
                }
                _ => {
                    rows.push(fields);
                    Ok(())
                }
            }
        })?;
        let header = match rows.first() {
            Some(first) if has_header || is_header(first) => Some(rows.remove(0)),
            _ => None,
        };
        Ok(Self { header, rows })
    }

    /// The places of named columns; all of them where none are named.
    pub(super) fn places(&self, columns: Option<&[String]>) -> Vec<usize> {
        let width = self.header.as_ref().or_else(|| self.rows.first()).map_or(0, Vec::len);
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

/// Gives the fields of every row; blank lines are none.
fn each_row<E>(
    bytes: &[u8],
    separator: u8,
    mut each: impl FnMut(&[&[u8]]) -> Result<(), E>,
) -> Result<(), E> {
    // Quotation marks in a field between tabs are marks.
    let mut reader = ReaderBuilder::new().delimiter(separator).quoting(separator == b',').build();
    let (mut content, mut ends) = (vec![0; 1 << 12], vec![0; 1 << 4]);
    let (mut length, mut fields) = (0, 0);
    let mut rest = bytes;
    loop {
        // An empty rest says that there is no more.
        let (result, read, written, ended) =
            reader.read_record(rest, &mut content[length..], &mut ends[fields..]);
        rest = &rest[read..];
        length += written;
        fields += ended;
        match result {
            ReadRecordResult::InputEmpty => {}
            ReadRecordResult::OutputFull => content.resize(2 * content.len(), 0),
            ReadRecordResult::OutputEndsFull => ends.resize(2 * ends.len(), 0),
            ReadRecordResult::Record => {
                let begins = std::iter::once(0).chain(ends[..fields].iter().copied());
                let row: Vec<&[u8]> =
                    begins.zip(&ends[..fields]).map(|(begin, end)| &content[begin..*end]).collect();
                each(&row)?;
                (length, fields) = (0, 0);
            }
            ReadRecordResult::End => return Ok(()),
        }
    }
}

/// Whether a row names columns, by a rule that loses nothing: its fields are distinct, ASCII, and none has as many words as a
/// text that is looked for.
fn is_header(row: &[String]) -> bool {
    let words = |field: &str| {
        field.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).count()
    };
    let alone = |at: usize| !row[..at].contains(&row[at]);
    row.iter().enumerate().all(|(at, field)| {
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
        assert_eq!(table.rows[0][0], "Is it, or\nnot?");
        assert_eq!(table.places(Some(&["answer".to_owned()])), [2]);
        assert_eq!(table.places(None), [0, 1, 2]);
        // Eight words, an empty field, fields that repeat.
        for first in ["gj04\tThe sailors rode the breeze clear of rocks", "gj04\t", "a\ta", "Вопрос\ta"]
        {
            let table = read(&format!("{first}\nx\ty\n"), b'\t');
            assert!(table.header.is_none() && table.rows.len() == 2, "{first}");
        }
        assert_eq!(read("label\ttext\n1\t\"so he said\n", b'\t').rows[0][1], "\"so he said");
    }

    #[test]
    fn long_and_many_fields_are_whole() {
        let long = "a b ".repeat(5_000);
        let row = vec![long.as_str(); 40].join(",");
        let table = read(&format!("{row}\n\n{row}"), b',');
        assert_eq!(table.rows.len(), 2);
        assert!(table.rows.iter().flatten().all(|field| *field == long));
    }

    #[test]
    fn rows_of_another_width_and_other_encodings_are_refused() {
        let refused = |bytes: &[u8]| Table::read(bytes, b',', true).unwrap_err();
        assert_eq!(refused(b"a,b\n1,2\n3\n"), (3, "1 fields, where the first row has 2".to_owned()));
        assert_eq!(refused(b"a,b\n\xff,2\n"), (2, "it is not UTF-8".to_owned()));
    }
}
