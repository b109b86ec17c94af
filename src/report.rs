//! What a run says of itself: one bounded JSON document, the function's answer and its last log line.
//!
//! Counts are complete; lists are cut at a stated length and say how much they leave out.
//!
//! What it must never do: leave out a failure, or end as succeeded with one.

mod counts;
mod deletions;
mod jobs;
mod outcome;

use jiff::Timestamp;
use serde::Serialize;

use crate::approval::PlanHash;
use crate::budget::Judged;
use crate::estimate::PlanEstimate;
use crate::event::{Action, Request};
use crate::journal::JobLine;
use crate::name::{BackupName, Namespace};
use crate::plan::{Plan, Target};
use crate::price::Between;
use crate::service::Queried;
use crate::slot::Slot;
use crate::verify::{Cost, Level, Verified};

pub use counts::{JobCounts, PruneCounts, Volume};
pub use deletions::Line;
pub use jobs::Drifted;
pub use outcome::{Bounded, Outcome, Size};
pub(crate) use outcome::{Fails, first_reasons, of_no_job, of_the_whole};

use outcome::{LONGEST_DECISIONS, LONGEST_LIST};

/// What happened in one target.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TargetReport {
    /// Its name.
    pub target: String,
    /// Region of the backups.
    pub region: String,
    /// Jobs by how they ended.
    pub jobs: JobCounts,
    /// What was copied.
    pub copied: Volume,
    /// What pruning did.
    pub pruning: PruneCounts,
    /// Why it was not decided which backups are due, if that is so: then none is counted as due, and no list has a hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undecided: Option<String>,
    /// Why nothing was deleted, if that was so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_stopped: Option<String>,
    /// Stands for the list of due backups; `approve` takes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_plan: Option<PlanHash>,
    #[serde(skip)]
    decided: bool,
}

impl TargetReport {
    fn of(target: &Target) -> Self {
        Self {
            target: target.name.clone(),
            region: target.region.clone(),
            jobs: JobCounts::default(),
            copied: Volume::default(),
            pruning: PruneCounts::default(),
            undecided: None,
            deletion_stopped: None,
            deletion_plan: None,
            decided: false,
        }
    }

    /// Says why nothing is deleted here; the first reason stands.
    pub fn stop_deletion(&mut self, why: &str) {
        self.deletion_stopped.get_or_insert_with(|| why.to_owned());
    }

    /// Says why nothing was decided here, where that is so.
    fn settle(&mut self) {
        if !self.decided {
            let why = self.deletion_stopped.clone();
            self.undecided = Some(why.unwrap_or_else(|| "the run did not come to it".to_owned()));
        }
    }
}

/// One thing that was not done.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Failure {
    /// The target concerned, if it is one alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The namespace concerned, if it is one alone.
    pub source: Option<String>,
    /// The backup concerned.
    pub backup: Option<String>,
    /// One short, stable word.
    pub error: &'static str,
    /// What happened and what to do.
    pub message: String,
}

impl Failure {
    /// What happened, and to what.
    pub(crate) fn reason(&self) -> String {
        match &self.source {
            Some(source) => format!("{source}: {}", self.message),
            None => self.message.clone(),
        }
    }
}

impl Fails for Failure {
    fn of_the_whole(&self) -> Option<&str> {
        let of_one = self.source.is_some() || self.backup.is_some();
        (!of_one).then_some(self.message.as_str())
    }
}

/// The report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Names this run in every log line.
    pub run_id: String,
    /// What was asked for.
    pub action: Action,
    /// Whether nothing was to be changed.
    pub dry_run: bool,
    /// The plan's name.
    pub plan: String,
    /// The scheduled instant.
    pub slot: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
    /// Whether the run stays open in the journal, so that a `resume` event carries on.
    pub stays_open: bool,
    /// Region of the sources.
    pub source_region: String,
    /// Beginning, UTC.
    pub started_at: Timestamp,
    /// End, UTC.
    pub finished_at: Timestamp,
    /// Sources selected.
    pub sources: u64,
    /// Jobs by how they ended, in all targets.
    pub jobs: JobCounts,
    /// What was copied, to all targets.
    pub copied: Volume,
    /// What pruning did in all targets.
    pub pruning: PruneCounts,
    /// The same for each target.
    pub targets: Vec<TargetReport>,
    /// Local clock less the services', seconds, at its worst.
    pub clock_difference_seconds: i64,
    /// What all queries of this invocation were billed with, counts and rows; beside what the copies were.
    pub queried: Queried,
    /// What that costs, but for what they looked through; `None` where a price is not known.
    pub queried_costs: Option<Between>,
    /// HTTP requests sent, repeats included.
    pub requests: u64,
    /// How many of them were repeats.
    pub retries: u64,
    /// What was not done.
    pub failures: Bounded<Failure>,
    /// What is worth a look and no failure.
    pub warnings: Bounded<String>,
    /// Sources written while they were copied.
    pub drifts: Bounded<Drifted>,
    /// Deleted backups, by name.
    pub deleted: Bounded<String>,
    /// Names under the plan's prefix that are no backups of it, if asked for.
    #[serde(skip_serializing_if = "Bounded::is_empty")]
    pub strays: Bounded<String>,
    /// What happens to each backup, if asked for.
    #[serde(skip_serializing_if = "Bounded::is_empty")]
    pub decisions: Bounded<Line>,
    /// How closely the plan has copies compared before they are sealed.
    pub verify: Level,
    /// Backups that were compared more closely than by count, or were asked after, and what was found.
    #[serde(skip_serializing_if = "Bounded::is_empty")]
    pub verified: Bounded<Verified>,
    /// What reading rows cost, if any were read.
    #[serde(skip_serializing_if = "Cost::is_nothing")]
    pub rows_read: Cost,
    /// What is expected to be copied, kept and spent: in a dry run of a backup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimate: Option<PlanEstimate>,
    /// What that is to the plan's budget, if it has one and something may be copied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<Judged>,
    /// Failures for which more time is no remedy.
    #[serde(skip)]
    not_for_want_of_time: u64,
    /// Jobs of which only the service's own copying is not done.
    #[serde(skip)]
    copying: u64,
}

impl Report {
    /// An empty report of a run that begins now.
    #[must_use]
    pub fn begin(
        request: &Request,
        plan: &Plan,
        slot: Slot,
        run_id: String,
        now: Timestamp,
        size: Size,
    ) -> Self {
        let (list, decisions) = match size {
            Size::Bounded => (LONGEST_LIST, LONGEST_DECISIONS),
            Size::Whole => (usize::MAX, usize::MAX),
        };
        Self {
            run_id,
            action: request.action,
            dry_run: request.dry_run,
            plan: plan.name.clone(),
            slot: slot.instant(),
            outcome: Outcome::Succeeded,
            stays_open: false,
            source_region: plan.source.region.clone(),
            started_at: now,
            finished_at: now,
            sources: 0,
            jobs: JobCounts::default(),
            copied: Volume::default(),
            pruning: PruneCounts::default(),
            targets: plan.targets.iter().map(TargetReport::of).collect(),
            clock_difference_seconds: 0,
            queried: Queried::default(),
            queried_costs: None,
            requests: 0,
            retries: 0,
            failures: Bounded::of_at_most(list),
            warnings: Bounded::of_at_most(list),
            drifts: Bounded::of_at_most(list),
            deleted: Bounded::of_at_most(list),
            strays: Bounded::of_at_most(list),
            decisions: Bounded::of_at_most(decisions),
            verify: plan.verify,
            verified: Bounded::of_at_most(list),
            rows_read: Cost::default(),
            estimate: None,
            budget: None,
            not_for_want_of_time: 0,
            copying: 0,
        }
    }

    /// Adds a warning.
    pub fn warn(&mut self, message: String) {
        tracing::warn!(detail = message, "warning");
        self.warnings.push(message);
    }

    /// Adds a failure of the run as a whole.
    pub fn fail(&mut self, error: &'static str, message: String) {
        self.add_failure(Failure {
            target: None,
            source: None,
            backup: None,
            error,
            message,
        });
    }

    /// Adds a failure of the target at `at` as a whole.
    pub fn fail_target(&mut self, at: usize, error: &'static str, message: String) {
        self.add_failure(Failure {
            target: self.targets.get(at).map(|target| target.target.clone()),
            source: None,
            backup: None,
            error,
            message,
        });
    }

    fn fail_job(
        &mut self,
        at: usize,
        source: &Namespace,
        backup: Option<&BackupName>,
        error: &'static str,
        message: String,
    ) {
        self.add_failure(Failure {
            target: self.targets.get(at).map(|target| target.target.clone()),
            source: Some(source.to_string()),
            backup: backup.map(ToString::to_string),
            error,
            message,
        });
    }

    /// Adds a failure about one backup, by the name it was asked for.
    pub fn fail_backup(
        &mut self,
        target: Option<&str>,
        backup: &str,
        error: &'static str,
        message: String,
    ) {
        self.add_failure(Failure {
            target: target.map(str::to_owned),
            source: None,
            backup: Some(backup.to_owned()),
            error,
            message,
        });
    }

    /// Adds the failure of a job that failed in an earlier invocation of the run.
    pub fn fail_earlier(&mut self, job: &JobLine) {
        let why = job.message.as_deref().or(job.error.as_deref());
        self.add_failure(Failure {
            target: Some(job.target.clone()),
            source: Some(job.source.clone()),
            backup: job.backup.clone(),
            error: "failed_earlier",
            message: format!(
                "an earlier invocation of this run failed: {}",
                why.unwrap_or("it did not write down why")
            ),
        });
    }

    fn add_failure(&mut self, failure: Failure) {
        self.copying += u64::from(failure.error == "copying");
        self.not_for_want_of_time += u64::from(!matches!(failure.error, "out_of_time" | "copying"));
        self.failures.push(failure);
    }

    /// How the run ends if nothing else happens.
    #[must_use]
    pub fn outcome_so_far(&self) -> Outcome {
        Outcome::of(self.failures.len(), self.not_for_want_of_time)
    }

    /// Settles how the run ended.
    pub fn finish(&mut self, now: Timestamp) {
        self.finished_at = now;
        self.outcome = self.outcome_so_far();
        let decides = matches!(
            self.action,
            Action::Backup | Action::Resume | Action::Prune | Action::List
        );
        for target in &mut self.targets {
            if decides {
                target.settle();
            }
            self.jobs += target.jobs;
            self.copied += target.copied;
            self.pruning += target.pruning;
        }
    }

    /// One line for an error message: how much failed, and the first reasons.
    #[must_use]
    pub fn summary(&self) -> String {
        let jobs = self.jobs;
        let first = first_reasons(&self.failures, Failure::reason);
        format!(
            "{} of {} jobs sealed, {} failed, {} incomplete, {} backups deleted; {} failures: {first}",
            jobs.sealed + jobs.already_sealed,
            jobs.all(),
            jobs.failed,
            jobs.incomplete,
            self.pruning.deleted,
            self.failures.len(),
        )
    }
}
