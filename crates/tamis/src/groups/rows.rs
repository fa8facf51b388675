//! Results in the order of rows, and the columns that are made of them.

use std::ops::Range;

use arrow_array::RecordBatch;
use tamis_io::Sorted;

use super::here::Results;
use super::{Grouping, PLACE_BYTES};
use crate::Result;

/// Rows whose values are made at a time.
const ROWS_AT_ONCE: u64 = 1 << 16;

/// Results that are read at a time.
const RESULTS_AT_ONCE: u64 = 1 << 12;

/// The results of some rows that follow each other.
pub(crate) struct RowResults<'a> {
    first: u64,
    rows: usize,
    width: usize,
    records: &'a [u8],
}

impl RowResults<'_> {
    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Each result with the row that it is for, by row; those of one row by their bytes.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &[u8])> {
        self.records.chunks_exact(self.width).map(|record| {
            let (place, value) = record.split_at(PLACE_BYTES);
            let place = u64::from_be_bytes(place.try_into().expect("a place has 8 bytes"));
            ((place - self.first) as usize, value)
        })
    }
}

/// Goes through results in their order.
pub(super) struct Walk<'a> {
    tables: &'a [Sorted],
    table: usize,
    next: u64,
    width: usize,
    some: Vec<u8>,
    at: usize,
}

impl<'a> Walk<'a> {
    /// From the first result of the row `start` on, which is in the first table.
    pub(super) fn new(tables: &'a [Sorted], start: u64, width: usize) -> Result<Self> {
        let next = match tables.first() {
            Some(table) => table.first_from(&start.to_be_bytes())?,
            None => 0,
        };
        Ok(Self { tables, table: 0, next, width, some: Vec::new(), at: 0 })
    }

    /// Adds the results of rows before `end` to `out`.
    pub(super) fn take(&mut self, end: u64, out: &mut Vec<u8>) -> Result<()> {
        let end = end.to_be_bytes();
        loop {
            while self.at < self.some.len() {
                let record = &self.some[self.at..self.at + self.width];
                if record[..PLACE_BYTES] >= end[..] {
                    return Ok(());
                }
                out.extend_from_slice(record);
                self.at += self.width;
            }
            let Some(table) = self.tables.get(self.table) else { return Ok(()) };
            let until = (self.next + RESULTS_AT_ONCE).min(table.records());
            self.some.clear();
            self.at = 0;
            table.read(self.next..until, &mut self.some)?;
            self.next = until;
            if until == table.records() {
                self.table += 1;
                self.next = 0;
            }
        }
    }
}

/// Calls `each` with the values of some rows, by the results of them.
pub(super) fn values(
    grouping: &dyn Grouping,
    results: &Results,
    range: Range<u64>,
    mut each: impl FnMut(RecordBatch) -> Result<()>,
) -> Result<()> {
    let width = grouping.info().result_record_bytes();
    let mut walk = Walk::new(results.tables_from(range.start), range.start, width)?;
    let mut records = Vec::new();
    let mut first = range.start;
    while first < range.end {
        let end = (first + ROWS_AT_ONCE).min(range.end);
        records.clear();
        walk.take(end, &mut records)?;
        each(of_rows(grouping, first, (end - first) as usize, &records)?)?;
        first = end;
    }
    Ok(())
}

/// The values of some rows from the records of their results.
pub(super) fn of_rows(
    grouping: &dyn Grouping,
    first: u64,
    rows: usize,
    records: &[u8],
) -> Result<RecordBatch> {
    let width = grouping.info().result_record_bytes();
    let values = grouping.values(&RowResults { first, rows, width, records })?;
    if values.num_rows() == rows {
        return Ok(values);
    }
    let problem = format!("{rows} rows in, {} out", values.num_rows());
    Err(tamis_core::Error::Corrupt { what: "values of groups", problem }.into())
}
