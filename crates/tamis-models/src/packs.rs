//! Which sequences go to a model together.

use std::ops::Range;

/// Sequences of like length in packs of at most `budget` tokens; a longer sequence is a pack of its own.
///
/// Returns the indices of the sequences in the order in which they are to be read, shortest first, and the range of that
/// order for each pack. Results are put back by index, so that packing changes speed and memory, not values.
pub(crate) fn packs(lengths: &[usize], budget: usize) -> (Vec<usize>, Vec<Range<usize>>) {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&at| lengths[at]);
    let mut packs = Vec::new();
    let (mut from, mut tokens) = (0, 0);
    for (at, &sequence) in order.iter().enumerate() {
        if at > from && tokens + lengths[sequence] > budget {
            packs.push(from..at);
            (from, tokens) = (at, 0);
        }
        tokens += lengths[sequence];
    }
    if from < order.len() {
        packs.push(from..order.len());
    }
    (order, packs)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_sequence_is_in_one_pack_and_packs_keep_to_the_budget(
            lengths in proptest::collection::vec(1usize..300, 0..80),
            budget in 1usize..1000,
        ) {
            let (order, packs) = packs(&lengths, budget);
            let mut seen: Vec<usize> = packs.iter().flat_map(|pack| &order[pack.clone()]).copied().collect();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..lengths.len()).collect::<Vec<_>>());
            for pack in packs {
                let tokens: usize = order[pack.clone()].iter().map(|&at| lengths[at]).sum();
                prop_assert!(!pack.is_empty() && (tokens <= budget || pack.len() == 1));
            }
        }
    }
}
