//! What a plan's backups and their copies cost in a month, told before the run; from what the clusters' newest backups
//! weigh (`weight`), the plan's weekdays and retention, its tiers, and a dated price table (`kept`, `sum`). It changes nothing.
//!
//! A month is one in which everything stands that the policy keeps; the plan's own tiers are those that stand now, and what
//! the next thirty nights make of them. Clusters are taken to keep their size: nothing that the service tells shows what
//! they grow by. What a person had made by hand is not counted, but for what a run is about to have made (`by_hand`).

mod by_hand;
mod kept;
mod sum;
mod weight;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use jiff::Timestamp;
use serde::Serialize;

pub use by_hand::ByHandEstimate;
pub use kept::{Kept, RegionEstimate, TiersInRegion};

use self::sum::add_up;
use self::weight::{Counted, Weight};
use super::account::Account;
use super::client::{Client, ZillizError};
use super::tiers::forecast::{Outlook, Stay};
use super::transport::Transport;
use super::wire::{Backup, Cluster};
use crate::budget::Judged;
use crate::event::ByHand;
use crate::journal::{Journal, Tier};
use crate::plan::ClusterPlan;
use crate::price::{Between, ZillizPrices};

/// Clusters that are asked for at once. The service's limit on requests is what counts.
const AT_ONCE: usize = 8;

/// What a plan's backups cost in a month. A sum is `None` when a price or a size in it is unknown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClusterEstimate {
    /// The plan's name.
    pub plan: String,
    /// Clusters that it selects, and that no run refuses.
    pub clusters: u64,
    /// Those that it selects, and that a run refuses: of them the sums have the tiers that stand, and nothing new.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<String>,
    /// Of `clusters`, those of which neither a backup nor the service tells a size.
    pub of_unknown_size: Vec<String>,
    /// Of `clusters`, those without a backup that tells their size, which is taken to be what they store.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sized_by_storage: Vec<String>,
    /// Bytes of one backup of each that is not of unknown size; `None` when all are.
    pub bytes: Option<u64>,
    /// Backups of each cluster in the thirty days to come.
    pub backups: u32,
    /// How long the largest takes to be made, in seconds; its copies take longer, and how much is unknown.
    pub seconds: Option<u64>,
    /// Every region in which something is kept: the clusters' own, and the targets.
    pub regions: Vec<RegionEstimate>,
    /// Ids of tiers that stand and don't tell their size; they are left out of all sums.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tiers_of_unknown_size: Vec<String>,
    /// Why nobody knows which tiers the plan has; then there is no total.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tiers_unknown: Option<String>,
    /// What thirty days cost in all of them, what is of unknown size left out; `None` when all of it is, or a price is
    /// unknown.
    pub total: Option<Between>,
    /// What is about to be made by hand, if anything is; it is in no sum but the budget's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by_hand: Option<ByHandEstimate>,
    /// What all that is to the plan's budget, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<Judged>,
}

/// Asks how big the clusters' backups are, and adds up. `plans` are all of them, of which no two may have one cluster;
/// `journal` says which backups are tiers.
pub async fn estimate<T: Transport>(
    (plan, plans): (&ClusterPlan, &[ClusterPlan]),
    client: &Client<T>,
    journal: Option<&Journal>,
    prices: &ZillizPrices,
    now: Timestamp,
) -> Result<ClusterEstimate, ZillizError> {
    let account = Account::read(client).await?;
    let prices = (prices, now);
    estimate_of((plan, plans), &account, client, journal, prices, None).await
}

/// The same for an account that was read already, and with what is about to be made by hand.
pub(super) async fn estimate_of<T: Transport>(
    (plan, plans): (&ClusterPlan, &[ClusterPlan]),
    account: &Account,
    client: &Client<T>,
    journal: Option<&Journal>,
    (prices, now): (&ZillizPrices, Timestamp),
    by_hand: Option<&ByHand>,
) -> Result<ClusterEstimate, ZillizError> {
    let selected = account.selected(plan);
    let (refused, clusters): (Vec<&Cluster>, Vec<&Cluster>) =
        selected.partition(|cluster| account.refuses(plan, plans, cluster));
    let looks = clusters.into_iter().map(async |cluster| {
        let listed = client.backups(&cluster.cluster_id).await?;
        Ok::<_, ZillizError>(Look {
            id: cluster.cluster_id.clone(),
            cluster: Some(cluster),
            weight: Weight::of(cluster, &listed, client).await,
            listed: Some(listed),
        })
    });
    let looks = stream::iter(looks).buffered(AT_ONCE);
    let mut looks: Vec<Look<'_>> = looks.try_collect().await?;
    let tiers = tiers_of(plan, journal).await;
    for tier in tiers.iter().flatten() {
        if !looks.iter().any(|look| look.id == tier.cluster) {
            looks.push(Look {
                id: tier.cluster.clone(),
                cluster: None,
                weight: Weight::Unknown,
                // A key that no longer reaches it is no reason to tell nothing of all others.
                listed: client.backups(&tier.cluster).await.ok(),
            });
        }
    }
    let refused = refused
        .into_iter()
        .map(|cluster| cluster.shown().to_owned());
    let mut told = add_up(plan, &looks, tiers, (prices, now), by_hand);
    told.refused = refused.collect();
    Ok(told)
}

/// Every tier of the plan, those of clusters that it selects no more or that are refused among them, or why that is unknown.
async fn tiers_of(plan: &ClusterPlan, journal: Option<&Journal>) -> Result<Vec<Tier>, String> {
    match journal {
        Some(journal) => {
            let tiers = journal.tiers(&plan.name).await;
            tiers.map_err(|error| error.to_string())
        }
        None if plan.tiers.is_some() => {
            Err("only a journal knows them, and there is none; set LIFEBOAT_JOURNAL".to_owned())
        }
        None => Ok(Vec::new()),
    }
}

/// One cluster, and what stands of it.
struct Look<'a> {
    id: String,
    /// None when the plan selects it no more, or a run refuses it: then nothing of it is made, and nothing goes.
    cluster: Option<&'a Cluster>,
    /// What its next backup is taken to weigh.
    weight: Weight,
    /// Its backups; none when they can't be read.
    listed: Option<Vec<Backup>>,
}

impl Look<'_> {
    /// The size of a new backup, and the cluster's region, if both are known.
    fn known(&self, counted: Counted) -> Option<(u64, &str)> {
        let size = self.weight.bytes(counted)?;
        Some((size, self.cluster?.region_id.as_deref()?))
    }

    /// What becomes of its tiers.
    fn tiers(
        &self,
        plan: &ClusterPlan,
        tiers: &[Tier],
        now: Timestamp,
        counted: Counted,
    ) -> Vec<Stay> {
        let of_it = tiers.iter().filter(|tier| tier.cluster == self.id);
        let outlook = Outlook {
            cluster: &self.id,
            home: self.cluster.and_then(|known| known.region_id.as_deref()),
            tiers: of_it.cloned().collect(),
            size: self.weight.bytes(counted),
            listed: self.listed.as_deref(),
        };
        outlook.play(plan, now)
    }
}
