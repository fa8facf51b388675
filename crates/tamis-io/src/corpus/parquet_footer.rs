//! The footer of a Parquet file as bytes, for what the parser of the crate does not tell or does not give back.
//!
//! It fills in types that a schema does not state, does not know those that are younger than itself, and says nothing of
//! encryption. A kept file therefore gets the schema of its input as it lies there, and a file that is encrypted in parts
//! is seen when it is opened. What is here walks the values of Thrift's compact protocol (the specification of Apache Thrift,
//! `thrift-compact-protocol.md`) and skips what it is not asked for; it knows the numbers of five fields of `parquet.thrift`.

use std::ops::Range;

/// Values within values; the format itself needs seven.
const MAX_DEPTH: u32 = 64;

/// `FileMetaData.schema`, `.row_groups`, `.encryption_algorithm`.
const SCHEMA: i64 = 2;
const ROW_GROUPS: i64 = 4;
const ENCRYPTION_ALGORITHM: i64 = 8;
/// `RowGroup.columns`.
const COLUMNS: i64 = 1;
/// `ColumnChunk.crypto_metadata`.
const CRYPTO_METADATA: i64 = 8;

/// The kinds of values that have to be told apart.
const LIST: u8 = 9;
const STRUCT: u8 = 12;

/// One field of a struct.
#[derive(Debug)]
struct Field {
    id: i64,
    kind: u8,
    /// Where its value lies.
    value: Range<usize>,
}

/// The schema of a footer (`FileMetaData`), as it lies there; `None` where the bytes are no footer.
pub(super) fn schema(footer: &[u8]) -> Option<&[u8]> {
    footer.get(schema_range(footer)?)
}

/// The footer with another schema, of the same columns.
pub(super) fn with_schema(footer: &[u8], schema: &[u8]) -> Option<Vec<u8>> {
    let range = schema_range(footer)?;
    Some([footer.get(..range.start)?, schema, footer.get(range.end..)?].concat())
}

fn schema_range(footer: &[u8]) -> Option<Range<usize>> {
    let fields = Walk::new(footer).fields(0)?;
    fields.into_iter().find(|field| field.id == SCHEMA && field.kind == LIST).map(|field| field.value)
}

/// What a footer that can be read says of encryption.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Encryption {
    None,
    /// Some columns are encrypted: which, by their number in the first row group. With none, the footer is but signed.
    Columns(Vec<usize>),
}

/// `None` where the bytes are no footer.
pub(super) fn encryption(footer: &[u8]) -> Option<Encryption> {
    let fields = Walk::new(footer).fields(0)?;
    if fields.iter().all(|field| field.id != ENCRYPTION_ALGORITHM) {
        return Some(Encryption::None);
    }
    let mut encrypted = Vec::new();
    let row_groups = fields.iter().find(|field| field.id == ROW_GROUPS);
    if let Some(first) = row_groups.and_then(|groups| structs(footer, groups)?.into_iter().next())
        && let Some(columns) = first.iter().find(|field| field.id == COLUMNS)
    {
        for (at, column) in structs(footer, columns)?.iter().enumerate() {
            if column.iter().any(|field| field.id == CRYPTO_METADATA) {
                encrypted.push(at);
            }
        }
    }
    Some(Encryption::Columns(encrypted))
}

/// The fields of each struct of a list.
fn structs(footer: &[u8], list: &Field) -> Option<Vec<Vec<Field>>> {
    if list.kind != LIST {
        return None;
    }
    let mut walk = Walk { bytes: footer, at: list.value.start };
    let (kind, length) = walk.list_header()?;
    if kind != STRUCT {
        return (length == 0).then(Vec::new);
    }
    (0..length).map(|_| walk.fields(0)).collect()
}

struct Walk<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Walk<'b> {
    fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn advance(&mut self, bytes: u64) -> Option<()> {
        self.at = self.at.checked_add(usize::try_from(bytes).ok()?).filter(|at| *at <= self.bytes.len())?;
        Some(())
    }

    /// The fields of a struct; the walk then stands behind it.
    fn fields(&mut self, depth: u32) -> Option<Vec<Field>> {
        let mut fields = Vec::new();
        let mut id = 0_i64;
        loop {
            let header = self.byte()?;
            if header == 0 {
                return Some(fields);
            }
            match i64::from(header >> 4) {
                0 => {
                    let zigzag = self.varint()?;
                    id = (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64);
                }
                delta => id = id.checked_add(delta)?,
            }
            let (kind, start) = (header & 0x0f, self.at);
            // The header of a field that is a boolean is its value too.
            if !matches!(kind, 1 | 2) {
                self.skip(kind, depth + 1)?;
            }
            fields.push(Field { id, kind, value: start..self.at });
        }
    }

    /// Kind and number of a list's elements.
    fn list_header(&mut self) -> Option<(u8, u64)> {
        let header = self.byte()?;
        let length = match header >> 4 {
            15 => self.varint()?,
            short => u64::from(short),
        };
        Some((header & 0x0f, length))
    }

    fn skip(&mut self, kind: u8, depth: u32) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        match kind {
            1..=3 => self.advance(1),
            4..=6 => self.varint().map(drop),
            7 => self.advance(8),
            8 => {
                let length = self.varint()?;
                self.advance(length)
            }
            LIST | 10 => {
                let (kind, length) = self.list_header()?;
                (0..length).try_for_each(|_| self.skip(kind, depth + 1))
            }
            11 => {
                let length = self.varint()?;
                let kinds = if length == 0 { 0 } else { self.byte()? };
                (0..length).try_for_each(|_| {
                    self.skip(kinds >> 4, depth + 1)?;
                    self.skip(kinds & 0x0f, depth + 1)
                })
            }
            STRUCT => self.fields(depth).map(drop),
            13 => self.advance(16),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `{1: i32 1, 2: [{4: "a"}], 3: i64 5, 4: [{1: [{2: i64 0}, {8: {}}]}], 5: true, 20: map, 8: {}}`
    fn footer() -> Vec<u8> {
        let mut bytes = vec![0x15, 2, 0x19, 0x1c, 0x48, 1, b'a', 0, 0x16, 10];
        bytes.extend([0x19, 0x1c, 0x19, 0x2c, 0x26, 0, 0, 0x8c, 0, 0, 0]);
        bytes.extend([0x11, 0xfb, 1, 0x58, 6, 1, b'k']);
        bytes.extend([0x0c, 16, 0, 0]);
        bytes
    }

    #[test]
    fn a_schema_is_found_and_replaced_among_all_kinds_of_fields() {
        let footer = footer();
        assert_eq!(schema(&footer).unwrap(), [0x1c, 0x48, 1, b'a', 0]);
        let other = [0x1c, 0x48, 2, b'b', b'c', 0];
        let replaced = with_schema(&footer, &other).unwrap();
        assert_eq!(schema(&replaced).unwrap(), other);
        assert_eq!(with_schema(&replaced, schema(&footer).unwrap()).unwrap(), footer);
    }

    #[test]
    fn encrypted_columns_are_told_by_number() {
        assert_eq!(encryption(&footer()), Some(Encryption::Columns(vec![1])));
        assert_eq!(encryption(&[0x15, 2, 0]), Some(Encryption::None));
    }

    #[test]
    fn bytes_that_are_no_footer_are_refused_at_once() {
        let whole = footer();
        for end in 0..whole.len() {
            assert_eq!(schema(&whole[..end]), None, "cut at {end}");
        }
        assert_eq!(schema(&[0x1c; 1_000_000]), None, "too deep");
        assert_eq!(schema(&[0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]), None);
    }
}
