//! A run that is closed, killed anywhere, begun anew or wiped away ends in one record and leaves nothing.

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
        if night == 50 {
            // A late segment of the oldest, by somebody who had lost the lease.
            bucket
                .put("runs/nightly/1795226400/0000000001-000000.jsonl", "late")
                .await;
        }
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
    // Lease and mark are the first two writes; from then on the run is never out of sight.
    let began = at + usize::from(fate == Fate::KilledAfter) >= 2;
    let finished = journal.history("nightly", 1).await.unwrap()[0].key == key();
    assert!(!whole || finished, "{said}");
    // A segment exists only of a run that can be found: open, or finished with its mark still there.
    let segments = bucket.names_under("runs/").await;
    assert!(
        segments.is_empty() || !bucket.names_under("open/").await.is_empty(),
        "{said}: {segments:?}"
    );
    assert_eq!(began, finished || open.runs.len() == 1, "{said}");
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
    assert_eq!(nights, 2 + usize::from(began), "{said}");
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
    // A new run, one that was cut before, and one that was finished before.
    for (earlier, at) in (0..3).flat_map(|earlier| (0..12).map(move |at| (earlier, at))) {
        let bucket = Bucket::default();
        let (journal, store) = bucket.process(0);
        let said = format!("{earlier} at write {at}");
        match earlier {
            0 => {}
            1 => {
                let lease = journal
                    .acquire("nightly", "run-0", later(-600))
                    .await
                    .unwrap();
                let log = journal.open_run(&lease, &key(), later(-600)).await.unwrap();
                log.append(&entry(0)).await.unwrap();
            }
            _ => run(&journal, &key(), later(-600), 3, "run-0")
                .await
                .unwrap(),
        }
        store.next_writes(std::iter::repeat_n(Fate::Passes, at).chain([Fate::WipedFirst]));
        if let Err(error) = run(&journal, &key(), now(), 3, "run-1").await {
            let expected = ["lease_lost", "journal_unreachable"].contains(&error.word());
            assert!(expected, "{said}: {error}");
        }
        let found = bucket.journal().open_runs().await.unwrap();
        assert!(found.ignored.is_empty(), "{said}: {found:?}");
        run(&bucket.journal(), &key(), later(600), 1, "run-2")
            .await
            .unwrap();
        let left = bucket.names().await;
        assert_eq!(
            left,
            ["history/nightly/1795226400.json", "leases/nightly.json"],
            "{said}"
        );
    }
}
