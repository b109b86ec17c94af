//! Restores into a new cluster, and of collections into one that exists.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Account, CLUSTER, FAR, GB, HOME, NEAR, PROJECT, text};

const RESTORED: Duration = Duration::from_secs(30);

fn body(name: &str, status: &str) -> Value {
    json!({"projectId": PROJECT, "clusterName": name, "cuSize": 2, "collectionStatus": status})
}

fn restore(account: &Account, backup: &str, body: &Value) -> Value {
    let path = format!("clusters/{CLUSTER}/backups/{backup}/restoreCluster");
    account.post(&path, body)
}

#[test]
fn restoring_needs_the_right_to_make_clusters_too() {
    let mut account = Account::new();
    let backup = account.backed_up(&[]);
    account.seed(
        "keys",
        &json!([{"key": "custom-0001", "role": {"custom": ["backup_view", "backup_manage"]}}]),
    );
    account.0.key = "custom-0001";
    let path = format!("clusters/{CLUSTER}/backups/{backup}/restoreCluster");
    assert_eq!(account.refused_post(&path, &body("again", "KEEP")), 96013);
}

/// Collections of a cluster and whether they are loaded.
fn collections(account: &Account, cluster: &str) -> Vec<(String, bool)> {
    let known = account.known("clusters");
    let found = known.iter().find(|known| known["id"] == cluster).unwrap();
    let collections = found["collections"].as_array().unwrap().iter();
    collections
        .map(|one| {
            let name = format!("{}/{}", text(&one["database"]), text(&one["name"]));
            (name, one["loaded"].as_bool().unwrap())
        })
        .collect()
}

#[test]
fn a_backup_comes_back_as_a_new_cluster() {
    let account = Account::new();
    let backup = account.backed_up(&[]);
    let begun = restore(&account, &backup, &body("again", "KEEP"));
    assert_eq!(begun["username"], "db_admin");
    assert!(!text(&begun["password"]).is_empty());
    let cluster = text(&begun["clusterId"]);
    let job = text(&begun["jobId"]);
    account.pass(Duration::from_secs(12));
    let shown = account.get(&format!("clusters/{cluster}"));
    assert_eq!(
        (&shown["status"], &shown["createProgress"]),
        (&json!("CREATING"), &json!(47))
    );
    account.pass(RESTORED);
    let done = account.job(&job);
    assert_eq!(
        (&done["type"], &done["status"]),
        (&json!("RESTORE"), &json!("SUCCESSFUL"))
    );
    let shown = account.get(&format!("clusters/{cluster}"));
    for (field, value) in [
        ("status", json!("RUNNING")),
        ("createProgress", json!(100)),
        ("clusterName", json!("again")),
        ("regionId", json!(HOME)),
        ("cuSize", json!(2)),
        ("cuType", json!("Performance-optimized")),
        ("storageSize", json!(7 * GB)),
        ("snapshotNumber", json!(0)),
    ] {
        assert_eq!(shown[field], value, "{field}");
    }
    let kept = |name: &str, loaded| (name.to_owned(), loaded);
    assert_eq!(
        collections(&account, &cluster),
        [
            kept("/orders", true),
            kept("/users", false),
            kept("archive/old", false)
        ]
    );
    let released = text(&restore(&account, &backup, &body("cold", "RELEASE"))["clusterId"]);
    account.pass(RESTORED);
    assert!(
        collections(&account, &released)
            .iter()
            .all(|(_, loaded)| !loaded)
    );
}

#[test]
fn a_copy_comes_back_where_it_lies() {
    let account = Account::new();
    let original = account.backed_up(&[FAR]);
    account.delete(&format!("clusters/{CLUSTER}/backups/{original}"));
    account.delete(&format!("clusters/{CLUSTER}/drop"));
    let copy = text(&account.backups()[0]["backupId"]);
    let begun = restore(&account, &copy, &body("orders-prod", "KEEP"));
    account.pass(RESTORED);
    let shown = account.get(&format!("clusters/{}", text(&begun["clusterId"])));
    assert_eq!(
        (&shown["regionId"], &shown["status"]),
        (&json!(FAR), &json!("RUNNING"))
    );
}

#[test]
fn the_old_words_for_the_load_state_are_taken_where_that_is_switched_on() {
    let account = Account::new();
    let backup = account.backed_up(&[]);
    account.0.emulator.update_settings(|settings| {
        settings.zilliz.old_collection_status = true;
    });
    let begun = restore(&account, &backup, &body("again", "LOADED"));
    account.pass(RESTORED);
    let loaded = collections(&account, &text(&begun["clusterId"]));
    assert_eq!(loaded[0], ("/orders".to_owned(), true));
}

#[test]
fn collections_come_back_one_by_one_or_all_together() {
    let account = Account::new();
    let backup = account.backed_up(&[NEAR]);
    for (cluster, name, region) in [("in01-one", "one", FAR), ("in01-all", "all", HOME)] {
        let row = json!({"id": cluster, "name": name, "project": PROJECT, "region": region});
        account.seed("clusters", &json!([row]));
    }
    let path = format!("clusters/{CLUSTER}/backups/{backup}/restoreCollection");
    let wanted = json!([{"collectionName": "users", "destCollectionName": "people", "destCollectionStatus": "LOADED"}]);
    let one = json!({"destClusterId": "in01-one",
        "dbCollections": [{"dbName": "default", "destDbName": "back", "collections": wanted}]});
    let job = text(&account.post(&path, &one)["jobId"]);
    assert!(collections(&account, "in01-one").is_empty());
    let known = account.known("jobs");
    let known = known.iter().find(|known| known["id"] == job).unwrap();
    assert_eq!(known["region"], FAR);
    account.post(&path, &json!({"destClusterId": "in01-all"}));
    account.pass(RESTORED);
    assert_eq!(account.job(&job)["status"], "SUCCESSFUL");
    assert_eq!(
        collections(&account, "in01-one"),
        [("back/people".to_owned(), true)]
    );
    let all = collections(&account, "in01-all");
    assert_eq!(all.len(), 3);
    assert!(all.iter().all(|(_, loaded)| !loaded));
    let shown = account.get("clusters/in01-all");
    assert_eq!(shown["storageSize"], json!(7 * GB));
}

#[test]
fn a_cluster_that_is_being_made_receives_nothing() {
    let account = Account::new();
    let backup = account.backed_up(&[]);
    let begun = restore(&account, &backup, &body("again", "KEEP"));
    let path = format!("clusters/{CLUSTER}/backups/{backup}/restoreCollection");
    let into = json!({"destClusterId": begun["clusterId"]});
    assert_eq!(account.refused_post(&path, &into), 96039);
    account.pass(RESTORED);
    // It runs now, and has these collections already.
    assert_eq!(account.refused_post(&path, &into), 96039);
    let orders =
        json!([{"collections": [{"collectionName": "orders", "destCollectionName": "orders2"}]}]);
    let into = json!({"destClusterId": begun["clusterId"], "dbCollections": orders});
    account.post(&path, &into);
}
