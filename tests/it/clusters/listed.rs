//! `list` shows every backup that stands, where it lies and how it came to be, and changes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lifeboat::event::{ByHand, Request};
use lifeboat::report::Outcome;
use lifeboat::zilliz::listed::{BackupLine, ClusterList, Method, list};
use lifeboat_emulator::Method as Http;
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::tiers::{by_somebody_else, night, tiered, with_tiers};
use super::{Account, CLUSTER, FAR, HOME, KEY, NEAR, two_plans};

fn by_hand(collections: &[&str]) -> Request {
    Request {
        manual: true,
        by_hand: ByHand {
            cluster: None,
            collections: collections.iter().map(|name| (*name).to_owned()).collect(),
        },
        ..Request::default()
    }
}

fn of(list: &ClusterList, method: Method) -> Vec<&BackupLine> {
    let lines = list.backups.shown.iter();
    lines.filter(|line| line.method == method).collect()
}

/// What the emulator knows to stand: regions by id.
fn known(account: &Account) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let backups = account.known("backups").into_iter();
    backups
        .filter(|backup| backup["status"] != "DELETED")
        .map(|backup| (text(&backup["id"]), text(&backup["region"])))
        .collect()
}

fn listed(list: &ClusterList) -> BTreeMap<String, String> {
    let lines = list.backups.shown.iter();
    lines
        .map(|line| (line.backup.clone(), line.region.clone().unwrap()))
        .collect()
}

/// Regions in which there is one of a kind.
fn regions(lines: &[&BackupLine]) -> Vec<String> {
    let mut regions: Vec<String> = lines
        .iter()
        .map(|line| line.region.clone().unwrap())
        .collect();
    regions.sort();
    regions
}

/// Two tiers, one by hand, one of somebody else, and what the policy made, each in three regions.
async fn mixed(account: &Account) {
    for _ in 0..4 {
        night(account).await;
        account.sleep(24).await;
    }
    let report = account.run(by_hand(&[])).await;
    assert_eq!(report.outcome, Outcome::Succeeded, "{:?}", report.failures);
    account.sleep(1).await;
    by_somebody_else(account).unwrap();
    account.sleep(1).await;
}

#[tokio::test(start_paused = true)]
async fn every_backup_is_listed_with_its_region_its_method_and_why_it_stays() {
    let account = with_tiers("daily = 2");
    mixed(&account).await;
    let asked = |operation: &str| account.calls(operation);
    let changes = [
        "zilliz.create_backup",
        "zilliz.delete_backup",
        "zilliz.set_policy",
    ];
    let before = changes.map(asked);

    let list = account.list().await;

    assert_eq!(list.outcome, Outcome::Succeeded, "{:?}", list.failures);
    assert_eq!(listed(&list), known(&account));
    assert_eq!(changes.map(asked), before, "it changes nothing");
    let each = [FAR, NEAR, HOME];
    assert_eq!(regions(&of(&list, Method::Manual)), each);
    assert_eq!(regions(&of(&list, Method::Other)), each);
    let twice: Vec<&str> = each.iter().flat_map(|region| [*region, region]).collect();
    assert_eq!(regions(&of(&list, Method::Tier)), twice);
    for line in of(&list, Method::Automatic) {
        assert!(line.expires_at > line.created_at, "{line:?}");
    }
    for line in &list.backups.shown {
        assert_eq!(
            (line.name.as_str(), line.bytes),
            ("orders-prod", Some(7 * super::GB))
        );
        assert_eq!(
            (line.state.as_str(), line.of_collections),
            ("available", false)
        );
        assert_eq!(line.expires_at.is_some(), line.method == Method::Automatic);
    }
    for tiers in of(&list, Method::Tier).chunks(2) {
        let [older, newer] = tiers else {
            panic!("{list:?}")
        };
        assert_eq!(older.why, "no rule keeps it");
        let why = "among the 1 newest; the newest as of the day 2026-11-25";
        // At home it is the original of copies that stand, too.
        assert!(newer.why.ends_with(why), "{newer:?}");
    }
    let counts = list.counts;
    assert_eq!(
        (counts.manual, counts.others, counts.tiers, counts.clusters),
        (3, 3, 6, 1)
    );
    assert_eq!(counts.bytes, counts.backups * 7 * super::GB);
    // By cluster and region, oldest first.
    let order = list
        .backups
        .shown
        .iter()
        .map(|line| (line.region.clone(), line.created_at));
    assert!(order.is_sorted());
}

#[tokio::test(start_paused = true)]
async fn what_is_being_made_and_what_is_of_collections_says_so() {
    let mut account = Account::new().with_journal();
    account.add_cluster(
        "in01-0001",
        "orders-eu",
        &json!({"collections": [{"name": "orders", "bytes": 5}]}),
    );
    account.plans = super::plans(&super::PLAN.replace("\"*\"", "\"orders-eu\""));
    by_somebody_else(&account).unwrap();
    let run = account.run_within(by_hand(&["orders"]), Duration::from_secs(3));
    assert!(run.await.stays_open);
    // What an open run has begun is known to be the plan's, too; and no other cluster is shown.
    let list = account.list().await;
    let [line] = list.backups.shown.as_slice() else {
        panic!("{list:?}")
    };
    assert_eq!(
        (line.method, line.state.as_str(), line.of_collections),
        (Method::Manual, "creating", true)
    );
    assert_eq!(line.cluster, "in01-0001");
}

#[tokio::test(start_paused = true)]
async fn backups_of_a_cluster_that_was_dropped_are_listed() {
    let account = with_tiers("daily = 2");
    mixed(&account).await;
    let path = format!("/zilliz/v2/clusters/{CLUSTER}/drop");
    account.wire.call(Http::Delete, &path, "", KEY, Vec::new());
    let list = account.list().await;
    assert_eq!(listed(&list), known(&account));
    assert_eq!(of(&list, Method::Tier).len(), 6);
    assert!(
        of(&list, Method::Tier)
            .iter()
            .all(|line| line.why.contains("selects its cluster no more")
                && line.name == "orders-prod"),
        "{list:?}"
    );
}

/// A run leaves it alone, so nothing of it is due, whatever the rules say.
#[tokio::test(start_paused = true)]
async fn tiers_of_a_refused_cluster_stay_until_somebody_deletes_them() {
    let mut account = with_tiers("daily = 2");
    mixed(&account).await;
    account.plans = super::plans(&two_plans(&tiered("daily = 2")));
    let list = account.list().await;
    assert_eq!(list.outcome, Outcome::Succeeded, "{:?}", list.failures);
    assert_eq!(listed(&list), known(&account));
    let tiers = of(&list, Method::Tier);
    assert_eq!(tiers.len(), 6);
    let why = "its cluster is refused, so it stays until somebody deletes it";
    assert!(tiers.iter().all(|line| line.why == why), "{tiers:?}");
}

#[tokio::test(start_paused = true)]
async fn without_the_journals_word_nobody_is_called_the_owner_and_all_are_still_shown() {
    let objects = Arc::new(InMemory::new());
    let mut account = Account::with(&tiered("daily = 2")).with_journal_in(&objects);
    mixed(&account).await;
    let broken = Path::from(format!("journal/clusters/tiers/prod/{CLUSTER}-1.json"));
    objects.put(&broken, "{".into()).await.unwrap();
    let unread = account.list().await;
    assert_eq!(
        (unread.outcome, unread.failures.len()),
        (Outcome::Failed, 1)
    );
    assert!(
        unread.failures.shown[0]
            .message
            .contains("whose backups those are"),
        "{unread:?}"
    );
    account.journal = None;
    let without = account.list().await;
    assert_eq!(without.outcome, Outcome::Succeeded);
    for list in [unread, without] {
        assert_eq!(listed(&list), known(&account));
        assert_eq!(of(&list, Method::Unknown).len(), 12);
    }
}

/// What the terminal remembers of itself is nothing of what the nights made.
#[tokio::test(start_paused = true)]
async fn what_is_not_in_this_machines_own_journal_is_not_called_somebody_elses() {
    let mut account = with_tiers("daily = 2");
    mixed(&account).await;
    account = account.with_journal();
    account.is_shared = false;
    let report = account.run(by_hand(&[])).await;
    assert_eq!(report.outcome, Outcome::Succeeded, "{:?}", report.failures);
    let list = account.list().await;
    assert_eq!(list.outcome, Outcome::Succeeded, "{:?}", list.failures);
    assert_eq!(of(&list, Method::Other), Vec::<&BackupLine>::new());
    assert_eq!(of(&list, Method::Manual).len(), 3);
    let unknown = of(&list, Method::Unknown);
    assert_eq!(unknown.len(), 12);
    let says = |line: &&BackupLine| line.why.contains("set LIFEBOAT_JOURNAL to it");
    assert!(unknown.iter().all(says), "{unknown:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_listed_and_can_not_be_described_is_shown_with_a_warning() {
    let account = Account::new();
    by_somebody_else(&account).unwrap();
    account.sleep(1).await;
    let gone = json!({"code": 90012, "message": "backup not found"}).to_string();
    account.faults(json!([{"match": {"operation": "zilliz.describe_backup"},
        "fault": {"status": 200, "body": gone}, "times": 1}]));
    let list = account.list().await;
    assert_eq!(list.outcome, Outcome::Succeeded, "{:?}", list.failures);
    assert_eq!(list.backups.len(), 3);
    let mut lines = list.backups.shown.iter();
    let line = lines.find(|line| line.region.is_none()).unwrap();
    let told = list.warnings.shown.join("\n");
    assert!(
        told.contains(&format!("1 backups of {CLUSTER} are in the service's list"))
            && told.contains(&line.backup),
        "{told}"
    );
}

/// The limit is shared by all that use the key, so what is not sent must not take anybody's turn.
#[tokio::test(start_paused = true)]
async fn what_time_ran_out_for_keeps_nobody_waiting() {
    let account = Account::new();
    for _ in 0..100 {
        by_somebody_else(&account).unwrap();
        account.sleep(1).await;
    }
    let client = account.client();
    let time_left = Duration::from_secs(4);
    let world = account.world(&client);
    let listed = Box::pin(list(&world, "test".into(), time_left)).await;
    assert_eq!(listed.backups.len(), 300, "none is left out");
    let failure = &listed.failures.shown[0];
    assert_eq!(failure.error, "out_of_time", "{failure:?}");
    let (asked, line) = (Instant::now(), &listed.backups.shown[0]);
    client.backup(CLUSTER, &line.backup).await.unwrap().unwrap();
    let waited = asked.elapsed();
    assert!(waited < Duration::from_secs(3), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_not_whole_is_no_list_and_an_unknown_region_is_told() {
    let account = with_tiers("daily = 2");
    mixed(&account).await;
    account.faults(
        json!([{"match": {"operation": "zilliz.describe_backup"}, "fault": {"status": 500}}]),
    );
    let list = account.list().await;
    assert_eq!(list.outcome, Outcome::Failed);
    assert_eq!(
        list.backups.len(),
        known(&account).len(),
        "one that says no region is not left out"
    );
    assert!(list.backups.shown.iter().all(|line| line.region.is_none()));
    assert_eq!(list.failures.len(), 1, "it is told once for a cluster");
    account
        .faults(json!([{"match": {"operation": "zilliz.list_backups"}, "fault": {"status": 500}}]));
    let list = account.list().await;
    assert_eq!((list.outcome, list.backups.len()), (Outcome::Failed, 0));
}
