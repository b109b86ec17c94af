//! What an estimate foretells, against what the nights then do.

use std::ops::Range;

use jiff::{SignedDuration, Timestamp};
use lifeboat::estimate::{Month, NIGHTS, PlanEstimate, estimate};
use lifeboat::price::Prices;
use lifeboat::service::Patient;
use lifeboat::slot::Slot;
use serde_json::json;

use crate::stories::{NIGHT, two_sources};
use crate::world::{SOURCE, TARGET, World};

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// What things cost in these tests.
const PRICES: &str = "as_of = \"2026-11-20\"\n[turbopuffer]\n\
    copied_gb = \"1.00\"\nreturned_gb = \"0.50\"\nstored_gb_month = \"2.00\"";

async fn foretold(world: &World, tonight: Timestamp) -> PlanEstimate {
    let patient = |region| Patient::new(world.region(region), world.plan.concurrency);
    let prices = Prices::parse(PRICES).unwrap();
    let slot = Slot::of(tonight).unwrap();
    let (source, targets) = (patient(SOURCE), [patient(TARGET)]);
    estimate(&world.plan, &source, &targets, &prices, slot)
        .await
        .unwrap()
}

fn night(number: u64) -> Timestamp {
    let first: Timestamp = NIGHT.parse().unwrap();
    first + DAY * i32::try_from(number).unwrap()
}

/// Bytes that stand in a region.
fn stands(world: &World, region: &str) -> u64 {
    let standing = world.standing(region);
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

/// What nights came to.
#[derive(Default)]
struct Came {
    copies: u64,
    written: u64,
    /// Bytes that stood in the target, added up night by night.
    stood: u64,
    /// By the emulator's bill, at the prices of these tests.
    money: u64,
}

/// Nights, each an hour after somebody has changed something. Their own rows and the storage of these are on the same bill.
async fn nights(world: &World, numbers: Range<u64>, change: impl Fn(u64)) -> Came {
    let mut came = Came::default();
    let (mut written, mut returned, mut of_sources) = (0, 0, 0);
    let kept = billed(world)[2];
    for number in numbers {
        let an_hour_before = night(number) - SignedDuration::from_hours(1);
        world.sleep_until(an_hour_before).await;
        change(number);
        world.sleep_until(night(number)).await;
        let before = billed(world);
        let report = world.back_up(night(number)).await;
        let after = billed(world);
        written += after[0] - before[0];
        returned += after[1] - before[1];
        of_sources += u128::from(stands(world, SOURCE)) * 86_400;
        came.copies += report.jobs.sealed;
        came.written += report.copied.bytes_written;
        came.stood += stands(world, TARGET);
    }
    let stored = (billed(world)[2] - kept).saturating_sub(of_sources);
    let month = u128::from(NIGHTS) * 86_400;
    // A copy is billed with half of what it writes, at twice the price.
    let cost = |bytes: u128, cents: u128| bytes * cents / 100_000;
    let money = cost(2 * written, 100) + cost(returned, 50) + cost(stored / month, 200);
    came.money = u64::try_from(money).unwrap();
    came
}

/// A month of nights comes to what was foretold before the first of them. Gives what was foretold.
async fn come_as_foretold(world: &World, from: u64, how: &str, change: impl Fn(u64)) -> Month {
    let told = foretold(world, night(from)).await.targets.remove(0).month;
    let came = nights(world, from..from + u64::from(NIGHTS), change).await;
    within_a_tenth(told.copies, came.copies, &format!("{how}: copies"));
    // The emulator bills half of what a copy writes, which is the upper price; batches might halve it once more.
    let copied = &format!("{how}: bytes copied");
    within_a_tenth(told.copied_bytes, 2 * came.written, copied);
    let kept = &format!("{how}: bytes kept");
    within_a_tenth(told.stored_bytes, came.stood / u64::from(NIGHTS), kept);
    let money = told.total.unwrap().most.0;
    within_a_tenth(money, came.money, &format!("{how}: money"));
    told
}

/// A value changes in one of the sources.
fn another_title(world: &World) {
    world.call(
        lifeboat_emulator::Method::Post,
        SOURCE,
        "/v2/namespaces/acme-users",
        &json!({"patch_rows": [{"id": 7, "title": "another"}]}),
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
        nights(&world, 0..12, |_| another_title(&world)).await;
        let how = format!("{variables:?}");
        let told = come_as_foretold(&world, 12, &how, |_| another_title(&world)).await;
        assert_eq!(told.sent_bytes, told.copied_bytes);
    }
}

/// Twenty sources, of which each changes on one of twenty days and grows by then; the unchanged ones copied, and not.
#[tokio::test(start_paused = true)]
async fn growth_and_churn_are_foretold_from_the_last_weeks() {
    for variables in [
        &[("RETENTION_DAYS", "21"), ("MAX_AGE_DAYS", "15")][..],
        &[("RETENTION_DAYS", "21")],
    ] {
        let world = two_sources(variables);
        for source in 0..20 {
            world.write_rows(SOURCE, &format!("acme-s{source:02}"), 0..300);
        }
        let change = |number: u64| {
            let source = format!("acme-s{:02}", (number * 7) % 20);
            let rows = 300 + number * 10..310 + number * 10;
            world.write_rows(SOURCE, &source, rows);
        };
        nights(&world, 0..40, change).await;
        come_as_foretold(&world, 40, &format!("{variables:?}"), change).await;
    }
}

/// A source that grows, at each level of comparing.
#[tokio::test(start_paused = true)]
async fn the_money_of_a_month_is_what_the_bill_then_comes_to() {
    let mut compared = Vec::new();
    for level in ["count", "sample:100", "full"] {
        let world = two_sources(&[("RETENTION_DAYS", "7"), ("VERIFY_LEVEL", level)]);
        world.write_rows(SOURCE, "acme-images", 0..400);
        let grow = |number: u64| {
            let rows = 400 + number * 3..403 + number * 3;
            world.write_rows(SOURCE, "acme-images", rows);
        };
        nights(&world, 0..12, grow).await;
        let told = come_as_foretold(&world, 12, level, grow).await;
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
    nights(&world, 0..1, |_| another_title(&world)).await;
    let both = foretold(&world, night(1)).await;
    assert_eq!((both.sources, both.targets[0].backups), (2, 2));
    let before = (world.standing(TARGET), world.standing(SOURCE));
    world.delete(SOURCE, "acme-orders");
    let one = foretold(&world, night(1)).await;
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
