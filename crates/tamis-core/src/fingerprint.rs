//! What a signal was computed with, in a form that can be compared and read.
//!
//! Two sidecars may stand under one name only if their fingerprints are equal. A fingerprint is a sorted map of short
//! strings rather than one hash, so that a refusal can say *what* changed.
//!
//! What a model's graph is built from is too much for single fields: it is one, [`Fingerprint::ARCHITECTURE`], with the digest
//! of all its [`Settings`], which travel along for the same reason. Signals that were stored before the field existed lack
//! it; where they may stand for one that has it is decided by whoever keeps them.

use std::collections::BTreeMap;
use std::fmt;

use xxhash_rust::xxh3::xxh3_128;

use crate::Settings;

/// The complete list of what decides a signal's values. Field order does not matter.
#[derive(Clone, Debug, Default)]
pub struct Fingerprint {
    fields: BTreeMap<String, String>,
    /// What the field [`Fingerprint::ARCHITECTURE`] is the digest of, where it is known.
    architecture: Option<Settings>,
}

/// Fingerprints are equal when their fields are: settings are in the digest that is one of them.
impl PartialEq for Fingerprint {
    fn eq(&self, other: &Self) -> bool {
        self.fields == other.fields
    }
}

impl Eq for Fingerprint {}

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
    /// Field with the digest of everything that a model's graph is built from beside its weights.
    pub const ARCHITECTURE: &'static str = "architecture";

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

    /// Adds the field [`Fingerprint::ARCHITECTURE`] where there are settings; without them nothing is added.
    #[must_use]
    pub fn with_architecture(self, settings: Option<&Settings>) -> Self {
        let Some(settings) = settings else { return self };
        self.with(Self::ARCHITECTURE, settings.digest()).knowing_architecture(Some(settings.clone()))
    }

    /// The same fields, with settings that are known from elsewhere: for saying what differs.
    #[must_use]
    pub fn knowing_architecture(self, settings: Option<Settings>) -> Self {
        Self { architecture: settings, ..self }
    }

    /// What the graph is built from, where it is known.
    #[must_use]
    pub fn architecture(&self) -> Option<&Settings> {
        self.architecture.as_ref()
    }

    /// As it was before the field [`Fingerprint::ARCHITECTURE`] existed.
    #[must_use]
    pub fn without_architecture(mut self) -> Self {
        self.fields.remove(Self::ARCHITECTURE);
        self.architecture = None;
        self
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
        Self { fields, architecture: None }
    }

    /// 32 hex digits of the 128-bit xxh3 of all fields, length-prefixed, in name order.
    #[must_use]
    pub fn digest(&self) -> String {
        digest_of(&self.fields)
    }

    /// First 8 digits of the digest: the part after `@` in `ask-llm@3f9a01c2`.
    #[must_use]
    pub fn short(&self) -> String {
        self.digest()[..8].to_owned()
    }

    /// Fields in which `asked` differs from `self`, in name order; empty when equal.
    ///
    /// Where both know the settings of their architecture, those that differ stand in place of the digest. A fingerprint that
    /// says nothing of its architecture, since it was stored before that was a field, does not differ in it.
    #[must_use]
    pub fn changes(&self, asked: &Self) -> Vec<FingerprintChange> {
        let mut changes = changes_between(&self.fields, &asked.fields);
        match (&self.architecture, &asked.architecture) {
            (Some(stored), Some(asked)) => {
                changes.retain(|change| change.field != Self::ARCHITECTURE);
                changes.extend(stored.changes(asked));
            }
            _ if self.get(Self::ARCHITECTURE).is_none() => {
                changes.retain(|change| change.field != Self::ARCHITECTURE);
            }
            _ => {}
        }
        changes
    }
}

/// 32 hex digits of the 128-bit xxh3 of names and values, length-prefixed, in name order.
pub(crate) fn digest_of(fields: &BTreeMap<String, String>) -> String {
    let mut bytes = Vec::new();
    for part in fields.iter().flat_map(|(name, value)| [name, value]) {
        bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    format!("{:032x}", xxh3_128(&bytes))
}

/// What differs, in name order.
pub(crate) fn changes_between(
    stored: &BTreeMap<String, String>,
    asked: &BTreeMap<String, String>,
) -> Vec<FingerprintChange> {
    let mut names: Vec<_> = stored.keys().chain(asked.keys()).collect();
    names.sort();
    names.dedup();
    names
        .into_iter()
        .filter(|name| stored.get(*name) != asked.get(*name))
        .map(|name| FingerprintChange {
            field: name.clone(),
            stored: stored.get(name).cloned(),
            asked: asked.get(name).cloned(),
        })
        .collect()
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

    #[test]
    fn settings_that_differ_are_named_in_place_of_their_digest() {
        let settings = |theta: f32| Settings::new().with("rope_theta", theta).with("hidden_size", 8);
        let of = |theta: f32| Fingerprint::new("m", 1).with_architecture(Some(&settings(theta)));
        assert_ne!(of(1e4).digest(), of(5e5).digest());
        let changes: Vec<_> = of(1e4).changes(&of(5e5)).iter().map(ToString::to_string).collect();
        assert_eq!(changes, ["rope_theta: stored `10000`, asked `500000`"]);
        // One that was read back knows the digest alone, one of earlier times nothing.
        let read_back = Fingerprint::from_fields(of(1e4).fields().clone());
        assert_eq!(read_back.changes(&of(5e5))[0].field, Fingerprint::ARCHITECTURE);
        assert_eq!(read_back, of(1e4));
        let earlier = of(1e4).without_architecture();
        assert_eq!(earlier.digest(), Fingerprint::new("m", 1).digest());
        assert!(earlier.changes(&of(5e5)).is_empty());
        let known = earlier.knowing_architecture(Some(settings(1e4)));
        assert_eq!(known.changes(&of(5e5))[0].field, "rope_theta");
        assert_eq!(Fingerprint::new("m", 1).with_architecture(None), Fingerprint::new("m", 1));
    }
}
