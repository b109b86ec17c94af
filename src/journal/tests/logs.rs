//! What a run writes down is there once it is said to be, and is read by the next invocation.

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
        Entry::Started { source, .. }
        | Entry::Intended { source, .. }
        | Entry::Compared { source, .. }
        | Entry::RestoreMissing { source, .. }
        | Entry::RestoreCompared { source, .. } => source,
        Entry::Ended { job } => &job.source,
        Entry::RestoreChosen { chosen } => &chosen.source,
        Entry::Waiting
        | Entry::RestoreAsked { .. }
        | Entry::RestoreBegun
        | Entry::DrillAsked { .. }
        | Entry::DrillLeft
        | Entry::Cluster { .. }
        | Entry::ClusterRestore { .. } => "",
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
        handed_over: None,
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
    let (dropped, others) = join(dropped, join_all(others)).await;
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
async fn one_listing_shows_that_something_of_any_part_is_open() {
    let part = |journal: &Journal, part: usize| match part {
        0 => journal.of_restores(),
        1 => journal.of_drills(),
        2 => journal.of_clusters(),
        _ => journal.of_clusters().of_restores(),
    };
    for open in 0..4 {
        let whole = Bucket::default().journal();
        opened(&part(&whole, open), "run-1", now()).await;
        let found = whole.open_runs().await.unwrap();
        let others = OpenRuns {
            others: true,
            ..OpenRuns::default()
        };
        assert_eq!(found, others, "{open}");
        for of in 0..4 {
            let found = part(&whole, of).open_runs().await.unwrap();
            assert_eq!(found.runs.len(), usize::from(of == open), "{open} {of}");
            assert!(found.ignored.is_empty() && !found.others);
        }
    }
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
    let mark = bucket
        .get("open/runs/nightly/1795226400.json")
        .await
        .unwrap();
    // Whoever looks into the bucket sees whose run it is.
    assert!(mark.contains(r#""holder":"run-1""#), "{mark}");
    let foreign = [
        ("open/README", "hello"),
        ("open/runs/nightly/1795226401.json", ""),
        ("open/runs/nightly/1795226402.json", &mark),
        ("open/runs/nightly/not-a-slot.json", "{}"),
        ("open/runs/elsewhere/1795226400.json", &mark),
        ("open/runs/1795226400.json", &mark),
        ("open/nightly/1795226400.json", &mark),
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
    bucket
        .put("open/runs/nightly/1795226400.json", "garbage")
        .await;
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
