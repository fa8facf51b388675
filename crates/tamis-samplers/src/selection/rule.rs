//! The selection rules by name.

use std::fmt;
use std::str::FromStr;

use tamis_core::RuleKind;

/// How scores become a choice. Each rule is without replacement and nests over rates under one seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// Largest scores first; ties by the seed.
    Top,
    /// Smallest scores first; ties by the seed.
    Bottom,
    /// Inverse propensity sampling: drawn without replacement with weight 1 / score.
    Ips,
    /// Uniform without replacement; scores are not looked at.
    Random,
    /// Independent draws with probability min(1, c / score): the size is random, inclusion exactly proportional.
    Poisson,
    /// The middle: documents whose mid-rank is nearest to a centre, of equal distance by the seed. [`super::Quantiles`] gives
    /// the distance, which takes the place of the score.
    Band,
}

impl Rule {
    /// Every rule, in the order in which help texts list them.
    pub const ALL: [Self; 6] = [Self::Top, Self::Bottom, Self::Band, Self::Ips, Self::Poisson, Self::Random];

    /// The name in command lines and manifests.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Top => "top",
            Self::Bottom => "bottom",
            Self::Ips => "ips",
            Self::Random => "random",
            Self::Poisson => "poisson",
            Self::Band => "band",
        }
    }

    /// Whether the rule looks at scores at all.
    #[must_use]
    pub fn needs_score(self) -> bool {
        self != Self::Random
    }

    /// Whether documents have an inclusion probability, i.e. whether chance decides more than ties.
    #[must_use]
    pub fn is_random(self) -> bool {
        matches!(self, Self::Ips | Self::Random | Self::Poisson)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A rule by a name that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rule `{name}` is unknown, expected `top`, `bottom`, `band`, `ips`, `poisson` or `random`")]
pub struct ParseRuleError {
    /// What was given.
    pub name: String,
}

impl FromStr for Rule {
    type Err = ParseRuleError;

    fn from_str(name: &str) -> Result<Self, ParseRuleError> {
        Self::ALL
            .into_iter()
            .find(|rule| rule.name() == name)
            .ok_or_else(|| ParseRuleError { name: name.to_owned() })
    }
}

impl From<RuleKind> for Rule {
    fn from(kind: RuleKind) -> Self {
        match kind {
            RuleKind::Top => Self::Top,
            RuleKind::Bottom => Self::Bottom,
            RuleKind::Ips => Self::Ips,
            RuleKind::Random => Self::Random,
            RuleKind::Poisson => Self::Poisson,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for rule in Rule::ALL {
            assert_eq!(rule.to_string().parse::<Rule>().unwrap(), rule);
        }
        assert!("TOP".parse::<Rule>().is_err());
    }
}
