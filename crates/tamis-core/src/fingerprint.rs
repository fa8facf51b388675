//! What a signal was computed with, in a form that can be compared and read.
//!
//! Two sidecars may stand under one name only if their fingerprints are equal. A fingerprint is a sorted map of short
//! strings rather than one hash, so that a refusal can say *what* changed.

use std::collections::BTreeMap;
use std::fmt;

use xxhash_rust::xxh3::xxh3_128;

/// The complete list of what decides a signal's values. Field order does not matter.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Fingerprint {
    fields: BTreeMap<String, String>,
}

/// One field in which two fingerprints differ; `None` where a side lacks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FingerprintChange {
    /// Name of the field.
    pub field: String,
    /// Value in the stored fingerprint.
    pub stored: Option<String>,
    /// Value in the fingerprint asked for.
    pub asked: Option<String>,
}

impl fmt::Display for FingerprintChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show =
            |value: &Option<String>| value.as_ref().map_or("nothing".to_owned(), |v| format!("`{}`", cut(v)));
        write!(f, "{}: stored {}, asked {}", self.field, show(&self.stored), show(&self.asked))
    }
}

fn cut(value: &str) -> String {
    if value.chars().count() <= 80 {
        value.to_owned()
    } else {
        value.chars().take(77).chain("...".chars()).collect()
    }
}

impl Fingerprint {
    /// Starts with the method and its version; the version is raised only when outputs change.
    #[must_use]
    pub fn new(method: &str, version: u32) -> Self {
        Self::default().with("method", method).with("version", version)
    }

    /// Adds a field; a second value for one name replaces the first.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "numbers and literals are what is passed")]
    pub fn with(mut self, field: &str, value: impl ToString) -> Self {
        self.fields.insert(field.to_owned(), value.to_string());
        self
    }

    /// Adds the fingerprint of an input as its 32-digit digest.
    #[must_use]
    pub fn with_input(self, input: &str, fingerprint: &Self) -> Self {
        self.with(&format!("input.{input}"), fingerprint.digest())
    }

    /// The value of a field.
    #[must_use]
    pub fn get(&self, field: &str) -> Option<&str> {
        self.fields.get(field).map(String::as_str)
    }

    /// Fields in name order, as `signal.json` stores them.
    #[must_use]
    pub fn fields(&self) -> &BTreeMap<String, String> {
        &self.fields
    }

    /// The fingerprint that [`Fingerprint::fields`] came from.
    #[must_use]
    pub fn from_fields(fields: BTreeMap<String, String>) -> Self {
        Self { fields }
    }

    /// 32 hex digits of the 128-bit xxh3 of all fields, length-prefixed, in name order.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut bytes = Vec::new();
        for part in self.fields.iter().flat_map(|(name, value)| [name, value]) {
            bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        format!("{:032x}", xxh3_128(&bytes))
    }

    /// First 8 digits of the digest: the part after `@` in `ask-llm@3f9a01c2`.
    #[must_use]
    pub fn short(&self) -> String {
        self.digest()[..8].to_owned()
    }

    /// Fields in which `asked` differs from `self`, in name order; empty when equal.
    #[must_use]
    pub fn changes(&self, asked: &Self) -> Vec<FingerprintChange> {
        let mut names: Vec<_> = self.fields.keys().chain(asked.fields.keys()).collect();
        names.sort();
        names.dedup();
        names
            .into_iter()
            .filter(|name| self.fields.get(*name) != asked.fields.get(*name))
            .map(|name| FingerprintChange {
                field: name.clone(),
                stored: self.fields.get(name).cloned(),
                asked: asked.fields.get(name).cloned(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_of_fields_does_not_matter_and_values_do() {
        let a = Fingerprint::new("m", 1).with("x", 1).with("y", 2);
        let b = Fingerprint::new("m", 1).with("y", 2).with("x", 1);
        assert_eq!(a.digest(), b.digest());
        assert_ne!(a.digest(), b.with("x", 3).digest());
    }

    #[test]
    fn changes_name_what_differs() {
        let stored = Fingerprint::new("ask-llm", 1).with("prompt", "paper").with("dtype", "f32");
        let asked = Fingerprint::new("ask-llm", 1).with("prompt", "mine").with("seed", 7);
        let changes: Vec<_> = stored.changes(&asked).iter().map(ToString::to_string).collect();
        assert_eq!(
            changes,
            [
                "dtype: stored `f32`, asked nothing",
                "prompt: stored `paper`, asked `mine`",
                "seed: stored nothing, asked `7`"
            ]
        );
        assert!(stored.changes(&stored).is_empty());
    }
}
