//! What the journal promises, in memory, in a directory and, if `LIFEBOAT_TEST_S3` names an endpoint, in a bucket.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::{join, join_all, join3};
use futures_util::stream::TryStreamExt;
use jiff::SignedDuration;
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use serde_json::json;
use tokio::time::sleep;

use super::*;
use faulty_store::{Chances, Counts, Fate, FaultyStore};

#[path = "../../tests/it/faulty_store.rs"]
pub(crate) mod faulty_store;

mod directories;
mod ends;
mod holds;
mod leases;
mod logs;
mod s3;
mod two_clocks;

const BEGIN: &str = "2026-11-21T02:00:00Z";

fn now() -> Timestamp {
    BEGIN.parse().unwrap()
}

fn later(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

fn key_of(plan: &str, seconds: i64) -> RunKey {
    RunKey {
        plan: plan.into(),
        slot: Slot::of(later(seconds)).unwrap(),
        class: Class::Scheduled,
    }
}

fn key() -> RunKey {
    key_of("nightly", 0)
}

fn entry(number: usize) -> Entry {
    Entry::Started {
        target: "aws-eu-west-1".into(),
        source: format!("tenant-{number}"),
        token: "op-1".into(),
    }
}

fn record(run_id: &str) -> RunRecord {
    RunRecord {
        key: key(),
        run_id: run_id.into(),
        outcome: "succeeded".into(),
        reason: None,
        opened_at: now(),
        closed_at: Some(later(60)),
        asked: None,
        jobs: vec![],
        deleted: 3,
    }
}

fn path(name: &str) -> Path {
    Path::from(format!("root/{name}"))
}

/// A bucket, and processes that use it.
#[derive(Default)]
struct Bucket(Arc<InMemory>);

impl Bucket {
    /// A process's journal, and what goes wrong between it and the bucket.
    fn process(&self, seed: u64) -> (Journal, FaultyStore) {
        let store = FaultyStore::over(&self.0, seed);
        (
            Journal::on(Arc::new(store.clone()), Path::from("root")),
            store,
        )
    }

    fn journal(&self) -> Journal {
        self.process(0).0
    }

    async fn put(&self, name: &str, body: &str) {
        self.0
            .put(&path(name), body.to_owned().into())
            .await
            .unwrap();
    }

    async fn get(&self, name: &str) -> Option<String> {
        let found = self.0.get(&path(name)).await.ok()?;
        Some(String::from_utf8(found.bytes().await.unwrap().to_vec()).unwrap())
    }

    /// Every object's name, without the root.
    async fn names(&self) -> Vec<String> {
        let all: Vec<_> = self.0.list(None).try_collect().await.unwrap();
        let name = |path: Path| path.as_ref().strip_prefix("root/").unwrap().to_owned();
        all.into_iter().map(|meta| name(meta.location)).collect()
    }

    async fn names_under(&self, folder: &str) -> Vec<String> {
        let mut names = self.names().await;
        names.retain(|name| name.starts_with(folder));
        names
    }
}

mod urls {
    use super::*;

    #[test]
    fn a_journal_is_a_bucket_a_directory_or_memory() {
        for (text, shown) in [
            ("s3://backups/lifeboat/prod/", "s3://backups/lifeboat/prod"),
            ("s3://backups", "s3://backups"),
            ("s3://backups/a%20b?region=eu-west-1", "s3://backups/a b"),
            ("file:///var/lib/lifeboat", "file:///var/lib/lifeboat"),
            ("file:///var/my%20journal", "file:///var/my journal"),
            ("memory://", "memory://"),
        ] {
            let url: JournalUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), shown);
        }
        let JournalUrl(Place::Bucket { region, .. }) =
            "s3://backups/x?region=eu-west-1".parse().unwrap()
        else {
            panic!("not a bucket");
        };
        assert_eq!(region.as_deref(), Some("eu-west-1"));
    }

    #[test]
    fn anything_else_is_refused_with_the_value_and_what_to_write_instead() {
        for (text, fault) in [
            ("", "not a URL"),
            ("/var/lib/lifeboat", "not a URL"),
            ("gs://backups/x", "unknown kind"),
            ("s3://", "no bucket"),
            ("s3:///prefix", "no bucket"),
            ("s3://My_Bucket/x", "no bucket"),
            ("s3://backups:9000/x", "no bucket"),
            ("s3://backups/a//b", "prefix"),
            ("s3://backups/x?endpoint=y", "?region="),
            ("s3://backups/x?region=", "?region="),
            ("s3://backups/x#y", "`#`"),
            ("file://var/lib", "three slashes"),
            ("file:var/lib", "three slashes"),
            ("file:///", "three slashes"),
            ("file:///x?region=y", "`?`"),
            ("memory://x", "nothing has a name"),
        ] {
            let said = text.parse::<JournalUrl>().unwrap_err().to_string();
            assert!(
                said.contains(fault) && said.contains(&format!("`{text}`")),
                "{said}"
            );
            assert!(said.contains("use s3://bucket/prefix"), "{said}");
        }
    }

    #[test]
    fn a_password_in_a_url_is_not_repeated() {
        let said = "s3://AKIA:hidden@backups/x"
            .parse::<JournalUrl>()
            .unwrap_err()
            .to_string();
        assert!(!said.contains("hidden") && !said.contains("AKIA"), "{said}");
    }
}

#[tokio::test]
async fn a_journal_in_memory_is_one_journal_however_often_it_is_cloned() {
    let journal = Journal::open(&"memory://".parse().unwrap());
    journal
        .clone()
        .acquire("nightly", "run-1", now())
        .await
        .unwrap();
    assert_eq!(
        journal
            .acquire("nightly", "run-2", now())
            .await
            .unwrap_err()
            .word(),
        "lease_held"
    );
    assert!(format!("{journal:?}").contains("memory://"));
}

#[tokio::test(start_paused = true)]
async fn objects_too_large_to_be_ours_are_treated_like_any_other_that_is_not() {
    let bucket = Bucket::default();
    let journal = bucket.journal();
    let lease = journal.acquire("nightly", "run-1", now()).await.unwrap();
    let body = vec![b' '; (64 << 20) + 1];
    for name in [
        "leases/weekly.json",
        "open/runs/nightly/1795226401.json",
        "runs/nightly/1795226400/0000000001-000000.jsonl",
    ] {
        let put = bucket.0.put(&path(name), body.clone().into()).await;
        put.unwrap();
    }
    let refused = journal.acquire("weekly", "run-1", now()).await.unwrap_err();
    assert_eq!(refused.word(), "lease_corrupt");
    let log = journal.open_run(&lease, &key(), now()).await.unwrap();
    assert_eq!(log.unreadable(), 1);
    let found = journal.open_runs().await.unwrap();
    assert_eq!((found.runs.len(), found.ignored.len()), (1, 1));
}

#[test]
fn a_plans_name_stays_one_part_of_a_path() {
    let store = Store::on(Arc::new(InMemory::new()), Path::from("root"));
    assert_eq!(
        store.path(["open", "../x/y"]).as_ref(),
        "root/open/..%2Fx%2Fy"
    );
    assert_eq!(store.path(["open", ".."]).as_ref(), "root/open/%2E%2E");
}
