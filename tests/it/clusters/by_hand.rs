//! Backups by hand: exactly one original and one copy for each region, whatever happens.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use lifeboat::event::{ByHand, Request};
use lifeboat::journal::Journal;
use lifeboat::report::Outcome;
use lifeboat::zilliz::ClusterReport;
use object_store::memory::InMemory;
use object_store::path::Path;
use serde_json::{Value, json};

use crate::faulty_store::{Fate, FaultyStore};

use super::tiers::by_somebody_else;
use super::{Account, CLUSTER, FAR, GB, HOME, NEAR, PLAN, failures};

pub(super) fn by_hand() -> Request {
    Request {
        manual: true,
        scheduled_time: Some(super::BEGIN.parse().unwrap()),
        ..Request::default()
    }
}

/// Regions and states of all records, in the report's order.
pub(super) fn jobs(report: &ClusterReport) -> String {
    let jobs = report
        .jobs
        .shown
        .iter()
        .map(|job| format!("{} {}", job.region, job.state));
    jobs.collect::<Vec<_>>().join(", ")
}

pub(super) const ALL: &str =
    "gcp-us-west1 available, gcp-us-east4 available, gcp-europe-west3 available";

/// Of backups made by hand, what was ever begun: region and whether it is there, originals first.
pub(super) fn made(account: &Account) -> Vec<(String, String)> {
    let mut made: Vec<_> = account
        .known("backups")
        .into_iter()
        .filter(|backup| backup["method"] == "MANUAL")
        .collect();
    made.sort_by_key(|backup| {
        (
            !backup["original"].is_null(),
            backup["region"].as_str().unwrap().to_owned(),
        )
    });
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    made.iter()
        .map(|backup| (text(&backup["region"]), text(&backup["status"])))
        .collect()
}

pub(super) fn exactly_one_of_each(account: &Account) {
    let there = |region: &str| (region.to_owned(), "AVAILABLE".to_owned());
    assert_eq!(made(account), [there(HOME), there(FAR), there(NEAR)]);
}

#[tokio::test(start_paused = true)]
async fn one_invocation_makes_it_and_follows_it_to_every_region() {
    for journal in [false, true] {
        let mut account = Account::new();
        if journal {
            account = account.with_journal();
        }
        let report = account.run(by_hand()).await;
        assert_eq!(
            (report.outcome, jobs(&report).as_str()),
            (Outcome::Succeeded, ALL),
            "{:?}",
            report.failures
        );
        assert_eq!((report.counts.made, report.stays_open), (3, false));
        exactly_one_of_each(&account);
        assert!(
            account
                .known("backups")
                .iter()
                .all(|backup| backup["expires"].is_null()),
            "kept for ever"
        );
        assert_eq!(
            account.policy(CLUSTER),
            "",
            "a backup by hand sets no policy"
        );
    }
}

/// The original, then one record for each target region; the same event again makes nothing.
#[tokio::test(start_paused = true)]
async fn a_repeated_event_makes_nothing_and_tells_the_same() {
    let account = Account::new().with_journal();
    account.run(by_hand()).await;
    let again = account.run(by_hand()).await;
    assert_eq!(
        (again.outcome, jobs(&again).as_str()),
        (Outcome::Succeeded, ALL)
    );
    exactly_one_of_each(&account);
    let history = account
        .journal
        .as_ref()
        .unwrap()
        .history("prod", 5)
        .await
        .unwrap();
    let regions: Vec<&str> = history[0]
        .jobs
        .iter()
        .map(|job| job.region.as_str())
        .collect();
    assert_eq!((history.len(), regions), (1, vec![HOME, NEAR, FAR]));
    let tomorrow: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
    account.sleep(24).await;
    let other = Request {
        scheduled_time: Some(tomorrow),
        ..by_hand()
    };
    assert_eq!(account.run(other).await.outcome, Outcome::Succeeded);
    assert_eq!(made(&account).len(), 6);
}

/// The journal stops taking writes at every moment of the first event; what it does not know of must not be made.
#[tokio::test(start_paused = true)]
async fn a_journal_that_can_be_written_no_more_costs_no_second_backup() {
    for passing in 0..10 {
        let objects = Arc::new(InMemory::new());
        let journal =
            |store: FaultyStore| Some(Journal::on(Arc::new(store), Path::from("journal")));
        let mut account = Account::new();
        let full = FaultyStore::over(&objects, 1);
        full.next_writes(std::iter::repeat_n(Fate::Passes, passing));
        full.next_writes(std::iter::repeat_n(Fate::FailsBefore, 10_000));
        account.journal = journal(full);
        account.run(by_hand()).await;
        account.sleep(1).await;
        account.journal = journal(FaultyStore::over(&objects, 1));
        let again = account.run(by_hand()).await;
        assert_eq!(again.outcome, Outcome::Succeeded, "{passing}: {again:#?}");
        exactly_one_of_each(&account);
    }
}

#[tokio::test(start_paused = true)]
async fn a_backup_that_takes_hours_is_followed_across_invocations() {
    let account = Account::new().with_journal();
    // Fifty minutes for the backup, and an hour and a half for each copy.
    account.add_cluster(
        CLUSTER,
        "orders-prod",
        &json!({"bytes": 2_100_000_000_000_u64}),
    );
    account
        .wire
        .emulator
        .update_settings(|settings| settings.zilliz.copy_bytes_per_second = 400_000_000);
    let report = account.run(by_hand()).await;
    assert_eq!(
        (report.outcome, report.stays_open),
        (Outcome::Incomplete, true)
    );
    let mut ticks = 0;
    let report = loop {
        tokio::time::sleep(Duration::from_mins(5)).await;
        let before = account.wire.now();
        let report = account.resume().await;
        assert!(
            account.wire.now().duration_since(before).as_secs() < 20,
            "a tick is one look"
        );
        ticks += 1;
        if !report.stays_open {
            break report;
        }
        assert_eq!(report.outcome, Outcome::Incomplete, "{:?}", report.failures);
    };
    assert!((20..40).contains(&ticks), "{ticks}");
    assert_eq!(
        (report.outcome, jobs(&report).as_str()),
        (Outcome::Succeeded, ALL)
    );
    exactly_one_of_each(&account);
}

/// A backup by hand whose first request meets a fault: one of each is made, after so many requests.
async fn met_once_it_ends_well_after(fault: Value, requests: u64) {
    let account = Account::new().with_journal();
    account.faults(
        json!([{"match": {"operation": "zilliz.create_backup"}, "fault": fault, "times": 1}]),
    );
    let report = account.run(by_hand()).await;
    assert_eq!(
        (report.outcome, jobs(&report).as_str()),
        (Outcome::Succeeded, ALL),
        "{fault} {:?}",
        report.failures
    );
    assert_eq!(account.calls("zilliz.create_backup"), requests, "{fault}");
    exactly_one_of_each(&account);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_looked_for_and_adopted() {
    for fault in [
        json!({"status": 503, "commit": "after"}),
        json!({"reset": "after"}),
        json!({"truncate": true}),
        json!({"latency_ms": 60_000}),
    ] {
        met_once_it_ends_well_after(fault, 1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_never_arrived_is_sent_again_after_a_look() {
    for fault in [
        json!({"status": 503}),
        json!({"reset": "before"}),
        json!({"status": 429}),
    ] {
        met_once_it_ends_well_after(fault, 2).await;
    }
    let account = Account::new();
    account.faults(
        json!([{"match": {"operation": "zilliz.create_backup"}, "fault": {"status": 503}}]),
    );
    let report = account.run(by_hand()).await;
    assert_eq!(
        (report.outcome, failures(&report).as_str()),
        (Outcome::Failed, "no_backup")
    );
    assert_eq!(account.calls("zilliz.create_backup"), 3);
}

/// Killed after every so many milliseconds, with slow answers, so that it dies at each request and between them.
#[tokio::test(start_paused = true)]
async fn killed_anywhere_and_begun_again_there_is_one_of_each() {
    for after in (0..120).map(|step| Duration::from_millis(step * 250)) {
        let account = Account::new().with_journal();
        account.faults(json!([{"fault": {"latency_ms": 900}}]));
        let killed = tokio::time::timeout(after, account.run(by_hand())).await;
        assert!(killed.is_err(), "{after:?}: it was not cut short");
        // The dead one's lease runs out; then the tick finds it, or Lambda sends the event again.
        account.faults(json!([]));
        tokio::time::sleep(Duration::from_mins(5)).await;
        let open = account.open_runs().await;
        let mut report = if open.is_empty() {
            account.run(by_hand()).await
        } else {
            account.resume().await
        };
        if failures(&report) == "abandoned" {
            report = account.run(by_hand()).await;
        }
        while report.stays_open {
            tokio::time::sleep(Duration::from_mins(5)).await;
            report = account.resume().await;
        }
        assert_eq!(
            (report.outcome, jobs(&report).as_str()),
            (Outcome::Succeeded, ALL),
            "{after:?} {:?}",
            report.failures
        );
        exactly_one_of_each(&account);
    }
}

/// Nobody has looked yet what had become of the request, and by then another backup has been made: a day later by somebody
/// else, or an hour later by another run.
#[tokio::test(start_paused = true)]
async fn what_was_made_later_is_not_taken_for_an_answer() {
    for is_ours in [true, false] {
        let account = Account::new().with_journal();
        account.faults(
            json!([{"match": {"operation": "zilliz.create_backup"}, "fault": {"status": 429}}]),
        );
        let first = account.run_within(by_hand(), Duration::from_secs(30)).await;
        assert!(first.stays_open, "{first:#?}");
        account.faults(json!([]));
        account.sleep(if is_ours { 1 } else { 24 }).await;
        let theirs: BTreeSet<String> = if is_ours {
            let another = Request {
                scheduled_time: None,
                ..by_hand()
            };
            let another = account.run(another).await;
            assert_eq!(jobs(&another), ALL, "{another:#?}");
            let lines = another.jobs.shown.iter();
            lines.filter_map(|line| line.backup.clone()).collect()
        } else {
            BTreeSet::from([by_somebody_else(&account).unwrap()])
        };
        account.sleep(1).await;
        let mut report = account.resume().await;
        while report.stays_open {
            tokio::time::sleep(Duration::from_mins(5)).await;
            report = account.resume().await;
        }
        assert_eq!(jobs(&report), ALL, "{report:#?}");
        let mut made = report.jobs.shown.iter();
        assert!(
            made.all(|line| line.message.is_none()
                && line.backup.as_ref().is_some_and(|id| !theirs.contains(id))),
            "{is_ours} {report:#?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn it_waits_while_another_backup_is_being_made() {
    let account = Account::new().with_journal();
    // Switching a policy on begins an automatic backup: 20 minutes.
    account.add_cluster(
        CLUSTER,
        "orders-prod",
        &json!({"bytes": 840_000_000_000_u64}),
    );
    account.back_up().await;
    let report = account.run(by_hand()).await;
    assert_eq!(
        (report.outcome, report.stays_open),
        (Outcome::Incomplete, true)
    );
    assert!(
        report.failures.shown[0].message.contains("AUTO"),
        "{:?}",
        report.failures
    );
    assert_eq!(account.calls("zilliz.create_backup"), 0);
    tokio::time::sleep(Duration::from_mins(10)).await;
    let open = account.open_runs().await;
    let open = open
        .iter()
        .find(|open| open.key.class == lifeboat::name::Class::Manual)
        .unwrap();
    let request = Request {
        action: lifeboat::event::Action::Resume,
        scheduled_time: Some(open.key.slot.instant()),
        ..by_hand()
    };
    account.run(request.clone()).await;
    assert_eq!(account.calls("zilliz.create_backup"), 1);
    account.sleep(5).await;
    let report = account.run(request).await;
    assert_eq!(
        (report.outcome, jobs(&report).as_str()),
        (Outcome::Succeeded, ALL),
        "{:?}",
        report.failures
    );
}

#[tokio::test(start_paused = true)]
async fn a_failed_backup_is_told_with_its_reason_and_a_repeated_event_makes_a_new_one() {
    let account = Account::new().with_journal();
    account.faults(json!([{"match": {"operation": "zilliz.create_backup"}, "fault": {"fail_operation": true, "reason": "disk full"}, "times": 1}]));
    let report = account.run(by_hand()).await;
    assert_eq!(failures(&report), "job_failed no_original no_original");
    assert!(report.failures.shown[0].message.contains("disk full"));
    let again = account.run(by_hand()).await;
    assert_eq!(
        (again.outcome, jobs(&again).as_str()),
        (Outcome::Succeeded, ALL),
        "{:?}",
        again.failures
    );
}

#[tokio::test(start_paused = true)]
async fn a_failed_copy_is_told_with_its_reason_where_the_service_tells_it_and_nothing_is_made_again()
 {
    for listed in [false, true] {
        let account = Account::new().with_journal();
        account
            .wire
            .emulator
            .update_settings(|settings| settings.zilliz.jobs_can_be_listed = listed);
        account.faults(json!([{"match": {"operation": "zilliz.copy", "region": FAR}, "fault": {"fail_operation": true, "reason": "quota"}}]));
        let report = account.run(by_hand()).await;
        assert_eq!(
            jobs(&report),
            ALL.replace("europe-west3 available", "europe-west3 failed")
        );
        assert_eq!(
            (report.outcome, failures(&report).as_str()),
            (Outcome::Failed, "copy_failed")
        );
        assert_eq!(report.failures.shown[0].target.as_deref(), Some(FAR));
        assert_eq!(
            report.failures.shown[0].message.contains("quota"),
            listed,
            "{:?}",
            report.failures
        );
        account.faults(json!([]));
        assert_eq!(account.run(by_hand()).await.outcome, Outcome::Failed);
        assert_eq!(account.calls("zilliz.create_backup"), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_copy_is_told_when_it_is_seen_and_in_the_last_word_of_its_run() {
    let account = Account::new().with_journal();
    account.add_cluster(CLUSTER, "orders-prod", &json!({}));
    account.add_cluster(
        "in01-slow",
        "audit-prod",
        &json!({"bytes": 2_100_000_000_000_u64}),
    );
    account.wire.emulator.update_settings(|settings| {
        settings.zilliz.copy_bytes_per_second = 400_000_000;
        settings.zilliz.jobs_can_be_listed = true;
    });
    account.faults(json!([{"match": {"operation": "zilliz.copy", "region": FAR}, "fault": {"fail_operation": true, "reason": "quota"}, "times": 1}]));
    let report = account.run(by_hand()).await;
    let mut told = vec![(report.stays_open, failures(&report).contains("copy_failed"))];
    while told.last().unwrap().0 {
        tokio::time::sleep(Duration::from_mins(5)).await;
        let report = account.resume().await;
        let tells = failures(&report).contains("copy_failed");
        told.push((report.stays_open, tells));
        if !report.stays_open {
            assert_eq!(report.outcome, Outcome::Failed, "{report:#?}");
        }
    }
    let while_open = told.iter().filter(|(is_open, tells)| *is_open && *tells);
    assert_eq!(while_open.count(), 1, "{told:?}");
    assert_eq!(told.last(), Some(&(false, true)), "{told:?}");
    assert!(told.len() > 10, "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_job_that_the_service_forgot_is_followed_by_the_list() {
    let account = Account::new().with_journal();
    account.faults(
        json!([{"match": {"operation": "zilliz.describe_job"}, "fault": {"lose_token": true}}]),
    );
    let report = account.run(by_hand()).await;
    assert_eq!(
        (report.outcome, jobs(&report).as_str()),
        (Outcome::Succeeded, ALL)
    );
    assert_eq!(account.calls("zilliz.describe_job"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_backup_that_is_not_in_the_list_is_a_failure() {
    let account = Account::new().with_journal();
    account.add_cluster(
        CLUSTER,
        "orders-prod",
        &json!({"bytes": 840_000_000_000_u64}),
    );
    account.run(by_hand()).await;
    account.sleep(1).await;
    let backups = account.known("backups");
    let original = backups
        .iter()
        .find(|backup| backup["original"].is_null())
        .unwrap();
    let path = format!(
        "/zilliz/v2/clusters/{CLUSTER}/backups/{}",
        original["id"].as_str().unwrap()
    );
    let _ = account.wire.call(
        lifeboat_emulator::Method::Delete,
        &path,
        "",
        "k",
        Vec::new(),
    );
    let report = account.resume().await;
    assert!(
        failures(&report).starts_with("vanished"),
        "{}",
        failures(&report)
    );
    assert_eq!(account.calls("zilliz.create_backup"), 1);
}

#[tokio::test(start_paused = true)]
async fn one_cluster_or_some_collections_can_be_meant() {
    let account = Account::new();
    account.add_cluster(
        "in01-2",
        "users-prod",
        &json!({"collections": [{"database": "archive", "name": "old", "bytes": 1000}]}),
    );
    let of = |cluster: &str, collections: &[&str]| Request {
        by_hand: ByHand {
            cluster: Some(cluster.to_owned()).filter(|cluster| !cluster.is_empty()),
            collections: collections.iter().map(|name| (*name).to_owned()).collect(),
        },
        ..by_hand()
    };
    let report = account.run(of("users-prod", &["archive.old"])).await;
    assert_eq!(
        (report.outcome, jobs(&report).as_str()),
        (Outcome::Succeeded, ALL),
        "{:?}",
        report.failures
    );
    assert!(
        account
            .known("backups")
            .iter()
            .all(|backup| backup["kind"] == "COLLECTION" && backup["cluster"] == "in01-2")
    );
    for (request, word) in [
        (of("", &["orders"]), "ambiguous"),
        (of("none", &[]), "not_found"),
        (of("in01-2", &["archive.none"]), "rejected"),
    ] {
        assert_eq!(failures(&account.run(request).await), word);
    }
    let report = account.run(by_hand()).await;
    assert_eq!(
        (report.counts.made, report.outcome),
        (6, Outcome::Succeeded),
        "{:?}",
        report.failures
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_makes_nothing_and_the_others_are_made() {
    let account = Account::new();
    account.add_cluster("in01-2", "standard", &json!({"plan": "Standard"}));
    let report = account.run(by_hand()).await;
    assert_eq!(
        (failures(&report).as_str(), report.counts.made),
        ("plan", 3)
    );
    exactly_one_of_each(&account);
    let dry = Request {
        dry_run: true,
        ..by_hand()
    };
    let account = Account::with(PLAN).with_journal();
    let report = account.run(dry).await;
    assert_eq!(
        (report.outcome, jobs(&report)),
        (Outcome::Succeeded, ALL.replace("available", "planned"))
    );
    assert_eq!(account.calls("zilliz.create_backup"), 0);
}

#[tokio::test(start_paused = true)]
async fn two_invocations_of_one_event_make_one_backup() {
    let account = Account::new().with_journal();
    account.faults(json!([{"fault": {"latency_ms": 300}}]));
    let (one, other) = tokio::join!(account.run(by_hand()), account.run(by_hand()));
    let mut words = [failures(&one), failures(&other)];
    words.sort();
    assert_eq!(words, ["", "lease_held"]);
    exactly_one_of_each(&account);
}

/// Ids of all backups that were made by hand and stand.
fn ids(account: &Account) -> Vec<String> {
    let backups = account.known("backups").into_iter();
    let by_hand = backups.filter(|backup| backup["method"] == "MANUAL");
    by_hand
        .map(|backup| backup["id"].as_str().unwrap().to_owned())
        .collect()
}

/// Every other tick sees lists that leave out all that was begun.
#[tokio::test(start_paused = true)]
async fn what_a_list_leaves_out_and_can_be_described_is_followed_on() {
    let account = Account::new().with_journal();
    account.add_cluster(CLUSTER, "orders-prod", &json!({"bytes": 500 * GB}));
    let mut report = account.run_within(by_hand(), Duration::from_secs(30)).await;
    let mut tick = 0;
    while report.stays_open {
        tick += 1;
        tokio::time::sleep(Duration::from_mins(3)).await;
        account.leave_out(ids(&account).into_iter().filter(|_| tick % 2 == 1));
        report = account.resume().await;
        let mut failures = report.failures.shown.iter();
        assert!(failures.all(|one| one.error == "being_made"), "{report:#?}");
    }
    assert!(tick > 4, "{tick}");
    assert_eq!(
        (report.outcome, jobs(&report).as_str()),
        (Outcome::Succeeded, ALL),
        "{report:#?}"
    );
    exactly_one_of_each(&account);
}

/// As at a terminal, in one invocation.
#[tokio::test(start_paused = true)]
async fn a_copy_that_could_not_be_described_at_first_is_described_again() {
    let account = Account::new();
    // The original answers, and then each of the copies does not, once.
    account.faults(json!([{"match": {"operation": "zilliz.describe_backup"},
        "fault": {"status": 200, "body": "{\"code\":96038,\"message\":\"no\"}"}, "after": 1, "times": 2}]));
    let report = account
        .run_within(by_hand(), Duration::from_hours(24))
        .await;
    assert_eq!(
        (report.outcome, jobs(&report).as_str()),
        (Outcome::Succeeded, ALL),
        "{report:#?}"
    );
}
