//! What a drill says of itself: evidence for an auditor, as one bounded document.
//!
//! It must never say more than was shown: `proven` is a copy that was compared with its backup, as closely as `verify`
//! says, and found equal.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::asked::Asked;
use super::scratches::Cleared;
use crate::event::Action;
use crate::journal::JobLine;
use crate::report::{Bounded, Outcome, Size, first_reasons};
use crate::restore::{Order, Purpose, RestoreFailure, RestoreRecord, RestoreState, Route};
use crate::service::Queried;
use crate::slot::Slot;
use crate::verify::{Cost, Digest, Level};

/// What a drill showed about one backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DrillState {
    /// A dry run: it would be drilled.
    Planned,
    /// It came back, and is what the backup is.
    Proven,
    /// It came back as something else.
    Differs,
    /// It did not come back.
    Failed,
    /// Time ran out. The copy goes on at the service, and `resume` or the same event carries on.
    Incomplete,
}

impl From<RestoreState> for DrillState {
    fn from(state: RestoreState) -> Self {
        match state {
            RestoreState::Planned => Self::Planned,
            RestoreState::Restored => Self::Proven,
            RestoreState::Differs => Self::Differs,
            RestoreState::Failed => Self::Failed,
            RestoreState::Incomplete => Self::Incomplete,
        }
    }
}

impl DrillState {
    const ALL: [Self; 5] = [
        Self::Planned,
        Self::Proven,
        Self::Differs,
        Self::Failed,
        Self::Incomplete,
    ];

    /// The report's and the journal's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Proven => "proven",
            Self::Differs => "differs",
            Self::Failed => "failed",
            Self::Incomplete => "incomplete",
        }
    }

    /// The state of this word; what nobody knows was not shown.
    #[must_use]
    pub fn of_word(word: &str) -> Self {
        let known = Self::ALL.into_iter().find(|state| state.word() == word);
        known.unwrap_or(Self::Failed)
    }
}

/// Drilled backups by what was shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DrillCounts {
    /// They would be drilled, in a dry run.
    pub planned: u64,
    /// They came back and are equal.
    pub proven: u64,
    /// They came back as something else.
    pub differ: u64,
    /// They did not come back.
    pub failed: u64,
    /// Out of time.
    pub incomplete: u64,
    /// Named sources without a backup that can be drilled.
    pub missing: u64,
    /// Scratches that may still stand, with a reason among the failures or warnings.
    pub scratches_left: u64,
}

/// One backup that was drilled. Durations are in seconds, with their fractions.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Drilled {
    /// The source.
    pub source: String,
    /// The backup.
    pub backup: String,
    /// The instant it stands for.
    pub slot: Timestamp,
    /// How old that state was when the drill began with it: what a restore would have lost.
    pub recovery_point_seconds: f64,
    /// The copy's name while it stood.
    pub scratch: String,
    /// What was shown.
    pub state: DrillState,
    /// Rows in it.
    pub rows: u64,
    /// Logical bytes that its copy was billed with, which may be fewer than it has.
    pub bytes: u64,
    /// From the first request for it until it was there and compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery_seconds: Option<f64>,
    /// Of these, until the copy was there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copy_seconds: Option<f64>,
    /// Of these, comparing rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compare_seconds: Option<f64>,
    /// Billed bytes by seconds of the copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<u64>,
    /// Whether it was cut short in between, so that the times hold pauses.
    pub carried_on: bool,
    /// What stands for all its rows, if all were read; an auditor can compare it years later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Whether no scratch of it is left.
    pub scratch_gone: bool,
    /// How far the service says the copy is, while it is being made; its own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<String>,
}

/// The report of a drill.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DrillReport {
    /// Names this invocation in every log line.
    pub run_id: String,
    /// Always `drill`.
    pub action: Action,
    /// Whether nothing was to be changed.
    pub dry_run: bool,
    /// The plan's name.
    pub plan: String,
    /// The target whose backups are drilled.
    pub target: String,
    /// The scheduled instant. With the plan it names the drill in the journal.
    pub slot: Timestamp,
    /// How backups were picked.
    pub pick: &'static str,
    /// What the lot was drawn with: the same seed picks the same again.
    pub seed: u64,
    /// Sources with backups, among which it was picked.
    pub sources: u64,
    /// Where the backups stand.
    pub from_region: String,
    /// Where they were restored to.
    pub to_region: String,
    /// How closely each was compared with its backup.
    pub verify: Level,
    /// How it ended.
    pub outcome: Outcome,
    /// Whether it stays open in the journal, so that `resume`, or the same event, carries on.
    pub stays_open: bool,
    /// Whether pruning was told to keep the backups meanwhile.
    pub held: bool,
    /// Beginning of this invocation, UTC.
    pub started_at: Timestamp,
    /// Its end, UTC.
    pub finished_at: Timestamp,
    /// Backups by what was shown.
    pub counts: DrillCounts,
    /// Rows that came back.
    pub rows: u64,
    /// Billed logical bytes written.
    pub bytes_written: u64,
    /// Billed logical bytes read in the backups' region and sent over.
    pub bytes_returned: u64,
    /// The longest that one backup took to come back and be compared, in seconds.
    pub longest_recovery_seconds: f64,
    /// The oldest state that one backup brought back, in seconds before it was asked for.
    pub oldest_recovery_point_seconds: f64,
    /// What reading rows cost.
    pub rows_read: Cost,
    /// What all queries of this invocation were billed with, counts and rows; beside what the copies were.
    pub queried: Queried,
    /// HTTP requests sent, repeats included.
    pub requests: u64,
    /// How many of them were repeats.
    pub retries: u64,
    /// The backups.
    pub drilled: Bounded<Drilled>,
    /// Scratches of earlier drills that were deleted now.
    #[serde(skip_serializing_if = "Bounded::is_empty")]
    pub swept: Bounded<String>,
    /// What was not shown, or not done.
    pub failures: Bounded<RestoreFailure>,
    /// What is worth a look and no failure.
    pub warnings: Bounded<String>,
    /// Failures for which more time is no remedy.
    #[serde(skip)]
    not_for_want_of_time: u64,
    /// Scratches that a later attempt may delete.
    #[serde(skip)]
    may_yet_go: u64,
}

impl DrillReport {
    /// An empty report of a drill that begins now.
    #[must_use]
    pub fn begin(
        asked: &Asked,
        route: Route<'_>,
        slot: Slot,
        dry_run: bool,
        run_id: String,
        now: Timestamp,
        size: Size,
    ) -> Self {
        let most = size.longest_list();
        Self {
            run_id,
            action: Action::Drill,
            dry_run,
            plan: route.plan.to_owned(),
            target: route.target.to_owned(),
            slot: slot.instant(),
            pick: asked.pick.word(),
            seed: asked.seed_in(slot),
            sources: 0,
            from_region: route.from.to_owned(),
            to_region: route.to.to_owned(),
            verify: asked.level,
            outcome: Outcome::Succeeded,
            stays_open: false,
            held: false,
            started_at: now,
            finished_at: now,
            counts: DrillCounts::default(),
            rows: 0,
            bytes_written: 0,
            bytes_returned: 0,
            longest_recovery_seconds: 0.0,
            oldest_recovery_point_seconds: 0.0,
            rows_read: Cost::default(),
            queried: Queried::default(),
            requests: 0,
            retries: 0,
            drilled: Bounded::of_at_most(most),
            swept: Bounded::of_at_most(most),
            failures: Bounded::of_at_most(most),
            warnings: Bounded::of_at_most(most),
            not_for_want_of_time: 0,
            may_yet_go: 0,
        }
    }

    /// Takes in what became of a scratch, and gives whether it is gone.
    pub(super) fn add_cleared(&mut self, order: &Order, cleared: &Cleared) -> bool {
        let Some((error, why, may_yet_go)) = cleared.why_it_stands() else {
            return true;
        };
        self.counts.scratches_left += 1;
        self.may_yet_go += u64::from(may_yet_go);
        let next = if may_yet_go {
            "`resume` or the next drill tries again"
        } else {
            "look what it is, and delete it by hand"
        };
        let message = format!(
            "the scratch `{}` in {} was not deleted: {why}; {next}",
            order.destination, self.to_region
        );
        self.fail(Some(order.backup.source().as_str()), error, message);
        false
    }

    /// Whether a scratch could not be deleted, for a reason that may pass.
    pub(super) fn a_scratch_may_yet_go(&self) -> bool {
        self.may_yet_go > 0
    }

    /// Counts a backup of this invocation, whose scratch is gone or not. `kept` says whether a journal knows of it.
    pub fn add(&mut self, record: &RestoreRecord, scratch_gone: bool, kept: bool) {
        let state = DrillState::from(record.state);
        let whole = record.ended_at.duration_since(record.began_at);
        let bytes = record.copied.bytes_written;
        self.add_line(Drilled {
            rows: record.copied.rows,
            bytes,
            recovery_seconds: (state == DrillState::Proven).then_some(whole.as_secs_f64()),
            copy_seconds: record.copying.map(|took| took.as_secs_f64()),
            compare_seconds: record.comparing.map(|took| took.as_secs_f64()),
            bytes_per_second: record.copying.and_then(|took| rate(bytes, took)),
            carried_on: record.carried_on,
            digest: record.digest,
            scratch_gone,
            progress: record.progress.clone(),
            ..untouched(&record.order, state, record.began_at)
        });
        self.bytes_written += bytes;
        self.bytes_returned += record.copied.bytes_returned;
        self.rows_read += record.cost;
        if state == DrillState::Incomplete && !scratch_gone {
            self.counts.scratches_left += 1;
            if !kept {
                self.warn(format!(
                    "`{}` may stand, or come to stand, in {}; a backup or another drill a day later deletes it",
                    record.order.destination, self.to_region
                ));
            }
        }
        if let Some(error) = &record.error {
            let message = record.message(Purpose::Drill);
            self.fail(
                Some(record.order.backup.source().as_str()),
                error.word(),
                message,
            );
        }
    }

    /// Counts a backup that would be drilled.
    pub fn add_planned(&mut self, order: &Order) {
        let now = self.started_at;
        self.add_line(untouched(order, DrillState::Planned, now));
    }

    /// Counts a backup that ended in an earlier invocation. Its failure is told once more when the drill closes.
    pub fn add_earlier(&mut self, order: &Order, line: &JobLine, scratch_gone: bool, closes: bool) {
        let state = DrillState::of_word(&line.state);
        let began = line.started_at.unwrap_or(self.started_at);
        let took = line.ended_at.map(|ended| ended.duration_since(began));
        self.add_line(Drilled {
            rows: line.rows,
            bytes: line.bytes_written,
            recovery_seconds: took
                .filter(|_| state == DrillState::Proven)
                .map(|took| took.as_secs_f64()),
            carried_on: true,
            scratch_gone,
            ..untouched(order, state, began)
        });
        self.bytes_written += line.bytes_written;
        self.bytes_returned += line.bytes_returned;
        if let (Some(error), Some(message), true) = (&line.error, &line.message, closes) {
            self.fail(Some(order.backup.source().as_str()), error, message.clone());
        }
    }

    /// Counts a backup that was not reached, or left in the middle.
    pub fn add_left(&mut self, order: &Order, state: DrillState, error: &str, message: &str) {
        self.add_line(untouched(order, state, self.started_at));
        self.fail(
            Some(order.backup.source().as_str()),
            error,
            message.to_owned(),
        );
    }

    fn add_line(&mut self, line: Drilled) {
        let counts = &mut self.counts;
        let counted = match line.state {
            DrillState::Planned => &mut counts.planned,
            DrillState::Proven => &mut counts.proven,
            DrillState::Differs => &mut counts.differ,
            DrillState::Failed => &mut counts.failed,
            DrillState::Incomplete => &mut counts.incomplete,
        };
        *counted += 1;
        if line.state == DrillState::Proven {
            self.rows += line.rows;
            let (longest, oldest) = (
                &mut self.longest_recovery_seconds,
                &mut self.oldest_recovery_point_seconds,
            );
            *longest = longest.max(line.recovery_seconds.unwrap_or_default());
            *oldest = oldest.max(line.recovery_point_seconds);
        }
        self.drilled.push(line);
    }

    /// Adds a named source without a backup that can be drilled.
    pub fn add_missing(&mut self, name: &str, why: String) {
        self.counts.missing += 1;
        self.fail(Some(name), "no_backup", why);
    }

    /// Adds a failure: of one source, or of the drill as a whole.
    pub fn fail(&mut self, source: Option<&str>, error: &str, message: String) {
        let failure = RestoreFailure {
            source: source.map(str::to_owned),
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

    /// One line for an error message: how much was shown, and the first reasons.
    #[must_use]
    pub fn summary(&self) -> String {
        let counts = self.counts;
        let first = first_reasons(&self.failures, |failure| failure.reason("the drill"));
        format!(
            "{} backups came back whole, {} differ, {} failed, {} incomplete, {} without a backup, {} scratches left; {} failures: {first}",
            counts.proven,
            counts.differ,
            counts.failed,
            counts.incomplete,
            counts.missing,
            counts.scratches_left,
            self.failures.len(),
        )
    }
}

/// A line about a backup of which nothing is known yet.
fn untouched(order: &Order, state: DrillState, began_at: Timestamp) -> Drilled {
    let slot = order.backup.slot().instant();
    Drilled {
        source: order.backup.source().to_string(),
        backup: order.backup.to_string(),
        slot,
        recovery_point_seconds: began_at.duration_since(slot).as_secs_f64(),
        scratch: order.destination.to_string(),
        state,
        rows: 0,
        bytes: 0,
        recovery_seconds: None,
        copy_seconds: None,
        compare_seconds: None,
        bytes_per_second: None,
        carried_on: false,
        digest: None,
        scratch_gone: true,
        progress: None,
    }
}

/// Whole bytes a second; `None` where there is nothing to divide.
fn rate(bytes: u64, took: SignedDuration) -> Option<u64> {
    let milliseconds = u64::try_from(took.as_millis()).ok()?;
    let rate = bytes.saturating_mul(1_000).checked_div(milliseconds);
    rate.filter(|_| bytes > 0)
}
