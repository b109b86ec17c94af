//! What a run says of tiers: how many it made, what is due, deleted, and stays, bounded.

use jiff::Timestamp;
use serde::Serialize;

use crate::approval::PlanHash;
use crate::report::Bounded;
use crate::service::Region;

/// What became of one tier in one region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TierFate {
    /// A dry run: a rule keeps it.
    Kept,
    /// A dry run: it would be deleted.
    Due,
    /// It was deleted, and seen to be gone.
    Deleted,
    /// It was due and stays, or nobody may delete it.
    Stays,
    /// It is gone, and the plan did not delete it.
    Vanished,
}

impl TierFate {
    /// The word that reports use.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Due => "due",
            Self::Deleted => "deleted",
            Self::Stays => "stays",
            Self::Vanished => "vanished",
        }
    }
}

/// One tier in one region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TierLine {
    /// The cluster's id.
    pub cluster: String,
    /// Its name.
    pub name: String,
    /// Where it lies.
    pub region: Region,
    /// Its id; none for one that a dry run pretends to have made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup: Option<String>,
    /// The instant it stands for.
    pub slot: Timestamp,
    /// What became of it.
    pub fate: TierFate,
    /// Why.
    pub why: String,
}

/// What is due in one region, over all clusters of the plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DueInRegion {
    /// The region.
    pub region: Region,
    /// Tiers of the plan there.
    pub backups: u64,
    /// Of these, due.
    pub due: u64,
    /// Stands for exactly this list; sent back in `approve`, it lets it be deleted.
    pub hash: PlanHash,
    /// Why none of them is deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<&'static str>,
}

/// Everything that a run says of tiers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TierReport {
    /// Backups and copies that are there, of the tiers that this invocation had made or followed.
    pub made: u64,
    /// Backups and copies that are the plan's own at the end.
    pub owned: u64,
    /// Of these, due when they were looked at.
    pub due: u64,
    /// Deleted, and seen to be gone.
    pub deleted: u64,
    /// By region, where anything is due.
    pub regions: Vec<DueInRegion>,
    /// What was deleted or stays although it is due; in a dry run all of them.
    #[serde(skip_serializing_if = "Bounded::is_empty")]
    pub lines: Bounded<TierLine>,
    /// One is being made, or may be, and is followed to its end whatever became of the rest.
    #[serde(skip)]
    pub is_open: bool,
}

impl TierReport {
    /// Nothing yet.
    #[must_use]
    pub(crate) fn of_at_most(most: usize) -> Self {
        Self {
            made: 0,
            owned: 0,
            due: 0,
            deleted: 0,
            regions: Vec::new(),
            lines: Bounded::of_at_most(most),
            is_open: false,
        }
    }

    /// Whether there is nothing to say.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        (self.made, self.owned, self.due, self.deleted) == (0, 0, 0, 0) && self.lines.is_empty()
    }
}
