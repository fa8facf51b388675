//! Progress on standard error: one line that is redrawn on a terminal, one line a few seconds apart elsewhere.

use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tamis::Observer;

use crate::printable::one_line;

/// Writes progress, remarks and warnings to standard error.
pub(crate) struct Terminal {
    quiet: bool,
    redraw: bool,
    state: Mutex<State>,
}

struct State {
    stage: String,
    total: u64,
    documents: u64,
    tokens: u64,
    units: u64,
    skipped: u64,
    began: Instant,
    printed: Instant,
    line_open: bool,
}

impl Terminal {
    /// Quiet shows warnings only.
    pub(crate) fn new(quiet: bool) -> Self {
        let now = Instant::now();
        let state = State {
            stage: String::new(),
            total: 0,
            documents: 0,
            tokens: 0,
            units: 0,
            skipped: 0,
            began: now,
            printed: now,
            line_open: false,
        };
        Self { quiet, redraw: std::io::stderr().is_terminal(), state: Mutex::new(state) }
    }

    fn line(&self, state: &mut State, text: &str, keep_open: bool) {
        let text = one_line(text);
        let mut stderr = std::io::stderr().lock();
        let lead = if state.line_open { "\r\x1b[K" } else { "" };
        let end = if keep_open { "" } else { "\n" };
        // A closed standard error must not end an hour of scoring.
        let _closed = write!(stderr, "{lead}{text}{end}").and_then(|()| stderr.flush());
        state.line_open = keep_open;
    }
}

impl State {
    fn text(&self, done: bool) -> String {
        let seconds = self.began.elapsed().as_secs_f64().max(1e-3);
        let mut text = format!("{:<24}", self.stage);
        if self.total > 0 {
            let share = ((self.units + self.skipped) as f64 / self.total as f64).min(1.0);
            text += &format!(" {:>5.1} %", if done { 100.0 } else { share * 100.0 });
        }
        if self.documents > 0 {
            text += &format!(
                "  {} documents  {}/s",
                count(self.documents),
                rate(self.documents as f64 / seconds)
            );
        }
        if self.tokens > 0 {
            text += &format!("  {} tokens/s", rate(self.tokens as f64 / seconds));
        }
        if done {
            text += &format!("  in {}", duration(seconds));
        } else if self.total > 0 && self.units > 0 && seconds > 2.0 {
            let left =
                seconds * (self.total.saturating_sub(self.units + self.skipped)) as f64 / self.units as f64;
            text += &format!("  {} left", duration(left));
        }
        text
    }
}

impl Observer for Terminal {
    fn begin(&self, stage: &str, total: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        // The width of the column is that of what is seen.
        state.stage = one_line(stage).into_owned();
        (state.total, state.documents, state.tokens, state.units, state.skipped) = (total, 0, 0, 0, 0);
        (state.began, state.printed) = (now, now);
    }

    fn advance(&self, documents: u64, tokens: u64, units: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.documents += documents;
        state.tokens += tokens;
        state.units += units;
        let every = if self.redraw { Duration::from_millis(200) } else { Duration::from_secs(5) };
        if !self.quiet && state.printed.elapsed() >= every {
            state.printed = Instant::now();
            let text = state.text(false);
            self.line(&mut state, &text, self.redraw);
        }
    }

    fn skip(&self, units: u64) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).skipped += units;
    }

    fn end(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.quiet {
            let text = state.text(true);
            self.line(&mut state, &text, false);
        }
    }

    fn warn(&self, message: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.line(&mut state, &format!("warning: {message}"), false);
    }

    fn note(&self, message: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.quiet {
            self.line(&mut state, message, false);
        }
    }
}

/// A count with groups of three digits: 1,234,567.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A rate with three figures.
pub(crate) fn rate(value: f64) -> String {
    match value {
        v if v >= 1e6 => format!("{:.2} M", v / 1e6),
        v if v >= 1e4 => format!("{:.1} k", v / 1e3),
        v if v >= 100.0 => format!("{v:.0}"),
        v => format!("{v:.1}"),
    }
}

/// Seconds as a person says them.
pub(crate) fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 10.0 => format!("{s:.1} s"),
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}
