//! How requests to restore clusters reach the plans of Zilliz Cloud, and how open ones are carried on with.

use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::Instant;

use super::asked::Asked;
use super::journaled::{of_restores, records};
use super::notes::Past;
use super::report::ClusterRestoreReport;
use super::{World, restore};
use crate::event::cluster_restore_fields::{not_for_clusters, only_for_clusters};
use crate::event::{EventError, Request};
use crate::journal::{History, Journal, RunKey};
use crate::plan::ClusterPlan;
use crate::report::Size;
use crate::restore::{How, forget, plan_of};
use crate::resuming::{open_of, what_is_open};
use crate::run::Refused;
use crate::{Answer, Lifeboat, RUNS_SHOWN, Resumed};

/// Refuses a restore of clusters where the plan is of turbopuffer.
pub(in crate::zilliz) fn refuse_elsewhere(request: &Request) -> Result<(), EventError> {
    match &request.cluster_restore {
        Some(asked) => Err(only_for_clusters(asked)),
        None => Ok(()),
    }
}

impl Lifeboat {
    /// Restores what a request asks for.
    pub(in crate::zilliz) async fn restore_clusters(
        &self,
        request: &Request,
        plan: &ClusterPlan,
        run_id: &str,
        time_left: Duration,
        size: Size,
    ) -> Result<Answer, Refused> {
        let asked = match (&request.cluster_restore, &request.restore) {
            (Some(asked), _) => asked,
            (None, Some(other)) => return Err(not_for_clusters(&other.which).into()),
            (None, None) => {
                let found = "none of them".to_owned();
                return Err(EventError::WhichSources { found }.into());
            }
        };
        let how = How::of(request.dry_run);
        let report = self.restore_in(asked, plan, how, run_id, time_left, size);
        Ok(Answer::ClustersRestored(Box::new(report.await?)))
    }

    async fn restore_in(
        &self,
        asked: &Asked,
        plan: &ClusterPlan,
        how: How,
        run_id: &str,
        time_left: Duration,
        size: Size,
    ) -> Result<ClusterRestoreReport, Refused> {
        let world = World {
            plan,
            client: self.client(plan),
            vault: &self.vault,
            kept: self.kept(),
            clock: self.clock.clone(),
            report: size,
            stop: &self.stop,
        };
        let restored = restore(asked, &world, how, run_id.to_owned(), time_left);
        Ok(restored.boxed_local().await?)
    }

    /// Carries on with every open restore of these plans, one after the other.
    pub(crate) async fn resume_cluster_restores(
        &self,
        request: &Request,
        ends: Instant,
        size: Size,
        resumed: &mut Resumed,
    ) {
        let kept = self.kept().filter(|_| !self.settings.clusters.is_empty());
        let Some(kept) = kept else { return };
        let journal = of_restores(kept.journal);
        let open = journal.open_runs().await;
        let open = open_of(resumed, "restores of clusters", open);
        resumed.open_cluster_restores = open.len();
        for open in open {
            let name = plan_of(&open.key.plan);
            let what = what_is_open("restore", name, open.key.slot.instant());
            let Some(plan) = self.open_cluster_plan(&what, name, request, resumed) else {
                continue;
            };
            let left = ends.saturating_duration_since(Instant::now());
            let run_id = resumed.run_id.clone();
            let report = self.carry_on_in(&journal, &open.key, plan, &run_id, left, size);
            let report = resumed.of(&what, report.boxed_local().await).flatten();
            resumed.cluster_restores.extend(report);
        }
    }

    /// Carries on with an open restore; `None` when nobody wrote down what it is.
    async fn carry_on_in(
        &self,
        journal: &Journal,
        key: &RunKey,
        plan: &ClusterPlan,
        run_id: &str,
        left: Duration,
        size: Size,
    ) -> Result<Option<ClusterRestoreReport>, Refused> {
        let past = Past::of(&journal.entries(key).await?);
        let Some((_, asked)) = past.asked else {
            forget(journal, key, run_id, self.clock.now()).await?;
            return Ok(None);
        };
        let report = self.restore_in(&asked, plan, How::OneMoreLook, run_id, left, size);
        report.await.map(Some)
    }

    /// What the journal remembers of these plans' restores, open ones first within each.
    pub(crate) async fn restores_of_clusters(&self, request: &Request) -> Result<History, Refused> {
        let mut found = History::default();
        let Some(kept) = self.kept() else {
            return Ok(found);
        };
        for plan in &self.settings.clusters {
            if request
                .plan
                .as_ref()
                .is_none_or(|wanted| *wanted == plan.name)
            {
                let of_plan = records(kept.journal, &plan.name, RUNS_SHOWN).await?;
                found.records.extend(of_plan.records);
                found.ignored.extend(of_plan.ignored);
            }
        }
        Ok(found)
    }
}
