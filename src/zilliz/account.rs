//! The account as one key sees it, and which of its clusters a plan is for.

use futures_util::future::try_join3;

use super::client::{Client, ZillizError};
use super::refusals::{Note, Refusal, refusals};
use super::transport::Transport;
use super::wire::{Cluster, Project, RegionInfo};
use crate::plan::ClusterPlan;

/// What was read once for all clusters.
#[derive(Clone, Debug)]
pub struct Account {
    /// Every cluster in the key's scope.
    pub clusters: Vec<Cluster>,
    projects: Vec<Project>,
    regions: Vec<RegionInfo>,
}

impl Account {
    /// Reads it, complete or not at all.
    pub async fn read<T: Transport>(client: &Client<T>) -> Result<Self, ZillizError> {
        let (clusters, projects, regions) =
            try_join3(client.clusters(), client.projects(), client.regions()).await?;
        Ok(Self {
            clusters,
            projects,
            regions,
        })
    }

    /// The cases' project and regions, with one cluster.
    #[cfg(test)]
    pub(super) fn with(cluster: &Cluster) -> Self {
        Self {
            clusters: vec![cluster.clone()],
            projects: vec![super::cases::project()],
            regions: super::cases::regions(),
        }
    }

    /// The clusters that the plan selects, by id.
    pub fn selected<'a>(&'a self, plan: &'a ClusterPlan) -> impl Iterator<Item = &'a Cluster> {
        self.clusters
            .iter()
            .filter(|cluster| selects(plan, cluster))
    }

    /// Whether a run leaves a cluster alone that the plan selects.
    #[must_use]
    pub fn refuses(&self, plan: &ClusterPlan, plans: &[ClusterPlan], cluster: &Cluster) -> bool {
        !self.against(plan, plans, cluster).0.is_empty()
    }

    /// A project in the key's scope.
    #[must_use]
    pub fn project(&self, id: &str) -> Option<&Project> {
        self.projects.iter().find(|known| known.project_id == id)
    }

    /// Entries of the plan's list that select nothing: a cluster that was dropped, or one that the key doesn't see.
    pub fn selecting_nothing<'a>(&'a self, plan: &'a ClusterPlan) -> impl Iterator<Item = &'a str> {
        let entries = plan.clusters.entries().iter().enumerate();
        entries.filter_map(|(at, entry)| {
            let by_this = |cluster: &Cluster| {
                let name = cluster.cluster_name.as_deref().unwrap_or_default();
                plan.clusters.selects_by(
                    at,
                    &cluster.cluster_id,
                    name,
                    cluster.project_id.as_deref(),
                )
            };
            (!self.clusters.iter().any(by_this)).then_some(entry.as_str())
        })
    }

    /// What speaks against a cluster under the plan. A policy is a cluster's only one, so two plans can't both have it.
    #[must_use]
    pub fn against(
        &self,
        plan: &ClusterPlan,
        plans: &[ClusterPlan],
        cluster: &Cluster,
    ) -> (Vec<Refusal>, Vec<Note>) {
        let project = cluster.project_id.as_deref();
        let project = self
            .projects
            .iter()
            .find(|known| Some(known.project_id.as_str()) == project);
        let (mut refused, notes) = refusals(plan, cluster, project, &self.regions);
        let other = plans
            .iter()
            .find(|other| other.name != plan.name && selects(other, cluster));
        if let Some(other) = other {
            refused.push(Refusal {
                word: "two_plans",
                message: format!(
                    "plan `{}` selects it, too, and a cluster has one policy; take it out of one of them",
                    other.name
                ),
            });
        }
        (refused, notes)
    }
}

fn selects(plan: &ClusterPlan, cluster: &Cluster) -> bool {
    let name = cluster.cluster_name.as_deref().unwrap_or_default();
    plan.clusters
        .selects(&cluster.cluster_id, name, cluster.project_id.as_deref())
}
