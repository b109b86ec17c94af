//! Whether a list of due backups may be deleted at all: the brake, and a person's approval that lifts it.
//!
//! Retention judges one backup at a time, and a mistake in a policy makes all of them due at once. So a list that is out
//! of proportion deletes nothing until somebody has read it and sends its hash back. A hash stands for exactly one list
//! of one target of one plan; whatever else is due by then, nothing is deleted. Pure: no network, no clock.

use std::fmt;

use sha2::{Digest, Sha256};

/// Due backups that need no approval, whatever their share.
const ALWAYS_ALLOWED: u64 = 10;
/// Due backups allowed for each job that this run sealed: a copy that comes in lets two go.
const ALLOWED_PER_SEALED_JOB: u64 = 2;
/// Up to one backup in this many may always be due.
const ALLOWED_PART: u64 = 4;

/// Stands for one list of due backups; sixteen hexadecimal digits.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(transparent)]
pub struct PlanHash(String);

impl fmt::Display for PlanHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is due in one target.
#[derive(Clone, Copy, Debug)]
pub struct DueList<'a> {
    /// The plan's name.
    pub plan: &'a str,
    /// The target's name.
    pub target: &'a str,
    /// The region that it stands for: a target that is pointed elsewhere holds other backups under the same names.
    pub region: &'a str,
    /// Names of the due backups, in any order.
    pub due: &'a [&'a str],
    /// Backups of the plan in the target.
    pub backups: u64,
    /// Jobs that this run sealed there.
    pub sealed: u64,
}

/// What may be done with a list of due backups.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Leave {
    /// Each of them may be deleted, if its certificate is given.
    Delete,
    /// Too many at once; nothing is deleted before the list is approved.
    Braked,
    /// Another list was approved; nothing of this one is deleted.
    NotApproved,
}

impl DueList<'_> {
    /// The same for the same plan, target, region and due backups, whenever and wherever it is computed.
    #[must_use]
    pub fn hash(&self) -> PlanHash {
        let mut due = self.due.to_vec();
        due.sort_unstable();
        let mut digest = Sha256::new();
        // A name can't hold a line break, so no two lists read the same.
        let of = ["lifeboat deletions 2", self.plan, self.target, self.region];
        for line in of.iter().chain(&due) {
            digest.update(line.as_bytes());
            digest.update(b"\n");
        }
        let first = digest.finalize().into_iter().take(8);
        let number = first.fold(0_u64, |number, byte| number << 8 | u64::from(byte));
        PlanHash(format!("{number:016x}"))
    }

    /// Whether the list may be deleted, given what the event approves.
    #[must_use]
    pub fn leave(&self, approved: Option<&str>) -> Leave {
        match approved {
            Some(hash) if hash.eq_ignore_ascii_case(&self.hash().0) => Leave::Delete,
            Some(_) => Leave::NotApproved,
            None if self.is_out_of_proportion() => Leave::Braked,
            None => Leave::Delete,
        }
    }

    fn is_out_of_proportion(&self) -> bool {
        let due = u64::try_from(self.due.len()).unwrap_or(u64::MAX);
        let allowed = self
            .sealed
            .saturating_mul(ALLOWED_PER_SEALED_JOB)
            .saturating_add(ALWAYS_ALLOWED);
        due > allowed && due.saturating_mul(ALLOWED_PART) > self.backups
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count)
            .map(|index| format!("backup-acme-{index:010}"))
            .collect()
    }

    fn leave(due: usize, backups: u64, sealed: u64, approved: Option<&str>) -> Leave {
        let names = names(due);
        let due: Vec<&str> = names.iter().map(String::as_str).collect();
        list(&due, backups, sealed).leave(approved)
    }

    fn list<'a>(due: &'a [&'a str], backups: u64, sealed: u64) -> DueList<'a> {
        DueList {
            plan: "nightly",
            target: "west",
            region: "aws-eu-west-1",
            due,
            backups,
            sealed,
        }
    }

    #[test]
    fn the_brake_needs_both_more_than_the_night_explains_and_more_than_a_quarter() {
        for (due, backups, sealed, expected) in [
            (0, 0, 0, Leave::Delete),
            (10, 10, 0, Leave::Delete),
            (11, 44, 0, Leave::Delete),
            (11, 43, 0, Leave::Braked),
            (30, 31, 10, Leave::Delete),
            (31, 31, 10, Leave::Braked),
            (1_000, 4_000, 5, Leave::Delete),
            (1_000, 3_999, 5, Leave::Braked),
        ] {
            assert_eq!(
                leave(due, backups, sealed, None),
                expected,
                "{due} of {backups} due, {sealed} sealed"
            );
        }
    }

    #[test]
    fn an_approval_is_for_exactly_one_list() {
        let due = ["backup-a-0000000001", "backup-b-0000000002"];
        let hash = list(&due, 2, 0).hash().to_string();
        assert_eq!(hash.len(), 16);
        let reordered = [due[1], due[0]];
        assert_eq!(list(&reordered, 900, 7).leave(Some(&hash)), Leave::Delete);
        assert_eq!(list(&due[..1], 2, 0).leave(Some(&hash)), Leave::NotApproved);
        assert_eq!(list(&[], 2, 0).leave(Some(&hash)), Leave::NotApproved);
        let another = DueList {
            target: "central",
            ..list(&due, 2, 0)
        };
        assert_eq!(another.leave(Some(&hash)), Leave::NotApproved);
        let elsewhere = DueList {
            region: "aws-eu-central-1",
            ..list(&due, 2, 0)
        };
        assert_eq!(elsewhere.leave(Some(&hash)), Leave::NotApproved);
        let weekly = DueList {
            plan: "weekly",
            ..list(&due, 2, 0)
        };
        assert_eq!(weekly.leave(Some(&hash)), Leave::NotApproved);
    }

    #[test]
    fn the_hash_stays_the_same_over_versions() {
        let due = ["backup-a-0000000001"];
        assert_eq!(list(&due, 1, 0).hash().to_string(), "a143f92102e8ce11");
    }

    #[test]
    fn an_approved_list_passes_the_brake() {
        let names = names(100);
        let due: Vec<&str> = names.iter().map(String::as_str).collect();
        let list = list(&due, 100, 0);
        assert_eq!(list.leave(None), Leave::Braked);
        assert_eq!(
            list.leave(Some(&list.hash().to_string().to_uppercase())),
            Leave::Delete
        );
    }
}
