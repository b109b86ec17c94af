//! What the journal remembers of a backup speaks against it, whatever the service shows: it was sealed with other rows than it
//! has, or its own run found that it is not what its source was.

use std::time::Duration;

use lifeboat::drill::{self, DrillState, Pick};
use lifeboat::event::{Action, Picked, Request};
use lifeboat::report::{Outcome, Report};
use lifeboat::restore::{Asked, How, RestoreReport, RestoreState, Which};
use lifeboat::verify::{Finding, Level};
use lifeboat_emulator::Method;
use serde_json::json;

use crate::restoring::{FOURTEEN_MINUTES, NIGHTS, after_three_nights, at, journaled};
use crate::stories::backup_of;
use crate::world::{SOURCE, TARGET, World};

/// Somebody with the key thaws a sealed backup, takes rows away, and freezes it again.
fn tamper(world: &World, backup: &str) {
    world.seal(TARGET, backup, false);
    world.call(
        Method::Post,
        TARGET,
        &format!("/v2/namespaces/{backup}"),
        &json!({"deletes": [0, 1, 2]}),
    );
    world.seal(TARGET, backup, true);
}

fn docs(names: &str) -> Asked {
    Asked::of(Which::Names(vec![names.to_owned()]))
}

fn as_called(template: &str, asked: Asked) -> Asked {
    Asked {
        template: template.parse().unwrap(),
        ..asked
    }
}

async fn ask(world: &World, action: Action, picked: Picked) -> Report {
    let request = Request {
        action,
        picked,
        ..Request::default()
    };
    world.run(request, FOURTEEN_MINUTES).await.unwrap()
}

fn named(name: &str, level: Level) -> Picked {
    Picked {
        names: vec![name.to_owned()],
        level: Some(level),
        yes: true,
        ..Picked::default()
    }
}

fn words(report: &Report) -> Vec<&str> {
    let shown = report.failures.shown.iter();
    shown.map(|failure| failure.error).collect()
}

fn failures(report: &RestoreReport) -> Vec<(&str, &str)> {
    let shown = report.failures.shown.iter();
    shown
        .map(|failure| (failure.error.as_str(), failure.message.as_str()))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn what_was_changed_after_it_was_sealed_is_not_handed_over() {
    let (world, _) = after_three_nights(&[]).await;
    let name = backup_of("acme-docs", NIGHTS[2]);
    tamper(&world, &name);
    for level in [Level::Metadata, Level::Count, Level::Full] {
        let template = format!("{level}-{{source}}");
        let asked = Asked {
            level,
            ..as_called(&template, docs("acme-docs"))
        };
        let report = world.restore(&asked).await;
        assert_eq!(report.outcome, Outcome::Failed, "{report:#?}");
        let line = &report.restored.shown[0];
        assert_eq!((line.state, line.rows), (RestoreState::Differs, 27));
        let (error, message) = failures(&report)[0];
        assert_eq!(error, "changed_since_sealed");
        for part in [
            "30 rows",
            "27",
            "--at 2026-01-04T01:59:59Z",
            "not trustworthy",
            "--as",
        ] {
            assert!(message.contains(part), "{part}: {message}");
        }
        let stands = &world.standing(SOURCE)[&line.destination];
        assert_eq!(stands["read_only"], true, "it is nobody's to rely on");
    }
    // The remedy that it names brings back what was sealed the night before.
    let asked = Asked {
        at: Some(at("2026-01-04T01:59:59Z")),
        ..as_called("older-{source}", docs("acme-docs"))
    };
    let report = world.restore(&asked).await;
    assert_eq!((report.outcome, report.rows), (Outcome::Succeeded, 20));
}

#[tokio::test(start_paused = true)]
async fn a_restore_that_is_carried_on_with_still_knows_what_was_sealed() {
    let (world, _) = after_three_nights(&[]).await;
    tamper(&world, &backup_of("acme-docs", NIGHTS[2]));
    world
        .emulator
        .update_settings(|settings| settings.copy_overhead_ms = 3_600_000);
    let report = world.restore(&docs("acme-docs")).await;
    assert!(report.stays_open, "{report:#?}");
    tokio::time::sleep(Duration::from_hours(2)).await;
    let how = How::OneMoreLook;
    let report = world
        .restore_as(&docs("acme-docs"), how, FOURTEEN_MINUTES)
        .await;
    assert_eq!(failures(&report)[0].0, "changed_since_sealed");
    assert_eq!(report.counts.differ, 1);
}

#[tokio::test(start_paused = true)]
async fn a_drill_says_that_what_was_changed_since_it_was_sealed_differs() {
    let (world, _) = after_three_nights(&[]).await;
    tamper(&world, &backup_of("acme-docs", NIGHTS[2]));
    let asked = drill::Asked {
        pick: Pick::Names(vec!["acme-docs".into(), "acme-users".into()]),
        ..drill::Asked::default()
    };
    let report = world.drill(&asked, at("2026-01-04T12:00:00Z")).await;
    assert_eq!(report.outcome, Outcome::Failed, "{report:#?}");
    assert_eq!((report.counts.differ, report.counts.proven), (1, 1));
    let line = report.drilled.shown.iter();
    let mut line = line.filter(|line| line.source == "acme-docs");
    assert_eq!(line.next().unwrap().state, DrillState::Differs);
    let failure = &report.failures.shown[0];
    assert_eq!(failure.error, "changed_since_sealed");
    assert!(
        failure.message.contains("30 rows") && failure.message.contains("27"),
        "{}",
        failure.message
    );
    let scratches = world.standing(SOURCE).into_keys();
    assert_eq!(scratches.count(), 2, "no scratch is left");
}

/// Whoever takes the same rows from the source, and leaves the backup thawed, hides nothing from the journal.
#[tokio::test(start_paused = true)]
async fn a_source_that_lost_the_same_rows_does_not_speak_for_a_changed_backup() {
    let (world, _) = after_three_nights(&[]).await;
    let name = backup_of("acme-docs", NIGHTS[2]);
    tamper(&world, &name);
    world.call(
        Method::Post,
        SOURCE,
        "/v2/namespaces/acme-docs",
        &json!({"deletes": [0, 1, 2]}),
    );
    for frozen in [true, false] {
        world.seal(TARGET, &name, frozen);
        let report = ask(&world, Action::Verify, named(&name, Level::Count)).await;
        let found = &report.verified.shown[0];
        assert_eq!(found.finding, Finding::Damaged, "{report:#?}");
        assert!(
            found.message.contains("sealed with 30 rows") && found.message.contains("has 27"),
            "{}",
            found.message
        );
    }
    let report = ask(&world, Action::Seal, named(&name, Level::Count)).await;
    assert_eq!(words(&report), ["mismatch"]);
    assert_ne!(world.standing(TARGET)[&name]["read_only"], true);
}

/// An event that comes once more finds everything sealed, and must not make the journal forget with how many rows.
#[tokio::test(start_paused = true)]
async fn a_repeated_event_does_not_make_the_journal_forget() {
    let (world, _) = after_three_nights(&[]).await;
    let again = world.back_up(at(NIGHTS[2])).await;
    assert_eq!(again.jobs.already_sealed, 2, "{again:#?}");
    tamper(&world, &backup_of("acme-docs", NIGHTS[2]));
    let report = world.restore(&docs("acme-docs")).await;
    assert_eq!(report.counts.differ, 1, "{report:#?}");
    // Nor does one after it was changed.
    world.write_rows(SOURCE, "acme-docs", 30..31);
    let again = world.back_up(at(NIGHTS[2])).await;
    assert_eq!(again.jobs.already_sealed, 2, "{again:#?}");
    let report = world
        .restore(&as_called("again-{source}", docs("acme-docs")))
        .await;
    assert_eq!(report.counts.differ, 1, "{report:#?}");
}

/// A source of fifty rows whose only backup, of [`NIGHTS`]`[0]`, its own run found incomplete.
async fn with_a_known_bad_backup() -> (World, String) {
    let (world, _) = journaled(&[]);
    world.write_rows(SOURCE, "acme-docs", 0..50);
    world.faults(
        json!([{"match": {"source": "acme-docs"}, "fault": {"corrupt_copy": "drop_rows"}}]),
    );
    let night = world.night(NIGHTS[0]).await;
    assert_eq!(words(&night), ["mismatch"], "{night:#?}");
    world.faults(json!([]));
    tokio::time::sleep(Duration::from_hours(3)).await;
    (world, backup_of("acme-docs", NIGHTS[0]))
}

#[tokio::test(start_paused = true)]
async fn what_its_own_run_found_incomplete_is_damaged_and_is_not_sealed() {
    let (world, name) = with_a_known_bad_backup().await;
    // Now the source can't speak against it any more.
    world.write_rows(SOURCE, "acme-docs", 50..51);
    for level in [Level::Metadata, Level::Count, Level::Full] {
        let report = ask(&world, Action::Verify, named(&name, level)).await;
        let found = &report.verified.shown[0];
        assert_eq!(found.finding, Finding::Damaged, "{level}: {report:#?}");
        assert_eq!(report.outcome, Outcome::Failed);
        assert!(
            found.message.contains("unchanged meanwhile, has 50"),
            "{}",
            found.message
        );
        let report = ask(&world, Action::Seal, named(&name, level)).await;
        assert_eq!(words(&report), ["mismatch"], "{level}: {report:#?}");
    }
    assert_ne!(world.standing(TARGET)[&name]["read_only"], true);
}

/// A service that counted too few rows for a while, say: the copy is whole, and its run said that it is not.
#[tokio::test(start_paused = true)]
async fn only_every_row_of_an_unchanged_source_clears_what_its_run_found() {
    let (world, name) = with_a_known_bad_backup().await;
    world.write_rows(TARGET, &name, 0..50);
    let titles = (0..50).map(|id| json!({"id": id, "title": format!("acme-docs {id}")}));
    world.call(
        Method::Post,
        TARGET,
        &format!("/v2/namespaces/{name}"),
        &json!({"upsert_rows": titles.collect::<Vec<_>>()}),
    );
    let report = ask(&world, Action::Seal, named(&name, Level::Count)).await;
    assert_eq!(words(&report), ["mismatch"], "{report:#?}");
    let said = &report.failures.shown[0].message;
    assert!(said.contains("--level full"), "{said}");
    let report = ask(&world, Action::Seal, named(&name, Level::Full)).await;
    assert_eq!(report.outcome, Outcome::Succeeded, "{report:#?}");
    assert_eq!(report.verified.shown[0].finding, Finding::Equal);
    // From now on that counts, and the journal remembers it.
    world.write_rows(SOURCE, "acme-docs", 50..51);
    let report = ask(&world, Action::Verify, named(&name, Level::Count)).await;
    assert_eq!(report.outcome, Outcome::Succeeded, "{report:#?}");
    let report = world.restore(&docs("acme-docs")).await;
    assert_eq!((report.outcome, report.rows), (Outcome::Succeeded, 50));
    assert!(report.restored.shown[0].verified);
    tamper(&world, &name);
    let report = world
        .restore(&as_called("again-{source}", docs("acme-docs")))
        .await;
    assert_eq!(report.counts.differ, 1, "{report:#?}");
}

#[tokio::test(start_paused = true)]
async fn what_its_own_run_found_incomplete_comes_back_with_that_said() {
    let (world, name) = with_a_known_bad_backup().await;
    // Frozen by hand or not: the journal knows better.
    for (frozen, template) in [(false, "one-{source}"), (true, "other-{source}")] {
        world.seal(TARGET, &name, frozen);
        let asked = as_called(template, docs("acme-docs"));
        for (how, state) in [
            (How::DryRun, RestoreState::Planned),
            (How::Whole, RestoreState::Restored),
        ] {
            let report = world.restore_as(&asked, how, FOURTEEN_MINUTES).await;
            let line = &report.restored.shown[0];
            assert_eq!((line.state, line.verified), (state, false), "{report:#?}");
            assert_eq!(report.outcome, Outcome::Failed);
            let (error, message) = failures(&report)[0];
            assert_eq!(error, "known_bad");
            assert!(
                message.contains(&name) && message.contains("unchanged meanwhile, has 50"),
                "{message}"
            );
            assert_eq!(report.failures.len(), 1, "{report:#?}");
        }
    }
    // An older one that was verified is taken before it, and there is nothing to say then.
    let (world, _) = after_three_nights(&[]).await;
    world.faults(
        json!([{"match": {"source": "acme-docs"}, "fault": {"corrupt_copy": "drop_rows"}}]),
    );
    world.write_rows(SOURCE, "acme-docs", 0..40);
    let night = world.night("2026-01-05T02:00:00Z").await;
    assert_eq!(words(&night), ["mismatch"], "{night:#?}");
    world.faults(json!([]));
    world.seal(
        TARGET,
        &backup_of("acme-docs", "2026-01-05T02:00:00Z"),
        true,
    );
    let report = world.restore(&docs("acme-docs")).await;
    assert_eq!((report.outcome, report.rows), (Outcome::Succeeded, 30));
}
