//! The windows of a plan: when a native backup has to begin, and by when it and its copies have to be there.
//!
//! Pure: no network, no clock. Windows are the plan's, in its own zone, and not the service's policy: that one lags behind a
//! change of clocks until a run has moved it, so a backup belongs to a window from an hour before that begins.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};

use super::policy::{WINDOW, begin};
use crate::plan::ClusterPlan;

/// By how much a policy that was not moved yet may begin too early: by what clocks are changed.
const EARLY: SignedDuration = SignedDuration::from_hours(1);

/// One window, and the time that its backup has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// When it begins.
    pub begin: Timestamp,
    /// When a backup that begins belongs to it at the earliest.
    pub opens: Timestamp,
    /// When one that begins does no longer.
    pub closes: Timestamp,
    /// When its backup and the copies have to be there.
    pub due: Timestamp,
    /// When the next one opens.
    pub next: Timestamp,
}

impl Window {
    /// Whether a backup that began at `at` is this window's.
    #[must_use]
    pub fn has(&self, at: Timestamp) -> bool {
        (self.opens..self.closes).contains(&at)
    }

    /// As messages name it.
    #[must_use]
    pub fn shown(&self) -> String {
        format!("{} to {}", self.begin, later(self.begin, WINDOW))
    }
}

/// The plan's windows that came due after `since` and not after `now`, oldest first.
#[must_use]
pub fn due_within(plan: &ClusterPlan, since: Timestamp, now: Timestamp) -> Vec<Window> {
    let mut windows = all(plan, since, now);
    windows.retain(|window| since < window.due && window.due <= now);
    windows
}

/// The newest of the plan's windows that is due.
#[must_use]
pub fn newest_due(plan: &ClusterPlan, now: Timestamp) -> Option<Window> {
    // A plan has a weekday.
    due_within(plan, earlier(now, SignedDuration::from_hours(8 * 24)), now).pop()
}

/// All windows that may come due between two instants.
fn all(plan: &ClusterPlan, since: Timestamp, now: Timestamp) -> Vec<Window> {
    let reach = grace(plan) + SignedDuration::from_hours(2 * 24);
    let first = plan.zone.to_datetime(earlier(since, reach)).date();
    let last = plan
        .zone
        .to_datetime(later(now, SignedDuration::from_hours(9 * 24)))
        .date();
    let dates = first
        .series(Span::new().days(1))
        .take_while(|date| *date <= last);
    let chosen = dates.filter(|date| {
        plan.weekdays
            .contains(&date.weekday().to_monday_one_offset())
    });
    let begins: Vec<Timestamp> = chosen
        .filter_map(|date| begin(&plan.zone, date, plan.start))
        .collect();
    let nexts = begins.iter().skip(1);
    let pairs = begins.iter().zip(nexts);
    pairs
        .map(|(begin, next)| window(plan, *begin, *next))
        .collect()
}

fn window(plan: &ClusterPlan, begin: Timestamp, next: Timestamp) -> Window {
    let due = later(begin, WINDOW + grace(plan));
    Window {
        begin,
        opens: earlier(begin, EARLY),
        closes: due.min(earlier(next, EARLY)),
        due,
        next: earlier(next, EARLY),
    }
}

/// What the plan's windows depend on, in words: while it stays the same, so do they.
#[must_use]
pub fn schedule(plan: &ClusterPlan) -> String {
    let days = crate::plan::weekdays_in_words(&plan.weekdays);
    format!("{days} {} {}", plan.start, zone_name(&plan.zone))
}

fn zone_name(zone: &TimeZone) -> &str {
    zone.iana_name().unwrap_or("UTC")
}

/// What a backup and its copies may take.
pub(super) fn grace(plan: &ClusterPlan) -> SignedDuration {
    SignedDuration::from_hours(plan.grace_hours.into())
}

pub(super) fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.saturating_add(by).unwrap_or(Timestamp::MAX)
}

pub(super) fn earlier(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.saturating_sub(by).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zilliz::cases;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// Windows due in the two days before `now`: when they begin.
    fn due(lines: &str, now: &str) -> String {
        let plan = cases::plan(lines);
        let since = earlier(at(now), SignedDuration::from_hours(48));
        let windows = due_within(&plan, since, at(now));
        let begins = windows.iter().map(|window| window.begin.to_string());
        begins.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_window_is_due_when_its_grace_is_over() {
        let daily = "start = \"02:00\"";
        for (lines, now, expected) in [
            (
                daily,
                "2026-11-24T09:59:59Z",
                "2026-11-22T02:00:00Z 2026-11-23T02:00:00Z",
            ),
            (
                daily,
                "2026-11-24T10:00:00Z",
                "2026-11-23T02:00:00Z 2026-11-24T02:00:00Z",
            ),
            (
                "start = \"02:00\"\nweekdays = [\"mon\"]",
                "2026-11-24T10:00:00Z",
                "2026-11-23T02:00:00Z",
            ),
            (
                "start = \"02:00\"\nweekdays = [\"thu\"]",
                "2026-11-24T10:00:00Z",
                "",
            ),
            // A grace of a week: what began eight days before.
            (
                "start = \"02:00\"\ngrace_hours = 168",
                "2026-11-24T04:00:00Z",
                "2026-11-16T02:00:00Z 2026-11-17T02:00:00Z",
            ),
            // Berlin's clocks go back on 2026-10-25 at 03:00 and on on 2027-03-28 at 02:00.
            (
                "start = \"02:30\"\ntime_zone = \"Europe/Berlin\"",
                "2026-10-26T12:00:00Z",
                "2026-10-25T00:30:00Z 2026-10-26T01:30:00Z",
            ),
            (
                "start = \"02:30\"\ntime_zone = \"Europe/Berlin\"",
                "2027-03-29T12:00:00Z",
                "2027-03-28T01:30:00Z 2027-03-29T00:30:00Z",
            ),
        ] {
            assert_eq!(due(lines, now), expected, "{lines} {now}");
        }
    }

    #[test]
    fn a_backup_belongs_to_one_window_at_most() {
        for lines in [
            "start = \"02:00\"",
            "start = \"02:00\"\ngrace_hours = 168",
            "start = \"23:30\"\ntime_zone = \"America/Los_Angeles\"\nweekdays = [\"mon\", \"tue\", \"sat\"]",
        ] {
            let plan = cases::plan(lines);
            let now = at("2026-11-24T12:00:00Z");
            let windows = due_within(
                &plan,
                earlier(now, SignedDuration::from_hours(40 * 24)),
                now,
            );
            assert!(windows.len() > 10, "{lines}");
            for (one, next) in windows.iter().zip(windows.iter().skip(1)) {
                assert!(one.closes <= next.opens, "{lines} {one:?} {next:?}");
                assert!(
                    one.has(one.begin) && one.has(later(one.begin, WINDOW)),
                    "{lines} {one:?}"
                );
            }
        }
    }

    /// The day the clocks go back, a policy that no run has moved begins an hour before the plan's window.
    #[test]
    fn a_policy_that_lags_behind_a_change_of_clocks_makes_the_windows_backup_all_the_same() {
        let plan = cases::plan("start = \"02:30\"\ntime_zone = \"Europe/Berlin\"");
        let window = newest_due(&plan, at("2026-10-26T12:00:00Z")).unwrap();
        assert_eq!(window.begin, at("2026-10-26T01:30:00Z"));
        for (made, is_its) in [
            ("2026-10-26T00:29:59Z", false),
            ("2026-10-26T00:30:00Z", true),
            ("2026-10-26T03:30:00Z", true),
            ("2026-10-26T09:29:59Z", true),
            ("2026-10-26T09:30:00Z", false),
        ] {
            assert_eq!(window.has(at(made)), is_its, "{made}");
        }
    }

    #[test]
    fn the_newest_window_that_is_due_is_found_whatever_the_day() {
        let plan = cases::plan("start = \"02:00\"\nweekdays = [\"wed\"]");
        for (now, expected) in [
            ("2026-11-24T12:00:00Z", "2026-11-18T02:00:00Z"),
            ("2026-11-25T09:00:00Z", "2026-11-18T02:00:00Z"),
            ("2026-11-25T10:00:00Z", "2026-11-25T02:00:00Z"),
        ] {
            let newest = newest_due(&plan, at(now)).unwrap();
            assert_eq!(newest.begin.to_string(), expected, "{now}");
        }
    }
}
