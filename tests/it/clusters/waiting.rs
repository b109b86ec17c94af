//! Runs that stay open, because a tier takes its time: what the others came to is told once and again at the end, nothing
//! is given up because one look failed, and a run's record says what its report says.

use std::time::Duration;

use futures_util::StreamExt;
use lifeboat::event::{Action, Request};
use lifeboat::journal::RunRecord;
use lifeboat::report::Outcome;
use lifeboat::zilliz::ClusterReport;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde_json::{Value, json};

use super::budgets::limit;
use super::tiers::{by_somebody_else, night, tiered, with_tiers};
use super::{Account, CLUSTER, FAR, GB, failures, plans};

/// What the journal's history keeps of the run of a report.
async fn filed(account: &Account, report: &ClusterReport) -> RunRecord {
    let journal = account.journal.as_ref().unwrap();
    let mut records = journal.history("prod", 20).await.unwrap().into_iter();
    let of_it = |record: &RunRecord| record.key.slot.instant() == report.slot;
    records.find(of_it).unwrap()
}

/// The event of a run, sent once more.
async fn again(account: &Account, report: &ClusterReport) -> ClusterReport {
    let event = Request {
        scheduled_time: Some(report.slot),
        ..Request::default()
    };
    account.run(event).await
}

fn tick(of: &ClusterReport) -> Request {
    Request {
        action: Action::Resume,
        scheduled_time: Some(of.slot),
        ..Request::default()
    }
}

/// What the ticks say until the run of a report is over.
async fn ticks(account: &Account, of: &ClusterReport) -> Vec<ClusterReport> {
    let mut told = Vec::new();
    for _ in 0..2_000 {
        tokio::time::sleep(Duration::from_mins(5)).await;
        told.push(account.run(tick(of)).await);
        if told.last().is_some_and(|last| !last.stays_open) {
            return told;
        }
    }
    panic!("it never ended: {:#?}", told.last())
}

/// The tier of another cluster takes an hour meanwhile; then the run ends.
#[tokio::test(start_paused = true)]
async fn who_waits_in_vain_is_told_twice_and_holds_nobody_up() {
    let account = with_tiers("daily = 2");
    account.add_cluster("in01-second", "users-prod", &json!({}));
    night(&account).await;
    account.sleep(24).await;
    account.faults(json!([{"match": {"operation": "zilliz.create_backup"}, "fault": {"stall_operation": true}}]));
    by_somebody_else(&account).unwrap();
    account.faults(json!([]));
    account.wire.emulator.update_settings(|settings| {
        settings.zilliz.copy_bytes_per_second = 2_000_000;
    });
    account.sleep(73).await;
    let mut told = Vec::new();
    let mut report = account.back_up().await;
    while report.stays_open {
        told.push(failures(&report));
        assert!(told.len() < 100, "{report:#?}");
        tokio::time::sleep(Duration::from_mins(5)).await;
        report = account.resume().await;
    }
    assert!(told.len() > 5, "{told:?}");
    let stuck = told.iter().filter(|told| told.contains("stuck"));
    assert_eq!(stuck.count(), 1, "{told:?}");
    assert_eq!(failures(&report), "failed_before", "{report:#?}");
    let said = &report.failures.shown[0].message;
    assert!(said.contains("found `stuck`"), "{said}");
    // Whoever died before it told is no reason for silence.
    account.sleep(24).await;
    let killed = tokio::time::timeout(Duration::from_millis(300), account.back_up()).await;
    assert!(killed.is_err());
    tokio::time::sleep(Duration::from_mins(5)).await;
    let mut report = account.resume().await;
    let mut told = vec![failures(&report)];
    while report.stays_open {
        tokio::time::sleep(Duration::from_mins(5)).await;
        report = account.resume().await;
        told.push(failures(&report));
    }
    assert!(told.iter().any(|told| told.contains("stuck")), "{told:?}");
}

/// The next request for a tier is refused, because somebody else's has begun while it was on its way.
fn lost_to_somebody(account: &Account) -> impl Future<Output = Option<String>> {
    let refusal = json!({"status": 400, "latency_ms": 1_000, "body": "{\"code\":90199,\"message\":\"one at a time\"}"});
    account.faults(
        json!([{"match": {"operation": "zilliz.create_backup"}, "fault": refusal, "times": 1}]),
    );
    let before = account.calls("zilliz.create_backup");
    async move {
        for _ in 0..600_000 {
            if account.calls("zilliz.create_backup") > before {
                return by_somebody_else(account);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        None
    }
}

/// Refused because of somebody else's, which takes longer than the invocation waits.
#[tokio::test(start_paused = true)]
async fn a_tier_whose_request_lost_a_race_is_made_when_the_others_is_done() {
    let account = with_tiers("daily = 2");
    night(&account).await;
    account.add_cluster(
        CLUSTER,
        "orders-prod",
        &json!({"bytes": 2_100_000_000_000_u64}),
    );
    account.sleep(24).await;
    let (theirs, report) = tokio::join!(lost_to_somebody(&account), account.back_up());
    assert!(theirs.is_some(), "{report:#?}");
    assert!(report.stays_open, "{report:#?}");
    let told = failures(&report);
    assert!(told.contains("being_made"), "{told}");
    let mut last = report;
    for _ in 0..100 {
        if !last.stays_open {
            break;
        }
        tokio::time::sleep(Duration::from_mins(5)).await;
        last = account.resume().await;
    }
    assert_eq!(last.outcome, Outcome::Succeeded, "{last:#?}");
    assert_eq!(last.tiers.owned, 6, "{last:#?}");
    assert_eq!(account.calls("zilliz.create_backup"), 4);
}

/// A second night in which a tier waits for somebody else's backup, which takes hours: it was seen in the list, or was faster
/// by a moment. With how many requests there were until then.
async fn waiting(was_faster: bool) -> (Account, ClusterReport, u64) {
    let account = with_tiers("daily = 2");
    night(&account).await;
    account.add_cluster(CLUSTER, "orders-prod", &json!({"bytes": 2_000 * GB}));
    account.sleep(24).await;
    let report = if was_faster {
        let (theirs, report) = tokio::join!(lost_to_somebody(&account), account.back_up());
        assert!(theirs.is_some());
        report
    } else {
        by_somebody_else(&account).unwrap();
        account.back_up().await
    };
    assert!(report.stays_open, "{report:#?}");
    let requests = account.calls("zilliz.create_backup");
    assert_eq!(requests, if was_faster { 3 } else { 2 });
    (account, report, requests)
}

/// One that waits for its turn is not given up for its night because one look failed.
#[tokio::test(start_paused = true)]
async fn a_tier_that_waits_outlives_a_look_that_failed() {
    for (was_faster, look) in [
        (true, "zilliz.list_backups"),
        (false, "zilliz.list_backups"),
        (true, "zilliz.list_clusters"),
        (false, "zilliz.list_clusters"),
    ] {
        let (account, report, requests) = waiting(was_faster).await;
        account.faults(json!([{"match": {"operation": look}, "fault": {"status": 503}}]));
        tokio::time::sleep(Duration::from_mins(5)).await;
        let failed = account.resume().await;
        assert!(failed.stays_open, "{look}: {failed:#?}");
        let mut said = failed.failures.shown.iter();
        assert!(said.any(|one| one.message.contains("503")), "{failed:#?}");
        account.faults(json!([]));
        let last = ticks(&account, &report).await.pop().unwrap();
        assert_eq!(last.tiers.owned, 6, "{look}: {last:#?}");
        assert_eq!(account.calls("zilliz.create_backup"), requests + 1);
    }
}

/// Nobody could say why it was refused.
#[tokio::test(start_paused = true)]
async fn a_refusal_whose_cause_can_not_be_seen_gives_no_tier_up() {
    let account = with_tiers("daily = 2");
    night(&account).await;
    account.sleep(24).await;
    let race = lost_to_somebody(&account);
    let then_nothing_is_seen = async {
        let theirs = race.await;
        account.faults(
            json!([{"match": {"operation": "zilliz.list_backups"}, "fault": {"status": 503}}]),
        );
        theirs
    };
    let (theirs, report) = tokio::join!(then_nothing_is_seen, account.back_up());
    assert!(theirs.is_some() && report.stays_open, "{report:#?}");
    account.faults(json!([]));
    let last = ticks(&account, &report).await.pop().unwrap();
    assert_eq!(last.tiers.owned, 6, "{last:#?}");
}

/// More time is no remedy for a role that lacks a right, and nobody is woken every five minutes for it.
#[tokio::test(start_paused = true)]
async fn a_tier_that_waits_is_given_up_where_nobody_may_look() {
    let (account, ..) = waiting(true).await;
    let forbidden = json!({"status": 200, "body": "{\"code\":96015,\"message\":\"no\"}"});
    account.faults(json!([{"match": {"operation": "zilliz.list_backups"}, "fault": forbidden}]));
    tokio::time::sleep(Duration::from_mins(5)).await;
    let report = account.resume().await;
    assert!(!report.stays_open, "{report:#?}");
    assert!(failures(&report).contains("forbidden"), "{report:#?}");
}

/// What is made after an outage is of its own night, and dates nothing back: nothing older goes for it.
#[tokio::test(start_paused = true)]
async fn after_an_outage_no_tier_is_made_for_a_night_that_is_over() {
    for look in ["zilliz.list_backups", "zilliz.list_clusters"] {
        let account = with_tiers("daily = 3");
        night(&account).await;
        account.faults(json!([{"match": {"operation": look}, "fault": {"status": 503}}]));
        let mut nights = Vec::new();
        for _ in 0..3 {
            account.sleep(24).await;
            nights.push(account.back_up().await);
        }
        let today = nights.pop().unwrap();
        account.faults(json!([]));
        for report in &nights {
            let told = ticks(&account, report).await;
            let last = told.last().unwrap();
            let mut said = last.failures.shown.iter();
            let is_told =
                said.any(|one| one.message.contains("for a day it could not be asked for"));
            assert!(is_told, "{look}: {last:#?}");
            assert_eq!(told.len(), 1, "{look}");
        }
        assert_eq!(account.calls("zilliz.create_backup"), 1, "{look}");
        ticks(&account, &today).await;
        assert_eq!(account.calls("zilliz.create_backup"), 2, "{look}");
        let journal = account.journal.as_ref().unwrap();
        let tiers = journal.tiers("prod").await.unwrap();
        assert_eq!(tiers.last().unwrap().slot.instant(), today.slot);
    }
}

/// A night is over, and the next one stays open, because the tier of a second cluster of so many bytes takes its time.
async fn older_night(bytes: u64) -> (Account, ClusterReport) {
    let account = with_tiers("daily = 3");
    account.add_cluster("in01-second", "users-prod", &json!({}));
    night(&account).await;
    account.sleep(24).await;
    let grown = json!({"bytes": bytes});
    account.add_cluster("in01-second", "users-prod", &grown);
    let older = account.back_up().await;
    assert!(older.stays_open, "{older:#?}");
    (account, older)
}

/// Of a cluster whose present night has none nothing is deleted, though its older ones are due by the rules.
#[tokio::test(start_paused = true)]
async fn where_a_tier_was_given_up_nothing_is_deleted() {
    let mut account = with_tiers("daily = 3");
    for _ in 0..3 {
        night(&account).await;
        account.sleep(24).await;
    }
    account.plans = plans(&tiered("daily = 1"));
    let theirs = json!({"bytes": 20_000 * GB});
    account.add_cluster(CLUSTER, "orders-prod", &theirs);
    by_somebody_else(&account).unwrap();
    assert!(account.back_up().await.stays_open);
    account.sleep(25).await;
    let report = account.resume().await;
    assert!(failures(&report).contains("no_tier"), "{report:#?}");
    assert_eq!((report.tiers.owned, report.tiers.deleted), (9, 0));
    assert_eq!(account.calls("zilliz.delete_backup"), 0);
}

/// An older night's run that has ended but for that deletes nothing, of any cluster.
#[tokio::test(start_paused = true)]
async fn beside_a_later_nights_tier_that_waits_nothing_is_deleted() {
    let (mut account, older) = older_night(9_000 * GB).await;
    account.plans = plans(&tiered("daily = 1"));
    account.sleep(24).await;
    let theirs = json!({"bytes": 20_000 * GB});
    account.add_cluster(CLUSTER, "orders-prod", &theirs);
    let (theirs, newer) = tokio::join!(lost_to_somebody(&account), account.back_up());
    assert!(theirs.is_some() && newer.stays_open, "{newer:#?}");
    let mut last = older;
    while last.stays_open {
        account.sleep(1).await;
        last = account.run(tick(&last)).await;
    }
    let mut said = last.warnings.shown.iter();
    assert!(
        said.any(|one| one.contains("still being made")),
        "{last:#?}"
    );
    assert_eq!(account.calls("zilliz.delete_backup"), 0);
}

/// A tick of an older night that sees the end of a later night's tier leaves that night its end.
#[tokio::test(start_paused = true)]
async fn an_older_night_lets_no_later_one_ask_twice() {
    let (account, older) = older_night(20_000 * GB).await;
    account.sleep(24).await;
    account.add_cluster(CLUSTER, "orders-prod", &json!({"bytes": 2_000 * GB}));
    account.faults(json!([{"match": {"operation": "zilliz.create_backup"}, "fault": {"fail_operation": true}}]));
    let newer = account.back_up().await;
    assert!(newer.stays_open, "{newer:#?}");
    let requests = account.calls("zilliz.create_backup");
    for _ in 0..20 {
        for run in [&older, &newer] {
            account.run(tick(run)).await;
        }
        account.sleep(1).await;
    }
    assert_eq!(account.calls("zilliz.create_backup"), requests);
}

/// A tier that takes days is followed by its own run, whatever one look could not see.
#[tokio::test(start_paused = true)]
async fn a_tier_in_making_outlives_a_look_that_failed() {
    let account = with_tiers("monthly = 2");
    night(&account).await;
    account.sleep(20 * 24).await;
    account.add_cluster(CLUSTER, "orders-prod", &json!({"bytes": 20_000 * GB}));
    let first = account.back_up().await;
    assert!(first.stays_open, "{first:#?}");
    account.sleep(30).await;
    account.faults(
        json!([{"match": {"operation": "zilliz.list_clusters"}, "fault": {"status": 503}}]),
    );
    assert!(account.resume().await.stays_open);
    account.faults(json!([]));
    let last = ticks(&account, &first).await.pop().unwrap();
    assert_eq!(last.tiers.owned, 6, "{last:#?}");
}

/// A night that is still open, because another cluster's tier takes days, leaves the next night's tier its turn.
#[tokio::test(start_paused = true)]
async fn an_older_night_gives_no_later_ones_tier_up() {
    let (account, older) = older_night(20_000 * GB).await;
    account.sleep(24).await;
    account.add_cluster(CLUSTER, "orders-prod", &json!({"bytes": 2_000 * GB}));
    let (theirs, newer) = tokio::join!(lost_to_somebody(&account), account.back_up());
    assert!(theirs.is_some() && newer.stays_open, "{newer:#?}");
    account.faults(json!([]));
    for _ in 0..20 {
        for run in [&older, &newer] {
            let report = account.run(tick(run)).await;
            assert!(!failures(&report).contains("no_"), "{report:#?}");
        }
        account.sleep(1).await;
    }
    let journal = account.journal.as_ref().unwrap();
    let tiers = journal.tiers("prod").await.unwrap();
    let ours = tiers.iter().filter(|tier| tier.cluster == CLUSTER);
    let ours: Vec<_> = ours
        .map(|tier| (tier.slot.instant(), tier.owned().is_some()))
        .collect();
    assert_eq!(ours.len(), 3, "{tiers:#?}");
    assert_eq!(ours.last(), Some(&(newer.slot, true)), "{tiers:#?}");
}

#[tokio::test(start_paused = true)]
async fn what_no_money_is_left_for_is_told_once_beside_what_takes_hours() {
    let mut account = with_tiers("daily = 2");
    account.add_cluster("in01-second", "users-prod", &json!({}));
    night(&account).await;
    account.sleep(35).await;
    let grown = json!({"bytes": 2_000 * GB});
    account.add_cluster("in01-second", "users-prod", &grown);
    assert!(account.back_up().await.stays_open);
    account.sleep(2).await;
    limit(&mut account, None, Some(5));
    let first = account.back_up().await;
    assert!(first.stays_open, "{first:#?}");
    let of_tier = |report: &ClusterReport| {
        let mut failures = report.failures.shown.iter();
        failures.any(|one| one.error == "over_budget" && one.source.as_deref() == Some(CLUSTER))
    };
    assert!(of_tier(&first), "{first:#?}");
    let mut told = ticks(&account, &first).await;
    let last = told.pop().unwrap();
    assert!(told.len() > 5 && !told.iter().any(of_tier), "{told:#?}");
    let mut said = last.failures.shown.iter();
    assert!(
        said.any(|one| one.message.contains("found `over_budget`")),
        "{last:#?}"
    );
}

/// Its own event comes again, as Lambda repeats whatever failed.
#[tokio::test(start_paused = true)]
async fn a_copy_that_is_missing_is_told_however_often_the_event_comes() {
    let account = with_tiers("daily = 2");
    account.faults(json!([{"match": {"operation": "zilliz.copy", "region": FAR}, "fault": {"fail_operation": true}}]));
    let first = night(&account).await;
    account.faults(json!([]));
    assert_eq!(first.outcome, Outcome::Failed, "{first:#?}");
    for _ in 0..2 {
        let report = again(&account, &first).await;
        let mut failures = report.failures.shown.iter();
        let told = failures.find(|one| one.error == "no_tier");
        let told = told.and_then(|told| told.target.as_deref());
        assert_eq!(told, Some(FAR), "{report:#?}");
        assert_eq!(filed(&account, &report).await.outcome, "failed");
    }
    assert_eq!(account.calls("zilliz.create_backup"), 1);
    account.sleep(24).await;
    let next = night(&account).await;
    assert_eq!(next.outcome, Outcome::Succeeded);
    // It is no later night's.
    account.faults(json!([{"match": {"operation": "zilliz.copy", "region": FAR}, "fault": {"fail_operation": true}}]));
    account.sleep(24).await;
    assert!(failures(&night(&account).await).contains("copy_"));
    account.faults(json!([]));
    let report = again(&account, &next).await;
    assert!(!failures(&report).contains("no_tier"), "{report:#?}");
}

/// What stands in a region and may be the tier's copy is warned of, and is no failure.
#[tokio::test(start_paused = true)]
async fn a_copy_that_is_not_surely_the_tiers_is_no_missing_one() {
    let account = with_tiers("daily = 2");
    let first = night(&account).await;
    let objects = account.wire.objects.clone().unwrap();
    let tiers = Path::from("journal/clusters/tiers/prod");
    let object = objects.list(Some(&tiers)).next().await.unwrap().unwrap();
    let found = objects.get(&object.location).await.unwrap();
    let mut tier: Value = serde_json::from_slice(&found.bytes().await.unwrap()).unwrap();
    tier["backups"].as_object_mut().unwrap().remove(FAR);
    tier["missing"] = json!({FAR: "what was copied there is not surely this tier's copy"});
    tier["unsure"] = json!([FAR]);
    let tier = tier.to_string();
    objects.put(&object.location, tier.into()).await.unwrap();
    let report = again(&account, &first).await;
    assert_eq!(report.outcome, Outcome::Succeeded, "{report:#?}");
    assert_eq!(filed(&account, &report).await.outcome, "succeeded");
}

/// A failure that its own event, coming again, finds no more is no failure of the run's record either.
#[tokio::test(start_paused = true)]
async fn a_run_that_was_judged_anew_is_filed_as_it_is_then() {
    for by_ticks in [true, false] {
        is_filed_as_it_is_then(by_ticks).await;
    }
}

async fn is_filed_as_it_is_then(by_ticks: bool) {
    let account = with_tiers("daily = 2");
    account.add_cluster(CLUSTER, "orders-prod", &json!({"bytes": 2_000 * GB}));
    let refusal = json!({"status": 200, "body": "{\"code\":96015,\"message\":\"no\"}"});
    account.faults(json!([{"match": {"operation": "zilliz.set_policy"}, "fault": refusal}]));
    let first = account.back_up().await;
    assert!(first.stays_open, "{first:#?}");
    assert_eq!(first.outcome, Outcome::Failed, "{first:#?}");
    account.faults(json!([]));
    let mut last = again(&account, &first).await;
    while last.stays_open {
        account.sleep(1).await;
        last = if by_ticks {
            account.resume().await
        } else {
            again(&account, &first).await
        };
    }
    assert_eq!(last.outcome, Outcome::Succeeded, "{last:#?}");
    assert_eq!(filed(&account, &last).await.outcome, "succeeded");
}
