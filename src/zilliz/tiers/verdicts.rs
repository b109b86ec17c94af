//! What a cluster's tiers come to, region after region, as the planner sees them; nothing is changed.
//!
//! Pure, over what was read. It says what the next run would find due, and why the rest stays.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::certified::Place;
use super::decide::Deciding;
use super::standing::{Decided, Standing};
use crate::journal::{Tier, TierState};
use crate::plan::{ClusterPlan, Tiers};
use crate::service::Region;
use crate::zilliz::wire::Backup;

/// One cluster that the plan selects, and where its backups lie.
#[derive(Clone, Copy)]
pub(in crate::zilliz) struct Whose<'a> {
    /// Its id.
    pub(in crate::zilliz) cluster: &'a str,
    /// Its own region.
    pub(in crate::zilliz) home: &'a str,
}

/// The regions in which a cluster's tiers are made and deleted: the originals' last, because they go after their copies.
pub(super) fn regions(plan: &ClusterPlan, home: Option<&str>) -> Vec<Region> {
    let targets = plan.targets.iter().map(|target| target.region.clone());
    targets.chain(home.map(str::to_owned)).collect()
}

/// Keep or due for everything that the plan owns of one cluster. `listed` is what stands in a region.
pub(super) fn decide<'l>(
    of: Whose<'_>,
    (plan, rules): (&ClusterPlan, &Tiers),
    tiers: &[Tier],
    listed: impl Fn(&Region) -> &'l [Backup],
    now: Timestamp,
    held: impl Fn(&str) -> Option<String>,
) -> Vec<(Region, Decided)> {
    let mut all = Vec::new();
    let mut going = BTreeSet::new();
    let home = of.home.to_owned();
    let deciding = Deciding {
        plan,
        rules,
        home: Some(&home),
        tiers,
        now,
    };
    for region in regions(plan, Some(of.home)) {
        let place = Place {
            cluster: of.cluster,
            region: &region,
        };
        let listed = listed(&region);
        let standing = Standing::of(place, tiers, listed, None);
        let decided = deciding.in_region(&region, (&standing, listed), &going, &held);
        let due = decided.iter().filter(|decided| decided.is_due());
        going.extend(due.map(|due| (due.own.slot, region.clone())));
        all.extend(decided.into_iter().map(|decided| (region.clone(), decided)));
    }
    all
}

/// Why a run leaves the tiers of a cluster alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::zilliz) enum LeftAlone {
    /// The plan selects it no more, or it was dropped.
    NotSelected,
    /// Something speaks against it under the plan.
    Refused,
    /// The service does not say where it is.
    NoRegion,
}

/// Why each backup of a plan's tiers stays, by its id, as far as the journal knows it. `of` is the cluster, or why a run
/// would leave it alone.
pub(in crate::zilliz) fn reasons(
    of: Result<Whose<'_>, LeftAlone>,
    plan: &ClusterPlan,
    tiers: &[Tier],
    listed: &[Backup],
    now: Timestamp,
    held: impl Fn(&str) -> Option<String>,
) -> BTreeMap<String, String> {
    let mut reasons = BTreeMap::new();
    for tier in tiers {
        let why = match (&tier.state, of, &plan.tiers) {
            (TierState::BeingMade { .. }, ..) => "a tier that is being made",
            (TierState::Adopted { .. }, ..) => {
                "found after a request that was not answered, so somebody else may have had it made: kept for ever"
            }
            (_, Err(LeftAlone::NotSelected), _) => {
                "the plan selects its cluster no more, so it stays until somebody deletes it"
            }
            (_, Err(LeftAlone::Refused), _) => {
                "its cluster is refused, so it stays until somebody deletes it"
            }
            (_, Err(LeftAlone::NoRegion), _) => {
                "the service does not say its cluster's region, so runs leave it alone until it does"
            }
            (_, _, None) => {
                "the plan has no `tiers` any more, so it stays until somebody deletes it"
            }
            _ => {
                "its region is no target of the plan any more, so it stays until somebody deletes it"
            }
        };
        let ids = super::making::ids(tier).into_iter();
        reasons.extend(ids.map(|id| (id, why.to_owned())));
    }
    if let (Ok(of), Some(rules)) = (of, &plan.tiers) {
        for (_, decided) in decide(of, (plan, rules), tiers, |_| listed, now, held) {
            let why = decided.why();
            reasons.extend(decided.own.id.map(|id| (id, why)));
        }
    }
    reasons
}
