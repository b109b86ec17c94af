//! When automatic backups run: weekdays and a two-hour window, both in UTC. Pure arithmetic; knows no policy.

use jiff::Timestamp;

use crate::random::Random;

const DAY: i64 = 86_400;
const WINDOW_MINUTES: u32 = 120;

/// Weekdays and where the window begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Schedule {
    pub(crate) days: Weekdays,
    /// Minutes after midnight.
    pub(crate) begins: u32,
}

/// A set of weekdays; bit 0 is Monday.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Weekdays(u8);

impl Weekdays {
    /// Reads `1,4,7`, where 1 is Monday. A day named twice counts once.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut days = 0;
        for day in text.split(',') {
            let [digit @ b'1'..=b'7'] = day.as_bytes() else {
                return None;
            };
            days |= 1 << (digit - b'1');
        }
        Some(Self(days))
    }

    /// Whether it has this day, of which there are seven from Monday, 0.
    fn has(self, day: i64) -> bool {
        (self.0 >> day) & 1 == 1
    }
}

/// Reads `22:00-00:00` and gives the minutes from midnight to its begin. Exactly two hours, which may pass midnight.
pub(crate) fn window(text: &str) -> Option<u32> {
    let (begins, ends) = text.split_once('-')?;
    let (begins, ends) = (clock(begins)?, clock(ends)?);
    ((begins + WINDOW_MINUTES) % (24 * 60) == ends).then_some(begins)
}

fn clock(text: &str) -> Option<u32> {
    let (hours, minutes) = text.split_once(':')?;
    let digits = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(hours) || !digits(minutes) {
        return None;
    }
    let (hours, minutes): (u32, u32) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

impl Schedule {
    /// The begin of the first window that begins after `after`; none at the end of representable time.
    pub(crate) fn next(self, after: Timestamp) -> Option<Timestamp> {
        let today = after.as_second().div_euclid(DAY);
        (today..=today + 7)
            .filter(|day| self.days.has((day + 3).rem_euclid(7))) // the epoch's first day was a Thursday
            .filter_map(|day| Timestamp::from_second(day * DAY + i64::from(self.begins) * 60).ok())
            .find(|begin| *begin > after)
    }
}

/// When inside the window that begins at `begin` the backup of this cluster starts. Decided by the seed, and by
/// nothing that happened before, so that one more call moves no night.
pub(crate) fn start(begin: Timestamp, seed: u64, cluster: &str) -> Timestamp {
    let mut mixed = seed ^ begin.as_second().unsigned_abs();
    for byte in cluster.bytes() {
        mixed = mixed.rotate_left(8) ^ u64::from(byte);
        mixed = Random::new(mixed).next();
    }
    let minutes = usize::try_from(WINDOW_MINUTES).unwrap_or(0);
    let late = Random::new(mixed).below(minutes * 60);
    let late = i64::try_from(late).unwrap_or(0);
    Timestamp::from_second(begin.as_second().saturating_add(late)).unwrap_or(begin)
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    use super::*;

    fn schedule(days: &str, hours: &str) -> Schedule {
        Schedule {
            days: Weekdays::parse(days).unwrap(),
            begins: window(hours).unwrap(),
        }
    }

    #[test]
    fn only_digits_from_one_to_seven_are_weekdays() {
        for good in ["1", "7", "1,4,7", "1,2,3,4,5,6,7", "3,3"] {
            assert!(Weekdays::parse(good).is_some(), "{good}");
        }
        for bad in ["", "0", "8", "1,", "1, 2", "mon", "11", "1;2"] {
            assert!(Weekdays::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn only_two_hours_are_a_window() {
        assert_eq!(window("22:00-00:00"), Some(22 * 60));
        assert_eq!(window("23:30-01:30"), Some(23 * 60 + 30));
        for bad in [
            "02:00-06:00",
            "02:00-02:00",
            "02:00",
            "2:00-4:00",
            "24:00-02:00",
            "22:00-24:00",
            "02:60-05:00",
            "+2:00-04:00",
            "",
        ] {
            assert_eq!(window(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_next_window_is_on_the_next_named_day() {
        let next = |days, hours, after: &str| {
            let after = after.parse().unwrap();
            schedule(days, hours).next(after).unwrap().to_string()
        };
        // 2026-11-21 is a Saturday.
        let noon = "2026-11-21T12:00:00Z";
        assert_eq!(next("6", "13:00-15:00", noon), "2026-11-21T13:00:00Z");
        assert_eq!(next("6", "12:00-14:00", noon), "2026-11-28T12:00:00Z");
        assert_eq!(next("7,1", "01:00-03:00", noon), "2026-11-22T01:00:00Z");
        assert_eq!(next("5", "23:00-01:00", noon), "2026-11-27T23:00:00Z");
    }

    proptest! {
        #[test]
        fn the_next_window_is_the_first_that_fits(
            days in prop::collection::vec(1_i8..=7, 1..7),
            hour in 0_u32..24,
            minute in 0_u32..60,
            after in -3_000_000_000_i64..6_000_000_000,
        ) {
            let text: Vec<String> = days.iter().map(i8::to_string).collect();
            let ends = format!("{:02}:{minute:02}", (hour + 2) % 24);
            let schedule = schedule(&text.join(","), &format!("{hour:02}:{minute:02}-{ends}"));
            let after = Timestamp::from_second(after).unwrap();
            let next = schedule.next(after).unwrap();
            // jiff's calendar, asked day by day, must agree with the arithmetic.
            let mut day = after.to_zoned(TimeZone::UTC).date();
            let expected = loop {
                let begin = day.at(hour.try_into().unwrap(), minute.try_into().unwrap(), 0, 0);
                let begin = begin.to_zoned(TimeZone::UTC).unwrap().timestamp();
                if begin > after && days.contains(&day.weekday().to_monday_one_offset()) {
                    break begin;
                }
                day = day.tomorrow().unwrap();
            };
            prop_assert_eq!(next, expected);
        }

        #[test]
        fn a_backup_starts_inside_its_window(seed: u64, begin in 0_i64..6_000_000_000, cluster in "in01-[0-9a-f]{15}") {
            let begin = Timestamp::from_second(begin).unwrap();
            let late = start(begin, seed, &cluster).duration_since(begin).as_secs();
            prop_assert!((0..7_200).contains(&late));
            prop_assert_eq!(start(begin, seed, &cluster), start(begin, seed, &cluster));
        }
    }
}
