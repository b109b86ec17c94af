//! Restores: everything that is in the way is told before anything is begun, nothing is begun twice, whatever happens, and
//! nobody but its place sees the password.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::TryStreamExt;
use jiff::{SignedDuration, Timestamp};
use lifeboat::clock::Clock;
use lifeboat::event::{Event, Request};
use lifeboat::journal::Journal;
use lifeboat::report::{Outcome, Size};
use lifeboat::restore::{How, Kept};
use lifeboat::secret::{ApiKey, KeySource};
use lifeboat::zilliz::ClusterRestoreReport;
use lifeboat::zilliz::client::Client;
use lifeboat::zilliz::restore::asked::Asked;
use lifeboat::zilliz::restore::notes::PasswordFate;
use lifeboat::zilliz::restore::password::{OneTime, Vault, VaultError};
use lifeboat::zilliz::restore::{World, being_restored, of_restores, restore};
use lifeboat_emulator::Method;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tracing::instrument::WithSubscriber;

use super::{Account, CLUSTER, FAR, GB, HOME, KEY, MINUTES, NEAR, PROJECT};

const SECRET: &str = "lifeboat/orders-back";
const USERS: &str = "in01-users";

/// Secrets Manager, as far as a restore sees it.
#[derive(Default)]
struct Safe {
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
    fn cluster(&self) -> Option<String> {
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

fn asked(event: Value) -> Asked {
    let mut event = event;
    event["action"] = json!("restore");
    let request = Request::from_event(&Event::from(event)).unwrap();
    request.cluster_restore.unwrap()
}

/// A new cluster of the newest backup at home, its password in the secret.
fn anew() -> Value {
    json!({"cluster": "orders-prod", "new_cluster": "orders-back", "cu_size": 2, "password_secret": SECRET})
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
        let wire = self.account.wire.clone();
        let clock = Clock::new({
            let wire = wire.clone();
            move || wire.now()
        });
        let key = Arc::new(ApiKey::new(KeySource::Given(KEY.into())));
        let client = Client::new(wire, key, clock.clone());
        let kept = self.account.journal.as_ref();
        let world = World {
            plan: &self.account.plans[0],
            client: &client,
            vault: &self.safe,
            kept: kept.map(|journal| Kept {
                journal,
                shared: true,
            }),
            clock,
            report: Size::Whole,
            stop: &self.stop,
        };
        let restored = Box::pin(restore(asked, &world, how, "test".into(), time)).await;
        let report = restored.unwrap();
        let shown = format!("{}{report:?}", serde_json::to_string(&report).unwrap());
        assert!(!shown.contains(KEY), "the key is in the report");
        for (_, password) in self.safe.kept.borrow().values() {
            assert!(
                !shown.contains(password.as_str()),
                "the password is in the report"
            );
        }
        report
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

/// Whether the password is where it was meant to go.
fn is_kept(report: &ClusterRestoreReport) -> bool {
    let kept = PasswordFate::InSecret {
        secret: SECRET.into(),
    };
    report.password_went == Some(kept)
}

#[tokio::test(start_paused = true)]
async fn a_backup_becomes_a_cluster_and_its_password_a_secret() {
    for journal in [false, true] {
        let mut desk = Desk::new().await;
        if journal {
            desk = desk.with_journal();
        }
        let report = desk.restore(anew()).await;
        assert_eq!(
            (report.outcome, states(&report).as_str()),
            (Outcome::Succeeded, "restored"),
            "{report:#?}"
        );
        desk.one_is_back(HOME);
        assert_eq!(
            (is_kept(&report), report.stays_open, report.held),
            (true, false, journal)
        );
        assert_eq!(
            Some(&report.jobs.shown[0].target),
            desk.safe.cluster().as_ref()
        );
        assert!(report.one_time.is_none());
        let missing = report.not_in_backup.join("\n");
        for word in [
            "TTL",
            "db_admin",
            "scaling",
            "more than 2 shards come back with 2 (up to 4 before)",
        ] {
            assert!(missing.contains(word), "{word}: {missing}");
        }
    }
}

/// The worst day: the region's cluster is gone, and what is left lies elsewhere.
#[tokio::test(start_paused = true)]
async fn a_copy_comes_back_in_its_own_region_when_its_cluster_is_gone() {
    let desk = Desk::new().await;
    desk.service(
        Method::Delete,
        &format!("clusters/{CLUSTER}/drop"),
        &Value::Null,
    );
    let report = desk.restore(anew()).await;
    assert_eq!(
        failures(&report),
        "unknown_region",
        "nobody says which region is meant"
    );
    let mut event = anew();
    event["from"] = json!(FAR);
    event["collection_status"] = json!("release");
    let report = desk.restore(event).await;
    assert_eq!(report.outcome, Outcome::Succeeded, "{report:#?}");
    desk.one_is_back(FAR);
    assert_eq!(
        desk.collections(&desk.safe.cluster().unwrap()),
        "/orders archive/old"
    );
    assert_eq!(desk.account.calls("zilliz.restore_cluster"), 1);
}

#[tokio::test(start_paused = true)]
async fn the_newest_backup_at_or_before_a_time_is_taken() {
    let desk = Desk::new().await;
    let between = desk.account.wire.now();
    tokio::time::sleep(Duration::from_hours(1)).await;
    let newest = desk.back_up("CLUSTER", &[], &[]).await;
    // A part is never taken for the whole.
    desk.back_up("COLLECTION", &["orders"], &[]).await;
    let of = async |event: Value| {
        let report = desk
            .restore_within(&asked(event), How::DryRun, MINUTES)
            .await;
        let failed = failures(&report);
        (report.chosen.map(|chosen| chosen.backup), failed)
    };
    assert_eq!(of(anew()).await.0.unwrap().id, newest);
    let mut event = anew();
    event["at"] = json!(between.to_string());
    let (older, _) = of(event.clone()).await;
    assert!(older.unwrap().created_at.unwrap() < between);
    event["at"] = json!((between - SignedDuration::from_hours(24)).to_string());
    assert_eq!(of(event.clone()).await, (None, "no_backup".to_owned()));
    let report = desk.restore(event).await;
    assert!(
        report.failures.shown[0]
            .message
            .contains("the oldest is from 2026-11-22T12:00:00Z"),
        "{report:#?}"
    );
    let mut event = anew();
    event["from"] = json!("gcp-us-central1");
    let report = desk.restore(event).await;
    assert!(
        report.failures.shown[0]
            .message
            .contains(&format!("{FAR}, {NEAR}, {HOME}"))
            || report.failures.shown[0]
                .message
                .contains(&format!("{FAR}, {NEAR}")),
        "{report:#?}"
    );
    assert_eq!(desk.account.calls("zilliz.restore_cluster"), 0);
}

#[tokio::test(start_paused = true)]
async fn everything_in_the_way_is_told_at_once_and_nothing_is_begun() {
    let desk = Desk::new().await.with_journal();
    let part = desk.back_up("COLLECTION", &["orders"], &[]).await;
    let whole = desk.account.known("backups");
    let whole = whole
        .iter()
        .find(|backup| backup["kind"] == "CLUSTER" && backup["original"].is_null())
        .unwrap();
    let whole = whole["id"].as_str().unwrap().to_owned();
    desk.add_users();
    desk.account
        .add_cluster("in01-far", "far-away", &json!({"region": FAR}));
    desk.account.add_cluster(
        "in05-less",
        "serverless",
        &json!({"deployment": "Serverless"}),
    );
    desk.account.seed(
        "projects",
        &json!([{"id": "proj-other", "name": "other", "regions": [FAR]}]),
    );
    for (event, words) in [
        (
            json!({"backup": part, "new_cluster": "users_prod", "cu_size": 1025}),
            "wrong_type bad_name cu_size no_password_place",
        ),
        (
            json!({"backup": "backup0_none", "new_cluster": "users-prod", "project": PROJECT, "version": "original"}),
            "no_backup cu_size name_taken no_password_place",
        ),
        (
            json!({"backup": whole, "new_cluster": "users-prod", "cu_size": 0, "version": "original"}),
            "cu_size name_taken version no_password_place",
        ),
        (
            json!({"backup": whole, "new_cluster": "x", "cu_size": 1, "project": "proj-other", "password_secret": SECRET}),
            "not_bound",
        ),
        (
            json!({"backup": whole, "new_cluster": "x", "cu_size": 1, "project": "proj-none", "password_secret": SECRET}),
            "no_project",
        ),
        (
            json!({"backup": whole, "into": "far-away", "collections": ["orders=a", "archive.old=a"]}),
            "twice other_region",
        ),
        (
            json!({"backup": whole, "into": "nobody", "collections": ["orders", "gone"]}),
            "no_collection not_found",
        ),
        (
            json!({"backup": part, "into": "serverless"}),
            "wrong_type not_dedicated",
        ),
        (
            json!({"cluster": "nobody", "into": "users-prod"}),
            "not_found",
        ),
        (json!({"into": "users-prod"}), "ambiguous"),
    ] {
        let report = desk.restore(event.clone()).await;
        assert_eq!(
            (failures(&report).as_str(), report.outcome),
            (words, Outcome::Failed),
            "{event} {report:#?}"
        );
        assert!(!desk.is_open().await);
    }
    assert_eq!(
        (
            desk.account.calls("zilliz.restore_cluster"),
            desk.account.calls("zilliz.restore_collection")
        ),
        (0, 0)
    );
    assert!(desk.safe.proven.borrow().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_backup_that_is_being_made_and_a_cluster_that_does_not_run_are_refused() {
    let desk = Desk::new().await;
    desk.account
        .wire
        .emulator
        .update_settings(|settings| settings.zilliz.queue_ms = 600_000);
    let body = json!({"backupType": "CLUSTER"});
    let made = desk.service(
        Method::Post,
        &format!("clusters/{CLUSTER}/backups/create"),
        &body,
    );
    let mut event = anew();
    event.as_object_mut().unwrap().remove("cluster");
    event["backup"] = made["backupId"].clone();
    assert_eq!(failures(&desk.restore(event).await), "not_available");
    // The newest that is there is an older one; while it becomes a cluster, that one can't receive anything.
    let report = desk
        .restore_within(&asked(anew()), How::Whole, Duration::from_mins(3))
        .await;
    assert_eq!(states(&report), "incomplete");
    let into = json!({"cluster": "orders-prod", "into": "orders-back"});
    assert_eq!(failures(&desk.restore(into).await), "not_running");
}

#[tokio::test(start_paused = true)]
async fn collections_come_back_one_after_the_other_under_other_names() {
    let desk = Desk::new().await.with_journal();
    desk.add_users();
    let event = json!({
        "cluster": "orders-prod", "into": "users-prod", "collection_status": "loaded",
        "collections": ["orders=back.orders", "archive.old"]
    });
    let report = desk.restore(event.clone()).await;
    assert_eq!(
        (report.outcome, states(&report).as_str()),
        (Outcome::Succeeded, "restored restored"),
        "{report:#?}"
    );
    assert_eq!(desk.collections(USERS), "archive/old* back/orders*");
    let told: Vec<_> = report
        .jobs
        .shown
        .iter()
        .map(|line| (line.source.as_str(), line.target.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("orders", "in01-users/back.orders"),
            ("archive.old", "in01-users/archive.old")
        ]
    );
    // Never two at a time.
    let mut jobs: Vec<(Timestamp, Timestamp)> = desk
        .account
        .known("jobs")
        .iter()
        .filter(|job| job["work"].get("restore_collections").is_some())
        .map(|job| {
            (
                job["created"].as_str().unwrap().parse().unwrap(),
                job["ended"].as_str().unwrap().parse().unwrap(),
            )
        })
        .collect();
    jobs.sort();
    assert!(jobs.len() == 2 && jobs[0].1 <= jobs[1].0, "{jobs:?}");
    // The same event once more does nothing more.
    let again = desk.restore(event).await;
    assert_eq!(
        (again.outcome, states(&again).as_str()),
        (Outcome::Succeeded, "restored restored")
    );
    assert_eq!(desk.account.calls("zilliz.restore_collection"), 2);
    assert!(!report.not_in_backup.join(" ").contains("db_admin"));
}

#[tokio::test(start_paused = true)]
async fn all_collections_come_back_together_and_unloaded() {
    let desk = Desk::new().await;
    desk.add_users();
    desk.back_up("COLLECTION", &["orders"], &[]).await;
    let report = desk
        .restore(json!({"cluster": "orders-prod", "into": USERS}))
        .await;
    assert_eq!(
        (report.outcome, states(&report).as_str()),
        (Outcome::Succeeded, "restored"),
        "{report:#?}"
    );
    assert_eq!(desk.collections(USERS), "/orders archive/old");
    assert_eq!(desk.account.calls("zilliz.restore_collection"), 1);
    // One that only a backup of a part has comes from that.
    let report = desk
        .restore(
            json!({"cluster": "orders-prod", "into": USERS, "collections": ["orders=orders2"]}),
        )
        .await;
    assert_eq!(report.chosen.unwrap().backup.kind, "COLLECTION");
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_looked_for_and_adopted_and_its_password_said_to_be_lost() {
    for fault in [
        json!({"status": 503, "commit": "after"}),
        json!({"reset": "after"}),
        json!({"truncate": true}),
        json!({"latency_ms": 60_000}),
    ] {
        let desk = Desk::new().await.with_journal();
        desk.account.faults(
            json!([{"match": {"operation": "zilliz.restore_cluster"}, "fault": fault, "times": 1}]),
        );
        let report = desk.restore(anew()).await;
        assert_eq!(
            (report.outcome, states(&report).as_str()),
            (Outcome::Succeeded, "restored"),
            "{fault} {report:#?}"
        );
        assert_eq!(desk.account.calls("zilliz.restore_cluster"), 1, "{fault}");
        desk.one_is_back(HOME);
        assert_eq!(report.password_went, Some(PasswordFate::Lost));
        assert!(
            report
                .warnings
                .shown
                .iter()
                .any(|warning| warning.contains("reset db_admin's password")),
            "{report:#?}"
        );
        assert_eq!(desk.safe.cluster(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_never_arrived_is_sent_again_after_a_look() {
    for fault in [
        json!({"status": 503}),
        json!({"reset": "before"}),
        json!({"status": 429}),
    ] {
        let desk = Desk::new().await.with_journal();
        desk.account.faults(
            json!([{"match": {"operation": "zilliz.restore_cluster"}, "fault": fault, "times": 1}]),
        );
        let report = desk.restore(anew()).await;
        assert_eq!(
            (report.outcome, is_kept(&report)),
            (Outcome::Succeeded, true),
            "{fault} {report:#?}"
        );
        assert_eq!(desk.account.calls("zilliz.restore_cluster"), 2, "{fault}");
        desk.one_is_back(HOME);
    }
    let desk = Desk::new().await;
    desk.account.faults(
        json!([{"match": {"operation": "zilliz.restore_cluster"}, "fault": {"status": 503}}]),
    );
    let report = desk.restore(anew()).await;
    assert_eq!(
        (report.outcome, failures(&report).as_str()),
        (Outcome::Failed, "no_cluster")
    );
    assert_eq!(desk.account.calls("zilliz.restore_cluster"), 3);
}

/// A request of a collection that was not answered is never sent again: nobody can look what came of it.
#[tokio::test(start_paused = true)]
async fn a_lost_answer_about_a_collection_is_told_and_the_others_come_back() {
    let desk = Desk::new().await.with_journal();
    desk.add_users();
    desk.account.faults(json!([{"match": {"operation": "zilliz.restore_collection"}, "fault": {"reset": "after"}, "times": 1}]));
    let event =
        json!({"cluster": "orders-prod", "into": USERS, "collections": ["orders", "archive.old"]});
    let report = desk.restore(event.clone()).await;
    assert_eq!(
        (failures(&report).as_str(), states(&report).as_str()),
        ("unanswered", "failed restored"),
        "{report:#?}"
    );
    assert_eq!(desk.account.calls("zilliz.restore_collection"), 2);
    assert_eq!(desk.collections(USERS), "/orders archive/old");
}

/// Killed after every so many milliseconds, with slow answers, so that it dies at each request and between them.
#[tokio::test(start_paused = true)]
async fn killed_anywhere_and_carried_on_there_is_one_cluster() {
    let mut lost = 0;
    for after in (0..80).map(|step| Duration::from_millis(step * 250)) {
        let desk = Desk::new().await.with_journal();
        desk.account.faults(json!([{"fault": {"latency_ms": 900}}]));
        let killed = tokio::time::timeout(after, desk.restore(anew())).await;
        assert!(killed.is_err(), "{after:?}: it was not cut short");
        // The dead one's lease runs out; then the tick finds it, or the same request comes again.
        desk.account.faults(json!([]));
        tokio::time::sleep(Duration::from_mins(5)).await;
        let knows = async {
            let journal = of_restores(desk.account.journal.as_ref().unwrap());
            let open = journal.open_runs().await.unwrap().runs;
            match open.first() {
                Some(open) => !journal.entries(&open.key).await.unwrap().is_empty(),
                None => false,
            }
        };
        let mut report = if knows.await {
            desk.tick().await
        } else {
            desk.restore(anew()).await
        };
        while report.stays_open {
            tokio::time::sleep(Duration::from_mins(5)).await;
            report = desk.tick().await;
        }
        assert_eq!(
            (report.outcome, states(&report).as_str()),
            (Outcome::Succeeded, "restored"),
            "{after:?} {report:#?}"
        );
        desk.one_is_back(HOME);
        // The password is where the report says, or was lost and the report says that.
        match report.password_went {
            Some(PasswordFate::InSecret { .. }) => {
                assert!(desk.safe.cluster().is_some(), "{after:?}");
            }
            Some(PasswordFate::Lost) => lost += 1,
            other => panic!("{after:?}: {other:?}"),
        }
        assert!(!desk.is_open().await);
    }
    assert!((1..40).contains(&lost), "{lost}");
}

#[tokio::test(start_paused = true)]
async fn killed_while_collections_come_back_none_is_asked_for_twice() {
    let event = || json!({"cluster": "orders-prod", "into": USERS, "collections": ["orders", "archive.old"]});
    for after in (0..100).map(|step| Duration::from_millis(step * 300)) {
        let desk = Desk::new().await.with_journal();
        desk.add_users();
        desk.account.faults(json!([{"fault": {"latency_ms": 900}}]));
        let _ = tokio::time::timeout(after, desk.restore(event())).await;
        desk.account.faults(json!([]));
        tokio::time::sleep(Duration::from_mins(5)).await;
        let report = desk.restore(event()).await;
        assert!(
            desk.account.calls("zilliz.restore_collection") <= 2,
            "{after:?}"
        );
        // What was asked for and not answered is told; everything else is there.
        let unanswered = failures(&report);
        assert!(
            ["", "unanswered"].contains(&unanswered.as_str()),
            "{after:?} {report:#?}"
        );
        if unanswered.is_empty() {
            assert_eq!(desk.collections(USERS), "/orders archive/old", "{after:?}");
        }
        assert!(!desk.is_open().await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_repeated_event_begins_nothing_while_the_cluster_stands() {
    let desk = Desk::new().await.with_journal();
    desk.restore(anew()).await;
    let again = desk.restore(anew()).await;
    assert_eq!(
        (again.outcome, states(&again).as_str()),
        (Outcome::Succeeded, "restored"),
        "{again:#?}"
    );
    let message = again.jobs.shown[0].message.as_deref();
    assert_eq!(
        message,
        Some("its password went into the secret lifeboat/orders-back")
    );
    assert_eq!(desk.account.calls("zilliz.restore_cluster"), 1);
    let mut other = anew();
    other["cu_size"] = json!(4);
    assert_eq!(failures(&desk.restore(other).await), "name_taken");
    // Once it was dropped, the same request is meant again.
    let cluster = desk.safe.cluster().unwrap();
    desk.service(
        Method::Delete,
        &format!("clusters/{cluster}/drop"),
        &Value::Null,
    );
    assert_eq!(desk.restore(anew()).await.outcome, Outcome::Succeeded);
    assert_eq!(desk.account.calls("zilliz.restore_cluster"), 2);
}

#[tokio::test(start_paused = true)]
async fn two_invocations_of_one_event_make_one_cluster() {
    let desk = Desk::new().await.with_journal();
    desk.account.faults(json!([{"fault": {"latency_ms": 300}}]));
    let (one, other) = tokio::join!(desk.restore(anew()), desk.restore(anew()));
    let mut words = [failures(&one), failures(&other)];
    words.sort();
    assert_eq!(words, ["", "lease_held"]);
    desk.one_is_back(HOME);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_fails_gives_its_reason_and_one_that_is_forgotten_is_followed_by_the_cluster() {
    let desk = Desk::new().await.with_journal();
    let fails = json!({"fail_operation": true, "reason": "no capacity in the region"});
    desk.account.faults(
        json!([{"match": {"operation": "zilliz.restore_cluster"}, "fault": fails, "times": 1}]),
    );
    let report = desk.restore(anew()).await;
    assert_eq!(
        (failures(&report).as_str(), states(&report).as_str()),
        ("job_failed", "failed")
    );
    assert!(
        report.failures.shown[0]
            .message
            .contains("no capacity in the region")
    );
    let desk = Desk::new().await.with_journal();
    desk.account.faults(
        json!([{"match": {"operation": "zilliz.describe_job"}, "fault": {"lose_token": true}}]),
    );
    let report = desk.restore(anew()).await;
    assert_eq!(
        (report.outcome, is_kept(&report)),
        (Outcome::Succeeded, true),
        "{report:#?}"
    );
    // The control plane shows no collections: without the job nobody can tell.
    desk.add_users();
    let report = desk
        .restore(json!({"cluster": "orders-prod", "into": USERS, "collections": ["orders"]}))
        .await;
    assert_eq!(failures(&report), "job_unknown");
}

#[tokio::test(start_paused = true)]
async fn a_restore_of_hours_is_followed_across_invocations_and_its_backup_held() {
    let desk = Desk::new().await.with_journal();
    desk.account
        .wire
        .emulator
        .update_settings(|settings| settings.zilliz.restore_bytes_per_second = 1_000_000);
    let report = desk.restore(anew()).await;
    assert_eq!(
        (report.outcome, report.stays_open),
        (Outcome::Incomplete, true),
        "{report:#?}"
    );
    assert!(is_kept(&report), "the password waits for nobody");
    let journal = desk.account.journal.as_ref().unwrap();
    let backup = report.chosen.unwrap().backup.id;
    let held = being_restored(journal, desk.account.wire.now())
        .await
        .unwrap();
    assert_eq!(held.into_iter().collect::<Vec<_>>(), [backup]);
    let mut ticks = 0;
    let report = loop {
        tokio::time::sleep(Duration::from_mins(5)).await;
        let before = desk.account.wire.now();
        let report = desk.tick().await;
        assert!(
            desk.account.wire.now().duration_since(before).as_secs() < 20,
            "a tick is one look"
        );
        ticks += 1;
        if !report.stays_open {
            break report;
        }
        assert!(
            report.jobs.shown[0]
                .progress
                .as_ref()
                .unwrap()
                .contains('%'),
            "{report:#?}"
        );
    };
    assert!((18..30).contains(&ticks), "{ticks}");
    assert_eq!(
        (report.outcome, is_kept(&report)),
        (Outcome::Succeeded, true)
    );
    assert!(
        being_restored(journal, desk.account.wire.now())
            .await
            .unwrap()
            .is_empty()
    );
    desk.one_is_back(HOME);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_begun_when_its_password_would_have_no_place() {
    let desk = Desk::new().await.with_journal();
    desk.safe.is_locked.set(true);
    let report = desk.restore(anew()).await;
    assert_eq!(failures(&report), "password_place");
    assert!(
        report.failures.shown[0]
            .message
            .contains("secretsmanager:PutSecretValue")
    );
    assert_eq!(
        (
            desk.account.calls("zilliz.restore_cluster"),
            desk.is_open().await
        ),
        (0, false)
    );
    // The place is there and jams a moment later: the password is offered again.
    desk.safe.is_locked.set(false);
    desk.safe.jams.set(3);
    let report = desk.restore(anew()).await;
    assert_eq!(
        (report.outcome, is_kept(&report)),
        (Outcome::Succeeded, true),
        "{report:#?}"
    );
    let desk = Desk::new().await.with_journal();
    desk.safe.jams.set(99);
    let report = desk.restore(anew()).await;
    assert_eq!(
        (failures(&report).as_str(), states(&report).as_str()),
        ("password_lost", "restored")
    );
    assert_eq!(report.password_went, Some(PasswordFate::Lost));
}

#[tokio::test(start_paused = true)]
async fn a_terminal_gets_the_password_once_and_nobody_else_begins_for_it() {
    let desk = Desk::new().await.with_journal();
    let mut event = anew();
    event.as_object_mut().unwrap().remove("password_secret");
    let mut asked = asked(event);
    assert!(asked.show_password());
    let report = desk.restore_within(&asked, How::Whole, MINUTES).await;
    assert_eq!(
        (report.outcome, &report.password_went),
        (Outcome::Succeeded, &Some(PasswordFate::ForTheTerminal))
    );
    let told = report.one_time.as_ref().unwrap();
    assert!(!told.expose().is_empty() && !format!("{report:?}").contains(told.expose()));
    assert!(
        !serde_json::to_string(&report)
            .unwrap()
            .contains(told.expose())
    );
    // Killed before anything was begun, it is not for the five-minute tick to begin.
    let desk = Desk::new().await.with_journal();
    desk.account.faults(json!([{"match": {"operation": "zilliz.restore_cluster"}, "fault": {"status": 503, "latency_ms": 20_000}}]));
    let killed = tokio::time::timeout(
        Duration::from_secs(10),
        desk.restore_within(&asked, How::Whole, MINUTES),
    )
    .await;
    assert!(killed.is_err());
    desk.account.faults(json!([]));
    tokio::time::sleep(Duration::from_mins(5)).await;
    let report = desk.tick().await;
    assert_eq!(
        (failures(&report).as_str(), report.stays_open),
        ("abandoned", false),
        "{report:#?}"
    );
    assert!(desk.made().is_empty());
}

/// Ctrl-C during the long wait: the report comes with the password, and the same command carries on.
#[tokio::test(start_paused = true)]
async fn an_interrupted_restore_loses_no_password_and_carries_on() {
    let desk = Desk::new().await.with_journal();
    let mut event = anew();
    event.as_object_mut().unwrap().remove("password_secret");
    let mut asked = asked(event);
    asked.show_password();
    let interrupts = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        desk.stop.notify_one();
    };
    let (report, ()) = tokio::join!(desk.restore_within(&asked, How::Whole, MINUTES), interrupts);
    assert_eq!(
        (states(&report).as_str(), report.stays_open),
        ("incomplete", true),
        "{report:#?}"
    );
    assert!(report.one_time.is_some());
    let report = desk.restore_within(&asked, How::Whole, MINUTES).await;
    assert_eq!(
        (report.outcome, report.one_time.is_some()),
        (Outcome::Succeeded, false),
        "{report:#?}"
    );
    assert!(
        report
            .warnings
            .shown
            .iter()
            .any(|warning| warning.contains("the terminal that began this restore"))
    );
    desk.one_is_back(HOME);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_tells_all_of_it_and_begins_nothing() {
    let desk = Desk::new().await.with_journal();
    let report = desk
        .restore_within(&asked(anew()), How::DryRun, MINUTES)
        .await;
    assert_eq!(
        (report.outcome, states(&report).as_str(), report.dry_run),
        (Outcome::Succeeded, "planned", true)
    );
    assert_eq!(
        report.password_went,
        Some(PasswordFate::ForSecret {
            secret: SECRET.into()
        })
    );
    assert!(report.not_in_backup.len() > 3);
    assert!(desk.safe.proven.borrow().is_empty() && !desk.is_open().await);
    assert_eq!(desk.account.calls("zilliz.restore_cluster"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_restore_that_was_left_for_a_week_is_given_up() {
    let desk = Desk::new().await.with_journal();
    desk.account.faults(json!([{"match": {"operation": "zilliz.restore_cluster"}, "fault": {"stall_operation": true}}]));
    assert!(desk.restore(anew()).await.stays_open);
    desk.account.sleep(24 * 7 + 1).await;
    let report = desk.tick().await;
    assert_eq!(
        (
            failures(&report).as_str(),
            states(&report).as_str(),
            report.stays_open
        ),
        ("abandoned", "failed", false)
    );
}

/// Whatever writes, and at every level, down to the libraries'.
#[derive(Clone, Default)]
struct Tape(Arc<Mutex<Vec<u8>>>);

impl io::Write for Tape {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The password of every cluster that the emulator made is in no log line of any level, no report, no debug output and no
/// object of the journal; not even when half of its answer is all that came.
#[tokio::test(start_paused = true)]
async fn nobody_but_its_place_sees_the_password() {
    // With one subscriber alone, `tracing` would ask other tests' threads, which have none, whether a line is wanted.
    let _other = tracing::Dispatch::new(tracing_subscriber::registry());
    for fault in [
        json!({}),
        json!({"truncate": true}),
        json!({"status": 500, "commit": "after"}),
        // A proxy's, which cut the answer short and said that it was whole.
        json!({"status": 200, "commit": "after", "body": r#"{"code":0,"data":{"username":"db_admin","password":"half-an-answer"#}),
    ] {
        let desk = Desk::new().await.with_journal();
        let is_lost = fault != json!({});
        desk.account.faults(
            json!([{"match": {"operation": "zilliz.restore_cluster"}, "fault": fault, "times": 1}]),
        );
        let tape = Tape::default();
        let lines = {
            let tape = tape.clone();
            tracing_subscriber::fmt()
                .with_max_level(tracing::Level::TRACE)
                .with_writer(move || tape.clone())
                .finish()
        };
        let report = desk.restore(anew()).with_subscriber(lines).await;
        assert_eq!(report.outcome, Outcome::Succeeded, "{report:#?}");
        let mut seen = String::from_utf8(tape.0.lock().unwrap().clone()).unwrap();
        assert!(
            seen.contains("restore ended"),
            "nothing was recorded: {seen}"
        );
        seen.push_str(&serde_json::to_string(&report).unwrap());
        seen.extend([format!("{report:?}")]);
        let objects = desk.objects.as_ref().unwrap();
        let paths: Vec<_> = objects.list(None).try_collect().await.unwrap();
        assert!(!paths.is_empty());
        for object in paths {
            let body = objects
                .get(&object.location)
                .await
                .unwrap()
                .bytes()
                .await
                .unwrap();
            seen.push_str(std::str::from_utf8(&body).unwrap());
        }
        // What is told of the half that came would begin like this.
        assert!(
            !seen.contains("\\\"password\\\"") && !seen.contains("\"username\""),
            "{seen}"
        );
        let password = desk
            .safe
            .kept
            .borrow()
            .get(SECRET)
            .map(|(_, password)| password.clone());
        assert_eq!(password.is_none(), is_lost);
        assert!(!seen.contains("half-an-answer"), "{seen}");
        if let Some(password) = password {
            assert!(password.len() > 8 && !seen.contains(&password));
        }
    }
}
