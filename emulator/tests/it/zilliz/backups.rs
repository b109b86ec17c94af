//! Manual backups and their copies: states, contents, listing, deleting.

use std::collections::BTreeSet;
use std::time::Duration;

use lifeboat_emulator::{Method, PermanentExpiry, Settings, ZillizSettings};
use serde_json::{Value, json};

use super::{
    Account, BACKED_UP, CLUSTER, COPIED, FAR, GB, HOME, NEAR, PLAIN_PROJECT, PROJECT, text,
};

#[test]
fn a_backup_becomes_available_and_then_its_copies_begin() {
    let account = Account::new();
    let (backup, job) = account.back_up(&[NEAR, FAR]);
    assert_eq!(
        account.job(&job),
        json!({"jobId": job, "type": "BACKUP", "status": "PENDING", "progress": "0", "startTime": null,
            "endTime": null, "reason": ""})
    );
    let creating = account.describe(&backup);
    assert_eq!(
        (&creating["status"], &creating["size"]),
        (&json!("CREATING"), &json!(0))
    );

    account.pass(Duration::from_secs(7));
    let running = account.job(&job);
    assert_eq!(
        (
            &running["status"],
            &running["progress"],
            &running["startTime"]
        ),
        (
            &json!("IN_PROGRESS"),
            &json!("45"),
            &json!("2026-11-21T02:00:02Z")
        )
    );
    assert_eq!(account.backups().len(), 1, "copies wait for their original");

    account.pass(Duration::from_secs(6));
    let done = account.job(&job);
    assert_eq!(
        (&done["status"], &done["progress"], &done["endTime"]),
        (
            &json!("SUCCESSFUL"),
            &json!("100"),
            &json!("2026-11-21T02:00:13Z")
        )
    );
    assert_eq!(account.describe(&backup)["status"], "AVAILABLE");
    let states = |account: &Account| {
        let mut states: Vec<(String, String, u64)> = account
            .backups()
            .iter()
            .map(|backup| account.describe(&text(&backup["backupId"])))
            .map(|shown| {
                let size = shown["size"].as_u64().unwrap();
                (text(&shown["regionId"]), text(&shown["status"]), size)
            })
            .collect();
        states.sort();
        states
    };
    let state = |region: &str, status: &str, size| (region.to_owned(), status.to_owned(), size);
    assert_eq!(
        states(&account),
        [
            state(FAR, "CREATING", 0),
            state(NEAR, "CREATING", 0),
            state(HOME, "AVAILABLE", 7 * GB)
        ]
    );
    account.pass(COPIED);
    assert_eq!(
        states(&account),
        [
            state(FAR, "AVAILABLE", 7 * GB),
            state(NEAR, "AVAILABLE", 7 * GB),
            state(HOME, "AVAILABLE", 7 * GB)
        ]
    );
}

#[test]
fn every_target_has_a_record_and_a_job_of_its_own() {
    let account = Account::new();
    let original = account.backed_up(&[NEAR, FAR]);
    let known = account.known("backups");
    let copies: Vec<&Value> = known
        .iter()
        .filter(|backup| backup["original"] == json!(original))
        .collect();
    let regions: BTreeSet<String> = copies.iter().map(|copy| text(&copy["region"])).collect();
    assert_eq!(regions, BTreeSet::from([FAR.to_owned(), NEAR.to_owned()]));
    let jobs = account.known("jobs");
    assert_eq!(jobs.len(), 3);
    let ids: BTreeSet<String> = jobs
        .iter()
        .map(|job| account.job(&text(&job["id"])))
        .map(|job| {
            assert_eq!(
                (&job["type"], &job["status"]),
                (&json!("BACKUP"), &json!("SUCCESSFUL"))
            );
            text(&job["jobId"])
        })
        .collect();
    assert_eq!(ids.len(), 3);
    for backup in account.backups() {
        assert_eq!(backup["clusterId"], CLUSTER);
        assert_eq!(backup["creationMethod"], "MANUAL");
        assert!(
            backup.get("regionId").is_none(),
            "the listing says no region"
        );
        assert!(backup["createTime"].as_str().unwrap() >= "2026-11-21T02:00:00Z");
    }
}

#[test]
fn what_is_permanent_expires_never_in_three_spellings() {
    for (spelling, shown) in [
        (PermanentExpiry::Null, Some(Value::Null)),
        (PermanentExpiry::Empty, Some(json!(""))),
        (PermanentExpiry::Absent, None),
    ] {
        let account = Account::with(Settings {
            zilliz: ZillizSettings {
                permanent_expiry: spelling,
                ..ZillizSettings::default()
            },
            ..Settings::default()
        });
        let backup = account.backed_up(&[NEAR]);
        assert_eq!(account.describe(&backup).get("expireTime"), shown.as_ref());
        account.pass(Duration::from_hours(24 * 3650));
        assert_eq!(account.backups().len(), 2, "{spelling:?}");
    }
}

#[test]
fn a_backup_of_collections_holds_just_those() {
    let account = Account::new();
    let named = json!([{"dbName": "default", "collectionNames": ["users"]}]);
    let begun = account.create(&json!({"backupType": "COLLECTION", "dbCollections": named}));
    assert_eq!(begun["backupName"], "users_backup1");
    account.pass(BACKED_UP);
    let shown = account.describe(&text(&begun["backupId"]));
    assert_eq!(
        (
            &shown["size"],
            &shown["backupType"],
            &shown["restoreNewInstancePolicies"]
        ),
        (&json!(3 * GB), &json!("COLLECTION"), &json!([]))
    );
    let users = json!({"collectionName": "users", "description": "", "status": "UNLOADED"});
    assert_eq!(
        shown["dbCollections"],
        json!([{"dbName": "", "collections": [users]}])
    );
    let whole = account.create(&json!({"backupType": "CLUSTER"}));
    assert_eq!(whole["backupName"], "orders-prod_backup2");
    let shown = account.describe(&text(&whole["backupId"]));
    assert_eq!(shown["dbCollections"].as_array().unwrap().len(), 2);
    assert_eq!(shown["restoreNewInstancePolicies"], json!(["LATEST"]));
}

#[test]
fn a_backup_holds_what_was_there_when_it_began() {
    let account = Account::new();
    let (backup, _) = account.back_up(&[]);
    account.seed(
        "clusters",
        &json!([{"id": CLUSTER, "name": "orders-prod", "project": PROJECT, "region": HOME, "bytes": 1}]),
    );
    account.pass(BACKED_UP);
    assert_eq!(account.describe(&backup)["size"], json!(7 * GB));
    assert_eq!(
        account.get(&format!("clusters/{CLUSTER}"))["snapshotNumber"],
        1
    );
}

#[test]
fn listings_are_filtered_and_count_everything() {
    let account = Account::new();
    for hour in 0..4 {
        if hour == 0 {
            let named = json!([{"collectionNames": ["users", "orders"]}]);
            account.create(&json!({"backupType": "COLLECTION", "dbCollections": named}));
            account.pass(BACKED_UP);
        } else {
            account.backed_up(&[]);
        }
        let next = format!("2026-11-21T{:02}:00:00Z", 3 + hour);
        account.0.emulator.set_now(next.parse().unwrap());
    }
    let count = |query: &str| account.get(&format!("backups?{query}"))["count"].clone();
    for (query, expected) in [
        ("", 4),
        ("backupType=COLLECTION", 1),
        ("backupType=CLUSTER", 3),
        ("creationMethod=AUTO", 0),
        ("creationMethod=MANUAL&backupType=CLUSTER", 3),
        ("clusterId=in01-none", 0),
        ("start=2026-11-21T03:00:00Z", 3),
        ("start=2026-11-21T03:00:00Z&end=2026-11-21T04:00:00Z", 2),
        ("end=2026-11-21T02:59:59Z", 1),
        ("end=2026-11-21T03:59:59%2B01:00", 1),
    ] {
        assert_eq!(count(query), expected, "{query}");
    }
    assert_eq!(
        count(&format!("clusterId={CLUSTER}&projectId={PROJECT}")),
        4
    );
    assert_eq!(count(&format!("projectId={PLAIN_PROJECT}")), 0);
    let page = account.get("backups?pageSize=3&currentPage=2");
    assert_eq!(
        [&page["count"], &page["currentPage"], &page["pageSize"]],
        [4, 2, 3]
    );
    assert_eq!(page["backups"].as_array().unwrap().len(), 1);
    assert_eq!(
        page["backups"][0]["backupType"], "COLLECTION",
        "newest first"
    );
}

#[test]
fn a_deleted_original_leaves_its_copies() {
    let account = Account::new();
    let backup = account.backed_up(&[NEAR]);
    let path = format!("clusters/{CLUSTER}/backups/{backup}");
    assert_eq!(
        account.delete(&path),
        json!({"backupId": backup, "backupName": "orders-prod_backup1"})
    );
    assert_eq!(account.refused_get(&path), 96038);
    assert_eq!(account.refused(Method::Delete, &path, &json!({})), 96038);
    let cluster = account.get(&format!("clusters/{CLUSTER}"));
    assert_eq!(cluster["snapshotNumber"], 1);
    let left = account.backups();
    assert_eq!(left.len(), 1);
    assert_eq!(
        account.describe(&text(&left[0]["backupId"]))["regionId"],
        NEAR
    );
    account.0.emulator.update_settings(|settings| {
        settings.zilliz.deleted_can_be_described = true;
    });
    assert_eq!(account.describe(&backup)["status"], "DELETED");
}

#[test]
fn a_backup_is_found_only_under_its_own_cluster_and_deleted_only_when_it_is_made() {
    let account = Account::new();
    account.seed(
        "clusters",
        &json!([{"id": "in01-other", "name": "other", "project": PROJECT, "region": HOME}]),
    );
    let (backup, _) = account.back_up(&[]);
    let elsewhere = format!("clusters/in01-other/backups/{backup}");
    assert_eq!(account.refused_get(&elsewhere), 96038);
    let path = format!("clusters/{CLUSTER}/backups/{backup}");
    assert_eq!(account.refused(Method::Delete, &path, &json!({})), 96038);
    account.pass(BACKED_UP);
    account.delete(&path);
}

#[test]
fn one_manual_backup_at_a_time_but_copies_hold_nobody_up() {
    let account = Account::new();
    let create = format!("clusters/{CLUSTER}/backups/create");
    let whole = json!({"backupType": "CLUSTER"});
    account.back_up(&[NEAR]);
    assert_eq!(account.refused_post(&create, &whole), 96038);
    account.pass(BACKED_UP);
    assert_eq!(account.backups().len(), 2, "the copy is running");
    account.post(&create, &whole);
}

#[test]
fn a_dropped_cluster_takes_its_automatic_backups_and_leaves_the_manual_ones() {
    let account = Account::new();
    let manual = account.backed_up(&[NEAR]);
    account.post(
        &format!("clusters/{CLUSTER}/backups/policy"),
        &json!({"enabled": true, "frequency": "1", "startTime": "01:00-03:00", "retentionDays": 7}),
    );
    account.pass(BACKED_UP);
    assert_eq!(account.backups().len(), 3);
    account.delete(&format!("clusters/{CLUSTER}/drop"));
    let left = account.backups();
    assert!(
        left.iter()
            .all(|backup| backup["creationMethod"] == "MANUAL")
    );
    assert_eq!(left.len(), 2);
    assert_eq!(account.describe(&manual)["status"], "AVAILABLE");
    account.delete(&format!("clusters/{CLUSTER}/backups/{manual}"));
    account.pass(Duration::from_hours(24 * 30));
    assert_eq!(
        account.backups().len(),
        1,
        "the policy went with the cluster"
    );
}

#[test]
fn an_export_is_a_job_that_can_be_watched() {
    let account = Account::new();
    let backup = account.backed_up(&[]);
    let path = format!("clusters/{CLUSTER}/backups/{backup}/export");
    let begun = account.post(
        &path,
        &json!({"integrationId": "integ-1", "directory": "d"}),
    );
    account.pass(BACKED_UP);
    assert_eq!(account.job(&text(&begun["jobId"]))["status"], "SUCCESSFUL");
    assert_eq!(account.refused_post(&path, &json!({})), 96038);
    account.seed(
        "projects",
        &json!([{"id": PROJECT, "name": "shop", "plan": "Standard", "regions": [HOME]}]),
    );
    let where_to = json!({"integrationId": "integ-1"});
    assert_eq!(account.refused_post(&path, &where_to), 96028);
}

#[test]
fn jobs_are_listed_only_where_that_is_switched_on() {
    let account = Account::new();
    account.backed_up(&[NEAR]);
    let path = format!("jobs?type=BACKUP&clusterId={CLUSTER}&pageSize=1");
    assert_eq!(account.call(Method::Get, &path, &Value::Null).status, 404);
    account.0.emulator.update_settings(|settings| {
        settings.zilliz.jobs_can_be_listed = true;
    });
    let page = account.get(&path);
    assert_eq!(page["total"], 2);
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
    assert_eq!(page["items"][0]["regionId"], NEAR);
    assert_eq!(page["items"][0]["durationSeconds"], 71);
}
