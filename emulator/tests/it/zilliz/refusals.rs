//! The table of what is refused and by which code. Every row is a request that would succeed but for one thing.

use lifeboat_emulator::Method;
use serde_json::{Value, json};

use super::{Account, CLUSTER, FAR, HOME, NEAR, PLAIN_PROJECT, PROJECT};

/// A request with one field changed; null counts as absent.
fn with(good: &Value, field: &str, value: Value) -> Value {
    let mut body = good.clone();
    body[field] = value;
    body
}

#[test]
fn clusters_and_jobs_must_exist() {
    let account = Account::new();
    let whole = json!({"backupType": "CLUSTER"});
    let create = |cluster: &str| format!("clusters/{cluster}/backups/create");
    for (cluster, code) in [
        ("", 96025),
        ("%20", 96025),
        ("in01_x", 96036),
        ("in01-000000000000000", 96018),
    ] {
        let got = account.refused_post(&create(cluster), &whole);
        assert_eq!(got, code, "{cluster:?}");
    }
    assert_eq!(account.refused_get("jobs/job-none"), 96026);
    assert_eq!(account.refused_get("clusters/in01-0/backups/policy"), 96018);
    assert_eq!(account.call(Method::Get, "none", &Value::Null).status, 404);
}

#[test]
fn only_dedicated_clusters_are_backed_up() {
    let account = Account::new();
    account.seed(
        "clusters",
        &json!([
            {"id": "in03-0", "name": "free", "project": PROJECT, "region": HOME, "deployment": "Free", "plan": "Free"},
            {"id": "in05-0", "name": "less", "project": PROJECT, "region": HOME, "deployment": "Serverless"},
            {"id": "in01-0", "name": "plain", "project": PLAIN_PROJECT, "region": HOME},
        ]),
    );
    let whole = json!({"backupType": "CLUSTER"});
    for (cluster, code) in [("in03-0", 96021), ("in05-0", 96022)] {
        let base = format!("clusters/{cluster}/backups");
        assert_eq!(
            account.refused_post(&format!("{base}/create"), &whole),
            code
        );
        assert_eq!(account.refused_get(&format!("{base}/policy")), code);
    }
    account.post("clusters/in01-0/backups/create", &whole); // on the Standard plan too
}

#[test]
fn types_and_collections_of_a_backup_are_checked() {
    let account = Account::new();
    let create = format!("clusters/{CLUSTER}/backups/create");
    let of = |names: Value| json!({"backupType": "COLLECTION", "dbCollections": names});
    for (body, code) in [
        (json!({}), 96029),
        (json!({"backupType": "cluster"}), 96029),
        (json!({"backupType": 1}), 96029),
        (json!({"backupType": "COLLECTION"}), 96038),
        (of(json!([])), 96038),
        (of(json!([{"collectionNames": []}])), 96038),
        (of(json!([{"collectionNames": ["none"]}])), 96038),
        (
            of(json!([{"dbName": "archive", "collectionNames": ["orders"]}])),
            96038,
        ),
        (
            of(
                json!([{"collectionNames": ["orders"]}, {"dbName": "archive", "collectionNames": ["old"]}]),
            ),
            96038,
        ),
    ] {
        assert_eq!(account.refused_post(&create, &body), code, "{body}");
    }
    assert!(account.backups().is_empty());
}

#[test]
fn copies_go_only_where_the_product_lets_them() {
    let account = Account::new();
    account.seed(
        "projects",
        &json!([{"id": "proj-byoc", "name": "own", "plan": "Enterprise", "org_type": "BYOC", "regions": [NEAR]}]),
    );
    account.seed(
        "clusters",
        &json!([
            {"id": "in01-az", "name": "az", "project": PROJECT, "region": "az-eastus"},
            {"id": "in01-plain", "name": "plain", "project": PLAIN_PROJECT, "region": HOME},
            {"id": "in01-byoc", "name": "byoc", "project": "proj-byoc", "region": HOME},
        ]),
    );
    let create = |cluster: &str, regions: &[&str]| {
        let copies: Vec<Value> = regions.iter().map(|id| json!({"regionId": id})).collect();
        account.call(
            Method::Post,
            &format!("clusters/{cluster}/backups/create"),
            &json!({"backupType": "CLUSTER", "crossRegionCopies": copies}),
        )
    };
    for (cluster, regions, code, message) in [
        (
            CLUSTER,
            &["gcp-moon"][..],
            96001,
            "Unknown regionId: gcp-moon.",
        ),
        (CLUSTER, &["aws-us-east-1"], 96038, "another cloud"),
        (CLUSTER, &[HOME], 96038, "own region"),
        (CLUSTER, &[NEAR, NEAR], 96038, "twice"),
        (
            CLUSTER,
            &["gcp-us-central1"],
            96038,
            "not bound to the project",
        ),
        (CLUSTER, &[""], 96038, "regionId"),
        ("in01-az", &["az-eastus2"], 96038, "Azure"),
        (
            "in01-plain",
            &[NEAR],
            96038,
            "Business Critical plan or BYOC",
        ),
    ] {
        let got = create(cluster, regions).body;
        assert_eq!(got["code"], code, "{cluster} {regions:?}");
        let told = got["message"].as_str().unwrap();
        assert!(told.contains(message), "{told}");
    }
    assert!(account.backups().is_empty());
    assert_eq!(create("in01-byoc", &[NEAR]).body["code"], 0);
    for body in [
        json!({"backupType": "CLUSTER", "crossRegionCopies": null, "unknown": [1]}),
        json!({"backupType": "CLUSTER", "crossRegionCopies": []}),
    ] {
        account.create(&body);
        account.pass(super::BACKED_UP);
    }
    let bad = json!({"backupType": "CLUSTER", "crossRegionCopies": {"regionId": NEAR}});
    let path = format!("clusters/{CLUSTER}/backups/create");
    assert_eq!(account.refused_post(&path, &bad), 96038);
}

#[test]
fn filters_and_pages_are_checked() {
    let account = Account::new();
    for (query, code) in [
        ("backupType=ALL", 96029),
        ("creationMethod=auto", 96030),
        ("pageSize=0", 96008),
        ("pageSize=101", 96008),
        ("currentPage=0", 96009),
        ("start=yesterday", 96007),
        ("end=2026-13-01T00:00:00Z", 96007),
        ("start=2026-11-22T00:00:00Z&end=2026-11-21T00:00:00Z", 96035),
        ("projectId=proj-none", 96005),
    ] {
        assert_eq!(
            account.refused_get(&format!("backups?{query}")),
            code,
            "{query}"
        );
    }
    assert_eq!(account.refused_get("clusters?pageSize=1000"), 96008);
}

#[test]
fn policies_are_checked() {
    let account = Account::new();
    let path = format!("clusters/{CLUSTER}/backups/policy");
    let copy = |days: Value| json!([{"regionId": NEAR, "retentionDays": days}]);
    let good = json!({"enabled": true, "frequency": "2,5", "startTime": "01:00-03:00", "retentionDays": 14,
        "crossRegionCopies": copy(json!(5))});
    for (field, value, code) in [
        ("enabled", Value::Null, 96038),
        ("enabled", json!("true"), 96038),
        ("frequency", Value::Null, 96032),
        ("frequency", json!(""), 96032),
        ("frequency", json!("0,8"), 96032),
        ("frequency", json!(3), 96032),
        ("startTime", Value::Null, 96033),
        ("startTime", json!("01:00"), 96033),
        ("startTime", json!("01:00-04:00"), 96033),
        ("retentionDays", json!(0), 96034),
        ("retentionDays", json!(31), 96034),
        ("retentionDays", json!("7"), 96034),
        ("crossRegionCopies", copy(json!(0)), 96034),
        ("crossRegionCopies", copy(json!(31)), 96034),
        ("crossRegionCopies", copy(Value::Null), 96034),
        (
            "crossRegionCopies",
            json!([{"regionId": "gcp-moon", "retentionDays": 5}]),
            96001,
        ),
        (
            "crossRegionCopies",
            json!([{"regionId": HOME, "retentionDays": 5}]),
            96038,
        ),
    ] {
        let body = with(&good, field, value);
        assert_eq!(account.refused_post(&path, &body), code, "{body}");
        assert_eq!(account.get(&path)["status"], "DISABLED", "{body}");
    }
    assert!(account.backups().is_empty());
    account.post(&path, &good);
}

#[test]
fn restores_are_checked() {
    let account = Account::new();
    let backup = account.backed_up(&[NEAR]);
    account.seed(
        "clusters",
        &json!([{"id": "in01-into", "name": "into", "project": PROJECT, "region": FAR}]),
    );
    let path = format!("clusters/{CLUSTER}/backups/{backup}/restoreCluster");
    let good = json!({"projectId": PROJECT, "clusterName": "again", "cuSize": 2, "collectionStatus": "KEEP"});
    for (field, value, code) in [
        ("projectId", Value::Null, 96005),
        ("projectId", json!("proj-none"), 96005),
        ("projectId", json!(PLAIN_PROJECT), 96040), // not bound to the backup's region
        ("clusterName", Value::Null, 96010),
        ("clusterName", json!("orders prod"), 96010),
        ("clusterName", json!("orders-prod"), 40013),
        ("cuSize", Value::Null, 96002),
        ("cuSize", json!(0), 96002),
        ("cuSize", json!(1025), 96002),
        ("collectionStatus", Value::Null, 96031),
        ("collectionStatus", json!("LOADED"), 96031),
        ("restoreVersionPolicy", json!("NEWEST"), 96040),
    ] {
        let body = with(&good, field, value);
        assert_eq!(account.refused_post(&path, &body), code, "{body}");
    }
    let none = format!("clusters/{CLUSTER}/backups/backup0_0/restoreCluster");
    assert_eq!(account.refused_post(&none, &good), 96040);

    let path = format!("clusters/{CLUSTER}/backups/{backup}/restoreCollection");
    let one = |name: &str, status: &str| {
        let collections = json!([{"collectionName": name, "destCollectionStatus": status}]);
        json!({"destClusterId": "in01-into", "dbCollections": [{"dbName": "", "collections": collections}]})
    };
    let two = json!([{"collectionName": "orders"}, {"collectionName": "users"}]);
    for (body, code) in [
        (json!({}), 96025),
        (json!({"destClusterId": "in01-none"}), 96018),
        (json!({"destClusterId": CLUSTER}), 96039), // all of them exist there
        (one("none", "LOADED"), 96039),
        (one("orders", "KEEP"), 96037),
        (
            json!({"destClusterId": "in01-into", "dbCollections": [{"dbName": "", "collections": two}]}),
            96039,
        ),
    ] {
        assert_eq!(account.refused_post(&path, &body), code, "{body}");
    }
    assert_eq!(account.get("clusters")["count"], 2);
}
