//! What a person decides: the brake and its approval, backups made by hand, and several targets of one plan.

use std::time::Duration;

use lifeboat::event::{Action, Request};
use lifeboat::report::{Outcome, Report};
use serde_json::json;

use crate::world::{OTHER_TARGET, SOURCE, TARGET, World};

/// Five sources and fourteen nights under a wide window, and then somebody writes one day.
pub(crate) async fn a_policy_cut_by_mistake() -> World {
    let mut world = World::new(1, &[("RETENTION_DAYS", "30")]);
    for index in 0..5 {
        world.write_rows(SOURCE, &format!("acme-{index}"), 0..5);
    }
    for day in 2..=15 {
        world.night(&format!("2026-01-{day:02}T02:00:00Z")).await;
    }
    world.plan.targets[0].retention.days = std::num::NonZeroU32::new(1);
    world
}

pub(crate) async fn prune(world: &World, dry_run: bool, approve: Option<String>) -> Report {
    let request = Request {
        action: Action::Prune,
        dry_run,
        approve,
        ..Request::default()
    };
    world.run(request, Duration::from_mins(14)).await.unwrap()
}

pub(crate) fn errors(report: &Report) -> Vec<&str> {
    let failures = report.failures.shown.iter();
    failures.map(|failure| failure.error).collect()
}

/// Which backup it was to keep, nobody knows: it may be any that is due.
#[tokio::test(start_paused = true)]
async fn a_mistyped_hold_stops_deletion_and_the_nearest_name_is_told() {
    let mut world = World::new(1, &[("RETENTION_DAYS", "1")]);
    world.write_rows(SOURCE, "acme-orders", 0..5);
    for day in 2..=5 {
        world.night(&format!("2026-01-{day:02}T02:00:00Z")).await;
    }
    let oldest = world.standing(TARGET).into_keys().next().unwrap();
    let mistyped = oldest.replace("orders", "ordesr");
    world.plan.targets[0]
        .retention
        .hold
        .insert(mistyped.clone());
    let report = world.night("2026-01-06T02:00:00Z").await;
    assert_eq!(
        (errors(&report), report.jobs.sealed, report.pruning.deleted),
        (vec!["hold_unknown"], 1, 0),
        "{report:#?}"
    );
    let message = &report.failures.shown[0].message;
    assert!(
        message.contains(&format!("`{mistyped}`")) && message.contains(&format!("`{oldest}`")),
        "{message}"
    );
    assert!(world.standing(TARGET).contains_key(&oldest));

    world.plan.targets[0].retention.hold = [oldest.clone()].into();
    let report = world.night("2026-01-07T02:00:00Z").await;
    assert!(report.pruning.deleted > 0, "{report:#?}");
    assert!(world.standing(TARGET).contains_key(&oldest));
}

#[tokio::test(start_paused = true)]
async fn a_list_out_of_proportion_deletes_nothing_until_exactly_it_is_approved() {
    let world = a_policy_cut_by_mistake().await;
    let shown = prune(&world, true, None).await;
    let hash = shown.targets[0].deletion_plan.as_ref().unwrap().to_string();
    assert_eq!(
        (shown.outcome, shown.pruning.due, shown.pruning.deleted),
        (Outcome::Succeeded, 55, 0)
    );

    let braked = prune(&world, false, None).await;
    assert_eq!(
        (errors(&braked), braked.pruning.deleted),
        (vec!["braked"], 0)
    );
    assert!(braked.failures.shown[0].message.contains(&hash));
    let other = prune(&world, false, Some("0123456789abcdef".into())).await;
    assert_eq!(
        (errors(&other), other.pruning.deleted),
        (vec!["not_approved"], 0)
    );
    assert_eq!(world.standing(TARGET).len(), 70);

    let approved = prune(&world, false, Some(hash.clone())).await;
    assert_eq!(
        (approved.outcome, approved.pruning.deleted),
        (Outcome::Succeeded, 55)
    );
    let again = prune(&world, false, Some(hash)).await;
    assert_eq!(
        (errors(&again), again.pruning.deleted),
        (vec!["not_approved"], 0),
        "an approval is used up with its list"
    );
}

/// Who reads that nothing would be deleted must not find twenty gone in the morning.
#[tokio::test(start_paused = true)]
async fn a_dry_run_brakes_only_where_the_run_itself_would() {
    let mut world = a_policy_cut_by_mistake().await;
    world.plan.targets[0].retention.days = std::num::NonZeroU32::new(9);
    let slot = "2026-01-16T02:00:00Z".parse().unwrap();
    world.sleep_until(slot).await;
    let request = |dry_run| Request {
        scheduled_time: Some(slot),
        dry_run,
        ..Request::default()
    };
    let said = world.run(request(true), Duration::from_mins(14)).await;
    let did = world.run(request(false), Duration::from_mins(14)).await;
    let (said, did) = (said.unwrap(), did.unwrap());
    assert_eq!((said.pruning.due, did.pruning.deleted), (20, 20));
    let (said, did) = (&said.targets[0], &did.targets[0]);
    assert_eq!(said.deletion_plan, did.deletion_plan);
    assert_eq!(
        (&said.deletion_stopped, &did.deletion_stopped),
        (&None, &None)
    );
}

/// An approval is for one target's list. That the other target waits for its own is told, and is no failure.
#[tokio::test(start_paused = true)]
async fn an_approval_for_one_target_deletes_there_and_says_of_the_other_what_it_waits_for() {
    let mut world = World::new(1, &[("RETENTION_DAYS", "30")]);
    let mut second = world.plan.targets[0].clone();
    second.name = "second".into();
    second.region = OTHER_TARGET.into();
    world.plan.targets.push(second);
    for index in 0..3 {
        world.write_rows(SOURCE, &format!("acme-{index}"), 0..5);
    }
    for day in 2..=12 {
        world.night(&format!("2026-01-{day:02}T02:00:00Z")).await;
    }
    for target in &mut world.plan.targets {
        target.retention.days = std::num::NonZeroU32::new(1);
    }
    let shown = prune(&world, true, None).await;
    let hash = |at: usize| {
        shown.targets[at]
            .deletion_plan
            .as_ref()
            .unwrap()
            .to_string()
    };
    for (at, other) in [(0, 1), (1, 0)] {
        let report = prune(&world, false, Some(hash(at))).await;
        assert_eq!(
            (report.outcome, errors(&report)),
            (Outcome::Succeeded, vec![]),
            "{report:#?}"
        );
        let (here, there) = (&report.targets[at], &report.targets[other]);
        assert_eq!((here.pruning.deleted, &here.deletion_stopped), (24, &None));
        assert_eq!((there.pruning.deleted, there.undecided.as_ref()), (0, None));
        let told = (at == 0).then(|| {
            format!(
                "the approval is for another list; the hash of what is due here is {}",
                hash(1)
            )
        });
        assert_eq!(
            (there.pruning.due, &there.deletion_stopped),
            (if at == 0 { 24 } else { 0 }, &told),
            "what is not due waits for nothing"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_approval_of_yesterday_deletes_nothing_of_today() {
    let world = a_policy_cut_by_mistake().await;
    let shown = prune(&world, true, None).await;
    let hash = shown.targets[0].deletion_plan.as_ref().unwrap().to_string();
    let request = Request {
        approve: Some(hash),
        scheduled_time: Some("2026-01-17T02:00:00Z".parse().unwrap()),
        ..Request::default()
    };
    world
        .sleep_until("2026-01-17T02:00:00Z".parse().unwrap())
        .await;
    let report = world.run(request, Duration::from_mins(14)).await.unwrap();
    assert_eq!(
        (report.jobs.sealed, report.pruning.deleted),
        (5, 0),
        "{report:#?}"
    );
    assert_eq!(errors(&report), ["not_approved"]);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_says_what_falls_due_in_the_next_days() {
    let world = World::new(1, &[("RETENTION_DAYS", "3")]);
    world.write_rows(SOURCE, "acme-orders", 0..5);
    for day in 2..=5 {
        world.night(&format!("2026-01-{day:02}T02:00:00Z")).await;
    }
    let report = prune(&world, true, None).await;
    let days: Vec<Option<u32>> = report
        .decisions
        .shown
        .iter()
        .map(|line| line.due_in_days)
        .collect();
    assert_eq!(days, [Some(2), Some(3), Some(4), None], "the newest stays");
    assert_eq!(world.standing(TARGET).len(), 4);

    // While its source is gone, nothing of it ever does.
    world.delete(SOURCE, "acme-orders");
    world.write_rows(SOURCE, "acme-users", 0..5);
    let report = prune(&world, true, None).await;
    let mut lines = report.decisions.shown.iter();
    assert!(lines.all(|line| line.due_in_days.is_none()), "{report:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_backup_made_by_hand_is_sealed_and_never_pruned() {
    let world = World::new(1, &[("RETENTION_DAYS", "1")]);
    world.write_rows(SOURCE, "acme-orders", 0..5);
    let request = Request {
        manual: true,
        scheduled_time: Some("2026-01-01T12:00:00Z".parse().unwrap()),
        ..Request::default()
    };
    world
        .sleep_until("2026-01-01T12:00:00Z".parse().unwrap())
        .await;
    for sealed in [(1, 0), (0, 1)] {
        let report = world
            .run(request.clone(), Duration::from_mins(14))
            .await
            .unwrap();
        assert_eq!(report.outcome, Outcome::Succeeded, "{report:#?}");
        assert_eq!(
            (report.jobs.sealed, report.jobs.already_sealed),
            sealed,
            "an event that comes twice makes nothing new"
        );
    }
    for day in 2..=12 {
        let report = world.night(&format!("2026-01-{day:02}T02:00:00Z")).await;
        assert_eq!(report.outcome, Outcome::Succeeded, "{report:#?}");
    }
    let standing = world.standing(TARGET);
    let manual = standing
        .iter()
        .filter(|(name, _)| name.starts_with("manual-"));
    let manual: Vec<_> = manual.collect();
    assert_eq!(manual.len(), 1);
    assert_eq!(manual[0].0, "manual-backup-acme-orders-1767268800");
    assert_eq!(manual[0].1["read_only"], true);
    assert_eq!(standing.len(), 1 + 3, "and nightly ones come and go");
    let list = Request {
        action: Action::List,
        ..Request::default()
    };
    let list = world.run(list, Duration::from_mins(14)).await.unwrap();
    let shown = list
        .decisions
        .shown
        .iter()
        .find(|line| line.backup == *manual[0].0);
    assert_eq!(
        serde_json::to_value(&shown.unwrap().keep).unwrap()[0]["reason"],
        "manual"
    );
}

/// The five-variable plan with a second target, which keeps less.
fn with_two_targets() -> World {
    let mut world = World::new(1, &[("RETENTION_DAYS", "5")]);
    let mut second = world.plan.targets[0].clone();
    second.name = "second".into();
    second.region = OTHER_TARGET.into();
    second.retention.days = std::num::NonZeroU32::new(1);
    world.plan.targets.push(second);
    for name in ["acme-orders", "acme-users"] {
        world.write_rows(SOURCE, name, 0..5);
    }
    world
}

#[tokio::test(start_paused = true)]
async fn every_target_has_its_own_copies_and_its_own_retention() {
    let world = with_two_targets();
    for day in 2..=12 {
        let report = world.night(&format!("2026-01-{day:02}T02:00:00Z")).await;
        assert_eq!(
            (report.outcome, report.jobs.sealed),
            (Outcome::Succeeded, 4),
            "{report:#?}"
        );
        assert_eq!(report.targets[1].jobs.sealed, 2);
    }
    assert_eq!(world.standing(TARGET).len(), 2 * 7);
    assert_eq!(world.standing(OTHER_TARGET).len(), 2 * 3);
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_down_costs_the_other_nothing() {
    let world = with_two_targets();
    for day in 2..=8 {
        world.night(&format!("2026-01-{day:02}T02:00:00Z")).await;
    }
    world.faults(json!([{"match": {"region": TARGET}, "fault": {"status": 503}}]));
    let report = world.night("2026-01-09T02:00:00Z").await;
    assert_eq!(report.outcome, Outcome::Failed);
    assert_eq!(
        (report.targets[0].jobs.sealed, report.targets[1].jobs.sealed),
        (0, 2),
        "{report:#?}"
    );
    assert_eq!(
        (
            report.targets[0].pruning.deleted,
            report.targets[1].pruning.deleted
        ),
        (0, 2),
        "the one that is up goes on as ever"
    );
    assert_eq!(report.failures.shown[0].target.as_deref(), Some(TARGET));
}
