//! Sources that did not change: what is not copied again, and what must be all the same.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use lifeboat::event::{Action, Request};
use lifeboat::report::{Outcome, Report};
use serde_json::json;

use crate::histories::number;
use crate::stories::{NIGHT, backup_of, two_sources};
use crate::world::{Asks, SOURCE, TARGET, World};

const SKIPS: (&str, &str) = ("MAX_AGE_DAYS", "3650");
const SECOND_NIGHT: &str = "2026-01-03T02:00:00Z";

fn jobs(report: &Report) -> (u64, u64) {
    (report.jobs.sealed, report.jobs.covered)
}

#[tokio::test(start_paused = true)]
async fn an_unchanged_source_is_covered_and_a_written_one_is_copied() {
    let world = two_sources(&[SKIPS]);
    world.night(NIGHT).await;
    world.write_rows(SOURCE, "acme-users", 50..51);
    let report = world.night(SECOND_NIGHT).await;
    assert_eq!(report.outcome, Outcome::Succeeded, "{report:#?}");
    assert_eq!(jobs(&report), (1, 1));
    let standing: Vec<String> = world.standing(TARGET).into_keys().collect();
    let expected = [
        backup_of("acme-orders", NIGHT),
        backup_of("acme-users", NIGHT),
        backup_of("acme-users", SECOND_NIGHT),
    ];
    assert_eq!(standing, expected);
}

/// Found by the simulated histories (seed 4357): what was cut short kept the flag that it was born with, because its source
/// was covered night for night.
#[tokio::test(start_paused = true)]
async fn a_frozen_sources_backups_are_compared_also_when_nothing_is_copied() {
    let world = two_sources(&[SKIPS]);
    world.seal(SOURCE, "acme-orders", true);
    world.night(NIGHT).await;
    let half = backup_of("acme-orders", "2026-01-01T02:00:00Z");
    world.plant(&half, true);
    let report = world.night(SECOND_NIGHT).await;
    assert_eq!(jobs(&report), (0, 2), "{report:#?}");
    let standing = world.standing(TARGET);
    assert_ne!(standing[&half]["read_only"], true, "{standing:#?}");
    let whole = backup_of("acme-orders", NIGHT);
    assert_eq!(standing[&whole]["read_only"], true);
}

#[tokio::test(start_paused = true)]
async fn without_the_option_everything_is_copied() {
    let world = two_sources(&[]);
    world.night(NIGHT).await;
    assert_eq!(jobs(&world.night(SECOND_NIGHT).await), (2, 0));
}

/// Each case: what happens to `acme-orders` around the first night, and whether the second one must copy it.
#[tokio::test(start_paused = true)]
async fn only_a_proof_is_enough() {
    type Act = fn(&World);
    let nothing: Act = |_| ();
    let same_rows: Act = |world| {
        world.call(
            lifeboat_emulator::Method::Post,
            SOURCE,
            "/v2/namespaces/acme-orders",
            &json!({"patch_rows": [{"id": 7, "title": "another"}]}),
        );
    };
    let recreated: Act = |world| {
        world.delete(SOURCE, "acme-orders");
        world.write_rows(SOURCE, "acme-orders", 0..200);
    };
    let unsealed: Act = |world| world.seal(TARGET, &backup_of("acme-orders", NIGHT), false);
    let gone: Act = |world| world.delete(TARGET, &backup_of("acme-orders", NIGHT));
    let cut: Act = |world| {
        let name = backup_of("acme-orders", NIGHT);
        world.seal(TARGET, &name, false);
        world.call(
            lifeboat_emulator::Method::Post,
            TARGET,
            &format!("/v2/namespaces/{name}"),
            &json!({"deletes": [7]}),
        );
        world.seal(TARGET, &name, true);
    };
    for (what, before, after, copied) in [
        ("nothing happened", nothing, nothing, false),
        ("values changed, and no count", nothing, same_rows, true),
        (
            "deleted and made anew with equal rows",
            nothing,
            recreated,
            true,
        ),
        ("its backup lost the seal", nothing, unsealed, true),
        ("its backup is gone", nothing, gone, true),
        ("its backup lost a row", nothing, cut, true),
        ("written in the slot's own second", same_rows, nothing, true),
    ] {
        let world = two_sources(&[SKIPS]);
        world.sleep_until(NIGHT.parse().unwrap()).await;
        before(&world);
        world.night(NIGHT).await;
        world
            .sleep_until("2026-01-02T12:00:00Z".parse().unwrap())
            .await;
        after(&world);
        let report = world.night(SECOND_NIGHT).await;
        let expected = if copied { (1, 1) } else { (0, 2) };
        assert_eq!(jobs(&report), expected, "{what}: {report:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_written_in_the_half_hour_before_the_slot_is_copied_once_more() {
    for (seconds, covered) in [
        (1, false),
        (300, false),
        (301, false),
        (1_800, false),
        (1_801, true),
        (3_600, true),
    ] {
        let world = two_sources(&[SKIPS]);
        let slot: Timestamp = NIGHT.parse().unwrap();
        world
            .sleep_until(slot - SignedDuration::from_secs(seconds))
            .await;
        world.write_rows(SOURCE, "acme-orders", 200..201);
        world.night(NIGHT).await;
        let report = world.night(SECOND_NIGHT).await;
        assert_eq!(
            report.jobs.covered == 2,
            covered,
            "{seconds} seconds before"
        );
        assert_eq!(jobs(&world.night("2026-01-04T02:00:00Z").await), (0, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn clocks_that_disagree_prove_nothing() {
    let mut world = two_sources(&[SKIPS]);
    world.night(NIGHT).await;
    world.skew_local_clock(SignedDuration::from_mins(20));
    let report = world.night(SECOND_NIGHT).await;
    assert_eq!(report.jobs.covered, 0, "{report:#?}");
}

#[tokio::test(start_paused = true)]
async fn an_old_backup_is_made_anew_all_the_same() {
    let world = two_sources(&[("MAX_AGE_DAYS", "3")]);
    let mut made = Vec::new();
    for day in 2..=9 {
        let report = world.night(&format!("2026-01-{day:02}T02:00:00Z")).await;
        made.push(report.jobs.sealed);
    }
    assert_eq!(made, [2, 0, 0, 2, 0, 0, 2, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_covered_source_keeps_its_recovery_window() {
    let world = two_sources(&[SKIPS, ("RETENTION_DAYS", "7")]);
    let mut stood = BTreeMap::new();
    for day in 2..=30 {
        if day == 20 {
            world.write_rows(SOURCE, "acme-orders", 200..210);
        }
        let report = world.night(&format!("2026-01-{day:02}T02:00:00Z")).await;
        assert_eq!(report.outcome, Outcome::Succeeded, "{report:#?}");
        let standing = world.standing(TARGET);
        stood.insert(day, standing.contains_key(&backup_of("acme-orders", NIGHT)));
    }
    // Superseded on the 20th, it is needed to return to the 19th until the 27th, whatever its own age.
    assert!((2..=27).all(|day| stood[&day]), "{stood:?}");
    assert!((28..=30).all(|day| !stood[&day]), "{stood:?}");
    let first = backup_of("acme-users", NIGHT);
    assert!(
        world.standing(TARGET).contains_key(&first),
        "never superseded"
    );
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_foretells_what_is_covered() {
    let world = two_sources(&[SKIPS]);
    world.night(NIGHT).await;
    world.write_rows(SOURCE, "acme-users", 50..51);
    world.sleep_until(SECOND_NIGHT.parse().unwrap()).await;
    let request = Request {
        action: Action::Backup,
        dry_run: true,
        scheduled_time: Some(SECOND_NIGHT.parse().unwrap()),
        ..Request::default()
    };
    let report = world
        .run(request, std::time::Duration::from_mins(14))
        .await
        .unwrap();
    let planned: Vec<&str> = report
        .decisions
        .shown
        .iter()
        .map(|line| line.backup.as_str())
        .collect();
    assert!(
        planned.contains(&backup_of("acme-users", SECOND_NIGHT).as_str()),
        "{planned:?}"
    );
    assert!(
        !planned.contains(&backup_of("acme-orders", SECOND_NIGHT).as_str()),
        "{planned:?}"
    );
}

/// What happens between two nights, and how many seconds before the second.
enum Happens {
    Write(usize),
    /// Deleted, and made anew with as many rows.
    MadeAnew(usize),
    /// The service's clock steps, and is so many seconds ahead from then on.
    ServiceClock(i64),
    LocalClock(i64),
}

/// A day's writes and steps of clocks, in their order. One source in twenty is written.
fn happens(dice: &mut fastrand::Rng, sources: usize) -> Vec<(i64, Happens)> {
    const DAY: i64 = 86_400;
    let mut happens = Vec::new();
    for source in (0..sources)
        .filter(|_| dice.u8(0..20) == 0)
        .collect::<Vec<_>>()
    {
        // Close to the slot before or to the next, or in its own second, where clocks and whole seconds could hide it.
        let before = match dice.u8(0..4) {
            0 => dice.i64(0..600),
            1 => DAY - dice.i64(0..1_200),
            _ => dice.i64(0..DAY),
        };
        let happening = match dice.u8(0..10) {
            0 => Happens::MadeAnew(source),
            _ => Happens::Write(source),
        };
        happens.push((before, happening));
    }
    // The service's clock steps by up to twenty minutes soon after a night, and by little before the next, but one in a hundred.
    if dice.bool() {
        let off = dice.i64(-1_200..1_200);
        happens.push((DAY - dice.i64(0..1_200), Happens::ServiceClock(off)));
    }
    if dice.u8(0..100) > 0 {
        let off = dice.i64(-120..120);
        happens.push((dice.i64(0..DAY / 2), Happens::ServiceClock(off)));
    }
    happens.push((dice.i64(0..DAY), Happens::LocalClock(dice.i64(-120..120))));
    happens.sort_unstable_by_key(|(before, _)| -before);
    happens
}

/// Sources are written at any second, and clocks step; not one write may be missed by the next night.
#[tokio::test(start_paused = true)]
async fn no_change_is_missed_and_nine_copies_in_ten_are_saved() {
    const SOURCES: usize = 250;
    let source_days = number("LIFEBOAT_SOURCE_DAYS").unwrap_or(100_000);
    let days = i64::try_from(source_days).unwrap() / i64::try_from(SOURCES).unwrap();
    let mut world = World::new(1, &[SKIPS, ("RETENTION_DAYS", "3")]);
    let names: Vec<String> = (0..SOURCES)
        .map(|index| format!("acme-{index:05}"))
        .collect();
    world
        .emulator
        .seed_namespaces(SOURCE, names.iter().cloned(), 10, 1_000);
    let mut dice = fastrand::Rng::with_seed(1);
    let mut written: BTreeMap<&str, Timestamp> = BTreeMap::new();
    let (mut copies, mut covered, mut missed) = (0, 0, Vec::new());
    let (mut anew, mut steps) = (0, 0);
    let first: Timestamp = NIGHT.parse().unwrap();
    for day in 0..days {
        let slot = first + SignedDuration::from_hours(24 * day);
        let today = if day > 0 {
            happens(&mut dice, SOURCES)
        } else {
            Vec::new()
        };
        for (before, what) in today {
            world
                .sleep_until(slot - SignedDuration::from_secs(before))
                .await;
            match what {
                Happens::Write(source) => {
                    let name = names[source].as_str();
                    let title = format!("{day}");
                    let row = json!({"upsert_rows": [{"id": dice.u64(0..10), "title": title}]});
                    let path = format!("/v2/namespaces/{name}");
                    world.call(lifeboat_emulator::Method::Post, SOURCE, &path, &row);
                    written.insert(name, world.now());
                }
                Happens::MadeAnew(source) => {
                    anew += 1;
                    let name = names[source].as_str();
                    world.delete(SOURCE, name);
                    world.write_rows(SOURCE, name, 0..10);
                    written.insert(name, world.now());
                }
                Happens::ServiceClock(ahead) => {
                    steps += 1;
                    world.skew_service_clock(ahead);
                }
                Happens::LocalClock(ahead) => {
                    world.skew_local_clock(SignedDuration::from_secs(ahead));
                }
            }
        }
        world.sleep_until(slot).await;
        let report = world.back_up(slot).await;
        assert_eq!(
            report.jobs.sealed + report.jobs.covered,
            SOURCES as u64,
            "{:?}",
            report.failures
        );
        if day > 0 {
            copies += report.jobs.sealed;
            covered += report.jobs.covered;
        }
        missed
            .extend(not_copied_since(&world, &written).map(|name| format!("{name} on day {day}")));
    }
    println!(
        "{copies} copies, {covered} covered, in {source_days} source-days with {steps} steps of the service's clock, {anew} sources made anew"
    );
    assert!(anew > 0, "no source was made anew");
    assert!(missed.is_empty(), "{} missed: {missed:?}", missed.len());
    assert!(
        copies * 10 <= copies + covered,
        "{copies} copies of {covered} covered"
    );
}

/// Sources that were written after the last copy of them was asked for, by a clock that nobody sets.
fn not_copied_since<'w>(
    world: &World,
    written: &BTreeMap<&'w str, Timestamp>,
) -> impl Iterator<Item = &'w str> {
    let asked = world.asked.lock().unwrap();
    let copied: BTreeMap<&str, Timestamp> = asked
        .iter()
        .filter(|asked| asked.what == Asks::Copy)
        .filter_map(|asked| Some((asked.of.as_deref()?, asked.at)))
        .collect();
    let missed = written
        .iter()
        .filter(|(name, at)| copied.get(*name).is_none_or(|copy| copy < at));
    missed
        .map(|(name, _)| *name)
        .collect::<Vec<_>>()
        .into_iter()
}
