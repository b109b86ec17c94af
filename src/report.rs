//! What a run says of itself: one bounded JSON document, the function's answer and its last log line.
//!
//! Counts are complete; lists are cut at a stated length and say how much they leave out.

use std::ops::AddAssign;

use jiff::Timestamp;
use serde::Serialize;

use crate::approval::PlanHash;
use crate::backup::{JobRecord, JobState};
use crate::budget::Judged;
use crate::estimate::PlanEstimate;
use crate::event::{Action, Request};
use crate::name::{BackupName, Namespace};
use crate::plan::{Plan, Target};
use crate::prune::{Decided, Deletion, Inventory};
use crate::retention::{Decision, Keep, Superseded, Verdict};
use crate::service::Queried;
use crate::slot::Slot;
use crate::verify::{Cost, Drift, Finding, Level, Verified};

/// Lambda's answer may have 6 MB and a log line 256 KB; lists are cut far below both.
const LONGEST_LIST: usize = 100;
/// Decisions are the point of a dry run, so more of them are shown.
const LONGEST_DECISIONS: usize = 500;

/// How long a report may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Lists are cut, for an answer and a log line.
    Bounded,
    /// Lists are whole, for a person who asked for them.
    Whole,
}

impl Size {
    /// Entries of a list that is cut.
    pub(crate) fn longest_list(self) -> usize {
        match self {
            Self::Bounded => LONGEST_LIST,
            Self::Whole => usize::MAX,
        }
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything asked for was done.
    Succeeded,
    /// Something was not done; everything else was.
    Failed,
    /// Time ran out; an event for the same slot carries on.
    Incomplete,
}

impl Outcome {
    /// How it ends with so many failures, for so many of which more time is no remedy. Which those are, each report says
    /// for itself: what passes for one, because the service goes on by itself, is final for another.
    pub(crate) fn of(failures: usize, not_for_want_of_time: u64) -> Self {
        match (failures, not_for_want_of_time) {
            (0, _) => Self::Succeeded,
            (_, 0) => Self::Incomplete,
            _ => Self::Failed,
        }
    }

    /// The word that reports and the journal use.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Incomplete => "incomplete",
        }
    }
}

/// The beginning of a list, and how much of it is left out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bounded<T> {
    /// The first entries.
    pub shown: Vec<T>,
    /// Entries that are counted and not shown.
    pub omitted: usize,
    #[serde(skip)]
    most: usize,
}

impl<T> Bounded<T> {
    pub(crate) fn of_at_most(most: usize) -> Self {
        Self {
            shown: Vec::new(),
            omitted: 0,
            most,
        }
    }

    pub(crate) fn push(&mut self, entry: T) {
        if self.shown.len() < self.most {
            self.shown.push(entry);
        } else {
            self.omitted += 1;
        }
    }

    /// Entries in all.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shown.len() + self.omitted
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

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
    fn add(&mut self, job: &JobRecord) {
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

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
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
    fn add(&mut self, job: &JobRecord) {
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
    fn add_decided(&mut self, decided: &Decided) {
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

    fn add_deletion(&mut self, deletion: &Deletion) {
        match deletion {
            Deletion::Deleted(_) => self.deleted += 1,
            Deletion::Refused(_) => self.refused += 1,
            Deletion::Failed(_) | Deletion::StillThere | Deletion::OutOfTime => self.failed += 1,
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
    /// Why nothing was deleted, if that was so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_stopped: Option<String>,
    /// Stands for the list of due backups; `approve` takes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_plan: Option<PlanHash>,
}

impl TargetReport {
    fn of(target: &Target) -> Self {
        Self {
            target: target.name.clone(),
            region: target.region.clone(),
            jobs: JobCounts::default(),
            copied: Volume::default(),
            pruning: PruneCounts::default(),
            deletion_stopped: None,
            deletion_plan: None,
        }
    }

    /// Says why nothing is deleted here; the first reason stands.
    pub fn stop_deletion(&mut self, why: &str) {
        self.deletion_stopped.get_or_insert_with(|| why.to_owned());
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

/// A copy of a source that was written meanwhile.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Drifted {
    /// The namespace.
    pub source: String,
    /// The interval its rows moved in, and the copy's.
    #[serde(flatten)]
    pub drift: Drift,
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
            self.decisions.push(Line {
                backup: decision.name.to_string(),
                target: target.target.clone(),
                source: source.to_string(),
                slot: decision.name.slot().instant(),
                sealed: (!keep.contains(&Keep::NotAsked)).then_some(!unsealed),
                due: superseded.is_some(),
                keep,
                superseded,
                due_in_days: soon(&decision.name),
            });
        }
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

    fn add_failure(&mut self, failure: Failure) {
        self.copying += u64::from(failure.error == "copying");
        self.not_for_want_of_time += u64::from(!matches!(failure.error, "out_of_time" | "copying"));
        self.failures.push(failure);
    }

    /// Adds a warning.
    pub fn warn(&mut self, message: String) {
        tracing::warn!(detail = message, "warning");
        self.warnings.push(message);
    }

    /// Counts sources that have backups in the target at `at` and no longer exist.
    pub fn add_gone(&mut self, at: usize, sources: usize) {
        if let Some(target) = self.targets.get_mut(at) {
            target.pruning.gone_sources = u64::try_from(sources).unwrap_or(u64::MAX);
        }
    }

    /// Counts what stands in the target at `at` before pruning.
    pub fn add_inventory(&mut self, at: usize, inventory: &Inventory, show: bool) {
        self.add_strays(at, &inventory.strays, show);
        if let Some(target) = self.targets.get_mut(at) {
            target.pruning.backups = u64::try_from(inventory.backups()).unwrap_or(u64::MAX);
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

    /// Notes the hash of what is due in the target at `at`.
    pub fn set_deletion_plan(&mut self, at: usize, hash: PlanHash) {
        if let Some(target) = self.targets.get_mut(at) {
            target.deletion_plan = Some(hash);
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

    /// How the run ends if nothing else happens.
    #[must_use]
    pub fn outcome_so_far(&self) -> Outcome {
        Outcome::of(self.failures.len(), self.not_for_want_of_time)
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

    /// Settles how the run ended.
    pub fn finish(&mut self, now: Timestamp) {
        self.finished_at = now;
        self.outcome = self.outcome_so_far();
        for target in &self.targets {
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

/// The first reasons, for a report's one line.
pub(crate) fn first_reasons<T>(failures: &Bounded<T>, reason: impl Fn(&T) -> String) -> String {
    let first = failures.shown.iter().take(3).map(reason);
    first.collect::<Vec<_>>().join("; ")
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
        Deletion::OutOfTime => (
            "out_of_time",
            "time ran out during the deletion; the next run looks whether it stands".to_owned(),
        ),
    })
}
