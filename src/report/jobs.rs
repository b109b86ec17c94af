//! What a report says of jobs: how each ended, what was compared, and what drifted.

use serde::Serialize;

use super::{Failure, Report};
use crate::backup::{JobRecord, JobState};
use crate::name::BackupName;
use crate::verify::{Drift, Finding, Level, Verified};

/// A copy of a source that was written meanwhile.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Drifted {
    /// The namespace.
    pub source: String,
    /// The interval its rows moved in, and the copy's.
    #[serde(flatten)]
    pub drift: Drift,
}

impl Report {
    /// Counts a job of the target at `at` among the plan's.
    pub fn add_job(&mut self, at: usize, job: &JobRecord) {
        if let Some(target) = self.targets.get_mut(at) {
            target.jobs.add(job);
            target.copied.add(job);
        }
        if let Some(drift) = job.drift {
            self.drifts.push(Drifted {
                source: job.source.to_string(),
                drift,
            });
        }
        self.add_closer(at, job);
        for unsealed in &job.unsealed {
            let message = "bore the read-only flag of its frozen source without having been compared, and differs from it; it lost the flag and counts as unsealed";
            self.fail_job(
                at,
                &job.source,
                Some(unsealed),
                "unsealed",
                message.to_owned(),
            );
        }
        if let Some(error) = &job.error {
            let message = error.to_string();
            self.fail_job(at, &job.source, job.backup.as_ref(), error.word(), message);
        }
    }

    /// Says what a closer comparison found, or why there was none.
    fn add_closer(&mut self, at: usize, job: &JobRecord) {
        let Some(name) = &job.backup else { return };
        if self.verify > Level::Count && job.state == JobState::Sealed && job.drift.is_some() {
            self.warn(format!(
                "{} was written while it was copied or compared, so its backup is sealed on schema and count, and not on {}",
                job.source, self.verify
            ));
        }
        if let Some(found) = job.closer.clone() {
            let target = self.targets.get(at).map_or("", |target| &target.target);
            let sealed = job.is_sealed();
            let verified = Verified::unproven(name, target, sealed, found.level);
            let verified = verified.with_source(found);
            self.rows_read += verified.cost;
            self.verified.push(verified);
        }
    }

    /// Adds what was found about a backup that was asked after. Damage fails the run, and so it should the alarm.
    pub fn add_verified(&mut self, verified: Verified) {
        self.rows_read += verified.cost;
        if verified.finding == Finding::Damaged {
            self.add_failure(Failure {
                target: Some(verified.target.clone()),
                source: Some(verified.source.clone()),
                backup: Some(verified.backup.clone()),
                error: "mismatch",
                message: verified.message.clone(),
            });
        }
        self.verified.push(verified);
    }

    /// Counts a copy that goes on at the service.
    pub fn add_waiting(&mut self, at: usize, name: &BackupName, progress: Option<&str>) {
        if let Some(target) = self.targets.get_mut(at) {
            target.jobs.incomplete += 1;
        }
        let progress = progress.unwrap_or("no word how far it is");
        let message =
            format!("the copy is still being made ({progress}); a `resume` event looks again");
        self.fail_job(at, name.source(), Some(name), "copying", message);
    }

    /// Jobs for which time ran out.
    #[must_use]
    pub fn incomplete_jobs(&self) -> u64 {
        let targets = self.targets.iter();
        targets.map(|target| target.jobs.incomplete).sum()
    }

    /// Whether time ran out for nothing but the service's own copying.
    #[must_use]
    pub fn only_copies_are_left(&self) -> bool {
        self.incomplete_jobs() == self.copying
    }
}
