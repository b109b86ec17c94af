//! Two invocations of a plan on machines whose clocks are apart: never do both delete at once, by the service's own clock.

use jiff::SignedDuration;
use lifeboat::journal::{Journal, Lease};
use lifeboat::report::Report;

use crate::carrying_on::{at, journaled};
use crate::stories::words;
use crate::world::{SOURCE, TARGET, World};

/// A world in which two backups are due, and its journal.
async fn with_something_due() -> (World, Journal) {
    let (world, _) = journaled(&[("RETENTION_DAYS", "1")]);
    world.write_rows(SOURCE, "acme-orders", 0..5);
    for day in 2..=4 {
        world.night(&format!("2026-01-{day:02}T02:00:00Z")).await;
    }
    world.sleep_until(at("2026-01-09T02:00:00Z")).await;
    let journal = world.journal.clone().unwrap();
    (world, journal)
}

/// Somebody else's lease, taken now by a clock that is wrong by so many seconds.
async fn another(world: &World, journal: &Journal, wrong_by: i64) -> Lease {
    let now = world.now() + SignedDuration::from_secs(wrong_by);
    journal.acquire("default", "another", now).await.unwrap()
}

/// A prune by a clock that is wrong by so many seconds.
async fn prune(world: &mut World, wrong_by: i64) -> Report {
    world.skew_local_clock(SignedDuration::from_secs(wrong_by));
    let report = world.prune().await;
    world.skew_local_clock(SignedDuration::ZERO);
    report
}

async fn sleep(seconds: u64) {
    tokio::time::sleep(std::time::Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn whoever_takes_a_lease_by_a_clock_ahead_deletes_nothing_until_it_has_ended_by_the_services()
{
    for (holder, taker) in [(0, 181), (0, 295), (-150, 40), (60, 270)] {
        let (mut world, journal) = with_something_due().await;
        let standing = world.standing(TARGET).len();
        let old = another(&world, &journal, holder).await;
        let report = prune(&mut world, taker).await;
        let told = words(&report);
        assert!(
            !told.is_empty() && told.iter().all(|word| *word == "deletion_refused"),
            "{holder}, {taker}: {report:#?}"
        );
        assert!(
            report.failures.shown[0].message.contains("another run"),
            "{report:#?}"
        );
        assert_eq!(world.standing(TARGET).len(), standing, "{holder}, {taker}");
        // It gave the lease back, and what it took away from still counts for the next one.
        let report = prune(&mut world, 0).await;
        assert_eq!(report.pruning.deleted, 0, "{holder}, {taker}: {report:#?}");
        // Not even now does the old holder get it back.
        assert!(old.renew(world.now()).await.is_err());
        sleep(u64::try_from(181 + holder.max(0)).unwrap()).await;
        let report = prune(&mut world, 0).await;
        assert!(report.pruning.deleted > 0, "{holder}, {taker}: {report:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_else_waits_longer_for_the_lease_of_the_killed() {
    for taker in [-200, 0, 60, 295] {
        let (mut world, journal) = with_something_due().await;
        another(&world, &journal, 0).await;
        sleep(u64::try_from(180 - taker.min(0)).unwrap()).await;
        let report = prune(&mut world, taker).await;
        assert!(report.pruning.deleted > 0, "{taker}: {report:#?}");
        assert!(words(&report).is_empty(), "{taker}: {report:#?}");
    }
}

/// Five minutes are agreed on, so a clock that is behind by less deletes, and its lease lasts for everybody as long as any.
#[tokio::test(start_paused = true)]
async fn a_holder_whose_clock_is_behind_deletes_under_a_lease_that_lasts_for_everybody() {
    for behind in [-30, -119, -121, -179, -240, -295] {
        let (mut world, _) = with_something_due().await;
        let report = prune(&mut world, behind).await;
        assert!(report.pruning.deleted > 0, "{behind}: {report:#?}");
        assert!(words(&report).is_empty(), "{behind}: {report:#?}");
    }
}
