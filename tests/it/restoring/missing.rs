//! What a restore of all there is says of what there is not.

use lifeboat::event::{Action, Picked, Request};
use lifeboat::report::Report;

use super::*;

/// `acme-sick` lives, is selected, and has never had a backup.
async fn with_a_sick_source() -> World {
    let (world, _) = after_three_nights(&[]).await;
    world.write_rows(SOURCE, "acme-sick", 0..7);
    world.faults(json!([
        {"match": {"operation": "start_copy", "source": "acme-sick"}, "fault": {"status": 400}}
    ]));
    let night = world.night("2026-01-05T02:00:00Z").await;
    assert_eq!((night.jobs.sealed, night.jobs.failed), (2, 1), "{night:#?}");
    world.faults(json!([]));
    world
}

fn failed(report: &RestoreReport) -> Vec<(&str, &str, &str)> {
    let shown = report.failures.shown.iter();
    let told = shown.map(|failure| {
        let source = failure.source.as_deref().unwrap_or_default();
        (source, failure.error.as_str(), failure.message.as_str())
    });
    told.collect()
}

fn prefix(prefix: &str) -> Asked {
    Asked::of(Which::Prefix(prefix.into()))
}

fn called(template: &str, asked: Asked) -> Asked {
    Asked {
        template: template.parse().unwrap(),
        ..asked
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_never_had_a_backup_makes_a_restore_of_all_partial() {
    let world = with_a_sick_source().await;
    for (which, asked) in [("all", all()), ("prefix", prefix("acme-"))] {
        let asked = called(&format!("{which}-{{source}}"), asked);
        for how in [How::DryRun, How::Whole] {
            let report = world.restore_as(&asked, how, FOURTEEN_MINUTES).await;
            assert_eq!(report.outcome, Outcome::Failed, "{which}: {report:#?}");
            let counts = report.counts;
            assert_eq!((counts.planned + counts.restored, counts.missing), (2, 1));
            let [(source, error, message)] = failed(&report)[..] else {
                panic!("{report:#?}")
            };
            assert_eq!((source, error), ("acme-sick", "no_backup"));
            assert!(
                message.contains("2026-01-05T02:00:00Z"),
                "the run says why: {message}"
            );
        }
    }
    // What it has nothing to do with is not told.
    let report = world.restore(&called("u-{source}", prefix("acme-u"))).await;
    assert_eq!(report.outcome, Outcome::Succeeded, "{report:#?}");
    // At that time nobody knew of it.
    let earlier = Asked {
        at: Some(at(NIGHTS[2])),
        ..called("earlier-{source}", all())
    };
    let report = world.restore(&earlier).await;
    assert_eq!(report.outcome, Outcome::Succeeded, "{report:#?}");
}

#[tokio::test(start_paused = true)]
async fn backups_that_the_last_run_sealed_and_that_are_gone_are_missed() {
    let (world, _) = after_three_nights(&[]).await;
    for night in NIGHTS {
        let night = at(night).as_second();
        world.delete(TARGET, &format!("backup-acme-users-{night:010}"));
    }
    world.delete(SOURCE, "acme-users");
    let report = world.restore(&all()).await;
    let [(source, error, message)] = failed(&report)[..] else {
        panic!("{report:#?}")
    };
    assert_eq!((source, error), ("acme-users", "no_backup"));
    assert!(message.contains("deleted since"), "{message}");
    assert_eq!(report.counts.restored, 1);
}

/// Whoever had the key deleted the newest backup only: the older one is good, and not what the last run left.
#[tokio::test(start_paused = true)]
async fn a_backup_that_the_last_run_sealed_and_that_is_gone_is_told_where_an_older_one_comes_back()
{
    let (world, _) = after_three_nights(&[]).await;
    let newest = format!("backup-acme-users-{:010}", at(NIGHTS[2]).as_second());
    let named = Asked::of(Which::Names(vec!["acme-users".into()]));
    let requests = [all(), prefix("acme-"), named];
    for asked in requests.clone() {
        let report = world
            .restore_as(&asked, How::DryRun, FOURTEEN_MINUTES)
            .await;
        assert_eq!(report.warnings.len(), 0, "{report:#?}");
    }
    world.delete(TARGET, &newest);
    for asked in requests {
        let report = world
            .restore_as(&asked, How::DryRun, FOURTEEN_MINUTES)
            .await;
        let [warning] = &report.warnings.shown[..] else {
            panic!("{report:#?}")
        };
        assert!(warning.contains(&format!("`{newest}`")), "{warning}");
        assert!(warning.contains("older ones are restored"), "{warning}");
    }
    // What was newest at an earlier time may be gone by rule.
    let earlier = Asked {
        at: Some(at(NIGHTS[1])),
        ..all()
    };
    let report = world
        .restore_as(&earlier, How::DryRun, FOURTEEN_MINUTES)
        .await;
    assert_eq!(report.warnings.len(), 0, "{report:#?}");
}

/// What is half made, or dated in the future, is no newer backup.
#[tokio::test(start_paused = true)]
async fn a_backup_that_is_gone_is_missed_beside_newer_ones_that_nobody_verified() {
    for other in ["1798761600", "9999999999"] {
        let (world, _) = after_three_nights(&[]).await;
        world.plant(&format!("backup-acme-users-{other}"), false);
        let newest = format!("backup-acme-users-{:010}", at(NIGHTS[2]).as_second());
        world.delete(TARGET, &newest);
        let report = world
            .restore_as(&all(), How::DryRun, FOURTEEN_MINUTES)
            .await;
        let warnings = report.warnings.shown.join("\n");
        assert!(warnings.contains(&format!("`{newest}`")), "{report:#?}");
    }
}

/// The sources' region is asked what lives, beside the two that are copied between.
#[tokio::test(start_paused = true)]
async fn a_report_counts_the_requests_to_every_region() {
    let (world, _) = after_three_nights(&[]).await;
    let before = world.requests();
    let report = world.restore(&all()).await;
    assert_eq!(report.outcome, Outcome::Succeeded, "{report:#?}");
    assert_eq!(report.requests, world.requests() - before);
}

/// Its run died before it told the journal, or the next night's has not ended yet.
#[tokio::test(start_paused = true)]
async fn a_backup_in_whose_place_a_newer_one_stands_is_not_missed() {
    let (mut world, _) = after_three_nights(&[]).await;
    let journal = world.journal.take();
    world.write_rows(SOURCE, "acme-users", 900..901);
    let report = world.night("2026-11-21T02:00:00Z").await;
    assert_eq!(report.jobs.sealed, 2, "{report:#?}");
    world.journal = journal;
    let superseded = format!("backup-acme-users-{:010}", at(NIGHTS[2]).as_second());
    world.delete(TARGET, &superseded);
    let report = world
        .restore_as(&all(), How::DryRun, FOURTEEN_MINUTES)
        .await;
    assert_eq!(report.warnings.len(), 0, "{report:#?}");
}

/// The journal says nothing of a source that nobody ever backed up: its region does.
#[tokio::test(start_paused = true)]
async fn what_lives_and_has_no_backup_is_missed_though_no_run_knows_it() {
    for remembers in [true, false] {
        let (mut world, _) = after_three_nights(&[]).await;
        if !remembers {
            world.journal = None;
        }
        world.write_rows(SOURCE, "acme-new", 0..7);
        world.write_rows(SOURCE, "others", 0..7);
        let report = world.restore(&all()).await;
        let [(source, error, message)] = failed(&report)[..] else {
            panic!("{report:#?}")
        };
        assert_eq!((source, error), ("acme-new", "no_backup"));
        assert!(message.contains(SOURCE), "{message}");
        assert_eq!(report.counts.restored, 2);
    }
}

/// A plan that selects everything selects what its own restore made, too.
#[tokio::test(start_paused = true)]
async fn what_the_same_restore_made_is_not_missed() {
    let (world, _) = after_three_nights(&[("SOURCE_PREFIX", "*")]).await;
    for _ in 0..2 {
        let report = world.restore(&all()).await;
        assert_eq!(report.outcome, Outcome::Succeeded, "{report:#?}");
        assert_eq!(report.counts.restored, 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_region_that_does_not_answer_harms_no_restore_and_hardly_slows_one() {
    let asked = Asked {
        to: Some(OTHER_TARGET.into()),
        ..all()
    };
    let mut took = Vec::new();
    for fault in [
        json!({"latency_ms": 5}),
        json!({"latency_ms": 3_600_000}),
        json!({"status": 503}),
        json!({"status": 403}),
    ] {
        let world = with_a_sick_source().await;
        let dead = fault != json!({"latency_ms": 5});
        world.faults(json!([{"match": {"region": SOURCE}, "fault": fault}]));
        let report = world.restore(&asked).await;
        assert_eq!(report.counts.restored, 2, "{report:#?}");
        // The journal knows it all the same.
        assert_eq!(failed(&report)[0].0, "acme-sick", "{report:#?}");
        let said = report.warnings.shown.join(" ");
        assert_eq!(
            said.contains("which sources live could not be seen"),
            dead,
            "{said}"
        );
        took.push(report.finished_at.duration_since(report.started_at));
    }
    let slowest = took[0] + SignedDuration::from_secs(6);
    assert!(took.iter().all(|took| *took < slowest), "{took:?}");
}

async fn look(world: &World, action: Action, picked: Picked) -> Report {
    let request = Request {
        action,
        picked,
        ..Request::default()
    };
    world.run(request, FOURTEEN_MINUTES).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_list_and_a_verification_of_all_name_what_has_no_backup() {
    let world = with_a_sick_source().await;
    for action in [Action::List, Action::Verify] {
        let report = look(&world, action, Picked::default()).await;
        let said = report.warnings.shown.join(" ");
        assert!(
            said.contains("1 sources live and have no backup") && said.contains("`acme-sick`"),
            "{action:?}: {said}"
        );
        assert_eq!(report.outcome, Outcome::Succeeded, "{report:#?}");
    }
    let below = Picked {
        prefix: Some("acme-d".into()),
        ..Picked::default()
    };
    let report = look(&world, Action::Verify, below).await;
    assert!(report.warnings.is_empty(), "{report:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_verification_that_compares_nothing_is_no_success() {
    let (world, _) = after_three_nights(&[]).await;
    let nothing = Picked {
        prefix: Some("zzz".into()),
        ..Picked::default()
    };
    let report = look(&world, Action::Verify, nothing).await;
    assert_eq!(report.outcome, Outcome::Failed, "{report:#?}");
    let failure = &report.failures.shown[0];
    assert_eq!(failure.error, "nothing_to_verify");
    assert!(failure.message.contains(TARGET), "{}", failure.message);
}

#[tokio::test(start_paused = true)]
async fn whoever_gives_a_backups_name_is_told_what_to_ask_for() {
    let (world, _) = after_three_nights(&[]).await;
    for class in ["", "manual-"] {
        let name = format!("{class}backup-acme-docs-1767405600");
        let report = world.restore(&named(&[&name])).await;
        let [(source, error, message)] = failed(&report)[..] else {
            panic!("{report:#?}")
        };
        assert_eq!((source, error), (name.as_str(), "no_backup"));
        assert!(
            message.contains("lifeboat restore acme-docs --at 2026-01-03T02:00:00Z"),
            "{message}"
        );
    }
}
