//! Tiers beyond thirty days: one for each period, pruned to exactly what the plan says, and nothing else ever deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};
use lifeboat::event::{Action, Request};
use lifeboat::journal::TierState;
use lifeboat::report::Outcome;
use lifeboat::zilliz::ClusterReport;
use lifeboat::zilliz::tiers::told::TierFate;
use lifeboat_emulator::{Delivery, Method};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde_json::{Value, json};

use super::{Account, CLUSTER, FAR, GB, HOME, KEY, NEAR, PLAN, failures, plans};

const REGIONS: [&str; 3] = [HOME, NEAR, FAR];

/// The plan with these rules; its journal is the account's, whatever the document says.
pub(super) fn tiered(rules: &str) -> String {
    format!("journal = \"memory://\"\n{PLAN}[plans.prod.tiers]\n{rules}\n")
}

pub(super) fn with_tiers(rules: &str) -> Account {
    Account::with(&tiered(rules)).with_journal()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// Of whole-cluster backups that stand and were not made by the policy: ids and days of creation, by region.
pub(super) fn standing(account: &Account) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut standing: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for backup in account.known("backups") {
        if backup["method"] == "MANUAL" && backup["status"] == "AVAILABLE" {
            let day = text(&backup["created"])[..10].to_owned();
            let region = standing.entry(text(&backup["region"])).or_default();
            region.insert(text(&backup["id"]), day);
        }
    }
    standing
}

/// Days of creation of what stands in a region.
fn days(account: &Account, region: &str) -> Vec<String> {
    let standing = standing(account).remove(region).unwrap_or_default();
    let mut days: Vec<String> = standing.into_values().collect();
    days.sort();
    days
}

/// A night's run, and the ticks that carry on with it.
pub(super) async fn night(account: &Account) -> ClusterReport {
    let mut report = account.back_up().await;
    for _ in 0..40 {
        if !report.stays_open {
            return report;
        }
        tokio::time::sleep(Duration::from_mins(5)).await;
        report = account.resume().await;
    }
    panic!("it never ended: {report:#?}")
}

/// Days of `daily, weekly, monthly` periods that rules written down a second time keep, of backups made on these days.
pub(super) fn kept(made: &[Date], today: Date, rules: [i64; 3]) -> Vec<String> {
    let begin = |date: Date, rule: usize| match rule {
        0 => date,
        1 => date - Span::new().days(date.weekday().to_monday_zero_offset()),
        _ => date.first_of_month(),
    };
    let back = |date: Date, rule: usize, periods: i64| match rule {
        0 => date - Span::new().days(periods),
        1 => begin(date, 1) - Span::new().weeks(periods),
        _ => begin(date, 2) - Span::new().months(periods),
    };
    let mut kept = BTreeSet::from_iter(made.iter().max().copied());
    for (rule, count) in rules.into_iter().enumerate() {
        for periods in 0..count {
            let period = begin(back(today, rule, periods), rule);
            let as_of = made.iter().filter(|day| begin(**day, rule) <= period);
            kept.extend(as_of.max());
        }
    }
    kept.into_iter().map(|day| day.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn one_is_made_for_each_period_and_the_rules_alone_say_which_stay_in_every_region() {
    for (rules, counts) in [
        ("daily = 3\nweekly = 3\nmonthly = 2", [3, 3, 2]),
        ("weekly = 4\nmonthly = 3", [0, 4, 3]),
        ("monthly = 2", [0, 0, 2]),
    ] {
        let account = with_tiers(rules);
        let mut made: Vec<Date> = Vec::new();
        let finest = counts.iter().position(|count| *count > 0).unwrap();
        for _ in 0..100 {
            let today = account.wire.now().to_zoned(TimeZone::UTC).date();
            let same = |day: &Date| match finest {
                0 => *day == today,
                1 => day.iso_week_date().week() == today.iso_week_date().week(),
                _ => day.month() == today.month(),
            };
            if !made.last().is_some_and(same) {
                made.push(today);
            }
            let report = night(&account).await;
            assert_eq!(report.outcome, Outcome::Succeeded, "{:?}", report.failures);
            for region in REGIONS {
                let expected = kept(&made, today, counts);
                assert_eq!(days(&account, region), expected, "{rules} {today} {region}");
            }
            account.sleep(24).await;
        }
        let calls = account.calls("zilliz.create_backup");
        assert_eq!(calls, u64::try_from(made.len()).unwrap(), "{rules}");
    }
}

/// What somebody else has made, with copies, in the way that tiers are made.
pub(super) fn by_somebody_else(account: &Account) -> Option<String> {
    let path = format!("/zilliz/v2/clusters/{CLUSTER}/backups/create");
    let body = json!({"backupType": "CLUSTER", "crossRegionCopies": [{"regionId": NEAR}, {"regionId": FAR}]});
    let body = serde_json::to_vec(&body).unwrap();
    let answer = account.wire.call(Method::Post, &path, "", KEY, body);
    let Delivery::Whole(response) = answer.delivery else {
        panic!("no answer")
    };
    let body: Value = serde_json::from_slice(&response.body).unwrap();
    body["data"]["backupId"].as_str().map(str::to_owned)
}

pub(super) fn delete(account: &Account, id: &str) {
    let path = format!("/zilliz/v2/clusters/{CLUSTER}/backups/{id}");
    let _ = account
        .wire
        .call(Method::Delete, &path, "", KEY, Vec::new());
}

/// The original and its copies, by the emulator's knowledge.
pub(super) fn family(account: &Account, original: &str) -> BTreeSet<String> {
    let backups = account.known("backups");
    let of = backups
        .iter()
        .filter(|backup| backup["id"] == original || backup["original"] == original);
    of.map(|backup| text(&backup["id"])).collect()
}

fn all_stand(account: &Account, ids: &BTreeSet<String>) {
    let standing = standing(account);
    let standing: BTreeSet<&String> = standing.values().flat_map(BTreeMap::keys).collect();
    for id in ids {
        assert!(standing.contains(id), "{id} was deleted");
    }
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_or_a_person_had_made_is_never_deleted() {
    let account = with_tiers("daily = 1");
    let mut theirs = BTreeSet::new();
    for number in 0..12 {
        if number % 4 == 1 {
            let original = by_somebody_else(&account).unwrap();
            account.sleep(1).await;
            theirs.extend(family(&account, &original));
        }
        if number % 4 == 3 {
            let by_hand = Request {
                manual: true,
                ..Request::default()
            };
            let report = account.run(by_hand).await;
            assert_eq!(report.outcome, Outcome::Succeeded, "{:?}", report.failures);
            theirs.extend(
                report
                    .jobs
                    .shown
                    .iter()
                    .filter_map(|job| job.backup.clone()),
            );
        }
        night(&account).await;
        account.sleep(24).await;
    }
    assert_eq!(theirs.len(), 18);
    all_stand(&account, &theirs);
    for region in REGIONS {
        assert_eq!(days(&account, region).len(), 6 + 1, "{region}");
    }
    assert_eq!(account.calls("zilliz.delete_backup"), 11 * 3);
}

/// A backup by hand whose request never arrived must not take the next tier for what came of it: that one goes one day.
#[tokio::test(start_paused = true)]
async fn a_backup_by_hand_never_takes_a_tier_for_its_own() {
    let account = with_tiers("daily = 1");
    night(&account).await;
    account.sleep(24).await;
    let by_hand = Request {
        manual: true,
        ..Request::default()
    };
    account.faults(json!([{"match": {"operation": "zilliz.create_backup"}, "fault": {"reset": "before"}, "times": 1}]));
    let killed = tokio::time::timeout(Duration::from_secs(1), account.run(by_hand)).await;
    assert!(killed.is_err());
    tokio::time::sleep(Duration::from_mins(5)).await;
    let report = account.back_up().await;
    assert_eq!(
        (report.outcome, report.tiers.made),
        (Outcome::Succeeded, 3),
        "{:?}",
        report.failures
    );
    let report = account.resume().await;
    let made: BTreeSet<String> = report
        .jobs
        .shown
        .iter()
        .filter_map(|job| job.backup.clone())
        .collect();
    account.sleep(1).await;
    let made = family(&account, made.first().unwrap());
    account.resume().await;
    for _ in 0..3 {
        account.sleep(24).await;
        assert_eq!(night(&account).await.outcome, Outcome::Succeeded);
    }
    assert_eq!(made.len(), 3);
    all_stand(&account, &made);
    assert_eq!(days(&account, FAR).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_is_lost_makes_nothing_be_deleted_and_new_tiers_are_owned_from_then_on() {
    let mut account = with_tiers("daily = 2");
    for _ in 0..4 {
        night(&account).await;
        account.sleep(24).await;
    }
    let before: BTreeSet<String> = standing(&account)
        .into_values()
        .flat_map(BTreeMap::into_keys)
        .collect();
    assert_eq!(before.len(), 6);
    account = account.with_journal();
    for _ in 0..5 {
        let report = night(&account).await;
        assert_eq!(report.outcome, Outcome::Succeeded, "{:?}", report.failures);
        account.sleep(24).await;
    }
    all_stand(&account, &before);
    assert_eq!(days(&account, FAR).len(), 2 + 2);
}

/// A request whose answer is lost may have made it, or somebody else may have had one made in that minute: it is taken for
/// the period's, and never deleted.
#[tokio::test(start_paused = true)]
async fn what_was_found_after_silence_is_no_second_one_and_stays_for_ever() {
    for commits in [true, false] {
        let account = with_tiers("daily = 1");
        night(&account).await;
        account.sleep(24).await;
        let moment = if commits { "after" } else { "before" };
        account.faults(json!([{"match": {"operation": "zilliz.create_backup"}, "fault": {"reset": moment}, "times": 1}]));
        let theirs = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            (!commits).then(|| by_somebody_else(&account).unwrap())
        };
        let (report, _) = tokio::join!(night(&account), theirs);
        assert_eq!(report.outcome, Outcome::Succeeded, "{:?}", report.failures);
        let told = format!("{:?}", report.warnings);
        assert!(
            told.contains("somebody else may have had it made"),
            "{told}"
        );
        let tiers = account
            .journal
            .as_ref()
            .unwrap()
            .tiers("prod")
            .await
            .unwrap();
        let Some(TierState::Adopted { backups }) = tiers.last().map(|tier| &tier.state) else {
            panic!("{tiers:?}")
        };
        let adopted: BTreeSet<String> = backups.values().cloned().collect();
        assert_eq!(adopted.len(), 3);
        for _ in 0..10 {
            account.sleep(24).await;
            let report = night(&account).await;
            assert_eq!(report.outcome, Outcome::Succeeded, "{:?}", report.failures);
        }
        all_stand(&account, &adopted);
        assert_eq!(days(&account, HOME).len(), 2);
        assert_eq!(
            account
                .known("backups")
                .iter()
                .filter(|backup| backup["method"] == "MANUAL")
                .count(),
            12 * 3
        );
    }
}

#[tokio::test(start_paused = true)]
async fn where_a_copy_failed_all_older_ones_stay_until_there_is_a_newer() {
    let account = with_tiers("weekly = 2");
    // A Monday.
    account.sleep(24).await;
    night(&account).await;
    account.sleep(7 * 24).await;
    night(&account).await;
    let first = days(&account, FAR);
    assert_eq!(first.len(), 2);
    account.sleep(7 * 24).await;
    account.faults(json!([{"match": {"operation": "zilliz.copy", "region": FAR}, "fault": {"fail_operation": true}}]));
    let report = night(&account).await;
    assert!(failures(&report).contains("copy_"), "{:?}", report.failures);
    account.faults(json!([]));
    for _ in 0..6 {
        account.sleep(24).await;
        night(&account).await;
        assert_eq!(days(&account, FAR), first, "there is no newer one");
        assert_eq!(days(&account, NEAR).len(), 2);
        assert_ne!(days(&account, NEAR), first);
    }
    account.sleep(24).await;
    night(&account).await;
    assert_eq!(days(&account, FAR)[0], first[1]);
    assert_eq!(days(&account, FAR).len(), 2);
    assert_eq!(account.calls("zilliz.create_backup"), 4);
}

#[tokio::test(start_paused = true)]
async fn in_a_night_whose_own_failed_nothing_is_deleted() {
    let mut account = with_tiers("daily = 3");
    for _ in 0..3 {
        night(&account).await;
        account.sleep(24).await;
    }
    account.plans = plans(&tiered("daily = 1"));
    account.faults(json!([{"match": {"operation": "zilliz.create_backup"}, "fault": {"fail_operation": true}}]));
    let slot = night(&account).await.slot;
    account.faults(json!([]));
    // The function's own retry, and a `prune` at the same time.
    for action in [Action::Backup, Action::Prune] {
        let again = Request {
            action,
            scheduled_time: Some(slot),
            ..Request::default()
        };
        assert_eq!(failures(&account.run(again).await), "no_tier", "{action:?}");
    }
    assert_eq!(account.calls("zilliz.delete_backup"), 0);
    account.sleep(24).await;
    assert_eq!(night(&account).await.tiers.deleted, 9);
}

#[tokio::test(start_paused = true)]
async fn clocks_that_disagree_stop_deletion_and_nothing_else() {
    for (seconds, left) in [(-301, 1), (301, 2)] {
        let mut account = with_tiers("daily = 1");
        night(&account).await;
        account.sleep(24).await;
        account.ahead = SignedDuration::from_secs(seconds);
        let report = night(&account).await;
        assert_eq!(failures(&report), "clocks_disagree");
        assert_eq!(account.calls("zilliz.delete_backup"), 0);
        assert_eq!(days(&account, HOME).len(), 2, "it was made");
        account.ahead = SignedDuration::ZERO;
        account.sleep(24).await;
        let report = night(&account).await;
        assert_eq!(report.outcome, Outcome::Succeeded, "{:?}", report.failures);
        // One that was made before its slot is nobody's to delete.
        assert_eq!(days(&account, HOME).len(), left);
    }
    let account = with_tiers("daily = 1");
    night(&account).await;
    account.sleep(24).await;
    // The service's clock jumps while the last backup before the DELETE is read.
    account.faults(json!([{"match": {"operation": "zilliz.describe_backup"}, "fault": {"clock_skew_seconds": 301}}]));
    let report = night(&account).await;
    assert_eq!(
        failures(&report),
        "deletion_refused deletion_refused has_copies"
    );
    assert_eq!(account.calls("zilliz.delete_backup"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_was_taken_away_stops_deletion() {
    let objects = Arc::new(InMemory::new());
    let account = with_tiers("daily = 1").with_journal_in(&objects);
    night(&account).await;
    account.sleep(24).await;
    // Slow enough that the lease is renewed before the first DELETE.
    account.faults(json!([{"match": {"operation": "zilliz.describe_backup"}, "fault": {"latency_ms": 20_000}}]));
    let thief = async {
        tokio::time::sleep(Duration::from_mins(2)).await;
        objects
            .delete(&Path::from("journal/clusters/leases/prod.json"))
            .await
            .unwrap();
    };
    let (report, ()) = tokio::join!(account.back_up(), thief);
    assert!(
        failures(&report).contains("lease_lost") || failures(&report).contains("deletion_refused"),
        "{:#?}",
        report.failures
    );
    assert_eq!(account.calls("zilliz.delete_backup"), 0);
    account.faults(json!([]));
    account.sleep(24).await;
    night(&account).await;
    assert_eq!(days(&account, HOME).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn too_much_at_once_is_deleted_only_when_it_was_read_and_approved() {
    let mut account = with_tiers("daily = 20");
    for _ in 0..20 {
        night(&account).await;
        account.sleep(24).await;
    }
    account.plans = plans(&tiered("daily = 1"));
    let report = night(&account).await;
    assert_eq!(failures(&report), "braked braked braked");
    assert_eq!(account.calls("zilliz.delete_backup"), 0);
    let dry = Request {
        dry_run: true,
        ..Request::default()
    };
    let report = account.run(dry).await;
    assert_eq!(report.outcome, Outcome::Succeeded, "{:?}", report.failures);
    let fates = |fate: TierFate| {
        report
            .tiers
            .lines
            .shown
            .iter()
            .filter(|line| line.fate == fate)
            .count()
    };
    assert_eq!((fates(TierFate::Due), fates(TierFate::Kept)), (20 * 3, 3));
    let far = report
        .tiers
        .regions
        .iter()
        .find(|region| region.region == FAR)
        .unwrap();
    assert_eq!(
        (far.due, far.backups, far.stopped.is_some()),
        (20, 21, true)
    );
    let approve = |hash: &str| Request {
        approve: Some(hash.to_owned()),
        ..Request::default()
    };
    let report = account.run(approve("0123456789abcdef")).await;
    assert!(
        failures(&report).contains("not_approved"),
        "{:?}",
        report.failures
    );
    assert_eq!(account.calls("zilliz.delete_backup"), 0);
    let report = account.run(approve(&far.hash.to_string())).await;
    assert_eq!(
        (report.outcome, report.tiers.deleted),
        (Outcome::Succeeded, 20),
        "{:?}",
        report.failures
    );
    assert_eq!(
        (days(&account, FAR).len(), days(&account, NEAR).len()),
        (1, 21)
    );
}

/// Killed after every so many milliseconds of the night in which a tier is made and another one deleted.
#[tokio::test(start_paused = true)]
async fn killed_anywhere_the_next_tick_or_night_converges() {
    for step in 0..70 {
        let account = with_tiers("daily = 1");
        night(&account).await;
        account.sleep(24).await;
        let first: BTreeSet<String> = standing(&account)
            .into_values()
            .flat_map(BTreeMap::into_keys)
            .collect();
        account.faults(json!([{"fault": {"latency_ms": 900}}]));
        let after = Duration::from_millis(step * 2_000);
        let killed = tokio::time::timeout(after, account.back_up()).await;
        account.faults(json!([]));
        tokio::time::sleep(Duration::from_mins(5)).await;
        let open = account
            .journal
            .as_ref()
            .unwrap()
            .open_runs()
            .await
            .unwrap()
            .runs;
        let mut report = match (open.is_empty(), killed) {
            (false, _) => account.resume().await,
            (true, Ok(report)) => report,
            (true, Err(_)) => account.back_up().await,
        };
        while report.stays_open {
            tokio::time::sleep(Duration::from_mins(5)).await;
            report = account.resume().await;
        }
        assert_eq!(
            report.outcome,
            Outcome::Succeeded,
            "{after:?} {:?}",
            report.failures
        );
        assert_eq!(account.calls("zilliz.create_backup"), 2, "{after:?}");
        let tiers = account
            .journal
            .as_ref()
            .unwrap()
            .tiers("prod")
            .await
            .unwrap();
        let adopted = matches!(tiers.last().unwrap().state, TierState::Adopted { .. });
        if adopted {
            all_stand(&account, &first);
        } else {
            assert_eq!(days(&account, FAR).len(), 1, "{after:?} {tiers:?}");
        }
        account.sleep(24).await;
        night(&account).await;
        let stand = if adopted { 2 } else { 1 };
        assert_eq!(days(&account, FAR).len(), stand, "{after:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_delete_that_fails_or_lies_is_told_and_tried_again_the_next_night() {
    for (fault, word, deleted) in [
        (json!({"status": 500}), "unavailable", 0),
        (
            json!({"status": 200, "body": "{\"code\":96038,\"message\":\"no\"}"}),
            "rejected",
            0,
        ),
        (json!({"delete_lies": true}), "still_there", 0),
        (json!({"reset": "after"}), "", 3),
        (json!({"status": 503, "commit": "after"}), "", 3),
        (json!({"truncate": true}), "", 3),
    ] {
        let account = with_tiers("daily = 1");
        night(&account).await;
        account.sleep(24).await;
        account.faults(json!([{"match": {"operation": "zilliz.delete_backup"}, "fault": fault}]));
        let report = night(&account).await;
        let told = match word {
            "" => String::new(),
            word => format!("{word} {word} has_copies"),
        };
        assert_eq!(failures(&report), told, "{fault} {:?}", report.failures);
        assert_eq!(report.tiers.deleted, deleted, "{fault}");
        account.faults(json!([]));
        account.sleep(24).await;
        let report = night(&account).await;
        assert_eq!(
            report.outcome,
            Outcome::Succeeded,
            "{fault} {:?}",
            report.failures
        );
        assert_eq!(days(&account, NEAR).len(), 1, "{fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_somebody_deleted_is_told_once() {
    let account = with_tiers("daily = 3");
    for _ in 0..3 {
        night(&account).await;
        account.sleep(24).await;
    }
    let in_far = standing(&account).remove(FAR).unwrap();
    let oldest = in_far
        .iter()
        .min_by_key(|(_, day)| (*day).clone())
        .unwrap()
        .0;
    delete(&account, oldest);
    let report = night(&account).await;
    assert_eq!(failures(&report), "vanished");
    assert!(report.failures.shown[0].message.contains(oldest.as_str()));
    account.sleep(24).await;
    assert_eq!(night(&account).await.outcome, Outcome::Succeeded);
}

/// Listings that leave out pages, or can't be had, and a journal that can't be read.
#[tokio::test(start_paused = true)]
async fn what_can_not_be_read_to_its_end_lets_nothing_be_deleted() {
    let objects = Arc::new(InMemory::new());
    let account = with_tiers("daily = 1").with_journal_in(&objects);
    night(&account).await;
    account.sleep(24).await;
    let foreign = Path::from("journal/clusters/tiers/prod/in01-x-0000000000.json");
    objects
        .put(&foreign, "{\"what\": \"is this\"}".into())
        .await
        .unwrap();
    let report = account.back_up().await;
    assert_eq!(failures(&report), "journal_unreadable");
    assert!(
        report.failures.shown[0]
            .message
            .contains("in01-x-0000000000.json"),
        "{:?}",
        report.failures
    );
    assert_eq!(
        (
            account.calls("zilliz.create_backup"),
            account.calls("zilliz.delete_backup")
        ),
        (1, 0)
    );
    objects.delete(&foreign).await.unwrap();
    let report = night(&account).await;
    assert_eq!(
        (report.outcome, report.tiers.deleted),
        (Outcome::Succeeded, 3),
        "{:?}",
        report.failures
    );
}

#[tokio::test(start_paused = true)]
async fn a_held_one_stays_until_it_is_taken_off_the_list() {
    let mut account = with_tiers("daily = 1");
    night(&account).await;
    let held = standing(&account)
        .remove(NEAR)
        .unwrap()
        .into_keys()
        .next()
        .unwrap();
    account.plans = plans(&tiered(&format!("daily = 1\nhold = [\"{held}\"]")));
    for _ in 0..3 {
        account.sleep(24).await;
        night(&account).await;
    }
    assert_eq!(
        [HOME, NEAR, FAR].map(|region| days(&account, region).len()),
        [2, 2, 1],
        "nobody knows whether a copy outlives its original, so that stays, too"
    );
    account.plans = plans(&tiered("daily = 1"));
    account.sleep(24).await;
    night(&account).await;
    assert_eq!(
        [HOME, NEAR].map(|region| days(&account, region).len()),
        [1, 1]
    );
}

#[tokio::test(start_paused = true)]
async fn one_that_is_being_restored_stays_as_long_and_what_is_held_must_be_readable() {
    let objects = Arc::new(InMemory::new());
    let account = with_tiers("daily = 1").with_journal_in(&objects);
    night(&account).await;
    let backup = standing(&account)
        .remove(NEAR)
        .unwrap()
        .into_keys()
        .next()
        .unwrap();
    let hold = Path::from("journal/clusters/holds/one.json");
    let until = account.wire.now() + SignedDuration::from_hours(30);
    let written =
        json!({"restore": "one", "region": NEAR, "backups": [backup], "expires_at": until});
    objects
        .put(&hold, written.to_string().into())
        .await
        .unwrap();
    account.sleep(24).await;
    let report = night(&account).await;
    assert_eq!(
        (report.outcome, report.tiers.deleted),
        (Outcome::Succeeded, 1),
        "its copy in the third region alone: {:?}",
        report.failures
    );
    assert_eq!(days(&account, NEAR).len(), 2);
    objects.put(&hold, "{}".into()).await.unwrap();
    account.sleep(24).await;
    assert_eq!(failures(&night(&account).await), "journal_unreadable");
    assert_eq!(
        [HOME, NEAR].map(|region| days(&account, region).len()),
        [3, 3]
    );
    objects.delete(&hold).await.unwrap();
    account.sleep(24).await;
    assert_eq!(night(&account).await.outcome, Outcome::Succeeded);
    assert_eq!(
        [HOME, NEAR].map(|region| days(&account, region).len()),
        [1, 1]
    );
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_says_what_would_be_made_and_deleted_and_does_neither() {
    let account = with_tiers("daily = 1");
    night(&account).await;
    account.sleep(24).await;
    let dry = Request {
        dry_run: true,
        ..Request::default()
    };
    let report = account.run(dry).await;
    assert_eq!(report.outcome, Outcome::Succeeded, "{:?}", report.failures);
    let planned = report
        .jobs
        .shown
        .iter()
        .filter(|job| job.state == "planned");
    assert_eq!(planned.count(), 3);
    let lines: Vec<_> = report
        .tiers
        .lines
        .shown
        .iter()
        .map(|line| (line.region.as_str(), line.fate, line.backup.is_some()))
        .collect();
    let of = |region| {
        [
            (region, TierFate::Due, true),
            (region, TierFate::Kept, false),
        ]
    };
    assert_eq!(lines, [of(NEAR), of(FAR), of(HOME)].concat());
    assert_eq!(
        (
            account.calls("zilliz.create_backup"),
            account.calls("zilliz.delete_backup")
        ),
        (1, 0)
    );
    assert_eq!(night(&account).await.tiers.deleted, 3);
}

/// While a tier takes hours, the next night's event begins no second one.
#[tokio::test(start_paused = true)]
async fn one_that_takes_days_is_followed_by_whichever_run_comes_next() {
    let account = with_tiers("weekly = 2");
    let bytes = json!({"bytes": 20_000_000_000_000_u64});
    account.add_cluster(CLUSTER, "orders-prod", &bytes);
    let begin: Timestamp = account.wire.now();
    account.back_up().await;
    for _ in 0..5 {
        account.sleep(13).await;
        let report = account.back_up().await;
        assert!(
            !failures(&report).contains("no_backup"),
            "{:?}",
            report.failures
        );
    }
    assert_eq!(account.calls("zilliz.create_backup"), 1);
    let ends = account.wire.now();
    assert!(ends.duration_since(begin).as_hours() > 60);
    while account.back_up().await.stays_open {
        account.sleep(10).await;
    }
    let tiers = account
        .journal
        .as_ref()
        .unwrap()
        .tiers("prod")
        .await
        .unwrap();
    let owned: Vec<_> = tiers.iter().filter_map(|tier| tier.owned()).collect();
    assert!(
        owned
            .iter()
            .all(|owned| owned.backups.len() == 3 && owned.missing.is_empty()),
        "{tiers:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_failed_backup_leaves_its_night_without_one_and_the_next_makes_it() {
    let account = with_tiers("weekly = 1");
    account.faults(json!([{"match": {"operation": "zilliz.create_backup"}, "fault": {"fail_operation": true, "reason": "disk full"}}]));
    let report = night(&account).await;
    assert!(
        failures(&report).contains("job_failed"),
        "{:?}",
        report.failures
    );
    assert_eq!(account.calls("zilliz.create_backup"), 1);
    let again = Request {
        scheduled_time: Some(report.slot),
        ..Request::default()
    };
    account.run(again).await;
    assert_eq!(
        account.calls("zilliz.create_backup"),
        1,
        "one request for each slot"
    );
    account.faults(json!([]));
    account.sleep(24).await;
    assert_eq!(night(&account).await.tiers.made, 3);
    assert_eq!(
        account
            .journal
            .as_ref()
            .unwrap()
            .tiers("prod")
            .await
            .unwrap()
            .len(),
        1
    );
    let history = account
        .journal
        .as_ref()
        .unwrap()
        .history("prod", 5)
        .await
        .unwrap();
    let outcomes: Vec<&str> = history.iter().map(|run| run.outcome.as_str()).collect();
    assert_eq!(outcomes, ["succeeded", "failed"]);
    let tiers = history[0]
        .jobs
        .iter()
        .filter(|job| job.progress.as_deref() == Some("a tier"));
    assert_eq!(tiers.count(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_late_event_of_an_older_period_makes_nothing_beside_a_newer_one() {
    let account = with_tiers("daily = 3");
    let report = night(&account).await;
    let late = Request {
        scheduled_time: Some(report.slot - SignedDuration::from_hours(48)),
        ..Request::default()
    };
    assert_eq!(account.run(late).await.tiers.made, 0);
    assert_eq!(account.calls("zilliz.create_backup"), 1);
}

/// A host whose clock is ten days ahead makes one for each period all the same, and once it is right, so does the next night.
#[tokio::test(start_paused = true)]
async fn a_clock_that_is_ahead_makes_no_second_one_of_a_period() {
    let mut account = with_tiers("daily = 3");
    account.ahead = SignedDuration::from_hours(240);
    for day in 1..4 {
        for _ in 0..3 {
            night(&account).await;
            account.sleep(2).await;
        }
        assert_eq!(account.calls("zilliz.create_backup"), day);
        account.sleep(18).await;
    }
    // Put right by halves, then wholly, and a day later.
    for (minutes, wait, calls) in [(6, 2, 4), (6, 2, 4), (0, 24, 4), (0, 0, 5)] {
        account.ahead = SignedDuration::from_mins(minutes);
        night(&account).await;
        assert_eq!(account.calls("zilliz.create_backup"), calls, "{minutes}");
        account.sleep(wait).await;
    }
}

/// Seven due of one cluster pass the brake, and fourteen of two don't, however long the second one's tier takes.
#[tokio::test(start_paused = true)]
async fn the_brake_waits_for_all_clusters_to_settle() {
    const SLOW: &str = "in01-slow";
    let mut account = with_tiers("daily = 7");
    account.add_cluster(SLOW, "slow", &json!({}));
    for _ in 0..7 {
        night(&account).await;
        account.sleep(24).await;
    }
    account.plans = plans(&tiered("daily = 1"));
    account.add_cluster(SLOW, "slow", &json!({"bytes": 2_000 * GB}));
    let mut report = account.back_up().await;
    let slot = report.slot;
    assert!(report.stays_open, "{report:#?}");
    let warned = format!("{:?}", report.warnings);
    assert!(warned.contains("judged once all"), "{warned}");
    let dry_run = Request {
        dry_run: true,
        ..Request::default()
    };
    let shown = account.run(dry_run).await.tiers;
    let far = shown.regions.iter().find(|due| due.region == FAR).unwrap();
    assert!(far.due > 10 && far.stopped.is_some(), "{shown:#?}");
    let approve = Request {
        approve: Some(far.hash.to_string()),
        scheduled_time: Some(slot),
        ..Request::default()
    };
    report = account.run(approve).await;
    assert!(failures(&report).contains("not_approved"), "{report:#?}");
    assert!(
        format!("{:?}", report.failures).contains("again when"),
        "{report:#?}"
    );
    while report.stays_open {
        account.sleep(1).await;
        report = account.resume().await;
    }
    assert_eq!(failures(&report), "braked braked braked");
    assert_eq!(account.calls("zilliz.delete_backup"), 0);
}

/// An answer that names a backup which stood before its request is believed so far that no second one is asked for, and not
/// so far that anything may be deleted.
#[tokio::test(start_paused = true)]
async fn an_answer_that_names_an_older_backup_owns_nothing() {
    for is_own in [true, false] {
        let account = with_tiers("daily = 1");
        night(&account).await;
        account.sleep(24).await;
        let own = standing(&account).remove(HOME).unwrap().into_keys().next();
        let named = if is_own {
            own
        } else {
            by_somebody_else(&account)
        };
        let named = named.unwrap();
        account.sleep(1).await;
        let answer =
            json!({"code": 0, "data": {"backupId": named, "backupName": "b", "jobId": "job-1"}});
        account.faults(json!([{"match": {"operation": "zilliz.create_backup"},
            "fault": {"status": 200, "body": answer.to_string()}, "times": 1}]));
        let mut report = account.back_up().await;
        while report.stays_open {
            account.sleep(1).await;
            report = account.resume().await;
        }
        assert!(failures(&report).contains("copy_"), "{report:#?}");
        let told = format!("{:?}", report.warnings);
        assert!(told.contains("older than its request"), "{told}");
        let mut all = family(&account, &named);
        assert_eq!(all.len(), 3);
        if is_own {
            // Its copies are an older tier's, and go when that one goes.
            all = BTreeSet::from([named]);
        }
        for _ in 0..5 {
            account.sleep(24).await;
            let report = night(&account).await;
            assert_eq!(report.outcome, Outcome::Succeeded, "{:?}", report.failures);
        }
        all_stand(&account, &all);
    }
}

/// A night that dies after its copy failed, and before it said so, leaves that to be said.
#[tokio::test(start_paused = true)]
async fn a_failure_is_told_however_the_night_that_saw_it_ended() {
    let mut told = 0;
    for step in 0..40 {
        let account = with_tiers("daily = 1");
        account.faults(json!([
            {"match": {"operation": "zilliz.copy", "region": FAR}, "fault": {"fail_operation": true}},
            {"fault": {"latency_ms": 900}},
        ]));
        let after = Duration::from_secs(step * 10);
        let ended = tokio::time::timeout(after, account.back_up()).await;
        let mut words = ended.as_ref().map(failures).unwrap_or_default();
        let mut stays_open = ended.as_ref().map_or(true, |report| report.stays_open);
        while stays_open {
            tokio::time::sleep(Duration::from_mins(5)).await;
            let report = account.back_up().await;
            words.push_str(&failures(&report));
            stays_open = report.stays_open;
        }
        assert!(words.contains("copy_"), "{after:?}: {words}");
        told += usize::from(ended.is_err());
    }
    assert!(told > 5, "{told}");
}

/// Nobody knows whether a copy outlives its original. So what may be one keeps it, whether it was seen in time or came when
/// nobody waited for it any more.
#[tokio::test(start_paused = true)]
async fn an_original_stays_beside_whatever_may_be_its_copy() {
    for was_seen in [true, false] {
        let objects = Arc::new(InMemory::new());
        let account = with_tiers("daily = 1").with_journal_in(&objects);
        night(&account).await;
        let tiers: Vec<_> = objects
            .list(Some(&Path::from("journal/clusters/tiers/prod")))
            .collect()
            .await;
        let [Ok(object)] = tiers.as_slice() else {
            panic!("{tiers:?}")
        };
        let found = objects.get(&object.location).await.unwrap();
        let mut tier: Value = serde_json::from_slice(&found.bytes().await.unwrap()).unwrap();
        tier["backups"].as_object_mut().unwrap().remove(FAR);
        if was_seen {
            tier["unsure"] = json!([FAR]);
        }
        objects
            .put(&object.location, tier.to_string().into())
            .await
            .unwrap();
        for _ in 0..2 {
            account.sleep(24).await;
            let report = night(&account).await;
            assert_eq!(report.outcome, Outcome::Succeeded, "{:?}", report.failures);
        }
        let standing = [HOME, NEAR, FAR].map(|region| days(&account, region).len());
        assert_eq!(standing, [2, 1, 2], "{was_seen}");
    }
}

/// Every other tick sees lists that leave out all that was begun.
#[tokio::test(start_paused = true)]
async fn a_tier_that_a_list_leaves_out_is_settled_with_all_its_copies() {
    for (odd, also_originals) in [(0, true), (1, true), (0, false), (1, false)] {
        let account = with_tiers("weekly = 2");
        account.add_cluster(CLUSTER, "orders-prod", &json!({"bytes": 500 * GB}));
        let mut report = account
            .run_within(Request::default(), Duration::from_secs(30))
            .await;
        for tick in 0_u32.. {
            if !report.stays_open {
                break;
            }
            tokio::time::sleep(Duration::from_mins(3)).await;
            let begun = account.known("backups").into_iter().filter(|backup| {
                let is_meant = also_originals || !backup["original"].is_null();
                backup["method"] == "MANUAL" && is_meant && tick % 2 == odd
            });
            account.leave_out(begun.map(|backup| text(&backup["id"])));
            report = account.resume().await;
        }
        // By the same list nothing may be deleted.
        let mut failures = report.failures.shown.iter();
        assert!(
            failures.all(|one| one.error == "listing"),
            "{odd} {report:#?}"
        );
        let journal = account.journal.as_ref().unwrap();
        let tiers = journal.tiers("prod").await.unwrap();
        let [Some(owned)] = tiers.iter().map(|tier| tier.owned()).collect::<Vec<_>>()[..] else {
            panic!("{tiers:?}")
        };
        assert_eq!(owned.backups.len(), 3, "{odd} {owned:?}");
    }
}

/// Whoever waits in vain is told once a night, and what waits goes on.
#[tokio::test(start_paused = true)]
async fn what_can_be_waited_for_no_longer_is_told() {
    let stuck = json!([{"match": {"operation": "zilliz.create_backup"}, "fault": {"stall_operation": true}}]);
    let refused = json!([{"match": {"operation": "zilliz.describe_backup"},
        "fault": {"status": 200, "body": "{\"code\":96038,\"message\":\"no\"}"}}]);
    for is_ours in [true, false] {
        let account = with_tiers("daily = 2");
        night(&account).await;
        account.sleep(24).await;
        if is_ours {
            account.faults(refused.clone());
        } else {
            account.faults(stuck.clone());
            by_somebody_else(&account).unwrap();
            account.faults(json!([]));
        }
        let mut words = Vec::new();
        for _ in 0..5 {
            let report = account.back_up().await;
            words.push(report.failures.shown.iter().any(|one| one.error == "stuck"));
            if report.stays_open {
                account.sleep(1).await;
                let tick = Request {
                    action: Action::Resume,
                    scheduled_time: Some(report.slot),
                    ..Request::default()
                };
                let tick = account.run(tick).await;
                assert!(!failures(&tick).contains("stuck"), "{tick:#?}");
            }
            account.sleep(24).await;
        }
        assert_eq!(words, [false, false, false, true, true], "{is_ours}");
        assert_eq!(account.calls("zilliz.create_backup"), 2);
    }
}
