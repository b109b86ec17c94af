//! The same in a bucket. `tests/aws/test_journal.py` gives the endpoint and the buckets.

use super::*;

/// A bucket's journal, if there is an endpoint to test against. The rest of AWS's variables are set beside it.
fn journal_in(bucket: &str) -> Option<Journal> {
    let endpoint = std::env::var("LIFEBOAT_TEST_S3").ok()?;
    assert_eq!(
        std::env::var("AWS_ENDPOINT_URL").ok(),
        Some(endpoint),
        "set both"
    );
    Some(Journal::open(
        &format!("s3://{bucket}/a/prefix").parse().unwrap(),
    ))
}

#[tokio::test]
async fn s3_holds_a_whole_run() {
    let (Some(journal), Some(other)) = (journal_in("journal"), journal_in("journal")) else {
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
    assert!(
        refused
            .to_string()
            .contains("s3://journal/a/prefix/leases/nightly.json"),
        "{refused}"
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
async fn s3_lets_exactly_one_of_many_have_a_lease() {
    for round in 0..10 {
        let plan = format!("race-{round}");
        for at in [now(), later(600)] {
            let rivals = (0..8).map(|_| async {
                journal_in("journal")?
                    .acquire(&plan, "run-1", at)
                    .await
                    .ok()
            });
            let won: Vec<Lease> = join_all(rivals).await.into_iter().flatten().collect();
            if std::env::var("LIFEBOAT_TEST_S3").is_ok() {
                assert_eq!(won.len(), 1, "{plan} at {at}");
            }
        }
    }
}

#[tokio::test]
async fn s3_says_that_a_bucket_is_missing_whatever_is_done_with_it() {
    let Some(journal) = journal_in("no-such-bucket") else {
        return;
    };
    let acquired = journal
        .acquire("nightly", "run-1", now())
        .await
        .unwrap_err();
    for error in [
        acquired,
        journal.open_runs().await.unwrap_err().into(),
        journal.history("nightly", 9).await.unwrap_err().into(),
    ] {
        assert_eq!(error.word(), "journal_missing", "{error}");
        assert!(
            error
                .to_string()
                .contains("s3://no-such-bucket/a/prefix; create it"),
            "{error}"
        );
    }
}
