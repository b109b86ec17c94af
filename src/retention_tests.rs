//! Retention as tables a person can read, and the properties that must hold for every inventory, policy and clock.

use proptest::prelude::*;

use super::*;
use crate::name::{BackupPrefix, Namespace};
use crate::slot::Slot;

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

/// An inventory as the years leave it: nightly with gaps, some unsealed, some strange.
fn inventories() -> impl Strategy<Value = Vec<Backup>> {
    let entry = (
        0_i64..60,
        -600_i64..700_000,
        prop::bool::weighted(0.8),
        prop::bool::weighted(0.05),
    );
    prop::collection::vec(entry, 0..20).prop_map(|entries| {
        let start = at("2026-10-01T02:00:00Z").as_second();
        let mut backups: Vec<Backup> = entries
            .into_iter()
            .map(|(day, lag, sealed, manual)| {
                let slot = Timestamp::from_second(start + day * 86_400).unwrap();
                let lag = if sealed { lag % 4_000 } else { lag };
                let created_at = Timestamp::from_second(slot.as_second() + lag).unwrap();
                let class = if manual {
                    Class::Manual
                } else {
                    Class::Scheduled
                };
                Backup {
                    name: named(class, slot),
                    evidence: Some(Evidence { created_at, sealed }),
                }
            })
            .collect();
        backups.sort_by_key(|backup| backup.name.slot());
        backups.dedup_by_key(|backup| backup.name.slot());
        backups
    })
}

/// The same rules written again, the slow and obvious way.
fn naively_due(backups: &[Backup], policy: &Policy, now: Timestamp) -> Vec<String> {
    let ours = |backup: &&Backup| {
        let slot = backup.name.slot().instant().as_second();
        let lag = backup.evidence.unwrap().created_at.as_second() - slot;
        backup.name.class() == Class::Scheduled
            && slot <= now.as_second() + 300
            && (-300..=604_800).contains(&lag)
    };
    let owned: Vec<&Backup> = backups.iter().filter(ours).collect();
    let good: Vec<&Backup> = owned
        .iter()
        .copied()
        .filter(|backup| backup.evidence.unwrap().sealed)
        .collect();
    let Some(days) = policy.days else {
        return Vec::new();
    };
    if owned
        .last()
        .is_none_or(|newest| !newest.evidence.unwrap().sealed)
    {
        return Vec::new();
    }
    let mut due = Vec::new();
    for (rank, candidate) in good.iter().enumerate() {
        let after = good.len() - rank - 1;
        if after < policy.min.get() as usize {
            continue;
        }
        let next = good[rank + 1];
        let superseded = next
            .evidence
            .unwrap()
            .created_at
            .as_second()
            .max(next.name.slot().instant().as_second());
        if now.as_second() - superseded > i64::from(days.get()) * 86_400 + 300 {
            due.push(candidate.name.to_string());
        }
    }
    due
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn the_planner_agrees_with_the_obvious_one(
        backups in inventories(), days in 0_u32..40, min in 1_u32..5, day in 0_i64..70,
    ) {
        let now = Timestamp::from_second(at("2026-10-01T02:10:00Z").as_second() + day * 86_400).unwrap();
        prop_assert_eq!(due(&backups, &policy(days, min), now), naively_due(&backups, &policy(days, min), now));
    }

    #[test]
    fn asking_only_what_matters_deletes_exactly_the_same(
        backups in inventories(), days in 0_u32..40, min in 1_u32..5, day in 0_i64..70,
    ) {
        let now = Timestamp::from_second(at("2026-10-01T02:10:00Z").as_second() + day * 86_400).unwrap();
        let mut asked: Vec<Backup> = backups.iter().map(|backup| Backup { evidence: None, ..backup.clone() }).collect();
        loop {
            let ask = unasked(&asked, &policy(days, min), now);
            if ask.is_empty() {
                break;
            }
            for index in ask {
                prop_assert!(asked[index].evidence.is_none(), "asked twice");
                asked[index].evidence = backups[index].evidence;
            }
        }
        prop_assert_eq!(due(&asked, &policy(days, min), now), due(&backups, &policy(days, min), now));
    }

    #[test]
    fn keeping_more_never_deletes_more(backups in inventories(), days in 1_u32..40, min in 1_u32..5) {
        let now = at(NOW);
        let due_now = due(&backups, &policy(days, min), now);
        for kinder in [&policy(days + 1, min), &policy(days, min + 1), &policy(0, min)] {
            for name in due(&backups, kinder, now) {
                prop_assert!(due_now.contains(&name), "{name}");
            }
        }
    }

    #[test]
    fn an_unread_backup_is_never_due_and_every_kept_one_has_a_reason(
        backups in inventories(), days in 1_u32..40, hide in 0_usize..20,
    ) {
        let mut backups = backups;
        if let Some(backup) = backups.get_mut(hide) {
            backup.evidence = None;
        }
        for decision in plan(&backups, &policy(days, 1), at(NOW)) {
            match decision.verdict {
                Verdict::Keep(reasons) => prop_assert!(!reasons.is_empty(), "{}", decision.name),
                Verdict::Due(superseded) => prop_assert!(superseded.by != decision.name.to_string()),
            }
        }
        let unread = backups.get(hide).filter(|backup| backup.evidence.is_none()).map(|backup| backup.name.to_string());
        for name in due(&backups, &policy(days, 1), at(NOW)) {
            prop_assert!(unread.as_ref() != Some(&name));
        }
    }
}
