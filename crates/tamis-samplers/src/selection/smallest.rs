//! The k smallest of a stream, in memory for 2k of them.

/// The `k` smallest items, ascending.
///
/// A buffer of 2k is cut back to k by selection whenever it is full, and items above the current k-th are not stored: time
/// O(N + k log k), memory O(k). For memory that does not depend on k, and sources that can be read again, use
/// [`super::ThresholdSearch`].
#[must_use]
pub fn smallest<T: Ord>(k: usize, items: impl IntoIterator<Item = T>) -> Vec<T> {
    if k == 0 {
        return Vec::new();
    }
    let full = k.saturating_mul(2);
    let mut buffer: Vec<T> = Vec::new();
    // Set once k items are held: then `buffer[k - 1]` is the largest of the k smallest at the last cut.
    let mut cut_once = false;
    for item in items {
        if cut_once && item >= buffer[k - 1] {
            continue;
        }
        buffer.push(item);
        if buffer.len() >= full {
            buffer.select_nth_unstable(k - 1);
            buffer.truncate(k);
            cut_once = true;
        }
    }
    buffer.sort_unstable();
    buffer.truncate(k);
    buffer
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn equals_sorting(items in prop::collection::vec(0..50u32, 0..300), k in 0..40usize) {
            let mut sorted = items.clone();
            sorted.sort_unstable();
            sorted.truncate(k);
            prop_assert_eq!(smallest(k, items), sorted);
        }
    }
}
