//! A uniform number per document that depends on seed, stage and key, and on nothing else.
//!
//! h = xxh3-64 of (seed as u64 little-endian ‖ length of the stage as u64 little-endian ‖ stage ‖ the 16 bytes of the key),
//! v = ((h >> 12) + ½)·2⁻⁵². All 2⁵² values lie strictly inside (0, 1) and are exact; with 53 bits the largest would round
//! to 1 and its logarithm to −∞. No generator state means that shards, threads and machines need not agree on an order.

use tamis_core::DocKey;
use xxhash_rust::xxh3::xxh3_64;

/// The stage under which selection draws.
pub const SELECTION_STAGE: &str = "select";

/// The draws of one seed and stage.
#[derive(Clone, Debug)]
pub struct UniformDraws {
    prefix: Vec<u8>,
    short: Option<Short>,
}

/// xxh3-64 of a prefix of 17 to 31 bytes and a key, with all that the key does not touch done beforehand.
///
/// The definition of xxh3 for 33 to 64 bytes (four folded products of 16 bytes each, then a mix), of which two depend on the
/// prefix alone. Put together in memory, the input would be read across the borders of what was just written, and a
/// processor waits for that longer than the products take.
#[derive(Clone, Copy, Debug)]
struct Short {
    /// The length, the product of the first 16 bytes, and that of the last 16 before the key.
    start: u64,
    /// The bytes of the prefix from the 16th on …
    tail: u128,
    /// … and how many bits they are.
    bits: u32,
}

impl Short {
    /// Words 0 to 7 of xxh3's default secret.
    const SECRET: [u64; 8] = [
        0xbe4b_a423_396c_feb8,
        0x1cad_21f7_2c81_017c,
        0xdb97_9083_e96d_d4de,
        0x1f67_b3b7_a4a4_4072,
        0x78e5_c0cc_4ee6_79cb,
        0x2172_ffcc_7dd0_5a82,
        0x8e24_43f7_7446_08b8,
        0x4c26_3a81_e690_35e0,
    ];

    fn new(prefix: &[u8]) -> Option<Self> {
        let length = prefix.len();
        if !(17..32).contains(&length) {
            return None;
        }
        let window = |from: usize| {
            let mut bytes = [0; 16];
            let end = length.min(from + 16);
            bytes[..end - from].copy_from_slice(&prefix[from..end]);
            u128::from_le_bytes(bytes)
        };
        let start = (length as u64 + 16)
            .wrapping_mul(0x9e37_79b1_85eb_ca87)
            .wrapping_add(Self::fold(window(0), 0))
            .wrapping_add(Self::fold(window(length - 16), 6));
        Some(Self { start, tail: window(16), bits: 8 * (length as u32 - 16) })
    }

    #[inline(always)]
    fn fold(bytes: u128, secret: usize) -> u64 {
        let low = bytes as u64 ^ Self::SECRET[secret];
        let high = (bytes >> 64) as u64 ^ Self::SECRET[secret + 1];
        let product = u128::from(low) * u128::from(high);
        product as u64 ^ (product >> 64) as u64
    }

    #[inline(always)]
    fn hash(&self, key: DocKey) -> u64 {
        let key = u128::from_le_bytes(key.to_bytes());
        let mut hash = self
            .start
            .wrapping_add(Self::fold(self.tail | key << self.bits, 4))
            .wrapping_add(Self::fold(key, 2));
        hash ^= hash >> 37;
        hash = hash.wrapping_mul(0x1656_6791_9e37_79f9);
        hash ^ hash >> 32
    }
}

impl UniformDraws {
    /// Prepares the part of the hash input that is the same for every document.
    #[must_use]
    pub fn new(seed: u64, stage: &str) -> Self {
        let mut prefix = seed.to_le_bytes().to_vec();
        prefix.extend_from_slice(&(stage.len() as u64).to_le_bytes());
        prefix.extend_from_slice(stage.as_bytes());
        Self { short: Short::new(&prefix), prefix }
    }

    /// The 52 random bits of a document, in the upper bits; the lower 12 are zero. Ordered as [`Self::unit`] is.
    #[must_use]
    #[inline]
    pub fn bits(&self, key: DocKey) -> u64 {
        let hash = match &self.short {
            Some(short) => short.hash(key),
            None => xxh3_64(&[&self.prefix[..], &key.to_bytes()].concat()),
        };
        hash & !0xfff
    }

    /// v of a document, strictly inside (0, 1).
    #[must_use]
    pub fn unit(&self, key: DocKey) -> f64 {
        unit_of_bits(self.bits(key))
    }
}

/// v of the bits that [`UniformDraws::bits`] returned.
pub(crate) fn unit_of_bits(bits: u64) -> f64 {
    const STEP: f64 = 1.0 / (1u64 << 52) as f64;
    ((bits >> 12) as f64 + 0.5) * STEP
}

/// v of one document, strictly inside (0, 1). For many documents prepare [`UniformDraws`] once.
#[must_use]
pub fn unit_interval(seed: u64, stage: &str, key: DocKey) -> f64 {
    UniformDraws::new(seed, stage).unit(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_is_pinned() {
        // Expected values from the Python package xxhash 4.1: xxh3_64 over struct.pack("<QQ", seed, len(stage)) + stage + key,
        // key = xxh3_128(struct.pack("<Q", 0) + struct.pack("<Q", len(id)) + id).
        let draw = |seed, stage, id| unit_interval(seed, stage, DocKey::from_id("", id));
        assert_eq!(draw(0, "select", "doc-1"), 0.433_676_457_401_438_8);
        assert_eq!(draw(42, "select", "doc-1"), 0.609_651_884_202_867);
        assert_eq!(draw(42, "sample", "doc-1"), 0.451_422_402_813_463_6);
        assert_eq!(draw(u64::MAX, "", "17"), 0.591_070_019_949_590_1);
    }

    #[test]
    fn extremes_stay_inside_the_open_interval() {
        assert!(unit_of_bits(0) > 0.0);
        assert!(unit_of_bits(!0xfff) < 1.0);
        assert!(libm::log1p(-unit_of_bits(!0xfff)).is_finite());
        assert!(-libm::log1p(-unit_of_bits(0)) > 0.0);
    }

    #[test]
    fn long_stages_hash_like_short_ones() {
        let key = DocKey::from_id("", "a");
        for length in 0..120 {
            let stage = "s".repeat(length);
            let mut input = 7u64.to_le_bytes().to_vec();
            input.extend_from_slice(&(length as u64).to_le_bytes());
            input.extend_from_slice(stage.as_bytes());
            input.extend_from_slice(&key.to_bytes());
            assert_eq!(UniformDraws::new(7, &stage).bits(key), xxh3_64(&input) & !0xfff);
        }
    }

    #[test]
    fn draws_are_uniform() {
        let draws = UniformDraws::new(3, "test");
        let mut counts = [0u32; 16];
        for i in 0..16_000 {
            let v = draws.unit(DocKey::from_id("", &i.to_string()));
            counts[(v * 16.0) as usize] += 1;
        }
        // Each count is about 1000 with a standard deviation of 31.
        assert!(counts.iter().all(|&count| (850..1150).contains(&count)), "{counts:?}");
    }
}
