//! Restores while the service, the key or somebody else is in trouble: what was begun is carried on with, and nothing is
//! called restored that is not.

use super::*;

/// Copies take ten minutes from here on, and something happens in the middle of them.
async fn in_the_middle(world: &World, trouble: impl FnOnce()) -> RestoreReport {
    world
        .emulator
        .update_settings(|settings| settings.copy_overhead_ms = 600_000);
    let asked = all();
    let begins = async {
        tokio::time::sleep(Duration::from_mins(3)).await;
        trouble();
    };
    let (report, ()) = tokio::join!(world.restore(&asked), begins);
    report
}

#[tokio::test(start_paused = true)]
async fn a_service_in_trouble_for_a_while_loses_nothing_of_a_restore() {
    for operation in ["poll", "metadata", "query"] {
        let (world, objects) = after_three_nights(&[]).await;
        let began = changes(&world);
        let report = in_the_middle(&world, || {
            world.faults(json!([{"match": {"operation": operation}, "fault": {"status": 503}}]));
        })
        .await;
        assert_eq!(
            (report.stays_open, report.counts.incomplete),
            (true, 2),
            "{operation}: {report:#?}"
        );
        assert_ne!(report.outcome, Outcome::Succeeded);
        assert_eq!(words(&report), ["unavailable", "unavailable"]);
        let said = &report.failures.shown[0].message;
        assert!(said.contains("the same request once more"), "{said}");
        assert_eq!(held(&objects).await, 1, "pruning keeps away meanwhile");
        world.faults(json!([]));
        tokio::time::sleep(Duration::from_mins(30)).await;
        let report = world.restore(&all()).await;
        assert_eq!(
            (report.outcome, report.counts.restored),
            (Outcome::Succeeded, 2),
            "{operation}: {report:#?}"
        );
        assert_eq!(world.accepted("start_copy"), 3 * 2 + 2);
        assert!(changes(&world) > began);
        assert_eq!((open_restores(&world).await, held(&objects).await), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_revoked_in_the_middle_loses_nothing_either() {
    let (world, _) = after_three_nights(&[]).await;
    let report = in_the_middle(&world, || {
        let keys = json!([{"key": "another", "organisation": "default", "permissions": ["list"]}]);
        world.call(Method::Post, "", "/_emulator/keys", &keys);
    })
    .await;
    assert_eq!(words(&report), ["unauthorized", "unauthorized"]);
    assert!(report.stays_open, "{report:#?}");
    world.call(Method::Post, "", "/_emulator/keys", &json!([]));
    let report = world.restore(&all()).await;
    assert_eq!(
        (report.outcome, report.counts.restored),
        (Outcome::Succeeded, 2),
        "{report:#?}"
    );
    assert_eq!(world.accepted("start_copy"), 3 * 2 + 2);
}

#[tokio::test(start_paused = true)]
async fn what_was_written_since_it_was_restored_is_told_and_left() {
    let (world, _) = after_three_nights(&[]).await;
    assert_eq!(world.restore(&all()).await.counts.restored, 2);
    tokio::time::sleep(Duration::from_hours(5)).await;
    world.write_rows(SOURCE, "recovered-acme-docs", 0..99);
    let report = world.restore(&all()).await;
    assert_eq!(report.counts.restored, 2, "{report:#?}");
    let warnings = report.warnings.shown.join(" ");
    assert!(
        warnings.contains("`recovered-acme-docs` was restored by this same request")
            && !warnings.contains("recovered-acme-users"),
        "{warnings}"
    );
    assert_eq!(world.rows(SOURCE, "recovered-acme-docs"), 99);
}

#[tokio::test(start_paused = true)]
async fn somebody_elses_namespace_of_that_name_is_not_called_restored() {
    let (world, _) = after_three_nights(&[]).await;
    assert_eq!(world.restore(&all()).await.counts.restored, 2);
    tokio::time::sleep(Duration::from_hours(5)).await;
    world.delete(SOURCE, "recovered-acme-docs");
    world.write_rows(SOURCE, "recovered-acme-docs", 0..1);
    let report = world.restore(&all()).await;
    assert_eq!(words(&report), ["exists"], "{report:#?}");
    assert_eq!(report.counts.restored, 1);
    assert_eq!(world.rows(SOURCE, "recovered-acme-docs"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_plan_whose_regions_change_meanwhile_ends_nothing_that_was_begun_elsewhere() {
    let (mut world, objects) = after_three_nights(&[]).await;
    let open = in_the_middle(&world, || {
        world.faults(json!([{"match": {"operation": "poll"}, "fault": {"status": 503}}]));
    })
    .await;
    assert!(open.stays_open);
    world.faults(json!([]));
    let was = std::mem::replace(
        &mut world.plan.targets[0].region,
        OTHER_TARGET.parse().unwrap(),
    );
    let moved = world.restore(&all()).await;
    assert_eq!((moved.outcome, moved.stays_open), (Outcome::Failed, true));
    let failure = &moved.failures.shown[0];
    assert_eq!(failure.error, "moved");
    for part in [TARGET, OTHER_TARGET, "put the plan's regions back"] {
        assert!(failure.message.contains(part), "{}", failure.message);
    }
    assert_eq!((open_restores(&world).await, held(&objects).await), (1, 1));
    world.plan.targets[0].region = was;
    tokio::time::sleep(Duration::from_mins(30)).await;
    let carried_on = world.restore(&all()).await;
    assert_eq!(
        (carried_on.outcome, carried_on.counts.restored),
        (Outcome::Succeeded, 2),
        "{carried_on:#?}"
    );
    assert_eq!(world.accepted("start_copy"), 3 * 2 + 2);
}

#[tokio::test(start_paused = true)]
async fn what_may_be_the_last_copy_of_a_vanished_backup_is_to_be_kept() {
    for level in ["sample:5", "full"] {
        let (world, _) = after_three_nights(&[]).await;
        let backup = "backup-acme-docs-1767492000";
        let asked = Asked {
            level: level.parse().unwrap(),
            ..named(&["acme-docs"])
        };
        world
            .emulator
            .update_settings(|settings| settings.copy_overhead_ms = 600_000);
        let vanishes = async {
            tokio::time::sleep(Duration::from_mins(3)).await;
            world.delete(TARGET, backup);
        };
        let (report, ()) = tokio::join!(world.restore(&asked), vanishes);
        assert_eq!(words(&report), ["backup_vanished"], "{report:#?}");
        assert_eq!(
            told(&report),
            [("acme-docs", RestoreState::Failed, 30)],
            "{level}"
        );
        let said = &report.failures.shown[0].message;
        for part in [
            backup,
            "has 30 rows, and the backup had 30",
            "keep it",
            "only copy",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(
            !said.contains("delete it") && !said.contains("the source was"),
            "{said}"
        );
        let stands = &world.standing(SOURCE)["recovered-acme-docs"];
        assert_eq!(stands["read_only"], true, "nobody compared it");
    }
}

#[tokio::test(start_paused = true)]
async fn a_backup_that_vanishes_while_it_is_compared_leaves_its_copy_to_be_kept() {
    let (world, _) = after_three_nights(&[]).await;
    let asked = Asked {
        level: "full".parse().unwrap(),
        ..named(&["acme-docs"])
    };
    // A count before the copy, one after it and one of either side come back; reading the backup's rows does not.
    world.faults(json!([
        {"match": {"operation": "query", "region": TARGET}, "after": 2, "fault": {"status": 503}}
    ]));
    let counted = world.calls("query");
    let vanishes = async {
        while world.calls("query") < counted + 5 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        world.delete(TARGET, "backup-acme-docs-1767492000");
        world.faults(json!([]));
    };
    let (report, ()) = tokio::join!(world.restore(&asked), vanishes);
    assert_eq!(words(&report), ["backup_vanished"], "{report:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_was_made_anew_within_minutes_is_not_called_restored() {
    let (world, _) = after_three_nights(&[]).await;
    assert_eq!(world.restore(&all()).await.counts.restored, 2);
    tokio::time::sleep(Duration::from_secs(10)).await;
    world.delete(SOURCE, "recovered-acme-docs");
    world.write_rows(SOURCE, "recovered-acme-docs", 0..2);
    let report = world.restore(&all()).await;
    assert_eq!(words(&report), ["exists"], "{report:#?}");
    assert_eq!((report.counts.restored, report.rows), (1, 35));
    assert_eq!(world.rows(SOURCE, "recovered-acme-docs"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_write_within_minutes_of_the_restore_is_told_and_so_is_when_that_was() {
    let (world, _) = after_three_nights(&[]).await;
    let first = world.restore(&all()).await;
    assert_eq!(first.counts.restored, 2);
    assert!(!in_json(&first).contains("restored_earlier_at"));
    tokio::time::sleep(Duration::from_secs(10)).await;
    world.write_rows(SOURCE, "recovered-acme-docs", 0..99);
    let report = world.restore(&all()).await;
    assert_eq!(report.counts.restored, 2, "{report:#?}");
    let warnings = report.warnings.shown.join(" ");
    assert!(
        warnings.contains("`recovered-acme-docs` was restored by this same request")
            && !warnings.contains("recovered-acme-users"),
        "{warnings}"
    );
    assert_eq!(in_json(&report).matches("restored_earlier_at").count(), 2);
    #[cfg(feature = "terminal")]
    {
        let mut screen = Vec::new();
        lifeboat::terminal::write_restore(&mut screen, &report).unwrap();
        let screen = String::from_utf8(screen).unwrap();
        assert_eq!(
            screen.matches("restored earlier, at 2026-01-").count(),
            2,
            "{screen}"
        );
    }
}

fn in_json(report: &RestoreReport) -> String {
    serde_json::to_string(report).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_restore_takes_no_longer_than_its_invocation() {
    let (world, _) = after_three_nights(&[]).await;
    world.sleep_until(at("2026-01-04T12:00:00.900Z")).await;
    let report = world.restore(&named(&["acme-docs"])).await;
    let whole = report.finished_at.duration_since(report.started_at);
    let line = &report.restored.shown[0];
    assert!(line.seconds <= whole.as_secs(), "{whole}: {line:#?}");
}
