//! Letters and digits of ASCII, 64 bytes at a time: for loops over words that do not look at every byte.
//!
//! The same on every machine. On x86-64 by SSE2, which every such machine has; elsewhere in plain Rust.

/// Bytes of a block.
pub const BLOCK: usize = 64;

/// What 64 bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The bytes with bit 5 set: lower case of letters, digits as they are; of no meaning for other bytes.
    pub lower: [u8; BLOCK],
    /// Bit i is set where byte i is a letter or digit of ASCII.
    pub words: u64,
    /// Bit i is set where byte i is not ASCII.
    pub other: u64,
}

impl Block {
    /// Looks at 64 bytes.
    #[inline]
    #[must_use]
    pub fn of(bytes: &[u8; BLOCK]) -> Self {
        #[cfg(target_arch = "x86_64")]
        return sse2(bytes);
        #[cfg(not(target_arch = "x86_64"))]
        portable(bytes)
    }
}

#[cfg(any(test, not(target_arch = "x86_64")))]
fn portable(bytes: &[u8; BLOCK]) -> Block {
    let (mut words, mut other) = (0, 0);
    for (at, byte) in bytes.iter().enumerate() {
        words |= u64::from(byte.is_ascii_alphanumeric()) << at;
        other |= u64::from(!byte.is_ascii()) << at;
    }
    Block { lower: bytes.map(|byte| byte | 0x20), words, other }
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn sse2(bytes: &[u8; BLOCK]) -> Block {
    use std::arch::x86_64::*;
    let mut block = Block { lower: [0; BLOCK], words: 0, other: 0 };
    let (parts, _) = bytes.as_chunks::<16>();
    let (lower, _) = block.lower.as_chunks_mut::<16>();
    for (at, (part, lower)) in parts.iter().zip(lower).enumerate() {
        // SAFETY: sixteen bytes are read and written, without alignment, by instructions that every x86-64 has.
        let (words, other) = unsafe {
            let byte = _mm_loadu_si128(part.as_ptr().cast());
            let folded = _mm_or_si128(byte, _mm_set1_epi8(0x20));
            _mm_storeu_si128(lower.as_mut_ptr().cast(), folded);
            // A range is moved to the smallest signed numbers, where one comparison tells it.
            let letter = _mm_add_epi8(folded, _mm_set1_epi8((0x80 - b'a').cast_signed()));
            let letter = _mm_cmplt_epi8(letter, _mm_set1_epi8(i8::MIN + 26));
            let digit = _mm_add_epi8(byte, _mm_set1_epi8((0x80 - b'0').cast_signed()));
            let digit = _mm_cmplt_epi8(digit, _mm_set1_epi8(i8::MIN + 10));
            (_mm_movemask_epi8(_mm_or_si128(letter, digit)), _mm_movemask_epi8(byte))
        };
        block.words |= u64::from(words.cast_unsigned()) << (16 * at);
        block.other |= u64::from(other.cast_unsigned()) << (16 * at);
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_byte_in_every_place_is_what_it_is() {
        for byte in 0..=u8::MAX {
            for at in 0..BLOCK {
                let mut bytes = [b' '; BLOCK];
                bytes[at] = byte;
                assert_eq!(Block::of(&bytes), portable(&bytes), "{byte} at {at}");
            }
        }
    }

    proptest! {
        #[test]
        fn both_forms_agree(bytes: [[u8; 32]; 2]) {
            let bytes: [u8; BLOCK] = bytes.as_flattened().try_into().unwrap();
            prop_assert_eq!(Block::of(&bytes), portable(&bytes));
        }
    }
}
