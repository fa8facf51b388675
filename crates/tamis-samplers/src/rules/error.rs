//! What can be wrong with thresholds.

use thiserror::Error;

/// Thresholds that cannot be.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum RulesError {
    /// No rule has this name.
    #[error("no rule is called `{name}`")]
    Unknown {
        /// What was asked for.
        name: String,
        /// The nearest name of a rule of these presets.
        nearest: Option<&'static str>,
        /// The rules of these presets.
        known: Vec<&'static str>,
    },
    /// The rule is of another preset.
    #[error("rule `{name}` is of preset `{preset}`, which is not among `{presets}`")]
    OtherPreset {
        /// The rule.
        name: String,
        /// Its preset.
        preset: &'static str,
        /// The presets that were asked for, joined by commas.
        presets: String,
    },
    /// A threshold is not a number.
    #[error("threshold `{value}` of rule `{name}` is not finite")]
    NotFinite {
        /// The rule.
        name: String,
        /// What was asked for.
        value: f64,
    },
    /// There is nothing to measure.
    #[error("no preset of rules")]
    NoPreset,
}

impl RulesError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Unknown { nearest: Some(nearest), known, .. } => {
                format!("did you mean `{nearest}`? rules: {}", known.join(", "))
            }
            Self::Unknown { nearest: None, known, .. } => format!("rules: {}", known.join(", ")),
            Self::OtherPreset { preset, .. } => {
                format!("add {preset} to --rule-set, or leave the threshold out")
            }
            Self::NotFinite { .. } => "write a number, such as --threshold gopher-words-min=100".to_owned(),
            Self::NoPreset => {
                let names = super::Preset::ALL.map(super::Preset::name);
                format!("write some of {} as --rule-set, or leave it out for all", names.join(", "))
            }
        }
    }
}
