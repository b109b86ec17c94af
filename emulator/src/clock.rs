//! The clock everything in the emulator reads: the system's plus an offset, or one that only moves when told.
//!
//! No other module may ask what time it is. With [`ClockMode::Manual`] the system clock is never read at all.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp, fmt::rfc2822};
use serde::{Deserialize, Serialize};

/// How time passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum ClockMode {
    /// Ticks with the system clock; setting the time changes the offset between the two.
    #[default]
    System,
    /// Starts here and stands still until told.
    Manual(Timestamp),
}

#[derive(Debug)]
pub(crate) enum Clock {
    System { offset: SignedDuration },
    Manual { now: Timestamp },
}

impl Clock {
    pub(crate) fn new(mode: ClockMode) -> Self {
        match mode {
            ClockMode::System => Self::System {
                offset: SignedDuration::ZERO,
            },
            ClockMode::Manual(now) => Self::Manual { now },
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        match self {
            Self::System { offset } => shift(system(), *offset),
            Self::Manual { now } => *now,
        }
    }

    pub(crate) fn set(&mut self, to: Timestamp) {
        match self {
            Self::System { offset } => *offset = to.duration_since(system()),
            Self::Manual { now } => *now = to,
        }
    }

    pub(crate) fn advance(&mut self, by: Duration) {
        let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
        match self {
            Self::System { offset } => *offset = offset.saturating_add(by),
            Self::Manual { now } => *now = shift(*now, by),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the clock that the others take"
)]
fn system() -> Timestamp {
    Timestamp::now()
}

/// `at` moved by `by`, stopping at the ends of representable time.
pub(crate) fn shift(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(if by.is_negative() {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}

/// `at` later by `by`.
pub(crate) fn after(at: Timestamp, by: Duration) -> Timestamp {
    shift(
        at,
        SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX),
    )
}

/// An HTTP date, such as `Sat, 21 Nov 2026 02:00:00 GMT`.
pub(crate) fn http_date(at: Timestamp) -> String {
    rfc2822::DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&at)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_stands_still() {
        let start: Timestamp = "2026-11-21T02:00:00Z".parse().unwrap();
        let mut clock = Clock::new(ClockMode::Manual(start));
        assert_eq!(clock.now(), start);
        clock.advance(Duration::from_hours(1));
        assert_eq!(clock.now().to_string(), "2026-11-21T03:00:00Z");
        assert_eq!(http_date(clock.now()), "Sat, 21 Nov 2026 03:00:00 GMT");
    }

    #[test]
    fn the_system_clock_keeps_ticking_from_where_it_was_set() {
        let mut clock = Clock::new(ClockMode::System);
        let at: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
        clock.set(at);
        let seen = clock.now().duration_since(at);
        assert!(!seen.is_negative() && seen.as_secs() < 60);
    }
}
