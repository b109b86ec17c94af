//! What comes back, and where: whole clusters in the region of their backup, collections into a cluster that exists.

use jiff::Timestamp;
use lifeboat::report::Outcome;
use lifeboat_emulator::Method;
use serde_json::{Value, json};

use super::{Desk, USERS, anew, failures, is_kept, states};
use crate::clusters::{CLUSTER, FAR, HOME};

#[tokio::test(start_paused = true)]
async fn a_backup_becomes_a_cluster_and_its_password_a_secret() {
    for journal in [false, true] {
        let mut desk = Desk::new().await;
        if journal {
            desk = desk.with_journal();
        }
        let report = desk.restore(anew()).await;
        assert_eq!(
            (report.outcome, states(&report).as_str()),
            (Outcome::Succeeded, "restored"),
            "{report:#?}"
        );
        desk.one_is_back(HOME);
        assert_eq!(
            (is_kept(&report), report.stays_open, report.held),
            (true, false, journal)
        );
        assert_eq!(
            Some(&report.jobs.shown[0].target),
            desk.safe.cluster().as_ref()
        );
        assert!(report.one_time.is_none());
        let missing = report.not_in_backup.join("\n");
        for word in [
            "TTL",
            "db_admin",
            "scaling",
            "more than 2 shards come back with 2 (up to 4 before)",
        ] {
            assert!(missing.contains(word), "{word}: {missing}");
        }
    }
}

/// The worst day: the region's cluster is gone, and what is left lies elsewhere.
#[tokio::test(start_paused = true)]
async fn a_copy_comes_back_in_its_own_region_when_its_cluster_is_gone() {
    let desk = Desk::new().await;
    desk.service(
        Method::Delete,
        &format!("clusters/{CLUSTER}/drop"),
        &Value::Null,
    );
    let report = desk.restore(anew()).await;
    assert_eq!(
        failures(&report),
        "unknown_region",
        "nobody says which region is meant"
    );
    let mut event = anew();
    event["from"] = json!(FAR);
    event["collection_status"] = json!("release");
    let report = desk.restore(event).await;
    assert_eq!(report.outcome, Outcome::Succeeded, "{report:#?}");
    desk.one_is_back(FAR);
    assert_eq!(
        desk.collections(&desk.safe.cluster().unwrap()),
        "/orders archive/old"
    );
    assert_eq!(desk.account.calls("zilliz.restore_cluster"), 1);
}

#[tokio::test(start_paused = true)]
async fn collections_come_back_one_after_the_other_under_other_names() {
    let desk = Desk::new().await.with_journal();
    desk.add_users();
    let event = json!({
        "cluster": "orders-prod", "into": "users-prod", "collection_status": "loaded",
        "collections": ["orders=back.orders", "archive.old"]
    });
    let report = desk.restore(event.clone()).await;
    assert_eq!(
        (report.outcome, states(&report).as_str()),
        (Outcome::Succeeded, "restored restored"),
        "{report:#?}"
    );
    assert_eq!(desk.collections(USERS), "archive/old* back/orders*");
    let told: Vec<_> = report
        .jobs
        .shown
        .iter()
        .map(|line| (line.source.as_str(), line.target.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("orders", "in01-users/back.orders"),
            ("archive.old", "in01-users/archive.old")
        ]
    );
    // Never two at a time.
    let mut jobs: Vec<(Timestamp, Timestamp)> = desk
        .account
        .known("jobs")
        .iter()
        .filter(|job| job["work"].get("restore_collections").is_some())
        .map(|job| {
            (
                job["created"].as_str().unwrap().parse().unwrap(),
                job["ended"].as_str().unwrap().parse().unwrap(),
            )
        })
        .collect();
    jobs.sort();
    assert!(jobs.len() == 2 && jobs[0].1 <= jobs[1].0, "{jobs:?}");
    // The same event once more does nothing more.
    let again = desk.restore(event).await;
    assert_eq!(
        (again.outcome, states(&again).as_str()),
        (Outcome::Succeeded, "restored restored")
    );
    assert_eq!(desk.account.calls("zilliz.restore_collection"), 2);
    assert!(!report.not_in_backup.join(" ").contains("db_admin"));
}

#[tokio::test(start_paused = true)]
async fn all_collections_come_back_together_and_unloaded() {
    let desk = Desk::new().await;
    desk.add_users();
    desk.back_up("COLLECTION", &["orders"], &[]).await;
    let report = desk
        .restore(json!({"cluster": "orders-prod", "into": USERS}))
        .await;
    assert_eq!(
        (report.outcome, states(&report).as_str()),
        (Outcome::Succeeded, "restored"),
        "{report:#?}"
    );
    assert_eq!(desk.collections(USERS), "/orders archive/old");
    assert_eq!(desk.account.calls("zilliz.restore_collection"), 1);
    // One that only a backup of a part has comes from that.
    let report = desk
        .restore(
            json!({"cluster": "orders-prod", "into": USERS, "collections": ["orders=orders2"]}),
        )
        .await;
    assert_eq!(report.chosen.unwrap().backup.kind, "COLLECTION");
}
