//! Weeks of events, repeated, raced, killed, answered with faults, while somebody else changes policies: played by chance.
//!
//! Half as many as `LIFEBOAT_HISTORIES` says; a failure prints its seed, and `LIFEBOAT_SEED` plays that one alone.

mod bringing;
mod by_hand;
mod lost_nights;
mod trouble;
mod worst_day;

use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fastrand::Rng;
use futures_util::FutureExt;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use lifeboat::event::{Action, Request};
use lifeboat::journal::TierState;
use lifeboat::name::Class;
use lifeboat::report::Outcome;
use lifeboat::zilliz::ClusterReport;
use serde_json::{Value, json};

use self::bringing::Bringing;
use self::by_hand::ByHand;
use self::lost_nights::LostNights;
use self::worst_day::WorstDays;
use super::tiers::{by_somebody_else, delete, family, kept, tiered};
use super::{Account, CLUSTER, FAR, HOME, NEAR};
use crate::histories::{Tally, number, play, play_all};

const SECOND: &str = "in01-0000000000000002";
const POLICY: &str = "1,2,3,4,5,6,7 02:00-04:00 7 gcp-europe-west3:7 gcp-us-east4:30";
/// A day, the window, and the grace.
const ALLOWED: SignedDuration = SignedDuration::from_hours(24 + 2 + 6);

struct History {
    tally: Tally,
    account: Account,
    random: Rng,
    /// The faults of the moment.
    rules: Vec<Value>,
    by_hand: ByHand,
    /// Originals that somebody else had made.
    theirs: BTreeSet<String>,
    /// Tiers that ever were the plan's own: by cluster and region, their days and ids.
    owned: BTreeMap<(String, String), BTreeMap<Date, String>>,
    /// Tiers that nobody is sure of.
    adopted: BTreeSet<String>,
    lost_nights: LostNights,
    /// Of every second history.
    worst_days: Option<WorstDays>,
    /// Of every fourth, and of none that has worst days.
    bringing: Option<Bringing>,
}

/// The newest of the last two days and weeks.
const RULES: [i64; 3] = [2, 2, 0];

#[test]
fn weeks_of_trouble_make_one_of_each_and_leave_no_region_silently_unprotected() {
    let (first, count) = match number("LIFEBOAT_SEED") {
        Some(seed) => (seed, 1),
        None => {
            let half = |variable, otherwise| number(variable).unwrap_or(otherwise).div_ceil(2);
            let played = half("LIFEBOAT_PLAYED", 0);
            (
                played,
                half("LIFEBOAT_HISTORIES", 100).saturating_sub(played),
            )
        }
    };
    let (tally, count) = play_all(first, count, |seed| {
        play(seed, async { History::new(seed).play().await })
    });
    println!("{count} histories of clusters, seeds from {first}:\n{tally}");
    // The brake is for mistakes, and no part of good nights.
    assert!(tally.of("tiers braked and approved") <= 3 + count / 100);
    // A simulation in which nothing happens proves nothing.
    if count >= 50 {
        for what in [
            "kills",
            "races",
            "ticks",
            "drifts",
            "by hand",
            "by hand made and copied",
            "duplicates",
            "faults drawn",
            "theirs",
            "deleted",
            "nights lost and told",
        ] {
            assert!(tally.of(what) >= count, "{what}: {tally}");
        }
        for what in [
            "clusters restored",
            "passwords lost",
            "restores killed",
            "restores left open and held",
            "collections restored",
            "collections in doubt",
            "collections killed",
            "collections held",
        ] {
            assert!(tally.of(what) > 0, "{what}: {tally}");
        }
        tally.has_applied_all(&trouble::faults());
        tally.has_applied_all(&trouble::rare().map(|(_, _, _, fault)| fault));
        tally.has_applied_all(&worst_day::faults());
        tally.has_applied_all(&bringing::faults());
    }
}

impl History {
    fn new(seed: u64) -> Self {
        // What a restore makes is none of the plan's.
        let plan = tiered("daily = 2\nweekly = 2").replace("[\"*\"]", "[\"*-prod\"]");
        let account = Account::with(&plan).with_journal();
        account.add_cluster(SECOND, "users-prod", &json!({"bytes": 100_000_000_u64}));
        let bringing = bringing::is_played(seed).then(|| Bringing::new(seed, &account));
        Self {
            bringing,
            tally: Tally::default(),
            account,
            random: Rng::with_seed(seed),
            rules: Vec::new(),
            by_hand: ByHand::default(),
            theirs: BTreeSet::new(),
            owned: BTreeMap::new(),
            adopted: BTreeSet::new(),
            lost_nights: LostNights::default(),
            worst_days: seed.is_multiple_of(2).then(|| WorstDays::new(seed)),
        }
    }

    async fn play(mut self) -> Tally {
        for day in 0..12 {
            self.day(day).await;
        }
        self.faults(json!([]));
        self.end_worst_days().await;
        self.end_bringing().await;
        self.carry_on_to_the_end().await;
        self.judged().await;
        self.account.sleep(48).await;
        let report = self.judged().await;
        self.approve_what_is_braked(report).await;
        self.account.sleep(24).await;
        let report = self.judged().await;
        assert_eq!(
            (report.outcome, report.counts.protected),
            (Outcome::Succeeded, 6),
            "{:?}",
            report.failures
        );
        for cluster in [CLUSTER, SECOND] {
            assert_eq!(self.account.policy(cluster), POLICY);
        }
        self.only_what_is_due_is_gone().await;
        self.exactly_what_the_rules_keep();
        self.one_of_each().await;
        let lost = self.lost_nights.all_were_told();
        self.tally.add("nights lost and told", lost);
        self.tally.add("histories", 1);
        self.tally
    }

    /// A person reads what the brake stopped, and approves it: where a copy was late night after night, nothing was deleted
    /// meanwhile, and all of it is due at once.
    async fn approve_what_is_braked(&mut self, mut report: ClusterReport) {
        // Copies of each region go first, and then the originals.
        for _ in 0..2 * [HOME, NEAR, FAR].len() {
            let mut failures = report.failures.shown.iter();
            let is_braked = failures.any(|one| one.error == "braked");
            let mut regions = report.tiers.regions.iter();
            let braked = regions.find(|region| region.stopped.is_some());
            let Some(braked) = braked.filter(|_| is_braked) else {
                return;
            };
            self.tally.add("tiers braked and approved", 1);
            let approve = Request {
                action: Action::Prune,
                approve: Some(braked.hash.to_string()),
                ..Request::default()
            };
            self.account.run(approve).await;
            let prune = Request {
                action: Action::Prune,
                ..Request::default()
            };
            report = self.account.run(prune).await;
        }
        panic!("what is approved stays: {report:#?}");
    }

    async fn judged(&mut self) -> ClusterReport {
        self.lost_nights.look(&self.account.known("backups"));
        let report = self.account.back_up().await;
        self.lost_nights.read(&report);
        report
    }

    async fn day(&mut self, day: u64) {
        // First, because it leaves no faults, and those of the day's end are the night's.
        self.bring().await;
        if self.random.u8(..4) == 0 {
            self.somebody_drifts();
        }
        if self.random.u8(..3) == 0 {
            self.faults(json!([]));
            if let Some(begun) = by_somebody_else(&self.account) {
                self.tally.add("theirs", 1);
                self.theirs.insert(begun);
            }
        }
        self.trouble();
        self.event(None).await;
        if day % 3 == 1 {
            let slot = self.account.wire.now();
            let slot = Timestamp::from_second(slot.as_second()).unwrap();
            for again in 0..self.random.u8(1..4) {
                self.trouble();
                self.tally.add("duplicates", u64::from(again > 0));
                self.by_hand.asked.insert(slot);
                self.event(Some(slot)).await;
                tokio::time::sleep(Duration::from_mins(self.random.u64(..8))).await;
            }
        }
        for _ in 0..self.random.u8(1..4) {
            tokio::time::sleep(Duration::from_mins(5)).await;
            self.trouble();
            self.tick().await;
        }
        if self.random.bool() {
            self.faults(json!([]));
        }
        self.worst_day().await;
        self.account.sleep(24).await;
    }

    /// An event of the schedule, or by hand for a slot; perhaps it is delivered twice at once, or killed.
    async fn event(&mut self, by_hand: Option<Timestamp>) {
        if by_hand.is_some() {
            self.tally.add("by hand", 1);
        }
        let request = Request {
            manual: by_hand.is_some(),
            scheduled_time: by_hand,
            ..Request::default()
        };
        self.run(request).await;
    }

    async fn run(&mut self, request: Request) {
        let lives = match self.random.u8(..4) {
            0 if self.random.bool() => Duration::from_millis(self.random.u64(..9_000)),
            0 => Duration::from_secs(self.random.u64(..200)),
            _ => Duration::from_hours(1),
        };
        let twice = self.random.u8(..5) == 0;
        self.tally.add("races", u64::from(twice));
        let (one, other) = (request.clone(), request);
        let both = async {
            let first = self.account.run(one);
            if !twice {
                return (first.await, None);
            }
            let (first, second) = tokio::join!(first, self.account.run(other));
            (first, Some(second))
        };
        let Ok((first, second)) = tokio::time::timeout(lives, both).await else {
            self.tally.add("kills", 1);
            // Until the dead one's lease has run out.
            tokio::time::sleep(Duration::from_mins(4)).await;
            return self.only_what_is_due_is_gone().await;
        };
        self.only_what_is_due_is_gone().await;
        for report in [Some(first), second].into_iter().flatten() {
            self.by_hand.read(&report, &self.account);
            self.lost_nights.read(&report);
            if !report.regions.is_empty() && report.outcome == Outcome::Succeeded {
                self.nothing_is_unprotected(&report);
            }
        }
    }

    /// What the function's schedule does every five minutes.
    async fn tick(&mut self) {
        self.tally.add("ticks", 1);
        for open in self.account.open_runs().await {
            let request = Request {
                action: Action::Resume,
                scheduled_time: Some(open.key.slot.instant()),
                manual: open.key.class == Class::Manual,
                ..Request::default()
            };
            self.run(request).await;
        }
    }

    async fn carry_on_to_the_end(&mut self) {
        for _ in 0..400 {
            if self.account.open_runs().await.is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_mins(5)).await;
            self.tick().await;
        }
        panic!("runs stay open for ever");
    }

    /// A report that says that all is well says it of backups that stand.
    fn nothing_is_unprotected(&self, report: &ClusterReport) {
        let mut newest: BTreeMap<(String, String), Timestamp> = BTreeMap::new();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        for backup in self.account.known("backups") {
            if backup["method"] == "AUTO" && backup["status"] == "AVAILABLE" {
                let created: Timestamp = text(&backup["created"]).parse().unwrap();
                let newest = newest
                    .entry((text(&backup["cluster"]), text(&backup["region"])))
                    .or_insert(created);
                *newest = created.max(*newest);
            }
        }
        for cluster in [CLUSTER, SECOND] {
            for region in [HOME, NEAR, FAR] {
                let newest = newest.get(&(cluster.to_owned(), region.to_owned()));
                let age = newest.map(|at| report.finished_at.duration_since(*at));
                assert!(
                    age.is_some_and(|age| age <= ALLOWED),
                    "{cluster} in {region}: {age:?}, and all was said to be well"
                );
            }
        }
    }

    /// What somebody else or a person had made stands, and of the plan's own whatever the rules keep, by rules that are
    /// written down a second time. That only the plan's own is ever deleted, each DELETE shows.
    async fn only_what_is_due_is_gone(&mut self) {
        let journal = self.account.journal.as_ref().unwrap();
        for tier in journal.tiers("prod").await.unwrap() {
            let day = tier.slot.instant().to_zoned(TimeZone::UTC).date();
            match tier.state {
                TierState::Owned(owned) => {
                    for (region, id) in owned.backups {
                        let of = self
                            .owned
                            .entry((tier.cluster.clone(), region))
                            .or_default();
                        let other = of.insert(day, id.clone()).filter(|other| *other != id);
                        assert_eq!(other, None, "two of one day");
                    }
                }
                TierState::Adopted { backups } => self.adopted.extend(backups.into_values()),
                TierState::BeingMade { .. } | TierState::Failed { .. } => {}
            }
        }
        let today = self.account.wire.now().to_zoned(TimeZone::UTC).date();
        let mut must_stand: BTreeSet<String> = self.adopted.clone();
        for made in self.owned.values() {
            let days: Vec<Date> = made.keys().copied().collect();
            for day in kept(&days, today, RULES) {
                must_stand.insert(made[&day.parse::<Date>().unwrap()].clone());
            }
        }
        must_stand.extend(
            self.worst_days
                .iter()
                .filter_map(|days| days.needs(self.account.wire.now())),
        );
        let bringing = self.bringing.iter();
        must_stand.extend(bringing.flat_map(|days| days.needs(self.account.wire.now())));
        let backups = self.account.known("backups");
        self.lost_nights.look(&backups);
        let is_theirs = |id: &Value| id.as_str().is_some_and(|id| self.theirs.contains(id));
        let failed = LazyCell::new(|| self.taken_away_by_the_service());
        for backup in &backups {
            let id = backup["id"].as_str().unwrap();
            let is_gone = backup["status"] == "DELETED" && backup["method"] == "MANUAL";
            assert!(
                !is_gone || !must_stand.contains(id),
                "{id} was to stand: {backup}"
            );
            let is_theirs = is_theirs(&backup["id"]) || is_theirs(&backup["original"]);
            assert!(
                !is_gone || !is_theirs || failed.contains(id),
                "{backup} was somebody else's"
            );
        }
    }

    /// Copies that failed, which nobody ever deleted: nothing of them is left.
    fn taken_away_by_the_service(&self) -> BTreeSet<String> {
        let jobs = self.account.known("jobs");
        let failed = jobs.iter().filter(|job| job["ending"] == "failure");
        let copies = failed.filter_map(|job| job["work"]["copy"]["backup"].as_str());
        copies.map(str::to_owned).collect()
    }

    /// After nights without trouble, what stands of the plan's own is what the rules keep, in every region.
    fn exactly_what_the_rules_keep(&mut self) {
        let backups = self.account.known("backups");
        let stands = |id: &str| {
            let mut of_id = backups.iter().filter(|backup| backup["id"] == id);
            of_id.any(|backup| backup["status"] == "AVAILABLE")
        };
        let has_copies = |id: &str| {
            let mut copies = backups.iter().filter(|backup| backup["original"] == id);
            copies.any(|copy| copy["status"] == "AVAILABLE")
        };
        let today = self.account.wire.now().to_zoned(TimeZone::UTC).date();
        for (place, made) in &self.owned {
            let days: Vec<Date> = made.keys().copied().collect();
            let standing = made.iter().filter(|(_, id)| stands(id));
            let kept = kept(&days, today, RULES);
            // As long as a copy stays that nobody is sure of, so does its original.
            let stays_beside = |day: &String, id: &str| !kept.contains(day) && has_copies(id);
            let standing = standing.map(|(day, id)| (day.to_string(), id));
            let standing = standing.filter(|(day, id)| !stays_beside(day, id));
            let standing: Vec<String> = standing.map(|(day, _)| day).collect();
            assert_eq!(standing, kept, "{place:?} {today}");
            let gone = u64::try_from(made.len() - standing.len()).unwrap();
            self.tally.add("deleted", gone);
        }
    }
}

/// The judge itself: whatever is deleted of what somebody else had made, in whatever region, seen there before or not.
#[tokio::test(start_paused = true)]
async fn the_judge_sees_whatever_of_somebody_elses_is_deleted() {
    for (region, was_seen) in [(HOME, true), (NEAR, true), (FAR, true), (FAR, false)] {
        let mut history = History::new(3);
        let original = by_somebody_else(&history.account).unwrap();
        history.theirs.insert(original.clone());
        history.account.sleep(1).await;
        if was_seen {
            history.only_what_is_due_is_gone().await;
        }
        let backups = history.account.known("backups");
        let its = family(&history.account, &original);
        let is_it = |backup: &&Value| {
            backup["region"] == region && its.contains(backup["id"].as_str().unwrap())
        };
        let one = backups.iter().find(is_it).unwrap();
        delete(&history.account, one["id"].as_str().unwrap());
        let judged = std::panic::AssertUnwindSafe(history.only_what_is_due_is_gone());
        assert!(judged.catch_unwind().await.is_err(), "{region} {was_seen}");
    }
}
