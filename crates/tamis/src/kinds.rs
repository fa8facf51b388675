//! From links between documents to kinds of documents: what is linked, through however many others, is of one kind.
//!
//! Links are found group by group ([`crate::groups`]) and are pairs of row numbers over the whole corpus. A kind is named by the
//! smallest of its row numbers, whichever way it was found; the name is used within a call and never stored.

use arrow_array::RecordBatch;
use tamis_io::run::CorpusVersion;
use tamis_samplers::UnionFind;

use crate::Result;
use crate::groups::{Grouped, Position};
use crate::project::Project;

/// The kind of each row.
pub(crate) struct Kinds {
    labels: UnionFind,
    /// Number of the first row of each shard.
    starts: Vec<u64>,
}

impl Project {
    /// Reads what was grouped, with the rows that each row is linked to.
    ///
    /// # Errors
    /// Files that cannot be read, and what `links` says.
    pub(crate) fn kinds(
        &self,
        version: &CorpusVersion,
        grouped: &Grouped<'_>,
        links: impl Fn(&RecordBatch, &mut dyn FnMut(usize, u64)) -> Result<()>,
    ) -> Result<Kinds> {
        let mut starts = Vec::with_capacity(version.shards.len());
        let mut labels = UnionFind::new(version.documents());
        let mut next = 0;
        for (at, shard) in version.shards.iter().enumerate() {
            starts.push(next);
            let mut first = next;
            grouped.read(at, |values| {
                links(values, &mut |row, other| labels.join(first + row as u64, other))?;
                first += values.num_rows() as u64;
                Ok(())
            })?;
            next += shard.documents;
        }
        labels.settle();
        Ok(Kinds { labels, starts })
    }
}

impl Kinds {
    /// From pairs of row numbers.
    pub(crate) fn of_pairs(version: &CorpusVersion, pairs: &[(u64, u64)]) -> Self {
        let mut labels = UnionFind::new(version.documents());
        pairs.iter().for_each(|(a, b)| labels.join(*a, *b));
        labels.settle();
        let starts = version.shards.iter().scan(0, |next, shard| {
            let start = *next;
            *next += shard.documents;
            Some(start)
        });
        Self { labels, starts: starts.collect() }
    }

    /// What the kind of the `row`-th document after `first` is called.
    pub(crate) fn of(&self, first: Position, row: usize) -> u64 {
        self.labels.label(self.starts[first.shard] + (first.document + row) as u64)
    }
}
