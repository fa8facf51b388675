//! Components by label propagation, for corpora whose documents do not fit memory.
//!
//! Every document has a label, its own number at first. In a round every group (documents of one band key) offers its members
//! the smallest label among them, and every document takes the smallest that it was offered. When a round changes nothing, labels
//! are those of [`super::Components`]. Both halves are local: sort (document, label) by group for the first, the offers by
//! document for the second.
//!
//! Rounds: at most the longest of the shortest paths of a component, in groups, plus one to see that nothing changes. Duplicates
//! make dense components and a handful of rounds; a chain of N documents takes N. Where a caller sees many rounds, it should
//! replace each label by the label of the document that it names between rounds, which makes them about log N.

/// Gives every member of a group the smallest of their labels; whether one of them changed.
pub fn lower_group(labels: &mut [u64]) -> bool {
    let Some(&smallest) = labels.iter().min() else { return false };
    let changed = labels.iter().any(|&label| label != smallest);
    labels.fill(smallest);
    changed
}

/// One round in memory: the labels after it, and whether one of them changed. `labels[d]` is that of document d.
///
/// # Panics
/// If a group names a document that has no label.
pub fn round<'g>(labels: &[u64], groups: impl IntoIterator<Item = &'g [u64]>) -> (Vec<u64>, bool) {
    let mut lowered = labels.to_vec();
    let mut offers = Vec::new();
    for group in groups {
        offers.clear();
        offers.extend(group.iter().map(|&document| labels[document as usize]));
        lower_group(&mut offers);
        for (&document, &offer) in group.iter().zip(&offers) {
            let label = &mut lowered[document as usize];
            *label = (*label).min(offer);
        }
    }
    let changed = lowered != labels;
    (lowered, changed)
}
