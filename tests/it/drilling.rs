//! Drills: what they show, that nothing of them is left whenever they die, and that nobody takes a scratch for anything
//! else, or anything else for a scratch.

use std::cell::Cell;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use lifeboat::drill::{Amount, Asked, DrillReport, DrillState, Pick};
use lifeboat::name::{BackupName, ScratchName};
use lifeboat::report::Outcome;
use lifeboat::restore::{How, Which};
use lifeboat::slot::Slot;
use lifeboat_emulator::Method;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::restoring::{FOURTEEN_MINUTES, NIGHTS, Polled, after_three_nights, at, held, journaled};
use crate::world::{Asks, OTHER_TARGET, SOURCE, TARGET, World};

/// Noon after the last of [`NIGHTS`].
const NOON: &str = "2026-01-04T12:00:00Z";

fn picks(pick: Pick) -> Asked {
    Asked {
        pick,
        ..Asked::default()
    }
}

fn named(names: &[&str]) -> Asked {
    let names = names.iter().map(|name| (*name).to_owned());
    picks(Pick::Names(names.collect()))
}

/// Both sources.
fn both() -> Asked {
    picks(Pick::Random(Amount::Share("100%".parse().unwrap())))
}

async fn at_noon(world: &World, asked: &Asked) -> DrillReport {
    world.drill(asked, at(NOON)).await
}

/// What was shown of each source.
fn told(report: &DrillReport) -> Vec<(&str, DrillState, u64)> {
    let shown = report.drilled.shown.iter();
    let mut told: Vec<_> = shown
        .map(|line| (line.source.as_str(), line.state, line.rows))
        .collect();
    told.sort_unstable_by_key(|line| line.0);
    told
}

fn words(report: &DrillReport) -> Vec<&str> {
    let shown = report.failures.shown.iter();
    shown.map(|failure| failure.error.as_str()).collect()
}

/// Everything in any region that is called like a scratch.
fn scratches(world: &World) -> Vec<String> {
    let regions = [SOURCE, TARGET, OTHER_TARGET].into_iter();
    let names = regions.flat_map(|region| world.standing(region).into_keys());
    names.filter(|name| ScratchName::resembles(name)).collect()
}

async fn open_drills(world: &World) -> usize {
    let journal = world.journal.as_ref().unwrap().of_drills();
    journal.open_runs().await.unwrap().runs.len()
}

/// The name of the scratch that a drill of this slot makes of the newest backup of `acme-docs`.
fn scratch_of(world: &World, slot: &str) -> String {
    let backup = "backup-acme-docs-1767492000";
    let backup = BackupName::parse(&world.plan.targets[0].prefix, backup).unwrap();
    ScratchName::of(&world.plan.name, Slot::of(at(slot)).unwrap(), &backup).to_string()
}

#[tokio::test(start_paused = true)]
async fn a_backup_comes_back_whole_and_nothing_of_the_drill_is_left() {
    let (world, objects) = after_three_nights(&[]).await;
    let before = (world.standing(SOURCE), world.standing(TARGET));
    world
        .emulator
        .update_settings(|settings| settings.copy_overhead_ms = 90_000);
    let report = at_noon(&world, &both()).await;
    assert_eq!(report.outcome, Outcome::Succeeded, "{report:#?}");
    assert_eq!(
        told(&report),
        [
            ("acme-docs", DrillState::Proven, 30),
            ("acme-users", DrillState::Proven, 35)
        ]
    );
    assert_eq!(
        (report.rows, report.sources, report.counts.proven),
        (65, 2, 2)
    );
    for line in &report.drilled.shown {
        assert_eq!(line.slot, at(NIGHTS[2]));
        let age = line.recovery_point_seconds;
        assert!((36_000.0..36_010.0).contains(&age), "ten hours: {age}");
        let (copy, whole) = (line.copy_seconds.unwrap(), line.recovery_seconds.unwrap());
        assert!((90.0..130.0).contains(&copy) && whole > copy, "{line:#?}");
        assert!(line.compare_seconds.unwrap() > 0.0 && line.bytes > 0);
        let rate = line.bytes_per_second.unwrap();
        assert!(rate > 0 && rate <= line.bytes / 90 + 1, "{line:#?}");
        assert!(line.digest.is_some() && line.scratch_gone && !line.carried_on);
    }
    assert!(report.held && report.longest_recovery_seconds > 90.0);
    assert_eq!((world.standing(SOURCE), world.standing(TARGET)), before);
    assert_eq!((open_drills(&world).await, held(&objects).await), (0, 0));
    let asked = world.asked.lock().unwrap();
    let since = asked.iter().filter(|asked| asked.at >= at(NOON));
    let mut kinds: Vec<_> = since.clone().map(|asked| asked.what).collect();
    kinds.sort_by_key(|kind| format!("{kind:?}"));
    assert_eq!(kinds, [Asks::Copy, Asks::Copy, Asks::Delete, Asks::Delete]);
    assert!(
        since
            .clone()
            .all(|asked| ScratchName::resembles(&asked.name))
    );
}

#[tokio::test(start_paused = true)]
async fn the_journal_remembers_what_was_shown() {
    let (world, _) = after_three_nights(&[]).await;
    let report = at_noon(&world, &named(&["acme-docs"])).await;
    let journal = world.journal.as_ref().unwrap();
    let of_drills = journal.of_drills();
    let history = of_drills.history(&world.plan.name, 10).await.unwrap();
    assert_eq!(history.len(), 1);
    let (record, digest) = (&history[0], report.drilled.shown[0].digest.unwrap());
    assert_eq!(
        (record.outcome.as_str(), record.key.slot.instant()),
        ("succeeded", at(NOON))
    );
    let line = &record.jobs[0];
    assert_eq!(
        (line.source.as_str(), line.state.as_str(), line.rows),
        ("acme-docs", "proven", 30)
    );
    let message = line.message.as_ref().unwrap();
    assert!(message.contains("30 rows came back whole"), "{message}");
    assert!(message.contains(&digest.to_string()), "{message}");
    let runs = journal.history(&world.plan.name, 10).await.unwrap();
    assert_eq!(runs.len(), NIGHTS.len(), "and runs are told apart");
}

#[tokio::test(start_paused = true)]
async fn names_stand_for_the_newest_sealed_backup_or_for_one_backup() {
    let (world, _) = after_three_nights(&[]).await;
    let older = "backup-acme-users-1767319200";
    let asked = named(&[
        "acme-docs",
        older,
        "acme-never",
        "backup-acme-docs-1767319200",
    ]);
    let report = at_noon(&world, &asked).await;
    assert_eq!(
        told(&report),
        [
            ("acme-docs", DrillState::Proven, 30),
            ("acme-users", DrillState::Proven, 15)
        ]
    );
    assert_eq!(report.outcome, Outcome::Failed);
    assert_eq!(report.counts.missing, 2);
    let missing: Vec<_> = report
        .failures
        .shown
        .iter()
        .map(|f| f.source.as_deref())
        .collect();
    assert_eq!(
        missing,
        [Some("backup-acme-docs-1767319200"), Some("acme-never")]
    );
    assert!(scratches(&world).is_empty());
}

#[tokio::test(start_paused = true)]
async fn only_verified_backups_are_drilled_and_the_others_are_told() {
    let (world, _) = after_three_nights(&[]).await;
    world.write_rows(SOURCE, "acme-new", 0..7);
    world.faults(json!([
        {"match": {"operation": "start_copy", "source": "acme-new"}, "fault": {"corrupt_copy": "drop_rows"}}
    ]));
    world.night("2026-01-05T02:00:00Z").await;
    world.faults(json!([]));
    assert!(
        world
            .standing(TARGET)
            .contains_key("backup-acme-new-1767578400")
    );
    let noon = at("2026-01-05T12:00:00Z");
    let report = world.drill(&both(), noon).await;
    assert_eq!(
        (report.counts.proven, report.outcome),
        (2, Outcome::Succeeded)
    );
    let warnings = report.warnings.shown.join(" ");
    assert!(
        warnings.contains("1 sources that were picked, such as acme-new"),
        "{warnings}"
    );
    let later = noon + SignedDuration::from_hours(1);
    let report = world.drill(&named(&["acme-new"]), later).await;
    assert_eq!(words(&report), ["no_backup"]);
    assert!(report.failures.shown[0].message.contains("lifeboat seal"));
}

#[tokio::test(start_paused = true)]
async fn the_oldest_is_the_source_that_a_restore_would_set_back_farthest() {
    let (world, _) = after_three_nights(&[]).await;
    world.faults(json!([
        {"match": {"operation": "start_copy", "source": "acme-users"}, "fault": {"status": 400}}
    ]));
    world.night("2026-01-05T02:00:00Z").await;
    world.faults(json!([]));
    let noon = at("2026-01-05T12:00:00Z");
    let report = world
        .drill(&picks(Pick::Oldest(Amount::Count(1))), noon)
        .await;
    assert_eq!(told(&report), [("acme-users", DrillState::Proven, 35)]);
    assert_eq!(report.pick, "oldest");
    assert_eq!(report.drilled.shown[0].slot, at(NIGHTS[2]));
}

#[tokio::test(start_paused = true)]
async fn the_seed_in_the_report_picks_the_same_again() {
    let (world, _) = journaled(&[]);
    for n in 0..12 {
        world.write_rows(SOURCE, &format!("acme-{n:02}"), 0..3);
    }
    world.night(NIGHTS[2]).await;
    let third = Amount::Share("25%".parse().unwrap());
    let sources = |report: &DrillReport| -> Vec<String> {
        told(report).iter().map(|line| line.0.to_owned()).collect()
    };
    let first = at_noon(&world, &picks(Pick::Random(third))).await;
    assert_eq!(
        (first.counts.proven, first.seed),
        (3, at(NOON).as_second().unsigned_abs())
    );
    let mut drawn = std::collections::BTreeSet::from([sources(&first)]);
    for hours in 1..6 {
        let slot = at(NOON) + SignedDuration::from_hours(hours);
        let again = Asked {
            seed: Some(first.seed),
            ..picks(Pick::Random(third))
        };
        let again = world
            .drill_as(&again, slot, How::DryRun, FOURTEEN_MINUTES)
            .await;
        assert_eq!(sources(&again), sources(&first));
        let other = picks(Pick::Random(third));
        let other = world
            .drill_as(&other, slot, How::DryRun, FOURTEEN_MINUTES)
            .await;
        drawn.insert(sources(&other));
    }
    assert!(drawn.len() > 3, "every hour draws anew: {drawn:?}");
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_picks_and_changes_nothing() {
    let (world, objects) = after_three_nights(&[]).await;
    let before = world.asked.lock().unwrap().len();
    let report = world
        .drill_as(&both(), at(NOON), How::DryRun, FOURTEEN_MINUTES)
        .await;
    assert_eq!(
        (report.counts.planned, report.outcome),
        (2, Outcome::Succeeded)
    );
    assert!(
        report.drilled.shown[0]
            .scratch
            .starts_with("lifeboat-drill-1767528000-")
    );
    assert_eq!(world.asked.lock().unwrap().len(), before);
    assert_eq!((open_drills(&world).await, held(&objects).await), (0, 0));
}

/// A drill of both sources that is killed after so many polls; gives the polls that it came to.
async fn killed_after(world: &World, polls: usize) -> usize {
    world.sleep_until(at(NOON)).await;
    let (seen, asked) = (Cell::new(0), both());
    let drill = Polled {
        inner: Box::pin(world.drill(&asked, at(NOON))),
        left: polls,
        polls: &seen,
    };
    drill.await;
    seen.get()
}

#[tokio::test(start_paused = true)]
async fn a_drill_killed_at_any_await_is_finished_by_the_same_request() {
    let (world, _) = after_three_nights(&[]).await;
    let whole = killed_after(&world, usize::MAX).await;
    assert!(whole > 20, "{whole} awaits");
    for polls in 1..whole {
        let (world, objects) = after_three_nights(&[]).await;
        killed_after(&world, polls).await;
        tokio::time::sleep(Duration::from_mins(5)).await;
        let report = world.drill(&both(), at(NOON)).await;
        assert_eq!(
            (report.outcome, report.counts.proven),
            (Outcome::Succeeded, 2),
            "killed after {polls}: {report:#?}"
        );
        assert!(scratches(&world).is_empty(), "killed after {polls}");
        let copies = world.accepted("start_copy");
        assert_eq!(copies, 3 * 2 + 2, "killed after {polls}: one copy each");
        assert_eq!(
            (open_drills(&world).await, held(&objects).await),
            (0, 0),
            "killed after {polls}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_drill_whose_plan_has_other_regions_meanwhile_waits_until_they_are_put_back() {
    let (world, _) = after_three_nights(&[]).await;
    let whole = killed_after(&world, usize::MAX).await;
    let (mut world, _) = after_three_nights(&[]).await;
    killed_after(&world, whole / 2).await;
    assert!(!scratches(&world).is_empty(), "its copies have begun");
    tokio::time::sleep(Duration::from_mins(5)).await;
    let other = OTHER_TARGET.parse().unwrap();
    let was = std::mem::replace(&mut world.plan.targets[0].region, other);
    let moved = world.drill(&both(), at(NOON)).await;
    assert_eq!(
        (words(&moved), moved.stays_open),
        (vec!["moved"], true),
        "{moved:#?}"
    );
    assert_eq!(open_drills(&world).await, 1);
    world.plan.targets[0].region = was;
    let report = world.drill(&both(), at(NOON)).await;
    assert_eq!(report.counts.proven, 2, "{report:#?}");
    assert!(scratches(&world).is_empty());
}

/// Nobody looks for them where they are, so nobody may say that they are gone.
#[tokio::test(start_paused = true)]
async fn scratches_that_a_changed_plan_leaves_in_another_region_are_not_told_to_be_gone() {
    let (world, _) = after_three_nights(&[]).await;
    let whole = killed_after(&world, usize::MAX).await;
    for gives_up in [false, true] {
        let (mut world, _) = after_three_nights(&[]).await;
        killed_after(&world, whole / 2).await;
        let left = scratches(&world);
        assert!(!left.is_empty(), "its copies have begun");
        let wait = if gives_up { 25 } else { 1 };
        tokio::time::sleep(Duration::from_hours(wait)).await;
        world.source = OTHER_TARGET;
        world.plan.source.region = OTHER_TARGET.parse().unwrap();
        let slot = at(NOON) + SignedDuration::from_mins(if gives_up { 0 } else { 5 });
        let report = world.drill(&both(), slot).await;
        assert_eq!(scratches(&world), left);
        assert!(report.swept.is_empty(), "{report:#?}");
        if gives_up {
            let said = format!("{:?}", report.failures);
            assert!(said.contains(SOURCE) && said.contains("by hand"), "{said}");
        } else {
            assert_eq!(open_drills(&world).await, 1, "{report:#?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_killed_drill_left_is_deleted_by_the_next_one() {
    let (world, _) = after_three_nights(&[]).await;
    let whole = killed_after(&world, usize::MAX).await;
    let mut left = 0;
    for polls in 1..whole {
        let (world, objects) = after_three_nights(&[]).await;
        killed_after(&world, polls).await;
        tokio::time::sleep(Duration::from_mins(5)).await;
        left += scratches(&world).len();
        let next = at(NOON) + SignedDuration::from_mins(5);
        let report = world.drill(&named(&["acme-docs"]), next).await;
        assert_eq!(
            report.outcome,
            Outcome::Succeeded,
            "killed after {polls}: {report:#?}"
        );
        assert!(scratches(&world).is_empty(), "killed after {polls}");
        assert_eq!(
            (open_drills(&world).await, held(&objects).await),
            (0, 0),
            "killed after {polls}"
        );
    }
    assert!(left > 10, "some of them left something: {left}");
}

#[tokio::test(start_paused = true)]
async fn what_a_drill_without_a_journal_left_is_deleted_by_a_backup_a_day_later() {
    let (mut world, _) = after_three_nights(&[]).await;
    world.journal = None;
    let whole = killed_after(&world, usize::MAX).await;
    let mut left = 0;
    for polls in (1..whole).step_by(3) {
        let (mut world, _) = after_three_nights(&[]).await;
        let journal = world.journal.take();
        killed_after(&world, polls).await;
        world.journal = journal;
        let night = world.night("2026-01-05T02:00:00Z").await;
        assert_eq!(night.outcome, Outcome::Succeeded);
        let standing = scratches(&world);
        left += standing.len();
        let next = world.night("2026-01-06T02:00:00Z").await;
        assert_eq!(next.outcome, Outcome::Succeeded, "{next:#?}");
        assert!(scratches(&world).is_empty(), "killed after {polls}");
        let warnings = next.warnings.shown.join(" ");
        let all_told = standing.iter().all(|name| warnings.contains(name.as_str()));
        assert!(all_told, "{standing:?}: {warnings}");
    }
    assert!(
        left > 5,
        "some of them left something, and a younger one stays: {left}"
    );
}

/// A scratch that stands: made by a drill without a journal, which is killed while its rows are compared.
async fn one_is_left(world: &mut World) -> String {
    let journal = world.journal.take();
    world.sleep_until(at(NOON)).await;
    world.faults(json!([{"match": {"operation": "query", "region": SOURCE}, "fault": {"latency_ms": 20_000}}]));
    let asked = named(&["acme-docs"]);
    let killed = world.drill(&asked, at(NOON));
    let _ = tokio::time::timeout(Duration::from_secs(15), killed).await;
    world.faults(json!([]));
    world.journal = journal;
    let left = scratches(world);
    assert_eq!(left.len(), 1);
    left[0].clone()
}

#[tokio::test(start_paused = true)]
async fn no_selector_takes_a_scratch_for_a_source() {
    let (mut world, _) = after_three_nights(&[("SOURCE_PREFIX", "*")]).await;
    let scratch = one_is_left(&mut world).await;
    let night = world.night("2026-01-05T02:00:00Z").await;
    assert_eq!(
        (night.outcome, night.sources, night.jobs.sealed),
        (Outcome::Succeeded, 2, 2)
    );
    assert!(
        scratches(&world).contains(&scratch),
        "it may still be being drilled"
    );
    let backups = world.standing(TARGET).into_keys();
    let mut of_scratches = backups.filter(|name| name.contains("lifeboat-drill"));
    assert_eq!(of_scratches.next(), None);
    assert!(night.warnings.is_empty(), "{night:#?}");
    let restored = world
        .restore(&lifeboat::restore::Asked::of(Which::All))
        .await;
    assert_eq!(restored.counts.restored, 2, "{restored:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_drill_into_the_backups_region_disturbs_no_backup() {
    let (mut world, _) = after_three_nights(&[("RETENTION_DAYS", "1")]).await;
    let beside = Asked {
        to: Some(TARGET.into()),
        ..both()
    };
    let report = at_noon(&world, &beside).await;
    assert_eq!(
        (report.counts.proven, report.to_region.as_str()),
        (2, TARGET),
        "{report:#?}"
    );
    // And one that dies there is found there.
    let journal = world.journal.take();
    let later = at(NOON) + SignedDuration::from_hours(1);
    world.faults(json!([{"match": {"operation": "query", "region": TARGET}, "fault": {"latency_ms": 9_000}}]));
    world.sleep_until(later).await;
    let _ = tokio::time::timeout(Duration::from_secs(15), world.drill(&beside, later)).await;
    world.faults(json!([]));
    world.journal = journal;
    let left = scratches(&world).len();
    assert!(left > 0);
    let backups = world.standing(TARGET).len() - left;
    let night = world.night("2026-01-05T02:00:00Z").await;
    assert_eq!(night.pruning.strays, 0);
    assert_eq!(night.pruning.backups, u64::try_from(backups).unwrap() + 2);
    assert_eq!(scratches(&world).len(), left);
    let next = world.night("2026-01-06T02:00:00Z").await;
    assert!(scratches(&world).is_empty(), "{next:#?}");
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_made_is_never_deleted_however_it_is_called() {
    let (world, _) = after_three_nights(&[("SOURCE_PREFIX", "*")]).await;
    world.sleep_until(at(NOON)).await;
    // Of their own: no check, or one for another slot, or made long after the slot, or writable.
    let unchecked = "lifeboat-drill-1767528000-abcdefghijklmnopabcd".to_owned();
    let results = "lifeboat-drill-results".to_owned();
    let out_of_time = scratch_of(&world, "2025-12-20T12:00:00Z");
    let writable = scratch_of(&world, NOON);
    let other_slot = writable.replace("1767528000", "1767528001");
    let theirs = [&unchecked, &results, &out_of_time, &writable, &other_slot];
    for name in theirs {
        world.write_rows(SOURCE, name, 0..3);
        if *name != writable {
            world.seal(SOURCE, name, true);
        }
    }
    let before = world.standing(SOURCE);
    let later = at(NOON) + SignedDuration::from_hours(1);
    for slot in [NOON, "2026-01-04T13:00:00Z"] {
        let report = world.drill(&named(&["acme-docs"]), at(slot)).await;
        let (taken, stands) = (slot == NOON, words(&report));
        assert_eq!(
            stands,
            if taken { vec!["exists"] } else { vec![] },
            "{report:#?}"
        );
    }
    let night = world.night("2026-01-05T02:00:00Z").await;
    let next = world.night("2026-01-06T02:00:00Z").await;
    world
        .sleep_until(later + SignedDuration::from_hours(72))
        .await;
    let report = world.drill(&named(&["acme-docs"]), world.now()).await;
    assert_eq!(report.counts.proven, 1, "{report:#?}");
    assert!(report.swept.is_empty(), "{report:#?}");
    let after = world.standing(SOURCE);
    for name in theirs {
        assert_eq!(after[name], before[name], "{name}");
    }
    let asked = world.asked.lock().unwrap();
    let deleted = asked.iter().filter(|asked| asked.what == Asks::Delete);
    assert!(deleted.clone().all(|asked| !theirs.contains(&&asked.name)));
    // What a plan's `*` leaves out for its name alone is told, and so is what a sweep did not dare to delete.
    let warnings = night.warnings.shown.join(" ");
    assert!(warnings.contains("2 namespaces, such as"), "{warnings}");
    let warnings = next.warnings.shown.join(" ");
    for name in [&out_of_time, &writable] {
        assert!(warnings.contains(name.as_str()), "{name}: {warnings}");
    }
    let backups = world.standing(TARGET).into_keys();
    let of_results = backups.filter(|name| name.starts_with("backup-lifeboat-drill-results"));
    assert_eq!(
        of_results.count(),
        2,
        "a name of their own is backed up like any other"
    );
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_is_not_its_backup_is_found_and_named_and_not_left_behind() {
    let (world, _) = journaled(&[]);
    let rows: Vec<Value> = (0..40)
        .map(|id| json!({"id": id, "vector": [f64::from(id), 0.5]}))
        .collect();
    let write = json!({"upsert_rows": rows, "distance_metric": "cosine_distance"});
    for name in ["acme-docs", "acme-users"] {
        world.call(
            Method::Post,
            SOURCE,
            &format!("/v2/namespaces/{name}"),
            &write,
        );
    }
    world.night(NIGHTS[2]).await;
    let backups = world.standing(TARGET);
    world.faults(json!([
        {"match": {"operation": "start_copy", "source": "backup-acme-docs-1767492000"}, "fault": {"corrupt_copy": "flip_vector_bit"}}
    ]));
    let report = at_noon(&world, &both()).await;
    assert_eq!(report.outcome, Outcome::Failed);
    assert_eq!(
        (report.counts.differ, report.counts.proven),
        (1, 1),
        "{report:#?}"
    );
    let failure = &report.failures.shown[0];
    assert_eq!(
        (failure.error.as_str(), failure.source.as_deref()),
        ("mismatch", Some("acme-docs"))
    );
    let message = &failure.message;
    assert!(
        message.contains("backup-acme-docs-1767492000` did not come back as it is"),
        "{message}"
    );
    assert!(
        message.contains("vector"),
        "it says what differs: {message}"
    );
    assert!(scratches(&world).is_empty());
    assert_eq!(world.standing(TARGET), backups);
    let count = Asked {
        level: "count".parse().unwrap(),
        ..both()
    };
    let report = world
        .drill(&count, at(NOON) + SignedDuration::from_hours(1))
        .await;
    assert_eq!(
        report.counts.proven, 2,
        "a bit is not seen by a count: {report:#?}"
    );
    assert!(
        report.drilled.shown[0].digest.is_none(),
        "and no digest says that it was"
    );
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_hours_is_followed_by_ticks_and_its_scratch_deleted_at_its_end() {
    let (world, objects) = after_three_nights(&[("RETENTION_DAYS", "1")]).await;
    world
        .emulator
        .update_settings(|settings| settings.copy_overhead_ms = 11 * 3_600_000);
    let older = named(&["backup-acme-docs-1767319200"]);
    let slot = at("2026-01-04T20:00:00Z");
    let report = world.drill(&older, slot).await;
    assert_eq!(
        (report.outcome, report.stays_open, report.held),
        (Outcome::Incomplete, true, true),
        "{report:#?}"
    );
    // The next one does not end what only waits.
    let other = named(&["acme-users"]);
    let next = slot + SignedDuration::from_mins(20);
    world
        .emulator
        .update_settings(|settings| settings.copy_overhead_ms = 10);
    let report = world.drill(&other, next).await;
    assert_eq!(report.counts.proven, 1, "{report:#?}");
    assert!(
        report.warnings.shown[0].contains("waits for its copies"),
        "{report:#?}"
    );
    assert_eq!(open_drills(&world).await, 1);
    let night = world.night("2026-01-05T02:00:00Z").await;
    assert_eq!(night.jobs.sealed, 2);
    let standing = world.standing(TARGET);
    assert!(
        standing.contains_key("backup-acme-docs-1767319200"),
        "it is being drilled"
    );
    assert!(!standing.contains_key("backup-acme-users-1767319200"));
    let last = loop {
        tokio::time::sleep(Duration::from_mins(5)).await;
        let report = world
            .drill_as(&older, slot, How::OneMoreLook, FOURTEEN_MINUTES)
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
    assert_eq!(
        told(&last),
        [("acme-docs", DrillState::Proven, 10)],
        "{last:#?}"
    );
    let line = &last.drilled.shown[0];
    let took = line.recovery_seconds.unwrap();
    assert!(
        (39_600.0..40_500.0).contains(&took) && line.carried_on,
        "{line:#?}"
    );
    assert!(scratches(&world).is_empty());
    assert_eq!((open_drills(&world).await, held(&objects).await), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_costs_no_second_copy_and_leaves_no_scratch() {
    let (world, _) = after_three_nights(&[]).await;
    world.faults(json!([
        {"match": {"operation": "start_copy", "source": "backup-acme-docs-1767492000"}, "fault": {"reset": "after"}, "times": 1},
        {"match": {"operation": "start_copy", "source": "backup-acme-users-1767492000"}, "fault": {"status": 503}, "times": 1},
        {"match": {"operation": "poll"}, "fault": {"lose_token": true}},
        {"match": {"operation": "delete"}, "fault": {"reset": "after"}, "times": 1}
    ]));
    let report = at_noon(&world, &both()).await;
    assert_eq!(
        (report.outcome, report.counts.proven),
        (Outcome::Succeeded, 2),
        "{report:#?}"
    );
    assert!(scratches(&world).is_empty());
    assert_eq!(world.accepted("start_copy"), 3 * 2 + 1);
}

#[tokio::test(start_paused = true)]
async fn a_scratch_that_could_not_be_deleted_is_told_and_deleted_by_the_next_tick() {
    let (world, objects) = after_three_nights(&[]).await;
    world.faults(json!([{"match": {"operation": "delete"}, "fault": {"status": 503}}]));
    let asked = named(&["acme-docs"]);
    let report = at_noon(&world, &asked).await;
    assert_eq!(report.counts.proven, 1, "what it showed is shown");
    assert_eq!((report.outcome, report.stays_open), (Outcome::Failed, true));
    assert_eq!(
        (words(&report), report.counts.scratches_left),
        (vec!["unavailable"], 1)
    );
    assert!(
        report.failures.shown[0]
            .message
            .contains(&scratches(&world)[0])
    );
    world.faults(json!([]));
    tokio::time::sleep(Duration::from_mins(5)).await;
    let tick = world
        .drill_as(&asked, at(NOON), How::OneMoreLook, FOURTEEN_MINUTES)
        .await;
    assert_eq!(
        (tick.outcome, tick.counts.proven),
        (Outcome::Succeeded, 1),
        "{tick:#?}"
    );
    assert!(scratches(&world).is_empty());
    assert_eq!((open_drills(&world).await, held(&objects).await), (0, 0));
    assert_eq!(world.accepted("start_copy"), 3 * 2 + 1);
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_only_said_yes_is_told() {
    let (world, _) = after_three_nights(&[]).await;
    world.faults(json!([{"match": {"operation": "delete"}, "fault": {"delete_lies": true}}]));
    let report = at_noon(&world, &named(&["acme-docs"])).await;
    let left = scratches(&world).len();
    assert_eq!(
        (words(&report), left),
        (vec!["still_there"], 1),
        "{report:#?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_same_request_again_is_done_already_and_tries_again_what_failed() {
    let (world, _) = after_three_nights(&[]).await;
    world.faults(json!([
        {"match": {"operation": "start_copy", "source": "backup-acme-docs-1767492000"}, "fault": {"status": 400}}
    ]));
    let report = at_noon(&world, &both()).await;
    assert_eq!(
        (report.counts.proven, report.counts.failed),
        (1, 1),
        "{report:#?}"
    );
    world.faults(json!([]));
    for _ in 0..2 {
        let report = world.drill(&both(), at(NOON)).await;
        assert_eq!(
            (report.outcome, report.counts.proven),
            (Outcome::Succeeded, 2),
            "{report:#?}"
        );
    }
    assert_eq!(world.accepted("start_copy"), 3 * 2 + 2);
    assert!(scratches(&world).is_empty());
}

#[tokio::test(start_paused = true)]
async fn another_request_of_the_same_slot_proves_nothing_by_the_first_ones_evidence() {
    let (world, _) = after_three_nights(&[]).await;
    let at_level = |level: &str| Asked {
        level: level.parse().unwrap(),
        ..named(&["acme-docs"])
    };
    let counted = at_noon(&world, &at_level("count")).await;
    assert_eq!(counted.counts.proven, 1, "{counted:#?}");
    let history = async || {
        let journal = world.journal.as_ref().unwrap().of_drills();
        journal.history(&world.plan.name, 9).await.unwrap()
    };
    let before = history().await;
    let full = at_noon(&world, &at_level("full")).await;
    assert_eq!(
        (full.outcome, full.counts.proven),
        (Outcome::Failed, 0),
        "nothing was read: {full:#?}"
    );
    assert_eq!(words(&full), ["another_drill"]);
    assert_eq!(history().await, before, "the first one's evidence stands");
    assert_eq!(open_drills(&world).await, 0);
    let full = world
        .drill(&at_level("full"), at(NOON) + SignedDuration::from_secs(1))
        .await;
    assert_eq!(full.counts.proven, 1, "{full:#?}");
    assert!(full.rows_read.rows > 0, "{full:#?}");
}

#[tokio::test(start_paused = true)]
async fn another_request_of_the_same_slot_does_not_take_over_an_open_drill() {
    let (world, _) = after_three_nights(&[]).await;
    world
        .emulator
        .update_settings(|settings| settings.copy_overhead_ms = 3_600_000);
    let first = at_noon(&world, &named(&["acme-docs"])).await;
    assert!(first.stays_open, "{first:#?}");
    let second = at_noon(&world, &named(&["acme-users"])).await;
    assert_eq!(words(&second), ["another_drill"], "{second:#?}");
    tokio::time::sleep(Duration::from_hours(2)).await;
    let first = at_noon(&world, &named(&["acme-docs"])).await;
    assert_eq!(
        told(&first),
        [("acme-docs", DrillState::Proven, 30)],
        "{first:#?}"
    );
    assert!(scratches(&world).is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_drill_is_carried_on_and_deletes_its_scratch() {
    let (world, _) = after_three_nights(&[]).await;
    world
        .emulator
        .update_settings(|settings| settings.copy_overhead_ms = 600_000);
    world.sleep_until(at(NOON)).await;
    let stop = Notify::new();
    let interrupted = async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        stop.notify_one();
    };
    let (asked, journal) = (both(), world.journal.as_ref());
    let drill = world.drill_in(
        journal,
        &stop,
        &asked,
        (at(NOON), How::Whole),
        FOURTEEN_MINUTES,
    );
    let (report, ()) = tokio::join!(drill, interrupted);
    assert_eq!(
        (report.outcome, report.stays_open, report.counts.incomplete),
        (Outcome::Incomplete, true, 2),
        "{report:#?}"
    );
    say_that_resume_carries_on(&report);
    let report = world.drill(&asked, at(NOON)).await;
    assert_eq!(
        (report.outcome, report.counts.proven),
        (Outcome::Succeeded, 2),
        "{report:#?}"
    );
    assert_eq!(world.accepted("start_copy"), 3 * 2 + 2);
    assert!(scratches(&world).is_empty());
}

/// The command typed once more begins another drill, with a slot of its own.
fn say_that_resume_carries_on(report: &DrillReport) {
    assert!(!report.failures.is_empty(), "{report:#?}");
    for failure in &report.failures.shown {
        let said = &failure.message;
        assert!(
            said.contains("`resume` carries on") && !said.contains("same request"),
            "{said}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_drill_that_waits_for_the_service_or_for_its_copy_names_resume_alone() {
    let (world, _) = after_three_nights(&[]).await;
    world
        .emulator
        .update_settings(|settings| settings.copy_overhead_ms = 3_600_000);
    let waits = at_noon(&world, &both()).await;
    assert_eq!(words(&waits), ["copying", "copying"], "{waits:#?}");
    say_that_resume_carries_on(&waits);
    world.faults(json!([{"match": {"operation": "poll"}, "fault": {"status": 503}}]));
    let troubled = at_noon(&world, &both()).await;
    assert_eq!(words(&troubled), ["unavailable", "unavailable"]);
    say_that_resume_carries_on(&troubled);
    let asked = named(&["acme-docs"]);
    world.faults(json!([]));
    let other = world.drill(&asked, at("2026-01-04T12:10:00Z")).await;
    let warnings = other.warnings.shown.join(" ");
    assert!(
        warnings.contains("`resume` carries on") && !warnings.contains("same request"),
        "{warnings}"
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_is_said_to_be_drilled_in_the_place_of_an_unverified_one_where_nothing_was() {
    let (world, _) = after_three_nights(&[]).await;
    for slot in [1_767_319_200, 1_767_405_600, 1_767_492_000] {
        world.seal(TARGET, &format!("backup-acme-users-{slot}"), false);
    }
    let warned = async |minute: u32| {
        let one = Pick::Random(Amount::Count(1));
        let asked = Asked {
            seed: Some(u64::from(minute)),
            ..picks(one)
        };
        let slot = at(NOON) + SignedDuration::from_mins(i64::from(minute));
        let report = world.drill(&asked, slot).await;
        report.warnings.shown.join(" ")
    };
    let report = at_noon(&world, &both()).await;
    assert_eq!(report.counts.proven, 1, "{report:#?}");
    let warnings = report.warnings.shown.join(" ");
    assert!(
        warnings.contains("acme-users") && !warnings.contains("in their place"),
        "{warnings}"
    );
    let mut replaced = 0;
    for minute in 1..9 {
        replaced += u64::from(warned(minute).await.contains("in their place"));
    }
    assert!(replaced > 0);
}

#[tokio::test(start_paused = true)]
async fn a_backup_that_vanishes_while_it_is_drilled_is_not_called_wrong() {
    let (world, _) = after_three_nights(&[]).await;
    world
        .emulator
        .update_settings(|settings| settings.copy_overhead_ms = 600_000);
    let vanishes = async {
        world.sleep_until(at(NOON)).await;
        tokio::time::sleep(Duration::from_mins(3)).await;
        world.delete(TARGET, "backup-acme-docs-1767492000");
    };
    let asked = named(&["acme-docs"]);
    let (report, ()) = tokio::join!(at_noon(&world, &asked), vanishes);
    assert_eq!(words(&report), ["backup_vanished"], "{report:#?}");
    let said = &report.failures.shown[0].message;
    assert!(
        !said.contains("the source") && !said.contains("keep"),
        "{said}"
    );
    assert_eq!(report.counts.differ, 0);
}

#[tokio::test(start_paused = true)]
async fn what_differs_in_a_drill_is_said_of_the_backup_and_not_of_a_source() {
    let (world, _) = after_three_nights(&[]).await;
    world.faults(json!([
        {"match": {"operation": "start_copy"}, "fault": {"corrupt_copy": "drop_rows"}}
    ]));
    let report = at_noon(&world, &named(&["acme-docs"])).await;
    assert_eq!(words(&report), ["mismatch"], "{report:#?}");
    let said = &report.failures.shown[0].message;
    assert!(
        said.contains("its backup") && !said.contains("the source, "),
        "{said}"
    );
}

#[tokio::test(start_paused = true)]
async fn no_recovery_is_said_to_have_taken_longer_than_its_drill() {
    let (world, _) = after_three_nights(&[]).await;
    world.sleep_until(at("2026-01-04T12:00:00.900Z")).await;
    let report = at_noon(&world, &named(&["acme-docs"])).await;
    let whole = report.finished_at.duration_since(report.started_at);
    assert_eq!(report.counts.proven, 1, "{report:#?}");
    assert!(
        report.longest_recovery_seconds <= whole.as_secs_f64(),
        "{whole}: {report:#?}"
    );
    #[cfg(feature = "terminal")]
    {
        let mut screen = Vec::new();
        lifeboat::terminal::write_drill(&mut screen, &report).unwrap();
        let screen = String::from_utf8(screen).unwrap();
        assert!(
            screen.contains("billed as") && screen.contains("billed rate"),
            "{screen}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn two_drills_of_a_plan_are_not_at_work_at_once() {
    let (world, _) = after_three_nights(&[]).await;
    world
        .emulator
        .update_settings(|settings| settings.copy_overhead_ms = 60_000);
    world.sleep_until(at(NOON)).await;
    let asked = both();
    let other = async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        let slot = world.now();
        let tick = world.drill_as(&asked, at(NOON), How::OneMoreLook, FOURTEEN_MINUTES);
        (world.drill(&asked, slot).await, tick.await)
    };
    let (first, (second, tick)) = tokio::join!(world.drill(&asked, at(NOON)), other);
    assert_eq!(
        (first.outcome, first.counts.proven),
        (Outcome::Succeeded, 2),
        "{first:#?}"
    );
    assert_eq!(words(&second), ["busy"]);
    assert_eq!((tick.outcome, tick.stays_open), (Outcome::Incomplete, true));
    assert_eq!(world.accepted("start_copy"), 3 * 2 + 2);
}

#[tokio::test(start_paused = true)]
async fn without_a_journal_it_drills_and_says_what_it_cant_do() {
    let (mut world, _) = after_three_nights(&[]).await;
    world.journal = None;
    let report = at_noon(&world, &both()).await;
    assert_eq!(
        (report.outcome, report.counts.proven),
        (Outcome::Succeeded, 2)
    );
    assert!(!report.held && report.warnings.shown[0].contains("set LIFEBOAT_JOURNAL"));
    assert!(scratches(&world).is_empty());
    world
        .emulator
        .update_settings(|settings| settings.copy_overhead_ms = 3_600_000);
    let later = at(NOON) + SignedDuration::from_hours(1);
    let report = world.drill(&named(&["acme-docs"]), later).await;
    assert_eq!(
        (report.outcome, report.stays_open),
        (Outcome::Incomplete, false)
    );
    assert_eq!(report.counts.scratches_left, 1);
    let scratch = &report.drilled.shown[0].scratch;
    let warnings = report.warnings.shown.join(" ");
    assert!(
        warnings.contains(scratch.as_str()),
        "what may stand is named: {warnings}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_cant_be_used_lets_nothing_be_drilled() {
    let (world, objects) = after_three_nights(&[]).await;
    let lease = Path::from("lifeboat/drills/leases/default.json");
    objects.put(&lease, "rubbish".into()).await.unwrap();
    let report = at_noon(&world, &both()).await;
    assert_eq!(
        (words(&report), report.outcome),
        (vec!["lease_corrupt"], Outcome::Failed)
    );
    assert_eq!(world.accepted("start_copy"), 3 * 2);
}

#[tokio::test(start_paused = true)]
async fn clocks_that_disagree_let_no_scratch_go_and_that_is_told() {
    let (mut world, _) = after_three_nights(&[]).await;
    world.skew_local_clock(SignedDuration::from_mins(-6));
    let report = at_noon(&world, &named(&["acme-docs"])).await;
    assert_eq!(words(&report), ["deletion_refused"], "{report:#?}");
    assert!(report.failures.shown[0].message.contains("clock"));
    assert_eq!(scratches(&world).len(), 1);
    world.skew_local_clock(SignedDuration::ZERO);
    world.night("2026-01-05T02:00:00Z").await;
    world.night("2026-01-06T02:00:00Z").await;
    assert!(scratches(&world).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_drill_that_nobody_finished_for_a_day_is_given_up_with_its_scratch() {
    let (world, objects) = after_three_nights(&[]).await;
    world.emulator.update_settings(|settings| {
        settings.half_copies_visible = true;
        settings.copy_overhead_ms = 300 * 3_600_000;
    });
    let asked = named(&["acme-docs"]);
    assert!(at_noon(&world, &asked).await.stays_open);
    assert_eq!(scratches(&world).len(), 1, "half a copy");
    tokio::time::sleep(Duration::from_hours(25)).await;
    let report = world
        .drill_as(&asked, at(NOON), How::OneMoreLook, FOURTEEN_MINUTES)
        .await;
    assert_eq!(
        (report.outcome, report.stays_open),
        (Outcome::Failed, false)
    );
    assert!(words(&report).contains(&"abandoned"), "{report:#?}");
    assert!(scratches(&world).is_empty());
    assert_eq!((open_drills(&world).await, held(&objects).await), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_for_and_not_there_is_told() {
    let (world, _) = journaled(&[]);
    let report = at_noon(&world, &Asked::default()).await;
    assert_eq!(
        (words(&report), report.outcome),
        (vec!["nothing_to_drill"], Outcome::Failed)
    );
    let hour = |hours| at(NOON) + SignedDuration::from_hours(hours);
    world.faults(json!([{"match": {"operation": "list"}, "fault": {"status": 503}}]));
    let report = world.drill(&Asked::default(), hour(1)).await;
    assert_eq!(words(&report), ["unavailable"]);
    let slot: Timestamp = hour(2);
    assert_eq!(
        world.drill(&named(&["a"]), slot).await.outcome,
        Outcome::Failed
    );
}
