//! What backups by hand cost that a run is about to ask for: sending them once, and keeping them for the first thirty days.
//!
//! They stay until somebody deletes them, so each further month costs the keeping once more.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Look;
use super::kept::{Kept, MONTH, RegionEstimate};
use super::sum::region;
use super::weight::Counted;
use crate::budget;
use crate::event::ByHand;
use crate::plan::ClusterPlan;
use crate::price::{Between, MicroDollars, ZillizPrices};
use crate::zilliz::manual::is_meant;

/// What they cost in thirty days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ByHandEstimate {
    /// How many, one of each cluster that is meant.
    pub backups: u64,
    /// They are of some collections, whose size the service does not tell, so all this is the most that it can be.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub at_most: bool,
    /// Every region in which one will stand.
    pub regions: Vec<RegionEstimate>,
    /// In all of them, what is of unknown size left out; `None` when all of it is, or a price is unknown.
    pub total: Option<Between>,
}

impl ByHandEstimate {
    pub(super) fn of(
        of: &ByHand,
        plan: &ClusterPlan,
        looks: &[Look<'_>],
        prices: &ZillizPrices,
        counted: Counted,
    ) -> Self {
        let meant = looks
            .iter()
            .filter(|look| look.cluster.is_some_and(|cluster| is_meant(of, cluster)));
        let (mut backups, mut regions) = (0, BTreeMap::new());
        for look in meant {
            backups += 1;
            let Some((bytes, home)) = look.known(counted) else {
                continue;
            };
            let targets = plan.targets.iter().map(|target| target.region.as_str());
            for at in targets.chain([home]) {
                let kept = Kept {
                    bytes,
                    from: home,
                    at,
                    days: MONTH,
                };
                region(&mut regions, at).add(kept, 1, true, prices);
            }
        }
        let regions: Vec<RegionEstimate> = regions.into_values().collect();
        let total = budget::total(regions.iter().map(|region| region.total));
        let total = total.filter(|_| backups == 0 || !regions.is_empty());
        let at_most = !of.collections.is_empty();
        Self {
            backups,
            at_most,
            regions,
            total: total.map(|total| Between {
                least: if at_most {
                    MicroDollars(0)
                } else {
                    total.least
                },
                ..total
            }),
        }
    }

    /// Whether the size of any is known.
    pub(super) fn is_known(&self) -> bool {
        !self.regions.is_empty()
    }
}
