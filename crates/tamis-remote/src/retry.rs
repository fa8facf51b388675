//! Patience: what is tried again, when, and how long.

use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64;

/// What became of one request that has no usable answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Nobody answers, or the connection breaks.
    Connection(String),
    /// No answer within the deadline.
    Timeout,
    /// 408, 425, 429 or a 5xx status; `wait` is what `Retry-After` asks for.
    Busy { status: u16, message: String, wait: Option<Duration> },
    /// An answer that cannot be read.
    Unusable(String),
    /// Any other status that is no success. `too_long`: the server says that the input is too long.
    Refused { status: u16, message: String, too_long: bool },
    /// A redirect.
    Redirect { to: String },
}

impl Failure {
    /// In words.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Connection(problem) => problem.clone(),
            Self::Timeout => "no answer within the deadline".to_owned(),
            Self::Busy { status, message, wait: None } | Self::Refused { status, message, .. } => {
                format!("status {status}: {message}")
            }
            Self::Busy { status, message, wait: Some(wait) } => {
                format!("status {status}, asks to wait {} s: {message}", wait.as_secs())
            }
            Self::Unusable(problem) => problem.clone(),
            Self::Redirect { to } => format!("redirects to `{to}`"),
        }
    }
}

/// How often and how long a request is tried.
#[derive(Clone, Debug)]
pub(crate) struct RetryPolicy {
    /// Tries after the first.
    pub(crate) retries: u32,
    /// Wait before the first of them; doubled for each next one.
    pub(crate) base: Duration,
}

impl RetryPolicy {
    /// Longest back-off.
    const LONGEST: Duration = Duration::from_secs(30);
    /// Longest wait that a server may ask for; beyond it the run ends, and can be resumed.
    const LONGEST_ASKED: Duration = Duration::from_secs(600);
    /// Tries after one that timed out: each costs the whole deadline.
    const TIMEOUT_RETRIES: u32 = 2;

    /// How long to wait before the next try, beyond what the server asks for; `None`: there is none. `attempt` counts from 0, `salt` differs between
    /// requests so that those that failed together do not come back together.
    pub(crate) fn wait(&self, failure: &Failure, attempt: u32, salt: u64) -> Option<Duration> {
        let (asked, most) = match failure {
            Failure::Busy { wait, .. } => (*wait, self.retries),
            Failure::Timeout => (None, self.retries.min(Self::TIMEOUT_RETRIES)),
            Failure::Connection(_) | Failure::Unusable(_) => (None, self.retries),
            Failure::Refused { .. } | Failure::Redirect { .. } => return None,
        };
        if attempt >= most || asked.is_some_and(|asked| asked > Self::LONGEST_ASKED) {
            return None;
        }
        let doubled = self.base.saturating_mul(1 << attempt.min(16)).min(Self::LONGEST);
        let mut seed = [0; 12];
        seed[..8].copy_from_slice(&salt.to_le_bytes());
        seed[8..].copy_from_slice(&attempt.to_le_bytes());
        // Half of it at least, and a share of the other half that nobody else has.
        let share = 0.5 + (xxh3_64(&seed) >> 11) as f64 / (1u64 << 54) as f64;
        Some(asked.unwrap_or_default() + doubled.mul_f64(share))
    }
}

/// Reads `Retry-After`: seconds, or a date. A date is compared with the answer's own `Date`, so that the two clocks need
/// not agree; without one it says nothing.
pub(crate) fn retry_after(value: &str, date: Option<&str>) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    // Some send fractions.
    if let Some(seconds) = value.parse::<f64>().ok().filter(|seconds| (0.0..1e9).contains(seconds)) {
        return Some(Duration::from_secs_f64(seconds));
    }
    let (until, now) = (http_date(value)?, http_date(date?)?);
    Some(Duration::from_secs(until.saturating_sub(now)))
}

/// Seconds since 1970 of `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, section 5.6.7; the two obsolete forms are not read).
fn http_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut parts = text.trim().split_once(", ")?.1.split(' ');
    let day: u64 = parts.next()?.parse().ok()?;
    let month = parts.next()?;
    let month = MONTHS.iter().position(|known| *known == month)? as u64 + 1;
    let year: u64 = parts.next()?.parse().ok()?;
    let mut clock = parts.next()?.split(':').map(|part| part.parse::<u64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    if parts.next()? != "GMT" || !(1970..=9999).contains(&year) || !(1..=31).contains(&day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Days of the civil calendar, with years that begin in March.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1 - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn policy() -> RetryPolicy {
        RetryPolicy { retries: 6, base: Duration::from_millis(500) }
    }

    fn busy(wait: Option<u64>) -> Failure {
        Failure::Busy { status: 429, message: String::new(), wait: wait.map(Duration::from_secs) }
    }

    #[test]
    fn dates_and_seconds_are_read() {
        assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(http_date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(http_date("Thu, 29 Feb 2024 12:00:00 GMT"), Some(1_709_208_000));
        let now = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(retry_after(" 7 ", None), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("1.5", None), Some(Duration::from_millis(1500)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:50:07 GMT", now), Some(Duration::from_secs(30)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:00:00 GMT", now), Some(Duration::ZERO), "past");
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:50:07 GMT", None), None);
        for wrong in ["", "soon", "-3", "NaN", "Sun, 99 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49 GMT"]
        {
            assert_eq!(retry_after(wrong, now), None, "{wrong}");
        }
    }

    #[test]
    fn back_off_doubles_and_ends() {
        let waits: Vec<Duration> = (0..7)
            .map_while(|attempt| policy().wait(&Failure::Unusable(String::new()), attempt, 1))
            .collect();
        assert_eq!(waits.len(), 6);
        for (attempt, wait) in waits.iter().enumerate() {
            let full = Duration::from_millis(500 << attempt);
            assert!(*wait >= full / 2 && *wait <= full, "{attempt}: {wait:?}");
        }
        assert!(policy().wait(&Failure::Timeout, 1, 1).is_some());
        assert_eq!(policy().wait(&Failure::Timeout, 2, 1), None);
        let refused = Failure::Refused { status: 400, message: String::new(), too_long: false };
        assert_eq!(policy().wait(&refused, 0, 1), None);
    }

    #[test]
    fn what_the_server_asks_for_is_waited_up_to_ten_minutes() {
        let wait = policy().wait(&busy(Some(20)), 0, 9).unwrap();
        assert!(wait >= Duration::from_millis(20_250) && wait <= Duration::from_millis(20_500), "{wait:?}");
        assert_eq!(policy().wait(&busy(Some(601)), 0, 9), None);
        assert!(
            policy().wait(&busy(Some(0)), 0, 9).unwrap() >= Duration::from_millis(250),
            "0 is no licence to hammer"
        );
    }

    proptest! {
        #[test]
        fn no_header_panics(value in "\\PC{0,40}", date in "\\PC{0,40}") {
            let _ = retry_after(&value, Some(&date));
        }
    }
}
