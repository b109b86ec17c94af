//! Scratch namespaces deleted: each with a certificate of its own, from metadata read for it a moment ago.
//!
//! What it must never do: delete anything that a drill of this plan did not make, or that a drill may still be at work
//! with. Two kinds go: those of a drill that says so itself, and those that a drill which died left behind more than a
//! day ago.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

use crate::certificate::{self, Refusal, ScratchClaim, ScratchWord, Witness};
use crate::clock::Clock;
use crate::journal::{Entry, Journal, JournalError, Lease, leased};
use crate::listing::{self, ListingError};
use crate::name::{SCRATCH_PREFIX, ScratchName};
use crate::service::{Patient, Service, ServiceError, decided_anew};

/// The scratches of one plan's drills in one region.
pub(crate) struct Scratches<'a, S> {
    /// The plan's name.
    pub(crate) plan: &'a str,
    /// The region.
    pub(crate) region: &'a Patient<S>,
    /// The local clock.
    pub(crate) clock: &'a Clock,
    /// What keeps other drills or runs of the plan away, if there is a journal.
    pub(crate) lease: Option<Arc<Lease>>,
    /// When to stop.
    pub(crate) until: Instant,
}

/// What became of a scratch.
#[derive(Debug)]
pub(crate) enum Cleared {
    /// There was none, or none any more.
    Gone,
    /// Deleted, and seen to be gone.
    Deleted,
    /// The certificate was refused; it stays.
    Refused(Refusal),
    /// The service failed.
    Failed(ServiceError),
    /// The service said yes and still shows it.
    StillThere,
    /// Time ran out.
    OutOfTime,
}

impl Cleared {
    /// Why the DELETE itself was not carried out, as far as anybody knows.
    fn put_off(&self) -> Option<&ServiceError> {
        match self {
            Self::Failed(error) => Some(error),
            _ => None,
        }
    }

    /// Why it may still stand, in a stable word and a sentence, and whether a later attempt may help.
    pub(crate) fn why_it_stands(&self) -> Option<(&'static str, String, bool)> {
        match self {
            Self::Gone | Self::Deleted => None,
            Self::Refused(refusal) => Some(("deletion_refused", refusal.to_string(), false)),
            Self::Failed(error) => Some((error.word(), error.to_string(), true)),
            Self::StillThere => Some((
                "still_there",
                "the service answered the deletion and still shows it".to_owned(),
                true,
            )),
            Self::OutOfTime => Some(("out_of_time", "time ran out".to_owned(), true)),
        }
    }
}

/// What a sweep found.
#[derive(Debug, Default)]
pub(crate) struct Swept {
    /// Deleted, by name.
    pub(crate) deleted: Vec<String>,
    /// Left, with the reason, though they are more than a day old.
    pub(crate) left: Vec<(String, String)>,
}

impl<S: Service> Scratches<'_, S> {
    /// Deletes a scratch, if it stands and the certificate agrees.
    pub(crate) async fn clear(&self, scratch: &ScratchName, word: ScratchWord<'_>) -> Cleared {
        let decide = async || self.clear_one(scratch, word).await;
        let cleared = decided_anew(decide, Cleared::put_off);
        let cleared = match timeout_at(self.until, cleared).await {
            Ok(Ok(cleared)) => cleared,
            Ok(Err(error)) => Cleared::Failed(error),
            Err(_) => Cleared::OutOfTime,
        };
        let region = self.region.region();
        match cleared.why_it_stands() {
            Some((error, detail, _)) => {
                warn!(%scratch, region, error, detail, "a scratch was not deleted");
            }
            None => info!(%scratch, region, "no scratch is left"),
        }
        cleared
    }

    async fn clear_one(
        &self,
        scratch: &ScratchName,
        word: ScratchWord<'_>,
    ) -> Result<Cleared, ServiceError> {
        let namespace = scratch.namespace();
        let Some(seen) = self.region.metadata(namespace).await? else {
            return Ok(Cleared::Gone);
        };
        self.clock.compare(seen.answered_at);
        let (now, latest) = (self.clock.now(), self.clock.latest());
        let lease = leased(self.lease.as_deref(), now, latest).await;
        let certified = certificate::certify_scratch(&ScratchClaim {
            candidate: &Witness {
                namespace: namespace.to_string(),
                created_at: seen.created_at,
                read_only: seen.read_only,
                answered_at: seen.answered_at,
            },
            plan: self.plan,
            word,
            lease,
            now: self.clock.now(),
        });
        let certificate = match certified {
            Ok(certificate) if self.clock.agrees() => certificate,
            Ok(_) => return Ok(Cleared::Refused(Refusal::ClocksDisagree)),
            Err(refusal) => return Ok(Cleared::Refused(refusal)),
        };
        if let Err(error) = self.region.delete(&certificate).await {
            return Ok(Cleared::Failed(error));
        }
        Ok(match self.region.metadata(namespace).await? {
            None => Cleared::Deleted,
            Some(_) => Cleared::StillThere,
        })
    }

    /// Deletes what drills of this plan left more than a day ago: killed without a journal, or with one that was lost.
    pub(crate) async fn sweep(&self, journal: Option<&Journal>) -> Result<Swept, ListingError> {
        let prefix = [SCRATCH_PREFIX.to_owned()];
        let listing = timeout_at(self.until, listing::list_prefixes(self.region, &prefix)).await;
        let listing = listing.unwrap_or_else(|_| {
            let region = self.region.region().to_owned();
            Err(ListingError::OutOfTime { region })
        })?;
        let names = listing.names.iter();
        let ours: Vec<ScratchName> = names
            .filter_map(|name| ScratchName::parse(self.plan, name))
            .collect();
        let mut swept = Swept::default();
        if ours.is_empty() {
            return Ok(swept);
        }
        let open = match journal {
            Some(journal) => drilled_now(journal).await.ok(),
            None => Some(BTreeSet::new()),
        };
        for scratch in ours {
            let name = scratch.to_string();
            let open = open.as_ref().map(|open| open.contains(&name));
            let cleared = self.clear(&scratch, ScratchWord::Left { open }).await;
            match (&cleared, cleared.why_it_stands()) {
                (Cleared::Refused(Refusal::BeingDrilled), _) => {}
                (_, Some((_, why, _))) => swept.left.push((name, why)),
                (_, None) => swept.deleted.push(name),
            }
        }
        Ok(swept)
    }
}

/// The scratches of every open drill of every plan.
async fn drilled_now(journal: &Journal) -> Result<BTreeSet<String>, JournalError> {
    let journal = journal.of_drills();
    let mut names = BTreeSet::new();
    for open in journal.open_runs().await?.runs {
        for entry in journal.entries(&open.key).await? {
            if let Entry::RestoreChosen { chosen } = entry {
                names.insert(chosen.destination);
            }
        }
    }
    Ok(names)
}
