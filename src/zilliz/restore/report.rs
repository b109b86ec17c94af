//! What a restore of clusters says of itself: one bounded JSON document, in which no password is.

use jiff::Timestamp;
use serde::Serialize;

use super::asked::{Asked, Destination};
use super::notes::{Chosen, INCOMPLETE, PasswordFate, RESTORED, Way};
use super::password::OneTime;
use crate::event::Action;
use crate::journal::JobLine;
use crate::report::{Bounded, Failure, Outcome, Size, first_reasons};

/// The report.
#[derive(Clone, Debug, Serialize)]
pub struct ClusterRestoreReport {
    /// Names this invocation in every log line.
    pub run_id: String,
    /// Always `restore`.
    pub action: Action,
    /// Always `zilliz`.
    pub provider: &'static str,
    /// Whether nothing was to be changed.
    pub dry_run: bool,
    /// The plan's name.
    pub plan: String,
    /// What tells this restore from every other: the same request is the same restore.
    pub restore: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Whether it stays open in the journal, so that `resume` carries on.
    pub stays_open: bool,
    /// Beginning, UTC.
    pub started_at: Timestamp,
    /// End, UTC.
    pub finished_at: Timestamp,
    /// What is restored, and as what; none when nothing was chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chosen: Option<Chosen>,
    /// Whether pruning is kept away from the backup.
    pub held: bool,
    /// The new cluster, or each collection.
    pub jobs: Bounded<JobLine>,
    /// Where the one-time password went.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_went: Option<PasswordFate>,
    /// What a backup does not contain, and has to be set again.
    pub not_in_backup: Vec<String>,
    /// HTTP requests sent to the service, repeats included.
    pub requests: u64,
    /// How many of them were repeats.
    pub retries: u64,
    /// What was not done, or what is in the way.
    pub failures: Bounded<Failure>,
    /// What is worth a look and no failure.
    pub warnings: Bounded<String>,
    /// Where it was asked to lead, for people.
    #[serde(skip)]
    wanted: String,
    /// The password, for the terminal that shows it. It is in no answer, no log and no journal.
    #[serde(skip)]
    pub one_time: Option<OneTime>,
    /// Failures for which more time is no remedy.
    #[serde(skip)]
    not_for_want_of_time: u64,
}

impl ClusterRestoreReport {
    /// An empty report of a restore that begins now.
    #[must_use]
    pub fn begin(
        asked: &Asked,
        plan: &str,
        dry_run: bool,
        run_id: String,
        now: Timestamp,
        size: Size,
    ) -> Self {
        let list = size.longest_list();
        Self {
            run_id,
            action: Action::Restore,
            provider: "zilliz",
            dry_run,
            plan: plan.to_owned(),
            restore: asked.identity(plan),
            outcome: Outcome::Succeeded,
            stays_open: false,
            started_at: now,
            finished_at: now,
            chosen: None,
            held: false,
            jobs: Bounded::of_at_most(list),
            password_went: None,
            not_in_backup: Vec::new(),
            requests: 0,
            retries: 0,
            failures: Bounded::of_at_most(list),
            warnings: Bounded::of_at_most(list),
            wanted: match &asked.destination {
                Destination::NewCluster(new) => format!("new cluster `{}`", new.name),
                Destination::Into(into) => format!("cluster {}", into.cluster),
            },
            one_time: None,
            not_for_want_of_time: 0,
        }
    }

    /// Adds a failure of the restore, or of one of its items.
    pub fn fail(&mut self, item: Option<&JobLine>, error: &'static str, message: String) {
        let passes = matches!(error, "out_of_time" | "being_restored");
        self.not_for_want_of_time += u64::from(!passes);
        self.failures.push(Failure {
            target: item.map(|line| line.target.clone()),
            source: item.map(|line| line.source.clone()),
            backup: item.and_then(|line| line.backup.clone()),
            error,
            message,
        });
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

    /// How many items are in this state.
    #[must_use]
    pub fn count(&self, state: &str) -> usize {
        let in_it = |line: &&JobLine| line.state == state;
        self.jobs.shown.iter().filter(in_it).count()
    }

    /// Where it leads, for people.
    #[must_use]
    pub fn destination(&self) -> String {
        match self.chosen.as_ref().map(|chosen| &chosen.way) {
            Some(Way::NewCluster {
                name,
                project,
                cu_size,
                ..
            }) => {
                format!("new cluster `{name}` of {cu_size} CU in project {project}")
            }
            Some(Way::Into { cluster, .. }) => format!("cluster {cluster}"),
            None => self.wanted.clone(),
        }
    }

    /// One line for an error message.
    #[must_use]
    pub fn summary(&self) -> String {
        let first = first_reasons(&self.failures, |failure| failure.message.clone());
        format!(
            "{} of {} restored, {} not done yet; {} failures: {first}",
            self.count(RESTORED),
            self.jobs.len(),
            self.count(INCOMPLETE),
            self.failures.len(),
        )
    }
}
