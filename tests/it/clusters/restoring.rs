//! Restores: everything that is in the way is told before anything is begun, nothing is begun twice, whatever happens, and
//! nobody but its place sees the password.
//!
//! `choosing` the backup, `coming_back`, `carrying_on` after whatever happens, `passwords`; here is the desk at which they sit.

mod carrying_on;
mod choosing;
mod coming_back;
mod passwords;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lifeboat::event::{Event, Request};
use lifeboat::journal::Journal;
use lifeboat::report::Size;
use lifeboat::restore::{How, Kept};
use lifeboat::zilliz::ClusterRestoreReport;
use lifeboat::zilliz::restore::asked::Asked;
use lifeboat::zilliz::restore::notes::PasswordFate;
use lifeboat::zilliz::restore::password::{OneTime, Vault, VaultError};
use lifeboat::zilliz::restore::{World, of_restores, restore};
use lifeboat_emulator::Method;
use object_store::memory::InMemory;
use object_store::path::Path;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::{Account, CLUSTER, FAR, GB, KEY, MINUTES, NEAR};

pub(super) const SECRET: &str = "lifeboat/orders-back";
const USERS: &str = "in01-users";

/// Secrets Manager, as far as a restore sees it.
#[derive(Default)]
pub(super) struct Safe {
    proven: RefCell<Vec<String>>,
    /// Cluster and password of each secret.
    kept: RefCell<BTreeMap<String, (String, String)>>,
    /// Refuses proofs.
    is_locked: Cell<bool>,
    /// Refuses so many passwords.
    jams: Cell<u32>,
}

impl Safe {
    fn refusal(secret: &str) -> VaultError {
        VaultError::Denied {
            id: secret.to_owned(),
            permission: "PutSecretValue",
        }
    }

    /// The cluster whose password the secret holds.
    pub(super) fn cluster(&self) -> Option<String> {
        self.kept
            .borrow()
            .get(SECRET)
            .map(|(cluster, _)| cluster.clone())
    }
}

impl Vault for Safe {
    async fn prove(&self, secret: &str) -> Result<(), VaultError> {
        if self.is_locked.get() {
            return Err(Self::refusal(secret));
        }
        self.proven.borrow_mut().push(secret.to_owned());
        Ok(())
    }

    async fn keep(&self, secret: &str, told: &OneTime) -> Result<(), VaultError> {
        assert!(
            self.proven.borrow().contains(&secret.to_owned()),
            "unproven"
        );
        if let Some(left) = self.jams.get().checked_sub(1) {
            self.jams.set(left);
            return Err(Self::refusal(secret));
        }
        let held = (told.cluster.clone(), told.expose().to_owned());
        self.kept.borrow_mut().insert(secret.to_owned(), held);
        Ok(())
    }
}

pub(super) fn asked(event: Value) -> Asked {
    let mut event = event;
    event["action"] = json!("restore");
    let request = Request::from_event(&Event::from(event)).unwrap();
    request.cluster_restore.unwrap()
}

/// A new cluster of the newest backup at home, its password in the secret.
fn anew() -> Value {
    json!({"cluster": "orders-prod", "new_cluster": "orders-back", "cu_size": 2, "password_secret": SECRET})
}

/// One invocation of a restore, as a fresh process would run it.
pub(super) async fn invoke(
    account: &Account,
    safe: &Safe,
    stop: &Notify,
    asked: &Asked,
    how: How,
    time: Duration,
) -> ClusterRestoreReport {
    let (client, clock) = (account.client(), account.clock());
    let whole = account.whole_journal();
    let kept = whole.as_ref().or(account.journal.as_ref());
    let world = World {
        plan: &account.plans[0],
        client: &client,
        vault: safe,
        kept: kept.map(|journal| Kept {
            journal,
            shared: true,
        }),
        clock,
        report: Size::Whole,
        stop,
    };
    let restored = Box::pin(restore(asked, &world, how, "test".into(), time)).await;
    let report = restored.unwrap();
    let shown = format!("{}{report:?}", serde_json::to_string(&report).unwrap());
    assert!(!shown.contains(KEY), "the key is in the report");
    for (_, password) in safe.kept.borrow().values() {
        assert!(
            !shown.contains(password.as_str()),
            "the password is in the report"
        );
    }
    report
}

struct Desk {
    account: Account,
    safe: Safe,
    objects: Option<Arc<InMemory>>,
    stop: Notify,
}

impl Desk {
    /// A cluster with two collections, and a backup of it in all three regions.
    async fn new() -> Self {
        Self::over(Account::new()).await
    }

    async fn over(account: Account) -> Self {
        let collections = json!([
            {"name": "orders", "bytes": 4 * GB, "loaded": true},
            {"database": "archive", "name": "old", "bytes": 3 * GB},
        ]);
        account.add_cluster(
            CLUSTER,
            "orders-prod",
            &json!({"collections": collections, "cu_size": 8}),
        );
        let desk = Self {
            account,
            safe: Safe::default(),
            objects: None,
            stop: Notify::new(),
        };
        desk.back_up("CLUSTER", &[], &[NEAR, FAR]).await;
        desk
    }

    fn with_journal(mut self) -> Self {
        let objects = Arc::new(InMemory::new());
        self.objects = Some(Arc::clone(&objects));
        self.account.journal = Some(Journal::on(objects, Path::from("journal")));
        self
    }

    /// Somebody has a backup made, and waits for it and its copies.
    async fn back_up(&self, kind: &str, collections: &[&str], copies: &[&str]) -> String {
        let copies: Vec<Value> = copies
            .iter()
            .map(|region| json!({"regionId": region}))
            .collect();
        let mut body = json!({"backupType": kind, "crossRegionCopies": copies});
        if !collections.is_empty() {
            body["dbCollections"] = json!([{"collectionNames": collections}]);
        }
        let made = self.service(
            Method::Post,
            &format!("clusters/{CLUSTER}/backups/create"),
            &body,
        );
        tokio::time::sleep(Duration::from_mins(10)).await;
        made["backupId"].as_str().unwrap().to_owned()
    }

    fn service(&self, method: Method, path: &str, body: &Value) -> Value {
        let path = format!("/zilliz/v2/{path}");
        let body = if body.is_null() {
            Vec::new()
        } else {
            serde_json::to_vec(body).unwrap()
        };
        let answer = self.account.wire.call(method, &path, "", KEY, body);
        let lifeboat_emulator::Delivery::Whole(response) = answer.delivery else {
            panic!("no answer")
        };
        let mut body: Value = serde_json::from_slice(&response.body).unwrap();
        assert_eq!(body["code"], 0, "{body}");
        body["data"].take()
    }

    fn add_users(&self) {
        self.account
            .add_cluster(USERS, "users-prod", &json!({"bytes": 0}));
    }

    async fn restore(&self, event: Value) -> ClusterRestoreReport {
        self.restore_within(&asked(event), How::Whole, MINUTES)
            .await
    }

    async fn restore_within(
        &self,
        asked: &Asked,
        how: How,
        time: Duration,
    ) -> ClusterRestoreReport {
        let (account, safe) = (&self.account, &self.safe);
        invoke(account, safe, &self.stop, asked, how, time).await
    }

    /// Carries on with the only restore that is open, as the five-minute tick does.
    async fn tick(&self) -> ClusterRestoreReport {
        let journal = of_restores(self.account.journal.as_ref().unwrap());
        let open = journal.open_runs().await.unwrap().runs;
        let [open] = open.as_slice() else {
            panic!("{open:?}")
        };
        let past =
            lifeboat::zilliz::restore::notes::Past::of(&journal.entries(&open.key).await.unwrap());
        let (_, asked) = past.asked.unwrap();
        self.restore_within(&asked, How::OneMoreLook, MINUTES).await
    }

    /// What a restore comes to that the five-minute tick carries on with.
    async fn carried_on(&self, mut report: ClusterRestoreReport) -> ClusterRestoreReport {
        while report.stays_open {
            tokio::time::sleep(Duration::from_mins(5)).await;
            report = self.tick().await;
        }
        report
    }

    async fn is_open(&self) -> bool {
        let journal = of_restores(self.account.journal.as_ref().unwrap());
        !journal.open_runs().await.unwrap().runs.is_empty()
    }

    /// Name, region and status of each cluster that a restore made.
    fn made(&self) -> Vec<(String, String, String)> {
        let known = self.account.known("clusters");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        known
            .iter()
            .filter(|cluster| !cluster["restored_by"].is_null())
            .map(|cluster| {
                (
                    text(&cluster["name"]),
                    text(&cluster["region"]),
                    text(&cluster["status"]),
                )
            })
            .collect()
    }

    fn one_is_back(&self, region: &str) {
        assert_eq!(
            self.made(),
            [(
                "orders-back".to_owned(),
                region.to_owned(),
                "RUNNING".to_owned()
            )]
        );
    }

    /// Collections of a cluster, and which are loaded (`*`).
    fn collections(&self, id: &str) -> String {
        let known = self.account.known("clusters");
        let cluster = known.iter().find(|cluster| cluster["id"] == id).unwrap();
        let collections = cluster["collections"].as_array().unwrap().iter();
        let shown = collections.map(|one| {
            let loaded = if one["loaded"] == true { "*" } else { "" };
            format!(
                "{}/{}{loaded}",
                one["database"].as_str().unwrap(),
                one["name"].as_str().unwrap()
            )
        });
        let mut shown: Vec<String> = shown.collect();
        shown.sort();
        shown.join(" ")
    }
}

fn failures(report: &ClusterRestoreReport) -> String {
    let words = report.failures.shown.iter().map(|failure| failure.error);
    words.collect::<Vec<_>>().join(" ")
}

fn states(report: &ClusterRestoreReport) -> String {
    let states = report.jobs.shown.iter().map(|line| line.state.as_str());
    states.collect::<Vec<_>>().join(" ")
}

/// Each item's error, whichever invocation told it.
fn errors(report: &ClusterRestoreReport) -> String {
    let lines = report.jobs.shown.iter();
    let errors = lines.map(|line| line.error.as_deref().unwrap_or("-"));
    errors.collect::<Vec<_>>().join(" ")
}

/// Whether the password is where it was meant to go.
fn is_kept(report: &ClusterRestoreReport) -> bool {
    let kept = PasswordFate::InSecret {
        secret: SECRET.into(),
    };
    report.password_went == Some(kept)
}
