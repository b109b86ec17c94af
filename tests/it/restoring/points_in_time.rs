//! Which backup stands for a point in time: before the first one, after a late night, while one is still being made.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_time_before_any_backup_restores_nothing_and_is_no_success() {
    let (world, objects) = after_three_nights(&[]).await;
    let before = changes(&world);
    let mistyped = Asked {
        at: Some(at("2025-01-04T02:00:00Z")),
        ..all()
    };
    let prefix = Asked {
        which: Which::Prefix("acme-".into()),
        ..mistyped.clone()
    };
    for asked in [mistyped, prefix] {
        let report = world.restore(&asked).await;
        assert_eq!(report.outcome, Outcome::Failed, "{report:#?}");
        assert_eq!(words(&report), ["no_backup", "no_backup"]);
        assert_eq!(report.counts.missing, 2);
    }
    assert_eq!((changes(&world), held(&objects).await), (before, 0));
}

#[tokio::test(start_paused = true)]
async fn a_source_that_came_later_is_named_to_the_end_and_stops_nobody_else() {
    let (world, _) = after_three_nights(&[]).await;
    world.write_rows(SOURCE, "acme-young", 0..5);
    world.night("2026-01-05T02:00:00Z").await;
    let asked = Asked {
        at: Some(at(NIGHTS[2])),
        ..all()
    };
    world
        .emulator
        .update_settings(|settings| settings.copy_overhead_ms = 3_600_000);
    let report = world.restore(&asked).await;
    assert_eq!((report.counts.incomplete, report.counts.missing), (2, 1));
    tokio::time::sleep(Duration::from_hours(2)).await;
    let how = How::OneMoreLook;
    let report = world.restore_as(&asked, how, FOURTEEN_MINUTES).await;
    assert_eq!(
        (report.outcome, report.counts.restored),
        (Outcome::Failed, 2),
        "{report:#?}"
    );
    let failure = &report.failures.shown[0];
    assert_eq!(failure.source.as_deref(), Some("acme-young"));
    assert!(failure.message.contains("2026-01-05T02:00:00Z"));
}

#[tokio::test(start_paused = true)]
async fn a_late_nights_backup_is_not_taken_for_an_earlier_state() {
    let (world, _) = after_three_nights(&[]).await;
    // The bad job ran at six, the night's run at eight.
    world.sleep_until(at("2026-01-05T06:00:00Z")).await;
    world.write_rows(SOURCE, "acme-docs", 0..99);
    world.sleep_until(at("2026-01-05T08:00:00Z")).await;
    let slot = at("2026-01-05T02:00:00Z");
    assert_eq!(world.back_up(slot).await.jobs.sealed, 2);
    for (template, time, rows, warned) in [
        ("five-{source}", Some("2026-01-05T05:00:00Z"), 30, true),
        ("nine-{source}", Some("2026-01-05T09:00:00Z"), 99, false),
        ("slot-{source}", Some("2026-01-05T02:00:00Z"), 99, false),
        ("newest-{source}", None, 99, false),
    ] {
        let asked = Asked {
            at: time.map(at),
            template: template.parse().unwrap(),
            ..named(&["acme-docs"])
        };
        let report = world.restore(&asked).await;
        assert_eq!(
            told(&report),
            [("acme-docs", RestoreState::Restored, rows)],
            "{template}: {report:#?}"
        );
        let warnings = report.warnings.shown.join(" ");
        assert_eq!(warnings.contains("made after it"), warned, "{warnings}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_is_still_being_made_is_no_backup_even_where_none_was_verified() {
    let (world, _) = journaled(&[]);
    world.write_rows(SOURCE, "acme-docs", 0..9);
    world.sleep_until(at(NIGHTS[0])).await;
    let whole = format!("backup-acme-docs-{:010}", at(NIGHTS[0]).as_second());
    let copy =
        json!({"copy_from_namespace": {"source_namespace": "acme-docs", "source_region": SOURCE}});
    world.call(
        Method::Post,
        TARGET,
        &format!("/v2/namespaces/{whole}"),
        &copy,
    );
    world.write_rows(SOURCE, "acme-new", 0..9);
    world.emulator.update_settings(|settings| {
        settings.half_copies_visible = true;
        settings.copy_overhead_ms = 3 * 3_600_000;
    });
    let night = world.night(NIGHTS[1]).await;
    assert_eq!((night.jobs.incomplete, night.jobs.sealed), (2, 0));
    world
        .emulator
        .update_settings(|settings| settings.copy_overhead_ms = 10);
    let report = world.restore(&all()).await;
    assert_eq!(
        told(&report),
        [("acme-docs", RestoreState::Restored, 9)],
        "{report:#?}"
    );
    assert_eq!(report.restored.shown[0].backup, whole);
    assert_eq!(report.outcome, Outcome::Failed);
    let failure = &report.failures.shown[0];
    assert_eq!(failure.source.as_deref(), Some("acme-new"));
    assert!(failure.message.contains("still being made"), "{failure:?}");
}
