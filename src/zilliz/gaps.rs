//! Which of the plan's windows made nothing: no backup at all, or no copy of it in a region.
//!
//! Pure, over what was read. A window is judged once it is due, by every run that comes within a day and the grace of that,
//! and by the first run after a longer silence; so a daily run tells each one, and none is told for ever.
//! What it must never do: ask for what nobody had asked the service for yet, or for what it has deleted already.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::client::FailedJob;
use super::recovery::Placed;
use super::windows::{Window, due_within, earlier, grace, later, newest_due};
use crate::journal::Look;
use crate::plan::ClusterPlan;
use crate::service::Region;

/// Runs come every day, and not to the minute.
const A_DAY: SignedDuration = SignedDuration::from_hours(25);
/// Windows and copies that one message names.
const SHOWN: usize = 10;

/// What is known beside the backups.
#[derive(Clone, Debug)]
pub struct Known<'a> {
    /// Now, by the service's clock.
    pub now: Timestamp,
    /// This run has lately switched the policy on, which makes a first backup at once.
    pub just_enabled: bool,
    /// The service had another policy than the plan's until now, as far as this run has seen.
    pub had_drifted: bool,
    /// Why the policy is not the plan's, or nobody knows whether it is, is a failure of its own.
    pub policy_failed: bool,
    /// What earlier looks knew of each region.
    pub earlier: &'a BTreeMap<Region, Look>,
    /// Jobs about backups of the cluster that failed.
    pub failed: &'a [FailedJob],
}

/// Something that a region lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gap<'a> {
    /// A window made no backup.
    Backup(Window),
    /// A backup was not copied.
    Copy(&'a Placed),
}

impl Gap<'_> {
    /// When what is lacking would have begun at the earliest.
    #[must_use]
    pub fn since(&self) -> Timestamp {
        match self {
            Self::Backup(window) => window.opens,
            Self::Copy(original) => original.created_at,
        }
    }
}

/// One cluster's backups, as the plan's windows see them.
#[derive(Clone, Copy, Debug)]
pub struct Ledger<'a> {
    /// The plan.
    pub plan: &'a ClusterPlan,
    /// The cluster's own region.
    pub home: &'a str,
    /// Its backups of whole clusters, with their regions.
    pub backups: &'a [Placed],
    /// What else is known.
    pub known: &'a Known<'a>,
}

/// From when on backups have to be known, for every region to be judged.
#[must_use]
pub fn horizon(plan: &ClusterPlan, home: &str, known: &Known<'_>) -> Timestamp {
    let regions = plan.targets.iter().map(|target| target.region.as_str());
    let looks = regions
        .chain([home])
        .map(|region| looks_back_to(plan, region, known));
    let first = looks.min().unwrap_or(known.now);
    earlier(first, grace(plan) + SignedDuration::from_hours(3))
}

fn looks_back_to(plan: &ClusterPlan, region: &str, known: &Known<'_>) -> Timestamp {
    let a_day_ago = earlier(known.now, A_DAY);
    let look = known.earlier.get(region);
    let since = look.map_or(a_day_ago, |look| look.looked_at.min(a_day_ago));
    // A copy that was still being made is looked at once more.
    earlier(since, grace(plan)).max(earlier(known.now, kept_for(plan, region)))
}

fn kept_for(plan: &ClusterPlan, region: &str) -> SignedDuration {
    let target = plan.targets.iter().find(|target| target.region == region);
    let days = target.map_or(plan.retention_days, |target| target.retention_days);
    SignedDuration::from_hours(i64::from(days) * 24)
}

impl<'a> Ledger<'a> {
    /// Everything that a region lacks of what came due lately, oldest first.
    #[must_use]
    pub fn gaps(&self, region: &str) -> Vec<Gap<'a>> {
        let since = looks_back_to(self.plan, region, self.known);
        let due = due_within(self.plan, since, self.known.now).into_iter();
        let judged = due.filter(|window| self.is_asked_for(region, window));
        judged
            .filter_map(|window| self.gap(region, window))
            .collect()
    }

    /// The newest window that is due, if it was asked for and neither it nor anything later has made a backup.
    #[must_use]
    pub fn fruitless(&self, region: &str) -> Option<Window> {
        let window = newest_due(self.plan, self.known.now)?;
        let none = !self.originals().any(|original| {
            let counts = original.available || self.is_young(original);
            counts && original.created_at >= window.opens
        });
        (none && self.is_asked_for(region, &window)).then_some(window)
    }

    fn gap(&self, region: &str, window: Window) -> Option<Gap<'a>> {
        if !self.would_stand(self.home, &window) {
            // Its original has had its days; what a region keeps for longer speaks for itself.
            let is_there = |backup: &Placed| {
                let counts = backup.scheduled && backup.available && backup.region == region;
                counts && (window.opens..window.next).contains(&backup.created_at)
            };
            let none = !self.backups.iter().any(is_there);
            return none.then_some(Gap::Backup(window));
        }
        let mut made = self
            .originals()
            .filter(|backup| window.has(backup.created_at));
        if made.clone().any(|original| self.is_young(original)) {
            return None;
        }
        let Some(last) = made.clone().filter(|original| original.available).last() else {
            return Some(Gap::Backup(window));
        };
        let is_there = made.any(|original| {
            region == self.home || original.available && self.is_copied(original, region)
        });
        (!is_there).then_some(Gap::Copy(last))
    }

    /// Whether the policy was to make a backup in a window that still stood there now.
    ///
    /// Where no earlier look says since when it was, a backup that is older than the window does, unless the service was
    /// just found to have another policy.
    fn is_asked_for(&self, region: &str, window: &Window) -> bool {
        if !self.would_stand(region, window) {
            return false;
        }
        let look = self.known.earlier.get(region);
        match look.and_then(|look| look.since) {
            Some(since) => since <= window.begin,
            None => {
                let older = |backup: &Placed| {
                    backup.scheduled && backup.region == region && backup.created_at < window.opens
                };
                !self.known.had_drifted && self.backups.iter().any(older)
            }
        }
    }

    /// Whether what a window has made in a region has not had its days yet.
    fn would_stand(&self, region: &str, window: &Window) -> bool {
        later(window.opens, kept_for(self.plan, region)) > self.known.now
    }

    /// What the policy made in the cluster's own region, in no order.
    pub(super) fn originals(&self) -> impl Iterator<Item = &'a Placed> + Clone {
        let (backups, home) = (self.backups, self.home);
        let is_one = move |backup: &&Placed| backup.scheduled && backup.region == home;
        backups.iter().filter(is_one)
    }

    /// Whether a region has a copy of an original, or is being sent one.
    ///
    /// Inferred, as for [`super::copies`]: by name, or else what began there after it and before the next one.
    pub(super) fn is_copied(&self, original: &Placed, region: &str) -> bool {
        let next = self.originals().map(|other| other.created_at);
        let next = next.filter(|at| *at > original.created_at).min();
        let is_others = |copy: &Placed| {
            let mut others = self.originals().filter(|other| other.id != original.id);
            copy.name.is_some() && others.any(|other| other.name == copy.name)
        };
        let is_it = |copy: &Placed| {
            let by_name = original.name.is_some() && copy.name == original.name;
            let by_time = copy.created_at >= original.created_at
                && next.is_none_or(|next| copy.created_at < next)
                && !is_others(copy);
            by_name || by_time
        };
        let mut there = self
            .backups
            .iter()
            .filter(|copy| copy.scheduled && copy.region == region)
            .filter(|copy| copy.available || self.is_young(copy));
        there.any(is_it)
    }

    /// Whether something is being made and still has its time.
    pub(super) fn is_young(&self, backup: &Placed) -> bool {
        let age = self.known.now.duration_since(backup.created_at);
        !backup.available && age <= grace(self.plan)
    }

    /// What a person is told of a region's gaps.
    pub(super) fn told(&self, region: &str, gaps: &[Gap<'_>]) -> String {
        let mut told: Vec<String> = gaps
            .iter()
            .take(SHOWN)
            .map(|gap| self.told_of(region, gap))
            .collect();
        if gaps.len() > SHOWN {
            told.push(format!("and {} more", gaps.len() - SHOWN));
        }
        told.join("; ")
    }

    fn told_of(&self, region: &str, gap: &Gap<'_>) -> String {
        let (what, place) = match gap {
            Gap::Backup(window) => (
                format!("the window of {} made no backup", window.shown()),
                self.home,
            ),
            Gap::Copy(original) => (
                format!(
                    "the backup of {} ({}) was not copied to {region}",
                    original.created_at, original.id
                ),
                region,
            ),
        };
        match self.reason(gap, place) {
            Some(reason) => format!("{what}: {reason}"),
            None => what,
        }
    }

    /// What the service says of it: of the job in that place that failed in the time in which it would have worked.
    fn reason(&self, gap: &Gap<'_>, place: &str) -> Option<&'a str> {
        let until = match gap {
            Gap::Backup(window) => window.closes,
            Gap::Copy(original) => {
                let next = self.originals().map(|other| other.created_at);
                let next = next.filter(|at| *at > original.created_at).min();
                next.unwrap_or(Timestamp::MAX)
            }
        };
        let mut jobs = self.known.failed.iter();
        let job = jobs.find(|job| job.region == place && (gap.since()..until).contains(&job.at))?;
        job.reason.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use jiff::Span;
    use jiff::civil::{Date, DateTime};
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    use super::*;
    use crate::zilliz::cases;
    use crate::zilliz::policy::Policy;
    use crate::zilliz::recovery::{Protection, judge};
    use crate::zilliz::report::PolicyState;
    use crate::zilliz::watching::looks_now;

    const HOME: &str = "gcp-us-west1";
    const NEAR: &str = "gcp-us-east4";
    const FAR: &str = "gcp-europe-west3";
    const REGIONS: [&str; 3] = [HOME, NEAR, FAR];

    fn placed(region: &str, at: Timestamp) -> Placed {
        Placed {
            id: format!("{region} {at}"),
            name: None,
            region: region.to_owned(),
            created_at: at,
            available: true,
            scheduled: true,
            expires_at: None,
        }
    }

    /// One service, over many nights: what stands of its backups, and what runs write down.
    struct Nights {
        plan: ClusterPlan,
        made: Vec<Placed>,
        looks: BTreeMap<Region, Look>,
        failed: Vec<FailedJob>,
    }

    impl Nights {
        fn of(lines: &str) -> Self {
            Self {
                plan: cases::plan(lines),
                made: Vec::new(),
                looks: BTreeMap::new(),
                failed: Vec::new(),
            }
        }

        /// The policy's backup of a night and its copies, but for those regions.
        fn night(&mut self, at: &str, but: &[&str]) {
            let at: Timestamp = at.parse().unwrap();
            let made = REGIONS.iter().filter(|region| !but.contains(region));
            self.made.extend(made.map(|region| placed(region, at)));
        }

        fn stands(&self, now: Timestamp) -> Vec<Placed> {
            let stands = |backup: &&Placed| {
                let kept = kept_for(&self.plan, &backup.region);
                backup.created_at <= now && later(backup.created_at, kept) > now
            };
            self.made.iter().filter(stands).cloned().collect()
        }

        /// What a run says, region by region, and what it writes down.
        fn run(&mut self, now: &str, policy: PolicyState) -> (String, String) {
            let now: Timestamp = now.parse().unwrap();
            let standing = self.stands(now);
            let known = Known {
                now,
                just_enabled: policy == PolicyState::Applied,
                had_drifted: policy != PolicyState::InForce,
                policy_failed: false,
                earlier: &self.looks,
                failed: &self.failed,
            };
            let judged = judge(&self.plan, HOME, &standing, &known);
            self.looks = looks_now(&self.looks, policy, &standing, &judged, now);
            let words = judged.iter().map(|one| one.protection.word());
            let messages = judged.iter().filter_map(|one| one.message.clone());
            (
                words.collect::<Vec<_>>().join(" "),
                messages.collect::<Vec<_>>().join("\n"),
            )
        }

        fn says(&mut self, now: &str) -> String {
            self.run(now, PolicyState::InForce).0
        }
    }

    const WELL: &str = "protected protected protected";

    #[test]
    fn lost_nights_are_told_by_the_next_mornings_run_and_not_for_ever() {
        // 2026-11-23 is a Monday. Whether the journal remembers makes no difference.
        for remembers in [true, false] {
            let mut nights = Nights::of(
                "weekdays = [\"mon\", \"tue\", \"wed\", \"thu\", \"fri\"]\nstart = \"02:00\"",
            );
            nights.night("2026-11-20T02:30:00Z", &[]);
            let lost = ["2026-11-24", "2026-11-25"];
            let mut said = Vec::new();
            for day in 23..=29 {
                let date = format!("2026-11-{day}");
                if day <= 27 && !lost.contains(&date.as_str()) {
                    nights.night(&format!("{date}T02:30:00Z"), &[]);
                }
                if !remembers {
                    nights.looks.clear();
                }
                said.push(nights.says(&format!("{date}T04:30:00Z")));
            }
            assert_eq!(
                said,
                [
                    WELL,
                    WELL,
                    "stale stale stale",
                    "window_missed window_missed window_missed",
                    WELL,
                    WELL,
                    WELL
                ],
                "{remembers}"
            );
        }
    }

    #[test]
    fn one_lost_night_and_one_lost_copy_are_told_with_their_window_and_reason() {
        let mut nights = Nights::of("start = \"02:00\"");
        let reason = |region: &str, at: &str, reason: &str| FailedJob {
            region: region.to_owned(),
            at: at.parse().unwrap(),
            reason: Some(reason.to_owned()),
        };
        nights.failed = vec![
            reason(FAR, "2026-11-20T02:40:00Z", "an older one"),
            reason(NEAR, "2026-11-23T02:05:00Z", "somewhere else"),
            reason(NEAR, "2026-11-25T02:35:00Z", "somewhere else"),
            reason(HOME, "2026-11-23T02:10:00Z", "no capacity"),
            reason(FAR, "2026-11-25T02:40:00Z", "quota"),
        ];
        for day in [20, 21, 22, 24, 25, 26, 27] {
            let but: &[&str] = if day == 25 { &[FAR] } else { &[] };
            nights.night(&format!("2026-11-{day}T02:30:00Z"), but);
        }
        assert_eq!(nights.says("2026-11-22T04:30:00Z"), WELL);
        assert_eq!(nights.says("2026-11-23T04:30:00Z"), WELL);
        let (said, message) = nights.run("2026-11-24T04:30:00Z", PolicyState::InForce);
        assert_eq!(said, "window_missed window_missed window_missed");
        for part in [
            "2026-11-23T02:00:00Z to 2026-11-23T04:00:00Z made no backup",
            "no capacity",
        ] {
            assert!(message.contains(part), "{message}");
        }
        assert_eq!(nights.says("2026-11-25T04:30:00Z"), WELL);
        let (said, message) = nights.run("2026-11-26T04:30:00Z", PolicyState::InForce);
        assert_eq!(said, "protected protected copy_missing");
        assert!(message.contains("2026-11-25T02:30:00Z (gcp-us-west1 2026-11-25T02:30:00Z) was not copied to gcp-europe-west3: quota"), "{message}");
        assert_eq!(nights.says("2026-11-27T12:00:00Z"), WELL);
    }

    /// Copies are made when there is room for them, which may be after the next original.
    #[test]
    fn a_late_copy_is_its_originals_by_name_and_never_hides_that_another_has_none() {
        let made = |day: i8, copies: &[(&str, &str)]| {
            let mut nights = Nights::of("start = \"02:00\"");
            for night in [20, 21, 22] {
                let at = format!("2026-11-{night}T02:30:00Z");
                nights.night(&at, if night == day { &[FAR] } else { &[] });
                let made = nights.made.iter_mut().filter(|made| made.name.is_none());
                made.for_each(|made| made.name = Some(format!("orders_{night}")));
            }
            for (at, name) in copies {
                let copy = placed(FAR, at.parse().unwrap());
                let name = Some((*name).to_owned());
                nights.made.push(Placed { name, ..copy });
            }
            nights.says("2026-11-22T12:00:00Z")
        };
        let missing = "protected protected copy_missing";
        assert_eq!(made(0, &[]), WELL);
        assert_eq!(made(21, &[]), missing);
        // The copy of the 21st, begun after the original of the 22nd.
        assert_eq!(made(21, &[("2026-11-22T03:00:00Z", "orders_21")]), WELL);
        // One of the 20th, begun after the original of the 21st.
        assert_eq!(made(21, &[("2026-11-21T03:00:00Z", "orders_20")]), missing);
        // One whose name says nothing.
        assert_eq!(made(21, &[("2026-11-21T03:00:00Z", "a copy")]), WELL);
    }

    #[test]
    fn nights_that_nobody_looked_at_are_all_told_as_far_as_their_backups_would_stand() {
        let mut nights = Nights::of("start = \"02:00\"\nretention_days = 4");
        nights.night("2026-11-20T02:30:00Z", &[]);
        assert_eq!(
            nights.run("2026-11-20T04:30:00Z", PolicyState::Applied).0,
            WELL
        );
        nights.night("2026-11-21T02:30:00Z", &[]);
        nights.night("2026-11-27T02:30:00Z", &[]);
        let (said, message) = nights.run("2026-11-27T04:30:00Z", PolicyState::InForce);
        assert_eq!(said, "window_missed window_missed window_missed");
        let windows = |region: usize| {
            let told = message.lines().nth(region).unwrap();
            told.matches("made no backup").count()
        };
        // At home four days, nearby all five, far away seven and so all five, too.
        assert_eq!([windows(0), windows(1), windows(2)], [3, 5, 5], "{message}");
    }

    /// A backup that still has its time when its window comes due is looked at once more by the next run, whenever that is.
    #[test]
    fn what_was_being_made_when_it_was_looked_at_is_looked_at_again() {
        let mut nights = Nights::of("start = \"02:00\"");
        nights.night("2026-11-22T02:30:00Z", &[]);
        nights.night("2026-11-23T02:30:00Z", &[]);
        assert_eq!(nights.says("2026-11-23T10:30:00Z"), WELL);
        let begun = placed(HOME, "2026-11-24T05:00:00Z".parse().unwrap());
        nights.made.push(Placed {
            available: false,
            ..begun
        });
        assert_eq!(nights.says("2026-11-24T10:30:00Z"), WELL);
        // It failed, and the service shows it no more.
        nights.made.pop();
        nights.night("2026-11-25T02:30:00Z", &[]);
        let (said, message) = nights.run("2026-11-25T12:30:00Z", PolicyState::InForce);
        assert_eq!(
            said, "window_missed window_missed window_missed",
            "{message}"
        );
    }

    /// A journal that is new, or a policy that could not be read that day, makes no lost night well.
    #[test]
    fn whoever_looks_for_the_first_time_goes_by_the_oldest_backup_that_stands() {
        for first in [PolicyState::InForce, PolicyState::Failed] {
            let mut nights = Nights::of("start = \"02:00\"");
            nights.night("2026-11-20T02:30:00Z", &[]);
            nights.night("2026-11-21T02:30:00Z", &[]);
            assert_eq!(nights.run("2026-11-22T04:30:00Z", first).0, WELL);
            nights.night("2026-11-23T02:30:00Z", &[]);
            assert_eq!(
                nights.says("2026-11-23T04:30:00Z"),
                "window_missed window_missed window_missed",
                "{first:?}"
            );
        }
    }

    /// Where no copy ever came, one that may be on its way hides none that was lost.
    #[test]
    fn a_region_that_lost_its_first_copies_is_missing_and_not_in_the_making() {
        let mut nights = Nights::of("start = \"02:00\"");
        nights.night("2026-11-20T04:00:00Z", &[FAR]);
        let now = "2026-11-20T04:30:00Z";
        let begun = "protected protected in_making";
        assert_eq!(nights.run(now, PolicyState::Applied).0, begun);
        nights.night("2026-11-21T02:30:00Z", &[FAR]);
        assert_eq!(nights.says("2026-11-21T04:30:00Z"), begun);
        nights.night("2026-11-22T02:30:00Z", &[FAR]);
        let (said, message) = nights.run("2026-11-22T04:30:00Z", PolicyState::InForce);
        assert_eq!(said, "protected protected missing");
        assert!(message.contains("2026-11-21T02:30:00Z"), "{message}");
    }

    #[test]
    fn nothing_is_asked_for_that_the_policy_was_not_yet_to_make() {
        // Weekly until the 25th, a Wednesday, and then daily.
        let mut nights = Nights::of("weekdays = [\"sun\"]\nstart = \"02:00\"");
        nights.night("2026-11-22T02:30:00Z", &[]);
        assert_eq!(nights.says("2026-11-24T04:30:00Z"), WELL);
        let now: Timestamp = "2026-11-25T04:30:00Z".parse().unwrap();
        nights.plan = cases::plan("start = \"02:00\"\ngrace_hours = 72");
        for look in nights.looks.values_mut() {
            look.since = Some(now); // as for another schedule
        }
        assert_eq!(
            nights.run("2026-11-25T04:30:00Z", PolicyState::Repaired).0,
            WELL
        );
        nights.plan = cases::plan("start = \"02:00\"");
        nights.night("2026-11-26T02:30:00Z", &[]);
        assert_eq!(nights.says("2026-11-26T04:30:00Z"), WELL);
        assert_eq!(
            nights.says("2026-11-27T11:00:00Z"),
            "stale stale stale",
            "and what it was to make is asked for"
        );
    }

    #[test]
    fn a_night_is_told_even_if_nothing_older_stands_to_show_that_there_was_a_policy() {
        let mut nights = Nights::of("start = \"02:00\"\nretention_days = 2");
        for day in [20, 21, 23] {
            nights.night(&format!("2026-11-{day}T02:30:00Z"), &[]);
        }
        assert_eq!(nights.says("2026-11-21T04:30:00Z"), WELL);
        assert_eq!(nights.says("2026-11-22T04:30:00Z"), WELL);
        assert!(
            nights
                .says("2026-11-23T04:30:00Z")
                .starts_with("window_missed")
        );
    }

    /// What the service makes of the policies that runs set: a backup in each window that begins under one.
    fn native(policy: &Policy, from: Timestamp, until: Timestamp, late: i64) -> Vec<Timestamp> {
        let utc = |at: Timestamp| TimeZone::UTC.to_datetime(at).date();
        let days = utc(from).series(Span::new().days(1));
        let days = days.take_while(|day| *day <= utc(until));
        let days = days.filter(|day| {
            policy
                .weekdays
                .contains(&day.weekday().to_monday_one_offset())
        });
        let begin = |day: Date| -> DateTime {
            let (hour, minute) = (policy.begins / 60, policy.begins % 60);
            day.at(hour.try_into().unwrap(), minute.try_into().unwrap(), 0, 0)
        };
        let begins = days.map(|day| TimeZone::UTC.to_timestamp(begin(day)).unwrap());
        let opened = begins.filter(|begin| from < *begin && *begin <= until);
        opened
            .map(|begin| later(begin, SignedDuration::from_mins(late)))
            .collect()
    }

    proptest! {
        /// Forty days over either change of clocks, with a run every day: what was made is never called lost, and what was
        /// lost is told by the first run after it came due.
        #[test]
        fn every_lost_window_is_told_and_none_that_was_not(
            zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/Los_Angeles", "Australia/Lord_Howe", "Pacific/Kiritimati", "Asia/Kolkata"]),
            begin in prop::sample::select(vec!["2026-10-05", "2027-03-01"]),
            weekdays in prop::collection::btree_set(0_usize..7, 1..7),
            (hour, minute) in (0_i8..24, prop::sample::select(vec![0_i8, 30])),
            after in 3_i64..20,
            late in 0_i64..120,
            grace in 1_u32..12,
            lost in prop::collection::vec(prop::bool::weighted(0.2), 64),
        ) {
            let names = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
            let days: Vec<String> = weekdays.iter().map(|day| format!("\"{}\"", names[*day])).collect();
            let mut nights = Nights::of(&format!(
                "time_zone = \"{zone}\"\nweekdays = [{}]\nstart = \"{hour:02}:{minute:02}\"\nretention_days = 10\ngrace_hours = {grace}",
                days.join(", "),
            ));
            for target in &mut nights.plan.targets {
                target.retention_days = 10;
            }
            let first: Date = begin.parse().unwrap();
            let zone = nights.plan.zone.clone();
            let runs: Vec<Timestamp> = first.series(Span::new().days(1)).take(40).map(|day| {
                let start = zone.to_timestamp(day.at(hour, minute, 0, 0)).unwrap();
                later(start, SignedDuration::from_hours(after))
            }).collect();
            let mut gone: Vec<Timestamp> = Vec::new();
            let (mut number, mut before) = (0, None);
            for now in runs {
                if let Some((policy, since)) = before.take() {
                    for at in native(&policy, since, now, late) {
                        number += 1;
                        // The first stands for what was made when the policy was enabled.
                        if number > 1 && lost[number] {
                            gone.push(at);
                        } else {
                            nights.night(&at.to_string(), &[]);
                        }
                    }
                } else {
                    nights.night(&now.to_string(), &[]);
                }
                let state = if nights.looks.is_empty() { PolicyState::Applied } else { PolicyState::InForce };
                let look = nights.looks.get(HOME).map(|look| look.looked_at);
                let (said, message) = nights.run(&now.to_string(), state);
                let is_gone = |window: &Window| gone.iter().any(|at| window.has(*at));
                let since = look.unwrap_or(now);
                for window in due_within(&nights.plan, since, now).iter().filter(|window| is_gone(window)) {
                    prop_assert!(message.contains(&window.begin.to_string()), "{now} {window:?}: {said}: {message}");
                }
                let lately = earlier(since, SignedDuration::from_hours(8 * 24));
                if !due_within(&nights.plan, lately, now).iter().any(is_gone) {
                    let well = Protection::Protected.word();
                    prop_assert_eq!(said, [well; 3].join(" "), "{} {}", now, message);
                }
                before = Some((Policy::of(&nights.plan, now), now));
            }
        }
    }
}
