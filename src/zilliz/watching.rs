//! What earlier runs of a plan looked after, and what this one adds: since when each region has the plan's schedule, when it
//! was last judged, and which clusters are not to be found any more.
//!
//! A cluster that disappears from the account takes its protection with it, so it is told for as long as backups of it stand.
//! What it must never do: forget a cluster of which something stands, unless the plan chooses others now.

use std::collections::BTreeMap;

use futures_util::FutureExt;
use jiff::{SignedDuration, Timestamp};

use super::account::Account;
use super::journaled::Journaled;
use super::recovery::{Placed, Protection, Standing};
use super::report::PolicyState;
use super::run::Run;
use super::transport::Transport;
use super::windows::schedule;
use crate::journal::{Look, Watch, Watched};
use crate::plan::ClusterPlan;
use crate::service::Region;

/// For how long a cluster that is gone fails the run. After that it is a warning, for as long as backups of it stand.
const GONE_FOR: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What the plan's choice of clusters is now.
fn selection(plan: &ClusterPlan) -> String {
    let project = plan.clusters.project().unwrap_or_default();
    format!("{project} {}", plan.clusters.entries().join(" "))
}

/// Whether an earlier look has seen the plan's policy in force on a cluster, whoever made it another one since.
pub(super) fn had_the_policy(watch: &Watch, cluster: &str) -> bool {
    let watched = watch.clusters.get(cluster);
    watched.is_some_and(|watched| watched.regions.values().any(|look| look.since.is_some()))
}

/// What earlier looks knew of a cluster's regions. On another schedule than now, nothing was asked for before now.
pub(super) fn earlier_looks(
    watch: &Watch,
    plan: &ClusterPlan,
    cluster: &str,
    now: Timestamp,
) -> BTreeMap<Region, Look> {
    let Some(watched) = watch.clusters.get(cluster) else {
        return BTreeMap::new();
    };
    let is_same = watch.schedule == schedule(plan);
    let looks = watched.regions.iter().map(|(region, look)| {
        let since = if is_same { look.since } else { Some(now) };
        (region.clone(), Look { since, ..*look })
    });
    looks.collect()
}

/// What the next run is to know of a cluster's regions.
pub(super) fn looks_now(
    earlier: &BTreeMap<Region, Look>,
    policy: PolicyState,
    placed: &[Placed],
    standings: &[Standing],
    now: Timestamp,
) -> BTreeMap<Region, Look> {
    let looks = standings.iter().filter_map(|standing| {
        let known = earlier.get(&standing.region);
        if standing.protection == Protection::Unknown {
            // Nobody looked, so the next one looks back as far as this one would have. Since when the policy is the plan's is
            // known all the same if this run has set it.
            let set = matches!(policy, PolicyState::Applied | PolicyState::Repaired).then_some(now);
            let since = known.and_then(|look| look.since).or(set);
            let looked_at = known.map(|look| look.looked_at).or(set)?;
            return Some((standing.region.clone(), Look { since, looked_at }));
        }
        let since = known.and_then(|look| look.since);
        let look = Look {
            since: since.or_else(|| since_when(policy, placed, &standing.region, now)),
            looked_at: now,
        };
        Some((standing.region.clone(), look))
    });
    looks.collect()
}

/// Since when a policy is the plan's of which nothing was written down: since now if this run has set it, or else since the
/// oldest backup that it is seen to have made.
fn since_when(
    policy: PolicyState,
    placed: &[Placed],
    region: &str,
    now: Timestamp,
) -> Option<Timestamp> {
    let of_policy = placed
        .iter()
        .filter(|backup| backup.scheduled && backup.region == region);
    match policy {
        PolicyState::Applied | PolicyState::Repaired => Some(now),
        PolicyState::InForce => of_policy
            .map(|backup| backup.created_at)
            .min()
            .or(Some(now)),
        PolicyState::Drifted | PolicyState::OverBudget | PolicyState::Failed => None,
    }
}

impl<T: Transport> Run<'_, '_, T> {
    /// What earlier runs wrote down; nothing where it can't be read, which is told.
    pub(super) async fn read_watch(&mut self) -> Watch {
        let Some(journal) = self.world.journal else {
            return Watch::default();
        };
        match journal.watch(&self.world.plan.name).await {
            Ok(watch) => watch,
            Err(error) => {
                self.report.warn(format!(
                    "what earlier runs looked after could not be read, so windows are judged by the backups that stand: {error}"
                ));
                Watch::default()
            }
        }
    }

    /// Tells of clusters that the plan looked after and selects no more.
    pub(super) async fn tell_the_gone(&mut self, account: &Account, before: &Watch) {
        let plan = self.world.plan;
        let same_choice = before.selection == selection(plan);
        let now = self.world.client.now();
        let mut kept = BTreeMap::new();
        for (id, watched) in &before.clusters {
            if account.selected(plan).any(|one| one.cluster_id == *id) {
                continue;
            }
            let name = format!("{} ({id})", watched.name);
            if !same_choice {
                self.report.warn(format!(
                    "{name} is not looked after any more, because `clusters` or `project` of the plan are others now; its policy stays as it is"
                ));
                continue;
            }
            let lately = now.duration_since(watched.seen_at) <= GONE_FOR;
            let listed = self.world.client.backups(id).boxed_local().await;
            let stand = match &listed {
                // What the key sees no more shows no backup either, and what the policy made goes with a cluster.
                Ok(listed) if listed.is_empty() && lately => "no backup of it is seen".to_owned(),
                Ok(listed) if listed.is_empty() => {
                    self.report.warn(format!(
                        "{name} is selected no more, and no backup of it is seen; it is forgotten"
                    ));
                    continue;
                }
                Ok(listed) => format!("{} backups of it stand", listed.len()),
                Err(error) => format!("whether backups of it stand could not be read: {error}"),
            };
            let message = format!(
                "{name} was looked after by this plan until {} and is selected no more: it was dropped, renamed or moved, or the key sees it no more; {stand}. Bring it back, or choose other clusters in the plan; a week after it was last seen it fails no run any more",
                watched.seen_at
            );
            if lately {
                self.report.fail(Some(id), None, "cluster_gone", message);
            } else {
                self.report.warn(message);
            }
            kept.insert(id.clone(), watched.clone());
        }
        self.watched.append(&mut kept);
    }

    /// Writes down what this run has looked after, for the next one.
    pub(super) async fn write_watch(&mut self, journaled: &Journaled) {
        let (Some(journal), Some(lease)) = (self.world.journal, &journaled.lease) else {
            return;
        };
        let Some(watched) = self.looked_after.then(|| std::mem::take(&mut self.watched)) else {
            return;
        };
        let plan = self.world.plan;
        let watch = Watch {
            schedule: schedule(plan),
            selection: selection(plan),
            clusters: watched,
        };
        if let Err(error) = journal.write_watch(lease, &watch).await {
            let message = format!("what this run looked after was not written down: {error}");
            self.report.fail(None, None, error.word(), message);
        }
    }

    /// Notes what the next run is to know of a cluster.
    pub(super) fn note_watched(&mut self, id: &str, name: &str, regions: BTreeMap<Region, Look>) {
        let watched = Watched {
            name: name.to_owned(),
            seen_at: self.world.client.now(),
            regions,
        };
        self.watched.insert(id.to_owned(), watched);
    }
}
