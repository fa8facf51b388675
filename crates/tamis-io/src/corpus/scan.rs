//! Finding and counting one byte, many times over short stretches.
//!
//! `memchr` is fast over long stretches, but without link-time optimisation its kernels call their innermost steps as
//! functions, and between two line breaks of a text there is hardly a kilobyte. These loops are plain enough for the
//! compiler to make vector code of them in place.

const ONES: u64 = u64::from_le_bytes([1; 8]);
const HIGH: u64 = ONES << 7;

/// Bytes that are looked at eight by eight before longer steps are taken.
const NEAR: usize = 128;

/// Where `needle` is first.
#[inline]
pub(super) fn find(needle: u8, bytes: &[u8]) -> Option<usize> {
    let near = bytes.len().min(NEAR);
    if let Some(at) = find_near(needle, &bytes[..near]) {
        return Some(at);
    }
    let (pieces, rest) = bytes[near..].as_chunks::<64>();
    let hit = pieces.iter().position(|piece| piece.iter().fold(false, |hit, byte| hit | (*byte == needle)));
    let (from, last) = match hit {
        Some(at) => (near + at * 64, &pieces[at][..]),
        None => (bytes.len() - rest.len(), rest),
    };
    find_near(needle, last).map(|at| from + at)
}

#[inline]
fn find_near(needle: u8, bytes: &[u8]) -> Option<usize> {
    let pattern = ONES * u64::from(needle);
    let (words, rest) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        // A byte becomes zero where the needle is; subtracting 1 then borrows into its high bit, and into no other byte's
        // below the first such one.
        let word = u64::from_le_bytes(*word) ^ pattern;
        let found = word.wrapping_sub(ONES) & !word & HIGH;
        if found != 0 {
            return Some(at * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    rest.iter().position(|byte| *byte == needle).map(|at| words.len() * 8 + at)
}

/// How often `needle` occurs, in sums that cannot overflow a byte.
pub(super) fn count(needle: u8, bytes: &[u8]) -> u64 {
    let step = |count: u8, byte: &u8| count + u8::from(*byte == needle);
    bytes.chunks(192).map(|piece| u64::from(piece.iter().fold(0, step))).sum()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_first_of_all_is_found(gap in 0usize..600, rest in vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(0x8a), any::<u8>()], 0..300)) {
            let bytes = [vec![0x0b; gap], rest].concat();
            for needle in [b'\n', 0, 0x8a, 0xff] {
                prop_assert_eq!(find(needle, &bytes), bytes.iter().position(|byte| *byte == needle));
                prop_assert_eq!(count(needle, &bytes), bytes.iter().filter(|byte| **byte == needle).count() as u64);
            }
        }
    }

    #[test]
    fn counts_do_not_overflow() {
        assert_eq!(count(b'x', &[b'x'; 5000]), 5000);
    }
}
