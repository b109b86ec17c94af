//! Tiers: which backups of clusters a plan has had made itself, and may therefore delete one day.
//!
//! Zilliz Cloud's backups have no name of ours, so this is the one place that says whose they are. What it must never do:
//! say that a backup is the plan's which this program did not see itself make. Losing all of it loses no backup: what is
//! not here is never deleted.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::stream::{self, StreamExt, TryStreamExt};
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use super::store::{Found, Put};
use super::{Entry, Journal, JournalError, Lease, json};
use crate::service::Region;
use crate::slot::Slot;

/// Objects read at once.
const READS: usize = 16;

/// A backup of one cluster for one slot, with its copies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tier {
    /// The plan's name.
    pub plan: String,
    /// The cluster's id.
    pub cluster: String,
    /// The scheduled instant that it stands for.
    #[serde(with = "super::slot_as_instant")]
    pub slot: Slot,
    /// How far it is.
    #[serde(flatten)]
    pub state: TierState,
}

/// How far a tier is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum TierState {
    /// It may have been asked for, and is followed.
    BeingMade {
        /// What was written down, in its order.
        facts: Vec<Entry>,
    },
    /// Its end is known, and the plan may delete what stands here when it is due.
    Owned(Owned),
    /// It was found after a request that nobody answered. Somebody else may have had it made, so it is never deleted.
    Adopted {
        /// The service's ids, by region.
        backups: BTreeMap<Region, String>,
    },
    /// Nothing came of it.
    Failed {
        /// Why.
        why: String,
    },
}

/// What a plan may delete of one tier.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owned {
    /// The service's ids, by region.
    pub backups: BTreeMap<Region, String>,
    /// Regions in which no copy was made, or none that is surely this one's, and why.
    #[serde(default)]
    pub missing: BTreeMap<Region, String>,
    /// Those of the missing in which something stands that may be a copy.
    #[serde(default)]
    pub unsure: BTreeSet<Region>,
    /// Regions in which a DELETE may have been sent.
    #[serde(default)]
    pub leaving: BTreeSet<Region>,
}

impl Tier {
    /// What the plan may delete of it, if it owns it.
    #[must_use]
    pub fn owned(&self) -> Option<&Owned> {
        match &self.state {
            TierState::Owned(owned) => Some(owned),
            _ => None,
        }
    }

    /// Whether nobody knows its end yet.
    #[must_use]
    pub fn is_being_made(&self) -> bool {
        matches!(self.state, TierState::BeingMade { .. })
    }
}

impl Journal {
    /// Every tier of a plan, oldest slot first: complete, or an error.
    pub async fn tiers(&self, plan: &str) -> Result<Vec<Tier>, JournalError> {
        let paths = self.store.list(&self.store.path(["tiers", plan])).await?;
        let reads = stream::iter(paths).map(|path| self.read_tier(plan, path));
        let tiers: Vec<Option<Tier>> = reads.buffered(READS).try_collect().await?;
        let mut tiers: Vec<Tier> = tiers.into_iter().flatten().collect();
        tiers.sort_by(|one, other| (one.slot, &one.cluster).cmp(&(other.slot, &other.cluster)));
        Ok(tiers)
    }

    /// Writes a tier down in place of what was, which must still stand there, and returns once that is durable.
    pub async fn write_tier(
        &self,
        lease: &Lease,
        was: Option<&Tier>,
        is: &Tier,
    ) -> Result<(), JournalError> {
        let path = self.tier_path(is);
        let found = self.tier_as(lease, was, &path).await?;
        match self.store.put(&path, &json(is), found.as_ref()).await? {
            Put::Done => Ok(()),
            Put::Beaten(_) => Err(self.changed(&path)),
        }
    }

    /// Forgets a tier of which nothing is left.
    pub async fn forget_tier(&self, lease: &Lease, was: &Tier) -> Result<(), JournalError> {
        let path = self.tier_path(was);
        self.tier_as(lease, Some(was), &path).await?;
        self.store.delete(vec![path]).await
    }

    /// What stands there, if it is what was read before and the lease is not lost.
    async fn tier_as(
        &self,
        lease: &Lease,
        was: Option<&Tier>,
        path: &Path,
    ) -> Result<Option<Found>, JournalError> {
        lease.held().if_not_lost()?;
        let found = self.store.read(path).await?;
        let stands = found
            .as_ref()
            .map(|found| serde_json::from_slice::<Tier>(&found.body).ok());
        if stands.as_ref().map(Option::as_ref) != was.map(Some) {
            return Err(self.changed(path));
        }
        Ok(found)
    }

    fn changed(&self, path: &Path) -> JournalError {
        let object = self.store.name_of(path);
        self.store
            .unreachable(format!("{object} was changed by somebody else"))
    }

    /// `None` when it was removed after it had been listed.
    async fn read_tier(&self, plan: &str, path: Path) -> Result<Option<Tier>, JournalError> {
        let Some(found) = self.store.read(&path).await? else {
            return Ok(None);
        };
        let unreadable = |why: String| JournalError::Unreadable {
            object: self.store.name_of(&path),
            fault: format!(
                "should say which backup of a cluster is the plan's own, and {why}; no tier is made or deleted meanwhile"
            ),
        };
        let tier: Tier = serde_json::from_slice(&found.body)
            .map_err(|error| unreadable(format!("can't be read ({error})")))?;
        if tier.plan != plan || self.tier_path(&tier) != path {
            return Err(unreadable("is of another plan, cluster or slot".into()));
        }
        Ok(Some(tier))
    }

    fn tier_path(&self, tier: &Tier) -> Path {
        let name = format!("{}-{}.json", tier.cluster, tier.slot);
        self.store.path(["tiers", &tier.plan, &name])
    }
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;
    use std::sync::Arc;

    use jiff::Timestamp;
    use object_store::memory::InMemory;

    use super::*;

    fn tier(state: TierState) -> Tier {
        Tier {
            plan: "prod".into(),
            cluster: "in01-1".into(),
            slot: Slot::of("2026-11-22T02:00:00Z".parse().unwrap()).unwrap(),
            state,
        }
    }

    fn owned(region: &str) -> Tier {
        tier(TierState::Owned(Owned {
            backups: BTreeMap::from([(region.to_owned(), "backup3_7".to_owned())]),
            ..Owned::default()
        }))
    }

    #[tokio::test]
    async fn a_tier_is_changed_only_by_whoever_has_seen_it_and_has_the_lease() {
        let journal = Journal::on(Arc::new(InMemory::new()), Path::from("journal"));
        let now: Timestamp = "2026-11-22T02:00:00Z".parse().unwrap();
        let lease = journal.acquire("prod", "run", now).await.unwrap();
        let (first, then) = (
            tier(TierState::BeingMade { facts: Vec::new() }),
            owned("near"),
        );
        journal.write_tier(&lease, None, &first).await.unwrap();
        assert_eq!(journal.tiers("prod").await.unwrap(), from_ref(&first));
        assert!(journal.write_tier(&lease, None, &then).await.is_err());
        assert!(
            journal
                .write_tier(&lease, Some(&then), &then)
                .await
                .is_err()
        );
        assert!(journal.forget_tier(&lease, &then).await.is_err());
        journal
            .write_tier(&lease, Some(&first), &then)
            .await
            .unwrap();
        assert_eq!(journal.tiers("prod").await.unwrap(), from_ref(&then));
        assert_eq!(journal.tiers("weekly").await.unwrap(), []);
        journal
            .store
            .delete(vec![journal.store.path(["leases", "prod.json"])])
            .await
            .unwrap();
        assert!(lease.renew(now).await.is_err());
        assert!(
            journal
                .write_tier(&lease, Some(&then), &first)
                .await
                .is_err()
        );
        assert!(journal.forget_tier(&lease, &then).await.is_err());
        assert_eq!(journal.tiers("prod").await.unwrap(), [then]);
    }

    #[tokio::test]
    async fn one_object_that_is_no_tier_makes_all_of_them_unreadable() {
        for (name, body) in [
            ("in01-1-1763776800.json", "{}".to_owned()),
            (
                "in01-2-1763776800.json",
                serde_json::to_string(&owned("near")).unwrap(),
            ),
        ] {
            let journal = Journal::on(Arc::new(InMemory::new()), Path::from("journal"));
            let path = journal.store.path(["tiers", "prod", name]);
            journal
                .store
                .put(&path, body.as_bytes(), None)
                .await
                .unwrap();
            let error = journal.tiers("prod").await.unwrap_err();
            assert_eq!(error.word(), "journal_unreadable");
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}
