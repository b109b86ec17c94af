//! Clouds, regions, projects, clusters, keys, and the bill.

use std::time::Duration;

use lifeboat_emulator::Method;
use serde_json::{Value, json};

use super::{Account, CLUSTER, FAR, GB, HOME, NEAR, PLAIN_PROJECT, PROJECT, text};

#[test]
fn regions_are_those_of_a_cloud() {
    let account = Account::new();
    let clouds = account.get("clouds");
    assert_eq!(clouds[0]["cloudId"], "aws");
    let regions = account.get("regions?cloudId=gcp");
    let regions = regions.as_array().unwrap();
    assert_eq!(regions.len(), 6);
    assert!(regions.iter().any(|region| region["regionId"] == HOME));
    assert_eq!(account.refused_get("regions?cloudId=oracle"), 96000);
}

#[test]
fn projects_say_what_they_hold() {
    let account = Account::new();
    assert_eq!(account.get("projects").as_array().unwrap().len(), 2);
    let project = account.get(&format!("projects/{PROJECT}"));
    assert_eq!(
        project,
        json!({
            "projectId": PROJECT, "projectName": "shop", "plan": "BusinessCritical", "orgType": "SAAS",
            "regionIds": [FAR, NEAR, HOME], "instanceCount": 1, "createTime": "2026-11-21T02:00:00Z",
            "description": "",
        })
    );
    assert_eq!(account.refused_get("projects/proj-none"), 96005);
    account.seed(
        "clusters",
        &json!([{"name": "east", "project": PLAIN_PROJECT, "region": "aws-us-east-1"}]),
    );
    let plain = account.get(&format!("projects/{PLAIN_PROJECT}"));
    assert_eq!(plain["regionIds"], json!(["aws-us-east-1"]));
}

#[test]
fn regions_are_bound_to_a_business_critical_project_and_copies_may_go_there() {
    let account = Account::new();
    let regions = format!("projects/{PROJECT}/regions");
    let to =
        json!({"backupType": "CLUSTER", "crossRegionCopies": [{"regionId": "gcp-us-central1"}]});
    let create = format!("clusters/{CLUSTER}/backups/create");
    assert_eq!(account.refused_post(&create, &to), 96038);

    let bound = account.post(&regions, &json!({"regionIds": ["gcp-us-central1", NEAR]}));
    assert_eq!(bound["projectId"], PROJECT);
    assert_eq!(
        bound["regionIds"],
        json!([FAR, "gcp-us-central1", NEAR, HOME])
    );
    account.post(&create, &to);

    let left = account.delete(&format!("{regions}/gcp-us-central1"));
    assert_eq!(left, json!([FAR, NEAR, HOME]));
    let refused = |method, path: &str, body: &Value| account.refused(method, path, body);
    for (path, what) in [
        (HOME, "has a cluster"),
        ("gcp-us-central1", "is bound no more"),
    ] {
        let path = format!("{regions}/{path}");
        assert_eq!(
            refused(Method::Delete, &path, &Value::Null),
            96038,
            "{what}"
        );
    }
    for (body, code) in [
        (json!({"regionIds": ["gcp-nowhere"]}), 96001),
        (json!({"regionIds": []}), 96038),
        (json!({"regionIds": "gcp-us-east4"}), 96038),
    ] {
        assert_eq!(refused(Method::Post, &regions, &body), code, "{body}");
    }
    let plain = format!("projects/{PLAIN_PROJECT}/regions");
    assert_eq!(
        refused(Method::Post, &plain, &json!({"regionIds": [NEAR]})),
        96038
    );
}

#[test]
fn clusters_are_listed_by_page_and_region() {
    let account = Account::new();
    let more: Vec<Value> = (0..24)
        .map(|number| json!({"name": format!("c{number}"), "project": PROJECT, "region": NEAR}))
        .collect();
    account.seed("clusters", &json!(more));
    let page = account.get("clusters");
    assert_eq!(
        [&page["count"], &page["currentPage"], &page["pageSize"]],
        [25, 1, 10]
    );
    let last = account.get("clusters?pageSize=10&currentPage=3");
    assert_eq!(last["clusters"].as_array().unwrap().len(), 5);
    let past = account.get("clusters?pageSize=10&currentPage=4");
    assert_eq!(
        (&past["count"], &past["clusters"]),
        (&json!(25), &json!([]))
    );
    let home = account.get(&format!("clusters?region={HOME}"));
    assert_eq!(home["count"], 1);
    assert_eq!(home["clusters"][0].get("storageSize"), None);
    let cluster = account.get(&format!("clusters/{CLUSTER}"));
    for (field, value) in [
        ("clusterName", json!("orders-prod")),
        ("plan", json!("BusinessCritical")),
        ("deploymentOption", json!("Dedicated")),
        ("status", json!("RUNNING")),
        ("cuSize", json!(1)),
        ("replica", json!(1)),
        ("storageSize", json!(7 * GB)),
        ("snapshotNumber", json!(0)),
        ("createProgress", json!(100)),
    ] {
        assert_eq!(cluster[field], value, "{field}");
    }
}

#[test]
fn a_dropped_cluster_is_gone() {
    let account = Account::new();
    account.delete(&format!("clusters/{CLUSTER}/drop"));
    assert_eq!(account.refused_get(&format!("clusters/{CLUSTER}")), 96018);
    assert_eq!(account.get("clusters")["count"], 0);
    let project = account.get(&format!("projects/{PROJECT}"));
    assert_eq!(project["instanceCount"], 0);
}

/// Calls as the holder of another key.
fn as_key(account: &mut Account, key: &'static str, method: Method, path: &str) -> (u16, Value) {
    account.0.key = key;
    let body = json!({"backupType": "CLUSTER"});
    let got = account.call(method, path, &body);
    (got.status, got.body["code"].clone())
}

#[test]
fn a_wrong_key_is_refused_by_status() {
    let mut account = Account::new();
    let missing = as_key(&mut account, "", Method::Get, "clusters");
    assert_eq!(missing, (401, json!(21119)), "though any key is good");
    account.seed(
        "keys",
        &json!([{"key": "good-key-0001", "role": "project_admin"}]),
    );
    for key in ["", "wrong-key-0001"] {
        assert_eq!(
            as_key(&mut account, key, Method::Get, "clusters"),
            (401, json!(21119))
        );
    }
    assert_eq!(
        as_key(&mut account, "good-key-0001", Method::Get, "clusters"),
        (200, json!(0))
    );
}

#[test]
fn keys_reach_their_scope_and_do_what_their_role_may() {
    let mut account = Account::new();
    account.seed(
        "keys",
        &json!([
            {"key": "viewer-0001", "role": "viewer"},
            {"key": "custom-0001", "role": {"custom": ["backup_manage"]}},
            {"key": "scoped-0001", "role": "project_admin", "projects": [PLAIN_PROJECT]},
            {"key": "narrow-0001", "role": "project_admin", "clusters": ["in01-other"]},
            {"key": "others-0001", "role": "organization_owner", "organisation": "other"},
        ]),
    );
    let create = format!("clusters/{CLUSTER}/backups/create");
    let cluster = format!("clusters/{CLUSTER}");
    let project = format!("projects/{PROJECT}");
    for (key, method, path, code) in [
        ("viewer-0001", Method::Get, &cluster, 0),
        ("viewer-0001", Method::Post, &create, 96015),
        ("custom-0001", Method::Get, &cluster, 96015),
        ("custom-0001", Method::Post, &create, 0),
        ("scoped-0001", Method::Get, &cluster, 96016),
        ("scoped-0001", Method::Get, &project, 96027),
        ("narrow-0001", Method::Get, &cluster, 96016),
        ("narrow-0001", Method::Get, &project, 0),
        ("others-0001", Method::Get, &cluster, 96014),
        ("others-0001", Method::Get, &project, 96012),
    ] {
        let got = as_key(&mut account, key, method, path);
        assert_eq!(got, (200, json!(code)), "{key} {path}");
    }
    let job = format!("jobs/{}", text(&account.known("jobs")[0]["id"]));
    for key in ["scoped-0001", "narrow-0001", "others-0001", "custom-0001"] {
        account.0.key = key;
        assert_eq!(account.get("backups")["count"], 0, "{key}");
        assert_eq!(account.refused_get(&job), 96026, "{key}");
    }
    for (key, projects) in [("scoped-0001", 1), ("others-0001", 0), ("viewer-0001", 2)] {
        account.0.key = key;
        assert_eq!(account.get("projects").as_array().unwrap().len(), projects);
    }
    assert_eq!(account.get("backups")["count"], 1);
    assert_eq!(account.get(&job)["type"], "BACKUP");
    let view = account.0.get("/_emulator/zilliz/keys").body.to_string();
    assert!(
        view.contains("0001") && !view.contains("viewer-0001"),
        "{view}"
    );
}

#[test]
fn the_vendors_example_of_costs_can_be_lived_through() {
    let account = Account::new();
    account.seed(
        "clusters",
        &json!([{"id": CLUSTER, "name": "orders-prod", "project": PROJECT, "region": HOME, "bytes": 20 * GB}]),
    );
    account.back_up(&[NEAR, FAR]);
    let minute = Duration::from_mins(1);
    for _ in 0..10 {
        account.pass(minute);
    }
    account.pass(Duration::from_hours(29 * 24));
    let bill = account.0.get("/_emulator/bill").body;
    let bill = &bill["zilliz"]["organisations"]["default"];
    let cost = |line: &Value| line["micro_dollars"].as_u64().unwrap();
    let stored: Vec<(&str, u64)> = bill["storage"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| (line["region"].as_str().unwrap(), cost(line)))
        .collect();
    assert_eq!(
        stored,
        [(FAR, 400_000), (NEAR, 400_000), (HOME, 400_000)],
        "{bill}"
    );
    let copied: Vec<(&str, u64)> = bill["transfer"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| (line["to"].as_str().unwrap(), cost(line)))
        .collect();
    assert_eq!(copied, [(FAR, 1_600_000), (NEAR, 400_000)]);
    // $2.80 as in the example, and the original's own storage, which it leaves out.
    assert_eq!(bill["micro_dollars"], 2_800_000 + 400_000);
    assert_eq!(bill["requests"], json!({"zilliz.create_backup": 1}));
    // What is deleted costs no more from then on.
    for backup in account.backups() {
        let id = text(&backup["backupId"]);
        account.delete(&format!("clusters/{CLUSTER}/backups/{id}"));
    }
    account.pass(Duration::from_hours(60 * 24));
    let bill = account.0.get("/_emulator/bill").body;
    let bill = &bill["zilliz"]["organisations"]["default"];
    assert_eq!(bill["micro_dollars"], 2_800_000 + 400_000);
}
