//! Where the facts about a backup that is being made are written down: in the log of its run, or with the tier that it is.
//!
//! A run ends one day; a tier outlives the run that asked for it, so whichever run comes next knows of it.

use std::sync::{Mutex, OnceLock, PoisonError};

use tracing::warn;

use super::journaled::Journaled;
use super::notes::{Note, Past, Pasts};
use crate::journal::{Entry, JobLine, Journal, JournalError, Lease, Tier, TierState};
use crate::slot::Slot;

/// One of both places.
#[derive(Clone, Copy)]
pub(super) enum Facts<'a> {
    Run(&'a Journaled),
    Tier(&'a Record<'a>),
}

impl<'a> Facts<'a> {
    /// The plan's lease, if there is one.
    pub(super) fn lease(self) -> Option<&'a Lease> {
        match self {
            Self::Run(journaled) => journaled.lease.as_deref(),
            Self::Tier(record) => Some(record.lease),
        }
    }

    /// What keeps facts from being written down. While there is one, nothing new may be made: nobody else would know of it.
    pub(super) fn fault(&self) -> Option<&JournalError> {
        match self {
            Self::Run(journaled) => journaled.fault(),
            Self::Tier(record) => record.fault(),
        }
    }

    /// Writes a fact down and waits until it is durable; after a fault nothing more is written.
    pub(super) async fn write(self, note: Note) {
        match self {
            Self::Run(journaled) => journaled.write(note).await,
            Self::Tier(record) => record.append(Entry::Cluster { note }).await,
        }
    }

    /// Writes down how an original or a copy ended.
    pub(super) async fn ended(self, job: JobLine) {
        match self {
            Self::Run(journaled) => journaled.ended(job).await,
            Self::Tier(record) => record.append(Entry::Ended { job }).await,
        }
    }
}

/// A tier in the journal, as this invocation alone may change it.
pub(super) struct Record<'a> {
    journal: &'a Journal,
    lease: &'a Lease,
    /// What it would be if it were not there yet.
    new: Tier,
    /// What stands in the journal.
    stands: Mutex<Option<Tier>>,
    fault: OnceLock<JournalError>,
}

impl<'a> Record<'a> {
    /// A tier that is there, or `new`, which is written with its first fact.
    pub(super) fn of(
        journal: &'a Journal,
        lease: &'a Lease,
        new: Tier,
        stands: Option<Tier>,
    ) -> Self {
        Self {
            journal,
            lease,
            new,
            stands: Mutex::new(stands),
            fault: OnceLock::new(),
        }
    }

    /// The instant that the tier stands for.
    pub(super) fn slot(&self) -> Slot {
        self.new.slot
    }

    /// What stands in the journal now.
    pub(super) fn tier(&self) -> Option<Tier> {
        let stands = self.stands.lock();
        stands.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the facts about its making come to.
    pub(super) fn past(&self) -> Past {
        match self.tier().map(|tier| (tier.cluster, tier.state)) {
            Some((cluster, TierState::BeingMade { facts })) => {
                Pasts::of(&facts, None).of_cluster(&cluster)
            }
            _ => Past::default(),
        }
    }

    pub(super) fn fault(&self) -> Option<&JournalError> {
        self.fault.get()
    }

    async fn append(&self, entry: Entry) {
        if self.fault.get().is_some() {
            return;
        }
        let mut facts = match self.tier().map(|tier| tier.state) {
            Some(TierState::BeingMade { facts }) => facts,
            _ => Vec::new(),
        };
        facts.push(entry);
        // What could not be written is remembered, and told by whoever made the record.
        let _ = self.turn_into(TierState::BeingMade { facts }).await;
    }

    /// Writes another state down. After a fault nothing more is written.
    pub(super) async fn turn_into(&self, state: TierState) -> Result<(), JournalError> {
        if let Some(fault) = self.fault.get() {
            return Err(fault.clone());
        }
        let was = self.tier();
        let is = Tier {
            state,
            ..self.new.clone()
        };
        let written = self.journal.write_tier(self.lease, was.as_ref(), &is).await;
        self.settle(written, Some(is))
    }

    /// Forgets the tier.
    pub(super) async fn forget(&self) -> Result<(), JournalError> {
        let Some(was) = self.tier() else {
            return Ok(());
        };
        let forgotten = self.journal.forget_tier(self.lease, &was).await;
        self.settle(forgotten, None)
    }

    fn settle(
        &self,
        written: Result<(), JournalError>,
        stands: Option<Tier>,
    ) -> Result<(), JournalError> {
        match written {
            Ok(()) => {
                *self.stands.lock().unwrap_or_else(PoisonError::into_inner) = stands;
                Ok(())
            }
            Err(error) => {
                warn!(error = error.word(), detail = %error, "the journal did not take what became of a tier");
                // An Err means that there was a fault before.
                let _ = self.fault.set(error.clone());
                Err(error)
            }
        }
    }
}
