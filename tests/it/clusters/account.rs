//! Keys, scopes and roles; clusters that are gone; two plans over one cluster.

use lifeboat::report::Outcome;
use lifeboat::zilliz::ClusterReport;
use serde_json::json;

use super::tiers::delete;
use super::{Account, CLUSTER, FAR, HOME, KEY, NEAR, PLAN, PROJECT, failures};

#[tokio::test(start_paused = true)]
async fn a_key_that_is_refused_fails_the_run_and_is_not_shown() {
    let account = Account::new();
    account.seed(
        "keys",
        &json!([{"key": "another", "role": "project_admin"}]),
    );
    let report = account.back_up().await;
    assert_eq!(
        (report.outcome, failures(&report).as_str()),
        (Outcome::Failed, "unauthorized")
    );
    assert!(
        report.failures.shown[0].message.contains("21119"),
        "{:?}",
        report.failures
    );
    assert_eq!(report.retries, 0);
}

/// A proxy that shows what it was sent.
#[tokio::test(start_paused = true)]
async fn a_key_in_somebody_elses_answer_is_not_repeated() {
    let account = Account::new();
    let page = format!("<html>Bearer {KEY}</html>");
    account.faults(json!([{"fault": {"status": 403, "body": page, "content_type": "text/html"}}]));
    let report = account.back_up().await;
    assert!(
        report.failures.shown[0].message.contains("[key]"),
        "{:?}",
        report.failures
    );
}

#[tokio::test(start_paused = true)]
async fn a_role_without_backup_rights_is_told_what_it_lacks() {
    let account = Account::new();
    account.seed("keys", &json!([{"key": KEY, "role": "viewer"}]));
    let report = account.back_up().await;
    assert_eq!(failures(&report), "forbidden missing missing missing");
    let message = &report.failures.shown[0].message;
    assert!(
        message.contains("96015") && message.contains("view and manage backups"),
        "{message}"
    );
    assert!(message.contains("requestid"), "{message}");
}

/// The messages about regions alone.
fn of_regions(report: &ClusterReport) -> Vec<&str> {
    let failures = report.failures.shown.iter();
    let of_regions = failures.filter(|failure| failure.target.is_some());
    of_regions.map(|failure| failure.message.as_str()).collect()
}

/// A cluster that is refused, or whose policy nobody may set, gets no backup from the next window, nor by hand.
#[tokio::test(start_paused = true)]
async fn where_the_policy_failed_no_region_advises_what_can_not_work() {
    let enterprise = json!([{"id": PROJECT, "name": "shop", "plan": "Enterprise", "regions": [HOME, NEAR, FAR]}]);
    for (what, seed) in [
        ("keys", json!([{"key": KEY, "role": "viewer"}])),
        ("projects", enterprise),
    ] {
        let account = Account::new();
        account.seed(what, &seed);
        // A cluster has its project's plan as of when it was made.
        account.add_cluster(CLUSTER, "orders-prod", &json!({}));
        let report = account.back_up().await;
        let told = of_regions(&report);
        assert_eq!(told.len(), 3, "{what} {:?}", report.failures);
        for message in told {
            assert!(
                message.contains("see the failure of its policy") && !message.contains("--manual"),
                "{what}: {message}"
            );
        }
    }
    // Where the policy is the plan's, both work.
    let account = Account::new();
    account.back_up().await;
    account.sleep(1).await;
    for backup in account.known("backups") {
        delete(&account, backup["id"].as_str().unwrap());
    }
    let report = account.back_up().await;
    let told = of_regions(&report);
    assert_eq!(told.len(), 3, "{:?}", report.failures);
    for message in told {
        assert!(message.contains("`lifeboat backup --manual`"), "{message}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_was_dropped_or_is_out_of_scope_is_a_failure() {
    let named = PLAN.replace("[\"*\"]", &format!("[\"{CLUSTER}\", \"in01-gone\"]"));
    let account = Account::with(&named);
    let report = account.back_up().await;
    assert_eq!(
        (report.outcome, report.counts.clusters),
        (Outcome::Failed, 1)
    );
    assert_eq!(
        report.failures.shown[0].source.as_deref(),
        Some("in01-gone")
    );
    account.seed(
        "keys",
        &json!([{"key": KEY, "role": "project_admin", "projects": [PROJECT], "clusters": []}]),
    );
    let report = account.back_up().await;
    assert_eq!(failures(&report), "not_found not_found");
}

#[tokio::test(start_paused = true)]
async fn two_plans_may_not_have_one_cluster() {
    let second = PLAN
        .replace("plans.prod", "plans.weekly")
        .replace("\"*\"", "\"orders-*\"");
    let account = Account::with(&format!("{PLAN}{second}"));
    let report = account.back_up().await;
    assert_eq!(failures(&report), "two_plans missing missing missing");
    assert_eq!(account.policy(CLUSTER), "");
}

#[tokio::test(start_paused = true)]
async fn two_invocations_at_once_are_kept_apart_by_the_lease() {
    let account = Account::new().with_journal();
    account.faults(
        json!([{"match": {"operation": "zilliz.list_clusters"}, "fault": {"latency_ms": 5_000}}]),
    );
    let (one, other) = tokio::join!(account.back_up(), account.back_up());
    let mut words = [failures(&one), failures(&other)];
    words.sort();
    assert_eq!(words, ["in_making in_making in_making", "lease_held"]);
    assert_eq!(account.calls("zilliz.set_policy"), 1);
}
