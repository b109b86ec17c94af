//! How far comparisons of backups came that stand already, so that `verify`, cut short, need not begin anew.
//!
//! Runs, restores and drills write that into their own logs. What it must never do: speak for rows that may have been
//! written since, so it is remembered with both sides' times, and counts only while they are the same.

use jiff::Timestamp;
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use super::store::Put;
use super::{Journal, JournalError, json};
use crate::service::Metadata;
use crate::verify::Milestone;

/// Which comparison.
#[derive(Clone, Copy, Debug)]
pub struct Comparison<'a> {
    /// The target whose backup is compared.
    pub target: &'a str,
    /// The backup.
    pub backup: &'a str,
    /// The region of what it is compared with.
    pub with: &'a str,
}

/// How far it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// When its first row was read, UTC: what was read long ago says nothing of today.
    pub began_at: Timestamp,
    /// What the backup is compared with.
    pub other: String,
    /// The two sides as they were.
    pub sides: [Unwritten; 2],
    /// Up to where nothing differed.
    pub up_to: Milestone,
}

/// What stays the same while nothing is written to a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unwritten {
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<&Metadata> for Unwritten {
    fn from(shown: &Metadata) -> Self {
        Self {
            created_at: shown.created_at,
            updated_at: shown.updated_at,
        }
    }
}

impl Journal {
    /// How far a comparison came that was cut short; `None` when none was.
    pub async fn reached(
        &self,
        comparison: Comparison<'_>,
    ) -> Result<Option<Reached>, JournalError> {
        let path = self.comparison_path(comparison);
        let Some(found) = self.store.read(&path).await? else {
            return Ok(None);
        };
        let reached = serde_json::from_slice(&found.body);
        reached.map_err(|error| JournalError::Unreadable {
            object: self.store.name_of(&path),
            fault: format!("should say how far a comparison came, and can't be read ({error})"),
        })
    }

    /// Writes down how far it came. Where two are at it at once, one of them counts.
    pub async fn write_reached(
        &self,
        comparison: Comparison<'_>,
        reached: &Reached,
    ) -> Result<(), JournalError> {
        let path = self.comparison_path(comparison);
        let found = self.store.read(&path).await?;
        match self
            .store
            .put(&path, &json(reached), found.as_ref())
            .await?
        {
            Put::Done | Put::Beaten(_) => Ok(()),
        }
    }

    /// It came to its end.
    pub async fn forget_reached(&self, comparison: Comparison<'_>) -> Result<(), JournalError> {
        let path = self.comparison_path(comparison);
        self.store.delete(vec![path]).await
    }

    fn comparison_path(&self, comparison: Comparison<'_>) -> Path {
        let Comparison {
            target,
            backup,
            with,
        } = comparison;
        let object = format!("{with}.json");
        self.store.path(["comparisons", target, backup, &object])
    }
}
