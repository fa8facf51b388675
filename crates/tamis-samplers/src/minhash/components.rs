//! Connected components of documents, in memory.

use super::MinHashError;

/// Union–find over document numbers 0 … N − 1.
///
/// A component's root is always its smallest number: the smaller root becomes the parent of the other, and paths are halved
/// (Tarjan and van Leeuwen 1984, doi:10.1145/62.2160). What comes out depends on the set of edges alone, not on their order or
/// direction. Memory 4 bytes a document; time O(log N) an operation, amortised, and in practice a few steps.
///
/// Components are transitive: two documents of one may have nothing in common. Chains of them are what makes the giant clusters
/// that near-duplicate removal is known for; look at [`Components::sizes`], and join verified pairs where that matters.
#[derive(Clone, Debug)]
pub struct Components {
    /// Never larger than the number itself.
    parent: Vec<u32>,
}

impl Components {
    /// The most documents: their numbers are u32.
    pub const MOST_DOCUMENTS: u64 = 1 << 32;

    /// N documents, each by itself.
    ///
    /// # Errors
    /// [`MinHashError::TooManyDocuments`] beyond 2³²; there [`super::propagation`] does.
    pub fn new(documents: u64) -> Result<Self, MinHashError> {
        if documents > Self::MOST_DOCUMENTS {
            return Err(MinHashError::TooManyDocuments { found: documents, most: Self::MOST_DOCUMENTS });
        }
        Ok(Self { parent: (0..documents).map(|number| number as u32).collect() })
    }

    /// N.
    #[must_use]
    pub fn documents(&self) -> usize {
        self.parent.len()
    }

    /// The smallest number of a document's component.
    ///
    /// # Panics
    /// If there is no such document.
    pub fn find(&mut self, mut document: u32) -> u32 {
        loop {
            let parent = self.parent[document as usize];
            if parent == document {
                return document;
            }
            let grandparent = self.parent[parent as usize];
            self.parent[document as usize] = grandparent;
            document = grandparent;
        }
    }

    /// Joins the components of two documents; whether they were two.
    ///
    /// # Panics
    /// If there is no such document.
    pub fn join(&mut self, a: u32, b: u32) -> bool {
        let (a, b) = (self.find(a), self.find(b));
        self.parent[a.max(b) as usize] = a.min(b);
        a != b
    }

    /// Joins all documents of a group, e.g. those of one band key. Linear in the group: no pairs are made.
    ///
    /// # Panics
    /// If there is no such document.
    pub fn join_group(&mut self, group: &[u32]) {
        for pair in group.windows(2) {
            self.join(pair[0], pair[1]);
        }
    }

    /// Per document the smallest number of its component. Takes no further memory.
    #[must_use]
    pub fn into_labels(mut self) -> Vec<u32> {
        // Parents are smaller, so they have their label already.
        for document in 0..self.parent.len() {
            self.parent[document] = self.parent[self.parent[document] as usize];
        }
        self.parent
    }

    /// Per document the one of its component that stands for it: that of the smallest rank, of equal ranks the smallest number. 4
    /// bytes a document more.
    #[must_use]
    pub fn into_representatives<Rank: Ord>(self, rank: impl Fn(u32) -> Rank) -> Vec<u32> {
        let mut labels = self.into_labels();
        let mut best = labels.clone();
        for (document, &label) in (0_u32..).zip(&labels) {
            let found = &mut best[label as usize];
            // `best` begins at the label itself, which is the smallest number.
            if rank(document) < rank(*found) {
                *found = document;
            }
        }
        for label in &mut labels {
            *label = best[*label as usize];
        }
        labels
    }

    /// Sizes of the components of two and more documents, by the smallest number of each, in the order of those.
    #[must_use]
    pub fn sizes(labels: &[u32]) -> Vec<(u32, u64)> {
        let mut counts = vec![0_u64; labels.len()];
        for &label in labels {
            counts[label as usize] += 1;
        }
        (0_u32..).zip(counts).filter(|&(_, count)| count > 1).collect()
    }
}
