//! Retention as tables a person can read. What must hold for every inventory, policy and clock is in
//! `retention_properties.rs`.

use super::*;
use crate::name::{BackupPrefix, Namespace};

const NOW: &str = "2026-11-21T02:10:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn named(class: Class, slot: Timestamp) -> BackupName {
    let prefix = BackupPrefix::parse("backup-").unwrap();
    let source = Namespace::parse("acme").unwrap();
    BackupName::of(&prefix, class, &source, Slot::of(slot).unwrap()).unwrap()
}

fn backup(slot: &str, evidence: Option<(&str, bool)>) -> Backup {
    let evidence = evidence.map(|(created_at, sealed)| Evidence {
        created_at: at(created_at),
        sealed,
    });
    Backup {
        name: named(Class::Scheduled, at(slot)),
        evidence,
    }
}

fn sealed(slot: &str) -> Backup {
    backup(slot, Some((slot, true)))
}

fn nightly(days: std::ops::RangeInclusive<u32>) -> Vec<Backup> {
    days.map(|day| sealed(&format!("2026-11-{day:02}T02:00:00Z")))
        .collect()
}

fn policy(days: u32, min: u32) -> Policy {
    Policy {
        days: NonZeroU32::new(days),
        periods: Periods::default(),
        zone: TimeZone::UTC,
        min: NonZeroU32::new(min).unwrap(),
        hold: BTreeSet::new(),
    }
}

/// One line per backup: its slot, and why it stays or since when it is superfluous.
fn table(backups: &[Backup], policy: &Policy) -> String {
    let line = |decision: &Decision| {
        let what = match &decision.verdict {
            Verdict::Due(superseded) => format!("DUE  superseded {}", superseded.at),
            Verdict::Keep(reasons) => {
                let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
                format!("keep {}", reasons.join("; "))
            }
        };
        format!("{}  {what}\n", decision.name.slot().instant())
    };
    plan(backups, policy, at(NOW)).iter().map(line).collect()
}

fn due(backups: &[Backup], policy: &Policy, now: Timestamp) -> Vec<String> {
    let decisions = plan(backups, policy, now).into_iter();
    let due = decisions.filter(|decision| matches!(decision.verdict, Verdict::Due(_)));
    due.map(|decision| decision.name.to_string()).collect()
}

#[test]
fn a_recovery_window_counts_from_supersession_not_from_age() {
    insta::assert_snapshot!(table(&nightly(11..=21), &policy(7, 1)), @r"
    2026-11-11T02:00:00Z  DUE  superseded 2026-11-12T02:00:00Z
    2026-11-12T02:00:00Z  DUE  superseded 2026-11-13T02:00:00Z
    2026-11-13T02:00:00Z  DUE  superseded 2026-11-14T02:00:00Z
    2026-11-14T02:00:00Z  keep inside the recovery window until 2026-11-22T02:05:00Z
    2026-11-15T02:00:00Z  keep inside the recovery window until 2026-11-23T02:05:00Z
    2026-11-16T02:00:00Z  keep inside the recovery window until 2026-11-24T02:05:00Z
    2026-11-17T02:00:00Z  keep inside the recovery window until 2026-11-25T02:05:00Z
    2026-11-18T02:00:00Z  keep inside the recovery window until 2026-11-26T02:05:00Z
    2026-11-19T02:00:00Z  keep inside the recovery window until 2026-11-27T02:05:00Z
    2026-11-20T02:00:00Z  keep inside the recovery window until 2026-11-28T02:05:00Z
    2026-11-21T02:00:00Z  keep among the 1 newest sealed; inside the recovery window: nothing has superseded it
    ");
}

/// Five minutes are what two clocks may differ by; a backup made within them counts like any other.
#[test]
fn a_slot_lies_in_the_future_from_a_second_after_five_minutes_on() {
    let made = |slot: &str| good(&backup(slot, Some((NOW, true))), at(NOW));
    assert!(made("2026-11-21T02:15:00Z"));
    assert!(!made("2026-11-21T02:15:01Z"));
}

#[test]
fn the_last_good_copy_of_a_lost_source_never_ages_out() {
    insta::assert_snapshot!(table(&[sealed("2025-01-01T02:00:00Z"), sealed("2025-01-02T02:00:00Z")], &policy(7, 1)), @r"
    2025-01-01T02:00:00Z  DUE  superseded 2025-01-02T02:00:00Z
    2025-01-02T02:00:00Z  keep among the 1 newest sealed; inside the recovery window: nothing has superseded it
    ");
}

#[test]
fn failed_copies_supersede_nothing_and_a_failed_newest_stops_its_source() {
    let failed = |slot: &str| backup(slot, Some((slot, false)));
    let middle = [
        sealed("2026-11-01T02:00:00Z"),
        failed("2026-11-02T02:00:00Z"),
        sealed("2026-11-21T02:00:00Z"),
    ];
    insta::assert_snapshot!(table(&middle, &policy(7, 1)), @r"
    2026-11-01T02:00:00Z  keep inside the recovery window until 2026-11-28T02:05:00Z
    2026-11-02T02:00:00Z  keep never verified (unsealed); inside the recovery window until 2026-11-28T02:05:00Z
    2026-11-21T02:00:00Z  keep among the 1 newest sealed; inside the recovery window: nothing has superseded it
    ");
    let newest = [
        sealed("2026-11-01T02:00:00Z"),
        sealed("2026-11-02T02:00:00Z"),
        failed("2026-11-21T02:00:00Z"),
    ];
    insta::assert_snapshot!(table(&newest, &policy(7, 1)), @r"
    2026-11-01T02:00:00Z  keep the source's newest backup is not known to be sealed
    2026-11-02T02:00:00Z  keep among the 1 newest sealed; inside the recovery window: nothing has superseded it; the source's newest backup is not known to be sealed
    2026-11-21T02:00:00Z  keep never verified (unsealed); inside the recovery window: nothing has superseded it; the source's newest backup is not known to be sealed
    ");
}

#[test]
fn what_the_service_cant_vouch_for_is_set_aside_and_protects_nothing() {
    let backups = [
        backup("1970-05-23T21:21:18Z", Some(("2026-11-21T01:00:00Z", true))),
        sealed("2026-11-01T02:00:00Z"),
        sealed("2026-11-02T02:00:00Z"),
        sealed("2026-11-21T02:00:00Z"),
        backup("2286-11-20T17:46:39Z", Some(("2026-11-21T01:00:00Z", true))),
    ];
    insta::assert_snapshot!(table(&backups, &policy(7, 1)), @r"
    1970-05-23T21:21:18Z  keep not ours: created 2026-11-21T01:00:00Z, which its name can't explain
    2026-11-01T02:00:00Z  DUE  superseded 2026-11-02T02:00:00Z
    2026-11-02T02:00:00Z  keep inside the recovery window until 2026-11-28T02:05:00Z
    2026-11-21T02:00:00Z  keep among the 1 newest sealed; inside the recovery window: nothing has superseded it
    2286-11-20T17:46:39Z  keep its slot lies in the future; inside the recovery window: nothing has superseded it
    ");
}

#[test]
fn no_policy_keeps_everything_and_asks_nothing() {
    let backups = nightly(1..=3);
    assert!(due(&backups, &policy(0, 1), at(NOW)).is_empty());
    let unread: Vec<Backup> = backups
        .into_iter()
        .map(|backup| Backup {
            evidence: None,
            ..backup
        })
        .collect();
    assert!(unasked(&unread, &policy(0, 1), at(NOW)).is_empty());
}

#[test]
fn a_manual_backup_stays_for_ever() {
    let mut backups = nightly(1..=21);
    backups[0].name = named(Class::Manual, at("2026-11-01T02:00:00Z"));
    assert!(
        due(&backups, &policy(1, 1), at(NOW))
            .iter()
            .all(|name| !name.starts_with("manual-"))
    );
}

#[test]
fn a_steady_source_costs_two_questions() {
    let mut backups = nightly(13..=21);
    let last = backups.len() - 1;
    for backup in &mut backups[..last] {
        backup.evidence = None;
    }
    assert_eq!(unasked(&backups, &policy(7, 1), at(NOW)), [0]);
    backups[0] = sealed("2026-11-13T02:00:00Z");
    assert_eq!(unasked(&backups, &policy(7, 1), at(NOW)), [1]);
    backups[1] = sealed("2026-11-14T02:00:00Z");
    assert!(unasked(&backups, &policy(7, 1), at(NOW)).is_empty());
    assert_eq!(due(&backups, &policy(7, 1), at(NOW)).len(), 1);
}

/// The newest backup stands beside its job's evidence; of the others only the names are known.
fn by_name(backups: &[Backup]) -> Vec<Backup> {
    let unread = |backup: &Backup| Backup {
        evidence: None,
        ..backup.clone()
    };
    let mut known: Vec<Backup> = backups.iter().map(unread).collect();
    known.pop();
    known.extend(backups.last().cloned());
    known
}

/// One per step, from the first instant to the last.
fn every(hours: i64, first: &str, last: &str) -> Vec<Backup> {
    let mut slots = vec![at(first)];
    while let Some(slot) = slots
        .last()
        .map(|slot| *slot + SignedDuration::from_hours(hours))
        && slot <= at(last)
    {
        slots.push(slot);
    }
    slots.iter().map(|slot| sealed(&slot.to_string())).collect()
}

/// Periods as `[daily, weekly, monthly, yearly]`, and no other rule.
fn calendar(zone: &str, [daily, weekly, monthly, yearly]: [u32; 4]) -> Policy {
    Policy {
        periods: Periods {
            daily,
            weekly,
            monthly,
            yearly,
        },
        zone: TimeZone::get(zone).unwrap(),
        ..policy(0, 1)
    }
}

/// One line per backup in the policy's zone, with why it stays; runs of due ones as their number.
fn local_table(backups: &[Backup], policy: &Policy, now: &str) -> String {
    let mut lines = Vec::new();
    let mut due = 0;
    for decision in plan(backups, policy, at(now)) {
        let Verdict::Keep(reasons) = &decision.verdict else {
            due += 1;
            continue;
        };
        if due > 0 {
            lines.push(format!("({due} due)"));
            due = 0;
        }
        let slot = decision.name.slot().instant();
        let slot = slot.to_zoned(policy.zone.clone());
        let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
        lines.push(format!(
            "{}  {}",
            slot.strftime("%a %F %R %:z"),
            reasons.join("; ")
        ));
    }
    lines.join("\n")
}

#[test]
fn days_weeks_months_and_years_thin_out_backwards() {
    let backups = every(24, "2024-11-01T02:00:00Z", NOW);
    insta::assert_snapshot!(local_table(&backups, &calendar("Europe/Berlin", [7, 4, 6, 3]), NOW), @r"
    (60 due)
    Tue 2024-12-31 03:00 +01:00  the newest sealed as of the year 2024
    (364 due)
    Wed 2025-12-31 03:00 +01:00  the newest sealed as of the year 2025
    (180 due)
    Tue 2026-06-30 04:00 +02:00  the newest sealed as of the month 2026-06
    (30 due)
    Fri 2026-07-31 04:00 +02:00  the newest sealed as of the month 2026-07
    (30 due)
    Mon 2026-08-31 04:00 +02:00  the newest sealed as of the month 2026-08
    (29 due)
    Wed 2026-09-30 04:00 +02:00  the newest sealed as of the month 2026-09
    (30 due)
    Sat 2026-10-31 03:00 +01:00  the newest sealed as of the month 2026-10
    Sun 2026-11-01 03:00 +01:00  the newest sealed as of the week 2026-W44
    (6 due)
    Sun 2026-11-08 03:00 +01:00  the newest sealed as of the week 2026-W45
    (6 due)
    Sun 2026-11-15 03:00 +01:00  the newest sealed as of the day 2026-11-15; the newest sealed as of the week 2026-W46
    Mon 2026-11-16 03:00 +01:00  the newest sealed as of the day 2026-11-16
    Tue 2026-11-17 03:00 +01:00  the newest sealed as of the day 2026-11-17
    Wed 2026-11-18 03:00 +01:00  the newest sealed as of the day 2026-11-18
    Thu 2026-11-19 03:00 +01:00  the newest sealed as of the day 2026-11-19
    Fri 2026-11-20 03:00 +01:00  the newest sealed as of the day 2026-11-20
    Sat 2026-11-21 03:00 +01:00  among the 1 newest sealed; the newest sealed as of the day 2026-11-21; the newest sealed as of the week 2026-W47; the newest sealed as of the month 2026-11; the newest sealed as of the year 2026
    ");
    let with_window = Policy {
        days: NonZeroU32::new(2),
        min: NonZeroU32::new(2).unwrap(),
        ..calendar("Europe/Berlin", [0, 3, 2, 0])
    };
    insta::assert_snapshot!(local_table(&backups, &with_window, NOW), @r"
    (729 due)
    Sat 2026-10-31 03:00 +01:00  the newest sealed as of the month 2026-10
    (7 due)
    Sun 2026-11-08 03:00 +01:00  the newest sealed as of the week 2026-W45
    (6 due)
    Sun 2026-11-15 03:00 +01:00  the newest sealed as of the week 2026-W46
    (3 due)
    Thu 2026-11-19 03:00 +01:00  inside the recovery window until 2026-11-22T02:05:00Z
    Fri 2026-11-20 03:00 +01:00  among the 2 newest sealed; inside the recovery window until 2026-11-23T02:05:00Z
    Sat 2026-11-21 03:00 +01:00  among the 2 newest sealed; inside the recovery window: nothing has superseded it; the newest sealed as of the week 2026-W47; the newest sealed as of the month 2026-11
    ");
}

#[test]
fn periods_are_counted_on_the_calendar_not_from_the_backups_that_exist() {
    let gap = [
        every(24, "2026-08-01T02:00:00Z", "2026-09-05T02:00:00Z"),
        every(24, "2026-11-18T02:00:00Z", NOW),
    ]
    .concat();
    insta::assert_snapshot!(local_table(&gap, &calendar("UTC", [10, 4, 3, 0]), NOW), @r"
    (35 due)
    Sat 2026-09-05 02:00 +00:00  the newest sealed as of the day 2026-11-12; the newest sealed as of the week 2026-W44; the newest sealed as of the month 2026-09
    Wed 2026-11-18 02:00 +00:00  the newest sealed as of the day 2026-11-18
    Thu 2026-11-19 02:00 +00:00  the newest sealed as of the day 2026-11-19
    Fri 2026-11-20 02:00 +00:00  the newest sealed as of the day 2026-11-20
    Sat 2026-11-21 02:00 +00:00  among the 1 newest sealed; the newest sealed as of the day 2026-11-21; the newest sealed as of the week 2026-W47; the newest sealed as of the month 2026-11
    ");
    let lost = every(24, "2026-01-01T02:00:00Z", "2026-01-10T02:00:00Z");
    insta::assert_snapshot!(local_table(&lost, &calendar("UTC", [7, 4, 6, 0]), NOW), @r"
    (9 due)
    Sat 2026-01-10 02:00 +00:00  among the 1 newest sealed; the newest sealed as of the day 2026-11-15; the newest sealed as of the week 2026-W44; the newest sealed as of the month 2026-06
    ");
}

#[test]
fn a_failed_or_foreign_newest_leaves_its_period_to_the_one_before() {
    let mut backups = every(24, "2026-11-12T02:00:00Z", NOW);
    backups[3] = backup(
        "2026-11-15T02:00:00Z",
        Some(("2026-11-15T02:00:00Z", false)),
    );
    backups[2] = backup("2026-11-14T02:00:00Z", Some(("2026-11-14T01:00:00Z", true)));
    insta::assert_snapshot!(local_table(&backups, &calendar("UTC", [0, 2, 0, 0]), NOW), @r"
    (1 due)
    Fri 2026-11-13 02:00 +00:00  the newest sealed as of the week 2026-W46
    Sat 2026-11-14 02:00 +00:00  not ours: created 2026-11-14T01:00:00Z, which its name can't explain
    Sun 2026-11-15 02:00 +00:00  never verified (unsealed)
    (5 due)
    Sat 2026-11-21 02:00 +00:00  among the 1 newest sealed; the newest sealed as of the week 2026-W47
    ");
}

#[test]
fn a_day_of_23_hours_and_one_of_25_are_days() {
    let spring = every(1, "2026-03-28T20:00:00Z", "2026-03-30T03:00:00Z");
    insta::assert_snapshot!(local_table(&spring, &calendar("Europe/Berlin", [3, 0, 0, 0]), "2026-03-30T03:10:00Z"), @r"
    (2 due)
    Sat 2026-03-28 23:00 +01:00  the newest sealed as of the day 2026-03-28
    (22 due)
    Sun 2026-03-29 23:00 +02:00  the newest sealed as of the day 2026-03-29
    (5 due)
    Mon 2026-03-30 05:00 +02:00  among the 1 newest sealed; the newest sealed as of the day 2026-03-30
    ");
    let autumn = every(1, "2026-10-24T20:00:00Z", "2026-10-26T03:00:00Z");
    insta::assert_snapshot!(local_table(&autumn, &calendar("Europe/Berlin", [3, 0, 0, 0]), "2026-10-26T03:10:00Z"), @r"
    (1 due)
    Sat 2026-10-24 23:00 +02:00  the newest sealed as of the day 2026-10-24
    (24 due)
    Sun 2026-10-25 23:00 +01:00  the newest sealed as of the day 2026-10-25
    (4 due)
    Mon 2026-10-26 04:00 +01:00  among the 1 newest sealed; the newest sealed as of the day 2026-10-26
    ");
    let spring = every(1, "2026-03-08T02:00:00Z", "2026-03-09T08:00:00Z");
    insta::assert_snapshot!(local_table(&spring, &calendar("America/New_York", [2, 0, 0, 0]), "2026-03-09T08:10:00Z"), @r"
    (25 due)
    Sun 2026-03-08 23:00 -04:00  the newest sealed as of the day 2026-03-08
    (4 due)
    Mon 2026-03-09 04:00 -04:00  among the 1 newest sealed; the newest sealed as of the day 2026-03-09
    ");
    let autumn = every(1, "2026-11-01T02:00:00Z", "2026-11-02T08:00:00Z");
    insta::assert_snapshot!(local_table(&autumn, &calendar("America/New_York", [2, 0, 0, 0]), "2026-11-02T08:10:00Z"), @r"
    (26 due)
    Sun 2026-11-01 23:00 -05:00  the newest sealed as of the day 2026-11-01
    (3 due)
    Mon 2026-11-02 03:00 -05:00  among the 1 newest sealed; the newest sealed as of the day 2026-11-02
    ");
}

#[test]
fn of_two_backups_at_the_same_local_time_the_later_one_is_newer() {
    let backups = [
        sealed("2026-10-25T00:30:00Z"),
        sealed("2026-10-25T01:30:00Z"),
        sealed("2026-10-26T01:30:00Z"),
    ];
    insta::assert_snapshot!(local_table(&backups[..2], &calendar("Europe/Berlin", [1, 0, 0, 0]), "2026-10-25T02:00:00Z"), @r"
    (1 due)
    Sun 2026-10-25 02:30 +01:00  among the 1 newest sealed; the newest sealed as of the day 2026-10-25
    ");
    insta::assert_snapshot!(local_table(&backups, &calendar("Europe/Berlin", [2, 0, 0, 0]), "2026-10-26T02:00:00Z"), @r"
    (1 due)
    Sun 2026-10-25 02:30 +01:00  the newest sealed as of the day 2026-10-25
    Mon 2026-10-26 02:30 +01:00  among the 1 newest sealed; the newest sealed as of the day 2026-10-26
    ");
}

#[test]
fn a_day_that_never_was_counts_as_a_day_without_backups() {
    // Samoa went from Thursday the 29th to Saturday the 31st of December 2011.
    let backups = every(12, "2011-12-27T11:00:00Z", "2012-01-01T01:00:00Z");
    insta::assert_snapshot!(local_table(&backups, &calendar("Pacific/Apia", [4, 0, 0, 0]), "2012-01-01T01:10:00Z"), @r"
    (5 due)
    Thu 2011-12-29 13:00 -10:00  the newest sealed as of the day 2011-12-29
    (1 due)
    Sat 2011-12-31 13:00 +14:00  the newest sealed as of the day 2011-12-31
    (1 due)
    Sun 2012-01-01 13:00 +14:00  among the 1 newest sealed; the newest sealed as of the day 2012-01-01
    ");
}

#[test]
fn zones_of_half_and_quarter_hours_cut_where_their_midnight_is() {
    let backups = [
        "2026-11-19T18:14:59Z",
        "2026-11-19T18:15:00Z",
        "2026-11-19T18:29:59Z",
        "2026-11-19T18:30:00Z",
        "2026-11-20T18:14:59Z",
        "2026-11-20T18:15:00Z",
        "2026-11-20T18:29:59Z",
        "2026-11-20T18:30:00Z",
    ]
    .map(sealed);
    insta::assert_snapshot!(local_table(&backups, &calendar("Asia/Kolkata", [3, 0, 0, 0]), NOW), @r"
    (2 due)
    Thu 2026-11-19 23:59 +05:30  the newest sealed as of the day 2026-11-19
    (3 due)
    Fri 2026-11-20 23:59 +05:30  the newest sealed as of the day 2026-11-20
    Sat 2026-11-21 00:00 +05:30  among the 1 newest sealed; the newest sealed as of the day 2026-11-21
    ");
    insta::assert_snapshot!(local_table(&backups, &calendar("Asia/Kathmandu", [3, 0, 0, 0]), NOW), @r"
    Thu 2026-11-19 23:59 +05:45  the newest sealed as of the day 2026-11-19
    (3 due)
    Fri 2026-11-20 23:59 +05:45  the newest sealed as of the day 2026-11-20
    (2 due)
    Sat 2026-11-21 00:15 +05:45  among the 1 newest sealed; the newest sealed as of the day 2026-11-21
    ");
    // Lord Howe goes back by half an hour at 02:00.
    let half = every(1, "2026-04-04T12:30:00Z", "2026-04-05T14:30:00Z");
    insta::assert_snapshot!(local_table(&half, &calendar("Australia/Lord_Howe", [3, 0, 0, 0]), "2026-04-05T14:40:00Z"), @r"
    Sat 2026-04-04 23:30 +11:00  the newest sealed as of the day 2026-04-04
    (23 due)
    Sun 2026-04-05 23:00 +10:30  the newest sealed as of the day 2026-04-05
    (1 due)
    Mon 2026-04-06 01:00 +10:30  among the 1 newest sealed; the newest sealed as of the day 2026-04-06
    ");
}

#[test]
fn a_midnight_that_is_undone_a_minute_later_is_judged_by_what_came_last() {
    // Newfoundland used to go back from 00:01 to 23:01 of the day before, which then ends after the next has begun.
    let backups = [
        sealed("2010-11-06T12:00:00Z"),
        sealed("2010-11-07T02:30:30Z"),
        sealed("2010-11-07T02:31:30Z"),
    ];
    let daily = calendar("America/St_Johns", [1, 0, 0, 0]);
    insta::assert_snapshot!(local_table(&backups, &daily, "2010-11-07T02:35:45Z"), @r"
    (1 due)
    Sun 2010-11-07 00:00 -02:30  the newest sealed as of the day 2010-11-07
    Sat 2010-11-06 23:01 -03:30  among the 1 newest sealed; the newest sealed as of the day 2010-11-06
    ");
    insta::assert_snapshot!(local_table(&backups, &daily, "2010-11-07T03:35:00Z"), @r"
    (2 due)
    Sat 2010-11-06 23:01 -03:30  among the 1 newest sealed; the newest sealed as of the day 2010-11-07
    ");
}

#[test]
fn the_first_days_of_january_may_belong_to_week_53_of_the_year_before() {
    let backups = every(24, "2026-12-18T02:00:00Z", "2027-01-05T02:00:00Z");
    insta::assert_snapshot!(local_table(&backups, &calendar("UTC", [0, 3, 0, 2]), "2027-01-05T02:10:00Z"), @r"
    (9 due)
    Sun 2026-12-27 02:00 +00:00  the newest sealed as of the week 2026-W52
    (3 due)
    Thu 2026-12-31 02:00 +00:00  the newest sealed as of the year 2026
    (2 due)
    Sun 2027-01-03 02:00 +00:00  the newest sealed as of the week 2026-W53
    (1 due)
    Tue 2027-01-05 02:00 +00:00  among the 1 newest sealed; the newest sealed as of the week 2027-W01; the newest sealed as of the year 2027
    ");
    // And the last of December to week 1 of the next.
    let backups = every(24, "2024-12-20T02:00:00Z", "2025-01-02T02:00:00Z");
    insta::assert_snapshot!(local_table(&backups, &calendar("UTC", [0, 2, 0, 2]), "2025-01-02T02:10:00Z"), @r"
    (9 due)
    Sun 2024-12-29 02:00 +00:00  the newest sealed as of the week 2024-W52
    (1 due)
    Tue 2024-12-31 02:00 +00:00  the newest sealed as of the year 2024
    (1 due)
    Thu 2025-01-02 02:00 +00:00  among the 1 newest sealed; the newest sealed as of the week 2025-W01; the newest sealed as of the year 2025
    ");
}

#[test]
fn months_have_28_to_31_days_and_leap_years_a_day_more() {
    let backups = every(24, "2026-10-01T02:00:00Z", "2027-05-31T02:00:00Z");
    insta::assert_snapshot!(local_table(&backups, &calendar("UTC", [0, 0, 6, 0]), "2027-05-31T02:10:00Z"), @r"
    (91 due)
    Thu 2026-12-31 02:00 +00:00  the newest sealed as of the month 2026-12
    (30 due)
    Sun 2027-01-31 02:00 +00:00  the newest sealed as of the month 2027-01
    (27 due)
    Sun 2027-02-28 02:00 +00:00  the newest sealed as of the month 2027-02
    (30 due)
    Wed 2027-03-31 02:00 +00:00  the newest sealed as of the month 2027-03
    (29 due)
    Fri 2027-04-30 02:00 +00:00  the newest sealed as of the month 2027-04
    (30 due)
    Mon 2027-05-31 02:00 +00:00  among the 1 newest sealed; the newest sealed as of the month 2027-05
    ");
    let leap = every(24, "2027-12-30T02:00:00Z", "2028-03-01T02:00:00Z");
    insta::assert_snapshot!(local_table(&leap, &calendar("UTC", [3, 0, 3, 2]), "2028-03-01T02:10:00Z"), @r"
    (1 due)
    Fri 2027-12-31 02:00 +00:00  the newest sealed as of the year 2027
    (30 due)
    Mon 2028-01-31 02:00 +00:00  the newest sealed as of the month 2028-01
    (27 due)
    Mon 2028-02-28 02:00 +00:00  the newest sealed as of the day 2028-02-28
    Tue 2028-02-29 02:00 +00:00  the newest sealed as of the day 2028-02-29; the newest sealed as of the month 2028-02
    Wed 2028-03-01 02:00 +00:00  among the 1 newest sealed; the newest sealed as of the day 2028-03-01; the newest sealed as of the month 2028-03; the newest sealed as of the year 2028
    ");
}

#[test]
fn a_period_lasts_five_minutes_longer_for_the_sake_of_clocks() {
    let backups = every(24, "2026-11-19T02:00:00Z", NOW);
    let stays = |now: &str, policy: &Policy| due(&backups, policy, at(now)).is_empty();
    let three_days = calendar("UTC", [3, 0, 0, 0]);
    assert!(stays("2026-11-22T00:04:59.999Z", &three_days));
    assert!(!stays("2026-11-22T00:05:00Z", &three_days));
    let ahead = [
        sealed("2026-11-30T23:00:00Z"),
        sealed("2026-12-01T00:03:00Z"),
    ];
    insta::assert_snapshot!(local_table(&ahead, &calendar("UTC", [0, 0, 1, 0]), "2026-11-30T23:59:00Z"), @r"
    Mon 2026-11-30 23:00 +00:00  the newest sealed as of the month 2026-11
    Tue 2026-12-01 00:03 +00:00  among the 1 newest sealed; the newest sealed as of the month 2026-12
    ");
}

#[test]
fn a_window_lasts_five_minutes_longer_too() {
    let backups = every(24, "2026-11-10T02:00:00Z", "2026-11-11T02:00:00Z");
    let due = |now: &str| due(&backups, &policy(7, 1), at(now)).len();
    assert_eq!(due("2026-11-18T02:05:00Z"), 0);
    assert_eq!(due("2026-11-18T02:05:00.001Z"), 1);
}

/// Superseded just as the window begins is inside it still, so there is nothing to ask.
#[test]
fn whoever_is_at_the_edge_of_the_window_is_not_asked_about() {
    let unread = by_name(&nightly(1..=2));
    for (now, asked) in [("2026-11-03T02:05:00Z", 0), ("2026-11-03T02:05:01Z", 1)] {
        let decided = plan(&nightly(1..=2), &policy(1, 1), at(now));
        let due = matches!(decided[0].verdict, Verdict::Due(_));
        let questions = unasked(&unread, &policy(1, 1), at(now));
        assert_eq!((questions.len(), due), (asked, asked == 1), "{now}");
    }
}

#[test]
fn a_count_beyond_the_calendar_keeps_the_newest_of_all_its_periods() {
    let backups = every(12, "2026-11-19T02:00:00Z", NOW);
    for periods in [
        [u32::MAX, 0, 0, 0],
        [0, u32::MAX, 0, 0],
        [0, 0, u32::MAX, 0],
        [0, 0, 0, u32::MAX],
    ] {
        let stay = backups.len() - due(&backups, &calendar("UTC", periods), at(NOW)).len();
        assert_eq!(stay, if periods[0] > 0 { 3 } else { 1 }, "{periods:?}");
    }
    let endless = policy(u32::MAX, 1);
    assert!(due(&backups, &endless, at(NOW)).is_empty());
    insta::assert_snapshot!(table(&backups[..1], &endless), @"2026-11-19T02:00:00Z  keep among the 1 newest sealed; inside the recovery window: nothing has superseded it");
    insta::assert_snapshot!(table(&backups[3..], &endless), @r"
    2026-11-20T14:00:00Z  keep inside the recovery window until 9999-12-30T22:00:00Z
    2026-11-21T02:00:00Z  keep among the 1 newest sealed; inside the recovery window: nothing has superseded it
    ");
}

#[test]
fn the_floor_and_a_hold_are_no_rules_but_stand_above_every_rule() {
    let backups = every(24, "2026-11-15T02:00:00Z", NOW);
    let hold: BTreeSet<String> = [backups[1].name.to_string(), "backup-other-1".into()].into();
    let no_rule = Policy {
        hold: hold.clone(),
        ..policy(0, 2)
    };
    assert!(no_rule.keeps_everything());
    assert!(due(&backups, &no_rule, at(NOW)).is_empty());
    let strict = Policy {
        hold,
        min: NonZeroU32::new(3).unwrap(),
        ..calendar("UTC", [1, 0, 0, 0])
    };
    assert!(!strict.keeps_everything());
    insta::assert_snapshot!(local_table(&backups, &strict, NOW), @r"
    (1 due)
    Mon 2026-11-16 02:00 +00:00  held by the plan
    (2 due)
    Thu 2026-11-19 02:00 +00:00  among the 3 newest sealed
    Fri 2026-11-20 02:00 +00:00  among the 3 newest sealed
    Sat 2026-11-21 02:00 +00:00  among the 3 newest sealed; the newest sealed as of the day 2026-11-21
    ");
}

#[test]
fn reasons_keep_their_names_in_json() {
    let reasons = [
        Keep::NoRetention,
        Keep::Manual,
        Keep::FutureSlot,
        Keep::NotOurs {
            created_at: at(NOW),
        },
        Keep::Unsealed,
        Keep::NotAsked,
        Keep::Held,
        Keep::Floor {
            min: NonZeroU32::MIN,
        },
        Keep::Window {
            until: Some(at(NOW)),
        },
        Keep::Window { until: None },
        Keep::NewestUnsealed,
        Keep::SourceGone,
        Keep::Planned,
        Keep::JobNotSealed,
        Keep::BeingRestored {
            restore: "nightly.0123456789abcdef".into(),
        },
    ];
    let periods = [
        Period::Daily,
        Period::Weekly,
        Period::Monthly,
        Period::Yearly,
    ];
    let periods = periods.map(|period| Keep::Period {
        period,
        of: period.label(period.first_day(jiff::civil::date(2026, 11, 21))),
    });
    let json: Vec<String> = reasons
        .iter()
        .chain(&periods)
        .map(|reason| format!("{} | {reason}", serde_json::to_string(reason).unwrap()))
        .collect();
    insta::assert_snapshot!(json.join("\n"), @r#"
    {"reason":"no_retention"} | the plan keeps everything
    {"reason":"manual"} | made by hand, kept for ever
    {"reason":"future_slot"} | its slot lies in the future
    {"reason":"not_ours","created_at":"2026-11-21T02:10:00Z"} | not ours: created 2026-11-21T02:10:00Z, which its name can't explain
    {"reason":"unsealed"} | never verified (unsealed)
    {"reason":"not_asked"} | not asked about: not due whatever the answer
    {"reason":"held"} | held by the plan
    {"reason":"floor","min":1} | among the 1 newest sealed
    {"reason":"window","until":"2026-11-21T02:10:00Z"} | inside the recovery window until 2026-11-21T02:10:00Z
    {"reason":"window","until":null} | inside the recovery window: nothing has superseded it
    {"reason":"newest_unsealed"} | the source's newest backup is not known to be sealed
    {"reason":"source_gone"} | its source no longer exists
    {"reason":"planned"} | to be made by this run
    {"reason":"job_not_sealed"} | this run did not seal a backup of the source
    {"reason":"being_restored","restore":"nightly.0123456789abcdef"} | being restored (nightly.0123456789abcdef)
    {"reason":"period","period":"daily","of":"2026-11-21"} | the newest sealed as of the day 2026-11-21
    {"reason":"period","period":"weekly","of":"2026-W47"} | the newest sealed as of the week 2026-W47
    {"reason":"period","period":"monthly","of":"2026-11"} | the newest sealed as of the month 2026-11
    {"reason":"period","period":"yearly","of":"2026"} | the newest sealed as of the year 2026
    "#);
}

/// Plays nights from names alone, as the function does, and counts what it asks in each.
fn questions(policy: &Policy, first: &str, nights: i64) -> (Vec<usize>, Vec<Backup>) {
    let mut standing: Vec<Backup> = Vec::new();
    let mut asked = Vec::new();
    for night in 0..nights {
        let slot = at(first) + SignedDuration::from_hours(24 * night);
        standing.push(sealed(&slot.to_string()));
        let now = slot + SignedDuration::from_mins(10);
        let mut known = by_name(&standing);
        let mut questions = 0;
        loop {
            let ask = unasked(&known, policy, now);
            if ask.is_empty() {
                break;
            }
            questions += ask.len();
            for index in ask {
                known[index].evidence = standing[index].evidence;
            }
        }
        asked.push(questions);
        let due = due(&known, policy, now);
        standing.retain(|backup| !due.contains(&backup.name.to_string()));
    }
    (asked, standing)
}

#[test]
fn years_of_nights_cost_a_few_questions_each() {
    let policy = Policy {
        days: NonZeroU32::new(7),
        ..calendar("Europe/Berlin", [14, 8, 12, 5])
    };
    let (asked, standing) = questions(&policy, "2024-01-01T02:00:00Z", 3 * 365);
    let most = asked.iter().max().unwrap();
    let total: usize = asked.iter().sum();
    let standing = standing.len();
    insta::assert_snapshot!(format!("at most {most} a night, {total} in {} nights, {standing} stand", asked.len()), @"at most 6 a night, 2126 in 1095 nights, 32 stand");
}

#[test]
fn nobody_is_asked_when_the_newest_failed_or_is_not_there() {
    let mut backups = by_name(&every(24, "2026-11-01T02:00:00Z", NOW));
    let last = backups.len() - 1;
    backups[last].evidence.as_mut().unwrap().sealed = false;
    assert!(unasked(&backups, &policy(7, 1), at(NOW)).is_empty());
    assert!(unasked(&[], &policy(7, 1), at(NOW)).is_empty());
}

#[test]
fn a_held_backup_and_the_only_one_of_its_month_are_not_asked_about() {
    let backups = [
        "2026-08-31T02:00:00Z",
        "2026-09-30T02:00:00Z",
        "2026-11-21T02:00:00Z",
    ]
    .map(sealed);
    let mut monthly = calendar("UTC", [0, 0, 3, 0]);
    assert_eq!(unasked(&by_name(&backups), &monthly, at(NOW)), [0]);
    monthly.hold = [backups[0].name.to_string()].into();
    assert!(unasked(&by_name(&backups), &monthly, at(NOW)).is_empty());
}

#[test]
fn the_successor_the_newest_and_one_of_each_period_vouch() {
    let backups = every(24, "2026-10-20T02:00:00Z", NOW);
    let policy = Policy {
        days: NonZeroU32::new(7),
        min: NonZeroU32::new(2).unwrap(),
        ..calendar("UTC", [0, 6, 2, 1])
    };
    let due = named(Class::Scheduled, at("2026-10-22T02:00:00Z"));
    let names: Vec<String> = vouching(&due, &backups, &policy, at(NOW))
        .iter()
        .map(|name| name.slot().instant().to_string())
        .collect();
    insta::assert_snapshot!(names.join("\n"), @r"
    2026-11-21T02:00:00Z
    2026-11-20T02:00:00Z
    2026-10-23T02:00:00Z
    ");
    let lone = vouching(&due, &backups[..3], &policy, at(NOW));
    assert!(lone.is_empty());
    let two = vouching(&due, &backups[..5], &policy, at(NOW));
    assert_eq!(two.len(), 2, "the successor is among the newest");
}

#[test]
fn a_successor_in_another_day_leaves_the_day_to_a_later_one() {
    // Local days 6, 7 (from 00:00 to 00:01), 6 again (from 23:01), and 7 again.
    let backups = [
        "2010-11-06T12:00:00Z",
        "2010-11-07T02:30:30Z",
        "2010-11-07T02:31:30Z",
        "2010-11-07T12:00:00Z",
    ]
    .map(sealed);
    let daily = calendar("America/St_Johns", [2, 0, 0, 0]);
    let now = at("2010-11-07T12:10:00Z");
    assert_eq!(
        due(&backups, &daily, now),
        [&backups[0], &backups[1]].map(|b| b.name.to_string())
    );
    let vouch = vouching(&backups[0].name, &backups, &daily, now);
    assert_eq!(
        vouch,
        [&backups[3], &backups[1], &backups[2]].map(|backup| &backup.name)
    );
}

#[test]
fn what_falls_due_is_told_in_days() {
    let policy = Policy {
        days: NonZeroU32::new(2),
        ..calendar("UTC", [0, 2, 0, 0])
    };
    let backups = every(24, "2026-11-14T02:00:00Z", NOW);
    let lines: Vec<String> = falls_due(&backups, &policy, at(NOW), 9)
        .iter()
        .map(|(name, day)| format!("{day}  {}", name.slot().instant()))
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    0  2026-11-14T02:00:00Z
    0  2026-11-16T02:00:00Z
    0  2026-11-17T02:00:00Z
    0  2026-11-18T02:00:00Z
    1  2026-11-19T02:00:00Z
    2  2026-11-15T02:00:00Z
    2  2026-11-20T02:00:00Z
    ");
    assert!(falls_due(&by_name(&backups), &policy, at(NOW), 30).is_empty());
}
