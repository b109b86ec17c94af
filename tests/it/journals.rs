//! Nights whose journal is not there, or may not be written: copies go on, nothing is deleted, and the report says why.

use std::sync::Arc;

use lifeboat::journal::Journal;
use lifeboat::report::{Outcome, Report};
use object_store::memory::InMemory;
use object_store::path::Path;

use crate::faulty_store::{FaultyStore, Refusal};
use crate::stories::words;
use crate::world::{SOURCE, TARGET, World};

/// Nights with a sound journal, and one under which it refuses.
async fn a_night_that_meets(refusal: Refusal) -> (World, Report) {
    let mut world = World::new(1, &[("RETENTION_DAYS", "1")]);
    let store = FaultyStore::over(&Arc::new(InMemory::new()), 1);
    world.journal = Some(Journal::on(Arc::new(store.clone()), Path::from("lifeboat")));
    world.write_rows(SOURCE, "acme-orders", 0..5);
    for day in 2..=4 {
        let report = world.night(&format!("2026-01-{day:02}T02:00:00Z")).await;
        assert_eq!(report.outcome, Outcome::Succeeded, "{report:#?}");
    }
    store.refuse(refusal);
    let before = world.standing(TARGET).len();
    let report = world.night("2026-01-09T02:00:00Z").await;
    assert_eq!(world.standing(TARGET).len(), before + 1, "{refusal:?}");
    (world, report)
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_refuses_stops_deletion_and_never_copying_and_is_told() {
    for (refusal, word, advice) in [
        (Refusal::Missing, "journal_missing", "create it"),
        (Refusal::MayNotWrite, "journal_denied", "s3:PutObject"),
    ] {
        let (_, report) = a_night_that_meets(refusal).await;
        assert_eq!(
            (report.outcome, report.jobs.sealed, report.pruning.deleted),
            (Outcome::Failed, 1, 0),
            "{refusal:?}: {report:#?}"
        );
        assert_eq!(words(&report), [word], "{refusal:?}");
        let said = &report.failures.shown[0].message;
        assert!(said.contains(advice), "{said}");
        let stopped = report.targets[0].deletion_stopped.as_deref();
        assert_eq!(stopped, Some("the journal can't be used"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_night_without_a_journal_says_what_it_cant_do_and_one_with_it_says_nothing() {
    for has_journal in [true, false] {
        let mut world = World::new(1, &[]);
        let store = FaultyStore::over(&Arc::new(InMemory::new()), 1);
        let journal = Journal::on(Arc::new(store), Path::from("lifeboat"));
        world.journal = has_journal.then_some(journal);
        world.write_rows(SOURCE, "acme-orders", 0..5);
        let report = world.night("2026-01-02T02:00:00Z").await;
        let said = report.warnings.shown.join(" ");
        assert_eq!(
            said.contains("set LIFEBOAT_JOURNAL"),
            !has_journal,
            "{said}"
        );
        assert_eq!(report.outcome, Outcome::Succeeded);
    }
}
