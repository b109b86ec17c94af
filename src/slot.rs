//! The scheduled instant of a run, in whole UTC seconds.
//!
//! A slot names everything a run makes, so a late or repeated event does the same work and never more. It is read
//! from the event, never from the moment the event arrived, unless the event says nothing.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

/// How far two clocks, or a name and a clock, may disagree before we stop believing them.
pub const CLOCK_MARGIN: SignedDuration = SignedDuration::from_mins(5);

/// How long after its slot a backup may still be made. A copy made later shows another state than its name says.
pub const LATEST_START: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Seconds since 1970-01-01T00:00:00Z, written with ten digits: 1970 to 2286.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Slot(u64);

/// Why an instant can't be a run's slot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SlotError {
    /// Before 1970 or after 2286.
    #[error("{0} can't be written as ten digits of Unix seconds; use a time between 1970 and 2286")]
    Unwritable(Timestamp),
    /// Later than now, so a copy made now would not be what its name says.
    #[error(
        "scheduled_time {scheduled} is in the future (it is {now}); use the time the schedule fired, or leave it out"
    )]
    Future {
        /// What the event asked for.
        scheduled: Timestamp,
        /// The local clock.
        now: Timestamp,
    },
    /// So long ago that a copy made now would show another state than its name says.
    #[error(
        "scheduled_time {scheduled} is more than seven days ago (it is {now}); a copy made now can't show that state: \
         leave scheduled_time out to back up the present one"
    )]
    Stale {
        /// What the event asked for.
        scheduled: Timestamp,
        /// The local clock.
        now: Timestamp,
    },
}

impl Slot {
    /// The slot of an instant, its fraction of a second dropped.
    pub fn of(instant: Timestamp) -> Result<Self, SlotError> {
        u64::try_from(instant.as_second())
            .ok()
            .filter(|seconds| *seconds <= 9_999_999_999)
            .map(Self)
            .ok_or(SlotError::Unwritable(instant))
    }

    /// The slot of a run that an event scheduled for `scheduled`, or of a run that starts now.
    pub fn of_run(scheduled: Option<Timestamp>, now: Timestamp) -> Result<Self, SlotError> {
        let Some(scheduled) = scheduled else {
            return Self::of(now);
        };
        if scheduled.duration_since(now) > CLOCK_MARGIN {
            return Err(SlotError::Future { scheduled, now });
        }
        if is_stale(scheduled, now) {
            return Err(SlotError::Stale { scheduled, now });
        }
        Self::of(scheduled)
    }

    /// Whether it was so long ago that a copy made now would show another state than its name says.
    #[must_use]
    pub fn is_stale(self, now: Timestamp) -> bool {
        is_stale(self.instant(), now)
    }

    /// Exactly ten ASCII digits; no sign, no space, no underscore, nothing else.
    #[must_use]
    pub fn from_digits(digits: &str) -> Option<Self> {
        let exact = digits.len() == 10 && digits.bytes().all(|byte| byte.is_ascii_digit());
        exact.then(|| digits.parse().ok().map(Self))?
    }

    /// The instant, UTC.
    #[must_use]
    pub fn instant(self) -> Timestamp {
        // Ten digits of seconds lie inside what a Timestamp holds (the year 9999), so the fallback is never taken.
        i64::try_from(self.0)
            .ok()
            .and_then(|seconds| Timestamp::from_second(seconds).ok())
            .unwrap_or(Timestamp::MAX)
    }
}

fn is_stale(scheduled: Timestamp, now: Timestamp) -> bool {
    now.duration_since(scheduled) > LATEST_START - CLOCK_MARGIN
}

impl fmt::Display for Slot {
    /// Ten digits, as in a backup's name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:010}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn only_ten_plain_digits_are_a_slot() {
        for wrong in [
            "",
            "123456789",
            "12345678901",
            "-123456789",
            "+123456789",
            "1_2_3_4_56",
            " 123456789",
            "12345678९",
            "１２３",
        ] {
            assert_eq!(Slot::from_digits(wrong), None, "{wrong:?}");
        }
        assert_eq!(
            Slot::from_digits("0012345678").unwrap().to_string(),
            "0012345678"
        );
    }

    #[test]
    fn a_run_without_a_scheduled_time_takes_the_present_second() {
        let now = at("2026-11-21T02:00:00.987Z");
        assert_eq!(
            Slot::of_run(None, now).unwrap().instant(),
            at("2026-11-21T02:00:00Z")
        );
    }

    #[test]
    fn a_slot_in_the_future_or_a_week_ago_is_refused() {
        let now = at("2026-11-21T02:00:00Z");
        let slot = |text| Slot::of_run(Some(at(text)), now);
        assert!(slot("2026-11-21T02:05:00Z").is_ok());
        assert!(matches!(
            slot("2026-11-21T02:05:01Z"),
            Err(SlotError::Future { .. })
        ));
        let latest = slot("2026-11-14T02:05:00Z").unwrap();
        assert!(!latest.is_stale(now) && latest.is_stale(at("2026-11-21T02:00:00.001Z")));
        assert!(matches!(
            slot("2026-11-14T02:04:59Z"),
            Err(SlotError::Stale { .. })
        ));
        assert!(matches!(
            Slot::of(at("1969-12-31T23:59:59Z")),
            Err(SlotError::Unwritable(_))
        ));
    }

    proptest! {
        #[test]
        fn digits_round_trip(seconds in 0_i64..=9_999_999_999) {
            let slot = Slot::of(Timestamp::from_second(seconds).unwrap()).unwrap();
            prop_assert_eq!(Slot::from_digits(&slot.to_string()), Some(slot));
            prop_assert_eq!(slot.instant().as_second(), seconds);
        }
    }
}
