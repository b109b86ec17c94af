//! What the journal promises, in memory, in a directory and, if `LIFEBOAT_TEST_S3` names an endpoint, in a bucket.

use std::collections::BTreeSet;

use futures_util::future::{join_all, join3};
use jiff::SignedDuration;
use object_store::memory::InMemory;
use object_store::{ObjectStoreExt, PutMode};
use serde_json::json;

use super::*;
use faulty_store::{Chances, Counts, Fate, FaultyStore};
use futures_util::stream::TryStreamExt;
use std::time::Duration;
use tokio::time::sleep;

#[path = "../../tests/it/faulty_store.rs"]
mod faulty_store;

mod s3_tests;

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
        opened_at: now(),
        closed_at: later(60),
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

mod leases {
    use super::*;

    async fn taken(journal: &Journal, holder: &str, now: Timestamp) -> Lease {
        journal.acquire("nightly", holder, now).await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_is_held_is_refused_even_to_its_holder() {
        let journal = Bucket::default().journal();
        let lease = taken(&journal, "run-1", now()).await;
        assert_eq!(
            (lease.plan(), lease.holder(), lease.until()),
            ("nightly", "run-1", later(180))
        );
        for holder in ["run-2", "run-1"] {
            let refused = journal
                .acquire("nightly", holder, later(179))
                .await
                .unwrap_err();
            assert_eq!(refused.word(), "lease_held");
            let said = refused.to_string();
            for part in [
                "`nightly`",
                "run-1",
                "02:03:00Z",
                "memory://root/leases/nightly.json",
            ] {
                assert!(said.contains(part), "{said}");
            }
        }
        assert!(
            journal.acquire("weekly", "run-2", now()).await.is_ok(),
            "another plan is free"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_is_believed_until_a_minute_before_it_runs_out() {
        let lease = taken(&Bucket::default().journal(), "run-1", now()).await;
        assert!(lease.is_ours(now()) && lease.is_ours(later(119)));
        assert!(!lease.is_ours(later(120)) && !lease.is_ours(later(999)));
        lease.renew(later(100)).await.unwrap();
        assert!(lease.is_ours(later(219)) && !lease.is_ours(later(220)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stale_lease_is_taken_over_and_its_old_holder_never_gets_it_back() {
        let journal = Bucket::default().journal();
        let old = taken(&journal, "run-1", now()).await;
        let new = taken(&journal, "run-2", later(180)).await;
        assert_eq!(new.fence(), old.fence() + 1);
        assert!(old.is_ours(later(1)), "it does not know yet");
        for _ in 0..2 {
            let error = old.renew(later(181)).await.unwrap_err();
            assert_eq!(error.word(), "lease_lost");
            assert!(!old.is_ours(now()), "not even in the past");
        }
        assert!(new.is_ours(later(181)));
        new.renew(later(200)).await.unwrap();
        // Not even when the new holder has gone.
        new.release().await.unwrap();
        assert_eq!(
            old.renew(later(202)).await.unwrap_err().word(),
            "lease_lost"
        );
        assert_eq!(old.release().await.unwrap_err().word(), "lease_lost");
    }

    #[tokio::test(start_paused = true)]
    async fn a_released_lease_is_free_at_once_and_its_fence_lives_on() {
        let journal = Bucket::default().journal();
        let first = taken(&journal, "run-1", now()).await;
        let fence = first.fence();
        first.release().await.unwrap();
        let second = taken(&journal, "run-1", later(1)).await;
        assert_eq!(second.fence(), fence + 1);
    }

    #[tokio::test(start_paused = true)]
    async fn of_any_number_who_race_for_a_lease_exactly_one_wins() {
        for seed in 0..300 {
            let bucket = Bucket::default();
            let stale = seed % 2 == 0;
            if stale {
                taken(&bucket.journal(), "run-0", later(-600)).await;
            }
            let rivals = (0..4).map(|rival| {
                let (journal, store) = bucket.process(seed * 10 + rival);
                store.chances(Chances {
                    fails_before: 5,
                    fails_after: 15,
                    longest_delay: Duration::from_secs(1),
                });
                // All of one event, so alike in everything that they write, but for the nonce.
                async move { journal.acquire("nightly", "run-1", now()).await }
            });
            let outcomes = join_all(rivals).await;
            let won = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
            assert_eq!(won, 1, "seed {seed}: {outcomes:?}");
            for lease in outcomes.iter().flatten() {
                lease.renew(later(10)).await.unwrap();
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_whose_answer_was_lost_is_ours() {
        let bucket = Bucket::default();
        let (journal, store) = bucket.process(0);
        store.next_writes([Fate::FailsAfter]);
        let first = taken(&journal, "run-1", now()).await;
        store.next_writes([Fate::FailsAfter]);
        let second = taken(&journal, "run-2", later(200)).await;
        assert_eq!(second.fence(), first.fence() + 1);
        store.next_writes([Fate::FailsAfter]);
        second.renew(later(245)).await.unwrap();
        assert_eq!(second.until(), later(245 + 180));
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewal_that_was_heard_and_looked_failed_does_not_lose_the_lease() {
        let (journal, store) = Bucket::default().process(0);
        let lease = taken(&journal, "run-1", now()).await;
        // Heard, but neither its answer nor any look comes through.
        store.next_writes([Fate::FailsAfter, Fate::FailsBefore, Fate::FailsBefore]);
        store.chances(Chances {
            fails_before: 100,
            ..Chances::default()
        });
        let _ = lease.renew(later(45)).await.unwrap_err();
        assert!(
            lease.is_ours(later(119)) && !lease.is_ours(later(121)),
            "it is what it was"
        );
        store.chances(Chances::default());
        lease.renew(later(90)).await.unwrap();
        assert_eq!(lease.until(), later(270));
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewal_that_is_carried_out_long_after_does_not_lose_the_lease() {
        let (journal, store) = Bucket::default().process(0);
        let lease = taken(&journal, "run-1", now()).await;
        store.next_writes([
            Fate::ComesLate,
            Fate::FailsBefore,
            Fate::FailsBefore,
            Fate::FailsBefore,
            Fate::FailsBefore,
        ]);
        assert_eq!(
            lease.renew(later(45)).await.unwrap_err().word(),
            "journal_unreachable"
        );
        // It arrives between the next renewal's look and its write.
        let said = lease.renew(later(90)).await.unwrap_err().to_string();
        assert!(said.contains("carried out only now"), "{said}");
        lease.renew(later(91)).await.unwrap();
        assert!(lease.is_ours(later(91 + 119)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_somebody_deletes_is_lost_and_the_next_has_a_higher_fence() {
        let (journal, store) = Bucket::default().process(0);
        let lease = taken(&journal, "run-1", now()).await;
        store.wipe().await;
        assert_eq!(
            lease.renew(later(45)).await.unwrap_err().word(),
            "lease_lost"
        );
        let next = taken(&journal, "run-2", later(46)).await;
        assert!(next.fence() > lease.fence());

        // In the very moment of a renewal, and of a taking.
        store.next_writes([Fate::WipedFirst]);
        assert_eq!(
            next.renew(later(50)).await.unwrap_err().word(),
            "lease_lost"
        );
        let third = taken(&journal, "run-3", later(60)).await;
        store.next_writes([Fate::WipedFirst]);
        let refused = journal
            .acquire("nightly", "run-4", later(600))
            .await
            .unwrap_err();
        assert!(
            refused.to_string().contains("deleted just now"),
            "{refused}"
        );
        assert_eq!(refused.word(), "journal_unreachable");
        drop(third);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_a_lease_is_named_and_never_overwritten() {
        for (body, fault) in [
            ("", "can't be read as a lease"),
            ("{}", "can't be read as a lease"),
            ("\u{0}\u{1}", "can't be read as a lease"),
            (
                r#"{"plan":"weekly","holder":"x","fence":1,"nonce":1,"expires_at":"2020-01-01T00:00:00Z"}"#,
                "plan `weekly`",
            ),
        ] {
            let bucket = Bucket::default();
            bucket.put("leases/nightly.json", body).await;
            let refused = bucket
                .journal()
                .acquire("nightly", "run-1", now())
                .await
                .unwrap_err();
            let said = refused.to_string();
            assert_eq!(refused.word(), "lease_corrupt");
            assert!(
                said.contains(fault)
                    && said.contains("leases/nightly.json")
                    && said.contains("delete it"),
                "{said}"
            );
            assert_eq!(
                bucket.get("leases/nightly.json").await.as_deref(),
                Some(body)
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_is_written_over_by_something_else_is_lost() {
        let bucket = Bucket::default();
        let lease = taken(&bucket.journal(), "run-1", now()).await;
        bucket.put("leases/nightly.json", "hello").await;
        assert_eq!(
            lease.renew(later(45)).await.unwrap_err().word(),
            "lease_lost"
        );
        assert_eq!(bucket.get("leases/nightly.json").await.unwrap(), "hello");
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_never_answers_is_given_up_in_half_a_minute() {
        let (journal, store) = Bucket::default().process(0);
        store.next_writes([Fate::KilledBefore]);
        let began = tokio::time::Instant::now();
        let error = journal
            .acquire("nightly", "run-1", now())
            .await
            .unwrap_err();
        assert!(error.to_string().contains("no answer within"), "{error}");
        assert!(
            began.elapsed() <= Duration::from_secs(60),
            "{:?}",
            began.elapsed()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewal_in_the_background_and_a_look_at_the_lease_do_not_disturb_each_other() {
        let (journal, store) = Bucket::default().process(3);
        let lease = taken(&journal, "run-1", now()).await;
        store.chances(Chances {
            longest_delay: Duration::from_secs(2),
            ..Chances::default()
        });
        let work = async {
            for second in 0..60 {
                sleep(Duration::from_secs(1)).await;
                assert!(lease.is_ours(later(second)));
            }
        };
        let (one, two, ()) = join3(lease.renew(later(45)), lease.renew(later(46)), work).await;
        one.unwrap();
        two.unwrap();
        assert_eq!(lease.until(), later(46 + 180));
    }
}

mod logs {
    use super::*;

    /// Takes the lease and opens the run.
    async fn opened(journal: &Journal, holder: &str, at: Timestamp) -> (Lease, RunLog) {
        let lease = journal.acquire("nightly", holder, at).await.unwrap();
        let log = journal.open_run(&lease, &key(), at).await.unwrap();
        (lease, log)
    }

    async fn append_all(log: &RunLog, numbers: std::ops::Range<usize>) {
        for number in numbers {
            log.append(&entry(number)).await.unwrap();
        }
    }

    fn sources(entries: &[Entry]) -> Vec<&str> {
        entries.iter().map(source).collect()
    }

    fn source(entry: &Entry) -> &str {
        match entry {
            Entry::Started { source, .. } | Entry::Intended { source, .. } => source,
            Entry::Ended { job } => &job.source,
            Entry::Waiting => "",
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_one_invocation_writes_the_next_one_reads_in_order() {
        let bucket = Bucket::default();
        let journal = bucket.journal();
        let before = SourceBefore {
            looked_at: now(),
            created_at: later(-99),
            updated_at: later(-9),
            rows: 20,
            read_only: false,
            schema: json!({"text": {"type": "string"}}),
        };
        let job = JobLine {
            target: "eu".into(),
            region: "aws-eu-west-1".into(),
            source: "tenant-a".into(),
            backup: Some("backup-tenant-a-1795226400".into()),
            state: "sealed".into(),
            rows: 20,
            bytes_written: 1,
            bytes_returned: 2,
            started_at: Some(now()),
            ended_at: Some(later(5)),
            progress: None,
            error: None,
            message: None,
        };
        let written = vec![
            Entry::Intended {
                target: "eu".into(),
                source: "tenant-a".into(),
                before,
            },
            entry(1),
            Entry::Ended { job },
        ];
        let (lease, log) = opened(&journal, "run-1", now()).await;
        assert!(log.entries().is_empty() && log.earlier().is_none() && log.opened_at() == now());
        for entry in &written {
            log.append(entry).await.unwrap();
        }
        assert_eq!(
            bucket.names_under("runs/").await,
            (0..3)
                .map(|n| format!("runs/nightly/1795226400/{}-00000{n}.jsonl", lease.fence()))
                .collect::<Vec<_>>()
        );
        lease.release().await.unwrap();

        let (lease, log) = opened(&journal, "run-2", later(300)).await;
        assert_eq!(log.entries(), written);
        assert_eq!(log.opened_at(), now(), "the first invocation's");
        append_all(&log, 7..9).await;
        // The same lease again, as when one invocation opens a run twice: numbers go on.
        let again = journal.open_run(&lease, &key(), later(301)).await.unwrap();
        append_all(&again, 9..10).await;
        let again = journal.open_run(&lease, &key(), later(301)).await.unwrap();
        assert_eq!(
            sources(again.entries()),
            [
                "tenant-a", "tenant-1", "tenant-a", "tenant-7", "tenant-8", "tenant-9"
            ]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_hundred_jobs_share_a_few_writes_and_each_is_told_only_when_its_entry_is_there() {
        let bucket = Bucket::default();
        let (journal, store) = bucket.process(1);
        let (_lease, log) = opened(&journal, "run-1", now()).await;
        store.chances(Chances {
            longest_delay: Duration::from_millis(100),
            ..Chances::default()
        });
        let before = store.counts().writes;
        let jobs = (0..100).map(|number| {
            let (log, bucket) = (&log, &bucket);
            async move {
                sleep(Duration::from_millis(number / 10)).await;
                log.append(&entry(usize::try_from(number).unwrap()))
                    .await
                    .unwrap();
                let mut written = String::new();
                for name in bucket.names_under("runs/").await {
                    written += &bucket.get(&name).await.unwrap();
                }
                assert!(
                    written.contains(&format!("\"tenant-{number}\"")),
                    "told too early"
                );
            }
        });
        join_all(jobs).await;
        let writes = store.counts().writes - before;
        assert!(writes <= 5, "{writes} writes");
    }

    #[tokio::test(start_paused = true)]
    async fn one_who_is_dropped_while_writing_for_all_loses_nobodys_entry() {
        let bucket = Bucket::default();
        let (journal, store) = bucket.process(1);
        let (_lease, log) = opened(&journal, "run-1", now()).await;
        store.chances(Chances {
            longest_delay: Duration::from_secs(2),
            ..Chances::default()
        });
        let first = entry(1);
        let dropped = tokio::time::timeout(Duration::from_millis(10), log.append(&first));
        let others = (2..5).map(|number| {
            let log = &log;
            async move { log.append(&entry(number)).await }
        });
        let (dropped, others) = futures_util::future::join(dropped, join_all(others)).await;
        assert!(
            dropped.is_err() && others.iter().all(Result::is_ok),
            "{others:?}"
        );
        let again = bucket.journal();
        let lease = again.acquire("nightly", "run-2", later(600)).await.unwrap();
        let log = again.open_run(&lease, &key(), now()).await.unwrap();
        let found: BTreeSet<&str> = sources(log.entries()).into_iter().collect();
        assert_eq!(
            found,
            BTreeSet::from(["tenant-1", "tenant-2", "tenant-3", "tenant-4"])
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_fails_is_told_to_all_who_shared_it_and_the_next_may_succeed() {
        let (journal, store) = Bucket::default().process(1);
        let (_lease, log) = opened(&journal, "run-1", now()).await;
        store.chances(Chances {
            fails_before: 100,
            longest_delay: Duration::from_millis(10),
            ..Chances::default()
        });
        let began = tokio::time::Instant::now();
        let failed = join_all((0..50).map(|number| {
            let (log, entry) = (&log, entry(number));
            async move { log.append(&entry).await }
        }));
        for outcome in failed.await {
            assert_eq!(outcome.unwrap_err().word(), "journal_unreachable");
        }
        assert!(
            began.elapsed() < Duration::from_secs(90),
            "not one after the other: {:?}",
            began.elapsed()
        );
        store.chances(Chances::default());
        log.append(&entry(99)).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn whatever_is_lost_between_what_was_said_to_be_written_is_there() {
        for seed in 0..200 {
            let bucket = Bucket::default();
            let (journal, store) = bucket.process(seed);
            let (_lease, log) = opened(&journal, "run-1", now()).await;
            store.chances(Chances {
                fails_before: 25,
                fails_after: 25,
                longest_delay: Duration::from_millis(200),
            });
            let appends = (0..20).map(|number| {
                let log = &log;
                async move {
                    sleep(Duration::from_millis(number * 50)).await;
                    let entry = entry(usize::try_from(number).unwrap());
                    log.append(&entry).await.is_ok().then_some(entry)
                }
            });
            let acknowledged: Vec<Entry> = join_all(appends).await.into_iter().flatten().collect();
            let (_lease, log) = opened(&bucket.journal(), "run-2", later(600)).await;
            for entry in &acknowledged {
                assert!(log.entries().contains(entry), "seed {seed}: {entry:?}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_journal_costs_one_request() {
        let (journal, store) = Bucket::default().process(0);
        assert_eq!(journal.open_runs().await.unwrap(), OpenRuns::default());
        assert_eq!(
            store.counts(),
            Counts {
                lists: 1,
                ..Counts::default()
            }
        );
    }

    #[tokio::test(start_paused = true)]
    async fn open_runs_are_found_oldest_first_and_what_is_none_is_named_and_left_alone() {
        let bucket = Bucket::default();
        let journal = bucket.journal();
        let mut manual = key_of("weekly", 50);
        manual.class = Class::Manual;
        for key in [key_of("nightly", 100), key_of("nightly", 0), manual.clone()] {
            let lease = journal.acquire(&key.plan, "run-1", now()).await.unwrap();
            journal.open_run(&lease, &key, later(7)).await.unwrap();
            lease.release().await.unwrap();
        }
        let mark = bucket.get("open/nightly/1795226400.json").await.unwrap();
        let foreign = [
            ("open/README", "hello"),
            ("open/nightly/1795226401.json", ""),
            ("open/nightly/1795226402.json", &mark),
            ("open/nightly/not-a-slot.json", "{}"),
            ("open/elsewhere/1795226400.json", &mark),
            ("open/1795226400.json", &mark),
        ];
        for (name, body) in foreign {
            bucket.put(name, body).await;
        }
        let found = journal.open_runs().await.unwrap();
        let keys: Vec<RunKey> = found.runs.iter().map(|run| run.key.clone()).collect();
        assert_eq!(keys, [key_of("nightly", 0), manual, key_of("nightly", 100)]);
        assert!(found.runs.iter().all(|run| run.opened_at == later(7)));
        let named: BTreeSet<String> = foreign
            .iter()
            .map(|(name, _)| format!("memory://root/{name}"))
            .collect();
        assert_eq!(found.ignored.into_iter().collect::<BTreeSet<_>>(), named);

        // Closing one sweeps nothing of them away either.
        let (_lease, log) = opened(&journal, "run-2", later(600)).await;
        journal.close_run(log, record("run-2")).await.unwrap();
        for (name, body) in foreign {
            assert_eq!(bucket.get(name).await.as_deref(), Some(body));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn lines_that_cannot_be_read_are_counted_and_the_others_read() {
        let bucket = Bucket::default();
        let good = String::from_utf8(json(&entry(1))).unwrap();
        let richer = good.replace("\"event\"", "\"colour\":\"blue\",\"event\"");
        bucket
            .put(
                "runs/nightly/1795226400/0000000009-000000.jsonl",
                &format!("{good}\n{richer}\n"),
            )
            .await;
        bucket
            .put(
                "runs/nightly/1795226400/0000000010-000000.jsonl",
                &format!("{{\"event\":\"danced\"}}\nnonsense\n{good}"),
            )
            .await;
        bucket
            .put("runs/nightly/1795226400/notes.txt", "hello")
            .await;
        let (_lease, log) = opened(&bucket.journal(), "run-1", now()).await;
        assert_eq!(log.entries(), [entry(1), entry(1), entry(1)]);
        assert_eq!(log.unreadable(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn an_open_mark_that_cannot_be_read_is_written_anew_by_its_own_run() {
        let bucket = Bucket::default();
        bucket.put("open/nightly/1795226400.json", "garbage").await;
        let (_lease, log) = opened(&bucket.journal(), "run-1", now()).await;
        assert_eq!(log.opened_at(), now());
        assert_eq!(bucket.journal().open_runs().await.unwrap().runs.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_segment_never_takes_the_place_of_anothers() {
        let bucket = Bucket::default();
        let (lease, log) = opened(&bucket.journal(), "run-1", now()).await;
        let segment = |number| {
            format!(
                "runs/nightly/1795226400/{}-{number:06}.jsonl",
                lease.fence()
            )
        };
        bucket.put(&segment(0), "theirs").await;
        log.append(&entry(1)).await.unwrap();
        assert_eq!(bucket.get(&segment(0)).await.unwrap(), "theirs");
        assert!(bucket.get(&segment(1)).await.unwrap().contains("tenant-1"));
        for number in 2..200 {
            bucket.put(&segment(number), "theirs").await;
        }
        let error = log.append(&entry(2)).await.unwrap_err();
        assert_eq!(error.word(), "journal_unreadable");
        assert!(error.to_string().contains("runs/nightly/"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn under_a_lost_lease_nothing_more_is_written() {
        let bucket = Bucket::default();
        let journal = bucket.journal();
        let (old, log) = opened(&journal, "run-1", now()).await;
        log.append(&entry(1)).await.unwrap();
        let (new, new_log) = opened(&journal, "run-2", later(600)).await;
        assert_eq!(new_log.entries(), [entry(1)]);
        new_log.append(&entry(2)).await.unwrap();
        let names = bucket.names().await;

        // It does not know yet that it has lost the lease; closing finds the later run's mark.
        let error = journal.close_run(log, record("run-1")).await.unwrap_err();
        assert_eq!(error.word(), "lease_lost");
        assert_eq!(bucket.names().await, names);

        let error = journal.open_run(&old, &key(), now()).await.unwrap_err();
        assert_eq!(error.word(), "lease_lost");

        // And now it knows.
        let other = key_of("nightly", 60);
        let log = journal.open_run(&old, &other, now()).await.unwrap();
        old.renew(later(601)).await.unwrap_err();
        let names = bucket.names().await;
        for error in [
            log.append(&entry(3)).await.unwrap_err(),
            journal.open_run(&old, &other, now()).await.unwrap_err(),
            journal.close_run(log, record("run-1")).await.unwrap_err(),
        ] {
            assert_eq!(error.word(), "lease_lost");
        }
        assert_eq!(bucket.names().await, names);
        journal.close_run(new_log, record("run-2")).await.unwrap();
        assert!(new.is_ours(later(602)));
    }
}

mod ends {
    use super::*;

    async fn run(
        journal: &Journal,
        key: &RunKey,
        at: Timestamp,
        entries: usize,
        holder: &str,
    ) -> Result<(), LeaseError> {
        let lease = journal.acquire(&key.plan, holder, at).await?;
        let log = journal.open_run(&lease, key, at).await?;
        for number in 0..entries {
            log.append(&entry(number)).await?;
        }
        journal.close_run(log, record(holder)).await?;
        lease.release().await?;
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_run_leaves_its_history_and_nothing_else() {
        let bucket = Bucket::default();
        let journal = bucket.journal();
        run(&journal, &key(), now(), 3, "run-1").await.unwrap();
        assert_eq!(
            bucket.names().await,
            ["history/nightly/1795226400.json", "leases/nightly.json"]
        );
        assert_eq!(
            journal.history("nightly", 10).await.unwrap(),
            [record("run-1")]
        );
        assert_eq!(journal.open_runs().await.unwrap(), OpenRuns::default());
        assert_eq!(journal.history("weekly", 10).await.unwrap(), []);
    }

    #[tokio::test(start_paused = true)]
    async fn a_finished_run_may_begin_anew_and_is_open_again() {
        let bucket = Bucket::default();
        let journal = bucket.journal();
        run(&journal, &key(), now(), 3, "run-1").await.unwrap();
        let lease = journal
            .acquire("nightly", "run-2", later(60))
            .await
            .unwrap();
        let log = journal.open_run(&lease, &key(), later(60)).await.unwrap();
        assert_eq!((log.entries(), log.opened_at()), (&[][..], later(60)));
        assert_eq!(log.earlier(), Some(&record("run-1")));
        log.append(&entry(9)).await.unwrap();
        assert_eq!(
            journal.open_runs().await.unwrap().runs.len(),
            1,
            "open, although it has a history"
        );
        journal.close_run(log, record("run-2")).await.unwrap();
        assert_eq!(
            journal.history("nightly", 10).await.unwrap(),
            [record("run-2")]
        );
        assert_eq!(journal.open_runs().await.unwrap(), OpenRuns::default());
    }

    #[tokio::test(start_paused = true)]
    async fn history_is_newest_first_and_keeps_a_hundred_runs_of_each_plan() {
        let bucket = Bucket::default();
        let journal = bucket.journal();
        bucket.put("history/nightly/notes.json", "hello").await;
        bucket
            .put("history/nightly/deeper/1795226400.json", "hello")
            .await;
        run(&journal, &key_of("weekly", 0), now(), 0, "run-1")
            .await
            .unwrap();
        // A late segment of the oldest, by somebody who had lost the lease.
        bucket
            .put("runs/nightly/1795226400/0000000001-000000.jsonl", "late")
            .await;
        for night in 0..105 {
            let mut key = key_of("nightly", night * 86_400);
            key.class = if night % 2 == 0 {
                Class::Scheduled
            } else {
                Class::Manual
            };
            run(&journal, &key, later(night * 86_400), 1, "run-1")
                .await
                .unwrap();
        }
        let history = journal.history("nightly", 1_000).await.unwrap();
        let newest_first: Vec<_> = (5..105)
            .rev()
            .map(|night| key_of("nightly", night * 86_400).slot)
            .collect();
        assert_eq!(
            history
                .iter()
                .map(|record| record.key.slot)
                .collect::<Vec<_>>(),
            newest_first
        );
        assert_eq!(history[1].key.class, Class::Manual);
        assert_eq!(journal.history("nightly", 3).await.unwrap(), history[..3]);
        assert_eq!(journal.history("weekly", 3).await.unwrap().len(), 1);
        assert!(
            bucket.names_under("runs/").await.is_empty(),
            "not even the late segment"
        );
        assert_eq!(
            bucket.names_under("history/nightly/").await.len(),
            102,
            "what is not ours stays"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn records_that_cannot_be_read_are_left_out() {
        let bucket = Bucket::default();
        let journal = bucket.journal();
        run(&journal, &key(), now(), 0, "run-1").await.unwrap();
        let record = bucket.get("history/nightly/1795226400.json").await.unwrap();
        bucket
            .put("history/nightly/1795226401.json", "garbage")
            .await;
        bucket.put("history/nightly/1795226402.json", &record).await;
        assert_eq!(
            journal.history("nightly", 1).await.unwrap().len(),
            1,
            "the readable one"
        );
        // And a run whose record is garbage is open until it is closed over it.
        let lease = journal
            .acquire("nightly", "run-2", later(60))
            .await
            .unwrap();
        let log = journal
            .open_run(&lease, &key_of("nightly", 1), later(60))
            .await
            .unwrap();
        assert!(log.earlier().is_none());
        assert_eq!(journal.open_runs().await.unwrap().runs.len(), 1);
        journal
            .close_run(log, super::record("run-2"))
            .await
            .unwrap();
        assert_eq!(journal.history("nightly", 9).await.unwrap().len(), 2);
    }

    /// One run of three entries with a kill at its `at`th write; then the next event, by another process, later.
    async fn killed(at: usize, fate: Fate) -> bool {
        let bucket = Bucket::default();
        let (journal, store) = bucket.process(0);
        run(
            &bucket.journal(),
            &key_of("nightly", -86_400),
            later(-86_400),
            1,
            "run-0",
        )
        .await
        .unwrap();
        let fates = std::iter::repeat_n(Fate::Passes, at).chain([fate]);
        store.next_writes(fates);
        let whole = run(&journal, &key(), now(), 3, "run-1").await.is_ok();
        let said = format!("{fate:?} at write {at}");

        let journal = bucket.journal();
        let open = journal.open_runs().await.unwrap();
        assert!(open.ignored.is_empty(), "{said}: {open:?}");
        let finished = journal.history("nightly", 1).await.unwrap()[0].key == key();
        assert!(!whole || finished, "{said}");
        // A segment exists only of a run that can be found: open, or finished with its mark still there.
        let segments = bucket.names_under("runs/").await;
        assert!(
            segments.is_empty() || !bucket.names_under("open/").await.is_empty(),
            "{said}: {segments:?}"
        );
        if let [open] = &open.runs[..] {
            assert!(
                !finished && open.key == key() && open.opened_at == now(),
                "{said}"
            );
            run(&journal, &open.key, later(600), 1, "run-2")
                .await
                .unwrap();
        }
        // The next night sweeps whatever is left.
        run(
            &journal,
            &key_of("nightly", 86_400),
            later(86_400),
            1,
            "run-3",
        )
        .await
        .unwrap();
        let left: Vec<String> = bucket
            .names()
            .await
            .into_iter()
            .filter(|name| !name.starts_with("history/"))
            .collect();
        assert_eq!(left, ["leases/nightly.json"], "{said}");
        let nights = journal.history("nightly", 9).await.unwrap().len();
        assert_eq!(
            nights,
            if finished || !open.runs.is_empty() {
                3
            } else {
                2
            },
            "{said}"
        );
        whole
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_killed_between_any_two_writes_is_found_continued_or_swept() {
        for fate in [Fate::KilledBefore, Fate::KilledAfter] {
            let mut at = 0;
            while !killed(at, fate).await {
                at += 1;
            }
            // Lease, mark, three segments, record, three segments, mark, lease: one more is past the end.
            assert_eq!(at, 11, "{fate:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_acknowledged_before_a_kill_is_read_after_it() {
        for at in 2..6 {
            let bucket = Bucket::default();
            let (journal, store) = bucket.process(0);
            store.next_writes(std::iter::repeat_n(Fate::Passes, at).chain([Fate::KilledBefore]));
            let _ = run(&journal, &key(), now(), 3, "run-1").await;
            let journal = bucket.journal();
            let lease = journal
                .acquire("nightly", "run-2", later(600))
                .await
                .unwrap();
            let log = journal.open_run(&lease, &key(), later(600)).await.unwrap();
            assert_eq!(log.entries(), (0..at - 2).map(entry).collect::<Vec<_>>());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn runs_by_chance_end_in_one_record_and_leave_nothing() {
        for seed in 0..200 {
            let bucket = Bucket::default();
            let (mut at, mut done) = (now(), false);
            for attempt in 0..50 {
                let (journal, store) = bucket.process(seed * 100 + attempt);
                store.chances(Chances {
                    fails_before: 20,
                    fails_after: 20,
                    longest_delay: Duration::from_secs(1),
                });
                at += SignedDuration::from_mins(5);
                if run(&journal, &key(), at, 5, "run").await.is_ok() {
                    done = true;
                    break;
                }
            }
            assert!(done, "seed {seed}");
            assert_eq!(
                bucket.names().await,
                ["history/nightly/1795226400.json", "leases/nightly.json"],
                "seed {seed}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_journal_wiped_at_any_write_of_a_run_is_survived() {
        for at in 0..12 {
            let bucket = Bucket::default();
            let (journal, store) = bucket.process(0);
            store.next_writes(std::iter::repeat_n(Fate::Passes, at).chain([Fate::WipedFirst]));
            let outcome = run(&journal, &key(), now(), 3, "run-1").await;
            if let Err(error) = &outcome {
                assert!(
                    ["lease_lost", "journal_unreachable"].contains(&error.word()),
                    "{at}: {error}"
                );
            }
            assert!(
                bucket
                    .journal()
                    .open_runs()
                    .await
                    .unwrap()
                    .ignored
                    .is_empty()
            );
            run(&bucket.journal(), &key(), later(600), 1, "run-2")
                .await
                .unwrap();
            assert_eq!(
                bucket.names().await,
                ["history/nightly/1795226400.json", "leases/nightly.json"],
                "{at}"
            );
        }
    }
}

mod directories {
    use super::*;

    fn journal_in(directory: &std::path::Path) -> Journal {
        let url: JournalUrl = format!("file://{}", directory.display()).parse().unwrap();
        Journal::open(&url)
    }

    fn files_in(directory: &std::path::Path) -> Vec<String> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                found.extend(files_in(&path));
            } else {
                found.push(path.file_name().unwrap().to_str().unwrap().to_owned());
            }
        }
        found.sort();
        found
    }

    #[tokio::test]
    async fn a_whole_run_in_a_directory_that_is_made_on_demand() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("made/on demand");
        let journal = journal_in(&directory);
        assert!(!directory.exists(), "nothing before the first use");
        assert_eq!(journal.open_runs().await.unwrap(), OpenRuns::default());
        let lease = journal.acquire("nightly", "run-1", now()).await.unwrap();
        let log = journal.open_run(&lease, &key(), now()).await.unwrap();
        join_all((0..20).map(|number| {
            let (log, entry) = (&log, entry(number));
            async move { log.append(&entry).await.unwrap() }
        }))
        .await;
        lease.renew(later(45)).await.unwrap();

        let other = journal_in(&directory);
        assert_eq!(
            other
                .acquire("nightly", "run-2", later(46))
                .await
                .unwrap_err()
                .word(),
            "lease_held"
        );
        assert_eq!(other.open_runs().await.unwrap().runs.len(), 1);
        let next = other.acquire("nightly", "run-2", later(600)).await.unwrap();
        assert_eq!(
            lease.renew(later(601)).await.unwrap_err().word(),
            "lease_lost"
        );
        let log = other.open_run(&next, &key(), now()).await.unwrap();
        assert_eq!(log.entries().len(), 20);
        other.close_run(log, record("run-2")).await.unwrap();
        next.release().await.unwrap();
        assert_eq!(other.history("nightly", 9).await.unwrap().len(), 1);
        assert_eq!(
            files_in(&directory),
            [".lock", "1795226400.json", "nightly.json"]
        );
        assert!(!directory.join("runs").exists(), "no empty folders either");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn of_processes_that_race_for_a_stale_lease_exactly_one_wins() {
        for _ in 0..20 {
            let directory = tempfile::tempdir().unwrap();
            journal_in(directory.path())
                .acquire("nightly", "run-0", later(-600))
                .await
                .unwrap();
            let rivals = (0..8).map(|_| {
                let journal = journal_in(directory.path());
                async move { journal.acquire("nightly", "run-1", now()).await.is_ok() }
            });
            let mut race = tokio::task::JoinSet::new();
            rivals.for_each(|rival| drop(race.spawn(rival)));
            let won = race.join_all().await.into_iter().filter(|won| *won).count();
            assert_eq!(won, 1);
        }
    }

    #[tokio::test]
    async fn a_directory_that_cannot_be_used_says_so() {
        let parent = tempfile::tempdir().unwrap();
        std::fs::write(parent.path().join("file"), "").unwrap();
        let journal = journal_in(&parent.path().join("file/journal"));
        let error = journal.open_runs().await.unwrap_err();
        assert_eq!(error.word(), "journal_directory");
        assert!(
            error
                .to_string()
                .contains("/file/journal can't be used: Not a directory"),
            "{error}"
        );

        // A file where a folder should be, found only while writing.
        std::fs::write(parent.path().join("leases"), "").unwrap();
        let error = journal_in(parent.path())
            .acquire("nightly", "run-1", now())
            .await
            .unwrap_err();
        assert_eq!(error.word(), "journal_directory", "{error}");
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
async fn an_object_too_large_to_be_ours_is_not_read() {
    let bucket = Bucket::default();
    let body = vec![b' '; (64 << 20) + 1];
    bucket
        .0
        .put_opts(
            &path("leases/nightly.json"),
            body.into(),
            PutMode::Create.into(),
        )
        .await
        .unwrap();
    let error = bucket
        .journal()
        .acquire("nightly", "run-1", now())
        .await
        .unwrap_err();
    assert_eq!(error.word(), "journal_unreadable");
    assert!(
        error
            .to_string()
            .contains("memory://root/leases/nightly.json"),
        "{error}"
    );
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
