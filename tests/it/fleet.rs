//! Size: many namespaces, several pages, and no more requests than the work needs.

use lifeboat::report::Outcome;

use crate::world::{SOURCE, TARGET, World};

#[tokio::test(start_paused = true)]
async fn two_thousand_namespaces_are_backed_up_and_pruned_over_several_pages() {
    let world = World::new(1, &[("RETENTION_DAYS", "1")]);
    world.emulator.seed_namespaces(
        SOURCE,
        (0..2_000).map(|index| format!("acme-{index:05}")),
        10,
        1_000,
    );
    for day in 2..=5 {
        let report = world.night(&format!("2026-01-{day:02}T02:00:00Z")).await;
        assert_eq!(
            (report.outcome, report.jobs.sealed),
            (Outcome::Succeeded, 2_000),
            "{:?}",
            report.failures
        );
    }
    assert_eq!(
        world.standing(TARGET).len(),
        6_000,
        "with one day's window three nights stand"
    );
}

#[tokio::test(start_paused = true)]
async fn a_steady_night_asks_seven_questions_a_source_and_seven_a_deletion() {
    let world = World::new(1, &[("RETENTION_DAYS", "1")]);
    world.emulator.seed_namespaces(
        SOURCE,
        (0..100).map(|index| format!("acme-{index:05}")),
        10,
        1_000,
    );
    let mut last = None;
    for day in 2..=8 {
        last = Some(world.night(&format!("2026-01-{day:02}T02:00:00Z")).await);
    }
    let report = last.unwrap();
    assert_eq!(report.pruning.deleted, 100);
    // Two listings, and one of either region for what drills may have left, then: metadata and count of both sides, start, poll, seal; candidate and successor, the same two
    // and the newest again, DELETE, and a look whether it is gone. A second poll may be needed.
    let most = 2 + 2 + 100 * (7 + 7) + 100;
    assert!(
        report.requests <= most,
        "{} requests, at most {most} expected",
        report.requests
    );
}
