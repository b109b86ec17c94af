//! What an earlier invocation began keeps its run open until it has an end: trouble that passes closes nothing, and what
//! has an end is not begun anew.

use std::time::Duration;

use lifeboat::report::{Outcome, Report};
use serde_json::{Value, json};

use crate::carrying_on::{NIGHT, at, open_slots, resume, tick_until_done, with_a_copy_of};
use crate::stories::words;
use crate::world::{SOURCE, TARGET, World};

const BACKUP: &str = "backup-acme-orders-1767319200";
const FOURTEEN_MINUTES: Duration = Duration::from_mins(14);

/// Trouble that comes and goes without anything being wrong with a copy.
fn troubles() -> [Value; 4] {
    [
        json!({"status": 503}),
        json!({"status": 429, "retry_after": 600}),
        json!({"status": 401}),
        json!({"status": 403}),
    ]
}

pub(crate) async fn tick(world: &World, time_left: Duration) -> Report {
    world.run(resume(NIGHT), time_left).await.unwrap()
}

fn state_of(world: &World, backup: &str) -> (bool, u64) {
    let seen = world.seen(TARGET).into_iter();
    let seen = seen.into_iter().find(|seen| seen.name == backup).unwrap();
    (seen.read_only, seen.rows)
}

#[tokio::test(start_paused = true)]
async fn a_tick_that_meets_trouble_leaves_the_copy_to_the_next() {
    for operation in ["any", "poll", "list"] {
        for fault in troubles() {
            let (world, _) = with_a_copy_of(3);
            world.night(NIGHT).await;
            tokio::time::sleep(Duration::from_hours(1)).await;
            let how = format!("{fault} on {operation}");
            world.faults(json!([{"match": {"operation": operation}, "fault": fault}]));
            for _ in 0..3 {
                let report = tick(&world, FOURTEEN_MINUTES).await;
                assert!(report.stays_open, "{how}: {report:#?}");
                assert!(!report.failures.is_empty(), "{how}: nobody told");
                tokio::time::sleep(Duration::from_mins(5)).await;
            }
            assert_eq!(open_slots(&world).await, [at(NIGHT)], "{how}");
            world.faults(json!([]));
            let (reports, _) = tick_until_done(&world, 100).await;
            let last = reports.last().unwrap();
            assert_eq!(
                (last.outcome, last.jobs.sealed),
                (Outcome::Succeeded, 1),
                "{how}: {last:#?}"
            );
            assert_eq!(world.calls("start_copy"), 1, "{how}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_invocation_may_meet_the_trouble_too() {
    for fault in troubles() {
        let (world, _) = with_a_copy_of(1);
        world.faults(json!([{"match": {"operation": "poll"}, "fault": fault}]));
        let report = world.night(NIGHT).await;
        assert_eq!(
            (report.stays_open, report.jobs.incomplete),
            (true, 1),
            "{fault}: {report:#?}"
        );
        assert_eq!(
            report.outcome,
            Outcome::Failed,
            "trouble is told as trouble"
        );
        world.faults(json!([]));
        let (reports, _) = tick_until_done(&world, 100).await;
        assert_eq!(reports.last().unwrap().jobs.sealed, 1, "{fault}");
        assert_eq!(world.calls("start_copy"), 1, "{fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_ended_is_compared_by_a_later_tick_if_trouble_came_between() {
    let (world, _) = with_a_copy_of(1);
    world.night(NIGHT).await;
    tokio::time::sleep(Duration::from_hours(2)).await;
    world.faults(json!([{"match": {"operation": "query"}, "fault": {"status": 503}}]));
    let report = tick(&world, FOURTEEN_MINUTES).await;
    assert!(report.stays_open, "{report:#?}");
    world.faults(json!([]));
    let (reports, _) = tick_until_done(&world, 10).await;
    assert_eq!(reports.last().unwrap().jobs.sealed, 1);
    assert_eq!(state_of(&world, BACKUP), (true, 50));
}

/// The event came again after somebody had deleted what it had sealed, and whoever saw that one was not copied again died.
#[tokio::test(start_paused = true)]
async fn what_an_earlier_event_sealed_hides_no_failure_of_a_later_one() {
    let (world, _) = with_a_copy_of(1);
    world
        .emulator
        .update_settings(|settings| settings.copy_overhead_ms = 0);
    world.write_rows(SOURCE, "acme-users", 0..5);
    let first = world.night(NIGHT).await;
    assert_eq!((first.jobs.sealed, first.stays_open), (2, false));
    for backup in [BACKUP, "backup-acme-users-1767319200"] {
        world.delete(TARGET, backup);
    }
    world
        .emulator
        .update_settings(|settings| settings.copy_overhead_ms = 3_600_000);
    world.faults(json!([{"match": {"operation": "start_copy", "source": "acme-users"}, "fault": {"status": 400}}]));
    let killed = world.back_up(at(NIGHT)).await;
    assert!(killed.stays_open, "{killed:#?}");
    world.faults(json!([]));
    let (reports, _) = tick_until_done(&world, 100).await;
    let last = reports.last().unwrap();
    assert_eq!(
        (last.outcome, words(last)),
        (Outcome::Failed, vec!["failed_earlier"]),
        "{last:#?}"
    );
    let journal = world.journal.as_ref().unwrap();
    let history = journal.history("default", 1).await.unwrap();
    assert_eq!(history[0].outcome, "failed", "{history:#?}");
    let mut jobs = history[0].jobs.iter();
    let line = jobs.find(|job| job.source == "acme-users").unwrap();
    // What was sealed is evidence for whoever finds it once more; why it was not copied again is told beside it.
    assert_eq!(
        (line.state.as_str(), line.error.is_some()),
        ("sealed", true),
        "{line:#?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_run_for_which_there_was_no_time_stays_open() {
    let (world, _) = with_a_copy_of(1);
    world.night(NIGHT).await;
    for nothing in [Duration::ZERO, Duration::from_millis(1)] {
        let report = tick(&world, nothing).await;
        assert!(report.stays_open, "{report:#?}");
    }
    assert_eq!(open_slots(&world).await, [at(NIGHT)]);
    let (reports, _) = tick_until_done(&world, 100).await;
    assert_eq!(reports.last().unwrap().jobs.sealed, 1);
}

/// Found by the simulated histories (seed 12).
#[tokio::test(start_paused = true)]
async fn a_tick_ends_in_its_time_though_a_region_asks_for_patience() {
    let (world, _) = with_a_copy_of(1);
    world.night(NIGHT).await;
    world.faults(json!([{"match": {}, "fault": {"status": 429, "retry_after": 60}}]));
    let report = tick(&world, Duration::from_secs(20)).await;
    assert!(report.stays_open, "{report:#?}");
    let took = report.finished_at.duration_since(report.started_at);
    assert!(took.as_secs() <= 20, "{took:#}");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_killed_before_its_first_job_stays_open_without_time_or_a_listing() {
    let (world, _) = with_a_copy_of(1);
    world.sleep_until(at(NIGHT)).await;
    let killed = tokio::time::timeout(Duration::from_millis(3), world.back_up(at(NIGHT)));
    assert!(killed.await.is_err());
    assert_eq!(
        (world.calls("start_copy"), open_slots(&world).await.len()),
        (0, 1)
    );
    tokio::time::sleep(Duration::from_mins(5)).await;
    assert!(tick(&world, Duration::ZERO).await.stays_open);
    world.faults(json!([{"match": {"operation": "list"}, "fault": {"status": 503}}]));
    assert!(tick(&world, FOURTEEN_MINUTES).await.stays_open);
    world.faults(json!([]));
    let (reports, _) = tick_until_done(&world, 100).await;
    assert_eq!(reports.last().unwrap().jobs.sealed, 1);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_was_deleted_meanwhile_ends_its_job_and_the_run() {
    let (world, _) = with_a_copy_of(1);
    world.write_rows(SOURCE, "acme-users", 0..5);
    world.night(NIGHT).await;
    world.delete(SOURCE, "acme-orders");
    let (reports, _) = tick_until_done(&world, 30).await;
    let last = reports.last().unwrap();
    assert_eq!((last.jobs.sealed, last.jobs.vanished), (1, 1), "{last:#?}");
    let journal = world.journal.as_ref().unwrap();
    let history = journal.history("default", 1).await.unwrap();
    let states = history[0].jobs.iter().map(|job| job.state.as_str());
    assert_eq!(states.collect::<Vec<_>>(), ["vanished", "sealed"]);
}

/// What nobody can end any more holds no run open: its target or its selector has gone out of the plan.
#[tokio::test(start_paused = true)]
async fn what_the_plan_no_longer_names_keeps_no_run_open() {
    let (mut world, _) = with_a_copy_of(2);
    world.write_rows(SOURCE, "acme-users", 0..5);
    world.night(NIGHT).await;
    let exclude = [("SOURCE_EXCLUDE", "acme-orders")];
    world.plan = crate::world::plan(&exclude);
    let (reports, _) = tick_until_done(&world, 30).await;
    assert_eq!(reports.last().unwrap().jobs.sealed, 1);
    assert_eq!(world.calls("start_copy"), 2);
}

#[tokio::test(start_paused = true)]
async fn what_failed_for_good_is_not_begun_anew_by_a_tick() {
    let (world, _) = with_a_copy_of(1);
    world.write_rows(SOURCE, "acme-users", 0..5);
    world.faults(json!([{"match": {"source": "acme-users"}, "fault": {"fail_operation": true}}]));
    world.night(NIGHT).await;
    let (reports, _) = tick_until_done(&world, 30).await;
    let last = reports.last().unwrap();
    assert_eq!(
        (last.jobs.sealed, world.calls("start_copy")),
        (1, 2),
        "{last:#?}"
    );
    let is_told = |report: &&Report| words(report).contains(&"failed_earlier");
    assert_eq!(
        reports.iter().filter(is_told).count(),
        1,
        "every tick tells"
    );
    assert_eq!(
        (last.outcome, words(last)),
        (Outcome::Failed, vec!["failed_earlier"])
    );
    assert_eq!(last.failures.shown[0].source.as_deref(), Some("acme-users"));
}

#[tokio::test(start_paused = true)]
async fn trouble_that_lasts_a_week_ends_the_run() {
    let (world, _) = with_a_copy_of(1);
    world.faults(json!([{"match": {"operation": "poll"}, "fault": {"status": 503}}]));
    world.night(NIGHT).await;
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_hours(24)).await;
        assert!(tick(&world, FOURTEEN_MINUTES).await.stays_open);
    }
    tokio::time::sleep(Duration::from_hours(24)).await;
    let report = tick(&world, FOURTEEN_MINUTES).await;
    assert_eq!(words(&report), ["abandoned"], "{report:#?}");
    assert!(open_slots(&world).await.is_empty());
}

/// Its start was heard and the answer lost; then the key was refused. Nobody knows what became of it, and it is born
/// read-only.
#[tokio::test(start_paused = true)]
async fn a_frozen_source_whose_copy_may_have_begun_keeps_its_run_open_until_somebody_has_looked() {
    for then in [json!({"status": 403}), json!({"status": 503})] {
        let (world, _) = with_a_copy_of(1);
        world.seal(SOURCE, "acme-orders", true);
        world.faults(json!([
            {"match": {"operation": "start_copy"}, "fault": {"reset": "after", "corrupt_copy": "drop_rows"}, "times": 1},
            {"match": {"operation": "start_copy"}, "fault": then},
        ]));
        let report = world.night(NIGHT).await;
        assert!(report.stays_open, "{then}: {report:#?}");
        world.faults(json!([]));
        tokio::time::sleep(Duration::from_hours(2)).await;
        assert!(state_of(&world, BACKUP).0, "born so");
        world.seal(SOURCE, "acme-orders", false);
        tick_until_done(&world, 300).await;
        assert!(
            !state_of(&world, BACKUP).0,
            "{then}: half a copy passes for sealed"
        );
    }
}
