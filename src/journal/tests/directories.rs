//! The same in a directory, where the operating system stands in for conditional updates.

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
