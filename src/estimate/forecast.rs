//! Thirty nights of one target, played with the planner that decides on deletion. Pure: no network, no clock.
//!
//! They are played as if each night went well, as if every source went on to grow as it grew since the oldest backup of the
//! last month, and to change as often as it was copied in the nights of which nothing was pruned yet. What such a past
//! doesn't show is told by the last write.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use jiff::{SignedDuration, Timestamp};

use super::{Month, NIGHTS, TargetEstimate, Tonight};
use crate::budget;
use crate::coverage::{STILL_FOR, SkipUnchanged};
use crate::name::{BackupName, Class, Namespace};
use crate::plan::{Plan, Target};
use crate::price::{Between, MicroDollars, Prices};
use crate::prune::Inventory;
use crate::retention::{self, Backup, Evidence, Policy, Verdict};
use crate::slot::Slot;
use crate::verify::Level;

/// Bytes a second of one copy into another region, and within one (contract section 6: about, and per namespace).
const BETWEEN_REGIONS: u64 = 50_000_000;
const WITHIN_A_REGION: u64 = 72_000_000;
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// A source as it is now.
#[derive(Clone, Debug)]
pub(super) struct Live {
    pub(super) name: Namespace,
    /// Logical bytes.
    pub(super) bytes: u64,
    /// Rows, about.
    pub(super) rows: u64,
    /// Logical bytes that a day adds; less than nothing if it shrinks.
    pub(super) growth: i64,
    pub(super) written_at: Timestamp,
}

/// Plays the nights of one target. `gone` are the bytes there of sources that are gone: they are never deleted.
pub(super) fn forecast(
    plan: &Plan,
    target: &Target,
    (live, inventory): (&[Live], &Inventory),
    gone: u64,
    prices: &Prices,
    now: Slot,
) -> TargetEstimate {
    let mut tonight = Tonight::default();
    let mut month = Month::default();
    let mut byte_nights = u128::from(gone) * u128::from(NIGHTS);
    let (mut largest, mut played) = (0, BTreeMap::new());
    for source in live {
        let known = inventory.backups_of(&source.name);
        let written = is_written(known, source, now);
        // Most sources have backups of the same nights, and so the same future.
        let slots = known.iter().map(|backup| backup.name.slot());
        let future = played
            .entry((slots.collect::<Vec<_>>(), written))
            .or_insert_with(|| play(plan, target, &source.name, known, written, now));
        byte_nights += u128::from(future.standing.bytes(source));
        month.copies += future.copied.backups;
        let copied = future.copied.bytes(source);
        month.copied_bytes += copied;
        month.compared_bytes += compared(plan.verify, source, future.copied, copied);
        if future.tonight {
            tonight.copies += 1;
            tonight.bytes += source.bytes;
            largest = largest.max(source.bytes);
        }
    }
    let (speed, sent) = if target.region == plan.source.region {
        (WITHIN_A_REGION, 0)
    } else {
        (BETWEEN_REGIONS, month.copied_bytes)
    };
    let at_once = u64::from(plan.copies).max(1) * speed;
    tonight.seconds = largest.div_ceil(speed).max(tonight.bytes.div_ceil(at_once));
    month.sent_bytes = sent;
    month.stored_bytes = u64::try_from(byte_nights / u128::from(NIGHTS)).unwrap_or(u64::MAX);
    let of_all = inventory.sources().map(|(_, backups)| backups.len());
    TargetEstimate {
        target: target.name.clone(),
        region: target.region.clone(),
        backups: super::count(of_all.sum()),
        tonight,
        month: priced(month, prices),
    }
}

fn priced(mut month: Month, prices: &Prices) -> Month {
    let asked = prices.turbopuffer;
    let costs = |price: Option<Between>, bytes| match bytes {
        0 => Some(Between::exactly(MicroDollars(0))),
        bytes => price.map(|price| price.of_bytes(bytes)),
    };
    month.copying = costs(asked.copied_gb, month.copied_bytes);
    month.sending = costs(asked.returned_gb, month.sent_bytes);
    month.storing = costs(asked.stored_gb_month, month.stored_bytes);
    month.comparing = costs(asked.returned_gb, month.compared_bytes);
    let all = [month.copying, month.sending, month.storing, month.comparing];
    month.total = budget::total(all);
    month
}

/// Bytes of rows that are read to compare copies with their source, once on either side. Rows are taken to be equally long.
fn compared(level: Level, source: &Live, copies: Sum, written: u64) -> u64 {
    let of_one_side = match level {
        Level::Metadata | Level::Count => 0,
        Level::Full => written,
        Level::Sample(rows) => {
            let of_a_row = u128::from(source.bytes) / u128::from(source.rows.max(1));
            let sampled = u128::from(copies.backups) * u128::from(rows.get()) * of_a_row;
            u64::try_from(sampled).unwrap_or(u64::MAX).min(written)
        }
    };
    of_one_side.saturating_mul(2)
}

/// A number of backups, and their days added up, counted from now; so their bytes follow from any size and growth.
#[derive(Clone, Copy, Default)]
struct Sum {
    backups: u64,
    days: i64,
}

impl Sum {
    fn add(&mut self, slot: Slot, now: Slot) {
        self.backups += 1;
        self.days += days_between(now, slot);
    }

    fn bytes(self, source: &Live) -> u64 {
        let as_now = i128::from(self.backups) * i128::from(source.bytes);
        let bytes = as_now + i128::from(self.days) * i128::from(source.growth);
        u64::try_from(bytes.max(0)).unwrap_or(u64::MAX)
    }
}

/// Whole days, to the nearest.
fn days_between(from: Slot, to: Slot) -> i64 {
    let seconds = to.instant().duration_since(from.instant()).as_secs();
    let day = DAY.as_secs();
    (seconds + day / 2).div_euclid(day)
}

/// What becomes of one source.
struct Future {
    /// Copies made.
    copied: Sum,
    /// Backups that stand after each night.
    standing: Sum,
    /// Whether the first night makes one.
    tonight: bool,
}

/// Plays the nights of one source.
fn play(
    plan: &Plan,
    target: &Target,
    source: &Namespace,
    known: &[Backup],
    written: bool,
    now: Slot,
) -> Future {
    let mut standing: Vec<Backup> = known.iter().map(|backup| sealed(&backup.name)).collect();
    let mut future = Future {
        copied: Sum::default(),
        standing: Sum::default(),
        tonight: false,
    };
    let rule = plan.skip_unchanged;
    let mut changes = Changes::of(known, &target.retention, rule, written, now);
    let nights = (0..NIGHTS).filter_map(|night| {
        let later = DAY.checked_mul(i32::try_from(night).ok()?)?;
        let instant = now.instant().checked_add(later).ok()?;
        Some((night == 0, Slot::of(instant).ok()?))
    });
    for (tonight, slot) in nights {
        let new = changes.by_the_next_night(tonight && written);
        let name = BackupName::of(&target.prefix, Class::Scheduled, source, slot);
        // A run that is carried on has made some of tonight's already, and those are paid for.
        if let Ok(name) = name
            && !standing.iter().any(|backup| backup.name == name)
            && (new || rule.is_none_or(|rule| is_too_old(&standing, slot, rule)))
        {
            standing.push(sealed(&name));
            future.copied.add(slot, now);
            future.tonight |= tonight;
        }
        let decided = retention::plan(&standing, &target.retention, slot.instant());
        let mut due = decided
            .iter()
            .map(|decision| matches!(decision.verdict, Verdict::Due(_)));
        standing.retain(|_| !due.next().unwrap_or(false));
        for backup in &standing {
            future.standing.add(backup.name.slot(), now);
        }
    }
    future
}

/// How often a source changes: in so many of so many nights, spread evenly.
struct Changes {
    changed: i64,
    of: i64,
    accrued: i64,
}

impl Changes {
    /// As often as it was copied in the nights of which nothing was pruned, copies that were forced by age aside.
    /// Where there are none such, every night or never, as it was written since its newest backup or not.
    fn of(
        known: &[Backup],
        policy: &Policy,
        rule: Option<SkipUnchanged>,
        written: bool,
        now: Slot,
    ) -> Self {
        let slots: Vec<Slot> = scheduled(known).collect();
        let unpruned = whole_nights(policy);
        let forced = |one: Slot, next: Slot| {
            let days = rule.map_or(i64::MAX, |rule| i64::from(rule.max_age_days.get()));
            days_between(one, next) >= days
        };
        let pairs = slots.iter().zip(slots.iter().skip(1));
        let days_ago: Vec<i64> = pairs
            .filter(|(one, next)| !forced(**one, **next))
            .map(|(_, next)| days_between(*next, now))
            .filter(|days| *days <= unpruned)
            .collect();
        let changed = i64::try_from(days_ago.len()).unwrap_or(i64::MAX);
        let first = slots.first().map_or(0, |first| days_between(*first, now));
        // The first backup of all shows no change, and neither does a day before it.
        let (changed, of) = match unpruned.min(first - 1) {
            nights @ 1.. => (changed.min(nights), nights),
            _ => (i64::from(written), 1),
        };
        // Counted on from the last change, or sources that change equally often would all change in the same night.
        let nights = days_ago.last().unwrap_or(&first) - 1;
        Self {
            changed,
            of,
            accrued: (changed * nights).rem_euclid(of),
        }
    }

    /// Whether it changes by the next night; `known` if that is known already.
    fn by_the_next_night(&mut self, known: bool) -> bool {
        self.accrued += self.changed;
        let changed = known || self.accrued >= self.of;
        if changed {
            self.accrued -= self.of;
        }
        changed
    }
}

/// The nights, counted back from now, of which the policy keeps every backup.
fn whole_nights(policy: &Policy) -> i64 {
    let window = policy.days.map_or(0, NonZeroU32::get);
    let kept = if policy.keeps_everything() {
        NIGHTS
    } else {
        window.max(policy.periods.daily)
    };
    i64::from(kept.min(NIGHTS))
}

/// Whether a source was written since its newest backup; where it has none, since yesterday.
fn is_written(known: &[Backup], source: &Live, now: Slot) -> bool {
    let newest = scheduled(known).max().map_or_else(
        || now.instant().saturating_sub(DAY),
        |newest| Ok(newest.instant()),
    );
    newest.is_ok_and(|newest| newest.duration_since(source.written_at) <= STILL_FOR)
}

/// Whether an unchanged source is copied all the same.
fn is_too_old(standing: &[Backup], slot: Slot, rule: SkipUnchanged) -> bool {
    let days = i64::from(rule.max_age_days.get());
    let age = |newest: Slot| slot.instant().duration_since(newest.instant());
    let newest = scheduled(standing).max();
    newest.is_none_or(|newest| age(newest) >= SignedDuration::from_hours(24 * days))
}

fn scheduled(known: &[Backup]) -> impl Iterator<Item = Slot> {
    let scheduled = known
        .iter()
        .filter(|backup| backup.name.class() == Class::Scheduled);
    scheduled.map(|backup| backup.name.slot())
}

/// A backup as it is when all went well.
fn sealed(name: &BackupName) -> Backup {
    Backup {
        name: name.clone(),
        evidence: Some(Evidence {
            created_at: name.slot().instant(),
            sealed: true,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listing::{CompleteListing, ReadToTheEnd};
    use crate::plan::Settings;

    const GB: u64 = 1_000_000_000;

    fn night(days: i64) -> Slot {
        let first: Timestamp = "2026-11-01T02:00:00Z".parse().unwrap();
        Slot::of(first + SignedDuration::from_hours(24 * days)).unwrap()
    }

    fn plan_with(variables: &[(&str, &str)]) -> Plan {
        let given = [
            ("SOURCE_REGION", "aws-us-east-1"),
            ("BACKUP_REGION", "aws-eu-west-1"),
            ("SOURCE_PREFIX", "acme-"),
            ("TURBOPUFFER_API_KEY", "tpuf_abc"),
        ];
        let mut all: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in given.iter().chain(variables) {
            all.insert((*name).to_owned(), (*value).to_owned());
        }
        let environment: Vec<_> = all.into_iter().collect();
        let mut settings = Settings::from_environment(&environment).unwrap();
        settings.plans.remove(0)
    }

    fn source(bytes: u64, growth: i64, written: i64) -> Live {
        Live {
            name: Namespace::parse("acme-docs").unwrap(),
            bytes,
            rows: 10,
            growth,
            written_at: night(written).instant(),
        }
    }

    /// One source with a backup of each of some nights; tonight is night 0.
    fn of_one(plan: &Plan, live: Live, backups: &[i64], prices: &str) -> TargetEstimate {
        let target = &plan.targets[0];
        let names = backups.iter().map(|days| {
            BackupName::of(&target.prefix, Class::Scheduled, &live.name, night(*days))
                .unwrap()
                .to_string()
        });
        let listing = CompleteListing {
            names: names.collect(),
            complete: ReadToTheEnd::for_tests(),
        };
        let inventory = Inventory::of(plan, target, listing);
        let prices = Prices::parse(prices).unwrap();
        forecast(plan, target, (&[live], &inventory), 0, &prices, night(0))
    }

    const CONTRACT: &str = "as_of = \"2026-11-20\"\n[turbopuffer]\n\
        copied_gb = [\"0.50\", \"1.00\"]\nreturned_gb = \"0.05\"\nstored_gb_month = \"0.33\"";
    const WEEK: [i64; 7] = [-7, -6, -5, -4, -3, -2, -1];

    /// Contract section 14: 50 GB, daily, seven kept, into another region.
    #[test]
    fn the_contracts_example_is_reproduced() {
        let plan = plan_with(&[("RETENTION_DAYS", "5")]);
        let told = of_one(&plan, source(50 * GB, 0, -1), &WEEK, CONTRACT).month;
        assert_eq!((told.copies, told.copied_bytes), (30, 1_500 * GB));
        assert_eq!(told.stored_bytes, 350 * GB);
        let shown = [told.copying, told.sending, told.storing, told.total];
        let shown = shown.map(|amount| amount.unwrap().to_string());
        let expected = [
            "$750.00 to $1500.00",
            "$75.00",
            "$115.50",
            "$940.50 to $1690.50",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_price_that_is_unknown_makes_no_sum_and_nothing_sent_costs_nothing() {
        let without = "as_of = \"2026-11-20\"\n[turbopuffer]\nreturned_gb = \"0.05\"";
        let plan = plan_with(&[]);
        let told = of_one(&plan, source(GB, 0, -1), &WEEK, without).month;
        assert_eq!((told.copying, told.storing, told.total), (None, None, None));
        assert!(told.sending.is_some());

        let here = plan_with(&[("BACKUP_REGION", "aws-us-east-1")]);
        let told = of_one(&here, source(GB, 0, -1), &WEEK, CONTRACT).month;
        assert_eq!(told.sent_bytes, 0);
        assert_eq!(told.sending, Some(Between::exactly(MicroDollars(0))));
    }

    /// Backups that stand, the last write, and the copies of tonight and of the month.
    #[test]
    fn a_source_goes_on_to_change_as_often_as_it_was_copied() {
        let plan = plan_with(&[("MAX_AGE_DAYS", "10"), ("RETENTION_DAYS", "20")]);
        let every_fifth: Vec<i64> = (-25..0).step_by(5).collect();
        let nightly: Vec<i64> = (-25..0).collect();
        for (backups, written, copies) in [
            (&[-20][..], -21, (1, 3)),
            (&[-1], -20, (0, 3)),
            (&[-1], 0, (1, 30)),
            (&[], -20, (1, 3)),
            (&[], 0, (1, 30)),
            (&[-21, -11, -1], -30, (0, 3)),
            (&every_fifth, -6, (1, 6)),
            (&every_fifth, -1, (1, 6)),
            (&nightly, -2, (1, 30)),
            (&[-3, -2, -1], -2, (1, 30)),
            (&[-9, -8], -8, (1, 4)),
        ] {
            let told = of_one(&plan, source(GB, 0, written), backups, CONTRACT);
            let told = (told.tonight.copies, told.month.copies);
            assert_eq!(told, copies, "{backups:?}, written {written}");
        }
    }

    #[test]
    fn what_is_copied_and_kept_grows_with_its_source() {
        let plan = plan_with(&[("RETENTION_DAYS", "0")]);
        let told = of_one(&plan, source(10, 2, -1), &[-2, -1], CONTRACT).month;
        // 10, 12, … 68; and 6 and 8, which stand from before.
        assert_eq!(
            told.copied_bytes,
            (0..30).map(|night| 10 + 2 * night).sum::<u64>()
        );
        let nights = 0_u64..30;
        let standing: u64 = nights
            .map(|night| 14 + (0..=night).map(|day| 10 + 2 * day).sum::<u64>())
            .sum();
        assert_eq!(told.stored_bytes, standing / 30);
        let shrinks = of_one(&plan, source(10, -100, -1), &[-1], CONTRACT).month;
        assert_eq!(shrinks.copied_bytes, 0);
    }

    /// 2 TB at 50 MB/s are about eleven hours.
    #[test]
    fn the_largest_or_all_together_say_how_long_a_night_takes() {
        let plan = plan_with(&[]);
        let told = of_one(&plan, source(2_000 * GB, 0, -1), &WEEK, CONTRACT);
        assert_eq!(told.tonight.seconds, 40_000);
        let here = plan_with(&[("BACKUP_REGION", "aws-us-east-1")]);
        let told = of_one(&here, source(72 * GB, 0, -1), &WEEK, CONTRACT);
        assert_eq!(told.tonight.seconds, 1_000);
    }
}
