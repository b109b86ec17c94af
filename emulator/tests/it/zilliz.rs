//! The Zilliz part from outside: a small account on a manual clock, and a module per story.

mod account;
mod backups;
mod faults;
mod policies;
mod refusals;
mod restores;

use std::time::Duration;

use lifeboat_emulator::{Fault, Match, Method, Rule, Settings};
use serde_json::{Value, json};

use crate::world::{Got, World};

/// A project on Business Critical, bound to these three regions, and a second one on Standard.
const PROJECT: &str = "proj-5d11c0aa94e27b60f3c9de";
const PLAIN_PROJECT: &str = "proj-000000000000000000000f";
const HOME: &str = "gcp-us-west1";
const NEAR: &str = "gcp-us-east4";
const FAR: &str = "gcp-europe-west3";

/// A dedicated cluster of 7 GB: ten seconds to back up at the published speed, and seventy to copy.
const CLUSTER: &str = "in01-4be01c77d20a9f3";
const GB: u64 = 1_000_000_000;

/// Longer than a backup of [`CLUSTER`] takes, queue and overhead included.
const BACKED_UP: Duration = Duration::from_secs(14);
/// Longer than the copies of it take after that.
const COPIED: Duration = Duration::from_secs(80);

/// An account with a cluster in it.
struct Account(World);

impl Account {
    fn new() -> Self {
        Self::with(Settings::default())
    }

    fn with(settings: Settings) -> Self {
        let account = Self(World::with(settings));
        account.seed(
            "projects",
            &json!([
                {"id": PROJECT, "name": "shop", "plan": "BusinessCritical", "regions": [HOME, NEAR, FAR]},
                {"id": PLAIN_PROJECT, "name": "plain", "plan": "Standard"},
            ]),
        );
        account.seed(
            "clusters",
            &json!([{
                "id": CLUSTER, "name": "orders-prod", "project": PROJECT, "region": HOME,
                "collections": [
                    {"name": "orders", "bytes": 4 * GB, "loaded": true},
                    {"database": "default", "name": "users", "bytes": 3 * GB},
                    {"database": "archive", "name": "old", "bytes": 0},
                ],
            }]),
        );
        account
    }

    fn seed(&self, what: &str, rows: &Value) {
        let got = self.0.post(&format!("/_emulator/zilliz/{what}"), rows);
        assert_eq!(got.status, 200, "{got:?}");
    }

    /// What the control plane knows.
    fn known(&self, what: &str) -> Vec<Value> {
        let got = self.0.get(&format!("/_emulator/zilliz/{what}"));
        got.body.as_array().unwrap().clone()
    }

    fn call(&self, method: Method, path: &str, body: &Value) -> Got {
        self.0.call(method, &format!("/zilliz/v2/{path}"), body)
    }

    /// The data of an answer that must be a success.
    fn get(&self, path: &str) -> Value {
        data(self.call(Method::Get, path, &Value::Null))
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        data(self.call(Method::Post, path, body))
    }

    fn delete(&self, path: &str) -> Value {
        data(self.call(Method::Delete, path, &json!({})))
    }

    /// The code of an answer that must be a refusal of the business kind: 200, and no data.
    fn refused(&self, method: Method, path: &str, body: &Value) -> u64 {
        let got = self.call(method, path, body);
        assert_eq!(got.status, 200, "{path}: {got:?}");
        assert!(got.body["message"].is_string(), "{path}: {got:?}");
        assert!(got.body.get("data").is_none(), "{path}: {got:?}");
        got.body["code"].as_u64().unwrap()
    }

    fn refused_get(&self, path: &str) -> u64 {
        self.refused(Method::Get, path, &Value::Null)
    }

    fn refused_post(&self, path: &str, body: &Value) -> u64 {
        self.refused(Method::Post, path, body)
    }

    fn create(&self, body: &Value) -> Value {
        self.post(&format!("clusters/{CLUSTER}/backups/create"), body)
    }

    /// A manual backup of the whole cluster with copies there, and the id of it and its job.
    fn back_up(&self, regions: &[&str]) -> (String, String) {
        let copies: Vec<Value> = regions
            .iter()
            .map(|region| json!({"regionId": region}))
            .collect();
        let begun = self.create(&json!({"backupType": "CLUSTER", "crossRegionCopies": copies}));
        (text(&begun["backupId"]), text(&begun["jobId"]))
    }

    /// As [`Account::back_up`], done.
    fn backed_up(&self, regions: &[&str]) -> String {
        let (backup, _) = self.back_up(regions);
        self.pass(BACKED_UP);
        self.pass(COPIED);
        backup
    }

    fn pass(&self, time: Duration) {
        self.0.emulator.advance(time);
    }

    /// All backups that the API lists.
    fn backups(&self) -> Vec<Value> {
        let page = self.get("backups?pageSize=100");
        let backups = page["backups"].as_array().unwrap().clone();
        assert_eq!(page["count"], json!(backups.len()));
        backups
    }

    fn describe(&self, backup: &str) -> Value {
        self.get(&format!("clusters/{CLUSTER}/backups/{backup}"))
    }

    fn job(&self, id: &str) -> Value {
        self.get(&format!("jobs/{id}"))
    }

    fn fault(&self, operation: &str, fault: Fault) {
        let rule = Rule::new(Match::operation(operation), fault);
        self.0.emulator.set_faults(vec![rule]);
    }
}

fn data(mut got: Got) -> Value {
    assert_eq!((got.status, &got.body["code"]), (200, &json!(0)), "{got:?}");
    got.body["data"].take()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
