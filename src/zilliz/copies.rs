//! How far a backup by hand and its copies are, told from the list of backups and the jobs.
//!
//! Pure, over what was read. The service says when a backup is made (its job), and nothing of copies but that they appear
//! in the list; so whatever is not there in time, or is there no more, is a failure. One list alone, which may lag behind, calls
//! nothing gone.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::notes::Begun;
use super::wire::{Backup, Job};
use crate::service::Region;

/// A backup that was just made may not be in the list yet.
pub(super) const LISTED_WITHIN: SignedDuration = SignedDuration::from_mins(2);
/// No backup or copy takes as long; what is still being made then never ends.
pub(super) const LONGEST: SignedDuration = SignedDuration::from_hours(72);

/// What is known of a run's backup of one cluster.
pub struct Looks<'a> {
    /// The backup.
    pub begun: &'a Begun,
    /// The cluster's own region.
    pub home: &'a str,
    /// The cluster's backups, complete, each with its region as far as it was told; and what the list leaves out of this one
    /// and its copies, if it can be described.
    pub listed: &'a [Backup],
    /// Its job; `None` when it is unknown or the service knows it no more.
    pub job: Option<&'a Job>,
    /// Since when the backup is known to be there, if an earlier look saw it.
    pub available_since: Option<Timestamp>,
    /// Whether copies bear their original's name, as far as the whole list tells (`copies_bear_names`).
    pub copies_bear_names: bool,
    /// Copies that earlier looks have seen, by region.
    pub seen: &'a BTreeMap<Region, String>,
    /// Why copies failed, by region, as far as the service tells.
    pub failed: &'a BTreeMap<Region, String>,
    /// How long a copy may take to appear once its original is there.
    pub grace: SignedDuration,
    /// Now, by the service's clock.
    pub now: Timestamp,
}

/// How far one of them is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It can be restored.
    Available,
    /// Not yet; with what to show.
    InMaking(String),
    /// It will never be: a short, stable word, and what happened.
    Failed(&'static str, String),
}

/// The original, or a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where it lies.
    pub region: Region,
    /// How far it is.
    pub state: State,
    /// Its id, once it is known.
    pub backup: Option<String>,
    /// Its bytes, once they are known.
    pub size: Option<u64>,
}

impl Looks<'_> {
    /// The original first, then each target in its order.
    #[must_use]
    pub fn records<'a>(&self, targets: impl Iterator<Item = &'a str>) -> Vec<Record> {
        let original = self.original();
        let copies: Vec<Record> = targets
            .map(|region| self.copy(region, &original.state))
            .collect();
        std::iter::once(original).chain(copies).collect()
    }

    fn listed(&self, backup: &str) -> Option<&Backup> {
        self.listed.iter().find(|listed| listed.backup_id == backup)
    }

    fn original(&self) -> Record {
        let listed = self.listed(&self.begun.backup);
        let status = listed.and_then(|backup| backup.status.as_deref());
        let job = self.job.and_then(|job| job.status.as_deref());
        let age = self.now.duration_since(self.begun.at);
        let progress = || {
            let progress = self.job.and_then(|job| job.progress);
            progress.map_or("being made".to_owned(), |percent| format!("{percent} %"))
        };
        let state = match (job, status) {
            (Some("FAILED" | "CANCELED"), _) => {
                let reason = self.job.and_then(|job| job.reason.as_deref());
                let reason = reason.unwrap_or("the service gives no reason");
                State::Failed("job_failed", format!("the backup's job failed: {reason}"))
            }
            (_, Some("AVAILABLE")) => State::Available,
            (_, Some(_)) if age > LONGEST => State::Failed("stuck", format!("the backup is still not there after {} hours", age.as_hours())),
            (_, Some(_)) => State::InMaking(progress()),
            (Some("PENDING" | "IN_PROGRESS"), None) if age <= LONGEST => State::InMaking(progress()),
            (_, None) if age <= LISTED_WITHIN => State::InMaking("not listed yet".into()),
            (_, None) => State::Failed("vanished", "the backup was begun, is not in the list of backups, and can't be described; somebody deleted it, or it failed".into()),
        };
        Record {
            region: self.home.to_owned(),
            state,
            backup: Some(self.begun.backup.clone()),
            size: listed.and_then(|backup| backup.size),
        }
    }

    fn copy(&self, region: &str, original: &State) -> Record {
        let seen = self.seen.get(region);
        let listed = match (seen, original) {
            (Some(id), _) => self.listed(id),
            (None, State::Available) => self.copy_in(region),
            // Nothing can be a copy of what is not there; what looks like one is another one's.
            (None, _) => None,
        };
        let reason = self.failed.get(region);
        let state = match (listed, original) {
            (Some(copy), _) if copy.status.as_deref() == Some("AVAILABLE") => State::Available,
            (Some(copy), _) => {
                let since = copy.create_time.unwrap_or(self.begun.at);
                let age = self.now.duration_since(since);
                if age > LONGEST {
                    State::Failed(
                        "stuck",
                        format!(
                            "the copy to {region} is still not there after {} hours",
                            age.as_hours()
                        ),
                    )
                } else {
                    State::InMaking("being copied".into())
                }
            }
            (None, _) if seen.is_some() => {
                let reason = reason.map_or("the service does not say why", String::as_str);
                State::Failed(
                    "copy_failed",
                    format!(
                        "the copy to {region} was begun, is not in the list any more, and can't be described: {reason}"
                    ),
                )
            }
            (None, State::Failed("vanished", _)) => State::Failed(
                "no_original",
                "its original is gone, and no copy of it was seen".into(),
            ),
            (None, State::Failed(..)) => State::Failed(
                "no_original",
                "the original failed, so there is nothing to copy".into(),
            ),
            (None, State::InMaking(_)) => State::InMaking("waits for the original".into()),
            (None, State::Available) => self.not_begun(region, reason),
        };
        Record {
            region: region.to_owned(),
            state,
            backup: listed
                .map(|copy| copy.backup_id.clone())
                .or_else(|| seen.cloned()),
            size: listed.and_then(|copy| copy.size),
        }
    }

    fn not_begun(&self, region: &str, reason: Option<&String>) -> State {
        if let Some(reason) = reason {
            return State::Failed(
                "copy_failed",
                format!("the copy to {region} failed: {reason}"),
            );
        }
        let since = self.available_since.unwrap_or(self.now);
        if self.now.duration_since(since) <= self.grace {
            return State::InMaking("not begun yet".into());
        }
        let hours = self.grace.as_hours();
        State::Failed(
            "copy_missing",
            format!(
                "no copy appeared in {region} within {hours} hours after the backup was there; look at the project's jobs in the console"
            ),
        )
    }

    /// The copy in a region.
    ///
    /// Unknown (contract section 3): what a copy looks like in the list. Inferred: a record of its own, of the same cluster
    /// and kind, made no earlier than its original, that lies in the target; with its original's name, or, while nothing
    /// in the list shows that copies bear it, the first of any name.
    fn copy_in(&self, region: &str) -> Option<&Backup> {
        let original = self.listed(&self.begun.backup)?;
        let name = original.backup_name.as_deref();
        let kind = original.backup_type.as_deref();
        let is_it = |copy: &&Backup| {
            copy.region_id.as_deref() == Some(region)
                && copy.creation_method.as_deref() == Some("MANUAL")
                && (kind.is_none() || copy.backup_type.as_deref() == kind)
                && copy
                    .create_time
                    .is_some_and(|at| at >= original.create_time.unwrap_or(self.begun.at))
        };
        let candidates = || self.listed.iter().filter(is_it);
        let bears_it = |copy: &&Backup| name.is_some() && copy.backup_name.as_deref() == name;
        let of_any_name = || {
            let first = candidates().min_by_key(|copy| copy.create_time);
            first.filter(|_| !self.copies_bear_names)
        };
        candidates().find(bears_it).or_else(of_any_name)
    }
}

/// Whether copies bear their original's name: as soon as any two of a cluster's backups share one, for the service makes
/// names up. `listed` must be all of them: a copy's original may be much older than the copy.
pub(super) fn copies_bear_names(listed: &[Backup]) -> bool {
    let mut seen = BTreeSet::new();
    let mut names = listed
        .iter()
        .filter_map(|backup| backup.backup_name.as_ref());
    names.any(|name| !seen.insert(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-22T12:00:00Z";

    fn now() -> Timestamp {
        NOW.parse().unwrap()
    }

    /// `id region minutes-ago status name`
    fn backup(told: &str) -> Backup {
        let told: Vec<&str> = told.split(' ').collect();
        let at = now() - SignedDuration::from_mins(told[2].parse().unwrap());
        Backup {
            backup_id: told[0].into(),
            region_id: Some(told[1].into()),
            create_time: Some(at),
            status: Some(told[3].into()),
            backup_name: told.get(4).map(|name| (*name).to_owned()),
            backup_type: Some("CLUSTER".into()),
            creation_method: Some("MANUAL".into()),
            ..Backup::default()
        }
    }

    /// Begun an hour ago; targets `near` and `far`. The words of the original's state and the copies'.
    fn states(
        listed: &[&str],
        job: Option<&str>,
        seen: &[(&str, &str)],
        available_minutes: Option<i64>,
    ) -> String {
        let begun = Begun {
            backup: "b".into(),
            job: Some("job".into()),
            at: now() - SignedDuration::from_hours(1),
            adopted: false,
        };
        let listed: Vec<Backup> = listed.iter().map(|told| backup(told)).collect();
        let job = job.map(|status| Job {
            status: Some(status.into()),
            progress: Some(60),
            reason: None,
        });
        let seen = seen
            .iter()
            .map(|(region, id)| ((*region).to_owned(), (*id).to_owned()));
        let looks = Looks {
            begun: &begun,
            home: "home",
            listed: &listed,
            job: job.as_ref(),
            available_since: available_minutes
                .map(|minutes| now() - SignedDuration::from_mins(minutes)),
            copies_bear_names: copies_bear_names(&listed),
            seen: &seen.collect(),
            failed: &BTreeMap::new(),
            grace: SignedDuration::from_hours(6),
            now: now(),
        };
        let records = looks.records(["near", "far"].into_iter());
        let words = records.iter().map(|record| match &record.state {
            State::Available => record.backup.as_deref().unwrap_or("nothing"),
            State::InMaking(shown) => shown.as_str(),
            State::Failed(word, _) => word,
        });
        words.collect::<Vec<_>>().join(", ")
    }

    const MADE: &str = "b home 60 AVAILABLE x_1";

    /// What is listed, the job, copies seen, minutes since the original was there, and what that comes to.
    type Told = (
        &'static [&'static str],
        Option<&'static str>,
        &'static [(&'static str, &'static str)],
        Option<i64>,
        &'static str,
    );

    const TOLD: [Told; 16] = [
        (
            &["b home 60 CREATING x_1"],
            Some("IN_PROGRESS"),
            &[],
            None,
            "60 %, waits for the original, waits for the original",
        ),
        (
            &[],
            Some("PENDING"),
            &[],
            None,
            "60 %, waits for the original, waits for the original",
        ),
        (
            &[MADE],
            Some("SUCCESSFUL"),
            &[],
            Some(1),
            "b, not begun yet, not begun yet",
        ),
        (
            &[MADE, "n near 50 AVAILABLE x_1", "f far 50 CREATING x_1"],
            Some("SUCCESSFUL"),
            &[],
            Some(50),
            "b, n, being copied",
        ),
        // A job that is known no more is no reason to doubt what is listed.
        (
            &[MADE, "n near 50 AVAILABLE x_1", "f far 50 AVAILABLE x_1"],
            None,
            &[],
            Some(50),
            "b, n, f",
        ),
        // Failed, vanished, or never there.
        (
            &[],
            Some("FAILED"),
            &[],
            None,
            "job_failed, no_original, no_original",
        ),
        (
            &[],
            Some("SUCCESSFUL"),
            &[],
            None,
            "vanished, no_original, no_original",
        ),
        (&[], None, &[], None, "vanished, no_original, no_original"),
        (
            &[MADE, "n near 50 AVAILABLE x_1"],
            None,
            &[("far", "f")],
            Some(50),
            "b, n, copy_failed",
        ),
        (
            &[MADE, "n near 50 AVAILABLE x_1"],
            None,
            &[],
            Some(361),
            "b, n, copy_missing",
        ),
        // An original that was deleted takes no copy with it that is there.
        (
            &["n near 50 AVAILABLE x_1"],
            None,
            &[("near", "n")],
            Some(50),
            "vanished, n, no_original",
        ),
        // Copies of another backup: older, or of another's name.
        (
            &[
                MADE,
                "n near 70 AVAILABLE x_0",
                "f far 50 AVAILABLE x_2",
                "c home 55 AVAILABLE x_2",
            ],
            None,
            &[],
            Some(50),
            "b, not begun yet, not begun yet",
        ),
        // Copies of an older backup that is gone, begun in the second in which this one was.
        (
            &[MADE, "n near 60 AVAILABLE x_0", "f far 60 CREATING x_0"],
            None,
            &[],
            Some(1),
            "b, not begun yet, not begun yet",
        ),
        // What is there before its original is, is another one's, whatever its name says.
        (
            &["b home 60 CREATING x_1", "n near 60 AVAILABLE x_0"],
            Some("IN_PROGRESS"),
            &[],
            None,
            "60 %, waits for the original, waits for the original",
        ),
        (
            &["n near 60 AVAILABLE x_0"],
            Some("SUCCESSFUL"),
            &[],
            None,
            "vanished, no_original, no_original",
        ),
        // Names that say nothing: the first that was made since.
        (
            &[
                MADE,
                "n near 50 AVAILABLE copy_9",
                "m near 40 AVAILABLE copy_8",
            ],
            None,
            &[],
            Some(50),
            "b, n, not begun yet",
        ),
    ];

    #[test]
    fn each_record_is_what_list_and_job_say() {
        for (listed, job, seen, available, expected) in TOLD {
            assert_eq!(
                states(listed, job, seen, available),
                expected,
                "{listed:?} {job:?} {seen:?}"
            );
        }
    }
}
