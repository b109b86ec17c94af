//! `prune` deletes what is due of a plan's tiers, after a person's approval where it needs one, and does nothing else.

use std::time::Duration;

use lifeboat::event::{Action, Request};
use lifeboat::report::Outcome;
use lifeboat::zilliz::ClusterReport;
use serde_json::json;

use super::tiers::{delete, night, standing, tiered, with_tiers};
use super::{Account, CLUSTER, FAR, HOME, NEAR, failures, plans};

async fn prune(account: &Account, approve: Option<&str>) -> ClusterReport {
    let request = Request {
        action: Action::Prune,
        approve: approve.map(str::to_owned),
        ..Request::default()
    };
    account.run(request).await
}

/// What `lifeboat plan` asks for.
async fn plan(account: &Account) -> ClusterReport {
    let request = Request {
        action: Action::Prune,
        dry_run: true,
        ..Request::default()
    };
    account.run(request).await
}

async fn nights(account: &Account, count: u32) {
    for _ in 0..count {
        account.sleep(24).await;
        let report = night(account).await;
        assert_eq!(report.outcome, Outcome::Succeeded, "{:?}", report.failures);
    }
}

fn there(account: &Account) -> [usize; 3] {
    let standing = standing(account);
    [HOME, NEAR, FAR].map(|region| standing[region].len())
}

fn hash_of(report: &ClusterReport, region: &str) -> String {
    let mut regions = report.tiers.regions.iter();
    regions
        .find(|due| due.region == region)
        .unwrap()
        .hash
        .to_string()
}

/// A `prune` leaves nothing to carry on with, so if it died, nobody would tell what it had forgotten.
#[tokio::test(start_paused = true)]
async fn one_that_somebody_deleted_is_told_by_the_next_night_all_the_same() {
    let account = with_tiers("daily = 3");
    nights(&account, 3).await;
    let copy = standing(&account)[FAR].keys().next().unwrap().clone();
    delete(&account, &copy);
    for _ in 0..2 {
        assert_eq!(failures(&prune(&account, None).await), "vanished");
    }
    assert_eq!(failures(&night(&account).await), "vanished");
    let pruned = prune(&account, None).await;
    assert_eq!(pruned.outcome, Outcome::Succeeded, "{:?}", pruned.failures);
}

#[tokio::test(start_paused = true)]
async fn what_was_read_and_approved_is_deleted_and_nothing_else_is_done() {
    let mut account = with_tiers("daily = 20");
    nights(&account, 20).await;
    account.plans = plans(&tiered("daily = 1"));
    account.set_policy(CLUSTER, &json!({"enabled": false}));
    let (set, made) = (
        account.calls("zilliz.set_policy"),
        account.calls("zilliz.create_backup"),
    );

    let shown = plan(&account).await;
    assert_eq!(
        (shown.outcome, shown.tiers.due),
        (Outcome::Succeeded, 19 * 3),
        "{:?}",
        shown.failures
    );
    let braked = prune(&account, None).await;
    assert_eq!(failures(&braked), "braked braked braked");
    // What the function fails with.
    let summary = braked.summary();
    assert!(
        summary.starts_with("0 of 57 due tiers deleted; 3 failures: "),
        "{summary}"
    );
    let hash = hash_of(&shown, FAR);
    let message = &braked.failures.shown[0].message;
    assert!(
        message.contains("`lifeboat prune --plan prod --approve ")
            && message.contains(r#"{"action": "prune", "plan": "prod", "approve": ""#),
        "{message}"
    );
    assert!(
        braked
            .failures
            .shown
            .iter()
            .any(|failure| failure.message.contains(&hash))
    );
    let wrong = prune(&account, Some("0123456789abcdef")).await;
    assert_eq!(
        (wrong.outcome, failures(&wrong).as_str()),
        (Outcome::Failed, "not_approved")
    );
    assert_eq!(there(&account), [20; 3]);

    let pruned = prune(&account, Some(&hash)).await;

    assert_eq!(
        (pruned.outcome, pruned.tiers.deleted),
        (Outcome::Succeeded, 19),
        "{:?}",
        pruned.failures
    );
    assert_eq!(there(&account), [20, 20, 1]);
    let calls = (
        account.calls("zilliz.set_policy"),
        account.calls("zilliz.create_backup"),
    );
    assert_eq!(calls, (set, made), "a policy was set, or a backup made");
    let journal = account.journal.as_ref().unwrap();
    assert!(journal.open_runs().await.unwrap().runs.is_empty());
    let again = prune(&account, Some(&hash)).await;
    assert_eq!(
        failures(&again),
        "not_approved",
        "it is another list by now"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_in_proportion_needs_no_approval() {
    let mut account = with_tiers("daily = 4");
    nights(&account, 4).await;
    account.plans = plans(&tiered("daily = 2"));
    let pruned = prune(&account, None).await;
    assert_eq!(
        (pruned.outcome, pruned.tiers.deleted),
        (Outcome::Succeeded, 6),
        "{:?}",
        pruned.failures
    );
    assert_eq!(there(&account), [2; 3]);
}

#[tokio::test(start_paused = true)]
async fn before_the_periods_own_is_there_nothing_goes() {
    let mut account = with_tiers("daily = 3");
    nights(&account, 3).await;
    account.plans = plans(&tiered("daily = 1"));
    account.sleep(24).await;
    for report in [prune(&account, None).await, plan(&account).await] {
        assert_eq!((report.outcome, report.tiers.due), (Outcome::Succeeded, 0));
        assert!(
            report.warnings.shown[0].contains("the present period has no tier yet"),
            "{:?}",
            report.warnings
        );
    }
    assert_eq!(
        (there(&account), account.calls("zilliz.create_backup")),
        ([3; 3], 3)
    );

    // One that is being made is left to the run that makes it.
    let run = account
        .run_within(Request::default(), Duration::from_secs(3))
        .await;
    assert!(run.stays_open, "{:?}", run.failures);
    account.sleep(1).await;
    let report = prune(&account, None).await;
    assert!(
        report.warnings.shown[0].contains("is being made; `resume` looks again"),
        "{:?}",
        report.warnings
    );
    assert!(!report.stays_open);
    assert_eq!(account.calls("zilliz.delete_backup"), 0);
    let resumed = account.resume().await;
    assert_eq!(resumed.tiers.deleted, 9, "{:?}", resumed.failures);
}

#[tokio::test(start_paused = true)]
async fn beside_another_invocation_it_does_nothing() {
    let mut account = with_tiers("daily = 3");
    nights(&account, 3).await;
    account.plans = plans(&tiered("daily = 1"));
    let journal = account.journal.clone().unwrap();
    let lease = journal
        .acquire("prod", "another", account.wire.now())
        .await
        .unwrap();
    let report = prune(&account, None).await;
    assert_eq!(
        (report.outcome, failures(&report).as_str()),
        (Outcome::Failed, "lease_held")
    );
    assert_eq!(there(&account), [3; 3]);
    lease.release().await.unwrap();
    assert_eq!(prune(&account, None).await.tiers.deleted, 6);
}

/// Ids of what stands in a region, oldest first.
fn ids(account: &Account, region: &str) -> Vec<String> {
    let standing = standing(account).remove(region).unwrap();
    let mut ids: Vec<(String, String)> = standing.into_iter().map(|(id, day)| (day, id)).collect();
    ids.sort();
    ids.into_iter().map(|(_, id)| id).collect()
}

/// Such a list may leave out what keeps another one, too.
#[tokio::test(start_paused = true)]
async fn nothing_goes_by_a_list_that_leaves_out_what_is_there() {
    let mut account = with_tiers("daily = 4");
    nights(&account, 4).await;
    account.plans = plans(&tiered("daily = 2"));
    for region in [FAR, HOME] {
        for left_out in ids(&account, region) {
            account.leave_out([left_out.clone()]);
            for report in [prune(&account, None).await, plan(&account).await] {
                assert_eq!(failures(&report), "listing", "{region} {report:#?}");
                let message = &report.failures.shown[0].message;
                assert!(message.contains(&left_out), "{message}");
                assert_eq!((report.tiers.due, report.tiers.deleted), (0, 0), "{region}");
            }
        }
    }
    // Nobody knows which it is.
    account.faults(
        json!([{"match": {"operation": "zilliz.describe_backup"}, "fault": {"status": 500}}]),
    );
    let report = prune(&account, None).await;
    assert_eq!(
        (failures(&report).as_str(), report.tiers.due),
        ("unavailable", 0)
    );
    account.faults(json!([]));
    assert_eq!(there(&account), [4; 3]);
    account.leave_out([]);
    assert_eq!(prune(&account, None).await.tiers.deleted, 6);
}

/// What is out of proportion for all of them is perhaps in proportion for one.
#[tokio::test(start_paused = true)]
async fn where_one_clusters_list_is_in_doubt_no_tier_of_any_goes() {
    let mut account = with_tiers("daily = 4");
    let second = "in01-second";
    account.add_cluster(second, "users-prod", &json!({}));
    nights(&account, 4).await;
    account.plans = plans(&tiered("daily = 2"));
    account.faults(json!([{"match": {"operation": "zilliz.list_backups", "namespace_prefix": second}, "fault": {"status": 500}}]));
    for _ in 0..2 {
        let report = prune(&account, None).await;
        assert_eq!(failures(&report), "unavailable", "{report:#?}");
        assert_eq!(report.tiers.deleted, 0, "{report:#?}");
        let warned = report.warnings.shown.iter();
        let warned = warned.filter(|told| told.contains("no tier of any was deleted"));
        assert_eq!(warned.count(), 1, "{report:#?}");
        assert_eq!(there(&account), [8; 3]);
    }
    account.faults(json!([]));
    assert_eq!(prune(&account, None).await.tiers.deleted, 12);
}

#[tokio::test(start_paused = true)]
async fn where_somebody_deleted_the_newest_all_older_ones_stay() {
    let mut account = with_tiers("daily = 4");
    nights(&account, 4).await;
    account.plans = plans(&tiered("daily = 2"));
    delete(&account, ids(&account, FAR).last().unwrap());
    let shown = plan(&account).await;
    let pruned = prune(&account, None).await;
    assert_eq!(failures(&pruned), "vanished");
    assert_eq!((shown.tiers.due, pruned.tiers.deleted), (2, 2));
    // Originals stay beside their copies.
    assert_eq!(there(&account), [4, 2, 3]);
}

/// A DELETE that was refused is not done because one list leaves out what it was about.
#[tokio::test(start_paused = true)]
async fn what_was_not_deleted_stays_the_plans_own_whatever_one_list_says() {
    let mut account = with_tiers("daily = 4");
    nights(&account, 4).await;
    account.plans = plans(&tiered("daily = 3"));
    account.faults(
        json!([{"match": {"operation": "zilliz.delete_backup"}, "fault": {"status": 500}}]),
    );
    let due = [NEAR, FAR].map(|region| ids(&account, region).remove(0));
    let lags = async {
        while account.calls("zilliz.delete_backup") == 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        account.leave_out(due);
    };
    let (report, ()) = tokio::join!(prune(&account, None), lags);
    assert_eq!(report.tiers.deleted, 0, "{report:#?}");
    account.faults(json!([]));
    account.leave_out([]);
    assert_eq!(prune(&account, None).await.tiers.deleted, 3);
    assert_eq!(there(&account), [3; 3]);
}
