//! What a budget stops, and everything that it must not: copies that are under way, pruning as it would have been, and
//! whatever nobody knows the price of.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use lifeboat::budget::{Budget, State};
use lifeboat::event::{Action, Request};
use lifeboat::journal::Journal;
use lifeboat::price::{MicroDollars, Prices};
use lifeboat::report::{Outcome, Report};
use object_store::memory::InMemory;
use object_store::path::Path;
use serde_json::json;

use crate::stories::{NIGHT, two_sources, words};
use crate::world::{SOURCE, TARGET, World};

const DAY: SignedDuration = SignedDuration::from_hours(24);
/// A thousand dollars a GB, so that a few kilobytes cost something.
const DEAR: &str = "as_of = \"2026-11-20\"\n[turbopuffer]\ncopied_gb = [\"100000\", \"200000\"]\nreturned_gb = \"0.05\"\nstored_gb_month = \"0.33\"";
const DAWN: Duration = Duration::from_mins(14);

/// Two sources at prices that hurt, and this budget.
fn world(variables: &[(&str, &str)], soft: Option<u64>, hard: Option<u64>) -> World {
    let mut world = two_sources(variables);
    world.prices = Prices::parse(DEAR).unwrap();
    limit(&mut world, soft, hard);
    world
}

fn limit(world: &mut World, soft: Option<u64>, hard: Option<u64>) {
    world.plan.budget = Budget::of(soft.map(MicroDollars), hard.map(MicroDollars)).ok();
}

fn state(report: &Report) -> State {
    report.budget.as_ref().unwrap().state
}

/// Changes one value of a source, an hour before a slot.
async fn write_before(world: &World, slot: Timestamp, sources: &[&str]) {
    world
        .sleep_until(slot - SignedDuration::from_hours(1))
        .await;
    for source in sources {
        world.call(
            lifeboat_emulator::Method::Post,
            SOURCE,
            &format!("/v2/namespaces/{source}"),
            &json!({"patch_rows": [{"id": 7, "title": "another"}]}),
        );
    }
    world.sleep_until(slot).await;
}

#[tokio::test(start_paused = true)]
async fn a_soft_budget_warns_and_stops_nothing() {
    let world = world(&[], Some(1), None);
    let report = world.night(NIGHT).await;
    assert_eq!(
        (report.outcome, report.jobs.sealed, state(&report)),
        (Outcome::Succeeded, 2, State::OverSoft),
        "{report:#?}"
    );
    let [warning, no_journal] = report.warnings.shown.as_slice() else {
        panic!("{:?}", report.warnings)
    };
    assert!(warning.contains("the soft budget is <$0.01"), "{warning}");
    assert!(no_journal.contains("LIFEBOAT_JOURNAL"), "{no_journal}");
    assert!(report.estimate.is_none(), "only a dry run shows all of it");
}

#[tokio::test(start_paused = true)]
async fn a_hard_budget_keeps_every_new_copy_from_being_made_and_says_what_to_do() {
    let world = world(&[], None, Some(1));
    let report = world.night(NIGHT).await;
    assert_eq!(words(&report), ["over_budget", "over_budget"]);
    assert_eq!(
        (report.outcome, report.jobs.over_budget, report.jobs.all()),
        (Outcome::Failed, 2, 2)
    );
    assert_eq!(state(&report), State::OverHard);
    assert_eq!(world.calls("start_copy"), 0);
    let message = &report.failures.shown[0].message;
    for said in [
        "not copied",
        "more than the hard budget of <$0.01",
        "raise `hard_usd` of plan `default`",
    ] {
        assert!(message.contains(said), "{message}");
    }
    // A manual backup is a copy like any other.
    let manual = Request {
        manual: true,
        ..Request::default()
    };
    let report = world.run(manual, DAWN).await.unwrap();
    assert_eq!(report.jobs.over_budget, 2);
    assert_eq!(world.calls("start_copy"), 0);
}

/// The least that is expected decides, so a bill that may stay below it stops nothing.
#[tokio::test(start_paused = true)]
async fn what_may_stay_within_the_hard_budget_is_copied_and_so_is_the_rest_of_a_night() {
    let mut world = world(&[], Some(1), Some(1));
    let tonight: Timestamp = NIGHT.parse().unwrap();
    world.sleep_until(tonight).await;
    let expected = world.back_up(tonight).await.budget.unwrap().expected;
    let expected = expected.unwrap();
    assert!(expected.least < expected.most);
    limit(&mut world, None, Some(expected.least.0));
    world.faults(json!([{"match": {"source": "acme-orders"}, "fault": {"fail_operation": true}}]));
    let report = world.back_up(tonight).await;
    assert_eq!(
        (report.jobs.sealed, state(&report)),
        (1, State::PerhapsOverHard)
    );
    // What was made of this night is paid for, and is not expected again.
    world.faults(json!([]));
    let report = world.back_up(tonight).await;
    assert_eq!((report.jobs.sealed, report.jobs.already_sealed), (1, 1));
    let again = report.budget.unwrap().expected.unwrap();
    assert!(again.least < expected.least, "{again:?} {expected:?}");
}

/// With a budget, whatever it is, never more is deleted than without.
#[tokio::test(start_paused = true)]
async fn a_budget_never_deletes_more() {
    for variables in [
        &[("RETENTION_DAYS", "1")][..],
        &[("RETENTION_DAYS", "3"), ("MIN_BACKUPS", "2")],
        &[("RETENTION_DAYS", "2"), ("MAX_AGE_DAYS", "4")],
    ] {
        let mut with_no_budget = None;
        for hard in [None, Some(1), Some(2_000_000_000), Some(u64::MAX)] {
            let mut world = world(variables, None, None);
            let mut slot: Timestamp = NIGHT.parse().unwrap();
            let mut deleted = BTreeSet::new();
            for night in 0..12 {
                // As it would be when somebody writes it into a plan that has run for a while.
                if night == 5 {
                    limit(&mut world, None, hard);
                }
                let written: &[&str] = if night % 3 == 0 {
                    &["acme-orders", "acme-users"]
                } else {
                    &["acme-orders"]
                };
                write_before(&world, slot, written).await;
                let report = world.back_up(slot).await;
                deleted.extend(report.deleted.shown);
                slot += DAY;
            }
            let without = with_no_budget.get_or_insert_with(|| deleted.clone());
            assert!(!without.is_empty());
            assert!(deleted.is_subset(without), "{variables:?} {hard:?}");
            match hard {
                Some(1) => assert!(deleted.len() < without.len()),
                Some(u64::MAX) => assert_eq!(deleted, *without),
                _ => {}
            }
        }
    }
}

/// A source that is covered needs no copy, so the budget has nothing to say, and its old backups go as on any night.
#[tokio::test(start_paused = true)]
async fn what_needs_no_copy_is_pruned_as_ever() {
    let mut world = world(
        &[("RETENTION_DAYS", "1"), ("MAX_AGE_DAYS", "30")],
        None,
        None,
    );
    let mut slot: Timestamp = NIGHT.parse().unwrap();
    for _ in 0..3 {
        write_before(&world, slot, &["acme-orders", "acme-users"]).await;
        world.back_up(slot).await;
        slot += DAY;
    }
    limit(&mut world, None, Some(1));
    write_before(&world, slot, &["acme-orders"]).await;
    let report = world.back_up(slot).await;
    assert_eq!((report.jobs.covered, report.jobs.over_budget), (1, 1));
    let deleted = &report.deleted.shown;
    assert!(
        deleted.len() == 1 && deleted[0].starts_with("backup-acme-users-"),
        "{deleted:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_is_under_way_is_finished() {
    let mut world = world(&[], None, None);
    world.journal = Some(Journal::on(
        Arc::new(InMemory::new()),
        Path::from("journal"),
    ));
    world
        .emulator
        .update_settings(|settings| settings.copy_overhead_ms = 3_600_000);
    let report = world.night(NIGHT).await;
    assert!(report.stays_open, "{report:#?}");
    limit(&mut world, None, Some(1));
    tokio::time::sleep(Duration::from_hours(2)).await;
    world.write_rows(SOURCE, "acme-new", 0..5);
    let resume = Request {
        action: Action::Resume,
        scheduled_time: Some(NIGHT.parse().unwrap()),
        ..Request::default()
    };
    let report = world.run(resume, DAWN).await.unwrap();
    assert_eq!(
        (report.jobs.sealed, report.jobs.over_budget),
        (2, 1),
        "{report:#?}"
    );
    assert_eq!(words(&report), ["over_budget"]);
    assert_eq!(world.calls("start_copy"), 2);
}

#[tokio::test(start_paused = true)]
async fn what_costs_nobody_knows_how_much_is_copied() {
    let mut world = world(&[], Some(1), Some(1));
    world.prices = Prices::parse("as_of = \"2026-11-20\"").unwrap();
    let report = world.night(NIGHT).await;
    assert_eq!(
        (report.outcome, report.jobs.sealed, state(&report)),
        (Outcome::Succeeded, 2, State::Unknown)
    );
    assert!(report.warnings.shown[0].contains("the budget can't be judged"));

    // Nor where the sizes can't be read: here of an older backup, which nothing but the estimate looks at.
    world.prices = Prices::parse(DEAR).unwrap();
    world.faults(json!([{"match": {"operation": "metadata", "region": TARGET}, "fault": {"status": 400}, "times": 1}]));
    let report = world.night("2026-01-03T02:00:00Z").await;
    assert_eq!((report.jobs.sealed, report.jobs.over_budget), (2, 0));
    assert!(
        report.warnings.shown[0].contains("so the budget can't be judged, and copies go on"),
        "{:?}",
        report.warnings
    );
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_shows_what_it_will_cost_and_decides_as_the_run_would() {
    let mut world = world(&[("RETENTION_DAYS", "1")], None, None);
    let mut slot: Timestamp = NIGHT.parse().unwrap();
    for _ in 0..3 {
        write_before(&world, slot, &["acme-orders"]).await;
        world.back_up(slot).await;
        slot += DAY;
    }
    world.sleep_until(slot).await;
    for hard in [None, Some(1)] {
        limit(&mut world, None, hard);
        let before = (world.standing(TARGET), world.calls("start_copy"));
        let dry_run = Request {
            dry_run: true,
            scheduled_time: Some(slot),
            ..Request::default()
        };
        let report = world.run(dry_run, DAWN).await.unwrap();
        assert_eq!(report.outcome, Outcome::Succeeded, "{report:#?}");
        let estimate = report.estimate.unwrap();
        let target = &estimate.targets[0];
        assert_eq!((estimate.sources, target.tonight.copies), (2, 2));
        assert!(target.tonight.bytes > 0 && target.tonight.seconds > 0);
        assert_eq!(estimate.total, target.month.total);
        assert!(estimate.total.is_some());
        let due = report
            .decisions
            .shown
            .iter()
            .filter(|line| line.due)
            .count();
        assert_eq!(
            due > 0,
            hard.is_none(),
            "nothing copied, nothing superseded"
        );
        let told = report
            .warnings
            .shown
            .iter()
            .any(|said| said.starts_with("nothing would be copied: "));
        assert_eq!(told, hard.is_some());
        assert_eq!(before, (world.standing(TARGET), world.calls("start_copy")));
    }
}
