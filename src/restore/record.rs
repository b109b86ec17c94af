//! What became of one restored, or drilled, namespace: for the report, the journal and the user.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::error::RestoreError;
use super::order::Order;
use crate::drill::DrillState;
use crate::journal::{HandedOver, JobLine};
use crate::service::Copied;
use crate::verify::{Cost, Digest};

/// What becomes of a copy that is equal to its backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It loses the read-only flag that it inherited, and is the user's.
    Restore,
    /// It has served: nobody writes to it, and it is deleted.
    Drill,
}

/// What became of one restored namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RestoreState {
    /// A dry run: it would be restored.
    Planned,
    /// It is what its backup is, and can be written.
    Restored,
    /// It stands, and is not what its backup is.
    Differs,
    /// It was not restored.
    Failed,
    /// Time ran out. The copy goes on at the service, and `resume` or the same request carries on.
    Incomplete,
}

impl RestoreState {
    const ALL: [Self; 5] = [
        Self::Planned,
        Self::Restored,
        Self::Differs,
        Self::Failed,
        Self::Incomplete,
    ];

    /// The report's and the journal's word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Restored => "restored",
            Self::Differs => "differs",
            Self::Failed => "failed",
            Self::Incomplete => "incomplete",
        }
    }

    /// The state of this word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }
}

/// What the user sees of one restored namespace.
#[derive(Clone, Debug)]
pub struct RestoreRecord {
    /// What was restored, and as what.
    pub order: Order,
    /// What became of it.
    pub state: RestoreState,
    /// Rows in it, and what the service billed.
    pub copied: Copied,
    /// When its first invocation began it.
    pub began_at: Timestamp,
    /// When it ended, or was left.
    pub ended_at: Timestamp,
    /// How long the copy took, from the first look at the backup until the copy was seen whole; `None` if it was not.
    pub copying: Option<SignedDuration>,
    /// How long rows were compared in this invocation; `None` if none were, or not to their end.
    pub comparing: Option<SignedDuration>,
    /// The sum of all its rows, if all were compared and equal.
    pub digest: Option<Digest>,
    /// What reading rows cost in this invocation.
    pub cost: Cost,
    /// Whether an earlier invocation began it, so that the times hold pauses.
    pub carried_on: bool,
    /// How far the service last said the copy was, in its own words.
    pub progress: Option<String>,
    /// What was handed over; `None` if nothing was.
    pub handed_over: Option<HandedOver>,
    /// Why it was not restored.
    pub error: Option<RestoreError>,
}

impl Purpose {
    /// The journal's word for what became of a copy.
    fn word(self, state: RestoreState) -> &'static str {
        match self {
            Self::Restore => state.word(),
            Self::Drill => DrillState::from(state).word(),
        }
    }
}

impl RestoreRecord {
    /// What the user is told of it.
    #[must_use]
    pub fn message(&self, purpose: Purpose) -> String {
        let Order {
            backup,
            destination,
            ..
        } = &self.order;
        match (&self.error, purpose) {
            (None, Purpose::Restore) => format!("restored as {destination}"),
            (None, Purpose::Drill) => self.proof(),
            (Some(RestoreError::Differs { mismatch, .. }), Purpose::Drill) => format!(
                "`{backup}` did not come back as it is: {}; drill it once more, and if it differs again, trust an older backup and back the source up anew",
                mismatch.with("its backup")
            ),
            (Some(RestoreError::ChangedSinceSealed { sealed, rows, .. }), Purpose::Drill) => {
                format!(
                    "`{backup}` is not what it was when it was sealed: it had {sealed} rows then, as the journal says, and has {rows}, so somebody changed it since; trust an older backup, and back the source up anew"
                )
            }
            (Some(RestoreError::Occupied(name)), Purpose::Drill) => format!(
                "`{name}` stood there before the drill's copy began, so it is not the drill's: nothing of it was changed; drill again"
            ),
            (Some(RestoreError::BackupGone(name)), Purpose::Drill) => {
                format!("`{name}` was deleted before it could be held; drill again")
            }
            (Some(RestoreError::BackupVanished { backup, .. }), Purpose::Drill) => format!(
                "`{backup}` was deleted while it was drilled, so nobody could compare what came back; drill again"
            ),
            // The command typed once more would be another drill.
            (Some(RestoreError::Trouble(error)), Purpose::Drill) => {
                format!("{error}; `resume` carries on")
            }
            (Some(RestoreError::StillCopying), Purpose::Drill) => {
                "the copy is still being made; `resume` carries on, and compares it when it is complete".to_owned()
            }
            (Some(RestoreError::OutOfTime), Purpose::Drill) => {
                "time ran out; `resume` carries on".to_owned()
            }
            (Some(error), _) => error.to_string(),
        }
    }

    /// What a drill has shown, for whoever asks years later.
    fn proof(&self) -> String {
        let whole = self.ended_at.duration_since(self.began_at);
        let parts = self.copying.map_or_else(String::new, |copying| {
            format!(
                ": {:.1} s until the copy was there, {:.1} s to compare it",
                copying.as_secs_f64(),
                (whole - copying).as_secs_f64()
            )
        });
        let digest = self.digest.map(|digest| format!("; digest {digest}"));
        let pauses = if self.carried_on {
            "; cut short in between, so the times hold pauses"
        } else {
            ""
        };
        format!(
            "{} rows came back whole in {:.1} s{parts}{}{pauses}",
            self.copied.rows,
            whole.as_secs_f64(),
            digest.unwrap_or_default()
        )
    }

    /// As the journal keeps it.
    pub(super) fn line(&self, target: &str, region: &str, purpose: Purpose) -> JobLine {
        let ended = self.state != RestoreState::Incomplete;
        JobLine {
            target: target.to_owned(),
            region: region.to_owned(),
            source: self.order.backup.source().to_string(),
            backup: Some(self.order.backup.to_string()),
            state: purpose.word(self.state).to_owned(),
            rows: self.copied.rows,
            bytes_written: self.copied.bytes_written,
            bytes_returned: self.copied.bytes_returned,
            started_at: Some(self.began_at),
            ended_at: ended.then_some(self.ended_at),
            progress: self.progress.clone(),
            error: self.error.as_ref().map(|error| error.word().to_owned()),
            message: Some(self.message(purpose)),
            handed_over: self.handed_over.map(Box::new),
        }
    }
}
