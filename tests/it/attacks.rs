//! What a hostile reader found. Each of these once ended in a lost backup, a false success or a late report.

use std::time::Duration;

use jiff::Timestamp;
use lifeboat::event::{Action, Request};
use lifeboat::report::Outcome;
use serde_json::json;
use tokio::time::Instant;

use crate::stories::{NIGHT, backup_of, two_sources, words};
use crate::world::{SOURCE, TARGET, World, plan};

const OTHER: &str = "aws-us-west-2";

async fn nights(world: &World, days: std::ops::RangeInclusive<u32>) {
    for day in days {
        world.night(&format!("2026-01-{day:02}T02:00:00Z")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_stack_with_the_same_names_is_not_told_that_its_work_is_done() {
    let mut world = World::new(1, &[]);
    world.write_rows(SOURCE, "acme-orders", 0..200);
    world.write_rows(OTHER, "acme-orders", 5_000..5_007);
    assert_eq!(world.night(NIGHT).await.outcome, Outcome::Succeeded);
    world.source = OTHER;
    world.plan = plan(&[("SOURCE_REGION", OTHER)]);
    let report = world.back_up(NIGHT.parse().unwrap()).await;
    assert_eq!(words(&report), ["mismatch"], "{report:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_second_stack_does_not_supersede_the_last_copies_of_a_lost_source() {
    let mut world = World::new(1, &[("RETENTION_DAYS", "2")]);
    world.write_rows(SOURCE, "acme-orders", 0..200);
    world.write_rows(SOURCE, "acme-users", 0..20);
    world.write_rows(OTHER, "acme-other", 0..7);
    for day in 2..=12 {
        world.source = SOURCE;
        world.plan = plan(&[("RETENTION_DAYS", "2")]);
        world.night(&format!("2026-01-{day:02}T02:00:00Z")).await;
        world.source = OTHER;
        world.plan = plan(&[("RETENTION_DAYS", "2"), ("SOURCE_REGION", OTHER)]);
        world.night(&format!("2026-01-{day:02}T03:00:00Z")).await;
        if day == 4 {
            world.delete(SOURCE, "acme-orders");
        }
    }
    let standing = world.standing(TARGET).into_keys();
    let orders = standing.filter(|name| name.contains("orders"));
    assert!(orders.count() >= 3, "nothing of the lost source may go");
}

#[tokio::test(start_paused = true)]
async fn overlapping_prefixes_dont_prune_each_other() {
    let long = [("RETENTION_DAYS", "90"), ("BACKUP_PREFIX", "backup-eu-")];
    let mut world = World::new(1, &long);
    world.write_rows(SOURCE, "acme-orders", 0..200);
    world.write_rows(SOURCE, "eu-x", 0..3);
    for day in 2..=9 {
        world.plan = plan(&long);
        world.night(&format!("2026-01-{day:02}T02:00:00Z")).await;
    }
    world.plan = plan(&[("RETENTION_DAYS", "1"), ("SOURCE_PREFIX", "eu-")]);
    let report = world.night("2026-01-10T02:00:00Z").await;
    assert_eq!(
        report.pruning.deleted, 0,
        "the other plan keeps 90 days: {report:#?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_proxys_404_is_not_the_services_word_that_a_source_is_gone() {
    let page = json!({"status": 404, "body": "<html>no route</html>", "content_type": "text/html"});
    let denial = json!({"status": 404, "body": r#"{"status":"error","error":"not found"}"#});
    for (fault, word) in [(page, "unreadable"), (denial, "not_found")] {
        let world = two_sources(&[]);
        world.faults(
            json!([{"match": {"operation": "metadata", "region": SOURCE}, "fault": fault}]),
        );
        let report = world.night(NIGHT).await;
        assert_eq!(words(&report), [word, word], "{report:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_leaves_out_a_page_is_noticed_by_the_backups_that_stand() {
    let world = World::new(1, &[("RETENTION_DAYS", "1")]);
    let names = (0..2_010).map(|index| format!("acme-{index:05}"));
    world.emulator.seed_namespaces(SOURCE, names, 3, 300);
    assert_eq!(world.night(NIGHT).await.jobs.sealed, 2_010);
    world.faults(json!([{"match": {"operation": "list", "region": SOURCE}, "fault": {"drop_page": true}, "times": 1}]));
    let report = world.night("2026-01-09T02:00:00Z").await;
    assert_eq!(
        (words(&report), report.pruning.deleted),
        (vec!["listing_broken"], 0),
        "{report:#?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_misspelt_prefix_beside_a_right_one_raises() {
    let world = World::new(1, &[("SOURCE_PREFIX", "acme-,globx-")]);
    world.write_rows(SOURCE, "acme-orders", 0..200);
    world.write_rows(SOURCE, "globex-orders", 0..200);
    let report = world.night(NIGHT).await;
    assert_eq!(
        (words(&report), report.jobs.sealed),
        (vec!["nothing_selected"], 1),
        "{report:#?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_slow_listing_ends_with_the_invocation() {
    let world = World::new(1, &[]);
    let names = (0..10_000).map(|index| format!("acme-{index:05}"));
    world.emulator.seed_namespaces(SOURCE, names, 3, 300);
    world.faults(json!([{"match": {"operation": "list"}, "fault": {"latency_ms": 29_000}}]));
    let begin = Instant::now();
    let request = Request {
        scheduled_time: Some(world.now()),
        ..Request::default()
    };
    let report = world.run(request, Duration::from_mins(1)).await.unwrap();
    assert_eq!(report.outcome, Outcome::Incomplete, "{report:#?}");
    assert!(begin.elapsed() <= Duration::from_secs(61));
}

#[tokio::test(start_paused = true)]
async fn one_endless_copy_does_not_stop_the_pruning_of_the_others() {
    let world = two_sources(&[("RETENTION_DAYS", "1")]);
    nights(&world, 2..=4).await;
    world.faults(json!([{"match": {"operation": "start_copy", "source": "acme-orders"}, "fault": {"stall_operation": true}}]));
    let mut deleted = 0;
    for day in 5..=8 {
        let report = world.night(&format!("2026-01-{day:02}T02:00:00Z")).await;
        assert_eq!(report.outcome, Outcome::Incomplete, "{report:#?}");
        deleted += report.pruning.deleted;
    }
    assert!(deleted > 0);
}

#[tokio::test(start_paused = true)]
async fn many_jobs_without_time_are_incomplete_not_failed() {
    let world = World::new(1, &[]);
    let names = (0..400).map(|index| format!("acme-{index:05}"));
    world.emulator.seed_namespaces(SOURCE, names, 3, 300);
    world
        .emulator
        .update_settings(|settings| settings.copy_overhead_ms = 600_000);
    let request = Request {
        scheduled_time: Some(world.now()),
        ..Request::default()
    };
    let report = world.run(request, Duration::from_mins(1)).await.unwrap();
    assert_eq!(
        (report.outcome, report.jobs.incomplete),
        (Outcome::Incomplete, 400)
    );
    let never_begun = report.failures.shown.last().unwrap();
    assert!(
        never_begun.message.contains("before its turn"),
        "{never_begun:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn clocks_that_part_while_pruning_stop_it_and_the_report_says_how_far_it_came() {
    let world = World::new(1, &[("RETENTION_DAYS", "1"), ("CONCURRENCY", "1")]);
    for index in 0..5 {
        world.write_rows(SOURCE, &format!("acme-{index}"), 0..5);
    }
    nights(&world, 2..=5).await;
    world
        .sleep_until("2026-01-09T02:00:00Z".parse().unwrap())
        .await;
    let third = backup_of("acme-2", "2026-01-04T02:00:00Z");
    let skewed = json!({"operation": "metadata", "region": TARGET, "namespace_prefix": third});
    world.faults(json!([{"match": skewed, "fault": {"clock_skew_seconds": 900}, "after": 1}]));
    let report = world.prune().await;
    let told = report.pruning.deleted;
    assert!(
        (1..=4).contains(&told),
        "those after the doubt stay: {report:#?}"
    );
    let said = report
        .failures
        .shown
        .iter()
        .find(|failure| failure.error == "clocks_disagree");
    assert!(
        said.unwrap()
            .message
            .contains(&format!("after {told} backups")),
        "{report:#?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_job_that_fails_after_its_seal_prunes_nothing() {
    let world = two_sources(&[("RETENTION_DAYS", "1")]);
    nights(&world, 2..=6).await;
    world.seal(SOURCE, "acme-orders", true);
    let odd = backup_of("acme-orders", "2026-01-06T02:00:00Z");
    let unreadable = json!({"operation": "metadata", "region": TARGET, "namespace_prefix": odd});
    world.faults(json!([{"match": unreadable, "fault": {"status": 500}, "times": 7}]));
    let report = world.night("2026-01-09T02:00:00Z").await;
    assert_eq!(report.jobs.failed, 1, "{report:#?}");
    assert!(
        report
            .deleted
            .shown
            .iter()
            .all(|name| !name.contains("orders")),
        "{report:#?}"
    );
}

#[tokio::test(start_paused = true)]
async fn lost_rows_don_t_hide_behind_a_write() {
    let world = World::new(1, &[]);
    world
        .emulator
        .update_settings(|settings| settings.copy_overhead_ms = 60_000);
    world.write_rows(SOURCE, "acme-orders", 0..2_000);
    world.sleep_until(NIGHT.parse().unwrap()).await;
    let writes = async {
        tokio::time::sleep(Duration::from_secs(30)).await;
        world.write_rows(SOURCE, "acme-orders", 0..1);
    };
    world.faults(
        json!([{"match": {"operation": "start_copy"}, "fault": {"corrupt_copy": "drop_rows"}}]),
    );
    let (report, ()) = tokio::join!(world.back_up(NIGHT.parse().unwrap()), writes);
    assert_eq!(words(&report), ["mismatch"], "{report:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_time_cut_is_not_called_undone() {
    let world = two_sources(&[("RETENTION_DAYS", "1")]);
    nights(&world, 2..=4).await;
    world
        .sleep_until("2026-01-08T02:00:00Z".parse().unwrap())
        .await;
    world.faults(json!([{"match": {"operation": "delete"}, "fault": {"latency_ms": 25_000}}]));
    let request = Request {
        action: Action::Prune,
        ..Request::default()
    };
    let report = world.run(request, Duration::from_secs(10)).await.unwrap();
    assert!(
        report
            .failures
            .shown
            .iter()
            .all(|failure| !failure.message.contains("not deleted")),
        "{report:#?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_service_that_asks_for_a_day_is_not_waited_for() {
    let world = two_sources(&[]);
    world.faults(json!([{"match": {"operation": "start_copy", "source": "acme-orders"}, "fault": {"status": 429, "retry_after": 86_400}}]));
    let begin = Instant::now();
    let report = world.back_up(world.now()).await;
    assert_eq!(
        (words(&report), report.jobs.sealed),
        (vec!["throttled"], 1),
        "{report:#?}"
    );
    assert!(begin.elapsed() < Duration::from_mins(1));
}

#[tokio::test(start_paused = true)]
async fn a_read_only_half_copy_of_this_slot_is_not_taken_for_the_seal() {
    let world = two_sources(&[]);
    let begin: Timestamp = NIGHT.parse().unwrap();
    world.sleep_until(begin).await;
    world.plant(&backup_of("acme-orders", NIGHT), true);
    tokio::time::sleep(Duration::from_mins(1)).await;
    let report = world.back_up(begin).await;
    assert_eq!(report.jobs.failed, 1, "{report:#?}");
    assert_eq!(
        world.standing(TARGET)[&backup_of("acme-orders", NIGHT)].get("read_only"),
        None
    );
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_place_is_not_taken_for_silence() {
    let world = World::new(1, &[("CONCURRENCY", "2")]);
    let names = (0..120).map(|index| format!("acme-{index:05}"));
    world.emulator.seed_namespaces(SOURCE, names, 3, 300);
    world.faults(json!([{"match": {"operation": "metadata"}, "fault": {"latency_ms": 6_000}}]));
    let request = Request {
        scheduled_time: Some(world.now()),
        ..Request::default()
    };
    let report = world.run(request, Duration::from_hours(2)).await.unwrap();
    assert_eq!(
        report.outcome,
        Outcome::Succeeded,
        "{:?}",
        report.failures.shown.first()
    );
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_decides_as_the_run_after_it_does() {
    let world = two_sources(&[("RETENTION_DAYS", "1"), ("MIN_BACKUPS", "2")]);
    nights(&world, 2..=3).await;
    let slot: Timestamp = "2026-01-09T02:00:00Z".parse().unwrap();
    world.sleep_until(slot).await;
    let request = Request {
        scheduled_time: Some(slot),
        dry_run: true,
        ..Request::default()
    };
    let shown = world.run(request, Duration::from_mins(1)).await.unwrap();
    let due: Vec<&String> = shown
        .decisions
        .shown
        .iter()
        .filter(|line| line.due)
        .map(|line| &line.backup)
        .collect();
    let done = world.back_up(slot).await;
    assert_eq!(due.len(), 2, "{shown:#?}");
    assert!(
        done.deleted.shown.iter().all(|name| due.contains(&name)) && done.deleted.len() == 2,
        "{done:#?}"
    );
}
