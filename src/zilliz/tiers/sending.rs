//! One deletion of a tier: written down, certified from what the service says just now, sent, and seen done.
//!
//! What it must never do: send a DELETE without its certificate, or call a backup gone that the list still shows.

use std::time::Duration;

use tokio::time::timeout;

use super::certified::{Circumstances, Deletable, Place, Seen, certify};
use super::decide::copies_of;
use super::deleting::{Due, Looked, place};
use crate::journal::{Journal, JournalError, Lease, Owned, Tier, TierState, leased};
use crate::plan::Tiers;
use crate::service::Region;
use crate::zilliz::client::ZillizError;
use crate::zilliz::run::Run;
use crate::zilliz::transport::Transport;
use crate::zilliz::wire::Cluster;

/// How long a DELETE with its repeats may take: less than a lease must still last when its certificate is given.
const DELETE_WITHIN: Duration = Duration::from_secs(45);

/// Why a due tier stays: a short, stable word, and what happened.
type Why = (&'static str, String);

impl<T: Transport> Run<'_, '_, T> {
    /// Reads the candidate and those that make it superfluous once more, has the deletion certified, and sees it done.
    pub(super) async fn delete(
        &self,
        rules: &Tiers,
        looked: &mut Looked<'_>,
        at: usize,
        region: &Region,
        due: &Due,
        lease: &Lease,
    ) -> Result<(), Why> {
        let is_original = looked.cluster.region_id.as_ref() == Some(region);
        if is_original
            && copies_of(&looked.tiers, region, due.own.slot)
                .next()
                .is_some()
        {
            return Err(("has_copies", "copies of it stand, and go first".into()));
        }
        let Some(tier) = looked.tiers.get_mut(at) else {
            return Err(("no_tier", "nobody knows it".into()));
        };
        let leaving = |owned: &mut Owned| {
            owned.leaving.insert(region.clone());
        };
        self.rewrite(lease, tier, leaving)
            .await
            .map_err(|error| (error.word(), error.to_string()))?;
        let place = place(looked.cluster, region);
        let id = due.own.id.as_deref().unwrap_or_default();
        let why = match self.certified(rules, looked, place, due, lease).await {
            Ok(Some(deletable)) => return self.send(&deletable, place, id).await,
            Ok(None) if self.is_gone(place, id, None).await.is_ok() => return Ok(()),
            Ok(None) => {
                let message = "the list shows it, and it can't be described; nothing was deleted";
                ("unreadable", message.into())
            }
            Err(why) => why,
        };
        if let Some(tier) = looked.tiers.get_mut(at) {
            let stays = |owned: &mut Owned| {
                owned.leaving.remove(region);
            };
            // What stays marked is only told less exactly when somebody else deletes it one day.
            let _ = self.rewrite(lease, tier, stays).await;
        }
        Err(why)
    }

    /// The right to delete it; `None` when it is gone already.
    async fn certified(
        &self,
        rules: &Tiers,
        looked: &Looked<'_>,
        place: Place<'_>,
        due: &Due,
        lease: &Lease,
    ) -> Result<Option<Deletable>, Why> {
        let read = |error: ZillizError| (error.word(), error.to_string());
        let (client, plan) = (self.world.client, self.world.plan);
        let id = due.own.id.as_deref().unwrap_or_default();
        let name = due.own.name.to_string();
        let policy = due.standing.policy(rules, &plan.zone);
        let vouching = due
            .standing
            .vouching(&due.own, &policy, self.world.clock.now());
        let mut siblings = Vec::new();
        for (name, id) in vouching {
            siblings.extend(Seen::read(client, place, &name, &id).await.map_err(read)?);
        }
        let Some(candidate) = Seen::read(client, place, &name, id).await.map_err(read)? else {
            return Ok(None);
        };
        let now = self.world.clock.now();
        let holds = match self.world.journal {
            Some(journal) => journal.holds(now).await.ok(),
            None => None,
        };
        let around = Circumstances {
            place,
            rules,
            zone: &plan.zone,
            is_of_the_plan: self.has(looked.cluster, place.region),
            being_restored: holds.map(|holds| holds.holder_anywhere(id).is_some()),
            lease: leased(Some(lease), now, self.world.client.latest()).await,
            listing: &looked.complete,
            now: self.world.clock.now(),
        };
        let certified = certify(&candidate, &siblings, &around);
        certified
            .map(Some)
            .map_err(|refusal| ("deletion_refused", format!("not deleted: {refusal}")))
    }

    /// Whether the plan selects the cluster and has the region.
    fn has(&self, cluster: &Cluster, region: &Region) -> bool {
        let plan = self.world.plan;
        let name = cluster.cluster_name.as_deref().unwrap_or_default();
        let project = cluster.project_id.as_deref();
        let mut targets = plan.targets.iter();
        let in_region = cluster.region_id.as_ref() == Some(region)
            || targets.any(|target| target.region == *region);
        in_region && plan.clusters.selects(&cluster.cluster_id, name, project)
    }

    async fn send(&self, deletable: &Deletable, place: Place<'_>, id: &str) -> Result<(), Why> {
        let sent = timeout(DELETE_WITHIN, self.world.client.delete(deletable)).await;
        let refused = match sent {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error),
            Err(_) => Some(ZillizError::NoAnswer {
                message: format!("nothing came within {} seconds", DELETE_WITHIN.as_secs()),
            }),
        };
        self.is_gone(place, id, refused).await
    }

    /// Whether the list shows it no more, whatever was answered.
    ///
    /// Unknown (contract section 1.1): what a DELETE of a backup that is not there is answered with. So no refusal is taken
    /// for a yes or a no; the list decides. But a list may lag behind, and what was called gone is nobody's: after a refusal
    /// the service must not know it any more when it is asked for it, either.
    async fn is_gone(
        &self,
        place: Place<'_>,
        id: &str,
        refused: Option<ZillizError>,
    ) -> Result<(), Why> {
        let unseen = |error: ZillizError| {
            let message =
                format!("whether it is gone could not be seen: {error}; the next run looks again");
            (error.word(), message)
        };
        let listed = self.world.client.backups(place.cluster).await;
        let listed = listed.map_err(unseen)?;
        let mut stands = listed.iter().any(|listed| listed.backup_id == id);
        if !stands && refused.is_some() {
            let described = self.world.client.backup(place.cluster, id).await;
            stands = described.map_err(unseen)?.is_some();
        }
        if !stands {
            return Ok(());
        }
        Err(match refused {
            Some(error) => (error.word(), error.to_string()),
            None => (
                "still_there",
                "the list shows it still, after its deletion; the next run tries again".into(),
            ),
        })
    }

    /// Writes down what changes of a tier, or forgets it when nothing is left.
    pub(super) async fn rewrite(
        &self,
        lease: &Lease,
        tier: &mut Tier,
        change: impl FnOnce(&mut Owned),
    ) -> Result<(), JournalError> {
        let (Some(journal), TierState::Owned(owned)) = (self.world.journal, &tier.state) else {
            return Ok(());
        };
        let mut owned = owned.clone();
        change(&mut owned);
        let is = Tier {
            state: TierState::Owned(owned.clone()),
            ..tier.clone()
        };
        write(journal, lease, tier, &is, owned.backups.is_empty()).await?;
        *tier = is;
        Ok(())
    }
}

async fn write(
    journal: &Journal,
    lease: &Lease,
    was: &Tier,
    is: &Tier,
    nothing_is_left: bool,
) -> Result<(), JournalError> {
    if nothing_is_left {
        return journal.forget_tier(lease, was).await;
    }
    journal.write_tier(lease, Some(was), is).await
}
