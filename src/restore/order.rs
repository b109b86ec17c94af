//! Which backup of a source is restored, and as what; as the journal keeps it, and with names that were read by their
//! grammar.

use serde::{Deserialize, Serialize};

use crate::name::{BackupName, Namespace};

/// What one source is restored from, and as what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    /// The source.
    pub source: String,
    /// Its backup.
    pub backup: String,
    /// Whether the backup was verified when it was made.
    pub sealed: bool,
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
    /// Newer backups that were never verified and were passed over.
    pub passed_over: u64,
    /// What the restored namespace is called.
    pub destination: Namespace,
}

impl Order {
    /// As the journal keeps it.
    #[must_use]
    pub fn chosen(&self) -> Chosen {
        Chosen {
            source: self.backup.source().to_string(),
            backup: self.backup.to_string(),
            sealed: self.sealed,
            passed_over: self.passed_over,
            destination: self.destination.to_string(),
        }
    }
}
