//! What a report says of what stands in a target, why it stays, and what was deleted.
//!
//! What it must never do: count as deleted what was not seen to be gone.

use jiff::Timestamp;
use serde::Serialize;

use super::Report;
use crate::approval::PlanHash;
use crate::name::{BackupName, Namespace};
use crate::prune::{Decided, Deletion, Inventory};
use crate::retention::{Decision, Keep, Superseded, Verdict};

/// What happens, or would happen, to one backup.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// Its name.
    pub backup: String,
    /// The target it stands in.
    pub target: String,
    /// The namespace it is a backup of.
    pub source: String,
    /// The instant it stands for.
    pub slot: Timestamp,
    /// Whether it was verified and made read-only; absent when not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sealed: Option<bool>,
    /// Whether no rule keeps it.
    pub due: bool,
    /// All reasons to keep it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keep: Vec<Keep>,
    /// What made it superfluous.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub superseded: Option<Superseded>,
    /// In how many days it falls due, if that is soon and nothing else changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_in_days: Option<u32>,
}

impl Report {
    /// Counts what stands in the target at `at` before pruning.
    pub fn add_inventory(&mut self, at: usize, inventory: &Inventory, show: bool) {
        self.add_strays(at, &inventory.strays, show);
        if let Some(target) = self.targets.get_mut(at) {
            target.pruning.backups = u64::try_from(inventory.backups()).unwrap_or(u64::MAX);
        }
    }

    /// Adds names in the target at `at` that are no backups of the plan.
    pub fn add_strays(&mut self, at: usize, strays: &[String], show: bool) {
        if let Some(target) = self.targets.get_mut(at) {
            target.pruning.strays = u64::try_from(strays.len()).unwrap_or(u64::MAX);
        }
        if show {
            for stray in strays {
                self.strays.push(stray.clone());
            }
        }
    }

    /// Counts sources that have backups in the target at `at` and no longer exist.
    pub fn add_gone(&mut self, at: usize, sources: usize) {
        if let Some(target) = self.targets.get_mut(at) {
            target.pruning.gone_sources = u64::try_from(sources).unwrap_or(u64::MAX);
        }
    }

    /// Counts what was decided about one source in the target at `at`.
    pub fn add_decided(&mut self, at: usize, source: &Namespace, decided: &Decided) {
        if let Some(error) = &decided.unread {
            let message = format!("its backups could not be read, so none was deleted: {error}");
            self.fail_job(at, source, None, error.word(), message);
        }
        if let Some(target) = self.targets.get_mut(at) {
            target.pruning.add_decided(decided);
        }
    }

    /// Shows what happens to one source's backups, as a dry run does. `soon` says what falls due in how many days.
    pub fn show_decisions(
        &mut self,
        at: usize,
        source: &Namespace,
        decisions: &[Decision],
        soon: impl Fn(&BackupName) -> Option<u32>,
    ) {
        let Some(target) = self.targets.get_mut(at) else {
            return;
        };
        for decision in decisions {
            let (keep, superseded) = match &decision.verdict {
                Verdict::Keep(reasons) => (reasons.clone(), None),
                Verdict::Due(superseded) => (Vec::new(), Some(superseded.clone())),
            };
            let unsealed = keep.contains(&Keep::Unsealed);
            *target.pruning.unsealed.get_or_insert(0) += u64::from(unsealed);
            // Nothing falls due while something else keeps it.
            let by_rule_alone = keep.iter().all(Keep::is_a_rule);
            self.decisions.push(Line {
                backup: decision.name.to_string(),
                target: target.target.clone(),
                source: source.to_string(),
                slot: decision.name.slot().instant(),
                sealed: (!keep.contains(&Keep::NotAsked)).then_some(!unsealed),
                due: superseded.is_some(),
                keep,
                superseded,
                due_in_days: soon(&decision.name).filter(|_| by_rule_alone),
            });
        }
    }

    /// Notes that it was decided about every backup in the target at `at` that there was time for.
    pub fn set_decided(&mut self, at: usize) {
        if let Some(target) = self.targets.get_mut(at) {
            target.decided = true;
        }
    }

    /// Notes the hash of what is due in the target at `at`.
    pub fn set_deletion_plan(&mut self, at: usize, hash: PlanHash) {
        if let Some(target) = self.targets.get_mut(at) {
            target.deletion_plan = Some(hash);
        }
    }

    /// Whether something forbids deletion in the target at `at`.
    #[must_use]
    pub fn deletion_is_stopped(&self, at: usize) -> bool {
        let target = self.targets.get(at);
        target.is_none_or(|target| target.deletion_stopped.is_some())
    }

    /// Backups that stood in the target at `at`, and jobs that this run sealed there.
    #[must_use]
    pub fn standing_and_sealed(&self, at: usize) -> (u64, u64) {
        let target = self.targets.get(at);
        target.map_or((0, 0), |target| {
            (target.pruning.backups, target.jobs.sealed)
        })
    }

    /// Counts what became of one source's due backups in the target at `at`.
    pub fn add_deletions(
        &mut self,
        at: usize,
        source: &Namespace,
        deletions: &[(BackupName, Deletion)],
    ) {
        for (name, deletion) in deletions {
            if let Some(target) = self.targets.get_mut(at) {
                target.pruning.add_deletion(deletion);
            }
            match not_deleted(deletion) {
                Some((error, message)) => self.fail_job(at, source, Some(name), error, message),
                None => self.deleted.push(name.to_string()),
            }
        }
    }

    /// Counts a backup of the target at `at` that was discarded by hand, or in a dry run could be.
    pub fn add_discarded(&mut self, at: usize, name: &BackupName) {
        if self.dry_run {
            self.warn(format!("{name} would be deleted, for good"));
            return;
        }
        if let Some(target) = self.targets.get_mut(at) {
            target.pruning.deleted += 1;
        }
        self.deleted.push(name.to_string());
    }
}

/// Why a due backup may still stand, in a stable word and a sentence; `None` when it is gone.
fn not_deleted(deletion: &Deletion) -> Option<(&'static str, String)> {
    Some(match deletion {
        Deletion::Deleted(_) => return None,
        Deletion::Refused(refusal) => ("deletion_refused", format!("not deleted: {refusal}")),
        Deletion::Failed(error) => (
            error.word(),
            format!("the deletion was not confirmed; the next run looks again: {error}"),
        ),
        Deletion::StillThere => (
            "still_there",
            "the service answered the deletion and still shows the backup".to_owned(),
        ),
        Deletion::TooSlow => (
            "too_slow",
            "not deleted: the service took minutes to answer what was asked of it and its siblings, and old answers prove nothing; the next run decides".to_owned(),
        ),
        Deletion::OutOfTime => (
            "out_of_time",
            "time ran out during the deletion; the next run looks whether it stands".to_owned(),
        ),
    })
}
