//! A region without a recent backup is a failure, and says why.

use std::sync::Arc;
use std::time::Duration;

use lifeboat::event::Request;
use lifeboat::journal::Journal;
use lifeboat::report::Outcome;
use lifeboat_emulator::Method;
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use serde_json::{Value, json};

use crate::faulty_store::{Fate, FaultyStore};

use super::tiers::by_somebody_else;
use super::{Account, CLUSTER, FAR, KEY, NEAR, PLAN, PROJECT, failures, plans, states};

#[tokio::test(start_paused = true)]
async fn nights_without_trouble_protect_every_region() {
    let account = Account::new().with_journal();
    account.back_up().await;
    account.sleep(1).await;
    account.resume().await;
    for day in 0..40 {
        account.sleep(24).await;
        let report = account.back_up().await;
        assert_eq!(
            report.outcome,
            Outcome::Succeeded,
            "day {day}: {:?}",
            report.failures
        );
        assert_eq!(report.counts.protected, 3);
        let oldest = report
            .regions
            .shown
            .iter()
            .filter_map(|line| line.age_seconds)
            .max()
            .unwrap();
        assert!(oldest < 32 * 3_600, "day {day}: {oldest}");
    }
    assert_eq!(account.calls("zilliz.set_policy"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_fails_is_told_the_next_morning_and_again_when_the_region_is_out_of_date() {
    let account = Account::new();
    account.back_up().await;
    account.sleep(1).await;
    account.faults(json!([{"match": {"operation": "zilliz.copy", "region": FAR}, "fault": {"fail_operation": true, "reason": "quota"}}]));
    account.sleep(23).await;
    let report = account.back_up().await;
    assert_eq!(states(&report), "protected protected copy_missing");
    assert_eq!(
        (report.outcome, failures(&report).as_str()),
        (Outcome::Failed, "copy_missing")
    );
    assert_eq!(report.failures.shown[0].target.as_deref(), Some(FAR));
    account.sleep(24).await;
    assert_eq!(
        states(&account.back_up().await),
        "protected protected stale"
    );
    account.sleep(8 * 24).await;
    assert_eq!(
        states(&account.back_up().await),
        "protected protected missing"
    );
    account.faults(json!([]));
    account.sleep(24).await;
    assert_eq!(account.back_up().await.outcome, Outcome::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn automatic_backups_that_fail_leave_no_region_silently_unprotected() {
    let account = Account::new();
    account.back_up().await;
    account.sleep(1).await;
    account.faults(json!([{"match": {"operation": "zilliz.automatic_backup"}, "fault": {"fail_operation": true}}]));
    // Monday's window ends at four and has until ten.
    account.sleep(20).await;
    assert_eq!(
        states(&account.back_up().await),
        "protected protected protected"
    );
    account.sleep(2).await;
    let report = account.back_up().await;
    assert_eq!(states(&report), "stale stale stale");
    assert_eq!(
        (report.outcome, report.counts.unprotected),
        (Outcome::Failed, 3)
    );
}

/// Sunday at noon the policy is enabled; runs come every morning at half past four, as the shipped schedule sends them.
async fn every_morning(account: &Account) {
    account.back_up().await;
    tokio::time::sleep(Duration::from_mins(16 * 60 + 30)).await;
}

#[tokio::test(start_paused = true)]
async fn a_single_lost_night_and_a_single_lost_copy_are_told_with_their_reason() {
    for journal in [false, true] {
        let mut account = Account::new();
        if journal {
            account = account.with_journal();
        }
        account.wire.emulator.update_settings(|settings| {
            settings.zilliz.jobs_can_be_listed = true;
        });
        every_morning(&account).await;
        let mut said = Vec::new();
        for night in 0..8 {
            let report = account.back_up().await;
            let words: Vec<&str> = report
                .regions
                .shown
                .iter()
                .map(|line| line.state.word())
                .collect();
            let messages: Vec<&str> = report
                .failures
                .shown
                .iter()
                .map(|one| one.message.as_str())
                .collect();
            said.push((words.join(" "), messages.join("; ")));
            account.faults(match night {
                1 => json!([{"match": {"operation": "zilliz.automatic_backup"}, "fault": {"fail_operation": true, "reason": "no room"}}]),
                4 => json!([{"match": {"operation": "zilliz.copy", "region": FAR}, "fault": {"fail_operation": true, "reason": "quota"}}]),
                _ => json!([]),
            });
            account.sleep(24).await;
            account.faults(json!([]));
        }
        let words: Vec<&str> = said.iter().map(|(words, _)| words.as_str()).collect();
        let well = "protected protected protected";
        let missed = "window_missed window_missed window_missed";
        let copy = "protected protected copy_missing";
        assert_eq!(
            words,
            [well, well, well, missed, well, well, copy, well],
            "{journal}"
        );
        for part in [
            "2026-11-25T02:00:00Z to 2026-11-25T04:00:00Z made no backup",
            "no room",
        ] {
            assert!(said[3].1.contains(part), "{}", said[3].1);
        }
        for part in ["not copied to gcp-europe-west3", "quota"] {
            assert!(said[6].1.contains(part), "{}", said[6].1);
        }
    }
}

/// Without a journal, a backup that is older than the window shows that there was a policy, however many were made by hand
/// since.
#[tokio::test(start_paused = true)]
async fn backups_by_hand_do_not_hide_that_a_lost_night_was_asked_for() {
    let account = Account::new();
    every_morning(&account).await;
    for _ in 0..2 {
        by_somebody_else(&account).unwrap();
        account.sleep(1).await;
    }
    account.faults(json!([{"match": {"operation": "zilliz.automatic_backup"}, "fault": {"fail_operation": true}}]));
    account.sleep(22).await;
    account.faults(json!([]));
    account.sleep(24).await;
    let missed = "window_missed window_missed window_missed";
    assert_eq!(states(&account.back_up().await), missed);
}

/// A run that could not read the backups has judged nothing, so the next one does.
#[tokio::test(start_paused = true)]
async fn a_lost_night_that_could_not_be_seen_is_told_when_it_can() {
    let account = Account::new().with_journal();
    every_morning(&account).await;
    account.back_up().await;
    account.faults(json!([{"match": {"operation": "zilliz.automatic_backup"}, "fault": {"fail_operation": true}}]));
    account.sleep(24).await;
    account.faults(json!([]));
    let well = "protected protected protected";
    assert_eq!(states(&account.back_up().await), well);
    account.sleep(24).await;
    account
        .faults(json!([{"match": {"operation": "zilliz.list_backups"}, "fault": {"status": 500}}]));
    let unread = "unknown unknown unknown";
    assert_eq!(states(&account.back_up().await), unread);
    account.faults(json!([]));
    account.sleep(24).await;
    let report = account.back_up().await;
    let missed = "window_missed window_missed window_missed";
    assert_eq!(states(&report), missed, "{report:#?}");
    let message = &report.failures.shown[0].message;
    assert!(message.contains("2026-11-24T02:00:00Z"), "{message}");
}

/// What earlier runs wrote down is no backup: without it, the backups that stand tell, and somebody is told.
/// Whoever switched the policy on could not see what stands; then somebody switched it off, before its first night.
#[tokio::test(start_paused = true)]
async fn a_night_that_was_lost_before_anybody_had_looked_is_told() {
    let account = Account::new().with_journal();
    let list = json!({"operation": "zilliz.list_backups"});
    account.faults(json!([{"match": list, "fault": {"status": 503}}]));
    let report = account.back_up().await;
    assert_eq!(states(&report), "unknown unknown unknown");
    account.faults(json!([]));
    account.set_policy(CLUSTER, &json!({"enabled": false, "crossRegionCopies": []}));
    account.sleep(24).await;
    let report = account.back_up().await;
    let mut said = report.failures.shown.iter();
    assert!(
        said.any(|one| one.message.contains("2026-11-23T02:00:00Z")),
        "{report:#?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_written_down_and_can_not_be_read_is_told() {
    let account = Account::new().with_journal();
    account.back_up().await;
    account.sleep(24).await;
    let objects = account.wire.objects.as_ref().unwrap();
    let path = Path::from("journal/clusters/watch/prod.json");
    objects.put(&path, b"[]".to_vec().into()).await.unwrap();
    let report = account.back_up().await;
    assert_eq!(report.counts.protected, 3, "{report:#?}");
    let warned = report.warnings.shown.join("\n");
    assert!(warned.contains("watch/prod.json"), "{warned}");
    account.sleep(24).await;
    let report = account.back_up().await;
    assert_eq!(report.warnings.len(), 0, "{:?}", report.warnings);
}

/// A journal that fills up in the midst of a run.
#[tokio::test(start_paused = true)]
async fn what_could_not_be_written_down_fails_the_run() {
    let mut told = 0;
    for passing in 0..8 {
        let objects = Arc::new(InMemory::new());
        let full = FaultyStore::over(&objects, 1);
        full.next_writes(std::iter::repeat_n(Fate::Passes, passing));
        full.next_writes(std::iter::repeat_n(Fate::FailsBefore, 10_000));
        let mut account = Account::new();
        account.journal = Some(Journal::on(Arc::new(full), Path::from("journal")));
        let report = account.back_up().await;
        let path = Path::from("journal/watch/prod.json");
        let is_written = objects.get(&path).await.is_ok();
        let failures = format!("{:?}", report.failures);
        let is_told = failures.contains("looked after was not written down");
        let had_no_journal = report.failures.shown[0].error.starts_with("journal");
        assert!(
            is_written || is_told || had_no_journal,
            "{passing}: {failures}"
        );
        told += u64::from(is_told);
    }
    assert!(told > 0);
}

/// A run that had no time for a cluster forgets nothing of it.
#[tokio::test(start_paused = true)]
async fn a_cluster_for_which_time_ran_out_is_missed_all_the_same_when_it_disappears() {
    let document = PLAN.replace("[\"*\"]", "[\"*-prod\"]");
    let account = Account::with(&document).with_journal();
    account.add_cluster("in01-2", "users-prod", &json!({}));
    account.back_up().await;
    account.sleep(24).await;
    account.faults(json!([{"match": {"operation": "zilliz.describe_policy"}, "fault": {"latency_ms": 20_000}}]));
    let hurried = Duration::from_secs(10);
    let report = account.run_within(Request::default(), hurried).await;
    assert_eq!(failures(&report), "out_of_time out_of_time");
    account.faults(json!([]));
    account.add_cluster("in01-2", "users-renamed", &json!({}));
    account.sleep(23).await;
    assert_eq!(failures(&account.back_up().await), "cluster_gone");
}

/// The day after a plan was changed from one weekday to all of them, nothing is lost that nobody had asked for.
#[tokio::test(start_paused = true)]
async fn a_schedule_that_was_changed_is_asked_for_from_then_on() {
    let weekly = PLAN.replace("start = ", "weekdays = [\"sat\"]\nstart = ");
    let mut account = Account::with(&weekly).with_journal();
    every_morning(&account).await;
    account.sleep(24).await;
    account.back_up().await;
    account.plans = plans(&PLAN.replace("start = ", "grace_hours = 20\nstart = "));
    for day in 0..3 {
        let report = account.back_up().await;
        let said = states(&report);
        assert_eq!(
            said, "protected protected protected",
            "{day} {:?}",
            report.failures
        );
        account.sleep(24).await;
    }
}

/// A cluster that a glob selects no more takes its protection with it.
#[tokio::test(start_paused = true)]
async fn a_cluster_that_disappears_is_told_as_long_as_backups_of_it_stand() {
    let document = PLAN.replace("[\"*\"]", "[\"*-prod\"]");
    let mut account = Account::with(&document).with_journal();
    account.add_cluster("in01-2", "users-prod", &json!({}));
    account.back_up().await;
    account.sleep(24).await;
    assert_eq!(account.back_up().await.outcome, Outcome::Succeeded);
    account.add_cluster("in01-2", "users-renamed", &json!({}));
    for _ in 0..7 {
        account.sleep(23).await;
        let report = account.back_up().await;
        assert_eq!(failures(&report), "cluster_gone", "{:?}", report.failures);
        let gone = &report.failures.shown[0];
        assert_eq!(gone.source.as_deref(), Some("in01-2"));
        assert!(gone.message.contains("users-prod"), "{}", gone.message);
    }
    account.sleep(24).await;
    let report = account.back_up().await;
    assert_eq!(report.outcome, Outcome::Succeeded);
    assert!(
        report.warnings.shown[0].contains("users-prod"),
        "{:?}",
        report.warnings
    );
    // Chosen otherwise on purpose, it is told once more, and forgotten.
    account.plans = plans(&document.replace("*-prod", "orders-*"));
    account.sleep(24).await;
    assert_eq!(account.back_up().await.warnings.len(), 1);
    account.sleep(24).await;
    assert_eq!(account.back_up().await.warnings.len(), 0);
}

/// Dropping a cluster takes its automatic backups along, and what is out of the key's scope shows none.
#[tokio::test(start_paused = true)]
async fn a_cluster_that_is_gone_with_all_its_backups_is_told_for_a_week() {
    for is_dropped in [true, false] {
        let account = Account::new().with_journal();
        account.add_cluster("in01-2", "users-prod", &json!({}));
        account.back_up().await;
        account.sleep(24).await;
        assert_eq!(account.back_up().await.outcome, Outcome::Succeeded);
        if is_dropped {
            let path = "/zilliz/v2/clusters/in01-2/drop";
            let _ = account.wire.call(Method::Delete, path, "", KEY, Vec::new());
        } else {
            let key = json!({"key": KEY, "role": "project_admin", "projects": [PROJECT], "clusters": [CLUSTER]});
            account.seed("keys", &json!([key]));
        }
        for night in 0..7 {
            account.sleep(23).await;
            let report = account.back_up().await;
            assert_eq!(failures(&report), "cluster_gone", "{is_dropped} {night}");
            let gone = &report.failures.shown[0];
            assert!(gone.message.contains("users-prod"), "{}", gone.message);
        }
        account.sleep(24).await;
        let report = account.back_up().await;
        assert_eq!(report.outcome, Outcome::Succeeded, "{:?}", report.failures);
        let warned = report.warnings.shown.join("\n");
        assert!(warned.contains("it is forgotten"), "{warned}");
        account.sleep(24).await;
        assert_eq!(account.back_up().await.warnings.len(), 0);
    }
}

/// With its last backup nothing is left to bring back, so it is told once more, and forgotten.
#[tokio::test(start_paused = true)]
async fn a_cluster_that_disappeared_is_forgotten_with_its_last_backup() {
    let document = PLAN.replace("[\"*\"]", "[\"*-prod\"]");
    let account = Account::with(&document).with_journal();
    account.add_cluster("in01-2", "users-prod", &json!({}));
    account.back_up().await;
    account.sleep(24).await;
    account.add_cluster("in01-2", "users-renamed", &json!({}));
    let off = json!({"enabled": false, "crossRegionCopies": []});
    account.set_policy("in01-2", &off);
    account.sleep(32 * 24).await;
    let report = account.back_up().await;
    let warned = &report.warnings.shown;
    assert!(
        warned.len() == 1
            && warned[0].contains("users-prod")
            && warned[0].contains("it is forgotten"),
        "{warned:?}"
    );
    account.sleep(24).await;
    let report = account.back_up().await;
    assert_eq!(
        (report.outcome, report.warnings.len()),
        (Outcome::Succeeded, 0),
        "{report:#?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_backup_that_vanishes_between_list_and_describe_counts_for_nothing() {
    let account = Account::new();
    account.back_up().await;
    account.sleep(1).await;
    account.faults(
        json!([{"match": {"operation": "zilliz.describe_backup"}, "fault": {"vanish": true}}]),
    );
    let report = account.back_up().await;
    assert_eq!(states(&report), "missing missing missing");
    assert_eq!(report.warnings.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn one_cluster_in_trouble_stops_no_other() {
    let account = Account::new();
    for (id, name, more) in [
        ("in03-1", "free", json!({"deployment": "Free"})),
        ("in01-2", "standard", json!({"plan": "Standard"})),
        ("in01-3", "good", json!({})),
    ] {
        account.add_cluster(id, name, &more);
    }
    account.faults(json!([{"match": {"operation": "zilliz.describe_policy", "namespace_prefix": CLUSTER}, "fault": {"status": 500}}]));
    let report = account.back_up().await;
    assert_eq!(
        (
            report.outcome,
            report.counts.clusters,
            report.counts.policies_set
        ),
        (Outcome::Failed, 4, 1)
    );
    let of = |cluster: &str| {
        let mine = report
            .failures
            .shown
            .iter()
            .filter(|failure| failure.source.as_deref() == Some(cluster));
        mine.map(|failure| failure.error)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(of(CLUSTER), "unavailable missing missing missing");
    assert_eq!(of("in03-1"), "not_dedicated missing missing missing");
    assert_eq!(of("in01-2"), "plan missing missing missing");
    assert_eq!(of("in01-3"), "in_making in_making in_making");
}

#[tokio::test(start_paused = true)]
async fn a_backup_by_hand_of_somebody_else_hides_nothing() {
    let account = Account::new();
    let path = format!("/zilliz/v2/clusters/{CLUSTER}/backups/create");
    let body = json!({"backupType": "CLUSTER", "crossRegionCopies": [{"regionId": NEAR}]});
    let _ = account.wire.call(
        Method::Post,
        &path,
        "",
        "k",
        serde_json::to_vec(&body).unwrap(),
    );
    account.sleep(1).await;
    account.faults(json!([{"match": {"operation": "zilliz.automatic_backup"}, "fault": {"fail_operation": true}}]));
    account.back_up().await;
    account.sleep(8).await;
    let report = account.back_up().await;
    assert_eq!(states(&report), "missing missing missing");
    let points: Vec<bool> = report
        .regions
        .shown
        .iter()
        .map(|line| line.recovery_point.is_some())
        .collect();
    assert_eq!(points, [true, true, false]);
}

/// What the service answers while no backup is listed yet.
pub(super) fn unlisted() -> Value {
    let data = json!({"count": 0, "currentPage": 1, "pageSize": 100, "backups": []});
    let body = json!({"code": 0, "data": data}).to_string();
    json!([{"match": {"operation": "zilliz.list_backups"}, "fault": {"status": 200, "body": body}}])
}

/// The first backup needs not be in the list yet when the next tick comes.
#[tokio::test(start_paused = true)]
async fn a_first_backup_that_is_not_listed_yet_is_awaited_by_ticks_too() {
    let account = Account::new().with_journal();
    account.faults(unlisted());
    let awaited = "in_making in_making in_making";
    assert_eq!(states(&account.back_up().await), awaited);
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_mins(1)).await;
        let report = account.resume().await;
        assert_eq!(states(&report), awaited);
        assert!(report.stays_open, "{report:#?}");
    }
    account.sleep(6).await;
    let report = account.resume().await;
    assert_eq!(failures(&report), "missing missing missing");
    assert!(!report.stays_open);
}
