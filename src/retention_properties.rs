//! What must hold for every inventory, policy, zone and clock, played by chance (see `cases`).
//!
//! The rules are written here a second time, the slow and obvious way: with a calendar that is printed day by day, and
//! every backup compared with every other. `certificate` is the third time; all three must agree.

use std::cell::Cell;
use std::sync::LazyLock;

use super::*;
use crate::cases::{once_in, one_of, play};
use crate::certificate::{Claim, Lease, Refusal, Witness, certify};
use crate::listing::ReadToTheEnd;
use crate::name::{BackupPrefix, Namespace};

const MARGIN: i64 = 300_000;
const DAY: i64 = 86_400_000;

/// Whole hours, half hours and quarters off UTC; clocks that go back at 00:01; a lost day; both hemispheres.
const ZONES: [&str; 14] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "America/Sao_Paulo",
    "America/Havana",
    "Africa/Cairo",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Asia/Tokyo",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "Pacific/Apia",
    "Pacific/Kiritimati",
];

/// Around these instants a calendar or a clock does something odd.
const EDGES: [&str; 16] = [
    "2026-03-29T01:00:00Z", // Berlin loses an hour
    "2026-10-25T01:00:00Z", // and gets it back
    "2026-03-08T07:00:00Z", // New York
    "2026-11-01T06:00:00Z",
    "2010-11-07T02:31:00Z", // Newfoundland goes back from 00:01 to 23:01
    "2011-12-30T10:00:00Z", // Samoa goes from the 29th to the 31st
    "1994-12-31T10:00:00Z", // so does Kiritimati, and has no 31st
    "2018-11-04T03:00:00Z", // São Paulo has no midnight
    "2018-02-18T02:00:00Z", // and has 23:00 twice
    "2026-04-04T15:00:00Z", // Lord Howe goes back by half an hour
    "2027-01-01T00:00:00Z", // ISO week 53 of 2026 goes on
    "2025-01-01T00:00:00Z", // ISO week 1 of 2025 has begun
    "2028-02-29T12:00:00Z",
    "2026-03-01T00:00:00Z",
    "2100-03-01T00:00:00Z", // no leap year
    "1970-01-02T00:00:00Z",
];

static ALL_ZONES: LazyLock<Vec<TimeZone>> =
    LazyLock::new(|| ZONES.map(|zone| TimeZone::get(zone).unwrap()).into());

struct Case {
    backups: Vec<Backup>,
    policy: Policy,
    now: Timestamp,
}

fn ms(instant: Timestamp) -> i64 {
    instant.as_millisecond()
}

fn from_ms(millisecond: i64) -> Timestamp {
    Timestamp::from_millisecond(millisecond).unwrap()
}

fn slot(backup: &Backup) -> i64 {
    ms(backup.name.slot().instant())
}

fn name(class: Class, second: i64) -> BackupName {
    static OF: LazyLock<(BackupPrefix, Namespace)> = LazyLock::new(|| {
        (
            BackupPrefix::parse("backup-").unwrap(),
            Namespace::parse("acme").unwrap(),
        )
    });
    let slot = Slot::of(Timestamp::from_second(second).unwrap()).unwrap();
    BackupName::of(&OF.0, class, &OF.1, slot).unwrap()
}

/// A number that lies near a limit as often as not, in milliseconds.
fn near(dice: &mut fastrand::Rng, limit: i64) -> i64 {
    match dice.u8(..4) {
        0 => limit + 1_000 * dice.i64(-1..=1),
        1 => limit + dice.i64(-1..=1),
        2 => limit + dice.i64(-2 * MARGIN..=2 * MARGIN),
        _ => limit + dice.i64(-DAY..=DAY),
    }
}

fn evidence(dice: &mut fastrand::Rng, slot: i64) -> Evidence {
    let lag = match dice.u8(..20) {
        0 => near(dice, -MARGIN),
        1 => near(dice, 7 * DAY),
        2 => dice.i64(0..7 * DAY),
        _ => dice.i64(0..4_000_000),
    };
    Evidence {
        created_at: from_ms(slot + lag),
        sealed: !once_in(dice, 7),
    }
}

/// An inventory as the years leave it: hourly to yearly, with gaps; some failed, by hand, of others, from the future.
fn inventory(dice: &mut fastrand::Rng) -> Vec<Backup> {
    const HOUR: i64 = 3_600;
    let step = *one_of(
        dice,
        &[
            HOUR,
            6 * HOUR,
            24 * HOUR,
            24 * HOUR,
            168 * HOUR,
            720 * HOUR,
            8_766 * HOUR,
        ],
    );
    let edge: Timestamp = one_of(dice, &EDGES).parse().unwrap();
    let count = dice.i64(0..=9);
    let mut second =
        edge.as_second() - dice.i64(0..=count.max(1)) * step + dice.i64(-3_600..=3_600);
    let jitter = *one_of(dice, &[0, 0, 1, 600, step]);
    let mut backups = Vec::new();
    for _ in 0..count {
        let class = if once_in(dice, 20) {
            Class::Manual
        } else {
            Class::Scheduled
        };
        if second >= 0 {
            backups.push(Backup {
                name: name(class, second),
                evidence: Some(evidence(dice, second * 1_000)),
            });
        }
        let steps = if once_in(dice, 6) { dice.i64(2..=5) } else { 1 };
        second += (steps * step + dice.i64(-jitter..=jitter)).max(1);
    }
    backups
}

/// Where a period begins in the zone, if that is near: the minute of local midnight.
fn local_midnight(zone: &TimeZone, instant: i64) -> i64 {
    let offset = i64::from(zone.to_offset(from_ms(instant)).seconds()) * 1_000;
    (instant + offset).div_euclid(DAY) * DAY - offset
}

/// A clock at which something happens: a backup leaves the window, a period ends, a slot is just ahead.
fn clock(dice: &mut fastrand::Rng, backups: &[Backup], policy: &Policy) -> Timestamp {
    let edge: Timestamp = one_of(dice, &EDGES).parse().unwrap();
    let of = match backups {
        [] => ms(edge),
        some => {
            let backup = one_of(dice, some);
            let created = ms(backup.evidence.unwrap().created_at);
            slot(backup).max(if dice.bool() { created } else { 0 })
        }
    };
    let last = backups.last().map_or(ms(edge), slot);
    let days = policy.days.map_or(7, |days| i64::from(days.get()));
    let at = match dice.u8(..5) {
        0 => near(dice, of + days * DAY + MARGIN),
        1 => near(dice, of + MARGIN),
        2 => {
            let day = of.max(DAY) + dice.i64(0..40) * DAY;
            near(dice, local_midnight(&policy.zone, day))
        }
        3 => last + dice.i64(0..=DAY),
        _ => last + dice.i64(0..=400 * DAY),
    };
    from_ms(at)
}

fn count(dice: &mut fastrand::Rng) -> u32 {
    match dice.u8(..20) {
        0 => *one_of(dice, &[400, 100_000, u32::MAX]),
        1..=8 => dice.u32(1..=5),
        _ => 0,
    }
}

fn policy(dice: &mut fastrand::Rng, backups: &[Backup]) -> Policy {
    let days = if dice.bool() { dice.u32(1..=10) } else { 0 };
    let some_hold = once_in(dice, 5);
    let hold = backups.iter().filter(|_| some_hold && once_in(dice, 3));
    let hold = hold.map(|backup| backup.name.to_string()).collect();
    Policy {
        days: NonZeroU32::new(days),
        periods: Periods {
            daily: count(dice),
            weekly: count(dice),
            monthly: count(dice),
            yearly: count(dice),
        },
        zone: one_of(dice, &ALL_ZONES).clone(),
        min: NonZeroU32::new(dice.u32(1..=4).saturating_sub(1).max(1)).unwrap(),
        hold,
    }
}

fn a_case(dice: &mut fastrand::Rng) -> Case {
    let backups = inventory(dice);
    let policy = policy(dice, &backups);
    let now = clock(dice, &backups, &policy);
    Case {
        backups,
        policy,
        now,
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Policy {
            days,
            periods,
            zone,
            min,
            hold,
        } = &self.policy;
        let zone = zone.iana_name();
        writeln!(
            f,
            "now {} in {zone:?}, days {days:?}, {periods:?}, min {min}, hold {hold:?}",
            self.now
        )?;
        for backup in &self.backups {
            let evidence = backup
                .evidence
                .map(|evidence| (evidence.created_at, evidence.sealed));
            writeln!(
                f,
                "{} {} {evidence:?}",
                backup.name,
                backup.name.slot().instant()
            )?;
        }
        Ok(())
    }
}

fn due(backups: &[Backup], policy: &Policy, now: Timestamp) -> Vec<BackupName> {
    let decisions = plan(backups, policy, now).into_iter();
    let due = decisions.filter(|decision| matches!(decision.verdict, Verdict::Due(_)));
    due.map(|decision| decision.name).collect()
}

/// A calendar as one could print it, from 1969 on: a row for each day with its number, and those of its week, month
/// and year.
static CALENDAR: LazyLock<Vec<[i64; 4]>> = LazyLock::new(|| {
    let mut rows = Vec::new();
    let [mut day_number, mut week, mut month_number] = [0, 0, 0];
    let mut weekday = 2; // the first of 1969 was a Wednesday; Monday is 0
    for year in 1969..2300 {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let february = if leap { 29 } else { 28 };
        for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
            for day in 1..=31 {
                if day > length {
                    rows.push([i64::MAX; 4]);
                    continue;
                }
                rows.push([day_number, week, month_number, year]);
                day_number += 1;
                weekday = (weekday + 1) % 7;
                week += i64::from(weekday == 0);
            }
            month_number += 1;
        }
    }
    rows
});

fn printed(zone: &TimeZone, millisecond: i64) -> [i64; 4] {
    let date = zone.to_datetime(from_ms(millisecond)).date();
    let (year, month, day) = (
        i64::from(date.year()),
        i64::from(date.month()),
        i64::from(date.day()),
    );
    let row = ((year - 1969) * 12 + month - 1) * 31 + day - 1;
    CALENDAR[usize::try_from(row).unwrap()]
}

/// The rules once more. `tolerance` is how far the local clock may be ahead, in milliseconds.
fn naively_due(case: &Case, tolerance: i64) -> Vec<BackupName> {
    let Case {
        backups,
        policy,
        now,
    } = case;
    let now = ms(*now);
    let days = policy.days.map_or(0, |days| i64::from(days.get()));
    let Periods {
        daily,
        weekly,
        monthly,
        yearly,
    } = policy.periods;
    let counts = [daily, weekly, monthly, yearly];
    if days == 0 && counts == [0; 4] {
        return Vec::new();
    }
    let mut ours = Vec::new();
    for backup in backups {
        let slot = slot(backup);
        let evidence = backup.evidence.unwrap();
        let created = ms(evidence.created_at);
        let explained = created >= slot - MARGIN && created <= slot + 7 * DAY;
        if backup.name.class() == Class::Scheduled && slot <= now + MARGIN && explained {
            ours.push((backup, slot, slot.max(created), evidence.sealed));
        }
    }
    if ours.last().is_none_or(|(_, _, _, sealed)| !sealed) {
        return Vec::new();
    }
    ours.retain(|(_, _, _, sealed)| *sealed);
    let rows: Vec<[i64; 4]> = ours
        .iter()
        .map(|(_, slot, ..)| printed(&policy.zone, *slot))
        .collect();
    let (row_now, row_then) = (
        printed(&policy.zone, now),
        printed(&policy.zone, now - tolerance),
    );
    let mut due = Vec::new();
    for (rank, (backup, ..)) in ours.iter().enumerate() {
        let newer = rank + 1..ours.len();
        let floor = newer.len() < policy.min.get() as usize;
        let window =
            days > 0 && (newer.is_empty() || now - ours[rank + 1].2 <= days * DAY + tolerance);
        // What would be restored to see a period as it ended: the newest that is no younger than the period.
        let state_of_a_period = (0..4).any(|length| {
            let present = row_now[length].min(row_then[length]);
            let as_far_as_there_are_any =
                i64::from(counts[length]).min(present - rows[0][length] + 1);
            (0..as_far_as_there_are_any).any(|back| {
                let no_younger = |of: &usize| rows[*of][length] <= present - back;
                no_younger(&rank) && !newer.clone().any(|newer| no_younger(&newer))
            })
        });
        // A clock that is behind may see the newest one in a period to come.
        let to_come = (0..4).any(|length| {
            let present = row_now[length].min(row_then[length]);
            let ahead = counts[length] > 0 && rows[rank][length] > present;
            ahead
                && newer
                    .clone()
                    .all(|newer| rows[newer][length] != rows[rank][length])
        });
        let held = policy.hold.contains(&backup.name.to_string());
        if !(floor || window || state_of_a_period || to_come || held) {
            due.push(backup.name.clone());
        }
    }
    due
}

/// Design section 13, as far as it concerns planning.
fn assert_nothing_needed_is_due(case: &Case) {
    let Case {
        backups,
        policy,
        now,
    } = case;
    let owned = |backup: &&Backup| {
        let lag = ms(backup.evidence.unwrap().created_at) - slot(backup);
        backup.name.class() == Class::Scheduled
            && slot(backup) <= ms(*now) + MARGIN
            && (-MARGIN..=7 * DAY).contains(&lag)
    };
    let sealed = |backup: &&Backup| backup.evidence.unwrap().sealed;
    let good: Vec<&Backup> = backups.iter().filter(owned).filter(sealed).collect();
    let decisions = plan(backups, policy, *now);
    assert_eq!(decisions.len(), backups.len());
    let mut remain = good.clone();
    for (decision, backup) in decisions.iter().zip(backups) {
        assert_eq!(decision.name, backup.name, "one decision each, in order");
        let superseded = match &decision.verdict {
            Verdict::Keep(reasons) => {
                assert!(!reasons.is_empty(), "{} stays for no reason", backup.name);
                continue;
            }
            Verdict::Due(superseded) => superseded,
        };
        assert!(owned(&backup), "a: {} is not ours", backup.name);
        assert!(sealed(&backup), "a: {} was never verified", backup.name);
        assert!(
            !policy.hold.contains(&backup.name.to_string()),
            "d: {} is held",
            backup.name
        );
        // What people are shown: the next newer good one, and since when it has been there.
        let by = good.iter().find(|good| slot(good) > slot(backup));
        let by = by.unwrap_or_else(|| panic!("e: nothing is newer than {}", backup.name));
        let since = slot(by).max(ms(by.evidence.unwrap().created_at));
        assert_eq!(
            (superseded.by.as_str(), ms(superseded.at)),
            (by.name.to_string().as_str(), since),
            "e: {}",
            backup.name
        );
        let newest = backups.iter().rfind(owned).unwrap();
        assert!(
            sealed(&newest),
            "the newest of {} is not sealed",
            backup.name
        );
        remain.retain(|good| good.name != backup.name);
    }
    assert_eq!(
        good.last().map(|b| &b.name),
        remain.last().map(|b| &b.name),
        "b: the newest is due"
    );
    let floor = good.len().min(policy.min.get() as usize);
    assert!(
        remain.ends_with(&good[good.len() - floor..]),
        "c: below the floor"
    );
    assert_every_state_of_the_window_comes_back(case, &good, &remain);
}

/// A restore to any instant of the window takes the same backup after the deletions as before.
fn assert_every_state_of_the_window_comes_back(case: &Case, good: &[&Backup], remain: &[&Backup]) {
    let Some(days) = case.policy.days else { return };
    let start = ms(case.now) - i64::from(days.get()) * DAY;
    let instants = good
        .iter()
        .map(|backup| slot(backup))
        .filter(|slot| *slot > start);
    for instant in instants.chain([start]) {
        let newest = |of: &[&Backup]| {
            of.iter()
                .rfind(|b| slot(b) <= instant)
                .map(|b| b.name.clone())
        };
        assert_eq!(
            newest(good),
            newest(remain),
            "the state of {}",
            from_ms(instant)
        );
    }
}

#[test]
fn the_planner_agrees_with_the_obvious_one_and_nothing_needed_is_due() {
    let (cases, deleting, by_periods) = (Cell::new(0_u32), Cell::new(0_u32), Cell::new(0_u32));
    play("planner", 200_000, |dice| {
        let case = a_case(dice);
        let due = due(&case.backups, &case.policy, case.now);
        assert_eq!(due, naively_due(&case, MARGIN), "{case:?}");
        assert_nothing_needed_is_due(&case);
        cases.set(cases.get() + 1);
        deleting.set(deleting.get() + u32::from(!due.is_empty()));
        by_periods.set(by_periods.get() + u32::from(!due.is_empty() && case.policy.days.is_none()));
    });
    println!(
        "{} delete, {} of them by calendar alone",
        deleting.get(),
        by_periods.get()
    );
    // A game in which nothing happens proves nothing.
    assert!(
        cases.get() < 1_000
            || (deleting.get() * 10 > cases.get() && by_periods.get() * 20 > cases.get())
    );
}

/// A policy that asks for one thing more. From no rule at all, which keeps everything, the first rule does delete more
/// by definition, so that step is left out.
fn kinder(dice: &mut fastrand::Rng, case: &Case) -> Policy {
    let mut policy = case.policy.clone();
    let periods = &mut policy.periods;
    let more = |dice: &mut fastrand::Rng, count: u32| count.saturating_add(dice.u32(1..=3));
    match dice.u8(..7) {
        0 => {
            let days = policy.days.map_or(0, NonZeroU32::get);
            policy.days = NonZeroU32::new(more(dice, days));
        }
        1 => periods.daily = more(dice, periods.daily),
        2 => periods.weekly = more(dice, periods.weekly),
        3 => periods.monthly = more(dice, periods.monthly),
        4 => periods.yearly = more(dice, periods.yearly),
        5 => policy.min = policy.min.saturating_add(dice.u32(1..=3)),
        _ => policy.hold.extend(
            case.backups
                .iter()
                .map(|b| b.name.to_string())
                .find(|_| dice.bool()),
        ),
    }
    policy
}

#[test]
fn asking_to_keep_more_never_deletes_more() {
    let fewer = Cell::new(0_u32);
    play("kinder", 100_000, |dice| {
        let mut case = a_case(dice);
        while case.policy.keeps_everything() {
            case = a_case(dice);
        }
        let kinder = kinder(dice, &case);
        let before = due(&case.backups, &case.policy, case.now);
        let after = due(&case.backups, &kinder, case.now);
        assert!(
            after.iter().all(|name| before.contains(name)),
            "{case:?} {kinder:?} {before:?} {after:?}"
        );
        fewer.set(fewer.get() + u32::from(after.len() < before.len()));
    });
    println!("fewer deletions in {}", fewer.get());
}

fn unread(backups: &[Backup]) -> Vec<Backup> {
    let unread = |backup: &Backup| Backup {
        evidence: None,
        ..backup.clone()
    };
    backups.iter().map(unread).collect()
}

/// What is known of the backups after everybody was asked whom `unasked` names, round by round.
fn asked(dice: &mut fastrand::Rng, case: &Case) -> Vec<Backup> {
    let mut known = unread(&case.backups);
    for (known, backup) in known.iter_mut().zip(&case.backups) {
        if once_in(dice, 6) {
            known.evidence = backup.evidence; // from before, as the newest one's is from its job
        }
    }
    loop {
        let ask = unasked(&known, &case.policy, case.now);
        if ask.is_empty() {
            return known;
        }
        for index in ask {
            assert!(known[index].evidence.is_none(), "asked twice");
            known[index].evidence = case.backups[index].evidence;
        }
    }
}

#[test]
fn asking_only_what_matters_deletes_exactly_the_same() {
    play("unasked", 100_000, |dice| {
        let case = a_case(dice);
        let known = asked(dice, &case);
        let due = |backups: &[Backup]| due(backups, &case.policy, case.now);
        assert_eq!(due(&known), due(&case.backups), "{case:?} {known:?}");
    });
}

/// What can't be read is never due, and makes nothing else due.
#[test]
fn knowing_less_never_deletes_more_than_the_window_and_the_calendar_allow() {
    play("hidden", 20_000, |dice| {
        let case = a_case(dice);
        let mut backups = case.backups.clone();
        let Some(hidden) = backups.last_mut() else {
            return;
        };
        hidden.evidence = None;
        let hidden = hidden.name.clone();
        let due = due(&backups, &case.policy, case.now);
        assert!(!due.contains(&hidden));
        let owned = hidden.class() == Class::Scheduled
            && ms(hidden.slot().instant()) <= ms(case.now) + MARGIN;
        assert!(
            !owned || due.is_empty(),
            "{due:?} although the newest is unknown"
        );
    });
}

fn witness(backup: &Backup, answered_at: Timestamp) -> Witness {
    let Evidence { created_at, sealed } = backup.evidence.unwrap();
    Witness {
        namespace: backup.name.to_string(),
        created_at,
        read_only: sealed,
        answered_at: Some(answered_at),
    }
}

fn certified(
    policy: &Policy,
    candidate: &Witness,
    siblings: &[Witness],
    now: Timestamp,
) -> Result<(), Refusal> {
    certified_but(policy, candidate, siblings, now, |_| {})
}

/// What the certificate says of a claim that `differs` in something.
fn certified_but(
    policy: &Policy,
    candidate: &Witness,
    siblings: &[Witness],
    now: Timestamp,
    differs: impl FnOnce(&mut Claim<'_>),
) -> Result<(), Refusal> {
    let mut claim = Claim {
        candidate,
        siblings,
        prefix: "backup-",
        selects: &|source| source == "acme",
        window_days: policy.days.map_or(0, NonZeroU32::get),
        daily: policy.periods.daily,
        weekly: policy.periods.weekly,
        monthly: policy.periods.monthly,
        yearly: policy.periods.yearly,
        zone: &policy.zone,
        min: policy.min.get(),
        held: &|name| policy.hold.contains(name),
        being_restored: Some(false),
        lease: Lease::NoJournal,
        listing: &ReadToTheEnd::for_tests(),
        now,
    };
    differs(&mut claim);
    certify(&claim).map(|certificate| assert_eq!(certificate.namespace(), candidate.namespace))
}

/// The services' clocks may differ from ours by up to five minutes, each by another time; ours goes on meanwhile. Who
/// vouches is chosen from what was asked.
#[test]
fn what_is_due_is_certified_while_the_clocks_agree() {
    let certificates = Cell::new(0_u32);
    play("certified", 100_000, |dice| {
        let case = a_case(dice);
        let known = asked(dice, &case);
        let Case { policy, now, .. } = &case;
        let later = from_ms(ms(*now) + *one_of(dice, &[0, 1, 999, 60_000, 900_000]));
        let mut answer = |name: &BackupName| {
            let apart = match dice.u8(..4) {
                0 => -MARGIN,
                1 => MARGIN,
                _ => dice.i64(-MARGIN..=MARGIN),
            };
            let backup = case.backups.iter().find(|backup| backup.name == *name);
            witness(backup.unwrap(), from_ms(ms(later) + apart))
        };
        for name in due(&known, policy, *now) {
            let vouching = vouching(&name, &known, policy, later);
            let siblings: Vec<Witness> = vouching.into_iter().map(&mut answer).collect();
            let candidate = answer(&name);
            let certified = certified(policy, &candidate, &siblings, later);
            assert_eq!(
                certified,
                Ok(()),
                "{candidate:?} at {later} by {siblings:#?}\n{case:?}"
            );
            certificates.set(certificates.get() + 1);
        }
    });
    println!("{} certificates", certificates.get());
}

/// Whatever it is shown, the certificate decides as the rules do of just that. So where it is shown the next newer good
/// backup and the newest of all, it never certifies what everybody's evidence would keep.
#[test]
fn what_is_certified_is_due() {
    let (given, refused) = (Cell::new(0_u32), Cell::new(0_u32));
    play("due", 100_000, |dice| {
        let Case {
            backups,
            policy,
            now,
        } = a_case(dice);
        if backups.is_empty() {
            return;
        }
        let candidate = one_of(dice, &backups).clone();
        let few = dice.bool();
        let mut shown = backups.clone();
        shown.retain(|backup| backup.name == candidate.name || !few || dice.bool());
        let siblings: Vec<Witness> = shown
            .iter()
            .filter(|backup| backup.name != candidate.name)
            .map(|backup| witness(backup, now))
            .collect();
        let certified = certified(&policy, &witness(&candidate, now), &siblings, now);
        let everything = Case {
            backups,
            policy: policy.clone(),
            now,
        };
        let shown = Case {
            backups: shown,
            policy,
            now,
        };
        let due = naively_due(&shown, 0).contains(&candidate.name);
        assert_eq!(
            certified.is_ok(),
            due,
            "{certified:?} for {} of {shown:?}",
            candidate.name
        );
        let there =
            |backup: Option<&Backup>| backup.is_none_or(|backup| shown.backups.contains(backup));
        let next = everything
            .backups
            .iter()
            .find(|b| slot(b) > slot(&candidate) && good(b, now));
        let newest = newest_owned(&everything.backups, now).map(|index| &everything.backups[index]);
        if due && there(next) && there(newest) {
            assert!(
                naively_due(&everything, 0).contains(&candidate.name),
                "{} of {everything:?}",
                candidate.name
            );
        }
        let tally = if due { &given } else { &refused };
        tally.set(tally.get() + 1);
    });
    println!("{} certified, {} refused", given.get(), refused.get());
}

/// One thing that is not as it should be, in the claim or in what the service answered.
fn doubt(
    dice: &mut fastrand::Rng,
    answer: &mut Witness,
    now: Timestamp,
) -> (Refusal, fn(&mut Claim<'_>)) {
    let as_it_is: fn(&mut Claim<'_>) = |_| {};
    match dice.u8(..11) {
        0 => (Refusal::BeingRestored, |claim| {
            claim.being_restored = Some(true);
        }),
        1 => (Refusal::HoldsUnread, |claim| claim.being_restored = None),
        2 => (Refusal::NotSelected, |claim| {
            claim.selects = &|source| source != "acme";
        }),
        3 => (Refusal::NotABackupName, |claim| claim.prefix = "backup-eu-"),
        4 => (Refusal::NotSelected, |claim| claim.prefix = "backup"), // of "-acme"
        5 => (Refusal::LeaseLost, |claim| {
            let end = ms(claim.now) + 60_000 - 1;
            claim.lease = until(from_ms(end));
        }),
        6 => (Refusal::LeaseLost, |claim| {
            claim.lease = until(from_ms(ms(claim.now) - DAY));
        }),
        7 => (Refusal::LeaseLost, |claim| claim.lease = Lease::Lost),
        8 => (Refusal::EarlierLeaseLasts, |claim| {
            claim.lease = Lease::Ours {
                from: from_ms(ms(claim.now) + 1),
                until: from_ms(ms(claim.now) + 180_000),
            };
        }),
        9 => {
            answer.answered_at = None;
            (Refusal::ClocksDisagree, as_it_is)
        }
        _ => {
            let apart = MARGIN + *one_of(dice, &[1, 1_000, DAY]);
            let apart = if dice.bool() { apart } else { -apart };
            answer.answered_at = Some(from_ms(ms(now) + apart));
            (Refusal::ClocksDisagree, as_it_is)
        }
    }
}

/// A lease that nobody else had before.
fn until(until: Timestamp) -> Lease {
    let from = Timestamp::UNIX_EPOCH;
    Lease::Ours { from, until }
}

/// Design section 13, f and g, and what is being restored: one doubt is enough, whatever else speaks for the deletion.
#[test]
fn in_doubt_nothing_is_certified() {
    let refused = Cell::new(0_u32);
    play("doubts", 100_000, |dice| {
        let Case {
            backups,
            policy,
            now,
        } = a_case(dice);
        for name in due(&backups, &policy, now) {
            let (of, others): (Vec<&Backup>, Vec<&Backup>) =
                backups.iter().partition(|backup| backup.name == name);
            let siblings: Vec<Witness> = others.iter().map(|other| witness(other, now)).collect();
            let mut candidate = witness(of[0], now);
            let lasts: fn(&mut Claim<'_>) =
                |claim| claim.lease = until(from_ms(ms(claim.now) + 60_000));
            let certified = certified_but(&policy, &candidate, &siblings, now, lasts);
            assert_eq!(certified, Ok(()), "without a doubt: {candidate:?}");
            let (refusal, differs) = doubt(dice, &mut candidate, now);
            let certified = certified_but(&policy, &candidate, &siblings, now, differs);
            assert_eq!(certified, Err(refusal), "{candidate:?} by {siblings:#?}");
            refused.set(refused.get() + 1);
        }
    });
    println!("{} refused", refused.get());
}
