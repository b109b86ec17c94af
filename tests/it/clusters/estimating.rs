//! What is told of tiers beforehand is what the nights then bring, and a budget judges it, too.

use std::sync::Arc;

use lifeboat::budget::State;
use lifeboat::event::Request;
use lifeboat::price::MicroDollars;
use lifeboat::report::Outcome;
use lifeboat::zilliz::ClusterReport;
use lifeboat::zilliz::estimate::{ClusterEstimate, RegionEstimate};
use lifeboat_emulator::Method;
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use serde_json::{Value, json};

use super::budgets::limit;
use super::tiers::{night, standing, with_tiers};
use super::{Account, CLUSTER, FAR, HOME, NEAR, failures, two_plans};

/// A dry run, which asks for nothing and deletes nothing.
async fn told(account: &Account) -> ClusterReport {
    let dry_run = Request {
        dry_run: true,
        ..Request::default()
    };
    account.run(dry_run).await
}

async fn estimate(account: &Account) -> ClusterEstimate {
    told(account).await.estimate.unwrap()
}

fn at<'a>(estimate: &'a ClusterEstimate, region: &str) -> &'a RegionEstimate {
    let mut regions = estimate.regions.iter();
    regions.find(|line| line.region == region).unwrap()
}

/// Bytes sent to a region, and bytes times days kept there, as the emulator bills them.
fn billed(account: &Account, region: &str) -> (u64, u64) {
    let bill = account.control(Method::Get, "bill", &Value::Null);
    let organisations = bill["zilliz"]["organisations"].as_object().unwrap();
    let (mut sent, mut kept) = (0, 0);
    for organisation in organisations.values() {
        for line in organisation["transfer"].as_array().unwrap() {
            if line["to"] == region {
                sent += line["bytes"].as_u64().unwrap();
            }
        }
        for line in organisation["storage"].as_array().unwrap() {
            if line["region"] == region {
                kept += line["byte_days"].as_u64().unwrap();
            }
        }
    }
    (sent, kept)
}

async fn nights(account: &Account, count: u32) -> u64 {
    let mut deleted = 0;
    for _ in 0..count {
        let report = night(account).await;
        assert_eq!(report.outcome, Outcome::Succeeded, "{:?}", report.failures);
        deleted += report.tiers.deleted;
        account.sleep(24).await;
    }
    deleted
}

#[tokio::test(start_paused = true)]
async fn what_is_told_of_tiers_is_what_thirty_nights_then_bring() {
    for rules in [
        "daily = 4\nmonthly = 3",
        "weekly = 8",
        "monthly = 12\nyearly = 7",
    ] {
        let account = with_tiers(rules);
        nights(&account, 75).await;
        let told = estimate(&account).await;
        for region in [HOME, NEAR, FAR] {
            let there = standing(&account)[region].len();
            let tiers = at(&told, region).tiers.unwrap();
            assert_eq!(tiers.standing, u64::try_from(there).unwrap(), "{rules}");
        }
        let before = [HOME, NEAR, FAR].map(|region| billed(&account, region));
        let asked = account.calls("zilliz.create_backup");

        let deleted = nights(&account, 30).await;

        let made = account.calls("zilliz.create_backup") - asked;
        let tiers = told.regions.iter().filter_map(|line| line.tiers);
        let foretold = tiers.fold((0, 0), |sum, one| (sum.0 + one.made, sum.1 + one.deleted));
        assert_eq!(foretold, (3 * made, deleted), "{rules}");
        for (region, before) in [HOME, NEAR, FAR].into_iter().zip(before) {
            let (line, after) = (at(&told, region), billed(&account, region));
            assert_eq!(line.sent_bytes, after.0 - before.0, "{rules} {region}");
            let kept = after.1 - before.1;
            let share = line.stored_bytes * 30 * 100 / kept;
            assert!((95..=105).contains(&share), "{rules} {region}: {share} %");
        }
    }
}

/// As the JSON shows it.
async fn shown(account: &Account, manual: bool) -> Value {
    let dry_run = Request {
        dry_run: true,
        manual,
        ..Request::default()
    };
    let report = account.run(dry_run).await;
    serde_json::to_value(report.estimate.unwrap()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn before_the_first_backup_it_is_told_from_what_the_cluster_stores() {
    let account = Account::new().with_journal();
    let before = shown(&account, true).await;
    assert_eq!(before["sized_by_storage"], json!(["orders-prod"]));
    assert_eq!(before["bytes"], json!(7 * super::GB));
    assert_eq!(before["of_unknown_size"], json!([]));
    account.back_up().await;
    account.sleep(3).await;
    account.resume().await;
    let after = shown(&account, true).await;
    assert_eq!(after["sized_by_storage"], Value::Null);
    assert!(after["total"]["least"].as_u64().unwrap() > 5_000_000);
    for field in ["total", "seconds", "regions", "by_hand"] {
        assert_eq!(before[field], after[field], "{field}");
    }
}

/// The documentation's examples say 0 of every cluster, so that is no size.
#[tokio::test(start_paused = true)]
async fn where_nothing_tells_a_size_nothing_is_said_to_cost_nothing() {
    for account in [Account::new(), with_tiers("daily = 2")] {
        account.add_cluster(CLUSTER, "orders-prod", &json!({"bytes": 0}));
        let told = shown(&account, true).await;
        for field in ["total", "bytes", "seconds"] {
            assert_eq!(told[field], Value::Null, "{field}");
        }
        assert_eq!(told["by_hand"]["total"], Value::Null);
        assert_eq!(told["of_unknown_size"], json!(["orders-prod"]));
        assert_eq!(told["regions"], json!([]));
        // Beside one that tells its size, that one is told.
        account.add_cluster("in01-0000", "second", &json!({}));
        let told = shown(&account, true).await;
        assert_eq!(told["bytes"], json!(7 * super::GB));
        assert!(told["total"]["least"].as_u64().unwrap() > 5_000_000);
        assert_eq!(told["of_unknown_size"], json!(["orders-prod"]));
    }
}

/// The policy alone is within the budget, and with the plan's own tiers it is not.
#[tokio::test(start_paused = true)]
async fn tiers_count_for_a_budget() {
    let mut account = with_tiers("daily = 300");
    nights(&account, 40).await;
    let told = estimate(&account).await;
    let bytes: u64 = told
        .regions
        .iter()
        .map(|line| line.tiers.unwrap().stored_bytes)
        .sum();
    // Forty and more backups of 7 GB at two cents a month, in three regions.
    assert!(bytes > 3 * 40 * 7 * super::GB);
    let of_tiers = MicroDollars(bytes / super::GB * 20_000);
    let all = told.total.unwrap().least;
    let budget = (all.0 - of_tiers.0) / 1_000_000 + 1;
    limit(&mut account, None, Some(budget));
    let report = account.back_up().await;
    assert_eq!(report.budget.as_ref().unwrap().state, State::OverHard);
    assert_eq!(
        failures(&report),
        "over_budget over_budget",
        "{:?}",
        report.failures
    );
}

/// A journal that nobody can read leaves the cost unknown, and backups go on.
#[tokio::test(start_paused = true)]
async fn tiers_that_nobody_can_read_are_unknown_and_not_free() {
    let objects = Arc::new(InMemory::new());
    let mut account = Account::with(&super::tiers::tiered("daily = 2")).with_journal_in(&objects);
    nights(&account, 3).await;
    limit(&mut account, None, Some(1_000));
    assert_eq!(told(&account).await.budget.unwrap().state, State::Within);
    let broken = Path::from(format!("journal/clusters/tiers/prod/{CLUSTER}-1.json"));
    objects.put(&broken, "{".into()).await.unwrap();
    let report = told(&account).await;
    let estimate = report.estimate.unwrap();
    assert_eq!(estimate.total, None);
    assert!(
        estimate
            .tiers_unknown
            .unwrap()
            .contains(&format!("{CLUSTER}-1.json"))
    );
    assert_eq!(report.budget.unwrap().state, State::Unknown);
    // The remedy is not another table of prices.
    let told = report.warnings.shown.join("\n");
    assert!(
        told.contains("because which tiers the plan has is unknown, so copies go on: ")
            && told.contains(&format!("{CLUSTER}-1.json"))
            && !told.contains("LIFEBOAT_PRICES"),
        "{told}"
    );
}

/// What a plan no longer looks after goes on costing: of a cluster that was dropped, in a region that is no target any more.
#[tokio::test(start_paused = true)]
async fn what_is_left_alone_is_counted() {
    let mut account = with_tiers("daily = 2");
    nights(&account, 4).await;
    account.plans = super::plans(&super::tiers::tiered("daily = 2").replace(
        "[[plans.prod.targets]]\nregion = \"gcp-europe-west3\"\n",
        "",
    ));
    let told = estimate(&account).await;
    let tiers = at(&told, FAR).tiers.unwrap();
    assert_eq!((tiers.standing, tiers.made, tiers.deleted), (2, 0, 0));
    assert_eq!(tiers.stored_bytes, 2 * 7 * super::GB);
    account.plans = super::plans(&super::tiers::tiered("daily = 2").replace("\"*\"", "\"other\""));
    let told = estimate(&account).await;
    assert_eq!(told.clusters, 0);
    for region in [HOME, NEAR, FAR] {
        let tiers = at(&told, region).tiers.unwrap();
        assert_eq!(
            (tiers.standing, tiers.stored_bytes),
            (2, 2 * 7 * super::GB),
            "{region}"
        );
    }
}

/// A run leaves a refused cluster alone, so nothing is made and nothing goes, and what stands goes on costing.
#[tokio::test(start_paused = true)]
async fn of_a_refused_cluster_only_the_tiers_that_stand_are_counted() {
    let mut account = with_tiers("daily = 2");
    nights(&account, 4).await;
    account.plans = super::plans(&two_plans(&super::tiers::tiered("daily = 2")));
    limit(&mut account, None, Some(1_000));
    let report = told(&account).await;
    assert!(failures(&report).contains("two_plans"), "{report:?}");
    assert_eq!(report.budget.unwrap().state, State::Within);
    let told = report.estimate.unwrap();
    assert_eq!((told.clusters, told.bytes), (0, Some(0)));
    assert_eq!(told.refused, ["orders-prod"]);
    for region in [HOME, NEAR, FAR] {
        let line = at(&told, region);
        let tiers = line.tiers.unwrap();
        let counted = (tiers.standing, tiers.made, tiers.deleted);
        assert_eq!(counted, (2, 0, 0), "{region}");
        let bytes = (line.sent_bytes, line.stored_bytes);
        assert_eq!(bytes, (0, 2 * 7 * super::GB), "{region}");
    }
}
