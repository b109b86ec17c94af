//! Why a namespace was not restored, and what to do next.

use jiff::Timestamp;

use super::record::RestoreState;
use crate::copying::CopyError;
use crate::service::ServiceError;
use crate::verify::Mismatch;

/// Why a namespace was not restored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// The service said no.
    #[error(transparent)]
    Service(ServiceError),
    /// A request failed, and asking again later is a remedy, perhaps with another key.
    #[error("{0}; `resume`, or the same request once more, carries on")]
    Trouble(ServiceError),
    /// The service began the copy and gave it up.
    #[error("the service gave the copy up: {0}; ask again for this source alone")]
    CopyFailed(ServiceError),
    /// The copy is not what the backup is.
    #[error(
        "`{destination}` is not trustworthy: {}; it is left as it is, and nothing of it may be relied on: delete it, and ask again",
        .mismatch.with("its backup")
    )]
    Differs {
        /// What was restored.
        destination: String,
        /// How it differs.
        mismatch: Mismatch,
    },
    /// The copy is what the backup is, and the backup is not what it was when it was sealed.
    #[error(
        "`{backup}` was sealed with {sealed} rows, as the journal says, and has {rows}, so somebody changed it since: what comes back from it as `{destination}` is not trustworthy, and is not handed over; restore an older backup under another name (--at {before} with another --as, in an event `at` and `as`)"
    )]
    ChangedSinceSealed {
        /// What was restored.
        destination: String,
        /// What it was restored from.
        backup: String,
        /// With how many rows that was sealed.
        sealed: u64,
        /// How many it has.
        rows: u64,
        /// The last second that it does not stand for.
        before: Timestamp,
    },
    /// It stood there before our copy did.
    #[error(
        "`{0}` was made by somebody else before its copy began; nothing of it was changed: choose another name"
    )]
    Occupied(String),
    /// The backup was deleted before it was held.
    #[error(
        "`{0}` was deleted before it could be held; ask again, and an older or newer one is chosen"
    )]
    BackupGone(String),
    /// The backup was deleted while it was copied: nobody can compare the copy, which may be all that is left of it.
    #[error(
        "`{backup}` was deleted before `{destination}` could be compared with it; that has {copied} rows, and the backup had {expected}. It may be the only copy that is left, and stays as it is: keep it until another backup of the same source is proven (`lifeboat drill`)"
    )]
    BackupVanished {
        /// What was restored.
        destination: String,
        /// What it was restored from.
        backup: String,
        /// Rows in the backup when its copy was decided.
        expected: u64,
        /// Rows in the copy.
        copied: u64,
    },
    /// The service says that the copy exists, or made it, and never shows it.
    #[error(
        "the service says that `{0}` exists or is being made, but did not show it within ten minutes; ask again"
    )]
    Unseen(String),
    /// The service took the flag away and still shows it.
    #[error(
        "the service accepted that `{0}` can be written again but still shows it read-only; PATCH its metadata with {{\"read_only\": false}}"
    )]
    StillReadOnly(String),
    /// The copy goes on at the service.
    #[error(
        "the copy is still being made; `resume`, or the same request once more, compares it when it is complete"
    )]
    StillCopying,
    /// The invocation ends.
    #[error("time ran out; `resume`, or the same request once more, carries on")]
    OutOfTime,
}

impl RestoreError {
    /// One short, stable word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Service(error) | Self::Trouble(error) => error.word(),
            Self::CopyFailed(_) => "copy_failed",
            Self::Differs { .. } => "mismatch",
            Self::ChangedSinceSealed { .. } => "changed_since_sealed",
            Self::Occupied(_) => "exists",
            Self::BackupGone(_) => "backup_gone",
            Self::BackupVanished { .. } => "backup_vanished",
            Self::Unseen(_) => "unseen",
            Self::StillReadOnly(_) => "still_read_only",
            Self::StillCopying => "copying",
            Self::OutOfTime => "out_of_time",
        }
    }

    pub(super) fn state(&self) -> RestoreState {
        match self {
            Self::Differs { .. } | Self::ChangedSinceSealed { .. } => RestoreState::Differs,
            Self::Trouble(_) | Self::StillCopying | Self::OutOfTime => RestoreState::Incomplete,
            _ => RestoreState::Failed,
        }
    }
}

impl From<ServiceError> for RestoreError {
    fn from(error: ServiceError) -> Self {
        if error.can_be_set_right() {
            Self::Trouble(error)
        } else {
            Self::Service(error)
        }
    }
}

impl From<CopyError> for RestoreError {
    fn from(error: CopyError) -> Self {
        match error {
            CopyError::Service(error) => error.into(),
            CopyError::GivenUp(error) => Self::CopyFailed(error),
            CopyError::StillCopying => Self::StillCopying,
        }
    }
}
