//! Many settings that together are one field of a fingerprint.

use std::collections::BTreeMap;

use crate::FingerprintChange;
use crate::fingerprint::{changes_between, digest_of};

/// Names and values, sorted by name: what a model's graph is built from, in words that a person can compare.
///
/// Values are text in one spelling: sizes in decimal, floats as the shortest decimal that reads back as the same bits
/// (`0.000001`, never with an exponent), everything else a fixed word.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Settings {
    values: BTreeMap<String, String>,
}

impl Settings {
    /// None.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a setting; a second value for one name replaces the first.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "numbers and literals are what is passed")]
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.values.insert(name.to_owned(), value.to_string());
        self
    }

    /// The value of a setting.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// Names and values, in name order.
    #[must_use]
    pub fn values(&self) -> &BTreeMap<String, String> {
        &self.values
    }

    /// The settings that [`Settings::values`] came from.
    #[must_use]
    pub fn from_values(values: BTreeMap<String, String>) -> Self {
        Self { values }
    }

    /// `xxh3:` and 32 hex digits over names and values, length-prefixed, in name order.
    #[must_use]
    pub fn digest(&self) -> String {
        format!("xxh3:{}", digest_of(&self.values))
    }

    /// Settings in which `asked` differs, in name order; empty when equal.
    #[must_use]
    pub fn changes(&self, asked: &Self) -> Vec<FingerprintChange> {
        changes_between(&self.values, &asked.values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_keep_every_bit_and_order_does_not_matter() {
        for bits in [0x3586_37bd_u32, 0x461c_4000, 0x3eb5_04f3, 0x0000_0001, 0x7f7f_ffff, 0x8000_0000] {
            let settings = Settings::new().with("x", f32::from_bits(bits));
            let text = settings.get("x").unwrap();
            assert_eq!(text.parse::<f32>().unwrap().to_bits(), bits, "{text}");
            assert!(!text.contains(['e', 'E']), "{text}");
        }
        let (one, other) =
            (Settings::new().with("a", 1).with("b", 2), Settings::new().with("b", 2).with("a", 1));
        assert_eq!((one.digest(), &one), (other.digest(), &other));
        assert!(one.digest().starts_with("xxh3:") && one.digest().len() == 37);
        assert_ne!(one.digest(), one.clone().with("c", "").digest());
    }
}
