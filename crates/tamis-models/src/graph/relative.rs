//! Which bucket of learned biases a distance between two positions falls into.
//!
//! Raffel et al., arXiv 1910.10683, §2.1, as in the code that T5 was trained with: small distances have a bucket each,
//! larger ones share logarithmically wider buckets up to a largest distance, and everything beyond shares the last. An
//! encoder spends half of its buckets on keys after the query; a decoder, which sees none, spends them all on keys before.
//!
//! The borders of wide buckets are rounded in f32, as in training.

use super::mask::Mask;

/// The buckets of one stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Buckets {
    /// Number of buckets, even.
    pub(crate) count: usize,
    /// Distance from which on all keys share the last bucket, more than half of `count`.
    pub(crate) max_distance: usize,
    /// Whether keys after the query are seen.
    pub(crate) mask: Mask,
}

impl Buckets {
    /// The bucket of a key `distance` positions after the query (before it, where negative).
    pub(crate) fn of(&self, distance: i64) -> usize {
        let (first, count, distance) = match self.mask {
            Mask::Full => {
                let half = self.count / 2;
                (if distance > 0 { half } else { 0 }, half, distance.unsigned_abs() as usize)
            }
            Mask::Causal => (0, self.count, distance.min(0).unsigned_abs() as usize),
        };
        let exact = count / 2;
        if distance < exact {
            return first + distance;
        }
        let octaves = libm::log(self.max_distance as f64 / exact as f64) as f32;
        let wide = libm::logf(distance as f32 / exact as f32) / octaves * (count - exact) as f32;
        first + (exact + wide as usize).min(count - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_those_of_transformers() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/t5/reference.json");
        let reference = std::fs::read(path).unwrap();
        let reference: serde_json::Value = serde_json::from_slice(&reference).unwrap();
        let cases = reference["buckets"].as_array().unwrap();
        assert_eq!(cases.len(), 8);
        for case in cases {
            let size = |name: &str| case[name].as_u64().unwrap() as usize;
            let mask = if case["bidirectional"] == true { Mask::Full } else { Mask::Causal };
            let buckets = Buckets { count: size("buckets"), max_distance: size("max_distance"), mask };
            let mut begins = Vec::new();
            for distance in -1100..=1100 {
                let bucket = buckets.of(distance);
                if begins.last().is_none_or(|&(_, last)| last != bucket) {
                    begins.push((distance, bucket));
                }
            }
            let expected: Vec<(i64, usize)> = case["begins"]
                .as_array()
                .unwrap()
                .iter()
                .map(|pair| (pair[0].as_i64().unwrap(), pair[1].as_u64().unwrap() as usize))
                .collect();
            assert_eq!(begins, expected, "{buckets:?}");
        }
    }
}
