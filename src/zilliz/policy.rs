//! From a plan to the native backup policy that carries it out, and how another policy differs from it.
//!
//! Pure: no network, no clock. A native policy has weekdays and a window in UTC; a plan has both in its own time zone, so
//! the policy changes with daylight saving, and the run of the day sets it anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};
use serde::Serialize;

use super::wire::{FoundPolicy, SentCopy, SentPolicy};
use crate::plan::ClusterPlan;
use crate::service::Region;

/// How long a window is (contract section 4).
pub const WINDOW: SignedDuration = SignedDuration::from_hours(2);
const WINDOW_MINUTES: u16 = 120;
const DAY_MINUTES: u16 = 24 * 60;

/// A policy that is enabled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// From 1, Monday, to 7, in UTC: the days on which windows begin.
    ///
    /// Inferred (contract section 4): that a window which passes midnight belongs to the day on which it begins.
    pub weekdays: BTreeSet<i8>,
    /// When windows begin, in minutes after midnight UTC.
    pub begins: u16,
    /// Days that the backup in the cluster's own region stays.
    pub retention_days: u64,
    /// Days that copies stay, by region.
    pub copies: BTreeMap<Region, u64>,
}

/// One thing in which the service's policy is not the plan's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Drift {
    /// The field, such as `startTime` or `crossRegionCopies.gcp-us-east4`.
    pub field: String,
    /// What the service has.
    pub found: String,
    /// What the plan asks for.
    pub wanted: String,
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} is {} instead of {}",
            self.field, self.found, self.wanted
        )
    }
}

impl Policy {
    /// The policy that carries the plan out as of `now`: with the offset from UTC of the first window that has not ended
    /// yet, so that a change of clocks moves the policy as soon as the last window before it is over, and not earlier.
    #[must_use]
    pub fn of(plan: &ClusterPlan, now: Timestamp) -> Self {
        let (date, begin) = next_window(plan, now);
        let utc = TimeZone::UTC.to_datetime(begin);
        let shift = days_between(date, utc.date());
        let minutes =
            u16::try_from(utc.hour()).unwrap_or(0) * 60 + u16::try_from(utc.minute()).unwrap_or(0);
        let copies = plan.targets.iter();
        Self {
            weekdays: plan.weekdays.iter().map(|day| moved(*day, shift)).collect(),
            begins: minutes,
            retention_days: plan.retention_days.into(),
            copies: copies
                .map(|copy| (copy.region.clone(), copy.retention_days.into()))
                .collect(),
        }
    }

    /// What the service says, if that is a policy that REST can set; else why not.
    ///
    /// Unknown (contract section 4): what is answered for a policy that the console made with cron or several schedules.
    /// It is never overwritten: whoever made it should say what is meant.
    pub fn found(found: &FoundPolicy) -> Result<Option<Self>, String> {
        match found.status.as_deref() {
            Some("DISABLED") => return Ok(None),
            Some("ENABLED") => {}
            other => {
                return Err(format!(
                    "its status is {}, neither ENABLED nor DISABLED",
                    quoted(other)
                ));
            }
        }
        let frequency = found.frequency.as_deref();
        let weekdays = frequency.and_then(weekdays);
        let weekdays = weekdays.ok_or_else(|| {
            format!(
                "its frequency is {}, no list of weekdays",
                quoted(frequency)
            )
        })?;
        let window = found.start_time.as_deref();
        let begins = window.and_then(begin_of);
        let begins = begins.ok_or_else(|| {
            format!(
                "its startTime is {}, no window of two hours",
                quoted(window)
            )
        })?;
        let retention_days = found.retention_days.ok_or("it has no retentionDays")?;
        let mut copies = BTreeMap::new();
        for copy in found.cross_region_copies.as_deref().unwrap_or_default() {
            let (Some(region), Some(days)) = (&copy.region_id, copy.retention_days) else {
                return Err(
                    "one of its crossRegionCopies has no region or no retentionDays".into(),
                );
            };
            if copies.insert(region.clone(), days).is_some() {
                return Err(format!("it copies to {region} twice"));
            }
        }
        Ok(Some(Self {
            weekdays,
            begins,
            retention_days,
            copies,
        }))
    }

    /// Everything in which `found` is not this; empty when the service does what the plan asks for.
    #[must_use]
    pub fn drift(&self, found: Option<&Self>) -> Vec<Drift> {
        let mut drifts = Vec::new();
        let mut compare = |field: String, found: String, wanted: String| {
            if found != wanted {
                drifts.push(Drift {
                    field,
                    found,
                    wanted,
                });
            }
        };
        let Some(found) = found else {
            compare("status".into(), "DISABLED".into(), "ENABLED".into());
            return drifts;
        };
        compare("frequency".into(), found.frequency(), self.frequency());
        compare("startTime".into(), found.start_time(), self.start_time());
        compare(
            "retentionDays".into(),
            found.retention_days.to_string(),
            self.retention_days.to_string(),
        );
        let regions: BTreeSet<&Region> = self.copies.keys().chain(found.copies.keys()).collect();
        for region in regions {
            let days = |policy: &Self| match policy.copies.get(region) {
                Some(1) => "1 day".to_owned(),
                Some(days) => format!("{days} days"),
                None => "no copy".to_owned(),
            };
            compare(
                format!("crossRegionCopies.{region}"),
                days(found),
                days(self),
            );
        }
        drifts
    }

    /// What is sent: every field, and the whole array, because leaving something out may clear or keep it.
    #[must_use]
    pub fn sent(&self) -> SentPolicy {
        let days = |days: u64| u32::try_from(days).unwrap_or(u32::MAX);
        let copies = self.copies.iter().map(|(region, kept)| SentCopy {
            region_id: region.clone(),
            retention_days: Some(days(*kept)),
        });
        SentPolicy {
            enabled: true,
            frequency: self.frequency(),
            start_time: self.start_time(),
            retention_days: days(self.retention_days),
            cross_region_copies: copies.collect(),
        }
    }

    /// Weekdays as the service writes them, such as `1,4`.
    #[must_use]
    pub fn frequency(&self) -> String {
        let days: Vec<String> = self.weekdays.iter().map(ToString::to_string).collect();
        days.join(",")
    }

    /// The window as the service writes it, such as `22:00-00:00`.
    ///
    /// Documented as `HH:mm`; the official client sends whole hours only (contract section 4), so of a zone that is not a
    /// whole number of hours from UTC it is unknown whether the service takes it.
    #[must_use]
    pub fn start_time(&self) -> String {
        let clock = |minutes: u16| format!("{:02}:{:02}", minutes / 60, minutes % 60);
        let ends = (self.begins + WINDOW_MINUTES) % DAY_MINUTES;
        format!("{}-{}", clock(self.begins), clock(ends))
    }
}

/// The first of the plan's windows that has not ended: its date in the plan's zone, and when it begins.
///
/// A start that the clocks skip is moved on by as much as they are, and of one that comes twice the first counts.
fn next_window(plan: &ClusterPlan, now: Timestamp) -> (Date, Timestamp) {
    let today = plan.zone.to_datetime(now).date();
    let days = (-1..=8).filter_map(|offset| today.checked_add(Span::new().days(offset)).ok());
    let windows = days
        .filter(|date| {
            plan.weekdays
                .contains(&date.weekday().to_monday_one_offset())
        })
        .filter_map(|date| Some((date, begin(&plan.zone, date, plan.start)?)));
    let mut windows =
        windows.filter(|(_, begin)| begin.saturating_add(WINDOW).is_ok_and(|end| end > now));
    // A plan has a weekday, and nine days hold each; only at the end of time is there none left.
    windows.next().unwrap_or((today, now))
}

/// When the start of a day is in a zone; one that the clocks skip is moved on, and of one that comes twice the first counts.
pub(super) fn begin(zone: &TimeZone, date: Date, start: Time) -> Option<Timestamp> {
    let ambiguous = zone.to_ambiguous_timestamp(date.to_datetime(start));
    ambiguous.compatible().ok()
}

fn days_between(local: Date, utc: Date) -> i8 {
    let days = utc.since(local).map_or(0, |span| span.get_days());
    i8::try_from(days).unwrap_or(0)
}

/// A weekday, that many days on.
fn moved(day: i8, by: i8) -> i8 {
    (day - 1 + by).rem_euclid(7) + 1
}

fn weekdays(text: &str) -> Option<BTreeSet<i8>> {
    let day = |text: &str| text.trim().parse().ok().filter(|day| (1..=7).contains(day));
    text.split(',').map(day).collect()
}

/// Reads `22:00-00:00` as minutes after midnight, if it is a window of two hours.
fn begin_of(window: &str) -> Option<u16> {
    let clock = |text: &str| {
        let (hour, minute) = text.trim().split_once(':')?;
        let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
        (hour < 24 && minute < 60).then_some(hour * 60 + minute)
    };
    let (begins, ends) = window.split_once('-')?;
    let (begins, ends) = (clock(begins)?, clock(ends)?);
    ((begins + WINDOW_MINUTES) % DAY_MINUTES == ends).then_some(begins)
}

fn quoted(text: Option<&str>) -> String {
    text.map_or("missing".into(), |text| {
        format!("`{}`", text.chars().take(40).collect::<String>())
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::zilliz::cases;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn policy(zone: &str, weekdays: &str, start: &str, now: &str) -> String {
        let plan = cases::plan(&format!(
            "time_zone = \"{zone}\"\nweekdays = {weekdays}\nstart = \"{start}\""
        ));
        let policy = Policy::of(&plan, at(now));
        format!("{} {}", policy.frequency(), policy.start_time())
    }

    /// Zone, weekdays, start, now, and the native policy.
    type Window = (
        &'static str,
        &'static str,
        &'static str,
        &'static str,
        &'static str,
    );
    /// 2026-11-22 is a Sunday. Berlin's clocks go back on 2026-10-25 at 03:00 and on on 2027-03-28 at 02:00, both Sundays.
    const WINDOWS: [Window; 15] = [
        (
            "UTC",
            r#"["mon", "thu"]"#,
            "02:00",
            "2026-11-22T12:00:00Z",
            "1,4 02:00-04:00",
        ),
        (
            "UTC",
            r#"["sun"]"#,
            "23:30",
            "2026-11-22T12:00:00Z",
            "7 23:30-01:30",
        ),
        // The day before, and the day after, in UTC; over the end of the week, too.
        (
            "Europe/Berlin",
            r#"["mon", "thu"]"#,
            "00:30",
            "2026-11-22T12:00:00Z",
            "3,7 23:30-01:30",
        ),
        (
            "America/Los_Angeles",
            r#"["sun", "wed"]"#,
            "20:00",
            "2026-11-22T12:00:00Z",
            "1,4 04:00-06:00",
        ),
        (
            "Pacific/Kiritimati",
            r#"["mon"]"#,
            "10:00",
            "2026-11-22T12:00:00Z",
            "7 20:00-22:00",
        ),
        (
            "Asia/Kolkata",
            r#"["tue"]"#,
            "02:00",
            "2026-11-22T12:00:00Z",
            "1 20:30-22:30",
        ),
        // Clocks go back: as in summer until the last window before is over, as in winter then.
        (
            "Europe/Berlin",
            r#"["sat", "sun"]"#,
            "02:30",
            "2026-10-24T02:29:59Z",
            "6,7 00:30-02:30",
        ),
        (
            "Europe/Berlin",
            r#"["sat", "sun"]"#,
            "02:30",
            "2026-10-25T02:29:59Z",
            "6,7 00:30-02:30",
        ),
        (
            "Europe/Berlin",
            r#"["sat", "sun"]"#,
            "02:30",
            "2026-10-25T02:30:00Z",
            "6,7 01:30-03:30",
        ),
        (
            "Europe/Berlin",
            r#"["mon"]"#,
            "02:30",
            "2026-10-19T02:29:59Z",
            "1 00:30-02:30",
        ),
        (
            "Europe/Berlin",
            r#"["mon"]"#,
            "02:30",
            "2026-10-19T02:30:00Z",
            "1 01:30-03:30",
        ),
        // Clocks go on: 02:30 does not exist on that Sunday, and is 03:30.
        (
            "Europe/Berlin",
            r#"["sun"]"#,
            "02:30",
            "2027-03-28T00:00:00Z",
            "7 01:30-03:30",
        ),
        (
            "Europe/Berlin",
            r#"["sun"]"#,
            "02:30",
            "2027-03-28T03:30:00Z",
            "7 00:30-02:30",
        ),
        // The weekday in UTC changes with the clocks: 01:30 is the same day in winter, and the day before in summer.
        (
            "Europe/Berlin",
            r#"["mon"]"#,
            "01:30",
            "2027-03-20T12:00:00Z",
            "1 00:30-02:30",
        ),
        (
            "Europe/Berlin",
            r#"["mon"]"#,
            "01:30",
            "2027-03-22T12:00:00Z",
            "7 23:30-01:30",
        ),
    ];

    #[test]
    fn a_local_window_becomes_one_in_utc() {
        for (zone, weekdays, start, now, expected) in WINDOWS {
            assert_eq!(
                policy(zone, weekdays, start, now),
                expected,
                "{zone} {weekdays} {start} at {now}"
            );
        }
    }

    #[test]
    fn what_the_service_tells_is_compared_field_by_field() {
        let plan = cases::plan("weekdays = [\"mon\", \"thu\"]\nstart = \"02:00\"");
        let wanted = Policy::of(&plan, at("2026-11-22T12:00:00Z"));
        let found = |json: &str| Policy::found(&serde_json::from_str(json).unwrap());
        let drift = |json: &str| {
            let drifts = wanted.drift(found(json).unwrap().as_ref());
            drifts
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("; ")
        };
        let same = r#"{"status":"ENABLED","startTime":"02:00-04:00","frequency":"4,1","retentionDays":7,
            "crossRegionCopies":[{"regionId":"gcp-europe-west3","retentionDays":7},{"regionId":"gcp-us-east4","retentionDays":30}]}"#;
        assert_eq!(drift(same), "");
        assert_eq!(
            drift(
                &same
                    .replace("4,1", "1,2,3,4,5,6,7")
                    .replace("02:00-04:00", "22:00-00:00")
                    .replace("7,\n", "8,\n")
            ),
            "frequency is 1,2,3,4,5,6,7 instead of 1,4; startTime is 22:00-00:00 instead of 02:00-04:00; retentionDays is 8 instead of 7"
        );
        assert_eq!(
            drift(
                r#"{"status":"ENABLED","startTime":"02:00-04:00","frequency":"1,4","retentionDays":7,
                "crossRegionCopies":[{"regionId":"gcp-us-east4","retentionDays":1},{"regionId":"gcp-us-central1","retentionDays":2}]}"#
            ),
            "crossRegionCopies.gcp-europe-west3 is no copy instead of 7 days; crossRegionCopies.gcp-us-central1 is 2 days instead of no copy; crossRegionCopies.gcp-us-east4 is 1 day instead of 30 days"
        );
        let disabled = r#"{"status":"DISABLED","startTime":null,"frequency":null,"retentionDays":0,"crossRegionCopies":[]}"#;
        assert_eq!(drift(disabled), "status is DISABLED instead of ENABLED");
        for (unreadable, says) in [
            (same.replace("ENABLED", "PAUSED"), "`PAUSED`"),
            (same.replace("4,1", "0 2 * * *"), "`0 2 * * *`"),
            (same.replace("4,1", "0"), "no list of weekdays"),
            (same.replace("02:00-04:00", "02:00-06:00"), "`02:00-06:00`"),
            (same.replace("gcp-us-east4", "gcp-europe-west3"), "twice"),
            (
                same.replace(r#","retentionDays":30"#, ""),
                "no retentionDays",
            ),
            ("{}".into(), "missing"),
        ] {
            let said = found(&unreadable).unwrap_err();
            assert!(said.contains(says), "{said}");
        }
    }

    #[test]
    fn every_field_and_the_whole_array_is_sent() {
        let plan = cases::plan("weekdays = [\"mon\"]\nstart = \"02:00\"");
        let sent = Policy::of(&plan, at("2026-11-22T12:00:00Z")).sent();
        assert_eq!(
            serde_json::to_string(&sent).unwrap(),
            r#"{"enabled":true,"frequency":"1","startTime":"02:00-04:00","retentionDays":7,"crossRegionCopies":[{"regionId":"gcp-europe-west3","retentionDays":7},{"regionId":"gcp-us-east4","retentionDays":30}]}"#
        );
    }

    /// That the next native window is the plan's next one.
    fn the_next_window_agrees(zone: &str, weekdays: BTreeSet<i8>, start: Time, now: i64) {
        let mut plan = cases::plan("start = \"02:00\"");
        plan.zone = TimeZone::get(zone).unwrap();
        plan.weekdays = weekdays;
        plan.start = start;
        let now = Timestamp::from_second(now).unwrap();
        let (_, begin) = next_window(&plan, now);
        assert!(begin + WINDOW > now);
        let policy = Policy::of(&plan, now);
        // The native schedule, asked minute by minute from a window's length before now.
        let minutes = (0..).map(|minute| (now - WINDOW) + SignedDuration::from_mins(minute));
        let whole =
            |at: Timestamp| Timestamp::from_second(at.as_second().div_euclid(60) * 60).unwrap();
        // Where the clocks go back before the next window, today's native one may be open when the plan's has ended: then
        // there may be a backup more, and never one less.
        let offset = |at: Timestamp| plan.zone.to_offset(at);
        let is_extra = |at: Timestamp| at <= now && at < begin && offset(at) > offset(begin);
        let native = minutes.map(whole).find(|at| {
            let utc = TimeZone::UTC.to_datetime(*at);
            let minutes =
                u16::try_from(utc.hour()).unwrap() * 60 + u16::try_from(utc.minute()).unwrap();
            let weekday = utc.date().weekday().to_monday_one_offset();
            let is_native = minutes == policy.begins && policy.weekdays.contains(&weekday);
            *at + WINDOW > now && is_native && !is_extra(*at)
        });
        assert_eq!(native, Some(begin));
        let copies = policy.copies.iter();
        let copies = copies.map(|(region, days)| crate::zilliz::wire::FoundCopy {
            region_id: Some(region.clone()),
            retention_days: Some(*days),
        });
        let found = FoundPolicy {
            status: Some("ENABLED".into()),
            start_time: Some(policy.start_time()),
            frequency: Some(policy.frequency()),
            retention_days: Some(policy.retention_days),
            cross_region_copies: Some(copies.collect()),
        };
        assert_eq!(Policy::found(&found), Ok(Some(policy)));
    }

    #[test]
    fn on_the_day_the_clocks_go_back_there_may_be_one_more_and_the_next_is_the_plans() {
        let saturday = BTreeSet::from([6]);
        let nine = Time::new(21, 0, 0, 0).unwrap();
        the_next_window_agrees("Australia/Lord_Howe", saturday, nine, 1_712_404_800);
    }

    proptest! {
        #[test]
        fn the_next_native_window_is_the_plans(
            zone in prop::sample::select(vec!["Europe/Berlin", "America/New_York", "Pacific/Auckland", "Asia/Kathmandu", "America/St_Johns", "Australia/Lord_Howe"]),
            weekdays in prop::collection::btree_set(1_i8..=7, 1..7),
            hour in 0_i8..24, minute in 0_i8..60,
            now in 1_700_000_000_i64..2_000_000_000,
        ) {
            the_next_window_agrees(zone, weekdays, Time::new(hour, minute, 0, 0).unwrap(), now);
        }
    }
}
