//! Cuts the rows of a shard into parts that are worth committing, leaving out what was committed before.

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use tamis_core::column;
use tamis_io::run::RowSpan;

use crate::schedule::{Amount, ShardShare};

/// A part to compute: the physical rows it covers, and slices of batches with its documents (possibly none).
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) span: RowSpan,
    pub(crate) slices: Vec<RecordBatch>,
    pub(crate) bytes: u64,
}

/// Takes batches in row order and gives back parts that together cover exactly the missing spans.
pub(crate) struct PartCutter<'s> {
    missing: std::vec::IntoIter<RowSpan>,
    share: ShardShare<'s>,
    /// First row not yet covered by a part, and the end of the span it lies in.
    open: Option<(u64, u64)>,
    slices: Vec<RecordBatch>,
    holds: Amount,
}

impl<'s> PartCutter<'s> {
    /// Parts end where the shard's share of the schedule says, or with their span.
    pub(crate) fn new(missing: Vec<RowSpan>, share: ShardShare<'s>) -> Self {
        let mut missing = missing.into_iter();
        let open = missing.next().map(|span| (span.first_row, span.end()));
        Self { missing, share, open, slices: Vec::new(), holds: Amount::default() }
    }

    /// The documents that are left have so many bytes each.
    pub(crate) fn documents_have(&mut self, bytes: u64) {
        self.share.documents_have(bytes);
    }

    /// The first row that is still wanted; `None` when no more rows are.
    pub(crate) fn wanted_from(&self) -> Option<u64> {
        self.open.map(|(start, _)| start)
    }

    /// Adds a batch with a `row` column; `size` gives the bytes of a row of it.
    pub(crate) fn push(&mut self, batch: &RecordBatch, size: impl Fn(usize) -> u64) -> Vec<Part> {
        let rows =
            batch.column_by_name(column::ROW).expect("keyed batches have rows").as_primitive::<UInt64Type>();
        let mut parts = Vec::new();
        let mut from = 0;
        for at in 0..rows.len() {
            let row = rows.value(at);
            while let Some((_, end)) = self.open.filter(|(_, end)| row >= *end) {
                self.take(batch, from, at);
                from = at;
                parts.push(self.close(end));
            }
            match self.open {
                Some((start, _)) if row >= start => {
                    let bytes = size(at);
                    if self.share.ends_before(self.holds, bytes) {
                        self.take(batch, from, at);
                        from = at;
                        parts.push(self.close(row));
                    }
                    self.holds.bytes += bytes;
                    self.holds.documents += 1;
                    if self.share.is_enough(self.holds) {
                        self.take(batch, from, at + 1);
                        from = at + 1;
                        parts.push(self.close(row + 1));
                    }
                }
                _ => from = at + 1,
            }
        }
        self.take(batch, from, rows.len());
        parts
    }

    /// What is left when no more batches come: the rest of the missing rows, which hold no further documents.
    pub(crate) fn finish(mut self) -> Vec<Part> {
        let mut parts = Vec::new();
        while let Some((_, end)) = self.open {
            parts.push(self.close(end));
        }
        parts
    }

    fn take(&mut self, batch: &RecordBatch, from: usize, to: usize) {
        if to > from {
            self.slices.push(batch.slice(from, to - from));
        }
    }

    /// Ends the open part before physical row `end`.
    fn close(&mut self, end: u64) -> Part {
        let (start, span_end) = self.open.expect("a part is open");
        self.open = if end < span_end {
            Some((end, span_end))
        } else {
            self.missing.next().map(|span| (span.first_row, span.end()))
        };
        let holds = std::mem::take(&mut self.holds);
        self.share.take(holds);
        Part {
            span: RowSpan { first_row: start, rows: end - start },
            slices: std::mem::take(&mut self.slices),
            bytes: holds.bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Array, UInt64Array};
    use proptest::prelude::*;

    use super::*;
    use crate::schedule::Schedule;

    fn batch(rows: &[u64]) -> RecordBatch {
        let array: Arc<dyn Array> = Arc::new(UInt64Array::from(rows.to_vec()));
        RecordBatch::try_from_iter([(column::ROW, array)]).unwrap()
    }

    proptest! {
        #[test]
        fn parts_cover_the_missing_rows_once_and_hold_their_documents(
            present in proptest::collection::vec(any::<bool>(), 1..200),
            done in proptest::collection::vec(any::<bool>(), 200),
            batch_rows in 1_usize..50,
            part_bytes in 1_u64..40,
            workers in 1_usize..5,
            long in 1_u64..20,
            // What is left may be guessed wrongly.
            (bytes, guessed) in (0_u64..900, 0_u64..300),
        ) {
            let total = present.len() as u64;
            let documents: Vec<u64> = (0..total).filter(|&row| present[row as usize]).collect();
            let mut missing: Vec<RowSpan> = Vec::new();
            for row in (0..total).filter(|&row| !done[row as usize]) {
                match missing.last_mut() {
                    Some(span) if span.end() == row => span.rows += 1,
                    _ => missing.push(RowSpan { first_row: row, rows: 1 }),
                }
            }
            let left = Amount { bytes, documents: guessed };
            let schedule = Schedule::new(workers, part_bytes, left);
            let mut cutter = PartCutter::new(missing.clone(), schedule.shard(left));
            let mut parts = Vec::new();
            for rows in documents.chunks(batch_rows) {
                parts.extend(cutter.push(&batch(rows), |at| if rows[at] % 7 == 0 { long } else { 3 }));
            }
            parts.extend(cutter.finish());
            let covered: Vec<u64> = parts.iter().flat_map(|part| part.span.first_row..part.span.end()).collect();
            let wanted: Vec<u64> = missing.iter().flat_map(|span| span.first_row..span.end()).collect();
            prop_assert_eq!(covered, wanted);
            for part in &parts {
                let held: Vec<u64> = part
                    .slices
                    .iter()
                    .flat_map(|slice| slice.column(0).as_primitive::<UInt64Type>().values().to_vec())
                    .collect();
                let expected: Vec<u64> = (part.span.first_row..part.span.end()).filter(|row| present[*row as usize]).collect();
                prop_assert_eq!(held, expected);
                prop_assert!(part.slices.is_empty() || part.bytes < part_bytes + long.max(3));
            }
        }
    }
}
