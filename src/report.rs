//! What a run says of itself: one bounded JSON document, the function's answer and its last log line.
//!
//! Counts are complete; lists are cut at a stated length and say how much they leave out.

use jiff::Timestamp;
use serde::Serialize;

use crate::backup::{JobRecord, JobState};
use crate::event::{Action, Request};
use crate::name::Namespace;
use crate::plan::Plan;
use crate::prune::{Deletion, Pruned};
use crate::retention::{Keep, Superseded, Verdict};
use crate::slot::Slot;
use crate::verify::Drift;

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
    fn of_at_most(most: usize) -> Self {
        Self {
            shown: Vec::new(),
            omitted: 0,
            most,
        }
    }

    fn push(&mut self, entry: T) {
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
    /// No trustworthy backup for this slot.
    pub failed: u64,
    /// Out of time.
    pub incomplete: u64,
    /// The source was deleted after it had been listed.
    pub vanished: u64,
    /// Sealed although this invocation did not see the copy's end.
    pub adopted: u64,
    /// Sealed although the source was written meanwhile.
    pub drifted: u64,
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

/// One thing that was not done.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Failure {
    /// The namespace concerned, if it is one alone.
    pub source: Option<String>,
    /// The backup concerned.
    pub backup: Option<String>,
    /// One short, stable word.
    pub error: &'static str,
    /// What happened and what to do.
    pub message: String,
}

/// What happens, or would happen, to one backup.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// Its name.
    pub backup: String,
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
    /// Region of the sources.
    pub source_region: String,
    /// Region of the backups.
    pub backup_region: String,
    /// Beginning, UTC.
    pub started_at: Timestamp,
    /// End, UTC.
    pub finished_at: Timestamp,
    /// Sources selected.
    pub sources: u64,
    /// Jobs by how they ended.
    pub jobs: JobCounts,
    /// What was copied.
    pub copied: Volume,
    /// What pruning did.
    pub pruning: PruneCounts,
    /// Why nothing at all was deleted, if that was so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_stopped: Option<String>,
    /// Local clock less the services', seconds, at its worst.
    pub clock_difference_seconds: i64,
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
    /// Failures for which more time is no remedy.
    #[serde(skip)]
    not_for_want_of_time: u64,
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
            source_region: plan.source.region.clone(),
            backup_region: plan.first_target().region.clone(),
            started_at: now,
            finished_at: now,
            sources: 0,
            jobs: JobCounts::default(),
            copied: Volume::default(),
            pruning: PruneCounts::default(),
            deletion_stopped: None,
            clock_difference_seconds: 0,
            requests: 0,
            retries: 0,
            failures: Bounded::of_at_most(list),
            warnings: Bounded::of_at_most(list),
            drifts: Bounded::of_at_most(list),
            deleted: Bounded::of_at_most(list),
            strays: Bounded::of_at_most(list),
            decisions: Bounded::of_at_most(decisions),
            not_for_want_of_time: 0,
        }
    }

    /// Counts a job.
    pub fn add_job(&mut self, job: &JobRecord) {
        let counted = match job.state {
            JobState::Sealed => &mut self.jobs.sealed,
            JobState::AlreadySealed => &mut self.jobs.already_sealed,
            JobState::Failed => &mut self.jobs.failed,
            JobState::Incomplete => &mut self.jobs.incomplete,
            JobState::Vanished => &mut self.jobs.vanished,
        };
        *counted += 1;
        if job.state == JobState::Sealed {
            self.jobs.adopted += u64::from(job.adopted);
            self.copied.rows += job.copied.rows;
        }
        self.copied.bytes_written += job.copied.bytes_written;
        self.copied.bytes_returned += job.copied.bytes_returned;
        if let Some(drift) = job.drift {
            self.jobs.drifted += 1;
            self.drifts.push(Drifted {
                source: job.source.to_string(),
                drift,
            });
        }
        for unsealed in &job.unsealed {
            let message = "bore the read-only flag of its frozen source without having been compared, and differs from it; it lost the flag and counts as unsealed";
            self.fail(
                Some(&job.source),
                Some(unsealed.to_string()),
                "unsealed",
                message.into(),
            );
        }
        if let Some(error) = &job.error {
            let backup = job.backup.as_ref().map(ToString::to_string);
            self.fail(Some(&job.source), backup, error.word(), error.to_string());
        }
    }

    /// Counts what pruning did for a source.
    pub fn add_pruned(&mut self, source: &Namespace, pruned: &Pruned, show: bool) {
        if let Some(error) = &pruned.unread {
            self.fail(
                Some(source),
                None,
                error.word(),
                format!("its backups could not be read, so none was deleted: {error}"),
            );
        }
        self.pruning.undecided_sources += u64::from(pruned.unread.is_some() || pruned.not_reached);
        let newest = pruned.decisions.last().map(|decision| &decision.verdict);
        let held = |reason: &Keep| {
            matches!(
                reason,
                Keep::SourceGone | Keep::JobNotSealed | Keep::Unsealed
            )
        };
        self.pruning.held_sources +=
            u64::from(matches!(newest, Some(Verdict::Keep(reasons)) if reasons.iter().any(held)));
        for decision in &pruned.decisions {
            let keep = match &decision.verdict {
                Verdict::Keep(reasons) => reasons.clone(),
                Verdict::Due(_) => Vec::new(),
            };
            let superseded = match &decision.verdict {
                Verdict::Due(superseded) => Some(superseded.clone()),
                Verdict::Keep(_) => None,
            };
            let unsealed = keep.contains(&Keep::Unsealed);
            self.pruning.due += u64::from(superseded.is_some());
            if show {
                *self.pruning.unsealed.get_or_insert(0) += u64::from(unsealed);
                self.decisions.push(Line {
                    backup: decision.name.to_string(),
                    source: source.to_string(),
                    slot: decision.name.slot().instant(),
                    sealed: (!keep.contains(&Keep::NotAsked)).then_some(!unsealed),
                    due: superseded.is_some(),
                    keep,
                    superseded,
                });
            }
        }
        for (name, deletion) in &pruned.deletions {
            let (error, message) = match deletion {
                Deletion::Deleted(_) => {
                    self.pruning.deleted += 1;
                    self.deleted.push(name.to_string());
                    continue;
                }
                Deletion::Refused(refusal) => {
                    self.pruning.refused += 1;
                    ("deletion_refused", format!("not deleted: {refusal}"))
                }
                Deletion::Failed(error) => {
                    self.pruning.failed += 1;
                    (
                        error.word(),
                        format!(
                            "the deletion was not confirmed; the next run looks again: {error}"
                        ),
                    )
                }
                Deletion::StillThere => {
                    self.pruning.failed += 1;
                    (
                        "still_there",
                        "the service answered the deletion and still shows the backup".to_owned(),
                    )
                }
                Deletion::OutOfTime => {
                    self.pruning.failed += 1;
                    (
                        "out_of_time",
                        "time ran out during the deletion; the next run looks whether it stands"
                            .to_owned(),
                    )
                }
            };
            self.fail(Some(source), Some(name.to_string()), error, message);
        }
    }

    /// Adds a failure.
    pub fn fail(
        &mut self,
        source: Option<&Namespace>,
        backup: Option<String>,
        error: &'static str,
        message: String,
    ) {
        self.not_for_want_of_time += u64::from(error != "out_of_time");
        self.failures.push(Failure {
            source: source.map(ToString::to_string),
            backup,
            error,
            message,
        });
    }

    /// Adds a warning.
    pub fn warn(&mut self, message: String) {
        tracing::warn!(detail = message, "warning");
        self.warnings.push(message);
    }

    /// Adds names that are no backups of the plan.
    pub fn add_strays(&mut self, strays: &[String], show: bool) {
        self.pruning.strays = u64::try_from(strays.len()).unwrap_or(u64::MAX);
        if show {
            for stray in strays {
                self.strays.push(stray.clone());
            }
        }
    }

    /// Settles how the run ended.
    pub fn finish(&mut self, now: Timestamp) {
        self.finished_at = now;
        self.outcome = match (self.failures.is_empty(), self.not_for_want_of_time) {
            (true, _) => Outcome::Succeeded,
            (false, 0) => Outcome::Incomplete,
            (false, _) => Outcome::Failed,
        };
    }

    /// One line for an error message: how much failed, and the first reasons.
    #[must_use]
    pub fn summary(&self) -> String {
        let jobs = self.jobs;
        let first = self
            .failures
            .shown
            .iter()
            .take(3)
            .map(|failure| match &failure.source {
                Some(source) => format!("{source}: {}", failure.message),
                None => failure.message.clone(),
            });
        let first = first.collect::<Vec<_>>().join("; ");
        format!(
            "{} of {} jobs sealed, {} failed, {} incomplete, {} backups deleted; {} failures: {first}",
            jobs.sealed + jobs.already_sealed,
            self.sources,
            jobs.failed,
            jobs.incomplete,
            self.pruning.deleted,
            self.failures.len(),
        )
    }
}
