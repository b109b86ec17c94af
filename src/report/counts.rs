//! What a run counts: jobs, what was copied, and what became of backups. Counts are complete, whatever lists leave out.

use std::ops::AddAssign;

use serde::Serialize;

use crate::backup::{JobRecord, JobState};
use crate::prune::{Decided, Deletion};
use crate::retention::{Keep, Verdict};

/// Jobs by how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct JobCounts {
    /// Compared and sealed by this invocation.
    pub sealed: u64,
    /// Found sealed: an earlier event of this slot did the work.
    pub already_sealed: u64,
    /// Not copied, because an older sealed backup holds what the source does.
    pub covered: u64,
    /// No trustworthy backup for this slot.
    pub failed: u64,
    /// Out of time.
    pub incomplete: u64,
    /// The source was deleted after it had been listed.
    pub vanished: u64,
    /// Not copied, because the plan's hard budget is used up.
    #[serde(skip_serializing_if = "is_zero")]
    pub over_budget: u64,
    /// Sealed although this invocation did not see the copy's end.
    pub adopted: u64,
    /// Sealed although the source was written meanwhile.
    pub drifted: u64,
}

impl JobCounts {
    pub(super) fn add(&mut self, job: &JobRecord) {
        let counted = match job.state {
            JobState::Sealed => &mut self.sealed,
            JobState::AlreadySealed => &mut self.already_sealed,
            JobState::Covered => &mut self.covered,
            JobState::Failed => &mut self.failed,
            JobState::Incomplete => &mut self.incomplete,
            JobState::Vanished => &mut self.vanished,
            JobState::OverBudget => &mut self.over_budget,
        };
        *counted += 1;
        self.adopted += u64::from(job.state == JobState::Sealed && job.adopted);
        self.drifted += u64::from(job.drift.is_some());
    }

    /// Jobs in all.
    #[must_use]
    pub fn all(&self) -> u64 {
        self.sealed
            + self.already_sealed
            + self.covered
            + self.failed
            + self.incomplete
            + self.vanished
            + self.over_budget
    }
}

impl AddAssign for JobCounts {
    fn add_assign(&mut self, other: Self) {
        self.sealed += other.sealed;
        self.already_sealed += other.already_sealed;
        self.covered += other.covered;
        self.failed += other.failed;
        self.incomplete += other.incomplete;
        self.vanished += other.vanished;
        self.over_budget += other.over_budget;
        self.adopted += other.adopted;
        self.drifted += other.drifted;
    }
}

/// What the service billed for the copies of this run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Volume {
    /// Rows in the sealed copies.
    pub rows: u64,
    /// Billed logical bytes written.
    pub bytes_written: u64,
    /// Billed logical bytes read in the source region and sent over.
    pub bytes_returned: u64,
}

impl Volume {
    pub(super) fn add(&mut self, job: &JobRecord) {
        if job.state == JobState::Sealed {
            self.rows += job.copied.rows;
        }
        self.bytes_written += job.copied.bytes_written;
        self.bytes_returned += job.copied.bytes_returned;
    }
}

impl AddAssign for Volume {
    fn add_assign(&mut self, other: Self) {
        self.rows += other.rows;
        self.bytes_written += other.bytes_written;
        self.bytes_returned += other.bytes_returned;
    }
}

/// What pruning did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PruneCounts {
    /// Backups of the plan in the target, before pruning.
    pub backups: u64,
    /// Names under the plan's prefix that are no backups of it; never touched.
    pub strays: u64,
    /// No rule kept them.
    pub due: u64,
    /// Deleted, and seen to be gone.
    pub deleted: u64,
    /// Due, but the last check before the DELETE refused.
    pub refused: u64,
    /// Due, but the service failed.
    pub failed: u64,
    /// Backups that were never verified, if all were asked (as `list` and a dry run do); never deleted by retention.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsealed: Option<u64>,
    /// Sources of which nothing was deleted, because the source is gone, or its newest backup is not sealed.
    pub held_sources: u64,
    /// Sources about whose backups nothing could be read or decided.
    pub undecided_sources: u64,
    /// Sources with backups that no longer exist; all their backups stay.
    pub gone_sources: u64,
}

impl PruneCounts {
    pub(super) fn add_decided(&mut self, decided: &Decided) {
        self.undecided_sources += u64::from(decided.unread.is_some() || decided.not_reached);
        let held = |reason: &Keep| {
            matches!(
                reason,
                Keep::SourceGone | Keep::JobNotSealed | Keep::Unsealed
            )
        };
        let newest = decided.decisions.last().map(|decision| &decision.verdict);
        self.held_sources +=
            u64::from(matches!(newest, Some(Verdict::Keep(reasons)) if reasons.iter().any(held)));
        let due = decided
            .decisions
            .iter()
            .filter(|decision| matches!(decision.verdict, Verdict::Due(_)));
        self.due += u64::try_from(due.count()).unwrap_or(u64::MAX);
    }

    pub(super) fn add_deletion(&mut self, deletion: &Deletion) {
        match deletion {
            Deletion::Deleted(_) => self.deleted += 1,
            Deletion::Refused(_) => self.refused += 1,
            Deletion::Failed(_)
            | Deletion::StillThere
            | Deletion::OutOfTime
            | Deletion::TooSlow => self.failed += 1,
        }
    }
}

impl AddAssign for PruneCounts {
    fn add_assign(&mut self, other: Self) {
        self.backups += other.backups;
        self.strays += other.strays;
        self.due += other.due;
        self.deleted += other.deleted;
        self.refused += other.refused;
        self.failed += other.failed;
        if let Some(unsealed) = other.unsealed {
            *self.unsealed.get_or_insert(0) += unsealed;
        }
        self.held_sources += other.held_sources;
        self.undecided_sources += other.undecided_sources;
        self.gone_sources += other.gone_sources;
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
