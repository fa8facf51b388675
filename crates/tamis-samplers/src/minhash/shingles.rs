//! Shingles: hashes of n units in a row.
//!
//! A unit's hash is xxh3 (64 bits) of its normalised UTF-8. Of the hashes u₁ … uₖ of a window the shingle is
//! mix(Σ uᵢ · Mᵏ⁻ⁱ modulo 2⁶⁴), where M is an odd constant and mix the finaliser of `SplitMix64`: order counts, the window
//! rolls in a few operations whatever n is, and the result is well mixed, which the permutations ask for. A document of fewer
//! than n units has one shingle, of all of them.

use xxhash_rust::xxh3::xxh3_64;

use super::MinHashError;
use super::words::each_unit;

/// The base of the polynomial: an odd number without structure.
pub(crate) const BASE: u64 = 0x9e6c_63d0_876a_3f6b;

/// The most units of a shingle.
pub(crate) const MOST_UNITS: usize = 64;

/// Makes shingles of n units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shingles {
    n: usize,
    /// M to the power of n, what the unit that leaves the window counts for.
    leaving: u64,
}

impl Shingles {
    /// Of n units each.
    ///
    /// # Errors
    /// [`MinHashError::Ngram`] unless n is 1 to 64.
    pub fn new(n: usize) -> Result<Self, MinHashError> {
        if !(1..=MOST_UNITS).contains(&n) {
            return Err(MinHashError::Ngram { found: n, most: MOST_UNITS });
        }
        Ok(Self { n, leaving: (0..n).fold(1, |power: u64, _| power.wrapping_mul(BASE)) })
    }

    /// n.
    #[must_use]
    pub fn n(&self) -> usize {
        self.n
    }

    /// Calls `each` with the hash of every shingle of a text, in order, those that repeat included. None where the text has no
    /// unit. Time is proportional to the text, memory constant.
    pub fn each(&self, text: &str, mut each: impl FnMut(u64)) {
        let mut window = [0_u64; MOST_UNITS];
        let window = &mut window[..self.n];
        let (mut at, mut count, mut sum) = (0, 0_usize, 0_u64);
        each_unit(text, |unit| {
            let hash = xxh3_64(unit);
            sum =
                sum.wrapping_mul(BASE).wrapping_add(hash).wrapping_sub(window[at].wrapping_mul(self.leaving));
            window[at] = hash;
            at = if at + 1 == window.len() { 0 } else { at + 1 };
            count += 1;
            if count >= self.n {
                each(mix(sum));
            }
        });
        if (1..self.n).contains(&count) {
            each(mix(sum));
        }
    }
}

/// The finaliser of `SplitMix64` (Steele et al. 2014, doi:10.1145/2660193.2660195): a permutation in which every bit of the input
/// reaches every bit of the output.
pub(crate) fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
