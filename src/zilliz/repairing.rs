//! Sees to a cluster's policy: reads it, sets the plan's where it is another one, and reads it back.

use tracing::info;

use super::client::{Client, ZillizError};
use super::journaled::Journaled;
use super::notes::{News, Note};
use super::policy::{Drift, Policy};
use super::report::{PolicyLine, PolicyState};
use super::run::Run;
use super::transport::Transport;
use super::wire::Cluster;
use crate::plan::OnDrift;

impl<T: Transport> Run<'_, '_, T> {
    /// Sees to it that the service has the plan's policy, and believes only what it reads back. `had_it` says that it had it
    /// before.
    pub(super) async fn policy(
        &self,
        cluster: &Cluster,
        wanted: &Policy,
        line: &mut PolicyLine,
        had_it: bool,
        journaled: &Journaled,
    ) -> Result<PolicyState, (&'static str, String)> {
        let failed = |error: ZillizError| (error.word(), error.to_string());
        let (client, id) = (self.world.client, &cluster.cluster_id);
        let found = read(client, id).await?;
        line.drift = wanted.drift(found.as_ref());
        if line.drift.is_empty() {
            return Ok(PolicyState::InForce);
        }
        if self.world.plan.drift == OnDrift::Report || self.request.dry_run {
            return Ok(PolicyState::Drifted);
        }
        if let Some(over) = &self.over_budget {
            line.state = PolicyState::OverBudget;
            let message = format!("its policy is not the plan's, and was not set: {over}");
            return Err(("over_budget", message));
        }
        // Whoever looks after this finds the plan's, and can't see what was before.
        if found.is_none() {
            let (cluster, at) = (id.clone(), client.now());
            journaled.write(Note::Enabled { cluster, at }).await;
        }
        if found.is_some() || had_it {
            journaled.tell_at_last([repair(cluster, &line.drift)]).await;
        }
        client
            .set_policy(id, &wanted.sent())
            .await
            .map_err(failed)?;
        let left = wanted.drift(read(client, id).await?.as_ref());
        if !left.is_empty() {
            let left: Vec<String> = left.iter().map(ToString::to_string).collect();
            let message = format!(
                "the policy was set, and what was read back is another one: {}; does anybody else set it?",
                left.join("; ")
            );
            return Err(("policy_not_set", message));
        }
        info!(drift = ?line.drift, "the policy was set");
        Ok(match found {
            None => PolicyState::Applied,
            Some(_) => PolicyState::Repaired,
        })
    }

    /// Whether a failure says why a policy is not the plan's; a dry run only shows what it would set.
    pub(super) fn told_of_the_policy(&self, state: PolicyState) -> bool {
        match state {
            PolicyState::InForce | PolicyState::Applied | PolicyState::Repaired => false,
            PolicyState::Drifted => !self.request.dry_run,
            PolicyState::OverBudget | PolicyState::Failed => true,
        }
    }
}

/// What is told of a policy that is another one, before the plan's is set.
fn repair(cluster: &Cluster, drift: &[Drift]) -> News {
    let drift: Vec<String> = drift.iter().map(ToString::to_string).collect();
    News {
        cluster: Some(cluster.cluster_id.clone()),
        region: None,
        error: None,
        message: format!(
            "{} ({}) had another policy when an earlier invocation of this run was about to set the plan's: {}",
            cluster.shown(),
            cluster.cluster_id,
            drift.join("; ")
        ),
    }
}

/// The policy that the service has now; `None` when it is disabled.
async fn read<T: Transport>(
    client: &Client<T>,
    cluster: &str,
) -> Result<Option<Policy>, (&'static str, String)> {
    let found = client.policy(cluster).await;
    let found = found.map_err(|error| (error.word(), error.to_string()))?;
    Policy::found(&found).map_err(|why| {
        let message = format!(
            "it has a policy that this program can't read, so it is left alone: {why}; if it was made in the console with cron or several schedules, disable it there, and the plan's is set"
        );
        ("policy_unreadable", message)
    })
}
