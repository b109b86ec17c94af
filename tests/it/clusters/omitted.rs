//! Backups by hand: no cluster that is meant is left out in silence, whatever becomes of it, and nothing is told, or asked
//! for in vain, every five minutes.

use std::collections::BTreeSet;
use std::time::Duration;

use lifeboat::event::{Action, ByHand, Request};
use lifeboat::name::Class;
use lifeboat::report::Outcome;
use lifeboat::zilliz::ClusterReport;
use lifeboat_emulator::Method;
use serde_json::json;

use super::by_hand::{ALL, by_hand, jobs};
use super::tiers::by_somebody_else;
use super::{Account, CLUSTER, FAR, KEY, PLAN, PROJECT, failures, plans};

const SECOND: &str = "in01-second";

/// An account with a second cluster, whose copies take an hour.
fn with_a_second(document: &str) -> Account {
    let account = Account::with(document).with_journal();
    account.add_cluster(SECOND, "users-prod", &json!({}));
    account.wire.emulator.update_settings(|settings| {
        settings.zilliz.copy_bytes_per_second = 2_000_000;
    });
    account
}

fn of_cluster(cluster: &str) -> Request {
    Request {
        by_hand: ByHand {
            cluster: Some(cluster.to_owned()),
            collections: Vec::new(),
        },
        ..by_hand()
    }
}

fn drop_cluster(account: &Account, cluster: &str) {
    let path = format!("/zilliz/v2/clusters/{cluster}/drop");
    let call = account
        .wire
        .call(Method::Delete, &path, "", KEY, Vec::new());
    drop(call);
    let clusters = account.known("clusters");
    let dropped = clusters.iter().find(|known| known["id"] == cluster);
    assert_eq!(dropped.unwrap()["status"], "DELETED", "{clusters:?}");
}

/// The key sees these clusters and no others.
fn narrow(account: &Account, clusters: &[&str]) {
    let key =
        json!({"key": KEY, "role": "project_admin", "projects": [PROJECT], "clusters": clusters});
    account.seed("keys", &json!([key]));
}

/// A tick of the run by hand, five minutes later.
async fn tick(account: &Account) -> ClusterReport {
    tokio::time::sleep(Duration::from_mins(5)).await;
    let open = account.open_runs().await;
    let open = open.iter().find(|open| open.key.class == Class::Manual);
    let request = Request {
        action: Action::Resume,
        scheduled_time: Some(open.unwrap().key.slot.instant()),
        ..Request::default()
    };
    let request = Request {
        manual: true,
        ..request
    };
    account.run(request).await
}

/// Ticks until it has ended: each tick's failures, and the last report.
async fn to_the_end(account: &Account) -> (Vec<String>, ClusterReport) {
    let mut told = Vec::new();
    loop {
        let report = tick(account).await;
        told.push(failures(&report));
        if !report.stays_open {
            return (told, report);
        }
        assert!(told.len() < 100, "{report:#?}");
    }
}

/// Two clusters, in all regions.
fn both() -> String {
    format!("{ALL}, {ALL}")
}

#[tokio::test(start_paused = true)]
async fn an_entry_of_the_plan_that_selects_no_cluster_is_told_when_it_is_seen_and_at_the_end() {
    let named = PLAN.replace("[\"*\"]", &format!("[\"{CLUSTER}\", \"in01-gone\"]"));
    let account = with_a_second(&named);
    let first = account.run(by_hand()).await;
    assert!(first.stays_open, "{first:#?}");
    assert!(failures(&first).contains("not_found"), "{first:#?}");
    let (told, last) = to_the_end(&account).await;
    assert_eq!(
        (last.outcome, jobs(&last).as_str()),
        (Outcome::Failed, ALL),
        "{last:#?}"
    );
    assert_eq!(failures(&last), "not_found");
    assert_eq!(last.failures.shown[0].source.as_deref(), Some("in01-gone"));
    let telling = told.iter().filter(|told| told.contains("not_found"));
    assert_eq!(telling.count(), 1, "{told:?}");
    assert!(told.len() > 5, "{told:?}");
    // The event again tells the same; one cluster alone is another matter.
    let again = account.run(by_hand()).await;
    assert_eq!(failures(&again), "not_found");
    let later = Request {
        scheduled_time: Some(account.wire.now()),
        ..of_cluster("orders-prod")
    };
    assert!(!failures(&account.run(later).await).contains("not_found"));
}

/// Somebody backs clusters up and drops one of them, or takes it out of the plan by its name.
#[tokio::test(start_paused = true)]
async fn a_backup_that_was_begun_is_followed_although_its_cluster_is_selected_no_more() {
    for request in [by_hand(), of_cluster("users-prod")] {
        for renames in [false, true] {
            let account = with_a_second(&PLAN.replace("[\"*\"]", "[\"*-prod\"]"));
            if request.by_hand.cluster.is_some() {
                account.add_cluster("in01-third", "audit-prod", &json!({}));
            }
            let first = account.run(request.clone()).await;
            assert_eq!(
                (first.outcome, first.stays_open),
                (Outcome::Incomplete, true),
                "{first:#?}"
            );
            if renames {
                account.add_cluster(SECOND, "users-old", &json!({}));
            } else {
                drop_cluster(&account, SECOND);
            }
            let (told, last) = to_the_end(&account).await;
            let all = if request.by_hand.cluster.is_some() {
                ALL.to_owned()
            } else {
                both()
            };
            assert_eq!(
                (last.outcome, jobs(&last)),
                (Outcome::Succeeded, all.clone()),
                "{renames} {told:?} {last:#?}"
            );
            let warned = last.warnings.shown.iter();
            let warned = warned.filter(|told| told.contains("selects it no more"));
            assert_eq!(warned.count(), 1, "{:?}", last.warnings);
            // The event again tells the same, and makes nothing.
            let requests = account.calls("zilliz.create_backup");
            let again = account.run(request.clone()).await;
            assert_eq!(
                (again.outcome, jobs(&again)),
                (Outcome::Succeeded, all),
                "{again:#?}"
            );
            assert_eq!(account.calls("zilliz.create_backup"), requests);
        }
    }
}

/// The key's scope is narrowed for an hour: nothing is known of the backup, and nothing is forgotten.
#[tokio::test(start_paused = true)]
async fn a_backup_whose_cluster_the_key_does_not_see_stays_open_until_it_does() {
    let account = with_a_second(PLAN);
    let first = account.run(by_hand()).await;
    assert!(first.stays_open, "{first:#?}");
    narrow(&account, &[CLUSTER]);
    let unseen = tick(&account).await;
    assert!(unseen.stays_open, "{unseen:#?}");
    assert!(failures(&unseen).contains("cluster_gone"), "{unseen:#?}");
    account.sleep(3).await;
    let unseen = tick(&account).await;
    assert_eq!(failures(&unseen), "cluster_gone being_made", "{unseen:#?}");
    assert!(unseen.stays_open, "{unseen:#?}");
    narrow(&account, &[CLUSTER, SECOND]);
    let (told, last) = to_the_end(&account).await;
    assert_eq!(
        (last.outcome, jobs(&last)),
        (Outcome::Succeeded, both()),
        "{told:?} {last:#?}"
    );
    assert_eq!(account.calls("zilliz.create_backup"), 2);
}

/// Its turn had not come, because somebody else's backup of it was being made.
#[tokio::test(start_paused = true)]
async fn a_cluster_that_is_gone_before_its_backup_was_asked_for_fails_the_run_at_its_end() {
    let account = with_a_second(PLAN);
    account.add_cluster(
        CLUSTER,
        "orders-prod",
        &json!({"bytes": 840_000_000_000_u64}),
    );
    by_somebody_else(&account).unwrap();
    let first = account.run(by_hand()).await;
    assert!(first.stays_open, "{first:#?}");
    assert_eq!(account.calls("zilliz.create_backup"), 2);
    drop_cluster(&account, CLUSTER);
    let (told, last) = to_the_end(&account).await;
    assert_eq!(
        (last.outcome, failures(&last).as_str()),
        (Outcome::Failed, "cluster_gone"),
        "{told:?} {last:#?}"
    );
    assert_eq!(last.failures.shown[0].source.as_deref(), Some(CLUSTER));
    let telling = told.iter().filter(|told| told.contains("cluster_gone"));
    assert_eq!(telling.count(), 1, "{told:?}");
    let again = account.run(by_hand()).await;
    assert_eq!(failures(&again), "cluster_gone", "{again:#?}");
    assert_eq!(account.calls("zilliz.create_backup"), 2);
}

/// One is refused by the plan, one by the service, and copies of a third take an hour.
#[tokio::test(start_paused = true)]
async fn what_is_refused_is_asked_for_once_and_told_when_it_is_seen_and_at_the_end() {
    let account = with_a_second(PLAN);
    account.add_cluster("in01-standard", "standard", &json!({"plan": "Standard"}));
    let refusal = r#"{"code": 90199, "message": "no backup today"}"#;
    account.faults(json!([{"match": {"operation": "zilliz.create_backup", "namespace_prefix": SECOND}, "fault": {"status": 400, "body": refusal}}]));
    let words = |report: &ClusterReport| {
        let told = failures(report);
        let mut words: Vec<String> = told.split(' ').map(str::to_owned).collect();
        words.sort();
        words.join(" ")
    };
    let first = account.run(by_hand()).await;
    assert_eq!(words(&first), "being_made being_made plan rejected");
    let (told, last) = to_the_end(&account).await;
    let (_, while_open) = told.split_last().unwrap();
    for told in while_open {
        assert!(
            !told.contains("plan") && !told.contains("rejected"),
            "{told}"
        );
    }
    assert!(while_open.len() > 5, "{told:?}");
    assert_eq!(
        (last.outcome, words(&last).as_str()),
        (Outcome::Failed, "plan rejected")
    );
    let said = last.failures.shown.iter();
    assert!(
        said.clone()
            .any(|told| told.message.contains("no backup today")),
        "{last:#?}"
    );
    assert_eq!(account.calls("zilliz.create_backup"), 2);
    // The event again asks again for what was refused.
    account.faults(json!([]));
    let again = account.run(by_hand()).await;
    assert_eq!(words(&again), "being_made being_made plan", "{again:#?}");
    assert_eq!(account.calls("zilliz.create_backup"), 3);
}

/// One of two has come to its end, in every region, before the key's scope is narrowed to the other.
#[tokio::test(start_paused = true)]
async fn what_has_ended_stays_told_although_its_cluster_is_seen_no_more() {
    let account = with_a_second(PLAN);
    account.add_cluster(SECOND, "users-prod", &json!({"bytes": 84_000_000_000_u64}));
    let first = account.run(by_hand()).await;
    assert!(first.stays_open, "{first:#?}");
    account.sleep(3).await;
    let report = tick(&account).await;
    assert_eq!(
        (report.stays_open, jobs(&report).starts_with(ALL)),
        (true, true),
        "{report:#?}"
    );
    narrow(&account, &[SECOND]);
    let (told, last) = to_the_end(&account).await;
    assert_eq!(
        (last.outcome, jobs(&last)),
        (Outcome::Succeeded, both()),
        "{told:?} {last:#?}"
    );
    assert!(
        told.iter().all(|told| !told.contains("cluster_gone")),
        "{told:?}"
    );
}

/// What waits behind a backup that will never be ready is told when it is seen, and at the end.
#[tokio::test(start_paused = true)]
async fn whoever_waits_behind_a_stuck_backup_waits_no_more() {
    let account = with_a_second(PLAN);
    account.faults(json!([{"match": {"operation": "zilliz.create_backup"}, "fault": {"stall_operation": true}}]));
    by_somebody_else(&account).unwrap();
    account.faults(json!([]));
    account.sleep(73).await;
    let request = Request {
        scheduled_time: Some(account.wire.now()),
        ..by_hand()
    };
    let first = account.run(request).await;
    assert_eq!(
        failures(&first),
        "stuck being_made being_made",
        "{first:#?}"
    );
    let (told, last) = to_the_end(&account).await;
    assert_eq!(failures(&last), "stuck", "{last:#?}");
    let telling = told.iter().filter(|told| told.contains("stuck"));
    assert_eq!(telling.count(), 1, "{told:?}");
    assert!(told.len() > 5, "{told:?}");
    assert_eq!(account.calls("zilliz.create_backup"), 2);
}

/// What ended before it began anything is nobody's backup of that time.
#[tokio::test(start_paused = true)]
async fn after_a_refusal_another_cluster_may_be_asked_for_at_the_same_time() {
    let account = with_a_second(PLAN);
    let refusal = r#"{"code": 90199, "message": "no backup today"}"#;
    account.faults(json!([{"match": {"operation": "zilliz.create_backup", "namespace_prefix": CLUSTER}, "fault": {"status": 400, "body": refusal}}]));
    let refused = account.run(of_cluster("orders-prod")).await;
    assert_eq!(
        (refused.stays_open, failures(&refused).as_str()),
        (false, "rejected")
    );
    account.faults(json!([]));
    let other = account.run(of_cluster("users-prod")).await;
    let sources: BTreeSet<_> = other.jobs.shown.iter().map(|job| &job.source).collect();
    assert_eq!(sources, BTreeSet::from([&SECOND.to_owned()]), "{other:#?}");
    let (_, last) = to_the_end(&account).await;
    assert_eq!(
        (last.outcome, jobs(&last)),
        (Outcome::Succeeded, ALL.to_owned())
    );
    let wrong = account.run(of_cluster("orders-prod")).await;
    assert_eq!(failures(&wrong), "another_request");
}

/// A copy failed, and then its region was taken out of the plan while another one was awaited.
#[tokio::test(start_paused = true)]
async fn what_failed_in_a_region_that_is_no_target_any_more_is_told_at_the_end() {
    let mut account = with_a_second(PLAN);
    account
        .wire
        .emulator
        .update_settings(|settings| settings.zilliz.jobs_can_be_listed = true);
    account.faults(json!([{"match": {"operation": "zilliz.copy", "region": FAR}, "fault": {"fail_operation": true, "reason": "quota"}}]));
    let mut report = account.run(of_cluster("orders-prod")).await;
    while !jobs(&report).contains("failed") {
        assert!(report.stays_open, "{report:#?}");
        report = tick(&account).await;
    }
    assert!(report.stays_open, "{report:#?}");
    account.plans = plans(&PLAN.replace(
        "[[plans.prod.targets]]\nregion = \"gcp-europe-west3\"\n",
        "",
    ));
    let (told, last) = to_the_end(&account).await;
    assert_eq!(
        (last.outcome, failures(&last).as_str()),
        (Outcome::Failed, "failed_before"),
        "{told:?} {last:#?}"
    );
    assert!(
        last.failures.shown[0].message.contains("quota"),
        "{last:#?}"
    );
}

/// Somebody's backup began a moment before, and whether that was it could not be seen.
#[tokio::test(start_paused = true)]
async fn a_refusal_that_may_be_of_the_moment_is_told_and_asked_about_again() {
    let account = Account::new().with_journal();
    let refusal = r#"{"code": 90199, "message": "no backup today"}"#;
    account.faults(json!([
        {"match": {"operation": "zilliz.create_backup"}, "fault": {"status": 400, "body": refusal}, "times": 1},
        {"match": {"operation": "zilliz.list_backups"}, "fault": {"status": 503}, "after": 1, "times": 100},
    ]));
    let first = account.run(by_hand()).await;
    assert_eq!(
        (first.stays_open, failures(&first).as_str()),
        (true, "being_made"),
        "{first:#?}"
    );
    let said = &first.failures.shown[0].message;
    assert!(said.contains("no backup today"), "{said}");
    account.faults(json!([]));
    let (_, last) = to_the_end(&account).await;
    assert_eq!(
        (last.outcome, jobs(&last)),
        (Outcome::Succeeded, ALL.to_owned())
    );
}
