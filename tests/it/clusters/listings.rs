//! Listings that are complete or not believed, and the rate limit.

use std::collections::BTreeMap;

use jiff::Timestamp;
use lifeboat::report::Outcome;
use lifeboat_emulator::Method;
use serde_json::{Value, json};

use super::{Account, failures};

fn with_clusters(count: usize) -> Account {
    let account = Account::new();
    for number in 1..count {
        account.add_cluster(
            &format!("in01-{number:04}"),
            &format!("tenant-{number}"),
            &json!({}),
        );
    }
    account
}

#[tokio::test(start_paused = true)]
async fn every_page_is_read_and_the_rate_limit_is_kept() {
    let account = with_clusters(250);
    let report = account.back_up().await;
    assert_eq!(
        (report.counts.clusters, report.counts.policies_set),
        (250, 250)
    );
    let log = account.control(Method::Get, "log", &Value::Null);
    let mut times: BTreeMap<String, Vec<Timestamp>> = BTreeMap::new();
    for entry in log["calls"].as_array().unwrap() {
        let operation = entry["operation"].as_str().unwrap().to_owned();
        times
            .entry(operation)
            .or_default()
            .push(entry["time"].as_str().unwrap().parse().unwrap());
    }
    assert!(times["zilliz.set_policy"].len() >= 250);
    for (operation, times) in times
        .iter()
        .filter(|(operation, _)| operation.starts_with("zilliz."))
    {
        for window in times.windows(21) {
            let took = window[20].duration_since(window[0]);
            assert!(
                took.as_millis() > 1_000,
                "{operation}: 21 requests in {took:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_stumbles_is_read_anew() {
    for fault in [
        json!({"repeat_page": true}),
        json!({"drop_page": true}),
        json!({"status": 503}),
        json!({"truncate": true}),
    ] {
        let account = with_clusters(150);
        account.faults(json!([{"match": {"operation": "zilliz.list_clusters"}, "fault": fault, "times": 1, "after": 1}]));
        assert_eq!(account.back_up().await.counts.policies_set, 150, "{fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_is_never_whole_changes_nothing() {
    for fault in [json!({"repeat_page": true}), json!({"drop_page": true})] {
        let account = with_clusters(150);
        account.faults(json!([{"match": {"operation": "zilliz.list_clusters"}, "fault": fault}]));
        let report = account.back_up().await;
        assert_eq!(
            (report.outcome, failures(&report).as_str()),
            (Outcome::Failed, "listing"),
            "{fault}"
        );
        assert_eq!(account.calls("zilliz.set_policy"), 0, "{fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn backups_that_can_not_be_listed_protect_nobody() {
    let account = Account::new();
    account.back_up().await;
    account.sleep(1).await;
    account
        .faults(json!([{"match": {"operation": "zilliz.list_backups"}, "fault": {"status": 500}}]));
    let report = account.back_up().await;
    assert_eq!(failures(&report), "unknown unknown unknown");
    assert_eq!(report.outcome, Outcome::Failed);
}
