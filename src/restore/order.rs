//! Which backup of a source is restored, and as what; as the journal keeps it, and with names that were read by their
//! grammar.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::choose::Taken;
use super::error::RestoreError;
use crate::name::{BackupName, Namespace};
use crate::witness::Testimony;

/// What one source is restored from, and as what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    /// The source.
    pub source: String,
    /// Its backup.
    pub backup: String,
    /// Whether the backup was verified when it was made.
    pub sealed: bool,
    /// What the journal says of it.
    #[serde(default, skip_serializing_if = "Testimony::is_silent")]
    pub testimony: Testimony,
    /// Newer backups that were never verified and were passed over.
    pub passed_over: u64,
    /// What the restored namespace is called.
    pub destination: String,
}

/// A namespace to restore: a choice whose names were read by their grammar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The backup. It says whose it is and what instant it stands for.
    pub backup: BackupName,
    /// Whether it was verified when it was made.
    pub sealed: bool,
    /// What the journal says of it.
    pub testimony: Testimony,
    /// Newer backups that were never verified and were passed over.
    pub passed_over: u64,
    /// What the restored namespace is called.
    pub destination: Namespace,
}

impl Order {
    /// What was chosen, under this name.
    #[must_use]
    pub fn of(taken: Taken, destination: Namespace) -> Self {
        Self {
            backup: taken.backup,
            sealed: taken.sealed,
            testimony: taken.testimony,
            passed_over: taken.passed_over,
            destination,
        }
    }

    /// What was chosen and written down, of this backup and under this name.
    #[must_use]
    pub fn remembered(chosen: &Chosen, backup: BackupName, destination: Namespace) -> Self {
        Self {
            backup,
            sealed: chosen.sealed,
            testimony: chosen.testimony.clone(),
            passed_over: chosen.passed_over,
            destination,
        }
    }

    /// A backup that has other rows than it was sealed with is none any more, though its copy may be just what it is.
    pub(super) fn hold_to_what_was_sealed(&self, rows: u64) -> Result<(), RestoreError> {
        let Some(sealed) = self.testimony.sealed_with.filter(|sealed| *sealed != rows) else {
            return Ok(());
        };
        Err(RestoreError::ChangedSinceSealed {
            destination: self.destination.to_string(),
            backup: self.backup.to_string(),
            sealed,
            rows,
            before: self.backup.slot().instant() - SignedDuration::from_secs(1),
        })
    }

    /// As the journal keeps it.
    #[must_use]
    pub fn chosen(&self) -> Chosen {
        Chosen {
            source: self.backup.source().to_string(),
            backup: self.backup.to_string(),
            sealed: self.sealed,
            testimony: self.testimony.clone(),
            passed_over: self.passed_over,
            destination: self.destination.to_string(),
        }
    }
}
