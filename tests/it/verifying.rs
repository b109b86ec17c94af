//! Backups compared more closely than by count, before they are sealed and whenever somebody asks; and backups sealed and
//! discarded by hand.

use std::sync::Arc;
use std::time::Duration;

use lifeboat::event::{Action, Picked, Request};
use lifeboat::journal::Journal;
use lifeboat::report::{Outcome, Report};
use lifeboat::verify::{Against, Finding, Level, Verified, Wrong};
use lifeboat_emulator::Method;
use object_store::memory::InMemory;
use object_store::path::Path;
use serde_json::json;

use crate::stories::{NIGHT, backup_of, words};
use crate::world::{OTHER_TARGET, SOURCE, TARGET, World};

const LATER: &str = "2026-01-03T02:00:00Z";

/// A source with vectors, and a plan that looks this closely.
fn world(level: &str) -> World {
    let world = World::new(1, &[("VERIFY_LEVEL", level)]);
    write_vectors(&world, SOURCE, "acme-orders", 0..200);
    world
}

fn with_two_targets(level: &str) -> World {
    let mut world = world(level);
    let mut second = world.plan.targets[0].clone();
    (second.name, second.region) = ("second".into(), OTHER_TARGET.into());
    world.plan.targets.push(second);
    world
}

fn write_vectors(world: &World, region: &str, name: &str, ids: std::ops::Range<u64>) {
    let rows =
        ids.map(|id| json!({"id": id, "title": format!("{name} {id}"), "vector": [id, 0.5]}));
    let rows: Vec<_> = rows.collect();
    let body = json!({"upsert_rows": rows, "distance_metric": "cosine_distance"});
    world.call(
        Method::Post,
        region,
        &format!("/v2/namespaces/{name}"),
        &body,
    );
}

fn sealed(world: &World, region: &str, name: &str) -> bool {
    let standing = world.standing(region);
    standing
        .get(name)
        .is_some_and(|shown| shown["read_only"] == true)
}

/// Writes to a sealed backup, as nobody should.
fn damage(world: &World, name: &str, rows: &serde_json::Value) {
    world.seal(TARGET, name, false);
    let body = json!({"upsert_rows": rows});
    world.call(
        Method::Post,
        TARGET,
        &format!("/v2/namespaces/{name}"),
        &body,
    );
    world.seal(TARGET, name, true);
}

async fn ask(world: &World, action: Action, dry_run: bool, picked: Picked) -> Report {
    let request = Request {
        action,
        dry_run,
        picked,
        ..Request::default()
    };
    world.run(request, Duration::from_mins(14)).await.unwrap()
}

async fn verify(world: &World, level: &str) -> Report {
    let picked = Picked {
        level: Some(level.parse().unwrap()),
        ..Picked::default()
    };
    ask(world, Action::Verify, false, picked).await
}

fn named(names: &[&str]) -> Picked {
    Picked {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        yes: true,
        ..Picked::default()
    }
}

fn only(report: &Report) -> &Verified {
    assert_eq!(report.verified.shown.len(), 1, "{report:#?}");
    &report.verified.shown[0]
}

#[tokio::test(start_paused = true)]
async fn damage_that_no_count_shows_is_never_sealed_at_a_deeper_level() {
    for (damage, attribute) in [("flip_vector_bit", "vector"), ("drop_attribute", "title")] {
        for (level, found) in [("count", false), ("sample:1000", true), ("full", true)] {
            let world = world(level);
            world.faults(
                json!([{"match": {"source": "acme-orders"}, "fault": {"corrupt_copy": damage}}]),
            );
            let report = world.night(NIGHT).await;
            let name = backup_of("acme-orders", NIGHT);
            assert_eq!(sealed(&world, TARGET, &name), !found, "{damage} {level}");
            if !found {
                assert_eq!(
                    report.outcome,
                    Outcome::Succeeded,
                    "the known limit of a count"
                );
                continue;
            }
            assert_eq!(
                words(&report),
                ["mismatch"],
                "{damage} {level}: {report:#?}"
            );
            let verified = only(&report);
            assert_eq!(
                (verified.finding, verified.sealed),
                (Finding::Damaged, false)
            );
            assert_eq!(
                verified.differences.first[0].wrong,
                Wrong::Changed(vec![attribute.to_owned()])
            );
            let message = &report.failures.shown[0].message;
            assert!(
                message.contains(&format!("`{attribute}`")) && message.contains("stays unsealed"),
                "{message}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_equal_copy_is_sealed_with_a_digest_that_an_auditor_can_compare() {
    let world = world("full");
    let report = world.night(NIGHT).await;
    assert_eq!(report.outcome, Outcome::Succeeded, "{report:#?}");
    let of_backup = only(&report).clone();
    assert_eq!(
        (
            of_backup.finding,
            &of_backup.against,
            of_backup.level,
            of_backup.sealed
        ),
        (Finding::Equal, &Against::Source, Level::Full, true)
    );
    assert!(report.rows_read.rows == 400 && report.rows_read.bytes_returned > 0);
    let later = verify(&world, "full").await;
    assert_eq!(only(&later).digest, of_backup.digest);
    assert!(of_backup.digest.is_some());
}

#[tokio::test(start_paused = true)]
async fn an_unlisted_depth_costs_no_read() {
    let world = world("count");
    let report = world.night(NIGHT).await;
    assert!(report.verified.is_empty() && report.rows_read.requests == 0);
}

#[tokio::test(start_paused = true)]
async fn a_source_written_during_the_copy_is_sealed_on_its_count_and_the_report_says_so() {
    let world = world("full");
    world
        .emulator
        .update_settings(|settings| settings.copy_overhead_ms = 60_000);
    let writing = async {
        world.sleep_until(NIGHT.parse().unwrap()).await;
        tokio::time::sleep(Duration::from_secs(30)).await;
        write_vectors(&world, SOURCE, "acme-orders", 200..201);
    };
    let (report, ()) = tokio::join!(world.night(NIGHT), writing);
    assert_eq!(
        (report.outcome, report.jobs.sealed),
        (Outcome::Succeeded, 1),
        "{report:#?}"
    );
    // The count was equal to what it was before, so rows were read; what they say is drift.
    assert_eq!(report.jobs.drifted, 1, "{report:#?}");
    assert_eq!(only(&report).finding, Finding::Drifted);
    let warning = &report.warnings.shown[0];
    assert!(
        warning.contains("sealed on schema and count, and not on full"),
        "{warning}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_backup_is_verified_by_its_source_and_nothing_is_changed() {
    let world = world("count");
    world.night(NIGHT).await;
    let name = backup_of("acme-orders", NIGHT);
    let (before, asked) = (world.standing(TARGET), world.asked.lock().unwrap().len());
    for level in ["metadata", "count", "sample:50", "full"] {
        let report = verify(&world, level).await;
        let verified = only(&report);
        assert_eq!(report.outcome, Outcome::Succeeded, "{level}: {report:#?}");
        assert_eq!(
            (verified.finding, &verified.against),
            (Finding::Equal, &Against::Source)
        );
        assert_eq!((&verified.backup, verified.sealed), (&name, true));
        assert_eq!(verified.level.to_string(), level);
        assert_eq!(
            verified.sample.map(|sample| sample.rows),
            (level == "sample:50").then_some(50)
        );
    }
    assert_eq!(
        (world.standing(TARGET), world.asked.lock().unwrap().len()),
        (before, asked)
    );

    damage(
        &world,
        &name,
        &json!([{"id": 7, "title": "other", "vector": [7, 0.5]}]),
    );
    let report = verify(&world, "full").await;
    assert_eq!(
        (report.outcome, words(&report)),
        (Outcome::Failed, vec!["mismatch"])
    );
    let verified = only(&report);
    assert_eq!(verified.finding, Finding::Damaged);
    assert!(
        verified.message.contains("row 7 differs in `title`"),
        "{}",
        verified.message
    );
}

#[tokio::test(start_paused = true)]
async fn a_source_written_since_is_drift_with_its_interval_and_the_backup_is_read_by_itself() {
    let world = world("count");
    world.night(NIGHT).await;
    tokio::time::sleep(Duration::from_hours(3)).await;
    write_vectors(&world, SOURCE, "acme-orders", 200..210);
    let report = verify(&world, "full").await;
    assert_eq!(report.outcome, Outcome::Succeeded, "{report:#?}");
    let verified = only(&report);
    assert_eq!(verified.finding, Finding::Drifted);
    let drift = verified.drift.unwrap();
    assert_eq!((drift.fewest, drift.most, drift.copied), (210, 210, 200));
    let written_at = verified.written_at.unwrap();
    assert!(
        written_at > verified.slot && written_at <= world.now(),
        "{written_at}"
    );
    assert!(
        verified.digest.is_some() && verified.message.contains("200 could be read"),
        "{}",
        verified.message
    );

    // Equal counts prove nothing about rows either.
    let world = self::world("count");
    world.night(NIGHT).await;
    tokio::time::sleep(Duration::from_hours(3)).await;
    write_vectors(&world, SOURCE, "acme-orders", 5..6);
    let report = verify(&world, "sample:100").await;
    assert_eq!(
        (only(&report).finding, only(&report).sample),
        (Finding::Drifted, None)
    );
}

#[tokio::test(start_paused = true)]
async fn without_a_source_the_backup_of_the_same_slot_in_another_target_speaks() {
    let world = with_two_targets("count");
    world.night(NIGHT).await;
    world.delete(SOURCE, "acme-orders");
    write_vectors(&world, SOURCE, "acme-users", 0..5);
    let report = verify(&world, "full").await;
    assert_eq!(report.verified.len(), 2);
    for verified in &report.verified.shown {
        assert_eq!(verified.finding, Finding::Equal, "{report:#?}");
        assert!(matches!(verified.against, Against::Target(_)));
        assert!(
            verified.message.starts_with("its source is gone"),
            "{}",
            verified.message
        );
    }
    let name = backup_of("acme-orders", NIGHT);
    damage(
        &world,
        &name,
        &json!([{"id": 7, "title": "other", "vector": [7, 0.5]}]),
    );
    let report = verify(&world, "full").await;
    for verified in &report.verified.shown {
        assert_eq!(
            verified.finding,
            Finding::Unproven,
            "nobody knows which of the two is right"
        );
        assert!(
            verified.message.contains("row 7 differs in `title`"),
            "{}",
            verified.message
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_backup_with_nothing_to_compare_it_with_is_unproven_and_read() {
    let world = world("count");
    world.night(NIGHT).await;
    world.delete(SOURCE, "acme-orders");
    let report = verify(&world, "full").await;
    let verified = only(&report);
    assert_eq!(
        (verified.finding, &verified.against),
        (Finding::Unproven, &Against::Itself)
    );
    assert!(verified.digest.is_some() && verified.rows == 200);
}

#[tokio::test(start_paused = true)]
async fn backups_are_picked_by_name_by_prefix_the_newest_or_all() {
    let world = with_two_targets("count");
    write_vectors(&world, SOURCE, "acme-users", 0..5);
    for night in [NIGHT, LATER] {
        world.night(night).await;
    }
    let (old, new) = (
        backup_of("acme-orders", NIGHT),
        backup_of("acme-orders", LATER),
    );
    let users = backup_of("acme-users", LATER);
    let picks = |picked: Picked| ask(&world, Action::Verify, false, picked);
    let names = |report: &Report| {
        let names = report.verified.shown.iter().map(|one| one.backup.clone());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    };
    let first = Picked {
        target: Some(TARGET.into()),
        ..Picked::default()
    };
    assert_eq!(
        names(&picks(first.clone()).await),
        [new.clone(), users.clone()]
    );
    let all = Picked {
        all: true,
        prefix: Some("acme-o".into()),
        ..first.clone()
    };
    assert_eq!(names(&picks(all).await), [old.clone(), new.clone()]);
    let one = Picked {
        names: vec![old.clone()],
        ..first.clone()
    };
    assert_eq!(names(&picks(one).await), [old.as_str()]);
    assert_eq!(
        picks(Picked::default()).await.verified.len(),
        4,
        "in both targets"
    );

    let both = Picked {
        names: vec![
            old.clone(),
            "backup-acme-orders".into(),
            "acme-orders".into(),
        ],
        ..Picked::default()
    };
    let report = picks(both).await;
    assert_eq!(
        words(&report),
        ["ambiguous", "not_found", "not_found"],
        "{report:#?}"
    );
    let nowhere = Picked {
        target: Some("third".into()),
        ..Picked::default()
    };
    assert_eq!(words(&picks(nowhere).await), ["unknown_target"]);
}

/// The vendor's sample made this backup: copied, and never sealed.
fn vendors(world: &World, slot: &str, rows: u64) -> String {
    let name = backup_of("acme-orders", slot);
    write_vectors(world, TARGET, &name, 0..rows);
    name
}

#[tokio::test(start_paused = true)]
async fn somebody_elses_backup_is_sealed_after_a_comparison_and_on_a_word() {
    let world = world("full");
    world.sleep_until(NIGHT.parse().unwrap()).await;
    let name = backup_of("acme-orders", NIGHT);
    let copy = json!({"copy_from_namespace": {"source_namespace": "acme-orders", "source_region": SOURCE}});
    world.call(
        Method::Post,
        TARGET,
        &format!("/v2/namespaces/{name}"),
        &copy,
    );
    tokio::time::sleep(Duration::from_mins(1)).await;
    let report = ask(&world, Action::Seal, true, named(&[&name])).await;
    assert_eq!(only(&report).finding, Finding::Equal, "{report:#?}");
    assert!(!sealed(&world, TARGET, &name), "a dry run seals nothing");
    let report = ask(&world, Action::Seal, false, named(&[&name])).await;
    assert_eq!(report.outcome, Outcome::Succeeded, "{report:#?}");
    assert!(sealed(&world, TARGET, &name) && only(&report).sealed);
    let again = ask(&world, Action::Seal, false, named(&[&name])).await;
    assert_eq!(words(&again), ["sealed_already"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_damaged_or_not_ours_is_not_sealed_on_any_word() {
    let world = world("count");
    world.sleep_until(NIGHT.parse().unwrap()).await;
    let cut = vendors(&world, NIGHT, 150);
    let report = ask(&world, Action::Seal, false, named(&[&cut])).await;
    assert_eq!(words(&report), ["mismatch"], "{report:#?}");
    let no_count = Picked {
        level: Some(Level::Metadata),
        ..named(&[&cut])
    };
    let report = ask(&world, Action::Seal, false, no_count).await;
    assert_eq!(words(&report), ["mismatch"], "{report:#?}");
    assert!(!sealed(&world, TARGET, &cut));
    // Created a month after its slot.
    let odd = vendors(&world, "2025-12-01T02:00:00Z", 200);
    write_vectors(&world, SOURCE, "acme-orders", 0..1);
    let report = ask(&world, Action::Seal, false, named(&[&odd])).await;
    assert_eq!(words(&report), ["not_ours"], "{report:#?}");
    assert!(!sealed(&world, TARGET, &odd));
}

fn journaled(mut world: World) -> World {
    let objects: Arc<InMemory> = Arc::default();
    world.journal = Some(Journal::on(objects, Path::from("lifeboat")));
    world
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_may_still_be_made_is_neither_sealed_nor_discarded() {
    let world = journaled(world("count"));
    world.emulator.update_settings(|settings| {
        settings.copy_overhead_ms = 3_600_000;
        settings.half_copies_visible = true;
    });
    let report = world.night(NIGHT).await;
    assert!(report.stays_open, "{report:#?}");
    write_vectors(&world, SOURCE, "acme-orders", 0..1);
    let name = backup_of("acme-orders", NIGHT);
    let seal = ask(&world, Action::Seal, false, named(&[&name])).await;
    assert_eq!(words(&seal), ["still_open"], "{seal:#?}");
    let discard = ask(&world, Action::Discard, false, named(&[&name])).await;
    assert_eq!(words(&discard), ["deletion_refused"], "{discard:#?}");
    assert!(world.standing(TARGET).contains_key(&name) && !sealed(&world, TARGET, &name));
}

#[tokio::test(start_paused = true)]
async fn a_backup_that_can_be_spared_is_discarded_by_its_whole_name() {
    let world = world("count");
    for night in [NIGHT, LATER] {
        world.night(night).await;
    }
    let (old, new) = (
        backup_of("acme-orders", NIGHT),
        backup_of("acme-orders", LATER),
    );
    let dry = ask(&world, Action::Discard, true, named(&[&old])).await;
    assert!(
        dry.warnings.shown[0].contains("would be deleted"),
        "{dry:#?}"
    );
    assert_eq!(world.standing(TARGET).len(), 2);
    let report = ask(&world, Action::Discard, false, named(&[&old])).await;
    assert_eq!(
        (report.outcome, &report.deleted.shown),
        (Outcome::Succeeded, &vec![old.clone()])
    );
    assert_eq!(
        world.standing(TARGET).into_keys().collect::<Vec<_>>(),
        [new.as_str()]
    );
    // The newest sealed one stays whatever anybody says, also when the source is gone.
    let refused = ask(&world, Action::Discard, false, named(&[&new])).await;
    assert_eq!(words(&refused), ["deletion_refused"], "{refused:#?}");
    world.delete(SOURCE, "acme-orders");
    write_vectors(&world, SOURCE, "acme-users", 0..5);
    let refused = ask(&world, Action::Discard, false, named(&[&new, &old])).await;
    assert_eq!(
        words(&refused),
        ["not_found", "deletion_refused"],
        "{refused:#?}"
    );
    assert_eq!(world.standing(TARGET).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn held_backups_and_those_of_others_are_not_discarded() {
    let mut world = world("count");
    for night in [NIGHT, LATER] {
        world.night(night).await;
    }
    let old = backup_of("acme-orders", NIGHT);
    world.plan.targets[0].retention.hold.insert(old.clone());
    let refused = ask(&world, Action::Discard, false, named(&[&old])).await;
    assert!(
        refused.failures.shown[0].message.contains("holds it"),
        "{refused:#?}"
    );
    world.plan.targets[0].retention.hold.clear();
    // Somebody's own namespace, whose name looks like a backup's.
    let odd = vendors(&world, "2025-06-01T02:00:00Z", 5);
    let refused = ask(&world, Action::Discard, false, named(&[&odd])).await;
    assert!(
        refused.failures.shown[0]
            .message
            .contains("its name can't explain"),
        "{refused:#?}"
    );
    world.skew_local_clock(jiff::SignedDuration::from_mins(6));
    let refused = ask(&world, Action::Discard, false, named(&[&old])).await;
    assert!(
        words(&refused).contains(&"deletion_refused"),
        "{refused:#?}"
    );
    assert_eq!(world.standing(TARGET).len(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_unsealed_backup_is_discarded_though_it_is_the_only_one() {
    let world = world("count");
    world.sleep_until(NIGHT.parse().unwrap()).await;
    let cut = vendors(&world, NIGHT, 150);
    let report = ask(&world, Action::Discard, false, named(&[&cut])).await;
    assert_eq!(report.outcome, Outcome::Succeeded, "{report:#?}");
    assert!(world.standing(TARGET).is_empty());
}

#[tokio::test(start_paused = true)]
async fn while_a_source_is_frozen_a_newer_flag_may_be_no_seal() {
    let world = world("count");
    world.night(NIGHT).await;
    world.seal(SOURCE, "acme-orders", true);
    // A copy that somebody cut short, born read-only.
    world.sleep_until(LATER.parse().unwrap()).await;
    let cut = vendors(&world, LATER, 150);
    world.seal(TARGET, &cut, true);
    let old = backup_of("acme-orders", NIGHT);
    let refused = ask(&world, Action::Discard, false, named(&[&old])).await;
    assert_eq!(words(&refused), ["deletion_refused"], "{refused:#?}");
    assert!(world.standing(TARGET).contains_key(&old));
}

#[tokio::test(start_paused = true)]
async fn a_comparison_that_outlives_its_invocation_goes_on_where_it_ended() {
    let world = journaled(World::new(1, &[("VERIFY_LEVEL", "full")]));
    // Ten pages, of which an invocation reads three.
    let text = "x".repeat(100_000);
    let rows: Vec<_> = (0..100)
        .map(|id| json!({"id": id, "title": text}))
        .collect();
    let body = json!({"upsert_rows": rows});
    world.call(Method::Post, SOURCE, "/v2/namespaces/acme-orders", &body);
    world.sleep_until(NIGHT.parse().unwrap()).await;
    world.faults(json!([{"match": {"operation": "query"}, "fault": {"latency_ms": 30_000}}]));
    let mut request = Request {
        scheduled_time: Some(NIGHT.parse().unwrap()),
        ..Request::default()
    };
    let mut reports = Vec::new();
    for _ in 0..8 {
        let report = world
            .run(request.clone(), Duration::from_secs(200))
            .await
            .unwrap();
        let done = !report.stays_open;
        reports.push(report);
        if done {
            break;
        }
        request.action = Action::Resume;
    }
    let last = reports.last().unwrap();
    assert_eq!(
        (last.outcome, reports[0].outcome),
        (Outcome::Succeeded, Outcome::Incomplete),
        "{last:#?}"
    );
    assert!(reports.len() >= 3, "{}", reports.len());
    assert!(sealed(&world, TARGET, &backup_of("acme-orders", NIGHT)));
    // No row was read twice, but for those of a page that was cut off.
    assert!(only(last).cost.rows < 100, "{last:#?}");
    world.faults(json!([]));
    let whole = verify(&world, "full").await;
    assert_eq!(only(&whole).digest, only(last).digest);
    assert_eq!(only(&whole).cost.rows, 200);
}

/// A source of ten pages, each of which takes half a minute to read, and its backup, which was sealed by count.
async fn of_ten_pages() -> World {
    let world = journaled(World::new(1, &[]));
    let text = "x".repeat(100_000);
    let rows: Vec<_> = (0..100)
        .map(|id| json!({"id": id, "title": text}))
        .collect();
    let body = json!({"upsert_rows": rows});
    world.call(Method::Post, SOURCE, "/v2/namespaces/acme-orders", &body);
    world.night(NIGHT).await;
    world.faults(json!([{"match": {"operation": "query"}, "fault": {"latency_ms": 30_000}}]));
    world
}

async fn verify_within(world: &World, seconds: u64) -> Report {
    let request = Request {
        action: Action::Verify,
        picked: Picked {
            level: Some(Level::Full),
            ..named(&[&backup_of("acme-orders", NIGHT)])
        },
        ..Request::default()
    };
    world
        .run(request, Duration::from_secs(seconds))
        .await
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_verification_that_is_cut_short_goes_on_where_it_was_when_it_is_asked_for_again() {
    for kills in [false, true] {
        let world = of_ten_pages().await;
        if kills {
            let killed = verify_within(&world, 10_000);
            let killed = tokio::time::timeout(Duration::from_secs(280), killed).await;
            assert!(killed.is_err());
        } else {
            let report = verify_within(&world, 280).await;
            assert_eq!(words(&report), ["out_of_time"], "{report:#?}");
            let said = &report.failures.shown[0].message;
            assert!(said.contains("goes on about where it was"), "{said}");
        }
        let report = verify_within(&world, 10_000).await;
        let found = only(&report);
        assert_eq!((found.finding, found.rows), (Finding::Equal, 100));
        assert!(found.cost.rows < 150, "{:?}", found.cost);
        // What came to its end is forgotten, and the whole is read again.
        let whole = verify_within(&world, 10_000).await;
        assert_eq!(only(&whole).cost.rows, 200);
        assert_eq!(only(&whole).digest, found.digest);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_read_more_than_a_day_ago_says_nothing_of_today_and_is_read_again() {
    for (hours, again) in [(23, false), (25, true)] {
        let world = of_ten_pages().await;
        verify_within(&world, 280).await;
        tokio::time::sleep(Duration::from_hours(hours)).await;
        let report = verify_within(&world, 10_000).await;
        let found = only(&report);
        assert_eq!(found.finding, Finding::Equal);
        assert_eq!(found.cost.rows == 200, again, "{hours}: {:?}", found.cost);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_written_since_is_compared_from_its_first_row_on() {
    let world = of_ten_pages().await;
    verify_within(&world, 280).await;
    let name = backup_of("acme-orders", NIGHT);
    world.seal(TARGET, &name, false);
    let path = format!("/v2/namespaces/{name}");
    let damaged = json!({"upsert_rows": [{"id": 0, "title": "another"}]});
    world.call(Method::Post, TARGET, &path, &damaged);
    world.seal(TARGET, &name, true);
    let report = verify_within(&world, 10_000).await;
    let found = only(&report);
    assert_eq!(found.finding, Finding::Damaged, "{found:#?}");
    assert_eq!(found.cost.rows, 200);
}

/// A source that was written since can't speak for its backup; what the backup was sealed with can.
#[tokio::test(start_paused = true)]
async fn a_sealed_backup_that_lost_rows_is_damaged_whatever_its_source_did_if_the_journal_remembers()
 {
    for remembers in [true, false] {
        let mut world = world("count");
        if remembers {
            world = journaled(world);
        }
        world.night(NIGHT).await;
        world.sleep_until(LATER.parse().unwrap()).await;
        world.write_rows(SOURCE, "acme-orders", 200..203);
        let name = backup_of("acme-orders", NIGHT);
        let found = verify(&world, "count").await;
        assert_eq!(only(&found).finding, Finding::Drifted, "{found:#?}");
        world.seal(TARGET, &name, false);
        let path = format!("/v2/namespaces/{name}");
        world.call(Method::Post, TARGET, &path, &json!({"deletes": [7]}));
        world.seal(TARGET, &name, true);
        let found = verify(&world, "count").await;
        let expected = if remembers {
            Finding::Damaged
        } else {
            Finding::Drifted
        };
        assert_eq!(only(&found).finding, expected, "{found:#?}");
        if remembers {
            assert_eq!(found.outcome, Outcome::Failed);
            let said = &only(&found).message;
            assert!(
                said.contains("sealed with 200 rows") && said.contains("has 199"),
                "{said}"
            );
        }
    }
}
