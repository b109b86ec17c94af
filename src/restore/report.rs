//! What a restore says of itself: one bounded document, like a run's report.
//!
//! Counts are complete; lists are cut at a stated length and say how much they leave out.

use jiff::Timestamp;
use serde::Serialize;

use super::asked::Asked;
use super::order::Order;
use super::record::{RestoreRecord, RestoreState};
use crate::event::Action;
use crate::journal::JobLine;
use crate::name::Namespace;
use crate::report::{Bounded, Fails, Outcome, Size, first_reasons};
use crate::service::Queried;
use crate::verify::{Cost, Level};

/// Restored namespaces by how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RestoreCounts {
    /// They would be restored, in a dry run.
    pub planned: u64,
    /// They are what their backups are, and can be written.
    pub restored: u64,
    /// They stand and are not what their backups are; not to be trusted.
    pub differ: u64,
    /// They were not restored.
    pub failed: u64,
    /// Out of time.
    pub incomplete: u64,
    /// Sources without a backup that could be used.
    pub missing: u64,
    /// Of those restored or to be restored, from backups that were never verified.
    pub unverified: u64,
    /// The same, from backups that their own runs found not to be what their sources were.
    pub known_bad: u64,
}

/// One namespace that is restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// The source.
    pub source: String,
    /// The backup it is restored from.
    pub backup: String,
    /// The instant that stands for.
    pub slot: Timestamp,
    /// Whether the backup was verified when it was made.
    pub verified: bool,
    /// What it is restored as.
    pub destination: String,
    /// What became of it.
    pub state: RestoreState,
    /// Rows in it.
    pub rows: u64,
    /// From its first request to its last, waiting included.
    pub seconds: i64,
    /// How far the service says the copy is, while it is being made; its own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<String>,
    /// When the same request restored it, if that had ended before: then nothing was done now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restored_earlier_at: Option<Timestamp>,
}

/// One thing that was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RestoreFailure {
    /// The source concerned, if it is one alone.
    pub source: Option<String>,
    /// One short, stable word.
    pub error: String,
    /// What happened and what to do.
    pub message: String,
}

impl RestoreFailure {
    /// Whether more time is a remedy.
    pub(crate) fn passes(&self) -> bool {
        matches!(self.error.as_str(), "out_of_time" | "copying" | "busy")
    }

    /// What happened, and to what: a source, or all of it.
    pub(crate) fn reason(&self, all: &str) -> String {
        let of = self.source.as_deref().unwrap_or(all);
        format!("{of}: {}", self.message)
    }
}

impl Fails for RestoreFailure {
    fn of_the_whole(&self) -> Option<&str> {
        self.source.is_none().then_some(self.message.as_str())
    }
}

/// The report of a restore.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RestoreReport {
    /// Names this invocation in every log line.
    pub run_id: String,
    /// Always `restore`.
    pub action: Action,
    /// Whether nothing was to be changed.
    pub dry_run: bool,
    /// The plan's name.
    pub plan: String,
    /// The target whose backups are restored.
    pub target: String,
    /// Names the restore in the journal.
    pub restore: String,
    /// The point in time.
    pub at: Timestamp,
    /// Where the backups stand.
    pub from_region: String,
    /// Where they are restored to.
    pub to_region: String,
    /// How closely each is compared with its backup.
    pub verify: Level,
    /// How it ended.
    pub outcome: Outcome,
    /// Whether it stays open in the journal, so that `resume`, or the same request, carries on.
    pub stays_open: bool,
    /// Whether pruning was told to keep the backups meanwhile.
    pub held: bool,
    /// Beginning of this invocation, UTC.
    pub started_at: Timestamp,
    /// Its end, UTC.
    pub finished_at: Timestamp,
    /// Namespaces by how they ended.
    pub counts: RestoreCounts,
    /// Rows in those restored.
    pub rows: u64,
    /// Billed logical bytes written.
    pub bytes_written: u64,
    /// Billed logical bytes read in the backups' region and sent over.
    pub bytes_returned: u64,
    /// What comparing rows cost, if any were read.
    #[serde(skip_serializing_if = "Cost::is_nothing")]
    pub rows_read: Cost,
    /// What all queries of this invocation were billed with, counts and rows; beside what the copies were.
    pub queried: Queried,
    /// HTTP requests sent, repeats included.
    pub requests: u64,
    /// How many of them were repeats.
    pub retries: u64,
    /// The namespaces.
    pub restored: Bounded<Restored>,
    /// What was not done.
    pub failures: Bounded<RestoreFailure>,
    /// What is worth a look and no failure.
    pub warnings: Bounded<String>,
    /// Failures for which more time is no remedy.
    #[serde(skip)]
    not_for_want_of_time: u64,
}

/// Where a restore leads from and to, in names.
#[derive(Clone, Copy, Debug)]
pub struct Route<'a> {
    /// The plan's name.
    pub plan: &'a str,
    /// The target's name.
    pub target: &'a str,
    /// Where the backups stand.
    pub from: &'a str,
    /// Where they are restored to.
    pub to: &'a str,
}

impl RestoreReport {
    /// An empty report of a restore that begins now.
    #[must_use]
    pub fn begin(
        asked: &Asked,
        route: Route<'_>,
        dry_run: bool,
        run_id: String,
        now: Timestamp,
        size: Size,
    ) -> Self {
        let most = size.longest_list();
        Self {
            run_id,
            action: Action::Restore,
            dry_run,
            plan: route.plan.to_owned(),
            target: route.target.to_owned(),
            restore: asked.identity(route.plan),
            at: asked.at.unwrap_or(now),
            from_region: route.from.to_owned(),
            to_region: route.to.to_owned(),
            verify: asked.level,
            outcome: Outcome::Succeeded,
            stays_open: false,
            held: false,
            started_at: now,
            finished_at: now,
            counts: RestoreCounts::default(),
            rows: 0,
            bytes_written: 0,
            bytes_returned: 0,
            rows_read: Cost::default(),
            queried: Queried::default(),
            requests: 0,
            retries: 0,
            restored: Bounded::of_at_most(most),
            failures: Bounded::of_at_most(most),
            warnings: Bounded::of_at_most(most),
            not_for_want_of_time: 0,
        }
    }

    /// Counts a namespace of this invocation.
    pub fn add(&mut self, record: &RestoreRecord) {
        let seconds = record.ended_at.duration_since(record.began_at).as_secs();
        let progress = record.progress.clone();
        let (state, rows) = (record.state, record.copied.rows);
        let line = Restored {
            rows,
            seconds,
            progress,
            ..untouched(&record.order, state)
        };
        self.add_line(&record.order, line);
        self.bytes_written += record.copied.bytes_written;
        self.bytes_returned += record.copied.bytes_returned;
        self.rows_read += record.cost;
        if let Some(error) = &record.error {
            let source = record.order.backup.source();
            self.fail_source(source, error.word(), error.to_string());
        } else {
            self.tell_what_its_run_found(&record.order);
        }
    }

    /// Nobody should take what comes back for good, though it is just what its backup is.
    fn tell_what_its_run_found(&mut self, order: &Order) {
        let Some(found) = &order.testimony.refuted else {
            return;
        };
        let message = format!(
            "its only backup by then, `{}`, was found wrong by its own run: {found}. It comes back as it is; look at what is missing before you rely on it",
            order.backup
        );
        self.fail_source(order.backup.source(), "known_bad", message);
    }

    /// Counts a namespace that would be restored.
    pub fn add_planned(&mut self, order: &Order) {
        self.add_line(order, untouched(order, RestoreState::Planned));
        self.tell_what_its_run_found(order);
    }

    /// Counts a namespace that ended in an earlier invocation. Its failure is told once more when the restore closes.
    pub fn add_earlier(&mut self, order: &Order, line: &JobLine, closes: bool) {
        self.add_ended(order, line, None, closes);
    }

    /// Counts a namespace that the same request restored when it was carried out before.
    pub(super) fn add_restored_earlier(&mut self, order: &Order, line: &JobLine) {
        self.add_ended(order, line, line.ended_at, true);
    }

    fn add_ended(
        &mut self,
        order: &Order,
        line: &JobLine,
        restored_earlier_at: Option<Timestamp>,
        closes: bool,
    ) {
        let state = RestoreState::of_word(&line.state).unwrap_or(RestoreState::Failed);
        let took = line.started_at.zip(line.ended_at);
        let seconds = took.map_or(0, |(began, ended)| ended.duration_since(began).as_secs());
        let told = Restored {
            rows: line.rows,
            seconds,
            restored_earlier_at,
            ..untouched(order, state)
        };
        self.add_line(order, told);
        self.bytes_written += line.bytes_written;
        self.bytes_returned += line.bytes_returned;
        if let (Some(error), Some(message), true) = (&line.error, &line.message, closes) {
            self.fail_source(order.backup.source(), error, message.clone());
        } else if closes {
            self.tell_what_its_run_found(order);
        }
    }

    /// Counts a namespace that was not reached, or left in the middle.
    pub fn add_left(&mut self, order: &Order, state: RestoreState, error: &str, message: &str) {
        self.add_line(order, untouched(order, state));
        self.fail_source(order.backup.source(), error, message.to_owned());
    }

    fn add_line(&mut self, order: &Order, line: Restored) {
        let counts = &mut self.counts;
        let counted = match line.state {
            RestoreState::Planned => &mut counts.planned,
            RestoreState::Restored => &mut counts.restored,
            RestoreState::Differs => &mut counts.differ,
            RestoreState::Failed => &mut counts.failed,
            RestoreState::Incomplete => &mut counts.incomplete,
        };
        *counted += 1;
        if line.state == RestoreState::Restored {
            self.rows += line.rows;
        }
        match (&order.testimony.refuted, order.sealed) {
            (Some(_), _) => counts.known_bad += 1,
            (None, false) => counts.unverified += 1,
            (None, true) => {}
        }
        self.restored.push(line);
    }

    /// Adds a source without a backup that could be used.
    pub fn add_missing(&mut self, source: &str, why: String) {
        self.counts.missing += 1;
        self.add_failure(Some(source.to_owned()), "no_backup", why);
    }

    /// Adds a failure of one source.
    pub fn fail_source(&mut self, source: &Namespace, error: &str, message: String) {
        self.add_failure(Some(source.to_string()), error, message);
    }

    /// Adds a failure of the restore as a whole.
    pub fn fail(&mut self, error: &str, message: String) {
        self.add_failure(None, error, message);
    }

    fn add_failure(&mut self, source: Option<String>, error: &str, message: String) {
        let failure = RestoreFailure {
            source,
            error: error.to_owned(),
            message,
        };
        self.not_for_want_of_time += u64::from(!failure.passes());
        self.failures.push(failure);
    }

    /// Adds a warning.
    pub fn warn(&mut self, message: String) {
        tracing::warn!(detail = message, "warning");
        self.warnings.push(message);
    }

    /// How it ends if nothing else happens.
    #[must_use]
    pub fn outcome_so_far(&self) -> Outcome {
        Outcome::of(self.failures.len(), self.not_for_want_of_time)
    }

    /// Settles how it ended.
    pub fn finish(&mut self, now: Timestamp) {
        self.finished_at = now;
        self.outcome = self.outcome_so_far();
    }

    /// One line for an error message: how much was restored, and the first reasons.
    #[must_use]
    pub fn summary(&self) -> String {
        let counts = self.counts;
        let first = first_reasons(&self.failures, |failure| failure.reason("the restore"));
        format!(
            "{} restored, {} differ, {} failed, {} incomplete, {} without a backup; {} failures: {first}",
            counts.restored,
            counts.differ,
            counts.failed,
            counts.incomplete,
            counts.missing,
            self.failures.len(),
        )
    }
}

/// What is told of a namespace with which nothing was done yet.
fn untouched(order: &Order, state: RestoreState) -> Restored {
    Restored {
        source: order.backup.source().to_string(),
        backup: order.backup.to_string(),
        slot: order.backup.slot().instant(),
        verified: order.sealed,
        destination: order.destination.to_string(),
        state,
        rows: 0,
        seconds: 0,
        progress: None,
        restored_earlier_at: None,
    }
}
