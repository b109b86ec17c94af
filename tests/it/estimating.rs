//! What an estimate foretells, against what the nights then do.

use jiff::{SignedDuration, Timestamp};
use lifeboat::estimate::{NIGHTS, PlanEstimate, estimate};
use lifeboat::price::Prices;
use lifeboat::report::Report;
use lifeboat::service::Patient;
use lifeboat::slot::Slot;
use serde_json::json;

use crate::stories::{NIGHT, two_sources};
use crate::world::{SOURCE, TARGET, World};

const DAY: SignedDuration = SignedDuration::from_hours(24);

async fn foretold(world: &World, tonight: Timestamp) -> PlanEstimate {
    let patient = |region| Patient::new(world.region(region), world.plan.concurrency);
    let prices = Prices::built_in().unwrap();
    let slot = Slot::of(tonight).unwrap();
    let (source, targets) = (patient(SOURCE), [patient(TARGET)]);
    estimate(&world.plan, &source, &targets, &prices, slot)
        .await
        .unwrap()
}

/// One day: a value changes in one of the sources, and everything is backed up.
async fn day(world: &World, slot: Timestamp) -> Report {
    world
        .sleep_until(slot - SignedDuration::from_hours(1))
        .await;
    world.call(
        lifeboat_emulator::Method::Post,
        SOURCE,
        "/v2/namespaces/acme-users",
        &json!({"patch_rows": [{"id": 7, "title": "another"}]}),
    );
    world.sleep_until(slot).await;
    world.back_up(slot).await
}

fn stands(world: &World) -> u64 {
    let standing = world.standing(TARGET);
    let bytes = standing
        .values()
        .map(|shown| shown["approx_logical_bytes"].as_u64().unwrap());
    bytes.sum()
}

fn within_a_tenth(foretold: u64, came: u64, what: &str) {
    assert!(
        foretold.abs_diff(came) * 10 <= came,
        "{what}: foretold {foretold}, came {came}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_month_comes_as_it_was_foretold() {
    for variables in [
        &[("RETENTION_DAYS", "7")][..],
        &[("RETENTION_DAYS", "7"), ("MAX_AGE_DAYS", "10")],
        &[("RETENTION_DAYS", "0")],
    ] {
        let world = two_sources(variables);
        world.write_rows(SOURCE, "acme-images", 0..400);
        let mut slot: Timestamp = NIGHT.parse().unwrap();
        for _ in 0..12 {
            day(&world, slot).await;
            slot += DAY;
        }
        let told = foretold(&world, slot).await.targets.remove(0);
        assert!(told.month.total.is_some());
        let (mut copies, mut written, mut stored) = (0, 0, 0);
        for _ in 0..NIGHTS {
            let report = day(&world, slot).await;
            copies += report.jobs.sealed;
            written += report.copied.bytes_written;
            stored += stands(&world);
            slot += DAY;
        }
        within_a_tenth(told.month.copies, copies, "copies");
        // The emulator bills half of what a copy writes, which is the upper price; batches might halve it once more.
        within_a_tenth(told.month.copied_bytes, 2 * written, "bytes copied");
        within_a_tenth(
            told.month.stored_bytes,
            stored / u64::from(NIGHTS),
            "bytes kept",
        );
        assert_eq!(told.month.sent_bytes, told.month.copied_bytes);
    }
}

/// Twenty sources, of which each changes on one of twenty days and grows by then.
#[tokio::test(start_paused = true)]
async fn growth_and_churn_are_foretold_from_the_last_weeks() {
    let world = two_sources(&[("RETENTION_DAYS", "21"), ("MAX_AGE_DAYS", "15")]);
    for source in 0..20 {
        world.write_rows(SOURCE, &format!("acme-s{source:02}"), 0..300);
    }
    let first: Timestamp = NIGHT.parse().unwrap();
    let night = |number: u64| first + DAY * i32::try_from(number).unwrap();
    let day = async |number: u64| {
        let source = format!("acme-s{:02}", (number * 7) % 20);
        let rows = 300 + number * 10..310 + number * 10;
        world
            .sleep_until(night(number) - SignedDuration::from_hours(1))
            .await;
        world.write_rows(SOURCE, &source, rows);
        world.sleep_until(night(number)).await;
        world.back_up(night(number)).await
    };
    for number in 0..40 {
        day(number).await;
    }
    let told = foretold(&world, night(40)).await.targets.remove(0);
    let (mut copies, mut written, mut stored) = (0, 0, 0);
    for number in 40..70 {
        let report = day(number).await;
        copies += report.jobs.sealed;
        written += report.copied.bytes_written;
        stored += stands(&world);
    }
    within_a_tenth(told.month.copies, copies, "copies");
    within_a_tenth(told.month.copied_bytes, 2 * written, "bytes copied");
    within_a_tenth(
        told.month.stored_bytes,
        stored / u64::from(NIGHTS),
        "bytes kept",
    );
}

/// What the emulator has billed so far: bytes written, returned, and kept for how many seconds.
fn billed(world: &World) -> [u128; 3] {
    let bill = world.bill();
    let accounts = bill["organisations"].as_object().unwrap().values();
    let sum = |field: &str| {
        let amounts = accounts
            .clone()
            .map(|account| account[field].as_u64().unwrap());
        amounts.map(u128::from).sum()
    };
    ["bytes_written", "bytes_returned", "storage_byte_seconds"].map(sum)
}

/// Thirty nights with growth and skipped copies, at each level of comparing: the money that was foretold is what the
/// emulator's bill comes to, at the same prices.
#[tokio::test(start_paused = true)]
async fn the_money_of_a_month_is_what_the_bill_then_comes_to() {
    let prices = "as_of = \"2026-11-20\"\n[turbopuffer]\n\
        copied_gb = \"1.00\"\nreturned_gb = \"0.50\"\nstored_gb_month = \"2.00\"";
    let prices = Prices::parse(prices).unwrap();
    let month = u128::from(NIGHTS) * 86_400;
    let mut compared = Vec::new();
    for level in ["count", "sample:100", "full"] {
        let world = two_sources(&[("RETENTION_DAYS", "7"), ("VERIFY_LEVEL", level)]);
        world.write_rows(SOURCE, "acme-images", 0..400);
        let night = |number: u64| {
            let first: Timestamp = NIGHT.parse().unwrap();
            first + DAY * i32::try_from(number).unwrap()
        };
        // Somebody's own rows and their storage are on the same bill.
        let of_sources = |world: &World| {
            let standing = world.standing(SOURCE);
            let bytes = standing
                .values()
                .map(|shown| shown["approx_logical_bytes"].as_u64().unwrap());
            u128::from(bytes.sum::<u64>())
        };
        let day = async |number: u64| {
            world
                .sleep_until(night(number) - SignedDuration::from_hours(1))
                .await;
            let rows = 400 + number * 3..403 + number * 3;
            world.write_rows(SOURCE, "acme-images", rows);
            world.sleep_until(night(number)).await;
            let before = billed(&world);
            assert!(world.back_up(night(number)).await.jobs.sealed > 0);
            let after = billed(&world);
            (after[0] - before[0], after[1] - before[1])
        };
        for number in 0..12 {
            day(number).await;
        }
        let patient = |region| Patient::new(world.region(region), world.plan.concurrency);
        let (source, targets) = (patient(SOURCE), [patient(TARGET)]);
        let slot = Slot::of(night(12)).unwrap();
        let told = estimate(&world.plan, &source, &targets, &prices, slot)
            .await
            .unwrap();
        let told = &told.targets[0].month;
        let kept = billed(&world)[2];
        let (mut written, mut returned, mut sources) = (0, 0, 0);
        for number in 12..12 + u64::from(NIGHTS) {
            let (more_written, more_returned) = day(number).await;
            written += more_written;
            returned += more_returned;
            sources += of_sources(&world) * 86_400;
        }
        let stored = billed(&world)[2] - kept - sources;
        // A copy is billed with half of what it writes, at twice the price.
        let cost = |bytes: u128, cents: u128| bytes * cents / 100_000;
        let bill = cost(2 * written, 100) + cost(returned, 50) + cost(stored / month, 200);
        let total = told.total.unwrap().most;
        within_a_tenth(
            total.0,
            u64::try_from(bill).unwrap(),
            &format!("{level}: money"),
        );
        compared.push(told.compared_bytes);
    }
    assert!(
        compared[0] == 0 && compared[1] > 0 && compared[1] < compared[2],
        "{compared:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_estimate_changes_nothing_and_counts_what_is_lost() {
    let world = two_sources(&[]);
    let slot: Timestamp = NIGHT.parse().unwrap();
    day(&world, slot).await;
    let both = foretold(&world, slot + DAY).await;
    assert_eq!((both.sources, both.targets[0].backups), (2, 2));
    let before = (world.standing(TARGET), world.standing(SOURCE));
    world.delete(SOURCE, "acme-orders");
    let one = foretold(&world, slot + DAY).await;
    assert_eq!((one.sources, one.targets[0].backups), (1, 2));
    assert_eq!(one.targets[0].tonight.copies, 1);
    assert!(one.targets[0].month.stored_bytes > 0);
    assert_eq!(world.standing(TARGET), before.0);
}

/// Covered or not is foretold by the rule that then decides.
#[tokio::test(start_paused = true)]
async fn what_was_written_shortly_before_its_backup_is_foretold_to_be_copied_once_more() {
    for (minutes, copies) in [(20, 1), (40, 0)] {
        let world = two_sources(&[("MAX_AGE_DAYS", "30")]);
        let slot: Timestamp = NIGHT.parse().unwrap();
        world
            .sleep_until(slot - SignedDuration::from_mins(minutes))
            .await;
        world.write_rows(SOURCE, "acme-users", 50..51);
        world.night(NIGHT).await;
        let tonight = slot + DAY;
        world.sleep_until(tonight).await;
        let told = foretold(&world, tonight).await.targets.remove(0);
        let report = world.back_up(tonight).await;
        assert_eq!(
            (told.tonight.copies, report.jobs.sealed),
            (copies, copies),
            "written {minutes} minutes before"
        );
    }
}
