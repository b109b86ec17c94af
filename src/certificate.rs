//! The last check before a DELETE, from metadata read for it a moment ago.
//!
//! A second pair of eyes: it shares no code with the planner in `retention`, nor with the codec in `name`, so that a
//! mistake in either is stopped here. A [`DeletionCertificate`] can be had from [`certify`] alone, and the services'
//! `delete` takes nothing else.

use jiff::Timestamp;

use crate::listing::ReadToTheEnd;

const CLOCKS_AGREE_WITHIN_SECONDS: i64 = 5 * 60;
const MADE_WITHIN_SECONDS: i64 = 7 * 24 * 60 * 60;
const DAY_SECONDS: i64 = 24 * 60 * 60;

/// The right to delete one namespace, once.
#[derive(Debug)]
pub struct DeletionCertificate {
    namespace: String,
}

impl DeletionCertificate {
    /// The namespace that may be deleted.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }
}

/// One namespace as the service showed it just now.
#[derive(Clone, Debug)]
pub struct Witness {
    /// Its name.
    pub namespace: String,
    /// When the service created it.
    pub created_at: Timestamp,
    /// The seal.
    pub read_only: bool,
    /// The `Date` of the service's answer.
    pub answered_at: Option<Timestamp>,
}

/// What is claimed: that `candidate` is due under the plan, and these siblings show it.
pub struct Claim<'a> {
    /// The backup to delete.
    pub candidate: &'a Witness,
    /// Backups of the same source, read just now; those that are no proof count for nothing.
    pub siblings: &'a [Witness],
    /// The plan's backup prefix.
    pub prefix: &'a str,
    /// Whether the plan selects this source.
    pub selects: &'a dyn Fn(&str) -> bool,
    /// Recovery window, days of 24 hours.
    pub window_days: u32,
    /// Sealed backups of the source that must remain.
    pub min: u32,
    /// That the target's listing was read to its end, without repeats.
    pub listing: &'a ReadToTheEnd,
    /// The local clock.
    pub now: Timestamp,
}

/// Why a deletion was refused. The backup stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The service's answer has no date, or another one than the local clock.
    #[error(
        "the local clock and the service's differ by more than five minutes, or the service did not say its time"
    )]
    ClocksDisagree,
    /// The name is not exactly prefix, source, hyphen, ten digits.
    #[error("the name is not a backup of this plan")]
    NotABackupName,
    /// The plan does not select the source.
    #[error("the plan does not select its source")]
    NotSelected,
    /// Creation and slot do not belong together.
    #[error("the service created it at a time its name can't explain")]
    NotOurs,
    /// Never verified, or unsealed since.
    #[error("it is not sealed")]
    Unsealed,
    /// No sealed backup superseded it before the recovery window began.
    #[error("no newer sealed backup superseded it before the recovery window")]
    NotSuperseded,
    /// Too few newer sealed backups would remain.
    #[error("too few newer sealed backups would remain")]
    BelowFloor,
}

/// Checks the claim. Whatever it can't prove from the witnesses is a refusal.
pub fn certify(claim: &Claim<'_>) -> Result<DeletionCertificate, Refusal> {
    let today =
        agreed_time(claim.now, claim.candidate.answered_at).ok_or(Refusal::ClocksDisagree)?;
    let (source, slot) =
        read_name(claim.prefix, &claim.candidate.namespace).ok_or(Refusal::NotABackupName)?;
    if !(claim.selects)(source) {
        return Err(Refusal::NotSelected);
    }
    if !made_for(slot, claim.candidate.created_at) {
        return Err(Refusal::NotOurs);
    }
    if !claim.candidate.read_only {
        return Err(Refusal::Unsealed);
    }
    let newer = newer_sealed_slots(claim, source, slot);
    let window_start = today - i64::from(claim.window_days) * DAY_SECONDS;
    if claim.window_days == 0 || !newer.iter().any(|(_, existed)| *existed < window_start) {
        return Err(Refusal::NotSuperseded);
    }
    if newer.len() < usize::try_from(claim.min.max(1)).unwrap_or(usize::MAX) {
        return Err(Refusal::BelowFloor);
    }
    Ok(DeletionCertificate {
        namespace: claim.candidate.namespace.clone(),
    })
}

/// The earlier of both clocks, in Unix seconds, if they agree: the one under which less is due.
fn agreed_time(local: Timestamp, service: Option<Timestamp>) -> Option<i64> {
    let (local, service) = (local.as_second(), service?.as_second());
    let agree = (local - service).abs() <= CLOCKS_AGREE_WITHIN_SECONDS;
    agree.then_some(local.min(service))
}

/// Source and slot, read from the end of the name backwards.
fn read_name<'a>(prefix: &str, name: &'a str) -> Option<(&'a str, i64)> {
    let mut slot = 0;
    let mut power = 1;
    let mut bytes = name.bytes().rev();
    for _ in 0..10 {
        let digit = bytes.next().filter(u8::is_ascii_digit)?;
        slot += i64::from(digit - b'0') * power;
        power *= 10;
    }
    bytes.next().filter(|byte| *byte == b'-')?;
    let source = name.get(prefix.len()..name.len() - 11)?;
    let ours = !prefix.is_empty() && !source.is_empty() && name.starts_with(prefix);
    ours.then_some((source, slot))
}

/// Whether a copy for `slot` could have been created at `created_at`.
fn made_for(slot: i64, created_at: Timestamp) -> bool {
    let after = created_at.as_second() - slot;
    (-CLOCKS_AGREE_WITHIN_SECONDS..=MADE_WITHIN_SECONDS).contains(&after)
}

/// Slots of the distinct, sealed, newer siblings of the same source, each with the second since which it has existed.
fn newer_sealed_slots(claim: &Claim<'_>, source: &str, slot: i64) -> Vec<(i64, i64)> {
    let mut newer: Vec<(i64, i64)> = claim
        .siblings
        .iter()
        .filter(|sibling| {
            sibling.read_only && agreed_time(claim.now, sibling.answered_at).is_some()
        })
        .filter_map(|sibling| {
            let (of, at) = read_name(claim.prefix, &sibling.namespace)?;
            let proof = of == source
                && at > slot
                && at <= claim.now.as_second() + CLOCKS_AGREE_WITHIN_SECONDS
                && made_for(at, sibling.created_at);
            proof.then_some((at, at.max(sibling.created_at.as_second())))
        })
        .collect();
    newer.sort_unstable();
    newer.dedup_by_key(|(at, _)| *at);
    newer
}

#[cfg(test)]
mod tests {
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

    fn check(
        candidate: &Witness,
        siblings: &[Witness],
        change: impl FnOnce(&mut Claim<'_>),
    ) -> Result<(), Refusal> {
        let mut claim = Claim {
            candidate,
            siblings,
            prefix: "backup-",
            selects: &|source| source.starts_with("acme"),
            window_days: 7,
            min: 1,
            listing: &ReadToTheEnd::for_tests(),
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
        assert_eq!(
            check(&old(), &siblings(), |claim| claim.window_days = 0),
            Err(Refusal::NotSuperseded)
        );
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
}
