//! The same in a bucket, if there is one: `tests/aws/test_journal.py` says so in `LIFEBOAT_TEST_S3`, and sets AWS's own
//! variables.

use super::*;

/// The journal in a bucket, if this process is meant to have what `test_s3` says: `everything`, or all but one thing.
fn journal_in(bucket: &str, test_s3: &str) -> Option<Journal> {
    let meant = std::env::var("LIFEBOAT_TEST_S3").is_ok_and(|with| with == test_s3);
    meant.then(|| Journal::open(&format!("s3://{bucket}/a/prefix").parse().unwrap()))
}

#[tokio::test]
async fn a_bucket_holds_a_whole_run() {
    let journals = ["journal"; 2].map(|bucket| journal_in(bucket, "everything"));
    let [Some(journal), Some(other)] = journals else {
        return;
    };
    assert_eq!(journal.open_runs().await.unwrap(), OpenRuns::default());
    let lease = journal.acquire("nightly", "run-1", now()).await.unwrap();
    let log = journal.open_run(&lease, &key(), now()).await.unwrap();
    join_all((0..20).map(|number| {
        let (log, entry) = (&log, entry(number));
        async move { log.append(&entry).await.unwrap() }
    }))
    .await;
    lease.renew(later(45)).await.unwrap();

    let refused = other
        .acquire("nightly", "run-2", later(46))
        .await
        .unwrap_err();
    assert_eq!(refused.word(), "lease_held");
    let said = refused.to_string();
    assert!(
        said.contains("s3://journal/a/prefix/leases/nightly.json"),
        "{said}"
    );
    assert_eq!(other.open_runs().await.unwrap().runs.len(), 1);
    let next = other.acquire("nightly", "run-2", later(600)).await.unwrap();
    assert_eq!(next.fence(), lease.fence() + 1);
    assert_eq!(
        lease.renew(later(601)).await.unwrap_err().word(),
        "lease_lost"
    );
    let log = other.open_run(&next, &key(), now()).await.unwrap();
    assert_eq!(log.entries().len(), 20);
    other.close_run(log, record("run-2")).await.unwrap();
    next.release().await.unwrap();
    assert_eq!(
        other.history("nightly", 9).await.unwrap(),
        [record("run-2")]
    );
    assert_eq!(other.open_runs().await.unwrap(), OpenRuns::default());
}

#[tokio::test]
async fn of_many_who_race_in_a_bucket_exactly_one_wins() {
    let rivals: Option<Vec<Journal>> = (0..8)
        .map(|_| journal_in("journal", "everything"))
        .collect();
    for round in 0..10 {
        let plan = format!("race-{round}");
        for at in [now(), later(600)] {
            let Some(rivals) = &rivals else { return };
            let race = rivals
                .iter()
                .map(|journal| journal.acquire(&plan, "run-1", at));
            let won = join_all(race).await.into_iter().flatten().count();
            assert_eq!(won, 1, "{plan} at {at}");
        }
    }
}

#[tokio::test]
async fn a_missing_bucket_is_said_to_be_missing_whatever_is_done_with_it() {
    let Some(journal) = journal_in("no-such-bucket", "everything") else {
        return;
    };
    let acquired = journal
        .acquire("nightly", "run-1", now())
        .await
        .unwrap_err();
    let written = journal.store.put(&path("x"), b"x", None).await.unwrap_err();
    for error in [
        acquired,
        written.into(),
        journal.open_runs().await.unwrap_err().into(),
        journal.history("nightly", 9).await.unwrap_err().into(),
    ] {
        let said = error.to_string();
        assert_eq!(error.word(), "journal_missing", "{said}");
        assert!(
            said.contains("s3://no-such-bucket/a/prefix; create it"),
            "{said}"
        );
    }
}

#[tokio::test]
async fn without_credentials_a_region_or_an_answer_it_says_so() {
    for (missing, word) in [
        ("no credentials", "journal_no_credentials"),
        ("no region", "journal_region"),
        ("no answer", "journal_unreachable"),
    ] {
        if let Some(journal) = journal_in("journal", missing) {
            let error = journal.open_runs().await.unwrap_err();
            assert_eq!(error.word(), word, "{error}");
            assert!(
                error.to_string().contains("s3://journal/a/prefix"),
                "{error}"
            );
        }
    }
}
