//! Which backup is taken, and everything that is in the way of it, told before anything is begun.

use std::time::Duration;

use jiff::SignedDuration;
use lifeboat::report::Outcome;
use lifeboat::restore::How;
use lifeboat::zilliz::restore::notes::PasswordFate;
use lifeboat_emulator::Method;
use serde_json::{Value, json};

use super::{Desk, SECRET, anew, asked, failures, states};
use crate::clusters::{CLUSTER, FAR, HOME, MINUTES, NEAR, PROJECT};

#[tokio::test(start_paused = true)]
async fn the_newest_backup_at_or_before_a_time_is_taken() {
    let desk = Desk::new().await;
    let between = desk.account.wire.now();
    tokio::time::sleep(Duration::from_hours(1)).await;
    let newest = desk.back_up("CLUSTER", &[], &[]).await;
    // A part is never taken for the whole.
    desk.back_up("COLLECTION", &["orders"], &[]).await;
    let of = async |event: Value| {
        let report = desk
            .restore_within(&asked(event), How::DryRun, MINUTES)
            .await;
        let failed = failures(&report);
        (report.chosen.map(|chosen| chosen.backup), failed)
    };
    assert_eq!(of(anew()).await.0.unwrap().id, newest);
    let mut event = anew();
    event["at"] = json!(between.to_string());
    let (older, _) = of(event.clone()).await;
    assert!(older.unwrap().created_at.unwrap() < between);
    event["at"] = json!((between - SignedDuration::from_hours(24)).to_string());
    assert_eq!(of(event.clone()).await, (None, "no_backup".to_owned()));
    let report = desk.restore(event).await;
    assert!(
        report.failures.shown[0]
            .message
            .contains("the oldest is from 2026-11-22T12:00:00Z"),
        "{report:#?}"
    );
    let mut event = anew();
    event["from"] = json!("gcp-us-central1");
    let report = desk.restore(event).await;
    assert!(
        report.failures.shown[0]
            .message
            .contains(&format!("{FAR}, {NEAR}, {HOME}"))
            || report.failures.shown[0]
                .message
                .contains(&format!("{FAR}, {NEAR}")),
        "{report:#?}"
    );
    assert_eq!(desk.account.calls("zilliz.restore_cluster"), 0);
}

/// A region is a remedy only where a backup lies that has what is asked for.
#[tokio::test(start_paused = true)]
async fn what_no_backup_has_sends_nobody_to_another_region() {
    let desk = Desk::new().await;
    desk.add_users();
    desk.back_up("COLLECTION", &["orders"], &[NEAR]).await;
    let of = async |collections: &[&str], from: Option<&str>| {
        let mut event =
            json!({"cluster": "orders-prod", "into": "users-prod", "collections": collections});
        if let Some(from) = from {
            event["from"] = json!(from);
        }
        let report = desk.restore(event).await;
        let failure = &report.failures.shown[0];
        (failure.error, failure.message.clone())
    };
    for from in [None, Some(NEAR), Some(FAR), Some("gcp-us-central1")] {
        let (word, message) = of(&["orders", "archive.nope"], from).await;
        assert_eq!(word, "no_collection", "{message}");
        assert!(
            message.contains("has `archive.nope`, in any region")
                && !message.contains("orders`")
                && !message.contains(FAR),
            "{message}"
        );
    }
    let (word, message) = of(&["orders"], Some("gcp-us-central1")).await;
    assert_eq!(word, "no_backup", "{message}");
    assert!(
        message.contains("say in `from` where one does"),
        "{message}"
    );
}

/// A collection that is younger than the last copy to some region.
#[tokio::test(start_paused = true)]
async fn only_regions_are_named_whose_backup_has_everything() {
    let desk = Desk::new().await;
    desk.add_users();
    let fresh = json!({"collections": [{"name": "fresh", "bytes": 1}]});
    desk.account.add_cluster(CLUSTER, "orders-prod", &fresh);
    desk.back_up("CLUSTER", &[], &[NEAR]).await;
    let event = json!({"cluster": "orders-prod", "into": "users-prod", "from": "gcp-us-central1", "collections": ["fresh"]});
    let report = desk.restore(event).await;
    let message = &report.failures.shown[0].message;
    let named = format!("where one does: {NEAR}, {HOME}");
    assert!(message.ends_with(&named), "{message}");
}

#[tokio::test(start_paused = true)]
async fn a_smaller_destination_is_told_of_its_shards_before_anything_is_begun() {
    let desk = Desk::new().await;
    let small = json!({"bytes": 0, "cu_size": 1});
    desk.account.add_cluster("in01-small", "small", &small);
    let same = json!({"bytes": 0, "cu_size": 8});
    desk.account.add_cluster("in01-same", "same", &same);
    for (into, says) in [("small", true), ("same", false)] {
        let event = json!({"cluster": "orders-prod", "into": into, "collections": ["orders"]});
        let report = desk
            .restore_within(&asked(event), How::DryRun, MINUTES)
            .await;
        let missing = report.not_in_backup.join("\n");
        assert_eq!(missing.contains("more than 2 shards"), says, "{missing}");
    }
}

#[tokio::test(start_paused = true)]
async fn everything_in_the_way_is_told_at_once_and_nothing_is_begun() {
    let desk = Desk::new().await.with_journal();
    let part = desk.back_up("COLLECTION", &["orders"], &[]).await;
    let whole = desk.account.known("backups");
    let whole = whole
        .iter()
        .find(|backup| backup["kind"] == "CLUSTER" && backup["original"].is_null())
        .unwrap();
    let whole = whole["id"].as_str().unwrap().to_owned();
    desk.add_users();
    desk.account
        .add_cluster("in01-far", "far-away", &json!({"region": FAR}));
    desk.account.add_cluster(
        "in05-less",
        "serverless",
        &json!({"deployment": "Serverless"}),
    );
    desk.account.seed(
        "projects",
        &json!([{"id": "proj-other", "name": "other", "regions": [FAR]}]),
    );
    for (event, words) in [
        (
            json!({"backup": part, "new_cluster": "users_prod", "cu_size": 1025}),
            "wrong_type bad_name cu_size no_password_place",
        ),
        (
            json!({"backup": "backup0_none", "new_cluster": "users-prod", "project": PROJECT, "version": "original"}),
            "no_backup cu_size name_taken no_password_place",
        ),
        (
            json!({"backup": whole, "new_cluster": "users-prod", "cu_size": 0, "version": "original"}),
            "cu_size name_taken version no_password_place",
        ),
        (
            json!({"backup": whole, "new_cluster": "x", "cu_size": 1, "project": "proj-other", "password_secret": SECRET}),
            "not_bound",
        ),
        (
            json!({"backup": whole, "new_cluster": "x", "cu_size": 1, "project": "proj-none", "password_secret": SECRET}),
            "no_project",
        ),
        (
            json!({"backup": whole, "into": "far-away", "collections": ["orders=a", "archive.old=a"]}),
            "twice other_region",
        ),
        (
            json!({"backup": whole, "into": "nobody", "collections": ["orders", "gone"]}),
            "no_collection not_found",
        ),
        (
            json!({"backup": part, "into": "serverless"}),
            "wrong_type not_dedicated",
        ),
        (
            json!({"cluster": "nobody", "into": "users-prod"}),
            "not_found",
        ),
        (json!({"into": "users-prod"}), "ambiguous"),
    ] {
        let report = desk.restore(event.clone()).await;
        assert_eq!(
            (failures(&report).as_str(), report.outcome),
            (words, Outcome::Failed),
            "{event} {report:#?}"
        );
        assert!(!desk.is_open().await);
    }
    assert_eq!(
        (
            desk.account.calls("zilliz.restore_cluster"),
            desk.account.calls("zilliz.restore_collection")
        ),
        (0, 0)
    );
    assert!(desk.safe.proven.borrow().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_backup_that_is_being_made_and_a_cluster_that_does_not_run_are_refused() {
    let desk = Desk::new().await;
    desk.account
        .wire
        .emulator
        .update_settings(|settings| settings.zilliz.queue_ms = 600_000);
    let body = json!({"backupType": "CLUSTER"});
    let made = desk.service(
        Method::Post,
        &format!("clusters/{CLUSTER}/backups/create"),
        &body,
    );
    let mut event = anew();
    event.as_object_mut().unwrap().remove("cluster");
    event["backup"] = made["backupId"].clone();
    assert_eq!(failures(&desk.restore(event).await), "not_available");
    // The newest that is there is an older one; while it becomes a cluster, that one can't receive anything.
    let report = desk
        .restore_within(&asked(anew()), How::Whole, Duration::from_mins(3))
        .await;
    assert_eq!(states(&report), "incomplete");
    let into = json!({"cluster": "orders-prod", "into": "orders-back"});
    assert_eq!(failures(&desk.restore(into).await), "not_running");
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_tells_all_of_it_and_begins_nothing() {
    let desk = Desk::new().await.with_journal();
    let report = desk
        .restore_within(&asked(anew()), How::DryRun, MINUTES)
        .await;
    assert_eq!(
        (report.outcome, states(&report).as_str(), report.dry_run),
        (Outcome::Succeeded, "planned", true)
    );
    assert_eq!(
        report.password_went,
        Some(PasswordFate::ForSecret {
            secret: SECRET.into()
        })
    );
    assert!(report.not_in_backup.len() > 3);
    assert!(desk.safe.proven.borrow().is_empty() && !desk.is_open().await);
    assert_eq!(desk.account.calls("zilliz.restore_cluster"), 0);
}

/// A copy has the data of its original, however much later it was made.
#[tokio::test(start_paused = true)]
async fn a_copy_is_as_old_as_its_original() {
    let desk = Desk::new().await;
    let of = async |event: &Value| {
        let asked = asked(event.clone());
        let report = desk.restore_within(&asked, How::DryRun, MINUTES).await;
        report.chosen.map(|chosen| chosen.backup)
    };
    let mut event = anew();
    let first = of(&event).await.unwrap();
    event["from"] = json!(FAR);
    event["at"] = json!(first.created_at.unwrap().to_string());
    let copy = of(&event).await.unwrap();
    assert_eq!(
        (copy.region.as_str(), copy.created_at),
        (FAR, first.created_at)
    );
    // A newer one whose copy is there sooner than that of an older one.
    let known = desk.account.known("backups");
    let made = known.iter().find(|backup| backup["region"] == FAR).unwrap();
    assert_ne!(
        made["created"].as_str().unwrap(),
        first.created_at.unwrap().to_string()
    );
}

/// The service may refuse it for another reason than that it is gone; its plain refusals can't be told apart.
#[tokio::test(start_paused = true)]
async fn a_newer_one_that_is_passed_over_is_told() {
    let desk = Desk::new().await;
    tokio::time::sleep(Duration::from_hours(1)).await;
    let newest = desk.back_up("CLUSTER", &[], &[]).await;
    desk.account.faults(
        json!([{"match": {"operation": "zilliz.describe_backup", "source": newest},
        "fault": {"vanish": true}}]),
    );
    let report = desk
        .restore_within(&asked(anew()), How::DryRun, MINUTES)
        .await;
    assert_ne!(report.chosen.as_ref().unwrap().backup.id, newest);
    let warned = format!("{:?}", report.warnings.shown);
    assert!(warned.contains(&newest), "{warned}");
}
