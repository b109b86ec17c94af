//! A clock of ours that is wrong: copying goes on by the service's, deletion stops, and nobody is told otherwise.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use lifeboat::drill::{self, Pick};
use lifeboat::event::Request;
use lifeboat::report::Report;
use lifeboat::restore::{Asked, How, Which};
use lifeboat::run::Refused;
use serde_json::json;

use crate::carrying_on::{NIGHT, at, journaled, tick_until_done, with_a_copy_of};
use crate::staying_open::tick;
use crate::stories::words;
use crate::world::{SOURCE, TARGET, World};

const FOURTEEN_MINUTES: Duration = Duration::from_mins(14);
/// How wrong a clock may be, in minutes: a little, an hour, days, and more than any slot may be old.
const WRONG: [i64; 8] = [
    -6,
    6,
    -60,
    60,
    -3 * 24 * 60,
    3 * 24 * 60,
    -10 * 24 * 60,
    10 * 24 * 60,
];

async fn back_up(world: &World, slot: Timestamp) -> Result<Report, Refused> {
    let request = Request {
        scheduled_time: Some(slot),
        ..Request::default()
    };
    world.run(request, FOURTEEN_MINUTES).await
}

#[tokio::test(start_paused = true)]
async fn however_wrong_the_local_clock_is_the_night_copies_and_deletes_nothing() {
    for minutes in WRONG {
        let mut world = World::new(1, &[("RETENTION_DAYS", "1")]);
        world.write_rows(SOURCE, "acme-orders", 0..5);
        for day in 2..=4 {
            world.night(&format!("2026-01-{day:02}T02:00:00Z")).await;
        }
        let before = world.standing(TARGET).len();
        let slot = at("2026-01-09T02:00:00Z");
        world.sleep_until(slot).await;
        world.skew_local_clock(SignedDuration::from_mins(minutes));
        let report = back_up(&world, slot).await;
        let report = report.unwrap_or_else(|refused| panic!("{minutes} minutes: {refused}"));
        assert_eq!(
            (report.jobs.sealed, report.pruning.deleted),
            (1, 0),
            "{minutes} minutes: {report:#?}"
        );
        assert_eq!(words(&report), ["clocks_disagree"], "{minutes} minutes");
        assert_eq!(world.standing(TARGET).len(), before + 1);
        assert_eq!(world.prune().await.pruning.deleted, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_is_wrong_by_the_services_clock_too_is_refused_whatever_ours_says() {
    for minutes in [0].into_iter().chain(WRONG) {
        let mut world = World::new(1, &[]);
        world.write_rows(SOURCE, "acme-orders", 0..5);
        let now = at("2026-01-20T02:00:00Z");
        world.sleep_until(now).await;
        world.skew_local_clock(SignedDuration::from_mins(minutes));
        for hours in [24 * 12, -24 * 18] {
            let refused = back_up(&world, now + SignedDuration::from_hours(hours)).await;
            assert!(
                matches!(refused, Err(Refused::Slot(_))),
                "{minutes}, {hours}"
            );
        }
        assert_eq!(world.calls("start_copy"), 0);
    }
}

/// Where the service does not say what time it is, nothing could be copied either.
#[tokio::test(start_paused = true)]
async fn a_slot_that_only_our_clock_refuses_is_refused_while_the_service_says_nothing() {
    let mut world = World::new(1, &[]);
    world.write_rows(SOURCE, "acme-orders", 0..5);
    world.sleep_until(at(NIGHT)).await;
    world.skew_local_clock(SignedDuration::from_hours(-1));
    world.faults(json!([{"match": {"region": SOURCE}, "fault": {"status": 503}}]));
    let refused = back_up(&world, at(NIGHT)).await;
    assert!(matches!(refused, Err(Refused::Slot(_))));
    world.faults(json!([]));
    let report = back_up(&world, at(NIGHT)).await.unwrap();
    assert_eq!(report.jobs.sealed, 1, "{report:#?}");
}

/// A wrong clock gives no run up: the service's own says how old it is.
#[tokio::test(start_paused = true)]
async fn a_wrong_local_clock_gives_no_open_run_up() {
    for minutes in [-600, -10, 10, 9 * 24 * 60] {
        let (mut world, _) = with_a_copy_of(2);
        world.night(NIGHT).await;
        world.skew_local_clock(SignedDuration::from_mins(minutes));
        tokio::time::sleep(Duration::from_mins(5)).await;
        let report = tick(&world, FOURTEEN_MINUTES).await;
        assert!(report.stays_open, "{minutes} minutes: {report:#?}");
        assert!(!words(&report).contains(&"abandoned"));
        world.skew_local_clock(SignedDuration::ZERO);
        let (reports, _) = tick_until_done(&world, 60).await;
        assert_eq!(reports.last().unwrap().jobs.sealed, 1, "{minutes} minutes");
    }
}

/// A restore on a machine whose clock is days behind keeps pruning away, or says that it can't.
#[tokio::test(start_paused = true)]
async fn a_hold_from_a_clock_that_is_far_behind_lasts_for_whoever_reads_it() {
    for first in [true, false] {
        let (mut world, _) = journaled(&[]);
        world.write_rows(SOURCE, "acme-orders", 0..5);
        world.night(NIGHT).await;
        world.sleep_until(at("2026-01-09T02:00:00Z")).await;
        world
            .emulator
            .update_settings(|settings| settings.copy_overhead_ms = 3 * 3_600_000);
        let behind = SignedDuration::from_hours(-3 * 24);
        let asked = Asked {
            at: Some(at("2026-01-04T00:00:00Z")),
            ..Asked::of(Which::All)
        };
        if first {
            world.skew_local_clock(behind);
        }
        let cut = Duration::from_mins(2);
        let report = world.restore_as(&asked, How::Whole, cut).await;
        assert!(report.stays_open && report.held, "{report:#?}");
        world.skew_local_clock(behind);
        tokio::time::sleep(Duration::from_mins(5)).await;
        let report = world.restore_as(&asked, How::OneMoreLook, cut).await;
        assert!(report.stays_open && report.held, "{report:#?}");
        let holds = world.journal.as_ref().unwrap().holds(world.now()).await;
        let holds = holds.unwrap();
        let holder = holds.holder(TARGET, "backup-acme-orders-1767319200");
        assert!(holder.is_some(), "said to be held, and nobody sees it");
    }
}

/// The same of a drill.
#[tokio::test(start_paused = true)]
async fn a_drills_hold_from_a_clock_that_is_far_behind_lasts_for_whoever_reads_it() {
    for first in [true, false] {
        let (mut world, _) = journaled(&[]);
        world.write_rows(SOURCE, "acme-orders", 0..5);
        world.night(NIGHT).await;
        let slot = at("2026-01-09T02:00:00Z");
        world.sleep_until(slot).await;
        world
            .emulator
            .update_settings(|settings| settings.copy_overhead_ms = 3 * 3_600_000);
        let behind = SignedDuration::from_hours(-3 * 24);
        let asked = drill::Asked {
            pick: Pick::Names(vec!["acme-orders".to_owned()]),
            ..drill::Asked::default()
        };
        if first {
            world.skew_local_clock(behind);
        }
        let cut = Duration::from_mins(2);
        let report = world.drill_as(&asked, slot, How::Whole, cut).await;
        assert!(report.stays_open && report.held, "{report:#?}");
        world.skew_local_clock(behind);
        tokio::time::sleep(Duration::from_mins(5)).await;
        let report = world.drill_as(&asked, slot, How::OneMoreLook, cut).await;
        assert!(report.stays_open && report.held, "{report:#?}");
        let holds = world.journal.as_ref().unwrap().holds(world.now()).await;
        let holds = holds.unwrap();
        let holder = holds.holder(TARGET, "backup-acme-orders-1767319200");
        assert!(holder.is_some(), "said to be held, and nobody sees it");
    }
}
