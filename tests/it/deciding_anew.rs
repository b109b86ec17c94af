//! One decision, one DELETE: whatever keeps a deletion waiting, it is decided anew before it is asked for again.

use std::time::Duration;

use lifeboat::event::{Action, Picked, Request};
use lifeboat::report::Outcome;
use serde_json::json;

use crate::carrying_on::{at, journaled};
use crate::stories::words;
use crate::world::{SOURCE, TARGET, World};

const FOURTEEN_MINUTES: Duration = Duration::from_mins(14);

/// Nights with something to delete, and the backup that the next night deletes.
async fn with_something_due() -> (World, String) {
    let (world, _) = journaled(&[("RETENTION_DAYS", "1")]);
    world.write_rows(SOURCE, "acme-orders", 0..5);
    for day in 2..=3 {
        world.night(&format!("2026-01-{day:02}T02:00:00Z")).await;
    }
    (world, "backup-acme-orders-1767319200".to_owned())
}

async fn hold_after(world: &World, seconds: u64, backup: &str) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let journal = world.journal.as_ref().unwrap();
    let hold = journal.hold("default.1", TARGET, std::iter::once(backup), world.now());
    drop(hold.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_hold_that_is_taken_while_a_delete_waits_keeps_the_backup() {
    for fault in [
        json!({"status": 429, "retry_after": 60}),
        json!({"status": 503}),
        json!({"reset": "before"}),
    ] {
        let (world, due) = with_something_due().await;
        world.faults(json!([{"match": {"operation": "delete"}, "fault": fault, "times": 1}]));
        let slot = at("2026-01-06T02:00:00Z");
        world.sleep_until(slot).await;
        let asked = async {
            while world.calls("delete") == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            hold_after(&world, 0, &due).await;
        };
        let (report, ()) = tokio::join!(world.back_up(slot), asked);
        assert_eq!(
            (report.pruning.deleted, words(&report)),
            (0, vec!["deletion_refused"]),
            "{fault}: {report:#?}"
        );
        assert_eq!(world.calls("delete"), 1, "{fault}: one look, one DELETE");
        assert!(world.standing(TARGET).contains_key(&due));
    }
}

#[tokio::test(start_paused = true)]
async fn a_hold_that_is_taken_while_a_discard_waits_keeps_the_backup() {
    let (world, due) = with_something_due().await;
    world.faults(json!([{"match": {"operation": "delete"}, "fault": {"status": 429, "retry_after": 60}, "times": 1}]));
    let discard = Request {
        action: Action::Discard,
        picked: Picked {
            names: vec![due.clone()],
            yes: true,
            ..Picked::default()
        },
        ..Request::default()
    };
    let (report, ()) = tokio::join!(
        world.run(discard, FOURTEEN_MINUTES),
        hold_after(&world, 20, &due)
    );
    let report = report.unwrap();
    assert_eq!(words(&report), ["deletion_refused"], "{report:#?}");
    assert!(world.standing(TARGET).contains_key(&due));
}

#[tokio::test(start_paused = true)]
async fn a_delete_that_is_put_off_is_decided_anew_and_carried_out_the_same_night() {
    let (world, due) = with_something_due().await;
    world.faults(json!([{"match": {"operation": "delete"}, "fault": {"status": 503}, "times": 2}]));
    let report = world.night("2026-01-06T02:00:00Z").await;
    assert_eq!(
        (report.outcome, report.pruning.deleted),
        (Outcome::Succeeded, 1),
        "{report:#?}"
    );
    assert_eq!(world.calls("delete"), 3);
    assert!(!world.standing(TARGET).contains_key(&due));
}

#[tokio::test(start_paused = true)]
async fn a_delete_that_is_never_answered_ends_within_a_bound_and_is_told() {
    let (world, due) = with_something_due().await;
    world.faults(
        json!([{"match": {"operation": "delete"}, "fault": {"status": 429, "retry_after": 60}}]),
    );
    let report = world.night("2026-01-06T02:00:00Z").await;
    assert_eq!(words(&report), ["throttled"], "{report:#?}");
    assert!(world.calls("delete") <= 4, "{}", world.calls("delete"));
    assert!(world.standing(TARGET).contains_key(&due));
}

#[tokio::test(start_paused = true)]
async fn answers_that_come_too_slowly_prove_nothing_and_are_not_taken_for_a_wrong_clock() {
    let (world, due) = with_something_due().await;
    let prune = async || {
        let request = Request {
            action: Action::Prune,
            ..Request::default()
        };
        world.run(request, FOURTEEN_MINUTES).await.unwrap()
    };
    world.sleep_until(at("2026-01-06T02:00:00Z")).await;
    // The plan reads its successor once. When the certificate asks again, the answer takes six minutes.
    world.faults(json!([{
        "match": {"operation": "metadata", "namespace_prefix": "backup-acme-orders-1767405600"},
        "fault": {"status": 429, "retry_after": 60}, "after": 1, "times": 6,
    }]));
    let report = prune().await;
    assert_eq!(
        (report.pruning.refused, words(&report)),
        (0, vec!["too_slow"]),
        "{report:#?}"
    );
    assert!(world.standing(TARGET).contains_key(&due));
    let report = prune().await;
    assert_eq!(report.pruning.deleted, 1, "{report:#?}");
}
