//! Listings that are complete or not believed, and the rate limit.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use jiff::Timestamp;
use lifeboat::clock::Clock;
use lifeboat::report::Outcome;
use lifeboat::secret::{ApiKey, KeySource};
use lifeboat::zilliz::client::Client;
use lifeboat::zilliz::limits::Limits;
use lifeboat_emulator::Method;
use serde_json::{Value, json};

use super::{Account, KEY, Wire, failures};

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
    limit_requests(&account);
    let report = account.back_up().await;
    assert_eq!(
        (report.counts.clusters, report.counts.policies_set),
        (250, 250)
    );
    assert_eq!(report.retries, 0, "the service refused some");
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

/// The documented limit, which the emulator does not keep unless it is told to.
fn limit_requests(account: &Account) {
    let settings = json!({"zilliz": {"rate_limit": 20}});
    account.control(Method::Post, "settings", &settings);
}

fn client(account: &Account, limits: &Arc<Limits>) -> Client<Wire> {
    let wire = account.wire.clone();
    let clock = Clock::new({
        let wire = wire.clone();
        move || wire.now()
    });
    let key = Arc::new(ApiKey::new(KeySource::Given(KEY.into())));
    Client::new(wire, key, clock).sharing(Arc::clone(limits))
}

/// The service counts by key, and `check` and `estimate` ask for all plans at once.
#[tokio::test(start_paused = true)]
async fn plans_with_one_key_keep_to_the_limit_together() {
    let account = Account::new();
    limit_requests(&account);
    let limits = Arc::default();
    let plans = [client(&account, &limits), client(&account, &limits)];
    let asked = (0..120).map(|number| plans[number % 2].projects());
    let answers = join_all(asked).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(plans.map(|plan| plan.attempts()), [(60, 0), (60, 0)]);
}

/// Whoever else uses the key takes its share, too.
#[tokio::test(start_paused = true)]
async fn a_limit_that_somebody_else_has_used_up_is_waited_for() {
    let account = Account::new();
    limit_requests(&account);
    let stranger = client(&account, &Arc::default());
    let us = client(&account, &Arc::default());
    let asked = (0..40).map(|number| if number % 2 == 0 { &stranger } else { &us }.projects());
    let answers = join_all(asked).await;
    assert!(answers.iter().all(Result::is_ok));
    let retries = stranger.attempts().1 + us.attempts().1;
    assert!(retries > 0, "nobody was refused");
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
