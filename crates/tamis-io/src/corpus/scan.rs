//! Finding and counting bytes, many times over short stretches.
//!
//! `memchr` is fast over long stretches, but without link-time optimisation its kernels call their innermost steps as
//! functions, and between two line breaks of a text there is hardly a kilobyte. These loops are plain enough for the
//! compiler to make vector code of them in place.

/// Bytes that are looked at eight by eight before longer steps are taken.
const NEAR: usize = 64;

const ONES: u64 = u64::from_le_bytes([1; 8]);
const HIGH: u64 = ONES << 7;

/// Where `needle` is first.
#[inline]
pub(super) fn find(needle: u8, bytes: &[u8]) -> Option<usize> {
    first(bytes, |word| equal(word, needle), |byte| byte == needle)
}

/// Where the content of a JSON string has to be looked at: a quotation mark, a backslash or a control character.
#[inline]
pub(super) fn find_in_string(bytes: &[u8]) -> Option<usize> {
    first(bytes, |word| equal(word, b'"') | equal(word, b'\\') | below(word, 0x20), special)
}

#[inline(always)]
fn special(byte: u8) -> bool {
    (byte == b'"') | (byte == b'\\') | (byte < 0x20)
}

/// As [`find_in_string`], all places in 64 bytes: one bit each, the lowest for the first.
#[inline]
pub(super) fn all_in_string(piece: &[u8; 64]) -> u64 {
    all(piece, special)
}

/// All backslashes in 64 bytes: one bit each, the lowest for the first.
#[inline]
pub(super) fn all_backslashes(piece: &[u8; 64]) -> u64 {
    all(piece, |byte| byte == b'\\')
}

#[inline(always)]
fn all(piece: &[u8; 64], hit: impl Fn(u8) -> bool) -> u64 {
    let mut hits = [0; 64];
    for at in 0..64 {
        hits[at] = u8::from(hit(piece[at]));
    }
    let mut mask = 0;
    for (at, word) in hits.as_chunks::<8>().0.iter().enumerate() {
        // Brings the lowest bits of the eight bytes together in the highest byte.
        mask |= (u64::from_le_bytes(*word).wrapping_mul(0x0102_0408_1020_4080) >> 56) << (8 * at);
    }
    mask
}

/// Where a byte is a hit; of the eight bytes of a word, `hits` has to mark the first one.
#[inline(always)]
fn first(bytes: &[u8], hits: impl Fn(u64) -> u64 + Copy, hit: impl Fn(u8) -> bool + Copy) -> Option<usize> {
    let near = bytes.len().min(NEAR);
    if let Some(at) = first_near(&bytes[..near], hits, hit) {
        return Some(at);
    }
    let (pieces, rest) = bytes[near..].as_chunks::<64>();
    let found = pieces.iter().position(|piece| piece.iter().fold(false, |any, &byte| any | hit(byte)));
    let (from, last) = match found {
        Some(at) => (near + at * 64, &pieces[at][..]),
        None => (bytes.len() - rest.len(), rest),
    };
    first_near(last, hits, hit).map(|at| from + at)
}

#[inline(always)]
fn first_near(bytes: &[u8], hits: impl Fn(u64) -> u64, hit: impl Fn(u8) -> bool) -> Option<usize> {
    let (words, rest) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let found = hits(u64::from_le_bytes(*word));
        if found != 0 {
            return Some(at * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    rest.iter().position(|&byte| hit(byte)).map(|at| words.len() * 8 + at)
}

/// Marks the first byte that is `needle`, and perhaps bytes after it.
#[inline(always)]
fn equal(word: u64, needle: u8) -> u64 {
    below(word ^ (ONES * u64::from(needle)), 1)
}

/// Marks the first byte that is less than `limit` (at most 128), and perhaps bytes after it.
#[inline(always)]
fn below(word: u64, limit: u8) -> u64 {
    // A subtraction borrows into a byte's high bit where it is less, and into no other byte's below the first such.
    word.wrapping_sub(ONES * u64::from(limit)) & !word & HIGH
}

/// How often `needle` occurs.
pub(super) fn count(needle: u8, bytes: &[u8]) -> u64 {
    count_hits(bytes, |byte| byte == needle)
}

/// Characters of UTF-8: bytes that continue none.
pub(super) fn characters(bytes: &[u8]) -> u64 {
    count_hits(bytes, |byte| byte as i8 >= -0x40)
}

/// Hits, in sums that cannot overflow a byte.
#[inline(always)]
fn count_hits(bytes: &[u8], hit: impl Fn(u8) -> bool) -> u64 {
    let step = |count: u8, byte: &u8| count + u8::from(hit(*byte));
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
            let bytes = [vec![0x2b; gap], rest].concat();
            for needle in [b'\n', 0, 0x8a, 0xff] {
                prop_assert_eq!(find(needle, &bytes), bytes.iter().position(|byte| *byte == needle));
                prop_assert_eq!(count(needle, &bytes), bytes.iter().filter(|byte| **byte == needle).count() as u64);
            }
            let special = |byte: &u8| *byte == b'"' || *byte == b'\\' || *byte < 0x20;
            prop_assert_eq!(find_in_string(&bytes), bytes.iter().position(special));
            for piece in bytes.as_chunks::<64>().0 {
                let bits = |hit: &dyn Fn(&u8) -> bool| (0..64).filter(|at| hit(&piece[*at])).fold(0, |mask, at| mask | 1_u64 << at);
                prop_assert_eq!(all_in_string(piece), bits(&special));
                prop_assert_eq!(all_backslashes(piece), bits(&|byte| *byte == b'\\'));
            }
        }
    }

    proptest! {
        #[test]
        fn characters_are_counted(text in any::<String>()) {
            prop_assert_eq!(characters(text.as_bytes()), text.chars().count() as u64);
        }
    }

    #[test]
    fn counts_do_not_overflow() {
        assert_eq!(count(b'x', &[b'x'; 5000]), 5000);
    }
}
