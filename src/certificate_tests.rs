//! Every refusal, once for itself, and the calendar that the certificate counts by.

use std::sync::LazyLock;

use super::*;

const NOW: &str = "2026-11-21T02:10:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn witness(source: &str, slot: &str) -> Witness {
    Witness {
        namespace: format!("backup-{source}-{:010}", at(slot).as_second()),
        created_at: at(slot),
        read_only: true,
        answered_at: Some(at(NOW)),
    }
}

fn old() -> Witness {
    witness("acme", "2026-11-10T02:00:00Z")
}

fn siblings() -> Vec<Witness> {
    vec![
        witness("acme", "2026-11-11T02:00:00Z"),
        witness("acme", "2026-11-21T02:00:00Z"),
    ]
}

fn check<'a>(
    candidate: &'a Witness,
    siblings: &'a [Witness],
    change: impl FnOnce(&mut Claim<'a>),
) -> Result<(), Refusal> {
    static UTC: TimeZone = TimeZone::UTC;
    static LISTING: LazyLock<ReadToTheEnd> = LazyLock::new(ReadToTheEnd::for_tests);
    let mut claim = Claim {
        candidate,
        siblings,
        prefix: "backup-",
        selects: &|source| source.starts_with("acme"),
        window_days: 7,
        daily: 0,
        weekly: 0,
        monthly: 0,
        yearly: 0,
        zone: &UTC,
        min: 1,
        held: &|_| false,
        being_restored: Some(false),
        lease: Lease::NoJournal,
        listing: &LISTING,
        now: at(NOW),
    };
    change(&mut claim);
    certify(&claim).map(|certificate| assert_eq!(certificate.namespace(), candidate.namespace))
}

#[test]
fn a_superseded_sealed_backup_is_certified() {
    assert_eq!(check(&old(), &siblings(), |_| ()), Ok(()));
}

#[test]
fn clocks_more_than_five_minutes_apart_refuse_either_way() {
    for local in ["2026-11-21T02:04:59Z", "2026-11-21T02:15:01Z"] {
        assert_eq!(
            check(&old(), &siblings(), |claim| claim.now = at(local)),
            Err(Refusal::ClocksDisagree)
        );
    }
    let undated = Witness {
        answered_at: None,
        ..old()
    };
    assert_eq!(
        check(&undated, &siblings(), |_| ()),
        Err(Refusal::ClocksDisagree)
    );
}

#[test]
fn names_of_others_refuse() {
    for stray in [
        "backup-",
        "backup-0012345678",
        "backup--1762740000",
        "backup-acme-1_7_6_2_74",
        "backup-acme-+762740000",
        "backup-acme1762740000",
        "other-acme-1762740000",
        "",
        "1762740000",
        "backup-é-1762740000x",
    ] {
        let candidate = Witness {
            namespace: stray.into(),
            ..old()
        };
        let refused = check(&candidate, &siblings(), |_| ());
        assert_eq!(refused, Err(Refusal::NotABackupName), "{stray:?}");
    }
    let unnamed = check(&old(), &siblings(), |claim| claim.prefix = "");
    assert_eq!(
        unnamed,
        Err(Refusal::NotABackupName),
        "an empty prefix owns nothing"
    );
}

#[test]
fn a_source_outside_the_selectors_refuses() {
    let candidate = witness("globex", "2026-11-10T02:00:00Z");
    assert_eq!(
        check(&candidate, &siblings(), |_| ()),
        Err(Refusal::NotSelected)
    );
}

#[test]
fn creation_that_the_name_cant_explain_refuses() {
    for created_at in ["2026-11-10T01:54:59Z", "2026-11-17T02:00:01Z"] {
        let candidate = Witness {
            created_at: at(created_at),
            ..old()
        };
        assert_eq!(
            check(&candidate, &siblings(), |_| ()),
            Err(Refusal::NotOurs),
            "{created_at}"
        );
    }
}

#[test]
fn an_unsealed_candidate_refuses() {
    let candidate = Witness {
        read_only: false,
        ..old()
    };
    assert_eq!(
        check(&candidate, &siblings(), |_| ()),
        Err(Refusal::Unsealed)
    );
}

#[test]
fn only_a_sealed_newer_sibling_of_the_same_source_older_than_the_window_supersedes() {
    let fresh = &siblings()[1..];
    assert_eq!(
        check(&old(), fresh, |_| ()),
        Err(Refusal::NotSuperseded),
        "superseded inside the window"
    );
    for spoil in [
        |sibling: &mut Witness| sibling.read_only = false,
        |sibling: &mut Witness| sibling.answered_at = None,
        |sibling: &mut Witness| sibling.created_at = at("2026-11-19T02:00:00Z"),
        |sibling: &mut Witness| *sibling = witness("acme-2", "2026-11-11T02:00:00Z"),
        |sibling: &mut Witness| *sibling = witness("acme", "2026-11-09T02:00:00Z"),
    ] {
        let mut spoilt = siblings();
        spoil(&mut spoilt[0]);
        assert_eq!(
            check(&old(), &spoilt, |_| ()),
            Err(Refusal::NotSuperseded),
            "{:?}",
            spoilt[0]
        );
    }
}

#[test]
fn the_floor_holds_and_a_sibling_counts_once() {
    assert_eq!(check(&old(), &siblings(), |claim| claim.min = 2), Ok(()));
    assert_eq!(
        check(&old(), &siblings(), |claim| claim.min = 3),
        Err(Refusal::BelowFloor)
    );
    let mut twice = siblings();
    twice.push(siblings()[0].clone());
    assert_eq!(
        check(&old(), &twice, |claim| claim.min = 3),
        Err(Refusal::BelowFloor)
    );
    let future = [
        siblings()[0].clone(),
        witness("acme", "2026-12-21T02:00:00Z"),
    ];
    assert_eq!(
        check(&old(), &future, |claim| claim.min = 2),
        Err(Refusal::BelowFloor)
    );
}

#[test]
fn a_slot_up_to_five_minutes_ahead_counts() {
    for (slot, answer) in [
        ("2026-11-21T02:15:00Z", Ok(())),
        ("2026-11-21T02:15:01Z", Err(Refusal::BelowFloor)),
    ] {
        let ahead = [siblings()[0].clone(), witness("acme", slot)];
        assert_eq!(
            check(&old(), &ahead, |claim| claim.min = 2),
            answer,
            "{slot}"
        );
    }
}

/// The candidate was superseded on the 11th at 02:00, and the days whose newest stays end at midnight.
#[test]
fn window_and_periods_are_judged_by_the_clock_that_is_behind() {
    let judged = |days: u32, daily: u32, local: &str, service: &str| {
        let seen = |slot: &str| Witness {
            answered_at: Some(at(service)),
            ..witness("acme", slot)
        };
        let siblings = ["2026-11-11T02:00:00Z", "2026-11-17T02:00:00Z"].map(seen);
        check(&seen("2026-11-10T02:00:00Z"), &siblings, |claim| {
            (claim.window_days, claim.daily) = (days, daily);
            claim.now = at(local);
        })
    };
    for (local, service, answer) in [
        ("02:00:00Z", "02:00:00Z", Err(Refusal::NotSuperseded)),
        ("02:00:00.001Z", "02:00:00.001Z", Ok(())),
        ("02:05:00Z", "02:00:00Z", Err(Refusal::NotSuperseded)),
        ("02:00:00Z", "02:05:00Z", Err(Refusal::NotSuperseded)),
        ("02:05:00.001Z", "02:00:00.001Z", Ok(())),
    ] {
        let [local, service] = [local, service].map(|time| format!("2026-11-18T{time}"));
        assert_eq!(judged(7, 0, &local, &service), answer, "{local} {service}");
    }
    for (local, service, answer) in [
        (
            "2026-11-18T00:04:59Z",
            "2026-11-17T23:59:59Z",
            Err(Refusal::NewestOfPeriod),
        ),
        (
            "2026-11-17T23:59:59Z",
            "2026-11-18T00:04:59Z",
            Err(Refusal::NewestOfPeriod),
        ),
        ("2026-11-18T00:04:59Z", "2026-11-18T00:00:00Z", Ok(())),
    ] {
        assert_eq!(judged(0, 8, local, service), answer, "{local} {service}");
    }
}

#[test]
fn a_policy_without_a_rule_refuses() {
    let no_rule = |claim: &mut Claim<'_>| claim.window_days = 0;
    assert_eq!(check(&old(), &siblings(), no_rule), Err(Refusal::NoRule));
    let zero = check(&old(), &siblings(), |claim| {
        claim.window_days = 0;
        claim.min = 0;
    });
    assert_eq!(zero, Err(Refusal::NoRule));
}

#[test]
fn held_and_manual_backups_refuse() {
    let name = old().namespace;
    let held = |held: &str| held == name;
    assert_eq!(
        check(&old(), &siblings(), |claim| claim.held = &held),
        Err(Refusal::Held)
    );
    for prefix in ["backup-", "manual-", "manual-backup-", "m"] {
        let manual = Witness {
            namespace: format!("manual-{name}"),
            ..old()
        };
        assert_eq!(
            check(&manual, &siblings(), |claim| claim.prefix = prefix),
            Err(Refusal::Manual)
        );
    }
}

/// A lease that nobody else had before.
fn until(until: Timestamp) -> Lease {
    let from = Timestamp::UNIX_EPOCH;
    Lease::Ours { from, until }
}

/// The local clock says ten past two, and the service another time; the lease counts by both.
#[test]
fn a_lease_counts_by_the_local_clock_and_by_the_services() {
    for (service, from, end, answer) in [
        ("02:10:00", "02:10:00", "02:11:00", Ok(())),
        ("02:14:00", "02:10:00", "02:15:00", Ok(())),
        ("02:14:00", "02:10:00", "02:14:59", Err(Refusal::LeaseLost)),
        ("02:06:00", "02:06:00", "02:10:59", Err(Refusal::LeaseLost)),
        ("02:06:00", "02:06:00", "02:11:00", Ok(())),
        (
            "02:06:00",
            "02:06:01",
            "02:11:00",
            Err(Refusal::EarlierLeaseLasts),
        ),
        (
            "02:14:00",
            "02:10:01",
            "02:15:00",
            Err(Refusal::EarlierLeaseLasts),
        ),
        // Both clocks agree, and it was taken just as the earlier one ended.
        (
            "02:10:00",
            "02:10:01",
            "02:13:00",
            Err(Refusal::EarlierLeaseLasts),
        ),
    ] {
        let day = |time: &str| at(&format!("2026-11-21T{time}Z"));
        let answered_at = Some(day(service));
        let candidate = Witness {
            answered_at,
            ..old()
        };
        let siblings = siblings().into_iter();
        let siblings: Vec<Witness> = siblings
            .map(|sibling| Witness {
                answered_at,
                ..sibling
            })
            .collect();
        let lease = Lease::Ours {
            from: day(from),
            until: day(end),
        };
        let certified = check(&candidate, &siblings, |claim| claim.lease = lease);
        assert_eq!(certified, answer, "{service}: {from} to {end}");
    }
    let lost = check(&old(), &siblings(), |claim| claim.lease = Lease::Lost);
    assert_eq!(lost, Err(Refusal::LeaseLost));
}

#[test]
fn a_lease_that_ends_within_a_minute_refuses() {
    for (end, answer) in [
        ("2026-11-21T02:11:00Z", Ok(())),
        ("2026-11-21T02:10:59.999Z", Err(Refusal::LeaseLost)),
        ("2026-11-21T02:10:00Z", Err(Refusal::LeaseLost)),
        ("2026-11-20T02:10:00Z", Err(Refusal::LeaseLost)),
    ] {
        let ends = |claim: &mut Claim<'_>| claim.lease = until(at(end));
        assert_eq!(check(&old(), &siblings(), ends), answer, "{end}");
    }
}

#[test]
fn a_newest_backup_that_is_not_sealed_or_in_doubt_refuses() {
    for spoil in [
        |newest: &mut Witness| newest.read_only = false,
        |newest: &mut Witness| newest.answered_at = None,
        |newest: &mut Witness| newest.answered_at = Some(at("2026-11-21T02:04:59Z")),
    ] {
        let mut spoilt = siblings();
        spoil(&mut spoilt[1]);
        let refused = check(&old(), &spoilt, |_| ());
        assert_eq!(refused, Err(Refusal::NewestUnsealed), "{:?}", spoilt[1]);
    }
    // What is not ours can't block: its creation is out of place, or it is another source's.
    let mut foreign = siblings();
    foreign.push(Witness {
        created_at: at("2026-11-20T02:00:00Z"),
        read_only: false,
        ..witness("acme", "2026-11-21T02:05:00Z")
    });
    foreign.push(Witness {
        read_only: false,
        ..witness("acme-2", "2026-11-21T02:05:00Z")
    });
    assert_eq!(check(&old(), &foreign, |_| ()), Ok(()));
}

#[test]
fn of_two_answers_about_one_backup_the_worse_counts() {
    for worse in [
        |sibling: &mut Witness| sibling.read_only = false,
        |sibling: &mut Witness| sibling.created_at = at("2026-11-15T02:00:00Z"),
    ] {
        let mut siblings = siblings();
        let mut other = siblings[0].clone();
        worse(&mut other);
        for at in [0, 3] {
            siblings.insert(at.min(siblings.len()), other.clone());
        }
        assert_eq!(
            check(&old(), &siblings, |_| ()),
            Err(Refusal::NotSuperseded)
        );
    }
}

/// The candidate's slot, a newer one's, and the newest's; whether the first may go under `[days, weeks, months, years]`.
fn may_go(zone: &str, counts: [u32; 4], slots: [&str; 3], now: &str) -> bool {
    let zone = TimeZone::get(zone).unwrap();
    let answered = |slot: &str| Witness {
        answered_at: Some(at(now)),
        ..witness("acme", slot)
    };
    let [candidate, newer, newest] = slots.map(answered);
    let answer = check(&candidate, &[newer, newest], |claim| {
        claim.window_days = 0;
        [claim.daily, claim.weekly, claim.monthly, claim.yearly] = counts;
        claim.zone = &zone;
        claim.now = at(now);
    });
    assert!(
        matches!(answer, Ok(()) | Err(Refusal::NewestOfPeriod)),
        "{answer:?}"
    );
    answer.is_ok()
}

#[test]
fn the_newest_sealed_of_a_kept_period_refuses() {
    let now = "2026-11-21T02:10:00Z"; // a Saturday
    let table = "
        daily   2 UTC           2026-11-20T00:00:00Z 2026-11-20T23:59:59Z goes  a newer one the same day
        daily   2 UTC           2026-11-20T23:59:59Z 2026-11-21T00:00:00Z stays
        daily   2 UTC           2026-11-19T23:59:59Z 2026-11-20T00:00:00Z goes  the third day
        daily   3 Europe/Berlin 2026-11-19T23:00:00Z 2026-11-20T22:59:59Z goes  the same day in Berlin
        daily   3 Europe/Berlin 2026-11-19T22:59:59Z 2026-11-19T23:00:00Z stays
        weekly  2 UTC           2026-11-15T23:59:59Z 2026-11-16T00:00:00Z stays Sunday to Monday
        weekly  2 UTC           2026-11-09T00:00:00Z 2026-11-15T23:59:59Z goes  Monday to Sunday
        weekly  2 UTC           2026-11-08T23:59:59Z 2026-11-09T00:00:00Z goes  the third week
        monthly 2 UTC           2026-10-31T23:59:59Z 2026-11-01T00:00:00Z stays
        monthly 2 UTC           2026-10-01T00:00:00Z 2026-10-31T23:59:59Z goes
        monthly 2 UTC           2026-09-30T23:59:59Z 2026-10-01T00:00:00Z goes  the third month
        yearly  2 UTC           2025-12-31T23:59:59Z 2026-01-01T00:00:00Z stays
        yearly  2 UTC           2025-01-01T00:00:00Z 2025-12-31T23:59:59Z goes
        yearly  2 UTC           2024-12-31T23:59:59Z 2025-01-01T00:00:00Z goes  the third year
        daily   3 UTC           2026-11-17T02:00:00Z 2026-11-20T02:00:00Z stays for the 19th, which has none
        daily   2 UTC           2026-11-17T02:00:00Z 2026-11-20T02:00:00Z goes
        weekly  2 UTC           2026-10-01T02:00:00Z 2026-11-16T00:00:00Z stays for the week before
        weekly  1 UTC           2026-10-01T02:00:00Z 2026-11-16T00:00:00Z goes
        monthly 2 UTC           2026-08-31T02:00:00Z 2026-11-01T00:00:00Z stays for October
        yearly  3 UTC           2023-01-01T02:00:00Z 2025-01-01T00:00:00Z stays for 2024
        yearly  4294967295 UTC  1970-01-01T00:00:00Z 1971-01-01T00:00:00Z stays for ever
    ";
    for line in table.lines().filter(|line| !line.trim().is_empty()) {
        let mut words = line.split_whitespace();
        let [rule, count, zone, candidate, newer, answer] = [(); 6].map(|()| words.next().unwrap());
        let count = count.parse().unwrap();
        let counts = ["daily", "weekly", "monthly", "yearly"]
            .map(|each| if each == rule { count } else { 0 });
        let slots = [candidate, newer, "2026-11-21T02:00:00Z"];
        assert_eq!(may_go(zone, counts, slots, now), answer == "goes", "{line}");
    }
    let slots = [
        "2025-12-31T23:59:59Z",
        "2026-01-01T00:00:00Z",
        "2026-11-21T02:00:00Z",
    ];
    assert!(
        !may_go("UTC", [1, 1, 1, 2], slots, now),
        "any one rule is enough"
    );
}

#[test]
fn clocks_that_change_and_days_that_never_were_are_counted_alike() {
    for (what, zone, counts, slots, now, goes) in [
        (
            "the hour that comes twice",
            "Europe/Berlin",
            [2, 0, 0, 0],
            [
                "2026-10-25T00:30:00Z",
                "2026-10-25T01:30:00Z",
                "2026-10-26T01:30:00Z",
            ],
            "2026-10-26T02:00:00Z",
            true,
        ),
        (
            "the last hour of a day of 25",
            "Europe/Berlin",
            [2, 0, 0, 0],
            [
                "2026-10-25T22:59:59Z",
                "2026-10-25T23:00:00Z",
                "2026-10-26T01:30:00Z",
            ],
            "2026-10-26T02:00:00Z",
            false,
        ),
        (
            "the 30th of December 2011 never came to Samoa, but it counts",
            "Pacific/Apia",
            [2, 0, 0, 0],
            [
                "2011-12-29T23:00:00Z",
                "2011-12-30T23:00:00Z",
                "2011-12-31T23:00:00Z",
            ],
            "2011-12-31T23:10:00Z",
            true,
        ),
        (
            "and its state is that of the 29th",
            "Pacific/Apia",
            [3, 0, 0, 0],
            [
                "2011-12-29T23:00:00Z",
                "2011-12-30T23:00:00Z",
                "2011-12-31T23:00:00Z",
            ],
            "2011-12-31T23:10:00Z",
            false,
        ),
        (
            "the third of January is in week 53 of the year before",
            "UTC",
            [0, 2, 0, 0],
            [
                "2027-01-02T02:00:00Z",
                "2027-01-03T02:00:00Z",
                "2027-01-04T02:00:00Z",
            ],
            "2027-01-04T02:10:00Z",
            true,
        ),
    ] {
        assert_eq!(may_go(zone, counts, slots, now), goes, "{what}");
    }
}

#[test]
fn years_and_months_are_those_of_the_calendar() {
    let mut date = jiff::civil::date(1600, 1, 1);
    let mut day = -135_140; // to 1970
    while date.year() < 2401 {
        let months = i64::from(date.month());
        assert_eq!(
            year_and_month(day),
            (i64::from(date.year()), months),
            "{date}"
        );
        date = date.tomorrow().unwrap();
        day += 1;
    }
}

#[test]
fn a_backup_is_no_newer_sibling_of_its_own() {
    let newest = witness("acme", "2026-11-10T02:00:00Z");
    let alone = check(&newest, &[], |_| ());
    assert!(alone.is_err());
    assert_eq!(check(&newest, std::slice::from_ref(&newest), |_| ()), alone);
}

fn discard<'a>(
    candidate: &'a Witness,
    siblings: &'a [Witness],
    change: impl FnOnce(&mut DiscardClaim<'a>),
) -> Result<(), Refusal> {
    static LISTING: LazyLock<ReadToTheEnd> = LazyLock::new(ReadToTheEnd::for_tests);
    let mut claim = DiscardClaim {
        named: &candidate.namespace,
        candidate,
        siblings,
        prefix: "backup-",
        selects: &|source| source.starts_with("acme"),
        held: &|_| false,
        lease: Lease::NoJournal,
        listing: &LISTING,
        now: at(NOW),
    };
    change(&mut claim);
    certify_discard(&claim)
        .map(|certificate| assert_eq!(certificate.namespace(), candidate.namespace))
}

fn manual(mut witness: Witness) -> Witness {
    witness.namespace.insert_str(0, "manual-");
    witness
}

fn unsealed(witness: Witness) -> Witness {
    Witness {
        read_only: false,
        ..witness
    }
}

#[test]
fn a_named_backup_that_can_be_spared_may_be_discarded() {
    for candidate in [old(), manual(old()), unsealed(old())] {
        assert_eq!(discard(&candidate, &siblings(), |_| ()), Ok(()));
    }
    // Agreeing clocks may be five minutes apart, so a newer one may seem to be of the future.
    let ahead = at(NOW) + SignedDuration::from_mins(4);
    let newer = witness("acme", &ahead.to_string());
    assert_eq!(discard(&old(), &[newer], |_| ()), Ok(()));
    // What was never sealed can be spared whatever else there is.
    assert_eq!(discard(&unsealed(old()), &[], |_| ()), Ok(()));
}

#[test]
fn the_newest_sealed_backup_is_never_discarded() {
    let newest = witness("acme", "2026-11-21T02:00:00Z");
    for siblings in [
        vec![],
        vec![old()],
        vec![old(), unsealed(witness("acme", "2026-11-21T02:05:00Z"))],
        vec![witness("acme-x", "2026-11-21T02:05:00Z")],
        vec![Witness {
            namespace: "somebody-elses".into(),
            ..witness("acme", "2026-11-21T02:05:00Z")
        }],
        vec![manual(witness("acme", "2026-11-21T02:05:00Z"))],
        vec![witness("acme", "2026-11-21T02:30:00Z")], // in the future
        vec![Witness {
            created_at: at("2026-10-01T00:00:00Z"),
            ..witness("acme", "2026-11-21T02:05:00Z")
        }],
        vec![Witness {
            answered_at: None,
            ..witness("acme", "2026-11-21T02:05:00Z")
        }],
    ] {
        let refused = discard(&newest, &siblings, |_| ());
        assert_eq!(refused, Err(Refusal::NewestSealed), "{siblings:?}");
    }
    let by_hand = manual(witness("acme", "2026-11-21T02:00:00Z"));
    assert_eq!(
        discard(&by_hand, &[newest], |_| ()),
        Err(Refusal::NewestSealed),
        "of the same slot is not newer"
    );
    assert_eq!(
        discard(&by_hand, &[old()], |_| ()),
        Err(Refusal::NewestSealed)
    );
    let later = [witness("acme", "2026-11-21T02:05:00Z")];
    assert_eq!(discard(&by_hand, &later, |_| ()), Ok(()));
}

#[test]
fn what_was_not_named_is_held_or_is_not_ours_is_never_discarded() {
    let (candidate, siblings) = (old(), siblings());
    let check =
        |change: fn(&mut DiscardClaim<'_>)| discard(&candidate, &siblings, |claim| change(claim));
    assert_eq!(
        check(|claim| claim.named = "backup-acme-1762740001"),
        Err(Refusal::NotNamed)
    );
    assert_eq!(
        check(|claim| claim.named = "backup-acme"),
        Err(Refusal::NotNamed)
    );
    assert_eq!(check(|claim| claim.held = &|_| true), Err(Refusal::Held));
    assert_eq!(
        check(|claim| claim.selects = &|_| false),
        Err(Refusal::NotSelected)
    );
    assert_eq!(
        check(|claim| claim.prefix = "other-"),
        Err(Refusal::NotABackupName)
    );
    assert_eq!(
        check(|claim| claim.prefix = ""),
        Err(Refusal::NotABackupName)
    );
    assert_eq!(
        check(|claim| claim.now = at("2026-11-21T02:16:00Z")),
        Err(Refusal::ClocksDisagree)
    );
    let ended = |claim: &mut DiscardClaim<'_>| claim.lease = until(at("2026-11-21T02:10:59Z"));
    assert_eq!(check(ended), Err(Refusal::LeaseLost));
    let of_another_year = Witness {
        created_at: at("2026-11-19T00:00:00Z"),
        ..old()
    };
    assert_eq!(
        discard(&of_another_year, &siblings, |_| ()),
        Err(Refusal::NotOurs)
    );
}

#[test]
fn what_is_being_restored_or_may_be_is_refused() {
    for (being_restored, refusal) in [
        (Some(true), Refusal::BeingRestored),
        (None, Refusal::HoldsUnread),
    ] {
        assert_eq!(
            check(&old(), &siblings(), |claim| claim.being_restored =
                being_restored),
            Err(refusal)
        );
    }
}

/// A scratch of the plan `nightly`, made half a minute after its drill's slot.
fn scratch(slot: &str) -> (Witness, String) {
    use crate::name::{BackupName, BackupPrefix, ScratchName};
    use crate::slot::Slot;
    let text = format!("backup-acme-{:010}", at("2026-11-20T02:00:00Z").as_second());
    let backup = BackupName::parse(&BackupPrefix::parse("backup-").unwrap(), &text).unwrap();
    let name = ScratchName::of("nightly", Slot::of(at(slot)).unwrap(), &backup);
    let witness = Witness {
        namespace: name.to_string(),
        created_at: at(slot) + SignedDuration::from_secs(30),
        read_only: true,
        answered_at: Some(at(NOW)),
    };
    (witness, text)
}

fn check_scratch(
    candidate: &Witness,
    word: ScratchWord<'_>,
    change: impl FnOnce(&mut ScratchClaim<'_>),
) -> Result<(), Refusal> {
    let mut claim = ScratchClaim {
        candidate,
        plan: "nightly",
        word,
        lease: Lease::NoJournal,
        now: at(NOW),
    };
    change(&mut claim);
    certify_scratch(&claim)
        .map(|certificate| assert_eq!(certificate.namespace(), candidate.namespace))
}

#[test]
fn a_scratch_goes_on_the_word_of_its_drill_and_of_no_other() {
    let (scratch, backup) = scratch("2026-11-21T02:00:00Z");
    let ours = ScratchWord::Ours(&backup);
    assert_eq!(check_scratch(&scratch, ours, |_| ()), Ok(()));
    let other = ScratchWord::Ours("backup-acme-0000000000");
    assert_eq!(
        check_scratch(&scratch, other, |_| ()),
        Err(Refusal::NotAScratch)
    );
    let weekly = check_scratch(&scratch, ours, |claim| claim.plan = "weekly");
    assert_eq!(weekly, Err(Refusal::NotAScratch));
    let late = check_scratch(&scratch, ours, |claim| {
        claim.now += SignedDuration::from_mins(6);
    });
    assert_eq!(late, Err(Refusal::ClocksDisagree));
    let lost = check_scratch(&scratch, ours, |claim| claim.lease = until(at(NOW)));
    assert_eq!(lost, Err(Refusal::LeaseLost));
}

#[test]
fn what_only_looks_like_a_scratch_stays() {
    let (good, backup) = scratch("2026-11-21T02:00:00Z");
    let ours = ScratchWord::Ours(&backup);
    let refused = |change: &dyn Fn(&mut Witness)| {
        let mut witness = good.clone();
        change(&mut witness);
        check_scratch(&witness, ours, |_| ()).unwrap_err()
    };
    assert_eq!(refused(&|seen| seen.read_only = false), Refusal::TakenOver);
    let before = |seen: &mut Witness| seen.created_at = at("2026-11-21T01:54:59Z");
    assert_eq!(refused(&before), Refusal::NotOurs);
    let after = |seen: &mut Witness| seen.created_at = at("2026-11-28T02:00:01Z");
    assert_eq!(refused(&after), Refusal::NotOurs);
    let name = good.namespace.clone();
    let swapped = |from: &str, to: &str| name.replace(from, to);
    let last = |letter: char| {
        let other = if letter == 'a' { 'b' } else { 'a' };
        format!("{}{other}", name.strip_suffix(letter).unwrap())
    };
    for text in [
        swapped("lifeboat-drill-", "lifeboat-drills-"),
        swapped("lifeboat-drill-1", "lifeboat-drill-2"),
        swapped("lifeboat-drill-", "backup-lifeboat-drill-"),
        last(name.chars().last().unwrap()),
        format!("{name}a"),
        backup.clone(),
        "acme".to_owned(),
        String::new(),
    ] {
        let stray = |seen: &mut Witness| seen.namespace = text.clone();
        assert_eq!(refused(&stray), Refusal::NotAScratch, "{text}");
    }
}

/// Whoever can compute the letters at the end gets no further than the grammar lets him.
#[test]
fn letters_that_vouch_for_another_shape_are_worth_nothing() {
    let forged = |begin: &str, digits: &str, tag: &str, letters: usize| {
        let vouched = format!("{begin}-{digits}-{tag}");
        let check = half_bytes(&format!("nightly\n{vouched}"), letters);
        Witness {
            namespace: format!("{vouched}{check}"),
            ..scratch("2026-11-20T02:09:00Z").0
        }
    };
    let digits = format!("{:010}", at("2026-11-20T02:09:00Z").as_second());
    let (drill, tag) = ("lifeboat-drill", "abcdefghijkl");
    let judged = |witness: &Witness| {
        let word = ScratchWord::Left { open: Some(false) };
        check_scratch(witness, word, |_| ())
    };
    assert_eq!(judged(&forged(drill, &digits, tag, 8)), Ok(()));
    for witness in [
        forged("backup", &digits, tag, 8),
        forged(drill, &format!("0{digits}"), tag, 8),
        forged(drill, &digits, tag, 9),
        forged(drill, &digits, "abcdefghijk", 8),
    ] {
        let refused = judged(&witness);
        assert_eq!(refused, Err(Refusal::NotAScratch), "{}", witness.namespace);
    }
}

#[test]
fn a_scratch_that_was_left_goes_after_a_day_if_no_open_drill_names_it() {
    let (old, _) = scratch("2026-11-20T02:09:00Z");
    let (young, _) = scratch("2026-11-20T02:09:30Z"); // a day to the second
    let left = |open| ScratchWord::Left { open };
    assert_eq!(check_scratch(&old, left(Some(false)), |_| ()), Ok(()));
    for (scratch, open) in [(&young, Some(false)), (&old, Some(true)), (&old, None)] {
        let refused = check_scratch(scratch, left(open), |_| ());
        assert_eq!(refused, Err(Refusal::BeingDrilled));
    }
}
