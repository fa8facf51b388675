//! The only reader of wall-clock time.
//!
//! No score and no selection may depend on when it was computed; an audit record has to say when, and that is all this
//! is for. Times are UTC; the calendar is the proleptic Gregorian one.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// A moment, UTC, to the nanosecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    seconds: u64,
    nanoseconds: u32,
}

/// The present moment; 1970 when the clock stands before it.
#[must_use]
pub fn now() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that may read the clock")]
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp { seconds: elapsed.as_secs(), nanoseconds: elapsed.subsec_nanos() }
}

impl Timestamp {
    /// A moment given as seconds and nanoseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn from_unix(seconds: u64, nanoseconds: u32) -> Self {
        Self { seconds, nanoseconds: nanoseconds.min(999_999_999) }
    }

    /// Whole seconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn unix_seconds(self) -> u64 {
        self.seconds
    }

    /// Nanoseconds within the second.
    #[must_use]
    pub fn subsec_nanoseconds(self) -> u32 {
        self.nanoseconds
    }

    /// `20260228T235959.123456Z`: sorts by time and is safe in a file name.
    #[must_use]
    pub fn compact(self) -> String {
        let (year, month, day, hour, minute, second) = self.calendar();
        let micros = self.nanoseconds / 1000;
        format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}.{micros:06}Z")
    }

    fn calendar(self) -> (u64, u64, u64, u64, u64, u64) {
        let (days, rest) = (self.seconds / 86_400, self.seconds % 86_400);
        // Days since 0000-03-01; years that begin in March put the leap day last.
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        let year = era * 400 + year_of_era + u64::from(month <= 2);
        (year, month, day, rest / 3600, rest % 3600 / 60, rest % 60)
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 with milliseconds: `2026-02-28T23:59:59.123Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day, hour, minute, second) = self.calendar();
        let millis = self.nanoseconds / 1_000_000;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments_are_written_as_the_calendar_has_them() {
        let show = |seconds| Timestamp::from_unix(seconds, 5_678_000).to_string();
        assert_eq!(show(0), "1970-01-01T00:00:00.005Z");
        assert_eq!(show(951_782_400), "2000-02-29T00:00:00.005Z");
        assert_eq!(show(1_709_251_199), "2024-02-29T23:59:59.005Z");
        assert_eq!(show(4_102_444_800), "2100-01-01T00:00:00.005Z");
        assert_eq!(Timestamp::from_unix(1_709_251_199, 123_456_789).compact(), "20240229T235959.123456Z");
    }

    #[test]
    fn compact_form_sorts_by_time() {
        let mut last = String::new();
        for seconds in (0..4_000_000_000).step_by(86_399 * 7) {
            let compact = Timestamp::from_unix(seconds, 0).compact();
            assert!(compact > last);
            last = compact;
        }
    }

    #[test]
    fn the_clock_runs_forward_from_1970() {
        assert!(now().unix_seconds() > 1_700_000_000);
    }
}
