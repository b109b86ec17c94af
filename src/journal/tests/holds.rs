//! What is being restored is told to whoever deletes, completely or not at all, and not for ever.

use super::*;
use crate::name::{BackupName, BackupPrefix};

fn backups() -> Vec<BackupName> {
    let prefix = BackupPrefix::parse("backup-").unwrap();
    let names = ["backup-a-1763690400", "backup-b-1763690400"];
    names
        .map(|name| BackupName::parse(&prefix, name).unwrap())
        .to_vec()
}

#[tokio::test]
async fn a_hold_is_seen_by_others_until_it_is_let_go() {
    let bucket = Bucket::default();
    let (restoring, pruning) = (bucket.journal(), bucket.journal());
    assert!(
        pruning
            .holds(now())
            .await
            .unwrap()
            .holder("r", "backup-a-1763690400")
            .is_none()
    );
    let backups = backups();
    let made = restoring.hold("nightly.1", "r", backups.iter(), now());
    let hold = made.await.unwrap();
    let holds = pruning.holds(now()).await.unwrap();
    assert_eq!(holds.holder("r", "backup-a-1763690400"), Some("nightly.1"));
    assert_eq!(holds.holder("elsewhere", "backup-a-1763690400"), None);
    assert_eq!(holds.holder("r", "backup-c-1763690400"), None);
    let day = 24 * 3_600;
    let after = |seconds| pruning.holds(later(seconds));
    let still = after(day - 1).await.unwrap();
    assert!(still.holder("r", "backup-b-1763690400").is_some());
    let gone = after(day + 301).await.unwrap();
    assert!(gone.holder("r", "backup-b-1763690400").is_none());
    hold.renew(later(day)).await.unwrap();
    let still = after(day + 301).await.unwrap();
    assert!(still.holder("r", "backup-b-1763690400").is_some());
    restoring.let_go("nightly.1").await.unwrap();
    restoring.let_go("nightly.1").await.unwrap();
    let gone = after(0).await.unwrap();
    assert!(gone.holder("r", "backup-b-1763690400").is_none());
}

#[tokio::test]
async fn a_hold_that_cant_be_read_is_an_error_that_names_it() {
    let bucket = Bucket::default();
    bucket.put("holds/nightly.1.json", "{}").await;
    let refused = bucket.journal().holds(now()).await.unwrap_err();
    assert_eq!(refused.word(), "journal_unreadable");
    assert!(refused.to_string().contains("holds/nightly.1.json"));
}

#[tokio::test]
async fn restores_and_runs_are_remembered_apart() {
    let bucket = Bucket::default();
    let journal = bucket.journal();
    let restores = journal.of_restores();
    let lease = restores.acquire("nightly", "one", now()).await.unwrap();
    let log = restores.open_run(&lease, &key(), now()).await.unwrap();
    assert!(journal.open_runs().await.unwrap().runs.is_empty());
    assert_eq!(restores.open_runs().await.unwrap().runs.len(), 1);
    let other = journal.acquire("nightly", "two", now()).await;
    other.expect("a restore keeps no run away");
    restores.close_run(log, record("one")).await.unwrap();
    assert!(restores.open_runs().await.unwrap().runs.is_empty());
    let history = restores.history("nightly", 5).await.unwrap();
    assert_eq!(history.len(), 1);
    assert!(journal.history("nightly", 5).await.unwrap().is_empty());
}
