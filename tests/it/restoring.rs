//! Backups that come back: at points in time, after partial runs, through kills and lost answers, past every conflict,
//! and while pruning is at work beside them.

mod cut_short;
mod missing;
mod points_in_time;
mod trouble;

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use lifeboat::journal::Journal;
use lifeboat::report::Outcome;
use lifeboat::restore::{Asked, How, RestoreReport, RestoreState, Which};
use lifeboat_emulator::Method;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde_json::json;
use tokio::sync::Notify;

use crate::world::{Asks, OTHER_TARGET, SOURCE, TARGET, World};

pub(crate) const NIGHTS: [&str; 3] = [
    "2026-01-02T02:00:00Z",
    "2026-01-03T02:00:00Z",
    "2026-01-04T02:00:00Z",
];
pub(crate) const FOURTEEN_MINUTES: Duration = Duration::from_mins(14);

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn all() -> Asked {
    Asked::of(Which::All)
}

fn named(names: &[&str]) -> Asked {
    let names = names.iter().map(|name| (*name).to_owned());
    Asked::of(Which::Names(names.collect()))
}

/// A world with a journal in memory, which the test keeps a hand on.
pub(crate) fn journaled(variables: &[(&str, &str)]) -> (World, Arc<InMemory>) {
    let mut world = World::new(1, variables);
    let objects = Arc::new(InMemory::new());
    let store: Arc<dyn ObjectStore> = objects.clone();
    world.journal = Some(Journal::on(store, Path::from("lifeboat")));
    (world, objects)
}

/// Two sources that grow by ten rows a night, backed up on every one of [`NIGHTS`].
pub(crate) async fn after_three_nights(variables: &[(&str, &str)]) -> (World, Arc<InMemory>) {
    let (world, objects) = journaled(variables);
    for (rows, night) in (1..).zip(NIGHTS) {
        world.write_rows(SOURCE, "acme-docs", 0..rows * 10);
        world.write_rows(SOURCE, "acme-users", 0..rows * 10 + 5);
        let report = world.night(night).await;
        assert_eq!(report.jobs.sealed, 2, "{report:#?}");
    }
    (world, objects)
}

/// State and rows of what was restored, by source.
fn told(report: &RestoreReport) -> Vec<(&str, RestoreState, u64)> {
    let shown = report.restored.shown.iter();
    let mut told: Vec<_> = shown
        .map(|line| (line.source.as_str(), line.state, line.rows))
        .collect();
    told.sort_unstable_by_key(|line| line.0);
    told
}

fn words(report: &RestoreReport) -> Vec<&str> {
    let shown = report.failures.shown.iter();
    shown.map(|failure| failure.error.as_str()).collect()
}

/// Every change that was asked for since, but those of a region's backups by their own runs.
fn changes(world: &World) -> usize {
    world.asked.lock().unwrap().len()
}

async fn open_restores(world: &World) -> usize {
    let journal = world.journal.as_ref().unwrap().of_restores();
    journal.open_runs().await.unwrap().runs.len()
}

pub(crate) async fn held(objects: &InMemory) -> usize {
    use futures_util::StreamExt;
    let holds = Path::from("lifeboat/holds");
    objects.list(Some(&holds)).count().await
}

#[tokio::test(start_paused = true)]
async fn every_source_comes_back_as_it_was_at_the_time() {
    let (world, objects) = after_three_nights(&[]).await;
    for (template, time, rows) in [
        ("a-{source}", None, 30),
        ("b-{source}", Some("2026-01-03T02:00:00Z"), 20),
        ("c-{source}", Some("2026-01-03T01:59:59Z"), 10),
    ] {
        let asked = Asked {
            at: time.map(at),
            template: template.parse().unwrap(),
            ..all()
        };
        let report = world.restore(&asked).await;
        assert_eq!(report.outcome, Outcome::Succeeded, "{report:#?}");
        assert_eq!(
            told(&report),
            [
                ("acme-docs", RestoreState::Restored, rows),
                ("acme-users", RestoreState::Restored, rows + 5)
            ]
        );
        let name = template.replace("{source}", "acme-docs");
        assert_eq!(world.rows(SOURCE, &name), rows);
        assert_ne!(
            world.standing(SOURCE)[&name]["read_only"],
            true,
            "it can be written"
        );
    }
    assert_eq!((open_restores(&world).await, held(&objects).await), (0, 0));
    let later = Asked {
        at: Some(at("2026-01-01T00:00:00Z")),
        template: "d-{source}".parse().unwrap(),
        ..named(&["acme-docs"])
    };
    let report = world.restore(&later).await;
    assert_eq!(words(&report), ["no_backup"]);
    assert!(
        report.failures.shown[0]
            .message
            .contains("2026-01-02T02:00:00Z")
    );
}

#[tokio::test(start_paused = true)]
async fn a_partial_last_run_makes_no_partial_restore() {
    let (world, _) = after_three_nights(&[]).await;
    world.faults(json!([
        {"match": {"operation": "start_copy", "source": "acme-docs"}, "fault": {"status": 400}},
        {"match": {"operation": "start_copy", "source": "acme-users"}, "fault": {"corrupt_copy": "drop_rows"}}
    ]));
    world.write_rows(SOURCE, "acme-new", 0..7);
    let night = world.night("2026-01-05T02:00:00Z").await;
    assert_eq!((night.jobs.sealed, night.jobs.failed), (1, 2), "{night:#?}");
    world.faults(json!([]));
    let report = world.restore(&all()).await;
    assert_eq!(report.outcome, Outcome::Succeeded, "{report:#?}");
    assert_eq!(
        told(&report),
        [
            ("acme-docs", RestoreState::Restored, 30),
            ("acme-new", RestoreState::Restored, 7),
            ("acme-users", RestoreState::Restored, 35)
        ]
    );
    let warnings = report.warnings.shown.join(" ");
    assert!(
        warnings.contains("of 1 sources, such as acme-users"),
        "a newer backup that nobody verified is told: {warnings}"
    );
}

#[tokio::test(start_paused = true)]
async fn whatever_is_in_the_way_of_one_stops_all_before_anything_is_changed() {
    let (world, objects) = after_three_nights(&[]).await;
    world.write_rows(SOURCE, "recovered-acme-users", 0..1);
    world.write_rows(SOURCE, "recovered-acme-docs", 0..1);
    let before = (changes(&world), world.standing(SOURCE));
    let report = world.restore(&all()).await;
    assert_eq!(report.outcome, Outcome::Failed);
    assert_eq!(words(&report), ["exists", "exists"], "every conflict");
    assert_eq!((changes(&world), world.standing(SOURCE)), before);
    assert_eq!((open_restores(&world).await, held(&objects).await), (0, 0));
    world.delete(SOURCE, "recovered-acme-docs");
    let report = world.restore(&all()).await;
    assert_eq!(words(&report), ["exists"]);
    assert_eq!(report.counts.restored, 0, "not even the other one");
    let onto_itself = Asked {
        template: "{source}".parse().unwrap(),
        ..all()
    };
    assert_eq!(
        words(&world.restore(&onto_itself).await),
        ["exists", "exists"],
        "a live source is never overwritten"
    );
    assert_eq!(changes(&world), before.0);
}

#[tokio::test(start_paused = true)]
async fn names_that_could_do_harm_are_refused_before_anything_is_changed() {
    let (world, _) = after_three_nights(&[]).await;
    let before = changes(&world);
    let long = format!("{}{{source}}", "x".repeat(120));
    for (template, to, word) in [
        (long.as_str(), None, "illegal_name"),
        ("same", None, "shared_name"),
        (
            "backup-{source}-1767319201",
            Some(TARGET),
            "looks_like_a_backup",
        ),
        (
            "manual-backup-{source}-1767319201",
            Some(TARGET),
            "looks_like_a_backup",
        ),
    ] {
        let asked = Asked {
            template: template.parse().unwrap(),
            to: to.map(str::to_owned),
            ..all()
        };
        let report = world.restore(&asked).await;
        assert!(words(&report).contains(&word), "{template}: {report:#?}");
        assert_eq!(report.counts.restored, 0);
    }
    assert_eq!(changes(&world), before);
    let beside = Asked {
        to: Some(TARGET.into()),
        ..all()
    };
    let report = world.restore(&beside).await;
    assert_eq!(report.counts.restored, 2, "{report:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_lost_source_comes_back_under_its_own_name() {
    let (world, _) = after_three_nights(&[]).await;
    world.delete(SOURCE, "acme-docs");
    let asked = Asked {
        template: "{source}".parse().unwrap(),
        ..named(&["acme-docs"])
    };
    let report = world.restore(&asked).await;
    assert_eq!(report.outcome, Outcome::Succeeded, "{report:#?}");
    assert_eq!(world.rows(SOURCE, "acme-docs"), 30);
    world.write_rows(SOURCE, "acme-docs", 30..31);
}

#[tokio::test(start_paused = true)]
async fn a_source_without_a_backup_is_named_and_stops_nobody_else() {
    let (world, _) = after_three_nights(&[]).await;
    let report = world
        .restore(&named(&["acme-docs", "acme-never", "other"]))
        .await;
    assert_eq!(report.outcome, Outcome::Failed);
    assert_eq!((report.counts.restored, report.counts.missing), (1, 2));
    let missing: Vec<_> = report.failures.shown.iter().map(|f| &f.source).collect();
    assert_eq!(
        missing,
        [&Some("acme-never".to_owned()), &Some("other".to_owned())]
    );
    let nothing = world.restore(&Asked::of(Which::Prefix("zoo".into()))).await;
    assert_eq!(words(&nothing), ["nothing_to_restore"]);
    let prefix = Asked {
        template: "p-{source}".parse().unwrap(),
        ..Asked::of(Which::Prefix("acme-u".into()))
    };
    let some = world.restore(&prefix).await;
    assert_eq!(told(&some), [("acme-users", RestoreState::Restored, 35)]);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_says_all_and_changes_nothing() {
    let (world, objects) = after_three_nights(&[]).await;
    let before = changes(&world);
    let asked = named(&["acme-docs", "acme-never"]);
    let report = world
        .restore_as(&asked, How::DryRun, FOURTEEN_MINUTES)
        .await;
    assert_eq!((report.counts.planned, report.counts.missing), (1, 1));
    assert_eq!(report.restored.shown[0].destination, "recovered-acme-docs");
    assert_eq!(changes(&world), before);
    assert_eq!((open_restores(&world).await, held(&objects).await), (0, 0));
}

/// A future that is polled so many times and then never again.
pub(crate) struct Polled<'a, F> {
    pub(crate) inner: Pin<Box<F>>,
    pub(crate) left: usize,
    pub(crate) polls: &'a Cell<usize>,
}

impl<F: Future> Future for Polled<'_, F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.left -= 1;
        self.polls.set(self.polls.get() + 1);
        self.inner.as_mut().poll(context).map(Some)
    }
}

/// A restore of two sources that is killed after so many polls, and then asked for again until it ends. Gives the polls
/// that it came to.
async fn killed_after(polls: usize) -> usize {
    let (world, objects) = after_three_nights(&[]).await;
    let (seen, asked) = (Cell::new(0), all());
    let restore = Polled {
        inner: Box::pin(world.restore(&asked)),
        left: polls,
        polls: &seen,
    };
    let first = restore.await;
    let mut last = first;
    for _ in 0..4 {
        if last.as_ref().is_some_and(|report| !report.stays_open) {
            break;
        }
        tokio::time::sleep(Duration::from_mins(5)).await;
        last = Some(world.restore(&all()).await);
    }
    let last = last.unwrap();
    assert_eq!(
        (last.outcome, last.counts.restored),
        (Outcome::Succeeded, 2),
        "killed after {polls}: {last:#?}"
    );
    for (source, rows) in [("acme-docs", 30), ("acme-users", 35)] {
        let name = format!("recovered-{source}");
        assert_eq!(world.rows(SOURCE, &name), rows, "killed after {polls}");
        let standing = world.standing(SOURCE);
        assert_ne!(standing[&name]["read_only"], true, "killed after {polls}");
    }
    let copies = world.accepted("start_copy");
    assert_eq!(copies, 3 * 2 + 2, "killed after {polls}: one copy each");
    assert_eq!(open_restores(&world).await, 0, "killed after {polls}");
    assert_eq!(held(&objects).await, 0, "killed after {polls}");
    seen.get()
}

#[tokio::test(start_paused = true)]
async fn a_restore_killed_at_any_await_is_finished_by_the_same_request() {
    let whole = killed_after(usize::MAX).await;
    assert!(whole > 20, "{whole} awaits");
    for polls in 1..whole {
        killed_after(polls).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_request_again_is_done_already_and_tries_again_what_failed() {
    let (world, _) = after_three_nights(&[]).await;
    world.faults(json!([
        {"match": {"operation": "start_copy", "source": "backup-acme-docs-1767492000"}, "fault": {"status": 400}}
    ]));
    let report = world.restore(&all()).await;
    assert_eq!((report.counts.restored, report.counts.failed), (1, 1));
    world.faults(json!([]));
    for _ in 0..2 {
        let report = world.restore(&all()).await;
        assert_eq!(
            (report.outcome, report.counts.restored),
            (Outcome::Succeeded, 2),
            "{report:#?}"
        );
    }
    assert_eq!(world.accepted("start_copy"), 3 * 2 + 2);
    world.delete(SOURCE, "recovered-acme-docs");
    world.restore(&all()).await;
    assert_eq!(world.rows(SOURCE, "recovered-acme-docs"), 30);
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_hours_is_followed_by_ticks_and_handed_over_at_its_end() {
    let (world, objects) = after_three_nights(&[]).await;
    world
        .emulator
        .update_settings(|settings| settings.copy_overhead_ms = 11 * 3_600_000);
    let report = world.restore(&all()).await;
    assert_eq!(
        (report.outcome, report.stays_open, report.held),
        (Outcome::Incomplete, true, true),
        "{report:#?}"
    );
    assert_eq!(held(&objects).await, 1);
    let polls = world.calls("poll");
    let mut ticks = 0_u64;
    let last = loop {
        tokio::time::sleep(Duration::from_mins(5)).await;
        ticks += 1;
        let report = world
            .restore_as(&all(), How::OneMoreLook, FOURTEEN_MINUTES)
            .await;
        if !report.stays_open {
            break report;
        }
        let took = report.finished_at.duration_since(report.started_at);
        assert!(
            took < SignedDuration::from_mins(1),
            "a tick looks and does not wait"
        );
    };
    assert_eq!(last.outcome, Outcome::Succeeded, "{last:#?}");
    assert_eq!(last.counts.restored, 2);
    assert!((120..140).contains(&ticks), "{ticks} ticks of five minutes");
    assert!(world.calls("poll") - polls < ticks * 40);
    assert_eq!(world.accepted("start_copy"), 3 * 2 + 2);
    assert_eq!((open_restores(&world).await, held(&objects).await), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_costs_no_second_copy() {
    let (world, _) = after_three_nights(&[]).await;
    world.faults(json!([
        {"match": {"operation": "start_copy", "source": "backup-acme-docs-1767492000"}, "fault": {"reset": "after"}, "times": 1},
        {"match": {"operation": "start_copy", "source": "backup-acme-users-1767492000"}, "fault": {"status": 503}, "times": 1},
        {"match": {"operation": "poll"}, "fault": {"lose_token": true}}
    ]));
    let report = world.restore(&all()).await;
    assert_eq!(report.outcome, Outcome::Succeeded, "{report:#?}");
    assert_eq!(report.counts.restored, 2);
    assert_eq!(
        world.accepted("start_copy"),
        3 * 2 + 1,
        "of one, nobody heard that it was accepted"
    );
    assert_eq!(world.rows(SOURCE, "recovered-acme-docs"), 30);
}

#[tokio::test(start_paused = true)]
async fn somebody_elses_namespace_of_the_same_moment_is_never_touched() {
    let (world, _) = after_three_nights(&[]).await;
    world.seal(SOURCE, "acme-users", true);
    let race = async {
        // After it was seen that nothing stands there, and before the copy is asked for.
        loop {
            tokio::time::sleep(Duration::from_millis(1)).await;
            if open_restores(&world).await > 0 && world.calls("metadata") > 0 {
                world.write_rows(SOURCE, "recovered-acme-docs", 0..3);
                world.seal(SOURCE, "recovered-acme-docs", true);
                return;
            }
        }
    };
    world.faults(
        json!([{"match": {"operation": "query", "region": TARGET}, "fault": {"latency_ms": 5000}}]),
    );
    let late = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        race.await;
    };
    let asked = named(&["acme-docs"]);
    let (report, ()) = tokio::join!(world.restore(&asked), late);
    assert_eq!(words(&report), ["exists"], "{report:#?}");
    assert_eq!(world.rows(SOURCE, "recovered-acme-docs"), 3);
    assert_eq!(
        world.standing(SOURCE)["recovered-acme-docs"]["read_only"],
        true
    );
}

#[tokio::test(start_paused = true)]
async fn somebody_elses_namespace_is_not_taken_for_a_copy_whose_answer_was_lost() {
    let (world, _) = after_three_nights(&[("COPIES", "1")]).await;
    world
        .emulator
        .update_settings(|settings| settings.copy_overhead_ms = 600_000);
    let race = async {
        // While the first of both is copied, it was long ago seen that nothing stands under the other one's name.
        tokio::time::sleep(Duration::from_mins(2)).await;
        world.write_rows(SOURCE, "recovered-acme-users", 0..35);
        world.seal(SOURCE, "recovered-acme-users", true);
        world.faults(
            json!([{"match": {"operation": "start_copy"}, "fault": {"status": 503}, "times": 1}]),
        );
    };
    let asked = all();
    let (report, ()) = tokio::join!(world.restore(&asked), race);
    assert_eq!(report.counts.restored, 1, "{report:#?}");
    assert_eq!(words(&report), ["exists"], "{report:#?}");
    let theirs = &world.standing(SOURCE)["recovered-acme-users"];
    assert_eq!(theirs["read_only"], true, "nobody touched it");
}

#[tokio::test(start_paused = true)]
async fn half_a_copy_that_was_born_read_only_is_not_taken_for_a_sealed_backup() {
    let (world, _) = after_three_nights(&[]).await;
    world.seal(SOURCE, "acme-docs", true);
    world.emulator.update_settings(|settings| {
        settings.half_copies_visible = true;
        settings.copy_overhead_ms = 3 * 3_600_000;
    });
    let begun = async {
        world.sleep_until(at("2026-01-05T02:00:03Z")).await;
        world
            .emulator
            .update_settings(|settings| settings.copy_overhead_ms = 10);
    };
    world.faults(json!([
        {"match": {"operation": "start_copy", "source": "acme-users"}, "fault": {"status": 429}, "times": 3}
    ]));
    let (night, ()) = tokio::join!(world.night("2026-01-05T02:00:00Z"), begun);
    assert!(night.stays_open && night.jobs.sealed == 1, "{night:#?}");
    let half = &world.standing(TARGET)["backup-acme-docs-1767578400"];
    assert_eq!(half["read_only"], true, "half a copy, and it looks sealed");
    let report = world.restore(&all()).await;
    assert_eq!(report.counts.restored, 2, "{report:#?}");
    let slots: Vec<_> = report
        .restored
        .shown
        .iter()
        .map(|line| (line.source.as_str(), line.slot))
        .collect();
    assert!(slots.contains(&("acme-docs", at(NIGHTS[2]))), "{slots:?}");
    assert!(
        slots.contains(&("acme-users", at("2026-01-05T02:00:00Z"))),
        "what that run has sealed is good: {slots:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_the_vendors_script_made_comes_back_with_a_warning() {
    let (world, _) = journaled(&[]);
    world.write_rows(SOURCE, "acme-docs", 0..9);
    world.sleep_until(at(NIGHTS[0])).await;
    let slot = at(NIGHTS[0]).as_second();
    let copy =
        json!({"copy_from_namespace": {"source_namespace": "acme-docs", "source_region": SOURCE}});
    for slot in [slot - 60, slot] {
        let path = format!("/v2/namespaces/backup-acme-docs-{slot:010}");
        world.call(Method::Post, TARGET, &path, &copy);
    }
    // Somebody's own namespace, sealed, which the script would take for the newest of all.
    world.plant("backup-acme-tenant-0012345678", true);
    let report = world.restore(&all()).await;
    assert_eq!(report.outcome, Outcome::Succeeded, "{report:#?}");
    assert_eq!(told(&report), [("acme-docs", RestoreState::Restored, 9)]);
    let line = &report.restored.shown[0];
    assert_eq!((line.slot, line.verified), (at(NIGHTS[0]), false));
    assert_eq!(report.counts.unverified, 1);
    let warnings = report.warnings.shown.join(" ");
    assert!(warnings.contains("never verified"), "{warnings}");
    assert!(warnings.contains("acme-tenant is left out"), "{warnings}");
}

#[tokio::test(start_paused = true)]
async fn manual_backups_come_back_too() {
    let (world, _) = journaled(&[]);
    world.write_rows(SOURCE, "acme-docs", 0..4);
    world.sleep_until(at(NIGHTS[0])).await;
    let request = lifeboat::event::Request {
        scheduled_time: Some(at(NIGHTS[0])),
        manual: true,
        ..lifeboat::event::Request::default()
    };
    world.run(request, FOURTEEN_MINUTES).await.unwrap();
    let report = world.restore(&all()).await;
    assert_eq!(told(&report), [("acme-docs", RestoreState::Restored, 4)]);
    assert!(
        report.restored.shown[0]
            .backup
            .starts_with("manual-backup-")
    );
}

#[tokio::test(start_paused = true)]
async fn pruning_keeps_what_is_being_restored_and_takes_it_afterwards() {
    let (world, objects) = after_three_nights(&[("RETENTION_DAYS", "1")]).await;
    world
        .emulator
        .update_settings(|settings| settings.copy_overhead_ms = 20 * 3_600_000);
    let oldest = "backup-acme-docs-1767319200";
    let asked = Asked {
        at: Some(at(NIGHTS[0])),
        ..named(&["acme-docs"])
    };
    let report = world.restore(&asked).await;
    assert!(report.stays_open && report.held, "{report:#?}");
    world
        .emulator
        .update_settings(|settings| settings.copy_overhead_ms = 10);
    let night = world.night("2026-01-05T02:00:00Z").await;
    assert_eq!(night.jobs.sealed, 2, "backups go on meanwhile: {night:#?}");
    assert!(
        world.standing(TARGET).contains_key(oldest),
        "it is being restored: {night:#?}"
    );
    assert!(
        !world
            .standing(TARGET)
            .contains_key("backup-acme-users-1767319200"),
        "nobody restores this one"
    );
    world.sleep_until(at("2026-01-05T08:00:00Z")).await;
    let report = world.restore(&asked).await;
    assert_eq!(report.outcome, Outcome::Succeeded, "{report:#?}");
    assert_eq!(world.rows(SOURCE, "recovered-acme-docs"), 10);
    assert_eq!(held(&objects).await, 0);
    world.night("2026-01-06T02:00:00Z").await;
    assert!(!world.standing(TARGET).contains_key(oldest));
}

#[tokio::test(start_paused = true)]
async fn a_hold_that_comes_while_pruning_is_at_work_still_holds() {
    let (world, _) = after_three_nights(&[("RETENTION_DAYS", "1")]).await;
    for index in 0..20 {
        world.write_rows(SOURCE, &format!("acme-x{index:02}"), 0..3);
    }
    world.sleep_until(at("2026-01-05T02:00:00Z")).await;
    world.back_up(at("2026-01-05T02:00:00Z")).await;
    world.sleep_until(at("2026-01-06T12:00:00Z")).await;
    let asked = Asked {
        at: Some(at(NIGHTS[2])),
        ..named(&["acme-docs", "acme-users"])
    };
    world
        .emulator
        .update_settings(|settings| settings.copy_overhead_ms = 600_000);
    // Each look of pruning is slow, so that the hold comes between its decisions and its deletions.
    world.faults(json!([{"match": {"operation": "metadata", "region": TARGET}, "fault": {"latency_ms": 3000}}]));
    let later = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.restore(&asked).await
    };
    let (pruned, restored) = tokio::join!(world.prune(), later);
    assert_eq!(
        restored.outcome,
        Outcome::Succeeded,
        "{pruned:#?} {restored:#?}"
    );
    let asked = world.asked.lock().unwrap();
    let deleted = asked.iter().filter(|asked| asked.what == Asks::Delete);
    let chosen = [
        "backup-acme-docs-1767492000",
        "backup-acme-users-1767492000",
    ];
    assert!(
        deleted
            .clone()
            .all(|asked| !chosen.contains(&asked.name.as_str())),
        "{:?}",
        deleted.map(|asked| &asked.name).collect::<Vec<_>>()
    );
}

#[tokio::test(start_paused = true)]
async fn a_hold_that_cant_be_read_lets_no_backup_go() {
    let (world, objects) = after_three_nights(&[("RETENTION_DAYS", "1")]).await;
    let before = world.standing(TARGET).len();
    objects
        .put(&Path::from("lifeboat/holds/x.json"), "rubbish".into())
        .await
        .unwrap();
    let night = world.night("2026-01-06T02:00:00Z").await;
    assert_eq!((night.jobs.sealed, night.pruning.deleted), (2, 0));
    assert_eq!(night.outcome, Outcome::Failed);
    assert!(
        night.failures.shown[0].message.contains("holds/x.json"),
        "{night:#?}"
    );
    assert_eq!(world.standing(TARGET).len(), before + 2);
}

#[tokio::test(start_paused = true)]
async fn a_restore_that_died_holds_its_backups_for_a_day_and_no_longer() {
    let (world, _) = after_three_nights(&[("RETENTION_DAYS", "1")]).await;
    world
        .emulator
        .update_settings(|settings| settings.copy_overhead_ms = 3_600_000);
    let asked = Asked {
        at: Some(at(NIGHTS[0])),
        ..named(&["acme-docs"])
    };
    let killed = world.restore(&asked);
    let _ = tokio::time::timeout(Duration::from_secs(30), killed).await;
    world
        .emulator
        .update_settings(|settings| settings.copy_overhead_ms = 10);
    let oldest = "backup-acme-docs-1767319200";
    world.night("2026-01-05T01:00:00Z").await;
    assert!(world.standing(TARGET).contains_key(oldest));
    world.night("2026-01-06T02:00:00Z").await;
    assert!(!world.standing(TARGET).contains_key(oldest));
}

#[tokio::test(start_paused = true)]
async fn a_restore_needs_nothing_of_the_sources_region() {
    let (world, _) = after_three_nights(&[]).await;
    world.faults(json!([{"match": {"region": SOURCE}, "fault": {"status": 503}}]));
    let asked = Asked {
        to: Some(OTHER_TARGET.into()),
        template: "{source}".parse().unwrap(),
        ..all()
    };
    let report = world.restore(&asked).await;
    assert_eq!(report.outcome, Outcome::Succeeded, "{report:#?}");
    assert_eq!(world.rows(OTHER_TARGET, "acme-docs"), 30);
    let home = world.restore(&all()).await;
    assert_eq!(home.outcome, Outcome::Failed);
    assert_eq!(home.counts.restored, 0, "and says that the region is down");
    assert!(words(&home).iter().all(|word| *word == "unavailable"));
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_is_not_its_backup_is_told_and_left() {
    let (world, _) = after_three_nights(&[]).await;
    world.faults(json!([
        {"match": {"operation": "start_copy", "source": "backup-acme-docs-1767492000"}, "fault": {"corrupt_copy": "drop_rows"}}
    ]));
    let report = world.restore(&all()).await;
    assert_eq!(report.outcome, Outcome::Failed);
    assert_eq!((report.counts.restored, report.counts.differ), (1, 1));
    let failure = &report.failures.shown[0];
    assert_eq!(failure.error, "mismatch");
    assert!(failure.message.contains("not trustworthy"), "{failure:?}");
    let standing = world.standing(SOURCE);
    assert_eq!(
        standing["recovered-acme-docs"]["read_only"], true,
        "nobody writes to it by mistake"
    );
    assert_eq!(world.rows(SOURCE, "recovered-acme-docs"), 29, "it is left");
}

#[tokio::test(start_paused = true)]
async fn damage_inside_a_row_is_found_where_rows_are_compared() {
    let (world, _) = journaled(&[]);
    let rows: Vec<_> = (0..40)
        .map(|id| json!({"id": id, "vector": [f64::from(id), 0.5]}))
        .collect();
    let write = json!({"upsert_rows": rows, "distance_metric": "cosine_distance"});
    world.call(Method::Post, SOURCE, "/v2/namespaces/acme-docs", &write);
    world.night(NIGHTS[0]).await;
    world.faults(json!([
        {"match": {"operation": "start_copy"}, "fault": {"corrupt_copy": "flip_vector_bit"}}
    ]));
    for (level, state) in [
        ("count", RestoreState::Restored),
        ("full", RestoreState::Differs),
    ] {
        let asked = Asked {
            level: level.parse().unwrap(),
            template: format!("{level}-{{source}}").parse().unwrap(),
            ..all()
        };
        let report = world.restore(&asked).await;
        assert_eq!(told(&report), [("acme-docs", state, 40)], "{report:#?}");
    }
    world.faults(json!([]));
    let asked = Asked {
        level: "full".parse().unwrap(),
        template: "whole-{source}".parse().unwrap(),
        ..all()
    };
    let report = world.restore(&asked).await;
    assert_eq!(
        told(&report),
        [("acme-docs", RestoreState::Restored, 40)],
        "{report:#?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_being_restored_is_not_discarded_by_hand_either() {
    let (world, _) = after_three_nights(&[]).await;
    world
        .emulator
        .update_settings(|settings| settings.copy_overhead_ms = 3_600_000);
    let asked = Asked {
        at: Some(at(NIGHTS[0])),
        ..named(&["acme-docs"])
    };
    assert!(world.restore(&asked).await.stays_open);
    let name = "backup-acme-docs-1767319200".to_owned();
    let discard = lifeboat::event::Request {
        action: lifeboat::event::Action::Discard,
        picked: lifeboat::event::Picked {
            names: vec![name.clone()],
            yes: true,
            ..lifeboat::event::Picked::default()
        },
        ..lifeboat::event::Request::default()
    };
    let report = world.run(discard.clone(), FOURTEEN_MINUTES).await.unwrap();
    assert!(
        report.failures.shown[0].message.contains("being restored"),
        "{report:#?}"
    );
    tokio::time::sleep(Duration::from_hours(1)).await;
    world.restore(&asked).await;
    let report = world.run(discard, FOURTEEN_MINUTES).await.unwrap();
    assert_eq!(report.deleted.shown, [name]);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_may_not_write_changes_nothing_and_is_told() {
    let (world, _) = after_three_nights(&[]).await;
    let keys =
        json!([{"key": "tpuf_test", "organisation": "default", "permissions": ["read", "list"]}]);
    world.call(Method::Post, "", "/_emulator/keys", &keys);
    let report = world.restore(&all()).await;
    assert_eq!(words(&report), ["forbidden", "forbidden"], "{report:#?}");
    assert!(
        report.failures.shown[0]
            .message
            .contains("give it list, read and write permission")
    );
    let keys =
        json!([{"key": "tpuf_test", "organisation": "default", "permissions": ["list", "write"]}]);
    world.call(Method::Post, "", "/_emulator/keys", &keys);
    let report = world.restore(&all()).await;
    assert_eq!(words(&report), ["forbidden", "forbidden"], "{report:#?}");
    world.call(Method::Post, "", "/_emulator/keys", &json!([]));
    assert!(!world.standing(SOURCE).contains_key("recovered-acme-docs"));
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_restore_is_carried_on_at_once() {
    let (world, _) = after_three_nights(&[]).await;
    world
        .emulator
        .update_settings(|settings| settings.copy_overhead_ms = 600_000);
    let stop = Notify::new();
    let interrupted = async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        stop.notify_one();
    };
    let (asked, journal) = (all(), world.journal.as_ref());
    let restore = world.restore_in(journal, &stop, &asked, How::Whole, FOURTEEN_MINUTES);
    let (report, ()) = tokio::join!(restore, interrupted);
    assert_eq!(
        (report.outcome, report.stays_open, report.counts.incomplete),
        (Outcome::Incomplete, true, 2),
        "{report:#?}"
    );
    let report = world.restore(&asked).await;
    assert_eq!(report.outcome, Outcome::Succeeded, "{report:#?}");
    assert_eq!(world.accepted("start_copy"), 3 * 2 + 2);
}

#[tokio::test(start_paused = true)]
async fn the_same_request_twice_at_once_is_worked_at_once() {
    let (world, _) = after_three_nights(&[]).await;
    world
        .emulator
        .update_settings(|settings| settings.copy_overhead_ms = 60_000);
    let (asked, how) = (all(), How::OneMoreLook);
    let others = async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        let same = world.restore(&asked).await;
        (same, world.restore_as(&asked, how, FOURTEEN_MINUTES).await)
    };
    let (first, (second, tick)) = tokio::join!(world.restore(&asked), others);
    assert_eq!(first.outcome, Outcome::Succeeded, "{first:#?}");
    assert_eq!(words(&second), ["busy"]);
    assert_eq!(
        (tick.outcome, tick.stays_open),
        (Outcome::Incomplete, true),
        "a tick that finds it in good hands is no failure"
    );
    let tick = world.restore_as(&asked, how, FOURTEEN_MINUTES).await;
    assert_eq!(
        (tick.outcome, tick.counts.restored),
        (Outcome::Succeeded, 0),
        "there is nothing to carry on with"
    );
    assert_eq!(world.accepted("start_copy"), 3 * 2 + 2);
}

#[tokio::test(start_paused = true)]
async fn without_a_journal_it_restores_and_says_what_it_cant_do() {
    let (mut world, _) = after_three_nights(&[]).await;
    world.journal = None;
    let report = world.restore(&all()).await;
    assert_eq!(report.outcome, Outcome::Succeeded);
    assert!(!report.held);
    assert!(
        report.warnings.shown[0].contains("nothing keeps pruning away"),
        "{report:#?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_restore_that_nobody_finished_for_a_week_is_given_up_and_lets_go() {
    let (world, objects) = after_three_nights(&[]).await;
    world
        .emulator
        .update_settings(|settings| settings.copy_overhead_ms = 300 * 3_600_000);
    assert!(world.restore(&all()).await.stays_open);
    tokio::time::sleep(Duration::from_hours(7 * 24 + 1)).await;
    let report = world.restore(&all()).await;
    assert!(words(&report).contains(&"abandoned"), "{report:#?}");
    assert_eq!((open_restores(&world).await, held(&objects).await), (0, 0));
}
