//! A region without a recent backup is a failure, and says why.

use lifeboat::report::Outcome;
use serde_json::json;

use super::{Account, CLUSTER, FAR, NEAR, failures, states};

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
    account.sleep(31).await;
    assert_eq!(
        states(&account.back_up().await),
        "protected protected protected"
    );
    account.sleep(1).await;
    let report = account.back_up().await;
    assert_eq!(states(&report), "stale stale stale");
    assert_eq!(
        (report.outcome, report.counts.unprotected),
        (Outcome::Failed, 3)
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
        lifeboat_emulator::Method::Post,
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
