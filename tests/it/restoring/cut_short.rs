//! Rows that are compared when somebody presses Ctrl-C, or kills the process: whoever carries on goes on where it was, and
//! does not read the whole of a large namespace once more.

use lifeboat::drill;
use lifeboat::event::Request;

use super::*;

/// Rows of each side, on ten pages of which each takes half a minute.
const ROWS: u64 = 100;
/// By then some pages of each side were compared, and some were not.
const IN_THE_MIDDLE: Duration = Duration::from_secs(290);

/// One source with a sealed backup; from now on queries are slow.
async fn a_large_one() -> World {
    let (world, _) = journaled(&[]);
    let text = "x".repeat(100_000);
    let rows: Vec<_> = (0..ROWS)
        .map(|id| json!({"id": id, "title": text}))
        .collect();
    let body = json!({"upsert_rows": rows});
    world.call(Method::Post, SOURCE, "/v2/namespaces/acme-docs", &body);
    assert_eq!(world.night(NIGHTS[0]).await.jobs.sealed, 1);
    slow_queries(&world);
    world
}

fn slow_queries(world: &World) {
    world.faults(json!([{"match": {"operation": "query"}, "fault": {"latency_ms": 30_000}}]));
}

/// Every row, to the last bit.
fn whole() -> Asked {
    Asked {
        level: "full".parse().unwrap(),
        ..all()
    }
}

/// Less than the rows of both sides, by those of three pages at the least.
fn went_on(rows_read: u64) -> bool {
    rows_read <= 2 * (ROWS - 30)
}

#[tokio::test(start_paused = true)]
async fn after_ctrl_c_a_restore_goes_on_comparing_where_it_was() {
    let world = a_large_one().await;
    let stop = Notify::new();
    let interrupted = async {
        tokio::time::sleep(IN_THE_MIDDLE).await;
        stop.notify_one();
    };
    let (asked, journal) = (whole(), world.journal.as_ref());
    let restore = world.restore_in(journal, &stop, &asked, How::Whole, FOURTEEN_MINUTES);
    let (report, ()) = tokio::join!(restore, interrupted);
    assert!(report.stays_open, "{report:#?}");
    let report = world.restore(&asked).await;
    assert_eq!(report.outcome, Outcome::Succeeded, "{report:#?}");
    assert!(went_on(report.rows_read.rows), "{:?}", report.rows_read);
}

#[tokio::test(start_paused = true)]
async fn after_a_kill_a_restore_goes_on_comparing_about_where_it_was() {
    let world = a_large_one().await;
    let asked = whole();
    let killed = tokio::time::timeout(IN_THE_MIDDLE, world.restore(&asked));
    assert!(killed.await.is_err());
    tokio::time::sleep(Duration::from_mins(5)).await;
    let report = world.restore(&asked).await;
    assert_eq!(report.outcome, Outcome::Succeeded, "{report:#?}");
    assert!(went_on(report.rows_read.rows), "{:?}", report.rows_read);
    assert_eq!(world.accepted("start_copy"), 2);
}

#[tokio::test(start_paused = true)]
async fn after_ctrl_c_or_a_kill_a_drill_goes_on_comparing_where_it_was() {
    for kills in [false, true] {
        let world = a_large_one().await;
        let slot = at("2026-01-04T12:00:00Z");
        world.sleep_until(slot).await;
        let stop = Notify::new();
        let (asked, journal) = (drill::Asked::default(), world.journal.as_ref());
        let first = world.drill_in(journal, &stop, &asked, (slot, How::Whole), FOURTEEN_MINUTES);
        let interrupted = async {
            tokio::time::sleep(IN_THE_MIDDLE).await;
            stop.notify_one();
        };
        if kills {
            assert!(tokio::time::timeout(IN_THE_MIDDLE, first).await.is_err());
        } else {
            let (report, ()) = tokio::join!(first, interrupted);
            assert!(report.stays_open, "{report:#?}");
        }
        tokio::time::sleep(Duration::from_mins(5)).await;
        let report = world.drill(&asked, slot).await;
        assert_eq!(
            (report.outcome, report.counts.proven),
            (Outcome::Succeeded, 1),
            "{report:#?}"
        );
        assert!(went_on(report.rows_read.rows), "{:?}", report.rows_read);
        // What was summed up before and after is the sum of all.
        world.faults(json!([]));
        let whole = world
            .drill(&asked, slot + SignedDuration::from_hours(1))
            .await;
        assert_eq!(whole.rows_read.rows, 2 * ROWS);
        assert_eq!(
            whole.drilled.shown[0].digest,
            report.drilled.shown[0].digest
        );
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_kill_a_backup_goes_on_comparing_about_where_it_was() {
    let mut world = a_large_one().await;
    world.plan.verify = "full".parse().unwrap();
    let slot = at(NIGHTS[1]);
    world.sleep_until(slot).await;
    let night = || Request {
        scheduled_time: Some(slot),
        ..Request::default()
    };
    let killed = tokio::time::timeout(IN_THE_MIDDLE, world.run(night(), FOURTEEN_MINUTES));
    assert!(killed.await.is_err());
    tokio::time::sleep(Duration::from_mins(5)).await;
    let report = world.run(night(), FOURTEEN_MINUTES).await.unwrap();
    assert_eq!(
        (report.outcome, report.jobs.sealed),
        (Outcome::Succeeded, 1),
        "{report:#?}"
    );
    assert!(went_on(report.rows_read.rows), "{:?}", report.rows_read);
    assert_eq!(world.accepted("start_copy"), 2);
}
