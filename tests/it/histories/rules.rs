//! The rules of what may be deleted, written down a second time and without any of the product's code.
//!
//! Everything here is seconds since 1970 and plain text. Where the product leaves a margin, these rules leave none, or
//! one that forgives the product less than five minutes, which is as far as agreeing clocks may be apart.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use lifeboat::plan::Target;
use lifeboat_emulator::Standing;

pub(super) const DAY: i64 = 86_400;
const MARGIN: i64 = 300;
const WEEK: i64 = 7 * DAY;

/// What the histories' plan backs up, said once more.
pub(super) fn selected(source: &str) -> bool {
    source.starts_with("acme-") && !source.starts_with("acme-scratch")
}

/// Source and slot of a name under the prefix, by the exact grammar.
pub(super) fn read(name: &str) -> Option<(&str, i64)> {
    let (source, digits) = name.strip_prefix("backup-")?.rsplit_once('-')?;
    let exact = digits.len() == 10
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && !source.is_empty();
    exact.then(|| (source, digits.parse().unwrap()))
}

/// A target's policy in plain numbers.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    days: i64,
    min: usize,
    /// Days, weeks, months, years.
    periods: [i64; 4],
    zone: TimeZone,
    hold: BTreeSet<String>,
}

impl Policy {
    pub(super) fn of(target: &Target) -> Self {
        let policy = &target.retention;
        let periods = [
            policy.periods.daily,
            policy.periods.weekly,
            policy.periods.monthly,
            policy.periods.yearly,
        ];
        Self {
            days: policy.days.map_or(0, |days| i64::from(days.get())),
            min: usize::try_from(policy.min.get()).unwrap(),
            periods: periods.map(i64::from),
            zone: policy.zone.clone(),
            hold: policy.hold.clone(),
        }
    }
}

/// One region at one moment, and what the history knows of it.
pub(super) struct Scene<'a> {
    pub(super) standing: &'a [Standing],
    pub(super) policy: &'a Policy,
    /// Whether a read-only backup is known not to be what its source was.
    pub(super) lies: &'a dyn Fn(&Standing) -> bool,
    pub(super) now: i64,
}

/// A backup that is sealed, ours and true.
#[derive(Clone, Copy, Debug)]
struct Good {
    slot: i64,
    /// Before it, nobody could have restored from it.
    usable: i64,
}

impl Scene<'_> {
    fn good_of(&self, source: &str) -> Vec<Good> {
        let good = self.standing.iter().filter_map(|seen| {
            let (of, slot) = read(&seen.name)?;
            let counts = of == source && self.is_ours(seen, slot) && seen.read_only;
            (counts && !(self.lies)(seen)).then(|| Good {
                slot,
                usable: slot.max(seen.created_at.as_second()),
            })
        });
        let mut good: Vec<Good> = good.collect();
        good.sort_by_key(|good| good.slot);
        good
    }

    fn is_ours(&self, seen: &Standing, slot: i64) -> bool {
        // To the last fraction of a second: an event that comes a week late has made copies on either side of the edge.
        let from_then = |seconds| Timestamp::from_second(slot + seconds).unwrap();
        slot <= self.now + MARGIN
            && (from_then(-MARGIN)..=from_then(WEEK)).contains(&seen.created_at)
    }

    /// Why this backup may not be deleted now; `None` when no rule needs it.
    pub(super) fn why_needed(&self, candidate: &Standing) -> Option<String> {
        let Some((source, slot)) = read(&candidate.name) else {
            return Some("it is no backup".into());
        };
        if !selected(source) {
            return Some("the plan does not select its source".into());
        }
        if !self.is_ours(candidate, slot) {
            return Some("it was not made by us".into());
        }
        if !candidate.read_only {
            return Some("it is unsealed".into());
        }
        if self.policy.hold.contains(&candidate.name) {
            return Some("it is held".into());
        }
        let mut newer = self.good_of(source);
        newer.retain(|good| good.slot > slot);
        if newer.is_empty() {
            return Some("nothing newer of its source is sealed".into());
        }
        if newer.len() < self.policy.min {
            return Some(format!("{newer:?} are fewer than the floor"));
        }
        self.needed_for_a_rule(slot, &newer)
    }

    fn needed_for_a_rule(&self, slot: i64, newer: &[Good]) -> Option<String> {
        let Policy { days, periods, .. } = self.policy;
        if *days == 0 && *periods == [0; 4] {
            return Some("there is no rule by which it could go".into());
        }
        // At the window's first instant something newer stood already, so no instant inside it needs this one.
        let begin = self.now - days * DAY;
        if *days > 0 && !newer.iter().any(|newer| newer.usable < begin) {
            return Some(format!("the window needs it; newer are {newer:?}"));
        }
        let newest_of = |period: usize, now: i64| {
            let of = |second| calendar(&self.policy.zone, second)[period];
            // A kept period is restored from its newest, or from the newest before it.
            let mut kept = of(now) - periods[period] + 1..=of(now).max(of(slot));
            kept.any(|of_period| {
                of(slot) <= of_period && !newer.iter().any(|newer| of(newer.slot) <= of_period)
            })
        };
        (0..4)
            .find(|period| newest_of(*period, self.now) && newest_of(*period, self.now + MARGIN))
            .map(|period| {
                format!(
                    "it is the newest as of a {}",
                    ["day", "week", "month", "year"][period]
                )
            })
    }

    /// What should have been deleted long ago: no rule has needed it for ten minutes.
    pub(super) fn overdue(&self) -> Vec<String> {
        let earlier = Scene {
            now: self.now - 2 * MARGIN,
            ..*self
        };
        let overdue = self.standing.iter().filter(|seen| {
            let Some((source, slot)) = read(&seen.name) else {
                return false;
            };
            let next = self
                .good_of(source)
                .into_iter()
                .find(|good| good.slot > slot);
            let begin = self.now - self.policy.days * DAY - 2 * MARGIN;
            let superseded = self.policy.days == 0 || next.is_some_and(|next| next.usable < begin);
            superseded && self.why_needed(seen).is_none() && earlier.why_needed(seen).is_none()
        });
        overdue.map(|seen| seen.name.clone()).collect()
    }

    /// Whether the passing of time between two instants alone may make something due.
    pub(super) fn something_falls_due(&self, from: i64, to: i64) -> bool {
        let window = self.policy.days * DAY;
        let crosses = |edge: i64| (from - 1..=to + 1).contains(&edge);
        let of = |second| calendar(&self.policy.zone, second);
        let turns = |by: i64| of(from - by - 1) != of(to - by + 1);
        turns(0)
            || turns(MARGIN)
            || self.standing.iter().any(|seen| {
                read(&seen.name).is_some_and(|(_, slot)| {
                    let usable = slot.max(seen.created_at.as_second());
                    crosses(usable + window) || crosses(usable + window + MARGIN)
                })
            })
    }

    /// Backups of the plan here, sealed or not.
    pub(super) fn backups(&self) -> usize {
        let ours = |seen: &&Standing| read(&seen.name).is_some_and(|(source, _)| selected(source));
        self.standing.iter().filter(ours).count()
    }
}

/// The local day, week from Monday, month and year of an instant, each as a number that grows by one.
fn calendar(zone: &TimeZone, second: i64) -> [i64; 4] {
    let instant = Timestamp::from_second(second).unwrap();
    let date = instant.to_zoned(zone.clone()).date();
    let midnight = date.to_zoned(TimeZone::UTC).unwrap();
    let day = midnight.timestamp().as_second() / DAY;
    let monday = day - i64::from(date.weekday().to_monday_zero_offset());
    let (year, month) = (i64::from(date.year()), i64::from(date.month()));
    // 1970-01-05 was a Monday, four days in.
    [day, (monday - 4) / 7, year * 12 + month, year]
}

#[test]
fn the_rules_own_calendar_is_right() {
    let second = |text: &str| text.parse::<Timestamp>().unwrap().as_second();
    let berlin = TimeZone::get("Europe/Berlin").unwrap_or(TimeZone::UTC);
    let of = |text: &str| calendar(&berlin, second(text));
    let (sunday, monday) = (of("2026-03-29T12:00:00Z"), of("2026-03-30T12:00:00Z"));
    assert_eq!(monday[0] - sunday[0], 1);
    assert_eq!(monday[1] - sunday[1], 1, "a week ends on Sunday");
    assert_eq!(monday[2], 2026 * 12 + 3);
    let (old, new) = (of("2025-12-31T12:00:00Z"), of("2026-01-01T12:00:00Z"));
    assert_eq!(
        (old[1], new[3] - old[3]),
        (new[1], 1),
        "a week may lie in two years"
    );
}
