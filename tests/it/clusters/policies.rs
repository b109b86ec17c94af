//! A plan becomes the native policy, and stays it.

use lifeboat::event::Request;
use lifeboat::report::Outcome;
use lifeboat::zilliz::report::PolicyState;
use serde_json::{Value, json};

use super::tiers::delete;
use super::{Account, CLUSTER, FAR, NEAR, PLAN, failures, states};

const POLICY: &str = "1,2,3,4,5,6,7 02:00-04:00 7 gcp-europe-west3:7 gcp-us-east4:30";

#[tokio::test(start_paused = true)]
async fn a_plan_becomes_the_policy_and_its_first_backup_is_followed_into_every_region() {
    let account = Account::new().with_journal();
    let report = account.back_up().await;
    assert_eq!(account.policy(CLUSTER), POLICY);
    assert_eq!(report.policies.shown[0].state, PolicyState::Applied);
    assert_eq!(states(&report), "in_making in_making in_making");
    assert_eq!(
        (report.outcome, report.stays_open),
        (Outcome::Incomplete, true)
    );

    // 10 s for the backup, 70 s for its copies.
    tokio::time::sleep(std::time::Duration::from_secs(20)).await;
    assert_eq!(
        states(&account.resume().await),
        "protected in_making in_making"
    );
    account.sleep(1).await;
    let report = account.resume().await;
    assert_eq!(states(&report), "protected protected protected");
    assert_eq!(
        (report.outcome, report.stays_open),
        (Outcome::Succeeded, false)
    );
    assert_eq!(account.calls("zilliz.set_policy"), 1);
    let journal = account.journal.as_ref().unwrap();
    assert!(journal.open_runs().await.unwrap().runs.is_empty());
    let history = journal.history("prod", 10).await.unwrap();
    let jobs: Vec<_> = history[0]
        .jobs
        .iter()
        .map(|job| (job.region.as_str(), job.state.as_str()))
        .collect();
    assert_eq!(
        jobs,
        [
            ("gcp-us-west1", "protected"),
            (NEAR, "protected"),
            (FAR, "protected")
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_is_in_force_is_left_alone_and_costs_few_requests() {
    for journal in [false, true] {
        let mut account = Account::new();
        if journal {
            account = account.with_journal();
        }
        account.back_up().await;
        account.sleep(20 * 24).await;
        let report = account.back_up().await;
        assert_eq!(
            (report.outcome, report.policies.shown[0].state),
            (Outcome::Succeeded, PolicyState::InForce)
        );
        assert_eq!(account.calls("zilliz.set_policy"), 1);
        account.sleep(24).await;
        let report = account.back_up().await;
        // Account, policy and listing; and of some sixty backups those of the newest three nights.
        assert!(report.requests <= 5 + 9, "{}", report.requests);
    }
}

/// What somebody else may do to a policy, and what is told of it.
fn drifts() -> Vec<(Value, &'static str)> {
    let other = |changes: Value| {
        let mut policy = json!({
            "enabled": true, "frequency": "1,2,3,4,5,6,7", "startTime": "02:00-04:00", "retentionDays": 7,
            "crossRegionCopies": [{"regionId": NEAR, "retentionDays": 30}, {"regionId": FAR, "retentionDays": 7}],
        });
        policy
            .as_object_mut()
            .unwrap()
            .extend(changes.as_object().unwrap().clone());
        policy
    };
    vec![
        (
            json!({"enabled": false, "crossRegionCopies": []}),
            "status is DISABLED",
        ),
        (
            other(json!({"frequency": "1"})),
            "frequency is 1 instead of 1,2,3,4,5,6,7",
        ),
        (
            other(json!({"startTime": "22:00-00:00"})),
            "startTime is 22:00-00:00",
        ),
        (
            other(json!({"retentionDays": 1})),
            "retentionDays is 1 instead of 7",
        ),
        (
            other(json!({"crossRegionCopies": []})),
            "crossRegionCopies.gcp-europe-west3 is no copy instead of 7 days",
        ),
        (
            other(
                json!({"crossRegionCopies": [{"regionId": NEAR, "retentionDays": 1}, {"regionId": FAR, "retentionDays": 7}]}),
            ),
            "crossRegionCopies.gcp-us-east4 is 1 day instead of 30 days",
        ),
    ]
}

#[tokio::test(start_paused = true)]
async fn whatever_drifts_is_repaired_on_the_next_run_and_told() {
    for (drifted, told) in drifts() {
        let account = Account::new().with_journal();
        account.back_up().await;
        account.sleep(30).await;
        account.set_policy(CLUSTER, &drifted);
        let report = account.back_up().await;
        // One that somebody disabled is no first set-up.
        assert_eq!(report.policies.shown[0].state, PolicyState::Repaired);
        let warned = report.warnings.shown.join("\n");
        assert!(
            warned.contains("was repaired: ") && warned.contains(told),
            "{told}: {warned}"
        );
        assert_eq!(account.policy(CLUSTER), POLICY, "{told}");
        assert_eq!(report.outcome, Outcome::Succeeded, "{told}");
        assert_eq!(report.counts.policies_set, 1, "{told}");
        let drift: Vec<String> = report.policies.shown[0]
            .drift
            .iter()
            .map(ToString::to_string)
            .collect();
        assert!(
            drift.iter().any(|drift| drift.contains(told)),
            "{told}: {drift:?}"
        );
    }
}

/// Without a journal nobody knows whether there was one before, and it is set all the same.
#[tokio::test(start_paused = true)]
async fn a_drift_is_repaired_without_a_journal_too() {
    for (drifted, told) in drifts() {
        let account = Account::new();
        account.back_up().await;
        account.sleep(30).await;
        account.set_policy(CLUSTER, &drifted);
        let report = account.back_up().await;
        assert_eq!(account.policy(CLUSTER), POLICY, "{told}");
        assert_eq!(report.outcome, Outcome::Succeeded, "{told}");
        assert_eq!(report.counts.policies_set, 1, "{told}");
    }
}

/// Switching it on makes a backup at once, whether for the first time or again.
#[tokio::test(start_paused = true)]
async fn one_that_was_disabled_is_told_and_the_backup_that_it_makes_at_once_is_awaited() {
    let account = Account::new().with_journal();
    account.back_up().await;
    account.sleep(1).await;
    account.set_policy(CLUSTER, &json!({"enabled": false, "crossRegionCopies": []}));
    for backup in account.known("backups") {
        delete(&account, backup["id"].as_str().unwrap());
    }
    let report = account.back_up().await;
    assert_eq!(report.policies.shown[0].state, PolicyState::Repaired);
    assert_eq!(states(&report), "in_making in_making in_making");
}

#[tokio::test(start_paused = true)]
async fn a_plan_may_ask_that_drift_is_only_told() {
    for (drifted, told) in drifts() {
        let account = Account::with(&PLAN.replace("start =", "drift = \"report\"\nstart ="));
        account.set_policy(CLUSTER, &drifted);
        let before = account.policy(CLUSTER);
        let report = account.back_up().await;
        assert_eq!(account.policy(CLUSTER), before);
        assert_eq!(
            (report.outcome, report.counts.policies_drifted),
            (Outcome::Failed, 1)
        );
        assert!(report.failures.shown[0].message.contains(told), "{told}");
        assert_eq!(account.calls("zilliz.set_policy"), 1, "the drift itself");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_shows_the_drift_and_changes_nothing() {
    let account = Account::new().with_journal();
    let request = Request {
        dry_run: true,
        ..Request::default()
    };
    let report = account.run(request).await;
    assert_eq!(report.policies.shown[0].state, PolicyState::Drifted);
    assert_eq!(report.policies.shown[0].start_time, "02:00-04:00");
    assert_eq!(account.calls("zilliz.set_policy"), 0);
    assert!(account.open_runs().await.is_empty());
}

/// A policy that the console made with cron has no form in REST; what is told of it then is not known.
#[tokio::test(start_paused = true)]
async fn a_policy_that_can_not_be_read_is_left_alone() {
    let account = Account::new();
    let data = json!({"code": 0, "data": {"clusterId": CLUSTER, "status": "ENABLED", "frequency": "0 2 * * *", "startTime": null, "retentionDays": 7}});
    account.faults(json!([{"match": {"operation": "zilliz.describe_policy"}, "fault": {"status": 200, "body": data.to_string()}}]));
    let report = account.back_up().await;
    assert_eq!(
        failures(&report),
        "policy_unreadable missing missing missing"
    );
    assert_eq!(account.calls("zilliz.set_policy"), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_read_back_is_not_believed() {
    let account = Account::new();
    account.faults(json!([{"match": {"operation": "zilliz.set_policy"}, "fault": {"status": 200, "body": "{\"code\":0,\"data\":{\"status\":\"ENABLED\"}}"}}]));
    let report = account.back_up().await;
    assert_eq!(failures(&report), "policy_not_set missing missing missing");
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_sets_the_policy_again_and_makes_one_backup() {
    for fault in [
        json!({"status": 503, "commit": "after"}),
        json!({"reset": "after"}),
        json!({"truncate": true}),
        json!({"status": 429}),
    ] {
        let account = Account::new();
        account.faults(
            json!([{"match": {"operation": "zilliz.set_policy"}, "fault": fault, "times": 1}]),
        );
        let report = account.back_up().await;
        assert_eq!(
            report.policies.shown[0].state,
            PolicyState::Applied,
            "{fault}"
        );
        assert_eq!(
            (account.calls("zilliz.set_policy"), report.retries),
            (2, 1),
            "{fault}"
        );
        assert_eq!(account.policy(CLUSTER), POLICY, "{fault}");
        let originals = account
            .known("backups")
            .into_iter()
            .filter(|backup| backup["original"].is_null());
        assert_eq!(originals.count(), 1, "{fault}");
    }
}

/// Berlin's clocks go on on 2027-03-28 at 01:00 UTC: 01:30 local time is on that day 00:30 UTC and then 23:30 UTC the day before.
#[tokio::test(start_paused = true)]
async fn daylight_saving_moves_the_window_and_its_weekdays() {
    let account = Account::with(&PLAN.replace(
        "start = \"02:00\"",
        "start = \"01:30\"\nweekdays = [\"sun\", \"wed\"]\ntime_zone = \"Europe/Berlin\"",
    ));
    account.back_up().await;
    assert_eq!(
        account.policy(CLUSTER),
        "3,7 00:30-02:30 7 gcp-europe-west3:7 gcp-us-east4:30"
    );
    let until: jiff::Timestamp = "2027-03-27T12:00:00Z".parse().unwrap();
    let wait = until.duration_since(account.wire.now());
    tokio::time::sleep(wait.try_into().unwrap()).await;
    let report = account.back_up().await;
    assert_eq!(report.policies.shown[0].state, PolicyState::InForce);
    account.sleep(24).await;
    let report = account.back_up().await;
    assert_eq!(report.policies.shown[0].state, PolicyState::Repaired);
    assert_eq!(
        account.policy(CLUSTER),
        "2,6 23:30-01:30 7 gcp-europe-west3:7 gcp-us-east4:30"
    );
    assert_eq!(report.outcome, Outcome::Succeeded, "{:?}", report.failures);
}
