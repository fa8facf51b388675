//! How scores become a choice: the rules and the direction of a score, each by its name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Which end of a score is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Larger values are kept first by default.
    HigherIsBetter,
    /// Smaller values are kept first by default.
    LowerIsBetter,
}

impl Direction {
    const ALL: [Self; 2] = [Self::HigherIsBetter, Self::LowerIsBetter];

    /// The name in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::HigherIsBetter => "higher-is-better",
            Self::LowerIsBetter => "lower-is-better",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A direction by a name that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("direction `{name}` is unknown, expected `higher-is-better` or `lower-is-better`")]
pub struct ParseDirectionError {
    /// What was given.
    pub name: String,
}

impl FromStr for Direction {
    type Err = ParseDirectionError;

    fn from_str(name: &str) -> Result<Self, ParseDirectionError> {
        let found = Self::ALL.into_iter().find(|direction| direction.name() == name);
        found.ok_or_else(|| ParseDirectionError { name: name.to_owned() })
    }
}

/// How scores become a choice. Each rule is without replacement and nests over rates under one seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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
    /// The middle: documents whose mid-rank is nearest to a centre, of equal distance by the seed. The distance takes the place
    /// of the score.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for rule in Rule::ALL {
            assert_eq!(rule.to_string().parse::<Rule>().unwrap(), rule);
        }
        assert!("TOP".parse::<Rule>().is_err());
        for direction in Direction::ALL {
            assert_eq!(direction.to_string().parse::<Direction>().unwrap(), direction);
        }
        assert!("up".parse::<Direction>().is_err());
    }
}
