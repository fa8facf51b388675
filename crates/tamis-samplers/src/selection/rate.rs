//! A sampling rate as an exact decimal.
//!
//! A rate is kept in units of 10⁻¹⁷, not as a float: `20%` and `0.2` are the same rate, and round(rate × candidates) is
//! exact for every corpus size.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub(super) const WHOLE: u64 = 100_000_000_000_000_000;
const PERCENT: u64 = WHOLE / 100;

/// A share of the candidates, in (0, 1].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rate {
    parts: u64,
}

/// A rate that means nothing, or too likely something else.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseRateError {
    /// Not a decimal number with or without `%`.
    #[error("rate `{text}` is not a number")]
    NotANumber {
        /// What was given.
        text: String,
    },
    /// 0 or 0 %.
    #[error("rate `{text}` keeps nothing")]
    Zero {
        /// What was given.
        text: String,
    },
    /// Below 0.
    #[error("rate `{text}` is negative")]
    Negative {
        /// What was given.
        text: String,
    },
    /// A bare `1`, which some read as 1 % and some as everything.
    #[error("rate `{text}` is ambiguous")]
    BareOne {
        /// What was given.
        text: String,
    },
    /// More than everything.
    #[error("rate `{text}` is more than all documents")]
    AboveAll {
        /// What was given.
        text: String,
    },
    /// More than 15 digits after the point of a percentage, or 17 of a fraction.
    #[error("rate `{text}` has too many digits")]
    TooPrecise {
        /// What was given.
        text: String,
    },
}

impl ParseRateError {
    /// What to write instead.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NotANumber { .. } => {
                "write a percentage such as `20%` or a fraction such as `0.2`".to_owned()
            }
            Self::Zero { .. } | Self::Negative { .. } => "rates lie above 0 and go up to `100%`".to_owned(),
            Self::BareOne { .. } => {
                "write `100%` to keep everything, or `1%` for one in a hundred".to_owned()
            }
            Self::AboveAll { text } if !text.contains('%') => match format!("{text}%").parse::<Rate>() {
                Ok(rate) => format!("did you mean `{rate}`? fractions lie below 1"),
                Err(_) => "the largest rate is `100%`".to_owned(),
            },
            Self::AboveAll { .. } => "the largest rate is `100%`".to_owned(),
            Self::TooPrecise { .. } => "15 digits after the point of a percentage are the most".to_owned(),
        }
    }
}

impl Rate {
    /// Everything.
    pub const ALL: Self = Self { parts: WHOLE };

    /// Reads `20%`, `0.2`, `.2`, `100%`, `0.5 %`.
    ///
    /// # Errors
    /// Anything that is not a number in (0, 100 %], and a bare `1`; each error has a hint.
    pub fn parse(text: &str) -> Result<Self, ParseRateError> {
        let given = || text.trim().to_owned();
        let not_a_number = || ParseRateError::NotANumber { text: given() };
        let trimmed = text.trim();
        let (number, unit) = match trimmed.strip_suffix('%') {
            Some(number) => (number.trim_end(), PERCENT),
            None => (trimmed, WHOLE),
        };
        let (number, negative) = match number.strip_prefix('-') {
            Some(number) => (number, true),
            None => (number.strip_prefix('+').unwrap_or(number), false),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.len() + fraction.len() == 0 || !digits(whole) || !digits(fraction) {
            return Err(not_a_number());
        }
        let fraction = fraction.trim_end_matches('0');
        if whole.bytes().chain(fraction.bytes()).all(|byte| byte == b'0') {
            return Err(ParseRateError::Zero { text: given() });
        }
        if negative {
            return Err(ParseRateError::Negative { text: given() });
        }
        let places = unit.ilog10() as usize;
        if fraction.len() > places {
            return Err(ParseRateError::TooPrecise { text: given() });
        }
        let whole = whole.trim_start_matches('0');
        if whole.len() > 4 {
            return Err(ParseRateError::AboveAll { text: given() });
        }
        let value = |part: &str| part.bytes().fold(0, |sum, byte| 10 * sum + u64::from(byte - b'0'));
        let below_one = value(fraction) * (unit / 10u64.pow(fraction.len() as u32));
        match value(whole).saturating_mul(unit).saturating_add(below_one) {
            WHOLE if unit == WHOLE => Err(ParseRateError::BareOne { text: given() }),
            parts if parts > WHOLE => Err(ParseRateError::AboveAll { text: given() }),
            parts => Ok(Self { parts }),
        }
    }

    /// round(rate × candidates), halves up, without floating point.
    #[must_use]
    pub fn of(&self, candidates: u64) -> u64 {
        let doubled = 2 * u128::from(self.parts) * u128::from(candidates);
        ((doubled + u128::from(WHOLE)) / (2 * u128::from(WHOLE))) as u64
    }

    /// A rate of so many units.
    pub(super) fn of_parts(parts: u64) -> Self {
        Self { parts }
    }

    /// In units of 1 / [`WHOLE`].
    pub(super) fn parts(self) -> u64 {
        self.parts
    }

    /// The nearest f64, in (0, 1].
    #[must_use]
    pub fn as_f64(&self) -> f64 {
        self.parts as f64 / WHOLE as f64
    }

    /// The percentage without its sign, as in the folder name `rate-20`: `20`, `0.5`.
    #[must_use]
    pub fn percent(&self) -> String {
        let (whole, rest) = (self.parts / PERCENT, self.parts % PERCENT);
        if rest == 0 {
            return whole.to_string();
        }
        format!("{whole}.{}", format!("{rest:015}").trim_end_matches('0'))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.percent())
    }
}

impl TryFrom<String> for Rate {
    type Error = ParseRateError;

    fn try_from(text: String) -> Result<Self, ParseRateError> {
        Self::parse(&text)
    }
}

impl From<Rate> for String {
    fn from(rate: Rate) -> Self {
        rate.to_string()
    }
}

impl FromStr for Rate {
    type Err = ParseRateError;

    fn from_str(text: &str) -> Result<Self, ParseRateError> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn percentages_and_fractions_are_the_same_rates() {
        for (a, b) in [("20%", "0.2"), ("0.5 %", ".005"), ("100%", "100.0%"), ("12.5%", "0.1250")] {
            assert_eq!(Rate::parse(a), Rate::parse(b));
        }
        assert_eq!(Rate::parse("100%").unwrap(), Rate::ALL);
        assert_eq!(Rate::parse(" 0.000000000000001% ").unwrap().parts, 1);
        assert_eq!(Rate::parse("0.2").unwrap().to_string(), "20%");
        assert_eq!(Rate::parse("0.0125").unwrap().to_string(), "1.25%");
    }

    #[test]
    fn nonsense_is_refused_with_a_hint() {
        let kinds = [
            ("0", "keeps nothing"),
            ("0%", "keeps nothing"),
            ("-0", "keeps nothing"),
            ("0.000", "keeps nothing"),
            ("1", "ambiguous"),
            ("1.0", "ambiguous"),
            ("+1", "ambiguous"),
            ("100.1%", "more than all"),
            ("20", "more than all"),
            ("99999999999999999999999999%", "more than all"),
            ("-20%", "negative"),
            ("NaN", "not a number"),
            ("inf", "not a number"),
            ("", "not a number"),
            ("%", "not a number"),
            (".", "not a number"),
            ("1e-3", "not a number"),
            ("20%%", "not a number"),
            ("0,2", "not a number"),
            ("٣%", "not a number"),
            ("0.0000000000000001%", "too many digits"),
        ];
        for (text, expected) in kinds {
            let error = Rate::parse(text).unwrap_err();
            assert!(error.to_string().contains(expected), "{text}: {error}");
            assert!(!error.hint().is_empty());
        }
        assert_eq!(Rate::parse("20").unwrap_err().hint(), "did you mean `20%`? fractions lie below 1");
    }

    #[test]
    fn halves_round_up_and_nothing_is_lost() {
        let rate = Rate::parse("50%").unwrap();
        assert_eq!((rate.of(0), rate.of(1), rate.of(3), rate.of(5)), (0, 1, 2, 3));
        assert_eq!(Rate::ALL.of(u64::MAX), u64::MAX);
        // 0.07 × 100 is 7.000000000000001 in f64.
        assert_eq!(Rate::parse("7%").unwrap().of(100), 7);
    }

    proptest! {
        #[test]
        fn display_reads_back(parts in 1..=WHOLE) {
            let rate = Rate { parts };
            prop_assert_eq!(Rate::parse(&rate.to_string()).unwrap(), rate);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[-+0-9.%e ]{0,40}|.{0,8}") {
            match Rate::parse(&text) {
                Ok(rate) => prop_assert!(rate.as_f64() > 0.0 && rate <= Rate::ALL),
                Err(error) => prop_assert!(!error.hint().is_empty()),
            }
        }
    }
}
